use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;

use proptest::prelude::*;

use super::*;
use crate::segments::ContentInBuffer;
use crate::segments::folder::number_of;
use crate::segments::layout::{
    CHECKSUM_BYTES, MAX_EXTENTS, MAX_HEAD_BYTES, MAX_KEY_BYTES, RECORD_MAGIC, RecordHeader,
};

mod damage;
mod measure;
mod upkeep;

const SEGMENT_BYTES: u32 = 256 << 10;

fn settings(folder: &tempfile::TempDir) -> SegmentSettings {
    SegmentSettings {
        path: folder.path().join("disk"),
        size: u64::from(SEGMENT_BYTES) * 4,
        segment_bytes: SEGMENT_BYTES,
        files: Arc::new(SystemFiles),
    }
}

fn open(folder: &tempfile::TempDir) -> (SegmentStore, OpenReport) {
    SegmentStore::open(settings(folder)).unwrap()
}

fn entry<'a>(key: &'a [u8], head: &'a [u8], content: &'a [&'a [u8]]) -> NewRecord<'a> {
    NewRecord {
        kind: RecordKind::Entry,
        key,
        head,
        mark: [7; 16],
        content,
        extents: &[],
    }
}

/// The content of the newest record of a key; `None` if it isn't found or can't be read.
fn content(store: &SegmentStore, key: &[u8]) -> Option<Vec<u8>> {
    let content = content_as_read(store, key, false);
    assert_eq!(content_as_read(store, key, true), content);
    content
}

/// The same, read with the head at once, or by pieces.
fn content_as_read(store: &SegmentStore, key: &[u8], at_once: bool) -> Option<Vec<u8>> {
    let wait = ReadMode::Wait;
    let by_pieces = |record: StoredRecord| {
        let pieces = (0..record.pieces()).map(|piece| record.piece(piece, wait));
        Some(pieces.collect::<Result<Vec<_>, _>>().ok()?.concat())
    };
    let mut places = store.find(store.hash(key)).into_iter();
    places.find_map(|place| {
        if !at_once {
            return by_pieces(store.read(key, place, wait).ok()?);
        }
        let record = store.read_with_content(key, place, wait, u64::MAX).ok()?;
        match record.into_content().ok()? {
            Ok(ContentInBuffer { buffer, pieces }) => {
                let pieces = pieces.iter().map(|place| &buffer[place.clone()]);
                Some(pieces.collect::<Vec<_>>().concat())
            }
            Err(record) => {
                assert!(record.header.extents > 0 || record.content_len() > 300 << 10);
                by_pieces(record)
            }
        }
    })
}

/// Bytes that differ everywhere.
fn bytes(seed: usize, length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| (seed.wrapping_mul(31) ^ at.wrapping_mul(2_654_435_761) >> 7) as u8)
        .collect()
}

fn files(folder: &tempfile::TempDir) -> Vec<PathBuf> {
    let files = fs::read_dir(folder.path().join("disk")).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|file| number_of(file).is_some());
    files.sort();
    files
}

#[test]
fn what_was_appended_is_found_now_and_after_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let lengths = [0, 1, 65_535, 65_536, 65_537, 150_000];
    for is_closed in [true, false] {
        let (store, _) = open(&folder);
        for length in lengths {
            let whole = bytes(length, length);
            let (first, rest) = whole.split_at(length / 3);
            let key = format!("{is_closed} {length}");
            let content = [first, &[], rest];
            let place = store
                .append(&entry(key.as_bytes(), b"head", &content))
                .unwrap();
            let record = store.read(key.as_bytes(), place, ReadMode::Wait).unwrap();
            assert_eq!((record.head(), record.header.mark), (&b"head"[..], [7; 16]));
            assert_eq!(record.content_len(), length as u64);
        }
        if is_closed {
            store.close().unwrap();
        }
        drop(store);
        let (store, report) = open(&folder);
        // Of the segments of one round, only the newest isn't sealed.
        assert_eq!(report.searched, usize::from(!is_closed), "{report:?}");
        for length in lengths {
            let key = format!("{is_closed} {length}");
            assert_eq!(
                content(&store, key.as_bytes()),
                Some(bytes(length, length)),
                "{key}"
            );
        }
        assert_eq!(content(&store, b"other"), None);
        drop(store);
        let (_, report) = open(&folder);
        assert_eq!(report.searched, 0, "a search leaves a footer behind");
    }
}

#[test]
fn the_newest_record_of_a_key_comes_first_and_a_forgotten_one_is_not_found() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(&folder);
    let old = store.append(&entry(b"key", b"old", &[b"a"])).unwrap();
    let new = store.append(&entry(b"key", b"new", &[b"b"])).unwrap();
    let hash = store.hash(b"key");
    assert!(store.may_have(hash) && !store.may_have(store.hash(b"other")));
    assert_eq!(store.find(hash), [new, old]);
    assert_eq!(
        (store.forget(hash, &[new]), store.forget(hash, &[new])),
        (1, 0)
    );
    assert_eq!(content(&store, b"key"), Some(b"a".to_vec()));
}

#[test]
fn a_new_head_shares_the_content_of_an_old_record() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(&folder);
    let whole = bytes(1, 100_000);
    let old = store.append(&entry(b"key", b"old", &[&whole])).unwrap();
    let old = store.read(b"key", old, ReadMode::Wait).unwrap();
    let before = store.usage().bytes;
    let update = NewRecord {
        extents: &old.extents(),
        ..entry(b"key", b"new", &[])
    };
    let place = store.append(&update).unwrap();
    assert!(store.usage().bytes - before < 200);
    let new = store.read(b"key", place, ReadMode::Wait).unwrap();
    assert_eq!((new.head(), new.content_len()), (&b"new"[..], 100_000));
    // An update of the update names the content itself.
    let again = NewRecord {
        extents: &new.extents(),
        ..entry(b"key", b"newer", &[])
    };
    store.append(&again).unwrap();
    drop(store);
    assert_eq!(content(&open(&folder).0, b"key"), Some(whole));
}

#[test]
fn content_in_parts_is_one_and_gone_with_its_oldest_part() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(&folder);
    let parts: Vec<Vec<u8>> = [70_000, 1, 200_000]
        .map(|length| bytes(length, length))
        .to_vec();
    let mut extents = Vec::new();
    for part in &parts {
        let content = [&part[..]];
        let extent = NewRecord {
            kind: RecordKind::Extent,
            ..entry(b"", b"", &content)
        };
        extents.push(store.append_extent(&extent).unwrap());
    }
    store
        .append(&NewRecord {
            extents: &extents,
            ..entry(b"large", b"", &[])
        })
        .unwrap();
    assert_eq!(content(&store, b"large"), Some(parts.concat()));
    assert_eq!(content(&store, b""), None, "an extent is found by no key");
    // Others fill the store until the first part is removed.
    let mut number = 0;
    while store.segment(extents[0].segment as u32).is_some() {
        let key = format!("{number}");
        let filler = bytes(number, 50_000);
        store
            .append(&entry(key.as_bytes(), b"", &[&filler]))
            .unwrap();
        number += 1;
    }
    assert!(store.may_have(store.hash(b"large")));
    assert_eq!(content(&store, b"large"), None);
    let place = store.find(store.hash(b"large"))[0];
    let read = store.read(b"large", place, ReadMode::Wait);
    assert!(matches!(read, Err(ReadError::Gone)));
}

#[test]
fn a_full_store_loses_its_oldest_segment_and_stays_within_its_size() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(&folder);
    let whole = bytes(3, 10_000);
    for number in 0..500 {
        let key = format!("{number}");
        store
            .append(&entry(key.as_bytes(), b"", &[&whole]))
            .unwrap();
        let on_disk: u64 = files(&folder)
            .iter()
            .map(|file| fs::metadata(file).unwrap().len())
            .sum();
        assert!(on_disk <= settings(&folder).size, "{on_disk}");
        assert_eq!(content(&store, key.as_bytes()).as_ref(), Some(&whole));
    }
    assert_eq!(content(&store, b"0"), None);
    assert_eq!(store.usage().segments, files(&folder).len());
    let found =
        (0..500).filter(|number| store.may_have(store.hash(format!("{number}").as_bytes())));
    assert_eq!(found.count(), store.usage().records);
}

#[test]
fn what_is_read_slowly_stays_readable_and_keeps_no_more_than_a_share_of_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(&folder);
    let whole = bytes(3, 100_000);
    let append = |number: usize| {
        let key = number.to_le_bytes();
        let place = store.append(&entry(&key, b"", &[&whole])).unwrap();
        store.read(&key, place, ReadMode::Wait).unwrap()
    };
    let wait = ReadMode::Wait;
    let alone = append(0);
    (1..20).for_each(|number| drop(append(number)));
    assert!(store.segment(alone.place().segment).is_none());
    assert!(alone.piece(1, wait).is_ok(), "its client has time");
    let many: Vec<StoredRecord> = (20..60).map(append).collect();
    let is_removed = |record: &&StoredRecord| store.segment(record.place().segment).is_none();
    let removed: Vec<&StoredRecord> = many.iter().filter(is_removed).collect();
    let readable = removed
        .iter()
        .filter(|record| record.piece(1, wait).is_ok());
    let on_disk: u64 = open_segments(&folder).iter().sum();
    assert!(
        on_disk <= settings(&folder).size + u64::from(SEGMENT_BYTES),
        "{on_disk}"
    );
    assert!(removed.len() > 30 && (1..=4).contains(&readable.count()));
    assert!(matches!(alone.piece(1, wait), Err(ReadError::Damaged)));
}

/// The lengths of all segments that this process has open, those that were removed among them.
fn open_segments(folder: &tempfile::TempDir) -> Vec<u64> {
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let of_folder = open.filter(|open| {
        let path = fs::read_link(open.path()).unwrap_or_default();
        path.starts_with(folder.path()) && path.to_string_lossy().contains(".segment")
    });
    let lengths = of_folder.filter_map(|open| Some(fs::metadata(open.path()).ok()?.len()));
    lengths.collect()
}

#[test]
fn records_within_the_bounds_are_stored_and_others_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(&folder);
    let extent = Extent {
        segment: 1,
        offset: 64,
        content_len: 1,
    };
    let (key, head) = (vec![1; MAX_KEY_BYTES + 1], vec![2; MAX_HEAD_BYTES + 1]);
    let is_too_large =
        |record: &NewRecord<'_>| matches!(store.append(record), Err(AppendError::TooLarge));
    assert!(!is_too_large(&entry(&key[1..], b"", &[])));
    assert!(is_too_large(&entry(&key, b"", &[])));
    let with = |count: usize| vec![extent; count];
    let extents = with(MAX_EXTENTS);
    assert!(!is_too_large(&NewRecord {
        extents: &extents,
        ..entry(b"", b"", &[])
    }));
    let extents = with(MAX_EXTENTS + 1);
    assert!(is_too_large(&NewRecord {
        extents: &extents,
        ..entry(b"", b"", &[])
    }));
    assert!(is_too_large(&NewRecord {
        extents: &[extent],
        ..entry(b"", b"", &[b"content as well"])
    }));
    // The longest record that a segment holds.
    let frame = 2 * HEADER_BYTES + ENTRY_BYTES + TRAILER_BYTES + 4 * CHECKSUM_BYTES;
    let longest = vec![3; SEGMENT_BYTES as usize - frame];
    assert!(!is_too_large(&entry(b"", b"", &[&longest])));
    assert_eq!(content(&store, b""), Some(longest.clone()));
    assert!(is_too_large(&entry(b"", b"", &[&longest, &[3; 8]])));

    let large = tempfile::tempdir().unwrap();
    let (store, _) = SegmentStore::open(SegmentSettings {
        segment_bytes: 8 << 20,
        size: 64 << 20,
        ..settings(&large)
    })
    .unwrap();
    assert!(store.append(&entry(b"", &head[1..], &[])).is_ok());
    assert!(store.append(&entry(b"", &head, &[])).is_err());
}

#[test]
fn a_folder_belongs_to_one_store_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(&folder);
    let error = SegmentStore::open(settings(&folder)).unwrap_err();
    assert!(error.to_string().contains("in use by another"), "{error}");
    drop(first);
    open(&folder);
}

#[test]
fn segments_of_other_versions_and_stores_are_left_alone() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for folder in [&folder, &other] {
        let (store, _) = open(folder);
        store.append(&entry(b"key", b"", &[b"content"])).unwrap();
        store.close().unwrap();
    }
    let own = files(&folder)[0].clone();
    let foreign = path_of(own.parent().unwrap(), 0);
    fs::copy(&files(&other)[0], &foreign).unwrap();
    let future = path_of(own.parent().unwrap(), 8);
    let mut bytes = fs::read(&own).unwrap();
    bytes[8] = 2;
    // Sealed in a way that isn't known here.
    bytes[HEADER_BYTES - 1] ^= 1;
    fs::write(&future, &bytes).unwrap();
    let (store, report) = open(&folder);
    // A copy of another store's segment has another number in its header.
    assert_eq!(report.foreign, [foreign.clone(), future.clone()]);
    assert_eq!(content(&store, b"key"), Some(b"content".to_vec()));
    let place = store.append(&entry(b"new", b"", &[])).unwrap();
    assert_eq!(place.segment, 9, "a number that was never used");
    assert!(foreign.exists() && fs::read(&future).unwrap() == bytes);
}

#[test]
fn what_is_no_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(&folder);
    store.append(&entry(b"key", b"", &[b"content"])).unwrap();
    store.close().unwrap();
    drop(store);
    let path = |number| path_of(&settings(&folder).path, number);
    let other = folder.path().join("other");
    fs::write(&other, [7; 5_000]).unwrap();
    std::os::unix::fs::symlink(&other, path(5)).unwrap();
    std::os::unix::fs::symlink("nowhere", path(6)).unwrap();
    fs::create_dir(path(7)).unwrap();
    let foreign = [path(5), path(6), path(7)];
    let (_, report) = SegmentStore::look_at(&settings(&folder).path).unwrap();
    assert_eq!(report.foreign, foreign);
    let (store, report) = open(&folder);
    assert_eq!(report.foreign, foreign);
    assert_eq!(content(&store, b"key"), Some(b"content".to_vec()));
    assert_eq!(store.append(&entry(b"new", b"", &[])).unwrap().segment, 8);
    assert_eq!(
        fs::read(&other).unwrap(),
        [7; 5_000],
        "what a link leads to"
    );
}

#[test]
fn numbers_that_end_are_an_error_and_never_begin_again() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(&folder);
    store.append(&entry(b"key", b"", &[b"content"])).unwrap();
    drop(store);
    fs::create_dir(path_of(&settings(&folder).path, u32::MAX)).unwrap();
    let (store, _) = open(&folder);
    for _ in 0..2 {
        let error = store.append(&entry(b"new", b"", &[])).unwrap_err();
        assert!(error.to_string().contains("highest number"), "{error}");
    }
    assert_eq!(content(&store, b"key"), Some(b"content".to_vec()));
}

#[test]
fn segments_that_were_removed_by_hand_are_missed_only_by_their_records() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(&folder);
    let whole = bytes(3, 100_000);
    for key in [b"a", b"b", b"c", b"d", b"e"] {
        store.append(&entry(key, b"", &[&whole])).unwrap();
    }
    drop(store);
    fs::remove_file(&files(&folder)[0]).unwrap();
    let (store, report) = open(&folder);
    assert_eq!(report.segments, 2);
    assert_eq!((content(&store, b"a"), content(&store, b"b")), (None, None));
    assert_eq!(content(&store, b"e"), Some(whole));
}

#[test]
fn content_that_looks_like_a_record_is_not_taken_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(&folder);
    // Content with a whole record of another store, in which everything but the secret is right.
    let header = RecordHeader {
        kind: RecordKind::Entry,
        key_len: 6,
        head_len: 0,
        extents: 0,
        content_len: 0,
        mark: [0; 16],
        segment: 1,
        text_checksum: crc32c::crc32c(b"victim"),
    };
    let offset = (2 * HEADER_BYTES + 8) as u64;
    let forged = [
        &header.encode(&StoreSecret([0; 16]), offset)[..],
        b"victim\0\0",
    ]
    .concat();
    let real = store.append(&entry(b"attacker", b"", &[&forged])).unwrap();
    store.append(&entry(b"next", b"", &[b"sound"])).unwrap();
    drop(store);
    let file = &files(&folder)[0];
    let written = fs::read(file).unwrap();
    assert_eq!(written[offset as usize..][..8], RECORD_MAGIC);
    // The real header is damaged, so that the segment is searched through the content.
    let file = OpenOptions::new().write(true).open(file).unwrap();
    file.write_all_at(b"x", u64::from(real.offset)).unwrap();
    let (store, report) = open(&folder);
    assert_eq!((report.searched, report.records), (1, 1));
    assert_eq!(content(&store, b"victim"), None);
    assert_eq!(content(&store, b"next"), Some(b"sound".to_vec()));
}

#[test]
fn a_segment_that_is_cut_off_anywhere_keeps_the_records_before() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(&folder);
    let mut ends = Vec::new();
    for number in 0..4_usize {
        let whole = bytes(number, number * 10);
        let key = format!("{number}");
        let place = store
            .append(&entry(key.as_bytes(), b"h", &[&whole]))
            .unwrap();
        ends.push(u64::from(place.offset + place.length));
    }
    store.close().unwrap();
    drop(store);
    let path = files(&folder)[0].clone();
    let written = fs::read(&path).unwrap();
    for cut in 0..written.len() {
        fs::write(&path, &written[..cut]).unwrap();
        let (store, _) = open(&folder);
        for (number, end) in ends.iter().enumerate() {
            let expected = (*end <= cut as u64).then(|| bytes(number, number * 10));
            assert_eq!(
                content(&store, format!("{number}").as_bytes()),
                expected,
                "{cut}"
            );
        }
    }
}

#[test]
fn a_lost_secret_is_found_in_the_segments() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(&folder);
    store.append(&entry(b"key", b"", &[b"content"])).unwrap();
    drop(store);
    let secret = folder.path().join("disk/secret");
    let written = fs::read(&secret).unwrap();
    for damage in [
        |path: &Path| fs::remove_file(path),
        |path: &Path| fs::write(path, "?"),
    ] {
        damage(&secret).unwrap();
        let (store, report) = open(&folder);
        assert_eq!(report.foreign, Vec::<PathBuf>::new());
        assert_eq!(content(&store, b"key"), Some(b"content".to_vec()));
        assert_eq!(fs::read(&secret).unwrap(), written, "it is written again");
    }
}

#[test]
fn a_read_that_must_not_wait_gives_the_content_or_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(&folder);
    let whole = bytes(5, 100_000);
    let place = store.append(&entry(b"key", b"", &[&whole])).unwrap();
    match store.read(b"key", place, ReadMode::NoWait) {
        Ok(record) => {
            let pieces = (0..record.pieces()).map(|piece| record.piece(piece, ReadMode::NoWait));
            let read: Result<Vec<_>, _> = pieces.collect();
            match read {
                Ok(read) => assert_eq!(read.concat(), whole),
                Err(error) => assert!(matches!(error, ReadError::WouldWait)),
            }
        }
        Err(error) => assert!(matches!(error, ReadError::WouldWait), "{error}"),
    }
    assert!(store.may_have(store.hash(b"key")), "waiting loses nothing");
}

/// What happens to a store.
#[derive(Clone, Debug)]
enum Event {
    /// A record of one of a few keys is appended.
    Append { key: u8, length: usize },
    /// It is opened again, sealed or not.
    Reopen { is_closed: bool },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0_u8..12, 0_usize..90_000).prop_map(|(key, length)| Event::Append { key, length }),
        1 => any::<bool>().prop_map(|is_closed| Event::Reopen { is_closed }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A key's newest content, or nothing: the same as in a map, but for what the size has pushed out.
    #[test]
    fn a_store_is_a_map_that_forgets_the_oldest(events in prop::collection::vec(event(), 1..60)) {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(&folder).0;
        let mut expected: BTreeMap<u8, (RecordPlace, Vec<u8>)> = BTreeMap::new();
        for (number, event) in events.into_iter().enumerate() {
            match event {
                Event::Append { key, length } => {
                    let whole = bytes(number, length);
                    let place = store.append(&entry(&[key], b"", &[&whole])).unwrap();
                    expected.insert(key, (place, whole));
                }
                Event::Reopen { is_closed } => {
                    if is_closed {
                        store.close().unwrap();
                    }
                    drop(store);
                    store = open(&folder).0;
                }
            }
            for (key, (place, whole)) in &expected {
                let found = content(&store, &[*key]);
                let is_there = store.segment(place.segment).is_some();
                prop_assert_eq!(found, is_there.then(|| whole.clone()));
            }
        }
    }
}
