//! What the visitor's browser is told about its own copy, where a policy says how long it may keep
//! one.

use std::time::Duration;

use http::header::{AGE, CACHE_CONTROL, EXPIRES};
use http::{HeaderMap, HeaderValue};

/// Directives that say how long, to whom a lifetime is given in their place.
const LIFETIMES: [&str; 5] = [
    "max-age",
    "s-maxage",
    "no-cache",
    "stale-while-revalidate",
    "stale-if-error",
];

/// Rewrites `Cache-Control` so that a browser keeps the response for `ttl` from now on, but never
/// longer than the edge does: a page that changes at 18:00 must not sit in browsers until midnight.
/// `age` is what `Age` will say, which the browser takes off the lifetime (RFC 9111 §4.2.3);
/// `remaining` is what is left of the edge's own lifetime.
pub fn limit_browser_lifetime(
    headers: &mut HeaderMap,
    ttl: Duration,
    age: Duration,
    remaining: Duration,
) {
    let lifetime = age.as_secs().saturating_add(ttl.min(remaining).as_secs());
    let kept = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    let kept = kept
        .map(str::trim)
        .filter(|directive| !directive.is_empty() && !says_how_long(directive));
    let mut all: Vec<String> = kept.map(str::to_owned).collect();
    all.push(format!("max-age={lifetime}"));
    if let Ok(value) = HeaderValue::try_from(all.join(", ")) {
        headers.insert(CACHE_CONTROL, value);
        headers.remove(EXPIRES);
    }
    debug_assert!(!headers.contains_key(AGE), "the age is added after this");
}

fn says_how_long(directive: &str) -> bool {
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
        let secs = Duration::from_secs;
        limit_browser_lifetime(&mut headers, secs(ttl), secs(age), secs(remaining));
        assert!(!headers.contains_key(EXPIRES));
        headers[CACHE_CONTROL].to_str().unwrap().to_owned()
    }

    #[test]
    fn the_age_is_added_since_browsers_take_it_off() {
        assert_eq!(
            rewritten("public, max-age=5, S-MaxAge=9", 60, 100, 3_000),
            "public, max-age=160"
        );
    }

    #[test]
    fn a_browser_keeps_it_no_longer_than_the_edge() {
        assert_eq!(rewritten("max-age=5", 3_600, 10, 59), "max-age=69");
        assert_eq!(
            rewritten("max-age=5, must-revalidate", 3_600, 10, 0),
            "must-revalidate, max-age=10"
        );
    }
}
