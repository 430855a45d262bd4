//! What `tero warm` tells of runs.

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde_json::Value;

/// Reasons that are shown of those in the report.
const SHOWN_REASONS: usize = 10;

/// A number of a report; 0 where it is missing.
pub(super) fn count(report: &Value, name: &str) -> u64 {
    report[name].as_u64().unwrap_or(0)
}

/// What a dry run would fetch, a line for each page.
pub(super) fn listed(report: &Value) -> String {
    let mut text = String::new();
    let pages = report["would_fetch"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    for page in pages {
        let part = |name: &str| page[name].as_str().unwrap_or("");
        let variant = if part("variant").is_empty() {
            "-"
        } else {
            part("variant")
        };
        text.push_str(&format!(
            "{:>3}  {:<10}  {:<12}  {}\n",
            count(page, "priority"),
            part("because"),
            variant,
            part("url")
        ));
    }
    let (planned, fresh) = (count(report, "planned"), count(report, "fresh"));
    text.push_str(&format!(
        "{} of {planned} would be fetched, {fresh} stay fresh for the window",
        planned.saturating_sub(fresh)
    ));
    if planned.saturating_sub(fresh) > pages.len() as u64 {
        text.push_str(&format!("; the first {} are listed", pages.len()));
    }
    text.push('\n');
    notes(report, &mut text);
    text
}

/// The runs, a line for each.
pub(super) fn table(answer: &Value) -> String {
    let runs = answer["runs"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if runs.is_empty() {
        return "no plan has run since the edge started\n".to_owned();
    }
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header([
        "run",
        "plan",
        "started",
        "by",
        "state",
        "planned",
        "fetched",
        "fresh",
        "failed",
        "bytes",
        "s",
        "used",
        "wasted",
        "hits given",
    ]);
    for run in runs {
        let text = |name: &str| run[name].as_str().unwrap_or("?").to_owned();
        let number = |name: &str| count(run, name).to_string();
        let worth = &run["worth"];
        let share = worth["share_of_hits"]
            .as_f64()
            .map(|share| format!("{:.1} %", share * 100.0));
        let dry = if run["dry_run"] == true { " (dry)" } else { "" };
        table.add_row([
            number("id"),
            text("plan"),
            text("started"),
            text("trigger"),
            format!("{}{dry}", text("state")),
            number("planned"),
            number("fetched"),
            number("fresh"),
            number("failed"),
            number("bytes"),
            number("seconds"),
            number("used_later"),
            worth["wasted_bytes"]
                .as_u64()
                .map_or("-".to_owned(), |bytes| bytes.to_string()),
            share.unwrap_or("-".to_owned()),
        ]);
    }
    format!("{table}\n")
}

/// What came of a run, for people.
pub(super) fn summary(report: &Value) -> String {
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
    if number("retried") > 0 {
        text.push_str(&format!("  tried again {}\n", number("retried")));
    }
    if number("not_kept") > 0 {
        text.push_str(&format!(
            "  not kept    {} (see warm_memory)\n",
            number("not_kept")
        ));
    }
    if number("left_out") > 0 {
        text.push_str(&format!(
            "  left out    {} (see max_urls)\n",
            number("left_out")
        ));
    }
    for (kind, name) in [("failed", "failures"), ("not stored", "refusals")] {
        for reason in report[name]
            .as_array()
            .into_iter()
            .flatten()
            .take(SHOWN_REASONS)
        {
            let part = |name: &str| reason[name].as_str().unwrap_or("");
            let variant = if part("variant").is_empty() {
                String::new()
            } else {
                format!(" [{}]", part("variant"))
            };
            text.push_str(&format!(
                "  {kind}: {}{variant}: {}\n",
                part("url"),
                part("reason")
            ));
        }
    }
    notes(report, &mut text);
    text
}

fn notes(report: &Value, text: &mut String) {
    for note in report["notes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        text.push_str(&format!("  note: {note}\n"));
    }
}

/// Whether the run went well enough.
pub(super) fn verdict(report: &Value, fail_over: Option<f64>) -> Result<(), String> {
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
    if too_many {
        Err(format!("{failed} of {planned} failed"))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_fails_when_more_failed_than_allowed_or_it_did_not_reach_its_end() {
        let check = |state: &str, planned: u64, failed: u64, fail_over: Option<f64>, good: bool| {
            let report = json!({ "state": state, "planned": planned, "failed": failed });
            assert_eq!(
                verdict(&report, fail_over).is_ok(),
                good,
                "{report} {fail_over:?}"
            );
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
    fn a_dry_run_lists_what_it_would_fetch() {
        let page = json!({ "url": "www.example/a", "variant": null, "priority": 200, "because": "absent" });
        let report = json!({ "planned": 3, "fresh": 1, "would_fetch": [page], "notes": ["odd"] });
        assert_eq!(
            listed(&report),
            "200  absent      -             www.example/a\n\
             2 of 3 would be fetched, 1 stay fresh for the window; the first 1 are listed\n  note: odd\n"
        );
    }

    #[test]
    fn runs_are_listed_with_what_they_were_worth() {
        let run = |worth: Value| {
            json!({ "id": 7, "plan": "apertura", "started": "2026-11-24T08:30:00-03:00", "trigger": "schedule", "state": "done",
                "planned": 10, "fetched": 9, "fresh": 1, "failed": 0, "bytes": 900, "seconds": 3, "used_later": 8, "worth": worth })
        };
        let worth = json!({ "share_of_hits": 0.1234, "wasted_bytes": 100 });
        let text = table(&json!({ "runs": [run(worth), run(Value::Null)] }));
        for part in ["apertura", "12.3 %", " 100 ", " - "] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(table(&json!({ "runs": [] })).contains("no plan has run"));
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
