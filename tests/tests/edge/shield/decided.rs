//! What an edge decides of a request holds at its shield: that it passes, and the operator's bound.

use std::time::Duration;

use tero_tests::{EdgeBuilder, Origin, Reply, get, guests};

use super::{before, behind, clock, tier};

#[test]
fn what_passes_at_an_edge_is_stored_by_no_shield() {
    let never = "[[site.never]]\nmatch = [\"/pay\"]";
    let policy = "[policy.settings]\nversion = 3\nrules = [{ name = \"pay\", match = [\"/pay\"], cache = \"never\" }]";
    let edges: [&dyn Fn(EdgeBuilder) -> EdgeBuilder; 2] =
        [&|builder| builder.section(never), &|builder| {
            builder.policy("p", "builtin:json-rules", policy)
        }];
    for dress in edges {
        let origin = Origin::start();
        origin.on("/pay", Reply::fresh(3_600, "for one"));
        let clock = clock();
        let shield = tier("shield", &clock, before(&origin));
        let edge = tier("edge", &clock, dress(behind(&shield)));
        for asked in [1, 2] {
            assert_eq!(edge.get("/pay").text(), "for one");
            assert_eq!(origin.requests("/pay"), asked);
        }
        // Those who come to the shield by themselves are told nothing by that edge.
        shield.get("/pay").assert_forwarded("uri-miss", "for one");
    }
}

#[test]
fn the_operators_bound_of_an_edge_holds_at_the_shield() {
    let origin = Origin::start();
    origin.on("/api/a", Reply::fresh(3_600, "a"));
    let keys = "[[site.at_most]]\nmatch = [\"/api/*\"]\nttl = \"1min\"";
    let clock = clock();
    let shield = tier("shield", &clock, before(&origin));
    let edge = tier("edge", &clock, behind(&shield).section(keys));
    edge.get("/api/a").assert_forwarded("uri-miss", "a");
    clock.advance(Duration::from_secs(61));
    edge.get("/api/a").assert_forwarded("stale", "a");
    assert_eq!(origin.requests("/api/a"), 2);
}

#[test]
fn a_value_for_which_an_edge_has_no_room_is_stored_by_no_shield() {
    let origin = Origin::start();
    origin.on("/a", Reply::fresh(3_600, "a"));
    let module = guests::deciding_path().display().to_string();
    let settings = "[policy.settings]\ncookies = [\"market\"]\non_request = [{ path = \"/\", key_parts = { market = \"{cookie:market}\" } }]";
    let clock = clock();
    let shield = tier("shield", &clock, before(&origin));
    let edge = behind(&shield)
        .policy("p", &module, settings)
        .site("max_key_values = 1");
    let edge = tier("edge", &clock, edge);
    let ask = |market: &str| edge.send(&get("/a").header("Cookie", format!("market={market}")));
    ask("ar").assert_forwarded("uri-miss", "a");
    for asked in [2, 3] {
        ask("made-up").assert_forwarded("bypass", "a");
        assert_eq!(origin.requests("/a"), asked);
    }
    ask("ar").assert_hit("a");
}
