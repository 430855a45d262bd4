//! Three nodes that run the real program, each with ways of its own to the servers of NATS and to its
//! peers.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use tero_admin_api::ReadyRequest;
use tero_admin_api::client::{Client, IdentityFiles, TlsFiles};
use tero_admin_api::endpoints::{Metrics, Ready};
use tero_tests::{Origin, Reply, compiled_cache, folder, toml_string};

use super::super::nats::free_port;
use super::link::Link;
use super::record::{PAGES, SharedRecord};
use super::servers::{NatsCluster, SERVERS, patiently};
use super::small_disk::SmallDisk;
use crate::pki::{AuthorityFolder, IssuedFiles};
use crate::program::{Serving, tero};

/// How many nodes there are.
pub(super) const NODES: usize = 3;
/// The size of the disk of a node's state, in MiB.
const STATE_MIB: u64 = 8;
/// How long a page may take to change at a node after a fault.
const CONVERGES_IN: Duration = Duration::from_secs(30);

/// The nodes, with their servers and origin.
pub(super) struct NodeFleet {
    pub(super) nats: NatsCluster,
    nodes: Vec<FleetNode>,
    record: &'static SharedRecord,
    authority: AuthorityFolder,
    own: IssuedFiles,
    /// What ended processes have logged of panics.
    panics: Vec<String>,
    _origin: Origin,
    _folder: tempfile::TempDir,
}

struct FleetNode {
    configuration: String,
    admin_port: u16,
    state: SmallDisk,
    to_servers: Vec<Link>,
    /// To its peers, and from them to it.
    to_peers: Vec<(usize, Link)>,
    process: Option<Serving>,
}

impl NodeFleet {
    /// Starts servers and nodes.
    pub(super) fn start(
        program: &Path,
        record: &'static SharedRecord,
        max_blind: Duration,
    ) -> NodeFleet {
        let nats = NatsCluster::start(program);
        let origin = Origin::start();
        origin.otherwise(move |asked| {
            let page: usize = asked.path()[1..].parse().unwrap_or_default();
            Reply::fresh(86_400, record.version(page % PAGES).to_string())
        });
        let authority = AuthorityFolder::new("nodes");
        let own = authority.issue("node", &["127.0.0.1"]);
        let folder = folder();
        let ports: Vec<u16> = (0..NODES).map(|_| free_port()).collect();
        let nodes = (0..NODES).map(|place| {
            let base = folder.path().join(format!("n{place}"));
            let state = SmallDisk::new(&base.join("state"), STATE_MIB);
            std::fs::create_dir_all(base.join("cache")).unwrap();
            let to_servers = (0..SERVERS).map(|server| Link::to(nats.port(server)));
            let to_servers: Vec<Link> = to_servers.collect();
            let peers = (0..NODES).filter(|peer| *peer != place);
            let to_peers: Vec<_> = peers.map(|peer| (peer, Link::to(ports[peer]))).collect();
            let servers = to_servers
                .iter()
                .map(|link| format!("\"nats://{}\"", link.address()));
            let peers = to_peers
                .iter()
                .map(|(_, link)| format!("\"https://{}\"", link.address()));
            let (servers, peers): (Vec<_>, Vec<_>) = (servers.collect(), peers.collect());
            let quoted = |path: &Path| toml_string(&path.display().to_string());
            let mut text = String::new();
            let (ca, cert, key) = (quoted(&authority.ca()), quoted(&own.cert), quoted(&own.key));
            write!(
                text,
                "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n\n\
                 [admin]\nlisten = \"127.0.0.1:{}\"\n\
                 tls = {{ certificates = [{}], client_ca = {ca} }}\n\n\
                 [policies]\ncompiled_cache = {}\nstate_dir = {}\n\n\
                 [[cache.disk]]\npath = {}\nsize = \"64MiB\"\n\n\
                 [[site]]\nname = \"site\"\nhosts = [\"www.example\"]\norigins = [\"{}\"]\n\
                 when_blind = \"revalidate\"\n\n\
                 [cluster]\nnode = \"n{place}\"\nnats = [{}]\nmax_blind = \"{}s\"\npeers = [{}]\n\
                 peer_ca = {ca}\npeer_certificate = {cert}\npeer_key = {key}\n",
                ports[place],
                own.to_toml(),
                quoted(&compiled_cache()),
                quoted(&state.path().join("state")),
                quoted(&base.join("cache")),
                origin.url(),
                servers.join(", "),
                max_blind.as_secs(),
                peers.join(", "),
            )
            .unwrap();
            FleetNode {
                configuration: text,
                admin_port: ports[place],
                state,
                to_servers,
                to_peers,
                process: None,
            }
        });
        let nodes = nodes.collect();
        let mut fleet = NodeFleet {
            nats,
            nodes,
            record,
            authority,
            own,
            panics: Vec::new(),
            _origin: origin,
            _folder: folder,
        };
        fleet.heal();
        fleet.wait_until_ready();
        fleet
    }

    /// A client of the admin interface of each node.
    pub(super) fn clients(&self) -> Vec<Client> {
        (0..NODES).map(|node| self.client(node)).collect()
    }

    fn client(&self, node: usize) -> Client {
        let identity = IdentityFiles {
            cert: self.own.cert.clone(),
            key: self.own.key.clone(),
        };
        let files = TlsFiles {
            ca: Some(self.authority.ca()),
            identity: Some(identity),
        };
        let url = format!("https://127.0.0.1:{}", self.nodes[node].admin_port);
        Client::with_files(&url, None, &files).unwrap()
    }

    /// Cuts a node off from the servers and from its peers.
    pub(super) fn cut_off(&self, node: usize) {
        self.links_of(node).for_each(Link::cut);
    }

    /// Ends the connections of a node.
    pub(super) fn reset(&self, node: usize) {
        self.links_of(node).for_each(Link::reset);
    }

    fn links_of(&self, node: usize) -> impl Iterator<Item = &Link> {
        let nodes = self.nodes.iter().enumerate();
        let peers = nodes.flat_map(move |(from, it)| {
            let links = it.to_peers.iter();
            let of = links.filter(move |(to, _)| from == node || *to == node);
            of.map(|(_, link)| link)
        });
        self.nodes[node].to_servers.iter().chain(peers)
    }

    /// Ends a node at once.
    pub(super) fn kill(&mut self, node: usize) {
        self.record.ends(node);
        if let Some(process) = self.nodes[node].process.take() {
            self.panics.extend(panic_in(&process));
        }
    }

    /// Has a node end by itself.
    pub(super) fn stop(&mut self, node: usize) {
        self.record.ends(node);
        if let Some(mut process) = self.nodes[node].process.take() {
            process.signal("TERM");
            process.exit_code();
            self.panics.extend(panic_in(&process));
        }
    }

    /// Fills the disk of a node's state.
    pub(super) fn fill(&self, node: usize) {
        self.nodes[node].state.fill();
    }

    /// Copies what the servers have, between two runs of theirs.
    pub(super) fn set_backup_aside(&mut self) -> tempfile::TempDir {
        self.nats.kill_all();
        let backup = self.nats.backup();
        self.nats.run_all();
        self.wait_until_ready();
        backup
    }

    /// Sets the servers back to a copy.
    pub(super) fn set_back(&mut self, backup: &Path) {
        self.nats.kill_all();
        self.nats.restore(backup);
        self.nats.run_all();
    }

    /// Ends all faults.
    pub(super) fn heal(&mut self) {
        self.nats.heal();
        self.nats.make_room();
        self.nats.run_all();
        for (place, node) in self.nodes.iter_mut().enumerate() {
            node.state.make_room();
            let peers = node.to_peers.iter().map(|(_, link)| link);
            node.to_servers.iter().chain(peers).for_each(Link::heal);
            if node.process.is_none() {
                let process = Serving::start_by(tero(&["serve"]), &node.configuration);
                self.record.serves(place, Some(process.address()));
                node.process = Some(process);
            }
        }
    }

    /// Waits until all nodes hear of the log, and have logged what they have taken.
    pub(super) fn wait_until_ready(&self) {
        let clients = self.clients();
        let asked = ReadyRequest {
            cluster: true,
            ..ReadyRequest::default()
        };
        let mut since = Instant::now();
        let is_ready = |client: &Client| {
            client.call::<Ready>(&[], &asked).is_ok() && waiting(client) == Some(0.0)
        };
        patiently("ready nodes", || {
            since = Instant::now();
            clients.iter().all(is_ready)
        });
        self.record.all_logged(since);
    }

    /// Asks all nodes for all pages. Returns how many purges a node does not have.
    pub(super) fn lost(&self, record: &SharedRecord) -> u64 {
        let mut lost = 0;
        for node in 0..NODES {
            for page in 0..PAGES {
                let valid = record.valid(page);
                let is_valid = || record.ask(node, page).is_some_and(|seen| seen >= valid);
                let begun = Instant::now();
                let mut has_it = is_valid();
                while !has_it && begun.elapsed() < CONVERGES_IN {
                    std::thread::sleep(Duration::from_millis(50));
                    has_it = is_valid();
                }
                if !has_it {
                    lost += 1;
                    let seen = record.ask(node, page);
                    eprintln!("node n{node} serves {seen:?} of page {page}, {valid} is valid");
                    let process = self.nodes[node].process.as_ref();
                    eprintln!("{}", process.map(Serving::log).unwrap_or_default());
                }
            }
        }
        lost
    }

    /// Fails if a node has panicked.
    pub(super) fn assert_no_panic(&mut self) {
        for node in 0..NODES {
            self.kill(node);
        }
        assert!(self.panics.is_empty(), "{:?}", self.panics);
    }
}

fn waiting(client: &Client) -> Option<f64> {
    let text = client.call::<Metrics>(&[], &()).ok()?.text;
    let name = "tero_cluster_purges_waiting ";
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix(name)?.parse().ok())
}

fn panic_in(process: &Serving) -> Option<String> {
    let log = process.log();
    let mut lines = log.lines();
    lines
        .find(|line| line.contains("panicked"))
        .map(str::to_owned)
}
