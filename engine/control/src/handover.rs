//! Leaves serving to another process, without losing a request.
//!
//! The running process starts its own program again and gives it the sockets and the lock of the state
//! directory ([`channel`]). The successor makes everything, says that it is ready, and is told to go.
//! Only then does the old one stop accepting, and end its connections one by one. Until then the old
//! one serves, and goes on if the successor fails. Stored responses and counters don't go along.

mod channel;
mod messages;
mod predecessor;

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use tokio::sync::watch;

use crate::admin_listener::AdminListener;
use crate::disks;
use crate::event_memory::EventMemory;
use crate::housekeeping::SavedCounts;
use crate::supervisor;
use channel::{Channel, Received, is_timeout};
use messages::{Offer, OfferedSockets, PROTOCOL, PredecessorMessage, SuccessorMessage};
use tero_config::ListenAddress;
use tero_edge::request::Edge;
use tero_edge::server::listener::KeptSockets;
use tero_edge::server::open_sockets::{OpenSockets, SocketRole};
use tero_edge::server::{HANDOVER_GRACE, QUIET_AFTER, ShutdownStage};
use tero_semantics::timestamp::Timestamp;
use tero_state::dir::StateDir;

pub use predecessor::{Predecessor, PredecessorError};

/// How often it is looked whether the successor has ended.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How a successor is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program: a path, or a name that is looked for in `PATH`. What is there by then is started.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// A process that has taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Successor {
    /// Its number.
    pub process: u32,
    /// Its version.
    pub version: String,
    /// The commit that it was built from.
    pub commit: String,
}

/// Why this process serves on.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// Another successor is being started, or the configuration is being read again.
    #[error("an upgrade or a reload is under way")]
    Busy,
    /// The process is about to end, or has been succeeded.
    #[error("the edge is stopping")]
    Stopping,
    /// The process is the first one of a container, which ends with it.
    #[error("this is the first process of a container, which ends with it")]
    FirstProcess,
    /// The edge is part of another program.
    #[error("this edge was not started by `tero serve`")]
    NotAProgram,
    /// The successor can't be started.
    #[error("the program {} can't be started: {source}", .program.display())]
    Start {
        /// The program.
        program: OsString,
        /// Why not.
        source: io::Error,
    },
    /// What it needs can't be handed over.
    #[error("the sockets can't be handed over: {0}")]
    Offer(#[source] io::Error),
    /// The successor says why it can't serve.
    #[error("the new process can't serve: {0}")]
    Failed(String),
    /// The successor has ended without a word.
    #[error("the new process has ended ({0}); its log says why")]
    Ended(ExitStatus),
    /// The successor takes too long.
    #[error("the new process was not ready within {0:?} (server.upgrade_timeout)")]
    Late(Duration),
}

/// The parts of an edge that a handover concerns.
#[derive(Debug)]
pub(crate) struct HandoverParts {
    pub(crate) edge: Arc<Edge>,
    pub(crate) state_dir: Option<Arc<StateDir>>,
    pub(crate) counts: SavedCounts,
    pub(crate) events: Arc<EventMemory>,
    pub(crate) stage: watch::Sender<ShutdownStage>,
    pub(crate) sockets: HeldSockets,
    /// `None` for an edge inside of another program.
    pub(crate) launch: Option<Launch>,
    /// Within which a successor has to be ready.
    pub(crate) timeout: Duration,
}

/// The sockets of an edge by numbers that are not accepted from.
#[derive(Debug)]
pub(crate) struct HeldSockets {
    pub(crate) public: KeptSockets,
    /// With the address as it is configured.
    pub(crate) admin: (ListenAddress, AdminListener),
}

/// Starts successors, one at a time.
#[derive(Debug)]
pub struct Handover {
    edge: Arc<Edge>,
    state_dir: Option<Arc<StateDir>>,
    counts: SavedCounts,
    events: Arc<EventMemory>,
    stage: watch::Sender<ShutdownStage>,
    /// `None` once the edge stops.
    sockets: Mutex<Option<HeldSockets>>,
    launch: Option<Launch>,
    timeout: Mutex<Duration>,
    one_at_a_time: Mutex<()>,
    is_under_way: AtomicBool,
    /// Whether the last successor could not take over.
    has_failed: AtomicBool,
    /// The successor, until it has taken over or failed.
    candidate: Mutex<Option<Child>>,
}

impl Handover {
    /// A handover of an edge.
    pub(crate) fn new(parts: HandoverParts) -> Arc<Handover> {
        Arc::new(Handover {
            edge: parts.edge,
            state_dir: parts.state_dir,
            counts: parts.counts,
            events: parts.events,
            stage: parts.stage,
            sockets: Mutex::new(Some(parts.sockets)),
            launch: parts.launch,
            timeout: Mutex::new(parts.timeout),
            one_at_a_time: Mutex::default(),
            is_under_way: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
            candidate: Mutex::default(),
        })
    }

    /// Whether changes would be lost: a successor reads the state, or serves already.
    pub(crate) fn is_under_way(&self) -> bool {
        self.is_under_way.load(Ordering::Acquire)
    }

    /// Whether the last successor could not take over.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// Keeps upgrades from beginning as long as it is held: what a successor has read must not change.
    /// `None` if an upgrade is under way, or another process serves already.
    pub(crate) fn keep_from_upgrading(&self) -> Option<MutexGuard<'_, ()>> {
        let turn = self.turn()?;
        (!self.is_under_way()).then_some(turn)
    }

    fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        match self.one_at_a_time.try_lock() {
            Ok(turn) => Some(turn),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Starts a successor, and leaves serving to it once it is ready. This process ends its
    /// connections then, each after its next request, and ends when they have, or after `[server]
    /// drain`.
    ///
    /// # Errors
    /// [`UpgradeError`]; this process serves on.
    pub fn upgrade(&self) -> Result<Successor, UpgradeError> {
        let _turn = self.turn().ok_or(UpgradeError::Busy)?;
        if *self.stage.borrow() != ShutdownStage::Running {
            return Err(UpgradeError::Stopping);
        }
        let launch = self.launch.as_ref().ok_or(UpgradeError::NotAProgram)?;
        if std::process::id() == 1 {
            return Err(UpgradeError::FirstProcess);
        }
        tracing::info!(program = %launch.program.display(), "starting a successor");
        supervisor::tell_reloading();
        self.is_under_way.store(true, Ordering::Release);
        self.counts.save_now(&self.edge);
        self.hold_state(true);
        let result = self.try_launch(launch);
        self.has_failed.store(result.is_err(), Ordering::Relaxed);
        match &result {
            Ok(successor) => tracing::info!(
                process = successor.process,
                version = successor.version,
                commit = successor.commit,
                "another process has taken over; this one ends its connections"
            ),
            Err(error) => {
                self.hold_state(false);
                self.is_under_way.store(false, Ordering::Release);
                supervisor::tell_ready();
                tracing::error!(
                    "the successor could not take over, and this process serves on: {error}"
                );
            }
        }
        result
    }

    /// The public sockets by further numbers, for workers that follow others; `None` once the edge
    /// stops.
    pub(crate) fn public_sockets(&self) -> Option<Vec<OpenSockets>> {
        lock(&self.sockets).as_ref()?.public.to_hand_over().ok()
    }

    /// Keeps other public sockets, of workers that have followed others.
    pub(crate) fn keep(&self, public: KeptSockets) {
        if let Some(held) = &mut *lock(&self.sockets) {
            held.public.pass_files_to(&public);
            held.public = public;
        }
    }

    /// Sets within which a successor has to be ready.
    pub(crate) fn set_timeout(&self, timeout: Duration) {
        *lock(&self.timeout) = timeout;
    }

    /// Takes the files of Unix sockets over.
    pub(crate) fn own_files(&self) {
        if let Some(sockets) = &*lock(&self.sockets) {
            sockets.public.own_files(true);
            sockets.admin.1.own_file(true);
        }
    }

    /// Closes the sockets, and ends a successor that has not taken over.
    pub(crate) fn stop(&self) {
        drop(lock(&self.sockets).take());
        self.end_candidate();
    }

    fn hold_state(&self, is_handed_over: bool) {
        if let Some(dir) = &self.state_dir {
            dir.hand_over(is_handed_over);
        }
    }

    fn end_candidate(&self) {
        if let Some(mut child) = lock(&self.candidate).take() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn try_launch(&self, launch: &Launch) -> Result<Successor, UpgradeError> {
        let purges = self.edge.succession.purges();
        let (channel, theirs) = Channel::pair().map_err(UpgradeError::Offer)?;
        let process = self.start(launch, theirs)?;
        match self.let_take_over(&channel, process, purges) {
            Ok(successor) => {
                self.leave(channel);
                Ok(successor)
            }
            Err(error) => {
                // Before the channel closes: it would take that for the end of this process, and serve.
                self.end_candidate();
                Err(error)
            }
        }
    }

    /// Offers everything to a successor, waits until it is ready, and has it take over.
    fn let_take_over(
        &self,
        channel: &Channel,
        process: u32,
        purges: u64,
    ) -> Result<Successor, UpgradeError> {
        let timeout = *lock(&self.timeout);
        let until = self.edge.clock.now().saturating_add(timeout);
        match self.offer(channel, timeout) {
            // It has ended, and says why, or how it ended does.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) if is_timeout(&error) => return Err(UpgradeError::Late(timeout)),
            offered => offered.map_err(UpgradeError::Offer)?,
        }
        let successor = self.wait_until_ready(channel, process, (until, timeout))?;
        // The successor reads what was told, and tells on, as soon as it serves.
        self.events.leave();
        let gone = self.say_go(channel, process, purges);
        if gone.is_err() {
            self.events.take_back();
        }
        gone.map(|()| successor)
    }

    fn start(&self, launch: &Launch, channel: OwnedFd) -> Result<u32, UpgradeError> {
        let mut command = Command::new(&launch.program);
        command.args(&launch.arguments).stdin(Stdio::from(channel));
        // They are for this process.
        for name in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_PID"] {
            command.env_remove(name);
        }
        let child = command.spawn().map_err(|source| UpgradeError::Start {
            program: launch.program.clone(),
            source,
        })?;
        let process = child.id();
        *lock(&self.candidate) = Some(child);
        Ok(process)
    }

    /// Offers the sockets and the lock of the state directory, to a process that reads within `timeout`.
    fn offer(&self, channel: &Channel, timeout: Duration) -> io::Result<()> {
        channel.limit_sends(timeout)?;
        let offered = self.sockets_to_offer()?;
        let lock = self.state_dir.as_ref().map(|dir| dir.lock_to_share());
        let lock = lock.transpose()?;
        channel.send(&Offer {
            protocol: PROTOCOL,
            process: std::process::id(),
            sockets: offered.iter().map(describe).collect(),
            has_lock: lock.is_some(),
        })?;
        for socket in offered.into_iter().flat_map(|offered| offered.sockets) {
            channel.send_file(OwnedFd::from(socket).as_fd())?;
        }
        lock.map_or(Ok(()), |lock| channel.send_file(lock.as_fd()))
    }

    fn sockets_to_offer(&self) -> io::Result<Vec<OpenSockets>> {
        let sockets = lock(&self.sockets);
        let stopped = || io::Error::other("the edge is stopping");
        let HeldSockets { public, admin } = sockets.as_ref().ok_or_else(stopped)?;
        let mut offered = public.to_hand_over()?;
        let (socket, owns_file) = admin.1.to_hand_over()?;
        offered.push(OpenSockets {
            role: Some(SocketRole::Admin),
            address: admin.0.clone(),
            dual_stack: Some(false),
            owns_file,
            sockets: vec![socket],
        });
        Ok(offered)
    }

    fn wait_until_ready(
        &self,
        channel: &Channel,
        process: u32,
        (until, timeout): (Timestamp, Duration),
    ) -> Result<Successor, UpgradeError> {
        let clock = &self.edge.clock;
        loop {
            match channel.receive(LOOK_EVERY) {
                Ok(Received::Message(SuccessorMessage::Ready { version, commit })) => {
                    return Ok(Successor {
                        process,
                        version,
                        commit,
                    });
                }
                Ok(Received::Message(SuccessorMessage::Failed { reason })) => {
                    return Err(UpgradeError::Failed(reason));
                }
                Ok(Received::Nothing) => {}
                // Its end is not far.
                Ok(Received::Closed) => std::thread::park_timeout(LOOK_EVERY / 10),
                Err(error) => return Err(UpgradeError::Offer(error)),
            }
            if let Some(ended) = self.ended() {
                return Err(ended);
            }
            if clock.now() >= until {
                return Err(UpgradeError::Late(timeout));
            }
        }
    }

    /// How the successor has ended, if it has.
    fn ended(&self) -> Option<UpgradeError> {
        match lock(&self.candidate).as_mut()?.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(UpgradeError::Ended(status)),
            Err(error) => Some(UpgradeError::Offer(error)),
        }
    }

    /// Tells a successor that is ready to serve.
    fn say_go(&self, channel: &Channel, process: u32, purges: u64) -> Result<(), UpgradeError> {
        // Without it, the successor would be ended by `stop`.
        let Some(child) = lock(&self.candidate).take() else {
            return Err(UpgradeError::Stopping);
        };
        supervisor::tell_successor(process);
        let purged = self.edge.succession.hand_over() > purges;
        if let Err(error) = channel.send(&PredecessorMessage::Go { purged }) {
            self.edge.succession.take_back();
            *lock(&self.candidate) = Some(child);
            supervisor::tell_successor(std::process::id());
            return Err(self.ended().unwrap_or(UpgradeError::Offer(error)));
        }
        Ok(())
    }

    /// Leaves serving to a successor that serves.
    fn leave(&self, channel: Channel) {
        if let Some(sockets) = lock(&self.sockets).take() {
            sockets.public.own_files(false);
            sockets.admin.1.own_file(false);
        }
        self.stage.send_if_modified(|stage| {
            let is_running = *stage == ShutdownStage::Running;
            *stage = (*stage).max(ShutdownStage::HandedOver);
            is_running
        });
        disks::hand_over(&self.edge);
        self.drain_soon(channel);
    }

    /// Lets the edge drain once the clients have had the time to send a request that is on its way.
    fn drain_soon(&self, channel: Channel) {
        let stage = self.stage.clone();
        let drain = move || {
            // The successor says nothing more: this waits.
            let _ = channel.receive::<SuccessorMessage>(HANDOVER_GRACE);
            stage.send_if_modified(|stage| {
                let is_new = *stage < ShutdownStage::Draining;
                *stage = (*stage).max(ShutdownStage::Draining);
                is_new
            });
            let _ = channel.receive::<SuccessorMessage>(QUIET_AFTER.saturating_sub(HANDOVER_GRACE));
            // If it is gone, no purges wait.
            let _ = channel.send(&PredecessorMessage::Quiet);
        };
        let thread = std::thread::Builder::new().name("handover".to_owned());
        if let Err(error) = thread.spawn(drain) {
            tracing::warn!(%error, "connections end at once");
            self.stage.send_replace(ShutdownStage::Draining);
        }
    }
}

fn describe(open: &OpenSockets) -> OfferedSockets {
    OfferedSockets::new(
        open.role.unwrap_or(SocketRole::Public),
        &open.address,
        open.dual_stack.unwrap_or_default(),
        open.owns_file,
        open.sockets.len(),
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
