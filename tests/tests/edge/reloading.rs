//! What a reload applies, and what it says of the rest.

use tero_admin_api::ReloadResponse;
use tero_config::sections::SECTIONS;
use tero_tests::{Answer, Client, Origin, Reply, Request, get};

use crate::program::{Serving, address_in, configuration};
use crate::upgrade::Load;

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

/// Keys that hold from start to end, with another value than the default or the one of the test. What
/// they are keys of is made once: the store, the listener of the admin interface, the host of policies,
/// orders of certificates, the name in fields that are ready.
const WAITING: [(&str, &[(&str, &str)]); 5] = [
    ("server", &[("name", "\"other\"")]),
    (
        "admin",
        &[
            ("listen", "\"127.0.0.2:0\""),
            ("ready_after", "[\"plan\"]"),
            ("ready_within", "\"6min\""),
            ("unix_mode", "\"0660\""),
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
            ("compress_threads", "2"),
            ("compress_share", "\"26%\""),
            ("compress_queue", "1025"),
            ("disk", "[{ path = \"disk\", size = \"64MiB\" }]"),
        ],
    ),
    (
        "policies",
        &[
            ("compiled_cache", "\"\""),
            ("compiled_cache_size", "\"123MiB\""),
            ("compile_timeout", "\"99s\""),
            ("compile_memory", "\"777MiB\""),
            ("decision_cache", "\"33MiB\""),
            ("stack", "\"256KiB\""),
            ("state_dir", "\"state\""),
            ("max_module", "\"65MiB\""),
            ("max_versions", "11"),
            ("shadow_queue", "1025"),
            ("max_table", "\"65MiB\""),
            ("max_tables", "65"),
            (
                "trusted_keys",
                "[\"RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\"]",
            ),
        ],
    ),
    (
        "telemetry",
        &[("otlp", "{ endpoint = \"http://127.0.0.1:1\" }")],
    ),
];

/// Keys that wait only if they begin or end something: the token of an interface that others reach,
/// TLS of the admin interface, the table of the access log, certificates by ACME, the fleet.
const WAITING_AT_TIMES: [(&str, &[&str]); 6] = [
    (
        "cache.disk",
        &[
            "path",
            "size",
            "write_queue",
            "max_object",
            "read_timeout",
            "erase_within",
        ],
    ),
    ("admin", &["token", "token_file", "tls"]),
    (
        "access_log",
        &["path", "format", "fields", "client_address"],
    ),
    (
        "acme",
        &["directory", "terms_agreed", "contact", "ca", "challenges"],
    ),
    (
        "cluster",
        &[
            "nats",
            "node",
            "ca",
            "certificate",
            "key",
            "user",
            "password_file",
            "token_file",
            "prefix",
            "peers",
            "peers_from",
            "peer_certificate",
            "peer_key",
            "peer_ca",
            "shield",
            "max_blind",
        ],
    ),
    (
        "telemetry.otlp",
        &[
            "endpoint",
            "sample",
            "queue",
            "timeout",
            "token",
            "token_file",
            "ca",
        ],
    ),
];

/// Keys that a reload applies, of tables that have others as well; with another value.
const APPLIED: [(&str, &[(&str, &str)]); 2] = [
    (
        "server",
        &[
            ("listen", "[\"127.0.0.1:0\", \"127.0.0.2:0\"]"),
            ("workers", "3"),
            ("device_models", "\"models.txt\""),
            ("trusted_proxies", "[\"10.0.0.0/8\"]"),
            ("trusted_edges", "[\"10.0.0.0/8\"]"),
            ("max_connections", "77"),
            ("max_connections_per_client", "76"),
            ("max_handshakes", "7"),
            ("max_header_bytes", "\"64KiB\""),
            ("max_headers", "50"),
            ("header_timeout", "\"11s\""),
            ("idle_timeout", "\"76s\""),
            ("write_timeout", "\"31s\""),
            ("min_rate", "\"1KiB\""),
            ("drain", "\"31s\""),
            ("upgrade_timeout", "\"9min\""),
            ("http2_max_streams", "99"),
            ("http2_max_resets", "99"),
            ("http2_max_control_frames", "999"),
            ("http2_window", "\"128KiB\""),
        ],
    ),
    (
        "cache",
        &[
            ("max_policy_variants", "63"),
            ("collapse_timeout", "\"9s\""),
            ("hit_for_miss", "\"3min\""),
        ],
    ),
];

/// Keys that are tables of their own, which apply: tested by their effects.
const NESTED: [(&str, &str); 1] = [("server", "listener")];

/// Tables that a reload applies as a whole.
const APPLIED_TABLES: [&str; 29] = [
    "server.listener",
    "server.listener.tls",
    "server.listener.tls.certificates",
    "time",
    "policy",
    "policy.limits",
    "table",
    "site",
    "site.origin",
    "site.balance",
    "site.health",
    "site.retry",
    "site.shield",
    "site.refresh_ahead",
    "site.country",
    "site.never",
    "site.at_most",
    "site.purge",
    "site.compress",
    "site.hsts",
    "site.error_page",
    "site.route",
    "site.route.auth",
    "site.route.redirect",
    "site.route.respond",
    "limits",
    "limit",
    "warm",
    "webhook",
];

#[test]
fn every_key_is_known_to_apply_or_to_wait() {
    for section in SECTIONS {
        let keys_in = |tables: &[(&str, &[(&str, &str)])]| -> Vec<String> {
            let own = tables.iter().filter(|(table, _)| *table == section.name);
            own.flat_map(|(_, keys)| keys.iter().map(|(key, _)| (*key).to_owned()))
                .collect()
        };
        let mut told = [keys_in(&WAITING), keys_in(&APPLIED)].concat();
        let at_times = WAITING_AT_TIMES.iter();
        let at_times = at_times.filter(|(table, _)| *table == section.name);
        told.extend(at_times.flat_map(|(_, keys)| keys.iter().map(ToString::to_string)));
        let nested = NESTED.iter().filter(|(table, _)| *table == section.name);
        told.extend(nested.map(|(_, key)| (*key).to_owned()));
        if APPLIED_TABLES.contains(&section.name) {
            assert!(told.is_empty(), "{} applies as a whole", section.name);
            continue;
        }
        told.sort();
        let mut keys: Vec<String> = section.keys.iter().map(|key| key.name.to_owned()).collect();
        keys.sort();
        assert_eq!(
            told, keys,
            "say of each key of {} whether a reload applies it: APPLIED, WAITING or APPLIED_TABLES, and docs/operating.md",
            section.name
        );
    }
}

#[test]
fn keys_that_wait_for_a_restart_are_named_and_all_others_apply() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::ok("x"));
    let text = configuration(&origin, PLAN);
    let serving = Serving::start(&text);
    let address = serving.address();
    std::fs::write(serving.folder.path().join("models.txt"), "tablet SM-T\n").unwrap();
    for (table, keys) in WAITING {
        for (key, value) in keys {
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
    let fleet = ("cluster", &[("nats", "[\"nats://127.0.0.1:9\"]")][..]);
    assert_eq!(reload(&serving, &with(&text, &[fleet])), ["cluster"]);
    let all: usize = WAITING.iter().map(|(_, keys)| keys.len()).sum();
    assert_eq!(reload(&serving, &with(&text, &WAITING)).len(), all);
    for (table, keys) in APPLIED {
        for (key, value) in keys {
            let waiting = reload(&serving, &with(&text, &[(table, &[(key, value)])]));
            assert_eq!(waiting, [""; 0], "{table}.{key}");
        }
    }
    assert!(reload(&serving, &with(&text, &APPLIED)).is_empty());
    assert_eq!(serving.metric("tero_connections_max"), Some(77.0));
    // What was in force is still there, and so are the answers.
    assert!(reload(&serving, &text).is_empty());
    let answer = Client::connect(address).send(&get("/x"));
    assert!(
        answer.header("via").unwrap().ends_with(" tero"),
        "{answer:?}"
    );
    assert_eq!(serving.metric("tero_connections_max"), Some(10_000.0));
    // A value that is written as it was is not another one.
    let same = with(&text, &[("server", &[("max_connections", "10000")])]);
    assert!(reload(&serving, &same).is_empty());
    let waiting = admin(&serving, &get("/metrics")).text();
    assert!(!waiting.contains("tero_config_waiting{"), "{waiting}");
}

/// The address in the last line of the log with these words.
fn last_address(serving: &Serving, words: &str) -> std::net::SocketAddr {
    tero_tests::eventually(words, || serving.log().contains(words));
    let log = serving.log();
    let mut lines = log.lines();
    let last = lines.rfind(|line| line.contains(words));
    address_in(last.expect("it was there"))
}

#[test]
fn listeners_come_and_go_and_change() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(600, "x"));
    let text = configuration(&origin, "");
    let serving = Serving::start(&text);
    let plain = serving.address();
    let mut kept = Client::connect(plain);
    kept.send(&get("/x"));
    let socket = serving.folder.path().join("http.sock");
    let more = format!(
        "[[server.listener]]\naddress = \"127.0.0.2:0\"\n\n[[server.listener]]\naddress = \"unix:{}\"\n\n[admin]\n",
        socket.display()
    );
    let with_more = text.replace("[admin]\n", &more);
    assert!(reload(&serving, &with_more).is_empty());
    let added = last_address(&serving, "serving on http://127.0.0.2");
    Client::connect(added).send(&get("/x")).assert_hit("x");
    std::os::unix::net::UnixStream::connect(&socket).expect("it listens");
    // The connection from before ends with its next answer, and the store is the same.
    let last = kept.send(&get("/x"));
    last.assert_hit("x");
    assert_eq!(last.header("connection").as_deref(), Some("close"));
    assert!(kept.is_closed());
    Client::connect(plain).send(&get("/x")).assert_hit("x");
    // The same address with another protocol.
    let http2 = with_more.replace("127.0.0.2:0\"\n", "127.0.0.2:0\"\nhttp2 = true\n");
    assert!(reload(&serving, &http2).is_empty());
    assert_eq!(last_address(&serving, "serving on http://127.0.0.2"), added);
    let client = crate::http2::client::Http2Client::connect(added);
    let answer = client.send(crate::http2::client::get("/x"));
    assert_eq!(answer.text(), "x");
    assert!(socket.exists(), "the path was taken over");
    // Without them, nothing listens, and the file is gone.
    assert!(reload(&serving, &text).is_empty());
    tero_tests::eventually("the address is free", || {
        std::net::TcpStream::connect(added).is_err() && !socket.exists()
    });
    Client::connect(plain).send(&get("/x")).assert_hit("x");
    // An address that another has is refused, and nothing changes: nor do sites, plans and policies.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bad = more.replace("127.0.0.2:0", &taken.local_addr().unwrap().to_string());
    let file = serving.folder.path().join("tero.toml");
    let bad = text.replace("[admin]\n", &bad).replace("www.example", "*");
    std::fs::write(&file, bad + PLAN).unwrap();
    let refused = admin(&serving, &Request::new("POST", "/reload").body(""));
    assert_eq!(refused.status, 409);
    assert!(
        refused.text().contains("could not listen on"),
        "{refused:?}"
    );
    Client::connect(plain).send(&get("/x")).assert_hit("x");
    assert!(!socket.exists());
    let elsewhere = get("/x").host("elsewhere.example");
    assert_eq!(Client::connect(plain).send(&elsewhere).status, 421);
    let plans = admin(&serving, &get("/warm"));
    assert!(!plans.text().contains("\"plan\""), "{plans:?}");
}

#[test]
fn limits_hold_for_connections_after_the_reload() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::ok("x"));
    let text = configuration(&origin, "");
    let serving = Serving::start(&text);
    let long = || get("/x").header("X-Long", "x".repeat(20_000));
    let many = || {
        (0..60).fold(get("/x"), |request, number| {
            request.header(format!("X-{number}"), "x")
        })
    };
    assert_eq!(serving.client().send(&long()).status, 200);
    assert_eq!(serving.client().send(&many()).status, 200);
    let limits: &[(&str, &[(&str, &str)])] = &[(
        "server",
        &[("max_header_bytes", "\"8KiB\""), ("max_headers", "50")],
    )];
    assert!(reload(&serving, &with(&text, limits)).is_empty());
    assert_eq!(serving.client().send(&long()).status, 431);
    assert_eq!(serving.client().send(&many()).status, 431);
    assert!(reload(&serving, &text).is_empty());
    assert_eq!(serving.client().send(&long()).status, 200);
    // At most two connections of a client: a third one is closed.
    let few: &[(&str, &[(&str, &str)])] = &[("server", &[("max_connections_per_client", "2")])];
    assert!(reload(&serving, &with(&text, few)).is_empty());
    tero_tests::eventually("the connections before it are closed", || {
        serving.metric("tero_connections_open") == Some(0.0)
    });
    let mut open = [(); 2].map(|()| serving.client());
    for client in &mut open {
        assert_eq!(client.send(&get("/x")).status, 200);
    }
    assert!(serving.client().is_closed());
}

#[test]
fn no_request_is_lost_while_workers_come_and_go() {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(600, format!("page {}", asked.target)));
    let text = configuration(&origin, "");
    let serving = Serving::start(&text);
    let plain = serving.address();
    let load = Load::new();
    std::thread::scope(|scope| {
        let load = &load;
        let _ending = load.stop_when_dropped();
        for _ in 0..16 {
            scope.spawn(move || load.http1(|| Client::connect(plain)));
        }
        for workers in ["1", "3", "2", "4", "1"] {
            load.wait_for_more(100);
            let other: &[(&str, &[(&str, &str)])] = &[("server", &[("workers", workers)])];
            assert!(reload(&serving, &with(&text, other)).is_empty());
        }
        load.wait_for_more(100);
    });
    assert!(!serving.log().contains("panicked"));
}

#[test]
fn the_access_log_takes_another_file_and_form() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::ok("x"));
    let text = configuration(&origin, "");
    let log = |path: &str, more: &str| {
        text.replace(
            "[policies]\n",
            &format!("[access_log]\npath = \"{path}\"\n{more}\n[policies]\n"),
        )
    };
    let serving = Serving::start(&log("one.log", ""));
    let lines = |name: &str| {
        let text = std::fs::read_to_string(serving.folder.path().join(name));
        text.unwrap_or_default()
    };
    serving.client().send(&get("/first"));
    tero_tests::eventually("the line is there", || lines("one.log").contains("/first"));
    let json = log("two.log", "format = \"json\"\nfields = [\"target\"]\n");
    assert!(reload(&serving, &json).is_empty());
    serving.client().send(&get("/second"));
    tero_tests::eventually("the line is there", || {
        lines("two.log") == "{\"target\":\"/second\"}\n"
    });
    assert!(!lines("one.log").contains("/second"));
    // A file that can't be opened is refused, and the log goes on.
    let file = serving.folder.path().join("tero.toml");
    std::fs::write(&file, log("none/three.log", "")).unwrap();
    let refused = admin(&serving, &Request::new("POST", "/reload").body(""));
    assert_eq!(refused.status, 409);
    serving.client().send(&get("/third"));
    tero_tests::eventually("the line is there", || lines("two.log").contains("/third"));
}

#[test]
fn sighup_names_the_keys_that_wait_too() {
    let origin = Origin::start();
    let text = configuration(&origin, "");
    let serving = Serving::start(&text);
    serving.address();
    let other = with(&text, &[("server", &[("name", "\"other\"")])]);
    std::fs::write(serving.folder.path().join("tero.toml"), other).unwrap();
    serving.signal("HUP");
    serving.line_with(&["WARN", "wait for a restart", "server.name"]);
    serving.line_with(&["the configuration has been read again"]);
    assert_eq!(
        serving.metric("tero_config_waiting{key=\"server.name\"}"),
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
