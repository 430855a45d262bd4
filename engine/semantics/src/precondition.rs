//! The client's own conditions, evaluated against a stored response (RFC 9110 §13, RFC 9111
//! §4.3.2).

use http::header::{
    CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG,
    HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_UNMODIFIED_SINCE, LAST_MODIFIED,
};
use http::{Method, StatusCode};

use super::http_date::http_date;
use super::timestamp::Timestamp;
use super::validation::{strong_match_bytes, weak_match_bytes};

/// What the conditions of a request make of a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Serve it.
    Proceed,
    /// Answer 304.
    NotModified,
    /// Answer 412.
    Failed,
}

/// Evaluates the conditions of a request against a stored response of this `status`, in the order
/// of RFC 9110 §13.2.2.
///
/// `If-Match` and `If-Unmodified-Since` are meant for origins (RFC 9111 §4.3.2). A gateway is the
/// origin to its clients, and a fresh response is what it has, so they are evaluated here too.
///
/// ```
/// use http::header::{ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
/// use http::{Method, StatusCode};
/// use tero_semantics::precondition::{Precondition, precondition};
///
/// let stored = HeaderMap::from_iter([(ETAG, HeaderValue::from_static("\"v1\""))]);
/// let evaluate = |tags| {
///     let request = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static(tags))]);
///     precondition(&Method::GET, &request, StatusCode::OK, &stored)
/// };
/// assert_eq!(evaluate("\"v0\", \"v1\""), Precondition::NotModified);
/// assert_eq!(evaluate("\"v2\""), Precondition::Proceed);
/// ```
pub fn precondition(
    method: &Method,
    request: &HeaderMap,
    status: StatusCode,
    stored: &HeaderMap,
) -> Precondition {
    // §13.2.1: conditions count only if the response without them would be a success.
    let fields = ConditionFields::of(request);
    if fields == ConditionFields::default() || !status.is_success() {
        return Precondition::Proceed;
    }
    if is_changed(&fields, request, stored) {
        return Precondition::Failed;
    }
    let is_read = *method == Method::GET || *method == Method::HEAD;
    match not_modified_by(&fields, request, stored) {
        Some(IF_NONE_MATCH) if !is_read => Precondition::Failed,
        Some(_) if is_read => Precondition::NotModified,
        Some(_) | None => Precondition::Proceed,
    }
}

/// Whether `If-Match` says that the stored response is another one than the client has seen; in its
/// absence, whether `If-Unmodified-Since` does.
fn is_changed(fields: &ConditionFields, request: &HeaderMap, stored: &HeaderMap) -> bool {
    if fields.if_match {
        return !matches(request, &IF_MATCH, stored, strong_match_bytes);
    }
    fields.if_unmodified_since
        && is_modified_since(request, &IF_UNMODIFIED_SINCE, stored) == Some(true)
}

/// The condition that says that the client has the stored response. If there is an `If-None-Match`,
/// `If-Modified-Since` is ignored (§13.1.3).
fn not_modified_by(
    fields: &ConditionFields,
    request: &HeaderMap,
    stored: &HeaderMap,
) -> Option<HeaderName> {
    if fields.if_none_match {
        let matched = matches(request, &IF_NONE_MATCH, stored, weak_match_bytes);
        return matched.then_some(IF_NONE_MATCH);
    }
    let unmodified = fields.if_modified_since
        && is_modified_since(request, &IF_MODIFIED_SINCE, stored) == Some(false);
    unmodified.then_some(IF_MODIFIED_SINCE)
}

/// Which conditions a request has. One pass finds them all, which costs less than looking up one
/// field by its name.
#[derive(Debug, Default, PartialEq, Eq)]
struct ConditionFields {
    if_match: bool,
    if_none_match: bool,
    if_modified_since: bool,
    if_unmodified_since: bool,
}

impl ConditionFields {
    fn of(request: &HeaderMap) -> ConditionFields {
        let mut fields = ConditionFields::default();
        for name in request.keys() {
            match *name {
                IF_MATCH => fields.if_match = true,
                IF_NONE_MATCH => fields.if_none_match = true,
                IF_MODIFIED_SINCE => fields.if_modified_since = true,
                IF_UNMODIFIED_SINCE => fields.if_unmodified_since = true,
                _ => {}
            }
        }
        fields
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

/// Whether the stored response has changed after the date of a condition; `None` if one of the two
/// is unknown.
fn is_modified_since(
    request: &HeaderMap,
    condition: &HeaderName,
    stored: &HeaderMap,
) -> Option<bool> {
    let since = single_date(request, condition)?;
    Some(last_modified(stored)? > since)
}

/// Whether one of the entity tags of a condition matches; `*` matches any stored response.
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

/// The entity tags of a list (RFC 9110 §8.8.3). A backslash is an ordinary character in them.
/// Whatever isn't quoted is taken as it is, so that it can match the `ETag` of an origin that
/// forgets the quotes too.
fn entity_tags(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let start = rest
            .iter()
            .position(|byte| !matches!(byte, b',' | b' ' | b'\t'))?;
        let tag = &rest[start..];
        let end = tag_end(tag);
        rest = &tag[end..];
        Some(tag[..end].trim_ascii_end())
    })
}

/// Where the entity tag ends that `list` begins with: after its closing quote, or at the comma.
fn tag_end(list: &[u8]) -> usize {
    let position = |wanted| list.iter().position(|byte| *byte == wanted);
    let comma = position(b',').unwrap_or(list.len());
    let Some(open) = position(b'"').filter(|quote| *quote < comma) else {
        return comma;
    };
    let inner = list[open + 1..].iter().position(|byte| *byte == b'"');
    inner.map_or(comma, |length| open + 2 + length)
}

/// The date of a condition. One that isn't a date, or is repeated, is ignored (§13.1.3, §13.1.4).
fn single_date(request: &HeaderMap, condition: &HeaderName) -> Option<Timestamp> {
    let mut lines = lines(request, condition);
    let date = http_date(lines.next()?)?;
    lines.next().is_none().then_some(date)
}

/// `Last-Modified`, or `Date` if that is missing (RFC 9111 §4.3.2).
///
/// Some caches, and a test suite, answer 304 to every date if `Last-Modified` is missing. But a
/// date before the stored `Date` says that the client has an older response (RFC 9110 §13.1.3), so
/// it gets the stored one.
fn last_modified(stored: &HeaderMap) -> Option<Timestamp> {
    stored
        .get(LAST_MODIFIED)
        .and_then(http_date)
        .or_else(|| stored.get(DATE).and_then(http_date))
}

/// The fields of a 304 made from a stored response (RFC 9110 §15.4.5): all except those that
/// describe its body, and `Last-Modified` only if there is no entity tag.
///
/// ```
/// use http::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderValue};
/// use tero_semantics::precondition::not_modified_headers;
///
/// let stored = HeaderMap::from_iter([
///     (ETAG, HeaderValue::from_static("\"v1\"")),
///     (CONTENT_TYPE, HeaderValue::from_static("text/html")),
/// ]);
/// assert!(not_modified_headers(&stored).keys().eq([ETAG]));
/// ```
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
mod tests;
