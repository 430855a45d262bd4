//! Routes: what the configuration says of some paths of a site.

use tero_tests::{Edge, EdgeBuilder, Origin, Reply, Request, eventually, folder, get, toml_string};

const SHOP: &str = r#"
[[site.route]]
name = "payments"
match = ["/api/pay/*"]
methods = ["POST"]
[[site.route]]
name = "api"
match = ["/api/*", "*.json"]
[[site.route]]
match = ["/plain/*"]
"#;

fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(60, "page"));
    origin
}

/// Requests that were counted on a route, with this outcome.
fn counted(edge: &Edge, route: &str, outcome: &str) -> f64 {
    let labels = [
        format!("route=\"{route}\""),
        format!("outcome=\"{outcome}\""),
    ];
    edge.metric("tero_route_requests_total", &[&labels[0], &labels[1]])
}

#[test]
fn first_route_that_matches_is_counted_with_its_outcomes() {
    let origin = origin();
    let edge = Edge::before(&origin).site(SHOP).start();
    for (method, target) in [
        ("GET", "/api/a"),
        ("GET", "/api/a"),
        ("HEAD", "/api/a"),
        ("GET", "/x.json"),
        ("GET", "/%61pi/encoded"),
        ("GET", "/api/pay/1"),
        ("POST", "/api/pay/1"),
        ("GET", "/plain/1"),
        ("GET", "/other"),
    ] {
        assert_eq!(edge.send(&Request::new(method, target)).status, 200);
    }
    assert_eq!(counted(&edge, "api", "miss"), 4.0);
    assert_eq!(counted(&edge, "api", "hit"), 2.0);
    assert_eq!(counted(&edge, "payments", "pass"), 1.0, "only its method");
    let all = edge.metric("tero_route_requests_total", &[]);
    assert_eq!(all, 7.0, "routes without a name are not counted");
    let timed = edge.metric("tero_route_seconds_count", &["route=\"api\""]);
    assert_eq!(timed, 6.0);
}

#[test]
fn counters_of_a_route_go_on_after_a_reload_that_keeps_its_name() {
    let origin = origin();
    let shop = |paths: &str| {
        Edge::before(&origin).site(&format!(
            "[[site.route]]\nname = \"api\"\nmatch = [\"{paths}\"]"
        ))
    };
    let edge = shop("/api/*").start();
    edge.get("/api/a");
    edge.reload(&shop("/rest/*")).unwrap();
    edge.get("/api/a");
    edge.get("/rest/a");
    assert_eq!(counted(&edge, "api", "miss"), 2.0);
    assert_eq!(counted(&edge, "api", "hit"), 0.0);
}

#[test]
fn log_and_explanation_name_the_route() {
    let origin = origin();
    let folder = folder();
    let path = folder.path().join("log");
    let log = toml_string(&path.display().to_string());
    let edge = Edge::before(&origin)
        .site(SHOP)
        .section(&format!(
            "[access_log]\npath = {log}\nformat = \"json\"\nfields = [\"path\", \"route\"]"
        ))
        .start();
    for target in ["/api/a", "/plain/a", "/other"] {
        edge.get(target);
    }
    let mut lines = Vec::new();
    eventually("three lines", || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        lines = text.lines().map(str::to_owned).collect();
        lines.len() == 3
    });
    for (target, route) in [
        ("/api/a", "\"route\":\"api\""),
        ("/plain/a", "\"route\":null"),
        ("/other", "\"route\":null"),
    ] {
        let line = lines
            .iter()
            .find(|line| line.contains(&format!("\"path\":\"{target}\"")))
            .unwrap();
        assert!(line.contains(route), "{line}");
    }
    for (path, text) in [
        ("/api/pay/1", "route `api` applies: /api/*, *.json"),
        ("/plain/1", "the route in line"),
    ] {
        let asked = format!("{{\"url\": \"http://www.example{path}\"}}");
        let told = edge.admin_post("/explain", &asked).text();
        assert!(told.contains(text), "{told}");
    }
    let told = edge.admin_post("/explain", "{\"url\": \"http://www.example/other\"}");
    assert!(!told.text().contains("\"route\""), "{told:?}");
}

#[track_caller]
fn refused(builder: &EdgeBuilder, parts: &[&str]) {
    let message = builder.try_start().expect_err("it is refused");
    for part in parts {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn mistakes_in_routes_are_told_with_their_cure() {
    let origin = origin();
    let with = |keys: &str| Edge::before(&origin).site(keys);
    for (keys, parts) in [
        (
            "[[site.route]]\nname = \"a\"",
            &["site.route.match", "`match` is missing"][..],
        ),
        ("[[site.route]]\nmatch = []", &["the list is empty"]),
        ("[[site.route]]\nmatch = [\"api\"]", &["write \"/api\""]),
        (
            "[[site.route]]\nmatch = [\"/a?b\"]",
            &["leave out the query"],
        ),
        (
            "[[site.route]]\nmatch = [\"/a\"]\nmethods = [\"get\"]",
            &["write \"GET\""],
        ),
        (
            "[[site.route]]\nmatch = [\"/a\"]\nmethods = [\"TRACE\"]",
            &["never let in"],
        ),
        (
            "[[site.route]]\nname = \"a\"\nmatch = [\"/a\"]\n[[site.route]]\nname = \"a\"\nmatch = [\"/b\"]",
            &["`a` is the name of the route in line"],
        ),
        ("[site.route]\nmatch = [\"/a\"]", &["two pairs of brackets"]),
        (
            "[[site.route]]\nmacth = [\"/a\"]",
            &["did you mean `match`?"],
        ),
    ] {
        refused(&with(keys), parts);
    }
    let many = |count: usize| "[[site.route]]\nmatch = [\"/a\"]\n".repeat(count);
    with(&many(256)).start();
    refused(
        &with(&many(257)),
        &["the site has 257 routes", "at most 256"],
    );
}

#[test]
fn a_site_without_routes_names_none() {
    let origin = origin();
    let edge = Edge::before(&origin).start();
    edge.send(&get("/api/a"));
    assert_eq!(edge.metric("tero_route_requests_total", &[]), 0.0);
}

#[test]
fn a_route_waits_for_the_origin_as_long_as_it_says() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::silence());
    let site = "response_timeout = \"20s\"\n[[site.route]]\nmatch = [\"/slow/*\"]\nresponse_timeout = \"60s\"";
    let edge = Edge::before(&origin).site(site).start();
    let mut clients = ["/slow/a", "/fast"].map(|target| {
        let mut client = edge.client();
        client.start(&get(target));
        client
    });
    eventually("both ask the origin", || {
        origin.requests("/slow/a") + origin.requests("/fast") == 2
    });
    let [slow, fast] = &mut clients;
    edge.advance_until(40, || fast.is_answered());
    assert!(!slow.is_answered());
    assert_eq!(fast.head().status, 504);
    edge.advance_until(60, || slow.is_answered());
    assert_eq!(slow.head().status, 504);
}
