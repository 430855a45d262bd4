//! Listeners: the addresses that visitors connect to, each with settings of its own.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::open_sockets::{ListenSocket, OpenSocketSet, OpenSockets, SocketRole};
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
    /// Removed when nothing accepts connections any more. `None` without a Unix socket, or if that is
    /// another's.
    file: Option<SocketFile>,
}

/// The queue of connections that one worker accepts from a listener.
#[derive(Debug)]
pub struct AcceptQueue {
    pub(super) listener: Arc<Listener>,
    pub(super) socket: ListenSocket,
}

/// The sockets of the listeners by further numbers, for a successor. While they are kept, the
/// system completes connections.
#[derive(Debug, Default)]
pub struct KeptSockets(Vec<(Arc<Listener>, Vec<ListenSocket>)>);

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
    /// For each worker a queue of every listener, or several.
    pub of_workers: Vec<Vec<AcceptQueue>>,
    /// The same sockets, for a successor.
    pub kept: KeptSockets,
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

impl KeptSockets {
    /// The sockets by still further numbers, as they are handed over.
    ///
    /// # Errors
    /// If there are no more numbers.
    pub fn to_hand_over(&self) -> io::Result<Vec<OpenSockets>> {
        let handed = |(listener, sockets): &(Arc<Listener>, Vec<ListenSocket>)| {
            let sockets = sockets.iter().map(ListenSocket::try_clone);
            Ok(OpenSockets {
                role: Some(SocketRole::Public),
                address: listener.settings.address.clone(),
                dual_stack: Some(listener.settings.dual_stack),
                owns_file: listener.file.is_some(),
                sockets: sockets.collect::<io::Result<_>>()?,
            })
        };
        self.0.iter().map(handed).collect()
    }

    /// Leaves the files of Unix sockets to those sockets of `next` that have the same paths.
    pub fn pass_files_to(&self, next: &KeptSockets) {
        for (listener, _) in &self.0 {
            let is_same =
                |other: &&(Arc<Listener>, _)| other.0.settings.address == listener.settings.address;
            let follows = next.0.iter().find(is_same);
            if let (Some(file), Some((next, _))) = (&listener.file, follows) {
                file.own(false);
                if let Some(file) = &next.file {
                    file.own(true);
                }
            }
        }
    }

    /// Says whose the files of Unix sockets are: ours, or a successor's.
    pub fn own_files(&self, are_ours: bool) {
        for file in self
            .0
            .iter()
            .filter_map(|(listener, _)| listener.file.as_ref())
        {
            file.own(are_ours);
        }
    }
}

/// Opens each listener: what `open` has of it is taken. Otherwise an address is bound once per
/// worker, of which with port 0 the first worker gets a free port, and the others share it; a path
/// once. Listeners with certificates by ACME get them from `acme`.
///
/// Every queue that was taken is read, also if there are fewer workers now: connections may wait in
/// it. The files of Unix sockets that were taken stay the other's until [`KeptSockets::own_files`].
/// Where one of the listeners `before` spoke TLS by the same settings but for its certificates, its
/// sessions go on.
///
/// # Errors
/// [`ListenError`]
pub fn bind(
    settings: &config::Server,
    open: &mut OpenSocketSet,
    before: &[Arc<Listener>],
    acme: &Arc<AcmeResponder>,
    clock: &Clock,
) -> Result<BoundListeners, ListenError> {
    let mut bound = BoundListeners {
        listeners: Vec::new(),
        of_workers: (0..settings.workers).map(|_| Vec::new()).collect(),
        kept: KeptSockets::default(),
    };
    for configured in settings.all_listeners() {
        let kept = before
            .iter()
            .find(|before| configured.can_replace(&before.settings));
        let tls = configured.tls.as_ref();
        let tls = tls.map(|tls| {
            if let Some(tls) = kept.and_then(|kept| kept.tls.clone()) {
                return Ok(tls);
            }
            let material = TlsMaterial::read(tls)?;
            TlsTerminator::new(material, configured.http2, acme, clock).map(Arc::new)
        });
        let tls = tls.transpose()?;
        let ListenerSockets {
            address,
            file,
            sockets,
            kept,
        } = sockets_of(&configured, settings.workers, open).map_err(|source| {
            ListenError::Address {
                address: configured.address.clone(),
                source,
            }
        })?;
        let listener = Arc::new(Listener {
            settings: configured,
            address,
            tls,
            file,
        });
        for (place, socket) in sockets.into_iter().enumerate() {
            bound.of_workers[place % settings.workers].push(AcceptQueue {
                listener: Arc::clone(&listener),
                socket,
            });
        }
        bound.kept.0.push((Arc::clone(&listener), kept));
        bound.listeners.push(listener);
    }
    Ok(bound)
}

/// Refuses an address at which another process listens. With `SO_REUSEPORT`, which the workers need,
/// the kernel would share its visitors between the two, without a word.
fn refuse_taken(address: SocketAddr, dual_stack: bool) -> io::Result<()> {
    socket(address, dual_stack)?.bind(&address.into())
}

/// The sockets of a listener.
struct ListenerSockets {
    address: ListenAddress,
    file: Option<SocketFile>,
    /// At least one for each worker.
    sockets: Vec<ListenSocket>,
    /// The same ones once more.
    kept: Vec<ListenSocket>,
}

fn sockets_of(
    configured: &config::Listener,
    workers: usize,
    open: &mut OpenSocketSet,
) -> io::Result<ListenerSockets> {
    let taken = open.take(
        SocketRole::Public,
        &configured.address,
        configured.dual_stack,
    );
    let (address, file, sockets) = match taken {
        Some(taken) => adopt(configured, workers, taken)?,
        None => open_new(configured, workers, open.has(&configured.address))?,
    };
    let kept = sockets.iter().map(ListenSocket::try_clone);
    Ok(ListenerSockets {
        kept: kept.collect::<io::Result<_>>()?,
        address,
        file,
        sockets,
    })
}

type NewSockets = (ListenAddress, Option<SocketFile>, Vec<ListenSocket>);

/// Takes sockets that listen already. Workers beyond their number get queues of their own where the
/// address can be shared, and otherwise accept from one that others read.
fn adopt(
    configured: &config::Listener,
    workers: usize,
    taken: OpenSockets,
) -> io::Result<NewSockets> {
    let OpenSockets {
        owns_file,
        mut sockets,
        ..
    } = taken;
    let (mut address, mut file) = (configured.address.clone(), None);
    let mut shared = None;
    for socket in &sockets {
        socket.set_nonblocking()?;
        match socket {
            ListenSocket::Tcp(socket) => {
                let bound_to = socket.local_addr()?;
                address = ListenAddress::Tcp(bound_to);
                shared = SockRef::from(socket).reuse_port()?.then_some(bound_to);
            }
            ListenSocket::Unix(_) if owns_file => {
                file = address.unix().map(SocketFile::of_another).transpose()?;
            }
            ListenSocket::Unix(_) => {}
        }
    }
    let opened = sockets.len();
    for place in opened..workers {
        sockets.push(match shared {
            Some(address) => ListenSocket::Tcp(listen(address, configured.dual_stack)?),
            None => sockets[place % opened].try_clone()?,
        });
    }
    Ok((address, file, sockets))
}

/// Opens sockets. `is_ours`: sockets of the same address are open, and not those of a stranger.
fn open_new(
    configured: &config::Listener,
    workers: usize,
    is_ours: bool,
) -> io::Result<NewSockets> {
    let mut sockets = Vec::with_capacity(workers);
    match &configured.address {
        ListenAddress::Tcp(wanted) => {
            let mut address = *wanted;
            if wanted.port() != 0 && !is_ours {
                refuse_taken(*wanted, configured.dual_stack)?;
            }
            for _ in 0..workers {
                let socket = listen(address, configured.dual_stack)?;
                address = socket.local_addr()?;
                sockets.push(ListenSocket::Tcp(socket));
            }
            Ok((ListenAddress::Tcp(address), None, sockets))
        }
        ListenAddress::Unix(path) => {
            let (socket, file) = unix_socket::listen(path, configured.unix_mode, BACKLOG)?;
            for _ in 1..workers {
                sockets.push(ListenSocket::Unix(socket.try_clone()?));
            }
            sockets.push(ListenSocket::Unix(socket));
            Ok((configured.address.clone(), Some(file), sockets))
        }
    }
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
