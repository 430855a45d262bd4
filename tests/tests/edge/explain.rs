//! `POST /explain`: what the edge would do with a request, and why. Asking changes nothing.

mod agreement;

use serde_json::{Value, json};
use tero_admin_api::endpoints::Policy;
use tero_admin_api::{ExplainResponse, HookTrace, ModuleStatus, Problem};
use tero_tests::{ART, Edge, EdgeBuilder, Origin, Reply, eventually, get, guests};

fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(30, &asked.target));
    origin.on("/cookie", Reply::fresh(30, "x").header("Set-Cookie", "a=b"));
    origin
}

fn rules(rule: &str) -> String {
    format!("[policy.settings]\nrules = [{{ name = \"r\", match = [\"/*\"], {rule} }}]")
}

/// A site with a policy for business hours and, after it, a rule for every path.
fn hours(origin: &Origin) -> EdgeBuilder {
    let settings =
        format!("settings = {{ zone = \"{ART}\", open = \"09:00\", close = \"18:00\" }}");
    Edge::before(origin)
        .policy("hours", "builtin:business-hours", &settings)
        .policy("rules", "builtin:json-rules", &rules("ttl = 77"))
}

#[track_caller]
fn explain(edge: &Edge, question: &Value) -> ExplainResponse {
    let answer = edge.admin_post("/explain", &question.to_string());
    assert_eq!(answer.status, 200, "{question}: {}", answer.text());
    answer.read()
}

#[track_caller]
fn check_rule(explained: &ExplainResponse, name: &str, words: &[&str]) {
    let rules = &explained.rules;
    let found = rules
        .iter()
        .find(|rule| rule.rule == name)
        .unwrap_or_else(|| panic!("no {name} in {rules:?}"));
    for word in words {
        assert!(found.text.contains(word), "{word:?} is not in {found:?}");
    }
}

/// Which way a policy failed, and why.
#[track_caller]
fn failure<A: std::fmt::Debug>(trace: &HookTrace<A>) -> (&str, &str) {
    match trace {
        HookTrace::Failure { failed, reason } => (failed, reason),
        _ => panic!("{trace:?}"),
    }
}

#[test]
fn each_policy_is_explained_at_any_local_time() {
    let origin = origin();
    let edge = hours(&origin).start();
    let open = explain(
        &edge,
        &json!({ "url": "http://www.example/x", "at": "2026-11-24T17:59" }),
    );
    assert_eq!(
        (open.site.as_str(), open.at.local.as_str()),
        ("site", "2026-11-24T17:59:00-03:00")
    );
    let [first, second] = open.policies.as_slice() else {
        panic!("{open:?}")
    };
    assert_eq!(
        (first.policy.as_str(), second.policy.as_str()),
        ("hours", "rules")
    );
    let HookTrace::Answer { answer } = &second.on_response else {
        panic!("{second:?}")
    };
    assert_eq!(answer.ttl_secs, Some(77));
    assert_eq!(open.response.lifetime_from, "policy");
    check_rule(
        &open,
        "first-wins",
        &["`hours` comes first and decides the TTL", "`rules`"],
    );
    let closed = explain(&edge, &json!({ "url": "/x", "at": "2026-11-24T18:00:00" }));
    assert_ne!(
        closed.response.lifetime_secs, open.response.lifetime_secs,
        "another hour, another lifetime"
    );
    let same = explain(&edge, &json!({ "url": "/x", "at": "2026-11-24T21:00:00Z" }));
    assert_eq!(same.policies, closed.policies, "the same instant");
    assert_eq!(
        (same.would.outcome.as_str(), same.would.why.as_str()),
        ("miss", "nothing is stored under the key")
    );
}

#[test]
fn a_stored_response_is_explained_with_its_freshness_and_outcome() {
    let origin = origin();
    let edge = Edge::before(&origin)
        .policy(
            "rules",
            "builtin:json-rules",
            &rules("ttl = 60, stale_while_revalidate = 10"),
        )
        .start();
    edge.get("/x?b=1");
    edge.advance_secs(5);
    let url = json!({ "url": "/x?b=1" });
    let hit = explain(&edge, &url);
    let stored = &hit.stored[0];
    assert_eq!(
        (stored.selected, stored.age_secs, stored.fresh_for_secs),
        (true, 5, 55)
    );
    assert_eq!(
        (stored.lifetime_from.as_str(), stored.status, stored.bytes),
        ("policy", 200, 6)
    );
    assert_eq!(hit.key.url, "http://www.example/x?b=1");
    assert_eq!(
        (hit.would.outcome.as_str(), hit.response.from.as_str()),
        ("hit", "stored")
    );
    check_rule(&hit, "policy-ttl", &["60 s", "30 s"]);
    edge.advance_secs(55);
    assert_eq!(explain(&edge, &url).would.outcome, "stale");
    edge.advance_secs(10);
    let late = explain(&edge, &url);
    assert_eq!(
        (late.would.outcome.as_str(), late.stored[0].fresh),
        ("revalidate", false)
    );
    edge.get("/x?b=1").assert_forwarded("stale", "/x?b=1");
    assert_eq!(
        explain(&edge, &json!({ "url": "/x", "method": "POST" }))
            .would
            .outcome,
        "pass"
    );
    let only = json!({ "url": "/y", "headers": { "Cache-Control": "only-if-cached" } });
    assert_eq!(explain(&edge, &only).would.outcome, "error");
}

#[test]
fn engine_rules_that_overrule_a_policy_are_named() {
    let origin = origin();
    let edge = Edge::before(&origin)
        .policy("first", "builtin:json-rules", &rules("ttl = 60"))
        .policy(
            "second",
            "builtin:json-rules",
            "[policy.settings]\nrules = [{ name = \"n\", match = [\"/never\"], cache = \"never\" }]",
        )
        .start();
    let never = explain(&edge, &json!({ "url": "/never" }));
    assert_eq!(
        (never.would.outcome.as_str(), never.decision.lookup.as_str()),
        ("pass", "pass")
    );
    check_rule(&never, "pass-wins", &["`second` passes"]);
    check_rule(&never, "never-wins", &["`second` says never", "`first`"]);
    let given = |headers: Value| json!({ "url": "/x", "response": { "headers": headers } });
    let cookie = explain(&edge, &given(json!({ "set-cookie": "a=b" })));
    assert_eq!(
        (
            cookie.response.would_be_stored,
            cookie.response.refusal.as_deref()
        ),
        (false, Some("set-cookie"))
    );
    check_rule(&cookie, "safety-floor", &["set-cookie"]);
    let lifted = Edge::before(&origin)
        .site("policy_may_override = [\"set-cookie\"]")
        .policy("first", "builtin:json-rules", &rules("ttl = 60"))
        .start();
    let cookie = explain(&lifted, &given(json!({ "set-cookie": "a=b" })));
    assert!(cookie.response.would_be_stored);
    check_rule(&cookie, "floor-lifted", &["set-cookie"]);
    let impatient = json!({ "url": "/x", "headers": { "cache-control": ["no-cache"] } });
    check_rule(
        &explain(&edge, &impatient),
        "client-directives",
        &["not obeyed"],
    );
}

#[test]
fn when_off_pass_is_explained() {
    let origin = origin();
    let module = guests::misbehaving_path().display().to_string();
    let keys = "settings = { on_request = \"trap\" }\nlimits = { deadline = \"5s\", max_failures = 1, when_off = \"pass\" }";
    let edge = Edge::before(&origin).policy("bad", &module, keys).start();
    for how in ["`bad` failed", "`bad` is switched off"] {
        let explained = explain(&edge, &json!({ "url": "/x" }));
        check_rule(&explained, "no-answer", &[how, "when_off"]);
        assert_eq!(explained.would.outcome, "pass", "{how}");
        edge.get("/x").assert_forwarded("bypass", "/x");
    }
}

#[test]
fn a_failing_policy_is_explained_but_its_failure_is_not_counted() {
    let origin = origin();
    let module = guests::misbehaving_path().display().to_string();
    let settings = "settings = { on_request = \"trap\", on_response = \"huge-ttl\" }\nlimits = { deadline = \"5s\", max_failures = 1 }";
    let edge = Edge::before(&origin)
        .policy("bad", &module, settings)
        .start();
    for _ in 0..3 {
        let explained = explain(&edge, &json!({ "url": "/x" }));
        let bad = &explained.policies[0];
        assert_eq!(failure(&bad.on_request).0, "trap");
        let (failed, reason) = failure(&bad.on_response);
        assert_eq!(failed, "bad_answer");
        assert!(reason.contains("at most 31536000"), "{bad:?}");
        check_rule(
            &explained,
            "no-answer",
            &["`bad` failed", "decided nothing"],
        );
    }
    let listed = edge.call::<Policy>(&["bad"], &()).module;
    assert_eq!(
        (&listed.status, listed.hooks["on-request"].trap),
        (&ModuleStatus::Active, 0)
    );
}

#[test]
fn explaining_changes_nothing_and_is_not_traffic() {
    let origin = origin();
    let edge = hours(&origin).start();
    edge.get("/x");
    let figures = || {
        // Explaining makes instances, which are counted but are not traffic.
        let is_traffic = |(name, _): &(String, f64)| {
            let others = [
                "tero_policy_instances",
                "tero_policy_memory",
                "tero_connections_open",
                "process_",
            ];
            !others.iter().any(|other| name.starts_with(other))
        };
        let metrics: Vec<_> = edge.metrics().into_iter().filter(is_traffic).collect();
        (
            metrics,
            edge.admin_get("/stats").text(),
            edge.admin_get("/policies").text(),
            origin.total(),
        )
    };
    eventually("the answer has been counted", || {
        edge.metric("tero_response_seconds_count", &[]) == 1.0
    });
    let before = figures();
    for url in ["/x", "/y", "/cookie"] {
        for device in ["mobile", "desktop"] {
            explain(
                &edge,
                &json!({ "url": url, "device": device, "at": "2026-12-25T12:00" }),
            );
        }
    }
    assert_eq!(figures(), before);
}

#[test]
fn malformed_questions_are_refused_with_a_cure() {
    let origin = origin();
    let edge = hours(&origin).start();
    for (question, status, words) in [
        (
            json!({ "url": "http://elsewhere.example/" }),
            404,
            "no site",
        ),
        (json!({ "url": "www.example/x" }), 400, "URL"),
        (json!({ "url": "/x", "at": "noon" }), 400, "noon"),
        (json!({ "url": "/x", "device": "toaster" }), 400, "toaster"),
        (
            json!({ "url": "/x", "headers": { "a b": "c" } }),
            400,
            "a b",
        ),
        (
            json!({ "url": "/x", "headers": { "a": "c\nd" } }),
            400,
            "`a`",
        ),
        (json!({ "url": "/x", "method": "TRACE" }), 400, "not let in"),
        (
            json!({ "url": "/x", "response": { "status": 99_999 } }),
            400,
            "content",
        ),
        (json!({ "uri": "/x" }), 400, "uri"),
    ] {
        let answer = edge.admin_post("/explain", &question.to_string());
        assert_eq!(answer.status, status, "{question}: {}", answer.text());
        assert!(
            answer.read::<Problem>().error.contains(words),
            "{question}: {}",
            answer.text()
        );
    }
    edge.send(&get("/x"));
}

#[test]
fn a_path_is_explained_where_the_only_site_answers_for_every_host() {
    let origin = origin();
    let text = Edge::before(&origin)
        .to_toml()
        .replace("hosts = [\"www.example\"]", "hosts = [\"*\"]");
    let edge = Edge::from_toml(&text, tero_tests::A_TUESDAY_MORNING, tero_tests::ART);
    let explained = explain(&edge, &json!({ "url": "/x" }));
    assert_eq!(explained.key.url, "http://localhost/x");
    // Two sites can't be told apart.
    let two = Edge::before(&origin)
        .section(&format!(
            "[[site]]\nname = \"two\"\nhosts = [\"two.example\"]\norigins = [\"{}\"]",
            origin.url()
        ))
        .start();
    let answer = two.admin_post("/explain", r#"{"url": "/x"}"#);
    let problem: Problem = answer.read();
    assert!(
        problem.cure.contains("www.example, two.example"),
        "{problem:?}"
    );
}

#[test]
fn fields_that_do_not_go_on_are_named() {
    let origin = origin();
    let edge = Edge::before(&origin)
        .site("ignore_cookies = [\"_ga*\"]")
        .start();
    let question = json!({
        "url": "/x",
        "headers": { "X-Real-IP": "6.6.6.6", "Accept": "*/*", "Cookie": "_ga=1; a=2" },
    });
    check_rule(
        &explain(&edge, &question),
        "dropped-fields",
        &["x-real-ip", "some cookies (site.ignore_cookies)"],
    );
    let question = json!({ "url": "/x", "headers": { "Accept": "*/*", "Cookie": "a=2" } });
    let explained = explain(&edge, &question);
    assert!(
        explained
            .rules
            .iter()
            .all(|rule| rule.rule != "dropped-fields")
    );
}
