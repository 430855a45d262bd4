//! Numbers of the purge log between an edge and its shield.

use tero_tests::{Edge, Origin, Request, eventually, folder, get};

use super::nats::{copy, newest};
use super::{doubts, init, is_hit, logged, node, page, store, wait_until_ready};

/// A request of an edge that is at this number.
fn of_edge_at(log: &str, number: u64) -> Request {
    get("/a").header("Tero-Tier", format!("purges=\"{log}/{number}\""))
}

const EDGES: &str = "trusted_edges = [\"127.0.0.0/8\"]";

#[test]
fn a_shield_that_is_behind_its_edge_waits_and_asks_the_origin() {
    let Some(nats) = newest() else { return };
    init(&nats);
    let origin = Origin::start();
    origin.on("/a", page());
    let shield = node(&origin, &nats, "shield").server(EDGES).start();
    wait_until_ready(std::slice::from_ref(&shield));
    let fleet = logged(&shield).fleet.unwrap();
    let (log, number) = (fleet.log.unwrap(), fleet.number.unwrap());
    store(&shield);
    assert!(is_hit(&shield.send(&of_edge_at(&log, number))));
    for (log, number) in [(log.as_str(), number + 1_000), ("0123456789abcdef", 1)] {
        // What was fetched at this very instant is not older than the request.
        shield.advance_secs(1);
        let asked = origin.requests("/a");
        let answer = std::thread::scope(|scope| {
            let answer = scope.spawn(|| shield.send(&of_edge_at(log, number)));
            shield.advance_until(5, || answer.is_finished());
            answer.join().unwrap()
        });
        assert!(!is_hit(&answer), "{answer:?}");
        assert_eq!(answer.text(), "page");
        assert_eq!(origin.requests("/a"), asked + 1);
        // What is stored is good for those who ask for no more.
        assert!(is_hit(&shield.get("/a")));
    }
    let malformed = get("/a").header("Tero-Tier", "purges=7");
    assert_eq!(shield.send(&malformed).status, 400);
}

#[test]
fn a_shield_whose_log_was_set_back_claims_no_number_of_before() {
    let Some(mut nats) = newest() else { return };
    init(&nats);
    let origin = Origin::start();
    origin.on("/a", page());
    let shield = node(&origin, &nats, "shield").server(EDGES).start();
    wait_until_ready(std::slice::from_ref(&shield));
    nats.kill();
    let backup = folder();
    copy(&nats.store(), backup.path());
    nats.run();
    // Far more than the beats that come after the backup is back.
    let fleet = (0..200).map(|_| logged(&shield).fleet.unwrap()).last();
    let (log, number) = fleet
        .map(|fleet| (fleet.log.unwrap(), fleet.number.unwrap()))
        .unwrap();
    store(&shield);
    assert!(is_hit(&shield.send(&of_edge_at(&log, number))));
    nats.kill();
    std::fs::remove_dir_all(nats.store()).unwrap();
    copy(backup.path(), &nats.store());
    nats.run();
    eventually("a doubt", || {
        doubts(&shield, "rewind") + doubts(&shield, "fork") == 1.0
    });
    wait_until_ready(std::slice::from_ref(&shield));
    store(&shield);
    // What was fetched at this very instant is not older than the request.
    shield.advance_secs(1);
    let answer = std::thread::scope(|scope| {
        let answer = scope.spawn(|| shield.send(&of_edge_at(&log, number)));
        shield.advance_until(5, || answer.is_finished());
        answer.join().unwrap()
    });
    assert!(!is_hit(&answer), "{answer:?}");
}

#[test]
fn a_shield_that_is_alone_does_not_look_at_numbers() {
    let origin = Origin::start();
    origin.on("/a", page());
    let shield = Edge::before(&origin).server(EDGES).start();
    store(&shield);
    assert!(is_hit(&shield.send(&of_edge_at("0123456789abcdef", 7))));
}

#[test]
fn an_edge_tells_how_far_it_is() {
    let Some(nats) = newest() else { return };
    init(&nats);
    let origin = Origin::start();
    origin.on("/a", page());
    let edge = node(&origin, &nats, "edge").start();
    wait_until_ready(std::slice::from_ref(&edge));
    let fleet = logged(&edge).fleet.unwrap();
    // What a visitor says of itself is not believed.
    edge.send(&of_edge_at("0123456789abcdef", 7));
    let told = origin.only("/a").header("tero-tier").unwrap();
    let (log, number) = (fleet.log.unwrap(), fleet.number.unwrap());
    let text = told.strip_prefix(&format!("purges=\"{log}/")).unwrap();
    let at: u64 = text.strip_suffix('"').unwrap().parse().unwrap();
    assert!(at >= number, "{told}");
}
