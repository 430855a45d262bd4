//! The operator's floor and the rules of routes hold for the path that a policy chooses, in every
//! reading of it.

use tero_tests::{Request, get};

use super::{deciding, echo, explain};

/// `ana:secret`
const USERS: &str =
    r#"users = ["ana:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"]"#;
const ANA: &str = "Basic YW5hOnNlY3JldA==";
const WRONG: &str = "Basic YW5hOndyb25n";

/// Paths below `/to` lead to what follows, however it is written.
const TO: &str = r#"
headers = ["x-to"]
on_request = [{ path = "/to", rewrite_path = "{header:x-to}" }]
"#;

fn to(path: &str) -> Request {
    get("/to").header("X-To", path)
}

fn from(client: &str, path: &str) -> Request {
    to(path).header("X-Forwarded-For", client)
}

#[test]
fn what_is_never_stored_is_not_stored_by_another_path_either() {
    let origin = echo();
    let floor = "[[site.never]]\nmatch = [\"/pagos/*\"]\n[[site.at_most]]\nmatch = [\"/api/*\"]\nttl = \"5s\"\n";
    let edge = deciding(&origin, TO).site(floor).start();
    for path in ["/pagos/1", "//pagos/1", "/x/..%2fpagos/1", "/pagos;v=1/1"] {
        for _ in 0..2 {
            let answer = edge.send(&to(path));
            answer.assert_forwarded("bypass", path);
            answer.assert_detail("site.never: /pagos/*");
        }
    }
    edge.send(&to("/pages/1"))
        .assert_forwarded("uri-miss", "/pages/1");
    edge.send(&to("/pages/1")).assert_hit("/pages/1");
    for path in ["/api/a", "/x/../api/a"] {
        edge.send(&to(path)).assert_forwarded("uri-miss", path);
        let hit = edge.send(&to(path));
        assert_eq!(hit.cache_status().ttl, Some(5), "{hit:?}");
        hit.assert_detail("site.at_most: /api/*");
    }
}

#[test]
fn clients_of_networks_that_may_not_use_a_path_are_not_led_to_it() {
    let origin = echo();
    let site = "[[site.route]]\nmatch = [\"/admin/*\"]\nallow = [\"10.0.0.0/8\"]\n[[site.route]]\nmatch = [\"/open/*\"]\ndeny = [\"192.0.2.0/24\"]\n";
    let edge = deciding(&origin, TO)
        .server("trusted_proxies = [\"127.0.0.1\"]")
        .site(site)
        .start();
    for path in ["/admin/a", "/open/../admin/a", "/%61dmin/a"] {
        let refused = edge.send(&from("192.0.2.1", path));
        assert_eq!(refused.status, 403, "{path}: {refused:?}");
        let allowed = edge.send(&from("10.1.2.3", path));
        assert_eq!((allowed.status, allowed.text().as_str()), (200, path));
        // Only some may have it, so caches on the way don't keep it.
        assert!(allowed.header("cache-control").unwrap().contains("private"));
        assert_eq!(edge.send(&from("192.0.2.1", path)).status, 403);
    }
    assert_eq!(edge.send(&from("192.0.2.1", "/open/a")).status, 403);
    assert_eq!(edge.send(&from("198.51.100.1", "/open/a")).status, 200);
}

#[test]
fn a_path_that_needs_a_password_needs_it_however_a_client_comes_there() {
    let origin = echo();
    let site = format!(
        "[[site.route]]\nmatch = [\"/staging/*\"]\nauth = {{ realm = \"Staging\", {USERS} }}\n\
         [[site.route]]\nmatch = [\"/to*\"]\nmethods = [\"PUT\"]\nauth = {{ realm = \"To\", {USERS} }}\n"
    );
    let edge = deciding(&origin, TO).site(&site).start();
    let asks = |request: &Request, realm: &str| {
        let answer = edge.send(request);
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        assert!(
            answer.status == 401 && challenge.contains(realm),
            "{answer:?}"
        );
    };
    let staging = || to("/staging/a");
    asks(&staging(), "Staging");
    asks(&staging().header("Authorization", WRONG), "Staging");
    assert_eq!(origin.total(), 0);
    for round in 0..3 {
        let answer = edge.send(&staging().header("Authorization", ANA));
        assert_eq!((answer.status, answer.text().as_str()), (200, "/staging/a"));
        assert_eq!(answer.cache_status().hit, round > 0, "one for all who may");
    }
    assert_eq!(origin.only("/staging/a").header("authorization"), None);
    asks(&staging(), "Staging");
    // Both paths need one: the credentials that were good for the first are checked for the second.
    let put = |credentials: Option<&str>| {
        let request = Request::new("PUT", "/to")
            .header("X-To", "/staging/b")
            .body("x");
        match credentials {
            Some(credentials) => request.header("Authorization", credentials),
            None => request,
        }
    };
    asks(&put(None), "To");
    asks(&put(Some(WRONG)), "To");
    for _ in 0..2 {
        assert_eq!(edge.send(&put(Some(ANA))).status, 200);
    }
    assert_eq!(origin.requests("/staging/b"), 2);
}

#[test]
fn an_explanation_names_the_floor_of_the_chosen_path() {
    let origin = echo();
    let settings = r#"on_request = [{ path = "/a", rewrite_path = "/pagos/a" }]"#;
    let floor = "[[site.never]]\nmatch = [\"/pagos/*\"]\n";
    let edge = deciding(&origin, settings).site(floor).start();
    let explained = explain(&edge, "/a");
    assert_eq!(explained.would.outcome, "pass");
    let never = explained.rules.iter().find(|rule| rule.rule == "never");
    assert!(
        never.unwrap().text.starts_with("/pagos/* of site.never"),
        "{explained:?}"
    );
}
