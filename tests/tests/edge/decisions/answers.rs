//! Answers that a policy gives by itself.

use tero_tests::{Edge, Request, folder, get};

use super::{deciding, echo, explain};

const ANSWERS: &str = r#"on_request = [
    { path = "/old", answer = { status = 301, fields = { location = "/new{path}" } }, reason = "moved" },
    { path = "/robots.txt", answer = { status = 200, fields = { cache-control = "max-age=60" }, body = "User-agent: *" } },
    { path = "/gone", answer = { status = 410, fields = { content-type = "text/html" }, body = "<p>gone</p>" } },
    { path = "/both", pass = true, answer = { status = 200, body = "answered" } },
]"#;

#[test]
fn a_policy_answers_by_itself_and_nothing_is_fetched_or_stored() {
    let origin = echo();
    let edge = deciding(&origin, ANSWERS).start();
    for _ in 0..2 {
        let moved = edge.get("/old/a");
        let field = |name| moved.header(name);
        assert_eq!((moved.status, moved.text().as_str()), (301, ""));
        assert_eq!(field("location").as_deref(), Some("/new/old/a"));
        assert_eq!(field("cache-control").as_deref(), Some("no-store"));
        assert_eq!(field("content-type"), None);
        let status = moved.cache_status();
        assert_eq!(
            (status.hit, status.fwd, status.stored),
            (false, None, false)
        );
        moved.assert_detail("rules: moved");
        moved.assert_detail("answered by a policy");
    }
    let robots = edge.get("/robots.txt");
    assert_eq!(robots.text(), "User-agent: *");
    assert_eq!(
        robots.header("cache-control").as_deref(),
        Some("max-age=60")
    );
    assert_eq!(
        robots.header("content-type").as_deref(),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(robots.header("content-length").as_deref(), Some("13"));
    let gone = edge.get("/gone");
    assert_eq!((gone.status, gone.text().as_str()), (410, "<p>gone</p>"));
    assert_eq!(gone.header("content-type").as_deref(), Some("text/html"));
    assert_eq!(edge.get("/both").text(), "answered");
    assert_eq!(origin.total(), 0);
    assert_eq!(
        edge.metric("tero_rule_answers_total", &["rule=\"policy\""]),
        5.0
    );
    let rule = edge.metric("tero_requests_total", &["outcome=\"rule\""]);
    assert_eq!(rule, 5.0);
}

#[test]
fn an_answer_is_the_same_for_other_methods_conditions_and_ranges() {
    let origin = echo();
    let edge = deciding(&origin, ANSWERS).start();
    let head = edge.send(&Request::new("HEAD", "/robots.txt"));
    assert_eq!((head.status, head.text().as_str()), (200, ""));
    assert_eq!(head.header("content-length").as_deref(), Some("13"));
    let part = edge.send(&get("/robots.txt").header("Range", "bytes=0-3"));
    assert_eq!((part.status, part.text().as_str()), (200, "User-agent: *"));
    let condition = edge.send(&get("/robots.txt").header("If-None-Match", "*"));
    assert_eq!(condition.status, 200);
    let post = edge.send(&Request::new("POST", "/gone").body("x"));
    assert_eq!(post.status, 410);
    assert_eq!(origin.total(), 0);
}

#[test]
fn the_floor_forbids_answers_of_policies_and_explanations_say_so() {
    let origin = echo();
    let floor = "[[site.never]]\nmatch = [\"/old/pagos/*\"]\nwhat = [\"respond\"]\n";
    let edge = deciding(&origin, ANSWERS).site(floor).start();
    assert_eq!(edge.get("/old/a").status, 301);
    for path in ["/old/pagos/1", "/old//pagos/1", "/old/x/../pagos/1"] {
        edge.get(path).assert_forwarded("uri-miss", path);
        // Storing is another matter.
        edge.get(path).assert_hit(path);
    }
    let explained = explain(&edge, "/old/pagos/1");
    let mut rules = explained.rules.iter();
    let rule = rules.find(|rule| rule.rule == "never-respond").unwrap();
    assert!(
        rule.text.starts_with("/old/pagos/* of site.never"),
        "{rule:?}"
    );
    let explained = explain(&edge, "/old/a");
    assert_eq!(explained.would.outcome, "rule");
    assert!(explained.would.why.contains("301"), "{explained:?}");
    assert!(
        explained
            .rules
            .iter()
            .all(|rule| rule.rule != "never-respond")
    );
}

#[test]
fn rules_of_the_site_go_before_an_answer_and_error_pages_not_in_its_place() {
    let origin = echo();
    let folder = folder();
    let page = folder.path().join("410.html");
    std::fs::write(&page, "the site's").unwrap();
    let page = format!("[[site.error_page]]\nstatus = [\"410\"]\nfile = {page:?}\n");
    let site = format!("redirect_to_https = true\n{page}");
    let edge = deciding(&origin, ANSWERS).site(&site).start();
    let redirected = edge.get("/gone");
    assert_eq!(
        (
            redirected.status,
            redirected.header("location").unwrap().as_str()
        ),
        (301, "https://www.example/gone")
    );
    let edge = deciding(&origin, ANSWERS).site(&page).start();
    assert_eq!(edge.get("/gone").text(), "<p>gone</p>");
}

#[test]
fn purges_by_request_are_not_for_policies_to_answer() {
    let origin = echo();
    let settings = r#"on_request = [{ path = "/", agent = "bot", answer = { status = 404 } }]"#;
    let edge: Edge = deciding(&origin, settings)
        .site("[site.purge]\nfrom = [\"127.0.0.1\"]\n")
        .start();
    edge.get("/a").assert_forwarded("uri-miss", "/a");
    assert_eq!(
        edge.send(&get("/a").header("User-Agent", "a bot")).status,
        404
    );
    let purge = Request::new("PURGE", "/a").header("User-Agent", "a bot");
    assert_eq!(edge.send(&purge).text(), "purged 1\n");
}

#[test]
fn a_plan_does_not_fetch_what_a_policy_answers() {
    let origin = echo();
    let plan = "urls = [\"/old/a\", \"/b\"]";
    let builder = crate::warming::planning(&origin, plan);
    let edge = super::with_policy(builder, "rules", ANSWERS).start();
    let report = crate::warming::warm(&edge);
    assert_eq!((report.fetched, origin.total()), (1, 1), "{report:?}");
    edge.get("/b").assert_hit("/b");
}
