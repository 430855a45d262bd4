//! Versions on trial: `/policies/{policy}/shadow` and `/policies/{policy}/canary`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::module::ModuleReport;
use crate::{FleetNote, JsonQuestion};

/// Which version is to be asked in shadow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StartShadowRequest {
    /// Its number, enough of its digest to tell it from the others, or `configuration`.
    pub digest: String,
    /// The share of requests that it is asked about: a percentage.
    #[cfg_attr(feature = "schema", schemars(example = &"10%"))]
    pub sample: String,
}

impl JsonQuestion for StartShadowRequest {
    const FORM: &'static str = "{\"digest\": \"…\", \"sample\": \"10%\"}";
}

/// The version is in shadow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StartShadowResponse {
    /// The name of the policy.
    pub policy: String,
    /// The version in shadow: its digest, or `configuration`.
    pub version: String,
    /// The share of requests that it is asked about.
    pub sample: String,
}

/// A version in shadow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ShadowSummary {
    /// The version: its digest, or `configuration`.
    pub version: String,
    /// The share of requests that it is asked about.
    pub sample: String,
    /// Since when.
    pub since_unix_secs: i64,
    /// Requests that were compared.
    pub requests: u64,
    /// Responses that were compared.
    pub responses: u64,
    /// Fields that differed, reasons aside.
    pub differences: u64,
    /// Requests that it was not asked about, since the queue was full.
    pub left_out: u64,
}

/// A version in shadow, and where it differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ShadowReport {
    /// The version, and how it does.
    #[serde(flatten)]
    pub summary: ShadowSummary,
    /// The decisions of both versions; absent if the one in shadow could not be loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<VersionComparison<ShadowSample>>,
    /// The module in shadow; absent if it could not be loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<ModuleReport>,
}

/// The decisions of two versions, field by field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "VersionComparison")
)]
pub struct VersionComparison<S> {
    /// Requests that were compared.
    pub requests: u64,
    /// Responses that were compared.
    pub responses: u64,
    /// By field of a decision.
    pub fields: BTreeMap<String, FieldTally<S>>,
}

/// How often two versions agree on a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "FieldTally")
)]
pub struct FieldTally<S> {
    /// Questions that both answered alike.
    pub same: u64,
    /// Questions that they answered otherwise.
    pub different: u64,
    /// The latest of these, the latest last.
    pub samples: Vec<S>,
}

/// A question on which the version in shadow differs from the active one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ShadowSample {
    /// When it was asked.
    pub at_unix_secs: i64,
    /// Host, path and query.
    pub url: String,
    /// The class of the device.
    pub device: String,
    /// What the active version says.
    pub active: String,
    /// What the version in shadow says.
    pub candidate: String,
}

/// Which version is to answer for a share of the keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StartCanaryRequest {
    /// Its number, enough of its digest to tell it from the others, or `configuration`.
    pub digest: String,
    /// The share of the keys: a percentage, at most 50%.
    #[cfg_attr(feature = "schema", schemars(example = &"5%"))]
    pub share: String,
    /// When the canary is rolled back by itself.
    #[serde(default)]
    pub guard: GuardRequest,
    /// The share of the nodes of the fleet that have it, this one among them: a percentage. All if it
    /// is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(example = &"20%"))]
    pub nodes: Option<String>,
}

impl JsonQuestion for StartCanaryRequest {
    const FORM: &'static str = "{\"digest\": \"…\", \"share\": \"5%\"}";
}

/// When a canary is rolled back by itself: how much worse than the control it may be, in points of
/// a hundred. What is left out has its default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct GuardRequest {
    /// Requests that both groups must have answered before they are compared, again and again.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "not_null")]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "u64", range(min = 10, max = 10_000_000), extend("default" = 500))
    )]
    pub min_requests: Option<u64>,
    /// How much lower the hit rate may be.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "not_null")]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "f64", range(min = 0, max = 100), extend("default" = 5))
    )]
    pub hit_rate_points: Option<f64>,
    /// How many more requests of a hundred may go to the origin.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "not_null")]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "f64", range(min = 0, max = 100), extend("default" = 5))
    )]
    pub origin_points: Option<f64>,
    /// How many more of a hundred requests, or of a hundred questions to the policy, may fail.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "not_null")]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "f64", range(min = 0, max = 100), extend("default" = 1))
    )]
    pub failure_points: Option<f64>,
}

/// A number may be left out, but not null.
fn not_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// When a canary is rolled back by itself: how much worse than the control it may be, in points of
/// a hundred.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CanaryGuard {
    /// Requests that both groups must have answered before they are compared, again and again.
    pub min_requests: u64,
    /// How much lower the hit rate may be.
    pub hit_rate_points: f64,
    /// How many more requests of a hundred may go to the origin.
    pub origin_points: f64,
    /// How many more of a hundred requests, or of a hundred questions to the policy, may fail.
    pub failure_points: f64,
}

/// The version is a canary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StartCanaryResponse {
    /// The name of the policy.
    pub policy: String,
    /// The canary: its digest, or `configuration`.
    pub version: String,
    /// The share of the keys that it answers for.
    pub share: String,
    /// When it is rolled back by itself.
    pub guard: CanaryGuard,
    /// The nodes that have it; null if all have, or without a fleet.
    pub nodes: Option<Vec<String>>,
    /// Whether the other nodes of the fleet were told; null without a fleet.
    pub fleet: Option<FleetNote>,
}

/// A canary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CanarySummary {
    /// The version: its digest, or `configuration`.
    pub version: String,
    /// The share of the keys that it answers for.
    pub share: String,
    /// Since when.
    pub since_unix_secs: i64,
    /// When it is rolled back by itself.
    pub guard: CanaryGuard,
    /// The figures of the active version; null if the canary could not be loaded.
    pub control: Option<GroupFigures>,
    /// The figures of the canary; null if it could not be loaded.
    pub canary: Option<GroupFigures>,
}

/// The figures of one of the two groups of keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GroupFigures {
    /// Requests answered.
    pub requests: u64,
    /// As in the statistics; null if nothing was looked up.
    pub hit_rate: Option<f64>,
    /// Requests answered with an error of the edge's own.
    pub errors: u64,
    /// Requests to the origin.
    pub origin_requests: u64,
}

/// A canary that is running, or the last one that its guard rolled back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum CanaryResponse {
    /// A canary that is running.
    Running(Box<CanaryReport>),
    /// No canary is running; the last one was rolled back.
    RolledBack {
        /// The canary that was rolled back.
        rolled_back: RollbackReport,
    },
}

/// A canary that is running.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CanaryReport {
    /// The version, and how it does.
    #[serde(flatten)]
    pub summary: CanarySummary,
    /// The module of the canary; absent if it could not be loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<ModuleReport>,
}

/// A canary that its guard rolled back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RollbackReport {
    /// The version: its digest, or `configuration`.
    pub version: String,
    /// When it was rolled back.
    pub at_unix_secs: i64,
    /// Why it was rolled back.
    pub reason: String,
}

/// The trial has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TrialEndResponse {
    /// The name of the policy.
    pub policy: String,
    /// The version that was on trial.
    pub ended: String,
    /// Why it is not on disk; null if it is. A restart would forget it.
    pub unsaved: Option<String>,
    /// Whether the other nodes of the fleet were told; null without a fleet.
    pub fleet: Option<FleetNote>,
}
