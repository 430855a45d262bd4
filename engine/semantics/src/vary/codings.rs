//! `Accept-Encoding` as the set of codings that a client accepts (RFC 9110 §12.5.3).

use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};

use super::sink::NormalFormSink;
use super::weighted::{WeightedMember, weighted_members};

/// The registered codings that are in use, in the order of the normal form.
const KNOWN: [&str; 4] = ["zstd", "br", "gzip", "deflate"];

/// The codings that a client accepts. Which one it prefers is left out: any of them will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Codings<'h> {
    /// One bit for each of [`KNOWN`].
    accepted: u8,
    refused: u8,
    /// `*` with a weight above 0.
    accepts_others: bool,
    /// `identity;q=0`, or `*;q=0` without `identity`.
    refuses_identity: bool,
    /// Whether there are codings that are not in [`KNOWN`]; they are compared one by one.
    has_unknown: bool,
    headers: &'h HeaderMap,
}

impl<'h> Codings<'h> {
    /// The codings that a request accepts.
    pub(super) fn of(headers: &'h HeaderMap) -> Codings<'h> {
        let mut codings = Codings {
            accepted: 0,
            refused: 0,
            accepts_others: false,
            refuses_identity: false,
            has_unknown: false,
            headers,
        };
        let (mut identity, mut star) = (None, None);
        for coding in weighted_members(&ACCEPT_ENCODING, headers) {
            let is_accepted = coding.weight > 0;
            match known(coding.value) {
                Some(bit) if is_accepted => codings.accepted |= bit,
                Some(bit) => codings.refused |= bit,
                None if is_star(coding.value) => star = Some(is_accepted),
                None if is_identity(coding.value) => identity = Some(is_accepted),
                None => codings.has_unknown = true,
            }
        }
        codings.accepts_others = star == Some(true);
        codings.refuses_identity = identity.or(star) == Some(false);
        codings.refused &= !codings.accepted;
        codings
    }

    /// Writes the normal form.
    pub(super) fn write(&self, sink: &mut impl NormalFormSink) {
        // A refused coding makes a difference only if all others are accepted.
        let refused = if self.accepts_others { self.refused } else { 0 };
        sink.put(&[
            self.accepted,
            refused,
            u8::from(self.accepts_others) << 1 | u8::from(self.refuses_identity),
        ]);
        if self.has_unknown {
            self.write_unknown(sink);
        }
    }

    /// In alphabetical order, so that two clients that list the same codings agree.
    fn write_unknown(&self, sink: &mut impl NormalFormSink) {
        let mut unknown: Vec<(Vec<u8>, bool)> = weighted_members(&ACCEPT_ENCODING, self.headers)
            .filter(is_unknown)
            .map(|coding| (coding.value.to_ascii_lowercase(), coding.weight > 0))
            .filter(|(_, is_accepted)| *is_accepted || self.accepts_others)
            .collect();
        unknown.sort_unstable();
        unknown.dedup();
        for (coding, is_accepted) in unknown {
            sink.put(if is_accepted { b"," } else { b"!" });
            sink.put(&coding);
        }
    }
}

/// The bit of a coding in [`KNOWN`]. `x-gzip` is `gzip` (RFC 9110 §8.4.1.3).
fn known(coding: &[u8]) -> Option<u8> {
    let coding = if coding.eq_ignore_ascii_case(b"x-gzip") {
        b"gzip"
    } else {
        coding
    };
    KNOWN
        .iter()
        .position(|known| coding.eq_ignore_ascii_case(known.as_bytes()))
        .map(|at| 1 << at)
}

fn is_unknown(coding: &WeightedMember<'_>) -> bool {
    known(coding.value).is_none() && !is_star(coding.value) && !is_identity(coding.value)
}

fn is_star(coding: &[u8]) -> bool {
    coding == b"*"
}

fn is_identity(coding: &[u8]) -> bool {
    coding.eq_ignore_ascii_case(b"identity")
}

/// The `Accept-Encoding` to send to the next hop in place of the client's: the accepted codings in
/// a fixed order, without weights. So the next hop sees few different values, and stores few
/// variants.
///
/// `None` if the client sent none, or one that says more than a set of known codings can; that one
/// is forwarded unchanged or not at all.
///
/// ```
/// use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
/// use tero_semantics::vary::normalised_accept_encoding;
///
/// let forwarded = |value| {
///     let request = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]);
///     normalised_accept_encoding(&request)
/// };
/// assert_eq!(forwarded("gzip;q=0.8, br").unwrap(), "br, gzip");
/// assert_eq!(forwarded("gzip, *"), None);
/// ```
pub fn normalised_accept_encoding(request: &HeaderMap) -> Option<HeaderValue> {
    if !request.contains_key(ACCEPT_ENCODING) {
        return None;
    }
    let codings = Codings::of(request);
    if codings.accepts_others || codings.refuses_identity || codings.has_unknown {
        return None;
    }
    let accepted: Vec<&str> = KNOWN
        .iter()
        .enumerate()
        .filter(|(at, _)| codings.accepted & (1 << at) != 0)
        .map(|(_, coding)| *coding)
        .collect();
    if accepted.is_empty() {
        return Some(HeaderValue::from_static("identity"));
    }
    HeaderValue::from_str(&accepted.join(", ")).ok()
}
