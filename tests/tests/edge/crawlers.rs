//! Crawlers: what a site keeps of what they fetch.

use tero_tests::{Client, Edge, EdgeBuilder, Origin, Reply, Request, get, guests};

const CRAWLER: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| match asked.header("if-none-match") {
        Some(_) => Reply::status(304).header("Cache-Control", "max-age=3600"),
        None => Reply::fresh(3_600, &asked.target).header("ETag", "\"1\""),
    });
    origin
}

fn serving(origin: &Origin) -> EdgeBuilder {
    Edge::before(origin).site("crawlers = \"serve\"")
}

/// Lets the origin answer: all of these clients get the page `/a` by at most two fetches more, and it
/// is stored then.
pub(crate) fn assert_shared<'c>(
    edge: &Edge,
    origin: &Origin,
    clients: impl Iterator<Item = &'c mut Client>,
) {
    origin.release();
    for client in clients {
        let mut answer = client.head();
        client.rest(&mut answer);
        assert_eq!((answer.status, answer.text().as_str()), (200, "/a"));
    }
    assert!(origin.total() <= 3, "{}", origin.total());
    edge.get("/a").assert_hit("/a");
}

fn crawl(target: &str) -> Request {
    get(target).header("User-Agent", CRAWLER)
}

#[test]
fn a_crawler_is_served_and_its_response_is_not_kept() {
    let origin = origin();
    let edge = serving(&origin).start();
    for asked in 1..3 {
        let answer = edge.send(&crawl("/a"));
        answer.assert_forwarded("uri-miss", "/a");
        answer.assert_detail("crawler");
        assert_eq!(
            (answer.cache_status().stored, origin.total()),
            (false, asked)
        );
    }
    assert!(edge.get("/a").cache_status().stored);
    edge.get("/a").assert_hit("/a");
    // What is stored is for crawlers, too.
    edge.send(&crawl("/a")).assert_hit("/a");
    assert_eq!(origin.total(), 3);
}

#[test]
fn without_the_rule_crawlers_are_like_others() {
    let origin = origin();
    for builder in [
        Edge::before(&origin),
        Edge::before(&origin).site("crawlers = \"admit\""),
    ] {
        let edge = builder.start();
        assert!(edge.send(&crawl("/a")).cache_status().stored);
        edge.get("/a").assert_hit("/a");
    }
}

#[test]
fn a_crawler_freshens_what_is_stored() {
    let origin = origin();
    let edge = serving(&origin).start();
    edge.get("/a").assert_forwarded("uri-miss", "/a");
    edge.advance_secs(3_600);
    edge.send(&crawl("/a")).assert_forwarded("stale", "/a");
    edge.get("/a").assert_hit("/a");
    assert_eq!(origin.total(), 2);
}

#[test]
fn visitors_who_wait_for_a_crawlers_fetch_share_one_that_is_kept() {
    let origin = origin();
    let edge = serving(&origin).start();
    origin.hold();
    let mut crawler = edge.client();
    crawler.start(&crawl("/a"));
    origin.wait_for("/a", 1);
    let mut others: Vec<_> = [get("/a"), get("/a"), crawl("/a")]
        .iter()
        .map(|request| {
            let mut client = edge.client();
            client.start(request);
            client
        })
        .collect();
    let clients = others.iter_mut().chain([&mut crawler]);
    assert_shared(&edge, &origin, clients);
}

#[test]
fn a_policy_goes_before_the_rule() {
    let origin = origin();
    let module = guests::deciding_path().display().to_string();
    let settings = "[policy.settings]\non_response = [{ path = \"/kept\", admit = true }]";
    let edge = serving(&origin).policy("rules", &module, settings).start();
    assert!(edge.send(&crawl("/kept/a")).cache_status().stored);
    edge.send(&crawl("/b")).assert_detail("crawler");
}

#[test]
fn explain_names_the_rule() {
    let origin = origin();
    let edge = serving(&origin).start();
    let asked = |agent: &str| {
        let body = format!(
            r#"{{"url": "http://www.example/a", "headers": {{"User-Agent": "{agent}"}}, "response": {{"headers": {{"Cache-Control": "max-age=60"}}}}}}"#
        );
        edge.admin_post("/explain", &body).text()
    };
    assert!(asked(CRAWLER).contains("keeps its response out of the store"));
    assert!(!asked("Mozilla/5.0 (X11; Linux x86_64) Firefox/145.0").contains("crawlers"));
}
