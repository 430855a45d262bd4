//! Policies that a push puts on a site, beside those of the configuration.

use std::path::Path;

use super::{origin, rules, version};
use serde_json::Value;
use tero_admin_api::endpoints::{Policies, Policy, RemovePolicy};
use tero_admin_api::{CONFIGURATION, PolicyReport, PushResponse};
use tero_policy_host::{Package, builtin};
use tero_tests::{Answer, Edge, EdgeBuilder, Origin, Request, folder};

fn plain(origin: &Origin, state: &Path) -> EdgeBuilder {
    Edge::before(origin).state_dir(state)
}

fn push(edge: &Edge, name: &str, query: &str, content: &[u8]) -> Answer {
    let target = format!("/policies/{name}/versions{query}");
    edge.admin(&Request::new("POST", target).body(content))
}

#[track_caller]
fn added(edge: &Edge, name: &str, query: &str, settings: &Value) -> PushResponse {
    let answer = push(edge, name, query, &version(settings));
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.read()
}

fn report(edge: &Edge, name: &str) -> PolicyReport {
    edge.call::<Policy>(&[name], &())
}

/// Checks that no policy gave the page a lifetime.
#[track_caller]
fn assert_undecided(edge: &Edge, target: &str) {
    let told = edge.get(target).cache_status().detail.unwrap_or_default();
    assert!(!told.contains("ttl"), "{told:?}");
}

#[test]
fn a_new_policy_decides_at_once_and_after_a_restart_until_it_is_removed() {
    let (origin, state) = (origin(), folder());
    let builder = plain(&origin, state.path());
    let edge = builder.start();
    let pushed = added(&edge, "seo", "?site=site", &rules("seo", 600));
    assert_eq!(pushed.sites, ["site"]);
    edge.get("/x").assert_detail("seo: ttl");
    edge.reload(&builder).unwrap();
    edge.get("/y").assert_detail("seo: ttl");
    let before = report(&edge, "seo");
    assert_eq!(before.sites, ["site"]);
    assert_eq!(before.added.as_ref().unwrap().digest, pushed.version);
    drop(edge);
    let edge = builder.start();
    edge.get("/z").assert_detail("seo: ttl");
    assert_eq!(report(&edge, "seo").added, before.added);
    // Versions, trials and rollbacks work as for others.
    let two = added(&edge, "seo", "", &rules("two", 60));
    assert_eq!((two.number, &*two.sites), (2, &[][..]));
    let activate = edge.admin_post("/policies/seo/activate", "{\"digest\": \"2\"}");
    assert_eq!(activate.status, 200, "{activate:?}");
    edge.get("/a").assert_detail("two: ttl");
    drop(edge);
    let edge = builder.start();
    edge.get("/b").assert_detail("two: ttl");
    let back = edge.admin_post("/policies/seo/rollback", "").json();
    assert_eq!(back["version"], CONFIGURATION);
    edge.get("/c").assert_detail("seo: ttl");
    let gone = edge.call::<RemovePolicy>(&["seo"], &());
    assert_eq!(gone.sites, ["site"]);
    assert!(edge.call::<Policies>(&[], &()).policies.is_empty());
    assert_undecided(&edge, "/d");
    let files = |folder: &str| {
        std::fs::read_dir(state.path().join(folder))
            .unwrap()
            .count()
    };
    assert_eq!((files("versions"), files("policies")), (0, 0));
    drop(edge);
    assert!(
        builder
            .start()
            .call::<Policies>(&[], &())
            .policies
            .is_empty()
    );
}

#[test]
fn a_new_policy_comes_after_the_one_that_is_named() {
    let (origin, state) = (origin(), folder());
    let one = |name: &str| {
        format!(
            "settings = {{ rules = [{{ name = \"{name}\", match = [\"/{name}/*\"], ttl = 60 }}] }}"
        )
    };
    let builder = plain(&origin, state.path())
        .policy("first", "builtin:json-rules", &one("first"))
        .policy("last", "builtin:json-rules", &one("last"));
    let edge = builder.start();
    added(&edge, "seo", "?site=site&after=first", &rules("seo", 600));
    edge.get("/first/x").assert_detail("first: ttl");
    edge.get("/last/x").assert_detail("seo: ttl");
    edge.call::<RemovePolicy>(&["seo"], &());
    added(&edge, "seo", "?site=site", &rules("seo", 600));
    edge.get("/last/y").assert_detail("last: ttl");
    edge.get("/other").assert_detail("seo: ttl");
}

#[test]
fn the_policy_of_the_configuration_counts_where_both_have_the_name() {
    let (origin, state) = (origin(), folder());
    let builder = plain(&origin, state.path());
    let edge = builder.start();
    added(&edge, "seo", "?site=site", &rules("added", 600));
    edge.get("/a").assert_detail("added: ttl");
    let settings = "settings = { rules = [{ name = \"written\", match = [\"/*\"], ttl = 60 }] }";
    let both = plain(&origin, state.path()).policy("seo", "builtin:json-rules", settings);
    edge.reload(&both).unwrap();
    edge.get("/b").assert_detail("written: ttl");
    assert_eq!(report(&edge, "seo").added, None);
    drop(edge);
    let edge = both.start();
    edge.get("/c").assert_detail("written: ttl");
    edge.reload(&builder).unwrap();
    edge.get("/d").assert_detail("added: ttl");
}

#[test]
fn what_can_not_be_added_is_refused_and_changes_nothing() {
    let (origin, state) = (origin(), folder());
    let settings = "settings = { rules = [{ name = \"zero\", match = [\"/*\"], ttl = 60 }] }";
    let builder = plain(&origin, state.path()).policy("zero", "builtin:json-rules", settings);
    let edge = builder.start();
    let good = version(&rules("seo", 600));
    let failing = Package {
        module: builtin("json-rules").unwrap().into(),
        settings: Some(rules("seo", 600).to_string().into()),
        cases: Some(
            "[[case]]\nname = \"a page\"\nurl = \"/x\"\non_response = { ttl = \"1min\" }\n".into(),
        ),
    }
    .to_bytes();
    for (name, query, content, status, words) in [
        (
            "seo",
            "?site=shop",
            &*good,
            422,
            &["no site `shop`", "site"][..],
        ),
        (
            "seo",
            "?site=site&after=other",
            &good,
            422,
            &["no policy `other`", "zero"],
        ),
        ("seo", "?after=zero", &good, 400, &["without a site"]),
        ("seo", "?sites=site", &good, 400, &["?site=SITE"]),
        (
            "zero",
            "?site=site",
            &good,
            409,
            &["`zero` already", "without --site"],
        ),
        ("SEO", "?site=site", &good, 422, &["is not a name"]),
        (
            "seo",
            "?site=site",
            b"no module",
            422,
            &["not a WebAssembly module"],
        ),
        ("seo", "?site=site", &failing, 422, &["a page"]),
        ("seo", "", &good, 404, &["no policy `seo`", "--site"]),
    ] {
        push(&edge, name, query, content).assert_refused(status, words);
    }
    let of_configuration = edge.ask::<RemovePolicy>(&["zero"], &());
    of_configuration.assert_refused(409, &["of the configuration"]);
    edge.ask::<RemovePolicy>(&["seo"], &())
        .assert_refused(404, &["no policy `seo`"]);
    assert_eq!(edge.call::<Policies>(&[], &()).policies.len(), 1);
    let files = std::fs::read_dir(state.path().join("versions")).unwrap();
    assert_eq!(files.count(), 0);
    // Its place can't be written.
    let records = state.path().join("policies");
    std::fs::rename(&records, state.path().join("away")).unwrap();
    std::fs::write(&records, "").unwrap();
    push(&edge, "seo", "?site=site", &good).assert_refused(500, &["seo.json"]);
    edge.get("/x").assert_detail("zero: ttl");
    std::fs::remove_file(&records).unwrap();
    std::fs::rename(state.path().join("away"), &records).unwrap();
    assert_eq!(push(&edge, "seo", "?site=site", &good).status, 201);
}

#[test]
fn a_damaged_added_policy_does_not_stop_a_start() {
    let (origin, state) = (origin(), folder());
    let builder = plain(&origin, state.path());
    let edge = builder.start();
    let pushed = added(&edge, "seo", "?site=site", &rules("seo", 600));
    drop(edge);
    let module = state
        .path()
        .join(format!("versions/seo-{}.wasm", pushed.version));
    let whole = std::fs::read(&module).unwrap();
    std::fs::write(&module, &whole[..whole.len() / 2]).unwrap();
    let edge = builder.start();
    assert_undecided(&edge, "/x");
    let listed = edge.call::<Policies>(&[], &());
    assert_eq!(listed.left_out[0].policy, "seo");
    assert!(listed.left_out[0].why.contains("not what was pushed"));
    drop(edge);
    std::fs::write(&module, whole).unwrap();
    let edge = builder.start();
    edge.get("/y").assert_detail("seo: ttl");
    drop(edge);
    let record = state.path().join("policies/seo.json");
    let text = std::fs::read_to_string(&record).unwrap();
    for damaged in ["", "{", &text[..text.len() / 2], "\0"] {
        std::fs::write(&record, damaged).unwrap();
        let edge = builder.start();
        assert_undecided(&edge, "/x");
    }
    std::fs::write(&record, text).unwrap();
    builder.start().get("/z").assert_detail("seo: ttl");
}
