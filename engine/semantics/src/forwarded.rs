//! What proxies say about a request that they pass on: `X-Forwarded-For`, `-Proto`, `-Host` and
//! `-Port`, and `Forwarded` (RFC 7239). Only a proxy that the caller trusts is asked.
//!
//! Each proxy adds, at the end, the address that it was asked from. So the list is read from its
//! end: as long as an address is that of a trusted proxy, the one before it is believed too. What
//! stands further to the left was sent by the client, and may be made up.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv6Addr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};

use super::authority::{NamedAuthority, Scheme, port_of};
use super::list::{closing_quote, is_token_byte, list_members};

/// `X-Forwarded-For`: the client, then the proxies on the way.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `X-Forwarded-Proto`: the scheme by which the client asked.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// `X-Forwarded-Host`: the authority that the client asked for.
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// `X-Forwarded-Port`: the port that the client asked at.
pub const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// What trusted proxies say about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardedFacts<'a> {
    /// The address of the client: the last that is not a trusted proxy's, or the first of all. `None`
    /// if it is unknown.
    pub client: Option<IpAddr>,
    /// The trusted proxies between the client and us, the nearest last. One without an address is
    /// left out.
    pub proxies: Vec<IpAddr>,
    /// The scheme.
    pub scheme: Option<Scheme>,
    /// The authority as it is written; not checked.
    pub authority: Option<Cow<'a, str>>,
    /// The port. It wins over one in `authority`: a proxy knows where it listens, and often passes
    /// on the `Host` as the client wrote it.
    pub port: Option<u16>,
}

impl ForwardedFacts<'_> {
    /// What is known of a request that `client` sends by itself.
    pub fn direct(client: Option<IpAddr>) -> ForwardedFacts<'static> {
        ForwardedFacts {
            client,
            proxies: Vec::new(),
            scheme: None,
            authority: None,
            port: None,
        }
    }
}

/// What a request says that came from the trusted proxy `peer`, which has no address if it came by a
/// Unix socket. `Forwarded` counts only if none of
/// the other four fields is there: a proxy that sets these may pass on a `Forwarded` that the client
/// made up.
///
/// ```
/// use http::HeaderMap;
/// use tero_semantics::authority::Scheme;
/// use tero_semantics::forwarded::forwarded_facts;
///
/// let mut request = HeaderMap::new();
/// request.insert("x-forwarded-for", "6.6.6.6, 198.51.100.7, 10.0.0.9".parse().unwrap());
/// request.insert("x-forwarded-proto", "https".parse().unwrap());
/// let is_trusted = |address: std::net::IpAddr| address.to_string().starts_with("10.");
/// let peer = "10.0.0.1".parse().unwrap();
/// let facts = forwarded_facts(&request, Some(peer), is_trusted);
/// assert_eq!(facts.client, Some("198.51.100.7".parse().unwrap()));
/// assert_eq!(facts.scheme, Some(Scheme::Https));
/// ```
pub fn forwarded_facts(
    headers: &HeaderMap,
    peer: Option<IpAddr>,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> ForwardedFacts<'_> {
    let of_old = [
        &X_FORWARDED_FOR,
        &X_FORWARDED_PROTO,
        &X_FORWARDED_HOST,
        &X_FORWARDED_PORT,
    ];
    if of_old.into_iter().any(|name| headers.contains_key(name)) {
        by_x_forwarded(headers, peer, is_trusted)
    } else {
        by_forwarded(headers, peer, is_trusted)
    }
}

fn by_x_forwarded(
    headers: &HeaderMap,
    peer: Option<IpAddr>,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> ForwardedFacts<'_> {
    let mut facts = ForwardedFacts::direct(peer);
    let addresses = texts_from_the_right(headers, &X_FORWARDED_FOR).map(address_of);
    // The proxy that was asked from the client added this member, at the place where it added the
    // client.
    let place = walk(&mut facts, addresses, is_trusted).saturating_sub(1);
    let member = |name: &HeaderName| nth_from_the_right(headers, name, place);
    facts.scheme = member(&X_FORWARDED_PROTO).and_then(Scheme::from_name);
    facts.authority = member(&X_FORWARDED_HOST).map(Cow::Borrowed);
    facts.port = member(&X_FORWARDED_PORT).and_then(port_of);
    facts
}

/// The member of a list at that place from its end. Proxies that set a field anew leave a shorter
/// list: its first member then.
fn nth_from_the_right<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    place: usize,
) -> Option<&'a str> {
    texts_from_the_right(headers, name).take(place + 1).last()
}

fn by_forwarded(
    headers: &HeaderMap,
    peer: Option<IpAddr>,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> ForwardedFacts<'_> {
    let mut facts = ForwardedFacts::direct(peer);
    let elements: Vec<Option<ForwardedElement<'_>>> = members_from_the_right(headers, &FORWARDED)
        .map(element_of)
        .collect();
    let addresses = elements.iter().map(|element| {
        let node = element.as_ref()?.node.as_deref();
        node.and_then(address_of)
    });
    let place = walk(&mut facts, addresses, is_trusted).saturating_sub(1);
    if let Some(element) = elements.into_iter().nth(place).flatten() {
        facts.scheme = element.scheme.as_deref().and_then(Scheme::from_name);
        facts.authority = element.authority;
    }
    facts
}

/// Goes through addresses, the nearest first, for as long as they are those of trusted proxies.
/// Returns how many hops that are.
fn walk(
    facts: &mut ForwardedFacts<'_>,
    addresses: impl Iterator<Item = Option<IpAddr>>,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> usize {
    let mut hops = 0;
    // Text that isn't an address, such as `unknown`, ends the walk: the proxy that wrote it is the last
    // that is known.
    for address in addresses.map_while(|address| address) {
        facts.proxies.extend(facts.client);
        facts.client = Some(address);
        hops += 1;
        if !is_trusted(address) {
            break;
        }
    }
    facts.proxies.reverse();
    hops
}

/// The members of a list, the last line's last first.
fn members_from_the_right<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let lines: Vec<_> = headers.get_all(name).iter().collect();
    lines.into_iter().rev().flat_map(|line| {
        let members: Vec<_> = list_members(line.as_bytes()).collect();
        members.into_iter().rev()
    })
}

fn texts_from_the_right<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> + use<'a> {
    members_from_the_right(headers, name)
        .map(|member| std::str::from_utf8(member).unwrap_or_default())
}

/// An address as proxies write it: alone, with a port, in brackets. An IPv4 address within an IPv6
/// one is the IPv4 address.
///
/// ```
/// use tero_semantics::forwarded::address_of;
///
/// for text in ["192.0.2.1", "192.0.2.1:4711", "::ffff:192.0.2.1", "[::ffff:192.0.2.1]:4711"] {
///     assert_eq!(address_of(text), Some("192.0.2.1".parse().unwrap()));
/// }
/// assert_eq!(address_of("unknown"), None);
/// assert_eq!(address_of("_hidden"), None);
/// ```
pub fn address_of(text: &str) -> Option<IpAddr> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        return is_port(rest).then(|| IpAddr::V6(address).to_canonical());
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let (address, port) = text.split_at(text.find(':')?);
    let address: std::net::Ipv4Addr = address.parse().ok()?;
    is_port(port).then_some(IpAddr::V4(address))
}

/// Whether this is nothing, or a colon and a port. RFC 7239 §6.3 allows a name there, too.
fn is_port(text: &str) -> bool {
    let Some(port) = text.strip_prefix(':') else {
        return text.is_empty();
    };
    !port.is_empty()
        && port
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// An element of `Forwarded` (RFC 7239 §4), as far as it is used here.
#[derive(Debug, Default)]
struct ForwardedElement<'a> {
    /// `for`
    node: Option<Cow<'a, str>>,
    /// `proto`
    scheme: Option<Cow<'a, str>>,
    /// `host`
    authority: Option<Cow<'a, str>>,
}

/// Reads an element; `None` if it is malformed. A parameter must not come twice (RFC 7239 §4).
fn element_of(member: &[u8]) -> Option<ForwardedElement<'_>> {
    let mut element = ForwardedElement::default();
    let mut rest = std::str::from_utf8(member).ok()?;
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = value_of(after)?;
        let place = match name.trim() {
            name if name.eq_ignore_ascii_case("for") => Some(&mut element.node),
            name if name.eq_ignore_ascii_case("proto") => Some(&mut element.scheme),
            name if name.eq_ignore_ascii_case("host") => Some(&mut element.authority),
            name if name.is_empty() || name.contains([';', '"', ' ']) => return None,
            _ => None,
        };
        if let Some(place) = place
            && place.replace(value).is_some()
        {
            return None;
        }
        let after = after.trim_start();
        rest = match after.strip_prefix(';') {
            Some(next) => next.trim(),
            None if after.is_empty() => after,
            None => return None,
        };
    }
    Some(element)
}

/// A token or quoted string, and what follows it; `None` if it is malformed.
fn value_of(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', '"', ' ', '\t']).unwrap_or(text.len());
        let (token, after) = text.split_at(end);
        return (!token.is_empty()).then_some((Cow::Borrowed(token), after));
    };
    let end = closing_quote(quoted.as_bytes())?;
    let (value, after) = (quoted.get(..end)?, quoted.get(end + 1..)?);
    if !value.contains('\\') {
        return Some((Cow::Borrowed(value), after));
    }
    let mut characters = value.chars();
    let mut plain = String::with_capacity(value.len());
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.extend(characters.next()),
            character => plain.push(character),
        }
    }
    Some((Cow::Owned(plain), after))
}

/// What the next hop is told with `Forwarded` (RFC 7239 §4).
#[derive(Clone, Copy, Debug)]
pub struct ForwardedHops<'a> {
    /// The client; `None` if it is unknown.
    pub client: Option<IpAddr>,
    /// The trusted proxies between the client and us, the nearest last.
    pub proxies: &'a [IpAddr],
    /// The scheme by which the client asked.
    pub scheme: Scheme,
    /// The authority that it asked for.
    pub authority: &'a str,
}

impl ForwardedHops<'_> {
    /// The value of `Forwarded`: an element for the client, with authority and scheme, then one for
    /// each proxy.
    ///
    /// ```
    /// use tero_semantics::authority::Scheme;
    /// use tero_semantics::forwarded::ForwardedHops;
    ///
    /// let hops = ForwardedHops {
    ///     client: Some("2001:db8::7".parse().unwrap()),
    ///     proxies: &["10.0.0.1".parse().unwrap()],
    ///     scheme: Scheme::Https,
    ///     authority: "shop.example",
    /// };
    /// let expected = "for=\"[2001:db8::7]\";host=shop.example;proto=https, for=10.0.0.1";
    /// assert_eq!(hops.write(), expected);
    /// ```
    pub fn write(self) -> String {
        let mut value = String::with_capacity(64 + self.authority.len());
        match self.client {
            Some(client) => write_node(&mut value, client),
            None => value.push_str("for=unknown"),
        }
        value.push_str(";host=");
        write_word(&mut value, self.authority);
        value.push_str(";proto=");
        value.push_str(self.scheme.as_str());
        for proxy in self.proxies {
            value.push_str(", ");
            write_node(&mut value, *proxy);
        }
        value
    }
}

/// `for=` and an address. One of IPv6 stands in brackets and quotes (RFC 7239 §6).
fn write_node(value: &mut String, address: IpAddr) {
    let address = address.to_canonical();
    // A string takes all that is written to it.
    let _ = match address {
        IpAddr::V4(_) => write!(value, "for={address}"),
        IpAddr::V6(_) => write!(value, "for=\"[{address}]\""),
    };
}

/// A token as it is, other text as a quoted string.
fn write_word(value: &mut String, text: &str) {
    if !text.is_empty() && text.bytes().all(is_token_byte) {
        return value.push_str(text);
    }
    value.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            value.push('\\');
        }
        value.push(character);
    }
    value.push('"');
}

/// Whether fields of proxies say that a client came by https, as far as anybody may say so.
///
/// ```
/// use http::{HeaderMap, HeaderValue};
/// use tero_semantics::forwarded::{X_FORWARDED_PROTO, says_https};
///
/// let told = |value| HeaderMap::from_iter([(X_FORWARDED_PROTO, HeaderValue::from_static(value))]);
/// assert!(says_https(&told("HTTPS")) && says_https(&told("http, https")));
/// assert!(!says_https(&told("http")) && !says_https(&HeaderMap::new()));
/// ```
#[cold]
pub fn says_https(headers: &HeaderMap) -> bool {
    let is_https = |text: &[u8]| text.trim_ascii().eq_ignore_ascii_case(b"https");
    let mut protos = headers.get_all(X_FORWARDED_PROTO).iter();
    let mut forwarded = headers.get_all(FORWARDED).iter();
    protos.any(|line| line.as_bytes().split(|byte| *byte == b',').any(is_https))
        || forwarded.any(|line| {
            let parts = line.as_bytes().split(|byte| matches!(byte, b',' | b';'));
            parts.map(<[u8]>::trim_ascii).any(|part| {
                part.eq_ignore_ascii_case(b"proto=https")
                    || part.eq_ignore_ascii_case(b"proto=\"https\"")
            })
        })
}

/// The authority that proxies and the request together name: `facts` first, then what the request
/// itself names. `None` if it is malformed.
pub fn named_authority<'a>(
    facts: &'a ForwardedFacts<'_>,
    own: Option<&'a str>,
) -> Option<NamedAuthority<'a>> {
    let named = NamedAuthority::parse(facts.authority.as_deref().or(own)?)?;
    Some(match facts.port {
        Some(port) => named.with_port(Some(port)),
        None => named,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::headers;
    use super::*;

    #[test]
    fn a_proxy_without_an_address_counts_as_a_hop() {
        let is_trusted = |address: IpAddr| address.to_string().starts_with("10.");
        for (lines, client, proxies, authority) in [
            (&[][..], None, &[][..], None),
            (
                &[
                    ("x-forwarded-for", "6.6.6.6, 192.0.2.1"),
                    ("x-forwarded-host", "evil, a.example"),
                ],
                Some("192.0.2.1"),
                &[],
                Some("a.example"),
            ),
            (
                &[
                    ("x-forwarded-for", "192.0.2.1, 10.0.0.9"),
                    ("x-forwarded-host", "a.example, inner"),
                ],
                Some("192.0.2.1"),
                &["10.0.0.9"],
                Some("a.example"),
            ),
            (
                &[("forwarded", "for=192.0.2.1;host=a.example, for=10.0.0.9")],
                Some("192.0.2.1"),
                &["10.0.0.9"],
                Some("a.example"),
            ),
            (
                &[("x-forwarded-host", "b.example")],
                None,
                &[],
                Some("b.example"),
            ),
        ] {
            let headers = headers(lines);
            let facts = forwarded_facts(&headers, None, is_trusted);
            let proxies: Vec<IpAddr> = proxies.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(
                facts.client,
                client.map(|text| text.parse().unwrap()),
                "{lines:?}"
            );
            assert_eq!(facts.proxies, proxies, "{lines:?}");
            assert_eq!(facts.authority.as_deref(), authority, "{lines:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let addresses = ["192.0.2.7", "2001:db8::7", "::ffff:192.0.2.7"];
        let proxies: [IpAddr; 2] = ["10.0.0.9", "10.0.0.1"].map(|text| text.parse().unwrap());
        for (authority, scheme) in [
            ("shop.example", Scheme::Http),
            ("shop.example:8443", Scheme::Https),
            ("[2001:db8::1]:81", Scheme::Https),
            ("a\"b\\c", Scheme::Http),
            ("", Scheme::Http),
        ] {
            for address in addresses {
                let client: IpAddr = address.parse().unwrap();
                let hops = ForwardedHops {
                    client: Some(client),
                    proxies: &proxies,
                    scheme,
                    authority,
                };
                let value = hops.write();
                let headers = headers(&[("forwarded", &value)]);
                // The peer is the one that the last element tells.
                let peer = "10.0.0.2".parse().unwrap();
                let is_trusted = |address: IpAddr| address.to_string().starts_with("10.");
                let facts = forwarded_facts(&headers, Some(peer), is_trusted);
                assert_eq!(facts.client, Some(client.to_canonical()), "{value}");
                assert_eq!(facts.proxies, [&proxies[..], &[peer]].concat(), "{value}");
                assert_eq!(
                    (facts.scheme, facts.authority.as_deref()),
                    (Some(scheme), Some(authority)),
                    "{value}"
                );
            }
        }
    }

    /// Client, proxies, scheme, authority, port.
    fn told(lines: &[(&str, &str)]) -> (String, String, &'static str, String, Option<u16>) {
        let headers = headers(lines);
        let is_trusted = |address: IpAddr| address.to_string().starts_with("10.");
        let peer = "10.0.0.1".parse().unwrap();
        let facts = forwarded_facts(&headers, Some(peer), is_trusted);
        let proxies: Vec<_> = facts.proxies.iter().map(IpAddr::to_string).collect();
        (
            facts.client.unwrap().to_string(),
            proxies.join(" "),
            facts.scheme.map_or("", Scheme::as_str),
            facts.authority.unwrap_or_default().into_owned(),
            facts.port,
        )
    }

    fn check_client(lines: &[(&str, &str)], client: &str, proxies: &str) {
        let (found, between, ..) = told(lines);
        assert_eq!(
            (found.as_str(), between.as_str()),
            (client, proxies),
            "{lines:?}"
        );
    }

    #[test]
    fn the_client_is_the_last_address_that_is_not_trusted() {
        for (lists, client, proxies) in [
            (&[][..], "10.0.0.1", ""),
            (&[""], "10.0.0.1", ""),
            (&["192.0.2.1"], "192.0.2.1", "10.0.0.1"),
            (&["6.6.6.6, 192.0.2.1"], "192.0.2.1", "10.0.0.1"),
            (&["192.0.2.1, 10.0.0.2"], "192.0.2.1", "10.0.0.2 10.0.0.1"),
            (
                &["6.6.6.6,192.0.2.1 , 10.0.0.3", "10.0.0.2"],
                "192.0.2.1",
                "10.0.0.3 10.0.0.2 10.0.0.1",
            ),
            // All are trusted: the first of them is where it began.
            (&["10.0.0.3, 10.0.0.2"], "10.0.0.3", "10.0.0.2 10.0.0.1"),
            (&["192.0.2.1:4711"], "192.0.2.1", "10.0.0.1"),
            (&["[2001:db8::1]:4711"], "2001:db8::1", "10.0.0.1"),
            (&["2001:db8::1"], "2001:db8::1", "10.0.0.1"),
            (&["::ffff:192.0.2.1"], "192.0.2.1", "10.0.0.1"),
            // Text that isn't an address ends the walk, so that nothing to its left is believed.
            (&["6.6.6.6, unknown"], "10.0.0.1", ""),
            (&["6.6.6.6, _x, 10.0.0.2"], "10.0.0.2", "10.0.0.1"),
            (&["6.6.6.6, [::1, 10.0.0.2"], "10.0.0.2", "10.0.0.1"),
            (&["6.6.6.6, \u{e9}"], "10.0.0.1", ""),
        ] {
            let lines: Vec<_> = lists
                .iter()
                .map(|line| ("x-forwarded-for", *line))
                .collect();
            check_client(&lines, client, proxies);
        }
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_says() {
        for (lists, client, proxies) in [
            (&["for=192.0.2.1"][..], "192.0.2.1", "10.0.0.1"),
            (&["For=\"[2001:db8::1]:4711\""], "2001:db8::1", "10.0.0.1"),
            (
                &["for=6.6.6.6, for=192.0.2.1;by=_x, for=10.0.0.2"],
                "192.0.2.1",
                "10.0.0.2 10.0.0.1",
            ),
            (
                &["for=192.0.2.1", "for=10.0.0.2"],
                "192.0.2.1",
                "10.0.0.2 10.0.0.1",
            ),
            (&["for=\"192.0.2\\.1\""], "192.0.2.1", "10.0.0.1"),
            (&["for=6.6.6.6, for=unknown"], "10.0.0.1", ""),
            (&["for=6.6.6.6, proto=https"], "10.0.0.1", ""),
            (&["for=6.6.6.6, for=192.0.2.1;for=6.6.6.6"], "10.0.0.1", ""),
            (&["for=6.6.6.6, for=\"192.0.2.1"], "10.0.0.1", ""),
            (&["for=6.6.6.6, for"], "10.0.0.1", ""),
            (&["for=6.6.6.6, for="], "10.0.0.1", ""),
            (&["for=6.6.6.6, for=192.0.2.1 x"], "10.0.0.1", ""),
        ] {
            let lines: Vec<_> = lists.iter().map(|line| ("forwarded", *line)).collect();
            check_client(&lines, client, proxies);
        }
    }

    #[test]
    fn scheme_and_authority_come_from_the_proxy_that_the_client_asked() {
        for (lines, expected) in [
            (
                &[
                    ("x-forwarded-proto", "https"),
                    ("x-forwarded-host", "a.example:8443"),
                ][..],
                ("https", "a.example:8443", None),
            ),
            (
                &[("x-forwarded-proto", "HTTPS"), ("x-forwarded-port", "8443")],
                ("https", "", Some(8443)),
            ),
            (&[("x-forwarded-proto", "gopher")], ("", "", None)),
            (&[("x-forwarded-port", "x")], ("", "", None)),
            // The client's own members stand to the left.
            (
                &[
                    ("x-forwarded-for", "192.0.2.1"),
                    ("x-forwarded-proto", "http, https"),
                ],
                ("https", "", None),
            ),
            (
                &[
                    ("x-forwarded-for", "192.0.2.1, 10.0.0.2"),
                    ("x-forwarded-proto", "http, https, http"),
                    ("x-forwarded-host", "evil.example, a.example, inner"),
                ],
                ("https", "a.example", None),
            ),
            // A proxy that sets the field anew leaves one member.
            (
                &[
                    ("x-forwarded-for", "192.0.2.1, 10.0.0.2"),
                    ("x-forwarded-proto", "https"),
                ],
                ("https", "", None),
            ),
            (
                &[(
                    "forwarded",
                    "for=192.0.2.1;proto=https;host=\"a.example:8443\", for=10.0.0.2;proto=http",
                )],
                ("https", "a.example:8443", None),
            ),
            (&[("forwarded", "proto=https")], ("https", "", None)),
            // Beside the other fields, `Forwarded` may be the client's.
            (
                &[
                    ("forwarded", "for=6.6.6.6;proto=http;host=evil"),
                    ("x-forwarded-proto", "https"),
                ],
                ("https", "", None),
            ),
        ] {
            let (_, _, scheme, authority, port) = told(lines);
            assert_eq!((scheme, authority.as_str(), port), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_list_of_a_thousand_proxies_is_read() {
        let list = vec!["10.0.0.2"; 1_000].join(",");
        check_client(
            &[("x-forwarded-for", &format!("192.0.2.1,{list}"))],
            "192.0.2.1",
            &format!("{} 10.0.0.1", vec!["10.0.0.2"; 1_000].join(" ")),
        );
    }
}
