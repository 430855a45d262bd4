//! The dashboard, the stream that it listens to, and the figures of the week that it shows.

mod browser;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tero_admin_api::endpoints::Week;
use tero_tests::{Client, Edge, Origin, Reply, Request, SetWhenDropped, eventually, get};

const TOKEN: &str = "a-token-for-the-tests";
const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";

fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(600, &asked.target));
    origin
}

/// An edge whose site asks a policy that gives a reason.
fn ruled(origin: &Origin) -> Edge {
    let settings = "[policy.settings]\nversion = 3\nrules = [{ name = \"pages\", match = [\"/*\"], ttl = 600 }]\n\
                    [policy.settings.variants.phone]\ndevices = [\"mobile\"]";
    Edge::before(origin)
        .policy("rules", "builtin:json-rules", settings)
        .start()
}

/// A listener to the stream of an edge.
struct Listener(Client, Vec<u8>);

impl Listener {
    fn begin(edge: &Edge, query: &str) -> Listener {
        let mut client = Client::connect(edge.admin_address());
        client.start(&get(format!("/live{query}")).host("localhost"));
        let head = client.head();
        assert_eq!(head.status, 200, "{head:?}");
        let kind = head.header("content-type");
        assert_eq!(kind.as_deref(), Some("application/x-ndjson"));
        Listener(client, Vec::new())
    }

    /// The next line, for which the clock is turned.
    fn line(&mut self, edge: &Edge) -> Value {
        serde_json::from_slice(&self.bytes(edge)).unwrap()
    }

    /// Its bytes.
    fn bytes(&mut self, edge: &Edge) -> Vec<u8> {
        let has_come = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _ending = SetWhenDropped(&has_come);
            scope.spawn(|| {
                edge.advance_until_true(&has_come);
            });
            loop {
                if let Some(end) = self.1.iter().position(|byte| *byte == b'\n') {
                    break self.1.drain(..=end).collect::<Vec<u8>>();
                }
                let piece = self.0.piece().expect("the stream goes on");
                self.1.extend(piece.expect("the stream has no end"));
            }
        })
    }
}

/// Turns the clock in turns of the stream.
trait Turning {
    fn advance_until_true(&self, flag: &AtomicBool);
}

impl Turning for Edge {
    #[allow(clippy::disallowed_methods)] // It gives the processor to other threads; no test depends on its length.
    fn advance_until_true(&self, flag: &AtomicBool) {
        while !flag.load(Ordering::Relaxed) {
            self.clock().advance(Duration::from_millis(250));
            std::thread::sleep(Duration::from_millis(3));
        }
    }
}

#[test]
fn the_page_is_open_and_data_need_the_token() {
    let origin = origin();
    let edge = Edge::before(&origin)
        .admin(&format!("token = {TOKEN:?}"))
        .start();
    let page = edge.admin_get("/");
    assert_eq!(page.status, 200);
    let field = |name: &str| page.header(name).unwrap_or_default();
    assert_eq!(field("content-type"), "text/html; charset=utf-8");
    assert!(field("content-security-policy").starts_with("default-src 'self';"));
    assert!(field("content-security-policy").contains("frame-ancestors 'none'"));
    assert_eq!(field("x-content-type-options"), "nosniff");
    let text = page.text();
    for name in [TOKEN, "site\"", "www.example"] {
        assert!(!text.contains(&format!(">{name}")), "{name}");
    }
    // Each file that the page names is there, and open too.
    for part in text
        .split('"')
        .filter(|part| part.starts_with("dashboard/"))
    {
        assert_eq!(edge.admin_get(&format!("/{part}")).status, 200, "{part}");
    }
    assert_eq!(edge.admin(&Request::new("POST", "/")).status, 405);
    for path in ["/stats", "/stats/week", "/live", "/origins", "/cluster"] {
        assert_eq!(edge.admin_get(path).status, 401, "{path}");
    }
}

#[test]
fn a_page_of_another_origin_can_not_listen() {
    let origin = origin();
    let edge = Edge::before(&origin).start();
    let foreign = get("/live").header("Origin", "http://evil.example");
    assert_eq!(edge.admin(&foreign).status, 403);
}

#[test]
fn the_stream_tells_figures_at_once_and_every_second() {
    let origin = origin();
    let edge = ruled(&origin);
    edge.get("/a");
    edge.get("/a");
    let mut listener = Listener::begin(&edge, "?requests=0");
    let first = listener.line(&edge);
    assert_eq!(first["event"], "figures");
    assert_eq!(first["total"]["requests"]["hit"], 1);
    assert_eq!(first["sites"][0]["requests"]["miss"], 1);
    assert_eq!(first["sites"][0]["bytes"]["hit"], 2);
    assert_eq!(first["total"]["origin_requests"], 1);
    let latencies = first["total"]["latency"].as_array().unwrap();
    let counted: u64 = latencies.iter().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(counted, 2);
    let bounds = first["latency_bounds"].as_array().unwrap();
    assert_eq!(latencies.len(), bounds.len() + 1);
    edge.get("/a");
    let second = listener.line(&edge);
    assert_eq!(second["total"]["requests"]["hit"], 2);
    let at = |line: &Value| line["at_unix_ms"].as_i64().unwrap();
    assert!(at(&second) - at(&first) >= 1_000);
}

#[test]
fn the_stream_tells_requests_with_their_reasons() {
    let origin = origin();
    let edge = ruled(&origin);
    let mut listener = Listener::begin(&edge, "?figures=false");
    edge.get("/a?b=c");
    let miss = listener.line(&edge);
    assert_eq!(miss["event"], "request");
    assert_eq!(
        (&miss["outcome"], &miss["forward"], &miss["stored"]),
        (&"miss".into(), &"uri-miss".into(), &true.into())
    );
    assert_eq!(miss["url"], "www.example/a?b=c");
    assert_eq!(miss["reason"], "rules: pages: ttl");
    assert_eq!(
        (&miss["status"], &miss["method"]),
        (&200.into(), &"GET".into())
    );
    edge.send(&get("/a?b=c").header("User-Agent", PHONE));
    assert_eq!(listener.line(&edge)["variant"], "phone");
    edge.get("/a?b=c");
    let hit = listener.line(&edge);
    assert_eq!(hit["outcome"], "hit");
    assert_eq!(hit["reason"], "rules: pages: ttl");
    assert!(hit["ttl_secs"].as_i64().unwrap() > 500, "{hit}");
}

#[test]
fn a_listener_is_told_the_requests_that_it_asks_for() {
    let origin = origin();
    let edge = ruled(&origin);
    for (query, expected) in [
        ("?outcome=hit", ["/a", "/b"]),
        ("?path=/b", ["/b", "/b"]),
        ("?path=/b&outcome=miss&policy=rules&site=site", ["/b", ""]),
    ] {
        edge.admin_post("/purge", "{\"site\": \"site\"}");
        let mut listener = Listener::begin(&edge, &format!("{query}&figures=false"));
        for target in ["/a", "/a", "/b", "/b"] {
            edge.get(target);
        }
        for target in expected.into_iter().filter(|target| !target.is_empty()) {
            let url = format!("www.example{target}");
            assert_eq!(listener.line(&edge)["url"], url, "{query}");
        }
    }
    for query in [
        "?site=other",
        "?policy=other",
        "?outcome=other",
        "?path=other",
        "?requests=1001",
        "?other=1",
    ] {
        let refused = edge.admin_get(&format!("/live{query}"));
        assert_eq!(refused.status, 400, "{query}");
        assert!(refused.json()["cure"].is_string());
    }
}

#[test]
fn a_listener_is_told_no_more_requests_than_it_takes() {
    let origin = origin();
    let edge = ruled(&origin);
    // Four turns a second: two requests in each.
    let mut listener = Listener::begin(&edge, "?requests=8&figures=false");
    for page in 1..=20 {
        edge.get(&format!("/{page}"));
    }
    let mut told = vec![listener.line(&edge)["url"].clone()];
    edge.get("/last");
    while told.last().is_none_or(|url| url != "www.example/last") {
        told.push(listener.line(&edge)["url"].clone());
    }
    assert_eq!(told[..2], ["www.example/1", "www.example/2"]);
    // The stream may begin between the requests, and have its first turn then.
    assert!(told.len() <= 5, "{told:?}");
}

#[test]
fn a_stream_with_nothing_to_tell_shows_that_it_is_there() {
    let origin = origin();
    let edge = ruled(&origin);
    let mut listener = Listener::begin(&edge, "?requests=8&figures=false");
    let begun = edge.clock().now();
    assert_eq!(listener.bytes(&edge), b"\n");
    assert!(edge.clock().now().since(begun) >= Duration::from_secs(15));
    edge.get("/a");
    assert_eq!(listener.line(&edge)["url"], "www.example/a");
}

#[test]
fn listeners_are_bounded_and_leave() {
    let origin = origin();
    let edge = ruled(&origin);
    let listeners = || edge.metric("tero_live_listeners", &[]);
    let mut all: Vec<_> = (0..16).map(|_| Listener::begin(&edge, "")).collect();
    assert_eq!(listeners(), 16.0);
    let refused = edge.admin_get("/live");
    assert_eq!(refused.status, 503);
    assert!(refused.text().contains("too many listeners"));
    all.pop();
    eventually("a listener has left", || {
        edge.clock().advance(Duration::from_millis(250));
        listeners() < 16.0
    });
    all.push(Listener::begin(&edge, ""));
    all.clear();
    eventually("all have left", || {
        edge.clock().advance(Duration::from_millis(250));
        listeners() == 0.0
    });
}

#[test]
fn an_edge_with_a_listener_stops() {
    let origin = origin();
    let edge = ruled(&origin);
    let mut listener = Listener::begin(&edge, "");
    listener.line(&edge);
    drop(edge);
    while let Ok(Some(_)) = listener.0.piece() {}
}

#[test]
fn the_week_tells_each_local_hour_by_itself() {
    let origin = origin();
    let edge = Edge::before(&origin)
        .site("zone = \"America/Argentina/Buenos_Aires\"")
        .at("2026-11-24T08:59:59")
        .start();
    edge.get("/a");
    edge.advance_secs(1);
    edge.get("/a");
    edge.get("/a");
    // Figures are taken in every minute; here between two turns of the clock. Then comes an hour in
    // which nothing is asked for.
    edge.call::<Week>(&[], &());
    edge.turn_to("2026-11-24T11:30:00");
    edge.get("/b");
    origin.on("/broken", Reply::status(500));
    assert_eq!(edge.get("/broken").status, 500);
    let week = edge.call::<Week>(&[], &());
    let site = &week.sites[0];
    assert_eq!(site.local, "2026-11-24T11:30:00-03:00");
    let hours: Vec<_> = site.hours.iter().collect();
    let shown: Vec<_> = hours
        .iter()
        .map(|hour| (hour.weekday, hour.hour, hour.figures.hits.requests))
        .collect();
    assert_eq!(shown, [(1, 8, 1), (1, 9, 2), (1, 11, 2)]);
    assert_eq!((hours[1].errors, hours[2].errors), (0, 1));
    assert_eq!(edge.metric("tero_errors_total", &[]), 1.0);
    assert_eq!(hours[0].figures.hits.hit_rate, Some(0.0));
    assert_eq!(hours[1].figures.byte_hit_rate, Some(1.0));
    assert_eq!(hours[1].within_200_ms, Some(1.0));
    // A week later it is forgotten, hour by hour.
    edge.turn_to("2026-12-01T09:30:00");
    let week = edge.call::<Week>(&[], &());
    let left: Vec<_> = week.sites[0].hours.iter().map(|hour| hour.hour).collect();
    assert_eq!(left, [11]);
}

#[test]
fn bytes_that_follow_their_head_count_with_its_outcome() {
    let origin = Origin::start();
    let content = vec![b'a'; 300 * 1024];
    origin.otherwise(move |_| Reply::fresh(600, &content));
    let edge = Edge::before(&origin).start();
    edge.get("/large");
    edge.get("/large");
    edge.get("/large");
    let bytes = |outcome: &str| edge.metric("tero_response_bytes_total", &[outcome]);
    eventually("all is counted", || bytes("hit") == 600.0 * 1024.0);
    assert_eq!(bytes("miss"), 300.0 * 1024.0);
    assert_eq!(
        edge.call::<Week>(&[], &()).sites[0].hours[0]
            .figures
            .byte_hit_rate,
        Some(0.6667)
    );
}

#[test]
fn a_route_tells_its_own_success() {
    let origin = Origin::start();
    origin.on("/pay/1", Reply::status(502));
    origin.otherwise(|_| Reply::status(201));
    let edge = Edge::before(&origin)
        .section("[[site.route]]\nmatch = [\"/pay/*\"]\nname = \"payments\"")
        .start();
    for target in ["/pay/1", "/pay/2", "/pay/3", "/other"] {
        edge.get(target);
    }
    let of_class = |class: &str| {
        let status = format!("status=\"{class}\"");
        edge.metric(
            "tero_route_responses_total",
            &["route=\"payments\"", &status],
        )
    };
    assert_eq!((of_class("2xx"), of_class("5xx")), (2.0, 1.0));
}

#[test]
fn the_local_hour_of_a_site_is_a_metric() {
    let origin = origin();
    let edge = Edge::before(&origin)
        .site("zone = \"America/Argentina/Buenos_Aires\"")
        .at("2026-11-24T23:59:00")
        .start();
    let hour = |labels: &[&str]| edge.metric("tero_site_local_hour_info", labels);
    assert_eq!(hour(&["hour=\"23\"", "weekday=\"tue\""]), 1.0);
    assert_eq!(
        edge.metric("tero_site_local_minute", &[]),
        23.0 * 60.0 + 59.0
    );
    edge.advance_secs(60);
    assert_eq!(hour(&["hour=\"00\"", "weekday=\"wed\""]), 1.0);
    assert_eq!(edge.metric("tero_site_local_minute", &[]), 0.0);
}
