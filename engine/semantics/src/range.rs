//! Parts of a stored response (RFC 9110 §14): which bytes a request asks for, and how they are
//! framed.

use std::ops::Range;

use http::header::{
    CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE,
};
use http::{Method, StatusCode};

use super::http_date::http_date;
use super::validation::{is_strong_date, single, strong_match};

/// How many ranges of one request are served apart, unless the caller says otherwise. Beyond it the
/// whole response is sent.
pub const MAX_RANGES: usize = 16;

/// Gaps of fewer bytes than this are sent along: the head of another part would cost more (RFC 9110
/// §15.3.7.2).
const SMALL_GAP: u64 = 80;

/// Which part of a response to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of it: 200.
    Whole,
    /// These bytes: 206 with `Content-Range`.
    Single(Range<u64>),
    /// These parts, at least two, in the order asked for, none overlapping: 206 with
    /// `multipart/byteranges`.
    Multiple(Vec<Range<u64>>),
    /// None of what was asked for exists: 416.
    Unsatisfiable,
}

/// What of a response of `length` bytes a request asks for. A `Range` that is malformed, in another
/// unit, repeated, or asks for more than `max_ranges` parts is ignored (RFC 9110 §14.2); so is any
/// on a response other than a 200 to a GET.
pub fn selection(
    method: &Method,
    request: &HeaderMap,
    status: StatusCode,
    response: &HeaderMap,
    length: u64,
    max_ranges: usize,
) -> Selection {
    let Some(range) = request.get(RANGE) else {
        return Selection::Whole;
    };
    let is_single_line = request.get_all(RANGE).iter().nth(1).is_none();
    if *method != Method::GET
        || status != StatusCode::OK
        || !is_single_line
        || !if_range_holds(request, response)
    {
        return Selection::Whole;
    }
    let Some(specs) = range_specs(range.as_bytes(), max_ranges) else {
        return Selection::Whole;
    };
    let satisfiable: Vec<Range<u64>> = specs
        .iter()
        .filter_map(|spec| spec.within(length))
        .collect();
    // A suffix of nothing is satisfiable, but no `Content-Range` could tell it.
    if length == 0
        && specs
            .iter()
            .any(|spec| matches!(spec, RangeSpec::Suffix(1..)))
    {
        return Selection::Whole;
    }
    let mut parts = coalesced(satisfiable);
    match parts.len() {
        0 => Selection::Unsatisfiable,
        1 => Selection::Single(parts.remove(0)),
        _ => Selection::Multiple(parts),
    }
}

/// §13.1.5: `If-Range` holds if its validator is strong and is the stored one. Without `If-Range`
/// there is nothing to hold.
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
    /// The bytes that it means; none where it is unsatisfiable (RFC 9110 §14.1.2).
    fn within(self, length: u64) -> Option<Range<u64>> {
        let range = match self {
            RangeSpec::From(first) => first..length,
            RangeSpec::Between(first, last) => first..last.saturating_add(1).min(length),
            RangeSpec::Suffix(bytes) => length.saturating_sub(bytes)..length,
        };
        (!range.is_empty()).then_some(range)
    }
}

/// The ranges of a `Range` field in bytes; none where it is to be ignored (RFC 9110 §14.1.1,
/// §14.2).
fn range_specs(value: &[u8], max_ranges: usize) -> Option<Vec<RangeSpec>> {
    let value = std::str::from_utf8(value).ok()?;
    let (unit, set) = value.split_once('=')?;
    // Units are compared without regard to case (§14.1).
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let members = || {
        set.split(',')
            .map(|member| member.trim_matches([' ', '\t']))
            .filter(|member| !member.is_empty())
    };
    if !(1..=max_ranges).contains(&members().take(max_ranges.saturating_add(1)).count()) {
        return None;
    }
    members().map(range_spec).collect()
}

fn range_spec(member: &str) -> Option<RangeSpec> {
    let (first, last) = member.split_once('-')?;
    match (first, last) {
        ("", suffix) => Some(RangeSpec::Suffix(position(suffix)?)),
        (first, "") => Some(RangeSpec::From(position(first)?)),
        (first, last) => {
            let (first, last) = (position(first)?, position(last)?);
            // An int-range whose end is before its start is invalid, and with it the whole set
            // (§14.1.1).
            (first <= last).then_some(RangeSpec::Between(first, last))
        }
    }
}

/// Digits; what is too large for a number is beyond any end.
fn position(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// Joins ranges that overlap or nearly touch, each joined one in the place of its first (RFC 9110
/// §15.3.7.2).
fn coalesced(ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut parts: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        let mut joined = range;
        // What it joins may now touch others in turn; each round takes a part away, so this ends.
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

/// `Content-Range` of a 206 (RFC 9110 §14.4). The range must not be empty.
pub fn content_range(range: &Range<u64>, length: u64) -> HeaderValue {
    ascii(&format!(
        "bytes {}-{}/{length}",
        range.start,
        range.end.saturating_sub(1)
    ))
}

/// `Range` that asks for all bytes from one on (RFC 9110 §14.1.1).
pub fn from_on(first: u64) -> HeaderValue {
    ascii(&format!("bytes={first}-"))
}

/// `Content-Range` of a 416 (RFC 9110 §15.5.17).
pub fn unsatisfied_range(length: u64) -> HeaderValue {
    ascii(&format!("bytes */{length}"))
}

fn ascii(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).expect("digits and punctuation are a field value")
}

/// The frame of a `multipart/byteranges` body (RFC 9110 §14.6): its length is known before any byte
/// of it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multipart {
    ranges: Vec<Range<u64>>,
    length: u64,
    part_type: Option<HeaderValue>,
    boundary: String,
}

impl Multipart {
    /// For these parts of a response of `length` bytes. `seed` makes the boundary: take one that a
    /// body can't foresee.
    pub fn new(
        ranges: Vec<Range<u64>>,
        length: u64,
        response: &HeaderMap,
        seed: u128,
    ) -> Multipart {
        let part_type = response.get(CONTENT_TYPE).cloned();
        Multipart {
            ranges,
            length,
            part_type,
            boundary: format!("{seed:032x}"),
        }
    }

    /// The parts, in order.
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.ranges
    }

    /// `Content-Type` of the whole.
    pub fn content_type(&self) -> HeaderValue {
        ascii(&format!("multipart/byteranges; boundary={}", self.boundary))
    }

    /// What goes before the bytes of a part.
    pub fn head(&self, range: &Range<u64>) -> Vec<u8> {
        let mut head = format!("\r\n--{}\r\n", self.boundary).into_bytes();
        for (name, value) in [
            ("Content-Type", self.part_type.clone()),
            ("Content-Range", Some(content_range(range, self.length))),
        ] {
            if let Some(value) = value {
                head.extend_from_slice(name.as_bytes());
                head.extend_from_slice(b": ");
                head.extend_from_slice(value.as_bytes());
                head.extend_from_slice(b"\r\n");
            }
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    /// What goes after the last part.
    pub fn tail(&self) -> Vec<u8> {
        format!("\r\n--{}--\r\n", self.boundary).into_bytes()
    }

    /// The length of the whole: heads, parts and tail.
    pub fn content_length(&self) -> u64 {
        let bytes = |frame: Vec<u8>| u64::try_from(frame.len()).unwrap_or(u64::MAX);
        let part = |range: &Range<u64>| {
            bytes(self.head(range)).saturating_add(range.end.saturating_sub(range.start))
        };
        self.ranges
            .iter()
            .map(part)
            .fold(bytes(self.tail()), u64::saturating_add)
    }
}

/// What a 206 of one part holds (RFC 9110 §14.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partial {
    /// Its bytes' place in the whole; never empty.
    pub range: Range<u64>,
    /// The length of the whole; none where the sender doesn't know it.
    pub length: Option<u64>,
}

impl Partial {
    /// What `Content-Range` says; none where it is absent, repeated, malformed, in another unit, or
    /// contradicts itself.
    pub fn of(headers: &HeaderMap) -> Option<Partial> {
        let value = single(headers, &CONTENT_RANGE)?.to_str().ok()?;
        let (unit, rest) = value.split_once(' ')?;
        let (range, length) = rest.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last) = (exact(first)?, exact(last)?);
        let length = if length == "*" {
            None
        } else {
            Some(exact(length)?)
        };
        let is_sound = unit.eq_ignore_ascii_case("bytes")
            && first <= last
            && length.is_none_or(|length| last < length);
        is_sound.then(|| {
            Some(Partial {
                range: first..last.checked_add(1)?,
                length,
            })
        })?
    }
}

fn exact(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::super::testing::{FieldLines, date, headers};
    use super::Selection::{Multiple, Single, Unsatisfiable, Whole};
    use super::*;

    fn select(range: &str, length: u64) -> Selection {
        selection(
            &Method::GET,
            &headers(&[("range", range)]),
            StatusCode::OK,
            &HeaderMap::new(),
            length,
            MAX_RANGES,
        )
    }

    #[test]
    fn one_range_is_cut_to_what_is_there() {
        let rows = [
            ("bytes=0-1", 11, Single(0..2)),
            ("bytes=1-", 11, Single(1..11)),
            ("bytes=-1", 11, Single(10..11)),
            ("bytes=-11", 11, Single(0..11)),
            ("bytes=-12", 11, Single(0..11)),
            ("bytes=0-0", 11, Single(0..1)),
            ("bytes=10-10", 11, Single(10..11)),
            ("bytes=10-11", 11, Single(10..11)),
            ("bytes=11-11", 11, Unsatisfiable),
            ("bytes=11-", 11, Unsatisfiable),
            ("bytes=-0", 11, Unsatisfiable),
            ("bytes=0-99999999999999999999999", 11, Single(0..11)),
            (
                "bytes=18446744073709551615-18446744073709551615",
                11,
                Unsatisfiable,
            ),
            (
                "bytes=0-18446744073709551615",
                u64::MAX,
                Single(0..u64::MAX),
            ),
            ("BYTES=0-1", 11, Single(0..2)),
            ("bytes= 0-1 ,", 11, Single(0..2)),
            ("bytes=0-", 0, Unsatisfiable),
            ("bytes=-1", 0, Whole),
            ("bytes=-0", 0, Unsatisfiable),
        ];
        for (range, length, expected) in rows {
            assert_eq!(select(range, length), expected, "{range} of {length}");
        }
    }

    #[test]
    fn what_is_malformed_is_ignored() {
        for range in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=1",
            "bytes=2-1",
            "bytes=a-b",
            "bytes=0-1,2-1",
            "bytes=0-1;2-3",
            "bytes=0--1",
            "bytes=-1-",
            "bytes=+0-1",
            "bytes=0 -1",
            "bytes 0-1",
            "bytes =0-1",
            "lines=0-1",
            "bytes=0x0-1",
            "bytes=\u{e9}",
        ] {
            assert_eq!(select(range, 11), Whole, "{range}");
        }
        let twice = headers(&[("range", "bytes=0-1"), ("range", "bytes=2-3")]);
        assert_eq!(
            selection(
                &Method::GET,
                &twice,
                StatusCode::OK,
                &HeaderMap::new(),
                11,
                MAX_RANGES
            ),
            Whole
        );
    }

    #[test]
    fn ranges_count_only_for_a_200_to_a_get() {
        let request = headers(&[("range", "bytes=0-1")]);
        let select = |method, status| {
            selection(&method, &request, status, &HeaderMap::new(), 11, MAX_RANGES)
        };
        assert_eq!(select(Method::GET, StatusCode::OK), Single(0..2));
        assert_eq!(select(Method::HEAD, StatusCode::OK), Whole);
        assert_eq!(select(Method::GET, StatusCode::NOT_FOUND), Whole);
        assert_eq!(select(Method::GET, StatusCode::PARTIAL_CONTENT), Whole);
        assert_eq!(
            selection(
                &Method::GET,
                &HeaderMap::new(),
                StatusCode::OK,
                &HeaderMap::new(),
                11,
                MAX_RANGES
            ),
            Whole
        );
    }

    #[test]
    fn several_ranges_are_parts_unless_they_overlap_or_nearly_touch() {
        let rows = [
            ("bytes=0-9,500-509", Multiple(vec![0..10, 500..510])),
            ("bytes=500-509,0-9", Multiple(vec![500..510, 0..10])),
            ("bytes=0-9,-10", Multiple(vec![0..10, 990..1_000])),
            ("bytes=0-9,5000-", Single(0..10)),
            ("bytes=5000-,6000-", Unsatisfiable),
            ("bytes=0-9,5-19", Single(0..20)),
            ("bytes=0-9,10-19", Single(0..20)),
            ("bytes=0-9,90-99", Single(0..100)),
            ("bytes=0-9,91-99", Multiple(vec![0..10, 91..100])),
            ("bytes=0-,0-,0-", Single(0..1_000)),
            ("bytes=500-509,0-9,505-600", Multiple(vec![500..601, 0..10])),
            // One that bridges two joins all three.
            ("bytes=0-9,500-509,5-505", Single(0..510)),
            (
                "bytes=0-9,400-409,800-809,5-405",
                Multiple(vec![0..410, 800..810]),
            ),
        ];
        for (range, expected) in rows {
            assert_eq!(select(range, 1_000), expected, "{range}");
        }
    }

    #[test]
    fn more_ranges_than_the_bound_are_answered_with_the_whole() {
        let ranges = |count: u64| {
            (0..count)
                .map(|at| format!("{}-{}", at * 1_000, at * 1_000))
                .collect::<Vec<_>>()
                .join(",")
        };
        let bound = u64::try_from(MAX_RANGES).unwrap();
        assert!(
            matches!(select(&format!("bytes={}", ranges(bound)), 1 << 20), Multiple(parts) if parts.len() == MAX_RANGES)
        );
        assert_eq!(
            select(&format!("bytes={}", ranges(bound + 1)), 1 << 20),
            Whole
        );
        assert_eq!(
            select(&format!("bytes={}", "0-,".repeat(100_000)), 1 << 20),
            Whole
        );
    }

    #[test]
    fn if_range_holds_only_for_the_same_strong_validator() {
        let (now, then, minute, almost) = (date(0), date(-3_000), date(-60), date(-59));
        let (strong, weak) = (("etag", "\"a\""), ("etag", "W/\"a\""));
        let rows: &[(&str, FieldLines<'_>, bool)] = &[
            ("\"a\"", &[strong], true),
            ("\"b\"", &[strong], false),
            ("W/\"a\"", &[weak], false),
            ("\"a\"", &[weak], false),
            ("\"a\"", &[], false),
            ("*", &[strong], false),
            ("\"a\", \"b\"", &[strong], false),
            (&then, &[("last-modified", &then), ("date", &now)], true),
            (&then, &[("last-modified", &then)], false),
            (&now, &[("last-modified", &then), ("date", &now)], false),
            (&minute, &[("last-modified", &minute), ("date", &now)], true),
            (
                &almost,
                &[("last-modified", &almost), ("date", &now)],
                false,
            ),
            ("yesterday", &[strong], false),
        ];
        for (validator, response, holds) in rows {
            let request = headers(&[("range", "bytes=0-1"), ("if-range", validator)]);
            let selected = selection(
                &Method::GET,
                &request,
                StatusCode::OK,
                &headers(response),
                11,
                MAX_RANGES,
            );
            assert_eq!(
                selected,
                if *holds { Single(0..2) } else { Whole },
                "{validator} {response:?}"
            );
        }
    }

    #[test]
    fn multipart_bodies_have_the_length_that_was_told() {
        let content = b"0123456789abcdef";
        let length = u64::try_from(content.len()).unwrap();
        let frame = Multipart::new(
            vec![0..2, 10..16],
            length,
            &headers(&[("content-type", "text/plain")]),
            7,
        );
        let mut body = Vec::new();
        for range in frame.ranges() {
            body.extend(frame.head(range));
            body.extend(
                &content
                    [usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()],
            );
        }
        body.extend(frame.tail());
        let boundary = "00000000000000000000000000000007";
        let expected = format!(
            "\r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/16\r\n\r\n01\
             \r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 10-15/16\r\n\r\nabcdef\
             \r\n--{boundary}--\r\n"
        );
        assert_eq!(String::from_utf8(body).unwrap(), expected);
        assert_eq!(
            frame.content_length(),
            u64::try_from(expected.len()).unwrap()
        );
        assert_eq!(
            frame.content_type(),
            format!("multipart/byteranges; boundary={boundary}")
        );
        assert_eq!(
            (
                content_range(&(0..2), 16),
                unsatisfied_range(16),
                from_on(5)
            ),
            (
                HeaderValue::from_static("bytes 0-1/16"),
                HeaderValue::from_static("bytes */16"),
                HeaderValue::from_static("bytes=5-")
            )
        );
    }

    #[test]
    fn content_range_is_read_only_where_it_makes_sense() {
        let part = |range, length| Some(Partial { range, length });
        for (value, expected) in [
            ("bytes 4-9/10", part(4..10, Some(10))),
            ("Bytes 0-0/1", part(0..1, Some(1))),
            ("bytes 4-9/*", part(4..10, None)),
            ("bytes 4-10/10", None),
            ("bytes 9-4/10", None),
            ("bytes */10", None),
            ("bytes 4-/10", None),
            ("bytes 4-9", None),
            ("bytes=4-9/10", None),
            ("lines 4-9/10", None),
            ("bytes 4-9/x", None),
            ("bytes 0-18446744073709551615/*", None),
            ("bytes 0-18446744073709551616/*", None),
            ("", None),
        ] {
            assert_eq!(
                Partial::of(&headers(&[("content-range", value)])),
                expected,
                "{value}"
            );
        }
        assert_eq!(
            Partial::of(&headers(&[
                ("content-range", "bytes 0-1/2"),
                ("content-range", "bytes 0-1/2")
            ])),
            None
        );
    }
}
