//! Medians over the rounds, their spread, and ratios, as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::servers::Server;
use crate::{Arguments, load, process};

/// One measurement.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    requests_per_second: f64,
    p50_micros: f64,
    p99_micros: f64,
    /// User and system time of all the server's processes, over the requests answered.
    cpu_micros_per_request: f64,
}

impl Sample {
    pub(crate) fn new(result: &load::Result, cpu_ticks: u64) -> Sample {
        Sample {
            requests_per_second: result.requests as f64 / result.seconds,
            p50_micros: result.p50_micros,
            p99_micros: result.p99_micros,
            cpu_micros_per_request: cpu_ticks as f64 / process::TICKS_PER_SECOND * 1e6 / result.requests as f64,
        }
    }

    pub(crate) fn line(&self, server: Server, kib: u32) -> String {
        format!(
            "{:13} {kib:>4} KiB {:>9.0} req/s, p99 {:>7.0} µs, {:>6.2} µs of CPU",
            server.as_str(),
            self.requests_per_second,
            self.p99_micros,
            self.cpu_micros_per_request
        )
    }
}

/// All measurements.
pub(crate) struct Report {
    settings: Value,
    versions: BTreeMap<Server, String>,
    samples: BTreeMap<(u32, Server), Vec<Sample>>,
    /// Milliseconds from tero's start to ready, sorted; empty where tero was not measured.
    startups: Vec<f64>,
}

/// The medians of one server at one size.
struct Row {
    kib: u32,
    server: Server,
    requests_per_second: f64,
    /// Half the distance from the slowest to the fastest round, in percent of the median.
    spread_percent: f64,
    p50_micros: f64,
    p99_micros: f64,
    cpu_micros_per_request: f64,
}

impl Report {
    pub(crate) fn new(arguments: &Arguments, versions: BTreeMap<Server, String>) -> Report {
        let settings = json!({
            "seconds": arguments.seconds, "rounds": arguments.rounds, "connections": arguments.connections,
            "server_core": arguments.server_core, "load_core": arguments.load_core,
        });
        Report { settings, versions, samples: BTreeMap::new(), startups: Vec::new() }
    }

    pub(crate) fn add(&mut self, server: Server, kib: u32, sample: Sample) {
        self.samples.entry((kib, server)).or_default().push(sample);
    }

    /// Adds how long tero took to become ready, in milliseconds.
    pub(crate) fn started(&mut self, millis: Vec<f64>) {
        self.startups = sorted(millis);
    }

    fn rows(&self) -> Vec<Row> {
        self.samples
            .iter()
            .map(|((kib, server), samples)| {
                let of = |value: fn(&Sample) -> f64| sorted(samples.iter().map(value).collect());
                let rates = of(|sample| sample.requests_per_second);
                let median_rate = median(&rates);
                Row {
                    kib: *kib,
                    server: *server,
                    requests_per_second: median_rate,
                    spread_percent: (rates[rates.len() - 1] - rates[0]) / 2.0 / median_rate * 100.0,
                    p50_micros: median(&of(|sample| sample.p50_micros)),
                    p99_micros: median(&of(|sample| sample.p99_micros)),
                    cpu_micros_per_request: median(&of(|sample| sample.cpu_micros_per_request)),
                }
            })
            .collect()
    }

    /// The report for people.
    pub(crate) fn table(&self) -> String {
        let rows = self.rows();
        let mut text = String::new();
        let versions: Vec<String> =
            self.versions.iter().map(|(server, version)| format!("{} {version}", server.as_str())).collect();
        let _ = writeln!(text, "{}", versions.join(", "));
        let _ = writeln!(
            text,
            "{:>7} {:14} {:>9} {:>6} {:>8} {:>8} {:>8} {:>8} {:>10} {:>9}",
            "size", "server", "req/s", "±%", "x nginx", "x tero", "p50 µs", "p99 µs", "CPU µs/req", "x tero"
        );
        for row in &rows {
            let peer = |server| rows.iter().find(|other| other.kib == row.kib && other.server == server);
            let rate = |server| {
                peer(server)
                    .map_or_else(|| "-".to_owned(), |other| format!("{:.2}", row.requests_per_second / other.requests_per_second))
            };
            let cpu = peer(Server::Tero).map_or_else(
                || "-".to_owned(),
                |other| format!("{:.2}", row.cpu_micros_per_request / other.cpu_micros_per_request),
            );
            let _ = writeln!(
                text,
                "{:>3} KiB {:14} {:>9.0} {:>6.1} {:>8} {:>8} {:>8.0} {:>8.0} {:>10.2} {:>9}",
                row.kib,
                row.server.as_str(),
                row.requests_per_second,
                row.spread_percent,
                rate(Server::Nginx),
                rate(Server::Tero),
                row.p50_micros,
                row.p99_micros,
                row.cpu_micros_per_request,
                cpu
            );
        }
        if !self.startups.is_empty() {
            let _ =
                writeln!(text, "tero with four policies, compiled modules on disk: {:.0} ms to ready", median(&self.startups));
        }
        text
    }

    /// The report for machines.
    pub(crate) fn json(&self) -> String {
        let rows = self.rows();
        let results: Vec<Value> = rows
            .iter()
            .map(|row| {
                let peer = |server| rows.iter().find(|other| other.kib == row.kib && other.server == server);
                json!({
                    "size_kib": row.kib,
                    "server": row.server.as_str(),
                    "requests_per_second": row.requests_per_second,
                    "spread_percent": row.spread_percent,
                    "p50_micros": row.p50_micros,
                    "p99_micros": row.p99_micros,
                    "cpu_micros_per_request": row.cpu_micros_per_request,
                    "requests_per_second_over_nginx": peer(Server::Nginx).map(|other| row.requests_per_second / other.requests_per_second),
                    "requests_per_second_over_tero": peer(Server::Tero).map(|other| row.requests_per_second / other.requests_per_second),
                    "cpu_over_tero": peer(Server::Tero).map(|other| row.cpu_micros_per_request / other.cpu_micros_per_request),
                    "rounds": self.samples[&(row.kib, row.server)].iter().map(|sample| json!({
                        "requests_per_second": sample.requests_per_second,
                        "p50_micros": sample.p50_micros,
                        "p99_micros": sample.p99_micros,
                        "cpu_micros_per_request": sample.cpu_micros_per_request,
                    })).collect::<Vec<_>>(),
                })
            })
            .collect();
        let versions: BTreeMap<&str, &String> =
            self.versions.iter().map(|(server, version)| (server.as_str(), version)).collect();
        format!(
            "{:#}\n",
            json!({ "settings": self.settings, "versions": versions, "results": results, "ready_millis": self.startups })
        )
    }
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// Of sorted values; 0 where there are none.
fn median(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle() {
        for (values, expected) in [(vec![], 0.0), (vec![3.0], 3.0), (vec![9.0, 1.0], 5.0), (vec![9.0, 1.0, 2.0], 2.0)] {
            assert_eq!(median(&sorted(values.clone())), expected, "{values:?}");
        }
    }

    #[test]
    fn cpu_time_is_spread_over_the_requests() {
        let result = load::Result { seconds: 2.0, requests: 100_000, bytes: 0, failed: 0, p50_micros: 1.0, p99_micros: 2.0 };
        let sample = Sample::new(&result, 150);
        assert_eq!(sample.requests_per_second, 50_000.0);
        assert_eq!(sample.cpu_micros_per_request, 15.0);
    }
}
