//! Damage, power failures, full disks: records may be lost, and are never wrong.

use std::ops::ControlFlow;

use super::*;
use crate::segments::shim::ShimDisk;
use crate::segments::{EraseReport, RecordFate};

/// Cases of each kind of damage.
const CASES: usize = 10_000;

/// Numbers that look random, the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        ((self.0 >> 33) as usize) % bound.max(1)
    }
}

/// A store with its segments in the shim. Lock and secret lie in a folder.
fn open_on(disk: &ShimDisk, folder: &tempfile::TempDir) -> (SegmentStore, OpenReport) {
    let settings = SegmentSettings {
        files: Arc::new(disk.clone()),
        ..settings(folder)
    };
    SegmentStore::open(settings).unwrap()
}

const KEYS: u8 = 24;

fn expected(key: u8) -> Vec<u8> {
    // One has several pieces.
    let length = if key == 3 {
        70_000
    } else {
        usize::from(key) * 60
    };
    bytes(usize::from(key), length)
}

/// Two segments, the first one sealed.
fn written(folder: &tempfile::TempDir) -> ShimDisk {
    let disk = ShimDisk::default();
    let (store, _) = open_on(&disk, folder);
    for key in 0..KEYS {
        if key == KEYS / 2 {
            store.close().unwrap();
        }
        let whole = expected(key);
        store.append(&entry(&[key], b"head", &[&whole])).unwrap();
    }
    disk
}

/// How many records are lost; none may be wrong.
fn lost(disk: &ShimDisk, folder: &tempfile::TempDir) -> usize {
    let (store, _) = open_on(disk, folder);
    let mut lost = 0;
    for key in 0..KEYS {
        match content_as_read(&store, &[key], key % 2 == 0) {
            Some(found) => assert!(found == expected(key), "a wrong record"),
            None => lost += 1,
        }
    }
    lost
}

#[test]
fn ten_thousand_flipped_bits_lose_at_most_two_records_each() {
    let folder = tempfile::tempdir().unwrap();
    let disk = written(&folder);
    assert_eq!(lost(&disk, &folder), 0);
    let (paths, mut dice) = (disk.paths(), Dice(1));
    assert_eq!(paths.len(), 2);
    for case in 0..CASES {
        let damaged = disk.copy();
        let flips = 1 + case % 3;
        for _ in 0..flips {
            let path = &paths[dice.below(paths.len())];
            let mut written = damaged.bytes(path);
            // Half of them where few bytes decide much: in the first records.
            let bound = if case % 2 == 0 { written.len() } else { 2_000 };
            let at = dice.below(bound.min(written.len()));
            written[at] ^= 1 << dice.below(8);
            damaged.put(path, written);
        }
        let lost = lost(&damaged, &folder);
        assert!(lost <= 2 * flips, "{lost} lost by {flips} in case {case}");
    }
}

#[test]
fn ten_thousand_truncations_keep_what_is_before() {
    let folder = tempfile::tempdir().unwrap();
    let disk = written(&folder);
    let (paths, mut dice) = (disk.paths(), Dice(2));
    for case in 0..CASES {
        let damaged = disk.copy();
        let path = &paths[case % 2];
        let mut written = damaged.bytes(path);
        let whole = written.len();
        written.truncate(dice.below(whole));
        let cut = written.len();
        damaged.put(path, written);
        let lost = lost(&damaged, &folder);
        assert!(lost <= usize::from(KEYS) / 2, "{lost} of one segment");
        if cut + 100 > whole && case % 2 == 0 {
            assert_eq!(lost, 0, "only the footer");
        }
    }
}

/// What a key may have after a power failure: anything that was appended for it, the whole of it.
#[test]
fn torn_and_lost_writes_lose_records_and_never_change_them() {
    let mut dice = Dice(3);
    for case in 0..600 {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = ShimDisk::default();
        let mut appended: BTreeMap<u8, BTreeSet<Vec<u8>>> = BTreeMap::new();
        for round in 0..3 {
            let (store, _) = open_on(&disk, &folder);
            let mut synced: BTreeMap<u8, (RecordPlace, Vec<u8>)> = BTreeMap::new();
            for number in 0..dice.below(40) {
                let key = dice.below(8) as u8;
                let whole = bytes(case * 1_000 + round * 100 + number, dice.below(90_000));
                let kind = [RecordKind::Entry, RecordKind::Sole][dice.below(2)];
                let (own, content) = ([key], [&whole[..]]);
                let record = NewRecord {
                    kind,
                    ..entry(&own, b"", &content)
                };
                let place = store.append(&record).unwrap();
                appended.entry(key).or_default().insert(whole.clone());
                synced.insert(key, (place, whole));
                if dice.below(12) == 0 {
                    store.close().unwrap();
                } else if dice.below(30) > 0 {
                    continue;
                }
            }
            let is_closed = dice.below(2) == 0;
            if is_closed {
                store.close().unwrap();
            }
            // The size has pushed some out.
            synced.retain(|_, (place, _)| store.segment(place.segment).is_some());
            drop(store);
            disk = disk.after_power_failure(&mut |bound| dice.below(bound));
            let (store, _) = open_on(&disk, &folder);
            for key in 0..8 {
                let found = content_as_read(&store, &[key], key % 2 == 0);
                if let Some(found) = &found {
                    assert!(appended[&key].contains(found), "case {case}");
                }
                if is_closed && let Some((place, newest)) = synced.get(&key) {
                    assert!(
                        found.as_ref() == Some(newest),
                        "case {case} round {round} key {key} at {place:?}: found {:?} bytes at {:?}",
                        found.map(|found| found.len()),
                        store.find(store.hash(&[key]))
                    );
                }
            }
        }
    }
}

#[test]
fn a_full_disk_loses_its_oldest_records_and_takes_new_ones() {
    let folder = tempfile::tempdir().unwrap();
    let disk = ShimDisk::default();
    disk.set(|faults| faults.room = Some(u64::from(SEGMENT_BYTES) * 2));
    let (store, _) = open_on(&disk, &folder);
    for number in 0..200_usize {
        let (key, whole) = (number.to_le_bytes(), bytes(number, 10_000));
        store.append(&entry(&key, b"", &[&whole])).unwrap();
        assert!(content(&store, &key) == Some(whole));
    }
    assert!(store.usage().removed_for_full_disk > 2);
    assert_eq!(content(&store, &0_usize.to_le_bytes()), None);
    assert!(disk.size() <= u64::from(SEGMENT_BYTES) * 2);
    // Others take all of it.
    disk.set(|faults| faults.room = Some(0));
    let refused = store.append(&entry(b"last", b"", &[&bytes(1, 10_000)]));
    assert!(matches!(refused, Err(AppendError::Io(error)) if is_full(&error)));
    disk.set(|faults| faults.room = None);
    store.append(&entry(b"last", b"", &[b"again"])).unwrap();
    assert_eq!(content(&store, b"last"), Some(b"again".to_vec()));
}

/// Appends records of 10 kB, 25 to a segment.
fn append_many(store: &SegmentStore, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let (key, whole) = (number.to_le_bytes(), bytes(number, 10_000));
        store.append(&entry(&key, b"", &[&whole])).unwrap();
    }
}

#[test]
fn a_segment_that_cannot_be_removed_stays_in_use_until_it_can() {
    let (folder, disk) = (tempfile::tempdir().unwrap(), ShimDisk::default());
    let (store, _) = open_on(&disk, &folder);
    let (size, first) = (u64::from(SEGMENT_BYTES) * 4, 0_usize.to_le_bytes());
    disk.set(|faults| faults.removals = Some(io::ErrorKind::Other));
    append_many(&store, 0..150);
    assert!(store.usage().bytes > size && disk.size() > size);
    assert_eq!(content(&store, &first), Some(bytes(0, 10_000)));
    disk.set(|faults| *faults = Default::default());
    append_many(&store, 150..200);
    assert!(store.usage().bytes <= size && disk.size() <= size);
    assert_eq!(content(&store, &first), None);
}

#[test]
fn records_are_read_while_a_segment_is_being_removed() {
    let (folder, disk) = (tempfile::tempdir().unwrap(), ShimDisk::default());
    let (store, _) = open_on(&disk, &folder);
    append_many(&store, 0..20);
    disk.set(|faults| faults.removals_hang = true);
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| append_many(&store, 20..150));
        disk.wait_until_hanging();
        scope.spawn(|| done.send(content(&store, &0_usize.to_le_bytes())));
        let read = is_done.recv_timeout(std::time::Duration::from_secs(20));
        disk.set(|faults| faults.removals_hang = false);
        assert_eq!(read, Ok(Some(bytes(0, 10_000))));
    });
}

#[test]
fn a_disk_that_fails_says_so_and_goes_on_when_it_works() {
    let folder = tempfile::tempdir().unwrap();
    let disk = ShimDisk::default();
    let (store, _) = open_on(&disk, &folder);
    let place = store.append(&entry(b"key", b"", &[b"content"])).unwrap();
    disk.set(|faults| {
        faults.writes = Some(io::ErrorKind::ReadOnlyFilesystem);
        faults.reads = Some(io::ErrorKind::Other);
    });
    assert!(matches!(
        store.append(&entry(b"more", b"", &[])),
        Err(AppendError::Io(_))
    ));
    let read = store.read(b"key", place, ReadMode::Wait);
    assert!(matches!(read, Err(ReadError::Io(_))));
    disk.set(|faults| *faults = Default::default());
    assert_eq!(content(&store, b"key"), Some(b"content".to_vec()));
    assert_eq!(content(&store, b"more"), None);
    store.append(&entry(b"more", b"", &[b"now"])).unwrap();
    assert_eq!(content(&store, b"more"), Some(b"now".to_vec()));
}

#[test]
fn a_cold_read_says_that_it_would_wait() {
    let folder = tempfile::tempdir().unwrap();
    let disk = ShimDisk::default();
    let (store, _) = open_on(&disk, &folder);
    let place = store.append(&entry(b"key", b"", &[b"content"])).unwrap();
    disk.set(|faults| faults.is_cold = true);
    let read = store.read(b"key", place, ReadMode::NoWait);
    assert!(matches!(read, Err(ReadError::WouldWait)));
    assert!(store.read(b"key", place, ReadMode::Wait).is_ok());
}

fn is_gone(record: &StoredRecord) -> RecordFate {
    match record.key() {
        b"gone" => RecordFate::Goes,
        _ => RecordFate::Stays,
    }
}

fn erase(store: &SegmentStore) -> io::Result<EraseReport> {
    store.erase(is_gone, RecordFate::Goes, |_| ControlFlow::Continue(()))
}

/// Whether these bytes are on a disk after the power has failed.
fn are_left(disk: &ShimDisk, bytes: &[u8]) -> bool {
    let after = disk.after_power_failure(&mut |_| 0);
    let has = |path: &PathBuf| {
        let written = after.bytes(path);
        written.windows(bytes.len()).any(|window| window == bytes)
    };
    after.paths().iter().any(has)
}

#[test]
fn what_a_sync_that_failed_has_not_erased_is_erased_by_the_next_one() {
    let secret = b"a secret that must go";
    for is_opened_again in [false, true] {
        let (folder, disk) = (tempfile::tempdir().unwrap(), ShimDisk::default());
        let (mut store, _) = open_on(&disk, &folder);
        store.append(&entry(b"gone", b"", &[secret])).unwrap();
        store.append(&entry(b"kept", b"", &[b"kept"])).unwrap();
        store.close().unwrap();
        disk.set(|faults| faults.syncs = Some(io::ErrorKind::Other));
        assert!(erase(&store).is_err());
        disk.set(|faults| *faults = Default::default());
        assert!(are_left(&disk, secret));
        if is_opened_again {
            drop(store);
            store = open_on(&disk, &folder).0;
        }
        let report = erase(&store).unwrap();
        assert_eq!((report.records, report.is_complete), (0, true));
        assert!(!are_left(&disk, secret));
        // Once is enough.
        disk.set(|faults| faults.file_writes = Some(io::ErrorKind::Other));
        assert!(erase(&store).unwrap().is_complete);
        assert_eq!(content(&store, b"kept"), Some(b"kept".to_vec()));
    }
}

#[test]
fn what_was_erased_before_the_start_is_not_erased_again_where_that_is_known() {
    let (folder, disk) = (tempfile::tempdir().unwrap(), ShimDisk::default());
    let (store, _) = open_on(&disk, &folder);
    store.append(&entry(b"gone", b"", &[b"content"])).unwrap();
    store.close().unwrap();
    assert_eq!(erase(&store).unwrap().records, 1);
    drop(store);
    let (store, _) = open_on(&disk, &folder);
    store.trust_erased();
    disk.set(|faults| faults.file_writes = Some(io::ErrorKind::Other));
    assert!(erase(&store).unwrap().is_complete);
}

#[test]
fn a_segment_that_was_removed_does_not_come_back_after_erasing() {
    let secret = b"a secret that must go";
    let (folder, disk) = (tempfile::tempdir().unwrap(), ShimDisk::default());
    let (store, _) = open_on(&disk, &folder);
    let place = store.append(&entry(b"gone", b"", &[secret])).unwrap();
    let filler = bytes(1, 50_000);
    while store.segment(place.segment).is_some() {
        store.append(&entry(b"filler", b"", &[&filler])).unwrap();
    }
    assert!(are_left(&disk, secret));
    disk.set(|faults| faults.folder_syncs = Some(io::ErrorKind::Other));
    assert!(erase(&store).is_err());
    disk.set(|faults| *faults = Default::default());
    assert!(erase(&store).unwrap().is_complete);
    assert!(!are_left(&disk, secret));
}

#[test]
fn removals_of_a_segment_that_cannot_be_sealed_are_told_once() {
    let (folder, disk) = (tempfile::tempdir().unwrap(), ShimDisk::default());
    let (store, _) = open_on(&disk, &folder);
    let removal = |key: &'static [u8]| NewRecord {
        kind: RecordKind::Removal,
        ..entry(key, b"", &[])
    };
    let told = || -> Vec<Vec<u8>> {
        let keys = store.take_unsealed_removals().into_iter();
        keys.map(Result::unwrap).collect()
    };
    store.append(&removal(b"sealed")).unwrap();
    store.close().unwrap();
    store.append(&entry(b"other", b"", &[])).unwrap();
    store.append(&removal(b"a")).unwrap();
    store.append(&removal(b"b")).unwrap();
    assert!(told().is_empty(), "the segment may be sealed still");
    disk.set(|faults| faults.syncs = Some(io::ErrorKind::Other));
    assert!(store.close().is_err());
    assert_eq!(told(), [b"a", b"b"]);
    assert!(told().is_empty());
}
