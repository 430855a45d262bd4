//! The rules of a site hold for the visitors of a node, and for no other node.

use tero_tests::{A_TUESDAY_MORNING, ART, Edge, get, instant};
use tero_time::clock::Clock;

use super::{Nodes, origin};

/// `ana:secret`
const USERS: &str =
    r#"users = ["ana:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"]"#;
const ANA: &str = "Basic YW5hOnNlY3JldA==";

#[test]
fn a_node_carries_out_the_rules_for_its_visitors_and_not_for_other_nodes() {
    let origin = origin();
    let nodes = Nodes::start(&origin, 2, |node| {
        let auth = format!("auth = {{ realm = \"Staging\", {USERS} }}");
        let rules = "[site.route.response_fields]\nset = { X-Shop = \"one\" }";
        node.section(&format!(
            "[[site.route]]\nmatch = [\"/page-*\"]\n{auth}\n{rules}"
        ))
    });
    let page = nodes.page_of(1);
    assert_eq!(nodes.at(0).get(&page).status, 401);
    let asked = get(&page).header("Authorization", ANA);
    let answer = nodes.at(0).send(&asked);
    answer.assert_forwarded("uri-miss", &page);
    assert_eq!(answer.header("x-shop").as_deref(), Some("one"));
    assert_eq!(origin.only(&page).header("authorization"), None);
    // Both have stored it, each gives it to those who know the password, and browsers alone keep it.
    for place in [0, 1] {
        assert_eq!(nodes.at(place).get(&page).status, 401);
        let answer = nodes.at(place).send(&asked);
        answer.assert_hit(&page);
        let told = answer.header("cache-control").unwrap();
        assert!(told.contains("private"), "{told}");
    }
}

#[test]
fn a_visitor_is_counted_once_whichever_shield_a_page_has() {
    let origin = origin();
    let nodes = Nodes::start(&origin, 2, |node| {
        node.section("[[limit]]\nname = \"each\"\nrequests = 2\nper = \"1min\"")
    });
    let (own, other) = (nodes.page_of(0), nodes.page_of(1));
    // Two at this node, of which one goes to the other; that one has its own two to give.
    for page in [&own, &other] {
        assert_eq!(nodes.at(0).get(page).status, 200);
    }
    assert_eq!(nodes.at(0).get(&own).status, 429);
    for page in [&own, &other] {
        assert_eq!(nodes.at(1).get(page).status, 200);
    }
    assert_eq!(nodes.at(1).get(&own).status, 429);
}

#[test]
fn a_node_that_has_not_heard_of_the_shields_of_its_fleet_does_the_same() {
    let origin = origin();
    let route =
        format!("[[site.route]]\nmatch = [\"/page-*\"]\nauth = {{ realm = \"Staging\", {USERS} }}");
    // Nothing listens there.
    let cluster = "[cluster]\nnode = \"one\"\nnats = [\"nats://127.0.0.1:9\"]";
    let text = Edge::before(&origin)
        .server("trusted_edges = [\"127.0.0.1\"]")
        .section(&route)
        .section(cluster)
        .to_toml()
        .replace("hosts = [", "shield = { from = \"cluster\" }\nhosts = [");
    let zone = ART.parse().unwrap();
    let edge = Edge::on_clock(
        &text,
        Clock::by_hand(instant(A_TUESDAY_MORNING, zone)),
        zone,
    );
    let of_node = get("/page-1").header("Tero-Tier", "shield");
    edge.send(&of_node).assert_forwarded("uri-miss", "/page-1");
    // A load balancer in the network of the nodes brings visitors, whose words on variants don't count.
    assert_eq!(edge.get("/page-1").status, 401);
    edge.send(&get("/other").header("Tero-Variant", "mobile"))
        .assert_forwarded("uri-miss", "/other");
    edge.get("/other").assert_hit("/other");
}
