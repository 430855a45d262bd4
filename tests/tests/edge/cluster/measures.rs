//! What fleets are measured by, with commands of their own.
#![allow(clippy::disallowed_methods)] // They measure real time.

use std::time::Instant;

use tero_admin_api::endpoints::Rollback;

use super::Trio;
use super::versions::{Fleet, activate, active, has, pushed, rules};

#[test]
#[ignore = "it measures; CONTRIBUTING.md says how to run it"]
fn a_version_decides_on_ten_nodes_and_is_rolled_back() {
    let Some(fleet) = Fleet::start(10) else {
        return;
    };
    for round in 0..5 {
        let digest = pushed(&fleet.nodes[round], &rules(300 + round as u64));
        fleet.wait_until("the version", |node| has(node, &digest));
        let begun = Instant::now();
        activate(&fleet.nodes[round + 1], &digest);
        fleet.wait_until("the version decides", |node| active(node) == digest);
        let activated = begun.elapsed();
        let begun = Instant::now();
        let answer = fleet.nodes[round + 2].call::<Rollback>(&["rules"], &());
        assert!(answer.fleet.expect("it is of a fleet").told);
        fleet.wait_until("the version of before", |node| active(node) != digest);
        let back = begun.elapsed();
        eprintln!("ten nodes: activated in {activated:.0?}, rolled back in {back:.0?}");
    }
}

#[test]
#[ignore = "it measures; CONTRIBUTING.md says how to run it"]
fn a_purge_is_at_all_nodes() {
    let Some(trio) = Trio::start() else { return };
    let mut waits: Vec<_> = (0..100)
        .map(|_| {
            let begun = Instant::now();
            trio.purge();
            begun.elapsed()
        })
        .collect();
    waits.sort_unstable();
    let (median, p99) = (waits[50], waits[98]);
    eprintln!("a purge at all nodes: median {median:.0?}, p99 {p99:.0?}");
}
