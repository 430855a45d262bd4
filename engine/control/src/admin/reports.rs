//! Converts modules, trials and mistakes into types of tero-admin-api.

use tero_admin_api::{
    CanaryGuard, CanarySummary, CaseMismatch, CaseMistake, FieldTally, FileMistake, GroupFigures,
    HookFigures, Mistake, ModuleReport, ModuleStatus, RollbackReport, ShadowSummary,
    VersionComparison,
};

use crate::rollout::PolicyVersions;
use crate::rollout::record::{CanaryRecord, GuardSettings, RollbackRecord, ShadowRecord};
use tero_config::{ConfigError, ConfigErrors};
use tero_edge::telemetry::Outcome;
use tero_edge::telemetry::counters::Outcomes;
use tero_edge::telemetry::trial_counters::{GroupCounts, TrialGroup};
use tero_policy_host::cases::CaseOutcome;
use tero_policy_host::compare::{Comparison, DecisionField, DifferenceSample};
use tero_policy_host::{Policy, PolicyStatus};
use tero_semantics::timestamp::Timestamp;

/// A loaded module, and the results of its decisions.
pub(super) fn module(policy: &Policy, now: Timestamp) -> ModuleReport {
    let manifest = policy.manifest();
    let counters = policy.counters();
    let hooks = manifest.hooks.iter().map(|hook| {
        let of = counters.of(*hook);
        let figures = HookFigures {
            ok: of.ok,
            trap: of.trap,
            deadline: of.deadline,
            memory: of.memory,
            bad_answer: of.bad_answer,
            seconds: of.seconds,
        };
        (hook.as_str().to_owned(), figures)
    });
    ModuleReport {
        name: policy.name().to_string(),
        digest: policy.digest().to_owned(),
        zone: manifest.zone.map(|zone| zone.name().to_owned()),
        variants: manifest.variants.iter().map(ToString::to_string).collect(),
        hooks: hooks.collect(),
        status: match policy.status(now) {
            PolicyStatus::Active => ModuleStatus::Active,
            PolicyStatus::SwitchedOff {
                since,
                until,
                reason,
            } => ModuleStatus::SwitchedOff {
                since_unix_secs: since.unix_secs(),
                until_unix_secs: until.unix_secs(),
                reason,
            },
        },
    }
}

/// The figures of a shadow.
pub(super) fn shadow(record: &ShadowRecord, versions: &PolicyVersions) -> ShadowSummary {
    let (comparison, left_out) = versions
        .shadow()
        .map(|(_, tally)| (tally.comparison(), tally.left_out()))
        .unwrap_or_default();
    ShadowSummary {
        version: record.version.to_string(),
        sample: record.sample.show(),
        since_unix_secs: record.since_unix_secs,
        requests: comparison.requests,
        responses: comparison.responses,
        differences: comparison.differences(),
        left_out,
    }
}

/// The figures of a canary.
pub(super) fn canary(record: &CanaryRecord, versions: &PolicyVersions) -> CanarySummary {
    let group = |group: TrialGroup| {
        versions
            .canary()
            .map(|(_, counters)| group_figures(&counters.counts(group)))
    };
    CanarySummary {
        version: record.version.to_string(),
        share: record.share.show(),
        since_unix_secs: record.since_unix_secs,
        guard: guard(&record.guard),
        control: group(TrialGroup::Control),
        canary: group(TrialGroup::Canary),
    }
}

/// When a canary is rolled back automatically.
pub(super) fn guard(settings: &GuardSettings) -> CanaryGuard {
    CanaryGuard {
        min_requests: settings.min_requests,
        hit_rate_points: settings.hit_rate_points,
        origin_points: settings.origin_points,
        failure_points: settings.failure_points,
    }
}

fn group_figures(counts: &GroupCounts) -> GroupFigures {
    GroupFigures {
        requests: counts.outcomes.total(),
        hit_rate: hit_rate(&counts.outcomes),
        errors: counts.outcomes.count(Outcome::Error),
        origin_requests: counts.origin_requests,
    }
}

/// The comparison of two versions. `sample` converts a question that they answered differently.
pub fn version_comparison<S>(
    comparison: &Comparison,
    sample: impl Fn(&DifferenceSample) -> S,
) -> VersionComparison<S> {
    let field = |field: DecisionField| {
        let tally = comparison.field(field);
        let tally = FieldTally {
            same: tally.same,
            different: tally.different,
            samples: tally.samples.iter().map(&sample).collect(),
        };
        (field.as_str().to_owned(), tally)
    };
    VersionComparison {
        requests: comparison.requests,
        responses: comparison.responses,
        fields: DecisionField::ALL.into_iter().map(field).collect(),
    }
}

/// A canary that its guard rolled back.
pub(super) fn rollback(record: &RollbackRecord) -> RollbackReport {
    RollbackReport {
        version: record.version.to_string(),
        at_unix_secs: record.at_unix_secs,
        reason: record.reason.clone(),
    }
}

/// The mistakes of a file.
pub(super) fn mistakes(errors: &ConfigErrors) -> Vec<Mistake> {
    let mistake = |error: &ConfigError| {
        Mistake::File(FileMistake {
            file: error.file.clone(),
            line: error.line,
            column: error.column,
            key: error.key.clone(),
            problem: error.problem.clone(),
            cure: error.cure.clone(),
        })
    };
    errors.errors.iter().map(mistake).collect()
}

/// A case that a version does not pass.
pub(super) fn case_mistake(outcome: &CaseOutcome) -> Mistake {
    let problems = outcome.problems.iter();
    Mistake::Case(CaseMistake {
        case: outcome.case.clone(),
        line: outcome.line,
        hook: outcome.hook.as_str().to_owned(),
        answer: outcome.answer.clone(),
        problems: problems
            .map(|problem| CaseMismatch {
                field: problem.field.clone(),
                expected: problem.expected.clone(),
                got: problem.got.clone(),
            })
            .collect(),
        fuel: outcome.fuel,
        micros: outcome.micros,
    })
}

/// The hit rate, to four digits.
pub(super) fn hit_rate(outcomes: &Outcomes) -> Option<f64> {
    outcomes.hit_rate().map(rounded)
}

/// A rate to four digits: more would be noise.
pub(super) fn rounded(rate: f64) -> f64 {
    (rate * 10_000.0).round() / 10_000.0
}
