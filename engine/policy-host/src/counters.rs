//! The counters of a policy, and the four ways in which a policy fails.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::manifest::Hook;
use tero_semantics::timestamp::Timestamp;

/// The way in which a policy failed. In every case its whole answer is ignored and the headers
/// decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// It panicked, overflowed its stack, or did something that a module may not do.
    Trap,
    /// It exceeded its deadline.
    Deadline,
    /// It was denied memory and did not recover.
    Memory,
    /// It gave an answer that the contract does not allow.
    BadAnswer,
}

impl FailureKind {
    /// Every kind.
    pub const ALL: [FailureKind; 4] = [
        FailureKind::Trap,
        FailureKind::Deadline,
        FailureKind::Memory,
        FailureKind::BadAnswer,
    ];

    /// The name in logs and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            FailureKind::Trap => "trap",
            FailureKind::Deadline => "deadline",
            FailureKind::Memory => "memory",
            FailureKind::BadAnswer => "bad_answer",
        }
    }
}

/// The counters of one hook of a policy since it was loaded. Requests with a remembered decision do
/// not count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HookCounters {
    /// Good answers.
    pub ok: u64,
    /// [`FailureKind::Trap`]
    pub trap: u64,
    /// [`FailureKind::Deadline`]
    pub deadline: u64,
    /// [`FailureKind::Memory`]
    pub memory: u64,
    /// [`FailureKind::BadAnswer`]
    pub bad_answer: u64,
    /// The time spent in the guest and in making its instances, in seconds.
    pub seconds: f64,
}

impl HookCounters {
    fn failures(&self) -> u64 {
        self.trap + self.deadline + self.memory + self.bad_answer
    }
}

/// The counters of every hook.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PolicyCounters {
    /// `on-request`
    pub on_request: HookCounters,
    /// `on-response`
    pub on_response: HookCounters,
    /// `plan-warm`
    pub plan_warm: HookCounters,
    /// Questions that were not asked, since the same question had failed a moment before.
    pub withheld: u64,
    /// How often it was switched off.
    pub switched_off: u64,
}

impl PolicyCounters {
    /// The failures of all kinds and hooks.
    pub fn failures(&self) -> u64 {
        self.on_request.failures() + self.on_response.failures() + self.plan_warm.failures()
    }

    /// The counters of one hook.
    pub fn of(&self, hook: Hook) -> &HookCounters {
        match hook {
            Hook::OnRequest => &self.on_request,
            Hook::OnResponse => &self.on_response,
            Hook::PlanWarm => &self.plan_warm,
        }
    }
}

/// Whether a policy is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyStatus {
    /// The policy is asked.
    Active,
    /// It failed too often, and has a rest.
    SwitchedOff {
        /// When it was switched off.
        since: Timestamp,
        /// When it is asked again.
        until: Timestamp,
        /// How often it failed, and the last failure.
        reason: String,
    },
}

/// The live counters of one policy.
#[derive(Debug, Default)]
pub(super) struct PolicyTally {
    hooks: [HookTally; 3],
    withheld: AtomicU64,
}

#[derive(Debug, Default)]
struct HookTally {
    ok: AtomicU64,
    failures: [AtomicU64; 4],
    nanos: AtomicU64,
}

impl PolicyTally {
    pub(super) fn count(&self, hook: Hook, outcome: Result<(), FailureKind>, spent: Duration) {
        let tally = &self.hooks[hook as usize];
        match outcome {
            Ok(()) => &tally.ok,
            Err(kind) => &tally.failures[kind as usize],
        }
        .fetch_add(1, Ordering::Relaxed);
        tally.nanos.fetch_add(
            u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }

    /// Counts a question that was not asked, since it had failed a moment before.
    pub(super) fn withheld(&self) {
        self.withheld.fetch_add(1, Ordering::Relaxed);
    }

    /// The good answers of a hook.
    pub(super) fn answered(&self, hook: Hook) -> u64 {
        self.hooks[hook as usize].ok.load(Ordering::Relaxed)
    }

    pub(super) fn snapshot(&self) -> PolicyCounters {
        let [on_request, on_response, plan_warm] = self.hooks.each_ref().map(HookTally::snapshot);
        PolicyCounters {
            on_request,
            on_response,
            plan_warm,
            withheld: self.withheld.load(Ordering::Relaxed),
            switched_off: 0,
        }
    }
}

impl HookTally {
    fn snapshot(&self) -> HookCounters {
        let [trap, deadline, memory, bad_answer] = self
            .failures
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed));
        HookCounters {
            ok: self.ok.load(Ordering::Relaxed),
            trap,
            deadline,
            memory,
            bad_answer,
            seconds: Duration::from_nanos(self.nanos.load(Ordering::Relaxed)).as_secs_f64(),
        }
    }
}
