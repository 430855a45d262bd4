//! Histograms of latencies.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets, in seconds.
pub const BUCKETS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];

/// A histogram that is counted in.
#[derive(Debug, Default)]
pub(in super::super) struct Histogram {
    pub(super) buckets: [AtomicU64; BUCKETS.len() + 1],
    pub(super) sum_micros: AtomicU64,
}

/// A histogram of latencies, summed over shards.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistogramSnapshot {
    /// Counts by bucket of [`BUCKETS`]; the last counts all longer latencies.
    pub buckets: [u64; BUCKETS.len() + 1],
    /// The sum of all latencies, in seconds.
    pub sum_secs: f64,
}

impl HistogramSnapshot {
    /// The latencies of both.
    pub(in super::super) fn plus(mut self, other: &HistogramSnapshot) -> HistogramSnapshot {
        for (sum, bucket) in self.buckets.iter_mut().zip(other.buckets) {
            *sum += bucket;
        }
        self.sum_secs += other.sum_secs;
        self
    }
}

impl Histogram {
    /// The counts so far.
    pub(in super::super) fn snapshot(&self) -> HistogramSnapshot {
        HistogramSnapshot {
            buckets: std::array::from_fn(|bucket| self.buckets[bucket].load(Ordering::Relaxed)),
            sum_secs: self.sum_micros.load(Ordering::Relaxed) as f64 / 1e6,
        }
    }

    /// Counts a latency.
    pub(in super::super) fn record(&self, took: Duration) {
        let secs = took.as_secs_f64();
        let bucket = BUCKETS
            .iter()
            .position(|&bound| secs <= bound)
            .unwrap_or(BUCKETS.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_micros.fetch_add(
            u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }
}
