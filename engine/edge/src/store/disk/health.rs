//! Whether a disk is used: one that fails is left out and tried again after rests that grow; one that
//! is slow is not waited for.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use tero_semantics::timestamp::Timestamp;

/// The rest after a disk has failed: it doubles with each further failure up to
/// [`LONGEST_REST`].
const FIRST_REST: Duration = Duration::from_secs(10);
const LONGEST_REST: Duration = Duration::from_secs(600);
/// Look-ups in a row that a disk has to be too slow for, before it isn't waited for.
const SLOW_AFTER: u32 = 8;
/// How long a slow disk isn't waited for, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// In use, not slow.
const NEVER: i64 = 0;

/// The health of a disk.
#[derive(Debug, Default)]
pub(super) struct DiskHealth {
    /// When it is tried again, in milliseconds since the Unix epoch; [`NEVER`] while it is in use.
    out_until: AtomicI64,
    failures: AtomicU32,
    /// Until when it isn't waited for.
    slow_until: AtomicI64,
    /// Look-ups in a row that it was too slow for.
    late: AtomicU32,
    pauses: AtomicU32,
}

impl DiskHealth {
    /// Whether it is in use.
    #[inline]
    pub(super) fn is_in_use(&self) -> bool {
        self.out_until.load(Ordering::Relaxed) == NEVER
    }

    /// Leaves it out for a while. Returns the rest if it was in use.
    pub(super) fn fail(&self, now: Timestamp) -> Option<Duration> {
        let until = now.saturating_add(FIRST_REST).unix_millis().max(1);
        let order = Ordering::Relaxed;
        let left_out = self.out_until.compare_exchange(NEVER, until, order, order);
        left_out.is_ok().then_some(FIRST_REST)
    }

    /// It was tried again, and failed. Returns the next rest.
    pub(super) fn trial_failed(&self, now: Timestamp) -> Duration {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        let rest = grown(FIRST_REST, LONGEST_REST, failures);
        let until = now.saturating_add(rest).unix_millis().max(1);
        self.out_until.store(until, Ordering::Relaxed);
        rest
    }

    /// Whether it is left out and is to be tried again. Says so once for each rest.
    pub(super) fn is_to_be_tried(&self, now: Timestamp) -> bool {
        let until = self.out_until.load(Ordering::Relaxed);
        if until == NEVER || now.unix_millis() < until {
            return false;
        }
        let next = now.saturating_add(LONGEST_REST).unix_millis();
        let order = Ordering::Relaxed;
        let mine = self.out_until.compare_exchange(until, next, order, order);
        mine.is_ok()
    }

    /// It works again.
    pub(super) fn recover(&self) {
        self.failures.store(0, Ordering::Relaxed);
        self.out_until.store(NEVER, Ordering::Relaxed);
        self.answered();
    }

    /// It is used no more.
    pub(super) fn retire(&self) {
        self.out_until.store(i64::MAX, Ordering::Relaxed);
    }

    /// Whether look-ups wait for it.
    pub(super) fn is_slow(&self, now: Timestamp) -> bool {
        now.unix_millis() < self.slow_until.load(Ordering::Relaxed)
    }

    /// It has answered in time.
    pub(super) fn answered(&self) {
        self.late.store(0, Ordering::Relaxed);
        self.pauses.store(0, Ordering::Relaxed);
    }

    /// A look-up has given up waiting. Returns the pause if one begins.
    pub(super) fn was_late(&self, now: Timestamp) -> Option<Duration> {
        // After a pause, one that is late again is enough.
        let late = self.late.fetch_add(1, Ordering::Relaxed) + 1;
        let pauses = self.pauses.load(Ordering::Relaxed);
        if late < SLOW_AFTER && pauses == 0 {
            return None;
        }
        let pause = grown(FIRST_PAUSE, LONGEST_PAUSE, pauses);
        self.pauses.fetch_add(1, Ordering::Relaxed);
        let until = now.saturating_add(pause).unix_millis();
        self.slow_until.store(until, Ordering::Relaxed);
        Some(pause)
    }
}

/// A rest that doubles each time.
fn grown(first: Duration, longest: Duration, times: u32) -> Duration {
    first.saturating_mul(1 << times.min(16)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_unix_secs(1_000 + secs)
    }

    #[test]
    fn a_disk_that_fails_is_tried_again_after_rests_that_grow() {
        let health = DiskHealth::default();
        assert!(health.is_in_use() && !health.is_to_be_tried(at(0)));
        assert_eq!(health.fail(at(0)), Some(FIRST_REST));
        assert!(!health.is_in_use() && !health.is_to_be_tried(at(9)));
        assert!(health.is_to_be_tried(at(10)) && !health.is_to_be_tried(at(10)));
        assert_eq!(health.fail(at(10)), None, "it was left out already");
        assert_eq!(health.trial_failed(at(10)), FIRST_REST * 2);
        assert!(!health.is_to_be_tried(at(29)) && health.is_to_be_tried(at(30)));
        for _ in 0..20 {
            health.trial_failed(at(30));
        }
        assert!(!health.is_to_be_tried(at(629)) && health.is_to_be_tried(at(630)));
        health.recover();
        assert!(health.is_in_use());
        assert_eq!(health.fail(at(0)), Some(FIRST_REST));
    }

    #[test]
    fn a_slow_disk_is_not_waited_for() {
        let health = DiskHealth::default();
        for _ in 1..SLOW_AFTER {
            assert_eq!(health.was_late(at(0)), None);
        }
        health.answered();
        for _ in 1..SLOW_AFTER {
            assert_eq!(health.was_late(at(0)), None);
        }
        assert_eq!(health.was_late(at(0)), Some(FIRST_PAUSE));
        assert!(health.is_slow(at(0)) && !health.is_slow(at(1)));
        assert_eq!(health.was_late(at(1)), Some(FIRST_PAUSE * 2));
        assert!(health.is_slow(at(2)) && !health.is_slow(at(3)));
        for _ in 0..20 {
            health.was_late(at(3));
        }
        assert!(health.is_slow(at(62)) && !health.is_slow(at(63)));
        health.answered();
        assert_eq!(health.was_late(at(70)), None);
    }
}
