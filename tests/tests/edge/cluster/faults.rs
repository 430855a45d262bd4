//! Random faults of a fleet: three servers of NATS, three nodes that run the real program, visitors and
//! an operator who purges all the time. After each fault no node may serve what was purged, and during it
//! not for longer than `max_blind`.
//!
//! `TERO_FAULTS` is the number of faults, `TERO_FAULTS_SEED` what they and their times are drawn from.
#![allow(clippy::disallowed_methods)] // The programs keep real time.

mod fleet;
mod link;
mod record;
mod servers;
mod small_disk;

use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use tero_admin_api::endpoints::Purge;
use tero_admin_api::{PurgeRequest, PurgeTarget};
use tero_tests::{Edge, Origin, eventually};

use self::fleet::{NODES, NodeFleet};
use self::record::{DonePurge, PAGES, SeenVersion, SharedRecord, WATCHED};
use self::servers::{NatsCluster, SERVERS};
use super::nats::programs;
use super::{NUMBER, doubts, is_purged, logged, page, store, wait_until_ready};

/// `max_blind` of the nodes.
const MAX_BLIND: Duration = Duration::from_secs(6);
/// What is allowed beside it: a look at the clock, a request under way, a busy machine.
const SLACK: Duration = Duration::from_secs(4);

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    KillServer,
    KillAllServers,
    /// The other servers don't hear of it, its clients do.
    CutServer,
    /// From the servers, and from its peers.
    CutNode,
    ResetNode,
    KillNode,
    StopNode,
    RecreateLog,
    /// A backup of the servers is restored.
    RollBack,
    FullServer,
    FullServers,
    /// The disk of the position in the log.
    FullNode,
    /// Purges are acknowledged and lost while a node is cut off, and others take their numbers.
    LoseAcknowledged,
}

const FAULTS: [Fault; 13] = [
    Fault::KillServer,
    Fault::KillAllServers,
    Fault::CutServer,
    Fault::CutNode,
    Fault::ResetNode,
    Fault::KillNode,
    Fault::StopNode,
    Fault::RecreateLog,
    Fault::RollBack,
    Fault::FullServer,
    Fault::FullServers,
    Fault::FullNode,
    Fault::LoseAcknowledged,
];

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        let (multiplier, increment) = (6_364_136_223_846_793_005, 1_442_695_040_888_963_407);
        self.0 = self.0.wrapping_mul(multiplier).wrapping_add(increment);
        (self.0 >> 33) as usize % bound
    }

    /// Some time within these seconds.
    fn wait(&mut self, from: f64, to: f64) {
        let share = self.below(1_000) as f64 / 1_000.0;
        std::thread::sleep(Duration::from_secs_f64(from + (to - from) * share));
    }
}

fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(default, |text| text.parse().expect("it is a number"))
}

#[test]
#[ignore = "200 faults take 45 minutes; CONTRIBUTING.md says how to run it"]
fn no_purge_is_lost_over_random_faults() {
    let Some(program) = programs().pop() else {
        return;
    };
    let (faults, seed) = (number("TERO_FAULTS", 200), number("TERO_FAULTS_SEED", 1));
    let mut dice = Dice(seed);
    let record = SharedRecord::new();
    let mut fleet = NodeFleet::start(&program, record, MAX_BLIND);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let _stop = record.stop_when_dropped();
        for node in 0..NODES {
            scope.spawn(move || visit(record, node));
        }
        let clients = fleet.clients();
        let mut orders = Dice(seed ^ 0xffff);
        scope.spawn(move || purge_always(record, &clients, &mut orders));
        // All kinds in turn, each round in another order.
        let mut left: Vec<Fault> = Vec::new();
        for place in 1..=faults {
            if left.is_empty() {
                left = FAULTS.to_vec();
            }
            let fault = left.swap_remove(dice.below(left.len()));
            let of_fault = Instant::now();
            inflict(fault, &mut fleet, &mut dice);
            fleet.heal();
            fleet.wait_until_ready();
            let lost = fleet.lost(record);
            record.check(lost, MAX_BLIND + SLACK, &format!("{place} {fault:?}"));
            let took = of_fault.elapsed();
            eprintln!("fault {place} of {faults}: {fault:?}, {took:.1?}; {record}");
        }
    });
    let took = begun.elapsed();
    eprintln!("{faults} faults of seed {seed} in {took:.0?}: {record}");
    fleet.assert_no_panic();
    record.assert_nothing_lost();
}

/// Asks a node for its watched pages, all the time.
fn visit(record: &SharedRecord, node: usize) {
    while !record.is_over() {
        for page in 0..WATCHED {
            let begun = Instant::now();
            if let Some(version) = record.ask(node, page) {
                record.seen(SeenVersion {
                    node,
                    page,
                    begun,
                    version,
                });
            }
            std::thread::sleep(Duration::from_millis(15));
        }
    }
}

/// Purges pages at all nodes, all the time.
fn purge_always(
    record: &SharedRecord,
    clients: &[tero_admin_api::client::Client],
    dice: &mut Dice,
) {
    while !record.is_over() {
        let (node, page) = (dice.below(NODES), dice.below(PAGES));
        let is_soft = dice.below(4) == 0;
        let kills = record.kills(node);
        let version = record.bump(page);
        let url = PurgeTarget::Url(format!("http://www.example/{page}"));
        let request = PurgeRequest::new(url, is_soft);
        // Without an answer the operator knows that it may not be carried out.
        if let Ok(answer) = clients[node].call::<Purge>(&[], &request) {
            let is_logged = answer.fleet.is_some_and(|fleet| fleet.number.is_some());
            let purge = DonePurge {
                node,
                page,
                at: Instant::now(),
                version,
                is_logged,
            };
            record.purged(purge, kills);
        }
        std::thread::sleep(Duration::from_millis(60));
    }
}

/// Lets something go wrong for a while. What is left of it is healed by the caller.
fn inflict(fault: Fault, fleet: &mut NodeFleet, dice: &mut Dice) {
    let (server, node) = (dice.below(SERVERS), dice.below(NODES));
    dice.wait(0.2, 1.5);
    match fault {
        Fault::KillServer => fleet.nats.kill(server),
        Fault::KillAllServers => fleet.nats.kill_all(),
        Fault::CutServer => fleet.nats.cut_off(server),
        Fault::CutNode => fleet.cut_off(node),
        Fault::ResetNode => fleet.reset(node),
        Fault::KillNode => fleet.kill(node),
        Fault::StopNode => fleet.stop(node),
        Fault::RecreateLog => {
            fleet.nats.delete_stream("TERO_PURGES");
            dice.wait(0.0, 3.0);
            fleet.nats.prepare();
        }
        Fault::RollBack => {
            let backup = fleet.set_backup_aside();
            dice.wait(1.0, 5.0);
            fleet.set_back(backup.path());
        }
        Fault::FullServer => fleet.nats.fill(server),
        Fault::FullServers => (0..SERVERS).for_each(|server| fleet.nats.fill(server)),
        Fault::FullNode => fleet.fill(node),
        Fault::LoseAcknowledged => {
            let backup = fleet.set_backup_aside();
            fleet.cut_off(node);
            dice.wait(1.0, 5.0);
            fleet.set_back(backup.path());
        }
    }
    dice.wait(0.2, 9.0);
}

#[test]
#[ignore = "three servers of NATS take a while to find each other; CONTRIBUTING.md says how to run it"]
fn a_fleet_goes_on_with_two_of_three_servers() {
    for program in programs() {
        let mut nats = NatsCluster::start(&program);
        let origin = Origin::start();
        origin.on("/a", page());
        let urls: Vec<String> = (0..SERVERS)
            .map(|place| format!("\"{}\"", nats.url(place)))
            .collect();
        let edges = ["one", "two", "three"].map(|name| {
            let servers = urls.join(", ");
            let section = format!("[cluster]\nnats = [{servers}]\nnode = \"{name}\"\n");
            Edge::before(&origin).section(&section).start()
        });
        wait_until_ready(&edges);
        for place in 0..SERVERS {
            edges.iter().for_each(store);
            nats.kill(place);
            let number = logged(&edges[place]).fleet.unwrap().number.unwrap();
            for edge in &edges {
                eventually("the purge on each node", || {
                    is_purged(edge) && edge.metric(NUMBER, &[]) >= number as f64
                });
            }
            nats.run(place);
            wait_until_ready(&edges);
        }
        for edge in &edges {
            for reason in ["gap", "fork", "rewind", "other-log", "unreadable"] {
                assert_eq!(doubts(edge, reason), 0.0, "{reason}");
            }
        }
        let lost: f64 = edges
            .iter()
            .map(|edge| edge.metric("tero_cluster_log_lost_total", &[]))
            .sum();
        assert_eq!(lost, 0.0);
    }
}

/// So that a page that a node is asked for is told from others.
fn path(page: usize) -> String {
    format!("/{page}")
}

/// Whether a thread has to end.
fn is_set(flag: &std::sync::atomic::AtomicBool) -> bool {
    flag.load(SeqCst)
}
