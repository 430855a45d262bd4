//! What is counted about a policy, and the four ways in which it fails.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::manifest::Hook;
use tero_semantics::timestamp::Timestamp;

/// How a policy failed. Whichever it was, its answer is ignored as a whole and the headers decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// It panicked, overflowed its stack, or did what a module may not do.
    Trap,
    /// It took longer than its deadline.
    Deadline,
    /// It was denied memory and did not get over it.
    Memory,
    /// It answered what the contract does not allow.
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

/// What one policy was asked through one hook since it was loaded. Remembered decisions are not
/// asked again and don't count.
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
    /// Time spent in the guest and in making its instances.
    pub seconds: f64,
}

impl HookCounters {
    fn failures(&self) -> u64 {
        self.trap + self.deadline + self.memory + self.bad_answer
    }
}

/// [`HookCounters`] of every hook.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PolicyCounters {
    /// `on-request`
    pub on_request: HookCounters,
    /// `on-response`
    pub on_response: HookCounters,
    /// `plan-warm`
    pub plan_warm: HookCounters,
}

impl PolicyCounters {
    /// Failures of all kinds and hooks.
    pub fn failures(&self) -> u64 {
        self.on_request.failures() + self.on_response.failures() + self.plan_warm.failures()
    }

    /// Those of one hook.
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
    /// It is.
    Active,
    /// It failed too often in a row, and is not asked until it is replaced.
    SwitchedOff {
        /// Since when.
        since: Timestamp,
        /// How often, and what the last failure was.
        reason: String,
    },
}

/// The live counters of one policy.
#[derive(Debug, Default)]
pub(super) struct PolicyTally([HookTally; 3]);

#[derive(Debug, Default)]
struct HookTally {
    ok: AtomicU64,
    failures: [AtomicU64; 4],
    nanos: AtomicU64,
}

impl PolicyTally {
    pub(super) fn count(&self, hook: Hook, outcome: Result<(), FailureKind>, spent: Duration) {
        let tally = &self.0[hook as usize];
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

    pub(super) fn snapshot(&self) -> PolicyCounters {
        let [on_request, on_response, plan_warm] = self.0.each_ref().map(HookTally::snapshot);
        PolicyCounters {
            on_request,
            on_response,
            plan_warm,
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
