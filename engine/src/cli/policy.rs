//! `tero policy`: what authors and operators do with policies, one file per subcommand.

mod test;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};

use crate::config::{PolicyHost, user_cache_dir};
use crate::policy::{Host, PolicyError};

const EXAMPLE: &str = "\
Examples:
  tero policy test                        run the cases of this folder
  tero policy test --help                 more about it

Each subcommand has --help with examples.";

/// Tests policies
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct PolicyCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Test(test::Test),
}

impl PolicyCommand {
    pub(super) fn run(self) -> ExitCode {
        match self.command {
            Command::Test(test) => test.run(),
        }
    }
}

/// A host at the desk, which counts what guests do. It keeps compiled modules where an edge without a configuration keeps them.
fn desk() -> Result<Arc<Host>, PolicyError> {
    let compiled_cache: Option<PathBuf> = user_cache_dir().map(|folder| folder.join("tero"));
    Host::counting(&PolicyHost { compiled_cache, decision_cache: 64 << 10 })
}
