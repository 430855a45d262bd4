//! `Cache-Status` (RFC 9211): how a request was handled, in one field, after the members of inner
//! caches. This file is the only writer of the field.

use std::fmt::Write;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// The field's name.
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Why a request went forward (§2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// By decision, or because a client directive said so.
    Bypass,
    /// The method is not cacheable.
    Method,
    /// Nothing is stored under its URL.
    UriMiss,
    /// The stored responses are for other values of the fields in `Vary`.
    VaryMiss,
    /// Something fresh is stored, and the request's own directives refuse it.
    Request,
    /// The stored response is stale.
    Stale,
    /// Only a part of the response is stored.
    Partial,
}

impl Forward {
    /// The name in the field.
    pub fn as_str(self) -> &'static str {
        match self {
            Forward::Bypass => "bypass",
            Forward::Method => "method",
            Forward::UriMiss => "uri-miss",
            Forward::VaryMiss => "vary-miss",
            Forward::Request => "request",
            Forward::Stale => "stale",
            Forward::Partial => "partial",
        }
    }
}

/// The field's members for one request.
#[derive(Clone, Copy, Debug, Default)]
pub struct CacheStatus<'a> {
    /// Answered without going forward.
    pub hit: bool,
    /// Went forward, and why.
    pub forward: Option<Forward>,
    /// The status that the next hop answered with.
    pub forward_status: Option<StatusCode>,
    /// The rest of the freshness lifetime, in seconds; negative when stale.
    pub ttl_secs: Option<i64>,
    /// The response has been stored.
    pub stored: bool,
    /// Answered by another request's fetch.
    pub collapsed: bool,
    /// The key, where the site tells it.
    pub key: Option<&'a str>,
    /// The policies' reason, and why something was not stored or failed.
    pub details: [Option<&'a str>; 2],
}

impl CacheStatus<'_> {
    /// Adds the field in the name of `cache`, after those of inner caches (§2).
    ///
    /// ```
    /// use http::{HeaderMap, HeaderValue};
    /// use tero_semantics::cache_status::{CACHE_STATUS, CacheStatus, Forward};
    ///
    /// let inner = (CACHE_STATUS, HeaderValue::from_static("shield; hit"));
    /// let mut response = HeaderMap::from_iter([inner]);
    /// let status = CacheStatus { forward: Some(Forward::UriMiss), ..CacheStatus::default() };
    /// status.append_to(&mut response, "edge");
    /// assert!(response.get_all(CACHE_STATUS).iter().eq(["shield; hit", "edge; fwd=uri-miss"]));
    /// ```
    pub fn append_to(&self, headers: &mut HeaderMap, cache: &str) {
        if let Ok(value) = HeaderValue::try_from(self.write(cache)) {
            headers.append(CACHE_STATUS, value);
        }
    }

    /// Its value in the name of `cache`.
    ///
    /// ```
    /// use tero_semantics::cache_status::CacheStatus;
    ///
    /// let hit = CacheStatus { hit: true, ttl_secs: Some(119), ..CacheStatus::default() };
    /// assert_eq!(hit.write("edge"), "edge; hit; ttl=119");
    /// ```
    pub fn write(&self, cache: &str) -> String {
        let mut text = String::with_capacity(96);
        text.push_str(cache);
        if self.hit {
            text.push_str("; hit");
        }
        if let Some(forward) = self.forward {
            text.push_str("; fwd=");
            text.push_str(forward.as_str());
        }
        if let Some(status) = self.forward_status {
            text.push_str("; fwd-status=");
            text.push_str(status.as_str());
        }
        if let Some(ttl) = self.ttl_secs {
            // Writing to a string can't fail.
            let _ = write!(text, "; ttl={ttl}");
        }
        if self.stored {
            text.push_str("; stored");
        }
        if self.collapsed {
            text.push_str("; collapsed");
        }
        if let Some(key) = self.key {
            text.push_str("; key=");
            quote(&mut text, [key]);
        }
        if self.details.iter().any(Option::is_some) {
            text.push_str("; detail=");
            quote(&mut text, self.details.into_iter().flatten());
        }
        text
    }
}

/// A string of RFC 8941 §3.3.3: printable ASCII in quotes.
fn quote<'t>(text: &mut String, parts: impl IntoIterator<Item = &'t str>) {
    text.push('"');
    for (index, part) in parts.into_iter().enumerate() {
        if index > 0 {
            text.push_str("; ");
        }
        for char in part.chars() {
            match char {
                '"' | '\\' => text.extend(['\\', char]),
                ' '..='~' => text.push(char),
                _ => text.push('?'),
            }
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_said_in_the_words_of_the_rfc() {
        let full = CacheStatus {
            forward: Some(Forward::Stale),
            forward_status: Some(StatusCode::NOT_MODIFIED),
            ttl_secs: Some(-3),
            stored: true,
            collapsed: true,
            key: Some("http://a/\u{e9}"),
            details: [Some("hours: \"open\""), Some("and \\ more")],
            hit: false,
        };
        let expected = r#"tero; fwd=stale; fwd-status=304; ttl=-3; stored; collapsed; key="http://a/?"; detail="hours: \"open\"; and \\ more""#;
        assert_eq!(full.write("tero"), expected);
        let hit = CacheStatus {
            hit: true,
            ttl_secs: Some(119),
            ..CacheStatus::default()
        };
        assert_eq!(hit.write("tero"), "tero; hit; ttl=119");
    }

    #[test]
    fn ours_comes_after_what_an_inner_cache_said() {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_STATUS, HeaderValue::from_static("shield; hit"));
        CacheStatus {
            forward: Some(Forward::UriMiss),
            ..CacheStatus::default()
        }
        .append_to(&mut headers, "edge");
        let lines: Vec<_> = headers.get_all(CACHE_STATUS).iter().collect();
        assert_eq!(lines, ["shield; hit", "edge; fwd=uri-miss"]);
    }
}
