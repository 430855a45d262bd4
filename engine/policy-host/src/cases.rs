//! Test cases of a policy: a TOML file of questions and of what is expected of the answers, asked
//! without any server.
//!
//! The policy is loaded, told, limited and checked by the code that does it in the edge, so what
//! passes here passes there. Each question goes to a fresh instance and to one that has answered
//! before, and both have to say the same.

mod case;
pub mod keys;
mod matching;
mod read;
mod report;
mod run;

pub use case::Cases;
pub use report::{CaseOutcome, CasesReport, Mismatch};

#[cfg(test)]
mod tests;
