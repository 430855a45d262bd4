//! `tero policy`: one file per subcommand. Some work on files at the author's desk, others ask the admin interface of a running edge.

mod build;
mod inspect;
mod list;
mod new;
mod test;

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};

use crate::config::PolicyHost;
use crate::policy::{Host, PolicyError};

const EXAMPLE: &str = "\
Examples:
  tero policy new shop-hours --language python
  tero policy build                   build its module
  tero policy test                    run the cases of this folder, without a server
  tero policy inspect hours.wasm      what a module is, wants and declares
  tero policy list                    which versions a running edge serves, and since when

Every subcommand has its own --help with examples.";

/// Policies: tries them at the desk, and tells which a running edge serves
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Policy {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Build(build::Build),
    Inspect(inspect::Inspect),
    New(new::New),
    List(list::List),
    Test(test::Test),
}

impl Policy {
    pub(super) fn run(self) -> ExitCode {
        match self.command {
            Command::Build(build) => build.run(),
            Command::New(new) => new.run(),
            Command::Inspect(inspect) => inspect.run(),
            Command::List(list) => list.run(),
            Command::Test(test) => test.run(),
        }
    }
}

/// A host at the desk, which counts what guests do. It keeps compiled modules where an edge without a configuration keeps them.
fn desk() -> Result<Arc<Host>, PolicyError> {
    Host::counting(&PolicyHost::default())
}
