//! Messages of the log that would come for each request while something is broken: each is told
//! once a minute, with the number of those that were left out.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tero_semantics::timestamp::Timestamp;

/// The time between two messages that say the same.
pub const REPEAT_EVERY: Duration = Duration::from_secs(60);

/// Bounds one message.
#[derive(Debug)]
pub struct RepeatLimit {
    /// When it was told, in milliseconds since 1970.
    told: AtomicI64,
    left_out: AtomicU64,
}

impl Default for RepeatLimit {
    fn default() -> RepeatLimit {
        RepeatLimit {
            told: AtomicI64::new(i64::MIN),
            left_out: AtomicU64::new(0),
        }
    }
}

impl RepeatLimit {
    /// Whether the message is due at `now`: then, how many were left out since the last one.
    pub fn due(&self, now: Timestamp) -> Option<u64> {
        let told = self.told.load(Ordering::Relaxed);
        let last = Timestamp::from_unix_millis(told);
        // A clock that was set back must not silence the log.
        let is_due = told == i64::MIN || now < last || now.since(last) >= REPEAT_EVERY;
        let now = now.unix_millis();
        let exchange =
            |told| (self.told).compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed);
        if is_due && exchange(told).is_ok() {
            return Some(self.left_out.swap(0, Ordering::Relaxed));
        }
        self.left_out.fetch_add(1, Ordering::Relaxed);
        None
    }
}

/// Bounds the messages about one subject, by what they say.
#[derive(Debug, Default)]
pub struct RepeatLimits(Mutex<HashMap<(&'static str, &'static str), RepeatLimit>>);

impl RepeatLimits {
    /// As [`RepeatLimit::due`], for a message with a reason. Both are texts of the program, so their
    /// number is bounded.
    pub fn due(&self, message: &'static str, reason: &'static str, now: Timestamp) -> Option<u64> {
        let mut limits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        limits.entry((message, reason)).or_default().due(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_told_once_a_minute_with_the_number_of_those_left_out() {
        let at = |millis: i64| Timestamp::from_unix_millis(1_000_000 + millis);
        let limits = RepeatLimits::default();
        for (now, expected) in [
            (0, Some(0)),
            (1, None),
            (59_999, None),
            (60_000, Some(2)),
            (60_001, None),
            // The clock was set back.
            (30_000, Some(1)),
            (89_999, None),
            (90_000, Some(1)),
        ] {
            assert_eq!(
                limits.due("fetch failed", "refused", at(now)),
                expected,
                "{now}"
            );
        }
        assert_eq!(limits.due("fetch failed", "timeout", at(90_001)), Some(0));
        assert_eq!(limits.due("pass failed", "refused", at(90_001)), Some(0));
    }
}
