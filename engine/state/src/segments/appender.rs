//! Where the next record goes, and its bytes on their way to the disk.

use std::io;
use std::sync::Arc;

use super::index::RecordPlace;
use super::layout::{
    ALIGNMENT, CHECKSUM_BYTES, EXTENT_BYTES, FooterEntry, HEADER_BYTES, MAX_EXTENTS,
    MAX_HEAD_BYTES, MAX_KEY_BYTES, PIECE_BYTES, RecordHeader, RecordKind, StoreSecret,
    piece_checksum,
};
use super::new_record::NewRecord;
use super::segment::Segment;

/// Where the next record goes.
#[derive(Debug)]
pub(super) struct Appender {
    /// The newest segment; `None` until the first record.
    pub(super) segment: Option<Arc<Segment>>,
    /// The number of the next segment.
    pub(super) next: u32,
    /// The entries of the newest segment, for its footer.
    pub(super) entries: Vec<FooterEntry>,
    /// Removals of segments that could not be sealed.
    pub(super) unsealed_removals: Vec<RecordPlace>,
    /// Bytes on their way to the disk.
    pub(super) buffer: Vec<u8>,
}

impl Appender {
    /// Writes a record for a place into the buffer.
    pub(super) fn fill(
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

    /// Writes the footer of the newest segment, and has all of it on disk. If that fails, a power failure may
    /// take any of its records at any later time. Of responses, older ones are used then, as after a process
    /// that was killed. But what was removed would be found again: those records are to be appended again.
    pub(super) fn seal(&mut self) -> io::Result<()> {
        let entries = std::mem::take(&mut self.entries);
        let Some(segment) = self.segment.take() else {
            return Ok(());
        };
        let sealed = segment.seal(&entries);
        if sealed.is_err() {
            let removals = entries.iter();
            let removals = removals.filter(|entry| entry.kind == RecordKind::Removal);
            let places = removals.map(|entry| RecordPlace {
                segment: segment.number,
                offset: entry.offset,
                length: entry.length,
            });
            self.unsealed_removals.extend(places);
        }
        sealed
    }
}

pub(super) fn content_len(record: &NewRecord<'_>) -> u64 {
    record.content.iter().map(|bytes| bytes.len() as u64).sum()
}

/// The length of a record; `None` if a part of it is beyond its bound.
pub(super) fn length_of(record: &NewRecord<'_>) -> Option<u64> {
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
