//! The id of a request: taken over from trusted proxies, else drawn; the same for the origin, the
//! client, the access log and the process's own log.

use super::*;
use crate::program::{Serving, configuration};

/// An origin whose pages are the ids that it was told, stored for a minute.
fn telling() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let ids = asked.headers.iter();
        let ids = ids.filter(|(name, _)| name.eq_ignore_ascii_case("x-request-id"));
        let ids: Vec<_> = ids.map(|(_, id)| id.clone()).collect();
        Reply::fresh(60, ids.join(" "))
    });
    origin
}

#[track_caller]
fn assert_drawn(id: &str) {
    assert!(
        id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{id}"
    );
}

#[test]
fn every_request_to_the_origin_has_an_id_of_its_own() {
    let origin = telling();
    let edge = Edge::before(&origin).start();
    let ids: Vec<String> = (0..20)
        .map(|page| match page % 2 {
            0 => edge.get(&format!("/{page}")).text(),
            _ => edge.send(&Request::new("POST", "/x")).text(),
        })
        .collect();
    for (place, id) in ids.iter().enumerate() {
        assert_drawn(id);
        assert!(!ids[..place].contains(id), "{ids:?}");
    }
}

#[test]
fn an_id_is_taken_over_from_trusted_proxies_alone() {
    let origin = telling();
    let longest = "7".repeat(128);
    let too_long = "7".repeat(129);
    let trusting = Edge::before(&origin).server(BEHIND_A_PROXY).start();
    let strict = Edge::before(&origin).start();
    for (page, id) in ["7f-3", "a.b_c~", &longest].into_iter().enumerate() {
        let request = get(format!("/good/{page}")).header("X-Request-ID", id);
        assert_eq!(trusting.send(&request).text(), id);
        assert_drawn(&strict.send(&request).text());
    }
    for (page, id) in ["", "a b", "a,b", "\"a\"", "a=b", "\u{e9}", &too_long]
        .into_iter()
        .enumerate()
    {
        let request = get(format!("/bad/{page}")).header("X-Request-Id", id);
        assert_drawn(&trusting.send(&request).text());
    }
    let twice = get("/twice")
        .header("X-Request-Id", "a")
        .header("x-request-id", "b");
    assert_drawn(&trusting.send(&twice).text());
    // As CGI reads it, this would be the same field.
    let spelled = get("/spelled").header("X_Request_Id", "a");
    assert_drawn(&trusting.send(&spelled).text());
}

#[test]
fn a_response_that_varies_on_the_id_is_for_that_request_alone() {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        Reply::fresh(60, asked.header("x-request-id").unwrap_or_default())
            .header("Vary", "X-Request-Id")
    });
    let edge = Edge::before(&origin).server(BEHIND_A_PROXY).start();
    for id in ["one", "two", "one"] {
        let answer = edge.send(&get("/x").header("X-Request-Id", id));
        assert_told(&answer, id, false);
    }
    let strict = Edge::before(&origin).start();
    let drawn = strict.send(&get("/x").header("X-Request-Id", "one"));
    assert_drawn(&drawn.text());
    assert_ne!(strict.get("/x").text(), drawn.text());
}

#[test]
fn a_revalidation_in_the_background_has_the_id_of_the_request_that_began_it() {
    let origin = Origin::start();
    let stale =
        || Reply::ok("page").header("Cache-Control", "max-age=1, stale-while-revalidate=60");
    origin.otherwise(move |_| stale());
    let edge = Edge::before(&origin).server(BEHIND_A_PROXY).start();
    edge.get("/x");
    edge.advance_secs(5);
    edge.send(&get("/x").header("X-Request-Id", "began-it"));
    origin.wait_for("/x", 2);
    let asked = origin.asked("/x");
    assert_eq!(asked[1].header("x-request-id").as_deref(), Some("began-it"));
}

#[test]
fn an_error_names_the_request_to_the_client_and_in_both_logs() {
    let origin = Origin::start();
    origin.on("/broken", Reply::hang_up());
    let log = "\n[access_log]\npath = \"access.log\"\nformat = \"json\"\n";
    let text = configuration(&origin, log).replacen(
        "[server]\n",
        &format!("[server]\n{BEHIND_A_PROXY}\n"),
        1,
    );
    let serving = Serving::start(&text);
    let request = get("/broken").header("X-Request-Id", "find-me");
    let answer = serving.client().send(&request);
    assert_eq!(answer.status, 502);
    assert!(answer.text().ends_with("\nrequest find-me\n"), "{answer:?}");
    serving.line_with(&["fetch failed", "request_id=find-me"]);
    let refused = get("/x")
        .host("nobody.example")
        .header("X-Request-Id", "refused");
    let answer = serving.client().send(&refused);
    assert_eq!(answer.status, 421);
    assert!(answer.text().ends_with("\nrequest refused\n"), "{answer:?}");
    let file = serving.folder.path().join("access.log");
    let lines = || std::fs::read_to_string(&file).unwrap_or_default();
    eventually("the lines are written", || {
        ["find-me", "refused"]
            .iter()
            .all(|id| lines().contains(&format!("\"request_id\":\"{id}\"")))
    });
}
