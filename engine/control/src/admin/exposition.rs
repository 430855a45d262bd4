//! The two text formats of metrics, and which of them a scraper asks for.
//!
//! Prometheus's own format is what most tools read, `promtool check metrics` among them. The library
//! writes OpenMetrics, whose families of counters have names without `_total`.

use std::collections::HashSet;

/// OpenMetrics text in Prometheus's own format, version 0.0.4.
pub(super) fn as_prometheus_text(open_metrics: &str) -> String {
    let counters: HashSet<&str> = open_metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(open_metrics.len() + counters.len() * 12);
    for line in open_metrics.lines() {
        match line
            .strip_prefix("# ")
            .and_then(|rest| rest.split_once(' '))
        {
            None if line.starts_with("# ") => {}
            Some((word @ ("HELP" | "TYPE"), rest)) => {
                let (name, told) = rest.split_once(' ').unwrap_or((rest, ""));
                let suffix = if counters.contains(name) {
                    "_total"
                } else {
                    ""
                };
                for part in ["# ", word, " ", name, suffix, " ", told, "\n"] {
                    text.push_str(part);
                }
            }
            Some(_) => {}
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

/// Whether a scraper that sends this `Accept` wants OpenMetrics: it names the format, and doesn't
/// like plain text better (RFC 9110 §12.5.1).
pub(super) fn prefers_open_metrics(accept: &str) -> bool {
    let weight = |wanted: &str| {
        let ranges = accept.split(',');
        let weights = ranges.filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next()?;
            if !name.eq_ignore_ascii_case(wanted) {
                return None;
            }
            let weight = parts.find_map(|part| part.strip_prefix("q="));
            Some(weight.map_or(1.0, |weight| weight.parse::<f64>().unwrap_or(0.0)))
        });
        weights.fold(0.0, f64::max)
    };
    let open_metrics = weight("application/openmetrics-text");
    open_metrics > 0.0 && open_metrics >= weight("text/plain")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_get_their_suffix_and_the_end_goes() {
        let open_metrics = "\
# HELP a_requests Requests.
# TYPE a_requests counter
a_requests_total{site=\"# TYPE a_requests counter\"} 3
# HELP a_bytes Bytes.
# TYPE a_bytes gauge
# UNIT a_bytes bytes
a_bytes 5
# EOF
";
        let expected = "\
# HELP a_requests_total Requests.
# TYPE a_requests_total counter
a_requests_total{site=\"# TYPE a_requests counter\"} 3
# HELP a_bytes Bytes.
# TYPE a_bytes gauge
a_bytes 5
";
        assert_eq!(as_prometheus_text(open_metrics), expected);
    }

    #[test]
    fn open_metrics_is_for_those_who_ask_for_it() {
        for (accept, expected) in [
            ("", false),
            ("*/*", false),
            ("text/plain", false),
            ("application/openmetrics-text", true),
            ("Application/OpenMetrics-Text; version=1.0.0", true),
            ("application/openmetrics-text;q=0", false),
            ("application/openmetrics-text;q=high", false),
            ("text/plain, application/openmetrics-text", true),
            ("text/plain, application/openmetrics-text;q=0.9", false),
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                true,
            ),
        ] {
            assert_eq!(prefers_open_metrics(accept), expected, "{accept}");
        }
    }
}
