//! `[cluster]`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::forms;
use crate::mistakes::Mistake;

/// Servers of NATS that a node is told of, at most.
pub(crate) const MAX_SERVERS: usize = 32;
/// Peers that a node is told of, at most.
pub(crate) const MAX_PEERS: usize = 256;

section! {
    /// Many nodes as one, over NATS JetStream: see cluster.md. Without this section the node is alone.
    #[derive(Clone, PartialEq)]
    [cluster]
    pub struct Cluster in base_dir {
        /// The servers of NATS, 2.10 or later; at most 32. One that can be reached is enough. Other servers
        /// that they tell of are not used.
        nats: Vec<String> = required, Texts("`tls://HOST:PORT` or `nats://HOST:PORT`")
            => forms::nats_server, distinct(),
            at_least_one("write the servers: [\"tls://nats.internal:4222\"]");
        /// The name of this node, which no other node has.
        node: String = rule("the name of the host", forms::host_name()),
            Text("1 to 64 of `a-z`, `A-Z`, `0-9`, `-`, `_`") => forms::node_name;
        /// The CAs that may have issued the certificates of the servers, as PEM. `""` trusts the CAs of the
        /// system.
        ca: Option<PathBuf> = "", Text("a path, relative to this file, or `\"\"`") => |path| {
            match path {
                "" => Ok::<_, Mistake>(None),
                path => base_dir.file(path, "the certificates of CAs in PEM").map(Some),
            }
        };
        /// The certificate that this node shows the servers, as PEM, its own first. Needs `key`.
        certificate: Option<PathBuf> = "", Text("a path, relative to this file, or `\"\"`") => |path| {
            match path {
                "" => Ok::<_, Mistake>(None),
                path => base_dir.file(path, "a certificate in PEM").map(Some),
            }
        };
        /// The private key of `certificate`, as PEM.
        key: Option<PathBuf> = "", Text("a path, relative to this file, or `\"\"`") => |path| {
            match path {
                "" => Ok::<_, Mistake>(None),
                path => base_dir.file(path, "a private key in PEM").map(Some),
            }
        };
        /// The user by whose name this node enters. Needs `password_file`.
        user: Option<String> = rule("none"), Text("1 to 256 visible characters") => forms::nats_secret;
        /// A file whose first line is the password of `user`.
        password as "password_file": Option<String> = rule("none"),
            Text("a path, relative to this file") => |path| {
                forms::nats_secret(base_dir.read_text(path)?.lines().next().unwrap_or_default().trim())
            };
        /// A file whose first line is the token by which this node enters, in place of `user`.
        token as "token_file": Option<String> = rule("none"),
            Text("a path, relative to this file") => |path| {
                forms::nats_secret(base_dir.read_text(path)?.lines().next().unwrap_or_default().trim())
            };
        /// How the names of streams and buckets begin, and in lower case their subjects. Fleets that share
        /// servers have different ones.
        prefix: String = "TERO", Text("1 to 32 of `A-Z`, `0-9`, `-`, `_`") => forms::nats_prefix;
        /// The admin interfaces of the other nodes, at most 256: a second path for purges. The node's own
        /// address may be among them.
        peers: Vec<String> = [], Texts("`https://HOST:PORT`") => forms::node_url, distinct();
        /// A name and a port: its addresses are the peers, looked up every 30 seconds. Use it instead of
        /// `peers`.
        peers_from: Option<String> = rule("none"), Text("`HOST:PORT`") => forms::name_and_port;
        /// The certificate that this node shows its peers, as PEM, its own first. Required with peers.
        peer_certificate: Option<PathBuf> = "", Text("a path, relative to this file, or `\"\"`") => |path| {
            match path {
                "" => Ok::<_, Mistake>(None),
                path => base_dir.file(path, "a certificate in PEM").map(Some),
            }
        };
        /// The private key of `peer_certificate`, as PEM.
        peer_key: Option<PathBuf> = "", Text("a path, relative to this file, or `\"\"`") => |path| {
            match path {
                "" => Ok::<_, Mistake>(None),
                path => base_dir.file(path, "a private key in PEM").map(Some),
            }
        };
        /// The CAs that may have issued the certificates of the peers, as PEM. Required with peers.
        peer_ca: Option<PathBuf> = "", Text("a path, relative to this file, or `\"\"`") => |path| {
            match path {
                "" => Ok::<_, Mistake>(None),
                path => base_dir.file(path, "the certificates of CAs in PEM").map(Some),
            }
        };
        /// Where other nodes reach this one as a shield of sites with `shield = { from = "cluster" }`.
        shield: Option<String> = rule("none: it is not a shield"),
            Text("`http://HOST[:PORT]`, `https://HOST[:PORT]` or `unix:/PATH`")
            => |text| forms::origin(text).map(|_| text.to_owned());
        /// The longest time without an entry of the purge log. After it the node knows that it may miss
        /// purges, and `when_blind` of each site holds.
        max_blind: Duration = "15s", Duration("6s", "1h");
    }
}

/// What a site does while the node may miss purges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenBlind {
    /// It serves as ever.
    #[default]
    Serve,
    /// It revalidates before each use, and serves nothing stale.
    Revalidate,
    /// It revalidates before each use, and serves what is stored if the origin fails.
    StaleIfError,
}

impl Cluster {
    /// The name of a stream or bucket: the prefix, and `name` behind it.
    pub fn named(&self, name: &str) -> String {
        format!("{}_{name}", self.prefix)
    }

    /// A subject: the prefix in lower case, and `name` behind it.
    pub fn subject(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix.to_ascii_lowercase())
    }

    /// Whether this node has peers.
    pub fn has_peers(&self) -> bool {
        !self.peers.is_empty() || self.peers_from.is_some()
    }
}

impl fmt::Debug for Cluster {
    /// Without the password and the token.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Cluster");
        shown.field("nats", &self.nats).field("node", &self.node);
        shown.finish_non_exhaustive()
    }
}
