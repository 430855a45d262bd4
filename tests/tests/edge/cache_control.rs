//! What a site says in the place of its origin: `cache_control`, `cache_control_at_most`, `query`.

use serde_json::json;
use tero_admin_api::{ExplainResponse, PurgeResponse};
use tero_tests::{Edge, Origin, Reply, Request, get};

fn origin(fields: &[(&str, &str)]) -> Origin {
    let origin = Origin::start();
    let page = fields.iter().fold(Reply::ok("x"), |page, (name, value)| {
        page.header(*name, *value)
    });
    origin.otherwise(move |_| page.clone());
    origin
}

const REPLACED: &str = "cache_control = \"public, max-age=60\"";

#[test]
fn what_the_site_says_decides_and_reaches_clients() {
    let fields = [
        ("Cache-Control", "max-age=1, must-revalidate"),
        ("CDN-Cache-Control", "max-age=2"),
        ("Expires", "0"),
        ("Pragma", "no-cache"),
    ];
    let origin = origin(&fields);
    let edge = Edge::before(&origin).site(REPLACED).start();
    let check = |answer: &tero_tests::Answer| {
        assert_eq!(
            answer.header("cache-control").as_deref(),
            Some("public, max-age=60")
        );
        for gone in ["cdn-cache-control", "expires", "pragma"] {
            assert_eq!(answer.header(gone), None, "{answer:?}");
        }
    };
    check(&edge.get("/a"));
    edge.advance_secs(59);
    let hit = edge.get("/a");
    hit.assert_hit("x");
    check(&hit);
    edge.advance_secs(1);
    edge.get("/a").assert_forwarded("stale", "x");
    // What is passed says it, too; the answer to a POST is the origin's own.
    check(
        &edge.send(
            &get("/b")
                .header("Authorization", "x")
                .header("Cookie", "a=b"),
        ),
    );
    let posted = edge.send(&Request::new("POST", "/a").body("x"));
    assert_eq!(
        posted.header("cache-control").as_deref(),
        Some("max-age=1, must-revalidate")
    );
}

#[test]
fn errors_and_what_is_for_one_visitor_keep_their_own() {
    let keys = REPLACED;
    let origin = Origin::start();
    origin.on(
        "/error",
        Reply::status(500).header("Cache-Control", "no-cache"),
    );
    origin.on("/moved", Reply::status(302).header("Location", "/"));
    origin.on(
        "/private",
        Reply::ok("x").header("Cache-Control", "private"),
    );
    origin.on(
        "/no-store",
        Reply::ok("x").header("Cache-Control", "no-store"),
    );
    origin.on("/cookie", Reply::ok("x").header("Set-Cookie", "a=b"));
    origin.on("/never", Reply::ok("x").header("Cache-Control", "no-cache"));
    let edge = Edge::before(&origin).site(keys).start();
    for target in ["/error", "/moved", "/private", "/no-store", "/cookie"] {
        for _ in 0..2 {
            let answer = edge.get(target);
            assert!(!answer.cache_status().hit, "{target}: {answer:?}");
            assert_ne!(
                answer.header("cache-control").as_deref(),
                Some("public, max-age=60")
            );
        }
    }
    let visitor = get("/never").header("Cookie", "sid=1");
    for _ in 0..2 {
        edge.send(&visitor).assert_detail("no-cache-to-cookie");
    }
    edge.get("/never").assert_forwarded("uri-miss", "x");
    edge.get("/never").assert_hit("x");
    let lifting = Edge::before(&origin)
        .site(keys)
        .site("policy_may_override = [\"no-store\"]")
        .start();
    lifting.get("/no-store").assert_forwarded("uri-miss", "x");
    lifting.get("/no-store").assert_hit("x");
    assert!(!lifting.get("/private").cache_status().stored);
}

#[test]
fn greater_lifetimes_are_lowered_for_all() {
    let origin = origin(&[("Cache-Control", "public, max-age=3600, s-maxage=7200")]);
    let edge = Edge::before(&origin)
        .site("cache_control_at_most = \"5min\"")
        .start();
    for _ in 0..2 {
        let told = edge.get("/a").header("cache-control");
        assert_eq!(told.as_deref(), Some("public, max-age=300, s-maxage=300"));
    }
    edge.advance_secs(299);
    edge.get("/a").assert_hit("x");
    edge.advance_secs(1);
    edge.get("/a").assert_forwarded("stale", "x");
}

#[test]
fn policies_are_told_what_the_site_says_and_go_before_it() {
    let origin = origin(&[("Cache-Control", "max-age=1")]);
    let rules = "[policy.settings]\nrules = [{ match = [\"/a\"], ttl = 7 }]";
    let edge = Edge::before(&origin)
        .site(REPLACED)
        .policy("rules", "builtin:json-rules", rules)
        .start();
    for (target, secs) in [("/a", 7), ("/b", 60)] {
        edge.get(target);
        edge.advance_secs(secs - 1);
        edge.get(target).assert_hit("x");
        edge.advance_secs(1);
        edge.get(target).assert_forwarded("stale", "x");
    }
    let question = json!({
        "url": "/b",
        "response": { "status": 200, "headers": { "cache-control": "max-age=1" } },
    });
    let told: ExplainResponse = edge.admin_post("/explain", &question.to_string()).read();
    assert_eq!(told.response.lifetime_secs, 60, "{told:?}");
    assert!(
        told.rules.iter().any(|rule| rule.rule == "cache-control"),
        "{told:?}"
    );
}

#[test]
fn query_rules_decide_which_parameters_count() {
    for (rule, same, other, sent) in [
        ("\"none\"", &["/p", "/p?a=1", "/p?b"][..], "/q", "/p"),
        (
            "{ keep = [\"a\", \"f_*\"] }",
            &["/p?a=1&x=2", "/p?x&a=1"],
            "/p?f_1=2",
            "/p?a=1",
        ),
        (
            "{ drop = [\"utm_*\"] }",
            &["/p?b=2&a=1", "/p?a=1&utm_x=1&b=2"],
            "/p?a=2",
            "/p?a=1&b=2",
        ),
        (
            "\"all\"",
            &["/p?b=2&a=1", "/p?a=1&b=2"],
            "/p?a=1",
            "/p?a=1&b=2",
        ),
    ] {
        let origin = origin(&[("Cache-Control", "max-age=60")]);
        let edge = Edge::before(&origin)
            .site(&format!("query = {rule}"))
            .start();
        edge.get(same[0]).assert_forwarded("uri-miss", "x");
        for target in same {
            edge.get(target).assert_hit("x");
        }
        edge.get(other).assert_forwarded("uri-miss", "x");
        assert_eq!(origin.asked("/p")[0].target, sent, "{rule}");
        // A purge of a URL means what it is stored under, by whichever spelling.
        let url = format!("http://www.example{}", same[1]);
        let purged = edge.admin_post("/purge", &json!({ "url": url }).to_string());
        assert_eq!(purged.read::<PurgeResponse>().purged, 1, "{rule}");
    }
}

#[test]
fn a_policys_rule_for_the_query_goes_before_the_sites() {
    let origin = origin(&[("Cache-Control", "max-age=60")]);
    let rules = "[policy.settings]\nversion = 3\nkey.ignore_query = [\"a\"]\nrules = [{ match = [\"*\"], ttl = 60 }]";
    let edge = Edge::before(&origin)
        .site("query = \"none\"")
        .policy("rules", "builtin:json-rules", rules)
        .start();
    edge.get("/p?a=1&b=1").assert_forwarded("uri-miss", "x");
    edge.get("/p?a=2&b=1").assert_hit("x");
    edge.get("/p?b=2").assert_forwarded("uri-miss", "x");
}

#[test]
fn what_is_passed_has_its_whole_query() {
    let origin = origin(&[]);
    let edge = Edge::before(&origin)
        .site("query = \"none\"\n[[site.never]]\nmatch = [\"/p\"]")
        .start();
    edge.get("/p?b=2&a=1");
    assert_eq!(origin.asked("/p")[0].target, "/p?b=2&a=1");
}

#[test]
fn rules_that_say_nothing_are_refused() {
    let origin = origin(&[]);
    for (keys, told) in [
        ("cache_control = \"nonsense\"", "says nothing of caching"),
        ("cache_control = \"\"", "says nothing of caching"),
        (
            "cache_control = \"max-age=1h\"",
            "`1h` is not a number of seconds",
        ),
        ("query = \"some\"", "this says nothing of query parameters"),
        ("query = { keep = [] }", "these are 0 names"),
        (
            "query = { keep = [\"a\"], drop = [\"b\"] }",
            "this says nothing",
        ),
        (
            "query = { drop = [\"a=b\"] }",
            "is not the name of a parameter",
        ),
        ("query = { drop = \"a\" }", "a list was expected"),
    ] {
        let refused = Edge::before(&origin).site(keys).try_start().unwrap_err();
        assert!(refused.contains(told), "{keys}: {refused}");
    }
}

#[test]
fn a_route_says_it_in_the_place_of_its_site() {
    let routes = "query = \"none\"\ncache_control = \"max-age=60\"\ndefault_ttl = { 404 = \"5s\" }\n\
                  [[site.route]]\nmatch = [\"/img/*\"]\ncache_control = \"max-age=600\"\nquery = { keep = [\"w\"] }\n\
                  default_ttl = { 404 = \"50s\" }\n\
                  [[site.route]]\nmatch = [\"/old/*\"]\ncache_control_at_most = \"7s\"\n";
    let origin = origin(&[("Cache-Control", "max-age=1")]);
    origin.on("/img/absent", Reply::status(404));
    origin.on("/absent", Reply::status(404));
    let edge = Edge::before(&origin).site(routes).start();
    for (target, same, secs) in [
        ("/img/a?w=1&v=2", "/img/a?v=3&w=1", 600),
        ("/a?w=1", "/a", 60),
        ("/old/a", "/old/a?x", 7),
        ("/img/absent", "/img/absent?v", 50),
        ("/absent", "/absent?v", 5),
    ] {
        assert!(edge.get(target).cache_status().stored, "{target}");
        edge.advance_secs(secs - 1);
        assert!(edge.get(same).cache_status().hit, "{target}");
        edge.advance_secs(1);
        assert!(!edge.get(same).cache_status().hit, "{target}");
    }
    edge.get("/img/b?w=1").assert_forwarded("uri-miss", "x");
    edge.get("/img/b?w=2").assert_forwarded("uri-miss", "x");
    let purged = edge.admin_post("/purge", "{\"url\": \"http://www.example/img/b?v=9&w=2\"}");
    assert_eq!(purged.read::<PurgeResponse>().purged, 1);
}
