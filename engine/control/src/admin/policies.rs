//! `GET /policies` and `GET /policies/{policy}`: which version decides, since when, which others
//! there are, and how they do.

use serde_json::{Value, json};

use super::reply::{Refusal, Reply};
use super::trials;
use super::versions::refusal;
use crate::admin;
use crate::rollout::record::Version;
use crate::rollout::{Line, State};
use tero_policy_host::{Hook, Policy, Status};

/// Every policy of the configuration, by name.
pub(super) fn policies(admin: &admin::State) -> Reply {
    let state = admin.rollout.state();
    let list: Vec<Value> = state
        .lines()
        .map(|(name, line)| entry(&state, name, line))
        .collect();
    Reply::json(&json!({ "policies": list }))
}

/// One of them.
pub(super) fn policy(admin: &admin::State, name: &str) -> Result<Reply, Refusal> {
    let state = admin.rollout.state();
    let line = state.line(name).map_err(|error| refusal(&error))?;
    Ok(Reply::json(&entry(&state, name, line)))
}

fn entry(state: &State, name: &str, line: &Line) -> Value {
    let mut entry = describe(line.active());
    let active = line.active_version();
    let record = line.record();
    entry["version"] = active.as_str().into();
    entry["active_since_unix_secs"] = line.since().unix_secs().into();
    entry["previous"] = record.previous.last().map(Version::as_str).into();
    entry["sites"] = state.sites_of(name).into();
    entry["versions"] = record
        .versions
        .iter()
        .rev()
        .map(|version| json!(version))
        .collect();
    entry["configuration_digest"] = line.configured().digest().into();
    entry["trouble"] = line.trouble().into();
    entry["shadow"] = record
        .shadow
        .as_ref()
        .map(|shadow| trials::shadow_entry(shadow, line))
        .into();
    entry["canary"] = record
        .canary
        .as_ref()
        .map(|canary| trials::canary_entry(canary, line))
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
        Status::Active => entry["status"] = "active".into(),
        Status::SwitchedOff { since, reason } => {
            entry["status"] = "switched-off".into();
            entry["since_unix_secs"] = since.unix_secs().into();
            entry["reason"] = reason.into();
        }
    }
    entry
}
