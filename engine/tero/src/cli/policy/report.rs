//! Comparisons of versions for people: of shadows, canaries, and diffs over a log.

use comfy_table::{CellAlignment, Table};

use super::{short, time_of};
use crate::cli::shown;
use crate::cli::stats::percent;
use tero_admin_api::{
    CanaryReport, CanaryResponse, GroupFigures, RollbackReport, ShadowReport, ShadowSample,
    VersionComparison,
};

/// At most so many samples of each field are shown.
const SHOWN_SAMPLES: usize = 3;

/// A question that two versions answered differently.
pub(super) struct Difference<'a> {
    /// When it was asked.
    pub(super) at_unix_secs: i64,
    /// Host, path and query.
    pub(super) url: &'a str,
    /// The class of the device.
    pub(super) device: &'a str,
    /// The answers of the two.
    pub(super) says: [&'a str; 2],
}

/// A shadow: where it differs so far.
pub(super) fn shadow(name: &str, answer: &ShadowReport) -> String {
    let summary = &answer.summary;
    let mut shown = format!(
        "{name}: {} in shadow since {}, asked about {} of the requests\n",
        short(&summary.version),
        time_of(summary.since_unix_secs),
        summary.sample,
    );
    if let Some(compared) = &answer.comparison {
        shown.push_str(&comparison(
            compared,
            ["active", "candidate"],
            shadow_difference,
        ));
    }
    if summary.left_out > 0 {
        shown.push_str(&format!(
            "{} requests were left out: the queue was full (policies.shadow_queue)\n",
            summary.left_out
        ));
    }
    shown
}

fn shadow_difference(sample: &ShadowSample) -> Difference<'_> {
    Difference {
        at_unix_secs: sample.at_unix_secs,
        url: &sample.url,
        device: &sample.device,
        says: [&sample.active, &sample.candidate],
    }
}

/// Agreements and differences field by field, with samples.
pub(super) fn comparison<S>(
    comparison: &VersionComparison<S>,
    names: [&str; 2],
    difference: impl Fn(&S) -> Difference<'_>,
) -> String {
    let mut table = shown::table();
    table.set_header(["field", "same", "different"]);
    let mut samples = String::new();
    for (field, tally) in &comparison.fields {
        table.add_row([field, &tally.same.to_string(), &tally.different.to_string()]);
        for sample in tally.samples.iter().rev().take(SHOWN_SAMPLES) {
            let Difference {
                at_unix_secs,
                url,
                device,
                says,
            } = difference(sample);
            let at = time_of(at_unix_secs);
            let ([left, right], [said, other]) = (names, says);
            samples.push_str(&format!(
                "  {field}: {url} ({device}, {at}): {left} {said}, {right} {other}\n"
            ));
        }
    }
    align(&mut table);
    let (requests, responses) = (comparison.requests, comparison.responses);
    format!("{requests} requests and {responses} responses compared\n{table}\n{samples}")
}

/// A canary beside the control, or why it was rolled back.
pub(super) fn canary(name: &str, answer: &CanaryResponse) -> String {
    match answer {
        CanaryResponse::Running(report) => running(name, report),
        CanaryResponse::RolledBack { rolled_back } => {
            let RollbackReport {
                version,
                at_unix_secs,
                reason,
            } = rolled_back;
            let (version, at) = (short(version), time_of(*at_unix_secs));
            format!("{name}: no canary; {version} was rolled back at {at}: {reason}\n")
        }
    }
}

fn running(name: &str, report: &CanaryReport) -> String {
    let summary = &report.summary;
    let mut table = shown::table();
    table.set_header(["", "requests", "hit rate", "errors", "origin requests"]);
    for (name, group) in [
        ("active version", &summary.control),
        ("canary", &summary.canary),
    ] {
        table.add_row(group_row(name, group.as_ref()));
    }
    align(&mut table);
    format!(
        "{name}: {} answers for {} of the keys since {}\n{table}\n",
        short(&summary.version),
        summary.share,
        time_of(summary.since_unix_secs),
    )
}

fn group_row(name: &str, group: Option<&GroupFigures>) -> [String; 5] {
    let number = |of: fn(&GroupFigures) -> u64| {
        group.map_or_else(|| "–".to_owned(), |group| of(group).to_string())
    };
    [
        name.to_owned(),
        number(|group| group.requests),
        percent(group.and_then(|group| group.hit_rate)),
        number(|group| group.errors),
        number(|group| group.origin_requests),
    ]
}

/// Numbers are aligned right.
fn align(table: &mut Table) {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tero_admin_api::FieldTally;

    #[test]
    fn a_comparison_shows_fields_and_the_latest_samples() {
        let samples = (0..5).map(|number| format!("h/{number}")).collect();
        let tally = FieldTally {
            same: 7,
            different: 5,
            samples,
        };
        let compared = VersionComparison {
            requests: 12,
            responses: 3,
            fields: [("ttl".to_owned(), tally)].into(),
        };
        let shown = comparison(&compared, ["a", "b"], |url: &String| Difference {
            at_unix_secs: 0,
            url,
            device: "tv",
            says: ["1 s", "2 s"],
        });
        for part in [
            "12 requests and 3 responses",
            "ttl",
            "7",
            "ttl: h/4 (tv, 1970-01-01 00:00:00 UTC): a 1 s, b 2 s",
        ] {
            assert!(shown.contains(part), "{part} is not in\n{shown}");
        }
        assert!(!shown.contains("h/1"));
    }

    #[test]
    fn a_canary_that_was_rolled_back_says_why() {
        let rolled_back = RollbackReport {
            version: "0123456789abcdef".to_owned(),
            at_unix_secs: 60,
            reason: "a hit rate of 1 %".to_owned(),
        };
        let shown = canary("hours", &CanaryResponse::RolledBack { rolled_back });
        assert_eq!(
            shown,
            "hours: no canary; 0123456789ab was rolled back at 1970-01-01 00:01:00 UTC: a hit rate of 1 %\n"
        );
    }
}
