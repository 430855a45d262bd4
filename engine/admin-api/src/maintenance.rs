//! `GET /maintenance`, `POST` and `DELETE /maintenance/{site}`.

use serde::{Deserialize, Serialize};

use crate::JsonQuestion;

/// How a site is to be while it is being worked on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct StartMaintenanceRequest {
    /// A line for visitors, at most 1,000 bytes.
    pub message: String,
    /// When it ends by itself: a local time of the site, or one with its offset; not at all if left
    /// out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(example = &"2026-11-24T18:00"))]
    pub until: Option<String>,
    /// Whether visitors get what is stored, fresh or as stale as it may be while the origin fails.
    pub serve_stored: bool,
    /// Networks whose clients use the site as ever; at most 64.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(example = &["10.0.0.0/8"]))]
    pub exempt: Vec<String>,
}

impl JsonQuestion for StartMaintenanceRequest {
    const FORM: &'static str =
        "{\"message\": \"We are back at six.\", \"until\": \"2026-11-24T18:00\"}";
}

/// A site that is being worked on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MaintenanceReport {
    /// The name of the site.
    pub site: String,
    /// The line for visitors.
    pub message: String,
    /// When it ends by itself, in seconds since the Unix epoch; null for not at all.
    pub until_unix_secs: Option<i64>,
    /// The same in RFC 3339, on the clock of the site.
    pub until: Option<String>,
    /// Whether visitors get what is stored.
    pub serve_stored: bool,
    /// Networks whose clients use the site as ever.
    pub exempt: Vec<String>,
}

/// The sites that are being worked on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MaintenanceResponse {
    /// In the order of the configuration.
    pub sites: Vec<MaintenanceReport>,
}

/// The maintenance of a site was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StartMaintenanceResponse {
    /// How the site is now.
    #[serde(flatten)]
    pub report: MaintenanceReport,
    /// Whether a restart goes on with it: with `state_dir`.
    pub survives_restart: bool,
}

/// The maintenance of a site was ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EndMaintenanceResponse {
    /// The name of the site.
    pub site: String,
    /// Whether it was being worked on.
    pub was_on: bool,
}
