//! The cookies of a request (RFC 6265 §4.2, §5.4): which it has, and which of them go on.

use std::borrow::Cow;
use std::fmt;

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

    /// Whether every name of `other` is one of these.
    ///
    /// ```
    /// use tero_semantics::cookies::CookiePattern;
    ///
    /// let covers = |a, b| CookiePattern::new(a).covers(&CookiePattern::new(b));
    /// assert!(covers("_ga*", "_ga") && covers("_ga*", "_gat*") && covers("a", "a"));
    /// assert!(!covers("_gat*", "_ga*") && !covers("a", "a*"));
    /// ```
    pub fn covers(&self, other: &CookiePattern) -> bool {
        self == other || (self.is_prefix && other.name.starts_with(&*self.name))
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

impl CookiePattern {
    /// Whether an application may take a name for one of these.
    fn may_match(&self, name: &[u8]) -> bool {
        if name.is_empty() {
            return false;
        }
        let decoded = percent_decoded(name);
        // Programs in C see the end of a name there.
        let decoded = decoded.split(|byte| *byte == 0).next().unwrap_or_default();
        let begin = decoded.iter().position(|byte| is_visible(*byte));
        let Some(begin) = begin else {
            return false;
        };
        let end = decoded.iter().rposition(|byte| is_visible(*byte));
        let trimmed = &decoded[begin..end.map_or(begin, |end| end + 1)];
        // PHP leaves white space at the end, as `_`, and takes what a bracket follows for an array.
        let array = trimmed.iter().position(|byte| *byte == b'[');
        let array = &trimmed[..array.unwrap_or(trimmed.len())];
        [trimmed, &decoded[begin..], array]
            .iter()
            .any(|name| self.matches_plain(name))
    }

    fn matches_plain(&self, name: &[u8]) -> bool {
        let own = self.name.as_bytes();
        let is_long_enough = match self.is_prefix {
            true => name.len() >= own.len(),
            false => name.len() == own.len(),
        };
        is_long_enough && name.iter().zip(own).all(|(a, b)| plain(*a) == plain(*b))
    }
}

/// A byte of a name as the most lenient application reads it.
fn plain(byte: u8) -> u8 {
    match byte {
        b'.' | b' ' | b'+' | b'[' => b'_',
        _ => byte.to_ascii_lowercase(),
    }
}

fn is_visible(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'"' && byte != b'\''
}

/// A name without percent-encoding.
fn percent_decoded(name: &[u8]) -> Cow<'_, [u8]> {
    if !name.contains(&b'%') {
        return Cow::Borrowed(name);
    }
    let mut decoded = Vec::with_capacity(name.len());
    let mut rest = name;
    while let [byte, after @ ..] = rest {
        rest = after;
        let digits = after.first_chunk::<2>().filter(|_| *byte == b'%');
        let value = digits.and_then(|[high, low]| Some(hex(*high)? << 4 | hex(*low)?));
        decoded.push(value.unwrap_or(*byte));
        if value.is_some() {
            rest = &after[2..];
        }
    }
    Cow::Owned(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

impl fmt::Display for CookiePattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.is_prefix { "*" } else { "" };
        write!(formatter, "{}{star}", self.name)
    }
}

/// Whether one of these patterns names a cookie.
pub fn is_named(patterns: &[CookiePattern], name: &[u8]) -> bool {
    patterns.iter().any(|pattern| pattern.matches(name))
}

/// Whether a request has a cookie that one of these patterns names, however its application may read
/// `Cookie`: RFC 6265 §5.4 is what browsers write, and servers read more than that.
///
/// - Pairs are separated by `;`, and for some also by commas, white space or the end of a quoted
///   text.
/// - A name may have white space around it, control characters and bytes above ASCII included, be
///   quoted, or be percent-encoded.
/// - PHP reads a space, a dot and a bracket in a name as `_`, and what follows a bracket as a part of
///   the value.
/// - ASP.NET doesn't tell capital letters from small ones.
///
/// So this list may match more than an application reads, and never less.
///
/// ```
/// use http::header::{COOKIE, HeaderMap, HeaderValue};
/// use tero_semantics::cookies::{CookiePattern, may_have_cookie};
///
/// let cookies = HeaderValue::from_static("lang=es; sessionid=7");
/// let request = HeaderMap::from_iter([(COOKIE, cookies)]);
/// assert!(may_have_cookie(&request, &[CookiePattern::new("session*")]));
/// assert!(!may_have_cookie(&request, &[CookiePattern::new("id")]));
/// ```
pub fn may_have_cookie(request: &HeaderMap, patterns: &[CookiePattern]) -> bool {
    let mut lines = request.get_all(COOKIE).iter();
    lines.any(|line| {
        pairs(line.as_bytes()).any(|pair| is_named(patterns, name_of(pair)))
            || readings(line.as_bytes()).any(|reading| reading.may_be(patterns))
    })
}

/// Whether a request has a cookie that one of these patterns names for an application, while
/// [`told_cookies`] doesn't name it so. Who decides by the latter decides over another request than
/// the application answers.
///
/// ```
/// use http::header::{COOKIE, HeaderMap, HeaderValue};
/// use tero_semantics::cookies::{CookiePattern, hides_cookie};
///
/// let patterns = [CookiePattern::new("logged_in_*")];
/// let request = |line| HeaderMap::from_iter([(COOKIE, HeaderValue::from_static(line))]);
/// assert!(!hides_cookie(&request("logged_in_1=x"), &patterns));
/// assert!(hides_cookie(&request("logged.in_1=x"), &patterns));
/// ```
pub fn hides_cookie(request: &HeaderMap, patterns: &[CookiePattern]) -> bool {
    let mut lines = request.get_all(COOKIE).iter();
    lines.any(|line| {
        let mut readings = readings(line.as_bytes());
        readings.any(|reading| !reading.is_told(patterns) && reading.may_be(patterns))
    })
}

/// The cookies of a line by RFC 6265 §5.4, name and value each: a pair without `=` is left out.
///
/// ```
/// use tero_semantics::cookies::told_cookies;
///
/// let cookies = told_cookies(b"a = 1;b; c=x=y");
/// assert!(cookies.eq([(&b"a"[..], &b"1"[..]), (b"c", b"x=y")]));
/// ```
pub fn told_cookies(line: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    pairs(line).filter_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        Some((pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii()))
    })
}

/// What may be read as the name of a cookie: an `=`, and what stands before it.
#[derive(Clone, Copy, Debug)]
struct CookieReading<'l> {
    /// From the semicolon before to the `=`, if there is no other `=` between; then the text after
    /// it, up to the next semicolon.
    pair: Option<(&'l [u8], &'l [u8])>,
    /// The text before the `=`, back to a character that can't be in a name.
    word: &'l [u8],
}

/// The readings of a line.
fn readings(line: &[u8]) -> impl Iterator<Item = CookieReading<'_>> {
    line.split(|byte| *byte == b';').flat_map(|segment| {
        let places = (0..segment.len()).filter(|place| segment[*place] == b'=');
        places.enumerate().map(|(nth, place)| {
            let (before, after) = (&segment[..place], &segment[place + 1..]);
            CookieReading {
                pair: (nth == 0).then_some((before, after)),
                word: last_word(before),
            }
        })
    })
}

/// The last word of a text; empty where it is the value of another pair.
fn last_word(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| is_of_word(*byte));
    let word = &text[..end.map_or(0, |end| end + 1)];
    match word.iter().rposition(|byte| !is_of_word(*byte)) {
        None => word,
        Some(before) if word[before] == b'=' => &[],
        Some(before) => &word[before + 1..],
    }
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b',' | b'"' | b'\'' | b'=')
}

impl CookieReading<'_> {
    /// Whether [`told_cookies`] has it under a name that one of the patterns names, in UTF-8.
    fn is_told(&self, patterns: &[CookiePattern]) -> bool {
        self.pair.is_some_and(|(name, value)| {
            is_named(patterns, name.trim_ascii())
                && std::str::from_utf8(name).is_ok()
                && std::str::from_utf8(value).is_ok()
        })
    }

    fn may_be(&self, patterns: &[CookiePattern]) -> bool {
        let of_pair = self.pair.map(|(name, _)| name);
        let names = of_pair.into_iter().chain([self.word]);
        patterns
            .iter()
            .any(|pattern| names.clone().any(|name| pattern.may_match(name)))
    }
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
    if !lines.any(|line| pairs(line.as_bytes()).any(is_gone)) {
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
    let kept: Vec<&[u8]> = pairs(line.as_bytes())
        .filter(|pair| is_kept(name_of(pair)))
        .collect();
    if kept.is_empty() {
        return None;
    }
    HeaderValue::from_bytes(&kept.join(&b"; "[..])).ok()
}

/// The cookies of a line, as they are written.
fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let pairs = line.split(|byte| *byte == b';');
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
            ("sid2", true),
            ("sid3", false),
            ("Sid*", true),
            ("flag", true),
            ("es", false),
            ("*", true),
        ] {
            let found = may_have_cookie(&headers, &[CookiePattern::new(pattern)]);
            assert_eq!(found, expected, "{pattern}");
        }
        assert!(!may_have_cookie(
            &HeaderMap::new(),
            &[CookiePattern::new("*")]
        ));
        assert!(!may_have_cookie(
            &request(&["; ;", ""]),
            &[CookiePattern::new("*")]
        ));
        assert!(!may_have_cookie(&headers, &[]));
    }
    #[test]
    fn a_cookie_is_found_however_an_application_reads_the_field() {
        let patterns = ["sessionid", "wordpress_logged_in_*"].map(CookiePattern::new);
        let request =
            |line: &[u8]| HeaderMap::from_iter([(COOKIE, HeaderValue::from_bytes(line).unwrap())]);
        // Found, and hidden from who is told cookies.
        for (line, found, hidden) in [
            (&b"sessionid=7"[..], true, false),
            (b"a=1; sessionid = 7", true, false),
            (b"sessionid", true, false),
            (b"a=1 sessionid=7", true, true),
            (b"a=1, sessionid=7", true, true),
            (b"a=1,sessionid=7", true, true),
            (b"a=\"1\"sessionid=7", true, true),
            (b"a=\"x; sessionid=7\"", true, false),
            (b"a=1\tsessionid =7", true, true),
            (b"a=1;\xa0sessionid=7", true, true),
            (b"a=1;\xc2\xa0sessionid\xc2\xa0=7", true, true),
            (b"a=1; \"sessionid\"=7", true, true),
            (b"SessionID=7", true, true),
            (b"%73essionid=7", true, true),
            (b"%20sessionid=7", true, true),
            (b"sessionid%00x=7", true, true),
            (b"sessionid[a]=7", true, true),
            (b"sessionid=\xff", true, true),
            (b"wordpress.logged_in_1=7", true, true),
            (b"wordpress logged in_1=7", true, true),
            (b"wordpress[logged_in_1=7", true, true),
            (b"wordpress+logged_in_1=7", true, true),
            (b"wordpress_logged_in =7", true, true),
            (b"wordpress_logged_in_1[x]=7", true, false),
            (b"x=sessionid=7", false, false),
            (b"sessionid2=7; xsessionid=7", false, false),
            (b"wordpress_logged_in=7", false, false),
            (b"note=my sessionid; x==; =; ;=sessionid", false, false),
            (b"a=%; b=%7; %=1; c%zz=2", false, false),
        ] {
            let (headers, shown) = (request(line), line.escape_ascii());
            assert_eq!(may_have_cookie(&headers, &patterns), found, "{shown}");
            assert_eq!(hides_cookie(&headers, &patterns), hidden, "{shown}");
        }
        let all = [CookiePattern::new("*")];
        assert!(!hides_cookie(&request(b"a=1; b=2;c = 3"), &all));
        assert!(hides_cookie(&request(b"a=1 b=2"), &all));
    }

    #[test]
    fn a_long_line_is_read_in_one_pass() {
        let line = "a".repeat(30_000) + &"=".repeat(30_000);
        let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(&line).unwrap())]);
        let patterns = [CookiePattern::new("sessionid")];
        assert!(!may_have_cookie(&headers, &patterns) && !hides_cookie(&headers, &patterns));
    }
}
