//! Which version of each policy decides: versions are pushed, activated, rolled back, asked in
//! shadow and tried as canaries.
//!
//! The configuration's module is version zero. An activated version decides in its place until it
//! is rolled back. The state directory keeps pushed versions and which one is active. A change
//! makes a new set of sites and replaces the old set as a whole: a request uses the set that it
//! found when it arrived until it ends. Nothing here runs on a thread that serves requests.

mod activation;
mod added;
mod adding;
mod error;
mod forecast;
pub mod guard;
mod limits;
mod loaded;
mod loader;
mod push;
pub mod record;
mod repeated_error;
pub mod shelf;
mod sites;
mod thread;
mod trials;
mod version_name;
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
use tero_edge::request::site::Sites;
use tero_policy_host::{Host, Policy};
use version_set::RolloutSettings;
use version_store::VersionStore;

pub use activation::RollbackResult;
pub use error::RolloutError;
pub use loaded::LoadedVersions;
pub use push::PushedVersion;
pub(crate) use sites::tell_sites;
pub use version_set::{FleetShields, PolicyVersions, VersionSet};
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
    /// Whether a version that a rollback leads to has to be loaded.
    wants_previous: AtomicBool,
}

/// When a change is written to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Saving {
    /// Before it takes effect: a version must not decide if a restart would forget it.
    First,
    /// After it took effect, as far as possible: going back must always work.
    Afterwards,
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

    /// Applies the sites and policies of a new configuration; pushed versions stay. `beside` is done
    /// once nothing else can fail any more, just before requests find the new sites.
    ///
    /// # Errors
    /// [`RolloutError`], that of `beside` too; nothing changes then.
    pub fn reload(
        &self,
        config: &Config,
        beside: impl FnOnce(&Sites) -> Result<(), RolloutError>,
    ) -> Result<(), RolloutError> {
        let config = Arc::new(config.clone());
        let mut beside = Some(beside);
        self.try_again(|| {
            let old = self.state();
            let new = self.loader().load(
                RolloutSettings::of(&config, old.settings.added.clone(), &old.settings.shields)?,
                Some(&old),
            )?;
            Ok(self
                .commit(&old, new, SiteChange::Configuration, None, |sites| {
                    beside.take().map_or(Ok(()), |beside| beside(sites))
                })?
                .then_some(()))
        })
    }

    /// Has the sites that take their shields from the fleet go to these. Returns whether that changes
    /// anything.
    ///
    /// # Errors
    /// [`RolloutError`]; nothing changes then.
    pub fn set_shields(&self, shields: &FleetShields) -> Result<bool, RolloutError> {
        self.try_again(|| {
            let old = self.state();
            if *old.settings.shields == *shields {
                return Ok(Some(false));
            }
            let mut new = VersionSet::clone(&old);
            new.settings = Arc::new(old.settings.with_shields(shields.clone())?);
            let change = SiteChange::Configuration;
            let is_done = self.commit(&old, new, change, None, |_| Ok(()))?;
            Ok(is_done.then_some(true))
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
            now: self.edge.clock.wall(),
        }
    }

    /// Loads a version of a policy.
    fn ready(
        &self,
        versions: &PolicyVersions,
        version: &Version,
    ) -> Result<Arc<Policy>, RolloutError> {
        let at_hand = Some(&versions.configured).filter(|_| *version == Version::Configured);
        let policy = self.loader().version(&versions.config, version, at_hand)?;
        self.check_tables(&policy)?;
        Ok(policy)
    }

    /// Whether the data tables are there that a policy reads.
    fn check_tables(&self, policy: &Policy) -> Result<(), RolloutError> {
        let tables = self.host.tables();
        let mut needed = version_set::tables_of(policy).iter();
        match needed.find(|table| tables.table(table).is_none()) {
            None => Ok(()),
            Some(table) => Err(RolloutError::UnknownTable {
                policy: policy.name().to_string(),
                table: table.to_string(),
                known: tables.names().join(", "),
            }),
        }
    }

    /// Applies `edit` to one policy; it may run several times.
    fn change<T>(
        &self,
        name: &str,
        edit: impl Fn(&mut PolicyVersions) -> Result<T, RolloutError>,
    ) -> Result<T, RolloutError> {
        self.change_and(Saving::First, name, edit)
    }

    /// Like [`Rollout::change`], for a change that leads back to what was before.
    fn go_back<T>(
        &self,
        name: &str,
        edit: impl Fn(&mut PolicyVersions) -> Result<T, RolloutError>,
    ) -> Result<T, RolloutError> {
        self.change_and(Saving::Afterwards, name, edit)
    }

    fn change_and<T>(
        &self,
        saving: Saving,
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
                .commit(
                    &old,
                    new,
                    SiteChange::Versions,
                    Some((name, saving)),
                    |_| Ok(()),
                )?
                .then_some(outcome))
        })
    }

    /// Repeats `attempt` until no other change comes first.
    fn try_again<T>(
        &self,
        mut attempt: impl FnMut() -> Result<Option<T>, RolloutError>,
    ) -> Result<T, RolloutError> {
        for _ in 0..MAX_TRIES {
            if let Some(done) = attempt()? {
                return Ok(done);
            }
        }
        Err(RolloutError::Busy)
    }

    /// Replaces `old` by `new`: on disk if it changes a policy, for requests, and for the next
    /// change; `beside` is done just before requests find it, unless it fails. If another change has replaced `old`
    /// already, does nothing and returns false.
    fn commit(
        &self,
        old: &Arc<VersionSet>,
        new: VersionSet,
        change: SiteChange,
        changed: Option<(&str, Saving)>,
        beside: impl FnOnce(&Sites) -> Result<(), RolloutError>,
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
        let (now, later) = match changed {
            Some((name, Saving::First)) => (Some(name), None),
            Some((name, Saving::Afterwards)) => (None, Some(name)),
            None => (None, None),
        };
        if let Some(name) = now {
            self.save(new.policy(name)?)?;
        }
        beside(&sites)?;
        self.edge.sites.store(Arc::clone(&sites));
        sites::tell_sites(&self.edge);
        *state = Arc::new(new);
        if let Some(name) = later {
            // The lock is held, so that no older record is written over a newer one.
            self.save_if_possible(name, state.policy(name)?);
        }
        drop(state);
        sites::forget_replaced(&before, &sites);
        self.wake();
        Ok(true)
    }

    /// Writes the record of a policy.
    fn save(&self, versions: &PolicyVersions) -> Result<(), VersionStoreError> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        store.keep_record(&versions.config.name, &versions.record)?;
        if versions.save_error.clear() {
            tracing::info!(policy = %versions.config.name, "the record is written again");
        }
        Ok(())
    }

    /// Writes the record of a policy; if it can't be written, logs that once.
    fn save_if_possible(&self, name: &str, versions: &PolicyVersions) {
        if let Err(error) = self.save(versions)
            && versions.save_error.note(&error.to_string())
        {
            tracing::error!(
                policy = name,
                "the change is in effect, but a restart would forget it: {error}"
            );
        }
    }

    /// Whether a change has not been written.
    fn is_unsaved(&self) -> bool {
        let state = self.state();
        state.policies.values().any(|it| it.unsaved().is_some())
    }

    /// Writes the records again that could not be written.
    fn save_again(&self) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, versions) in &state.policies {
            if versions.unsaved().is_some() {
                self.save_if_possible(name, versions);
            }
        }
    }

    /// Loads the versions that rollbacks lead to and that are not at hand.
    fn load_previous(&self) {
        for (name, versions) in &self.state().policies {
            let Some(before) = versions
                .leads_back_to()
                .filter(|_| versions.previous.is_none())
            else {
                continue;
            };
            match self.ready(versions, before) {
                Ok(policy) => self.note_previous(name, before, policy),
                Err(error) => {
                    tracing::warn!(policy = %name, version = %before, "the version before can't be loaded: {error}")
                }
            }
        }
    }

    /// Notes that the version that a rollback leads to is loaded, if it still leads there.
    fn note_previous(&self, name: &str, version: &Version, policy: Arc<Policy>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new = VersionSet::clone(&state);
        if let Some(versions) = new.policies.get_mut(name)
            && versions.leads_back_to() == Some(version)
            && versions.previous.is_none()
        {
            versions.previous = Some(policy);
            *state = Arc::new(new);
        }
    }
}
