//! `serve`: makes the parts of an edge from its configuration and puts them together.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use chrono_tz::Tz;
use tokio::sync::{Semaphore, watch};

use crate::clock::Clock;
use crate::config::{self, Config};
use crate::origin::{self, Origin};
use crate::policy::{Chain, Host, Policy, PolicyError};
use crate::request::devices::Devices;
use crate::request::site::{Site, Sites};
use crate::request::{self, Edge};
use crate::semantics::timestamp::Timestamp;
use crate::server::{self, Stage};
use crate::store::{Limits, Store};
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::counters::SiteCounters;
use crate::telemetry::popularity::Popularity;
use crate::warm::Warmer;
use crate::{admin, warm};

/// Memory for remembered device classes, in bytes.
const DEVICE_MEMORY: u64 = 8 * 1024 * 1024;

/// Why an edge could not be started, or not be reconfigured.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A policy can't be used.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// An address is taken or not ours.
    #[error("could not listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A thread, a runtime or a file could not be had.
    #[error("could not start {what}")]
    Start {
        /// Which.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A warming plan can't be used.
    #[error("{0}")]
    Plan(String),
}

/// A running edge. Dropped, it stops at once.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    admin_address: SocketAddr,
    edge: Arc<Edge>,
    host: Arc<Host>,
    warmer: Arc<Warmer>,
    cache: config::Cache,
    workers: usize,
    stage: watch::Sender<Stage>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Starts an edge and returns when it serves.
///
/// # Errors
/// [`ServeError`], with nothing left running.
pub fn serve(config: Config, clock: Clock) -> Result<Server, ServeError> {
    let host = Host::new(&config.policy_host)?;
    let policies = load_policies(&host, &config.policies)?;
    warn_of_missing_years(&config.policies, clock.now());
    let workers = config.server.workers;
    let sites = make_sites(&config, &host, &policies, &Sites::default(), workers, &clock)?;
    let popularity = Popularity::new();
    popularity.set_sites(&zones(&sites));
    let (addresses, listeners) =
        server::bind(&config.server).map_err(|(address, source)| ServeError::Listen { address, source })?;
    let admin_listener = std::net::TcpListener::bind(config.admin.listen)
        .map_err(|source| ServeError::Listen { address: config.admin.listen, source })?;
    let admin_address = admin_listener.local_addr().map_err(start("the admin listener"))?;
    let access_log = config.access_log.as_ref().map(|log| AccessLog::start(&log.path, log.format)).transpose();
    let edge = Arc::new(Edge::new(request::Parts {
        name: config.server.name.clone(),
        clock: clock.clone(),
        store: Store::new(store_limits(&config.cache)),
        sites,
        popularity,
        access_log: access_log.map_err(start("the access log"))?,
        devices: Devices::new(DEVICE_MEMORY),
        max_header_bytes: config.server.max_header_bytes,
        collapse_timeout: config.cache.collapse_timeout,
        hit_for_miss: config.cache.hit_for_miss,
    }));
    tell_popularity(&edge);
    let (stage, stages) = watch::channel(Stage::Running);
    let warmer = Warmer::new(&edge, config.plans).map_err(|error| ServeError::Plan(error.to_string()))?;
    let mut threads = server::start(&edge, config.server, listeners, &stages).map_err(start("a worker"))?;
    threads.push(warm::start(&warmer, stages.clone()).map_err(start("the warmer"))?);
    let state = admin::State { edge: Arc::clone(&edge), host: Arc::clone(&host), warmer: Arc::clone(&warmer), stage: stages };
    threads.push(admin::start(state, &config.admin, admin_listener).map_err(start("the admin interface"))?);
    let threads = Mutex::new(threads);
    Ok(Server { addresses, admin_address, edge, host, warmer, cache: config.cache, workers, stage, threads })
}

fn start(what: &'static str) -> impl Fn(io::Error) -> ServeError {
    move |source| ServeError::Start { what, source }
}

/// Popularity goes by the hours of each site's zone.
fn tell_popularity(edge: &Edge) {
    let zones: Vec<Tz> = edge.sites.load().ever().iter().map(|site| site.counters.zone()).collect();
    edge.popularity.set_sites(&zones);
}

fn store_limits(cache: &config::Cache) -> Limits {
    Limits {
        memory: cache.memory,
        fill_memory: cache.fill_memory,
        warm_memory: cache.warm_memory,
        max_object: cache.max_object,
        max_variants: cache.max_variants,
    }
}

impl Server {
    /// The addresses of the public listeners, in the order of the configuration.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The address of the admin interface.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// The edge itself.
    pub fn edge(&self) -> &Arc<Edge> {
        &self.edge
    }

    /// Takes over sites, policies and plans of a new configuration; requests under way end under the old one. What is stored
    /// stays, and so do the counters of a site whose zone and variants are the same. Listeners, memory and the number of workers stay as they were until the next start.
    ///
    /// # Errors
    /// [`ServeError`], and the old configuration stays.
    pub fn reload(&self, config: Config) -> Result<(), ServeError> {
        let policies = load_policies(&self.host, &config.policies)?;
        warn_of_missing_years(&config.policies, self.edge.clock.now());
        let old = self.edge.sites.load_full();
        let config = Config {
            cache: config::Cache { max_policy_variants: config.cache.max_policy_variants, ..self.cache.clone() },
            ..config
        };
        let sites = make_sites(&config, &self.host, &policies, &old, self.workers, &self.edge.clock)?;
        self.edge.popularity.set_sites(&zones(&sites));
        self.edge.sites.store(Arc::new(sites));
        tell_popularity(&self.edge);
        self.warmer.reload(config.plans).map_err(|error| ServeError::Plan(error.to_string()))
    }

    /// Opens the access log anew, after its file was moved away.
    pub fn reopen_log(&self) {
        if let Some(log) = &self.edge.access_log {
            log.reopen();
        }
    }

    /// Stops accepting, and ends each connection after its request.
    pub fn shutdown(&self) {
        self.stage.send_if_modified(|stage| {
            let running = *stage == Stage::Running;
            *stage = (*stage).max(Stage::Draining);
            running
        });
    }

    /// Drops everything that is still open.
    pub fn stop(&self) {
        self.stage.send_replace(Stage::Stopped);
    }

    /// Waits until everything has ended: after [`Server::shutdown`], at the latest when the time to drain has passed.
    ///
    /// # Panics
    /// Where a worker has panicked: passes it on.
    pub fn wait(&self) {
        let mut workers = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let others = workers.split_off(self.workers.min(workers.len()));
        let mut ended: Vec<_> = workers.into_iter().map(JoinHandle::join).collect();
        // The admin interface tells probes that the edge drains for as long as it does.
        self.stop();
        ended.extend(others.into_iter().map(JoinHandle::join));
        if let Some(panic) = ended.into_iter().find_map(Result::err) {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A panic has been reported by the thread itself; a second one while dropping would abort.
            let _ = thread.join();
        }
    }
}

/// Loads all policies, on several threads: compiling one takes a while.
fn load_policies(host: &Host, policies: &[config::Policy]) -> Result<Vec<Arc<Policy>>, PolicyError> {
    std::thread::scope(|scope| {
        let loading: Vec<_> = policies.iter().map(|policy| scope.spawn(|| host.load(policy))).collect();
        loading.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// A year that a calendar does not know is never silently a year without holidays.
fn warn_of_missing_years(policies: &[config::Policy], now: Timestamp) {
    for policy in policies {
        let calendar = policy.calendar.as_ref().map(config::calendar::load);
        let Some(Ok(calendar)) = calendar else { continue };
        for year in config::calendar::missing_years(&calendar, now) {
            tracing::warn!(policy = %policy.name, "the calendar has no data for {year}: its holidays will be taken for working days");
        }
    }
}

/// The sites of a configuration. One that was there before keeps its index, and its counters if zone and variants are the same.
fn make_sites(
    config: &Config,
    host: &Host,
    policies: &[Arc<Policy>],
    old: &Sites,
    workers: usize,
    clock: &Clock,
) -> Result<Sites, ServeError> {
    let mut list: Vec<Arc<Site>> = old.ever().to_vec();
    for settings in &config.sites {
        let chosen = settings.policies.iter().filter_map(|name| policies.iter().find(|policy| policy.name() == name).cloned());
        let chain = Chain::new(host, chosen.collect(), config.cache.max_policy_variants)?;
        let before = old.ever().iter().find(|site| site.settings.name == settings.name);
        let index = before.map_or(list.len(), |site| site.index);
        let zone = settings.zone.or(chain.zone()).unwrap_or(Tz::UTC);
        let counters = before.map(|site| &site.counters).filter(|old| old.counts(zone, chain.variants()));
        let counters = counters.cloned().unwrap_or_else(|| Arc::new(SiteCounters::new(zone, chain.variants(), workers)));
        let site = Arc::new(Site {
            index,
            settings: settings.clone(),
            policies: chain,
            origin: Origin::new(origin_settings(settings, &config.server), clock.clone()),
            // Those that are open under the old configuration count there.
            tunnels: Arc::new(Semaphore::new(settings.max_tunnels)),
            counters,
            clock: clock.clone(),
        });
        match list.get_mut(index) {
            Some(place) => *place = site,
            None => list.push(site),
        }
    }
    let serves = |site: &Site| config.sites.iter().any(|settings| settings.name == site.settings.name);
    Ok(Sites::new(list, serves))
}

/// The zones of the sites, by index.
fn zones(sites: &Sites) -> Vec<Tz> {
    sites.ever().iter().map(|site| site.counters.zone()).collect()
}

fn origin_settings(site: &config::Site, server: &config::Server) -> origin::Settings {
    origin::Settings {
        hops: site.origins.iter().map(|origin| (origin.host.clone(), origin.port)).collect(),
        max_fetches: site.max_fetches,
        connect_timeout: site.connect_timeout,
        response_timeout: site.response_timeout,
        max_header_bytes: server.max_header_bytes,
        max_headers: server.max_headers,
    }
}
