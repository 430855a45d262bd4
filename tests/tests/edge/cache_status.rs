//! `Cache-Status` (RFC 9211): each response says what the edge did with its request, after the
//! members of inner caches.

use tero_tests::{Answer, Edge, Origin, Reply, Request, get};

fn said(answer: &Answer) -> String {
    answer
        .header("cache-status")
        .unwrap_or_else(|| panic!("{answer:?}"))
}

/// An edge whose origin answers most paths and fails on others.
fn edge(origin: &Origin) -> Edge {
    origin.otherwise(|_| {
        Reply::fresh(60, "0123456789")
            .header("ETag", "\"1\"")
            .header("Vary", "X-Kind")
    });
    origin.on(
        "/private",
        Reply::ok("own").header("Cache-Control", "private"),
    );
    origin.on("/error", Reply::status(500));
    origin.on("/reset", Reply::reset());
    origin.on(
        "/inner",
        Reply::fresh(60, "x").header("Cache-Status", "shield; hit; ttl=7"),
    );
    Edge::before(origin).start()
}

#[test]
fn each_outcome_has_its_own_cache_status() {
    let origin = Origin::start();
    let edge = edge(&origin);
    let tagged = || get("/x").header("If-None-Match", "\"1\"");
    let ranged = |range: &str| get("/x").header("Range", range);
    let rows = [
        (
            get("/x"),
            200,
            "tero; fwd=uri-miss; fwd-status=200; ttl=60; stored",
        ),
        (get("/x"), 200, "tero; hit; ttl=60"),
        (Request::new("HEAD", "/x"), 200, "tero; hit; ttl=60"),
        (tagged(), 304, "tero; hit; ttl=60"),
        (
            get("/x").header("If-Match", "\"2\""),
            412,
            "tero; hit; ttl=60",
        ),
        (ranged("bytes=0-1"), 206, "tero; hit; ttl=60"),
        (ranged("bytes=0-1, 300-"), 206, "tero; hit; ttl=60"),
        (ranged("bytes=10-"), 416, "tero; hit; ttl=60"),
        (
            get("/x").header("X-Kind", "a"),
            200,
            "tero; fwd=vary-miss; fwd-status=200; ttl=60; stored",
        ),
        (
            Request::new("POST", "/y").body("a"),
            200,
            "tero; fwd=method; fwd-status=200",
        ),
        (
            Request::new("OPTIONS", "/y"),
            200,
            "tero; fwd=method; fwd-status=200",
        ),
        (get("/y").body("a"), 200, "tero; fwd=bypass; fwd-status=200"),
        (
            Request::new("HEAD", "/y"),
            200,
            "tero; fwd=uri-miss; fwd-status=200",
        ),
        (
            get("/private"),
            200,
            "tero; fwd=uri-miss; fwd-status=200; detail=\"private\"",
        ),
        (
            get("/error"),
            500,
            "tero; fwd=uri-miss; fwd-status=500; detail=\"no-lifetime\"",
        ),
        (
            get("/inner"),
            200,
            "shield; hit; ttl=7, tero; fwd=uri-miss; fwd-status=200; ttl=60; stored",
        ),
        (get("/inner"), 200, "shield; hit; ttl=7, tero; hit; ttl=60"),
        (
            get("/z").header("Cache-Control", "only-if-cached"),
            504,
            "tero; detail=\"only-if-cached, and nothing stored will do\"",
        ),
        (
            Request::new("TRACE", "/x"),
            405,
            "tero; detail=\"this method is not offered\"",
        ),
        (
            get("/x").host("other.example"),
            421,
            "tero; detail=\"no site is configured for this host\"",
        ),
    ];
    for (request, status, expected) in rows {
        let answer = edge.send(&request);
        assert_eq!(
            (answer.status, said(&answer).as_str()),
            (status, expected),
            "{request:?}"
        );
    }
    let own_entry = origin.asked("/x")[0].header("cdn-loop").unwrap();
    let looped = edge.send(&get("/x").header("CDN-Loop", own_entry));
    assert_eq!(
        (looped.status, said(&looped).as_str()),
        (
            508,
            "tero; detail=\"the request has passed through this edge already\""
        )
    );
    let reset = edge.get("/reset");
    assert!(
        reset.status == 502 && said(&reset).starts_with("tero; fwd=uri-miss; detail=\""),
        "{reset:?}"
    );
    edge.advance_secs(61);
    origin.otherwise(|_| {
        Reply::status(304)
            .header("ETag", "\"1\"")
            .header("Cache-Control", "max-age=60")
    });
    let answer = edge.send(&get("/x"));
    assert_eq!(
        (answer.status, said(&answer).as_str()),
        (200, "tero; fwd=stale; fwd-status=304; ttl=60; stored")
    );
}

#[test]
fn the_key_is_in_cache_status_if_the_site_wants_it() {
    let origin = Origin::start();
    origin.on("/x", Reply::fresh(60, "x"));
    origin.on("/own", Reply::ok("x").header("Cache-Control", "private"));
    let edge = Edge::before(&origin)
        .site("cache_status_key = true")
        .start();
    for (target, count) in [("/x?a=1", 2), ("/own", 1)] {
        for _ in 0..count {
            assert_eq!(
                edge.get(target).cache_status().key.as_deref(),
                Some(&*format!("http://www.example{target}"))
            );
        }
    }
}

#[test]
fn a_304_that_makes_the_response_private_has_not_stored_it() {
    for (name, value, reason) in [
        ("Cache-Control", "private", "private"),
        ("Cache-Control", "no-store", "no-store"),
        ("Set-Cookie", "a=1", "set-cookie"),
    ] {
        let origin = Origin::start();
        let stored = Reply::fresh(10, "page").header("ETag", "\"1\"");
        let unchanged = Reply::status(304)
            .header("ETag", "\"1\"")
            .header(name, value);
        origin.on_in_turn("/x", [stored, unchanged]);
        let edge = Edge::before(&origin).start();
        edge.get("/x");
        edge.advance_secs(10);
        let answer = edge.get("/x");
        assert_eq!(answer.text(), "page");
        let told = said(&answer);
        assert!(
            told.starts_with("tero; fwd=stale; fwd-status=304"),
            "{told}"
        );
        assert!(!answer.cache_status().stored, "{told}");
        answer.assert_detail(reason);
    }
}
