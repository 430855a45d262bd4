//! Whether and until when a response is kept: admission, lifetimes of errors, instants of an end.

use crate::crawlers::assert_shared;
use tero_tests::{Edge, EdgeBuilder, Origin, Reply, get};

use super::{deciding, echo};

/// The edge starts then.
const START: u64 = 1_795_525_200;

fn ending(origin: &Origin, how: &str, after_secs: u64) -> EdgeBuilder {
    let at = START + after_secs;
    deciding(
        origin,
        &format!("on_response = [{{ path = \"/\", {how} = {at} }}]"),
    )
}

fn origin_of_an_hour() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| match asked.header("if-none-match") {
        Some(_) => Reply::status(304).header("Cache-Control", "max-age=3600"),
        None => Reply::fresh(3_600, &asked.target).header("ETag", "\"1\""),
    });
    origin
}

#[track_caller]
fn max_age(edge: &Edge, target: &str) -> String {
    let answer = edge.get(target);
    answer.header("cache-control").unwrap_or_default()
}

#[test]
fn a_crawler_is_served_without_keeping_and_the_next_visitor_stores() {
    let origin = echo();
    let settings = r#"on_response = [{ path = "/", agent = "bot", admit = false }]"#;
    let edge = deciding(&origin, settings).start();
    let bot = get("/a").header("User-Agent", "a bot");
    for asked in 1..3 {
        let answer = edge.send(&bot);
        answer.assert_forwarded("uri-miss", "/a");
        answer.assert_detail("not-admitted");
        assert_eq!(
            (answer.cache_status().stored, origin.total()),
            (false, asked)
        );
    }
    let visitor = edge.get("/a");
    visitor.assert_forwarded("uri-miss", "/a");
    assert!(visitor.cache_status().stored);
    edge.get("/a").assert_hit("/a");
    // What is stored is for the crawler, too.
    edge.send(&bot).assert_hit("/a");
    assert_eq!(origin.total(), 3);
}

#[test]
fn visitors_who_wait_for_a_crawlers_fetch_share_one_of_their_own() {
    let origin = echo();
    let settings = r#"on_response = [{ path = "/", agent = "bot", admit = false }]"#;
    let edge = deciding(&origin, settings).start();
    origin.hold();
    let mut bot = edge.client();
    bot.start(&get("/a").header("User-Agent", "a bot"));
    origin.wait_for("/a", 1);
    let mut visitors: Vec<_> = (0..3)
        .map(|_| {
            let mut visitor = edge.client();
            visitor.start(&get("/a"));
            visitor
        })
        .collect();
    let clients = visitors.iter_mut().chain([&mut bot]);
    assert_shared(&edge, &origin, clients);
}

#[test]
fn a_crawler_freshens_what_is_stored() {
    let origin = origin_of_an_hour();
    let settings = r#"on_response = [{ path = "/", agent = "bot", admit = false }]"#;
    let edge = deciding(&origin, settings).start();
    edge.get("/a").assert_forwarded("uri-miss", "/a");
    edge.advance_secs(3_600);
    let bot = edge.send(&get("/a").header("User-Agent", "a bot"));
    bot.assert_forwarded("stale", "/a");
    edge.get("/a").assert_hit("/a");
    assert_eq!(origin.total(), 2);
}

#[test]
fn errors_have_a_lifetime_of_their_own() {
    let origin = Origin::start();
    origin.otherwise(|asked| match asked.path() {
        "/page" => Reply::ok("page").header("ETag", "\"1\""),
        "/missing" => Reply::status(404),
        _ => Reply::status(500),
    });
    let settings = r#"on_response = [{ path = "/", ttl = 60, error_ttl = 5 }]"#;
    let edge = deciding(&origin, settings).start();
    for (path, lifetime) in [("/page", 60), ("/missing", 5), ("/failing", 5)] {
        assert!(edge.get(path).cache_status().stored, "{path}");
        assert_eq!(edge.get(path).cache_status().ttl, Some(lifetime), "{path}");
    }
    edge.advance_secs(4);
    assert!(edge.get("/failing").cache_status().hit);
    edge.advance_secs(1);
    assert!(!edge.get("/failing").cache_status().hit);
    assert!(!edge.get("/missing").cache_status().hit);
    assert!(edge.get("/page").cache_status().hit);
}

#[test]
fn a_response_is_purged_at_its_instant_and_not_even_served_stale() {
    let origin = origin_of_an_hour();
    let edge = ending(&origin, "purge_at", 100).start();
    edge.get("/a").assert_forwarded("uri-miss", "/a");
    edge.advance_secs(99);
    let last = edge.get("/a");
    last.assert_hit("/a");
    assert_eq!(last.cache_status().ttl, Some(1));
    origin.stop();
    edge.advance_secs(1);
    edge.get("/a").assert_failed(502, "");
    origin.start_again();
    edge.advance_secs(60);
    // It is not validated either: it is as if nothing were stored.
    edge.get("/a").assert_forwarded("uri-miss", "/a");
    assert_eq!(
        origin.asked("/a").pop().unwrap().header("if-none-match"),
        None
    );
}

#[test]
fn a_response_is_stale_at_its_instant_and_bridges_a_failing_origin() {
    let origin = origin_of_an_hour();
    let edge = ending(&origin, "stale_at", 100).start();
    edge.get("/a").assert_forwarded("uri-miss", "/a");
    edge.advance_secs(99);
    edge.get("/a").assert_hit("/a");
    edge.advance_secs(1);
    origin.stop();
    let stale = edge.get("/a");
    assert_eq!((stale.status, stale.text().as_str()), (200, "/a"));
    assert!(stale.cache_status().ttl <= Some(0), "{stale:?}");
}

#[test]
fn an_end_after_the_lifetime_changes_nothing_before_it() {
    let origin = origin_of_an_hour();
    let edge = ending(&origin, "purge_at", 3_700).start();
    edge.get("/a").assert_forwarded("uri-miss", "/a");
    assert_eq!(max_age(&edge, "/a"), "max-age=3600");
    edge.advance_secs(3_600);
    // Validated, within its time.
    let answer = edge.get("/a");
    answer.assert_forwarded("stale", "/a");
    assert_eq!(answer.cache_status().fwd_status, Some(304));
    // The instant holds for what the 304 has freshened.
    edge.advance_secs(99);
    edge.get("/a").assert_hit("/a");
    edge.advance_secs(1);
    edge.get("/a").assert_forwarded("uri-miss", "/a");
}

#[test]
fn browsers_keep_no_response_beyond_its_instant() {
    for how in ["purge_at", "stale_at"] {
        let origin = origin_of_an_hour();
        let edge = ending(&origin, how, 100).start();
        assert_eq!(max_age(&edge, "/a"), "max-age=100", "{how}");
        edge.advance_secs(60);
        let hit = edge.get("/a");
        // A browser subtracts the age.
        assert_eq!(
            (hit.age(), hit.header("cache-control").as_deref()),
            (Some(60), Some("max-age=100"))
        );
    }
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(50, "short"));
    let edge = ending(&origin, "purge_at", 100).start();
    assert_eq!(max_age(&edge, "/a"), "max-age=50");
    assert_eq!(max_age(&edge, "/a"), "max-age=50");
}

#[test]
fn a_warmed_response_ends_at_its_instant() {
    let origin = origin_of_an_hour();
    let at = START + 100;
    let builder = crate::warming::planning(&origin, "urls = [\"/a\"]").at("2026-11-24T10:00:00");
    let settings = format!("on_response = [{{ path = \"/\", purge_at = {at} }}]");
    let edge = super::with_policy(builder, "rules", &settings).start();
    crate::warming::warm(&edge);
    edge.get("/a").assert_hit("/a");
    edge.advance_secs(100);
    edge.get("/a").assert_forwarded("uri-miss", "/a");
}
