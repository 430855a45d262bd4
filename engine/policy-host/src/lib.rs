//! The host of policies: loads, limits and calls modules, remembers decisions, turns answers into
//! `semantics` types.
//!
//! A policy can't break a request: if it traps, overruns its time or memory, or answers nonsense,
//! that is counted and logged, and it has decided nothing. Compiling happens in [`Host::load`],
//! away from requests, and its result is kept on disk.
//!
//! A question goes [`Chain`] → remembered decision (`decisions`), else each [`Policy`] (`policy`) →
//! an instance of this thread (`guest`), told what its manifest asks for (`question`) → its answer,
//! checked (`answer`) → all answers, combined (`combine`). Guests run on the stack of the thread
//! that asks, and may take half a mebibyte of it.

mod answer;
pub mod cases;
mod chain;
pub mod check;
mod combine;
pub mod compare;
mod contract;
pub mod cookies;
mod counters;
mod decisions;
pub mod device;
mod facts;
#[doc(hidden)] // Only the fuzz targets and the replay of their corpus have a use for it.
pub mod fuzzing;
mod guest;
mod limits;
mod manifest;
mod module;
mod policy;
mod question;
mod real_time;
mod runtime;
mod trace;
mod trial;
mod usage;

use std::path::PathBuf;
use std::sync::Arc;

use tero_config as config;
use tero_config::units::show_size;

use decisions::Decisions;
use module::compiled::{self, CompiledFolder};
use module::load;
use policy::HookResult;
use runtime::Runtime;

pub use answer::{RequestAnswer, ResponseAnswer, WarmUrl};
pub use chain::Chain;
pub use counters::{FailureKind, HookCounters, PolicyCounters, PolicyStatus};
pub use facts::{PolicyRequest, PolicyResponse, PopularPage};
pub use guest::GuestFailure;
pub use manifest::{Hook, Manifest};
pub use module::builtin::{builtin, builtin_names};
pub use module::component::{Import, ImportBinding};
pub use module::load::Inspection;
pub use module::package::{NotTextError, Package};
pub use policy::Policy;
pub use trace::{ChainTrace, PolicyAnswer};
pub use trial::{HookAnswer, HookQuestion, Trial, TrialAnswer, TrialPair};
pub use usage::UsageCounters;

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

/// The SHA-256 of a module as it was given, in hexadecimal.
pub fn digest(module: &[u8]) -> String {
    compiled::hex(&compiled::digest(module))
}

/// What all policies share: the engine, the compiled modules, the remembered decisions.
#[derive(Debug)]
pub struct Host {
    runtime: Arc<Runtime>,
    compiled: CompiledFolder,
    decisions: Arc<Decisions>,
    shadow_decisions: Arc<Decisions>,
    max_module: u64,
}

/// Memory for what shadows said, in bytes.
const SHADOW_DECISIONS_BYTES: u64 = 4 << 20;

impl Host {
    /// A host without policies.
    ///
    /// # Errors
    /// [`PolicyError::Engine`] when WebAssembly can't run here.
    pub fn new(config: &config::PolicyHost) -> Result<Arc<Host>, PolicyError> {
        Ok(Host::on(Runtime::new(config.stack)?, config))
    }

    /// A host that counts what guests do, for [`Trial`]. It is slower, and compiles modules of its
    /// own.
    ///
    /// # Errors
    /// [`PolicyError::Engine`] when WebAssembly can't run here.
    pub fn counting(config: &config::PolicyHost) -> Result<Arc<Host>, PolicyError> {
        Ok(Host::on(Runtime::counting(config.stack)?, config))
    }

    fn on(runtime: Runtime, config: &config::PolicyHost) -> Arc<Host> {
        Arc::new(Host {
            runtime: Arc::new(runtime),
            compiled: CompiledFolder::new(config.compiled_cache.clone()),
            decisions: Arc::new(Decisions::new(config.decision_cache)),
            shadow_decisions: Arc::new(Decisions::new(SHADOW_DECISIONS_BYTES)),
            max_module: config.max_module,
        })
    }

    /// Reads, compiles (or takes from disk), configures and checks a policy. Takes milliseconds to
    /// seconds: not for a thread that serves requests.
    ///
    /// # Errors
    /// When the module, its settings, its manifest or its calendar can't be used; the message says
    /// which and why.
    pub fn load(&self, config: &config::Policy) -> Result<Arc<Policy>, PolicyError> {
        load::load(self, config).map(Arc::new)
    }

    /// As [`Host::load`], with these bytes in the place of the module that the configuration names:
    /// a module, or a [`Package`].
    ///
    /// # Errors
    /// As [`Host::load`].
    pub fn load_module(
        &self,
        config: &config::Policy,
        module: &[u8],
    ) -> Result<Arc<Policy>, PolicyError> {
        load::load_module(self, config, module).map(Arc::new)
    }

    /// Looks at a module, configured as `config` says, and tells what can be told of it.
    ///
    /// # Errors
    /// When it can't be read. What else is wrong with it is part of what is told.
    pub fn inspect(&self, config: &config::Policy) -> Result<Inspection, PolicyError> {
        load::inspect(self, config)
    }

    /// How the cache of decisions does.
    pub fn decisions(&self) -> DecisionCounters {
        self.decisions.counters()
    }

    /// The largest module that is loaded, in bytes.
    pub fn max_module(&self) -> u64 {
        self.max_module
    }

    fn shadow_decisions(&self) -> &Arc<Decisions> {
        &self.shadow_decisions
    }

    fn decision_cache(&self) -> &Arc<Decisions> {
        &self.decisions
    }
}

/// How the cache of decisions does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecisionCounters {
    /// Requests whose decision was remembered.
    pub hits: u64,
    /// Requests for which the policies were asked.
    pub misses: u64,
    /// Decisions remembered now.
    pub entries: u64,
    /// Bytes that they take.
    pub bytes: u64,
}

#[cfg(test)]
mod tests;
