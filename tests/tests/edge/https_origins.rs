//! Origins by TLS, by HTTP/2 and on Unix sockets: whom the edge trusts, and how it asks.

pub(crate) mod fixture;

use std::io::Write as _;
use std::time::Duration;

use fixture::{Authority, Http2Origin, TlsFront};
use tero_tests::{Answer, Client, Edge, HOST, Origin, Reply, eventually, folder, get, toml_string};

/// Keys of a `[[site.origin]]` in front of `front`, which trusts `authority`.
fn hop(front: &TlsFront, authority: &Authority) -> String {
    format!(
        "url = \"https://{}\"\nca = {}\n",
        front.address(),
        toml_string(authority.file())
    )
}

/// The answer to the request that was started.
fn answer(mut client: Client) -> Answer {
    let mut answer = client.head();
    client.rest(&mut answer);
    answer
}

#[test]
fn an_https_origin_is_verified_and_asked_on_kept_connections() {
    let origin = Origin::start();
    origin.on("/a", Reply::fresh(60, "a"));
    origin.on("/b", Reply::fresh(60, "b"));
    let authority = Authority::new();
    let front = TlsFront::before(&origin, authority.issue(&["127.0.0.1"]));
    let edge = Edge::before_hop(&hop(&front, &authority))
        .server("workers = 1")
        .start();
    edge.get("/a").assert_forwarded("uri-miss", "a");
    edge.get("/b").assert_forwarded("uri-miss", "b");
    edge.get("/a").assert_hit("a");
    assert_eq!(front.handshakes().len(), 1, "the connection is kept");
}

#[test]
fn an_origin_with_a_certificate_that_is_wrong_is_not_asked() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(60, "never"));
    let authority = Authority::new();
    let stranger = Authority::new();
    let certificates = [
        ("of another authority", stranger.issue(&["127.0.0.1"])),
        ("for another name", authority.issue(&["app.internal"])),
        ("expired", authority.issue_until(&["127.0.0.1"], 2020)),
        ("not yet valid", authority.issue_from(&["127.0.0.1"], 2100)),
        ("self-signed", stranger.self_signed(&["127.0.0.1"])),
    ];
    for (what, certificate) in certificates {
        let front = TlsFront::before(&origin, certificate);
        let edge = Edge::before_hop(&hop(&front, &authority)).start();
        let answer = edge.get("/x");
        assert_eq!(answer.status, 502, "{what}: {answer:?}");
        answer.assert_detail("TLS to the origin failed");
        let failed = edge.metric("tero_origin_attempts_total", &["result=\"tls\""]);
        assert!(failed >= 1.0, "{what}");
    }
    assert_eq!(origin.requests("/x"), 0);
}

#[test]
fn another_origin_answers_for_one_that_cannot_be_trusted() {
    let origin = Origin::start();
    origin.on("/x", Reply::fresh(60, "x"));
    let (authority, stranger) = (Authority::new(), Authority::new());
    let bad = TlsFront::before(&origin, stranger.issue(&["127.0.0.1"]));
    let good = TlsFront::before(&origin, authority.issue(&["127.0.0.1"]));
    let edge = Edge::before_hop(&hop(&bad, &authority))
        .next_hop(&hop(&good, &authority))
        .start();
    edge.get("/x").assert_forwarded("uri-miss", "x");
}

#[test]
fn an_origin_that_speaks_no_tls_is_a_clear_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let plain = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
            .unwrap();
        stream
    });
    let authority = Authority::new();
    let ca = toml_string(authority.file());
    let edge = Edge::before_hop(&format!("url = \"https://{address}\"\nca = {ca}")).start();
    edge.get("/x")
        .assert_failed(502, "TLS to the origin failed");
    plain.join().unwrap();
}

#[test]
fn an_origin_that_does_not_answer_a_handshake_is_given_connect_timeout() {
    let origin = Origin::start();
    let authority = Authority::new();
    let url = origin.url().replace("http://", "https://");
    let keys = format!("url = \"{url}\"\nca = {}", toml_string(authority.file()));
    let edge = Edge::before_hop(&keys)
        .site("connect_timeout = \"3s\"")
        .start();
    let mut client = edge.client();
    client.start(&get("/x"));
    edge.advance_until(60, || client.is_answered());
    let answer = answer(client);
    answer.assert_failed(504, "origin did not accept a connection in time");
}

#[test]
fn the_verified_name_is_that_of_the_configuration_and_never_the_client_s() {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(60, asked.header("host").unwrap_or_default()));
    let authority = Authority::new();
    let front = TlsFront::before(&origin, authority.issue(&["app.internal"]));
    let keys = format!("{}tls_name = \"app.internal\"", hop(&front, &authority));
    let edge = Edge::before_hop(&keys).start();
    edge.get("/x").assert_forwarded("uri-miss", HOST);
    assert_eq!(front.handshakes()[0].name.as_deref(), Some("app.internal"));

    // A certificate for the name that the client asks for is worth nothing.
    let impostor = TlsFront::before(&origin, authority.issue(&[HOST]));
    let keys = format!("{}tls_name = \"app.internal\"", hop(&impostor, &authority));
    assert_eq!(Edge::before_hop(&keys).start().get("/x").status, 502);
}

#[test]
fn a_pinned_key_is_asked_for_beside_a_valid_certificate() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(60, "x"));
    let authority = Authority::new();
    let certificate = authority.issue(&["127.0.0.1"]);
    let (pin, other) = (certificate.pin(), authority.issue(&["127.0.0.1"]).pin());
    let front = TlsFront::before(&origin, certificate);
    for (pins, status) in [
        (vec![&pin], 200),
        (vec![&other, &pin], 200),
        (vec![&other], 502),
    ] {
        let keys = format!("{}pins = {pins:?}", hop(&front, &authority));
        assert_eq!(
            Edge::before_hop(&keys).start().get("/x").status,
            status,
            "{pins:?}"
        );
    }
    // A pin does not stand in for a valid certificate.
    let stranger = Authority::new();
    let keys = format!("{}pins = {:?}", hop(&front, &stranger), [&pin]);
    assert_eq!(Edge::before_hop(&keys).start().get("/x").status, 502);
}

#[test]
fn every_certificate_is_accepted_by_its_loud_key_alone() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(60, "x"));
    let front = TlsFront::before(&origin, Authority::new().self_signed(&["elsewhere"]));
    let keys = format!(
        "url = \"https://{}\"\ninsecure_accept_any_certificate = true",
        front.address()
    );
    assert_eq!(Edge::before_hop(&keys).start().get("/x").status, 200);
}

#[test]
fn the_edge_shows_its_own_certificate_where_the_origin_asks_for_one() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(60, "x"));
    let authority = Authority::new();
    let front = TlsFront::demanding(&origin, authority.issue(&["127.0.0.1"]), &authority);
    let without = Edge::before_hop(&hop(&front, &authority)).start();
    assert_eq!(without.get("/x").status, 502);

    let own = authority.issue(&["edge.internal"]);
    let (cert, key) = (toml_string(own.cert_file()), toml_string(own.key_file()));
    let keys = format!(
        "{}client_cert = {cert}\nclient_key = {key}",
        hop(&front, &authority)
    );
    assert_eq!(Edge::before_hop(&keys).start().get("/x").status, 200);
}

#[test]
fn sessions_are_resumed_on_later_connections() {
    let origin = Origin::start();
    // Each response ends its connection.
    origin.otherwise(|_| Reply::status(200).header("Connection", "close").body("x"));
    let authority = Authority::new();
    let front = TlsFront::before(&origin, authority.issue(&["127.0.0.1"]));
    let edge = Edge::before_hop(&hop(&front, &authority))
        .server("workers = 1")
        .start();
    for page in ["/1", "/2", "/3"] {
        assert_eq!(edge.get(page).status, 200);
    }
    eventually("three handshakes", || front.handshakes().len() == 3);
    let resumed = front
        .handshakes()
        .iter()
        .filter(|shake| shake.is_resumed)
        .count();
    assert_eq!(resumed, 2, "{:?}", front.handshakes());
}

#[test]
fn a_certificate_that_ends_soon_is_a_metric() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(60, "x"));
    let authority = Authority::new();
    let front = TlsFront::before(&origin, authority.issue_until(&["127.0.0.1"], 2090));
    let edge = Edge::before_hop(&hop(&front, &authority)).start();
    assert_eq!(edge.get("/x").status, 200);
    let ends = edge.metric("tero_origin_certificate_ends_timestamp_seconds", &[]);
    assert_eq!(ends, 3_786_912_000.0, "the first day of 2090");
}

#[test]
fn one_connection_of_http2_carries_many_requests_at_a_time() {
    let authority = Authority::new();
    for (http2, scheme) in [
        ("negotiate", "https"),
        ("prior-knowledge", "https"),
        ("prior-knowledge", "http"),
    ] {
        let certificate = (scheme == "https").then(|| authority.issue(&["127.0.0.1"]));
        let origin = Http2Origin::start(certificate);
        let ca = match scheme {
            "https" => format!("ca = {}\n", toml_string(authority.file())),
            _ => String::new(),
        };
        let keys = format!(
            "url = \"{scheme}://{}\"\n{ca}http2 = \"{http2}\"",
            origin.address()
        );
        let edge = Edge::before_hop(&keys).server("workers = 1").start();
        origin.hold();
        let clients: Vec<_> = (0..20)
            .map(|page| {
                let mut client = edge.client();
                client.start(&get(format!("/{page}")));
                client
            })
            .collect();
        eventually("twenty requests at a time", || origin.under_way() == 20);
        origin.release();
        for (page, client) in clients.into_iter().enumerate() {
            answer(client).assert_forwarded("uri-miss", &format!("/{page}"));
        }
        assert_eq!(origin.connections(), 1, "{http2} {scheme}");
        let authorities = origin.authorities();
        assert!(
            authorities.iter().all(|authority| authority == HOST),
            "{authorities:?}"
        );
    }
}

#[test]
fn streams_on_a_connection_are_bounded() {
    let origin = Http2Origin::start(None);
    let keys = format!(
        "url = \"http://{}\"\nhttp2 = \"prior-knowledge\"\nmax_streams = 2",
        origin.address()
    );
    let edge = Edge::before_hop(&keys).server("workers = 1").start();
    origin.hold();
    let clients: Vec<_> = (0..5)
        .map(|page| {
            let mut client = edge.client();
            client.start(&get(format!("/{page}")));
            client
        })
        .collect();
    eventually("five requests at a time", || origin.under_way() == 5);
    assert_eq!(origin.connections(), 3);
    assert_eq!(origin.most_streams(), 2);
    origin.release();
    for client in clients {
        assert_eq!(answer(client).status, 200);
    }
}

#[test]
fn an_origin_that_does_not_negotiate_http2_is_asked_by_http1() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(60, "x"));
    let authority = Authority::new();
    let front = TlsFront::before(&origin, authority.issue(&["127.0.0.1"]));
    let keys = format!("{}http2 = \"negotiate\"", hop(&front, &authority));
    let edge = Edge::before_hop(&keys).server("workers = 1").start();
    for page in ["/1", "/2"] {
        edge.get(page).assert_forwarded("uri-miss", "x");
    }
    assert_eq!(front.handshakes().len(), 1);
    assert_eq!(front.handshakes()[0].offered, ["h2", "http/1.1"]);
}

#[test]
fn an_upgrade_uses_http1_where_other_requests_use_http2() {
    let origin = Origin::start();
    origin.on_each("/ws", |asked, _| match asked.header("upgrade") {
        Some(protocol) => Reply::switching(&protocol),
        None => Reply::status(426),
    });
    let authority = Authority::new();
    let front = TlsFront::before(&origin, authority.issue(&["127.0.0.1"]));
    let keys = format!("{}http2 = \"prior-knowledge\"", hop(&front, &authority));
    let edge = Edge::before_hop(&keys).start();
    let mut client = edge.client();
    let upgrade = get("/ws")
        .header("Connection", "upgrade")
        .header("Upgrade", "websocket");
    client.start(&upgrade);
    assert_eq!(client.head().status, 101);
    assert_eq!(front.handshakes()[0].offered, ["http/1.1"]);
}

#[test]
fn an_origin_listens_on_a_unix_socket() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(60, "x"));
    let folder = folder();
    let path = folder.path().join("app.sock");
    let _front = fixture::unix_front(&origin, &path);
    let edge = Edge::before_url(&format!("unix:{}", path.display())).start();
    edge.get("/1").assert_forwarded("uri-miss", "x");
    edge.get("/1").assert_hit("x");
    let missing = Edge::before_url("unix:/nonexistent/app.sock").start();
    missing
        .get("/1")
        .assert_failed(502, "origin could not be reached");
}

#[test]
fn a_file_that_cannot_be_used_is_told_and_the_old_configuration_stays() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(60, "x"));
    let authority = Authority::new();
    let front = TlsFront::before(&origin, authority.issue(&["127.0.0.1"]));
    let edge = Edge::before_hop(&hop(&front, &authority)).start();
    let folder = folder();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "nothing\n").unwrap();
    let keys = format!(
        "url = \"https://{}\"\nca = {}",
        front.address(),
        toml_string(&empty.display().to_string())
    );
    let error = edge.reload(&Edge::before_hop(&keys)).unwrap_err();
    assert!(error.contains("empty.pem has no certificate"), "{error}");
    assert_eq!(edge.get("/x").status, 200);
    assert!(Edge::before_hop(&keys).try_start().is_err());
}

#[test]
fn a_connection_is_not_used_beyond_its_greatest_age() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(600, "x"));
    let edge = Edge::before(&origin)
        .server("workers = 1")
        .site("max_connection_age = \"20s\"")
        .start();
    for (secs, page, connection) in [(0, "/1", 0), (19, "/2", 0), (1, "/3", 1)] {
        edge.advance_secs(secs);
        edge.get(page);
        assert_eq!(origin.only(page).connection, connection, "{page}");
    }
}

#[test]
fn a_host_with_several_addresses_is_reached_by_the_one_that_listens() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(60, "x"));
    // `localhost` is ::1 and 127.0.0.1, or one of them.
    let listener = fixture::relay_on_loopback(&origin);
    let edge = Edge::before_url(&format!("http://localhost:{}", listener.port())).start();
    edge.get("/x").assert_forwarded("uri-miss", "x");
    let unknown = Edge::before_url("http://does-not-exist.invalid:80").start();
    unknown.clock().advance(Duration::from_secs(1));
    unknown
        .get("/x")
        .assert_failed(502, "origin's name could not be looked up");
}
