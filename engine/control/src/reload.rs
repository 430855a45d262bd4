//! Applies a new configuration while the edge runs.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::acme::CertificateOrders;
use crate::admin_token::AdminToken;
use crate::certificates::{CertificateUpkeep, certificate_warnings};
use crate::data::{ConfiguredTables, DataError, DataTables};
use crate::descriptors;
use crate::handover::Handover;
use crate::purge;
use crate::rollout::{Rollout, RolloutError};
use crate::supervisor;
use crate::warm::{PreparedPlans, Warmer};
use crate::webhooks::Webhooks;
use crate::workers::{PreparedWorkers, Workers};
use tero_config as config;
use tero_config::keys::Section;
use tero_config::{Config, ConfigErrors, ListenAddress};
use tero_edge::request::Edge;
use tero_edge::request::site::Sites;
use tero_edge::server::listener::ListenError;
use tero_edge::server::tls::file_error::TlsFileError;
use tero_edge::telemetry::access_log::AccessLog;
use tero_policy_host::check;
use tero_semantics::timestamp::Timestamp;
use tero_time::zones::{self, ZoneDataChoice, ZoneDataError};

/// Applies new configurations to a running edge, one at a time.
#[derive(Debug)]
pub struct Reloader {
    parts: ReloadedParts,
    /// What is in force, held while a reload goes on.
    in_force: Mutex<ConfigInForce>,
    file: PathBuf,
    /// The keys that wait for a restart.
    waiting: Mutex<Vec<String>>,
    applied: AtomicU64,
    refused: AtomicU64,
    was_refused: AtomicBool,
}

/// The parts of an edge that a new configuration changes.
#[derive(Debug)]
pub(crate) struct ReloadedParts {
    pub(crate) edge: Arc<Edge>,
    pub(crate) rollout: Arc<Rollout>,
    pub(crate) data: Arc<DataTables>,
    pub(crate) warmer: Arc<Warmer>,
    pub(crate) token: AdminToken,
    pub(crate) certificates: Arc<CertificateUpkeep>,
    pub(crate) orders: Option<Arc<CertificateOrders>>,
    /// How operators are told of events.
    pub(crate) webhooks: Arc<Webhooks>,
    pub(crate) workers: Arc<Workers>,
    pub(crate) handover: Arc<Handover>,
    pub(crate) max_connections: Arc<AtomicUsize>,
}

/// What is in force of the tables of which some keys hold from start to end.
#[derive(Clone, Debug)]
struct ConfigInForce {
    server: config::Server,
    admin: config::Admin,
    cache: config::Cache,
    access_log: Option<config::AccessLog>,
    acme: Option<config::Acme>,
    telemetry: config::sections::Telemetry,
    policy_host: config::PolicyHost,
    cluster: Option<config::Cluster>,
}

/// What a configuration needs that may fail to be made.
struct PreparedParts {
    plans: PreparedPlans,
    /// `None` if those at work can stay.
    workers: Option<PreparedWorkers>,
}

/// The keys of `[server]` that need no other workers.
const FOLLOWED_BY_WORKERS: [&str; 5] = [
    "device_models",
    "trusted_proxies",
    "trusted_edges",
    "name",
    "upgrade_timeout",
];

/// Why a new configuration was not applied.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file has mistakes, or can't be read.
    #[error("{0}")]
    Config(ConfigErrors),
    /// A successor reads what a reload would change, or serves already.
    #[error("an upgrade is under way")]
    UpgradeUnderWay,
    /// A policy or the state directory can't be used.
    #[error(transparent)]
    Rollout(#[from] RolloutError),
    /// A data table can't be used.
    #[error("{0}; {cure}", cure = .0.cure())]
    Data(#[from] DataError),
    /// The time zone data can't be used.
    #[error("the time zone data can't be used: {0}")]
    ZoneData(#[from] ZoneDataError),
    /// A file of a TLS configuration can't be used.
    #[error("{0}; {cure}", cure = .0.cure())]
    Tls(#[from] TlsFileError),
    /// A warming plan can't be used.
    #[error("{0}")]
    Plan(String),
    /// An address is in use, or does not belong to this machine.
    #[error("could not listen on {address}: {source}")]
    Listen {
        /// The address.
        address: ListenAddress,
        /// The system's error.
        source: io::Error,
    },
    /// The access log can't be written to.
    #[error("could not open the access log {}: {source}", .path.display())]
    AccessLog {
        /// Its file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A thread can't be started.
    #[error("could not start a worker: {0}")]
    Worker(#[source] io::Error),
}

impl From<ListenError> for ReloadError {
    fn from(error: ListenError) -> ReloadError {
        match error {
            ListenError::Address { address, source } => ReloadError::Listen { address, source },
            ListenError::Tls(error) => ReloadError::Tls(error),
        }
    }
}

impl ConfigInForce {
    fn of(config: &Config) -> ConfigInForce {
        ConfigInForce {
            server: config.server.clone(),
            admin: config.admin.clone(),
            cache: config.cache.clone(),
            access_log: config.access_log.clone(),
            acme: config.acme.clone(),
            telemetry: config.telemetry.clone(),
            policy_host: config.policy_host.clone(),
            cluster: config.cluster.clone(),
        }
    }

    /// `new` with the values in force in place of those that wait for a restart, and the keys of
    /// these. All other tables apply at once.
    fn in_force(&self, new: Config) -> (Config, Vec<String>) {
        let listeners_of = match self.starts_or_ends_acme(&new) {
            true => &self.server,
            false => &new.server,
        };
        let in_force = Config {
            server: config::Server {
                name: self.server.name.clone(),
                listen: listeners_of.listen.clone(),
                listeners: listeners_of.listeners.clone(),
                ..new.server.clone()
            },
            admin: config::Admin {
                token: self.token(&new),
                tls: self.admin_tls(&new),
                ..self.admin.clone()
            },
            cache: config::Cache {
                max_policy_variants: new.cache.max_policy_variants,
                collapse_timeout: new.cache.collapse_timeout,
                hit_for_miss: new.cache.hit_for_miss,
                ..self.cache.clone()
            },
            access_log: match (&self.access_log, &new.access_log) {
                (Some(_), Some(new)) => Some(new.clone()),
                (before, _) => before.clone(),
            },
            acme: self.acme.clone(),
            telemetry: self.telemetry.clone(),
            policy_host: self.policy_host.clone(),
            cluster: self.cluster.clone(),
            ..new.clone()
        };
        let mut waiting = Vec::new();
        let mut wait = |section: Section, keys: Vec<&str>| {
            waiting.extend(keys.iter().map(|key| format!("{}.{key}", section.name)));
        };
        wait(
            config::Server::SECTION,
            new.server.changed_keys(&in_force.server),
        );
        wait(
            config::Admin::SECTION,
            new.admin.changed_keys(&in_force.admin),
        );
        wait(
            config::Cache::SECTION,
            new.cache.changed_keys(&in_force.cache),
        );
        let policies = new.policy_host.changed_keys(&in_force.policy_host);
        wait(config::PolicyHost::SECTION, policies);
        let telemetry = new.telemetry.changed_keys(&in_force.telemetry);
        wait(config::sections::Telemetry::SECTION, telemetry);
        // Without the table on one side, its listener waits.
        if let (Some(new), Some(old)) = (&new.acme, &in_force.acme) {
            wait(config::Acme::SECTION, new.changed_keys(old));
        }
        match (&new.access_log, &in_force.access_log) {
            (Some(new), Some(old)) => {
                wait(config::AccessLog::SECTION, new.changed_keys(old));
            }
            (None, None) => {}
            _ => waiting.push(config::AccessLog::SECTION.name.to_owned()),
        }
        match (&new.cluster, &in_force.cluster) {
            (Some(new), Some(old)) => {
                let keys = new.changed_keys(old);
                let section = config::Cluster::SECTION.name;
                waiting.extend(keys.iter().map(|key| format!("{section}.{key}")));
            }
            (None, None) => {}
            _ => waiting.push(config::Cluster::SECTION.name.to_owned()),
        }
        (in_force, waiting)
    }

    /// Whether the first listener with certificates by ACME comes, or the last one goes: what orders
    /// them is made at the start.
    fn starts_or_ends_acme(&self, new: &Config) -> bool {
        let by_acme = |server: &config::Server| {
            let mut tls = server.listeners.iter().filter_map(|one| one.tls.as_ref());
            tls.any(|tls| tls.acme)
        };
        by_acme(&self.server) != by_acme(&new.server)
    }

    /// Whether `new` needs other workers: something differs that those at work were made with, beside
    /// the certificates of listeners.
    fn needs_workers(&self, new: &config::Server) -> bool {
        let mut changed = new.changed_keys(&self.server);
        changed.retain(|key| !FOLLOWED_BY_WORKERS.contains(key));
        let (before, after) = (&self.server.listeners, &new.listeners);
        let pairs = || before.iter().zip(after);
        if before.len() == after.len() && pairs().all(|(before, after)| after.can_replace(before)) {
            changed.retain(|key| *key != "listener");
        }
        !changed.is_empty()
    }

    /// The new TLS of the admin interface, if it has TLS before and after. Client certificates that
    /// were demanded stay so until it has another address, as the token does.
    fn admin_tls(&self, new: &Config) -> Option<config::ListenerTls> {
        let started = self.admin.tls.as_ref()?;
        let new = new.admin.tls.as_ref();
        let new = new.filter(|new| new.client_ca.is_some() || started.client_ca.is_none());
        Some(new.unwrap_or(started).clone())
    }

    /// The new token. An interface that others can reach stays closed until it has another address.
    fn token(&self, new: &Config) -> Option<String> {
        let token = new.admin.token.clone();
        let knows_clients = self
            .admin_tls(new)
            .is_some_and(|tls| tls.client_ca.is_some());
        if token.is_none() && !self.admin.listen.is_local() && !knows_clients {
            return self.admin.token.clone();
        }
        token
    }
}

impl Reloader {
    /// A reloader for the parts of an edge that was started with `config`.
    pub(crate) fn new(config: &Config, parts: ReloadedParts) -> Reloader {
        Reloader {
            parts,
            in_force: Mutex::new(ConfigInForce::of(config)),
            file: PathBuf::from(&*config.file),
            waiting: Mutex::default(),
            applied: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            was_refused: AtomicBool::new(false),
        }
    }

    /// Applies a new configuration, and reads the time zone data again; requests under way end under
    /// the old one. Data tables are read again. Stored responses and pushed versions stay, and so do the counters of a site whose
    /// zone is the same. Returns the keys that wait for a restart, or for an upgrade (docs/operating.md
    /// names them): those that the store, the admin listener, the host of policies and ACME are made
    /// with.
    ///
    /// # Errors
    /// [`ReloadError`]; the old configuration stays then, all of it.
    pub fn reload(&self, config: Config) -> Result<Vec<String>, ReloadError> {
        let in_force = self.in_force.lock();
        let mut in_force = in_force.unwrap_or_else(PoisonError::into_inner);
        let Some(_no_upgrade) = self.parts.handover.keep_from_upgrading() else {
            // The configuration itself was not refused.
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(ReloadError::UpgradeUnderWay);
        };
        supervisor::tell_reloading();
        let result = self.apply(&mut in_force, config);
        supervisor::tell_ready();
        let count = match &result {
            Ok(_) => &self.applied,
            Err(_) => &self.refused,
        };
        count.fetch_add(1, Ordering::Relaxed);
        self.was_refused.store(result.is_err(), Ordering::Relaxed);
        result
    }

    /// First everything that can fail, then what changes the edge.
    fn apply(
        &self,
        in_force: &mut ConfigInForce,
        config: Config,
    ) -> Result<Vec<String>, ReloadError> {
        let zone_data = zones::choose(&config.time.zoneinfo, &self.parts.edge.clock)?;
        warn(&config, self.parts.edge.clock.wall());
        let admin_tls = in_force.admin_tls(&config);
        let certificates = &self.parts.certificates;
        let certificates = certificates.read(&config.server, admin_tls.as_ref())?;
        let (config, waiting) = in_force.in_force(config);
        self.check_access_log(&config)?;
        let names = config.acme_names();
        let applied = ConfigInForce::of(&config);
        let before = self.parts.edge.sites.load_full();
        let tables = self.parts.data.read(&config)?;
        let PreparedParts { plans, workers } = self.install_sites(in_force, &config, tables)?;
        // From here on nothing fails.
        purge::drop_never_stored(&self.parts.edge, &before);
        CertificateUpkeep::install(certificates);
        if let Some(workers) = workers {
            self.install_workers(workers);
        }
        self.apply_limits(&config);
        *in_force = applied;
        zone_data.install();
        log_zone_data(&zone_data);
        self.parts.warmer.install(plans);
        if let Some(orders) = &self.parts.orders {
            orders.set_names(&names);
        }
        self.parts.webhooks.reload(config.webhooks);
        self.parts.token.set(config.admin.token.as_deref());
        if !waiting.is_empty() {
            let keys = waiting.join(", ");
            tracing::warn!("keys that wait for a restart: {keys}");
        }
        *self.lock_waiting() = waiting.clone();
        Ok(waiting)
    }

    /// Has requests find the new sites and tables, once the plans and workers are made too. Workers are
    /// made last, since policies may take seconds to compile: connections that come to their listeners
    /// wait until they are installed, and would be lost if they were not.
    fn install_sites(
        &self,
        in_force: &ConfigInForce,
        new: &Config,
        tables: ConfiguredTables,
    ) -> Result<PreparedParts, ReloadError> {
        let mut prepared = None;
        let applied = self.parts.rollout.reload(new, |sites| {
            let made = prepared.insert(self.prepare_parts(in_force, new, sites));
            if made.is_err() {
                return Err(RolloutError::GivenUp);
            }
            self.parts.data.install(tables);
            Ok(())
        });
        match (applied, prepared) {
            (Ok(()), Some(prepared)) | (Err(_), Some(prepared @ Err(_))) => prepared,
            (Err(error), _) => Err(error.into()),
            (Ok(()), None) => Err(RolloutError::GivenUp.into()),
        }
    }

    /// Makes what else can fail, for these sites.
    fn prepare_parts(
        &self,
        in_force: &ConfigInForce,
        new: &Config,
        sites: &Sites,
    ) -> Result<PreparedParts, ReloadError> {
        let zone_of = |name: &str| Some(sites.named(name)?.counters.zone());
        let plans = Warmer::prepare(new.plans.clone(), zone_of);
        Ok(PreparedParts {
            plans: plans.map_err(|error| ReloadError::Plan(error.to_string()))?,
            workers: self.prepare_workers(in_force, new)?,
        })
    }

    /// Makes workers that are to follow those at work; `None` if those can stay.
    fn prepare_workers(
        &self,
        in_force: &ConfigInForce,
        new: &Config,
    ) -> Result<Option<PreparedWorkers>, ReloadError> {
        if !in_force.needs_workers(&new.server) {
            return Ok(None);
        }
        let settings = config::Server {
            max_connections: descriptors::client_connections(new),
            ..new.server.clone()
        };
        let ReloadedParts {
            workers, handover, ..
        } = &self.parts;
        let bound = workers.bind(settings, handover)?;
        workers
            .prepare(bound)
            .map(Some)
            .map_err(ReloadError::Worker)
    }

    fn install_workers(&self, prepared: PreparedWorkers) {
        let ReloadedParts {
            workers,
            handover,
            certificates,
            ..
        } = &self.parts;
        let max_connections = prepared.max_connections();
        let kept = workers.install(prepared);
        self.parts
            .max_connections
            .store(max_connections, Ordering::Relaxed);
        handover.keep(kept);
        let listeners = workers.listeners();
        certificates.follow_listeners(&listeners);
        for listener in listeners {
            let (scheme, address) = (listener.scheme(), listener.address());
            match address.tcp() {
                Some(address) => tracing::info!("serving on {}://{address}", scheme.as_str()),
                None => tracing::info!("serving on {address}"),
            }
        }
    }

    fn check_access_log(&self, new: &Config) -> Result<(), ReloadError> {
        let (Some(_), Some(new)) = (&self.parts.edge.access_log, &new.access_log) else {
            return Ok(());
        };
        AccessLog::check(new).map_err(|source| ReloadError::AccessLog {
            path: new.path.clone(),
            source,
        })
    }

    /// Applies what the edge reads where it needs it.
    fn apply_limits(&self, new: &Config) {
        let ReloadedParts { edge, handover, .. } = &self.parts;
        edge.set_cache_limits(&new.cache);
        handover.set_timeout(new.server.upgrade_timeout);
        if let (Some(log), Some(new)) = (&edge.access_log, &new.access_log) {
            log.reload(new);
        }
    }

    /// Opens the access log anew, reads the file that the edge was started with, and applies it; see
    /// [`Reloader::reload`].
    ///
    /// # Errors
    /// [`ReloadError`]; the old configuration stays then.
    pub fn reload_file(&self) -> Result<Vec<String>, ReloadError> {
        if let Some(log) = &self.parts.edge.access_log {
            log.reopen();
        }
        match Config::load(&self.file) {
            Ok(config) => self.reload(config),
            Err(errors) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                self.was_refused.store(true, Ordering::Relaxed);
                Err(ReloadError::Config(errors))
            }
        }
    }

    /// The keys that wait for a restart since the last reload.
    pub fn waiting(&self) -> Vec<String> {
        self.lock_waiting().clone()
    }

    /// The number of reloads that were applied, and of those that were refused.
    pub fn counts(&self) -> (u64, u64) {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (count(&self.applied), count(&self.refused))
    }

    /// Whether the last reload was refused.
    pub(crate) fn was_refused(&self) -> bool {
        self.was_refused.load(Ordering::Relaxed)
    }

    fn lock_waiting(&self) -> MutexGuard<'_, Vec<String>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Logs which time zone data are in force, and which files of them are damaged.
pub(crate) fn log_zone_data(choice: &ZoneDataChoice) {
    tracing::info!("time zone data: {choice}");
    for zone in choice.chosen.damaged() {
        tracing::warn!(%zone, "the zone file is damaged: the compiled-in data hold for the zone");
    }
}

/// Logs the warnings ([of policies](check::warnings) and [of certificates](certificate_warnings)) and
/// [notices](check::notices) about a configuration.
pub(crate) fn warn(config: &Config, now: Timestamp) {
    let of_policies = check::warnings(config, now).into_iter();
    for warning in of_policies.chain(certificate_warnings(config, now)) {
        tracing::warn!("{warning}");
    }
    for notice in check::notices(config, now) {
        tracing::info!("{notice}");
    }
}
