//! How nodes and servers of NATS know each other: passwords, certificates, and the rights of a node.

use tero_tests::{Edge, Origin, eventually, folder, toml_string};

use super::nats::{NatsServer, programs};
use super::{
    init_at, init_with, is_purged, logged, node, page, section, store, versions, wait_until_ready,
};
use crate::pki::{AuthorityFolder, IssuedFiles};

#[test]
fn wrong_credentials_are_told_as_the_cause() {
    let Some(program) = programs().pop() else {
        return;
    };
    let nats = NatsServer::start(&program, &["--user", "tero", "--pass", "right"]);
    let files = folder();
    std::fs::write(files.path().join("password"), "wrong\n").unwrap();
    let origin = Origin::start();
    let password = files.path().join("password").display().to_string();
    let keys = format!("user = \"tero\"\npassword_file = \"{password}\"\n");
    let edge = node(&origin, &nats, "one").section(&keys).start();
    eventually("a failure", || {
        edge.metric("tero_cluster_nats_failures_total", &[]) > 1.0
    });
    assert_eq!(edge.metric("tero_cluster_nats_connected", &[]), 0.0);
    eventually("the cause", || {
        let answer = edge.admin_get("/ready?cluster").text();
        answer.contains("authorization violation") && answer.contains("password_file")
    });
    std::fs::write(files.path().join("password"), "right\n").unwrap();
    let edge = node(&origin, &nats, "one").section(&keys).start();
    eventually("a connection", || {
        edge.metric("tero_cluster_nats_connected", &[]) == 1.0
    });
}

/// What docs/cluster.md says that a node needs, with the password `password`.
const RIGHTS: &str = r#"
authorization { users = [
    { user: "operator", password: "password" }
    { user: "node", password: "password", permissions: {
        publish: ["tero.>", "$KV.TERO_ACTIVE.>", "$KV.TERO_LEASES.>", "$KV.TERO_RUNS.>", "$O.TERO_MODULES.>",
            "$JS.API.STREAM.INFO.>", "$JS.API.STREAM.MSG.GET.>", "$JS.API.DIRECT.GET.>", "$JS.API.CONSUMER.CREATE.>",
            "$JS.API.CONSUMER.MSG.NEXT.TERO_WARM.>", "$JS.ACK.TERO_WARM.>", "$JS.FC.>", "$JS.API.INFO"]
        subscribe: ["_INBOX.>", "tero.>"]
    } }
] }
"#;

/// The part of a server's file that gives nodes no more rights than that, for the user `node`; the user
/// `operator` has all.
pub(super) fn node_rights() -> String {
    RIGHTS.to_owned()
}

/// The same without one of the rights to publish.
pub(super) fn node_rights_but(right: &str) -> String {
    let quoted = format!("\"{right}\"");
    assert!(RIGHTS.contains(&quoted), "{right}");
    RIGHTS.replacen(&quoted, "\"tero.none\"", 1)
}

#[test]
fn a_node_needs_no_right_to_make_or_delete_streams() {
    for program in programs() {
        let files = folder();
        let [rights, password] = ["nats.conf", "password"].map(|name| files.path().join(name));
        std::fs::write(&rights, RIGHTS).unwrap();
        std::fs::write(&password, "password\n").unwrap();
        let nats = NatsServer::start(&program, &["-c", &rights.display().to_string()]);
        let path = password.display();
        let keys = |user: &str| format!("user = \"{user}\"\npassword_file = \"{path}\"\n");
        init_with(&nats, &keys("operator"));
        let origin = Origin::start();
        origin.on("/a", page());
        let states = [folder(), folder()];
        let edges = ["one", "two"].map(|name| {
            let state = &states[usize::from(name == "two")];
            let node = versions::builder(&origin, &nats, name, state);
            node.section(&keys("node")).start()
        });
        wait_until_ready(&edges);
        edges.iter().for_each(store);
        logged(&edges[0]);
        eventually("a purge on the other node", || is_purged(&edges[1]));
        eventually("nodes that hear of each other", || {
            edges.iter().all(|edge| versions::heard(edge).len() == 2)
        });
        let digest = versions::pushed(&edges[0], &versions::rules(300));
        versions::activate(&edges[0], &digest);
        eventually("the version on the other node", || {
            versions::active(&edges[1]) == digest
        });
    }
}

/// The `tls` block of a server's file that demands certificates of its clients.
fn tls_block(authority: &AuthorityFolder, own: &IssuedFiles) -> String {
    let quoted = |path: &std::path::Path| toml_string(&path.display().to_string());
    format!(
        "tls {{ cert_file: {}, key_file: {}, ca_file: {}, verify: true }}\n",
        quoted(&own.cert),
        quoted(&own.key),
        quoted(&authority.ca())
    )
}

/// Keys of `[cluster]` for a node that trusts this authority, and shows this certificate.
fn tls_keys(trusted: &AuthorityFolder, shown: Option<&IssuedFiles>) -> String {
    let quoted = |path: &std::path::Path| toml_string(&path.display().to_string());
    let ca = format!("ca = {}\n", quoted(&trusted.ca()));
    let shown = shown.map(|shown| {
        let (cert, key) = (quoted(&shown.cert), quoted(&shown.key));
        format!("certificate = {cert}\nkey = {key}\n")
    });
    ca + &shown.unwrap_or_default()
}

#[test]
fn nodes_and_servers_show_each_other_certificates() {
    for program in programs() {
        let authority = AuthorityFolder::new("fleet");
        let own = authority.issue("server", &["127.0.0.1"]);
        let shown = authority.issue("node", &["node"]);
        let file = authority.path().join("nats.conf");
        std::fs::write(&file, tls_block(&authority, &own)).unwrap();
        let nats = NatsServer::start(&program, &["-c", &file.display().to_string()]);
        let url = nats.url().replace("nats://", "tls://");
        let keys = tls_keys(&authority, Some(&shown));
        init_at(&url, &keys);
        let origin = Origin::start();
        origin.on("/a", page());
        let start = |name: &str, keys: &str| {
            let section = section(&url, name) + keys;
            Edge::before(&origin).section(&section).start()
        };
        let edges = ["one", "two"].map(|name| start(name, &keys));
        wait_until_ready(&edges);
        edges.iter().for_each(store);
        logged(&edges[0]);
        eventually("a purge on the other node", || is_purged(&edges[1]));
        // Strangers on either side are told from servers that can't be reached.
        let stranger = AuthorityFolder::new("stranger");
        let by_stranger = stranger.issue("node", &["node"]);
        for keys in [
            tls_keys(&stranger, Some(&shown)),
            tls_keys(&authority, Some(&by_stranger)),
            tls_keys(&authority, None),
        ] {
            let edge = start("three", &keys);
            eventually("the cause", || {
                let told = edge.admin_get("/ready?cluster").text();
                told.contains("compare ca, certificate and key with the server's")
            });
            assert_eq!(edge.metric("tero_cluster_nats_connected", &[]), 0.0);
        }
    }
}
