//! `[site.shield]`: nodes that are edges and shields at once. Each URL has one shield.

mod rules;

use std::path::Path;

use serde_json::json;
use tempfile::TempDir;
use tero_admin_api::{ExplainResponse, OriginReport, OriginState, OriginsResponse};
use tero_tests::{
    A_TUESDAY_MORNING, ART, Answer, Edge, EdgeBuilder, Origin, Reply, Request, eventually, folder,
    get, instant,
};
use tero_time::clock::Clock;

use super::warming::{assert_counts, warm};

/// Nodes with one configuration but for which of them they are. They reach each other by sockets.
struct Nodes {
    nodes: Vec<Option<Edge>>,
    folder: TempDir,
}

impl Nodes {
    fn start(origin: &Origin, count: usize, more: impl Fn(EdgeBuilder) -> EdgeBuilder) -> Nodes {
        let folder = folder();
        let clock = Clock::by_hand(instant(A_TUESDAY_MORNING, ART.parse().unwrap()));
        let nodes = (0..count).map(|place| {
            let text = trusting(more(node(origin, folder.path(), place, count)));
            let edge = Edge::on_clock(&text, clock.clone(), ART.parse().unwrap());
            Some(edge)
        });
        Nodes {
            nodes: nodes.collect(),
            folder,
        }
    }

    fn at(&self, place: usize) -> &Edge {
        self.nodes[place].as_ref().expect("the node runs")
    }

    fn running(&self) -> impl Iterator<Item = (usize, &Edge)> {
        let nodes = self.nodes.iter().enumerate();
        nodes.filter_map(|(place, node)| Some((place, node.as_ref()?)))
    }

    /// The node that has a page, by what all nodes say.
    fn owner(&self, page: &str) -> usize {
        let owners = self.running().map(|(place, node)| {
            let told = shields_of(node, page);
            let first = place_of(&told);
            assert_eq!(
                told.contains("this node is the URL's shield"),
                first == place
            );
            first
        });
        let owners: Vec<usize> = owners.collect();
        assert!(owners.iter().all(|owner| *owner == owners[0]), "{owners:?}");
        owners[0]
    }

    /// A page that this node has.
    fn page_of(&self, place: usize) -> String {
        let mut pages = (0..200).map(|number| format!("/page-{number}"));
        pages
            .find(|page| self.owner(page) == place)
            .expect("each node has some of 200 pages")
    }
}

fn socket(folder: &Path, place: usize) -> String {
    format!("unix:{}/{place}.sock", folder.display())
}

fn nodes_key(folder: &Path, count: usize) -> String {
    let nodes: Vec<_> = (0..count).map(|place| socket(folder, place)).collect();
    format!("nodes = {nodes:?}")
}

/// A node that is the shield at this place.
fn node(origin: &Origin, folder: &Path, place: usize, count: usize) -> EdgeBuilder {
    let own = socket(folder, place);
    Edge::before(origin)
        .server(&format!("name = \"node-{place}\""))
        .section(&format!(
            "[site.shield]\n{}\nthis_node = \"{own}\"\n[[server.listener]]\naddress = \"{own}\"",
            nodes_key(folder, count)
        ))
}

/// Its configuration, in which it trusts the other nodes unless it says whom.
fn trusting(node: EdgeBuilder) -> String {
    let text = node.to_toml();
    match text.contains("trusted_edges") {
        true => text,
        false => text.replacen("[server]", "[server]\ntrusted_edges = [\"unix\"]", 1),
    }
}

/// A node in front of the shields `nodes`, and not one of them.
fn edge_before(origin: &Origin, nodes: &Nodes, keys: &str) -> EdgeBuilder {
    let list = nodes_key(nodes.folder.path(), nodes.nodes.len());
    Edge::before(origin)
        .server("name = \"edge\"")
        .section(&format!("[site.shield]\n{list}\n{keys}"))
}

/// What is told of the shields of a page.
fn shields_of(node: &Edge, page: &str) -> String {
    let asked = json!({ "url": page }).to_string();
    let explained: ExplainResponse = node.admin_post("/explain", &asked).read();
    let mut rules = explained.rules.into_iter();
    let rule = rules.find(|rule| rule.rule == "shields");
    rule.expect("the site has shields").text
}

/// The place of the first shield that is told.
fn place_of(told: &str) -> usize {
    let (_, names) = told.split_once(".sock").map_or(("", ""), |(before, _)| {
        before.rsplit_once('/').expect("a socket has a path")
    });
    names.parse().expect("a socket is named by its place")
}

fn page(asked: &tero_tests::OriginRequest) -> Reply {
    Reply::fresh(600, &asked.target)
}

fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(page);
    origin
}

fn members(answer: &Answer) -> Vec<String> {
    let status = answer.header("cache-status").unwrap_or_default();
    let names = status.split(", ").map(|member| {
        let end = member.find(';').unwrap_or(member.len());
        member[..end].to_owned()
    });
    names.collect()
}

fn shield_reports(edge: &Edge) -> Vec<OriginReport> {
    let told: OriginsResponse = edge.admin_get("/origins").read();
    let shields = told.origins.into_iter().filter(|origin| origin.shield);
    shields.collect()
}

#[test]
fn a_cold_page_asked_at_all_nodes_at_once_is_one_origin_request() {
    let origin = origin();
    let nodes = Nodes::start(&origin, 3, |node| node);
    origin.hold();
    let pages: Vec<String> = (0..12).map(|number| format!("/page-{number}")).collect();
    std::thread::scope(|scope| {
        for page in &pages {
            for (_, node) in nodes.running() {
                scope.spawn(move || {
                    let answer = node.get(page);
                    assert_eq!((answer.status, answer.text()), (200, page.clone()));
                });
            }
        }
        pages.iter().for_each(|page| origin.wait_for(page, 1));
        origin.release();
    });
    for page in &pages {
        assert_eq!(origin.requests(page), 1, "{page}");
    }
}

#[test]
fn a_node_asks_the_origin_itself_for_what_it_has_and_that_pages_node_for_all_else() {
    let origin = origin();
    let nodes = Nodes::start(&origin, 3, |node| node);
    let mut owned = [0; 3];
    for number in 0..30 {
        let page = format!("/page-{number}");
        let owner = nodes.owner(&page);
        owned[owner] += 1;
        for (place, node) in nodes.running() {
            let answer = node.get(&page);
            let way = match place == owner {
                true => vec![format!("node-{owner}")],
                false => vec![format!("node-{owner}"), format!("node-{place}")],
            };
            assert_eq!(members(&answer), way);
            node.get(&page).assert_hit(&page);
        }
        assert_eq!(origin.requests(&page), 1);
    }
    assert!(owned.iter().all(|pages| *pages > 0), "{owned:?}");
}

#[test]
fn growth_from_three_to_four_shields_moves_a_quarter_of_the_pages() {
    let origin = origin();
    let folder = folder();
    let builder = |count| {
        let keys = nodes_key(folder.path(), count);
        Edge::before(&origin).section(&format!("[site.shield]\n{keys}"))
    };
    let edge = builder(3).start();
    let owners = || {
        let pages = (0..400).map(|number| shields_of(&edge, &format!("/page-{number}")));
        pages.map(|told| place_of(&told)).collect::<Vec<_>>()
    };
    let before = owners();
    edge.reload(&builder(4)).unwrap();
    let after = owners();
    let moved: Vec<usize> = (before.iter().zip(&after))
        .filter(|(before, after)| before != after)
        .map(|(_, after)| *after)
        .collect();
    assert!(
        moved.iter().all(|to| *to == 3),
        "a page moves to the new shield only"
    );
    assert!((70..130).contains(&moved.len()), "{} of 400", moved.len());
}

#[test]
fn a_variant_has_the_shield_of_its_page() {
    let by_device = "[policy.settings]\nversion = 3\nvariants.mobile = { devices = [\"mobile\"], paths = [\"*\"] }\n\
                     rules = [{ name = \"all\", match = [\"*\"], ttl = 3600 }]";
    let origin = origin();
    let nodes = Nodes::start(&origin, 2, |node| {
        node.policy("p", "builtin:json-rules", by_device)
    });
    let page = nodes.page_of(1);
    let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";
    let from_phone = get(&page).header("User-Agent", phone);
    let edge = nodes.at(0);
    assert_eq!(members(&edge.get(&page)), ["node-1", "node-0"]);
    assert_eq!(members(&edge.send(&from_phone)), ["node-1", "node-0"]);
    nodes.at(1).send(&from_phone).assert_hit(&page);
    assert_eq!(origin.requests(&page), 2);
}

#[test]
fn a_shield_that_is_gone_is_passed_over_and_its_pages_go_to_their_next() {
    let origin = origin();
    let mut nodes = Nodes::start(&origin, 3, |node| node);
    let page = nodes.page_of(2);
    nodes.nodes[2] = None;
    let first = nodes.at(0).get(&page);
    assert_eq!((first.status, first.text()), (200, page.clone()));
    let resting = shield_reports(nodes.at(0));
    assert_eq!(resting.len(), 2, "this node is not among them: {resting:?}");
    assert!(
        resting.iter().any(|hop| hop.state == OriginState::Resting),
        "{resting:?}"
    );
    nodes.at(1).get(&page);
    assert_eq!(
        origin.requests(&page),
        1,
        "both agree on the page's next shield"
    );
}

#[test]
fn without_a_shield_the_origins_are_asked_if_the_site_says_so() {
    let origin = origin();
    let mut nodes = Nodes::start(&origin, 1, |node| node);
    let falling = edge_before(&origin, &nodes, "").start();
    let strict = edge_before(&origin, &nodes, "fall_back = false").start();
    assert_eq!(members(&falling.get("/x")), ["node-0", "edge"]);
    assert_eq!(members(&strict.get("/y")), ["node-0", "edge"]);
    nodes.nodes[0] = None;
    for page in ["/a", "/b"] {
        let answer = falling.get(page);
        assert_eq!(
            (members(&answer), answer.text()),
            (vec!["edge".to_owned()], page.to_owned())
        );
    }
    // Also a request that can't be sent twice: nothing of it was sent.
    let posted = falling.send(&Request::new("POST", "/form").body("a=b"));
    assert_eq!(posted.status, 200);
    strict.get("/z").assert_failed(502, "could not be reached");
    assert_eq!(origin.requests("/z"), 0);
}

#[test]
fn a_shield_is_back_after_its_rest() {
    let origin = origin();
    let mut nodes = Nodes::start(&origin, 1, |node| node);
    let edge = edge_before(&origin, &nodes, "").start();
    nodes.nodes[0] = None;
    assert_eq!(members(&edge.get("/a")), ["edge"]);
    let text = trusting(node(&origin, nodes.folder.path(), 0, 1));
    let clock = edge.clock().clone();
    nodes.nodes[0] = Some(Edge::on_clock(&text, clock, ART.parse().unwrap()));
    assert_eq!(members(&edge.get("/b")), ["edge"], "it still rests");
    edge.advance_secs(6);
    // A request of the edge's own finds out, and no visitor waits for that.
    assert_eq!(members(&edge.get("/c")), ["edge"]);
    eventually("the shield is asked again", || {
        shield_reports(&edge)[0].state == OriginState::Healthy
    });
    assert_eq!(members(&edge.get("/d")), ["node-0", "edge"]);
}

#[test]
fn errors_of_the_origin_rest_no_shield() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::status(503));
    let nodes = Nodes::start(&origin, 1, |node| node);
    let edge = edge_before(&origin, &nodes, "").start();
    for number in 0..20 {
        assert_eq!(edge.get(&format!("/page-{number}")).status, 503);
    }
    assert_eq!(shield_reports(&edge)[0].state, OriginState::Healthy);
}

#[test]
fn a_post_makes_the_page_of_its_shield_invalid() {
    let origin = origin();
    let nodes = Nodes::start(&origin, 2, |node| node);
    let page = nodes.page_of(1);
    let edge = nodes.at(0);
    nodes.at(1).get(&page);
    edge.get(&page);
    assert_eq!(origin.requests(&page), 1);
    let posted = edge.send(&Request::new("POST", &page).body("a=b"));
    assert_eq!(members(&posted), ["node-1", "node-0"]);
    edge.get(&page).assert_forwarded("uri-miss", &page);
    assert_eq!(origin.requests(&page), 3);
}

#[test]
fn a_shield_that_is_drained_gets_no_requests() {
    let origin = origin();
    let nodes = Nodes::start(&origin, 2, |node| node);
    let page = nodes.page_of(1);
    let edge = nodes.at(0);
    let shield = socket(nodes.folder.path(), 1);
    let drained: OriginReport = edge
        .admin_post(
            "/origins/drain",
            &json!({ "site": "site", "origin": shield }).to_string(),
        )
        .read();
    assert_eq!(
        (drained.shield, drained.state),
        (true, OriginState::Drained)
    );
    assert_eq!(members(&edge.get(&page)), ["node-0"]);
}

#[test]
fn a_plan_warms_the_edge_through_the_shields() {
    let origin = origin();
    let plan = "[[warm]]\nname = \"plan\"\nsite = \"site\"\nurls = [\"/page-1\", \"/page-2\", \"/page-3\", \"/page-4\"]";
    let nodes = Nodes::start(&origin, 2, |node| node.section(plan));
    let report = warm(nodes.at(0));
    assert_counts(&report, &[("fetched", 4), ("failed", 0)]);
    for (_, node) in nodes.running() {
        for number in 1..5 {
            let page = format!("/page-{number}");
            let answer = node.get(&page);
            assert_eq!(answer.text(), page);
            assert_eq!(origin.requests(&page), 1);
        }
    }
}

#[test]
fn a_shield_without_trust_in_edges_is_refused() {
    let origin = origin();
    let folder = folder();
    let own = socket(folder.path(), 0);
    let nodes = nodes_key(folder.path(), 2);
    let with = |keys: &str| {
        let builder = Edge::before(&origin).section(&format!("[site.shield]\n{keys}"));
        builder.try_start().map(drop).unwrap_err()
    };
    for (keys, words) in [
        (
            format!("{nodes}\nthis_node = \"{own}\""),
            ["trusts no edge", "trusted_edges"],
        ),
        (
            format!("{nodes}\nthis_node = \"http://a\""),
            ["not one of `nodes`", "as it is in `nodes`"],
        ),
        (
            format!("{nodes}\ntls_name = \"a\""),
            ["nothing without TLS", "https URLs"],
        ),
        (
            format!("{nodes}\nspill_above = 100001"),
            ["spill_above", "0 to"],
        ),
        (String::new(), ["`nodes` is missing", "nodes = ["]),
        (
            format!("{nodes}\nfrom = \"cluster\""),
            ["both `from` and `nodes`", "one of the two"],
        ),
        (
            "nodes = []".to_owned(),
            ["the list is empty", "write the shields"],
        ),
    ] {
        let told = with(&keys);
        for word in words {
            assert!(told.contains(word), "{word:?} is not in {told}");
        }
    }
}

#[test]
fn the_configuration_in_the_documentation_makes_a_node_that_shares_the_work() {
    let page = include_str!("../../../docs/tiers.md");
    let block = page.split("```toml\n").nth(3).expect("it is the third");
    let text = block.split("```").next().expect("it ends");
    let origin = origin();
    let text = text
        .replace("0.0.0.0:8080", "127.0.0.1:0")
        .replace("http://10.0.0.20:3000", &origin.url())
        .replace("http://tero-2.internal:8080", "http://127.0.0.1:1")
        .replace("http://tero-3.internal:8080", "http://127.0.0.1:2")
        + "this_node = \"http://tero-1.internal:8080\"\n[admin]\nlisten = \"127.0.0.1:0\"\n";
    let clock = Clock::by_hand(instant(A_TUESDAY_MORNING, ART.parse().unwrap()));
    let node = Edge::on_clock(&text, clock, ART.parse().unwrap());
    // The other two are gone: it asks the origin for all pages.
    for number in 0..20 {
        let page = format!("/page-{number}");
        let answer = node.send(&get(&page).host("shop.example"));
        assert_eq!((answer.status, answer.text()), (200, page));
    }
    assert_eq!(origin.total(), 20);
}

#[test]
fn a_load_balancer_beside_the_nodes_brings_visitors() {
    let origin = origin();
    let nodes = Nodes::start(&origin, 2, |node| {
        node.server("trusted_edges = [\"unix\", \"127.0.0.1\"]")
    });
    let page = nodes.page_of(1);
    // It is in a trusted network, and says nothing of shields: the page goes to its shield.
    assert_eq!(members(&nodes.at(0).get(&page)), ["node-1", "node-0"]);
    // One that says so is a node, whose requests go to the origin.
    let other = nodes.page_of(1) + "?other";
    let asked = get(&other).header("Tero-Tier", "shield");
    assert_eq!(members(&nodes.at(0).send(&asked)), ["node-0"]);
}

#[test]
fn visitors_can_not_pass_the_shields() {
    let origin = origin();
    let nodes = Nodes::start(&origin, 2, |node| node);
    let page = nodes.page_of(1);
    let asked = get(&page).header("Tero-Tier", "shield");
    assert_eq!(members(&nodes.at(0).send(&asked)), ["node-1", "node-0"]);
}
