//! Policies and their versions: `/policies` and what is below it, trials aside.

use serde::{Deserialize, Serialize};

use crate::module::ModuleReport;
use crate::signature;
use crate::{
    CanarySummary, FleetNote, JsonQuestion, Problem, Question, RollbackReport, ShadowSummary,
    VersionForecast,
};

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
    /// Policies that were added and could not be loaded at start.
    pub left_out: Vec<LeftOutReport>,
}

/// A policy that was added and could not be loaded at start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LeftOutReport {
    /// The name of the policy.
    pub policy: String,
    /// Why.
    pub why: String,
}

/// How a policy was added that the configuration doesn't have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AdditionReport {
    /// The digest of the version that it was added with. It is called `configuration` too.
    pub digest: String,
    /// When it was added.
    pub added_unix_secs: i64,
    /// The sites that it was put on.
    pub sites: Vec<String>,
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
    /// How it was added; null if it is of the configuration.
    pub added: Option<AdditionReport>,
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VersionReport {
    /// Its number.
    pub number: u64,
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
    /// The forecast that it brought; null if it brought none.
    pub forecast: Option<VersionForecast>,
}

/// A module, as it is pushed. Settings and test cases may come along as the custom sections
/// `tero:settings` (JSON) and `tero:cases` (TOML), a forecast as `tero:forecast` (JSON of
/// [`VersionForecast`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PolicyModule {
    /// The module, with its settings and cases as custom sections.
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub content: Vec<u8>,
    /// The file of its signature (minisign) as base64 for URLs.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub signature: Option<String>,
    /// A site to put a new policy on; may be repeated. The policy decides at once then.
    #[cfg_attr(feature = "schema", schemars(rename = "site", with = "String"))]
    pub sites: Vec<String>,
    /// The policy of these sites that it comes after. Left out, it is the last one.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub after: Option<String>,
}

impl Question for PolicyModule {
    const MEDIA_TYPE: Option<&'static str> = Some(WASM);

    fn query(&self) -> String {
        let signature = self.signature.as_deref().map(signature::to_query);
        let sites = self.sites.iter().map(|site| format!("site={site}"));
        let after = self.after.as_ref().map(|after| format!("after={after}"));
        let parts: Vec<String> = signature.into_iter().chain(sites).chain(after).collect();
        match parts.is_empty() {
            true => String::new(),
            false => format!("?{}", parts.join("&")),
        }
    }

    fn content(&self) -> Vec<u8> {
        self.content.clone()
    }

    /// The content is left to the server, which has it already.
    fn read(query: Option<&str>, _: &[u8]) -> Result<PolicyModule, Problem> {
        let mut module = PolicyModule::default();
        for part in query.into_iter().flat_map(|query| query.split('&')) {
            match part.split_once('=') {
                Some(("signature", value)) => module.signature = Some(signature::of_query(value)?),
                Some(("site", site)) => module.sites.push(site.to_owned()),
                Some(("after", after)) => module.after = Some(after.to_owned()),
                _ => {
                    return Err(Problem::new(
                        "the query is unknown",
                        "leave it out, or write ?site=SITE, &after=POLICY and &signature=…",
                    ));
                }
            }
        }
        Ok(module)
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
    /// Its number.
    pub number: u64,
    /// The sites that the policy was put on; empty if only a version was pushed.
    pub sites: Vec<String>,
    /// Its size, with settings and cases.
    pub bytes: u64,
    /// Whether it brought its own settings.
    pub settings: bool,
    /// How many test cases it brought and passed; null if it brought none.
    pub cases: Option<u32>,
    /// Whether it was kept already.
    pub was_known: bool,
    /// Whether the other nodes of the fleet were told; null without a fleet.
    pub fleet: Option<FleetNote>,
}

/// The policy is off its sites, and forgotten with its versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RemovePolicyResponse {
    /// The name of the policy.
    pub policy: String,
    /// The sites that it was on.
    pub sites: Vec<String>,
    /// Whether the other nodes of the fleet were told; null without a fleet.
    pub fleet: Option<FleetNote>,
}

/// Which version is to decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ActivateRequest {
    /// Its number, enough of its digest to tell it from the others, or `configuration`.
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
    /// Whether the other nodes of the fleet were told; null without a fleet.
    pub fleet: Option<FleetNote>,
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
    /// Whether the other nodes of the fleet were told; null without a fleet.
    pub fleet: Option<FleetNote>,
}
