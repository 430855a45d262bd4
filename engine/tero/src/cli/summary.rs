//! `tero report`: what happened on a running edge, for people and for programs.

mod figures;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::admin_client::{AdminArgs, AdminClient};
use super::{fail, print, print_json, used_wrongly};
use figures::OperationsReport;
use tero_admin_api::endpoints::{Events, Policies, WarmRuns, Week};

const EXAMPLE: &str = "\
Examples:
  tero report
  tero report --since 7d > week.md
  tero report --since 1d --json | jq '.sites[].hit_rate'

Exit code: 0 if there was an answer, 1 if not, 2 if the command is used
wrongly.";

/// The hours that an edge keeps.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Reports hit rates, goals, incidents, warming and changes of policies
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct ReportCommand {
    /// How far back: 12h, 1d, at most 7d
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = since)]
    since: Duration,
    /// Prints it as JSON, in the place of Markdown
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

impl ReportCommand {
    pub(super) fn run(self) -> ExitCode {
        let client = match AdminClient::new(&self.admin) {
            Ok(client) => client,
            Err(message) => return used_wrongly(&message),
        };
        match ask(&client, self.since) {
            Ok(report) if self.json => print_json(&report),
            Ok(report) => print(&report.to_markdown()),
            Err(message) => fail(&message),
        }
    }
}

fn ask(client: &AdminClient, since: Duration) -> Result<OperationsReport, String> {
    let week = client.call::<Week>(&[], &())?;
    let events = client.call::<Events>(&[], &())?;
    let runs = client.call::<WarmRuns>(&[], &())?;
    let policies = client.call::<Policies>(&[], &())?;
    Ok(OperationsReport::of(
        since, &week, &events, &runs, &policies,
    ))
}

/// Whole hours or days.
fn since(text: &str) -> Result<Duration, String> {
    let hours = |number: &str, hours: u64| {
        let number: u64 = number.parse().ok()?;
        Some(Duration::from_secs(number.checked_mul(hours * 3_600)?))
    };
    let time = match (text.strip_suffix('h'), text.strip_suffix('d')) {
        (Some(number), _) => hours(number, 1),
        (_, Some(number)) => hours(number, 24),
        _ => None,
    };
    time.filter(|time| !time.is_zero() && *time <= LONGEST)
        .ok_or_else(|| "write 1h to 168h, or 1d to 7d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_whole_hours_or_days_up_to_a_week() {
        assert_eq!(since("12h").unwrap().as_secs(), 12 * 3_600);
        assert_eq!(since("7d").unwrap(), LONGEST);
        for bad in ["", "0h", "8d", "169h", "1", "1m", "-1d", "1.5d"] {
            assert!(since(bad).is_err(), "{bad}");
        }
    }
}
