//! Lifetimes that a site gives responses without one of their own (`default_ttl`).

use serde_json::json;
use tero_admin_api::ExplainResponse;
use tero_tests::{Answer, Edge, EdgeBuilder, Origin, Reply, Request, get};

const TTL: &str = "default_ttl = { \"text/html\" = \"1min\", \"image/*\" = \"1d\", 404 = \"30s\", 302 = \"10s\" }";

fn page(content_type: &str) -> Reply {
    Reply::ok("x").header("Content-Type", content_type)
}

fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::status(404).body("x"));
    origin.on("/html", page("text/html; charset=utf-8"));
    origin.on("/png", page("image/png"));
    origin.on("/css", page("text/css"));
    origin.on("/moved", Reply::status(302).header("Location", "/html"));
    origin
}

fn edge(origin: &Origin) -> EdgeBuilder {
    Edge::before(origin).site(TTL)
}

/// Checks that a response is a hit until this second.
#[track_caller]
fn check(edge: &Edge, target: &str, secs: u64) {
    let forward = |answer: Answer| answer.cache_status().fwd;
    assert_eq!(forward(edge.get(target)).as_deref(), Some("uri-miss"));
    edge.advance_secs(secs - 1);
    assert!(edge.get(target).cache_status().hit, "{target}");
    edge.advance_secs(1);
    assert_eq!(forward(edge.get(target)).as_deref(), Some("stale"));
}

#[test]
fn a_response_without_a_lifetime_has_that_of_its_type_or_status() {
    let origin = origin();
    let edge = edge(&origin).start();
    check(&edge, "/html", 60);
    check(&edge, "/png", 86_400);
    check(&edge, "/absent", 30);
    edge.get("/moved");
    assert!(edge.get("/moved").cache_status().hit);
    for _ in 0..2 {
        edge.get("/css").assert_forwarded("uri-miss", "x");
    }
    edge.get("/css").assert_detail("no-lifetime");
}

#[test]
fn what_the_response_says_of_its_lifetime_goes_before_it() {
    let origin = origin();
    let html = || page("text/html");
    origin.on("/short", html().header("Cache-Control", "max-age=5"));
    origin.on("/targeted", html().header("CDN-Cache-Control", "max-age=5"));
    let edge = edge(&origin).start();
    check(&edge, "/short", 5);
    check(&edge, "/targeted", 5);
    let old = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (name, value) in [
        ("Cache-Control", "max-age=0"),
        ("Cache-Control", "no-cache"),
        ("Cache-Control", "no-store"),
        ("Cache-Control", "private"),
        ("Expires", old),
        ("Set-Cookie", "a=b"),
        ("Vary", "*"),
    ] {
        let target = format!("/{name}{value}").replace([' ', ':', ',', '*'], "-");
        origin.on(&target, html().header(name, value));
        for _ in 0..2 {
            let answer = edge.get(&target);
            assert!(!answer.cache_status().hit, "{name}: {value}: {answer:?}");
        }
        assert_eq!(origin.requests(&target), 2, "{name}: {value}");
    }
    // Before the heuristic, which would be a day.
    origin.on("/modified", html().header("Last-Modified", old));
    check(&edge, "/modified", 60);
}

#[test]
fn a_request_with_cookies_gets_no_default() {
    let origin = origin();
    let cookie = get("/html").header("Cookie", "lang=es");
    let edge = edge(&origin).site("ignore_cookies = [\"_ga*\"]").start();
    for _ in 0..2 {
        let answer = edge.send(&cookie);
        answer.assert_forwarded("uri-miss", "x");
        answer.assert_detail("default-ttl-to-cookie");
    }
    edge.get("/html").assert_forwarded("uri-miss", "x");
    edge.send(&cookie).assert_hit("x");
    let ignored = get("/png").header("Cookie", "_ga=1");
    edge.send(&ignored).assert_forwarded("uri-miss", "x");
    edge.send(&ignored).assert_hit("x");
    let credentials = get("/absent").header("Authorization", "Basic eDp5");
    for _ in 0..2 {
        assert!(!edge.send(&credentials).cache_status().stored);
    }
}

#[test]
fn a_site_may_have_it_for_requests_with_cookies_too() {
    let origin = origin();
    let edge = edge(&origin)
        .site("default_ttl_with_cookies = true")
        .start();
    let cookie = get("/html").header("Cookie", "lang=es");
    edge.send(&cookie).assert_forwarded("uri-miss", "x");
    edge.send(&cookie).assert_hit("x");
}

#[test]
fn policies_and_the_operators_floor_go_before_it() {
    let origin = origin();
    let rules = "[policy.settings]\nrules = [{ match = [\"/png\"], ttl = 7 }]";
    let edge = edge(&origin)
        .site("[[site.at_most]]\nmatch = [\"/html\"]\nttl = \"3s\"")
        .policy("rules", "builtin:json-rules", rules)
        .start();
    check(&edge, "/png", 7);
    check(&edge, "/html", 3);
}

#[test]
fn explanations_tell_where_the_lifetime_comes_from() {
    let origin = origin();
    let edge = edge(&origin).start();
    let ask = |headers: serde_json::Value| -> ExplainResponse {
        let question = json!({
            "url": "/html",
            "headers": headers,
            "response": { "status": 200, "headers": { "content-type": "text/html" } },
        });
        edge.admin_post("/explain", &question.to_string()).read()
    };
    let told = ask(json!({}));
    assert_eq!(told.response.lifetime_from, "default-ttl");
    assert_eq!(told.response.lifetime_secs, 60);
    assert!(
        told.rules.iter().any(|rule| rule.rule == "default-ttl"),
        "{told:?}"
    );
    let told = ask(json!({ "cookie": "a=b" }));
    assert_eq!(
        told.response.refusal.as_deref(),
        Some("default-ttl-to-cookie")
    );
    assert!(
        told.rules
            .iter()
            .any(|rule| rule.text.contains("default_ttl_with_cookies"))
    );
}

#[test]
fn a_default_that_could_never_count_is_refused() {
    let origin = origin();
    for (table, told) in [
        (
            "{ html = \"1min\" }",
            "`html` is neither a content type nor a status",
        ),
        ("{ 429 = \"1min\" }", "`429` is neither"),
        ("{ 404 = 30 }", "`404` has no lifetime"),
        ("{ 404 = \"999ms\" }", "`404` has no lifetime"),
        ("{ 404 = \"366d\" }", "`404` has no lifetime"),
        (
            "{ \"text/html\" = \"1s\", \"Text/HTML\" = \"1s\" }",
            "is written twice",
        ),
        ("[]", "a table was expected"),
    ] {
        let keys = format!("default_ttl = {table}");
        let refused = Edge::before(&origin).site(&keys).try_start().unwrap_err();
        assert!(refused.contains(told), "{table}: {refused}");
    }
    for (count, good) in [(64, true), (65, false)] {
        let entries: Vec<_> = (0..count).map(|n| format!("\"a/{n}\" = \"1s\"")).collect();
        let keys = format!("default_ttl = {{ {} }}", entries.join(", "));
        let started = Edge::before(&origin).site(&keys).try_start();
        assert_eq!(started.is_ok(), good, "{count}");
    }
}

#[test]
fn the_answer_to_a_post_needs_a_lifetime_of_its_own() {
    let origin = origin();
    origin.on(
        "/html",
        page("text/html").header("Content-Location", "/html"),
    );
    let edge = edge(&origin).start();
    edge.send(&Request::new("POST", "/html").body("x"));
    edge.get("/html").assert_forwarded("uri-miss", "x");
}
