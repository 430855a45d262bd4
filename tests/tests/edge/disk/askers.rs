//! Others than the requests of visitors that want what is on a disk: sites in maintenance, and plans.

use tero_admin_api::StartMaintenanceRequest;
use tero_admin_api::endpoints::StartMaintenance;

use super::*;
use crate::warming::{assert_counts, warm};

#[test]
fn a_site_in_maintenance_serves_what_is_on_disk() {
    let (origin, folder) = (origin(), folder());
    let edge = with_disk(&origin, folder.path()).start();
    write(&edge, &["/fresh", "/stale", "/purged"]);
    drop(edge);
    let edge = with_disk(&origin, folder.path()).start();
    let request = StartMaintenanceRequest {
        serve_stored: true,
        ..StartMaintenanceRequest::default()
    };
    edge.call::<StartMaintenance>(&["site"], &request);
    let asked = origin.total();
    assert_from_disk(&edge, "/fresh");
    edge.admin_post("/purge", "{\"url\": \"http://www.example/purged\"}");
    assert_eq!(edge.get("/purged").status, 503);
    assert_eq!(edge.get("/never-stored").status, 503);
    edge.advance_secs(3_700);
    let stale = edge.get("/stale");
    let status = stale.header("cache-status").unwrap_or_default();
    assert_eq!(stale.text(), "/stale", "{status}");
    assert!(status.contains("detail=\"disk\""), "{status}");
    assert_eq!(origin.total(), asked, "the origin is left alone");
}

#[test]
fn a_plan_fetches_nothing_that_is_fresh_on_disk() {
    let (origin, folder) = (origin(), folder());
    let plan = "[[warm]]\nname = \"plan\"\nsite = \"site\"\nurls = [\"/a\", \"/b\", \"/c\"]\n\
                window = \"30min\"";
    let builder = with_disk(&origin, folder.path()).section(plan);
    let edge = builder.start();
    assert_counts(
        &warm(&edge),
        &[("planned", 3), ("fetched", 3), ("fresh", 0)],
    );
    edge.settle_disks();
    drop(edge);
    let edge = builder.clone().start();
    let asked = origin.total();
    assert_counts(
        &warm(&edge),
        &[("planned", 3), ("fetched", 0), ("fresh", 3)],
    );
    assert_eq!(origin.total(), asked);
    edge.get("/a").assert_hit("/a");
    drop(edge);
    // What would not last to the end of the window is validated.
    let edge = builder.at("2026-11-24T10:50:00").start();
    assert_counts(
        &warm(&edge),
        &[("planned", 3), ("fetched", 3), ("failed", 0)],
    );
    assert_eq!(origin.requests("/a"), 2);
    edge.get("/a").assert_hit("/a");
}

#[test]
fn an_explanation_tells_what_is_on_disk() {
    let (origin, folder) = (origin(), folder());
    let edge = with_disk(&origin, folder.path()).start();
    write(&edge, &["/page"]);
    drop(edge);
    let edge = with_disk(&origin, folder.path()).start();
    let explain = |path: &str| {
        let question = format!("{{\"url\": \"http://www.example{path}\"}}");
        edge.admin_post("/explain", &question).json()
    };
    let told = explain("/page");
    assert_eq!(told["would"]["outcome"], "hit", "{told}");
    assert_eq!(told["stored"].as_array().unwrap().len(), 1, "{told}");
    let has_rule = |told: &serde_json::Value| {
        let rules = told["rules"].as_array().unwrap();
        rules.iter().any(|rule| rule["rule"] == "disk")
    };
    assert!(has_rule(&told), "{told}");
    assert_eq!(explain("/other")["would"]["outcome"], "miss");
    // Nothing was counted, and nothing has moved.
    assert_eq!(disk_hits(&edge), 0.0);
    assert_from_disk(&edge, "/page");
    let told = explain("/page");
    assert!(
        told["would"]["outcome"] == "hit" && !has_rule(&told),
        "{told}"
    );
    // It would be stale later.
    edge.advance_secs(3_700);
    assert_ne!(explain("/page")["would"]["outcome"], "hit");
}
