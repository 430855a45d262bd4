//! Entries that replace others, removals, walks, erasing.

use std::ops::ControlFlow;

use super::*;
use crate::segments::{EraseReport, RecordFate};

#[test]
fn a_verification_reads_everything_and_tells_what_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(&folder);
    let whole = bytes(5, 100_000);
    let places: Vec<RecordPlace> = [b"a", b"b", b"c"]
        .iter()
        .map(|key| store.append(&entry(*key, b"", &[&whole])).unwrap())
        .collect();
    let file = OpenOptions::new()
        .write(true)
        .open(&files(&folder)[0])
        .unwrap();
    file.write_all_at(b"\0x", u64::from(places[1].offset) + 90_000)
        .unwrap();
    let (mut sound, mut damaged) = (Vec::new(), Vec::new());
    let verified = store.verify(drop, |place, read| match read {
        Ok(record) => sound.push(record.key().to_vec()),
        Err(error) => damaged.push((place, error.to_string())),
    });
    verified.unwrap();
    assert_eq!(sound, [b"a", b"c"]);
    assert_eq!(damaged, [(places[1], "it is damaged".to_owned())]);
}

fn of_kind<'a>(kind: RecordKind, key: &'a [u8], content: &'a [&'a [u8]]) -> NewRecord<'a> {
    NewRecord {
        kind,
        ..entry(key, b"head", content)
    }
}

#[test]
fn replaced_and_removed_records_stay_away_after_a_start() {
    for is_closed in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = open(&folder);
        store.append(&entry(b"a", b"", &[b"old"])).unwrap();
        store.append(&entry(b"b", b"", &[b"old"])).unwrap();
        store
            .append(&of_kind(RecordKind::Sole, b"a", &[b"new"]))
            .unwrap();
        store
            .append(&of_kind(RecordKind::Removal, b"b", &[]))
            .unwrap();
        store.append(&entry(b"c", b"", &[b"one"])).unwrap();
        store.append(&entry(b"c", b"", &[b"two"])).unwrap();
        for is_new in [false, true] {
            let store = match is_new {
                true => {
                    if is_closed {
                        store.close().unwrap();
                    }
                    SegmentStore::look_at(&settings(&folder).path).unwrap().0
                }
                false => SegmentStore::look_at(&settings(&folder).path).unwrap().0,
            };
            let found = |key: &[u8]| store.find(store.hash(key)).len();
            assert_eq!((found(b"a"), found(b"b"), found(b"c")), (1, 0, 2));
            assert_eq!(content(&store, b"a"), Some(b"new".to_vec()));
        }
        let found = |key: &[u8]| store.find(store.hash(key)).len();
        assert_eq!((found(b"a"), found(b"b"), found(b"c")), (1, 0, 2));
    }
}

#[test]
fn a_folder_that_is_looked_at_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(&folder);
    store.append(&entry(b"key", b"", &[b"content"])).unwrap();
    let before = fs::read(&files(&folder)[0]).unwrap();
    // Beside the store that has it.
    let path = settings(&folder).path;
    let (looked, report) = SegmentStore::look_at(&path).unwrap();
    assert_eq!((report.records, report.searched), (1, 1));
    assert_eq!(content(&looked, b"key"), Some(b"content".to_vec()));
    assert!(looked.append(&entry(b"key", b"", &[])).is_err());
    assert_eq!(fs::read(&files(&folder)[0]).unwrap(), before);
    assert!(SegmentStore::look_at(&path.join("none")).is_err());
}

/// Whether these bytes are somewhere in the segments.
fn is_on_disk(folder: &tempfile::TempDir, bytes: &[u8]) -> bool {
    let has = |file: &PathBuf| {
        let written = fs::read(file).unwrap();
        written.windows(bytes.len()).any(|window| window == bytes)
    };
    files(folder).iter().any(has)
}

#[test]
fn what_is_erased_is_on_the_disk_no_more_and_the_rest_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(&folder);
    let secret = b"a secret that must go".repeat(10);
    let keep = b"what may stay here....".repeat(10);
    store.append(&entry(b"gone", b"", &[&secret])).unwrap();
    let kept = store.append(&entry(b"kept", b"", &[&keep])).unwrap();
    // A new head for content of an older record that is purged by itself.
    let base = store.append(&entry(b"base", b"old", &[&keep])).unwrap();
    let base = store.read(b"base", base, ReadMode::Wait).unwrap();
    let shared = NewRecord {
        extents: &base.extents(),
        ..entry(b"base", b"new", &[])
    };
    store.append(&shared).unwrap();
    // Content in parts, whose entry is purged.
    let part = [&secret[..]];
    let extent = store
        .append_extent(&of_kind(RecordKind::Extent, b"", &part))
        .unwrap();
    store
        .append(&NewRecord {
            extents: &[extent],
            ..entry(b"parts", b"", &[])
        })
        .unwrap();
    for number in 0..60 {
        let filler = bytes(number, 8_000);
        store.append(&entry(b"filler", b"", &[&filler])).unwrap();
    }
    let is_gone = |record: &StoredRecord| {
        let is_gone = matches!(record.key(), b"gone" | b"parts") || record.head() == b"old";
        if is_gone {
            RecordFate::Goes
        } else {
            RecordFate::Stays
        }
    };
    assert!(is_on_disk(&folder, &secret[..40]));
    let mut told = 0;
    let broken_off = store
        .erase(is_gone, RecordFate::Goes, |_| ControlFlow::Break(()))
        .unwrap();
    assert_eq!(broken_off, EraseReport::default());
    let report = store
        .erase(is_gone, RecordFate::Goes, |_| {
            told += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(report.records, 3, "the record of the shared content stays");
    assert!(told >= 4 && report.bytes > 2 * secret.len() as u64);
    assert!(!is_on_disk(&folder, &secret[..20]));
    for store in [store, {
        let (store, report) = SegmentStore::look_at(&settings(&folder).path).unwrap();
        assert_eq!(report.foreign, Vec::<PathBuf>::new());
        store
    }] {
        assert_eq!(content(&store, b"gone"), None);
        assert_eq!(content(&store, b"parts"), None);
        assert_eq!(content(&store, b"kept"), Some(keep.clone()));
        assert_eq!(content(&store, b"base"), Some(keep.clone()));
        let mut damaged = 0;
        let each = |_, read: Result<&StoredRecord, _>| damaged += usize::from(read.is_err());
        store.verify(drop, each).unwrap();
        assert_eq!(damaged, 0, "what was erased isn't damage");
    }
    // A segment without a footer is searched past what was erased.
    let file = OpenOptions::new()
        .write(true)
        .open(&files(&folder)[0])
        .unwrap();
    let end = file.metadata().unwrap().len();
    file.set_len(end - 1).unwrap();
    let (store, report) = open_copy(&folder);
    assert!(report.searched >= 1, "{report:?}");
    assert_eq!(content(&store, b"kept"), Some(keep.clone()));
    assert_eq!(store.find(store.hash(b"kept")), [kept]);
    let report = store
        .erase(is_gone, RecordFate::Goes, |_| ControlFlow::Continue(()))
        .unwrap();
    assert_eq!((report.records, report.is_complete), (0, true), "not twice");
}

/// Opens a copy of the folder, whose store is still open.
fn open_copy(folder: &tempfile::TempDir) -> (SegmentStore, OpenReport) {
    let copy = tempfile::tempdir().unwrap().keep();
    for file in fs::read_dir(settings(folder).path).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    SegmentStore::open(SegmentSettings {
        path: copy,
        ..settings(folder)
    })
    .unwrap()
}

#[test]
fn many_entries_are_indexed_in_their_order() {
    let hash = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let of = |segment: u32, kind: fn(u64) -> RecordKind| {
        let entry = |number: u64| FooterEntry {
            kind: kind(number),
            hash: hash(number),
            offset: 64,
            length: 128,
        };
        let entries: Vec<FooterEntry> = (0..FEW_RECORDS as u64).map(entry).collect();
        ListedSegment::new(segment, &entries)
    };
    let later = |number: u64| match number % 3 {
        0 => RecordKind::Entry,
        1 => RecordKind::Sole,
        _ => RecordKind::Removal,
    };
    let listed = [of(1, |_| RecordKind::Sole), of(2, later)];
    let index = index_of(&listed);
    for number in 0..FEW_RECORDS as u64 {
        let found = index.find(hash(number)).into_iter();
        let segments: Vec<u32> = found.map(|place| place.segment).collect();
        let expected: &[u32] = match number % 3 {
            0 => &[2, 1],
            1 => &[2],
            _ => &[],
        };
        assert_eq!(segments, expected, "{number}");
    }
}

#[test]
fn what_several_threads_make_has_the_order_of_what_it_is_made_of() {
    let things: Vec<usize> = (0..500).collect();
    for threads in [1, 4] {
        let made = in_parallel(&things, threads, |thing| thing * 2);
        assert!(made.into_iter().eq((0..500).map(|thing| thing * 2)));
    }
    assert!(in_parallel(&[0; 0], 4, |thing| *thing).is_empty());
}
