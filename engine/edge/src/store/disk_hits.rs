//! Keys that a disk has answered lately. A response of a full memory goes back there when it is asked
//! for again before memory would have lost it: to put back all that disks answer would cost more
//! than to answer from them, and drive out what memory has.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::RandomState;

/// Keys that are remembered at least and at most, each by eight bytes.
const MIN_KEYS: u64 = 1 << 12;
const MAX_KEYS: u64 = 1 << 20;
/// One key is remembered for so many bytes of memory.
const BYTES_OF_KEY: u64 = 2 << 10;
/// Keys that share a place. The newest takes the room of the oldest.
const KEYS_OF_PLACE: usize = 4;
/// The unit in which answered bytes are remembered.
const UNIT: u64 = 4 << 10;

/// The keys.
#[derive(Debug)]
pub(super) struct DiskHits {
    /// For each key, its mark, and in the lower half how much had been answered by then, in units.
    places: Box<[[AtomicU64; KEYS_OF_PLACE]]>,
    hasher: RandomState,
    /// The bytes of all answers.
    answered: AtomicU64,
    /// The memory, in units.
    memory: u32,
}

impl DiskHits {
    /// For so many bytes of memory.
    pub(super) fn new(memory: u64) -> DiskHits {
        let keys = (memory / BYTES_OF_KEY).clamp(MIN_KEYS, MAX_KEYS) as usize;
        let places = keys.div_ceil(KEYS_OF_PLACE);
        DiskHits {
            places: (0..places).map(|_| Default::default()).collect(),
            hasher: RandomState::default(),
            answered: AtomicU64::new(0),
            memory: u32::try_from(memory / UNIT).unwrap_or(u32::MAX),
        }
    }

    /// Notes an answer of so many bytes. Returns whether it is the second one of its key within as many
    /// bytes of such answers as memory holds; then the key is forgotten.
    pub(super) fn is_second(&self, key: &[u8], bytes: u64) -> bool {
        let now = (self.answered.fetch_add(bytes, Ordering::Relaxed) / UNIT) as u32;
        let hash = self.hasher.hash_one(key);
        // A mark is never the 0 of an empty slot.
        let mark = (hash >> 32) as u32 | 1;
        let place = &self.places[hash as u32 as usize % self.places.len()];
        let mut newest = u64::from(mark) << 32 | u64::from(now);
        for slot in place {
            let held = slot.load(Ordering::Relaxed);
            if (held >> 32) as u32 == mark {
                let is_soon = now.wrapping_sub(held as u32) <= self.memory;
                slot.store(if is_soon { 0 } else { newest }, Ordering::Relaxed);
                return is_soon;
            }
        }
        // Two threads that note keys of one place at once may lose one of them.
        for slot in place {
            newest = slot.swap(newest, Ordering::Relaxed);
            if newest == 0 {
                break;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> [u8; 8] {
        number.to_be_bytes()
    }

    #[test]
    fn every_second_answer_of_a_key_is_told() {
        let hits = DiskHits::new(1 << 20);
        let told: Vec<bool> = (0..5).map(|_| hits.is_second(b"key", 1_000)).collect();
        assert_eq!(told, [false, true, false, true, false]);
        assert!(!hits.is_second(b"other", 1_000));
    }

    #[test]
    fn what_comes_again_after_more_than_memory_holds_is_not_told() {
        let (memory, each) = (64 << 20, 100 << 10);
        for (others, is_told) in [(600, true), (700, false)] {
            let hits = DiskHits::new(memory);
            assert!(!hits.is_second(b"key", each));
            let told = (0..others).filter(|number| hits.is_second(&key(*number), each));
            assert_eq!(told.count(), 0);
            assert_eq!(hits.is_second(b"key", each), is_told, "{others}");
            // An answer that came too late is the first one of the next.
            assert_eq!(hits.is_second(b"key", each), !is_told, "{others}");
        }
    }

    #[test]
    fn the_keys_are_bounded_and_the_oldest_of_a_place_go() {
        let hits = DiskHits::new(0);
        let all = 64 * MIN_KEYS;
        (0..all).for_each(|number| assert!(!hits.is_second(&key(number), 0)));
        let told = (0..all).filter(|number| hits.is_second(&key(*number), 0));
        assert!((told.count() as u64) <= MIN_KEYS);
        let keys = |memory| DiskHits::new(memory).places.len() * KEYS_OF_PLACE;
        assert_eq!(keys(u64::MAX) as u64, MAX_KEYS);
    }
}
