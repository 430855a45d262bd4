//! Content of requests on its way to the origin: its pace, its repetition, the leave to send it, and
//! its trailers.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use tero_tests::{Answer, Client, Edge, EdgeBuilder, Origin, Reply, Request};

use crate::https_origins::fixture::Http2Origin;

/// An edge with one worker in front of two origins; the first is asked first.
fn before_two(first: &Origin, second: &Origin) -> EdgeBuilder {
    Edge::before_hop(&format!("url = \"{}\"", first.url()))
        .next_hop(&format!("url = \"{}\"\nbackup = true", second.url()))
        .server("workers = 1")
}

fn answering(body: &'static str) -> Origin {
    let origin = Origin::start();
    origin.otherwise(move |_| Reply::ok(body));
    origin
}

fn answer(client: &mut Client) -> Answer {
    let mut answer = client.head();
    client.rest(&mut answer);
    answer
}

#[test]
fn a_small_body_goes_to_the_next_origin_with_its_request() {
    let (failing, well) = (Origin::start(), answering("well"));
    failing.otherwise(|_| Reply::reset());
    let edge = before_two(&failing, &well)
        .site("request_buffer = \"1KiB\"\nretry = { methods = [\"PUT\"] }")
        .start();
    let small = vec![b's'; 1_000];
    let put = |target: &str| Request::new("PUT", target);
    assert_eq!(edge.send(&put("/put").body(&small)).text(), "well");
    assert_eq!(failing.only("/put").body, small);
    let repeated = well.only("/put");
    assert_eq!(repeated.body, small);
    assert_eq!(repeated.header("content-length").as_deref(), Some("1000"));
    // A GET may have a body, too, and is repeated in any case.
    let asked = Request::new("GET", "/get").body(&small);
    assert_eq!(edge.send(&asked).text(), "well");
    assert_eq!(well.only("/get").body, small);
    // A body that doesn't fit has been streamed, and is gone.
    let large = vec![b'l'; 1 << 20];
    edge.send(&put("/large").body(&large))
        .assert_failed(502, "origin broke off");
    edge.send(&Request::new("POST", "/post").body(&small))
        .assert_failed(502, "origin broke off");
    assert_eq!(well.requests("/large") + well.requests("/post"), 0);
}

#[test]
fn a_small_body_waits_for_each_origin_as_long_as_the_site_says() {
    let (hanging, slow) = (Origin::start(), Origin::start());
    hanging.otherwise(|_| Reply::silence());
    slow.otherwise(|_| Reply::silence());
    let edge = before_two(&hanging, &slow)
        .site("response_timeout = \"5s\"\nretry = { methods = [\"PUT\"] }")
        .start();
    let mut client = edge.client();
    client.start(&Request::new("PUT", "/x").body("content"));
    hanging.wait_for("/x", 1);
    edge.advance_until(5, || slow.requests("/x") == 1);
    slow.wait_for_body("/x", 7);
    edge.advance_secs(4);
    assert!(!client.is_answered(), "the second one has its own 5 s");
    edge.advance_until(2, || client.is_answered());
    assert_eq!(answer(&mut client).status, 504);
}

#[test]
fn a_small_body_is_repeated_after_an_idle_connection_closed() {
    let origin = Origin::start();
    origin.on("/first", Reply::ok("first"));
    origin.on_in_turn("/put", [Reply::hang_up(), Reply::ok("put")]);
    origin.on("/post", Reply::hang_up());
    let edge = Edge::before(&origin).server("workers = 1").start();
    edge.get("/first");
    let put = Request::new("PUT", "/put").body("content");
    assert_eq!(edge.send(&put).text(), "put");
    let asked = origin.asked("/put");
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|asked| asked.body == b"content"));
    edge.get("/first");
    let post = Request::new("POST", "/post").body("content");
    assert_eq!(edge.send(&post).status, 502);
    assert_eq!(origin.requests("/post"), 1);
}

/// What a recording origin has received, and its connection.
type Recorded = mpsc::Receiver<(Vec<u8>, TcpStream)>;

/// An origin that takes one connection, reads until these bytes have come, sends a reply, and reads no
/// more.
fn recording(end: &'static [u8], reply: &'static str) -> (SocketAddr, Recorded) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, received) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = Vec::new();
        let mut piece = [0; 4096];
        while !bytes.windows(end.len()).any(|part| part == end) {
            let length = stream.read(&mut piece).unwrap_or_default();
            if length == 0 {
                break;
            }
            bytes.extend_from_slice(&piece[..length]);
        }
        let _ = stream.write_all(reply.as_bytes());
        let _ = sender.send((bytes, stream));
    });
    (address, received)
}

#[test]
fn an_origin_that_reads_nothing_holds_up_its_client_and_no_memory_is_filled() {
    const ALL: usize = 1 << 30;
    let (address, received) = recording(b"\r\n\r\n", "");
    let edge = Edge::before_url(&format!("http://{address}")).start();
    let mut client = TcpStream::connect(edge.address()).unwrap();
    client
        .set_write_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let head = format!("POST /x HTTP/1.1\r\nHost: www.example\r\nContent-Length: {ALL}\r\n\r\n");
    client.write_all(head.as_bytes()).unwrap();
    let piece = vec![b'x'; 64 * 1024];
    let mut taken = 0;
    let error = loop {
        match client.write(&piece) {
            Ok(length) => taken += length,
            Err(error) => break error,
        }
        assert!(taken < ALL / 8, "the edge takes all that comes");
    };
    assert!(matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut
    ));
    // What is on its way lies in the buffers of sockets, but for some pieces.
    assert!(taken < 64 << 20, "{taken}");
    let (head, _connection) = received.recv().unwrap();
    assert!(head.starts_with(b"POST /x HTTP/1.1\r\n"));
}

/// The head of a request whose client waits for leave.
const EXPECTING: &str =
    "POST /x HTTP/1.1\r\nHost: www.example\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";

fn passing_expectations(origin: &Origin) -> Edge {
    Edge::before(origin)
        .server("workers = 1")
        .site("expect_continue = true")
        .start()
}

#[test]
fn an_expectation_goes_on_and_the_content_follows_the_leave_of_the_origin() {
    let origin = answering("done");
    origin.on_head("/x", "HTTP/1.1 100 Continue\r\n\r\n");
    let edge = passing_expectations(&origin);
    let mut client = edge.client();
    client.write(EXPECTING);
    assert_eq!(client.interim().status, 100);
    assert_eq!(origin.only("/x").body, b"");
    client.write("body");
    assert_eq!(answer(&mut client).text(), "done");
    let asked = origin.only("/x");
    assert_eq!(asked.body, b"body");
    assert_eq!(asked.header("expect").as_deref(), Some("100-continue"));
    // Both connections go on.
    client.write(EXPECTING);
    assert_eq!(client.interim().status, 100);
    client.write("more");
    assert_eq!(answer(&mut client).text(), "done");
    let asked = origin.asked("/x");
    assert_eq!(asked[0].connection, asked[1].connection);
}

#[test]
fn an_origin_that_answers_without_the_content_is_sent_none() {
    for (status, line) in [(417, "417 Expectation Failed"), (401, "401 Unauthorized")] {
        let origin = answering("never");
        let early = format!("HTTP/1.1 {line}\r\nContent-Length: 2\r\n\r\nno");
        origin.on_head("/x", early);
        let edge = passing_expectations(&origin);
        let mut client = edge.client();
        client.write(EXPECTING);
        let mut refused = client.interim_or_answer();
        assert_eq!(refused.status, status, "no 100 before it");
        client.rest(&mut refused);
        assert_eq!(refused.text(), "no");
        edge.advance_secs(60);
        assert!(client.is_closed(), "its content is not read");
        assert_eq!(origin.only("/x").body, b"");
        assert_eq!(edge.get("/y").text(), "never", "the edge goes on");
    }
}

#[test]
fn a_silent_origin_gets_the_content_after_the_timeout() {
    let origin = answering("done");
    let edge = Edge::before(&origin)
        .server("workers = 1")
        .site("expect_continue = true\nexpect_continue_timeout = \"3s\"")
        .start();
    let mut client = edge.client();
    client.write(EXPECTING);
    origin.wait_for("/x", 1);
    edge.advance_secs(2);
    assert!(!client.is_answered());
    edge.advance_until(2, || client.is_answered());
    assert_eq!(client.interim().status, 100);
    client.write("body");
    assert_eq!(answer(&mut client).text(), "done");
}

#[test]
fn an_expectation_without_content_or_from_http_1_0_does_not_go_on() {
    let origin = answering("done");
    let edge = passing_expectations(&origin);
    let bare = Request::new("POST", "/bare").header("Expect", "100-continue");
    assert_eq!(edge.send(&bare).text(), "done");
    assert_eq!(origin.only("/bare").header("expect"), None);
    let mut client = edge.client();
    client.write("POST /old HTTP/1.0\r\nHost: www.example\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody");
    assert_eq!(answer(&mut client).text(), "done");
    assert_eq!(origin.only("/old").header("expect"), None);
    assert_eq!(origin.only("/old").body, b"body");
}

#[test]
fn an_origin_of_http_2_is_sent_the_content_at_once() {
    let origin = Http2Origin::in_the_clear();
    let hop = format!(
        "url = \"http://{}\"\nhttp2 = \"prior-knowledge\"",
        origin.address()
    );
    let edge = Edge::before_hop(&hop)
        .server("workers = 1")
        .site("expect_continue = true")
        .start();
    let mut client = edge.client();
    client.write(EXPECTING);
    assert_eq!(client.interim().status, 100);
    client.write("body");
    assert_eq!(answer(&mut client).text(), "/x");
    let (fields, content, _) = origin.only_request();
    assert_eq!(fields.get("expect"), None);
    assert_eq!(content, b"body");
}

/// A request in chunks, with trailers.
const WITH_TRAILERS: &str = "POST /x HTTP/1.1\r\nHost: www.example\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Cookie, X-Own\r\n\r\n\
                             3\r\nabc\r\n0\r\nX-Sum: 1\r\nCookie: a=1\r\nX-Own: 2\r\nX-Forwarded-For: 1.2.3.4\r\nX_Sum: 3\r\n\r\n";

#[test]
fn trailers_that_are_announced_go_on_over_http_1() {
    let reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    for buffer in ["0B", "16KiB"] {
        let (address, received) = recording(b"0\r\nx-sum: 1\r\n\r\n", reply);
        let edge = Edge::before_url(&format!("http://{address}"))
            .site(&format!(
                "request_buffer = \"{buffer}\"\nrequest_fields = {{ remove = [\"X-Own\"] }}"
            ))
            .start();
        let mut client = edge.client();
        client.write(WITH_TRAILERS);
        assert_eq!(answer(&mut client).text(), "ok", "{buffer}");
        let sent = String::from_utf8(received.recv().unwrap().0).unwrap();
        let head = sent.split("\r\n\r\n").next().unwrap().to_ascii_lowercase();
        for line in ["trailer: x-sum", "transfer-encoding: chunked"] {
            assert!(head.lines().any(|own| own == line), "{sent}");
        }
        assert!(sent.ends_with("abc\r\n0\r\nx-sum: 1\r\n\r\n"), "{sent}");
    }
}

#[test]
fn trailers_go_on_over_http_2() {
    let origin = Http2Origin::in_the_clear();
    let hop = format!(
        "url = \"http://{}\"\nhttp2 = \"prior-knowledge\"",
        origin.address()
    );
    let edge = Edge::before_hop(&hop).start();
    let mut client = edge.client();
    client.write(WITH_TRAILERS);
    assert_eq!(answer(&mut client).text(), "/x");
    let (_, content, trailers) = origin.only_request();
    assert_eq!(content, b"abc");
    let trailers = trailers.expect("there are some");
    assert_eq!(
        (trailers.len(), &trailers["x-sum"]),
        (2, &"1".parse().unwrap())
    );
    assert_eq!(trailers["x-own"], "2");
}
