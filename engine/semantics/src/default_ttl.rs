//! Lifetimes that the operator gives to responses without one of their own, by status and content
//! type. RFC 9111 §4.2.2 leaves it to a cache how it estimates a lifetime where none is given; this
//! estimate is the operator's, and goes before the one by `Last-Modified`.

use std::time::Duration;

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap};

/// Entries of one table, at most.
pub const MAX_DEFAULT_TTLS: usize = 64;

/// Which responses an entry is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefaultTtlKey {
    /// Those with this status.
    Status(StatusCode),
    /// Those that are content of these media types: with status 200, 203 or 206.
    Type(MediaRange),
}

/// Media types: one, `image/*`, or `*/*` (RFC 9110 §12.5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaRange {
    /// In lower case; `None` for all.
    main: Option<Box<str>>,
    /// In lower case; `None` for all.
    sub: Option<Box<str>>,
}

/// The table of a site.
///
/// ```
/// use std::time::Duration;
/// use http::StatusCode;
/// use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
/// use tero_semantics::default_ttl::{DefaultTtlKey, DefaultTtls};
///
/// let entry = |key, secs| (DefaultTtlKey::parse(key).unwrap(), Duration::from_secs(secs));
/// let table = DefaultTtls::new(vec![entry("text/*", 60), entry("404", 30)]);
/// let html = HeaderValue::from_static("text/html; charset=utf-8");
/// let page = HeaderMap::from_iter([(CONTENT_TYPE, html)]);
/// assert_eq!(table.of(StatusCode::OK, &page), Some(Duration::from_secs(60)));
/// assert_eq!(table.of(StatusCode::NOT_FOUND, &page), Some(Duration::from_secs(30)));
/// assert_eq!(table.of(StatusCode::FOUND, &page), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DefaultTtls(Vec<(DefaultTtlKey, Duration)>);

/// What the operator's table has for a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DefaultTtl {
    /// Nothing.
    #[default]
    None,
    /// A lifetime.
    Given(Duration),
    /// A lifetime that doesn't count, since the request has cookies: the response may be for that
    /// visitor alone.
    WithheldFromCookie,
}

impl DefaultTtl {
    /// The lifetime, if there is one that counts.
    pub fn given(self) -> Option<Duration> {
        match self {
            DefaultTtl::Given(ttl) => Some(ttl),
            DefaultTtl::None | DefaultTtl::WithheldFromCookie => None,
        }
    }
}

impl DefaultTtlKey {
    /// A status that may be stored, `404`, or media types, `image/*`.
    pub fn parse(text: &str) -> Option<DefaultTtlKey> {
        if text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let status = StatusCode::from_bytes(text.as_bytes()).ok()?;
            return may_be_stored(status).then_some(DefaultTtlKey::Status(status));
        }
        MediaRange::parse(text).map(DefaultTtlKey::Type)
    }
}

/// Whether a whole response with this status may be stored at all.
fn may_be_stored(status: StatusCode) -> bool {
    match status.as_u16() {
        206 | 304 | 400 | 407 | 408 | 411..=413 | 415..=417 | 421 | 425 | 428 | 429 | 431 | 511 => {
            false
        }
        code => (200..600).contains(&code),
    }
}

impl MediaRange {
    fn parse(text: &str) -> Option<MediaRange> {
        let (main, sub) = text.split_once('/')?;
        let part = |text: &str| match text {
            "*" => Some(None),
            _ if is_token(text) => Some(Some(text.to_ascii_lowercase().into_boxed_str())),
            _ => None,
        };
        let range = MediaRange {
            main: part(main)?,
            sub: part(sub)?,
        };
        (range.main.is_some() || range.sub.is_none()).then_some(range)
    }

    /// How well it fits: 0 for `*/*`, 1 for `image/*`, 2 for one type; `None` if it does not.
    fn fit(&self, (main, sub): (&str, &str)) -> Option<u8> {
        let is = |own: &Option<Box<str>>, of: &str| {
            own.as_deref()
                .is_none_or(|own| own.eq_ignore_ascii_case(of))
        };
        let fits = is(&self.main, main) && is(&self.sub, sub);
        fits.then(|| u8::from(self.main.is_some()) + u8::from(self.sub.is_some()))
    }
}

/// A token (RFC 9110 §5.6.2) without a star.
fn is_token(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(good)
}

impl DefaultTtls {
    /// A table of these entries.
    pub fn new(entries: Vec<(DefaultTtlKey, Duration)>) -> DefaultTtls {
        DefaultTtls(entries)
    }

    /// Whether it has no entries.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The lifetime for a response with this status and these fields. Content goes by its type, the
    /// closest entry first, then by its status; any other response by its status.
    pub fn of(&self, status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
        let by_type = || {
            let is_content = matches!(status.as_u16(), 200 | 203 | 206);
            let of = media_type(headers).filter(|_| is_content)?;
            let entries = self.0.iter().filter_map(|(key, ttl)| match key {
                DefaultTtlKey::Type(range) => Some((range.fit(of)?, *ttl)),
                DefaultTtlKey::Status(_) => None,
            });
            // Of equal ones there is one only.
            entries.max_by_key(|(fit, _)| *fit).map(|(_, ttl)| ttl)
        };
        let by_status = || {
            let mut entries = self.0.iter();
            let found = entries.find(|(key, _)| *key == DefaultTtlKey::Status(status));
            found.map(|(_, ttl)| *ttl)
        };
        by_type().or_else(by_status)
    }
}

/// The media type of the content, without parameters; one that no entry but `*/*` fits if it has
/// none, or more than one.
fn media_type(headers: &HeaderMap) -> Option<(&str, &str)> {
    let mut lines = headers.get_all(CONTENT_TYPE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Some(("", ""));
    };
    let essence = line.to_str().ok()?.split(';').next()?.trim();
    Some(essence.split_once('/').unwrap_or(("", "")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    fn table(entries: &[(&str, u64)]) -> DefaultTtls {
        let entry = |(key, secs): &(&str, u64)| {
            let key = DefaultTtlKey::parse(key).unwrap_or_else(|| panic!("{key}"));
            (key, Duration::from_secs(*secs))
        };
        DefaultTtls::new(entries.iter().map(entry).collect())
    }

    #[test]
    fn content_goes_by_the_closest_type_and_other_responses_by_their_status() {
        let table = table(&[
            ("*/*", 1),
            ("text/*", 2),
            ("Text/HTML", 3),
            ("404", 4),
            ("200", 5),
            ("503", 6),
        ]);
        let check = |status: u16, content_type: Option<&str>, expected: Option<u64>| {
            let lines: Vec<_> = content_type
                .map(|it| ("content-type", it))
                .into_iter()
                .collect();
            let found = table.of(StatusCode::from_u16(status).unwrap(), &headers(&lines));
            assert_eq!(
                found,
                expected.map(Duration::from_secs),
                "{status} {content_type:?}"
            );
        };
        check(200, Some("text/html"), Some(3));
        check(200, Some("TEXT/html ; charset=utf-8"), Some(3));
        check(206, Some("text/css"), Some(2));
        check(203, Some("image/png"), Some(1));
        check(200, None, Some(1));
        check(200, Some("nonsense"), Some(1));
        check(404, Some("text/html"), Some(4));
        check(503, None, Some(6));
        check(301, Some("text/html"), None);
        check(204, Some("text/html"), None);
    }

    #[test]
    fn without_a_type_that_fits_the_status_counts() {
        let table = table(&[("image/*", 1), ("200", 5)]);
        let html = headers(&[("content-type", "text/html")]);
        assert_eq!(
            table.of(StatusCode::OK, &html),
            Some(Duration::from_secs(5))
        );
        let two = headers(&[("content-type", "image/png"), ("content-type", "image/gif")]);
        assert_eq!(table.of(StatusCode::OK, &two), Some(Duration::from_secs(5)));
    }

    #[test]
    fn what_can_never_be_stored_is_no_key() {
        for key in [
            "",
            "html",
            "text/",
            "/html",
            "*/html",
            "text/*html",
            "a b/c",
            "text/html; q=1",
            "99",
            "100",
            "199",
            "206",
            "304",
            "412",
            "416",
            "417",
            "429",
            "600",
            "999",
            "4xx",
            "0404",
        ] {
            assert_eq!(DefaultTtlKey::parse(key), None, "{key}");
        }
        for key in [
            "*/*",
            "image/*",
            "application/ld+json",
            "200",
            "302",
            "404",
            "599",
        ] {
            assert!(DefaultTtlKey::parse(key).is_some(), "{key}");
        }
    }
}
