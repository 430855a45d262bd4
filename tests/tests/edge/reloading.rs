//! What a reload applies, and what it says of the rest.

use tero_admin_api::ReloadResponse;
use tero_tests::{Answer, Client, Origin, Reply, Request, get};

use crate::program::{Serving, configuration};

const PLAN: &str = "\n[[warm]]\nname = \"plan\"\nsite = \"site\"\nurls = [\"/a\"]\n";

/// Sends a request to the admin interface.
fn admin(serving: &Serving, request: &Request) -> Answer {
    Client::connect(serving.admin_address()).send(&request.clone().host("localhost"))
}

/// Writes another configuration and reloads it. Returns the keys that wait.
#[track_caller]
fn reload(serving: &Serving, text: &str) -> Vec<String> {
    std::fs::write(serving.folder.path().join("tero.toml"), text).unwrap();
    let answer = admin(serving, &Request::new("POST", "/reload").body(""));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.read::<ReloadResponse>().waiting
}

/// The configuration with these keys in these tables. Keys that are there are replaced.
fn with(text: &str, tables: &[(&str, &[(&str, &str)])]) -> String {
    let mut text = text.to_owned();
    for (table, keys) in tables {
        let header = format!("[{table}]\n");
        if !text.contains(&header) {
            text.insert_str(0, &format!("{header}\n"));
        }
        for (key, value) in *keys {
            let at = text.find(&header).unwrap() + header.len();
            let end = text[at..].find("\n[").map_or(text.len(), |end| at + end);
            let mut own: Vec<&str> = text[at..end].lines().collect();
            own.retain(|line| !line.starts_with(&format!("{key} =")));
            let line = format!("{key} = {value}");
            own.insert(0, &line);
            text = format!("{}{}\n{}", &text[..at], own.join("\n"), &text[end..]);
        }
    }
    text
}

#[test]
fn every_key_that_waits_for_a_restart_is_named() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::ok("x"));
    let text = configuration(&origin, PLAN);
    let serving = Serving::start(&text);
    let address = serving.address();
    let waits: &[(&str, &[(&str, &str)])] = &[
        (
            "server",
            &[
                ("listen", "[\"127.0.0.2:0\"]"),
                ("workers", "3"),
                ("name", "\"other\""),
                ("max_connections", "77"),
                ("max_header_bytes", "\"64KiB\""),
                ("max_headers", "50"),
                ("header_timeout", "\"11s\""),
                ("idle_timeout", "\"76s\""),
                ("write_timeout", "\"31s\""),
                ("drain", "\"31s\""),
            ],
        ),
        (
            "admin",
            &[
                ("listen", "\"127.0.0.2:0\""),
                ("ready_after", "[\"plan\"]"),
                ("ready_within", "\"6min\""),
            ],
        ),
        (
            "cache",
            &[
                ("memory", "\"256MiB\""),
                ("max_object", "\"1MiB\""),
                ("fill_memory", "\"70MiB\""),
                ("warm_memory", "\"3MiB\""),
                ("max_variants", "31"),
                ("collapse_timeout", "\"9s\""),
                ("hit_for_miss", "\"3min\""),
                ("compress_threads", "2"),
                ("compress_share", "\"26%\""),
                ("compress_queue", "1025"),
            ],
        ),
        (
            "policies",
            &[
                ("compiled_cache", "\"\""),
                ("decision_cache", "\"33MiB\""),
                ("stack", "\"256KiB\""),
                ("state_dir", "\"state\""),
                ("max_module", "\"65MiB\""),
                ("max_versions", "11"),
                ("shadow_queue", "1025"),
            ],
        ),
    ];
    for (table, keys) in waits {
        for (key, value) in *keys {
            let name = format!("{table}.{key}");
            let mut waiting = reload(&serving, &with(&text, &[(table, &[(key, value)])]));
            if name == "cache.memory" {
                // The defaults of others follow it.
                waiting.retain(|key| *key == name);
            }
            assert_eq!(waiting, [name.as_str()]);
            let metric = format!("tero_config_waiting{{key=\"{name}\"}}");
            assert_eq!(serving.metric(&metric), Some(1.0), "{name}");
            serving.line_with(&["WARN", "wait for a restart", &name]);
        }
    }
    assert_eq!(
        reload(&serving, &with(&text, &[("access_log", &[])])),
        ["access_log"]
    );
    let all: usize = waits.iter().map(|(_, keys)| keys.len()).sum();
    assert_eq!(reload(&serving, &with(&text, waits)).len(), all);
    // What was in force is still there, and so are the answers.
    assert_eq!(serving.address(), address);
    let answer = serving.client().send(&get("/x"));
    assert!(
        answer.header("via").unwrap().ends_with(" tero"),
        "{answer:?}"
    );
    assert_eq!(serving.metric("tero_connections_max"), Some(10_000.0));
    // A value that is written as it was is not another one.
    let same = with(&text, &[("server", &[("max_connections", "10000")])]);
    assert!(reload(&serving, &same).is_empty());
    assert!(reload(&serving, &text).is_empty());
    let waiting = admin(&serving, &get("/metrics")).text();
    assert!(!waiting.contains("tero_config_waiting{"), "{waiting}");
}

#[test]
fn sighup_names_the_keys_that_wait_too() {
    let origin = Origin::start();
    let text = configuration(&origin, "");
    let serving = Serving::start(&text);
    serving.address();
    let other = with(&text, &[("server", &[("workers", "3")])]);
    std::fs::write(serving.folder.path().join("tero.toml"), other).unwrap();
    serving.signal("HUP");
    serving.line_with(&["WARN", "wait for a restart", "server.workers"]);
    serving.line_with(&["the configuration has been read again"]);
    assert_eq!(
        serving.metric("tero_config_waiting{key=\"server.workers\"}"),
        Some(1.0)
    );
}

#[test]
fn reloads_are_counted() {
    let origin = Origin::start();
    let text = configuration(&origin, "");
    let serving = Serving::start(&text);
    let count = |result: &str| {
        let metric = format!("tero_config_reloads_total{{result=\"{result}\"}}");
        serving.metric(&metric)
    };
    assert_eq!((count("applied"), count("refused")), (Some(0.0), Some(0.0)));
    reload(&serving, &text);
    std::fs::write(serving.folder.path().join("tero.toml"), "nonsense").unwrap();
    let refused = admin(&serving, &Request::new("POST", "/reload").body(""));
    assert_eq!(refused.status, 409, "{refused:?}");
    assert_eq!((count("applied"), count("refused")), (Some(1.0), Some(1.0)));
}

#[test]
fn the_token_of_the_admin_interface_is_applied() {
    let origin = Origin::start();
    let text = configuration(&origin, "");
    let serving = Serving::start(&text);
    let token = |token: &str| get("/stats").header("Authorization", format!("Bearer {token}"));
    let status = |request: &Request| admin(&serving, request).status;
    assert_eq!(status(&get("/stats")), 200);
    let (first, second) = ("a-token-of-the-test-1", "a-token-of-the-test-2");
    let with_token = |token: &str| with(&text, &[("admin", &[("token", &format!("{token:?}"))])]);
    assert!(reload(&serving, &with_token(first)).is_empty());
    assert_eq!(status(&get("/stats")), 401);
    assert_eq!(status(&token(first)), 200);
    assert_eq!(status(&get("/health")), 200);
    std::fs::write(serving.folder.path().join("tero.toml"), with_token(second)).unwrap();
    serving.signal("HUP");
    tero_tests::eventually("the second token holds", || status(&token(second)) == 200);
    assert_eq!(status(&token(first)), 401);
    std::fs::write(serving.folder.path().join("tero.toml"), &text).unwrap();
    serving.signal("HUP");
    tero_tests::eventually("no token is needed", || status(&get("/stats")) == 200);
}

#[test]
fn an_interface_that_others_reach_keeps_its_token() {
    let origin = Origin::start();
    let text = configuration(&origin, "");
    let token = "a-token-of-the-test";
    let open = [
        ("listen", "\"0.0.0.0:0\""),
        ("token", "\"a-token-of-the-test\""),
    ];
    let serving = Serving::start(&with(&text, &[("admin", &open)]));
    let line = serving.line_with(&["admin", "0.0.0.0:"]);
    let port: u16 = line.rsplit(':').next().unwrap().trim().parse().unwrap();
    let ask = |request: &Request| Client::connect(([127, 0, 0, 1], port).into()).send(request);
    let bearer = format!("Bearer {token}");
    std::fs::write(serving.folder.path().join("tero.toml"), &text).unwrap();
    let answer = ask(&Request::new("POST", "/reload")
        .header("Authorization", &bearer)
        .body(""));
    let waiting = answer.read::<ReloadResponse>().waiting;
    assert_eq!(waiting, ["admin.listen", "admin.token"]);
    assert_eq!(ask(&get("/stats").host("localhost")).status, 401);
    assert_eq!(
        ask(&get("/stats").header("Authorization", &bearer)).status,
        200
    );
}
