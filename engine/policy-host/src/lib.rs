//! The WebAssembly host: it loads, limits and asks policies, remembers their decisions, and turns
//! their answers into types of `semantics`.
//!
//! A policy cannot break a request. If it traps, exceeds its deadline or its memory, or gives an
//! answer that the contract does not allow, the failure is counted and logged, and the policy
//! decides nothing. Modules are compiled in [`Host::load`], never on a request, and compiled
//! modules are kept on disk.
//!
//! A question takes this way: [`Chain`] looks for a remembered decision (`decisions`). If there is
//! none, it asks each [`Policy`] (`policy`) through an instance of this thread (`guest`). The
//! instance is told the inputs that the manifest names (`question`). Its answer is checked
//! (`answer`), and all answers are combined (`combine`). Guests run on the stack of the thread that
//! asks, and use at most half a mebibyte of it.

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
mod error;
mod escape;
mod facts;
mod failures;
#[doc(hidden)] // For the fuzz targets and the replay of their corpus.
pub mod fuzzing;
mod guest;
mod host;
mod limits;
mod manifest;
mod module;
mod names;
mod path_classes;
mod policy;
mod question;
mod real_time;
mod runtime;
pub mod tables;
mod trace;
mod trial;
pub mod trust;
mod usage;

pub use answer::{RequestAnswer, ResponseAnswer, WarmUrl};
pub use chain::Chain;
pub use combine::{MAX_TAGS, Precedence, Ruling, Rulings};
pub use counters::{FailureKind, HookCounters, PolicyCounters, PolicyStatus};
pub use decisions::DecisionCounters;
pub use error::PolicyError;
pub use facts::{ClientFacts, PolicyRequest, PolicyResponse, PopularPage};
pub use guest::failure::GuestFailure;
pub use host::Host;
pub use manifest::{Abilities, BucketRule, Hook, Manifest, NetworkPrefix};
pub use module::builtin::{builtin, builtin_names};
pub use module::compiler::child::{CompilerArguments, compile_as_child};
pub use module::compiler::{Compiler, CompilerCommand};
pub use module::component::{Import, ImportBinding};
pub use module::digest::digest;
pub use module::load::Inspection;
pub use module::package::{NotTextError, Package, attached_forecast, with_forecast};
pub use module::wrap::{FixedAnswer, WrapError, WrappedModule, wrap};
pub use names::check_names;
pub use policy::Policy;
pub use trace::{ChainTrace, PolicyAnswer};
pub use trial::{HookAnswer, HookQuestion, Trial, TrialAnswer, TrialPair};
pub use usage::UsageCounters;

#[cfg(test)]
mod tests;
