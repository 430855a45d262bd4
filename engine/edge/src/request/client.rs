//! The connection that a request came on, as far as a request uses it beyond its one answer.

use std::fmt::Debug;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

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
    fn send_interim(&self, request: u64, head: &[u8]);
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

    /// As [`ClientConnection::transport`].
    pub(super) fn transport(&self) -> &ClientTransport {
        self.connection.transport()
    }

    /// As [`ClientConnection::send_interim`].
    pub(super) fn send_interim(&self, head: &[u8]) {
        self.connection.send_interim(self.request, head);
    }

    /// As [`ClientConnection::become_tunnel`].
    pub(super) fn become_tunnel(&self, tunnel: ClientTunnel) {
        self.connection.become_tunnel(self.request, tunnel);
    }
}
