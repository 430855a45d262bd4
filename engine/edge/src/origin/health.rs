//! How one next hop does: what requests and checks see of it, and when it rests.
//!
//! A refused connection, a failed handshake and a timeout cost a visitor much, so each of them puts
//! the hop to rest at once. Resets, malformed responses and the statuses 502 to 504 do so when many
//! come in a row, or when they are a large share. After each rest, one request tries whether the hop
//! is back; a further failure makes the next rest twice as long.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;

use super::error::OriginError;
use tero_config as config;
use tero_semantics::timestamp::Timestamp;

/// The time over which the share of failures is taken.
const SHARE_WINDOW: Duration = Duration::from_secs(10);

/// How one next hop does.
#[derive(Debug)]
pub(super) struct HopHealth {
    settings: config::Health,
    state: Mutex<HealthState>,
    /// Requests whose responses have not ended.
    in_flight: AtomicUsize,
    /// Whether an operator has taken it out.
    is_drained: AtomicBool,
}

/// What was seen of a hop.
#[derive(Debug)]
struct HealthState {
    /// The end of its rest; `None` if it has proved itself since.
    rests_until: Option<Timestamp>,
    /// How long it rests next.
    next_rest: Duration,
    /// Failures in a row.
    in_row: u32,
    /// The window of the share of failures.
    window_begins: Timestamp,
    requests: u32,
    failures: u32,
    /// Whether a request tries if it is back.
    is_tried: bool,
    /// Checks with the same result in a row.
    checks_in_row: u32,
    latest_check_was_good: bool,
    /// Whether checks have found it ill.
    is_down: bool,
    reason: &'static str,
}

/// Whether a hop may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HopUse {
    /// It is asked.
    Healthy,
    /// Its rest is over, and one request may try it.
    OnTrial,
    /// It is asked only if no other hop is left.
    Resting,
    /// It is never asked: an operator has taken it out.
    Drained,
}

/// How a request to a hop ended, as far as health is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HopResult {
    /// An answer that is not a failure of the hop.
    Good,
    /// A failure of which some are usual.
    Mild,
    /// A failure for which visitors have waited, or which all requests will meet.
    Severe,
    /// Nothing that says anything about the hop.
    Unknown,
}

impl HopResult {
    /// The result of a request.
    pub(super) fn of(result: Result<StatusCode, &OriginError>) -> HopResult {
        match result {
            Ok(status) if matches!(status.as_u16(), 502..=504) => HopResult::Mild,
            Ok(_) => HopResult::Good,
            Err(error) => match error {
                OriginError::Connect { .. }
                | OriginError::Tls { .. }
                | OriginError::ConnectTimeout { .. }
                | OriginError::ResponseTimeout { .. } => HopResult::Severe,
                OriginError::Broken { .. }
                | OriginError::Malformed { .. }
                | OriginError::TooManyFields { .. }
                | OriginError::Switched { .. } => HopResult::Mild,
                OriginError::Busy
                | OriginError::Unknown
                | OriginError::Exhausted { .. }
                | OriginError::SlowRequestBody
                | OriginError::RequestBody { .. } => HopResult::Unknown,
            },
        }
    }
}

/// Whether a hop is asked, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HopCondition {
    /// It is asked.
    Healthy,
    /// Its rest is over, and one request tries it.
    OnTrial,
    /// It failed, and is asked only if no other is left.
    Resting,
    /// It failed its checks, and is asked only if no other is left.
    Down,
    /// An operator has taken it out.
    Drained,
}

/// The state of a hop, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HopState {
    /// Whether it is asked.
    pub condition: HopCondition,
    /// Why it rests or is down; empty if it does not.
    pub reason: &'static str,
    /// For how long it still rests.
    pub rests_for: Duration,
    /// Requests whose responses have not ended.
    pub in_flight: usize,
}

impl HopHealth {
    /// That of a hop of which nothing is known.
    pub(super) fn new(settings: &config::Health) -> HopHealth {
        HopHealth {
            state: Mutex::new(HealthState {
                rests_until: None,
                next_rest: settings.rest.min(settings.max_rest),
                in_row: 0,
                window_begins: Timestamp::default(),
                requests: 0,
                failures: 0,
                is_tried: false,
                checks_in_row: 0,
                latest_check_was_good: true,
                is_down: false,
                reason: "",
            }),
            settings: settings.clone(),
            in_flight: AtomicUsize::new(0),
            is_drained: AtomicBool::new(false),
        }
    }

    /// Whether it may be asked.
    pub(super) fn usability(&self, now: Timestamp) -> HopUse {
        if self.is_drained.load(Ordering::Relaxed) {
            return HopUse::Drained;
        }
        let state = self.state();
        match state.rests_until {
            _ if state.is_down => HopUse::Resting,
            None => HopUse::Healthy,
            Some(end) if end <= now && !state.is_tried => HopUse::OnTrial,
            Some(_) => HopUse::Resting,
        }
    }

    /// Takes the one place of a request that tries the hop. Returns whether it was free.
    pub(super) fn begin_trial(&self, now: Timestamp) -> bool {
        let mut state = self.state();
        let is_due = state.rests_until.is_some_and(|end| end <= now);
        let begins = is_due && !state.is_tried && !state.is_down;
        state.is_tried |= begins;
        begins
    }

    /// Ends a trial: another one may begin, unless it came to a result.
    pub(super) fn end_trial(&self) {
        self.state().is_tried = false;
    }

    /// Whether these settings are its own.
    pub(super) fn is_by(&self, settings: &config::Health) -> bool {
        self.settings == *settings
    }

    /// Takes account of a request. `may_rest` says whether enough other hops are left to let this
    /// one rest for a mild failure.
    pub(super) fn record(&self, result: HopResult, now: Timestamp, may_rest: impl Fn() -> bool) {
        let mut state = self.state();
        if result == HopResult::Unknown {
            return;
        }
        if now.since(state.window_begins) >= SHARE_WINDOW {
            state.window_begins = now;
            (state.requests, state.failures) = (0, 0);
        }
        state.requests = state.requests.saturating_add(1);
        if result == HopResult::Good {
            state.in_row = 0;
            if state.rests_until.is_some_and(|end| end <= now) {
                state.recover(&self.settings);
            }
            return;
        }
        state.in_row = state.in_row.saturating_add(1);
        state.failures = state.failures.saturating_add(1);
        let was_on_trial = state.rests_until.is_some_and(|end| end <= now);
        if state.rests_until.is_some_and(|end| end > now) {
            // It was asked since no other was left.
            return;
        }
        let reason = match result {
            HopResult::Severe => Some("refused or timed out"),
            _ if was_on_trial => Some("failed again after its rest"),
            _ if state.in_row >= self.settings.failures_in_row => Some("failures in a row"),
            _ if state.has_large_share(&self.settings) => Some("a large share of failures"),
            _ => None,
        };
        let Some(reason) = reason else { return };
        if result == HopResult::Severe || was_on_trial {
            state.rest(now, reason, &self.settings);
            return;
        }
        drop(state);
        if may_rest() {
            self.state().rest(now, reason, &self.settings);
        }
    }

    /// Takes account of a check.
    pub(super) fn record_check(&self, is_good: bool) {
        let mut state = self.state();
        if state.latest_check_was_good == is_good {
            state.checks_in_row = state.checks_in_row.saturating_add(1);
        } else {
            state.latest_check_was_good = is_good;
            state.checks_in_row = 1;
        }
        if !is_good && !state.is_down && state.checks_in_row >= self.settings.fall {
            state.is_down = true;
            state.reason = "checks failed";
        } else if is_good && state.checks_in_row >= self.settings.rise {
            if state.is_down {
                state.is_down = false;
                state.recover(&self.settings);
            } else if state.rests_until.is_some() {
                // A check is a trial.
                state.recover(&self.settings);
            }
        }
    }

    /// Whether it rests or is down.
    pub(super) fn is_resting(&self, now: Timestamp) -> bool {
        self.usability(now) == HopUse::Resting
    }

    /// Requests whose responses have not ended.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts a request as under way.
    pub(super) fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// The response to a request has ended.
    pub(super) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Takes it out, or puts it back.
    pub(super) fn set_drained(&self, is_drained: bool) {
        self.is_drained.store(is_drained, Ordering::Relaxed);
    }

    /// Its state, for people.
    pub(super) fn shown(&self, now: Timestamp) -> HopState {
        let usability = self.usability(now);
        let state = self.state();
        let condition = match usability {
            HopUse::Healthy => HopCondition::Healthy,
            HopUse::OnTrial => HopCondition::OnTrial,
            HopUse::Drained => HopCondition::Drained,
            HopUse::Resting if state.is_down => HopCondition::Down,
            HopUse::Resting if state.is_tried => HopCondition::OnTrial,
            HopUse::Resting => HopCondition::Resting,
        };
        HopState {
            condition,
            reason: if usability == HopUse::Healthy {
                ""
            } else {
                state.reason
            },
            rests_for: state
                .rests_until
                .map_or(Duration::ZERO, |end| end.since(now)),
            in_flight: self.in_flight(),
        }
    }

    fn state(&self) -> MutexGuard<'_, HealthState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HealthState {
    fn rest(&mut self, now: Timestamp, reason: &'static str, settings: &config::Health) {
        self.rests_until = Some(now.saturating_add(self.next_rest));
        self.next_rest = self.next_rest.saturating_mul(2).min(settings.max_rest);
        self.is_tried = false;
        self.reason = reason;
        self.in_row = 0;
    }

    fn recover(&mut self, settings: &config::Health) {
        self.rests_until = None;
        self.next_rest = settings.rest.min(settings.max_rest);
        self.is_tried = false;
        self.in_row = 0;
        (self.requests, self.failures) = (0, 0);
    }

    fn has_large_share(&self, settings: &config::Health) -> bool {
        self.requests >= settings.min_requests
            && f64::from(self.failures)
                >= f64::from(self.requests) * settings.failure_share.fraction()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health() -> HopHealth {
        HopHealth::new(&config::Health::default())
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_unix_secs(1_000).saturating_add(Duration::from_millis(millis))
    }

    #[test]
    fn a_severe_failure_is_enough_and_rests_grow_until_it_is_back() {
        let health = health();
        let mut now = 0;
        for rest in [5_000, 10_000, 20_000, 30_000, 30_000] {
            health.record(HopResult::Severe, at(now), || false);
            assert_eq!(
                health.usability(at(now + rest - 1)),
                HopUse::Resting,
                "{rest}"
            );
            now += rest;
            assert_eq!(health.usability(at(now)), HopUse::OnTrial, "{rest}");
        }
        health.record(HopResult::Good, at(now), || true);
        assert_eq!(health.usability(at(now)), HopUse::Healthy);
        health.record(HopResult::Severe, at(now), || true);
        assert_eq!(health.usability(at(now + 5_000)), HopUse::OnTrial);
    }

    #[test]
    fn mild_failures_count_in_a_row_and_only_while_enough_others_are_left() {
        let health = health();
        for _ in 0..4 {
            health.record(HopResult::Mild, at(0), || true);
        }
        health.record(HopResult::Good, at(0), || true);
        for _ in 0..4 {
            health.record(HopResult::Mild, at(0), || true);
        }
        assert_eq!(health.usability(at(0)), HopUse::Healthy);
        health.record(HopResult::Mild, at(0), || false);
        assert_eq!(health.usability(at(0)), HopUse::Healthy);
        health.record(HopResult::Mild, at(0), || true);
        assert_eq!(health.usability(at(0)), HopUse::Resting);
    }

    #[test]
    fn a_share_of_failures_counts_from_a_least_number_of_requests() {
        let health = health();
        for request in 0..18 {
            let result = if request % 2 == 0 {
                HopResult::Mild
            } else {
                HopResult::Good
            };
            health.record(result, at(0), || true);
        }
        assert_eq!(health.usability(at(0)), HopUse::Healthy);
        health.record(HopResult::Good, at(0), || true);
        health.record(HopResult::Mild, at(0), || true);
        assert_eq!(health.usability(at(0)), HopUse::Resting);
    }

    #[test]
    fn one_request_at_a_time_tries_whether_it_is_back() {
        let health = health();
        health.record(HopResult::Severe, at(0), || true);
        assert!(!health.begin_trial(at(4_999)));
        assert!(health.begin_trial(at(5_000)));
        assert!(!health.begin_trial(at(5_000)));
        assert_eq!(health.usability(at(5_000)), HopUse::Resting);
        health.end_trial();
        assert!(health.begin_trial(at(5_000)));
    }

    #[test]
    fn checks_take_it_out_and_bring_it_back() {
        let health = health();
        for (is_good, expected) in [
            (false, HopUse::Healthy),
            (false, HopUse::Healthy),
            (false, HopUse::Resting),
            (true, HopUse::Resting),
            (false, HopUse::Resting),
            (true, HopUse::Resting),
            (true, HopUse::Healthy),
        ] {
            health.record_check(is_good);
            assert_eq!(health.usability(at(0)), expected, "{is_good}");
        }
    }
}
