//! A forecast as tables for people.

use std::fmt::Write as _;

use super::compare::{NoisyDifference, ScenarioDifference};
use super::curve::CurvePoint;
use super::report::{ForecastReport, RequestFigures, ScenarioReport};

/// Rows of variants and reasons that are printed; JSON has all.
const TOLD_ROWS: usize = 12;

/// The forecast as text.
pub fn tables(report: &ForecastReport) -> String {
    let mut text = String::new();
    write_log(&mut text, report);
    for scenario in &report.scenarios {
        write_scenario(&mut text, scenario);
    }
    for difference in &report.differences {
        write_difference(&mut text, difference);
    }
    write_curve(&mut text, &report.curve);
    text.push_str("\nWhat the log doesn't tell, and what is assumed\n");
    for note in &report.assumptions {
        line(
            &mut text,
            &format!("  {}: {} ({})", note.untold, note.assumed, note.otherwise),
        );
    }
    for warning in &report.warnings {
        line(&mut text, &format!("warning: {warning}"));
    }
    text
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn write_log(text: &mut String, report: &ForecastReport) {
    let log = &report.log;
    line(
        text,
        &format!(
            "{} requests on {} local days, from {} to {}",
            log.requests, log.days, log.first, log.last,
        ),
    );
    for bad in &log.bad_lines {
        line(
            text,
            &format!("{} lines can't be used: {}", bad.count, bad.what),
        );
    }
    for bad in &log.first_bad_lines {
        line(text, &format!("  {bad}"));
    }
    if log.unsendable > 0 {
        line(
            text,
            &format!(
                "{} requests can't be sent: target or host is malformed",
                log.unsendable
            ),
        );
    }
    for refused in &log.refused {
        line(
            text,
            &format!(
                "{} requests are not let in: {}",
                refused.count, refused.what
            ),
        );
    }
}

fn write_scenario(text: &mut String, scenario: &ScenarioReport) {
    line(text, &format!("\n== {} ==", scenario.name));
    let columns = format!(
        "{:<9} {:>8}  {:>7} {:>10} {:>8} {:>8} {:>9} {:>13}",
        "", "requests", "hits", "", "of bytes", "no wait", "origin", "origin bytes"
    );
    line(text, &columns);
    write_row(text, &scenario.total);
    let origin = &scenario.origin;
    line(
        text,
        &format!(
            "origin: {} for visitors, {} in the background, {} ahead, {} by plans; {:.0} a day{}",
            origin.visitors,
            origin.background,
            origin.ahead,
            origin.plans,
            origin.requests_a_day,
            origin
                .requests_a_day_interval
                .map(|range| format!(" ({:.0} to {:.0})", range.low, range.high))
                .unwrap_or_default(),
        ),
    );
    line(
        text,
        &format!(
            "busiest minute of the origin: {} requests, {}",
            origin.busiest_minute_requests, origin.busiest_minute
        ),
    );
    line(
        text,
        &format!(
            "memory: {} in {} keys at the end, {} evicted",
            show_rounded(scenario.memory_used),
            scenario.entries,
            scenario.evictions
        ),
    );
    if let Some(opening) = &scenario.opening {
        line(text, &format!("\nfirst hour after opening\n{columns}"));
        write_row(text, opening);
    }
    for plan in &scenario.plans {
        line(
            text,
            &format!(
                "plan {}: {} runs, {} fetched ({}), {} of them used, {} hits given, {} wasted, {} in vain",
                plan.plan,
                plan.runs,
                plan.fetched,
                show_rounded(plan.bytes),
                plan.used,
                plan.hits_given,
                show_rounded(plan.wasted_bytes),
                plan.in_vain,
            ),
        );
    }
    for (name, rows) in [
        ("by local hour", &scenario.hours),
        ("by day of the week", &scenario.weekdays),
        ("by site", &scenario.sites),
        ("by variant", &scenario.variants),
        ("by reason", &scenario.reasons),
    ] {
        let rows = rows
            .iter()
            .filter(|row| row.requests > 0 || row.origin_requests > 0);
        line(text, &format!("\n{name}\n{columns}"));
        let most = if name == "by local hour" {
            24
        } else {
            TOLD_ROWS
        };
        rows.take(most).for_each(|row| write_row(text, row));
    }
}

fn write_row(text: &mut String, row: &RequestFigures) {
    let range = row
        .hit_rate_interval
        .map(|range| format!("{:.1}-{:.1}", range.low * 100.0, range.high * 100.0));
    let _ = writeln!(
        text,
        "{:<9} {:>8}  {:>7} {:>10} {:>8} {:>8} {:>9} {:>13}",
        shortened(&row.name),
        row.requests,
        percent(row.hit_rate),
        range.unwrap_or_default(),
        percent(row.byte_hit_rate),
        percent(row.unwaited),
        row.origin_requests,
        show_rounded(row.origin_bytes),
    );
}

/// A name that doesn't fit stands on a line of its own.
fn shortened(name: &str) -> String {
    match name.chars().count() > 9 {
        true => format!("{name}\n         "),
        false => name.to_owned(),
    }
}

fn percent(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

/// A size in the largest unit that leaves a digit.
pub(super) fn show_rounded(bytes: u64) -> String {
    let mut size = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if size < 1_024.0 {
            return match unit {
                "B" => format!("{bytes} B"),
                unit => format!("{size:.1} {unit}"),
            };
        }
        size /= 1_024.0;
    }
    format!("{size:.1} PiB")
}

fn write_difference(text: &mut String, difference: &ScenarioDifference) {
    line(
        text,
        &format!("\n== {} against the first ==", difference.name),
    );
    for (name, by, unit) in [
        ("hit rate", &difference.hit_rate, "points"),
        ("hit rate of bytes", &difference.byte_hit_rate, "points"),
        ("requests that don't wait", &difference.unwaited, "points"),
        ("requests to the origin", &difference.origin_requests, "%"),
        ("bytes from the origin", &difference.origin_bytes, "%"),
    ] {
        line(text, &format!("{name:<26} {}", show_difference(by, unit)));
    }
    let hours = difference.hours.iter().enumerate();
    for (hour, by) in hours.filter(|(_, by)| by.is_certain == Some(true)) {
        line(
            text,
            &format!(
                "hit rate at {hour:02}:00          {}",
                show_difference(by, "points")
            ),
        );
    }
    if !difference.urls.is_empty() {
        line(
            text,
            "URLs that differ most: waited for the origin, first and other; reasons",
        );
    }
    for url in &difference.urls {
        line(
            text,
            &format!(
                "  {} of {}: {} and {}; {} | {}",
                url.url, url.requests, url.waited[0], url.waited[1], url.reasons[0], url.reasons[1]
            ),
        );
    }
}

fn show_difference(difference: &NoisyDifference, unit: &str) -> String {
    let Some(by) = difference.by else {
        return "-".to_owned();
    };
    let range = difference
        .interval
        .map(|range| format!(" ({:+.2} to {:+.2})", range.low * 100.0, range.high * 100.0));
    let noise = match difference.is_certain {
        Some(true) => " *",
        Some(false) => " within the noise",
        None => " too few days to tell noise",
    };
    format!(
        "{:+.2} {unit}{}{noise}",
        by * 100.0,
        range.unwrap_or_default()
    )
}

fn write_curve(text: &mut String, curve: &[CurvePoint]) {
    if curve.is_empty() {
        return;
    }
    line(
        text,
        "\nhit rate over memory for stored responses (least recently used are evicted)",
    );
    let mut told = -1.0;
    for point in curve {
        // Points between which nothing happens are left out.
        if point.hit_rate - told >= 0.005 || Some(point) == curve.last() {
            told = point.hit_rate;
            line(
                text,
                &format!(
                    "{:>12} {:>7}",
                    show_rounded(point.bytes),
                    percent(Some(point.hit_rate))
                ),
            );
        }
    }
}
