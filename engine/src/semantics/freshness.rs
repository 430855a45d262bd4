//! How long a stored response is fresh, and how old it is (RFC 9111 §4.2), and how long after that it may be used stale (RFC 5861).
//!
//! Ages follow §4.2.3 to the letter, the origin's thinking time included. A policy's TTL is different in kind: it is the operator's
//! own promise, so it replaces the response's fields, `no-cache` included, and counts from the response's arrival here, whatever
//! `Age` the response came with; `Age` still tells the true age.

use std::time::Duration;

use http::StatusCode;
use http::header::{AGE, DATE, EXPIRES, HeaderMap, HeaderValue, LAST_MODIFIED};

use super::cache_control::{ResponseDirectives, delta_seconds, list_members};
use super::decision::ResponseDecision;
use super::timestamp::Timestamp;
use super::validation::has_validator;

/// The longest heuristic lifetime: a day. The RFC leaves the bound to us (§4.2.2); a page that nobody gave a lifetime should not
/// outlive the day it was last looked at.
pub const MAX_HEURISTIC: Duration = Duration::from_secs(24 * 60 * 60);

/// The part of the time since `Last-Modified` that a heuristic lifetime lasts: a tenth (§4.2.2).
const HEURISTIC_DIVISOR: u32 = 10;

/// How long a response that has been fresh may be used stale where it says nothing itself: the site's defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StaleDefaults {
    /// RFC 5861 §4
    pub stale_if_error: Duration,
    /// RFC 5861 §3
    pub stale_while_revalidate: Duration,
}

/// All that a response's freshness follows from.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The status of the response; of the stored response where a 304 freshened it.
    pub status: StatusCode,
    /// The response's fields, `Age` among them: as they came, or as a 304 freshened them.
    pub response_headers: &'a HeaderMap,
    /// The directives that govern.
    pub directives: &'a ResponseDirectives,
    /// What the policies decided.
    pub decision: &'a ResponseDecision,
    /// What the site says where the response says nothing.
    pub defaults: StaleDefaults,
    /// When the request was sent (§4.2.3).
    pub request_time: Timestamp,
    /// When the response's head came (§4.2.3).
    pub response_time: Timestamp,
}

/// What gave a response its freshness lifetime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LifetimeSource {
    /// A policy's TTL.
    Policy,
    /// A targeted field (RFC 9213).
    Targeted,
    /// `s-maxage`
    SMaxage,
    /// `max-age`
    MaxAge,
    /// `Expires`
    Expires,
    /// `Last-Modified` (§4.2.2)
    Heuristic,
    /// Nothing: the response was never fresh.
    #[default]
    None,
}

impl LifetimeSource {
    /// The name in logs and explanations.
    pub fn as_str(self) -> &'static str {
        match self {
            LifetimeSource::Policy => "policy",
            LifetimeSource::Targeted => "targeted",
            LifetimeSource::SMaxage => "s-maxage",
            LifetimeSource::MaxAge => "max-age",
            LifetimeSource::Expires => "expires",
            LifetimeSource::Heuristic => "heuristic",
            LifetimeSource::None => "none",
        }
    }

    /// Whether the lifetime was given, rather than guessed or absent.
    pub fn is_explicit(self) -> bool {
        !matches!(self, LifetimeSource::Heuristic | LifetimeSource::None)
    }
}

/// The freshness of a stored response, fixed at the moment when it came; only a revalidation or a soft purge changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// When its age was zero.
    born: Timestamp,
    fresh_until: Timestamp,
    lifetime_secs: u32,
    while_revalidate_secs: u32,
    if_error_secs: u32,
    source: LifetimeSource,
    must_validate: bool,
    forbids_stale: bool,
}

impl Freshness {
    /// From all that it follows from.
    pub fn of(terms: &Terms<'_>) -> Freshness {
        let Terms { directives, decision, response_time, .. } = *terms;
        let born = response_time.saturating_sub(initial_age(terms));
        let by_fields = || {
            let (lifetime, source) = field_lifetime(terms.status, terms.response_headers, directives, response_time);
            (lifetime, source, born.saturating_add(lifetime))
        };
        let must_validate = decision.ttl.is_none() && directives.no_cache.is_all();
        let (lifetime, source, fresh_until) = match decision.ttl {
            Some(ttl) => (ttl, LifetimeSource::Policy, response_time.saturating_add(ttl)),
            // `no-cache` means never fresh without validation (§5.2.2.4), whatever the lifetime.
            None if must_validate => (Duration::ZERO, by_fields().1, born),
            None => by_fields(),
        };
        // Only a policy may say "stale" where the response forbids it (§4.2.4). The site's default is for what has been fresh: `max-age=0`
        // is what many applications write on a page that is one visitor's, and it must not outlive its own answer.
        let forbids_stale = directives.forbids_stale();
        let has_been_fresh = fresh_until > response_time;
        let stale = |decided: Option<Duration>, said: Option<Duration>, default: Duration| match decided {
            Some(decided) => decided,
            None if forbids_stale => Duration::ZERO,
            None => said.unwrap_or(if has_been_fresh { default } else { Duration::ZERO }),
        };
        Freshness {
            born,
            fresh_until,
            lifetime_secs: secs(lifetime),
            while_revalidate_secs: secs(stale(
                decision.stale_while_revalidate,
                directives.stale_while_revalidate,
                terms.defaults.stale_while_revalidate,
            )),
            if_error_secs: secs(stale(decision.stale_if_error, directives.stale_if_error, terms.defaults.stale_if_error)),
            source,
            must_validate,
            forbids_stale,
        }
    }

    /// The current age (§4.2.3), which `Age` tells in whole seconds rounded down.
    pub fn age(&self, now: Timestamp) -> Duration {
        now.since(self.born)
    }

    /// The freshness lifetime (§4.2.1), counted from birth; from arrival where a policy gave it.
    pub fn lifetime(&self) -> Duration {
        Duration::from_secs(self.lifetime_secs.into())
    }

    /// What gave the lifetime.
    pub fn source(&self) -> LifetimeSource {
        self.source
    }

    /// Whether it is fresh: its lifetime exceeds its age (§4.2).
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        now < self.fresh_until
    }

    /// Seconds of freshness that are left, the one that has begun included, so that `Age` and this add up to the lifetime; negative
    /// once stale. The `ttl` of `Cache-Status` (RFC 9211 §2.5).
    pub fn remaining_secs(&self, now: Timestamp) -> i64 {
        let millis = self.fresh_until.unix_millis().saturating_sub(now.unix_millis());
        if millis > 0 { millis.saturating_add(999) / 1_000 } else { millis.div_euclid(1_000) }
    }

    /// For how long it has been stale; zero while it is fresh.
    pub fn staleness(&self, now: Timestamp) -> Duration {
        now.since(self.fresh_until)
    }

    /// When freshness ends.
    pub fn fresh_until(&self) -> Timestamp {
        self.fresh_until
    }

    /// When the response is of no more use without a validator: freshness and both windows of staleness are over.
    pub fn usable_until(&self) -> Timestamp {
        let window = self.while_revalidate_secs.max(self.if_error_secs);
        self.fresh_until.saturating_add(Duration::from_secs(window.into()))
    }

    /// Whether anything but a client's own leave could ever use it after `now`: it is fresh or has a window of staleness left, or what is
    /// stored has a validator. What never could is better not kept.
    pub fn is_worth_keeping(&self, stored: &HeaderMap, now: Timestamp) -> bool {
        now < self.usable_until() || has_validator(stored)
    }

    /// Whether it may be used stale now while it is revalidated (RFC 5861 §3).
    pub fn allows_while_revalidate(&self, now: Timestamp) -> bool {
        self.staleness(now) < Duration::from_secs(self.while_revalidate_secs.into())
    }

    /// Whether it may be used stale now because the next hop failed (RFC 5861 §4).
    pub fn allows_if_error(&self, now: Timestamp) -> bool {
        self.staleness(now) < Duration::from_secs(self.if_error_secs.into())
    }

    /// Whether `no-cache` demands validation before every use (§5.2.2.4).
    pub fn must_validate(&self) -> bool {
        self.must_validate
    }

    /// Whether the response's own directives forbid using it stale (§4.2.4), so that no client may ask for it either.
    pub fn forbids_stale(&self) -> bool {
        self.forbids_stale
    }

    /// The same response after a soft purge: stale from `now` on, its windows of staleness open from `now` unless they opened before.
    pub fn made_stale(&self, now: Timestamp) -> Freshness {
        Freshness { fresh_until: self.fresh_until.min(now), ..*self }
    }
}

fn secs(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

/// The lifetime that the response's own fields give a shared cache (§4.2.1); none where they give none, so that only a guess is left.
pub fn header_lifetime(headers: &HeaderMap, directives: &ResponseDirectives, response_time: Timestamp) -> Option<Duration> {
    explicit_lifetime(headers, directives, response_time).map(|(lifetime, _)| lifetime)
}

/// The lifetime that the response's own fields give a private cache, as browsers have (§4.2.1); none where they give none.
pub fn browser_lifetime(headers: &HeaderMap, response_time: Timestamp) -> Option<Duration> {
    let directives = ResponseDirectives { s_maxage: None, ..ResponseDirectives::of(headers) };
    header_lifetime(headers, &directives, response_time)
}

/// The lifetime by the response's fields or, where they give none, by heuristic.
pub fn field_lifetime(
    status: StatusCode,
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    response_time: Timestamp,
) -> (Duration, LifetimeSource) {
    explicit_lifetime(headers, directives, response_time)
        .or_else(|| heuristic_lifetime(status, headers, directives, response_time))
        .unwrap_or_default()
}

fn explicit_lifetime(
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    response_time: Timestamp,
) -> Option<(Duration, LifetimeSource)> {
    let is_targeted = directives.targeted.is_some();
    // §4.2.1: `s-maxage` before `max-age` before `Expires`; where a targeted field governs, `Expires` counts no more (RFC 9213 §2.2).
    if let Some(lifetime) = directives.s_maxage {
        return Some((lifetime, if is_targeted { LifetimeSource::Targeted } else { LifetimeSource::SMaxage }));
    }
    if let Some(lifetime) = directives.max_age {
        return Some((lifetime, if is_targeted { LifetimeSource::Targeted } else { LifetimeSource::MaxAge }));
    }
    if is_targeted {
        return None;
    }
    // A value that isn't a date, above all "0", is a time in the past (§5.3).
    let expires = headers.get(EXPIRES)?;
    let lifetime = http_date(expires).map_or(Duration::ZERO, |expires| expires.since(date_or(headers, response_time)));
    Some((lifetime, LifetimeSource::Expires))
}

fn heuristic_lifetime(
    status: StatusCode,
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    response_time: Timestamp,
) -> Option<(Duration, LifetimeSource)> {
    // §4.2.2: only where the status is defined as heuristically cacheable or the response is marked `public`.
    if !is_heuristically_cacheable(status) && !directives.public {
        return None;
    }
    let modified = http_date(headers.get(LAST_MODIFIED)?)?;
    let lifetime = date_or(headers, response_time).since(modified) / HEURISTIC_DIVISOR;
    Some((lifetime.min(MAX_HEURISTIC), LifetimeSource::Heuristic)).filter(|(lifetime, _)| !lifetime.is_zero())
}

/// Statuses that RFC 9110 §15.1 defines as heuristically cacheable.
pub fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// The corrected initial age (§4.2.3), in the RFC's names. The apparent age is reckoned in whole seconds, as `Date` has no finer ones.
fn initial_age(terms: &Terms<'_>) -> Duration {
    let response_secs = Timestamp::from_unix_secs(terms.response_time.unix_secs());
    let date_value = terms.response_headers.get(DATE).and_then(http_date).unwrap_or(response_secs);
    let apparent_age = response_secs.since(date_value);
    let response_delay = terms.response_time.since(terms.request_time);
    let corrected_age_value = age_value(terms.response_headers).saturating_add(response_delay);
    apparent_age.max(corrected_age_value)
}

/// What `Age` says: its first member counts, and if that isn't a number the field is ignored (§5.1).
pub fn age_value(headers: &HeaderMap) -> Duration {
    let first = headers.get(AGE).and_then(|line| list_members(line.as_bytes()).next());
    first.and_then(delta_seconds).unwrap_or(Duration::ZERO)
}

/// `Date`, or the time of arrival where that is missing or wrong (RFC 9110 §6.6.1).
pub fn date_or(headers: &HeaderMap, response_time: Timestamp) -> Timestamp {
    headers.get(DATE).and_then(http_date).unwrap_or(Timestamp::from_unix_secs(response_time.unix_secs()))
}

/// An HTTP date in any of its three forms (RFC 9110 §5.6.7); none where it is anything else.
pub fn http_date(value: &HeaderValue) -> Option<Timestamp> {
    let time = httpdate::parse_http_date(value.to_str().ok()?).ok()?;
    let since_epoch = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since_epoch.as_secs()).ok().map(Timestamp::from_unix_secs)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Lines, NOON, date, headers};
    use super::*;

    const DAY: i64 = 24 * 60 * 60;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn after(secs: i64) -> Timestamp {
        Timestamp::from_unix_secs(NOON.unix_secs() + secs)
    }

    /// A 200 that came at noon, at once, from a site without defaults.
    fn freshness(lines: Lines<'_>, decision: &ResponseDecision) -> Freshness {
        let headers = headers(lines);
        let targets = [http::HeaderName::from_static("cdn-cache-control")];
        Freshness::of(&Terms {
            status: StatusCode::OK,
            response_headers: &headers,
            directives: &ResponseDirectives::governing(&headers, &targets),
            decision,
            defaults: StaleDefaults::default(),
            request_time: NOON,
            response_time: NOON,
        })
    }

    fn by_fields(lines: Lines<'_>) -> Freshness {
        freshness(lines, &ResponseDecision::default())
    }

    #[test]
    fn the_lifetime_is_taken_from_the_first_that_gives_one() {
        use LifetimeSource::{Expires, Heuristic, MaxAge, None, SMaxage, Targeted};
        let (now, soon, later, past) = (date(0), date(10), date(300), date(-10));
        let (yesterday, last_year) = (date(-DAY), date(-365 * DAY));
        let cc = "cache-control";
        let rows: &[(Lines<'_>, u64, LifetimeSource)] = &[
            (&[], 0, None),
            (&[(cc, "public")], 0, None),
            (&[(cc, "s-maxage=1, max-age=2"), ("expires", &soon)], 1, SMaxage),
            (&[(cc, "max-age=2, s-maxage=1")], 1, SMaxage),
            (&[(cc, "max-age=2"), ("expires", &soon)], 2, MaxAge),
            (&[(cc, "max-age=2"), ("expires", "0")], 2, MaxAge),
            (&[(cc, "max-age=0"), ("expires", &soon)], 0, MaxAge),
            (&[(cc, "max-age=x"), ("expires", &soon), ("last-modified", &yesterday)], 0, MaxAge),
            (&[("cdn-cache-control", "max-age=3"), (cc, "max-age=2"), ("expires", &past)], 3, Targeted),
            // Where a targeted field governs without a lifetime, `Expires` gives none either (RFC 9213 §2.2).
            (&[("cdn-cache-control", "foo"), (cc, "max-age=2"), ("expires", &soon)], 0, None),
            (&[("expires", &soon)], 10, Expires),
            (&[("expires", &soon), ("date", &now)], 10, Expires),
            (&[("expires", &soon), ("date", &past)], 20, Expires),
            (&[("expires", &now), ("date", &now)], 0, Expires),
            (&[("expires", &past), ("date", &now)], 0, Expires),
            (&[("expires", &soon), ("date", &later)], 0, Expires),
            (&[("expires", &soon), ("date", "foo")], 10, Expires),
            (&[("expires", &soon), ("expires", &later)], 10, Expires),
            (&[("expires", "0"), ("last-modified", &yesterday)], 0, Expires),
            (&[("last-modified", &yesterday), ("date", &now)], 8_640, Heuristic),
            (&[("last-modified", &yesterday)], 8_640, Heuristic),
            (&[("last-modified", &last_year)], 86_400, Heuristic),
            (&[("last-modified", &now)], 0, None),
            (&[("last-modified", &soon)], 0, None),
            (&[("last-modified", "foo")], 0, None),
            (&[("last-modified", &yesterday), ("pragma", "no-cache")], 8_640, Heuristic),
        ];
        for (lines, lifetime, source) in rows {
            let freshness = by_fields(lines);
            assert_eq!((freshness.lifetime(), freshness.source()), (secs(*lifetime), *source), "{lines:?}");
            let headers = headers(lines);
            let directives = ResponseDirectives::governing(&headers, &[http::HeaderName::from_static("cdn-cache-control")]);
            let explicit = source.is_explicit().then(|| secs(*lifetime));
            assert_eq!(header_lifetime(&headers, &directives, NOON), explicit, "{lines:?}");
        }
    }

    #[test]
    fn guesses_are_made_only_for_statuses_that_allow_them() {
        let modified = headers(&[("last-modified", &date(-DAY))]);
        let public = ResponseDirectives { public: true, ..ResponseDirectives::default() };
        for status in 200..=599 {
            let status = StatusCode::from_u16(status).unwrap();
            let guess = |directives: &ResponseDirectives| field_lifetime(status, &modified, directives, NOON).0 > Duration::ZERO;
            let allowed = [200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501].contains(&status.as_u16());
            assert_eq!(guess(&ResponseDirectives::default()), allowed, "{status}");
            assert!(guess(&public), "{status}");
        }
    }

    #[test]
    fn dates_are_read_in_three_forms_and_no_other() {
        let good = ["Thu, 18 Aug 2050 02:01:18 GMT", "Thursday, 18-Aug-50 02:01:18 GMT", "Thu Aug 18 02:01:18 2050"];
        for text in good {
            let time = http_date(&HeaderValue::from_str(text).unwrap());
            assert_eq!(time, Some(Timestamp::from_unix_secs(2_544_400_878)), "{text}");
        }
        let bad: &[&[u8]] = &[
            b"0",
            b"-1",
            b"",
            b"foo",
            b"2544400878",
            b"2050-08-18T02:01:18Z",
            b"THU, 18 Aug 2050 02:01:18 GMT",
            b"Thu, 18 AUG 2050 02:01:18 GMT",
            b"Thu, 18 Aug 2050 02:01:18 gMT",
            b"Thu, 18 Aug 2050 02:01:18 UTC",
            b"Thu, 18 Aug 2050 02:01:18",
            b"Thu, 18 Aug 50 02:01:18 GMT",
            b"Thu 18 Aug 2050 02:01:18 GMT",
            b"Thu, 18  Aug  2050 02:01:18 GMT",
            b"Thu, 18-Aug-2050 02:01:18 GMT",
            b"Thu, 18 Aug 2050 02.01.18 GMT",
            b"Thu, 18 Aug 2050 2:01:18 GMT",
            b"Thu, 18 Aug 2050 24:01:18 GMT",
            b"Thu, 32 Aug 2050 02:01:18 GMT",
            b"Thu, 18 Aug 1950 02:01:18 GMT",
            b"Thu, 18 Aug 2050 02:01:18 GMT\xff",
        ];
        for text in bad {
            assert_eq!(http_date(&HeaderValue::from_bytes(text).unwrap()), None, "{:?}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn the_initial_age_is_the_greater_of_what_date_and_age_say() {
        // Date relative to noon, Age, how long the answer took in milliseconds, and the age at noon in milliseconds.
        let rows: &[(Option<i64>, &[&str], i64, u64)] = &[
            (None, &[], 0, 0),
            (None, &[], 1_500, 1_500),
            (Some(0), &["15"], 0, 15_000),
            (Some(0), &["15"], 2_000, 17_000),
            (Some(-10), &[], 0, 10_000),
            (Some(-10), &["5"], 0, 10_000),
            (Some(-10), &["9"], 1_500, 10_500),
            (Some(10), &[], 0, 0),
            (Some(10), &["15"], 0, 15_000),
            (None, &["015"], 0, 15_000),
            (None, &["2147483649"], 0, 2_147_483_648_000),
            (None, &["99999999999999999999"], 0, 2_147_483_648_000),
            // A list: the first counts. Nonsense: ignored (§5.1).
            (None, &["7200,0"], 0, 7_200_000),
            (None, &["7200", "0"], 0, 7_200_000),
            (None, &["0,7200"], 0, 0),
            (None, &["0", "7200"], 0, 0),
            (None, &["7200, 7200"], 0, 7_200_000),
            (None, &["abc"], 0, 0),
            (None, &["-7200"], 0, 0),
            (None, &["7200.0"], 0, 0),
            (None, &["7200;a=b"], 0, 0),
            (None, &["abc, 7200"], 0, 0),
            (None, &[""], 0, 0),
        ];
        for (at, ages, delay, expected) in rows {
            let mut lines: Vec<(&str, String)> = ages.iter().map(|age| ("age", (*age).to_owned())).collect();
            lines.extend(at.map(|at| ("date", date(at))));
            let lines: Vec<(&str, &str)> = lines.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let headers = headers(&lines);
            let freshness = Freshness::of(&Terms {
                status: StatusCode::OK,
                response_headers: &headers,
                directives: &ResponseDirectives::default(),
                decision: &ResponseDecision::default(),
                defaults: StaleDefaults::default(),
                request_time: Timestamp::from_unix_millis(NOON.unix_millis() - delay),
                response_time: NOON,
            });
            assert_eq!(freshness.age(NOON), Duration::from_millis(*expected), "{lines:?} {delay}");
        }
    }

    #[test]
    fn a_date_in_the_same_second_makes_no_age() {
        let headers = headers(&[("date", &date(0)), ("cache-control", "max-age=1")]);
        let arrival = Timestamp::from_unix_millis(NOON.unix_millis() + 999);
        let freshness = Freshness::of(&Terms {
            status: StatusCode::OK,
            response_headers: &headers,
            directives: &ResponseDirectives::of(&headers),
            decision: &ResponseDecision::default(),
            defaults: StaleDefaults::default(),
            request_time: arrival,
            response_time: arrival,
        });
        assert_eq!(freshness.age(arrival), Duration::ZERO);
    }

    #[test]
    fn freshness_ends_with_the_last_millisecond_of_the_lifetime() {
        let freshness = by_fields(&[("cache-control", "max-age=10"), ("age", "3")]);
        let at = |millis: i64| Timestamp::from_unix_millis(NOON.unix_millis() + millis);
        for (millis, fresh, remaining, age) in [
            (0, true, 7, 3),
            (1, true, 7, 3),
            (6_000, true, 1, 9),
            (6_999, true, 1, 9),
            (7_000, false, 0, 10),
            (7_001, false, -1, 10),
            (8_000, false, -1, 11),
        ] {
            let now = at(millis);
            let seen = (freshness.is_fresh(now), freshness.remaining_secs(now), freshness.age(now).as_secs());
            assert_eq!(seen, (fresh, remaining, age), "{millis}");
        }
    }

    #[test]
    fn a_policys_ttl_replaces_the_fields_and_counts_from_arrival() {
        let decision = ResponseDecision { ttl: Some(secs(60)), ..ResponseDecision::default() };
        for line in ["max-age=5", "s-maxage=0", "no-cache", "max-age=x"] {
            let freshness = freshness(&[("cache-control", line), ("age", "1000")], &decision);
            assert_eq!((freshness.lifetime(), freshness.source()), (secs(60), LifetimeSource::Policy));
            assert!(freshness.is_fresh(after(59)) && !freshness.is_fresh(after(60)), "{line}");
            assert_eq!(freshness.age(after(1)), secs(1_001));
        }
        let none = ResponseDecision { ttl: Some(Duration::ZERO), ..ResponseDecision::default() };
        assert!(!freshness(&[("cache-control", "max-age=5")], &none).is_fresh(NOON));
    }

    #[test]
    fn no_cache_is_never_fresh_but_with_field_names_it_is() {
        let whole = by_fields(&[("cache-control", "max-age=10000, no-cache")]);
        assert!(!whole.is_fresh(NOON) && whole.must_validate());
        let named = by_fields(&[("cache-control", "max-age=10000, no-cache=\"a\"")]);
        assert!(named.is_fresh(NOON) && !named.must_validate());
    }

    #[test]
    fn windows_of_staleness_come_from_policy_response_and_site_in_that_order() {
        let defaults = StaleDefaults { stale_if_error: secs(7), stale_while_revalidate: secs(8) };
        let decided = ResponseDecision {
            stale_if_error: Some(secs(3)),
            stale_while_revalidate: Some(secs(4)),
            ..ResponseDecision::default()
        };
        let silent = ResponseDecision::default();
        // What has never been fresh gets no default, only what it or a policy says.
        for (lines, decision, if_error, while_revalidate) in [
            ("max-age=0", &silent, false, false),
            ("max-age=1", &silent, true, true),
            ("foo", &silent, false, false),
            ("max-age=0, stale-if-error=1", &silent, true, false),
            ("max-age=0", &decided, true, true),
        ] {
            let headers = headers(&[("cache-control", lines)]);
            let directives = ResponseDirectives::of(&headers);
            let freshness = Freshness::of(&Terms {
                status: StatusCode::OK,
                response_headers: &headers,
                directives: &directives,
                decision,
                defaults,
                request_time: NOON,
                response_time: NOON,
            });
            let seen = (freshness.allows_if_error(NOON), freshness.allows_while_revalidate(NOON));
            assert_eq!(seen, (if_error, while_revalidate), "{lines} {decision:?}");
        }
        // What the response says, whether a policy speaks, and the two windows: if error, while revalidate.
        let rows = [
            ("max-age=10", &silent, 7, 8),
            ("max-age=10, stale-if-error=1, stale-while-revalidate=2", &silent, 1, 2),
            ("max-age=10, stale-if-error=0, stale-while-revalidate=0", &silent, 0, 0),
            ("max-age=10, stale-if-error=1, stale-while-revalidate=2", &decided, 3, 4),
            ("max-age=10, must-revalidate, stale-if-error=1", &silent, 0, 0),
            ("max-age=10, proxy-revalidate, stale-if-error=1", &silent, 0, 0),
            ("s-maxage=10, stale-if-error=1, stale-while-revalidate=1", &silent, 0, 0),
            ("s-maxage=10", &decided, 3, 4),
            ("max-age=10, must-revalidate", &decided, 3, 4),
            ("max-age=10, no-cache=\"a\"", &silent, 7, 8),
        ];
        for (line, decision, if_error, while_revalidate) in rows {
            let headers = headers(&[("cache-control", line)]);
            let freshness = Freshness::of(&Terms {
                status: StatusCode::OK,
                response_headers: &headers,
                directives: &ResponseDirectives::of(&headers),
                decision,
                defaults,
                request_time: NOON,
                response_time: NOON,
            });
            let last = |window: i64, allows: fn(&Freshness, Timestamp) -> bool| {
                // Open up to the window's last second, closed at its end.
                assert_eq!(allows(&freshness, after(10 + window - 1)), window > 0, "{line}");
                assert!(!allows(&freshness, after(10 + window)), "{line}");
            };
            last(if_error, Freshness::allows_if_error);
            last(while_revalidate, Freshness::allows_while_revalidate);
            assert_eq!(freshness.usable_until(), after(10 + if_error.max(while_revalidate)), "{line}");
        }
        let no_cache = by_fields(&[("cache-control", "no-cache, max-age=10, stale-if-error=100, stale-while-revalidate=100")]);
        assert!(!no_cache.allows_if_error(NOON) && !no_cache.allows_while_revalidate(NOON));
    }

    #[test]
    fn a_soft_purge_ends_freshness_and_opens_the_windows() {
        let whole = by_fields(&[("cache-control", "max-age=100, stale-while-revalidate=5, stale-if-error=6")]);
        let purged = whole.made_stale(after(10));
        assert!(whole.is_fresh(after(10)) && !purged.is_fresh(after(10)));
        assert!(purged.allows_while_revalidate(after(14)) && !purged.allows_while_revalidate(after(15)));
        assert!(purged.allows_if_error(after(15)) && !purged.allows_if_error(after(16)));
        assert_eq!(purged.age(after(10)), secs(10));
        // What is stale already gets no new window.
        assert_eq!(whole.made_stale(after(103)), whole);
    }

    #[test]
    fn what_nothing_can_use_is_not_worth_keeping() {
        let rows: &[(Lines<'_>, bool)] = &[
            (&[("cache-control", "max-age=1")], true),
            (&[("cache-control", "max-age=0")], false),
            (&[("cache-control", "max-age=10"), ("age", "10")], false),
            (&[("cache-control", "max-age=0"), ("etag", "\"a\"")], true),
            (&[("cache-control", "no-cache"), ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")], true),
            (&[("cache-control", "max-age=0"), ("last-modified", "yesterday")], false),
            (&[("cache-control", "max-age=0, stale-if-error=1")], true),
            (&[("cache-control", "max-age=0, stale-while-revalidate=1")], true),
            (&[("cache-control", "max-age=0, must-revalidate, stale-if-error=1")], false),
        ];
        for (lines, worth) in rows {
            assert_eq!(by_fields(lines).is_worth_keeping(&headers(lines), NOON), *worth, "{lines:?}");
        }
    }

    #[test]
    fn freshness_stays_small() {
        assert!(std::mem::size_of::<Freshness>() <= 32);
    }
}
