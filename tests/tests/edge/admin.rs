//! The admin interface: probes, metrics, statistics and access control.

use std::collections::{BTreeMap, BTreeSet};

use tero_admin_api::endpoints::{Policies, Stats};
use tero_admin_api::{ModuleStatus, OutcomeCounts, StatsRequest};
use tero_tests::{Client, Edge, Origin, Reply, Request, get};

const TOKEN: &str = "a-token-for-the-tests";

fn serving() -> (Origin, Edge) {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(60, &asked.target));
    let edge = Edge::before(&origin).start();
    (origin, edge)
}

#[test]
fn probes_report_liveness_and_readiness() {
    let (_origin, edge) = serving();
    for path in ["/health", "/ready"] {
        assert_eq!(edge.admin_get(path).status, 200, "{path}");
    }
}

#[test]
fn a_draining_edge_is_not_ready() {
    let (origin, edge) = serving();
    origin.hold();
    let mut client = edge.client();
    client.start(&get("/x"));
    origin.wait_for("/x", 1);
    edge.shutdown();
    // The running request keeps the edge from stopping.
    assert_eq!(edge.admin_get("/ready").status, 503);
    assert_eq!(edge.admin_get("/health").status, 200);
    origin.release();
    let mut answer = client.head();
    client.rest(&mut answer);
    answer.assert_forwarded("uri-miss", "/x");
}

#[test]
fn unknown_admin_paths_get_404_and_unknown_methods_405() {
    let (_origin, edge) = serving();
    assert_eq!(edge.admin_get("/nothing").status, 404);
    for (method, path) in [
        ("GET", "/purge"),
        ("POST", "/metrics"),
        ("DELETE", "/policies"),
    ] {
        let answer = edge.admin(&Request::new(method, path));
        assert_eq!(answer.status, 405, "{method} {path}");
        assert!(answer.header("allow").is_some(), "{method} {path}");
    }
}

#[test]
fn admin_paths_are_not_on_the_public_listener() {
    let (origin, edge) = serving();
    for path in [
        "/health",
        "/ready",
        "/metrics",
        "/stats",
        "/policies",
        "/openapi.json",
    ] {
        edge.get(path).assert_forwarded("uri-miss", path);
    }
    assert_eq!(origin.total(), 6);
}

#[test]
fn the_admin_interface_serves_its_openapi_document() {
    let (_origin, edge) = serving();
    let paths = edge.admin_get("/openapi.json").json()["paths"].clone();
    for (path, operations) in paths.as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let target = path
                .replace("{plan}", "nothing")
                .replace("{id}", "1")
                .replace("{policy}", "nothing")
                .replace("{site}", "nothing")
                .replace("{table}", "nothing");
            // Its head alone: a stream has no end.
            let request = Request::new(method.to_uppercase(), &target).body("{}");
            let mut client = Client::connect(edge.admin_address());
            client.start(&request.host("localhost"));
            let answer = client.head();
            assert_ne!(answer.status, 405, "{method} {target}");
            // It is of no fleet.
            let is_unknown =
                target.contains("nothing") || target.contains("/1") || target == "/cluster";
            let told = format!("{method} {target}: {answer:?}");
            match is_unknown {
                // Without a state directory, some are refused before the name is looked up.
                true => assert!(matches!(answer.status, 404 | 409), "{told}"),
                false => assert_ne!(answer.status, 404, "{told}"),
            }
        }
    }
}

/// The type of each metric family, from the `# TYPE` lines.
fn kinds(text: &str) -> BTreeMap<String, String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect()
}

#[test]
fn metrics_are_well_formed() {
    let (_origin, edge) = serving();
    for target in ["/a", "/a", "/b"] {
        edge.get(target);
    }
    let text = edge.admin_get("/metrics").text();
    let kinds = kinds(&text);
    let mut seen = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(seen.insert(name), "{name} comes twice");
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
        assert!(value.is_finite() && value >= 0.0, "{line}");
        let plain = name.split('{').next().unwrap();
        assert!(
            plain.starts_with("tero_") || plain.starts_with("process_"),
            "{line}"
        );
        let suffixes = ["", "_bucket", "_sum", "_count"];
        let family = suffixes.iter().find_map(|suffix| {
            plain
                .strip_suffix(suffix)
                .filter(|family| kinds.contains_key(*family))
        });
        let family = family.unwrap_or_else(|| panic!("{line} has no TYPE"));
        assert!(
            text.contains(&format!("# HELP {family} ")),
            "{family} has no HELP"
        );
        if kinds[family] == "counter" {
            assert!(plain.ends_with("_total"), "{line}");
        }
    }
    for family in [
        "tero_requests_total",
        "tero_response_bytes_total",
        "tero_request_seconds",
        "tero_origin_requests_total",
        "tero_origin_seconds",
        "tero_cache_entries",
        "tero_cache_bytes",
        "tero_cache_evictions_total",
        "tero_connections_refused_total",
        "tero_policy_decisions_total",
        "tero_policy_seconds_total",
        "tero_decision_cache_hits_total",
        "tero_decision_cache_misses_total",
        "tero_warm_urls_total",
        "tero_warm_used_total",
    ] {
        assert!(
            kinds.contains_key(family),
            "{family} is missing in {kinds:?}"
        );
    }
}

#[test]
fn histogram_buckets_add_up_to_the_count() {
    let (_origin, edge) = serving();
    for number in 0..5 {
        edge.get(&format!("/{number}"));
    }
    for family in ["tero_request_seconds", "tero_origin_seconds"] {
        let metrics = edge.metrics();
        let buckets: Vec<f64> = metrics
            .iter()
            .filter(|(name, _)| name.starts_with(&format!("{family}_bucket")))
            .map(|(_, value)| *value)
            .collect();
        assert!(
            buckets.len() > 5 && buckets.is_sorted(),
            "{family}: {buckets:?}"
        );
        assert_eq!(buckets.last(), Some(&5.0), "{family}");
        assert_eq!(edge.metric(&format!("{family}_count"), &[]), 5.0);
    }
}

/// Sends requests with every outcome, and returns how many there were.
fn all_outcomes(origin: &Origin, edge: &Edge) -> u64 {
    origin.on_each("/x", |asked, _| match asked.header("if-none-match") {
        Some(_) => Reply::status(304),
        None => Reply::ok("x")
            .header("ETag", "\"1\"")
            .header("Cache-Control", "max-age=60, stale-while-revalidate=10"),
    });
    edge.get("/x").assert_forwarded("uri-miss", "x");
    edge.get("/x").assert_hit("x");
    edge.advance_secs(100);
    edge.get("/x").assert_forwarded("stale", "x");
    edge.advance_secs(65);
    assert_eq!(edge.get("/x").cache_status().ttl, Some(-5));
    edge.send(&Request::new("POST", "/y").body("1"));
    edge.send(&get("/x").host("elsewhere.example"));
    edge.send(&get("/z").header("Cache-Control", "only-if-cached"))
        .assert_failed(504, "only-if-cached");
    // The request for another host belongs to no site.
    6
}

#[test]
fn outcomes_add_up_to_all_requests() {
    let (origin, edge) = serving();
    let requests = all_outcomes(&origin, &edge);
    let count =
        |outcome: &str| edge.metric("tero_requests_total", &[&format!("outcome=\"{outcome}\"")]);
    for (outcome, expected) in [
        ("hit", 1.0),
        ("stale", 1.0),
        ("revalidated", 1.0),
        ("collapsed", 0.0),
        ("miss", 1.0),
        ("pass", 1.0),
        ("error", 1.0),
    ] {
        assert_eq!(count(outcome), expected, "{outcome}: {:?}", edge.metrics());
    }
    assert_eq!(edge.metric("tero_requests_total", &[]), requests as f64);
    assert_eq!(
        edge.metric("tero_request_seconds_count", &[]),
        requests as f64
    );
    origin.wait_for("/x", 3);
    tero_tests::eventually("all of the origin's answers are counted", || {
        edge.metric("tero_origin_requests_total", &[]) == origin.total() as f64
    });

    let stats = edge.call::<Stats>(&[], &StatsRequest::default());
    let site = &stats.sites[0];
    assert_eq!(
        (site.site.as_str(), site.figures.requests),
        ("site", requests),
        "{stats:?}"
    );
    // (hit + stale + revalidated + collapsed) / (all but pass, error and rule)
    assert_eq!(site.figures.hit_rate, Some(0.75));
    let hours: Vec<_> = site.hours.iter().map(|hour| &hour.figures).collect();
    let variants = site.variants.iter();
    let variants: Vec<_> = variants.map(|variant| &variant.figures).collect();
    for parts in [hours, variants] {
        let sum: u64 = parts.iter().map(|part| part.requests).sum();
        assert_eq!(sum, requests, "{stats:?}");
        for part in parts {
            let OutcomeCounts {
                hit,
                stale,
                revalidated,
                collapsed,
                miss,
                pass,
                error,
                rule,
            } = part.outcomes;
            let outcomes = hit + stale + revalidated + collapsed + miss + pass + error + rule;
            assert_eq!(outcomes, part.requests, "{part:?}");
        }
    }
}

#[test]
fn hit_rates_are_reported_by_local_hour() {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(86_400, &asked.target));
    let edge = Edge::before(&origin)
        .site("zone = \"America/Argentina/Buenos_Aires\"")
        .at("2026-11-24T08:59:59")
        .start();
    edge.get("/x");
    edge.turn_to("2026-11-24T09:00:00");
    edge.get("/x");
    edge.get("/x");
    let stats = edge.call::<Stats>(&[], &StatsRequest::default());
    let site = &stats.sites[0];
    assert_eq!(site.zone, "America/Argentina/Buenos_Aires");
    let hours = site.hours.iter();
    let hours: Vec<_> = hours
        .map(|hour| (hour.hour, hour.figures.requests, hour.figures.hit_rate))
        .collect();
    assert_eq!(hours, [(8, 1, Some(0.0)), (9, 2, Some(1.0))], "{stats:?}");
}

#[test]
fn content_bytes_are_counted() {
    let origin = Origin::start();
    origin.on("/stored", Reply::fresh(60, "x".repeat(1_000)));
    origin.on(
        "/passed",
        Reply::ok("x".repeat(500)).header("Cache-Control", "no-store"),
    );
    let edge = Edge::before(&origin).start();
    for target in ["/stored", "/stored", "/passed"] {
        edge.get(target);
    }
    assert_eq!(edge.metric("tero_response_bytes_total", &[]), 2_500.0);
}

#[test]
fn a_token_protects_the_admin_interface() {
    let origin = Origin::start();
    let edge = Edge::before(&origin)
        .admin(&format!("token = \"{TOKEN}\""))
        .start();
    let with = |authorization: &str| {
        edge.admin(&get("/metrics").header("Authorization", authorization))
            .status
    };
    let refused = edge.admin_get("/metrics");
    assert_eq!(
        (
            refused.status,
            refused.header("www-authenticate").as_deref()
        ),
        (401, Some("Bearer"))
    );
    assert_eq!(with(&format!("Bearer {TOKEN}")), 200);
    for wrong in [
        &TOKEN[1..],
        &format!("{TOKEN}x"),
        "",
        "b-token-for-the-tests",
    ] {
        assert_eq!(with(&format!("Bearer {wrong}")), 401, "{wrong}");
    }
    assert_eq!(with(&format!("Basic {TOKEN}")), 401);
    let purge = Request::new("POST", "/purge").body(r#"{"site": "site"}"#);
    assert_eq!(edge.admin(&purge).status, 401);
    assert_eq!(
        edge.admin(&purge.header("Authorization", format!("Bearer {TOKEN}")))
            .status,
        200
    );
    // Probes need no token, and get one word.
    assert_eq!(edge.admin_get("/ready").status, 200);
}

#[test]
fn without_a_token_requests_from_browsers_are_refused() {
    let (_origin, edge) = serving();
    let purge = || Request::new("POST", "/purge").body(r#"{"site": "site"}"#);
    assert_eq!(edge.admin(&purge()).status, 200);
    assert_eq!(
        edge.admin(&purge().header("Origin", "https://evil.example"))
            .status,
        403
    );
    assert_eq!(
        edge.admin(&purge().header("Sec-Fetch-Site", "cross-site"))
            .status,
        403
    );
    let mut rebound = Client::connect(edge.admin_address());
    assert_eq!(
        rebound.send(&purge().host("rebound.evil.example")).status,
        403
    );
}

#[test]
fn the_admin_interface_refuses_malformed_requests() {
    let (_origin, edge) = serving();
    for bytes in [
        "nonsense\r\n\r\n",
        "POST /purge HTTP/1.1\r\nHost: localhost\r\nContent-Length: nine\r\n\r\n",
    ] {
        let mut client = Client::connect(edge.admin_address());
        client.write(bytes);
        assert_eq!(client.head().status, 400, "{bytes:?}");
    }
    // A body announced as too long is refused before any of it arrives.
    let mut client = Client::connect(edge.admin_address());
    client.write("POST /purge HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n");
    assert_eq!(client.head().status, 413);
    assert_eq!(edge.admin_get("/health").status, 200);
}

#[test]
fn policies_are_listed_with_their_manifests() {
    let origin = Origin::start();
    let edge = Edge::before(&origin)
        .policy(
            "devices",
            "builtin:device-variants",
            "settings = { variants = [{ name = \"mobile\", devices = [\"mobile\"] }] }",
        )
        .policy(
            "hours",
            "builtin:business-hours",
            "settings = { zone = \"Europe/Madrid\", open = \"09:00\", close = \"18:00\" }",
        )
        .start();
    let listed = edge.call::<Policies>(&[], &()).policies;
    let names: Vec<_> = listed
        .iter()
        .map(|policy| policy.module.name.as_str())
        .collect();
    assert_eq!(names, ["devices", "hours"]);
    assert!(
        listed.iter().all(
            |policy| policy.module.status == ModuleStatus::Active && policy.sites[0] == "site"
        ),
        "{listed:?}"
    );
    assert_eq!(
        (
            listed[0].module.variants[0].as_str(),
            listed[1].module.zone.as_deref()
        ),
        ("mobile", Some("Europe/Madrid"))
    );
}

#[test]
fn a_node_alone_is_of_no_fleet() {
    let (_origin, edge) = serving();
    for target in ["/cluster", "/stats?fleet=true"] {
        let answer = edge.admin_get(target);
        assert_eq!(answer.status, 404, "{answer:?}");
        assert!(answer.text().contains("add [cluster]"), "{answer:?}");
    }
    assert_eq!(edge.admin_get("/stats?fleet=maybe").status, 400);
    assert!(
        !edge
            .admin_get("/metrics")
            .text()
            .contains("\ntero_fleet_nodes{")
    );
}
