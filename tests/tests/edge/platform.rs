//! Versions of policies on a running edge: pushed, activated and rolled back; shadows and canaries.

mod added;
mod commands;
mod damage;
mod trials;
mod versions;

use std::path::Path;

use serde_json::{Value, json};
use tero_admin_api::endpoints::{Activate, Policy, Rollback};
use tero_admin_api::{
    ActivateRequest, ActivateResponse, PolicyReport, PushResponse, RollbackResponse,
};
use tero_policy_host::{Package, builtin};
use tero_tests::{Answer, Edge, EdgeBuilder, Origin, Reply, Request};

/// An origin whose pages are fresh for 30 seconds by their own fields, and contain the name of the
/// requested variant.
fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let variant = asked
            .header("tero-variant")
            .unwrap_or_else(|| "none".to_owned());
        Reply::fresh(30, format!("{} as {variant}", asked.target))
    });
    origin
}

/// Rules that give every page this TTL, and a variant with the name of the rule. `Cache-Status`
/// shows the name.
fn rules(name: &str, ttl: u64) -> Value {
    let every = ["desktop", "mobile", "tablet", "tv", "bot", "unknown"];
    json!({ "version": 3, "variants": { name: { "devices": every } }, "rules": [{ "name": name, "match": ["/*"], "ttl": ttl }] })
}

/// The module of the rules, packaged with these settings.
fn version(settings: &Value) -> Vec<u8> {
    let module = builtin("json-rules").unwrap();
    Package {
        module: module.into(),
        settings: Some(settings.to_string().into()),
        cases: None,
    }
    .to_bytes()
}

/// An edge with a state directory, whose policy `rules` has one rule, `zero`, with 60 seconds.
fn edge(origin: &Origin, state: &Path) -> EdgeBuilder {
    edge_with(origin, state, "")
}

/// Like [`edge`], with these keys of the policy.
fn edge_with(origin: &Origin, state: &Path, keys: &str) -> EdgeBuilder {
    let settings = "[policy.settings]\nversion = 3\nrules = [{ name = \"zero\", match = [\"/*\"], ttl = 60 }]\n\
                    [policy.settings.variants.zero]\ndevices = [\"desktop\", \"mobile\", \"tablet\", \"tv\", \"bot\", \"unknown\"]";
    Edge::before(origin).state_dir(state).policy(
        "rules",
        "builtin:json-rules",
        &format!("{keys}\n{settings}"),
    )
}

fn push(edge: &Edge, policy: &str, content: &[u8]) -> Answer {
    edge.admin(&Request::new("POST", format!("/policies/{policy}/versions")).body(content))
}

/// Pushes a good version, and returns its digest.
#[track_caller]
fn pushed(edge: &Edge, settings: &Value) -> String {
    let answer = push(edge, "rules", &version(settings));
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.read::<PushResponse>().version
}

#[track_caller]
fn activate(edge: &Edge, digest: &str) -> ActivateResponse {
    let digest = digest.to_owned();
    edge.call::<Activate>(&["rules"], &ActivateRequest { digest })
}

#[track_caller]
fn roll_back(edge: &Edge) -> RollbackResponse {
    edge.call::<Rollback>(&["rules"], &())
}

#[track_caller]
fn listed(edge: &Edge) -> PolicyReport {
    edge.call::<Policy>(&["rules"], &())
}
