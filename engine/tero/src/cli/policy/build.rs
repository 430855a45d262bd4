//! `tero policy build`: builds the module of a project.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::inspect::size;
use crate::cli::{fail, print};
use tero_tools::project;

const EXAMPLE: &str = "\
Examples:
  tero policy build
  tero policy build policies/shop-hours && tero policy test policies/shop-hours

A file in the folder tells the language: Cargo.toml, policy.js, policy.ts,
app.py, policy.c, policy.go, policy.zig or assembly/policy.ts. The language's
own tools do the work; if one is missing, the message says how to get it.
Exit code: 0 if the module was built, 1 if not, 2 if the command is used
wrongly.";

/// Builds the module of a policy with its language's own tools
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct BuildCommand {
    /// The folder of the project
    #[arg(default_value = ".")]
    folder: PathBuf,
}

impl BuildCommand {
    pub(super) fn run(self) -> ExitCode {
        let built = project::build(&self.folder);
        match built.and_then(|module| {
            let bytes = std::fs::metadata(&module)
                .map_err(|source| project::ProjectError::File {
                    path: module.clone(),
                    source,
                })?
                .len();
            Ok((module, bytes))
        }) {
            Ok((module, bytes)) => print(&format!(
                "{}: {}\n",
                module.display(),
                size(usize::try_from(bytes).unwrap_or(usize::MAX))
            )),
            Err(error) => fail(&error.to_string()),
        }
    }
}
