//! Warming: plans fetch pages ahead of demand.

use tero_admin_api::endpoints::{StartWarm, WarmPlans, WarmRun, WarmRuns};
use tero_admin_api::{RunState, RunTrigger, StartWarmRequest, WarmRunReport};
use tero_tests::{Edge, EdgeBuilder, Gate, Origin, Reply, eventually, get, guests};

const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";

/// An origin whose pages are fresh for an hour and contain the name of the requested variant.
pub(crate) fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        Reply::fresh(
            3_600,
            format!(
                "{} {}",
                asked.target,
                asked.header("tero-variant").unwrap_or_default()
            ),
        )
    });
    origin
}

/// An edge with one plan, `plan`, with these keys.
pub(crate) fn planning(origin: &Origin, keys: &str) -> EdgeBuilder {
    Edge::before(origin).section(&format!(
        "[[warm]]\nname = \"plan\"\nsite = \"site\"\n{keys}"
    ))
}

/// Adds a variant for phones on every page.
fn by_device(builder: EdgeBuilder) -> EdgeBuilder {
    let settings = "[policy.settings]\nversion = 3\nvariants.mobile = { devices = [\"mobile\"], paths = [\"*\"] }\n\
                    rules = [{ name = \"all\", match = [\"*\"], ttl = 3600 }]";
    builder.policy("rules", "builtin:json-rules", settings)
}

pub(crate) fn start(edge: &Edge) -> u64 {
    edge.call::<StartWarm>(&["plan"], &StartWarmRequest::default())
        .run
}

/// The report of a run, as it is now.
#[track_caller]
pub(crate) fn report(edge: &Edge, run: u64) -> WarmRunReport {
    edge.call::<WarmRun>(&[&run.to_string()], &())
}

/// The runs, the latest first.
#[track_caller]
pub(crate) fn runs(edge: &Edge) -> Vec<WarmRunReport> {
    edge.call::<WarmRuns>(&[], &()).runs
}

/// Waits until a run ends, and returns its report.
#[track_caller]
pub(crate) fn ended(edge: &Edge, run: u64) -> WarmRunReport {
    eventually("the run ends", || report(edge, run).state.is_over());
    report(edge, run)
}

/// Starts the plan and returns the report of its run.
#[track_caller]
pub(crate) fn warm(edge: &Edge) -> WarmRunReport {
    ended(edge, start(edge))
}

/// Waits until a run has reached these counts.
#[track_caller]
pub(crate) fn until(edge: &Edge, run: u64, counts: &[(&str, u64)]) {
    eventually(&format!("the run comes to {counts:?}"), || {
        let report = report(edge, run);
        counts
            .iter()
            .all(|(name, expected)| count(&report, name) == *expected)
    });
}

#[track_caller]
pub(crate) fn assert_counts(report: &WarmRunReport, counts: &[(&str, u64)]) {
    for (name, expected) in counts {
        assert_eq!(count(report, name), *expected, "{name} in {report:?}");
    }
}

/// A count of a report by its name.
#[track_caller]
fn count(report: &WarmRunReport, name: &str) -> u64 {
    match name {
        "planned" => report.planned,
        "fetched" => report.fetched,
        "fresh" => report.fresh,
        "not_stored" => report.not_stored,
        "failed" => report.failed,
        "retried" => report.retried,
        "left_out" => report.left_out,
        "not_kept" => report.not_kept,
        "bytes" => report.bytes,
        "used_later" => report.used_later,
        "used_bytes" => report.used_bytes,
        _ => panic!("no count is called {name}"),
    }
}

#[test]
fn a_plan_runs_on_request_and_reports() {
    let origin = origin();
    let edge = planning(&origin, "urls = [\"/a\", \"/b?c=1\"]").start();
    let report = warm(&edge);
    assert_eq!(
        (report.plan.as_str(), report.state, report.trigger),
        ("plan", RunState::Done, RunTrigger::Request),
        "{report:?}"
    );
    assert_counts(
        &report,
        &[
            ("planned", 2),
            ("fetched", 2),
            ("fresh", 0),
            ("failed", 0),
            ("bytes", 10),
        ],
    );
    edge.get("/a").assert_hit("/a ");
    edge.get("/b?c=1").assert_hit("/b?c=1 ");
    assert_eq!(origin.total(), 2);
    assert_eq!(runs(&edge)[0].id, report.id);
}

#[test]
fn fresh_responses_are_not_fetched() {
    let origin = origin();
    let edge = planning(&origin, "urls = [\"/a\", \"/b\"]\nwindow = \"30min\"").start();
    edge.get("/a").assert_forwarded("uri-miss", "/a ");
    assert_counts(
        &warm(&edge),
        &[("planned", 2), ("fetched", 1), ("fresh", 1), ("failed", 0)],
    );
    assert_counts(
        &warm(&edge),
        &[("planned", 2), ("fetched", 0), ("fresh", 2), ("failed", 0)],
    );
    assert_eq!(origin.total(), 2);
    edge.advance_secs(3_600);
    assert_counts(
        &warm(&edge),
        &[("planned", 2), ("fetched", 2), ("fresh", 0)],
    );
    edge.get("/a").assert_hit("/a ");
}

#[test]
fn each_variant_is_fetched_once_under_the_key_of_visitors() {
    let origin = origin();
    let edge = by_device(planning(&origin, "urls = [\"/a\"]")).start();
    assert_counts(&warm(&edge), &[("planned", 2), ("fetched", 2)]);
    let mut variants: Vec<_> = origin
        .asked("/a")
        .iter()
        .map(|asked| asked.header("tero-variant").unwrap_or_default())
        .collect();
    variants.sort();
    assert_eq!(variants, ["", "mobile"]);
    edge.get("/a").assert_hit("/a ");
    edge.send(&get("/a").header("User-Agent", PHONE))
        .assert_hit("/a mobile");
    assert_eq!(origin.total(), 2);
}

#[test]
fn a_plan_can_name_its_variants() {
    for (names, variants) in [
        ("[\"mobile\"]", &["mobile"][..]),
        ("[\"desktop\", \"mobile\"]", &["", "mobile"]),
        ("[\"desktop\"]", &[""]),
    ] {
        let origin = origin();
        let edge = by_device(planning(
            &origin,
            &format!("urls = [\"/a\"]\nvariants = {names}"),
        ))
        .start();
        warm(&edge);
        let mut asked: Vec<_> = origin
            .asked("/a")
            .iter()
            .map(|asked| asked.header("tero-variant").unwrap_or_default())
            .collect();
        asked.sort();
        assert_eq!(asked, variants, "{names}");
    }
}

#[test]
fn a_schedule_comes_due_at_its_local_minute() {
    let origin = origin();
    let keys = "urls = [\"/a\"]\nschedule = \"30 8 * * MON-SAT\"\nzone = \"America/Argentina/Buenos_Aires\"";
    let edge = planning(&origin, keys).at("2026-11-24T08:29:58").start();
    edge.turn_to("2026-11-24T08:29:59");
    // By the time of this response, the edge has seen the time.
    edge.get("/other");
    assert_eq!(runs(&edge).len(), 0);
    edge.turn_to("2026-11-24T08:30:00");
    origin.wait_for("/a", 1);
    let report = ended(&edge, 1);
    assert_eq!(
        (report.trigger, report.started.as_str()),
        (RunTrigger::Schedule, "2026-11-24T08:30:00-03:00"),
        "{report:?}"
    );
    edge.get("/a").assert_hit("/a ");
    // It runs again on the next day, not within the minute.
    edge.turn_to("2026-11-24T08:30:59");
    assert_eq!(origin.requests("/a"), 1);
    edge.turn_to("2026-11-25T08:30:00");
    origin.wait_for("/a", 2);
    ended(&edge, 2);
    // There is no run on a Sunday; the next one is on Monday.
    let edge = planning(&origin, keys).at("2026-11-29T08:29:00").start();
    edge.turn_to("2026-11-29T08:31:00");
    assert_eq!(edge.get("/other").status, 200);
    edge.turn_to("2026-11-30T08:30:00");
    origin.wait_for("/a", 3);
    assert_eq!(ended(&edge, 1).started, "2026-11-30T08:30:00-03:00");
    assert_eq!(origin.requests("/a"), 3);
}

#[test]
fn a_sitemap_names_pages() {
    let origin = origin();
    let page = |path: &str| format!("<url><loc>http://www.example{path}</loc></url>");
    let sitemap = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">{}{}<url><loc>http://elsewhere.example/c</loc></url></urlset>",
        page("/a"),
        page("/b?x=1&amp;y=2")
    );
    origin.on(
        "/sitemap.xml",
        Reply::ok(sitemap).header("Content-Type", "application/xml"),
    );
    let edge = planning(&origin, "sitemap = \"/sitemap.xml\"").start();
    let report = warm(&edge);
    assert_counts(&report, &[("planned", 2), ("fetched", 2), ("failed", 0)]);
    edge.get("/a").assert_hit("/a ");
    edge.get("/b?x=1&y=2").assert_hit("/b?x=1&y=2 ");
    assert!(
        report.notes.concat().contains("not on this site"),
        "{report:?}"
    );
    assert_eq!(origin.requests("/c"), 0);
}

#[test]
fn a_malformed_sitemap_is_noted_and_the_rest_is_warmed() {
    for reply in [
        Reply::status(404),
        Reply::ok("no sitemap"),
        Reply::ok("<urlset><url><loc>"),
        Reply::reset(),
    ] {
        let origin = origin();
        origin.on("/sitemap.xml", reply);
        let keys = "sitemap = \"/sitemap.xml\"\nurls = [\"/a\"]\nretries = 0";
        let edge = planning(&origin, keys).start();
        let report = warm(&edge);
        assert_counts(&report, &[("fetched", 1)]);
        assert_eq!(
            (report.state, report.sitemaps_failed, report.notes.len()),
            (RunState::Failed, 1, 1),
            "{report:?}"
        );
        eventually("it is counted", || {
            edge.metric("tero_warm_sitemaps_failed_total", &["plan"]) == 1.0
        });
        let last = edge.metric("tero_warm_last_done_timestamp_seconds", &["plan"]);
        assert_eq!(last, 0.0);
        edge.get("/a").assert_hit("/a ");
    }
}

#[test]
fn max_sitemaps_limits_the_sitemaps_read() {
    let listed = |paths: &[&str]| {
        let one = |path: &&str| format!("<sitemap><loc>http://www.example{path}</loc></sitemap>");
        format!(
            "<sitemapindex>{}</sitemapindex>",
            paths.iter().map(one).collect::<String>()
        )
    };
    // There are four: an index, its two sitemaps, and another one.
    for (most, read, notes) in [
        (5, 4, &[][..]),
        (4, 4, &[]),
        (
            3,
            3,
            &["the sitemap /last.xml is one more than max_sitemaps: left out"],
        ),
        (
            2,
            2,
            &[
                "1 sitemaps of an index are more than max_sitemaps: left out",
                "the sitemap /last.xml is one more than max_sitemaps",
            ],
        ),
        (
            1,
            1,
            &[
                "2 sitemaps of an index are more than max_sitemaps: left out",
                "the sitemap /last.xml is one more than max_sitemaps",
            ],
        ),
    ] {
        let origin = origin();
        origin.on("/index.xml", Reply::ok(listed(&["/1.xml", "/2.xml"])));
        let sitemaps = ["/1.xml", "/2.xml", "/last.xml"];
        for path in sitemaps {
            origin.on(
                path,
                Reply::ok(format!(
                    "<urlset><url><loc>http://www.example/of{path}</loc></url></urlset>"
                )),
            );
        }
        let edge = planning(
            &origin,
            &format!("sitemap = [\"/index.xml\", \"/last.xml\"]\nmax_sitemaps = {most}"),
        )
        .start();
        let report = warm(&edge);
        assert_eq!(report.state, RunState::Done, "{report:?}");
        let of_sitemaps: Vec<usize> = sitemaps.map(|path| origin.requests(path)).into();
        assert_eq!(
            of_sitemaps,
            (1..4)
                .map(|nth| usize::from(nth < read))
                .collect::<Vec<_>>(),
            "{most}"
        );
        assert_counts(&report, &[("planned", read - 1), ("fetched", read - 1)]);
        let told = &report.notes;
        assert_eq!(told.len(), notes.len(), "{told:?}");
        assert!(
            told.iter()
                .zip(notes)
                .all(|(told, note)| told.contains(*note)),
            "{most}: {told:?}"
        );
    }
}

#[test]
fn popular_pages_of_an_hour_are_warmed_the_next_day() {
    let origin = origin();
    let edge = planning(&origin, "popular = 2")
        .at("2026-11-24T09:10:00")
        .start();
    for (target, times) in [("/a", 30), ("/b", 20), ("/c", 1)] {
        let mut client = edge.client();
        for _ in 0..times {
            client.send(&get(target));
        }
    }
    edge.turn_to("2026-11-25T08:40:00");
    let report = warm(&edge);
    assert_counts(&report, &[("planned", 2), ("fetched", 2)]);
    assert_eq!(
        (
            origin.requests("/a"),
            origin.requests("/b"),
            origin.requests("/c")
        ),
        (2, 2, 1)
    );
}

#[test]
fn policies_add_pages_to_plans() {
    let origin = origin();
    let module = guests::misbehaving_path().display().to_string();
    let edge = planning(&origin, "urls = [\"/a\"]")
        .policy("bad", &module, "")
        .start();
    assert_counts(&warm(&edge), &[("planned", 2), ("fetched", 2)]);
    edge.get("/behaves").assert_hit("/behaves good");
}

#[test]
fn a_failing_policy_leaves_a_plan_its_own_pages() {
    for mode in [
        "trap",
        "spin",
        "allocate",
        "too-many-urls",
        "long-url",
        "control-url",
        "foreign-url",
        "nonsense-variant",
    ] {
        let origin = origin();
        let module = guests::misbehaving_path().display().to_string();
        // `plan-warm` has twenty times the deadline of other calls.
        let deadline = if mode == "spin" { "20ms" } else { "5s" };
        let keys = format!(
            "settings = {{ plan_warm = \"{mode}\" }}\nlimits = {{ memory = \"16MiB\", deadline = \"{deadline}\" }}"
        );
        let edge = planning(&origin, "urls = [\"/a\"]\nmax_urls = 10")
            .policy("bad", &module, &keys)
            .start();
        let report = warm(&edge);
        assert_eq!(report.state, RunState::Done, "{mode}: {report:?}");
        assert_counts(&report, &[("fetched", 1)]);
        edge.get("/a").assert_hit("/a good");
    }
}

#[test]
fn failures_are_reported_with_their_reasons() {
    let origin = origin();
    origin.on("/gone", Reply::status(404));
    origin.on("/broken", Reply::reset());
    origin.on(
        "/private",
        Reply::fresh(60, "p").header("Cache-Control", "private"),
    );
    let edge = planning(
        &origin,
        "urls = [\"/a\", \"/gone\", \"/broken\", \"/private\"]\nretries = 1",
    )
    .start();
    let run = start(&edge);
    // Failed pages are tried again after a pause, once all other fetches have ended.
    until(
        &edge,
        run,
        &[
            ("fetched", 1),
            ("not_stored", 1),
            ("failed", 1),
            ("retried", 1),
        ],
    );
    edge.advance_secs(5);
    let report = ended(&edge, run);
    assert_counts(
        &report,
        &[
            ("planned", 4),
            ("fetched", 1),
            ("not_stored", 1),
            ("failed", 2),
        ],
    );
    // On an idle connection, each of the two is sent once more on a new one.
    let broken = origin.requests("/broken");
    assert!((2..=4).contains(&broken), "{broken}");
    assert_eq!(report.state, RunState::Done);
    let failures = &report.failures;
    let failed = |end: &str| failures.iter().any(|page| page.url.ends_with(end));
    assert!(failed("/gone") && failed("/broken"), "{report:?}");
    let reason = |end: &str| {
        let failure = failures
            .iter()
            .find(|failure| failure.url.ends_with(end))
            .unwrap();
        failure.reason.clone()
    };
    assert_eq!(reason("/gone"), "answered with 404 Not Found");
    assert!(
        reason("/broken").contains("origin"),
        "{}",
        reason("/broken")
    );
    assert!(report.refusals[0].url.ends_with("/private"), "{report:?}");
}

#[test]
fn a_running_plan_is_not_started_again() {
    let origin = origin();
    let gate = Gate::new();
    origin.on("/a", Reply::fresh(60, "a").behind(&gate));
    let edge = planning(&origin, "urls = [\"/a\"]").start();
    let run = start(&edge);
    origin.wait_for("/a", 1);
    assert_eq!(edge.admin_post("/warm/plan", "").status, 409);
    gate.open();
    ended(&edge, run);
    assert_eq!(edge.admin_post("/warm/nothing", "").status, 404);
    assert_eq!(edge.admin_get("/warm/runs/99").status, 404);
}

#[test]
fn visitors_do_not_wait_for_a_plan() {
    let origin = origin();
    let gate = Gate::new();
    origin.otherwise({
        let gate = gate.clone();
        move |asked| {
            if asked.target.starts_with("/slow") {
                Reply::fresh(60, "s").behind(&gate)
            } else {
                Reply::fresh(60, "v")
            }
        }
    });
    let urls: Vec<_> = (0..20).map(|number| format!("/slow/{number}")).collect();
    let edge = planning(&origin, &format!("urls = {urls:?}\nconcurrency = 4")).start();
    let run = start(&edge);
    gate.wait_for_arrivals(4);
    edge.get("/visited").assert_forwarded("uri-miss", "v");
    assert_eq!(
        origin.total(),
        5,
        "no more than its concurrency is under way"
    );
    gate.open();
    assert_counts(&ended(&edge, run), &[("fetched", 20)]);
}

#[test]
fn a_visitor_follows_the_fetch_of_a_plan() {
    let origin = origin();
    let gate = Gate::new();
    origin.on("/a", Reply::fresh(60, "firstlast!").in_halves(&gate));
    let edge = planning(&origin, "urls = [\"/a\"]").start();
    let run = start(&edge);
    origin.wait_for("/a", 1);
    let mut client = edge.client();
    client.start(&get("/a"));
    let mut answer = client.head();
    assert_eq!(client.exactly(5), b"first");
    gate.open();
    client.rest(&mut answer);
    assert!(answer.cache_status().collapsed, "{answer:?}");
    ended(&edge, run);
    assert_eq!(origin.requests("/a"), 1);
}

#[test]
fn a_plan_keeps_its_rate_and_its_deadline_ends_the_run() {
    let origin = origin();
    let urls: Vec<_> = (0..10).map(|number| format!("/{number}")).collect();
    let edge = planning(
        &origin,
        &format!("urls = {urls:?}\nrate = 2\ndeadline = \"3s\""),
    )
    .start();
    let run = start(&edge);
    // Two at once, then two each second.
    eventually("the first two are fetched", || origin.total() == 2);
    edge.advance_until(5, || report(&edge, run).state == RunState::DeadlinePassed);
    let report = ended(&edge, run);
    assert_eq!(report.state, RunState::DeadlinePassed, "{report:?}");
    let fetched = report.fetched;
    assert!((2..10).contains(&fetched), "{report:?}");
    // When the time is over, fetches may be in flight, up to the concurrency.
    let asked = origin.total() as u64;
    assert!(
        (fetched..=fetched + 4).contains(&asked) && asked < 10,
        "{asked} of {report:?}"
    );
}

#[test]
fn retries_continue_until_the_deadline() {
    // The tries are at once, after one minute and after two.
    for (deadline, tries, state, failed) in [
        (119, 2, RunState::DeadlinePassed, 0),
        (121, 3, RunState::Done, 1),
    ] {
        let origin = origin();
        origin.on("/busy", Reply::status(503).header("Retry-After", "60"));
        let edge = planning(
            &origin,
            &format!("urls = [\"/busy\"]\nretries = 2\ndeadline = \"{deadline}s\""),
        )
        .start();
        let run = start(&edge);
        until(&edge, run, &[("retried", 1)]);
        edge.advance_secs(59);
        edge.get("/other");
        assert_eq!(origin.requests("/busy"), 1);
        edge.advance_secs(1);
        until(&edge, run, &[("retried", 2)]);
        edge.advance_secs(58);
        edge.get("/another");
        assert_eq!(
            (origin.requests("/busy"), report(&edge, run).state),
            (2, RunState::Fetching)
        );
        edge.advance_secs(deadline.min(120) - 118);
        let report = ended(&edge, run);
        assert_eq!(
            (report.state, origin.requests("/busy")),
            (state, tries),
            "{report:?}"
        );
        assert_counts(
            &report,
            &[
                ("planned", 1),
                ("fetched", 0),
                ("retried", 2),
                ("failed", failed),
            ],
        );
    }
}

#[test]
fn hits_on_warmed_responses_are_counted() {
    let origin = origin();
    let edge = planning(&origin, "urls = [\"/a\", \"/b\"]").start();
    let run = warm(&edge).id;
    for _ in 0..3 {
        edge.get("/a").assert_hit("/a ");
    }
    eventually("the use is counted", || report(&edge, run).used_later == 1);
    assert_eq!(edge.metric("tero_warm_used_total", &["plan=\"plan\""]), 1.0);
    assert_eq!(
        edge.metric(
            "tero_warm_urls_total",
            &["plan=\"plan\"", "result=\"fetched\""]
        ),
        2.0
    );
}

#[test]
fn warm_fetches_are_counted_apart_from_visitors() {
    let origin = origin();
    let edge = planning(&origin, "urls = [\"/a\", \"/b\"]").start();
    warm(&edge);
    assert_eq!(edge.metric("tero_requests_total", &[]), 0.0);
    assert_eq!(edge.metric("tero_origin_requests_total", &[]), 2.0);
}

#[test]
fn warmed_responses_survive_a_full_cache_until_they_are_used() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(3_600, "x".repeat(20_000)));
    let urls: Vec<_> = (0..5).map(|number| format!("/warm/{number}")).collect();
    let edge = planning(&origin, &format!("urls = {urls:?}"))
        .cache("memory = \"2MiB\"")
        .start();
    assert_counts(&warm(&edge), &[("fetched", 5)]);
    let mut client = edge.client();
    for number in 0..300 {
        client.send(&get(format!("/visited/{number}")));
    }
    for url in &urls {
        assert!(edge.get(url).cache_status().hit, "{url}");
    }
}

/// When a daily plan in New York comes due within these hours, as the ends of its windows of a
/// minute in local time. The clock advances by ten minutes at a time.
fn runs_in_new_york(schedule: &str, from: &str, hours: u64) -> Vec<String> {
    let origin = origin();
    let keys = format!(
        "urls = [\"/a\"]\nschedule = \"{schedule}\"\nzone = \"America/New_York\"\nwindow = \"1min\""
    );
    let edge = planning(&origin, &keys)
        .zone("America/New_York")
        .at(from)
        .start();
    let windows = || -> Vec<String> {
        let runs = runs(&edge).into_iter().rev();
        // The thread of plans may see the time late; the window begins when the plan was due.
        runs.filter(|run| run.state == RunState::Done)
            .map(|run| run.window_ends)
            .collect()
    };
    let mut over = 0;
    for _ in 0..hours * 6 {
        let plans = edge.call::<WarmPlans>(&[], &()).plans;
        let due = plans[0].next.as_ref().unwrap();
        edge.advance_secs(600);
        // The clock stands still while a run is active.
        if due
            .parse::<chrono::DateTime<chrono::FixedOffset>>()
            .unwrap()
            .timestamp()
            <= edge.clock().now().unix_secs()
        {
            over += 1;
            eventually("the run is over", || windows().len() >= over);
        }
    }
    windows()
}

#[test]
fn a_schedule_in_a_skipped_hour_runs_once_after_the_gap() {
    // The run of the next day shows that there is no other one before it.
    let runs = runs_in_new_york("30 2 * * *", "2027-03-14T01:00:00", 26);
    assert_eq!(
        runs,
        ["2027-03-14T03:01:00-04:00", "2027-03-15T02:31:00-04:00"]
    );
}

#[test]
fn a_schedule_in_a_repeated_hour_runs_once() {
    let runs = runs_in_new_york("30 1 * * *", "2026-11-01T00:00:00", 27);
    assert_eq!(
        runs,
        ["2026-11-01T01:31:00-04:00", "2026-11-02T01:31:00-05:00"]
    );
}

const MAP: &str = "<urlset><url><loc>http://www.example/a</loc></url></urlset>";

#[test]
fn a_fresh_sitemap_is_read_again_from_the_origin() {
    let origin = origin();
    let more = MAP.replace(
        "</urlset>",
        "<url><loc>http://www.example/b</loc></url></urlset>",
    );
    origin.on_in_turn(
        "/s.xml",
        [
            Reply::fresh(86_400, MAP).header("ETag", "\"1\""),
            Reply::fresh(86_400, more).header("ETag", "\"2\""),
            Reply::status(304).header("ETag", "\"2\""),
        ],
    );
    let edge = planning(&origin, "sitemap = \"/s.xml\"").start();
    assert_counts(&warm(&edge), &[("planned", 1)]);
    // A visitor has it from the store meanwhile.
    edge.get("/s.xml").assert_hit(MAP);
    assert_counts(&warm(&edge), &[("planned", 2)]);
    let asked = origin.requests("/s.xml");
    // A third run revalidates what the second has stored.
    assert_counts(&warm(&edge), &[("planned", 2)]);
    assert_eq!((asked, origin.requests("/s.xml")), (2, 3));
    let conditional = origin
        .asked("/s.xml")
        .last()
        .unwrap()
        .header("if-none-match");
    assert_eq!(conditional.as_deref(), Some("\"2\""));
}

#[test]
fn robots_txt_may_name_sitemaps_which_may_be_text() {
    let origin = origin();
    origin.on(
        "/robots.txt",
        Reply::ok("User-agent: *\nDisallow:\n\nSitemap: http://www.example/s.txt\n"),
    );
    origin.on(
        "/s.txt",
        Reply::ok("http://www.example/peluquería\nhttp://www.example/a\n"),
    );
    let edge = planning(&origin, "sitemap = \"/robots.txt\"").start();
    let report = warm(&edge);
    assert_eq!(report.state, RunState::Done, "{report:?}");
    assert_counts(&report, &[("planned", 2), ("fetched", 2)]);
    edge.get("/peluquer%C3%ADa").assert_hit("/peluquer%C3%ADa ");
}

#[test]
fn a_skipped_schedule_is_a_metric() {
    let origin = origin();
    let gate = Gate::new();
    origin.on("/a", Reply::fresh(60, "a").behind(&gate));
    let edge = planning(&origin, "urls = [\"/a\"]\nschedule = \"* * * * *\"")
        .at("2026-11-24T08:00:30")
        .start();
    let skipped = || edge.metric("tero_warm_skipped_total", &["plan"]);
    edge.advance_secs(30);
    origin.wait_for("/a", 1);
    assert_eq!(skipped(), 0.0);
    edge.advance_secs(60);
    eventually("one is skipped", || skipped() == 1.0);
    gate.open();
}

/// A site that takes any host, with a plan with these keys.
fn any_host(origin: &Origin, keys: &str) -> Result<Edge, String> {
    let text = planning(origin, &format!("urls = [\"/a\"]\n{keys}")).to_toml();
    let text = text.replace("hosts = [\"www.example\"]", "hosts = [\"*\"]");
    let config = tero_config::Config::parse(&text, "tero.toml", &std::env::temp_dir())
        .map_err(|errors| errors.to_string())?;
    tero_policy_host::check::check_policies(&config, &text).map_err(|errors| errors.to_string())?;
    Ok(Edge::from_toml(
        &text,
        "2026-11-24T08:00:00",
        tero_tests::ART,
    ))
}

#[test]
fn a_plan_names_the_host_of_a_site_that_takes_any_and_visitors_do_not() {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(3_600, asked.header("host").unwrap_or_default()));
    let refused = any_host(&origin, "").map(drop).unwrap_err();
    assert!(
        refused.contains("warm.site") && refused.contains("write `host`"),
        "{refused}"
    );
    let edge = any_host(&origin, "host = \"shop.example\"").unwrap();
    for _ in 0..20 {
        edge.send(&get("/x").host("evil.example"));
    }
    assert_counts(&warm(&edge), &[("fetched", 1)]);
    edge.send(&get("/a").host("shop.example"))
        .assert_hit("shop.example");
    let bad = planning(&origin, "urls = [\"/a\"]\nhost = \"other.example\"").to_toml();
    let config = tero_config::Config::parse(&bad, "tero.toml", &std::env::temp_dir()).unwrap();
    let errors = tero_policy_host::check::check_policies(&config, &bad).unwrap_err();
    assert!(
        errors
            .to_string()
            .contains("`other.example` is not a host of the site")
    );
}
