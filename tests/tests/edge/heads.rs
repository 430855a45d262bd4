//! Heads of responses, byte for byte: no field is missing, and none comes twice.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use tero_tests::{Edge, Origin, Reply, get};

/// Everything that the edge sends after these lines of a request, up to the end of the connection.
fn answer(edge: &Edge, lines: &[&str]) -> String {
    let mut stream = TcpStream::connect(edge.address()).unwrap();
    stream
        .write_all(format!("{}\r\n\r\n", lines.join("\r\n")).as_bytes())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn warm(section: &str) -> (Origin, Edge) {
    let origin = Origin::start();
    let reply = Reply::fresh(60, "content")
        .header("Date", "Tue, 24 Nov 2026 15:00:00 GMT")
        .header("ETag", "\"a\"");
    origin.on("/x", reply.header("Content-Type", "text/plain"));
    let edge = Edge::before(&origin)
        .section(section)
        .at("2026-11-24T12:00:00")
        .start();
    edge.get("/x").assert_forwarded("uri-miss", "content");
    edge.advance_secs(5);
    (origin, edge)
}

/// The fields of a hit, without `Content-Length` and `Connection`.
const FIELDS: &str = "cache-control: max-age=60\r\n\
    date: Tue, 24 Nov 2026 15:00:00 GMT\r\n\
    etag: \"a\"\r\n\
    content-type: text/plain\r\n\
    age: 5\r\n\
    via: 1.1 tero\r\n\
    cache-status: tero; hit; ttl=55\r\n";

fn sorted(answer: &str) -> Vec<&str> {
    let mut lines: Vec<_> = answer.split("\r\n").collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_hit_has_each_field_once() {
    let (_origin, edge) = warm("");
    for _ in 0..2 {
        let text = answer(
            &edge,
            &["GET /x HTTP/1.1", "Host: www.example", "Connection: close"],
        );
        let framing = "connection: close\r\ncontent-length: 7\r\n";
        assert_eq!(
            text,
            format!("HTTP/1.1 200 OK\r\n{framing}{FIELDS}\r\ncontent")
        );
    }
    let text = answer(&edge, &["GET /x HTTP/1.0", "Host: www.example"]);
    assert_eq!(
        text,
        format!("HTTP/1.0 200 OK\r\ncontent-length: 7\r\n{FIELDS}\r\ncontent")
    );
}

#[test]
fn the_answer_of_an_origin_with_http_1_0_is_passed_on_as_1_1() {
    let origin = Origin::start();
    origin.on_head("/x", "HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\npage");
    let edge = Edge::before(&origin).start();
    for method in ["GET", "POST"] {
        let text = answer(
            &edge,
            &[
                &format!("{method} /x HTTP/1.1"),
                "Host: www.example",
                "Content-Length: 0",
                "Connection: close",
            ],
        );
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    }
}

#[test]
fn a_304_from_the_store_leaves_out_fields_about_content() {
    let (_origin, edge) = warm("");
    let fields = FIELDS.replace("content-type: text/plain\r\n", "");
    for _ in 0..2 {
        let lines = [
            "GET /x HTTP/1.1",
            "Host: www.example",
            "If-None-Match: \"b\", \"a\"",
            "Connection: close",
        ];
        let expected = format!("HTTP/1.1 304 Not Modified\r\nconnection: close\r\n{fields}\r\n");
        assert_eq!(sorted(&answer(&edge, &lines)), sorted(&expected));
    }
    // If `If-None-Match` does not match, the whole is sent; if `If-Match` does not match, a 412.
    edge.send(&get("/x").header("If-None-Match", "\"b\""))
        .assert_hit("content");
    let failed = edge.send(&get("/x").header("If-Match", "\"b\""));
    assert_eq!(
        (failed.status, failed.header("date").is_some()),
        (412, true)
    );
}

#[test]
fn a_logged_hit_has_the_same_head() {
    let folder = tero_tests::folder();
    let log = folder.path().join("access.log");
    let (_origin, edge) = warm(&format!(
        "[access_log]\npath = {}",
        tero_tests::toml_string(log.to_str().unwrap())
    ));
    let lines = ["GET /x HTTP/1.1", "Host: www.example", "Connection: close"];
    let expected =
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 7\r\n{FIELDS}\r\ncontent");
    assert_eq!(sorted(&answer(&edge, &lines)), sorted(&expected));
}

#[test]
fn the_edges_own_error_has_a_date() {
    let edge = Edge::before_url("http://127.0.0.1:1")
        .at("2026-11-24T12:00:00")
        .start();
    for target in ["/refused", "/again"] {
        let answer = edge.get(target);
        assert_eq!(
            (answer.status, answer.header("date").as_deref()),
            (502, Some("Tue, 24 Nov 2026 15:00:00 GMT"))
        );
    }
}
