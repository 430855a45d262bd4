//! The `Cache-Control` that a browser gets if a policy says how long it may keep its copy, or when
//! the response ends.

use std::time::Duration;

use http::header::{AGE, CACHE_CONTROL, EXPIRES};
use http::{HeaderMap, HeaderValue};

use super::cache_control::ResponseDirectives;
use super::freshness::browser_lifetime;
use super::timestamp::Timestamp;

/// Directives that give or limit a lifetime; the new `max-age` replaces them.
const LIFETIMES: [&str; 5] = [
    "max-age",
    "s-maxage",
    "no-cache",
    "stale-while-revalidate",
    "stale-if-error",
];

/// Rewrites `Cache-Control` so that a browser keeps the response for `ttl` from now on, in whole
/// seconds, and removes `Expires`. The other directives stay.
///
/// `remaining`, what is left of the edge's own freshness lifetime, is the upper bound: a page that
/// changes at 18:00 must not stay in browsers until midnight. `age` is the `Age` that will be sent;
/// browsers subtract it from the lifetime (RFC 9111 §4.2.3), so it is added here. Call this before
/// `Age` is set.
///
/// ```
/// use std::time::Duration;
/// use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
/// use tero_semantics::browser_lifetime::limit_browser_lifetime;
///
/// let public = HeaderValue::from_static("public, s-maxage=3600");
/// let mut response = HeaderMap::from_iter([(CACHE_CONTROL, public)]);
/// let (ttl, age, remaining) = (60, 10, 600);
/// limit_browser_lifetime(
///     &mut response,
///     Duration::from_secs(ttl),
///     Duration::from_secs(age),
///     Duration::from_secs(remaining),
/// );
/// assert_eq!(response[CACHE_CONTROL], "public, max-age=70");
/// ```
pub fn limit_browser_lifetime(
    headers: &mut HeaderMap,
    ttl: Duration,
    age: Duration,
    remaining: Duration,
) {
    let lifetime = age.as_secs().saturating_add(ttl.min(remaining).as_secs());
    let mut directives = directives_without_lifetime(headers);
    directives.push(format!("max-age={lifetime}"));
    if let Ok(value) = HeaderValue::try_from(directives.join(", ")) {
        headers.insert(CACHE_CONTROL, value);
        headers.remove(EXPIRES);
    }
    debug_assert!(!headers.contains_key(AGE), "the age is added after this");
}

/// Has a browser keep the response no longer than the edge, which has `remaining` seconds of its own
/// freshness lifetime left, in whole seconds. A response that gives browsers no lifetime, or a
/// shorter one, stays as it is. `age` and the time of the call are those of
/// [`limit_browser_lifetime`]; `now` is the time of the system's clock.
///
/// ```
/// use std::time::Duration;
/// use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
/// use tero_semantics::browser_lifetime::bound_browser_lifetime;
/// use tero_semantics::timestamp::Timestamp;
///
/// let now = Timestamp::from_unix_secs(1_773_144_000);
/// let bounded = |remaining| {
///     let hour = HeaderValue::from_static("public, max-age=3600");
///     let mut response = HeaderMap::from_iter([(CACHE_CONTROL, hour)]);
///     let [age, remaining] = [10, remaining].map(Duration::from_secs);
///     bound_browser_lifetime(&mut response, age, remaining, now);
///     response[CACHE_CONTROL].to_str().unwrap().to_owned()
/// };
/// assert_eq!(bounded(60), "public, max-age=70");
/// assert_eq!(bounded(3_590), "public, max-age=3600");
/// ```
pub fn bound_browser_lifetime(
    headers: &mut HeaderMap,
    age: Duration,
    remaining: Duration,
    now: Timestamp,
) {
    let directives = ResponseDirectives::of(headers);
    let given = browser_lifetime(headers, &directives, now);
    let left = given.map_or(Duration::ZERO, |given| given.saturating_sub(age));
    if left > remaining {
        limit_browser_lifetime(headers, remaining, age, remaining);
    }
}

fn directives_without_lifetime(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|directive| !directive.is_empty() && !concerns_lifetime(directive))
        .map(str::to_owned)
        .collect()
}

fn concerns_lifetime(directive: &str) -> bool {
    let name = directive.split('=').next().unwrap_or_default().trim();
    LIFETIMES
        .iter()
        .any(|lifetime| lifetime.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(cache_control: &'static str, ttl: u64, age: u64, remaining: u64) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
        headers.insert(EXPIRES, HeaderValue::from_static("0"));
        let [ttl, age, remaining] = [ttl, age, remaining].map(Duration::from_secs);
        limit_browser_lifetime(&mut headers, ttl, age, remaining);
        assert!(!headers.contains_key(EXPIRES));
        headers[CACHE_CONTROL].to_str().unwrap().to_owned()
    }

    #[test]
    fn max_age_includes_the_age_that_browsers_subtract() {
        assert_eq!(
            rewritten("public, max-age=5, S-MaxAge=9", 60, 100, 3_000),
            "public, max-age=160"
        );
    }

    #[test]
    fn a_browser_keeps_a_response_no_longer_than_the_edge() {
        assert_eq!(rewritten("max-age=5", 3_600, 10, 59), "max-age=69");
        assert_eq!(
            rewritten("max-age=5, must-revalidate", 3_600, 10, 0),
            "must-revalidate, max-age=10"
        );
    }
}
