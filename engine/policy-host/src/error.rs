//! Why a policy can't be used.

use std::path::PathBuf;
use std::sync::Arc;

use crate::contract;
use crate::counters::FailureKind;
use tero_config::units::show_size;

/// Why a policy can't be used as configured.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The engine of WebAssembly can't be set up on this machine.
    #[error("WebAssembly can't run here: {reason}")]
    Engine {
        /// What is missing.
        reason: String,
    },
    /// The module file can't be read.
    #[error("policy `{policy}`: {path}: {source}", path = path.display())]
    Read {
        /// The policy.
        policy: Arc<str>,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// No policy of that name is shipped.
    #[error("policy `{policy}`: no shipped policy is called `{name}`; there are {known}")]
    UnknownBuiltin {
        /// The policy.
        policy: Arc<str>,
        /// The unknown name.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// The module file is larger than a module may be.
    #[error("policy `{policy}`: the module is larger than {} (`policies.max_module`)", show_size(*limit))]
    TooLarge {
        /// The policy.
        policy: Arc<str>,
        /// The bound, in bytes.
        limit: u64,
    },
    /// Not WebAssembly, or not valid.
    #[error("policy `{policy}`: not a WebAssembly module: {reason}")]
    NotAModule {
        /// The policy.
        policy: Arc<str>,
        /// What is wrong with it.
        reason: String,
    },
    /// WebAssembly, but not a policy.
    #[error("policy `{policy}`: the module does not implement the contract {offered}: {reason}", offered = contract::offered())]
    NoContract {
        /// The policy.
        policy: Arc<str>,
        /// What is missing or different.
        reason: String,
    },
    /// A policy for another version of the contract.
    #[error("policy `{policy}`: the module was built for tero:policy@{found}; this engine offers {offered}", offered = contract::offered())]
    ContractVersion {
        /// The policy.
        policy: Arc<str>,
        /// The module's version.
        found: String,
    },
    /// It imports what policies are not given.
    #[error("policy `{policy}`: the module imports `{import}`, which is not offered to policies")]
    NotOffered {
        /// The policy.
        policy: Arc<str>,
        /// The import.
        import: String,
    },
    /// It refuses its settings.
    #[error("policy `{policy}` refuses its settings: {message}")]
    Settings {
        /// The policy.
        policy: Arc<str>,
        /// The policy's own words.
        message: String,
    },
    /// Its manifest is not what the contract allows.
    #[error("policy `{policy}`: bad manifest: {reason}")]
    Manifest {
        /// The policy.
        policy: Arc<str>,
        /// What is wrong with it.
        reason: String,
    },
    /// Its calendar can't be used.
    #[error("policy `{policy}`: calendar: {reason}")]
    Calendar {
        /// The policy.
        policy: Arc<str>,
        /// Why not.
        reason: String,
    },
    /// It failed while it was configured.
    #[error("policy `{policy}` failed while it was configured ({kind}): {reason}", kind = kind.as_str())]
    Failed {
        /// The policy.
        policy: Arc<str>,
        /// How.
        kind: FailureKind,
        /// In more words.
        reason: String,
    },
    /// A site's policies together declare too many variants.
    #[error(
        "the variants of these policies combine to {count}; `cache.max_policy_variants` allows {bound}"
    )]
    TooManyVariants {
        /// How many there would be, beside none.
        count: usize,
        /// The bound.
        bound: usize,
    },
}
