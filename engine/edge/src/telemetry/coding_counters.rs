//! What became of coding the stored responses of a site. None of it is counted on a hit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tero_semantics::coding_rules::CodingRefusal;
use tero_semantics::content_coding::ContentCoding;

/// Why a stored response, or one of its codings, was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkippedCoding {
    /// The response may not be coded.
    Refused(CodingRefusal),
    /// It would hardly be smaller.
    NotSmaller,
    /// Too many waited in the queue.
    QueueFull,
    /// The response was no longer stored, or there was no room beside it among the warmed ones.
    Gone,
    /// The encoder failed.
    Failed,
}

impl SkippedCoding {
    /// How many there are.
    const COUNT: usize = CodingRefusal::ALL.len() + 4;

    /// All of them, in the order of [`SkippedCoding::index`].
    fn all() -> impl Iterator<Item = SkippedCoding> {
        let refused = CodingRefusal::ALL.into_iter().map(SkippedCoding::Refused);
        refused.chain([
            SkippedCoding::NotSmaller,
            SkippedCoding::QueueFull,
            SkippedCoding::Gone,
            SkippedCoding::Failed,
        ])
    }

    fn index(self) -> usize {
        let of_refusals = CodingRefusal::ALL.len();
        match self {
            SkippedCoding::Refused(refusal) => refusal as usize,
            SkippedCoding::NotSmaller => of_refusals,
            SkippedCoding::QueueFull => of_refusals + 1,
            SkippedCoding::Gone => of_refusals + 2,
            SkippedCoding::Failed => of_refusals + 3,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            SkippedCoding::Refused(refusal) => refusal.as_str(),
            SkippedCoding::NotSmaller => "not_smaller",
            SkippedCoding::QueueFull => "queue_full",
            SkippedCoding::Gone => "gone",
            SkippedCoding::Failed => "failed",
        }
    }
}

/// What became of coding the stored responses of a site.
#[derive(Debug, Default)]
pub struct CodingCounters {
    made: [AtomicU64; ContentCoding::ALL.len()],
    micros: [AtomicU64; ContentCoding::ALL.len()],
    skipped: [AtomicU64; SkippedCoding::COUNT],
}

impl CodingCounters {
    /// Counts content that was coded in `took`.
    pub(crate) fn made(&self, coding: ContentCoding, took: Duration) {
        self.made[coding.index()].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros[coding.index()].fetch_add(micros, Ordering::Relaxed);
    }

    /// Counts content that was not coded.
    pub(crate) fn skipped(&self, why: SkippedCoding) {
        self.skipped[why.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// For each coding its name, how many contents were made, and the seconds that it took.
    pub fn of_codings(&self) -> impl Iterator<Item = (&'static str, u64, f64)> {
        ContentCoding::ALL.into_iter().map(|coding| {
            let made = self.made[coding.index()].load(Ordering::Relaxed);
            let micros = self.micros[coding.index()].load(Ordering::Relaxed);
            (coding.as_str(), made, micros as f64 / 1e6)
        })
    }

    /// For each reason its name, and how often it kept content from being coded.
    pub fn of_reasons(&self) -> impl Iterator<Item = (&'static str, u64)> {
        SkippedCoding::all().map(|why| {
            let count = self.skipped[why.index()].load(Ordering::Relaxed);
            (why.as_str(), count)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_place_and_a_name() {
        for (place, why) in SkippedCoding::all().enumerate() {
            assert_eq!(why.index(), place);
        }
        let counters = CodingCounters::default();
        counters.skipped(SkippedCoding::Failed);
        counters.skipped(SkippedCoding::Refused(CodingRefusal::TooLong));
        let counted: Vec<_> = counters
            .of_reasons()
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(counted, [("too_long", 1), ("failed", 1)]);
        let mut names: Vec<_> = counters.of_reasons().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SkippedCoding::COUNT);
    }

    #[test]
    fn what_was_made_is_counted_by_coding() {
        let counters = CodingCounters::default();
        counters.made(ContentCoding::Br, Duration::from_millis(1_500));
        counters.made(ContentCoding::Br, Duration::from_millis(500));
        let of_codings: Vec<_> = counters.of_codings().collect();
        assert_eq!(
            of_codings,
            [("zstd", 0, 0.0), ("br", 2, 2.0), ("gzip", 0, 0.0)]
        );
    }
}
