//! Policies, data tables, canaries and shields of a fleet, with real servers of NATS.

use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tero_admin_api::endpoints::{
    Activate, Canary, Cluster, LookUp, Policy, RemovePolicy, Rollback, StartCanary, Stats,
    StopCanary,
};
use tero_admin_api::{
    ActivateRequest, CanaryResponse, ClusterResponse, GuardRequest, LookUpRequest, NodeStatus,
    PushResponse, StartCanaryRequest, StatsRequest,
};
use tero_policy_host::{Package, builtin};
use tero_tests::{
    A_TUESDAY_MORNING, ART, Answer, Edge, EdgeBuilder, Origin, Reply, Request, eventually, folder,
    get, instant,
};
use tero_time::clock::Clock;

use super::nats::{NatsServer, newest};
use super::{init, node};

/// Nodes with state directories of their own.
pub(super) struct Fleet {
    pub(super) nodes: Vec<Edge>,
    states: Vec<TempDir>,
    origin: Origin,
    nats: NatsServer,
}

const NAMES: [&str; 10] = [
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
];

impl Fleet {
    /// `None` without a server of NATS.
    pub(super) fn start(count: usize) -> Option<Fleet> {
        Fleet::start_with(count, |builder, _| builder)
    }

    fn start_with(count: usize, more: impl Fn(EdgeBuilder, usize) -> EdgeBuilder) -> Option<Fleet> {
        let nats = newest()?;
        init(&nats);
        let origin = Origin::start();
        origin.otherwise(|asked| Reply::fresh(30, &asked.target));
        let states: Vec<TempDir> = (0..count).map(|_| folder()).collect();
        let nodes = (0..count).map(|place| {
            let builder = builder(&origin, &nats, NAMES[place], &states[place]);
            more(builder, place).start()
        });
        let nodes: Vec<Edge> = nodes.collect();
        eventually("nodes that hear of each other", || {
            nodes.iter().all(|node| heard(node).len() == count)
        });
        Some(Fleet {
            nodes,
            states,
            origin,
            nats,
        })
    }

    /// Waits until all nodes decide by this version.
    #[track_caller]
    fn wait_for(&self, version: &str) {
        self.wait_until("the version on all nodes", |node| active(node) == version);
    }

    /// Waits until something is so on all nodes.
    #[track_caller]
    pub(super) fn wait_until(&self, what: &str, met: impl Fn(&Edge) -> bool) {
        eventually(what, || self.nodes.iter().all(&met));
    }
}

/// A node with a policy that gives every page 60 seconds.
pub(super) fn builder(
    origin: &Origin,
    nats: &NatsServer,
    name: &str,
    state: &TempDir,
) -> EdgeBuilder {
    node(origin, nats, name).state_dir(state.path()).policy(
        "rules",
        "builtin:json-rules",
        "[policy.settings]\nrules = [{ name = \"zero\", match = [\"/*\"], ttl = 60 }]",
    )
}

pub(super) fn heard(node: &Edge) -> Vec<NodeStatus> {
    let answer: ClusterResponse = node.call::<Cluster>(&[], &());
    answer
        .nodes
        .into_iter()
        .filter(|node| !node.silent)
        .collect()
}

pub(super) fn rules(ttl: u64) -> Value {
    json!({ "rules": [{ "name": "one", "match": ["/*"], "ttl": ttl }] })
}

fn content(settings: &Value, cases: Option<&str>) -> Vec<u8> {
    Package {
        module: builtin("json-rules").unwrap().into(),
        settings: Some(settings.to_string().into()),
        cases: cases.map(Into::into),
    }
    .to_bytes()
}

fn push(node: &Edge, target: &str, content: &[u8]) -> Answer {
    node.admin(&Request::new("POST", target).body(content))
}

#[track_caller]
pub(super) fn pushed(node: &Edge, settings: &Value) -> String {
    let answer = push(node, "/policies/rules/versions", &content(settings, None));
    assert_eq!(answer.status, 201, "{answer:?}");
    let answer: PushResponse = answer.read();
    let note = answer.fleet.expect("it is of a fleet");
    assert!(note.told, "{note:?}");
    answer.version
}

pub(super) fn active(node: &Edge) -> String {
    node.call::<Policy>(&["rules"], &()).version
}

pub(super) fn has(node: &Edge, digest: &str) -> bool {
    let report = node.call::<Policy>(&["rules"], &());
    report
        .versions
        .iter()
        .any(|version| version.digest == digest)
}

#[track_caller]
pub(super) fn activate(node: &Edge, digest: &str) {
    let digest = digest.to_owned();
    let answer = node.call::<Activate>(&["rules"], &ActivateRequest { digest });
    assert!(answer.fleet.expect("it is of a fleet").told);
}

fn ttl(node: &Edge, page: &str) -> Option<i64> {
    node.get(page).cache_status().ttl
}

#[test]
fn a_version_is_pushed_activated_and_rolled_back_on_all_nodes() {
    let Some(fleet) = Fleet::start(3) else { return };
    let [one, two, three] = &fleet.nodes[..] else {
        panic!()
    };
    let digest = pushed(one, &rules(300));
    // It is compiled everywhere before it is wanted.
    eventually("the version on all nodes", || {
        fleet.nodes.iter().all(|node| has(node, &digest))
    });
    assert_eq!(active(two), "configuration");
    activate(two, &digest);
    fleet.wait_for(&digest);
    for node in &fleet.nodes {
        assert_eq!(ttl(node, "/a"), Some(300));
    }
    let answer = three.call::<Rollback>(&["rules"], &());
    assert!(answer.fleet.expect("it is of a fleet").told);
    fleet.wait_for("configuration");
    assert_eq!(ttl(one, "/b"), Some(60));
}

#[test]
fn a_node_that_joins_or_comes_back_follows_the_fleet() {
    let Some(mut fleet) = Fleet::start(2) else {
        return;
    };
    let first = pushed(&fleet.nodes[0], &rules(100));
    activate(&fleet.nodes[0], &first);
    fleet.wait_for(&first);
    drop(fleet.nodes.pop());
    let second = pushed(&fleet.nodes[0], &rules(200));
    activate(&fleet.nodes[0], &second);
    for (name, state) in [("two", fleet.states.pop().unwrap()), ("three", folder())] {
        let node = builder(&fleet.origin, &fleet.nats, name, &state).start();
        eventually("the version", || active(&node) == second);
        assert_eq!(ttl(&node, "/a"), Some(200));
    }
}

#[test]
fn what_fails_its_cases_is_kept_from_all_nodes() {
    let Some(fleet) = Fleet::start(2) else { return };
    let cases = "[[case]]\nname = \"a\"\nurl = \"/a\"\nexpect = { ttl = 1 }\n";
    let refused = push(
        &fleet.nodes[0],
        "/policies/rules/versions",
        &content(&rules(300), Some(cases)),
    );
    assert_eq!(refused.status, 422, "{refused:?}");
    let good = pushed(&fleet.nodes[0], &rules(400));
    eventually("the good one", || has(&fleet.nodes[1], &good));
    let report = fleet.nodes[1].call::<Policy>(&["rules"], &());
    assert_eq!(report.versions.len(), 1);
}

#[test]
fn a_node_that_can_not_follow_serves_on_and_says_why() {
    let Some(nats) = newest() else { return };
    init(&nats);
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(30, &asked.target));
    let (one, two) = (folder(), folder());
    let one = builder(&origin, &nats, "one", &one).start();
    // Its configuration has no policy.
    let two = node(&origin, &nats, "two").state_dir(two.path()).start();
    eventually("two nodes", || heard(&one).len() == 2);
    let digest = pushed(&one, &rules(300));
    activate(&one, &digest);
    eventually("trouble", || {
        let nodes = heard(&one);
        let other = nodes.iter().find(|node| node.report.node == "two").unwrap();
        let troubles = &other.report.troubles;
        troubles
            .iter()
            .any(|why| why.contains("has no policy `rules`"))
    });
    assert_eq!(two.metric("tero_fleet_troubles", &[]), 1.0);
    assert_eq!(two.get("/a").status, 200);
    assert_eq!(one.metric("tero_fleet_nodes", &["state=\"up\""]), 2.0);
}

#[test]
fn without_nats_a_node_changes_alone_and_tells_it_later() {
    let Some(mut fleet) = Fleet::start(2) else {
        return;
    };
    let digest = pushed(&fleet.nodes[0], &rules(300));
    activate(&fleet.nodes[0], &digest);
    fleet.wait_for(&digest);
    fleet.nats.kill();
    eventually("no connection", || {
        let answer: ClusterResponse = fleet.nodes[0].call::<Cluster>(&[], &());
        answer.nats.server.is_none()
    });
    // The way back needs no other node.
    let answer = fleet.nodes[0].call::<Rollback>(&["rules"], &());
    let note = answer.fleet.expect("it is of a fleet");
    assert!(!note.told && note.why.is_some(), "{note:?}");
    assert_eq!(active(&fleet.nodes[0]), "configuration");
    assert_eq!(active(&fleet.nodes[1]), digest);
    assert_eq!(ttl(&fleet.nodes[1], "/a"), Some(300));
    fleet.nats.run();
    fleet.wait_for("configuration");
}

#[test]
fn a_content_that_is_damaged_holds_up_no_other() {
    let Some(mut fleet) = Fleet::start(2) else {
        return;
    };
    drop(fleet.nodes.pop());
    let one = &fleet.nodes[0];
    let digest = pushed(one, &rules(300));
    activate(one, &digest);
    // The object in place of it has a digest that its content has not.
    let note = json!({ "name": digest, "bucket": "TERO_MODULES", "nuid": "damaged", "size": 1,
        "chunks": 1, "mtime": "2026-11-24T10:00:00Z", "digest": "SHA-256=AAAA" });
    let key = base64::prelude::BASE64_URL_SAFE.encode(&digest);
    let publish = |subject: &str, content: String| {
        let subject = format!("$O.TERO_MODULES.{subject}");
        fleet.nats.publish(&subject, std::iter::once(content));
    };
    publish("C.damaged", "x".to_owned());
    publish(&format!("M.{key}"), note.to_string());
    let answer = push(one, "/data/prices/versions", b"a,1\n");
    assert_eq!(answer.status, 201, "{answer:?}");
    let two = builder(&fleet.origin, &fleet.nats, "two", &fleet.states[1]).start();
    eventually("the table", || {
        let asked = LookUpRequest::Key("a".to_owned());
        two.ask::<LookUp>(&["prices"], &asked).json()["row"]["value"] == "1"
    });
    eventually("the trouble", || {
        let nodes = heard(one);
        let other = nodes.iter().find(|node| node.report.node == "two");
        other.is_some_and(|other| {
            other
                .report
                .troubles
                .iter()
                .any(|why| why.contains(&digest))
        })
    });
    assert_eq!(two.metric("tero_fleet_troubles", &[]), 1.0);
    assert_eq!(active(&two), "configuration");
    // What this node can't tell holds up nothing, too: its own copy is damaged.
    fleet.nats.kill();
    eventually("no connection", || {
        let answer: ClusterResponse = one.call::<Cluster>(&[], &());
        answer.nats.server.is_none()
    });
    let answer = push(one, "/policies/rules/versions", &content(&rules(400), None));
    let answer: PushResponse = answer.read();
    assert!(!answer.fleet.expect("it is of a fleet").told);
    let copies = damaged(fleet.states[0].path(), &answer.version);
    assert!(copies > 0, "the copy of the version is a file");
    let table = push(one, "/data/prices/versions", b"a,2\n");
    assert_eq!(table.status, 201, "{table:?}");
    fleet.nats.run();
    eventually("the table", || {
        let asked = LookUpRequest::Key("a".to_owned());
        two.ask::<LookUp>(&["prices"], &asked).json()["row"]["value"] == "2"
    });
    eventually("the trouble", || {
        let own = heard(&fleet.nodes[0]);
        let own = own.iter().find(|node| node.report.node == "one");
        own.is_some_and(|own| own.report.apart && own.report.troubles.len() == 1)
    });
    // An operator is told what it is that the fleet doesn't know.
    let table = push(&fleet.nodes[0], "/data/prices/versions", b"a,3\n");
    let why = table.json()["fleet"]["why"].as_str().map(str::to_owned);
    assert!(why.is_some_and(|why| why.starts_with("policy rules: ")));
}

/// Damages the files that are named by a digest. Returns how many there were.
fn damaged(folder: &std::path::Path, digest: &str) -> usize {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let damaged = paths.map(|path| {
        if path.is_dir() {
            return damaged(&path, digest);
        }
        let is_named = path.to_str().is_some_and(|name| name.contains(digest));
        if is_named {
            std::fs::write(&path, "damaged").unwrap();
        }
        usize::from(is_named)
    });
    damaged.sum()
}

#[test]
fn a_policy_that_is_added_or_removed_is_so_on_all_nodes() {
    let Some(fleet) = Fleet::start(2) else { return };
    let [one, two] = &fleet.nodes[..] else {
        panic!()
    };
    let answer = push(
        one,
        "/policies/more/versions?site=site",
        &content(&rules(300), None),
    );
    assert_eq!(answer.status, 201, "{answer:?}");
    let has_more = |node: &Edge| node.ask::<Policy>(&["more"], &()).status == 200;
    eventually("the policy", || has_more(two));
    two.call::<RemovePolicy>(&["more"], &());
    eventually("the policy is gone", || !has_more(one));
    assert!(!has_more(two));
}

#[test]
fn a_table_that_is_pushed_rolled_back_or_removed_is_so_on_all_nodes() {
    let Some(fleet) = Fleet::start(2) else { return };
    let [one, two] = &fleet.nodes[..] else {
        panic!()
    };
    let value = |node: &Edge| {
        let asked = LookUpRequest::Key("a".to_owned());
        let answer = node.ask::<LookUp>(&["prices"], &asked);
        answer.json()["row"]["value"].as_str().map(str::to_owned)
    };
    for price in ["1", "2"] {
        let answer = push(
            one,
            "/data/prices/versions",
            format!("a,{price}\n").as_bytes(),
        );
        assert_eq!(answer.status, 201, "{answer:?}");
        eventually("the table", || value(two).as_deref() == Some(price));
    }
    let back = two.admin_post("/data/prices/rollback", "{}");
    assert_eq!(back.status, 200, "{back:?}");
    eventually("the table before", || value(one).as_deref() == Some("1"));
    let removed = one.admin(&Request::new("DELETE", "/data/prices"));
    assert_eq!(removed.status, 200, "{removed:?}");
    eventually("no table", || value(two).is_none());
}

fn canary_request(
    digest: &str,
    nodes: Option<&str>,
    min_requests: Option<u64>,
) -> StartCanaryRequest {
    StartCanaryRequest {
        digest: digest.to_owned(),
        share: "50%".to_owned(),
        guard: GuardRequest {
            min_requests,
            ..GuardRequest::default()
        },
        nodes: nodes.map(str::to_owned),
    }
}

fn has_canary(node: &Edge) -> bool {
    let answer = node.ask::<Canary>(&["rules"], &());
    answer.status == 200 && matches!(answer.read(), CanaryResponse::Running(_))
}

#[test]
fn a_canary_is_on_a_share_of_the_nodes_and_ends_everywhere() {
    let Some(fleet) = Fleet::start(4) else { return };
    let digest = pushed(&fleet.nodes[2], &rules(300));
    let request = canary_request(&digest, Some("50%"), None);
    let answer = fleet.nodes[2].call::<StartCanary>(&["rules"], &request);
    let chosen = answer.nodes.expect("a share of them was asked for");
    assert_eq!(chosen.len(), 2, "{chosen:?}");
    assert!(chosen.contains(&"three".to_owned()), "{chosen:?}");
    let is_chosen = |place: usize| chosen.contains(&NAMES[place].to_owned());
    let on_chosen = || {
        let mut nodes = fleet.nodes.iter().enumerate();
        nodes.all(|(place, node)| has_canary(node) == is_chosen(place))
    };
    eventually("the canary on the chosen nodes", on_chosen);
    fleet.nodes[2].call::<StopCanary>(&["rules"], &());
    eventually("no canary", || !fleet.nodes.iter().any(has_canary));
    // All nodes, if no share is named, although one was named there for the canary before.
    fleet.nodes[2].call::<StartCanary>(&["rules"], &canary_request(&digest, None, None));
    eventually("the canary on all nodes", || {
        fleet.nodes.iter().all(has_canary)
    });
}

/// Waits until all nodes have followed all that was told, and returns those with the canary.
#[track_caller]
fn nodes_with_canary(fleet: &Fleet) -> Vec<String> {
    eventually("nodes that have followed", || {
        let nodes = heard(&fleet.nodes[0]);
        let revision = nodes.iter().map(|node| node.report.revision).max();
        nodes.len() == fleet.nodes.len()
            && nodes
                .iter()
                .all(|node| Some(node.report.revision) == revision && !node.report.apart)
    });
    let named = NAMES.iter().zip(&fleet.nodes);
    let with = named.filter(|(_, node)| has_canary(node));
    let mut with: Vec<String> = with.map(|(name, _)| (*name).to_owned()).collect();
    with.sort();
    with
}

#[test]
fn a_running_canary_moves_to_the_nodes_that_are_named_anew() {
    let Some(fleet) = Fleet::start(3) else { return };
    let one = &fleet.nodes[0];
    let digest = pushed(one, &rules(300));
    for (share, count) in [
        (Some("10%"), 1),
        (Some("50%"), 2),
        (None, 3),
        (Some("10%"), 1),
    ] {
        let request = canary_request(&digest, share, None);
        let answer = one.call::<StartCanary>(&["rules"], &request);
        let note = answer.fleet.expect("it is of a fleet");
        assert!(note.told, "{note:?}");
        assert_eq!(answer.nodes.is_some(), share.is_some());
        let with = nodes_with_canary(&fleet);
        assert_eq!(with.len(), count, "{share:?}");
        assert_eq!(answer.nodes.unwrap_or(with.clone()), with);
    }
}

#[test]
fn a_refused_canary_leaves_the_nodes_of_the_running_one_alone() {
    let Some(mut fleet) = Fleet::start(3) else {
        return;
    };
    let digest = pushed(&fleet.nodes[0], &rules(300));
    eventually("the version on all nodes", || {
        fleet.nodes.iter().all(|node| has(node, &digest))
    });
    fleet.nats.kill();
    eventually("no connection", || {
        let answer: ClusterResponse = fleet.nodes[0].call::<Cluster>(&[], &());
        answer.nats.server.is_none()
    });
    let request = canary_request(&digest, Some("10%"), None);
    let answer = fleet.nodes[0].call::<StartCanary>(&["rules"], &request);
    assert_eq!(answer.nodes, Some(vec!["one".to_owned()]));
    assert!(!answer.fleet.expect("it is of a fleet").told);
    // The second is refused by the version's own checks.
    let no_share = canary_request(&digest, Some("many"), None);
    let too_large = StartCanaryRequest {
        share: "100%".to_owned(),
        ..canary_request(&digest, None, None)
    };
    for refused in [no_share, too_large] {
        let answer = fleet.nodes[0].ask::<StartCanary>(&["rules"], &refused);
        assert!(answer.status >= 400, "{answer:?}");
    }
    fleet.nats.run();
    eventually("a told canary", || {
        let nodes = heard(&fleet.nodes[0]);
        nodes.len() == fleet.nodes.len() && nodes.iter().all(|node| !node.report.apart)
    });
    assert_eq!(nodes_with_canary(&fleet), ["one"]);
}

#[test]
fn the_guard_judges_the_sum_over_the_nodes() {
    let Some(fleet) = Fleet::start(2) else { return };
    let [one, two] = &fleet.nodes[..] else {
        panic!()
    };
    // Nothing is stored under the canary, so its hit rate is far lower.
    let never = json!({ "rules": [{ "name": "never", "match": ["/*"], "cache": "never" }] });
    let digest = pushed(one, &never);
    one.call::<StartCanary>(&["rules"], &canary_request(&digest, None, Some(60)));
    eventually("the canary on both nodes", || {
        has_canary(one) && has_canary(two)
    });
    // Each node alone sees too few requests for a window: 40 keys, about half of them the canary's.
    let ask_all = |rounds: usize| {
        for _ in 0..rounds {
            for node in [one, two] {
                for page in 0..40 {
                    node.get(&format!("/page-{page}"));
                }
            }
        }
    };
    ask_all(2);
    assert!(
        has_canary(one),
        "the first window is judged by failures alone"
    );
    eventually("the guard's rollback", || {
        ask_all(1);
        !has_canary(one) && !has_canary(two)
    });
    assert_eq!(active(one), "configuration");
}

#[test]
fn statistics_are_summed_over_the_nodes() {
    let Some(fleet) = Fleet::start(2) else { return };
    for (place, node) in fleet.nodes.iter().enumerate() {
        for page in 0..=place {
            node.get(&format!("/page-{page}"));
        }
    }
    let of_fleet = StatsRequest { fleet: true };
    eventually("all requests", || {
        let stats = fleet.nodes[0].call::<Stats>(&[], &of_fleet);
        stats.sites[0].figures.requests == 3
    });
    let coverage = fleet.nodes[1].call::<Stats>(&[], &of_fleet).fleet.unwrap();
    let mut counted = coverage.nodes;
    counted.sort();
    assert_eq!(
        (counted, coverage.missing),
        (vec!["one".to_owned(), "two".to_owned()], vec![])
    );
    let alone = fleet.nodes[0].call::<Stats>(&[], &StatsRequest::default());
    assert_eq!((alone.sites[0].figures.requests, alone.fleet), (1, None));
}

#[test]
fn shields_are_those_that_the_fleet_tells() {
    let Some(nats) = newest() else { return };
    init(&nats);
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(600, &asked.target));
    let (folder, zone) = (folder(), ART.parse().unwrap());
    let clock = Clock::by_hand(instant(A_TUESDAY_MORNING, zone));
    let start = |name: &str, is_shield: bool| {
        let socket = format!("unix:{}/{name}.sock", folder.path().display());
        let server = format!(
            "name = \"{name}\"\ntrusted_edges = [\"unix\"]\n[[server.listener]]\naddress = \"{socket}\""
        );
        let mut builder = node(&origin, &nats, name).server(&server);
        if is_shield {
            builder = builder.section(&format!("shield = \"{socket}\""));
        }
        let text = builder
            .to_toml()
            .replace("hosts = [", "shield = { from = \"cluster\" }\nhosts = [");
        Edge::on_clock(&text, clock.clone(), zone)
    };
    let nodes = [("one", true), ("two", true), ("three", false)];
    let nodes = nodes.map(|(name, is_shield)| start(name, is_shield));
    let shields = |node: &Edge| {
        let explained = node.admin_post("/explain", r#"{"url": "/x"}"#).text();
        explained.matches(".sock").count()
    };
    eventually("two shields", || {
        nodes.iter().all(|node| shields(node) == 2)
    });
    for page in 0..20 {
        let page = format!("/page-{page}");
        for node in &nodes {
            let answer = node.send(&get(&page));
            assert_eq!((answer.status, answer.text()), (200, page.clone()));
        }
        assert_eq!(origin.requests(&page), 1);
    }
}
