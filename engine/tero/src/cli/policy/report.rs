//! Comparisons of versions for people: of a shadow, of a canary, of a diff over a log.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde_json::Value;

use super::{short, time_of};

/// Samples that are shown of each field.
const SHOWN_SAMPLES: usize = 3;

/// What came of a shadow so far.
pub(super) fn shadow(name: &str, answer: &Value) -> String {
    let text = |key: &str| answer[key].as_str().unwrap_or("?");
    let mut shown = format!(
        "{name}: {} in shadow since {}, asked about {} of the requests\n{}",
        short(text("version")),
        time_of(&answer["since_unix_secs"]),
        text("sample"),
        comparison(&answer["comparison"], "active", "candidate"),
    );
    if let Some(left_out @ 1..) = answer["left_out"].as_u64() {
        shown.push_str(&format!(
            "{left_out} requests were left out: the queue was full (policies.shadow_queue)\n"
        ));
    }
    shown
}

/// Agreements and differences field by field, with samples.
pub(super) fn comparison(comparison: &Value, left: &str, right: &str) -> String {
    let mut table = Table::new();
    table
        .load_preset(UTF8_FULL_CONDENSED)
        .set_header(["field", "same", "different"]);
    let mut samples = String::new();
    for (field, tally) in comparison["fields"].as_object().into_iter().flatten() {
        table.add_row([
            field.clone(),
            tally["same"].to_string(),
            tally["different"].to_string(),
        ]);
        for sample in tally["samples"]
            .as_array()
            .into_iter()
            .flatten()
            .rev()
            .take(SHOWN_SAMPLES)
        {
            let text = |key: &str| sample[key].as_str().unwrap_or("?");
            samples.push_str(&format!(
                "  {field}: {} ({}, {}): {left} {}, {right} {}\n",
                text("url"),
                text("device"),
                time_of(&sample["at_unix_secs"]),
                text(left),
                text(right),
            ));
        }
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let (requests, responses) = (&comparison["requests"], &comparison["responses"]);
    format!("{requests} requests and {responses} responses compared\n{table}\n{samples}")
}

/// How a canary does beside the control.
pub(super) fn canary(name: &str, answer: &Value) -> String {
    if let Some(reason) = answer["rolled_back"]["reason"].as_str() {
        let version = answer["rolled_back"]["version"].as_str().unwrap_or("?");
        let at = time_of(&answer["rolled_back"]["at_unix_secs"]);
        return format!(
            "{name}: no canary; {} was rolled back at {at}: {reason}\n",
            short(version)
        );
    }
    let text = |key: &str| answer[key].as_str().unwrap_or("?");
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header(["", "requests", "hit rate", "errors", "origin requests"]);
    for (shown, key) in [("active version", "control"), ("canary", "canary")] {
        let arm = &answer[key];
        let rate = arm["hit_rate"]
            .as_f64()
            .map_or_else(|| "–".to_owned(), |rate| format!("{:.1} %", rate * 100.0));
        let number = |key: &str| arm[key].to_string();
        table.add_row([
            shown.to_owned(),
            number("requests"),
            rate,
            number("errors"),
            number("origin_requests"),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let since = time_of(&answer["since_unix_secs"]);
    format!(
        "{name}: {} answers for {} of the keys since {since}\n{table}\n",
        short(text("version")),
        text("share")
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_comparison_shows_fields_and_the_latest_samples() {
        let sample = |number: u64| json!({ "at_unix_secs": 0, "url": format!("h/{number}"), "device": "tv", "a": "1 s", "b": "2 s" });
        let samples: Vec<Value> = (0..5).map(sample).collect();
        let fields = json!({ "ttl": { "same": 7, "different": 5, "samples": samples } });
        let shown = comparison(
            &json!({ "requests": 12, "responses": 3, "fields": fields }),
            "a",
            "b",
        );
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
        let rolled_back = json!({ "version": "0123456789abcdef", "at_unix_secs": 60, "reason": "a hit rate of 1 %" });
        let shown = canary("hours", &json!({ "rolled_back": rolled_back }));
        assert_eq!(
            shown,
            "hours: no canary; 0123456789ab was rolled back at 1970-01-01 00:01:00 UTC: a hit rate of 1 %\n"
        );
    }
}
