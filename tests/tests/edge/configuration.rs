//! Configurations are checked before use, and every mistake is reported with line, key and cure.

use tero_tests::{Edge, Origin, folder};

use crate::program::{assert_code, err, out, run, run_in};

/// Runs `tero check` on a text.
fn check(text: &str) -> std::process::Output {
    let folder = folder();
    std::fs::write(folder.path().join("tero.toml"), text).unwrap();
    run_in(folder.path(), &["check"])
}

const SITE: &str = "[[site]]\nname = \"shop\"\nhosts = [\"shop.example\"]\norigins = [\"http://127.0.0.1:3000\"]\n";

#[test]
fn a_good_configuration_passes_the_check() {
    let output = check(SITE);
    assert_code(&output, 0);
    assert!(
        out(&output).contains("tero.toml: good: 1 site"),
        "{}",
        out(&output)
    );
}

#[test]
fn all_mistakes_are_reported_at_once_with_line_key_and_cure() {
    let text = "[server]\nworker = 2\ndrain = 30\n\n[cache]\nmemory = \"12\"\n\n\
                [[site]]\nname = \"Shop\"\nhosts = []\norigins = [\"ftp://x\"]\npolicies = [\"hours\"]\n";
    let output = check(text);
    assert_code(&output, 1);
    let told = err(&output);
    for (line, key, cure) in [
        (2, "server.worker", "did you mean `workers`?"),
        (3, "server.drain", "\"30s\""),
        (6, "cache.memory", "\"64MiB\""),
        (9, "site.name", "a-z"),
        (10, "site.hosts", "write [\"*\"]"),
        (11, "site.origins", "http://"),
        (12, "site.policies", "[[policy]]"),
    ] {
        assert!(
            told.contains(&format!("tero.toml:{line}:")),
            "line {line}:\n{told}"
        );
        assert!(told.contains(key), "{key}:\n{told}");
        assert!(told.contains(cure), "{cure}:\n{told}");
    }
    assert!(told.contains("7 mistakes"), "{told}");
}

#[test]
fn mistakes_are_reported_as_json_too() {
    let folder = folder();
    std::fs::write(
        folder.path().join("edge.toml"),
        format!("[server]\nworkers = 0\nname = \"a b\"\n\n{SITE}"),
    )
    .unwrap();
    let output = run_in(folder.path(), &["check", "--json", "edge.toml"]);
    assert_code(&output, 1);
    let told: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
    let errors = told["errors"].as_array().unwrap();
    let found: Vec<_> = errors
        .iter()
        .map(|error| {
            (
                error["line"].as_u64().unwrap(),
                error["key"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(found, [(2, "server.workers"), (3, "server.name")]);
    assert!(
        errors
            .iter()
            .all(|error| !error["cure"].as_str().unwrap().is_empty())
    );
}

#[test]
fn malformed_toml_is_reported_with_its_line() {
    let output = check(&format!("{SITE}[server\nworkers = 1\n"));
    assert_code(&output, 1);
    assert!(err(&output).contains("tero.toml:5:"), "{}", err(&output));
}

#[test]
fn a_missing_file_is_named() {
    let output = run(&["check", "/nowhere/at/all.toml"]);
    assert_code(&output, 1);
    assert!(
        err(&output).contains("/nowhere/at/all.toml"),
        "{}",
        err(&output)
    );
}

#[test]
fn every_key_is_documented_with_default_and_range() {
    let output = run(&["check", "--keys"]);
    assert_code(&output, 0);
    let reference = out(&output);
    for key in [
        "max_connections",
        "collapse_timeout",
        "policy_may_override",
        "stale_if_error",
        "schedule",
        "deadline",
        "compiled_cache",
    ] {
        assert!(
            reference.contains(&format!("`{key}`")),
            "{key}:\n{reference}"
        );
    }
    for (key, words) in [
        ("memory", "512MiB"),
        ("header_timeout", "10s"),
        ("max_failures", "10"),
    ] {
        let line = reference
            .lines()
            .find(|line| line.contains(&format!("`{key}`")))
            .unwrap();
        assert!(line.contains(words), "{line}");
    }
}

#[test]
fn serve_refuses_what_check_refuses() {
    let folder = folder();
    std::fs::write(folder.path().join("tero.toml"), "[server]\nworkers = 0\n").unwrap();
    let output = run_in(folder.path(), &["serve"]);
    assert_code(&output, 1);
    assert!(err(&output).contains("server.workers"), "{}", err(&output));
}

#[test]
fn the_check_never_shows_a_token() {
    let output = check("[admin]\ntoken = \"much too secret to show\"\nlisten = 5\n");
    assert_code(&output, 1);
    assert!(!err(&output).contains("secret"), "{}", err(&output));
}

#[test]
fn refusals_of_policies_are_reported_in_their_words() {
    let policy = "[[policy]]\nname = \"hours\"\nmodule = \"builtin:business-hours\"\nsettings = { zone = \"America/Macondo\", open = \"09:00\", close = \"18:00\" }\n";
    let output = check(&format!("{policy}{SITE}policies = [\"hours\"]\n"));
    assert_code(&output, 1);
    assert!(err(&output).contains("America/Macondo"), "{}", err(&output));
    let output = check(
        &format!("{policy}{SITE}policies = [\"hours\"]\n")
            .replace("Macondo", "Argentina/Buenos_Aires"),
    );
    assert_code(&output, 0);
}

#[test]
fn the_configured_name_stands_in_via_and_cache_status() {
    let origin = Origin::start();
    let edge = Edge::before(&origin).server("name = \"edge-7\"").start();
    let answer = edge.get("/x");
    assert_eq!(answer.cache_status().cache, "edge-7");
    assert_eq!(answer.header("via").as_deref(), Some("1.1 edge-7"));
}

#[test]
fn a_site_can_show_keys_in_cache_status() {
    let origin = Origin::start();
    let edge = Edge::before(&origin)
        .site("cache_status_key = true")
        .start();
    assert_eq!(
        edge.get("/x?a=1").cache_status().key.as_deref(),
        Some("http://www.example/x?a=1")
    );
    let edge = Edge::before(&origin).start();
    assert_eq!(edge.get("/x").cache_status().key, None);
}

#[test]
fn the_origin_gets_the_host_that_the_site_names() {
    let origin = Origin::start();
    let edge = Edge::before(&origin)
        .site("host_header = \"app.internal\"")
        .start();
    edge.get("/x");
    assert_eq!(
        origin.only("/x").header("host").as_deref(),
        Some("app.internal")
    );
    let edge = Edge::before(&origin).start();
    edge.get("/y");
    assert_eq!(
        origin.only("/y").header("host").as_deref(),
        Some("www.example")
    );
}

#[test]
fn what_could_share_or_purge_too_much_is_warned_of() {
    let ttl = "default_ttl = { 200 = \"1min\" }\ndefault_ttl_with_cookies = true\n";
    let proxies = "[server]\ntrusted_proxies = [\"10.0.0.0/24\"]\n";
    let from = |network: &str| format!("[site.purge]\nfrom = [\"{network}\"]\n");
    for (text, told) in [
        (
            format!("{SITE}{ttl}"),
            Some("the pages of logged-in visitors"),
        ),
        (format!("{SITE}{ttl}pass_cookies = [\"sid\"]\n"), None),
        (
            format!("{SITE}{}", from("0.0.0.0/0")),
            Some("every client may purge"),
        ),
        (
            format!("{proxies}{SITE}{}", from("10.0.0.7")),
            Some("overlap"),
        ),
        (
            format!("{proxies}{SITE}{}", from("10.0.0.0/8")),
            Some("overlap"),
        ),
        (format!("{proxies}{SITE}{}", from("10.0.1.7")), None),
    ] {
        let output = check(&text);
        assert_code(&output, 0);
        let warned = err(&output);
        match told {
            Some(told) => assert!(warned.contains(told), "{text}: {warned}"),
            None => assert!(!warned.contains("warning: "), "{text}: {warned}"),
        }
    }
}
