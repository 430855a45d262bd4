//! Sockets that listen already when an edge starts: those of the process that it succeeds, or those
//! that systemd has opened for it. They are taken by what they listen on.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use tero_config::ListenAddress;

/// A socket that listens, of an address or a path.
#[derive(Debug)]
pub enum ListenSocket {
    /// Of an address.
    Tcp(TcpListener),
    /// Of a path.
    Unix(UnixListener),
}

/// Who connects to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketRole {
    /// Visitors.
    Public,
    /// Operators.
    Admin,
}

/// The sockets of one listener, which listen already.
#[derive(Debug)]
pub struct OpenSockets {
    /// Who connects to them; `None` if whoever opened them doesn't know.
    pub role: Option<SocketRole>,
    /// What the configuration says of their address: with port 0, which port they got doesn't matter.
    pub address: ListenAddress,
    /// Whether an IPv6 socket takes IPv4 connections; `None` if whoever opened them doesn't know.
    pub dual_stack: Option<bool>,
    /// Whether the file of a Unix socket is ours, so that we remove it at the end.
    pub owns_file: bool,
    /// The sockets: several queues of one address, or several numbers of one queue.
    pub sockets: Vec<ListenSocket>,
}

/// All sockets that listen already, and were not taken yet.
#[derive(Debug, Default)]
pub struct OpenSocketSet(Vec<OpenSockets>);

impl ListenSocket {
    /// The socket of this number, which listens on such an address.
    pub fn of(descriptor: OwnedFd, address: &ListenAddress) -> ListenSocket {
        match address {
            ListenAddress::Tcp(_) => ListenSocket::Tcp(descriptor.into()),
            ListenAddress::Unix(_) => ListenSocket::Unix(descriptor.into()),
        }
    }

    /// Another number of the same socket.
    ///
    /// # Errors
    /// If there are no more numbers.
    pub fn try_clone(&self) -> io::Result<ListenSocket> {
        match self {
            ListenSocket::Tcp(socket) => socket.try_clone().map(ListenSocket::Tcp),
            ListenSocket::Unix(socket) => socket.try_clone().map(ListenSocket::Unix),
        }
    }

    /// Lets `accept` return at once if there is no connection.
    ///
    /// # Errors
    /// The system's.
    pub fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            ListenSocket::Tcp(socket) => socket.set_nonblocking(true),
            ListenSocket::Unix(socket) => socket.set_nonblocking(true),
        }
    }
}

impl From<ListenSocket> for OwnedFd {
    fn from(socket: ListenSocket) -> OwnedFd {
        match socket {
            ListenSocket::Tcp(socket) => socket.into(),
            ListenSocket::Unix(socket) => socket.into(),
        }
    }
}

impl OpenSocketSet {
    /// These sockets.
    pub fn new(sockets: Vec<OpenSockets>) -> OpenSocketSet {
        OpenSocketSet(sockets)
    }

    /// Takes the sockets of an address.
    pub fn take(
        &mut self,
        role: SocketRole,
        address: &ListenAddress,
        dual_stack: bool,
    ) -> Option<OpenSockets> {
        let fits = |open: &OpenSockets| {
            open.address == *address
                && open.role.is_none_or(|opened_for| opened_for == role)
                && open.dual_stack.is_none_or(|dual| dual == dual_stack)
        };
        let place = self.0.iter().position(fits)?;
        Some(self.0.remove(place))
    }

    /// Whether sockets of this address are open, for whatever purpose: then it is not another process
    /// that has it.
    pub fn has(&self, address: &ListenAddress) -> bool {
        self.0.iter().any(|open| open.address == *address)
    }

    /// What was not taken.
    pub fn left(&self) -> impl Iterator<Item = &ListenAddress> {
        self.0.iter().map(|open| &open.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(role: Option<SocketRole>, address: &str, dual_stack: Option<bool>) -> OpenSockets {
        OpenSockets {
            role,
            address: ListenAddress::Tcp(address.parse().unwrap()),
            dual_stack,
            owns_file: false,
            sockets: vec![ListenSocket::Tcp(TcpListener::bind("127.0.0.1:0").unwrap())],
        }
    }

    #[test]
    fn sockets_are_taken_once_by_role_address_and_kind() {
        let any = "127.0.0.1:0";
        let mut set = OpenSocketSet::new(vec![
            opened(Some(SocketRole::Admin), any, Some(false)),
            opened(Some(SocketRole::Public), any, Some(false)),
            opened(None, "[::]:443", None),
        ]);
        let any = ListenAddress::Tcp(any.parse().unwrap());
        let secure = ListenAddress::Tcp("[::]:443".parse().unwrap());
        assert!(set.take(SocketRole::Public, &any, true).is_none());
        let taken = set.take(SocketRole::Public, &any, false).unwrap();
        assert_eq!(taken.role, Some(SocketRole::Public));
        assert!(set.take(SocketRole::Public, &any, false).is_none());
        assert!(set.has(&secure) && set.take(SocketRole::Public, &secure, true).is_some());
        assert!(!set.has(&secure));
        assert_eq!(set.left().count(), 1, "that of the admin interface");
    }
}
