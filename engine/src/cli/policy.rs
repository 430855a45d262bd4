//! `tero policy`: one file per subcommand. Some work on files at the author's desk, others ask the admin interface of a running edge.

mod list;

use std::process::ExitCode;

use clap::{Args, Subcommand};

const EXAMPLE: &str = "\
Examples:
  tero policy list                    which versions a running edge serves, and since when

Every subcommand has its own --help with examples.";

/// Policies: which a running edge serves
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Policy {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::List),
}

impl Policy {
    pub(super) fn run(self) -> ExitCode {
        match self.command {
            Command::List(list) => list.run(),
        }
    }
}
