//! `tero policy build`: drives the language's own tools, and says plainly which of them is missing.

mod c;
mod javascript;
mod python;
mod rust;
mod tool;

use std::path::{Path, PathBuf};

use super::contract::CONTRACT;
use super::error::{ProjectError, file_error};
use super::files::write;
use super::language::Language;

/// What a build makes, beside the source.
pub const MODULE: &str = "policy.wasm";

/// Builds the project in `folder` and returns where its module is. What tools say goes to standard
/// error.
///
/// # Errors
/// When there is no project, a tool is missing, or it fails.
pub fn build(folder: &Path) -> Result<PathBuf, ProjectError> {
    let language =
        Language::of(folder).ok_or_else(|| ProjectError::NoProject(folder.to_owned()))?;
    // Tools run in the folder, so paths that they are given must not depend on where this program
    // was started.
    let folder = &folder.canonicalize().map_err(file_error(folder))?;
    write(&folder.join("wit/policy.wit"), CONTRACT)?;
    let module = folder.join(MODULE);
    match language {
        Language::Rust => rust::build(folder, &module)?,
        Language::Javascript => javascript::build(folder, &module)?,
        Language::Python => python::build(folder, &module)?,
        Language::C => c::build(folder, &module)?,
    }
    Ok(module)
}
