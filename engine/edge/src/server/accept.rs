//! Listeners and the loop that accepts connections.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::mpsc;

use super::{ShutdownStage, WorkerContext, http1};
use tero_config as config;

/// Connections that the kernel completes before they are accepted, per worker.
const BACKLOG: i32 = 4096;
/// How long an accept loop rests after an error such as "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Binds every address once per worker. Where a port is 0, all workers share the one that the first
/// is given.
///
/// # Errors
/// When an address can't be bound: `(address, error)`.
pub fn bind(
    settings: &config::Server,
) -> Result<(Vec<SocketAddr>, Vec<Vec<TcpListener>>), (SocketAddr, io::Error)> {
    let mut addresses = Vec::new();
    let mut of_workers: Vec<Vec<TcpListener>> = (0..settings.workers).map(|_| Vec::new()).collect();
    for &wanted in &settings.listen {
        let mut address = wanted;
        for listeners in &mut of_workers {
            let listener = listen(address).map_err(|error| (wanted, error))?;
            address = listener.local_addr().map_err(|error| (wanted, error))?;
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

pub(super) async fn accept(
    shared: Arc<WorkerContext>,
    listener: TcpListener,
    open: mpsc::Sender<()>,
) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a listener can't be used"),
    };
    let mut stage = shared.stage.clone();
    loop {
        let accepted = async {
            // A permit first: what is over the bound waits in the kernel's queue.
            let permit = Arc::clone(&shared.connections).acquire_owned().await;
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            accepted = accepted => accepted,
            _ = stage.wait_for(|stage| *stage >= ShutdownStage::Draining) => return,
        };
        match (accepted, permit) {
            (Ok((stream, client)), Ok(permit)) => {
                let (shared, open) = (Arc::clone(&shared), open.clone());
                tokio::spawn(async move {
                    http1::serve(&shared, stream, client).await;
                    drop((permit, open));
                });
            }
            (Err(error), _) => {
                tracing::warn!(%error, "a connection can't be accepted");
                shared.edge.clock.sleep(ACCEPT_PAUSE).await;
            }
            (_, Err(_)) => return,
        }
    }
}
