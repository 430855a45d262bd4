//! The hits of a stored response, and the mark that sends its next visitor's request to revalidate
//! it ahead.
//!
//! A hit pays for one addition. The rest is done once in [`HITS_PER_COUNT`] hits, or before the
//! numbers are read.

use std::sync::atomic::Ordering::Relaxed;

use crate::store::stored::{DUE, StoredResponse, WANTS_DISK};

/// Hits of a stored response that are counted in one go.
const HITS_PER_COUNT: u32 = 64;

/// Hits that were kept back on a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UncountedHits {
    /// How many.
    pub hits: u32,
    /// Whether the response is to be revalidated ahead.
    pub is_due: bool,
    /// Whether it is to be written to a disk.
    pub wants_disk: bool,
}

/// Adds a hit; whether the hits so far want to be taken.
#[inline]
pub(super) fn add(stored: &StoredResponse) -> bool {
    stored.uncounted_hits.fetch_add(1, Relaxed) + 1 >= HITS_PER_COUNT
}

/// The hits of a stored response since it came.
pub(super) fn hits_so_far(stored: &StoredResponse) -> u32 {
    stored
        .counted_hits
        .load(Relaxed)
        .saturating_add(stored.uncounted_hits.load(Relaxed) & !(DUE | WANTS_DISK))
}

/// Whether hits are kept back on a stored response.
pub(super) fn has_uncounted(stored: &StoredResponse) -> bool {
    stored.uncounted_hits.load(Relaxed) & !(DUE | WANTS_DISK) > 0
}

/// Takes the hits that were kept back; the marks go with them.
pub(super) fn take_uncounted(stored: &StoredResponse) -> UncountedHits {
    let taken = stored.uncounted_hits.swap(0, Relaxed);
    UncountedHits {
        hits: taken & !(DUE | WANTS_DISK),
        is_due: taken & DUE != 0,
        wants_disk: taken & WANTS_DISK != 0,
    }
}

/// Puts the marks back that were taken with hits.
pub(super) fn mark_again(stored: &StoredResponse, taken: UncountedHits) {
    let due = if taken.is_due { DUE } else { 0 };
    let disk = if taken.wants_disk { WANTS_DISK } else { 0 };
    if due | disk != 0 {
        stored.uncounted_hits.fetch_or(due | disk, Relaxed);
    }
}

/// Sends the next hit of a stored response to revalidate it.
pub(super) fn mark_due(stored: &StoredResponse) {
    stored.uncounted_hits.fetch_or(DUE, Relaxed);
}
