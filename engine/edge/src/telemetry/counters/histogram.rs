//! Histograms of latencies.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets, in seconds. [`FAST_SECS`] is one of them.
pub const BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, FAST_SECS, 0.25, 0.5, 1.0, 5.0, 30.0,
];

/// A response whose head leaves within this time counts as fast, in seconds.
pub(super) const FAST_SECS: f64 = 0.2;

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

    /// The latencies since the snapshot `earlier`.
    pub(super) fn since(&self, earlier: &HistogramSnapshot) -> HistogramSnapshot {
        HistogramSnapshot {
            buckets: std::array::from_fn(|bucket| {
                self.buckets[bucket].saturating_sub(earlier.buckets[bucket])
            }),
            sum_secs: (self.sum_secs - earlier.sum_secs).max(0.0),
        }
    }

    /// Latencies of any length.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The share of latencies within [`FAST_SECS`], 0 to 1; `None` if there are no latencies.
    #[allow(clippy::cast_precision_loss)] // A share needs four digits.
    pub fn fast_share(&self) -> Option<f64> {
        let within = BUCKETS.iter().zip(self.buckets);
        let within = within.filter(|(bound, _)| **bound <= FAST_SECS);
        let fast: u64 = within.map(|(_, count)| count).sum();
        let all = self.count();
        (all > 0).then(|| fast as f64 / all as f64)
    }

    /// The latency in seconds that this share of the latencies (0 to 1) does not exceed, as far as the
    /// buckets tell: within a bucket they are taken as spread evenly. `None` if there are no latencies.
    #[allow(clippy::cast_precision_loss)] // Buckets are coarser than that.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let all = self.count();
        let rank = share.clamp(0.0, 1.0) * all as f64;
        let (mut below, mut lower) = (0.0, 0.0);
        for (count, bound) in self.buckets.iter().zip(BUCKETS) {
            let count = *count as f64;
            if count > 0.0 && below + count >= rank {
                return Some(lower + (bound - lower) * ((rank - below) / count).max(0.0));
            }
            (below, lower) = (below + count, bound);
        }
        (all > 0).then_some(lower)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(millis: &[u64]) -> HistogramSnapshot {
        let histogram = Histogram::default();
        for &millis in millis {
            histogram.record(Duration::from_millis(millis));
        }
        histogram.snapshot()
    }

    #[test]
    fn what_takes_200_ms_is_fast_and_what_takes_longer_is_not() {
        assert_eq!(snapshot(&[]).fast_share(), None);
        assert_eq!(snapshot(&[1, 199, 200, 201]).fast_share(), Some(0.75));
        assert_eq!(snapshot(&[60_000]).fast_share(), Some(0.0));
    }

    #[test]
    fn a_quantile_lies_in_the_bucket_of_its_rank() {
        assert_eq!(snapshot(&[]).quantile(0.95), None);
        let nineteen_fast = snapshot(&[[2; 19].as_slice(), &[400]].concat());
        assert_eq!(nineteen_fast.quantile(0.95), Some(0.0025));
        let p99 = nineteen_fast.quantile(0.99).unwrap();
        assert!(p99 > 0.25 && p99 <= 0.5, "{p99}");
        // Beyond the last bound nothing is known.
        assert_eq!(snapshot(&[60_000]).quantile(0.5), Some(30.0));
    }
}
