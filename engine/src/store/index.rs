//! Handles for purges: which keys carry a surrogate key, and what was purged lately.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;
use indexmap::map::Entry;
use indexmap::{IndexMap, IndexSet};

use super::stored::StoredResponse;
use super::{Key, Target, Variants};

/// How many purges are remembered for fetches under way. One that has been under way for longer than that many purges is
/// taken to be purged.
const REMEMBERED_PURGES: usize = 1024;

/// Surrogate keys to keys.
#[derive(Debug, Default)]
pub(super) struct Index {
    tags: Mutex<Tags>,
    pub(super) purges: Purges,
}

/// Which keys carry which surrogate key. One may do so several times: by several variants, and while a list of variants that replaces
/// another is noted and the other not yet forgotten.
///
/// These tables keep the hash beside each entry. One that does not would read all of its keys, wherever they lie in memory, when it grows:
/// at a hundred thousand, requests would wait for that.
#[derive(Debug, Default)]
struct Tags {
    keys: IndexMap<Box<str>, IndexSet<Key, RandomState>, RandomState>,
    /// How many times more than once. Few do, and a count for each would take half as much again.
    more: IndexMap<(Box<str>, Key), u32, RandomState>,
}

impl Index {
    /// Notes the surrogate keys of `variants`, which is entering a map.
    pub(super) fn remember(&self, key: &Key, variants: &Variants) {
        if variants.tags().next().is_none() {
            return;
        }
        let mut tags = lock(&self.tags);
        for tag in variants.tags() {
            tags.add(tag, key);
        }
    }

    /// Forgets those of `variants`, which has left a map.
    pub(super) fn forget(&self, key: &Key, variants: &Variants) {
        if variants.tags().next().is_none() {
            return;
        }
        let mut tags = lock(&self.tags);
        for tag in variants.tags() {
            tags.remove(tag, key);
        }
    }

    /// Up to `most` of the keys under which a response carries `tag`, of those in front of a place in their order: the last of them, with
    /// the place where these begin. Whoever begins at `usize::MAX` and goes on from there to 0 gets every key that is there all the
    /// while, whatever comes and goes meanwhile; perhaps one of them twice.
    pub(super) fn tagged(&self, tag: &str, before: usize, most: usize) -> (Vec<Key>, usize) {
        let tags = lock(&self.tags);
        let Some(keys) = tags.keys.get(tag) else { return (Vec::new(), 0) };
        // A key that goes gives its place to the last one, so none moves to where it would be missed.
        let end = before.min(keys.len());
        let start = end.saturating_sub(most);
        (keys[start..end].iter().cloned().collect(), start)
    }
}

impl Tags {
    fn add(&mut self, tag: &str, key: &Key) {
        let is_new = match self.keys.get_mut(tag) {
            Some(keys) => keys.insert(key.clone()),
            None => self.keys.insert(tag.into(), IndexSet::from_iter([key.clone()])).is_none(),
        };
        if !is_new {
            *self.more.entry((tag.into(), key.clone())).or_default() += 1;
        }
    }

    fn remove(&mut self, tag: &str, key: &Key) {
        if !self.more.is_empty()
            && let Entry::Occupied(mut more) = self.more.entry((tag.into(), key.clone()))
        {
            *more.get_mut() -= 1;
            if *more.get() == 0 {
                more.swap_remove();
            }
            return;
        }
        let Some(keys) = self.keys.get_mut(tag) else { return };
        keys.swap_remove(key);
        if keys.is_empty() {
            self.keys.swap_remove(tag);
        }
    }
}

/// The latest purges, in order.
#[derive(Debug, Default)]
pub(super) struct Purges(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    /// The number of the purge after the last of `latest`.
    next: u64,
    latest: VecDeque<Target>,
}

impl Purges {
    pub(super) fn point(&self) -> u64 {
        lock(&self.0).next
    }

    pub(super) fn note(&self, target: Target) {
        let mut noted = lock(&self.0);
        noted.next += 1;
        noted.latest.push_back(target);
        if noted.latest.len() > REMEMBERED_PURGES {
            noted.latest.pop_front();
        }
    }

    /// Whether a purge since `point` named this response.
    pub(super) fn hit_since(&self, point: u64, key: &[u8], stored: &StoredResponse) -> bool {
        self.any_since(point, |target| target.matches(key, stored))
    }

    /// Whether a purge since `point` may have named a response under this key, of which nothing else is known.
    pub(super) fn may_hit_since(&self, point: u64, key: &[u8]) -> bool {
        self.any_since(point, |target| target.names_key(key).unwrap_or(true))
    }

    fn any_since(&self, point: u64, is_meant: impl FnMut(&Target) -> bool) -> bool {
        let noted = lock(&self.0);
        let since = (noted.next - point) as usize;
        since > noted.latest.len() || noted.latest.iter().rev().take(since).any(is_meant)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_key_is_missed_while_others_come_and_go() {
        let index = Index::default();
        let key = |number: usize| Key::new(format!("{number}").as_bytes());
        (0..1_000).for_each(|number| lock(&index.tags).add("tag", &key(number)));
        let (mut seen, mut before, mut turn) = (HashSet::new(), usize::MAX, 0);
        while before > 0 {
            let (keys, start) = index.tagged("tag", before, 30);
            assert!(keys.len() <= 30 && start < before);
            seen.extend(keys.iter().map(|key| key.as_bytes().to_vec()));
            before = start;
            // Those that were seen go, as a purge has it; so do others, and new ones come.
            let mut tags = lock(&index.tags);
            keys.iter().for_each(|key| tags.remove("tag", key));
            tags.remove("tag", &key(turn * 7));
            (0..20).for_each(|more| tags.add("tag", &key(1_000 + turn * 20 + more)));
            turn += 1;
        }
        let missed = (0..1_000).filter(|number| !seen.contains(key(*number).as_bytes()));
        let gone: Vec<usize> = (0..turn).map(|turn| turn * 7).collect();
        assert!(missed.into_iter().all(|number| gone.contains(&number)));
    }

    #[test]
    fn a_tag_that_no_response_carries_any_more_takes_no_place() {
        let index = Index::default();
        let mut tags = lock(&index.tags);
        tags.add("tag", &Key::new(b"a"));
        tags.add("tag", &Key::new(b"a"));
        tags.remove("tag", &Key::new(b"a"));
        assert_eq!((tags.keys.len(), tags.more.len()), (1, 0));
        tags.remove("tag", &Key::new(b"a"));
        assert_eq!((tags.keys.len(), tags.more.len()), (0, 0));
    }
}
