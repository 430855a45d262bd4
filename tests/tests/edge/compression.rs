//! Codings that the edge makes of stored responses: what a client gets for its `Accept-Encoding`,
//! and that coded content follows its response through every state.

use std::io::Read;

use serde_json::json;
use tero_admin_api::ExplainResponse;
use tero_tests::{Answer, Edge, EdgeBuilder, Gate, Origin, Reply, Request, eventually, get};

use crate::warming::{planning, warm};

/// What browsers send.
const BROWSER: &str = "gzip, deflate, br, zstd";
const COMPRESS: &str = "compress = { min = \"100B\" }";

/// A page that compresses well, and is another one for each number.
fn page(number: usize) -> String {
    let line = |place: usize| format!("<li>entry {} of {number}</li>\n", place * 7_919 % 1_000);
    (0..150).map(line).collect()
}

/// A page that is fresh for a minute.
fn html(body: impl AsRef<[u8]>) -> Reply {
    Reply::fresh(60, body)
        .header("Content-Type", "text/html; charset=utf-8")
        .header("ETag", "\"v1\"")
        .header("Accept-Ranges", "bytes")
}

/// An origin with one page at every path.
fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|_| html(page(0)));
    origin
}

fn compressing(origin: &Origin) -> EdgeBuilder {
    Edge::before(origin).site(COMPRESS)
}

fn accepting(codings: &str) -> Request {
    get("/x").header("Accept-Encoding", codings)
}

/// The content of an answer, decoded.
#[track_caller]
fn decoded(answer: &Answer) -> String {
    assert!(answer.whole, "{answer:?}");
    let body = &answer.body[..];
    let mut plain = Vec::new();
    match answer.header("content-encoding").as_deref() {
        None => plain = body.to_vec(),
        Some("zstd") => plain = zstd::decode_all(body).unwrap(),
        Some("br") => drop(
            brotli::Decompressor::new(body, 4096)
                .read_to_end(&mut plain)
                .unwrap(),
        ),
        Some("gzip") => drop(
            flate2::read::GzDecoder::new(body)
                .read_to_end(&mut plain)
                .unwrap(),
        ),
        Some(other) => panic!("{other}"),
    }
    String::from_utf8(plain).unwrap()
}

/// Checks that an answer is a hit with this content in this coding, and says all that belongs to
/// it.
#[track_caller]
fn check_coded(answer: &Answer, coding: &str, content: &str) {
    assert!(answer.cache_status().hit, "{answer:?}");
    assert_eq!(answer.header("content-encoding").as_deref(), Some(coding));
    assert_eq!(decoded(answer), content);
    assert!(answer.body.len() < content.len() / 2);
    let length = answer.body.len().to_string();
    assert_eq!(answer.header("content-length"), Some(length));
    assert_eq!(answer.header("etag").as_deref(), Some("W/\"v1\""));
    assert_eq!(answer.header("vary").as_deref(), Some("Accept-Encoding"));
    assert_eq!(answer.header("accept-ranges"), None);
    answer.assert_detail(&format!("coded with {coding}"));
}

/// Checks that an answer has this content as it came from the origin.
#[track_caller]
fn check_plain(answer: &Answer, content: &str) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-encoding"), None);
    assert_eq!((answer.text().as_str(), answer.whole), (content, true));
}

/// Sends a request again and again until its answer has this coding.
#[track_caller]
fn until_coded(edge: &Edge, request: &Request, coding: &str) -> Answer {
    let mut last = edge.send(request);
    eventually(&format!("an answer in {coding}"), || {
        last = edge.send(request);
        last.header("content-encoding").as_deref() == Some(coding)
    });
    last
}

/// Contents that the edge has coded so far.
fn made(edge: &Edge, coding: &str) -> f64 {
    edge.metric(
        "tero_coded_contents_total",
        &[&format!("coding=\"{coding}\"")],
    )
}

#[test]
fn a_stored_response_is_coded_once_and_served_as_each_client_wants() {
    let origin = origin();
    let edge = compressing(&origin).start();
    let first = edge.send(&accepting(BROWSER));
    check_plain(&first, &page(0));
    assert_eq!(first.header("etag").as_deref(), Some("\"v1\""));
    assert_eq!(first.header("vary").as_deref(), Some("Accept-Encoding"));
    // zstd was made when the response was stored; br is made after the second hit.
    check_coded(&edge.send(&accepting(BROWSER)), "zstd", &page(0));
    check_coded(
        &until_coded(&edge, &accepting(BROWSER), "br"),
        "br",
        &page(0),
    );
    check_coded(&edge.send(&accepting("zstd")), "zstd", &page(0));
    check_coded(
        &until_coded(&edge, &accepting("gzip"), "gzip"),
        "gzip",
        &page(0),
    );
    let plain = edge.get("/x");
    check_plain(&plain, &page(0));
    assert_eq!(plain.header("vary").as_deref(), Some("Accept-Encoding"));
    assert_eq!(plain.header("etag").as_deref(), Some("\"v1\""));
    for _ in 0..50 {
        for codings in [BROWSER, "zstd", "gzip"] {
            edge.send(&accepting(codings));
        }
    }
    for coding in ["zstd", "br", "gzip"] {
        assert_eq!(made(&edge, coding), 1.0, "{coding}");
    }
    assert_eq!(origin.requests("/x"), 1);
    let saved = edge.metric("tero_coding_saved_bytes_total", &["site=\"site\""]);
    let at_least = (page(0).len() / 2 * 150) as f64;
    assert!(saved > at_least, "{saved} is less than {at_least}");
    assert!(edge.metric("tero_coding_seconds_total", &["coding=\"br\""]) > 0.0);
}

#[test]
fn without_compress_a_response_is_served_as_it_came() {
    let origin = origin();
    let edge = Edge::before(&origin).start();
    for _ in 0..5 {
        let answer = edge.send(&accepting(BROWSER));
        check_plain(&answer, &page(0));
        assert_eq!(answer.header("vary"), None);
        assert_eq!(answer.header("etag").as_deref(), Some("\"v1\""));
    }
    assert_eq!(made(&edge, "zstd"), 0.0);
}

#[test]
fn weights_choose_among_the_codings() {
    let origin = origin();
    let edge = compressing(&origin).start();
    edge.send(&accepting(BROWSER));
    for coding in ["br", "gzip", "zstd"] {
        until_coded(&edge, &accepting(coding), coding);
    }
    for (accepted, coding) in [
        ("gzip, br, zstd", Some("br")),
        ("gzip;q=0.8, br;q=0.7, zstd;q=0.6", Some("gzip")),
        ("br;q=0, gzip;q=0.1, zstd;q=0.2", Some("zstd")),
        ("br;q=0.000, *;q=0.5", Some("zstd")),
        ("*", Some("br")),
        ("x-gzip", Some("gzip")),
        ("GZIP;q=1.0", Some("gzip")),
        ("deflate, dcb", None),
        ("gzip;q=0.5, identity", None),
        ("identity;q=0", None),
        ("*;q=0", None),
        ("", None),
        ("gzip;q=0, br;q=0.0", None),
        ("gzip;q=99", Some("gzip")),
        (";;;,,,=,\"", None),
    ] {
        let answer = edge.send(&accepting(accepted));
        let got = answer.header("content-encoding");
        assert_eq!(got.as_deref(), coding, "{accepted}");
        assert_eq!(decoded(&answer), page(0));
    }
    // Split into lines.
    let lines = get("/x")
        .header("Accept-Encoding", "br;q=0.2")
        .header("Accept-Encoding", "gzip;q=0.3");
    check_coded(&edge.send(&lines), "gzip", &page(0));
    assert_eq!(origin.requests("/x"), 1);
}

#[test]
fn spellings_of_accept_encoding_neither_split_the_cache_nor_make_work() {
    let origin = Origin::start();
    origin.otherwise(|_| html(page(0)).header("Vary", "Origin"));
    let edge = compressing(&origin).start();
    edge.send(&accepting(BROWSER));
    for number in 0..300 {
        let list = "x-none;q=0.1, ".repeat(number);
        let codings = format!("{list}gzip;q=0.{number}, br;q=1.{number}, x-{number};q=nan, zstd");
        let answer = edge.send(&accepting(&codings));
        assert_eq!((answer.status, decoded(&answer)), (200, page(0)));
        assert!(answer.cache_status().hit);
    }
    assert_eq!(origin.requests("/x"), 1);
    let all: f64 = ["zstd", "br", "gzip"]
        .map(|coding| made(&edge, coding))
        .iter()
        .sum();
    assert!(all <= 3.0, "{all}");
}

#[test]
fn head_says_what_a_get_of_the_coded_content_would() {
    let origin = origin();
    let edge = compressing(&origin).start();
    edge.send(&accepting(BROWSER));
    let got = edge.send(&accepting("zstd"));
    check_coded(&got, "zstd", &page(0));
    let head = edge.send(&Request::new("HEAD", "/x").header("Accept-Encoding", "zstd"));
    assert_eq!((head.status, head.body.len()), (200, 0));
    for name in [
        "content-encoding",
        "content-length",
        "etag",
        "vary",
        "accept-ranges",
    ] {
        assert_eq!(head.header(name), got.header(name), "{name}");
    }
}

#[test]
fn conditions_match_across_codings() {
    let origin = origin();
    let edge = compressing(&origin).start();
    edge.send(&accepting(BROWSER));
    for tag in ["W/\"v1\"", "\"v1\"", "\"v0\", W/\"v1\"", "*"] {
        for (codings, expected) in [("zstd", "W/\"v1\""), ("identity", "\"v1\"")] {
            let answer = edge.send(&accepting(codings).header("If-None-Match", tag));
            assert_eq!((answer.status, answer.body.len()), (304, 0), "{answer:?}");
            assert_eq!(answer.header("etag").as_deref(), Some(expected));
            assert_eq!(answer.header("vary").as_deref(), Some("Accept-Encoding"));
            assert_eq!(answer.header("content-encoding"), None);
        }
    }
    let other = edge.send(&accepting("zstd").header("If-None-Match", "W/\"v2\""));
    check_coded(&other, "zstd", &page(0));
    // A strong condition is about the origin's bytes, which are served for it.
    let same = edge.send(&accepting("zstd").header("If-Match", "\"v1\""));
    check_plain(&same, &page(0));
    let weak = edge.send(&accepting("zstd").header("If-Match", "W/\"v1\""));
    assert_eq!(weak.status, 412);
    assert_eq!(origin.requests("/x"), 1);
}

#[test]
fn ranges_are_of_the_content_as_it_came() {
    let origin = origin();
    let edge = compressing(&origin).start();
    edge.send(&accepting(BROWSER));
    check_coded(&edge.send(&accepting("zstd")), "zstd", &page(0));
    let part = edge.send(&accepting("zstd").header("Range", "bytes=10-19"));
    assert_eq!((part.status, part.text().as_str()), (206, &page(0)[10..20]));
    assert_eq!(part.header("content-encoding"), None);
    assert_eq!(part.header("etag").as_deref(), Some("\"v1\""));
    assert_eq!(part.header("vary").as_deref(), Some("Accept-Encoding"));
    let resumed = accepting("zstd").header("Range", "bytes=10-19");
    let strong = edge.send(&resumed.clone().header("If-Range", "\"v1\""));
    assert_eq!(strong.status, 206);
    // What the client has of the coded content is never continued.
    let weak = edge.send(&resumed.header("If-Range", "W/\"v1\""));
    check_plain(&weak, &page(0));
    assert_eq!(origin.requests("/x"), 1);
}

#[test]
fn only_what_may_be_coded_is_coded() {
    let origin = Origin::start();
    let plain = |body: &str| Reply::fresh(60, body);
    let long = page(0);
    origin.on("/image", plain(&long).header("Content-Type", "image/png"));
    origin.on("/unknown", plain(&long));
    origin.on(
        "/events",
        plain(&long).header("Content-Type", "text/event-stream"),
    );
    origin.on("/own", html(&long).header("Content-Encoding", "gzip"));
    origin.on(
        "/untouched",
        html(&long).header("Cache-Control", "max-age=60, no-transform"),
    );
    origin.on(
        "/digest",
        html(&long).header("Content-Digest", "sha-256=:AA==:"),
    );
    origin.on("/short", html("x".repeat(99)));
    origin.on("/long", html("x".repeat(5_001)));
    origin.on("/chunked-long", html("x".repeat(5_001)).chunked());
    origin.on("/noise", html(noise(5_000)));
    let site = "compress = { min = \"100B\", max = \"5000B\" }";
    let edge = Edge::before(&origin).site(site).start();
    let reasons = [
        ("/image", "media_type", 1.0),
        ("/unknown", "media_type", 2.0),
        ("/events", "media_type", 3.0),
        ("/own", "has_coding", 1.0),
        ("/untouched", "no_transform", 1.0),
        ("/digest", "digest", 1.0),
        ("/short", "too_short", 1.0),
        ("/long", "too_long", 1.0),
        ("/chunked-long", "too_long", 2.0),
        ("/noise", "not_smaller", 1.0),
    ];
    for (path, reason, count) in reasons {
        let ask = || edge.send(&get(path).header("Accept-Encoding", "gzip"));
        let first = ask();
        for _ in 0..3 {
            let answer = ask();
            assert!(answer.cache_status().hit, "{path}");
            for name in ["content-encoding", "etag", "content-digest"] {
                assert_eq!(answer.header(name), first.header(name), "{path} {name}");
            }
            assert_eq!(answer.body, first.body, "{path}");
        }
        let counted = edge.metric(
            "tero_coding_skipped_total",
            &[&format!("reason=\"{reason}\"")],
        );
        assert_eq!(counted, count, "{path}");
        let varies = first.header("vary").is_some();
        assert_eq!(varies, matches!(path, "/noise" | "/chunked-long"), "{path}");
    }
    assert_eq!(made(&edge, "gzip"), 0.0);
    // Both bounds are coded.
    for (path, length) in [("/least", 100), ("/most", 5_000)] {
        origin.on(path, html("x".repeat(length)));
        let ask = || edge.send(&get(path).header("Accept-Encoding", "gzip"));
        ask();
        assert_eq!(
            ask().header("content-encoding").as_deref(),
            Some("gzip"),
            "{path}"
        );
    }
}

/// Bytes that don't compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    (0..length)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        })
        .collect()
}

#[test]
fn a_client_that_forbids_transformations_gets_the_origins_bytes() {
    let origin = origin();
    let edge = compressing(&origin).start();
    edge.send(&accepting(BROWSER));
    let asked = accepting("zstd").header("Cache-Control", "no-transform");
    check_plain(&edge.send(&asked), &page(0));
    check_coded(&edge.send(&accepting("zstd")), "zstd", &page(0));
}

#[test]
fn passes_and_unstored_responses_are_untouched() {
    let origin = Origin::start();
    origin.on("/private", html(page(0)).header("Cache-Control", "private"));
    origin.on("/post", html(page(0)));
    let edge = compressing(&origin).start();
    let requests = [
        get("/private").header("Accept-Encoding", BROWSER),
        Request::new("POST", "/post").header("Accept-Encoding", "br, x-new;q=0.5"),
    ];
    for request in requests {
        for _ in 0..2 {
            let answer = edge.send(&request);
            check_plain(&answer, &page(0));
            assert_eq!(answer.header("vary"), None);
            assert_eq!(answer.header("etag").as_deref(), Some("\"v1\""));
        }
    }
    let asked = origin.asked("/post");
    assert_eq!(
        asked[0].header("accept-encoding").as_deref(),
        Some("br, x-new;q=0.5")
    );
}

#[test]
fn revalidation_keeps_coded_content_that_still_holds() {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        if asked.header("if-none-match").is_some() {
            Reply::status(304)
                .header("Cache-Control", "max-age=60")
                .header("ETag", "\"v1\"")
        } else {
            html(page(0))
        }
    });
    let edge = compressing(&origin).start();
    edge.send(&accepting(BROWSER));
    until_coded(&edge, &accepting("br"), "br");
    for _ in 0..3 {
        edge.advance_secs(61);
        // The client that revalidates gets it coded, too.
        let answer = edge.send(&accepting("br"));
        assert_eq!(answer.cache_status().fwd.as_deref(), Some("stale"));
        assert_eq!(answer.header("content-encoding").as_deref(), Some("br"));
        assert_eq!(decoded(&answer), page(0));
        check_coded(&edge.send(&accepting("br")), "br", &page(0));
        check_coded(&edge.send(&accepting("zstd")), "zstd", &page(0));
    }
    assert_eq!((made(&edge, "br"), made(&edge, "zstd")), (1.0, 1.0));
    let asked = origin.asked("/x");
    assert_eq!(asked.len(), 4);
    // The origin is asked with its own validator.
    assert_eq!(asked[3].header("if-none-match").as_deref(), Some("\"v1\""));
}

#[test]
fn a_304_that_forbids_transformations_takes_coded_content_away() {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        if asked.header("if-none-match").is_some() {
            Reply::status(304).header("Cache-Control", "max-age=60, no-transform")
        } else {
            html(page(0))
        }
    });
    let edge = compressing(&origin).start();
    edge.send(&accepting(BROWSER));
    check_coded(&edge.send(&accepting("zstd")), "zstd", &page(0));
    edge.advance_secs(61);
    for _ in 0..3 {
        let answer = edge.send(&accepting("zstd"));
        check_plain(&answer, &page(0));
        assert_eq!(answer.header("etag").as_deref(), Some("\"v1\""));
    }
}

#[test]
fn new_content_takes_the_place_of_the_old_in_every_coding() {
    let origin = Origin::start();
    origin.on_each("/x", |_, nth| html(page(nth)));
    let edge = compressing(&origin).start();
    edge.send(&accepting(BROWSER));
    for coding in ["br", "gzip", "zstd"] {
        until_coded(&edge, &accepting(coding), coding);
    }
    edge.advance_secs(61);
    check_plain(&edge.send(&accepting("br")), &page(1));
    for _ in 0..5 {
        for codings in [BROWSER, "br", "gzip", "zstd", "identity"] {
            assert_eq!(decoded(&edge.send(&accepting(codings))), page(1));
        }
    }
}

#[test]
fn purges_mean_every_coding() {
    let origin = Origin::start();
    origin.on_each("/x", |_, nth| {
        html(page(nth)).header("Cache-Groups", "\"all\"")
    });
    let edge = compressing(&origin).start();
    let purges = [
        r#"{"url": "http://www.example/x"}"#,
        r#"{"tag": "all"}"#,
        r#"{"site": "site"}"#,
    ];
    for (number, purge) in purges.into_iter().enumerate() {
        edge.send(&accepting(BROWSER));
        until_coded(&edge, &accepting("br"), "br");
        let answer = edge.admin_post("/purge", purge);
        assert_eq!(answer.json()["purged"], 1, "{}", answer.text());
        for codings in ["br", "zstd", "identity"] {
            let answer = edge.send(&accepting(codings));
            assert_eq!(decoded(&answer), page(number + 1), "{codings}");
        }
    }
}

#[test]
fn a_soft_purged_response_is_served_coded_while_the_origin_fails() {
    let origin = Origin::start();
    origin.on_in_turn("/x", [html(page(0)), Reply::status(503)]);
    let edge = compressing(&origin).start();
    edge.send(&accepting(BROWSER));
    until_coded(&edge, &accepting("br"), "br");
    let purge = r#"{"url": "http://www.example/x", "soft": true}"#;
    assert_eq!(edge.admin_post("/purge", purge).status, 200);
    let stale = edge.send(&accepting("br"));
    assert_eq!(stale.cache_status().fwd_status, Some(503), "{stale:?}");
    assert_eq!(stale.header("content-encoding").as_deref(), Some("br"));
    assert_eq!(decoded(&stale), page(0));
}

#[test]
fn followers_of_a_fetch_get_the_content_as_it_comes() {
    let origin = Origin::start();
    let gate = Gate::new();
    origin.on("/x", html(page(0)).in_halves(&gate));
    let edge = compressing(&origin).start();
    let mut clients: Vec<_> = (0..5).map(|_| edge.client()).collect();
    clients[0].start(&accepting(BROWSER));
    origin.wait_for("/x", 1);
    clients[1..]
        .iter_mut()
        .for_each(|client| client.start(&accepting(BROWSER)));
    gate.open();
    for client in &mut clients {
        let mut answer = client.head();
        client.rest(&mut answer);
        // One that came late is a hit.
        assert_eq!(decoded(&answer), page(0));
        assert_eq!(answer.header("vary").as_deref(), Some("Accept-Encoding"));
    }
    check_coded(&edge.send(&accepting("zstd")), "zstd", &page(0));
    assert_eq!(origin.requests("/x"), 1);
}

#[test]
fn vary_and_codings_select_together() {
    let origin = Origin::start();
    let number = |language: &str| if language == "es" { 1 } else { 2 };
    origin.otherwise(move |asked| {
        let language = asked.header("accept-language").unwrap_or_default();
        html(page(number(&language))).header("Vary", "Accept-Language")
    });
    let edge = compressing(&origin).start();
    for language in ["es", "en", "es", "en"] {
        for codings in [BROWSER, "zstd", "identity"] {
            let request = accepting(codings).header("Accept-Language", language);
            let answer = edge.send(&request);
            assert_eq!(decoded(&answer), page(number(language)));
            let vary: Vec<_> = answer
                .headers
                .iter()
                .filter(|(name, _)| name == "vary")
                .map(|(_, value)| value.as_str())
                .collect();
            assert_eq!(vary, ["Accept-Language", "Accept-Encoding"]);
        }
    }
    assert_eq!(origin.requests("/x"), 2);
}

#[test]
fn each_variant_of_a_policy_has_its_own_coded_content() {
    const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";
    let origin = Origin::start();
    origin.otherwise(|asked| html(page(asked.header("tero-variant").map_or(0, |_| 1))));
    let settings = "[policy.settings]\nversion = 3\nvariants.mobile = { devices = [\"mobile\"], paths = [\"*\"] }\n\
                    rules = [{ name = \"all\", match = [\"*\"], ttl = 60 }]";
    let edge = compressing(&origin)
        .policy("rules", "builtin:json-rules", settings)
        .start();
    for _ in 0..3 {
        for codings in [BROWSER, "zstd", "identity"] {
            assert_eq!(decoded(&edge.send(&accepting(codings))), page(0));
            let phone = accepting(codings).header("User-Agent", PHONE);
            assert_eq!(decoded(&edge.send(&phone)), page(1));
        }
    }
    assert_eq!(origin.requests("/x"), 2);
}

#[test]
fn long_content_is_coded_in_the_background() {
    let origin = Origin::start();
    let long: String = (0..200).map(page).collect();
    assert!(long.len() > 300_000);
    origin.on("/x", html(&long).chunked());
    let edge = compressing(&origin).start();
    check_plain(&edge.send(&accepting("gzip")), &long);
    check_coded(
        &until_coded(&edge, &accepting("gzip"), "gzip"),
        "gzip",
        &long,
    );
    assert_eq!(edge.metric("tero_coding_waiting", &[]), 0.0);
    assert_eq!(made(&edge, "gzip"), 1.0);
}

/// Words in no order, of which more effort makes less.
fn prose() -> String {
    let words = [
        "booking",
        "room",
        "price",
        "night",
        "guest",
        "arrival",
        "breakfast",
    ];
    let places = noise(8_000).into_iter().map(usize::from);
    let words: Vec<&str> = places.map(|place| words[place % words.len()]).collect();
    words.join(" ")
}

#[test]
fn a_warming_plan_has_the_best_coding_made() {
    let origin = Origin::start();
    origin.otherwise(|_| html(prose()).header("Cache-Control", "max-age=3600"));
    let edge = planning(&origin, "urls = [\"/x\"]").site(COMPRESS).start();
    warm(&edge);
    eventually("br is made", || made(&edge, "br") == 1.0);
    // No visitor has asked yet.
    let warmed = edge.send(&accepting("br"));
    check_coded(&warmed, "br", &prose());
    // A visitor's is less dense.
    edge.send(&get("/other").header("Accept-Encoding", "br"));
    let usual = until_coded(&edge, &get("/other").header("Accept-Encoding", "br"), "br");
    assert!(warmed.body.len() < usual.body.len());
}

#[test]
fn an_origin_that_is_asked_for_identity_serves_all_clients_with_one_response() {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let reply = html(page(0)).header("Vary", "Accept-Encoding, Origin");
        match asked.header("accept-encoding").as_deref() {
            Some("identity") => reply,
            _ => reply.header("Content-Encoding", "gzip"),
        }
    });
    origin.on_each("/private", |asked, _| {
        let accepted = asked.header("accept-encoding").unwrap_or_default();
        html(accepted).header("Cache-Control", "private")
    });
    let site = "compress = { min = \"100B\", ask_origin = \"identity\" }";
    let edge = Edge::before(&origin).site(site).start();
    for codings in [BROWSER, "gzip", "gzip, br", "identity", "x-new"] {
        assert_eq!(decoded(&edge.send(&accepting(codings))), page(0));
    }
    assert_eq!(decoded(&edge.get("/x")), page(0));
    assert_eq!(origin.requests("/x"), 1);
    let answer = edge.send(&accepting("zstd"));
    assert_eq!(
        answer.header("vary").as_deref(),
        Some("Accept-Encoding, Origin")
    );
    check_plain(&edge.send(&accepting("identity")), &page(0));
    // What is known not to be stored can't be coded here, so the origin may.
    let private = || edge.send(&get("/private").header("Accept-Encoding", "gzip, br"));
    assert_eq!(private().text(), "identity");
    assert_eq!(private().text(), "br, gzip");
}

#[test]
fn an_origins_own_coding_is_kept() {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let accepted = asked.header("accept-encoding").unwrap_or_default();
        if accepted.contains("gzip") {
            html("coded by the origin").header("Content-Encoding", "gzip")
        } else {
            html(page(0))
        }
    });
    let edge = compressing(&origin).start();
    for _ in 0..3 {
        let answer = edge.send(&accepting("gzip"));
        assert_eq!(answer.text(), "coded by the origin");
        assert_eq!(answer.header("etag").as_deref(), Some("\"v1\""));
    }
    // Others get content that is coded for them.
    edge.send(&accepting("br"));
    check_own(&until_coded(&edge, &accepting("br"), "br"));
}

#[track_caller]
fn check_own(answer: &Answer) {
    assert_eq!(decoded(answer), page(0));
}

#[test]
fn turning_it_off_serves_the_origins_bytes_at_once() {
    let origin = origin();
    let edge = compressing(&origin).start();
    edge.send(&accepting(BROWSER));
    check_coded(&edge.send(&accepting("zstd")), "zstd", &page(0));
    assert_eq!(edge.reload(&Edge::before(&origin)), Ok(vec![]));
    let answer = edge.send(&accepting("zstd"));
    check_plain(&answer, &page(0));
    assert_eq!(answer.header("vary"), None);
    assert_eq!(answer.header("etag").as_deref(), Some("\"v1\""));
    // And on again.
    assert_eq!(edge.reload(&compressing(&origin)), Ok(vec![]));
    check_coded(&edge.send(&accepting("zstd")), "zstd", &page(0));
    assert_eq!(origin.requests("/x"), 1);
}

#[test]
fn an_access_log_sees_the_coded_answer() {
    let origin = origin();
    let folder = tero_tests::folder();
    let path = folder.path().join("access.log");
    let log = format!(
        "[access_log]\npath = {}\nformat = \"json\"\nfields = [\"bytes\", \"content_encoding\", \"cache_status\"]",
        tero_tests::toml_string(&path.display().to_string())
    );
    let edge = compressing(&origin).section(&log).start();
    edge.send(&accepting(BROWSER));
    let answer = edge.send(&accepting("zstd"));
    check_coded(&answer, "zstd", &page(0));
    let sent = answer.body.len();
    eventually("the line is written", || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let mut coded = lines.filter(|line: &serde_json::Value| line["content_encoding"] == "zstd");
        coded.any(|line| {
            let status = line["cache_status"].as_str().unwrap();
            line["bytes"] == sent && status.contains("coded with zstd")
        })
    });
}

#[test]
fn explain_tells_the_coding_and_why_there_is_none() {
    let origin = origin();
    origin.on(
        "/image",
        Reply::fresh(60, page(0)).header("Content-Type", "image/png"),
    );
    let edge = compressing(&origin).start();
    edge.send(&accepting(BROWSER));
    edge.send(&get("/image"));
    let check = |path: &str, headers: serde_json::Value, words: &str| {
        let question = json!({ "url": format!("http://www.example{path}"), "headers": headers });
        let explained: ExplainResponse = edge.admin_post("/explain", &question.to_string()).read();
        let rule = explained.rules.iter().find(|rule| rule.rule == "compress");
        let text = &rule.unwrap_or_else(|| panic!("{explained:?}")).text;
        assert!(text.contains(words), "{words:?} is not in {text:?}");
    };
    let accepts = |codings: &str| json!({ "accept-encoding": codings });
    check("/x", accepts("zstd"), "coded with zstd: ");
    check("/x", accepts("zstd, br"), "br is not made");
    check("/x", accepts("gzip"), "not coded: gzip is not made");
    check("/x", accepts("deflate"), "accepts none");
    check("/x", json!({}), "accepts none");
    check(
        "/x",
        json!({ "accept-encoding": "zstd", "range": "bytes=0-1" }),
        "Range",
    );
    check(
        "/x",
        json!({ "accept-encoding": "zstd", "cache-control": "no-transform" }),
        "no-transform",
    );
    check("/image", accepts("gzip"), "media type");
    // Asking has made nothing.
    assert_eq!((made(&edge, "gzip"), made(&edge, "br")), (0.0, 0.0));
}

#[test]
fn coded_content_counts_against_the_memory() {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let number = asked.target.trim_start_matches("/p").parse().unwrap_or(0);
        html([page(number), page(number + 1)].concat())
    });
    let edge = compressing(&origin)
        .cache("memory = \"1MiB\"\ncompress_share = \"100%\"")
        .start();
    for round in 0..2 {
        for number in 0..200 {
            let target = format!("/p{number}");
            for codings in [BROWSER, "gzip", "br"] {
                let answer = edge.send(&get(&target).header("Accept-Encoding", codings));
                assert_eq!(answer.status, 200, "{round}");
            }
        }
        let bytes = edge.metric("tero_cache_bytes", &[]);
        assert!(bytes <= f64::from(1 << 20), "{bytes}");
    }
    eventually("the queue is empty", || {
        edge.metric("tero_coding_waiting", &[]) == 0.0
    });
    assert!(edge.metric("tero_cache_evictions_total", &[]) > 0.0);
    assert!(edge.metric("tero_cache_bytes", &[]) <= f64::from(1 << 20));
}

#[test]
fn a_full_queue_leaves_codings_out_until_they_are_wanted_again() {
    let origin = Origin::start();
    let long: String = (0..200).map(page).collect();
    origin.otherwise(move |_| html(&long));
    // The thread rests for long after its first slice.
    let edge = compressing(&origin)
        .cache("compress_queue = 1\ncompress_share = \"0.01%\"")
        .start();
    for number in 0..10 {
        let request = get(format!("/{number}")).header("Accept-Encoding", "gzip");
        edge.send(&request);
        assert_eq!(edge.send(&request).header("content-encoding"), None);
    }
    let skipped = edge.metric("tero_coding_skipped_total", &["reason=\"queue_full\""]);
    assert!(skipped >= 8.0, "{skipped}");
    assert_eq!(edge.metric("tero_coding_waiting", &[]), 1.0);
}

#[test]
fn a_route_is_compressed_as_it_says() {
    let origin = origin();
    let routes = "[[site.route]]\nmatch = [\"/secret/*\"]\ncompress = false\n\
                  [[site.route]]\nmatch = [\"/api/*\"]\ncompress = { codings = [\"gzip\"], min = \"100B\", ask_origin = \"identity\" }";
    let edge = compressing(&origin).site(routes).start();
    let ask = |path: &str| get(path).header("Accept-Encoding", BROWSER);
    check_plain(&edge.send(&ask("/secret/1")), &page(0));
    let again = edge.send(&ask("/secret/1"));
    check_plain(&again, &page(0));
    assert_eq!(again.header("vary"), None);
    assert_eq!(made(&edge, "zstd") + made(&edge, "gzip"), 0.0);
    edge.send(&ask("/api/1"));
    check_coded(
        &until_coded(&edge, &ask("/api/1"), "gzip"),
        "gzip",
        &page(0),
    );
    let asked = origin.only("/api/1").header("accept-encoding");
    assert_eq!(asked.as_deref(), Some("identity"));
    assert_ne!(origin.only("/secret/1").header("accept-encoding"), asked);
    edge.send(&ask("/x"));
    check_coded(&until_coded(&edge, &ask("/x"), "zstd"), "zstd", &page(0));
}

#[test]
fn a_route_is_compressed_on_a_site_that_is_not() {
    let origin = origin();
    let route = "[[site.route]]\nmatch = [\"/api/*\"]\ncompress = { min = \"100B\" }";
    let edge = Edge::before(&origin).site(route).start();
    let ask = |path: &str| get(path).header("Accept-Encoding", BROWSER);
    edge.send(&ask("/api/1"));
    check_coded(
        &until_coded(&edge, &ask("/api/1"), "zstd"),
        "zstd",
        &page(0),
    );
    edge.send(&ask("/x"));
    check_plain(&edge.send(&ask("/x")), &page(0));
}
