//! The reports of runs that `tero warm` prints.

use crate::cli::shown;
use tero_admin_api::{RunState, WarmRunReport, WarmRunsResponse};

/// At most so many reasons of a report are shown.
const SHOWN_REASONS: usize = 10;
/// Of so many runs that nodes shared, the latest first, the parts of the nodes are shown.
const SHOWN_FLEET_RUNS: usize = 3;

/// The pages that a dry run would fetch, a line for each.
pub(super) fn listed(report: &WarmRunReport) -> String {
    let mut text = String::new();
    for page in &report.would_fetch {
        text.push_str(&format!(
            "{:>3}  {:<10}  {:<12}  {}\n",
            page.priority,
            page.because,
            page.variant.as_deref().unwrap_or("-"),
            page.url
        ));
    }
    let wanted = report.planned.saturating_sub(report.fresh);
    text.push_str(&format!(
        "{wanted} of {} would be fetched, {} stay fresh for the window",
        report.planned, report.fresh
    ));
    let listed = report.would_fetch.len();
    if wanted > listed as u64 {
        text.push_str(&format!("; the first {listed} are listed"));
    }
    text.push('\n');
    notes(report, &mut text);
    text
}

/// The runs, a line for each.
pub(super) fn table(answer: &WarmRunsResponse) -> String {
    if answer.runs.is_empty() {
        return "no plan has run since the edge started\n".to_owned();
    }
    let width = shown::width();
    table_within(answer, width)
}

/// The columns of the runs, and whether a narrow table has them.
const COLUMNS: [(&str, bool); 14] = [
    ("run", true),
    ("plan", true),
    ("started", true),
    ("by", false),
    ("state", true),
    ("planned", true),
    ("fetched", true),
    ("fresh", false),
    ("failed", true),
    ("size", false),
    ("time", true),
    ("used", false),
    ("wasted", false),
    ("hits given", false),
];

fn table_within(answer: &WarmRunsResponse, width: Option<u16>) -> String {
    let is_narrow = shown::is_narrow(width);
    let is_shown = |place: &usize| !is_narrow || COLUMNS[*place].1;
    let mut table = shown::table_within(width);
    let header = (0..COLUMNS.len()).filter(is_shown);
    table.set_header(header.map(|place| COLUMNS[place].0));
    for run in &answer.runs {
        let cells = row(run).into_iter().enumerate();
        let cells = cells.filter(|(place, _)| is_shown(place));
        table.add_row(cells.map(|(_, cell)| cell));
    }
    shown::tighten(&mut table, width);
    let more = match is_narrow {
        true => "more: in a wider terminal, or with --json\n",
        false => "",
    };
    let with_fleet = answer.runs.iter().filter_map(of_fleet);
    let of_fleet: String = with_fleet.take(SHOWN_FLEET_RUNS).collect();
    format!("{table}\n{more}{of_fleet}")
}

fn row(run: &WarmRunReport) -> [String; 14] {
    let worth = run.worth.as_ref();
    let wasted = worth.map(|worth| shown::size(worth.wasted_bytes));
    let share = worth
        .and_then(|worth| worth.share_of_hits)
        .map(|share| format!("{:.1} %", share * 100.0));
    let dry = if run.dry_run { " (dry)" } else { "" };
    [
        run.id.to_string(),
        run.plan.clone(),
        started(&run.started),
        run.trigger.as_str().to_owned(),
        format!("{}{dry}", run.state.as_str()),
        run.planned.to_string(),
        run.fetched.to_string(),
        run.fresh.to_string(),
        run.failed.to_string(),
        shown::size(run.bytes),
        shown::time(run.seconds),
        run.used_later.to_string(),
        wasted.unwrap_or("-".to_owned()),
        share.unwrap_or("-".to_owned()),
    ]
}

/// `2026-11-24 08:30:00`, in UTC as the report has it.
fn started(text: &str) -> String {
    let seconds = text.get(..19).unwrap_or(text);
    seconds.replacen('T', " ", 1)
}

/// A finished run, for people.
pub(super) fn summary(report: &WarmRunReport) -> String {
    let mut text = format!(
        "run {} of {}: {} after {}\n  planned     {}\n  fetched     {} ({})\n  fresh       {}\n  not stored  {}\n  failed      {}\n",
        report.id,
        report.plan,
        report.state.as_str(),
        shown::time(report.seconds),
        report.planned,
        report.fetched,
        shown::size(report.bytes),
        report.fresh,
        report.not_stored,
        report.failed,
    );
    if report.retried > 0 {
        text.push_str(&format!("  tried again {}\n", report.retried));
    }
    if report.not_kept > 0 {
        let not_kept = report.not_kept;
        text.push_str(&format!("  not kept    {not_kept} (see warm_memory)\n"));
    }
    if report.sitemaps_failed > 0 {
        let failed = report.sitemaps_failed;
        text.push_str(&format!("  sitemaps    {failed} could not be read\n"));
    }
    if report.left_out > 0 {
        let left_out = report.left_out;
        text.push_str(&format!("  left out    {left_out} (see max_urls)\n"));
    }
    for (kind, pages) in [
        ("failed", &report.failures),
        ("not stored", &report.refusals),
    ] {
        for page in pages.iter().take(SHOWN_REASONS) {
            let variant = page.variant.as_ref();
            let variant = variant.map_or_else(String::new, |variant| format!(" [{variant}]"));
            text.push_str(&format!(
                "  {kind}: {}{variant}: {}\n",
                page.url, page.reason
            ));
        }
    }
    notes(report, &mut text);
    text
}

/// What all nodes have done together, and each of them; `None` for a run that is one node's alone.
fn of_fleet(run: &WarmRunReport) -> Option<String> {
    let fleet = run.fleet.as_ref()?;
    if fleet.planned_by.is_empty() {
        return Some(format!(
            "run {} with the fleet was cancelled before it was planned\n",
            run.id
        ));
    }
    let mut text = format!(
        "run {} with the fleet: {} planned by {}, {} fetched ({}), {} fresh, {} not stored, {} failed\n",
        run.id,
        fleet.planned,
        fleet.planned_by,
        fleet.fetched,
        shown::size(fleet.bytes),
        fleet.fresh,
        fleet.not_stored,
        fleet.failed,
    );
    for node in &fleet.nodes {
        text.push_str(&format!(
            "  {}: {} fetched, {} fresh, {} not stored, {} failed\n",
            node.node, node.fetched, node.fresh, node.not_stored, node.failed
        ));
    }
    Some(text)
}

fn notes(report: &WarmRunReport, text: &mut String) {
    for note in &report.notes {
        text.push_str(&format!("  note: {note}\n"));
    }
}

/// Checks that the run reached its end and that not too many pages failed.
pub(super) fn verdict(report: &WarmRunReport, fail_over: Option<f64>) -> Result<(), String> {
    if report.state != RunState::Done {
        let state = report.state.as_str();
        return Err(format!("the run did not reach its end: {state}"));
    }
    let (planned, failed) = (report.planned, report.failed);
    #[allow(clippy::cast_precision_loss)] // Counts of pages.
    let too_many = match fail_over {
        Some(share) => failed as f64 > share * planned as f64,
        None => planned > 0 && failed == planned,
    };
    if too_many {
        Err(format!("{failed} of {planned} failed"))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tero_admin_api::{
        Answer as _, DryRunPage, FleetRunNode, FleetRunReport, PageFailure, RunValue,
    };

    /// Three pages: one fetched, one that failed, one that is not storable.
    fn report() -> WarmRunReport {
        let golden = include_str!("../../../../admin-api/golden/warm_run.json");
        WarmRunReport::read(golden.as_bytes()).unwrap()
    }

    #[test]
    fn a_run_fails_when_more_failed_than_allowed_or_it_did_not_reach_its_end() {
        let check = |state, planned, failed, fail_over: Option<f64>, good: bool| {
            let report = WarmRunReport {
                state,
                planned,
                failed,
                ..report()
            };
            assert_eq!(
                verdict(&report, fail_over).is_ok(),
                good,
                "{report:?} {fail_over:?}"
            );
        };
        check(RunState::Done, 100, 5, Some(0.05), true);
        check(RunState::Done, 100, 6, Some(0.05), false);
        check(RunState::Done, 100, 1, Some(0.0), false);
        check(RunState::Done, 0, 0, Some(0.0), true);
        check(RunState::Done, 100, 99, None, true);
        check(RunState::Done, 100, 100, None, false);
        check(RunState::Done, 0, 0, None, true);
        for state in [
            RunState::DeadlinePassed,
            RunState::Cancelled,
            RunState::Failed,
        ] {
            check(state, 100, 0, None, false);
        }
    }

    #[test]
    fn a_dry_run_lists_what_it_would_fetch() {
        let report = WarmRunReport {
            planned: 3,
            fresh: 1,
            would_fetch: vec![DryRunPage {
                url: "www.example/a".to_owned(),
                variant: None,
                priority: 200,
                because: "absent".to_owned(),
            }],
            notes: vec!["odd".to_owned()],
            ..report()
        };
        assert_eq!(
            listed(&report),
            "200  absent      -             www.example/a\n\
             2 of 3 would be fetched, 1 stay fresh for the window; the first 1 are listed\n  note: odd\n"
        );
    }

    #[test]
    fn runs_are_listed_with_what_they_were_worth() {
        let run = |worth| WarmRunReport {
            plan: "apertura".to_owned(),
            worth,
            ..report()
        };
        let worth = RunValue {
            window_hits: 0,
            hits_given: 0,
            share_of_hits: Some(0.1234),
            unused: 0,
            wasted_bytes: 100,
        };
        let text = table(&WarmRunsResponse {
            runs: vec![run(Some(worth)), run(None)],
        });
        for part in ["apertura", "12.3 %", " 100 B ", " - "] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(table(&WarmRunsResponse { runs: Vec::new() }).contains("no plan has run"));
    }

    #[test]
    fn a_narrow_table_of_runs_has_a_line_for_each() {
        let run = |plan: &str| WarmRunReport {
            plan: plan.to_owned(),
            started: "2026-11-24T08:30:00Z".to_owned(),
            ..report()
        };
        let runs = vec![run("apertura"), run("mediodia")];
        let text = table_within(&WarmRunsResponse { runs }, Some(80));
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        for plan in ["apertura", "mediodia"] {
            let line = text.lines().find(|line| line.contains(plan)).unwrap();
            assert!(line.contains("2026-11-24 08:30:00"), "{text}");
        }
        assert!(
            text.contains("with --json") && !text.contains("hits given"),
            "{text}"
        );
    }

    #[test]
    fn runs_that_nodes_shared_are_told_with_the_part_of_each() {
        let part = |node: &str, fetched| FleetRunNode {
            node: node.to_owned(),
            fetched,
            fresh: 0,
            not_stored: 0,
            failed: 0,
            bytes: 0,
        };
        let fleet = FleetRunReport {
            planned_by: "edge-1".to_owned(),
            planned: 9,
            fetched: 7,
            fresh: 2,
            not_stored: 0,
            failed: 0,
            retried: 0,
            bytes: 100,
            nodes: vec![part("edge-1", 3), part("edge-2", 4)],
            failures: Vec::new(),
            refusals: Vec::new(),
        };
        let shared = WarmRunReport {
            id: 3,
            fleet: Some(fleet),
            ..report()
        };
        let runs = vec![shared, report()];
        let text = table_within(&WarmRunsResponse { runs }, None);
        let end = "run 3 with the fleet: 9 planned by edge-1, 7 fetched (100 B), 2 fresh, 0 not stored, 0 failed\n  \
                   edge-1: 3 fetched, 0 fresh, 0 not stored, 0 failed\n  edge-2: 4 fetched, 0 fresh, 0 not stored, 0 failed\n";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn a_summary_tells_numbers_reasons_and_notes() {
        let report = WarmRunReport {
            id: 3,
            plan: "apertura".to_owned(),
            seconds: 4,
            left_out: 7,
            sitemaps_failed: 2,
            failures: vec![PageFailure {
                url: "www.example/a".to_owned(),
                variant: Some("mobile".to_owned()),
                reason: "answered with 404".to_owned(),
            }],
            notes: vec!["the sitemap /s.xml is no sitemap".to_owned()],
            ..report()
        };
        let text = summary(&report);
        for part in [
            "run 3 of apertura: done after 4 s",
            "failed: www.example/a [mobile]: answered with 404",
            "not stored: www.example/private: private",
            "left out    7",
            "sitemaps    2 could not be read",
            "note: the sitemap",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}
