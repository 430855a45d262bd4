//! Chunked responses from origins (RFC 9112 §7.1): a malformed or ambiguous chunk ends the
//! response, whatever came before it.

use tero_tests::{Edge, Gate, Origin, Reply, Request, get};

const HEAD: &str =
    "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Bodies that the edge refuses before parsing.
fn refused() -> Vec<String> {
    let mut bodies: Vec<_> = [
        "3 ",
        "3\t",
        "3 3",
        " 3",
        "+3",
        "-3",
        "0x3",
        "3g",
        "zz",
        "",
        "10000000000000000",
        "00000000000000003",
    ]
    .map(|size| format!("{size}\r\nabc\r\n0\r\n\r\n"))
    .into();
    bodies.extend(
        [
            "3\nabc\r\n0\r\n\r\n",
            "3\rabc\r\n0\r\n\r\n",
            "3;a\nb\r\nabc\r\n0\r\n\r\n",
            "3;a\rb\r\nabc\r\n0\r\n\r\n",
            "3;\u{1}\r\nabc\r\n0\r\n\r\n",
            "3\r\nabc0\r\n\r\n",
            "3\r\nabc\n0\r\n\r\n",
            "3\r\nabc\r0\r\n\r\n",
            "3\r\nab\r\n0\r\n\r\n",
            "3\r\nabcdef\r\n0\r\n\r\n",
            "0\n\r\n",
            "0\r\n\n",
            "0\r\nX: 1\n\r\n",
        ]
        .map(str::to_owned),
    );
    bodies.push(format!("3;{}\r\nabc\r\n0\r\n\r\n", "a".repeat(2_000)));
    bodies
}

/// Bodies that the parser refuses once it reaches the mistake.
fn refused_by_the_parser() -> Vec<String> {
    let many = "X: 1\r\n".repeat(101);
    let long = format!("X: {}\r\n", "a".repeat(17_000));
    let trailers = [
        "nonsense\r\n",
        "X : 1\r\n",
        " X: 1\r\n",
        "X: a\rb\r\n",
        "X: a\0b\r\n",
        &many,
        &long,
    ];
    let mut bodies: Vec<_> = trailers
        .map(|trailers| format!("3\r\nabc\r\n0\r\n{trailers}\r\n"))
        .into();
    // Each extension is within the limit of a line; together they exceed that of a body.
    bodies.push(format!(
        "{}0\r\n\r\n",
        format!("1;{}\r\na\r\n", "e".repeat(1_000)).repeat(17)
    ));
    bodies
}

/// An edge with one worker in front of an origin that answers `/x` with `reply`.
fn before(reply: Reply) -> (Origin, Edge) {
    let origin = Origin::start();
    origin.on("/x", reply);
    origin.otherwise(|_| Reply::fresh(60, "own"));
    let edge = Edge::before(&origin).server("workers = 1").start();
    (origin, edge)
}

/// Checks that the edge does not use the connection again, sent the request once, and stored
/// nothing.
#[track_caller]
fn check_left_behind(origin: &Origin, edge: &Edge, shown: &str) {
    origin.wait_for_hang_ups(1);
    let asked = origin.only("/x");
    edge.get("/y").assert_forwarded("uri-miss", "own");
    assert_ne!(asked.connection, origin.only("/y").connection, "{shown}");
    origin.on("/x", Reply::fresh(60, "good"));
    edge.advance_secs(1);
    edge.get("/x").assert_forwarded("uri-miss", "good");
    edge.get("/x").assert_hit("good");
}

#[test]
fn a_malformed_chunk_with_the_head_gives_502() {
    for body in refused() {
        let shown: String = body.escape_debug().take(60).collect();
        let (origin, edge) = before(Reply::raw_then_silence(format!("{HEAD}{body}")));
        edge.get("/x").assert_failed(502, "malformed");
        check_left_behind(&origin, &edge, &shown);
        // The same for a response that is not stored, after an interim response.
        origin.on(
            "/post",
            Reply::raw_then_silence(format!(
                "HTTP/1.1 103 Early Hints\r\n\r\n{HEAD}2\r\nok\r\n{body}"
            )),
        );
        edge.send(&Request::new("POST", "/post").body(""))
            .assert_failed(502, "malformed");
    }
}

#[test]
fn a_later_malformed_chunk_ends_the_connection_and_nothing_is_stored() {
    for body in refused().into_iter().chain(refused_by_the_parser()) {
        let shown: String = body.escape_debug().take(60).collect();
        for request in [get("/x"), Request::new("POST", "/x").body("")] {
            let gate = Gate::new();
            let reply = Reply::bytes(format!("{HEAD}2\r\nok\r\n"))
                .then_gate(&gate)
                .then(&body)
                .then_silence();
            let (origin, edge) = before(reply);
            let mut client = edge.client();
            client.start(&request);
            let mut answer = client.head();
            assert_eq!(
                (answer.status, client.exactly(2)),
                (200, b"ok".to_vec()),
                "{shown}"
            );
            gate.open();
            client.rest(&mut answer);
            assert!(!answer.whole, "{shown}: {answer:?}");
            assert!(client.is_closed(), "{shown}");
            check_left_behind(&origin, &edge, &shown);
        }
    }
}

#[test]
fn a_malformed_chunk_disconnects_followers_too() {
    let gate = Gate::new();
    let (origin, edge) = before(
        Reply::bytes(format!("{HEAD}2\r\nok\r\n"))
            .then_gate(&gate)
            .then("3 \r\nabc\r\n0\r\n\r\n")
            .then_silence(),
    );
    let mut clients = [edge.client(), edge.client()];
    let mut answers: Vec<_> = clients
        .iter_mut()
        .map(|client| {
            client.start(&get("/x"));
            let answer = client.head();
            client.exactly(2);
            answer
        })
        .collect();
    gate.open();
    for (client, answer) in clients.iter_mut().zip(&mut answers) {
        client.rest(answer);
        assert!(!answer.whole && client.is_closed(), "{answer:?}");
    }
    check_left_behind(&origin, &edge, "two clients");
}

#[test]
fn well_formed_chunks_are_accepted_in_any_pieces_and_the_connection_persists() {
    let extension = "a".repeat(1_000);
    for (body, content) in [
        ("3\r\nabc\r\n0\r\n\r\n", "abc"),
        ("2\r\na\n\r\n3\r\n\n\r\n\r\n0\r\n\r\n", "a\n\n\r\n"),
        ("0A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("a\r\n0123456789\r\n000\r\n\r\n", "0123456789"),
        ("0000000000000003\r\nabc\r\n0\r\n\r\n", "abc"),
        ("3;a=b;c=\"d e\"\r\nabc\r\n0;last\r\n\r\n", "abc"),
        // White space before an extension is accepted as bad whitespace (RFC 9112 §7.1.1).
        ("3 ; a = b\r\nabc\r\n0\r\n\r\n", "abc"),
        (
            &format!("3;{extension}\r\nabc\r\n0;{extension}\r\n\r\n"),
            "abc",
        ),
        ("3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-End:\r\n\r\n", "abc"),
        ("0\r\n\r\n", ""),
    ] {
        let whole = format!("{HEAD}{body}");
        let split = whole
            .bytes()
            .fold(Reply::bytes(""), |reply, byte| reply.then([byte]));
        for reply in [Reply::bytes(&whole), split] {
            let (origin, edge) = before(reply);
            edge.get("/x").assert_forwarded("uri-miss", content);
            edge.get("/x").assert_hit(content);
            edge.get("/y").assert_forwarded("uri-miss", "own");
            assert_eq!(
                origin.only("/x").connection,
                origin.only("/y").connection,
                "{body:?}"
            );
        }
    }
}

#[test]
fn responses_without_a_body_have_no_chunks_whatever_their_fields_say() {
    let head = |status: &str| {
        format!(
            "HTTP/1.1 {status}\r\nETag: \"1\"\r\nCache-Control: max-age=10\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
    };
    let (origin, edge) = before(Reply::bytes(format!(
        "{}3\r\nabc\r\n0\r\n\r\n",
        head("200 OK")
    )));
    // Responses to HEAD, 304 and 204 end with their heads; chunks of the next response on the
    // connection are checked again.
    origin.on("/head", Reply::bytes(head("200 OK")));
    origin.on("/none", Reply::bytes(head("204 None")));
    assert_eq!(edge.send(&Request::new("HEAD", "/head")).status, 200);
    assert_eq!(edge.get("/none").status, 204);
    edge.get("/x").assert_forwarded("uri-miss", "abc");
    origin.on("/x", Reply::bytes(head("304 Same")));
    edge.advance_secs(11);
    assert_eq!(edge.get("/x").text(), "abc");
    edge.get("/y").assert_forwarded("uri-miss", "own");
    let asked = ["/head", "/none", "/x", "/y"]
        .map(|path| origin.asked(path))
        .concat();
    assert_eq!(
        asked
            .iter()
            .map(|asked| asked.connection)
            .collect::<Vec<_>>(),
        [0; 5]
    );
    origin.on(
        "/last",
        Reply::raw_then_silence(format!("{HEAD}3 \r\nabc\r\n0\r\n\r\n")),
    );
    edge.get("/last").assert_failed(502, "malformed");
}

#[test]
fn bytes_after_a_response_without_a_body_are_not_a_chunk() {
    let head =
        |status: &str| format!("HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    for (method, status) in [
        ("HEAD", "200 OK"),
        ("GET", "204 None"),
        ("HEAD", "304 Same"),
    ] {
        let (origin, edge) = before(Reply::bytes(head(status)));
        let request = Request::new(method, "/x").header("If-None-Match", "\"1\"");
        let answer = edge.send(&request);
        assert_eq!(
            (answer.status.to_string().as_str(), answer.whole),
            (&status[..3], true),
            "{method} {status}"
        );
        edge.get("/y").assert_forwarded("uri-miss", "own");
        assert_ne!(
            origin.only("/x").connection,
            origin.only("/y").connection,
            "{method} {status}"
        );
    }
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket";
    let (_origin, edge) =
        before(Reply::bytes(head(&format!("101 Switching\r\n{upgrade}"))).then_silence());
    let mut client = edge.client();
    client.write(format!(
        "GET /x HTTP/1.1\r\nHost: www.example\r\n{upgrade}\r\n\r\n"
    ));
    assert_eq!(
        (client.head().status, client.exactly(4)),
        (101, b"zz\r\n".to_vec())
    );
}
