//! The latest purges: what they mean for fetches that began before them.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;

use super::super::key::PARTS;
use super::PurgeScope;

/// How many purges are remembered. A fetch that has been under way for more purges than that counts
/// as purged.
const REMEMBERED_PURGES: usize = 1024;

/// The latest purges, in order.
#[derive(Debug, Default)]
pub(in crate::store) struct PurgeHistory {
    record: Mutex<PurgeRecord>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct PurgeRecord {
    /// The number of the next purge: one more than that of the last in `latest`.
    next: u64,
    latest: VecDeque<PurgeTargets>,
}

/// What a purge named.
#[derive(Debug)]
enum PurgeTargets {
    /// Keys, as their hashes in ascending order. A response whose key shares a hash with one of
    /// them isn't stored, and is fetched again.
    Keys(Box<[u64]>),
    Other(PurgeScope),
}

impl PurgeHistory {
    /// The number of the next purge.
    pub(super) fn point(&self) -> u64 {
        lock(&self.record).next
    }

    /// Adds a purge; forgets the oldest beyond [`REMEMBERED_PURGES`].
    pub(super) fn add(&self, scope: &PurgeScope) {
        let targets = match scope {
            PurgeScope::Keys(keys) => {
                let mut hashes: Box<[u64]> = keys.iter().map(|key| self.hash(key)).collect();
                hashes.sort_unstable();
                PurgeTargets::Keys(hashes)
            }
            PurgeScope::Tag { .. } | PurgeScope::Prefix(_) | PurgeScope::Site(_) => {
                PurgeTargets::Other(scope.clone())
            }
        };
        let mut record = lock(&self.record);
        record.next += 1;
        record.latest.push_back(targets);
        if record.latest.len() > REMEMBERED_PURGES {
            record.latest.pop_front();
        }
    }

    /// The number of the latest purge in `numbers` that named this key. For a purge that named no
    /// keys, `selects` decides too. Purges that are no longer remembered count as having named it,
    /// under a number that changes only once in [`REMEMBERED_PURGES`] purges.
    pub(super) fn latest(
        &self,
        numbers: Range<u64>,
        key: &[u8],
        selects: impl Fn(&PurgeScope) -> bool,
    ) -> Option<u64> {
        if numbers.is_empty() {
            return None;
        }
        let record = lock(&self.record);
        let oldest = record.next - record.latest.len() as u64;
        let hash = self.hash(key.strip_suffix(PARTS).unwrap_or(key));
        let is_meant = |targets: &PurgeTargets| match targets {
            PurgeTargets::Keys(hashes) => hashes.binary_search(&hash).is_ok(),
            PurgeTargets::Other(scope) => scope.may_have(key) && selects(scope),
        };
        let remembered = numbers.start.max(oldest)..numbers.end;
        let found = remembered.rev().find(|number| {
            record
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
    fn forgotten_purges_count_as_one_until_as_many_have_come_again() {
        let purges = PurgeHistory::default();
        let add = |times: usize| (0..times).for_each(|_| purges.add(&PurgeScope::Site(7)));
        let latest = |since| purges.latest(since..purges.point(), b"key", |_| false);
        add(REMEMBERED_PURGES);
        assert_eq!(latest(0), None);
        add(1);
        assert_eq!((latest(0), latest(1)), (Some(0), None));
        add(REMEMBERED_PURGES - 2);
        assert_eq!(latest(0), Some(0));
        add(1);
        let first = REMEMBERED_PURGES as u64;
        assert_eq!(
            (latest(0), latest(first - 1), latest(first)),
            (Some(first), Some(first), None)
        );
    }
}
