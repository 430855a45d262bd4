//! Listeners: the addresses that visitors connect to, each with settings of its own.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};

use super::unix_socket::{self, SocketFile};
use tero_config::{self as config, ListenAddress, PeerNetwork};
use tero_semantics::authority::Scheme;

/// Connections of a worker that the kernel completes before they are accepted, at most.
const BACKLOG: i32 = 4096;

/// A configured listener, which all workers share.
#[derive(Debug)]
pub struct Listener {
    address: ListenAddress,
    proxy_protocol: Vec<PeerNetwork>,
    http2: bool,
    /// Removed when nothing accepts connections any more.
    _file: Option<SocketFile>,
}

/// The queue of connections that one worker accepts from a listener.
#[derive(Debug)]
pub struct AcceptQueue {
    pub(super) listener: Arc<Listener>,
    pub(super) socket: ListenSocket,
}

/// The socket of a queue. Each worker has its own for an address, and they share that of a path.
#[derive(Debug)]
pub(super) enum ListenSocket {
    /// Of an address.
    Tcp(TcpListener),
    /// Of a path.
    Unix(UnixListener),
}

/// Listeners, and the accept queues of each worker.
#[derive(Debug)]
pub struct BoundListeners {
    /// The listeners, in the configuration's order.
    pub listeners: Vec<Arc<Listener>>,
    /// For each worker a queue of every listener.
    pub of_workers: Vec<Vec<AcceptQueue>>,
}

impl Listener {
    /// The address, with the port that it got, or the path.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// The scheme of the requests that come by this listener.
    pub fn scheme(&self) -> Scheme {
        Scheme::Http
    }

    /// Whether clients may speak HTTP/2.
    pub(super) fn takes_http2(&self) -> bool {
        self.http2
    }

    /// Whether connections of this peer begin with a header of the PROXY protocol. `None` is a peer
    /// of a Unix socket.
    pub(super) fn wants_proxy_header(&self, peer: Option<IpAddr>) -> bool {
        !self.proxy_protocol.is_empty() && self.is_proxy(peer)
    }

    fn is_proxy(&self, peer: Option<IpAddr>) -> bool {
        self.proxy_protocol.iter().any(|proxies| match proxies {
            PeerNetwork::Ip(network) => peer.is_some_and(|peer| network.contains(&peer)),
            PeerNetwork::Unix => peer.is_none(),
        })
    }
}

/// Binds each listener: an address once per worker, of which with port 0 the first worker gets a
/// free port, and the others share it; a path once.
///
/// # Errors
/// If one can't be bound: its address or path, and the error.
pub fn bind(settings: &config::Server) -> Result<BoundListeners, (ListenAddress, io::Error)> {
    let mut bound = BoundListeners {
        listeners: Vec::new(),
        of_workers: (0..settings.workers).map(|_| Vec::new()).collect(),
    };
    for configured in settings.all_listeners() {
        let (listener, sockets) = open(&configured, settings.workers)
            .map_err(|error| (configured.address.clone(), error))?;
        let listener = Arc::new(listener);
        for (queues, socket) in bound.of_workers.iter_mut().zip(sockets) {
            queues.push(AcceptQueue {
                listener: Arc::clone(&listener),
                socket,
            });
        }
        bound.listeners.push(listener);
    }
    Ok(bound)
}

/// Refuses an address at which another process listens. With `SO_REUSEPORT`, which the workers need,
/// the kernel would share its visitors between the two, and nobody would know.
fn refuse_taken(address: SocketAddr, dual_stack: bool) -> io::Result<()> {
    socket(address, dual_stack)?.bind(&address.into())
}

/// Opens a listener, with a socket for each worker.
fn open(
    configured: &config::Listener,
    workers: usize,
) -> io::Result<(Listener, Vec<ListenSocket>)> {
    let mut sockets = Vec::with_capacity(workers);
    let (address, file) = match &configured.address {
        ListenAddress::Tcp(wanted) => {
            let mut address = *wanted;
            if wanted.port() != 0 {
                refuse_taken(*wanted, configured.dual_stack)?;
            }
            for _ in 0..workers {
                let socket = listen(address, configured.dual_stack)?;
                address = socket.local_addr()?;
                sockets.push(ListenSocket::Tcp(socket));
            }
            (ListenAddress::Tcp(address), None)
        }
        ListenAddress::Unix(path) => {
            let (socket, file) = unix_socket::listen(path, configured.unix_mode, BACKLOG)?;
            for _ in 1..workers {
                sockets.push(ListenSocket::Unix(socket.try_clone()?));
            }
            sockets.push(ListenSocket::Unix(socket));
            (configured.address.clone(), Some(file))
        }
    };
    let listener = Listener {
        address,
        proxy_protocol: configured.proxy_protocol.clone(),
        http2: configured.http2,
        _file: file,
    };
    Ok((listener, sockets))
}

fn socket(address: SocketAddr, dual_stack: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!dual_stack)?;
    }
    Ok(socket)
}

fn listen(address: SocketAddr, dual_stack: bool) -> io::Result<TcpListener> {
    let socket = socket(address, dual_stack)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
