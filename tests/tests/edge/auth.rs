//! Names and passwords that a route asks for.

use tero_tests::{Answer, Edge, EdgeBuilder, Origin, Reply, Request, folder, get, toml_string};

/// `ana:secret` and `beto:secret`.
const USERS: &str = r#"users = ["ana:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", "beto:$6$rounds=1000$saltsalt$LAV5VE5Y7w1d73x1mFNspYWUpazfmwv2SoepNXNKJ/otop/Zok96Hr8Q13LEv0DRY/x8v0/crpIjl8NJSAqXV/"]"#;
const ANA: &str = "Basic YW5hOnNlY3JldA==";
const BETO: &str = "Basic YmV0bzpzZWNyZXQ=";
/// `ana:wrong`
const WRONG: &str = "Basic YW5hOndyb25n";

fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let told = asked
            .header("authorization")
            .unwrap_or("nothing".to_owned());
        Reply::fresh(60, format!("told {told}"))
    });
    origin
}

fn protected(origin: &Origin) -> EdgeBuilder {
    Edge::before(origin).server("trusted_proxies = [\"127.0.0.1\"]").site(&format!(
        "[[site.route]]\nmatch = [\"/staging/open\"]\n[[site.route]]\nmatch = [\"/staging/*\"]\nauth = {{ realm = \"Staging\", {USERS} }}"
    ))
}

fn with(credentials: &str, target: &str) -> Request {
    get(target).header("Authorization", credentials)
}

#[track_caller]
fn assert_asked(answer: &Answer) {
    assert_eq!(answer.status, 401, "{answer:?}");
    assert_eq!(
        answer.header("www-authenticate").as_deref(),
        Some("Basic realm=\"Staging\", charset=\"UTF-8\"")
    );
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
}

#[test]
fn only_those_who_know_a_password_get_the_page_also_when_it_is_stored() {
    let origin = origin();
    let edge = protected(&origin).start();
    assert_asked(&edge.get("/staging/a"));
    for wrong in [
        WRONG,
        "Basic",
        "Basic !!",
        "Bearer YW5hOnNlY3JldA==",
        "Basic YW5hOg==",
    ] {
        assert_asked(&edge.send(&with(wrong, "/staging/a")));
    }
    assert_eq!(origin.requests("/staging/a"), 0);
    edge.send(&with(ANA, "/staging/a"))
        .assert_forwarded("uri-miss", "told nothing");
    for credentials in [ANA, BETO, ANA] {
        let answer = edge.send(&with(credentials, "/staging/a"));
        answer.assert_hit("told nothing");
        assert!(
            answer.header("cache-control").unwrap().contains("private"),
            "{answer:?}"
        );
    }
    assert_asked(&edge.get("/staging/a"));
    assert_asked(&edge.send(&with(WRONG, "/staging/a")));
    let head = edge.send(&Request::new("HEAD", "/staging/a"));
    assert_eq!((head.status, head.body.len()), (401, 0));
    assert_eq!(
        edge.metric("tero_rule_answers_total", &["rule=\"auth\""]),
        9.0
    );
    // A POST is sent on with its content, once the password has been checked.
    let edge = protected(&origin).start();
    let post = Request::new("POST", "/staging/b")
        .header("Authorization", BETO)
        .body("content");
    assert_eq!(edge.send(&post).status, 200);
    assert_eq!(origin.asked("/staging/b")[0].body, b"content");
}

#[test]
fn other_paths_ask_for_nothing_and_the_origin_sees_their_credentials() {
    let origin = origin();
    let edge = protected(&origin).start();
    assert_eq!(
        edge.send(&with(WRONG, "/other")).text(),
        format!("told {WRONG}")
    );
    assert_eq!(edge.get("/staging/open").status, 200);
    for path in [
        "/staging//open",
        "/staging/open/../a",
        "//staging/a",
        "/x/../staging/a",
        "/staging%2fa",
        "/staging/open%2f..%2fa",
        "/staging/a;v=1",
    ] {
        assert_eq!(edge.get(path).status, 401, "{path}");
    }
}

#[test]
fn a_client_that_is_wrong_too_often_waits() {
    let origin = origin();
    let edge = protected(&origin).start();
    let from = |client: &str, credentials: &str| {
        edge.send(&with(credentials, "/staging/a").header("X-Forwarded-For", client))
    };
    assert_eq!(from("10.0.0.1", BETO).status, 200);
    for _ in 0..10 {
        assert_asked(&from("10.0.0.1", WRONG));
    }
    let limited = from("10.0.0.1", WRONG);
    assert_eq!(limited.status, 429, "{limited:?}");
    assert_eq!(limited.header("retry-after").as_deref(), Some("60"));
    assert_eq!(
        from("10.0.0.1", ANA).status,
        429,
        "not even the right ones are checked"
    );
    assert_eq!(
        from("10.0.0.1", BETO).status,
        200,
        "these are known to be right"
    );
    assert_asked(&from("10.0.0.2", WRONG));
    edge.advance_secs(60);
    assert_eq!(from("10.0.0.1", ANA).status, 200);
    assert_eq!(
        edge.metric("tero_rule_answers_total", &["rule=\"auth_limit\""]),
        2.0
    );
}

#[test]
fn users_come_from_a_file_and_change_with_a_reload() {
    let origin = origin();
    let folder = folder();
    let path = folder.path().join("users");
    let line = |user: usize| USERS.split('"').nth(1 + 2 * user).unwrap().to_owned();
    std::fs::write(&path, format!("# staging\n\n{}\n", line(0))).unwrap();
    let file = toml_string(&path.display().to_string());
    let builder = Edge::before(&origin).site(&format!(
        "[[site.route]]\nmatch = [\"*\"]\nauth = {{ users_file = {file} }}"
    ));
    let edge = builder.start();
    assert_eq!(edge.send(&with(ANA, "/a")).status, 200);
    assert_eq!(edge.send(&with(BETO, "/a")).status, 401);
    std::fs::write(&path, line(1)).unwrap();
    edge.reload(&builder).unwrap();
    assert_eq!(edge.send(&with(ANA, "/a")).status, 401);
    assert_eq!(edge.send(&with(BETO, "/a")).status, 200);
    std::fs::write(&path, "carla:$apr1$x$y\n").unwrap();
    let message = edge.reload(&builder).unwrap_err();
    assert!(
        message.contains("line 1: the user `carla`: hashes of MD5"),
        "{message}"
    );
    assert!(!message.contains("$apr1$x$y"), "{message}");
    assert_eq!(
        edge.send(&with(BETO, "/a")).status,
        200,
        "the old ones stay"
    );
}

#[test]
fn hashes_that_are_weak_or_slow_are_refused() {
    let origin = origin();
    let sum = "a".repeat(86);
    for (user, problem) in [
        ("", "nobody could use the route"),
        ("ana", "not a name and a hash"),
        (":$2y$04$x", "not the name of a user"),
        ("ana:secret", "of no known kind"),
        (
            "ana:{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
            "SHA-1 are too weak",
        ),
        ("ana:$apr1$salt$sum", "MD5 are too weak"),
        (
            "ana:$2y$15$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
            "cost of its hash",
        ),
        (
            "ana:$2y$03$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
            "cost of its hash",
        ),
        ("ana:$2y$14$abc", "malformed"),
        (
            &format!("ana:$6$rounds=500001$salt${sum}"),
            "rounds of its hash",
        ),
        (
            &format!("ana:$6$rounds=999$salt${sum}"),
            "rounds of its hash",
        ),
        (&format!("ana:$6$salt$x{sum}"), "malformed"),
    ] {
        let users = if user.is_empty() {
            String::new()
        } else {
            format!("\"{user}\"")
        };
        let site = format!("[[site.route]]\nmatch = [\"*\"]\nauth = {{ users = [{users}] }}");
        let message = Edge::before(&origin)
            .site(&site)
            .try_start()
            .expect_err(user);
        assert!(message.contains(problem), "{user}: {message}");
    }
    for user in [
        format!("ana:$6$rounds=500000$salt${sum}"),
        "ana:$2y$14$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW".to_owned(),
    ] {
        let site = format!("[[site.route]]\nmatch = [\"*\"]\nauth = {{ users = [\"{user}\"] }}");
        Edge::before(&origin).site(&site).start();
    }
}

#[test]
fn explanation_says_that_a_password_is_needed() {
    let origin = origin();
    let edge = protected(&origin).start();
    let told = edge
        .admin_post("/explain", "{\"url\": \"http://www.example/staging/a\"}")
        .text();
    assert!(told.contains("\"rule\":\"auth\""), "{told}");
}
