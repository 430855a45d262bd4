//! `Content-Range` (RFC 9110 §14.4): which bytes of a representation a message holds.

use std::ops::Range;

use http::header::{CONTENT_RANGE, HeaderMap, HeaderValue};

use crate::validation::single;

/// `Content-Range` of a 206 that holds `range` of `length` bytes. The range must not be empty.
///
/// ```
/// use tero_semantics::range::content_range;
///
/// assert_eq!(content_range(&(0..100), 1_000), "bytes 0-99/1000");
/// ```
pub fn content_range(range: &Range<u64>, length: u64) -> HeaderValue {
    let last = range.end.saturating_sub(1);
    ascii(&format!("bytes {}-{last}/{length}", range.start))
}

/// `Content-Range` of a 416 (RFC 9110 §15.5.17) about a representation of `length` bytes.
///
/// ```
/// use tero_semantics::range::unsatisfied_range;
///
/// assert_eq!(unsatisfied_range(1_000), "bytes */1000");
/// ```
pub fn unsatisfied_range(length: u64) -> HeaderValue {
    ascii(&format!("bytes */{length}"))
}

pub(super) fn ascii(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).expect("digits and punctuation are a field value")
}

/// Which bytes a 206 with a single part holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partial {
    /// The place of its bytes in the representation; never empty.
    pub range: Range<u64>,
    /// The length of the representation in bytes; `None` if the sender doesn't know it.
    pub length: Option<u64>,
}

impl Partial {
    /// What `Content-Range` says; `None` if it is absent, repeated, malformed, in another unit than
    /// bytes, or contradicts itself.
    ///
    /// ```
    /// use http::header::{CONTENT_RANGE, HeaderMap, HeaderValue};
    /// use tero_semantics::range::Partial;
    ///
    /// let partial = |value| {
    ///     Partial::of(&HeaderMap::from_iter([(CONTENT_RANGE, HeaderValue::from_static(value))]))
    /// };
    /// let expected = Partial { range: 0..100, length: Some(1_000) };
    /// assert_eq!(partial("bytes 0-99/1000"), Some(expected));
    /// assert_eq!(partial("bytes 0-99/50"), None);
    /// ```
    pub fn of(headers: &HeaderMap) -> Option<Partial> {
        let value = single(headers, &CONTENT_RANGE)?.to_str().ok()?;
        let (unit, rest) = value.split_once(' ')?;
        let (range, length) = rest.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last) = (number(first)?, number(last)?);
        let length = match length {
            "*" => None,
            digits => Some(number(digits)?),
        };
        let is_sound = unit.eq_ignore_ascii_case("bytes")
            && first <= last
            && length.is_none_or(|length| last < length);
        if !is_sound {
            return None;
        }
        let range = first..last.checked_add(1)?;
        Some(Partial { range, length })
    }
}

fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok())?
}
