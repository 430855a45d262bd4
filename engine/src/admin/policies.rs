//! `GET /policies`: what is loaded and how it does.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::State;
use super::reply::Reply;
use crate::policy::{Hook, Policy, Status};

/// Every policy that a site asks, by name.
pub(super) fn policies(state: &State) -> Reply {
    let mut found: BTreeMap<String, (Value, Vec<Value>)> = BTreeMap::new();
    for site in state.edge.sites.load().iter() {
        for policy in site.policies.policies() {
            let entry = found.entry(policy.name().to_string()).or_insert_with(|| (describe(policy), Vec::new()));
            entry.1.push((&*site.settings.name).into());
        }
    }
    let list: Vec<Value> = found
        .into_values()
        .map(|(mut policy, sites)| {
            policy["sites"] = sites.into();
            policy
        })
        .collect();
    Reply::json(&json!({ "policies": list }))
}

fn describe(policy: &Policy) -> Value {
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
