//! A folder of segments: opening it after whatever happened, appending to it, reading from it.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use super::appender::{Appender, content_len, length_of};
use super::buffers::ReadBuffer;
use super::files::{FileSystem, SystemFiles};
use super::folder::{Access, OpenedFile, entries_of, lock, open_files, path_of, secret_of};
use super::index::{INDEX_PARTS, RecordIndex, RecordPlace};
use super::layout::{
    ENTRY_BYTES, Extent, FooterEntry, HEADER_BYTES, RecordKind, SegmentHeader, StoreSecret,
    TRAILER_BYTES,
};
use super::new_record::NewRecord;
use super::open_report::{OpenError, OpenReport};
use super::segment::{ReadError, ReadMode, RecordReading, Segment, StoredRecord};
use crate::lock_file::LockFile;

/// How often the oldest segment is removed to append a record to a full disk.
const MAKE_ROOM_AT_MOST: usize = 4;
/// Threads that read footers and fill the index when a store is opened, and the segments and records that
/// are worth them.
const OPENERS: usize = 4;
const FEW_SEGMENTS: usize = 8;
const FEW_RECORDS: usize = 50_000;

/// Segments that were removed and are still read take at most this share of a disk, or one segment.
const REMOVED_SHARE: u64 = 4;

/// How a store keeps its segments.
#[derive(Clone, Debug)]
pub struct SegmentSettings {
    /// The folder. It is made if it is missing, for its owner alone.
    pub path: PathBuf,
    /// The bytes that all segments take at most: those of two segments at least.
    pub size: u64,
    /// The bytes of one segment: 64 KiB to 1 GiB.
    pub segment_bytes: u32,
    /// What works on its files.
    pub files: Arc<dyn FileSystem>,
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
    /// Segments that were removed before the folder had its size, since the disk was full.
    pub removed_for_full_disk: u64,
}

/// A folder of segments.
#[derive(Debug)]
pub struct SegmentStore {
    pub(super) settings: SegmentSettings,
    pub(super) secret: StoreSecret,
    pub(super) index: RecordIndex,
    segments: RwLock<BTreeMap<u32, Arc<Segment>>>,
    appender: Mutex<Appender>,
    removed_for_full_disk: AtomicU64,
    /// Segments that were removed and may still be open, since they are read. The system gives their room
    /// back once they are closed.
    removed: Mutex<Vec<Weak<Segment>>>,
    /// `None` where it is only looked at, or belongs to another process by now.
    lock: Mutex<Option<LockFile>>,
}

impl SegmentStore {
    /// Opens a folder. Segments that were not sealed, or are damaged, are searched for records; no
    /// file is removed that another version may have written.
    ///
    /// # Errors
    /// [`OpenError`] if the folder can't be used.
    pub fn open(settings: SegmentSettings) -> Result<(SegmentStore, OpenReport), OpenError> {
        let path = settings.path.clone();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|source| OpenError::Io {
            path: path.clone(),
            source,
        })?;
        let lock = lock(&path)?;
        SegmentStore::load(settings, Some(lock))
    }

    /// Opens a folder without changing anything in it: for people who look after a store. An edge may
    /// use it meanwhile; segments that it removes then are gone.
    ///
    /// # Errors
    /// [`OpenError`] if the folder can't be read.
    pub fn look_at(path: &Path) -> Result<(SegmentStore, OpenReport), OpenError> {
        SegmentStore::look_at_with(path, Arc::new(SystemFiles))
    }

    /// The same with something else that works on the segments.
    ///
    /// # Errors
    /// [`OpenError`] if the folder can't be read.
    pub fn look_at_with(
        path: &Path,
        files: Arc<dyn FileSystem>,
    ) -> Result<(SegmentStore, OpenReport), OpenError> {
        let settings = SegmentSettings {
            path: path.to_owned(),
            size: u64::MAX,
            segment_bytes: 0,
            files,
        };
        SegmentStore::load(settings, None)
    }

    fn load(
        settings: SegmentSettings,
        lock: Option<LockFile>,
    ) -> Result<(SegmentStore, OpenReport), OpenError> {
        let path = settings.path.clone();
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { path, source }
        };
        let access = if lock.is_some() {
            Access::Own
        } else {
            Access::Look
        };
        let mut report = OpenReport::default();
        let (opened, next) = open_files(&path, &*settings.files, access, &mut report)?;
        let in_segments = opened.iter().rev().find_map(|opened| opened.secret);
        let secret = secret_of(&path, in_segments, access).map_err(at(&path))?;
        let is_own = |opened: &OpenedFile| opened.secret.is_none_or(|own| own == secret);
        let (opened, foreign): (Vec<_>, Vec<_>) = opened.into_iter().partition(is_own);
        report
            .foreign
            .extend(foreign.into_iter().map(|opened| opened.path));
        let read = |OpenedFile { path, segment, .. }: &OpenedFile| {
            entries_of(segment, &secret, access)
                .map(|(entries, is_searched)| {
                    (ListedSegment::new(segment.number, &entries), is_searched)
                })
                .map_err(at(path))
        };
        let threads = if opened.len() < FEW_SEGMENTS {
            1
        } else {
            OPENERS
        };
        let read = in_parallel(&opened, threads, read);
        let mut listed = Vec::with_capacity(opened.len());
        for read in read {
            let (entries, is_searched) = read?;
            report.searched += usize::from(is_searched);
            listed.push(entries);
        }
        let segments = opened.into_iter().map(|opened| opened.segment);
        let segments: BTreeMap<u32, Arc<Segment>> = segments
            .map(|segment| (segment.number, Arc::new(segment)))
            .collect();
        report.segments = segments.len();
        let index = index_of(&listed);
        report.records = index.len();
        let store = SegmentStore {
            settings,
            secret,
            index,
            segments: RwLock::new(segments),
            appender: Mutex::new(Appender {
                segment: None,
                next,
                entries: Vec::new(),
                unsealed_removals: Vec::new(),
                buffer: Vec::new(),
            }),
            removed_for_full_disk: AtomicU64::new(0),
            removed: Mutex::default(),
            lock: Mutex::new(lock),
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
    /// [`ReadError`]. One that is damaged or gone is found until it is [forgotten](SegmentStore::forget): older
    /// ones of its key may be its predecessors.
    pub fn read(
        &self,
        key: &[u8],
        place: RecordPlace,
        mode: ReadMode,
    ) -> Result<StoredRecord, ReadError> {
        self.read_by(key, place, RecordReading { mode, at_once: 0 })
    }

    /// The same, at once with its content unless it is longer than `most` bytes in all, or than 320 KiB.
    ///
    /// # Errors
    /// As [`SegmentStore::read`].
    pub fn read_with_content(
        &self,
        key: &[u8],
        place: RecordPlace,
        mode: ReadMode,
        most: u64,
    ) -> Result<StoredRecord, ReadError> {
        let longest = ReadBuffer::LONGEST;
        let at_once = usize::try_from(most).map_or(longest, |most| most.min(longest));
        self.read_by(key, place, RecordReading { mode, at_once })
    }

    fn read_by(
        &self,
        key: &[u8],
        place: RecordPlace,
        reading: RecordReading,
    ) -> Result<StoredRecord, ReadError> {
        let record = self.read_record(place, reading)?;
        let is_meant = record.header.kind.is_found() && record.key() == key;
        is_meant.then_some(record).ok_or(ReadError::Damaged)
    }

    pub(super) fn read_record(
        &self,
        place: RecordPlace,
        reading: RecordReading,
    ) -> Result<StoredRecord, ReadError> {
        let segment = self.segment(place.segment).ok_or(ReadError::Gone)?;
        let segment_of = |number| self.segment(u32::try_from(number).ok()?);
        StoredRecord::read(segment, place, &self.secret, reading, segment_of)
    }

    /// Has records of a hash not be found any more, all at once. Returns how many were found until now.
    pub fn forget(&self, hash: u64, places: &[RecordPlace]) -> usize {
        self.index.remove(hash, places)
    }

    /// Has no record of a hash be found any more, until the store is opened again. Returns how many
    /// those were.
    pub fn forget_all(&self, hash: u64) -> usize {
        self.index.remove_all(hash)
    }

    /// Whether a record is still found at a place.
    pub fn has(&self, hash: u64, place: RecordPlace) -> bool {
        self.index.has(hash, place)
    }

    /// Whether the content of a record stays for some time: not so if its oldest part is among the next
    /// to be removed.
    pub fn stays_for_now(&self, record: &StoredRecord) -> bool {
        let first = self.first_that_stays();
        let extents = record.extents();
        extents.iter().all(|extent| extent.segment >= first)
    }

    /// The first segment that stays for some time: the older quarter is removed before long.
    fn first_that_stays(&self) -> u64 {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let bytes: u64 = segments.values().map(|segment| segment.end()).sum();
        if bytes < self.settings.size / 4 * 3 {
            return 0;
        }
        let first = segments.keys().nth(segments.len() / 4);
        first.map_or(0, |first| u64::from(*first))
    }

    /// Appends a record. An entry is found from now on. If the newest segment is full, it is sealed,
    /// and the oldest one is removed if there are too many, or if the disk has no room.
    ///
    /// # Errors
    /// [`AppendError`]. Nothing is found then that wasn't before.
    pub fn append(&self, record: &NewRecord<'_>) -> Result<RecordPlace, AppendError> {
        let mut appender = lock_appender(&self.appender);
        for _ in 0..MAKE_ROOM_AT_MOST {
            match self.append_by(&mut appender, record) {
                Err(AppendError::Io(error)) if is_full(&error) => {
                    if !self.remove_oldest(&appender) {
                        return Err(AppendError::Io(error));
                    }
                }
                appended => return appended,
            }
        }
        self.append_by(&mut appender, record)
    }

    fn append_by(
        &self,
        appender: &mut Appender,
        record: &NewRecord<'_>,
    ) -> Result<RecordPlace, AppendError> {
        let length = length_of(record).ok_or(AppendError::TooLarge)?;
        let segment = self.segment_for(appender, length)?;
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
        if record.kind != RecordKind::Extent {
            let hash = self.hash(record.key);
            appender.entries.push(FooterEntry {
                kind: record.kind,
                hash,
                offset: place.offset,
                length: place.length,
            });
            self.index.put(record.kind, hash, place);
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

    /// The keys of removals that a power failure may take, since their segment could not be sealed: to be
    /// appended again, or what they removed may be found again. Each is told once. An error is one of a
    /// removal that can't be read any more.
    pub fn take_unsealed_removals(&self) -> Vec<Result<Vec<u8>, ReadError>> {
        let places = std::mem::take(&mut lock_appender(&self.appender).unsealed_removals);
        let reading = RecordReading {
            mode: ReadMode::Wait,
            at_once: 0,
        };
        let read = |place| self.read_record(place, reading);
        let keys = places.into_iter().map(read).filter_map(|read| match read {
            // All that they removed was older, and is gone too.
            Err(ReadError::Gone) => None,
            read => Some(read.map(|record| record.key().to_vec())),
        });
        keys.collect()
    }

    /// Notes that what was erased before the store was opened is so on the disk. Else it is erased again, once:
    /// the process that did it may not have known that the disk failed.
    pub fn trust_erased(&self) {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments
            .values()
            .for_each(|segment| segment.set_erased(true));
    }

    /// Leaves the folder to another process. Call it after [`SegmentStore::close`]: nothing is appended
    /// any more; what is there can be read.
    pub fn release(&self) {
        drop(
            self.lock
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }

    /// What it takes.
    pub fn usage(&self) -> StoreUsage {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        StoreUsage {
            records: self.index.len(),
            segments: segments.len(),
            bytes: segments.values().map(|segment| segment.end()).sum(),
            index_bytes: self.index.memory(),
            removed_for_full_disk: self.removed_for_full_disk.load(Ordering::Relaxed),
        }
    }

    pub(super) fn segment(&self, number: u32) -> Option<Arc<Segment>> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments.get(&number).cloned()
    }

    /// The numbers of all segments, the oldest first. Who goes through them takes one at a time: one that is
    /// removed meanwhile can be closed then.
    pub(super) fn all_segments(&self) -> Vec<u32> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments.keys().copied().collect()
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
        appender.next = number.checked_add(1).ok_or_else(|| {
            io::Error::other(
                "a segment has the highest number that there can be: move the files of the folder away, and start the edge again",
            )
        })?;
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
        // Those that are removed now may be closed at once.
        let one_more = u64::from(self.settings.segment_bytes) + self.bytes_of_removed();
        let oldest = || {
            let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
            let bytes: u64 = segments.values().map(|segment| segment.end()).sum();
            let is_full = bytes + one_more > self.settings.size;
            segments.keys().next().copied().filter(|_| is_full)
        };
        while let Some(oldest) = oldest()
            && self.remove(oldest)
        {}
    }

    /// The bytes of segments that were removed and are still read. If they are more than a share of the
    /// disk, those that were removed first are cut off: a client that reads slowly keeps no disk full.
    fn bytes_of_removed(&self) -> u64 {
        let most = (self.settings.size / REMOVED_SHARE).max(self.settings.segment_bytes.into());
        let mut removed = self.removed.lock().unwrap_or_else(PoisonError::into_inner);
        removed.retain(|segment| segment.strong_count() > 0);
        let open: Vec<Arc<Segment>> = removed.iter().filter_map(Weak::upgrade).collect();
        let mut bytes = open.iter().map(|segment| segment.end()).sum();
        for segment in open {
            if bytes <= most {
                break;
            }
            bytes -= segment.cut_off();
        }
        bytes
    }

    /// Removes the oldest segment, unless it is the newest too. Returns whether it did.
    fn remove_oldest(&self, appender: &Appender) -> bool {
        let newest = appender.segment.as_ref().map(|segment| segment.number);
        let oldest = {
            let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
            segments.keys().next().copied()
        };
        let oldest = oldest.filter(|oldest| Some(*oldest) != newest);
        let is_removed = oldest.is_some_and(|oldest| self.remove(oldest));
        if is_removed {
            self.removed_for_full_disk.fetch_add(1, Ordering::Relaxed);
        }
        is_removed
    }

    /// Removes a segment, the oldest one. Readers don't wait for that. Returns whether it is gone; if not, it
    /// stays in use, and is removed at another time. A power failure may bring it back, and those that were
    /// removed later with it: no record that says what has become of its own is lost alone.
    fn remove(&self, number: u32) -> bool {
        let path = path_of(&self.settings.path, number);
        let removed = self.settings.files.remove(&path);
        if removed.is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
            return false;
        }
        let mut segments = self
            .segments
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let segment = segments.remove(&number);
        drop(segments);
        self.index.remove_before(number + 1);
        if let Some(segment) = segment {
            let mut removed = self.removed.lock().unwrap_or_else(PoisonError::into_inner);
            removed.push(Arc::downgrade(&segment));
        }
        true
    }

    fn new_segment(&self, number: u32) -> io::Result<Segment> {
        let path = path_of(&self.settings.path, number);
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_none() {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        let file = self.settings.files.create(&path)?;
        let segment = Segment::new(number, file, 0);
        let header = SegmentHeader {
            secret: self.secret,
            number: u64::from(number),
        };
        segment.write_at(&header.encode(), 0)?;
        segment.set_end(HEADER_BYTES as u64);
        segment.set_erased(true);
        Ok(segment)
    }
}

/// The entries of a segment, by the parts of the index that have them.
struct ListedSegment {
    number: u32,
    parts: Vec<Vec<FooterEntry>>,
}

impl ListedSegment {
    fn new(number: u32, entries: &[FooterEntry]) -> ListedSegment {
        // Hashes spread unevenly: some more, so that hardly any part grows.
        let each = entries.len() / INDEX_PARTS * 5 / 4 + 4;
        let mut parts = vec![Vec::new(); INDEX_PARTS];
        parts.iter_mut().for_each(|part| part.reserve_exact(each));
        for entry in entries {
            parts[RecordIndex::part_of(entry.hash)].push(*entry);
        }
        ListedSegment { number, parts }
    }

    fn records(&self) -> usize {
        self.parts.iter().map(Vec::len).sum()
    }
}

/// The index of the entries of all segments, the oldest first. It is filled part by part: a part has
/// room in a core's cache, all of them have not.
fn index_of(listed: &[ListedSegment]) -> RecordIndex {
    let records = listed.iter().map(ListedSegment::records).sum();
    let index = RecordIndex::with_capacity(records);
    let fill = |part: &usize| {
        let entries = listed.iter().flat_map(|segment| {
            let entries = segment.parts[*part].iter();
            entries.map(|entry| (entry, segment.number))
        });
        index.fill_part(
            *part,
            entries.map(|(entry, segment)| {
                let place = RecordPlace {
                    segment,
                    offset: entry.offset,
                    length: entry.length,
                };
                (entry.kind, entry.hash, place)
            }),
        );
    };
    let threads = if records < FEW_RECORDS { 1 } else { OPENERS };
    in_parallel(&(0..INDEX_PARTS).collect::<Vec<_>>(), threads, fill);
    index
}

/// What a function makes of each of some things, in their order. So many threads do it.
fn in_parallel<T: Sync, R: Send>(
    things: &[T],
    threads: usize,
    make: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let work = || {
        let numbered = std::iter::from_fn(|| {
            let number = next.fetch_add(1, Ordering::Relaxed);
            things.get(number).map(|thing| (number, make(thing)))
        });
        numbered.collect::<Vec<_>>()
    };
    let mut made = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut made = work();
        for other in others {
            made.extend(other.join().expect("it doesn't panic"));
        }
        made
    });
    made.sort_unstable_by_key(|(number, _)| *number);
    made.into_iter().map(|(_, made)| made).collect()
}

/// Whether the disk has no room.
fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

fn lock_appender(appender: &Mutex<Appender>) -> MutexGuard<'_, Appender> {
    appender.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
