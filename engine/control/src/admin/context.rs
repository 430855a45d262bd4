//! What the interface looks at.

use std::sync::Arc;

use tokio::sync::watch;

use crate::reload::Reloader;
use crate::rollout::Rollout;
use crate::warm::Warmer;
use tero_edge::request::Edge;
use tero_edge::server::ShutdownStage;
use tero_policy_host::Host;
use tero_semantics::timestamp::Timestamp;

/// What the interface looks at.
#[derive(Clone, Debug)]
pub struct AdminContext {
    /// The store, the sites and their counters.
    pub edge: Arc<Edge>,
    /// The policies' host.
    pub host: Arc<Host>,
    /// The warming plans.
    pub warmer: Arc<Warmer>,
    /// What the edge is not ready without.
    pub ready: ReadinessRule,
    /// The versions of the policies.
    pub rollout: Arc<Rollout>,
    /// Takes over the configuration's file anew.
    pub reloader: Arc<Reloader>,
    /// How far the edge has come with stopping.
    pub stage: watch::Receiver<ShutdownStage>,
}

/// When the edge is ready.
#[derive(Clone, Debug, Default)]
pub struct ReadinessRule {
    /// Once these plans have run.
    pub after: Vec<Arc<str>>,
    /// But then at the latest.
    pub at_last: Timestamp,
}
