//! Policies and their versions: `/policies` and what is below it, trials aside.

use serde::{Deserialize, Serialize};

use crate::module::ModuleReport;
use crate::{CanarySummary, JsonQuestion, Problem, Question, RollbackReport, ShadowSummary};

/// What the configuration's own version of a policy is called.
pub const CONFIGURATION: &str = "configuration";

/// The media type of a module.
pub const WASM: &str = "application/wasm";

/// The policies of the configuration, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PoliciesResponse {
    /// By name.
    pub policies: Vec<PolicyReport>,
}

/// A policy, with its versions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PolicyReport {
    /// The module of the active version.
    #[serde(flatten)]
    pub module: ModuleReport,
    /// The active version: its digest, or `configuration`.
    pub version: String,
    /// Since when it has been active.
    pub active_since_unix_secs: i64,
    /// The version that a rollback leads to.
    pub previous: Option<String>,
    /// The sites that ask the policy.
    pub sites: Vec<String>,
    /// The pushed versions, the latest first.
    pub versions: Vec<VersionReport>,
    /// The digest of the configuration's version.
    pub configuration_digest: String,
    /// Why the version that should be active is not.
    pub trouble: Option<String>,
    /// Why the last change is not on disk; null if it is. A restart would forget the change.
    pub unsaved: Option<String>,
    /// The version in shadow.
    pub shadow: Option<ShadowSummary>,
    /// The version that is a canary.
    pub canary: Option<CanarySummary>,
    /// The last canary that its guard rolled back.
    pub rolled_back: Option<RollbackReport>,
}

/// A version that was pushed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VersionReport {
    /// The SHA-256 of what was pushed, in hexadecimal.
    pub digest: String,
    /// When it was pushed.
    pub pushed_unix_secs: i64,
    /// Its size, with settings and cases.
    pub bytes: u64,
    /// Whether it brought its own settings.
    pub settings: bool,
    /// How many test cases it brought and passed; null if it brought none.
    pub cases: Option<u32>,
}

/// A module, as it is pushed. Settings and test cases may come along as the custom sections
/// `tero:settings` (JSON) and `tero:cases` (TOML).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyModule(pub Vec<u8>);

impl Question for PolicyModule {
    const MEDIA_TYPE: Option<&'static str> = Some(WASM);

    fn content(&self) -> Vec<u8> {
        self.0.clone()
    }

    fn read(_: Option<&str>, content: &[u8]) -> Result<PolicyModule, Problem> {
        Ok(PolicyModule(content.to_vec()))
    }
}

/// The version is kept; it decides nothing yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PushResponse {
    /// The name of the policy.
    pub policy: String,
    /// The digest of the version.
    pub version: String,
    /// Its size, with settings and cases.
    pub bytes: u64,
    /// Whether it brought its own settings.
    pub settings: bool,
    /// How many test cases it brought and passed; null if it brought none.
    pub cases: Option<u32>,
    /// Whether it was kept already.
    pub was_known: bool,
}

/// Which version is to decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ActivateRequest {
    /// Enough of its digest to tell it from the others, or `configuration`.
    pub digest: String,
}

impl JsonQuestion for ActivateRequest {
    const FORM: &'static str = "{\"digest\": \"…\"}, or {\"digest\": \"configuration\"}";
}

/// The version decides now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ActivateResponse {
    /// The name of the policy.
    pub policy: String,
    /// The active version: its digest, or `configuration`.
    pub version: String,
}

/// What a rollback came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RollbackResponse {
    /// The name of the policy.
    pub policy: String,
    /// The active version: its digest, or `configuration`.
    pub version: String,
    /// The canary that was ended; null if the version before decides again.
    pub ended_canary: Option<String>,
    /// Why it is not on disk; null if it is. A restart would forget it.
    pub unsaved: Option<String>,
}
