//! Counters of a route, in one shard per worker thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;

use super::Outcome;
use super::counters::{Histogram, HistogramSnapshot, Outcomes, worker};

/// Classes of the statuses of responses.
pub const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The counters of one route.
#[derive(Debug)]
pub struct RouteCounters {
    shards: Box<[RouteShard]>,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct RouteShard {
    outcomes: [AtomicU64; Outcome::ALL.len()],
    /// By class of the status.
    statuses: [AtomicU64; STATUS_CLASSES.len()],
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
    pub fn record(&self, outcome: Outcome, status: StatusCode, took: Duration) {
        let shard = &self.shards[worker() % self.shards.len()];
        shard.outcomes[outcome.index()].fetch_add(1, Ordering::Relaxed);
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(count) = shard.statuses.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
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

    /// Responses by class of the status, in the order of [`STATUS_CLASSES`].
    pub fn responses(&self) -> [(&'static str, u64); STATUS_CLASSES.len()] {
        std::array::from_fn(|class| {
            let shards = self.shards.iter();
            let counts = shards.map(|shard| shard.statuses[class].load(Ordering::Relaxed));
            (STATUS_CLASSES[class], counts.sum())
        })
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
