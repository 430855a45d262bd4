//! How a stale response says that it is stale, to whoever gets it.
//!
//! A response may be stale here while its own fields still give it a lifetime: it was purged softly,
//! or a policy or the operator made the lifetime shorter. Then `Age` tells so much that no recipient
//! finds freshness left (RFC 9111 §4.2). Without that, an outer tier or a browser would make fresh
//! again what was purged here.

use std::time::Duration;

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::cache_control::ResponseDirectives;
use super::freshness::{Freshness, browser_lifetime, header_lifetime};
use super::timestamp::Timestamp;

/// The greatest `Age` (RFC 9111 §1.2.2).
const MAX_AGE: Duration = Duration::from_secs(1 << 31);

/// What the fields of a stale response say of its lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaleAge {
    /// The `Age` to send.
    pub age: Duration,
    /// Whether a lifetime of zero is to be added ([`spend_lifetime`]), since a recipient may guess
    /// one of its own (§4.2.2).
    pub lacks_lifetime: bool,
}

/// The age to send with a response that is served stale at `now`. `headers` are its own fields,
/// `targeted` are the fields before `Cache-Control` (RFC 9213), `wall` is what the system's clock
/// shows.
///
/// ```
/// use std::time::Duration;
/// use http::StatusCode;
/// use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
/// use tero_semantics::cache_control::ResponseDirectives;
/// use tero_semantics::decision::ResponseDecision;
/// use tero_semantics::freshness::{Freshness, FreshnessInput, SiteDefaults};
/// use tero_semantics::stale_age::stale_age;
/// use tero_semantics::timestamp::Timestamp;
///
/// let came = Timestamp::from_unix_secs(1_773_144_000);
/// let response = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static("max-age=3600"))]);
/// let freshness = Freshness::of(&FreshnessInput {
///     status: StatusCode::OK,
///     response_headers: &response,
///     directives: &ResponseDirectives::of(&response),
///     decision: &ResponseDecision::default(),
///     defaults: SiteDefaults::default(),
///     request_time: came,
///     response_time: came,
/// });
/// // It is purged softly when it is 10 seconds old, and served 5 seconds later.
/// let at = |secs| came.saturating_add(Duration::from_secs(secs));
/// let told = stale_age(&freshness.made_stale(at(10)), &response, &[], at(15), at(15));
/// assert_eq!(told.age, Duration::from_secs(3_605));
/// ```
pub fn stale_age(
    freshness: &Freshness,
    headers: &HeaderMap,
    targeted: &[HeaderName],
    now: Timestamp,
    wall: Timestamp,
) -> StaleAge {
    let age = freshness.age(now);
    let governing = ResponseDirectives::governing(headers, targeted);
    let own = header_lifetime(headers, &governing, wall);
    // It has grown stale by its own fields: each recipient sees that, and by its own directive.
    if own.is_some_and(|own| freshness.ends_after(own)) {
        return StaleAge {
            age,
            lacks_lifetime: false,
        };
    }
    let plain = ResponseDirectives::of(headers);
    let for_others = header_lifetime(headers, &plain, wall);
    let for_browsers = browser_lifetime(headers, &plain, wall);
    let longest = own.max(for_others).max(for_browsers).unwrap_or_default();
    let spent = longest
        .saturating_add(freshness.staleness(now))
        .min(MAX_AGE);
    StaleAge {
        age: age.max(spent),
        lacks_lifetime: for_others.is_none(),
    }
}

/// Gives a response a lifetime of zero.
///
/// ```
/// use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
/// use tero_semantics::stale_age::spend_lifetime;
///
/// let mut response = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static("public"))]);
/// spend_lifetime(&mut response);
/// assert!(response.get_all(CACHE_CONTROL).iter().eq(["public", "max-age=0"]));
/// ```
pub fn spend_lifetime(headers: &mut HeaderMap) {
    headers.append(CACHE_CONTROL, HeaderValue::from_static("max-age=0"));
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::super::decision::ResponseDecision;
    use super::super::freshness::{FreshnessInput, SiteDefaults};
    use super::super::testing::{NOON, headers};
    use super::*;

    const CDN: HeaderName = HeaderName::from_static("cdn-cache-control");

    /// The age and the lack of a lifetime, so many seconds after a response came, which was purged
    /// when it was that old.
    fn told(
        lines: &[(&str, &str)],
        ttl: Option<u64>,
        purged_at: Option<u64>,
        secs: u64,
    ) -> (u64, bool) {
        let headers = headers(lines);
        let targeted = [CDN];
        let decision = ResponseDecision {
            ttl: ttl.map(Duration::from_secs),
            ..ResponseDecision::default()
        };
        let mut freshness = Freshness::of(&FreshnessInput {
            status: StatusCode::OK,
            response_headers: &headers,
            directives: &ResponseDirectives::governing(&headers, &targeted),
            decision: &decision,
            defaults: SiteDefaults::default(),
            request_time: NOON,
            response_time: NOON,
        });
        let at = |secs| NOON.saturating_add(Duration::from_secs(secs));
        if let Some(purged_at) = purged_at {
            freshness = freshness.made_stale(at(purged_at));
        }
        let told = stale_age(&freshness, &headers, &targeted, at(secs), at(secs));
        (told.age.as_secs(), told.lacks_lifetime)
    }

    #[test]
    fn no_recipient_finds_freshness_left() {
        let cases: [(&[(&str, &str)], _, _, _, _); 10] = [
            // Stale by its own fields: nothing to add.
            (
                &[("cache-control", "max-age=60")],
                None,
                None,
                60,
                (60, false),
            ),
            (
                &[("cache-control", "s-maxage=60, max-age=600")],
                None,
                None,
                61,
                (61, false),
            ),
            // Fresh for longer than by its own fields.
            (
                &[("cache-control", "max-age=60")],
                Some(300),
                None,
                310,
                (310, false),
            ),
            // Purged, or shortened by a policy: the longest lifetime of any recipient is spent.
            (
                &[("cache-control", "max-age=600")],
                None,
                Some(10),
                10,
                (600, false),
            ),
            (
                &[("cache-control", "s-maxage=60, max-age=600")],
                None,
                Some(10),
                15,
                (605, false),
            ),
            (
                &[("cache-control", "max-age=600")],
                Some(20),
                None,
                25,
                (605, false),
            ),
            (
                &[("cache-control", "s-maxage=60, max-age=600")],
                Some(300),
                Some(99),
                100,
                (601, false),
            ),
            (
                &[
                    ("cdn-cache-control", "max-age=900"),
                    ("cache-control", "max-age=60"),
                ],
                None,
                Some(0),
                1,
                (901, false),
            ),
            // No lifetime of its own.
            (&[("etag", "\"x\"")], Some(20), None, 25, (25, true)),
            (
                &[("cdn-cache-control", "max-age=900")],
                None,
                Some(0),
                1,
                (901, true),
            ),
        ];
        for (lines, ttl, purged_at, secs, expected) in cases {
            assert_eq!(told(lines, ttl, purged_at, secs), expected, "{lines:?}");
        }
    }

    #[test]
    fn the_age_is_within_what_the_rfc_allows() {
        let year = [("cache-control", "max-age=2147483648")];
        assert_eq!(told(&year, None, Some(0), 10), (1 << 31, false));
    }
}
