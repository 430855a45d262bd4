//! One loaded policy: which instance answers, what is counted and logged, and when a failing policy
//! is switched off.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use crate::answer::{self, RequestAnswer, ResponseAnswer, WarmUrl};
use crate::counters::{PolicyCounters, PolicyStatus, PolicyTally};
use crate::facts::{PlanRequest, PolicyRequest, PolicyResponse};
use crate::guest::failure::GuestFailure;
use crate::guest::{ConfigureResult, Guest, GuestTemplate, RawManifest};
use crate::manifest::{Hook, Manifest};
use crate::question::{self, MessageFields};
use crate::real_time::real_time;
use crate::usage::UsageCounters;
use tero_semantics::timestamp::Timestamp;
use tero_time::calendar::Calendar;
use tero_time::moment;

/// The shortest time between two log lines about failures of the same kind of one policy.
const LOG_PERIOD_MILLIS: i64 = 60_000;

/// A loaded policy.
#[derive(Debug)]
pub struct Policy {
    id: u64,
    template: Arc<GuestTemplate>,
    digest: Box<str>,
    manifest: Manifest,
    /// The manifest of the first instance. Every other instance must give the same.
    raw_manifest: RawManifest,
    calendar: Arc<Calendar>,
    decisions_per_instance: u32,
    max_failures: u32,
    tally: PolicyTally,
    /// Failures in a row of each hook. Good answers of one hook must not keep a policy on if its
    /// other hook always fails.
    failures_in_a_row: [AtomicU32; 3],
    is_off: AtomicBool,
    switched_off: OnceLock<(Timestamp, String)>,
    last_logged: [AtomicI64; 4],
}

/// The result of asking a policy.
pub(super) enum HookResult<A> {
    /// A good answer.
    Answered(A),
    /// The policy failed, and the failure was counted.
    Failed,
    /// The policy does not answer this hook, or it is switched off.
    Skipped,
}

impl<A> HookResult<A> {
    pub(super) fn answer(self) -> Option<A> {
        match self {
            HookResult::Answered(answer) => Some(answer),
            HookResult::Failed | HookResult::Skipped => None,
        }
    }
}

impl Policy {
    pub(super) fn new(
        template: GuestTemplate,
        digest: String,
        manifest: Manifest,
        raw_manifest: RawManifest,
        calendar: Arc<Calendar>,
    ) -> Policy {
        static NEXT: AtomicU64 = AtomicU64::new(0);

        let limits = template.limits;
        Policy {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            template: Arc::new(template),
            digest: digest.into(),
            manifest,
            raw_manifest,
            calendar,
            decisions_per_instance: limits.decisions_per_instance,
            max_failures: limits.max_failures,
            tally: PolicyTally::default(),
            failures_in_a_row: std::array::from_fn(|_| AtomicU32::new(0)),
            is_off: AtomicBool::new(false),
            switched_off: OnceLock::new(),
            last_logged: std::array::from_fn(|_| AtomicI64::new(i64::MIN)),
        }
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &Arc<str> {
        &self.template.policy
    }

    /// The SHA-256 of its module as it was given, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Its manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its calendar. Without one in the configuration, this is a calendar that covers no year.
    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// Whether it is asked or switched off.
    pub fn status(&self) -> PolicyStatus {
        match self.switched_off.get() {
            None => PolicyStatus::Active,
            Some((since, reason)) => PolicyStatus::SwitchedOff {
                since: *since,
                reason: reason.clone(),
            },
        }
    }

    /// Its counters since it was loaded.
    pub fn counters(&self) -> PolicyCounters {
        self.tally.snapshot()
    }

    /// The resources that it has used since it was loaded.
    pub fn usage(&self) -> UsageCounters {
        self.template.usage.snapshot()
    }

    /// Whether it is switched off; cheaper than [`Policy::status`].
    pub(super) fn is_off(&self) -> bool {
        self.is_off.load(Ordering::Relaxed)
    }

    pub(super) fn on_request(
        &self,
        request: &PolicyRequest<'_>,
        now: Timestamp,
    ) -> HookResult<RequestAnswer> {
        self.ask(Hook::OnRequest, now, |guest| {
            self.request_answer(guest, request, now)
        })
    }

    pub(super) fn on_response(
        &self,
        request: &PolicyRequest<'_>,
        response: &PolicyResponse<'_>,
        now: Timestamp,
    ) -> HookResult<ResponseAnswer> {
        self.ask(Hook::OnResponse, now, |guest| {
            self.response_answer(guest, request, response, now)
        })
    }

    pub(super) fn plan_warm(
        &self,
        request: &PlanRequest<'_>,
        now: Timestamp,
    ) -> HookResult<Vec<WarmUrl>> {
        self.ask(Hook::PlanWarm, now, |guest| {
            self.plan_answer(guest, request, now)
        })
    }

    /// The checked answer of this instance about a request.
    pub(super) fn request_answer(
        &self,
        guest: &mut Guest,
        request: &PolicyRequest<'_>,
        now: Timestamp,
    ) -> Result<RequestAnswer, GuestFailure> {
        let headers = MessageFields::of(request.headers, &self.manifest.headers);
        let cookies = MessageFields::cookies(request.headers, &self.manifest.cookies);
        let (headers, cookies) = (headers.pairs(), cookies.pairs());
        // The policy is told only what the key of a remembered decision holds: the minute, if a
        // zone is declared, and no variant.
        let at = if self.manifest.zone.is_some() {
            question::cut_to_minute(now)
        } else {
            Timestamp::default()
        };
        let request = PolicyRequest {
            variant: None,
            ..*request
        };
        let request = question::request(&request, &self.manifest, &headers, &cookies);
        let moment = self.moment(guest, Hook::OnRequest, at);
        let nearby = question::nearby_holidays(&moment);
        let now = question::moment(&moment, &nearby);
        let raw = self.template.on_request(guest, request, now)?;
        answer::request(raw, &self.manifest).map_err(GuestFailure::bad_answer)
    }

    /// The checked answer of this instance about a response.
    pub(super) fn response_answer(
        &self,
        guest: &mut Guest,
        request: &PolicyRequest<'_>,
        response: &PolicyResponse<'_>,
        now: Timestamp,
    ) -> Result<ResponseAnswer, GuestFailure> {
        let headers = MessageFields::of(request.headers, &self.manifest.headers);
        let cookies = MessageFields::cookies(request.headers, &self.manifest.cookies);
        let (headers, cookies) = (headers.pairs(), cookies.pairs());
        let request = question::request(request, &self.manifest, &headers, &cookies);
        let headers = MessageFields::of(response.headers, &self.manifest.response_headers);
        let headers = headers.pairs();
        let response = question::response(response, &headers);
        let moment = self.moment(guest, Hook::OnResponse, now);
        let nearby = question::nearby_holidays(&moment);
        let now = question::moment(&moment, &nearby);
        let raw = self.template.on_response(guest, request, response, now)?;
        answer::response(raw).map_err(GuestFailure::bad_answer)
    }

    /// The checked pages that this instance wants warmed.
    pub(super) fn plan_answer(
        &self,
        guest: &mut Guest,
        request: &PlanRequest<'_>,
        now: Timestamp,
    ) -> Result<Vec<WarmUrl>, GuestFailure> {
        let popular = request
            .popular
            .iter()
            .map(question::popular_page)
            .collect::<Vec<_>>();
        let moment = self.moment(guest, Hook::PlanWarm, now);
        let nearby = question::nearby_holidays(&moment);
        let now = question::moment(&moment, &nearby);
        let raw = self
            .template
            .plan_warm(guest, request.plan, &popular, now)?;
        answer::warm_urls(raw, request.variants).map_err(GuestFailure::bad_answer)
    }

    fn moment(&self, guest: &mut Guest, hook: Hook, at: Timestamp) -> Arc<moment::Moment> {
        guest.moment(hook, at, |at| {
            moment::moment(
                at,
                self.manifest.zone.unwrap_or(chrono_tz::UTC),
                &self.calendar,
            )
        })
    }

    /// Asks this thread's instance, or a fresh one if there is none, and counts the outcome.
    fn ask<A>(
        &self,
        hook: Hook,
        now: Timestamp,
        question: impl FnOnce(&mut Guest) -> Result<A, GuestFailure>,
    ) -> HookResult<A> {
        if !self.manifest.has(hook) || self.is_off() {
            return HookResult::Skipped;
        }
        let started = real_time();
        let outcome = self.guest().and_then(|mut guest| {
            // A guest that failed is dropped here, because its state is unknown.
            let answer = question(&mut guest)?;
            self.put_back(hook, guest);
            Ok(answer)
        });
        self.tally.count(
            hook,
            outcome.as_ref().map(|_| ()).map_err(|failure| failure.kind),
            started.elapsed(),
        );
        match outcome {
            Ok(answer) => {
                let failures = &self.failures_in_a_row[hook as usize];
                if failures.load(Ordering::Relaxed) != 0 {
                    failures.store(0, Ordering::Relaxed);
                }
                HookResult::Answered(answer)
            }
            Err(failure) => {
                self.failed(hook, &failure, now);
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
        match self.template.instantiate()? {
            ConfigureResult::Ready(guest, manifest) if manifest == self.raw_manifest => Ok(guest),
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
        self.template.usage.saw_memory(guest.memory_bytes());
        // Plans are rare, and made on threads that serve no requests, so their instances are not
        // kept.
        if hook == Hook::PlanWarm || guest.answered >= self.decisions_per_instance {
            return;
        }
        let is_new = guest.answered == 1;
        let kept = IdleGuest {
            policy: self.id,
            loaded: Arc::downgrade(&self.template),
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
    fn failed(&self, hook: Hook, failure: &GuestFailure, now: Timestamp) {
        self.log(hook, failure, now);
        let failures = self.failures_in_a_row[hook as usize]
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1);
        if failures >= self.max_failures {
            self.switch_off(failures, hook, failure, now);
        }
    }

    fn switch_off(&self, failures: u32, hook: Hook, failure: &GuestFailure, now: Timestamp) {
        let GuestFailure { kind, reason } = failure;
        let why = format!(
            "{failures} failures in a row, the last in {}: {}: {reason}",
            hook.as_str(),
            kind.as_str()
        );
        if self.switched_off.set((now, why.clone())).is_ok() {
            self.is_off.store(true, Ordering::Relaxed);
            tracing::error!(
                policy = &**self.name(),
                "switched off until it is replaced, after {why}"
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
