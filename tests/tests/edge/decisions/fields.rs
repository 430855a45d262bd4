//! Fields of responses: on their way to the client, and before they are stored.

use tero_tests::{Origin, Reply, Request, get};

use super::{deciding, echo};

const EDITS: &str = r#"
cookies = ["side"]
on_request = [{ path = "/", set_response = { x-side = "s{cookie:side}", server = "policy" }, remove_response = ["x-powered-by"] }]
"#;

fn of_side(target: &str, side: &str) -> Request {
    get(target).header("Cookie", format!("side={side}"))
}

#[test]
fn every_response_gets_and_loses_the_fields_hits_too() {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let reply = match asked.path() {
            "/private" => Reply::ok("x").header("Cache-Control", "private"),
            "/broken" => Reply::hang_up(),
            "/error" => Reply::status(500),
            _ => Reply::fresh(10, "x").header("ETag", "\"1\""),
        };
        reply
            .header("X-Powered-By", "origin")
            .header("Server", "origin")
    });
    let edge = deciding(&origin, EDITS)
        .site("response_fields = { set = { Server = \"site\", X-Site = \"yes\" } }")
        .start();
    let check = |request: &Request, status: u16| {
        for side in ["a", "b", "a", "b"] {
            let request = request.clone().header("Cookie", format!("side={side}"));
            let answer = edge.send(&request);
            assert_eq!(answer.status, status, "{answer:?}");
            let field = |name| answer.header(name);
            assert_eq!(field("x-side"), Some(format!("s{side}")), "{answer:?}");
            assert_eq!(field("server").as_deref(), Some("policy"));
            assert_eq!(field("x-site").as_deref(), Some("yes"));
            assert_eq!(field("x-powered-by"), None);
        }
    };
    // A miss and then hits, from one stored response for both sides.
    check(&get("/page"), 200);
    assert_eq!(origin.requests("/page"), 1);
    check(&get("/page").header("If-None-Match", "\"1\""), 304);
    check(&get("/page").header("Range", "bytes=0-0"), 206);
    check(&Request::new("HEAD", "/page"), 200);
    assert_eq!(origin.requests("/page"), 1);
    check(&get("/private"), 200);
    check(&get("/error"), 500);
    check(&get("/broken"), 502);
    // Stale, since the origin is gone.
    origin.stop();
    edge.advance_secs(11);
    check(&get("/page"), 200);
}

#[test]
fn hits_of_one_connection_get_the_fields_of_their_own_decision() {
    let origin = echo();
    let edge = deciding(&origin, EDITS).start();
    let mut client = edge.client();
    client.send(&of_side("/a", "0"));
    for round in 0..200 {
        let side = (round % 7).to_string();
        let answer = client.send(&of_side("/a", &side));
        answer.assert_hit("/a");
        assert_eq!(answer.header("x-side"), Some(format!("s{side}")));
    }
    assert_eq!(origin.total(), 1);
}

#[test]
fn an_answer_of_a_policy_keeps_the_fields_that_it_names() {
    let origin = echo();
    let settings = r#"on_request = [{ path = "/", set_response = { x-side = "edit", x-more = "edit" }, answer = { status = 200, fields = { x-side = "own" } } }]"#;
    let edge = deciding(&origin, settings).start();
    let answer = edge.get("/a");
    assert_eq!(answer.header("x-side").as_deref(), Some("own"));
    assert_eq!(answer.header("x-more").as_deref(), Some("edit"));
}

#[test]
fn fields_are_changed_before_a_response_is_stored_and_after_each_304() {
    let origin = Origin::start();
    origin.otherwise(|asked| match asked.header("if-none-match") {
        Some(_) => Reply::status(304)
            .header("ETag", "\"1\"")
            .header("X-Debug", "again")
            .header("X-Kind", "of 304")
            .header("Cache-Control", "max-age=10"),
        None => Reply::fresh(10, "x")
            .header("ETag", "\"1\"")
            .header("X-Debug", "yes")
            .header("X-Kind", "of 200"),
    });
    let settings =
        r#"on_response = [{ path = "/", set = { x-kind = "page" }, remove = ["x-debug"] }]"#;
    let edge = deciding(&origin, settings).start();
    let check = || {
        let answer = edge.get("/a");
        assert_eq!(
            answer.header("x-kind").as_deref(),
            Some("page"),
            "{answer:?}"
        );
        assert_eq!(answer.header("x-debug"), None);
        answer.cache_status()
    };
    assert!(check().stored);
    assert!(check().hit);
    edge.advance_secs(10);
    assert_eq!(check().fwd_status, Some(304));
    assert!(check().hit);
    // What is not stored is changed, too.
    origin.on(
        "/private",
        Reply::ok("x")
            .header("X-Debug", "yes")
            .header("Cache-Control", "private"),
    );
    let private = edge.get("/private");
    assert_eq!(private.header("x-debug"), None);
    assert_eq!(private.header("x-kind").as_deref(), Some("page"));
}
