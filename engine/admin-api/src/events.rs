//! `GET /events`.

use serde::{Deserialize, Serialize};

/// What operators were told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventsResponse {
    /// The latest first, at most 500.
    pub events: Vec<EventReport>,
}

/// Something that an operator must know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventReport {
    /// Counts from 1, through restarts where there is a state directory.
    pub number: u64,
    /// What is wrong.
    #[cfg_attr(
        feature = "schema",
        schemars(extend("enum" = ["origin_down", "site_without_origin", "errors_rise", "hit_rate_falls", "policy_off", "canary_rolled_back", "certificate_ends", "calendar_ends", "warming_failed", "purge_lags", "reload_refused", "upgrade_failed"]))
    )]
    pub kind: String,
    /// `page` is to be looked at now, `ticket` in working hours.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["page", "ticket"])))]
    pub severity: String,
    /// What it is about: a site, `SITE/ORIGIN`, a policy, a plan, a certificate.
    pub subject: String,
    /// In a sentence.
    pub text: String,
    /// When its condition was first seen.
    pub began_unix_secs: i64,
    /// When it was told.
    pub told_unix_secs: i64,
    /// When its condition was last seen; null while it goes on.
    pub resolved_unix_secs: Option<i64>,
}
