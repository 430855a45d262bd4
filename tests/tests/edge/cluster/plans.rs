//! Warming plans of a fleet: one node is first, and the others have what it has fetched.

use tero_admin_api::RunTrigger;
use tero_tests::{ART, Edge, Gate, Origin, Reply, eventually, folder, instant};
use tero_time::clock::Clock;

use super::nats::newest;
use super::versions::heard;
use super::{init, is_hit, node, wait_until_ready};
use crate::warming::{ended, runs};

const PAGES: [&str; 4] = ["/page-1", "/page-2", "/page-3", "/page-4"];

#[test]
fn a_node_that_dies_in_its_turn_loses_nothing() {
    let Some(nats) = newest() else { return };
    init(&nats);
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(3_600, &asked.target));
    let gate = Gate::new();
    origin.on("/page-3", Reply::fresh(3_600, "/page-3").behind(&gate));
    let folder = folder();
    let socket = format!("unix:{}/shield.sock", folder.path().display());
    let shield = Edge::before(&origin)
        .server(&format!(
            "name = \"shield\"\ntrusted_edges = [\"unix\"]\n[[server.listener]]\naddress = \"{socket}\""
        ))
        .start();
    let zone = ART.parse().unwrap();
    let clock = Clock::by_hand(instant("2026-11-24T08:59:50", zone));
    let mut edges = ["one", "two"].map(|name| {
        let plan = format!(
            "[site.shield]\nnodes = [\"{socket}\"]\n[[warm]]\nname = \"plan\"\nsite = \"site\"\n\
             urls = {PAGES:?}\nconcurrency = 1\nschedule = \"0 9 * * *\"\nzone = \"{ART}\""
        );
        let text = node(&origin, &nats, name).section(&plan).to_toml();
        Some(Edge::on_clock(&text, clock.clone(), zone))
    });
    let up = |edges: &[Option<Edge>; 2]| edges.iter().flatten().count();
    for edge in edges.iter().flatten() {
        wait_until_ready(std::slice::from_ref(edge));
        eventually("nodes that hear of each other", || heard(edge).len() == 2);
    }
    clock.advance(std::time::Duration::from_secs(20));
    gate.wait_for_arrivals(1);
    let has_run = |edge: &Option<Edge>| edge.as_ref().is_some_and(|edge| !runs(edge).is_empty());
    let first = edges.iter().position(has_run).expect("one node is first");
    assert_eq!(edges.iter().filter(|edge| has_run(edge)).count(), 1);
    drop(edges[first].take());
    assert_eq!(up(&edges), 1);
    gate.open();
    let other = edges.iter().flatten().next().expect("one is left");
    eventually("its turn", || !runs(other).is_empty());
    let report = ended(other, runs(other)[0].id);
    assert_eq!(report.trigger, RunTrigger::Schedule);
    for page in PAGES {
        let answer = other.get(page);
        assert!(is_hit(&answer), "{answer:?}");
        assert_eq!(origin.requests(page), 1, "{page}");
    }
    drop(shield);
}
