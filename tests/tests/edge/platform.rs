//! Versions of policies on a running edge: pushed, activated, rolled back, in shadow, as a canary.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};
use tero::policy::{Package, builtin};
use tero_tests::{Answer, Client, Edge, EdgeBuilder, Origin, Reply, Request, eventually, folder, get, guests};

/// An origin whose pages are fresh for 30 seconds by their own fields, and say as which variant they were asked for.
fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let variant = asked.header("tero-variant").unwrap_or_else(|| "none".to_owned());
        Reply::fresh(30, format!("{} as {variant}", asked.target))
    });
    origin
}

/// Rules that give every page this lifetime, under a name that `Cache-Status` tells, as a variant of that name.
fn rules(name: &str, ttl: u64) -> Value {
    let every = ["desktop", "mobile", "tablet", "tv", "bot", "unknown"];
    json!({ "version": 3, "variants": { name: { "devices": every } }, "rules": [{ "name": name, "match": ["/*"], "ttl": ttl }] })
}

/// The module of the rules with settings of its own.
fn version(settings: &Value) -> Vec<u8> {
    let module = builtin("json-rules").unwrap();
    Package { module: module.into(), settings: Some(settings.to_string().into()), cases: None }.to_bytes()
}

/// An edge whose site asks the policy `rules`, as `zero` with 60 seconds, with a state directory.
fn edge(origin: &Origin, state: &Path) -> EdgeBuilder {
    let settings = "[policy.settings]\nversion = 3\nrules = [{ name = \"zero\", match = [\"/*\"], ttl = 60 }]\n\
                    [policy.settings.variants.zero]\ndevices = [\"desktop\", \"mobile\", \"tablet\", \"tv\", \"bot\", \"unknown\"]";
    Edge::before(origin).state_dir(state).policy("rules", "builtin:json-rules", settings)
}

fn push(edge: &Edge, policy: &str, content: &[u8]) -> Answer {
    edge.admin(&Request::new("POST", format!("/policies/{policy}/versions")).body(content))
}

/// Pushes a version that has to be good, and returns its digest.
#[track_caller]
fn pushed(edge: &Edge, settings: &Value) -> String {
    let answer = push(edge, "rules", &version(settings));
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["version"].as_str().unwrap().to_owned()
}

#[track_caller]
fn post(edge: &Edge, what: &str, content: &Value) -> Value {
    let answer = edge.admin_post(&format!("/policies/rules/{what}"), &content.to_string());
    assert_eq!(answer.status, 200, "{what}: {answer:?}");
    answer.json()
}

#[track_caller]
fn activate(edge: &Edge, digest: &str) -> Value {
    post(edge, "activate", &json!({ "digest": digest }))
}

fn listed(edge: &Edge) -> Value {
    edge.admin_get("/policies/rules").json()
}

#[track_caller]
fn check_refused(answer: &Answer, status: u16, words: &[&str]) {
    assert_eq!(answer.status, status, "{answer:?}");
    let (error, cure) = (answer.json()["error"].to_string(), answer.json()["cure"].to_string());
    assert!(cure.len() > 2, "there is no cure: {answer:?}");
    for word in words {
        assert!(error.contains(word) || cure.contains(word), "{word:?} is not in {error}; {cure}");
    }
}

#[test]
fn a_pushed_version_decides_when_it_is_activated_and_until_it_is_rolled_back() {
    let (origin, state) = (origin(), folder());
    let edge = edge(&origin, state.path()).start();
    edge.get("/before").assert_detail("zero: ttl");
    let digest = pushed(&edge, &rules("one", 600));
    edge.get("/pushed").assert_detail("zero: ttl");
    let before = listed(&edge);
    assert_eq!(
        (&before["version"], &before["previous"], &before["versions"][0]["digest"]),
        (&json!("configuration"), &Value::Null, &json!(digest))
    );
    edge.advance_secs(5);
    assert_eq!(activate(&edge, &digest[..10])["version"], digest);
    let answer = edge.get("/activated");
    answer.assert_detail("one: ttl");
    assert_eq!((answer.cache_status().ttl, answer.text().as_str()), (Some(600), "/activated as one"));
    let now = listed(&edge);
    assert_eq!((&now["version"], &now["previous"], &now["digest"]), (&json!(digest), &json!("configuration"), &json!(digest)));
    let since = now["active_since_unix_secs"].as_i64().unwrap();
    assert_eq!(since - before["active_since_unix_secs"].as_i64().unwrap(), 5);
    assert_eq!(post(&edge, "rollback", &json!({}))["version"], "configuration");
    edge.get("/rolled-back").assert_detail("zero: ttl");
    let answer = edge.admin_post("/policies/rules/rollback", "");
    check_refused(&answer, 409, &["no version to roll back to"]);
}

#[test]
fn what_is_stored_stays_and_so_do_counters_when_a_version_is_activated() {
    let (origin, state) = (origin(), folder());
    // The same variant, so that the same keys are asked for.
    let edge = edge(&origin, state.path()).start();
    edge.get("/x").assert_forwarded("uri-miss", "/x as zero");
    activate(&edge, &pushed(&edge, &rules("zero", 5)));
    let answer = edge.get("/x");
    answer.assert_hit("/x as zero");
    assert_eq!(answer.cache_status().ttl, Some(60), "it keeps the lifetime that it was given");
    activate(&edge, &pushed(&edge, &rules("one", 5)));
    edge.get("/x").assert_forwarded("uri-miss", "/x as one");
    assert_eq!(edge.metric("tero_requests_total", &["outcome=\"miss\""]), 2.0);
    assert_eq!(edge.metric("tero_requests_total", &["outcome=\"miss\"", "variant=\"zero\""]), 1.0);
    assert_eq!(edge.metric("tero_requests_total", &["outcome=\"hit\"", "variant=\"zero\""]), 1.0);
    // A purge by URL finds what an earlier version stored under its variants.
    let purged = edge.admin_post("/purge", &json!({ "url": "http://www.example/x" }).to_string());
    assert_eq!(purged.json()["purged"], 2, "{purged:?}");
}

#[test]
fn activation_drops_the_decisions_of_the_old_version_and_no_others() {
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
    let entries = || edge.admin_get("/stats").json()["decision_cache"]["entries"].as_u64().unwrap();
    ask_both();
    ask_both();
    assert_eq!(misses(), 2.0);
    eventually("both decisions are remembered", || entries() == 2);
    activate(&edge, &pushed(&edge, &rules("one", 5)));
    eventually("one decision is dropped", || entries() == 1);
    ask_both();
    assert_eq!(misses(), 3.0, "the other site's decision is still remembered");
}

#[test]
fn versions_and_who_is_active_live_through_a_restart() {
    let (origin, state) = (origin(), folder());
    let builder = edge(&origin, state.path());
    let first = builder.start();
    let one = pushed(&first, &rules("one", 600));
    let two = pushed(&first, &rules("two", 600));
    activate(&first, &one);
    activate(&first, &two);
    let before = listed(&first);
    // One edge has a state directory for itself.
    let Err(error) = builder.try_start() else { panic!("two edges share a state directory") };
    assert!(error.contains("state_dir"), "{error}");
    drop(first);
    let second = builder.start();
    let after = listed(&second);
    for key in ["version", "previous", "versions", "active_since_unix_secs"] {
        assert_eq!(after[key], before[key], "{key}");
    }
    second.get("/x").assert_detail("two: ttl");
    assert_eq!(post(&second, "rollback", &json!({}))["version"], one);
    second.get("/y").assert_detail("one: ttl");
    drop(second);
    builder.start().get("/z").assert_detail("one: ttl");
}

#[test]
fn a_version_that_was_damaged_on_disk_gives_way_to_the_configuration() {
    let (origin, state) = (origin(), folder());
    let builder = edge(&origin, state.path());
    let first = builder.start();
    let digest = pushed(&first, &rules("one", 600));
    activate(&first, &digest);
    drop(first);
    std::fs::write(state.path().join(format!("versions/rules-{digest}.wasm")), "something else").unwrap();
    let second = builder.start();
    second.get("/x").assert_detail("zero: ttl");
    let listed = listed(&second);
    assert_eq!(listed["version"], "configuration");
    assert!(listed["trouble"].as_str().unwrap().contains("not what was pushed"), "{listed}");
    // Pushed again, it can be activated again.
    assert_eq!(pushed(&second, &rules("one", 600)), digest);
    activate(&second, &digest);
    second.get("/y").assert_detail("one: ttl");
    assert_eq!(self::listed(&second)["trouble"], Value::Null);
}

#[test]
fn what_is_no_good_policy_is_refused_and_not_kept() {
    let (origin, state) = (origin(), folder());
    let edge = edge(&origin, state.path()).start();
    check_refused(&push(&edge, "rules", b"#!/bin/sh"), 422, &["rules", "not a WebAssembly module"]);
    check_refused(&push(&edge, "rules", b"\0asm\x01\0\0\0"), 422, &["contract"]);
    check_refused(&push(&edge, "rules", &version(&json!({ "rulse": [] }))), 422, &["refuses its settings", "rulse"]);
    let misbehaving = |settings: &str| {
        Package { module: guests::misbehaving().into(), settings: Some(settings.to_owned().into()), cases: None }.to_bytes()
    };
    check_refused(&push(&edge, "rules", &misbehaving(r#"{"configure": "trap"}"#)), 422, &["trap"]);
    check_refused(&push(&edge, "unknown", &version(&rules("one", 1))), 404, &["there is no policy `unknown`", "rules"]);
    check_refused(&edge.admin_post("/policies/rules/activate", r#"{"digest": "abc"}"#), 404, &["none of its versions"]);
    check_refused(&edge.admin_post("/policies/rules/activate", r#"{"digset": "abc"}"#), 400, &["digset"]);
    check_refused(&edge.admin_post("/policies/rules/activate", r#"{"digest": "configuration"}"#), 409, &["active already"]);
    assert_eq!(listed(&edge)["versions"], json!([]));
    edge.get("/x").assert_detail("zero: ttl");
}

#[test]
fn a_version_is_pushed_only_if_it_passes_its_cases() {
    let (origin, state) = (origin(), folder());
    let edge = edge(&origin, state.path()).start();
    let with = |cases: &str| {
        let settings = rules("one", 600).to_string();
        let module = builtin("json-rules").unwrap();
        Package { module: module.into(), settings: Some(settings.into()), cases: Some(cases.to_owned().into()) }.to_bytes()
    };
    let case = |ttl: &str| {
        format!(
            "module = \"builtin:json-rules\"\n[[case]]\nname = \"a page\"\nurl = \"/x\"\non_response = {{ ttl = \"{ttl}\" }}\n"
        )
    };
    let refused = push(&edge, "rules", &with(&case("5min")));
    check_refused(&refused, 422, &["a page", "ttl", "5min", "10min"]);
    assert_eq!(refused.json()["errors"][0]["case"], "a page");
    check_refused(&push(&edge, "rules", &with("[[case]]\nnmae = \"x\"")), 422, &["nmae"]);
    let many: String =
        (0..1_001).map(|number| format!("[[case]]\nname = \"{number}\"\non_response = {{ ttl = \"10min\" }}\n")).collect();
    check_refused(&push(&edge, "rules", &with(&many)), 422, &["1001", "1000"]);
    assert_eq!(listed(&edge)["versions"], json!([]));
    let good = push(&edge, "rules", &with(&case("10min")));
    assert_eq!((good.status, &good.json()["cases"]), (201, &json!(1)), "{good:?}");
    assert_eq!(listed(&edge)["versions"][0]["cases"], 1);
}

#[test]
fn a_version_larger_than_allowed_is_refused_before_it_is_read() {
    let (origin, state) = (origin(), folder());
    let edge = edge(&origin, state.path()).policies("max_module = \"256KiB\"").start();
    let mut client = Client::connect(edge.admin_address());
    client.write("POST /policies/rules/versions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 262145\r\n\r\n");
    check_refused(
        &{
            let mut answer = client.head();
            client.rest(&mut answer);
            answer
        },
        413,
        &["262144"],
    );
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
fn only_so_many_versions_are_kept_and_never_less_than_what_is_needed() {
    let (origin, state) = (origin(), folder());
    let edge = edge(&origin, state.path()).policies("max_versions = 2").start();
    let digests: Vec<String> = (0..4).map(|number| pushed(&edge, &rules(&format!("v{number}"), 60))).collect();
    let kept = || {
        listed(&edge)["versions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|version| version["digest"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(kept(), [digests[3].clone(), digests[2].clone()]);
    activate(&edge, &digests[2]);
    activate(&edge, &digests[3]);
    let last = pushed(&edge, &rules("v9", 60));
    assert_eq!(kept(), [last, digests[3].clone(), digests[2].clone()], "where a rollback leads stays");
    assert_eq!(std::fs::read_dir(state.path().join("versions")).unwrap().count(), 3);
}

#[test]
fn without_a_state_directory_nothing_is_pushed_and_the_cure_is_told() {
    let origin = origin();
    let edge = Edge::before(&origin)
        .policy("rules", "builtin:json-rules", "settings = { rules = [{ match = [\"/*\"], ttl = 1 }] }")
        .start();
    check_refused(&push(&edge, "rules", &version(&rules("one", 1))), 409, &["state_dir", "[policies]"]);
}

#[test]
fn a_state_directory_that_others_can_write_is_not_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let (origin, state) = (origin(), folder());
    std::fs::set_permissions(state.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let Err(error) = edge(&origin, state.path()).try_start() else { panic!("it was used") };
    assert!(error.contains("can be written by others"), "{error}");
}

#[test]
fn under_load_every_request_is_answered_by_one_version_from_start_to_end() {
    let (origin, state) = (origin(), folder());
    let edge = edge(&origin, state.path()).start();
    let digest = pushed(&edge, &rules("one", 600));
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for visitor in 0..4 {
            let (edge, stop, answered) = (&edge, &stop, &answered);
            scope.spawn(move || {
                let mut client = edge.client();
                for page in 0_u64.. {
                    // Every other request is for a page that nobody has asked for yet.
                    let target = if page % 2 == 0 { format!("/{visitor}-{page}") } else { "/hot".to_owned() };
                    let answer = client.send(&get(&target));
                    assert_eq!((answer.status, answer.whole), (200, true), "{answer:?}");
                    let variant = answer.text().rsplit(' ').next().unwrap_or_default().to_owned();
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
            eventually("visitors are answered", || answered.load(Ordering::Relaxed) > before + 20);
            post(&edge, "rollback", &json!({}));
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(edge.metric("tero_requests_total", &["outcome=\"error\""]), 0.0);
    assert_eq!(edge.metric("tero_requests_total", &[]), answered.load(Ordering::Relaxed) as f64, "each was counted once");
}

/// Starts a shadow that is asked about every request.
#[track_caller]
fn shadow(edge: &Edge, digest: &str) {
    post(edge, "shadow", &json!({ "digest": digest, "sample": "100%" }));
}

/// What came of the shadow, once so many requests and responses have been compared.
#[track_caller]
fn compared(edge: &Edge, requests: u64, responses: u64) -> Value {
    let mut report = Value::Null;
    eventually(&format!("{requests} requests and {responses} responses are compared"), || {
        report = edge.admin_get("/policies/rules/shadow").json();
        report["requests"] == requests && report["responses"] == responses
    });
    report
}

#[test]
fn a_shadow_is_asked_about_answered_requests_and_decides_nothing() {
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
    let field = |name: &str| report["comparison"]["fields"][name].clone();
    let counts = |name: &str| (field(name)["same"].as_u64().unwrap(), field(name)["different"].as_u64().unwrap());
    assert_eq!((counts("lookup"), counts("variant"), counts("ttl"), counts("tags")), ((3, 0), (0, 3), (0, 1), (1, 0)));
    let sample = &field("ttl")["samples"][0];
    assert_eq!(
        (&sample["active"], &sample["candidate"], &sample["url"]),
        (&json!("60 s"), &json!("600 s"), &json!("www.example/x"))
    );
    let different =
        edge.metric("tero_policy_shadow_answers_total", &["policy=\"rules\"", "field=\"variant\"", "result=\"different\""]);
    assert_eq!(different, 3.0);
    // What a shadow says is remembered apart.
    assert_eq!(edge.metric("tero_decision_cache_misses_total", &[]), 1.0);
    post(&edge, "shadow/stop", &json!({}));
    check_refused(&edge.admin_get("/policies/rules/shadow"), 404, &["no version in shadow"]);
    edge.get("/x").assert_hit("/x as zero");
}

#[test]
fn a_shadow_that_agrees_has_no_differences_and_lives_through_restart_and_activation() {
    let (origin, state) = (origin(), folder());
    let builder = edge(&origin, state.path());
    let first = builder.start();
    let zero = pushed(&first, &rules("zero", 60));
    shadow(&first, &zero);
    drop(first);
    let second = builder.start();
    second.get("/x");
    assert_eq!(compared(&second, 1, 1)["differences"], 0);
    // Another version is activated: the shadow is compared with that one from now on.
    let other = pushed(&second, &rules("zero", 7));
    activate(&second, &other);
    second.get("/y");
    assert_eq!(compared(&second, 2, 2)["differences"], 1);
    activate(&second, &zero);
    check_refused(&second.admin_get("/policies/rules/shadow"), 404, &["no version in shadow"]);
}

#[test]
fn a_shadow_that_fails_harms_no_request_and_its_failures_are_told() {
    let (origin, state) = (origin(), folder());
    let edge = edge(&origin, state.path()).policies("shadow_queue = 16").start();
    let settings = r#"{"on_request": "trap", "on_response": "spin"}"#;
    let bad = Package { module: guests::misbehaving().into(), settings: Some(settings.into()), cases: None }.to_bytes();
    let answer = push(&edge, "rules", &bad);
    shadow(&edge, answer.json()["version"].as_str().unwrap());
    let mut client = edge.client();
    // While the shadow spins, the queue fills up.
    let left_out = || edge.metric("tero_policy_shadow_left_out_total", &["policy=\"rules\""]);
    eventually("some requests are left out", || {
        let answer = client.send(&get("/x"));
        assert_eq!((answer.status, answer.text().as_str()), (200, "/x as zero"));
        left_out() > 0.0
    });
    eventually("the failures are told", || {
        let report = edge.admin_get("/policies/rules/shadow").json();
        report["policy"]["hooks"]["on-request"]["trap"].as_u64() > Some(0)
    });
    assert_eq!(listed(&edge)["hooks"]["on-request"]["trap"], 0, "the active version is not blamed");
}

/// Starts a canary of half of the keys, with a guard of so many requests.
#[track_caller]
fn canary(edge: &Edge, digest: &str, guard: &Value) {
    post(edge, "canary", &json!({ "digest": digest, "share": "50%", "guard": guard }));
}

#[test]
fn a_canary_answers_for_a_share_of_the_keys_and_for_the_same_all_the_time() {
    let (origin, state) = (origin(), folder());
    let edge = edge(&origin, state.path()).start();
    let digest = pushed(&edge, &rules("one", 600));
    canary(&edge, &digest, &json!({ "min_requests": 1_000_000 }));
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
    let report = edge.admin_get("/policies/rules/canary").json();
    assert_eq!((&report["canary"]["requests"], &report["control"]["requests"]), (&json!(2 * ones), &json!(2 * (200 - ones))));
    assert_eq!(report["canary"]["origin_requests"], ones);
    assert_eq!(report["canary"]["hit_rate"], 0.5);
    assert_eq!(edge.metric("tero_policy_canary_requests_total", &["arm=\"canary\"", "outcome=\"hit\""]), ones as f64);
    // A smaller share is part of the larger one.
    post(&edge, "canary", &json!({ "digest": digest, "share": "10%" }));
    for (page, before) in first.iter().enumerate() {
        assert!(ask(format!("/{page}")) == "zero" || before == "one", "/{page}");
    }
    // Activated, it answers for all; the canary is over.
    activate(&edge, &digest);
    assert!((0..50).all(|page| ask(format!("/{page}")) == "one"));
    assert_eq!(listed(&edge)["canary"], Value::Null);
}

#[test]
fn what_of_the_query_does_not_count_does_not_send_a_page_to_the_other_side() {
    let (origin, state) = (origin(), folder());
    let settings =
        "[policy.settings]\nkey = { ignore_query = [\"utm_*\"] }\nrules = [{ name = \"zero\", match = [\"/*\"], ttl = 60 }]";
    let edge = Edge::before(&origin).state_dir(state.path()).policy("rules", "builtin:json-rules", settings).start();
    let digest = pushed(&edge, &rules("one", 600));
    canary(&edge, &digest, &json!({ "min_requests": 1_000_000 }));
    let mut client = edge.client();
    let mut side = |target: String| client.send(&get(target)).cache_status().ttl.unwrap() > 60;
    for page in 0..50 {
        let sides: Vec<bool> = (0..4).map(|source| side(format!("/{page}?utm_source={source}"))).collect();
        assert!(sides.iter().all(|other| *other == sides[0]), "/{page}: {sides:?}");
    }
    let sides: Vec<bool> = (0..64).map(|id| side(format!("/one?id={id}"))).collect();
    assert!(sides.contains(&true) && sides.contains(&false), "what counts tells pages apart");
}

/// Checks that a canary with these settings is rolled back, by itself, for this cause.
#[track_caller]
fn check_rolled_back(content: &[u8], cause: &str, words: &str) {
    let (origin, state) = (origin(), folder());
    let builder = edge(&origin, state.path());
    let edge = builder.start();
    let answer = push(&edge, "rules", content);
    assert_eq!(answer.status, 201, "{answer:?}");
    let digest = answer.json()["version"].as_str().unwrap().to_owned();
    canary(&edge, &digest, &json!({ "min_requests": 20 }));
    let mut client = edge.client();
    let mut round = 0;
    eventually("the canary is rolled back", || {
        // Few pages, again and again: good for a hit rate.
        for page in 0..40 {
            assert_eq!(client.send(&get(format!("/{}", page % 20))).status, 200);
        }
        round += 1;
        listed(&edge)["canary"] == Value::Null
    });
    let entry = listed(&edge);
    assert_eq!((&entry["version"], &entry["rolled_back"]["version"]), (&json!("configuration"), &json!(digest)));
    assert!(entry["rolled_back"]["reason"].as_str().unwrap().contains(words), "{entry}");
    // It is counted once it has happened.
    let counted = || edge.metric("tero_policy_canary_rollbacks_total", &[&format!("cause=\"{cause}\"")]);
    eventually("the rollback is counted", || counted() > 0.0);
    assert_eq!(counted(), 1.0, "{entry}");
    client.send(&get("/after")).assert_detail("zero: ttl");
    drop(edge);
    let edge = builder.start();
    assert_eq!(listed(&edge)["rolled_back"]["version"], digest.as_str(), "it is remembered");
    assert_eq!(listed(&edge)["canary"], Value::Null);
}

#[test]
fn a_canary_that_sends_more_to_the_origin_is_rolled_back_by_itself() {
    let never = json!({ "rules": [{ "name": "never", "match": ["/*"], "cache": "never" }] });
    check_rolled_back(&version(&never), "origin_load", "went to the origin");
}

#[test]
fn a_canary_that_fails_is_rolled_back_by_itself() {
    let with = |settings: &str| {
        Package { module: guests::misbehaving().into(), settings: Some(settings.to_owned().into()), cases: None }.to_bytes()
    };
    check_rolled_back(&with(r#"{"on_request": "trap", "on_response": "trap"}"#), "switched_off", "switched off after");
    check_rolled_back(&with(r#"{"on_response": "control-tag", "paths": "/1"}"#), "failures", "questions to the policy failed");
}

#[test]
fn a_canary_no_worse_than_the_control_goes_on() {
    let (origin, state) = (origin(), folder());
    let edge = edge(&origin, state.path()).start();
    canary(&edge, &pushed(&edge, &rules("one", 600)), &json!({ "min_requests": 10 }));
    let mut client = edge.client();
    for round in 0..20 {
        for page in 0..40 {
            client.send(&get(format!("/{}", page % 20))).assert_detail("ttl");
        }
        assert_ne!(listed(&edge)["canary"], Value::Null, "round {round}: {}", listed(&edge)["rolled_back"]);
    }
    // A rollback by an operator ends the canary and nothing else.
    let answer = post(&edge, "rollback", &json!({}));
    assert_eq!((&answer["version"], answer["ended_canary"].is_string()), (&json!("configuration"), true));
    check_refused(&edge.admin_post("/policies/rules/rollback", ""), 409, &["no version to roll back to"]);
}

#[test]
fn trials_that_make_no_sense_are_refused_with_a_cure() {
    let (origin, state) = (origin(), folder());
    let edge = edge(&origin, state.path())
        .policy("more", "builtin:json-rules", "settings = { rules = [{ match = [\"/*\"], ttl = 1 }] }")
        .start();
    let digest = pushed(&edge, &rules("one", 600));
    let refused = |what: &str, content: Value, status: u16, words: &[&str]| {
        check_refused(&edge.admin_post(&format!("/policies/{what}"), &content.to_string()), status, words);
    };
    refused("rules/canary", json!({ "digest": digest, "share": "51%" }), 400, &["51%", "50%"]);
    refused("rules/canary", json!({ "digest": digest, "share": "0%" }), 400, &["percentage"]);
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
    refused("rules/canary", json!({ "digest": "configuration", "share": "5%" }), 409, &["active already"]);
    refused("rules/shadow", json!({ "digest": digest, "sample": "10" }), 400, &["percentage"]);
    refused("rules/canary/stop", json!({}), 404, &["as a canary"]);
    canary(&edge, &digest, &json!({}));
    let other = push(&edge, "more", &version(&rules("two", 1))).json()["version"].clone();
    refused("more/canary", json!({ "digest": other, "share": "5%" }), 409, &["site", "canary of `rules`"]);
}

/// The real program: what an operator types.
mod commands {
    use std::path::PathBuf;
    use std::process::Output;

    use super::{json, origin, rules};
    use crate::program::{Serving, assert_code, configuration, err, out, run};
    use tero_tests::{Origin, toml_string};

    /// The program with a policy `rules`, and the arguments that lead to its admin interface.
    struct Desk {
        _origin: Origin,
        serving: Serving,
    }

    impl Desk {
        fn start() -> Desk {
            Desk::start_with(
                "policies = [\"rules\"]\n[[policy]]\nname = \"rules\"\nmodule = \"builtin:json-rules\"\n\
                 settings = { rules = [{ name = \"zero\", match = [\"/*\"], ttl = 60 }] }\n",
            )
        }

        fn start_with(more: &str) -> Desk {
            let origin = origin();
            let state = tero_tests::folder().keep();
            let state = format!("[policies]\nstate_dir = {}", toml_string(&state.display().to_string()));
            let text = configuration(&origin, more).replace("[policies]", &state);
            Desk { serving: Serving::start(&text), _origin: origin }
        }

        fn tero(&self, arguments: &[&str]) -> Output {
            let admin = format!("http://{}", self.serving.admin_address());
            run(&[arguments, &["--admin", &admin]].concat())
        }

        /// Runs a command that has to succeed, and returns what it says.
        #[track_caller]
        fn good(&self, arguments: &[&str]) -> String {
            let output = self.tero(arguments);
            assert_code(&output, 0);
            out(&output)
        }

        fn file(&self, name: &str, content: &str) -> PathBuf {
            let path = self.serving.folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        }
    }

    #[test]
    fn a_version_is_pushed_tried_activated_and_rolled_back_from_the_command_line() {
        let desk = Desk::start();
        let cases = "[[case]]\nname = \"a page\"\nurl = \"/x\"\non_response = { ttl = \"10min\" }\n";
        let cases = desk.file("rules.cases.toml", &format!("module = \"builtin:json-rules\"\n{cases}")).display().to_string();
        let settings = desk.file("new.json", &rules("one", 600).to_string()).display().to_string();
        let push = ["policy", "push", "builtin:json-rules", "--name", "rules", "--settings", &settings, "--cases", &cases];
        let said = desk.good(&push);
        assert!(said.contains("1 cases passed") && said.contains("tero policy activate rules "), "{said}");
        let version = said.trim().rsplit(' ').next().unwrap().to_owned();
        assert!(desk.good(&push).contains("had already"));
        desk.good(&["policy", "shadow", "rules", "--version", &version, "--sample", "100%"]);
        desk.serving.client().send(&tero_tests::get("/x"));
        tero_tests::eventually("the shadow is asked", || {
            let shown = desk.good(&["policy", "shadow", "rules"]);
            shown.contains("1 requests and 1 responses compared") && shown.contains("ttl: www.example/x")
        });
        desk.good(&["policy", "shadow", "rules", "--stop"]);
        desk.good(&["policy", "canary", "rules", "--version", &version, "--share", "5%", "--min-requests", "2000"]);
        assert!(desk.good(&["policy", "canary", "rules"]).contains("answers for 5% of the keys"));
        assert!(desk.good(&["policy", "list"]).contains(&format!("canary {version} 5%")));
        assert!(desk.good(&["policy", "rollback", "rules"]).contains(&format!("the canary {version} is over")));
        assert!(desk.good(&["policy", "activate", "rules", &version]).contains(&format!("{version} decides")));
        let listed = desk.good(&["policy", "list"]);
        assert!(listed.contains(&version) && listed.contains("UTC"), "{listed}");
        assert!(desk.good(&["policy", "list", "--versions"]).contains("its own"));
        let explained = desk.good(&["explain", "/y", "--at", "2026-11-24T08:59"]);
        for part in ["rules", "ttl_secs 600", "reason one: ttl", "outcome     miss: nothing is stored under the key"] {
            assert!(explained.contains(part), "{part} is not in\n{explained}");
        }
        assert!(desk.good(&["policy", "rollback", "rules"]).contains("configuration decides"));
        let refused = desk.tero(&["policy", "rollback", "rules"]);
        assert_code(&refused, 1);
        assert!(err(&refused).contains("no version to roll back to"), "{}", err(&refused));
    }

    #[test]
    fn a_reload_keeps_what_was_pushed_and_tells_mistakes() {
        let desk = Desk::start();
        let said = desk.good(&[
            "policy",
            "push",
            "builtin:json-rules",
            "--name",
            "rules",
            "--settings",
            &rules("one", 600).to_string(),
            "--activate",
        ]);
        assert!(said.contains("active: "), "{said}");
        let post = |target: &str| {
            let request = tero_tests::Request::new("POST", target).host("localhost").body("");
            tero_tests::Client::connect(desk.serving.admin_address()).send(&request)
        };
        let path = desk.serving.folder.path().join("tero.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("zero", "nil").replace("www.example", "other.example")).unwrap();
        assert_eq!(post("/reload").json(), json!({ "reloaded": true }));
        let ask = |path: &str, host: &str| desk.serving.client().send(&tero_tests::get(path).host(host));
        ask("/x", "other.example").assert_detail("one: ttl");
        assert_eq!(ask("/x", "www.example").status, 421);
        desk.good(&["policy", "rollback", "rules"]);
        ask("/y", "other.example").assert_detail("nil: ttl");
        std::fs::write(&path, text.replace("ttl = 60", "tll = 60").replace("workers = 2", "worker = 2")).unwrap();
        let refused = post("/reload");
        assert_eq!(refused.status, 409, "{}", refused.text());
        let mistakes = refused.json()["errors"].clone();
        assert!(mistakes[0]["cure"].as_str().unwrap().contains("workers"), "{mistakes}");
        std::fs::write(&path, text.replace("ttl = 60", "tll = 60")).unwrap();
        let refused = post("/reload");
        assert_eq!(refused.status, 422, "{}", refused.text());
        ask("/z", "other.example").assert_detail("nil: ttl");
    }

    #[test]
    fn a_diff_tells_by_field_where_two_versions_part_over_a_log() {
        let folder = tero_tests::folder();
        let file = |name: &str, content: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path.display().to_string()
        };
        let line =
            |path: &str| format!("10.0.0.1 - - [24/Nov/2026:08:59:00 -0300] \"GET {path} HTTP/1.1\" 200 5 \"-\" \"curl\"\n");
        let own = json!({ "at": "2026-11-24T11:59:00.000Z", "method": "GET", "host": "a.example", "target": "/slow/2", "status": 200, "bytes": 7 });
        let log = file("access.log", format!("{}{}{own}\nnonsense\n", line("/x"), line("/slow/1")));
        let with = |ttl: u64| {
            let rules = json!({ "rules": [{ "name": "slow", "match": ["/slow/*"], "ttl": ttl }, { "name": "all", "match": ["/*"], "ttl": 60 }] });
            file(&format!("{ttl}.json"), rules.to_string())
        };
        let (old, new) = (with(60), with(600));
        let rules = "builtin:json-rules";
        let output = run(&["policy", "diff", rules, rules, "--settings-a", &old, "--settings-b", &new, "--log", &log, "--json"]);
        assert_code(&output, 1);
        let told: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
        let ttl = &told["fields"]["ttl"];
        assert_eq!((&told["requests"], &told["unreadable_lines"]), (&json!(3), &json!(1)));
        assert_eq!((&ttl["same"], &ttl["different"]), (&json!(1), &json!(2)));
        assert_eq!((&ttl["samples"][1]["url"], &ttl["samples"][1]["b"]), (&json!("a.example/slow/2"), &json!("600 s")));
        let shown = run(&["policy", "diff", rules, rules, "--settings-a", &old, "--settings-b", &new, "--log", &log]);
        for part in ["ttl: localhost/slow/1 (", "2026-11-24 11:59:00 UTC): a 60 s, b 600 s", "1 lines are in no known format"] {
            assert!(out(&shown).contains(part), "{part} is not in\n{}", out(&shown));
        }
        let same = run(&["policy", "diff", rules, rules, "--settings", &new, "--log", &log]);
        assert_code(&same, 0);
        assert_code(&run(&["policy", "diff", rules, "builtin:nonesuch", "--settings", &new, "--log", &log]), 2);
        assert_code(&run(&["policy", "diff", rules, rules, "--settings", &new, "--log", "/nowhere.log"]), 2);
    }

    /// Every command of the operators' page, in its order, with real files and a real digest in the place of the shown ones.
    #[test]
    fn the_commands_of_the_operators_page_run_as_they_are_written() {
        let page = include_str!("../../../docs/policies/shipping.md");
        let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
        let commands: Vec<&str> = blocks.flat_map(str::lines).collect();
        assert!(commands.len() > 12 && commands.iter().all(|command| command.starts_with("tero ")), "{commands:?}");
        let settings =
            |close: &str| format!("{{\"zone\": \"{}\", \"open\": \"09:00\", \"close\": \"{close}\"}}", tero_tests::ART);
        let desk = Desk::start_with(&format!(
            "policies = [\"hours\"]\n[[policy]]\nname = \"hours\"\nmodule = \"builtin:business-hours\"\nsettings_file = {}\n",
            toml_string(&desk_file(&settings("18:00")))
        ));
        let folder = desk.serving.folder.path().to_owned();
        std::fs::write(folder.join("hours.wasm"), tero::policy::builtin("business-hours").unwrap()).unwrap();
        desk.file("winter.json", &settings("18:00"));
        desk.file("summer.json", &settings("20:00"));
        desk.file("access.log", "10.0.0.1 - - [24/Nov/2026:18:30:00 -0300] \"GET / HTTP/1.1\" 200 5\n");
        let case = "[[case]]\nname = \"open\"\nat = \"2026-11-24T19:59:00\"\nurl = \"/\"\non_response = { reason_contains = \"open\" }\n";
        desk.file("hours.cases.toml", &format!("module = \"hours.wasm\"\nsettings_file = \"summer.json\"\n{case}"));
        let admin = format!("http://{}", desk.serving.admin_address());
        let mut version = "3f9a1c".to_owned();
        for command in commands {
            let written = command.replace("3f9a1c", &version).replace("www.example.org", "www.example");
            let mut arguments: Vec<&str> = written.split(' ').skip(1).collect();
            let at_the_desk = matches!(arguments.get(1), Some(&"test" | &"diff"));
            if !at_the_desk {
                arguments.extend(["--admin", &admin]);
            }
            let output = crate::program::run_in(&folder, &arguments);
            // The two versions of the page differ, and a diff says so.
            assert_code(&output, i32::from(arguments.get(1) == Some(&"diff")));
            if arguments.get(1) == Some(&"push") {
                version = out(&output).trim().rsplit(' ').next().unwrap().to_owned();
            }
        }
    }

    /// A file in a folder that lasts as long as the tests.
    fn desk_file(content: &str) -> String {
        let path = tero_tests::folder().keep().join("file");
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }
}
