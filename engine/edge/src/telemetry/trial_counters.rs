//! Counters of the two groups of a trial: the keys that the active version of a policy decides on,
//! and those of the canary.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Outcome;
use super::counters::{Outcomes, worker};

/// The number of stripes, each on cache lines of its own, so that threads don't contend for them.
const STRIPES: usize = 16;

/// A group of keys in a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialGroup {
    /// The keys that the active version decides on.
    Control,
    /// The keys that the canary decides on.
    Canary,
}

/// The counters of both groups.
#[derive(Debug, Default)]
pub struct TrialCounters([Stripe; STRIPES]);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe([GroupTally; 2]);

#[derive(Debug, Default)]
struct GroupTally {
    outcomes: [AtomicU64; Outcome::ALL.len()],
    origin_requests: AtomicU64,
}

/// The figures of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupCounts {
    /// Requests answered.
    pub outcomes: Outcomes,
    /// Requests to the origin.
    pub origin_requests: u64,
}

impl TrialCounters {
    /// Counts an answered request.
    pub fn record(&self, group: TrialGroup, outcome: Outcome) {
        self.tally(group).outcomes[outcome.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request to the origin.
    pub fn record_origin(&self, group: TrialGroup) {
        self.tally(group)
            .origin_requests
            .fetch_add(1, Ordering::Relaxed);
    }

    /// The figures since the start of the trial.
    pub fn counts(&self, group: TrialGroup) -> GroupCounts {
        let mut counts = GroupCounts::default();
        for tally in self.0.iter().map(|stripe| &stripe.0[group as usize]) {
            counts.outcomes.add_from(&tally.outcomes);
            counts.origin_requests += tally.origin_requests.load(Ordering::Relaxed);
        }
        counts
    }

    fn tally(&self, group: TrialGroup) -> &GroupTally {
        &self.0[worker() % STRIPES].0[group as usize]
    }
}

impl GroupCounts {
    /// The figures since those of `earlier`.
    pub fn since(&self, earlier: &GroupCounts) -> GroupCounts {
        GroupCounts {
            outcomes: self.outcomes.since(&earlier.outcomes),
            origin_requests: self.origin_requests.saturating_sub(earlier.origin_requests),
        }
    }

    /// Requests to the origin per answered request; `None` without answered requests.
    pub fn origin_load(&self) -> Option<f64> {
        let total = self.outcomes.total();
        (total > 0).then(|| self.origin_requests as f64 / total as f64)
    }

    /// The share of requests answered with an error of the edge, 0 to 1; `None` without answered
    /// requests.
    pub fn error_rate(&self) -> Option<f64> {
        let total = self.outcomes.total();
        (total > 0).then(|| self.outcomes.count(Outcome::Error) as f64 / total as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_counted_apart_and_windows_are_differences() {
        let counters = TrialCounters::default();
        counters.record(TrialGroup::Control, Outcome::Hit);
        counters.record(TrialGroup::Canary, Outcome::Miss);
        let before = counters.counts(TrialGroup::Canary);
        counters.record(TrialGroup::Canary, Outcome::Hit);
        counters.record(TrialGroup::Canary, Outcome::Error);
        counters.record_origin(TrialGroup::Canary);
        let window = counters.counts(TrialGroup::Canary).since(&before);
        assert_eq!(
            (window.outcomes.total(), window.outcomes.hit_rate()),
            (2, Some(1.0))
        );
        assert_eq!(
            (window.origin_load(), window.error_rate()),
            (Some(0.5), Some(0.5))
        );
        assert_eq!(counters.counts(TrialGroup::Control).outcomes.total(), 1);
        assert_eq!(GroupCounts::default().origin_load(), None);
    }
}
