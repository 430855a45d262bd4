//! Which stored responses a request can mean: the primary key (RFC 9111 §4), of scheme, host, path and the query parameters that
//! count, and the policies' variant.
//!
//! The path is part of the key byte for byte. RFC 3986 §6.2.2 would let `%7E` and `~` be one; but the origin is sent the path as it
//! came, and origins exist that answer the two differently, so a merged key would let one request store a "not found" for another's
//! page. A merge that is missed costs one fetch.

use std::borrow::Cow;

use super::decision::{QueryParameters, QueryRule};

/// What of the query counts under `rule`; none where there is no query or nothing of it counts. Borrowed where nothing changes.
///
/// Parameters are separated by `&`. Names are compared as percent-decoded; what is left keeps its spelling. Sorting is by name and
/// keeps the order of values of the same name, which means something to many applications.
pub fn canonical_query<'q>(query: Option<&'q str>, rule: &QueryRule) -> Option<Cow<'q, str>> {
    let query = query?;
    let parameters = || query.split('&').filter(|parameter| counts(name_of(parameter), &rule.parameters));
    let dropped = rule.parameters != QueryParameters::All && parameters().count() != query.split('&').count();
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
    parameter.split_once('=').map_or(parameter, |(name, _)| name)
}

fn counts(name: &str, parameters: &QueryParameters) -> bool {
    match parameters {
        QueryParameters::All => true,
        QueryParameters::Ignore(patterns) => !patterns.iter().any(|pattern| names(pattern, name)),
        QueryParameters::Only(patterns) => patterns.iter().any(|pattern| names(pattern, name)),
    }
}

/// Whether `pattern`, a name or a beginning followed by `*`, names a parameter whose name is written `name`.
fn names(pattern: &str, name: &str) -> bool {
    let mut decoded = percent_decoded(name.as_bytes());
    match pattern.strip_suffix('*') {
        Some(beginning) => beginning.bytes().all(|byte| decoded.next() == Some(byte)),
        None => decoded.eq(pattern.bytes()),
    }
}

fn percent_decoded(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let hex = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16)).and_then(|digit| u8::try_from(digit).ok());
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

/// Appends a key to `buf`: the URL, a line feed, the variant. The host is written in lower case and without a port that is the
/// scheme's own (RFC 9110 §4.2.3). No URL holds a line feed; were one given, all after it would be variant.
pub fn write_key(buf: &mut Vec<u8>, scheme: &str, host: &str, path: &str, query: Option<&str>, variant: Option<&str>) {
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

pub(crate) fn without_default_port<'h>(scheme: &str, host: &'h str) -> &'h str {
    let default = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    host.strip_suffix(default).unwrap_or(host)
}

/// The URL of a key.
pub fn url_of(key: &[u8]) -> &str {
    let end = key.iter().position(|byte| *byte == b'\n').unwrap_or(key.len());
    std::str::from_utf8(&key[..end]).unwrap_or_default()
}

/// The policies' variant in a key; none where they named none.
pub fn variant_of(key: &[u8]) -> Option<&str> {
    let start = key.iter().position(|byte| *byte == b'\n')? + 1;
    std::str::from_utf8(&key[start..]).ok().filter(|variant| !variant.is_empty())
}
