//! What operators must know: told once, reminded of, resolved; in the log, in `/events`, in metrics, and to
//! webhooks.

use serde_json::Value;
use tero_admin_api::EventReport;
use tero_admin_api::StartMaintenanceRequest;
use tero_admin_api::endpoints::{Events, StartMaintenance};
use tero_tests::{Edge, EdgeBuilder, Origin, Reply};

fn events(edge: &Edge) -> Vec<EventReport> {
    edge.call::<Events>(&[], &()).events
}

/// An edge that tells a webhook, which is an origin of its own.
fn telling(origin: &Origin, hook: &Origin, keys: &str) -> EdgeBuilder {
    let url = hook.url();
    Edge::before(origin).section(&format!(
        "[[webhook]]\nname = \"chat\"\nurl = \"{url}/hook\"\n{keys}"
    ))
}

fn hook() -> Origin {
    let hook = Origin::start();
    hook.otherwise(|_| Reply::ok("ok"));
    hook
}

/// The messages that have come. The content of the last one may be on its way.
fn messages(hook: &Origin) -> Vec<Value> {
    let asked = hook.asked("/hook").into_iter();
    asked
        .filter(|asked| !asked.body.is_empty())
        .map(|asked| serde_json::from_slice(&asked.body).unwrap())
        .collect()
}

#[test]
fn an_origin_that_is_down_is_told_and_resolved() {
    let (origin, hook) = (Origin::start(), hook());
    origin.otherwise(|_| Reply::status(204));
    let edge = telling(&origin, &hook, "format = \"json\"\nremind = \"5min\"").start();
    edge.get("/a");
    origin.stop();
    edge.get("/b");
    edge.advance_secs(30);
    assert!(
        events(&edge)
            .iter()
            .all(|event| event.kind != "origin_down")
    );
    edge.advance_until(120, || {
        events(&edge)
            .iter()
            .any(|event| event.kind == "origin_down")
    });
    let event = events(&edge)
        .into_iter()
        .find(|event| event.kind == "origin_down")
        .unwrap();
    assert!(event.subject.starts_with("site/127."), "{event:?}");
    assert_eq!(
        (&*event.severity, event.resolved_unix_secs),
        ("ticket", None)
    );
    assert!(
        event.told_unix_secs - event.began_unix_secs >= 60,
        "{event:?}"
    );
    let kind = "kind=\"origin_down\"";
    assert_eq!(edge.metric("tero_events_open", &[kind]), 1.0);
    assert!(edge.metric("tero_event_detection_seconds_total", &[kind]) >= 60.0);
    // The site has no other origin, which does not wait until the morning.
    edge.advance_until(60, || messages(&hook).len() >= 2);
    let told: Vec<_> = messages(&hook);
    let entries = told
        .iter()
        .flat_map(|message| message["events"].as_array().unwrap().clone());
    let shown: Vec<String> = entries
        .map(|entry| format!("{} {} {}", entry["state"], entry["kind"], entry["severity"]))
        .collect();
    assert!(
        shown.contains(&"\"told\" \"origin_down\" \"ticket\"".to_owned()),
        "{shown:?}"
    );
    assert!(
        shown.contains(&"\"told\" \"site_without_origin\" \"page\"".to_owned()),
        "{shown:?}"
    );
    // It goes on.
    edge.advance_until(400, || {
        messages(&hook)
            .iter()
            .any(|message| message.to_string().contains("goes_on"))
    });
    // It comes back.
    origin.start_again();
    edge.advance_until(60, || edge.get("/c").status == 204);
    edge.advance_until(120, || {
        messages(&hook)
            .iter()
            .any(|message| message.to_string().contains("\"resolved\""))
    });
    let event = events(&edge)
        .into_iter()
        .find(|event| event.kind == "origin_down")
        .unwrap();
    assert!(
        event.resolved_unix_secs.unwrap() > event.told_unix_secs,
        "{event:?}"
    );
    assert_eq!(edge.metric("tero_events_open", &[kind]), 0.0);
    assert_eq!(edge.metric("tero_events_resolved_total", &[kind]), 1.0);
    assert!(edge.metric("tero_webhook_messages_total", &["result=\"sent\""]) >= 3.0);
}

#[test]
fn a_message_for_a_chat_is_one_text() {
    let (origin, hook) = (Origin::start(), hook());
    let edge = telling(&origin, &hook, "token = \"a-token-for-the-hook\"").start();
    assert_ne!(edge.admin_post("/reload", "").status, 200);
    edge.advance_until(30, || !messages(&hook).is_empty());
    let asked = hook.asked("/hook").remove(0);
    assert_eq!(asked.method, "POST");
    assert_eq!(
        asked.header("authorization").as_deref(),
        Some("Bearer a-token-for-the-hook")
    );
    let message: Value = serde_json::from_slice(&asked.body).unwrap();
    let text = message["text"].as_str().unwrap();
    assert!(text.contains("the configuration was refused"), "{text}");
}

#[test]
fn a_webhook_that_fails_gets_the_message_again() {
    let (origin, hook) = (Origin::start(), Origin::start());
    hook.on_in_turn("/hook", [Reply::status(500), Reply::ok("ok")]);
    let edge = telling(&origin, &hook, "").start();
    assert_ne!(edge.admin_post("/reload", "").status, 200);
    edge.advance_until(60, || hook.requests("/hook") == 2);
    let messages = messages(&hook);
    assert_eq!(messages[0], messages[1]);
    assert!(
        messages[0]
            .to_string()
            .contains("the configuration was refused")
    );
    edge.advance_until(10, || {
        edge.metric("tero_webhook_messages_total", &["result=\"sent\""]) == 1.0
    });
    assert_eq!(
        edge.metric("tero_webhook_messages_total", &["result=\"failed\""]),
        1.0
    );
}

#[test]
fn a_reload_that_is_applied_ends_the_event_of_one_that_was_refused() {
    let origin = Origin::start();
    let builder = Edge::before(&origin);
    let edge = builder.start();
    assert_ne!(edge.admin_post("/reload", "").status, 200);
    edge.advance_until(30, || events(&edge).len() == 1);
    assert_eq!(events(&edge)[0].kind, "reload_refused");
    edge.reload(&builder).unwrap();
    edge.advance_until(120, || events(&edge)[0].resolved_unix_secs.is_some());
}

#[test]
fn a_restart_goes_on_with_the_events() {
    let (origin, hook) = (Origin::start(), hook());
    let folder = tempfile::tempdir().unwrap();
    let builder = telling(&origin, &hook, "format = \"json\"").state_dir(folder.path());
    let edge = builder.start();
    assert_ne!(edge.admin_post("/reload", "").status, 200);
    edge.advance_until(60, || {
        edge.metric("tero_webhook_messages_total", &["result=\"sent\""]) == 1.0
    });
    let before = events(&edge).remove(0);
    drop(edge);
    // The new process has read its configuration: what was wrong is over.
    let edge = builder.start();
    edge.advance_until(300, || messages(&hook).len() == 2);
    let end = &messages(&hook)[1]["events"][0];
    assert_eq!(
        (&end["state"], &end["number"]),
        (&Value::from("resolved"), &Value::from(before.number))
    );
    let after = events(&edge);
    assert_eq!(after.len(), 1, "{after:?}");
    assert!(after[0].resolved_unix_secs.is_some());
    // Further events count on.
    assert_ne!(edge.admin_post("/reload", "").status, 200);
    edge.advance_until(60, || events(&edge)[0].number == before.number + 1);
}

#[test]
fn a_webhook_whose_url_changed_before_a_restart_is_told_what_is_open() {
    let (origin, hooks) = (Origin::start(), [hook(), hook()]);
    let folder = tempfile::tempdir().unwrap();
    let builder =
        |hook: &Origin| telling(&origin, hook, "format = \"json\"").state_dir(folder.path());
    let edge = builder(&hooks[0]).start();
    assert_ne!(edge.admin_post("/reload", "").status, 200);
    edge.advance_until(60, || {
        edge.metric("tero_webhook_messages_total", &["result=\"sent\""]) == 1.0
    });
    drop(edge);
    let saved = std::fs::read_to_string(folder.path().join("events.json")).unwrap();
    assert!(!saved.contains(&hooks[0].url()), "{saved}");
    let edge = builder(&hooks[1]).start();
    edge.advance_until(300, || messages(&hooks[1]).len() == 2);
    let states = messages(&hooks[1]).into_iter();
    let states: Vec<Value> = states
        .map(|message| message["events"][0]["state"].clone())
        .collect();
    assert_eq!(states, ["told", "resolved"]);
    assert_eq!(messages(&hooks[0]).len(), 1);
}

#[test]
fn a_webhook_that_is_added_by_a_reload_is_told() {
    let (origin, hook) = (Origin::start(), hook());
    let edge = Edge::before(&origin).start();
    edge.reload(&telling(&origin, &hook, "")).unwrap();
    assert_ne!(edge.admin_post("/reload", "").status, 200);
    edge.advance_until(30, || !messages(&hook).is_empty());
}

#[test]
fn a_site_without_its_origin_is_told_while_that_of_a_route_is_well() {
    let (app, payments, hook) = (Origin::start(), Origin::start(), hook());
    payments.otherwise(|_| Reply::status(204));
    let hop = |name: &str, origin: &Origin, keys: &str| {
        format!("name = \"{name}\"\nurl = \"{}\"\n{keys}", origin.url())
    };
    let edge = Edge::before_hop(&hop("app", &app, ""))
        .next_hop(&hop("payments", &payments, "only_by_name = true"))
        .site("[[site.route]]\nname = \"pay\"\nmatch = [\"/pay/*\"]\norigins = [\"payments\"]")
        .section(&format!(
            "[[webhook]]\nname = \"pager\"\nurl = \"{}/hook\"\nseverity = \"page\"",
            hook.url()
        ))
        .start();
    app.stop();
    edge.advance_until(120, || {
        edge.get("/a");
        assert_eq!(edge.get("/pay/a").status, 204);
        !messages(&hook).is_empty()
    });
    let text = messages(&hook)[0].to_string();
    assert!(text.contains("no origin of site is well"), "{text}");
    let text = edge.admin_get("/metrics").text();
    for line in [
        "tero_origins_well{site=\"site\"} 0\n",
        "tero_origins_well{site=\"site\",route=\"pay\"} 1\n",
    ] {
        assert!(text.contains(line), "{line}");
    }
}

#[test]
fn many_errors_are_told() {
    let (origin, hook) = (Origin::start(), hook());
    origin.otherwise(|asked| match asked.target.starts_with("/bad") {
        true => Reply::status(500),
        false => Reply::status(204),
    });
    let edge = telling(&origin, &hook, "severity = \"page\"").start();
    let mut sent = 0;
    edge.advance_until(200, || {
        for _ in 0..5 {
            sent += 1;
            edge.get(&format!("/good/{sent}"));
        }
        edge.get(&format!("/bad/{sent}"));
        !messages(&hook).is_empty()
    });
    let text = messages(&hook)[0].to_string();
    assert!(text.contains("of the answers of site are errors"), "{text}");
}

#[test]
fn what_visitors_get_in_maintenance_is_no_error() {
    let (origin, hook) = (Origin::start(), hook());
    origin.otherwise(|_| Reply::status(204));
    let edge = telling(&origin, &hook, "").start();
    edge.call::<StartMaintenance>(&["site"], &StartMaintenanceRequest::default());
    for _ in 0..30 {
        for _ in 0..5 {
            assert_eq!(edge.get("/").status, 503);
        }
        edge.advance_secs(5);
    }
    assert_eq!(events(&edge), []);
    assert_eq!(edge.metric("tero_errors_total", &[]), 0.0);
}
