//! `tero stats`: hit rates of a running edge by site, variant and local hour.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde_json::Value;

use super::admin_client::{AdminArgs, AdminClient};
use super::{fail, print, used_wrongly};

const EXAMPLE: &str = "\
Examples:
  tero stats
  tero stats --watch 5
  tero stats --json | jq '.sites[].hit_rate'

Exit code: 0 if there was an answer, 1 if not, 2 if the command is used wrongly.";

const OUTCOMES: [&str; 7] = [
    "hit",
    "stale",
    "revalidated",
    "collapsed",
    "miss",
    "pass",
    "error",
];

/// Shows hit rates of a running edge by site, variant and local hour
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct StatsCommand {
    /// Prints the answer as JSON
    #[arg(long)]
    json: bool,
    /// Shows it again every so many seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    watch: Option<u64>,
    #[command(flatten)]
    admin: AdminArgs,
}

impl StatsCommand {
    #[allow(clippy::disallowed_methods)] // A command waits in real time.
    pub(super) fn run(self) -> ExitCode {
        let client = match AdminClient::new(&self.admin) {
            Ok(client) => client,
            Err(message) => return used_wrongly(&message),
        };
        loop {
            let content = match client.get("/stats") {
                Ok(answer) if answer.status.is_success() => answer.content,
                Ok(answer) => return fail(&answer.error()),
                Err(message) => return fail(&message),
            };
            let clear = if self.watch.is_some() && std::io::stdout().is_terminal() {
                "\u{1b}[2J\u{1b}[H"
            } else {
                ""
            };
            let shown = if self.json {
                format!("{content}\n")
            } else {
                format!("{clear}{}", tables(&content))
            };
            let printed = print(&shown);
            let Some(secs) = self.watch else {
                return printed;
            };
            std::thread::sleep(Duration::from_secs(secs));
        }
    }
}

/// A table for each site: all of it, its variants, its hours; then the caches.
fn tables(stats: &Value) -> String {
    let mut out = String::new();
    for site in stats["sites"].as_array().into_iter().flatten() {
        let name = site["site"].as_str().unwrap_or_default();
        let zone = site["zone"].as_str().unwrap_or_default();
        out.push_str(&format!(
            "{name} (hours in {zone})\n{}\n\n",
            site_table(site)
        ));
    }
    let cache = &stats["cache"];
    let decisions = &stats["decision_cache"];
    out.push_str(&format!(
        "keys stored: {}, memory: {}, evictions: {}, decisions remembered: {}\n",
        cache["entries"],
        bytes(&cache["bytes"]),
        cache["evictions"],
        percent(&decisions["hit_rate"]),
    ));
    out
}

fn site_table(site: &Value) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header([&["", "hit rate", "requests"][..], &OUTCOMES[..]].concat());
    table.add_row(row("all", site));
    let variants = site["variants"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    // The variants of a site that has none are all of it.
    if variants.len() > 1 {
        for variant in variants {
            table.add_row(row(
                variant["variant"].as_str().unwrap_or("no variant"),
                variant,
            ));
        }
    }
    for hour in site["hours"].as_array().into_iter().flatten() {
        table.add_row(row(
            &format!("{:02}:00", hour["hour"].as_u64().unwrap_or_default()),
            hour,
        ));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn row(name: &str, figures: &Value) -> Vec<String> {
    let mut row = vec![
        name.to_owned(),
        percent(&figures["hit_rate"]),
        figures["requests"].to_string(),
    ];
    row.extend(
        OUTCOMES
            .iter()
            .map(|outcome| figures["outcomes"][*outcome].to_string()),
    );
    row
}

fn percent(rate: &Value) -> String {
    rate.as_f64()
        .map_or_else(|| "–".to_owned(), |rate| format!("{:.1} %", rate * 100.0))
}

fn bytes(bytes: &Value) -> String {
    #[allow(clippy::cast_precision_loss)] // One digit behind the point is shown.
    let mib = bytes.as_u64().unwrap_or_default() as f64 / (1024.0 * 1024.0);
    format!("{mib:.1} MiB")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_shows_site_variants_and_hours() {
        let figures = |rate: f64, requests: u64| json!({ "hit_rate": rate, "requests": requests, "outcomes": { "hit": 3, "miss": 1 } });
        let with = |mut figures: Value, key: &str, value: Value| {
            figures[key] = value;
            figures
        };
        let mut site = with(figures(0.75, 4), "site", json!("shop"));
        site["zone"] = json!("UTC");
        site["variants"] = json!([
            with(figures(0.5, 2), "variant", Value::Null),
            with(figures(1.0, 2), "variant", json!("mobile"))
        ]);
        site["hours"] = json!([with(figures(0.75, 4), "hour", json!(9))]);
        let shown = tables(
            &json!({ "sites": [site], "cache": { "entries": 1, "bytes": 1_048_576, "evictions": 0 }, "decision_cache": {} }),
        );
        for part in [
            "shop (hours in UTC)",
            "75.0 %",
            "no variant",
            "mobile",
            "100.0 %",
            "09:00",
            "keys stored: 1, memory: 1.0 MiB",
        ] {
            assert!(shown.contains(part), "{part} is not in\n{shown}");
        }
    }

    #[test]
    fn an_answer_without_figures_is_shown_as_such() {
        assert!(tables(&Value::Null).contains("–"));
    }
}
