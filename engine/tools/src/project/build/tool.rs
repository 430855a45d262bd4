//! The tools that build policies.

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::project::error::ProjectError;

/// A tool, and how to install it.
pub(super) struct Tool {
    pub(super) name: &'static str,
    pub(super) language: &'static str,
    pub(super) cure: &'static str,
}

impl Tool {
    pub(super) fn missing(&self) -> ProjectError {
        ProjectError::Missing {
            tool: self.name,
            language: self.language,
            cure: self.cure,
        }
    }

    /// Runs a command to its end and returns its standard output.
    pub(super) fn run(&self, command: &mut Command) -> Result<Vec<u8>, ProjectError> {
        match command
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
        {
            Ok(output) if output.status.success() => Ok(output.stdout),
            Ok(output) => {
                eprint!("{}", String::from_utf8_lossy(&output.stdout));
                Err(ProjectError::Failed { tool: self.name })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Err(self.missing()),
            Err(source) => Err(ProjectError::File {
                path: self.name.into(),
                source,
            }),
        }
    }
}

pub(super) fn there(module: &Path, tool: &'static str) -> Result<(), ProjectError> {
    match module.is_file() {
        true => Ok(()),
        false => Err(ProjectError::NoModule {
            tool,
            cure: "see its messages above",
        }),
    }
}
