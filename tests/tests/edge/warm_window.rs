//! How plans treat stored responses, failing origins and bad sources; what they report afterwards;
//! and revalidation ahead.

use std::io::Read as _;

use tero_admin_api::{
    CancelWarmResponse, DryRunPage, RunState, RunTrigger, RunValue, StartWarmResponse,
};
use tero_tests::{Edge, Gate, Origin, Reply, eventually, folder, get, toml_string};

use crate::warming::{assert_counts, ended, origin, planning, report, runs, start, warm};

#[test]
fn only_responses_that_expire_within_the_window_are_refreshed() {
    let origin = Origin::start();
    origin.on("/short", Reply::fresh(3_600, "s").header("ETag", "\"s\""));
    origin.on("/long", Reply::fresh(36_000, "l"));
    let edge = planning(&origin, "urls = [\"/short\", \"/long\"]\nwindow = \"4h\"").start();
    edge.get("/short").assert_forwarded("uri-miss", "s");
    edge.get("/long").assert_forwarded("uri-miss", "l");
    edge.advance_secs(1_800);
    origin.on_each("/short", |asked, _| match asked.header("if-none-match") {
        Some(_) => Reply::status(304)
            .header("ETag", "\"s\"")
            .header("Cache-Control", "max-age=36000"),
        None => Reply::fresh(36_000, "s"),
    });
    assert_counts(
        &warm(&edge),
        &[("planned", 2), ("fetched", 1), ("fresh", 1), ("failed", 0)],
    );
    assert_eq!(
        origin.asked("/short")[1].header("if-none-match").as_deref(),
        Some("\"s\"")
    );
    assert_eq!(origin.requests("/long"), 1);
    edge.advance_secs(3_600);
    edge.get("/short").assert_hit("s");
    edge.get("/long").assert_hit("l");
    assert_eq!(origin.total(), 3);
    // The long response would expire before the end of the next window.
    edge.advance_secs(18_000);
    assert_counts(&warm(&edge), &[("fetched", 1), ("fresh", 1)]);
    assert_eq!(
        (origin.requests("/short"), origin.requests("/long")),
        (2, 2)
    );
}

#[test]
fn a_page_with_a_newer_lastmod_is_fetched_again() {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(360_000, asked.target.clone()));
    let sitemap = |changed: &str| {
        let entry = |page: &str, changed: &str| {
            format!("<url><loc>http://www.example/{page}</loc><lastmod>{changed}</lastmod></url>")
        };
        Reply::ok(format!(
            "<urlset>{}{}</urlset>",
            entry("a", changed),
            entry("b", "2026-11-01")
        ))
    };
    origin.on("/s.xml", sitemap("2026-11-02"));
    let edge = planning(&origin, "sitemap = \"/s.xml\"").start();
    assert_counts(&warm(&edge), &[("fetched", 2)]);
    edge.advance_secs(3_600);
    assert_counts(&warm(&edge), &[("fetched", 0), ("fresh", 2)]);
    origin.on("/s.xml", sitemap("2026-11-24T10:30:00-03:00"));
    assert_counts(&warm(&edge), &[("fetched", 1), ("fresh", 1)]);
    assert_eq!((origin.requests("/a"), origin.requests("/b")), (2, 1));
    assert_counts(&warm(&edge), &[("fetched", 0), ("fresh", 2)]);
    // A page whose `lastmod` is tomorrow has not changed yet.
    origin.on("/s.xml", sitemap("2026-11-25"));
    assert_counts(&warm(&edge), &[("fetched", 0), ("fresh", 2)]);
}

#[test]
fn warmed_responses_survive_a_full_cache_until_their_window_ends() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(36_000, "x".repeat(20_000)));
    let urls: Vec<_> = (0..5).map(|number| format!("/warm/{number}")).collect();
    let edge = planning(&origin, &format!("urls = {urls:?}\nwindow = \"4h\""))
        .cache("memory = \"2MiB\"")
        .start();
    // A response stored before the plan and refreshed by it is kept too.
    edge.get("/warm/0");
    edge.advance_secs(30_000);
    assert_counts(&warm(&edge), &[("fetched", 5), ("not_kept", 0)]);
    let flood = |from: usize| {
        let mut client = edge.client();
        for number in from..from + 300 {
            for _ in 0..3 {
                client.send(&get(format!("/visited/{number}")));
            }
        }
    };
    flood(0);
    assert!(edge.get("/warm/0").cache_status().hit);
    edge.advance_secs(4 * 3_600);
    eventually("the window ends", || report(&edge, 1).worth.is_some());
    flood(1_000);
    let hits = urls[1..]
        .iter()
        .filter(|url| edge.get(url).cache_status().hit)
        .count();
    assert!(
        hits < 4,
        "nobody wanted them, and there was no room: {hits}"
    );
}

#[test]
fn a_plan_reports_responses_that_warm_memory_cannot_keep() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(36_000, "x".repeat(20_000)));
    let urls: Vec<_> = (0..10).map(|number| format!("/{number}")).collect();
    let edge = planning(&origin, &format!("urls = {urls:?}"))
        .cache("memory = \"2MiB\"\nwarm_memory = \"100KiB\"")
        .start();
    let report = warm(&edge);
    assert_counts(&report, &[("fetched", 10), ("not_kept", 6)]);
    assert!(urls.iter().all(|url| edge.get(url).cache_status().hit));
}

#[test]
fn plans_respect_retry_after_and_visitors_get_stored_responses() {
    let origin = Origin::start();
    for path in ["/a", "/b"] {
        origin.on(path, Reply::fresh(3_600, "old"));
    }
    let edge = planning(
        &origin,
        "urls = [\"/a\", \"/b\"]\nconcurrency = 1\nretries = 3",
    )
    .start();
    edge.get("/a");
    edge.get("/b");
    let busy = || Reply::status(503).header("Retry-After", "120");
    for path in ["/a", "/b"] {
        origin.on_in_turn(path, [busy(), Reply::fresh(36_000, "new")]);
    }
    let began = edge.clock().now();
    let run = start(&edge);
    origin.wait_for("/a", 2);
    edge.get("/a").assert_hit("old");
    edge.advance_until(900, || report(&edge, run).state == RunState::Done);
    let report = ended(&edge, run);
    assert_counts(&report, &[("fetched", 2), ("failed", 0), ("retried", 2)]);
    assert!(
        edge.clock().now().since(began).as_secs() >= 240,
        "{report:?}"
    );
    edge.get("/a").assert_hit("new");
}

#[test]
fn a_429_slows_a_plan_down_too() {
    let origin = origin();
    origin.on_in_turn(
        "/a",
        [
            Reply::status(429).header("Retry-After", "60"),
            Reply::fresh(3_600, "a"),
        ],
    );
    let edge = planning(&origin, "urls = [\"/a\"]").start();
    let began = edge.clock().now();
    let run = start(&edge);
    edge.advance_until(200, || report(&edge, run).state == RunState::Done);
    assert_counts(&ended(&edge, run), &[("fetched", 1), ("retried", 1)]);
    assert!(edge.clock().now().since(began).as_secs() >= 60);
}

#[test]
fn a_plan_leaves_fetches_for_visitors() {
    let origin = Origin::start();
    let gate = Gate::new();
    origin.otherwise({
        let gate = gate.clone();
        move |asked| {
            if asked.target.starts_with("/v") {
                Reply::fresh(60, "v").behind(&gate)
            } else {
                Reply::fresh(60, "w")
            }
        }
    });
    let edge = planning(&origin, "urls = [\"/w\"]")
        .site("max_fetches = 4")
        .start();
    let mut visitors: Vec<_> = (0..3).map(|_| edge.client()).collect();
    for (number, visitor) in visitors.iter_mut().enumerate() {
        visitor.start(&get(format!("/v/{number}")));
    }
    gate.wait_for_arrivals(3);
    let run = start(&edge);
    let state = || report(&edge, run).state;
    eventually("it would fetch", || state() == RunState::Fetching);
    for _ in 0..20 {
        edge.advance_secs(1);
    }
    assert_eq!(
        origin.requests("/w"),
        0,
        "a quarter of four is always the visitors'"
    );
    gate.open();
    for visitor in &mut visitors {
        let mut answer = visitor.head();
        visitor.rest(&mut answer);
    }
    edge.advance_until(60, || state() == RunState::Done);
    assert_eq!(origin.requests("/w"), 1);
}

#[test]
fn runs_are_cancelled_by_the_name_of_their_plan() {
    for cancel in [("POST", "/warm/plan/cancel"), ("DELETE", "/warm/plan")] {
        let origin = origin();
        let gate = Gate::new();
        origin.on("/a", Reply::fresh(60, "a").behind(&gate));
        let edge = planning(&origin, "urls = [\"/a\"]").start();
        let ask = || edge.admin(&tero_tests::Request::new(cancel.0, cancel.1).body(""));
        assert_eq!(ask().status, 409);
        let run = start(&edge);
        origin.wait_for("/a", 1);
        let cancelled = ask();
        assert_eq!(
            (cancelled.status, cancelled.read()),
            (
                200,
                CancelWarmResponse {
                    run,
                    cancelled: true
                }
            )
        );
        assert_eq!(ended(&edge, run).state, RunState::Cancelled);
        gate.open();
        let unknown =
            tero_tests::Request::new(cancel.0, cancel.1.replace("plan", "other")).body("");
        assert_eq!(edge.admin(&unknown).status, 404);
    }
}

#[test]
fn a_dry_run_lists_pages_without_fetching() {
    let origin = origin();
    let edge = planning(&origin, "urls = [\"/a\", \"/b\"]\nwindow = \"30min\"").start();
    edge.get("/a");
    let started = edge.admin_post("/warm/plan?dry_run=true", "");
    assert_eq!(started.status, 202);
    let report = ended(&edge, started.read::<StartWarmResponse>().run);
    assert_counts(&report, &[("planned", 2), ("fresh", 1), ("fetched", 0)]);
    let expected = DryRunPage {
        url: "www.example/b".to_owned(),
        variant: None,
        priority: 200,
        because: "absent".to_owned(),
    };
    assert_eq!(report.would_fetch, [expected]);
    assert_eq!(origin.total(), 1);
    assert!(runs(&edge)[0].would_fetch.is_empty());
    assert_eq!(edge.metric("tero_warm_urls_total", &[]), 0.0);
    assert_eq!(edge.admin_post("/warm/plan?dry=1", "").status, 400);
}

#[test]
fn the_value_of_a_run_is_reported_after_its_window() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(36_000, "0123456789"));
    let edge = planning(&origin, "urls = [\"/a\", \"/b\", \"/c\"]\nwindow = \"1h\"").start();
    let run = warm(&edge).id;
    let mut client = edge.client();
    for (target, times) in [("/a", 5), ("/b", 1), ("/other", 5)] {
        for _ in 0..times {
            client.send(&get(target));
        }
    }
    assert_eq!(report(&edge, run).worth, None);
    edge.advance_secs(3_600);
    let report = || report(&edge, run);
    eventually("the window ends", || report().worth.is_some());
    let worth = RunValue {
        window_hits: 10,
        hits_given: 6,
        share_of_hits: Some(0.6),
        unused: 1,
        wasted_bytes: 10,
    };
    assert_eq!(report().worth, Some(worth));
    assert_counts(
        &report(),
        &[("used_later", 2), ("used_bytes", 20), ("bytes", 30)],
    );
    for (metric, value) in [
        ("tero_warm_used_total", 2.0),
        ("tero_warm_bytes_total", 30.0),
        ("tero_warm_wasted_bytes_total", 10.0),
        ("tero_warm_window_hits_total", 10.0),
        ("tero_warm_hits_given_total", 6.0),
    ] {
        assert_eq!(edge.metric(metric, &["plan=\"plan\""]), value, "{metric}");
    }
    assert_eq!(
        edge.metric("tero_warm_runs_total", &["plan=\"plan\"", "state=\"done\""]),
        1.0
    );
    assert!(edge.metric("tero_warm_last_done_timestamp_seconds", &["plan=\"plan\""]) > 1.7e9);
}

#[test]
fn popularity_and_missed_runs_survive_a_restart() {
    let origin = origin();
    let state = folder();
    let keys = "popular = 1\nschedule = \"0 9 * * *\"\nzone = \"America/Argentina/Buenos_Aires\"";
    let builder = planning(&origin, keys).state_dir(&state.path().join("state"));
    let edge = builder.clone().at("2026-11-23T09:30:00").start();
    for _ in 0..10 {
        edge.get("/wanted");
    }
    edge.get("/rare");
    drop(edge);
    // A week later, at the same hour of the week, an hour late.
    let edge = builder.at("2026-11-30T10:00:00").start();
    eventually("the run that was missed begins", || !runs(&edge).is_empty());
    let report = ended(&edge, 1);
    assert_eq!(report.trigger, RunTrigger::Missed);
    assert_eq!(report.window_ends, "2026-11-30T13:00:00-03:00");
    assert_counts(&report, &[("fetched", 1)]);
    edge.get("/wanted").assert_hit("/wanted ");
}

#[test]
fn ready_after_delays_readiness_until_the_plan_ends_or_its_limit() {
    let origin = origin();
    let gate = Gate::new();
    origin.on("/a", Reply::fresh(60, "a").behind(&gate));
    let builder = planning(&origin, "urls = [\"/a\"]")
        .admin("ready_after = [\"plan\"]\nready_within = \"10min\"");
    let edge = builder.start();
    origin.wait_for("/a", 1);
    let refused = edge.admin_get("/ready");
    assert_eq!(refused.status, 503);
    assert!(
        refused.text().contains("`plan` has not run yet"),
        "{}",
        refused.text()
    );
    // Visitors are served meanwhile.
    assert_eq!(edge.get("/b").status, 200);
    gate.open();
    eventually("it is ready", || edge.admin_get("/ready").status == 200);
    assert_eq!(runs(&edge)[0].trigger, RunTrigger::Start);

    let gate = Gate::new();
    origin.on("/a", Reply::fresh(60, "a").behind(&gate));
    let late = builder.start();
    origin.wait_for("/a", 2);
    late.advance_secs(599);
    assert_eq!(late.admin_get("/ready").status, 503);
    late.advance_secs(1);
    assert_eq!(late.admin_get("/ready").status, 200);
    gate.open();
}

#[test]
fn readiness_waits_for_the_retry_of_a_sitemap_that_failed() {
    let origin = origin();
    let map = "<urlset><url><loc>http://www.example/a</loc></url></urlset>";
    origin.on_in_turn(
        "/s.xml",
        [Reply::status(503), Reply::status(503), Reply::ok(map)],
    );
    let builder = planning(&origin, "sitemap = \"/s.xml\"\nretries = 0")
        .admin("ready_after = [\"plan\"]\nready_within = \"10min\"");
    let edge = builder.start();
    let is_ready = |edge: &Edge| edge.admin_get("/ready").status == 200;
    // Again after five seconds, and after ten more.
    for (run, wait) in [(1, 5), (2, 10)] {
        eventually("the run fails", || {
            runs(&edge).len() == run && runs(&edge)[0].state == RunState::Failed
        });
        assert!(!is_ready(&edge));
        // The thread notes the end of the run after the report tells it.
        eventually("the retry is planned", || {
            edge.metric("tero_warm_runs_total", &["plan", "failed"]) == run as f64
        });
        edge.advance_secs(wait);
    }
    eventually("it is ready", || is_ready(&edge));
    assert_eq!(origin.requests("/a"), 1);

    // A sitemap that fails for good delays readiness for no longer than ready_within.
    let origin = Origin::start();
    origin.on("/s.xml", Reply::status(404));
    let edge = planning(&origin, "sitemap = \"/s.xml\"")
        .admin("ready_after = [\"plan\"]\nready_within = \"1min\"")
        .start();
    edge.advance_secs(59);
    assert!(!is_ready(&edge));
    edge.advance_secs(1);
    assert!(is_ready(&edge));
}

#[test]
fn other_plans_do_not_change_readiness() {
    let origin = origin();
    origin.on("/s.xml", Reply::status(404));
    let other = "[[warm]]\nname = \"other\"\nsite = \"site\"\nurls = [\"/b\"]";
    let edge = planning(&origin, "sitemap = \"/s.xml\"")
        .section(other)
        .admin("ready_after = [\"other\"]")
        .start();
    eventually("it is ready", || edge.admin_get("/ready").status == 200);
    let run = start(&edge);
    assert_eq!(ended(&edge, run).state, RunState::Failed);
    assert_eq!(edge.admin_get("/ready").status, 200);
}

/// Compresses with gzip.
fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    flate2::read::GzEncoder::new(bytes, flate2::Compression::best())
        .read_to_end(&mut packed)
        .unwrap();
    packed
}

#[test]
fn gzipped_sitemaps_are_read_with_and_without_content_encoding() {
    let sitemap = packed(b"<urlset><url><loc>http://www.example/a</loc></url></urlset>");
    for reply in [
        Reply::ok(&sitemap),
        Reply::ok(&sitemap).header("Content-Encoding", "gzip"),
    ] {
        let origin = origin();
        origin.on("/sitemap.xml.gz", reply);
        let edge = planning(&origin, "sitemap = [\"/sitemap.xml.gz\"]").start();
        assert_counts(&warm(&edge), &[("planned", 1), ("fetched", 1)]);
        edge.get("/a").assert_hit("/a ");
    }
}

#[test]
fn bad_sitemaps_are_reported_and_the_plan_continues() {
    let bomb = packed(&vec![b' '; 20 << 20]);
    let far = "<urlset><url><loc>http://elsewhere.example/a</loc></url></urlset>";
    let index =
        "<sitemapindex><sitemap><loc>http://elsewhere.example/s.xml</loc></sitemap></sitemapindex>";
    for (reply, expected) in [
        (
            Reply::ok("<!DOCTYPE html><html><body>not found</body></html>"),
            "is HTML, not a sitemap",
        ),
        (
            Reply::ok("<html><body>not found</body></html>"),
            "is <html>, not a sitemap",
        ),
        (Reply::ok(&bomb), "decompresses to more than 1048576 bytes"),
        (
            Reply::ok("x".repeat(2 << 20)),
            "is larger than 1048576 bytes",
        ),
        (
            Reply::raw_then_flood(
                "HTTP/1.1 200 OK\r\n\r\n<urlset>",
                "<url><loc>http://www.example/</loc></url>",
            ),
            "is larger than 1048576 bytes",
        ),
        (
            Reply::ok("x").header("Content-Encoding", "br"),
            "is compressed with br",
        ),
        (Reply::status(404), "was answered with 404"),
        // They are read, and name nothing of this site.
        (Reply::ok(far), "names 1 pages that are not on this site"),
        (
            Reply::ok(index),
            "elsewhere.example/s.xml is not on this site",
        ),
    ] {
        let origin = origin();
        origin.on("/s.xml", reply);
        let edge = planning(
            &origin,
            "sitemap = \"/s.xml\"\nurls = [\"/a\"]\nmax_sitemap_bytes = \"1MiB\"",
        )
        .start();
        let report = warm(&edge);
        let is_read = expected.contains("not on this site");
        let state = if is_read {
            RunState::Done
        } else {
            RunState::Failed
        };
        assert_eq!(
            (report.state, report.sitemaps_failed),
            (state, u64::from(!is_read)),
            "{report:?}"
        );
        assert_counts(&report, &[("fetched", 1)]);
        assert!(
            report.notes.concat().contains(expected),
            "{expected} is not in {report:?}"
        );
        edge.get("/a").assert_hit("/a ");
    }
}

#[test]
fn an_endless_sitemap_ends_at_its_timeout() {
    for reply in [
        Reply::silence(),
        Reply::raw_then_silence("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n<urlset>"),
    ] {
        let origin = origin();
        origin.on("/s.xml", reply);
        // The timeouts of the origin are longer.
        let site = "response_timeout = \"5min\"\nbody_timeout = \"5min\"";
        let edge = planning(
            &origin,
            "sitemap = \"/s.xml\"\nurls = [\"/a\"]\nsitemap_timeout = \"20s\"",
        )
        .site(site)
        .start();
        let run = start(&edge);
        origin.wait_for("/s.xml", 1);
        edge.advance_until(60, || report(&edge, run).state == RunState::Failed);
        let report = ended(&edge, run);
        assert_counts(&report, &[("fetched", 1)]);
        // It was tried twice.
        assert_eq!(origin.requests("/s.xml"), 2);
        assert!(
            report.notes.concat().contains("within sitemap_timeout"),
            "{report:?}"
        );
    }
}

#[test]
fn pages_listed_in_files_are_fetched() {
    let origin = origin();
    let folder = folder();
    let file = folder.path().join("pages.txt");
    std::fs::write(&file, "# shops\n/a\n/b?c=1\n").unwrap();
    let keys = format!("url_files = [{}]", toml_string(&file.display().to_string()));
    let edge = planning(&origin, &keys).start();
    assert_counts(&warm(&edge), &[("planned", 2), ("fetched", 2)]);
    edge.get("/b?c=1").assert_hit("/b?c=1 ");
}

#[test]
fn private_pages_and_errors_are_never_popular() {
    let origin = origin();
    origin.on(
        "/private",
        Reply::fresh(60, "p").header("Cache-Control", "private"),
    );
    origin.on(
        "/gone",
        Reply::status(404).header("Cache-Control", "max-age=60"),
    );
    let edge = planning(&origin, "popular = 10").start();
    for target in ["/private", "/gone", "/a"] {
        for _ in 0..5 {
            edge.get(target);
        }
    }
    edge.advance_secs(3_000);
    let report = warm(&edge);
    assert_counts(&report, &[("planned", 1), ("failed", 0), ("not_stored", 0)]);
}

/// An edge that revalidates responses in the last ten seconds of their lifetime of a minute.
fn refreshing(origin: &Origin, keys: &str) -> Edge {
    Edge::before(origin)
        .site(&format!(
            "refresh_ahead = {{ before = \"10s\", min_hits = 3, {keys} }}"
        ))
        .start()
}

/// Lets the edge mark the stored responses that expire soon.
fn look_ahead(edge: &Edge) {
    edge.advance_secs(1);
    // The marking thread does not report that it has run. These requests give it the time.
    for _ in 0..20 {
        edge.admin_get("/health");
        std::thread::yield_now();
    }
}

#[test]
fn only_popular_responses_are_revalidated_ahead() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(60, "x").header("ETag", "\"x\""));
    let edge = refreshing(&origin, "share = 0.9");
    let mut client = edge.client();
    for (target, times) in [("/often", 5), ("/rare", 2)] {
        for _ in 0..times {
            client.send(&get(target));
        }
    }
    edge.advance_secs(51);
    look_ahead(&edge);
    // The request that starts the revalidation does not wait for it.
    client.send(&get("/often")).assert_hit("x");
    client.send(&get("/rare")).assert_hit("x");
    origin.wait_for("/often", 2);
    assert!(origin.asked("/often")[1].header("if-none-match").is_some());
    eventually("it is stored", || {
        edge.metric("tero_refresh_ahead_total", &["result=\"refreshed\""]) == 1.0
    });
    edge.advance_secs(20);
    client.send(&get("/often")).assert_hit("x");
    assert_eq!(
        (origin.requests("/often"), origin.requests("/rare")),
        (2, 1)
    );
}

#[test]
fn revalidation_ahead_keeps_to_its_share_minimum_lifetime_and_tags() {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let secs = if asked.target.starts_with("/short") {
            20
        } else {
            60
        };
        let tag = if asked.target.starts_with("/tagged") {
            "\"pages\""
        } else {
            "\"others\""
        };
        Reply::fresh(secs, "x").header("Cache-Groups", tag)
    });
    let often = |edge: &Edge, targets: &[String]| {
        let mut client = edge.client();
        for target in targets.iter().cycle().take(targets.len() * 5) {
            client.send(&get(target));
        }
    };
    let pages: Vec<String> = (0..8).map(|number| format!("/{number}")).collect();
    // After eight fetches, a share of a fifth allows two more.
    let edge = refreshing(&origin, "share = 0.2");
    often(&edge, &pages);
    edge.advance_secs(51);
    look_ahead(&edge);
    often(&edge, &pages);
    eventually("two are revalidated", || {
        edge.metric("tero_refresh_ahead_total", &["result=\"refreshed\""]) == 2.0
    });
    assert_eq!(
        edge.metric("tero_refresh_ahead_total", &["result=\"held_back\""]),
        6.0
    );
    assert_eq!(origin.total(), 10);

    let edge = refreshing(&origin, "share = 0.9, tags = [\"pages\"]");
    let pages = ["/tagged", "/other", "/short"].map(str::to_owned);
    often(&edge, &pages);
    edge.advance_secs(15);
    look_ahead(&edge);
    often(&edge, &pages);
    edge.advance_secs(36);
    look_ahead(&edge);
    often(&edge, &["/tagged".to_owned(), "/other".to_owned()]);
    origin.wait_for("/tagged", 2);
    assert_eq!(
        (origin.requests("/other"), origin.requests("/short")),
        (1, 1)
    );
}

#[test]
fn max_watched_limits_revalidation_ahead() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(60, "x"));
    let edge = refreshing(&origin, "max_watched = 2");
    for number in 0..5 {
        edge.get(&format!("/{number}"));
    }
    eventually("they are stored", || {
        edge.metric("tero_refresh_ahead_total", &["result=\"unwatched\""]) == 3.0
    });
}

#[test]
fn all_responses_near_expiry_are_marked() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(60, "x"));
    let edge = refreshing(&origin, "share = 0.9");
    let mut client = edge.client();
    let mut ask_for_all = || {
        (0..600).for_each(|number| assert_eq!(client.send(&get(format!("/{number}"))).text(), "x"))
    };
    (0..5).for_each(|_| ask_for_all());
    edge.advance_secs(51);
    look_ahead(&edge);
    let told = |result: &str| {
        edge.metric(
            "tero_refresh_ahead_total",
            &[&format!("result=\"{result}\"")],
        )
    };
    // The marking thread runs meanwhile.
    let all_told = (0..100).any(|_| {
        ask_for_all();
        told("refreshed") + told("held_back") == 600.0
    });
    assert!(all_told, "each was taken up or held back");
}

#[test]
fn a_failing_origin_stops_revalidation_ahead() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(60, "x"));
    let edge = refreshing(&origin, "share = 0.9");
    let mut client = edge.client();
    let mut often = |targets: &[&str]| {
        for target in targets.iter().cycle().take(targets.len() * 5) {
            assert_eq!(client.send(&get(*target)).text(), "x");
        }
    };
    often(&["/a", "/b"]);
    origin.otherwise(|_| Reply::status(503).header("Retry-After", "60"));
    edge.advance_secs(51);
    look_ahead(&edge);
    often(&["/a"]);
    eventually("it fails", || {
        edge.metric("tero_refresh_ahead_total", &["result=\"failed\""]) == 1.0
    });
    often(&["/b"]);
    assert_eq!(
        edge.metric("tero_refresh_ahead_total", &["result=\"held_back\""]),
        1.0
    );
    assert_eq!(origin.total(), 3);
}

#[test]
fn a_plan_has_its_counters_before_its_first_run() {
    let origin = Origin::start();
    let edge = planning(&origin, "urls = [\"/a\"]").start();
    let text = edge.admin_get("/metrics").text();
    // For Prometheus, a counter that begins with the first failure has not grown.
    for state in ["done", "deadline-passed", "cancelled", "failed"] {
        let zero = format!("tero_warm_runs_total{{plan=\"plan\",state=\"{state}\"}} 0\n");
        assert!(text.contains(&zero), "{state}");
    }
    assert!(text.contains("tero_warm_skipped_total{plan=\"plan\"} 0\n"));
}
