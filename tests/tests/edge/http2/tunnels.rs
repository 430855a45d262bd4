//! Tunnels by extended CONNECT (RFC 8441).

use http::Request;
use http::request::Builder;
use hyper::body::Bytes;
use tero_tests::{Edge, HOST, Origin, Reply, eventually};

use super::client::{Http2Client, get, within};
use super::{address, before};

/// An edge in front of an origin that echoes on `/ws`.
fn echoing() -> (Origin, Edge) {
    let origin = Origin::start();
    origin.on_each("/ws", |asked, _| match asked.header("upgrade") {
        Some(protocol) => {
            let key = asked.header("sec-websocket-key").unwrap_or_default();
            let accept = ("Sec-WebSocket-Accept", accept_of(&key));
            Reply::switching_with(&protocol, &[accept])
        }
        None => Reply::status(426).body("upgrade!"),
    });
    origin.on("/parrot", Reply::switching("websocket"));
    let of_another = accept_of("dGVybyBhc2tzIGZvciBpdA==");
    let accept = ("Sec-WebSocket-Accept", of_another);
    origin.on("/wrong", Reply::switching_with("websocket", &[accept]));
    origin.on("/plain", Reply::ok("no tunnel"));
    origin.on("/no", Reply::status(403).body("no"));
    origin.otherwise(|_| Reply::fresh(60, "answered"));
    let edge = before(&origin).start();
    (origin, edge)
}

/// What answers a key of WebSocket (RFC 6455 §4.2.2).
fn accept_of(key: &str) -> String {
    use base64::Engine as _;
    use sha1::Digest as _;
    let digest = sha1::Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    base64::engine::general_purpose::STANDARD.encode(digest)
}

fn connect(path: &str, protocol: &'static str) -> Request<()> {
    let request: Builder = Request::builder()
        .method("CONNECT")
        .uri(format!("http://{HOST}{path}"))
        .header("sec-websocket-version", "13")
        .extension(h2::ext::Protocol::from_static(protocol));
    request.body(()).unwrap()
}

fn client(edge: &Edge) -> Http2Client {
    let client = Http2Client::connect(address(edge));
    assert_eq!(client.send(get("/x")).status, 200);
    assert!(client.may_connect());
    client
}

#[test]
fn a_websocket_is_tunnelled_in_both_directions() {
    let (origin, edge) = echoing();
    let client = client(&edge);
    let sent = client.start(connect("/ws", "websocket"), false);
    let (head, mut content, handle) = sent.head();
    assert_eq!(head.status(), 200);
    assert_eq!(head.headers()["x-accept"], "yes");
    for name in ["connection", "upgrade", "sec-websocket-accept"] {
        assert!(!head.headers().contains_key(name), "{name}");
    }
    let mut received = head.into_body();
    handle.block_on(async {
        for piece in ["hello", "\0\x01\x02", &"x".repeat(100_000)] {
            content
                .send_data(Bytes::copy_from_slice(piece.as_bytes()), false)
                .unwrap();
            let mut echoed = Vec::new();
            while echoed.len() < piece.len() {
                let more = within(received.data()).await.unwrap().unwrap().unwrap();
                received
                    .flow_control()
                    .release_capacity(more.len())
                    .unwrap();
                echoed.extend(more);
            }
            assert!(echoed == piece.as_bytes());
        }
        // A close in order reaches the other side, which closes too.
        content.send_data(Bytes::new(), true).unwrap();
        while let Some(piece) = within(received.data()).await.unwrap() {
            assert!(piece.unwrap().is_empty());
        }
    });
    origin.wait_for_hang_ups(1);
    let asked = origin.only("/ws");
    assert_eq!(asked.method, "GET");
    assert_eq!(asked.header("upgrade").as_deref(), Some("websocket"));
    assert!(asked.header("sec-websocket-key").is_some());
    assert_eq!(asked.header("te"), None);
    assert_eq!(client.send(get("/x")).status, 200, "the connection goes on");
    let passed = || edge.metric("tero_requests_total", &["outcome=\"pass\""]);
    assert_eq!(passed(), 1.0);
}

#[test]
fn what_cannot_become_a_tunnel_is_told() {
    let (origin, edge) = echoing();
    let client = client(&edge);
    for (path, protocol, status) in [
        ("/ws", "gopher", 501),
        ("/ws", "websocket, gopher", 501),
        ("/no", "websocket", 403),
        ("/plain", "websocket", 502),
    ] {
        let sent = client.start(connect(path, protocol), false);
        assert_eq!(sent.answer().status, status, "{path} {protocol}");
    }
    assert_eq!(origin.requests("/ws"), 0);
    assert_eq!(client.send(get("/x")).status, 200);
}

#[test]
fn an_origin_that_does_not_answer_the_key_opens_no_tunnel() {
    let (origin, edge) = echoing();
    let client = client(&edge);
    for path in ["/parrot", "/wrong"] {
        let sent = client.start(connect(path, "websocket"), false);
        let answer = sent.answer();
        assert_eq!(answer.status, 502, "{path}");
        let told = answer.header("cache-status").unwrap();
        assert!(told.contains("did not answer the key"), "{told}");
        let key = origin.only(path).header("sec-websocket-key").unwrap();
        assert_eq!(key.len(), 24, "{key}");
    }
    let keys = ["/parrot", "/wrong"].map(|path| origin.only(path).header("sec-websocket-key"));
    assert_ne!(keys[0], keys[1], "each has its own");
    assert_eq!(client.send(get("/x")).status, 200);
}

#[test]
fn a_stream_that_is_reset_ends_its_tunnel() {
    let (origin, edge) = echoing();
    let client = client(&edge);
    let sent = client.start(connect("/ws", "websocket"), false);
    let (head, mut content, _) = sent.head();
    assert_eq!(head.status(), 200);
    content.send_reset(h2::Reason::CANCEL);
    origin.wait_for_hang_ups(1);
    assert_eq!(client.send(get("/x")).status, 200);
}

#[test]
fn a_tunnel_ends_with_the_edge() {
    let (origin, edge) = echoing();
    let client = client(&edge);
    let sent = client.start(connect("/ws", "websocket"), false);
    let (_head, _content, _) = sent.head();
    edge.shutdown();
    origin.wait_for_hang_ups(1);
    eventually("the connection ends", || client.ended().is_some());
}
