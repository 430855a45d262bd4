//! The files of a disk. Whatever their bytes are, reading them ends, takes as much memory as they have
//! bytes, and gives what was written or nothing.
//!
//! The first byte says what the others are: the bytes of segments, of which seals and checksums may be
//! put right, so that they are read further; changes to segments that are sound; the head of a stored
//! response; or lines of purges.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tero_state::segments::files::{FileSystem, OpenFile};
use tero_state::segments::layout::{
    CHECKSUM_BYTES, ENTRY_BYTES, EXTENT_BYTES, Extent, HEADER_BYTES, MAX_HEAD_BYTES, PIECE_BYTES,
    RecordHeader, RecordKind, SegmentHeader, StoreSecret, TRAILER_BYTES,
};
use tero_state::segments::{ReadMode, SegmentStore, StoredRecord};

/// The bits of the first byte: the others are changes to sound segments.
const CHANGES: u8 = 1;
/// They are two segments.
const TWO: u8 = 2;
/// Headers and checksums of records are put right.
const SEALED: u8 = 4;
/// The last bytes of each segment are the entries of its footer.
const FOOTER: u8 = 8;
/// They are a head.
const HEAD: u8 = 16;
/// They are sectors of a file of purges. Their checksums are put right with [`SEALED`].
const PURGES: u8 = 32;

/// The bytes of a sector, and what the length of a file of purges is a multiple of.
const SECTOR: usize = 512;
const PURGES_BYTES: usize = 64 << 10;

const SECRET: StoreSecret = StoreSecret(*b"fuzzing's secret");
const RECORD_MAGIC: &[u8; 8] = b"\xf1TEROREC";
/// Pieces of a record that are read: its extents may name the same content a thousand times.
const MOST_PIECES: u64 = 64;

/// Reads the files of a disk.
pub fn disk(bytes: &[u8]) {
    let Some((how, bytes)) = bytes.split_first() else {
        return;
    };
    match how {
        how if how & CHANGES != 0 => changed(bytes),
        how if how & HEAD != 0 => tero_edge::store::disk::fuzzing::head(bytes),
        how if how & PURGES != 0 => {
            let path = PathBuf::from("purges");
            let bytes = purges(bytes, how & SEALED != 0);
            let files = MemoryFiles::of(BTreeMap::from([(path.clone(), bytes)]));
            tero_edge::store::disk::fuzzing::purges(&files, &path);
        }
        how => arbitrary(*how, bytes),
    }
}

/// A file of purges with these sectors.
fn purges(sectors: &[u8], is_put_right: bool) -> Vec<u8> {
    let mut file = b"TEROPURGES\n\0\0\0\0\x02".to_vec();
    file.extend_from_slice(&[7; 24]);
    file.extend_from_slice(&crc(0, &file).to_le_bytes());
    file.resize(SECTOR, 0);
    file.extend_from_slice(sectors);
    file.resize((file.len() + SECTOR).next_multiple_of(PURGES_BYTES), 0);
    let mut at = SECTOR;
    while is_put_right && at + 8 <= file.len() {
        let length = u32::from_le_bytes([file[at], file[at + 1], file[at + 2], file[at + 3]]);
        let text = at + 8..at + 8 + length as usize;
        if length == 0 || text.end > file.len() {
            at = (at + 1).next_multiple_of(SECTOR);
            continue;
        }
        let checksum = crc(crc(0, &file[at..at + 4]), &file[text.clone()]);
        file[at + 4..at + 8].copy_from_slice(&checksum.to_le_bytes());
        at = text.end;
    }
    file
}

/// Reads segments of these bytes.
fn arbitrary(how: u8, bytes: &[u8]) {
    let middle = if how & TWO != 0 { bytes.len() / 2 } else { 0 };
    let (first, second) = bytes.split_at(middle - middle % 8);
    let files = (1..).zip([second, first]).map(|(number, records)| {
        let mut segment = header(number);
        segment.extend_from_slice(records);
        if how & SEALED != 0 {
            put_right(&mut segment, number);
        }
        if how & FOOTER != 0 {
            add_footer(&mut segment);
        }
        (path_of(number), segment)
    });
    let Some(store) = store_of(files.collect()) else {
        return;
    };
    let mut keys = BTreeSet::new();
    let walked = store.walk(drop, |_, read| {
        if let Ok(record) = read {
            keys.insert(record.key().to_vec());
            check(record);
        }
    });
    walked.expect("memory can be read");
    for key in &keys {
        for place in store.find(store.hash(key)) {
            if let Ok(record) = store.read(key, place, ReadMode::NoWait) {
                assert_eq!(record.key(), key);
                check(&record);
            }
        }
    }
    let usage = store.usage();
    assert!(usage.segments <= 2 && usage.records as u64 * ENTRY_BYTES as u64 <= usage.bytes);
}

/// What can be said of any record.
fn check(record: &StoredRecord) {
    assert!(record.head().len() <= MAX_HEAD_BYTES);
    let (pieces, length) = (record.pieces(), record.content_len());
    let (mut read, mut is_whole) = (0, pieces <= MOST_PIECES);
    for number in 0..pieces.min(MOST_PIECES) {
        match record.piece(number, ReadMode::Wait) {
            Ok(piece) => {
                assert!((1..=PIECE_BYTES).contains(&piece.len()));
                read += piece.len() as u64;
            }
            Err(_) => is_whole = false,
        }
    }
    assert!(!is_whole || read == length);
    assert!(record.piece(pieces, ReadMode::Wait).is_err());
    assert!(record.piece_at(length).is_none());
    if let Some(last) = length.checked_sub(1) {
        let (piece, place) = record.piece_at(last).expect("it is within");
        assert!(piece == pieces - 1 && place < PIECE_BYTES);
    }
}

/// Changes sound segments, and looks whether only what was written is found.
fn changed(changes: &[u8]) {
    let mut written: BTreeMap<Vec<u8>, BTreeSet<(Vec<u8>, Vec<u8>)>> = BTreeMap::new();
    let mut segments = [header(1), header(2)];
    let lengths = [0, 1, 300, PIECE_BYTES, PIECE_BYTES + 1];
    for (number, length) in (0_u8..).zip(lengths.into_iter().cycle()).take(12) {
        let (key, head) = (vec![b'k', number % 4], vec![number; 9]);
        let content: Vec<u8> = (0..length).map(|at| (at as u8) ^ number).collect();
        let kind = match number % 3 {
            0 => RecordKind::Sole,
            _ => RecordKind::Entry,
        };
        let to = &mut segments[usize::from(number / 6)];
        add(to, kind, [&key, &head], &content);
        written.entry(key).or_default().insert((head, content));
    }
    for (number, segment) in (1..).zip(&mut segments) {
        put_right(segment, number);
    }
    let (changes, cut) = changes.split_at(changes.len() - changes.len() % 4);
    for change in changes.chunks_exact(4) {
        let segment = &mut segments[usize::from(change[0] % 2)];
        let at = u32::from_le_bytes([change[1], change[2], change[0] / 2, 0]) as usize;
        let length = segment.len();
        segment[at % length] ^= change[3];
    }
    if let [low, high] = cut {
        segments[1].truncate(usize::from(u16::from_le_bytes([*low, *high])));
    }
    let files = (1..).map(path_of).zip(segments).collect();
    let Some(store) = store_of(files) else {
        return;
    };
    for (key, written) in &written {
        for place in store.find(store.hash(key)) {
            let Ok(record) = store.read(key, place, ReadMode::Wait) else {
                continue;
            };
            check(&record);
            let pieces = (0..record.pieces()).map(|piece| record.piece(piece, ReadMode::Wait));
            if let Ok(pieces) = pieces.collect::<Result<Vec<_>, _>>() {
                let found = (record.head().to_vec(), pieces.concat());
                assert!(written.contains(&found), "this was never written");
            }
        }
    }
}

fn header(number: u32) -> Vec<u8> {
    let header = SegmentHeader {
        secret: SECRET,
        number: u64::from(number),
    };
    header.encode().to_vec()
}

fn path_of(number: u32) -> PathBuf {
    format!("/there/is/no/such/folder/{number:010}.segment").into()
}

/// Adds a record whose header isn't sealed.
fn add(segment: &mut Vec<u8>, kind: RecordKind, [key, head]: [&[u8]; 2], content: &[u8]) {
    let header = RecordHeader {
        kind,
        key_len: key.len() as u32,
        head_len: head.len() as u32,
        extents: 0,
        content_len: content.len() as u64,
        mark: [0; 16],
        segment: 0,
        text_checksum: 0,
    };
    segment.extend_from_slice(&header.encode(&SECRET, segment.len() as u64));
    segment.extend_from_slice(key);
    segment.extend_from_slice(head);
    for piece in content.chunks(PIECE_BYTES) {
        segment.extend_from_slice(piece);
        segment.extend_from_slice(&[0; CHECKSUM_BYTES]);
    }
    segment.resize(segment.len().next_multiple_of(8), 0);
}

/// Puts the number of the segment, the checksums and the seal of everything right that begins like a
/// record, and the extents that are within the segment.
fn put_right(segment: &mut [u8], number: u32) {
    let mut at = HEADER_BYTES;
    while at + HEADER_BYTES <= segment.len() {
        let Some(mut header) = header_of(&segment[at..at + HEADER_BYTES], number) else {
            at += 8;
            continue;
        };
        let text = at + HEADER_BYTES..at + HEADER_BYTES + header.text_len();
        if text.end > segment.len() {
            at += 8;
            continue;
        }
        let extents = text.end - header.extents as usize * EXTENT_BYTES..text.end;
        for extent in extents.step_by(EXTENT_BYTES) {
            complete_extent(segment, extent, number);
        }
        header.text_checksum = crc(0, &segment[text.clone()]);
        let sealed = header.encode(&SECRET, at as u64);
        segment[at..at + HEADER_BYTES].copy_from_slice(&sealed);
        let seal = u32::from_le_bytes([sealed[56], sealed[57], sealed[58], sealed[59]]);
        let (mut start, mut rest) = (text.end, header.content_len);
        for piece in 0_u32.. {
            let length = rest.min(PIECE_BYTES as u64) as usize;
            if length == 0 || start + length + CHECKSUM_BYTES > segment.len() {
                break;
            }
            let end = start + length;
            let checksum = crc(crc(seal, &piece.to_le_bytes()), &segment[start..end]);
            segment[end..end + CHECKSUM_BYTES].copy_from_slice(&checksum.to_le_bytes());
            (start, rest) = (end + CHECKSUM_BYTES, rest - length as u64);
        }
        at += 8;
    }
}

/// The header that some bytes would be, if they were sealed.
fn header_of(bytes: &[u8], segment: u32) -> Option<RecordHeader> {
    let number = |at: usize| {
        let bytes = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        u32::from_le_bytes(bytes)
    };
    let kind = match bytes[8] {
        1 => RecordKind::Entry,
        2 => RecordKind::Extent,
        3 => RecordKind::Sole,
        4 => RecordKind::Removal,
        5 => RecordKind::Erased,
        _ => return None,
    };
    let header = RecordHeader {
        kind,
        key_len: number(8) >> 8,
        head_len: number(12),
        extents: number(16) % 64,
        content_len: u64::from(number(20)),
        mark: [bytes[28]; 16],
        segment: u64::from(segment),
        text_checksum: 0,
    };
    bytes.starts_with(RECORD_MAGIC).then_some(header)
}

/// Has an extent that names a place in its own segment name the length of the content there.
fn complete_extent(segment: &mut [u8], at: usize, number: u32) {
    let place = usize::from(u16::from_le_bytes([segment[at + 8], segment[at + 9]])) / 8 * 8;
    let Some(bytes) = segment.get(place..place + HEADER_BYTES) else {
        return;
    };
    if let Some(header) = header_of(bytes, number) {
        let extent = Extent {
            segment: u64::from(number),
            offset: place as u64,
            content_len: header.content_len,
        };
        let numbers = [extent.segment, extent.offset, extent.content_len];
        let bytes = numbers.map(u64::to_le_bytes).concat();
        segment[at..at + EXTENT_BYTES].copy_from_slice(&bytes);
    }
}

/// Has the last bytes be the entries of a footer, and adds what ends it.
fn add_footer(segment: &mut Vec<u8>) {
    let entries = ((segment.len() - HEADER_BYTES) / ENTRY_BYTES).min(8);
    let offset = segment.len() - entries * ENTRY_BYTES;
    let checksum = crc(0, &segment[offset..]);
    let mut trailer = b"TEROEND\n".to_vec();
    trailer.extend_from_slice(&(entries as u32).to_le_bytes());
    trailer.extend_from_slice(&checksum.to_le_bytes());
    trailer.extend_from_slice(&(offset as u64).to_le_bytes());
    trailer.resize(TRAILER_BYTES - CHECKSUM_BYTES, 0);
    trailer.extend_from_slice(&crc(0, &trailer).to_le_bytes());
    segment.extend_from_slice(&trailer);
}

/// CRC-32C that goes on from an earlier one: by its definition, and not by the library that the store has.
fn crc(before: u32, bytes: &[u8]) -> u32 {
    let mut crc = !before;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
        }
    }
    !crc
}

fn store_of(files: BTreeMap<PathBuf, Vec<u8>>) -> Option<SegmentStore> {
    let folder = Path::new("/there/is/no/such/folder");
    let opened = SegmentStore::look_at_with(folder, MemoryFiles::of(files));
    // The secret may be lost with the headers.
    opened.ok().map(|(store, _)| store)
}

/// Files in memory.
#[derive(Debug)]
struct MemoryFiles(BTreeMap<PathBuf, Arc<[u8]>>);

impl MemoryFiles {
    fn of(files: BTreeMap<PathBuf, Vec<u8>>) -> Arc<dyn FileSystem> {
        let files = files.into_iter();
        let files = files.map(|(path, bytes)| (path, bytes.into()));
        Arc::new(MemoryFiles(files.collect()))
    }
}

#[derive(Debug)]
struct MemoryFile(Arc<[u8]>);

impl FileSystem for MemoryFiles {
    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(self.0.keys().cloned().collect())
    }

    fn is_file(&self, path: &Path) -> io::Result<bool> {
        let is_there = self.0.contains_key(path);
        is_there
            .then_some(true)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        let file = self.0.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(MemoryFile(Arc::clone(file))))
    }

    fn create(&self, _: &Path) -> io::Result<Box<dyn OpenFile>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl OpenFile for MemoryFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let from = usize::try_from(offset).ok().and_then(|at| self.0.get(at..));
        let from = from.and_then(|from| from.get(..bytes.len()));
        bytes.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn read_at_once(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_exact_at(bytes, offset).map(|()| bytes.len())
    }

    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_length(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
