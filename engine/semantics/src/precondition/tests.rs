use super::Precondition::{Failed, NotModified, Proceed};
use super::*;
use crate::testing::{FieldLines, date, headers};

fn check(request: FieldLines<'_>, stored: FieldLines<'_>, expected: Precondition) {
    let (fields, stored_fields) = (headers(request), headers(stored));
    assert_eq!(
        precondition(&Method::GET, &fields, StatusCode::OK, &stored_fields),
        expected,
        "{request:?} {stored:?}"
    );
    assert_eq!(
        precondition(&Method::HEAD, &fields, StatusCode::OK, &stored_fields),
        expected
    );
    // Only a success can be narrowed (RFC 9110 §13.2.1).
    for status in [301, 404, 500] {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(
            precondition(&Method::GET, &fields, status, &stored_fields),
            Proceed
        );
    }
}

#[test]
fn if_none_match_compares_weakly_with_each_tag() {
    let strong = &[("etag", "\"abc\"")][..];
    let weak = &[("etag", "W/\"abc\"")][..];
    for (value, expected) in [
        ("\"abc\"", NotModified),
        ("W/\"abc\"", NotModified),
        ("\"abc\", \"1\", \"2\"", NotModified),
        ("\"1\",\"abc\" ,\"2\"", NotModified),
        ("\"1\", W/\"2\", W/\"abc\"", NotModified),
        ("*", NotModified),
        (" * ", NotModified),
        ("\"1\"", Proceed),
        ("\"ABC\"", Proceed),
        ("\"1, \\\"abc\\\"\"", Proceed),
        ("abc", Proceed),
        ("", Proceed),
        ("\"abc", Proceed),
    ] {
        check(&[("if-none-match", value)], strong, expected);
        check(&[("if-none-match", value)], weak, expected);
    }
    check(
        &[("if-none-match", "\"1\""), ("if-none-match", "\"abc\"")],
        strong,
        NotModified,
    );
    check(&[("if-none-match", "\"abc\"")], &[], Proceed);
    check(&[("if-none-match", "*")], &[], NotModified);
    // A backslash and a comma are characters like any other.
    check(
        &[("if-none-match", "\"a\\\", \"b\"")],
        &[("etag", "\"a\\\"")],
        NotModified,
    );
    check(
        &[("if-none-match", "\"a\\\", \"b\"")],
        &[("etag", "\"b\"")],
        NotModified,
    );
    check(
        &[("if-none-match", "\"a,b\"")],
        &[("etag", "\"a,b\"")],
        NotModified,
    );
    check(&[("if-none-match", "\"a,b\"")], &[("etag", "b\"")], Proceed);
    check(
        &[("if-none-match", "\"caf\u{e9}\"")],
        &[("etag", "\"caf\u{e9}\"")],
        NotModified,
    );
    // Both sides wrong in the same way agree.
    check(&[("if-none-match", "abc")], &[("etag", "abc")], NotModified);
    check(
        &[("if-none-match", "w/\"abc\"")],
        &[("etag", "w/\"abc\"")],
        NotModified,
    );
}

#[test]
fn if_none_match_overrides_if_modified_since() {
    let (then, later) = (date(-5_000), date(-1));
    let stored = &[("etag", "\"a\""), ("last-modified", &*then)][..];
    check(
        &[
            ("if-none-match", "\"a\""),
            ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ],
        stored,
        NotModified,
    );
    check(
        &[("if-none-match", "\"b\""), ("if-modified-since", &later)],
        stored,
        Proceed,
    );
    check(
        &[("if-none-match", ""), ("if-modified-since", &later)],
        stored,
        Proceed,
    );
}

#[test]
fn if_modified_since_includes_its_own_second() {
    const MODIFIED: i64 = -3_000;
    let stored = date(MODIFIED);
    for (secs, expected) in [
        (-1, Proceed),
        (0, NotModified),
        (1, NotModified),
        (2_000, NotModified),
    ] {
        check(
            &[("if-modified-since", &date(MODIFIED + secs))],
            &[("last-modified", &stored), ("date", &date(0))],
            expected,
        );
        // Without `Last-Modified`, `Date` takes its place (RFC 9111 §4.3.2).
        check(
            &[("if-modified-since", &date(MODIFIED + secs))],
            &[("date", &stored)],
            expected,
        );
    }
    check(
        &[("if-modified-since", "Tuesday, 10-Mar-26 11:10:00 GMT")],
        &[("last-modified", &stored)],
        NotModified,
    );
    check(
        &[("if-modified-since", "yesterday")],
        &[("last-modified", &stored)],
        Proceed,
    );
    check(
        &[
            ("if-modified-since", &stored),
            ("if-modified-since", &stored),
        ],
        &[("last-modified", &stored)],
        Proceed,
    );
    check(&[("if-modified-since", &stored)], &[], Proceed);
}

#[test]
fn if_match_compares_strongly_and_is_evaluated_first() {
    let stored = &[("etag", "\"a\"")][..];
    check(&[("if-match", "\"a\"")], stored, Proceed);
    check(&[("if-match", "\"b\", \"a\"")], stored, Proceed);
    check(&[("if-match", "*")], &[], Proceed);
    check(&[("if-match", "\"b\"")], stored, Failed);
    check(&[("if-match", "W/\"a\"")], stored, Failed);
    check(&[("if-match", "W/\"a\"")], &[("etag", "W/\"a\"")], Failed);
    check(&[("if-match", "\"a\"")], &[], Failed);
    check(
        &[("if-match", "\"b\""), ("if-none-match", "\"a\"")],
        stored,
        Failed,
    );
    check(
        &[("if-match", "\"a\""), ("if-none-match", "\"a\"")],
        stored,
        NotModified,
    );
}

#[test]
fn if_unmodified_since_counts_only_without_if_match() {
    let (before, then, after) = (date(-101), date(-100), date(-99));
    let stored = &[("last-modified", &*then), ("etag", "\"a\"")][..];
    check(&[("if-unmodified-since", &before)], stored, Failed);
    check(&[("if-unmodified-since", &then)], stored, Proceed);
    check(&[("if-unmodified-since", &after)], stored, Proceed);
    check(&[("if-unmodified-since", "x")], stored, Proceed);
    check(&[("if-unmodified-since", &before)], &[], Proceed);
    check(
        &[("if-match", "\"a\""), ("if-unmodified-since", &before)],
        stored,
        Proceed,
    );
}

#[test]
fn other_methods_get_412_where_a_get_gets_304() {
    let now = date(0);
    let stored = headers(&[("etag", "\"a\""), ("date", &now)]);
    let rows: &[(FieldLines<'_>, Precondition)] = &[
        (&[("if-none-match", "\"a\"")], Failed),
        (&[("if-modified-since", &now)], Proceed),
        (&[], Proceed),
    ];
    for (request, expected) in rows {
        let request = headers(request);
        assert_eq!(
            precondition(&Method::PUT, &request, StatusCode::OK, &stored),
            *expected,
            "{request:?}"
        );
    }
}

#[test]
fn a_304_has_no_fields_that_describe_a_body() {
    let stored = headers(&[
        ("content-type", "text/html"),
        ("content-encoding", "br"),
        ("content-language", "es"),
        ("content-length", "5"),
        ("content-location", "/a"),
        ("cache-control", "max-age=5"),
        ("date", "x"),
        ("expires", "0"),
        ("vary", "accept"),
        ("last-modified", "x"),
        ("set", "a"),
    ]);
    let mut expected = [
        "content-location",
        "cache-control",
        "date",
        "expires",
        "vary",
        "last-modified",
        "set",
    ];
    expected.sort_unstable();
    let given = not_modified_headers(&stored);
    let mut names: Vec<&str> = given.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, expected);
    let mut with_etag = stored.clone();
    with_etag.insert(ETAG, http::HeaderValue::from_static("\"a\""));
    let given = not_modified_headers(&with_etag);
    assert!(given.contains_key(ETAG) && !given.contains_key(LAST_MODIFIED));
}
