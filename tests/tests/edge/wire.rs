//! Messages as bytes: what is refused, dropped or sent again (RFC 9110 §6.5, §7.6, §10.1.1, RFC
//! 9112).

use tero_tests::{Answer, Edge, Origin, Reply, Request, get};

/// An edge in front of an origin that answers every request.
fn answering() -> (Origin, Edge) {
    answering_with("")
}

/// The same, with these keys of the site.
fn answering_with(site: &str) -> (Origin, Edge) {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(60, "answered"));
    let edge = Edge::before(&origin)
        .server("workers = 1")
        .site(site)
        .start();
    (origin, edge)
}

/// The edge's response to these bytes, after which it must close the connection.
#[track_caller]
fn refusal(edge: &Edge, bytes: impl AsRef<[u8]>) -> Answer {
    let shown = String::from_utf8_lossy(bytes.as_ref())
        .chars()
        .take(200)
        .collect::<String>();
    let mut client = edge.client();
    drop(client.try_write(bytes.as_ref()));
    let Ok(Some(mut answer)) = client.try_head(false) else {
        panic!("{shown:?}: no answer")
    };
    client.rest(&mut answer);
    assert!(client.is_closed(), "{shown:?}: the connection goes on");
    assert_eq!(
        answer.header("connection").as_deref(),
        Some("close"),
        "{shown:?}"
    );
    answer
}

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: www.example\r\n\r\n";

#[test]
fn ambiguous_requests_are_refused_with_the_reason() {
    let (origin, edge) = answering();
    let chunked = "Transfer-Encoding: chunked";
    for (bytes, reason) in [
        ("GET /x HTTP/1.1\nHost: www.example\r\n\r\n".to_owned(), "LF alone"),
        ("GET /x HTTP/1.1\r\nHost: www.example\n\r\n".to_owned(), "LF alone"),
        ("GET /x HTTP/1.1\r\nHost: www.example\n\n".to_owned(), "LF alone"),
        // The numbers of CR and LF are equal, but only with those of a second request.
        (
            "GET /x HTTP/1.1\r\nHost: www.example\r\nX:\n\nGET /y HTTP/1.1\nHost: www.example\nContent-Length: 10\n\n\
             \r\r\r\r\r\r\r\n\r\n"
                .to_owned(),
            "LF alone",
        ),
        (
            format!("GET /x HTTP/1.1\r\nHost: www.example\r\nX: 1\nContent-Length: {}\r\n\r\n{SMUGGLED}", SMUGGLED.len()),
            "LF alone",
        ),
        (format!("POST /x HTTP/1.1\r\nHost: www.example\r\nContent-Length: 5\r\n{chunked}\r\n\r\n0\r\n\r\n{SMUGGLED}"), "beside"),
        (format!("POST /x HTTP/1.1\r\nHost: www.example\r\n{chunked}\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{SMUGGLED}"), "beside"),
        (format!("POST /x HTTP/1.1\r\nHost: www.example\r\n{chunked}\r\n{chunked}\r\n\r\n0\r\n\r\n"), "Transfer-Encoding"),
        ("POST /x HTTP/1.1\r\nHost: www.example\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na".to_owned(), "repeated"),
        ("POST /x HTTP/1.1\r\nHost: www.example\r\nContent-Length: 1, 1\r\n\r\na".to_owned(), "malformed"),
        ("GET /x HTTP/1.1\r\nHost: www.example\r\nX: a\rb\r\n\r\n".to_owned(), "malformed"),
        // The numbers of CR and LF are equal, but not all are in the right place.
        ("GET /x HTTP/1.1\r\nHost: www.example\r\nX: a\rb\nY: c\r\n\r\n".to_owned(), "malformed"),
        ("GET /x\r HTTP/1.1\nHost: www.example\r\n\r\n".to_owned(), "malformed"),
        ("GET /x HTTP/1.1\r\nHost: www.example\r\nX: a\r\n b\r\n\r\n".to_owned(), "malformed"),
        ("GET /x HTTP/1.1\r\nHost: www.example\r\nX : a\r\n\r\n".to_owned(), "malformed"),
        ("GET /x HTTP/1.1\r\n Host: www.example\r\n\r\n".to_owned(), "malformed"),
        ("GET /x HTTP/3.1\r\nHost: www.example\r\n\r\n".to_owned(), "malformed"),
    ] {
        refusal(&edge, &bytes).assert_failed(400, reason);
    }
    assert_eq!(origin.total(), 0);
}

#[test]
fn a_malformed_request_is_refused_in_any_pieces() {
    let (origin, edge) = answering();
    let bytes = format!(
        "POST /x HTTP/1.1\r\nHost: www.example\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}"
    );
    let mut client = edge.client();
    for byte in bytes.as_bytes() {
        // The edge may have answered and closed already.
        drop(client.try_write([*byte]));
    }
    let mut answer = client.head();
    client.rest(&mut answer);
    answer.assert_failed(400, "beside");
    assert!(client.is_closed());
    assert_eq!(origin.total(), 0);
}

#[test]
fn a_malformed_pipelined_request_keeps_earlier_responses() {
    let (origin, edge) = answering();
    let mut client = edge.client();
    client.write(
        [
            get("/x").to_bytes(),
            get("/y").to_bytes(),
            b"GET /z HTTP/1.1\nHost: www.example\r\n\r\n".to_vec(),
        ]
        .concat(),
    );
    for _ in 0..2 {
        let mut answer = client.head();
        client.rest(&mut answer);
        answer.assert_forwarded("uri-miss", "answered");
    }
    let mut answer = client.head();
    client.rest(&mut answer);
    answer.assert_failed(400, "LF alone");
    assert!(client.is_closed());
    assert_eq!((origin.total(), origin.requests("/z")), (2, 0));
}

#[test]
fn a_get_with_late_content_ends_the_connection() {
    for (fields, content, buffer) in [
        ("Content-Length: 5", "a\nb\nc", "0B"),
        ("Content-Length: 5", "a\nb\nc", "1KiB"),
        (
            "Transfer-Encoding: chunked",
            "5\r\na\nb\nc\r\n0\r\n\r\n",
            "0B",
        ),
        (
            "Transfer-Encoding: chunked",
            "5\r\na\nb\nc\r\n0\r\n\r\n",
            "1KiB",
        ),
    ] {
        let (origin, edge) = answering_with(&format!("request_buffer = \"{buffer}\""));
        let mut client = edge.client();
        client.write(format!(
            "GET /x HTTP/1.1\r\nHost: www.example\r\n{fields}\r\n\r\n"
        ));
        // The only worker answers this request after it has read the other one.
        assert_eq!(edge.get("/first").status, 200);
        if buffer == "0B" {
            origin.wait_for("/x", 1);
        }
        client.write(format!("{content}{SMUGGLED}"));
        let mut answer = client.head();
        client.rest(&mut answer);
        answer.assert_forwarded("bypass", "answered");
        assert_eq!(answer.header("connection").as_deref(), Some("close"));
        assert!(client.is_closed());
        assert_eq!(
            (
                origin.only("/x").body.as_slice(),
                origin.requests("/smuggled")
            ),
            (&b"a\nb\nc"[..], 0)
        );
    }
}

#[test]
fn a_get_with_two_kinds_of_framing_is_refused() {
    let (origin, edge) = answering();
    let chunked = "Transfer-Encoding: chunked";
    for (fields, status, reason) in [
        (format!("Content-Length: 5\r\n{chunked}"), 400, "beside"),
        (format!("{chunked}\r\nContent-Length: 5"), 400, "beside"),
        (
            "Content-Length: 5\r\nContent-Length: 5".to_owned(),
            400,
            "repeated",
        ),
        (format!("{chunked}\r\n{chunked}"), 400, "Transfer-Encoding"),
        (
            "Transfer-Encoding: gzip, chunked".to_owned(),
            501,
            "not supported",
        ),
    ] {
        let head = format!("GET /x HTTP/1.1\r\nHost: www.example\r\n{fields}\r\n\r\n");
        // The head alone, and with bytes that could be its content.
        refusal(&edge, &head).assert_failed(status, reason);
        refusal(&edge, format!("{head}5\r\nabcde\r\n0\r\n\r\n{SMUGGLED}"))
            .assert_failed(status, reason);
    }
    assert_eq!(origin.total(), 0);
}

#[test]
fn an_unknown_transfer_coding_gets_501() {
    let (origin, edge) = answering();
    let bytes = "POST /x HTTP/1.1\r\nHost: www.example\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
    refusal(&edge, bytes).assert_failed(501, "not supported");
    assert_eq!(origin.total(), 0);
}

#[test]
fn a_header_section_that_is_too_long_gets_431() {
    let (origin, edge) = answering();
    let head = |field: &str| format!("GET /x HTTP/1.1\r\nHost: www.example\r\n{field}\r\n\r\n");
    refusal(&edge, head(&format!("X: {}", "a".repeat(40_000)))).assert_failed(431, "too long");
    refusal(&edge, head(&"X: 1\r\n".repeat(101))).assert_failed(431, "too long");
    // The same if the end never comes.
    refusal(
        &edge,
        format!("GET /x HTTP/1.1\r\nX: {}", "a".repeat(33_000)),
    )
    .assert_failed(431, "too long");
    assert_eq!(origin.total(), 0);
}

#[test]
fn a_malformed_chunk_is_refused_and_never_completes_the_request() {
    for chunks in [
        "10000000000000000\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "3 3\r\nabc\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3;a\nb\r\nabc\r\n0\r\n\r\n",
        "3;a\rb\r\nabc\r\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        &format!("3;{}\r\nabc\r\n0\r\n\r\n", "a".repeat(2_000)),
        "0\r\nX: 1\n\r\n",
        "0\r\nX : 1\r\n\r\n",
        &format!("0\r\nX: {}\r\n\r\n", "a".repeat(17_000)),
        &format!("0\r\n{}\r\n", "X: 1\r\n".repeat(101)),
        &format!(
            "{}0\r\n\r\n",
            format!("1;{}\r\na\r\n", "e".repeat(1_000)).repeat(17)
        ),
    ] {
        for (first, buffer) in [("", "0B"), ("2\r\nok\r\n", "0B"), ("2\r\nok\r\n", "64KiB")] {
            let is_streamed = buffer == "0B";
            let (origin, edge) = answering_with(&format!("request_buffer = \"{buffer}\""));
            let mut client = edge.client();
            let head =
                "POST /x HTTP/1.1\r\nHost: www.example\r\nTransfer-Encoding: chunked\r\n\r\n";
            client.write(format!("{head}{first}"));
            if is_streamed {
                origin.wait_for("/x", 1);
            }
            client.write(format!("{chunks}{SMUGGLED}"));
            let mut answer = client.head();
            client.rest(&mut answer);
            assert_eq!(
                answer.status,
                400,
                "{first:?} {chunks:?}: {answer:?} {:?}",
                origin.asked("/x")
            );
            if is_streamed {
                answer.assert_failed(400, "request body");
            }
            assert!(client.is_closed(), "{chunks:?}");
            // The origin has the bytes before the mistake, but no end; nothing of a body that is read
            // beforehand.
            assert_eq!(origin.total(), usize::from(is_streamed), "{chunks:?}");
            assert!(
                !origin
                    .asked("/x")
                    .iter()
                    .any(|asked| asked.body.windows(3).any(|window| window == b"abc"))
                    || chunks.starts_with("3\r\n"),
                "{chunks:?}"
            );
            edge.get("/y").assert_forwarded("uri-miss", "answered");
        }
    }
}

#[test]
fn a_request_after_one_with_a_body_is_read() {
    let (origin, edge) = answering();
    let mut client = edge.client();
    let chunked = "POST /x HTTP/1.1\r\nHost: www.example\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\na\nb\r\n0\r\nX: 1\r\n\r\n";
    client.write(
        [
            chunked.as_bytes(),
            &Request::new("POST", "/x").body("c\nd").to_bytes(),
            &get("/y").to_bytes(),
        ]
        .concat(),
    );
    for _ in 0..3 {
        let mut answer = client.head();
        client.rest(&mut answer);
        assert_eq!((answer.status, answer.text().as_str()), (200, "answered"));
    }
    let bodies: Vec<_> = origin
        .asked("/x")
        .into_iter()
        .map(|asked| asked.body)
        .collect();
    assert_eq!(bodies, [b"a\nb", b"c\nd"]);
}

#[test]
fn a_pipelined_request_waits_for_its_turn() {
    let origin = Origin::start();
    let gate = tero_tests::Gate::new();
    origin.on("/slow", Reply::fresh(60, "slowly").in_halves(&gate));
    origin.otherwise(|_| Reply::fresh(60, "answered"));
    let edge = Edge::before(&origin).server("workers = 1").start();
    let mut client = edge.client();
    client.start(&get("/slow"));
    let mut answer = client.head();
    client.start(&get("/x"));
    client.start(&get("/y"));
    assert_eq!(client.exactly(3), b"slo");
    assert_eq!((origin.requests("/x"), origin.requests("/y")), (0, 0));
    gate.open();
    client.rest(&mut answer);
    assert_eq!(answer.text(), "wly");
    for _ in 0..2 {
        let mut answer = client.head();
        client.rest(&mut answer);
        answer.assert_forwarded("uri-miss", "answered");
    }
}

#[test]
fn ambiguous_responses_are_refused() {
    let good = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n";
    for (bytes, reason) in [
        (format!("{good}Content-Length: 4\n\r\nevil"), "malformed"),
        (format!("{good}Content-Length: 4\n\nevil"), "malformed"),
        (
            "HTTP/1.1 200 OK\nContent-Length: 4\r\n\r\nevil".to_owned(),
            "malformed",
        ),
        (
            format!(
                "{good}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n"
            ),
            "malformed",
        ),
        (
            format!(
                "{good}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n4\r\nevil\r\n0\r\n\r\n"
            ),
            "malformed",
        ),
        (
            format!("{good}Content-Length: 4\r\nContent-Length: 4\r\n\r\nevil"),
            "malformed",
        ),
        (
            format!("{good}Content-Length: 4, 4\r\n\r\nevil"),
            "malformed",
        ),
        (
            format!("{good}Transfer-Encoding: gzip, chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n"),
            "malformed",
        ),
        (
            format!("{good}Transfer-Encoding: gzip\r\n\r\nevil"),
            "malformed",
        ),
        (
            format!("{good}X-A: one\r\n folded\r\nContent-Length: 4\r\n\r\nevil"),
            "malformed",
        ),
        (
            format!("{good}X-A : one\r\nContent-Length: 4\r\n\r\nevil"),
            "malformed",
        ),
        (
            format!("{good}X-A: a\rb\r\nContent-Length: 4\r\n\r\nevil"),
            "malformed",
        ),
        (
            format!("{good}X-A: a\0b\r\nContent-Length: 4\r\n\r\nevil"),
            "malformed",
        ),
    ] {
        let origin = Origin::start();
        origin.on("/x", Reply::raw_then_silence(&bytes));
        origin.on("/y", Reply::fresh(60, "own"));
        let edge = Edge::before(&origin).server("workers = 1").start();
        let answer = edge.get("/x");
        answer.assert_failed(502, reason);
        // The connection is not used again, and nothing is stored.
        origin.wait_for_hang_ups(1);
        edge.get("/y").assert_forwarded("uri-miss", "own");
        assert_ne!(
            origin.only("/x").connection,
            origin.only("/y").connection,
            "{bytes:?}"
        );
        origin.on("/x", Reply::fresh(60, "good"));
        edge.advance_secs(1);
        edge.get("/x").assert_forwarded("uri-miss", "good");
        // The same for a response that is not stored.
        origin.on("/post", Reply::raw_then_silence(&bytes));
        edge.send(&Request::new("POST", "/post").body(""))
            .assert_failed(502, reason);
    }
}

#[test]
fn hop_by_hop_fields_end_at_the_edge() {
    let origin = Origin::start();
    let hops = |reply: Reply| {
        reply
            .header("Connection", "x-hop, X-Other")
            .header("X-Hop", "1")
            .header("X-Other", "2")
            .header("Keep-Alive", "timeout=5")
            .header("Proxy-Authenticate", "Basic")
            .header("Proxy-Connection", "keep-alive")
            .header("Upgrade", "h2c")
            .header("X-End", "stays")
    };
    origin.on("/stored", hops(Reply::fresh(60, "stored")));
    origin.on("/passed", hops(Reply::ok("passed")));
    let edge = Edge::before(&origin).start();
    let asked = |method: &str, path: &str| {
        edge.send(
            &Request::new(method, path)
                .header("Connection", "close, x-mine")
                .header("X-Mine", "1")
                .header("TE", "trailers")
                .header("Trailer", "x-sum")
                .header("Keep-Alive", "5")
                .header("Proxy-Connection", "keep-alive")
                .header("Proxy-Authorization", "Basic eDp5")
                .header("Upgrade", "h2c")
                .header("X-End", "stays"),
        )
    };
    for answer in [
        asked("GET", "/stored"),
        asked("GET", "/stored"),
        asked("POST", "/passed"),
    ] {
        assert_eq!(answer.status, 200, "{answer:?}");
        for name in [
            "x-hop",
            "x-other",
            "keep-alive",
            "proxy-authenticate",
            "proxy-connection",
            "upgrade",
            "trailer",
        ] {
            assert_eq!(answer.header(name), None, "{name}: {answer:?}");
        }
        assert_eq!(answer.header("x-end").as_deref(), Some("stays"));
    }
    for asked in [origin.only("/stored"), origin.only("/passed")] {
        for name in [
            "connection",
            "x-mine",
            "te",
            "trailer",
            "keep-alive",
            "proxy-connection",
            "proxy-authorization",
            "upgrade",
        ] {
            assert_eq!(asked.header(name), None, "{name}: {asked:?}");
        }
        assert_eq!(asked.header("x-end").as_deref(), Some("stays"));
    }
}

#[test]
fn trailers_of_responses_are_dropped_and_those_of_requests_are_announced() {
    let (origin, edge) = answering();
    let trailers = "Trailer: X-Sum, Cache-Control\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\nCache-Control: no-store\r\n\r\n";
    for path in ["/stored", "/passed"] {
        let lifetime = if path == "/stored" {
            "max-age=60"
        } else {
            "no-store"
        };
        origin.on(
            path,
            Reply::raw(format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nCache-Control: {lifetime}\r\nX-Sum: of-the-head\r\n{trailers}"
            )),
        );
        let answer = edge.send(
            &get(path)
                .header("TE", "trailers")
                .header("Connection", "TE"),
        );
        assert_eq!(
            (answer.status, answer.text().as_str(), answer.whole),
            (200, "abc", true)
        );
        assert_eq!(answer.header("x-sum").as_deref(), Some("of-the-head"));
        assert_eq!(answer.header("trailer"), None);
    }
    let hit = edge.get("/stored");
    hit.assert_hit("abc");
    assert_eq!(
        (
            hit.header("x-sum").as_deref(),
            hit.header("cache-control").as_deref()
        ),
        (Some("of-the-head"), Some("max-age=60"))
    );
    let mut client = edge.client();
    client.write(format!("POST /x HTTP/1.1\r\nHost: www.example\r\nTE: trailers\r\nConnection: close, TE\r\n{trailers}"));
    let mut answer = client.head();
    client.rest(&mut answer);
    answer.assert_forwarded("method", "answered");
    assert!(client.is_closed());
    let asked = origin.only("/x");
    assert_eq!(
        (
            asked.body.as_slice(),
            asked.header("x-sum"),
            asked.header("trailer").as_deref()
        ),
        (&b"abc"[..], None, Some("x-sum"))
    );
}

#[test]
fn a_client_that_expects_100_gets_it_when_content_is_read() {
    let (origin, edge) = answering();
    let mut client = edge.client();
    client.write("POST /x HTTP/1.1\r\nHost: www.example\r\nContent-Length: 4\r\nExpect: 100-Continue\r\n\r\n");
    assert_eq!(client.interim().status, 100);
    client.write("body");
    let mut answer = client.head();
    client.rest(&mut answer);
    answer.assert_forwarded("method", "answered");
    let asked = origin.only("/x");
    assert_eq!(
        (asked.body.as_slice(), asked.header("expect")),
        (&b"body"[..], None)
    );
    // The connection goes on.
    client
        .send(&get("/y"))
        .assert_forwarded("uri-miss", "answered");
}

#[test]
fn a_client_that_expects_100_is_refused_without_sending_content() {
    let (origin, edge) = answering();
    let mut client = edge.client();
    client.write("POST /x HTTP/1.1\r\nHost: elsewhere.example\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    let mut answer = client.head();
    client.rest(&mut answer);
    answer.assert_failed(421, "host");
    assert!(client.is_closed());
    assert_eq!(origin.total(), 0);
}

#[test]
fn an_unknown_expectation_gets_417() {
    let (origin, edge) = answering();
    for value in ["200-ok", "100-continue, more", ""] {
        let mut client = edge.client();
        client
            .send(&get("/x").header("Expect", value))
            .assert_failed(417, "expectation");
        client
            .send(
                &get("/x")
                    .header("Expect", "100-continue")
                    .header("Expect", value),
            )
            .assert_failed(417, "expectation");
    }
    assert_eq!(origin.total(), 0);
    // HTTP/1.0 has no expectations.
    let mut client = edge.client();
    client.write("GET /x HTTP/1.0\r\nHost: www.example\r\nExpect: more\r\n\r\n");
    assert_eq!(client.head().status, 200);
}

#[test]
fn trace_and_connect_end_at_the_edge() {
    let (origin, edge) = answering();
    for request in [
        Request::new("TRACE", "/x"),
        Request::new("CONNECT", "www.example:80"),
    ] {
        let answer = edge.send(&request);
        answer.assert_failed(405, "method");
        assert!(
            answer
                .header("allow")
                .is_some_and(|allow| allow.contains("GET") && !allow.contains("TRACE"))
        );
    }
    assert_eq!(origin.total(), 0);
}

/// An edge with one idle connection to an origin that fails on the next request.
fn with_dying_connection(dying: Reply) -> (Origin, Edge) {
    let (origin, edge) = answering();
    origin.on_each("/x", move |asked, nth| match (asked.connection, nth) {
        (0, _) => dying.clone(),
        _ => Reply::fresh(60, "answered"),
    });
    edge.get("/first").assert_forwarded("uri-miss", "answered");
    (origin, edge)
}

#[test]
fn a_get_is_retried_once_after_an_idle_connection_closes() {
    let (origin, edge) = with_dying_connection(Reply::hang_up());
    edge.get("/x").assert_forwarded("uri-miss", "answered");
    let connections: Vec<_> = origin
        .asked("/x")
        .iter()
        .map(|asked| asked.connection)
        .collect();
    assert_eq!(
        connections,
        [0, 1],
        "once on the idle one, once on a new one"
    );
}

#[test]
fn a_get_is_not_sent_a_third_time() {
    let (origin, edge) = answering();
    origin.on("/x", Reply::hang_up());
    edge.get("/first").assert_forwarded("uri-miss", "answered");
    edge.get("/x").assert_failed(502, "origin broke off");
    assert_eq!(origin.requests("/x"), 2);
}

#[test]
fn requests_that_must_not_repeat_are_not_sent_twice() {
    for request in [
        Request::new("POST", "/x").body("once"),
        Request::new("POST", "/x"),
        // It has been streamed.
        Request::new("PUT", "/x").body(vec![b'o'; 1 << 20]),
    ] {
        let (origin, edge) = with_dying_connection(Reply::hang_up());
        edge.send(&request).assert_failed(502, "origin broke off");
        assert_eq!(origin.only("/x").connection, 0);
    }
}

#[test]
fn a_request_is_not_repeated_once_its_response_has_begun() {
    for dying in [
        Reply::raw("H"),
        Reply::raw("HTTP/1.1 200 OK\r\nContent-Le"),
        Reply::raw("HTTP/1.1 103 Early Hints\r\n\r\n"),
    ] {
        let (origin, edge) = with_dying_connection(dying);
        edge.get("/x").assert_failed(502, "origin broke off");
        assert_eq!(origin.only("/x").connection, 0);
    }
}

#[test]
fn a_post_avoids_a_connection_closed_while_idle() {
    let origin = Origin::start();
    origin.on("/first", Reply::fresh(60, "answered").then_close());
    origin.on("/x", Reply::ok("answered"));
    let edge = Edge::before(&origin).server("workers = 1").start();
    edge.get("/first").assert_forwarded("uri-miss", "answered");
    edge.send(&Request::new("POST", "/x").body("once"))
        .assert_forwarded("method", "answered");
    assert_eq!(origin.only("/x").body, b"once");
}
