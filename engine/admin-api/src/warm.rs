//! Warming plans and their runs: `/warm` and what is below it.

use serde::{Deserialize, Serialize};

use crate::{Problem, Question};

/// The warming plans, in the order of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WarmPlansResponse {
    /// As they are written.
    pub plans: Vec<WarmPlanReport>,
}

/// A warming plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WarmPlanReport {
    /// The name of the plan.
    pub name: String,
    /// The name of its site.
    pub site: String,
    /// Its schedule, as it is written in the configuration.
    pub schedule: Option<String>,
    /// The zone whose clock the schedule follows.
    pub zone: String,
    /// When it is due next, in RFC 3339 on the clock of its zone.
    pub next: Option<String>,
    /// The run under way.
    pub running: Option<u64>,
}

/// How a plan is to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StartWarmRequest {
    /// Fetches nothing but sitemaps; the run lists what it would fetch.
    #[cfg_attr(feature = "schema", schemars(extend("default" = false)))]
    pub dry_run: bool,
}

impl Question for StartWarmRequest {
    const MEDIA_TYPE: Option<&'static str> = None;

    fn query(&self) -> String {
        if self.dry_run { "?dry_run=true" } else { "" }.to_owned()
    }

    fn read(query: Option<&str>, _: &[u8]) -> Result<StartWarmRequest, Problem> {
        match query {
            None | Some("dry_run=false") => Ok(StartWarmRequest { dry_run: false }),
            Some("dry_run=true") => Ok(StartWarmRequest { dry_run: true }),
            Some(_) => Err(Problem::new(
                "the query is unknown",
                "leave it out, or ask with ?dry_run=true",
            )),
        }
    }
}

/// The run has started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StartWarmResponse {
    /// The id of the run.
    pub run: u64,
}

/// The run ends early.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CancelWarmResponse {
    /// The id of the run.
    pub run: u64,
    /// Always true.
    pub cancelled: bool,
}

/// The runs that are remembered, the latest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WarmRunsResponse {
    /// Without what a dry run would fetch, which is listed for one run only.
    pub runs: Vec<WarmRunReport>,
}

/// A run of a warming plan.
///
/// The numbers count pages, once per variant. `planned` is the sum of `fetched`, `fresh`,
/// `not_stored`, `failed` and what is still to come, or was left when the run ended early.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WarmRunReport {
    /// Counts from 1 when the edge starts.
    pub id: u64,
    /// The name of the plan.
    pub plan: String,
    /// The name of its site.
    pub site: String,
    /// What started the run.
    pub trigger: RunTrigger,
    /// Whether the run fetches nothing but sitemaps.
    pub dry_run: bool,
    /// How far the run is.
    pub state: RunState,
    /// When the run started, in RFC 3339 on the clock of the plan's zone.
    pub started: String,
    /// When the run started.
    pub started_unix_secs: i64,
    /// The end of the time that the run prepares for, like `started`.
    pub window_ends: String,
    /// How long the run took, or has taken so far, in whole seconds.
    pub seconds: u64,
    /// To be fetched.
    pub planned: u64,
    /// Fetched, and stored now.
    pub fetched: u64,
    /// Stored before, and fresh to the end of the window: left alone.
    pub fresh: u64,
    /// Fetched, but not storable.
    pub not_stored: u64,
    /// Not answered, or with an error, also when tried again.
    pub failed: u64,
    /// Tried again, since the origin had too much to do.
    pub retried: u64,
    /// Left out, since the plan's `max_urls` was reached.
    pub left_out: u64,
    /// Sitemaps that could not be read. Such a run ends as `failed`, whatever it fetched.
    #[serde(default)]
    pub sitemaps_failed: u64,
    /// Fetched while `warm_memory` was full: they may have to make room before they are used.
    pub not_kept: u64,
    /// Bytes of content fetched.
    pub bytes: u64,
    /// Fetched responses that visitors have used since.
    pub used_later: u64,
    /// Bytes of their content.
    pub used_bytes: u64,
    /// What the run was worth; null before its window is over.
    pub worth: Option<RunValue>,
    /// The first of those that failed.
    pub failures: Vec<PageFailure>,
    /// The first of those that could not be stored.
    pub refusals: Vec<PageFailure>,
    /// What was odd while planning: a bad sitemap, pages on other hosts.
    pub notes: Vec<String>,
    /// The first pages that a dry run would fetch, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub would_fetch: Vec<DryRunPage>,
    /// What all nodes of the fleet have done, if they share the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetRunReport>,
}

/// A run that the nodes of a fleet share. Each page counts once, at the node that fetched it first. All nodes
/// have the same report, as each read it last: every two seconds. What lies at one node, the counts beside
/// `fleet` say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FleetRunReport {
    /// The node that planned.
    pub planned_by: String,
    /// To be fetched.
    pub planned: u64,
    /// Fetched and stored.
    pub fetched: u64,
    /// Stored before, and fresh to the end of the window: left alone.
    pub fresh: u64,
    /// Fetched, but not storable.
    pub not_stored: u64,
    /// Not answered, or with an error, also when tried again.
    pub failed: u64,
    /// Tried again, since the origin had too much to do.
    pub retried: u64,
    /// Bytes of content fetched.
    pub bytes: u64,
    /// The part of each node, by name.
    pub nodes: Vec<FleetRunNode>,
    /// The first of those that failed.
    pub failures: Vec<PageFailure>,
    /// The first of those that could not be stored.
    pub refusals: Vec<PageFailure>,
}

/// The part of a node in a run that the fleet shares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FleetRunNode {
    /// Its name.
    pub node: String,
    /// Fetched and stored.
    pub fetched: u64,
    /// Stored before, and fresh to the end of the window: left alone.
    pub fresh: u64,
    /// Fetched, but not storable.
    pub not_stored: u64,
    /// Not answered, or with an error, also when tried again.
    pub failed: u64,
    /// Bytes of content fetched.
    pub bytes: u64,
}

/// What started a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RunTrigger {
    /// The plan's schedule.
    Schedule,
    /// The plan's schedule, whose time came while the edge was down.
    Missed,
    /// The start of the edge, which is ready only once the plan has run.
    Start,
    /// A request of an operator.
    Request,
}

impl RunTrigger {
    /// Its name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            RunTrigger::Schedule => "schedule",
            RunTrigger::Missed => "missed",
            RunTrigger::Start => "start",
            RunTrigger::Request => "request",
        }
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// It finds out what to fetch.
    Planning,
    /// It fetches.
    Fetching,
    /// Everything planned has been fetched, or has failed.
    Done,
    /// The plan's deadline passed before the end.
    DeadlinePassed,
    /// It was cancelled, or the edge stops.
    Cancelled,
    /// It could not run at all; `notes` say why.
    Failed,
}

impl RunState {
    /// Whether the run is over.
    pub fn is_over(self) -> bool {
        !matches!(self, RunState::Planning | RunState::Fetching)
    }

    /// Its name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            RunState::Planning => "planning",
            RunState::Fetching => "fetching",
            RunState::Done => "done",
            RunState::DeadlinePassed => "deadline-passed",
            RunState::Cancelled => "cancelled",
            RunState::Failed => "failed",
        }
    }
}

/// What a run was worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunValue {
    /// Hits of the site from the start of the run to the end of its window.
    pub window_hits: u64,
    /// Those of them that were answered from what the run fetched.
    pub hits_given: u64,
    /// hits_given / window_hits; null if there were no hits.
    pub share_of_hits: Option<f64>,
    /// Fetched responses that no visitor used.
    pub unused: u64,
    /// Bytes of their content.
    pub wasted_bytes: u64,
}

/// A page that failed, or could not be stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PageFailure {
    /// Host, path and query.
    pub url: String,
    /// The variant, if there is one.
    pub variant: Option<String>,
    /// Why.
    pub reason: String,
}

/// A page that a dry run would fetch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DryRunPage {
    /// Host, path and query.
    pub url: String,
    /// The variant, if there is one.
    pub variant: Option<String>,
    /// The higher goes first.
    pub priority: u8,
    /// Why: nothing is stored, or it is stale, goes stale within the window, or has changed since.
    #[cfg_attr(
        feature = "schema",
        schemars(extend("enum" = ["absent", "stale", "goes-stale", "changed"]))
    )]
    pub because: String,
}
