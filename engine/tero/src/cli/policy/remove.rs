//! `tero policy remove`: takes a policy off its sites that a push put there.

use std::process::ExitCode;

use clap::Args;

use crate::cli::admin_client::{AdminArgs, show};
use crate::cli::shown::fleet_note;
use tero_admin_api::endpoints::RemovePolicy;

const EXAMPLE: &str = "\
Example:
  tero policy remove seo

It takes a policy that `tero policy push --site` added off its sites, and
forgets it with its versions. A policy of the configuration stays.

Exit code: 0 if it is removed, 1 if not, 2 if the command is used wrongly.";

/// Takes a policy off its sites that a push put there
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct RemoveCommand {
    /// The policy
    name: String,
    /// Prints the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

impl RemoveCommand {
    pub(super) fn run(self) -> ExitCode {
        match self.admin.ask::<RemovePolicy>(&[&self.name], &()) {
            Ok(answer) => show(&answer, self.json, |answer| {
                let done = match answer.sites.is_empty() {
                    true => format!("{} is removed\n", answer.policy),
                    false => format!("{} is off {}\n", answer.policy, answer.sites.join(", ")),
                };
                done + &fleet_note(answer.fleet.as_ref())
            }),
            Err(code) => code,
        }
    }
}
