//! Projects of policies: creates them from files inside this program, and builds them with the
//! tools of their language.
//!
//! The SDKs are part of this program. A build writes them into the project again, so they always match
//! the contract.

mod build;
mod contract;
mod create;
mod error;
mod files;
mod language;

pub use build::{MODULE, build};
pub use create::{NewProject, create};
pub use error::ProjectError;
pub use language::{Language, UnknownLanguage};

#[cfg(test)]
mod tests;
