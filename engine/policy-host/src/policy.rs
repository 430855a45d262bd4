//! One loaded policy: which instance answers, what is counted and logged, and when a failing policy
//! is switched off.

use std::cell::RefCell;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use crate::answer::{self, RequestAnswer, ResponseAnswer, WarmUrl};
use crate::counters::{PolicyCounters, PolicyStatus, PolicyTally};
use crate::facts::{PlanRequest, PolicyRequest, PolicyResponse};
use crate::failures::clients::ClientNetwork;
use crate::failures::{FailedQuestion, FailureHistory, QuestionId};
use crate::guest::failure::GuestFailure;
use crate::guest::state::PolicyTables;
use crate::guest::{ConfigureResult, Guest, GuestTemplate, RawManifest};
use crate::manifest::{Hook, Manifest};
use crate::question::{self, DecisionInputs, QuestionBuffer};
use crate::real_time::real_time;
use crate::tables::TableSet;
use crate::usage::UsageCounters;
use tero_config::WhenOff;
use tero_config::units::show_duration;
use tero_semantics::decision::{LookupDecision, StoringDecision};
use tero_semantics::timestamp::Timestamp;
use tero_time::calendar::Calendar;
use tero_time::moment;

/// The shortest time between two log lines about failures of the same kind of one policy.
const LOG_PERIOD_MILLIS: i64 = 60_000;

/// A loaded policy.
#[derive(Debug)]
pub struct Policy {
    id: u64,
    module: PolicyModule,
    /// The inputs that its own answers depend on.
    inputs: DecisionInputs,
    /// The places of the data tables that its manifest names.
    tables: Box<PolicyTables>,
    tally: PolicyTally,
    history: FailureHistory,
    last_logged: [AtomicI64; 4],
}

/// A module that was configured: what a policy has from its configuration and its first instance.
#[derive(Clone, Debug)]
pub(super) struct PolicyModule {
    pub(super) template: Arc<GuestTemplate>,
    pub(super) digest: Box<str>,
    pub(super) manifest: Manifest,
    /// The manifest of the first instance. Every other instance must give the same.
    pub(super) raw_manifest: RawManifest,
    pub(super) calendar: Arc<Calendar>,
    /// The data tables of all policies.
    pub(super) tables: Arc<TableSet>,
}

/// The result of asking a policy.
pub(super) enum HookResult<A> {
    /// A good answer.
    Answered(A),
    /// The policy failed, now or a moment ago at the same question.
    Failed,
    /// The policy is switched off.
    Off,
    /// The policy does not answer this hook.
    NoHook,
}

/// An answer in place of that of a policy that can't be asked.
pub(super) trait StandIn: Sized {
    /// The answer that takes the cache out of the request.
    fn pass(reason: &str) -> Self;
}

impl StandIn for RequestAnswer {
    fn pass(reason: &str) -> RequestAnswer {
        RequestAnswer {
            lookup: Some(LookupDecision::Pass),
            reason: Some(reason.to_owned()),
            ..RequestAnswer::default()
        }
    }
}

impl StandIn for ResponseAnswer {
    fn pass(reason: &str) -> ResponseAnswer {
        ResponseAnswer {
            storing: StoringDecision::Never,
            reason: Some(reason.to_owned()),
            ..ResponseAnswer::default()
        }
    }
}

impl Policy {
    pub(super) fn new(module: PolicyModule) -> Policy {
        static NEXT: AtomicU64 = AtomicU64::new(0);

        Policy {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            inputs: DecisionInputs::of(std::iter::once(&module.manifest), &module.tables),
            tables: module
                .manifest
                .tables
                .iter()
                .map(|name| (Arc::clone(name), module.tables.slot(name)))
                .collect(),
            tally: PolicyTally::default(),
            history: FailureHistory::new(module.template.limits),
            last_logged: std::array::from_fn(|_| AtomicI64::new(i64::MIN)),
            module,
        }
    }

    /// The same module, compiled and configured, as a policy that has never been asked.
    pub fn renewed(&self) -> Policy {
        Policy::new(self.module.clone())
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &Arc<str> {
        &self.module.template.policy
    }

    /// The SHA-256 of its module as it was given, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.module.digest
    }

    /// Its manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.module.manifest
    }

    /// The places of the data tables that its manifest names.
    pub(super) fn tables(&self) -> &PolicyTables {
        &self.tables
    }

    /// Its calendar. Without one in the configuration, this is a calendar that covers no year.
    pub fn calendar(&self) -> &Calendar {
        &self.module.calendar
    }

    /// Whether it is asked or switched off at this time.
    pub fn status(&self, now: Timestamp) -> PolicyStatus {
        match self.history.current_rest(now) {
            None => PolicyStatus::Active,
            Some(rest) => PolicyStatus::SwitchedOff {
                since: rest.since,
                until: rest.until,
                reason: rest.reason,
            },
        }
    }

    /// Why it was switched off last, even if it is asked again; `None` if it never was.
    pub fn last_trouble(&self) -> Option<String> {
        self.history.last_rest().map(|rest| rest.reason)
    }

    /// Its counters since it was loaded.
    pub fn counters(&self) -> PolicyCounters {
        PolicyCounters {
            switched_off: self.history.rest_count(),
            ..self.tally.snapshot()
        }
    }

    /// The resources that it has used since it was loaded.
    pub fn usage(&self) -> UsageCounters {
        self.module.template.usage.snapshot()
    }

    /// Whether it is switched off; cheaper than [`Policy::status`].
    #[inline]
    pub(super) fn is_off(&self, now: Timestamp) -> bool {
        self.history.rests(now)
    }

    /// What holds for a request about which it can't be asked.
    pub fn when_off(&self) -> WhenOff {
        self.module.template.limits.when_off
    }

    /// What stands in for its answer while it is switched off or after it failed; `None` if nothing
    /// does.
    pub(super) fn stand_in<A: StandIn>(&self, why: &str) -> Option<A> {
        match self.when_off() {
            WhenOff::Headers => None,
            WhenOff::Pass => Some(A::pass(why)),
        }
    }

    pub(super) fn on_request(
        &self,
        request: &PolicyRequest<'_>,
        now: Timestamp,
    ) -> HookResult<RequestAnswer> {
        let id = |policy: &Policy| policy.request_id(request);
        let asker = Asker::of(Hook::OnRequest, request, now);
        self.ask(asker, id, |guest| self.request_answer(guest, request, now))
    }

    /// The number of a question about a request, whenever it is asked.
    fn request_id(&self, request: &PolicyRequest<'_>) -> QuestionId {
        let mut inputs = Vec::new();
        self.inputs
            .encode(request, Timestamp::default(), &mut inputs);
        self.history.id(Hook::OnRequest, &inputs)
    }

    /// The number of a question about a response, whenever it is asked.
    fn response_id(
        &self,
        request: &PolicyRequest<'_>,
        response: &PolicyResponse<'_>,
    ) -> QuestionId {
        let mut inputs = Vec::new();
        self.inputs
            .encode(request, Timestamp::default(), &mut inputs);
        question::encode_response(
            request.variant,
            response,
            &self.module.manifest.response_headers,
            &mut inputs,
        );
        self.history.id(Hook::OnResponse, &inputs)
    }

    pub(super) fn on_response(
        &self,
        request: &PolicyRequest<'_>,
        response: &PolicyResponse<'_>,
        now: Timestamp,
    ) -> HookResult<ResponseAnswer> {
        let id = |policy: &Policy| policy.response_id(request, response);
        let asker = Asker::of(Hook::OnResponse, request, now);
        self.ask(asker, id, |guest| {
            self.response_answer(guest, request, response, now)
        })
    }

    pub(super) fn plan_warm(
        &self,
        request: &PlanRequest<'_>,
        now: Timestamp,
    ) -> HookResult<Vec<WarmUrl>> {
        let id = |policy: &Policy| policy.history.id(Hook::PlanWarm, request.plan.as_bytes());
        let asker = Asker {
            hook: Hook::PlanWarm,
            client: None,
            now,
        };
        self.ask(asker, id, |guest| self.plan_answer(guest, request, now))
    }

    /// The checked answer of this instance about a request.
    pub(super) fn request_answer(
        &self,
        guest: &mut Guest,
        request: &PolicyRequest<'_>,
        now: Timestamp,
    ) -> Result<RequestAnswer, GuestFailure> {
        // The policy is told only what the key of a remembered decision holds: the minute, if a
        // zone is declared, and no variant.
        let at = if self.module.manifest.zone.is_some() {
            question::cut_to_minute(now)
        } else {
            Timestamp::default()
        };
        let request = PolicyRequest {
            variant: None,
            ..*request
        };
        let manifest = &self.module.manifest;
        let moment = self.moment(guest, Hook::OnRequest, at);
        let raw = with_buffer(|buffer| {
            let (texts, request, now) = buffer.request(&request, manifest, &moment);
            self.module
                .template
                .on_request(guest, &self.tables, texts, request, now)
        })?;
        answer::request(raw, manifest).map_err(GuestFailure::bad_answer)
    }

    /// The checked answer of this instance about a response.
    pub(super) fn response_answer(
        &self,
        guest: &mut Guest,
        request: &PolicyRequest<'_>,
        response: &PolicyResponse<'_>,
        now: Timestamp,
    ) -> Result<ResponseAnswer, GuestFailure> {
        let manifest = &self.module.manifest;
        let moment = self.moment(guest, Hook::OnResponse, now);
        let raw = with_buffer(|buffer| {
            let (texts, about, now) = buffer.response(request, response, manifest, &moment);
            self.module
                .template
                .on_response(guest, &self.tables, texts, about, now)
        })?;
        answer::response(raw, manifest).map_err(GuestFailure::bad_answer)
    }

    /// The checked pages that this instance wants warmed.
    pub(super) fn plan_answer(
        &self,
        guest: &mut Guest,
        request: &PlanRequest<'_>,
        now: Timestamp,
    ) -> Result<Vec<WarmUrl>, GuestFailure> {
        let moment = self.moment(guest, Hook::PlanWarm, now);
        let raw = with_buffer(|buffer| {
            let (texts, about, now) = buffer.plan(request, &moment);
            self.module
                .template
                .plan_warm(guest, &self.tables, texts, about, now)
        })?;
        answer::warm_urls(raw, request.variants).map_err(GuestFailure::bad_answer)
    }

    fn moment(&self, guest: &mut Guest, hook: Hook, at: Timestamp) -> Arc<moment::Moment> {
        guest.moment(hook, at, |at| {
            moment::moment(
                at,
                self.module.manifest.zone.unwrap_or(chrono_tz::UTC),
                &self.module.calendar,
            )
        })
    }

    /// Asks this thread's instance, or a fresh one if there is none, and counts the outcome. `id`
    /// tells questions apart; it is called where questions have failed.
    fn ask<A>(
        &self,
        asker: Asker,
        id: impl Fn(&Policy) -> QuestionId,
        question: impl FnOnce(&mut Guest) -> Result<A, GuestFailure>,
    ) -> HookResult<A> {
        let Asker { hook, client, now } = asker;
        if !self.module.manifest.has(hook) {
            return HookResult::NoHook;
        }
        if self.is_off(now) {
            return HookResult::Off;
        }
        if self.history.is_held_back(client, now) {
            self.tally.withheld();
            return HookResult::Failed;
        }
        // Plans are rare, so each is asked for.
        if hook != Hook::PlanWarm
            && self.history.remembers_any()
            && self.history.is_remembered(id(self), now)
        {
            self.tally.withheld();
            return HookResult::Failed;
        }
        self.history.note_asker(client, now);
        let started = real_time();
        let outcome = self.guest().and_then(|mut guest| {
            // A guest that failed is dropped here, because its state is unknown.
            let answer = question(&mut guest)?;
            self.put_back(hook, guest);
            Ok(answer)
        });
        let spent = started.elapsed();
        self.tally.count(
            hook,
            outcome.as_ref().map(|_| ()).map_err(|failure| failure.kind),
            spent,
        );
        match outcome {
            Ok(answer) => HookResult::Answered(answer),
            Err(failure) => {
                let failed = FailedQuestion {
                    hook,
                    id: id(self),
                    client,
                    spent,
                    answered: self.tally.answered(hook),
                };
                self.failed(&failed, &failure, now);
                HookResult::Failed
            }
        }
    }

    /// This thread's instance, taken out of its place while it is asked, or else a fresh one.
    fn guest(&self) -> Result<Box<Guest>, GuestFailure> {
        let kept = GUESTS.with_borrow_mut(|guests| {
            let place = guests.iter().position(|kept| kept.policy == self.id)?;
            Some(guests.swap_remove(place).guest)
        });
        if let Some(guest) = kept {
            return Ok(guest);
        }
        self.fresh_guest()
    }

    /// A fresh instance. It must give the same manifest as the first one.
    pub(super) fn fresh_guest(&self) -> Result<Box<Guest>, GuestFailure> {
        match self.module.template.instantiate()? {
            ConfigureResult::Ready(guest, manifest) if *manifest == self.module.raw_manifest => {
                Ok(guest)
            }
            ConfigureResult::Ready(..) => Err(GuestFailure::bad_answer(
                "another instance gives a different manifest",
            )),
            ConfigureResult::Refused(message) => Err(GuestFailure::bad_answer(format!(
                "another instance refuses its settings: {}",
                message.escape_debug()
            ))),
        }
    }

    fn put_back(&self, hook: Hook, guest: Box<Guest>) {
        self.module.template.usage.saw_memory(guest.memory_bytes());
        // Plans are rare, and made on threads that serve no requests, so their instances are not
        // kept.
        if hook == Hook::PlanWarm
            || guest.answered >= self.module.template.limits.decisions_per_instance
        {
            return;
        }
        let is_new = guest.answered == 1;
        let kept = IdleGuest {
            policy: self.id,
            loaded: Arc::downgrade(&self.module.template),
            guest,
        };
        GUESTS.with_borrow_mut(|guests| {
            if is_new {
                guests.retain(|kept| kept.loaded.strong_count() > 0);
            }
            guests.push(kept);
        });
    }

    #[cold]
    fn failed(&self, failed: &FailedQuestion, failure: &GuestFailure, now: Timestamp) {
        self.log(failed.hook, failure, now);
        if let Some(rest) = self.history.failed(failed, failure, now) {
            tracing::error!(
                policy = &**self.name(),
                "switched off for {}: {}",
                show_duration(rest.until.since(rest.since)),
                rest.reason
            );
        }
    }

    fn log(&self, hook: Hook, failure: &GuestFailure, now: Timestamp) {
        let last = &self.last_logged[failure.kind as usize];
        let before = last.load(Ordering::Relaxed);
        let now = now.unix_millis();
        let due = before == i64::MIN
            || now.saturating_sub(before).unsigned_abs() >= LOG_PERIOD_MILLIS.unsigned_abs();
        if due
            && last
                .compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            let (policy, hook, kind) = (&**self.name(), hook.as_str(), failure.kind.as_str());
            tracing::warn!(
                policy,
                hook,
                kind,
                reason = failure.reason,
                "a policy failed; the headers decide"
            );
        }
    }
}

/// Who asks which hook, and when.
#[derive(Clone, Copy)]
struct Asker {
    hook: Hook,
    client: Option<ClientNetwork>,
    now: Timestamp,
}

impl Asker {
    fn of(hook: Hook, request: &PolicyRequest<'_>, now: Timestamp) -> Asker {
        Asker {
            hook,
            client: request.client.address.map(ClientNetwork::of),
            now,
        }
    }
}

/// Asks with this thread's buffer for questions.
fn with_buffer<T>(ask: impl FnOnce(&mut QuestionBuffer) -> T) -> T {
    thread_local! {
        static BUFFER: RefCell<QuestionBuffer> = RefCell::default();
    }
    BUFFER.with_borrow_mut(ask)
}

thread_local! {
    /// The instances of this thread, at most one of each policy. Those of replaced policies are
    /// dropped when the next instance is made.
    static GUESTS: RefCell<Vec<IdleGuest>> = const { RefCell::new(Vec::new()) };
}

/// An instance that waits for the next question.
struct IdleGuest {
    policy: u64,
    loaded: Weak<GuestTemplate>,
    guest: Box<Guest>,
}
