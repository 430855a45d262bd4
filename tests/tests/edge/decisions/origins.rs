//! What the origin is asked: path, query, fields, and which origin.

use tero_tests::{Edge, Origin, Reply, Request, eventually, get};

use super::{deciding, echo, told, with_market};

#[test]
fn the_origin_is_asked_for_the_path_and_query_that_a_policy_gives() {
    let origin = echo();
    let settings = r#"on_request = [
        { path = "/shop", rewrite_path = "/v2{path}" },
        { path = "/q", rewrite_query = "a=1&utm_source=x&b=2", only_query = ["b", "a"] },
        { path = "/none", rewrite_query = "" },
    ]"#;
    let edge = deciding(&origin, settings).start();
    edge.get("/shop/a?b=1")
        .assert_forwarded("uri-miss", "/v2/shop/a?b=1");
    edge.get("/shop/a?b=1").assert_hit("/v2/shop/a?b=1");
    // The rule for the query applies to the one that the policy gives.
    edge.get("/q?c=3")
        .assert_forwarded("uri-miss", "/q?a=1&b=2");
    edge.get("/none?c=3").assert_forwarded("uri-miss", "/none");
    // What passes is changed too; the rule for the query is for what may be stored.
    let post = |target: &str| edge.send(&Request::new("POST", target).body("x")).text();
    assert_eq!(post("/shop/a?b=1"), "/v2/shop/a?b=1");
    assert_eq!(post("/q?c=3"), "/q?a=1&utm_source=x&b=2");
    let head = edge.send(&Request::new("HEAD", "/shop/head"));
    assert_eq!((head.status, origin.requests("/v2/shop/head")), (200, 1));
}

#[test]
fn every_request_for_a_response_repeats_the_changes() {
    let origin = Origin::start();
    origin.otherwise(|asked| match asked.header("if-none-match") {
        Some(_) => {
            Reply::status(304).header("Cache-Control", "max-age=10, stale-while-revalidate=10")
        }
        None => Reply::ok(told(asked))
            .header("ETag", "\"1\"")
            .header("Cache-Control", "max-age=10, stale-while-revalidate=10"),
    });
    let settings = r#"on_request = [{ path = "/", rewrite_path = "/v2{path}", set_request = { x-tenant = "a" }, remove_request = ["x-more"] }]"#;
    let edge = deciding(&origin, settings).start();
    let request = get("/a")
        .header("X-More", "yes")
        .header("X-Tenant", "forged");
    edge.send(&request)
        .assert_forwarded("uri-miss", "/v2/a x-tenant=a");
    // In the background.
    edge.advance_secs(11);
    assert_eq!(edge.send(&request).text(), "/v2/a x-tenant=a");
    eventually("revalidated", || {
        origin.requests("/v2/a") == 2 && edge.is_quiet()
    });
    // With the visitor waiting.
    edge.advance_secs(40);
    edge.send(&request)
        .assert_forwarded("stale", "/v2/a x-tenant=a");
    assert_eq!(origin.requests("/v2/a"), 3);
    for asked in origin.asked("/v2/a") {
        assert_eq!(asked.header("x-tenant").as_deref(), Some("a"));
        assert_eq!(asked.header("x-more"), None);
    }
    assert_eq!(origin.total(), 3);
}

#[test]
fn a_policy_goes_before_the_configuration_in_fields_of_requests() {
    let origin = echo();
    let settings = r#"on_request = [{ path = "/", set_request = { x-tenant = "policy" } }]"#;
    let edge = deciding(&origin, settings)
        .site("request_fields = { set = { X-Tenant = \"site\", X-More = \"site\" } }")
        .start();
    edge.get("/a")
        .assert_forwarded("uri-miss", "/a x-tenant=policy x-more=site");
}

#[test]
fn a_field_that_a_policy_sets_selects_no_stored_response() {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let language = asked.header("accept-language").unwrap_or_default();
        Reply::fresh(60, language).header("Vary", "Accept-Language")
    });
    let settings = r#"on_request = [
        { path = "/one", set_request = { accept-language = "es" } },
        { path = "/none", remove_request = ["accept-language"] },
    ]"#;
    let edge = deciding(&origin, settings).start();
    let ask =
        |path: &str, language: &str| edge.send(&get(path).header("Accept-Language", language));
    for (path, page) in [("/one", "es"), ("/none", "")] {
        ask(path, "de").assert_forwarded("uri-miss", page);
        ask(path, "en").assert_hit(page);
        edge.get(path).assert_hit(page);
    }
    ask("/other", "de").assert_forwarded("uri-miss", "de");
    ask("/other", "en").assert_forwarded("vary-miss", "en");
}

#[test]
fn the_origin_that_a_policy_names_is_asked_and_no_other_in_its_place() {
    let (eu, us) = (Origin::start(), Origin::start());
    eu.otherwise(|_| Reply::fresh(10, "eu"));
    us.otherwise(|_| Reply::fresh(10, "us"));
    let settings = r#"
cookies = ["market"]
origins = ["eu", "us"]
on_request = [{ path = "/", origin = "{cookie:market}" }]
"#;
    let hop =
        |name: &str, origin: &Origin| format!("name = \"{name}\"\nurl = \"{}\"", origin.url());
    let edge = deciding(&eu, settings)
        .next_hop(&hop("eu", &eu))
        // Other requests don't go to it.
        .next_hop(&(hop("us", &us) + "\nonly_by_name = true"))
        .site("stale_if_error = \"0s\"")
        .start();
    for round in 0..3 {
        for market in ["eu", "us"] {
            let answer = edge.send(&with_market("/a", market));
            assert_eq!(answer.text(), market);
            assert_eq!(answer.cache_status().hit, round > 0);
        }
    }
    assert_eq!((eu.total(), us.total()), (1, 1));
    // With the named one down, nothing of another one is served as its answer.
    eu.stop();
    edge.advance_secs(10);
    edge.send(&with_market("/a", "eu")).assert_failed(502, "");
    edge.send(&with_market("/b", "eu")).assert_failed(502, "");
    edge.send(&with_market("/b", "us"))
        .assert_forwarded("uri-miss", "us");
    assert_eq!(us.requests("/a"), 1);
}

#[test]
fn names_of_origins_and_classes_that_there_are_not_are_refused_at_start() {
    let origin = echo();
    let refused = |settings: &str, site: &str, parts: &[&str]| {
        let builder = deciding(&origin, settings)
            .next_hop(&format!("name = \"eu\"\nurl = \"{}\"", origin.url()))
            .section(site);
        let message = match builder.try_start() {
            Ok(_) => panic!("it is refused: {settings}"),
            Err(message) => message,
        };
        for part in parts {
            assert!(message.contains(part), "{part}: {message}");
        }
    };
    refused("origins = [\"asia\"]", "", &["rules", "asia", "eu", "site"]);
    refused(
        "rate_classes = [\"search\"]",
        "",
        &["rules", "search", "site"],
    );
    let limit = "[[limit]]\nname = \"l\"\nrequests = 1\nclass = \"find\"\n";
    refused("rate_classes = [\"search\"]", limit, &["search", "find"]);
    let elsewhere = "[[limit]]\nname = \"l\"\nrequests = 1\nclass = \"search\"\nsites = [\"other\"]\n[[site]]\nname = \"other\"\nhosts = [\"other.example\"]\norigins = [\"http://127.0.0.1:1\"]\n";
    refused("rate_classes = [\"search\"]", elsewhere, &["search"]);
    let builder = deciding(&origin, "origins = [\"eu\"]\nrate_classes = [\"find\"]")
        .next_hop(&format!("name = \"eu\"\nurl = \"{}\"", origin.url()))
        .section(limit);
    let edge: Edge = builder.start();
    // A reload without them is refused too, and what ran goes on.
    let without = deciding(&origin, "origins = [\"eu\"]\nrate_classes = [\"find\"]");
    let message = edge.reload(&without).unwrap_err();
    assert!(
        message.contains("find") || message.contains("eu"),
        "{message}"
    );
    edge.get("/a").assert_forwarded("uri-miss", "/a");
}
