//! `[[server.listener]]`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::listener_tls::ListenerTls;
use crate::forms::{self, PeerNetwork};
use crate::mistakes::{FilePosition, Mistake};

section! {
    /// A listener with settings of its own, beside the plain ones of `[server] listen`.
    #[derive(Clone, Debug)]
    [[server.listener]]
    pub struct Listener {
        place: FilePosition;
        /// The address that visitors connect to. Port 0 takes a free port.
        address: ListenAddress = required, Text("`ADDRESS:PORT`, or `unix:/PATH`")
            => listen_address;
        /// Whether `[::]` takes IPv4 connections too. A client keeps its IPv4 address then.
        dual_stack: bool = false, Flag;
        /// The permissions of a Unix socket: who may write to it may connect.
        unix_mode: u32 = "0660", Text("octal digits, `0660`") => file_mode;
        /// The peers that must begin each connection with a header of the PROXY protocol, version 1
        /// or 2. It says who the client is. From all others it is refused. `unix` means all peers of
        /// a Unix socket.
        proxy_protocol: Vec<PeerNetwork> = [],
            Texts("a network such as `10.0.0.0/8`, an address, or `unix`")
            => forms::peer_network, distinct();
        /// See `[server.listener.tls]`. `tls = "acme"` stands for `tls = { acme = true }`.
        tls: Option<ListenerTls> = rule("none: plain HTTP"),
            Nested(ListenerTls) => ListenerTls::of_word;
        /// Whether clients may speak HTTP/2: with `tls`, those that choose it in the handshake (ALPN);
        /// without, those that begin with its preface.
        http2: bool = false, Flag;
    }
}

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// An address with a port; 0 takes a free one.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// Two listeners are equal if their keys are, wherever they stand in the file.
impl PartialEq for Listener {
    fn eq(&self, other: &Listener) -> bool {
        self.changed_keys(other).is_empty()
    }
}

impl Listener {
    /// A listener that only has an address, as those of `[server] listen`.
    pub fn plain(address: SocketAddr) -> Listener {
        Listener {
            address: ListenAddress::Tcp(address),
            dual_stack: false,
            unix_mode: 0o660,
            proxy_protocol: Vec::new(),
            http2: false,
            tls: None,
            place: FilePosition::default(),
        }
    }

    /// Whether a running listener with the settings of `other` can take over these: they differ in
    /// their certificates at most.
    pub fn can_replace(&self, other: &Listener) -> bool {
        let changed = self.changed_keys(other);
        changed.is_empty()
            || (changed == ["tls"]
                && ListenerTls::may_follow(other.tls.as_ref(), self.tls.as_ref()))
    }

    /// Whether it takes IPv4 and IPv6 connections on all addresses of the machine.
    pub(crate) fn takes_any_ip(&self) -> bool {
        self.dual_stack && self.address.ip() == Some(Ipv6Addr::UNSPECIFIED.into())
    }
}

impl ListenAddress {
    /// The address and port; `None` if it is not one of TCP.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            ListenAddress::Tcp(address) => Some(*address),
            ListenAddress::Unix(_) => None,
        }
    }

    /// The path; `None` if it is not a Unix socket.
    pub fn unix(&self) -> Option<&Path> {
        match self {
            ListenAddress::Tcp(_) => None,
            ListenAddress::Unix(path) => Some(path),
        }
    }

    /// Whether only this machine reaches it: a loopback address or a Unix socket.
    pub fn is_local(&self) -> bool {
        self.ip().is_none_or(|ip| ip.is_loopback())
    }

    fn ip(&self) -> Option<IpAddr> {
        self.tcp().map(|address| address.ip())
    }
}

/// Stands in for an address that was refused.
impl Default for ListenAddress {
    fn default() -> ListenAddress {
        ListenAddress::Tcp((Ipv6Addr::UNSPECIFIED, 0).into())
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> ListenAddress {
        ListenAddress::Tcp(address)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => address.fmt(formatter),
            ListenAddress::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

/// The longest path of a socket to listen on, in bytes. While it is made it has a longer name, and
/// the system takes 107 bytes.
const MAX_LISTEN_PATH: usize = 90;

/// The address of a listener: `ADDRESS:PORT`, or `unix:/PATH`.
pub(super) fn listen_address(text: &str) -> Result<ListenAddress, Mistake> {
    let Some(path) = text.strip_prefix("unix:") else {
        return forms::address(text).map(ListenAddress::Tcp);
    };
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.starts_with('/') && !path.ends_with('/') && path.len() <= MAX_LISTEN_PATH {
        return Ok(ListenAddress::Unix(path.into()));
    }
    Err(Mistake::new(
        format!("`{text}` is not a socket to listen on"),
        format!(
            "write its whole path, at most {MAX_LISTEN_PATH} bytes, \"unix:/run/tero/http.sock\""
        ),
    ))
}

/// The permissions of a file as octal digits, `0660`.
pub(super) fn file_mode(text: &str) -> Result<u32, Mistake> {
    let is_octal =
        (3..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    match u32::from_str_radix(text, 8) {
        Ok(mode) if is_octal && mode <= 0o777 => Ok(mode),
        _ => Err(Mistake::new(
            format!("`{text}` is not a mode"),
            "write the permissions as octal digits, \"0660\"",
        )),
    }
}
