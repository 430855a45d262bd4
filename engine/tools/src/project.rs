//! Projects of policies: creates them from files inside this program, and builds them with the
//! tools of their language.
//!
//! Types for editors are made from the text of the contract, so they always match it.

mod build;
mod contract;
mod create;
mod error;
mod files;
mod language;
mod shapes;
mod typescript;

pub use build::{MODULE, build};
pub use create::{NewProject, create};
pub use error::ProjectError;
pub use language::{Language, UnknownLanguage};

#[cfg(test)]
mod tests;
