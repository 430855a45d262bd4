//! Heads that HTTP/1.1 could not carry, or that two recipients could read in two ways, are refused,
//! and nothing of them reaches the origin (RFC 9113 §8.1.1).

use super::raw::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PROTOCOL_ERROR, RawClient, block, get,
};
use super::{address, ended, pages};
use tero_tests::{HOST, eventually};

/// What the edge says to a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// A response with this status.
    Status(u16),
    /// The stream was reset with `PROTOCOL_ERROR`.
    Reset,
}

fn said(client: &mut RawClient, stream: u32) -> Said {
    let first = client.first_of(stream);
    if first.kind == HEADERS {
        return Said::Status(first.status());
    }
    assert_eq!(first.error(), PROTOCOL_ERROR, "{first:?}");
    Said::Reset
}

/// The fields of a GET, with more of them.
fn with<'f>(fields: &[(&'f str, &'f str)]) -> Vec<(&'f str, &'f str)> {
    [&get("/x")[..], fields].concat()
}

/// Heads, and what the edge says to them. All are answered or reset alone: the connection goes on.
fn refused() -> Vec<(Vec<(&'static str, &'static str)>, Said)> {
    let [method, scheme, authority, path] = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", HOST),
        (":path", "/x"),
    ];
    let mut rows = Vec::new();
    let mut row = |fields: Vec<_>, said| rows.push((fields, said));
    // Fields of connections (§8.2.2).
    for field in [
        ("connection", "close"),
        ("connection", "x-hop"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
    ] {
        row(with(&[field]), Said::Reset);
    }
    // Pseudo-fields (§8.3).
    row(vec![scheme, authority, path], Said::Reset);
    row(vec![method, authority, path], Said::Reset);
    row(vec![method, scheme, authority], Said::Reset);
    row(vec![method, scheme, authority, (":path", "")], Said::Reset);
    row(vec![method, method, scheme, authority, path], Said::Reset);
    row(vec![method, scheme, authority, path, path], Said::Reset);
    row(with(&[("x", "y"), (":authority", HOST)]), Said::Reset);
    row(
        vec![("x", "y"), method, scheme, authority, path],
        Said::Reset,
    );
    row(with(&[(":status", "200")]), Said::Reset);
    row(with(&[(":protocol", "websocket")]), Said::Reset);
    // Targets.
    for bad in ["x", "/a b", "/a\tb", "http://www.example/x"] {
        row(vec![method, scheme, authority, (":path", bad)], Said::Reset);
    }
    row(
        vec![method, (":scheme", "ftp"), authority, path],
        Said::Status(400),
    );
    row(
        vec![method, scheme, authority, (":path", "*")],
        Said::Status(400),
    );
    row(
        vec![method, scheme, authority, (":path", "?a")],
        Said::Status(400),
    );
    // Authorities.
    row(with(&[("host", "other.example")]), Said::Status(400));
    row(
        with(&[("host", HOST), ("host", "other.example")]),
        Said::Status(400),
    );
    row(with(&[("host", HOST), ("host", HOST)]), Said::Status(400));
    row(vec![method, scheme, path], Said::Status(400));
    row(vec![method, scheme, (":authority", ""), path], Said::Reset);
    row(
        vec![method, scheme, (":authority", "user@www.example"), path],
        Said::Status(400),
    );
    row(
        vec![method, scheme, (":authority", "www.example:80a"), path],
        Said::Status(400),
    );
    row(
        vec![method, scheme, (":authority", "other.example"), path],
        Said::Status(421),
    );
    // White space around a value (§8.2.1).
    for value in [" a", "a ", "\ta", "a\t"] {
        row(with(&[("x", value)]), Said::Status(400));
    }
    // Lengths.
    for value in ["+5", "-1", "0x5", "5, 5", "99999999999999999999999"] {
        row(with(&[("content-length", value)]), Said::Reset);
    }
    row(with(&[("content-length", "")]), Said::Status(400));
    row(with(&[("content-length", "5")]), Said::Reset);
    row(
        with(&[("content-length", "0"), ("content-length", "0")]),
        Said::Status(400),
    );
    row(
        with(&[("content-length", "0"), ("content-length", "5")]),
        Said::Reset,
    );
    // Methods.
    row(
        vec![(":method", "TRACE"), scheme, authority, path],
        Said::Status(405),
    );
    row(vec![(":method", "CONNECT"), authority], Said::Status(405));
    row(
        vec![(":method", "CONNECT"), scheme, authority, path],
        Said::Reset,
    );
    row(with(&[("expect", "miracles")]), Said::Status(417));
    rows
}

#[test]
fn malformed_heads_are_refused_alone() {
    let (origin, edge) = pages();
    let mut client = RawClient::connect(address(&edge));
    let mut stream = 1;
    let rows = refused();
    let mut others = Vec::new();
    for (fields, expected) in &rows {
        client.request(stream, fields);
        let said = said(&mut client, stream);
        if said != *expected {
            others.push((said, fields));
        }
        stream += 2;
    }
    assert!(others.is_empty(), "{others:#?}");
    assert_eq!(origin.total(), 0, "nothing was forwarded");
    let of_status = |status| {
        let is = |row: &&(Vec<_>, Said)| match row.1 {
            Said::Reset => status == 400,
            Said::Status(own) => own == status,
        };
        rows.iter().filter(is).count() as f64
    };
    for status in [400, 405, 417, 421] {
        let label = format!("status=\"{status}\"");
        let counted = edge.metric("tero_responses_total", &["site=\"\"", &label]);
        assert_eq!(counted, of_status(status), "{status}");
    }
    // The connection goes on.
    client.request(stream, &get("/x"));
    assert_eq!(said(&mut client, stream), Said::Status(200));
    assert_eq!(ended(&edge, "protocol"), 0.0);
}

#[test]
fn names_and_values_with_forbidden_characters_end_the_connection() {
    for field in [
        ("X-Upper", "1"),
        ("x y", "1"),
        ("x:y", "1"),
        ("", "1"),
        ("x", "a\0b"),
        ("x", "a\r\nx-more: 1"),
        ("x", "a\nb"),
        (":unknown", "1"),
        (":method", "G T"),
    ] {
        let (origin, edge) = pages();
        let mut client = RawClient::connect(address(&edge));
        client.request(1, &with(&[field]));
        let error = client.end();
        assert!(
            error.is_some_and(|error| error != 0),
            "{field:?}: {error:?}"
        );
        assert_eq!(origin.total(), 0, "{field:?}");
        eventually("the fault is counted", || ended(&edge, "protocol") == 1.0);
        edge.get("/x").assert_forwarded("uri-miss", "a page");
    }
}

#[test]
fn content_that_lies_about_its_length_is_not_forwarded() {
    for (content, ends) in [("toolong", false), ("tool", true)] {
        let (origin, edge) = pages();
        let mut client = RawClient::connect(address(&edge));
        let mut fields = get("/x");
        fields[0].1 = "POST";
        fields.push(("content-length", "5"));
        client.send(HEADERS, END_HEADERS, 1, &block(&fields));
        let flags = if ends { END_STREAM } else { 0 };
        client.send(DATA, flags, 1, content.as_bytes());
        assert_eq!(said(&mut client, 1), Said::Reset, "{content}");
        assert_eq!(origin.total(), 0, "{content}");
    }
}

#[test]
fn a_header_that_is_too_long_is_refused_with_431() {
    let (origin, edge) = pages();
    let mut client = RawClient::connect(address(&edge));
    let (fits, own, protocols) = ("a".repeat(30_000), "a".repeat(33_000), "a".repeat(71_700));
    let many: Vec<_> = (0..101).map(|number| format!("x-{number}")).collect();
    let few: Vec<_> = many[..90].iter().map(|name| (&**name, "1")).collect();
    let many: Vec<_> = many.iter().map(|name| (&**name, "1")).collect();
    let long_path = format!("/{own}");
    let rows = [
        (with(&[("x", &fits)]), 200),
        (with(&[("x", &own)]), 431),
        ([&with(&[("x", &protocols)])[..], &few[..10]].concat(), 431),
        (get(&long_path), 431),
        (with(&few), 200),
        (with(&many), 431),
    ];
    let mut stream = 1;
    for (fields, expected) in rows {
        let bytes = block(&fields);
        let mut pieces = bytes.chunks(16_000).peekable();
        let mut kind = HEADERS;
        while let Some(piece) = pieces.next() {
            let is_last = pieces.peek().is_none();
            let flags = if is_last { END_HEADERS } else { 0 };
            let end = if kind == HEADERS { END_STREAM } else { 0 };
            client.send(kind, flags | end, stream, piece);
            kind = CONTINUATION;
        }
        assert_eq!(said(&mut client, stream), Said::Status(expected));
        stream += 2;
    }
    assert_eq!(origin.total(), 1, "a miss, and then a hit");
    let counted = edge.metric("tero_responses_total", &["site=\"\"", "status=\"431\""]);
    assert_eq!(counted, 4.0);
}

#[test]
fn cookies_in_several_fields_are_one() {
    let (origin, edge) = pages();
    let mut client = RawClient::connect(address(&edge));
    client.request(1, &with(&[("cookie", "a=1"), ("cookie", "b=2; c=3")]));
    assert_eq!(said(&mut client, 1), Said::Status(200));
    let cookie = origin.only("/x").header("cookie");
    assert_eq!(cookie.as_deref(), Some("a=1; b=2; c=3"));
}
