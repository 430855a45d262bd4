//! One instance of a policy: made, configured, asked, bounded. After a failure it is dropped, since
//! nobody knows what state it is in.

pub(crate) mod state;

use std::sync::Arc;

use wasmtime::{Store, Trap, UpdateDeadline};

use crate::contract::exports::{ContractExports, LinkedComponent};
use crate::contract::types;
use crate::counters::FailureKind;
use crate::limits::GuestLimits;
use crate::manifest::Hook;
use crate::real_time::real_time;
use crate::runtime::{RunningGuard, Runtime};
use crate::usage::PolicyUsage;
use tero_config::PolicyLimits;
use tero_config::units::show_size;
use tero_semantics::timestamp::Timestamp;
use tero_time::moment::Moment;

use state::{DeadlineExceeded, GuestState, MissingImport};

/// What is kept of the reason of a failure, in bytes.
const MAX_REASON_BYTES: usize = 512;
/// How many deadlines `configure` and `plan-warm` may take.
const LONG_CALL_DEADLINES: u32 = 20;
/// Handles of resources that one instance may hold; only WASI has any.
const MAX_HANDLES: usize = 1_000;

/// A failure of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestFailure {
    /// Which of the four.
    pub kind: FailureKind,
    /// In more words: at most 512 bytes.
    pub reason: String,
}

impl GuestFailure {
    fn new(kind: FailureKind, mut reason: String) -> GuestFailure {
        reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
        GuestFailure { kind, reason }
    }

    pub(super) fn bad_answer(reason: impl Into<String>) -> GuestFailure {
        GuestFailure::new(FailureKind::BadAnswer, reason.into())
    }
}

/// What every instance of a policy is made from.
pub(super) struct GuestTemplate {
    pub(super) policy: Arc<str>,
    pub(super) runtime: Arc<Runtime>,
    pub(super) component: Box<dyn LinkedComponent>,
    pub(super) settings: String,
    pub(super) limits: PolicyLimits,
    pub(super) usage: Arc<PolicyUsage>,
}

impl std::fmt::Debug for GuestTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Template")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// An instance.
pub(super) struct Guest {
    store: Store<GuestState>,
    exports: Box<dyn ContractExports>,
    /// How many questions it has answered.
    pub(super) answered: u32,
    /// The moment that each hook was last told.
    moments: [Option<Arc<Moment>>; 3],
}

/// A manifest as a guest gave it.
pub(super) type RawManifest = types::Manifest;

/// What `configure` came to.
pub(super) enum ConfigureResult {
    /// The policy takes its settings.
    Ready(Box<Guest>, RawManifest),
    /// The policy refuses its settings, in its own words.
    Refused(String),
}

impl GuestTemplate {
    /// A fresh instance, configured.
    ///
    /// # Errors
    /// When the guest fails; a refusal of its settings is no failure.
    pub(super) fn instantiate(&self) -> Result<ConfigureResult, GuestFailure> {
        let state = GuestState {
            policy: Arc::clone(&self.policy),
            usage: Arc::clone(&self.usage),
            limits: GuestLimits::new(&self.limits),
            lines: 0,
            log_lines: self.limits.log_lines,
            last_line: None,
            started: real_time(),
            deadline: self.limits.deadline,
            deadlines: LONG_CALL_DEADLINES,
        };
        self.usage.made_instance();
        let mut store = Store::new(&self.runtime.engine, state);
        store.limiter(|state| &mut state.limits);
        store.set_hostcall_fuel(to_usize(self.limits.answer));
        store.set_max_component_handles(MAX_HANDLES);
        if self.runtime.counts_fuel {
            store
                .set_fuel(u64::MAX)
                .expect("an engine that counts takes fuel");
        }
        // Whenever the clock ticks, the real time decides; so neither a late nor an early tick does
        // harm.
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|context| {
            let GuestState {
                started,
                deadline,
                deadlines,
                ..
            } = context.data();
            match started.elapsed() < *deadline * *deadlines {
                true => Ok(UpdateDeadline::Continue(1)),
                false => Err(wasmtime::Error::new(DeadlineExceeded(
                    *deadline, *deadlines,
                ))),
            }
        });
        let _running = self.runtime.enter();
        let exports = match self.component.instantiate(&mut store) {
            Ok(exports) => exports,
            Err(error) => return Err(self.failed(&store, &error, FailureKind::Memory)),
        };
        match exports.configure(&mut store, &self.settings) {
            Ok(Ok(manifest)) => Ok(ConfigureResult::Ready(
                Box::new(Guest {
                    store,
                    exports,
                    answered: 0,
                    moments: Default::default(),
                }),
                manifest,
            )),
            Ok(Err(refusal)) => Ok(ConfigureResult::Refused(refusal)),
            Err(error) => Err(self.failed(&store, &error, FailureKind::BadAnswer)),
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
    ) -> Result<types::RequestDecision, GuestFailure> {
        let _running = guest.begin(self, 1, self.limits.answer);
        let answer = guest.exports.on_request(&mut guest.store, request, now);
        answer.map_err(|error| self.failed(&guest.store, &error, FailureKind::BadAnswer))
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
    ) -> Result<types::ResponseDecision, GuestFailure> {
        let _running = guest.begin(self, 1, self.limits.answer);
        let answer = guest
            .exports
            .on_response(&mut guest.store, request, response, now);
        answer.map_err(|error| self.failed(&guest.store, &error, FailureKind::BadAnswer))
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
    ) -> Result<Vec<types::WarmUrl>, GuestFailure> {
        let _running = guest.begin(self, LONG_CALL_DEADLINES, self.limits.plan);
        let answer = guest
            .exports
            .plan_warm(&mut guest.store, plan, popular, now);
        answer.map_err(|error| self.failed(&guest.store, &error, FailureKind::BadAnswer))
    }
}

impl Guest {
    /// What the clock of the policy's zone shows at `at`, for that hook: most questions come within
    /// the second of the last one.
    pub(super) fn moment(
        &mut self,
        hook: Hook,
        at: Timestamp,
        show: impl FnOnce(Timestamp) -> Moment,
    ) -> Arc<Moment> {
        let last = &mut self.moments[hook as usize];
        match last {
            Some(last) if i64::try_from(last.unix_secs) == Ok(at.unix_secs()) => Arc::clone(last),
            _ => Arc::clone(last.insert(Arc::new(show(at)))),
        }
    }

    /// The fuel that it has used since it was made, `configure` included; 0 where the engine does
    /// not count. One unit is about one instruction of WebAssembly.
    pub(super) fn fuel_used(&self) -> u64 {
        self.store.get_fuel().map_or(0, |left| u64::MAX - left)
    }

    /// The memory that it holds, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.store.data().limits.memory_used()
    }

    fn begin<'a>(
        &mut self,
        template: &'a GuestTemplate,
        deadlines: u32,
        answer_bytes: u64,
    ) -> RunningGuard<'a> {
        self.answered = self.answered.saturating_add(1);
        let state = self.store.data_mut();
        state.limits.forgive();
        state.lines = 0;
        state.last_line = None;
        state.deadlines = deadlines;
        state.started = real_time();
        self.store.set_hostcall_fuel(to_usize(answer_bytes));
        self.store.set_epoch_deadline(1);
        template.runtime.enter()
    }
}

impl GuestTemplate {
    /// Which of the four it was, and which limit. `otherwise` is what remains when the guest
    /// neither overran, nor was denied memory, nor trapped: in a call an answer that is none
    /// (invalid UTF-8, an unknown case, too many bytes), when it is made a machine without room for
    /// it.
    fn failed(
        &self,
        store: &Store<GuestState>,
        error: &wasmtime::Error,
        otherwise: FailureKind,
    ) -> GuestFailure {
        if let Some(overrun) = error.downcast_ref::<DeadlineExceeded>() {
            return GuestFailure::new(FailureKind::Deadline, overrun.to_string());
        }
        if let Some(denied) = store.data().limits.denied() {
            return GuestFailure::new(
                FailureKind::Memory,
                format!("it wanted {denied}: {error:#}"),
            );
        }
        if error.downcast_ref::<Trap>() == Some(&Trap::StackOverflow) {
            let stack = show_size(self.runtime.stack_bytes);
            return GuestFailure::new(
                FailureKind::Trap,
                format!("it nested its calls deeper than {stack} of stack (`policies.stack`)"),
            );
        }
        // wasmtime keeps the type of these errors to itself.
        let said = format!("{error:#}");
        if said.contains("fuel allocated for hostcalls has been exhausted") {
            let PolicyLimits { answer, plan, .. } = self.limits;
            let (answer, plan) = (show_size(answer), show_size(plan));
            let reason = format!(
                "it answered more than {answer} (`answer`), or planned more than {plan} (`plan`)"
            );
            return GuestFailure::new(FailureKind::BadAnswer, reason);
        }
        if said.contains("resource limit exceeded: instance count") {
            let reason = format!(
                "it has more than {} core modules (`core_instances`)",
                self.limits.core_instances
            );
            return GuestFailure::new(FailureKind::Memory, reason);
        }
        let trapped = error.is::<Trap>() || error.is::<MissingImport>();
        let said = match &store.data().last_line {
            Some(line) if trapped => format!("{line} ({said})"),
            _ => said,
        };
        GuestFailure::new(
            if trapped {
                FailureKind::Trap
            } else {
                otherwise
            },
            said,
        )
    }
}

fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
