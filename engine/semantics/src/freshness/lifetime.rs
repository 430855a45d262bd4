//! The freshness lifetime that the fields of a response give it (RFC 9111 §4.2.1, §4.2.2).

use std::time::Duration;

use http::StatusCode;
use http::header::{EXPIRES, HeaderMap, LAST_MODIFIED};

use super::age::date_or;
use crate::cache_control::ResponseDirectives;
use crate::http_date::http_date;
use crate::timestamp::Timestamp;

/// The longest heuristic lifetime: one day. The RFC leaves the bound to the cache (§4.2.2); a page
/// without a given lifetime should not outlive the day on which it was last fetched.
pub const MAX_HEURISTIC: Duration = Duration::from_secs(24 * 60 * 60);

/// A heuristic lifetime is this part of the time since `Last-Modified`: a tenth (§4.2.2).
const HEURISTIC_DIVISOR: u64 = 10;

/// What gave a response its freshness lifetime.
///
/// ```
/// use tero_semantics::freshness::LifetimeSource;
///
/// assert_eq!(LifetimeSource::SMaxage.as_str(), "s-maxage");
/// assert!(LifetimeSource::SMaxage.is_explicit());
/// assert!(!LifetimeSource::Heuristic.is_explicit());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LifetimeSource {
    /// The operator's greatest lifetime, which is less than what another source gave.
    AtMost,
    /// The instant at which a policy has it end, which is before the end that another source gave.
    Expiry,
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
    /// The site's default, for a response that gives none (§4.2.2).
    DefaultTtl,
    /// `Last-Modified` (§4.2.2)
    Heuristic,
    /// Nothing: the response was never fresh.
    #[default]
    None,
}

impl LifetimeSource {
    /// Every source by its number; the places beyond them have none.
    pub(super) const ALL: [LifetimeSource; 16] = {
        let mut all = [LifetimeSource::None; 16];
        let sources = [
            LifetimeSource::AtMost,
            LifetimeSource::Expiry,
            LifetimeSource::Policy,
            LifetimeSource::Targeted,
            LifetimeSource::SMaxage,
            LifetimeSource::MaxAge,
            LifetimeSource::Expires,
            LifetimeSource::DefaultTtl,
            LifetimeSource::Heuristic,
        ];
        let mut place = 0;
        while place < sources.len() {
            all[sources[place] as usize] = sources[place];
            place += 1;
        }
        all
    };

    /// The name in logs and explanations.
    pub fn as_str(self) -> &'static str {
        match self {
            LifetimeSource::AtMost => "at-most",
            LifetimeSource::Expiry => "expiry",
            LifetimeSource::Policy => "policy",
            LifetimeSource::Targeted => "targeted",
            LifetimeSource::SMaxage => "s-maxage",
            LifetimeSource::MaxAge => "max-age",
            LifetimeSource::Expires => "expires",
            LifetimeSource::DefaultTtl => "default-ttl",
            LifetimeSource::Heuristic => "heuristic",
            LifetimeSource::None => "none",
        }
    }

    /// Whether the lifetime was given to this response, rather than guessed or absent.
    pub fn is_explicit(self) -> bool {
        !matches!(
            self,
            LifetimeSource::DefaultTtl | LifetimeSource::Heuristic | LifetimeSource::None
        )
    }
}

/// The lifetime that the fields of a response give a shared cache explicitly (§4.2.1); `None` if
/// only a heuristic is left. `directives` are those that govern, `response_time` is when the
/// response came.
///
/// ```
/// use std::time::Duration;
/// use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
/// use tero_semantics::cache_control::ResponseDirectives;
/// use tero_semantics::freshness::header_lifetime;
/// use tero_semantics::timestamp::Timestamp;
///
/// let shared = HeaderValue::from_static("max-age=60, s-maxage=600");
/// let response = HeaderMap::from_iter([(CACHE_CONTROL, shared)]);
/// let directives = ResponseDirectives::of(&response);
/// let came_at = Timestamp::from_unix_secs(1_773_144_000);
/// let lifetime = header_lifetime(&response, &directives, came_at);
/// assert_eq!(lifetime, Some(Duration::from_secs(600)));
/// ```
pub fn header_lifetime(
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    response_time: Timestamp,
) -> Option<Duration> {
    explicit_lifetime(headers, directives, response_time).map(|(lifetime, _)| lifetime)
}

/// The lifetime that the fields of a response give a private cache, such as a browser's (§4.2.1);
/// `None` if they give none. Targeted fields are not meant for browsers, so if one of them governs,
/// `Cache-Control` is read instead.
///
/// ```
/// use std::time::Duration;
/// use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
/// use tero_semantics::cache_control::ResponseDirectives;
/// use tero_semantics::freshness::browser_lifetime;
/// use tero_semantics::timestamp::Timestamp;
///
/// let shared = HeaderValue::from_static("max-age=60, s-maxage=600");
/// let response = HeaderMap::from_iter([(CACHE_CONTROL, shared)]);
/// let directives = ResponseDirectives::of(&response);
/// let came_at = Timestamp::from_unix_secs(1_773_144_000);
/// let lifetime = browser_lifetime(&response, &directives, came_at);
/// assert_eq!(lifetime, Some(Duration::from_secs(60)));
/// ```
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

/// The lifetime that the fields of a response give a shared cache, explicitly or else by heuristic,
/// and what gave it; zero and [`LifetimeSource::None`] if nothing does.
///
/// ```
/// use std::time::Duration;
/// use http::StatusCode;
/// use http::header::{DATE, HeaderMap, HeaderValue, LAST_MODIFIED};
/// use tero_semantics::cache_control::ResponseDirectives;
/// use tero_semantics::freshness::{LifetimeSource, field_lifetime};
/// use tero_semantics::timestamp::Timestamp;
///
/// // A page that is 10 000 seconds old when it comes is guessed to stay for a tenth of that.
/// let response = HeaderMap::from_iter([
///     (DATE, HeaderValue::from_static("Tue, 10 Mar 2026 12:00:00 GMT")),
///     (LAST_MODIFIED, HeaderValue::from_static("Tue, 10 Mar 2026 09:13:20 GMT")),
/// ]);
/// let (lifetime, source) = field_lifetime(
///     StatusCode::OK,
///     &response,
///     &ResponseDirectives::default(),
///     Timestamp::from_unix_secs(1_773_144_000),
/// );
/// assert_eq!(lifetime, Duration::from_secs(1_000));
/// assert_eq!(source, LifetimeSource::Heuristic);
/// ```
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

/// §4.2.1: `s-maxage` before `max-age` before `Expires`. If a targeted field governs, `Expires` no
/// longer counts (RFC 9213 §2.2).
pub(super) fn explicit_lifetime(
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    response_time: Timestamp,
) -> Option<(Duration, LifetimeSource)> {
    if directives.targeted.is_some() {
        let lifetime = directives.s_maxage.or(directives.max_age)?;
        return Some((lifetime, LifetimeSource::Targeted));
    }
    if let Some(lifetime) = directives.s_maxage {
        return Some((lifetime, LifetimeSource::SMaxage));
    }
    if let Some(lifetime) = directives.max_age {
        return Some((lifetime, LifetimeSource::MaxAge));
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

/// §4.2.2: only if the status is heuristically cacheable or the response is marked `public`. In
/// whole seconds, like every lifetime.
fn heuristic_lifetime(
    status: StatusCode,
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    response_time: Timestamp,
) -> Option<(Duration, LifetimeSource)> {
    if !is_heuristically_cacheable(status) && !directives.public {
        return None;
    }
    let modified = http_date(headers.get(LAST_MODIFIED)?)?;
    let unchanged = date_or(headers, response_time).since(modified);
    let lifetime = Duration::from_secs(unchanged.as_secs() / HEURISTIC_DIVISOR);
    let bounded = lifetime.min(MAX_HEURISTIC);
    (!bounded.is_zero()).then_some((bounded, LifetimeSource::Heuristic))
}

/// Whether RFC 9110 §15.1 defines the status as heuristically cacheable.
///
/// ```
/// use http::StatusCode;
/// use tero_semantics::freshness::is_heuristically_cacheable;
///
/// assert!(is_heuristically_cacheable(StatusCode::NOT_FOUND));
/// assert!(!is_heuristically_cacheable(StatusCode::FOUND));
/// ```
pub fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501
    )
}
