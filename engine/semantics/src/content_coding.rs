//! Content codings (RFC 9110 §8.4.1), and which of them a request accepts (§12.5.3).
//!
//! `identity` always stays possible: a request that refuses it as well gets it all the same when
//! nothing else is there, as the alternative is no answer. `*` stands for every coding that the
//! request doesn't list.

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue};

use super::list::list_members;
use super::weights::{FULL_WEIGHT, WeightedMember, weighted_members};

/// A coding that can be made of a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentCoding {
    /// `zstd` (RFC 8878)
    Zstd,
    /// `br` (RFC 7932)
    Br,
    /// `gzip` (RFC 1952)
    Gzip,
}

impl ContentCoding {
    /// Every one; the place of each is its [`ContentCoding::index`].
    pub const ALL: [ContentCoding; 3] =
        [ContentCoding::Zstd, ContentCoding::Br, ContentCoding::Gzip];

    /// Its registered name.
    pub const fn as_str(self) -> &'static str {
        KNOWN[self.index()]
    }

    /// Its place among all.
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// The registered codings that are in use, in the order in which they are sent to the next hop.
/// Those of [`ContentCoding`] come first.
pub(crate) const KNOWN: [&str; 4] = ["zstd", "br", "gzip", "deflate"];

/// What most clients send: browsers, crawlers, libraries.
const USUAL: [(&[u8], AcceptedCodings); 4] = [
    (
        b"gzip, deflate, br, zstd",
        AcceptedCodings::of_weights([FULL_WEIGHT; KNOWN.len()]),
    ),
    (
        b"gzip, deflate, br",
        AcceptedCodings::of_weights([0, FULL_WEIGHT, FULL_WEIGHT, FULL_WEIGHT]),
    ),
    (
        b"gzip, deflate",
        AcceptedCodings::of_weights([0, 0, FULL_WEIGHT, FULL_WEIGHT]),
    ),
    (b"gzip", AcceptedCodings::of_weights([0, 0, FULL_WEIGHT, 0])),
];

/// The codings that a request accepts, with their weights. A request without `Accept-Encoding`
/// accepts none here: by §12.5.3 any coding would do for it, and most clients that send none can't
/// decode any.
///
/// ```
/// use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
/// use tero_semantics::content_coding::{AcceptedCodings, ContentCoding};
///
/// let accepted = |value| {
///     let value = HeaderValue::from_static(value);
///     AcceptedCodings::of(&HeaderMap::from_iter([(ACCEPT_ENCODING, value)]))
/// };
/// let offered = [ContentCoding::Br, ContentCoding::Gzip];
/// assert_eq!(accepted("gzip, br").preferred(offered), Some(ContentCoding::Br));
/// assert_eq!(accepted("gzip, br;q=0.5").preferred(offered), Some(ContentCoding::Gzip));
/// assert_eq!(accepted("zstd, identity, br;q=0").preferred(offered), None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AcceptedCodings {
    /// In thousandths, for each of [`KNOWN`]; 0 for one that is refused or not listed.
    weights: [u16; KNOWN.len()],
    /// That of `identity` where it is listed, else 0.
    identity: u16,
}

impl AcceptedCodings {
    const fn of_weights(weights: [u16; KNOWN.len()]) -> AcceptedCodings {
        AcceptedCodings {
            weights,
            identity: 0,
        }
    }

    /// The codings that a request accepts. Of a coding that is listed more than once, the greatest
    /// weight counts.
    #[inline]
    pub fn of(request: &HeaderMap) -> AcceptedCodings {
        let mut lines = request.get_all(ACCEPT_ENCODING).iter();
        let Some(first) = lines.next() else {
            return AcceptedCodings::default();
        };
        if lines.next().is_none() {
            let usual = USUAL.iter().find(|(text, _)| *text == first.as_bytes());
            if let Some((_, codings)) = usual {
                return *codings;
            }
        }
        AcceptedCodings::read(request)
    }

    fn read(request: &HeaderMap) -> AcceptedCodings {
        let mut weights = [None; KNOWN.len()];
        let (mut identity, mut star) = (None, 0);
        for WeightedMember { value, weight } in weighted_members(&ACCEPT_ENCODING, request) {
            match known(value) {
                Some(at) => weights[at] = weights[at].max(Some(weight)),
                None if value == b"*" => star = star.max(weight),
                None if value.eq_ignore_ascii_case(b"identity") => {
                    identity = identity.max(Some(weight));
                }
                None => {}
            }
        }
        AcceptedCodings {
            weights: weights.map(|weight| weight.unwrap_or(star)),
            identity: identity.unwrap_or(0),
        }
    }

    /// The weight of a coding, in thousandths; 0 if it is not accepted.
    #[inline]
    pub fn weight(&self, coding: ContentCoding) -> u16 {
        self.weights[coding.index()]
    }

    /// The coding that the request wants most, of those that are offered; of several that it wants
    /// alike, the first. `None` if it accepts none of them, or wants `identity` more.
    #[inline]
    pub fn preferred(
        &self,
        offered: impl IntoIterator<Item = ContentCoding>,
    ) -> Option<ContentCoding> {
        let (mut best, mut least) = (None, self.identity.max(1));
        for coding in offered {
            let weight = self.weight(coding);
            if weight >= least {
                (best, least) = (Some(coding), weight + 1);
            }
        }
        best
    }

    /// Those of [`KNOWN`] that are accepted, one bit for each.
    pub(crate) fn set(&self) -> u8 {
        let bits = self.weights.iter().enumerate();
        bits.fold(0, |set, (at, weight)| set | u8::from(*weight > 0) << at)
    }
}

/// Whether a response has a content coding other than `identity`.
pub fn is_coded(response: &HeaderMap) -> bool {
    response.contains_key(CONTENT_ENCODING) && codings_of(response).next().is_some()
}

/// Whether a request accepts every coding in `codings`, the value of a `Content-Encoding`.
///
/// ```
/// use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
/// use tero_semantics::content_coding::accepts_all;
///
/// let value = HeaderValue::from_static("gzip;q=0.5, compress");
/// let request = HeaderMap::from_iter([(ACCEPT_ENCODING, value)]);
/// assert!(accepts_all(&request, b"GZIP, compress"));
/// assert!(!accepts_all(&request, b"gzip, br"));
/// assert!(!accepts_all(&HeaderMap::new(), b"gzip"));
/// ```
pub fn accepts_all(request: &HeaderMap, codings: &[u8]) -> bool {
    let accepted = AcceptedCodings::of(request);
    list_members(codings).filter(is_real).all(|coding| {
        known(coding).map_or_else(
            || accepts_unknown(request, coding),
            |at| accepted.weights[at] > 0,
        )
    })
}

/// A coding that is not one of [`KNOWN`] has to be listed, or `*`.
fn accepts_unknown(request: &HeaderMap, coding: &[u8]) -> bool {
    let weight = |name: &[u8]| {
        weighted_members(&ACCEPT_ENCODING, request)
            .filter(|member| member.value.eq_ignore_ascii_case(name))
            .map(|member| member.weight)
            .max()
    };
    weight(coding).or_else(|| weight(b"*")).unwrap_or(0) > 0
}

/// The codings of a response in the order in which they were applied, without `identity`.
pub(crate) fn codings_of(response: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = response.get_all(CONTENT_ENCODING).iter();
    let members = lines.flat_map(|line: &HeaderValue| list_members(line.as_bytes()));
    members.filter(is_real)
}

fn is_real(coding: &&[u8]) -> bool {
    !coding.eq_ignore_ascii_case(b"identity")
}

/// The place of a coding in [`KNOWN`]. `x-gzip` is `gzip` (§8.4.1.3).
fn known(coding: &[u8]) -> Option<usize> {
    let coding = if coding.eq_ignore_ascii_case(b"x-gzip") {
        b"gzip"
    } else {
        coding
    };
    KNOWN
        .iter()
        .position(|known| coding.eq_ignore_ascii_case(known.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    fn accepted(lines: &[&str]) -> AcceptedCodings {
        let lines: Vec<_> = lines
            .iter()
            .map(|line| ("accept-encoding", *line))
            .collect();
        AcceptedCodings::of(&headers(&lines))
    }

    #[test]
    fn the_most_wanted_coding_is_chosen_and_of_equals_the_first_that_is_offered() {
        use ContentCoding::{Br, Gzip, Zstd};
        let check = |lines: &[&str], expected: Option<ContentCoding>| {
            assert_eq!(
                accepted(lines).preferred([Br, Zstd, Gzip]),
                expected,
                "{lines:?}"
            );
        };
        check(&["gzip, deflate, br, zstd"], Some(Br));
        check(&["gzip,deflate,zstd"], Some(Zstd));
        check(&["gzip", "br;q=0.9"], Some(Gzip));
        check(&["zstd;q=0.001"], Some(Zstd));
        check(&["X-GZIP"], Some(Gzip));
        check(&["BR;Q=1.0, gzip;q=1"], Some(Br));
        for none in [
            &[][..],
            &[""],
            &["identity"],
            &["deflate, compress, dcb"],
            &["gzip;q=0, br;q=0.000"],
            &["*;q=0"],
            &["gzip ; q=0"],
            &["gzip;q=0.4, identity;q=0.5"],
            &["identity;q=1, *;q=0"],
            &["identity;q=0"],
            &["gzipx, br2, *x"],
        ] {
            check(none, None);
        }
        // A star stands for what is not listed.
        check(&["*"], Some(Br));
        check(&["br;q=0, *;q=0.1"], Some(Zstd));
        check(&["*;q=0, gzip"], Some(Gzip));
        check(&["*;q=0.5, gzip"], Some(Gzip));
        check(&["*;q=0.5, identity;q=0.6"], None);
        // As much as identity is enough.
        check(&["gzip, identity"], Some(Gzip));
        // The greatest weight of one that is repeated; a malformed weight is 1.
        check(&["gzip;q=0, gzip"], Some(Gzip));
        check(&["gzip;q=nonsense, br;q=0.9"], Some(Gzip));
        check(&["gzip;level=9;q=0.5, br;q=0.4"], Some(Br));
        let long = format!("{}br", "x-unknown;q=0.3, ".repeat(5_000));
        check(&[&long], Some(Br));
    }

    #[test]
    fn the_usual_values_are_read_as_all_others_are() {
        for (text, codings) in USUAL {
            let text = std::str::from_utf8(text).unwrap();
            assert_eq!(accepted(&[text]), codings);
            assert_eq!(accepted(&[&format!("{text} ")]), codings);
        }
    }

    #[test]
    fn only_what_is_offered_is_chosen() {
        assert_eq!(
            accepted(&["br, gzip;q=0.1"]).preferred([ContentCoding::Gzip]),
            Some(ContentCoding::Gzip)
        );
        assert_eq!(accepted(&["br"]).preferred([]), None);
    }

    #[test]
    fn a_response_is_coded_unless_it_says_identity() {
        for (value, coded) in [
            ("gzip", true),
            ("identity", false),
            ("", false),
            (" Identity , br", true),
            ("unheard-of", true),
        ] {
            assert_eq!(is_coded(&headers(&[("content-encoding", value)])), coded);
        }
        assert!(!is_coded(&HeaderMap::new()));
    }

    #[test]
    fn every_coding_of_a_response_has_to_be_accepted() {
        let accepts = |request: &str, codings: &str| {
            accepts_all(
                &headers(&[("accept-encoding", request)]),
                codings.as_bytes(),
            )
        };
        assert!(accepts("gzip, br", "gzip"));
        assert!(accepts("gzip", "x-gzip, identity"));
        assert!(accepts("*", "compress, br"));
        assert!(accepts("compress", "Compress"));
        assert!(!accepts("gzip", "gzip, br"));
        assert!(!accepts("gzip;q=0, *", "gzip"));
        assert!(!accepts("compress;q=0, *", "compress"));
        assert!(!accepts("", "br"));
    }
}
