//! `tero tail` and `tero top` against a running edge.

use tero_tests::{Origin, Reply, get};

use crate::program::{Serving, assert_code, configuration, run};

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
