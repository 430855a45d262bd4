//! The rate at which a client sends or accepts bytes while the edge waits for it.
//!
//! Only waiting counts: a client that is always ready when bytes are there is never slow, however
//! little the other side sends. Time and bytes are added up over [`WINDOW`] of waiting, so that a
//! pause between two quick bursts does no harm.

use std::time::Duration;

/// The time of waiting over which a rate is measured.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);

/// The client was slower than `min_rate`, or silent for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client was too slow")]
pub(crate) struct SlowClientError;

/// Measures one client in one direction.
#[derive(Debug)]
pub(crate) struct RateMeter {
    min_bytes_per_sec: u64,
    waited: Duration,
    bytes: u64,
}

impl RateMeter {
    /// With a rate of 0, no client is too slow.
    pub(crate) fn new(min_bytes_per_sec: u64) -> RateMeter {
        RateMeter {
            min_bytes_per_sec,
            waited: Duration::ZERO,
            bytes: 0,
        }
    }

    /// How much longer a client may be silent before it is too slow. `None` without a least rate.
    pub(crate) fn patience(&self) -> Option<Duration> {
        let millis = self
            .bytes
            .saturating_mul(1_000)
            .checked_div(self.min_bytes_per_sec)?;
        let most = WINDOW.max(Duration::from_millis(millis.saturating_add(1)));
        Some(most.saturating_sub(self.waited))
    }

    /// Adds `bytes` that moved after the client was waited for.
    ///
    /// # Errors
    /// If the client was slower than the least rate for [`WINDOW`] of waiting.
    pub(crate) fn record(&mut self, waited: Duration, bytes: u64) -> Result<(), SlowClientError> {
        self.waited += waited;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.waited < WINDOW {
            return Ok(());
        }
        let least = u128::from(self.min_bytes_per_sec) * self.waited.as_millis();
        let is_slow = u128::from(self.bytes) * 1_000 < least;
        *self = RateMeter::new(self.min_bytes_per_sec);
        if is_slow {
            Err(SlowClientError)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_client_is_slow_below_the_least_rate_and_not_at_it() {
        for (least, each_second, is_slow) in [
            (100, 100, false),
            (100, 99, true),
            (1, 0, true),
            (0, 0, false),
            (1 << 20, 1 << 20, false),
        ] {
            let mut meter = RateMeter::new(least);
            let seconds: Vec<_> = (0..10).map(|_| meter.record(SECOND, each_second)).collect();
            assert!(seconds[..9].iter().all(Result::is_ok), "{least}");
            assert_eq!(seconds[9].is_err(), is_slow, "{least} {each_second}");
        }
    }

    #[test]
    fn a_silent_client_is_slow_when_patience_ends_and_not_before() {
        let millisecond = Duration::from_millis(1);
        for (least, waited, bytes, expected) in [
            (100, Duration::ZERO, 0, Some(WINDOW)),
            (100, SECOND * 4, 0, Some(SECOND * 6)),
            (100, SECOND * 4, 500, Some(SECOND * 6)),
            (100, SECOND * 4, 2_000, Some(SECOND * 16 + millisecond)),
            (0, SECOND, 0, None),
        ] {
            let mut meter = RateMeter::new(least);
            assert!(meter.record(waited, bytes).is_ok());
            let patience = meter.patience();
            assert_eq!(patience, expected, "{least} {waited:?} {bytes}");
            let Some(patience) = patience else { continue };
            let mut patient = RateMeter { ..meter };
            assert!(patient.record(patience - millisecond, 0).is_ok());
            assert!(meter.record(patience, 0).is_err());
        }
    }

    #[test]
    fn bytes_that_nobody_waited_for_count_and_windows_begin_anew() {
        let mut meter = RateMeter::new(100);
        assert!(meter.record(Duration::ZERO, 5_000).is_ok());
        assert!(meter.record(WINDOW, 0).is_ok());
        assert!(meter.record(WINDOW, 0).is_err());
        assert!(meter.record(WINDOW / 2, 0).is_ok());
    }
}
