//! Malformed and hostile input, from clients and from origins.

use tero_tests::{Client, Edge, Gate, Origin, Reply, Request, get};

/// An edge in front of an origin that answers every request.
fn answering() -> (Origin, Edge) {
    answering_with("")
}

/// The same, with these keys of the site.
fn answering_with(site: &str) -> (Origin, Edge) {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(60, "answered"));
    let edge = Edge::before(&origin).site(site).start();
    (origin, edge)
}

/// Checks that the edge answers these bytes with `status`, ends the connection, and does not ask
/// the origin.
#[track_caller]
fn check_refused(bytes: impl AsRef<[u8]>, status: u16) {
    let shown = String::from_utf8_lossy(bytes.as_ref())
        .chars()
        .take(200)
        .collect::<String>();
    let (origin, edge) = answering();
    let mut client = edge.client();
    drop(client.try_write(bytes.as_ref()));
    let answer = client.try_head(false);
    let Ok(Some(mut answer)) = answer else {
        panic!("{shown:?}: no answer: {answer:?}")
    };
    assert_eq!(answer.status, status, "{shown:?}");
    client.rest(&mut answer);
    assert!(client.is_closed(), "{shown:?}: the connection goes on");
    assert_eq!(origin.total(), 0, "{shown:?}: {:?}", origin.asked("/x"));
    // Other clients are not affected.
    edge.get("/x").assert_forwarded("uri-miss", "answered");
}

#[test]
fn malformed_requests_are_refused() {
    for bytes in [
        "nonsense\r\n\r\n",
        "GET /x\r\n\r\n",
        "GET /x HTTP/1.1 extra\r\nHost: www.example\r\n\r\n",
        "GET /x HTTP/9.9\r\nHost: www.example\r\n\r\n",
        "GET /x y HTTP/1.1\r\nHost: www.example\r\n\r\n",
        "G@T /x HTTP/1.1\r\nHost: www.example\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03\r\n\r\n",
    ] {
        check_refused(bytes, 400);
    }
}

#[test]
fn malformed_fields_are_refused() {
    for field in [
        "Host : www.example",
        "X-A\r\nHost: www.example",
        "X(A): 1",
        "X-A: a\0b",
        ": nameless",
        "X-A: one\r\n folded",
    ] {
        let rest = if field.contains("Host") {
            ""
        } else {
            "Host: www.example\r\n"
        };
        check_refused(format!("GET /x HTTP/1.1\r\n{rest}{field}\r\n\r\n"), 400);
    }
}

#[test]
fn a_request_needs_exactly_one_well_formed_host() {
    check_refused("GET /x HTTP/1.1\r\n\r\n", 400);
    check_refused(
        "GET /x HTTP/1.1\r\nHost: www.example\r\nHost: other.example\r\n\r\n",
        400,
    );
    for host in [
        "",
        "a b",
        "user@www.example",
        "www.example/x",
        "www.example:80a",
    ] {
        check_refused(format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400);
    }
}

#[test]
fn ambiguous_content_lengths_are_refused() {
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: www.example\r\n\r\n";
    for fields in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length: 99999999999999999999999",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    ] {
        check_refused(
            format!("POST /x HTTP/1.1\r\nHost: www.example\r\n{fields}\r\n\r\n0\r\n\r\n{smuggled}"),
            400,
        );
    }
}

#[test]
fn content_length_with_transfer_encoding_cannot_hide_a_request() {
    let hidden = "GET /hidden HTTP/1.1\r\nHost: www.example\r\n\r\n";
    let length = format!("Content-Length: {}", hidden.len() + 5);
    let coding = "Transfer-Encoding: chunked";
    for fields in [
        format!("{length}\r\n{coding}"),
        format!("{coding}\r\n{length}"),
    ] {
        let (origin, edge) = answering();
        let mut client = edge.client();
        client.write(format!(
            "POST /x HTTP/1.1\r\nHost: www.example\r\n{fields}\r\n\r\n0\r\n\r\n{hidden}"
        ));
        let mut answer = client.head();
        client.rest(&mut answer);
        // The request is refused, or read by its chunks (RFC 9112 §6.3). In either case the
        // connection ends, and bytes after it are not a request.
        assert!(client.is_closed(), "{fields}");
        assert_eq!(origin.requests("/hidden"), 0, "{fields}");
        for asked in origin.asked("/x") {
            assert_eq!(
                (asked.body.as_slice(), asked.header("content-length")),
                (&b""[..], None),
                "{fields}"
            );
        }
    }
}

#[test]
fn a_malformed_chunk_never_completes_a_request() {
    for chunks in [
        "zz\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcdef\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        "-1\r\nabc\r\n",
    ] {
        let (origin, edge) = answering();
        let mut client = edge.client();
        client.write(format!(
            "POST /x HTTP/1.1\r\nHost: www.example\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
        ));
        client.finish();
        if let Ok(Some(answer)) = client.try_head(false) {
            assert!(answer.status >= 400, "{chunks:?}: {answer:?}");
        }
        // The head may reach the origin before the malformed chunk; the end of the body never does.
        for asked in origin.asked("/x") {
            assert!(!asked.body.ends_with(b"abcdef"), "{chunks:?}: {asked:?}");
        }
        edge.get("/y").assert_forwarded("uri-miss", "answered");
    }
}

#[test]
fn a_request_body_that_ends_early_never_completes_a_request() {
    for (buffer, requests) in [("0B", 1), ("16KiB", 0)] {
        let (origin, edge) = answering_with(&format!("request_buffer = \"{buffer}\""));
        let mut client = edge.client();
        client.write(
            "POST /x HTTP/1.1\r\nHost: www.example\r\nContent-Length: 100\r\n\r\nten bytes!",
        );
        if requests > 0 {
            origin.wait_for_body("/x", 10);
        }
        client.finish();
        if let Ok(Some(answer)) = client.try_head(false) {
            assert!(answer.status >= 400, "{answer:?}");
        }
        let asked = origin.asked("/x");
        assert_eq!(asked.len(), requests, "{buffer}");
        assert!(asked.iter().all(|asked| asked.body == b"ten bytes!"));
    }
}

#[test]
fn a_header_section_that_is_too_long_is_refused() {
    let long = "a".repeat(40_000);
    check_refused(
        format!("GET /x HTTP/1.1\r\nHost: www.example\r\nX-Long: {long}\r\n\r\n"),
        431,
    );
    check_refused(
        format!("GET /x?{long} HTTP/1.1\r\nHost: www.example\r\n\r\n"),
        431,
    );
    let many = "X-A: 1\r\n".repeat(101);
    check_refused(
        format!("GET /x HTTP/1.1\r\nHost: www.example\r\n{many}\r\n"),
        431,
    );
}

#[test]
fn a_header_section_that_never_ends_is_refused_at_the_limit() {
    let (origin, edge) = answering();
    let mut client = edge.client();
    client.write("GET /x HTTP/1.1\r\nHost: www.example\r\n");
    for number in 0..200_000 {
        if client.try_write(format!("X-{number}: more\r\n")).is_err() {
            break;
        }
        assert!(
            number < 199_999,
            "the edge has taken more than a megabyte of header"
        );
    }
    assert_eq!(origin.total(), 0);
    edge.get("/x").assert_forwarded("uri-miss", "answered");
}

#[test]
fn header_sections_up_to_the_limit_are_accepted() {
    let (_origin, edge) = answering();
    let mut request = get("/x").header("X-Long", "a".repeat(20_000));
    for number in 0..90 {
        request = request.header(format!("X-{number}"), "1");
    }
    edge.send(&request).assert_forwarded("uri-miss", "answered");
}

#[test]
fn a_request_for_an_unknown_host_gets_421() {
    let (origin, edge) = answering();
    let mut client = edge.client();
    let answer = client.send(&get("/x").host("elsewhere.example"));
    answer.assert_failed(421, "host");
    // The request is well-formed, so the connection persists.
    client
        .send(&get("/x"))
        .assert_forwarded("uri-miss", "answered");
    assert_eq!(origin.total(), 1);
}

#[test]
fn connect_and_trace_are_refused() {
    let (origin, edge) = answering();
    for method in ["TRACE", "CONNECT"] {
        let target = if method == "CONNECT" {
            "www.example:80"
        } else {
            "/x"
        };
        let answer = edge.send(&Request::new(method, target));
        assert!(
            matches!(answer.status, 400 | 405 | 501),
            "{method}: {answer:?}"
        );
    }
    assert_eq!(origin.total(), 0);
}

#[test]
fn the_host_of_an_absolute_target_replaces_the_host_field() {
    let (origin, edge) = answering();
    edge.send(&get("http://www.example/x").host("elsewhere.example"))
        .assert_forwarded("uri-miss", "answered");
    let asked = origin.only("/x");
    assert_eq!(
        (asked.target.as_str(), asked.header("host").as_deref()),
        ("/x", Some("www.example"))
    );
    edge.get("/x").assert_hit("answered");
}

#[test]
fn a_client_with_a_slow_header_section_is_disconnected() {
    let (origin, edge) = answering();
    let mut slow = edge.client();
    slow.write("GET /x HTTP/1.1\r\nHost: www.exa");
    let mut idle = edge.client();
    idle.send(&get("/y"));
    // An answer on another connection shows that the edge has read the first bytes of this one, or
    // is about to.
    let waiter = std::thread::spawn(move || {
        let answer = slow.try_head(false);
        (answer.ok().flatten().map(|answer| answer.status), slow)
    });
    edge.advance_until(60, || waiter.is_finished());
    let (status, _) = waiter.join().unwrap();
    assert_eq!(status, Some(408));
    assert_eq!(origin.requests("/x"), 0);
}

#[test]
fn a_silent_client_is_disconnected() {
    let (_origin, edge) = answering();
    let mut idle = edge.client();
    idle.send(&get("/x"));
    let waiter = std::thread::spawn(move || idle.is_closed());
    edge.advance_until(200, || waiter.is_finished());
    assert!(waiter.join().unwrap());
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(60, &asked.target));
    let edge = Edge::before(&origin).start();
    let mut client = edge.client();
    let targets: Vec<_> = (0..20).map(|number| format!("/{}", number % 3)).collect();
    client.write(
        targets
            .iter()
            .flat_map(|target| get(target).to_bytes())
            .collect::<Vec<_>>(),
    );
    for target in &targets {
        let mut answer = client.head();
        client.rest(&mut answer);
        assert_eq!(answer.text(), *target);
    }
}

// Input from origins.

/// An edge with short timeouts in front of an origin that answers `/x` with `reply`.
fn with_origin(reply: Reply) -> (Origin, Edge) {
    let origin = Origin::start();
    origin.on("/x", reply);
    let edge = Edge::before(&origin)
        .site("connect_timeout = \"2s\"\nresponse_timeout = \"5s\"\nbody_timeout = \"5s\"")
        .start();
    (origin, edge)
}

/// Checks the error that the edge makes of `reply`, and that it stores nothing.
#[track_caller]
fn check_fetch_fails(reply: Reply, status: u16) {
    let (origin, edge) = with_origin(reply);
    let answer = edge.get("/x");
    answer.assert_failed(status, "origin");
    assert_eq!(
        answer.cache_status().fwd.as_deref(),
        Some("uri-miss"),
        "{answer:?}"
    );
    origin.on("/x", Reply::fresh(60, "good"));
    // The failure itself is remembered for as long as `error_ttl`.
    edge.advance_secs(1);
    edge.get("/x").assert_forwarded("uri-miss", "good");
}

#[test]
fn an_origin_that_refuses_connections_gives_502() {
    let (origin, edge) = with_origin(Reply::fresh(60, "good"));
    origin.stop();
    let answer = edge.get("/x");
    answer.assert_failed(502, "origin refused the connection");
    assert_eq!(answer.cache_status().fwd.as_deref(), Some("uri-miss"));
    assert_eq!(
        edge.metric("tero_requests_total", &["outcome=\"error\""]),
        1.0
    );
    origin.start_again();
    edge.advance_secs(10);
    edge.get("/x").assert_forwarded("uri-miss", "good");
}

#[test]
fn an_origin_that_closes_early_gives_502() {
    check_fetch_fails(Reply::reset(), 502);
    check_fetch_fails(Reply::hang_up(), 502);
    check_fetch_fails(Reply::raw("HTTP/1.1 200 OK\r\nContent-Le"), 502);
}

#[test]
fn an_origin_without_http_gives_502() {
    check_fetch_fails(Reply::raw("SSH-2.0-OpenSSH_9.6\r\n"), 502);
    check_fetch_fails(Reply::raw("HTTP/1.1 abc OK\r\n\r\n"), 502);
    check_fetch_fails(
        Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        502,
    );
    check_fetch_fails(
        Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: none\r\n\r\n"),
        502,
    );
    check_fetch_fails(Reply::raw("HTTP/1.1 200 OK\r\nX A: 1\r\n\r\n"), 502);
}

#[test]
fn an_endless_header_section_from_the_origin_gives_502() {
    check_fetch_fails(
        Reply::raw_then_flood("HTTP/1.1 200 OK\r\n", "X-More: and more\r\n"),
        502,
    );
    check_fetch_fails(
        Reply::raw_then_flood("HTTP/1.1 200 OK\r\nX-Long: ", "aaaaaaaaaaaaaaaa"),
        502,
    );
}

#[test]
fn a_silent_origin_gives_504_after_its_timeout() {
    for reply in [
        Reply::silence(),
        Reply::raw_then_silence("HTTP/1.1 200 OK\r\nContent-"),
    ] {
        let (origin, edge) = with_origin(reply);
        let mut client = edge.client();
        client.start(&get("/x"));
        origin.wait_for("/x", 1);
        edge.advance_secs(4);
        // The edge serves another request, and still waits for this one.
        assert_eq!(edge.get("/y").status, 404);
        edge.advance_until(20, || origin.requests("/x") == 1);
        edge.advance_secs(1);
        client
            .head()
            .assert_failed(504, "origin did not answer in time");
        origin.wait_for_hang_ups(1);
    }
}

#[test]
fn a_slow_origin_gets_its_whole_timeout() {
    let gate = Gate::new();
    let (origin, edge) = with_origin(Reply::fresh(60, "at last").behind(&gate));
    let mut client = edge.client();
    client.start(&get("/x"));
    origin.wait_for("/x", 1);
    edge.advance_secs(4);
    gate.open();
    let mut answer = client.head();
    client.rest(&mut answer);
    answer.assert_forwarded("uri-miss", "at last");
}

/// Checks that the client notices the cut body, that its connection ends, and that nothing is
/// stored.
#[track_caller]
fn check_cut_short(reply: Reply) {
    let (origin, edge) = with_origin(reply);
    let mut client = edge.client();
    let answer = client.send(&get("/x"));
    assert_eq!((answer.status, answer.whole), (200, false), "{answer:?}");
    assert!(client.is_closed());
    origin.on("/x", Reply::fresh(60, "good"));
    edge.get("/x").assert_forwarded("uri-miss", "good");
    edge.get("/x").assert_hit("good");
}

#[test]
fn a_body_shorter_than_announced_ends_the_connection_and_is_not_stored() {
    check_cut_short(Reply::fresh(60, "short").announcing(10).then_close());
    check_cut_short(Reply::fresh(60, "short").announcing(10).then_reset());
    check_cut_short(Reply::fresh(60, "short").chunked().then_close());
    // The same for a response that would not be stored anyway.
    check_cut_short(Reply::ok("short").announcing(10).then_close());
}

#[test]
fn a_stalled_body_ends_the_connection_after_its_timeout() {
    let (origin, edge) = with_origin(Reply::fresh(60, "short").announcing(10).then_silence());
    let mut client = edge.client();
    client.start(&get("/x"));
    let mut answer = client.head();
    assert_eq!(client.exactly(5), b"short");
    let waiter = std::thread::spawn(move || {
        client.rest(&mut answer);
        answer.whole
    });
    edge.advance_until(30, || waiter.is_finished());
    assert!(!waiter.join().unwrap());
    origin.wait_for_hang_ups(1);
    origin.on("/x", Reply::fresh(60, "good"));
    edge.get("/x").assert_forwarded("uri-miss", "good");
}

#[test]
fn bytes_after_a_body_belong_to_no_response() {
    let origin = Origin::start();
    origin.on("/x", Reply::raw_then_silence("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\ngoodHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"));
    origin.on("/y", Reply::fresh(60, "own"));
    let edge = Edge::before(&origin).server("workers = 1").start();
    edge.get("/x").assert_forwarded("uri-miss", "good");
    edge.get("/y").assert_forwarded("uri-miss", "own");
    edge.get("/x").assert_hit("good");
}

#[test]
fn a_body_that_ends_with_its_connection_is_complete_and_stored() {
    let (origin, edge) = with_origin(Reply::fresh(60, "until the end").until_close());
    edge.get("/x").assert_forwarded("uri-miss", "until the end");
    edge.get("/x").assert_hit("until the end");
    assert_eq!(origin.requests("/x"), 1);
}

#[test]
fn an_interim_response_is_not_the_final_response() {
    let reply = Reply::raw(
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\ngood",
    );
    let (_origin, edge) = with_origin(reply);
    edge.get("/x").assert_forwarded("uri-miss", "good");
    edge.get("/x").assert_hit("good");
}

#[test]
fn a_304_to_an_unconditional_request_is_not_stored() {
    let (origin, edge) = with_origin(Reply::status(304).header("Cache-Control", "max-age=60"));
    edge.get("/x").assert_failed(502, "304");
    origin.on("/x", Reply::fresh(60, "good"));
    edge.get("/x").assert_forwarded("uri-miss", "good");
}

#[test]
fn another_origin_takes_over_from_one_that_cannot_be_reached() {
    let (down, up) = (Origin::start(), Origin::start());
    down.stop();
    up.otherwise(|asked| Reply::ok(&asked.target));
    let edge = Edge::before(&down).origin(&up.url()).start();
    for number in 0..6 {
        let target = format!("/{number}");
        edge.get(&target).assert_forwarded("uri-miss", &target);
    }
    assert_eq!(up.total(), 6);
}

#[test]
fn uploads_stream_to_the_origin() {
    let (origin, edge) = answering_with("request_buffer = \"0B\"");
    let mut client: Client = edge.client();
    client.write("POST /x HTTP/1.1\r\nHost: www.example\r\nContent-Length: 10\r\n\r\nfirst");
    origin.wait_for_body("/x", 5);
    client.write("last!");
    let mut answer = client.head();
    client.rest(&mut answer);
    answer.assert_forwarded("method", "answered");
    assert_eq!(origin.only("/x").body, b"firstlast!");
}

#[test]
fn a_client_that_reads_nothing_is_disconnected() {
    let origin = Origin::start();
    let body = "x".repeat(30_000_000);
    origin.on("/x", Reply::fresh(3_600, &body));
    let edge = Edge::before(&origin).start();
    assert!(edge.get("/x").whole);
    let mut stuck = edge.client();
    stuck.start(&get("/x"));
    let mut answer = stuck.head();
    // The buffers of the sockets hold some megabytes; the rest waits for the client. The other
    // request makes sure that the edge has seen the time before the next step.
    for _ in 0..60 {
        edge.advance_secs(1);
        assert!(edge.send(&Request::new("HEAD", "/x")).cache_status().hit);
    }
    stuck.rest(&mut answer);
    assert!(!answer.whole, "{} bytes", answer.body.len());
}

#[test]
fn connections_beyond_the_limit_wait_until_others_end() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(60, "answered"));
    let edge = Edge::before(&origin)
        .server("workers = 1\nmax_connections = 2")
        .start();
    let (mut first, mut second) = (edge.client(), edge.client());
    first.send(&get("/x"));
    second.send(&get("/x"));
    let mut third = edge.client();
    third.start(&get("/third"));
    for _ in 0..10 {
        second.send(&get("/x")).assert_hit("answered");
    }
    assert_eq!(origin.requests("/third"), 0);
    drop(first);
    third.head();
    assert_eq!(origin.requests("/third"), 1);
}

#[test]
fn fetches_beyond_the_limit_wait_and_then_give_503() {
    let origin = Origin::start();
    let gate = Gate::new();
    origin.on("/held", Reply::fresh(60, "held").behind(&gate));
    origin.on("/x", Reply::fresh(60, "x"));
    let edge = Edge::before(&origin)
        .site("max_fetches = 1\nconnect_timeout = \"2s\"")
        .start();
    let mut held = edge.client();
    held.start(&get("/held"));
    origin.wait_for("/held", 1);
    let mut waiting = edge.client();
    waiting.start(&get("/x"));
    let waiter = std::thread::spawn(move || waiting.head());
    edge.advance_until(20, || waiter.is_finished());
    waiter.join().unwrap().assert_failed(503, "too many");
    assert_eq!(origin.requests("/x"), 0);
    gate.open();
    let mut answer = held.head();
    held.rest(&mut answer);
    edge.get("/x").assert_forwarded("uri-miss", "x");
}
