//! Histories of a fleet: each answer carries the version of its page, and each purge has its time. No
//! page may be served fresh longer after its purge than the site bounds it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tero_admin_api::PurgeWait;
use tero_tests::{A_TUESDAY_MORNING, ART, Edge, Origin, Reply, instant};
use tero_time::clock::Clock;

use super::nats::newest;
use super::{init, node, purge, wait_until_ready};

/// `max_blind` of the nodes.
const MAX_BLIND: Duration = Duration::from_secs(6);
/// What is allowed beside it: a look at the clock, a request under way, a busy machine.
const SLACK: Duration = Duration::from_secs(2);
/// How long a purge may take where nothing is wrong.
const CALM: Duration = Duration::from_secs(2);
/// How often the clock of the nodes is turned.
const TICK: Duration = Duration::from_millis(20);
/// How long the log is away.
const OUTAGE: Duration = Duration::from_secs(10);

/// An answer: when it was asked for, and the version that it had.
struct SeenVersion {
    begun: Instant,
    version: u64,
}

/// A purge: when it was answered, which version it left valid, and how long an older one may be served.
struct DonePurge {
    at: Instant,
    version: u64,
    bound: Duration,
}

#[test]
#[allow(clippy::disallowed_methods)] // The clocks of nodes run by themselves here.
fn no_page_is_served_longer_than_its_bound() {
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
    wait_until_ready(&edges);
    let seen: Mutex<Vec<SeenVersion>> = Mutex::default();
    let is_over = AtomicBool::new(false);
    let mut purges = Vec::new();
    std::thread::scope(|scope| {
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
        for edge in &edges {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    let begun = Instant::now();
                    let answer = edge.get("/a");
                    if answer.status == 200 {
                        let version = answer.text().parse().unwrap();
                        seen.lock().unwrap().push(SeenVersion { begun, version });
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
            });
        }
        let mut purge_once = |number: usize, bound: Duration, wait: PurgeWait| {
            let version = version.fetch_add(1, Relaxed) + 1;
            purge(&edges[number % 3], wait);
            let at = Instant::now();
            purges.push(DonePurge { at, version, bound });
        };
        for number in 0..20 {
            purge_once(number, CALM, PurgeWait::Quorum);
            std::thread::sleep(Duration::from_millis(50));
        }
        nats.kill();
        let away = Instant::now();
        let mut number = 0;
        while away.elapsed() < OUTAGE {
            purge_once(number, MAX_BLIND + SLACK, PurgeWait::None);
            number += 1;
            std::thread::sleep(Duration::from_millis(500));
        }
        nats.run();
        wait_until_ready(&edges);
        for number in 0..20 {
            purge_once(number, CALM, PurgeWait::Quorum);
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(CALM);
        is_over.store(true, Relaxed);
    });
    let seen = seen.into_inner().unwrap();
    assert!(
        seen.len() > 500 && purges.len() > 50,
        "{} answers",
        seen.len()
    );
    for SeenVersion { begun, version } in &seen {
        let mut broken = purges.iter().filter(|purge| {
            *version < purge.version && begun.saturating_duration_since(purge.at) > purge.bound
        });
        if let Some(purge) = broken.next() {
            let late = begun.saturating_duration_since(purge.at);
            panic!(
                "version {version} was served {late:?} after the purge that left {}",
                purge.version
            );
        }
    }
}
