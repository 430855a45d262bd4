//! What followers get if the fetch that they wait for fails: never a part as a whole, and never an
//! endless wait.

use tero_tests::{Answer, Client, Edge, Gate, Origin, Reply, get};

const HEAD: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n";

/// An edge with short timeouts in front of an origin that answers `/x` with `first` and then with a
/// good response; and two clients that have requested it, the leader and a follower.
fn with_follower(first: Reply) -> (Origin, Edge, Client, Client) {
    let origin = Origin::start();
    origin.on_in_turn("/x", [first, Reply::fresh(60, "good")]);
    let site = "connect_timeout = \"2s\"\nresponse_timeout = \"5s\"\nbody_timeout = \"5s\"";
    let edge = Edge::before(&origin)
        .server("workers = 1")
        .site(site)
        .start();
    let asking = || {
        let mut client = edge.client();
        client.start(&get("/x"));
        client
    };
    let leader = asking();
    origin.wait_for("/x", 1);
    let follower = asking();
    // The only worker answers this request after it has read that of the follower.
    assert_eq!(edge.get("/y").status, 404);
    (origin, edge, leader, follower)
}

fn whole_answer(client: &mut Client) -> Answer {
    let mut answer = client.head();
    client.rest(&mut answer);
    answer
}

/// Checks that leader and follower get an error with `status` of one fetch, and that the page is
/// fetched again when the failure is forgotten.
#[track_caller]
fn check_shares_failure(first: Reply, status: u16) {
    let gate = Gate::new();
    let (origin, edge, mut leader, mut follower) = with_follower(first.behind(&gate));
    gate.open();
    for client in [&mut leader, &mut follower] {
        whole_answer(client).assert_failed(status, "origin");
    }
    assert_eq!(origin.requests("/x"), 1);
    edge.advance_secs(1);
    edge.get("/x").assert_forwarded("uri-miss", "good");
    edge.get("/x").assert_hit("good");
    assert_eq!(origin.requests("/x"), 2);
}

#[test]
fn a_follower_shares_a_malformed_response() {
    check_shares_failure(Reply::raw("SSH-2.0-OpenSSH_9.6\r\n"), 502);
    check_shares_failure(Reply::raw("\0\u{1}\u{2}\r\n\r\n"), 502);
    check_shares_failure(Reply::raw(format!("{HEAD}Content-Length: 4\n\nevil")), 502);
    check_shares_failure(
        Reply::raw(format!(
            "{HEAD}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n"
        )),
        502,
    );
}

#[test]
fn a_follower_shares_a_head_cut_short() {
    check_shares_failure(Reply::raw(format!("{HEAD}Content-Le")), 502);
    check_shares_failure(Reply::bytes(format!("{HEAD}Content-Le")).then_reset(), 502);
    check_shares_failure(Reply::reset(), 502);
}

#[test]
fn a_follower_shares_an_endless_head() {
    check_shares_failure(Reply::raw_then_flood(HEAD, "X-More: and more\r\n"), 502);
    check_shares_failure(
        Reply::raw_then_flood("", "HTTP/1.1 103 Early Hints\r\n\r\n"),
        502,
    );
}

#[test]
fn followers_share_the_timeout_of_a_silent_origin() {
    for silence in [
        Reply::silence(),
        Reply::raw_then_silence(format!("{HEAD}Content-")),
    ] {
        let (origin, edge, mut leader, mut follower) = with_follower(silence);
        // The timeout began with the leader's request; a follower does not wait for one of its own.
        edge.advance_secs(5);
        for client in [&mut leader, &mut follower] {
            whole_answer(client).assert_failed(504, "in time");
        }
        assert_eq!(origin.requests("/x"), 1);
        edge.advance_secs(1);
        edge.get("/x").assert_forwarded("uri-miss", "good");
    }
}

/// Checks that clients with a part of the body are disconnected, and the next request fetches
/// again.
#[track_caller]
fn check_all_cut(head: &str, rest: impl Fn(Reply) -> Reply) {
    let gate = Gate::new();
    let first = Reply::bytes(format!("{HEAD}{head}")).then_gate(&gate);
    let (origin, edge, mut leader, mut follower) = with_follower(rest(first));
    let mut answers = [leader.head(), follower.head()];
    for client in [&mut leader, &mut follower] {
        assert_eq!(client.exactly(4), b"some", "{head}");
    }
    gate.open();
    for (client, answer) in [&mut leader, &mut follower].into_iter().zip(&mut answers) {
        client.rest(answer);
        assert!(!answer.whole, "{head}: {answer:?}");
        assert!(client.is_closed(), "{head}");
    }
    assert_eq!(origin.requests("/x"), 1);
    edge.get("/x").assert_forwarded("uri-miss", "good");
    edge.get("/x").assert_hit("good");
}

#[test]
fn followers_of_a_body_cut_short_are_disconnected() {
    check_all_cut("Content-Length: 10\r\n\r\nsome", Reply::then_close);
    check_all_cut("Content-Length: 10\r\n\r\nsome", Reply::then_reset);
    check_all_cut(
        "Transfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n",
        Reply::then_close,
    );
    check_all_cut(
        "Transfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n",
        Reply::then_reset,
    );
    // A body that ends with its connection is complete only if the connection is closed in order.
    check_all_cut("\r\nsome", Reply::then_reset);
}

#[test]
fn followers_of_a_malformed_chunk_are_disconnected() {
    for chunk in [
        "ffffffffffffffffff\r\nmore",
        "10000000000000000\r\nmore",
        "-4\r\nmore",
        "zz\r\nmore",
        "4\r\nmore and more\r\n0\r\n\r\n",
    ] {
        check_all_cut("Transfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n", |reply| {
            reply.then(chunk).then_silence()
        });
    }
}

#[test]
fn a_body_longer_than_announced_ends_at_its_length_for_all_clients() {
    let gate = Gate::new();
    let longer = Reply::bytes(format!(
        "{HEAD}Content-Length: 4\r\n\r\nsomeHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    ));
    let (origin, edge, mut leader, mut follower) =
        with_follower(longer.behind(&gate).then_silence());
    gate.open();
    for client in [&mut leader, &mut follower] {
        let answer = whole_answer(client);
        assert_eq!(
            (answer.status, answer.text().as_str(), answer.whole),
            (200, "some", true)
        );
    }
    edge.get("/x").assert_hit("some");
    origin.on("/other", Reply::fresh(60, "own"));
    edge.get("/other").assert_forwarded("uri-miss", "own");
    assert_ne!(
        origin.only("/other").connection,
        origin.only("/x").connection
    );
}

#[test]
fn a_follower_that_joins_late_streams_from_the_first_byte() {
    let origin = Origin::start();
    let gate = Gate::new();
    origin.on(
        "/x",
        Reply::fresh(60, "firstlast!").chunked().in_halves(&gate),
    );
    let edge = Edge::before(&origin).start();
    let mut leader = edge.client();
    leader.start(&get("/x"));
    leader.head();
    assert_eq!(leader.exactly(5), b"first");
    let mut late = edge.client();
    late.start(&get("/x"));
    let mut answer = late.head();
    assert!(answer.cache_status().collapsed, "{answer:?}");
    assert_eq!(
        late.exactly(5),
        b"first",
        "what the leader has had long since"
    );
    gate.open();
    late.rest(&mut answer);
    assert_eq!((answer.text().as_str(), answer.whole), ("last!", true));
    assert_eq!(origin.requests("/x"), 1);
}

#[test]
fn a_response_larger_than_max_object_streams_to_followers_and_is_not_stored() {
    let origin = Origin::start();
    let (gate, end) = (Gate::new(), Gate::new());
    let piece = |byte: &str, length: usize| format!("{length:x}\r\n{}\r\n", byte.repeat(length));
    let head = format!(
        "{HEAD}Transfer-Encoding: chunked\r\n\r\n{}",
        piece("a", 3_000)
    );
    origin.on(
        "/x",
        Reply::bytes(head)
            .then_gate(&gate)
            .then(piece("b", 300_000))
            .then_gate(&end)
            .then("0\r\n\r\n"),
    );
    let edge = Edge::before(&origin).cache("max_object = \"4KiB\"").start();
    let mut clients = [edge.client(), edge.client()];
    let mut answers = Vec::new();
    for client in &mut clients {
        client.start(&get("/x"));
        answers.push(client.head());
        assert_eq!(client.exactly(3_000), "a".repeat(3_000).as_bytes());
    }
    assert!(answers[1].cache_status().collapsed);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.exactly(300_000), "b".repeat(300_000).as_bytes());
    }
    // A late request can't get the first byte any more, so it fetches for itself.
    let mut late = edge.client();
    late.start(&get("/x"));
    let late_answer = late.head();
    assert!(!late_answer.cache_status().collapsed, "{late_answer:?}");
    end.open();
    for (client, answer) in clients.iter_mut().zip(&mut answers) {
        client.rest(answer);
        assert!(answer.whole);
    }
    assert_eq!(origin.requests("/x"), 2);
    // Later requests don't wait for it either.
    let answer = edge.get("/x");
    assert_eq!(
        (answer.body.len(), answer.cache_status().fwd.as_deref()),
        (303_000, Some("uri-miss"))
    );
    assert_eq!(origin.requests("/x"), 3);
}

#[test]
fn a_head_that_is_not_storable_releases_followers() {
    let origin = Origin::start();
    let (gate, end) = (Gate::new(), Gate::new());
    let own = |name: &str| {
        Reply::bytes(format!(
            "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 4\r\n\r\n{name}"
        ))
    };
    origin.on_in_turn(
        "/x",
        [
            own("le").behind(&gate).then_gate(&end).then("ad"),
            own("follow").then_close(),
        ],
    );
    let edge = Edge::before(&origin).server("workers = 1").start();
    let mut leader = edge.client();
    leader.start(&get("/x"));
    origin.wait_for("/x", 1);
    let mut followers: Vec<_> = (0..3).map(|_| edge.client()).collect();
    followers
        .iter_mut()
        .for_each(|client| client.start(&get("/x")));
    assert_eq!(edge.get("/y").status, 404);
    assert_eq!(origin.requests("/x"), 1);
    gate.open();
    // The leader's response ends only after all followers have theirs.
    let mut answer = leader.head();
    assert_eq!(leader.exactly(2), b"le");
    for follower in &mut followers {
        assert_eq!(whole_answer(follower).text(), "foll");
    }
    // It is remembered as not storable: the next request does not wait.
    assert_eq!(edge.get("/x").text(), "foll");
    end.open();
    leader.rest(&mut answer);
    assert_eq!((answer.text().as_str(), answer.whole), ("ad", true));
    assert_eq!(origin.requests("/x"), 5);
}
