//! The circuit breaker of a site: while its origins fail for many keys, visitors of stale pages don't
//! wait to find that out once more.
//!
//! It opens when failures of several keys are a large share of all fetches in a while. Each key counts
//! once per window, so that one URL can't open it. While it is open, what may be served
//! stale is; after its rest, one fetch at a time tries whether the origins are back.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tero_config as config;
use tero_semantics::timestamp::Timestamp;

/// The time over which failures are counted.
const WINDOW: Duration = Duration::from_secs(10);
/// Keys whose failures are told apart in a window, at most.
const MAX_KEYS: usize = 1_024;

/// The circuit breaker of a site.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: config::Health,
    hasher: RandomState,
    state: Mutex<BreakerState>,
}

#[derive(Debug)]
struct BreakerState {
    window_begins: Timestamp,
    /// The keys that failed in the window.
    failed: HashSet<u64>,
    /// Fetches of the window that did not fail.
    succeeded: u32,
    /// The end of its rest, while it is open.
    open_until: Option<Timestamp>,
    next_rest: Duration,
    /// Whether a fetch tries if the origins are back.
    is_tried: bool,
    opened: u64,
}

/// What the breaker says of fetches that a stale response could stand in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BreakerPosition {
    /// They go on.
    Closed,
    /// They wait until its rest is over.
    Open,
    /// Its rest is over, and one may try.
    HalfOpen,
}

impl Breaker {
    /// A closed one.
    pub(super) fn new(settings: &config::Health) -> Breaker {
        Breaker {
            state: Mutex::new(BreakerState {
                window_begins: Timestamp::default(),
                failed: HashSet::new(),
                succeeded: 0,
                open_until: None,
                next_rest: settings.rest.min(settings.max_rest),
                is_tried: false,
                opened: 0,
            }),
            hasher: RandomState::new(),
            settings: settings.clone(),
        }
    }

    /// Where it stands.
    pub(crate) fn position(&self, now: Timestamp) -> BreakerPosition {
        let state = self.state();
        match state.open_until {
            None => BreakerPosition::Closed,
            Some(end) if end <= now && !state.is_tried => BreakerPosition::HalfOpen,
            Some(_) => BreakerPosition::Open,
        }
    }

    /// Takes the place of the one fetch that tries whether the origins are back. Returns whether a
    /// fetch may go on: always while the breaker is closed.
    pub(crate) fn let_through(&self, now: Timestamp) -> bool {
        let mut state = self.state();
        match state.open_until {
            None => true,
            Some(end) => {
                let is_free = end <= now && !state.is_tried;
                state.is_tried |= is_free;
                is_free
            }
        }
    }

    /// Ends a trial that came to no result.
    pub(super) fn end_trial(&self) {
        self.state().is_tried = false;
    }

    /// A fetch has brought an answer that is not a failure of the origins.
    pub(crate) fn succeeded(&self, now: Timestamp) {
        let mut state = self.state();
        state.roll(now);
        state.succeeded = state.succeeded.saturating_add(1);
        if state.open_until.is_some() {
            state.open_until = None;
            state.is_tried = false;
            state.failed.clear();
            state.next_rest = self.settings.rest.min(self.settings.max_rest);
        }
    }

    /// The fetch for a key has failed. `retry_after` is how long the origin wants to be left alone.
    /// Returns whether the breaker has opened by this.
    pub(crate) fn failed(&self, key: &[u8], retry_after: Option<Duration>, now: Timestamp) -> bool {
        let mut state = self.state();
        state.roll(now);
        if state.failed.len() < MAX_KEYS {
            state.failed.insert(self.hasher.hash_one(key));
        }
        let failures = u32::try_from(state.failed.len()).unwrap_or(u32::MAX);
        let all = f64::from(failures) + f64::from(state.succeeded);
        let is_large = f64::from(failures) >= all * self.settings.failure_share.fraction();
        let (was_open, is_trial) = match state.open_until {
            None => (false, false),
            Some(end) => (true, end <= now),
        };
        let opens =
            is_trial || (!was_open && failures >= self.settings.failures_in_row && is_large);
        if opens {
            let rest = retry_after.map_or(state.next_rest, |wish| wish.max(state.next_rest));
            state.open_until = Some(now.saturating_add(rest.min(self.settings.max_rest)));
            state.next_rest = state
                .next_rest
                .saturating_mul(2)
                .min(self.settings.max_rest);
            state.is_tried = false;
            state.opened += u64::from(!was_open);
        }
        opens && !was_open
    }

    /// How often it has opened.
    pub(super) fn opened(&self) -> u64 {
        self.state().opened
    }

    fn state(&self) -> MutexGuard<'_, BreakerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BreakerState {
    /// Begins another window if the last one is over.
    fn roll(&mut self, now: Timestamp) {
        if now.since(self.window_begins) >= WINDOW {
            self.window_begins = now;
            self.failed.clear();
            self.succeeded = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_unix_secs(1_000 + i64::try_from(secs).unwrap())
    }

    fn breaker() -> Breaker {
        Breaker::new(&config::Health::default())
    }

    fn fail(breaker: &Breaker, keys: std::ops::Range<u8>, secs: u64) {
        for key in keys {
            breaker.failed(&[key], None, at(secs));
        }
    }

    #[test]
    fn one_url_does_not_open_it_and_several_do() {
        let breaker = breaker();
        for _ in 0..1_000 {
            assert!(!breaker.failed(b"one", None, at(0)));
        }
        assert_eq!(breaker.position(at(0)), BreakerPosition::Closed);
        fail(&breaker, 0..4, 0);
        assert_eq!(breaker.position(at(0)), BreakerPosition::Open);
        assert_eq!(breaker.opened(), 1);
    }

    #[test]
    fn failures_that_are_a_small_share_do_not_open_it() {
        let breaker = breaker();
        for _ in 0..11 {
            breaker.succeeded(at(0));
        }
        fail(&breaker, 0..10, 0);
        assert_eq!(breaker.position(at(0)), BreakerPosition::Closed);
        fail(&breaker, 10..11, 0);
        assert_eq!(breaker.position(at(0)), BreakerPosition::Open);
    }

    #[test]
    fn one_fetch_at_a_time_tries_and_rests_grow() {
        let breaker = breaker();
        fail(&breaker, 0..5, 0);
        let mut now = 0;
        for rest in [5, 10, 20, 30, 30] {
            assert!(!breaker.let_through(at(now + rest - 1)), "{rest}");
            now += rest;
            assert_eq!(
                breaker.position(at(now)),
                BreakerPosition::HalfOpen,
                "{rest}"
            );
            assert!(breaker.let_through(at(now)));
            assert!(!breaker.let_through(at(now)));
            breaker.failed(&[0], None, at(now));
        }
        now += 30;
        assert!(breaker.let_through(at(now)));
        breaker.succeeded(at(now));
        assert_eq!(breaker.position(at(now)), BreakerPosition::Closed);
        fail(&breaker, 0..5, now);
        assert!(breaker.let_through(at(now + 5)), "the rests begin anew");
    }

    #[test]
    fn retry_after_is_obeyed_up_to_the_longest_rest() {
        for (wish, rest) in [(1, 5), (20, 20), (3_600, 30)] {
            let breaker = breaker();
            for key in 0..5_u8 {
                breaker.failed(&[key], Some(Duration::from_secs(wish)), at(0));
            }
            assert_eq!(
                breaker.position(at(rest - 1)),
                BreakerPosition::Open,
                "{wish}"
            );
            assert_eq!(
                breaker.position(at(rest)),
                BreakerPosition::HalfOpen,
                "{wish}"
            );
        }
    }
}
