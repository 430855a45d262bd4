//! `tero tail` and `tero top` against a running edge.

use std::io::Read as _;
use std::process::Stdio;

use tero_tests::{Origin, Reply, eventually, get};

use crate::program::{Serving, assert_code, configuration, run, tero};

fn serving() -> (Origin, Serving) {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(600, &asked.target));
    let serving = Serving::start(&configuration(&origin, ""));
    (origin, serving)
}

/// Runs `tero tail` until it has shown so many requests, while requests are sent.
fn tail(serving: &Serving, arguments: &[&str], targets: &[&str]) -> String {
    let admin = format!("http://{}", serving.admin_address());
    let all: Vec<&str> = ["tail", "--admin", &admin]
        .iter()
        .chain(arguments)
        .copied()
        .collect();
    std::thread::scope(|scope| {
        let tail = scope.spawn(|| run(&all));
        // It may not listen yet.
        while !tail.is_finished() {
            for target in targets {
                serving.client().send(&get(*target));
            }
        }
        let output = tail.join().unwrap();
        assert_code(&output, 0);
        String::from_utf8(output.stdout).unwrap()
    })
}

#[test]
fn tail_shows_requests_as_they_are_answered() {
    let (_origin, serving) = serving();
    let shown = tail(&serving, &["-n", "3", "--path", "/a/*"], &["/a/1", "/b"]);
    assert_eq!(shown.lines().count(), 3, "{shown}");
    for line in shown.lines() {
        assert!(line.contains("GET www.example/a/1"), "{line}");
    }
    let shown = tail(
        &serving,
        &["-n", "1", "--outcome", "hit", "--json"],
        &["/c", "/d", "/e"],
    );
    let request: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(request["outcome"], "hit");
}

/// A command that prints on and on ends once nothing reads on: `tero tail | head -n 1`.
fn assert_ends_with_its_reader(serving: &Serving, arguments: &[&str]) {
    let admin = format!("http://{}", serving.admin_address());
    let mut command = tero(&[arguments, &["--admin", &admin]].concat());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut reader = child.stdout.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || reader.read_exact(&mut [0; 1]).unwrap());
        let mut code = None;
        eventually("the command ends", || {
            serving.client().send(&get("/a"));
            code = child.try_wait().unwrap();
            code.is_some()
        });
        assert_eq!(
            code.and_then(|ended| ended.code()),
            Some(0),
            "{arguments:?}"
        );
    });
}

#[test]
fn a_command_that_prints_on_ends_with_its_reader() {
    let (_origin, serving) = serving();
    assert_ends_with_its_reader(&serving, &["tail", "--json"]);
    assert_ends_with_its_reader(&serving, &["stats", "--watch", "1"]);
}

#[test]
fn tail_says_what_is_wrong() {
    let (_origin, serving) = serving();
    let admin = format!("http://{}", serving.admin_address());
    let output = run(&["tail", "--admin", &admin, "--site", "other"]);
    assert_code(&output, 1);
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no site `other`"));
    assert_code(&run(&["tail", "--outcome", "other"]), 2);
    assert_code(&run(&["tail", "--most", "1001"]), 2);
    assert_code(&run(&["tail", "--admin", "http://127.0.0.1:1"]), 1);
}

#[test]
fn top_without_a_terminal_says_what_to_use() {
    let (_origin, serving) = serving();
    let admin = format!("http://{}", serving.admin_address());
    let output = run(&["top", "--admin", &admin]);
    assert_code(&output, 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("`tero top` needs a terminal"));
}
