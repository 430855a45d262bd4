//! Connections that switch to another protocol (RFC 9110 §7.8).

use tero_tests::{Client, Edge, Origin, Reply, Request, get};

fn handshake(path: &str, protocol: &str) -> Request {
    get(path)
        .header("Connection", "keep-alive, Upgrade")
        .header("Upgrade", protocol)
        .header("Sec-WebSocket-Key", "eA==")
}

/// An edge in front of an origin that echoes on `/ws`.
fn echoing(site: &str) -> (Origin, Edge) {
    let origin = Origin::start();
    origin.on_each("/ws", |asked, _| match asked.header("upgrade") {
        Some(protocol) => Reply::switching(&protocol),
        None => Reply::status(426).body("upgrade!"),
    });
    origin.otherwise(|_| Reply::fresh(60, "answered"));
    let edge = Edge::before(&origin)
        .server("workers = 1")
        .site(site)
        .start();
    (origin, edge)
}

/// Opens a tunnel to the echo.
#[track_caller]
fn open(edge: &Edge) -> Client {
    let mut client = edge.client();
    client.start(&handshake("/ws", "websocket"));
    let answer = client.head();
    assert_eq!(
        (answer.status, answer.header("upgrade").as_deref()),
        (101, Some("websocket")),
        "{answer:?}"
    );
    client
}

#[test]
fn a_websocket_is_tunnelled_in_both_directions() {
    let (origin, edge) = echoing("");
    let mut client = edge.client();
    // The first bytes of the new protocol may come with the request.
    client.write([&handshake("/ws", "WebSocket").to_bytes()[..], b"early\n"].concat());
    let answer = client.head();
    assert_eq!(answer.status, 101);
    assert_eq!(
        answer
            .header("connection")
            .map(|value| value.to_ascii_lowercase())
            .as_deref(),
        Some("upgrade")
    );
    assert_eq!(
        (
            answer.header("x-accept").as_deref(),
            answer.header("upgrade").as_deref()
        ),
        (Some("yes"), Some("WebSocket"))
    );
    assert_eq!(answer.cache_status().fwd.as_deref(), Some("bypass"));
    assert_eq!(client.exactly(6), b"early\n");
    for piece in ["GET / HTTP/1.1\n\n", "\0\x01\x02", &"x".repeat(100_000)] {
        client.write(piece);
        assert_eq!(client.exactly(piece.len()), piece.as_bytes());
    }
    let asked = origin.only("/ws");
    assert_eq!(
        asked
            .header("connection")
            .map(|value| value.to_ascii_lowercase())
            .as_deref(),
        Some("upgrade")
    );
    assert_eq!(
        (
            asked.header("upgrade").as_deref(),
            asked.header("sec-websocket-key").as_deref()
        ),
        (Some("WebSocket"), Some("eA=="))
    );
    assert_eq!(
        edge.metric("tero_requests_total", &["outcome=\"pass\""]),
        1.0
    );
    // A close in order reaches the other side, which closes too.
    client.finish();
    assert_eq!(client.piece().unwrap(), None);
    origin.wait_for_hang_ups(1);
}

#[test]
fn a_client_that_disconnects_ends_its_tunnel() {
    let (origin, edge) = echoing("");
    let client = open(&edge);
    client.reset();
    origin.wait_for_hang_ups(1);
}

#[test]
fn an_origin_that_disconnects_ends_the_tunnel() {
    let (origin, edge) = echoing("");
    let mut client = open(&edge);
    origin.stop();
    assert!(client.is_closed());
}

#[test]
fn a_declined_upgrade_gets_an_ordinary_response() {
    let (origin, edge) = echoing("");
    origin.on("/ws", Reply::status(403).body("no"));
    let mut client = edge.client();
    for _ in 0..2 {
        let answer = client.send(&handshake("/ws", "websocket"));
        assert_eq!(
            (
                answer.status,
                answer.text().as_str(),
                answer.header("upgrade")
            ),
            (403, "no", None)
        );
    }
    // The connection still speaks HTTP.
    client
        .send(&get("/x"))
        .assert_forwarded("uri-miss", "answered");
    client.send(&get("/x")).assert_hit("answered");
}

#[test]
fn a_switch_to_another_protocol_is_refused() {
    let (origin, edge) = echoing("");
    origin.on("/ws", Reply::switching("h2c"));
    edge.send(&handshake("/ws", "websocket"))
        .assert_failed(502, "another protocol");
    origin.on("/ws", Reply::switching("websocket, h2c"));
    edge.send(&handshake("/ws", "websocket"))
        .assert_failed(502, "another protocol");
    // The same if the request asked for no switch.
    origin.on("/x", Reply::switching("websocket"));
    edge.get("/x")
        .assert_failed(502, "switched protocols unasked");
    edge.send(&Request::new("POST", "/x").body(""))
        .assert_failed(502, "switched protocols unasked");
    origin.wait_for_hang_ups(4);
}

#[test]
fn only_protocols_that_the_site_names_are_forwarded() {
    for (site, request) in [
        ("", handshake("/ws", "h2c")),
        ("", handshake("/ws", "websocket, h2c")),
        ("", handshake("/ws", "websocket").header("Upgrade", "h2c")),
        ("", get("/ws").header("Upgrade", "websocket")),
        (
            "",
            Request::new("POST", "/ws")
                .header("Connection", "upgrade")
                .header("Upgrade", "websocket")
                .body("x"),
        ),
        ("upgrades = []", handshake("/ws", "websocket")),
        ("upgrades = [\"mqtt\"]", handshake("/ws", "websocket")),
    ] {
        let (origin, edge) = echoing(site);
        let answer = edge.send(&request);
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (426, "upgrade!"),
            "{request:?}"
        );
        let asked = origin.only("/ws");
        assert_eq!(
            (asked.header("upgrade"), asked.header("connection")),
            (None, None),
            "{request:?}"
        );
    }
    let (_origin, edge) = echoing("upgrades = [\"MQTT\"]");
    let mut client = edge.client();
    client.start(&handshake("/ws", "mqtt"));
    assert_eq!(client.head().status, 101);
    // A stored response is served although the request asks to switch.
    edge.get("/x").assert_forwarded("uri-miss", "answered");
    edge.send(&handshake("/x", "h2c")).assert_hit("answered");
}

#[test]
fn tunnels_beyond_the_limit_are_refused_until_others_end() {
    let (origin, edge) = echoing("max_tunnels = 1");
    let first = open(&edge);
    edge.send(&handshake("/ws", "websocket"))
        .assert_failed(503, "too many tunnels");
    assert_eq!(origin.requests("/ws"), 1);
    // Other clients are not affected.
    edge.get("/x").assert_forwarded("uri-miss", "answered");
    drop(first);
    origin.wait_for_hang_ups(1);
    tero_tests::eventually("a tunnel is free", || {
        let mut client = edge.client();
        client.start(&handshake("/ws", "websocket"));
        client.head().status == 101
    });
}

#[test]
fn an_idle_tunnel_ends() {
    let (origin, edge) = echoing("tunnel_idle_timeout = \"10s\"");
    let mut client = open(&edge);
    for _ in 0..3 {
        edge.advance_secs(9);
        client.write("still here");
        assert_eq!(client.exactly(10), b"still here");
    }
    let waiter = std::thread::spawn(move || client.is_closed());
    edge.advance_until(30, || waiter.is_finished());
    assert!(waiter.join().unwrap());
    origin.wait_for_hang_ups(1);
}

#[test]
fn a_tunnel_does_not_count_as_a_fetch() {
    let (_origin, edge) = echoing("max_fetches = 1");
    let _client = open(&edge);
    edge.get("/x").assert_forwarded("uri-miss", "answered");
}

#[test]
fn a_shutdown_ends_tunnels() {
    let (origin, edge) = echoing("");
    let mut client = open(&edge);
    edge.shutdown();
    assert!(client.is_closed());
    origin.wait_for_hang_ups(1);
}
