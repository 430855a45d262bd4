//! The loop that accepts the connections of a listener.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::client_socket::ClientSocket;
use super::connection_facts::ConnectionFacts;
use super::listener::AcceptQueue;
use super::{ShutdownStage, WorkerContext, http1};
use crate::request::Edge;
use crate::telemetry::edge_counters::EdgeCounters;

/// The pause of an accept loop after an error such as "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until the edge drains, and serves each in a task that holds a clone of
/// `open`.
pub(super) async fn run(context: Arc<WorkerContext>, queue: AcceptQueue, open: mpsc::Sender<()>) {
    let AcceptQueue { listener, socket } = queue;
    let socket = match tokio::net::TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => return tracing::error!(%error, "a listener can't be used"),
    };
    let mut draining = pin!(context.reached(ShutdownStage::Draining));
    loop {
        let accepted = async {
            // The permit first: connections beyond the bound wait in the kernel's queue.
            let permit = Arc::clone(&context.connections).acquire_owned().await;
            (socket.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            accepted = accepted => accepted,
            _ = &mut draining => return,
        };
        match (accepted, permit) {
            (Ok((stream, client)), Ok(permit)) => {
                let (context, open) = (Arc::clone(&context), open.clone());
                let place = match &context.clients {
                    None => None,
                    Some(clients) => match clients.enter(client.ip()) {
                        Some(place) => Some(place),
                        None => {
                            refuse(&context, client);
                            continue;
                        }
                    },
                };
                let facts = ConnectionFacts {
                    peer: client.ip().to_canonical(),
                    scheme: listener.scheme(),
                };
                tokio::spawn(async move {
                    let _counted = CountedConnection::new(&context.edge.counters);
                    http1::serve(&context, ClientSocket::Tcp(stream), &facts).await;
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

/// Counts a connection that is closed at once: its client has `max_connections_per_client`.
#[cold]
fn refuse(context: &WorkerContext, client: SocketAddr) {
    context.edge.counters.connection_turned_away();
    tracing::debug!(%client, "the client has too many connections");
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
