//! Tests of `[cluster]` and `when_blind`.

use std::time::Duration;

use super::{mistakes, parse};
use crate::WhenBlind;

const SITE: &str =
    "[[site]]\nname = \"shop\"\nhosts = [\"*\"]\norigins = [\"http://127.0.0.1:3000\"]\n";
const NATS: &str = "[cluster]\nnats = [\"tls://nats.internal\"]\n";

/// The keys and problems of the mistakes, as one text.
fn told(text: &str) -> String {
    let lines = mistakes(&format!("{SITE}{text}")).into_iter();
    let lines = lines.map(|mistake| mistake.to_string());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn without_the_section_a_node_is_alone() {
    assert_eq!(parse(SITE).unwrap().cluster, None);
}

#[test]
fn servers_are_enough_for_a_cluster() {
    let cluster = parse(&format!("{SITE}{NATS}")).unwrap().cluster.unwrap();
    assert_eq!(cluster.nats, ["tls://nats.internal:4222"]);
    assert_eq!(cluster.named("PURGES"), "TERO_PURGES");
    assert_eq!(cluster.subject("purges"), "tero.purges");
    assert_eq!(cluster.max_blind, Duration::from_secs(15));
    assert!(!cluster.has_peers() && !cluster.node.is_empty());
}

#[test]
fn what_is_missing_is_told_with_its_cure() {
    for (more, words) in [
        ("nats = []", "write the servers"),
        (
            "nats = [\"nats.internal:4222\"]",
            "tls://nats.internal:4222",
        ),
        ("nats = [\"tls://u:p@a\"]", "write user and password_file"),
        ("node = \"a.b\"", "is not the name of a node"),
        ("prefix = \"tero\"", "can't begin the names of streams"),
        ("ca = \"ca.pem\"", "there is no file /nowhere/ca.pem"),
        ("certificate = \"\"", "write key, too"),
        ("key = \"\"", "write certificate, too"),
        ("user = \"a\"", "write password_file, too"),
        ("max_blind = \"5s\"", "cluster.max_blind"),
        ("max_blind = \"2h\"", "cluster.max_blind"),
        (
            "peers = [\"http://a:9443\"]",
            "https://edge-2.internal:9443",
        ),
        ("peers_from = \"nodes\"", "nodes.internal:9443"),
        ("peers = [\"https://a:9443\"]", "write peer_certificate"),
        ("peers_from = \"a:9443\"", "write peer_ca"),
        (
            "peers_from = \"a:9443\"\npeers = [\"https://a:9443\"]",
            "keep one of the two",
        ),
    ] {
        let text = match more.starts_with("nats") {
            true => format!("[cluster]\n{more}\n"),
            false => format!("{NATS}{more}\n"),
        };
        let told = told(&text);
        assert!(told.contains(words), "{more}: {told}");
    }
    assert!(told("[cluster]\n").contains("cluster.nats"));
}

#[test]
fn lists_have_an_end() {
    let list = |count: usize, form: &dyn Fn(usize) -> String| {
        let items: Vec<String> = (0..count).map(form).collect();
        format!("[{}]", items.join(","))
    };
    let servers = |count| {
        let list = list(count, &|number| format!("\"tls://n{number}\""));
        told(&format!("[cluster]\nnats = {list}\n"))
    };
    assert!(servers(32).is_empty() && servers(33).contains("at most 32"));
    let peers = list(257, &|number| format!("\"https://n{number}:1\""));
    assert!(told(&format!("{NATS}peers = {peers}\n")).contains("at most 256"));
}

#[test]
fn a_site_says_what_it_does_while_the_node_is_blind() {
    let of = |line: &str| parse(&format!("{SITE}{line}")).unwrap().sites[0].when_blind;
    assert_eq!(of(""), WhenBlind::Serve);
    assert_eq!(of("when_blind = \"revalidate\""), WhenBlind::Revalidate);
    assert_eq!(
        of("when_blind = \"stale-if-error\""),
        WhenBlind::StaleIfError
    );
    assert!(told("when_blind = \"never\"").contains("when_blind"));
}

#[test]
fn secrets_are_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "hunter2-hunter2\n").unwrap();
    let text = format!("{SITE}{NATS}user = \"tero\"\npassword_file = \"secret\"\n");
    let config = crate::Config::parse(&text, "tero.toml", folder.path()).unwrap();
    let cluster = config.cluster.unwrap();
    assert_eq!(cluster.password.as_deref(), Some("hunter2-hunter2"));
    assert!(!format!("{cluster:?}").contains("hunter2"));
    let token = format!("{SITE}{NATS}token_file = \"secret\"\n");
    let config = crate::Config::parse(&token, "tero.toml", folder.path()).unwrap();
    assert_eq!(
        config.cluster.unwrap().token.as_deref(),
        Some("hunter2-hunter2")
    );
}
