//! What the command line promises: of its version, its configuration, its checks and its tables.

use tero_tests::{Origin, Reply, folder, get, toml_string};

use crate::program::{Serving, assert_code, configuration, err, out, run, run_in, tero};

#[test]
fn the_version_tells_what_the_program_is_made_of() {
    let version = out(&run(&["--version"]));
    let line = |name: &str| {
        let mut lines = version.lines();
        lines
            .find_map(|line| line.strip_prefix(name).map(str::to_owned))
            .unwrap_or_else(|| panic!("no {name} in\n{version}"))
    };
    assert_eq!(line("tero "), env!("CARGO_PKG_VERSION"));
    let commit = line("commit: ");
    assert!(
        commit.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        "{commit}"
    );
    assert!((7..=64).contains(&commit.len()), "{commit}");
    assert!(line("time zone data: ").contains("20"), "{version}");
    assert!(line("features: ").contains("cluster"), "{version}");
    assert!(line("policies: ").contains("@0.2"), "{version}");
    assert!(line("policies: ").contains("json-rules"), "{version}");
    assert!(!version.contains(env!("CARGO_MANIFEST_DIR")), "{version}");
}

#[test]
fn the_configuration_is_given_the_same_way_to_every_command() {
    let origin = Origin::start();
    let folder = folder();
    let file = folder.path().join("other.toml");
    std::fs::write(&file, configuration(&origin, "")).unwrap();
    let file = file.display().to_string();
    for command in [&["check"][..], &["schedule", "--next", "1min"]] {
        for way in [&[file.as_str()][..], &["--config", &file], &["-c", &file]] {
            assert_code(&run(&[command, way].concat()), 0);
        }
        let twice = run(&[command, &[&file, "--config", &file]].concat());
        assert_code(&twice, 2);
    }
    std::fs::write(&file, "nonsense").unwrap();
    for way in [&[file.as_str()][..], &["--config", &file], &["-c", &file]] {
        let refused = run(&[&["serve"], way].concat());
        assert_code(&refused, 1);
        assert!(err(&refused).contains("other.toml"), "{}", err(&refused));
    }
}

#[test]
fn what_can_not_be_opened_is_told_by_the_check() {
    let origin = Origin::start();
    let folder = folder();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let good = configuration(&origin, "");
    let check = |text: &str| {
        std::fs::write(folder.path().join("tero.toml"), text).unwrap();
        run_in(folder.path(), &["check"])
    };
    // An address of a network for documentation, never in use.
    let public = "listen = [\"192.0.2.1:8080\"]";
    let admin = "[admin]\ntoken = \"a-token-of-the-test\"\nlisten = \"192.0.2.1:9090\"";
    for (text, key, words) in [
        (
            good.replacen("listen = [\"127.0.0.1:0\"]", public, 1),
            "server.listen",
            "192.0.2.1:8080",
        ),
        (
            good.replacen("[admin]\nlisten = \"127.0.0.1:0\"", admin, 1),
            "admin.listen",
            "192.0.2.1:9090",
        ),
        (
            format!("{good}\n[access_log]\npath = \"nowhere/access.log\"\n"),
            "access_log.path",
            "no folder",
        ),
        (
            format!("{good}\n[access_log]\npath = \".\"\n"),
            "access_log.path",
            "is a folder",
        ),
        (
            good.replacen(
                "[policies]\n",
                "[policies]\nstate_dir = \"file/state\"\n",
                1,
            ),
            "policies.state_dir",
            "not a folder",
        ),
    ] {
        assert_ne!(text, good, "{key}");
        let refused = check(&text);
        assert_code(&refused, 1);
        let said = err(&refused);
        assert!(said.contains(key) && said.contains(words), "{key}:\n{said}");
        // What is told is true.
        assert_code(&run_in(folder.path(), &["serve"]), 1);
    }
}

#[test]
fn a_check_keeps_nothing_of_what_it_opens() {
    let origin = Origin::start();
    let folder = folder();
    let state = "[policies]\nstate_dir = \"state\"\n";
    let text = configuration(&origin, "\n[access_log]\npath = \"access.log\"\n").replacen(
        "[policies]\n",
        state,
        1,
    );
    std::fs::write(folder.path().join("tero.toml"), text).unwrap();
    assert_code(&run_in(folder.path(), &["check"]), 0);
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["tero.toml"]);
}

#[test]
fn a_check_beside_a_running_edge_succeeds() {
    let origin = Origin::start();
    let serving = Serving::start(&configuration(&origin, ""));
    let text = configuration(&origin, "")
        .replacen(
            "listen = [\"127.0.0.1:0\"]",
            &format!("listen = [\"{}\"]", serving.address()),
            1,
        )
        .replacen(
            "listen = \"127.0.0.1:0\"",
            &format!(
                "listen = {}",
                toml_string(&serving.admin_address().to_string())
            ),
            1,
        );
    let folder = folder();
    std::fs::write(folder.path().join("tero.toml"), text).unwrap();
    let checked = run_in(folder.path(), &["check"]);
    assert_code(&checked, 0);
    let said = err(&checked);
    for address in [serving.address(), serving.admin_address()] {
        assert!(said.contains(&format!("{address} is in use")), "{said}");
    }
}

#[test]
fn a_second_edge_on_an_address_is_refused() {
    let origin = Origin::start();
    let serving = Serving::start(&configuration(&origin, ""));
    let folder = folder();
    let first = "listen = [\"127.0.0.1:0\"]";
    let port = serving.address().port();
    for address in [serving.address().to_string(), format!("0.0.0.0:{port}")] {
        let text = configuration(&origin, "");
        let text = text.replacen(first, &format!("listen = [\"{address}\"]"), 1);
        std::fs::write(folder.path().join("tero.toml"), text).unwrap();
        let refused = run_in(folder.path(), &["serve"]);
        assert_code(&refused, 1);
        let told = err(&refused);
        assert!(
            told.contains(&address) && told.contains("another process has it"),
            "{told}"
        );
    }
}

#[test]
fn the_address_of_an_edge_is_free_once_it_has_ended() {
    let origin = Origin::start();
    let mut serving = Serving::start(&configuration(&origin, ""));
    let mut client = serving.client();
    client.send(&get("/x"));
    let address = serving.address();
    serving.signal("TERM");
    assert_eq!(serving.exit_code(), Some(0));
    let first = "listen = [\"127.0.0.1:0\"]";
    let text = configuration(&origin, "");
    let text = text.replacen(first, &format!("listen = [\"{address}\"]"), 1);
    let again = Serving::start(&text);
    assert_eq!(again.address(), address);
}

#[test]
fn a_purge_takes_several_targets() {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(60, &asked.target));
    let serving = Serving::start(&configuration(&origin, ""));
    let admin = format!("http://{}", serving.admin_address());
    let mut client = serving.client();
    for path in ["/a", "/b", "/c"] {
        client.send(&get(path));
    }
    let urls = [
        "--url",
        "http://www.example/a",
        "--url",
        "http://www.example/b",
    ];
    let purged = run(&[&["purge", "--admin", &admin], &urls[..]].concat());
    assert_code(&purged, 0);
    assert!(
        out(&purged).contains("2 stored responses dropped"),
        "{}",
        out(&purged)
    );
    client.send(&get("/a")).assert_forwarded("uri-miss", "/a");
    client.send(&get("/b")).assert_forwarded("uri-miss", "/b");
    client.send(&get("/c")).assert_hit("/c");
    let sites = ["--site", "site", "--site", "nothing", "--site", "site"];
    let failed = run(&[&["purge", "--admin", &admin], &sites[..]].concat());
    assert_code(&failed, 1);
    let said = err(&failed);
    assert!(
        said.contains("nothing") && said.contains("before that: 3 stored"),
        "{said}"
    );
}

#[test]
fn tables_fit_the_terminal() {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(60, &asked.target));
    let plans =
        "\n[[warm]]\nname = \"a-plan-with-quite-a-long-name\"\nsite = \"site\"\nurls = [\"/a\"]\n";
    let serving = Serving::start(&configuration(&origin, plans));
    let admin = format!("http://{}", serving.admin_address());
    serving.client().send(&get("/a"));
    let plan = [
        "warm",
        "a-plan-with-quite-a-long-name",
        "--wait",
        "--admin",
        &admin,
    ];
    assert_code(&run(&plan), 0);
    for command in [&["stats"][..], &["warm", "runs"], &["policy", "list"]] {
        let arguments = [command, &["--admin", &admin]].concat();
        for columns in [60, 80, 100, 130] {
            let shown = tero(&arguments)
                .env("COLUMNS", columns.to_string())
                .output()
                .unwrap();
            assert_code(&shown, 0);
            let shown = out(&shown);
            for line in shown
                .lines()
                .filter(|line| line.contains(['│', '┌', '└', '─', '═']))
            {
                assert!(line.chars().count() <= columns, "{columns}: {line}");
            }
            // A word that is broken within can't be read.
            for word in ["requests", "hit rate", "planned", "status"] {
                let wide = out(&run(&arguments));
                let is_kept = columns < 80 || !wide.contains(word) || shown.contains(word);
                assert!(is_kept, "{columns} {word}: {shown}");
            }
        }
    }
    let runs = run(&["warm", "runs", "--admin", &admin]);
    assert!(
        out(&runs).contains(" 2 B ") && out(&runs).contains(" s "),
        "{}",
        out(&runs)
    );
}

#[test]
fn help_fits_a_terminal_of_eighty_columns() {
    for command in [
        &["policy"][..],
        &["policy", "test"],
        &["schedule"],
        &["explain"],
        &["import"],
        &["calendar", "list"],
    ] {
        let arguments = [command, &["--help"]].concat();
        let help = tero(&arguments).env("COLUMNS", "80").output().unwrap();
        assert_code(&help, 0);
        let help = out(&help);
        let (_, examples) = help.split_once("Examples:").unwrap();
        // Paragraphs that were broken by hand have no line of a word or two in their midst.
        let paragraphs = examples.split("\n\n").skip(1);
        for paragraph in paragraphs {
            let lines: Vec<&str> = paragraph.lines().collect();
            for pair in lines
                .windows(2)
                .filter(|pair| !pair[0].ends_with(['.', ':']))
            {
                let room = 80 - pair[0].chars().count();
                let next = pair[1].split(' ').next().unwrap_or_default();
                assert!(next.chars().count() + 1 >= room.min(12), "{paragraph}");
            }
        }
        assert!(
            help.lines().all(|line| line.chars().count() <= 80),
            "{help}"
        );
    }
}

#[test]
fn calendars_fit_eighty_columns_and_a_slip_gets_a_hint() {
    let all = out(&run(&["calendar", "list"]));
    assert!(all.lines().all(|line| line.chars().count() <= 80), "{all}");
    for (name, hint) in [
        ("argentina", "did you mean builtin:argentina?"),
        (
            "builtin:argentina/saltta",
            "did you mean builtin:argentina/salta?",
        ),
        ("nowhere.toml", "`tero calendar list`"),
    ] {
        let output = run(&["calendar", "list", name]);
        assert_code(&output, 1);
        assert!(err(&output).contains(hint), "{}", err(&output));
    }
}

#[test]
fn what_a_configuration_rarely_means_is_a_warning() {
    let origin = Origin::start();
    let folder = folder();
    let check = |from: &str, to: &str| {
        let text = configuration(&origin, "");
        assert!(text.contains(from), "{text}");
        std::fs::write(folder.path().join("tero.toml"), text.replacen(from, to, 1)).unwrap();
        let output = run_in(folder.path(), &["check"]);
        assert_code(&output, 0);
        err(&output)
    };
    let port = origin.address().port();
    let (listen, own) = ("listen = [\"127.0.0.1:0\"]", "[[site]]\nname");
    let cases = [
        (
            listen,
            format!("listen = [\"{}\"]", origin.address()),
            "is the edge itself",
        ),
        (
            listen,
            format!("listen = [\"0.0.0.0:{port}\"]"),
            "is the edge itself",
        ),
        (
            "workers = 2",
            "trusted_proxies = [\"0.0.0.0/0\"]".to_owned(),
            "means everybody",
        ),
        (
            "workers = 2",
            "trusted_proxies = [\"::/0\"]".to_owned(),
            "means everybody",
        ),
        (
            own,
            "[[policy]]\nname = \"idle\"\nmodule = \"builtin:device-variants\"\nsettings = { variants = [{ name = \"m\", devices = [\"mobile\"] }] }\n[[site]]\nname"
                .to_owned(),
            "`idle` is asked by no site",
        ),
        (
            own,
            "[[site]]\npass_cookies = [\"a*\"]\nignore_cookies = [\"ab\"]\nname".to_owned(),
            "the cookie `ab` is ignored in vain",
        ),
        (
            own,
            "[[site]]\ncountry = { table = \"geo\" }\nname".to_owned(),
            "the table `geo` is not in the configuration",
        ),
        (
            own,
            "[[table]]\nname = \"geo\"\nfile = \"geo.csv\"\n[[site]]\ncountry = { table = \"geo\" }\nname"
                .to_owned(),
            "the table `geo` has texts as its keys",
        ),
    ];
    std::fs::write(folder.path().join("geo.csv"), "AR,1\n").unwrap();
    for (from, to, warning) in &cases {
        let told = check(from, to);
        assert!(
            told.contains("warning: ") && told.contains(warning),
            "{to}: {told}"
        );
    }
    for (from, to) in [
        (listen, "listen = [\"127.0.0.1:0\"]".to_owned()),
        (listen, format!("listen = [\"127.0.0.2:{port}\"]")),
        (
            "workers = 2",
            "trusted_proxies = [\"10.0.0.0/8\"]".to_owned(),
        ),
        (
            own,
            "[[site]]\npass_cookies = [\"ab\"]\nignore_cookies = [\"a*\"]\nname".to_owned(),
        ),
    ] {
        let told = check(from, &to);
        assert!(!told.contains("warning: "), "{to}: {told}");
    }
}

#[test]
fn a_log_that_can_not_be_opened_is_named_with_a_cure() {
    let origin = Origin::start();
    let folder = folder();
    let log = "\n[access_log]\npath = \"/nowhere/at/all/access.log\"\n";
    std::fs::write(folder.path().join("tero.toml"), configuration(&origin, log)).unwrap();
    let output = run_in(folder.path(), &["serve"]);
    assert_code(&output, 1);
    for words in [
        "/nowhere/at/all/access.log",
        "`access_log.path`",
        "No such file",
    ] {
        assert!(err(&output).contains(words), "{}", err(&output));
    }
}

#[test]
fn cures_are_written_for_the_command_line_too() {
    let origin = Origin::start();
    let serving = Serving::start(&configuration(&origin, ""));
    let admin = format!("http://{}", serving.admin_address());
    for (command, words) in [
        (
            &["policy", "rollback", "hours"][..],
            "the configuration has none; add a [[policy]]",
        ),
        (&["explain", "/x", "--header", "a b: c"], "`user-agent: …`"),
        (&["purge", "--tag", ""], "1 to 8192 bytes"),
    ] {
        let output = run(&[command, &["--admin", &admin]].concat());
        assert_code(&output, 1);
        assert!(
            err(&output).contains(words),
            "{command:?}: {}",
            err(&output)
        );
    }
    let explained = run(&[
        "explain",
        "/x",
        "--header",
        "X-Real-IP: 6",
        "--admin",
        &admin,
    ]);
    assert_code(&explained, 0);
    let shown = out(&explained);
    assert!(shown.contains("decision    look up,"), "{shown}");
    assert!(shown.contains("x-real-ip"), "{shown}");
    let passed = run(&["explain", "/x", "--method", "POST", "--admin", &admin]);
    let shown = out(&passed);
    assert!(
        shown.contains("decision    pass, though policies would look it up"),
        "{shown}"
    );
}
