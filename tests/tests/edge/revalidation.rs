//! What the origin's answer to a revalidation makes of the stored response (RFC 9111 §4.3).

use tero_tests::{Edge, Origin, Reply, get};

/// An edge that has stored `old` under `/x` with these fields, and where it has become stale.
fn with_stale(fields: &[(&str, &str)]) -> (Origin, Edge) {
    let origin = Origin::start();
    let stored = fields
        .iter()
        .fold(Reply::fresh(10, "old"), |reply, (name, value)| {
            reply.header(*name, *value)
        });
    origin.on("/x", stored);
    let edge = Edge::before(&origin).start();
    edge.get("/x").assert_forwarded("uri-miss", "old");
    edge.advance_secs(10);
    (origin, edge)
}

#[test]
fn a_304_whose_tag_matches_weakly_freshens_the_stored_response() {
    for (stored, told) in [
        // nginx, with gzip.
        ("W/\"x\"", "\"x\""),
        ("\"x\"", "W/\"x\""),
        ("W/\"x\"", "W/\"x\""),
    ] {
        let (origin, edge) = with_stale(&[("ETag", stored), ("Content-Encoding", "gzip")]);
        origin.on(
            "/x",
            Reply::status(304)
                .header("ETag", told)
                .header("Cache-Control", "max-age=10"),
        );
        let answer = edge.get("/x");
        answer.assert_forwarded("stale", "old");
        assert_eq!(
            answer.cache_status().fwd_status,
            Some(304),
            "{stored} {told}"
        );
        // The tag came with the stored bytes, and still names them.
        assert_eq!(answer.header("etag").as_deref(), Some(stored));
        edge.get("/x").assert_hit("old");
        assert_eq!(origin.requests("/x"), 2, "{stored} {told}");
        let asked = origin.asked("/x").pop().unwrap();
        assert_eq!(asked.header("if-none-match").as_deref(), Some(stored));
    }
}

#[test]
fn a_304_about_another_response_leaves_the_stored_one_until_its_successor_is_there() {
    let (origin, edge) = with_stale(&[("ETag", "\"1\"")]);
    // The 304 is about another response, and the request for the whole fails.
    origin.on_each("/x", |asked, _| match asked.header("if-none-match") {
        Some(_) => Reply::status(304).header("ETag", "\"2\""),
        None => Reply::reset(),
    });
    for asked in [3, 5] {
        let answer = edge.get("/x");
        assert_eq!((answer.status, answer.text().as_str()), (200, "old"));
        answer.assert_detail("origin");
        assert!(origin.requests("/x") >= asked);
    }
    origin.on_each("/x", |asked, _| match asked.header("if-none-match") {
        Some(_) => Reply::status(304).header("ETag", "\"2\""),
        None => Reply::fresh(10, "new").header("ETag", "\"2\""),
    });
    edge.get("/x").assert_forwarded("stale", "new");
    edge.get("/x").assert_hit("new");
}

#[test]
fn a_part_that_cannot_be_completed_stays_until_its_successor_is_there() {
    let origin = Origin::start();
    let cut = Reply::fresh(600, "01234")
        .header("ETag", "\"1\"")
        .announcing(10)
        .then_close();
    let useless = |asked: &tero_tests::OriginRequest| {
        asked.header("range").map(|_| {
            Reply::status(416)
                .header("Content-Range", "bytes */3")
                .header("ETag", "\"1\"")
        })
    };
    origin.on("/x", cut);
    let edge = Edge::before(&origin).start();
    assert!(!edge.get("/x").whole);
    origin.on_each("/x", move |asked, _| {
        useless(asked).unwrap_or_else(Reply::reset)
    });
    edge.get("/x").assert_failed(502, "origin");
    let range = get("/x").header("Range", "bytes=0-4");
    let answer = edge.send(&range);
    assert_eq!((answer.status, answer.text().as_str()), (206, "01234"));
    assert!(answer.cache_status().hit);
    origin.on_each("/x", move |asked, _| {
        useless(asked).unwrap_or_else(|| Reply::fresh(60, "new").header("ETag", "\"2\""))
    });
    edge.get("/x").assert_forwarded("partial", "new");
    edge.get("/x").assert_hit("new");
}

#[test]
fn what_many_304s_add_to_a_head_is_bounded() {
    let origin = Origin::start();
    let value = "v".repeat(1_000);
    origin.on_each("/x", move |asked, count| {
        let reply = match asked.header("if-none-match") {
            Some(_) => Reply::status(304),
            None => Reply::ok("whole"),
        };
        reply
            .header("ETag", "\"1\"")
            .header("Cache-Control", "max-age=10")
            .header(format!("X-Number-{count}"), &value)
    });
    let edge = Edge::before(&origin)
        .server("max_header_bytes = \"8KiB\"")
        .start();
    let mut most = 0;
    for _ in 0..40 {
        let answer = edge.get("/x");
        assert_eq!((answer.status, answer.text().as_str()), (200, "whole"));
        let numbered = answer.headers.iter();
        let numbered = numbered.filter(|(name, _)| name.to_lowercase().starts_with("x-number-"));
        most = most.max(numbered.count());
        edge.advance_secs(10);
    }
    // Fields do add up, but not to more than one response may bring.
    assert!((2..=8).contains(&most), "{most}");
    // When the head would grow beyond the bound, the whole is fetched anew.
    let whole = origin.asked("/x").into_iter();
    let whole = whole.filter(|asked| asked.header("if-none-match").is_none());
    assert!((3..=20).contains(&whole.count()));
}

#[test]
fn a_304_with_many_fields_stays_within_max_headers() {
    let origin = Origin::start();
    origin.on_each("/x", move |asked, count| {
        let reply = match asked.header("if-none-match") {
            Some(_) => Reply::status(304),
            None => Reply::ok("whole"),
        };
        let reply = reply
            .header("ETag", "\"1\"")
            .header("Cache-Control", "max-age=10");
        (0..10).fold(reply, |reply, at| {
            reply.header(format!("X-Number-{count}-{at}"), "v")
        })
    });
    let edge = Edge::before(&origin).server("max_headers = 30").start();
    for _ in 0..10 {
        let answer = edge.get("/x");
        assert_eq!((answer.status, answer.text().as_str()), (200, "whole"));
        assert!(answer.headers.len() <= 35, "{}", answer.headers.len());
        edge.advance_secs(10);
    }
}

#[test]
fn a_304_with_a_narrower_vary_gives_the_response_to_no_one_else() {
    for narrower in [Some("Accept-Language"), Some(""), None] {
        let origin = Origin::start();
        origin.on_each("/x", move |asked, _| {
            let who = asked.header("x-tenant").unwrap_or_default();
            match (asked.header("if-none-match"), narrower) {
                (Some(_), Some(vary)) => Reply::status(304)
                    .header("ETag", "\"1\"")
                    .header("Cache-Control", "max-age=10")
                    .header("Vary", vary),
                (Some(_), None) => Reply::status(304)
                    .header("ETag", "\"1\"")
                    .header("Cache-Control", "max-age=10"),
                (None, _) => Reply::fresh(10, who)
                    .header("ETag", "\"1\"")
                    .header("Vary", "X-Tenant"),
            }
        });
        let edge = Edge::before(&origin).start();
        let of = |tenant: &str| get("/x").header("X-Tenant", tenant);
        edge.send(&of("acme")).assert_forwarded("uri-miss", "acme");
        edge.advance_secs(10);
        let freshened = edge.send(&of("acme"));
        freshened.assert_forwarded("stale", "acme");
        let vary = freshened.header("vary").unwrap_or_default();
        assert!(
            vary.to_lowercase().contains("x-tenant"),
            "{narrower:?}: {vary}"
        );
        edge.send(&of("acme")).assert_hit("acme");
        edge.send(&of("other"))
            .assert_forwarded("vary-miss", "other");
        edge.get("/x").assert_forwarded("vary-miss", "");
    }
}
