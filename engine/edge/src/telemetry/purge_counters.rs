//! How many purges there were, how long they took, and how long the oldest one that goes on has taken.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::counters::{Histogram, HistogramSnapshot};
use tero_semantics::timestamp::Timestamp;

/// The figures of purges.
#[derive(Debug, Default)]
pub struct PurgeCounters {
    begun: AtomicU64,
    /// When those that go on began, by their numbers.
    running: Mutex<BTreeMap<u64, Timestamp>>,
    purged: AtomicU64,
    seconds: Histogram,
}

impl PurgeCounters {
    /// A purge begins; gives its number.
    pub(crate) fn begin(&self, now: Timestamp) -> u64 {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        self.running().insert(number, now);
        number
    }

    /// A purge has ended, and has dropped so many responses or marked them stale.
    pub(crate) fn end(&self, number: u64, purged: u64, now: Timestamp) {
        if let Some(begun) = self.running().remove(&number) {
            self.seconds.record(now.since(begun));
        }
        self.purged.fetch_add(purged, Ordering::Relaxed);
    }

    /// Responses that were dropped or marked stale.
    pub fn purged(&self) -> u64 {
        self.purged.load(Ordering::Relaxed)
    }

    /// How long purges took that have ended.
    pub fn seconds(&self) -> HistogramSnapshot {
        self.seconds.snapshot()
    }

    /// For how long the oldest purge has gone on; zero if none does.
    pub fn running_for(&self, now: Timestamp) -> Duration {
        let running = self.running();
        let oldest = running.values().min();
        oldest.map_or(Duration::ZERO, |begun| now.since(*begun))
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<u64, Timestamp>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_purge_that_goes_on_counts() {
        let purges = PurgeCounters::default();
        let at = Timestamp::from_unix_secs;
        let first = purges.begin(at(10));
        let second = purges.begin(at(20));
        assert_eq!(purges.running_for(at(25)), Duration::from_secs(15));
        purges.end(first, 3, at(25));
        assert_eq!(purges.running_for(at(25)), Duration::from_secs(5));
        purges.end(second, 4, at(30));
        assert_eq!(purges.running_for(at(99)), Duration::ZERO);
        assert_eq!((purges.purged(), purges.seconds().count()), (7, 2));
    }
}
