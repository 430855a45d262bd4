//! A stored response: head, body, and the facts that decide on its reuse (RFC 9111 §3).

mod body;
mod coded;
mod disk_marks;
mod outside;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::fields::StoredFields;
use super::weight::{ARC_BYTES, TAG_BYTES, allocated};
use crate::run_id::RunId;
use tero_semantics::content_coding::ContentCoding;
use tero_semantics::disposition::StoredFreshness;
use tero_semantics::freshness::Freshness;
use tero_semantics::partial::{ByteRuns, RunPiece, are_combinable};
use tero_semantics::validation::{HeadLimits, updated_fields};
use tero_semantics::vary::SecondaryKey;

pub(super) use body::LargePieces;
pub use body::StoredBody;
pub use coded::CodedContents;
pub use disk_marks::DiskMarks;
pub use outside::{ContentError, ContentReply, OutsideContent};

/// The head of a stored response, and the facts that decide on its reuse.
#[derive(Clone, Debug)]
pub struct StoredHead {
    /// The status of the response.
    pub status: StatusCode,
    /// Its end-to-end fields (§3.1), its surrogate keys in ascending order, and the policies'
    /// reason.
    pub fields: StoredFields,
    /// Its lifetime and age.
    pub freshness: Freshness,
    /// The request fields that select it (§4.1).
    pub secondary_key: SecondaryKey,
    /// How long browsers may keep it.
    pub browser_lifetime: BrowserLifetime,
    /// The index of the site that it belongs to.
    pub site: u32,
    /// The run of a warming plan that fetched it; `None` if it was fetched for a visitor.
    pub warm_run: Option<RunId>,
    /// Whether its content may be coded (RFC 9110 §8.4), so that answers depend on
    /// `Accept-Encoding`. Never of a part.
    pub may_be_coded: bool,
}

/// How long browsers may keep a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrowserLifetime {
    /// As its fields say.
    AsSent,
    /// So many seconds, by a policy, but no longer than the edge.
    Secs(u32),
    /// As its fields say, but no longer than the edge: a policy ends it at an instant.
    AtMostOurs,
}

/// A response stored under a key.
#[derive(Debug)]
pub struct StoredResponse {
    /// Its head.
    pub head: StoredHead,
    /// Its content; of a part, the stored runs one after the other.
    pub body: StoredBody,
    /// What is special about the content; `None` if it is whole and is not coded.
    special: Option<Box<SpecialContent>>,
    /// Requests answered from it that don't count as popularity yet.
    pub uncounted_hits: AtomicU32,
    /// Requests answered from it that count as popularity.
    pub counted_hits: AtomicU32,
    /// Whether a visitor has been answered from it.
    pub used: AtomicBool,
    /// What it knows of its disk.
    pub disk: DiskMarks,
    /// The purges of this process up to this number did not mean it: those from before it was fetched.
    pub purge_mark: AtomicU32,
    /// Whether the content of the response that was to take its place broke off.
    pub successor_broke_off: AtomicBool,
    /// A number that no other stored response of the process has, under any key.
    pub id: u64,
}

/// What is special about stored content.
#[derive(Clone, Debug)]
enum SpecialContent {
    /// It is a part: these runs of the whole, which lie in the body one after the other. A part is
    /// stored under a key of its own ([`super::Store::part`]), so that no look-up takes it for a
    /// whole response.
    Part(ByteRuns),
    /// It may be coded, and is in these codings.
    Codable(CodedContents),
}

/// Stands in the count of hits of a response that is to be written to a disk, so that its next hit
/// takes the rare way: a bit beyond all counts.
pub const WANTS_DISK: u32 = 1 << 30;
/// The same of a response that is to be revalidated ahead.
pub const DUE: u32 = 1 << 31;

impl StoredHead {
    /// The memory that it uses beside this structure, with its entries in the index of surrogate
    /// keys; in bytes.
    pub fn weight(&self) -> u64 {
        let tags = self.fields.tags().count() * TAG_BYTES;
        (self.fields.weight() + self.secondary_key.weight() + tags) as u64
    }
}

impl StoredResponse {
    /// A whole response that was never used.
    pub fn new(head: StoredHead, body: StoredBody) -> StoredResponse {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let (uncounted_hits, counted_hits) = (AtomicU32::new(0), AtomicU32::new(0));
        let special = head
            .may_be_coded
            .then(|| Box::new(SpecialContent::Codable(CodedContents::default())));
        StoredResponse {
            head,
            body,
            special,
            uncounted_hits,
            counted_hits,
            used: AtomicBool::new(false),
            disk: DiskMarks::default(),
            purge_mark: AtomicU32::new(0),
            successor_broke_off: AtomicBool::new(false),
            id,
        }
    }

    /// A part of a response: `body` holds the bytes of `parts`, one run after the other.
    pub fn of_parts(head: StoredHead, body: StoredBody, parts: ByteRuns) -> StoredResponse {
        let head = StoredHead {
            may_be_coded: false,
            ..head
        };
        StoredResponse {
            special: Some(Box::new(SpecialContent::Part(parts))),
            ..StoredResponse::new(head, body)
        }
    }

    /// Sends its next hit to offer it to a disk, unless it is on one.
    pub(super) fn want_disk(&self) {
        if !self.disk.is_claimed() {
            self.uncounted_hits.fetch_or(WANTS_DISK, Ordering::Relaxed);
        }
    }

    /// Notes the number of the last purge from before it was fetched. One that doesn't fit is told as a
    /// lower one, which is safe.
    pub(super) fn set_purge_mark(&self, number: u64) {
        let number = u32::try_from(number).unwrap_or(0);
        self.purge_mark.store(number, Ordering::Relaxed);
    }

    /// Whether a request was answered from it, or a plan wanted it.
    pub(super) fn was_used(&self) -> bool {
        let uncounted = self.uncounted_hits.load(Ordering::Relaxed) & !(DUE | WANTS_DISK);
        uncounted > 0
            || self.counted_hits.load(Ordering::Relaxed) > 0
            || self.head.warm_run.is_some()
    }

    /// The runs of the whole content that are stored; `None` if all of it is.
    #[inline]
    pub fn parts(&self) -> Option<&ByteRuns> {
        match self.special.as_deref() {
            Some(SpecialContent::Part(parts)) => Some(parts),
            _ => None,
        }
    }

    /// The content in other codings, as far as it was made; `None` if none may be.
    #[inline]
    pub fn coded(&self) -> Option<&CodedContents> {
        match self.special.as_deref() {
            Some(SpecialContent::Codable(coded)) => Some(coded),
            _ => None,
        }
    }

    /// The length of the whole content, in bytes.
    pub fn length(&self) -> u64 {
        self.parts().map_or(self.body.len(), |parts| parts.length())
    }

    /// The bytes of `range` of the whole content, as pieces that share the stored memory. `None` if
    /// some of them are missing.
    pub fn slice(&self, range: &std::ops::Range<u64>) -> Option<Vec<Bytes>> {
        let place = match self.parts() {
            None => (range.end <= self.body.len()).then(|| range.clone()),
            Some(parts) => parts.place_of(range),
        };
        place.map(|place| self.body.slice(place))
    }

    /// This part combined with a new one, of one run, whose fields count from now on (§3.4). A
    /// whole response if nothing is missing any more; `new` alone if the two are not of one
    /// response, or if their fields together exceed `max_head`. Of this part, the shortest runs are
    /// left out if the result would exceed `most` bytes.
    pub fn combined(
        &self,
        new: StoredResponse,
        most: u64,
        max_head: &HeadLimits,
    ) -> StoredResponse {
        let (Some(held), Some(added)) = (self.parts(), new.parts()) else {
            return new;
        };
        let [run] = added.runs() else { return new };
        if held.length() != added.length() || !self.is_combinable(&new) {
            return new;
        }
        let fields = self.combined_fields(&new.head);
        if !max_head.hold(&fields) {
            return new;
        }
        let (parts, pieces) = held.with(run, most);
        let body = pieces.into_iter().flat_map(|piece| match piece {
            RunPiece::Kept(place) => self.body.cut(place),
            RunPiece::New => new.body.pieces().to_vec(),
        });
        let body = StoredBody::new(body.collect());
        let head = StoredHead {
            fields: new.head.fields.with_headers(&fields),
            ..new.head
        };
        match parts {
            Some(parts) => StoredResponse::of_parts(head, body, parts),
            None => StoredResponse::new(head, body),
        }
    }

    fn combined_fields(&self, new: &StoredHead) -> HeaderMap {
        let mut fields = updated_fields(&self.head.fields.to_headers(0), &new.fields.to_headers(0));
        fields.remove(http::header::CONTENT_RANGE);
        fields
    }

    fn is_combinable(&self, new: &StoredResponse) -> bool {
        are_combinable(
            &self.head.fields.to_headers(0),
            &new.head.fields.to_headers(0),
        )
    }

    /// The memory that it uses, in bytes, without its key.
    pub fn weight(&self) -> u64 {
        let special = match self.special.as_deref() {
            None => 0,
            Some(SpecialContent::Part(parts)) => size_of_val(parts.runs()) as u64,
            Some(SpecialContent::Codable(coded)) => coded.weight(),
        };
        let boxed = self
            .special
            .as_ref()
            .map_or(0, |_| size_of::<SpecialContent>());
        let own = allocated(size_of::<StoredResponse>() + ARC_BYTES) + allocated(boxed);
        own as u64 + special + self.head.weight() + self.body.weight()
    }

    /// Bytes of its large pieces of content, in all codings.
    pub(super) fn large_bytes(&self) -> u64 {
        let coded = self.coded().map_or(0, CodedContents::large_bytes);
        self.body.large_bytes() + coded
    }

    /// The same content under another head: the one that a 304 gives (§4.3.4), or one with another
    /// lifetime. What was coded stays, if it still may be.
    pub fn with_head(&self, head: StoredHead) -> StoredResponse {
        let may_be_coded = head.may_be_coded;
        let mut new = StoredResponse::new(head, self.body.clone());
        if self.parts().is_some() || (self.coded().is_some() && may_be_coded) {
            new.special.clone_from(&self.special);
        }
        // For another run it is a response of its own.
        let used = self.used.load(Ordering::Relaxed) && new.head.warm_run == self.head.warm_run;
        new.used.store(used, Ordering::Relaxed);
        new.uncounted_hits.store(
            self.uncounted_hits.load(Ordering::Relaxed),
            Ordering::Relaxed,
        );
        new.disk = self.disk.for_new_head();
        let mark = self.purge_mark.load(Ordering::Relaxed);
        new.purge_mark.store(mark, Ordering::Relaxed);
        new
    }

    /// The same response with its content in one more coding. It takes over the hits; one that takes its
    /// place in the store takes over the marks of the disk too.
    pub fn with_coded(&self, coding: ContentCoding, body: StoredBody) -> StoredResponse {
        let coded = self.coded().map(|coded| coded.with(coding, body));
        let taken = |of: &AtomicU32| AtomicU32::new(of.swap(0, Ordering::Relaxed));
        let same = |of: &AtomicBool| AtomicBool::new(of.load(Ordering::Relaxed));
        StoredResponse {
            head: self.head.clone(),
            body: self.body.clone(),
            special: coded.map(SpecialContent::Codable).map(Box::new),
            uncounted_hits: taken(&self.uncounted_hits),
            counted_hits: taken(&self.counted_hits),
            used: same(&self.used),
            disk: self.disk.copied(),
            purge_mark: AtomicU32::new(self.purge_mark.load(Ordering::Relaxed)),
            successor_broke_off: same(&self.successor_broke_off),
            id: self.id,
        }
    }

    /// Whether both have the very same content, in one place of the memory.
    pub(super) fn shares_content_with(&self, other: &StoredResponse) -> bool {
        self.body.is_same(&other.body)
    }

    /// The same response with another lifetime.
    pub fn with_freshness(&self, freshness: Freshness) -> StoredResponse {
        let new = self.with_head(StoredHead {
            freshness,
            ..self.head.clone()
        });
        let broke_off = self.successor_broke_off.load(Ordering::Relaxed);
        new.successor_broke_off.store(broke_off, Ordering::Relaxed);
        new
    }
}

impl StoredFreshness for StoredResponse {
    #[inline]
    fn freshness(&self) -> &Freshness {
        &self.head.freshness
    }

    fn successor_broke_off(&self) -> bool {
        self.successor_broke_off.load(Ordering::Relaxed)
    }
}
