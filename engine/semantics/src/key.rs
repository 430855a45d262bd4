//! Which stored responses a request can mean: the primary key (RFC 9111 §4), of scheme, host, path
//! and the query parameters that count, and the policies' variant.
//!
//! The path is part of the key byte for byte. RFC 3986 §6.2.2 would let `%7E` and `~` be one; but
//! the origin is sent the path as it came, and origins exist that answer the two differently, so a
//! merged key would let one request store a "not found" for another's page. A merge that is missed
//! costs one fetch.

use std::borrow::Cow;

use super::decision::{QueryParameters, QueryRule};

/// What of the query counts under `rule`; none where there is no query or nothing of it counts.
/// Borrowed where nothing changes.
///
/// Parameters are separated by `&`. Names are compared as percent-decoded; what is left keeps its
/// spelling. Sorting is by name and keeps the order of values of the same name, which means
/// something to many applications.
pub fn canonical_query<'q>(query: Option<&'q str>, rule: &QueryRule) -> Option<Cow<'q, str>> {
    let query = query?;
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

/// Whether `pattern`, a name or a beginning followed by `*`, names a parameter whose name is
/// written `name`.
fn names(pattern: &str, name: &str) -> bool {
    let mut decoded = percent_decoded(name.as_bytes());
    match pattern.strip_suffix('*') {
        Some(beginning) => beginning.bytes().all(|byte| decoded.next() == Some(byte)),
        None => decoded.eq(pattern.bytes()),
    }
}

fn percent_decoded(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let hex = |byte: Option<&u8>| {
        byte.and_then(|byte| char::from(*byte).to_digit(16))
            .and_then(|digit| u8::try_from(digit).ok())
    };
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

/// Appends a key to `buf`: the URL, a line feed, the variant. The host is written in lower case and
/// without a port that is the scheme's own (RFC 9110 §4.2.3). No URL holds a line feed; were one
/// given, all after it would be variant.
pub fn write_key(
    buf: &mut Vec<u8>,
    scheme: &str,
    host: &str,
    path: &str,
    query: Option<&str>,
    variant: Option<&str>,
) {
    buf.extend_from_slice(scheme.as_bytes());
    buf.extend_from_slice(b"://");
    let start = buf.len();
    buf.extend_from_slice(without_default_port(scheme, host).as_bytes());
    buf[start..].make_ascii_lowercase();
    buf.extend_from_slice(path.as_bytes());
    if let Some(query) = query {
        buf.push(b'?');
        buf.extend_from_slice(query.as_bytes());
    }
    buf.push(b'\n');
    buf.extend_from_slice(variant.unwrap_or_default().as_bytes());
}

/// The host of an authority, without the port; none where it is no authority of HTTP's, which has
/// no user information.
pub fn host_of(authority: &str) -> Option<&str> {
    let port = authority
        .bytes()
        .rev()
        .take_while(u8::is_ascii_digit)
        .count();
    let host = authority[..authority.len() - port]
        .strip_suffix(':')
        .unwrap_or(authority);
    // An address of IPv6 stands in brackets, so that its colons are not the one before a port (RFC
    // 3986 §3.2.2).
    let is_host = match host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(address) => address
            .bytes()
            .all(|byte| byte == b':' || is_host_byte(byte)),
        None => host.bytes().all(is_host_byte),
    };
    (is_host && !host.is_empty()).then_some(host)
}

fn is_host_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'%')
}

pub(crate) fn without_default_port<'h>(scheme: &str, host: &'h str) -> &'h str {
    let default = if scheme.eq_ignore_ascii_case("https") {
        ":443"
    } else {
        ":80"
    };
    host.strip_suffix(default).unwrap_or(host)
}

/// A hash of a key that is the same at every edge and in every version, with all of its bits alike:
/// FNV-1a, then the finaliser of SplitMix64, since FNV alone leaves the high bits of short keys
/// much alike.
pub fn hash(key: &[u8]) -> u64 {
    let fnv = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The URL of a key.
pub fn url_of(key: &[u8]) -> &str {
    let end = key
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(key.len());
    std::str::from_utf8(&key[..end]).unwrap_or_default()
}

/// The policies' variant in a key, its second line; none where they named none.
pub fn variant_of(key: &[u8]) -> Option<&str> {
    let start = key.iter().position(|byte| *byte == b'\n')? + 1;
    let variant = key[start..].split(|byte| *byte == b'\n').next()?;
    std::str::from_utf8(variant)
        .ok()
        .filter(|variant| !variant.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(parameters: QueryParameters, sort: bool) -> QueryRule {
        QueryRule { parameters, sort }
    }

    fn patterns(patterns: &[&str]) -> Vec<String> {
        patterns
            .iter()
            .map(|pattern| (*pattern).to_owned())
            .collect()
    }

    fn check(query: Option<&str>, rule: &QueryRule, expected: Option<&str>) {
        let canonical = canonical_query(query, rule);
        assert_eq!(canonical.as_deref(), expected, "{query:?} {rule:?}");
        let is_borrowed = matches!(canonical, Some(Cow::Borrowed(_)) | None);
        assert_eq!(
            is_borrowed,
            canonical.is_none() || canonical.as_deref() == query,
            "{query:?} {rule:?}"
        );
    }

    #[test]
    fn only_parameters_that_count_are_left() {
        let ignore = rule(
            QueryParameters::Ignore(patterns(&["utm_*", "fbclid"])),
            false,
        );
        check(None, &ignore, None);
        check(Some("a=1"), &ignore, Some("a=1"));
        check(Some("utm_source=x&a=1&fbclid=2&b"), &ignore, Some("a=1&b"));
        check(Some("fbclid"), &ignore, None);
        check(
            Some("fbclid2=1&xutm_=1"),
            &ignore,
            Some("fbclid2=1&xutm_=1"),
        );
        check(Some("utm%5Fsource=x&a=1"), &ignore, Some("a=1"));
        check(Some("a%"), &ignore, Some("a%"));
        check(Some("a%zz=1&b=%4"), &ignore, Some("a%zz=1&b=%4"));
        let only = rule(QueryParameters::Only(patterns(&["page"])), false);
        check(Some("page=2"), &only, Some("page=2"));
        check(Some("Page=2&page=1&page=3"), &only, Some("page=1&page=3"));
        check(Some("x"), &only, None);
        check(Some(""), &only, None);
        check(
            Some("a=1"),
            &rule(QueryParameters::Only(Vec::new()), false),
            None,
        );
        check(
            Some("a=1"),
            &rule(QueryParameters::Ignore(patterns(&["*"])), false),
            None,
        );
    }

    #[test]
    fn sorting_is_by_name_and_keeps_the_order_of_values() {
        let sort = rule(QueryParameters::All, true);
        check(Some("b=2&a=1"), &sort, Some("a=1&b=2"));
        check(Some("a=1&b=2"), &sort, Some("a=1&b=2"));
        check(Some("a=2&b=1&a=1"), &sort, Some("a=2&a=1&b=1"));
        check(Some("a=2&a=1"), &sort, Some("a=2&a=1"));
        check(Some(""), &sort, Some(""));
        check(Some("b&&a"), &sort, Some("&a&b"));
        check(Some("b=2&a=1"), &QueryRule::default(), Some("b=2&a=1"));
    }

    #[test]
    fn a_key_gives_back_its_url_and_its_variant() {
        let rows = [
            (
                ("http", "Example.COM", "/A", None, None),
                "http://example.com/A",
                None,
            ),
            (
                ("http", "example.com:80", "/", Some("a=1"), Some("mobile")),
                "http://example.com/?a=1",
                Some("mobile"),
            ),
            (
                ("https", "example.com:443", "/", Some(""), None),
                "https://example.com/?",
                None,
            ),
            (
                ("https", "example.com:80", "/%7E", None, Some("a+b")),
                "https://example.com:80/%7E",
                Some("a+b"),
            ),
            (
                ("http", "[::1]:8080", "/", None, None),
                "http://[::1]:8080/",
                None,
            ),
        ];
        for ((scheme, host, path, query, variant), url, expected) in rows {
            let mut key = Vec::new();
            write_key(&mut key, scheme, host, path, query, variant);
            assert_eq!((url_of(&key), variant_of(&key)), (url, expected));
        }
    }

    #[test]
    fn a_port_is_no_part_of_a_host() {
        for (named, host) in [
            ("a.example", Some("a.example")),
            ("a.example:8080", Some("a.example")),
            ("[::1]:80", Some("[::1]")),
            ("[::1]", Some("[::1]")),
            ("[::1", None),
            ("::1", None),
            ("10", Some("10")),
            ("a.example:", Some("a.example")),
            ("a.example:8o", None),
            ("user@a.example", None),
            ("", None),
            (":80", None),
            ("a b", None),
        ] {
            assert_eq!(host_of(named), host, "{named}");
        }
    }

    #[test]
    fn different_spellings_of_a_path_are_different_keys() {
        let key = |path| {
            let mut key = Vec::new();
            write_key(&mut key, "http", "h", path, None, None);
            key
        };
        assert_ne!(key("/%7Ea"), key("/~a"));
        assert_ne!(key("/a/../b"), key("/b"));
        assert_ne!(key("/a"), key("/A"));
    }

    /// Edges of different versions spread the lifetimes of one page alike.
    #[test]
    fn the_hash_of_a_key_never_changes() {
        assert_eq!(hash(b""), 0xf52a_15e9_a9b5_e89b);
        assert_eq!(hash(b"http://example.com/\n"), 0x767e_ea64_c03e_dbf8);
    }

    #[test]
    fn what_is_no_key_has_no_url() {
        assert_eq!(
            (
                url_of(b"\xff\n"),
                variant_of(b"no line feed"),
                variant_of(b"u\n\xff")
            ),
            ("", None, None)
        );
    }
}
