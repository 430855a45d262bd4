//! The files in `examples/deploy` for Prometheus, Grafana and scalers: each is valid for its reader, and
//! names metrics and labels that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::yaml;

/// What Prometheus adds to each series, and what scrape configurations name.
const COMMON_LABELS: [&str; 2] = ["instance", "job"];
/// Words of PromQL that are no names of metrics or labels.
const WORDS: [&str; 23] = [
    "and",
    "avg",
    "avg_over_time",
    "by",
    "group_left",
    "histogram_quantile",
    "increase",
    "label_values",
    "max",
    "min",
    "on",
    "or",
    "rate",
    "sum",
    "time",
    "topk",
    "unless",
    "d",
    "h",
    "m",
    "le",
    "offset",
    "bool",
];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/deploy")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(deploy().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The labels of each metric, as the pages of the documentation list them; a test of these pages
/// compares them with what is served.
fn metrics() -> BTreeMap<String, BTreeSet<String>> {
    let pages = [
        include_str!("../../../docs/metrics.md"),
        include_str!("../../../docs/policies/shipping.md"),
    ];
    let mut known = BTreeMap::new();
    for row in pages.iter().flat_map(|page| page.lines()) {
        let mut cells = row.trim_start_matches('|').split(" |");
        let (Some(names), Some(labels)) = (cells.next(), cells.next()) else {
            continue;
        };
        let spans = |cell: &str| {
            cell.split('`')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect()
        };
        let (names, labels): (Vec<String>, BTreeSet<String>) = (
            spans(names),
            labels
                .split('`')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect(),
        );
        let is_metric = |name: &&String| name.starts_with("tero_") || name.starts_with("process_");
        for name in names.iter().filter(is_metric) {
            known.insert(name.clone(), labels.clone());
            if name.ends_with("_seconds") {
                let with_bound = labels.iter().cloned().chain(["le".to_owned()]).collect();
                known.insert(format!("{name}_bucket"), with_bound);
                known.insert(format!("{name}_sum"), labels.clone());
                known.insert(format!("{name}_count"), labels.clone());
            }
        }
    }
    known
}

/// The series that rules record, with the labels that their sums keep.
fn recorded() -> BTreeMap<String, BTreeSet<String>> {
    let text = read("prometheus/recording.yaml");
    let mut found = BTreeMap::new();
    let mut parts = text.split("- record: ");
    parts.next();
    for part in parts {
        let (name, rule) = part.split_once('\n').unwrap();
        let mut labels = BTreeSet::new();
        for kept in rule
            .split("by (")
            .skip(1)
            .chain(rule.split("group_left (").skip(1))
        {
            let (names, _) = kept.split_once(')').unwrap();
            labels.extend(names.split(',').map(|name| name.trim().to_owned()));
        }
        // A level before the colon is a label too.
        let (level, _) = name.split_once(':').unwrap();
        for label in level.split('_').filter(|level| *level != "tero") {
            labels.insert(label.to_owned());
        }
        found.insert(name.to_owned(), labels);
    }
    found
}

/// The names in an expression that stand for series or labels, each with what stands in its braces.
fn names(expression: &str) -> (Vec<(String, Vec<String>)>, BTreeSet<String>) {
    let is_name = |byte: char| byte.is_ascii_alphanumeric() || "_:".contains(byte);
    let (mut series, mut grouped) = (Vec::new(), BTreeSet::new());
    let mut rest = expression;
    while let Some(start) =
        rest.find(|byte: char| byte.is_ascii_alphabetic() || "\"[".contains(byte))
    {
        rest = &rest[start..];
        if let Some(text) = rest.strip_prefix('"') {
            rest = &text[text.find('"').unwrap() + 1..];
            continue;
        }
        if rest.starts_with('[') {
            rest = &rest[rest.find(']').unwrap()..];
            continue;
        }
        let end = rest.find(|byte| !is_name(byte)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        rest = after;
        let content = after.trim_start();
        if matches!(name, "by" | "on" | "group_left") {
            let (labels, after) = content[1..].split_once(')').unwrap();
            grouped.extend(labels.split(',').map(|label| label.trim().to_owned()));
            rest = after;
            continue;
        }
        if WORDS.contains(&name) {
            continue;
        }
        let mut labels = Vec::new();
        if let Some(matchers) = after.strip_prefix('{') {
            let (matchers, after) = matchers.split_once('}').unwrap();
            let of_matcher = |matcher: &str| {
                let end = matcher.find(['=', '!']).unwrap();
                matcher[..end].trim().to_owned()
            };
            labels.extend(matchers.split("\",").map(of_matcher));
            rest = after;
        }
        series.push((name.to_owned(), labels));
    }
    (series, grouped)
}

/// Checks that an expression names what there is.
#[track_caller]
fn check(place: &str, expression: &str, legend: &str) {
    let (mut known, recorded) = (metrics(), recorded());
    known.extend(recorded);
    known.insert("up".to_owned(), BTreeSet::new());
    let (series, grouped) = names(expression);
    assert!(!series.is_empty(), "{place}: {expression}");
    let mut there: BTreeSet<String> = COMMON_LABELS.map(str::to_owned).into();
    for (name, matched) in &series {
        let labels = known.get(name);
        let labels =
            labels.unwrap_or_else(|| panic!("{place}: there is no {name} in {expression}"));
        there.extend(labels.iter().cloned());
        for label in matched {
            let has = labels.contains(label) || COMMON_LABELS.contains(&&**label);
            assert!(has, "{place}: {name} has no label {label} in {expression}");
        }
    }
    let shown = legend
        .split("{{")
        .skip(1)
        .map(|rest| rest.split("}}").next().unwrap().trim().to_owned());
    for label in grouped.into_iter().chain(shown) {
        assert!(
            there.contains(&label),
            "{place}: nothing has the label {label} in {expression}"
        );
    }
}

#[test]
fn dashboards_of_grafana_name_metrics_that_there_are() {
    let folder = deploy().join("grafana");
    let mut panels = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let place = path.file_name().unwrap().to_str().unwrap().to_owned();
        let dashboard: Value =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let mut ids = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            assert!(
                ids.insert(panel["id"].as_u64().unwrap()),
                "{place}: {panel}"
            );
            for target in panel["targets"].as_array().unwrap() {
                let text = |name: &str| target[name].as_str().unwrap().to_owned();
                check(&place, &text("expr"), &text("legendFormat"));
                panels += 1;
            }
        }
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            if let Some(query) = variable["query"]
                .as_str()
                .filter(|query| query.contains('('))
            {
                let metric = query
                    .trim_start_matches("label_values(")
                    .split(',')
                    .next()
                    .unwrap();
                assert!(metrics().contains_key(metric), "{place}: {query}");
            }
        }
    }
    assert!(panels > 30, "{panels}");
}

#[test]
fn a_wrong_name_in_a_dashboard_is_found() {
    for (expression, legend) in [
        ("rate(tero_reqests_total[5m])", ""),
        ("rate(tero_requests_total{origin=\"a\"}[5m])", ""),
        ("sum by (origin) (rate(tero_requests_total[5m]))", ""),
        ("tero_policy_active", "{{site}}"),
    ] {
        let checked = std::panic::catch_unwind(|| check("a test", expression, legend));
        assert!(checked.is_err(), "{expression} {legend}");
    }
}

#[test]
fn rules_of_prometheus_name_metrics_that_there_are() {
    for file in ["recording.yaml", "alerts.yaml"] {
        let text = read(&format!("prometheus/{file}"));
        let mut expressions = 0;
        let mut parts = text.split("expr: ");
        parts.next();
        for part in parts {
            let expression = match part.strip_prefix("|\n") {
                Some(block) => {
                    let lines = block
                        .lines()
                        .take_while(|line| line.starts_with("          "));
                    lines.collect::<Vec<_>>().join("\n")
                }
                None => part.lines().next().unwrap().to_owned(),
            };
            check(file, &expression, "");
            expressions += 1;
        }
        assert!(expressions > 10, "{file}");
    }
}

#[test]
fn every_alert_is_tested() {
    let (alerts, tests) = (
        read("prometheus/alerts.yaml"),
        read("prometheus/tests.yaml"),
    );
    for alert in alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
    {
        let tested = format!("alertname: {alert}\n        exp_alerts");
        assert!(tests.contains(&tested), "{alert} comes in no test");
    }
}

/// Runs a tool that may be missing: then its absence is a failure where `demanded` is set, as `.ci/run`
/// does, and otherwise the test is skipped.
fn run(demanded: &str, program: &Path, arguments: &[&str]) -> Option<Output> {
    let mut command = Command::new(program);
    match command.args(arguments).output() {
        Ok(output) => Some(output),
        Err(error) => {
            let program = program.display();
            assert!(std::env::var_os(demanded).is_none(), "{program}: {error}");
            eprintln!("SKIPPED: {program} is missing, so its files were not checked");
            None
        }
    }
}

#[track_caller]
fn assert_success(output: &Output) {
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&said)
    );
}

#[test]
fn promtool_finds_the_rules_right() {
    let at = |name: &str| deploy().join("prometheus").join(name).display().to_string();
    let promtool = Path::new("promtool");
    let rules = ["check", "rules", &at("recording.yaml"), &at("alerts.yaml")];
    let Some(checked) = run("TERO_DEMAND_PROMTOOL", promtool, &rules) else {
        return;
    };
    assert_success(&checked);
    let tests = ["test", "rules", &at("tests.yaml")];
    assert_success(&run("TERO_DEMAND_PROMTOOL", promtool, &tests).unwrap());
}

#[test]
fn the_autoscaler_fits_the_schema_of_kubernetes() {
    let file = deploy().join("kubernetes/hpa.yaml");
    let python = deploy().join("../shop-hours/python/.venv/bin/kubernetes-validate");
    let arguments = ["--strict", file.to_str().unwrap()];
    if let Some(output) = run("TERO_DEMAND_KUBERNETES", &python, &arguments) {
        assert_success(&output);
    }
    let autoscaler = yaml::read(&read("kubernetes/hpa.yaml"));
    assert_eq!(
        autoscaler["spec"]["metrics"][1]["external"]["metric"]["name"],
        "tero_busiest_ratio"
    );
}

/// KEDA's own schema is no part of Kubernetes: these are the keys that its documentation names.
#[test]
fn the_scaler_of_keda_asks_for_what_is_recorded_and_keeps_local_time() {
    let scaler = yaml::read(&read("kubernetes/keda.yaml"));
    assert_eq!(
        (&scaler["apiVersion"], &scaler["kind"]),
        (&"keda.sh/v1alpha1".into(), &"ScaledObject".into())
    );
    let triggers = scaler["spec"]["triggers"].as_array().unwrap();
    let keys = |trigger: &Value| -> Vec<String> {
        trigger["metadata"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    assert_eq!(keys(&triggers[0]), ["query", "serverAddress", "threshold"]);
    assert_eq!(
        keys(&triggers[1]),
        ["desiredReplicas", "end", "start", "timezone"]
    );
    check(
        "keda.yaml",
        triggers[0]["metadata"]["query"].as_str().unwrap(),
        "",
    );
    let local = |key: &str| triggers[1]["metadata"][key].as_str().unwrap().to_owned();
    let zone = local("timezone").parse().unwrap();
    for key in ["start", "end"] {
        tero_time::cron::Schedule::parse(&local(key), zone).unwrap();
    }
}
