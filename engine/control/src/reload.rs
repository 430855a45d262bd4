//! Applies a new configuration while the edge runs.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::rollout::{Rollout, RolloutError};
use crate::warm::Warmer;
use tero_config as config;
use tero_config::{Config, ConfigErrors};
use tero_edge::request::Edge;
use tero_policy_host::check;
use tero_semantics::timestamp::Timestamp;
use tero_time::zones::{self, ZoneDataChoice, ZoneDataError};

/// Applies new configurations to a running edge, one at a time.
#[derive(Debug)]
pub struct Reloader {
    file: PathBuf,
    edge: Arc<Edge>,
    rollout: Arc<Rollout>,
    warmer: Arc<Warmer>,
    cache: config::Cache,
    one_at_a_time: Mutex<()>,
}

/// Why a new configuration was not applied.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file has mistakes, or can't be read.
    #[error("{0}")]
    Config(ConfigErrors),
    /// A policy or the state directory can't be used.
    #[error(transparent)]
    Rollout(#[from] RolloutError),
    /// The time zone data can't be used.
    #[error("the time zone data can't be used: {0}")]
    ZoneData(#[from] ZoneDataError),
    /// A warming plan can't be used.
    #[error("{0}")]
    Plan(String),
}

impl Reloader {
    /// A reloader for `edge`, which was started with `config`.
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

    /// Applies the sites, policies and plans of a new configuration, and reads the time zone data
    /// again; requests under way end under the old ones. Stored responses and pushed versions stay, and so do the counters of a site
    /// whose zone is the same. Listeners, memory, the state directory and the number of workers
    /// change at the next start only.
    ///
    /// # Errors
    /// [`ReloadError`]; the old configuration stays then.
    pub fn reload(&self, config: Config) -> Result<(), ReloadError> {
        let _one_at_a_time = self
            .one_at_a_time
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let zone_data = zones::choose(&config.time.zoneinfo, &self.edge.clock)?;
        warn(&config, self.edge.clock.now());
        let config = Config {
            cache: config::Cache {
                max_policy_variants: config.cache.max_policy_variants,
                ..self.cache.clone()
            },
            ..config
        };
        self.rollout.reload(&config)?;
        zone_data.install();
        log_zone_data(&zone_data);
        self.warmer
            .reload(config.plans)
            .map_err(|error| ReloadError::Plan(error.to_string()))
    }

    /// Opens the access log anew, reads the file that the edge was started with, and applies it.
    ///
    /// # Errors
    /// [`ReloadError`]; the old configuration stays then.
    pub fn reload_file(&self) -> Result<(), ReloadError> {
        if let Some(log) = &self.edge.access_log {
            log.reopen();
        }
        let config = Config::load(&self.file).map_err(ReloadError::Config)?;
        self.reload(config)
    }
}

/// Logs which time zone data are in force, and which files of them are damaged.
pub(crate) fn log_zone_data(choice: &ZoneDataChoice) {
    tracing::info!("time zone data: {choice}");
    for zone in choice.chosen.damaged() {
        tracing::warn!(%zone, "the zone file is damaged: the compiled-in data hold for the zone");
    }
}

/// Logs the [warnings](check::warnings) about a configuration.
pub(crate) fn warn(config: &Config, now: Timestamp) {
    for warning in check::warnings(config, now) {
        tracing::warn!("{warning}");
    }
}
