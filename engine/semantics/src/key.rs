//! Which stored responses a request can mean: the cache key (RFC 9111 §2), made of scheme, host,
//! path, the query parameters that count, the policies' variant, and what else their decision makes
//! the response depend on.
//!
//! A key has a line for the URL, one for the variant, and, if there is anything on it, one for the
//! suffix of the decision. What is kept beside a response, such as a part of it, stands under a key
//! with a further line.
//!
//! The path is part of the key byte by byte. RFC 3986 §6.2.2 would allow `%7E` and `~` to share a
//! key. But the origin gets the path as it came, and some origins answer the two differently, so
//! that with a shared key one request could store a "not found" for another one's page. A missed
//! merge costs one fetch.

use std::borrow::Cow;

use super::decision::{QueryParameters, QueryRule};

/// The part of a query that counts under `rule`; `None` if there is no query or nothing of it
/// counts. Borrowed if nothing changes.
///
/// Parameters are separated by `&`. Names are compared percent-decoded; the parameters that stay
/// keep their spelling. Sorting is by name, and values of the same name keep their order, which
/// means something to many applications.
///
/// ```
/// use tero_semantics::decision::{QueryParameters, QueryRule};
/// use tero_semantics::key::canonical_query;
///
/// let rule = QueryRule {
///     parameters: QueryParameters::Ignore(vec!["utm_*".to_owned()]),
///     sort: true,
/// };
/// let query = canonical_query(Some("size=2&utm_source=x&colour=red"), &rule);
/// assert_eq!(query.as_deref(), Some("colour=red&size=2"));
/// assert_eq!(canonical_query(Some("utm_source=x"), &rule), None);
/// ```
#[inline]
pub fn canonical_query<'q>(query: Option<&'q str>, rule: &QueryRule) -> Option<Cow<'q, str>> {
    query.and_then(|query| canonical(query, rule))
}

fn canonical<'q>(query: &'q str, rule: &QueryRule) -> Option<Cow<'q, str>> {
    let parameters = || {
        query
            .split('&')
            .filter(|parameter| counts(name_of(parameter), &rule.parameters))
    };
    let dropped =
        rule.parameters != QueryParameters::All && parameters().count() != query.split('&').count();
    let moved = rule.sort && !parameters().is_sorted_by_key(name_of);
    if !dropped && !moved {
        return Some(Cow::Borrowed(query));
    }
    let mut left: Vec<&str> = parameters().collect();
    if rule.sort {
        left.sort_by_key(|parameter| name_of(parameter));
    }
    (!left.is_empty()).then(|| Cow::Owned(left.join("&")))
}

fn name_of(parameter: &str) -> &str {
    parameter
        .split_once('=')
        .map_or(parameter, |(name, _)| name)
}

fn counts(name: &str, parameters: &QueryParameters) -> bool {
    match parameters {
        QueryParameters::All => true,
        QueryParameters::Ignore(patterns) => !patterns.iter().any(|pattern| names(pattern, name)),
        QueryParameters::Only(patterns) => patterns.iter().any(|pattern| names(pattern, name)),
    }
}

/// Whether `pattern`, a name or a prefix followed by `*`, names the parameter whose name is written
/// `name`.
fn names(pattern: &str, name: &str) -> bool {
    let mut decoded = percent_decoded(name.as_bytes());
    match pattern.strip_suffix('*') {
        Some(prefix) => prefix.bytes().all(|byte| decoded.next() == Some(byte)),
        None => decoded.eq(pattern.bytes()),
    }
}

fn percent_decoded(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let byte = *bytes.get(at)?;
        at += 1;
        if byte == b'%'
            && let (Some(high), Some(low)) = (hex(bytes.get(at)), hex(bytes.get(at + 1)))
        {
            at += 2;
            return Some(high * 16 + low);
        }
        Some(byte)
    })
}

fn hex(digit: Option<&u8>) -> Option<u8> {
    let digit = char::from(*digit?).to_digit(16)?;
    u8::try_from(digit).ok()
}

/// What a key is made of.
#[derive(Clone, Copy, Debug)]
pub struct KeyParts<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Host and port in the form of [`Authority`](super::authority::Authority).
    pub authority: &'a str,
    /// The path, from its first slash on.
    pub path: &'a str,
    /// What [`canonical_query`] leaves of the query.
    pub query: Option<&'a str>,
    /// The policies' variant.
    pub variant: Option<&'a str>,
}

/// Appends a key to `buf`: the URL, a line feed, the variant. A URL contains no line feed; if one is
/// given anyway, all that follows it counts as variant.
///
/// ```
/// use tero_semantics::key::{KeyParts, url_of, variant_of, write_key};
///
/// let mut key = Vec::new();
/// let parts = KeyParts {
///     scheme: "http",
///     authority: "example.com",
///     path: "/shop",
///     query: Some("page=2"),
///     variant: Some("mobile"),
/// };
/// write_key(&mut key, &parts);
/// assert_eq!(url_of(&key), "http://example.com/shop?page=2");
/// assert_eq!(variant_of(&key), Some("mobile"));
/// ```
#[inline]
pub fn write_key(buf: &mut Vec<u8>, parts: &KeyParts<'_>) {
    buf.extend_from_slice(parts.scheme.as_bytes());
    buf.extend_from_slice(b"://");
    buf.extend_from_slice(parts.authority.as_bytes());
    buf.extend_from_slice(parts.path.as_bytes());
    if let Some(query) = parts.query {
        buf.push(b'?');
        buf.extend_from_slice(query.as_bytes());
    }
    buf.push(b'\n');
    buf.extend_from_slice(parts.variant.unwrap_or_default().as_bytes());
}

/// Appends the suffix of a decision to a key that [`write_key`] wrote
/// ([`ExtendedDecision::key_suffix`](super::decision::ExtendedDecision::key_suffix)). An empty one
/// changes nothing.
///
/// ```
/// use tero_semantics::key::{url_of, variant_of, without_suffix, write_suffix};
///
/// let mut key = b"http://example.com/\nmobile".to_vec();
/// write_suffix(&mut key, b"k6:marketv2:ar");
/// assert_eq!(url_of(&key), "http://example.com/");
/// assert_eq!(variant_of(&key), Some("mobile"));
/// assert_eq!(without_suffix(&key), b"http://example.com/\nmobile");
/// ```
pub fn write_suffix(buf: &mut Vec<u8>, suffix: &[u8]) {
    if !suffix.is_empty() {
        buf.push(b'\n');
        buf.extend_from_slice(suffix);
    }
}

/// A key up to its variant: without the suffix of a decision, and whatever follows it.
pub fn without_suffix(key: &[u8]) -> &[u8] {
    let mut feeds = key.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let end = feeds.nth(1).map_or(key.len(), |(place, _)| place);
    &key[..end]
}

/// Whether a key has the suffix of a decision. Each begins with a letter and a number, as no other
/// third line of a key does.
///
/// ```
/// use tero_semantics::key::has_suffix;
///
/// assert!(has_suffix(b"http://example.com/\n\nk6:marketv2:ar"));
/// assert!(has_suffix(b"http://example.com/\n\nk6:marketv2:ar\nparts"));
/// assert!(!has_suffix(b"http://example.com/\nmobile\nparts"));
/// ```
pub fn has_suffix(key: &[u8]) -> bool {
    let after = &key[without_suffix(key).len()..];
    matches!(after, [b'\n', letter, digit, ..] if letter.is_ascii_lowercase() && digit.is_ascii_digit())
}

/// The suffix of the decision in a key; `None` if it has none.
pub fn suffix_of(key: &[u8]) -> Option<&[u8]> {
    if !has_suffix(key) {
        return None;
    }
    let suffix = &key[without_suffix(key).len() + 1..];
    suffix.split(|byte| *byte == b'\n').next()
}

/// The host of an authority, without the port; `None` if the authority is malformed or has user
/// information, which HTTP does not allow.
///
/// ```
/// use tero_semantics::key::host_of;
///
/// assert_eq!(host_of("example.com:8080"), Some("example.com"));
/// assert_eq!(host_of("[::1]:8080"), Some("[::1]"));
/// assert_eq!(host_of("user@example.com"), None);
/// ```
#[inline]
pub fn host_of(authority: &str) -> Option<&str> {
    let port = authority
        .bytes()
        .rev()
        .take_while(u8::is_ascii_digit)
        .count();
    let host = authority[..authority.len() - port]
        .strip_suffix(':')
        .unwrap_or(authority);
    // An IPv6 address stands in brackets, so that its colons differ from the one before a port (RFC
    // 3986 §3.2.2).
    let address = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let is_host = match address {
        Some(address) => address
            .bytes()
            .all(|byte| byte == b':' || is_host_byte(byte)),
        None => host.bytes().all(is_host_byte),
    };
    (is_host && !host.is_empty()).then_some(host)
}

#[inline]
fn is_host_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'%')
}

#[inline]
pub(crate) fn without_default_port<'h>(scheme: &str, host: &'h str) -> &'h str {
    let default = if scheme.eq_ignore_ascii_case("https") {
        ":443"
    } else {
        ":80"
    };
    host.strip_suffix(default).unwrap_or(host)
}

/// A hash of a key that is the same on every edge and in every version, all of whose bits are
/// equally random: FNV-1a, then the finaliser of SplitMix64, since FNV alone gives short keys
/// similar high bits.
///
/// ```
/// use tero_semantics::key::hash;
///
/// assert_eq!(hash(b"http://example.com/\n"), 0x767e_ea64_c03e_dbf8);
/// ```
pub fn hash(key: &[u8]) -> u64 {
    let fnv = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The URL in a key; empty if the key is malformed.
///
/// ```
/// use tero_semantics::key::url_of;
///
/// assert_eq!(url_of(b"http://example.com/\nmobile"), "http://example.com/");
/// ```
pub fn url_of(key: &[u8]) -> &str {
    let end = key
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(key.len());
    std::str::from_utf8(&key[..end]).unwrap_or_default()
}

/// The web origin of the URL in a key: its scheme and authority (RFC 6454 §4).
///
/// ```
/// use tero_semantics::key::web_origin_of;
///
/// assert_eq!(web_origin_of(b"http://example.com:8080/a?b\n"), "http://example.com:8080");
/// ```
pub fn web_origin_of(key: &[u8]) -> &str {
    split_url(key).0
}

/// The web origin of the URL in a key, and what follows it.
fn split_url(key: &[u8]) -> (&str, &str) {
    let url = url_of(key);
    let bytes = url.as_bytes();
    // No scheme has a colon.
    let scheme = bytes.iter().position(|byte| *byte == b':');
    let scheme = scheme.filter(|end| bytes[*end..].starts_with(b"://"));
    let authority = scheme.map_or(0, |end| end + 3);
    let is_end = |byte: &u8| matches!(byte, b'/' | b'?');
    let length = bytes[authority..].iter().position(is_end);
    url.split_at(length.map_or(url.len(), |length| authority + length))
}

/// The path of the URL in a key; empty if it has none.
///
/// ```
/// use tero_semantics::key::path_of;
///
/// assert_eq!(path_of(b"http://example.com:8080/a/b?c\n"), "/a/b");
/// ```
pub fn path_of(key: &[u8]) -> &str {
    let (_, below) = split_url(key);
    below.split_once('?').map_or(below, |(path, _)| path)
}

/// The policies' variant in a key; `None` if it has none.
///
/// ```
/// use tero_semantics::key::variant_of;
///
/// assert_eq!(variant_of(b"http://example.com/\nmobile"), Some("mobile"));
/// assert_eq!(variant_of(b"http://example.com/\n"), None);
/// ```
pub fn variant_of(key: &[u8]) -> Option<&str> {
    let start = key.iter().position(|byte| *byte == b'\n')? + 1;
    let variant = key[start..].split(|byte| *byte == b'\n').next()?;
    std::str::from_utf8(variant)
        .ok()
        .filter(|variant| !variant.is_empty())
}

#[cfg(test)]
mod tests;
