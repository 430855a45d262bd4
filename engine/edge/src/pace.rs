//! The pace of fetches that no visitor waits for: a rate and a concurrency at most, and slower as
//! soon as the next hop shows signs of overload.

use std::time::Duration;

use tero_semantics::timestamp::Timestamp;

/// The largest factor by which a pace slows down. The deadline of a plan ends what is too slow to
/// be useful.
const MAX_SLOWDOWN: f64 = 64.0;
/// Responses that take so many times as long as fast ones slow the pace down.
const SLOW_ANSWER: f64 = 4.0;
/// A response within this time never counts as slow.
const NEVER_SLOW: Duration = Duration::from_millis(50);
/// The pause after an overload without `Retry-After`, times the slowdown.
const PAUSE: Duration = Duration::from_millis(500);

/// What the end of a fetch shows about the next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchSignal {
    /// It responded after this time.
    Answered(Duration),
    /// It got no request.
    NotAsked,
    /// It is overloaded or down.
    Overloaded {
        /// The pause that it asks for.
        retry_after: Option<Duration>,
    },
}

/// A pace, and its state.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Fetches per second.
    rate: f64,
    concurrency: usize,
    /// Fetches that may begin at once. Grows by `rate` per second, up to the fetches of one second.
    allowance: f64,
    counted_at: Timestamp,
    slowdown: f64,
    paused_until: Timestamp,
    /// The usual time of a fast response, in seconds.
    fast_secs: Option<f64>,
}

impl Pace {
    /// A pace of `rate` fetches per second, of which those of one second may begin at once, and of
    /// at most `concurrency` at the same time. A rate outside 0.001 to 1,000,000 and a concurrency
    /// of 0 are brought into range.
    pub fn new(rate: f64, concurrency: usize, now: Timestamp) -> Pace {
        let rate = if rate.is_finite() {
            rate.clamp(0.001, 1_000_000.0)
        } else {
            1.0
        };
        Pace {
            rate,
            concurrency: concurrency.max(1),
            allowance: rate.max(1.0),
            counted_at: now,
            slowdown: 1.0,
            paused_until: now,
            fast_secs: None,
        }
    }

    /// How many fetches may be under way at the same time; at least 1.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )] // The number is small and not negative.
    pub fn concurrency(&self) -> usize {
        ((self.concurrency as f64 / self.slowdown) as usize).max(1)
    }

    /// How long the next fetch must wait, from `now`.
    pub fn wait(&mut self, now: Timestamp) -> Duration {
        self.count(now);
        let pause = self.paused_until.since(now);
        let missing = (1.0 - self.allowance).max(0.0);
        // Rounded up, so that after this wait no other one is needed.
        let for_rate =
            Duration::from_millis(1) * u32_ceil(missing * 1_000.0 * self.slowdown / self.rate);
        pause.max(for_rate)
    }

    /// Records that a fetch begins.
    pub fn begin(&mut self, now: Timestamp) {
        self.count(now);
        self.allowance -= 1.0;
    }

    /// Records that a fetch has ended.
    pub fn end(&mut self, signal: FetchSignal, now: Timestamp) {
        match signal {
            FetchSignal::NotAsked => {}
            FetchSignal::Answered(took) => self.answered(took),
            FetchSignal::Overloaded { retry_after } => {
                self.slow_down(2.0);
                // The allowance must not be spent all at once after the pause.
                self.allowance = self.allowance.min(1.0);
                let pause = retry_after.unwrap_or(PAUSE.mul_f64(self.slowdown));
                self.paused_until = self.paused_until.max(now.saturating_add(pause));
            }
        }
    }

    fn answered(&mut self, took: Duration) {
        let secs = took.as_secs_f64();
        let fast = *self.fast_secs.get_or_insert(secs);
        // The average follows fast responses quickly and slow ones hardly, so that a next hop that
        // gets slower and slower is noticed.
        let weight = if secs < fast { 0.5 } else { 0.01 };
        self.fast_secs = Some(fast + (secs - fast) * weight);
        if took > NEVER_SLOW && secs > fast * SLOW_ANSWER {
            self.slow_down(1.5);
        } else {
            self.slowdown = (self.slowdown * 0.9).max(1.0);
        }
    }

    fn slow_down(&mut self, factor: f64) {
        self.slowdown = (self.slowdown * factor).min(MAX_SLOWDOWN);
    }

    /// Adds the allowance of the time since the last call.
    fn count(&mut self, now: Timestamp) {
        let passed = now.since(self.counted_at).as_secs_f64();
        self.counted_at = now;
        let most = self.rate.max(1.0) / self.slowdown;
        self.allowance = (self.allowance + passed * self.rate / self.slowdown).min(most.max(1.0));
    }
}

/// `number` rounded up.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Saturates.
fn u32_ceil(number: f64) -> u32 {
    // Sums of fractions have a small error, which must not add a millisecond.
    (number - 1e-6).ceil() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_unix_secs(1_000);
    const FAST: FetchSignal = FetchSignal::Answered(Duration::from_millis(20));

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_fetches_of_one_second_begin_at_once_and_then_one_by_one() {
        let mut pace = Pace::new(10.0, 4, START);
        for _ in 0..10 {
            assert_eq!(pace.wait(START), Duration::ZERO);
            pace.begin(START);
        }
        assert_eq!(pace.wait(START), millis(100));
        let later = START.saturating_add(millis(100));
        assert_eq!(pace.wait(later), Duration::ZERO);
        pace.begin(later);
        assert_eq!(pace.wait(later), millis(100));
        assert_eq!(pace.wait(later.saturating_add(millis(99))), millis(1));
    }

    #[test]
    fn an_overloaded_next_hop_gets_the_pause_that_it_asks_for() {
        let mut pace = Pace::new(100.0, 8, START);
        pace.end(
            FetchSignal::Overloaded {
                retry_after: Some(Duration::from_secs(7)),
            },
            START,
        );
        assert_eq!(pace.wait(START), Duration::from_secs(7));
        assert_eq!(pace.concurrency(), 4);
        pace.end(
            FetchSignal::Overloaded {
                retry_after: Some(Duration::from_secs(100_000)),
            },
            START,
        );
        assert_eq!(pace.wait(START), Duration::from_secs(100_000));
    }

    #[test]
    fn failures_slow_the_pace_down_to_a_bound_and_responses_speed_it_up() {
        let mut pace = Pace::new(64.0, 64, START);
        for _ in 0..100 {
            pace.end(FetchSignal::Overloaded { retry_after: None }, START);
        }
        assert_eq!(pace.concurrency(), 1);
        assert_eq!(pace.wait(START), PAUSE * 64);
        let later = START.saturating_add(PAUSE * 64);
        pace.begin(later);
        assert_eq!(pace.wait(later), Duration::from_secs(1));
        for _ in 0..100 {
            pace.end(FAST, later);
        }
        assert_eq!(pace.concurrency(), 64);
    }

    #[test]
    fn slow_responses_slow_the_pace_down() {
        let mut pace = Pace::new(64.0, 8, START);
        for _ in 0..5 {
            pace.end(FAST, START);
        }
        pace.end(FetchSignal::Answered(millis(79)), START);
        assert_eq!(pace.concurrency(), 8);
        for _ in 0..4 {
            pace.end(FetchSignal::Answered(millis(400)), START);
        }
        assert_eq!(pace.concurrency(), 1);
        pace.end(FetchSignal::NotAsked, START);
        assert_eq!(pace.concurrency(), 1);
    }

    #[test]
    fn any_numbers_make_a_valid_pace() {
        for rate in [f64::NAN, f64::INFINITY, 0.0, -1.0, 0.1, 10_000.0] {
            let mut pace = Pace::new(rate, 0, START);
            assert!(pace.concurrency() >= 1);
            pace.begin(START);
            assert!(pace.wait(START) <= Duration::from_secs(1_000));
        }
    }
}
