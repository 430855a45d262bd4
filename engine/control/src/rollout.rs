//! Which version of each policy decides: versions are pushed, activated, rolled back, asked in
//! shadow and tried as canaries.
//!
//! The configuration's module is version zero. An activated version decides in its place until it
//! is rolled back. The state directory keeps pushed versions and which one is active. A change
//! makes a new set of sites and replaces the old set as a whole: a request uses the set that it
//! found when it arrived until it ends. Nothing here runs on a thread that serves requests.

mod activation;
mod error;
pub mod guard;
mod limits;
mod loaded;
mod loader;
mod push;
pub mod record;
mod sites;
mod thread;
mod trials;
mod version_set;
mod version_store;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Thread;

use limits::MAX_TRIES;
use loader::VersionLoader;
use record::Version;
use sites::{SiteBuilder, SiteChange};
use tero_config::Config;
use tero_edge::request::Edge;
use tero_policy_host::{Host, Policy};
use version_set::RolloutSettings;
use version_store::VersionStore;

pub use activation::RollbackResult;
pub use error::RolloutError;
pub use loaded::LoadedVersions;
pub use push::PushedVersion;
pub use version_set::{PolicyVersions, VersionSet};
pub use version_store::VersionStoreError;

/// The versions of all policies, and the way to change them.
#[derive(Debug)]
pub struct Rollout {
    host: Arc<Host>,
    edge: Arc<Edge>,
    store: Option<VersionStore>,
    max_versions: usize,
    workers: usize,
    state: Mutex<Arc<VersionSet>>,
    thread: OnceLock<Thread>,
    stop: AtomicBool,
}

impl Rollout {
    /// All policies with their current versions.
    pub fn state(&self) -> Arc<VersionSet> {
        Arc::clone(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The largest version that may be pushed, in bytes.
    pub fn max_module(&self) -> u64 {
        self.host.max_module()
    }

    /// Applies the sites and policies of a new configuration; pushed versions stay.
    ///
    /// # Errors
    /// [`RolloutError`]; nothing changes then.
    pub fn reload(&self, config: &Config) -> Result<(), RolloutError> {
        self.try_again(|| {
            let old = self.state();
            let new = self
                .loader()
                .load(RolloutSettings::of(config)?, Some(&old))?;
            Ok(self
                .commit(&old, new, SiteChange::Configuration, None)?
                .then_some(()))
        })
    }

    /// Ends the thread that asks shadows and watches canaries.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    fn loader(&self) -> VersionLoader<'_> {
        VersionLoader {
            host: &self.host,
            store: self.store.as_ref(),
            now: self.edge.clock.now(),
        }
    }

    /// Loads a version of a policy.
    fn ready(
        &self,
        versions: &PolicyVersions,
        version: &Version,
    ) -> Result<Arc<Policy>, RolloutError> {
        let at_hand = Some(&versions.configured).filter(|_| *version == Version::Configured);
        self.loader().version(&versions.config, version, at_hand)
    }

    /// Applies `edit` to one policy; it may run several times.
    fn change<T>(
        &self,
        name: &str,
        edit: impl Fn(&mut PolicyVersions) -> Result<T, RolloutError>,
    ) -> Result<T, RolloutError> {
        self.try_again(|| {
            let old = self.state();
            let mut versions = old.policy(name)?.clone();
            let outcome = edit(&mut versions)?;
            let mut new = VersionSet::clone(&old);
            new.policies
                .insert(Arc::clone(&versions.config.name), versions);
            Ok(self
                .commit(&old, new, SiteChange::Versions, Some(name))?
                .then_some(outcome))
        })
    }

    /// Repeats `attempt` until no other change comes first.
    fn try_again<T>(
        &self,
        attempt: impl Fn() -> Result<Option<T>, RolloutError>,
    ) -> Result<T, RolloutError> {
        for _ in 0..MAX_TRIES {
            if let Some(done) = attempt()? {
                return Ok(done);
            }
        }
        Err(RolloutError::Busy)
    }

    /// Replaces `old` by `new`: on disk, for requests, and for the next change. If another change
    /// has replaced `old` already, does nothing and returns false.
    fn commit(
        &self,
        old: &Arc<VersionSet>,
        new: VersionSet,
        change: SiteChange,
        changed: Option<&str>,
    ) -> Result<bool, RolloutError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&state, old) {
            return Ok(false);
        }
        let before = self.edge.sites.load_full();
        let builder = SiteBuilder {
            host: &self.host,
            clock: &self.edge.clock,
            workers: self.workers,
        };
        let sites = Arc::new(builder.sites(&new, &before, change)?);
        // On disk first: a version must not decide if a restart would forget it.
        if let (Some(store), Some(name)) = (&self.store, changed) {
            store.keep_record(name, &new.policy(name)?.record)?;
        }
        self.edge.sites.store(Arc::clone(&sites));
        *state = Arc::new(new);
        drop(state);
        sites::forget_replaced(&before, &sites);
        self.wake();
        Ok(true)
    }
}
