//! The workers that serve clients: their listeners, their connections, and shutdown.
//!
//! A worker is a thread with its own accept queue (`SO_REUSEPORT`), its own runtime and its own
//! connections to next hops; all workers share the store. A connection never moves from one worker
//! to another. [`accept`] takes connections, and hands them to the module of their protocol.

mod accept;
mod client_socket;
mod clients;
mod connection_facts;
mod event_stream;
mod http1;
mod http2;
pub mod listener;
pub mod open_sockets;
mod proxy_header;
pub mod tls;
pub mod unix_socket;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};

use crate::request::Edge;
use crate::telemetry::counters::set_worker;
use clients::ClientConnections;
use listener::AcceptQueue;
use tero_config as config;
use tls::HandshakeSlots;

/// A client that has asked nothing when the edge begins to drain may do so for this time: its first
/// request may be on its way, and it could not tell whether that was read.
const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// For this time after another process has taken the listeners over, connections that wait for a
/// request stay open: a request that is on its way is answered, with the word that the connection
/// ends.
pub const HANDOVER_GRACE: Duration = Duration::from_secs(2);

/// So long after a handover, requests that come by the old connections may still be answered.
pub const QUIET_AFTER: Duration = Duration::from_secs(4);

/// The stages in the life of a process, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShutdownStage {
    /// Everything is made, and no connection is accepted yet.
    Starting,
    /// The edge serves.
    #[default]
    Running,
    /// Another process accepts the connections, and this one ends each open connection with its next
    /// request.
    HandedOver,
    /// It accepts no more connections, and ends each open one after the request under way.
    Draining,
    /// It closes all connections.
    Stopped,
}

/// What all workers share.
#[derive(Debug)]
struct WorkerContext {
    edge: Arc<Edge>,
    settings: config::Server,
    /// One permit for each of `max_connections`.
    connections: Arc<Semaphore>,
    /// The connections of each client; `None` without `max_connections_per_client`.
    clients: Option<Arc<ClientConnections>>,
    /// One slot for each of `max_handshakes`.
    handshakes: Arc<HandshakeSlots>,
    stages: Stages,
}

/// The stage of an edge, and that of some of its workers alone, which others may follow: the later one
/// counts.
#[derive(Clone, Debug)]
pub struct Stages {
    edge: watch::Receiver<ShutdownStage>,
    own: watch::Receiver<ShutdownStage>,
}

impl Stages {
    /// The stage of the edge, and that of the workers.
    pub fn new(
        edge: watch::Receiver<ShutdownStage>,
        own: watch::Receiver<ShutdownStage>,
    ) -> Stages {
        Stages { edge, own }
    }
}

impl WorkerContext {
    /// Waits for a stage, or for the end of its sender. Returns whether the stage was reached.
    fn reached(&self, stage: ShutdownStage) -> impl Future<Output = bool> + use<> {
        let Stages { mut edge, mut own } = self.stages.clone();
        async move {
            // Both have to begin.
            if stage <= ShutdownStage::Running {
                return edge.wait_for(|now| *now >= stage).await.is_ok()
                    && own.wait_for(|now| *now >= stage).await.is_ok();
            }
            tokio::select! {
                biased;
                reached = edge.wait_for(|now| *now >= stage) => reached.is_ok(),
                reached = own.wait_for(|now| *now >= stage) => reached.is_ok(),
            }
        }
    }

    /// Whether a stage was not reached yet.
    fn is_before(&self, stage: ShutdownStage) -> bool {
        *self.stages.edge.borrow() < stage && *self.stages.own.borrow() < stage
    }
}

/// Starts a worker thread for each list of accept queues, which are those of [`listener::bind`]. They accept
/// connections once both of their stages are [`ShutdownStage::Running`]. The threads end
/// after their stage has become [`ShutdownStage::Draining`]: when their connections have ended or
/// `settings.drain` has passed, or at [`ShutdownStage::Stopped`].
///
/// # Errors
/// If a thread or its runtime can't be made.
pub fn start(
    edge: &Arc<Edge>,
    settings: config::Server,
    of_workers: Vec<Vec<AcceptQueue>>,
    stages: &Stages,
) -> io::Result<Vec<JoinHandle<()>>> {
    let context = Arc::new(WorkerContext {
        edge: Arc::clone(edge),
        connections: Arc::new(Semaphore::new(settings.max_connections)),
        clients: settings
            .max_connections_per_client
            .map(ClientConnections::new),
        handshakes: HandshakeSlots::new(settings.max_handshakes.min(settings.max_connections / 2)),
        settings,
        stages: stages.clone(),
    });
    let workers = of_workers.into_iter().enumerate();
    workers
        .map(|(worker, queues)| start_worker(Arc::clone(&context), worker, queues))
        .collect()
}

fn start_worker(
    context: Arc<WorkerContext>,
    worker: usize,
    queues: Vec<AcceptQueue>,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name(format!("worker-{worker}"))
        .spawn(move || {
            set_worker(worker);
            run_to_end(runtime, work(&context, queues));
        })
}

/// Runs a task on this thread to its end. What still blocks a thread of the runtime then, as a look-up does
/// whose resolver is silent, is left behind: it must not delay the end of the process.
pub fn run_to_end(runtime: tokio::runtime::Runtime, task: impl Future<Output = ()>) {
    runtime.block_on(task);
    runtime.shutdown_background();
}

/// Accepts connections while the edge runs, then waits for the open ones.
async fn work(context: &Arc<WorkerContext>, queues: Vec<AcceptQueue>) {
    if !context.reached(ShutdownStage::Running).await {
        return;
    }
    // Each accept loop and each connection holds a sender: the last one to end closes the channel.
    let (open, mut all_closed) = mpsc::channel::<()>(1);
    for queue in queues {
        tokio::spawn(accept::run(Arc::clone(context), queue, open.clone()));
    }
    drop(open);
    if context.reached(ShutdownStage::Draining).await {
        let clock = &context.edge.clock;
        tokio::select! {
            _ = clock.timeout(context.settings.drain, all_closed.recv()) => {}
            _ = context.reached(ShutdownStage::Stopped) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_thread_does_not_delay_the_end() {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.build().unwrap();
        let (begun, begins) = tokio::sync::oneshot::channel::<()>();
        let (release, released) = std::sync::mpsc::channel::<()>();
        run_to_end(runtime, async {
            tokio::task::spawn_blocking(move || {
                let _ = begun.send(());
                // Were it waited for, it would end by itself, and take no message.
                let _ = released.recv_timeout(Duration::from_secs(60));
            });
            begins.await.unwrap();
        });
        assert!(release.send(()).is_ok());
    }
}
