//! Many nodes as one: what JetStream carries between them, and what tero adds to its promises.
//!
//! A purge is an entry of a log that all nodes follow ([`purge_log`]). JetStream may lose entries, or
//! have a log recreated or set back, without saying so; a [`follower`] notices, and what it can't know
//! is doubt. [`peers`] are a second path beside the log. A [`node`] is what holds it together.
//!
//! `nats` and what lies below it are the only files that know of NATS. Without the feature `cluster`
//! they are left out, and a configuration with `[cluster]` is refused.

#![cfg_attr(
    not(feature = "cluster"),
    allow(
        dead_code,
        unused_imports,
        reason = "only the client of NATS starts a node"
    )
)]

pub mod blindness;
pub mod book;
pub mod bus;
mod bus_answer;
pub mod counters;
pub mod delivery;
mod drawn;
pub mod exchange;
mod exchanged;
pub(crate) mod figures;
pub mod fleet;
pub mod follower;
mod following;
pub mod init;
pub mod members;
#[cfg(feature = "cluster")]
pub mod nats;
pub mod node;
pub mod pause;
mod peer_connection;
pub mod peers;
pub mod plan_pages;
pub mod plan_turns;
pub mod position;
pub mod prepared_stream;
pub mod purge_log;
pub mod shared_versions;
#[doc(hidden)] // Public for tests.
pub mod twin;
#[cfg(test)]
mod twin_bus;
pub mod versions;
pub mod work;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;

use delivery::FleetRelay;
use fleet::{Fleet, FleetParts};
#[cfg(feature = "cluster")]
use nats::bus::NatsBus;
use node::{ClusterNode, NodeParts};
use peers::PeerClients;
use position::PositionFile;
use purge_log::PurgeLog;
#[cfg(feature = "cluster")]
use tero_admin_api::PurgeStanding;
use tero_config::{self as config, Config};
use tero_edge::request::Edge;
use tero_edge::server::ShutdownStage;
use tero_state::dir::StateDir;

/// Room for threads that carry purges and versions out, and answer other nodes.
const WORKING_THREADS: usize = 4;
/// Room for threads that look names up, of NATS and of peers. A resolver that is silent holds each for half
/// a minute. It is one pool: without this room, the names of five peers would keep purges waiting.
const LOOKUP_THREADS: usize = 32;

/// What this process has of its fleet.
#[derive(Debug)]
pub struct Cluster {
    /// `[cluster]`
    pub settings: config::Cluster,
    /// The node.
    pub node: Arc<ClusterNode>,
    /// The connection to NATS.
    #[cfg(feature = "cluster")]
    pub connection: Arc<nats::NatsConnection>,
}

impl Cluster {
    /// Makes the node, and starts its thread, which ends when the edge stops. NATS need not be there:
    /// the node serves without, and connects when it can.
    ///
    /// # Errors
    /// If the thread or its runtime can't be started.
    #[cfg(feature = "cluster")]
    pub fn start(
        settings: &config::Cluster,
        config: &Config,
        edge: &Arc<Edge>,
        state_dir: Option<&Arc<StateDir>>,
        stages: watch::Receiver<ShutdownStage>,
    ) -> io::Result<(Arc<Cluster>, JoinHandle<()>)> {
        let (connection, keeping) = nats::NatsConnection::keep(settings, &edge.clock);
        let log = nats::log::NatsPurgeLog::new(settings, &connection);
        let runtime = runtime()?;
        let parts = parts(settings, config, edge, state_dir, Arc::new(log), &runtime)?;
        let cluster = Arc::new(Cluster {
            settings: settings.clone(),
            node: Arc::new(ClusterNode::new(parts)),
            connection,
        });
        runtime.spawn(keeping);
        let thread = run(&cluster.node, runtime, stages)?;
        Ok((cluster, thread))
    }

    /// This program can't be a node of a fleet, and refuses such a configuration before.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(feature = "cluster"))]
    pub fn start(
        _: &config::Cluster,
        _: &Config,
        _: &Arc<Edge>,
        _: Option<&Arc<StateDir>>,
        _: watch::Receiver<ShutdownStage>,
    ) -> io::Result<(Arc<Cluster>, JoinHandle<()>)> {
        Err(io::Error::other("built without the feature `cluster`"))
    }

    /// Makes this node one of the fleet beyond purges. It does nothing before its threads are started.
    #[cfg(feature = "cluster")]
    pub fn join(&self, parts: FleetParts) -> Arc<Fleet> {
        let runtime = self.node.runtime.clone();
        let bus = NatsBus::new(&self.connection, &self.settings, runtime.clone());
        let fleet = Fleet::new(parts, Arc::new(bus));
        let node = Arc::clone(&self.node);
        fleet.witness_purges(Box::new(move || standing(&node)));
        let (connection, settings) = (Arc::clone(&self.connection), self.settings.clone());
        let listener = Arc::clone(&fleet);
        runtime.spawn(NatsBus::listen(connection, settings, listener));
        fleet
    }

    /// This program knows no fleets: no node is ever made.
    #[cfg(not(feature = "cluster"))]
    pub fn join(&self, _: FleetParts) -> Arc<Fleet> {
        unreachable!("a node needs the feature `cluster`")
    }
}

/// Where a node stands in the log of purges; `None` before it has followed one.
#[cfg(feature = "cluster")]
fn standing(node: &ClusterNode) -> Option<PurgeStanding> {
    let position = node.progress().position?;
    let blind_ms = node.edge.fleet.is_blind().then(|| {
        let silence = node.silent_for().unwrap_or_default();
        u64::try_from(silence.as_millis()).unwrap_or(u64::MAX)
    });
    Some(PurgeStanding {
        log: position.identity.as_str().to_owned(),
        applied: position.number,
        blind_ms,
    })
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(WORKING_THREADS + LOOKUP_THREADS)
        .build()
}

fn parts(
    settings: &config::Cluster,
    config: &Config,
    edge: &Arc<Edge>,
    state_dir: Option<&Arc<StateDir>>,
    log: Arc<dyn PurgeLog>,
    runtime: &tokio::runtime::Runtime,
) -> io::Result<NodeParts> {
    Ok(NodeParts {
        name: settings.node.as_str().into(),
        edge: Arc::clone(edge),
        log,
        peers: PeerClients::new(settings, config.admin.token.clone())?,
        runtime: runtime.handle().clone(),
        max_blind: settings.max_blind,
        position_file: PositionFile::new(state_dir),
    })
}

/// Runs the tasks of a node on a thread of its own.
fn run(
    node: &Arc<ClusterNode>,
    runtime: tokio::runtime::Runtime,
    mut stages: watch::Receiver<ShutdownStage>,
) -> io::Result<JoinHandle<()>> {
    let relay = FleetRelay::new(node);
    node.edge.fleet.set_relay(Arc::new(relay));
    let node = Arc::clone(node);
    std::thread::Builder::new()
        .name("cluster".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                tokio::spawn(Arc::clone(&node).follow());
                tokio::spawn(Arc::clone(&node).beat());
                tokio::spawn(Arc::clone(&node).watch_blindness());
                tokio::spawn(Arc::clone(&node).keep_peers());
                tokio::spawn(node.compare());
                let _ = stages
                    .wait_for(|stage| *stage == ShutdownStage::Stopped)
                    .await;
            });
            // A purge that reads through the store must not delay the end.
            runtime.shutdown_background();
        })
}
