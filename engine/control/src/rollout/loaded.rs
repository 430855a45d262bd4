//! The versions of policies before the edge exists, whose sites are made from them.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;

use super::error::RolloutError;
use super::loader::VersionLoader;
use super::sites::{SiteBuilder, SiteChange};
use super::version_set::{RolloutSettings, VersionSet};
use super::version_store::VersionStore;
use super::{Rollout, thread};
use tero_config::Config;
use tero_edge::request::Edge;
use tero_edge::request::shadow_question::{ShadowQuestion, ShadowQueue};
use tero_edge::request::site::Sites;
use tero_policy_host::Host;
use tero_state::dir::StateDir;
use tero_time::clock::Clock;

/// The loaded versions of a configuration's policies, which [`LoadedVersions::start`] hands to an
/// edge.
#[derive(Debug)]
pub struct LoadedVersions {
    host: Arc<Host>,
    store: Option<VersionStore>,
    max_versions: usize,
    workers: usize,
    shadows: (ShadowQueue, Receiver<ShadowQuestion>),
    state: VersionSet,
}

impl LoadedVersions {
    /// Loads the policies of a configuration, each in the version that was active last. Without a
    /// state directory, that is the configuration's own.
    ///
    /// # Errors
    /// [`RolloutError`] if the state directory or the configuration's own version of a policy can't
    /// be used.
    pub fn new(
        config: &Config,
        host: &Arc<Host>,
        state_dir: Option<&Arc<StateDir>>,
        clock: &Clock,
    ) -> Result<LoadedVersions, RolloutError> {
        let store = state_dir.map(VersionStore::open).transpose()?;
        let added = store.as_ref().map(VersionStore::added).unwrap_or_default();
        let loader = VersionLoader {
            host,
            store: store.as_ref(),
            now: clock.wall(),
        };
        let config = Arc::new(config.clone());
        let settings = RolloutSettings::of(&config, added, &Arc::default())?;
        let state = loader.load(settings, None)?;
        Ok(LoadedVersions {
            host: Arc::clone(host),
            store,
            max_versions: config.policy_host.max_versions,
            workers: config.server.workers,
            shadows: ShadowQueue::new(config.policy_host.shadow_queue),
            state,
        })
    }

    /// Makes the sites with these policies.
    ///
    /// # Errors
    /// [`RolloutError`]: a policy can't be used with another, or TLS to an origin can't be set up.
    pub fn sites(&self, clock: &Clock) -> Result<Sites, RolloutError> {
        let builder = SiteBuilder {
            host: &self.host,
            clock,
            workers: self.workers,
        };
        builder.sites(&self.state, &Sites::default(), SiteChange::Configuration)
    }

    /// The queue to the thread that asks shadows.
    pub fn shadow_queue(&self) -> ShadowQueue {
        self.shadows.0.clone()
    }

    /// Starts the thread that asks shadows and watches canaries, for an edge with these sites.
    ///
    /// # Errors
    /// If the thread can't be created.
    pub fn start(self, edge: &Arc<Edge>) -> io::Result<(Arc<Rollout>, JoinHandle<()>)> {
        let rollout = Arc::new(Rollout {
            host: self.host,
            edge: Arc::clone(edge),
            store: self.store,
            max_versions: self.max_versions,
            workers: self.workers,
            state: Mutex::new(Arc::new(self.state)),
            thread: OnceLock::new(),
            stop: AtomicBool::new(false),
            wants_previous: AtomicBool::new(false),
        });
        let handle = thread::start(Arc::clone(&rollout), self.shadows.1)?;
        Ok((rollout, handle))
    }
}
