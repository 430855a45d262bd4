//! The PROXY protocol: which peers must send a header, which must not, and what it tells.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tero_tests::{
    Client, Edge, EdgeBuilder, GUARD, Origin, Reply, eventually, folder, get, toml_string,
};

use crate::program::{Serving, configuration};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Addresses of version 2: from 192.0.2.7 to 10.0.0.1.
const ADDRESSES: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 0, 80];

/// A header of version 2.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

/// An extension of it.
fn extension(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[kind], &length[..], value].concat()
}

/// An origin whose pages say who asks, and by which scheme.
fn naming() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let field = |name| asked.header(name).unwrap_or_default();
        Reply::ok(format!(
            "{} {} {}",
            field("x-forwarded-for"),
            field("x-forwarded-proto"),
            field("forwarded").split(';').next().unwrap_or_default(),
        ))
    });
    origin
}

/// An edge with a second listener, which wants a header from 127.0.0.1.
fn wanting(origin: &Origin) -> EdgeBuilder {
    Edge::before(origin).server(LISTENER)
}

const LISTENER: &str =
    "[[server.listener]]\naddress = \"127.0.0.1:0\"\nproxy_protocol = [\"127.0.0.0/8\"]";

fn connect(edge: &Edge) -> Client {
    Client::connect(edge.addresses()[1])
}

/// A connection that began with this header.
fn proxied(edge: &Edge, header: &[u8]) -> Client {
    let mut client = connect(edge);
    client.write(header);
    client
}

fn refused(edge: &Edge, reason: &str) -> f64 {
    let label = format!("reason=\"{reason}\"");
    edge.metric("tero_proxy_headers_refused_total", &[&label])
}

#[test]
fn the_header_says_who_the_client_is() {
    let origin = naming();
    let edge = wanting(&origin).start();
    let ipv6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[7], &[0; 20]].concat();
    for (header, named, node) in [
        (
            &b"PROXY TCP4 192.0.2.9 10.0.0.1 4660 80\r\n"[..],
            "192.0.2.9",
            "for=192.0.2.9",
        ),
        (
            b"PROXY TCP6 2001:db8::9 ::1 1 2\r\n",
            "2001:db8::9",
            "for=\"[2001:db8::9]\"",
        ),
        (&v2(0x21, 0x11, &ADDRESSES), "192.0.2.7", "for=192.0.2.7"),
        (
            &v2(0x21, 0x21, &ipv6),
            "2001:db8::7",
            "for=\"[2001:db8::7]\"",
        ),
        // These don't say it.
        (b"PROXY UNKNOWN\r\n", "127.0.0.1", "for=127.0.0.1"),
        (&v2(0x20, 0x00, b""), "127.0.0.1", "for=127.0.0.1"),
        (&v2(0x20, 0x11, &ADDRESSES), "127.0.0.1", "for=127.0.0.1"),
        (&v2(0x21, 0x31, &[b'/'; 216]), "127.0.0.1", "for=127.0.0.1"),
    ] {
        let mut client = proxied(&edge, header);
        for _ in 0..2 {
            let answer = client.send(&get("/x"));
            assert_eq!(answer.text(), format!("{named} http {node}"));
        }
    }
    assert_eq!(
        edge.get("/x").text(),
        "127.0.0.1 http for=127.0.0.1",
        "the other listener"
    );
}

fn client_of(text: &str) -> &str {
    text.split(' ').next().unwrap_or_default()
}

#[test]
fn a_header_comes_in_any_pieces_and_takes_nothing_of_what_follows() {
    let origin = naming();
    let edge = wanting(&origin).start();
    let extended = [&ADDRESSES[..], &extension(4, &[0; 500])].concat();
    for header in [
        b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 80\r\n".to_vec(),
        v2(0x21, 0x11, &extended),
    ] {
        let bytes = [header, get("/x").to_bytes()].concat();
        for size in [1, 13, bytes.len()] {
            let mut client = connect(&edge);
            for piece in bytes.chunks(size) {
                client.write(piece);
            }
            let mut answer = client.head();
            client.rest(&mut answer);
            assert_eq!(client_of(&answer.text()), "192.0.2.7", "pieces of {size}");
        }
    }
}

#[test]
fn with_trusted_proxies_the_source_of_the_header_decides_who_is_believed() {
    let origin = naming();
    let builder = |trusted: &str| {
        let keys = format!("trusted_proxies = [\"{trusted}\"]\n{LISTENER}");
        Edge::before(&origin).server(&keys).start()
    };
    let header = b"PROXY TCP4 192.0.2.9 10.0.0.1 1 2\r\n";
    let request = get("/x")
        .header("X-Forwarded-For", "198.51.100.7")
        .header("X-Forwarded-Proto", "https");
    let text = proxied(&builder("192.0.2.0/24"), header)
        .send(&request)
        .text();
    assert!(text.starts_with("198.51.100.7, 192.0.2.9 https "), "{text}");
    // The proxy that sends the header passes bytes on: what the client says is not its word.
    let text = proxied(&builder("127.0.0.1"), header).send(&request).text();
    assert!(text.starts_with("192.0.2.9 http "), "{text}");
}

#[test]
fn tls_of_the_client_makes_the_scheme_and_stands_in_the_log() {
    let origin = naming();
    let log = folder();
    let path = log.path().join("access.log");
    let keys = format!(
        "[access_log]\npath = {}\nformat = \"json\"\n\
         fields = [\"client\", \"peer\", \"tls_version\", \"tls_cipher\", \"sni\"]",
        toml_string(&path.display().to_string())
    );
    let edge = wanting(&origin).section(&keys).start();
    let tls = |flags: u8| {
        let parts = [
            &[flags, 0, 0, 0, 0][..],
            &extension(0x21, b"TLSv1.3"),
            &extension(0x23, b"TLS_AES_128_GCM_SHA256"),
        ];
        let rest = [
            &ADDRESSES[..],
            &extension(2, b"shop.example"),
            &extension(0x20, &parts.concat()),
        ];
        v2(0x21, 0x11, &rest.concat())
    };
    for (flags, scheme) in [(1, "https"), (0, "http")] {
        let text = proxied(&edge, &tls(flags)).send(&get("/x")).text();
        assert!(text.starts_with(&format!("192.0.2.7 {scheme} ")), "{text}");
    }
    edge.get("/x");
    let lines = || std::fs::read_to_string(&path).unwrap_or_default();
    eventually("three lines", || lines().lines().count() == 3);
    let read: Vec<Value> = lines()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    // Lines of several connections come in any order.
    let of = |client: &str| read.iter().find(|line| line["client"] == client).unwrap();
    let (proxied_line, plain_line) = (of("192.0.2.7"), of("127.0.0.1"));
    for (key, proxied, plain) in [
        ("client", "192.0.2.7", Value::from("127.0.0.1")),
        ("peer", "127.0.0.1", Value::from("127.0.0.1")),
        ("tls_version", "TLSv1.3", Value::Null),
        ("tls_cipher", "TLS_AES_128_GCM_SHA256", Value::Null),
        ("sni", "shop.example", Value::Null),
    ] {
        assert_eq!(
            (&proxied_line[key], &plain_line[key]),
            (&proxied.into(), &plain),
            "{key}"
        );
    }
}

#[test]
fn connections_without_a_good_header_are_closed_and_counted() {
    let origin = naming();
    let edge = wanting(&origin).start();
    let long = v2(
        0x21,
        0x11,
        &[&ADDRESSES[..], &extension(4, &[0; 4096])].concat(),
    );
    let request = get("/x").to_bytes();
    let cases: [(&str, &[&[u8]]); 4] = [
        (
            "missing",
            &[
                &request,
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                b"PROXY/ x y z",
            ],
        ),
        (
            "malformed",
            &[
                b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\n\r\n",
                b"PROXY TCP4 unix unix 1 2\r\n\r\n\r\n",
                &v2(0x31, 0x11, &ADDRESSES),
                &v2(0x21, 0x11, &ADDRESSES[..11]),
            ],
        ),
        (
            "too_long",
            &[&[b"PROXY UNKNOWN ", &[b'x'; 200][..]].concat(), &long],
        ),
        (
            "cut_short",
            &[b"PROXY TCP4 192.0.2.7 ", &v2(0x21, 0x11, &ADDRESSES)[..20]],
        ),
    ];
    let mut other = proxied(&edge, b"PROXY UNKNOWN\r\n");
    for (reason, headers) in cases {
        for (place, header) in headers.iter().enumerate() {
            let mut client = connect(&edge);
            client.write(header);
            if reason != "cut_short" {
                // The edge may have closed the connection by now.
                let _ = client.try_write(&request);
            }
            client.finish();
            assert!(client.is_closed(), "{reason}: {header:?}");
            assert_eq!(
                refused(&edge, reason),
                (place + 1) as f64,
                "{reason}: {header:?}"
            );
        }
    }
    assert_eq!(origin.total(), 0);
    assert_eq!(
        other.send(&get("/x")).status,
        200,
        "others are not affected"
    );
    // A check of health that opens a connection and closes it.
    connect(&edge).finish();
    eventually("it has ended", || {
        edge.metric("tero_connections_open", &[]) == 1.0
    });
    assert_eq!(refused(&edge, "cut_short"), 2.0);
}

#[test]
fn a_header_has_to_arrive_within_header_timeout() {
    let origin = naming();
    let keys = format!("header_timeout = \"10s\"\n{LISTENER}");
    let edge = Edge::before(&origin).server(&keys).start();
    let mut silent = connect(&edge);
    let mut slow = proxied(&edge, b"PROXY TCP4 192.0.");
    let mut in_time = connect(&edge);
    eventually("all are accepted", || {
        edge.metric("tero_connections_open", &[]) == 3.0
    });
    edge.advance_secs(9);
    in_time.write(b"PROXY UNKNOWN\r\n");
    assert_eq!(in_time.send(&get("/x")).status, 200);
    edge.advance_until(60, || refused(&edge, "late") == 2.0);
    assert!(silent.is_closed() && slow.is_closed());
    assert_eq!(in_time.send(&get("/x")).status, 200);
}

#[test]
fn a_header_from_others_and_a_second_one_are_refused() {
    let origin = naming();
    let elsewhere = LISTENER.replace("127.0.0.0/8", "192.0.2.0/24");
    let edge = Edge::before(&origin).server(&elsewhere).start();
    let wanted = wanting(&origin).start();
    let headers = [
        b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n".to_vec(),
        v2(0x21, 0x11, &ADDRESSES),
    ];
    for (place, header) in headers.iter().enumerate() {
        let at_others = [edge.addresses()[0], edge.addresses()[1]];
        for (nth, address) in at_others.into_iter().enumerate() {
            let mut client = Client::connect(address);
            client.write([header.clone(), get("/x").to_bytes()].concat());
            let answer = client.head();
            assert_eq!(answer.status, 400, "{answer:?}");
            assert!(client.is_closed());
            let count = (2 * place + nth + 1) as f64;
            assert_eq!(refused(&edge, "unexpected"), count);
        }
        let mut client = proxied(&wanted, header);
        client.write([header.clone(), get("/x").to_bytes()].concat());
        assert_eq!(client.head().status, 400);
        assert_eq!(refused(&wanted, "unexpected"), (place + 1) as f64);
    }
    assert_eq!(origin.total(), 0);
}

#[test]
fn connections_are_counted_for_the_client_that_the_header_names() {
    let origin = naming();
    let keys = format!("max_connections_per_client = 1\n{LISTENER}");
    let edge = Edge::before(&origin).server(&keys).start();
    let header = |last: u8| format!("PROXY TCP4 192.0.2.{last} 10.0.0.1 1 2\r\n");
    let mut first = proxied(&edge, header(1).as_bytes());
    assert_eq!(first.send(&get("/x")).status, 200);
    let mut second = proxied(&edge, header(1).as_bytes());
    assert!(second.is_closed());
    let mut another = proxied(&edge, header(2).as_bytes());
    assert_eq!(another.send(&get("/x")).status, 200);
    assert_eq!(first.send(&get("/x")).status, 200);
}

#[test]
fn the_log_tells_a_refused_header_once_a_minute() {
    let origin = naming();
    let text =
        configuration(&origin, "").replacen("\n[admin]", &format!("\n{LISTENER}\n\n[admin]"), 1);
    let serving = Serving::start(&text);
    let second = serving.line_with(&["serving", "127.0.0.1:"]);
    assert!(second.contains("127.0.0.1:"));
    let mut client = serving.client();
    client.write(b"PROXY UNKNOWN\r\n");
    assert_eq!(client.head().status, 400);
    serving.line_with(&["PROXY header", "unexpected", "127.0.0.1"]);
}

// Real proxies.

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

/// Whether a program is installed. Where `.ci/run` sets `TERO_DEMAND_PROXIES` it must be; otherwise the test is
/// skipped.
fn is_installed(program: &str, argument: &str) -> bool {
    let found = Command::new(program)
        .arg(argument)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    assert!(
        found || std::env::var_os("TERO_DEMAND_PROXIES").is_none(),
        "{program} is not installed"
    );
    if !found {
        eprintln!("SKIPPED: {program} is not installed, so tero was not tried behind it");
    }
    found
}

/// Sends a request from this address, and returns the whole answer.
fn ask_from(source: &str, address: SocketAddr) -> String {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let source: SocketAddr = format!("{source}:0").parse().unwrap();
    socket.bind(&source.into()).unwrap();
    socket.connect(&address.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(GUARD)).unwrap();
    let request = get("/x").header("Connection", "close");
    stream.write_all(&request.to_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let _ = stream.shutdown(Shutdown::Both);
    text
}

#[test]
fn behind_haproxy_the_client_is_known() {
    if !is_installed("haproxy", "-v") {
        return;
    }
    let origin = naming();
    let edge = wanting(&origin).start();
    let folder = folder();
    let file = folder.path().join("haproxy.cfg");
    let ports = [free_port(), free_port()];
    let listen = |port: u16, how: &str| {
        format!(
            "listen on-{port}\n  mode tcp\n  timeout connect 10s\n  timeout client 30s\n  timeout server 30s\n  \
             bind 127.0.0.1:{port}\n  server tero {} {how}\n",
            edge.addresses()[1]
        )
    };
    let text = listen(ports[0], "send-proxy") + &listen(ports[1], "send-proxy-v2");
    std::fs::write(&file, text).unwrap();
    let child = Command::new("haproxy")
        .arg("-db")
        .arg("-f")
        .arg(&file)
        .spawn();
    let _running = Running(child.unwrap());
    for port in ports {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        eventually("haproxy listens", || TcpStream::connect(address).is_ok());
        let answer = ask_from("127.0.0.2", address);
        assert!(
            answer.ends_with("\r\n\r\n127.0.0.2 http for=127.0.0.2"),
            "{answer}"
        );
    }
    assert_eq!(refused(&edge, "missing") + refused(&edge, "malformed"), 0.0);
}
