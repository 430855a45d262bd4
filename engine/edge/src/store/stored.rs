//! A stored response: head, body, and what decides over its reuse (RFC 9111 §3).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use bytes::{BufMut, Bytes, BytesMut};
use http::StatusCode;

use super::fields::StoredFields;
use super::weight::{ARC_BYTES, SHARED_BYTES, TAG_BYTES, allocated};
use tero_semantics::freshness::Freshness;
use tero_semantics::partial::are_combinable;
use tero_semantics::partial::{ByteRuns, RunPiece};
use tero_semantics::validation::updated_fields;
use tero_semantics::vary::SecondaryKey;

/// The head of a stored response, and what decides over its reuse.
#[derive(Clone, Debug)]
pub struct StoredHead {
    /// Status of the response.
    pub status: StatusCode,
    /// Its end-to-end fields (§3.1), with its surrogate keys, sorted, and why the policies decided
    /// so.
    pub fields: StoredFields,
    /// Its lifetime and age.
    pub freshness: Freshness,
    /// Which requests select it (§4.1).
    pub secondary_key: SecondaryKey,
    /// How long browsers may keep it, in seconds, where a policy says so.
    pub browser_ttl_secs: Option<u32>,
    /// The index of the site that it belongs to.
    pub site: u32,
    /// The run of a warming plan that fetched it; 0 where a visitor did.
    pub warm_run: u64,
}

/// A response kept under a key.
#[derive(Debug)]
pub struct StoredResponse {
    /// Its head.
    pub head: StoredHead,
    /// Its content; of a part, the runs that are there, one after the other.
    pub body: StoredBody,
    /// Which bytes of the whole those are, where they are not all. Such a response lies under a key
    /// of its own ([`super::Store::part`]), so that no look-up takes it for a whole one.
    pub parts: Option<Box<ByteRuns>>,
    /// Requests answered from it that have not been counted as popularity yet.
    pub uncounted_hits: AtomicU32,
    /// Those that have.
    pub counted_hits: AtomicU32,
    /// Whether a visitor has been answered from it.
    pub used: AtomicBool,
    /// Tells this stored response from every other, also under the same key.
    pub id: u64,
}

impl StoredResponse {
    /// A stored response that nobody has used yet.
    pub fn new(head: StoredHead, body: StoredBody) -> StoredResponse {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let (uncounted_hits, counted_hits) = (AtomicU32::new(0), AtomicU32::new(0));
        StoredResponse {
            head,
            body,
            parts: None,
            uncounted_hits,
            counted_hits,
            used: AtomicBool::new(false),
            id,
        }
    }

    /// What is stored of a response that is not all there: `body` holds the bytes of `parts`, one
    /// run after the other.
    pub fn of_parts(head: StoredHead, body: StoredBody, parts: ByteRuns) -> StoredResponse {
        StoredResponse {
            parts: Some(Box::new(parts)),
            ..StoredResponse::new(head, body)
        }
    }

    /// The length of the whole content, in bytes.
    pub fn length(&self) -> u64 {
        self.parts
            .as_ref()
            .map_or(self.body.len(), |parts| parts.length())
    }

    /// The bytes of `range` of the whole content, as pieces that share what is stored; none where
    /// they are not all there.
    pub fn slice(&self, range: &std::ops::Range<u64>) -> Option<Vec<Bytes>> {
        let place = match &self.parts {
            None => (range.end <= self.body.len()).then(|| range.clone()),
            Some(parts) => parts.place_of(range),
        };
        place.map(|place| self.body.slice(place))
    }

    /// This part and another of the same response, whose fields count from now on (§3.4); whole
    /// where nothing is missing any more. `new` alone where the two are not of the same response or
    /// would be more than `most` bytes.
    pub fn combined(&self, new: StoredResponse, most: u64) -> StoredResponse {
        let (Some(held), Some(parts)) = (&self.parts, &new.parts) else {
            return new;
        };
        let runs = parts.runs();
        let ([run], true) = (
            runs,
            held.length() == parts.length() && self.is_combinable(&new),
        ) else {
            return new;
        };
        let (parts, pieces) = held.with(run, most);
        let body = pieces.into_iter().flat_map(|piece| match piece {
            RunPiece::Kept(place) => self.body.cut(place),
            RunPiece::New => new.body.pieces().to_vec(),
        });
        let body = StoredBody::new(body.collect());
        let mut fields = updated_fields(
            &self.head.fields.to_headers(0),
            &new.head.fields.to_headers(0),
        );
        fields.remove(http::header::CONTENT_RANGE);
        let head = StoredHead {
            fields: new.head.fields.with_headers(&fields),
            ..new.head
        };
        StoredResponse {
            parts: parts.map(Box::new),
            ..StoredResponse::new(head, body)
        }
    }

    fn is_combinable(&self, new: &StoredResponse) -> bool {
        are_combinable(
            &self.head.fields.to_headers(0),
            &new.head.fields.to_headers(0),
        )
    }

    /// The memory that it uses, in bytes, without its key.
    pub fn weight(&self) -> u64 {
        let head = &self.head;
        let tags = head.fields.tags().count() * TAG_BYTES;
        let parts = self
            .parts
            .as_ref()
            .map_or(0, |parts| size_of::<ByteRuns>() + size_of_val(parts.runs()));
        let own = allocated(size_of::<StoredResponse>() + ARC_BYTES);
        (own + head.fields.weight() + head.secondary_key.weight() + tags + parts) as u64
            + self.body.weight()
    }

    /// The same content under another head: as a 304 gives it (§4.3.4), or with another lifetime.
    pub fn with_head(&self, head: StoredHead) -> StoredResponse {
        let new = StoredResponse {
            parts: self.parts.clone(),
            ..StoredResponse::new(head, self.body.clone())
        };
        // To another run it is a response of its own.
        let used = self.used.load(Ordering::Relaxed) && new.head.warm_run == self.head.warm_run;
        new.used.store(used, Ordering::Relaxed);
        new.uncounted_hits.store(
            self.uncounted_hits.load(Ordering::Relaxed),
            Ordering::Relaxed,
        );
        new
    }

    /// The same response with another lifetime.
    pub fn with_freshness(&self, freshness: Freshness) -> StoredResponse {
        self.with_head(StoredHead {
            freshness,
            ..self.head.clone()
        })
    }
}

/// Content at rest: one piece up to a mebibyte, beyond that several, of which a fill makes as few
/// as it can.
#[derive(Clone, Debug)]
pub struct StoredBody(Content);

#[derive(Clone, Debug)]
enum Content {
    One(Bytes),
    Many(Arc<Pieces>),
}

#[derive(Debug)]
struct Pieces {
    all: Box<[Bytes]>,
    /// Of all together.
    len: u64,
}

impl StoredBody {
    /// The largest content that is kept in one piece, in bytes.
    pub(super) const ONE_PIECE: u64 = 1024 * 1024;
    /// Pieces that are smaller than this on the average are joined, in bytes: many parts of a few
    /// bytes put together should not cost a structure for each.
    const CRUMB: u64 = 8 * 1024;

    /// Content in the order of `pieces`.
    pub fn new(pieces: Vec<Bytes>) -> StoredBody {
        let len: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        let is_crumbled = pieces.len() as u64 > len / StoredBody::CRUMB;
        if pieces.len() <= 1 || (len > StoredBody::ONE_PIECE && !is_crumbled) {
            return StoredBody::of(pieces, len);
        }
        let mut joined: Vec<BytesMut> = Vec::new();
        let mut left = len;
        for piece in &pieces {
            match joined.last_mut() {
                Some(last) if last.len() + piece.len() <= last.capacity() => last.put_slice(piece),
                _ => {
                    let mut next = BytesMut::with_capacity(
                        left.min(StoredBody::ONE_PIECE).max(piece.len() as u64) as usize,
                    );
                    next.put_slice(piece);
                    joined.push(next);
                }
            }
            left -= piece.len() as u64;
        }
        StoredBody::of(joined.into_iter().map(BytesMut::freeze).collect(), len)
    }

    fn of(mut pieces: Vec<Bytes>, len: u64) -> StoredBody {
        match pieces.pop() {
            Some(piece) if pieces.is_empty() => StoredBody(Content::One(piece)),
            last => StoredBody(Content::Many(Arc::new(Pieces {
                all: pieces.into_iter().chain(last).collect(),
                len,
            }))),
        }
    }

    /// Length in bytes.
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

    /// The content, in order.
    pub fn pieces(&self) -> &[Bytes] {
        match &self.0 {
            Content::One(piece) => std::slice::from_ref(piece),
            Content::Many(pieces) => &pieces.all,
        }
    }

    /// The memory that it uses, in bytes, beside this structure.
    fn weight(&self) -> u64 {
        let list = match &self.0 {
            Content::One(_) => 0,
            Content::Many(pieces) => {
                allocated(ARC_BYTES + size_of::<Pieces>()) + allocated(size_of_val(&*pieces.all))
            }
        };
        (list
            + self
                .pieces()
                .iter()
                .map(|piece| allocated(piece.len()) + SHARED_BYTES)
                .sum::<usize>()) as u64
    }

    /// The bytes of `range`, which must lie inside, as pieces that share the stored content.
    pub fn slice(&self, range: std::ops::Range<u64>) -> Vec<Bytes> {
        self.pieces_of(range)
            .map(|(piece, within)| piece.slice(within))
            .collect()
    }

    /// As [`StoredBody::slice`], with pieces that keep nothing else alive: to be stored.
    fn cut(&self, range: std::ops::Range<u64>) -> Vec<Bytes> {
        let cut = |(piece, within): (&Bytes, std::ops::Range<usize>)| {
            if within.len() == piece.len() {
                piece.clone()
            } else {
                Bytes::copy_from_slice(&piece[within])
            }
        };
        self.pieces_of(range).map(cut).collect()
    }

    /// The pieces that bytes of `range` lie in, with their places in them.
    fn pieces_of(
        &self,
        range: std::ops::Range<u64>,
    ) -> impl Iterator<Item = (&Bytes, std::ops::Range<usize>)> {
        let mut offset = 0_u64;
        self.pieces().iter().filter_map(move |piece| {
            let (start, end) = (offset, offset + piece.len() as u64);
            offset = end;
            let (from, to) = (range.start.max(start), range.end.min(end));
            (from < to).then(|| (piece, (from - start) as usize..(to - start) as usize))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crumbs_are_joined_and_large_pieces_stay_as_they_are() {
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
    fn what_is_cut_off_to_be_stored_keeps_nothing_else_alive() {
        let whole = Bytes::from(vec![7; 1_000]);
        let body = StoredBody::new(vec![whole.clone()]);
        assert_eq!(body.cut(0..1_000)[0].as_ptr(), whole.as_ptr());
        let cut = body.cut(10..12);
        assert!(cut[0] == whole[10..12] && !whole.as_ptr_range().contains(&cut[0].as_ptr()));
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
