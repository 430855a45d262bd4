//! `tero maintenance`: tells visitors of a running edge that a site is being worked on.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::admin_client::{AdminArgs, AdminClient, show};
use super::{fail, used_wrongly};
use tero_admin_api::endpoints::{EndMaintenance, Maintenance, StartMaintenance};
use tero_admin_api::{MaintenanceReport, MaintenanceResponse, StartMaintenanceRequest};

const EXAMPLE: &str = "\
Examples:
  tero maintenance on shop --message 'Back at six.' --until 2026-11-24T18:00
  tero maintenance on shop --serve-stored --exempt 10.0.0.0/8
  tero maintenance status
  tero maintenance off shop

Exit code: 0 if the edge did it, 1 if not, 2 if the command is used wrongly.";

/// Puts a site of a running edge into maintenance: visitors get 503 with Retry-After
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct MaintenanceCommand {
    #[command(subcommand)]
    action: MaintenanceAction,
}

#[derive(Debug, Subcommand)]
enum MaintenanceAction {
    /// Begins it, or changes how the site is meanwhile
    #[command(after_help = EXAMPLE)]
    On {
        /// The name of the site
        site: String,
        /// A line for visitors
        #[arg(long, default_value = "")]
        message: String,
        /// When it ends by itself: a local time of the site, or one with its offset
        #[arg(long)]
        until: Option<String>,
        /// Serves what is stored, fresh or as stale as it may be while the origin fails
        #[arg(long)]
        serve_stored: bool,
        /// A network whose clients use the site as ever; may be repeated
        #[arg(long)]
        exempt: Vec<String>,
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Ends it
    #[command(after_help = EXAMPLE)]
    Off {
        /// The name of the site
        site: String,
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Lists the sites that are in maintenance
    #[command(after_help = EXAMPLE)]
    Status {
        #[command(flatten)]
        common: CommonArgs,
    },
}

#[derive(Debug, Args)]
struct CommonArgs {
    /// Prints the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

impl MaintenanceCommand {
    pub(super) fn run(self) -> ExitCode {
        match self.action {
            MaintenanceAction::On {
                site,
                message,
                until,
                serve_stored,
                exempt,
                common,
            } => {
                let request = StartMaintenanceRequest {
                    message,
                    until,
                    serve_stored,
                    exempt,
                };
                common.call(
                    |client| client.call::<StartMaintenance>(&[&site], &request),
                    |begun| {
                        let mut text = words(&begun.report);
                        if !begun.survives_restart {
                            text.push_str(
                                "a restart forgets it: [policies] state_dir is not set\n",
                            );
                        }
                        text
                    },
                )
            }
            MaintenanceAction::Off { site, common } => common.call(
                |client| client.call::<EndMaintenance>(&[&site], &()),
                |ended| match ended.was_on {
                    true => format!("{}: maintenance has ended\n", ended.site),
                    false => format!("{} was not in maintenance\n", ended.site),
                },
            ),
            MaintenanceAction::Status { common } => common.call(
                |client| client.call::<Maintenance>(&[], &()),
                |all: &MaintenanceResponse| match all.sites.is_empty() {
                    true => "no site is in maintenance\n".to_owned(),
                    false => all.sites.iter().map(words).collect(),
                },
            ),
        }
    }
}

impl CommonArgs {
    /// Calls the edge, and shows its answer in words.
    fn call<A: tero_admin_api::Answer>(
        &self,
        call: impl FnOnce(&AdminClient) -> Result<A, String>,
        words: impl Fn(&A) -> String,
    ) -> ExitCode {
        let client = match AdminClient::new(&self.admin) {
            Ok(client) => client,
            Err(message) => return used_wrongly(&message),
        };
        match call(&client) {
            Ok(answer) => show(&answer, self.json, words),
            Err(message) => fail(&message),
        }
    }
}

fn words(report: &MaintenanceReport) -> String {
    let mut text = format!("{} is in maintenance", report.site);
    // A string takes all that is written to it.
    if let Some(until) = &report.until {
        let _ = write!(text, " until {until}");
    }
    let meanwhile = match report.serve_stored {
        true => "visitors get what is stored, else 503",
        false => "visitors get 503",
    };
    let _ = write!(text, ": {meanwhile}");
    if !report.exempt.is_empty() {
        let _ = write!(text, ", but for {}", report.exempt.join(", "));
    }
    text.push('\n');
    text
}
