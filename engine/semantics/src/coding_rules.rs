//! Which stored responses may be coded by a cache, and the fields of what comes of it (RFC 9110
//! §7.7, §8.4, §8.8.3.3, §12.5.5).

use std::ops::RangeInclusive;

use http::StatusCode;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HeaderMap, HeaderName,
    HeaderValue, VARY,
};

use super::cache_control::ResponseDirectives;
use super::content_coding::{ContentCoding, is_coded};
use super::list::list_members;
use super::media_type::{MediaTypePattern, media_type};

/// Fields whose value is a digest of the content as it was sent, or of the coded representation
/// (RFC 9530; RFC 3230; RFC 1864). Of coded content it would be wrong.
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// A stream of events is read as it comes, whatever is stored of it.
const EVENT_STREAM: &str = "text/event-stream";

/// A response, and what is coded.
#[derive(Clone, Copy, Debug)]
pub struct CodingInput<'r> {
    /// Its status.
    pub status: StatusCode,
    /// Its fields.
    pub headers: &'r HeaderMap,
    /// The directives that govern it.
    pub directives: &'r ResponseDirectives,
    /// The length of its content in bytes, where it is known.
    pub length: Option<u64>,
    /// The media types that are coded.
    pub types: &'r [MediaTypePattern],
    /// The lengths that are coded, in bytes.
    pub lengths: &'r RangeInclusive<u64>,
}

/// Why a response is not coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodingRefusal {
    /// It has a content coding of its own.
    HasCoding,
    /// `no-transform` (RFC 9111 §5.2.2.6)
    NoTransform,
    /// It is a part of a response, or has no content.
    Status,
    /// Its media type is not one of those, or is unknown.
    MediaType,
    /// It has a digest of its content.
    Digest,
    /// It is shorter than what is coded.
    TooShort,
    /// It is longer than what is coded.
    TooLong,
}

impl CodingRefusal {
    /// All of them.
    pub const ALL: [CodingRefusal; 7] = [
        CodingRefusal::HasCoding,
        CodingRefusal::NoTransform,
        CodingRefusal::Status,
        CodingRefusal::MediaType,
        CodingRefusal::Digest,
        CodingRefusal::TooShort,
        CodingRefusal::TooLong,
    ];

    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            CodingRefusal::HasCoding => "has_coding",
            CodingRefusal::NoTransform => "no_transform",
            CodingRefusal::Status => "status",
            CodingRefusal::MediaType => "media_type",
            CodingRefusal::Digest => "digest",
            CodingRefusal::TooShort => "too_short",
            CodingRefusal::TooLong => "too_long",
        }
    }

    /// The reason for people.
    pub fn reason(self) -> &'static str {
        match self {
            CodingRefusal::HasCoding => "it came with a content coding, which is kept",
            CodingRefusal::NoTransform => "it says no-transform",
            CodingRefusal::Status => "its status is not that of a whole response with content",
            CodingRefusal::MediaType => "its media type is not among site.compress.types",
            CodingRefusal::Digest => "it has a digest of its content",
            CodingRefusal::TooShort => "it is shorter than site.compress.min",
            CodingRefusal::TooLong => "it is longer than site.compress.max",
        }
    }
}

/// Why a response may not be coded; `None` if it may be.
///
/// ```
/// use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
/// use http::StatusCode;
/// use tero_semantics::cache_control::ResponseDirectives;
/// use tero_semantics::coding_rules::{CodingInput, CodingRefusal, coding_refusal};
/// use tero_semantics::media_type::MediaTypePattern;
///
/// let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("text/html"))]);
/// let types = [MediaTypePattern::parse("text/*").unwrap()];
/// let refusal = |length| {
///     coding_refusal(&CodingInput {
///         status: StatusCode::OK,
///         headers: &headers,
///         directives: &ResponseDirectives::of(&headers),
///         length: Some(length),
///         types: &types,
///         lengths: &(1_000..=9_000),
///     })
/// };
/// assert_eq!(refusal(1_000), None);
/// assert_eq!(refusal(999), Some(CodingRefusal::TooShort));
/// ```
pub fn coding_refusal(input: &CodingInput<'_>) -> Option<CodingRefusal> {
    let headers = input.headers;
    let is_media_type = |media_type: &str| {
        !media_type.eq_ignore_ascii_case(EVENT_STREAM)
            && input.types.iter().any(|own| own.matches(media_type))
    };
    if is_coded(headers) {
        Some(CodingRefusal::HasCoding)
    } else if !is_whole_with_content(input.status) {
        Some(CodingRefusal::Status)
    } else if !media_type(headers).is_some_and(is_media_type) {
        Some(CodingRefusal::MediaType)
    } else if input.directives.no_transform
        // It is for every intermediary, whatever a targeted field says to caches.
        || (input.directives.targeted.is_some() && ResponseDirectives::of(headers).no_transform)
    {
        Some(CodingRefusal::NoTransform)
    } else if DIGESTS.iter().any(|digest| headers.contains_key(digest)) {
        Some(CodingRefusal::Digest)
    } else {
        match input.length {
            Some(length) if length < *input.lengths.start() => Some(CodingRefusal::TooShort),
            Some(length) if length > *input.lengths.end() => Some(CodingRefusal::TooLong),
            _ => None,
        }
    }
}

fn is_whole_with_content(status: StatusCode) -> bool {
    !status.is_informational()
        && !matches!(
            status,
            StatusCode::NO_CONTENT
                | StatusCode::RESET_CONTENT
                | StatusCode::PARTIAL_CONTENT
                | StatusCode::NOT_MODIFIED
        )
}

/// Makes the fields of a response those of its content in another coding, of `length` bytes: the
/// coding, the length, and a weak validator, since the bytes are others than the origin's (§8.8.3.3).
/// Ranges of it are not served, so none are offered.
///
/// ```
/// use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HeaderMap, HeaderValue};
/// use tero_semantics::coding_rules::describe_coded;
/// use tero_semantics::content_coding::ContentCoding;
///
/// let mut headers = HeaderMap::from_iter([(ETAG, HeaderValue::from_static("\"v1\""))]);
/// describe_coded(&mut headers, ContentCoding::Br, 70);
/// assert_eq!(headers[ETAG], "W/\"v1\"");
/// assert_eq!((&headers[CONTENT_ENCODING], &headers[CONTENT_LENGTH]), (&"br".parse().unwrap(), &70.into()));
/// ```
pub fn describe_coded(headers: &mut HeaderMap, coding: ContentCoding, length: u64) {
    headers.remove(ACCEPT_RANGES);
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.as_str()));
    headers.insert(CONTENT_LENGTH, length.into());
    if let Some(tag) = headers.get(ETAG) {
        match weak(tag) {
            Some(weak) => headers.insert(ETAG, weak),
            None => headers.remove(ETAG),
        };
    }
}

/// The weak form of an entity tag; `None` if it is malformed.
fn weak(tag: &HeaderValue) -> Option<HeaderValue> {
    let bytes = tag.as_bytes();
    if bytes.starts_with(b"W/\"") {
        return Some(tag.clone());
    }
    let is_tag = bytes.len() >= 2 && bytes.starts_with(b"\"") && bytes.ends_with(b"\"");
    if !is_tag {
        return None;
    }
    HeaderValue::from_bytes(&[b"W/", bytes].concat()).ok()
}

/// Says that the response depends on `Accept-Encoding` (§12.5.5), unless it says so already.
pub fn add_vary(headers: &mut HeaderMap) {
    let says_so = headers.get_all(VARY).iter().any(|line| {
        list_members(line.as_bytes()).any(|member| {
            member == b"*" || member.eq_ignore_ascii_case(ACCEPT_ENCODING.as_str().as_bytes())
        })
    });
    if !says_so {
        headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FieldLines, headers};

    fn refusal(status: u16, lines: FieldLines<'_>, length: Option<u64>) -> Option<CodingRefusal> {
        let types = ["text/*", "application/json"];
        let types: Vec<_> = types
            .iter()
            .map(|text| MediaTypePattern::parse(text).unwrap())
            .collect();
        let targets = [HeaderName::from_static("cdn-cache-control")];
        let headers = headers(lines);
        coding_refusal(&CodingInput {
            status: StatusCode::from_u16(status).unwrap(),
            headers: &headers,
            directives: &ResponseDirectives::governing(&headers, &targets),
            length,
            types: &types,
            lengths: &(100..=1_000),
        })
    }

    #[test]
    fn only_whole_uncoded_responses_of_a_media_type_and_size_are_coded() {
        const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");
        assert_eq!(refusal(200, &[HTML], Some(100)), None);
        assert_eq!(refusal(200, &[HTML], Some(1_000)), None);
        assert_eq!(refusal(404, &[HTML], None), None);
        assert_eq!(
            refusal(200, &[HTML, ("content-encoding", "identity")], None),
            None
        );
        let rows: &[(u16, FieldLines<'_>, Option<u64>, CodingRefusal)] = &[
            (200, &[HTML], Some(99), CodingRefusal::TooShort),
            (200, &[HTML], Some(1_001), CodingRefusal::TooLong),
            (200, &[], None, CodingRefusal::MediaType),
            (
                200,
                &[("content-type", "image/png")],
                None,
                CodingRefusal::MediaType,
            ),
            (
                200,
                &[("content-type", "text/event-stream")],
                None,
                CodingRefusal::MediaType,
            ),
            (
                200,
                &[HTML, ("content-encoding", "gzip")],
                None,
                CodingRefusal::HasCoding,
            ),
            (
                200,
                &[HTML, ("content-encoding", "unheard-of")],
                None,
                CodingRefusal::HasCoding,
            ),
            (206, &[HTML], None, CodingRefusal::Status),
            (204, &[HTML], None, CodingRefusal::Status),
            (304, &[HTML], None, CodingRefusal::Status),
            (
                200,
                &[HTML, ("cache-control", "max-age=1, No-Transform")],
                None,
                CodingRefusal::NoTransform,
            ),
            (
                200,
                &[
                    HTML,
                    ("cdn-cache-control", "max-age=1"),
                    ("cache-control", "no-transform"),
                ],
                None,
                CodingRefusal::NoTransform,
            ),
            (
                200,
                &[HTML, ("cdn-cache-control", "max-age=1, no-transform")],
                None,
                CodingRefusal::NoTransform,
            ),
            (
                200,
                &[HTML, ("repr-digest", "sha-256=:AA==:")],
                None,
                CodingRefusal::Digest,
            ),
            (
                200,
                &[HTML, ("content-md5", "AA==")],
                None,
                CodingRefusal::Digest,
            ),
        ];
        for (status, lines, length, expected) in rows {
            assert_eq!(
                refusal(*status, lines, *length),
                Some(*expected),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn the_validator_of_coded_content_is_weak() {
        for (tag, expected) in [
            ("\"v1\"", Some("W/\"v1\"")),
            ("W/\"v1\"", Some("W/\"v1\"")),
            ("\"\"", Some("W/\"\"")),
            ("v1", None),
            ("\"", None),
            ("w/\"v1\"", None),
        ] {
            let mut fields = headers(&[("etag", tag), ("accept-ranges", "bytes")]);
            describe_coded(&mut fields, ContentCoding::Gzip, 9);
            let made = fields.get(ETAG).map(|tag| tag.to_str().unwrap());
            assert_eq!(made, expected, "{tag}");
            assert_eq!(fields[CONTENT_ENCODING], "gzip");
            assert_eq!(fields[CONTENT_LENGTH], "9");
            assert!(!fields.contains_key(ACCEPT_RANGES));
        }
    }

    #[test]
    fn vary_names_the_field_once() {
        let vary = |lines: FieldLines<'_>| {
            let mut fields = headers(lines);
            add_vary(&mut fields);
            let lines = fields.get_all(VARY).iter();
            let lines: Vec<_> = lines.map(|line| line.to_str().unwrap()).collect();
            lines.join("|")
        };
        assert_eq!(vary(&[]), "Accept-Encoding");
        assert_eq!(vary(&[("vary", "Origin")]), "Origin|Accept-Encoding");
        assert_eq!(
            vary(&[("vary", "origin, ACCEPT-encoding")]),
            "origin, ACCEPT-encoding"
        );
        assert_eq!(vary(&[("vary", "*")]), "*");
    }

    #[test]
    fn every_refusal_has_its_own_name() {
        let mut names: Vec<_> = CodingRefusal::ALL.map(CodingRefusal::as_str).into();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CodingRefusal::ALL.len());
        assert!(
            CodingRefusal::ALL
                .iter()
                .all(|refusal| !refusal.reason().is_empty())
        );
    }
}
