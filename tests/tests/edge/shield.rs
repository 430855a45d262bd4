//! Two tiers of tero: edges in front of a shield, in front of an origin.

mod decided;
mod hostile;

use chrono_tz::Tz;
use tero_admin_api::PurgeResponse;
use tero_tests::{
    A_TUESDAY_MORNING, ART, Answer, Client, Edge, EdgeBuilder, Origin, Reply, Request, eventually,
    get, instant,
};
use tero_time::clock::Clock;

use super::warming::{assert_counts, warm};

const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";
const DESKTOP: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36";

/// A page that may be used while it is revalidated, and if the origin fails.
const LIVELY: &str = "max-age=3600, stale-while-revalidate=600, stale-if-error=600";

/// A policy with a variant for phones, and a TTL of an hour for all pages.
const BY_DEVICE: &str = "[policy.settings]\nversion = 3\nvariants.mobile = { devices = [\"mobile\"], paths = [\"*\"] }\n\
                         rules = [{ name = \"all\", match = [\"*\"], ttl = 3600 }]";

/// A tier that runs on its clock, and calls itself by this name.
fn tier(name: &str, clock: &Clock, builder: EdgeBuilder) -> Edge {
    let text = builder
        .server(&format!("workers = 1\nname = \"{name}\""))
        .to_toml();
    let zone: Tz = ART.parse().expect("the zone exists");
    Edge::on_clock(&text, clock.clone(), zone)
}

fn clock() -> Clock {
    let zone = ART.parse().expect("the zone exists");
    Clock::by_hand(instant(A_TUESDAY_MORNING, zone))
}

/// A shield in front of an origin, which trusts edges of this machine.
fn before(origin: &Origin) -> EdgeBuilder {
    Edge::before(origin).server("trusted_edges = [\"127.0.0.1\"]")
}

/// An edge in front of a shield.
fn behind(shield: &Edge) -> EdgeBuilder {
    Edge::before_url(&format!("http://{}", shield.address()))
}

/// A shield, and an edge in front of it.
fn pair(origin: &Origin) -> (Edge, Edge, Clock) {
    let clock = clock();
    let shield = tier("shield", &clock, before(origin));
    let edge = tier("edge", &clock, behind(&shield));
    (shield, edge, clock)
}

fn all_cache_status(answer: &Answer) -> String {
    answer.header("cache-status").unwrap_or_default()
}

fn from_phone(target: &str) -> Request {
    get(target).header("User-Agent", PHONE)
}

fn purge_softly(edge: &Edge, path: &str) {
    let body = format!(r#"{{"url": "http://www.example{path}", "soft": true}}"#);
    let purged: PurgeResponse = edge.admin_post("/purge", &body).read();
    assert_eq!(purged.purged, 1);
}

fn secs(clock: &Clock, secs: u64) {
    clock.advance(std::time::Duration::from_secs(secs));
}

fn answer(mut client: Client) -> Answer {
    let mut answer = client.head();
    client.rest(&mut answer);
    answer
}

#[test]
fn each_tier_says_in_order_what_it_did() {
    let origin = Origin::start();
    origin.on("/x", Reply::fresh(60, "x"));
    let (shield, edge, clock) = pair(&origin);
    assert_eq!(
        all_cache_status(&edge.get("/x")),
        "shield; fwd=uri-miss; fwd-status=200; ttl=60; stored, \
         edge; fwd=uri-miss; fwd-status=200; ttl=60; stored"
    );
    secs(&clock, 20);
    let other = tier("other", &clock, behind(&shield));
    let told = other.get("/x");
    assert_eq!(
        all_cache_status(&told),
        "shield; hit; ttl=40, other; fwd=uri-miss; fwd-status=200; ttl=40; stored"
    );
    assert_eq!(told.age(), Some(20));
    assert_eq!(origin.requests("/x"), 1);
}

#[test]
fn a_page_that_was_purged_softly_at_the_shield_is_fresh_nowhere() {
    let with_policy = |builder: EdgeBuilder| builder.policy("p", "builtin:json-rules", BY_DEVICE);
    for dress in [with_policy, |builder| builder] {
        let origin = Origin::start();
        let page = |body: &str| {
            Reply::ok(body)
                .header("Cache-Control", LIVELY)
                .header("ETag", format!("\"{body}\""))
        };
        origin.on("/x", page("old"));
        let clock = clock();
        let shield = tier("shield", &clock, before(&origin));
        shield.get("/x").assert_forwarded("uri-miss", "old");
        secs(&clock, 10);
        purge_softly(&shield, "/x");
        origin.hold();
        secs(&clock, 5);
        // A cold edge, with or without a TTL of its own.
        let edge = tier("edge", &clock, dress(behind(&shield)));
        let first = edge.get("/x");
        assert_eq!((first.status, first.text().as_str()), (200, "old"));
        // Nothing is left for a browser.
        assert_eq!(first.age(), Some(3_605), "{first:?}");
        assert_eq!(first.header("tero-tier"), None);
        assert_eq!(first.cache_status().ttl, Some(-5), "{first:?}");
        origin.wait_for("/x", 2);
        origin.on("/x", page("new"));
        origin.release();
        // The next visitor of the edge has it revalidated, as it is stale here, too.
        edge.until("/x", |answer| answer.text() == "new");
        assert!(edge.get("/x").cache_status().ttl.unwrap() > 3_000);
        assert_eq!(origin.requests("/x"), 2);
    }
}

#[test]
fn a_stale_304_of_the_shield_makes_nothing_fresh() {
    let origin = Origin::start();
    let page = || {
        Reply::ok("x")
            .header("Cache-Control", LIVELY)
            .header("ETag", "\"1\"")
    };
    origin.on("/x", page());
    let (shield, edge, clock) = pair(&origin);
    edge.get("/x").assert_forwarded("uri-miss", "x");
    purge_softly(&shield, "/x");
    purge_softly(&edge, "/x");
    origin.hold();
    secs(&clock, 5);
    // Both tiers revalidate in the background; the shield answers with what it has.
    assert_eq!(edge.get("/x").cache_status().ttl, Some(-5));
    eventually("the shield has been asked", || {
        edge.is_quiet() && shield.metric("tero_requests_total", &["outcome=\"stale\""]) >= 1.0
    });
    let again = edge.get("/x");
    assert!(again.cache_status().ttl.unwrap() < 0, "{again:?}");
    assert!(again.age().unwrap() >= 3_600, "{again:?}");
    origin.on(
        "/x",
        Reply::status(304)
            .header("ETag", "\"1\"")
            .header("Cache-Control", LIVELY),
    );
    origin.release();
    edge.until("/x", |answer| answer.cache_status().ttl.unwrap() > 0);
}

#[test]
fn a_stale_page_without_a_lifetime_gets_none_in_browsers_and_edges() {
    let origin = Origin::start();
    origin.on(
        "/x",
        Reply::ok("x")
            .header("ETag", "\"1\"")
            .header("Last-Modified", "Mon, 02 Nov 2026 10:00:00 GMT"),
    );
    let lifetimes = "default_ttl = { 200 = \"10min\" }\nstale_while_revalidate = \"10min\"";
    let clock = clock();
    let shield = tier("shield", &clock, before(&origin).site(lifetimes));
    let edge = tier("edge", &clock, behind(&shield).site(lifetimes));
    shield.get("/x").assert_forwarded("uri-miss", "x");
    purge_softly(&shield, "/x");
    origin.hold();
    secs(&clock, 1);
    let told = edge.get("/x");
    assert_eq!(told.cache_status().ttl, Some(-1), "{told:?}");
    assert_eq!(told.header("cache-control").as_deref(), None);
    let told = edge.get("/x");
    assert_eq!(told.header("cache-control").as_deref(), Some("max-age=0"));
    origin.release();
    // What was said of the stale page doesn't outlive it.
    let fresh = edge.until("/x", |answer| answer.cache_status().ttl.unwrap() > 0);
    assert_eq!(fresh.header("cache-control"), None, "{fresh:?}");
}

#[test]
fn what_the_shield_serves_stale_stays_stale_through_three_tiers() {
    let origin = Origin::start();
    origin.on("/x", Reply::ok("x").header("Cache-Control", LIVELY));
    let clock = clock();
    let shield = tier("shield", &clock, before(&origin));
    let trusting = "trusted_edges = [\"127.0.0.1\"]";
    let middle = tier("middle", &clock, behind(&shield).server(trusting));
    shield.get("/x").assert_forwarded("uri-miss", "x");
    purge_softly(&shield, "/x");
    origin.hold();
    secs(&clock, 7);
    let edge = tier(
        "edge",
        &clock,
        behind(&middle).policy("p", "builtin:json-rules", BY_DEVICE),
    );
    for _ in 0..2 {
        let told = edge.get("/x");
        assert_eq!(
            (told.cache_status().ttl, told.age()),
            (Some(-7), Some(3_607)),
            "{told:?}"
        );
    }
    origin.release();
}

#[test]
fn a_shield_that_fails_over_to_stale_pages_leaves_them_to_the_edge() {
    let origin = Origin::start();
    origin.on(
        "/x",
        Reply::ok("x").header("Cache-Control", "max-age=60, stale-if-error=600"),
    );
    let (shield, edge, clock) = pair(&origin);
    edge.get("/x").assert_forwarded("uri-miss", "x");
    secs(&clock, 70);
    origin.on("/x", Reply::status(503));
    let told = edge.get("/x");
    assert_eq!(
        (told.text().as_str(), told.cache_status().ttl),
        ("x", Some(-10)),
        "{told:?}"
    );
    // Now the shield is gone, too.
    drop(shield);
    secs(&clock, 1);
    let told = edge.get("/x");
    assert_eq!((told.status, told.text().as_str()), (200, "x"), "{told:?}");
}

#[test]
fn what_a_shield_never_stores_is_neither_stored_nor_queued_for_at_an_edge() {
    let never = "[[site.never]]\nmatch = [\"/pay\"]";
    let policy = "[policy.settings]\nversion = 3\nrules = [{ name = \"pay\", match = [\"/pay\"], cache = \"never\" }]";
    let shields: [&dyn Fn(EdgeBuilder) -> EdgeBuilder; 2] =
        [&|builder| builder.section(never), &|builder| {
            builder.policy("p", "builtin:json-rules", policy)
        }];
    for dress in shields {
        let origin = Origin::start();
        origin.on("/pay", Reply::fresh(3_600, "for one"));
        let clock = clock();
        let shield = tier("shield", &clock, dress(before(&origin)));
        let edge = tier("edge", &clock, behind(&shield));
        let told = edge.get("/pay");
        told.assert_detail("shield");
        assert!(!told.cache_status().stored, "{told:?}");
        assert_eq!(told.header("tero-tier"), None);
        // Nobody waits for another one's answer.
        origin.hold();
        let mut clients: Vec<Client> = (0..5).map(|_| edge.client()).collect();
        for client in &mut clients {
            client.start(&get("/pay"));
        }
        origin.wait_for("/pay", 6);
        origin.release();
        for client in clients {
            assert_eq!(answer(client).text(), "for one");
        }
    }
}

#[test]
fn an_answer_that_passed_for_a_cookie_concerns_requests_with_cookies_alone() {
    let origin = Origin::start();
    origin.on_each("/x", |asked, _| match asked.header("cookie") {
        Some(cookie) => Reply::fresh(3_600, cookie),
        None => Reply::fresh(3_600, "for all"),
    });
    let clock = clock();
    let shield = tier(
        "shield",
        &clock,
        before(&origin).site("pass_cookies = [\"session\"]"),
    );
    let edge = tier("edge", &clock, behind(&shield));
    let told = edge.send(&get("/x").header("Cookie", "session=7"));
    assert_eq!(told.text(), "session=7");
    assert!(!told.cache_status().stored, "{told:?}");
    edge.get("/x").assert_forwarded("uri-miss", "for all");
    edge.get("/x").assert_hit("for all");
}

#[test]
fn the_edges_decide_the_variant_and_the_shield_stores_under_it() {
    let origin = super::warming::origin();
    let clock = clock();
    // The shield would decide otherwise.
    let other = BY_DEVICE
        .replace("mobile =", "handy =")
        .replace("ttl = 3600", "ttl = 60");
    for shield in [
        before(&origin),
        before(&origin).policy("p", "builtin:json-rules", &other),
    ] {
        let asked = origin.total();
        let shield = tier("shield", &clock, shield);
        let edge = || {
            tier(
                "edge",
                &clock,
                behind(&shield).policy("p", "builtin:json-rules", BY_DEVICE),
            )
        };
        let (one, two) = (edge(), edge());
        one.send(&from_phone("/x"))
            .assert_forwarded("uri-miss", "/x mobile");
        one.send(&get("/x").header("User-Agent", DESKTOP))
            .assert_forwarded("uri-miss", "/x ");
        assert_eq!(origin.total(), asked + 2);
        for (request, body) in [
            (from_phone("/x"), "/x mobile"),
            (get("/x").header("User-Agent", DESKTOP), "/x "),
        ] {
            let told = two.send(&request);
            told.assert_forwarded("uri-miss", body);
            assert!(
                all_cache_status(&told).starts_with("shield; hit"),
                "{told:?}"
            );
        }
        assert_eq!(origin.total(), asked + 2);
    }
}

#[test]
fn two_tiers_of_one_name_are_no_loop_and_a_loop_is_found_all_the_same() {
    let origin = Origin::start();
    origin.on("/x", Reply::fresh(60, "x"));
    let clock = clock();
    let shield = tier("tero", &clock, before(&origin));
    let edge = tier("tero", &clock, behind(&shield));
    edge.get("/x").assert_forwarded("uri-miss", "x");
    // The shield's origin is now the edge.
    let turned = Edge::before_url(&format!("http://{}", edge.address()))
        .server("workers = 1\nname = \"tero\"\ntrusted_edges = [\"127.0.0.1\"]");
    shield.reload(&turned).expect("it is a good configuration");
    let told = edge.get("/y");
    assert_eq!(told.status, 508, "{told:?}");
}

#[test]
fn a_hundred_visitors_of_four_edges_are_one_request_to_the_origin() {
    let origin = Origin::start();
    origin.on("/x", Reply::fresh(60, "x"));
    let clock = clock();
    let shield = tier("shield", &clock, before(&origin));
    let edges: Vec<Edge> = (0..4)
        .map(|_| tier("edge", &clock, behind(&shield)))
        .collect();
    origin.hold();
    let mut clients = Vec::new();
    for edge in &edges {
        for _ in 0..25 {
            let mut client = edge.client();
            client.start(&get("/x"));
            clients.push(client);
        }
    }
    // The same without an edge's own collapsing: a hundred connections of edges.
    for _ in 0..100 {
        let mut client = shield.client();
        client.start(&get("/x"));
        clients.push(client);
    }
    origin.wait_for("/x", 1);
    eventually("all wait", || {
        let open = |edge: &Edge| edge.metric("tero_connections_open", &[]);
        edges.iter().all(|edge| open(edge) >= 25.0) && open(&shield) >= 104.0
    });
    origin.release();
    for client in clients {
        let told = answer(client);
        assert_eq!((told.status, told.text().as_str()), (200, "x"), "{told:?}");
    }
    assert_eq!(origin.requests("/x"), 1);
}

#[test]
fn a_plan_of_an_edge_is_a_plan_at_the_shield() {
    let origin = super::warming::origin();
    let clock = clock();
    let limit = "[[limit]]\nname = \"visitors\"\nrequests = 1\nper = \"1h\"";
    let shield = tier("shield", &clock, before(&origin).section(limit));
    let plan = "[[warm]]\nname = \"plan\"\nsite = \"site\"\nurls = [\"/a\", \"/b\", \"/c\"]";
    let edge = tier("edge", &clock, behind(&shield).section(plan));
    assert_counts(&warm(&edge), &[("planned", 3), ("fetched", 3)]);
    for path in ["/a", "/b", "/c"] {
        let asked = origin.only(path);
        assert_eq!(asked.header("tero-tier").as_deref(), Some("plan"));
        assert_eq!(asked.header("x-forwarded-for"), None);
    }
    // The shield has kept them, and a visitor's request is not a plan's.
    let other = tier("other", &clock, behind(&shield));
    let told = other.get("/a");
    assert!(
        all_cache_status(&told).starts_with("shield; hit"),
        "{told:?}"
    );
    assert_eq!(origin.requests("/a"), 1);
}

#[test]
fn pages_that_plans_of_edges_fetch_are_not_popular_at_the_shield() {
    let origin = super::warming::origin();
    let clock = clock();
    let popular = "[[warm]]\nname = \"plan\"\nsite = \"site\"\npopular = 10";
    let shield = tier("shield", &clock, before(&origin).section(popular));
    let plan = "[[warm]]\nname = \"plan\"\nsite = \"site\"\nurls = [\"/a\", \"/b\"]";
    let edge = tier("edge", &clock, behind(&shield).section(plan));
    assert_counts(&warm(&edge), &[("planned", 2), ("fetched", 2)]);
    for _ in 0..5 {
        // Of visitors of edges.
        assert_eq!(shield.get("/wanted").text(), "/wanted ");
    }
    secs(&clock, 3_000);
    assert_counts(&warm(&shield), &[("planned", 1)]);
}

#[test]
fn a_trusted_edge_says_who_its_visitors_are_and_by_which_scheme_they_came() {
    let origin = Origin::start();
    origin.on("/x", Reply::fresh(60, "x"));
    let (shield, _edge, _clock) = pair(&origin);
    let asked = get("/x")
        .header("X-Forwarded-For", "192.0.2.7")
        .header("X-Forwarded-Proto", "https");
    shield.send(&asked).assert_forwarded("uri-miss", "x");
    let asked = origin.only("/x");
    assert_eq!(asked.header("x-forwarded-proto").as_deref(), Some("https"));
    assert_eq!(
        asked.header("x-forwarded-for").as_deref(),
        Some("192.0.2.7, 127.0.0.1")
    );
    // By the other scheme, it is another page.
    shield.get("/x").assert_forwarded("uri-miss", "x");
}

#[test]
fn the_pair_of_configurations_in_the_documentation_works() {
    let page = include_str!("../../../docs/tiers.md");
    let blocks: Vec<&str> = page.split("```toml\n").skip(1).collect();
    let blocks: Vec<&str> = blocks
        .iter()
        .filter_map(|rest| rest.split("```").next())
        .collect();
    let [edge, shield, ..] = blocks[..] else {
        panic!("the first two configurations are the pair");
    };
    let clock = clock();
    let start = |text: &str, origin: &str, own: &str| {
        assert!(text.contains(origin), "{text}");
        let text = text
            .replace("0.0.0.0:8080", "127.0.0.1:0")
            .replace(origin, own)
            .replace("10.0.1.0/24", "127.0.0.1");
        Edge::on_clock(
            &format!("{text}\n[admin]\nlisten = \"127.0.0.1:0\"\n"),
            clock.clone(),
            ART.parse().expect("it exists"),
        )
    };
    let origin = super::warming::origin();
    let shield = start(shield, "http://10.0.0.20:3000", &origin.url());
    let edge = start(
        edge,
        "http://10.0.0.10:8080",
        &format!("http://{}", shield.address()),
    );
    let asked = |target: &str| from_phone(target).host("shop.example");
    edge.send(&asked("/x"))
        .assert_forwarded("uri-miss", "/x mobile");
    edge.send(&asked("/x")).assert_hit("/x mobile");
    assert_eq!(origin.requests("/x"), 1);
}
