//! Where operators connect: an address, or the path of a Unix socket, whose permissions say who may.

use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::Arc;

use tokio::net::{TcpStream, UnixStream};

use tero_config as config;
use tero_config::ListenAddress;
use tero_edge::server::open_sockets::{ListenSocket, OpenSockets};
use tero_edge::server::unix_socket::{self, SocketFile};

/// Connections that wait in the queue of a Unix socket.
const BACKLOG: i32 = 128;

/// The socket of the interface.
#[derive(Debug)]
pub struct AdminListener {
    socket: ListenSocket,
    /// With the port that it got.
    address: ListenAddress,
    /// The file of a Unix socket; `None` if it isn't ours.
    file: Option<Arc<SocketFile>>,
}

/// A connection of an operator.
pub(crate) enum AdminStream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The socket on the runtime of the interface.
pub(crate) enum AdminQueue {
    Tcp(tokio::net::TcpListener),
    Unix {
        socket: tokio::net::UnixListener,
        /// It goes with the socket.
        _file: Option<Arc<SocketFile>>,
    },
}

impl AdminListener {
    /// The socket that was `taken`, or a new one. The file of a socket that was taken stays the
    /// other's until [`AdminListener::own_file`].
    ///
    /// # Errors
    /// If the address or path can't be listened on.
    pub fn open(settings: &config::Admin, taken: Option<OpenSockets>) -> io::Result<AdminListener> {
        let mut taken = taken;
        let owns_file = taken.as_ref().is_some_and(|taken| taken.owns_file);
        let socket = taken.as_mut().and_then(|taken| taken.sockets.pop());
        let (socket, file) = match (&settings.listen, socket) {
            (ListenAddress::Unix(path), Some(socket)) => {
                let file = owns_file
                    .then(|| SocketFile::of_another(path))
                    .transpose()?;
                (socket, file)
            }
            (ListenAddress::Unix(path), None) => {
                let (socket, file) = unix_socket::listen(path, settings.unix_mode, BACKLOG)?;
                (ListenSocket::Unix(socket), Some(file))
            }
            (ListenAddress::Tcp(_), Some(socket)) => (socket, None),
            (ListenAddress::Tcp(address), None) => {
                (ListenSocket::Tcp(TcpListener::bind(address)?), None)
            }
        };
        socket.set_nonblocking()?;
        let address = match &socket {
            ListenSocket::Tcp(socket) => ListenAddress::Tcp(socket.local_addr()?),
            ListenSocket::Unix(_) => settings.listen.clone(),
        };
        Ok(AdminListener {
            socket,
            address,
            file: file.map(Arc::new),
        })
    }

    /// The address with the port that it got, or the path.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// Another number of the same socket.
    ///
    /// # Errors
    /// If there are no more numbers.
    pub fn try_clone(&self) -> io::Result<AdminListener> {
        Ok(AdminListener {
            socket: self.socket.try_clone()?,
            address: self.address.clone(),
            file: self.file.clone(),
        })
    }

    /// Another number of the socket, as it is handed over; and whether its file goes along.
    ///
    /// # Errors
    /// If there are no more numbers.
    pub(crate) fn to_hand_over(&self) -> io::Result<(ListenSocket, bool)> {
        Ok((self.socket.try_clone()?, self.file.is_some()))
    }

    /// Says whether the file of a Unix socket is ours, or a successor's.
    pub(crate) fn own_file(&self, is_ours: bool) {
        if let Some(file) = &self.file {
            file.own(is_ours);
        }
    }

    /// The address that the interface is asked by; that of this machine for a Unix socket.
    pub(crate) fn ip(&self) -> IpAddr {
        let own = self.address.tcp().map(|address| address.ip());
        own.unwrap_or(LOCAL)
    }

    /// The socket on the runtime of this thread.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn into_queue(self) -> io::Result<AdminQueue> {
        Ok(match self.socket {
            ListenSocket::Tcp(socket) => {
                AdminQueue::Tcp(tokio::net::TcpListener::from_std(socket)?)
            }
            ListenSocket::Unix(socket) => AdminQueue::Unix {
                socket: tokio::net::UnixListener::from_std(socket)?,
                _file: self.file,
            },
        })
    }
}

/// Stands for the peers of a Unix socket, who have no address.
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

impl AdminQueue {
    /// The next connection, and where it comes from.
    ///
    /// # Errors
    /// The system's.
    pub(crate) async fn accept(&self) -> io::Result<(AdminStream, IpAddr)> {
        match self {
            AdminQueue::Tcp(socket) => {
                let (stream, client) = socket.accept().await?;
                Ok((AdminStream::Tcp(stream), client.ip()))
            }
            AdminQueue::Unix { socket, .. } => {
                let (stream, _) = socket.accept().await?;
                Ok((AdminStream::Unix(stream), LOCAL))
            }
        }
    }
}
