//! Versions on trial: in shadow, or as a canary.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;
use serde_json::{Value, json};

use super::AdminContext;
use super::asked::{self, StartCanaryRequest, StartShadowRequest};
use super::metrics::{Sample, counters, gauges};
use super::policies::describe;
use super::reply::{AdminRefusal, AdminResponse};
use super::versions::{known, refusal};
use crate::rollout::record::{CanaryRecord, RollbackRecord, ShadowRecord};
use crate::rollout::{self, PolicyVersions, RolloutError};
use tero_edge::telemetry::Outcome;
use tero_edge::telemetry::trial_counters::{GroupCounts, TrialGroup};
use tero_policy_host::compare::DecisionField;

/// The shadow of a policy, with what came of asking it.
pub(super) fn shadow(state: &AdminContext, name: &str) -> Result<AdminResponse, AdminRefusal> {
    let rollout = state.rollout.state();
    let versions = rollout.policy(name).map_err(|error| refusal(&error))?;
    let record = versions
        .record()
        .shadow
        .as_ref()
        .ok_or_else(|| none(name, "in shadow"))?;
    let mut entry = shadow_entry(record, versions);
    if let Some((policy, tally)) = versions.shadow() {
        entry["comparison"] = tally.comparison().to_json("active", "candidate");
        entry["policy"] = describe(policy);
    }
    Ok(AdminResponse::json(&entry))
}

/// Has a version be asked in shadow.
pub(super) fn start_shadow(
    state: &AdminContext,
    name: &str,
    content: &[u8],
) -> Result<AdminResponse, AdminRefusal> {
    known(state, name)?;
    let StartShadowRequest { digest, sample } = asked::start_shadow(content)?;
    let version = state
        .rollout
        .start_shadow(name, &digest, sample)
        .map_err(|error| refusal(&error))?;
    Ok(AdminResponse::json(
        &json!({ "policy": name, "version": version.as_str(), "sample": sample.show() }),
    ))
}

/// Ends it.
pub(super) fn stop_shadow(state: &AdminContext, name: &str) -> Result<AdminResponse, AdminRefusal> {
    let version = state
        .rollout
        .stop_shadow(name)
        .map_err(|error| refusal(&error))?;
    Ok(AdminResponse::json(
        &json!({ "policy": name, "ended": version.as_str() }),
    ))
}

/// The canary of a policy, with its figures and those of the control.
pub(super) fn canary(state: &AdminContext, name: &str) -> Result<AdminResponse, AdminRefusal> {
    let rollout = state.rollout.state();
    let versions = rollout.policy(name).map_err(|error| refusal(&error))?;
    let record = versions.record().canary.as_ref();
    let Some(record) = record else {
        return match &versions.record().rolled_back {
            Some(rolled_back) => Ok(AdminResponse::json(
                &json!({ "rolled_back": rolled_back_entry(rolled_back) }),
            )),
            None => Err(none(name, "as a canary")),
        };
    };
    let mut entry = canary_entry(record, versions);
    if let Some((policy, _)) = versions.canary() {
        entry["policy"] = describe(policy);
    }
    Ok(AdminResponse::json(&entry))
}

/// Has a version answer for a share of the keys.
pub(super) fn start_canary(
    state: &AdminContext,
    name: &str,
    content: &[u8],
) -> Result<AdminResponse, AdminRefusal> {
    known(state, name)?;
    let StartCanaryRequest {
        digest,
        share,
        guard,
    } = asked::start_canary(content)?;
    let version = state
        .rollout
        .start_canary(name, &digest, share, guard)
        .map_err(|error| refusal(&error))?;
    Ok(AdminResponse::json(
        &json!({ "policy": name, "version": version.as_str(), "share": share.show(), "guard": guard }),
    ))
}

/// Ends it.
pub(super) fn stop_canary(state: &AdminContext, name: &str) -> Result<AdminResponse, AdminRefusal> {
    let version = state
        .rollout
        .stop_canary(name)
        .map_err(|error| refusal(&error))?;
    Ok(AdminResponse::json(
        &json!({ "policy": name, "ended": version.as_str() }),
    ))
}

fn none(policy: &str, what: &'static str) -> AdminRefusal {
    refusal(&RolloutError::NoTrial {
        policy: policy.to_owned(),
        what,
    })
}

/// A shadow in a few figures.
pub(super) fn shadow_entry(record: &ShadowRecord, versions: &PolicyVersions) -> Value {
    let (comparison, left_out) = versions
        .shadow()
        .map(|(_, tally)| (tally.comparison(), tally.left_out()))
        .unwrap_or_default();
    json!({
        "version": record.version.as_str(),
        "sample": record.sample.show(),
        "since_unix_secs": record.since_unix_secs,
        "requests": comparison.requests,
        "responses": comparison.responses,
        "differences": comparison.differences(),
        "left_out": left_out,
    })
}

/// A canary in a few figures.
pub(super) fn canary_entry(record: &CanaryRecord, versions: &PolicyVersions) -> Value {
    let group = |group: TrialGroup| {
        versions
            .canary()
            .map(|(_, counters)| group_entry(&counters.counts(group)))
    };
    json!({
        "version": record.version.as_str(),
        "share": record.share.show(),
        "since_unix_secs": record.since_unix_secs,
        "guard": record.guard,
        "control": group(TrialGroup::Control),
        "canary": group(TrialGroup::Canary),
    })
}

fn group_entry(counts: &GroupCounts) -> Value {
    let rounded = |rate: f64| (rate * 10_000.0).round() / 10_000.0;
    json!({
        "requests": counts.outcomes.total(),
        "hit_rate": counts.outcomes.hit_rate().map(rounded),
        "errors": counts.outcomes.count(Outcome::Error),
        "origin_requests": counts.origin_requests,
    })
}

/// A canary that its guard rolled back.
pub(super) fn rolled_back_entry(rolled_back: &RollbackRecord) -> Value {
    json!({
        "version": rolled_back.version.as_str(),
        "at_unix_secs": rolled_back.at_unix_secs,
        "reason": rolled_back.reason,
    })
}

/// Versions and trials in figures. Labels are bounded: policies by the configuration, fields, arms
/// and causes by what there is.
pub(super) fn metrics(state: &rollout::VersionSet, encoder: &mut DescriptorEncoder) -> fmt::Result {
    let label = |name: &str| ("policy", name.to_owned());
    let policies = || state.policies().map(|(name, versions)| (&**name, versions));
    let since = policies()
        .map(|(name, versions)| (vec![label(name)], versions.since().unix_secs()))
        .collect();
    gauges(
        encoder,
        "tero_policy_active_since_seconds",
        "Since when the active version decides, as a Unix time",
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
        "Requests during a canary, by arm and by what became of them",
        requests,
    )?;
    counters(
        encoder,
        "tero_policy_canary_origin_requests",
        "Requests to the origin during a canary, by arm",
        origin,
    )?;
    let mut rollbacks: Vec<Sample<u64>> = Vec::new();
    for (name, versions) in policies() {
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
        "Requests that a shadow was not asked about for want of room",
        left_out,
    )
}
