//! One segment, open for reading: its records, its footer, and what is left of a damaged one.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::buffers::ReadBuffer;
use super::files::OpenFile;
use super::index::RecordPlace;
use super::layout::{
    ALIGNMENT, CHECKSUM_BYTES, ENTRY_BYTES, EXTENT_BYTES, Extent, FooterEntry, FooterTrailer,
    HEADER_BYTES, PIECE_BYTES, RECORD_MAGIC, RecordHeader, RecordKind, StoreSecret, TRAILER_BYTES,
    piece_checksum,
};

/// A record up to this length is read as a whole at once; of a longer one, so much.
const READ_AT_ONCE: usize = 68 << 10;
/// How much of a segment is read at once when it is searched for records.
const SCAN_BYTES: usize = 1 << 20;

/// Whether a read may wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadMode {
    /// It gives [`ReadError::WouldWait`] instead of waiting, so a thread that serves others may do
    /// it.
    NoWait,
    /// It waits.
    Wait,
}

/// Why a record, or a piece of its content, can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It isn't in the system's page cache. Read it again on a thread that may wait.
    #[error("it would have to wait for the disk")]
    WouldWait,
    /// It is damaged, or belongs to another key.
    #[error("it is damaged")]
    Damaged,
    /// Its segment, or one with its content, has been removed.
    #[error("its segment has been removed")]
    Gone,
    /// The disk fails.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A segment that is open for reading. Its file may be removed meanwhile: what is open stays
/// readable.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u32,
    file: Box<dyn OpenFile>,
    /// What has been written, in bytes. Nothing behind it is read.
    end: AtomicU64,
    /// Whether reads without waiting have failed, since the file system doesn't offer them.
    must_wait: AtomicBool,
    /// Whether all records that say so are erased on the disk, too. After a sync that failed, or a process
    /// that ended, only what is written again is.
    has_erased: AtomicBool,
}

/// A record that a search has found.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScannedRecord {
    pub(super) entry: FooterEntry,
    /// Whether its key and head are sound; of another one, the hash means nothing.
    pub(super) is_sound: bool,
}

impl ScannedRecord {
    /// Whether a footer lists it.
    pub(super) fn is_listed(&self) -> bool {
        let kind = self.entry.kind;
        self.is_sound && (kind.is_found() || kind == RecordKind::Removal)
    }
}

/// How a record is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordReading {
    pub(super) mode: ReadMode,
    /// A record up to this length is read as a whole at once, even if it isn't short.
    pub(super) at_once: usize,
}

/// A record that has been read: its key and head, and where its content is.
#[derive(Debug)]
pub struct StoredRecord {
    /// Its beginning.
    pub header: RecordHeader,
    place: RecordPlace,
    /// What was read: the header, the key, the head, the extents, and the content of a short record.
    bytes: ReadBuffer,
    content: Vec<ContentPart>,
}

/// The content of a record in what was read of it.
#[derive(Debug)]
pub struct ContentInBuffer {
    /// What was read.
    pub buffer: ReadBuffer,
    /// Where the pieces lie in it, in order.
    pub pieces: Vec<Range<usize>>,
}

/// Content that follows one record.
#[derive(Debug)]
struct ContentPart {
    segment: Arc<Segment>,
    /// The header of the record that it follows.
    header: [u8; HEADER_BYTES],
    /// Where that record begins in the segment, in bytes.
    record: u64,
    /// Where the content begins, in bytes.
    start: u64,
    /// In bytes.
    length: u64,
}

impl ContentPart {
    fn pieces(&self) -> u64 {
        self.length.div_ceil(PIECE_BYTES as u64)
    }

    fn piece_length(&self, piece: u64) -> usize {
        (self.length - piece * PIECE_BYTES as u64).min(PIECE_BYTES as u64) as usize
    }

    /// Checks a piece by the checksum that follows it.
    fn check(&self, piece: u64, bytes: &[u8]) -> Result<(), ReadError> {
        let (content, checksum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
        let expected = piece_checksum(&self.header, piece as u32, content);
        let is_sound = checksum == expected.to_le_bytes();
        is_sound.then_some(()).ok_or(ReadError::Damaged)
    }
}

impl Segment {
    pub(super) fn new(number: u32, file: Box<dyn OpenFile>, end: u64) -> Segment {
        Segment {
            number,
            file,
            end: AtomicU64::new(end),
            must_wait: AtomicBool::new(false),
            has_erased: AtomicBool::new(false),
        }
    }

    /// What has been written, in bytes.
    pub(super) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Lets readers have what has been written up to here.
    pub(super) fn set_end(&self, end: u64) {
        self.end.store(end, Ordering::Release);
    }

    /// Whether all records that say that they were erased are so on the disk, too.
    pub(super) fn has_erased(&self) -> bool {
        self.has_erased.load(Ordering::Acquire)
    }

    /// Notes whether they are.
    pub(super) fn set_erased(&self, has_erased: bool) {
        self.has_erased.store(has_erased, Ordering::Release);
    }

    /// Writes bytes that readers don't have yet.
    pub(super) fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    /// Has all that was written since the last call on disk when it returns. After an error, the system has
    /// given up what it could not write, keeps it in memory all the same, and the next call may succeed: what
    /// a promise rests on has to be written again.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    /// Writes a footer with these entries, and has all of it on disk. Nothing is appended afterwards.
    pub(super) fn seal(&self, entries: &[FooterEntry]) -> io::Result<()> {
        self.write_footer(entries)?;
        self.sync()
    }

    /// Writes a footer with these entries. Nothing is appended afterwards.
    pub(super) fn write_footer(&self, entries: &[FooterEntry]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(entries.len() * ENTRY_BYTES + TRAILER_BYTES);
        for entry in entries {
            bytes.extend_from_slice(&entry.encode());
        }
        let offset = self.end();
        let trailer = FooterTrailer {
            entries: entries.len() as u32,
            checksum: crc32c::crc32c(&bytes),
            offset,
        };
        bytes.extend_from_slice(&trailer.encode());
        self.write_at(&bytes, offset)?;
        let end = offset + bytes.len() as u64;
        // Behind it may be the rest of a record that was cut off.
        self.file.set_length(end)?;
        self.set_end(end);
        Ok(())
    }

    /// Has the system give its room back though it is open: nothing of it can be read any more. Returns how
    /// many bytes that was.
    pub(super) fn cut_off(&self) -> u64 {
        let end = self.end.swap(0, Ordering::AcqRel);
        // If that fails, it has its room until it is closed.
        let _ = self.file.set_length(0);
        end
    }

    /// Fills `bytes` from `offset` on.
    fn read_at(&self, bytes: &mut [u8], offset: u64, mode: ReadMode) -> Result<(), ReadError> {
        let is_there = offset
            .checked_add(bytes.len() as u64)
            .is_some_and(|end| end <= self.end());
        if !is_there {
            return Err(ReadError::Damaged);
        }
        match mode {
            ReadMode::Wait => self.file.read_exact_at(bytes, offset).map_err(cut_off),
            ReadMode::NoWait => self.read_without_waiting(bytes, offset),
        }
    }

    fn read_without_waiting(&self, bytes: &mut [u8], offset: u64) -> Result<(), ReadError> {
        let mut done = 0;
        while done < bytes.len() {
            if self.must_wait.load(Ordering::Relaxed) {
                return Err(ReadError::WouldWait);
            }
            match self
                .file
                .read_at_once(&mut bytes[done..], offset + done as u64)
            {
                Ok(0) => return Err(ReadError::WouldWait),
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    self.must_wait.store(true, Ordering::Relaxed);
                }
                Err(error) => return Err(ReadError::Io(error)),
            }
        }
        Ok(())
    }

    /// The header of the record at a place, and its bytes.
    pub(super) fn header_at(
        &self,
        secret: &StoreSecret,
        offset: u64,
        mode: ReadMode,
    ) -> Result<(RecordHeader, [u8; HEADER_BYTES]), ReadError> {
        let mut bytes = [0; HEADER_BYTES];
        self.read_at(&mut bytes, offset, mode)?;
        let place = (u64::from(self.number), offset);
        let header = RecordHeader::decode(&bytes, secret, place).ok_or(ReadError::Damaged)?;
        Ok((header, bytes))
    }

    /// The entries of its footer; `None` if it has none, or a damaged one.
    pub(super) fn footer(&self) -> io::Result<Option<Vec<FooterEntry>>> {
        let read = |bytes: &mut [u8], offset| match self.read_at(bytes, offset, ReadMode::Wait) {
            Ok(()) => Ok(true),
            Err(ReadError::Io(error)) => Err(error),
            Err(_) => Ok(false),
        };
        let Some(at) = self.end().checked_sub(TRAILER_BYTES as u64) else {
            return Ok(None);
        };
        let mut trailer = [0; TRAILER_BYTES];
        if !read(&mut trailer, at)? {
            return Ok(None);
        }
        let Some(trailer) = FooterTrailer::decode(&trailer) else {
            return Ok(None);
        };
        let length = u64::from(trailer.entries) * ENTRY_BYTES as u64;
        if trailer.offset.checked_add(length) != Some(at) {
            return Ok(None);
        }
        let mut bytes = vec![0; length as usize];
        if !read(&mut bytes, trailer.offset)? || crc32c::crc32c(&bytes) != trailer.checksum {
            return Ok(None);
        }
        let (entries, _) = bytes.as_chunks();
        // One of an unknown kind is as good as no footer.
        Ok(entries.iter().map(FooterEntry::decode).collect())
    }

    /// Searches it for records, from its beginning to its end. `found` hears of each. Where a header is
    /// damaged, the search goes on at the next record. Returns where the last one ends.
    pub(super) fn scan(
        &self,
        secret: &StoreSecret,
        mut found: impl FnMut(ScannedRecord),
    ) -> io::Result<u64> {
        let (mut at, end) = (HEADER_BYTES as u64, self.end());
        let (mut window, mut start) = (Vec::new(), at);
        let mut last = at;
        while at + HEADER_BYTES as u64 <= end {
            let read = self.window(&mut window, &mut start, at, HEADER_BYTES)?;
            let header: &[u8; HEADER_BYTES] = read.try_into().expect("of that length");
            let place = (u64::from(self.number), at);
            let header = RecordHeader::decode(header, secret, place)
                .filter(|header| header.record_len() <= end - at);
            let Some(header) = header else {
                at = match self.next_magic(&mut window, &mut start, at + ALIGNMENT)? {
                    Some(next) => next,
                    None => break,
                };
                continue;
            };
            let text = HEADER_BYTES + header.text_len();
            let text = &self.window(&mut window, &mut start, at, text)?[HEADER_BYTES..];
            let length = header.record_len();
            let is_sound = crc32c::crc32c(text) == header.text_checksum;
            let key = &text[..header.key_len as usize];
            found(ScannedRecord {
                entry: FooterEntry {
                    kind: header.kind,
                    hash: secret.hash(key),
                    offset: at as u32,
                    length: length as u32,
                },
                is_sound: is_sound || header.kind == RecordKind::Erased,
            });
            at += length;
            last = at;
        }
        Ok(last)
    }

    /// So many bytes from `at` on, out of a window that moves with them.
    fn window<'w>(
        &self,
        window: &'w mut Vec<u8>,
        start: &mut u64,
        at: u64,
        length: usize,
    ) -> io::Result<&'w [u8]> {
        if at < *start || at + length as u64 > start.saturating_add(window.len() as u64) {
            let rest = self.end().saturating_sub(at) as usize;
            if rest < length {
                // It was cut off meanwhile.
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            window.resize(rest.min(length.max(SCAN_BYTES)), 0);
            // What fails to be read is not part of the window.
            *start = u64::MAX;
            self.file.read_exact_at(window, at)?;
            *start = at;
        }
        let from = (at - *start) as usize;
        Ok(&window[from..from + length])
    }

    /// Where the next bytes are that begin like a record, from `at` on.
    fn next_magic(
        &self,
        window: &mut Vec<u8>,
        start: &mut u64,
        mut at: u64,
    ) -> io::Result<Option<u64>> {
        while at + HEADER_BYTES as u64 <= self.end() {
            let magic = self.window(window, start, at, RECORD_MAGIC.len())?;
            if *magic == RECORD_MAGIC {
                return Ok(Some(at));
            }
            at += ALIGNMENT;
        }
        Ok(None)
    }
}

/// A file that ends too early is damaged.
fn cut_off(error: io::Error) -> ReadError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => ReadError::Damaged,
        _ => ReadError::Io(error),
    }
}

impl StoredRecord {
    /// Reads the record at a place. `segment_of` gives the segments with its content.
    pub(super) fn read(
        segment: Arc<Segment>,
        place: RecordPlace,
        secret: &StoreSecret,
        reading: RecordReading,
        segment_of: impl Fn(u64) -> Option<Arc<Segment>>,
    ) -> Result<StoredRecord, ReadError> {
        let offset = u64::from(place.offset);
        let RecordReading { mode, at_once } = reading;
        let mut bytes = ReadBuffer::new(match place.length as usize {
            length if length <= at_once => length,
            length => length.min(READ_AT_ONCE),
        });
        segment.read_at(&mut bytes, offset, mode)?;
        let sealed: [u8; HEADER_BYTES] = *bytes.first_chunk().ok_or(ReadError::Damaged)?;
        let at = (u64::from(segment.number), offset);
        let header = RecordHeader::decode(&sealed, secret, at).ok_or(ReadError::Damaged)?;
        if header.record_len() != u64::from(place.length) {
            return Err(ReadError::Damaged);
        }
        let text_end = HEADER_BYTES + header.text_len();
        let read = bytes.len();
        if read < text_end {
            bytes = bytes.resized(text_end);
            segment.read_at(&mut bytes[read..], offset + read as u64, mode)?;
        }
        let is_sound = crc32c::crc32c(&bytes[HEADER_BYTES..text_end]) == header.text_checksum;
        if !is_sound || header.kind == RecordKind::Erased {
            return Err(ReadError::Damaged);
        }
        let mut record = StoredRecord {
            header,
            place,
            bytes,
            content: Vec::new(),
        };
        if header.extents == 0 {
            record.content.push(ContentPart {
                segment,
                header: sealed,
                record: offset,
                start: offset + header.content_start(),
                length: header.content_len,
            });
            return Ok(record);
        }
        let extents = text_end - header.extents as usize * EXTENT_BYTES..text_end;
        let (extents, _) = record.bytes[extents].as_chunks();
        let extents: Vec<Extent> = extents.iter().map(Extent::decode).collect();
        for extent in extents {
            let segment = segment_of(extent.segment).ok_or(ReadError::Gone)?;
            let (header, sealed) = segment.header_at(secret, extent.offset, mode)?;
            let is_it = header.content_len == extent.content_len
                && header.extents == 0
                && header.kind != RecordKind::Erased;
            if !is_it {
                return Err(ReadError::Damaged);
            }
            record.content.push(ContentPart {
                segment,
                header: sealed,
                record: extent.offset,
                start: extent.offset + header.content_start(),
                length: extent.content_len,
            });
        }
        Ok(record)
    }

    /// Where it is.
    pub fn place(&self) -> RecordPlace {
        self.place
    }

    /// Its key.
    pub fn key(&self) -> &[u8] {
        &self.bytes[HEADER_BYTES..HEADER_BYTES + self.header.key_len as usize]
    }

    /// Its head.
    pub fn head(&self) -> &[u8] {
        let start = HEADER_BYTES + self.header.key_len as usize;
        &self.bytes[start..start + self.header.head_len as usize]
    }

    /// The length of its content, in bytes.
    pub fn content_len(&self) -> u64 {
        self.content.iter().map(|part| part.length).sum()
    }

    /// The number of pieces of its content. All but the last of each extent have [`PIECE_BYTES`].
    pub fn pieces(&self) -> u64 {
        self.content.iter().map(ContentPart::pieces).sum()
    }

    /// Where its content lies, for a record with a new head for it.
    pub fn extents(&self) -> Vec<Extent> {
        let of = |part: &ContentPart| Extent {
            segment: u64::from(part.segment.number),
            offset: part.record,
            content_len: part.length,
        };
        self.content.iter().map(of).collect()
    }

    /// The number of the piece with the byte at an offset of its content, and the byte's place in the
    /// piece; `None` behind the end.
    pub fn piece_at(&self, mut offset: u64) -> Option<(u64, usize)> {
        let mut before = 0;
        for part in &self.content {
            if offset < part.length {
                let piece = offset / PIECE_BYTES as u64;
                return Some((before + piece, (offset % PIECE_BYTES as u64) as usize));
            }
            offset -= part.length;
            before += part.pieces();
        }
        None
    }

    /// The bytes of a piece of its content, counted from 0.
    ///
    /// # Errors
    /// [`ReadError`]; `Damaged` too if there is no such piece.
    pub fn piece(&self, piece: u64, mode: ReadMode) -> Result<Vec<u8>, ReadError> {
        let mut bytes = Vec::new();
        self.append_piece(piece, mode, &mut bytes)?;
        Ok(bytes)
    }

    /// The same, behind the bytes of `to`. Those are as before if it fails.
    ///
    /// # Errors
    /// As [`StoredRecord::piece`].
    pub fn append_piece(
        &self,
        piece: u64,
        mode: ReadMode,
        to: &mut Vec<u8>,
    ) -> Result<(), ReadError> {
        let mut number = piece;
        for part in &self.content {
            if number < part.pieces() {
                let before = to.len();
                let appended = self.append_piece_of(part, number, mode, to);
                return appended.inspect_err(|_| to.truncate(before));
            }
            number -= part.pieces();
        }
        Err(ReadError::Damaged)
    }

    fn append_piece_of(
        &self,
        part: &ContentPart,
        number: u64,
        mode: ReadMode,
        to: &mut Vec<u8>,
    ) -> Result<(), ReadError> {
        let length = part.piece_length(number);
        let skipped = number * (PIECE_BYTES + CHECKSUM_BYTES) as u64;
        match self.read_already(number, length) {
            Some(bytes) => {
                part.check(number, bytes)?;
                to.extend_from_slice(&bytes[..length]);
            }
            None => {
                let before = to.len();
                to.resize(before + length + CHECKSUM_BYTES, 0);
                let bytes = &mut to[before..];
                part.segment.read_at(bytes, part.start + skipped, mode)?;
                part.check(number, bytes)?;
                to.truncate(before + length);
            }
        }
        Ok(())
    }

    /// A piece with its checksum, if it was read together with the head.
    fn read_already(&self, number: u64, length: usize) -> Option<&[u8]> {
        let place = self.place_of(number, length)?;
        self.bytes.get(place.start..place.end + CHECKSUM_BYTES)
    }

    /// Where a piece lies in what was read, if it was; `None` if its content follows other records.
    fn place_of(&self, number: u64, length: usize) -> Option<Range<usize>> {
        if self.header.extents != 0 {
            return None;
        }
        let start = self.header.content_start() + number * (PIECE_BYTES + CHECKSUM_BYTES) as u64;
        let start = usize::try_from(start).ok()?;
        Some(start..start + length)
    }

    /// What was read, and where the pieces of the content lie in it; the record itself if that isn't all
    /// there.
    ///
    /// # Errors
    /// [`ReadError::Damaged`].
    pub fn into_content(self) -> Result<Result<ContentInBuffer, StoredRecord>, ReadError> {
        let [part] = &self.content[..] else {
            return Ok(Err(self));
        };
        let mut pieces = Vec::with_capacity(part.pieces() as usize);
        for number in 0..part.pieces() {
            let length = part.piece_length(number);
            let read = self.read_already(number, length);
            let (Some(bytes), Some(place)) = (read, self.place_of(number, length)) else {
                return Ok(Err(self));
            };
            part.check(number, bytes)?;
            pieces.push(place);
        }
        Ok(Ok(ContentInBuffer {
            buffer: self.bytes,
            pieces,
        }))
    }
}
