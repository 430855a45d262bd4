//! Sites in maintenance: visitors get 503, or what is stored.

use tero_admin_api::endpoints::{EndMaintenance, Maintenance, StartMaintenance, Stats};
use tero_admin_api::{StartMaintenanceRequest, StatsRequest};
use tero_tests::{Edge, EdgeBuilder, Origin, Reply, Request, folder, get};

fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(60, "page"));
    origin
}

fn before(origin: &Origin) -> EdgeBuilder {
    Edge::before(origin)
        .server("trusted_proxies = [\"127.0.0.1\"]")
        .site("zone = \"America/Argentina/Buenos_Aires\"")
}

fn begin(edge: &Edge, request: &StartMaintenanceRequest) {
    edge.call::<StartMaintenance>(&["site"], request);
}

#[test]
fn visitors_get_503_until_it_ends() {
    let origin = origin();
    let edge = before(&origin).start();
    edge.get("/a");
    assert!(edge.call::<Maintenance>(&[], &()).sites.is_empty());
    let begun = edge.call::<StartMaintenance>(
        &["site"],
        &StartMaintenanceRequest {
            message: "We are back at noon.".to_owned(),
            until: Some("2026-11-24T12:00".to_owned()),
            exempt: vec!["10.0.0.0/8".to_owned()],
            ..StartMaintenanceRequest::default()
        },
    );
    assert!(!begun.survives_restart);
    assert_eq!(
        begun.report.until.as_deref(),
        Some("2026-11-24T12:00:00-03:00")
    );
    assert_eq!(edge.call::<Maintenance>(&[], &()).sites, [begun.report]);
    for method in ["GET", "HEAD", "POST"] {
        let answer = edge.send(&Request::new(method, "/a"));
        assert_eq!(answer.status, 503, "{method}");
        assert_eq!(answer.header("retry-after").as_deref(), Some("7200"));
        assert_eq!(
            answer.header("cache-status").as_deref(),
            Some("tero; detail=\"maintenance\"")
        );
        let text = if method == "HEAD" {
            ""
        } else {
            "We are back at noon.\n"
        };
        assert_eq!(answer.text(), text);
    }
    let exempt = get("/a").header("X-Forwarded-For", "10.1.2.3");
    edge.send(&exempt).assert_hit("page");
    assert_eq!(
        edge.metric("tero_rule_answers_total", &["rule=\"maintenance\""]),
        3.0
    );
    assert_eq!(
        edge.metric("tero_site_maintenance", &["site=\"site\""]),
        1.0
    );
    assert!(edge.call::<Stats>(&[], &StatsRequest::default()).sites[0].maintenance);
    let told = edge
        .admin_post("/explain", "{\"url\": \"http://www.example/a\"}")
        .text();
    assert!(told.contains("\"rule\":\"maintenance\""), "{told}");
    // A reload changes nothing about it, and it ends by itself.
    edge.reload(&before(&origin).site("stale_if_error = \"2h\""))
        .unwrap();
    assert_eq!(edge.get("/a").status, 503);
    edge.turn_to("2026-11-24T12:00:00");
    assert_eq!(edge.get("/a").status, 200);
    assert!(edge.call::<Maintenance>(&[], &()).sites.is_empty());
    assert_eq!(edge.metric("tero_site_maintenance", &[]), 0.0);
}

#[test]
fn what_is_stored_may_be_served_meanwhile() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(60, "page"));
    origin.on(
        "/strict",
        Reply::ok("page").header("Cache-Control", "max-age=60, must-revalidate"),
    );
    let edge = before(&origin).start();
    edge.get("/a");
    edge.get("/strict");
    begin(
        &edge,
        &StartMaintenanceRequest {
            serve_stored: true,
            ..StartMaintenanceRequest::default()
        },
    );
    edge.get("/a").assert_hit("page");
    edge.advance_secs(61);
    let stale = edge.get("/a");
    assert_eq!((stale.status, stale.text().as_str()), (200, "page"));
    assert_eq!(
        edge.get("/strict").status,
        503,
        "it must be validated first"
    );
    let answer = edge.get("/b");
    assert_eq!(
        (answer.status, answer.header("retry-after").as_deref()),
        (503, Some("120"))
    );
    assert_eq!(edge.send(&Request::new("POST", "/a").body("x")).status, 503);
    assert_eq!(
        origin.requests("/a") + origin.requests("/b"),
        1,
        "the origin is left alone"
    );
    assert!(edge.call::<EndMaintenance>(&["site"], &()).was_on);
    assert!(!edge.call::<EndMaintenance>(&["site"], &()).was_on);
    assert_eq!(edge.get("/b").status, 200);
}

#[test]
fn a_restart_goes_on_with_it() {
    let origin = origin();
    let folder = folder();
    let builder = before(&origin).state_dir(folder.path());
    let edge = builder.start();
    let until = |time: &str| StartMaintenanceRequest {
        until: Some(time.to_owned()),
        ..StartMaintenanceRequest::default()
    };
    let begun = edge.call::<StartMaintenance>(&["site"], &until("2026-11-24T12:00"));
    assert!(begun.survives_restart);
    drop(edge);
    let edge = builder.start();
    assert_eq!(edge.get("/a").status, 503);
    edge.call::<EndMaintenance>(&["site"], &());
    drop(edge);
    let edge = builder.start();
    assert_eq!(edge.get("/a").status, 200);
    begin(&edge, &until("2026-11-24T12:00"));
    drop(edge);
    let edge = builder.at("2026-11-24T13:00:00").start();
    assert_eq!(edge.get("/a").status, 200, "it is over");
}

#[test]
fn mistakes_are_told_with_their_cure() {
    let origin = origin();
    let edge = before(&origin).start();
    let ask = |site: &str, request: StartMaintenanceRequest| {
        edge.ask::<StartMaintenance>(&[site], &request)
    };
    let with = |change: fn(&mut StartMaintenanceRequest)| {
        let mut request = StartMaintenanceRequest::default();
        change(&mut request);
        request
    };
    for (request, problem) in [
        (
            with(|request| request.until = Some("noon".to_owned())),
            "`noon` is not a time",
        ),
        (
            with(|request| request.until = Some("2026-11-24T09:00".to_owned())),
            "has passed",
        ),
        (
            with(|request| request.exempt = vec!["10.0.0.1/8".to_owned()]),
            "within a network",
        ),
        (
            with(|request| request.exempt = vec!["10.0.0.1".to_owned(); 65]),
            "more than 64 networks",
        ),
        (
            with(|request| request.message = "x".repeat(1_001)),
            "too long",
        ),
        (
            with(|request| request.message = "a\r\nb".to_owned()),
            "control characters",
        ),
    ] {
        let answer = ask("site", request);
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.text().contains(problem), "{answer:?}");
    }
    let good = with(|request| {
        request.message = "x".repeat(1_000);
        request.exempt = vec!["10.0.0.1".to_owned(); 64];
    });
    assert_eq!(ask("site", good).status, 200);
    let unknown = ask("other", StartMaintenanceRequest::default());
    assert_eq!(unknown.status, 404);
    assert!(unknown.text().contains("the sites are site"), "{unknown:?}");
    assert_eq!(edge.ask::<EndMaintenance>(&["other"], &()).status, 404);
}
