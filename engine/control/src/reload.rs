//! Taking over a new configuration while the edge runs.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use chrono_tz::Tz;

use crate::rollout::{Rollout, RolloutError};
use crate::warm::Warmer;
use tero_config as config;
use tero_config::{Config, ConfigErrors};
use tero_edge::request::Edge;
use tero_policy_host::check;
use tero_semantics::timestamp::Timestamp;

/// Takes over a new configuration while the edge runs.
#[derive(Debug)]
pub struct Reloader {
    file: PathBuf,
    edge: Arc<Edge>,
    rollout: Arc<Rollout>,
    warmer: Arc<Warmer>,
    cache: config::Cache,
    one_at_a_time: Mutex<()>,
}

/// Why the file of the configuration was not taken over.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It has mistakes, or can't be read.
    #[error("{0}")]
    Config(ConfigErrors),
    /// A policy or the state directory can't be used.
    #[error(transparent)]
    Rollout(#[from] RolloutError),
    /// A warming plan can't be used.
    #[error("{0}")]
    Plan(String),
}

impl Reloader {
    /// What takes over configurations for `edge`, which was started with `config`.
    pub(crate) fn new(
        config: &Config,
        edge: &Arc<Edge>,
        rollout: &Arc<Rollout>,
        warmer: &Arc<Warmer>,
    ) -> Reloader {
        Reloader {
            file: PathBuf::from(&*config.file),
            edge: Arc::clone(edge),
            rollout: Arc::clone(rollout),
            warmer: Arc::clone(warmer),
            cache: config.cache.clone(),
            one_at_a_time: Mutex::new(()),
        }
    }

    /// Takes over sites, policies and plans of a new configuration; requests under way end under
    /// the old one. What is stored stays, and so do pushed versions and the counters of a site
    /// whose zone is the same. Listeners, memory, the state directory and the number of workers
    /// stay as they were until the next start.
    ///
    /// # Errors
    /// [`ReloadError`], and the old configuration stays.
    pub fn reload(&self, config: Config) -> Result<(), ReloadError> {
        let _one_at_a_time = self
            .one_at_a_time
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        warn(&config, self.edge.clock.now());
        let config = Config {
            cache: config::Cache {
                max_policy_variants: config.cache.max_policy_variants,
                ..self.cache.clone()
            },
            ..config
        };
        self.rollout.reload(&config)?;
        tell_popularity(&self.edge);
        self.warmer
            .reload(config.plans)
            .map_err(|error| ReloadError::Plan(error.to_string()))
    }

    /// Reads the file that the edge was started with, takes it over, and opens the access log anew.
    ///
    /// # Errors
    /// [`ReloadError`], and the old configuration stays.
    pub fn reload_file(&self) -> Result<(), ReloadError> {
        if let Some(log) = &self.edge.access_log {
            log.reopen();
        }
        let config = Config::load(&self.file).map_err(ReloadError::Config)?;
        self.reload(config)
    }
}

/// Popularity goes by the hours of each site's zone.
pub(crate) fn tell_popularity(edge: &Edge) {
    let zones: Vec<Tz> = edge
        .sites
        .load()
        .ever()
        .iter()
        .map(|site| site.counters.zone())
        .collect();
    edge.popularity.set_sites(&zones);
}

/// Logs what [`check::warnings`] says of a configuration.
pub(crate) fn warn(config: &Config, now: Timestamp) {
    for warning in check::warnings(config, now) {
        tracing::warn!("{warning}");
    }
}
