//! What becomes of a purge that is taken here: it is carried out, appended to the log, and told to the
//! peers. It is appended until it has come back by the log, under one id, so that it is logged although
//! an answer was lost, and again if the log has lost it.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::counters::{PurgeWay, RelayRefusal};
use super::node::{ClusterNode, millis};
use super::pause::{FIRST_REST, LONGEST_REST, shortened};
use super::purge_log::{
    LogEntry, LogError, MAX_ENTRY, MAX_TARGET, OrderTarget, PurgeId, PurgeOrder,
};
use crate::purge::{PurgeError, resolve_order};
use tero_admin_api::PurgeWait;
use tero_edge::request::fleet::{PurgeRelay, RelayedPurge, RelayedTarget};
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;

/// Purges that wait for the log, at most. Further ones are refused.
pub const MOST_WAITING: usize = 10_000;
/// How long an answer waits for the log and for peers.
pub const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long a purge that was logged may take to come back by the log.
const COMES_BACK_IN: Duration = Duration::from_secs(10);
/// How long an answer waits for this node itself to have come as far as the purge.
const OWN_WAIT: Duration = Duration::from_secs(1);
/// How often the log is told that purges of applications are refused, by cause.
const REFUSALS_TOLD_EVERY: Duration = Duration::from_secs(60);

/// Why a purge is not taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// It means nothing here.
    #[error(transparent)]
    Purge(#[from] PurgeError),
    /// Another process serves.
    #[error("another process has taken over")]
    HandedOver,
    /// The id is not 1 to 64 letters, digits, `-` and `_`.
    #[error("`{}` is not an id", .0.escape_debug())]
    BadId(String),
    /// Nodes would not read its entry.
    #[error(
        "the purge names more than {MAX_TARGET} bytes, or its entry in the log is larger than {MAX_ENTRY} bytes"
    )]
    TooLarge,
    /// Too many wait for the log.
    #[error("{MOST_WAITING} purges wait for the log of the fleet")]
    Full,
    /// The system has no chance to give.
    #[error("no id could be drawn: {0}")]
    NoChance(#[from] std::io::Error),
}

/// What is known of a purge on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PurgeDelivery {
    /// Its number in the log.
    pub number: Option<u64>,
    /// Why it is not logged yet.
    pub log_error: Option<String>,
    /// The peers.
    pub peers: Vec<PeerDelivery>,
}

/// What is known of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerDelivery {
    /// Its name.
    pub peer: Arc<str>,
    /// The number that it is at, once it has applied the purge, or why it has not.
    pub outcome: Option<Result<Option<u64>, String>>,
}

/// A purge that was carried out here.
#[derive(Debug)]
pub struct TakenPurge {
    /// Its id.
    pub id: PurgeId,
    /// Responses that were dropped here, or marked stale.
    pub purged: u64,
    delivery: watch::Receiver<PurgeDelivery>,
}

impl ClusterNode {
    /// Takes a purge: carries it out here, and sends it on its way. Not for a thread that serves
    /// requests.
    ///
    /// # Errors
    /// [`TakeError`]; nothing is purged then.
    pub fn take(
        self: &Arc<ClusterNode>,
        target: OrderTarget,
        soft: bool,
        id: Option<&str>,
    ) -> Result<TakenPurge, TakeError> {
        let id = match id {
            None => PurgeId::random()?,
            Some(id) => PurgeId::parse(id).ok_or_else(|| TakeError::BadId(id.to_owned()))?,
        };
        let purge = resolve_order(&self.edge, &target, soft)?;
        let order = PurgeOrder {
            id: id.clone(),
            at_ms: millis(self.edge.clock.wall()),
            target,
            soft,
        };
        self.enter_outbox(&order)?;
        let Ok(purged) = purge.apply(&self.edge) else {
            self.outbox().remove(&id);
            return Err(TakeError::HandedOver);
        };
        Ok(TakenPurge {
            id,
            purged,
            delivery: self.send(order),
        })
    }

    /// Waits as a purge wants it, and tells what is known of it then. Not for a thread that serves
    /// requests.
    pub fn wait(self: &Arc<ClusterNode>, purge: &TakenPurge, wait: PurgeWait) -> PurgeDelivery {
        if wait != PurgeWait::None {
            let (node, delivery) = (Arc::clone(self), purge.delivery.clone());
            // The runtime may end meanwhile, with its timers: then nothing is waited for any more.
            wait_for(&self.runtime, async move {
                node.wait_for_delivery(delivery, wait).await;
            });
        }
        purge.delivery.borrow().clone()
    }

    async fn wait_for_delivery(
        &self,
        mut delivery: watch::Receiver<PurgeDelivery>,
        wait: PurgeWait,
    ) {
        // Where the log can't be reached, the answer says so at once.
        let is_decided =
            |known: &PurgeDelivery| known.number.is_some() || known.log_error.is_some();
        let is_enough = |known: &PurgeDelivery| {
            let mut peers = known.peers.iter();
            let waits_for_peers = wait == PurgeWait::All;
            is_decided(known) && (!waits_for_peers || peers.all(|peer| peer.outcome.is_some()))
        };
        let clock = Clock::real();
        let enough = clock.timeout(LONGEST_WAIT, delivery.wait_for(is_enough));
        drop(enough.await);
        let number = delivery.borrow().number;
        if let Some(number) = number {
            let mut progress = self.watch_progress();
            let reached = progress.wait_for(|progress| {
                let position = progress.position.as_ref();
                position.is_some_and(|position| position.number >= number)
            });
            // What is fetched after the answer is not purged a second time, by the log.
            let _ = clock.timeout(OWN_WAIT, reached).await;
        }
    }

    fn enter_outbox(&self, order: &PurgeOrder) -> Result<(), TakeError> {
        if !order.target.has_good_length() || !LogEntry::Purge(order.clone()).has_good_length() {
            return Err(TakeError::TooLarge);
        }
        let mut outbox = self.outbox();
        if outbox.len() >= MOST_WAITING {
            return Err(TakeError::Full);
        }
        // The same id may be on its way already, and have come back.
        outbox.entry(order.id.clone()).or_insert(false);
        Ok(())
    }

    /// Sends a purge on its way that was carried out here.
    fn send(self: &Arc<ClusterNode>, order: PurgeOrder) -> watch::Receiver<PurgeDelivery> {
        if self.note(&order) {
            self.counters.purged(PurgeWay::Here);
        }
        let peers = self.peers.names();
        let deliveries = peers.into_iter().map(|peer| PeerDelivery {
            peer,
            outcome: None,
        });
        let (sender, receiver) = watch::channel(PurgeDelivery {
            peers: deliveries.collect(),
            ..PurgeDelivery::default()
        });
        let node = Arc::clone(self);
        self.runtime.spawn(async move {
            tokio::join!(
                node.append_until_seen(&order, &sender),
                node.tell_peers(&order, &sender)
            );
        });
        receiver
    }

    async fn append_until_seen(&self, order: &PurgeOrder, told: &watch::Sender<PurgeDelivery>) {
        let entry = LogEntry::Purge(order.clone());
        let mut rest = FIRST_REST;
        let mut was_logged = false;
        loop {
            match self.log.append(order.id.as_str(), &entry).await {
                Ok(appended) => {
                    // What the log still knows by its id, it has not lost.
                    if was_logged && !appended.is_repeated {
                        let counter = &self.counters.lost_again;
                        counter.fetch_add(1, Relaxed);
                        tracing::warn!(id = ?order.id, number = appended.number, "the log has lost a purge that it took; it is appended again");
                    }
                    was_logged = true;
                    self.appended(appended.number);
                    told.send_modify(|told| {
                        told.number = Some(appended.number);
                        told.log_error = None;
                    });
                    // It was logged before, and the node is past it: it comes back no more. So it is
                    // with a purge that was logged before the node took its place at the end.
                    let is_behind_us = appended.is_repeated && self.has_reached(appended.number);
                    if is_behind_us || self.comes_back(&order.id, appended.number).await {
                        break;
                    }
                }
                Err(error) => {
                    let counter = &self.counters.append_failures;
                    counter.fetch_add(1, Relaxed);
                    told.send_modify(|told| told.log_error = Some(error.to_string()));
                    if matches!(error, LogError::TooLarge(_)) {
                        tracing::error!(id = ?order.id, %error, "a purge is not logged; the peers that were told have it");
                        break;
                    }
                }
            }
            Clock::real().sleep(shortened(rest)).await;
            rest = (rest * 2).min(LONGEST_REST);
        }
        self.outbox().remove(&order.id);
    }

    /// The log has taken an entry under this number: a shield must not be behind it.
    fn appended(&self, number: u64) {
        self.counters.appended.fetch_add(1, Relaxed);
        if let Some(position) = self.progress().position {
            self.reach(&position.identity, number);
        }
    }

    /// Whether the node is as far in the log as this number.
    fn has_reached(&self, number: u64) -> bool {
        let position = self.progress().position;
        position.is_some_and(|position| position.number >= number)
    }

    /// Whether a purge that was logged has come back by the log.
    async fn comes_back(&self, id: &PurgeId, number: u64) -> bool {
        let has_come = || self.outbox().get(id).copied().unwrap_or(true);
        let mut progress = self.watch_progress();
        let is_past = progress.wait_for(|progress| {
            let position = progress.position.as_ref();
            has_come() || position.is_some_and(|position| position.number >= number)
        });
        let _ = Clock::real().timeout(COMES_BACK_IN, is_past).await;
        has_come()
    }

    async fn tell_peers(&self, order: &PurgeOrder, told: &watch::Sender<PurgeDelivery>) {
        let answers = self.peers.tell(order);
        for (peer, answer) in answers {
            let outcome = answer
                .await
                .unwrap_or_else(|_| Err("it is gone".to_owned()));
            told.send_modify(|told| match outcome {
                // The address of this node itself.
                Ok(None) => told.peers.retain(|known| known.peer != peer),
                Ok(Some(number)) => set(told, &peer, Ok(number)),
                Err(error) => set(told, &peer, Err(error)),
            });
        }
    }
}

/// Runs a task, and waits for its end, on any thread. A task of a runtime that has ended is dropped.
fn wait_for(runtime: &Handle, task: impl Future<Output = ()> + Send + 'static) {
    let (ended, end) = std::sync::mpsc::channel::<()>();
    runtime.spawn(async move {
        task.await;
        drop(ended);
    });
    let _ = end.recv();
}

fn set(told: &mut PurgeDelivery, peer: &str, outcome: Result<Option<u64>, String>) {
    if let Some(known) = told.peers.iter_mut().find(|known| *known.peer == *peer) {
        known.outcome = Some(outcome);
    }
}

/// The way of purges that applications ask for.
#[derive(Debug)]
pub(super) struct FleetRelay {
    node: Weak<ClusterNode>,
    told: Mutex<ToldRefusals>,
}

/// When the log was told of purges that are not taken, by cause.
#[derive(Debug, Default)]
struct ToldRefusals([Option<Timestamp>; RelayRefusal::ALL.len()]);

impl ToldRefusals {
    /// Whether a refusal is told now. Applications may purge thousands of times a second.
    fn is_due(&mut self, cause: RelayRefusal, now: Timestamp) -> bool {
        let told = &mut self.0[cause as usize];
        let is_due = told.is_none_or(|at| now.since(at) >= REFUSALS_TOLD_EVERY);
        if is_due {
            *told = Some(now);
        }
        is_due
    }
}

impl FleetRelay {
    /// The way through this node.
    pub(super) fn new(node: &Arc<ClusterNode>) -> FleetRelay {
        FleetRelay {
            node: Arc::downgrade(node),
            told: Mutex::default(),
        }
    }

    /// Counts a purge that is not taken, and tells the log of it.
    fn refused(&self, node: &ClusterNode, error: &TakeError) {
        let cause = match error {
            TakeError::TooLarge => RelayRefusal::TooLarge,
            TakeError::NoChance(_) => RelayRefusal::NoId,
            _ => RelayRefusal::Full,
        };
        node.counters.refused(cause);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_due(cause, node.edge.clock.now()) {
            let cause = cause.as_str();
            tracing::error!(%error, cause, "purges of applications are not told to the fleet");
        }
    }
}

impl PurgeRelay for FleetRelay {
    fn relay(&self, purge: RelayedPurge) {
        let Some(node) = self.node.upgrade() else {
            return;
        };
        let id = match PurgeId::random() {
            Ok(id) => id,
            Err(error) => return self.refused(&node, &error.into()),
        };
        let target = match purge.target {
            RelayedTarget::Url(url) => OrderTarget::Url(url),
            RelayedTarget::Prefix(prefix) => OrderTarget::Prefix(prefix),
            RelayedTarget::Site(site) => OrderTarget::Site(site),
            RelayedTarget::SiteTag { site, tag } => OrderTarget::SiteTag { site, tag },
        };
        let at_ms = millis(node.edge.clock.wall());
        let soft = purge.soft;
        let order = PurgeOrder {
            id,
            at_ms,
            target,
            soft,
        };
        match node.enter_outbox(&order) {
            Ok(()) => drop(node.send(order)),
            Err(error) => self.refused(&node, &error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::runtime::{Builder, Runtime};

    use super::*;

    fn runtime() -> Runtime {
        let mut builder = Builder::new_current_thread();
        builder.enable_time().build().unwrap()
    }

    #[test]
    fn refusals_are_told_by_cause_and_once_a_minute() {
        let at = |secs: i64| Timestamp::from_unix_secs(1_795_597_200 + secs);
        let mut told = ToldRefusals::default();
        assert!(told.is_due(RelayRefusal::Full, at(0)));
        assert!(!told.is_due(RelayRefusal::Full, at(59)));
        assert!(told.is_due(RelayRefusal::TooLarge, at(59)));
        assert!(told.is_due(RelayRefusal::Full, at(60)));
    }

    #[test]
    fn a_task_is_waited_for_in_another_runtime_and_not_once_its_own_has_ended() {
        let its_own = runtime();
        let handle = its_own.handle().clone();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            its_own.block_on(async { drop(stopped.await) });
            its_own.shutdown_background();
        });
        let has_run = Arc::new(AtomicBool::new(false));
        let ran = Arc::clone(&has_run);
        runtime().block_on(async {
            wait_for(&handle, async move { ran.store(true, Ordering::SeqCst) });
        });
        assert!(has_run.load(Ordering::SeqCst));
        drop(stop);
        thread.join().unwrap();
        wait_for(&handle, std::future::pending());
    }
}
