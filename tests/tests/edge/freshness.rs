//! What is stored, how long it is fresh, and what responses say about it (RFC 9111 §3, §4, §5.1).

use tero_tests::{Edge, Origin, Reply, Request, get};

/// An edge in front of an origin that answers `/x` with `reply`.
fn serving(reply: Reply) -> (Origin, Edge) {
    let origin = Origin::start();
    origin.on("/x", reply);
    let edge = Edge::before(&origin).start();
    (origin, edge)
}

/// Checks that `reply` is fresh for exactly `secs` seconds.
#[track_caller]
fn check_lifetime(reply: Reply, secs: u64) {
    let (origin, edge) = serving(reply.body("x"));
    edge.get("/x").assert_forwarded("uri-miss", "x");
    edge.advance_secs(secs - 1);
    edge.get("/x").assert_hit("x");
    assert_eq!(origin.requests("/x"), 1);
    edge.advance_secs(1);
    edge.get("/x").assert_forwarded("stale", "x");
    assert_eq!(origin.requests("/x"), 2);
}

/// Checks that `reply` to `request` is not reused: a second request reaches the origin.
#[track_caller]
fn check_not_reused(request: &Request, reply: Reply) {
    let (origin, edge) = serving(reply.body("x"));
    for count in 1..=2 {
        let answer = edge.send(request);
        assert_eq!(
            (answer.text().as_str(), answer.cache_status().hit),
            ("x", false),
            "{answer:?}"
        );
        assert_eq!(origin.requests("/x"), count);
    }
}

#[test]
fn max_age_ends_at_its_second() {
    check_lifetime(Reply::status(200).header("Cache-Control", "max-age=60"), 60);
}

#[test]
fn s_maxage_overrides_max_age() {
    check_lifetime(
        Reply::status(200).header("Cache-Control", "max-age=10, s-maxage=60"),
        60,
    );
    check_lifetime(
        Reply::status(200).header("Cache-Control", "max-age=60, s-maxage=10"),
        10,
    );
}

#[test]
fn cdn_cache_control_overrides_cache_control() {
    let both = |targeted: &str| {
        Reply::status(200)
            .header("Cache-Control", "max-age=5")
            .header("CDN-Cache-Control", targeted)
    };
    check_lifetime(both("max-age=60"), 60);
    check_not_reused(&get("/x"), both("no-store"));
}

#[test]
fn a_malformed_targeted_field_is_ignored_and_forwarded() {
    for (targeted, shared, stored) in [
        ("max-age=60", "no-store", true),
        ("no-store", "max-age=60", false),
        ("max-age=60, &&&", "no-store", false),
        ("max-age=\"60\"", "no-store", false),
        ("max-age=60.5", "no-store", false),
        ("Max-Age=60", "no-store", false),
        ("", "no-store", false),
    ] {
        let reply = Reply::ok("x")
            .header("Cache-Control", shared)
            .header("CDN-Cache-Control", targeted);
        let (origin, edge) = serving(reply);
        for _ in 0..2 {
            let answer = edge.get("/x");
            assert_eq!(
                answer.header("cdn-cache-control").as_deref(),
                Some(targeted)
            );
            assert_eq!(answer.header("cache-control").as_deref(), Some(shared));
        }
        assert_eq!(
            origin.requests("/x"),
            if stored { 1 } else { 2 },
            "{targeted}"
        );
    }
}

#[test]
fn the_site_names_its_targeted_fields() {
    let origin = Origin::start();
    origin.on(
        "/x",
        Reply::fresh(5, "x")
            .header("CDN-Cache-Control", "max-age=60")
            .header("Shop-Cache-Control", "max-age=30"),
    );
    for (keys, ttl) in [
        ("targeted_fields = [\"shop-cache-control\"]", 30),
        ("targeted_fields = []", 5),
    ] {
        let edge = Edge::before(&origin).site(keys).start();
        assert_eq!(edge.get("/x").cache_status().ttl, Some(ttl), "{keys}");
    }
}

#[test]
fn the_edges_own_targeted_field_overrides_cdn_cache_control() {
    let reply = Reply::status(200)
        .header("CDN-Cache-Control", "max-age=5")
        .header("Tero-Cache-Control", "max-age=60");
    check_lifetime(reply, 60);
}

#[test]
fn expires_is_relative_to_date() {
    let reply = Reply::status(200)
        .header("Date", "Tue, 24 Nov 2026 13:00:00 GMT")
        .header("Expires", "Tue, 24 Nov 2026 13:01:00 GMT");
    check_lifetime(reply, 60);
}

#[test]
fn the_age_from_the_next_hop_counts() {
    let (origin, edge) = serving(Reply::fresh(60, "x").header("Age", "50"));
    edge.get("/x").assert_forwarded("uri-miss", "x");
    edge.advance_secs(9);
    let answer = edge.get("/x");
    answer.assert_hit("x");
    assert_eq!(
        (answer.age(), answer.cache_status().ttl),
        (Some(59), Some(1))
    );
    edge.advance_secs(1);
    edge.get("/x").assert_forwarded("stale", "x");
    assert_eq!(origin.requests("/x"), 2);
}

#[test]
fn age_and_remaining_lifetime_are_exact_to_the_second() {
    let (_origin, edge) = serving(Reply::fresh(120, "x"));
    let first = edge.get("/x");
    assert!(first.age().unwrap_or(0) == 0, "{first:?}");
    let status = first.cache_status();
    assert_eq!(
        (status.stored, status.fwd_status, status.hit),
        (true, None.or(Some(200)), false),
        "{first:?}"
    );
    for passed in [1, 2, 118] {
        edge.turn_to(&format!(
            "2026-11-24T10:{:02}:{:02}",
            passed / 60,
            passed % 60
        ));
        let answer = edge.get("/x");
        assert_eq!(
            (answer.age(), answer.cache_status().ttl),
            (Some(passed), Some(120 - passed as i64))
        );
        assert_eq!(answer.cache_status().cache, "tero");
    }
}

#[test]
fn responses_without_a_lifetime_are_fetched_again() {
    check_not_reused(&get("/x"), Reply::status(200));
    check_not_reused(
        &get("/x"),
        Reply::status(200).header("Cache-Control", "max-age=0"),
    );
    check_not_reused(&get("/x"), Reply::status(200).header("Expires", "0"));
}

#[test]
fn responses_that_must_not_be_stored_are_not() {
    let fresh = || Reply::fresh(60, "");
    check_not_reused(&get("/x"), fresh().header("Cache-Control", "no-store"));
    check_not_reused(&get("/x"), fresh().header("Cache-Control", "private"));
    check_not_reused(&get("/x"), fresh().header("Set-Cookie", "session=1"));
    check_not_reused(&get("/x").header("Authorization", "Basic YTpi"), fresh());
    check_not_reused(&get("/x"), fresh().header("Vary", "*"));
}

#[test]
fn a_response_to_authorization_is_stored_if_the_origin_allows_it() {
    let (origin, edge) = serving(Reply::ok("x").header("Cache-Control", "public, max-age=60"));
    let request = get("/x").header("Authorization", "Basic YTpi");
    edge.send(&request).assert_forwarded("uri-miss", "x");
    edge.send(&request).assert_hit("x");
    assert_eq!(origin.requests("/x"), 1);
}

#[test]
fn no_cache_responses_are_stored_and_revalidated_on_each_use() {
    let origin = Origin::start();
    origin.on_each("/x", |asked, _| match asked.header("if-none-match") {
        Some(_) => Reply::status(304)
            .header("ETag", "\"1\"")
            .header("Cache-Control", "no-cache"),
        None => Reply::ok("x")
            .header("ETag", "\"1\"")
            .header("Cache-Control", "no-cache"),
    });
    let edge = Edge::before(&origin).start();
    assert_eq!(edge.get("/x").text(), "x");
    for count in 2..=3 {
        let answer = edge.get("/x");
        assert_eq!((answer.status, answer.text().as_str()), (200, "x"));
        assert_eq!(answer.cache_status().fwd_status, Some(304));
        assert_eq!(origin.requests("/x"), count);
    }
}

#[test]
fn a_304_makes_a_stale_response_fresh_again() {
    let origin = Origin::start();
    let modified = "Mon, 23 Nov 2026 10:00:00 GMT";
    origin.on_each("/x", move |asked, _| match asked.header("if-none-match") {
        Some(_) => Reply::status(304)
            .header("ETag", "\"1\"")
            .header("Cache-Control", "max-age=30")
            .header("X-Told", "by the 304"),
        None => Reply::fresh(60, "x")
            .header("ETag", "\"1\"")
            .header("Last-Modified", modified),
    });
    let edge = Edge::before(&origin).start();
    edge.get("/x").assert_forwarded("uri-miss", "x");
    edge.advance_secs(60);
    let answer = edge.get("/x");
    answer.assert_forwarded("stale", "x");
    assert_eq!(answer.cache_status().fwd_status, Some(304));
    assert_eq!(answer.header("x-told").as_deref(), Some("by the 304"));
    let asked = &origin.asked("/x")[1];
    assert_eq!(asked.header("if-none-match").as_deref(), Some("\"1\""));
    edge.advance_secs(29);
    edge.get("/x").assert_hit("x");
    edge.advance_secs(1);
    edge.get("/x").assert_forwarded("stale", "x");
    assert_eq!(origin.requests("/x"), 3);
}

#[test]
fn a_new_response_replaces_a_stale_one() {
    let origin = Origin::start();
    origin.on_in_turn(
        "/x",
        [
            Reply::fresh(60, "old").header("ETag", "\"1\""),
            Reply::fresh(60, "new").header("ETag", "\"2\""),
        ],
    );
    let edge = Edge::before(&origin).start();
    edge.get("/x").assert_forwarded("uri-miss", "old");
    edge.advance_secs(60);
    edge.get("/x").assert_forwarded("stale", "new");
    edge.get("/x").assert_hit("new");
}

#[test]
fn a_conditional_request_is_answered_from_the_store() {
    let (origin, edge) = serving(Reply::fresh(60, "x").header("ETag", "\"1\""));
    edge.get("/x").assert_forwarded("uri-miss", "x");
    let answer = edge.send(&get("/x").header("If-None-Match", "\"1\""));
    assert_eq!((answer.status, answer.body.len()), (304, 0));
    assert_eq!(answer.header("etag").as_deref(), Some("\"1\""));
    assert!(answer.cache_status().hit);
    edge.send(&get("/x").header("If-None-Match", "\"2\""))
        .assert_hit("x");
    assert_eq!(origin.requests("/x"), 1);
}

#[test]
fn a_conditional_request_does_not_prevent_storing() {
    let (origin, edge) = serving(Reply::fresh(60, "x").header("ETag", "\"1\""));
    let answer = edge.send(&get("/x").header("If-None-Match", "\"1\""));
    assert_eq!(answer.status, 304);
    // The store may still be reading the content.
    edge.until("/x", |answer| answer.cache_status().hit)
        .assert_hit("x");
    assert_eq!(origin.only("/x").header("if-none-match"), None);
}

#[test]
fn a_condition_is_evaluated_on_a_response_that_is_not_stored() {
    let (origin, edge) = serving(
        Reply::ok("own")
            .header("Cache-Control", "private, max-age=60")
            .header("ETag", "\"1\""),
    );
    let asking = get("/x").header("If-None-Match", "\"1\"");
    let answer = edge.send(&asking);
    assert_eq!(
        (
            answer.status,
            answer.body.len(),
            answer.header("etag").as_deref()
        ),
        (304, 0, Some("\"1\""))
    );
    assert_eq!(answer.cache_status().fwd_status, Some(200));
    assert_eq!(
        edge.send(&get("/x").header("If-None-Match", "\"2\""))
            .text(),
        "own"
    );
    // The edge now knows that the response is not storable, and forwards the condition.
    assert_eq!(
        origin
            .asked("/x")
            .pop()
            .unwrap()
            .header("if-none-match")
            .as_deref(),
        Some("\"2\"")
    );
}

#[test]
fn the_edge_adds_itself_to_via_in_both_directions() {
    let (origin, edge) = serving(Reply::fresh(60, "x").header("Via", "1.1 inner"));
    for _ in 0..2 {
        let answer = edge.send(&get("/x").header("Via", "1.0 outer"));
        assert_eq!(answer.header("via").as_deref(), Some("1.1 inner, 1.1 tero"));
    }
    assert_eq!(
        origin.only("/x").header("via").as_deref(),
        Some("1.0 outer, 1.1 tero")
    );
}

#[test]
fn a_request_that_returns_to_the_edge_gets_508() {
    let (origin, edge) = serving(Reply::fresh(60, "x"));
    edge.get("/x").assert_forwarded("uri-miss", "x");
    let looped = origin
        .only("/x")
        .header("cdn-loop")
        .expect("the edge marks its requests");
    let answer = edge.send(&get("/y").header("CDN-Loop", looped));
    assert_eq!(answer.status, 508);
    assert_eq!(origin.requests("/y"), 0);
}

#[test]
fn hop_by_hop_fields_are_not_forwarded() {
    let (origin, edge) = serving(
        Reply::fresh(60, "x")
            .header("Connection", "X-Inner")
            .header("X-Inner", "1")
            .header("X-Kept", "1"),
    );
    let request = get("/x")
        .header("Connection", "X-Outer")
        .header("X-Outer", "1")
        .header("X-Sent", "1")
        .header("TE", "trailers");
    let answer = edge.send(&request);
    assert_eq!(
        (answer.header("x-inner"), answer.header("x-kept").as_deref()),
        (None, Some("1"))
    );
    let asked = origin.only("/x");
    assert_eq!(
        (asked.header("x-outer"), asked.header("x-sent").as_deref()),
        (None, Some("1"))
    );
}

#[test]
fn cache_status_of_inner_caches_is_kept() {
    let (_origin, edge) =
        serving(Reply::fresh(60, "x").header("Cache-Status", "shield; hit; ttl=9"));
    let answer = edge.get("/x");
    assert!(
        answer
            .header("cache-status")
            .unwrap()
            .starts_with("shield; hit; ttl=9, tero; fwd=uri-miss"),
        "{answer:?}"
    );
}

#[test]
fn client_directives_are_ignored_unless_the_site_obeys_them() {
    let (origin, edge) = serving(Reply::fresh(60, "x"));
    let reload = get("/x").header("Cache-Control", "no-cache");
    edge.get("/x").assert_forwarded("uri-miss", "x");
    edge.send(&reload).assert_hit("x");
    edge.send(&get("/x").header("Pragma", "no-cache"))
        .assert_hit("x");
    assert_eq!(origin.requests("/x"), 1);

    let obeying = Edge::before(&origin)
        .site("client_directives = \"obey\"")
        .start();
    obeying.get("/x").assert_forwarded("uri-miss", "x");
    obeying.send(&reload).assert_forwarded("request", "x");
    assert_eq!(origin.requests("/x"), 3);
}

#[test]
fn only_if_cached_never_reaches_the_origin() {
    let (origin, edge) = serving(Reply::fresh(60, "x"));
    let request = get("/x").header("Cache-Control", "only-if-cached");
    edge.send(&request).assert_failed(504, "only-if-cached");
    assert_eq!(origin.total(), 0);
    edge.get("/x").assert_forwarded("uri-miss", "x");
    edge.send(&request).assert_hit("x");
}

#[test]
fn only_storable_errors_are_stored() {
    let (origin, edge) = serving(
        Reply::status(404)
            .header("Cache-Control", "max-age=60")
            .body("none"),
    );
    for _ in 0..2 {
        assert_eq!(edge.get("/x").status, 404);
    }
    assert_eq!(origin.requests("/x"), 1);
    let (origin, edge) = serving(Reply::status(500).body("broken"));
    for count in 1..=2 {
        let answer = edge.get("/x");
        assert_eq!((answer.status, answer.text().as_str()), (500, "broken"));
        assert_eq!(origin.requests("/x"), count);
    }
}

#[test]
fn a_chunked_response_is_stored() {
    let (origin, edge) = serving(Reply::fresh(60, "in chunks").chunked());
    edge.get("/x").assert_forwarded("uri-miss", "in chunks");
    let answer = edge.get("/x");
    answer.assert_hit("in chunks");
    assert_eq!(
        (
            answer.header("content-length").as_deref(),
            origin.requests("/x")
        ),
        (Some("9"), 1)
    );
}

#[test]
fn a_response_larger_than_max_object_is_forwarded_and_not_stored() {
    let origin = Origin::start();
    let large = "l".repeat(5_000);
    for (path, reply) in [
        ("/length", Reply::fresh(60, &large)),
        ("/chunked", Reply::fresh(60, &large).chunked()),
    ] {
        origin.on(path, reply);
    }
    origin.on("/fits", Reply::fresh(60, "f".repeat(4_096)));
    let edge = Edge::before(&origin).cache("max_object = \"4KiB\"").start();
    for path in ["/length", "/chunked"] {
        for count in 1..=2 {
            let answer = edge.get(path);
            assert_eq!((answer.status, answer.whole), (200, true), "{path}");
            assert!(answer.text() == large, "{path}");
            assert_eq!(origin.requests(path), count, "{path}");
        }
    }
    edge.get("/fits");
    assert!(edge.get("/fits").cache_status().hit);
}

#[test]
fn a_304_that_sets_a_cookie_is_for_its_visitor_only() {
    let origin = Origin::start();
    let edge = Edge::before(&origin).start();
    let stored = Reply::fresh(10, "x")
        .header("ETag", "\"a\"")
        .header("X-User", "nobody");
    let not_modified = |number: usize| {
        let reply = Reply::status(304)
            .header("ETag", "\"a\"")
            .header("Cache-Control", "max-age=10");
        reply
            .header("Set-Cookie", format!("visitor={number}"))
            .header("X-User", number.to_string())
    };
    origin.on_each("/x", move |_, nth| {
        if nth == 0 {
            stored.clone()
        } else {
            not_modified(nth)
        }
    });
    edge.get("/x").assert_forwarded("uri-miss", "x");
    edge.advance_secs(10);
    for visitor in 1..=2_usize {
        let answer = edge.get("/x");
        answer.assert_forwarded("stale", "x");
        let expected = (
            Some(format!("visitor={visitor}")),
            Some(visitor.to_string()),
        );
        assert_eq!(
            (answer.header("set-cookie"), answer.header("x-user")),
            expected,
            "{answer:?}"
        );
    }
}

#[test]
fn a_head_freshens_the_stored_response_without_a_date() {
    let origin = Origin::start();
    let edge = Edge::before(&origin).start();
    let reply = |user: &str| {
        Reply::fresh(10, "x")
            .header("ETag", "\"a\"")
            .header("X-User", user)
    };
    origin.on_in_turn("/x", [reply("1"), reply("2")]);
    edge.get("/x").assert_forwarded("uri-miss", "x");
    edge.advance_secs(10);
    let answer = edge.send(&Request::new("HEAD", "/x"));
    assert_eq!(
        answer.header("date").as_deref(),
        Some("Tue, 24 Nov 2026 13:00:10 GMT"),
        "{answer:?}"
    );
    let answer = edge.get("/x");
    answer.assert_hit("x");
    assert_eq!(
        (answer.age(), answer.header("x-user").as_deref()),
        (Some(0), Some("2"))
    );
}

#[test]
fn a_head_that_sets_a_cookie_does_not_change_the_stored_response() {
    let origin = Origin::start();
    let edge = Edge::before(&origin).start();
    let get = Reply::fresh(10, "x")
        .header("ETag", "\"a\"")
        .header("X-User", "nobody");
    let head = Reply::fresh(10, "x")
        .header("ETag", "\"a\"")
        .header("X-User", "1")
        .header("Set-Cookie", "visitor=1");
    origin.on_each("/x", move |asked, _| {
        if asked.method == "HEAD" {
            head.clone()
        } else {
            get.clone()
        }
    });
    edge.get("/x").assert_forwarded("uri-miss", "x");
    edge.advance_secs(10);
    assert_eq!(
        edge.send(&Request::new("HEAD", "/x"))
            .header("set-cookie")
            .as_deref(),
        Some("visitor=1")
    );
    let answer = edge.get("/x");
    answer.assert_forwarded("stale", "x");
    assert_eq!(answer.header("x-user").as_deref(), Some("nobody"));
}
