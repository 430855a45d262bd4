//! Fields of messages that an intermediary passes on: hop-by-hop fields (RFC 9110 §7.6.1), `Via`
//! (§7.6.3), `CDN-Loop` (RFC 8586) and a missing `Date` (RFC 9110 §6.6.1).

use http::header::{
    AGE, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, COOKIE, DATE, ETAG, EXPIRES, HOST, HeaderMap, HeaderName, HeaderValue,
    LAST_MODIFIED, PRAGMA, RANGE, SET_COOKIE, VARY, VIA,
};

use super::http_date::{date_value, http_date};
use super::list::list_members;
use super::timestamp::Timestamp;

/// `CDN-Loop` (RFC 8586)
pub const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");
const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// Fields for every recipient, which a sender must not name in `Connection` (RFC 9110 §7.6.1). If
/// it does, they stay: without them we would forget whom a request comes from, what a stored
/// response is, or that it must not be stored.
const END_TO_END: [HeaderName; 20] = [
    HOST,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    CONTENT_ENCODING,
    CONTENT_RANGE,
    CACHE_CONTROL,
    CDN_CACHE_CONTROL,
    PRAGMA,
    EXPIRES,
    DATE,
    AGE,
    VARY,
    ETAG,
    LAST_MODIFIED,
    AUTHORIZATION,
    COOKIE,
    SET_COOKIE,
    RANGE,
    VIA,
    CDN_LOOP,
];

/// Whether a field concerns one connection only, whether or not `Connection` names it (RFC 9110
/// §7.6.1), or belongs to proxy authentication. A gateway is the origin to its clients, so the
/// latter end here in both directions (RFC 9110 §11.7, RFC 9111 §3.1).
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Removes from a request the fields that concern the connection to the client.
///
/// ```
/// use http::header::{ACCEPT, CONNECTION, HeaderMap, HeaderName, HeaderValue};
/// use tero_semantics::forwarding::strip_request_hop_by_hop;
///
/// let mut request = HeaderMap::from_iter([
///     (CONNECTION, HeaderValue::from_static("x-debug")),
///     (HeaderName::from_static("x-debug"), HeaderValue::from_static("1")),
///     (ACCEPT, HeaderValue::from_static("*/*")),
/// ]);
/// strip_request_hop_by_hop(&mut request);
/// assert!(request.keys().eq([ACCEPT]));
/// ```
pub fn strip_request_hop_by_hop(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
}

/// Removes from a response the fields that concern the connection to the next hop.
///
/// ```
/// use http::header::{HeaderMap, HeaderValue, TRANSFER_ENCODING};
/// use tero_semantics::forwarding::strip_response_hop_by_hop;
///
/// let chunked = HeaderValue::from_static("chunked");
/// let mut response = HeaderMap::from_iter([(TRANSFER_ENCODING, chunked)]);
/// strip_response_hop_by_hop(&mut response);
/// assert!(response.is_empty());
/// ```
pub fn strip_response_hop_by_hop(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
}

/// Removes the hop-by-hop fields and those that `Connection` names, in either direction.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    for name in nominated(headers) {
        headers.remove(name);
    }
    remove_named(headers, is_hop_by_hop);
}

/// All fields except the hop-by-hop ones and those that `Connection` names.
pub(super) fn end_to_end(headers: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    let nominated = nominated(headers);
    headers
        .iter()
        .filter(move |(name, _)| !is_hop_by_hop(name.as_str()) && !nominated.contains(name))
}

/// Whether a line of `Connection` names fields that are to be removed, beside those that end here
/// anyway.
///
/// ```
/// use http::HeaderValue;
/// use tero_semantics::forwarding::names_fields;
///
/// assert!(!names_fields(&HeaderValue::from_static("keep-alive, Upgrade")));
/// assert!(names_fields(&HeaderValue::from_static("keep-alive, X-Tenant")));
/// ```
#[inline]
pub fn names_fields(line: &HeaderValue) -> bool {
    // What nearly all clients send.
    let usual: [&[u8]; 4] = [b"keep-alive", b"Keep-Alive", b"close", b"Close"];
    !usual.contains(&line.as_bytes()) && names_unusual_fields(line)
}

#[cold]
fn names_unusual_fields(line: &HeaderValue) -> bool {
    options(line).any(|name| name != "close" && is_removed(&name))
}

/// Removes from a request the fields that `Connection` names. What ends here anyway stays, for it
/// may concern this hop: `Upgrade` does.
///
/// ```
/// use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, UPGRADE};
/// use tero_semantics::forwarding::strip_nominated;
///
/// let mut request = HeaderMap::from_iter([
///     (CONNECTION, HeaderValue::from_static("x-tenant, upgrade")),
///     (HeaderName::from_static("x-tenant"), HeaderValue::from_static("acme")),
///     (UPGRADE, HeaderValue::from_static("websocket")),
/// ]);
/// strip_nominated(&mut request);
/// assert!(request.contains_key(UPGRADE) && !request.contains_key("x-tenant"));
/// ```
pub fn strip_nominated(headers: &mut HeaderMap) {
    for name in nominated(headers) {
        if is_removed(&name) {
            headers.remove(name);
        }
    }
}

fn is_removed(name: &HeaderName) -> bool {
    !END_TO_END.contains(name) && !is_hop_by_hop(name.as_str())
}

/// The options of a line of `Connection` that can be names of fields.
fn options(line: &HeaderValue) -> impl Iterator<Item = HeaderName> {
    list_members(line.as_bytes()).filter_map(|option| HeaderName::from_bytes(option).ok())
}

/// The fields that `Connection` names, except those that it must not name.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    let lines = headers.get_all(CONNECTION).iter();
    let options = lines.flat_map(options);
    options.filter(|name| !END_TO_END.contains(name)).collect()
}

/// Removes the fields for whose name, in lower case, `is_named` holds.
///
/// Messages have few fields and nearly never one of these, so one look at each field costs less
/// than one search for each name.
///
/// ```
/// use http::header::{COOKIE, HeaderMap, HeaderValue};
/// use tero_semantics::forwarding::remove_named;
///
/// let mut request = HeaderMap::from_iter([(COOKIE, HeaderValue::from_static("a=b"))]);
/// remove_named(&mut request, |name| name == "cookie");
/// assert!(request.is_empty());
/// ```
pub fn remove_named(headers: &mut HeaderMap, is_named: impl Fn(&str) -> bool) {
    let named: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_named(name.as_str()))
        .cloned()
        .collect();
    for name in named {
        headers.remove(name);
    }
}

/// Whether a field of authentication ties the user to the connection: NTLM and Negotiate (RFC 4559)
/// authenticate a connection and not a request, so that no other user's request may follow on it
/// (RFC 9110 §3.3). `name` is `Authorization` of a request or `WWW-Authenticate` of a response.
///
/// ```
/// use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
/// use tero_semantics::forwarding::ties_connection;
///
/// let with = |value| HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
/// assert!(ties_connection(&with("NTLM TlRMTVNTUAAB"), AUTHORIZATION));
/// assert!(!ties_connection(&with("Basic dXNlcjpwYXNz"), AUTHORIZATION));
/// ```
pub fn ties_connection(headers: &HeaderMap, name: HeaderName) -> bool {
    let mut lines = headers.get_all(name).iter();
    lines.any(|line| {
        list_members(line.as_bytes()).any(|member| {
            let scheme = member.split(u8::is_ascii_whitespace).next();
            scheme.is_some_and(|scheme| {
                scheme.eq_ignore_ascii_case(b"ntlm") || scheme.eq_ignore_ascii_case(b"negotiate")
            })
        })
    })
}

/// Adds this hop to `Via` (RFC 9110 §7.6.3): `version` is that of the message as it was received,
/// `name` is ours. A `name` that can't stand in a field is left out.
///
/// ```
/// use http::{HeaderMap, Version};
/// use tero_semantics::forwarding::append_via;
///
/// let mut message = HeaderMap::new();
/// append_via(&mut message, Version::HTTP_11, "shield");
/// append_via(&mut message, Version::HTTP_2, "edge");
/// assert_eq!(message["via"], "1.1 shield, 2.0 edge");
/// ```
pub fn append_via(headers: &mut HeaderMap, version: http::Version, name: &str) {
    let protocol = match version {
        http::Version::HTTP_09 => "0.9",
        http::Version::HTTP_10 => "1.0",
        http::Version::HTTP_2 => "2.0",
        http::Version::HTTP_3 => "3.0",
        _ => "1.1",
    };
    append_member(headers, VIA, &[protocol, name].join(" "));
}

/// Our entry of `CDN-Loop` (RFC 8586 §2). The name is for people and may be that of several
/// processes, so that a parameter says which of them it was.
///
/// ```
/// use http::HeaderValue;
/// use tero_semantics::forwarding::LoopEntry;
///
/// let entry = LoopEntry::new("edge", "2f9c");
/// assert_eq!(entry.as_str(), "edge; id=2f9c");
/// let came_back = HeaderValue::from_static("edge; id=77ab, edge; id=2f9c");
/// assert!(entry.is_in(&came_back));
/// let of_another = HeaderValue::from_static("edge; id=77ab");
/// assert!(!entry.is_in(&of_another));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoopEntry {
    text: Box<str>,
    /// Where the identity begins in `text`.
    identity_at: usize,
}

impl LoopEntry {
    /// The entry of the process with this identity. Both are tokens (RFC 9110 §5.6.2).
    pub fn new(name: &str, identity: &str) -> LoopEntry {
        let text = format!("{name}; id={identity}");
        LoopEntry {
            identity_at: text.len() - identity.len(),
            text: text.into(),
        }
    }

    /// The entry as it is sent.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a line of `CDN-Loop` has an entry with our identity, whatever its name: the request
    /// has been here before.
    pub fn is_in(&self, line: &HeaderValue) -> bool {
        let identity = self.text[self.identity_at..].as_bytes();
        list_members(line.as_bytes()).any(|entry| {
            let mut parameters = entry.split(|byte| *byte == b';').skip(1);
            parameters.any(|parameter| is_identity(parameter.trim_ascii(), identity))
        })
    }
}

/// Whether a parameter is `id=IDENTITY`, as a token or as a quoted string.
fn is_identity(parameter: &[u8], identity: &[u8]) -> bool {
    let Some((name, value)) = parameter.split_at_checked(3) else {
        return false;
    };
    let unquoted = value
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""));
    name.eq_ignore_ascii_case(b"id=") && unquoted.unwrap_or(value) == identity
}

/// Adds our entry to `CDN-Loop` (RFC 8586 §2). The entries of others stay.
///
/// ```
/// use http::HeaderMap;
/// use tero_semantics::forwarding::{LoopEntry, append_cdn_loop};
///
/// let mut request = HeaderMap::new();
/// append_cdn_loop(&mut request, &LoopEntry::new("edge", "2f9c"));
/// assert_eq!(request["cdn-loop"], "edge; id=2f9c");
/// ```
pub fn append_cdn_loop(headers: &mut HeaderMap, entry: &LoopEntry) {
    append_member(headers, CDN_LOOP, entry.as_str());
}

/// Adds a member at the end of a list field and joins its lines, so that recipients that read a
/// single line see all of it.
fn append_member(headers: &mut HeaderMap, name: HeaderName, member: &str) {
    if !headers.contains_key(&name) {
        if let Ok(member) = HeaderValue::from_str(member) {
            headers.insert(name, member);
        }
        return;
    }
    let lines: Vec<&[u8]> = headers
        .get_all(&name)
        .iter()
        .map(HeaderValue::as_bytes)
        .filter(|line| !line.is_empty())
        .collect();
    let mut value = lines.join(&b", "[..]);
    if !value.is_empty() {
        value.extend_from_slice(b", ");
    }
    value.extend_from_slice(member.as_bytes());
    if let Ok(value) = HeaderValue::from_bytes(&value) {
        headers.insert(name, value);
    }
}

/// Gives a response without a `Date`, or with one that isn't a date, the time at which it came (RFC
/// 9110 §6.6.1).
///
/// ```
/// use http::HeaderMap;
/// use tero_semantics::forwarding::ensure_date;
/// use tero_semantics::timestamp::Timestamp;
///
/// let mut response = HeaderMap::new();
/// ensure_date(&mut response, Timestamp::from_unix_secs(784_111_777));
/// assert_eq!(response["date"], "Sun, 06 Nov 1994 08:49:37 GMT");
/// ```
pub fn ensure_date(headers: &mut HeaderMap, response_time: Timestamp) {
    if headers.get(DATE).and_then(http_date).is_none() {
        headers.insert(DATE, date_value(response_time));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{NOON, headers};
    use super::*;

    fn names(headers: &HeaderMap) -> Vec<&str> {
        headers.keys().map(HeaderName::as_str).collect()
    }

    #[test]
    fn hop_by_hop_fields_and_fields_named_by_connection_are_removed() {
        let lines = [
            ("connection", "close, A"),
            ("connection", " ,x-b,\"odd\", not a name"),
            ("a", "1"),
            ("x-b", "2"),
            ("c", "3"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authenticate", "Basic"),
            ("proxy-authentication-info", "x"),
            ("proxy-authorization", "Basic eA=="),
            ("te", "trailers"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("www-authenticate", "Basic"),
        ];
        for strip in [strip_request_hop_by_hop, strip_response_hop_by_hop] {
            let mut left = headers(&lines);
            strip(&mut left);
            assert_eq!(names(&left), ["c", "www-authenticate"]);
        }
    }

    #[test]
    fn end_to_end_fields_stay_even_if_connection_names_them() {
        for name in &END_TO_END {
            let mut left = headers(&[("connection", name.as_str()), (name.as_str(), "x")]);
            strip_request_hop_by_hop(&mut left);
            assert_eq!(names(&left), [name.as_str()]);
        }
    }

    #[test]
    fn only_fields_that_go_on_count_as_named() {
        for (line, expected) in [
            ("", false),
            ("keep-alive", false),
            ("KEEP-ALIVE, Close", false),
            ("Upgrade, TE, transfer-encoding", false),
            ("authorization, cookie, host, content-length", false),
            ("not a name, \"\"", false),
            ("x", true),
            ("close, User-Agent", true),
            ("HTTP2-Settings, Upgrade", true),
        ] {
            assert_eq!(
                names_fields(&HeaderValue::from_static(line)),
                expected,
                "{line}"
            );
        }
    }

    #[test]
    fn via_and_cdn_loop_are_appended_to() {
        let mut message = headers(&[
            ("via", "1.0 fred"),
            ("via", ""),
            ("via", "1.1 p.example (x)"),
        ]);
        append_via(&mut message, http::Version::HTTP_11, "tero");
        assert_eq!(message["via"], "1.0 fred, 1.1 p.example (x), 1.1 tero");
        append_via(&mut message, http::Version::HTTP_2, "not\na name");
        assert_eq!(message["via"], "1.0 fred, 1.1 p.example (x), 1.1 tero");
        let mut message = HeaderMap::new();
        append_via(&mut message, http::Version::HTTP_10, "tero");
        append_cdn_loop(&mut message, &LoopEntry::new("tero", "1"));
        append_cdn_loop(&mut message, &LoopEntry::new("tero", "2"));
        assert_eq!(
            (&message["via"], &message["cdn-loop"]),
            (
                &HeaderValue::from_static("1.0 tero"),
                &HeaderValue::from_static("tero; id=1, tero; id=2")
            )
        );
    }

    #[test]
    fn a_looping_request_is_recognised() {
        let ours = LoopEntry::new("tero", "4f");
        for line in [
            "tero; id=4f",
            "foo123.foocdn.example, TERO;v=1;ID=4f",
            "foo; x=\"a, b\", bar ,renamed ; id=\"4f\" ;a=b",
        ] {
            assert!(ours.is_in(&HeaderValue::from_static(line)), "{line}");
        }
        for line in [
            "",
            "tero",
            "4f",
            "tero; id",
            "tero; id=",
            "tero; id=\"",
            "tero; id=4F, tero; id=4f0, tero; i=4f, tero; xid=4f",
            "id=4f, foo; x=\", tero; id=4f, \"",
        ] {
            assert!(!ours.is_in(&HeaderValue::from_static(line)), "{line}");
        }
    }

    #[test]
    fn a_response_without_a_date_gets_its_arrival_time() {
        for (lines, expected) in [
            (&[][..], "Tue, 10 Mar 2026 12:00:00 GMT"),
            (&[("date", "foo")][..], "Tue, 10 Mar 2026 12:00:00 GMT"),
            (
                &[("date", "Sun, 06 Nov 1994 08:49:37 GMT")][..],
                "Sun, 06 Nov 1994 08:49:37 GMT",
            ),
        ] {
            let mut response = headers(lines);
            ensure_date(
                &mut response,
                NOON.saturating_add(std::time::Duration::from_millis(999)),
            );
            assert_eq!(response["date"], expected);
        }
    }
}
