//! The connection that a request came on, as far as a request uses it beyond its one answer.

use std::fmt::Debug;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Extensions, HeaderMap, StatusCode};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;

/// The traffic of a connection that has ceased to speak HTTP; ends with it.
pub type TunnelFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a connection becomes that has ceased to speak HTTP.
pub struct ClientTunnel {
    /// Its traffic.
    pub traffic: TunnelFuture,
    /// Bytes that it has sent to the client.
    pub sent: Arc<AtomicU64>,
}

/// What is below HTTP on a client's connection, for the access log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTransport {
    /// The address that opened the connection; `None` if it has none.
    pub opened_by: Option<IpAddr>,
    /// TLS, as the listener speaks it or as a PROXY header tells; `None` without.
    pub tls: Option<Arc<TlsFacts>>,
}

/// What is known of the TLS that a client speaks. Each is `None` if it is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFacts {
    /// The version, `TLSv1.3`.
    pub version: Option<Box<str>>,
    /// The cipher suite.
    pub cipher: Option<Box<str>>,
    /// The name that the client asked for (SNI).
    pub server_name: Option<Box<str>>,
}

/// A client's connection. Its requests are counted, so that nothing that belongs to one of them
/// reaches another.
pub trait ClientConnection: Debug + Send + Sync {
    /// What is below HTTP.
    fn transport(&self) -> &ClientTransport;
    /// The number of the request that is being answered.
    fn current(&self) -> u64;
    /// Sends an interim response to the request of that number, unless its answer has begun or too
    /// much waits for the client already.
    fn send_interim(&self, request: u64, status: StatusCode, fields: &HeaderMap);
    /// Lets `tunnel` run once the answer of that request has gone out.
    fn become_tunnel(&self, request: u64, tunnel: ClientTunnel);
}

/// The client that waits for the answer to a request.
#[derive(Clone, Debug)]
pub struct ClientHandle {
    connection: Arc<dyn ClientConnection>,
    request: u64,
}

impl ClientHandle {
    /// The client whose request is being answered on `connection`.
    pub fn on(connection: Arc<dyn ClientConnection>) -> ClientHandle {
        let request = connection.current();
        ClientHandle {
            connection,
            request,
        }
    }

    /// The client whose request has that number on `connection`.
    pub fn of(connection: Arc<dyn ClientConnection>, request: u64) -> ClientHandle {
        ClientHandle {
            connection,
            request,
        }
    }

    /// As [`ClientConnection::transport`].
    pub(super) fn transport(&self) -> &ClientTransport {
        self.connection.transport()
    }

    /// As [`ClientConnection::send_interim`].
    pub(super) fn send_interim(&self, status: StatusCode, fields: &HeaderMap) {
        self.connection.send_interim(self.request, status, fields);
    }

    /// As [`ClientConnection::become_tunnel`].
    pub(super) fn become_tunnel(&self, tunnel: ClientTunnel) {
        self.connection.become_tunnel(self.request, tunnel);
    }
}

/// The bytes of a client that has ceased to speak HTTP.
pub trait TunnelBytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> TunnelBytes for S {}

/// The client's side of a tunnel.
pub type TunnelStream = Box<dyn TunnelBytes>;

/// The client's offer to speak another protocol, among the extensions of its request.
#[derive(Clone)]
pub enum TunnelOffer {
    /// By `Upgrade` (RFC 9110 §7.8).
    Upgrade(OnUpgrade),
    /// By an extended CONNECT (RFC 8441 §4): the stream comes when the answer has begun.
    Connect(Arc<Mutex<Option<oneshot::Receiver<TunnelStream>>>>),
}

impl TunnelOffer {
    /// An offer by CONNECT, and where to send its stream.
    pub fn connect() -> (TunnelOffer, oneshot::Sender<TunnelStream>) {
        let (stream, offered) = oneshot::channel();
        let offered = Arc::new(Mutex::new(Some(offered)));
        (TunnelOffer::Connect(offered), stream)
    }

    /// The offer of a request, if it has one.
    pub(super) fn of(extensions: &Extensions) -> Option<TunnelOffer> {
        let upgrade = extensions.get::<OnUpgrade>().cloned();
        upgrade
            .map(TunnelOffer::Upgrade)
            .or_else(|| extensions.get::<TunnelOffer>().cloned())
    }

    /// Whether it is one by CONNECT.
    pub(super) fn is_connect(&self) -> bool {
        matches!(self, TunnelOffer::Connect(_))
    }

    /// The client's side of the tunnel, once the answer that opens it has gone out. `None` if the
    /// client has left.
    pub(super) async fn accepted(self) -> Option<TunnelStream> {
        match self {
            TunnelOffer::Upgrade(upgrade) => {
                let upgraded = upgrade.await.ok()?;
                Some(Box::new(TokioIo::new(upgraded)))
            }
            TunnelOffer::Connect(offered) => {
                let stream = offered
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take()?;
                stream.await.ok()
            }
        }
    }
}

impl Debug for TunnelOffer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(if self.is_connect() {
            "Connect"
        } else {
            "Upgrade"
        })
    }
}
