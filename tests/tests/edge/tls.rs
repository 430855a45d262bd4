//! TLS on a listener: which certificate a client gets, what the origin is told, sessions, and what
//! becomes of clients that speak something else or never finish.

pub(crate) mod authority;
mod check;
mod clients;
mod renewal;
pub(crate) mod visitor;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use rustix::process::{Resource, getrlimit, setrlimit};
use rustls::SignatureScheme::{ECDSA_NISTP256_SHA256, RSA_PSS_SHA256};
use rustls::version::{TLS12, TLS13};
use tero_tests::{
    Client, Edge, EdgeBuilder, GUARD, HOST, Origin, Reply, Request, folder, get, toml_string,
};

use authority::{Authority, Issued, listener, names};
use visitor::Visitor;

/// An edge that speaks TLS at its second address.
pub(crate) struct SecureEdge {
    pub(crate) authority: Authority,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) edge: Edge,
}

/// The second address of an edge.
pub(crate) fn secure_address(edge: &Edge) -> std::net::SocketAddr {
    edge.addresses()[1]
}

impl SecureEdge {
    /// With one certificate, for [`HOST`].
    pub(crate) fn start(origin: &Origin) -> SecureEdge {
        SecureEdge::start_with(origin, "", |edge| edge)
    }

    /// With more keys of `tls`, and other settings.
    pub(crate) fn start_with(
        origin: &Origin,
        tls: &str,
        more: impl FnOnce(EdgeBuilder) -> EdgeBuilder,
    ) -> SecureEdge {
        let (authority, folder) = (Authority::new("root"), folder());
        authority.issue(names(&[HOST])).write(folder.path(), "own");
        let listener = listener(folder.path(), &["own"], tls);
        let edge = more(Edge::before(origin)).server(&listener).start();
        SecureEdge {
            authority,
            folder,
            edge,
        }
    }

    /// A client that trusts the certificate.
    pub(crate) fn visitor(&self) -> Visitor {
        Visitor::new(HOST, self.authority.roots())
    }

    pub(crate) fn client(&self) -> Client {
        self.visitor().client(secure_address(&self.edge))
    }
}

/// An edge with these certificates, the first as the default.
fn edge_with(origin: &Origin, folder: &std::path::Path, certificates: &[(&str, &Issued)]) -> Edge {
    for (name, issued) in certificates {
        issued.write(folder, name);
    }
    let names: Vec<&str> = certificates.iter().map(|(name, _)| *name).collect();
    Edge::before(origin)
        .server(&listener(folder, &names, ""))
        .start()
}

#[test]
fn the_scheme_of_the_listener_is_told_and_part_of_the_key() {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let scheme = asked.header("x-forwarded-proto").unwrap_or_default();
        Reply::fresh(60, scheme)
    });
    let secure = SecureEdge::start(&origin);
    let mut client = secure.client();
    client
        .send(&get("/page"))
        .assert_forwarded("uri-miss", "https");
    client.send(&get("/page")).assert_hit("https");
    secure
        .edge
        .get("/page")
        .assert_forwarded("uri-miss", "http");
    assert_eq!(origin.requests("/page"), 2);
}

#[test]
fn bodies_of_every_size_arrive_whole() {
    let origin = Origin::start();
    let body = |size: usize| -> Vec<u8> { (0..size).map(|at| (at % 251) as u8).collect() };
    let sizes = [0, 1, 1000, 16 << 10, (16 << 10) + 1, 100 << 10, 3 << 20];
    for size in sizes {
        origin.on(&format!("/{size}"), Reply::fresh(60, body(size)));
    }
    let secure = SecureEdge::start(&origin);
    let mut client = secure.client();
    for _ in 0..2 {
        for size in sizes {
            let answer = client.send(&get(format!("/{size}")));
            assert!(answer.whole && answer.body == body(size), "{size}");
        }
    }
    let upload = Request::new("POST", "/upload").body(body(1 << 20));
    origin.otherwise(|asked| Reply::ok(asked.body.clone()));
    let answer = client.send(&upload);
    assert!(answer.whole && answer.body == body(1 << 20));
}

#[test]
fn the_certificate_is_chosen_by_the_name_that_the_client_asks_for() {
    let origin = Origin::start();
    let (authority, folder) = (Authority::new("root"), folder());
    let default = authority.issue(names(&["default.example"]));
    let shop = authority.issue(names(&["shop.example", "www.shop.example"]));
    let wild = authority.issue(names(&["*.shop.example"]));
    let certificates = [("default", &default), ("shop", &shop), ("wild", &wild)];
    let edge = edge_with(&origin, folder.path(), &certificates);
    let schemes = [ECDSA_NISTP256_SHA256];
    for (name, expected) in [
        ("default.example", &default),
        ("shop.example", &shop),
        ("SHOP.example", &shop),
        ("www.shop.example", &shop),
        ("m.shop.example", &wild),
        ("a.m.shop.example", &default),
        ("other.example", &default),
    ] {
        let connection = Visitor::trusting(name, &schemes).connect(secure_address(&edge));
        assert!(connection.certificate() == expected.der, "{name}");
    }
    let unnamed = Visitor::trusting("shop.example", &schemes).unnamed();
    let connection = unnamed.connect(secure_address(&edge));
    assert!(connection.certificate() == default.der);
}

#[test]
fn each_client_gets_the_kind_of_key_that_it_understands() {
    let origin = Origin::start();
    let (authority, folder) = (Authority::new("root"), folder());
    let rsa = authority.issue(names(&[HOST]).rsa());
    let ecdsa = authority.issue(names(&[HOST]));
    let edge = edge_with(&origin, folder.path(), &[("rsa", &rsa), ("ecdsa", &ecdsa)]);
    for (schemes, expected) in [
        (&[RSA_PSS_SHA256][..], &rsa),
        (&[ECDSA_NISTP256_SHA256], &ecdsa),
        (&[RSA_PSS_SHA256, ECDSA_NISTP256_SHA256], &ecdsa),
    ] {
        for name in [HOST, "other.example"] {
            let connection = Visitor::trusting(name, schemes).connect(secure_address(&edge));
            assert!(
                connection.certificate() == expected.der,
                "{name} {schemes:?}"
            );
        }
    }
}

#[test]
fn the_oldest_version_is_a_setting() {
    let origin = Origin::start();
    let secure = SecureEdge::start(&origin);
    let roots = || secure.authority.roots();
    for version in [&TLS12, &TLS13] {
        let visitor = Visitor::of_versions(HOST, roots(), &[version]);
        assert!(visitor.try_connect(secure_address(&secure.edge)).is_ok());
    }
    let only_new = SecureEdge::start_with(&origin, "min_version = \"1.3\"", |edge| edge);
    let address = secure_address(&only_new.edge);
    let of = |version| Visitor::of_versions(HOST, only_new.authority.roots(), &[version]);
    assert!(of(&TLS12).try_connect(address).is_err());
    assert!(of(&TLS13).try_connect(address).is_ok());
}

#[test]
fn http_1_1_is_agreed_on() {
    let origin = Origin::start();
    let secure = SecureEdge::start(&origin);
    let address = secure_address(&secure.edge);
    let offering = |protocols: &[&str]| secure.visitor().offering(protocols).try_connect(address);
    assert_eq!(offering(&[]).unwrap().protocol(), None);
    let both = offering(&["spdy/3", "http/1.1"]).unwrap();
    assert_eq!(both.protocol(), Some(&b"http/1.1"[..]));
    assert!(offering(&["spdy/3"]).is_err());
}

#[test]
fn the_log_tells_version_cipher_and_name() {
    let origin = Origin::start();
    let log = folder();
    let path = log.path().join("access.log");
    let secure = SecureEdge::start_with(&origin, "", |edge| {
        edge.section(&format!(
            "[access_log]\npath = {}\nformat = \"json\"\nfields = [\"tls_version\", \"tls_cipher\", \"sni\"]",
            toml_string(&path.display().to_string())
        ))
    });
    secure.client().send(&get("/"));
    let of = |version| Visitor::of_versions(HOST, secure.authority.roots(), &[version]);
    of(&TLS12)
        .client(secure_address(&secure.edge))
        .send(&get("/"));
    let lines = || std::fs::read_to_string(&path).unwrap_or_default();
    tero_tests::eventually("two lines", || lines().lines().count() == 2);
    for (line, version, cipher) in [
        (0, "TLSv1.3", "TLS_AES_256_GCM_SHA384"),
        (1, "TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    ] {
        let lines = lines();
        let line: serde_json::Value =
            serde_json::from_str(lines.lines().nth(line).unwrap()).unwrap();
        for (key, expected) in [
            ("tls_version", version),
            ("tls_cipher", cipher),
            ("sni", HOST),
        ] {
            assert_eq!(line[key], expected, "{line}");
        }
    }
}

#[test]
fn http_2_is_chosen_in_the_handshake_where_it_is_offered() {
    let origin = Origin::start();
    origin.on("/", Reply::fresh(60, "hello"));
    let (authority, folder) = (Authority::new("root"), folder());
    authority.issue(names(&[HOST])).write(folder.path(), "own");
    let listener = listener(folder.path(), &["own"], "");
    let listener = listener.replacen("address", "http2 = true\naddress", 1);
    let edge = Edge::before(&origin).server(&listener).start();
    let visitor = Visitor::new(HOST, authority.roots());
    let connect = |protocols: &[&str]| {
        let visitor = visitor.clone().offering(protocols);
        visitor.connect(secure_address(&edge))
    };
    let protocol = |protocols: &[&str]| connect(protocols).protocol().map(<[u8]>::to_vec);
    assert_eq!(protocol(&["http/1.1"]).as_deref(), Some(&b"http/1.1"[..]));
    assert_eq!(protocol(&[]), None);
    let mut connection = connect(&["http/1.1", "h2"]);
    assert_eq!(connection.protocol(), Some(&b"h2"[..]));
    // The preface, settings, and a GET of `/` on the first stream (RFC 9113 §3.4, RFC 7541).
    let fields = [&b"\x82\x87\x84\x01\x0b"[..], HOST.as_bytes()].concat();
    let mut request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    request.extend([0, 0, fields.len() as u8, 1, 5, 0, 0, 0, 1]);
    request.extend(fields);
    connection.write_all(&request).unwrap();
    let mut answer = Vec::new();
    while !answer.windows(5).any(|window| window == b"hello") {
        let mut piece = [0; 4096];
        let length = connection.read(&mut piece).unwrap();
        assert!(length > 0, "{answer:?}");
        answer.extend_from_slice(&piece[..length]);
    }
    assert_eq!(
        origin.only("/").header("x-forwarded-proto").as_deref(),
        Some("https")
    );
}

#[test]
fn sessions_are_resumed_whichever_worker_takes_the_connection() {
    let origin = Origin::start();
    origin.on("/", Reply::fresh(60, "hello"));
    let secure = SecureEdge::start_with(&origin, "", |edge| edge.server("workers = 4"));
    let address = secure_address(&secure.edge);
    let of = |version| Visitor::of_versions(HOST, secure.authority.roots(), &[version]);
    for visitor in [
        of(&TLS13),
        of(&TLS12),
        // Without tickets the session is kept here.
        of(&TLS12).without_tickets(),
    ] {
        for round in 0..12 {
            let connection = visitor.connect(address);
            assert_eq!(connection.is_resumed(), round > 0, "{round}");
            // With TLS 1.3, tickets come after the handshake.
            let mut client = Client::over(connection);
            assert_eq!(client.send(&get("/")).status, 200);
        }
    }
    let resumed = ["result=\"resumed\""];
    let handshakes = |labels: &[&str]| secure.edge.metric("tero_tls_handshakes_total", labels);
    assert_eq!(handshakes(&resumed), 33.0);
    assert_eq!(handshakes(&["result=\"full\""]), 3.0);
}

#[test]
fn plain_http_to_a_port_with_tls_is_told_so() {
    let origin = Origin::start();
    let secure = SecureEdge::start(&origin);
    let mut client = Client::connect(secure_address(&secure.edge));
    let answer = client.send(&get("/page"));
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(
        answer.text().contains("this port speaks HTTPS"),
        "{answer:?}"
    );
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    assert!(client.is_closed());
    let labels = ["result=\"plain_http\""];
    assert_eq!(
        secure.edge.metric("tero_tls_handshakes_total", &labels),
        1.0
    );
    let refused = ["site=\"\"", "status=\"400\""];
    assert_eq!(secure.edge.metric("tero_responses_total", &refused), 1.0);
    assert_eq!(origin.total(), 0);
}

#[test]
fn other_bytes_on_a_port_with_tls_end_the_connection() {
    let origin = Origin::start();
    let secure = SecureEdge::start(&origin);
    // A record of the wrong kind, an SSL 2 greeting, a record without a handshake, one too long.
    for bytes in [
        &b"\x17\x03\x03\x00\x05hello"[..],
        b"\x80\x2e\x01\x00\x02",
        b"\x16\x03\x01\x00\x05hello",
        b"\x16\x03\x01\xff\xff",
        b"\r\n",
    ] {
        let mut stream = TcpStream::connect(secure_address(&secure.edge)).unwrap();
        stream.set_read_timeout(Some(GUARD)).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        // A reset will do.
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP"), "{bytes:?}");
    }
    let failed = ["result=\"failed\""];
    assert_eq!(
        secure.edge.metric("tero_tls_handshakes_total", &failed),
        5.0
    );
}

#[test]
fn tls_to_a_plain_port_is_told_so() {
    let origin = Origin::start();
    let secure = SecureEdge::start(&origin);
    // As a client begins: a record with a handshake in it.
    let mut client = Client::connect(secure.edge.address());
    client.write(b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03");
    let answer = client.head();
    assert_eq!(answer.status, 400, "{answer:?}");
    let detail = answer.cache_status().detail.unwrap();
    assert_eq!(detail, "this port speaks HTTP without TLS");
    assert!(secure.visitor().try_connect(secure.edge.address()).is_err());
}

#[test]
fn handshakes_that_never_end_keep_nobody_out() {
    let origin = Origin::start();
    origin.on("/", Reply::fresh(60, "hello"));
    let secure = SecureEdge::start_with(&origin, "", |edge| edge.server("max_handshakes = 8"));
    let address = secure_address(&secure.edge);
    let given_up = || {
        let labels = ["result=\"given_up\""];
        secure.edge.metric("tero_tls_handshakes_total", &labels)
    };
    let open: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"\x16\x03\x01\x02\x00").unwrap();
            stream
        })
        .collect();
    tero_tests::eventually("all but eight are given up", || given_up() >= 92.0);
    assert_eq!(secure.client().send(&get("/")).status, 200);
    // The oldest went first, and the rest go in time.
    secure.edge.advance_until(11, || {
        let late = ["result=\"timeout\""];
        let late = secure.edge.metric("tero_tls_handshakes_total", &late);
        late + given_up() >= 100.0
    });
    tero_tests::eventually("no connection is left", || {
        secure.edge.metric("tero_connections_open", &[]) == 0.0
    });
    drop(open);
}

#[test]
#[ignore = "it takes 12,000 descriptors; CONTRIBUTING.md has the command"]
fn ten_thousand_handshakes_that_never_end_keep_nobody_out() {
    const STRANGERS: usize = 10_000;
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let origin = Origin::start();
    origin.on("/", Reply::fresh(60, "hello"));
    let secure = SecureEdge::start(&origin);
    let address = secure_address(&secure.edge);
    let mut open = Vec::new();
    while open.len() < STRANGERS {
        for _ in 0..1_000 {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"\x16\x03\x01\x02\x00").unwrap();
            open.push(stream);
        }
        assert_eq!(secure.client().send(&get("/")).status, 200);
    }
    // max_handshakes is 2,000 by default.
    tero_tests::eventually("all but two thousand are given up", || {
        let labels = ["result=\"given_up\""];
        let given_up = secure.edge.metric("tero_tls_handshakes_total", &labels);
        given_up >= (STRANGERS - 2_000) as f64
    });
    let connections = secure.edge.metric("tero_connections_open", &[]);
    assert!(connections <= 2_100.0, "{connections}");
    assert_eq!(secure.client().send(&get("/")).status, 200);
    secure.edge.advance_until(11, || {
        secure.edge.metric("tero_connections_open", &[]) == 0.0
    });
}

#[test]
fn a_handshake_that_trickles_ends_in_time() {
    let origin = Origin::start();
    let secure = SecureEdge::start_with(&origin, "", |edge| edge.server("header_timeout = \"5s\""));
    let mut client = Client::connect(secure_address(&secure.edge));
    tero_tests::eventually("the connection is accepted", || {
        secure.edge.metric("tero_connections_open", &[]) == 1.0
    });
    for _ in 0..4 {
        let _ = client.try_write(b"\x16");
        secure.edge.advance_secs(1);
    }
    secure.edge.advance_until(3, || {
        let labels = ["result=\"timeout\""];
        let late = secure.edge.metric("tero_tls_handshakes_total", &labels);
        let failed = ["result=\"failed\""];
        late + secure.edge.metric("tero_tls_handshakes_total", &failed) == 1.0
    });
}

#[test]
fn a_client_that_reads_nothing_is_disconnected() {
    let origin = Origin::start();
    origin.on("/large", Reply::fresh(600, vec![b'x'; 32 << 20]));
    let secure = SecureEdge::start_with(&origin, "", |edge| edge.server("write_timeout = \"20s\""));
    assert!(secure.client().send(&get("/large")).whole);
    let mut client = secure.client();
    client.start(&get("/large"));
    let head = client.head();
    assert_eq!(head.status, 200);
    secure.edge.advance_until(60, || {
        secure.edge.metric("tero_connections_open", &[]) == 0.0
    });
}

#[test]
fn a_client_that_reads_slowly_gets_all_of_it() {
    let origin = Origin::start();
    let body = vec![b'x'; 8 << 20];
    origin.on("/large", Reply::fresh(600, body.clone()));
    let secure = SecureEdge::start_with(&origin, "", |edge| {
        edge.server("write_timeout = \"20s\"\nmin_rate = \"100KiB\"")
    });
    let mut client = secure.client();
    client.start(&get("/large"));
    let mut answer = client.head();
    while answer.body.len() < body.len() {
        let more = (512 << 10).min(body.len() - answer.body.len());
        answer.body.extend(client.exactly(more));
        secure.edge.advance_secs(1);
    }
    assert!(answer.body == body);
    assert_eq!(client.send(&get("/large")).body.len(), body.len());
}
