//! One instance of a policy: made, configured, asked, bounded. After a failure it is dropped, since nobody knows what state it is in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use wasmtime::{Store, Trap, UpdateDeadline};

use crate::policy::contract::{Exports, Linked, types};
use crate::policy::counters::FailureKind;
use crate::policy::limits::Limits;
use crate::policy::runtime::{Running, Runtime, real_time};

/// How many lines one call may log, and all instances of a policy in a minute.
const MAX_LOG_LINES: u32 = 16;
const MAX_LOG_LINES_A_MINUTE: u32 = 1_000;
/// What is kept of the reason of a failure, in bytes.
const MAX_REASON_BYTES: usize = 512;
/// Bytes that a guest may answer to `configure`, `on-request` and `on-response`.
const MAX_ANSWER_BYTES: usize = 256 << 10;
/// Bytes that a guest may answer to `plan-warm`.
const MAX_PLAN_BYTES: usize = 16 << 20;
/// How many deadlines `configure` and `plan-warm` may take.
const LONG_CALL_DEADLINES: u32 = 20;
/// Handles of resources that one instance may hold; only WASI has any.
const MAX_HANDLES: usize = 1_000;

/// A failure of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which of the four.
    pub kind: FailureKind,
    /// In more words: at most 512 bytes.
    pub reason: String,
}

impl Failure {
    fn new(kind: FailureKind, mut reason: String) -> Failure {
        reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
        Failure { kind, reason }
    }

    pub(super) fn bad_answer(reason: impl Into<String>) -> Failure {
        Failure::new(FailureKind::BadAnswer, reason.into())
    }
}

/// The guest called what policies are not given.
#[derive(Clone, Debug, thiserror::Error)]
#[error("it called `{0}`, which policies are not given")]
pub(super) struct NotGiven(pub(super) Box<str>);

/// The guest is over its deadline.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it took longer than {0:?}")]
struct Overrun(Duration);

/// What every instance of a policy is made from.
pub(super) struct Template {
    pub(super) policy: Arc<str>,
    pub(super) runtime: Arc<Runtime>,
    pub(super) component: Box<dyn Linked>,
    pub(super) settings: String,
    pub(super) deadline: Duration,
    pub(super) memory_bytes: u64,
    pub(super) log: Arc<LogBudget>,
}

/// How much a policy may still log in this minute, all its instances together.
#[derive(Debug)]
pub(super) struct LogBudget {
    started: Instant,
    minute: AtomicU64,
    lines: AtomicU32,
}

impl Default for LogBudget {
    fn default() -> LogBudget {
        LogBudget { started: real_time(), minute: AtomicU64::new(0), lines: AtomicU32::new(0) }
    }
}

impl LogBudget {
    /// Whether one more line may be logged. At a turn of the minute a few may be counted in the wrong one.
    fn grant(&self, policy: &str) -> bool {
        let minute = self.started.elapsed().as_secs() / 60;
        if self.minute.swap(minute, Ordering::Relaxed) != minute {
            self.lines.store(0, Ordering::Relaxed);
        }
        let lines = self.lines.fetch_add(1, Ordering::Relaxed);
        if lines == MAX_LOG_LINES_A_MINUTE {
            tracing::warn!(policy, "a policy logs too much: no more than {MAX_LOG_LINES_A_MINUTE} lines a minute are kept");
        }
        lines < MAX_LOG_LINES_A_MINUTE
    }
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Template").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// What the host keeps beside an instance.
#[derive(Debug)]
pub(super) struct GuestState {
    pub(super) policy: Arc<str>,
    log: Arc<LogBudget>,
    limits: Limits,
    lines: u32,
    started: Instant,
    deadline: Duration,
}

impl GuestState {
    /// Whether this call may log one more line.
    pub(super) fn may_log(&mut self) -> bool {
        self.lines = self.lines.saturating_add(1);
        self.lines <= MAX_LOG_LINES && self.log.grant(&self.policy)
    }
}

/// An instance.
pub(super) struct Guest {
    store: Store<GuestState>,
    exports: Box<dyn Exports>,
    /// How many questions it has answered.
    pub(super) answered: u32,
}

/// A manifest as a guest gave it.
pub(super) type RawManifest = types::Manifest;

/// What `configure` came to.
pub(super) enum Configured {
    /// The policy takes its settings.
    Ready(Box<Guest>, RawManifest),
    /// The policy refuses its settings, in its own words.
    Refused(String),
}

impl Template {
    /// A fresh instance, configured.
    ///
    /// # Errors
    /// When the guest fails; a refusal of its settings is no failure.
    pub(super) fn instantiate(&self) -> Result<Configured, Failure> {
        let state = GuestState {
            policy: Arc::clone(&self.policy),
            log: Arc::clone(&self.log),
            limits: Limits::new(self.memory_bytes),
            lines: 0,
            started: real_time(),
            deadline: self.deadline * LONG_CALL_DEADLINES,
        };
        let mut store = Store::new(&self.runtime.engine, state);
        store.limiter(|state| &mut state.limits);
        store.set_hostcall_fuel(MAX_ANSWER_BYTES);
        store.set_max_component_handles(MAX_HANDLES);
        if self.runtime.counts_fuel {
            store.set_fuel(u64::MAX).expect("an engine that counts takes fuel");
        }
        // Whenever the clock ticks, the real time decides; so neither a late nor an early tick does harm.
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|context| {
            let GuestState { started, deadline, .. } = context.data();
            match started.elapsed() < *deadline {
                true => Ok(UpdateDeadline::Continue(1)),
                false => Err(wasmtime::Error::new(Overrun(*deadline))),
            }
        });
        let _running = self.runtime.enter();
        let exports = match self.component.instantiate(&mut store) {
            Ok(exports) => exports,
            Err(error) => return Err(failed(&store, &error, FailureKind::Memory)),
        };
        match exports.configure(&mut store, &self.settings) {
            Ok(Ok(manifest)) => Ok(Configured::Ready(Box::new(Guest { store, exports, answered: 0 }), manifest)),
            Ok(Err(refusal)) => Ok(Configured::Refused(refusal)),
            Err(error) => Err(failed(&store, &error, FailureKind::BadAnswer)),
        }
    }

    /// Asks an instance about a request.
    ///
    /// # Errors
    /// When the guest fails; it must be dropped then.
    pub(super) fn on_request(
        &self,
        guest: &mut Guest,
        request: types::Request<'_>,
        now: types::Moment<'_>,
    ) -> Result<types::RequestDecision, Failure> {
        let _running = guest.begin(&self.runtime, self.deadline, MAX_ANSWER_BYTES);
        let answer = guest.exports.on_request(&mut guest.store, request, now);
        answer.map_err(|error| guest.failed(&error))
    }

    /// Asks an instance about a response.
    ///
    /// # Errors
    /// When the guest fails; it must be dropped then.
    pub(super) fn on_response(
        &self,
        guest: &mut Guest,
        request: types::Request<'_>,
        response: types::Response<'_>,
        now: types::Moment<'_>,
    ) -> Result<types::ResponseDecision, Failure> {
        let _running = guest.begin(&self.runtime, self.deadline, MAX_ANSWER_BYTES);
        let answer = guest.exports.on_response(&mut guest.store, request, response, now);
        answer.map_err(|error| guest.failed(&error))
    }

    /// Asks an instance what to warm.
    ///
    /// # Errors
    /// When the guest fails; it must be dropped then.
    pub(super) fn plan_warm(
        &self,
        guest: &mut Guest,
        plan: &str,
        popular: &[types::PopularPage<'_>],
        now: types::Moment<'_>,
    ) -> Result<Vec<types::WarmUrl>, Failure> {
        let _running = guest.begin(&self.runtime, self.deadline * LONG_CALL_DEADLINES, MAX_PLAN_BYTES);
        let answer = guest.exports.plan_warm(&mut guest.store, plan, popular, now);
        answer.map_err(|error| guest.failed(&error))
    }
}

impl Guest {
    /// The fuel that it has used since it was made, `configure` included; 0 where the engine does not count. One unit is about one
    /// instruction of WebAssembly.
    pub(super) fn fuel_used(&self) -> u64 {
        self.store.get_fuel().map_or(0, |left| u64::MAX - left)
    }

    fn begin<'a>(&mut self, runtime: &'a Runtime, deadline: Duration, answer_bytes: usize) -> Running<'a> {
        self.answered = self.answered.saturating_add(1);
        let state = self.store.data_mut();
        state.limits.forgive();
        state.lines = 0;
        state.deadline = deadline;
        state.started = real_time();
        self.store.set_hostcall_fuel(answer_bytes);
        self.store.set_epoch_deadline(1);
        runtime.enter()
    }

    fn failed(&self, error: &wasmtime::Error) -> Failure {
        failed(&self.store, error, FailureKind::BadAnswer)
    }
}

/// Which of the four it was. `otherwise` is what remains when the guest neither overran, nor was denied memory, nor trapped: in a call
/// an answer that is none (invalid UTF-8, an unknown case, too many bytes), when it is made a machine without room for it.
fn failed(store: &Store<GuestState>, error: &wasmtime::Error, otherwise: FailureKind) -> Failure {
    if let Some(overrun) = error.downcast_ref::<Overrun>() {
        return Failure::new(FailureKind::Deadline, overrun.to_string());
    }
    if let Some(denied) = store.data().limits.denied() {
        return Failure::new(FailureKind::Memory, format!("it wanted {denied}: {error:#}"));
    }
    let trapped = error.is::<Trap>() || error.is::<NotGiven>();
    Failure::new(if trapped { FailureKind::Trap } else { otherwise }, format!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_logs_so_many_lines_a_minute_and_no_more() {
        let budget = LogBudget::default();
        let granted = (0..2 * MAX_LOG_LINES_A_MINUTE).filter(|_| budget.grant("p")).count();
        assert_eq!(u32::try_from(granted).unwrap(), MAX_LOG_LINES_A_MINUTE);
        budget.minute.store(u64::MAX, Ordering::Relaxed);
        assert!(budget.grant("p"));
    }
}
