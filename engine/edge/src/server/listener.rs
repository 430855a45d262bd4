//! Listeners: the addresses that visitors connect to, each with settings of its own.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};

use super::tls::TlsTerminator;
use super::tls::file_error::TlsFileError;
use super::tls::material::TlsMaterial;
use super::unix_socket::{self, SocketFile};
use crate::acme::AcmeResponder;
use tero_config::{self as config, ListenAddress, PeerNetwork};
use tero_semantics::authority::Scheme;
use tero_time::clock::Clock;

/// Connections of a worker that the kernel completes before they are accepted, at most.
const BACKLOG: i32 = 4096;

/// A configured listener, which all workers share.
#[derive(Debug)]
pub struct Listener {
    /// As it was configured at the start.
    settings: config::Listener,
    address: ListenAddress,
    tls: Option<Arc<TlsTerminator>>,
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

/// Why a listener can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Its address can't be bound.
    #[error("could not listen on {address}")]
    Address {
        /// The address or path.
        address: ListenAddress,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A file of its TLS configuration can't be used.
    #[error(transparent)]
    Tls(#[from] TlsFileError),
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
        match self.tls {
            Some(_) => Scheme::Https,
            None => Scheme::Http,
        }
    }

    /// How it was configured at the start.
    pub fn settings(&self) -> &config::Listener {
        &self.settings
    }

    /// TLS, if it speaks that.
    pub fn tls(&self) -> Option<&Arc<TlsTerminator>> {
        self.tls.as_ref()
    }

    /// Whether clients may speak HTTP/2.
    pub(super) fn takes_http2(&self) -> bool {
        self.settings.http2
    }

    /// Whether connections of this peer begin with a header of the PROXY protocol. `None` is a peer
    /// of a Unix socket.
    pub(super) fn wants_proxy_header(&self, peer: Option<IpAddr>) -> bool {
        !self.settings.proxy_protocol.is_empty() && self.is_proxy(peer)
    }

    fn is_proxy(&self, peer: Option<IpAddr>) -> bool {
        self.settings
            .proxy_protocol
            .iter()
            .any(|proxies| match proxies {
                PeerNetwork::Ip(network) => peer.is_some_and(|peer| network.contains(&peer)),
                PeerNetwork::Unix => peer.is_none(),
            })
    }
}

/// Binds each listener: an address once per worker, of which with port 0 the first worker gets a
/// free port, and the others share it; a path once. Listeners with
/// certificates by ACME get them from `acme`.
///
/// # Errors
/// [`ListenError`]
pub fn bind(
    settings: &config::Server,
    acme: &Arc<AcmeResponder>,
    clock: &Clock,
) -> Result<BoundListeners, ListenError> {
    let mut bound = BoundListeners {
        listeners: Vec::new(),
        of_workers: (0..settings.workers).map(|_| Vec::new()).collect(),
    };
    for configured in settings.all_listeners() {
        let tls = configured.tls.as_ref();
        let tls = tls.map(|tls| {
            let material = TlsMaterial::read(tls)?;
            TlsTerminator::new(material, configured.http2, acme, clock).map(Arc::new)
        });
        let tls = tls.transpose()?;
        let OpenSockets {
            address,
            file,
            sockets,
        } = open(&configured, settings.workers).map_err(|source| ListenError::Address {
            address: configured.address.clone(),
            source,
        })?;
        let listener = Arc::new(Listener {
            settings: configured,
            address,
            tls,
            _file: file,
        });
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
/// the kernel would share its visitors between the two, without a word.
fn refuse_taken(address: SocketAddr, dual_stack: bool) -> io::Result<()> {
    socket(address, dual_stack)?.bind(&address.into())
}

/// The sockets of a listener, one for each worker.
struct OpenSockets {
    address: ListenAddress,
    file: Option<SocketFile>,
    sockets: Vec<ListenSocket>,
}

fn open(configured: &config::Listener, workers: usize) -> io::Result<OpenSockets> {
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
    Ok(OpenSockets {
        address,
        file,
        sockets,
    })
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
