//! Streams of one connection: side by side, with content, trailers, interim responses, records, and
//! to the end of the edge.

use http::Request;
use hyper::body::Bytes;
use tero_tests::{Client, Gate, HOST, Origin, Reply, eventually};

use super::client::{self, Http2Client, get, request};
use super::raw::{GOAWAY, HEADERS, PING, RawClient};
use super::{address, before, pages};

#[test]
fn streams_do_not_wait_for_each_other() {
    let origin = Origin::start();
    let gate = Gate::new();
    origin.on("/slow", Reply::fresh(600, "slow").behind(&gate));
    origin.otherwise(|asked| Reply::fresh(600, asked.path()));
    let edge = before(&origin).start();
    let client = Http2Client::connect(address(&edge));
    let slow = client.start(get("/slow"), true);
    origin.wait_for("/slow", 1);
    for number in 0..20 {
        let path = format!("/{number}");
        assert_eq!(client.send(get(&path)).text(), path);
    }
    gate.open();
    assert_eq!(slow.answer().text(), "slow");
}

#[test]
fn many_streams_at_once_are_all_answered() {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(600, asked.path().repeat(5_000)));
    let edge = before(&origin).start();
    let client = Http2Client::connect(address(&edge));
    for round in 0..3 {
        let started: Vec<_> = (0..100)
            .map(|number| client.start(get(&format!("/{number}")), true))
            .collect();
        for (number, started) in started.into_iter().enumerate() {
            let expected = format!("/{number}").repeat(5_000);
            let answer = started.answer();
            assert!(
                answer.text() == expected,
                "{round} {number} {}",
                answer.status
            );
        }
    }
    assert_eq!(origin.total(), 100);
}

#[test]
fn an_upload_is_streamed_at_the_pace_of_its_client() {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::ok(asked.body.len().to_string()));
    let edge = before(&origin).site("request_buffer = \"1KiB\"").start();
    let client = Http2Client::connect(address(&edge));
    let large = vec![b'u'; 3_000_000];
    assert_eq!(
        client.send_with(request("POST", "/up"), &large).text(),
        "3000000"
    );
    let mut sent = client.start(request("PUT", "/slowly"), false);
    for _ in 0..3 {
        sent.content
            .send_data(Bytes::from(vec![b'u'; 10_000]), false)
            .unwrap();
        origin.wait_for("/slowly", 1);
    }
    sent.content.send_data(Bytes::new(), true).unwrap();
    assert_eq!(sent.answer().text(), "30000");
    let asked = origin.only("/slowly");
    assert_eq!(
        asked.header("transfer-encoding").as_deref(),
        Some("chunked")
    );
}

#[test]
fn content_is_asked_for_when_it_is_read() {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::ok(&asked.body));
    let edge = before(&origin).start();
    let client = Http2Client::connect(address(&edge));
    let head = |path: &str| {
        Request::builder()
            .method("POST")
            .uri(format!("http://{HOST}{path}"))
            .header("expect", "100-continue")
            .header("content-length", "3")
            .body(())
            .unwrap()
    };
    let mut sent = client.start(head("/echo"), false);
    assert_eq!(sent.interim().status(), 100);
    sent.content
        .send_data(Bytes::from_static(b"now"), true)
        .unwrap();
    assert_eq!(sent.answer().text(), "now");
    assert_eq!(origin.only("/echo").header("expect"), None);
}

#[test]
fn early_hints_reach_the_client_before_the_response() {
    let origin = Origin::start();
    let gate = Gate::new();
    let hints =
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n";
    origin.on(
        "/page",
        Reply::fresh(600, "good").after(hints).behind(&gate),
    );
    let edge = before(&origin).start();
    let client = Http2Client::connect(address(&edge));
    let mut sent = client.start(get("/page"), true);
    let interim = sent.interim();
    assert_eq!(interim.status(), 103);
    assert_eq!(interim.headers()["link"], "</a.css>");
    assert!(!interim.headers().contains_key("x-hop"));
    gate.open();
    let answer = sent.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "good"));
    assert_eq!(answer.header("link"), None);
    assert_eq!(
        client.send(get("/page")).header("link"),
        None,
        "none is stored"
    );
}

/// A chunked response with trailers.
fn with_trailers() -> Reply {
    Reply::bytes(
        "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nCache-Control: max-age=60\r\n\
         Trailer: grpc-status\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nhello\r\n0\r\ngrpc-status: 0\r\ngrpc-message: fine\r\n\r\n",
    )
}

#[test]
fn trailers_pass_on_a_pass() {
    let origin = Origin::start();
    origin.otherwise(|_| with_trailers());
    let edge = before(&origin).start();
    let client = Http2Client::connect(address(&edge));
    let call = Request::builder()
        .method("POST")
        .uri(format!("http://{HOST}/service/call"))
        .header("te", "trailers")
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    let answer = client.send_with(call, "\0\0\0\0\0");
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    let trailers = answer.trailers.expect("trailers come");
    assert_eq!(trailers["grpc-status"], "0");
    assert_eq!(trailers["grpc-message"], "fine");
    let asked = origin.only("/service/call");
    assert_eq!(asked.header("te").as_deref(), Some("trailers"));
    assert_eq!(asked.header("connection").as_deref(), Some("te"));
    // A stored response has none, for whomever it is fetched.
    for _ in 0..2 {
        let answer = client.send(get("/page"));
        assert_eq!(answer.text(), "hello");
        assert!(answer.whole && answer.trailers.is_none());
    }
    assert_eq!(origin.only("/page").header("te"), None);
}

#[test]
fn a_client_that_does_not_ask_for_trailers_does_not_have_the_origin_send_any() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::ok("plain"));
    let edge = before(&origin).start();
    let client = Http2Client::connect(address(&edge));
    client.send_with(request("POST", "/call"), "x");
    assert_eq!(origin.only("/call").header("te"), None);
    // Over HTTP/1.1 `TE` concerns the connection.
    let over_http1 = tero_tests::Request::new("POST", "/http1")
        .header("TE", "trailers")
        .header("Connection", "TE")
        .body("x");
    edge.send(&over_http1);
    assert_eq!(origin.only("/http1").header("te"), None);
}

#[test]
fn the_access_log_and_the_figures_tell_http2() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(600, "a page"));
    let folder = tero_tests::folder();
    let file = folder.path().join("access.log");
    let section = format!(
        "[access_log]\npath = {}\n",
        tero_tests::toml_string(&file.display().to_string())
    );
    let edge = before(&origin).section(&section).start();
    let client = Http2Client::connect(address(&edge));
    for _ in 0..2 {
        assert_eq!(client.send(get("/x?y")).text(), "a page");
    }
    let mut raw = RawClient::connect(address(&edge));
    raw.request(1, &[(":method", "GET")]);
    raw.first_of(1);
    let log = || std::fs::read_to_string(&file).unwrap_or_default();
    eventually("three lines", || log().lines().count() == 3);
    let log = log();
    for words in [
        ["\"GET /x?y HTTP/2.0\" 200 6 ", "fwd=uri-miss"],
        ["\"GET /x?y HTTP/2.0\" 200 6 ", "hit"],
        ["\"-\" 400 0 ", "malformed"],
    ] {
        let has = |line: &str| words.iter().all(|word| line.contains(word));
        assert!(log.lines().any(has), "{words:?}: {log}");
    }
    let bytes = edge.metric("tero_response_bytes_total", &[]);
    assert_eq!(bytes, 12.0);
    let hits = edge.metric("tero_requests_total", &["outcome=\"hit\""]);
    assert_eq!(hits, 1.0);
}

#[test]
fn content_that_a_client_did_not_take_is_not_counted() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(600, "x".repeat(300_000)));
    let edge = before(&origin).start();
    assert_eq!(edge.get("/x").body.len(), 300_000);
    let counted = || edge.metric("tero_response_bytes_total", &[]);
    assert_eq!(counted(), 300_000.0);
    // The window is 64 KiB, and stays closed.
    let mut client = RawClient::connect(address(&edge));
    client.request(1, &super::raw::get("/x"));
    assert_eq!(client.first_of(1).status(), 200);
    let mut taken = 0;
    while taken < 65_535 {
        taken += client.next_of(&[super::raw::DATA]).unwrap().content.len();
    }
    drop(client);
    eventually("the client's bytes are counted", || counted() == 365_535.0);
}

#[test]
fn a_draining_edge_says_goodbye_in_two_steps() {
    let origin = Origin::start();
    let gate = Gate::new();
    origin.on("/slow", Reply::fresh(600, "slow").behind(&gate));
    origin.otherwise(|_| Reply::fresh(600, "a page"));
    let edge = before(&origin).start();
    let mut client = RawClient::connect(address(&edge));
    client.request(1, &super::raw::get("/slow"));
    origin.wait_for("/slow", 1);
    edge.shutdown();
    let last_stream = |content: &[u8]| u32::from_be_bytes(content[..4].try_into().unwrap());
    let first = client.next_of(&[GOAWAY]).unwrap();
    assert_eq!(last_stream(&first.content), (1 << 31) - 1, "all are taken");
    let ping = client.next_of(&[PING]).unwrap();
    // A request that was on its way is answered.
    client.request(3, &super::raw::get("/x"));
    assert_eq!(client.first_of(3).status(), 200);
    client.send(PING, super::raw::ACK, 0, &ping.content);
    let second = client.next_of(&[GOAWAY]).unwrap();
    assert_eq!(last_stream(&second.content), 3);
    gate.open();
    assert_eq!(client.next_of(&[HEADERS]).unwrap().stream, 1);
    assert_eq!(client.end(), None, "no further GOAWAY, and no error");
}

#[test]
fn a_connection_that_has_asked_nothing_gets_a_short_grace() {
    let (_origin, edge) = pages();
    let mut client = RawClient::silent(address(&edge));
    let mut over_http1 = Client::connect(address(&edge));
    let mut too_late = RawClient::silent(address(&edge));
    // The edge has accepted them when it has accepted a later one.
    assert_eq!(
        Http2Client::connect(address(&edge))
            .send(client::get("/x"))
            .status,
        200
    );
    eventually("all are accepted", || {
        edge.metric("tero_connections_open", &[]) >= 3.0
    });
    edge.shutdown();
    client.write(super::raw::PREFACE);
    client.send(super::raw::SETTINGS, 0, 0, &[]);
    client.request(1, &super::raw::get("/x"));
    assert_eq!(client.first_of(1).status(), 200);
    assert_eq!(over_http1.send(&tero_tests::get("/x")).status, 200);
    edge.advance_until(1_000, || too_late.has_ended());
}

#[test]
fn requests_in_one_piece_are_all_answered() {
    let (_origin, edge) = pages();
    let warm = edge.get("/x");
    assert_eq!(warm.status, 200);
    let mut client = RawClient::connect(address(&edge));
    for round in 0..10_u32 {
        let request = |number: u32| {
            super::raw::frame(
                HEADERS,
                super::raw::END_HEADERS | super::raw::END_STREAM,
                200 * round + 2 * number + 1,
                &super::raw::block(&super::raw::get("/x")),
            )
        };
        let requests: Vec<u8> = (0..100).flat_map(request).collect();
        client.write(&requests);
        for _ in 0..100 {
            let frame = client.next_of(&[HEADERS, super::raw::RESET]).unwrap();
            assert_eq!(frame.kind, HEADERS, "{frame:?}");
            assert_eq!(frame.status(), 200);
        }
    }
}

/// Sends a request without content, and resets its stream when the origin has been asked.
fn ask_and_leave(client: &Http2Client, origin: &Origin, asked: Request<()>) {
    let path = asked.uri().path().to_owned();
    let before = origin.requests(&path);
    let mut sent = client.start(asked, true);
    origin.wait_for(&path, before + 1);
    sent.content.send_reset(h2::Reason::CANCEL);
}

#[test]
fn a_fetch_for_one_client_alone_ends_with_its_stream() {
    let origin = Origin::start();
    let private = || Reply::ok("private").header("Cache-Control", "private");
    origin.on_in_turn("/private", [private(), Reply::silence()]);
    origin.on("/no-store", Reply::silence());
    let edge = before(&origin).start();
    let client = Http2Client::connect(address(&edge));
    let mut no_store = get("/no-store");
    let said = http::HeaderValue::from_static("no-store");
    no_store.headers_mut().insert("cache-control", said);
    ask_and_leave(&client, &origin, no_store);
    origin.wait_for_hang_ups(1);
    // The answer was not storable lately.
    assert_eq!(client.send(get("/private")).text(), "private");
    ask_and_leave(&client, &origin, get("/private"));
    origin.wait_for_hang_ups(2);
}

#[test]
fn a_fetch_that_may_be_stored_outlives_the_stream_that_began_it() {
    let origin = Origin::start();
    let gate = Gate::new();
    origin.on("/x", Reply::fresh(600, "stored").behind(&gate));
    let edge = before(&origin).start();
    let client = Http2Client::connect(address(&edge));
    ask_and_leave(&client, &origin, get("/x"));
    assert_eq!(client.send(get("/other")).status, 404);
    gate.open();
    edge.until("/x", |answer| answer.cache_status().hit);
    assert_eq!(origin.requests("/x"), 1);
}

#[test]
fn a_client_that_waits_for_leave_gets_it_from_the_origin() {
    let origin = Origin::start();
    origin.on_head("/x", "HTTP/1.1 100 Continue\r\n\r\n");
    let refusal = "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno";
    origin.on_head("/refused", refusal);
    origin.otherwise(|_| Reply::ok("done"));
    let edge = before(&origin).site("expect_continue = true").start();
    let client = Http2Client::connect(address(&edge));
    let post = |path: &str| {
        let mut post = request("POST", path);
        let said = http::HeaderValue::from_static("100-continue");
        post.headers_mut().insert("expect", said);
        client.start(post, false)
    };
    let mut sent = post("/x");
    assert_eq!(sent.interim().status(), 100);
    sent.content.send_data("body".into(), true).unwrap();
    assert_eq!(sent.answer().text(), "done");
    let asked = origin.only("/x");
    assert_eq!(asked.header("expect").as_deref(), Some("100-continue"));
    assert_eq!(asked.body, b"body");
    let refused = post("/refused").answer();
    assert_eq!((refused.status, refused.text().as_str()), (417, "no"));
    assert_eq!(origin.only("/refused").body, b"");
    assert_eq!(client.send(get("/y")).text(), "done");
}
