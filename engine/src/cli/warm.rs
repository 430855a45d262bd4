//! `tero warm`: starts a warming plan of a running edge, and waits for it where that is wanted.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use super::admin_client::{AdminArgs, AdminClient};
use super::{fail, print, used_wrongly};

/// How often a run is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Reasons that are shown of those in the report.
const SHOWN_REASONS: usize = 10;

const EXAMPLE: &str = "\
Examples:
  tero warm apertura
  tero warm apertura --wait --fail-over 5%
  tero warm apertura --wait --json --admin http://10.0.0.5:9090 --token-file /run/secrets/tero

Exit code: 0 if the plan was started (with --wait: if it ran to its end), 1 if not, or if more failed than --fail-over
allows, 2 if the command is used wrongly.";

/// Starts a warming plan of a running edge
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Warm {
    /// The name of the plan, as in the configuration
    plan: String,
    /// Waits until the run is over and says what came of it
    #[arg(long)]
    wait: bool,
    /// The share of pages that may fail; without it, only a run in which every page failed counts as failed
    #[arg(long, value_name = "PERCENT", requires = "wait", value_parser = share)]
    fail_over: Option<f64>,
    /// Prints the report of the run as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

impl Warm {
    pub(super) fn run(self) -> ExitCode {
        let client = match AdminClient::new(&self.admin) {
            Ok(client) => client,
            Err(message) => return used_wrongly(&message),
        };
        let good = !self.plan.is_empty() && self.plan.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if !good {
            return used_wrongly(&format!(
                "`{}` is no name of a plan; GET /warm/runs and the configuration tell the names",
                self.plan
            ));
        }
        let started = match client.post(&format!("/warm/{}", self.plan), None) {
            Ok(answer) if answer.status.is_success() => answer.content,
            Ok(answer) => return fail(&answer.error()),
            Err(message) => return fail(&message),
        };
        let Some(run) = started["run"].as_u64() else {
            return fail("the admin interface does not say which run it started");
        };
        if self.wait {
            return self.wait_for(&client, run);
        }
        print(&if self.json { format!("{started}\n") } else { format!("run {run} of {} has started\n", self.plan) })
    }

    #[allow(clippy::disallowed_methods)] // A command waits in real time for a process that may have another clock.
    fn wait_for(&self, client: &AdminClient, run: u64) -> ExitCode {
        let bar = self.progress_bar();
        let report = loop {
            let report = match client.get(&format!("/warm/runs/{run}")) {
                Ok(answer) if answer.status.is_success() => answer.content,
                Ok(answer) => return fail(&answer.error()),
                Err(message) => return fail(&message),
            };
            show(&bar, &report);
            if !matches!(report["state"].as_str(), Some("planning" | "fetching")) {
                break report;
            }
            std::thread::sleep(LOOK_EVERY);
        };
        bar.finish_and_clear();
        let printed = print(&if self.json { format!("{report}\n") } else { summary(&report) });
        match verdict(&report, self.fail_over) {
            Ok(()) => printed,
            Err(message) => fail(&message),
        }
    }

    /// People see a bar; a log or a machine sees nothing of it.
    fn progress_bar(&self) -> ProgressBar {
        if self.json || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let style =
            ProgressStyle::with_template("{prefix} {bar:32} {pos}/{len} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.with_style(style).with_prefix(self.plan.clone())
    }
}

/// `5%` or `5` as a share of one.
fn share(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').unwrap_or(text).trim().parse::<f64>().ok();
    let share = percent.filter(|percent| (0.0..=100.0).contains(percent)).map(|percent| percent / 100.0);
    share.ok_or_else(|| "write a share from 0% to 100%".to_owned())
}

fn count(report: &Value, name: &str) -> u64 {
    report[name].as_u64().unwrap_or(0)
}

fn show(bar: &ProgressBar, report: &Value) {
    let finished = ["fetched", "fresh", "not_stored", "failed"].iter().map(|name| count(report, name)).sum();
    bar.set_length(count(report, "planned"));
    bar.set_position(finished);
    let failed = count(report, "failed");
    if failed > 0 {
        bar.set_message(format!("{failed} failed"));
    }
}

/// What came of a run, for people.
fn summary(report: &Value) -> String {
    let number = |name| count(report, name);
    let mut text = format!(
        "run {} of {}: {} after {} s\n  planned     {}\n  fetched     {} ({} bytes)\n  fresh       {}\n  not stored  {}\n  failed      {}\n",
        number("id"),
        report["plan"].as_str().unwrap_or("?"),
        report["state"].as_str().unwrap_or("?"),
        number("seconds"),
        number("planned"),
        number("fetched"),
        number("bytes"),
        number("fresh"),
        number("not_stored"),
        number("failed"),
    );
    if number("left_out") > 0 {
        text.push_str(&format!("  left out    {} (see max_urls)\n", number("left_out")));
    }
    for (kind, name) in [("failed", "failures"), ("not stored", "refusals")] {
        for reason in report[name].as_array().into_iter().flatten().take(SHOWN_REASONS) {
            let part = |name: &str| reason[name].as_str().unwrap_or("");
            let variant = if part("variant").is_empty() { String::new() } else { format!(" [{}]", part("variant")) };
            text.push_str(&format!("  {kind}: {}{variant}: {}\n", part("url"), part("reason")));
        }
    }
    for note in report["notes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        text.push_str(&format!("  note: {note}\n"));
    }
    text
}

/// Whether the run went well enough.
fn verdict(report: &Value, fail_over: Option<f64>) -> Result<(), String> {
    let state = report["state"].as_str().unwrap_or("unknown");
    if state != "done" {
        return Err(format!("the run did not reach its end: {state}"));
    }
    let (planned, failed) = (count(report, "planned"), count(report, "failed"));
    #[allow(clippy::cast_precision_loss)] // Counts of pages.
    let too_many = match fail_over {
        Some(share) => failed as f64 > share * planned as f64,
        None => planned > 0 && failed == planned,
    };
    if too_many { Err(format!("{failed} of {planned} failed")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_share_is_a_percentage() {
        for (text, expected) in [("5%", Some(0.05)), ("0", Some(0.0)), ("100%", Some(1.0)), ("0.5 %", Some(0.005))] {
            assert_eq!(share(text).ok(), expected, "{text}");
        }
        for text in ["", "%", "101%", "-1%", "NaN", "five"] {
            assert!(share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_run_fails_when_more_failed_than_allowed_or_it_did_not_reach_its_end() {
        let check = |state: &str, planned: u64, failed: u64, fail_over: Option<f64>, good: bool| {
            let report = json!({ "state": state, "planned": planned, "failed": failed });
            assert_eq!(verdict(&report, fail_over).is_ok(), good, "{report} {fail_over:?}");
        };
        check("done", 100, 5, Some(0.05), true);
        check("done", 100, 6, Some(0.05), false);
        check("done", 100, 1, Some(0.0), false);
        check("done", 0, 0, Some(0.0), true);
        check("done", 100, 99, None, true);
        check("done", 100, 100, None, false);
        check("done", 0, 0, None, true);
        for state in ["deadline-passed", "cancelled", "failed", "?"] {
            check(state, 100, 0, None, false);
        }
    }

    #[test]
    fn a_summary_tells_numbers_reasons_and_notes() {
        let report = json!({
            "id": 3, "plan": "apertura", "state": "done", "seconds": 4, "planned": 2, "fetched": 1, "bytes": 10, "failed": 1, "left_out": 7,
            "failures": [{ "url": "www.example/a", "variant": "mobile", "reason": "answered with 404" }],
            "notes": ["the sitemap /s.xml is no sitemap"],
        });
        let text = summary(&report);
        for part in [
            "run 3 of apertura: done after 4 s",
            "failed: www.example/a [mobile]: answered with 404",
            "left out    7",
            "note: the sitemap",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}
