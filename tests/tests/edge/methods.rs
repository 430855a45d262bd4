//! Methods other than GET: how HEAD freshens stored responses (RFC 9111 §4.3.5), what unsafe
//! methods invalidate (§4.4, RFC 9875), and responses to POST that are stored for GET (RFC 9110
//! §9.3.3).

use tero_tests::{Edge, Origin, Reply, Request, get};

fn serving(reply: Reply) -> (Origin, Edge) {
    let origin = Origin::start();
    origin.on("/x", reply);
    let edge = Edge::before(&origin).start();
    (origin, edge)
}

fn head(target: &str) -> Request {
    Request::new("HEAD", target)
}

#[test]
fn head_is_answered_from_a_stored_get() {
    let (origin, edge) = serving(Reply::fresh(60, "0123456789"));
    edge.get("/x").assert_forwarded("uri-miss", "0123456789");
    let answer = edge.send(&Request::new("HEAD", "/x"));
    assert_eq!(
        (
            answer.status,
            answer.body.len(),
            answer.header("content-length").as_deref()
        ),
        (200, 0, Some("10"))
    );
    assert!(answer.cache_status().hit);
    assert_eq!(origin.requests("/x"), 1);
}

#[test]
fn a_head_freshens_a_matching_response_and_makes_another_stale() {
    for (told, body, fresh) in [
        ("\"1\"", "0123456789", true),
        ("\"2\"", "0123456789", false),
        ("\"1\"", "01234567", false),
    ] {
        let (origin, edge) = serving(
            Reply::fresh(60, "0123456789")
                .header("ETag", "\"1\"")
                .header("X-Kept", "1"),
        );
        edge.get("/x").assert_forwarded("uri-miss", "0123456789");
        edge.advance_secs(60);
        origin.on(
            "/x",
            Reply::fresh(100, body)
                .header("ETag", told)
                .header("X-New", "1"),
        );
        let answer = edge.send(&head("/x"));
        assert_eq!(
            (
                answer.status,
                answer.body.len(),
                answer.cache_status().fwd.as_deref()
            ),
            (200, 0, Some("stale"))
        );
        assert_eq!(origin.asked("/x").pop().unwrap().method, "HEAD");
        let answer = edge.get("/x");
        assert_eq!(answer.cache_status().hit, fresh, "{told} {body}");
        if fresh {
            answer.assert_hit("0123456789");
            assert_eq!(
                (
                    answer.header("x-kept").is_some(),
                    answer.header("x-new").is_some()
                ),
                (true, true)
            );
            assert_eq!(
                (answer.age(), answer.cache_status().ttl),
                (Some(0), Some(100))
            );
        }
    }
}

#[test]
fn responses_to_head_are_never_stored() {
    let (origin, edge) = serving(Reply::fresh(60, "x"));
    assert!(!edge.send(&head("/x")).cache_status().stored);
    edge.get("/x").assert_forwarded("uri-miss", "x");
    assert!(edge.send(&head("/x")).cache_status().hit);
    assert_eq!(origin.requests("/x"), 2);
}

#[test]
fn unsafe_methods_are_forwarded_and_invalidate_their_target() {
    let (origin, edge) = serving(Reply::fresh(60, "x"));
    edge.get("/x").assert_forwarded("uri-miss", "x");
    let answer = edge.send(&Request::new("POST", "/x").body("a=1"));
    answer.assert_forwarded("method", "x");
    let posted = origin.asked("/x").pop().unwrap();
    assert_eq!(
        (posted.method.as_str(), posted.body.as_slice()),
        ("POST", b"a=1".as_slice())
    );
    edge.get("/x").assert_forwarded("uri-miss", "x");
}

#[test]
fn a_failed_unsafe_request_invalidates_nothing() {
    let (origin, edge) = serving(Reply::fresh(60, "x"));
    edge.get("/x").assert_forwarded("uri-miss", "x");
    origin.on("/x", Reply::status(500));
    assert_eq!(
        edge.send(&Request::new("POST", "/x").body("a=1")).status,
        500
    );
    edge.get("/x").assert_hit("x");
}

#[test]
fn invalidation_covers_all_variants_and_the_location_fields() {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(60, asked.method.as_str()).header("Vary", "X-Kind"));
    let store = |edge: &Edge, target: &str, kind: &str| {
        edge.send(&get(target).header("X-Kind", kind))
            .cache_status()
            .hit
    };
    for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "FROB"] {
        let edge = Edge::before(&origin).start();
        let all = [
            ("/x", "a"),
            ("/x", "b"),
            ("/x/new", "a"),
            ("/other", "a"),
            ("/x/kept", "a"),
        ];
        for (target, kind) in all {
            assert!(!store(&edge, target, kind) && store(&edge, target, kind));
        }
        origin.on(
            "/x",
            Reply::status(201)
                .header("Location", "x/new")
                .header("Content-Location", "http://www.example/other"),
        );
        assert_eq!(edge.send(&Request::new(method, "/x").body("a")).status, 201);
        origin.on("/x", Reply::fresh(60, "again").header("Vary", "X-Kind"));
        for (target, kind) in all {
            assert_eq!(
                store(&edge, target, kind),
                target == "/x/kept",
                "{method} {target} {kind}"
            );
        }
    }
}

#[test]
fn safe_methods_and_other_origins_invalidate_nothing() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(60, "x"));
    origin.on(
        "/elsewhere",
        Reply::ok("")
            .header("Location", "http://other.example/x")
            .header("Content-Location", "https://www.example/x"),
    );
    let edge = Edge::before(&origin).start();
    edge.get("/x").assert_forwarded("uri-miss", "x");
    edge.send(&Request::new("OPTIONS", "/x"));
    edge.send(&Request::new("SEARCH", "/x"));
    edge.send(&Request::new("POST", "/elsewhere").body("a"));
    edge.get("/x").assert_hit("x");
}

#[test]
fn cache_groups_are_invalidated_together() {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        Reply::fresh(60, &asked.target).header(
            "Cache-Groups",
            format!("\"{}\", \"all\"", &asked.target[1..2]),
        )
    });
    let edge = Edge::before(&origin).start();
    let targets = ["/a1", "/a2", "/b1"];
    let hits = || targets.map(|target| edge.get(target).cache_status().hit);
    assert_eq!((hits(), hits()), ([false; 3], [true; 3]));
    let change = |method: &str, status: u16, groups: &str| {
        origin.on(
            "/change",
            Reply::status(status).header("Cache-Group-Invalidation", groups),
        );
        edge.send(&Request::new(method, "/change"));
    };
    change("GET", 200, "\"a\"");
    change("POST", 500, "\"a\"");
    change("POST", 200, "a");
    change("POST", 200, "\"A\"");
    assert_eq!(hits(), [true; 3]);
    change("POST", 200, "\"a\", \"none\"");
    assert_eq!((hits(), hits()), ([false, false, true], [true; 3]));
    change("DELETE", 204, "\"all\"");
    assert_eq!(hits(), [false; 3]);
}

#[test]
fn all_responses_of_a_large_group_are_invalidated() {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(60, &asked.target).header("Cache-Groups", "\"all\""));
    origin.on(
        "/change",
        Reply::status(200).header("Cache-Group-Invalidation", "\"all\""),
    );
    let edge = Edge::before(&origin).start();
    let hits = || {
        (0..300)
            .filter(|number| edge.get(&format!("/{number}")).cache_status().hit)
            .count()
    };
    assert_eq!((hits(), hits()), (0, 300));
    edge.send(&Request::new("POST", "/change"));
    assert_eq!(hits(), 0);
}

#[test]
fn responses_invalidated_by_group_are_not_served_stale() {
    let origin = Origin::start();
    let windows = "max-age=60, stale-while-revalidate=600, stale-if-error=600";
    origin.on(
        "/x",
        Reply::ok("x")
            .header("Cache-Control", windows)
            .header("Cache-Groups", "\"a\""),
    );
    origin.on(
        "/change",
        Reply::status(200).header("Cache-Group-Invalidation", "\"a\""),
    );
    let edge = Edge::before(&origin).start();
    edge.get("/x");
    edge.get("/x").assert_hit("x");
    edge.send(&Request::new("POST", "/change"));
    assert!(!edge.get("/x").cache_status().hit);
    assert_eq!(origin.requests("/x"), 2);
}

/// A response to POST that is stored for later GETs, with more fields.
fn standing_for_get(fields: &[(&str, &str)]) -> Reply {
    fields
        .iter()
        .fold(Reply::ok("posted"), |reply, (name, value)| {
            reply.header(*name, *value)
        })
}

#[test]
fn a_post_response_with_its_own_content_location_is_stored_for_gets() {
    for place in ["/x?a=1", "http://www.example/x?a=1", "", "x?a=1"] {
        let (origin, edge) = serving(standing_for_get(&[
            ("Cache-Control", "max-age=60"),
            ("Content-Location", place),
        ]));
        edge.get("/x?a=1").assert_forwarded("uri-miss", "posted");
        let answer = edge.send(
            &Request::new("POST", "/x?a=1")
                .header("If-Match", "\"other\"")
                .body("a=1"),
        );
        answer.assert_forwarded("method", "posted");
        assert!(answer.cache_status().stored, "{answer:?}");
        edge.get("/x?a=1").assert_hit("posted");
        assert!(
            edge.send(&Request::new("HEAD", "/x?a=1"))
                .cache_status()
                .hit
        );
        edge.send(&Request::new("POST", "/x?a=1").body("a=2"))
            .assert_forwarded("method", "posted");
        let asked: Vec<_> = origin
            .asked("/x")
            .into_iter()
            .map(|asked| asked.method)
            .collect();
        assert_eq!(
            asked,
            ["GET", "POST", "POST"],
            "each POST goes to the origin"
        );
        assert_eq!(
            edge.metric("tero_requests_total", &["outcome=\"pass\""]),
            2.0
        );
    }
}

#[test]
fn other_post_responses_are_not_stored() {
    let (fresh, here) = (("Cache-Control", "max-age=60"), ("Content-Location", "/x"));
    let rows: [(&str, u16, &[(&str, &str)]); 9] = [
        ("POST", 200, &[fresh]),
        ("POST", 200, &[here]),
        ("POST", 200, &[here, ("ETag", "\"1\"")]),
        ("POST", 200, &[fresh, ("Content-Location", "/y")]),
        (
            "POST",
            200,
            &[fresh, ("Content-Location", "http://other.example/x")],
        ),
        ("POST", 200, &[fresh, here, ("Set-Cookie", "a=b")]),
        (
            "POST",
            200,
            &[here, ("Cache-Control", "private, max-age=60")],
        ),
        ("POST", 404, &[fresh, here]),
        ("PUT", 200, &[fresh, here]),
    ];
    for (method, status, fields) in rows {
        let origin = Origin::start();
        let reply = fields
            .iter()
            .fold(Reply::status(status).body("x"), |reply, (name, value)| {
                reply.header(*name, *value)
            });
        origin.on("/x", reply);
        let edge = Edge::before(&origin).start();
        let answer = edge.send(&Request::new(method, "/x").body("a=1"));
        assert_eq!(
            (
                answer.status,
                answer.text().as_str(),
                answer.cache_status().stored
            ),
            (status, "x", false),
            "{fields:?}"
        );
        origin.on("/x", Reply::fresh(60, "got"));
        edge.get("/x").assert_forwarded("uri-miss", "got");
    }
}

#[test]
fn requests_that_must_not_repeat_use_recent_connections() {
    let (origin, edge) = serving(Reply::ok("x").header("Cache-Control", "no-store"));
    // One client connection, since each worker has its own connections to the origin.
    let mut client = edge.client();
    // The origin may be about to close a connection that has been idle for seconds, and then it is
    // unknown whether it has carried out the request.
    for (method, idle_secs, same) in [
        ("POST", 0, true),
        ("POST", 1, false),
        ("PATCH", 2, false),
        ("GET", 2, true),
        ("DELETE", 50, true),
        ("GET", 55, false),
    ] {
        edge.advance_secs(idle_secs);
        let request = Request::new(method, "/x");
        let answer = client.send(&if matches!(method, "POST" | "PATCH") {
            request.body("a")
        } else {
            request
        });
        assert_eq!(answer.status, 200);
        let [.., before, now] = &origin.asked("/x")[..] else {
            continue;
        };
        assert_eq!(
            before.connection == now.connection,
            same,
            "{method} after {idle_secs}s"
        );
    }
}
