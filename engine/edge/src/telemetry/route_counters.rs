//! Counters of a route, in one shard per worker thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Outcome;
use super::counters::{Histogram, HistogramSnapshot, Outcomes, worker};

/// The counters of one route.
#[derive(Debug)]
pub struct RouteCounters {
    shards: Box<[RouteShard]>,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct RouteShard {
    outcomes: [AtomicU64; Outcome::ALL.len()],
    head_seconds: Histogram,
}

impl RouteCounters {
    /// Zero counters, in a shard for each of `workers` threads.
    pub fn new(workers: usize) -> RouteCounters {
        RouteCounters {
            shards: (0..workers.max(1)).map(|_| RouteShard::default()).collect(),
        }
    }

    /// Counts a request, and the time from its head to the head of its response.
    pub fn record(&self, outcome: Outcome, took: Duration) {
        let shard = &self.shards[worker() % self.shards.len()];
        shard.outcomes[outcome.index()].fetch_add(1, Ordering::Relaxed);
        shard.head_seconds.record(took);
    }

    /// All requests.
    pub fn outcomes(&self) -> Outcomes {
        let mut outcomes = Outcomes::default();
        for shard in &self.shards {
            outcomes.add_from(&shard.outcomes);
        }
        outcomes
    }

    /// Times from the head of a request to the head of its response.
    pub fn request_seconds(&self) -> HistogramSnapshot {
        let mut sum = HistogramSnapshot::default();
        for shard in &self.shards {
            sum = sum.plus(&shard.head_seconds.snapshot());
        }
        sum
    }
}
