//! When stale responses are served, and when they must not be (RFC 9111 §4.2.4, RFC 5861).

use tero_tests::{Answer, Edge, Origin, Reply, Request, eventually, get};

/// An edge that has stored `old` under `/x`, with this `Cache-Control`.
fn with_stored(cache_control: &str) -> (Origin, Edge) {
    let origin = Origin::start();
    origin.on(
        "/x",
        Reply::ok("old").header("Cache-Control", cache_control),
    );
    let edge = Edge::before(&origin)
        .site("response_timeout = \"5s\"\nconnect_timeout = \"2s\"\nstale_if_error = \"0s\"")
        .start();
    edge.get("/x").assert_forwarded("uri-miss", "old");
    (origin, edge)
}

#[track_caller]
fn assert_stale(answer: &Answer, ttl: i64) {
    assert_eq!(
        (answer.status, answer.text().as_str(), answer.whole),
        (200, "old", true),
        "{answer:?}"
    );
    assert_eq!(answer.cache_status().ttl, Some(ttl), "{answer:?}");
}

#[test]
fn a_stale_response_is_served_while_one_request_revalidates() {
    let (origin, edge) = with_stored("max-age=10, stale-while-revalidate=60");
    origin.on("/x", Reply::fresh(10, "new"));
    edge.advance_secs(15);
    origin.hold();
    for _ in 0..5 {
        let answer = edge.get("/x");
        assert_stale(&answer, -5);
        assert_eq!(answer.age(), Some(15));
    }
    origin.wait_for("/x", 2);
    assert_stale(&edge.get("/x"), -5);
    assert_eq!(origin.requests("/x"), 2);
    origin.release();
    edge.until("/x", |answer| answer.text() == "new")
        .assert_hit("new");
    assert_eq!(origin.requests("/x"), 2);
    assert_eq!(
        edge.metric("tero_requests_total", &["outcome=\"miss\""]),
        1.0
    );
    assert!(edge.metric("tero_requests_total", &["outcome=\"stale\""]) >= 6.0);
}

#[test]
fn stale_while_revalidate_ends_at_its_second() {
    let (origin, edge) = with_stored("max-age=10, stale-while-revalidate=60");
    origin.on("/x", Reply::fresh(10, "new"));
    origin.hold();
    edge.advance_secs(69);
    assert_stale(&edge.get("/x"), -59);
    origin.wait_for("/x", 2);
    origin.release();
    edge.until("/x", |answer| answer.text() == "new");

    let (origin, edge) = with_stored("max-age=10, stale-while-revalidate=60");
    origin.on("/x", Reply::fresh(10, "new"));
    edge.advance_secs(70);
    edge.get("/x").assert_forwarded("stale", "new");
    assert_eq!(origin.requests("/x"), 2);
}

#[test]
fn a_failed_background_revalidation_keeps_the_stale_response() {
    let (origin, edge) = with_stored("max-age=10, stale-while-revalidate=60");
    origin.on("/x", Reply::reset());
    edge.advance_secs(15);
    assert_stale(&edge.get("/x"), -5);
    origin.wait_for("/x", 2);
    // This request may or may not begin another revalidation: the edge may not have noticed the
    // failure yet.
    assert_stale(&edge.get("/x"), -5);
    eventually("the end of all fetches", || edge.is_quiet());
    origin.on("/x", Reply::fresh(10, "new"));
    edge.advance_secs(10);
    edge.until("/x", |answer| answer.text() == "new")
        .assert_hit("new");
}

#[test]
fn a_refused_connection_is_bridged_until_stale_if_error_ends() {
    let (origin, edge) = with_stored("max-age=10, stale-if-error=60");
    origin.stop();
    edge.advance_secs(10);
    let answer = edge.get("/x");
    assert_stale(&answer, 0);
    answer.assert_detail("origin");
    edge.advance_secs(59);
    assert_stale(&edge.get("/x"), -59);
    edge.advance_secs(1);
    edge.get("/x").assert_failed(502, "origin");
}

#[test]
fn a_reset_connection_is_bridged() {
    let (origin, edge) = with_stored("max-age=10, stale-if-error=60");
    origin.on("/x", Reply::reset());
    edge.advance_secs(15);
    let answer = edge.get("/x");
    assert_stale(&answer, -5);
    answer.assert_detail("origin");
}

#[test]
fn a_silent_origin_is_bridged_after_its_timeout() {
    let (origin, edge) = with_stored("max-age=10, stale-if-error=60");
    origin.on("/x", Reply::silence());
    edge.advance_secs(15);
    let mut client = edge.client();
    client.start(&tero_tests::get("/x"));
    origin.wait_for("/x", 2);
    edge.advance_secs(6);
    let mut answer = client.head();
    client.rest(&mut answer);
    assert_stale(&answer, -11);
    answer.assert_detail("origin");
}

#[test]
fn server_errors_are_bridged_and_other_errors_are_not() {
    for status in [500, 502, 503, 504] {
        let (origin, edge) = with_stored("max-age=10, stale-if-error=60");
        origin.on("/x", Reply::status(status).body("error"));
        edge.advance_secs(15);
        let answer = edge.get("/x");
        assert_stale(&answer, -5);
        assert_eq!(answer.cache_status().fwd_status, Some(status));
        edge.advance_secs(55);
        let answer = edge.get("/x");
        assert_eq!((answer.status, answer.text().as_str()), (status, "error"));
    }
    let (origin, edge) = with_stored("max-age=10, stale-if-error=60");
    origin.on("/x", Reply::status(404).body("gone"));
    edge.advance_secs(15);
    assert_eq!(edge.get("/x").status, 404);
}

#[test]
fn must_revalidate_is_never_served_stale() {
    for directive in ["must-revalidate", "proxy-revalidate", "no-cache"] {
        let (origin, edge) = with_stored(&format!(
            "max-age=10, {directive}, stale-if-error=60, stale-while-revalidate=60"
        ));
        origin.stop();
        edge.advance_secs(10);
        let answer = edge.get("/x");
        assert!(
            matches!(answer.status, 502 | 504),
            "{directive}: {answer:?}"
        );
        answer.assert_detail("origin");
    }
}

#[test]
fn nothing_is_served_stale_without_permission() {
    let (origin, edge) = with_stored("max-age=10");
    edge.advance_secs(9);
    origin.stop();
    edge.get("/x").assert_hit("old");
    edge.advance_secs(1);
    edge.get("/x").assert_failed(502, "origin");
}

#[test]
fn by_default_stale_responses_bridge_an_hour_of_failure() {
    let origin = Origin::start();
    origin.on("/x", Reply::fresh(10, "old"));
    for (path, said) in [
        ("/must", "max-age=10, must-revalidate"),
        ("/proxy", "max-age=10, proxy-revalidate"),
        ("/shared", "s-maxage=10"),
        ("/each", "no-cache"),
        ("/never", "max-age=0"),
    ] {
        origin.on(
            path,
            Reply::ok("old")
                .header("Cache-Control", said)
                .header("ETag", "\"1\""),
        );
    }
    let edge = Edge::before(&origin).start();
    let forbidden = ["/must", "/proxy", "/shared", "/each", "/never"];
    for path in ["/x"].iter().chain(&forbidden) {
        edge.get(path).assert_forwarded("uri-miss", "old");
    }
    origin.stop();
    edge.advance_secs(10);
    for path in forbidden {
        edge.get(path).assert_failed(502, "origin");
    }
    edge.advance_secs(3_599);
    assert_stale(&edge.get("/x"), -3_599);
    edge.advance_secs(1);
    edge.get("/x").assert_failed(502, "origin");
}

#[test]
fn the_sites_stale_times_apply_if_the_response_has_none() {
    let origin = Origin::start();
    origin.on("/x", Reply::fresh(10, "old"));
    origin.on(
        "/own",
        Reply::ok("old").header("Cache-Control", "max-age=10, stale-if-error=0"),
    );
    let edge = Edge::before(&origin)
        .site("stale_if_error = \"60s\"\nstale_while_revalidate = \"5s\"")
        .start();
    edge.get("/x").assert_forwarded("uri-miss", "old");
    edge.get("/own").assert_forwarded("uri-miss", "old");
    origin.stop();
    edge.advance_secs(14);
    let answer = edge.get("/x");
    assert_stale(&answer, -4);
    edge.advance_secs(55);
    assert_stale(&edge.get("/x"), -59);
    edge.get("/own").assert_failed(502, "origin");
    edge.advance_secs(1);
    edge.get("/x").assert_failed(502, "origin");
}

#[test]
fn a_site_survives_an_outage_of_its_origin() {
    let (origin, edge) = with_stored("max-age=10, stale-if-error=3600");
    origin.stop();
    edge.advance_secs(600);
    assert_stale(&edge.get("/x"), -590);
    origin.on("/x", Reply::fresh(10, "new"));
    origin.start_again();
    // The first visitor after the rest does not take the risk, and the page is asked for.
    edge.advance_secs(60);
    assert_stale(&edge.get("/x"), -650);
    edge.until("/x", |answer| answer.text() == "new")
        .assert_hit("new");
}

#[test]
fn a_private_response_does_not_replace_the_shared_one() {
    for (field, value) in [("Authorization", "Basic YTpi"), ("Cookie", "session=1")] {
        for theirs in [
            Reply::ok("theirs").header("Cache-Control", "private, max-age=10"),
            Reply::fresh(10, "theirs").header("Set-Cookie", "a=b"),
        ] {
            let (origin, edge) = with_stored("max-age=10, stale-if-error=600");
            origin.on("/x", theirs);
            edge.advance_secs(15);
            edge.send(&get("/x").header(field, value))
                .assert_forwarded("stale", "theirs");
            origin.stop();
            assert_stale(&edge.get("/x"), -5);
        }
    }
}

#[test]
fn a_response_withdrawn_by_no_store_is_not_served_stale() {
    let (origin, edge) = with_stored("max-age=10, stale-if-error=600");
    origin.on("/x", Reply::ok("new").header("Cache-Control", "no-store"));
    edge.advance_secs(15);
    edge.get("/x").assert_forwarded("stale", "new");
    origin.stop();
    assert_eq!(edge.get("/x").status, 502);
}

#[test]
fn an_error_during_revalidation_is_forwarded_and_keeps_the_stored_response() {
    let origin = Origin::start();
    let stored = || {
        Reply::ok("old")
            .header("Cache-Control", "max-age=10, must-revalidate")
            .header("ETag", "\"1\"")
    };
    origin.on("/x", stored());
    let edge = Edge::before(&origin).start();
    edge.get("/x").assert_forwarded("uri-miss", "old");
    edge.advance_secs(10);
    origin.on("/x", Reply::status(503).body("busy"));
    let answer = edge.get("/x");
    assert_eq!(
        (
            answer.status,
            answer.text().as_str(),
            answer.cache_status().fwd_status
        ),
        (503, "busy", Some(503))
    );
    origin.on(
        "/x",
        Reply::status(304)
            .header("ETag", "\"1\"")
            .header("Cache-Control", "max-age=10, must-revalidate"),
    );
    // Nothing may stand in, so the failure is remembered for a moment.
    edge.get("/x").assert_failed(503, "error");
    assert_eq!(origin.requests("/x"), 2);
    edge.advance_secs(1);
    edge.get("/x").assert_forwarded("stale", "old");
    assert_eq!(
        origin
            .asked("/x")
            .pop()
            .unwrap()
            .header("if-none-match")
            .as_deref(),
        Some("\"1\"")
    );
    edge.get("/x").assert_hit("old");
}

#[test]
fn a_stored_error_is_not_served_stale() {
    for status in [404, 410, 500, 503] {
        let origin = Origin::start();
        origin.on(
            "/x",
            Reply::status(status)
                .body("broken")
                .header("Cache-Control", "max-age=10, stale-if-error=60"),
        );
        let edge = Edge::before(&origin).start();
        edge.get("/x");
        edge.advance_secs(9);
        let answer = edge.get("/x");
        assert_eq!((answer.status, answer.cache_status().hit), (status, true));
        edge.advance_secs(1);
        origin.stop();
        edge.get("/x").assert_failed(502, "origin");
    }
    // A redirect is as good as a page.
    let origin = Origin::start();
    origin.on(
        "/x",
        Reply::status(302)
            .header("Location", "/y")
            .header("Cache-Control", "max-age=10, stale-if-error=60"),
    );
    let edge = Edge::before(&origin).start();
    edge.get("/x");
    edge.advance_secs(10);
    origin.stop();
    assert_eq!(edge.get("/x").status, 302);
}

#[test]
fn a_head_is_bridged_like_a_get() {
    let head = Request::new("HEAD", "/x");
    let (origin, edge) = with_stored("max-age=10, stale-if-error=60");
    edge.advance_secs(15);
    for reply in [
        Reply::status(500).body("error"),
        Reply::status(503).body("error"),
        Reply::reset(),
    ] {
        origin.on("/x", reply);
        let answer = edge.send(&head);
        assert_eq!((answer.status, answer.cache_status().ttl), (200, Some(-5)));
        assert_eq!(answer.header("content-length").as_deref(), Some("3"));
        answer.assert_detail("origin");
    }
    origin.on("/x", Reply::status(404));
    assert_eq!(edge.send(&head).status, 404);
    origin.on("/x", Reply::status(503));
    edge.advance_secs(55);
    assert_eq!(edge.send(&head).status, 503);
}

#[test]
fn after_a_body_that_broke_off_visitors_get_the_stale_response() {
    let cut = || Reply::fresh(10, "new, but").announcing(20).then_close();
    for broken in [cut(), Reply::fresh(10, "new").chunked().then_reset()] {
        let (origin, edge) = with_stored("max-age=10, stale-if-error=60");
        origin.on("/x", broken);
        edge.advance_secs(15);
        // Its head was good, and has been sent on.
        assert!(!edge.get("/x").whole);
        for _ in 0..3 {
            let answer = edge.get("/x");
            assert_stale(&answer, -5);
            assert_eq!(answer.header("age").as_deref(), Some("15"));
            eventually("the end of all fetches", || edge.is_quiet());
        }
        // No visitor waits for the origin, but it is asked.
        assert!(origin.requests("/x") >= 4);
        edge.advance_secs(54);
        assert_stale(&edge.get("/x"), -59);
        eventually("the end of all fetches", || edge.is_quiet());
        edge.advance_secs(1);
        assert!(!edge.get("/x").whole, "stale-if-error is over");
        origin.on("/x", Reply::fresh(10, "good"));
        edge.get("/x").assert_forwarded("stale", "good");
        edge.get("/x").assert_hit("good");
    }
}

#[test]
fn an_origin_that_sends_whole_bodies_again_ends_the_bridge() {
    let (origin, edge) = with_stored("max-age=10, stale-if-error=60");
    origin.on("/x", Reply::fresh(10, "new").announcing(20).then_close());
    edge.advance_secs(15);
    assert!(!edge.get("/x").whole);
    origin.on("/x", Reply::fresh(10, "good"));
    assert_stale(&edge.get("/x"), -5);
    edge.until("/x", |answer| answer.text() == "good")
        .assert_hit("good");
    // The new response bridges nothing yet.
    edge.advance_secs(10);
    origin.on("/x", Reply::fresh(10, "better"));
    edge.get("/x").assert_forwarded("stale", "better");
}

#[test]
fn a_broken_body_is_not_bridged_against_the_response() {
    let (origin, edge) = with_stored("max-age=10, must-revalidate, stale-if-error=60");
    origin.on("/x", Reply::fresh(10, "new").announcing(20).then_close());
    edge.advance_secs(15);
    for _ in 0..2 {
        assert!(!edge.get("/x").whole);
    }
}
