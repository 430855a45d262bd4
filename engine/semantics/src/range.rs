//! Range requests (RFC 9110 §14): which bytes of a response a request selects, and how they are
//! sent.

mod content_range;
mod multipart;

use std::ops::Range;

use http::header::{ETAG, HeaderMap, HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE};
use http::{Method, StatusCode};

use super::http_date::http_date;
use super::validation::{is_strong_date, strong_match};
use content_range::ascii;
pub use content_range::{Partial, content_range, unsatisfied_range};
pub use multipart::Multipart;

/// How many ranges of one request are served as parts, unless the caller says otherwise. A request
/// for more gets the whole response.
pub const MAX_RANGES: usize = 16;

/// Gaps of fewer bytes than this are sent too: the head of another part would cost more (RFC 9110
/// §15.3.7.2).
const SMALL_GAP: u64 = 80;

/// Which part of a response to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of it: 200.
    Whole,
    /// These bytes: 206 with `Content-Range`.
    Single(Range<u64>),
    /// These parts, at least two, in the order of the request, none overlapping: 206 with
    /// `multipart/byteranges`.
    Multiple(Vec<Range<u64>>),
    /// No byte of what the request asks for exists: 416.
    Unsatisfiable,
}

/// A request, and the response that it selects, as far as ranges depend on them.
#[derive(Clone, Copy, Debug)]
pub struct SelectionInput<'a> {
    /// The method of the request.
    pub method: &'a Method,
    /// The fields of the request.
    pub request: &'a HeaderMap,
    /// The status of the response.
    pub status: StatusCode,
    /// The fields of the response.
    pub response: &'a HeaderMap,
    /// The length of the response's content, in bytes.
    pub length: u64,
    /// The most ranges to serve as parts, [`MAX_RANGES`] for example.
    pub max_ranges: usize,
}

/// Which part of a response the `Range` of a request selects.
///
/// A `Range` that is malformed, in another unit than bytes, repeated, or asks for more than
/// `max_ranges` parts is ignored (RFC 9110 §14.2); so is any `Range` if `If-Range` does not hold,
/// or on a response other than a 200 to a GET.
///
/// ```
/// use http::header::{HeaderMap, HeaderValue, RANGE};
/// use http::{Method, StatusCode};
/// use tero_semantics::range::{MAX_RANGES, Selection, SelectionInput, selection};
///
/// let select = |range| {
///     selection(&SelectionInput {
///         method: &Method::GET,
///         request: &HeaderMap::from_iter([(RANGE, HeaderValue::from_static(range))]),
///         status: StatusCode::OK,
///         response: &HeaderMap::new(),
///         length: 1_000,
///         max_ranges: MAX_RANGES,
///     })
/// };
/// assert_eq!(select("bytes=0-99"), Selection::Single(0..100));
/// assert_eq!(select("bytes=0-99, -10"), Selection::Multiple(vec![0..100, 990..1_000]));
/// assert_eq!(select("bytes=1000-"), Selection::Unsatisfiable);
/// assert_eq!(select("lines=1-2"), Selection::Whole);
/// ```
pub fn selection(input: &SelectionInput<'_>) -> Selection {
    let Some(specs) = effective_specs(input) else {
        return Selection::Whole;
    };
    // A suffix of an empty response is satisfiable, but no `Content-Range` could express it.
    let asks_for_suffix = |spec: &RangeSpec| matches!(spec, RangeSpec::Suffix(1..));
    if input.length == 0 && specs.iter().any(asks_for_suffix) {
        return Selection::Whole;
    }
    let satisfiable = specs.iter().filter_map(|spec| spec.within(input.length));
    let mut parts = coalesced(satisfiable);
    match parts.len() {
        0 => Selection::Unsatisfiable,
        1 => Selection::Single(parts.remove(0)),
        _ => Selection::Multiple(parts),
    }
}

/// The ranges that the request asks for; `None` if it has no `Range`, or one to be ignored.
fn effective_specs(input: &SelectionInput<'_>) -> Option<Vec<RangeSpec>> {
    let mut lines = input.request.get_all(RANGE).iter();
    let range = lines.next()?;
    let counts = lines.next().is_none()
        && *input.method == Method::GET
        && input.status == StatusCode::OK
        && if_range_holds(input.request, input.response);
    counts.then(|| range_specs(range.as_bytes(), input.max_ranges))?
}

/// §13.1.5: `If-Range` holds if its validator is strong and is that of the response. A request
/// without `If-Range` sets no condition.
fn if_range_holds(request: &HeaderMap, response: &HeaderMap) -> bool {
    let mut lines = request.get_all(IF_RANGE).iter();
    let Some(validator) = lines.next() else {
        return true;
    };
    if lines.next().is_some() {
        return false;
    }
    match http_date(validator) {
        Some(date) => {
            let modified = response.get(LAST_MODIFIED).and_then(http_date);
            modified == Some(date) && is_strong_date(response)
        }
        None => response
            .get(ETAG)
            .is_some_and(|etag| strong_match(etag, validator)),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RangeSpec {
    From(u64),
    /// Both inclusive.
    Between(u64, u64),
    Suffix(u64),
}

impl RangeSpec {
    /// The bytes that it means; `None` if it is unsatisfiable (RFC 9110 §14.1.2).
    fn within(self, length: u64) -> Option<Range<u64>> {
        let range = match self {
            RangeSpec::From(first) => first..length,
            RangeSpec::Between(first, last) => first..last.saturating_add(1).min(length),
            RangeSpec::Suffix(bytes) => length.saturating_sub(bytes)..length,
        };
        (!range.is_empty()).then_some(range)
    }
}

/// The ranges of a `Range` field in bytes; `None` if it is to be ignored (RFC 9110 §14.1.1, §14.2).
fn range_specs(value: &[u8], max_ranges: usize) -> Option<Vec<RangeSpec>> {
    let value = std::str::from_utf8(value).ok()?;
    let (unit, set) = value.split_once('=')?;
    // Units are case-insensitive (§14.1).
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let members = || {
        set.split(',')
            .map(|member| member.trim_matches([' ', '\t']))
            .filter(|member| !member.is_empty())
    };
    // Counted first: a field with a hundred thousand members must not cost memory.
    let count = members().take(max_ranges.saturating_add(1)).count();
    if !(1..=max_ranges).contains(&count) {
        return None;
    }
    members().map(range_spec).collect()
}

fn range_spec(member: &str) -> Option<RangeSpec> {
    match member.split_once('-')? {
        ("", suffix) => Some(RangeSpec::Suffix(position(suffix)?)),
        (first, "") => Some(RangeSpec::From(position(first)?)),
        (first, last) => {
            let (first, last) = (position(first)?, position(last)?);
            // A range that ends before it starts is invalid, and so is the whole set (§14.1.1).
            (first <= last).then_some(RangeSpec::Between(first, last))
        }
    }
}

/// A number of bytes; one that is too large for a `u64` lies beyond any end.
fn position(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// Joins ranges that overlap or nearly touch; each joined range takes the place of its first one
/// (RFC 9110 §15.3.7.2).
fn coalesced(ranges: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut parts: Vec<Range<u64>> = Vec::new();
    for mut joined in ranges {
        // The joined range may now touch others in turn. Each round removes a part, so this ends.
        let mut place = parts.len();
        while let Some(at) = parts.iter().position(|part| touches(part, &joined)) {
            let part = parts.remove(at);
            joined = part.start.min(joined.start)..part.end.max(joined.end);
            place = place.min(at);
        }
        parts.insert(place.min(parts.len()), joined);
    }
    parts
}

fn touches(left: &Range<u64>, right: &Range<u64>) -> bool {
    left.start <= right.end.saturating_add(SMALL_GAP)
        && right.start <= left.end.saturating_add(SMALL_GAP)
}

/// `Range` that asks for all bytes from `first` on (RFC 9110 §14.1.1).
///
/// ```
/// use tero_semantics::range::from_on;
///
/// assert_eq!(from_on(500), "bytes=500-");
/// ```
pub fn from_on(first: u64) -> HeaderValue {
    ascii(&format!("bytes={first}-"))
}

#[cfg(test)]
mod tests;
