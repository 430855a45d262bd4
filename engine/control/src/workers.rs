//! The threads that serve visitors, and their listeners. A reload that changes `[server]` starts new
//! ones, which take the sockets over; the old ones end their connections, each with its next request.
//! What they share (the store, the sites, the counters) stays.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::watch;

use crate::handover::Handover;
use tero_config as config;
use tero_edge::acme::AcmeResponder;
use tero_edge::request::Edge;
use tero_edge::server::listener::{self, BoundListeners, KeptSockets, ListenError, Listener};
use tero_edge::server::open_sockets::OpenSocketSet;
use tero_edge::server::{self, HANDOVER_GRACE, ShutdownStage, Stages};

/// The workers of an edge.
#[derive(Debug)]
pub(crate) struct Workers {
    edge: Arc<Edge>,
    acme: Arc<AcmeResponder>,
    /// The stage of the whole edge.
    stage: watch::Receiver<ShutdownStage>,
    state: Mutex<WorkersState>,
}

#[derive(Debug)]
struct WorkersState {
    listeners: Vec<Arc<Listener>>,
    /// The number of the present workers.
    count: usize,
    /// The stage of the present workers alone.
    own: watch::Sender<ShutdownStage>,
    threads: WorkerThreads,
}

/// The threads of the present workers and of those before.
#[derive(Debug, Default)]
struct WorkerThreads {
    /// The oldest first.
    running: VecDeque<JoinHandle<()>>,
    /// How those ended that are joined already, if they panicked.
    panics: Vec<std::thread::Result<()>>,
}

/// Workers that can be made: their listeners are open.
#[derive(Debug)]
pub(crate) struct BoundWorkers {
    settings: config::Server,
    bound: BoundListeners,
}

/// Workers whose threads wait for [`Workers::install`]; they end if that does not come.
#[derive(Debug)]
pub(crate) struct PreparedWorkers {
    settings: config::Server,
    listeners: Vec<Arc<Listener>>,
    kept: KeptSockets,
    own: watch::Sender<ShutdownStage>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts the first workers.
    ///
    /// # Errors
    /// If a thread or its runtime can't be made.
    pub(crate) fn start(
        edge: &Arc<Edge>,
        acme: &Arc<AcmeResponder>,
        stage: watch::Receiver<ShutdownStage>,
        first: BoundWorkers,
    ) -> io::Result<(Arc<Workers>, KeptSockets)> {
        let (own, _) = watch::channel(ShutdownStage::Running);
        let workers = Arc::new(Workers {
            edge: Arc::clone(edge),
            acme: Arc::clone(acme),
            stage,
            state: Mutex::new(WorkersState {
                listeners: Vec::new(),
                count: 0,
                own,
                threads: WorkerThreads::default(),
            }),
        });
        let first = workers.prepare(first)?;
        let kept = workers.install(first);
        Ok((workers, kept))
    }

    /// Opens the listeners of other settings. Those that are open already are taken from `kept`;
    /// certificates stay with a listener that speaks TLS before and after.
    ///
    /// # Errors
    /// [`ListenError`]; the present workers serve on.
    pub(crate) fn bind(
        &self,
        settings: config::Server,
        handover: &Handover,
    ) -> Result<BoundWorkers, ListenError> {
        let open = handover.public_sockets().unwrap_or_default();
        let mut open = OpenSocketSet::new(open);
        let before = self.lock().listeners.clone();
        let clock = &self.edge.clock;
        let bound = listener::bind(&settings, &mut open, &before, &self.acme, clock)?;
        Ok(BoundWorkers { settings, bound })
    }

    /// Makes workers, which accept no connections yet. The present ones serve on.
    ///
    /// # Errors
    /// If a thread or its runtime can't be made.
    pub(crate) fn prepare(&self, bound: BoundWorkers) -> io::Result<PreparedWorkers> {
        let BoundWorkers { settings, bound } = bound;
        let (own, stages) = watch::channel(ShutdownStage::Starting);
        let stages = Stages::new(self.stage.clone(), stages);
        let threads = server::start(&self.edge, settings.clone(), bound.of_workers, &stages)?;
        Ok(PreparedWorkers {
            settings,
            listeners: bound.listeners,
            kept: bound.kept,
            own,
            threads,
        })
    }

    /// Has workers accept connections. Those before accept no more. Returns the sockets.
    pub(crate) fn install(&self, prepared: PreparedWorkers) -> KeptSockets {
        let ports = prepared.listeners.iter().filter_map(|listener| {
            let address = listener.address().tcp();
            address.as_ref().map(SocketAddr::port)
        });
        self.edge.set_ports(ports.collect());
        self.edge.set_server_limits(&prepared.settings);
        prepared.own.send_replace(ShutdownStage::Running);
        let mut state = self.lock();
        state.threads.add(prepared.threads);
        let before = std::mem::replace(&mut state.own, prepared.own);
        state.listeners = prepared.listeners;
        state.count = prepared.settings.workers;
        drop(state);
        retire(before);
        prepared.kept
    }

    /// The number of threads that answer new requests.
    pub(crate) fn count(&self) -> usize {
        self.lock().count
    }

    /// The listeners, in the configuration's order.
    pub(crate) fn listeners(&self) -> Vec<Arc<Listener>> {
        self.lock().listeners.clone()
    }

    /// Waits until all workers have ended, also those that a reload starts meanwhile. Returns how
    /// each ended.
    pub(crate) fn wait(&self) -> Vec<std::thread::Result<()>> {
        let mut ended = Vec::new();
        // Not in the condition: the lock must not be held while a thread is waited for.
        loop {
            let Some(thread) = self.lock().threads.running.pop_front() else {
                ended.append(&mut self.lock().threads.panics);
                return ended;
            };
            ended.push(thread.join());
        }
    }

    fn lock(&self) -> MutexGuard<'_, WorkersState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WorkerThreads {
    /// Takes in further threads, and lets go of those that have ended: each would keep its stack until
    /// it is joined.
    fn add(&mut self, threads: Vec<JoinHandle<()>>) {
        for thread in std::mem::take(&mut self.running) {
            match thread.is_finished() {
                true => self
                    .panics
                    .extend(Some(thread.join()).filter(Result::is_err)),
                false => self.running.push_back(thread),
            }
        }
        self.running.extend(threads);
    }
}

impl BoundWorkers {
    /// The first ones, with their listeners.
    pub(crate) fn new(settings: config::Server, bound: BoundListeners) -> BoundWorkers {
        BoundWorkers { settings, bound }
    }
}

impl PreparedWorkers {
    /// Open client connections at most.
    pub(crate) fn max_connections(&self) -> usize {
        self.settings.max_connections
    }
}

/// Has workers accept no more connections, end each open one with its next request, and those that
/// wait for a request after a while.
fn retire(own: watch::Sender<ShutdownStage>) {
    own.send_replace(ShutdownStage::HandedOver);
    // Before the first workers there were none.
    if own.receiver_count() == 0 {
        return;
    }
    let drain = move || {
        std::thread::park_timeout(HANDOVER_GRACE);
        own.send_replace(ShutdownStage::Draining);
        // The workers see the stage as long as there is a sender.
        while own.receiver_count() > 0 {
            std::thread::park_timeout(HANDOVER_GRACE);
        }
    };
    let thread = std::thread::Builder::new().name("retiring".to_owned());
    if let Err(error) = thread.spawn(drain) {
        tracing::warn!(%error, "connections end at once");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn end(thread: JoinHandle<()>) -> Vec<JoinHandle<()>> {
        while !thread.is_finished() {
            std::thread::yield_now();
        }
        vec![thread]
    }

    #[test]
    fn threads_that_have_ended_are_joined_when_others_follow() {
        let mut threads = WorkerThreads::default();
        let (stop, stopped) = mpsc::channel::<()>();
        threads.add(vec![std::thread::spawn(move || {
            let _ = stopped.recv();
        })]);
        for _ in 0..10 {
            threads.add(end(std::thread::spawn(|| ())));
            assert_eq!(threads.running.len(), 2, "one at work, and the last");
        }
        // A panic is told at the end, as that of a thread that is waited for.
        threads.add(end(std::thread::spawn(|| {
            std::panic::resume_unwind(Box::new("on purpose"));
        })));
        threads.add(Vec::new());
        assert_eq!((threads.running.len(), threads.panics.len()), (1, 1));
        drop(stop);
        threads.running.pop_front().unwrap().join().unwrap();
    }
}
