//! Data tables on a running edge: of the configuration, pushed, rolled back, removed and kept.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use tero_admin_api::endpoints::{LookUp, RemoveTable, RollBackTable, Table, Tables};
use tero_admin_api::{LookUpRequest, PushTableResponse, RollBackTableRequest, TableReport};
use tero_tests::{Answer, Edge, EdgeBuilder, Origin, Request, folder, toml_string};

use crate::program::{Serving, assert_code, configuration, err, out, run};

fn builder(origin: &Origin, state: &Path) -> EdgeBuilder {
    Edge::before(origin).state_dir(state)
}

fn table(name: &str, file: &Path, keys: &str) -> String {
    let file = toml_string(&file.display().to_string());
    format!("[[table]]\nname = \"{name}\"\nfile = {file}\n{keys}\n")
}

fn push(edge: &Edge, target: &str, content: &str) -> Answer {
    let target = format!("/data/{target}");
    edge.admin(&Request::new("POST", target).body(content))
}

/// Pushes a good table, and gives its version.
#[track_caller]
fn pushed(edge: &Edge, name: &str, content: &str) -> u64 {
    let answer = push(edge, &format!("{name}/versions"), content);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.read::<PushTableResponse>().pushed.version
}

#[track_caller]
fn value(edge: &Edge, name: &str, key: &str) -> Option<String> {
    let answer = edge.call::<LookUp>(&[name], &LookUpRequest::Key(key.to_owned()));
    answer.row.map(|row| row.value)
}

fn report(edge: &Edge, name: &str) -> TableReport {
    edge.call::<Table>(&[name], &())
}

fn roll_back(edge: &Edge, name: &str, version: Option<&str>) -> Answer {
    let version = version.map(str::to_owned);
    edge.ask::<RollBackTable>(&[name], &RollBackTableRequest { version })
}

#[test]
fn a_pushed_table_decides_until_it_is_rolled_back_or_removed() {
    let (origin, state) = (Origin::start(), folder());
    let file = state.path().join("prices.csv");
    std::fs::write(&file, "/a,1\n/b,2\n").unwrap();
    let builder =
        builder(&origin, &state.path().join("state")).section(&table("prices", &file, ""));
    let edge = builder.start();
    assert_eq!(value(&edge, "prices", "/a").as_deref(), Some("1"));
    assert_eq!(pushed(&edge, "prices", "/a,3\n"), 1);
    assert_eq!(value(&edge, "prices", "/a").as_deref(), Some("3"));
    assert_eq!(value(&edge, "prices", "/b"), None);
    assert_eq!(pushed(&edge, "prices", "{\"/a\": 4}"), 2);
    assert_eq!(
        edge.metric("tero_table_version", &["table=\"prices\""]),
        2.0
    );
    assert_eq!(edge.metric("tero_table_rows", &["table=\"prices\""]), 1.0);
    // A reload keeps what was pushed, and takes a changed file as the version to go back to.
    std::fs::write(&file, "/a,5\n").unwrap();
    edge.reload(&builder).unwrap();
    assert_eq!(value(&edge, "prices", "/a").as_deref(), Some("4"));
    let before = report(&edge, "prices");
    drop(edge);
    let edge = builder.start();
    assert_eq!(report(&edge, "prices"), before);
    assert_eq!(value(&edge, "prices", "/a").as_deref(), Some("4"));
    for (version, now) in [("1", "3"), ("configuration", "5")] {
        let answer = roll_back(&edge, "prices", None);
        let answer: tero_admin_api::RollBackTableResponse = answer.read();
        assert_eq!(answer.version, version);
        assert_eq!(value(&edge, "prices", "/a").as_deref(), Some(now));
    }
    roll_back(&edge, "prices", None).assert_refused(409, &["no version to roll back"]);
    let digest = report(&edge, "prices").versions[0].digest.clone();
    assert_eq!(roll_back(&edge, "prices", Some(&digest[..9])).status, 200);
    assert_eq!(value(&edge, "prices", "/a").as_deref(), Some("4"));
    let again = roll_back(&edge, "prices", Some("2"));
    again.assert_refused(409, &["version 2 of the table `prices` is active already"]);
    let unknown = roll_back(&edge, "prices", Some("7"));
    unknown.assert_refused(404, &["its versions are 1 (", "configuration"]);
    assert_eq!(
        edge.call::<RemoveTable>(&["prices"], &())
            .version
            .as_deref(),
        Some("configuration")
    );
    assert_eq!(value(&edge, "prices", "/a").as_deref(), Some("5"));
    let files = std::fs::read_dir(state.path().join("state/tables")).unwrap();
    assert_eq!(files.count(), 0);
    let again = edge.ask::<RemoveTable>(&["prices"], &());
    again.assert_refused(409, &["is that of the configuration", "[[table]]"]);
}

#[test]
fn a_table_needs_no_configuration_and_no_reload() {
    let (origin, state) = (Origin::start(), folder());
    let edge = builder(&origin, state.path()).start();
    let networks = "203.0.113.0/24,AR\n2001:db8::/32,CL\n";
    let answer = push(&edge, "geo/versions?kind=networks", networks);
    assert_eq!(answer.status, 201, "{answer:?}");
    let prefix = LookUpRequest::Prefix("203.0.113.7".to_owned());
    let row = edge.call::<LookUp>(&["geo"], &prefix).row.unwrap();
    assert_eq!((&*row.key, &*row.value), ("203.0.113.0/24", "AR"));
    // The next version is of the same kind unless it says otherwise.
    pushed(&edge, "geo", "203.0.113.0/25,UY\n");
    let row = edge.call::<LookUp>(&["geo"], &prefix).row.unwrap();
    assert_eq!((&*row.key, &*row.value), ("203.0.113.0/25", "UY"));
    let names = edge.call::<Tables>(&[], &()).tables;
    assert_eq!(names.len(), 1);
    let to = roll_back(&edge, "geo", Some("configuration"));
    to.assert_refused(409, &["the configuration has no table `geo`"]);
    assert_eq!(edge.call::<RemoveTable>(&["geo"], &()).version, None);
    let gone = edge.ask::<Table>(&["geo"], &());
    gone.assert_refused(404, &["there is no table `geo`", "there are none"]);
}

#[test]
fn bad_tables_are_refused_and_the_version_before_stays() {
    let (origin, state) = (Origin::start(), folder());
    let edge = builder(&origin, state.path())
        .policies("max_table = \"1KiB\"\nmax_tables = 2")
        .start();
    pushed(&edge, "prices", "/a,1\n");
    let full = "x".repeat(1019);
    assert_eq!(pushed(&edge, "prices", &format!("/b,1{full}\n")), 2);
    for (target, content, status, words) in [
        (
            "prices/versions",
            "/a,1\n/a,2\n",
            422,
            &["line 2", "line 1"][..],
        ),
        ("prices/versions", "{\"a\": 1", 422, &["line 1"]),
        ("prices/versions", "", 422, &["empty"]),
        ("prices/versions?kind=other", "/a,1\n", 400, &["kind=keys"]),
        (
            "prices/versions?format=csv",
            "{\"a\": 1}",
            422,
            &["one column"],
        ),
        ("prices/versions?format=xml", "/a,1\n", 400, &["format=csv"]),
        (
            "prices/versions?kind=networks",
            "/a,1\n",
            422,
            &["is not a network"],
        ),
        ("Prices/versions", "/a,1\n", 422, &["is not a name"]),
    ] {
        push(&edge, target, content).assert_refused(status, words);
    }
    let large = push(&edge, "prices/versions", &format!("/b,12{full}\n"));
    large.assert_refused(413, &["at most 1024 bytes"]);
    pushed(&edge, "second", "/a,1\n");
    let third = push(&edge, "third/versions", "/a,1\n");
    third.assert_refused(409, &["2 tables", "policies.max_tables"]);
    assert_eq!(report(&edge, "prices").version.as_deref(), Some("2"));
    assert_eq!(report(&edge, "prices").versions.len(), 2);
    // Those of the configuration and those that were pushed together.
    let file = state.path().join("more.csv");
    std::fs::write(&file, "/a,1\n").unwrap();
    let more = |name: &str| {
        builder(&origin, state.path())
            .policies("max_table = \"1KiB\"\nmax_tables = 2")
            .section(&format!("[[table]]\nname = \"{name}\"\nfile = {file:?}"))
    };
    drop(edge);
    let refused = more("more").try_start().err().unwrap();
    assert!(
        refused.to_string().contains("there may be 2 tables"),
        "{refused}"
    );
    more("second").start();
    let stateless = Edge::before(&origin).start();
    let answer = push(&stateless, "prices/versions", "/a,1\n");
    answer.assert_refused(409, &["state_dir"]);
}

#[test]
fn a_bad_table_of_the_configuration_stops_a_start_and_a_reload() {
    let (origin, state) = (Origin::start(), folder());
    let file = state.path().join("prices.csv");
    std::fs::write(&file, "/a,1\n").unwrap();
    let builder =
        builder(&origin, &state.path().join("state")).section(&table("prices", &file, ""));
    let edge = builder.start();
    std::fs::write(&file, "/a,1\n/b\n").unwrap();
    let error = edge.reload(&builder).unwrap_err();
    assert!(error.contains("prices.csv, line 2"), "{error}");
    assert_eq!(value(&edge, "prices", "/a").as_deref(), Some("1"));
    drop(edge);
    let error = builder.try_start().err().unwrap();
    assert!(
        error.contains("the table `prices`") && error.contains("prices.csv, line 2"),
        "{error}"
    );
    let twice = builder.section(&table("prices", &file, ""));
    let error = twice.try_start().err().unwrap();
    assert!(
        error.contains("`prices` is the name of the entry"),
        "{error}"
    );
}

#[test]
fn damaged_state_gives_way_to_the_configuration_and_is_kept() {
    let (origin, top) = (Origin::start(), folder());
    let (file, state) = (top.path().join("prices.csv"), top.path().join("state"));
    std::fs::write(&file, "/a,0\n").unwrap();
    let builder = builder(&origin, &state).section(&table("prices", &file, ""));
    let edge = builder.start();
    pushed(&edge, "prices", "/a,1\n");
    pushed(&edge, "prices", "/a,2\n");
    drop(edge);
    let record = state.join("data/prices.json");
    let whole = std::fs::read_to_string(&record).unwrap();
    for damaged in [
        "",
        "{",
        &whole[..whole.len() / 2],
        "{\"format\": 9}",
        "\0\0\0",
    ] {
        std::fs::write(&record, damaged).unwrap();
        let edge = builder.start();
        assert_eq!(
            value(&edge, "prices", "/a").as_deref(),
            Some("0"),
            "{damaged:?}"
        );
        let report = report(&edge, "prices");
        assert!(
            report.trouble.unwrap().contains("prices.json"),
            "{damaged:?}"
        );
        // The versions whose files are whole are still there.
        let digests: Vec<&str> = report.versions.iter().map(|it| &*it.digest).collect();
        assert!(digests.iter().all(|digest| whole.contains(digest)));
        assert_eq!(digests.len(), 2);
        assert_eq!(roll_back(&edge, "prices", Some(digests[0])).status, 200);
        assert!(value(&edge, "prices", "/a").unwrap() != "0");
        let aside = std::fs::read_to_string(state.join("data/prices.json.unreadable"));
        assert_eq!(aside.unwrap(), damaged);
        drop(edge);
        std::fs::write(&record, &whole).unwrap();
    }
    let versions = state.join("tables");
    for entry in std::fs::read_dir(&versions).unwrap() {
        let path = entry.unwrap().path();
        let content = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, content.replace(",2", ",9")).unwrap();
    }
    let edge = builder.start();
    assert_eq!(value(&edge, "prices", "/a").as_deref(), Some("0"));
    let report = self::report(&edge, "prices");
    assert!(report.trouble.unwrap().contains("not what was pushed"));
    let damaged = roll_back(&edge, "prices", Some("2"));
    damaged.assert_refused(409, &["not what was pushed", "push the table again"]);
    assert_eq!(roll_back(&edge, "prices", None).status, 200);
    assert_eq!(value(&edge, "prices", "/a").as_deref(), Some("1"));
    assert_eq!(pushed(&edge, "prices", "/a,2\n"), 2);
    assert_eq!(self::report(&edge, "prices").trouble, None);
}

#[test]
fn a_change_that_cannot_be_written_is_refused_and_a_way_back_works() {
    let (origin, state) = (Origin::start(), folder());
    let builder = builder(&origin, state.path());
    let edge = builder.start();
    pushed(&edge, "prices", "/a,1\n");
    pushed(&edge, "prices", "/a,2\n");
    let records = state.path().join("data");
    std::fs::rename(&records, state.path().join("away")).unwrap();
    std::fs::write(&records, "").unwrap();
    let answer = push(&edge, "prices/versions", "/a,3\n");
    answer.assert_refused(500, &["prices.json", "has room"]);
    assert_eq!(value(&edge, "prices", "/a").as_deref(), Some("2"));
    let answer: tero_admin_api::RollBackTableResponse = roll_back(&edge, "prices", None).read();
    assert_eq!(answer.version, "1");
    assert!(answer.unsaved.unwrap().contains("prices.json"));
    assert_eq!(value(&edge, "prices", "/a").as_deref(), Some("1"));
    assert!(report(&edge, "prices").unsaved.is_some());
    std::fs::remove_file(&records).unwrap();
    std::fs::rename(state.path().join("away"), &records).unwrap();
    pushed(&edge, "prices", "/a,4\n");
    let now = report(&edge, "prices");
    assert_eq!(now.unsaved, None);
    drop(edge);
    assert_eq!(report(&builder.start(), "prices"), now);
}

#[test]
fn tables_pushed_at_once_and_during_reloads_leave_one_whole_state() {
    let (origin, top) = (Origin::start(), folder());
    let (file, state) = (top.path().join("prices.csv"), top.path().join("state"));
    std::fs::write(&file, "/a,0\n").unwrap();
    let builder = builder(&origin, &state)
        .policies("max_versions = 3")
        .section(&table("prices", &file, ""));
    let edge = builder.start();
    let kept = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (edge, kept) = (&edge, &kept);
            scope.spawn(move || {
                for number in 0..10 {
                    let content = format!("/a,{thread}{number}\n");
                    let answer = push(edge, "prices/versions", &content);
                    match answer.status {
                        201 => kept.fetch_add(1, Ordering::Relaxed),
                        503 => 0,
                        _ => panic!("{answer:?}"),
                    };
                    assert!(value(edge, "prices", "/a").is_some());
                }
            });
        }
        for _ in 0..5 {
            edge.reload(&builder).unwrap();
        }
    });
    let kept = kept.into_inner() as u64;
    let before = report(&edge, "prices");
    assert!(kept > 0);
    assert_eq!(before.version, Some(kept.to_string()));
    assert!(before.versions.len() <= 3);
    let files = std::fs::read_dir(state.join("tables")).unwrap().count();
    assert_eq!(files, before.versions.len());
    let shown = value(&edge, "prices", "/a");
    drop(edge);
    let edge = builder.start();
    assert_eq!(report(&edge, "prices"), before);
    assert_eq!(value(&edge, "prices", "/a"), shown);
}

#[test]
fn commands_push_show_and_remove_a_table() {
    let (origin, top) = (Origin::start(), folder());
    let text = configuration(&origin, "");
    let state = toml_string(&top.path().join("state").display().to_string());
    let text = text.replace("[policies]", &format!("[policies]\nstate_dir = {state}"));
    let serving = Serving::start(&text);
    let admin = format!("http://{}", serving.admin_address());
    let tero = |arguments: &[&str]| run(&[&["data"], arguments, &["--admin", &admin]].concat());
    let good = |arguments: &[&str]| {
        let output = tero(arguments);
        assert_code(&output, 0);
        out(&output)
    };
    let file = |name: &str, content: &str| {
        let path = top.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    assert_eq!(good(&["list"]), "there are no tables\n");
    let prices = file("prices.csv", "/a,1\n/b,2\n");
    assert_eq!(
        good(&["push", &prices]),
        "prices: version 1 decides: 2 rows\n"
    );
    assert!(good(&["push", &prices]).contains("which it had already"));
    let geo = file("geo.json", "{\"10.0.0.0/8\": \"us\"}");
    good(&["push", &geo, "--name", "offices", "--kind", "networks"]);
    assert_eq!(good(&["get", "prices", "/b"]), "2\n");
    let found = good(&["get", "offices", "--prefix", "10.2.3.4"]);
    assert_eq!(found, "10.0.0.0/8\tus\n");
    let missing = tero(&["get", "prices", "/c"]);
    assert_code(&missing, 1);
    assert!(err(&missing).contains("no such row"), "{}", err(&missing));
    file("prices.csv", "/a,3\n");
    good(&["push", &prices]);
    let listed = good(&["list"]);
    assert!(
        listed.contains("prices") && listed.contains("networks"),
        "{listed}"
    );
    let shown = good(&["show", "prices"]);
    assert!(
        shown.contains("version 2 decides: 1 row, by keys"),
        "{shown}"
    );
    assert_eq!(
        good(&["roll-back", "prices"]),
        "prices: version 1 decides\n"
    );
    assert_eq!(
        good(&["rollback", "prices", "--version", "2"]),
        "prices: version 2 decides\n"
    );
    let bad = tero(&["push", &file("bad.csv", "a;b\n")]);
    assert_code(&bad, 1);
    assert!(
        err(&bad).contains("save the file with commas"),
        "{}",
        err(&bad)
    );
    assert_code(&tero(&["push", "/nowhere/prices.csv"]), 2);
    assert_code(&tero(&["push", &file("Other.csv", "a,b\n")]), 2);
    assert_eq!(good(&["remove", "offices"]), "offices is removed\n");
}

#[test]
fn check_tells_the_line_of_a_table() {
    let (origin, top) = (Origin::start(), folder());
    let file = top.path().join("prices.csv");
    std::fs::write(&file, "/a,1\n/b,2,3\n").unwrap();
    let text = configuration(&origin, &table("prices", &file, ""));
    let path = top.path().join("tero.toml");
    std::fs::write(&path, &text).unwrap();
    let check = || run(&["check", &path.display().to_string()]);
    let output = check();
    assert_code(&output, 1);
    assert!(
        err(&output).contains("prices.csv, line 2: this line has 3 columns"),
        "{}",
        err(&output)
    );
    std::fs::write(&file, "/a,1\n/b,2\n").unwrap();
    assert_code(&check(), 0);
    std::fs::remove_file(&file).unwrap();
    let output = check();
    assert_code(&output, 1);
    assert!(
        err(&output).contains("there is no file"),
        "{}",
        err(&output)
    );
}
