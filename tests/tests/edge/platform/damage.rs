//! State that is damaged, newer than this tero, or that can't be written: the edge starts, goes back,
//! and says so.

use std::path::Path;

use super::{activate, edge, listed, origin, pushed, roll_back, rules};
use serde_json::json;
use tero_admin_api::CONFIGURATION;
use tero_tests::{eventually, folder};

/// Damages the module of a version.
fn damage(state: &Path, digest: &str) {
    let file = state.join(format!("versions/rules-{digest}.wasm"));
    std::fs::write(file, "something else").unwrap();
}

#[test]
fn a_version_damaged_on_disk_gives_way_to_the_configuration() {
    let (origin, state) = (origin(), folder());
    let builder = edge(&origin, state.path());
    let first = builder.start();
    let digest = pushed(&first, &rules("one", 600));
    activate(&first, &digest);
    drop(first);
    std::fs::write(
        state.path().join(format!("versions/rules-{digest}.wasm")),
        "something else",
    )
    .unwrap();
    let second = builder.start();
    second.get("/x").assert_detail("zero: ttl");
    let listed = listed(&second);
    assert_eq!(listed.version, CONFIGURATION);
    let trouble = listed.trouble.as_deref().unwrap();
    assert!(trouble.contains("not what was pushed"), "{trouble}");
    // After another push, it can be activated again.
    assert_eq!(pushed(&second, &rules("one", 600)), digest);
    activate(&second, &digest);
    second.get("/y").assert_detail("one: ttl");
    assert_eq!(self::listed(&second).trouble, None);
}

/// Puts a file in the place of the folder of records, so that none can be written.
pub(super) fn break_records(state: &Path) {
    let folder = state.join("policies");
    std::fs::rename(&folder, state.join("policies.away")).unwrap();
    std::fs::write(folder, "").unwrap();
}

pub(super) fn mend_records(state: &Path) {
    let folder = state.join("policies");
    std::fs::remove_file(&folder).unwrap();
    std::fs::rename(state.join("policies.away"), folder).unwrap();
}

#[test]
fn going_back_works_when_the_record_cannot_be_written() {
    let (origin, state) = (origin(), folder());
    let builder = edge(&origin, state.path());
    let edge = builder.start();
    let digest = pushed(&edge, &rules("one", 600));
    activate(&edge, &digest);
    break_records(state.path());
    let answer = roll_back(&edge);
    assert_eq!(answer.version, CONFIGURATION);
    assert!(
        answer.unsaved.as_deref().unwrap().contains("rules.json"),
        "{answer:?}"
    );
    edge.get("/back").assert_detail("zero: ttl");
    assert_eq!(listed(&edge).unsaved, answer.unsaved);
    // Going forward must be on disk first.
    let refused = edge.admin_post(
        "/policies/rules/activate",
        &json!({ "digest": digest }).to_string(),
    );
    refused.assert_refused(500, &["rules.json"]);
    edge.get("/still").assert_detail("zero: ttl");
    let errors = || edge.metric("tero_policy_change_errors_total", &["what=\"record\""]);
    assert_eq!(errors(), 1.0);
    // It is written again, and each attempt is counted.
    edge.advance_secs(10);
    eventually("it is tried again", || errors() == 2.0);
    mend_records(state.path());
    edge.advance_secs(10);
    eventually("it is written", || listed(&edge).unsaved.is_none());
    drop(edge);
    let edge = builder.start();
    assert_eq!(listed(&edge).version, CONFIGURATION);
}

/// Starts an edge again whose active version was pushed, after `damage` was done to its record.
#[track_caller]
fn check_gives_way(damage: impl Fn(&str) -> String, words: &str) {
    let (origin, state) = (origin(), folder());
    let builder = edge(&origin, state.path());
    let first = builder.start();
    let digest = pushed(&first, &rules("one", 600));
    activate(&first, &digest);
    drop(first);
    let path = state.path().join("policies/rules.json");
    let damaged = damage(&std::fs::read_to_string(&path).unwrap());
    std::fs::write(&path, &damaged).unwrap();
    let second = builder.start();
    second.get("/x").assert_detail("zero: ttl");
    let report = listed(&second);
    assert_eq!(report.version, CONFIGURATION);
    let trouble = report.trouble.as_deref().unwrap();
    assert!(trouble.contains(words), "{trouble}");
    assert_eq!(report.versions[0].digest, digest, "its file is still there");
    assert!(report.versions[0].settings);
    // Nothing was overwritten before the next change, and then the file is kept beside the new one.
    assert_eq!(std::fs::read_to_string(&path).unwrap(), damaged);
    activate(&second, &digest);
    second.get("/y").assert_detail("one: ttl");
    assert_eq!(listed(&second).trouble, None);
    let aside = state.path().join("policies/rules.json.unreadable");
    assert_eq!(std::fs::read_to_string(aside).unwrap(), damaged);
    assert_eq!(roll_back(&second).version, CONFIGURATION);
    drop(second);
    assert_eq!(listed(&builder.start()).trouble, None);
}

#[test]
fn a_damaged_record_gives_way_to_the_configuration() {
    check_gives_way(|text| text[..text.len() / 2].to_owned(), "EOF");
    check_gives_way(|text| text.replace("active", "activity"), "activity");
}

#[test]
fn a_record_of_a_newer_tero_gives_way_to_the_configuration() {
    check_gives_way(
        |text| text.replace("\"format\": 1", "\"format\": 2, \"more\": [1]"),
        "format 2, which a newer version of tero wrote",
    );
}

#[test]
fn a_rollback_never_ends_where_it_began() {
    let (origin, state) = (origin(), folder());
    let builder = edge(&origin, state.path());
    let first = builder.start();
    let digest = pushed(&first, &rules("one", 600));
    activate(&first, &digest);
    drop(first);
    damage(state.path(), &digest);
    let second = builder.start();
    assert!(listed(&second).trouble.is_some());
    pushed(&second, &rules("one", 600));
    activate(&second, &digest);
    assert_eq!(listed(&second).previous.as_deref(), Some(CONFIGURATION));
    assert_eq!(roll_back(&second).version, CONFIGURATION);
    let answer = second.admin_post("/policies/rules/rollback", "");
    answer.assert_refused(409, &["no version to roll back to"]);
}

#[test]
fn a_rollback_leaves_out_versions_that_cannot_be_loaded() {
    let (origin, state) = (origin(), folder());
    let builder = edge(&origin, state.path());
    let first = builder.start();
    let digests = ["one", "two", "three"].map(|name| pushed(&first, &rules(name, 600)));
    for digest in &digests {
        activate(&first, digest);
    }
    drop(first);
    damage(state.path(), &digests[1]);
    let second = builder.start();
    assert_eq!(roll_back(&second).version, digests[0]);
    second.get("/x").assert_detail("one: ttl");
    assert_eq!(roll_back(&second).version, CONFIGURATION);
}

#[test]
fn a_reload_works_while_the_active_version_is_damaged() {
    let (origin, state) = (origin(), folder());
    let builder = edge(&origin, state.path());
    let first = builder.start();
    let digest = pushed(&first, &rules("one", 600));
    activate(&first, &digest);
    drop(first);
    damage(state.path(), &digest);
    let second = builder.start();
    second
        .reload(&builder.clone().site("max_tunnels = 7"))
        .unwrap();
    assert!(listed(&second).trouble.is_some());
    second.get("/x").assert_detail("zero: ttl");
}
