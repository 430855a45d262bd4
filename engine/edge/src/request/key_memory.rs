//! What is remembered of keys beside their responses, in bounded memory: the least recently used are
//! forgotten first.

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::store::Key;

/// Bytes of keys that are remembered, at most.
const MAX_BYTES: u64 = 8 * 1024 * 1024;
/// What an entry costs beside its key and its value, in bytes.
const OVERHEAD_BYTES: usize = 142;

/// A memory of a `V` for some keys.
#[derive(Debug)]
pub(super) struct KeyMemory<V: Clone + Debug + Send + Sync + 'static> {
    values: Cache<Key, V, foldhash::quality::RandomState>,
    /// Whether anything was ever remembered: many edges never do, and need not look. Set before the
    /// first one can be found.
    had_any: AtomicBool,
}

impl<V: Clone + Debug + Send + Sync + 'static> KeyMemory<V> {
    /// An empty one.
    pub(super) fn new() -> KeyMemory<V> {
        let values = Cache::builder()
            .max_capacity(MAX_BYTES)
            .weigher(|key: &Key, _: &V| {
                let bytes = key.as_bytes().len() + size_of::<V>() + OVERHEAD_BYTES;
                u32::try_from(bytes).unwrap_or(u32::MAX)
            })
            .eviction_policy(EvictionPolicy::lru())
            .build_with_hasher(foldhash::quality::RandomState::default());
        KeyMemory {
            values,
            had_any: AtomicBool::new(false),
        }
    }

    /// Remembers a value for `key`.
    pub(super) fn remember(&self, key: &[u8], value: V) {
        self.had_any.store(true, Ordering::Release);
        self.values.insert(Key::new(key), value);
    }

    /// Forgets `key`.
    pub(super) fn forget(&self, key: &[u8]) {
        if self.had_any() {
            self.values.invalidate(key);
        }
    }

    /// Whether anything was ever remembered.
    #[inline]
    pub(super) fn had_any(&self) -> bool {
        self.had_any.load(Ordering::Acquire)
    }

    /// What is remembered for `key`.
    #[inline]
    pub(super) fn get(&self, key: &[u8]) -> Option<V> {
        if !self.had_any() {
            return None;
        }
        self.values.get(key)
    }
}
