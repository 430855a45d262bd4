//! A node of a fleet: what all its parts share. [`following`](super::following) applies the entries of
//! the purge log, [`delivery`](super::delivery) brings purges that are taken here into the log and to
//! the peers, [`blindness`](super::blindness) watches whether the log is heard of.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::book::PurgeBook;
use super::counters::ClusterCounters;
use super::follower::{LogDoubt, LogPosition};
use super::peers::{PeerClients, PeerState};
use super::position::PositionFile;
use super::purge_log::{LogError, LogIdentity, PurgeId, PurgeLog, PurgeOrder};
use crate::purge::resolve_order;
use tero_edge::request::Edge;
use tero_edge::request::store_purge::StorePurge;
use tero_edge::store::{PurgeMode, PurgeScope};
use tero_semantics::tier::PurgeNumber;
use tero_semantics::timestamp::Timestamp;

/// A clock that is behind by no more than this misses no purge that a peer has, after a restart.
const CLOCKS_DIFFER_BY_MS: u64 = 60_000;

/// A node of a fleet.
pub struct ClusterNode {
    /// Its name.
    pub name: Arc<str>,
    /// The data plane.
    pub edge: Arc<Edge>,
    /// The figures of it.
    pub counters: ClusterCounters,
    pub(super) log: Arc<dyn PurgeLog>,
    pub(super) peers: PeerClients,
    pub(super) runtime: Handle,
    pub(super) max_blind: Duration,
    pub(super) position_file: PositionFile,
    /// The slot of the last beat in the log.
    pub(super) last_beat: AtomicU64,
    /// When the position was written while the node caught up, in milliseconds.
    pub(super) recorded_at: AtomicU64,
    /// Whether the position could not be written last.
    pub(super) position_fails: AtomicBool,
    book: Mutex<PurgeBook>,
    /// Purges that were taken here and have not come back by the log, and whether they have since.
    outbox: Mutex<HashMap<PurgeId, bool>>,
    progress: watch::Sender<LogProgress>,
    told: Mutex<Option<PurgeNumber>>,
}

/// How far a node is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogProgress {
    /// The last entry that counts: it is applied, and its number is on the disk.
    pub position: Option<LogPosition>,
    /// Whether what stood in the log when the feed began has been applied.
    pub is_caught_up: bool,
    /// When the last entry came.
    pub heard: Option<Timestamp>,
    /// Why the log is not followed; `None` if it is.
    pub failure: Option<LogError>,
    /// The last doubt, and when it was.
    pub doubt: Option<(LogDoubt, Timestamp)>,
}

/// What a node is made of.
pub struct NodeParts {
    /// As [`ClusterNode::name`].
    pub name: Arc<str>,
    /// As [`ClusterNode::edge`].
    pub edge: Arc<Edge>,
    /// The purge log.
    pub log: Arc<dyn PurgeLog>,
    /// The peers.
    pub peers: PeerClients,
    /// Where its tasks run.
    pub runtime: Handle,
    /// `cluster.max_blind`
    pub max_blind: Duration,
    /// Where its position lies.
    pub position_file: PositionFile,
}

impl fmt::Debug for ClusterNode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("ClusterNode");
        shown.field("name", &self.name).finish_non_exhaustive()
    }
}

impl ClusterNode {
    /// A node that has not reached its log yet.
    pub fn new(parts: NodeParts) -> ClusterNode {
        let saved = parts.position_file.read();
        let since = saved
            .as_ref()
            .map_or_else(|| millis(parts.edge.clock.wall()), |saved| saved.at_ms);
        let progress = LogProgress {
            position: saved.map(|saved| saved.position),
            ..LogProgress::default()
        };
        parts.edge.fleet.set_blind(true);
        ClusterNode {
            name: parts.name,
            edge: parts.edge,
            counters: ClusterCounters::default(),
            log: parts.log,
            peers: parts.peers,
            runtime: parts.runtime,
            max_blind: parts.max_blind,
            position_file: parts.position_file,
            last_beat: AtomicU64::new(0),
            recorded_at: AtomicU64::new(0),
            position_fails: AtomicBool::new(false),
            book: Mutex::new(PurgeBook::since(since.saturating_sub(CLOCKS_DIFFER_BY_MS))),
            outbox: Mutex::default(),
            progress: watch::channel(progress).0,
            told: Mutex::default(),
        }
    }

    /// How far it is.
    pub fn progress(&self) -> LogProgress {
        self.progress.borrow().clone()
    }

    /// To wait for it to get further.
    pub(super) fn watch_progress(&self) -> watch::Receiver<LogProgress> {
        self.progress.subscribe()
    }

    pub(super) fn change_progress(&self, change: impl FnOnce(&mut LogProgress)) {
        self.progress.send_modify(change);
    }

    /// The purges that it knows of.
    pub(super) fn book(&self) -> MutexGuard<'_, PurgeBook> {
        lock(&self.book)
    }

    /// Notes a purge in the book. Returns whether it is new here.
    pub(super) fn note(&self, order: &PurgeOrder) -> bool {
        let now_ms = millis(self.edge.clock.wall());
        self.book().note(order, now_ms)
    }

    pub(super) fn outbox(&self) -> MutexGuard<'_, HashMap<PurgeId, bool>> {
        lock(&self.outbox)
    }

    /// What is known of each peer.
    pub fn peers(&self) -> Vec<(Arc<str>, PeerState)> {
        self.peers.states()
    }

    /// Messages to peers that failed.
    pub fn peer_failures(&self) -> u64 {
        self.peers.failures()
    }

    /// Purges that were taken here and are not in the log for certain yet.
    pub fn waiting(&self) -> usize {
        self.outbox().len()
    }

    /// What may be stored from before now.
    pub(super) fn has_stored(&self) -> bool {
        let store = &self.edge.store;
        let on_disk = store.disk().is_some_and(|disk| {
            let figures = disk.figures();
            figures.iter().any(|disk| disk.records > 0)
        });
        on_disk || store.usage().entries > 0
    }

    /// Applies a purge that came from another node, or by the log. What this node doesn't have is
    /// purged already. The disks have it after `sync_purges`.
    pub(super) fn apply_in_memory(&self, order: &PurgeOrder) -> u64 {
        let purge = match resolve_order(&self.edge, &order.target, order.soft) {
            Ok(purge) => purge,
            Err(error) => {
                tracing::debug!(id = ?order.id, %error, "a purge of the fleet means nothing here");
                return 0;
            }
        };
        purge.apply_in_memory(&self.edge).unwrap_or_default()
    }

    /// Makes everything stale that is stored, softly, and what is on its way.
    pub(super) fn stale_all(&self, doubt: LogDoubt) {
        let sites = self.edge.sites.load();
        let scopes = sites.iter().map(|site| PurgeScope::Site(site.index));
        let purge = StorePurge {
            scopes: scopes.collect(),
            mode: PurgeMode::Soft,
        };
        let responses = purge.apply_in_memory(&self.edge).unwrap_or_default();
        if matches!(doubt, LogDoubt::Rewind | LogDoubt::Fork) {
            // The same log gives its numbers again: those that were reached before say nothing.
            *lock(&self.told) = None;
        }
        self.counters.doubted(doubt, responses);
        let at = self.edge.clock.wall();
        self.change_progress(|progress| progress.doubt = Some((doubt, at)));
        let reason = doubt.as_str();
        tracing::warn!(
            reason,
            responses,
            "purges may have been missed: everything that was stored is stale now"
        );
    }

    /// Says that the node is at this number, or has appended it itself: the next hop must not be
    /// behind.
    pub(super) fn reach(&self, identity: &LogIdentity, number: u64) {
        let log = identity.as_number();
        let mut told = lock(&self.told);
        let before = told.filter(|told| told.log == log);
        let number = number.max(before.map_or(0, |told| told.number));
        let now = PurgeNumber { log, number };
        *told = Some(now);
        self.edge.fleet.set_number(now);
    }
}

/// Milliseconds since 1970.
pub(super) fn millis(time: Timestamp) -> u64 {
    u64::try_from(time.unix_millis()).unwrap_or_default()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
