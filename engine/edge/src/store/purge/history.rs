//! What was purged lately.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;

use super::super::key::PARTS;
use super::PurgeScope;

/// How many purges are remembered for fetches under way. One that has been under way for longer
/// than that many purges is taken to be purged.
const REMEMBERED_PURGES: usize = 1024;

/// The latest purges, in order.
#[derive(Debug, Default)]
pub(in crate::store) struct PurgeHistory {
    record: Mutex<PurgeRecord>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct PurgeRecord {
    /// The number of the purge after the last of `latest`.
    next: u64,
    latest: VecDeque<PurgeTargets>,
}

/// What a purge has named.
#[derive(Debug)]
enum PurgeTargets {
    /// Keys, by their hashes in order: a response whose key only has the same hash is not stored,
    /// and fetched again.
    Keys(Box<[u64]>),
    Other(PurgeScope),
}

impl PurgeHistory {
    pub(super) fn point(&self) -> u64 {
        lock(&self.record).next
    }

    pub(super) fn note(&self, target: &PurgeScope) {
        let named = match target {
            PurgeScope::Keys(keys) => {
                let mut hashes: Box<[u64]> = keys.iter().map(|key| self.hash(key)).collect();
                hashes.sort_unstable();
                PurgeTargets::Keys(hashes)
            }
            PurgeScope::Tag { .. } | PurgeScope::Prefix(_) | PurgeScope::Site(_) => {
                PurgeTargets::Other(target.clone())
            }
        };
        let mut noted = lock(&self.record);
        noted.next += 1;
        noted.latest.push_back(named);
        if noted.latest.len() > REMEMBERED_PURGES {
            noted.latest.pop_front();
        }
    }

    /// The number of the latest of these purges that named this key and, unless it names keys,
    /// `selects` says yes to. If some of them are no longer remembered, they are taken to have
    /// named it, under a number that changes only when as many others have come.
    pub(super) fn latest(
        &self,
        numbers: Range<u64>,
        key: &[u8],
        selects: impl Fn(&PurgeScope) -> bool,
    ) -> Option<u64> {
        if numbers.is_empty() {
            return None;
        }
        let noted = lock(&self.record);
        let oldest = noted.next - noted.latest.len() as u64;
        let hash = self.hash(key.strip_suffix(PARTS).unwrap_or(key));
        let is_meant = |named: &PurgeTargets| match named {
            PurgeTargets::Keys(hashes) => hashes.binary_search(&hash).is_ok(),
            PurgeTargets::Other(target) => target.may_have(key) && selects(target),
        };
        let remembered = numbers.start.max(oldest)..numbers.end;
        let found = remembered.rev().find(|number| {
            noted
                .latest
                .get((number - oldest) as usize)
                .is_some_and(is_meant)
        });
        found.or_else(|| {
            (numbers.start < oldest).then(|| oldest - oldest % REMEMBERED_PURGES as u64)
        })
    }

    fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash_one(key)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purges_that_are_no_longer_remembered_count_as_one_until_as_many_have_come_again() {
        let purges = PurgeHistory::default();
        let note = |times: usize| (0..times).for_each(|_| purges.note(&PurgeScope::Site(7)));
        let latest = |since| purges.latest(since..purges.point(), b"key", |_| false);
        note(REMEMBERED_PURGES);
        assert_eq!(latest(0), None);
        note(1);
        assert_eq!((latest(0), latest(1)), (Some(0), None));
        note(REMEMBERED_PURGES - 2);
        assert_eq!(latest(0), Some(0));
        note(1);
        let first = REMEMBERED_PURGES as u64;
        assert_eq!(
            (latest(0), latest(first - 1), latest(first)),
            (Some(first), Some(first), None)
        );
    }
}
