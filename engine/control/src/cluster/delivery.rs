//! What becomes of a purge that is taken here: it is carried out, appended to the log, and told to the
//! peers. It is appended until it has come back by the log, under one id, so that it is logged although
//! an answer was lost, and again if the log has lost it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;

use super::counters::PurgeWay;
use super::node::{ClusterNode, millis};
use super::pause::{FIRST_REST, LONGEST_REST, shortened};
use super::purge_log::{LogEntry, OrderTarget, PurgeId, PurgeOrder};
use crate::purge::{PurgeError, resolve_order};
use tero_admin_api::PurgeWait;
use tero_edge::request::fleet::{PurgeRelay, RelayedPurge, RelayedTarget};
use tero_time::clock::Clock;

/// Purges that wait for the log, at most. Further ones are refused.
pub const MOST_WAITING: usize = 10_000;
/// How long an answer waits for the log and for peers.
pub const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long a purge that was logged may take to come back by the log.
const COMES_BACK_IN: Duration = Duration::from_secs(10);
/// How long an answer waits for this node itself to have come as far as the purge.
const OWN_WAIT: Duration = Duration::from_secs(1);

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
        self.enter_outbox(&id)?;
        let order = PurgeOrder {
            id: id.clone(),
            at_ms: millis(self.edge.clock.wall()),
            target,
            soft,
        };
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

    /// Waits as a purge wants it, and tells what is known of it then. Not for a thread of a runtime.
    pub fn wait(&self, purge: &TakenPurge, wait: PurgeWait) -> PurgeDelivery {
        let mut delivery = purge.delivery.clone();
        // Where the log can't be reached, the answer says so at once.
        let is_decided =
            |known: &PurgeDelivery| known.number.is_some() || known.log_error.is_some();
        let is_enough = |known: &PurgeDelivery| match wait {
            PurgeWait::None => true,
            PurgeWait::Quorum => is_decided(known),
            PurgeWait::All => {
                let mut peers = known.peers.iter();
                is_decided(known) && peers.all(|peer| peer.outcome.is_some())
            }
        };
        self.runtime.block_on(async {
            let clock = Clock::real();
            let waited = clock
                .timeout(LONGEST_WAIT, delivery.wait_for(is_enough))
                .await;
            drop(waited);
            let number = delivery.borrow().number;
            if let Some(number) = number.filter(|_| wait != PurgeWait::None) {
                let mut progress = self.watch_progress();
                let reached = progress.wait_for(|progress| {
                    let position = progress.position.as_ref();
                    position.is_some_and(|position| position.number >= number)
                });
                // What is fetched after the answer is not purged a second time, by the log.
                let _ = clock.timeout(OWN_WAIT, reached).await;
            }
        });
        delivery.borrow().clone()
    }

    fn enter_outbox(&self, id: &PurgeId) -> Result<(), TakeError> {
        let mut outbox = self.outbox();
        if outbox.len() >= MOST_WAITING {
            return Err(TakeError::Full);
        }
        // The same id may be on its way already, and have come back.
        outbox.entry(id.clone()).or_insert(false);
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
                        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
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
                    counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    told.send_modify(|told| told.log_error = Some(error.to_string()));
                }
            }
            Clock::real().sleep(shortened(rest)).await;
            rest = (rest * 2).min(LONGEST_REST);
        }
        self.outbox().remove(&order.id);
    }

    /// The log has taken an entry under this number: a shield must not be behind it.
    fn appended(&self, number: u64) {
        self.counters
            .appended
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
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

fn set(told: &mut PurgeDelivery, peer: &str, outcome: Result<Option<u64>, String>) {
    if let Some(known) = told.peers.iter_mut().find(|known| *known.peer == *peer) {
        known.outcome = Some(outcome);
    }
}

/// The way of purges that applications ask for.
#[derive(Debug)]
pub(super) struct FleetRelay(pub(super) Weak<ClusterNode>);

impl PurgeRelay for FleetRelay {
    fn relay(&self, purge: RelayedPurge) {
        let Some(node) = self.0.upgrade() else { return };
        let Ok(id) = PurgeId::random() else { return };
        if node.enter_outbox(&id).is_err() {
            tracing::error!(
                "too many purges wait for the log of the fleet; one of an application is not told"
            );
            return;
        }
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
        drop(node.send(order));
    }
}
