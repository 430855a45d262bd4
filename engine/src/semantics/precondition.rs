//! The client's own conditions, judged by a stored response (RFC 9110 §13, RFC 9111 §4.3.2).

use http::header::{
    CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, HeaderMap, HeaderName, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, LAST_MODIFIED,
};
use http::{Method, StatusCode};

use super::cache_control::list_members;
use super::freshness::http_date;
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
/// `If-Match` and `If-Unmodified-Since` are meant for origins (RFC 9111 §4.3.2). For those who ask tero is the origin, and a fresh
/// response is what it has, so they are judged here too.
pub fn precondition(method: &Method, request: &HeaderMap, status: StatusCode, stored: &HeaderMap) -> Precondition {
    // §13.2.1: conditions count only where the answer without them would be a success.
    let is_conditional = CONDITIONS.iter().any(|name| request.contains_key(name));
    if !is_conditional || !status.is_success() {
        return Precondition::Proceed;
    }
    if request.contains_key(IF_MATCH) {
        if !matches(request, &IF_MATCH, stored, strong_match_bytes) {
            return Precondition::Failed;
        }
    } else if single_date(request, &IF_UNMODIFIED_SINCE)
        .zip(last_modified(stored))
        .is_some_and(|(limit, modified)| modified > limit)
    {
        return Precondition::Failed;
    }
    let is_read = *method == Method::GET || *method == Method::HEAD;
    // `If-None-Match` is judged alone where it is there, whatever `If-Modified-Since` says (§13.1.3).
    if request.contains_key(IF_NONE_MATCH) {
        return match matches(request, &IF_NONE_MATCH, stored, weak_match_bytes) {
            false => Precondition::Proceed,
            true if is_read => Precondition::NotModified,
            true => Precondition::Failed,
        };
    }
    let unmodified =
        single_date(request, &IF_MODIFIED_SINCE).zip(last_modified(stored)).is_some_and(|(since, modified)| modified <= since);
    if is_read && unmodified { Precondition::NotModified } else { Precondition::Proceed }
}

const CONDITIONS: [HeaderName; 4] = [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE];

/// Whether one of the entity tags of a condition matches; `*` matches whatever is stored.
fn matches(request: &HeaderMap, condition: &HeaderName, stored: &HeaderMap, same: fn(&[u8], &[u8]) -> bool) -> bool {
    let lines = || request.get_all(condition).iter().map(|line| line.as_bytes());
    if lines().any(|line| line.trim_ascii() == b"*") {
        return true;
    }
    let Some(etag) = stored.get(ETAG) else { return false };
    lines().any(|line| list_members(line).any(|member| same(member, etag.as_bytes())))
}

/// A condition that isn't a date, or comes twice, says nothing (§13.1.3, §13.1.4).
fn single_date(request: &HeaderMap, condition: &HeaderName) -> Option<Timestamp> {
    let mut lines = request.get_all(condition).iter();
    let date = http_date(lines.next()?)?;
    lines.next().is_none().then_some(date)
}

/// `Last-Modified`, or `Date` where that is missing (RFC 9111 §4.3.2).
fn last_modified(stored: &HeaderMap) -> Option<Timestamp> {
    stored.get(LAST_MODIFIED).and_then(http_date).or_else(|| stored.get(DATE).and_then(http_date))
}

/// The fields of a 304 made from a stored response (RFC 9110 §15.4.5): all but those that describe a body that isn't there, and
/// `Last-Modified` only where there is no entity tag.
pub fn not_modified_headers(stored: &HeaderMap) -> HeaderMap {
    let mut headers = stored.clone();
    for name in [CONTENT_LENGTH, CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_RANGE] {
        headers.remove(name);
    }
    if headers.contains_key(ETAG) {
        headers.remove(LAST_MODIFIED);
    }
    headers
}
