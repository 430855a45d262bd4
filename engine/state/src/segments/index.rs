//! The index of all records: in memory, by the hash of their keys.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;

use super::layout::{ALIGNMENT, RecordKind};

/// Parts of the index, each with a lock of its own: a part that grows holds up few look-ups.
pub(super) const INDEX_PARTS: usize = 64;
/// The most records that are kept for one hash; the oldest go. They are variants of one key.
pub(super) const MAX_PER_HASH: usize = 64;

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordPlace {
    /// The number of its segment.
    pub segment: u32,
    /// Where it begins in the segment, in bytes.
    pub offset: u32,
    /// Its length, in bytes.
    pub length: u32,
}

/// An entry. Its numbers are cut so that it takes 20 bytes: offset and length count in steps of
/// [`ALIGNMENT`], and the hash is in two halves.
#[derive(Clone, Copy, Debug)]
struct IndexEntry {
    hash: [u32; 2],
    segment: u32,
    offset: u32,
    length: u32,
}

impl IndexEntry {
    fn new(hash: u64, place: RecordPlace) -> IndexEntry {
        IndexEntry {
            hash: [(hash >> 32) as u32, hash as u32],
            segment: place.segment,
            offset: place.offset / ALIGNMENT as u32,
            length: place.length / ALIGNMENT as u32,
        }
    }

    fn hash(&self) -> u64 {
        u64::from(self.hash[0]) << 32 | u64::from(self.hash[1])
    }

    fn place(&self) -> RecordPlace {
        RecordPlace {
            segment: self.segment,
            offset: self.offset * ALIGNMENT as u32,
            length: self.length * ALIGNMENT as u32,
        }
    }
}

/// The index.
#[derive(Debug)]
pub(super) struct RecordIndex {
    parts: Vec<Mutex<HashTable<IndexEntry>>>,
}

impl RecordIndex {
    /// An empty index with room for so many records.
    pub(super) fn with_capacity(records: usize) -> RecordIndex {
        // Hashes spread unevenly: an eighth more, so that hardly any part grows.
        let each = records.div_ceil(INDEX_PARTS) * 9 / 8;
        let part = |_| Mutex::new(HashTable::with_capacity(each));
        RecordIndex {
            parts: (0..INDEX_PARTS).map(part).collect(),
        }
    }

    /// The records that may have a key with this hash, the newest first.
    pub(super) fn find(&self, hash: u64) -> Vec<RecordPlace> {
        let part = self.part(hash);
        let found = part.iter_hash(hash).filter(|entry| entry.hash() == hash);
        let mut places: Vec<RecordPlace> = found.map(IndexEntry::place).collect();
        drop(part);
        places.sort_unstable_by(|a, b| b.cmp(a));
        places
    }

    /// Whether a record may have a key with this hash.
    pub(super) fn may_have(&self, hash: u64) -> bool {
        let part = self.part(hash);
        part.find(hash, |entry| entry.hash() == hash).is_some()
    }

    /// Has it know a record, which may end earlier ones of its hash. If there are too many of its hash, the
    /// oldest goes.
    pub(super) fn put(&self, kind: RecordKind, hash: u64, place: RecordPlace) {
        put(&mut self.part(hash), kind, hash, place);
    }

    /// The same for records of one part, the oldest first.
    pub(super) fn fill_part(
        &self,
        part: usize,
        records: impl Iterator<Item = (RecordKind, u64, RecordPlace)>,
    ) {
        let mut part = lock(&self.parts[part]);
        records.for_each(|(kind, hash, place)| put(&mut part, kind, hash, place));
    }

    /// Removes records of a hash, all at once: no look-up finds one of them without the others. Returns how
    /// many were there.
    pub(super) fn remove(&self, hash: u64, places: &[RecordPlace]) -> usize {
        let mut part = self.part(hash);
        let removed = places
            .iter()
            .filter(|place| remove(&mut part, hash, **place));
        removed.count()
    }

    /// Removes a record unless older ones of its hash are found: those would be taken for the newest.
    pub(super) fn remove_if_oldest(&self, hash: u64, place: RecordPlace) {
        let mut part = self.part(hash);
        let mut same = part.iter_hash(hash).filter(|entry| entry.hash() == hash);
        if same.all(|entry| entry.place() >= place) {
            remove(&mut part, hash, place);
        }
    }

    /// Removes all records of a hash. Returns how many those were.
    pub(super) fn remove_all(&self, hash: u64) -> usize {
        remove_all(&mut self.part(hash), hash)
    }

    /// Whether a record at this place may have a key with this hash.
    pub(super) fn has(&self, hash: u64, place: RecordPlace) -> bool {
        let part = self.part(hash);
        let is_it = |entry: &IndexEntry| entry.hash() == hash && entry.place() == place;
        part.find(hash, is_it).is_some()
    }

    /// Removes the records of all segments before this one.
    pub(super) fn remove_before(&self, segment: u32) {
        for part in &self.parts {
            lock(part).retain(|entry| entry.segment >= segment);
        }
    }

    /// The number of records.
    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(|part| lock(part).len()).sum()
    }

    /// The memory that it takes, in bytes.
    pub(super) fn memory(&self) -> usize {
        let of = |part: &Mutex<HashTable<IndexEntry>>| lock(part).allocation_size();
        self.parts.iter().map(of).sum()
    }

    /// The number of the part that has a hash.
    pub(super) fn part_of(hash: u64) -> usize {
        // The table takes its place from the low bits and its tag from the high ones.
        (hash >> 40) as usize % INDEX_PARTS
    }

    fn part(&self, hash: u64) -> MutexGuard<'_, HashTable<IndexEntry>> {
        lock(&self.parts[RecordIndex::part_of(hash)])
    }
}

fn put(part: &mut HashTable<IndexEntry>, kind: RecordKind, hash: u64, place: RecordPlace) {
    if kind.ends_earlier() {
        remove_all(part, hash);
    }
    if !kind.is_found() {
        return;
    }
    let same = part.iter_hash(hash).filter(|entry| entry.hash() == hash);
    let (mut count, mut oldest) = (0, None::<RecordPlace>);
    for place in same.map(IndexEntry::place) {
        count += 1;
        oldest = Some(oldest.map_or(place, |oldest| oldest.min(place)));
    }
    if count >= MAX_PER_HASH
        && let Some(oldest) = oldest
    {
        remove(part, hash, oldest);
    }
    part.insert_unique(hash, IndexEntry::new(hash, place), IndexEntry::hash);
}

fn remove_all(part: &mut HashTable<IndexEntry>, hash: u64) -> usize {
    let is_it = |entry: &IndexEntry| entry.hash() == hash;
    let mut removed = 0;
    while let Ok(entry) = part.find_entry(hash, is_it) {
        entry.remove();
        removed += 1;
    }
    removed
}

fn remove(part: &mut HashTable<IndexEntry>, hash: u64, place: RecordPlace) -> bool {
    let is_it = |entry: &IndexEntry| entry.hash() == hash && entry.place() == place;
    match part.find_entry(hash, is_it) {
        Ok(entry) => {
            entry.remove();
            true
        }
        Err(_) => false,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(segment: u32, offset: u32) -> RecordPlace {
        RecordPlace {
            segment,
            offset,
            length: 128,
        }
    }

    #[test]
    fn records_of_a_hash_are_found_newest_first_and_the_oldest_of_too_many_go() {
        let index = RecordIndex::with_capacity(0);
        for number in 0..MAX_PER_HASH as u32 + 3 {
            index.put(
                RecordKind::Entry,
                7,
                place(number / 10, 64 + number % 10 * 128),
            );
        }
        index.put(RecordKind::Entry, 7 + (1 << 33), place(0, 64));
        let found = index.find(7);
        assert_eq!(found.len(), MAX_PER_HASH);
        assert!(found.is_sorted_by(|newer, older| newer > older));
        assert_eq!(found.last(), Some(&place(0, 64 + 3 * 128)));
        assert!(index.may_have(7) && !index.may_have(8));
    }

    #[test]
    fn removed_records_and_those_of_removed_segments_are_gone() {
        let index = RecordIndex::with_capacity(10);
        (0..6).for_each(|segment| {
            index.put(
                RecordKind::Entry,
                u64::from(segment % 2),
                place(segment, 64),
            )
        });
        let newest = [place(5, 64), place(7, 64)];
        assert_eq!((index.remove(1, &newest), index.remove(1, &newest)), (1, 0));
        index.remove_before(2);
        assert_eq!(index.find(0), [place(4, 64), place(2, 64)]);
        assert_eq!((index.find(1), index.len()), (vec![place(3, 64)], 3));
        assert!(index.has(0, place(2, 64)) && !index.has(1, place(2, 64)));
        assert_eq!((index.remove_all(0), index.remove_all(0)), (2, 0));
        assert_eq!(index.len(), 1);
    }

    #[test]
    fn a_record_takes_at_most_48_bytes() {
        for records in [100_000_u64, 1_000_000] {
            for index in [
                RecordIndex::with_capacity(0),
                RecordIndex::with_capacity(records as usize),
            ] {
                for number in 0..records {
                    // Like a hash.
                    let hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
                        ^ number.wrapping_mul(0xd134_2543_de82_ef95);
                    index.put(RecordKind::Entry, hash, place(1, 64));
                }
                assert_eq!(index.len() as u64, records);
                let each = index.memory() as f64 / records as f64;
                assert!(each <= 48.0, "{each}");
            }
        }
    }
}
