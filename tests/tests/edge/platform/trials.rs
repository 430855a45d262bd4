//! Trials of versions: shadows and canaries.

use super::damage::{break_records, mend_records};
use super::{activate, edge, edge_with, listed, origin, push, pushed, roll_back, rules, version};
use serde_json::{Value, json};
use tero_admin_api::endpoints::{Canary, Shadow, StartCanary, StartShadow, StopCanary, StopShadow};
use tero_admin_api::{
    CONFIGURATION, CanaryResponse, GuardRequest, PushResponse, ShadowReport, StartCanaryRequest,
    StartShadowRequest,
};
use tero_policy_host::Package;
use tero_tests::{Edge, EdgeBuilder, eventually, folder, get, guests};

/// Starts a shadow for all requests.
#[track_caller]
fn shadow(edge: &Edge, digest: &str) {
    let request = StartShadowRequest {
        digest: digest.to_owned(),
        sample: "100%".to_owned(),
    };
    edge.call::<StartShadow>(&["rules"], &request);
}

/// The state of the shadow, once it has compared so many requests and responses.
#[track_caller]
fn compared(edge: &Edge, requests: u64, responses: u64) -> ShadowReport {
    let report = || edge.call::<Shadow>(&["rules"], &());
    eventually(
        &format!("{requests} requests and {responses} responses are compared"),
        || {
            let summary = report().summary;
            (summary.requests, summary.responses) == (requests, responses)
        },
    );
    report()
}

#[test]
fn a_shadow_is_compared_and_decides_nothing() {
    let (origin, state) = (origin(), folder());
    let edge = edge(&origin, state.path()).start();
    let digest = pushed(&edge, &rules("one", 600));
    shadow(&edge, &digest);
    for _ in 0..3 {
        let answer = edge.get("/x");
        answer.assert_detail("zero: ttl");
        assert_eq!(answer.text(), "/x as zero");
    }
    let report = compared(&edge, 3, 1);
    let fields = report.comparison.unwrap().fields;
    let field = |name: &str| &fields[name];
    let counts = |name: &str| (field(name).same, field(name).different);
    assert_eq!(
        (
            counts("lookup"),
            counts("variant"),
            counts("ttl"),
            counts("tags")
        ),
        ((3, 0), (0, 3), (0, 1), (1, 0))
    );
    let sample = &field("ttl").samples[0];
    assert_eq!(
        [&sample.active, &sample.candidate, &sample.url],
        ["60 s", "600 s", "www.example/x"]
    );
    let different = edge.metric(
        "tero_policy_shadow_answers_total",
        &[
            "policy=\"rules\"",
            "field=\"variant\"",
            "result=\"different\"",
        ],
    );
    assert_eq!(different, 3.0);
    // Decisions of a shadow are remembered separately.
    assert_eq!(edge.metric("tero_decision_cache_misses_total", &[]), 1.0);
    edge.call::<StopShadow>(&["rules"], &());
    edge.admin_get("/policies/rules/shadow")
        .assert_refused(404, &["no version in shadow"]);
    edge.get("/x").assert_hit("/x as zero");
}

#[test]
fn a_shadow_that_agrees_survives_restart_and_activation() {
    let (origin, state) = (origin(), folder());
    let builder = edge(&origin, state.path());
    let first = builder.start();
    let zero = pushed(&first, &rules("zero", 60));
    shadow(&first, &zero);
    drop(first);
    let second = builder.start();
    second.get("/x");
    assert_eq!(compared(&second, 1, 1).summary.differences, 0);
    // After another version is activated, the shadow is compared with that one.
    let other = pushed(&second, &rules("zero", 7));
    activate(&second, &other);
    second.get("/y");
    assert_eq!(compared(&second, 2, 2).summary.differences, 1);
    activate(&second, &zero);
    second
        .admin_get("/policies/rules/shadow")
        .assert_refused(404, &["no version in shadow"]);
}

#[test]
fn a_failing_shadow_harms_no_request_and_is_reported() {
    let (origin, state) = (origin(), folder());
    let edge = edge(&origin, state.path())
        .policies("shadow_queue = 16")
        .start();
    let settings = r#"{"on_request": "trap", "on_response": "spin"}"#;
    let bad = Package {
        module: guests::misbehaving().into(),
        settings: Some(settings.into()),
        cases: None,
    }
    .to_bytes();
    let answer = push(&edge, "rules", &bad);
    shadow(&edge, &answer.read::<PushResponse>().version);
    let mut client = edge.client();
    // While the shadow spins, the queue fills up.
    let left_out = || edge.metric("tero_policy_shadow_left_out_total", &["policy=\"rules\""]);
    eventually("some requests are left out", || {
        let answer = client.send(&get("/x"));
        assert_eq!((answer.status, answer.text().as_str()), (200, "/x as zero"));
        left_out() > 0.0
    });
    eventually("the failures are told", || {
        let report = edge.call::<Shadow>(&["rules"], &());
        report.policy.unwrap().hooks["on-request"].trap > 0
    });
    assert_eq!(
        listed(&edge).module.hooks["on-request"].trap,
        0,
        "the active version is not blamed"
    );
}

/// Starts a canary for half of the keys.
#[track_caller]
fn canary(edge: &Edge, digest: &str, min_requests: Option<u64>) {
    start_canary(edge, digest, "50%", min_requests);
}

#[track_caller]
fn start_canary(edge: &Edge, digest: &str, share: &str, min_requests: Option<u64>) {
    let request = StartCanaryRequest {
        digest: digest.to_owned(),
        share: share.to_owned(),
        guard: GuardRequest {
            min_requests,
            ..GuardRequest::default()
        },
        nodes: None,
    };
    edge.call::<StartCanary>(&["rules"], &request);
}

#[test]
fn a_canary_decides_for_a_fixed_share_of_keys() {
    let (origin, state) = (origin(), folder());
    let edge = edge(&origin, state.path()).start();
    let digest = pushed(&edge, &rules("one", 600));
    canary(&edge, &digest, Some(1_000_000));
    let mut client = edge.client();
    let mut ask = |target: String| {
        let text = client.send(&get(target)).text();
        text.rsplit(' ').next().unwrap().to_owned()
    };
    let first: Vec<String> = (0..200).map(|page| ask(format!("/{page}"))).collect();
    let again: Vec<String> = (0..200).map(|page| ask(format!("/{page}"))).collect();
    assert_eq!(first, again, "no page changes sides");
    let ones = first.iter().filter(|variant| *variant == "one").count();
    assert!((60..=140).contains(&ones), "{ones} of 200");
    let CanaryResponse::Running(report) = edge.call::<Canary>(&["rules"], &()) else {
        panic!("there is no canary")
    };
    let (canary, control) = (
        report.summary.canary.unwrap(),
        report.summary.control.unwrap(),
    );
    let ones = ones as u64;
    assert_eq!(
        (canary.requests, control.requests),
        (2 * ones, 2 * (200 - ones))
    );
    assert_eq!(canary.origin_requests, ones);
    assert_eq!(canary.hit_rate, Some(0.5));
    assert_eq!(
        edge.metric(
            "tero_policy_canary_requests_total",
            &["arm=\"canary\"", "outcome=\"hit\""]
        ),
        ones as f64
    );
    // Keys of a smaller share are a subset of those of a larger one.
    start_canary(&edge, &digest, "10%", None);
    for (page, before) in first.iter().enumerate() {
        assert!(
            ask(format!("/{page}")) == "zero" || before == "one",
            "/{page}"
        );
    }
    // Once activated, it decides for all keys; the canary is over.
    activate(&edge, &digest);
    assert!((0..50).all(|page| ask(format!("/{page}")) == "one"));
    assert_eq!(listed(&edge).canary, None);
}

#[test]
fn ignored_parameters_do_not_change_the_side_of_a_canary() {
    let (origin, state) = (origin(), folder());
    let settings = "[policy.settings]\nkey = { ignore_query = [\"utm_*\"] }\nrules = [{ name = \"zero\", match = [\"/*\"], ttl = 60 }]";
    let edge = Edge::before(&origin)
        .state_dir(state.path())
        .policy("rules", "builtin:json-rules", settings)
        .start();
    let digest = pushed(&edge, &rules("one", 600));
    canary(&edge, &digest, Some(1_000_000));
    let mut client = edge.client();
    let mut side = |target: String| client.send(&get(target)).cache_status().ttl.unwrap() > 60;
    for page in 0..50 {
        let sides: Vec<bool> = (0..4)
            .map(|source| side(format!("/{page}?utm_source={source}")))
            .collect();
        assert!(
            sides.iter().all(|other| *other == sides[0]),
            "/{page}: {sides:?}"
        );
    }
    let sides: Vec<bool> = (0..64).map(|id| side(format!("/one?id={id}"))).collect();
    assert!(
        sides.contains(&true) && sides.contains(&false),
        "what counts tells pages apart"
    );
}

/// Checks that the guard rolls back a canary with these settings, for this cause.
#[track_caller]
fn check_rolled_back(content: &[u8], cause: &str, words: &str) {
    let (origin, state) = (origin(), folder());
    check_rolled_back_on(&edge(&origin, state.path()), content, cause, words);
}

#[track_caller]
fn check_rolled_back_on(builder: &EdgeBuilder, content: &[u8], cause: &str, words: &str) {
    let edge = builder.start();
    let answer = push(&edge, "rules", content);
    assert_eq!(answer.status, 201, "{answer:?}");
    let digest = answer.read::<PushResponse>().version;
    canary(&edge, &digest, Some(20));
    let mut client = edge.client();
    let mut round = 0;
    eventually("the canary is rolled back", || {
        // Few pages with many requests give a high hit rate.
        for page in 0..40 {
            // Each page has visitors of its own: what one client makes fail counts little.
            let visitor = format!("192.0.2.{page}");
            let request = get(format!("/{}", page % 20)).header("X-Forwarded-For", visitor);
            assert_eq!(client.send(&request).status, 200);
        }
        round += 1;
        listed(&edge).canary.is_none()
    });
    let entry = listed(&edge);
    let rolled_back = entry.rolled_back.as_ref().unwrap();
    assert_eq!(
        (entry.version.as_str(), &rolled_back.version),
        (CONFIGURATION, &digest)
    );
    assert!(rolled_back.reason.contains(words), "{entry:?}");
    // The rollback is counted after it has happened.
    let counted = || {
        edge.metric(
            "tero_policy_canary_rollbacks_total",
            &[&format!("cause=\"{cause}\"")],
        )
    };
    eventually("the rollback is counted", || counted() > 0.0);
    assert_eq!(counted(), 1.0, "{entry:?}");
    client.send(&get("/after")).assert_detail("zero: ttl");
    drop(edge);
    let edge = builder.start();
    assert_eq!(
        listed(&edge).rolled_back.map(|canary| canary.version),
        Some(digest),
        "it is remembered"
    );
    assert_eq!(listed(&edge).canary, None);
}

#[test]
fn a_canary_that_sends_more_to_the_origin_is_rolled_back() {
    let never = json!({ "rules": [{ "name": "never", "match": ["/*"], "cache": "never" }] });
    check_rolled_back(&version(&never), "origin_load", "went to the origin");
}

#[test]
fn a_failing_canary_is_rolled_back() {
    let with = |settings: &str| {
        Package {
            module: guests::misbehaving().into(),
            settings: Some(settings.to_owned().into()),
            cases: None,
        }
        .to_bytes()
    };
    let (origin, state) = (origin(), folder());
    let few = "limits = { deadline = \"5s\", max_failures = 2 }";
    check_rolled_back_on(
        &edge_with(&origin, state.path(), few).server("trusted_proxies = [\"127.0.0.1\"]"),
        &with(r#"{"on_request": "trap", "on_response": "trap"}"#),
        "switched_off",
        "switched off: ",
    );
    check_rolled_back(
        &with(r#"{"on_response": "control-tag", "paths": "/1"}"#),
        "failures",
        "questions to the policy failed",
    );
}

#[test]
fn trials_end_when_the_record_cannot_be_written() {
    let (origin, state) = (origin(), folder());
    let few = "limits = { deadline = \"5s\", max_failures = 2 }";
    let edge = edge_with(&origin, state.path(), few).start();
    let good = pushed(&edge, &rules("one", 600));
    let bad = Package {
        module: guests::misbehaving().into(),
        settings: Some(r#"{"on_request": "trap"}"#.into()),
        cases: None,
    };
    let bad = push(&edge, "rules", &bad.to_bytes())
        .read::<PushResponse>()
        .version;
    shadow(&edge, &good);
    canary(&edge, &good, None);
    break_records(state.path());
    let ended = edge.call::<StopShadow>(&["rules"], &());
    assert!(ended.unsaved.is_some(), "{ended:?}");
    let ended = edge.call::<StopCanary>(&["rules"], &());
    assert!(ended.unsaved.is_some(), "{ended:?}");
    let report = listed(&edge);
    assert_eq!((&report.shadow, &report.canary), (&None, &None));
    mend_records(state.path());
    canary(&edge, &bad, None);
    break_records(state.path());
    let mut client = edge.client();
    eventually("the guard ends the canary", || {
        for page in 0..40 {
            client.send(&get(format!("/{page}")));
        }
        listed(&edge).canary.is_none()
    });
    assert!(listed(&edge).unsaved.is_some());
    assert_eq!(edge.metric("tero_policy_canary_rollbacks_total", &[]), 1.0);
}

#[test]
fn a_canary_no_worse_than_the_control_continues() {
    let (origin, state) = (origin(), folder());
    let edge = edge(&origin, state.path()).start();
    canary(&edge, &pushed(&edge, &rules("one", 600)), Some(10));
    let mut client = edge.client();
    for round in 0..20 {
        for page in 0..40 {
            client
                .send(&get(format!("/{}", page % 20)))
                .assert_detail("ttl");
        }
        let listed = listed(&edge);
        assert!(
            listed.canary.is_some(),
            "round {round}: {:?}",
            listed.rolled_back
        );
    }
    // A rollback by an operator only ends the canary.
    let answer = roll_back(&edge);
    assert_eq!(
        (answer.version.as_str(), answer.ended_canary.is_some()),
        (CONFIGURATION, true)
    );
    edge.admin_post("/policies/rules/rollback", "")
        .assert_refused(409, &["no version to roll back to"]);
}

#[test]
fn impossible_trials_are_refused_with_a_cure() {
    let (origin, state) = (origin(), folder());
    let edge = edge(&origin, state.path())
        .policy(
            "more",
            "builtin:json-rules",
            "settings = { rules = [{ match = [\"/*\"], ttl = 1 }] }",
        )
        .start();
    let digest = pushed(&edge, &rules("one", 600));
    let refused = |what: &str, content: Value, status: u16, words: &[&str]| {
        edge.admin_post(&format!("/policies/{what}"), &content.to_string())
            .assert_refused(status, words);
    };
    refused(
        "rules/canary",
        json!({ "digest": digest, "share": "51%" }),
        400,
        &["51%", "50%"],
    );
    refused(
        "rules/canary",
        json!({ "digest": digest, "share": "0%" }),
        400,
        &["percentage"],
    );
    refused(
        "rules/canary",
        json!({ "digest": digest, "share": "5%", "guard": { "min_requests": 9 } }),
        400,
        &["min_requests", "10 to"],
    );
    refused(
        "rules/canary",
        json!({ "digest": digest, "share": "5%", "guard": { "hit_rate_points": -1 } }),
        400,
        &["hit_rate_points"],
    );
    refused(
        "rules/canary",
        json!({ "digest": "configuration", "share": "5%" }),
        409,
        &["active already"],
    );
    refused(
        "rules/shadow",
        json!({ "digest": digest, "sample": "10" }),
        400,
        &["percentage"],
    );
    refused("rules/canary/stop", json!({}), 404, &["as a canary"]);
    canary(&edge, &digest, None);
    let other = push(&edge, "more", &version(&rules("two", 1)));
    let other = other.read::<PushResponse>().version;
    refused(
        "more/canary",
        json!({ "digest": other, "share": "5%" }),
        409,
        &["site", "canary of `rules`"],
    );
}
