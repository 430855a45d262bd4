//! Interim responses are forwarded as they come, never stored, and never taken for the final
//! response (RFC 9110 §15.2, RFC 8297).

use tero_tests::{Edge, Gate, Origin, Reply, Request, get};

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x-hop\r\nX-Hop: 1\r\nCache-Control: max-age=600\r\n\r\n";

#[test]
fn early_hints_reach_the_client_before_the_response() {
    let origin = Origin::start();
    let gate = Gate::new();
    for path in ["/stored", "/passed"] {
        let lifetime = if path == "/stored" {
            "max-age=60"
        } else {
            "no-store"
        };
        origin.on(
            path,
            Reply::ok("good")
                .header("Cache-Control", lifetime)
                .after(HINTS)
                .behind(&gate),
        );
    }
    let edge = Edge::before(&origin).start();
    for request in [
        get("/stored"),
        get("/passed"),
        Request::new("POST", "/passed").body("x"),
    ] {
        gate.close();
        let mut client = edge.client();
        client.start(&request);
        let hints = client.interim();
        assert_eq!(
            (hints.status, hints.header("link").as_deref()),
            (103, Some("</a.css>"))
        );
        assert_eq!(
            (hints.header("x-hop"), hints.header("connection")),
            (None, None)
        );
        assert!(
            hints.header("via").is_some_and(|via| via.contains("tero")),
            "{hints:?}"
        );
        gate.open();
        let mut answer = client.head();
        client.rest(&mut answer);
        assert_eq!((answer.status, answer.text().as_str()), (200, "good"));
        assert_eq!(answer.header("link"), None);
    }
    // Only the final response is stored.
    let mut client = edge.client();
    let hit = client.send(&get("/stored"));
    hit.assert_hit("good");
    assert_eq!(
        (hit.header("link"), hit.header("cache-control").as_deref()),
        (None, Some("max-age=60"))
    );
}

#[test]
fn interim_responses_are_forwarded_in_order() {
    let origin = Origin::start();
    let reply = Reply::fresh(60, "good")
        .after("HTTP/1.1 102 Processing\r\n\r\n")
        .after("HTTP/1.1 100 Continue\r\n\r\n");
    origin.on(
        "/x",
        reply
            .after(HINTS)
            .after("HTTP/1.1 199 Odd\r\nX-Odd: yes\r\n\r\n"),
    );
    let edge = Edge::before(&origin).start();
    let mut client = edge.client();
    client.start(&get("/x"));
    // Each hop sends its own 100.
    let statuses: Vec<_> = (0..3).map(|_| client.interim().status).collect();
    assert_eq!(statuses, [102, 103, 199]);
    let mut answer = client.head();
    client.rest(&mut answer);
    answer.assert_forwarded("uri-miss", "good");
}

#[test]
fn an_http_1_0_client_gets_no_interim_response() {
    let origin = Origin::start();
    origin.on("/x", Reply::fresh(60, "good").after(HINTS));
    let edge = Edge::before(&origin).start();
    let mut client = edge.client();
    client.write("GET /x HTTP/1.0\r\nHost: www.example\r\n\r\n");
    let mut answer = client.interim_or_answer();
    client.rest(&mut answer);
    assert_eq!((answer.status, answer.text().as_str()), (200, "good"));
}

#[test]
fn early_hints_go_to_the_leader_only() {
    let origin = Origin::start();
    let gate = Gate::new();
    let slow = Gate::new();
    origin.on(
        "/x",
        Reply::fresh(60, "good")
            .behind(&gate)
            .after(HINTS)
            .behind(&slow),
    );
    let edge = Edge::before(&origin).server("workers = 1").start();
    let mut leader = edge.client();
    leader.start(&get("/x"));
    origin.wait_for("/x", 1);
    let mut follower = edge.client();
    follower.start(&get("/x"));
    // The answer to a later request shows that the worker has read that of the follower.
    assert_eq!(edge.get("/y").status, 404);
    gate.open();
    assert_eq!(leader.interim().status, 103);
    slow.open();
    let mut answer = follower.interim_or_answer();
    follower.rest(&mut answer);
    assert_eq!((answer.status, answer.text().as_str()), (200, "good"));
    assert!(answer.cache_status().collapsed);
}

#[test]
fn early_hints_of_background_fetches_are_dropped() {
    let origin = Origin::start();
    let gate = Gate::new();
    let swr = "max-age=10, stale-while-revalidate=60";
    let new = Reply::fresh(10, "new")
        .behind(&gate)
        .after(HINTS)
        .after(HINTS);
    origin.on_in_turn("/x", [Reply::ok("old").header("Cache-Control", swr), new]);
    let other = Gate::new();
    origin.on("/y", Reply::fresh(60, "other").behind(&other));
    let edge = Edge::before(&origin).server("workers = 1").start();
    let mut client = edge.client();
    client.send(&get("/x")).assert_forwarded("uri-miss", "old");
    edge.advance_secs(15);
    assert_eq!(client.send(&get("/x")).text(), "old");
    origin.wait_for("/x", 2);
    // The client waits for another response when the hints come.
    client.start(&get("/y"));
    origin.wait_for("/y", 1);
    gate.open();
    edge.until("/x", |answer| answer.text() == "new");
    other.open();
    let mut answer = client.interim_or_answer();
    client.rest(&mut answer);
    answer.assert_forwarded("uri-miss", "other");
}

#[test]
fn endless_interim_responses_give_502() {
    let origin = Origin::start();
    origin.on(
        "/x",
        Reply::raw_then_flood("", "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"),
    );
    origin.on(
        "/y",
        Reply::fresh(60, "good").after("HTTP/1.1 102 Processing\r\n\r\n".repeat(32)),
    );
    let edge = Edge::before(&origin).start();
    edge.get("/x")
        .assert_failed(502, "origin sent a malformed response");
    origin.wait_for_hang_ups(1);
    edge.get("/y").assert_forwarded("uri-miss", "good");
    origin.on("/x", Reply::fresh(60, "good"));
    edge.advance_secs(1);
    edge.get("/x").assert_forwarded("uri-miss", "good");
}

#[test]
fn interim_responses_are_dropped_for_a_client_that_does_not_read() {
    let origin = Origin::start();
    let long = format!(
        "HTTP/1.1 103 Early Hints\r\nX-Long: {}\r\n\r\n",
        "a".repeat(30_000)
    );
    origin.on("/x", Reply::fresh(60, "good").after(long.repeat(32)));
    let edge = Edge::before(&origin).start();
    // The client reads nothing until the end.
    let mut client = edge.client();
    client.start(&get("/x"));
    edge.until("/x", |answer| answer.cache_status().hit);
    let mut answer = client.head();
    client.rest(&mut answer);
    assert_eq!((answer.status, answer.text().as_str()), (200, "good"));
}

#[test]
fn an_interim_response_alone_gives_502() {
    let origin = Origin::start();
    origin.on("/x", Reply::raw(HINTS));
    let edge = Edge::before(&origin).start();
    let mut client = edge.client();
    client.start(&get("/x"));
    assert_eq!(client.interim().status, 103);
    client.head().assert_failed(502, "origin broke off");
    origin.on("/x", Reply::fresh(60, "good"));
    edge.advance_secs(1);
    edge.get("/x").assert_forwarded("uri-miss", "good");
}
