//! How long a stored response is fresh, and how old it is (RFC 9111 §4.2), and how long after that
//! it may be used stale (RFC 5861).
//!
//! Ages follow §4.2.3 to the letter, the origin's thinking time included. A policy's TTL is
//! different in kind: it is the operator's own promise, so it replaces the response's fields,
//! `no-cache` included, and counts from the response's arrival here, whatever `Age` the response
//! came with; `Age` still tells the true age.

use std::time::Duration;

use http::StatusCode;
use http::header::{AGE, DATE, EXPIRES, HeaderMap, LAST_MODIFIED};

use super::cache_control::{ResponseDirectives, delta_seconds};
use super::decision::ResponseDecision;
use super::http_date::http_date;
use super::list::list_members;
use super::timestamp::Timestamp;
use super::validation::has_validator;

/// The longest heuristic lifetime: a day. The RFC leaves the bound to us (§4.2.2); a page that
/// nobody gave a lifetime should not outlive the day it was last looked at.
pub const MAX_HEURISTIC: Duration = Duration::from_secs(24 * 60 * 60);

/// The part of the time since `Last-Modified` that a heuristic lifetime lasts: a tenth (§4.2.2).
const HEURISTIC_DIVISOR: u64 = 10;

/// How long a response that has been fresh may be used stale where it says nothing itself: the
/// site's defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StaleDefaults {
    /// RFC 5861 §4
    pub stale_if_error: Duration,
    /// RFC 5861 §3
    pub stale_while_revalidate: Duration,
}

/// All that a response's freshness follows from.
#[derive(Clone, Copy, Debug)]
pub struct FreshnessInput<'a> {
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

/// The freshness of a stored response, fixed at the moment when it came; only a revalidation or a
/// soft purge changes it.
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
    pub fn of(terms: &FreshnessInput<'_>) -> Freshness {
        let FreshnessInput {
            directives,
            decision,
            response_time,
            ..
        } = *terms;
        let born = response_time.saturating_sub(initial_age(terms));
        let by_fields = || {
            let (lifetime, source) = field_lifetime(
                terms.status,
                terms.response_headers,
                directives,
                response_time,
            );
            (lifetime, source, born.saturating_add(lifetime))
        };
        let must_validate = decision.ttl.is_none() && directives.no_cache.is_all();
        let (lifetime, source, fresh_until) = match decision.ttl {
            Some(ttl) => (
                ttl,
                LifetimeSource::Policy,
                response_time.saturating_add(ttl),
            ),
            // `no-cache` means never fresh without validation (§5.2.2.4), whatever the lifetime.
            None if must_validate => (Duration::ZERO, by_fields().1, born),
            None => by_fields(),
        };
        // Only a policy may say "stale" where the response forbids it (§4.2.4). The site's default
        // is for what has been fresh: `max-age=0` is what many applications write on a page that is
        // one visitor's, and it must not outlive its own answer.
        let forbids_stale = directives.forbids_stale();
        let has_been_fresh = fresh_until > response_time;
        let stale =
            |decided: Option<Duration>, said: Option<Duration>, default: Duration| match decided {
                Some(decided) => decided,
                None if forbids_stale => Duration::ZERO,
                None => said.unwrap_or(if has_been_fresh {
                    default
                } else {
                    Duration::ZERO
                }),
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
            if_error_secs: secs(stale(
                decision.stale_if_error,
                directives.stale_if_error,
                terms.defaults.stale_if_error,
            )),
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

    /// Seconds of freshness that are left, the one that has begun included, so that `Age` and this
    /// add up to the lifetime; negative once stale. The `ttl` of `Cache-Status` (RFC 9211 §2.5).
    pub fn remaining_secs(&self, now: Timestamp) -> i64 {
        let millis = self
            .fresh_until
            .unix_millis()
            .saturating_sub(now.unix_millis());
        if millis > 0 {
            millis.saturating_add(999) / 1_000
        } else {
            millis.div_euclid(1_000)
        }
    }

    /// For how long it has been stale; zero while it is fresh.
    pub fn staleness(&self, now: Timestamp) -> Duration {
        now.since(self.fresh_until)
    }

    /// When freshness ends.
    pub fn fresh_until(&self) -> Timestamp {
        self.fresh_until
    }

    /// When the response is of no more use without a validator: freshness and both windows of
    /// staleness are over.
    pub fn usable_until(&self) -> Timestamp {
        let window = self.while_revalidate_secs.max(self.if_error_secs);
        self.fresh_until
            .saturating_add(Duration::from_secs(window.into()))
    }

    /// Whether anything but a client's own leave could ever use it after `now`: it is fresh or has
    /// a window of staleness left, or what is stored has a validator. What never could is better
    /// not kept.
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

    /// Whether the response's own directives forbid using it stale (§4.2.4), so that no client may
    /// ask for it either.
    pub fn forbids_stale(&self) -> bool {
        self.forbids_stale
    }

    /// The same response after a soft purge: stale from `now` on, its windows of staleness open
    /// from `now` unless they opened before.
    pub fn made_stale(&self, now: Timestamp) -> Freshness {
        Freshness {
            fresh_until: self.fresh_until.min(now),
            ..*self
        }
    }
}

fn secs(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

/// The lifetime that the response's own fields give a shared cache (§4.2.1); none where they give
/// none, so that only a guess is left.
pub fn header_lifetime(
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    response_time: Timestamp,
) -> Option<Duration> {
    explicit_lifetime(headers, directives, response_time).map(|(lifetime, _)| lifetime)
}

/// The lifetime that the response's own fields give a private cache, as browsers have (§4.2.1);
/// none where they give none. No targeted field speaks to browsers, so where one is among the
/// `directives` that govern, `Cache-Control` is read for itself.
pub fn browser_lifetime(
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    response_time: Timestamp,
) -> Option<Duration> {
    let max_age = match directives.targeted {
        None => directives.max_age,
        Some(_) => ResponseDirectives::of(headers).max_age,
    };
    max_age.or_else(|| expires_lifetime(headers, response_time))
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
    // §4.2.1: `s-maxage` before `max-age` before `Expires`; where a targeted field governs,
    // `Expires` counts no more (RFC 9213 §2.2).
    if let Some(lifetime) = directives.s_maxage {
        return Some((
            lifetime,
            if is_targeted {
                LifetimeSource::Targeted
            } else {
                LifetimeSource::SMaxage
            },
        ));
    }
    if let Some(lifetime) = directives.max_age {
        return Some((
            lifetime,
            if is_targeted {
                LifetimeSource::Targeted
            } else {
                LifetimeSource::MaxAge
            },
        ));
    }
    if is_targeted {
        return None;
    }
    expires_lifetime(headers, response_time).map(|lifetime| (lifetime, LifetimeSource::Expires))
}

fn expires_lifetime(headers: &HeaderMap, response_time: Timestamp) -> Option<Duration> {
    // A value that isn't a date, above all "0", is a time in the past (§5.3).
    let expires = headers.get(EXPIRES)?;
    Some(http_date(expires).map_or(Duration::ZERO, |expires| {
        expires.since(date_or(headers, response_time))
    }))
}

fn heuristic_lifetime(
    status: StatusCode,
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    response_time: Timestamp,
) -> Option<(Duration, LifetimeSource)> {
    // §4.2.2: only where the status is defined as heuristically cacheable or the response is marked
    // `public`.
    if !is_heuristically_cacheable(status) && !directives.public {
        return None;
    }
    let modified = http_date(headers.get(LAST_MODIFIED)?)?;
    // In whole seconds, as every lifetime is told.
    let lifetime = Duration::from_secs(
        date_or(headers, response_time).since(modified).as_secs() / HEURISTIC_DIVISOR,
    );
    Some((lifetime.min(MAX_HEURISTIC), LifetimeSource::Heuristic))
        .filter(|(lifetime, _)| !lifetime.is_zero())
}

/// Statuses that RFC 9110 §15.1 defines as heuristically cacheable.
pub fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501
    )
}

/// The corrected initial age (§4.2.3), in the RFC's names. The apparent age is reckoned in whole
/// seconds, as `Date` has no finer ones.
fn initial_age(terms: &FreshnessInput<'_>) -> Duration {
    let response_secs = Timestamp::from_unix_secs(terms.response_time.unix_secs());
    let date_value = terms
        .response_headers
        .get(DATE)
        .and_then(http_date)
        .unwrap_or(response_secs);
    let apparent_age = response_secs.since(date_value);
    let response_delay = terms.response_time.since(terms.request_time);
    let corrected_age_value = age_value(terms.response_headers).saturating_add(response_delay);
    apparent_age.max(corrected_age_value)
}

/// What `Age` says: its first member counts, and if that isn't a number the field is ignored
/// (§5.1).
pub fn age_value(headers: &HeaderMap) -> Duration {
    let first = headers
        .get(AGE)
        .and_then(|line| list_members(line.as_bytes()).next());
    first.and_then(delta_seconds).unwrap_or(Duration::ZERO)
}

/// `Date`, or the time of arrival where that is missing or wrong (RFC 9110 §6.6.1).
pub fn date_or(headers: &HeaderMap, response_time: Timestamp) -> Timestamp {
    headers
        .get(DATE)
        .and_then(http_date)
        .unwrap_or(Timestamp::from_unix_secs(response_time.unix_secs()))
}

#[cfg(test)]
mod tests;
