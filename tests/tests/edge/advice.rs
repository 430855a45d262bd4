//! `tero advise`: what it proposes helps in a simulation, and nothing is applied.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tero_tests::simulation::Way;
use tero_tools::traffic::SiteKind;

use crate::program::{assert_code, err, out, run};

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// A file with made-up traffic, and one with a configuration.
fn files(folder: &Path, kind: SiteKind, way: Way) -> (PathBuf, PathBuf) {
    let made = run(&[
        "traffic",
        "--site",
        kind.as_str(),
        "--days",
        "2",
        "--scale",
        "0.2",
    ]);
    assert_code(&made, 0);
    let (log, config) = (folder.join("access.log"), folder.join("tero.toml"));
    std::fs::write(&log, &made.stdout).unwrap();
    std::fs::write(&config, way.configuration(kind, "http://127.0.0.1:1")).unwrap();
    (log, config)
}

#[test]
fn advice_spares_visitors_the_wait_and_is_not_applied() {
    let folder = tero_tests::folder();
    let (log, config) = files(folder.path(), SiteKind::Booking, Way::Policies);
    let before = std::fs::read_to_string(&config).unwrap();
    let better = folder.path().join("better.toml");
    let advised = run(&[
        "advise",
        &text(&config),
        "--log",
        &text(&log),
        "--out",
        &text(&better),
        "--json",
    ]);
    assert_code(&advised, 0);
    let told: Value = serde_json::from_str(&out(&advised)).unwrap();
    let unwaited = |when: &str| told[when]["unwaited"].as_f64().unwrap();
    assert!(unwaited("after") > unwaited("before") + 0.02, "{told}");
    let origin = |when: &str| told[when]["origin_requests"].as_u64().unwrap();
    assert!(origin("after") <= origin("before") * 11 / 10, "{told}");
    let helps: Vec<&str> = told["proposals"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|proposal| proposal["helps"] == true)
        .map(|proposal| proposal["title"].as_str().unwrap())
        .collect();
    assert!(
        helps
            .iter()
            .any(|title| title.starts_with("/barberias/*: ")),
        "{helps:?}"
    );
    let restless = told["restless"].to_string();
    assert!(restless.contains("/api/v1/disponibilidad/*"), "{restless}");
    let never_stored = told["never_stored"].as_f64().unwrap();
    assert!((0.02..0.15).contains(&never_stored), "{never_stored}");
    // Who still waits is told by why.
    let waits = told["after"]["waits"].as_object().unwrap();
    let waits: f64 = waits.values().map(|share| share.as_f64().unwrap()).sum();
    assert!((unwaited("after") + waits - 1.0).abs() < 1e-9, "{told}");
    // The difference leads from the one file to the other, and neither is applied.
    assert_eq!(std::fs::read_to_string(&config).unwrap(), before);
    let after = std::fs::read_to_string(&better).unwrap();
    let added: Vec<&str> = told["difference"]
        .as_str()
        .unwrap()
        .lines()
        .filter_map(|line| line.strip_prefix('+'))
        .skip(1)
        .collect();
    assert!(
        !added.is_empty()
            && added
                .iter()
                .all(|line| after.lines().any(|other| other == *line)),
        "{added:?}"
    );
}

#[test]
fn advice_is_about_one_site_and_tells_why_a_proposal_is_refused() {
    let folder = tero_tests::folder();
    let (log, config) = (
        folder.path().join("access.log"),
        folder.path().join("tero.toml"),
    );
    let mut lines = String::new();
    for round in 0..400 {
        let query = if round % 2 == 0 {
            String::new()
        } else {
            format!("?ref={round}")
        };
        for host in ["a", "b"] {
            lines.push_str(&format!(
                "{{\"at\":{},\"method\":\"GET\",\"host\":\"{host}.example\",\"target\":\"/{host}/page{query}\",\"status\":200,\"bytes\":5,\"etag\":\"\\\"1\\\"\"}}\n",
                1_795_607_940 + round * 16
            ));
        }
    }
    std::fs::write(&log, lines).unwrap();
    // Its `query` is written as a table, so that a key of this name can't be added.
    let site = |name: &str| {
        format!(
            "[[site]]\nname = \"{name}\"\nhosts = [\"{name}.example\"]\norigins = [\"http://127.0.0.1:1\"]\n[site.query]\ndrop = [\"x\"]\n"
        )
    };
    std::fs::write(&config, site("a") + &site("b")).unwrap();
    let (config, log) = (text(&config), text(&log));
    let arguments = ["advise", &config, "--log", &log, "--site", "b"];
    let advised = run(&[&arguments[..], &["--json"]].concat());
    assert_code(&advised, 0);
    let told: Value = serde_json::from_str(&out(&advised)).unwrap();
    assert_eq!(
        (&told["site"], &told["requests"]),
        (&"b".into(), &400.into())
    );
    assert_eq!(told["before"]["origin_requests"], 400);
    let proposals = told["proposals"].as_array().unwrap();
    let titles: Vec<&str> = proposals
        .iter()
        .map(|proposal| proposal["title"].as_str().unwrap())
        .collect();
    assert!(
        titles.iter().any(|title| title.starts_with("/b/*: ")),
        "{titles:?}"
    );
    assert!(!titles.iter().any(|title| title.contains("/a/*")));
    let refused = proposals
        .iter()
        .find(|proposal| proposal["title"].as_str().unwrap().contains(": ref"))
        .unwrap();
    assert!(
        refused["refused"]
            .as_str()
            .unwrap()
            .contains("duplicate key"),
        "{refused}"
    );
    let advised = run(&arguments);
    assert_code(&advised, 0);
    for part in ["400 requests of b.", "would refuse it", "What bounds it"] {
        assert!(out(&advised).contains(part), "{part}: {}", out(&advised));
    }
}

#[test]
fn what_is_advised_for_a_site_of_any_host_passes_the_check() {
    let folder = tero_tests::folder();
    let (log, config) = (
        folder.path().join("access.log"),
        folder.path().join("tero.toml"),
    );
    // Requests rise at 09:00 UTC on four days. Each page is asked for at eight, and expires until nine.
    let mut lines = String::new();
    for hour in (0..4).flat_map(|day| [(day, 8, 20), (day, 9, 100)]) {
        let (day, hour, requests) = hour;
        for request in 0..requests {
            let at = 1_795_564_800 + day * 86_400 + hour * 3_600 + request * 30;
            lines.push_str(&format!(
                "{{\"at\":{at},\"method\":\"GET\",\"host\":\"shop.example\",\"target\":\"/p/{}\",\"status\":200,\"bytes\":5,\"etag\":\"\\\"1\\\"\"}}\n",
                request % 20
            ));
        }
    }
    std::fs::write(&log, lines).unwrap();
    let site = "[[site]]\nname = \"any\"\nhosts = [\"*\"]\norigins = [\"http://127.0.0.1:1\"]\ncache_control = \"public, max-age=1800\"\n";
    std::fs::write(&config, site).unwrap();
    let better = folder.path().join("better.toml");
    let (config, log, better) = (text(&config), text(&log), text(&better));
    let advised = run(&["advise", &config, "--log", &log, "--out", &better, "--json"]);
    assert_code(&advised, 0);
    let told: Value = serde_json::from_str(&out(&advised)).unwrap();
    let proposals = told["proposals"].as_array().unwrap();
    let plan = proposals
        .iter()
        .find(|proposal| proposal["title"].as_str().unwrap().starts_with("warm "))
        .unwrap();
    assert_eq!(plan["refused"], Value::Null, "{told}");
    assert!(plan["figures"].is_object(), "{told}");
    assert_code(&run(&["check", &better]), 0);
    // Without a host in the log, the plan has none, and the check's words are told.
    let lines = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, lines.replace("\"host\":\"shop.example\",", "")).unwrap();
    let advised = run(&["advise", &config, "--log", &log]);
    assert_code(&advised, 0);
    let told = out(&advised);
    assert!(
        told.contains("`tero check` would refuse it") && told.contains("has no host name"),
        "{told}"
    );
}

#[test]
fn advice_without_a_log_or_into_the_configuration_is_refused() {
    let folder = tero_tests::folder();
    let (log, config) = files(folder.path(), SiteKind::News, Way::WithoutPolicies);
    let (log, config) = (text(&log), text(&config));
    let empty = folder.path().join("empty.log");
    std::fs::write(&empty, "nonsense\n").unwrap();
    for (arguments, code, part) in [
        (
            vec![&*config, "--log", &log, "--out", &config],
            2,
            "nothing is applied",
        ),
        (vec![&*config, "--log", "-"], 2, "standard input"),
        (
            vec![&*config, "--log", &log, "--format", "xml"],
            2,
            "combined, w3c or json",
        ),
        (
            vec![&*config, "--log", &log, "--fields", "hots=x"],
            2,
            "hots",
        ),
        (
            vec![&*config, "--log", &log, "--assume", "nonsense"],
            2,
            "nonsense",
        ),
        (
            vec![&*config, "--log", &log, "--site", "other"],
            1,
            "no such site",
        ),
        (vec![&*config, "--log", "no-such-file"], 1, "no-such-file"),
        (
            vec![&*config, "--log", empty.to_str().unwrap()],
            1,
            "no request",
        ),
    ] {
        let refused = run(&[&["advise"][..], &arguments].concat());
        assert_code(&refused, code);
        assert!(err(&refused).contains(part), "{part}: {}", err(&refused));
    }
}
