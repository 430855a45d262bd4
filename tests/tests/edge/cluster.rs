//! Nodes of a fleet, with real servers of NATS between them.

mod credentials;
mod faults;
mod history;
mod measures;
mod nats;
mod plans;
mod second_path;
mod tiers;
mod versions;

use std::time::Instant;

use tero_admin_api::endpoints::{Purge, Ready};
use tero_admin_api::{PurgeRequest, PurgeResponse, PurgeTarget, PurgeWait, ReadyRequest};
use tero_config::Config;
use tero_control::cluster::init::prepare_streams;
use tero_control::cluster::prepared_stream::{PreparedStream, StreamChange};
use tero_tests::{Answer, Edge, EdgeBuilder, HOST, Origin, Reply, eventually, folder, get};

use self::nats::{NatsServer, copy, newest, programs};

/// `[cluster]` with these servers, for a node of this name.
fn section(nats: &str, node: &str) -> String {
    format!("[cluster]\nnats = [\"{nats}\"]\nnode = \"{node}\"\n")
}

/// Makes the streams of a fleet.
fn init(nats: &NatsServer) -> Vec<StreamChange> {
    init_with(nats, "")
}

/// The same, with more keys of `[cluster]`.
fn init_with(nats: &NatsServer, keys: &str) -> Vec<StreamChange> {
    let prepared = init_at(&nats.url(), keys);
    prepared.iter().map(|stream| stream.change).collect()
}

/// The same, at this URL.
fn init_at(nats: &str, keys: &str) -> Vec<PreparedStream> {
    try_init_at(nats, keys).unwrap()
}

fn try_init_at(nats: &str, keys: &str) -> Result<Vec<PreparedStream>, String> {
    let text = format!(
        "[[site]]\nname = \"a\"\nhosts = [\"*\"]\norigins = [\"http://127.0.0.1:1\"]\n{}{keys}",
        section(nats, "init")
    );
    let config = Config::parse(&text, "tero.toml", folder().path()).unwrap();
    prepare_streams(&config.cluster.unwrap()).map_err(|error| error.to_string())
}

/// A node in front of an origin.
fn node(origin: &Origin, nats: &NatsServer, name: &str) -> EdgeBuilder {
    Edge::before(origin).section(&section(&nats.url(), name))
}

/// Three nodes that hear of each other's purges.
struct Trio {
    edges: [Edge; 3],
    _nats: NatsServer,
    _origin: Origin,
}

impl Trio {
    /// `None` without a server of NATS.
    fn start() -> Option<Trio> {
        let nats = newest()?;
        init(&nats);
        let origin = Origin::start();
        origin.on("/a", page());
        let edges = ["one", "two", "three"].map(|name| node(&origin, &nats, name).start());
        wait_until_ready(&edges);
        Some(Trio {
            edges,
            _nats: nats,
            _origin: origin,
        })
    }

    /// Purges at one node, and waits until all nodes have done it.
    fn purge(&self) {
        let answer = logged(&self.edges[0]).fleet.unwrap();
        let wanted = answer.number.unwrap() as f64;
        eventually("a purge on all nodes", || {
            let mut edges = self.edges.iter();
            edges.all(|edge| edge.metric(NUMBER, &[]) >= wanted)
        });
    }
}

fn is_ready(edge: &Edge) -> bool {
    let asked = ReadyRequest {
        cluster: true,
        ..ReadyRequest::default()
    };
    edge.ask::<Ready>(&[], &asked).status == 200
}

#[track_caller]
fn wait_until_ready(edges: &[Edge]) {
    eventually("nodes that hear of the log", || edges.iter().all(is_ready));
}

/// How far in the log a node is.
const NUMBER: &str = "tero_cluster_log_number";

/// Purges to catch up on.
const PURGES: u64 = 100_000;

/// Purges until the log has taken a purge.
#[track_caller]
fn logged(edge: &Edge) -> PurgeResponse {
    let mut logged = None;
    eventually("a purge in the log", || {
        let answer = purge(edge, PurgeWait::Quorum);
        logged = (answer.status == 200).then(|| answer.read());
        logged.is_some()
    });
    logged.unwrap()
}

fn tag() -> PurgeTarget {
    PurgeTarget::Tag("prices".to_owned())
}

fn purge(edge: &Edge, wait: PurgeWait) -> Answer {
    let request = PurgeRequest {
        wait,
        ..PurgeRequest::new(tag(), false)
    };
    edge.ask::<Purge>(&[], &request)
}

fn page() -> Reply {
    Reply::fresh(600, "page").header("Surrogate-Key", "prices")
}

fn is_hit(answer: &Answer) -> bool {
    answer
        .header("cache-status")
        .is_some_and(|status| status.contains("; hit"))
}

/// Stores the page.
#[track_caller]
fn store(edge: &Edge) {
    edge.until("/a", is_hit);
}

/// Whether a page of the store is gone: asked without changing anything.
fn is_purged(edge: &Edge) -> bool {
    edge.admin_get("/stats").json()["cache"]["entries"] == 0
}

fn doubts(edge: &Edge, reason: &str) -> f64 {
    let label = format!("reason=\"{reason}\"");
    edge.metric("tero_cluster_doubts_total", &[&label])
}

#[test]
fn the_streams_are_made_once_by_init_alone() {
    for program in programs() {
        let nats = NatsServer::start(&program, &[]);
        let changes = init(&nats);
        assert_eq!(changes, vec![StreamChange::Created; changes.len()]);
        let again = init(&nats);
        assert_eq!(again, vec![StreamChange::Unchanged; changes.len()]);
    }
}

#[test]
fn a_purge_reaches_three_nodes_and_is_answered_with_its_number() {
    for program in programs() {
        let nats = NatsServer::start(&program, &[]);
        init(&nats);
        let origin = Origin::start();
        origin.on("/a", page());
        let edges = ["one", "two", "three"].map(|name| node(&origin, &nats, name).start());
        wait_until_ready(&edges);
        for soft in [false, true] {
            edges.iter().for_each(store);
            let request = PurgeRequest::new(tag(), soft);
            let answer: PurgeResponse = edges[0].call::<Purge>(&[], &request);
            assert_eq!(answer.purged, 1);
            let fleet = answer.fleet.unwrap();
            assert!(fleet.number.is_some() && fleet.log.is_some(), "{fleet:?}");
            assert_eq!(fleet.log_error, None);
            for edge in &edges {
                eventually("a purge on each node", || !is_hit(&edge.get("/a")));
            }
        }
        for edge in &edges[1..] {
            assert_eq!(
                edge.metric("tero_cluster_purges_total", &["way=\"log\""]),
                2.0
            );
            assert_eq!(edge.metric("tero_cluster_doubts_total", &[]), 0.0);
        }
    }
}

#[test]
fn the_application_of_one_node_purges_on_all() {
    let Some(nats) = newest() else { return };
    init(&nats);
    let origin = Origin::start();
    origin.on("/a", page());
    let edges = ["one", "two"].map(|name| {
        let node = node(&origin, &nats, name);
        node.section("[site.purge]\nfrom = [\"127.0.0.0/8\"]\n")
            .start()
    });
    wait_until_ready(&edges);
    for request in [
        tero_tests::Request::new("PURGE", "/a"),
        tero_tests::Request::new("PURGE", "/").header("Surrogate-Key", "prices"),
    ] {
        edges.iter().for_each(store);
        assert_eq!(edges[0].send(&request).status, 200);
        for edge in &edges {
            eventually("a purge on each node", || is_purged(edge));
        }
    }
}

#[test]
fn a_node_serves_without_nats_and_says_so() {
    let Some(program) = programs().pop() else {
        return;
    };
    let mut nats = NatsServer::stopped(&program, &[]);
    let origin = Origin::start();
    origin.on("/a", page());
    let edge = node(&origin, &nats, "one").start();
    store(&edge);
    assert!(!is_ready(&edge));
    assert_eq!(edge.metric("tero_cluster_blind", &[]), 1.0);
    let answer = purge(&edge, PurgeWait::None);
    assert_eq!(answer.status, 202, "{answer:?}");
    let answer: PurgeResponse = answer.read();
    assert_eq!((answer.purged, answer.fleet.unwrap().number), (1, None));
    store(&edge);
    // Servers without the streams of a fleet are told from none.
    nats.run();
    eventually("the cause", || {
        let answer = edge.admin_get("/ready?cluster");
        answer.text().contains("tero cluster init")
    });
    init(&nats);
    wait_until_ready(std::slice::from_ref(&edge));
    assert_eq!(edge.metric("tero_cluster_blind", &[]), 0.0);
    // What was stored before the log was reached may have been purged elsewhere.
    assert_eq!(doubts(&edge, "unknown-position"), 1.0);
    // The log may have it before the node has its place there: it is not lost then.
    eventually("the purge in the log", || {
        edge.metric("tero_cluster_purges_waiting", &[]) == 0.0
    });
    assert_eq!(edge.metric("tero_cluster_log_lost_total", &[]), 0.0);
}

#[test]
fn a_server_that_is_killed_and_comes_back_is_followed_without_a_doubt() {
    let Some(mut nats) = newest() else { return };
    init(&nats);
    let origin = Origin::start();
    origin.on("/a", page());
    let edges = ["one", "two"].map(|name| node(&origin, &nats, name).start());
    wait_until_ready(&edges);
    logged(&edges[0]);
    edges.iter().for_each(store);
    nats.kill();
    eventually("a lost connection", || {
        edges[0].metric("tero_cluster_nats_connected", &[]) == 0.0
    });
    let answer = purge(&edges[0], PurgeWait::None);
    assert_eq!(answer.status, 202);
    assert!(is_hit(&edges[1].get("/a")), "it can't know of it yet");
    nats.run();
    // It is sent again under its id, and comes to the other node.
    eventually("a purge on the other node", || is_purged(&edges[1]));
    eventually("the purge has come back", || {
        edges[0].metric("tero_cluster_purges_waiting", &[]) == 0.0
    });
    for edge in &edges {
        assert_eq!(edge.metric("tero_cluster_doubts_total", &[]), 0.0);
    }
}

#[test]
fn a_log_that_was_made_anew_makes_everything_stale() {
    let Some(mut nats) = newest() else { return };
    init(&nats);
    let origin = Origin::start();
    origin.on("/a", page());
    let edge = node(&origin, &nats, "one").start();
    wait_until_ready(std::slice::from_ref(&edge));
    logged(&edge);
    store(&edge);
    nats.kill();
    std::fs::remove_dir_all(nats.store()).unwrap();
    nats.run();
    init(&nats);
    eventually("a doubt", || doubts(&edge, "other-log") == 1.0);
    assert!(!is_hit(&edge.get("/a")), "it is revalidated");
    logged(&edge);
}

#[test]
fn a_log_that_was_set_back_makes_everything_stale() {
    let Some(mut nats) = newest() else { return };
    init(&nats);
    let origin = Origin::start();
    origin.on("/a", page());
    let edge = node(&origin, &nats, "one").start();
    wait_until_ready(std::slice::from_ref(&edge));
    // A backup, and entries after it.
    nats.kill();
    let backup = folder();
    copy(&nats.store(), backup.path());
    nats.run();
    (0..2).for_each(|_| drop(logged(&edge)));
    store(&edge);
    nats.kill();
    std::fs::remove_dir_all(nats.store()).unwrap();
    copy(backup.path(), &nats.store());
    nats.run();
    eventually("a doubt", || {
        doubts(&edge, "rewind") + doubts(&edge, "fork") == 1.0
    });
    assert!(!is_hit(&edge.get("/a")), "it is revalidated");
    logged(&edge);
}

#[test]
fn a_node_takes_up_where_its_disk_has_it() {
    let Some(nats) = newest() else { return };
    init(&nats);
    let (state, disk) = (folder(), folder());
    let origin = Origin::start();
    origin.on("/a", page());
    let path = disk.path().display();
    let disk = format!("[[cache.disk]]\npath = \"{path}\"\nsize = \"64MiB\"\n");
    let one = node(&origin, &nats, "one").state_dir(state.path());
    let one = one.section(&disk);
    let two = node(&origin, &nats, "two").start();
    let edge = one.start();
    wait_until_ready(std::slice::from_ref(&edge));
    store(&edge);
    edge.settle_disks();
    drop(edge);
    logged(&two);
    let edge = one.start();
    wait_until_ready(std::slice::from_ref(&edge));
    assert!(
        !is_hit(&edge.get("/a")),
        "it was purged while the node was down"
    );
    assert_eq!(edge.metric("tero_cluster_doubts_total", &[]), 0.0);
    store(&edge);
    edge.settle_disks();
    drop(edge);
    // Without the position, the node can't know what it has missed.
    std::fs::remove_file(state.path().join("purge-log.json")).unwrap();
    let edge = one.start();
    wait_until_ready(std::slice::from_ref(&edge));
    assert_eq!(doubts(&edge, "unknown-position"), 1.0);
    assert!(!is_hit(&edge.get("/a")), "it is revalidated");
}

#[test]
fn a_blind_node_does_as_its_sites_say() {
    let Some(mut nats) = newest() else { return };
    init(&nats);
    for (when_blind, while_up, while_down) in [
        ("serve", "hit", "hit"),
        ("revalidate", "fwd=stale", "fwd=stale"),
        ("stale-if-error", "fwd=stale", "fwd=stale"),
    ] {
        let origin = Origin::start();
        origin.on("/a", page().header("ETag", "\"1\""));
        let keys = format!("when_blind = \"{when_blind}\"");
        let edge = node(&origin, &nats, "one").site(&keys).start();
        wait_until_ready(std::slice::from_ref(&edge));
        store(&edge);
        nats.kill();
        edge.advance_secs(15);
        assert!(
            is_hit(&edge.get("/a")),
            "it has heard of the log 15 seconds ago"
        );
        edge.advance_secs(1);
        eventually("blindness", || {
            edge.metric("tero_cluster_blind", &[]) == 1.0
        });
        assert!(!is_ready(&edge));
        let status = |answer: &Answer| answer.header("cache-status").unwrap_or_default();
        let asked = origin.requests("/a");
        let told = status(&edge.get("/a"));
        assert!(told.contains(while_up), "{when_blind}: {told}");
        let asks = u64::from(when_blind != "serve");
        assert_eq!(
            origin.requests("/a") as u64,
            asked as u64 + asks,
            "{when_blind}"
        );
        origin.on("/a", Reply::status(500));
        // What was validated at this very instant is good still.
        edge.advance_secs(1);
        let answer = edge.get("/a");
        assert!(
            status(&answer).contains(while_down),
            "{when_blind}: {answer:?}"
        );
        let is_served = when_blind != "revalidate";
        assert_eq!(
            answer.text() == "page",
            is_served,
            "{when_blind}: {answer:?}"
        );
        nats.run();
        edge.advance_secs(2);
        wait_until_ready(std::slice::from_ref(&edge));
        assert_eq!(edge.metric("tero_cluster_blind_times_total", &[]), 1.0);
    }
}

#[test]
fn a_purge_that_no_node_would_read_is_refused() {
    let Some(nats) = newest() else { return };
    init(&nats);
    let origin = Origin::start();
    let edges = ["one", "two"].map(|name| node(&origin, &nats, name).start());
    wait_until_ready(&edges);
    // JSON writes a control character as six bytes.
    let purge = |length: usize| {
        let url = format!("http://{HOST}/a#{}", "\u{1}".repeat(length));
        let request = PurgeRequest::new(PurgeTarget::Url(url), false);
        edges[0].ask::<Purge>(&[], &request)
    };
    let taken = purge(5_300);
    assert_eq!(taken.status, 200, "{taken:?}");
    let refused = purge(5_500);
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.text().contains("larger than 32768 bytes"));
    let number = logged(&edges[0]).fleet.unwrap().number.unwrap();
    eventually("the purge on the other node", || {
        edges[1].metric(NUMBER, &[]) >= number as f64
    });
    for edge in &edges {
        assert_eq!(edge.metric("tero_cluster_purges_waiting", &[]), 0.0);
        assert_eq!(edge.metric("tero_cluster_doubts_total", &[]), 0.0);
    }
}

#[test]
fn a_purge_that_is_sent_again_under_its_id_is_logged_once() {
    let Some(nats) = newest() else { return };
    init(&nats);
    let origin = Origin::start();
    let edge = node(&origin, &nats, "one").start();
    wait_until_ready(std::slice::from_ref(&edge));
    let request = PurgeRequest {
        id: Some("deploy-1".to_owned()),
        ..PurgeRequest::new(tag(), false)
    };
    let numbers: Vec<_> = (0..2)
        .map(|_| {
            let answer: PurgeResponse = edge.call::<Purge>(&[], &request);
            let fleet = answer.fleet.unwrap();
            assert_eq!(fleet.id, "deploy-1");
            fleet.number
        })
        .collect();
    assert!(
        numbers[0].is_some() && numbers[0] == numbers[1],
        "{numbers:?}"
    );
    // The node is past it: it is not waited for, and not taken for lost.
    eventually("no purge that waits", || {
        edge.metric("tero_cluster_purges_waiting", &[]) == 0.0
    });
    assert_eq!(edge.metric("tero_cluster_log_lost_total", &[]), 0.0);
    let bad = PurgeRequest {
        id: Some("a b".to_owned()),
        ..request
    };
    assert_eq!(edge.ask::<Purge>(&[], &bad).status, 400);
}

#[test]
fn purges_reach_all_nodes() {
    let Some(trio) = Trio::start() else { return };
    for _ in 0..100 {
        trio.purge();
    }
}

#[test]
#[allow(clippy::disallowed_methods)] // It measures how long a node is blind.
fn a_node_catches_up_on_a_hundred_thousand_purges() {
    let Some(nats) = newest() else { return };
    init(&nats);
    let state = folder();
    let origin = Origin::start();
    origin.on("/a", page());
    let other = node(&origin, &nats, "two").start();
    let node = node(&origin, &nats, "one").state_dir(state.path());
    let edge = node.start();
    wait_until_ready(std::slice::from_ref(&edge));
    wait_until_ready(std::slice::from_ref(&other));
    let before = edge.metric(NUMBER, &[]);
    drop(edge);
    let purges = (0..PURGES).map(|number| {
        format!(
            "{{\"purge\":{{\"id\":\"p{number}\",\"at_ms\":{number},\"target\":{{\"url\":\"http://www.example.org/{number}\"}},\"soft\":false}}}}"
        )
    });
    nats.publish("tero.purges", purges);
    eventually("all purges in the log", || {
        other.metric(NUMBER, &[]) >= before + PURGES as f64
    });
    let begun = Instant::now();
    let edge = node.start();
    wait_until_ready(std::slice::from_ref(&edge));
    eprintln!("caught up on {PURGES} purges in {:?}", begun.elapsed());
    let applied = edge.metric("tero_cluster_purges_total", &["way=\"log\""]);
    assert_eq!(applied, PURGES as f64);
    assert!(edge.metric(NUMBER, &[]) >= before + PURGES as f64);
    assert_eq!(edge.metric("tero_cluster_doubts_total", &[]), 0.0);
}

#[test]
fn ready_asks_for_the_fleet_where_there_is_one() {
    let origin = Origin::start();
    let edge = Edge::before(&origin).start();
    let answer = edge.admin_get("/ready?cluster");
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.text().contains("this node is alone"));
    assert_eq!(edge.get("/missing").status, 404);
    assert_eq!(edge.send(&get("/missing")).status, 404);
}
