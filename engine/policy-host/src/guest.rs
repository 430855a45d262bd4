//! One instance of a policy: made, configured, asked, limited. After a failure it is dropped,
//! because its state is unknown.

pub(crate) mod failure;
pub(crate) mod state;

use std::sync::Arc;

use wasmtime::{Store, UpdateDeadline};

use crate::contract::exports::{ContractExports, LinkedComponent};
use crate::contract::types;
use crate::counters::FailureKind;
use crate::manifest::Hook;
use crate::runtime::{RunningGuard, Runtime};
use crate::usage::PolicyUsage;
use tero_config::PolicyLimits;
use tero_semantics::timestamp::Timestamp;
use tero_time::moment::Moment;

use failure::GuestFailure;
use state::{GuestState, PolicyTables};

/// How many deadlines `configure` and `plan-warm` may take.
const LONG_CALL_DEADLINES: u32 = 20;
/// How many resource handles one instance may hold. Only WASI has resources.
const MAX_HANDLES: usize = 1_000;

/// The template from which every instance of a policy is made.
pub(crate) struct GuestTemplate {
    pub(crate) policy: Arc<str>,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) component: Box<dyn LinkedComponent>,
    pub(crate) settings: String,
    pub(crate) limits: PolicyLimits,
    pub(crate) usage: Arc<PolicyUsage>,
}

impl std::fmt::Debug for GuestTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Template")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// An instance of a policy.
pub(crate) struct Guest {
    store: Store<GuestState>,
    exports: Box<dyn ContractExports>,
    /// How many questions it has answered.
    pub(crate) answered: u32,
    /// The moment that each hook was told last.
    moments: [Option<Arc<Moment>>; 3],
    /// The data tables that it sees in place of the policy's; `None` for those.
    tables: Option<Arc<PolicyTables>>,
}

/// A manifest as the guest gave it, unchecked.
pub(crate) type RawManifest = types::Manifest;

/// The result of `configure`.
pub(crate) enum ConfigureResult {
    /// The policy accepts its settings.
    Ready(Box<Guest>, Box<RawManifest>),
    /// The policy refuses its settings, with this message.
    Refused(String),
}

impl GuestTemplate {
    /// Makes a fresh instance and configures it.
    ///
    /// # Errors
    /// The guest fails. Refused settings are not a failure.
    pub(crate) fn instantiate(&self) -> Result<ConfigureResult, GuestFailure> {
        self.usage.made_instance();
        let mut store = self.store();
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
                    tables: None,
                }),
                Box::new(manifest),
            )),
            Ok(Err(refusal)) => Ok(ConfigureResult::Refused(refusal)),
            Err(error) => Err(self.failed(&store, &error, FailureKind::BadAnswer)),
        }
    }

    /// A store for one instance, with its limits.
    fn store(&self) -> Store<GuestState> {
        let state = GuestState::new(&self.policy, &self.usage, &self.limits, LONG_CALL_DEADLINES);
        let mut store = Store::new(&self.runtime.engine, state);
        store.limiter(|state| state.limits_mut());
        store.set_hostcall_fuel(to_usize(self.limits.answer));
        store.set_max_component_handles(MAX_HANDLES);
        if self.runtime.counts_fuel {
            store
                .set_fuel(u64::MAX)
                .expect("an engine that counts takes fuel");
        }
        // At every tick of the epoch the real time decides, so an early or late tick does no harm.
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|context| match context.data().check_deadline() {
            Ok(()) => Ok(UpdateDeadline::Continue(1)),
            Err(exceeded) => Err(wasmtime::Error::new(exceeded)),
        });
        store
    }

    fn failed(
        &self,
        store: &Store<GuestState>,
        error: &wasmtime::Error,
        otherwise: FailureKind,
    ) -> GuestFailure {
        let stack_bytes = self.runtime.stack_bytes;
        GuestFailure::of(error, store.data(), &self.limits, stack_bytes, otherwise)
    }

    /// Asks an instance about a request. Spans point into `texts`.
    ///
    /// # Errors
    /// The guest fails. It must then be dropped.
    pub(crate) fn on_request(
        &self,
        guest: &mut Guest,
        tables: &PolicyTables,
        texts: &str,
        request: types::Request<'_>,
        now: types::Moment<'_>,
    ) -> Result<types::RequestDecision, GuestFailure> {
        let _running = guest.begin(self, tables, 1, self.limits.answer);
        let (exports, store) = (&guest.exports, &mut guest.store);
        let answer = exports.on_request(store, texts, request, now);
        guest.store.data_mut().end();
        answer.map_err(|error| self.failed(&guest.store, &error, FailureKind::BadAnswer))
    }

    /// Asks an instance about a response.
    ///
    /// # Errors
    /// The guest fails. It must then be dropped.
    pub(crate) fn on_response(
        &self,
        guest: &mut Guest,
        tables: &PolicyTables,
        texts: &str,
        about: (types::Request<'_>, types::Response<'_>),
        now: types::Moment<'_>,
    ) -> Result<types::ResponseDecision, GuestFailure> {
        let _running = guest.begin(self, tables, 1, self.limits.answer);
        let (exports, store) = (&guest.exports, &mut guest.store);
        let answer = exports.on_response(store, texts, about, now);
        guest.store.data_mut().end();
        answer.map_err(|error| self.failed(&guest.store, &error, FailureKind::BadAnswer))
    }

    /// Asks an instance which pages to warm. `about` is the name of the plan and the pages that
    /// visitors requested.
    ///
    /// # Errors
    /// The guest fails. It must then be dropped.
    pub(crate) fn plan_warm(
        &self,
        guest: &mut Guest,
        tables: &PolicyTables,
        texts: &str,
        about: (types::Span, &[types::PopularPage]),
        now: types::Moment<'_>,
    ) -> Result<Vec<types::WarmUrl>, GuestFailure> {
        let _running = guest.begin(self, tables, LONG_CALL_DEADLINES, self.limits.plan);
        let (exports, store) = (&guest.exports, &mut guest.store);
        let answer = exports.plan_warm(store, texts, about, now);
        guest.store.data_mut().end();
        answer.map_err(|error| self.failed(&guest.store, &error, FailureKind::BadAnswer))
    }
}

impl Guest {
    /// The local time of the policy's zone at `at`, for this hook. It is kept, because most
    /// questions come within the same second as the last one.
    pub(crate) fn moment(
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

    /// The fuel used since the instance was made, including `configure`; 0 if the engine does not
    /// count. One unit is about one instruction of WebAssembly.
    pub(crate) fn fuel_used(&self) -> u64 {
        self.store.get_fuel().map_or(0, |left| u64::MAX - left)
    }

    /// Has it see these data tables in place of the policy's.
    pub(crate) fn see_tables(&mut self, tables: &Arc<PolicyTables>) {
        self.tables = Some(Arc::clone(tables));
    }

    /// The memory that it holds, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.store.data().limits().memory_used()
    }

    fn begin<'a>(
        &mut self,
        template: &'a GuestTemplate,
        tables: &PolicyTables,
        deadlines: u32,
        answer_bytes: u64,
    ) -> RunningGuard<'a> {
        self.answered = self.answered.saturating_add(1);
        let tables = self.tables.as_deref().unwrap_or(tables);
        self.store.data_mut().begin(deadlines, tables);
        self.store.set_hostcall_fuel(to_usize(answer_bytes));
        self.store.set_epoch_deadline(1);
        template.runtime.enter()
    }
}

fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
