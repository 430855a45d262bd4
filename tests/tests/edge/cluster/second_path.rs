//! The second path: nodes that tell each other purges over mutual TLS.

use tero_admin_api::client::{Client, ClientError, IdentityFiles, TlsFiles};
use tero_admin_api::endpoints::{ExchangePurges, Purge};
use tero_admin_api::{
    ExchangeRequest, ExchangedPurge, KnownPurges, PurgeKind, PurgeRequest, PurgeTarget, PurgeWait,
};
use tero_tests::{A_TUESDAY_MORNING, ART, Edge, Origin, eventually, toml_string};

use super::nats::{NatsServer, free_port, programs};
use super::{init, is_hit, page, store};
use crate::pki::{AuthorityFolder, IssuedFiles};

/// Nodes with their authority, and the ports of their admin interfaces.
struct Peers {
    authority: AuthorityFolder,
    own: IssuedFiles,
    ports: Vec<u16>,
    edges: Vec<Edge>,
}

impl Peers {
    /// Starts nodes that know each other, and themselves.
    fn start(origin: &Origin, nats: &str, count: usize, more: &str) -> Peers {
        let authority = AuthorityFolder::new("nodes");
        let own = authority.issue("node", &["127.0.0.1"]);
        let ports: Vec<u16> = (0..count).map(|_| free_port()).collect();
        let mut peers = Peers {
            authority,
            own,
            ports,
            edges: Vec::new(),
        };
        for number in 0..count {
            let text = peers.configuration(origin, nats, number, more);
            peers
                .edges
                .push(Edge::from_toml(&text, A_TUESDAY_MORNING, ART));
        }
        peers
    }

    fn configuration(&self, origin: &Origin, nats: &str, number: usize, more: &str) -> String {
        let path = |path: &std::path::Path| toml_string(&path.display().to_string());
        let (ca, cert, key) = (
            path(&self.authority.ca()),
            path(&self.own.cert),
            path(&self.own.key),
        );
        let urls: Vec<String> = self
            .ports
            .iter()
            .map(|port| format!("\"https://127.0.0.1:{port}\""))
            .collect();
        let cluster = format!(
            "[cluster]\nnats = [\"{nats}\"]\nnode = \"n{number}\"\npeers = [{}]\n\
             peer_ca = {ca}\npeer_certificate = {cert}\npeer_key = {key}\n{more}",
            urls.join(", ")
        );
        let tls = format!(
            "tls = {{ certificates = [{}], client_ca = {ca} }}",
            self.own.to_toml()
        );
        let text = Edge::before(origin).admin(&tls).section(&cluster).to_toml();
        let own = format!("[admin]\nlisten = \"127.0.0.1:{}\"", self.ports[number]);
        text.replace("[admin]\nlisten = \"127.0.0.1:0\"", &own)
    }

    /// A client of a node, with a certificate or without.
    fn client(&self, number: usize, shows: bool) -> Client {
        let files = TlsFiles {
            ca: Some(self.authority.ca()),
            identity: shows.then(|| IdentityFiles {
                cert: self.own.cert.clone(),
                key: self.own.key.clone(),
            }),
        };
        let url = format!("https://127.0.0.1:{}", self.ports[number]);
        Client::with_files(&url, None, &files).unwrap()
    }

    fn metric(&self, number: usize, name: &str) -> f64 {
        let client = self.client(number, true);
        let text = client
            .call::<tero_admin_api::endpoints::Metrics>(&[], &())
            .unwrap()
            .text;
        let lines = text.lines().filter_map(|line| line.strip_prefix(name));
        lines
            .filter_map(|rest| rest.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum()
    }
}

fn tag() -> PurgeTarget {
    PurgeTarget::Tag("prices".to_owned())
}

#[test]
fn peers_are_told_while_the_log_is_not_there() {
    let Some(program) = programs().pop() else {
        return;
    };
    let nats = NatsServer::stopped(&program, &[]);
    let origin = Origin::start();
    origin.on("/a", page());
    let peers = Peers::start(&origin, &nats.url(), 3, "");
    peers.edges.iter().for_each(store);
    let request = PurgeRequest {
        wait: PurgeWait::None,
        ..PurgeRequest::new(tag(), false)
    };
    let answer = peers.client(0, true).call::<Purge>(&[], &request).unwrap();
    assert_eq!(answer.fleet.unwrap().number, None);
    for edge in &peers.edges {
        eventually("a purge on each node", || !is_hit(&edge.get("/a")));
    }
}

#[test]
fn a_purge_waits_for_each_peer_and_names_those_that_are_not_there() {
    let Some(program) = programs().pop() else {
        return;
    };
    let nats = NatsServer::start(&program, &[]);
    init(&nats);
    let origin = Origin::start();
    origin.on("/a", page());
    let mut peers = Peers::start(&origin, &nats.url(), 3, "");
    let request = PurgeRequest {
        wait: PurgeWait::All,
        ..PurgeRequest::new(tag(), true)
    };
    let purge = |peers: &Peers| {
        let answer = peers.client(0, true).call::<Purge>(&[], &request).unwrap();
        let fleet = answer.fleet.unwrap();
        let applied: Vec<_> = fleet.peers.iter().map(|peer| peer.applied).collect();
        (fleet.number.is_some(), applied, fleet.peers)
    };
    eventually("all peers", || {
        let (is_logged, applied, _) = purge(&peers);
        is_logged && applied == [Some(true), Some(true)]
    });
    drop(peers.edges.pop());
    let (is_logged, mut applied, told) = purge(&peers);
    applied.sort_unstable();
    assert!(
        is_logged && applied == [Some(false), Some(true)],
        "{told:?}"
    );
    assert!(told.iter().any(|peer| peer.error.is_some()));
}

#[test]
fn nodes_exchange_what_one_of_them_lacks() {
    let Some(program) = programs().pop() else {
        return;
    };
    let nats = NatsServer::stopped(&program, &[]);
    let origin = Origin::start();
    origin.on("/a", page());
    let peers = Peers::start(&origin, &nats.url(), 2, "");
    peers.edges.iter().for_each(store);
    // One node is told a purge, as if the log had lost it before the other one had it.
    let at_ms = u64::try_from(peers.edges[0].clock().wall().unix_millis()).unwrap();
    let lost = ExchangedPurge {
        id: "lost-by-the-log".to_owned(),
        at_ms,
        kind: PurgeKind::Tag,
        name: "prices".to_owned(),
        site: None,
        soft: false,
    };
    let request = ExchangeRequest {
        purges: vec![lost.clone()],
        ..ExchangeRequest::default()
    };
    let told = peers
        .client(0, true)
        .call::<ExchangePurges>(&[], &request)
        .unwrap();
    assert_eq!((told.node.as_str(), told.number), ("n0", None));
    assert!(!is_hit(&peers.edges[0].get("/a")));
    eventually("the purge on the other node", || {
        !is_hit(&peers.edges[1].get("/a"))
    });
    assert!(peers.metric(1, "tero_cluster_purges_total{way=\"peer\"}") >= 1.0);
    // It is there by its id, and once.
    let request = ExchangeRequest {
        known: Some(KnownPurges {
            count: 0,
            digest: "0".repeat(32),
            floor_ms: 0,
        }),
        wanted: vec!["lost-by-the-log".to_owned(), "unknown".to_owned()],
        ..ExchangeRequest::default()
    };
    let told = peers
        .client(1, true)
        .call::<ExchangePurges>(&[], &request)
        .unwrap();
    let differing = told.differing.unwrap();
    assert_eq!(differing.ids, [("lost-by-the-log".to_owned(), at_ms)]);
    assert_eq!(told.purges.len(), 1);
    assert_eq!(told.purges[0].0, lost);
}

#[test]
fn purges_without_a_target_or_with_one_too_long_are_left_out() {
    let Some(program) = programs().pop() else {
        return;
    };
    let nats = NatsServer::stopped(&program, &[]);
    let origin = Origin::start();
    let peers = Peers::start(&origin, &nats.url(), 1, "");
    let lengths = [("empty", 0), ("longest", 16_384), ("longer", 16_385)];
    let purges = lengths.map(|(id, length)| ExchangedPurge {
        id: id.to_owned(),
        at_ms: 1,
        kind: PurgeKind::Prefix,
        name: "x".repeat(length),
        site: None,
        soft: false,
    });
    let request = ExchangeRequest {
        purges: purges.to_vec(),
        wanted: lengths.map(|(id, _)| id.to_owned()).to_vec(),
        ..ExchangeRequest::default()
    };
    let client = peers.client(0, true);
    let told = client.call::<ExchangePurges>(&[], &request).unwrap();
    let ids: Vec<&str> = told.purges.iter().map(|purge| &*purge.0.id).collect();
    assert_eq!(ids, ["longest"]);
}

#[test]
fn strangers_are_not_listened_to() {
    let Some(program) = programs().pop() else {
        return;
    };
    let nats = NatsServer::stopped(&program, &[]);
    let origin = Origin::start();
    let peers = Peers::start(&origin, &nats.url(), 1, "");
    let request = ExchangeRequest::default();
    let refused = peers.client(0, false).call::<ExchangePurges>(&[], &request);
    assert!(
        matches!(refused, Err(ClientError::Tls { .. })),
        "{refused:?}"
    );
    let many = ExchangeRequest {
        wanted: vec!["a".to_owned(); 4_097],
        ..ExchangeRequest::default()
    };
    let refused = peers.client(0, true).call::<ExchangePurges>(&[], &many);
    assert!(
        matches!(refused, Err(ClientError::Refused { .. })),
        "{refused:?}"
    );
}
