//! `tero upgrade`: puts the program that is there now in the place of a running one.

use std::process::ExitCode;

use clap::Args;

use super::admin_client::{AdminArgs, show};
use tero_admin_api::UpgradeResponse;
use tero_admin_api::endpoints::Upgrade;

const EXAMPLE: &str = "\
Examples:
  install tero-new /usr/bin/tero && tero upgrade
  install tero-old /usr/bin/tero && tero upgrade    back to the one before
  tero upgrade --token-file /etc/tero/token

The running process starts its program again, with the arguments that it was
started with. The new process takes the listeners over once it is ready; the
plans of `[admin] ready_after` have run by then. The old one ends each
connection with its next request. If the new one can't serve, the old one
serves on, and this command says why.

Exit code: 0 if the new process serves, 1 if not,
2 if the command is used wrongly.";

/// Starts the program of a running edge again, without losing a request
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct UpgradeCommand {
    /// Prints the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

impl UpgradeCommand {
    pub(super) fn run(self) -> ExitCode {
        match self.admin.ask::<Upgrade>(&[], &()) {
            Ok(answer) => show(&answer, self.json, words),
            Err(code) => code,
        }
    }
}

fn words(answer: &UpgradeResponse) -> String {
    let UpgradeResponse {
        process,
        version,
        commit,
        before,
    } = answer;
    format!(
        "process {process} serves (tero {version}, {commit}); process {before} ends its connections\n"
    )
}
