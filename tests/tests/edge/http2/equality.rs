//! An answer over HTTP/2 is the answer over HTTP/1.1: the same status, the same content, and the
//! same fields but for those of connections.

use std::collections::BTreeMap;

use http::{HeaderMap, Request};
use tero_tests::{Answer, Client, Edge, HOST, Origin, OriginRequest, Reply};

use super::client::{Http2Answer, Http2Client};
use super::{address, before};

/// A request in both versions.
struct Case {
    method: &'static str,
    target: &'static str,
    fields: &'static [(&'static str, &'static str)],
    body: Option<&'static str>,
}

const fn case(method: &'static str, target: &'static str) -> Case {
    Case {
        method,
        target,
        fields: &[],
        body: None,
    }
}

impl Case {
    const fn with(mut self, fields: &'static [(&'static str, &'static str)]) -> Case {
        self.fields = fields;
        self
    }

    const fn body(mut self, body: &'static str) -> Case {
        self.body = Some(body);
        self
    }

    fn over_http1(&self, edge: &Edge) -> Answer {
        let mut request = tero_tests::Request::new(self.method, self.target);
        for (name, value) in self.fields {
            request = request.header(*name, *value);
        }
        if let Some(body) = self.body {
            request = request.body(body);
        }
        Client::connect(edge.address()).send(&request)
    }

    fn over_http2(&self, client: &Http2Client) -> Http2Answer {
        let mut request = Request::builder()
            .method(self.method)
            .uri(format!("http://{HOST}{}", self.target));
        for (name, value) in self.fields {
            request = request.header(*name, *value);
        }
        match self.body {
            None => client.send(request.body(()).unwrap()),
            Some(body) => {
                let request = request.header("content-length", body.len());
                client.send_with(request.body(()).unwrap(), body)
            }
        }
    }
}

/// A text without the number of its request, which is drawn.
fn text(body: String) -> String {
    let lines = body.lines().filter(|line| !line.starts_with("request "));
    lines.collect::<Vec<_>>().join("\n")
}

/// Fields by name, without those of connections and the number of the request. Its length depends
/// on nothing else, so that of an error counts.
fn fields<'f>(all: impl Iterator<Item = (&'f str, &'f str)>) -> BTreeMap<String, Vec<String>> {
    let mut fields = BTreeMap::<_, Vec<_>>::new();
    for (name, value) in all {
        let name = name.to_ascii_lowercase();
        if !matches!(
            &*name,
            "connection" | "transfer-encoding" | "keep-alive" | "x-request-id"
        ) {
            fields.entry(name).or_default().push(value.to_owned());
        }
    }
    fields
}

fn of_map(headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let all: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), text(value)))
        .collect();
    fields(all.iter().map(|(name, value)| (&**name, &**value)))
}

fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let date = "Tue, 24 Nov 2026 13:00:00 GMT";
        let reply = match asked.path() {
            "/page" => Reply::fresh(600, "a page")
                .header("ETag", "\"one\"")
                .header("Last-Modified", "Mon, 23 Nov 2026 13:00:00 GMT")
                .header("Content-Type", "text/html"),
            "/set-cookies" => Reply::fresh(600, "two cookies")
                .header("Set-Cookie", "a=1")
                .header("Set-Cookie", "b=2"),
            "/large" => Reply::fresh(600, "0123456789".repeat(20_000)),
            "/chunked" => Reply::fresh(600, "in chunks").chunked(),
            "/passed" => Reply::ok("no-store")
                .header("Cache-Control", "no-store")
                .header("Connection", "x-hop")
                .header("X-Hop", "1")
                .chunked(),
            "/until-close" => Reply::ok("to the end").until_close(),
            "/empty" => Reply::fresh(600, ""),
            "/none" => Reply::status(204),
            "/moved" => Reply::status(301).header("Location", "/page"),
            "/error" => Reply::status(503).body("down"),
            "/gone" => Reply::status(404).body("gone"),
            "/vary" => Reply::fresh(600, asked.header("accept-language").unwrap_or_default())
                .header("Vary", "Accept-Language"),
            "/broken" => Reply::ok("abc").announcing(10).then_close(),
            "/cookie" => Reply::ok(asked.header("cookie").unwrap_or_default()),
            "/echo" => Reply::ok(&asked.body).header("Cache-Control", "no-store"),
            "/\u{e9}" => Reply::ok("utf-8"),
            _ => Reply::ok(format!("{} {}", asked.method, asked.target)),
        };
        reply.header("Date", date)
    });
    origin
}

const CASES: &[Case] = &[
    case("GET", "/page"),
    case("GET", "/page"),
    case("HEAD", "/page"),
    case("GET", "/page").with(&[("if-none-match", "\"one\"")]),
    case("GET", "/page").with(&[("if-none-match", "\"two\"")]),
    case("GET", "/page").with(&[("if-match", "\"two\"")]),
    case("GET", "/page").with(&[("if-modified-since", "Mon, 23 Nov 2026 13:00:00 GMT")]),
    case("GET", "/page").with(&[("range", "bytes=0-2")]),
    case("GET", "/page").with(&[("range", "bytes=100-")]),
    case("GET", "/page?a=b&c"),
    case("GET", "/page").with(&[("cache-control", "no-cache")]),
    case("GET", "/page").with(&[("cache-control", "only-if-cached")]),
    case("GET", "/nothing").with(&[("cache-control", "only-if-cached")]),
    case("GET", "/large"),
    case("GET", "/large"),
    case("HEAD", "/large"),
    case("GET", "/large").with(&[("range", "bytes=100000-150000")]),
    case("GET", "/chunked"),
    case("GET", "/chunked"),
    case("HEAD", "/chunked"),
    case("GET", "/passed"),
    case("HEAD", "/passed"),
    case("GET", "/until-close"),
    case("GET", "/empty"),
    case("GET", "/empty"),
    case("HEAD", "/empty"),
    case("GET", "/none"),
    case("GET", "/moved"),
    case("GET", "/error"),
    case("HEAD", "/error"),
    case("GET", "/gone"),
    case("GET", "/set-cookies"),
    case("GET", "/vary").with(&[("accept-language", "es")]),
    case("GET", "/vary").with(&[("accept-language", "en")]),
    case("GET", "/cookie").with(&[("cookie", "a=1; b=2")]),
    case("GET", "/%2e%2e/a%20b?c=%23"),
    case("GET", "/\u{e9}"),
    case("GET", "/a#fragment"),
    case("GET", "/a|b\"c{d}"),
    case("POST", "/echo").body("content"),
    case("PUT", "/echo").body(""),
    case("DELETE", "/other"),
    case("OPTIONS", "/other"),
    case("PATCH", "/echo").body("patch"),
    case("QUERY", "/echo").body("query"),
    case("GET", "/echo").body("a get with content"),
    case("TRACE", "/other"),
    case("GET", "/other").with(&[("expect", "miracles")]),
    case("POST", "/echo")
        .with(&[("expect", "100-continue")])
        .body("expected"),
    case("GET", "/other").with(&[("x-forwarded-proto", "https")]),
    case("GET", "/other").with(&[("x_underscore", "1")]),
    case("GET", "/other").with(&[("upgrade-insecure-requests", "1")]),
];

#[test]
fn answers_are_the_same_over_both_versions() {
    // Each version has an edge and a store of its own.
    let (first, second) = (origin(), origin());
    let (over_http1, over_http2) = (before(&first).start(), before(&second).start());
    let client = Http2Client::connect(address(&over_http2));
    for (row, case) in CASES.iter().enumerate() {
        let shown = format!("{row}: {} {} {:?}", case.method, case.target, case.fields);
        let one = case.over_http1(&over_http1);
        let other = case.over_http2(&client);
        assert_eq!(other.status, one.status, "{shown}");
        assert_eq!(text(other.text()), text(one.text()), "{shown}");
        assert!(other.whole, "{shown}");
        let of_one = fields(one.headers.iter().map(|(name, value)| (&**name, &**value)));
        assert_eq!(of_map(&other.headers), of_one, "{shown}");
        assert_eq!(second.total(), first.total(), "{shown}");
    }
    // What the origin is told is the same, too, but for the version in `Via`.
    let paths = CASES.iter().map(|case| {
        let target = case.target.split(['?', '#']).next();
        target.unwrap_or_default()
    });
    let paths: std::collections::BTreeSet<_> = paths.collect();
    let asked = |origin: &Origin| -> Vec<OriginRequest> {
        paths.iter().flat_map(|path| origin.asked(path)).collect()
    };
    let (asked_first, asked_second) = (asked(&first), asked(&second));
    assert!(asked_first.len() > 30, "{}", asked_first.len());
    for (one, other) in asked_first.into_iter().zip(asked_second) {
        let shown = format!("{} {}", one.method, one.target);
        assert_eq!(
            (&other.method, &other.target, &other.body),
            (&one.method, &one.target, &one.body),
            "{shown}"
        );
        let all = |asked: &OriginRequest| {
            let mut all = fields(
                asked
                    .headers
                    .iter()
                    .map(|(name, value)| (&**name, &**value)),
            );
            let via = all.remove("via");
            // The identity in it is drawn at each start.
            all.remove("cdn-loop");
            (all, via)
        };
        let ((of_one, via), (of_other, other_via)) = (all(&one), all(&other));
        assert_eq!(of_other, of_one, "{shown}");
        assert_eq!(via, Some(vec!["1.1 tero".to_owned()]), "{shown}");
        assert_eq!(other_via, Some(vec!["2.0 tero".to_owned()]), "{shown}");
    }
}

#[test]
fn content_that_breaks_off_resets_the_stream_alone() {
    let origin = origin();
    let edge = before(&origin).start();
    let client = Http2Client::connect(address(&edge));
    let broken = client.send(super::client::get("/broken"));
    assert_eq!((broken.status, broken.whole), (200, false));
    assert_eq!(broken.text(), "abc");
    assert_eq!(client.send(super::client::get("/page")).text(), "a page");
}

#[test]
fn both_versions_share_the_store() {
    let origin = origin();
    let edge = before(&origin).start();
    let client = Http2Client::connect(address(&edge));
    assert_eq!(client.send(super::client::get("/page")).text(), "a page");
    edge.get("/page").assert_hit("a page");
    let hit = client.send(super::client::get("/page"));
    assert!(hit.header("cache-status").unwrap().contains("hit"));
    let mut over_http1 = Client::connect(address(&edge));
    over_http1
        .send(&tero_tests::get("/page"))
        .assert_hit("a page");
    assert_eq!(origin.total(), 1);
}
