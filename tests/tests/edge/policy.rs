//! Policies in the edge: what they decide, how their decisions combine, and that no policy can
//! break a request.

use tero_admin_api::ModuleStatus;
use tero_admin_api::endpoints::Policies;
use tero_tests::{
    A_TUESDAY_MORNING, ART, Edge, EdgeBuilder, Origin, Reply, Request, folder, get, guests,
};

/// An origin whose responses are fresh for 30 seconds by their own fields.
fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(30, format!("page {}", asked.target)));
    origin
}

fn misbehaving(origin: &Origin, settings: &str, limits: &str) -> EdgeBuilder {
    let limits = if limits.contains("deadline") {
        limits.to_owned()
    } else {
        [limits, "deadline = \"5s\""].join(if limits.is_empty() { "" } else { ", " })
    };
    let keys = format!("settings = {{ {settings} }}\nlimits = {{ {limits} }}");
    Edge::before(origin).policy(
        "bad",
        &guests::misbehaving_path().display().to_string(),
        &keys,
    )
}

const BEHIND_A_PROXY: &str = "workers = 1\ntrusted_proxies = [\"127.0.0.1\"]";

/// A request of one of many clients: what one of them makes fail counts little.
fn of_client(number: usize, target: &str) -> Request {
    get(target).header("X-Forwarded-For", format!("192.0.2.{number}"))
}

fn decisions(edge: &Edge, policy: &str, hook: &str, result: &str) -> f64 {
    let labels = [
        format!("policy=\"{policy}\""),
        format!("hook=\"{hook}\""),
        format!("result=\"{result}\""),
    ];
    edge.metric(
        "tero_policy_decisions_total",
        &labels.each_ref().map(String::as_str),
    )
}

/// Checks that a failure in this hook is counted, and that the headers decide.
#[track_caller]
fn check_headers_decide(hook: &str, mode: &str, counted: &str) {
    let origin = origin();
    let deadline = if mode == "spin" { "200ms" } else { "5s" };
    let limits = format!("memory = \"8MiB\", deadline = \"{deadline}\"");
    let edge = misbehaving(&origin, &format!("{hook} = \"{mode}\""), &limits).start();
    edge.get("/x").assert_forwarded("uri-miss", "page /x");
    edge.advance_secs(29);
    // The policy's own answer would be 60 seconds.
    let (on_request_fails, fresh_secs) = (
        hook == "on_request",
        if hook == "on_request" { 60 } else { 30 },
    );
    edge.get("/x").assert_hit("page /x");
    edge.advance_secs(fresh_secs - 30);
    assert!(
        edge.get("/x").cache_status().hit,
        "fresh for {fresh_secs} s"
    );
    edge.advance_secs(1);
    edge.get("/x").assert_forwarded("stale", "page /x");
    let dashed = hook.replace('_', "-");
    assert!(
        decisions(&edge, "bad", &dashed, counted) >= 1.0,
        "{hook} {mode}: {:?}",
        edge.admin_get("/policies").text()
    );
    assert_eq!(decisions(&edge, "bad", &dashed, "ok"), 0.0);
    let variant = origin.asked("/x")[0].header("tero-variant");
    assert_eq!(variant.is_none(), on_request_fails, "{variant:?}");
}

#[test]
fn a_trap_leaves_the_decision_to_the_headers() {
    for mode in ["trap", "recurse"] {
        check_headers_decide("on_request", mode, "trap");
        check_headers_decide("on_response", mode, "trap");
    }
}

#[test]
fn a_missed_deadline_leaves_the_decision_to_the_headers() {
    check_headers_decide("on_request", "spin", "deadline");
    check_headers_decide("on_response", "spin", "deadline");
}

#[test]
fn exceeded_memory_leaves_the_decision_to_the_headers() {
    check_headers_decide("on_request", "allocate", "memory");
    check_headers_decide("on_response", "allocate", "memory");
}

#[test]
fn a_bad_answer_leaves_the_decision_to_the_headers() {
    for mode in [
        "nonsense-variant",
        "too-many-query",
        "undeclared-query",
        "undeclared-field",
        "undeclared-origin",
        "undeclared-class",
        "undeclared-key-part",
        "endless-key-parts",
        "long-key-part",
        "huge-edits",
        "huge-body",
        "too-many-answer-fields",
        "framing-answer",
        "not-modified-answer",
        "long-log-tag",
    ] {
        check_headers_decide("on_request", mode, "bad_answer");
    }
    for mode in [
        "huge-ttl",
        "huge-browser-ttl",
        "huge-stale",
        "control-tag",
        "empty-tag",
        "long-tag",
        "too-many-tags",
        "undeclared-stored-field",
        "endless-expiry",
        "huge-error-ttl",
    ] {
        check_headers_decide("on_response", mode, "bad_answer");
    }
}

#[test]
fn a_line_break_in_what_a_policy_sets_reaches_nobody() {
    for (hook, mode) in [
        ("on_request", "crlf-request-field"),
        ("on_request", "crlf-response-field"),
        ("on_request", "crlf-answer-field"),
        ("on_request", "crlf-path"),
        ("on_response", "crlf-stored-field"),
    ] {
        check_headers_decide(hook, mode, "bad_answer");
        let origin = origin();
        let edge = misbehaving(&origin, &format!("{hook} = \"{mode}\""), "").start();
        for _ in 0..2 {
            let answer = edge.get("/x");
            assert_eq!(answer.header("set-cookie"), None, "{mode}: {answer:?}");
        }
        let asked = origin.only("/x");
        assert_eq!(asked.header("set-cookie"), None, "{mode}");
        assert_eq!(asked.header("x-request"), None, "{mode}");
    }
}

#[test]
fn a_reason_cannot_inject_fields() {
    for mode in ["control-reason", "long-reason"] {
        for hook in ["on_request", "on_response"] {
            let origin = origin();
            let edge = misbehaving(&origin, &format!("{hook} = \"{mode}\""), "").start();
            let answer = edge.get("/x");
            answer.assert_forwarded("uri-miss", "page /x");
            assert_eq!(answer.header("lines"), None);
            assert!(
                answer.header("cache-status").unwrap().len() < 1_500,
                "{answer:?}"
            );
        }
    }
}

#[test]
fn a_good_policy_decides_and_gives_its_reason() {
    let origin = origin();
    let edge = misbehaving(&origin, "", "").start();
    let answer = edge.get("/x");
    answer.assert_forwarded("uri-miss", "page /x");
    answer.assert_detail("behaves");
    assert_eq!(
        origin.only("/x").header("tero-variant").as_deref(),
        Some("good")
    );
    edge.advance_secs(59);
    let answer = edge.get("/x");
    answer.assert_hit("page /x");
    answer.assert_detail("bad: behaves");
    assert_eq!(answer.cache_status().ttl, Some(1));
    edge.advance_secs(1);
    edge.get("/x").assert_forwarded("stale", "page /x");
}

#[test]
fn a_flood_of_log_lines_is_not_a_failure() {
    let origin = origin();
    let edge = misbehaving(
        &origin,
        "on_request = \"log-flood\", on_response = \"log-flood\"",
        "",
    )
    .start();
    edge.get("/x").assert_detail("behaves");
    assert_eq!(decisions(&edge, "bad", "on-request", "ok"), 1.0);
}

#[test]
fn a_failure_on_one_page_does_not_affect_others() {
    let origin = origin();
    let edge = misbehaving(
        &origin,
        "on_request = \"trap\", on_response = \"trap\", paths = \"/bad\"",
        "",
    )
    .start();
    edge.get("/bad").assert_forwarded("uri-miss", "page /bad");
    let good = edge.get("/good");
    good.assert_forwarded("uri-miss", "page /good");
    good.assert_detail("behaves");
}

#[test]
fn a_policy_that_keeps_failing_is_switched_off_and_reported() {
    let origin = origin();
    let edge = misbehaving(&origin, "on_request = \"trap\"", "max_failures = 3")
        .server(BEHIND_A_PROXY)
        .start();
    let failures = || decisions(&edge, "bad", "on-request", "trap");
    for (number, failed) in [(1, 1.0), (2, 2.0), (3, 3.0), (4, 3.0), (5, 3.0)] {
        let target = format!("/{number}");
        edge.send(&of_client(number, &target))
            .assert_forwarded("uri-miss", &format!("page {target}"));
        assert_eq!(failures(), failed, "after request {number}");
    }
    let listed = &edge.call::<Policies>(&[], &()).policies[0].module;
    assert_eq!(listed.name, "bad");
    let ModuleStatus::SwitchedOff { reason, .. } = &listed.status else {
        panic!("{listed:?}")
    };
    assert!(reason.contains("trap"), "{listed:?}");
    assert_eq!(
        edge.metric("tero_policy_active", &["policy=\"bad\""]),
        0.0,
        "{:?}",
        edge.metrics()
    );
}

#[test]
fn a_policy_that_fails_for_half_of_the_questions_is_switched_off() {
    let origin = origin();
    let edge = misbehaving(&origin, "on_request = \"trap\", paths = \"/bad\"", "")
        .server(BEHIND_A_PROXY)
        .start();
    edge.get("/stored").assert_detail("behaves");
    for number in 0..20 {
        edge.get(&format!("/good{number}"));
        edge.send(&of_client(number, &format!("/bad{number}")));
    }
    // Ten failures are enough; good answers stand between them.
    assert_eq!(decisions(&edge, "bad", "on-request", "trap"), 10.0);
    assert_eq!(edge.metric("tero_policy_active", &["policy=\"bad\""]), 0.0);
    let switched_off = || edge.metric("tero_policy_switched_off_total", &["policy=\"bad\""]);
    assert_eq!(switched_off(), 1.0);
    let listed = edge.call::<Policies>(&[], &()).policies.remove(0).module;
    let ModuleStatus::SwitchedOff {
        since_unix_secs,
        until_unix_secs,
        reason,
    } = &listed.status
    else {
        panic!("{listed:?}")
    };
    assert_eq!(until_unix_secs - since_unix_secs, 5);
    assert!(reason.contains("10 of 21 questions failed"), "{reason}");
    // After its rest the policy is asked again, and rests longer if it still fails.
    edge.advance_secs(5);
    edge.get("/later").assert_detail("behaves");
    assert_eq!(edge.metric("tero_policy_active", &["policy=\"bad\""]), 1.0);
    edge.send(&of_client(100, "/bad-a"));
    edge.send(&of_client(101, "/bad-b"));
    assert_eq!(switched_off(), 2.0);
    edge.advance_secs(9);
    assert_eq!(edge.metric("tero_policy_active", &["policy=\"bad\""]), 0.0);
    edge.advance_secs(1);
    edge.get("/stored").assert_detail("behaves");
}

#[test]
fn a_policy_that_fails_for_few_of_the_questions_stays_on() {
    let origin = origin();
    let settings = "on_request = \"trap\", paths = \"/bad\"";
    let edge = misbehaving(
        &origin,
        settings,
        "max_failures = 2, max_failure_share = \"20%\"",
    )
    .server(BEHIND_A_PROXY)
    .start();
    for number in 0..40 {
        edge.get(&format!("/good{number}"));
    }
    for number in 0..10 {
        edge.send(&of_client(number, &format!("/bad{number}")));
    }
    assert_eq!(decisions(&edge, "bad", "on-request", "trap"), 10.0);
    edge.get("/good-too").assert_detail("behaves");
    edge.send(&of_client(100, "/bad-too"));
    edge.send(&of_client(101, "/bad-again"));
    assert_eq!(edge.metric("tero_policy_active", &["policy=\"bad\""]), 0.0);
}

#[test]
fn one_url_that_makes_a_policy_fail_does_not_switch_it_off() {
    let origin = origin();
    origin.otherwise(|_| Reply::ok("a page").header("Cache-Control", "no-store"));
    let settings = "on_request = \"trap\", on_response = \"trap\", paths = \"/bad\"";
    let edge = misbehaving(&origin, settings, "")
        .server("workers = 1")
        .start();
    for second in 0..30 {
        for _ in 0..4 {
            edge.get("/bad");
        }
        edge.get(&format!("/good{second}")).assert_detail("behaves");
        edge.advance_secs(1);
    }
    // A question that failed is asked again after a second.
    assert_eq!(decisions(&edge, "bad", "on-request", "trap"), 30.0);
    assert_eq!(decisions(&edge, "bad", "on-response", "trap"), 30.0);
    let withheld = edge.metric("tero_policy_withheld_total", &["policy=\"bad\""]);
    assert_eq!(withheld, 180.0);
    assert_eq!(edge.metric("tero_policy_active", &["policy=\"bad\""]), 1.0);
}

#[test]
fn when_off_pass_keeps_pages_out_of_the_store_while_a_policy_rests() {
    let origin = origin();
    let settings = "on_request = \"trap\", on_response = \"trap\", paths = \"/bad\"";
    let limits = "max_failures = 2, when_off = \"pass\"";
    let edge = misbehaving(&origin, settings, limits)
        .server(BEHIND_A_PROXY)
        .start();
    edge.get("/good").assert_forwarded("uri-miss", "page /good");
    edge.get("/good").assert_hit("page /good");
    // A failed question leaves its request alone out of the cache.
    for _ in 0..2 {
        let failed = edge.send(&of_client(1, "/bad1"));
        failed.assert_forwarded("bypass", "page /bad1");
        failed.assert_detail("bad: failed");
    }
    edge.get("/good").assert_hit("page /good");
    edge.send(&of_client(2, "/bad2"));
    let rests = edge.get("/good");
    rests.assert_forwarded("bypass", "page /good");
    rests.assert_detail("bad: switched off");
    assert_eq!(origin.requests("/good"), 2);
    edge.advance_secs(5);
    edge.get("/good").assert_hit("page /good");
}

#[test]
fn decisions_are_remembered_for_equal_inputs() {
    let origin = origin();
    let edge = misbehaving(&origin, "", "").start();
    for _ in 0..5 {
        edge.get("/x");
    }
    edge.get("/y");
    assert_eq!(decisions(&edge, "bad", "on-request", "ok"), 2.0);
    assert_eq!(edge.metric("tero_decision_cache_hits_total", &[]), 4.0);
    assert_eq!(edge.metric("tero_decision_cache_misses_total", &[]), 2.0);
}

#[test]
fn a_policy_with_a_zone_is_asked_every_minute() {
    let origin = origin();
    let edge = misbehaving(&origin, &format!("zone = \"{ART}\""), "")
        .at(A_TUESDAY_MORNING)
        .start();
    for (time, asked) in [
        ("10:00:00", 1.0),
        ("10:00:59", 1.0),
        ("10:01:00", 2.0),
        ("10:01:01", 2.0),
    ] {
        edge.turn_to(&format!("2026-11-24T{time}"));
        edge.get("/x");
        assert_eq!(decisions(&edge, "bad", "on-request", "ok"), asked, "{time}");
    }
}

#[test]
fn the_first_policy_to_decide_a_field_wins() {
    let rules = |ttl: u32, tag: &str| {
        format!(
            "[policy.settings]\nversion = 3\nrules = [{{ name = \"{tag}\", match = [\"/x\"], ttl = {ttl}, tags = [\"{tag}\"] }}]"
        )
    };
    let origin = origin();
    let edge = Edge::before(&origin)
        .policy("first", "builtin:json-rules", &rules(100, "one"))
        .policy("second", "builtin:json-rules", &rules(200, "two"))
        .start();
    let answer = edge.get("/x");
    assert_eq!(answer.cache_status().ttl, Some(100), "{answer:?}");
    // A response has the tags of all policies: either purges it.
    for tag in ["one", "two"] {
        let answer = edge.admin_post("/purge", &format!("{{\"tag\": \"{tag}\"}}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        edge.get("/x").assert_forwarded("uri-miss", "page /x");
    }
}

#[test]
fn a_pass_from_any_policy_wins() {
    let rules = |rule: &str| {
        format!(
            "[policy.settings]\nversion = 3\nrules = [{{ name = \"r\", match = [\"/x\"], {rule} }}]"
        )
    };
    let origin = origin();
    let edge = Edge::before(&origin)
        .policy("caching", "builtin:json-rules", &rules("ttl = 100"))
        .policy("passing", "builtin:json-rules", &rules("cache = \"never\""))
        .start();
    for count in 1..=2 {
        edge.get("/x").assert_forwarded("bypass", "page /x");
        assert_eq!(origin.requests("/x"), count);
    }
    assert_eq!(
        edge.metric("tero_requests_total", &["outcome=\"pass\""]),
        2.0
    );
}

#[test]
fn a_failing_policy_leaves_the_decision_to_the_others() {
    let origin = origin();
    let rules =
        "[policy.settings]\nversion = 3\nrules = [{ name = \"r\", match = [\"/x\"], ttl = 100 }]";
    let edge = misbehaving(&origin, "on_request = \"trap\", on_response = \"trap\"", "")
        .policy("good", "builtin:json-rules", rules)
        .start();
    let answer = edge.get("/x");
    assert_eq!(answer.cache_status().ttl, Some(100), "{answer:?}");
}

#[test]
fn a_policy_alone_cannot_lift_the_safety_floor() {
    let check = |site: &str, reply: Reply, authorised: bool, stored: bool| {
        let origin = Origin::start();
        origin.on("/x", reply);
        let edge = misbehaving(&origin, "", "").site(site).start();
        let request = if authorised {
            get("/x").header("Authorization", "Basic YTpi")
        } else {
            get("/x")
        };
        edge.send(&request);
        let again = edge.send(&request);
        assert_eq!(again.cache_status().hit, stored, "{site}: {again:?}");
        again
    };
    let cookie = || Reply::fresh(30, "x").header("Set-Cookie", "session=1");
    check("", cookie(), false, false);
    let lifted = check(
        "policy_may_override = [\"set-cookie\"]",
        cookie(),
        false,
        true,
    );
    assert_eq!(lifted.header("set-cookie"), None);
    for (name, directive) in [("private", "private, max-age=30"), ("no-store", "no-store")] {
        let reply = || Reply::ok("x").header("Cache-Control", directive);
        check("", reply(), false, false);
        check(
            &format!("policy_may_override = [\"{name}\"]"),
            reply(),
            false,
            true,
        );
    }
    check("", Reply::fresh(30, "x"), true, false);
    check(
        "policy_may_override = [\"authorization\"]",
        Reply::fresh(30, "x"),
        true,
        true,
    );
    check(
        "policy_may_override = [\"set-cookie\", \"private\", \"no-store\", \"authorization\"]",
        Reply::status(206).body("x"),
        false,
        false,
    );
}

/// Checks that the configuration is refused with a message that holds these words.
#[track_caller]
fn check_refused(builder: &EdgeBuilder, words: &[&str]) {
    let Err(message) = builder.try_start() else {
        panic!("it started: {words:?}")
    };
    for word in words {
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
}

#[test]
fn refused_settings_refuse_the_configuration_with_the_policys_message() {
    let origin = origin();
    check_refused(
        &misbehaving(&origin, "configure = \"error\"", ""),
        &["bad", "`configure` is \"error\": write something else"],
    );
    check_refused(
        &misbehaving(&origin, "unknown = 1", ""),
        &["bad", "unknown"],
    );
    let Err(message) = misbehaving(&origin, "configure = \"long-error\"", "").try_start() else {
        panic!("it started")
    };
    assert!(
        message.len() < 20_000 && !message.contains('\u{7}'),
        "{} bytes",
        message.len()
    );
    let hours = "settings = { zone = \"America/Macondo\", open = \"09:00\", close = \"18:00\" }";
    check_refused(
        &Edge::before(&origin).policy("hours", "builtin:business-hours", hours),
        &["hours", "America/Macondo"],
    );
}

#[test]
fn a_policy_that_fails_to_configure_refuses_the_configuration() {
    let origin = origin();
    for (mode, words) in [
        ("trap", "trap"),
        ("spin", "deadline"),
        ("allocate", "memory"),
        ("recurse", "trap"),
    ] {
        // `configure` has twenty times the deadline of other calls.
        let limits = if mode == "spin" {
            "deadline = \"5ms\""
        } else {
            "memory = \"8MiB\""
        };
        let builder = misbehaving(&origin, &format!("configure = \"{mode}\""), limits);
        check_refused(&builder, &["bad", words]);
    }
}

#[test]
fn a_manifest_outside_the_contract_refuses_the_configuration() {
    let origin = origin();
    for mode in [
        "bad-variant",
        "too-many-variants",
        "double-variant",
        "bad-zone",
        "too-many-headers",
        "bad-header",
        "untouchable-edit",
        "too-many-key-parts",
        "one-bucket",
        "huge-network",
        "too-many-patterns",
        "bad-pattern",
    ] {
        check_refused(
            &misbehaving(&origin, &format!("configure = \"{mode}\""), ""),
            &["bad", "manifest"],
        );
    }
}

#[test]
fn a_file_that_is_not_a_policy_refuses_the_configuration() {
    let origin = origin();
    let folder = folder();
    let with_module = |bytes: &[u8]| {
        let path = folder.path().join("module.wasm");
        std::fs::write(&path, bytes).unwrap();
        Edge::before(&origin).policy("odd", &path.display().to_string(), "")
    };
    check_refused(
        &with_module(b"#!/bin/sh\necho no module\n"),
        &["odd", "not a WebAssembly module"],
    );
    check_refused(&with_module(b""), &["odd", "not a WebAssembly module"]);
    check_refused(
        &with_module(&guests::misbehaving()[..1_000]),
        &["odd", "not a WebAssembly module"],
    );
    // An empty module, and one that imports `env.f`.
    check_refused(&with_module(b"\0asm\x01\0\0\0"), &["odd"]);
    check_refused(
        &with_module(b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02\x09\x01\x03env\x01f\0\0"),
        &["odd"],
    );
    check_refused(
        &Edge::before(&origin).policy("gone", "/nowhere/at/all.wasm", ""),
        &["/nowhere/at/all.wasm"],
    );
    check_refused(
        &Edge::before(&origin).policy("odd", "builtin:no-such", ""),
        &["odd", "no-such"],
    );
}

#[test]
fn the_first_policy_of_the_readme_decides_by_the_clock() {
    let origin = origin();
    let settings =
        format!("settings = {{ zone = \"{ART}\", open = \"09:00\", close = \"18:00\" }}");
    let module = guests::first_policy_path().display().to_string();
    let edge = Edge::before(&origin)
        .policy("first", &module, &settings)
        .at("2026-11-24T08:59:59")
        .start();
    let answer = edge.get("/early");
    assert_eq!(answer.cache_status().ttl, Some(1));
    answer.assert_detail("first: we are closed");
    edge.turn_to("2026-11-24T09:00:00");
    let answer = edge.get("/opened");
    assert_eq!(answer.cache_status().ttl, Some(60));
    answer.assert_detail("first: we are open");
    edge.turn_to("2026-11-24T18:00:00");
    assert_eq!(edge.get("/closed").cache_status().ttl, Some(15 * 3_600));
}

#[test]
fn too_many_combined_variants_refuse_the_configuration() {
    let origin = origin();
    let module = guests::misbehaving_path().display().to_string();
    let builder = (0..4).fold(
        Edge::before(&origin).cache("max_policy_variants = 8"),
        |builder, number| builder.policy(&format!("p{number}"), &module, ""),
    );
    // Each policy has the variant `good` or none: 2⁴ combinations, one of them without variants.
    check_refused(&builder, &["15", "8"]);
}

#[test]
fn what_is_never_cached_is_not_cached_by_another_spelling_of_its_path() {
    let origin = origin();
    let rules = r#"
        [policy.settings]
        version = 3
        rules = [
            { match = ["/pagos/*"], cache = "never" },
            { match = ["*"], ttl = 60 },
        ]
    "#;
    let edge = Edge::before(&origin)
        .policy("rules", "builtin:json-rules", rules)
        .start();
    for path in [
        "/pagos/1",
        "//pagos/1",
        "/pagos//1",
        "/x/../pagos/1",
        "/x/%2e%2e/pagos/1",
        "/x/%252e%252e/pagos/1",
        "/pagos%2f1",
        "/%70agos/1",
        "/pagos;v=1/1",
        "/pagos/1/../../x",
    ] {
        for _ in 0..2 {
            edge.get(path)
                .assert_forwarded("bypass", &format!("page {path}"));
        }
    }
    edge.get("/x//y").assert_forwarded("uri-miss", "page /x//y");
    edge.get("/x//y").assert_hit("page /x//y");
}
