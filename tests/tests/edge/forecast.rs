//! `tero simulate`: what it foresees is what a real edge does with the same requests.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tero_admin_api::endpoints::WarmRuns;
use tero_config::Config;
use tero_control::rehearsal::EdgeRehearsal;
use tero_semantics::timestamp::Timestamp;
use tero_tests::{
    ART, Client, Edge, Origin, Reply, compiled_cache, compiler, folder, get, instant, toml_string,
};
use tero_time::clock::Clock;
use tero_tools::replay::record::{LinePlace, LogRecord};
use tero_tools::replay::simulate::curve::{CurveSettings, HitCurve};
use tero_tools::replay::simulate::report::{ForecastReport, report};
use tero_tools::replay::simulate::{SimulationSettings, simulate};

use crate::program::{assert_code, err, out, run};

/// Requests a day, at each weight of an hour.
const PER_WEIGHT: u64 = 60;

/// How many requests come in each local hour: around the opening and the closing, and a few at night.
const HOURS: [u64; 24] = [
    1, 0, 0, 0, 0, 0, 0, 1, 4, 9, 9, 1, 0, 0, 1, 0, 0, 3, 2, 0, 0, 1, 0, 0,
];

/// Days with requests.
const DAYS: [&str; 2] = ["2026-11-24", "2026-11-25"];

/// The share of a plan's pages that are fetched in a second.
const PLAN_RATE: u64 = 2;

const PHONE: &str = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36";
const DESKTOP: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";

/// How long, in real time, to wait for another thread.
const A_MOMENT: Duration = Duration::from_millis(300);

/// A site with pages that change their lifetime when it opens, in two variants, with stale windows,
/// revalidation ahead, passes, and a plan before opening.
fn configuration(origin: &str) -> String {
    let urls: Vec<String> = (0..40)
        .map(|page| format!("\"/barberias/{page}\""))
        .collect();
    format!(
        r#"
[server]
listen = ["127.0.0.1:0"]
workers = 1
idle_timeout = "1h"

[admin]
listen = "127.0.0.1:0"

[policies]
compiled_cache = {compiled}

[[policy]]
name = "rules"
module = "builtin:json-rules"
limits = {{ deadline = "5s" }}

[policy.settings]
version = 3
timezone = "{ART}"
business_hours = {{ days = ["mon", "tue", "wed", "thu", "fri", "sat"], from = "09:00", to = "18:00" }}
key = {{ ignore_query = ["utm_*"], sort_query = true }}
variants.mobile = {{ devices = ["mobile"], paths = ["/", "/barberias/*"] }}
rules = [
    {{ name = "payments", match = ["/checkout/*"], cache = "never" }},
    {{ name = "availability", match = ["/api/*"], ttl = {{ business_hours = 15, otherwise = 120 }}, stale_while_revalidate = 15 }},
    {{ name = "pages", match = ["/", "/barberias/*"], ttl = {{ business_hours = 300, otherwise = 1800 }}, stale_while_revalidate = 120 }},
]

[[site]]
name = "site"
hosts = ["www.example"]
origins = ["{origin}"]
policies = ["rules"]
zone = "{ART}"

[[warm]]
name = "apertura"
site = "site"
schedule = "30 8 * * MON-SAT"
urls = [{urls}]
variants = ["desktop", "mobile"]
window = "4h"
rate = {PLAN_RATE}
concurrency = 1
deadline = "30min"
"#,
        compiled = toml_string(&compiled_cache().display().to_string()),
        urls = urls.join(", "),
    )
}

/// Pseudo-random numbers (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// A rank by Zipf's law, below `count`.
    fn rank(&mut self, count: u64) -> u64 {
        let draw = self.below(1 << 40) as f64 / (1_u64 << 40) as f64;
        (((count as f64 + 1.0).powf(draw)) as u64 - 1).min(count - 1)
    }
}

fn length_of(path: &str) -> usize {
    let sum: usize = path.bytes().map(usize::from).sum();
    500 + sum * 7_919 % 9_000
}

/// The fields that the origin sends with a page.
fn cache_control_of(path: &str) -> &'static str {
    match path.starts_with("/img/") {
        true => "public, max-age=600",
        false => "public, max-age=60",
    }
}

/// The requests of the log.
fn records() -> Vec<LogRecord> {
    let zone = ART.parse().unwrap();
    let mut dice = Dice(5);
    let mut all = Vec::new();
    for day in DAYS {
        for (hour, weight) in HOURS.iter().enumerate() {
            let begin = instant(&format!("{day}T{hour:02}:00:00"), zone);
            let mut times: Vec<u64> = (0..weight * PER_WEIGHT)
                .map(|_| dice.below(3_600_000))
                .collect();
            times.sort_unstable();
            for millis in times {
                let at = begin.saturating_add(Duration::from_millis(millis));
                all.push(record(at, &mut dice));
            }
        }
    }
    all
}

fn record(at: Timestamp, dice: &mut Dice) -> LogRecord {
    let target = match dice.below(100) {
        0..=9 => "/".to_owned(),
        10..=54 => format!("/barberias/{}", dice.rank(200)),
        55..=59 => format!("/barberias/{}?utm_source=x", dice.rank(200)),
        60..=79 => format!("/img/{}.jpg", dice.rank(300)),
        80..=94 => format!("/api/v1/disponibilidad/{}", dice.rank(60)),
        _ => format!("/checkout/{}", dice.below(50)),
    };
    let user_agent = if dice.below(10) < 6 { PHONE } else { DESKTOP };
    let mut request = HeaderMap::new();
    request.insert(header::USER_AGENT, HeaderValue::from_static(user_agent));
    let path = target.split('?').next().unwrap_or_default();
    LogRecord {
        at,
        method: Method::GET,
        scheme: None,
        host: Some("www.example".into()),
        bytes: Some(length_of(path) as u64),
        target: target.into(),
        status: StatusCode::OK,
        bytes_have_head: false,
        cache: None,
        took: None,
        origin_took: None,
        client: None,
        request,
        response: HeaderMap::new(),
        place: LinePlace::default(),
    }
}

/// Looked-up requests, and hits among them.
#[derive(Clone, Copy, Debug, Default)]
struct Looked {
    up: u64,
    hits: u64,
}

impl Looked {
    fn rate(self) -> f64 {
        self.hits as f64 / self.up as f64
    }
}

/// What a real edge does with the requests.
struct Truth {
    all: Looked,
    hours: BTreeMap<usize, Looked>,
    origin: u64,
    warmed: u64,
}

/// Sends the requests through a real edge, on a clock that is turned.
fn truth(records: &[LogRecord]) -> Truth {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let path = asked.path();
        Reply::ok(vec![b'x'; length_of(path)]).header("Cache-Control", cache_control_of(path))
    });
    let zone = ART.parse().unwrap();
    let clock = Clock::by_hand(records[0].at);
    let edge = Edge::on_clock(&configuration(&origin.url()), clock, zone);
    let mut client = edge.client();
    let mut truth = Truth {
        all: Looked::default(),
        hours: BTreeMap::new(),
        origin: 0,
        warmed: 0,
    };
    let mut day = 0;
    for record in records {
        let due = instant(&format!("{}T08:30:00", DAYS[day.min(1)]), zone);
        if day < DAYS.len() && edge.clock().now() < due && due <= record.at {
            run_plan(&edge, due);
            client = edge.client();
            day += 1;
        }
        let pause = record.at.since(edge.clock().now());
        edge.clock().turn_to(record.at.max(edge.clock().now()));
        if pause > Duration::from_secs(600) {
            // After the turn: a connection that the edge has before it could be idle for too long.
            client = edge.client();
        }
        visit(&mut client, record, &origin, &mut truth);
    }
    truth.origin = origin.total() as u64;
    let runs = edge.call::<WarmRuns>(&[], &()).runs;
    truth.warmed = runs.iter().map(|run| run.fetched).sum();
    truth
}

/// Lets the plan that is due run to its end, step by step.
fn run_plan(edge: &Edge, due: Timestamp) {
    edge.clock().turn_to(due);
    let run = || edge.call::<WarmRuns>(&[], &()).runs.into_iter().next();
    let progress = || {
        run().map_or((0, false), |run| {
            let finished = run.fetched + run.fresh + run.not_stored + run.failed;
            (finished, run.state.is_over())
        })
    };
    let started = run().map_or(0, |run| run.id);
    wait(A_MOMENT * 20, || {
        run().is_some_and(|run| run.id > started || !run.state.is_over())
    });
    // It has 80 pages to fetch.
    for _ in 0..400 {
        let (before, is_over) = progress();
        if is_over {
            return;
        }
        edge.clock()
            .advance(Duration::from_millis(1_000 / PLAN_RATE));
        wait(A_MOMENT, || progress().0 > before || progress().1);
    }
    panic!("the plan does not end: {:?}", run());
}

fn visit(client: &mut Client, record: &LogRecord, origin: &Origin, truth: &mut Truth) {
    let before = origin.total();
    let user_agent = record.request[header::USER_AGENT].to_str().unwrap();
    let request = get(record.target.to_string()).header("User-Agent", user_agent);
    let status = client.send(&request).cache_status();
    if status.fwd.as_deref() != Some("bypass") {
        let hour = hour_of(record.at);
        for looked in [&mut truth.all, truth.hours.entry(hour).or_default()] {
            looked.up += 1;
            looked.hits += u64::from(status.hit);
        }
    }
    // A revalidation in the background belongs to this moment.
    if status.hit && status.ttl.is_some_and(|ttl| ttl <= 0) {
        wait(A_MOMENT, || origin.total() > before);
    }
}

fn hour_of(at: Timestamp) -> usize {
    tero_time::moment::local_hour(at, ART.parse().unwrap()).into()
}

#[allow(clippy::disallowed_methods)] // Real time for real threads.
fn wait(most: Duration, mut met: impl FnMut() -> bool) {
    let until = Instant::now() + most;
    while !met() && Instant::now() < until {
        std::thread::yield_now();
    }
}

fn rehearsed(records: Vec<LogRecord>, text: &str, assumptions: &[&str]) -> ForecastReport {
    let config = Config::parse(text, "tero.toml", Path::new("")).unwrap();
    let mut settings = SimulationSettings::default();
    for text in assumptions {
        settings.assumptions.state(text).unwrap();
    }
    let stage = |begin, world| EdgeRehearsal::boxed(&config, &compiler(), begin, world, true);
    let simulation = simulate(records.into_iter().map(Ok), &settings, stage, &mut |_| ()).unwrap();
    let all = [("base".to_owned(), simulation)];
    report(&all, &settings.assumptions, Some(9))
}

#[test]
fn forecast_is_what_a_real_edge_does_with_the_same_requests() {
    let records = records();
    let truth = truth(&records);
    let forecast = rehearsed(
        records,
        &configuration("http://127.0.0.1:1"),
        &[
            "latency=0ms",
            "cache-control=/img/*: public, max-age=600",
            "cache-control=/*: public, max-age=60",
        ],
    );
    let scenario = &forecast.scenarios[0];
    let looked_up: u64 = truth.all.up;
    let off = |foreseen: Option<f64>, looked: Looked| (foreseen.unwrap() - looked.rate()).abs();
    let overall = off(scenario.total.hit_rate, truth.all);
    assert!(
        overall <= 0.005,
        "{:?} {:?}",
        scenario.total.hit_rate,
        truth.all
    );
    let mut busy = 0;
    for (hour, looked) in &truth.hours {
        if looked.up > 1_000 {
            busy += 1;
            let row = &scenario.hours[*hour];
            assert!(
                off(row.hit_rate, *looked) <= 0.02,
                "{hour}: {:?} {looked:?}",
                row.hit_rate
            );
        }
    }
    assert!(busy >= 2, "{looked_up} looked up, {:?}", truth.hours);
    let foreseen = scenario.total.origin_requests;
    let by = foreseen.abs_diff(truth.origin);
    assert!(
        by * 100 <= truth.origin,
        "origin: {foreseen} foreseen, {} in truth",
        truth.origin
    );
    for rows in [&scenario.sites, &scenario.variants, &scenario.reasons] {
        let of_rows: u64 = rows.iter().map(|row| row.origin_requests).sum();
        assert_eq!(of_rows, foreseen, "{rows:?}");
    }
    let warmed: u64 = scenario.plans.iter().map(|plan| plan.fetched).sum();
    assert_eq!((warmed, scenario.plans[0].runs), (truth.warmed, 2));
    assert!(
        scenario.plans[0].used > 0 && scenario.origin.plans > 0 && scenario.origin.background > 0
    );
}

/// A trace for a peer: keys by Zipf's law, each of its own size.
fn trace() -> Vec<(u64, u64)> {
    let mut dice = Dice(11);
    let keys: Vec<u64> = (0..200_000).map(|_| dice.rank(20_000)).collect();
    let size = |key: u64| 200 + key.wrapping_mul(7_919) % 5_000;
    keys.into_iter().map(|key| (key, size(key))).collect()
}

/// What reads a trace and tells the misses of LRU stores of these sizes.
const PEER: &str = "
import sys
import libcachesim
trace = [tuple(map(int, line.split())) for line in open(sys.argv[1])]
for size in map(int, sys.argv[2:]):
    cache = libcachesim.LRU(cache_size=size)
    misses = 0
    for key, length in trace:
        misses += not cache.get(libcachesim.Request(obj_id=key, obj_size=length))
    print(misses)
";

#[test]
fn curves_of_lru_stores_agree_with_libcachesim() {
    let python = std::env::var("TERO_LIBCACHESIM_PYTHON").unwrap_or("python3".to_owned());
    let is_there = Command::new(&python)
        .args(["-c", "import libcachesim"])
        .output();
    if !is_there.is_ok_and(|output| output.status.success()) {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: curves are not compared with libcachesim, which is missing: `pip install libcachesim`, and name the interpreter in TERO_LIBCACHESIM_PYTHON"
        );
        return;
    }
    let (folder, trace) = (folder(), trace());
    let path = folder.path().join("trace");
    let lines: String = trace
        .iter()
        .map(|(key, size)| format!("{key} {size}\n"))
        .collect();
    std::fs::write(&path, lines).unwrap();
    let sizes: Vec<u64> = (16..26).map(|doublings| 1 << doublings).collect();
    let told = Command::new(&python)
        .args(["-c", PEER])
        .arg(&path)
        .args(sizes.iter().map(u64::to_string))
        .output()
        .unwrap();
    assert!(told.status.success(), "{}", err(&told));
    let misses: Vec<f64> = out(&told)
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    let mut curve = HitCurve::new(CurveSettings {
        share: 1.0,
        head: 0,
        most: usize::MAX,
    });
    let mut seen = std::collections::HashSet::new();
    for (key, size) in &trace {
        curve.access(&key.to_be_bytes(), *size, !seen.insert(*key));
    }
    for (size, peer) in sizes.iter().zip(misses) {
        let own = (1.0 - curve.hit_rate(*size)) * trace.len() as f64;
        assert!(
            (own - peer).abs() <= 0.003 * peer,
            "{size}: {own} misses here, {peer} there"
        );
    }
}

/// A log of some requests, in tero's formats.
fn write_log(path: &Path) {
    let mut text = String::new();
    for second in 0..59 {
        text.push_str(&format!(
            "10.0.0.1 - - [24/Nov/2026:09:00:{second:02} -0300] \"GET /a HTTP/1.1\" 200 1000 \"-\" \"x\"\n"
        ));
    }
    text.push_str("{\"at\":\"2026-11-24T09:00:59-03:00\",\"method\":\"GET\",\"target\":\"/a\",\"status\":200}\n");
    text.push_str("nonsense\t\"'<b>\n");
    std::fs::write(path, text).unwrap();
}

#[test]
fn the_command_tells_figures_assumptions_and_what_can_not_be_read() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let text = configuration("http://127.0.0.1:1");
    std::fs::write(path("tero.toml"), &text).unwrap();
    let other = text.replace(
        "ttl = { business_hours = 300, otherwise = 1800 }",
        "ttl = 1",
    );
    std::fs::write(path("other.toml"), other).unwrap();
    write_log(&folder.path().join("access.log"));
    let (config, log, html) = (path("tero.toml"), path("access.log"), path("a.html"));
    let ran = run(&[
        "simulate", &config, "--log", &log, "--html", &html, "--curve",
    ]);
    assert_code(&ran, 0);
    for part in [
        "60 requests on 1 local day",
        "1 lines can't be used",
        "first hour after opening",
        "09:00",
        "hit rate over memory",
        "--assume latency=200ms",
        "warning: the log has 1 local day",
        "lines of several formats",
        "1 lines don't say how many bytes were sent",
    ] {
        assert!(out(&ran).contains(part), "{part} is not in\n{}", out(&ran));
    }
    let page = std::fs::read_to_string(&html).unwrap();
    assert!(page.contains("<svg") && !page.contains("<b>"));
    let compared = run(&[
        "simulate",
        &config,
        "--log",
        &log,
        "--against",
        &path("other.toml"),
        "--without-warming",
        "--memory",
        "16MiB,64MiB",
        "--policy",
        "rules=builtin:json-rules",
        "--json",
        "--assume",
        "cache-control=/*: max-age=5",
    ]);
    assert_code(&compared, 0);
    let report: serde_json::Value = serde_json::from_str(&out(&compared)).unwrap();
    let names: Vec<&str> = report["scenarios"]
        .as_array()
        .unwrap()
        .iter()
        .map(|scenario| scenario["name"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 6, "{names:?}");
    assert_eq!(
        names[2..],
        [
            "rules=builtin:json-rules",
            "memory 16MiB",
            "memory 64MiB",
            "without warming"
        ]
    );
    assert_eq!(report["log"]["requests"], 60);
    assert_eq!(report["differences"].as_array().unwrap().len(), 5);
    for (arguments, code, told) in [
        (
            vec!["--log", &log, "--assume", "colour=red"],
            2,
            "nothing has that name",
        ),
        (
            vec!["--log", &log, "--memory", "1B"],
            2,
            "a size from 1MiB on",
        ),
        (
            vec!["--log", &log, "--policy", "x=y"],
            2,
            "no policy has the name x",
        ),
        (
            vec!["--log", &log, "--opening", "24"],
            2,
            "an hour from 0 to 23",
        ),
        (
            vec!["--log", "/nowhere/access.log"],
            1,
            "/nowhere/access.log",
        ),
        (vec!["--log", &config], 1, "no request that can be used"),
        (vec!["--log", &config], 1, "tero.toml:2: unknown format"),
    ] {
        let ran = run(&[vec!["simulate", &config], arguments].concat());
        assert_code(&ran, code);
        assert!(err(&ran).contains(told), "{told} is not in\n{}", err(&ran));
    }
}
