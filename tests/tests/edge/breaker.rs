//! While an origin fails, visitors of stale pages don't wait for it, and a crowd doesn't ask it one by
//! one.

use std::time::Duration;

use tero_tests::{Answer, Client, Edge, Origin, Reply, eventually, get};

const STALE: &str = "max-age=60, stale-if-error=86400";

/// A page that is fresh for a minute, and may stand in for a day.
fn page(body: &str) -> Reply {
    Reply::ok(body).header("Cache-Control", STALE)
}

fn answer(mut client: Client) -> Answer {
    let mut answer = client.head();
    client.rest(&mut answer);
    answer
}

/// An edge in front of an origin, with so many stale pages.
fn with_stale_pages(origin: &Origin, pages: usize) -> Edge {
    origin.otherwise(|asked| page(asked.path()));
    let edge = Edge::before(origin)
        .server("workers = 1")
        .site("response_timeout = \"2s\"")
        .start();
    for number in 0..pages {
        edge.get(&format!("/{number}"))
            .assert_forwarded("uri-miss", &format!("/{number}"));
    }
    edge.advance_secs(61);
    edge
}

#[test]
fn visitors_of_a_stale_page_wait_for_a_hanging_origin_once_and_ask_it_once_per_rest() {
    let origin = Origin::start();
    let edge = with_stale_pages(&origin, 1);
    origin.otherwise(|_| Reply::silence());
    let mut first = edge.client();
    first.start(&get("/0"));
    origin.wait_for("/0", 2);
    edge.advance_until(10, || first.is_answered());
    let first = answer(first);
    assert_eq!((first.status, first.text().as_str()), (200, "/0"));
    first.assert_detail("origin did not answer in time");
    for rest in 0..3 {
        // The clock stands still: nobody waits.
        for _ in 0..20 {
            let answer = edge.get("/0");
            assert_eq!(answer.text(), "/0");
            answer.assert_detail("left alone");
        }
        assert_eq!(origin.requests("/0"), 2 + rest);
        edge.advance_secs(30);
        // The next visitor has it tried in the background.
        assert_eq!(edge.get("/0").text(), "/0");
        origin.wait_for("/0", 3 + rest);
        edge.advance_secs(2);
        eventually("the trial has failed", || {
            let detail = edge.get("/0").cache_status().detail.unwrap_or_default();
            detail.contains("left alone")
        });
    }
    origin.otherwise(|_| page("new"));
    edge.advance_secs(30);
    edge.until("/0", |answer| answer.text() == "new");
}

#[test]
fn many_failing_pages_open_the_breaker_and_the_others_are_not_asked_for() {
    let origin = Origin::start();
    let edge = with_stale_pages(&origin, 30);
    origin.otherwise(|_| Reply::status(503));
    for number in 0..5 {
        assert_eq!(edge.get(&format!("/{number}")).text(), format!("/{number}"));
    }
    let asked = origin.total();
    for number in 0..30 {
        let answer = edge.get(&format!("/{number}"));
        assert_eq!(answer.text(), format!("/{number}"));
        answer.assert_detail("left alone");
    }
    assert_eq!(origin.total(), asked);
    assert_eq!(edge.metric("tero_origin_breaker_open", &[]), 1.0);
    assert_eq!(edge.metric("tero_origin_breaker_opened_total", &[]), 1.0);
    // After its rest, one page at a time is tried.
    edge.advance_secs(5);
    for number in 20..30 {
        edge.get(&format!("/{number}"));
    }
    eventually("one trial", || origin.total() == asked + 1);
    origin.otherwise(|asked| page(asked.path()));
    edge.advance_secs(30);
    edge.until("/29", |answer| {
        // The trial may have failed after the clock was turned.
        edge.advance_secs(1);
        answer.cache_status().hit && answer.age().is_some_and(|age| age < 60)
    });
    assert_eq!(edge.metric("tero_origin_breaker_open", &[]), 0.0);
}

#[test]
fn one_url_with_many_queries_does_not_open_the_breaker() {
    let origin = Origin::start();
    let edge = with_stale_pages(&origin, 1);
    origin.on_each("/bad", |_, _| Reply::status(503));
    for query in 0..50 {
        assert_eq!(edge.get(&format!("/bad?{query}")).status, 503);
    }
    assert_eq!(edge.metric("tero_origin_breaker_open", &[]), 0.0);
    edge.get("/0").assert_forwarded("stale", "/0");
}

#[test]
fn a_status_of_500_does_not_open_the_breaker() {
    let origin = Origin::start();
    let edge = with_stale_pages(&origin, 10);
    origin.otherwise(|_| Reply::status(500));
    for number in 0..10 {
        edge.get(&format!("/{number}"));
    }
    assert_eq!(edge.metric("tero_origin_breaker_open", &[]), 0.0);
}

#[test]
fn a_429_rests_its_page_alone_for_as_long_as_it_says() {
    let origin = Origin::start();
    let edge = with_stale_pages(&origin, 2);
    origin.on("/0", Reply::status(429).header("Retry-After", "20"));
    edge.get("/0");
    let asked = origin.requests("/0");
    edge.advance_secs(19);
    edge.get("/0").assert_detail("left alone");
    assert_eq!(origin.requests("/0"), asked);
    edge.get("/1").assert_forwarded("stale", "/1");
    edge.advance_secs(1);
    edge.get("/0");
    origin.wait_for("/0", asked + 1);
}

#[test]
fn a_page_that_is_revalidated_in_the_background_is_asked_for_once_per_rest() {
    let origin = Origin::start();
    let swr = "max-age=60, stale-while-revalidate=86400";
    origin.on("/x", Reply::ok("x").header("Cache-Control", swr));
    let edge = Edge::before(&origin).server("workers = 1").start();
    edge.get("/x").assert_forwarded("uri-miss", "x");
    edge.advance_secs(61);
    origin.on("/x", Reply::reset());
    assert_eq!(edge.get("/x").text(), "x");
    eventually("the revalidation has failed", || {
        let detail = edge.get("/x").cache_status().detail.unwrap_or_default();
        detail.contains("left alone")
    });
    let asked = origin.requests("/x");
    for _ in 0..50 {
        assert_eq!(edge.get("/x").text(), "x");
    }
    assert_eq!(origin.requests("/x"), asked);
}

#[test]
fn a_crowd_at_a_cold_page_asks_a_failing_origin_once() {
    for (reply, status) in [
        (Reply::reset(), 502),
        (Reply::status(503).body("sorry"), 503),
    ] {
        let origin = Origin::start();
        origin.on("/cold", reply);
        let edge = Edge::before(&origin).start();
        origin.hold();
        let mut clients: Vec<Client> = (0..50).map(|_| edge.client()).collect();
        for client in &mut clients {
            client.start(&get("/cold"));
        }
        origin.wait_for("/cold", 1);
        eventually("all wait", || {
            edge.metric("tero_connections_open", &[]) >= 50.0
        });
        origin.release();
        for client in clients {
            assert_eq!(answer(client).status, status);
        }
        assert_eq!(origin.requests("/cold"), 1);
    }
}

#[test]
fn a_failure_is_remembered_for_error_ttl_and_no_longer() {
    let origin = Origin::start();
    origin.on("/cold", Reply::status(502));
    let edge = Edge::before(&origin).site("error_ttl = \"3s\"").start();
    for _ in 0..10 {
        assert_eq!(edge.get("/cold").status, 502);
    }
    assert_eq!(origin.requests("/cold"), 1);
    edge.clock().advance(Duration::from_millis(2_999));
    assert_eq!(edge.get("/cold").status, 502);
    assert_eq!(origin.requests("/cold"), 1);
    origin.on("/cold", Reply::fresh(60, "back"));
    edge.clock().advance(Duration::from_millis(1));
    edge.get("/cold").assert_forwarded("uri-miss", "back");
}

#[test]
fn a_client_whose_directives_are_obeyed_is_answered_by_the_origin() {
    let origin = Origin::start();
    origin.on("/x", page("x"));
    let edge = Edge::before(&origin)
        .site("client_directives = \"obey\"")
        .start();
    edge.get("/x").assert_forwarded("uri-miss", "x");
    origin.on("/x", Reply::status(503));
    for asked in 2..5 {
        let reload = get("/x").header("Cache-Control", "no-cache");
        let answer = edge.send(&reload);
        assert_eq!(answer.text(), "x");
        answer.assert_detail("error");
        assert_eq!(origin.requests("/x"), asked);
    }
    edge.get("/x").assert_hit("x");
}

#[test]
fn a_request_that_goes_by_itself_neither_takes_nor_leaves_a_failure() {
    let origin = Origin::start();
    origin.otherwise(|asked| match asked.header("x-kind") {
        Some(_) => Reply::status(503),
        None => Reply::ok("page").header("Cache-Control", "no-store"),
    });
    let edge = Edge::before(&origin).start();
    let failing = |target: &str| get(target).header("X-Kind", "a");
    // The answers are known to be not for others.
    assert_eq!(edge.get("/mine").text(), "page");
    assert_eq!(edge.send(&failing("/mine")).status, 503);
    assert_eq!(edge.get("/mine").text(), "page");
    // The client says so itself.
    let no_store = failing("/x").header("Cache-Control", "no-store");
    assert_eq!(edge.send(&no_store).status, 503);
    assert_eq!(edge.get("/x").text(), "page");
    assert_eq!(edge.send(&failing("/y")).status, 503);
    let no_store = get("/y").header("Cache-Control", "no-store");
    assert_eq!(edge.send(&no_store).text(), "page");
}
