//! The header of the PROXY protocol (<https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>),
//! version 1 or 2: by it, a proxy that passes bytes on says who connected to it.
//!
//! A listener wants it from the peers that `proxy_protocol` names, and from no others: whoever may
//! send one says who the client is. The `ppp` crate parses it; [`reading`] says how many bytes it
//! has, so that none of what follows is taken from TLS or HTTP.

mod reading;

use std::io;
use std::net::IpAddr;

use tokio::io::AsyncReadExt;

use super::client_socket::ClientSocket;
use super::connection_facts::ConnectionFacts;
use super::listener::Listener;
use super::{ShutdownStage, WorkerContext};
use crate::request::Edge;
use crate::telemetry::edge_counters::ProxyHeaderRefusal;
use reading::{ProxiedPeer, ReadingStep};
use tero_semantics::authority::Scheme;

/// What the log says of a connection that is closed for its header.
const MESSAGE: &str = "a connection was closed for its PROXY header";

/// Reads the header of a connection, and returns its facts as the header tells them. `None` if the
/// connection is to be closed: that has been counted and told then.
pub(super) async fn receive(
    context: &WorkerContext,
    listener: &Listener,
    socket: &mut ClientSocket,
    facts: ConnectionFacts,
) -> Option<ConnectionFacts> {
    let (edge, timeout) = (&context.edge, context.settings.header_timeout);
    let read = tokio::select! {
        read = edge.clock.timeout(timeout, read(socket)) => read,
        _ = context.reached(ShutdownStage::Draining) => return None,
    };
    let why = match read {
        Ok(Ok(told)) => return Some(proxied(facts, told)),
        // A connection that is closed unused, as checks of health are.
        Ok(Err(HeaderReadError::Unused)) => return None,
        Ok(Err(HeaderReadError::Refused(why))) => why,
        Err(_) => ProxyHeaderRefusal::Late,
    };
    edge.counters.proxy_header_refused(why);
    if let Some(left_out) = edge
        .counters
        .repeats
        .due(MESSAGE, why.as_str(), edge.clock.now())
    {
        let (listener, peer) = (listener.address(), shown(facts.transport.opened_by));
        tracing::warn!(%listener, peer, reason = why.as_str(), left_out, "{MESSAGE}");
    }
    None
}

/// Counts and tells a header that came where none is wanted.
#[cold]
pub(super) fn tell_unexpected(edge: &Edge, peer: Option<IpAddr>) {
    let why = ProxyHeaderRefusal::Unexpected;
    edge.counters.proxy_header_refused(why);
    if let Some(left_out) = edge
        .counters
        .repeats
        .due(MESSAGE, why.as_str(), edge.clock.now())
    {
        let peer = shown(peer);
        tracing::warn!(peer, reason = why.as_str(), left_out, "{MESSAGE}");
    }
}

fn shown(peer: Option<IpAddr>) -> String {
    peer.map_or_else(|| "unix".to_owned(), |peer| peer.to_string())
}

/// The facts of a connection whose header tells these.
fn proxied(facts: ConnectionFacts, told: ProxiedPeer) -> ConnectionFacts {
    let mut facts = facts;
    if let Some(source) = told.source {
        facts.peer = Some(source);
        facts.is_unix = false;
    }
    if told.speaks_tls {
        facts.scheme = Scheme::Https;
    }
    facts.transport.tls = told.tls.map(Into::into);
    facts
}

/// Why no header was read.
enum HeaderReadError {
    /// The connection has ended without a byte.
    Unused,
    /// It is to be closed.
    Refused(ProxyHeaderRefusal),
}

async fn read(socket: &mut ClientSocket) -> Result<ProxiedPeer, HeaderReadError> {
    let mut header = Vec::with_capacity(reading::USUAL_BYTES);
    loop {
        let wanted = match reading::step(&header).map_err(HeaderReadError::Refused)? {
            ReadingStep::Complete => {
                return reading::parse(&header).map_err(HeaderReadError::Refused);
            }
            ReadingStep::Wants(bytes) => bytes,
        };
        let mut piece = socket.take(wanted as u64);
        match piece.read_buf(&mut header).await {
            Ok(1..) => {}
            Ok(0) if header.is_empty() => return Err(HeaderReadError::Unused),
            Err(error) if header.is_empty() && is_reset(&error) => {
                return Err(HeaderReadError::Unused);
            }
            Ok(0) | Err(_) => {
                return Err(HeaderReadError::Refused(ProxyHeaderRefusal::CutShort));
            }
        }
    }
}

fn is_reset(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionReset
}
