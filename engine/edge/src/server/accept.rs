//! The loop that accepts the connections of a listener.

use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::client_socket::ClientSocket;
use super::clients::ClientPlace;
use super::connection_facts::ConnectionFacts;
use super::http2::{self, FirstBytes};
use super::listener::{AcceptQueue, Listener};
use super::open_sockets::ListenSocket;
use super::tls::{TlsTerminator, handshake};
use super::{DRAIN_GRACE, ShutdownStage, WorkerContext, http1, proxy_header};
use crate::request::Edge;
use crate::telemetry::edge_counters::EdgeCounters;

/// The pause of an accept loop after an error such as "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections while the edge runs, and serves each in a task that holds a clone of
/// `open`.
pub(super) async fn run(context: Arc<WorkerContext>, queue: AcceptQueue, open: mpsc::Sender<()>) {
    let AcceptQueue { listener, socket } = queue;
    let socket = match OpenQueue::of(socket) {
        Ok(socket) => socket,
        Err(error) => return tracing::error!(%error, "a listener can't be used"),
    };
    let mut ended = pin!(context.reached(ShutdownStage::HandedOver));
    loop {
        let accepted = async {
            // The permit first: connections beyond the bound wait in the kernel's queue.
            let permit = Arc::clone(&context.connections).acquire_owned().await;
            (socket.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            biased;
            // First: once others accept, none comes here, where what held before still holds.
            _ = &mut ended => return,
            accepted = accepted => accepted,
        };
        match (accepted, permit) {
            (Ok((socket, opened_by)), Ok(permit)) => {
                let (context, open) = (Arc::clone(&context), open.clone());
                let facts = ConnectionFacts::new(opened_by, listener.scheme());
                let place = if listener.wants_proxy_header(facts.peer) {
                    // The header tells the client.
                    None
                } else {
                    match enter(&context, &facts) {
                        Some(place) => Some(place),
                        None => continue,
                    }
                };
                let listener = Arc::clone(&listener);
                tokio::spawn(async move {
                    let _counted = CountedConnection::new(&context.edge.counters);
                    match place {
                        Some(_) => serve(&context, &listener, socket, &facts).await,
                        // What few connections need is not part of the task of each.
                        None => {
                            Box::pin(serve_proxied(&context, &listener, socket, facts)).await;
                        }
                    }
                    drop((permit, place, open));
                });
            }
            (Err(error), _) => {
                let Edge {
                    clock, counters, ..
                } = &*context.edge;
                let message = "a connection can't be accepted";
                if let Some(left_out) = counters.repeats.due(message, "", clock.now()) {
                    tracing::warn!(%error, left_out, "{message}");
                }
                clock.sleep(ACCEPT_PAUSE).await;
            }
            (_, Err(_)) => return,
        }
    }
}

/// Serves a connection that begins with a header of the PROXY protocol.
async fn serve_proxied(
    context: &Arc<WorkerContext>,
    listener: &Listener,
    mut socket: ClientSocket,
    facts: ConnectionFacts,
) {
    let Some(facts) = proxy_header::receive(context, listener, &mut socket, facts).await else {
        return;
    };
    let Some(_place) = enter(context, &facts) else {
        return;
    };
    serve(context, listener, socket, &facts).await;
}

/// The place of a connection among those of its client, which it holds while it is open; `None`
/// where it has too many, and this one is closed at once.
fn enter(context: &WorkerContext, facts: &ConnectionFacts) -> Option<Option<ClientPlace>> {
    let (Some(clients), Some(client)) = (&context.clients, facts.peer) else {
        return Some(None);
    };
    let place = clients.enter(client);
    if place.is_none() {
        refuse(context, client);
    }
    place.map(Some)
}

/// Serves a connection in the protocol that its client chooses.
async fn serve(
    context: &Arc<WorkerContext>,
    listener: &Listener,
    socket: ClientSocket,
    facts: &ConnectionFacts,
) {
    if let Some(tls) = listener.tls() {
        Box::pin(serve_secure(context, tls, socket, facts)).await;
    } else if listener.takes_http2() {
        Box::pin(serve_any(context, socket, facts)).await;
    } else {
        http1::serve(context, socket, facts, Bytes::new()).await;
    }
}

/// Serves a connection after its TLS handshake, in which a protocol was chosen.
async fn serve_secure(
    context: &Arc<WorkerContext>,
    tls: &TlsTerminator,
    socket: ClientSocket,
    facts: &ConnectionFacts,
) {
    // The configuration refuses TLS on Unix sockets.
    let ClientSocket::Tcp(stream) = socket else {
        return;
    };
    // A handshake ends long before its connection.
    let accepted = Box::pin(handshake::accept(context, tls, stream, facts)).await;
    let Some(secure) = accepted else {
        return;
    };
    let socket = ClientSocket::Tls(secure.socket);
    if secure.speaks_http2 {
        Box::pin(http2::serve(context, socket, &secure.facts, Bytes::new())).await;
    } else {
        http1::serve(context, socket, &secure.facts, Bytes::new()).await;
    }
}

/// Serves a connection in the protocol that its first bytes show.
async fn serve_any(
    context: &Arc<WorkerContext>,
    mut socket: ClientSocket,
    facts: &ConnectionFacts,
) {
    let (clock, settings) = (&context.edge.clock, &context.settings);
    let looked = {
        let (idle, header) = (settings.idle_timeout, settings.header_timeout);
        let mut look = pin!(http2::look(&mut socket, clock, idle, header));
        tokio::select! {
            biased;
            first = &mut look => first,
            // A request may be on its way.
            _ = context.reached(ShutdownStage::Draining) => {
                clock.timeout(DRAIN_GRACE, look).await.unwrap_or(Ok(None))
            }
        }
    };
    match looked {
        Ok(Some(FirstBytes::Http1(first))) => http1::serve(context, socket, facts, first).await,
        Ok(Some(FirstBytes::Http2(first))) => {
            Box::pin(http2::serve(context, socket, facts, first)).await;
        }
        // It has said nothing that could be answered.
        Ok(None) | Err(_) => {}
    }
}

/// Counts a connection that is closed at once: its client has `max_connections_per_client`.
#[cold]
fn refuse(context: &WorkerContext, client: IpAddr) {
    context.edge.counters.connection_turned_away();
    tracing::debug!(%client, "the client has too many connections");
}

/// An accept queue on the runtime of its worker.
enum OpenQueue {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

impl OpenQueue {
    fn of(socket: ListenSocket) -> io::Result<OpenQueue> {
        match socket {
            ListenSocket::Tcp(socket) => {
                tokio::net::TcpListener::from_std(socket).map(OpenQueue::Tcp)
            }
            ListenSocket::Unix(socket) => {
                tokio::net::UnixListener::from_std(socket).map(OpenQueue::Unix)
            }
        }
    }

    /// The next connection, and the address that opened it; `None` on a Unix socket.
    async fn accept(&self) -> io::Result<(ClientSocket, Option<IpAddr>)> {
        match self {
            OpenQueue::Tcp(socket) => {
                let (stream, address) = socket.accept().await?;
                Ok((ClientSocket::Tcp(stream), Some(address.ip())))
            }
            OpenQueue::Unix(socket) => {
                let (stream, _) = socket.accept().await?;
                Ok((ClientSocket::Unix(stream), None))
            }
        }
    }
}

/// A client's connection while it counts as open.
struct CountedConnection<'c>(&'c EdgeCounters);

impl CountedConnection<'_> {
    fn new(counters: &EdgeCounters) -> CountedConnection<'_> {
        counters.connection_opened();
        CountedConnection(counters)
    }
}

impl Drop for CountedConnection<'_> {
    fn drop(&mut self) {
        self.0.connection_closed();
    }
}
