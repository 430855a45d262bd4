//! The content of a stored response in other content codings, made by the edge.
//!
//! They belong to their response: they come and go with it, a 304 that freshens it keeps them, and
//! a purge takes them with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::StoredBody;
use crate::store::weight::{ARC_BYTES, allocated};
use tero_semantics::content_coding::ContentCoding;

/// The content of a stored response in other codings.
#[derive(Clone, Debug, Default)]
pub struct CodedContents {
    bodies: [Option<StoredBody>; ContentCoding::ALL.len()],
    /// One bit for each coding that was asked for already: it was made, is being made, or is of no
    /// use. Shared by all heads of the content.
    claimed: Arc<AtomicU8>,
}

impl CodedContents {
    /// The content in a coding, if it was made.
    #[inline]
    pub fn body(&self, coding: ContentCoding) -> Option<&StoredBody> {
        self.bodies[coding.index()].as_ref()
    }

    /// The codings that were made, with their contents.
    pub fn all(&self) -> impl Iterator<Item = (ContentCoding, &StoredBody)> {
        let all = ContentCoding::ALL.into_iter();
        all.filter_map(|coding| Some((coding, self.body(coding)?)))
    }

    /// Claims the making of a coding; false if another request has.
    pub fn claim(&self, coding: ContentCoding) -> bool {
        let bit = 1 << coding.index();
        self.claimed.load(Ordering::Relaxed) & bit == 0
            && self.claimed.fetch_or(bit, Ordering::Relaxed) & bit == 0
    }

    /// Gives a claim back: a later request may try again.
    pub fn give_back(&self, coding: ContentCoding) {
        let bit = 1 << coding.index();
        self.claimed.fetch_and(!bit, Ordering::Relaxed);
    }

    /// The same with one more coding.
    pub(super) fn with(&self, coding: ContentCoding, body: StoredBody) -> CodedContents {
        let mut new = self.clone();
        new.bodies[coding.index()] = Some(body);
        new
    }

    /// The memory that they use beside this structure, in bytes.
    pub(super) fn weight(&self) -> u64 {
        let claims = allocated(ARC_BYTES + size_of::<AtomicU8>()) as u64;
        claims + self.all().map(|(_, body)| body.weight()).sum::<u64>()
    }

    /// Bytes of their large pieces.
    pub(super) fn large_bytes(&self) -> u64 {
        self.all().map(|(_, body)| body.large_bytes()).sum()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_coding_is_claimed_once_until_it_is_given_back() {
        let coded = CodedContents::default();
        assert!(coded.claim(ContentCoding::Br) && coded.claim(ContentCoding::Gzip));
        // Under another head, it is the same content.
        let other = coded.clone();
        assert!(!coded.claim(ContentCoding::Br) && !other.claim(ContentCoding::Gzip));
        assert!(other.claim(ContentCoding::Zstd) && !coded.claim(ContentCoding::Zstd));
        coded.give_back(ContentCoding::Br);
        assert!(other.claim(ContentCoding::Br));
    }

    #[test]
    fn every_body_is_weighed() {
        let coded = CodedContents::default();
        let empty = coded.weight();
        let body = |length| StoredBody::new(vec![Bytes::from(vec![0; length])]);
        let one = coded.with(ContentCoding::Br, body(1_000));
        let two = one.with(ContentCoding::Zstd, body(100_000));
        assert!(one.weight() >= empty + 1_000 && two.weight() >= one.weight() + 100_000);
        assert_eq!((one.large_bytes(), two.large_bytes()), (0, 100_000));
        let names: Vec<_> = two.all().map(|(coding, _)| coding.as_str()).collect();
        assert_eq!(names, ["zstd", "br"]);
    }
}
