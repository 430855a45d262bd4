//! `/cluster`: the nodes of a fleet, and what each of them has.

use serde::{Deserialize, Serialize};

/// The fleet, as this node sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClusterResponse {
    /// The name of this node.
    pub node: String,
    /// The connection of this node to NATS.
    pub nats: NatsReport,
    /// The nodes that were heard of lately, this one among them, by their names.
    pub nodes: Vec<NodeStatus>,
}

/// A connection to NATS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NatsReport {
    /// The name and the version of the server; `None` without a connection.
    pub server: Option<String>,
    /// When the connection was made or lost, in seconds since 1970.
    pub since_unix_secs: i64,
    /// Why there is none.
    pub failure: Option<String>,
}

/// A node, as another one heard of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NodeStatus {
    /// How many milliseconds ago it told how it does.
    pub heard_ms_ago: u64,
    /// Whether that is too long ago: it may be gone, or cut off.
    pub silent: bool,
    /// How far its clock is ahead of this node's, in milliseconds; the way of its report included.
    pub clock_ahead_ms: i64,
    /// What it told.
    pub report: NodeReport,
}

/// What a node tells of itself, every two seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NodeReport {
    /// Its name.
    pub node: String,
    /// Drawn at its start, so that two nodes of one name are noticed.
    pub process: String,
    /// The version of tero.
    pub version: String,
    /// When it was started, in seconds since 1970.
    pub started_unix_secs: i64,
    /// The time of its clock, in milliseconds since 1970.
    pub at_unix_ms: i64,
    /// The URL at which others reach it as a shield; `None` if it is not one.
    #[serde(default)]
    pub shield: Option<String>,
    /// How far it has followed the log of purges; `None` if it doesn't follow one.
    #[serde(default)]
    pub purges: Option<PurgeStanding>,
    /// The revision of what the fleet agrees on that it has last seen; 0 if none.
    pub revision: u64,
    /// Whether something that was changed at it has still to be told.
    pub apart: bool,
    /// The policies and what decides.
    pub policies: Vec<NodePolicy>,
    /// The data tables and what decides.
    pub tables: Vec<NodeTable>,
    /// What it can't do that the fleet has agreed on, and why.
    pub troubles: Vec<String>,
}

/// How far a node has followed the log of purges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PurgeStanding {
    /// The identity of the log.
    pub log: String,
    /// The number of the purge that it applied last.
    pub applied: u64,
    /// For how many milliseconds it may have missed purges; `None` if it has not.
    pub blind_ms: Option<u64>,
}

/// A policy of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NodePolicy {
    /// Its name.
    pub policy: String,
    /// The digest of the version that decides, or `configuration`.
    pub version: String,
    /// The canary's version and figures; `None` if there is none.
    pub canary: Option<NodeCanary>,
}

/// A canary of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NodeCanary {
    /// The digest of its version, or `configuration`.
    pub version: String,
    /// Figures of the keys that the active version decides on.
    pub control: NodeTrialFigures,
    /// Figures of the keys that the canary decides on.
    pub canary: NodeTrialFigures,
}

/// Figures of one side of a trial, since it began at the node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NodeTrialFigures {
    /// Answered requests, by outcome.
    pub outcomes: crate::OutcomeCounts,
    /// Requests to the origin.
    pub origin_requests: u64,
    /// Questions that the policy answered.
    pub answers: u64,
    /// Questions at which it failed.
    pub failures: u64,
}

/// A data table of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NodeTable {
    /// Its name.
    pub table: String,
    /// The digest of the version that decides, or `configuration`.
    pub version: String,
}

/// Whether the fleet was told of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FleetNote {
    /// Whether it was. Otherwise it is told once it can be.
    pub told: bool,
    /// The revision of what the fleet agrees on; other nodes have the change when they report it.
    pub revision: u64,
    /// Why it was not told.
    pub why: Option<String>,
}
