//! `tero warm`: starts a warming plan of a running edge, and waits for it if asked to; cancels it,
//! lists what it would fetch, or lists the runs.

mod report;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::report::{listed, summary, table, verdict};
use super::admin_client::{AdminArgs, AdminClient, show};
use super::{fail, used_wrongly};
use tero_admin_api::endpoints::{DeleteWarm, StartWarm, WarmRun, WarmRuns};
use tero_admin_api::{
    Answer, CancelWarmResponse, StartWarmRequest, StartWarmResponse, WarmRunReport,
};

/// The time between two looks at a run.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Stands for the list of runs, in place of a plan. The configuration refuses a plan of this name.
const RUNS: &str = "runs";

const EXAMPLE: &str = "\
Examples:
  tero warm apertura
  tero warm apertura --wait --fail-over 5%
  tero warm apertura --wait --admin http://10.0.0.5:9090 --token-file token
  tero warm apertura --dry-run
  tero warm apertura --cancel
  tero warm runs

Exit code: 0 if the plan was started (with --wait: if it ran to its end), 1 if
not, or if more failed than --fail-over allows, 2 if the command is used
wrongly.";

/// Starts a warming plan of a running edge
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct WarmCommand {
    /// The name of the plan, as in the configuration; or `runs`, to list the runs
    plan: String,
    /// Waits until the run is over, and reports on it
    #[arg(long)]
    wait: bool,
    /// The share of pages that may fail; without it, a run fails only if every page failed
    #[arg(long, value_name = "PERCENT", requires = "wait", value_parser = share)]
    fail_over: Option<f64>,
    /// Cancels the plan's run, at all nodes of the fleet that share it
    #[arg(long, conflicts_with_all = ["wait", "dry_run"])]
    cancel: bool,
    /// Fetches nothing but sitemaps, and lists what the plan would fetch
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Prints the report of the run as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

impl WarmCommand {
    pub(super) fn run(self) -> ExitCode {
        let client = match AdminClient::new(&self.admin) {
            Ok(client) => client,
            Err(message) => return used_wrongly(&message),
        };
        let good = !self.plan.is_empty()
            && self
                .plan
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if !good {
            return used_wrongly(&format!(
                "`{}` is not the name of a plan; the configuration has the names",
                self.plan
            ));
        }
        if self.plan == RUNS {
            return if self.wait || self.cancel || self.dry_run {
                used_wrongly("`runs` lists the runs; name a plan to start or to cancel it")
            } else {
                self.show(client.call::<WarmRuns>(&[], &()), table)
            };
        }
        if self.cancel {
            let words = |CancelWarmResponse { run, .. }: &_| {
                format!("run {run} of {} is cancelled\n", self.plan)
            };
            return self.show(client.call::<DeleteWarm>(&[&self.plan], &()), words);
        }
        let request = StartWarmRequest {
            dry_run: self.dry_run,
        };
        match client.call::<StartWarm>(&[&self.plan], &request) {
            Ok(StartWarmResponse { run }) if self.wait || self.dry_run => {
                self.wait_for(&client, run)
            }
            started => self.show(started, |StartWarmResponse { run }| {
                format!("run {run} of {} has started\n", self.plan)
            }),
        }
    }

    /// Prints an answer as JSON or in the words of `words`; or reports why there is none.
    fn show<A: Answer>(&self, answer: Result<A, String>, words: impl Fn(&A) -> String) -> ExitCode {
        match answer {
            Ok(answer) => show(&answer, self.json, words),
            Err(message) => fail(&message),
        }
    }

    #[allow(clippy::disallowed_methods)] // A command waits in real time for a process that may have another clock.
    fn wait_for(&self, client: &AdminClient, run: u64) -> ExitCode {
        let bar = self.progress_bar();
        let report = loop {
            let report = match client.call::<WarmRun>(&[&run.to_string()], &()) {
                Ok(report) => report,
                Err(message) => return fail(&message),
            };
            advance(&bar, &report);
            if report.state.is_over() {
                break report;
            }
            std::thread::sleep(LOOK_EVERY);
        };
        bar.finish_and_clear();
        let shown = show(&report, self.json, |report| {
            if self.dry_run {
                listed(report)
            } else {
                summary(report)
            }
        });
        match verdict(&report, self.fail_over) {
            Ok(()) => shown,
            Err(message) => fail(&message),
        }
    }

    /// A bar on terminals; hidden for logs and machines.
    fn progress_bar(&self) -> ProgressBar {
        if self.json || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("{prefix} {bar:32} {pos}/{len} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.with_style(style).with_prefix(self.plan.clone())
    }
}

/// The share that `5%` or `5` writes, from 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    let percent = text
        .strip_suffix('%')
        .unwrap_or(text)
        .trim()
        .parse::<f64>()
        .ok();
    let share = percent
        .filter(|percent| (0.0..=100.0).contains(percent))
        .map(|percent| percent / 100.0);
    share.ok_or_else(|| "write a share from 0% to 100%".to_owned())
}

fn advance(bar: &ProgressBar, report: &WarmRunReport) {
    bar.set_length(report.planned);
    bar.set_position(report.fetched + report.fresh + report.not_stored + report.failed);
    if report.failed > 0 {
        bar.set_message(format!("{} failed", report.failed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_percentage() {
        for (text, expected) in [
            ("5%", Some(0.05)),
            ("0", Some(0.0)),
            ("100%", Some(1.0)),
            ("0.5 %", Some(0.005)),
        ] {
            assert_eq!(share(text).ok(), expected, "{text}");
        }
        for text in ["", "%", "101%", "-1%", "NaN", "five"] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
