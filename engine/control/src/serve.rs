//! Starts an edge: makes its parts from the configuration and puts them together.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use crate::acme::CertificateOrders;
use crate::admin_listener::AdminListener;
use crate::admin_token::AdminToken;
use crate::build_info::BuildInfo;
use crate::certificates::CertificateUpkeep;
use crate::cluster::Cluster;
use crate::cluster::bus::FleetQuestion;
use crate::cluster::fleet::{Fleet, FleetParts};
use crate::cluster::plan_turns::told_pages;
use crate::data::{DataError, DataTables};
use crate::event_memory::EventMemory;
use crate::event_watch::{EventSources, EventWatch};
use crate::events::EventLog;
use crate::handover::{
    Handover, HandoverParts, HeldSockets, Launch, Predecessor, PredecessorError, Successor,
    UpgradeError,
};
use crate::housekeeping::{Housekeeping, SavedCounts};
use crate::maintenance::MaintenanceMemory;
use crate::reload::{ReloadError, ReloadedParts, Reloader, log_zone_data, warn};
use crate::rollout::{LoadedVersions, Rollout, RolloutError, tell_sites};
use crate::warm::Warmer;
use crate::warm::plan_memory::PlanMemory;
use crate::webhooks::Webhooks;
use crate::workers::{BoundWorkers, Workers};
use crate::{admin, descriptors, disks, supervisor, warm};
use tero_config::{Config, ListenAddress};
use tero_edge::acme::AcmeResponder;
use tero_edge::coding;
use tero_edge::request::{Edge, EdgeParts};
use tero_edge::server::ShutdownStage;
use tero_edge::server::listener::{self, BoundListeners, ListenError};
use tero_edge::server::open_sockets::{OpenSocketSet, OpenSockets, SocketRole};
use tero_edge::server::tls::TlsTerminator;
use tero_edge::server::tls::file_error::TlsFileError;
use tero_edge::server::tls::material::TlsMaterial;
use tero_edge::store::disk::DiskError;
use tero_edge::store::{PurgeMode, PurgeScope};
use tero_edge::telemetry::access_log::AccessLog;
use tero_edge::telemetry::popularity::Hours;
use tero_edge::telemetry::spans::Tracer;
use tero_policy_host::{Compiler, Host, PolicyError};
use tero_state::dir::{DirError, StateDir};
use tero_time::clock::Clock;
use tero_time::zones::{self, ZoneDataError};

/// How often a successor looks whether its plans have run.
const LOOK_AT_PLANS_EVERY: Duration = Duration::from_millis(50);
/// Why an edge could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A policy can't be used.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The state directory can't be used, or another edge has it.
    #[error(transparent)]
    StateDir(#[from] DirError),
    /// The versions of a policy can't be read or used.
    #[error(transparent)]
    Rollout(#[from] RolloutError),
    /// A data table can't be used.
    #[error("{0}; {cure}", cure = .0.cure())]
    Data(#[from] DataError),
    /// The time zone data can't be used.
    #[error("the time zone data can't be used")]
    ZoneData(#[from] ZoneDataError),
    /// An address is in use, or does not belong to this machine.
    #[error("could not listen on {address}{}", cure_of_listen(.source))]
    Listen {
        /// The address.
        address: ListenAddress,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A file of a TLS configuration can't be used.
    #[error("{0}; {cure}", cure = .0.cure())]
    Tls(TlsFileError),
    /// The access log can't be written to.
    #[error(
        "could not open the access log {}; `access_log.path` wants a file in a folder that exists and that tero may write to",
        .path.display()
    )]
    AccessLog {
        /// Its file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A disk of the cache can't be used.
    #[error("{0}; `cache.disk.path` wants a folder that tero may write to and no other edge uses")]
    Disk(#[from] DiskError),
    /// A thread, a runtime or a file could not be created or opened.
    #[error("could not start {what}")]
    Start {
        /// Its name, for people.
        what: &'static str,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A warming plan can't be used.
    #[error("{0}")]
    Plan(String),
    /// systemd has opened a socket that is not in the configuration.
    #[error(
        "systemd has opened {0}, and no listener has that address; write it into the configuration as it is in the unit (ListenStream), or take it out there"
    )]
    StrangeSocket(ListenAddress),
    /// The program was built without the feature `otlp`.
    #[error(
        "this program can't send spans: build it with `--features otlp`, or leave [telemetry.otlp] out"
    )]
    NoOtlp,
    /// The program was built without the feature `cluster`.
    #[error(
        "this program can't be a node of a fleet: build it with `--features cluster`, or leave [cluster] out"
    )]
    NoCluster,
    /// The process before does not leave its turn.
    #[error(transparent)]
    Predecessor(#[from] PredecessorError),
}

/// How an edge is started.
#[derive(Debug, Default)]
pub struct StartTerms {
    /// Sockets that systemd has opened.
    pub sockets: Vec<OpenSockets>,
    /// The process to succeed.
    pub predecessor: Option<Predecessor>,
    /// How a successor is started; `None` for an edge inside of another program.
    pub launch: Option<Launch>,
}

/// What to do about an address that can't be listened on.
fn cure_of_listen(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            " (another process has it, perhaps an edge: stop that first, or write another address)"
        }
        io::ErrorKind::PermissionDenied => {
            " (write a port from 1024 on, or let tero bind lower ones with CAP_NET_BIND_SERVICE)"
        }
        _ => " (write an address of this machine, or 0.0.0.0 or [::] for all)",
    }
}

/// A running edge. It stops at once when it is dropped.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    paths: Vec<PathBuf>,
    urls: Vec<String>,
    admin_address: ListenAddress,
    admin_scheme: &'static str,
    edge: Arc<Edge>,
    rollout: Arc<Rollout>,
    reloader: Arc<Reloader>,
    workers: Arc<Workers>,
    handover: Arc<Handover>,
    fleet: Option<Arc<Fleet>>,
    stage: watch::Sender<ShutdownStage>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Starts an edge inside of another program, see [`serve_on_terms`].
///
/// # Errors
/// [`ServeError`]; nothing is left running then.
pub fn serve(
    config: Config,
    clock: Clock,
    compiler: &Compiler,
    build: BuildInfo,
) -> Result<Server, ServeError> {
    serve_on_terms(config, clock, compiler, build, &mut StartTerms::default())
}

/// Starts an edge, and returns when it accepts requests. Modules of policies are compiled as
/// `compiler` says. An edge that succeeds another process has run the plans of `[admin]
/// ready_after` before it takes over, or `ready_within` has passed.
///
/// # Errors
/// [`ServeError`]; nothing is left running then, and the process before serves on.
pub fn serve_on_terms(
    config: Config,
    clock: Clock,
    compiler: &Compiler,
    build: BuildInfo,
    terms: &mut StartTerms,
) -> Result<Server, ServeError> {
    if config.cluster.is_some() && !cfg!(feature = "cluster") {
        return Err(ServeError::NoCluster);
    }
    let mut open = OpenSocketSet::new(std::mem::take(&mut terms.sockets));
    if let Some(predecessor) = &mut terms.predecessor {
        open = predecessor.take_sockets();
    }
    let lock = terms.predecessor.as_mut().and_then(Predecessor::take_lock);
    let zone_data = zones::choose(&config.time.zoneinfo, &clock)?;
    zone_data.install();
    log_zone_data(&zone_data);
    let host = Host::with_compiler(&config.policy_host, compiler)?;
    let state_dir = config.policy_host.state_dir.as_deref();
    let state_dir = state_dir.map(|dir| match lock {
        Some(lock) => StateDir::take_over(dir, lock),
        None => StateDir::open(dir),
    });
    let state_dir = state_dir.transpose()?.map(Arc::new);
    let data = DataTables::open(&config, &host, state_dir.as_ref(), &clock)?;
    let data = Arc::new(data);
    let loaded = LoadedVersions::new(&config, &host, state_dir.as_ref(), &clock)?;
    warn(&config, clock.wall());
    let sites = loaded.sites(&clock)?;
    let acme = Arc::new(AcmeResponder::default());
    let listeners = Listeners::bind(&config, &mut open, &acme, &clock)?;
    if let Some(strange) = open.left().next()
        && terms.predecessor.is_none()
    {
        return Err(ServeError::StrangeSocket(strange.clone()));
    }
    // A listener of the process before that is not in the configuration any more is closed.
    drop(open);
    let addresses: Vec<_> = listeners.addresses().collect();
    let paths = listeners.paths().collect();
    let urls = listeners.urls().collect();
    let admin_tls = listeners.admin_tls.clone();
    let certificates = CertificateUpkeep::new(
        &listeners.public.listeners,
        admin_tls
            .clone()
            .zip(listeners.admin.address().tcp())
            .map(|(tls, address)| (address, tls)),
        &clock,
    );
    let parts = EdgeParts {
        access_log: access_log(&config, &clock)?,
        tracer: tracer(&config, build, &clock)?,
        sites,
        ports: addresses.iter().map(SocketAddr::port).collect(),
        acme: Arc::clone(&acme),
        shadows: loaded.shadow_queue(),
        disk: disks::open(&config, &clock, terms.predecessor.is_some())?,
        clock,
    };
    let edge = Arc::new(Edge::new(&config, parts));
    tell_sites(&edge);
    let orders = CertificateOrders::of(&config, &edge, state_dir.as_ref())?;
    let counts = SavedCounts::new(state_dir.as_ref());
    counts.restore(&edge);
    let (stage, stages) = watch::channel(ShutdownStage::Starting);
    let cluster = cluster(&config, &edge, state_dir.as_ref(), &stages)?;
    let maintenance = Arc::new(MaintenanceMemory::open(state_dir.as_ref()));
    maintenance.restore(&edge);
    let memory = PlanMemory::open(state_dir.as_ref());
    let warmer = make_warmer(&config, &edge, memory)?;
    let (rollout, rollout_thread) = loaded.start(&edge).map_err(start("the thread of trials"))?;
    let events = Arc::new(EventLog::default());
    let webhooks = Arc::new(Webhooks::new(
        config.server.name.clone(),
        edge.clock.clone(),
        Arc::clone(&events),
        config.webhooks.clone(),
    ));
    let event_memory = Arc::new(EventMemory::new(state_dir.as_ref(), &events, &webhooks));
    let token = AdminToken::new(config.admin.token.as_deref());
    let max_connections = Arc::new(AtomicUsize::new(descriptors::client_connections(&config)));
    let first = BoundWorkers::new(
        tero_config::Server {
            max_connections: max_connections.load(Ordering::Relaxed),
            ..config.server.clone()
        },
        listeners.public,
    );
    let (workers, kept) =
        Workers::start(&edge, &acme, stages.clone(), first).map_err(start("a worker"))?;
    let handover = Handover::new(HandoverParts {
        edge: Arc::clone(&edge),
        state_dir,
        counts: counts.clone(),
        events: Arc::clone(&event_memory),
        stage: stage.clone(),
        sockets: HeldSockets {
            public: kept,
            admin: (
                config.admin.listen.clone(),
                listeners
                    .admin
                    .try_clone()
                    .map_err(start("the admin listener"))?,
            ),
        },
        launch: terms.launch.take(),
        timeout: config.server.upgrade_timeout,
    });
    let reloader = Arc::new(Reloader::new(
        &config,
        ReloadedParts {
            edge: Arc::clone(&edge),
            rollout: Arc::clone(&rollout),
            data: Arc::clone(&data),
            warmer: Arc::clone(&warmer),
            token: token.clone(),
            certificates: Arc::clone(&certificates),
            orders: orders.clone(),
            workers: Arc::clone(&workers),
            handover: Arc::clone(&handover),
            max_connections: Arc::clone(&max_connections),
            webhooks: Arc::clone(&webhooks),
        },
    ));
    let housekeeping = Housekeeping {
        edge: Arc::clone(&edge),
        warmer: Arc::clone(&warmer),
        counts,
        certificates: Arc::clone(&certificates),
        events: Some(EventWatch {
            log: Arc::clone(&events),
            sources: EventSources {
                edge: Arc::clone(&edge),
                rollout: Arc::clone(&rollout),
                warmer: Arc::clone(&warmer),
                reloader: Arc::clone(&reloader),
                handover: Arc::clone(&handover),
                certificates: Arc::clone(&certificates),
                orders: orders.clone(),
                samples: Mutex::default(),
            },
            webhooks: Arc::clone(&webhooks),
            memory: event_memory,
        }),
    };
    let fleet = cluster.as_ref().map(|(cluster, _)| {
        cluster.join(FleetParts {
            node: cluster.settings.node.clone(),
            shield: cluster.settings.shield.clone(),
            version: build.version,
            clock: edge.clock.clone(),
            rollout: Arc::clone(&rollout),
            data: Arc::clone(&data),
            stage: stages.clone(),
        })
    });
    let admin = admin::AdminContext {
        edge: Arc::clone(&edge),
        host,
        data,
        warmer: Arc::clone(&warmer),
        maintenance,
        ready: readiness(&config, &edge),
        rollout: Arc::clone(&rollout),
        reloader: Arc::clone(&reloader),
        max_connections,
        certificates,
        orders: orders.clone(),
        handover: Arc::clone(&handover),
        build,
        token,
        stage: stages.clone(),
        started: edge.clock.wall(),
        workers: Arc::clone(&workers),
        live_line: Arc::default(),
        fleet: fleet.clone(),
        events,
        webhooks,
        cluster: cluster.as_ref().map(|(cluster, _)| Arc::clone(cluster)),
    };
    let readiness = admin.ready.clone();
    let mut threads = vec![rollout_thread];
    threads.extend(cluster.map(|(_, thread)| thread));
    if let Some(fleet) = &fleet {
        answer_fleet(fleet, &admin);
        warmer.take_turns(fleet.plan_turns());
        threads.extend(fleet.start().map_err(start("the threads of the fleet"))?);
    }
    threads.push(warm::start(&warmer, stages.clone()).map_err(start("the warmer"))?);
    let coders = coding::start(&edge.coder, config.cache.compress_threads);
    threads.extend(coders.map_err(start("a thread that compresses"))?);
    if let Some(orders) = orders {
        let thread = orders.start(stages.clone());
        threads.push(thread.map_err(start("orders of certificates"))?);
    }
    threads.push(housekeeping.start(stages).map_err(start("housekeeping"))?);
    let admin_address = listeners.admin.address().clone();
    let admin = admin::start(admin, listeners.admin, admin_tls.clone());
    threads.push(admin.map_err(start("the admin interface"))?);
    let server = Server {
        addresses,
        paths,
        urls,
        admin_address,
        admin_scheme: match admin_tls {
            Some(_) => "https",
            None => "http",
        },
        edge,
        rollout,
        reloader,
        workers,
        handover,
        fleet,
        stage,
        threads: Mutex::new(threads),
    };
    if let Some(predecessor) = &terms.predecessor {
        warm_up(&warmer, &readiness, &server.edge.clock);
        if predecessor.take_over(build)? {
            drop_everything(&server.edge);
        }
        disks::open_after_predecessor(&server.edge)
            .map_err(start("the thread that opens the disks"))?;
    }
    if let Some(predecessor) = terms.predecessor.take() {
        let followed = predecessor.follow(&server.edge);
        followed.map_err(start("the thread that follows the process before"))?;
        server.handover.own_files();
    }
    server.stage.send_replace(ShutdownStage::Running);
    Ok(server)
}

/// Waits until the plans have run that the edge waits for. It need not be ready before it serves, so
/// it takes over warm.
fn warm_up(warmer: &Warmer, rule: &admin::ReadinessRule, clock: &Clock) {
    let is_due = |plan: &Arc<str>| warmer.has_run(plan) == Some(false);
    while clock.now() < rule.at_last && rule.after.iter().any(is_due) {
        std::thread::park_timeout(LOOK_AT_PLANS_EVERY);
    }
}

/// Drops what was stored before the edge took over: there were purges meanwhile, which only the
/// process before has seen.
fn drop_everything(edge: &Edge) {
    let now = edge.clock.now();
    let sites = edge.sites.load();
    let scopes = sites.iter().map(|site| PurgeScope::Site(site.index));
    let dropped: u64 = scopes
        .map(|scope| edge.store.purge(&scope, PurgeMode::Hard, now))
        .sum();
    // The process before has carried them out on the disks.
    if let Some(disk) = edge.store.disk() {
        disk.drop_early_purges();
    }
    tracing::info!(dropped, "there were purges while this process started");
}

/// The sockets of an edge.
struct Listeners {
    public: BoundListeners,
    admin: AdminListener,
    admin_tls: Option<Arc<TlsTerminator>>,
}

impl Listeners {
    fn bind(
        config: &Config,
        open: &mut OpenSocketSet,
        acme: &Arc<AcmeResponder>,
        clock: &Clock,
    ) -> Result<Listeners, ServeError> {
        // First: a port that systemd has opened may be told by its address alone.
        let admin = open.take(SocketRole::Admin, &config.admin.listen, false);
        let public = listener::bind(&config.server, open, &[], acme, clock);
        let public = public.map_err(|error| match error {
            ListenError::Address { address, source } => ServeError::Listen { address, source },
            ListenError::Tls(error) => ServeError::Tls(error),
        })?;
        let admin_tls = config.admin.tls.as_ref();
        let admin_tls = admin_tls.map(|tls| {
            let material = TlsMaterial::read(tls)?;
            TlsTerminator::new(material, false, acme, clock).map(Arc::new)
        });
        let admin_tls = admin_tls.transpose().map_err(ServeError::Tls)?;
        let admin = AdminListener::open(&config.admin, admin);
        let admin = admin.map_err(|source| ServeError::Listen {
            address: config.admin.listen.clone(),
            source,
        })?;
        Ok(Listeners {
            public,
            admin,
            admin_tls,
        })
    }

    /// The addresses of the public listeners, in the configuration's order.
    fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        let listeners = self.public.listeners.iter();
        listeners.filter_map(|listener| listener.address().tcp())
    }

    /// The URLs of those on addresses.
    fn urls(&self) -> impl Iterator<Item = String> {
        let listeners = self.public.listeners.iter();
        let listeners = listeners.filter(|listener| listener.address().tcp().is_some());
        listeners.map(|one| format!("{}://{}", one.scheme().as_str(), one.address()))
    }

    /// The paths of those on Unix sockets.
    fn paths(&self) -> impl Iterator<Item = PathBuf> {
        let listeners = self.public.listeners.iter();
        listeners.filter_map(|listener| listener.address().unix().map(Path::to_owned))
    }
}

/// The cluster that `[cluster]` asks for, and its thread.
fn cluster(
    config: &Config,
    edge: &Arc<Edge>,
    state_dir: Option<&Arc<StateDir>>,
    stages: &watch::Receiver<ShutdownStage>,
) -> Result<Option<(Arc<Cluster>, JoinHandle<()>)>, ServeError> {
    let Some(settings) = &config.cluster else {
        return Ok(None);
    };
    let started = Cluster::start(settings, config, edge, state_dir, stages.clone());
    started.map(Some).map_err(start("the cluster"))
}

/// Has this node answer what others of its fleet ask.
fn answer_fleet(fleet: &Fleet, admin: &admin::AdminContext) {
    let node = fleet.node().to_owned();
    // The answers must not keep the fleet alive that gives them.
    let admin = admin::AdminContext {
        fleet: None,
        ..admin.clone()
    };
    fleet.answer_by(Box::new(move |question| match question {
        FleetQuestion::Stats => admin::fleet_stats::own(&node, &admin),
        FleetQuestion::Popular { site, hours, limit } => {
            let hours = Hours::from_bits(*hours);
            told_pages(&warm::popular_here(&admin.edge, site, hours, *limit))
        }
    }));
}

fn access_log(config: &Config, clock: &Clock) -> Result<Option<AccessLog>, ServeError> {
    let open = |log: &tero_config::AccessLog| {
        let opened = AccessLog::start(log, clock.clone());
        let path = log.path.clone();
        opened.map_err(|source| ServeError::AccessLog { path, source })
    };
    config.access_log.as_ref().map(open).transpose()
}

/// The tracer that `[telemetry.otlp]` asks for, and the thread that sends its spans.
#[cfg(feature = "otlp")]
fn tracer(config: &Config, build: BuildInfo, clock: &Clock) -> Result<Option<Tracer>, ServeError> {
    let Some(settings) = &config.telemetry.otlp else {
        return Ok(None);
    };
    let (tracer, spans) = Tracer::new(settings.sample.fraction(), settings.queue);
    let name = &config.server.name;
    crate::otlp::start(settings, name, build, spans, tracer.counters(), clock)
        .map_err(start("the thread that sends spans"))?;
    Ok(Some(tracer))
}

/// This program can't send spans.
#[cfg(not(feature = "otlp"))]
fn tracer(config: &Config, _: BuildInfo, _: &Clock) -> Result<Option<Tracer>, ServeError> {
    match config.telemetry.otlp {
        Some(_) => Err(ServeError::NoOtlp),
        None => Ok(None),
    }
}

/// Makes the warmer, and starts the plans that the edge must have run to be ready.
fn make_warmer(
    config: &Config,
    edge: &Arc<Edge>,
    memory: PlanMemory,
) -> Result<Arc<Warmer>, ServeError> {
    let warmer = Warmer::new(edge, config.plans.clone(), memory)
        .map_err(|error| ServeError::Plan(error.to_string()))?;
    let at_last = readiness(config, edge).at_last;
    for plan in &config.admin.ready_after {
        warmer.start_first(plan, at_last).map_err(|error| {
            ServeError::Plan(format!("the plan {plan} could not be started: {error}"))
        })?;
    }
    Ok(warmer)
}

fn readiness(config: &Config, edge: &Edge) -> admin::ReadinessRule {
    admin::ReadinessRule {
        after: config.admin.ready_after.clone(),
        at_last: edge.clock.now().saturating_add(config.admin.ready_within),
    }
}

fn start(what: &'static str) -> impl Fn(io::Error) -> ServeError {
    move |source| ServeError::Start { what, source }
}

impl Server {
    /// The addresses of the public listeners, in the configuration's order.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The paths of the Unix sockets among them.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// The public listeners on addresses as URLs, `https://0.0.0.0:443`, in the configuration's order.
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// The admin interface as a URL, `http://127.0.0.1:9090` or `unix:/run/tero/admin.sock`.
    pub fn admin_url(&self) -> String {
        match &self.admin_address {
            ListenAddress::Tcp(address) => format!("{}://{address}", self.admin_scheme),
            unix @ ListenAddress::Unix(_) => unix.to_string(),
        }
    }

    /// The address of the admin interface.
    ///
    /// # Panics
    /// If it listens on a Unix socket.
    pub fn admin_address(&self) -> SocketAddr {
        let address = self.admin_address.tcp();
        address.expect("a Unix socket has no address")
    }

    /// The data plane.
    pub fn edge(&self) -> &Arc<Edge> {
        &self.edge
    }

    /// Applies a new configuration, see [`Reloader::reload`].
    ///
    /// # Errors
    /// [`ReloadError`]; the old configuration stays then.
    pub fn reload(&self, config: Config) -> Result<Vec<String>, ReloadError> {
        self.reloader.reload(config)
    }

    /// Reads the configuration's file again and applies it, see [`Reloader::reload_file`].
    ///
    /// # Errors
    /// [`ReloadError`]; the old configuration stays then.
    pub fn reload_file(&self) -> Result<Vec<String>, ReloadError> {
        self.reloader.reload_file()
    }

    /// Leaves serving to another process, see [`Handover::upgrade`].
    ///
    /// # Errors
    /// [`UpgradeError`]; this process serves on then.
    pub fn upgrade(&self) -> Result<Successor, UpgradeError> {
        self.handover.upgrade()
    }

    /// Stops accepting connections, and closes each open one after its request.
    pub fn shutdown(&self) {
        self.handover.stop();
        let was_main = self.stage.send_if_modified(|stage| {
            let is_new = *stage < ShutdownStage::Draining;
            *stage = (*stage).max(ShutdownStage::Draining);
            is_new
        });
        if was_main && !self.edge.succession.is_handed_over() {
            supervisor::tell_stopping();
        }
    }

    /// Closes all connections at once.
    pub fn stop(&self) {
        self.handover.stop();
        self.stage.send_replace(ShutdownStage::Stopped);
        self.rollout.stop();
        self.fleet.iter().for_each(|fleet| fleet.stop());
        self.edge.coder.stop();
    }

    /// Waits until all threads have ended. After [`Server::shutdown`] that takes no longer than
    /// `server.drain` of the configuration.
    ///
    /// # Panics
    /// Passes on the panic of a thread.
    pub fn wait(&self) {
        let mut ended = self.workers.wait();
        let others =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        // While the edge drains, the admin interface answers probes that it does.
        self.stop();
        ended.extend(others.into_iter().map(JoinHandle::join));
        disks::close(&self.edge);
        if let Some(panic) = ended.into_iter().find_map(Result::err) {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        // They have reported their panics; one while dropping would abort the process.
        drop(self.workers.wait());
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // The thread has reported its panic; a panic while dropping would abort the process.
            let _ = thread.join();
        }
    }
}
