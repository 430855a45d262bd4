//! Versions of policies: pushed, activated, rolled back and kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{activate, edge, listed, origin, push, pushed, roll_back, rules, version};
use serde_json::{Value, json};
use tero_admin_api::endpoints::Stats;
use tero_admin_api::{CONFIGURATION, Mistake, Problem, PurgeResponse, PushResponse, StatsRequest};
use tero_policy_host::{Package, builtin, with_forecast};
use tero_tests::{Client, Edge, SetWhenDropped, eventually, folder, get, guests};

#[test]
fn a_pushed_version_decides_from_activation_to_rollback() {
    let (origin, state) = (origin(), folder());
    let edge = edge(&origin, state.path()).start();
    edge.get("/before").assert_detail("zero: ttl");
    let digest = pushed(&edge, &rules("one", 600));
    edge.get("/pushed").assert_detail("zero: ttl");
    let before = listed(&edge);
    assert_eq!(
        (
            before.version.as_str(),
            &before.previous,
            &before.versions[0].digest
        ),
        (CONFIGURATION, &None, &digest)
    );
    edge.advance_secs(5);
    assert_eq!(activate(&edge, &digest[..10]).version, digest);
    let answer = edge.get("/activated");
    answer.assert_detail("one: ttl");
    assert_eq!(
        (answer.cache_status().ttl, answer.text().as_str()),
        (Some(600), "/activated as one")
    );
    let now = listed(&edge);
    assert_eq!(
        (&now.version, now.previous.as_deref(), &now.module.digest),
        (&digest, Some(CONFIGURATION), &digest)
    );
    assert_eq!(
        now.active_since_unix_secs - before.active_since_unix_secs,
        5
    );
    assert_eq!(roll_back(&edge).version, CONFIGURATION);
    edge.get("/rolled-back").assert_detail("zero: ttl");
    let answer = edge.admin_post("/policies/rules/rollback", "");
    answer.assert_refused(409, &["no version to roll back to"]);
}

#[test]
fn activation_keeps_stored_responses_and_counters() {
    let (origin, state) = (origin(), folder());
    // Both versions use the same variant, and so the same keys.
    let edge = edge(&origin, state.path()).start();
    edge.get("/x").assert_forwarded("uri-miss", "/x as zero");
    activate(&edge, &pushed(&edge, &rules("zero", 5)));
    let answer = edge.get("/x");
    answer.assert_hit("/x as zero");
    assert_eq!(
        answer.cache_status().ttl,
        Some(60),
        "it keeps the lifetime that it was given"
    );
    activate(&edge, &pushed(&edge, &rules("one", 5)));
    edge.get("/x").assert_forwarded("uri-miss", "/x as one");
    assert_eq!(
        edge.metric("tero_requests_total", &["outcome=\"miss\""]),
        2.0
    );
    assert_eq!(
        edge.metric(
            "tero_requests_total",
            &["outcome=\"miss\"", "variant=\"zero\""]
        ),
        1.0
    );
    assert_eq!(
        edge.metric(
            "tero_requests_total",
            &["outcome=\"hit\"", "variant=\"zero\""]
        ),
        1.0
    );
    // A purge by URL also drops responses stored under variants of an earlier version.
    let purged = edge.admin_post(
        "/purge",
        &json!({ "url": "http://www.example/x" }).to_string(),
    );
    assert_eq!(purged.read::<PurgeResponse>().purged, 2, "{purged:?}");
}

#[test]
fn activation_drops_only_the_decisions_of_the_old_version() {
    let (origin, state) = (origin(), folder());
    let other = format!(
        "[[site]]\nname = \"other\"\nhosts = [\"other.example\"]\norigins = [\"{}\"]\npolicies = [\"others\"]\n\
         [[policy]]\nname = \"others\"\nmodule = \"builtin:json-rules\"\n[policy.settings]\nrules = [{{ match = [\"/*\"], ttl = 60 }}]",
        origin.url()
    );
    let edge = edge(&origin, state.path()).section(&other).start();
    let ask_both = || {
        edge.get("/x");
        edge.send(&get("/x").host("other.example"));
    };
    let misses = || edge.metric("tero_decision_cache_misses_total", &[]);
    let entries = || {
        edge.call::<Stats>(&[], &StatsRequest::default())
            .decision_cache
            .entries
    };
    ask_both();
    ask_both();
    assert_eq!(misses(), 2.0);
    eventually("both decisions are remembered", || entries() == 2);
    activate(&edge, &pushed(&edge, &rules("one", 5)));
    eventually("one decision is dropped", || entries() == 1);
    ask_both();
    assert_eq!(
        misses(),
        3.0,
        "the other site's decision is still remembered"
    );
}

#[test]
fn versions_and_activation_survive_a_restart() {
    let (origin, state) = (origin(), folder());
    let builder = edge(&origin, state.path());
    let first = builder.start();
    let one = pushed(&first, &rules("one", 600));
    let two = pushed(&first, &rules("two", 600));
    activate(&first, &one);
    activate(&first, &two);
    let before = listed(&first);
    // Two edges can't share a state directory.
    let Err(error) = builder.try_start() else {
        panic!("two edges share a state directory")
    };
    assert!(error.contains("state_dir"), "{error}");
    drop(first);
    let second = builder.start();
    let after = listed(&second);
    assert_eq!(after.version, before.version);
    assert_eq!(after.previous, before.previous);
    assert_eq!(after.versions, before.versions);
    assert_eq!(after.active_since_unix_secs, before.active_since_unix_secs);
    second.get("/x").assert_detail("two: ttl");
    assert_eq!(roll_back(&second).version, one);
    second.get("/y").assert_detail("one: ttl");
    drop(second);
    builder.start().get("/z").assert_detail("one: ttl");
}

#[test]
fn the_zone_of_an_activated_version_counts_at_once() {
    let (origin, state) = (origin(), folder());
    let edge = edge(&origin, state.path()).start();
    let zone = || {
        edge.call::<Stats>(&[], &StatsRequest::default()).sites[0]
            .zone
            .clone()
    };
    edge.get("/x");
    assert_eq!(zone(), "UTC");
    let content = Package {
        module: guests::misbehaving().into(),
        settings: Some(r#"{"zone": "Asia/Tokyo"}"#.into()),
        cases: None,
    };
    let digest = push(&edge, "rules", &content.to_bytes())
        .read::<PushResponse>()
        .version;
    activate(&edge, &digest);
    assert_eq!(zone(), "Asia/Tokyo");
    let question = json!({ "url": "http://www.example/x" });
    let explained = edge.admin_post("/explain", &question.to_string());
    assert!(explained.text().contains("Asia/Tokyo"), "{explained:?}");
    // What was counted before is still there. It is 10:00 in Buenos Aires.
    edge.get("/y");
    assert_eq!(edge.metric("tero_requests_total", &[]), 2.0);
    let site = edge
        .call::<Stats>(&[], &StatsRequest::default())
        .sites
        .remove(0);
    let requests = |hour: u8| {
        let hours = site.hours.iter().filter(|it| it.hour == hour);
        hours.map(|it| it.figures.requests).sum::<u64>()
    };
    assert_eq!((requests(13), requests(22)), (1, 1), "{site:?}");
    roll_back(&edge);
    assert_eq!(zone(), "UTC");
}

#[test]
fn bad_policies_are_refused_and_not_kept() {
    let (origin, state) = (origin(), folder());
    let edge = edge(&origin, state.path()).start();
    push(&edge, "rules", b"#!/bin/sh").assert_refused(422, &["rules", "not a WebAssembly module"]);
    push(&edge, "rules", b"\0asm\x01\0\0\0").assert_refused(422, &["contract"]);
    push(&edge, "rules", &version(&json!({ "rulse": [] })))
        .assert_refused(422, &["refuses its settings", "rulse"]);
    let misbehaving = |settings: &str| {
        Package {
            module: guests::misbehaving().into(),
            settings: Some(settings.to_owned().into()),
            cases: None,
        }
        .to_bytes()
    };
    push(&edge, "rules", &misbehaving(r#"{"configure": "trap"}"#)).assert_refused(422, &["trap"]);
    push(&edge, "unknown", &version(&rules("one", 1)))
        .assert_refused(404, &["there is no policy `unknown`", "rules"]);
    edge.admin_post("/policies/rules/activate", r#"{"digest": "abc"}"#)
        .assert_refused(404, &["not a version of `rules`"]);
    edge.admin_post("/policies/rules/activate", r#"{"digset": "abc"}"#)
        .assert_refused(400, &["digset"]);
    edge.admin_post("/policies/rules/activate", r#"{"digest": "configuration"}"#)
        .assert_refused(409, &["active already"]);
    assert_eq!(listed(&edge).versions, []);
    edge.get("/x").assert_detail("zero: ttl");
}

#[test]
fn a_forecast_comes_with_a_version_and_is_kept() {
    let (origin, state) = (origin(), folder());
    let builder = edge(&origin, state.path());
    let edge = builder.start();
    let forecast = |hit_rate: f64| {
        let hours = [hit_rate; 24];
        json!({ "requests": 7, "days": 2, "hit_rate": hit_rate, "unwaited": null,
            "origin_requests_a_day": 3.5, "hours": hours })
    };
    let with =
        |forecast: &Value| with_forecast(&version(&rules("one", 600)), &forecast.to_string());
    let refused = push(&edge, "rules", &with(&forecast(1.5)));
    refused.assert_refused(422, &["forecast", "tero simulate"]);
    push(&edge, "rules", &with(&json!({ "hits": 1 }))).assert_refused(422, &["forecast"]);
    let digest = push(&edge, "rules", &with(&forecast(0.5)))
        .read::<PushResponse>()
        .version;
    let kept = |edge: &Edge| {
        let version = listed(edge).versions.remove(0);
        let hit_rate = version.forecast.and_then(|forecast| forecast.hit_rate);
        (version.digest, hit_rate)
    };
    assert_eq!(kept(&edge), (digest.clone(), Some(0.5)));
    activate(&edge, &digest);
    edge.get("/x").assert_detail("one: ttl");
    drop(edge);
    assert_eq!(kept(&builder.start()), (digest, Some(0.5)));
}

#[test]
fn a_version_must_pass_its_cases_to_be_pushed() {
    let (origin, state) = (origin(), folder());
    let edge = edge(&origin, state.path()).start();
    let with = |cases: &str| {
        let settings = rules("one", 600).to_string();
        let module = builtin("json-rules").unwrap();
        Package {
            module: module.into(),
            settings: Some(settings.into()),
            cases: Some(cases.to_owned().into()),
        }
        .to_bytes()
    };
    let case = |ttl: &str| {
        format!(
            "module = \"builtin:json-rules\"\n[[case]]\nname = \"a page\"\nurl = \"/x\"\non_response = {{ ttl = \"{ttl}\" }}\n"
        )
    };
    let refused = push(&edge, "rules", &with(&case("5min")));
    refused.assert_refused(422, &["a page", "ttl", "5min", "10min"]);
    let [Mistake::Case(mistake)] = &refused.read::<Problem>().errors[..] else {
        panic!("{refused:?}")
    };
    assert_eq!(mistake.case, "a page");
    push(&edge, "rules", &with("[[case]]\nnmae = \"x\"")).assert_refused(422, &["nmae"]);
    let many: String = (0..1_001)
        .map(|number| {
            format!("[[case]]\nname = \"{number}\"\non_response = {{ ttl = \"10min\" }}\n")
        })
        .collect();
    push(&edge, "rules", &with(&many)).assert_refused(422, &["1001", "1000"]);
    // Cases that could never be run are not read in full.
    let list: String = (0..1_001)
        .map(|number| format!("{{ name = {number} }}, "))
        .collect();
    let list = format!("case = [{list}]");
    push(&edge, "rules", &with(&list)).assert_refused(422, &["1001", "1000"]);
    let nonsense = "[[case]]\nnonsense\n".repeat(1_001);
    push(&edge, "rules", &with(&nonsense)).assert_refused(422, &["1001", "1000"]);
    let long = format!("# {}", "x".repeat(4 << 20));
    push(&edge, "rules", &with(&long)).assert_refused(422, &["4194306 bytes", "4 MiB"]);
    assert_eq!(listed(&edge).versions, []);
    let good = push(&edge, "rules", &with(&case("10min")));
    assert_eq!(
        (good.status, good.read::<PushResponse>().cases),
        (201, Some(1)),
        "{good:?}"
    );
    assert_eq!(listed(&edge).versions[0].cases, Some(1));
}

#[test]
fn a_version_larger_than_allowed_is_refused_before_it_is_read() {
    let (origin, state) = (origin(), folder());
    let edge = edge(&origin, state.path())
        .policies("max_module = \"256KiB\"")
        .start();
    let mut client = Client::connect(edge.admin_address());
    client.write("POST /policies/rules/versions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 262145\r\n\r\n");
    {
        let mut answer = client.head();
        client.rest(&mut answer);
        answer
    }
    .assert_refused(413, &["262144"]);
    let mut chunked = Client::connect(edge.admin_address());
    chunked.write("POST /policies/rules/versions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    while chunked.try_write(&chunk).is_ok() {
        if chunked.is_answered() {
            break;
        }
    }
    assert_eq!(chunked.head().status, 413);
}

#[test]
fn old_versions_are_removed_unless_they_are_needed() {
    let (origin, state) = (origin(), folder());
    let edge = edge(&origin, state.path())
        .policies("max_versions = 2")
        .start();
    let digests: Vec<String> = (0..4)
        .map(|number| pushed(&edge, &rules(&format!("v{number}"), 60)))
        .collect();
    let kept = || {
        let versions = listed(&edge).versions.into_iter();
        versions.map(|version| version.digest).collect::<Vec<_>>()
    };
    assert_eq!(kept(), [digests[3].clone(), digests[2].clone()]);
    activate(&edge, &digests[2]);
    activate(&edge, &digests[3]);
    let last = pushed(&edge, &rules("v9", 60));
    assert_eq!(
        kept(),
        [last, digests[3].clone(), digests[2].clone()],
        "where a rollback leads stays"
    );
    assert_eq!(
        std::fs::read_dir(state.path().join("versions"))
            .unwrap()
            .count(),
        3
    );
}

#[test]
fn without_a_state_directory_pushes_are_refused_with_a_cure() {
    let origin = origin();
    let edge = Edge::before(&origin)
        .policy(
            "rules",
            "builtin:json-rules",
            "settings = { rules = [{ match = [\"/*\"], ttl = 1 }] }",
        )
        .start();
    push(&edge, "rules", &version(&rules("one", 1)))
        .assert_refused(409, &["state_dir", "[policies]"]);
}

#[test]
fn a_state_directory_writable_by_others_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let (origin, state) = (origin(), folder());
    std::fs::set_permissions(state.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let Err(error) = edge(&origin, state.path()).try_start() else {
        panic!("it was used")
    };
    assert!(error.contains("can be written by others"), "{error}");
}

#[test]
fn one_version_decides_each_request_under_load() {
    let (origin, state) = (origin(), folder());
    let edge = edge(&origin, state.path()).start();
    let digest = pushed(&edge, &rules("one", 600));
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let _ending = SetWhenDropped(&stop);
        for visitor in 0..4 {
            let (edge, stop, answered) = (&edge, &stop, &answered);
            scope.spawn(move || {
                let mut client = edge.client();
                for page in 0_u64.. {
                    // Every other request is a miss: its page is new.
                    let target = if page % 2 == 0 {
                        format!("/{visitor}-{page}")
                    } else {
                        "/hot".to_owned()
                    };
                    let answer = client.send(&get(&target));
                    assert_eq!((answer.status, answer.whole), (200, true), "{answer:?}");
                    let variant = answer
                        .text()
                        .rsplit(' ')
                        .next()
                        .unwrap_or_default()
                        .to_owned();
                    answer.assert_detail(&format!("rules: {variant}: ttl"));
                    answered.fetch_add(1, Ordering::Relaxed);
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
        }
        for _ in 0..20 {
            let before = answered.load(Ordering::Relaxed);
            activate(&edge, &digest);
            eventually("visitors are answered", || {
                answered.load(Ordering::Relaxed) > before + 20
            });
            roll_back(&edge);
        }
    });
    assert_eq!(
        edge.metric("tero_requests_total", &["outcome=\"error\""]),
        0.0
    );
    assert_eq!(
        edge.metric("tero_requests_total", &[]),
        answered.load(Ordering::Relaxed) as f64,
        "each was counted once"
    );
}

#[test]
fn a_module_posted_alone_gets_the_answer_in_the_guide() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/policies/shipping.md");
    let page = std::fs::read_to_string(page).unwrap();
    let shown: Vec<_> = page
        .split("```console\n")
        .nth(1)
        .unwrap()
        .lines()
        .take(2)
        .collect();
    assert_eq!(
        shown[0],
        "$ curl --data-binary @hours.wasm http://127.0.0.1:9090/policies/hours/versions"
    );
    let (origin, state) = (origin(), folder());
    let edge = edge(&origin, state.path()).start();
    let module = builtin("json-rules").unwrap();
    let answer = push(&edge, "rules", module);
    let members = |text: &str| -> BTreeSet<String> {
        let members: BTreeMap<String, Value> = serde_json::from_str(text).unwrap();
        members.into_keys().collect()
    };
    assert_eq!(members(&answer.text()), members(shown[1]));
    let (answer, shown): (PushResponse, PushResponse) =
        (answer.read(), serde_json::from_str(shown[1]).unwrap());
    assert_eq!(
        (answer.cases, answer.settings, answer.was_known),
        (shown.cases, shown.settings, shown.was_known)
    );
    assert_eq!(
        (answer.policy.as_str(), answer.bytes),
        ("rules", module.len() as u64)
    );
    assert!(
        answer
            .version
            .starts_with(|digit: char| digit.is_ascii_hexdigit()),
        "{answer:?}"
    );
}
