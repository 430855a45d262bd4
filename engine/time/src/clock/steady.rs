//! The real time that never goes back: the monotonic clock, which follows the system's clock forward.
//!
//! The monotonic clock stands while the machine sleeps, and knows nothing of a system's clock that is
//! set forward; what is stored has aged meanwhile. So the two are compared once a second.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tero_semantics::timestamp::Timestamp;

/// The system's clock is followed forward from this many milliseconds on: readings of two clocks
/// differ a little.
const TOLERANCE_MILLIS: i64 = 100;

/// The beginning of the process's time, by both clocks.
static BEGAN: OnceLock<(Instant, i64)> = OnceLock::new();
static TIME: SteadyTime = SteadyTime::new();

/// The time that never goes back.
pub(super) fn now() -> Timestamp {
    let (began, wall) = *BEGAN.get_or_init(|| (Instant::now(), wall_millis()));
    let elapsed = began.elapsed();
    let millis = elapsed.as_secs() as i64 * 1_000 + i64::from(elapsed.subsec_millis());
    let at = wall + millis;
    if TIME.is_due(elapsed.as_secs()) {
        TIME.compare(at, wall_millis());
    }
    Timestamp::from_unix_millis(TIME.at(at))
}

/// What the system's clock shows.
pub(super) fn wall() -> Timestamp {
    Timestamp::from_unix_millis(wall_millis())
}

/// How far the system's clock is behind [`now`].
pub(super) fn behind_millis() -> i64 {
    TIME.behind.load(Ordering::Relaxed)
}

fn wall_millis() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since_epoch.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

/// What the comparison of the clocks has found.
#[derive(Debug)]
struct SteadyTime {
    /// The second of the last comparison.
    compared: AtomicI64,
    /// How far the system's clock was set forward, in all.
    ahead: AtomicI64,
    behind: AtomicI64,
}

impl SteadyTime {
    const fn new() -> SteadyTime {
        SteadyTime {
            compared: AtomicI64::new(0),
            ahead: AtomicI64::new(0),
            behind: AtomicI64::new(0),
        }
    }

    /// Whether the clocks have to be compared in this second. One caller is told so.
    fn is_due(&self, second: u64) -> bool {
        let (second, last) = (second as i64, self.compared.load(Ordering::Relaxed));
        let elect = || {
            (self.compared)
                .compare_exchange(last, second, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        };
        second > last && elect()
    }

    /// The time when the monotonic clock is at `at`.
    fn at(&self, at: i64) -> i64 {
        at + self.ahead.load(Ordering::Relaxed)
    }

    #[cold]
    fn compare(&self, at: i64, wall: i64) {
        let forward = wall - self.at(at);
        if forward >= TOLERANCE_MILLIS {
            self.ahead.fetch_add(forward, Ordering::Relaxed);
            self.behind.store(0, Ordering::Relaxed);
        } else {
            self.behind.store(-forward, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_follows_the_wall_clock_forward_and_never_back() {
        let time = SteadyTime::new();
        let compare = |at, wall| {
            time.compare(at, wall);
            (time.at(at), time.behind.load(Ordering::Relaxed))
        };
        assert_eq!(compare(1_000, 1_000), (1_000, 0));
        // Readings differ a little.
        assert_eq!(compare(2_000, 2_099), (2_000, -99));
        // Set forward by an hour, back by two, and forward again.
        assert_eq!(compare(3_000, 3_603_000), (3_603_000, 0));
        assert_eq!(compare(4_000, -3_596_000), (3_604_000, 7_200_000));
        assert_eq!(compare(5_000, 5_000), (3_605_000, 3_600_000));
        assert_eq!(compare(6_000, 3_607_000), (3_607_000, 0));
    }

    #[test]
    fn one_caller_compares_in_a_second() {
        let time = SteadyTime::new();
        assert!(!time.is_due(0));
        assert!(time.is_due(1));
        assert!(!time.is_due(1));
        assert!(time.is_due(5));
        assert!(!time.is_due(4));
    }

    #[test]
    fn the_real_time_is_that_of_the_wall() {
        let apart = now().unix_millis() - wall().unix_millis();
        assert!(apart.abs() < 5_000, "{apart}");
    }
}
