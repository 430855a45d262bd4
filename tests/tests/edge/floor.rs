//! The operator's floor: `[[site.never]]` and `[[site.at_most]]`, above every policy and every
//! field.

use serde_json::json;
use tero_admin_api::ExplainResponse;
use tero_tests::{Edge, EdgeBuilder, Gate, Origin, Reply, Request, eventually, get};

use crate::warming;

const NEVER: &str = "[[site.never]]\nmatch = [\"/pagos/*\", \"/cuenta\"]\n";
const AT_MOST: &str = "[[site.at_most]]\nmatch = [\"/api/*\"]\nttl = \"60s\"\nstale = \"10s\"\n";

/// An origin whose pages are fresh for an hour, and which tells its requests apart.
fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| match asked.header("if-none-match") {
        Some(_) => Reply::status(304).header("ETag", "\"1\""),
        None => Reply::fresh(3_600, &asked.target).header("ETag", "\"1\""),
    });
    origin
}

/// A policy that stores everything for a day, and allows stale use for a day.
fn storing(origin: &Origin) -> EdgeBuilder {
    let rules = "[policy.settings]\nrules = [{ name = \"all\", match = [\"*\"], ttl = 86400, \
                 stale_while_revalidate = 86400, stale_if_error = 86400 }]";
    Edge::before(origin).policy("rules", "builtin:json-rules", rules)
}

#[track_caller]
fn assert_passed(edge: &Edge, target: &str) {
    for _ in 0..2 {
        edge.get(target).assert_forwarded("bypass", target);
    }
}

#[track_caller]
fn explain(edge: &Edge, target: &str) -> ExplainResponse {
    let answer = edge.admin_post("/explain", &json!({ "url": target }).to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.read()
}

#[track_caller]
fn rule(explained: &ExplainResponse, name: &str) -> String {
    let mut rules = explained.rules.iter();
    let found = rules.find(|rule| rule.rule == name);
    found
        .unwrap_or_else(|| panic!("no {name}: {explained:?}"))
        .text
        .clone()
}

#[test]
fn what_is_never_stored_passes_whatever_a_policy_says() {
    let origin = origin();
    let edge = storing(&origin).site(NEVER).start();
    for target in [
        "/pagos/1",
        "//pagos/1",
        "/x/../pagos/1",
        "/x/%2e%2e/pagos/1",
        "/pagos%2f1",
        "/pagos;v=1/1?a=b",
        "/cuenta",
        "/cuenta/",
    ] {
        assert_passed(&edge, target);
        edge.get(target).assert_detail("site.never: /");
    }
    edge.get("/pagos").assert_forwarded("uri-miss", "/pagos");
    edge.get("/pagos").assert_hit("/pagos");
    let explained = explain(&edge, "/pagos/1");
    assert_eq!(explained.would.outcome, "pass");
    assert_eq!(explained.response.refusal.as_deref(), Some("never"));
    let text = rule(&explained, "never");
    assert!(text.starts_with("/pagos/* of site.never matches"), "{text}");
}

#[test]
fn nothing_of_a_never_stored_path_comes_into_the_store_by_another_method() {
    let origin = origin();
    origin.on(
        "/pagos/1",
        Reply::fresh(60, "posted").header("Content-Location", "/pagos/1"),
    );
    let edge = Edge::before(&origin).site(NEVER).start();
    edge.send(&Request::new("POST", "/pagos/1").body("x"));
    assert!(explain(&edge, "/pagos/1").stored.is_empty());
    edge.get("/pagos/1").assert_forwarded("bypass", "posted");
    edge.send(&get("/pagos/1").header("Range", "bytes=0-1"));
    assert!(explain(&edge, "/pagos/1").stored.is_empty());
}

#[test]
fn a_greatest_lifetime_holds_above_policy_and_fields() {
    for by_policy in [false, true] {
        let origin = origin();
        let edge = match by_policy {
            false => Edge::before(&origin),
            true => storing(&origin),
        };
        let edge = edge.site(AT_MOST).start();
        for target in ["/api/a", "//api/a", "/x/../api/a"] {
            edge.get(target).assert_forwarded("uri-miss", target);
            let hit = edge.get(target);
            hit.assert_hit(target);
            hit.assert_detail("site.at_most: /api/*");
        }
        edge.get("/b").assert_forwarded("uri-miss", "/b");
        let explained = explain(&edge, "/api/a");
        assert_eq!(explained.stored[0].lifetime_secs, 60);
        assert_eq!(explained.stored[0].lifetime_from, "at-most");
        assert!(rule(&explained, "at-most").contains("fresh for at most 60 s"));
        edge.advance_secs(59);
        edge.get("/api/a").assert_hit("/api/a");
        edge.advance_secs(1);
        assert_eq!(origin.requests("/api/a"), 1);
        edge.get("/api/a");
        eventually("it is revalidated", || origin.requests("/api/a") == 2);
        edge.get("/b").assert_hit("/b");
    }
}

#[test]
fn stale_windows_are_bounded_too() {
    let origin = origin();
    let edge = storing(&origin).site(AT_MOST).start();
    edge.get("/api/a");
    origin.stop();
    edge.advance_secs(69);
    let stale = edge.get("/api/a");
    assert_eq!((stale.status, stale.text().as_str()), (200, "/api/a"));
    edge.advance_secs(1);
    assert_eq!(edge.get("/api/a").status, 502);
}

#[test]
fn a_reload_covers_what_is_stored_already() {
    let origin = origin();
    let builder = storing(&origin);
    let edge = builder.start();
    for target in ["/pagos/1", "//pagos/2", "/api/a", "/b"] {
        edge.get(target).assert_forwarded("uri-miss", target);
        edge.get(target).assert_hit(target);
    }
    edge.reload(&builder.clone().site(NEVER).site(AT_MOST))
        .unwrap();
    for target in ["/pagos/1", "//pagos/2"] {
        assert_passed(&edge, target);
    }
    let hit = edge.get("/api/a");
    hit.assert_hit("/api/a");
    assert_eq!(hit.cache_status().ttl, Some(60));
    edge.advance_secs(70);
    // Validated, since it is beyond both bounds; then it is stored within them.
    edge.get("/api/a").assert_forwarded("stale", "/api/a");
    edge.get("/api/a").assert_hit("/api/a");
    edge.get("/b").assert_hit("/b");
    // Without the rules again, nothing of it returns.
    edge.reload(&builder).unwrap();
    edge.get("/pagos/1")
        .assert_forwarded("uri-miss", "/pagos/1");
    edge.get("//pagos/2")
        .assert_forwarded("uri-miss", "//pagos/2");
    edge.get("/b").assert_hit("/b");
}

#[test]
fn a_fetch_from_before_the_reload_is_not_stored() {
    let (origin, gate) = (Origin::start(), Gate::new());
    origin.on("/pagos/1", Reply::fresh(60, "firstlast!").in_halves(&gate));
    let builder = Edge::before(&origin);
    let edge = builder.start();
    let mut client = edge.client();
    client.start(&get("/pagos/1"));
    let mut answer = client.head();
    edge.reload(&builder.clone().site(NEVER)).unwrap();
    gate.open();
    client.rest(&mut answer);
    edge.reload(&builder).unwrap();
    let explained = explain(&edge, "/pagos/1");
    assert!(explained.stored.is_empty(), "{explained:?}");
}

#[test]
fn warming_plans_obey_the_floor() {
    let origin = origin();
    let plan = "urls = [\"/pagos/1\", \"//pagos/2\", \"/b\"]\n";
    let edge = warming::planning(&origin, plan).site(NEVER).start();
    let report = warming::warm(&edge);
    let counts = (report.planned, report.fetched, origin.total());
    assert_eq!(counts, (1, 1, 1), "{report:?}");
    assert!(report.notes[0].contains("2 pages pass"), "{report:?}");
    edge.get("/b").assert_hit("/b");
}

#[test]
fn a_floor_that_says_nothing_is_refused_with_its_cure() {
    let origin = origin();
    for (keys, told) in [
        ("[[site.never]]\n", "`match` is missing"),
        ("[[site.never]]\nmatch = []\n", "the list is empty"),
        (
            "[[site.never]]\nmatch = [\"pagos\"]\n",
            "begins with neither",
        ),
        (
            "[[site.never]]\nmatch = [\"/a\"]\nwhat = []\n",
            "the rule has no effect",
        ),
        (
            "[[site.never]]\nmatch = [\"/a\"]\nwhat = [\"answer\"]\n",
            "`answer` is not known here",
        ),
        ("[[site.at_most]]\nmatch = [\"/a\"]\n", "`ttl` is missing"),
        (
            "[[site.at_most]]\nmatch = [\"/a\"]\nttl = \"2y\"\n",
            "too large",
        ),
        (
            "[site.never]\nmatch = [\"/a\"]\n",
            "a list of tables was expected",
        ),
    ] {
        let refused = Edge::before(&origin).site(keys).try_start().unwrap_err();
        assert!(refused.contains(told), "{keys}: {refused}");
    }
}
