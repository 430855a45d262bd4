//! `tero schedule`: what will happen when.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::compile::compiler;
use super::config_args::ConfigArgs;
use super::{colours, fail, print, report, used_wrongly};
use tero_config::units;
use tero_policy_host::check::check_file;
use tero_time::clock::Clock;
use tero_time::local_time::LocalDateTime;
use tero_time::zones;
use tero_tools::preview::{
    EventKind, MAX_SPAN, Preview, PreviewDecision, PreviewError, PreviewEvent, PreviewInput,
    ZoneDataDifference, preview,
};

const EXAMPLE: &str = "\
Examples:
  tero schedule  the coming week, by ./tero.toml
  tero schedule --next 2d --url /barberias/palermo
  tero schedule --from 2026-12-24T00:00 --next 3d --json | jq .events

Policies are asked, without a server, about a 200 for the home page, for the
URLs of the plans, for a path that matches each pattern in their settings, and
for each --url, at the beginning of every minute. If an answer changes, the
second of the change is found. A window within one minute, or for another URL,
is not found. Nothing is fetched. If other time zone data than those in use are
there, it is told where they differ within the coming year.

Exit code: 0 for success, 1 if the configuration can't be used, 2 if the
command is used wrongly.";

/// Shows what will happen when: changing decisions, plans, holidays, changes of the clock
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct ScheduleCommand {
    #[command(flatten)]
    config: ConfigArgs,
    /// How far to look: 1min to 92d
    #[arg(long, value_name = "DURATION", default_value = "7d")]
    next: String,
    /// The start: a local time of the site's zone, or one with its offset [default: now]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// One site [default: all]
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
    /// Another path, with its query, to ask about; may be repeated
    #[arg(long, value_name = "URL")]
    url: Vec<String>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

impl ScheduleCommand {
    pub(super) fn run(self) -> ExitCode {
        let span = units::duration(&self.next)
            .filter(|span| (Duration::from_secs(60)..=MAX_SPAN).contains(span));
        let Some(span) = span else {
            return used_wrongly(&format!(
                "--next {:?} is not a time span: write \"1min\" to \"92d\"",
                self.next
            ));
        };
        if let Some(url) = self
            .url
            .iter()
            .find(|url| !url.starts_with('/') || !url.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return used_wrongly(&format!(
                "--url {url:?} is not a path: write \"/barberias?zona=palermo\", percent-encoded"
            ));
        }
        let config = match check_file(self.config.path(), &compiler()) {
            Ok(config) => config,
            Err(errors) => {
                eprint!("{}", report::report(&errors, colours()));
                return ExitCode::FAILURE;
            }
        };
        if let Some(name) = &self.site
            && !config.sites.iter().any(|site| *site.name == **name)
        {
            let known: Vec<&str> = config.sites.iter().map(|site| &*site.name).collect();
            return used_wrongly(&format!(
                "there is no site {name:?}; the sites are {}",
                known.join(", ")
            ));
        }
        let zone_data = match zones::choose(&config.time.zoneinfo, &Clock::real()) {
            Ok(zone_data) => zone_data,
            Err(error) => return fail(&error.to_string()),
        };
        zone_data.install();
        let from = match self.from.as_deref().map(LocalDateTime::parse) {
            None => LocalDateTime::Instant(Clock::real().now()),
            Some(Some(from)) => from,
            Some(None) => {
                return used_wrongly(
                    "--from is not a time: write \"2026-12-24T00:00\" or \"2026-12-24T00:00:00-03:00\"",
                );
            }
        };
        match preview(
            &config,
            &PreviewInput {
                from,
                span,
                site: self.site,
                urls: self.url,
                other_zone_data: zone_data.passed_over.and_then(|other| other.read().ok()),
            },
            &compiler(),
        ) {
            Ok(preview) if self.json => match serde_json::to_string_pretty(&preview) {
                Ok(json) => print(&format!("{json}\n")),
                Err(error) => fail(&error.to_string()),
            },
            Ok(preview) => {
                for warning in &preview.warnings {
                    eprintln!("warning: {warning}");
                }
                for notice in &preview.notices {
                    eprintln!("notice: {notice}");
                }
                for difference in &preview.zone_data_differences {
                    eprintln!("warning: {}", told(difference));
                }
                print(&show(&preview))
            }
            Err(error @ PreviewError::ManyZones(_)) => used_wrongly(&format!("--from: {error}")),
            Err(error) => fail(&super::serve::with_causes(&error)),
        }
    }
}

fn told(difference: &ZoneDataDifference) -> String {
    let ZoneDataDifference {
        zone,
        from,
        until,
        offset_mins,
        in_force,
        other_offset_mins,
        other,
    } = difference;
    format!(
        "{zone}, {from} until {until}: the offset is {} by the time zone data in use ({in_force}) and {} by {other}",
        offset(*offset_mins),
        offset(*other_offset_mins)
    )
}

/// `-03:00`
fn offset(mins: i64) -> String {
    let sign = if mins < 0 { '-' } else { '+' };
    let mins = mins.abs();
    format!("{sign}{:02}:{:02}", mins / 60, mins % 60)
}

fn show(preview: &Preview) -> String {
    let mut out = String::new();
    for asked in &preview.asked {
        let _ = match asked.policies.as_slice() {
            [] => writeln!(
                out,
                "# {}: none of its policies depends on the time",
                asked.site
            ),
            policies => writeln!(
                out,
                "# {}: {} asked about {}",
                asked.site,
                policies.join(", "),
                asked.urls.join(" ")
            ),
        };
    }
    let _ = writeln!(
        out,
        "# from {} until {}, each minute",
        preview.from, preview.until
    );
    let mut day = "";
    for event in &preview.events {
        let date = event.local.get(..10).unwrap_or_default();
        if date != day {
            let weekday = date
                .parse::<chrono::NaiveDate>()
                .map(|date| date.format("%A").to_string())
                .unwrap_or_default();
            let _ = writeln!(out, "\n{date} {weekday}");
            day = date;
        }
        let _ = writeln!(out, "  {} {}", times(event), what(&event.what));
    }
    if preview.events.is_empty() {
        out.push_str("\nnothing\n");
    }
    out
}

/// `09:00:00 -03:00 = 12:00:00Z`, with the date of UTC if it differs.
fn times(event: &PreviewEvent) -> String {
    let (local, utc) = (event.local.get(11..19).unwrap_or_default(), &event.utc);
    let offset = event
        .local
        .get(19..)
        .filter(|offset| *offset != "Z")
        .unwrap_or("+00:00");
    let utc = if utc.get(..10) == event.local.get(..10) {
        utc.get(11..).unwrap_or_default()
    } else {
        utc
    };
    format!("{local} {offset} = {utc}")
}

fn what(what: &EventKind) -> String {
    match what {
        EventKind::OffsetChange {
            before_mins,
            after_mins,
        } => {
            let moved = if after_mins > before_mins {
                "forward"
            } else {
                "back"
            };
            format!(
                "the clock goes {moved} by {} minutes",
                before_mins.abs_diff(*after_mins)
            )
        }
        EventKind::Holiday {
            name,
            open,
            policies,
        } => {
            let kind = open
                .as_ref()
                .map_or("closed".to_owned(), |open| format!("half-day, {open}"));
            format!("holiday: {name} ({kind}), for {}", policies.join(", "))
        }
        EventKind::Plan { plan, site } => format!("plan {plan} warms {site}"),
        EventKind::Decision {
            policy,
            urls,
            before,
            after,
            ..
        } => {
            // A second before a change, the rest of the old lifetime is not of interest.
            let before = before
                .reason
                .as_ref()
                .map_or_else(|| kind(before), |reason| format!("\"{reason}\""));
            format!(
                "{policy}: {}, was {before}: {}",
                decision(after),
                urls.join(" ")
            )
        }
    }
}

/// The policy's own words and the numbers behind them.
fn decision(decision: &PreviewDecision) -> String {
    match &decision.reason {
        Some(reason) => format!("\"{reason}\" ({})", kind(decision)),
        None => kind(decision),
    }
}

fn kind(decision: &PreviewDecision) -> String {
    match (decision.pass, decision.storing, decision.ttl_secs) {
        (true, ..) => "passed by".to_owned(),
        (_, "never", _) => "not stored".to_owned(),
        (_, _, Some(secs)) => format!("fresh for {}", long(secs)),
        _ => "as its fields say".to_owned(),
    }
}

/// `1d 14h 35min 18s`, without the units that are 0.
fn long(secs: u64) -> String {
    let parts = [
        (secs / 86_400, "d"),
        (secs / 3_600 % 24, "h"),
        (secs / 60 % 60, "min"),
        (secs % 60, "s"),
    ];
    let shown: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    if shown.is_empty() {
        "0s".to_owned()
    } else {
        shown.join(" ")
    }
}
