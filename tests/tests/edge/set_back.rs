//! A system's clock that is set back, by an operator or a time server.

use std::time::Duration;

use tero_semantics::timestamp::Timestamp;
use tero_tests::{Edge, Origin, Reply, get};

/// The tests begin here.
const BEGIN: &str = "2026-11-24T10:00:00";

/// Sets the system's clock to an hour before [`BEGIN`].
fn set_back(edge: &Edge) {
    edge.clock()
        .set_wall(Timestamp::from_unix_secs(1_795_521_600));
}

fn edge(origin: &Origin) -> Edge {
    Edge::before(origin).at(BEGIN).start()
}

/// What an origin with the right time says.
fn dated(date: &str) -> Reply {
    Reply::fresh(60, "x").header("Date", date)
}

#[test]
fn nothing_stored_becomes_fresh_for_longer() {
    let origin = Origin::start();
    origin.on("/x", Reply::fresh(60, "x"));
    let edge = edge(&origin);
    edge.get("/x").assert_forwarded("uri-miss", "x");
    edge.advance_secs(20);
    set_back(&edge);
    let hit = edge.get("/x");
    hit.assert_hit("x");
    assert_eq!(hit.age(), Some(20));
    edge.advance_secs(39);
    assert_eq!(edge.get("/x").age(), Some(59));
    edge.advance_secs(1);
    edge.get("/x").assert_forwarded("stale", "x");
    assert_eq!(origin.requests("/x"), 2);
}

#[test]
fn what_is_stored_afterwards_has_its_own_lifetime() {
    let origin = Origin::start();
    // The zone is three hours behind UTC.
    origin.on("/x", dated("Tue, 24 Nov 2026 12:00:00 GMT"));
    let edge = edge(&origin);
    set_back(&edge);
    edge.get("/x").assert_forwarded("uri-miss", "x");
    let hit = edge.get("/x");
    hit.assert_hit("x");
    assert_eq!(hit.age(), Some(0), "{hit:?}");
    edge.advance_secs(59);
    assert_eq!(edge.get("/x").age(), Some(59));
    edge.advance_secs(1);
    edge.get("/x").assert_forwarded("stale", "x");
}

#[test]
fn windows_of_staleness_go_on() {
    let origin = Origin::start();
    let reply = Reply::ok("x").header("Cache-Control", "max-age=10, stale-if-error=20");
    origin.on("/x", reply);
    let edge = edge(&origin);
    edge.get("/x");
    origin.stop();
    edge.advance_secs(15);
    set_back(&edge);
    assert_eq!(edge.get("/x").text(), "x");
    edge.advance_secs(15);
    assert_eq!(edge.get("/x").status, 502);
}

#[test]
fn a_soft_purge_makes_stale_at_once() {
    let origin = Origin::start();
    origin.on("/x", Reply::fresh(3_600, "x"));
    let edge = edge(&origin);
    edge.get("/x");
    set_back(&edge);
    let purge = edge.admin_post("/purge", "{\"site\": \"site\", \"soft\": true}");
    assert_eq!(purge.status, 200, "{purge:?}");
    edge.get("/x").assert_forwarded("stale", "x");
}

#[test]
fn timeouts_of_clients_go_on() {
    let origin = Origin::start();
    let edge = Edge::before(&origin)
        .at(BEGIN)
        .server("header_timeout = \"10s\"\nidle_timeout = \"30s\"")
        .start();
    let mut slow = edge.client();
    slow.write("GET /x HTTP/1.1\r\nHost: www.exa");
    let mut idle = edge.client();
    idle.send(&get("/y"));
    set_back(&edge);
    let waiter = std::thread::spawn(move || (slow.head().status, idle.is_closed()));
    edge.advance_until(90, || waiter.is_finished());
    assert_eq!(waiter.join().unwrap(), (408, true));
}

#[test]
fn timeouts_of_origins_go_on() {
    let origin = Origin::start();
    origin.on("/silent", Reply::silence());
    let edge = Edge::before(&origin)
        .at(BEGIN)
        .site("response_timeout = \"20s\"")
        .start();
    let mut client = edge.client();
    client.start(&get("/silent"));
    origin.wait_for("/silent", 1);
    set_back(&edge);
    edge.advance_until(60, || client.is_answered());
    assert_eq!(client.head().status, 504);
}

#[test]
fn an_origin_does_not_rest_for_an_hour() {
    let (one, other) = (Origin::start(), Origin::start());
    for origin in [&one, &other] {
        origin.otherwise(|_| Reply::ok("x").header("Cache-Control", "no-store"));
    }
    let edge = Edge::before(&one).origin(&other.url()).at(BEGIN).start();
    other.stop();
    for number in 0..4 {
        assert_eq!(edge.get(&format!("/{number}")).status, 200);
    }
    other.start_again();
    set_back(&edge);
    edge.advance_secs(6);
    for number in 0..4 {
        edge.get(&format!("/again/{number}"));
    }
    assert!(other.total() > 0, "it rested for five seconds");
}

#[test]
fn dates_and_local_times_are_those_of_the_clock() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(600, "x"));
    let hours = "settings = { zone = \"America/Argentina/Buenos_Aires\", open = \"09:30\", close = \"18:00\" }";
    let edge = Edge::before(&origin)
        .at(BEGIN)
        .policy("hours", "builtin:business-hours", hours)
        .start();
    let reason = |target: &str| edge.get(target).cache_status().detail.unwrap_or_default();
    let open = reason("/open");
    set_back(&edge);
    let closed = reason("/closed");
    assert_ne!(open, closed, "the shop is not open yet");
    let refused = edge.send(&get("/x").host("else.example"));
    assert_eq!(
        refused.header("date").as_deref(),
        Some("Tue, 24 Nov 2026 12:00:00 GMT")
    );
    edge.clock().advance(Duration::from_secs(1_800));
    assert_eq!(reason("/later"), open);
}
