//! `tero reload`: has a running edge read its configuration again.

use std::process::ExitCode;

use clap::Args;

use super::admin_client::{AdminArgs, show};
use tero_admin_api::ReloadResponse;
use tero_admin_api::endpoints::Reload;

const EXAMPLE: &str = "\
Examples:
  tero check /etc/tero/tero.toml && tero reload
  tero reload --json | jq '.waiting'

Keys that can't be changed while the process runs are named: they wait for
`tero upgrade`, which loses no request, or for a restart.

Exit code: 0 if the configuration was read, 1 if not (the old one stays then),
2 if the command is used wrongly.";

/// Has a running edge read its configuration again
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct ReloadCommand {
    /// Prints the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

impl ReloadCommand {
    pub(super) fn run(self) -> ExitCode {
        match self.admin.ask::<Reload>(&[], &()) {
            Ok(answer) => show(&answer, self.json, words),
            Err(code) => code,
        }
    }
}

fn words(answer: &ReloadResponse) -> String {
    match answer.waiting.as_slice() {
        [] => "the configuration was read again\n".to_owned(),
        waiting => format!(
            "the configuration was read again; these wait for `tero upgrade`: {}\n",
            waiting.join(", ")
        ),
    }
}
