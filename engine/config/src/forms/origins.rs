//! The forms of next hops.

use std::fmt;
use std::path::PathBuf;

use super::form_result::{FormResult, cure};
use super::hosts::host_and_port;
use crate::mistakes::Mistake;
use tero_semantics::authority::Scheme;

/// The address of a next hop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct OriginAddress {
    /// Whether TLS is spoken.
    pub scheme: Scheme,
    /// Where it listens.
    pub endpoint: OriginEndpoint,
}

/// Where a next hop listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OriginEndpoint {
    /// On a port.
    Tcp {
        /// Host name or address in lower case; an IPv6 address without brackets.
        host: String,
        /// Port; that of the scheme unless written.
        port: u16,
    },
    /// On a Unix socket.
    Unix(PathBuf),
}

impl OriginAddress {
    /// The address that `text` writes.
    ///
    /// # Errors
    /// What is wrong with it, and the cure.
    pub fn parse(text: &str) -> FormResult<OriginAddress> {
        origin(text)
    }
}

impl Default for OriginEndpoint {
    fn default() -> Self {
        OriginEndpoint::Tcp {
            host: String::new(),
            port: 0,
        }
    }
}

/// Host and port without the port of the scheme, as in a URL; or the path of the socket.
impl fmt::Display for OriginAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.endpoint {
            OriginEndpoint::Tcp { host, port } => {
                if host.contains(':') {
                    write!(f, "[{host}]")?;
                } else {
                    f.write_str(host)?;
                }
                if *port == self.scheme.default_port() {
                    return Ok(());
                }
                write!(f, ":{port}")
            }
            OriginEndpoint::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What an origin looks like.
const ORIGIN: &str = "write \"http://HOST:PORT\" or \"https://HOST:PORT\" with a host name or an address, and a port of 1 to 65535";

/// A path as long as this does not fit into the address of a socket.
const MAX_SOCKET_PATH: usize = 108;

/// A next hop: `http://HOST[:PORT]`, `https://HOST[:PORT]` or `unix:/PATH`.
pub fn origin(text: &str) -> FormResult<OriginAddress> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.starts_with('/') && path.len() < MAX_SOCKET_PATH {
            return Ok(OriginAddress {
                scheme: Scheme::Http,
                endpoint: OriginEndpoint::Unix(path.into()),
            });
        }
        let cure = "write the whole path of the socket, at most 107 bytes, \"unix:/run/app.sock\"";
        return Err(Mistake::new("an origin has no such socket", cure));
    }
    let (scheme, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
        (Some(rest), _) => (Scheme::Http, rest),
        (None, Some(rest)) => (Scheme::Https, rest),
        (None, None) => {
            let proposal = match text.split_once("://") {
                Some((_, rest)) => format!("http://{rest}"),
                None => format!("http://{}", text.trim_start_matches('/')),
            };
            let cure = cure(&proposal, origin, |good| format!("write {good}"), ORIGIN);
            return Err(Mistake::new(format!("`{text}` is not an origin"), cure));
        }
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#']) {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let words = |good: &str| format!("write {good}: the path comes from the request");
        let cure = cure(
            &format!("{}://{host}", scheme.as_str()),
            origin,
            words,
            ORIGIN,
        );
        return Err(Mistake::new("an origin has no path", cure));
    }
    if rest.contains('@') {
        return Err(Mistake::new(
            "an origin has no user and password",
            "write \"http://HOST:PORT\" or \"https://HOST:PORT\"",
        ));
    }
    let (host, port) = host_and_port(rest)
        .ok_or_else(|| Mistake::new(format!("`{text}` is not an origin"), ORIGIN))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok(OriginAddress {
        scheme,
        endpoint: OriginEndpoint::Tcp {
            host: host.to_ascii_lowercase(),
            port: port.unwrap_or(scheme.default_port()),
        },
    })
}

/// The name of a server in TLS: a host name without port, or an address.
pub fn server_name(text: &str) -> FormResult<String> {
    match host_and_port(text) {
        Some((host, None)) => Ok(host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_ascii_lowercase()),
        _ => Err(Mistake::new(
            format!("`{text}` is not a host name"),
            "write the name in the certificate, \"app.internal\"",
        )),
    }
}
