//! Whether a canary does worse than the control: compared window by window, each of so many
//! requests on both sides.

use super::record::Guard;
use tero_edge::telemetry::arms::{Arm, ArmCounts, Arms};
use tero_policy_host::{Counters, Hook, Policy, Status};

/// Why a canary was rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The policy failed so often that it was switched off.
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

impl Cause {
    /// Every cause.
    pub const ALL: [Cause; 5] = [
        Cause::SwitchedOff,
        Cause::Failures,
        Cause::Errors,
        Cause::HitRate,
        Cause::OriginLoad,
    ];

    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::SwitchedOff => "switched_off",
            Cause::Failures => "failures",
            Cause::Errors => "errors",
            Cause::HitRate => "hit_rate",
            Cause::OriginLoad => "origin_load",
        }
    }
}

/// A judgement against a canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) cause: Cause,
    /// For people.
    pub(super) reason: String,
}

/// Where the window began.
#[derive(Debug)]
pub(super) struct Watch {
    began: Window,
    /// The canary's keys find what the active version stored; under other variants they find
    /// nothing at first. So the first window is only judged by failures.
    is_settled: bool,
}

/// The figures of both sides at one moment.
#[derive(Clone, Copy, Debug)]
struct Window {
    control: Side,
    canary: Side,
}

#[derive(Clone, Copy, Debug, Default)]
struct Side {
    arm: ArmCounts,
    answers: u64,
    failures: u64,
}

impl Side {
    fn of(policy: &Policy, arm: ArmCounts) -> Side {
        let (answers, failures) = asked(&policy.counters());
        Side {
            arm,
            answers,
            failures,
        }
    }

    fn since(&self, earlier: &Side) -> Side {
        Side {
            arm: self.arm.since(&earlier.arm),
            answers: self.answers.saturating_sub(earlier.answers),
            failures: self.failures.saturating_sub(earlier.failures),
        }
    }

    fn failure_rate(&self) -> Option<f64> {
        let asked = self.answers + self.failures;
        (asked > 0).then(|| self.failures as f64 / asked as f64)
    }
}

/// Answers and failures of the hooks that requests ask.
fn asked(counters: &Counters) -> (u64, u64) {
    let hooks = [Hook::OnRequest, Hook::OnResponse].map(|hook| *counters.of(hook));
    let failures = hooks
        .iter()
        .map(|hook| hook.trap + hook.deadline + hook.memory + hook.bad_answer)
        .sum();
    (hooks.iter().map(|hook| hook.ok).sum(), failures)
}

impl Watch {
    /// Begins to watch a canary that has not been asked as one yet: what the policies were asked
    /// before does not count.
    pub(super) fn new(active: &Policy, canary: &Policy) -> Watch {
        let none = ArmCounts::default();
        Watch {
            began: Window {
                control: Side::of(active, none),
                canary: Side::of(canary, none),
            },
            is_settled: false,
        }
    }

    /// Looks at a canary: whether there is enough to judge it by, and whether it did worse than
    /// `guard` allows.
    pub(super) fn look(
        &mut self,
        guard: &Guard,
        active: &Policy,
        canary: &Policy,
        arms: &Arms,
    ) -> Option<Verdict> {
        if let Status::SwitchedOff { reason, .. } = canary.status() {
            return Some(Verdict {
                cause: Cause::SwitchedOff,
                reason: format!("it was switched off after {reason}"),
            });
        }
        let now = Window {
            control: Side::of(active, arms.counts(Arm::Control)),
            canary: Side::of(canary, arms.counts(Arm::Canary)),
        };
        let window = Window {
            control: now.control.since(&self.began.control),
            canary: now.canary.since(&self.began.canary),
        };
        let enough = |side: &Side| side.arm.outcomes.total() >= guard.min_requests;
        if !enough(&window.control) || !enough(&window.canary) {
            return None;
        }
        self.began = now;
        let was_settled = std::mem::replace(&mut self.is_settled, true);
        window.judge(guard, was_settled)
    }
}

impl Window {
    fn judge(&self, guard: &Guard, is_settled: bool) -> Option<Verdict> {
        let Window { control, canary } = self;
        let rates = [
            (
                Cause::Failures,
                canary.failure_rate(),
                control.failure_rate(),
                guard.failure_points,
                "questions to the policy failed",
            ),
            (
                Cause::Errors,
                canary.arm.error_rate(),
                control.arm.error_rate(),
                guard.failure_points,
                "requests ended with an error",
            ),
        ];
        let load = (
            Cause::OriginLoad,
            canary.arm.origin_load(),
            control.arm.origin_load(),
            guard.origin_points,
            "requests went to the origin",
        );
        let settled = [load].into_iter().filter(|_| is_settled);
        let too_many = rates.into_iter().chain(settled).find_map(|(cause, canary, control, bound, what)| {
            let (canary, control) = (100.0 * canary.unwrap_or(0.0), 100.0 * control.unwrap_or(0.0));
            let reason = format!("{canary:.1} of a hundred {what}, {control:.1} of the control; {bound} more are allowed");
            (canary > control + bound).then_some(Verdict { cause, reason })
        });
        too_many.or_else(|| {
            let rate = |side: &Side| side.arm.outcomes.hit_rate().map(|rate| 100.0 * rate);
            let (canary, control) = (rate(canary)?, rate(control)?);
            let bound = guard.hit_rate_points;
            let reason = format!("a hit rate of {canary:.1} %, {control:.1} % of the control; {bound} points less are allowed");
            (is_settled && canary < control - bound).then_some(Verdict { cause: Cause::HitRate, reason })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tero_edge::telemetry::Outcome;

    /// An arm with so many hits, misses and errors, each miss a request to the origin.
    fn side(hits: u64, misses: u64, errors: u64, failures: u64) -> Side {
        let arms = Arms::default();
        for (outcome, count) in [
            (Outcome::Hit, hits),
            (Outcome::Miss, misses),
            (Outcome::Error, errors),
        ] {
            for _ in 0..count {
                arms.record(Arm::Canary, outcome);
                if outcome != Outcome::Hit {
                    arms.record_origin(Arm::Canary);
                }
            }
        }
        Side {
            arm: arms.counts(Arm::Canary),
            answers: 100 - failures,
            failures,
        }
    }

    fn check(control: Side, canary: Side, is_settled: bool, expected: Option<Cause>) {
        let verdict = Window { control, canary }.judge(&Guard::default(), is_settled);
        assert_eq!(
            verdict.as_ref().map(|verdict| verdict.cause),
            expected,
            "{verdict:?}"
        );
    }

    #[test]
    fn worse_by_more_than_the_bound_is_too_much_and_by_the_bound_is_not() {
        let good = side(90, 10, 0, 0);
        check(good, good, true, None);
        check(good, side(85, 15, 0, 0), true, None);
        check(good, side(84, 16, 0, 0), true, Some(Cause::OriginLoad));
        check(good, side(84, 16, 0, 0), false, None);
        check(good, side(90, 9, 1, 0), true, None);
        check(good, side(90, 8, 2, 0), false, Some(Cause::Errors));
        check(good, side(90, 10, 0, 1), true, None);
        check(good, side(90, 10, 0, 2), false, Some(Cause::Failures));
        // As bad as the control is not worse.
        check(side(10, 80, 10, 10), side(10, 80, 10, 10), true, None);
    }

    #[test]
    fn a_lower_hit_rate_counts_even_where_the_origin_is_asked_no_more() {
        let collapsed = Side {
            arm: ArmCounts {
                origin_requests: 10,
                ..side(50, 50, 0, 0).arm
            },
            ..side(0, 0, 0, 0)
        };
        check(side(90, 10, 0, 0), collapsed, true, Some(Cause::HitRate));
    }
}
