//! Surrogate keys that responses bring: purged by, kept from clients, told to other edges.

use serde_json::json;
use tero_admin_api::{ExplainResponse, PurgeResponse};
use tero_tests::{Answer, Edge, EdgeBuilder, Origin, Reply, Request, get};

const FIELDS: [&str; 5] = [
    "Surrogate-Key",
    "Cache-Tag",
    "xkey",
    "X-Cache-Tags",
    "X-Magento-Tags",
];

fn page(target: &str) -> Reply {
    Reply::fresh(60, target).header("ETag", "\"1\"")
}

/// An origin with a page for each field.
fn origin() -> Origin {
    let origin = Origin::start();
    for name in FIELDS {
        let between = if name == "Surrogate-Key" { " " } else { "," };
        let keys = format!("all{between}{name}");
        origin.on(&format!("/{name}"), page(name).header(name, keys));
    }
    origin.on(
        "/both",
        page("both")
            .header("Surrogate-Key", "a b")
            .header("xkey", "c"),
    );
    origin
}

#[track_caller]
fn purge(edge: &Edge, tag: &str) -> u64 {
    let answer = edge.admin_post("/purge", &json!({ "tag": tag }).to_string());
    answer.read::<PurgeResponse>().purged
}

#[track_caller]
fn assert_untold(answer: &Answer) {
    for name in FIELDS {
        assert_eq!(answer.header(name), None, "{answer:?}");
    }
}

#[test]
fn a_response_is_purged_by_the_keys_that_it_brings() {
    let origin = origin();
    let edge = Edge::before(&origin).start();
    for name in FIELDS {
        edge.get(&format!("/{name}"));
        edge.get(&format!("/{name}")).assert_hit(name);
        assert_eq!(purge(&edge, name), 1, "{name}");
        edge.get(&format!("/{name}"))
            .assert_forwarded("uri-miss", name);
    }
    assert_eq!(purge(&edge, "all"), 5);
    assert_eq!(purge(&edge, "all"), 0);
}

#[test]
fn no_client_sees_them() {
    let origin = origin();
    origin.on("/pass", Reply::ok("x").header("Surrogate-Key", "a"));
    origin.on(
        "/private",
        page("x")
            .header("Cache-Tag", "a")
            .header("Cache-Control", "private"),
    );
    let edge = Edge::before(&origin).start();
    for target in ["/both", "/both", "/private", "/xkey"] {
        assert_untold(&edge.get(target));
    }
    let range = get("/both").header("Range", "bytes=0-1");
    assert_untold(&edge.send(&range));
    assert_untold(&edge.send(&get("/both").header("If-None-Match", "\"1\"")));
    assert_untold(&edge.send(&Request::new("HEAD", "/both")));
    assert_untold(&edge.send(&Request::new("POST", "/pass").body("x")));
}

fn telling(origin: &Origin) -> EdgeBuilder {
    Edge::before(origin).site("surrogate_keys_to = [\"127.0.0.0/8\"]")
}

#[test]
fn another_edge_is_told_all_of_them_and_purges_by_them() {
    let origin = origin();
    let rules = "[policy.settings]\nrules = [{ match = [\"*\"], ttl = 60, tags = [\"policy\"] }]";
    let inner = telling(&origin)
        .policy("rules", "builtin:json-rules", rules)
        .start();
    for _ in 0..2 {
        let told = inner.get("/both");
        assert_eq!(
            told.header("surrogate-key").as_deref(),
            Some("policy a b c")
        );
        assert_eq!(told.header("xkey"), None);
    }
    let outer = Edge::before_url(&format!("http://{}", inner.address())).start();
    assert_untold(&outer.get("/both"));
    outer.get("/both").assert_hit("both");
    assert_eq!(purge(&outer, "c"), 1);
    outer.get("/both");
    assert_eq!(purge(&outer, "policy"), 1);
}

#[test]
fn those_of_other_networks_are_told_nothing() {
    let origin = origin();
    let edge = Edge::before(&origin)
        .site("surrogate_keys_to = [\"10.0.0.0/8\"]")
        .start();
    assert_untold(&edge.get("/both"));
    assert_untold(&edge.get("/both"));
}

#[test]
fn keys_stay_with_a_response_that_is_validated() {
    let origin = Origin::start();
    origin.on_each("/x", |asked, nth| match asked.header("if-none-match") {
        None => page("x").header("Surrogate-Key", "old"),
        Some(_) if nth < 2 => Reply::status(304).header("ETag", "\"1\""),
        Some(_) => Reply::status(304)
            .header("ETag", "\"1\"")
            .header("xkey", "new"),
    });
    let edge = telling(&origin).site("stale_if_error = \"0s\"").start();
    edge.get("/x");
    edge.advance_secs(60);
    let revalidated = edge.get("/x");
    assert_eq!(revalidated.header("surrogate-key").as_deref(), Some("old"));
    edge.advance_secs(60);
    let revalidated = edge.get("/x");
    assert_eq!(revalidated.header("surrogate-key").as_deref(), Some("new"));
    assert_eq!((purge(&edge, "old"), purge(&edge, "new")), (0, 1));
}

#[test]
fn a_response_with_more_keys_than_are_kept_is_not_stored() {
    let origin = Origin::start();
    for (target, count) in [("/many", 1_024), ("/more", 1_025)] {
        let keys: Vec<String> = (0..count).map(|n| n.to_string()).collect();
        origin.on(target, page("x").header("xkey", keys.join(" ")));
    }
    let edge = Edge::before(&origin).start();
    for target in ["/many", "/more"] {
        edge.get(target).assert_forwarded("uri-miss", "x");
    }
    edge.get("/many").assert_hit("x");
    edge.get("/more").assert_detail("too-many-surrogate-keys");
    assert_eq!(purge(&edge, "1023"), 1);
}

#[test]
fn explanations_show_them() {
    let origin = origin();
    let edge = Edge::before(&origin).start();
    edge.get("/both");
    let told: ExplainResponse = edge.admin_post("/explain", "{\"url\": \"/both\"}").read();
    assert_eq!(told.stored[0].tags, ["a", "b", "c"]);
}
