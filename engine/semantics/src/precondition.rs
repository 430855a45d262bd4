//! The client's own conditions, judged by a stored response (RFC 9110 §13, RFC 9111 §4.3.2).

use http::header::{
    CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG,
    HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_UNMODIFIED_SINCE, LAST_MODIFIED,
};
use http::{Method, StatusCode};

use super::http_date::http_date;
use super::timestamp::Timestamp;
use super::validation::{strong_match_bytes, weak_match_bytes};

/// What a request's conditions say of a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Serve it.
    Proceed,
    /// Answer 304.
    NotModified,
    /// Answer 412.
    Failed,
}

/// Judges the conditions of a request, in the order of RFC 9110 §13.2.2.
///
/// `If-Match` and `If-Unmodified-Since` are meant for origins (RFC 9111 §4.3.2). For those who ask
/// tero is the origin, and a fresh response is what it has, so they are judged here too.
pub fn precondition(
    method: &Method,
    request: &HeaderMap,
    status: StatusCode,
    stored: &HeaderMap,
) -> Precondition {
    // §13.2.1: conditions count only where the answer without them would be a success.
    let asked = ConditionFields::of(request);
    if asked == ConditionFields::default() || !status.is_success() {
        return Precondition::Proceed;
    }
    if asked.matching {
        if !matches(request, &IF_MATCH, stored, strong_match_bytes) {
            return Precondition::Failed;
        }
    } else if asked.unmodified
        && is_modified_since(request, &IF_UNMODIFIED_SINCE, stored) == Some(true)
    {
        return Precondition::Failed;
    }
    let is_read = *method == Method::GET || *method == Method::HEAD;
    // `If-None-Match` is judged alone where it is there, whatever `If-Modified-Since` says
    // (§13.1.3).
    if asked.none_matching {
        return match matches(request, &IF_NONE_MATCH, stored, weak_match_bytes) {
            false => Precondition::Proceed,
            true if is_read => Precondition::NotModified,
            true => Precondition::Failed,
        };
    }
    let unmodified =
        asked.modified && is_modified_since(request, &IF_MODIFIED_SINCE, stored) == Some(false);
    if is_read && unmodified {
        Precondition::NotModified
    } else {
        Precondition::Proceed
    }
}

/// Which conditions a request has: found in one pass, which costs less than looking for one field
/// by its name.
#[derive(Debug, Default, PartialEq, Eq)]
struct ConditionFields {
    matching: bool,
    none_matching: bool,
    modified: bool,
    unmodified: bool,
}

impl ConditionFields {
    fn of(request: &HeaderMap) -> ConditionFields {
        let mut asked = ConditionFields::default();
        for name in request.keys() {
            match *name {
                IF_MATCH => asked.matching = true,
                IF_NONE_MATCH => asked.none_matching = true,
                IF_MODIFIED_SINCE => asked.modified = true,
                IF_UNMODIFIED_SINCE => asked.unmodified = true,
                _ => {}
            }
        }
        asked
    }
}

/// The lines of a condition.
fn lines<'a>(
    request: &'a HeaderMap,
    condition: &'a HeaderName,
) -> impl Iterator<Item = &'a HeaderValue> {
    request
        .iter()
        .filter_map(move |(name, value)| (name == condition).then_some(value))
}

/// Whether what is stored has changed after the date of a condition; none where one of the two is
/// not known.
fn is_modified_since(
    request: &HeaderMap,
    condition: &HeaderName,
    stored: &HeaderMap,
) -> Option<bool> {
    let since = single_date(request, condition)?;
    Some(last_modified(stored)? > since)
}

/// Whether one of the entity tags of a condition matches; `*` matches whatever is stored.
fn matches(
    request: &HeaderMap,
    condition: &HeaderName,
    stored: &HeaderMap,
    same: fn(&[u8], &[u8]) -> bool,
) -> bool {
    let lines = || lines(request, condition).map(HeaderValue::as_bytes);
    if lines().any(|line| line.trim_ascii() == b"*") {
        return true;
    }
    let Some(etag) = stored.get(ETAG) else {
        return false;
    };
    lines().any(|line| entity_tags(line).any(|tag| same(tag, etag.as_bytes())))
}

/// The entity tags of a list (RFC 9110 §8.8.3). A backslash is a character like any other in them.
/// What isn't quoted is taken as it stands, so that it can match the `ETag` of an origin that
/// forgets the quotes as well.
fn entity_tags(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let start = rest
            .iter()
            .position(|byte| !matches!(byte, b',' | b' ' | b'\t'))?;
        let tag = &rest[start..];
        let comma = tag
            .iter()
            .position(|byte| *byte == b',')
            .unwrap_or(tag.len());
        let quote = tag
            .iter()
            .position(|byte| *byte == b'"')
            .filter(|quote| *quote < comma);
        let closed = quote.and_then(|open| {
            Some(open + 2 + tag[open + 1..].iter().position(|byte| *byte == b'"')?)
        });
        let end = closed.unwrap_or(comma);
        rest = &tag[end..];
        Some(tag[..end].trim_ascii_end())
    })
}

/// A condition that isn't a date, or comes twice, says nothing (§13.1.3, §13.1.4).
fn single_date(request: &HeaderMap, condition: &HeaderName) -> Option<Timestamp> {
    let mut lines = lines(request, condition);
    let date = http_date(lines.next()?)?;
    lines.next().is_none().then_some(date)
}

/// `Last-Modified`, or `Date` where that is missing (RFC 9111 §4.3.2).
///
/// Some caches, and a test suite, say 304 to whatever date comes where `Last-Modified` is missing.
/// A date before the stored `Date` says that the client has something older (RFC 9110 §13.1.3), so
/// it gets the response.
fn last_modified(stored: &HeaderMap) -> Option<Timestamp> {
    stored
        .get(LAST_MODIFIED)
        .and_then(http_date)
        .or_else(|| stored.get(DATE).and_then(http_date))
}

/// The fields of a 304 made from a stored response (RFC 9110 §15.4.5): all but those that describe
/// a body that isn't there, and `Last-Modified` only where there is no entity tag.
pub fn not_modified_headers(stored: &HeaderMap) -> HeaderMap {
    let mut headers = stored.clone();
    for name in [
        CONTENT_LENGTH,
        CONTENT_TYPE,
        CONTENT_ENCODING,
        CONTENT_LANGUAGE,
        CONTENT_RANGE,
    ] {
        headers.remove(name);
    }
    if headers.contains_key(ETAG) {
        headers.remove(LAST_MODIFIED);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::super::testing::{FieldLines, date, headers};
    use super::Precondition::{Failed, NotModified, Proceed};
    use super::*;

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
    fn if_none_match_is_judged_alone() {
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
    fn if_modified_since_includes_its_second() {
        let at = |secs: i64| date(-3_000 + secs);
        let stored = at(0);
        for (secs, expected) in [
            (-1, Proceed),
            (0, NotModified),
            (1, NotModified),
            (2_000, NotModified),
        ] {
            check(
                &[("if-modified-since", &at(secs))],
                &[("last-modified", &stored), ("date", &date(0))],
                expected,
            );
            // Without `Last-Modified`, `Date` takes its place (RFC 9111 §4.3.2).
            check(
                &[("if-modified-since", &at(secs))],
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
            &[("if-modified-since", &at(0)), ("if-modified-since", &at(0))],
            &[("last-modified", &stored)],
            Proceed,
        );
        check(&[("if-modified-since", &at(0))], &[], Proceed);
    }

    #[test]
    fn if_match_compares_strongly_and_goes_first() {
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
    fn if_unmodified_since_counts_without_if_match() {
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
    fn methods_that_are_not_read_fail_where_a_read_is_not_modified() {
        let judge = |request: FieldLines<'_>| {
            precondition(
                &Method::PUT,
                &headers(request),
                StatusCode::OK,
                &headers(&[("etag", "\"a\""), ("date", &date(0))]),
            )
        };
        assert_eq!(judge(&[("if-none-match", "\"a\"")]), Failed);
        assert_eq!(judge(&[("if-modified-since", &date(0))]), Proceed);
        assert_eq!(judge(&[]), Proceed);
    }

    #[test]
    fn a_304_has_no_fields_about_a_body() {
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
        let names = |headers: &HeaderMap| {
            headers
                .keys()
                .map(|name| name.as_str().to_owned())
                .collect::<Vec<_>>()
        };
        let kept = [
            "content-location",
            "cache-control",
            "date",
            "expires",
            "vary",
            "last-modified",
            "set",
        ];
        let mut given = names(&not_modified_headers(&stored));
        given.sort_unstable();
        let mut expected = kept.to_vec();
        expected.sort_unstable();
        assert_eq!(given, expected);
        let mut with_etag = stored.clone();
        with_etag.insert(ETAG, http::HeaderValue::from_static("\"a\""));
        let given = not_modified_headers(&with_etag);
        assert!(given.contains_key(ETAG) && !given.contains_key(LAST_MODIFIED));
    }
}
