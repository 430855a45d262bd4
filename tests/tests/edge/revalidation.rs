//! What the origin's answer to a revalidation makes of the stored response (RFC 9111 §4.3).

use tero_tests::{Edge, Origin, Reply, Request, eventually, get, guests};

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
    let answer = edge.get("/x");
    assert_eq!((answer.status, answer.text().as_str()), (200, "old"));
    answer.assert_detail("origin");
    let asked = origin.requests("/x");
    assert!(asked >= 3);
    // After a rest it is tried again, and fails again.
    edge.advance_secs(5);
    assert_eq!(edge.get("/x").text(), "old");
    origin.wait_for("/x", asked + 2);
    eventually("the end of all fetches", || edge.is_quiet());
    origin.on_each("/x", |asked, _| match asked.header("if-none-match") {
        Some(_) => Reply::status(304).header("ETag", "\"2\""),
        None => Reply::fresh(10, "new").header("ETag", "\"2\""),
    });
    edge.advance_secs(10);
    edge.until("/x", |answer| answer.text() == "new")
        .assert_hit("new");
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
    edge.advance_secs(1);
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

/// Answers that take the stored response back, and whether they are stored themselves.
fn last_words() -> Vec<(Reply, u16, bool)> {
    let stored = |reply: Reply| reply.header("Cache-Control", "max-age=60");
    let moved = |status| Reply::status(status).header("Location", "/y");
    vec![
        (Reply::status(404).body("gone"), 404, false),
        (stored(Reply::status(404).body("gone")), 404, true),
        (Reply::status(410), 410, false),
        (Reply::status(403).body("no"), 403, false),
        (stored(Reply::status(403).body("no")), 403, true),
        (Reply::status(401), 401, false),
        (moved(301), 301, false),
        (moved(302), 302, false),
        (stored(moved(301)), 301, true),
        (
            Reply::ok("now").header("Cache-Control", "no-store"),
            200,
            false,
        ),
        (
            Reply::ok("now").header("Cache-Control", "private"),
            200,
            false,
        ),
        (
            Reply::fresh(60, "now").header("Set-Cookie", "a=b"),
            200,
            false,
        ),
        (Reply::fresh(60, "now").header("Vary", "*"), 200, false),
        (
            Reply::ok("now").header("Cache-Control", "max-age=0"),
            200,
            false,
        ),
    ]
}

/// An edge that has stored `old` under `/x` with this `Cache-Control`.
fn with_stored(cache_control: &str) -> (Origin, Edge) {
    let origin = Origin::start();
    origin.on(
        "/x",
        Reply::ok("old")
            .header("Cache-Control", cache_control)
            .header("ETag", "\"1\""),
    );
    let edge = Edge::before(&origin).start();
    edge.get("/x").assert_forwarded("uri-miss", "old");
    (origin, edge)
}

#[test]
fn the_origins_latest_answer_ends_stale_while_revalidate() {
    for (reply, status, is_stored) in last_words() {
        let (origin, edge) = with_stored("max-age=10, stale-while-revalidate=600");
        origin.on("/x", reply.clone());
        edge.advance_secs(15);
        assert_eq!(edge.get("/x").text(), "old", "{reply:?}");
        let answer = edge.until("/x", |answer| answer.text() != "old");
        assert_eq!(answer.status, status, "{reply:?}");
        assert_eq!(edge.get("/x").cache_status().hit, is_stored, "{reply:?}");
        // By default, stale-if-error lasts an hour: the old response must not return.
        edge.advance_secs(70);
        origin.stop();
        assert_ne!(edge.get("/x").text(), "old", "{reply:?}");
    }
}

#[test]
fn the_origins_latest_answer_ends_stale_if_error() {
    for (reply, status, _) in last_words() {
        let (origin, edge) = with_stored("max-age=10, stale-if-error=6000");
        origin.on("/x", reply.clone());
        edge.advance_secs(15);
        assert_eq!(edge.get("/x").status, status, "{reply:?}");
        edge.advance_secs(70);
        origin.stop();
        assert_ne!(edge.get("/x").text(), "old", "{reply:?}");
    }
}

#[test]
fn a_transient_answer_leaves_the_stored_response() {
    for status in [408, 425, 429, 500, 502, 503, 504] {
        for fields in [None, Some("max-age=600")] {
            let (origin, edge) = with_stored("max-age=10, stale-while-revalidate=60");
            let reply = Reply::status(status).body("busy");
            origin.on(
                "/x",
                match fields {
                    Some(said) => reply.header("Cache-Control", said),
                    None => reply,
                },
            );
            edge.advance_secs(15);
            // An origin that is down, or asks for fewer requests, rests in between.
            for asked in [2, 3] {
                assert_eq!(edge.get("/x").text(), "old", "{status} {fields:?}");
                origin.wait_for("/x", asked);
                eventually("the end of all fetches", || edge.is_quiet());
                edge.advance_secs(10);
            }
            origin.on("/x", Reply::fresh(10, "new"));
            edge.until("/x", |answer| answer.text() == "new")
                .assert_hit("new");
        }
    }
}

#[test]
fn a_transient_error_is_stored_once_the_old_response_is_of_no_use() {
    let origin = Origin::start();
    origin.on("/x", Reply::fresh(10, "old"));
    let edge = Edge::before(&origin)
        .site("stale_if_error = \"0s\"")
        .start();
    edge.get("/x").assert_forwarded("uri-miss", "old");
    let busy = Reply::status(503).header("Cache-Control", "max-age=60");
    origin.on("/x", busy);
    edge.advance_secs(10);
    assert_eq!(edge.get("/x").status, 503);
    assert!(edge.get("/x").cache_status().hit);
}

#[test]
fn a_personal_answer_says_nothing_of_the_answer_to_others() {
    for (field, value) in [("Authorization", "Basic YTpi"), ("Cookie", "session=1")] {
        for (reply, status) in [
            (Reply::status(403), 403),
            (Reply::status(302).header("Location", "/login"), 302),
            (Reply::ok("mine").header("Cache-Control", "no-store"), 200),
        ] {
            let (origin, edge) = with_stored("max-age=10, stale-if-error=600");
            origin.on("/x", reply);
            edge.advance_secs(15);
            let answer = edge.send(&get("/x").header(field, value));
            assert_eq!(answer.status, status);
            origin.stop();
            assert_eq!(edge.get("/x").text(), "old");
        }
        // That a page is gone is true for all.
        for status in [404, 410] {
            let (origin, edge) = with_stored("max-age=10, stale-if-error=600");
            origin.on("/x", Reply::status(status));
            edge.advance_secs(15);
            let answer = edge.send(&get("/x").header(field, value));
            assert_eq!(answer.status, status);
            origin.stop();
            edge.get("/x").assert_failed(502, "origin");
        }
    }
}

#[test]
fn a_revalidation_in_the_background_asks_without_cookies_and_credentials() {
    let (origin, edge) = with_stored("max-age=10, stale-while-revalidate=600");
    origin.on_each("/x", |asked, _| {
        let known = ["cookie", "authorization"]
            .iter()
            .any(|name| asked.header(name).is_some());
        Reply::fresh(10, if known { "mine" } else { "for all" })
    });
    edge.advance_secs(15);
    let visitor = get("/x")
        .header("Cookie", "session=1")
        .header("Authorization", "Basic YTpi")
        .header("Cache-Control", "no-store")
        .header("X-Tenant", "evil")
        .header("Accept-Language", "es")
        .header("Accept", "text/html")
        .header("User-Agent", "Mozilla/5.0");
    assert_eq!(edge.send(&visitor).text(), "old");
    edge.until("/x", |answer| answer.text() != "old")
        .assert_hit("for all");
    let asked = origin.asked("/x").remove(1);
    assert_eq!(asked.header("cookie"), None);
    assert_eq!(asked.header("authorization"), None);
    for name in ["x-tenant", "accept-language", "cache-control"] {
        assert_eq!(asked.header(name), None, "{name}");
    }
    assert_eq!(asked.header("accept").as_deref(), Some("text/html"));
    assert_eq!(asked.header("user-agent").as_deref(), Some("Mozilla/5.0"));
    assert_eq!(asked.header("host").as_deref(), Some("www.example"));
    assert!(asked.header("cdn-loop").is_some() && asked.header("via").is_some());
    assert_eq!(asked.header("if-none-match").as_deref(), Some("\"1\""));
}

#[test]
fn cookies_that_select_the_stored_response_go_along_in_the_background() {
    let origin = Origin::start();
    origin.on_each("/x", |asked, nth| {
        let cookie = asked.header("cookie").unwrap_or_default();
        Reply::ok(format!("{cookie} {nth}"))
            .header("Cache-Control", "max-age=10, stale-while-revalidate=600")
            .header("Vary", "Cookie")
    });
    let edge = Edge::before(&origin).start();
    let visitor = get("/x").header("Cookie", "market=ar; session=1");
    let first = "market=ar; session=1 0";
    edge.send(&visitor).assert_forwarded("uri-miss", first);
    edge.advance_secs(15);
    assert_eq!(edge.send(&visitor).text(), first);
    origin.wait_for("/x", 2);
    eventually("the end of all fetches", || edge.is_quiet());
    edge.send(&visitor).assert_hit("market=ar; session=1 1");
}

#[test]
fn fields_that_select_the_stored_response_go_along_in_the_background() {
    let origin = Origin::start();
    origin.on_each("/x", |asked, nth| {
        let tenant = asked.header("x-tenant").unwrap_or_default();
        let language = asked.header("accept-language").unwrap_or_default();
        Reply::ok(format!("{tenant} {language} {nth}"))
            .header("Cache-Control", "max-age=10, stale-while-revalidate=600")
            .header("Vary", "X-Tenant")
    });
    let edge = Edge::before(&origin).start();
    let visitor = get("/x")
        .header("X-Tenant", "acme")
        .header("Accept-Language", "es");
    edge.send(&visitor)
        .assert_forwarded("uri-miss", "acme es 0");
    edge.advance_secs(15);
    assert_eq!(edge.send(&visitor).text(), "acme es 0");
    origin.wait_for("/x", 2);
    eventually("the end of all fetches", || edge.is_quiet());
    edge.send(&visitor).assert_hit("acme  1");
}

#[test]
fn what_tells_the_device_goes_along_in_the_background_where_a_policy_asks_for_it() {
    let origin = Origin::start();
    let fresh = "max-age=10, stale-while-revalidate=600";
    origin.on("/x", Reply::ok("old").header("Cache-Control", fresh));
    let edge = Edge::before(&origin)
        .policy(
            "devices",
            "builtin:device-variants",
            "settings = { variants = [{ name = \"desktop\", devices = [\"desktop\"] }] }",
        )
        .start();
    let visitor = get("/x")
        .header("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)")
        .header("Sec-CH-UA-Mobile", "?0")
        .header("Sec-Fetch-Site", "none");
    edge.send(&visitor);
    edge.advance_secs(15);
    edge.send(&visitor);
    origin.wait_for("/x", 2);
    let asked = origin.asked("/x").remove(1);
    assert_eq!(asked.header("sec-ch-ua-mobile").as_deref(), Some("?0"));
    assert_eq!(asked.header("sec-fetch-site"), None);
    assert_eq!(asked.header("tero-variant").as_deref(), Some("desktop"));
}

#[test]
fn cookies_that_a_policy_reads_go_along_in_the_background() {
    let origin = Origin::start();
    let fresh = "max-age=10, stale-while-revalidate=600";
    origin.on("/x", Reply::ok("old").header("Cache-Control", fresh));
    for (declared, cookie, authorization) in [
        ("cookies = [\"market\"]", Some("market=ar"), None),
        (
            "headers = [\"cookie\"]",
            Some("session=1; market=ar; b=2"),
            None,
        ),
        ("headers = [\"authorization\"]", None, Some("Basic YTpi")),
    ] {
        let keys = format!("settings = {{ on_response = \"silent\", {declared} }}");
        let edge = Edge::before(&origin)
            .policy(
                "reader",
                &guests::misbehaving_path().display().to_string(),
                &keys,
            )
            .start();
        edge.get("/x");
        let before = origin.requests("/x");
        edge.advance_secs(65);
        let visitor = get("/x")
            .header("Cookie", "session=1; market=ar; b=2")
            .header("Authorization", "Basic YTpi");
        assert_eq!(edge.send(&visitor).text(), "old");
        origin.wait_for("/x", before + 1);
        eventually("the end of all fetches", || edge.is_quiet());
        let asked = origin.asked("/x").remove(before);
        assert_eq!(asked.header("cookie").as_deref(), cookie, "{declared}");
        assert_eq!(
            asked.header("authorization").as_deref(),
            authorization,
            "{declared}"
        );
    }
}

#[test]
fn a_visitor_gets_no_interim_response_of_a_revalidation_in_the_background() {
    let (origin, edge) = with_stored("max-age=10, stale-while-revalidate=600");
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    origin.on("/x", Reply::fresh(10, "new").after(early));
    edge.advance_secs(15);
    let mut client = edge.client();
    let stale = client.send(&get("/x"));
    assert_eq!(stale.text(), "old");
    origin.wait_for("/x", 2);
    eventually("the end of all fetches", || edge.is_quiet());
    client.start(&get("/x"));
    let mut answer = client.interim_or_answer();
    assert_eq!(answer.status, 200, "{answer:?}");
    client.rest(&mut answer);
}

#[test]
fn the_answer_to_a_revalidation_takes_the_place_of_the_stored_response_whatever_it_varies_by() {
    let origin = Origin::start();
    origin.on("/x", Reply::fresh(10, "old").header("Vary", "X-Tenant"));
    let edge = Edge::before(&origin).start();
    let of = |tenant: &str| get("/x").header("X-Tenant", tenant);
    edge.send(&of("acme")).assert_forwarded("uri-miss", "old");
    origin.on("/x", Reply::fresh(10, "new").header("Vary", "X-Other"));
    edge.advance_secs(10);
    edge.send(&of("acme")).assert_forwarded("stale", "new");
    edge.send(&of("acme")).assert_hit("new");
    edge.advance_secs(10);
    origin.stop();
    assert_eq!(edge.send(&of("acme")).text(), "new");
}

#[test]
fn a_304_reaches_only_a_client_whose_condition_it_answers() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::status(304).header("ETag", "\"1\""));
    let edge = Edge::before(&origin).start();
    let tagged = |method: &str, tag: &str| Request::new(method, "/x").header("If-None-Match", tag);
    let refused = "304 to a request without a condition";
    for request in [
        get("/x"),
        Request::new("HEAD", "/x"),
        Request::new("POST", "/x"),
        get("/x").header("Range", "bytes=0-4"),
        get("/x")
            .header("Range", "bytes=0-4")
            .header("If-Range", "\"1\""),
        get("/x").header("If-Match", "\"1\""),
        tagged("GET", "\"2\""),
        tagged("DELETE", "\"1\""),
    ] {
        edge.send(&request).assert_failed(502, refused);
    }
    for request in [
        tagged("GET", "\"1\""),
        tagged("GET", "\"0\", W/\"1\""),
        tagged("HEAD", "\"1\""),
    ] {
        let answer = edge.send(&request);
        assert_eq!(answer.status, 304, "{answer:?}");
    }
    assert!(!edge.get("/x").cache_status().hit);
}

#[test]
fn a_304_that_answers_nothing_is_bridged_like_an_error() {
    let origin = Origin::start();
    origin.on("/x", Reply::fresh(10, "old"));
    let edge = Edge::before(&origin).start();
    edge.get("/x").assert_forwarded("uri-miss", "old");
    edge.advance_secs(10);
    // The stored response has no validator, so the request has no condition.
    origin.on("/x", Reply::status(304));
    let answer = edge.get("/x");
    assert_eq!((answer.status, answer.text().as_str()), (200, "old"));
    answer.assert_detail("304");
}

#[test]
fn a_passed_condition_may_be_answered_by_304() {
    let origin = Origin::start();
    origin.otherwise(|asked| match asked.header("if-none-match") {
        Some(_) => Reply::status(304).header("ETag", "W/\"other\""),
        None => Reply::ok("mine").header("Cache-Control", "private"),
    });
    let rules = "[policy.settings]\nrules = [{ match = [\"*\"], cache = \"never\" }]";
    let edge = Edge::before(&origin)
        .policy("rules", "builtin:json-rules", rules)
        .start();
    edge.get("/x").assert_forwarded("bypass", "mine");
    let conditional = get("/x").header("If-None-Match", "\"1\"");
    assert_eq!(edge.send(&conditional).status, 304);
}
