//! What a visitor gets from an origin with each kind of fault, by what is stored of the page: the
//! table in `docs/origins.md`, which this test writes and compares.
//!
//! `TERO_WRITE_GOLDEN=1 cargo test -p tero-tests --test edge fault_matrix` writes it.

mod faults;

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use faults::{FAULTS, Fault, FaultKind};
use tero_admin_api::OriginsResponse;
use tero_tests::{Answer, Edge, EdgeBuilder, Origin, Reply, eventually, get};

/// Timeouts that can be told apart. None of them is the sum of others.
const TIMEOUTS: &str = "connect_timeout = \"2s\"\nresponse_timeout = \"5s\"\nbody_timeout = \"7s\"\ndeadline = \"30s\"";

/// The longest that any visitor waits, and any fetch in the background takes.
const MOST_SECS: u64 = 40;

/// Threads that try cells of the table at the same time.
const THREADS: usize = 4;

/// How long, in real time, the edge gets to react to each second of its clock. The test waits no
/// longer than that where there is nothing to wait for.
const SETTLE: Duration = Duration::from_millis(60);

/// Later than its time by the clock that an answer may be: the edge's timers begin while the test
/// looks on, on a machine that may be busy.
const TOLERANCE_SECS: u64 = 1;

/// What is stored of the page when the visitor comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stored {
    Nothing,
    Fresh,
    WhileRevalidate,
    IfError,
    Beyond,
    HitForMiss,
}

impl Stored {
    const ALL: [Stored; 6] = [
        Stored::Nothing,
        Stored::Fresh,
        Stored::WhileRevalidate,
        Stored::IfError,
        Stored::Beyond,
        Stored::HitForMiss,
    ];

    /// The head of its column.
    fn title(self) -> &'static str {
        match self {
            Stored::Nothing => "nothing stored",
            Stored::Fresh => "fresh",
            Stored::WhileRevalidate => "stale, while it is revalidated",
            Stored::IfError => "stale, if the origin fails",
            Stored::Beyond => "stale beyond both",
            Stored::HitForMiss => "not storable (hit-for-miss)",
        }
    }

    /// Has the edge store the page, if it is to.
    fn prepare(self, edge: &Edge, origin: &Origin) {
        let (cache_control, passes_secs) = match self {
            Stored::Nothing => return,
            Stored::Fresh => ("max-age=600", 5),
            Stored::WhileRevalidate => (
                "max-age=60, stale-while-revalidate=600, stale-if-error=600",
                70,
            ),
            Stored::IfError => ("max-age=60, stale-if-error=600", 70),
            Stored::Beyond => ("max-age=60, stale-if-error=20", 90),
            Stored::HitForMiss => ("no-store", 5),
        };
        let page = Reply::ok(faults::STORED).header("ETag", "\"1\"");
        origin.on("/page", page.header("Cache-Control", cache_control));
        assert_eq!(edge.get("/page").text(), faults::STORED);
        edge.advance_secs(passes_secs);
    }
}

/// What came of a visit.
#[derive(Debug)]
struct Visited {
    answer: Answer,
    secs: u64,
    /// Requests to the origin, those in the background too.
    requests: u64,
}

impl Visited {
    /// Where the answer comes from.
    fn source(&self) -> &'static str {
        let text = self.answer.text();
        let status = self.answer.cache_status();
        if text == faults::STORED && status.fwd_status == Some(304) {
            "validated"
        } else if text == faults::STORED {
            let is_fresh = status.ttl.is_some_and(|ttl| ttl > 0);
            if is_fresh { "fresh" } else { "stale" }
        } else if status.fwd_status.is_some() && !text.contains("request ") {
            "origin"
        } else {
            "tero"
        }
    }

    fn detail(&self) -> Option<String> {
        self.answer.cache_status().detail
    }
}

impl fmt::Display for Visited {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = if self.answer.whole { "" } else { ", cut" };
        write!(
            formatter,
            "{} {}{cut}; {} s; {}",
            self.answer.status,
            self.source(),
            self.secs,
            self.requests
        )
    }
}

/// The requests to the origins of an edge, as it counts them.
fn requests(edge: &Edge) -> u64 {
    let report = edge.admin_get("/origins").read::<OriginsResponse>();
    report.origins.iter().map(|origin| origin.requests).sum()
}

fn is_asking(edge: &Edge) -> bool {
    let report = edge.admin_get("/origins").read::<OriginsResponse>();
    report.origins.iter().any(|origin| origin.in_flight > 0)
}

/// What a cell of the table tells of a visit.
#[derive(Clone, Copy)]
struct ExpectedVisit {
    secs: u64,
    requests: u64,
}

impl ExpectedVisit {
    fn of(cell: &str) -> Option<ExpectedVisit> {
        let mut parts = cell.split("; ").skip(1);
        let secs = parts.next()?.strip_suffix(" s")?.parse().ok()?;
        let requests = parts.next()?.parse().ok()?;
        Some(ExpectedVisit { secs, requests })
    }
}

/// Visits the page while the origin has a fault. What is expected says for what a busy machine gets time.
fn visit(kind: FaultKind, stored: Stored, expected: Option<ExpectedVisit>) -> Visited {
    let origin = Origin::start();
    origin.on(
        "/warm-up",
        Reply::ok("x").header("Cache-Control", "no-store"),
    );
    let fault = Fault::of(kind, &origin);
    let before =
        |hop: &str| -> EdgeBuilder { Edge::before_hop(hop).server("workers = 1").site(TIMEOUTS) };
    let edge = before(&fault.healthy).start();
    stored.prepare(&edge, &origin);
    // A connection is open, as on any busy edge.
    assert_eq!(edge.get("/warm-up").text(), "x");
    let hop = fault.begin(&origin);
    if hop != fault.healthy {
        edge.reload(&before(&hop))
            .expect("it is a good configuration");
    }
    let asked = (requests(&edge), origin.requests("/page") as u64);
    let mut client = edge.client();
    let visitor = std::thread::spawn(move || client.send(&get("/page")));
    eventually("the edge acts", || {
        visitor.is_finished() || is_asking(&edge)
    });
    let mut secs = 0;
    loop {
        // On a busy machine it takes its time; where that isn't known, each second gets some.
        let times = match expected {
            Some(expected) if expected.secs == secs => 100,
            Some(_) => 1,
            None => 5,
        };
        for _ in 0..times {
            settle(|| visitor.is_finished());
        }
        if visitor.is_finished() {
            break;
        }
        assert!(
            secs < MOST_SECS,
            "{kind:?}, {stored:?}: a visitor still waits"
        );
        fault.tick(secs);
        edge.advance_secs(1);
        secs += 1;
    }
    let answer = visitor.join().expect("the visitor is answered");
    // Some faults are seen by one of them alone: no connection, or a repetition on another one.
    let counted = || {
        let by_edge = requests(&edge) - if hop == fault.healthy { asked.0 } else { 0 };
        let by_origin = origin.requests("/page") as u64 - asked.1;
        by_edge.max(by_origin)
    };
    // What a stale response begins in the background may come later.
    let least = expected.map_or(0, |expected| expected.requests);
    for _ in 0..100 {
        if counted() >= least {
            break;
        }
        settle(|| false);
    }
    edge.advance_until(MOST_SECS, || edge.is_quiet());
    eventually("the origin is left", || !is_asking(&edge));
    Visited {
        answer,
        secs,
        requests: counted(),
    }
}

#[allow(clippy::disallowed_methods)] // It gives the processor to other threads.
fn settle(met: impl Fn() -> bool) {
    let pause = SETTLE / 12;
    for _ in 0..12 {
        if met() {
            return;
        }
        std::thread::sleep(pause);
    }
}

/// A row of the table: its cells, and what `Cache-Status` tells.
type Row = Vec<String>;

fn page() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/origins.md"))
}

/// The first and the last line of the table in the page.
fn place(lines: &[&str]) -> (usize, usize) {
    let first = lines
        .iter()
        .position(|line| line.starts_with("| the origin |"));
    let first = first.expect("the page has the table");
    let length = lines[first..]
        .iter()
        .take_while(|line| line.starts_with('|'));
    (first, first + length.count())
}

fn write_row(text: &mut String, cells: &[String]) {
    writeln!(text, "| {} |", cells.join(" | ")).expect("a string takes it");
}

fn table(rows: &[Row]) -> String {
    let mut head = vec!["the origin".to_owned()];
    head.extend(Stored::ALL.iter().map(|stored| stored.title().to_owned()));
    head.push("`detail` of `Cache-Status`".to_owned());
    let mut text = String::new();
    write_row(&mut text, &head);
    writeln!(text, "|{}", "---|".repeat(head.len())).expect("a string takes it");
    for row in rows {
        write_row(&mut text, row);
    }
    text
}

#[test]
fn what_visitors_get_from_an_origin_with_each_fault_is_what_the_documentation_says() {
    let text = std::fs::read_to_string(page()).expect("the page can be read");
    let lines: Vec<&str> = text.lines().collect();
    let (first, end) = place(&lines);
    let writes = std::env::var_os("TERO_WRITE_GOLDEN").is_some();
    let told = |fault: &str, column: usize| -> Option<&str> {
        let mut rows = lines[first..end].iter();
        let row = rows.find(|row| row.starts_with(&format!("| {fault} |")))?;
        row.trim_matches('|').split('|').nth(column).map(str::trim)
    };
    let cells: Vec<(usize, usize)> = (0..FAULTS.len())
        .flat_map(|fault| (0..Stored::ALL.len()).map(move |stored| (fault, stored)))
        .collect();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(&(fault, stored)) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (kind, title) = FAULTS[fault];
                    let expected = told(title, stored + 1).and_then(ExpectedVisit::of);
                    let expected = expected.filter(|_| !writes);
                    let mut visited = visit(kind, Stored::ALL[stored], expected);
                    if let Some(expected) = expected
                        && (expected.secs..=expected.secs + TOLERANCE_SECS).contains(&visited.secs)
                    {
                        visited.secs = expected.secs;
                    }
                    let mut found = found.lock().expect("no other cell failed");
                    found.push((fault, stored, visited.to_string(), visited.detail()));
                }
            });
        }
    });
    let mut found = found.into_inner().expect("no cell failed");
    found.sort();
    let rows: Vec<Row> = FAULTS
        .iter()
        .enumerate()
        .map(|(fault, (_, title))| {
            let of_fault = || found.iter().filter(move |cell| cell.0 == fault);
            let details: BTreeSet<&str> = of_fault().filter_map(|cell| cell.3.as_deref()).collect();
            let details: Vec<&str> = details.into_iter().collect();
            let mut row = vec![(*title).to_owned()];
            row.extend(of_fault().map(|cell| cell.2.clone()));
            row.push(details.join("; "));
            row
        })
        .collect();
    let table = table(&rows);
    if writes {
        let mut all: Vec<&str> = lines[..first].to_vec();
        all.extend(table.lines());
        all.extend(&lines[end..]);
        std::fs::write(page(), all.join("\n") + "\n").expect("the page can be written");
        return;
    }
    let told = lines[first..end].join("\n") + "\n";
    for (told, found) in told.lines().zip(table.lines()) {
        assert_eq!(told, found, "docs/origins.md says otherwise");
    }
    assert_eq!(told, table, "docs/origins.md has other rows");
}

#[test]
fn the_deadline_bounds_connecting_too() {
    let holes: Vec<_> = (0..3).map(|_| faults::black_hole()).collect();
    let mut hops = holes
        .iter()
        .map(|(address, _)| format!("url = \"http://{address}\""));
    let first = Edge::before_hop(&hops.next().expect("there are three"));
    let edge = hops.fold(first, |edge, hop| edge.next_hop(&hop));
    let edge = edge
        .server("workers = 1")
        .site("connect_timeout = \"5s\"\ndeadline = \"7s\"")
        .start();
    let mut client = edge.client();
    client.start(&get("/x"));
    eventually("the edge connects", || is_asking(&edge));
    let mut secs = 0;
    loop {
        for _ in 0..5 {
            settle(|| client.is_answered());
        }
        if client.is_answered() {
            break;
        }
        assert!(secs < 10, "the deadline is over, and a visitor still waits");
        edge.advance_secs(1);
        secs += 1;
    }
    client
        .head()
        .assert_failed(504, "origin did not accept a connection in time");
    assert!(secs >= 7, "answered after {secs} s");
}
