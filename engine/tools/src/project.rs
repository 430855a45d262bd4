//! Projects of policies: made from what this program carries, and built with their language's own
//! tools.
//!
//! All that is derived from the contract (types for editors, C bindings) is made from the
//! contract's text, here, so it is never behind.

mod build;
mod contract;
mod create;
mod error;
mod files;
mod language;
mod typescript;

pub use build::{MODULE, build};
pub use create::{NewProject, create};
pub use error::ProjectError;
pub use language::{Language, UnknownLanguage};

#[cfg(test)]
mod tests;
