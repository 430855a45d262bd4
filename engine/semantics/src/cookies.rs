//! The cookies of a request (RFC 6265 §4.2, §5.4): which it has, and which of them go on.

use http::header::{COOKIE, HeaderMap, HeaderValue};

/// Names of cookies, written as in a configuration: a name, or the beginning of names followed by
/// `*`. Letters count as they are.
///
/// ```
/// use tero_semantics::cookies::CookiePattern;
///
/// let exact = CookiePattern::new("sessionid");
/// assert!(exact.matches(b"sessionid") && !exact.matches(b"SessionId"));
/// let all = CookiePattern::new("wordpress_logged_in_*");
/// assert!(all.matches(b"wordpress_logged_in_5f2a") && !all.matches(b"wordpress_test"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookiePattern {
    name: Box<str>,
    is_prefix: bool,
}

impl CookiePattern {
    /// The pattern as written.
    pub fn new(written: &str) -> CookiePattern {
        let prefix = written.strip_suffix('*');
        CookiePattern {
            name: prefix.unwrap_or(written).into(),
            is_prefix: prefix.is_some(),
        }
    }

    /// Whether a cookie has one of the names.
    pub fn matches(&self, name: &[u8]) -> bool {
        let own = self.name.as_bytes();
        if self.is_prefix {
            name.starts_with(own)
        } else {
            name == own
        }
    }
}

/// Whether one of these patterns names a cookie.
pub fn is_named(patterns: &[CookiePattern], name: &[u8]) -> bool {
    patterns.iter().any(|pattern| pattern.matches(name))
}

/// Whether a request has a cookie that one of these patterns names.
///
/// ```
/// use http::header::{COOKIE, HeaderMap, HeaderValue};
/// use tero_semantics::cookies::{CookiePattern, has_cookie};
///
/// let cookies = HeaderValue::from_static("lang=es; sessionid=7");
/// let request = HeaderMap::from_iter([(COOKIE, cookies)]);
/// assert!(has_cookie(&request, &[CookiePattern::new("session*")]));
/// assert!(!has_cookie(&request, &[CookiePattern::new("id")]));
/// ```
pub fn has_cookie(request: &HeaderMap, patterns: &[CookiePattern]) -> bool {
    let mut lines = request.get_all(COOKIE).iter();
    lines.any(|line| pairs(line).any(|pair| is_named(patterns, name_of(pair))))
}

/// Leaves only those cookies whose names `is_kept`; a line without any goes. A cookie without `=`
/// has its whole text as a name.
///
/// ```
/// use http::header::{COOKIE, HeaderMap, HeaderValue};
/// use tero_semantics::cookies::retain_cookies;
///
/// let cookies = HeaderValue::from_static("_ga=1; lang=es");
/// let mut request = HeaderMap::from_iter([(COOKIE, cookies)]);
/// retain_cookies(&mut request, |name| !name.starts_with(b"_ga"));
/// assert_eq!(request[COOKIE], "lang=es");
/// ```
pub fn retain_cookies(request: &mut HeaderMap, is_kept: impl Fn(&[u8]) -> bool) {
    let is_gone = |pair| !is_kept(name_of(pair));
    let mut lines = request.get_all(COOKIE).iter();
    // Lines that keep all they have are left as they were written.
    if !lines.any(|line| pairs(line).any(is_gone)) {
        return;
    }
    let lines = request.get_all(COOKIE).iter();
    let kept: Vec<HeaderValue> = lines.filter_map(|line| retained(line, &is_kept)).collect();
    request.remove(COOKIE);
    for line in kept {
        request.append(COOKIE, line);
    }
}

/// What is left of a line; `None` if nothing is.
fn retained(line: &HeaderValue, is_kept: impl Fn(&[u8]) -> bool) -> Option<HeaderValue> {
    let kept: Vec<&[u8]> = pairs(line).filter(|pair| is_kept(name_of(pair))).collect();
    if kept.is_empty() {
        return None;
    }
    HeaderValue::from_bytes(&kept.join(&b"; "[..])).ok()
}

/// The cookies of a line, as they are written.
fn pairs(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let pairs = line.as_bytes().split(|byte| *byte == b';');
    pairs
        .map(<[u8]>::trim_ascii)
        .filter(|pair| !pair.is_empty())
}

/// The name of a cookie.
fn name_of(pair: &[u8]) -> &[u8] {
    let end = pair.iter().position(|byte| *byte == b'=');
    pair[..end.unwrap_or(pair.len())].trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(lines: &[&'static str]) -> HeaderMap {
        let lines = lines.iter().map(|line| HeaderValue::from_static(line));
        lines.fold(HeaderMap::new(), |mut headers, line| {
            headers.append(COOKIE, line);
            headers
        })
    }

    #[test]
    fn only_cookies_that_are_kept_stay() {
        let mut headers = request(&["a=1; b=2 ;c", "b=3", "; ;", "a = 4;d=x=y"]);
        retain_cookies(&mut headers, |name| matches!(name, b"a" | b"c" | b"d"));
        assert_eq!(headers, request(&["a=1; c", "a = 4; d=x=y"]));
        retain_cookies(&mut headers, |_| false);
        assert!(headers.is_empty());
    }

    #[test]
    fn a_line_that_keeps_all_its_cookies_is_left_alone() {
        let mut headers = request(&["a=1;b=2", ";; c"]);
        retain_cookies(&mut headers, |_| true);
        assert_eq!(headers, request(&["a=1;b=2", ";; c"]));
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name_or_its_beginning() {
        let headers = request(&["lang=es; sid=a=b", "flag ; Sid2=x"]);
        for (pattern, expected) in [
            ("sid", true),
            ("si", false),
            ("si*", true),
            ("sid2", false),
            ("Sid*", true),
            ("flag", true),
            ("es", false),
            ("*", true),
        ] {
            let found = has_cookie(&headers, &[CookiePattern::new(pattern)]);
            assert_eq!(found, expected, "{pattern}");
        }
        assert!(!has_cookie(&HeaderMap::new(), &[CookiePattern::new("*")]));
        assert!(!has_cookie(
            &request(&["; ;", ""]),
            &[CookiePattern::new("*")]
        ));
        assert!(!has_cookie(&headers, &[]));
    }
}
