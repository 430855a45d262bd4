//! Clients that send or read slowly: they hold up no others, and the slowest are disconnected.

use tero_tests::{Answer, Client, Edge, Gate, Origin, Reply, eventually, get};

/// More than the buffers of the sockets between an edge and a client hold.
const LARGE: usize = 30_000_000;

/// An origin with large responses that are not stored, below `/large/`, and pages.
fn origin() -> Origin {
    let origin = Origin::start();
    let large = "x".repeat(LARGE);
    origin.otherwise(move |asked| {
        if asked.path().starts_with("/large/") {
            let reply = Reply::ok(&large).chunked();
            let directives = if asked.path().ends_with("/no-store") {
                "no-store"
            } else {
                "max-age=60"
            };
            reply.header("Cache-Control", directives)
        } else {
            Reply::fresh(60, "a page")
        }
    });
    origin
}

/// A client that reads the head of a response and no more.
fn stuck(edge: &Edge, target: &str) -> (Client, Answer) {
    let mut client = edge.client();
    client.start(&get(target));
    let answer = client.head();
    assert_eq!(answer.status, 200);
    (client, answer)
}

fn asking(edge: &Edge, target: &str) -> Client {
    let mut client = edge.client();
    client.start(&get(target));
    client
}

/// Turns the clock, second by second, and lets the edge see each.
fn pass_secs(edge: &Edge, secs: u64) {
    for _ in 0..secs {
        edge.advance_secs(1);
        assert_eq!(edge.get("/tick").status, 200);
    }
}

#[test]
fn readers_that_stop_give_their_fetches_back() {
    for kind in ["no-store", "too-large"] {
        let origin = origin();
        let edge = Edge::before(&origin)
            .cache("max_object = \"1MiB\"")
            .site("max_fetches = 2\nrelease_fetch_after = \"5s\"\nconnect_timeout = \"20s\"")
            .start();
        let _stuck: Vec<_> = (0..2)
            .map(|number| stuck(&edge, &format!("/large/{number}/{kind}")))
            .collect();
        let cold = asking(&edge, "/cold");
        edge.advance_until(10, || cold.is_answered());
        let mut cold = cold;
        let mut answer = cold.head();
        cold.rest(&mut answer);
        answer.assert_forwarded("uri-miss", "a page");
    }
}

#[test]
fn a_fetch_is_not_given_back_before_its_time() {
    let origin = origin();
    let edge = Edge::before(&origin)
        .site("max_fetches = 1\nrelease_fetch_after = \"1min\"\nconnect_timeout = \"2s\"")
        .start();
    let _stuck = stuck(&edge, "/large/1/no-store");
    let mut cold = asking(&edge, "/cold");
    eventually("it waits", || {
        edge.metric("tero_origin_waiting", &[]) == 1.0
    });
    // No more than that: the stuck readers would be disconnected.
    edge.advance_until(4, || cold.is_answered());
    cold.head().assert_failed(503, "too many");
    assert_eq!(origin.requests("/cold"), 0);
}

#[test]
fn connections_to_origins_stay_bounded_when_fetches_are_given_back() {
    let origin = origin();
    let edge = Edge::before(&origin)
        .site("max_fetches = 1\nmax_origin_connections = 2\nrelease_fetch_after = \"0s\"")
        .site("connect_timeout = \"2s\"")
        .start();
    let mut readers: Vec<_> = (0..2)
        .map(|number| stuck(&edge, &format!("/large/{number}/no-store")))
        .collect();
    let mut cold = asking(&edge, "/cold");
    eventually("it waits", || {
        edge.metric("tero_origin_waiting", &[]) == 1.0
    });
    // No more than that: the stuck readers would be disconnected.
    edge.advance_until(4, || cold.is_answered());
    cold.head().assert_failed(503, "too many");
    drop(readers.pop());
    edge.until("/cold", |answer| answer.status == 200);
}

#[test]
fn small_uploads_take_no_fetch_before_they_are_complete() {
    let origin = origin();
    let edge = Edge::before(&origin).site("max_fetches = 1").start();
    let mut uploads: Vec<_> = (0..3).map(|_| edge.client()).collect();
    for upload in &mut uploads {
        upload.write("POST /form HTTP/1.1\r\nHost: www.example\r\nContent-Length: 10\r\n\r\na");
    }
    for number in 0..10 {
        edge.get(&format!("/cold/{number}"))
            .assert_forwarded("uri-miss", "a page");
    }
    assert_eq!(origin.requests("/form"), 0);
    for upload in &mut uploads {
        upload.write("bcdefghij");
        assert_eq!(upload.head().status, 200);
    }
    let asked = origin.asked("/form");
    assert_eq!(asked.len(), 3);
    for asked in asked {
        assert_eq!(asked.body, b"abcdefghij");
        assert_eq!(asked.header("Content-Length").as_deref(), Some("10"));
    }
}

#[test]
fn a_small_chunked_upload_is_forwarded_with_its_length() {
    let origin = origin();
    let edge = Edge::before(&origin).start();
    for (chunks, body) in [("3\r\nabc\r\n2\r\nde\r\n", "abcde"), ("", "")] {
        let mut client = edge.client();
        client.write(format!(
            "POST /{body} HTTP/1.1\r\nHost: www.example\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
        ));
        assert_eq!(client.head().status, 200);
        let asked = origin.only(&format!("/{body}"));
        let length = body.len().to_string();
        assert_eq!(asked.body, body.as_bytes());
        assert_eq!(asked.header("Content-Length"), Some(length));
        assert_eq!(asked.header("Transfer-Encoding"), None);
    }
}

#[test]
fn an_upload_is_streamed_once_its_beginning_is_there() {
    let origin = origin();
    let edge = Edge::before(&origin)
        .server("workers = 1")
        .site("request_buffer = \"1KiB\"")
        .start();
    let mut upload = edge.client();
    upload.write("POST /form HTTP/1.1\r\nHost: www.example\r\nContent-Length: 2000\r\n\r\n");
    upload.write("a".repeat(1_023));
    for number in 0..10 {
        assert_eq!(edge.get(&format!("/cold/{number}")).status, 200);
    }
    assert_eq!(origin.requests("/form"), 0);
    upload.write("b");
    origin.wait_for_body("/form", 1_024);
    upload.write("c".repeat(976));
    assert_eq!(upload.head().status, 200);
    assert_eq!(origin.only("/form").body.len(), 2_000);
}

#[test]
fn long_uploads_give_their_fetches_back() {
    let origin = origin();
    let edge = Edge::before(&origin)
        .site("max_fetches = 1\nrelease_fetch_after = \"5s\"\nconnect_timeout = \"20s\"")
        .start();
    let mut upload = edge.client();
    upload.write("POST /form HTTP/1.1\r\nHost: www.example\r\nContent-Length: 50000\r\n\r\n");
    upload.write("a".repeat(40_000));
    origin.wait_for_body("/form", 40_000);
    let mut cold = asking(&edge, "/cold");
    edge.advance_until(10, || cold.is_answered());
    assert_eq!(cold.head().status, 200);
    upload.write("a".repeat(10_000));
    assert_eq!(upload.head().status, 200);
}

/// An edge, and a client that has sent the head of a long upload.
fn uploading(origin: &Origin, server: &str) -> (Edge, Client) {
    let edge = Edge::before(origin)
        .server(server)
        .site("request_buffer = \"0B\"\nresponse_timeout = \"5s\"\nbody_timeout = \"20s\"")
        .start();
    let mut upload = edge.client();
    upload.write("POST /form HTTP/1.1\r\nHost: www.example\r\nContent-Length: 100000\r\n\r\n");
    origin.wait_for("/form", 1);
    (edge, upload)
}

#[test]
fn a_steady_upload_may_take_longer_than_the_response_timeout() {
    let origin = origin();
    let (edge, mut upload) = uploading(&origin, "");
    for piece in 1..=10 {
        // Longer than the timeout of the response, and shorter than that of the body.
        pass_secs(&edge, 6);
        upload.write("a".repeat(10_000));
        origin.wait_for_body("/form", 10_000 * piece);
    }
    assert_eq!(upload.head().status, 200);
}

#[test]
fn the_response_timeout_begins_with_the_end_of_the_upload() {
    let origin = Origin::start();
    origin.on("/tick", Reply::fresh(3_600, "tick"));
    origin.on("/form", Reply::silence());
    let (edge, mut upload) = uploading(&origin, "");
    pass_secs(&edge, 8);
    upload.write("a".repeat(100_000));
    origin.wait_for_body("/form", 100_000);
    pass_secs(&edge, 4);
    assert!(!upload.is_answered());
    // The edge may take note of the end a little later than the origin.
    edge.advance_until(5, || upload.is_answered());
    upload.head().assert_failed(504, "in time");
}

#[test]
fn an_origin_that_takes_no_more_of_an_upload_is_timed_out() {
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", deaf.local_addr().unwrap());
    let edge = Edge::before_url(&url)
        .site("response_timeout = \"5s\"")
        .start();
    let upload = edge.client();
    let length = 4 * LARGE;
    std::thread::scope(|scope| {
        let mut upload = upload;
        let (told, is_told) = std::sync::mpsc::channel();
        let uploader = scope.spawn(move || {
            upload.write(format!(
                "POST /form HTTP/1.1\r\nHost: www.example\r\nContent-Length: {length}\r\n\r\n"
            ));
            let piece = vec![b'a'; 1_000_000];
            // The edge may close the connection at any time after its answer.
            for _ in 0..length / piece.len() {
                if upload.is_answered() || upload.try_write(&piece).is_err() {
                    break;
                }
            }
            let answer = upload.try_head(false);
            told.send(()).unwrap();
            answer
        });
        edge.advance_until(300, || is_told.try_recv().is_ok());
        if let Ok(Some(answer)) = uploader.join().unwrap() {
            answer.assert_failed(504, "in time");
        }
    });
    assert_eq!(
        edge.metric("tero_requests_total", &["outcome=\"error\""]),
        1.0
    );
}

#[test]
fn an_upload_below_the_least_rate_is_refused() {
    for (server, piece, is_slow) in [
        ("", 1, true),
        ("", 255, true),
        ("", 256, false),
        ("min_rate = \"1KiB\"", 1_000, true),
        ("min_rate = \"0B\"", 1, false),
    ] {
        let origin = origin();
        let (edge, mut upload) = uploading(&origin, server);
        for second in 1..=10 {
            upload.write("a".repeat(piece));
            origin.wait_for_body("/form", piece * second);
            assert!(!upload.is_answered(), "{server} {piece}");
            edge.advance_secs(1);
        }
        if is_slow {
            // The edge may begin to wait for a piece a little after the origin has the one before.
            edge.advance_until(3, || upload.is_answered());
            upload.head().assert_failed(408, "too slowly");
        } else {
            upload.write("a".repeat(piece));
            origin.wait_for_body("/form", piece * 11);
            assert!(!upload.is_answered(), "{server} {piece}");
        }
    }
}

#[test]
fn a_silent_upload_is_refused_when_it_falls_below_the_least_rate() {
    // What was sent before the silence, and the seconds of silence that it allows.
    for (server, sent, allowed) in [
        ("", 100, 10),
        ("", 256 * 20, 20),
        ("min_rate = \"1KiB\"", 1024 * 12, 12),
        ("min_rate = \"0B\"", 1, 60),
    ] {
        let origin = origin();
        let edge = Edge::before(&origin)
            .server("workers = 1")
            .server(server)
            .site("body_timeout = \"1min\"\nrequest_buffer = \"0B\"")
            .start();
        let mut upload = edge.client();
        upload.write("POST /form HTTP/1.1\r\nHost: www.example\r\nContent-Length: 100000\r\n\r\n");
        upload.write("a".repeat(sent));
        origin.wait_for_body("/form", sent);
        pass_secs(&edge, allowed - 1);
        assert!(!upload.is_answered(), "{server} {sent}");
        edge.advance_until(3, || upload.is_answered());
        upload.head().assert_failed(408, "too slowly");
    }
}

#[test]
fn a_small_upload_below_the_least_rate_is_refused() {
    let origin = origin();
    let edge = Edge::before(&origin).server("workers = 1").start();
    let mut upload = edge.client();
    upload.write("POST /form HTTP/1.1\r\nHost: www.example\r\nContent-Length: 1000\r\n\r\n");
    edge.advance_until(60, || {
        upload.is_answered() || upload.try_write("a").is_err()
    });
    upload.head().assert_failed(408, "too slowly");
    assert_eq!(origin.requests("/form"), 0);
}

#[test]
fn a_silent_upload_is_refused_after_the_body_timeout() {
    let origin = origin();
    let edge = Edge::before(&origin)
        .server("workers = 1")
        .site("body_timeout = \"5s\"")
        .start();
    let mut upload = edge.client();
    upload.write("POST /form HTTP/1.1\r\nHost: www.example\r\nContent-Length: 10\r\n\r\na");
    pass_secs(&edge, 4);
    assert!(!upload.is_answered());
    edge.advance_until(5, || upload.is_answered());
    let mut answer = upload.head();
    answer.assert_failed(408, "too slowly");
    assert_eq!(answer.header("Connection").as_deref(), Some("close"));
    upload.rest(&mut answer);
    assert!(upload.is_closed());
    assert_eq!(origin.requests("/form"), 0);
}

/// An edge where no write times out, and a client that reads the head of a large response.
fn reading(server: &str, reply: Reply) -> (Origin, Edge, Client, Answer) {
    let origin = Origin::start();
    origin.on("/tick", Reply::fresh(3_600, "tick"));
    origin.on("/x", reply);
    let edge = Edge::before(&origin).server(server).start();
    let (client, answer) = stuck(&edge, "/x");
    (origin, edge, client, answer)
}

#[test]
fn a_reader_below_the_least_rate_is_disconnected() {
    let server = "write_timeout = \"1h\"";
    let (_origin, edge, mut client, mut answer) =
        reading(server, Reply::fresh(3_600, "x".repeat(LARGE)));
    pass_secs(&edge, 40);
    client.rest(&mut answer);
    assert!(!answer.whole, "{} bytes", answer.body.len());
}

#[test]
fn without_a_least_rate_a_reader_may_pause() {
    let server = "write_timeout = \"1h\"\nmin_rate = \"0B\"";
    let (_origin, edge, mut client, mut answer) =
        reading(server, Reply::fresh(3_600, "x".repeat(LARGE)));
    pass_secs(&edge, 40);
    client.rest(&mut answer);
    assert!(answer.whole, "{} bytes", answer.body.len());
}

#[test]
fn event_streams_have_no_least_rate() {
    let server = "write_timeout = \"1h\"";
    let events = Reply::ok("x".repeat(LARGE))
        .chunked()
        .header("Content-Type", "Text/Event-Stream; charset=utf-8")
        .header("Cache-Control", "no-store");
    let (_origin, edge, mut client, mut answer) = reading(server, events);
    pass_secs(&edge, 40);
    client.rest(&mut answer);
    assert!(answer.whole, "{} bytes", answer.body.len());
}

#[test]
fn a_slow_and_steady_reader_is_served_to_the_end() {
    // The kernel takes bytes again only when a third of its buffer is free, which takes this client
    // longer than the timeout.
    let server = "write_timeout = \"4s\"";
    let (_origin, edge, mut client, mut answer) =
        reading(server, Reply::fresh(3_600, "x".repeat(LARGE)));
    for _ in 0..60 {
        answer.body.extend(client.exactly(150_000));
        pass_secs(&edge, 1);
    }
    client.rest(&mut answer);
    assert!(answer.whole, "{} bytes", answer.body.len());
    assert_eq!(answer.body.len(), LARGE);
}

/// Two clients that share a fetch of a response too large to be stored: one that reads, and one
/// that stopped after the first bytes. `script` makes the response from what follows its head.
fn shared_fetch(fields: &str, more: impl Fn(&Origin)) -> (Origin, Edge, Vec<u8>, (Client, Answer)) {
    let origin = Origin::start();
    let gate = Gate::new();
    let content: Vec<u8> = (0..LARGE).map(|at| (at / 1_000 % 251) as u8).collect();
    let head = format!(
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n{fields}\r\n4\r\n"
    );
    let chunk = [
        format!("\r\n{:x}\r\n", LARGE - 4).as_bytes(),
        &content[4..],
        b"\r\n0\r\n\r\n",
    ]
    .concat();
    origin.on(
        "/x",
        Reply::bytes([head.as_bytes(), &content[..4]].concat())
            .then_gate(&gate)
            .then(chunk),
    );
    // More than the buffers of the stuck client's sockets hold, and less than the response.
    let edge = Edge::before(&origin).cache("max_object = \"8MiB\"").start();
    let mut stuck = stuck(&edge, "/x");
    assert_eq!(stuck.0.exactly(4), content[..4]);
    let mut quick = edge.client();
    quick.start(&get("/x"));
    let mut answer = quick.head();
    assert!(answer.cache_status().collapsed, "{answer:?}");
    more(&origin);
    gate.open();
    quick.rest(&mut answer);
    assert!(
        answer.whole && answer.body == content,
        "{}",
        answer.body.len()
    );
    (origin, edge, content, stuck)
}

#[test]
fn a_client_that_stops_reading_holds_up_no_other_and_is_cut_off() {
    let (origin, _edge, content, (mut stuck, mut answer)) = shared_fetch("", |_| {});
    assert_eq!(origin.requests("/x"), 1);
    stuck.rest(&mut answer);
    assert!(!answer.whole, "{} bytes", answer.body.len());
    assert!(
        content[4..].starts_with(&answer.body),
        "what it got is right"
    );
}

#[test]
fn a_client_that_falls_behind_goes_on_by_itself() {
    let (origin, _edge, content, (mut stuck, mut answer)) =
        shared_fetch("ETag: \"1\"\r\n", |origin| {
            let content: Vec<u8> = (0..LARGE).map(|at| (at / 1_000 % 251) as u8).collect();
            origin.on_each("/x", move |asked, _| {
                let from: usize = asked
                    .header("Range")
                    .and_then(|range| {
                        range
                            .strip_prefix("bytes=")?
                            .strip_suffix('-')?
                            .parse()
                            .ok()
                    })
                    .expect("the rest is asked for");
                Reply::status(206)
                    .body(&content[from..])
                    .header("ETag", "\"1\"")
                    .header(
                        "Content-Range",
                        format!("bytes {from}-{}/{LARGE}", LARGE - 1),
                    )
            });
        });
    stuck.rest(&mut answer);
    assert!(
        answer.whole && answer.body == content[4..],
        "{}",
        answer.body.len()
    );
    let asked = origin.asked("/x");
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[1].header("If-Range").as_deref(), Some("\"1\""));
}

#[test]
fn a_client_that_falls_behind_gets_no_bytes_of_another_response() {
    for reply in [
        Reply::ok("x".repeat(LARGE)).header("ETag", "\"2\""),
        Reply::status(206)
            .body("x")
            .header("ETag", "\"2\"")
            .header("Content-Range", "bytes 0-0/1"),
        Reply::status(500),
        Reply::hang_up(),
    ] {
        let (origin, _edge, content, (mut stuck, mut answer)) =
            shared_fetch("ETag: \"1\"\r\n", |origin| origin.on("/x", reply.clone()));
        stuck.rest(&mut answer);
        assert!(!answer.whole, "{} bytes", answer.body.len());
        assert!(content[4..].starts_with(&answer.body));
        assert!(origin.requests("/x") >= 2);
    }
}

#[test]
fn connections_of_one_client_are_bounded() {
    let origin = origin();
    let edge = Edge::before(&origin)
        .server("max_connections_per_client = 2")
        .start();
    let (mut first, mut second) = (edge.client(), edge.client());
    for client in [&mut first, &mut second] {
        assert_eq!(client.send(&get("/page")).status, 200);
    }
    assert!(edge.client().is_closed());
    assert_eq!(edge.metric("tero_connections_refused_total", &[]), 1.0);
    assert_eq!(second.send(&get("/page")).status, 200);
    drop(first);
    eventually("a connection is accepted", || {
        let mut client = edge.client();
        client.try_write(get("/page").to_bytes()).is_ok()
            && client.try_head(false).is_ok_and(|answer| answer.is_some())
    });
    let unbounded = Edge::before(&origin).start();
    let mut clients: Vec<_> = (0..100).map(|_| unbounded.client()).collect();
    for client in &mut clients {
        assert_eq!(client.send(&get("/page")).status, 200);
    }
}
