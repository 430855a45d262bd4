//! `POST /explain`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::JsonQuestion;

/// A request to be explained.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ExplainRequest {
    /// An absolute URL; or a path, if the edge has one site.
    #[cfg_attr(
        feature = "schema",
        schemars(example = &"http://www.example.org/prices")
    )]
    pub url: String,
    /// Its method.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("default" = "GET")))]
    pub method: Option<String>,
    /// When it would come: a local time of the site, or one with its offset; now if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(example = &"2026-11-24T08:59"))]
    pub at: Option<String>,
    /// Its fields.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, FieldValues>,
    /// The class of the device, in the place of the one that the fields tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The response that policies are asked about; the stored one if left out, or else a 200
    /// without fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<ResponseInput>,
}

impl JsonQuestion for ExplainRequest {
    const FORM: &'static str =
        "{\"url\": \"http://www.example.org/path\", \"at\": \"2026-11-24T08:59:00\"}";
}

/// A response that policies are asked about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ResponseInput {
    /// Its status.
    #[serde(default = "ok")]
    pub status: u16,
    /// Its fields.
    #[serde(default)]
    pub headers: BTreeMap<String, FieldValues>,
}

fn ok() -> u16 {
    200
}

/// One value of a field, or several lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum FieldValues {
    /// One line.
    One(String),
    /// Several lines.
    Many(Vec<String>),
}

/// What would become of the request, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExplainResponse {
    /// The name of the site.
    pub site: String,
    /// When the request would come.
    pub at: ExplanationTime,
    /// The class of the device.
    pub device: String,
    /// What each policy says, in the order of the site.
    pub policies: Vec<PolicyTrace>,
    /// What the policies say of the request, all together.
    pub decision: RequestTerms,
    /// The response that policies were asked about.
    pub response: ResponseTrace,
    /// The rules of the engine that had a say, in the order of the request path.
    pub rules: Vec<EngineRule>,
    /// The key.
    pub key: KeyParts,
    /// The responses that are stored under the key, the latest first.
    pub stored: Vec<StoredVariant>,
    /// What would become of the request.
    pub would: ExpectedOutcome,
}

/// When a request would come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExplanationTime {
    /// In seconds since the Unix epoch.
    pub unix_secs: i64,
    /// In RFC 3339, on the clock of the zone.
    pub local: String,
    /// The zone of the site.
    pub zone: String,
}

/// What one policy says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PolicyTrace {
    /// The name of the policy.
    pub policy: String,
    /// The digest of its module.
    pub digest: String,
    /// Whether it is the canary.
    pub canary: bool,
    /// What it says of the request.
    pub on_request: HookTrace<RequestWords>,
    /// What it says of the response.
    pub on_response: HookTrace<ResponseWords>,
}

/// What came of asking a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "HookTraceOf{A}")
)]
#[serde(untagged)]
pub enum HookTrace<A> {
    /// It answered.
    Answer {
        /// What it says.
        answer: A,
    },
    /// It failed.
    Failure {
        /// How: `trap`, `deadline`, `memory` or `bad_answer`.
        failed: String,
        /// In more words.
        reason: String,
    },
    /// It was not asked.
    Silence {
        /// Why it was not asked.
        not_asked: String,
        /// Why it is switched off.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

/// What a policy says of a request; what it leaves unsaid is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct RequestWords {
    /// `cache` or `pass`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lookup: Option<String>,
    /// The variant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Which query parameters count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// What else it decides, by name, in words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub more: BTreeMap<String, String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a policy says of a response; what it leaves unsaid is absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResponseWords {
    /// `by-headers`, `never` or `always`.
    pub storing: String,
    /// How long it is fresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_secs: Option<u64>,
    /// How long it is fresh in browsers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser_ttl_secs: Option<u64>,
    /// How long it may be served stale while it is revalidated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_while_revalidate_secs: Option<u64>,
    /// How long it may be served stale if the origin fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_if_error_secs: Option<u64>,
    /// Its surrogate keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What else it decides, by name, in words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub more: BTreeMap<String, String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What the policies say of a request, all together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RequestTerms {
    /// `cache` or `pass`.
    pub lookup: String,
    /// The variant.
    pub variant: Option<String>,
    /// Which query parameters count.
    pub query: String,
    /// What else they decide, by name, in words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub more: BTreeMap<String, String>,
    /// Why.
    pub reason: Option<String>,
}

/// The response that policies were asked about, and what would become of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResponseTrace {
    /// `given` with the question, `stored`, or `assumed`: a 200 without fields.
    pub from: String,
    /// Its status.
    pub status: u16,
    /// Whether it would be stored.
    pub would_be_stored: bool,
    /// Why it would not be stored.
    pub refusal: Option<String>,
    /// How long it would be fresh.
    pub lifetime_secs: u64,
    /// What says so.
    pub lifetime_from: String,
    /// What the policies say of it, all together.
    pub decision: ResponseTerms,
}

/// What the policies say of a response, all together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResponseTerms {
    /// `by-headers`, `never` or `always`.
    pub storing: String,
    /// How long it is fresh.
    pub ttl_secs: Option<u64>,
    /// How long it is fresh in browsers.
    pub browser_ttl_secs: Option<u64>,
    /// How long it may be served stale while it is revalidated.
    pub stale_while_revalidate_secs: Option<u64>,
    /// How long it may be served stale if the origin fails.
    pub stale_if_error_secs: Option<u64>,
    /// Its surrogate keys.
    pub tags: Vec<String>,
    /// What else they decide, by name, in words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub more: BTreeMap<String, String>,
    /// Why.
    pub reason: Option<String>,
}

/// A rule of the engine that had a say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EngineRule {
    /// Its name.
    pub rule: String,
    /// What it did.
    pub text: String,
}

/// The parts of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeyParts {
    /// The URL, with the query parameters that count.
    pub url: String,
    /// The variant.
    pub variant: Option<String>,
    /// What else a decision makes the response depend on, as the key has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
}

/// A response that is stored under the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StoredVariant {
    /// Whether the request selects it.
    pub selected: bool,
    /// Its status.
    pub status: u16,
    /// Bytes of its content.
    pub bytes: u64,
    /// The request fields that select it.
    pub vary: Vec<String>,
    /// How old it would be.
    pub age_secs: u64,
    /// How long it is fresh.
    pub lifetime_secs: u64,
    /// What says so.
    pub lifetime_from: String,
    /// Whether it would be fresh.
    pub fresh: bool,
    /// What would be left of its freshness lifetime; negative if it would be stale.
    pub fresh_for_secs: i64,
    /// Whether it would be served stale while it is revalidated.
    pub served_while_revalidated: bool,
    /// Whether it would be served stale if the origin fails.
    pub served_if_the_origin_fails: bool,
    /// Its surrogate keys.
    pub tags: Vec<String>,
    /// Whether a warming plan fetched it.
    pub warmed: bool,
    /// Why the policies decided so.
    pub reason: Option<String>,
}

/// What would become of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExpectedOutcome {
    /// What would happen.
    #[cfg_attr(
        feature = "schema",
        schemars(extend("enum" = ["hit", "stale", "revalidate", "miss", "pass", "error", "rule"]))
    )]
    pub outcome: String,
    /// Why.
    pub why: String,
}
