//! What belongs together in `[cluster]`: certificates and keys, users and passwords, peers and mutual
//! TLS.

use crate::files::BaseDir;
use crate::mistakes::Mistake;
use crate::reader::TableReader;
use crate::sections::Cluster;
use crate::sections::cluster::{MAX_PEERS, MAX_SERVERS};

/// Reads the table, and records what is missing or contradicts itself.
pub(super) fn read(reader: &TableReader<'_>, base_dir: BaseDir<'_>) -> Cluster {
    let cluster = Cluster::read(reader, base_dir);
    needs(reader, "certificate", "key");
    needs(reader, "key", "certificate");
    needs(reader, "user", "password_file");
    needs(reader, "password_file", "user");
    reader.refuse_both("user", "token_file");
    reader.refuse_both("peers", "peers_from");
    at_most(reader, "nats", cluster.nats.len(), MAX_SERVERS);
    at_most(reader, "peers", cluster.peers.len(), MAX_PEERS);
    if cluster.has_peers() {
        for key in ["peer_certificate", "peer_key", "peer_ca"] {
            if reader.written(key).is_none() {
                let problem = "there are peers, and they are reached by mutual TLS alone";
                let cure = format!("write {key} = \"…\", a file in PEM");
                reader.refuse(key, Mistake::new(problem, cure));
            }
        }
    }
    cluster
}

/// Refuses `key` without `other`.
fn needs(reader: &TableReader<'_>, key: &str, other: &str) {
    if reader.written(key).is_some() && reader.written(other).is_none() {
        let problem = format!("`{key}` means nothing without `{other}`");
        reader.refuse(key, Mistake::new(problem, format!("write {other}, too")));
    }
}

fn at_most(reader: &TableReader<'_>, key: &str, count: usize, most: usize) {
    if count > most {
        let problem = format!("these are {count}");
        reader.refuse(key, Mistake::new(problem, format!("write at most {most}")));
    }
}
