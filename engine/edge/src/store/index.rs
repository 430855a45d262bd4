//! The index of surrogate keys: under which keys responses that carry them are stored. And of URLs:
//! under which keys with the suffix of a decision their responses are stored. A URL has as many of
//! these as decisions make of it, so that a purge can't write them all; the others it can.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::hash::{BuildHasher, Hash};
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;

use super::{Key, Variants};

/// From surrogate keys and URLs to keys.
#[derive(Debug, Default)]
pub(super) struct Index {
    tags: Mutex<Tags>,
    /// Whether a key with a suffix was ever stored. On many edges none is. Set before the first one
    /// can be found.
    had_suffixes: AtomicBool,
    hasher: RandomState,
}

/// Keys that are looked for under one hold of the lock.
const FOUND_AT_ONCE: usize = 256;

/// Entries, and how many lists of variants each comes from: a new list is remembered before the one
/// that it replaces is forgotten.
///
/// A tree, since a change moves only a few of its nodes. A hash table moves all of its entries when
/// it grows; with some hundred thousand keys, requests would wait for that.
type Tags = BTreeMap<TagEntry, u32>;

/// A key under a surrogate key, or under its URL. Ordered by hashes first, so that a comparison
/// seldom reads a key.
///
/// The surrogate key, or the URL, is kept as a hash only. If two share a hash, a purge of one looks at
/// the responses of both, and takes those that it means.
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
        // Without surrogate keys and suffix, no lock is needed.
        let mut held = None;
        let mut change_at = |tag_hash| {
            let (tags, key_hash) = held.get_or_insert_with(|| (lock(&self.tags), self.hash(key)));
            change(
                tags,
                TagEntry {
                    tag_hash,
                    key_hash: *key_hash,
                    key: key.clone(),
                },
            );
        };
        if key.has_suffix() {
            self.had_suffixes.store(true, Ordering::Release);
            change_at(self.hash_of_url(key.url()));
        }
        variants.each_tag(|tag| change_at(self.hash(tag)));
    }

    /// All keys with a suffix under which responses of a URL are stored, and parts of such.
    pub(super) fn of_url(&self, url: &str) -> Vec<Key> {
        let mut keys: Vec<Key> = Vec::new();
        if !self.had_suffixes.load(Ordering::Acquire) {
            return keys;
        }
        let hash = self.hash_of_url(url);
        loop {
            let more = self.under(hash, keys.last(), FOUND_AT_ONCE);
            let is_last = more.len() < FOUND_AT_ONCE;
            keys.extend(more);
            if is_last {
                break;
            }
        }
        keys.retain(|key| key.url() == url);
        keys
    }

    /// Keys under which a response carries `tag`, at most `most`, in an order of the index's own:
    /// those after the key `after`, or the first ones. A caller that goes on after the last key
    /// until no more come gets every key that stays in the index meanwhile, once, and perhaps
    /// others.
    pub(super) fn tagged(&self, tag: &str, after: Option<&Key>, most: usize) -> Vec<Key> {
        self.under(self.hash(tag), after, most)
    }

    fn under(&self, tag_hash: u32, after: Option<&Key>, most: usize) -> Vec<Key> {
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

    /// The hash of a URL. No surrogate key has a line feed.
    fn hash_of_url(&self, url: &str) -> u32 {
        self.hash(("\nurl", url))
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
    fn keys_with_a_suffix_are_found_by_their_url_as_long_as_they_are_stored() {
        let (index, carries) = (Index::default(), carrying(&["tag"]));
        let with_suffix = |path: &str, suffix: usize| {
            let mut written = key(path, Some("mobile")).as_bytes().to_vec();
            tero_semantics::key::write_suffix(&mut written, format!("o1:{suffix}").as_bytes());
            Key::new(&written)
        };
        let url = "http://a.example/page";
        index.remember(&key("/page", None), &carries);
        assert!(index.of_url(url).is_empty() && !index.had_suffixes.load(Ordering::Relaxed));
        let many = 2 * FOUND_AT_ONCE + 1;
        for number in 0..many {
            index.remember(&with_suffix("/page", number), &carrying(&[]));
            index.remember(&with_suffix("/page2", number), &carrying(&[]));
        }
        index.remember(&Key::of_parts(with_suffix("/page", 0).as_bytes()), &carries);
        let found = |of: &str| index.of_url(of).into_iter().collect::<HashSet<_>>();
        assert_eq!(found(url).len(), many + 1);
        assert!(found(url).iter().all(|key| key.url() == url));
        assert_eq!(found("http://a.example/pag").len(), 0);
        for number in 1..many {
            index.forget(&with_suffix("/page", number), &carrying(&[]));
        }
        let left = [
            with_suffix("/page", 0),
            Key::of_parts(with_suffix("/page", 0).as_bytes()),
        ];
        assert_eq!(found(url), HashSet::from(left.clone()));
        assert_eq!(index.tagged("tag", None, 10).len(), 2);
        index.forget(&left[0], &carrying(&[]));
        index.forget(&left[1], &carries);
        assert_eq!(found(url).len(), 0);
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
