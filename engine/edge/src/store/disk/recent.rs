//! Keys that left memory without a use: what is fetched again soon was asked for twice, though memory
//! had no room for it.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, Ordering};

use foldhash::quality::RandomState;

/// Keys that are remembered at least and at most, each by four bytes.
const MIN_KEYS: u64 = 1 << 16;
const MAX_KEYS: u64 = 1 << 22;
/// One key is remembered for so many bytes of the disks.
const BYTES_OF_KEY: u64 = 8 << 10;
/// Keys that share a place. The newest takes the room of the oldest.
const KEYS_OF_PLACE: usize = 4;

/// The keys.
#[derive(Debug)]
pub(super) struct RecentKeys {
    places: Box<[[AtomicU32; KEYS_OF_PLACE]]>,
    hasher: RandomState,
}

impl RecentKeys {
    /// Room for as many keys as disks of `bytes` together may have.
    pub(super) fn new(bytes: u64) -> RecentKeys {
        let keys = (bytes / BYTES_OF_KEY).clamp(MIN_KEYS, MAX_KEYS);
        let keys = usize::try_from(keys).unwrap_or(usize::MAX);
        let places = keys.div_ceil(KEYS_OF_PLACE);
        RecentKeys {
            places: (0..places).map(|_| Default::default()).collect(),
            hasher: RandomState::default(),
        }
    }

    /// Two threads that remember keys of one place at once may lose one of them.
    pub(super) fn remember(&self, key: &[u8]) {
        let (place, mark) = self.place(key);
        let mut newest = mark;
        for slot in place {
            newest = slot.swap(newest, Ordering::Relaxed);
            if newest == mark || newest == 0 {
                return;
            }
        }
    }

    /// Whether a key is remembered. Once in half a billion, another key is taken for it.
    pub(super) fn has(&self, key: &[u8]) -> bool {
        let (place, mark) = self.place(key);
        let mut slots = place.iter();
        slots.any(|slot| slot.load(Ordering::Relaxed) == mark)
    }

    fn place(&self, key: &[u8]) -> (&[AtomicU32; KEYS_OF_PLACE], u32) {
        let hash = self.hasher.hash_one(key);
        // A mark is never the 0 of an empty slot.
        let mark = (hash >> 32) as u32 | 1;
        (&self.places[hash as u32 as usize % self.places.len()], mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> [u8; 8] {
        number.to_be_bytes()
    }

    #[test]
    fn nearly_all_of_half_as_many_keys_are_remembered_and_the_oldest_go_first() {
        let recent = RecentKeys::new(0);
        let half = MIN_KEYS / 2;
        let known = |keys: std::ops::Range<u64>| {
            let known = keys.filter(|number| recent.has(&key(*number)));
            known.count() as u64
        };
        for _ in 0..2 {
            (0..half).for_each(|number| recent.remember(&key(number)));
            assert!(known(0..half) > half * 95 / 100);
        }
        assert_eq!(known(half..2 * half), 0);
        (half..7 * half).for_each(|number| recent.remember(&key(number)));
        assert!(known(0..half) < half / 10);
        assert!(known(6 * half..7 * half) > half * 9 / 10);
    }

    #[test]
    fn larger_disks_have_more_keys_up_to_a_bound() {
        let keys = |bytes| RecentKeys::new(bytes).places.len() * KEYS_OF_PLACE;
        assert_eq!(keys(0), 65_536);
        assert_eq!(keys(4 << 30), 524_288);
        assert_eq!(keys(u64::MAX), 4_194_304);
    }
}
