//! The reasons for which a policy cannot be used.

use std::path::PathBuf;
use std::sync::Arc;

use crate::contract;
use crate::counters::FailureKind;
use crate::escape::escaped;
use crate::trust::TrustError;
use tero_config::units::show_size;

/// The reason for which a policy cannot be used as configured.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The WebAssembly engine cannot be set up on this machine.
    #[error("WebAssembly can't run here: {reason}")]
    Engine {
        /// What is missing.
        reason: String,
    },
    /// The module file cannot be read.
    #[error("policy `{policy}`: {path}: {source}", path = path.display())]
    Read {
        /// The name of the policy.
        policy: Arc<str>,
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// No built-in policy has this name.
    #[error(
        "policy `{policy}`: no built-in policy is called `{name}`; the built-in policies are {known}"
    )]
    UnknownBuiltin {
        /// The name of the policy.
        policy: Arc<str>,
        /// The unknown name.
        name: String,
        /// The names of the built-in policies, for people.
        known: String,
    },
    /// The module file is larger than the limit.
    #[error("policy `{policy}`: the module is larger than {} (`policies.max_module`)", show_size(*limit))]
    TooLarge {
        /// The name of the policy.
        policy: Arc<str>,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The module is not signed by a trusted key.
    #[error("policy `{policy}`: the module is refused: {source}")]
    Untrusted {
        /// The name of the policy.
        policy: Arc<str>,
        /// Why.
        #[source]
        source: TrustError,
    },
    /// The file is not a valid WebAssembly module.
    #[error("policy `{policy}`: not a WebAssembly module: {reason}", reason = escaped(reason))]
    NotAModule {
        /// The name of the policy.
        policy: Arc<str>,
        /// The defect.
        reason: String,
    },
    /// Compiling the module exceeded a limit, or ended its compiler.
    #[error("policy `{policy}`: the module can't be compiled: {reason}", reason = escaped(reason))]
    CompileLimit {
        /// The name of the policy.
        policy: Arc<str>,
        /// The limit, or how the compiler ended.
        reason: String,
    },
    /// The module does not implement the contract.
    #[error("policy `{policy}`: the module does not implement the contract {offered}: {reason}", reason = escaped(reason), offered = contract::offered())]
    NoContract {
        /// The name of the policy.
        policy: Arc<str>,
        /// The part that is missing or different.
        reason: String,
    },
    /// The module was built for a version of the contract that this engine does not offer.
    #[error("policy `{policy}`: the module was built for tero:policy@{found}; this engine offers {offered}", found = escaped(found), offered = contract::offered())]
    ContractVersion {
        /// The name of the policy.
        policy: Arc<str>,
        /// The version that the module names.
        found: String,
    },
    /// The module imports a function that policies are not given.
    #[error("policy `{policy}`: the module imports `{import}`, which is not offered to policies", import = escaped(import))]
    NotOffered {
        /// The name of the policy.
        policy: Arc<str>,
        /// The name of the import.
        import: String,
    },
    /// The policy refuses its settings.
    #[error("policy `{policy}` refuses its settings: {message}", message = escaped(message))]
    Settings {
        /// The name of the policy.
        policy: Arc<str>,
        /// The policy's own message.
        message: String,
    },
    /// The manifest breaks a rule of the contract.
    #[error("policy `{policy}`: bad manifest: {reason}", reason = escaped(reason))]
    Manifest {
        /// The name of the policy.
        policy: Arc<str>,
        /// The defect.
        reason: String,
    },
    /// The calendar of the policy cannot be used.
    #[error("policy `{policy}`: calendar: {reason}")]
    Calendar {
        /// The name of the policy.
        policy: Arc<str>,
        /// The reason.
        reason: String,
    },
    /// The policy failed while it was configured.
    #[error("policy `{policy}` failed while it was configured ({kind}): {reason}", kind = kind.as_str(), reason = escaped(reason))]
    Failed {
        /// The name of the policy.
        policy: Arc<str>,
        /// The kind of failure.
        kind: FailureKind,
        /// The details.
        reason: String,
    },
    /// The policy may choose something on a site that the configuration doesn't have.
    #[error("policy `{policy}` may choose the {kind} `{name}`, which the site `{site}` doesn't have; {known}", name = escaped(name))]
    UnknownName {
        /// The name of the policy.
        policy: Arc<str>,
        /// The name of the site.
        site: Arc<str>,
        /// `origin` or `rate class`.
        kind: &'static str,
        /// The name that is unknown.
        name: Arc<str>,
        /// The names that there are.
        known: String,
    },
    /// The policies of a site together declare too many variants.
    #[error(
        "the variants of these policies combine to {count}; `cache.max_policy_variants` allows {bound}"
    )]
    TooManyVariants {
        /// The number of variants, without the case of no variant.
        count: usize,
        /// The limit, `cache.max_policy_variants`.
        bound: usize,
    },
}
