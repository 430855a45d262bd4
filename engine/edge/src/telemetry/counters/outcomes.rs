//! Requests and bytes by outcome.

use std::sync::atomic::{AtomicU64, Ordering};

use super::super::Outcome;

/// Requests, and bytes of content sent, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests.
    pub requests: Outcomes,
    /// Bytes of content sent. Its hit rate is that of bytes.
    pub bytes: Outcomes,
}

impl Traffic {
    /// Adds requests and bytes with this outcome.
    pub fn count(&mut self, outcome: Outcome, requests: u64, bytes: u64) {
        self.requests.0[outcome.index()] += requests;
        self.bytes.0[outcome.index()] += bytes;
    }

    /// Adds that of `other`.
    pub fn add(&mut self, other: &Traffic) {
        self.requests.add(&other.requests);
        self.bytes.add(&other.bytes);
    }

    /// The traffic since the figures of `earlier`.
    pub fn since(&self, earlier: &Traffic) -> Traffic {
        Traffic {
            requests: self.requests.since(&earlier.requests),
            bytes: self.bytes.since(&earlier.bytes),
        }
    }

    /// Whether there was none.
    pub fn is_empty(&self) -> bool {
        *self == Traffic::default()
    }
}

/// Requests, or bytes, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes([u64; Outcome::ALL.len()]);

impl Outcomes {
    /// Those that `count` tells.
    pub fn of(count: impl FnMut(Outcome) -> u64) -> Outcomes {
        Outcomes(Outcome::ALL.map(count))
    }

    /// Requests with this outcome.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.0[outcome.index()]
    }

    /// Sets the requests with this outcome.
    pub(super) fn set(&mut self, outcome: Outcome, count: u64) {
        self.0[outcome.index()] = count;
    }

    /// All requests.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Hits of all kinds over looked-up requests, 0 to 1; `None` if there were none.
    pub fn hit_rate(&self) -> Option<f64> {
        let not_looked_up = [Outcome::Pass, Outcome::Error, Outcome::Rule];
        let looked_up = self.total()
            - not_looked_up
                .map(|outcome| self.count(outcome))
                .iter()
                .sum::<u64>();
        let hits = looked_up - self.count(Outcome::Miss);
        (looked_up > 0).then(|| hits as f64 / looked_up as f64)
    }

    /// The requests since the figures of `earlier`.
    pub fn since(&self, earlier: &Outcomes) -> Outcomes {
        Outcomes(std::array::from_fn(|index| {
            self.0[index].saturating_sub(earlier.0[index])
        }))
    }

    /// Adds the counts of `cells`, which are in the order of [`Outcome::ALL`].
    pub(in super::super) fn add_from(&mut self, cells: &[AtomicU64]) {
        for (sum, cell) in self.0.iter_mut().zip(cells) {
            *sum += cell.load(Ordering::Relaxed);
        }
    }

    /// Adds those of `other`.
    pub fn add(&mut self, other: &Outcomes) {
        for (own, other) in self.0.iter_mut().zip(other.0) {
            *own += other;
        }
    }
}
