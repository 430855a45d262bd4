//! Rate classes, and words for the log.

use serde_json::Value;
use tero_tests::{Edge, eventually, folder, get};

use super::{deciding, echo};

const CLASSES: &str = r#"on_request = [
    { path = "/search", rate_class = "search", log_tag = "searching" },
    { path = "/answered", rate_class = "search", answer = { status = 200 } },
    { path = "/rare", rate_class = "rare" },
]
rate_classes = ["search", "rare"]"#;

const LIMITS: &str = r#"
[[limit]]
name = "searches"
class = "search"
requests = 2
per = "1min"
[[limit]]
name = "rare"
class = "rare"
requests = 1
per = "1min"
[[limit]]
name = "all"
requests = 100
per = "1min"
"#;

fn let_in(edge: &Edge, target: &str, count: usize) -> usize {
    let request = get(target).header("X-Forwarded-For", "192.0.2.1");
    let answers = (0..count).map(|_| edge.send(&request).status);
    answers.filter(|status| *status == 200).count()
}

#[test]
fn a_limit_with_a_class_is_for_requests_that_policies_gave_it() {
    let origin = echo();
    let edge = deciding(&origin, CLASSES)
        .server("trusted_proxies = [\"127.0.0.1\"]")
        .section(LIMITS)
        .start();
    assert_eq!(let_in(&edge, "/page", 10), 10);
    assert_eq!(let_in(&edge, "/search", 5), 2);
    assert_eq!(let_in(&edge, "/answered", 5), 5);
    assert_eq!(let_in(&edge, "/rare", 5), 1);
    let refused = edge.send(&get("/search").header("X-Forwarded-For", "192.0.2.1"));
    refused.assert_failed(429, "over a limit: searches");
    let other = edge.send(&get("/search").header("X-Forwarded-For", "192.0.2.2"));
    assert_eq!(other.status, 200);
    // The limit without a class has counted them all; the refused ones cost nothing of their own.
    assert_eq!(let_in(&edge, "/page", 100), 100 - 10 - 6 - 5 - 5);
    edge.advance_secs(60);
    assert_eq!(let_in(&edge, "/search", 5), 2);
}

#[test]
fn the_access_log_has_the_word_of_the_policy() {
    let origin = echo();
    let folder = folder();
    let path = folder.path().join("access.log");
    let log = format!(
        "[access_log]\npath = {path:?}\nformat = \"json\"\nfields = [\"path\", \"log_tag\", \"outcome\"]\n"
    );
    let edge = deciding(&origin, CLASSES)
        .section(LIMITS)
        .section(&log)
        .start();
    for target in ["/search", "/search", "/answered", "/page"] {
        edge.get(target);
    }
    let read = || -> Vec<Value> {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    eventually("4 lines", || read().len() == 4);
    let expected = serde_json::json!([
        { "path": "/answered", "log_tag": null, "outcome": "rule" },
        { "path": "/page", "log_tag": null, "outcome": "miss" },
        { "path": "/search", "log_tag": "searching", "outcome": "hit" },
        { "path": "/search", "log_tag": "searching", "outcome": "miss" },
    ]);
    // Requests of different workers come in any order.
    let mut lines = read();
    lines.sort_by_key(|line| (line["path"].to_string(), line["outcome"].to_string()));
    assert_eq!(Value::from(lines), expected);
}
