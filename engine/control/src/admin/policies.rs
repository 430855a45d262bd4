//! `GET /policies` and `GET /policies/{policy}`: which version decides, since when, which others
//! there are, and how they do.

use serde_json::{Value, json};

use super::reply::{AdminRefusal, AdminResponse};
use super::trials;
use super::versions::refusal;
use crate::admin;
use crate::rollout::record::Version;
use crate::rollout::{PolicyVersions, VersionSet};
use tero_policy_host::{Hook, Policy, PolicyStatus};

/// Every policy of the configuration, by name.
pub(super) fn policies(admin: &admin::AdminContext) -> AdminResponse {
    let state = admin.rollout.state();
    let list: Vec<Value> = state
        .policies()
        .map(|(name, versions)| entry(&state, name, versions))
        .collect();
    AdminResponse::json(&json!({ "policies": list }))
}

/// One of them.
pub(super) fn policy(
    admin: &admin::AdminContext,
    name: &str,
) -> Result<AdminResponse, AdminRefusal> {
    let state = admin.rollout.state();
    let versions = state.policy(name).map_err(|error| refusal(&error))?;
    Ok(AdminResponse::json(&entry(&state, name, versions)))
}

fn entry(state: &VersionSet, name: &str, versions: &PolicyVersions) -> Value {
    let mut entry = describe(versions.active());
    let active = versions.active_version();
    let record = versions.record();
    entry["version"] = active.as_str().into();
    entry["active_since_unix_secs"] = versions.since().unix_secs().into();
    entry["previous"] = record.previous.last().map(Version::as_str).into();
    entry["sites"] = state.sites_of(name).into();
    entry["versions"] = record
        .versions
        .iter()
        .rev()
        .map(|version| json!(version))
        .collect();
    entry["configuration_digest"] = versions.configured().digest().into();
    entry["trouble"] = versions.trouble().into();
    entry["shadow"] = record
        .shadow
        .as_ref()
        .map(|shadow| trials::shadow_entry(shadow, versions))
        .into();
    entry["canary"] = record
        .canary
        .as_ref()
        .map(|canary| trials::canary_entry(canary, versions))
        .into();
    entry["rolled_back"] = record
        .rolled_back
        .as_ref()
        .map(trials::rolled_back_entry)
        .into();
    entry
}

/// A loaded module and how it does.
pub(super) fn describe(policy: &Policy) -> Value {
    let manifest = policy.manifest();
    let counters = policy.counters();
    let hooks: serde_json::Map<String, Value> = manifest
        .hooks
        .iter()
        .map(|hook: &Hook| {
            let of = counters.of(*hook);
            let figures = json!({
                "ok": of.ok, "trap": of.trap, "deadline": of.deadline, "memory": of.memory, "bad_answer": of.bad_answer,
                "seconds": of.seconds,
            });
            (hook.as_str().to_owned(), figures)
        })
        .collect();
    let variants: Vec<&str> = manifest.variants.iter().map(AsRef::as_ref).collect();
    let mut entry = json!({
        "name": &**policy.name(),
        "digest": policy.digest(),
        "zone": manifest.zone.map(|zone| zone.name()),
        "variants": variants,
        "hooks": hooks,
    });
    match policy.status() {
        PolicyStatus::Active => entry["status"] = "active".into(),
        PolicyStatus::SwitchedOff { since, reason } => {
            entry["status"] = "switched-off".into();
            entry["since_unix_secs"] = since.unix_secs().into();
            entry["reason"] = reason.into();
        }
    }
    entry
}
