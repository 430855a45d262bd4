//! `Accept-Encoding` as the set of known codings that a client accepts (RFC 9110 §12.5.3).
//!
//! Weights, unknown codings and a refusal of `identity` are left out: they would split what is
//! stored by spellings, and what they ask for is never served. The next hop is asked for exactly what
//! is compared.

use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};

use super::sink::NormalFormSink;
use crate::content_coding::{AcceptedCodings, KNOWN};

/// Writes the normal form.
pub(super) fn write_codings(headers: &HeaderMap, sink: &mut impl NormalFormSink) {
    sink.put(&[AcceptedCodings::of(headers).set()]);
}

/// The `Accept-Encoding` to send to the next hop in place of the client's: the known codings that
/// it accepts, in a fixed order and without weights. So the next hop sees few different values, and
/// stores few variants. `identity` stands for none; `None` if the client sent no such field.
///
/// ```
/// use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
/// use tero_semantics::vary::normalised_accept_encoding;
///
/// let forwarded = |value| {
///     let request = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]);
///     normalised_accept_encoding(&request).unwrap()
/// };
/// assert_eq!(forwarded("gzip;q=0.8, br"), "br, gzip");
/// assert_eq!(forwarded("gzip, dcb"), "gzip");
/// assert_eq!(forwarded("br;q=0, *"), "zstd, gzip, deflate");
/// ```
pub fn normalised_accept_encoding(request: &HeaderMap) -> Option<HeaderValue> {
    if !request.contains_key(ACCEPT_ENCODING) {
        return None;
    }
    let set = AcceptedCodings::of(request).set();
    let accepted: Vec<&str> = KNOWN
        .iter()
        .enumerate()
        .filter(|(at, _)| set & (1 << at) != 0)
        .map(|(_, coding)| *coding)
        .collect();
    if accepted.is_empty() {
        return Some(HeaderValue::from_static("identity"));
    }
    HeaderValue::from_str(&accepted.join(", ")).ok()
}
