//! What Prometheus reads from `/metrics`.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use tero_tests::{Answer, Edge, Origin, Reply, eventually, folder, get};

/// An edge that has something to tell in every family.
fn busy() -> (Origin, Edge, tempfile::TempDir) {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(60, &asked.target));
    let folder = folder();
    let log = folder.path().join("access.log");
    let edge = Edge::before(&origin)
        .policy(
            "hours",
            "builtin:business-hours",
            "settings = { zone = \"America/Argentina/Buenos_Aires\", open = \"09:00\", close = \"18:00\" }",
        )
        .site("refresh_ahead = {}")
        .section(&format!("[access_log]\npath = {log:?}"))
        .section("[[warm]]\nname = \"plan\"\nsite = \"site\"\nurls = [\"/w\"]")
        .start();
    for target in ["/a", "/a", "/b"] {
        edge.get(target);
    }
    edge.send(&get("/a").host("else.example"));
    (origin, edge, folder)
}

fn scrape(edge: &Edge, accept: &str) -> Answer {
    let mut request = get("/metrics");
    if !accept.is_empty() {
        request = request.header("Accept", accept);
    }
    let answer = edge.admin(&request);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

/// What Prometheus 2 sends.
const PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0,\
    application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

#[test]
fn the_format_is_the_classic_one_unless_openmetrics_is_asked_for() {
    let (_origin, edge, _folder) = busy();
    for accept in ["", "*/*", "text/plain", "application/json"] {
        let answer = scrape(&edge, accept);
        assert_eq!(
            answer.header("content-type").as_deref(),
            Some("text/plain; version=0.0.4; charset=utf-8"),
            "{accept}"
        );
        let text = answer.text();
        assert!(
            text.contains("# TYPE tero_requests_total counter\n"),
            "{text}"
        );
        assert!(!text.contains("# EOF"), "{text}");
    }
    for accept in [PROMETHEUS, "application/openmetrics-text"] {
        let answer = scrape(&edge, accept);
        let kind = answer.header("content-type").unwrap();
        assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
        let text = answer.text();
        assert!(text.contains("# TYPE tero_requests counter\n"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}

#[test]
fn both_formats_say_the_same() {
    let (_origin, edge, _folder) = busy();
    let names = |accept: &str| -> BTreeSet<String> {
        let text = scrape(&edge, accept).text();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples
            .map(|line| line.rsplit_once(' ').unwrap().0.to_owned())
            .collect()
    };
    assert_eq!(names(""), names(PROMETHEUS));
}

/// Where promtool must be installed, `.ci/run` sets `TERO_DEMAND_PROMTOOL`: then its absence is a
/// failure, and otherwise the test is skipped.
#[test]
fn promtool_finds_no_fault() {
    if Command::new("promtool").arg("--version").output().is_err() {
        assert!(
            std::env::var_os("TERO_DEMAND_PROMTOOL").is_none(),
            "promtool is missing: install prometheus"
        );
        eprintln!("SKIPPED: promtool is not installed, so the metrics were not checked with it");
        return;
    }
    let (_origin, edge, _folder) = busy();
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let text = scrape(&edge, "").body;
    promtool.stdin.take().unwrap().write_all(&text).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn the_process_and_its_build_are_told() {
    let (_origin, edge, _folder) = busy();
    let value = |name: &str| edge.metric(name, &[]);
    let opened: Vec<_> = (0..5)
        .map(|_| std::fs::File::open("/dev/null").unwrap())
        .collect();
    assert!(value("process_open_fds") >= opened.len() as f64);
    assert!(value("process_max_fds") >= value("process_open_fds"));
    for name in [
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
    ] {
        assert!(value(name) > 0.0, "{name}");
    }
    // 2020 to 2100: the real time, since it is the process's.
    let started = value("process_start_time_seconds");
    assert!(
        (1_577_836_800.0..4_102_444_800.0).contains(&started),
        "{started}"
    );
    let version = concat!("version=\"", env!("CARGO_PKG_VERSION"), "\"");
    assert_eq!(edge.metric("tero_build_info", &[version, "commit=\""]), 1.0);
}

#[test]
fn open_connections_are_told() {
    let origin = Origin::start();
    let edge = Edge::before(&origin).server("max_connections = 7").start();
    let open = || edge.metric("tero_connections_open", &[]);
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let mut client = edge.client();
            client.send(&get("/x"));
            client
        })
        .collect();
    assert_eq!(open(), 3.0);
    assert_eq!(edge.metric("tero_connections_max", &[]), 7.0);
    drop(clients);
    eventually("the connections have ended", || open() == 0.0);
    assert_eq!(edge.metric("tero_connections_total", &[]), 3.0);
}

#[test]
fn each_origin_has_its_own_figures() {
    let (one, other) = (Origin::start(), Origin::start());
    for origin in [&one, &other] {
        origin.otherwise(|asked| match asked.path() {
            "/gone" => Reply::status(410),
            _ => Reply::ok("x"),
        });
    }
    let edge = Edge::before(&one).origin(&other.url()).start();
    let label = |origin: &Origin| format!("origin=\"{}\"", origin.address());
    let count = |origin: &Origin, result: &str| {
        let result = format!("result=\"{result}\"");
        edge.metric("tero_origin_attempts_total", &[&label(origin), &result])
    };
    for number in 0..4 {
        edge.get(&format!("/{number}"));
    }
    for origin in [&one, &other] {
        assert_eq!(count(origin, "2xx"), origin.total() as f64);
        assert!(count(origin, "2xx") > 0.0);
        assert!(edge.metric("tero_origin_connections_total", &[&label(origin)]) > 0.0);
        assert_eq!(edge.metric("tero_origin_resting", &[&label(origin)]), 0.0);
    }
    edge.get("/gone");
    assert_eq!(count(&one, "4xx") + count(&other, "4xx"), 1.0);
    other.stop();
    for number in 0..4 {
        assert_eq!(edge.get(&format!("/more/{number}")).status, 200);
    }
    assert!(count(&other, "refused") + count(&other, "broken") > 0.0);
    assert_eq!(edge.metric("tero_origin_resting", &[&label(&other)]), 1.0);
    assert_eq!(edge.metric("tero_origin_resting", &[&label(&one)]), 0.0);
}
