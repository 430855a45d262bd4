//! The real program: arguments, signals and exit codes.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use tero_tests::{GUARD, Gate, Origin, Reply, eventually, folder, get, toml_string};

use crate::program::{
    Serving, assert_code, configuration, err, out, run, run_in, sample_file, tero,
};

const COMMANDS: [&str; 11] = [
    "calendar", "serve", "check", "demo", "explain", "warm", "origins", "purge", "stats", "import",
    "policy",
];

#[test]
fn help_and_version_are_printed() {
    let version = run(&["--version"]);
    assert_code(&version, 0);
    assert!(out(&version).contains(env!("CARGO_PKG_VERSION")));
    let help = run(&["--help"]);
    assert_code(&help, 0);
    for command in COMMANDS {
        assert!(
            out(&help).contains(&format!("\n  {command}")),
            "{command}:\n{}",
            out(&help)
        );
    }
}

#[test]
fn the_allocator_reads_the_settings_in_the_program() {
    let told = tero(&["--version"])
        .env("_RJEM_MALLOC_CONF", "confirm_conf:true")
        .output()
        .expect("the program can be run");
    for setting in [
        "tcache_nslots_small_min:100",
        "tcache_gc_incr_bytes:4194304",
    ] {
        assert!(
            err(&told).contains(&format!("Set conf value: {setting}\n")),
            "{}",
            err(&told)
        );
    }
    assert!(!err(&told).contains("Invalid"), "{}", err(&told));
}

#[test]
fn every_command_has_help_with_an_example() {
    for command in COMMANDS {
        let help = run(&[command, "--help"]);
        assert_code(&help, 0);
        assert!(
            out(&help).contains(&format!("  tero {command}")),
            "{command}:\n{}",
            out(&help)
        );
    }
}

#[test]
fn wrong_usage_and_failure_have_different_exit_codes() {
    for arguments in [
        &[][..],
        &["unknown"],
        &["check", "--unknown"],
        &["purge"],
        &["purge", "--url", "http://a/", "--tag", "b"],
        &["warm"],
        &["import"],
        &["import", "x.json", "--origin", "ftp://x"],
        &["stats", "--admin", "not a url"],
    ] {
        let output = run(arguments);
        assert_code(&output, 2);
        assert!(
            !err(&output).is_empty() && out(&output).is_empty(),
            "{arguments:?}"
        );
    }
    for arguments in [
        &["check", "/nowhere.toml"][..],
        &["import", "/nowhere.json"],
        &["stats", "--admin", "http://127.0.0.1:1"],
    ] {
        assert_code(&run(arguments), 1);
    }
}

#[test]
fn the_program_serves_by_its_configuration() {
    let origin = Origin::start();
    origin.on("/x", Reply::fresh(60, "x"));
    let serving = Serving::start(&configuration(&origin, ""));
    let mut client = serving.client();
    client.send(&get("/x")).assert_forwarded("uri-miss", "x");
    client.send(&get("/x")).assert_hit("x");
    assert_eq!(origin.requests("/x"), 1);
}

#[test]
fn a_stop_signal_lets_requests_end_and_refuses_connections() {
    for signal in ["TERM", "INT"] {
        let origin = Origin::start();
        let gate = Gate::new();
        origin.on("/x", Reply::fresh(60, "firstlast!").in_halves(&gate));
        let mut serving = Serving::start(&configuration(&origin, ""));
        let address = serving.address();
        let mut client = serving.client();
        client.start(&get("/x"));
        let mut answer = client.head();
        answer.body = client.exactly(5);
        serving.signal(signal);
        serving.line_with(&["draining"]);
        tero_tests::eventually("new connections are refused", || {
            std::net::TcpStream::connect(address).is_err()
        });
        gate.open();
        client.rest(&mut answer);
        assert_eq!(
            (answer.text().as_str(), answer.whole),
            ("firstlast!", true),
            "{signal}"
        );
        assert!(client.is_closed());
        assert_eq!(serving.exit_code(), Some(0), "{signal}:\n{}", serving.log());
    }
}

#[test]
fn the_log_is_json_if_that_is_wanted() {
    let origin = Origin::start();
    let mut command = tero(&["serve"]);
    command.env("TERO_LOG_FORMAT", "json");
    let serving = Serving::start_by(command, &configuration(&origin, ""));
    let line = serving.line_with(&["admin interface on"]);
    let line: serde_json::Value = serde_json::from_str(&line).expect("it is JSON");
    assert_eq!(line["level"], "INFO");
    let message = line["message"].as_str().unwrap();
    assert!(
        message.starts_with("admin interface on http://"),
        "{message}"
    );
    assert!(line["timestamp"].is_string());
}

#[test]
fn a_second_signal_stops_at_once() {
    let origin = Origin::start();
    origin.on("/x", Reply::silence());
    let mut serving = Serving::start(&configuration(&origin, ""));
    let mut client = serving.client();
    client.start(&get("/x"));
    origin.wait_for("/x", 1);
    serving.signal("TERM");
    serving.line_with(&["draining"]);
    serving.signal("TERM");
    assert_eq!(serving.exit_code(), Some(0), "{}", serving.log());
}

#[test]
fn idle_connections_do_not_delay_the_stop() {
    let origin = Origin::start();
    let mut serving = Serving::start(&configuration(&origin, ""));
    let mut idle = serving.client();
    assert_eq!(idle.send(&get("/x")).status, 404);
    serving.signal("TERM");
    assert_eq!(serving.exit_code(), Some(0));
    assert!(idle.is_closed());
}

#[test]
fn sighup_reloads_the_configuration() {
    let (first, second) = (Origin::start(), Origin::start());
    first.otherwise(|_| Reply::ok("first"));
    second.otherwise(|_| Reply::ok("second"));
    let serving = Serving::start(&configuration(&first, ""));
    let address = serving.address();
    let mut client = serving.client();
    assert_eq!(client.send(&get("/a")).text(), "first");
    let file = serving.folder.path().join("tero.toml");
    std::fs::write(&file, "nonsense").unwrap();
    serving.signal("HUP");
    serving.line_with(&["the old configuration stays"]);
    assert_eq!(client.send(&get("/b")).text(), "first");
    std::fs::write(&file, configuration(&second, "")).unwrap();
    serving.signal("HUP");
    serving.line_with(&["the configuration has been read again"]);
    assert_eq!(client.send(&get("/c")).text(), "second");
    assert_eq!(serving.address(), address);
}

#[test]
fn an_address_in_use_is_reported() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let origin = Origin::start();
    let folder = folder();
    for key in ["listen = [\"127.0.0.1:0\"]", "listen = \"127.0.0.1:0\""] {
        let text =
            configuration(&origin, "").replacen(key, &key.replace("127.0.0.1:0", &address), 1);
        std::fs::write(folder.path().join("tero.toml"), text).unwrap();
        let output = run_in(folder.path(), &["serve"]);
        assert_code(&output, 1);
        assert!(err(&output).contains(&address), "{}", err(&output));
    }
}

#[test]
fn purge_and_stats_commands_reach_a_running_edge() {
    let origin = Origin::start();
    origin.on("/x", Reply::fresh(60, "x"));
    let serving = Serving::start(&configuration(&origin, ""));
    let admin = format!("http://{}", serving.admin_address());
    let mut client = serving.client();
    client.send(&get("/x")).assert_forwarded("uri-miss", "x");
    let purged = run(&["purge", "--url", "http://www.example/x", "--admin", &admin]);
    assert_code(&purged, 0);
    assert!(
        out(&purged).contains("1 stored response dropped"),
        "{}",
        out(&purged)
    );
    client.send(&get("/x")).assert_forwarded("uri-miss", "x");
    let origins = run(&["origins", "--admin", &admin]);
    assert_code(&origins, 0);
    assert!(out(&origins).contains("healthy"), "{}", out(&origins));
    let name = origin.url().replace("http://", "");
    for (action, state) in [("drain", "drained"), ("resume", "healthy")] {
        let changed = run(&["origins", action, "site", &name, "--admin", &admin]);
        assert_code(&changed, 0);
        assert_eq!(out(&changed), format!("{name} is {state}\n"));
    }
    let stats = run(&["stats", "--json", "--admin", &admin]);
    assert_code(&stats, 0);
    let stats: serde_json::Value = serde_json::from_str(&out(&stats)).unwrap();
    assert_eq!(stats["sites"][0]["outcomes"]["miss"], 2, "{stats}");
    let shown = run(&["stats", "--admin", &admin]);
    assert_code(&shown, 0);
    assert!(out(&shown).contains("site"), "{}", out(&shown));
}

#[test]
fn the_warm_command_starts_a_plan_and_waits_for_it() {
    let origin = Origin::start();
    origin.on("/a", Reply::fresh(60, "a"));
    let plans = "\n[[warm]]\nname = \"good\"\nsite = \"site\"\nurls = [\"/a\"]\n\n[[warm]]\nname = \"bad\"\nsite = \"site\"\nurls = [\"/gone\"]\n";
    let serving = Serving::start(&configuration(&origin, plans));
    let admin = format!("http://{}", serving.admin_address());
    let good = run(&["warm", "good", "--wait", "--admin", &admin]);
    assert_code(&good, 0);
    serving.client().send(&get("/a")).assert_hit("a");
    assert_code(&run(&["warm", "bad", "--wait", "--admin", &admin]), 1);
    assert_code(&run(&["warm", "nothing", "--wait", "--admin", &admin]), 1);
    let runs = run(&["warm", "runs", "--admin", &admin]);
    assert_code(&runs, 0);
    assert!(
        out(&runs).contains("good") && out(&runs).contains("done"),
        "{}",
        out(&runs)
    );
    let listed = run(&["warm", "bad", "--dry-run", "--admin", &admin]);
    assert_code(&listed, 0);
    assert!(
        out(&listed).contains("absent") && out(&listed).contains("www.example/gone"),
        "{}",
        out(&listed)
    );
    assert_code(&run(&["warm", "good", "--cancel", "--admin", &admin]), 1);
    assert_code(
        &run(&["warm", "good", "--cancel", "--wait", "--admin", &admin]),
        2,
    );
    assert_code(&run(&["warm", "runs", "--wait", "--admin", &admin]), 2);
}

#[test]
fn the_warm_command_fails_if_a_sitemap_can_not_be_read() {
    let origin = Origin::start();
    origin.on("/a", Reply::fresh(60, "a"));
    origin.on("/s.xml", Reply::status(404));
    let serving = Serving::start(&configuration(
        &origin,
        "\n[[warm]]\nname = \"map\"\nsite = \"site\"\nurls = [\"/a\"]\nsitemap = \"/s.xml\"\n",
    ));
    let admin = format!("http://{}", serving.admin_address());
    let warmed = run(&["warm", "map", "--wait", "--admin", &admin]);
    assert_code(&warmed, 1);
    assert!(
        out(&warmed).contains("1 could not be read"),
        "{}",
        out(&warmed)
    );
    serving.client().send(&get("/a")).assert_hit("a");
}

#[test]
fn the_warm_command_cancels_a_run() {
    let origin = Origin::start();
    origin.on("/slow", Reply::silence());
    let serving = Serving::start(&configuration(
        &origin,
        "\n[[warm]]\nname = \"slow\"\nsite = \"site\"\nurls = [\"/slow\"]\n",
    ));
    let admin = format!("http://{}", serving.admin_address());
    assert_code(&run(&["warm", "slow", "--admin", &admin]), 0);
    origin.wait_for("/slow", 1);
    let cancelled = run(&["warm", "slow", "--cancel", "--admin", &admin]);
    assert_code(&cancelled, 0);
    assert!(
        out(&cancelled).contains("run 1 of slow is cancelled"),
        "{}",
        out(&cancelled)
    );
    let report = run(&["warm", "runs", "--json", "--admin", &admin]);
    assert!(
        out(&report).contains("\"state\":\"cancelled\""),
        "{}",
        out(&report)
    );
}

#[test]
fn the_access_log_has_a_line_for_each_response() {
    let origin = Origin::start();
    origin.on("/x", Reply::fresh(60, "x"));
    let serving = Serving::start(&configuration(
        &origin,
        "\n[access_log]\npath = \"access.log\"\nformat = \"json\"\n",
    ));
    let mut client = serving.client();
    for _ in 0..2 {
        client.send(&get("/x?a=%22b%22"));
    }
    let file = serving.folder.path().join("access.log");
    let lines = || std::fs::read_to_string(&file).unwrap_or_default();
    tero_tests::eventually("both lines are written", || lines().lines().count() == 2);
    for (line, said) in lines().lines().zip(["uri-miss", "hit"]) {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(
            entry.to_string().contains(said) && entry.to_string().contains("/x?a="),
            "{entry}"
        );
    }
}

#[test]
fn an_imported_configuration_passes_the_check() {
    let folder = folder();
    let file = sample_file().display().to_string();
    let imported = run(&[
        "import",
        &file,
        "--origin",
        "http://127.0.0.1:3000",
        "--host",
        "www.barberpro.com.ar",
    ]);
    assert_code(&imported, 0);
    std::fs::write(folder.path().join("tero.toml"), out(&imported)).unwrap();
    let checked = run_in(folder.path(), &["check"]);
    assert_code(&checked, 0);
    assert!(
        out(&checked).contains("1 site, 1 policy, 2 warming plans"),
        "{}",
        out(&checked)
    );
}

#[test]
fn an_import_reports_every_mistake_with_its_line() {
    let folder = folder();
    let path = folder.path().join("bad.json");
    let text = "{\n  \"version\": 3,\n  \"timezone\": \"America/Macondo\",\n  \"rules\": [\n    { \"name\": \"a\", \"match\": [], \"ttl\": -1 }\n  ]\n}\n";
    std::fs::write(&path, text).unwrap();
    let output = run(&["import", &path.display().to_string()]);
    assert_code(&output, 1);
    assert!(out(&output).is_empty());
    for words in ["bad.json:3:", "Macondo", "bad.json:5:"] {
        assert!(err(&output).contains(words), "{words}:\n{}", err(&output));
    }
}

#[test]
fn output_to_a_closed_pipe_is_not_a_failure() {
    let mut child = tero(&["check", "--keys"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn compiled_modules_are_kept_on_disk() {
    let origin = Origin::start();
    let devices = "settings = { variants = [{ name = \"mobile\", devices = [\"mobile\"] }] }";
    let names = [
        "business-hours",
        "device-variants",
        "json-rules",
        "popular-pages",
    ];
    let hours = "settings = { zone = \"America/Argentina/Buenos_Aires\", open = \"09:00\", close = \"18:00\" }";
    let rules = "settings = { version = 3, rules = [{ name = \"all\", match = [\"*\"], ttl = \"origin\" }] }";
    let policies: String = names
        .iter()
        .map(|name| {
            let settings = match *name {
                "business-hours" => hours,
                "device-variants" => devices,
                "json-rules" => rules,
                _ => "",
            };
            format!("[[policy]]\nname = \"{name}\"\nmodule = \"builtin:{name}\"\n{settings}\n\n")
        })
        .collect();
    let compiled = folder();
    let text = configuration(&origin, &format!("policies = {names:?}\n"))
        .replace("[[site]]", &format!("{policies}[[site]]"));
    let own = format!(
        "compiled_cache = {}",
        toml_string(&compiled.path().display().to_string())
    );
    let text: String = text
        .lines()
        .map(|line| {
            if line.starts_with("compiled_cache") {
                &own
            } else {
                line
            }
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let modules = || {
        let entries = std::fs::read_dir(compiled.path())
            .unwrap()
            .map(Result::unwrap);
        let mut found: Vec<_> = entries
            .map(|entry| {
                (
                    entry.file_name(),
                    entry.metadata().unwrap().modified().unwrap(),
                )
            })
            .collect();
        found.sort();
        found
    };
    Serving::start(&text).address();
    let first = modules();
    assert_eq!(first.len(), 4, "{first:?}");
    Serving::start(&text).address();
    assert_eq!(modules(), first, "nothing is compiled again");
}

#[test]
fn a_log_that_is_not_read_any_more_stops_no_signal() {
    let origin = Origin::start();
    let folder = folder();
    std::fs::write(folder.path().join("tero.toml"), configuration(&origin, "")).unwrap();
    let mut child = tero(&["serve"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("admin interface on") {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "it did not start");
    }
    drop(log);
    let id = child.id().to_string();
    for signal in ["HUP", "TERM"] {
        let sent = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(sent.unwrap().success());
    }
    let (ended, is_ended) = mpsc::channel();
    std::thread::spawn(move || ended.send(child.wait()));
    let status = is_ended.recv_timeout(GUARD);
    let _ = Command::new("kill").args(["-s", "KILL", &id]).output();
    assert!(status.expect("it goes on for ever").unwrap().success());
}

#[test]
fn a_reload_that_takes_long_holds_up_no_signal() {
    let origin = Origin::start();
    let text = configuration(&origin, "");
    let mut serving = Serving::start(&text);
    serving.address();
    let module = serving.folder.path().join("slow.wasm");
    std::fs::write(&module, tero_tests::guests::nested_loops(40_000)).unwrap();
    // It would compile for minutes.
    let policy = "policies = [\"slow\"]\n[[policy]]\nname = \"slow\"\nmodule = \"slow.wasm\"\n";
    let slow = configuration(&origin, policy)
        .replace("[policies]\n", "[policies]\ncompile_timeout = \"10min\"\n");
    std::fs::write(serving.folder.path().join("tero.toml"), slow).unwrap();
    serving.signal("HUP");
    let compiles = || {
        let children = format!("/proc/{0}/task/{0}/children", serving.id());
        let threads = std::fs::read_dir(format!("/proc/{}/task", serving.id())).unwrap();
        let of_thread = |thread: std::io::Result<std::fs::DirEntry>| {
            std::fs::read_to_string(thread.unwrap().path().join("children")).unwrap_or_default()
        };
        let all: String = threads.map(of_thread).collect();
        !all.trim().is_empty() || std::fs::read_to_string(children).is_ok_and(|it| !it.is_empty())
    };
    eventually("the module is being compiled", compiles);
    serving.signal("TERM");
    assert_eq!(serving.exit_code(), Some(0));
}
