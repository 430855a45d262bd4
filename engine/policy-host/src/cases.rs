//! Test cases of a policy: a TOML file of questions and expected answers, asked without a server.
//!
//! The code of the edge loads, asks, limits and checks the policy, so a case that passes here
//! passes there. Each question goes to a fresh instance and to one that has answered before, and
//! both must give the same answer.

mod case;
pub mod keys;
mod matching;
mod read;
mod report;
mod run;
mod seeds;

pub use case::Cases;
pub use read::GivenCasesError;
pub use report::{CaseOutcome, CasesReport, Mismatch};
pub use seeds::CaseSeeds;

#[cfg(test)]
mod tests;
