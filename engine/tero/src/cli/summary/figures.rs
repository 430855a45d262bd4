//! The report: sums over the hours of sites, the incidents, the runs, the changes of a time.

use std::fmt::Write as _;
use std::time::Duration;

use chrono::{DateTime, FixedOffset, NaiveDate};
use serde::Serialize;

use crate::cli::shown;
use tero_admin_api::{
    CONFIGURATION, EventsResponse, OutcomeCounts, PoliciesResponse, SiteWeek, WarmRunsResponse,
    WeekHour, WeekResponse,
};

/// The share of answers that may be errors.
const ERROR_GOAL: f64 = 0.001;

/// What happened.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct OperationsReport {
    since_unix_secs: i64,
    until_unix_secs: i64,
    sites: Vec<SiteReport>,
    incidents: Vec<IncidentReport>,
    warming: Vec<PlanReport>,
    policies: Vec<PolicyChange>,
}

#[derive(Debug, PartialEq, Serialize)]
struct SiteReport {
    site: String,
    zone: String,
    requests: u64,
    hit_rate: Option<f64>,
    byte_hit_rate: Option<f64>,
    bytes: u64,
    /// The share of responses whose head left within 200 ms.
    within_200_ms: Option<f64>,
    /// The greatest 95th percentile of an hour, and that hour.
    worst_p95_ms: Option<f64>,
    worst_hour: Option<String>,
    /// The share of answers with 5xx, of origins or of the edge, without those of rules of the site.
    error_share: Option<f64>,
    /// What is left of the errors that the goal allows in this time: 1 for all, negative beyond.
    error_budget_left: Option<f64>,
}

#[derive(Debug, PartialEq, Serialize)]
struct IncidentReport {
    kind: String,
    severity: String,
    subject: String,
    text: String,
    began_unix_secs: i64,
    /// From its beginning until it was told.
    detection_secs: i64,
    /// From its beginning to its end; absent while it goes on.
    resolution_secs: Option<i64>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct PlanReport {
    plan: String,
    runs: u64,
    failed_runs: u64,
    fetched: u64,
    failed: u64,
    window_hits: u64,
    hits_given: u64,
    share_of_hits: Option<f64>,
    wasted_bytes: u64,
}

#[derive(Debug, PartialEq, Serialize)]
struct PolicyChange {
    at_unix_secs: i64,
    policy: String,
    change: String,
}

impl OperationsReport {
    /// The report of the time before what the edge's clock shows.
    pub(super) fn of(
        since: Duration,
        week: &WeekResponse,
        events: &EventsResponse,
        runs: &WarmRunsResponse,
        policies: &PoliciesResponse,
    ) -> OperationsReport {
        let now = week
            .sites
            .first()
            .and_then(local)
            .map_or(0, |now| now.timestamp());
        let begin = now - i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        let told = events.events.iter().rev();
        let incidents = told.filter(|event| {
            event.told_unix_secs >= begin || event.resolved_unix_secs.is_none_or(|end| end >= begin)
        });
        OperationsReport {
            since_unix_secs: begin,
            until_unix_secs: now,
            sites: week
                .sites
                .iter()
                .map(|site| site_report(site, since))
                .collect(),
            incidents: incidents
                .map(|event| IncidentReport {
                    kind: event.kind.clone(),
                    severity: event.severity.clone(),
                    subject: event.subject.clone(),
                    text: event.text.clone(),
                    began_unix_secs: event.began_unix_secs,
                    detection_secs: event.told_unix_secs - event.began_unix_secs,
                    resolution_secs: event
                        .resolved_unix_secs
                        .map(|end| end - event.began_unix_secs),
                })
                .collect(),
            warming: warming(runs, begin),
            policies: changes(policies, begin),
        }
    }

    /// The report in Markdown.
    pub(super) fn to_markdown(&self) -> String {
        let mut text = format!(
            "# tero, {} to {}\n\n## Sites\n\n\
             | site | requests | hit rate | of bytes | within 200 ms | worst 95th percentile | errors | budget left |\n\
             |---|---|---|---|---|---|---|---|\n",
            utc(self.since_unix_secs),
            utc(self.until_unix_secs)
        );
        for site in &self.sites {
            let worst = match (site.worst_p95_ms, &site.worst_hour) {
                (Some(millis), Some(hour)) => format!("{millis:.0} ms ({hour})"),
                _ => "–".to_owned(),
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {worst} | {} | {} |",
                site.site,
                site.requests,
                percent(site.hit_rate),
                percent(site.byte_hit_rate),
                percent(site.within_200_ms),
                percent(site.error_share),
                percent(site.error_budget_left),
            );
        }
        text.push_str("\n## Incidents\n\n");
        let mut rows = Vec::new();
        for incident in &self.incidents {
            let lasted = incident.resolution_secs.map_or_else(
                || "goes on".to_owned(),
                |secs| shown::time(secs.unsigned_abs()),
            );
            rows.push(format!(
                "| {} | {} | {} | {} | {lasted} |",
                utc(incident.began_unix_secs),
                incident.severity,
                incident.text,
                shown::time(incident.detection_secs.unsigned_abs()),
            ));
        }
        table(
            &mut text,
            &["began", "severity", "what", "told after", "lasted"],
            &rows,
        );
        text.push_str("\n## Warming\n\n");
        let rows: Vec<String> = self
            .warming
            .iter()
            .map(|plan| {
                format!(
                    "| {} | {} | {} | {} | {} | {} | {} |",
                    plan.plan,
                    plan.runs,
                    plan.failed_runs,
                    plan.fetched,
                    plan.failed,
                    percent(plan.share_of_hits),
                    shown::size(plan.wasted_bytes),
                )
            })
            .collect();
        let columns = [
            "plan",
            "runs",
            "failed",
            "pages",
            "failed pages",
            "share of hits",
            "wasted",
        ];
        table(&mut text, &columns, &rows);
        text.push_str("\n## Policies\n\n");
        let rows: Vec<String> = self
            .policies
            .iter()
            .map(|change| {
                format!(
                    "| {} | {} | {} |",
                    utc(change.at_unix_secs),
                    change.policy,
                    change.change
                )
            })
            .collect();
        table(&mut text, &["when", "policy", "change"], &rows);
        text
    }
}

fn table(text: &mut String, columns: &[&str], rows: &[String]) {
    if rows.is_empty() {
        return text.push_str("None.\n");
    }
    let _ = writeln!(
        text,
        "| {} |\n|{}",
        columns.join(" | "),
        "---|".repeat(columns.len())
    );
    for row in rows {
        let _ = writeln!(text, "{row}");
    }
}

/// What the clock of a site shows.
fn local(site: &SiteWeek) -> Option<DateTime<FixedOffset>> {
    DateTime::parse_from_rfc3339(&site.local).ok()
}

/// The hours of a site that began within the time.
fn hours(site: &SiteWeek, since: Duration) -> Vec<&WeekHour> {
    let Some(now) = local(site) else {
        return Vec::new();
    };
    let begin = now.naive_local() - since;
    let is_within = |hour: &&WeekHour| {
        let date: Option<NaiveDate> = hour.date.parse().ok();
        let start = date.and_then(|date| date.and_hms_opt(hour.hour.into(), 0, 0));
        start.is_some_and(|start| start > begin)
    };
    site.hours.iter().filter(is_within).collect()
}

#[allow(clippy::cast_precision_loss)] // Shares of four digits.
fn site_report(site: &SiteWeek, since: Duration) -> SiteReport {
    let hours = hours(site, since);
    let mut outcomes = OutcomeCounts::default();
    let (mut bytes, mut byte_hits, mut looked_up_bytes) = (0, 0.0, 0.0);
    let (mut fast, mut timed) = (0.0, 0.0);
    let mut failed = 0;
    let mut worst: Option<(f64, &WeekHour)> = None;
    for hour in &hours {
        outcomes.add(&hour.figures.hits.outcomes);
        bytes += hour.figures.bytes;
        failed += hour.errors;
        let requests = hour.figures.hits.requests as f64;
        if let Some(rate) = hour.figures.byte_hit_rate {
            byte_hits += rate * hour.figures.bytes as f64;
            looked_up_bytes += hour.figures.bytes as f64;
        }
        if let Some(share) = hour.within_200_ms {
            fast += share * requests;
            timed += requests;
        }
        if let Some(p95) = hour.p95_ms
            && worst.is_none_or(|(most, _)| p95 > most)
        {
            worst = Some((p95, hour));
        }
    }
    let looked_up =
        outcomes.hit + outcomes.stale + outcomes.revalidated + outcomes.collapsed + outcomes.miss;
    let requests = looked_up + outcomes.pass + outcomes.error + outcomes.rule;
    let share = |part: f64, whole: f64| (whole > 0.0).then(|| rounded(part / whole));
    let errors = share(failed as f64, requests as f64);
    SiteReport {
        site: site.site.clone(),
        zone: site.zone.clone(),
        requests,
        hit_rate: share((looked_up - outcomes.miss) as f64, looked_up as f64),
        byte_hit_rate: share(byte_hits, looked_up_bytes),
        bytes,
        within_200_ms: share(fast, timed),
        worst_p95_ms: worst.map(|(millis, _)| millis),
        worst_hour: worst.map(|(_, hour)| format!("{} {:02}:00", hour.date, hour.hour)),
        error_share: errors,
        error_budget_left: errors.map(|share| rounded(1.0 - share / ERROR_GOAL)),
    }
}

fn rounded(share: f64) -> f64 {
    (share * 10_000.0).round() / 10_000.0
}

#[allow(clippy::cast_precision_loss)] // A share of four digits.
fn warming(runs: &WarmRunsResponse, begin: i64) -> Vec<PlanReport> {
    let mut plans: Vec<PlanReport> = Vec::new();
    let counted = runs.runs.iter().rev();
    for run in counted.filter(|run| !run.dry_run && run.started_unix_secs >= begin) {
        let place = plans.iter().position(|plan| plan.plan == run.plan);
        let place = place.unwrap_or_else(|| {
            plans.push(PlanReport {
                plan: run.plan.clone(),
                ..PlanReport::default()
            });
            plans.len() - 1
        });
        let plan = &mut plans[place];
        plan.runs += 1;
        plan.failed_runs += u64::from(matches!(run.state.as_str(), "failed" | "deadline-passed"));
        plan.fetched += run.fetched;
        plan.failed += run.failed;
        if let Some(worth) = &run.worth {
            plan.window_hits += worth.window_hits;
            plan.hits_given += worth.hits_given;
            plan.wasted_bytes += worth.wasted_bytes;
        }
        plan.share_of_hits = (plan.window_hits > 0)
            .then(|| rounded(plan.hits_given as f64 / plan.window_hits as f64));
    }
    plans
}

fn changes(policies: &PoliciesResponse, begin: i64) -> Vec<PolicyChange> {
    let mut changes = Vec::new();
    for policy in &policies.policies {
        let name = &policy.module.name;
        let mut add = |at_unix_secs, change: String| {
            if at_unix_secs >= begin {
                changes.push(PolicyChange {
                    at_unix_secs,
                    policy: name.clone(),
                    change,
                });
            }
        };
        for version in &policy.versions {
            add(
                version.pushed_unix_secs,
                format!("version {} was pushed", short(&version.digest)),
            );
        }
        if policy.version != CONFIGURATION {
            add(
                policy.active_since_unix_secs,
                format!("version {} decides", short(&policy.version)),
            );
        }
        if let Some(shadow) = &policy.shadow {
            add(
                shadow.since_unix_secs,
                format!("version {} is in shadow", short(&shadow.version)),
            );
        }
        if let Some(canary) = &policy.canary {
            let change = format!(
                "version {} answers for {}",
                short(&canary.version),
                canary.share
            );
            add(canary.since_unix_secs, change);
        }
        if let Some(rolled_back) = &policy.rolled_back {
            let change = format!(
                "the canary {} was rolled back: {}",
                short(&rolled_back.version),
                rolled_back.reason
            );
            add(rolled_back.at_unix_secs, change);
        }
    }
    changes.sort_by_key(|change| change.at_unix_secs);
    changes
}

fn short(digest: &str) -> &str {
    match digest.len() {
        64 => digest.get(..12).unwrap_or(digest),
        _ => digest,
    }
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |share| format!("{:.2} %", share * 100.0))
}

fn utc(unix_secs: i64) -> String {
    let at = DateTime::from_timestamp(unix_secs, 0).unwrap_or_default();
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tero_admin_api::{EventReport, HitFigures, WeekFigures};

    fn hour(date: &str, hour: u8, hit: u64, error: u64, p95: f64) -> WeekHour {
        WeekHour {
            date: date.to_owned(),
            weekday: 1,
            hour,
            figures: WeekFigures {
                hits: HitFigures {
                    requests: hit + 10 + error,
                    hit_rate: None,
                    outcomes: OutcomeCounts {
                        hit,
                        miss: 10,
                        // An origin has answered with 5xx.
                        pass: error,
                        ..OutcomeCounts::default()
                    },
                },
                bytes: 1_000,
                byte_hit_rate: Some(0.5),
            },
            errors: error,
            within_200_ms: Some(1.0),
            p50_ms: Some(1.0),
            p95_ms: Some(p95),
            p99_ms: None,
            variants: Vec::new(),
        }
    }

    fn week() -> WeekResponse {
        WeekResponse {
            sites: vec![SiteWeek {
                site: "shop".to_owned(),
                zone: "America/Argentina/Buenos_Aires".to_owned(),
                local: "2026-11-25T10:30:00-03:00".to_owned(),
                hours: vec![
                    hour("2026-11-24", 10, 1_000, 0, 900.0),
                    hour("2026-11-24", 11, 30, 0, 12.0),
                    hour("2026-11-25", 10, 49, 1, 5.0),
                ],
            }],
        }
    }

    fn event(began: i64, resolved: Option<i64>) -> EventReport {
        EventReport {
            number: 1,
            kind: "origin_down".to_owned(),
            severity: "ticket".to_owned(),
            subject: "shop/app-1".to_owned(),
            text: "origin app-1 of shop is not asked: refused".to_owned(),
            began_unix_secs: began,
            told_unix_secs: began + 60,
            resolved_unix_secs: resolved,
        }
    }

    fn report() -> OperationsReport {
        let now = 1_795_613_400;
        let events = EventsResponse {
            events: vec![
                event(now - 600, None),
                event(now - 7_200, Some(now - 7_000)),
                event(now - 200_000, Some(now - 190_000)),
            ],
        };
        let (runs, policies) = (
            WarmRunsResponse { runs: Vec::new() },
            PoliciesResponse {
                policies: Vec::new(),
                left_out: Vec::new(),
            },
        );
        OperationsReport::of(
            Duration::from_secs(86_400),
            &week(),
            &events,
            &runs,
            &policies,
        )
    }

    #[test]
    fn hours_of_the_time_are_summed_up() {
        let report = report();
        let site = &report.sites[0];
        // The hour that began before the time is not counted.
        assert_eq!((site.requests, site.hit_rate), (100, Some(0.798)));
        assert_eq!(
            (site.worst_p95_ms, site.worst_hour.as_deref()),
            (Some(12.0), Some("2026-11-24 11:00"))
        );
        assert_eq!(
            (site.error_share, site.error_budget_left),
            (Some(0.01), Some(-9.0))
        );
        assert_eq!((site.byte_hit_rate, site.bytes), (Some(0.5), 2_000));
    }

    #[test]
    fn incidents_tell_how_long_they_took() {
        let report = report();
        let times = report.incidents.iter();
        let times: Vec<_> = times
            .map(|incident| (incident.detection_secs, incident.resolution_secs))
            .collect();
        assert_eq!(times, [(60, Some(200)), (60, None)]);
        let shown = report.to_markdown();
        for part in [
            "| shop | 100 | 79.80 % |",
            "origin app-1 of shop",
            "3 min 20 s",
            "goes on",
            "## Warming\n\nNone.",
        ] {
            assert!(shown.contains(part), "{part} is not in\n{shown}");
        }
    }
}
