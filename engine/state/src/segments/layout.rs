//! The bytes of a segment, version 1. All numbers are little-endian, all checksums CRC-32C. The page
//! `docs/disk-format.md` describes them for readers without this code.
//!
//! ```text
//! segment  = header record* [footer]
//! header   = 64 bytes: SegmentHeader
//! record   = 64 bytes: RecordHeader | key | head | extents | content | zeros up to a multiple of 8
//! extents  = 24 bytes each: number of a segment, place of a record in it, length of its content
//! content  = pieces of 64 KiB, the last one shorter, each followed by 4 bytes of checksum
//! footer   = entries of 16 bytes each, then 32 bytes: FooterTrailer
//! ```
//!
//! Beside the segments lies `secret`: a segment's header with the number 0, so that the secret isn't
//! lost with the header of the only segment.
//!
//! A record's header ends with a seal: SipHash-1-3 of the rest and of the record's place, with the
//! store's secret as its key. So content that looks like a record never passes for one, even where a
//! damaged segment is searched for records byte by byte. A checksum of content goes on from the
//! seal and covers the number of the piece, so that no piece passes for another one.
//!
//! A record without content of its own names the records that have it, in `extents`: a new head for
//! old content, or content in several parts.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

/// The format that is read and written. A segment with another version is left alone.
pub const VERSION: u32 = 1;

/// The bytes of a segment's header, and of a record's header.
pub const HEADER_BYTES: usize = 64;
/// Records begin at multiples of this.
pub const ALIGNMENT: u64 = 8;
/// Content is checked in pieces of so many bytes.
pub const PIECE_BYTES: usize = 64 << 10;
/// The checksum behind each piece.
pub const CHECKSUM_BYTES: usize = 4;
/// The seal at the end of a record's header.
const SEAL_BYTES: usize = 8;
/// The longest content that follows one record.
pub const MAX_CONTENT_BYTES: u64 = u32::MAX as u64;
/// The longest key of a record.
pub const MAX_KEY_BYTES: usize = 64 << 10;
/// The longest head of a record.
pub const MAX_HEAD_BYTES: usize = 1 << 20;
/// The most extents of a record.
pub const MAX_EXTENTS: usize = 4_096;
/// The bytes of an extent.
pub const EXTENT_BYTES: usize = 24;
/// The bytes of an entry of a footer.
pub const ENTRY_BYTES: usize = 16;
/// The bytes at the end of a footer.
pub const TRAILER_BYTES: usize = 32;

const SEGMENT_MAGIC: [u8; 8] = *b"TEROSEG\n";
/// The first byte is no ASCII, so that text in content is seldom taken for a record.
pub(super) const RECORD_MAGIC: [u8; 8] = *b"\xf1TEROREC";
const FOOTER_MAGIC: [u8; 8] = *b"TEROEND\n";

/// Random bytes that all segments of a store share: the key of its hashes and seals.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StoreSecret(pub [u8; 16]);

/// It must not get into a log.
impl std::fmt::Debug for StoreSecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("StoreSecret")
    }
}

impl StoreSecret {
    /// The hash by which a key is found.
    pub fn hash(&self, key: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write(key);
        hasher.finish()
    }

    /// The seal of a record's header at a place of its segment.
    fn seal(&self, header: &[u8], offset: u64) -> [u8; SEAL_BYTES] {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write(b"record");
        hasher.write(&offset.to_le_bytes());
        hasher.write(header);
        hasher.finish().to_le_bytes()
    }
}

/// The beginning of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The secret of the store that it belongs to.
    pub secret: StoreSecret,
    /// Its number: as in its name.
    pub number: u64,
}

/// Why a segment's header can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderProblem {
    /// It isn't a segment, or its header is damaged.
    Damaged,
    /// Another version of tero wrote it.
    Version(u32),
}

impl SegmentHeader {
    /// Its bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&SEGMENT_MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.secret.0);
        bytes[32..40].copy_from_slice(&self.number.to_le_bytes());
        seal(&mut bytes);
        bytes
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`HeaderProblem`] if it is damaged or has another version.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<SegmentHeader, HeaderProblem> {
        if bytes[..8] != SEGMENT_MAGIC {
            return Err(HeaderProblem::Damaged);
        }
        // A later version may have other checksums, and begins with its own number all the same.
        let mut own = *bytes;
        own[8..12].copy_from_slice(&VERSION.to_le_bytes());
        match u32_at(bytes, 8) {
            VERSION if is_sealed(bytes) => Ok(SegmentHeader {
                secret: StoreSecret(array_at(bytes, 16)),
                number: u64_at(bytes, 32),
            }),
            // With this version it would be whole: its number is what is damaged.
            _ if is_sealed(&own) => Err(HeaderProblem::Damaged),
            VERSION => Err(HeaderProblem::Damaged),
            version => Err(HeaderProblem::Version(version)),
        }
    }
}

/// What a record is for. Its number stands in the record's header, and in the low bits of the length
/// in a footer's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// It is found by its key, beside earlier entries of that key.
    Entry,
    /// It holds a part of the content of an entry that comes after it.
    Extent,
    /// An entry in the place of all earlier ones of its key.
    Sole,
    /// All earlier entries of its key are gone.
    Removal,
    /// Its text and content were erased.
    Erased,
}

impl RecordKind {
    const ALL: [RecordKind; 5] = [
        RecordKind::Entry,
        RecordKind::Extent,
        RecordKind::Sole,
        RecordKind::Removal,
        RecordKind::Erased,
    ];

    fn number(self) -> u8 {
        match self {
            RecordKind::Entry => 1,
            RecordKind::Extent => 2,
            RecordKind::Sole => 3,
            RecordKind::Removal => 4,
            RecordKind::Erased => 5,
        }
    }

    fn of_number(number: u8) -> Option<RecordKind> {
        let mut all = RecordKind::ALL.into_iter();
        all.find(|kind| kind.number() == number)
    }

    /// Whether it is found by its key.
    pub fn is_found(self) -> bool {
        matches!(self, RecordKind::Entry | RecordKind::Sole)
    }

    /// Whether earlier entries of its key are not found any more.
    pub fn ends_earlier(self) -> bool {
        matches!(self, RecordKind::Sole | RecordKind::Removal)
    }
}

/// The beginning of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// What it is for.
    pub kind: RecordKind,
    /// The length of its key, at most [`MAX_KEY_BYTES`].
    pub key_len: u32,
    /// The length of its head, at most [`MAX_HEAD_BYTES`].
    pub head_len: u32,
    /// The number of its extents, at most [`MAX_EXTENTS`].
    pub extents: u32,
    /// The length of the content that follows it, in bytes; 0 if it has extents.
    pub content_len: u64,
    /// A mark of its user's, by which it tells old entries from new ones.
    pub mark: [u8; 16],
    /// The segment that it was written into.
    pub segment: u64,
    /// The checksum of key, head and extents.
    pub text_checksum: u32,
}

impl RecordHeader {
    /// Its bytes, for a place in its segment.
    pub fn encode(&self, secret: &StoreSecret, offset: u64) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&RECORD_MAGIC);
        bytes[8] = self.kind.number();
        // The key's length has three bytes: 64 KiB is allowed.
        bytes[9..12].copy_from_slice(&self.key_len.to_le_bytes()[..3]);
        bytes[12..16].copy_from_slice(&self.head_len.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.extents.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.content_len.to_le_bytes());
        bytes[28..44].copy_from_slice(&self.mark);
        bytes[44..52].copy_from_slice(&self.segment.to_le_bytes());
        bytes[52..56].copy_from_slice(&self.text_checksum.to_le_bytes());
        let seal = secret.seal(&bytes[..HEADER_BYTES - SEAL_BYTES], offset);
        bytes[HEADER_BYTES - SEAL_BYTES..].copy_from_slice(&seal);
        bytes
    }

    /// Reads it; `None` if it is damaged, or was not written for this place.
    pub fn decode(
        bytes: &[u8; HEADER_BYTES],
        secret: &StoreSecret,
        (segment, offset): (u64, u64),
    ) -> Option<RecordHeader> {
        let (text, seal) = bytes.split_at(HEADER_BYTES - SEAL_BYTES);
        if bytes[..8] != RECORD_MAGIC || secret.seal(text, offset) != seal {
            return None;
        }
        let header = RecordHeader {
            kind: RecordKind::of_number(bytes[8])?,
            key_len: u32_at(bytes, 8) >> 8,
            head_len: u32_at(bytes, 12),
            extents: u32_at(bytes, 16),
            content_len: u64_at(bytes, 20),
            mark: array_at(bytes, 28),
            segment: u64_at(bytes, 44),
            text_checksum: u32_at(bytes, 52),
        };
        let is_sound = header.key_len as usize <= MAX_KEY_BYTES
            && header.head_len as usize <= MAX_HEAD_BYTES
            && header.extents as usize <= MAX_EXTENTS
            && header.content_len <= MAX_CONTENT_BYTES
            && header.segment == segment;
        is_sound.then_some(header)
    }

    /// The length of key, head and extents together.
    pub fn text_len(&self) -> usize {
        self.key_len as usize + self.head_len as usize + self.extents as usize * EXTENT_BYTES
    }

    /// Where its content begins, from the beginning of the record.
    pub fn content_start(&self) -> u64 {
        (HEADER_BYTES + self.text_len()) as u64
    }

    /// The length of the whole record.
    pub fn record_len(&self) -> u64 {
        let pieces = self.content_len.div_ceil(PIECE_BYTES as u64);
        let checksums = pieces * CHECKSUM_BYTES as u64;
        (self.content_start() + self.content_len + checksums).next_multiple_of(ALIGNMENT)
    }
}

/// The checksum of a piece of the content of the record with this header.
pub(super) fn piece_checksum(header: &[u8; HEADER_BYTES], piece: u32, content: &[u8]) -> u32 {
    let seed = u32_at(header, HEADER_BYTES - SEAL_BYTES);
    crc32c::crc32c_append(crc32c::crc32c_append(seed, &piece.to_le_bytes()), content)
}

/// Content that lies with another record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The number of the segment.
    pub segment: u64,
    /// Where the record begins in it, in bytes.
    pub offset: u64,
    /// The length of its content, in bytes.
    pub content_len: u64,
}

impl Extent {
    pub(super) fn encode(&self) -> [u8; EXTENT_BYTES] {
        let mut bytes = [0; EXTENT_BYTES];
        bytes[..8].copy_from_slice(&self.segment.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_le_bytes());
        bytes[16..].copy_from_slice(&self.content_len.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; EXTENT_BYTES]) -> Extent {
        Extent {
            segment: u64_at(bytes, 0),
            offset: u64_at(bytes, 8),
            content_len: u64_at(bytes, 16),
        }
    }
}

/// An entry of a footer: where a record is that means a key, and the hash of that key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FooterEntry {
    /// What the record is for: never an extent.
    pub kind: RecordKind,
    /// [`StoreSecret::hash`] of the key.
    pub hash: u64,
    /// Where the record begins, in bytes.
    pub offset: u32,
    /// The length of the record, in bytes.
    pub length: u32,
}

impl FooterEntry {
    pub(super) fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..8].copy_from_slice(&self.hash.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.offset.to_le_bytes());
        // Lengths are multiples of 8.
        let length = self.length | u32::from(self.kind.number());
        bytes[12..].copy_from_slice(&length.to_le_bytes());
        bytes
    }

    /// Reads it; `None` if it is of a kind that isn't known.
    pub(super) fn decode(bytes: &[u8; ENTRY_BYTES]) -> Option<FooterEntry> {
        let length = u32_at(bytes, 12);
        Some(FooterEntry {
            kind: RecordKind::of_number((length % ALIGNMENT as u32) as u8)?,
            hash: u64_at(bytes, 0),
            offset: u32_at(bytes, 8),
            length: length - length % ALIGNMENT as u32,
        })
    }
}

/// The end of a footer, and so of a sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FooterTrailer {
    /// How many entries there are.
    pub entries: u32,
    /// The checksum of the entries.
    pub checksum: u32,
    /// Where they begin: the end of the records.
    pub offset: u64,
}

impl FooterTrailer {
    pub(super) fn encode(&self) -> [u8; TRAILER_BYTES] {
        let mut bytes = [0; TRAILER_BYTES];
        bytes[..8].copy_from_slice(&FOOTER_MAGIC);
        bytes[8..12].copy_from_slice(&self.entries.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.checksum.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.offset.to_le_bytes());
        seal(&mut bytes);
        bytes
    }

    pub(super) fn decode(bytes: &[u8; TRAILER_BYTES]) -> Option<FooterTrailer> {
        (bytes[..8] == FOOTER_MAGIC && is_sealed(bytes)).then(|| FooterTrailer {
            entries: u32_at(bytes, 8),
            checksum: u32_at(bytes, 12),
            offset: u64_at(bytes, 16),
        })
    }
}

/// Writes the checksum of all other bytes into the last four.
fn seal(bytes: &mut [u8]) {
    let (text, checksum) = bytes.split_at_mut(bytes.len() - CHECKSUM_BYTES);
    checksum.copy_from_slice(&crc32c::crc32c(text).to_le_bytes());
}

fn is_sealed(bytes: &[u8]) -> bool {
    let (text, checksum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
    crc32c::crc32c(text).to_le_bytes() == checksum
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: StoreSecret = StoreSecret([5; 16]);
    const RECORD: RecordHeader = RecordHeader {
        kind: RecordKind::Entry,
        key_len: MAX_KEY_BYTES as u32,
        head_len: 7,
        extents: 2,
        content_len: 70_000,
        mark: [9; 16],
        segment: 3,
        text_checksum: 11,
    };

    /// The bytes with each of their bits flipped, one by one.
    fn flipped<const N: usize>(bytes: [u8; N]) -> impl Iterator<Item = [u8; N]> {
        (0..N * 8).map(move |bit| {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            damaged
        })
    }

    #[test]
    fn what_is_written_is_read_and_each_flipped_bit_is_noticed() {
        let segment = SegmentHeader {
            secret: SECRET,
            number: 42,
        };
        assert_eq!(SegmentHeader::decode(&segment.encode()), Ok(segment));
        assert!(flipped(segment.encode()).all(|bytes| SegmentHeader::decode(&bytes).is_err()));

        let bytes = RECORD.encode(&SECRET, 640);
        let read = |bytes: &_| RecordHeader::decode(bytes, &SECRET, (3, 640));
        assert_eq!(read(&bytes), Some(RECORD));
        assert!(flipped(bytes).all(|bytes| read(&bytes).is_none()));

        let trailer = FooterTrailer {
            entries: 3,
            checksum: 4,
            offset: 5,
        };
        assert_eq!(FooterTrailer::decode(&trailer.encode()), Some(trailer));
        assert!(flipped(trailer.encode()).all(|bytes| FooterTrailer::decode(&bytes).is_none()));
    }

    #[test]
    fn a_record_counts_at_its_own_place_and_in_its_own_store_only() {
        let bytes = RECORD.encode(&SECRET, 640);
        let other = StoreSecret([6; 16]);
        assert_eq!(RecordHeader::decode(&bytes, &SECRET, (4, 640)), None);
        assert_eq!(RecordHeader::decode(&bytes, &SECRET, (3, 648)), None);
        assert_eq!(RecordHeader::decode(&bytes, &other, (3, 640)), None);
    }

    #[test]
    fn lengths_beyond_the_bounds_are_refused() {
        for change in [
            |it: &mut RecordHeader| it.key_len = MAX_KEY_BYTES as u32 + 1,
            |it: &mut RecordHeader| it.head_len = MAX_HEAD_BYTES as u32 + 1,
            |it: &mut RecordHeader| it.extents = MAX_EXTENTS as u32 + 1,
            |it: &mut RecordHeader| it.content_len = MAX_CONTENT_BYTES + 1,
        ] {
            let mut record = RECORD;
            change(&mut record);
            let bytes = record.encode(&SECRET, 64);
            assert_eq!(RecordHeader::decode(&bytes, &SECRET, (3, 64)), None);
        }
    }

    #[test]
    fn a_version_of_the_future_is_told_from_damage() {
        let header = SegmentHeader {
            secret: SECRET,
            number: 1,
        };
        let mut bytes = header.encode();
        bytes[8] = 2;
        let expected = Err(HeaderProblem::Damaged);
        assert_eq!(SegmentHeader::decode(&bytes), expected, "a flipped bit");
        bytes[HEADER_BYTES - 1] ^= 1;
        let expected = Err(HeaderProblem::Version(2));
        assert_eq!(SegmentHeader::decode(&bytes), expected);
        let expected = Err(HeaderProblem::Damaged);
        assert_eq!(SegmentHeader::decode(&[0; HEADER_BYTES]), expected);
    }

    #[test]
    fn a_footer_tells_kinds_beside_lengths() {
        for kind in RecordKind::ALL {
            let entry = FooterEntry {
                kind,
                hash: 7,
                offset: 64,
                length: 128,
            };
            assert_eq!(FooterEntry::decode(&entry.encode()), Some(entry));
        }
        assert_eq!(FooterEntry::decode(&[0; ENTRY_BYTES]), None);
    }

    #[test]
    fn the_length_of_a_record_has_all_its_parts() {
        let text = MAX_KEY_BYTES + 7 + 2 * EXTENT_BYTES;
        assert_eq!(RECORD.text_len(), text);
        let whole = (HEADER_BYTES + text + 70_000 + 2 * CHECKSUM_BYTES) as u64;
        assert_eq!(RECORD.record_len(), whole.next_multiple_of(8));
    }
}
