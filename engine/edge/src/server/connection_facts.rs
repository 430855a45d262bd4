//! What is known of a client connection before its first request.

use std::net::IpAddr;

use crate::request::admit::RequestSource;
use crate::request::client::ClientHandle;
use tero_semantics::authority::Scheme;

/// What is known of a client connection before its first request.
#[derive(Clone, Debug)]
pub(super) struct ConnectionFacts {
    /// The address that opened the connection: the client's, or a proxy's. One of IPv4 has its own
    /// form, also on a listener for both kinds.
    pub(super) peer: IpAddr,
    /// The scheme that the listener speaks.
    pub(super) scheme: Scheme,
}

impl ConnectionFacts {
    /// The source of a request on the connection.
    #[inline]
    pub(super) fn source(&self, connection: ClientHandle) -> RequestSource {
        RequestSource {
            peer: Some(self.peer),
            scheme: self.scheme,
            connection: Some(connection),
            ..RequestSource::default()
        }
    }
}
