//! `GET /stats`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What was counted since the edge started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StatsResponse {
    /// By site, in the order of the configuration.
    pub sites: Vec<SiteStats>,
    /// Stored responses.
    pub cache: StoreStats,
    /// Remembered decisions of policies.
    pub decision_cache: DecisionCacheStats,
}

/// The figures of a site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SiteStats {
    /// The name of the site.
    pub site: String,
    /// The zone whose clock its hours follow.
    pub zone: String,
    /// Requests, and how many of them were hits.
    #[serde(flatten)]
    pub figures: HitFigures,
    /// Whether it is in maintenance.
    pub maintenance: bool,
    /// Bytes of content sent to visitors.
    pub response_bytes: u64,
    /// Requests to origins by the class of the status (`2xx`), and `failed`.
    pub origin_requests: BTreeMap<String, u64>,
    /// By variant; all together they are the site's.
    pub variants: Vec<VariantStats>,
    /// By hour of the local day, those with requests.
    pub hours: Vec<HourStats>,
}

/// The figures of a variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VariantStats {
    /// The variant; null: no variant.
    pub variant: Option<String>,
    /// Requests, and how many of them were hits.
    #[serde(flatten)]
    pub figures: HitFigures,
    /// By hour of the local day, those with requests.
    pub hours: Vec<HourStats>,
}

/// The figures of an hour of the day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HourStats {
    /// The hour on the clock of the site's zone, 0 to 23.
    #[cfg_attr(feature = "schema", schemars(range(max = 23)))]
    pub hour: u8,
    /// Requests, and how many of them were hits.
    #[serde(flatten)]
    pub figures: HitFigures,
}

/// Requests, and how many of them were hits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HitFigures {
    /// Requests.
    pub requests: u64,
    /// (hit + stale + revalidated + collapsed) / (all but pass, error and rule), to four digits; null if
    /// nothing was looked up.
    pub hit_rate: Option<f64>,
    /// Requests by outcome.
    pub outcomes: OutcomeCounts,
}

/// Requests by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OutcomeCounts {
    /// Answered with a fresh stored response.
    pub hit: u64,
    /// Answered with a stale stored response.
    pub stale: u64,
    /// Answered with a stored response that the origin confirmed.
    pub revalidated: u64,
    /// Answered with the response to another request for the same key.
    pub collapsed: u64,
    /// Answered with a response that was fetched.
    pub miss: u64,
    /// Not looked up, by decision.
    pub pass: u64,
    /// Answered with an error of the edge's own.
    pub error: u64,
    /// Answered by a rule of the site: a redirect, a refusal, maintenance, own content.
    pub rule: u64,
}

/// Stored responses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StoreStats {
    /// Keys.
    pub entries: u64,
    /// Bytes of memory, fills in flight included.
    pub bytes: u64,
    /// The part of `bytes` that fills in flight take.
    pub fill_bytes: u64,
    /// Keys that were pushed out to make room.
    pub evictions: u64,
}

/// Remembered decisions of policies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DecisionCacheStats {
    /// Requests whose decision was remembered.
    pub hits: u64,
    /// Requests for which policies were asked.
    pub misses: u64,
    /// hits / (hits + misses), to four digits; null before the first request.
    pub hit_rate: Option<f64>,
    /// Decisions.
    pub entries: u64,
    /// Bytes of memory.
    pub bytes: u64,
}
