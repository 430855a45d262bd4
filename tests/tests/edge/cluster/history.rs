//! Histories of a fleet: each answer carries the version of its page. Once a node has a purge, or knows
//! that it may have missed it, it serves no version of before.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tero_admin_api::PurgeWait;
use tero_tests::{
    A_TUESDAY_MORNING, ART, Edge, Origin, Reply, SetWhenDropped, eventually, instant,
};
use tero_time::clock::Clock;

use super::nats::newest;
use super::{NUMBER, init, logged, node, purge, wait_until_ready};

/// How often the clock of the nodes is turned.
const TICK: Duration = Duration::from_millis(20);
/// By how much it is turned before a page that was just validated counts as older than a request.
const SECOND: Duration = Duration::from_secs(1);

/// An answer: where and when it was asked for, and the version that it had.
struct SeenVersion {
    node: usize,
    begun: Instant,
    version: u64,
}

/// What a node may serve to requests that begin at this time or later: this version, or later ones.
#[derive(Debug)]
struct AllowedVersion {
    node: usize,
    from: Instant,
    version: u64,
}

/// Waits until all nodes have what is in the log now.
#[track_caller]
fn reach(edges: &[Edge], taken_by: usize) {
    let number = logged(&edges[taken_by]).fleet.unwrap().number.unwrap();
    eventually("the purge on all nodes", || {
        edges
            .iter()
            .all(|edge| edge.metric(NUMBER, &[]) >= number as f64)
    });
}

fn is_blind(edge: &Edge) -> bool {
    edge.metric("tero_cluster_blind", &[]) == 1.0
}

#[test]
#[allow(clippy::disallowed_methods)] // The clocks of nodes run by themselves here.
fn a_node_that_has_a_purge_or_is_blind_serves_no_version_of_before() {
    let Some(mut nats) = newest() else { return };
    init(&nats);
    let version: &'static AtomicU64 = Box::leak(Box::new(AtomicU64::new(1)));
    let origin = Origin::start();
    origin.otherwise(move |_| {
        let body = version.load(Relaxed).to_string();
        Reply::fresh(600, body).header("Surrogate-Key", "prices")
    });
    let zone = ART.parse().unwrap();
    let clock = Clock::by_hand(instant(A_TUESDAY_MORNING, zone));
    let edges = ["one", "two", "three"].map(|name| {
        let text = node(&origin, &nats, name)
            .at(A_TUESDAY_MORNING)
            .site("when_blind = \"revalidate\"")
            .section("max_blind = \"6s\"")
            .to_toml();
        Edge::on_clock(&text, clock.clone(), zone)
    });
    let is_over = AtomicBool::new(false);
    let seen: Mutex<Vec<SeenVersion>> = Mutex::default();
    let look = |node: usize| {
        let begun = Instant::now();
        let answer = edges[node].get("/a");
        if answer.status == 200 {
            let version = answer.text().parse().unwrap();
            let seen_version = SeenVersion {
                node,
                begun,
                version,
            };
            seen.lock().unwrap().push(seen_version);
        }
    };
    let mut allowed = Vec::new();
    let (is_over, look) = (&is_over, &look);
    std::thread::scope(|scope| {
        let _stop = SetWhenDropped(is_over);
        // The clock of the nodes runs as the real one does.
        scope.spawn(|| {
            let mut told = Instant::now();
            while !is_over.load(Relaxed) {
                std::thread::sleep(TICK);
                let now = Instant::now();
                clock.advance(now - told);
                told = now;
            }
        });
        for node in 0..edges.len() {
            scope.spawn(move || {
                while !is_over.load(Relaxed) {
                    look(node);
                    std::thread::sleep(TICK);
                }
            });
        }
        wait_until_ready(&edges);
        let bump = || version.fetch_add(1, Relaxed) + 1;
        let mut allow = |nodes: &[usize], version: u64| {
            let from = Instant::now();
            allowed.extend(nodes.iter().map(|&node| AllowedVersion {
                node,
                from,
                version,
            }));
            // At least one answer for each rule.
            nodes.iter().copied().for_each(look);
        };
        for number in 0..20 {
            let version = bump();
            reach(&edges, number % 3);
            allow(&[0, 1, 2], version);
        }
        nats.kill();
        eventually("blindness of all nodes", || edges.iter().all(is_blind));
        for number in 0..3 {
            let (version, node) = (bump(), number % 3);
            purge(&edges[node], PurgeWait::None);
            allow(&[node], version);
            // What was validated at this very instant is good still.
            let then = clock.now().saturating_add(SECOND);
            eventually("a second", || clock.now() > then);
            // They are blind as long as the log is away.
            allow(&[0, 1, 2], version);
        }
        nats.run();
        wait_until_ready(&edges);
        eventually("no purge that waits", || {
            let waiting = |edge: &Edge| edge.metric("tero_cluster_purges_waiting", &[]);
            edges.iter().all(|edge| waiting(edge) == 0.0)
        });
        for number in 0..20 {
            let version = bump();
            reach(&edges, number % 3);
            allow(&[0, 1, 2], version);
        }
    });
    for answer in seen.into_inner().unwrap() {
        let broken = allowed.iter().find(|rule| {
            rule.node == answer.node && answer.begun >= rule.from && answer.version < rule.version
        });
        assert!(
            broken.is_none(),
            "node {} served version {}: {broken:?}",
            answer.node,
            answer.version
        );
    }
}
