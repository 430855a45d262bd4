//! `GET /stats` and `GET /stats/week`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Problem, Question};

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
    /// The nodes that these are sums over; `None` if it is this node alone.
    pub fleet: Option<FleetCoverage>,
}

/// The nodes that sums are over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FleetCoverage {
    /// Those that are counted.
    pub nodes: Vec<String>,
    /// Those that were heard of and did not answer.
    pub missing: Vec<String>,
}

/// Whose statistics are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StatsRequest {
    /// Whether those of all nodes of the fleet, in place of this node's.
    #[cfg_attr(feature = "schema", schemars(extend("default" = false)))]
    pub fleet: bool,
}

impl Question for StatsRequest {
    const MEDIA_TYPE: Option<&'static str> = None;

    fn query(&self) -> String {
        let query = if self.fleet { "?fleet=true" } else { "" };
        query.to_owned()
    }

    fn read(query: Option<&str>, _: &[u8]) -> Result<StatsRequest, Problem> {
        match query {
            None | Some("fleet=false") => Ok(StatsRequest::default()),
            Some("fleet=true") => Ok(StatsRequest { fleet: true }),
            Some(_) => Err(Problem::new(
                "the query is unknown",
                "ask for /stats or /stats?fleet=true",
            )),
        }
    }
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

/// The last seven days by local hour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WeekResponse {
    /// By site, in the order of the configuration.
    pub sites: Vec<SiteWeek>,
}

/// The last seven days of a site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SiteWeek {
    /// The name of the site.
    pub site: String,
    /// The zone whose clock its hours follow.
    pub zone: String,
    /// What the clock of the zone shows, in RFC 3339.
    pub local: String,
    /// The hours with requests, the earliest first.
    pub hours: Vec<WeekHour>,
}

/// An hour of the last seven days.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WeekHour {
    /// The local day, `2026-11-24`.
    pub date: String,
    /// The day of the week, 0 for Monday to 6 for Sunday.
    #[cfg_attr(feature = "schema", schemars(range(max = 6)))]
    pub weekday: u8,
    /// The local hour, 0 to 23.
    #[cfg_attr(feature = "schema", schemars(range(max = 23)))]
    pub hour: u8,
    /// Requests, bytes, and how many of them were hits.
    #[serde(flatten)]
    pub figures: WeekFigures,
    /// Responses with 5xx, of origins or the edge's own, without those of rules of the site.
    pub errors: u64,
    /// The share of responses whose head left within 200 ms, to four digits; null without requests.
    pub within_200_ms: Option<f64>,
    /// The median of the times to the heads of responses, in milliseconds, as far as the classes of
    /// the histogram tell.
    pub p50_ms: Option<f64>,
    /// 95 % of the times are not longer.
    pub p95_ms: Option<f64>,
    /// 99 % of the times are not longer.
    pub p99_ms: Option<f64>,
    /// By variant, those with requests; all together they are those of the hour.
    pub variants: Vec<WeekVariant>,
}

/// The figures of a variant in an hour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WeekVariant {
    /// The variant; null: no variant.
    pub variant: Option<String>,
    /// Requests, bytes, and how many of them were hits.
    #[serde(flatten)]
    pub figures: WeekFigures,
}

/// Requests, bytes, and how many of them were hits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WeekFigures {
    /// Requests, and how many of them were hits.
    #[serde(flatten)]
    pub hits: HitFigures,
    /// Bytes of content sent.
    pub bytes: u64,
    /// The hit rate of bytes, counted as that of requests; null if nothing was looked up.
    pub byte_hit_rate: Option<f64>,
}

impl OutcomeCounts {
    /// Adds those of `other`.
    pub fn add(&mut self, other: &OutcomeCounts) {
        self.hit += other.hit;
        self.stale += other.stale;
        self.revalidated += other.revalidated;
        self.collapsed += other.collapsed;
        self.miss += other.miss;
        self.pass += other.pass;
        self.error += other.error;
        self.rule += other.rule;
    }
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
    /// The part of `bytes` that new keys take, which have to prove themselves.
    pub newcomer_bytes: u64,
    /// Keys that were pushed out to make room.
    pub evictions: u64,
    /// New keys of a full memory that were requested often enough to stay.
    pub admitted: u64,
    /// New keys of a full memory that were not, and left.
    pub refused: u64,
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
