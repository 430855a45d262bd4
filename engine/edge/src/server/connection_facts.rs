//! What is known of a client connection before its first request.

use std::net::IpAddr;
use std::sync::Arc;

use crate::request::admit::RequestSource;
use crate::request::client::{ClientHandle, ClientTransport};
use crate::request::tls_client::TlsClient;
use tero_semantics::authority::Scheme;

/// What is known of a client connection before its first request.
#[derive(Clone, Debug)]
pub(super) struct ConnectionFacts {
    /// The address that the connection comes from: the client's, or that of a proxy that passes
    /// requests on. One of IPv4 has its own form, also on a listener for both kinds. `None` if it
    /// has none: a peer of a Unix socket that no PROXY header tells more of.
    pub(super) peer: Option<IpAddr>,
    /// Whether it came by a Unix socket, and no PROXY header tells another peer.
    pub(super) is_unix: bool,
    /// The scheme that the client speaks.
    pub(super) scheme: Scheme,
    /// What is below HTTP.
    pub(super) transport: ClientTransport,
    /// What the client has shown, on a listener that asks for certificates.
    pub(super) tls: Option<Arc<TlsClient>>,
}

impl ConnectionFacts {
    /// The facts of a connection that was just accepted. `opened_by` is `None` on a Unix socket.
    pub(super) fn new(opened_by: Option<IpAddr>, scheme: Scheme) -> ConnectionFacts {
        let opened_by = opened_by.map(|address| address.to_canonical());
        ConnectionFacts {
            peer: opened_by,
            is_unix: opened_by.is_none(),
            scheme,
            transport: ClientTransport {
                opened_by,
                tls: None,
            },
            tls: None,
        }
    }

    /// The source of a request on the connection.
    #[inline]
    pub(super) fn source(&self, connection: ClientHandle) -> RequestSource {
        RequestSource {
            peer: self.peer,
            is_unix: self.is_unix,
            scheme: self.scheme,
            connection: Some(connection),
            tls: self.tls.clone(),
            ..RequestSource::default()
        }
    }
}
