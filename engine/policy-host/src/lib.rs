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
mod error;
mod facts;
#[doc(hidden)] // Only the fuzz targets and the replay of their corpus have a use for it.
pub mod fuzzing;
mod guest;
mod host;
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

pub use answer::{RequestAnswer, ResponseAnswer, WarmUrl};
pub use chain::Chain;
pub use combine::{MAX_TAGS, Precedence, Ruling, Rulings};
pub use counters::{FailureKind, HookCounters, PolicyCounters, PolicyStatus};
pub use decisions::DecisionCounters;
pub use error::PolicyError;
pub use facts::{PolicyRequest, PolicyResponse, PopularPage};
pub use guest::failure::GuestFailure;
pub use host::Host;
pub use manifest::{Hook, Manifest};
pub use module::builtin::{builtin, builtin_names};
pub use module::component::{Import, ImportBinding};
pub use module::digest::digest;
pub use module::load::Inspection;
pub use module::package::{NotTextError, Package};
pub use policy::Policy;
pub use trace::{ChainTrace, PolicyAnswer};
pub use trial::{HookAnswer, HookQuestion, Trial, TrialAnswer, TrialPair};
pub use usage::UsageCounters;

#[cfg(test)]
mod tests;
