//! The contract of the admin interface: serde types of every question and answer, and the paths
//! and methods that they belong to.
//!
//! The server, the command line and tests share it. It knows nothing of the engine: the server
//! converts views of the engine into these types. [`endpoints`] lists the requests, each an
//! [`Endpoint`]. The feature `client` brings a blocking `Client`, the feature `schema` the module
//! `openapi`, which makes the OpenAPI document from the types.
//!
//! ```no_run
//! use tero_admin_api::client::Client;
//! use tero_admin_api::{PurgeRequest, PurgeTarget, endpoints::Purge};
//!
//! let client = Client::new("http://127.0.0.1:9090", None)?;
//! let request = PurgeRequest::new(PurgeTarget::Tag("prices".to_owned()), true);
//! let answer = client.call::<Purge>(&[], &request)?;
//! println!("{} stored responses are stale now", answer.purged);
//! # Ok::<(), tero_admin_api::client::ClientError>(())
//! ```

mod certificates;
#[cfg(feature = "client")]
pub mod client;
mod cluster;
mod data;
mod disks;
mod endpoint;
pub mod endpoints;
mod events;
mod exchange;
mod explain;
mod forecast;
mod live;
mod maintenance;
mod module;
#[cfg(feature = "schema")]
pub mod openapi;
mod origins;
mod policies;
mod probes;
mod problem;
mod purge;
mod reload;
mod signature;
mod stats;
mod trials;
mod upgrade;
mod warm;

pub use certificates::{AcmeReport, CertificateFileReport, CertificatesResponse};
pub use cluster::{
    ClusterResponse, FleetNote, NatsReport, NodeCanary, NodePolicy, NodeReport, NodeStatus,
    NodeTable, NodeTrialFigures, PurgeStanding,
};
pub use data::{
    CONTENT, ConfiguredTableReport, LookUpRequest, LookUpResponse, PushTableRequest,
    PushTableResponse, RemoveTableResponse, RollBackTableRequest, RollBackTableResponse,
    TableReport, TableRowReport, TableVersionReport, TablesResponse,
};
pub use disks::{DiskState, DiskStats, DisksResponse};
pub use endpoint::{
    Answer, Endpoint, EndpointInfo, JSON, JsonQuestion, MetricsText, OPEN_METRICS, OpenApiText,
    PROMETHEUS_TEXT, PathError, Question, path_of,
};
pub use events::{EventReport, EventsResponse};
pub use exchange::{
    AnsweredPurge, DifferingPurges, ExchangeRequest, ExchangeResponse, ExchangedPurge, KnownPurges,
    PurgeKind,
};
pub use explain::{
    EngineRule, ExpectedOutcome, ExplainRequest, ExplainResponse, ExplanationTime, FieldValues,
    HookTrace, KeyParts, PolicyTrace, RequestTerms, RequestWords, ResponseInput, ResponseTerms,
    ResponseTrace, ResponseWords, StoredVariant,
};
pub use forecast::VersionForecast;
pub use live::{
    LiveEvent, LiveFigures, LiveQuestion, LiveSite, LiveStream, NDJSON, RequestReport,
    TrafficReport,
};
pub use maintenance::{
    EndMaintenanceResponse, MaintenanceReport, MaintenanceResponse, StartMaintenanceRequest,
    StartMaintenanceResponse,
};
pub use module::{HookFigures, ModuleReport, ModuleStatus};
pub use origins::{OriginReport, OriginRequest, OriginState, OriginsResponse};
pub use policies::{
    ActivateRequest, ActivateResponse, AdditionReport, CONFIGURATION, LeftOutReport,
    PoliciesResponse, PolicyModule, PolicyReport, PushResponse, RemovePolicyResponse,
    RollbackResponse, VersionReport, WASM,
};
pub use probes::{ProbeResponse, ProbeStatus, ReadyRequest};
pub use problem::{CaseMismatch, CaseMistake, FileMistake, Mistake, Problem};
pub use purge::{
    FleetPurge, PeerPurge, PurgeFields, PurgeRequest, PurgeResponse, PurgeTarget, PurgeWait,
};
pub use reload::ReloadResponse;
pub use stats::{
    DecisionCacheStats, FleetCoverage, HitFigures, HourStats, OutcomeCounts, SiteStats, SiteWeek,
    StatsRequest, StatsResponse, StoreStats, VariantStats, WeekFigures, WeekHour, WeekResponse,
    WeekVariant,
};
pub use trials::{
    CanaryGuard, CanaryReport, CanaryResponse, CanarySummary, FieldTally, GroupFigures,
    GuardRequest, RollbackReport, ShadowReport, ShadowSample, ShadowSummary, StartCanaryRequest,
    StartCanaryResponse, StartShadowRequest, StartShadowResponse, TrialEndResponse,
    VersionComparison,
};
pub use upgrade::UpgradeResponse;
pub use warm::{
    CancelWarmResponse, DryRunPage, FleetRunNode, FleetRunReport, PageFailure, RunState,
    RunTrigger, RunValue, StartWarmRequest, StartWarmResponse, WarmPlanReport, WarmPlansResponse,
    WarmRunReport, WarmRunsResponse,
};

/// The OpenAPI document of the interface, as it is served.
pub const OPENAPI: &str = include_str!("../openapi.json");
