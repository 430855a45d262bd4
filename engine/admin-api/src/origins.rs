//! `/origins`: the next hops of the sites, how they do, and taking one out.

use serde::{Deserialize, Serialize};

use crate::JsonQuestion;

/// The origins of all sites.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OriginsResponse {
    /// In the order of the configuration.
    pub origins: Vec<OriginReport>,
}

/// An origin of a site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OriginReport {
    /// The name of the site.
    pub site: String,
    /// The name of the origin: the written one, or host and port.
    pub origin: String,
    /// The names of the routes that have origins of their own, this one among them.
    pub routes: Vec<String>,
    /// Whether it gets no other requests than those for which it is named.
    pub only_by_name: bool,
    /// Whether it is a shield in front of the site's origins (`[site.shield]`).
    pub shield: bool,
    /// Its addresses, as far as they are known.
    pub addresses: Vec<String>,
    /// How it does.
    pub state: OriginState,
    /// Why it rests or is down; empty if it does not.
    pub reason: String,
    /// For how many milliseconds it still rests.
    pub rests_for_ms: u64,
    /// Requests whose responses have not ended.
    pub in_flight: u64,
    /// Requests, since the start.
    pub requests: u64,
    /// Of these, those that failed: without a response, or with a 5xx.
    pub failed: u64,
    /// The mean time from a request to the head of its response, in milliseconds. `None` without
    /// requests.
    pub mean_ms: Option<f64>,
    /// Connections that were opened.
    pub connections: u64,
    /// When its certificate ends, in seconds since 1970, as of the latest connection with TLS.
    pub certificate_ends: Option<i64>,
}

/// How an origin does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum OriginState {
    /// It is asked.
    Healthy,
    /// Its rest is over, and one request tries it.
    Trial,
    /// It failed, and is asked only if no other is left.
    Resting,
    /// It failed its checks, and is asked only if no other is left.
    Down,
    /// It was taken out, and is not asked.
    Drained,
}

impl OriginState {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            OriginState::Healthy => "healthy",
            OriginState::Trial => "trial",
            OriginState::Resting => "resting",
            OriginState::Down => "down",
            OriginState::Drained => "drained",
        }
    }
}

/// Which origin is taken out, or put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OriginRequest {
    /// The name of the site.
    pub site: String,
    /// The name of the origin.
    pub origin: String,
}

impl JsonQuestion for OriginRequest {
    const FORM: &'static str = "{\"site\": \"shop\", \"origin\": \"app-1\"}";
}
