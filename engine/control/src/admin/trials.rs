//! Versions on trial: in shadow, or as a canary.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use super::call::Call;
use super::cluster::{self, tell_change};
use super::context::AdminContext;
use super::reply::AdminRefusal;
use super::reports;
use super::samples::{Sample, counters, gauges};
use super::versions::{known, refusal};
use crate::rollout::record::GuardSettings;
use crate::rollout::{self, RolloutError};
use tero_admin_api::endpoints::{Canary, Shadow, StartCanary, StartShadow, StopCanary, StopShadow};
use tero_admin_api::{
    CanaryReport, CanaryResponse, GuardRequest, ShadowReport, ShadowSample, StartCanaryRequest,
    StartCanaryResponse, StartShadowRequest, StartShadowResponse, TrialEndResponse,
};
use tero_config::units::Share;
use tero_edge::telemetry::Outcome;
use tero_edge::telemetry::trial_counters::TrialGroup;
use tero_policy_host::compare::{DecisionField, DifferenceSample};

/// The shadow of a policy, and where it differs.
pub(super) fn shadow(
    context: &AdminContext,
    call: Call<'_, Shadow>,
) -> Result<ShadowReport, AdminRefusal> {
    let name = call.parameter();
    let rollout = context.rollout.state();
    let versions = rollout.policy(name).map_err(|error| refusal(&error))?;
    let now = context.edge.clock.wall();
    let record = versions.record().shadow.as_ref();
    let record = record.ok_or_else(|| none(name, "in shadow"))?;
    let (policy, tally) = versions.shadow().unzip();
    Ok(ShadowReport {
        summary: reports::shadow(record, versions),
        comparison: tally.map(|tally| reports::version_comparison(&tally.comparison(), sample)),
        policy: policy.map(|policy| reports::module(policy, now)),
    })
}

fn sample(sample: &DifferenceSample) -> ShadowSample {
    ShadowSample {
        at_unix_secs: sample.at.unix_secs(),
        url: sample.url.clone(),
        device: sample.device.clone(),
        active: sample.left.clone(),
        candidate: sample.right.clone(),
    }
}

/// Starts shadowing by a version.
pub(super) fn start_shadow(
    context: &AdminContext,
    call: Call<'_, StartShadow>,
) -> Result<StartShadowResponse, AdminRefusal> {
    let name = call.parameter();
    known(context, name)?;
    let StartShadowRequest { digest, sample } = call.read()?;
    let sample = share(&sample)?;
    let version = context
        .rollout
        .start_shadow(name, &digest, sample)
        .map_err(|error| refusal(&error))?;
    Ok(StartShadowResponse {
        policy: name.to_owned(),
        version: version.to_string(),
        sample: sample.show(),
    })
}

/// Ends the shadow.
pub(super) fn stop_shadow(
    context: &AdminContext,
    call: Call<'_, StopShadow>,
) -> Result<TrialEndResponse, AdminRefusal> {
    let name = call.parameter();
    let version = context
        .rollout
        .stop_shadow(name)
        .map_err(|error| refusal(&error))?;
    Ok(TrialEndResponse {
        policy: name.to_owned(),
        ended: version.to_string(),
        unsaved: unsaved(context, name)?,
        fleet: None,
    })
}

/// The canary of a policy beside the control.
pub(super) fn canary(
    context: &AdminContext,
    call: Call<'_, Canary>,
) -> Result<CanaryResponse, AdminRefusal> {
    let name = call.parameter();
    let rollout = context.rollout.state();
    let versions = rollout.policy(name).map_err(|error| refusal(&error))?;
    let now = context.edge.clock.wall();
    let record = versions.record();
    match (&record.canary, &record.rolled_back) {
        (Some(canary), _) => Ok(CanaryResponse::Running(Box::new(CanaryReport {
            summary: reports::canary(canary, versions),
            policy: versions
                .canary()
                .map(|(policy, _)| reports::module(policy, now)),
        }))),
        (None, Some(rolled_back)) => Ok(CanaryResponse::RolledBack {
            rolled_back: reports::rollback(rolled_back),
        }),
        (None, None) => Err(none(name, "as a canary")),
    }
}

/// Lets a version decide for a share of the keys.
pub(super) fn start_canary(
    context: &AdminContext,
    call: Call<'_, StartCanary>,
) -> Result<StartCanaryResponse, AdminRefusal> {
    let name = call.parameter();
    known(context, name)?;
    let StartCanaryRequest {
        digest,
        share: written,
        guard,
        nodes,
    } = call.read()?;
    let (share, guard) = (self::share(&written)?, guard_settings(&guard));
    let of_nodes = nodes.map(|nodes| self::share(&nodes)).transpose()?;
    let start = || {
        let started = context.rollout.start_canary(name, &digest, share, guard);
        started.map_err(|error| refusal(&error))
    };
    let (version, nodes) = match (&context.fleet, of_nodes) {
        (None, None) => (start()?, None),
        // A share of the nodes needs a fleet.
        _ => cluster::fleet(context)?.start_canary(name, of_nodes, start)?,
    };
    Ok(StartCanaryResponse {
        policy: name.to_owned(),
        version: version.to_string(),
        share: share.show(),
        guard: reports::guard(&guard),
        nodes,
        fleet: tell_change(context),
    })
}

/// Ends the canary.
pub(super) fn stop_canary(
    context: &AdminContext,
    call: Call<'_, StopCanary>,
) -> Result<TrialEndResponse, AdminRefusal> {
    let name = call.parameter();
    let version = context
        .rollout
        .stop_canary(name)
        .map_err(|error| refusal(&error))?;
    Ok(TrialEndResponse {
        policy: name.to_owned(),
        ended: version.to_string(),
        unsaved: unsaved(context, name)?,
        fleet: tell_change(context),
    })
}

/// Why the last change of a policy is not on disk.
fn unsaved(context: &AdminContext, name: &str) -> Result<Option<String>, AdminRefusal> {
    let state = context.rollout.state();
    let versions = state.policy(name).map_err(|error| refusal(&error))?;
    Ok(versions.unsaved())
}

fn share(text: &str) -> Result<Share, AdminRefusal> {
    Share::parse(text).ok_or_else(|| {
        AdminRefusal::bad(
            format!("`{}` is not a share", text.escape_debug()),
            "write a percentage, \"10%\" or \"0.5%\"",
        )
    })
}

/// The guard of a request, with defaults for the numbers that it leaves out.
fn guard_settings(request: &GuardRequest) -> GuardSettings {
    let default = GuardSettings::default();
    GuardSettings {
        min_requests: request.min_requests.unwrap_or(default.min_requests),
        hit_rate_points: request.hit_rate_points.unwrap_or(default.hit_rate_points),
        origin_points: request.origin_points.unwrap_or(default.origin_points),
        failure_points: request.failure_points.unwrap_or(default.failure_points),
    }
}

fn none(policy: &str, what: &'static str) -> AdminRefusal {
    refusal(&RolloutError::NoTrial {
        policy: policy.to_owned(),
        what,
    })
}

/// The metrics of versions and trials. Labels are bounded: policies by the configuration, fields,
/// arms and causes by their types.
pub(super) fn metrics(state: &rollout::VersionSet, encoder: &mut DescriptorEncoder) -> fmt::Result {
    let label = |name: &str| ("policy", name.to_owned());
    let policies = || state.policies().map(|(name, versions)| (&**name, versions));
    let since = policies()
        .map(|(name, versions)| (vec![label(name)], versions.since().unix_secs()))
        .collect();
    gauges(
        encoder,
        "tero_policy_active_since_seconds",
        "When the active version began to decide, as a Unix time",
        since,
    )?;
    let versions = policies()
        .map(|(name, versions)| (vec![label(name)], versions.record().versions.len() as u64))
        .collect();
    gauges(
        encoder,
        "tero_policy_versions",
        "Pushed versions that are kept",
        versions,
    )?;
    shadows(state, encoder)?;
    let mut requests: Vec<Sample<u64>> = Vec::new();
    let mut origin: Vec<Sample<u64>> = Vec::new();
    for (name, counters) in
        policies().filter_map(|(name, versions)| Some((name, versions.canary()?.1)))
    {
        for (group, group_name) in [
            (TrialGroup::Control, "control"),
            (TrialGroup::Canary, "canary"),
        ] {
            let counts = counters.counts(group);
            let of_group = || vec![label(name), ("arm", group_name.to_owned())];
            for outcome in Outcome::ALL {
                let mut labels = of_group();
                labels.push(("outcome", outcome.as_str().to_owned()));
                requests.push((labels, counts.outcomes.count(outcome)));
            }
            origin.push((of_group(), counts.origin_requests));
        }
    }
    counters(
        encoder,
        "tero_policy_canary_requests",
        "Requests during a canary, by arm and outcome",
        requests,
    )?;
    counters(
        encoder,
        "tero_policy_canary_origin_requests",
        "Requests to the origin during a canary, by arm",
        origin,
    )?;
    let mut rollbacks: Vec<Sample<u64>> = Vec::new();
    let mut errors: Vec<Sample<u64>> = Vec::new();
    for (name, versions) in policies() {
        for (what, count) in versions.errors() {
            errors.push((vec![label(name), ("what", what.to_owned())], count));
        }
        for (cause, count) in versions.rollbacks() {
            rollbacks.push((
                vec![label(name), ("cause", cause.as_str().to_owned())],
                count,
            ));
        }
    }
    counters(
        encoder,
        "tero_policy_canary_rollbacks",
        "Canaries that their guard rolled back",
        rollbacks,
    )?;
    counters(
        encoder,
        "tero_policy_change_errors",
        "Attempts to write a record, or to roll a canary back, that failed",
        errors,
    )
}

fn shadows(state: &rollout::VersionSet, encoder: &mut DescriptorEncoder) -> fmt::Result {
    let mut answers: Vec<Sample<u64>> = Vec::new();
    let mut left_out: Vec<Sample<u64>> = Vec::new();
    for (name, tally) in state
        .policies()
        .filter_map(|(name, versions)| Some((name.to_string(), versions.shadow()?.1)))
    {
        let comparison = tally.comparison();
        for field in DecisionField::ALL {
            let of_field = comparison.field(field);
            for (result, count) in [("same", of_field.same), ("different", of_field.different)] {
                let labels = vec![
                    ("policy", name.clone()),
                    ("field", field.as_str().to_owned()),
                    ("result", result.to_owned()),
                ];
                answers.push((labels, count));
            }
        }
        left_out.push((vec![("policy", name)], tally.left_out()));
    }
    counters(
        encoder,
        "tero_policy_shadow_answers",
        "Answers of a version in shadow, field by field",
        answers,
    )?;
    counters(
        encoder,
        "tero_policy_shadow_left_out",
        "Requests that a shadow was not asked about, since the queue was full",
        left_out,
    )
}
