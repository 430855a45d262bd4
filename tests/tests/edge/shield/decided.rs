//! What an edge decides of a request holds at its shield: that it passes, and the operator's bound.

use std::time::Duration;

use tero_tests::{EdgeBuilder, Origin, Reply};

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
