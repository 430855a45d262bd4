//! Which of several origins is asked, when one rests, and when a request goes to another one.

use std::collections::HashMap;

use tero_admin_api::{OriginReport, OriginState, OriginsResponse};
use tero_tests::{Answer, Client, Edge, EdgeBuilder, Origin, Reply, Request, eventually, get};

const PHONE: &str =
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148";

/// An origin that answers each request with `body`, which may not be stored.
fn saying(body: &'static str) -> Origin {
    let origin = Origin::start();
    origin.otherwise(move |_| Reply::ok(body).header("Cache-Control", "no-store"));
    origin
}

/// An edge with one worker in front of these, each with keys of its own.
fn before(origins: &[(&Origin, &str)]) -> EdgeBuilder {
    let mut hops = origins
        .iter()
        .map(|(origin, keys)| format!("url = \"{}\"\n{keys}", origin.url()));
    let first = Edge::before_hop(&hops.next().unwrap()).server("workers = 1");
    hops.fold(first, |edge, hop| edge.next_hop(&hop))
}

/// How often each body came in answer to so many requests.
fn bodies(
    edge: &Edge,
    requests: usize,
    target: impl Fn(usize) -> String,
) -> HashMap<String, usize> {
    let mut bodies = HashMap::new();
    for request in 0..requests {
        *bodies.entry(edge.get(&target(request)).text()).or_default() += 1;
    }
    bodies
}

fn reports(edge: &Edge) -> Vec<OriginReport> {
    edge.admin_get("/origins").read::<OriginsResponse>().origins
}

fn states(edge: &Edge) -> Vec<OriginState> {
    reports(edge).iter().map(|report| report.state).collect()
}

fn answer(mut client: Client) -> Answer {
    let mut answer = client.head();
    client.rest(&mut answer);
    answer
}

#[test]
fn weights_share_out_the_requests() {
    let (one, other) = (saying("one"), saying("other"));
    let edge = before(&[(&one, "weight = 3"), (&other, "")]).start();
    let bodies = bodies(&edge, 8, |request| format!("/{request}"));
    assert_eq!((bodies["one"], bodies["other"]), (6, 2));
}

#[test]
fn a_backup_is_asked_only_while_all_others_rest() {
    let (primary, backup) = (saying("primary"), saying("backup"));
    let edge = before(&[(&primary, ""), (&backup, "backup = true")]).start();
    assert_eq!(
        bodies(&edge, 4, |request| format!("/{request}"))["primary"],
        4
    );
    primary.stop();
    assert_eq!(
        bodies(&edge, 4, |request| format!("/{request}"))["backup"],
        4
    );
    primary.start_again();
    edge.advance_secs(5);
    // A copy of the next request tries whether it is back.
    edge.until("/again", |answer| answer.text() == "primary");
}

#[test]
fn the_less_busy_of_two_origins_is_asked() {
    let (slow, quick) = (Origin::start(), saying("quick"));
    slow.otherwise(|_| Reply::silence());
    let edge = before(&[(&slow, ""), (&quick, "")])
        .site("balance = { by = \"least-busy\" }")
        .start();
    let mut waiting = edge.client();
    let mut sent = 0;
    while slow.total() == 0 {
        sent += 1;
        assert!(sent < 10, "the slow origin is never asked");
        waiting = edge.client();
        waiting.start(&get(format!("/{sent}")));
        eventually("an origin is asked", || {
            slow.total() + quick.total() == sent
        });
    }
    let bodies = bodies(&edge, 10, |request| format!("/more/{request}"));
    assert_eq!(bodies["quick"], 10);
    drop(waiting);
}

#[test]
fn a_url_has_its_origin_where_the_key_decides() {
    let (one, other) = (saying("one"), saying("other"));
    let edge = before(&[(&one, ""), (&other, "")])
        .site("balance = { by = \"key\" }")
        .policy(
            "rules",
            "builtin:json-rules",
            "settings = { rules = [{ match = [\"/*\"], ttl = 60 }], variants = { mobile = { devices = [\"mobile\"], paths = [\"/\"] } } }",
        )
        .start();
    let mut seen = HashMap::new();
    for round in 0..3 {
        for page in 0..20 {
            let body = edge.get(&format!("/{page}")).text();
            let before = seen.entry(page).or_insert_with(|| body.clone());
            assert_eq!(*before, body, "page {page}, round {round}");
        }
    }
    // Variants of a URL have the same origin.
    for page in 0..20 {
        let phone = get(format!("/{page}")).header("User-Agent", PHONE);
        assert_eq!(edge.send(&phone).text(), seen[&page], "page {page}");
    }
    let of_one = seen.values().filter(|body| *body == "one").count();
    assert!((1..20).contains(&of_one), "{of_one}");
}

#[test]
fn no_visitor_waits_for_an_origin_that_hangs_after_the_first() {
    let (hanging, good) = (Origin::start(), saying("good"));
    hanging.otherwise(|_| Reply::silence());
    let edge = before(&[(&hanging, ""), (&good, "")])
        .site("response_timeout = \"2s\"")
        .start();
    let mut first = edge.client();
    let mut sent = 0;
    while hanging.total() == 0 {
        sent += 1;
        first = edge.client();
        first.start(&get(format!("/{sent}")));
        eventually("an origin is asked", || {
            hanging.total() + good.total() == sent
        });
    }
    // No more than that: the other origin has 2 s as well.
    edge.advance_secs(2);
    assert_eq!(
        answer(first).text(),
        "good",
        "the request goes to the other origin"
    );
    assert_eq!(states(&edge)[0], OriginState::Resting);
    // The time that one origin took is not the other's.
    assert!(
        reports(&edge)[1].mean_ms < Some(2_000.0),
        "{:?}",
        reports(&edge)
    );
    for round in 0..4 {
        // Each rest ends, and a copy of a request finds out that the origin still hangs.
        let bodies = bodies(&edge, 12, |request| format!("/{round}/{request}"));
        assert_eq!(bodies["good"], 12);
        edge.advance_secs(30);
        let visit = get(format!("/{round}/after?token=1")).header("Cookie", "a=b");
        assert_eq!(edge.send(&visit).text(), "good");
        hanging.wait_for(&format!("/{round}/after"), 1);
        // Nothing of the visitor takes effect twice.
        let trial = hanging.only(&format!("/{round}/after"));
        assert_eq!((&*trial.method, trial.header("cookie")), ("HEAD", None));
        edge.advance_until(10, || states(&edge)[0] == OriginState::Resting);
    }
}

#[test]
fn failures_in_a_row_put_an_origin_to_rest() {
    let (ill, good) = (Origin::start(), saying("good"));
    ill.otherwise(|_| Reply::status(503));
    let edge = before(&[(&ill, ""), (&good, "")]).start();
    let statuses: Vec<u16> = (0..20)
        .map(|page| edge.get(&format!("/{page}")).status)
        .collect();
    let failed = statuses.iter().filter(|status| **status == 503).count();
    assert_eq!(failed, 5, "{statuses:?}");
    assert_eq!(reports(&edge)[0].reason, "failures in a row");
    assert_eq!(reports(&edge)[0].failed, 5);
}

#[test]
fn a_status_of_500_is_no_failure_of_the_origin() {
    let (broken, good) = (Origin::start(), saying("good"));
    broken.otherwise(|_| Reply::status(500));
    let edge = before(&[(&broken, ""), (&good, "")]).start();
    for page in 0..30 {
        edge.get(&format!("/{page}"));
    }
    assert_eq!(states(&edge), [OriginState::Healthy; 2]);
}

#[test]
fn where_all_origins_rest_all_are_asked() {
    let (one, other) = (saying("one"), saying("other"));
    let edge = before(&[(&one, ""), (&other, "")]).start();
    one.stop();
    other.stop();
    assert_eq!(edge.get("/1").status, 502);
    assert_eq!(states(&edge), [OriginState::Resting; 2]);
    one.start_again();
    assert_eq!(edge.get("/2").text(), "one");
}

#[test]
fn a_request_goes_to_another_origin_after_the_statuses_that_the_site_names() {
    let (ill, good) = (Origin::start(), saying("good"));
    ill.otherwise(|_| Reply::status(503));
    let edge = before(&[(&ill, ""), (&good, "")])
        .site("retry = { on = [\"503\"] }")
        .start();
    let bodies = bodies(&edge, 10, |request| format!("/{request}"));
    assert_eq!(bodies["good"], 10);
}

#[test]
fn requests_that_are_sent_again_are_a_share_of_all() {
    let (one, other) = (Origin::start(), Origin::start());
    for origin in [&one, &other] {
        origin.otherwise(|_| Reply::status(503).header("Cache-Control", "no-store"));
    }
    let edge = before(&[(&one, ""), (&other, "")])
        .site("retry = { on = [\"503\"], budget = \"10%\" }\nhealth = { failures_in_row = 10000, failure_share = \"100%\", min_requests = 1000000 }")
        .start();
    for page in 0..200 {
        assert_eq!(edge.get(&format!("/{page}")).status, 503);
    }
    let sent = one.total() + other.total();
    // Ten are saved up at the start.
    assert!((225..=230).contains(&sent), "{sent}");
}

#[test]
fn only_requests_whose_repetition_is_safe_are_sent_again() {
    for (method, keys, sent) in [
        ("GET", "", 2),
        ("OPTIONS", "", 2),
        ("POST", "", 1),
        ("PUT", "", 1),
        ("DELETE", "", 1),
        ("PUT", "methods = [\"PUT\"]", 2),
        ("DELETE", "methods = [\"PUT\", \"DELETE\"]", 2),
    ] {
        let (one, other) = (Origin::start(), Origin::start());
        for origin in [&one, &other] {
            origin.otherwise(|_| Reply::reset());
        }
        let edge = before(&[(&one, ""), (&other, "")])
            .site(&format!("[site.retry]\n{keys}"))
            .start();
        assert_eq!(
            edge.send(&Request::new(method, "/x")).status,
            502,
            "{method}"
        );
        assert_eq!(one.total() + other.total(), sent, "{method} {keys}");
    }
}

#[test]
fn the_deadline_holds_over_all_origins() {
    let (one, other) = (Origin::start(), Origin::start());
    for origin in [&one, &other] {
        origin.otherwise(|_| Reply::silence());
    }
    let edge = before(&[(&one, ""), (&other, "")])
        .site("response_timeout = \"30s\"\ndeadline = \"40s\"")
        .start();
    let mut client = edge.client();
    client.start(&get("/x"));
    eventually("an origin is asked", || one.total() + other.total() == 1);
    edge.advance_secs(30);
    eventually("the other is asked", || one.total() + other.total() == 2);
    edge.advance_secs(9);
    assert!(!client.is_answered());
    edge.advance_secs(1);
    let answer = answer(client);
    assert_eq!(answer.status, 504);
}

#[test]
fn a_get_is_repeated_when_a_kept_connection_is_reset() {
    let origin = Origin::start();
    origin.on("/1", Reply::ok("first").header("Cache-Control", "no-store"));
    origin.on_in_turn("/2", [Reply::reset(), Reply::ok("again")]);
    let edge = Edge::before(&origin).server("workers = 1").start();
    assert_eq!(edge.get("/1").text(), "first");
    assert_eq!(edge.get("/2").text(), "again");
}

#[test]
fn checks_take_an_origin_out_and_bring_it_back() {
    let (checked, good) = (saying("checked"), saying("good"));
    checked.on("/up", Reply::ok("all is well"));
    good.on("/up", Reply::ok("all is well"));
    let edge = before(&[(&checked, ""), (&good, "")])
        .site("[site.health]\npath = \"/up\"\nbody = \"is well\"\nfall = 2\nrise = 2\ninterval = \"1s\"")
        .start();
    checked.wait_for("/up", 1);
    assert_eq!(
        checked.asked("/up")[0].header("host").as_deref(),
        Some(tero_tests::HOST)
    );
    for bad in [
        Reply::status(404).body("all is well"),
        Reply::ok("it is ill"),
        Reply::hang_up(),
    ] {
        checked.on("/up", bad);
        edge.advance_until(60, || states(&edge)[0] == OriginState::Down);
        let bodies = bodies(&edge, 4, |request| format!("/{request}"));
        assert_eq!(bodies["good"], 4);
        checked.on("/up", Reply::ok("all is well"));
        edge.advance_until(60, || states(&edge)[0] == OriginState::Healthy);
    }
}

#[test]
fn an_origin_is_taken_out_and_put_back_by_hand() {
    let (one, other) = (saying("one"), saying("other"));
    let edge = before(&[(&one, "name = \"app-1\""), (&other, "name = \"app-2\"")]).start();
    let body = r#"{"site": "site", "origin": "app-1"}"#;
    let drained: OriginReport = edge.admin_post("/origins/drain", body).read();
    assert_eq!(drained.state, OriginState::Drained);
    assert_eq!(
        bodies(&edge, 6, |request| format!("/{request}"))["other"],
        6
    );
    let resumed: OriginReport = edge.admin_post("/origins/resume", body).read();
    assert_eq!(resumed.state, OriginState::Healthy);
    assert_eq!(bodies(&edge, 6, |request| format!("/{request}"))["one"], 3);
    let unknown = edge.admin_post("/origins/drain", r#"{"site": "site", "origin": "app-3"}"#);
    assert_eq!(unknown.status, 404);
    assert!(
        unknown.text().contains("app-1, app-2"),
        "{}",
        unknown.text()
    );
    let unknown = edge.admin_post("/origins/drain", r#"{"site": "shop", "origin": "app-1"}"#);
    assert_eq!(unknown.status, 404);
}

#[test]
fn a_reload_keeps_what_is_known_of_an_origin() {
    let (one, other) = (saying("one"), saying("other"));
    let builder = before(&[(&one, "name = \"app-1\""), (&other, "name = \"app-2\"")]);
    let edge = builder.start();
    let body = r#"{"site": "site", "origin": "app-1"}"#;
    edge.admin_post("/origins/drain", body);
    edge.get("/1");
    edge.reload(&builder.clone().site("response_timeout = \"7s\""))
        .unwrap();
    edge.get("/2");
    let after = reports(&edge);
    assert_eq!(after[0].state, OriginState::Drained);
    assert_eq!((after[1].requests, after[1].connections), (2, 1));
}
