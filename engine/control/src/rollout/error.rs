//! Why a change of versions was refused.

use super::limits::{MAX_CANARY_SHARE, MAX_CASES};
use super::record::Version;
use super::version_store::VersionStoreError;
use tero_config::ConfigErrors;
use tero_policy_host::PolicyError;
use tero_policy_host::cases::CaseOutcome;

/// Why a change was refused.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// The configuration has no such policy.
    #[error("there is no policy `{name}`; there are {known}")]
    UnknownPolicy {
        /// The unknown name.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// The policy has no such version.
    #[error("`{version}` {problem} of `{policy}`; there are {known}")]
    UnknownVersion {
        /// The policy.
        policy: String,
        /// What was asked for.
        version: String,
        /// None, or several.
        problem: &'static str,
        /// What there is.
        known: String,
    },
    /// No version was active before.
    #[error(
        "`{0}` has no version to roll back to: the one of the configuration has been active all along"
    )]
    NothingBefore(String),
    /// It is what it should become.
    #[error("{version} of `{policy}` is active already")]
    IsActive {
        /// The policy.
        policy: String,
        /// The version.
        version: Version,
    },
    /// No trial is running.
    #[error("`{policy}` has no version {what}")]
    NoTrial {
        /// The policy.
        policy: String,
        /// `in shadow` or `as a canary`.
        what: &'static str,
    },
    /// Another policy of a site has a canary.
    #[error("the site `{site}` has a canary of `{policy}` already; one after the other")]
    OtherCanary {
        /// The site.
        site: String,
        /// The other policy.
        policy: String,
    },
    /// The share is too large for a canary.
    #[error(
        "a canary of {0} leaves too little to compare it with; at most {MAX_CANARY_SHARE}, then activate it"
    )]
    LargeCanary(String),
    /// A number of the guard is out of range.
    #[error("`{key}` of the guard is out of range; write {range}")]
    BadGuard {
        /// Which.
        key: &'static str,
        /// What may be written.
        range: &'static str,
    },
    /// Nothing can be kept.
    #[error(
        "nothing can be pushed: write `state_dir` in [policies] of the configuration, and start tero again"
    )]
    NoStateDir,
    /// The module, its settings or its manifest can't be used.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The cases that came along are none.
    #[error("{0}")]
    BadCases(ConfigErrors),
    /// More cases came along than an edge has time for.
    #[error("{count} cases came along; at most {MAX_CASES} are run on an edge")]
    TooManyCases {
        /// How many.
        count: usize,
    },
    /// The version does not pass a case that came along.
    #[error("`{policy}` does not pass its case `{case}` (line {line}): {problem}", case = outcome.case, line = outcome.line,
        problem = outcome.problems.first().map(|problem| format!("{}: expected {}, got {}", problem.field, problem.expected, problem.got)).unwrap_or_default())]
    FailedCase {
        /// The policy.
        policy: String,
        /// What came of it.
        outcome: Box<CaseOutcome>,
    },
    /// Something can't be kept, or was not kept well.
    #[error(transparent)]
    Shelf(#[from] VersionStoreError),
    /// Others changed the same at the same time, again and again.
    #[error("too many changes at the same time; try again")]
    Busy,
}
