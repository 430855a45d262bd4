//! Listeners: the addresses that visitors connect to, each with settings of its own.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};

use tero_config as config;
use tero_semantics::authority::Scheme;

/// Connections of a worker that the kernel completes before they are accepted, at most.
const BACKLOG: i32 = 4096;

/// A configured listener, which all workers share.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
}

/// The queue of connections that one worker accepts from a listener.
#[derive(Debug)]
pub struct AcceptQueue {
    pub(super) listener: Arc<Listener>,
    pub(super) socket: TcpListener,
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
    /// The address, with the port that it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The scheme of the requests that come by this listener.
    pub fn scheme(&self) -> Scheme {
        Scheme::Http
    }
}

/// Binds each listener once per worker. Of an address with port 0, the first worker gets a free
/// port, and the others share it.
///
/// # Errors
/// If an address can't be bound: that address, and the error.
pub fn bind(settings: &config::Server) -> Result<BoundListeners, (SocketAddr, io::Error)> {
    let mut bound = BoundListeners {
        listeners: Vec::new(),
        of_workers: (0..settings.workers).map(|_| Vec::new()).collect(),
    };
    for configured in settings.all_listeners() {
        let config::ListenAddress::Tcp(wanted) = configured.address;
        let mut address = wanted;
        let mut sockets = Vec::with_capacity(settings.workers);
        if wanted.port() != 0 {
            refuse_taken(wanted, configured.dual_stack).map_err(|error| (wanted, error))?;
        }
        for _ in 0..settings.workers {
            let socket = listen(address, configured.dual_stack).map_err(|error| (wanted, error))?;
            address = socket.local_addr().map_err(|error| (wanted, error))?;
            sockets.push(socket);
        }
        let listener = Arc::new(Listener { address });
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
