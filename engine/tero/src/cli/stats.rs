//! `tero stats`: hit rates of a running edge by site, variant and local hour.

use std::io::IsTerminal as _;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use comfy_table::{CellAlignment, Table};

use super::admin_client::{AdminArgs, AdminClient};
use super::{fail, print_next, shown, used_wrongly};
use tero_admin_api::endpoints::Stats;
use tero_admin_api::{
    Answer as _, HitFigures, OutcomeCounts, SiteStats, StatsRequest, StatsResponse,
};

const EXAMPLE: &str = "\
Examples:
  tero stats
  tero stats --watch 5
  tero stats --fleet
  tero stats --json | jq '.sites[].hit_rate'

Exit code: 0 if there was an answer, 1 if not, 2 if the command is used
wrongly.";

const OUTCOMES: [&str; 8] = [
    "hit",
    "stale",
    "revalidated",
    "collapsed",
    "miss",
    "pass",
    "error",
    "rule",
];

/// The same where there is little room.
const SHORT_OUTCOMES: [&str; 8] = [
    "hit", "stale", "reval.", "coll.", "miss", "pass", "error", "rule",
];

/// Shows hit rates of a running edge by site, variant and local hour
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct StatsCommand {
    /// Prints the answer as JSON
    #[arg(long)]
    json: bool,
    /// Shows the sums over all nodes of the fleet
    #[arg(long)]
    fleet: bool,
    /// Repeats it, after so many seconds each time
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
            let stats = match client.call::<Stats>(&[], &StatsRequest { fleet: self.fleet }) {
                Ok(stats) => stats,
                Err(message) => return fail(&message),
            };
            let clear = if self.watch.is_some() && std::io::stdout().is_terminal() {
                "\u{1b}[2J\u{1b}[H"
            } else {
                ""
            };
            let shown = if self.json {
                stats.to_text()
            } else {
                format!("{clear}{}", tables(&stats))
            };
            if let ControlFlow::Break(code) = print_next(&shown) {
                return code;
            }
            let Some(secs) = self.watch else {
                return ExitCode::SUCCESS;
            };
            std::thread::sleep(Duration::from_secs(secs));
        }
    }
}

/// A table for each site, with its variants and its hours; then the caches.
fn tables(stats: &StatsResponse) -> String {
    let mut out = String::new();
    if let Some(fleet) = &stats.fleet {
        out.push_str(&format!("nodes: {}\n", fleet.nodes.join(", ")));
        if !fleet.missing.is_empty() {
            out.push_str(&format!("not counted: {}\n", fleet.missing.join(", ")));
        }
    }
    for site in &stats.sites {
        let (name, zone) = (&site.site, &site.zone);
        let table = site_table(site);
        let state = if site.maintenance {
            ", in maintenance"
        } else {
            ""
        };
        out.push_str(&format!("{name} (hours in {zone}{state})\n{table}\n\n"));
    }
    out.push_str(&format!(
        "keys stored: {}, memory: {}, evictions: {}, decisions remembered: {}\n",
        stats.cache.entries,
        shown::size(stats.cache.bytes),
        stats.cache.evictions,
        percent(stats.decision_cache.hit_rate),
    ));
    out
}

fn site_table(site: &SiteStats) -> Table {
    let width = shown::width();
    let mut table = shown::table_within(width);
    let outcomes = match shown::is_narrow(width) {
        true => &SHORT_OUTCOMES,
        false => &OUTCOMES,
    };
    table.set_header([&["", "hit rate", "requests"][..], &outcomes[..]].concat());
    table.add_row(row("all", &site.figures));
    // If a site has no variants, the only one is the site itself.
    if site.variants.len() > 1 {
        for variant in &site.variants {
            let name = variant.variant.as_deref().unwrap_or("no variant");
            table.add_row(row(name, &variant.figures));
        }
    }
    for hour in &site.hours {
        table.add_row(row(&format!("{:02}:00", hour.hour), &hour.figures));
    }
    shown::tighten(&mut table, width);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn row(name: &str, figures: &HitFigures) -> Vec<String> {
    let mut row = vec![
        name.to_owned(),
        percent(figures.hit_rate),
        figures.requests.to_string(),
    ];
    row.extend(counts(&figures.outcomes).map(|count| count.to_string()));
    row
}

/// In the order of [`OUTCOMES`].
fn counts(outcomes: &OutcomeCounts) -> [u64; OUTCOMES.len()] {
    [
        outcomes.hit,
        outcomes.stale,
        outcomes.revalidated,
        outcomes.collapsed,
        outcomes.miss,
        outcomes.pass,
        outcomes.error,
        outcomes.rule,
    ]
}

/// A rate for people.
pub(super) fn percent(rate: Option<f64>) -> String {
    rate.map_or_else(|| "–".to_owned(), |rate| format!("{:.1} %", rate * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tero_admin_api::{DecisionCacheStats, HourStats, StoreStats, VariantStats};

    fn figures(hit_rate: f64, requests: u64) -> HitFigures {
        HitFigures {
            requests,
            hit_rate: Some(hit_rate),
            outcomes: OutcomeCounts {
                hit: 3,
                miss: 1,
                ..OutcomeCounts::default()
            },
        }
    }

    fn stats(sites: Vec<SiteStats>) -> StatsResponse {
        StatsResponse {
            sites,
            cache: StoreStats {
                entries: 1,
                bytes: 1_048_576,
                fill_bytes: 0,
                newcomer_bytes: 0,
                evictions: 0,
                admitted: 0,
                refused: 0,
            },
            decision_cache: DecisionCacheStats {
                hits: 0,
                misses: 0,
                hit_rate: None,
                entries: 0,
                bytes: 0,
            },
            fleet: None,
        }
    }

    #[test]
    fn a_table_shows_site_variants_and_hours() {
        let variant = |variant: Option<&str>, hit_rate| VariantStats {
            variant: variant.map(str::to_owned),
            figures: figures(hit_rate, 2),
            hours: Vec::new(),
        };
        let site = SiteStats {
            site: "shop".to_owned(),
            zone: "UTC".to_owned(),
            figures: figures(0.75, 4),
            maintenance: true,
            response_bytes: 0,
            origin_requests: [].into(),
            variants: vec![variant(None, 0.5), variant(Some("mobile"), 1.0)],
            hours: vec![HourStats {
                hour: 9,
                figures: figures(0.75, 4),
            }],
        };
        let shown = tables(&stats(vec![site]));
        for part in [
            "shop (hours in UTC, in maintenance)",
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
    fn a_rate_of_nothing_is_shown_as_such() {
        assert!(tables(&stats(Vec::new())).contains("decisions remembered: –"));
    }
}
