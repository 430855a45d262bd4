//! A stored response: head, body, and what decides over its reuse (RFC 9111 §3).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::semantics::freshness::Freshness;
use crate::semantics::parts::{Parts, Piece};
use crate::semantics::range::are_combinable;
use crate::semantics::validation::freshened;
use crate::semantics::vary::{Nominated, Vary};

/// What one stored response costs beside its key, header fields and body, in bytes: the structures of this file and moka's
/// bookkeeping (hash table, access and write queues, frequency sketch).
pub const OVERHEAD_BYTES: u64 = 400;

/// The head of a stored response, and what decides over its reuse.
#[derive(Clone, Debug)]
pub struct StoredHead {
    /// Status of the response.
    pub status: StatusCode,
    /// Its end-to-end fields (§3.1).
    pub fields: Fields,
    /// Its lifetime and age.
    pub freshness: Freshness,
    /// Which request fields select it (§4.1), and what they said.
    pub vary: Vary,
    /// The values of the nominated request fields.
    pub nominated: Nominated,
    /// Surrogate keys, sorted.
    pub tags: Box<[Box<str>]>,
    /// How long browsers may keep it, where a policy says so.
    pub browser_ttl: Option<Duration>,
    /// Why the policies decided so, for `Cache-Status`.
    pub detail: Option<Arc<str>>,
    /// The index of the site that it belongs to.
    pub site: usize,
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
    /// Which bytes of the whole those are, where they are not all. Such a response lies under a key of its own
    /// ([`super::Store::part`]), so that no look-up takes it for a whole one.
    pub parts: Option<Box<Parts>>,
    /// Requests answered from it that have not been counted as popularity yet.
    pub uncounted_hits: AtomicU32,
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
        StoredResponse { head, body, parts: None, uncounted_hits: AtomicU32::new(0), used: AtomicBool::new(false), id }
    }

    /// What is stored of a response that is not all there: `body` holds the bytes of `parts`, one run after the other.
    pub fn of_parts(head: StoredHead, body: StoredBody, parts: Parts) -> StoredResponse {
        StoredResponse { parts: Some(Box::new(parts)), ..StoredResponse::new(head, body) }
    }

    /// The length of the whole content, in bytes.
    pub fn length(&self) -> u64 {
        self.parts.as_ref().map_or(self.body.len(), |parts| parts.length())
    }

    /// The bytes of `range` of the whole content, as pieces that share what is stored; none where they are not all there.
    pub fn slice(&self, range: &std::ops::Range<u64>) -> Option<Vec<Bytes>> {
        let place = match &self.parts {
            None => (range.end <= self.body.len()).then(|| range.clone()),
            Some(parts) => parts.place_of(range),
        };
        place.map(|place| self.body.slice(place))
    }

    /// This part and another of the same response, whose fields count from now on (§3.4); whole where nothing is missing any more.
    /// `new` alone where the two are not of the same response or would be more than `most` bytes.
    pub fn combined(&self, new: StoredResponse, most: u64) -> StoredResponse {
        let (Some(held), Some(parts)) = (&self.parts, &new.parts) else { return new };
        let runs = parts.runs();
        let ([run], true) = (runs, held.length() == parts.length() && self.is_combinable(&new)) else { return new };
        let (parts, pieces) = held.with(run, most);
        let body = pieces.into_iter().flat_map(|piece| match piece {
            Piece::Kept(place) => self.body.cut(place),
            Piece::New => new.body.pieces().to_vec(),
        });
        let body = StoredBody::new(body.collect());
        let mut fields = freshened(&self.head.fields.to_headers(0), &new.head.fields.to_headers(0));
        fields.remove(http::header::CONTENT_RANGE);
        let head = StoredHead { fields: Fields::of(&fields), ..new.head };
        StoredResponse { parts: parts.map(Box::new), ..StoredResponse::new(head, body) }
    }

    fn is_combinable(&self, new: &StoredResponse) -> bool {
        are_combinable(&self.head.fields.to_headers(0), &new.head.fields.to_headers(0))
    }

    /// The memory that it is taken to use, in bytes, without its key.
    pub fn weight(&self) -> u64 {
        let tags: usize = self.head.tags.iter().map(|tag| 2 * tag.len() + 64).sum();
        let detail = self.head.detail.as_ref().map_or(0, |detail| detail.len());
        let runs = self.parts.as_ref().map_or(0, |parts| size_of::<Parts>() + size_of_val(parts.runs()));
        OVERHEAD_BYTES
            + self.head.fields.weight()
            + self.body.len()
            + (self.head.nominated.weight() + tags + detail + runs) as u64
    }

    /// The same content under another head: as a 304 gives it (§4.3.4), or with another lifetime.
    pub fn with_head(&self, head: StoredHead) -> StoredResponse {
        let new = StoredResponse { parts: self.parts.clone(), ..StoredResponse::new(head, self.body.clone()) };
        new.used.store(self.used.load(Ordering::Relaxed), Ordering::Relaxed);
        new.uncounted_hits.store(self.uncounted_hits.load(Ordering::Relaxed), Ordering::Relaxed);
        new
    }

    /// The same response with another lifetime.
    pub fn with_freshness(&self, freshness: Freshness) -> StoredResponse {
        self.with_head(StoredHead { freshness, ..self.head.clone() })
    }
}

/// Header fields at rest: all values in one allocation, since a stored response outlives the buffers that it was read into.
#[derive(Clone, Debug)]
pub struct Fields {
    values: Bytes,
    index: Arc<[Field]>,
}

#[derive(Clone, Debug)]
struct Field {
    name: HeaderName,
    start: u32,
    end: u32,
}

impl Fields {
    /// Copies `headers`, names included.
    pub fn of(headers: &HeaderMap) -> Fields {
        let mut values = BytesMut::with_capacity(headers.values().map(HeaderValue::len).sum());
        let index = headers
            .iter()
            .map(|(name, value)| {
                let start = values.len() as u32;
                values.put_slice(value.as_bytes());
                // A name that is not one of the well-known ones shares the read buffer too; parsing it again makes a copy.
                let name = HeaderName::from_bytes(name.as_str().as_bytes()).unwrap_or_else(|_| name.clone());
                Field { name, start, end: values.len() as u32 }
            })
            .collect();
        Fields { values: values.freeze(), index }
    }

    /// The fields as a map with room for `extra` more.
    pub fn to_headers(&self, extra: usize) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(self.index.len() + extra);
        for field in self.index.iter() {
            let value = self.values.slice(field.start as usize..field.end as usize);
            if let Ok(value) = HeaderValue::from_maybe_shared(value) {
                headers.append(field.name.clone(), value);
            }
        }
        headers
    }

    /// Bytes of names, values and index.
    pub fn weight(&self) -> u64 {
        let names: usize = self.index.iter().map(|field| field.name.as_str().len() + 4).sum();
        (names + self.values.len()) as u64
    }
}

/// Content at rest: one piece up to a mebibyte, beyond that the pieces it came in.
#[derive(Clone, Debug)]
pub struct StoredBody {
    pieces: Arc<[Bytes]>,
    len: u64,
}

impl StoredBody {
    /// The largest content that is kept in one piece, in bytes.
    const ONE_PIECE: u64 = 1024 * 1024;
    /// Pieces that are smaller than this on the average are joined, in bytes: many parts of a few bytes put together should not cost a
    /// structure for each.
    const CRUMB: u64 = 8 * 1024;

    /// Content in the order of `pieces`.
    pub fn new(pieces: Vec<Bytes>) -> StoredBody {
        let len: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        let is_crumbled = pieces.len() as u64 > len / StoredBody::CRUMB;
        if pieces.len() <= 1 || (len > StoredBody::ONE_PIECE && !is_crumbled) {
            return StoredBody { pieces: pieces.into(), len };
        }
        let mut joined: Vec<BytesMut> = Vec::new();
        let mut left = len;
        for piece in &pieces {
            match joined.last_mut() {
                Some(last) if last.len() + piece.len() <= last.capacity() => last.put_slice(piece),
                _ => {
                    let mut next = BytesMut::with_capacity(left.min(StoredBody::ONE_PIECE).max(piece.len() as u64) as usize);
                    next.put_slice(piece);
                    joined.push(next);
                }
            }
            left -= piece.len() as u64;
        }
        StoredBody { pieces: joined.into_iter().map(BytesMut::freeze).collect(), len }
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is no content.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The content, in order.
    pub fn pieces(&self) -> &Arc<[Bytes]> {
        &self.pieces
    }

    /// The bytes of `range`, which must lie inside, as pieces that share the stored content.
    pub fn slice(&self, range: std::ops::Range<u64>) -> Vec<Bytes> {
        self.pieces_of(range).map(|(piece, within)| piece.slice(within)).collect()
    }

    /// As [`StoredBody::slice`], with pieces that keep nothing else alive: to be stored.
    fn cut(&self, range: std::ops::Range<u64>) -> Vec<Bytes> {
        let cut = |(piece, within): (&Bytes, std::ops::Range<usize>)| {
            if within.len() == piece.len() { piece.clone() } else { Bytes::copy_from_slice(&piece[within]) }
        };
        self.pieces_of(range).map(cut).collect()
    }

    /// The pieces that bytes of `range` lie in, with their places in them.
    fn pieces_of(&self, range: std::ops::Range<u64>) -> impl Iterator<Item = (&Bytes, std::ops::Range<usize>)> {
        let mut offset = 0_u64;
        self.pieces.iter().filter_map(move |piece| {
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
    fn fields_come_back_as_they_were_stored() {
        let mut headers = HeaderMap::new();
        headers.append("x-custom", HeaderValue::from_static("one"));
        headers.append("etag", HeaderValue::from_static("\"a\""));
        headers.append("x-custom", HeaderValue::from_bytes(b"two \xff").unwrap());
        assert_eq!(Fields::of(&headers).to_headers(2), headers);
    }

    #[test]
    fn crumbs_are_joined_and_large_pieces_stay_as_they_are() {
        let bytes = |body: &StoredBody| body.pieces().concat();
        for (pieces, each, joined) in [(3, 10, 1), (300, 10_000, 300), (3_000, 1_000, 3), (2, 2 << 20, 2), (1, 5, 1), (0, 0, 0)] {
            let body = StoredBody::new((0..pieces).map(|at| Bytes::from(vec![at as u8; each])).collect());
            assert_eq!((body.pieces().len(), body.len()), (joined, (pieces * each) as u64), "{pieces} of {each}");
            assert_eq!(bytes(&body), (0..pieces).flat_map(|at| vec![at as u8; each]).collect::<Vec<_>>());
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
        let body = StoredBody { pieces: [Bytes::from_static(b"abc"), Bytes::from_static(b"def")].into(), len: 6 };
        let joined = |range| body.slice(range).concat();
        assert_eq!(joined(0..6), b"abcdef");
        assert_eq!(joined(2..4), b"cd");
        assert_eq!(joined(3..3), b"");
        assert_eq!(joined(5..6), b"f");
    }
}
