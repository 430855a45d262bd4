//! Keys that left memory without a use: what is fetched again soon was asked for twice, though memory
//! had no room for it.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, Ordering};

use foldhash::quality::RandomState;

/// Keys that are remembered at most, each by four bytes: a power of two.
const SLOTS: usize = 1 << 16;

/// The keys. A later one may take the place of an earlier one.
#[derive(Debug)]
pub(super) struct RecentKeys {
    slots: Box<[AtomicU32]>,
    hasher: RandomState,
}

impl RecentKeys {
    pub(super) fn new() -> RecentKeys {
        RecentKeys {
            slots: (0..SLOTS).map(|_| AtomicU32::new(0)).collect(),
            hasher: RandomState::default(),
        }
    }

    pub(super) fn remember(&self, key: &[u8]) {
        let (slot, mark) = self.place(key);
        slot.store(mark, Ordering::Relaxed);
    }

    /// Whether a key is remembered. Once in two billion, another key is taken for it.
    pub(super) fn has(&self, key: &[u8]) -> bool {
        let (slot, mark) = self.place(key);
        slot.load(Ordering::Relaxed) == mark
    }

    fn place(&self, key: &[u8]) -> (&AtomicU32, u32) {
        let hash = self.hasher.hash_one(key);
        // A mark is never the 0 of an empty slot.
        (&self.slots[hash as usize % SLOTS], (hash >> 32) as u32 | 1)
    }
}
