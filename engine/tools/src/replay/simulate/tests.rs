use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};

use super::*;
use crate::replay::log::{LogOptions, LogReader};
use crate::replay::record::{LineFault, LinePlace};
use tero_edge::request::admit::RequestSource;

/// A stage that notes what it is sent, and when.
#[derive(Clone, Default)]
struct NotedStage {
    now: Timestamp,
    sent: Rc<RefCell<Vec<(i64, String, SentAnswer)>>>,
}

impl RehearsalStage for NotedStage {
    fn turn_to(&mut self, at: Timestamp) {
        assert!(at >= self.now, "time never goes back");
        self.now = at;
    }

    fn send(&mut self, head: Parts, _: RequestSource, sent: SentAnswer) {
        let host = head.headers["host"].to_str().unwrap().to_owned();
        let url = host + head.uri.path();
        self.sent
            .borrow_mut()
            .push((self.now.unix_millis(), url, sent));
    }

    fn finish(&mut self) {}

    fn usage(&self) -> StoreUsage {
        StoreUsage::default()
    }

    fn plans(&self) -> Vec<PlanFigures> {
        Vec::new()
    }
}

pub(super) fn record(millis: i64, target: &str) -> LogRecord {
    LogRecord {
        at: Timestamp::from_unix_millis(millis),
        method: Method::GET,
        scheme: None,
        host: None,
        target: target.into(),
        status: StatusCode::OK,
        bytes: Some(100),
        bytes_have_head: false,
        cache: None,
        took: None,
        origin_took: None,
        client: None,
        request: HeaderMap::new(),
        response: HeaderMap::new(),
        place: LinePlace::default(),
    }
}

fn bad(fault: LineFault) -> BadLine {
    BadLine {
        file: "a.log".into(),
        place: LinePlace { file: 0, line: 3 },
        fault,
    }
}

fn run(
    records: Vec<Result<LogRecord, BadLine>>,
) -> Result<(Simulation, NotedStage), SimulationError<Infallible>> {
    let stage = NotedStage::default();
    let noted = stage.clone();
    let make = |_, _| Ok::<_, Infallible>(Box::new(noted) as Box<dyn RehearsalStage>);
    let settings = SimulationSettings::default();
    let simulation = simulate(records, &settings, make, &mut |_| ())?;
    Ok((simulation, stage))
}

#[test]
fn requests_of_a_second_are_spread_over_it() {
    let at = |millis, target| Ok(record(millis, target));
    let (simulation, stage) = run(vec![
        at(1_000, "/a"),
        at(1_000, "/b"),
        at(2_000, "/c"),
        at(3_100, "/d"),
        at(3_700, "/e"),
    ])
    .unwrap();
    let sent = stage.sent.borrow();
    let times: Vec<i64> = sent.iter().map(|(at, ..)| *at).collect();
    assert_eq!(times, [1_000, 1_500, 2_000, 3_100, 3_700]);
    assert_eq!(sent[0].1, "localhost/a");
    assert_eq!(simulation.log.requests, 5);
    assert_eq!(simulation.log.without_host, 5);
    assert_eq!(simulation.log.first.unix_millis(), 1_000);
    assert_eq!(simulation.log.last.unix_millis(), 3_700);
}

#[test]
fn a_crowded_second_does_not_turn_time_back() {
    let crowd = (0..MAX_SPREAD + 3).map(|_| Ok(record(1_000, "/a")));
    let (_, stage) = run(crowd.chain([Ok(record(2_000, "/b"))]).collect()).unwrap();
    let times: Vec<i64> = stage.sent.borrow().iter().map(|(at, ..)| *at).collect();
    assert!(times.is_sorted() && times.len() == MAX_SPREAD + 4);
    assert_eq!(times.last(), Some(&2_000));
}

#[test]
fn what_the_reader_of_a_log_doubts_is_told() {
    let text = b"10.0.0.1 - - [24/Nov/2026:09:00:01 -0300] \"GET /a HTTP/1.1\" 200 5 \"-\" \"x\"\n\
        {\"at\":\"2026-11-24T12:00:02Z\",\"method\":\"GET\",\"target\":\"/b\",\"status\":200,\"bytes\":5}\n\
        nonsense\n";
    let input: Box<dyn std::io::Read> = Box::new(&text[..]);
    let mut reader = LogReader::over(vec![("a.log", input)], LogOptions::default());
    let records: Vec<_> = (&mut reader).collect();
    let (mut simulation, _) = run(records).unwrap();
    simulation.log.take_report(reader.report());
    assert_eq!(simulation.log.bad_lines["unknown format"], 1);
    let all = [("base".to_owned(), simulation)];
    let warnings = report::report(&all, &Assumptions::default(), Some(9)).warnings;
    let told = |part: &str| warnings.iter().any(|warning| warning.contains(part));
    assert!(told("lines of several formats"), "{warnings:?}");
}

#[test]
fn bad_lines_are_counted_and_the_first_are_told_by_their_place() {
    let (simulation, _) = run(vec![
        Err(bad(LineFault::Format)),
        Ok(record(1_000, "/a")),
        Err(bad(LineFault::Late)),
        Err(bad(LineFault::Format)),
        Ok(record(1_000, "not a target")),
    ])
    .unwrap();
    let log = &simulation.log;
    assert_eq!((log.requests, log.unsendable), (1, 1));
    assert_eq!(log.bad_lines["unknown format"], 2);
    assert_eq!(log.bad_lines["out of order"], 1);
    assert_eq!(log.told_lines[0], "a.log:3: unknown format");
    let report = report::report(
        &[("base".to_owned(), simulation)],
        &Assumptions::default(),
        None,
    );
    let text = text::tables(&report);
    assert!(
        text.contains("2 lines can't be used: unknown format"),
        "{text}"
    );
    assert!(text.contains("more than 1 of 100"), "{text}");
    assert!(text.contains("can't be sent"), "{text}");
}

#[test]
fn an_empty_log_is_an_error_and_one_of_a_day_is_warned_of() {
    let empty = run(vec![Err(bad(LineFault::Format))]).map(|_| ());
    let error = empty.unwrap_err().to_string();
    assert_eq!(
        error,
        "the log has no request that can be used (1 lines can't be read)"
    );
    assert!(run(Vec::new()).is_err());
    let (simulation, _) = run(vec![Ok(record(1_000, "/a"))]).unwrap();
    let report = report::report(
        &[("base".to_owned(), simulation)],
        &Assumptions::default(),
        Some(9),
    );
    assert!(
        report.warnings[0].contains("fewer than 3"),
        "{:?}",
        report.warnings
    );
}

#[test]
fn a_time_without_requests_that_is_not_rehearsed_is_warned_of() {
    let day = 86_400_000;
    let warned = |days: i64| {
        let records = vec![Ok(record(day, "/a")), Ok(record((days + 1) * day, "/a"))];
        let (simulation, _) = run(records).unwrap();
        let all = [("base".to_owned(), simulation)];
        let report = report::report(&all, &Assumptions::default(), Some(9));
        report.warnings.join("\n")
    };
    assert!(!warned(4).contains("nothing was asked"));
    let warning = warned(20_000);
    assert!(
        warning.contains("nothing was asked for 20000 days: only the first 4"),
        "{warning}"
    );
}

#[test]
fn a_page_has_no_script_and_no_text_of_clients_as_markup() {
    let (simulation, _) = run(vec![
        Err(BadLine {
            file: "<script>alert(1)</script>".into(),
            ..bad(LineFault::Format)
        }),
        Ok(record(1_000, "/a")),
    ])
    .unwrap();
    let report = report::report(
        &[("<b>base</b>".to_owned(), simulation)],
        &Assumptions::default(),
        Some(9),
    );
    let page = page(&report);
    assert!(!page.contains("<script") && !page.contains("<b>"), "{page}");
    assert!(page.contains("&lt;script&gt;") && page.contains("<svg"));
    assert!(
        page.contains("<h2>Figures</h2>") && page.contains("</svg>&lt;b&gt;base&lt;/b&gt;</li>")
    );
    assert!(
        ["src=", "href=", "url("]
            .iter()
            .all(|from| !page.contains(from))
    );
}
