//! The commands for versions and trials: the real program.

use std::path::PathBuf;
use std::process::Output;

use super::{origin, rules};
use crate::program::{Serving, assert_code, configuration, err, out, run};
use serde_json::{Value, json};
use tero_admin_api::{Mistake, Problem, ReloadResponse};
use tero_tests::{Origin, toml_string};

/// A running program with a policy `rules`, and the arguments for its admin interface.
struct Desk {
    _origin: Origin,
    serving: Serving,
}

impl Desk {
    fn start() -> Desk {
        Desk::start_with(
            "policies = [\"rules\"]\n[[policy]]\nname = \"rules\"\nmodule = \"builtin:json-rules\"\n\
             settings = { rules = [{ name = \"zero\", match = [\"/*\"], ttl = 60 }] }\n",
        )
    }

    fn start_with(more: &str) -> Desk {
        let origin = origin();
        let state = tero_tests::folder().keep();
        let state = format!(
            "[policies]\nstate_dir = {}",
            toml_string(&state.display().to_string())
        );
        let text = configuration(&origin, more).replace("[policies]", &state);
        Desk {
            serving: Serving::start(&text),
            _origin: origin,
        }
    }

    fn tero(&self, arguments: &[&str]) -> Output {
        let admin = format!("http://{}", self.serving.admin_address());
        run(&[arguments, &["--admin", &admin]].concat())
    }

    /// Runs a command that must succeed, and returns its output.
    #[track_caller]
    fn good(&self, arguments: &[&str]) -> String {
        let output = self.tero(arguments);
        assert_code(&output, 0);
        out(&output)
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.serving.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

#[test]
fn versions_in_the_state_directory_are_compared_by_a_forecast() {
    let desk = Desk::start();
    let pushed = [("one", 150), ("two", 600)].map(|(name, ttl)| {
        let settings = desk.file("new.json", &rules(name, ttl).to_string());
        let settings = settings.display().to_string();
        let push = ["policy", "push", "builtin:json-rules", "--name", "rules"];
        let said = desk.good(&[&push[..], &["--settings", &settings]].concat());
        said.trim().rsplit(' ').next().unwrap().to_owned()
    });
    let lines: String = (0..60)
        .map(|minute| {
            format!(
                "10.0.0.1 - - [24/Nov/2026:{:02}:{:02}:00 -0300] \"GET /a HTTP/1.1\" 200 9 \"-\" \"x\"\n",
                9 + minute / 30,
                minute % 30 * 2,
            )
        })
        .collect();
    let log = desk.file("access.log", &lines).display().to_string();
    let config = desk.serving.folder.path().join("tero.toml");
    let config = config.display().to_string();
    let simulate = |arguments: &[&str]| {
        run(&[&["simulate", &config, "--log", &log, "--json"], arguments].concat())
    };
    let figures = |arguments: &[&str]| -> Vec<(String, f64)> {
        let told = simulate(arguments);
        assert_code(&told, 0);
        let report: Value = serde_json::from_str(&out(&told)).unwrap();
        let scenarios = report["scenarios"].as_array().unwrap().iter();
        let figures = scenarios.map(|one| {
            let name = one["name"].as_str().unwrap().to_owned();
            (name, one["total"]["hit_rate"].as_f64().unwrap())
        });
        figures.collect()
    };

    let second = format!("rules={}", pushed[1]);
    let compared = figures(&["--policy", "rules=1", "--policy", &second]);
    let [(_, zero), (first_name, first), (second_name, two)] = &compared[..] else {
        panic!("{compared:?}")
    };
    assert_eq!((first_name.as_str(), second_name), ("rules=1", &second));
    assert!(
        *zero == 0.0 && (0.4..0.6).contains(first) && *two > 0.7,
        "{compared:?}"
    );

    let compared = figures(&["--base", "rules=2", "--policy", "rules=configuration"]);
    assert!(
        compared[0].0.ends_with("tero.toml, rules=2"),
        "{compared:?}"
    );
    assert_eq!((compared[0].1, compared[1].1), (*two, 0.0));

    desk.good(&["policy", "activate", "rules", "2"]);
    assert_eq!(figures(&["--state"])[0].1, *two);
    assert_eq!(figures(&[])[0].1, 0.0);

    let unknown = simulate(&["--policy", "rules=999999999"]);
    assert_code(&unknown, 2);
    let told = err(&unknown);
    assert!(
        told.contains("`999999999` is not a version of `rules`; its versions are 1 ("),
        "{told}"
    );
}

#[test]
fn commands_push_try_activate_and_roll_back_a_version() {
    let desk = Desk::start();
    let cases = "[[case]]\nname = \"a page\"\nurl = \"/x\"\non_response = { ttl = \"10min\" }\n";
    let cases = desk
        .file(
            "rules.cases.toml",
            &format!("module = \"builtin:json-rules\"\n{cases}"),
        )
        .display()
        .to_string();
    let settings = desk
        .file("new.json", &rules("one", 600).to_string())
        .display()
        .to_string();
    let push = [
        "policy",
        "push",
        "builtin:json-rules",
        "--name",
        "rules",
        "--settings",
        &settings,
        "--cases",
        &cases,
    ];
    let said = desk.good(&push);
    assert!(
        said.contains("1 cases passed") && said.contains("tero policy activate rules "),
        "{said}"
    );
    let version = said.trim().rsplit(' ').next().unwrap().to_owned();
    assert!(desk.good(&push).contains("had already"));
    desk.good(&[
        "policy",
        "shadow",
        "rules",
        "--version",
        &version,
        "--sample",
        "100%",
    ]);
    desk.serving.client().send(&tero_tests::get("/x"));
    tero_tests::eventually("the shadow is asked", || {
        let shown = desk.good(&["policy", "shadow", "rules"]);
        shown.contains("1 requests and 1 responses compared")
            && shown.contains("ttl: www.example/x")
    });
    desk.good(&["policy", "shadow", "rules", "--stop"]);
    desk.good(&[
        "policy",
        "canary",
        "rules",
        "--version",
        &version,
        "--share",
        "5%",
        "--min-requests",
        "2000",
    ]);
    assert!(
        desk.good(&["policy", "canary", "rules"])
            .contains("answers for 5% of the keys")
    );
    assert!(
        desk.good(&["policy", "list"])
            .contains(&format!("canary {version} 5%"))
    );
    assert!(
        desk.good(&["policy", "rollback", "rules"])
            .contains(&format!("the canary {version} is over"))
    );
    assert!(
        desk.good(&["policy", "activate", "rules", &version])
            .contains(&format!("{version} decides"))
    );
    let listed = desk.good(&["policy", "list"]);
    assert!(
        listed.contains(&version) && listed.contains("UTC"),
        "{listed}"
    );
    assert!(
        desk.good(&["policy", "list", "--versions"])
            .contains("its own")
    );
    let explained = desk.good(&["explain", "/y", "--at", "2026-11-24T08:59"]);
    for part in [
        "rules",
        "ttl_secs 600",
        "reason one: ttl",
        "outcome     miss: nothing is stored under the key",
    ] {
        assert!(explained.contains(part), "{part} is not in\n{explained}");
    }
    assert!(
        desk.good(&["policy", "rollback", "rules"])
            .contains("configuration decides")
    );
    let refused = desk.tero(&["policy", "rollback", "rules"]);
    assert_code(&refused, 1);
    assert!(
        err(&refused).contains("no version to roll back to"),
        "{}",
        err(&refused)
    );
}

#[test]
fn a_reload_keeps_pushed_versions_and_reports_mistakes() {
    let desk = Desk::start();
    let said = desk.good(&[
        "policy",
        "push",
        "builtin:json-rules",
        "--name",
        "rules",
        "--settings",
        &rules("one", 600).to_string(),
        "--activate",
    ]);
    assert!(said.contains("active: "), "{said}");
    let post = |target: &str| {
        let request = tero_tests::Request::new("POST", target)
            .host("localhost")
            .body("");
        tero_tests::Client::connect(desk.serving.admin_address()).send(&request)
    };
    let path = desk.serving.folder.path().join("tero.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        text.replace("zero", "nil")
            .replace("www.example", "other.example"),
    )
    .unwrap();
    assert!(post("/reload").read::<ReloadResponse>().reloaded);
    let ask = |path: &str, host: &str| {
        desk.serving
            .client()
            .send(&tero_tests::get(path).host(host))
    };
    ask("/x", "other.example").assert_detail("one: ttl");
    assert_eq!(ask("/x", "www.example").status, 421);
    desk.good(&["policy", "rollback", "rules"]);
    ask("/y", "other.example").assert_detail("nil: ttl");
    std::fs::write(
        &path,
        text.replace("ttl = 60", "tll = 60")
            .replace("workers = 2", "worker = 2"),
    )
    .unwrap();
    let refused = post("/reload");
    assert_eq!(refused.status, 409, "{}", refused.text());
    let Mistake::File(mistake) = &refused.read::<Problem>().errors[0] else {
        panic!("{refused:?}")
    };
    assert!(mistake.cure.contains("workers"), "{mistake:?}");
    std::fs::write(&path, text.replace("ttl = 60", "tll = 60")).unwrap();
    let refused = post("/reload");
    assert_eq!(refused.status, 422, "{}", refused.text());
    ask("/z", "other.example").assert_detail("nil: ttl");
}

#[test]
fn a_diff_shows_by_field_where_two_versions_differ_over_a_log() {
    let folder = tero_tests::folder();
    let file = |name: &str, content: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let line = |path: &str| {
        format!(
            "10.0.0.1 - - [24/Nov/2026:08:59:00 -0300] \"GET {path} HTTP/1.1\" 200 5 \"-\" \"curl\"\n"
        )
    };
    let own = json!({ "at": "2026-11-24T11:59:00.000Z", "method": "GET", "host": "a.example", "target": "/slow/2", "status": 200, "bytes": 7 });
    let log = file(
        "access.log",
        format!("{}{}{own}\nnonsense\n", line("/x"), line("/slow/1")),
    );
    let with = |ttl: u64| {
        let rules = json!({ "rules": [{ "name": "slow", "match": ["/slow/*"], "ttl": ttl }, { "name": "all", "match": ["/*"], "ttl": 60 }] });
        file(&format!("{ttl}.json"), rules.to_string())
    };
    let (old, new) = (with(60), with(600));
    let rules = "builtin:json-rules";
    let output = run(&[
        "policy",
        "diff",
        rules,
        rules,
        "--settings-a",
        &old,
        "--settings-b",
        &new,
        "--log",
        &log,
        "--json",
    ]);
    assert_code(&output, 1);
    let told: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
    let ttl = &told["fields"]["ttl"];
    assert_eq!(
        (&told["requests"], &told["unreadable_lines"]),
        (&json!(3), &json!(1))
    );
    assert_eq!((&ttl["same"], &ttl["different"]), (&json!(1), &json!(2)));
    assert_eq!(
        (&ttl["samples"][1]["url"], &ttl["samples"][1]["b"]),
        (&json!("a.example/slow/2"), &json!("600 s"))
    );
    let shown = run(&[
        "policy",
        "diff",
        rules,
        rules,
        "--settings-a",
        &old,
        "--settings-b",
        &new,
        "--log",
        &log,
    ]);
    for part in [
        "ttl: localhost/slow/1 (",
        "2026-11-24 11:59:00 UTC): a 60 s, b 600 s",
        "1 lines are in no known format",
    ] {
        assert!(
            out(&shown).contains(part),
            "{part} is not in\n{}",
            out(&shown)
        );
    }
    let same = run(&[
        "policy",
        "diff",
        rules,
        rules,
        "--settings",
        &new,
        "--log",
        &log,
    ]);
    assert_code(&same, 0);
    assert_code(
        &run(&[
            "policy",
            "diff",
            rules,
            "builtin:nonesuch",
            "--settings",
            &new,
            "--log",
            &log,
        ]),
        2,
    );
    assert_code(
        &run(&[
            "policy",
            "diff",
            rules,
            rules,
            "--settings",
            &new,
            "--log",
            "/nowhere.log",
        ]),
        2,
    );
}

/// Runs every command of the operators' page in order, with real files and a real digest in place
/// of those on the page.
#[test]
fn commands_of_the_operators_page_run_as_written() {
    let page = include_str!("../../../../docs/policies/shipping.md");
    let blocks = page
        .split("```sh\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let commands: Vec<&str> = blocks.flat_map(str::lines).collect();
    assert!(
        commands.len() > 12 && commands.iter().all(|command| command.starts_with("tero ")),
        "{commands:?}"
    );
    let settings = |close: &str| {
        format!(
            "{{\"zone\": \"{}\", \"open\": \"09:00\", \"close\": \"{close}\"}}",
            tero_tests::ART
        )
    };
    let desk = Desk::start_with(&format!(
        "policies = [\"hours\"]\n[[policy]]\nname = \"hours\"\nmodule = \"builtin:business-hours\"\nsettings_file = {}\n",
        toml_string(&desk_file(&settings("18:00")))
    ));
    let folder = desk.serving.folder.path().to_owned();
    std::fs::write(
        folder.join("hours.wasm"),
        tero_policy_host::builtin("business-hours").unwrap(),
    )
    .unwrap();
    let seo = tero_policy_host::builtin("business-hours").unwrap();
    std::fs::write(folder.join("seo.wasm"), seo).unwrap();
    desk.file("seo.json", &settings("19:00"));
    desk.file("winter.json", &settings("18:00"));
    desk.file("summer.json", &settings("20:00"));
    desk.file(
        "access.log",
        "10.0.0.1 - - [24/Nov/2026:18:30:00 -0300] \"GET / HTTP/1.1\" 200 5\n",
    );
    let case = "[[case]]\nname = \"open\"\nat = \"2026-11-24T19:59:00\"\nurl = \"/\"\non_response = { reason_contains = \"open\" }\n";
    desk.file(
        "hours.cases.toml",
        &format!("module = \"hours.wasm\"\nsettings_file = \"summer.json\"\n{case}"),
    );
    let admin = format!("http://{}", desk.serving.admin_address());
    let mut version = "3f9a1c".to_owned();
    for command in commands {
        let written = command
            .replace("3f9a1c", &version)
            .replace("www.example.org", "www.example")
            .replace("--site shop", "--site site");
        let (written, redirected) = match written.split_once(" > ") {
            Some((command, file)) => (command, Some(file)),
            None => (&*written, None),
        };
        let mut arguments: Vec<&str> = written.split(' ').skip(1).collect();
        let at_the_desk = matches!(
            arguments[..],
            ["policy", "test" | "diff", ..] | ["simulate", ..]
        );
        if !at_the_desk {
            arguments.extend(["--admin", &admin]);
        }
        let output = crate::program::run_in(&folder, &arguments);
        // The two versions differ, so `diff` exits with 1.
        assert_code(&output, i32::from(arguments.get(1) == Some(&"diff")));
        if let Some(file) = redirected {
            std::fs::write(folder.join(file), out(&output)).unwrap();
        }
        if arguments.get(1) == Some(&"push") && !arguments.contains(&"--site") {
            version = out(&output).trim().rsplit(' ').next().unwrap().to_owned();
        }
    }
}

/// Writes a file that is kept after the tests.
fn desk_file(content: &str) -> String {
    let path = tero_tests::folder().keep().join("file");
    std::fs::write(&path, content).unwrap();
    path.display().to_string()
}
