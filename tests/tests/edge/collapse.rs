//! Collapsing: many requests for one key make one fetch.

use std::sync::atomic::{AtomicUsize, Ordering};

use tero_tests::{Client, Edge, Gate, Origin, Reply, eventually, get};

const CROWD: usize = 200;

/// A client that has requested `/x` and has read nothing yet.
fn asking(edge: &Edge) -> Client {
    let mut client = edge.client();
    client.start(&get("/x"));
    client
}

#[test]
fn two_hundred_simultaneous_misses_make_one_origin_request() {
    let origin = Origin::start();
    let gate = Gate::new();
    origin.on(
        "/x",
        Reply::fresh(60, "first halflast half!").in_halves(&gate),
    );
    let edge = Edge::before(&origin).start();
    origin.hold();
    let (asked, half_read) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let wait_for_all = |what: &str, count: &AtomicUsize| {
        eventually(what, || count.load(Ordering::Relaxed) == CROWD);
    };
    let answers: Vec<_> = std::thread::scope(|scope| {
        let visitor = || {
            let mut client = asking(&edge);
            asked.fetch_add(1, Ordering::Relaxed);
            let mut answer = client.head();
            answer.body = client.exactly(10);
            half_read.fetch_add(1, Ordering::Relaxed);
            client.rest(&mut answer);
            answer
        };
        let visitors: Vec<_> = (0..CROWD).map(|_| scope.spawn(visitor)).collect();
        wait_for_all("all have asked", &asked);
        origin.wait_for("/x", 1);
        origin.release();
        // All clients have the first half before the origin sends the second: followers stream.
        wait_for_all("all have the first half", &half_read);
        gate.open();
        visitors
            .into_iter()
            .map(|visitor| visitor.join().unwrap())
            .collect()
    });
    assert_eq!(origin.requests("/x"), 1);
    for answer in &answers {
        assert_eq!(
            (answer.text().as_str(), answer.whole),
            ("first halflast half!", true)
        );
    }
    let collapsed = answers
        .iter()
        .filter(|answer| answer.cache_status().collapsed)
        .count();
    assert_eq!(collapsed, CROWD - 1);
    let counted =
        |outcome: &str| edge.metric("tero_requests_total", &[&format!("outcome=\"{outcome}\"")]);
    assert_eq!(
        (counted("miss"), counted("collapsed")),
        (1.0, (CROWD - 1) as f64)
    );
    edge.get("/x").assert_hit("first halflast half!");
}

#[test]
fn a_miss_streams_to_the_client_while_the_origin_still_sends() {
    let origin = Origin::start();
    let gate = Gate::new();
    origin.on("/x", Reply::fresh(60, "firstlast!").in_halves(&gate));
    origin.on(
        "/chunked",
        Reply::fresh(60, "firstlast!").chunked().in_halves(&gate),
    );
    origin.on(
        "/unstorable",
        Reply::ok("firstlast!")
            .header("Cache-Control", "no-store")
            .in_halves(&gate),
    );
    let edge = Edge::before(&origin).start();
    for path in ["/x", "/chunked", "/unstorable"] {
        gate.close();
        let mut client = edge.client();
        client.start(&get(path));
        let mut answer = client.head();
        assert_eq!(client.exactly(5), b"first", "{path}");
        gate.open();
        client.rest(&mut answer);
        assert_eq!(
            (answer.text().as_str(), answer.whole),
            ("last!", true),
            "{path}"
        );
    }
}

#[test]
fn followers_share_the_failure_of_their_leader() {
    let origin = Origin::start();
    let gate = Gate::new();
    origin.on_in_turn(
        "/x",
        [Reply::reset().behind(&gate), Reply::fresh(60, "good")],
    );
    let edge = Edge::before(&origin).start();
    let mut leader = asking(&edge);
    origin.wait_for("/x", 1);
    let mut followers: Vec<_> = (0..5).map(|_| asking(&edge)).collect();
    gate.open();
    leader.head().assert_failed(502, "origin");
    for follower in &mut followers {
        follower.head().assert_failed(502, "origin");
    }
    assert_eq!(origin.requests("/x"), 1);
}

#[test]
fn a_fetch_that_fails_half_way_gives_no_complete_response_and_stores_nothing() {
    let origin = Origin::start();
    let gate = Gate::new();
    origin.on_in_turn(
        "/x",
        [
            Reply::fresh(60, "halfhalf")
                .announcing(12)
                .in_halves(&gate)
                .then_close(),
            Reply::fresh(60, "good"),
        ],
    );
    let edge = Edge::before(&origin).start();
    let mut clients: Vec<_> = (0..3).map(|_| asking(&edge)).collect();
    let mut answers: Vec<_> = clients.iter_mut().map(Client::head).collect();
    for client in &mut clients {
        assert_eq!(client.exactly(4), b"half");
    }
    gate.open();
    for (client, answer) in clients.iter_mut().zip(&mut answers) {
        client.rest(answer);
        assert!(!answer.whole, "{answer:?}");
        assert!(client.is_closed());
    }
    assert_eq!(origin.requests("/x"), 1);
    edge.get("/x").assert_forwarded("uri-miss", "good");
    edge.get("/x").assert_hit("good");
}

#[test]
fn a_follower_waits_no_longer_than_its_deadline() {
    let origin = Origin::start();
    let gate = Gate::new();
    origin.on_in_turn(
        "/x",
        [
            Reply::fresh(60, "slow").behind(&gate),
            Reply::fresh(60, "quick"),
        ],
    );
    // Other timeouts are longer, so they don't end while the clock is turned.
    let patient = "connect_timeout = \"1min\"\nresponse_timeout = \"5min\"";
    let edge = Edge::before(&origin)
        .site(patient)
        .cache("collapse_timeout = \"3s\"")
        .start();
    let mut leader = asking(&edge);
    origin.wait_for("/x", 1);
    let mut follower = asking(&edge);
    edge.advance_until(20, || origin.requests("/x") == 2);
    let mut answer = follower.head();
    follower.rest(&mut answer);
    assert_eq!(answer.text(), "quick");
    gate.open();
    let mut answer = leader.head();
    leader.rest(&mut answer);
    assert_eq!(answer.text(), "slow");
}

#[test]
fn requests_do_not_queue_for_a_response_known_as_not_storable() {
    let origin = Origin::start();
    origin.on("/x", Reply::ok("own").header("Cache-Control", "no-store"));
    let edge = Edge::before(&origin).start();
    edge.get("/x").assert_forwarded("uri-miss", "own");
    origin.hold();
    let mut clients: Vec<_> = (0..4).map(|_| asking(&edge)).collect();
    // All requests reach the origin although it has answered none of them.
    origin.wait_for("/x", 5);
    origin.release();
    for client in &mut clients {
        let mut answer = client.head();
        client.rest(&mut answer);
        assert_eq!(
            (answer.text().as_str(), answer.cache_status().collapsed),
            ("own", false)
        );
    }
}

#[test]
fn hit_for_miss_ends_with_a_storable_response() {
    let origin = Origin::start();
    origin.on_in_turn(
        "/x",
        [
            Reply::ok("no").header("Cache-Control", "no-store"),
            Reply::fresh(60, "yes"),
        ],
    );
    let edge = Edge::before(&origin).start();
    edge.get("/x").assert_forwarded("uri-miss", "no");
    edge.get("/x").assert_forwarded("uri-miss", "yes");
    edge.get("/x").assert_hit("yes");
}

#[test]
fn followers_fetch_for_themselves_if_the_response_is_for_one_visitor() {
    let origin = Origin::start();
    origin.on_each("/x", |_, nth| {
        Reply::fresh(60, format!("for visitor {nth}"))
            .header("Set-Cookie", format!("visitor={nth}"))
    });
    let edge = Edge::before(&origin).start();
    origin.hold();
    let mut clients = vec![asking(&edge)];
    origin.wait_for("/x", 1);
    clients.extend((0..3).map(|_| asking(&edge)));
    origin.release();
    let mut bodies: Vec<_> = clients
        .iter_mut()
        .map(|client| {
            let mut answer = client.head();
            client.rest(&mut answer);
            assert!(!answer.cache_status().collapsed, "{answer:?}");
            answer.text()
        })
        .collect();
    bodies.sort();
    assert_eq!(
        bodies,
        [
            "for visitor 0",
            "for visitor 1",
            "for visitor 2",
            "for visitor 3"
        ]
    );
}

#[test]
fn a_request_fetches_alone_after_too_many_fetches_of_other_variants() {
    let origin = Origin::start();
    let gate = Gate::new();
    // Each response varies on another field, and later requests have other values for it.
    let held = gate.clone();
    origin.on_each("/x", move |_, number| {
        Reply::fresh(60, "first half")
            .header("Vary", format!("x-{number}"))
            .in_halves(&held)
    });
    let edge = Edge::before(&origin).server("workers = 1").start();
    let mut clients = Vec::new();
    for number in 0..8 {
        // The last three requests are the same.
        let own = number.min(5);
        let request = (0..8).fold(get("/x"), |request, field| {
            request.header(
                format!("x-{field}"),
                if field == own { "own" } else { "others'" },
            )
        });
        let mut client = edge.client();
        client.start(&request);
        let answer = client.head();
        assert!(!answer.cache_status().collapsed, "{answer:?}");
        assert_eq!(origin.requests("/x"), number + 1);
        clients.push((client, answer));
    }
    gate.open();
    for (client, answer) in &mut clients {
        client.rest(answer);
        assert_eq!(answer.text(), "first half");
    }
}

#[test]
fn responses_that_need_validation_are_not_shared_with_followers() {
    for said in ["no-cache", "max-age=0", "max-age=60, no-cache"] {
        let origin = Origin::start();
        let reply = move |body: String| {
            Reply::ok(body)
                .header("Cache-Control", said)
                .header("ETag", "\"1\"")
        };
        origin.on_each("/x", move |_, nth| reply(format!("answer {nth}")));
        let edge = Edge::before(&origin).start();
        origin.hold();
        let mut clients = vec![asking(&edge)];
        origin.wait_for("/x", 1);
        clients.extend((0..2).map(|_| asking(&edge)));
        origin.release();
        for client in &mut clients {
            let mut answer = client.head();
            client.rest(&mut answer);
            assert!(!answer.cache_status().collapsed, "{answer:?}");
        }
        assert_eq!(origin.requests("/x"), 3, "{said}");
        // Later requests don't wait for each other.
        origin.hold();
        let mut clients: Vec<_> = (0..2).map(|_| asking(&edge)).collect();
        origin.wait_for("/x", 5);
        origin.release();
        for client in &mut clients {
            client.head();
        }
    }
}

#[test]
fn a_fetch_continues_for_followers_when_the_leaders_client_leaves() {
    let origin = Origin::start();
    let gate = Gate::new();
    origin.on("/x", Reply::fresh(60, "firstlast!").in_halves(&gate));
    let edge = Edge::before(&origin).start();
    let mut leader = asking(&edge);
    leader.head();
    leader.exactly(5);
    let mut follower = asking(&edge);
    let mut answer = follower.head();
    assert!(answer.cache_status().collapsed, "{answer:?}");
    follower.exactly(5);
    leader.reset();
    gate.open();
    follower.rest(&mut answer);
    assert_eq!((answer.text().as_str(), answer.whole), ("last!", true));
    eventually("the end of the fetch", || edge.is_quiet());
    edge.get("/x").assert_hit("firstlast!");
    assert_eq!(origin.requests("/x"), 1);
}

#[test]
fn a_long_fetch_without_clients_is_abandoned() {
    let origin = Origin::start();
    origin.on_in_turn(
        "/x",
        [
            Reply::fresh(60, "some")
                .announcing(50_000_000)
                .then_silence(),
            Reply::fresh(60, "all"),
        ],
    );
    let edge = Edge::before(&origin).start();
    let mut client = asking(&edge);
    client.head();
    client.exactly(4);
    client.reset();
    origin.wait_for_hang_ups(1);
    edge.get("/x").assert_forwarded("uri-miss", "all");
}

#[test]
fn a_fetch_before_its_head_continues_when_the_client_leaves() {
    let origin = Origin::start();
    let gate = Gate::new();
    origin.on("/x", Reply::fresh(60, "small").behind(&gate));
    let edge = Edge::before(&origin).start();
    let leader = asking(&edge);
    origin.wait_for("/x", 1);
    let mut follower = asking(&edge);
    leader.reset();
    gate.open();
    let mut answer = follower.head();
    follower.rest(&mut answer);
    assert_eq!((answer.status, answer.text().as_str()), (200, "small"));
    eventually("it is stored", || edge.get("/x").cache_status().hit);
    assert_eq!(origin.requests("/x"), 1);
}

#[test]
fn different_keys_do_not_wait_for_each_other() {
    let origin = Origin::start();
    let gate = Gate::new();
    origin.on("/x", Reply::fresh(60, "slow").behind(&gate));
    origin.on("/y", Reply::fresh(60, "quick"));
    let edge = Edge::before(&origin).start();
    let mut slow = asking(&edge);
    origin.wait_for("/x", 1);
    edge.get("/y").assert_forwarded("uri-miss", "quick");
    gate.open();
    assert_eq!(slow.head().status, 200);
}

#[test]
fn misses_on_stale_responses_collapse_too() {
    let origin = Origin::start();
    let gate = Gate::new();
    origin.on_in_turn(
        "/x",
        [
            Reply::fresh(10, "old"),
            Reply::fresh(10, "newnew").in_halves(&gate),
        ],
    );
    let edge = Edge::before(&origin).start();
    edge.get("/x").assert_forwarded("uri-miss", "old");
    edge.advance_secs(10);
    let mut clients: Vec<_> = (0..10).map(|_| asking(&edge)).collect();
    let mut answers: Vec<_> = clients.iter_mut().map(Client::head).collect();
    for client in &mut clients {
        assert_eq!(client.exactly(3), b"new");
    }
    gate.open();
    for (client, answer) in clients.iter_mut().zip(&mut answers) {
        client.rest(answer);
        assert_eq!((answer.text().as_str(), answer.whole), ("new", true));
        assert_eq!(answer.cache_status().fwd.as_deref(), Some("stale"));
    }
    assert_eq!(origin.requests("/x"), 2);
}
