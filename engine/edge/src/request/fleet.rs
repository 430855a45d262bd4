//! What an edge knows of its fleet: whether it may have missed purges, how far in their log it is, and
//! whom it tells of a purge that an application asks for. An edge that is alone knows nothing of it.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;

use tero_config::WhenBlind;
use tero_semantics::tier::{PurgeNumber, TierRequest};
use tero_time::clock::Clock;

/// How long a request of an edge waits for this one to come as far in the log.
const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// What an edge knows of its fleet.
#[derive(Debug, Default)]
pub struct FleetState {
    is_blind: AtomicBool,
    number: ArcSwapOption<PurgeNumber>,
    /// Woken when the number has changed.
    changed: Notify,
    relay: OnceLock<Arc<dyn PurgeRelay>>,
}

/// Takes the purges that applications ask for on to the fleet.
pub trait PurgeRelay: std::fmt::Debug + Send + Sync {
    /// Takes one on, which was carried out here. Doesn't wait.
    fn relay(&self, purge: RelayedPurge);
}

/// A purge in words that other nodes understand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayedPurge {
    /// What is purged.
    pub target: RelayedTarget,
    /// Whether responses are marked stale instead of dropped.
    pub soft: bool,
}

/// What an application has purged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayedTarget {
    /// An absolute URL, by any port and both schemes.
    Url(String),
    /// The beginning of absolute URLs.
    Prefix(String),
    /// A site, by its name.
    Site(String),
    /// A surrogate key of a site.
    SiteTag {
        /// The name of the site.
        site: String,
        /// The surrogate key.
        tag: String,
    },
}

impl FleetState {
    /// Whether a site must not serve as ever, since purges may have been missed. A site that serves all
    /// the same pays a comparison.
    #[inline]
    pub(crate) fn distrusts(&self, when_blind: WhenBlind) -> bool {
        when_blind != WhenBlind::Serve && self.is_blind.load(Relaxed)
    }

    /// Says whether purges may have been missed.
    pub fn set_blind(&self, is_blind: bool) {
        self.is_blind.store(is_blind, Relaxed);
    }

    /// Whether purges may have been missed.
    pub fn is_blind(&self) -> bool {
        self.is_blind.load(Relaxed)
    }

    /// Sets how far in the log the edge is: it has applied all purges up to this number.
    pub fn set_number(&self, number: PurgeNumber) {
        self.number.store(Some(Arc::new(number)));
        self.changed.notify_waiters();
    }

    /// How far in the log the edge is; `None` if it is alone, or has not reached the log yet.
    pub fn number(&self) -> Option<Arc<PurgeNumber>> {
        self.number.load_full()
    }

    /// Whether an edge in front is further in the log than this one, which is one of a fleet, too: what
    /// is stored here may be purged there.
    #[cold]
    pub(super) fn is_behind(&self, edge: &TierRequest) -> bool {
        let own = self.number().map(|number| *number);
        let is_missing = |asked: PurgeNumber| !asked.is_reached_by(own);
        self.relay.get().is_some() && edge.purges.is_some_and(is_missing)
    }

    /// Waits until this one is as far, for a moment.
    pub(super) async fn catch_up(&self, edge: &TierRequest, clock: &Clock) {
        let reached = async {
            loop {
                let changed = self.changed.notified();
                if !self.is_behind(edge) {
                    return;
                }
                changed.await;
            }
        };
        // If it is still behind, the origin is asked.
        let _ = clock.timeout(LONGEST_WAIT, reached).await;
    }

    /// Sets who takes purges of applications on to the fleet. Only the first call counts.
    pub fn set_relay(&self, relay: Arc<dyn PurgeRelay>) {
        let _ = self.relay.set(relay);
    }

    /// Takes a purge of an application on to the fleet, if there is one.
    pub(super) fn relay(&self, purges: impl FnOnce() -> Vec<RelayedPurge>) {
        if let Some(relay) = self.relay.get() {
            for purge in purges() {
                relay.relay(purge);
            }
        }
    }
}
