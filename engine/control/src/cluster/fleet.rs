//! A node as one of a fleet: it tells the others how it does, hears of them, and keeps its versions the
//! same as theirs. Two threads do that; both end with the edge.
//!
//! The one that keeps versions the same may compile for seconds. So another one tells how the node does.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use super::bus::{BusError, FleetBus, FleetListener, FleetQuestion};
use super::drawn::drawn;
use super::figures;
use super::members::{Members, TELL_EVERY, canary_nodes};
use super::plan_turns::PlanTurns;
use super::versions::{SyncReport, VersionSync};
use crate::data::DataTables;
use crate::rollout::record::Version;
use crate::rollout::{FleetShields, Rollout};
use tero_admin_api::{
    ClusterResponse, FleetNote, NatsReport, NodePolicy, NodeReport, NodeTable, PurgeStanding,
};
use tero_config::OriginAddress;
use tero_config::units::Share;
use tero_edge::server::ShutdownStage;
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;
use tokio::sync::watch;

/// How often a node looks at what the fleet agrees on, even if no node tells of a change.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long nodes have to tell that they are shields, once one has: after an outage, they are not heard
/// of all at once.
const SETTLED_AFTER: Duration = Duration::from_secs(3);
/// How often the log is told of another process with the name of this node.
const DOUBLE_TOLD_EVERY: Duration = Duration::from_secs(60);
/// The largest report that is read, in bytes.
const MAX_REPORT: usize = 256 << 10;

/// The parts of an edge that are those of a node.
#[derive(Clone, Debug)]
pub struct FleetParts {
    /// Its name.
    pub node: String,
    /// The URL at which others reach it as a shield; `None` if it is not one.
    pub shield: Option<String>,
    /// The version of tero.
    pub version: &'static str,
    /// The clock of the edge.
    pub clock: Clock,
    /// The versions of policies.
    pub rollout: Arc<Rollout>,
    /// The data tables.
    pub data: Arc<DataTables>,
    /// Whether the edge runs.
    pub stage: watch::Receiver<ShutdownStage>,
}

/// Where the node stands in the log of purges.
pub type PurgeWitness = Box<dyn Fn() -> Option<PurgeStanding> + Send + Sync>;
/// Answers a question of another node.
pub type FleetAnswer = Box<dyn Fn(&FleetQuestion) -> Option<Vec<u8>> + Send + Sync>;

/// A node as one of a fleet.
pub struct Fleet {
    parts: FleetParts,
    /// Drawn at the start.
    process: String,
    started: Timestamp,
    bus: Arc<dyn FleetBus>,
    members: Mutex<Members>,
    sync: Mutex<VersionSync>,
    latest: Mutex<SyncOutcome>,
    purges: OnceLock<PurgeWitness>,
    answers: OnceLock<FleetAnswer>,
    looker: OnceLock<Thread>,
    teller: OnceLock<Thread>,
    /// Whether something has to be looked at, at once.
    is_news: AtomicBool,
    has_new_shields: AtomicBool,
    /// When the log was told of another process with the name of this node.
    double_told: Mutex<Option<Timestamp>>,
    stop: AtomicBool,
}

/// What came of the latest look at what the fleet agrees on.
#[derive(Clone, Debug, Default)]
struct SyncOutcome {
    report: SyncReport,
    /// Whether something that was changed here has still to be told.
    is_apart: bool,
    /// Why it could not be looked at.
    failure: Option<String>,
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Fleet");
        shown
            .field("node", &self.parts.node)
            .finish_non_exhaustive()
    }
}

impl Fleet {
    /// A node on `bus`. It does nothing yet.
    pub fn new(parts: FleetParts, bus: Arc<dyn FleetBus>) -> Arc<Fleet> {
        let sync = VersionSync::new(
            &parts.node,
            (&parts.rollout, &parts.data),
            &bus,
            &parts.clock,
        );
        Arc::new(Fleet {
            process: drawn(),
            started: parts.clock.wall(),
            bus,
            members: Mutex::default(),
            sync: Mutex::new(sync),
            latest: Mutex::default(),
            purges: OnceLock::new(),
            answers: OnceLock::new(),
            looker: OnceLock::new(),
            teller: OnceLock::new(),
            is_news: AtomicBool::new(true),
            has_new_shields: AtomicBool::new(false),
            double_told: Mutex::default(),
            stop: AtomicBool::new(false),
            parts,
        })
    }

    /// Its name.
    pub fn node(&self) -> &str {
        &self.parts.node
    }

    /// The turns of its warming plans with those of other nodes.
    pub fn plan_turns(&self) -> Arc<PlanTurns> {
        Arc::new(PlanTurns::new(
            &self.parts.node,
            &self.bus,
            &self.parts.clock,
        ))
    }

    /// Says where the node stands in the log of purges, from now on.
    pub fn witness_purges(&self, witness: PurgeWitness) {
        let _ = self.purges.set(witness);
    }

    /// Answers questions of other nodes, from now on.
    pub fn answer_by(&self, answer: FleetAnswer) {
        let _ = self.answers.set(answer);
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// If one can't be started.
    pub fn start(self: &Arc<Fleet>) -> io::Result<Vec<JoinHandle<()>>> {
        let teller = Arc::clone(self);
        let teller = std::thread::Builder::new()
            .name("fleet-teller".to_owned())
            .spawn(move || teller.tell_until_stopped())?;
        let looker = Arc::clone(self);
        let looker = std::thread::Builder::new()
            .name("fleet".to_owned())
            .spawn(move || looker.look_until_stopped())?;
        let _ = self.looker.set(looker.thread().clone());
        let _ = self.teller.set(teller.thread().clone());
        Ok(vec![teller, looker])
    }

    /// Ends the threads.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.wake();
        if let Some(thread) = self.teller.get() {
            thread.unpark();
        }
    }

    /// Whether a second process of this name is told now: each of its reports shows it.
    fn tells_double(&self, now: Timestamp) -> bool {
        let mut told = lock(&self.double_told);
        let is_due = told.is_none_or(|at| now.since(at) >= DOUBLE_TOLD_EVERY);
        if is_due {
            *told = Some(now);
        }
        is_due
    }

    fn wake(&self) {
        self.is_news.store(true, Ordering::SeqCst);
        if let Some(thread) = self.looker.get() {
            thread.unpark();
        }
    }

    /// Tells the fleet at once what was changed here, for the operator who did it.
    pub fn tell_change(&self) -> FleetNote {
        lock(&self.sync).tell_at_once();
        self.look();
        let outcome = lock(&self.latest).clone();
        let report = outcome.report;
        let untold: Vec<String> = report.untold.iter().map(ToString::to_string).collect();
        let untold = (!untold.is_empty()).then(|| untold.join("; "));
        let why = outcome.failure.or(untold);
        // The others look as soon as they hear of it.
        let _ = self.tell();
        FleetNote {
            told: why.is_none(),
            revision: report.revision,
            why,
        }
    }

    /// Starts a canary here for a share of the nodes, or for all if `share` is `None`. Returns its version
    /// and the names of the chosen nodes. The fleet is told of the canary only with its nodes.
    ///
    /// # Errors
    /// That of `start`; the nodes of a canary that runs stay as they were.
    pub fn start_canary<E>(
        &self,
        policy: &str,
        share: Option<Share>,
        start: impl FnOnce() -> Result<Version, E>,
    ) -> Result<(Version, Option<Vec<String>>), E> {
        let names = lock(&self.members).names(self.parts.clock.now());
        let mut sync = lock(&self.sync);
        let version = start()?;
        let nodes = share.map(|share| {
            canary_nodes(&self.parts.node, &names, version.as_str(), share.fraction())
        });
        sync.set_canary_nodes(policy, version.clone(), nodes.clone());
        Ok((version, nodes))
    }

    /// Asks all nodes a question, and returns their answers. This node is one of them.
    ///
    /// # Errors
    /// [`BusError`]
    pub fn ask(
        &self,
        question: &FleetQuestion,
        patience: Duration,
    ) -> Result<Vec<Vec<u8>>, BusError> {
        let most = lock(&self.members).names(self.parts.clock.now()).len();
        self.bus.ask(question, most.max(1), patience)
    }

    /// The fleet, for people.
    pub fn status(&self) -> ClusterResponse {
        let report = self.bus.report();
        let now = self.parts.clock.now();
        let mut nodes = lock(&self.members).list(now);
        // What is known of this node needs no connection.
        let own = self.report();
        nodes.retain(|node| node.report.node != own.node || node.report.process != own.process);
        nodes.push(tero_admin_api::NodeStatus {
            heard_ms_ago: 0,
            silent: false,
            clock_ahead_ms: 0,
            report: own,
        });
        nodes.sort_by(|one, other| one.report.node.cmp(&other.report.node));
        ClusterResponse {
            node: self.parts.node.clone(),
            nats: NatsReport {
                server: report.server,
                since_unix_secs: report.since_unix_secs,
                failure: report.failure,
            },
            nodes,
        }
    }

    /// What this node tells of itself.
    fn report(&self) -> NodeReport {
        let parts = &self.parts;
        let SyncOutcome {
            report,
            is_apart,
            failure,
        } = lock(&self.latest).clone();
        let troubles = report.troubles.iter().chain(&report.untold);
        let troubles = troubles.map(ToString::to_string);
        NodeReport {
            node: parts.node.clone(),
            process: self.process.clone(),
            version: parts.version.to_owned(),
            started_unix_secs: self.started.unix_secs(),
            at_unix_ms: parts.clock.wall().unix_millis(),
            shield: parts.shield.clone(),
            purges: self.purges.get().and_then(|witness| witness()),
            revision: report.revision,
            apart: is_apart,
            policies: self.policies(),
            tables: self.tables(),
            troubles: troubles.chain(failure).collect(),
        }
    }

    fn policies(&self) -> Vec<NodePolicy> {
        let state = self.parts.rollout.state();
        let policies = state.policies().map(|(name, versions)| {
            let canary = versions.record().canary.as_ref();
            let figures = versions.trial_figures();
            NodePolicy {
                policy: name.to_string(),
                version: versions.active_version().to_string(),
                canary: canary
                    .zip(figures)
                    .map(|(canary, figures)| figures::canary(&canary.version, &figures)),
            }
        });
        policies.collect()
    }

    fn tables(&self) -> Vec<NodeTable> {
        let state = self.parts.data.state();
        let tables = state.entries().map(|(name, entry)| {
            let number = entry.active_number();
            let versions = &entry.record().versions;
            let pushed = versions.iter().find(|version| {
                number == crate::data::table_record::TableNumber::Pushed(version.number)
            });
            NodeTable {
                table: name.to_string(),
                version: pushed.map_or_else(|| number.to_string(), |it| it.digest.clone()),
            }
        });
        tables.collect()
    }

    fn tell(&self) -> Result<(), BusError> {
        let report = serde_json::to_vec(&self.report());
        self.bus.tell(report.unwrap_or_default())
    }

    fn tell_until_stopped(&self) {
        while !self.stop.load(Ordering::SeqCst) {
            if self.is_running() {
                // Without a connection nothing is told; the keeper of the connection says why.
                let _ = self.tell();
                self.sum_up_canaries();
            }
            std::thread::park_timeout(TELL_EVERY);
        }
    }

    /// Whether this process serves: while another one takes its place, one of them is the node.
    fn is_running(&self) -> bool {
        *self.parts.stage.borrow() == ShutdownStage::Running
    }

    /// Has the guards of canaries judge them by the sums over the nodes.
    fn sum_up_canaries(&self) {
        let state = self.parts.rollout.state();
        let mut reports: Option<BTreeMap<String, NodeReport>> = None;
        for (name, versions) in state.policies() {
            let Some(canary) = &versions.record().canary else {
                continue;
            };
            let reports = reports.get_or_insert_with(|| {
                let heard = lock(&self.members).list(self.parts.clock.now());
                let heard = heard.into_iter().map(|node| node.report);
                heard.map(|report| (report.node.clone(), report)).collect()
            });
            let others = figures::of_others(reports, &self.parts.node, (name, &canary.version));
            versions.set_figures_of_others(others);
        }
    }

    fn look_until_stopped(&self) {
        // When the shields were news.
        let mut new_shields: Option<Timestamp> = None;
        while !self.stop.load(Ordering::SeqCst) {
            self.is_news.store(false, Ordering::SeqCst);
            if self.is_running() {
                self.look();
            }
            let now = Clock::real().now();
            if self.has_new_shields.swap(false, Ordering::SeqCst) {
                new_shields.get_or_insert(now);
            }
            let left = new_shields.map(|since| SETTLED_AFTER.saturating_sub(now.since(since)));
            if left == Some(Duration::ZERO) {
                new_shields = None;
                self.follow_shields();
            } else if !self.is_news.load(Ordering::SeqCst) {
                std::thread::park_timeout(left.unwrap_or(LOOK_EVERY).min(LOOK_EVERY));
            }
        }
    }

    /// Looks at what the fleet agrees on, and tells it what was changed here.
    fn look(&self) {
        let mut sync = lock(&self.sync);
        let looked = sync.look();
        let is_apart = looked.is_err() && sync.is_apart();
        drop(sync);
        let mut latest = lock(&self.latest);
        match looked {
            Ok(report) => {
                *latest = SyncOutcome {
                    is_apart: !report.untold.is_empty(),
                    report,
                    failure: None,
                };
            }
            Err(error) => {
                let why = error.to_string();
                if latest.failure.as_ref() != Some(&why) {
                    tracing::warn!("the versions of the fleet can't be looked at: {why}");
                }
                latest.failure = Some(why);
                latest.is_apart = is_apart;
            }
        }
    }

    /// Has the sites that take their shields from the fleet go to those that are there now.
    fn follow_shields(&self) {
        let mut shields = lock(&self.members).shields(self.parts.clock.now());
        if let Some(own) = &self.parts.shield {
            shields.insert(self.parts.node.clone(), own.clone());
        }
        let addresses = shields.values().map(|url| OriginAddress::parse(url));
        let own = self.parts.shield.as_deref().map(OriginAddress::parse);
        let shields = FleetShields {
            // One that a newer node tells may not be an address here.
            nodes: addresses.filter_map(Result::ok).collect(),
            own: own.and_then(Result::ok),
        };
        match self.parts.rollout.set_shields(&shields) {
            Ok(true) => {
                let names: Vec<String> = shields.nodes.iter().map(ToString::to_string).collect();
                tracing::info!(shields = names.join(", "), "the shields of the fleet");
            }
            Ok(false) => {}
            Err(error) => tracing::error!("the shields of the fleet can't be asked: {error}"),
        }
    }
}

impl FleetListener for Fleet {
    fn heard(&self, report: &[u8]) {
        if report.len() > MAX_REPORT {
            return;
        }
        // A newer node may tell what this one doesn't know.
        let Ok(report) = serde_json::from_slice::<NodeReport>(report) else {
            return;
        };
        let clock = &self.parts.clock;
        let revision = report.revision;
        let is_own = report.process == self.process;
        let times = (clock.now(), clock.wall());
        let news = lock(&self.members).hear(&self.parts.node, report, times);
        if news.is_double && !is_own && self.tells_double(times.0) {
            tracing::error!(node = %self.parts.node, "another process has the name of this node; write `node` in [cluster]");
        }
        if news.shields {
            self.has_new_shields.store(true, Ordering::SeqCst);
        }
        if news.shields || revision > lock(&self.latest).report.revision {
            self.wake();
        }
    }

    fn answer(&self, question: &FleetQuestion) -> Option<Vec<u8>> {
        self.answers.get()?(question)
    }
}

fn lock<T>(part: &Mutex<T>) -> MutexGuard<'_, T> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}
