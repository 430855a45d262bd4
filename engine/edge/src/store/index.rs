//! The index of surrogate keys: under which keys responses that carry them are stored.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::hash::{BuildHasher, Hash};
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;

use super::{Key, Variants};

/// From surrogate keys to keys.
#[derive(Debug, Default)]
pub(super) struct Index {
    tags: Mutex<Tags>,
    hasher: RandomState,
}

/// Entries, and how many lists of variants each comes from: a new list is remembered before the one
/// that it replaces is forgotten.
///
/// A tree, since a change moves only a few of its nodes. A hash table moves all of its entries when
/// it grows; with some hundred thousand keys, requests would wait for that.
type Tags = BTreeMap<TagEntry, u32>;

/// A key under a surrogate key. Ordered by hashes first, so that a comparison seldom reads a key.
///
/// The surrogate key is kept as a hash only. If two share a hash, a purge of one looks at the
/// responses of both, and takes those whose fields have it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct TagEntry {
    tag_hash: u32,
    key_hash: u32,
    key: Key,
}

impl Index {
    /// Adds the surrogate keys of `variants`, which are about to enter a map.
    pub(super) fn remember(&self, key: &Key, variants: &Variants) {
        self.each_entry(key, variants, |tags, entry| {
            *tags.entry(entry).or_default() += 1
        });
    }

    /// Removes the surrogate keys of `variants`, which have left a map.
    pub(super) fn forget(&self, key: &Key, variants: &Variants) {
        self.each_entry(key, variants, |tags, entry| {
            let Entry::Occupied(mut count) = tags.entry(entry) else {
                return;
            };
            match *count.get() {
                1 => drop(count.remove()),
                _ => *count.get_mut() -= 1,
            }
        });
    }

    fn each_entry(&self, key: &Key, variants: &Variants, change: impl Fn(&mut Tags, TagEntry)) {
        // Without surrogate keys, no lock is needed.
        let mut held = None;
        variants.each_tag(|tag| {
            let (tags, key_hash) = held.get_or_insert_with(|| (lock(&self.tags), self.hash(key)));
            change(
                tags,
                TagEntry {
                    tag_hash: self.hash(tag),
                    key_hash: *key_hash,
                    key: key.clone(),
                },
            );
        });
    }

    /// Keys under which a response carries `tag`, at most `most`, in an order of the index's own:
    /// those after the key `after`, or the first ones. A caller that goes on after the last key
    /// until no more come gets every key that stays in the index meanwhile, once, and perhaps
    /// others.
    pub(super) fn tagged(&self, tag: &str, after: Option<&Key>, most: usize) -> Vec<Key> {
        let tag_hash = self.hash(tag);
        let start = match after {
            Some(key) => Excluded(TagEntry {
                tag_hash,
                key_hash: self.hash(key),
                key: key.clone(),
            }),
            None => Included(TagEntry {
                tag_hash,
                key_hash: 0,
                key: Key::new(b""),
            }),
        };
        let tags = lock(&self.tags);
        let of_tag = tags
            .range((start, Unbounded))
            .map(|(entry, _)| entry)
            .take_while(|entry| entry.tag_hash == tag_hash);
        of_tag.take(most).map(|entry| entry.key.clone()).collect()
    }

    fn hash(&self, of: impl Hash) -> u32 {
        self.hasher.hash_one(of) as u32
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::store::tests::{carrying, key};

    #[test]
    fn every_key_that_stays_is_found_while_others_come_and_go() {
        let (index, carries) = (Index::default(), carrying(&["tag"]));
        let key = |number: usize| key(&format!("/{number}"), None);
        (0..1_000).for_each(|number| index.remember(&key(number), &carries));
        let (mut seen, mut turn) = (HashSet::new(), 0);
        let mut keys = index.tagged("tag", None, 30);
        while let Some(last) = keys.last() {
            assert!(keys.len() <= 30 && keys.iter().all(|key| seen.insert(key.clone())));
            // Some that were seen leave, as in a purge; others leave too, and new ones come.
            keys.iter()
                .step_by(2)
                .for_each(|key| index.forget(key, &carries));
            index.forget(&key(turn * 7), &carries);
            (0..20).for_each(|more| index.remember(&key(1_000 + turn * 20 + more), &carries));
            keys = index.tagged("tag", Some(last), 30);
            turn += 1;
        }
        let gone: HashSet<usize> = (0..turn).map(|turn| turn * 7).collect();
        assert!((0..1_000).all(|number| seen.contains(&key(number)) || gone.contains(&number)));
    }

    #[test]
    fn each_key_is_found_under_its_own_surrogate_keys() {
        let index = Index::default();
        let (own, shared) = (["a", "b", "c"], key("/shared", None));
        own.iter()
            .for_each(|tag| index.remember(&key(tag, None), &carrying(&[tag])));
        index.remember(&shared, &carrying(&own));
        let found = |tag: &str| {
            index
                .tagged(tag, None, 10)
                .into_iter()
                .collect::<HashSet<_>>()
        };
        own.iter().for_each(|tag| {
            assert_eq!(found(tag), HashSet::from([key(tag, None), shared.clone()]))
        });
        index.forget(&shared, &carrying(&own));
        own.iter()
            .for_each(|tag| assert_eq!(found(tag), HashSet::from([key(tag, None)])));
    }

    #[test]
    fn a_key_leaves_with_the_last_response_that_carries_the_surrogate_key() {
        let (index, key) = (Index::default(), key("/a", None));
        let (before, after) = (carrying(&["tag", "tag", "other"]), carrying(&["tag"]));
        index.remember(&key, &before);
        index.remember(&key, &after);
        index.forget(&key, &before);
        assert_eq!(index.tagged("tag", None, 10), std::slice::from_ref(&key));
        assert_eq!(index.tagged("other", None, 10), []);
        index.forget(&key, &after);
        assert_eq!(index.tagged("tag", None, 10), []);
        assert!(lock(&index.tags).is_empty());
        // Removing an unknown entry does nothing.
        index.forget(&key, &carrying(&["tag"]));
    }
}
