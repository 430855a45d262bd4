//! Ranges and incomplete responses (RFC 9110 §14, RFC 9111 §3.3, §3.4).

use std::sync::{Arc, Mutex};

use tero_admin_api::PurgeResponse;
use tero_tests::{Answer, Edge, Gate, Origin, Reply, Request, get};

/// The content of `/x`: each byte differs from those near it.
fn content(length: usize) -> String {
    (0..length)
        .map(|at| {
            char::from(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-"[at % 64])
        })
        .collect()
}

/// An origin that answers ranges of a content of `length` bytes, with the fields in `fields` at the
/// time of the request.
fn serving_ranges(
    length: usize,
    fields: &[(&str, &str)],
) -> (Origin, Arc<Mutex<Vec<(String, String)>>>) {
    let origin = Origin::start();
    let fields = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let fields = Arc::new(Mutex::new(fields.collect::<Vec<_>>()));
    let now = Arc::clone(&fields);
    let whole = content(length);
    origin.on_each("/x", move |asked, _| {
        let fields = now.lock().unwrap().clone();
        let range = asked.header("range").and_then(|range| {
            let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
            let last = last.parse().map_or(length, |last: usize| last + 1);
            Some(first.parse::<usize>().ok()?..last.min(length))
        });
        let reply = match range {
            Some(range) => {
                let told = format!("bytes {}-{}/{length}", range.start, range.end - 1);
                Reply::status(206)
                    .body(&whole[range])
                    .header("Content-Range", told)
            }
            None => Reply::ok(&whole),
        };
        fields.into_iter().fold(
            reply.header("Cache-Control", "max-age=60"),
            |reply, (name, value)| reply.header(name, value),
        )
    });
    (origin, fields)
}

/// An edge that stores no response larger than a kibibyte.
fn small(origin: &Origin) -> Edge {
    Edge::before(origin).cache("max_object = \"1KiB\"").start()
}

fn range(first: usize, last: usize) -> Request {
    get("/x").header("Range", format!("bytes={first}-{last}"))
}

#[track_caller]
fn assert_part(answer: &Answer, first: usize, last: usize, length: usize) {
    let body = content(length)[first..=last].to_owned();
    assert_eq!(
        (answer.status, answer.text(), answer.whole),
        (206, body, true),
        "{answer:?}"
    );
    assert_eq!(
        answer.header("content-range"),
        Some(format!("bytes {first}-{last}/{length}")),
        "{answer:?}"
    );
}

#[track_caller]
fn assert_part_hit(edge: &Edge, first: usize, last: usize, length: usize) {
    let answer = edge.send(&range(first, last));
    assert_part(&answer, first, last, length);
    assert!(answer.cache_status().hit, "{answer:?}");
}

#[track_caller]
fn assert_part_fetched(edge: &Edge, first: usize, last: usize, length: usize) {
    let answer = edge.send(&range(first, last));
    assert_part(&answer, first, last, length);
    let told = answer.cache_status();
    assert!(
        told.fwd.is_some() && told.stored && told.fwd_status == Some(206),
        "{answer:?}"
    );
}

#[test]
fn a_range_on_a_miss_is_answered_once_its_bytes_arrive() {
    let origin = Origin::start();
    let gate = Gate::new();
    origin.on("/x", Reply::fresh(60, content(100)).in_halves(&gate));
    let edge = Edge::before(&origin).start();
    let mut client = edge.client();
    client.start(&range(10, 19));
    let mut answer = client.head();
    client.rest(&mut answer);
    assert_part(&answer, 10, 19, 100);
    assert_eq!(
        origin.only("/x").header("range"),
        None,
        "the whole is fetched"
    );
    gate.open();
    edge.until("/x", |answer| answer.cache_status().hit)
        .assert_hit(&content(100));
}

#[test]
fn a_range_is_served_from_a_complete_response() {
    let origin = Origin::start();
    origin.on("/x", Reply::fresh(60, "0123456789"));
    let edge = Edge::before(&origin).start();
    for outcome in ["fetched", "stored"] {
        let answer = edge.send(&get("/x").header("Range", "bytes=2-4"));
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (206, "234"),
            "{outcome}"
        );
        assert_eq!(
            answer.header("content-range").as_deref(),
            Some("bytes 2-4/10"),
            "{outcome}"
        );
    }
    let beyond = edge.send(&get("/x").header("Range", "bytes=10-"));
    assert_eq!(
        (beyond.status, beyond.header("content-range").as_deref()),
        (416, Some("bytes */10"))
    );
    assert_eq!(origin.only("/x").header("range"), None);
}

#[test]
fn several_ranges_are_served_as_multipart() {
    let (origin, _) = serving_ranges(500, &[("Content-Type", "text/plain")]);
    let edge = Edge::before(&origin).start();
    edge.get("/x").assert_forwarded("uri-miss", &content(500));
    let answer = edge.send(&get("/x").header("Range", "bytes=400-401, 0-1"));
    assert_eq!((answer.status, answer.header("content-range")), (206, None));
    let kind = answer.header("content-type").unwrap();
    let boundary = kind
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap();
    let part = |first: usize| {
        let bytes = &content(500)[first..first + 2];
        format!(
            "\r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes {first}-{}/500\r\n\r\n{bytes}",
            first + 1
        )
    };
    assert_eq!(
        answer.text(),
        format!("{}{}\r\n--{boundary}--\r\n", part(400), part(0))
    );
}

#[test]
fn parts_of_a_response_too_large_to_store_are_combined() {
    let (origin, _) = serving_ranges(5_000, &[("ETag", "\"1\"")]);
    let edge = small(&origin);
    assert_part_fetched(&edge, 0, 99, 5_000);
    assert_part_hit(&edge, 10, 19, 5_000);
    let asked = origin.requests("/x");
    assert_part_fetched(&edge, 100, 199, 5_000);
    assert_eq!(
        origin.requests("/x"),
        asked + 1,
        "the whole is not tried again"
    );
    assert_part_hit(&edge, 50, 149, 5_000);
    assert_part_fetched(&edge, 4_900, 4_999, 5_000);
    let suffix = edge.send(&get("/x").header("Range", "bytes=-10"));
    assert_part(&suffix, 4_990, 4_999, 5_000);
    assert!(suffix.cache_status().hit);
    let both = edge.send(&get("/x").header("Range", "bytes=0-9, 4990-4999"));
    assert!(both.status == 206 && both.cache_status().hit, "{both:?}");
    edge.advance_secs(30);
    assert_eq!(edge.send(&range(0, 9)).age(), Some(30));
    let beyond = edge.send(&range(5_000, 5_001));
    assert_eq!(
        (beyond.status, beyond.header("content-range").as_deref()),
        (416, Some("bytes */5000"))
    );
    let same = edge.send(&range(0, 9).header("If-None-Match", "\"1\""));
    assert_eq!((same.status, same.cache_status().hit), (304, true));
    // The whole is not stored, and comes from the origin.
    let whole = edge.get("/x");
    assert_eq!((whole.status, whole.text()), (200, content(5_000)));
    assert_eq!(whole.cache_status().fwd.as_deref(), Some("partial"));
    edge.advance_secs(30);
    assert_part_fetched(&edge, 0, 9, 5_000);
}

#[test]
fn parts_are_combined_only_under_one_strong_validator() {
    for (first, second) in [
        (Some("\"1\""), Some("\"2\"")),
        (Some("W/\"1\""), Some("W/\"1\"")),
        (Some("\"1\""), None),
        (None, None),
    ] {
        let tag = |tag: Option<&str>| {
            tag.map(|tag| ("ETag".to_owned(), tag.to_owned()))
                .into_iter()
                .collect::<Vec<_>>()
        };
        let (origin, fields) = serving_ranges(5_000, &[]);
        *fields.lock().unwrap() = tag(first);
        let edge = small(&origin);
        assert_part_fetched(&edge, 0, 99, 5_000);
        *fields.lock().unwrap() = tag(second);
        assert_part_fetched(&edge, 100, 199, 5_000);
        assert_part_hit(&edge, 100, 199, 5_000);
        assert_part_fetched(&edge, 50, 149, 5_000);
    }
}

#[test]
fn parts_of_different_variants_are_kept_apart() {
    let (origin, _) = serving_ranges(5_000, &[("ETag", "\"1\""), ("Vary", "X-Kind")]);
    let edge = small(&origin);
    let of = |kind: &str, first, last| edge.send(&range(first, last).header("X-Kind", kind));
    assert_part(&of("a", 0, 99), 0, 99, 5_000);
    assert!(!of("b", 0, 9).cache_status().hit);
    assert!(of("a", 0, 99).cache_status().hit);
}

#[test]
fn an_incomplete_response_is_completed_with_its_rest() {
    let origin = Origin::start();
    let cut = Reply::fresh(60, "01234")
        .announcing(10)
        .header("ETag", "\"1\"")
        .header("X-Which", "first")
        .then_close();
    let rest = Reply::status(206)
        .body("56789")
        .header("Content-Range", "bytes 5-9/10")
        .header("ETag", "\"1\"")
        .header("Cache-Control", "max-age=60")
        .header("X-Which", "second");
    origin.on_in_turn("/x", [cut, rest]);
    let edge = Edge::before(&origin).start();
    assert!(!edge.get("/x").whole);
    let answer = edge.get("/x");
    answer.assert_forwarded("partial", "0123456789");
    assert_eq!(
        (
            answer.cache_status().fwd_status,
            answer.header("content-range")
        ),
        (Some(200), None)
    );
    let asked = origin.asked("/x").pop().unwrap();
    assert_eq!(
        (
            asked.header("range").as_deref(),
            asked.header("if-range").as_deref()
        ),
        (Some("bytes=5-"), Some("\"1\""))
    );
    let hit = edge.get("/x");
    hit.assert_hit("0123456789");
    assert_eq!(
        (
            hit.header("x-which").as_deref(),
            hit.header("content-length").as_deref()
        ),
        (Some("second"), Some("10"))
    );
    assert_eq!(origin.requests("/x"), 2);
}

#[test]
fn a_response_that_is_not_the_rest_is_not_combined() {
    let partial = |told: &str, tag: &str, body: &str| {
        Reply::status(206)
            .body(body)
            .header("Content-Range", told)
            .header("ETag", tag)
            .header("Cache-Control", "max-age=60")
    };
    let new = || Reply::fresh(60, "new").header("ETag", "\"2\"");
    for (answer, asked) in [
        (new(), 2),
        (partial("bytes 5-9/10", "\"2\"", "56789"), 3),
        (partial("bytes 5-9/10", "W/\"1\"", "56789"), 3),
        (partial("bytes 4-9/10", "\"1\"", "456789"), 3),
        (partial("bytes 5-9/11", "\"1\"", "56789"), 3),
        (partial("bytes 5-9/*", "\"1\"", "56789"), 3),
        (Reply::status(206).body("56789").header("ETag", "\"1\""), 3),
        (Reply::status(416).header("Content-Range", "bytes */3"), 3),
    ] {
        let origin = Origin::start();
        let cut = Reply::fresh(60, "01234")
            .announcing(10)
            .header("ETag", "\"1\"")
            .then_close();
        origin.on_in_turn("/x", [cut, answer, new()]);
        let edge = Edge::before(&origin).start();
        assert!(!edge.get("/x").whole);
        edge.get("/x").assert_forwarded("partial", "new");
        edge.get("/x").assert_hit("new");
        assert_eq!(origin.requests("/x"), asked);
        assert_eq!(
            edge.send(&get("/x").header("Range", "bytes=0-2")).text(),
            "new"
        );
    }
}

#[test]
fn an_error_instead_of_the_rest_keeps_the_part() {
    let origin = Origin::start();
    let cut = Reply::fresh(60, "01234")
        .announcing(10)
        .header("ETag", "\"1\"")
        .then_close();
    origin.on_in_turn("/x", [cut, Reply::status(503).body("busy"), Reply::reset()]);
    let edge = Edge::before(&origin).start();
    assert!(!edge.get("/x").whole);
    assert_eq!(edge.get("/x").status, 503);
    // What is stored of it answers, while the failure is remembered for the rest.
    assert_eq!(edge.send(&range(1, 3)).text(), "123");
    assert_eq!(edge.get("/x").status, 503);
    assert_eq!(origin.requests("/x"), 2);
    edge.advance_secs(1);
    edge.get("/x").assert_failed(502, "origin");
}

#[test]
fn an_incomplete_response_without_a_strong_validator_is_fetched_whole() {
    for tag in ["", "W/\"1\""] {
        let origin = Origin::start();
        let cut = Reply::fresh(60, "01234")
            .announcing(10)
            .header("ETag", tag)
            .then_close();
        origin.on_in_turn("/x", [cut, Reply::fresh(60, "0123456789")]);
        let edge = Edge::before(&origin).start();
        assert!(!edge.get("/x").whole);
        edge.get("/x").assert_forwarded("uri-miss", "0123456789");
        assert_eq!(origin.asked("/x").pop().unwrap().header("range"), None);
    }
}

#[test]
fn an_unrequested_part_serves_only_ranges_within_it() {
    let origin = Origin::start();
    let part = Reply::status(206)
        .body("01234")
        .header("Content-Range", "bytes 4-9/10")
        .header("Cache-Control", "max-age=60");
    origin.on_in_turn("/x", [part, Reply::fresh(60, "whole")]);
    let edge = Edge::before(&origin).start();
    assert_eq!(
        edge.send(&get("/x").header("Range", "bytes=-5")).text(),
        "01234"
    );
    // `Content-Range` says that the part ends with byte 9; the body ends with byte 8.
    let within = edge.send(&range(6, 8));
    assert_eq!(
        (
            within.status,
            within.text().as_str(),
            within.cache_status().hit
        ),
        (206, "234", true)
    );
    edge.get("/x").assert_forwarded("partial", "whole");
    edge.get("/x").assert_hit("whole");
    assert_eq!(origin.asked("/x").pop().unwrap().header("range"), None);
}

#[test]
fn a_part_with_an_unusable_content_range_is_not_stored() {
    for told in [
        "bytes 0-4/*",
        "bytes 4-0/10",
        "bytes 0-10/10",
        "lines 0-4/10",
        "bytes 1-3/10",
    ] {
        let origin = Origin::start();
        let part = Reply::status(206)
            .body("01234")
            .header("Content-Range", told)
            .header("Cache-Control", "max-age=60");
        origin.on("/x", part);
        let edge = Edge::before(&origin).start();
        for _ in 0..2 {
            assert!(!edge.send(&range(1, 2)).cache_status().hit, "{told}");
        }
    }
}

#[test]
fn the_safety_floor_holds_for_parts() {
    for (name, value) in [
        ("Set-Cookie", "a=b"),
        ("Cache-Control", "private"),
        ("Cache-Control", "no-store"),
    ] {
        let (origin, _) = serving_ranges(5_000, &[("ETag", "\"1\""), (name, value)]);
        let edge = small(&origin);
        for _ in 0..3 {
            let answer = edge.send(&range(0, 99));
            assert!(
                !answer.cache_status().hit && !answer.cache_status().stored,
                "{answer:?}"
            );
        }
    }
}

#[test]
fn parts_are_purged_and_invalidated_with_their_url() {
    let (origin, _) = serving_ranges(5_000, &[("ETag", "\"1\""), ("Cache-Groups", "\"g\"")]);
    let edge = small(&origin);
    for target in [
        r#"{"url": "http://www.example/x"}"#,
        r#"{"tag": "g"}"#,
        r#"{"prefix": "http://www.example/"}"#,
        r#"{"site": "site"}"#,
    ] {
        assert_part_fetched(&edge, 0, 99, 5_000);
        assert_part_hit(&edge, 0, 99, 5_000);
        assert_eq!(
            edge.admin_post("/purge", target)
                .read::<PurgeResponse>()
                .purged,
            1,
            "{target}"
        );
    }
    assert_part_fetched(&edge, 0, 99, 5_000);
    assert_eq!(
        edge.admin_post("/purge", r#"{"tag": "g", "soft": true}"#)
            .read::<PurgeResponse>()
            .purged,
        1
    );
    assert_part_fetched(&edge, 0, 99, 5_000);
    edge.send(&Request::new("DELETE", "/x"));
    assert_part_fetched(&edge, 0, 99, 5_000);
}

#[test]
fn a_miss_with_if_range_is_forwarded_and_not_stored() {
    let (origin, _) = serving_ranges(5_000, &[("ETag", "\"1\"")]);
    let edge = small(&origin);
    let answer = edge.send(&range(0, 99).header("If-Range", "\"1\""));
    assert_part(&answer, 0, 99, 5_000);
    assert!(!answer.cache_status().stored);
    assert_eq!(
        origin
            .asked("/x")
            .pop()
            .unwrap()
            .header("if-range")
            .as_deref(),
        Some("\"1\"")
    );
    assert_part_fetched(&edge, 0, 99, 5_000);
    let held = edge.send(&range(0, 99).header("If-Range", "\"1\""));
    assert!(held.status == 206 && held.cache_status().hit, "{held:?}");
    let other = edge.send(&range(0, 99).header("If-Range", "\"2\""));
    assert!(!other.cache_status().hit, "{other:?}");
}
