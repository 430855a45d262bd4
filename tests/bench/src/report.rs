//! The report: medians over the rounds, their spread, and ratios, as a table for people and as JSON
//! to compare later runs with.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cases::Case;
use crate::servers::Server;
use crate::{Arguments, load, process};

/// One measurement.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) requests_per_second: f64,
    pub(crate) p50_micros: f64,
    pub(crate) p99_micros: f64,
    pub(crate) p999_micros: f64,
    /// User and system time of all processes of the server, divided by the number of responses.
    pub(crate) cpu_micros_per_request: f64,
    /// The memory of the server after the measurement.
    pub(crate) memory_mib: f64,
    /// The number of requests to the origin meanwhile.
    pub(crate) origin_requests: f64,
}

impl Sample {
    pub(crate) fn new(
        result: &load::LoadResult,
        cpu_ticks: u64,
        memory: u64,
        origin_requests: u64,
    ) -> Sample {
        Sample {
            requests_per_second: result.requests as f64 / result.seconds,
            p50_micros: result.p50_micros,
            p99_micros: result.p99_micros,
            p999_micros: result.p999_micros,
            cpu_micros_per_request: cpu_ticks as f64 / process::TICKS_PER_SECOND * 1e6
                / result.requests as f64,
            memory_mib: memory as f64 / 1_048_576.0,
            origin_requests: origin_requests as f64,
        }
    }

    pub(crate) fn line(&self, server: Server, case: &Case) -> String {
        format!(
            "{:18} {:15} {:>9.0} req/s, p99 {:>7.0} µs, {:>8.2} µs of CPU, {:>6.0} MiB",
            case.name,
            server.as_str(),
            self.requests_per_second,
            self.p99_micros,
            self.cpu_micros_per_request,
            self.memory_mib
        )
    }

    fn json(&self) -> Value {
        json!({
            "requests_per_second": rounded(self.requests_per_second),
            "p50_micros": rounded(self.p50_micros),
            "p99_micros": rounded(self.p99_micros),
            "p999_micros": rounded(self.p999_micros),
            "cpu_micros_per_request": rounded(self.cpu_micros_per_request),
            "memory_mib": rounded(self.memory_mib),
            "origin_requests": rounded(self.origin_requests),
        })
    }
}

/// All measurements.
pub(crate) struct Report {
    settings: Value,
    versions: BTreeMap<Server, String>,
    /// The cases in the order of measuring, with the samples of each server.
    cases: Vec<(Case, BTreeMap<Server, Vec<Sample>>)>,
    /// Failed measurements, with the reason.
    failures: Vec<(Server, Case, String)>,
    /// Milliseconds from tero's start until it is ready, sorted; empty if tero was not measured.
    startups: Vec<f64>,
}

/// The medians of one server in one case.
struct Row {
    server: Server,
    median: Sample,
    /// Half the distance from the slowest to the fastest round, in percent of the median.
    spread_percent: f64,
}

impl Report {
    pub(crate) fn new(arguments: &Arguments, versions: BTreeMap<Server, String>) -> Report {
        let settings = json!({
            "seconds": arguments.seconds, "rounds": arguments.rounds,
            "server_core": arguments.server_core, "load_core": arguments.load_core,
        });
        Report {
            settings,
            versions,
            cases: Vec::new(),
            failures: Vec::new(),
            startups: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, server: Server, case: &Case, sample: Sample) {
        if self
            .cases
            .last()
            .is_none_or(|(last, _)| last.name != case.name)
        {
            self.cases.push((*case, BTreeMap::new()));
        }
        let (_, samples) = self.cases.last_mut().expect("a case has just been pushed");
        samples.entry(server).or_default().push(sample);
    }

    /// Records that `server` failed a round of `case`.
    pub(crate) fn failed(&mut self, server: Server, case: &Case, why: String) {
        self.failures.push((server, *case, why));
    }

    /// The first failure of tero.
    pub(crate) fn failure_of_tero(&self) -> Option<String> {
        let (server, case, why) = self.failures.iter().find(|(server, ..)| server.is_tero())?;
        Some(format!(
            "{} failed at {}: {why}",
            server.as_str(),
            case.name
        ))
    }

    /// Adds how long tero took to become ready, in milliseconds.
    pub(crate) fn started(&mut self, millis: Vec<f64>) {
        self.startups = sorted(&millis);
    }

    /// The report as JSON, with the cases of `earlier` that were not measured this time.
    pub(crate) fn json(&self, earlier: Option<&Value>) -> Value {
        let is_measured = |name: &Value| self.cases.iter().any(|(case, _)| name == case.name);
        let kept = |list: &str| -> Vec<Value> {
            let of_earlier = earlier
                .and_then(|earlier| earlier[list].as_array())
                .into_iter()
                .flatten();
            of_earlier
                .filter(|entry| !is_measured(&entry["case"]))
                .cloned()
                .collect()
        };
        let (mut cases, mut failed) = (kept("cases"), kept("failed"));
        cases.extend(self.cases.iter().map(|(case, samples)| {
            let servers: BTreeMap<&str, Value> = rows(samples)
                .iter()
                .map(|row| {
                    let mut result = json!({ "median": row.median.json(), "spread_percent": rounded(row.spread_percent) });
                    let over = |peer, value| ratio(samples, row.server, peer, value);
                    if let Some(ratio) = over(Server::Nginx, |sample| sample.requests_per_second) {
                        result["rate_over_nginx"] = rounded(ratio).into();
                    }
                    if let Some(ratio) = over(Server::Epoll, |sample| sample.cpu_micros_per_request) {
                        result["cpu_over_epoll"] = rounded(ratio).into();
                    }
                    (row.server.as_str(), result)
                })
                .collect();
            json!({ "case": case.name, "about": case.about, "settings": self.settings, "servers": servers })
        }));
        cases.sort_by_key(|entry| {
            crate::cases::CASES
                .iter()
                .position(|case| entry["case"] == case.name)
        });
        failed.extend(
            self.failures.iter().map(|(server, case, why)| json!({ "case": case.name, "server": server.as_str(), "why": why })),
        );
        let mut versions = earlier
            .and_then(|earlier| earlier["versions"].as_object().cloned())
            .unwrap_or_default();
        versions.extend(
            self.versions
                .iter()
                .map(|(server, version)| (server.as_str().to_owned(), json!(version))),
        );
        let ready = earlier
            .map(|earlier| &earlier["ready_millis"])
            .filter(|_| self.startups.is_empty());
        let ready = ready
            .cloned()
            .unwrap_or_else(|| self.startups.iter().copied().map(rounded).collect());
        json!({ "versions": versions, "cases": cases, "failed": failed, "ready_millis": ready })
    }

    /// What has changed since the run that wrote `before`: CPU time, and the rate relative to
    /// nginx's, for the same case and server.
    pub(crate) fn compared_with(&self, before: &Value) -> String {
        let mut text = String::from(
            "| case | server | CPU µs before | now | change % | over nginx before | now |\n|---|---|--:|--:|--:|--:|--:|\n",
        );
        let old_case = |name: &str| {
            before["cases"]
                .as_array()
                .and_then(|cases| cases.iter().find(|case| case["case"] == name))
        };
        for (case, samples) in &self.cases {
            let Some(old) = old_case(case.name) else {
                continue;
            };
            for row in &rows(samples) {
                let old = &old["servers"][row.server.as_str()];
                let Some(cpu) = old["median"]["cpu_micros_per_request"].as_f64() else {
                    continue;
                };
                let over = |ratio: Option<f64>| {
                    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))
                };
                let now = row.median.cpu_micros_per_request;
                let _ = writeln!(
                    text,
                    "| {} | {} | {cpu:.2} | {now:.2} | {:+.1} | {} | {} |",
                    case.name,
                    row.server.as_str(),
                    (now / cpu - 1.0) * 100.0,
                    over(old["rate_over_nginx"].as_f64()),
                    over(ratio(samples, row.server, Server::Nginx, |sample| sample
                        .requests_per_second)),
                );
            }
        }
        text
    }
}

/// Makes a table in Markdown from the result of [`Report::json`].
pub(crate) fn table(report: &Value) -> String {
    let mut text = String::new();
    let versions = report["versions"].as_object().into_iter().flatten();
    let versions: Vec<String> = versions
        .map(|(server, version)| format!("{server} {}", version.as_str().unwrap_or_default()))
        .collect();
    let _ = writeln!(text, "{}\n", versions.join(", "));
    text += "| case | server | requests/s | ± % | over nginx | CPU µs | over epoll | p50 µs | p99 µs | p99.9 µs | MiB | asked of the origin |\n";
    text += "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";
    let list = |name: &str| report[name].as_array().cloned().unwrap_or_default();
    for case in list("cases") {
        let settings = &case["settings"];
        let mut about = format!(
            "{}; {} × {} s",
            case["about"].as_str().unwrap_or_default(),
            settings["rounds"],
            settings["seconds"]
        );
        for server in Server::ALL {
            let measured = &case["servers"][server.as_str()];
            if measured.is_null() {
                continue;
            }
            let value = |name: &str| measured["median"][name].as_f64().unwrap_or_default();
            let ratio = |name: &str| {
                measured[name]
                    .as_f64()
                    .map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))
            };
            let _ = writeln!(
                text,
                "| {} | {} | {:.0} | {:.0} | {} | {:.2} | {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} |",
                std::mem::take(&mut about),
                server.as_str(),
                value("requests_per_second"),
                measured["spread_percent"].as_f64().unwrap_or_default(),
                ratio("rate_over_nginx"),
                value("cpu_micros_per_request"),
                ratio("cpu_over_epoll"),
                value("p50_micros"),
                value("p99_micros"),
                value("p999_micros"),
                value("memory_mib"),
                value("origin_requests"),
            );
        }
    }
    let mut failed: Vec<String> = Vec::new();
    for failure in list("failed") {
        let said = |name: &str| failure[name].as_str().unwrap_or_default().to_owned();
        let line = format!(
            "{} failed at {}: {}",
            said("server"),
            said("case"),
            said("why").trim_end()
        );
        if !failed.contains(&line) {
            failed.push(line);
        }
    }
    failed
        .iter()
        .for_each(|line| text += &format!("\n- {line}"));
    let ready: Vec<f64> = list("ready_millis")
        .iter()
        .filter_map(Value::as_f64)
        .collect();
    if !ready.is_empty() {
        let _ = write!(
            text,
            "\n\ntero with four policies, compiled modules on disk: {:.0} ms to ready",
            median(&ready)
        );
    }
    text
}

fn rows(samples: &BTreeMap<Server, Vec<Sample>>) -> Vec<Row> {
    let row = |(server, samples): (&Server, &Vec<Sample>)| {
        let of = |value: fn(&Sample) -> f64| sorted(&samples.iter().map(value).collect::<Vec<_>>());
        let rates = of(|sample| sample.requests_per_second);
        let median_rate = median(&rates);
        let spread = rates
            .last()
            .zip(rates.first())
            .map_or(0.0, |(fastest, slowest)| (fastest - slowest) / 2.0);
        Row {
            server: *server,
            median: Sample {
                requests_per_second: median_rate,
                p50_micros: median(&of(|sample| sample.p50_micros)),
                p99_micros: median(&of(|sample| sample.p99_micros)),
                p999_micros: median(&of(|sample| sample.p999_micros)),
                cpu_micros_per_request: median(&of(|sample| sample.cpu_micros_per_request)),
                memory_mib: median(&of(|sample| sample.memory_mib)),
                origin_requests: median(&of(|sample| sample.origin_requests)),
            },
            spread_percent: spread / median_rate * 100.0,
        }
    };
    samples.iter().map(row).collect()
}

/// The ratio of a value to that of `peer`: the median of the ratios of rounds, since a disturbance
/// affects all servers of a round. `None` if the two have different numbers of rounds.
fn ratio(
    samples: &BTreeMap<Server, Vec<Sample>>,
    server: Server,
    peer: Server,
    value: fn(&Sample) -> f64,
) -> Option<f64> {
    let (own, of_peer) = (samples.get(&server)?, samples.get(&peer)?);
    let ratios: Vec<f64> = own
        .iter()
        .zip(of_peer)
        .map(|(own, of_peer)| value(own) / value(of_peer))
        .collect();
    (own.len() == of_peer.len()).then(|| median(&sorted(&ratios)))
}

/// Rounds to hundredths; more digits are noise.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

pub(crate) fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

/// The value below which this share of the sorted values lies; 0 if there are none.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    sorted
        .get((sorted.len().saturating_sub(1) as f64 * share) as usize)
        .copied()
        .unwrap_or_default()
}

/// The median of sorted values; 0 if there are none.
pub(crate) fn median(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(requests: u64, cpu_ticks: u64) -> Sample {
        let latencies: Vec<f64> = (1..=requests).map(|number| number as f64).collect();
        Sample::new(
            &load::LoadResult::of_latencies(&latencies, 2.0),
            cpu_ticks,
            3 << 20,
            0,
        )
    }

    #[test]
    fn the_median_is_in_the_middle() {
        for (values, expected) in [
            (vec![], 0.0),
            (vec![3.0], 3.0),
            (vec![9.0, 1.0], 5.0),
            (vec![9.0, 1.0, 2.0], 2.0),
        ] {
            assert_eq!(median(&sorted(&values)), expected, "{values:?}");
        }
    }

    #[test]
    fn cpu_time_is_divided_by_requests() {
        let sample = sample(100_000, 150);
        assert_eq!(
            (sample.requests_per_second, sample.cpu_micros_per_request),
            (50_000.0, 15.0)
        );
        assert_eq!(
            (sample.p50_micros, sample.p99_micros, sample.p999_micros),
            (50_000.0, 99_000.0, 99_900.0)
        );
        assert_eq!(sample.memory_mib, 3.0);
    }

    #[test]
    fn failed_measurements_are_reported() {
        let mut report = Report {
            settings: Value::Null,
            versions: BTreeMap::new(),
            cases: vec![],
            failures: vec![],
            startups: vec![],
        };
        let case = &crate::cases::CASES[0];
        report.failed(Server::Squid, case, "it hung".to_owned());
        let text = table(&report.json(None));
        assert!(text.contains("- squid failed at hit-1k: it hung"), "{text}");
        assert_eq!(
            report.json(None)["failed"],
            json!([{ "case": "hit-1k", "server": "squid", "why": "it hung" }])
        );
        assert_eq!(report.failure_of_tero(), None);
        report.failed(Server::TeroBare, case, "it hung".to_owned());
        assert_eq!(
            report.failure_of_tero().unwrap(),
            "tero-bare failed at hit-1k: it hung"
        );
    }

    #[test]
    fn a_run_is_compared_with_an_earlier_one() {
        let case = &crate::cases::CASES[0];
        let report = |tero_ticks| {
            let cases = BTreeMap::from([
                (Server::Tero, vec![sample(2_000, tero_ticks)]),
                (Server::Nginx, vec![sample(1_000, 3)]),
            ]);
            Report {
                settings: Value::Null,
                versions: BTreeMap::new(),
                cases: vec![(*case, cases)],
                failures: vec![],
                startups: vec![],
            }
        };
        let text = report(3).compared_with(&report(2).json(None));
        assert!(
            text.contains("| hit-1k | tero | 10.00 | 15.00 | +50.0 | 2.00 | 2.00 |"),
            "{text}"
        );
        let case_of_earlier = json!({ "case": "miss", "servers": {} });
        let earlier = json!({ "cases": [case_of_earlier, { "case": case.name }], "versions": { "squid": "5" }, "ready_millis": [9.0] });
        let together = report(2).json(Some(&earlier));
        assert_eq!(together["cases"].as_array().unwrap().len(), 2, "{together}");
        assert_eq!(together["cases"][1], case_of_earlier);
        assert_eq!(
            (&together["versions"]["squid"], &together["ready_millis"][0]),
            (&json!("5"), &json!(9.0))
        );
    }

    #[test]
    fn a_ratio_is_the_median_of_rounds() {
        let samples = BTreeMap::from([
            (
                Server::Tero,
                vec![sample(2_000, 2), sample(200, 2), sample(2_200, 2)],
            ),
            (
                Server::Nginx,
                vec![sample(1_000, 2), sample(100, 2), sample(1_000, 2)],
            ),
            (Server::Squid, vec![sample(500, 2)]),
        ]);
        let over = |server| {
            ratio(&samples, server, Server::Nginx, |sample| {
                sample.requests_per_second
            })
        };
        assert_eq!(
            (
                over(Server::Tero),
                over(Server::Squid),
                over(Server::Varnish)
            ),
            (Some(2.0), None, None)
        );
    }

    #[test]
    fn a_table_can_be_made_from_a_saved_report() {
        let case = &crate::cases::CASES[0];
        let cases = BTreeMap::from([
            (Server::Tero, vec![sample(2_000, 2)]),
            (Server::Nginx, vec![sample(1_000, 3)]),
        ]);
        let report = Report {
            settings: json!({ "rounds": 1, "seconds": 2 }),
            versions: BTreeMap::from([(Server::Nginx, "1.22".to_owned())]),
            cases: vec![(*case, cases)],
            failures: vec![],
            startups: vec![7.0, 9.0],
        };
        let written = report.json(None).to_string();
        let text = table(&serde_json::from_str(&written).unwrap());
        assert!(text.starts_with("nginx 1.22\n"), "{text}");
        assert!(
            text.contains("| hits of 1 KiB; 1 × 2 s | tero | 1000 | 0 | 2.00 | 10.00 | - | 1000 |"),
            "{text}"
        );
        assert!(
            text.contains("\n|  | nginx | 500 | 0 | 1.00 | 30.00 | - |"),
            "{text}"
        );
        assert!(text.ends_with("8 ms to ready"), "{text}");
    }
}
