//! What an operator says in the place of a response's `Cache-Control`, or as a bound of it: before
//! anything is decided about the response, and to clients as well.

use std::time::Duration;

use http::header::{
    CACHE_CONTROL, EXPIRES, HeaderMap, HeaderName, HeaderValue, PRAGMA, SET_COOKIE,
};
use http::{Method, StatusCode};

use super::cache_control::ResponseDirectives;
use super::freshness::header_lifetime;
use super::http_date::{date_value, http_date};
use super::storability::FloorExceptions;
use super::timestamp::Timestamp;

/// The directives that give a lifetime or a stale window.
const LIFETIMES: [&str; 4] = [
    "max-age",
    "s-maxage",
    "stale-while-revalidate",
    "stale-if-error",
];

/// A rule about the `Cache-Control` of responses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheControlRule {
    /// The value that takes the place of the response's own, and of its targeted fields, `Expires`
    /// and `Pragma`.
    pub replacement: Option<HeaderValue>,
    /// The greatest lifetime and stale window that a response may give itself, in whole seconds.
    pub at_most: Option<Duration>,
}

/// A response, as far as the rule depends on it.
#[derive(Clone, Copy, Debug)]
pub struct RuledResponse<'a> {
    /// The method of the request.
    pub method: &'a Method,
    /// Whether the request has cookies that count.
    pub has_cookies: bool,
    /// Its status.
    pub status: StatusCode,
    /// The targeted fields of the site (RFC 9213).
    pub targets: &'a [HeaderName],
    /// The parts of the safety floor that may be lifted here.
    pub lifted: FloorExceptions,
    /// When it came.
    pub now: Timestamp,
}

impl CacheControlRule {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == CacheControlRule::default()
    }

    /// Has the fields of a response say what the operator says. Only a complete response to GET or
    /// HEAD, a permanent redirect or a 304 is meant: an error has a lifetime of its own. Where the
    /// safety floor keeps a response from being stored, its fields stay, unless the site lifts that.
    ///
    /// ```
    /// use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
    /// use http::{Method, StatusCode};
    /// use tero_semantics::cache_control_rule::{CacheControlRule, RuledResponse};
    /// use tero_semantics::storability::FloorExceptions;
    /// use tero_semantics::timestamp::Timestamp;
    ///
    /// let rule = CacheControlRule {
    ///     replacement: Some(HeaderValue::from_static("max-age=60")),
    ///     at_most: None,
    /// };
    /// let response = RuledResponse {
    ///     method: &Method::GET,
    ///     has_cookies: false,
    ///     status: StatusCode::OK,
    ///     targets: &[],
    ///     lifted: FloorExceptions::default(),
    ///     now: Timestamp::from_unix_secs(1_773_144_000),
    /// };
    /// let mut fields = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static("no-cache"))]);
    /// rule.apply(&response, &mut fields);
    /// assert_eq!(fields[CACHE_CONTROL], "max-age=60");
    /// ```
    pub fn apply(&self, response: &RuledResponse<'_>, headers: &mut HeaderMap) {
        if !is_meant(response) {
            return;
        }
        if let Some(replacement) = &self.replacement
            && !is_under_floor(response, headers)
        {
            for name in response.targets.iter().chain([&EXPIRES, &PRAGMA]) {
                headers.remove(name);
            }
            headers.insert(CACHE_CONTROL, replacement.clone());
        }
        if let Some(at_most) = self.at_most {
            limit(response, headers, at_most);
        }
    }
}

fn is_meant(response: &RuledResponse<'_>) -> bool {
    matches!(*response.method, Method::GET | Method::HEAD)
        && matches!(
            response.status.as_u16(),
            200 | 203 | 204 | 206 | 301 | 304 | 308
        )
}

/// Whether the safety floor keeps the response from being stored, by its own fields.
fn is_under_floor(response: &RuledResponse<'_>, headers: &HeaderMap) -> bool {
    let (lifted, directives) = (
        response.lifted,
        ResponseDirectives::governing(headers, response.targets),
    );
    let is_never_fresh = || {
        directives.no_cache.is_all()
            || header_lifetime(headers, &directives, response.now).is_some_and(|it| it.is_zero())
    };
    (directives.no_store && !lifted.no_store)
        || (directives.private.is_all() && !lifted.private)
        || (headers.contains_key(SET_COOKIE) && !lifted.set_cookie)
        || (response.has_cookies && !lifted.no_cache && is_never_fresh())
}

/// Lowers the lifetimes and stale windows that the fields give.
fn limit(response: &RuledResponse<'_>, headers: &mut HeaderMap, at_most: Duration) {
    for name in response.targets.iter().chain([&CACHE_CONTROL]) {
        let lines: Vec<HeaderValue> = headers
            .get_all(name)
            .iter()
            .map(|line| limited(line, at_most))
            .collect();
        if lines.iter().eq(headers.get_all(name)) {
            continue;
        }
        headers.remove(name);
        for line in lines {
            headers.append(name, line);
        }
    }
    let expires = headers.get(EXPIRES).and_then(http_date);
    let latest = response.now.saturating_add(at_most);
    if expires.is_some_and(|expires| expires > latest) {
        headers.insert(EXPIRES, date_value(latest));
    }
}

fn limited(line: &HeaderValue, at_most: Duration) -> HeaderValue {
    let Ok(text) = line.to_str() else {
        return line.clone();
    };
    let at_most = at_most.as_secs();
    let directive = |directive: &str| {
        let (name, value) = directive.split_once('=')?;
        let is_lifetime = LIFETIMES
            .iter()
            .any(|known| name.trim().eq_ignore_ascii_case(known));
        let digits = value.trim().trim_matches('"');
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        // What has more digits than fit is more, too.
        let is_more = digits.parse::<u64>().map_or(true, |secs| secs > at_most);
        (is_lifetime && is_number && is_more).then(|| format!("{}={at_most}", name.trim()))
    };
    let parts = text.split(',').map(|part| match directive(part) {
        Some(limited) if part.starts_with(' ') => format!(" {limited}"),
        Some(limited) => limited,
        None => part.to_owned(),
    });
    let text = parts.collect::<Vec<_>>().join(",");
    HeaderValue::try_from(text).unwrap_or_else(|_| line.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FieldLines, NOON, date, headers};

    const TARGET: HeaderName = HeaderName::from_static("cdn-cache-control");

    fn ruled(
        rule: &CacheControlRule,
        status: u16,
        cookies: bool,
        lines: FieldLines<'_>,
    ) -> HeaderMap {
        let mut fields = headers(lines);
        let response = RuledResponse {
            method: &Method::GET,
            has_cookies: cookies,
            status: StatusCode::from_u16(status).unwrap(),
            targets: &[TARGET],
            lifted: FloorExceptions::default(),
            now: NOON,
        };
        rule.apply(&response, &mut fields);
        fields
    }

    fn replacing() -> CacheControlRule {
        CacheControlRule {
            replacement: Some(HeaderValue::from_static("max-age=60")),
            at_most: None,
        }
    }

    #[test]
    fn what_the_operator_says_takes_the_place_of_all_fields_about_lifetimes() {
        let lines: FieldLines<'_> = &[
            ("cache-control", "max-age=1"),
            ("cdn-cache-control", "max-age=2"),
            ("expires", "0"),
            ("pragma", "no-cache"),
            ("etag", "\"1\""),
        ];
        let expected = headers(&[("cache-control", "max-age=60"), ("etag", "\"1\"")]);
        for status in [200, 203, 204, 206, 301, 304, 308] {
            assert_eq!(
                ruled(&replacing(), status, false, lines),
                expected,
                "{status}"
            );
        }
        for status in [302, 404, 500, 503] {
            assert_eq!(
                ruled(&replacing(), status, false, lines),
                headers(lines),
                "{status}"
            );
        }
        let mut post = headers(lines);
        let response = RuledResponse {
            method: &Method::POST,
            has_cookies: false,
            status: StatusCode::OK,
            targets: &[TARGET],
            lifted: FloorExceptions::default(),
            now: NOON,
        };
        replacing().apply(&response, &mut post);
        assert_eq!(post, headers(lines));
    }

    #[test]
    fn the_safety_floor_stays_unless_the_site_lifts_it() {
        let all = FloorExceptions {
            set_cookie: true,
            authorization: true,
            private: true,
            no_store: true,
            no_cache: true,
        };
        let check = |cookies: bool, lines: FieldLines<'_>| {
            assert_eq!(
                ruled(&replacing(), 200, cookies, lines),
                headers(lines),
                "{lines:?}"
            );
            let mut lifted = headers(lines);
            let response = RuledResponse {
                method: &Method::GET,
                has_cookies: cookies,
                status: StatusCode::OK,
                targets: &[],
                lifted: all,
                now: NOON,
            };
            replacing().apply(&response, &mut lifted);
            assert_eq!(lifted[CACHE_CONTROL], "max-age=60", "{lines:?}");
        };
        check(false, &[("cache-control", "no-store")]);
        check(false, &[("cache-control", "private, max-age=9")]);
        check(false, &[("set-cookie", "a=b")]);
        check(true, &[("cache-control", "no-cache")]);
        check(true, &[("cache-control", "max-age=0")]);
        check(true, &[("expires", "0")]);
        let cookies = ruled(&replacing(), 200, true, &[("cache-control", "max-age=9")]);
        assert_eq!(cookies[CACHE_CONTROL], "max-age=60");
    }

    #[test]
    fn lifetimes_are_lowered_and_all_else_stays() {
        let rule = CacheControlRule {
            replacement: None,
            at_most: Some(Duration::from_secs(60)),
        };
        let (soon, later, at) = (date(60), date(61), date(60));
        for (before, after) in [
            ("public, max-age=3600", "public, max-age=60"),
            ("max-age=60", "max-age=60"),
            (
                "Max-Age=61,S-MAXAGE=\"99\", private",
                "Max-Age=60,S-MAXAGE=60, private",
            ),
            ("max-age=99999999999999999999999", "max-age=60"),
            ("max-age=x, no-cache", "max-age=x, no-cache"),
            (
                "max-age=5, stale-while-revalidate=99",
                "max-age=5, stale-while-revalidate=60",
            ),
            (
                "private=\"set-cookie, x\", max-age=61",
                "private=\"set-cookie, x\", max-age=60",
            ),
        ] {
            for name in ["cache-control", "cdn-cache-control"] {
                let limited = ruled(&rule, 200, false, &[(name, before)]);
                assert_eq!(limited, headers(&[(name, after)]));
            }
        }
        assert_eq!(
            ruled(&rule, 200, false, &[("expires", &later)])[EXPIRES],
            *at
        );
        assert_eq!(
            ruled(&rule, 200, false, &[("expires", &soon)])[EXPIRES],
            *soon
        );
        assert_eq!(ruled(&rule, 200, false, &[("expires", "0")])[EXPIRES], "0");
        // What says that it must not be stored may say for less long, too.
        let private = ruled(
            &rule,
            200,
            false,
            &[("cache-control", "private, max-age=99")],
        );
        assert_eq!(private[CACHE_CONTROL], "private, max-age=60");
    }
}
