//! Handles for purges: which keys carry a surrogate key, and what was purged lately.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

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
#[derive(Debug, Default)]
struct Tags {
    keys: HashMap<Box<str>, HashSet<Key>>,
    /// How many times more than once. Few do, and a count for each would take half as much again.
    more: HashMap<(Box<str>, Key), u32>,
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

    /// The keys under which a response carries `tag`.
    pub(super) fn tagged(&self, tag: &str) -> Vec<Key> {
        lock(&self.tags).keys.get(tag).map(|keys| keys.iter().cloned().collect()).unwrap_or_default()
    }
}

impl Tags {
    fn add(&mut self, tag: &str, key: &Key) {
        let is_new = match self.keys.get_mut(tag) {
            Some(keys) => keys.insert(key.clone()),
            None => self.keys.insert(tag.into(), HashSet::from([key.clone()])).is_none(),
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
                more.remove();
            }
            return;
        }
        let Some(keys) = self.keys.get_mut(tag) else { return };
        keys.remove(key);
        if keys.is_empty() {
            self.keys.remove(tag);
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
