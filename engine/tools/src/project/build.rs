//! `tero policy build`: runs the tools of the language, and names a tool that is missing.

mod assemblyscript;
mod c;
mod go;
mod javascript;
mod python;
mod rust;
mod tool;
mod zig;

use std::path::{Path, PathBuf};

use super::contract::CONTRACT;
use super::error::{ProjectError, file_error};
use super::files::write;
use super::language::Language;

/// The file that a build makes, in the folder of the project.
pub const MODULE: &str = "policy.wasm";

/// Builds the project in `folder` and returns the path of the module. Tools write their messages to
/// standard error.
///
/// # Errors
/// If there is no project, a tool is missing, or a tool fails.
pub fn build(folder: &Path) -> Result<PathBuf, ProjectError> {
    let language =
        Language::of(folder).ok_or_else(|| ProjectError::NoProject(folder.to_owned()))?;
    // Tools run in the folder, so their arguments must be absolute paths.
    let folder = &folder.canonicalize().map_err(file_error(folder))?;
    write(&folder.join("wit/policy.wit"), CONTRACT)?;
    let module = folder.join(MODULE);
    match language {
        Language::Rust => rust::build(folder, &module)?,
        Language::Javascript => javascript::build(folder, &module)?,
        Language::Typescript => javascript::build_typescript(folder, &module)?,
        Language::Python => python::build(folder, &module)?,
        Language::C => c::build(folder, &module)?,
        Language::Go => go::build(folder, &module)?,
        Language::Zig => zig::build(folder, &module)?,
        Language::Assemblyscript => assemblyscript::build(folder, &module)?,
    }
    Ok(module)
}

/// Makes a component of the core module that a compiler wrote.
fn wrap(module: &Path) -> Result<(), ProjectError> {
    let core = std::fs::read(module).map_err(file_error(module))?;
    let wrapped = tero_policy_host::wrap(&core, None).map_err(|source| ProjectError::Wrap {
        path: module.to_owned(),
        source,
    })?;
    write(module, wrapped.component)
}
