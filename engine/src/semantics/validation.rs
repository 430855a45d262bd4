//! Validating a stored response (RFC 9111 §4.3): the conditional request, and what a 304 or the answer to a HEAD changes.

use http::StatusCode;
use http::header::{
    AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, SET_COOKIE,
};

use super::forwarding::strip_hop_by_hop;
use super::freshness::http_date;

const CONDITIONS: [HeaderName; 5] = [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE];

/// Fields that a 304 does not change in what is stored (§3.2). The RFC names `Content-Length`, and fields that were not to be stored in
/// the first place. `Content-Encoding` and `Content-Range` are ours: they say how the stored bytes are to be read, and a next hop
/// that describes another form of the page in its 304 would make them unreadable.
const UNCHANGED: [HeaderName; 5] = [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_RANGE, AGE, SET_COOKIE];

/// Turns `request` into one that validates what is stored (§4.3.1), with both validators where both are there; the client's own
/// conditions are taken out. False, and no conditions, where there is no validator.
pub fn add_conditions(stored: &HeaderMap, request: &mut HeaderMap) -> bool {
    strip_conditions(request);
    let etag = stored.get(ETAG).filter(|etag| !etag.is_empty());
    let modified = stored.get(LAST_MODIFIED).filter(|modified| http_date(modified).is_some());
    for (name, validator) in [(IF_NONE_MATCH, etag), (IF_MODIFIED_SINCE, modified)] {
        if let Some(validator) = validator {
            request.insert(name, validator.clone());
        }
    }
    has_validator(stored)
}

/// Whether a stored response can be validated.
pub fn has_validator(stored: &HeaderMap) -> bool {
    stored.get(ETAG).is_some_and(|etag| !etag.is_empty())
        || stored.get(LAST_MODIFIED).is_some_and(|date| http_date(date).is_some())
}

/// Takes the conditions of RFC 9110 §13.1 out of a request.
pub fn strip_conditions(request: &mut HeaderMap) {
    for name in &CONDITIONS {
        request.remove(name);
    }
}

/// Whether a 304 is about this stored response (§4.3.4).
///
/// A strong validator decides if there is one, else a weak one. A 304 that repeats neither of our validators is taken for an answer to
/// the one response that the request named: the RFC would let it freshen only a response without validators, but many origins leave
/// the `ETag` out, and no other response was asked about.
pub fn answers(stored: &HeaderMap, not_modified: &HeaderMap) -> bool {
    let (stored_etag, etag) = (stored.get(ETAG), not_modified.get(ETAG));
    let (stored_modified, modified) = (modified(stored), modified(not_modified));
    match (stored_etag, etag) {
        (Some(stored_etag), Some(etag)) if is_strong(etag) => strong_match(stored_etag, etag),
        (Some(stored_etag), Some(etag)) => weak_match(stored_etag, etag),
        // The 304 has a tag that we never had: it is about something newer.
        (None, Some(_)) => stored_modified.is_some() && stored_modified == modified,
        (_, None) => match (stored_modified, modified) {
            (Some(stored_modified), Some(modified)) => stored_modified == modified,
            (None, Some(_)) => stored_etag.is_some(),
            (_, None) => true,
        },
    }
}

fn modified(headers: &HeaderMap) -> Option<super::timestamp::Timestamp> {
    headers.get(LAST_MODIFIED).and_then(http_date)
}

/// The stored fields after a 304 (§3.2, §4.3.4): each field of the 304 replaces all lines of its name, but for hop-by-hop fields,
/// `Content-Length`, `Content-Encoding`, `Content-Range`, `Age` and `Set-Cookie`.
///
/// The result has yet to be judged like a new response: `storability`, `stored_headers` and `Vary::of` may find that the 304 changed
/// their answers.
pub fn freshened(stored: &HeaderMap, not_modified: &HeaderMap) -> HeaderMap {
    let mut update = not_modified.clone();
    strip_hop_by_hop(&mut update);
    for name in &UNCHANGED {
        update.remove(name);
    }
    let mut headers = stored.clone();
    for name in update.keys() {
        headers.remove(name);
    }
    for name in update.keys() {
        for value in update.get_all(name) {
            headers.append(name, value.clone());
        }
    }
    headers
}

/// What the answer to a HEAD means for a stored response that a GET would have selected (§4.3.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadUpdate {
    /// Nothing: it is not a 200.
    Nothing,
    /// It is about the same representation: these are the stored fields now, with the lifetime that they give.
    Freshened(HeaderMap),
    /// It is about another representation: what is stored is stale.
    Stale,
}

/// What the answer to a HEAD changes in a stored response whose body is `length` bytes long (§4.3.5).
pub fn head_updates(stored: &HeaderMap, length: u64, status: StatusCode, head: &HeaderMap) -> HeadUpdate {
    if status != StatusCode::OK {
        return HeadUpdate::Nothing;
    }
    let same_tag = head.get(ETAG).is_none_or(|etag| stored.get(ETAG).is_some_and(|stored| stored == etag));
    let same_date = head.get(LAST_MODIFIED).is_none_or(|_| modified(head) == modified(stored));
    let same_length = head.get(CONTENT_LENGTH).is_none_or(|announced| announced.as_bytes() == length.to_string().as_bytes());
    let same_coding = head.get(CONTENT_ENCODING) == stored.get(CONTENT_ENCODING);
    if same_tag && same_date && same_length && same_coding {
        HeadUpdate::Freshened(freshened(stored, head))
    } else {
        HeadUpdate::Stale
    }
}

/// An entity tag without its mark of weakness (RFC 9110 §8.8.3).
fn opaque(etag: &[u8]) -> &[u8] {
    etag.strip_prefix(b"W/").unwrap_or(etag)
}

/// Whether an entity tag is a strong one.
pub fn is_strong(etag: &HeaderValue) -> bool {
    !etag.as_bytes().starts_with(b"W/")
}

/// Weak comparison (RFC 9110 §8.8.3.2).
pub fn weak_match(left: &HeaderValue, right: &HeaderValue) -> bool {
    weak_match_bytes(left.as_bytes(), right.as_bytes())
}

pub(crate) fn weak_match_bytes(left: &[u8], right: &[u8]) -> bool {
    opaque(left) == opaque(right)
}

/// Strong comparison (RFC 9110 §8.8.3.2).
pub fn strong_match(left: &HeaderValue, right: &HeaderValue) -> bool {
    strong_match_bytes(left.as_bytes(), right.as_bytes())
}

pub(crate) fn strong_match_bytes(left: &[u8], right: &[u8]) -> bool {
    !left.starts_with(b"W/") && left == right
}
