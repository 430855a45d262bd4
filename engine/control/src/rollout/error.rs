//! Why a change to the versions of policies was refused.

use super::limits::{MAX_ADDED, MAX_CANARY_SHARE, MAX_CASES};
use super::record::Version;
use super::version_store::VersionStoreError;
use tero_config::ConfigErrors;
use tero_edge::origin::OriginTlsError;
use tero_policy_host::PolicyError;
use tero_policy_host::cases::CaseOutcome;
use tero_policy_host::device::DeviceModelsError;
use tero_policy_host::trust::TrustError;

fn known_policies(names: &str) -> String {
    match names {
        "" => "the configuration has none".to_owned(),
        names => format!("the policies are {names}"),
    }
}

fn none_if_empty(names: &str) -> &str {
    if names.is_empty() { "none" } else { names }
}

/// Why a change to the versions of policies was refused.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// The configuration has no such policy.
    #[error("there is no policy `{name}`; {}", known_policies(.known))]
    UnknownPolicy {
        /// The unknown name.
        name: String,
        /// The names of the configuration's policies.
        known: String,
    },
    /// The name is not a name.
    #[error("`{0}` is not a name")]
    Name(String),
    /// A policy can't be added twice, nor beside one of the configuration.
    #[error("there is a policy `{0}` already, and only a new one can be put on a site")]
    PolicyExists(String),
    /// As many policies were added as may be.
    #[error("{MAX_ADDED} policies were added to those of the configuration")]
    ManyAdded,
    /// There is no such site to put a policy on.
    #[error("there is no site `{site}`; the sites are {known}")]
    UnknownSite {
        /// The unknown name.
        site: String,
        /// The names of the sites.
        known: String,
    },
    /// A policy is to be put after one that its site doesn't have.
    #[error("the site `{site}` has no policy `{policy}`; its policies are {}", none_if_empty(.known))]
    NotOfSite {
        /// The site.
        site: String,
        /// The policy that it has not.
        policy: String,
        /// Its policies.
        known: String,
    },
    /// What was to be changed beside the policies can't be.
    #[error("another part of the change can't be made")]
    GivenUp,
    /// Only policies that were added can be removed.
    #[error("the policy `{0}` is of the configuration")]
    OfConfiguration(String),
    /// A version reads a data table that isn't there.
    #[error("`{policy}` reads the table `{table}`, which isn't there; the tables are {}", none_if_empty(.known))]
    UnknownTable {
        /// The policy.
        policy: String,
        /// The table.
        table: String,
        /// The names of the tables.
        known: String,
    },
    /// The policy has no such version.
    #[error("`{version}` {problem} of `{policy}`; its versions are {known}")]
    UnknownVersion {
        /// The policy.
        policy: String,
        /// The text that should name a version.
        version: String,
        /// Whether it names none, or may name several.
        problem: &'static str,
        /// The policy's versions.
        known: String,
    },
    /// No version was active before.
    #[error(
        "`{0}` has no version to roll back to: the configuration's version decides, and no other was active before"
    )]
    NothingBefore(String),
    /// The version is active already.
    #[error("{version} of `{policy}` is active already")]
    IsActive {
        /// The policy.
        policy: String,
        /// The version.
        version: Version,
    },
    /// The policy has no such trial.
    #[error("`{policy}` has no version {what}")]
    NoTrial {
        /// The policy.
        policy: String,
        /// `in shadow` or `as a canary`.
        what: &'static str,
    },
    /// Another policy of a site has a canary.
    #[error(
        "the site `{site}` has a canary of `{policy}` already; a site has one canary at a time"
    )]
    OtherCanary {
        /// The site.
        site: String,
        /// The other policy.
        policy: String,
    },
    /// The share is too large for a canary.
    #[error(
        "a canary of {0} leaves too little to compare it with; write at most {MAX_CANARY_SHARE}, or activate the version"
    )]
    LargeCanary(String),
    /// A number of the guard is out of range.
    #[error("`{key}` of the guard is out of range; write {range}")]
    BadGuard {
        /// Its key.
        key: &'static str,
        /// The values that are allowed.
        range: &'static str,
    },
    /// The file of device models can't be used.
    #[error(transparent)]
    DeviceModels(#[from] DeviceModelsError),
    /// TLS to an origin can't be set up.
    #[error("site {site}: TLS to the origins can't be set up: {source}")]
    OriginTls {
        /// The site.
        site: String,
        /// What is wrong.
        #[source]
        source: OriginTlsError,
    },
    /// There is no state directory to keep versions in.
    #[error(
        "versions can't be pushed without a state directory: write `state_dir` in [policies] of the configuration, and restart tero"
    )]
    NoStateDir,
    /// The module, its settings or its manifest can't be used.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The version that was pushed is not signed by a trusted key.
    #[error("the version is refused: {0}")]
    Untrusted(#[from] TrustError),
    /// The test cases that came with a version have mistakes.
    #[error("{0}")]
    BadCases(ConfigErrors),
    /// More test cases came with a version than an edge runs.
    #[error("{count} test cases came with the version; an edge runs at most {MAX_CASES}")]
    TooManyCases {
        /// How many.
        count: usize,
    },
    /// The text of the test cases that came with a version is longer than an edge reads.
    #[error(
        "the test cases that came with the version have {bytes} bytes; an edge reads at most 4 MiB"
    )]
    LongCases {
        /// How long it is.
        bytes: usize,
    },
    /// The forecast that came with the version is not one.
    #[error(
        "the forecast that came with the version is malformed, or a figure of it is out of range"
    )]
    BadForecast,
    /// The version does not pass a test case that came with it.
    #[error("`{policy}` does not pass its case `{case}` (line {line}): {problem}", case = outcome.case, line = outcome.line,
        problem = outcome.problems.first().map(|problem| format!("{}: expected {}, got {}", problem.field, problem.expected, problem.got)).unwrap_or_default())]
    FailedCase {
        /// The policy.
        policy: String,
        /// The outcome of the case.
        outcome: Box<CaseOutcome>,
    },
    /// A version or a record can't be read or written.
    #[error(transparent)]
    VersionStore(#[from] VersionStoreError),
    /// Other changes came first, again and again.
    #[error("too many changes at the same time; try again")]
    Busy,
}
