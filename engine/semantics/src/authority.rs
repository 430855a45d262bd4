//! Scheme and authority of a request (RFC 9110 §4.2, §7.2), in the one form that keys, policies and
//! next hops share: the host in lower case without a trailing dot, and a port only where it counts.
//! Which ports count is for the caller to say.

use super::key::host_of;

/// The scheme by which a client asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// `http`
    #[default]
    Http,
    /// `https`
    Https,
}

impl Scheme {
    /// Every scheme.
    pub const ALL: [Scheme; 2] = [Scheme::Http, Scheme::Https];

    /// The name in URLs.
    #[inline]
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The port that a URL of this scheme means if it names none (RFC 9110 §4.2.1, §4.2.2).
    #[inline]
    pub fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }

    /// The scheme of that name in any case; `None` if there is none. A WebSocket goes by the scheme
    /// of its handshake (RFC 6455 §3).
    ///
    /// ```
    /// use tero_semantics::authority::Scheme;
    ///
    /// assert_eq!(Scheme::from_name("HTTPS"), Some(Scheme::Https));
    /// assert_eq!(Scheme::from_name("wss"), Some(Scheme::Https));
    /// assert_eq!(Scheme::from_name("ftp"), None);
    /// ```
    pub fn from_name(name: &str) -> Option<Scheme> {
        let is = |known: [&str; 2]| known.iter().any(|known| name.eq_ignore_ascii_case(known));
        if is(["http", "ws"]) {
            return Some(Scheme::Http);
        }
        is(["https", "wss"]).then_some(Scheme::Https)
    }
}

/// Host and port as a request names them, in `Host` or in an absolute target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedAuthority<'a> {
    /// In any case, without a trailing dot.
    host: &'a str,
    /// `None` without a port, or with an empty one.
    port: Option<u16>,
    /// Both as they were written, if nothing has to be left out between or within them; else empty.
    as_written: &'a str,
}

impl<'a> NamedAuthority<'a> {
    /// Reads an authority; `None` if it is malformed, has the port 0, or has
    /// user information, which HTTP doesn't allow. One trailing dot is dropped: with it, a name is the same one.
    ///
    /// ```
    /// use tero_semantics::authority::NamedAuthority;
    ///
    /// let named = NamedAuthority::parse("Shop.Example.:8080").unwrap();
    /// assert_eq!((named.host(), named.port()), ("Shop.Example", Some(8080)));
    /// assert!(NamedAuthority::parse("user@shop.example").is_none());
    /// ```
    #[inline]
    pub fn parse(text: &'a str) -> Option<NamedAuthority<'a>> {
        let named = host_of(text)?;
        let digits = text.get(named.len() + 1..).unwrap_or_default();
        let port = match digits {
            "" => None,
            digits => Some(port_of(digits)?),
        };
        let host = named.strip_suffix('.').unwrap_or(named);
        let is_exact = port.is_some() && host.len() == named.len() && !digits.starts_with('0');
        (!host.is_empty() && !host.ends_with('.')).then_some(NamedAuthority {
            host,
            port,
            as_written: if is_exact { text } else { "" },
        })
    }

    /// The host as it was written, without a trailing dot.
    pub fn host(self) -> &'a str {
        self.host
    }

    /// The port; `None` if there is none.
    pub fn port(self) -> Option<u16> {
        self.port
    }

    /// The same host with another port, or without one.
    pub fn with_port(self, port: Option<u16>) -> NamedAuthority<'a> {
        NamedAuthority {
            port,
            as_written: "",
            ..self
        }
    }
}

/// The port that these digits write; `None` if they are none, or not of 1 to 65535.
#[inline]
pub(super) fn port_of(digits: &str) -> Option<u16> {
    let mut port: u32 = 0;
    for byte in digits.bytes() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 || port > u16::MAX.into() {
            return None;
        }
        port = port * 10 + u32::from(digit);
    }
    u16::try_from(port).ok().filter(|port| *port != 0)
}

/// The authority that a request is for.
///
/// ```
/// use tero_semantics::authority::{Authority, NamedAuthority, Scheme};
///
/// let named = NamedAuthority::parse("SHOP.example:8080").unwrap();
/// let authority = Authority::new(named, Scheme::Http);
/// assert_eq!(authority.as_str(), "shop.example:8080");
/// assert_eq!((authority.host(), authority.port()), ("shop.example", Some(8080)));
/// assert_eq!(authority.without_port().as_str(), "shop.example");
///
/// // The default port of the scheme is not written.
/// let named = NamedAuthority::parse("shop.example:443").unwrap();
/// assert_eq!(Authority::new(named, Scheme::Https).as_str(), "shop.example");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// `HOST` or `HOST:PORT`
    text: Box<str>,
    host_length: usize,
    port: Option<u16>,
}

impl Authority {
    /// The authority that a request names, beside this scheme.
    #[inline]
    pub fn new(named: NamedAuthority<'_>, scheme: Scheme) -> Authority {
        let port = named.port.filter(|port| *port != scheme.default_port());
        let text = match port {
            None => named.host.to_ascii_lowercase(),
            Some(_) if !named.as_written.is_empty() => named.as_written.to_ascii_lowercase(),
            Some(port) => joined(named.host, port),
        };
        Authority {
            text: text.into_boxed_str(),
            host_length: named.host.len(),
            port,
        }
    }

    /// Whether a well-formed authority has a port.
    pub fn is_with_port(text: &str) -> bool {
        host_of(text).is_some_and(|host| host.len() < text.len())
    }

    /// `HOST` or `HOST:PORT`
    #[inline]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Lower case, without port.
    #[inline]
    pub fn host(&self) -> &str {
        &self.text[..self.host_length]
    }

    /// The port, unless it is the scheme's own.
    #[inline]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The port as it is written, or that of the scheme.
    pub fn port_text(&self, scheme: Scheme) -> &str {
        match (self.port, scheme) {
            (Some(_), _) => &self.text[self.host_length + 1..],
            (None, Scheme::Http) => "80",
            (None, Scheme::Https) => "443",
        }
    }

    /// The host alone.
    pub fn without_port(&self) -> Authority {
        Authority {
            text: self.host().into(),
            host_length: self.host_length,
            port: None,
        }
    }
}

#[cold]
fn joined(host: &str, port: u16) -> String {
    format!("{}:{port}", host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_has_one_form() {
        for (text, scheme, expected) in [
            ("a.example", Scheme::Http, Some("a.example")),
            ("A.EXAMPLE", Scheme::Http, Some("a.example")),
            ("a.example.", Scheme::Http, Some("a.example")),
            ("A.example.:8080", Scheme::Http, Some("a.example:8080")),
            ("a.example:80", Scheme::Http, Some("a.example")),
            ("a.example:443", Scheme::Http, Some("a.example:443")),
            ("a.example:443", Scheme::Https, Some("a.example")),
            ("a.example:80", Scheme::Https, Some("a.example:80")),
            ("a.example:", Scheme::Http, Some("a.example")),
            ("a.example:0", Scheme::Http, None),
            ("a.example:00080", Scheme::Http, Some("a.example")),
            ("a.example:1", Scheme::Http, Some("a.example:1")),
            ("a.example:10203", Scheme::Http, Some("a.example:10203")),
            ("a.example:65535", Scheme::Http, Some("a.example:65535")),
            ("a.example:65536", Scheme::Http, None),
            ("a.example:99999999999999999999", Scheme::Http, None),
            ("[::1]:8080", Scheme::Http, Some("[::1]:8080")),
            ("[2001:DB8::A]", Scheme::Http, Some("[2001:db8::a]")),
            ("a.example..", Scheme::Http, None),
            (".", Scheme::Http, None),
            ("..", Scheme::Http, None),
            ("", Scheme::Http, None),
            (":80", Scheme::Http, None),
            ("a@b", Scheme::Http, None),
            ("a.example:8o", Scheme::Http, None),
            ("::1", Scheme::Http, None),
            ("a.example:+12", Scheme::Http, None),
            ("A.example.:12", Scheme::Http, Some("a.example:12")),
            ("A.example:012", Scheme::Http, Some("a.example:12")),
            ("a.example:12", Scheme::Http, Some("a.example:12")),
            ("a.example:123", Scheme::Http, Some("a.example:123")),
            ("a.example:1234", Scheme::Http, Some("a.example:1234")),
        ] {
            let found = NamedAuthority::parse(text).map(|named| Authority::new(named, scheme));
            assert_eq!(
                found.as_ref().map(Authority::as_str),
                expected,
                "{text} {scheme:?}"
            );
        }
    }
}
