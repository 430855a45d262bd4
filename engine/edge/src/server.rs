//! Listeners, HTTP/1, drain and shutdown.
//!
//! A worker is a thread with its own accept queue (`SO_REUSEPORT`), its own runtime and its own
//! connections to next hops; the cache is shared. Nothing of a connection ever moves from one
//! worker to another.

mod connection;
mod connection_state;
mod gather;
mod poll_when_woken;
mod stream;
mod watchdog;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::{Semaphore, mpsc, watch};

use crate::request::Edge;
use crate::telemetry::counters::set_worker;
use tero_config as config;

/// Connections that the kernel completes before they are accepted, per worker.
const BACKLOG: i32 = 4096;
/// How long an accept loop rests after an error such as "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How far the edge has come with stopping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShutdownStage {
    /// It serves.
    #[default]
    Running,
    /// It accepts no connection and ends those that it has.
    Draining,
    /// It drops everything.
    Stopped,
}

/// What every worker needs.
#[derive(Debug)]
struct WorkerContext {
    edge: Arc<Edge>,
    settings: config::Server,
    connections: Arc<Semaphore>,
    stage: watch::Receiver<ShutdownStage>,
}

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

/// Starts the workers.
///
/// # Errors
/// When a thread or its runtime can't be made.
pub fn start(
    edge: &Arc<Edge>,
    settings: config::Server,
    of_workers: Vec<Vec<TcpListener>>,
    stage: &watch::Receiver<ShutdownStage>,
) -> io::Result<Vec<JoinHandle<()>>> {
    let connections = Arc::new(Semaphore::new(settings.max_connections));
    let shared = Arc::new(WorkerContext {
        edge: Arc::clone(edge),
        settings,
        connections,
        stage: stage.clone(),
    });
    let workers = of_workers
        .into_iter()
        .enumerate()
        .map(|(worker, listeners)| {
            let shared = Arc::clone(&shared);
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            std::thread::Builder::new()
                .name(format!("worker-{worker}"))
                .spawn(move || {
                    set_worker(worker);
                    runtime.block_on(work(&shared, listeners));
                })
        });
    workers.collect()
}

/// Accepts connections until the edge stops, then waits for those that are open.
async fn work(shared: &Arc<WorkerContext>, listeners: Vec<TcpListener>) {
    let (open, mut all_closed) = mpsc::channel::<()>(1);
    for listener in listeners {
        tokio::spawn(accept(Arc::clone(shared), listener, open.clone()));
    }
    drop(open);
    let mut stage = shared.stage.clone();
    let draining = async {
        stage
            .wait_for(|stage| *stage >= ShutdownStage::Draining)
            .await
            .is_ok()
    };
    if draining.await {
        let deadline = shared
            .edge
            .clock
            .timeout(shared.settings.drain, all_closed.recv());
        let mut stage = shared.stage.clone();
        tokio::select! {
            _ = deadline => {}
            _ = stage.wait_for(|stage| *stage == ShutdownStage::Stopped) => {}
        }
    }
}

async fn accept(shared: Arc<WorkerContext>, listener: TcpListener, open: mpsc::Sender<()>) {
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
                    connection::serve(&shared, stream, client).await;
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
