//! The parts of the edge that the interface looks at.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::sync::watch;

use super::shared_line::SharedLine;
use crate::acme::CertificateOrders;
use crate::admin_token::AdminToken;
use crate::build_info::BuildInfo;
use crate::certificates::CertificateUpkeep;
use crate::cluster::Cluster;
use crate::cluster::fleet::Fleet;
use crate::data::DataTables;
use crate::events::EventLog;
use crate::handover::Handover;
use crate::maintenance::MaintenanceMemory;
use crate::reload::Reloader;
use crate::rollout::Rollout;
use crate::warm::Warmer;
use crate::webhooks::Webhooks;
use crate::workers::Workers;
use tero_edge::request::Edge;
use tero_edge::server::ShutdownStage;
use tero_policy_host::Host;
use tero_semantics::timestamp::Timestamp;

/// The parts of the edge that the interface looks at.
#[derive(Clone, Debug)]
pub struct AdminContext {
    /// The store, the sites and their counters.
    pub edge: Arc<Edge>,
    /// The policies' host.
    pub host: Arc<Host>,
    /// The data tables.
    pub data: Arc<DataTables>,
    /// The warming plans.
    pub warmer: Arc<Warmer>,
    /// When the edge is ready.
    pub ready: ReadinessRule,
    /// Which sites are in maintenance.
    pub maintenance: Arc<MaintenanceMemory>,
    /// The versions of the policies.
    pub rollout: Arc<Rollout>,
    /// Reads the configuration again.
    pub reloader: Arc<Reloader>,
    /// `[server] max_connections`, as far as the descriptors of the process allow it.
    pub max_connections: Arc<AtomicUsize>,
    /// The certificates of the listeners.
    pub(crate) certificates: Arc<CertificateUpkeep>,
    /// Orders of certificates by ACME; `None` if no listener has such.
    pub orders: Option<Arc<CertificateOrders>>,
    /// Leaves serving to another process.
    pub handover: Arc<Handover>,
    /// What the program is made of.
    pub build: BuildInfo,
    /// The token that opens the interface.
    pub token: AdminToken,
    /// Whether the edge runs, drains or has stopped.
    pub stage: watch::Receiver<ShutdownStage>,
    /// When the edge was started.
    pub started: Timestamp,
    /// Threads that answer requests.
    pub(crate) workers: Arc<Workers>,
    /// The figures that all listeners of a second are told.
    pub(crate) live_line: Arc<SharedLine>,
    /// The fleet that it is of; `None` without `[cluster]`.
    pub fleet: Option<Arc<Fleet>>,
    /// What operators must know.
    pub events: Arc<EventLog>,
    /// How they are told.
    pub(crate) webhooks: Arc<Webhooks>,
    /// The fleet that this node is one of; `None` if it is alone.
    pub cluster: Option<Arc<Cluster>>,
}

/// When the edge is ready.
#[derive(Clone, Debug, Default)]
pub struct ReadinessRule {
    /// The plans that must have run.
    pub after: Vec<Arc<str>>,
    /// When it is ready even if they have not.
    pub at_last: Timestamp,
}
