//! The types of the newest version of the contract, which the engine speaks.

pub use super::v0_1::bindings::tero::policy::types::*;
