//! `tero origins`: how the origins of a running edge do, and taking one out.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use comfy_table::Table;

use super::admin_client::{AdminArgs, AdminClient, show};
use super::{fail, shown, used_wrongly};
use tero_admin_api::endpoints::{DrainOrigin, Origins, ResumeOrigin};
use tero_admin_api::{OriginReport, OriginRequest, OriginsResponse};

const EXAMPLE: &str = "\
Examples:
  tero origins
  tero origins --json | jq '.origins[] | select(.state != \"healthy\")'
  tero origins drain shop app-1
  tero origins resume shop app-1

Exit code: 0 if there was an answer, 1 if not,
2 if the command is used wrongly.";

/// Shows how the origins of a running edge do, and takes one out
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE, args_conflicts_with_subcommands = true)]
pub(super) struct OriginsCommand {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
struct OutputArgs {
    /// Prints the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Takes an origin out: no further requests go to it
    #[command(after_help = EXAMPLE)]
    Drain(NamedOrigin),
    /// Puts an origin back
    #[command(after_help = EXAMPLE)]
    Resume(NamedOrigin),
}

#[derive(Debug, Args)]
struct NamedOrigin {
    /// The name of the site
    site: String,
    /// The name of the origin, as `tero origins` shows it
    origin: String,
    #[command(flatten)]
    output: OutputArgs,
}

impl OriginsCommand {
    pub(super) fn run(self) -> ExitCode {
        match self.action {
            None => list(&self.output),
            Some(Action::Drain(named)) => named.send(true),
            Some(Action::Resume(named)) => named.send(false),
        }
    }
}

fn list(output: &OutputArgs) -> ExitCode {
    let client = match AdminClient::new(&output.admin) {
        Ok(client) => client,
        Err(message) => return used_wrongly(&message),
    };
    match client.call::<Origins>(&[], &()) {
        Ok(answer) => show(&answer, output.json, |answer: &OriginsResponse| {
            format!("{}\n", table(&answer.origins))
        }),
        Err(message) => fail(&message),
    }
}

impl NamedOrigin {
    fn send(self, is_drained: bool) -> ExitCode {
        let client = match AdminClient::new(&self.output.admin) {
            Ok(client) => client,
            Err(message) => return used_wrongly(&message),
        };
        let request = OriginRequest {
            site: self.site,
            origin: self.origin,
        };
        let answer = if is_drained {
            client.call::<DrainOrigin>(&[], &request)
        } else {
            client.call::<ResumeOrigin>(&[], &request)
        };
        match answer {
            Ok(report) => show(&report, self.output.json, |report: &OriginReport| {
                let OriginReport { origin, state, .. } = report;
                format!("{origin} is {}\n", state.as_str())
            }),
            Err(message) => fail(&message),
        }
    }
}

fn table(origins: &[OriginReport]) -> Table {
    let mut table = shown::table();
    table.set_header([
        "site", "origin", "routes", "state", "reason", "now", "requests", "failed", "mean",
    ]);
    for origin in origins {
        let rest = match origin.rests_for_ms {
            0 => String::new(),
            millis => format!(" ({} s)", millis.div_ceil(1_000)),
        };
        table.add_row([
            origin.site.clone(),
            origin.origin.clone(),
            routes(origin),
            format!("{}{rest}", origin.state.as_str()),
            origin.reason.clone(),
            origin.in_flight.to_string(),
            origin.requests.to_string(),
            origin.failed.to_string(),
            origin
                .mean_ms
                .map_or_else(|| "-".to_owned(), |mean| format!("{mean:.1} ms")),
        ]);
    }
    table
}

/// Whose requests it gets: those of routes that name it, and of all others.
fn routes(origin: &OriginReport) -> String {
    let others = match (origin.shield, origin.only_by_name) {
        (true, _) => Some("* (shield)"),
        (false, only_by_name) => (!only_by_name).then_some("*"),
    };
    let routes = origin.routes.iter().map(String::as_str).chain(others);
    routes.collect::<Vec<_>>().join(", ")
}
