//! A folder of segments: opening it after whatever happened, appending to it, reading from it.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use rustix::rand::{GetRandomFlags, getrandom};

use super::index::{RecordIndex, RecordPlace};
use super::layout::{
    ALIGNMENT, CHECKSUM_BYTES, ENTRY_BYTES, EXTENT_BYTES, Extent, FooterEntry, HEADER_BYTES,
    HeaderProblem, MAX_EXTENTS, MAX_HEAD_BYTES, MAX_KEY_BYTES, PIECE_BYTES, RecordHeader,
    RecordKind, SegmentHeader, StoreSecret, TRAILER_BYTES, piece_checksum,
};
use super::segment::{ReadError, ReadMode, Segment, StoredRecord};
use crate::replace::replace;

/// The end of the names of segments.
const SUFFIX: &str = ".segment";

/// How a store keeps its segments.
#[derive(Clone, Debug)]
pub struct SegmentSettings {
    /// The folder. It is made if it is missing, for its owner alone.
    pub path: PathBuf,
    /// The bytes that all segments take at most: those of two segments at least.
    pub size: u64,
    /// The bytes of one segment: 64 KiB to 1 GiB.
    pub segment_bytes: u32,
}

/// What was found when a store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Segments that are used.
    pub segments: usize,
    /// Those of them that were searched, since their footer was missing or damaged.
    pub searched: usize,
    /// Records that can be found.
    pub records: usize,
    /// Segments that are left alone: of another version of tero, or of another store.
    pub foreign: Vec<PathBuf>,
}

/// Why a store can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder or a file in it can't be used.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Another process uses it.
    #[error("{path} is in use by another running edge; give each edge a folder of its own", path = .0.display())]
    Taken(PathBuf),
}

/// Why a record can't be appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Its key, head or extents are beyond their bounds, or it is longer than a segment.
    #[error("it is too large for a segment")]
    TooLarge,
    /// The disk fails, or is full.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A record to append.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    /// What it is for.
    pub kind: RecordKind,
    /// Its key; empty for an extent.
    pub key: &'a [u8],
    /// Its head; empty for an extent.
    pub head: &'a [u8],
    /// As in [`RecordHeader::mark`].
    pub mark: [u8; 16],
    /// Its content, in pieces of any length. There is none if it has extents.
    pub content: &'a [&'a [u8]],
    /// Where its content lies, if it is with other records.
    pub extents: &'a [Extent],
}

/// What a store takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreUsage {
    /// Records that can be found.
    pub records: usize,
    /// Segments.
    pub segments: usize,
    /// Bytes on disk.
    pub bytes: u64,
    /// Bytes of memory for the index.
    pub index_bytes: usize,
}

/// A folder of segments.
#[derive(Debug)]
pub struct SegmentStore {
    settings: SegmentSettings,
    secret: StoreSecret,
    index: RecordIndex,
    segments: RwLock<BTreeMap<u32, Arc<Segment>>>,
    appender: Mutex<Appender>,
    _lock: File,
}

/// Where the next record goes.
#[derive(Debug)]
struct Appender {
    /// The newest segment; `None` until the first record.
    segment: Option<Arc<Segment>>,
    /// The number of the next segment.
    next: u32,
    /// The entries of the newest segment, for its footer.
    entries: Vec<FooterEntry>,
    /// Bytes on their way to the disk.
    buffer: Vec<u8>,
}

impl SegmentStore {
    /// Opens a folder. Segments that were not sealed, or are damaged, are searched for records; no
    /// file is removed that another version may have written.
    ///
    /// # Errors
    /// [`OpenError`] if the folder can't be used.
    pub fn open(settings: SegmentSettings) -> Result<(SegmentStore, OpenReport), OpenError> {
        let path = settings.path.clone();
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { path, source }
        };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(at(&path))?;
        let lock = lock(&path)?;
        let mut report = OpenReport::default();
        let mut found = Vec::new();
        let mut next = 1;
        for entry in fs::read_dir(&path).map_err(at(&path))? {
            let file = entry.map_err(at(&path))?.path();
            if let Some(number) = number_of(&file) {
                next = next.max(number.saturating_add(1));
                found.push((number, file));
            }
        }
        found.sort_unstable();
        let opened = open_files(found, &mut report)?;
        let in_segments = opened.iter().rev().find_map(|opened| opened.secret);
        let secret = secret_of(&path, in_segments).map_err(at(&path))?;
        let mut segments = BTreeMap::new();
        let mut listed = Vec::new();
        for OpenedFile {
            path,
            segment,
            secret: own,
        } in opened
        {
            if own.is_some_and(|own| own != secret) {
                report.foreign.push(path);
                continue;
            }
            let entries = entries_of(&segment, &secret, &mut report).map_err(at(&path))?;
            listed.push((segment.number, entries));
            segments.insert(segment.number, Arc::new(segment));
        }
        report.segments = segments.len();
        report.records = listed.iter().map(|(_, entries)| entries.len()).sum();
        let index = RecordIndex::with_capacity(report.records);
        for (segment, entries) in listed {
            for entry in entries {
                let place = RecordPlace {
                    segment,
                    offset: entry.offset,
                    length: entry.length,
                };
                index.insert(entry.hash, place);
            }
        }
        let store = SegmentStore {
            settings,
            secret,
            index,
            segments: RwLock::new(segments),
            appender: Mutex::new(Appender {
                segment: None,
                next,
                entries: Vec::new(),
                buffer: Vec::new(),
            }),
            _lock: lock,
        };
        Ok((store, report))
    }

    /// The bytes of one segment.
    pub fn segment_bytes(&self) -> u32 {
        self.settings.segment_bytes
    }

    /// The hash of a key, for [`SegmentStore::may_have`] and [`SegmentStore::find`].
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.secret.hash(key)
    }

    /// Whether a record may have a key with this hash. Only memory is asked.
    pub fn may_have(&self, hash: u64) -> bool {
        self.index.may_have(hash)
    }

    /// The records that may have a key with this hash, the newest first. Only memory is asked.
    pub fn find(&self, hash: u64) -> Vec<RecordPlace> {
        self.index.find(hash)
    }

    /// Reads a record that has this key.
    ///
    /// # Errors
    /// [`ReadError`]. A record that is damaged or gone won't be found again.
    pub fn read(
        &self,
        key: &[u8],
        place: RecordPlace,
        mode: ReadMode,
    ) -> Result<StoredRecord, ReadError> {
        let read = self.read_record(place, mode).and_then(|record| {
            let is_meant = record.header.kind == RecordKind::Entry && record.key() == key;
            is_meant.then_some(record).ok_or(ReadError::Damaged)
        });
        if let Err(ReadError::Damaged | ReadError::Gone) = &read {
            self.index.remove(self.hash(key), place);
        }
        read
    }

    fn read_record(&self, place: RecordPlace, mode: ReadMode) -> Result<StoredRecord, ReadError> {
        let segment = self.segment(place.segment).ok_or(ReadError::Gone)?;
        let segment_of = |number| self.segment(u32::try_from(number).ok()?);
        StoredRecord::read(segment, place, &self.secret, mode, segment_of)
    }

    /// Has a record not be found any more, because its key has a newer one.
    pub fn forget(&self, hash: u64, place: RecordPlace) -> bool {
        self.index.remove(hash, place)
    }

    /// Appends a record. An entry is found from now on. If the newest segment is full, it is sealed,
    /// and the oldest one is removed if there are too many.
    ///
    /// # Errors
    /// [`AppendError`]. Nothing is found then that wasn't before.
    pub fn append(&self, record: &NewRecord<'_>) -> Result<RecordPlace, AppendError> {
        let mut appender = lock_appender(&self.appender);
        let length = length_of(record).ok_or(AppendError::TooLarge)?;
        let segment = self.segment_for(&mut appender, length)?;
        let offset = segment.end();
        let header = appender.fill(record, &self.secret, (segment.number, offset));
        debug_assert_eq!(header.record_len(), length);
        segment.write_at(&appender.buffer, offset)?;
        segment.set_end(offset + length);
        let place = RecordPlace {
            segment: segment.number,
            offset: offset as u32,
            length: length as u32,
        };
        if record.kind == RecordKind::Entry {
            let hash = self.hash(record.key);
            appender.entries.push(FooterEntry {
                hash,
                offset: place.offset,
                length: place.length,
            });
            self.index.insert(hash, place);
        }
        Ok(place)
    }

    /// Appends content that an entry will name, and returns where it is.
    ///
    /// # Errors
    /// As [`SegmentStore::append`].
    pub fn append_extent(&self, record: &NewRecord<'_>) -> Result<Extent, AppendError> {
        let place = self.append(record)?;
        Ok(Extent {
            segment: u64::from(place.segment),
            offset: u64::from(place.offset),
            content_len: content_len(record),
        })
    }

    /// Seals the newest segment, so that opening the store again is fast.
    ///
    /// # Errors
    /// The system's error. The store can be opened all the same.
    pub fn close(&self) -> io::Result<()> {
        lock_appender(&self.appender).seal()
    }

    /// What it takes.
    pub fn usage(&self) -> StoreUsage {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        StoreUsage {
            records: self.index.len(),
            segments: segments.len(),
            bytes: segments.values().map(|segment| segment.end()).sum(),
            index_bytes: self.index.memory(),
        }
    }

    /// Reads every record with all its content, the oldest first: `each` hears of it, and whether it
    /// is sound. For people who look after a store; it takes as long as reading the disk.
    ///
    /// # Errors
    /// The system's error.
    pub fn verify(
        &self,
        mut each: impl FnMut(RecordPlace, Result<&StoredRecord, ReadError>),
    ) -> io::Result<()> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let segments: Vec<Arc<Segment>> = segments.values().cloned().collect();
        for segment in segments {
            let mut places = Vec::new();
            segment.scan(&self.secret, |_, place| places.push(place))?;
            for place in places {
                let read = self
                    .read_record(place, ReadMode::Wait)
                    .and_then(|record| whole(&record).map(|()| record));
                match read {
                    Ok(record) => each(place, Ok(&record)),
                    Err(error) => each(place, Err(error)),
                }
            }
        }
        Ok(())
    }

    fn segment(&self, number: u32) -> Option<Arc<Segment>> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments.get(&number).cloned()
    }

    /// The segment that a record of this length goes to.
    fn segment_for(
        &self,
        appender: &mut Appender,
        length: u64,
    ) -> Result<Arc<Segment>, AppendError> {
        let room = u64::from(self.settings.segment_bytes);
        let footer = (appender.entries.len() + 1) * ENTRY_BYTES + TRAILER_BYTES;
        if let Some(segment) = &appender.segment
            && segment.end() + length + footer as u64 <= room
        {
            return Ok(Arc::clone(segment));
        }
        if (HEADER_BYTES + ENTRY_BYTES + TRAILER_BYTES) as u64 + length > room {
            return Err(AppendError::TooLarge);
        }
        // What can't be sealed is searched for when it is opened.
        let sealed = appender.seal();
        self.make_room();
        sealed?;
        let number = appender.next;
        // A file that can't be finished is not tried again.
        appender.next += 1;
        let segment = Arc::new(self.new_segment(number)?);
        let mut segments = self
            .segments
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        segments.insert(segment.number, Arc::clone(&segment));
        drop(segments);
        appender.segment = Some(Arc::clone(&segment));
        Ok(segment)
    }

    /// Removes the oldest segments, so that one more fits.
    fn make_room(&self) {
        let mut segments = self
            .segments
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let size = self.settings.size;
        let mut bytes: u64 = segments.values().map(|segment| segment.end()).sum();
        let mut first = None;
        while bytes + u64::from(self.settings.segment_bytes) > size
            && let Some((number, segment)) = segments.pop_first()
        {
            bytes -= segment.end();
            // If it stays, it is found and removed after the next start.
            let _ = fs::remove_file(path_of(&self.settings.path, number));
            first = Some(number + 1);
        }
        drop(segments);
        if let Some(first) = first {
            self.index.remove_before(first);
        }
    }

    fn new_segment(&self, number: u32) -> io::Result<Segment> {
        let path = path_of(&self.settings.path, number);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        let segment = Segment::new(number, file, 0);
        let header = SegmentHeader {
            secret: self.secret,
            number: u64::from(number),
        };
        segment.write_at(&header.encode(), 0)?;
        segment.set_end(HEADER_BYTES as u64);
        Ok(segment)
    }
}

impl Appender {
    /// Writes a record for a place into the buffer.
    fn fill(
        &mut self,
        record: &NewRecord<'_>,
        secret: &StoreSecret,
        (segment, offset): (u32, u64),
    ) -> RecordHeader {
        let buffer = &mut self.buffer;
        buffer.clear();
        buffer.resize(HEADER_BYTES, 0);
        buffer.extend_from_slice(record.key);
        buffer.extend_from_slice(record.head);
        for extent in record.extents {
            buffer.extend_from_slice(&extent.encode());
        }
        let header = RecordHeader {
            kind: record.kind,
            key_len: record.key.len() as u32,
            head_len: record.head.len() as u32,
            extents: record.extents.len() as u32,
            content_len: content_len(record),
            mark: record.mark,
            segment: u64::from(segment),
            text_checksum: crc32c::crc32c(&buffer[HEADER_BYTES..]),
        };
        let sealed = header.encode(secret, offset);
        buffer[..HEADER_BYTES].copy_from_slice(&sealed);
        let (mut piece, mut start) = (0, buffer.len());
        for mut bytes in record.content.iter().copied() {
            while !bytes.is_empty() {
                let room = PIECE_BYTES - (buffer.len() - start);
                let (now, later) = bytes.split_at(room.min(bytes.len()));
                buffer.extend_from_slice(now);
                bytes = later;
                if buffer.len() - start == PIECE_BYTES {
                    let checksum = piece_checksum(&sealed, piece, &buffer[start..]);
                    buffer.extend_from_slice(&checksum.to_le_bytes());
                    (piece, start) = (piece + 1, buffer.len());
                }
            }
        }
        if buffer.len() > start {
            let checksum = piece_checksum(&sealed, piece, &buffer[start..]);
            buffer.extend_from_slice(&checksum.to_le_bytes());
        }
        buffer.resize(header.record_len() as usize, 0);
        header
    }

    /// Writes the footer of the newest segment, and has all of it on disk.
    fn seal(&mut self) -> io::Result<()> {
        let entries = std::mem::take(&mut self.entries);
        match self.segment.take() {
            Some(segment) => segment.seal(&entries),
            None => Ok(()),
        }
    }
}

/// A file that may be a segment of this store.
struct OpenedFile {
    path: PathBuf,
    segment: Segment,
    /// The secret in its header; `None` if that is damaged.
    secret: Option<StoreSecret>,
}

fn open_files(
    found: Vec<(u32, PathBuf)>,
    report: &mut OpenReport,
) -> Result<Vec<OpenedFile>, OpenError> {
    let mut opened = Vec::with_capacity(found.len());
    for (number, path) in found {
        let read = || {
            let writable = OpenOptions::new().read(true).write(true).open(&path);
            let mut file = writable.or_else(|_| File::open(&path))?;
            let end = file.metadata()?.len();
            let mut header = [0; HEADER_BYTES];
            match file.read_exact(&mut header) {
                Ok(()) => Ok(Some((file, end, header))),
                // It was cut off before the first record.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
                Err(error) => Err(error),
            }
        };
        let (file, end, header) = match read() {
            Ok(Some(read)) => read,
            Ok(None) => {
                // Nothing of it can be used; it isn't worth an error if it stays.
                let _ = fs::remove_file(&path);
                continue;
            }
            Err(source) => return Err(OpenError::Io { path, source }),
        };
        let secret = match SegmentHeader::decode(&header) {
            Ok(header) if header.number == u64::from(number) => Some(header.secret),
            Ok(_) | Err(HeaderProblem::Version(_)) => {
                report.foreign.push(path);
                continue;
            }
            Err(HeaderProblem::Damaged) => None,
        };
        opened.push(OpenedFile {
            path,
            segment: Segment::new(number, file, end),
            secret,
        });
    }
    Ok(opened)
}

/// The entries of a segment, by its footer or else by a search.
fn entries_of(
    segment: &Segment,
    secret: &StoreSecret,
    report: &mut OpenReport,
) -> io::Result<Vec<FooterEntry>> {
    if let Some(entries) = segment.footer()? {
        return Ok(entries);
    }
    report.searched += 1;
    let mut entries = Vec::new();
    let end = segment.scan(secret, |hash, place| {
        entries.push(FooterEntry {
            hash,
            offset: place.offset,
            length: place.length,
        });
    })?;
    // The next start needn't search it. If that can't be written, it searches again.
    segment.set_end(end);
    let _ = segment.seal(&entries);
    Ok(entries)
}

/// Whether all content of a record is sound.
fn whole(record: &StoredRecord) -> Result<(), ReadError> {
    (0..record.pieces()).try_for_each(|piece| record.piece(piece, ReadMode::Wait).map(drop))
}

fn content_len(record: &NewRecord<'_>) -> u64 {
    record.content.iter().map(|bytes| bytes.len() as u64).sum()
}

/// The length of a record; `None` if a part of it is beyond its bound.
fn length_of(record: &NewRecord<'_>) -> Option<u64> {
    let is_sound = record.key.len() <= MAX_KEY_BYTES
        && record.head.len() <= MAX_HEAD_BYTES
        && record.extents.len() <= MAX_EXTENTS
        && (record.extents.is_empty() || record.content.is_empty());
    let text = record.key.len() + record.head.len() + record.extents.len() * EXTENT_BYTES;
    let content = content_len(record);
    let checksums = content.div_ceil(PIECE_BYTES as u64) * CHECKSUM_BYTES as u64;
    let length = (HEADER_BYTES + text) as u64 + content + checksums;
    is_sound.then(|| length.next_multiple_of(ALIGNMENT))
}

/// Locks the folder until the returned file is closed.
fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join("lock");
    let opened = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path);
    let locked = opened.and_then(|file| match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    });
    match locked {
        Ok(Some(file)) => Ok(file),
        Ok(None) => Err(OpenError::Taken(folder.to_owned())),
        Err(source) => Err(OpenError::Io { path, source }),
    }
}

fn path_of(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:010}{SUFFIX}"))
}

/// The number in the name of a segment.
fn number_of(path: &Path) -> Option<u32> {
    let number = path.file_name()?.to_str()?.strip_suffix(SUFFIX)?;
    let is_plain = number.len() == 10 && number.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| number.parse().ok()).flatten()
}

/// The secret of the store in this folder, from its file, else from a segment, else a new one. The
/// file is written where it is missing or damaged.
fn secret_of(folder: &Path, in_segments: Option<StoreSecret>) -> io::Result<StoreSecret> {
    let path = folder.join("secret");
    let known = fs::read(&path).ok();
    let known =
        known.and_then(|bytes| SegmentHeader::decode(bytes.as_slice().try_into().ok()?).ok());
    if let Some(known) = known {
        return Ok(known.secret);
    }
    let secret = in_segments.map_or_else(new_secret, Ok)?;
    // In the form of a segment's header, whose number is 0.
    let header = SegmentHeader { secret, number: 0 };
    replace(&path, &[&header.encode()], 0o600)?;
    Ok(secret)
}

fn new_secret() -> io::Result<StoreSecret> {
    let mut secret = [0; 16];
    getrandom(&mut secret[..], GetRandomFlags::empty())?;
    Ok(StoreSecret(secret))
}

fn lock_appender(appender: &Mutex<Appender>) -> MutexGuard<'_, Appender> {
    appender.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
