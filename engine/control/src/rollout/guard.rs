//! The guard of a canary: compares the canary with its control, and decides when it is rolled back.
//!
//! The two are compared window by window. A window ends when canary and control have both answered
//! as many requests as the settings say.

use super::record::GuardSettings;
use tero_edge::telemetry::trial_counters::{GroupCounts, TrialCounters, TrialGroup};
use tero_policy_host::{Hook, Policy, PolicyCounters};

/// Why a canary was rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RollbackCause {
    /// The policy failed so often that the host switched it off.
    SwitchedOff,
    /// The policy failed more often than the active version.
    Failures,
    /// More requests ended with an error.
    Errors,
    /// The hit rate was lower.
    HitRate,
    /// More requests went to the origin.
    OriginLoad,
}

impl RollbackCause {
    /// Every cause.
    pub const ALL: [RollbackCause; 5] = [
        RollbackCause::SwitchedOff,
        RollbackCause::Failures,
        RollbackCause::Errors,
        RollbackCause::HitRate,
        RollbackCause::OriginLoad,
    ];

    /// The name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            RollbackCause::SwitchedOff => "switched_off",
            RollbackCause::Failures => "failures",
            RollbackCause::Errors => "errors",
            RollbackCause::HitRate => "hit_rate",
            RollbackCause::OriginLoad => "origin_load",
        }
    }
}

/// Why a canary has to be rolled back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) cause: RollbackCause,
    /// The figures, for people.
    pub(super) reason: String,
}

/// A window of requests.
#[derive(Debug)]
pub(super) struct GuardWindow {
    /// The figures of this node when the trial began.
    base: TrialSnapshot,
    /// The figures when it began.
    began: TrialSnapshot,
    /// What other nodes have counted of the same trial.
    others: TrialSnapshot,
    /// Whether a window has ended before. A canary finds what the active version stored; if it
    /// decides other variants, it finds nothing at first. So the first window is judged by failures
    /// alone.
    is_settled: bool,
}

/// The figures of canary and control, at one moment or of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrialSnapshot {
    /// The keys that the active version decides on.
    pub control: GroupSnapshot,
    /// The keys that the canary decides on.
    pub canary: GroupSnapshot,
}

/// The figures of one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupSnapshot {
    /// Requests.
    pub counts: GroupCounts,
    /// Questions that the policy answered.
    pub answers: u64,
    /// Questions at which it failed.
    pub failures: u64,
}

impl GroupSnapshot {
    fn of(policy: &Policy, counts: GroupCounts) -> GroupSnapshot {
        let (answers, failures) = asked(&policy.counters());
        GroupSnapshot {
            counts,
            answers,
            failures,
        }
    }

    fn since(&self, earlier: &GroupSnapshot) -> GroupSnapshot {
        GroupSnapshot {
            counts: self.counts.since(&earlier.counts),
            answers: self.answers.saturating_sub(earlier.answers),
            failures: self.failures.saturating_sub(earlier.failures),
        }
    }

    fn plus(&self, other: &GroupSnapshot) -> GroupSnapshot {
        let mut outcomes = self.counts.outcomes;
        outcomes.add(&other.counts.outcomes);
        GroupSnapshot {
            counts: GroupCounts {
                outcomes,
                origin_requests: self.counts.origin_requests + other.counts.origin_requests,
            },
            answers: self.answers + other.answers,
            failures: self.failures + other.failures,
        }
    }

    fn failure_rate(&self) -> Option<f64> {
        let asked = self.answers + self.failures;
        (asked > 0).then(|| self.failures as f64 / asked as f64)
    }
}

/// Answers and failures of the hooks that requests call.
fn asked(counters: &PolicyCounters) -> (u64, u64) {
    let hooks = [Hook::OnRequest, Hook::OnResponse].map(|hook| *counters.of(hook));
    let failures = hooks
        .iter()
        .map(|hook| hook.trap + hook.deadline + hook.memory + hook.bad_answer)
        .sum();
    (hooks.iter().map(|hook| hook.ok).sum(), failures)
}

impl GuardWindow {
    /// The first window of a canary that has not decided yet. What the policies were asked before
    /// does not count.
    pub(super) fn new(active: &Policy, canary: &Policy) -> GuardWindow {
        let none = GroupCounts::default();
        let base = TrialSnapshot {
            control: GroupSnapshot::of(active, none),
            canary: GroupSnapshot::of(canary, none),
        };
        GuardWindow {
            base,
            began: base,
            others: TrialSnapshot::default(),
            is_settled: false,
        }
    }

    /// What this node has counted since the trial began here.
    pub(super) fn figures(
        &self,
        active: &Policy,
        canary: &Policy,
        counters: &TrialCounters,
    ) -> TrialSnapshot {
        TrialSnapshot::of(active, canary, counters).since(&self.base)
    }

    /// Takes over what other nodes have counted: the canary is judged by the sums.
    pub(super) fn set_others(&mut self, others: TrialSnapshot) {
        self.others = others;
    }

    /// Judges the canary if the window has ended, and begins the next window. Returns a verdict if
    /// the canary did worse than `guard` allows, or was switched off.
    pub(super) fn look(
        &mut self,
        guard: &GuardSettings,
        active: &Policy,
        canary: &Policy,
        counters: &TrialCounters,
    ) -> Option<Verdict> {
        if let Some(reason) = canary.last_trouble() {
            return Some(Verdict {
                cause: RollbackCause::SwitchedOff,
                reason: format!("it was switched off: {reason}"),
            });
        }
        let now = TrialSnapshot::of(active, canary, counters).plus(&self.others);
        let window = now.since(&self.began);
        let enough = |side: &GroupSnapshot| side.counts.outcomes.total() >= guard.min_requests;
        if !enough(&window.control) || !enough(&window.canary) {
            return None;
        }
        self.began = now;
        let was_settled = std::mem::replace(&mut self.is_settled, true);
        window.judge(guard, was_settled)
    }
}

/// A rate that must not be much higher for the canary than for the control.
struct ComparedRate {
    cause: RollbackCause,
    of: fn(&GroupSnapshot) -> Option<f64>,
    /// The counted events, for people.
    what: &'static str,
}

const FAILURES: ComparedRate = ComparedRate {
    cause: RollbackCause::Failures,
    of: GroupSnapshot::failure_rate,
    what: "questions to the policy failed",
};

const ERRORS: ComparedRate = ComparedRate {
    cause: RollbackCause::Errors,
    of: |group| group.counts.error_rate(),
    what: "requests ended with an error",
};

const ORIGIN_LOAD: ComparedRate = ComparedRate {
    cause: RollbackCause::OriginLoad,
    of: |group| group.counts.origin_load(),
    what: "requests went to the origin",
};

impl TrialSnapshot {
    fn of(active: &Policy, canary: &Policy, counters: &TrialCounters) -> TrialSnapshot {
        TrialSnapshot {
            control: GroupSnapshot::of(active, counters.counts(TrialGroup::Control)),
            canary: GroupSnapshot::of(canary, counters.counts(TrialGroup::Canary)),
        }
    }

    fn since(&self, earlier: &TrialSnapshot) -> TrialSnapshot {
        TrialSnapshot {
            control: self.control.since(&earlier.control),
            canary: self.canary.since(&earlier.canary),
        }
    }

    /// The sums of both.
    pub fn plus(&self, other: &TrialSnapshot) -> TrialSnapshot {
        TrialSnapshot {
            control: self.control.plus(&other.control),
            canary: self.canary.plus(&other.canary),
        }
    }

    fn judge(&self, guard: &GuardSettings, is_settled: bool) -> Option<Verdict> {
        let failing = self
            .excess(&FAILURES, guard.failure_points)
            .or_else(|| self.excess(&ERRORS, guard.failure_points));
        if !is_settled {
            return failing;
        }
        failing
            .or_else(|| self.excess(&ORIGIN_LOAD, guard.origin_points))
            .or_else(|| self.low_hit_rate(guard.hit_rate_points))
    }

    /// A verdict if the canary's rate exceeds the control's by more than `points`.
    fn excess(&self, rate: &ComparedRate, points: f64) -> Option<Verdict> {
        let ComparedRate { cause, of, what } = rate;
        let canary = 100.0 * of(&self.canary).unwrap_or(0.0);
        let control = 100.0 * of(&self.control).unwrap_or(0.0);
        let reason = format!(
            "{canary:.1} % of {what}, {control:.1} % with the control; {points} points more are allowed"
        );
        (canary > control + points).then_some(Verdict {
            cause: *cause,
            reason,
        })
    }

    /// A verdict if the canary's hit rate is lower than the control's by more than `points`.
    fn low_hit_rate(&self, points: f64) -> Option<Verdict> {
        let canary = 100.0 * self.canary.counts.outcomes.hit_rate()?;
        let control = 100.0 * self.control.counts.outcomes.hit_rate()?;
        let reason = format!(
            "a hit rate of {canary:.1} %, {control:.1} % with the control; {points} points less are allowed"
        );
        (canary < control - points).then_some(Verdict {
            cause: RollbackCause::HitRate,
            reason,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tero_edge::telemetry::Outcome;

    /// A group with so many hits, misses and errors; each miss and error is a request to the
    /// origin.
    fn side(hits: u64, misses: u64, errors: u64, failures: u64) -> GroupSnapshot {
        let counters = TrialCounters::default();
        for (outcome, count) in [
            (Outcome::Hit, hits),
            (Outcome::Miss, misses),
            (Outcome::Error, errors),
        ] {
            for _ in 0..count {
                counters.record(TrialGroup::Canary, outcome);
                if outcome != Outcome::Hit {
                    counters.record_origin(TrialGroup::Canary);
                }
            }
        }
        GroupSnapshot {
            counts: counters.counts(TrialGroup::Canary),
            answers: 100 - failures,
            failures,
        }
    }

    fn check(
        control: GroupSnapshot,
        canary: GroupSnapshot,
        is_settled: bool,
        expected: Option<RollbackCause>,
    ) {
        let verdict =
            TrialSnapshot { control, canary }.judge(&GuardSettings::default(), is_settled);
        assert_eq!(
            verdict.as_ref().map(|verdict| verdict.cause),
            expected,
            "{verdict:?}"
        );
    }

    #[test]
    fn a_canary_is_rolled_back_if_it_is_worse_by_more_than_the_bound() {
        let good = side(90, 10, 0, 0);
        check(good, good, true, None);
        check(good, side(85, 15, 0, 0), true, None);
        check(
            good,
            side(84, 16, 0, 0),
            true,
            Some(RollbackCause::OriginLoad),
        );
        check(good, side(84, 16, 0, 0), false, None);
        check(good, side(90, 9, 1, 0), true, None);
        check(good, side(90, 8, 2, 0), false, Some(RollbackCause::Errors));
        check(good, side(90, 10, 0, 1), true, None);
        check(
            good,
            side(90, 10, 0, 2),
            false,
            Some(RollbackCause::Failures),
        );
        // As bad as the control is not worse.
        check(side(10, 80, 10, 10), side(10, 80, 10, 10), true, None);
    }

    #[test]
    fn a_lower_hit_rate_counts_even_if_the_origin_load_does_not_rise() {
        let collapsed = GroupSnapshot {
            counts: GroupCounts {
                origin_requests: 10,
                ..side(50, 50, 0, 0).counts
            },
            ..side(0, 0, 0, 0)
        };
        check(
            side(90, 10, 0, 0),
            collapsed,
            true,
            Some(RollbackCause::HitRate),
        );
    }
}
