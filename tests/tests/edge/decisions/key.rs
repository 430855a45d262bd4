//! Parts of the key, and what works over all of a URL's keys.

use tero_tests::{Edge, Origin, Reply, Request, eventually, folder, get};

use super::{deciding, echo, explain, purge, told, with_market};

/// The market of a visitor's cookie is part of the key, and the origin is told it.
const MARKETS: &str = r#"
cookies = ["market"]
on_request = [{ path = "/", key_parts = { market = "{cookie:market}" }, set_request = { x-tenant = "m{cookie:market}" } }]
"#;

/// Parts of the key alone.
const PARTS: &str = r#"
cookies = ["market"]
on_request = [{ path = "/", key_parts = { market = "{cookie:market}" } }]
"#;

#[track_caller]
fn assert_stored(edge: &Edge, target: &str, markets: &[&str]) {
    for market in markets {
        let page = format!("{target} x-tenant=m{market}");
        edge.send(&with_market(target, market)).assert_hit(&page);
    }
}

#[track_caller]
fn store(edge: &Edge, target: &str, markets: &[&str]) {
    for market in markets {
        let page = format!("{target} x-tenant=m{market}");
        let answer = edge.send(&with_market(target, market));
        answer.assert_forwarded("uri-miss", &page);
    }
    assert_stored(edge, target, markets);
}

#[test]
fn responses_with_other_parts_of_the_key_are_stored_apart() {
    let origin = echo();
    let edge = deciding(&origin, MARKETS).start();
    store(&edge, "/a?b=1", &["ar", "uy", "cl"]);
    assert_eq!(origin.total(), 3);
}

#[test]
fn a_purge_of_a_url_means_it_under_every_part_of_the_key() {
    let origin = echo();
    let edge = deciding(&origin, MARKETS).start();
    let markets = ["ar", "uy", "cl"];
    store(&edge, "/a", &markets);
    store(&edge, "/ab", &markets);
    assert_eq!(purge(&edge, r#"{"url": "http://www.example/a"}"#), 3);
    assert_stored(&edge, "/ab", &markets);
    store(&edge, "/a", &markets);
    assert_eq!(
        purge(&edge, r#"{"url": "https://www.example/a", "soft": true}"#),
        3
    );
    let stale = edge.send(&with_market("/a", "uy"));
    assert_eq!(stale.cache_status().fwd.as_deref(), Some("stale"));
    assert_eq!(purge(&edge, r#"{"prefix": "http://www.example/ab"}"#), 3);
    assert_eq!(purge(&edge, r#"{"site": "site"}"#), 3);
}

#[test]
fn a_purge_by_surrogate_key_means_responses_under_every_part_of_the_key() {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(60, told(asked)).header("Surrogate-Key", "all"));
    let edge = deciding(&origin, MARKETS).start();
    store(&edge, "/a", &["ar", "uy"]);
    assert_eq!(purge(&edge, r#"{"tag": "all"}"#), 2);
    store(&edge, "/a", &["ar", "uy"]);
}

#[test]
fn an_unsafe_request_makes_a_url_invalid_under_every_part_of_the_key() {
    let origin = echo();
    let edge = deciding(&origin, MARKETS).start();
    store(&edge, "/a", &["ar", "uy"]);
    store(&edge, "/b", &["ar"]);
    let post = Request::new("POST", "/a")
        .header("Cookie", "market=cl")
        .body("x");
    assert_eq!(edge.send(&post).status, 200);
    store(&edge, "/a", &["ar", "uy"]);
    assert_stored(&edge, "/b", &["ar"]);
}

#[test]
fn what_was_asked_for_before_a_purge_is_not_stored_after_it() {
    let origin = echo();
    let edge = deciding(&origin, MARKETS).start();
    origin.hold();
    let mut client = edge.client();
    client.start(&with_market("/a", "ar"));
    origin.wait_for("/a", 1);
    purge(&edge, r#"{"url": "http://www.example/a"}"#);
    origin.release();
    let mut answer = client.head();
    client.rest(&mut answer);
    assert_eq!(answer.text(), "/a x-tenant=mar");
    store(&edge, "/a", &["ar"]);
}

#[test]
fn only_requests_with_the_same_parts_share_a_fetch() {
    let origin = echo();
    let edge = deciding(&origin, MARKETS).start();
    origin.hold();
    let mut clients: Vec<_> = ["ar", "uy", "ar", "uy", "ar"]
        .into_iter()
        .map(|market| {
            let mut client = edge.client();
            client.start(&with_market("/a", market));
            (market, client)
        })
        .collect();
    origin.wait_for("/a", 2);
    origin.release();
    for (market, client) in &mut clients {
        let mut answer = client.head();
        client.rest(&mut answer);
        assert_eq!(answer.text(), format!("/a x-tenant=m{market}"));
    }
    assert_eq!(origin.total(), 2);
}

#[test]
fn new_values_pass_beyond_the_bound_and_those_of_others_stay() {
    let origin = echo();
    let edge = deciding(&origin, PARTS).site("max_key_values = 2").start();
    let ask = |market: &str| edge.send(&with_market("/a", market));
    ask("ar").assert_forwarded("uri-miss", "/a");
    ask("uy").assert_forwarded("uri-miss", "/a");
    for made_up in ["x1", "x2", "x1"] {
        let passed = ask(made_up);
        passed.assert_forwarded("bypass", "/a");
        passed.assert_detail("more key values than max_key_values");
    }
    ask("ar").assert_hit("/a");
    ask("uy").assert_hit("/a");
    // Another page of a known value is stored.
    edge.send(&with_market("/b", "ar"))
        .assert_forwarded("uri-miss", "/b");
    edge.send(&with_market("/b", "ar")).assert_hit("/b");
    let site = &["site=\"site\""];
    assert_eq!(edge.metric("tero_key_values", site), 2.0);
    assert_eq!(edge.metric("tero_key_values_passed_total", site), 3.0);
    let explained = explain(&edge, "/a");
    assert_eq!(explained.would.outcome, "pass", "{explained:?}");
    // A day after its last request a value makes room, and not a second before.
    edge.advance_secs(86_398);
    edge.send(&with_market("/c", "ar"))
        .assert_forwarded("uri-miss", "/c");
    ask("cl").assert_forwarded("bypass", "/a");
    edge.advance_secs(2);
    ask("cl").assert_forwarded("uri-miss", "/a");
    ask("cl").assert_hit("/a");
    assert_eq!(ask("uy").cache_status().fwd.as_deref(), Some("stale"));
}

#[test]
fn hits_that_a_disk_alone_answers_keep_a_value_in_use() {
    let (origin, folder) = (Origin::start(), folder());
    // Too large for memory.
    let page = "page".repeat(50_000);
    let sent = page.clone();
    origin.otherwise(move |_| Reply::fresh(7 * 86_400, &sent));
    let path = folder.path().join("disk");
    let edge = deciding(&origin, PARTS)
        .site("max_key_values = 1")
        .cache("max_object = \"100KiB\"")
        .section(&format!(
            "[[cache.disk]]\npath = {path:?}\nsize = \"64MiB\"\n"
        ))
        .start();
    let ask = |market: &str| edge.send(&with_market("/a", market));
    ask("ar").assert_forwarded("uri-miss", &page);
    eventually("it is stored", || edge.is_quiet());
    edge.settle_disks();
    for _ in 0..3 {
        edge.advance_secs(10 * 3_600);
        ask("ar").assert_hit(&page);
    }
    // The value was fetched more than a day ago, and was asked for a moment ago.
    ask("uy").assert_forwarded("bypass", &page);
    edge.advance_secs(24 * 3_600);
    ask("uy").assert_forwarded("uri-miss", &page);
}

#[test]
fn a_bound_of_values_is_within_its_range() {
    let origin = echo();
    let bounded = |most: &str| deciding(&origin, PARTS).site(&format!("max_key_values = {most}"));
    assert!(bounded("0").try_start().is_err());
    assert!(bounded("1000001").try_start().is_err());
    bounded("1").start();
    bounded("1000000").start();
}

/// Two decisions that differ in what the origin is asked never share a stored response, and equal ones
/// do.
#[test]
fn no_answer_is_one_to_another_question_of_the_origin() {
    let (one, other) = (Origin::start(), Origin::start());
    one.otherwise(|asked| Reply::fresh(60, format!("one {}", told(asked))));
    other.otherwise(|asked| Reply::fresh(60, format!("other {}", told(asked))));
    let settings = r#"
headers = ["x-path", "x-query", "x-origin", "x-part", "x-value"]
origins = ["one", "other"]
on_request = [{ path = "/", key_parts = { part = "{header:x-part}" }, rewrite_path = "{header:x-path}", rewrite_query = "{header:x-query}", origin = "{header:x-origin}", set_request = { x-tenant = "v{header:x-value}" } }]
"#;
    let builder = deciding(&one, settings);
    let builder =
        [("one", &one), ("other", &other)]
            .iter()
            .fold(builder, |builder, (name, origin)| {
                builder.next_hop(&format!("name = \"{name}\"\nurl = \"{}\"", origin.url()))
            });
    let edge = builder.start();
    let mut questions = Vec::new();
    for path in ["/a", "/a/b", "/k1:a"] {
        for query in ["", "b=1", "b=1v1:x"] {
            for origin in ["one", "other"] {
                for value in ["", "1", "k4:part"] {
                    questions.push((path, query, origin, value));
                }
            }
        }
    }
    let mut client = edge.client();
    for round in 0..3 {
        // In another order each time.
        for place in 0..questions.len() {
            let (path, query, origin, value) = questions[place * (7 + 4 * round) % questions.len()];
            let request = ["p", "q"].map(|part| {
                get("/page")
                    .header("X-Path", path)
                    .header("X-Query", query)
                    .header("X-Origin", origin)
                    .header("X-Value", value)
                    .header("X-Part", part)
            });
            for request in &request {
                let answer = client.send(request);
                let target = match query {
                    "" => path.to_owned(),
                    query => format!("{path}?{query}"),
                };
                assert_eq!(
                    answer.text(),
                    format!("{origin} {target} x-tenant=v{value}")
                );
                assert_eq!(answer.cache_status().hit, round > 0, "{answer:?}");
            }
        }
    }
    assert_eq!(one.total() + other.total(), 2 * questions.len());
}

#[test]
fn a_shield_stores_apart_what_an_edge_does() {
    let origin = echo();
    // The shield has the policies of the edge, too, and does nothing of it twice.
    let settings = r#"
cookies = ["market"]
on_request = [{ path = "/", key_parts = { market = "{cookie:market}" }, rewrite_path = "/v2{path}", set_request = { x-tenant = "m{cookie:market}" } }]
"#;
    let shield = deciding(&origin, settings)
        .server("trusted_edges = [\"127.0.0.1\"]")
        .start();
    let url = format!("http://{}", shield.address());
    let before = |url: &str| super::with_policy(Edge::before_url(url), "rules", settings).start();
    let (one, other) = (before(&url), before(&url));
    for market in ["ar", "uy"] {
        let page = format!("/v2/a x-tenant=m{market}");
        for edge in [&one, &other, &one] {
            let answer = edge.send(&with_market("/a", market));
            assert_eq!(
                (answer.status, answer.text()),
                (200, page.clone()),
                "{answer:?}"
            );
        }
    }
    assert_eq!(origin.total(), 2);
    // At the shield, the URL is the one that edges ask for.
    assert_eq!(purge(&shield, r#"{"url": "http://www.example/v2/a"}"#), 2);
}
