//! Listeners, HTTP/1, drain and shutdown.
//!
//! A worker is a thread with its own accept queue (`SO_REUSEPORT`), its own runtime and its own
//! connections to next hops; the cache is shared. Nothing of a connection ever moves from one
//! worker to another.

mod accept;
mod http1;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{Semaphore, mpsc, watch};

use crate::request::Edge;
use crate::telemetry::counters::set_worker;
use tero_config as config;

pub use accept::bind;

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
        tokio::spawn(accept::accept(Arc::clone(shared), listener, open.clone()));
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
