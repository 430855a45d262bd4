//! The forms of hosts, addresses and networks.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use super::form_result::{FormResult, cure};
use crate::mistakes::Mistake;
use tero_semantics::authority::Scheme;

/// An address and a port.
pub fn address(text: &str) -> FormResult<SocketAddr> {
    text.parse().map_err(|_| {
        let (proposal, words) = match text.rsplit_once(':') {
            Some(("localhost", port)) => (format!("127.0.0.1:{port}"), "write"),
            Some(("" | "*", port)) => (format!("0.0.0.0:{port}"), "write"),
            _ => match text.parse::<IpAddr>() {
                Ok(ip) => (SocketAddr::new(ip, 8080).to_string(), "write the port too,"),
                Err(_) => (String::new(), ""),
            },
        };
        let otherwise = "write an address and a port, \"127.0.0.1:8080\" or \"[::]:8080\"";
        let cure = cure(
            &proposal,
            address,
            |good| format!("{words} {good}"),
            otherwise,
        );
        Mistake::new(format!("`{text}` is not an address with a port"), cure)
    })
}

/// A site's host: a name or an address, with a port if that one counts; `*.NAME` for the names below
/// one; or `*`. The value is in
/// lower case.
pub fn host(text: &str) -> FormResult<String> {
    if text == "*" {
        return Ok(text.to_owned());
    }
    if let Some(name) = text.strip_prefix("*.") {
        return wildcard_host(text, name);
    }
    if text.contains("//") {
        return Err(Mistake::new(
            format!("`{text}` is a URL"),
            "write the host alone, \"www.example.org\"",
        ));
    }
    let Some((host, port)) = host_and_port(text) else {
        return Err(Mistake::new(
            format!("`{text}` is not a host"),
            "write a name or an address, \"www.example.org\", \"www.example.org:8443\" or \"[::1]\"",
        ));
    };
    let host = host.to_ascii_lowercase();
    match port {
        None => Ok(host),
        Some(port) if Scheme::ALL.map(Scheme::default_port).contains(&port) => {
            let cure = cure(
                &host,
                self::host,
                |host| format!("write it without, {host}: a scheme's own port is never part of it"),
                "write it without the port",
            );
            Err(Mistake::new(format!("`{text}` has the port {port}"), cure))
        }
        Some(port) => Ok(format!("{host}:{port}")),
    }
}

/// `*.NAME`: every host below a name.
fn wildcard_host(text: &str, name: &str) -> FormResult<String> {
    match host_and_port(name) {
        Some((name, None)) if !name.starts_with('[') => {
            Ok(format!("*.{}", name.to_ascii_lowercase()))
        }
        Some((name, Some(_))) if !name.starts_with('[') => Err(Mistake::new(
            format!("`{text}` has a port"),
            format!("write \"*.{name}\", for each port that [server] listens on"),
        )),
        _ => Err(Mistake::new(
            format!("`{text}` is not a name with a star for what is below it"),
            "write a star and a name, \"*.example.org\"; or \"*\" for all that no other site names",
        )),
    }
}

/// The name of a host that a certificate can be ordered for: without its port. `None` for addresses,
/// wildcards, and names that only mean something nearby, such as `localhost`.
pub fn certifiable_name(host: &str) -> Option<&str> {
    let (name, _) = host_and_port(host)?;
    let is_letter_digit_hyphen = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    let is_public = name.contains('.')
        && name.parse::<IpAddr>().is_err()
        && name.bytes().all(is_letter_digit_hyphen);
    is_public.then_some(name)
}

/// The URL of an ACME directory.
pub fn directory(text: &str) -> FormResult<String> {
    let cure = "write it as \"https://acme.example/directory\"";
    let mistake = || Mistake::new(format!("`{text}` is not the URL of a directory"), cure);
    let uri: http::Uri = text.parse().map_err(|_| mistake())?;
    let authority = uri.authority().ok_or_else(mistake)?;
    let is_good = uri.scheme_str() == Some("https")
        && !authority.as_str().contains('@')
        && !authority.host().is_empty();
    is_good.then(|| text.to_owned()).ok_or_else(mistake)
}

/// The URL of a collector, without a slash at its end.
pub fn collector(text: &str) -> FormResult<String> {
    let cure = "write it as \"http://127.0.0.1:4318\"";
    let mistake = || Mistake::new(format!("`{text}` is not the URL of a collector"), cure);
    let uri: http::Uri = text.parse().map_err(|_| mistake())?;
    let authority = uri.authority().ok_or_else(mistake)?;
    let is_good = matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.query().is_none()
        && !authority.as_str().contains('@')
        && !authority.host().is_empty();
    let text = text.trim_end_matches('/');
    is_good.then(|| text.to_owned()).ok_or_else(mistake)
}

/// A contact of an ACME account (RFC 8555 §7.3): an address of e-mail.
pub fn contact(text: &str) -> FormResult<String> {
    let address = text.strip_prefix("mailto:").unwrap_or(text);
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\",:;<>?\\".contains(&byte);
    let is_address = address.bytes().all(is_plain)
        && address.len() <= 254
        && address
            .split_once('@')
            .is_some_and(|(name, host)| !name.is_empty() && is_host(host));
    if is_address && text.len() > address.len() {
        return Ok(text.to_owned());
    }
    let otherwise = "write it as \"mailto:ops@example.com\"";
    let proposal = format!("mailto:{address}");
    let cure = match is_address {
        true => cure(
            &proposal,
            contact,
            |good| format!("write {good}"),
            otherwise,
        ),
        false => otherwise.to_owned(),
    };
    Err(Mistake::new(format!("`{text}` is not a contact"), cure))
}

/// A network, or an address alone.
pub fn network(text: &str) -> FormResult<IpNet> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address));
    }
    let network: IpNet = text.parse().map_err(|_| {
        Mistake::new(
            format!("`{text}` is not a network"),
            "write an address and the bits of its network, \"10.0.0.0/8\" or \"2001:db8::/32\"",
        )
    })?;
    let whole = network.trunc();
    if whole != network {
        return Err(Mistake::new(
            format!("`{text}` is an address within a network"),
            format!(
                "write the network, \"{whole}\", or the address alone, \"{}\"",
                network.addr()
            ),
        ));
    }
    Ok(network)
}

/// Who may open a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerNetwork {
    /// A client with an address of this network.
    Ip(IpNet),
    /// Any process that may connect to a Unix socket of ours.
    Unix,
}

/// A network, an address alone, or `unix`.
pub fn peer_network(text: &str) -> FormResult<PeerNetwork> {
    match text {
        "unix" => Ok(PeerNetwork::Unix),
        _ => network(text).map(PeerNetwork::Ip),
    }
}

/// A `Host` field: `HOST[:PORT]`.
pub fn host_header(text: &str) -> FormResult<String> {
    match host_and_port(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err(Mistake::new(
            format!("`{text}` is not a host"),
            "write \"HOST\" or \"HOST:PORT\"",
        )),
    }
}

pub(super) fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, Some(port.parse().ok().filter(|port| *port != 0)?))
        }
        _ => (text, None),
    };
    is_host(host).then_some((host, port))
}

pub(super) fn is_host(text: &str) -> bool {
    if let Some(address) = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (1..=253).contains(&text.len()) && text.split('.').all(label)
}
