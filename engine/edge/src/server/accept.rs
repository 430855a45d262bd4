//! Listeners, and the loop that accepts their connections.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::mpsc;

use super::{ShutdownStage, WorkerContext, http1};
use crate::request::Edge;
use crate::telemetry::edge_counters::EdgeCounters;
use tero_config as config;

/// Connections of a worker that the kernel completes before they are accepted, at most.
const BACKLOG: i32 = 4096;
/// The pause of an accept loop after an error such as "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Binds each address of `settings.listen` once per worker. Of an address with port 0, the first
/// worker gets a free port, and the others share it. Returns the addresses with their ports, and
/// the listeners of each worker.
///
/// # Errors
/// If an address can't be bound: that address, and the error.
pub fn bind(
    settings: &config::Server,
) -> Result<(Vec<SocketAddr>, Vec<Vec<TcpListener>>), (SocketAddr, io::Error)> {
    let mut addresses = Vec::new();
    let mut of_workers: Vec<Vec<TcpListener>> = (0..settings.workers).map(|_| Vec::new()).collect();
    for &configured in &settings.listen {
        let mut address = configured;
        for listeners in &mut of_workers {
            let listener = listen(address).map_err(|error| (configured, error))?;
            address = listener.local_addr().map_err(|error| (configured, error))?;
            listeners.push(listener);
        }
        addresses.push(address);
    }
    Ok((addresses, of_workers))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts connections until the edge drains, and serves each in a task that holds a clone of
/// `open`.
pub(super) async fn run(
    context: Arc<WorkerContext>,
    listener: TcpListener,
    open: mpsc::Sender<()>,
) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a listener can't be used"),
    };
    let mut draining = pin!(context.reached(ShutdownStage::Draining));
    loop {
        let accepted = async {
            // The permit first: connections beyond the bound wait in the kernel's queue.
            let permit = Arc::clone(&context.connections).acquire_owned().await;
            (listener.accept().await, permit)
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
                tokio::spawn(async move {
                    let _counted = CountedConnection::new(&context.edge.counters);
                    http1::serve(&context, stream, client).await;
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
