//! The types of the newest version of the contract, which the engine speaks.

pub use super::v0_2::bindings::tero::policy::tables::Row;
pub use super::v0_2::bindings::tero::policy::types::*;
