//! Hostile policies: each stays within its limits, and the edge serves other clients meanwhile.

use tero_tests::{Edge, EdgeBuilder, Origin, Reply, get, guests};

fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(600, format!("page {}", asked.target)));
    origin
}

/// An edge whose policy misbehaves on paths that begin with `/bad`.
fn edge(origin: &Origin, mode: &str, limits: &str, workers: usize) -> EdgeBuilder {
    let keys = format!("settings = {{ {mode}, paths = \"/bad\" }}\nlimits = {{ {limits} }}");
    Edge::before(origin)
        .policy(
            "bad",
            &guests::misbehaving_path().display().to_string(),
            &keys,
        )
        .server(&format!("workers = {workers}"))
}

/// Checks that other clients get hits while visitors make the policy misbehave, one after another.
#[track_caller]
fn check_others_are_served_meanwhile(mode: &str, limits: &str) {
    let origin = origin();
    // On a busy machine the failures take long, which would switch the policy off.
    let limits = format!("{limits}, max_failure_share = \"100%\"");
    let edge = edge(&origin, mode, &limits, 2).start();
    edge.get("/good").assert_forwarded("uri-miss", "page /good");
    std::thread::scope(|scope| {
        let edge = &edge;
        let harm = scope.spawn(move || {
            for number in 0..12 {
                let target = format!("/bad/{number}");
                edge.get(&target)
                    .assert_forwarded("uri-miss", &format!("page {target}"));
            }
        });
        let mut others = 0;
        while !harm.is_finished() || others < 50 {
            edge.get("/good").assert_hit("page /good");
            others += 1;
        }
    });
    let failed = edge.metric(
        "tero_policy_decisions_total",
        &["policy=\"bad\"", "result="],
    ) - edge.metric(
        "tero_policy_decisions_total",
        &["policy=\"bad\"", "result=\"ok\""],
    );
    assert!(failed >= 10.0, "{failed}");
}

#[test]
fn other_clients_are_served_while_a_policy_spins() {
    check_others_are_served_meanwhile(
        "on_request = \"spin\"",
        "deadline = \"20ms\", max_failures = 100",
    );
}

#[test]
fn other_clients_are_served_while_a_policy_recurses_without_end() {
    check_others_are_served_meanwhile(
        "on_request = \"recurse\"",
        "deadline = \"5s\", max_failures = 100",
    );
}

#[test]
fn other_clients_are_served_while_a_policy_fills_its_memory() {
    check_others_are_served_meanwhile(
        "on_request = \"allocate\"",
        "deadline = \"5s\", memory = \"16MiB\", max_failures = 100",
    );
}

#[test]
fn other_clients_are_served_while_a_policy_returns_too_much() {
    check_others_are_served_meanwhile(
        "on_request = \"too-many-query\"",
        "deadline = \"5s\", max_failures = 100",
    );
}

#[test]
fn a_spinning_policy_is_switched_off_after_a_few_deadlines() {
    let origin = origin();
    let edge = edge(
        &origin,
        "on_request = \"spin\"",
        "deadline = \"100ms\", max_failures = 5",
        1,
    )
    .server("trusted_proxies = [\"127.0.0.1\"]")
    .start();
    for number in 0..50 {
        // What one client makes fail counts little.
        let client = format!("192.0.2.{number}");
        edge.send(&get(format!("/bad/{number}")).header("X-Forwarded-For", client));
    }
    let seconds = edge.metric(
        "tero_policy_seconds_total",
        &["policy=\"bad\"", "hook=\"on-request\""],
    );
    // Five deadlines, with a margin for a busy machine. Fifty would take five seconds.
    assert!((0.5..3.0).contains(&seconds), "{seconds}");
    assert_eq!(
        edge.metric(
            "tero_policy_decisions_total",
            &["policy=\"bad\"", "result=\"deadline\""]
        ),
        5.0
    );
    assert_eq!(edge.metric("tero_policy_active", &["policy=\"bad\""]), 0.0);
}

#[test]
fn metrics_show_what_a_policy_uses() {
    let origin = origin();
    let edge = edge(
        &origin,
        "on_request = \"log-flood\"",
        "deadline = \"5s\", log_lines = 10",
        1,
    )
    .start();
    edge.send(&get("/bad/1"));
    edge.send(&get("/good"));
    let policy = "policy=\"bad\"";
    assert_eq!(
        edge.metric("tero_policy_log_lines_total", &[policy, "result=\"kept\""]),
        10.0
    );
    assert_eq!(
        edge.metric(
            "tero_policy_log_lines_total",
            &[policy, "result=\"dropped\""]
        ),
        990.0
    );
    // One instance for the configuration, and one that answers.
    assert_eq!(edge.metric("tero_policy_instances_total", &[policy]), 2.0);
    assert!(edge.metric("tero_policy_memory_bytes", &[policy]) >= 65_536.0);
}
