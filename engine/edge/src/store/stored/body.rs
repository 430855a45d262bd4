//! The content of stored responses.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{BufMut, Bytes, BytesMut};

use super::super::weight::{ARC_BYTES, SHARED_BYTES, allocated};
use super::outside::OutsideContent;

/// Stored content. Cheap to clone: clones share their bytes. Content up to a mebibyte is one piece;
/// of longer content, a fill makes as few pieces as it can.
#[derive(Clone, Debug)]
pub struct StoredBody(Content);

#[derive(Clone, Debug)]
enum Content {
    One(Bytes),
    Many(Arc<Pieces>),
}

/// Pieces from this length on, in bytes, are counted as long as anybody holds them. Those of a
/// smaller body lie in the buffers of the sockets, however slow its client is.
const LARGE_PIECE: usize = 64 * 1024;

/// The large pieces of stored responses in memory: in the store, or held by clients that still read
/// a response which has left it.
#[derive(Debug, Default)]
pub(in crate::store) struct LargePieces {
    /// Bytes of all that are held.
    held: AtomicU64,
    /// Bytes of those in the store.
    stored: AtomicU64,
}

/// A large piece that counts.
struct CountedPiece {
    bytes: Bytes,
    pieces: Arc<LargePieces>,
}

#[derive(Debug)]
struct Pieces {
    all: Box<[Bytes]>,
    /// Bytes of all pieces together, or of the content outside.
    len: u64,
    /// The content, if it is not in memory.
    outside: Option<Arc<dyn OutsideContent>>,
    /// Whether it lies in a buffer with other bytes.
    is_in_buffer: bool,
}

impl StoredBody {
    /// Content up to this length, in bytes, is stored in one piece.
    pub(in crate::store) const ONE_PIECE: u64 = 1024 * 1024;
    /// Pieces of fewer bytes than this on average are joined: many combined parts of a few bytes
    /// shouldn't need a structure each.
    const CRUMB: u64 = 8 * 1024;

    /// The content of `pieces`, in their order.
    pub fn new(pieces: Vec<Bytes>) -> StoredBody {
        let len: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        let is_crumbled = pieces.len() as u64 > len / StoredBody::CRUMB;
        if pieces.len() <= 1 || (len > StoredBody::ONE_PIECE && !is_crumbled) {
            return StoredBody::of(pieces, len);
        }
        StoredBody::of(joined(&pieces, len), len)
    }

    /// Content of `len` bytes that is not there: it weighs what such content weighs, and has no
    /// pieces. For rehearsals, whose answers go to no client.
    pub fn phantom(len: u64) -> StoredBody {
        StoredBody::of(Vec::new(), len)
    }

    /// Whether the content is not there.
    pub fn is_phantom(&self) -> bool {
        self.pieces().is_empty() && !self.is_empty() && !self.is_outside()
    }

    /// Content that is not in memory. It has no pieces, and no slices.
    pub fn outside(content: Arc<dyn OutsideContent>) -> StoredBody {
        StoredBody(Content::Many(Arc::new(Pieces {
            all: Box::default(),
            len: content.length(),
            outside: Some(content),
            is_in_buffer: false,
        })))
    }

    /// Content in pieces of a buffer, which has other bytes too and may be used again: not for the
    /// store.
    pub(in crate::store) fn in_buffer(pieces: Vec<Bytes>) -> StoredBody {
        StoredBody(Content::Many(Arc::new(Pieces {
            len: pieces.iter().map(|piece| piece.len() as u64).sum(),
            all: pieces.into(),
            outside: None,
            is_in_buffer: true,
        })))
    }

    /// The same content in memory of its own, for the store.
    pub(in crate::store) fn to_own(&self) -> StoredBody {
        match self.is_in_buffer() {
            true => StoredBody::of(joined(self.pieces(), self.len()), self.len()),
            false => self.clone(),
        }
    }

    fn is_in_buffer(&self) -> bool {
        match &self.0 {
            Content::One(_) => false,
            Content::Many(pieces) => pieces.is_in_buffer,
        }
    }

    /// Whether it is not in memory.
    pub fn is_outside(&self) -> bool {
        self.as_outside().is_some()
    }

    /// The content that is not in memory; `None` if it is.
    #[inline]
    pub fn as_outside(&self) -> Option<&Arc<dyn OutsideContent>> {
        match &self.0 {
            Content::One(_) => None,
            Content::Many(pieces) => pieces.outside.as_ref(),
        }
    }

    /// The same content, counted in `large` as long as anybody holds its pieces.
    pub(in crate::store) fn counted(&self, large: &Arc<LargePieces>) -> StoredBody {
        self.counted_beside(large, &[])
    }

    /// The same; these pieces, and parts of them, count already.
    pub(in crate::store) fn counted_beside(
        &self,
        large: &Arc<LargePieces>,
        counting: &[Bytes],
    ) -> StoredBody {
        if self.is_outside() || !self.pieces().iter().any(is_large) {
            return self.clone();
        }
        let is_in_buffer = self.is_in_buffer();
        let pieces = self.pieces().iter();
        // A piece keeps all of its buffer.
        let counts = |piece: &Bytes| counting.iter().any(|counting| is_within(piece, counting));
        let counted =
            pieces.map(
                |piece| match (is_in_buffer || is_large(piece)) && !counts(piece) {
                    true => CountedPiece::new(piece.clone(), large),
                    false => piece.clone(),
                },
            );
        match is_in_buffer {
            true => StoredBody::in_buffer(counted.collect()),
            false => StoredBody::of(counted.collect(), self.len()),
        }
    }

    /// Bytes of its large pieces.
    pub(in crate::store) fn large_bytes(&self) -> u64 {
        let large = self.pieces().iter().filter(|piece| is_large(piece));
        large.map(|piece| piece.len() as u64).sum()
    }

    /// Content of `len` bytes in these pieces, without joining them.
    fn of(mut pieces: Vec<Bytes>, len: u64) -> StoredBody {
        match pieces.pop() {
            Some(piece) if pieces.is_empty() => StoredBody(Content::One(piece)),
            last => StoredBody(Content::Many(Arc::new(Pieces {
                all: pieces.into_iter().chain(last).collect(),
                len,
                outside: None,
                is_in_buffer: false,
            }))),
        }
    }

    /// Whether both are the same bytes in one place of the memory. Content without bytes is never
    /// the same.
    pub(super) fn is_same(&self, other: &StoredBody) -> bool {
        let place = |body: &StoredBody| body.pieces().first().map(|piece| piece.as_ptr());
        if let (Some(own), Some(other)) = (self.as_outside(), other.as_outside()) {
            return Arc::ptr_eq(own, other);
        }
        let is_there = !self.is_empty() && !self.is_phantom();
        is_there && self.len() == other.len() && place(self) == place(other)
    }

    /// The length in bytes.
    pub fn len(&self) -> u64 {
        match &self.0 {
            Content::One(piece) => piece.len() as u64,
            Content::Many(pieces) => pieces.len,
        }
    }

    /// Whether there is no content.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The pieces in memory, in order.
    pub fn pieces(&self) -> &[Bytes] {
        match &self.0 {
            Content::One(piece) => std::slice::from_ref(piece),
            Content::Many(pieces) => &pieces.all,
        }
    }

    /// The memory that it uses, in bytes, beside this structure.
    pub(in crate::store) fn weight(&self) -> u64 {
        if self.is_phantom() {
            return phantom_weight(self.len());
        }
        let list = match &self.0 {
            Content::One(_) => 0,
            Content::Many(pieces) => {
                allocated(ARC_BYTES + size_of::<Pieces>()) + allocated(size_of_val(&*pieces.all))
            }
        };
        let pieces = self.pieces().iter();
        let content: usize = pieces
            .map(|piece| allocated(piece.len()) + SHARED_BYTES)
            .sum();
        (list + content) as u64
    }

    /// The bytes of `range`, which must lie within the content, as pieces that share the stored
    /// memory. Of content outside of memory there are none.
    pub fn slice(&self, range: Range<u64>) -> Vec<Bytes> {
        self.pieces_of(range)
            .map(|(piece, within)| piece.slice(within))
            .collect()
    }

    /// As [`StoredBody::slice`], for storing: the pieces keep no other memory alive.
    pub(super) fn cut(&self, range: Range<u64>) -> Vec<Bytes> {
        self.pieces_of(range)
            .map(|(piece, within)| cut(piece, within))
            .collect()
    }

    /// The pieces that hold bytes of `range`, with the places of the bytes in them.
    fn pieces_of(&self, range: Range<u64>) -> impl Iterator<Item = (&Bytes, Range<usize>)> {
        let mut offset = 0_u64;
        self.pieces().iter().filter_map(move |piece| {
            let (start, end) = (offset, offset + piece.len() as u64);
            offset = end;
            let (from, to) = (range.start.max(start), range.end.min(end));
            (from < to).then(|| (piece, (from - start) as usize..(to - start) as usize))
        })
    }
}

impl LargePieces {
    /// Bytes that are held although they have left the store.
    pub(in crate::store) fn left(&self) -> u64 {
        let stored = self.stored.load(Ordering::Relaxed);
        self.held.load(Ordering::Relaxed).saturating_sub(stored)
    }

    /// Counts `bytes` that enter the store.
    pub(in crate::store) fn enter(&self, bytes: u64) {
        self.stored.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts `bytes` that leave the store.
    pub(in crate::store) fn leave(&self, bytes: u64) {
        self.stored.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl CountedPiece {
    #[allow(
        clippy::new_ret_no_self,
        reason = "it is of use as the owner of bytes only"
    )]
    fn new(bytes: Bytes, pieces: &Arc<LargePieces>) -> Bytes {
        let length = bytes.len() as u64;
        pieces.held.fetch_add(length, Ordering::Relaxed);
        let pieces = Arc::clone(pieces);
        Bytes::from_owner(CountedPiece { bytes, pieces })
    }
}

impl AsRef<[u8]> for CountedPiece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for CountedPiece {
    fn drop(&mut self) {
        let length = self.bytes.len() as u64;
        self.pieces.held.fetch_sub(length, Ordering::Relaxed);
    }
}

/// What content of `len` bytes would use, if it were there.
#[cold]
fn phantom_weight(len: u64) -> u64 {
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    (allocated(len) + SHARED_BYTES) as u64
}

fn is_large(piece: &Bytes) -> bool {
    piece.len() >= LARGE_PIECE
}

/// Whether a piece lies in the memory of another one.
fn is_within(piece: &Bytes, other: &Bytes) -> bool {
    let (own, other) = (piece.as_ptr_range(), other.as_ptr_range());
    other.start <= own.start && own.end <= other.end
}

/// The bytes of `within`, without keeping the others alive.
fn cut(piece: &Bytes, within: Range<usize>) -> Bytes {
    if within.len() == piece.len() {
        piece.clone()
    } else {
        Bytes::copy_from_slice(&piece[within])
    }
}

/// Joins pieces of `len` bytes in all to pieces of at most [`StoredBody::ONE_PIECE`] bytes; one
/// that is longer stays alone.
fn joined(pieces: &[Bytes], len: u64) -> Vec<Bytes> {
    let mut joined: Vec<BytesMut> = Vec::new();
    let mut left = len;
    for piece in pieces {
        match joined.last_mut() {
            Some(last) if last.len() + piece.len() <= last.capacity() => last.put_slice(piece),
            _ => {
                let capacity = left.min(StoredBody::ONE_PIECE).max(piece.len() as u64);
                let mut next = BytesMut::with_capacity(capacity as usize);
                next.put_slice(piece);
                joined.push(next);
            }
        }
        left -= piece.len() as u64;
    }
    joined.into_iter().map(BytesMut::freeze).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pieces_are_joined_and_large_ones_stay() {
        let bytes = |body: &StoredBody| body.pieces().concat();
        for (pieces, each, joined) in [
            (3, 10, 1),
            (300, 10_000, 300),
            (3_000, 1_000, 3),
            (2, 2 << 20, 2),
            (1, 5, 1),
            (0, 0, 0),
        ] {
            let body = StoredBody::new(
                (0..pieces)
                    .map(|at| Bytes::from(vec![at as u8; each]))
                    .collect(),
            );
            assert_eq!(
                (body.pieces().len(), body.len()),
                (joined, (pieces * each) as u64),
                "{pieces} of {each}"
            );
            assert_eq!(
                bytes(&body),
                (0..pieces)
                    .flat_map(|at| vec![at as u8; each])
                    .collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn a_phantom_weighs_what_its_content_would() {
        let large = Arc::new(LargePieces::default());
        for len in [0, 1, 1_000, 70_000, 1 << 20] {
            let real = StoredBody::new(vec![Bytes::from(vec![0; len as usize])]);
            let phantom = StoredBody::phantom(len).counted(&large);
            assert_eq!(phantom.len(), len);
            assert_eq!(phantom.is_phantom(), len > 0);
            assert!(phantom.pieces().is_empty() && !phantom.is_same(&phantom.clone()));
            if len > 0 {
                assert_eq!(phantom.weight(), real.weight(), "{len}");
            }
        }
        assert_eq!(large.left(), 0);
    }

    #[test]
    fn large_pieces_count_as_long_as_they_are_held() {
        let large = Arc::new(LargePieces::default());
        let small = StoredBody::new(vec![Bytes::from(vec![0; LARGE_PIECE - 1])]);
        assert_eq!(small.large_bytes(), 0);
        let small = small.counted(&large);
        assert_eq!((small.len(), large.left()), (LARGE_PIECE as u64 - 1, 0));
        let body = StoredBody::new(vec![Bytes::from(vec![7; 1 << 20]); 3]).counted(&large);
        assert_eq!(body.large_bytes(), 3 << 20);
        large.enter(body.large_bytes());
        assert_eq!(large.left(), 0);
        let sent = body.slice(10..20);
        large.leave(body.large_bytes());
        assert_eq!(large.left(), 3 << 20);
        drop(body);
        assert_eq!(large.left(), 1 << 20, "a part of the first piece is held");
        assert_eq!(sent.concat(), [7; 10]);
        drop(sent);
        assert_eq!(large.left(), 0);
    }

    #[test]
    fn a_cut_piece_keeps_no_other_memory_alive() {
        let whole = Bytes::from(vec![7; 1_000]);
        let body = StoredBody::new(vec![whole.clone()]);
        assert_eq!(body.cut(0..1_000)[0].as_ptr(), whole.as_ptr());
        let cut = body.cut(10..12);
        assert!(cut[0] == whole[10..12] && !whole.as_ptr_range().contains(&cut[0].as_ptr()));
    }

    #[test]
    fn content_of_a_buffer_is_copied_for_the_store() {
        let buffer = Bytes::from(vec![7; 3_000]);
        let pieces = vec![buffer.slice(10..1_000), buffer.slice(1_010..2_000)];
        let own = StoredBody::in_buffer(pieces).to_own();
        let [piece] = own.pieces() else {
            panic!("it is one piece")
        };
        assert!(own.len() == 1_980 && piece[..] == [7; 1_980]);
        assert!(!buffer.as_ptr_range().contains(&piece.as_ptr()));
        assert_eq!(own.to_own().pieces()[0].as_ptr(), piece.as_ptr());
        assert!(StoredBody::in_buffer(Vec::new()).to_own().is_empty());
    }

    #[test]
    fn a_slice_crosses_pieces() {
        let body = StoredBody::of(
            vec![Bytes::from_static(b"abc"), Bytes::from_static(b"def")],
            6,
        );
        let joined = |range| body.slice(range).concat();
        assert_eq!(joined(0..6), b"abcdef");
        assert_eq!(joined(2..4), b"cd");
        assert_eq!(joined(3..3), b"");
        assert_eq!(joined(5..6), b"f");
    }
}
