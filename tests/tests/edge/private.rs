//! Pages for one visitor stay with that visitor, whatever policies say.

use tero_admin_api::endpoints::Explain;
use tero_admin_api::{ExplainRequest, FieldValues};
use tero_tests::{
    Answer, Client, Edge, EdgeBuilder, Origin, OriginRequest, Reply, Request, get, guests,
};

const NEVER_FRESH: &str = "no-cache, must-revalidate, max-age=0";

/// Like a blog's: visitors with a cookie get a page of their own, which says that it is never fresh.
fn page(asked: &OriginRequest) -> Reply {
    match asked.header("cookie") {
        Some(cookie) => Reply::ok(format!("page of {cookie}")).header("Cache-Control", NEVER_FRESH),
        None => Reply::ok("public page"),
    }
}

fn blog() -> Origin {
    let origin = Origin::start();
    origin.otherwise(page);
    origin
}

/// An edge with a policy that gives every page a lifetime of a minute.
fn caching_all(origin: &Origin) -> EdgeBuilder {
    let rules = "[policy.settings]\nrules = [{ name = \"all\", match = [\"*\"], ttl = 60 }]";
    Edge::before(origin).policy("rules", "builtin:json-rules", rules)
}

fn with_cookie(target: &str, cookie: &str) -> Request {
    get(target).header("Cookie", cookie)
}

fn rest(client: &mut Client) -> Answer {
    let mut answer = client.head();
    client.rest(&mut answer);
    answer
}

#[test]
fn a_policy_does_not_share_the_page_of_a_visitor_with_cookies() {
    let origin = blog();
    let edge = caching_all(&origin).start();
    let editor = with_cookie("/x", "wordpress_logged_in_1=editor");
    let answer = edge.send(&editor);
    answer.assert_forwarded("uri-miss", "page of wordpress_logged_in_1=editor");
    assert!(!answer.cache_status().stored);
    answer.assert_detail("no-cache-to-cookie");
    let stranger = edge.get("/x");
    stranger.assert_forwarded("uri-miss", "public page");
    assert!(stranger.cache_status().stored);
    edge.get("/x").assert_hit("public page");
}

#[test]
fn every_way_to_say_never_fresh_counts() {
    let never = [
        ("Cache-Control", "no-cache"),
        ("Cache-Control", "max-age=0"),
        ("Cache-Control", "s-maxage=0, max-age=60"),
        ("Expires", "0"),
        ("Expires", "Thu, 19 Nov 1981 08:52:00 GMT"),
        ("CDN-Cache-Control", "no-cache"),
    ];
    let once_fresh = [
        ("Cache-Control", "max-age=1"),
        ("Cache-Control", "s-maxage=1, max-age=0"),
        ("X-None", ""),
    ];
    let check = |(name, value): (&'static str, &'static str), is_stored| {
        let origin = Origin::start();
        origin.otherwise(move |_| Reply::ok("page").header(name, value));
        let edge = caching_all(&origin).start();
        let answer = edge.send(&with_cookie("/x", "a=b"));
        assert_eq!(answer.cache_status().stored, is_stored, "{name}: {value}");
        assert!(edge.get("/y").cache_status().stored, "{name}: {value}");
        edge.get("/y").assert_hit("page");
    };
    never.into_iter().for_each(|said| check(said, false));
    once_fresh.into_iter().for_each(|said| check(said, true));
}

#[test]
fn a_site_may_let_policies_override_no_cache() {
    let origin = blog();
    let edge = caching_all(&origin)
        .site("policy_may_override = [\"no-cache\"]")
        .start();
    let visitor = with_cookie("/x", "a=b");
    assert!(edge.send(&visitor).cache_status().stored);
    edge.get("/x").assert_hit("page of a=b");
    // The site alone lifts nothing.
    let edge = Edge::before(&origin)
        .site("policy_may_override = [\"no-cache\"]")
        .start();
    assert!(!edge.send(&visitor).cache_status().stored);
}

#[test]
fn a_304_to_a_visitor_with_cookies_does_not_make_the_stored_page_fresh_for_all() {
    let origin = Origin::start();
    let tagged = |reply: Reply| {
        reply
            .header("ETag", "\"1\"")
            .header("Cache-Control", NEVER_FRESH)
    };
    origin.otherwise(move |asked| match asked.header("if-none-match") {
        Some(_) => tagged(Reply::status(304)),
        None => tagged(Reply::ok("page")),
    });
    let edge = caching_all(&origin).start();
    edge.get("/x").assert_forwarded("uri-miss", "page");
    edge.advance_secs(60);
    let visitor = with_cookie("/x", "a=b");
    edge.send(&visitor).assert_forwarded("stale", "page");
    edge.send(&visitor).assert_forwarded("stale", "page");
    // The stored page is still there to be validated.
    edge.get("/x").assert_forwarded("stale", "page");
    edge.send(&visitor).assert_hit("page");
}

#[test]
fn followers_without_cookies_elect_a_new_leader() {
    let origin = blog();
    let edge = caching_all(&origin).server("workers = 1").start();
    origin.hold();
    let mut leader = edge.client();
    leader.start(&with_cookie("/x", "a=1"));
    origin.wait_for("/x", 1);
    let mut others: Vec<Client> = (0..5)
        .map(|_| {
            let mut client = edge.client();
            client.start(&get("/x"));
            client
        })
        .collect();
    let mut known = edge.client();
    known.start(&with_cookie("/x", "a=2"));
    // The only worker answers this request after it has read the others.
    edge.call::<tero_admin_api::endpoints::Stats>(&[], &tero_admin_api::StatsRequest::default());
    let mut last = edge.client();
    last.start(&Request::new("OPTIONS", "/other"));
    origin.wait_for("/other", 1);
    origin.release();
    assert_eq!(rest(&mut leader).text(), "page of a=1");
    assert_eq!(rest(&mut known).text(), "page of a=2");
    for other in &mut others {
        assert_eq!(rest(other).text(), "public page");
    }
    // The leader, the other visitor with cookies, and one of those without.
    assert_eq!(origin.requests("/x"), 3);
    edge.get("/x").assert_hit("public page");
}

#[test]
fn a_page_that_was_refused_for_its_cookies_is_no_hit_for_miss() {
    let origin = blog();
    let edge = caching_all(&origin).server("workers = 1").start();
    edge.send(&with_cookie("/x", "a=1"));
    origin.hold();
    let mut clients: Vec<Client> = (0..5)
        .map(|_| {
            let mut client = edge.client();
            client.start(&get("/x"));
            client
        })
        .collect();
    origin.wait_for("/x", 2);
    let mut last = edge.client();
    last.start(&Request::new("OPTIONS", "/other"));
    origin.wait_for("/other", 1);
    origin.release();
    for client in &mut clients {
        assert_eq!(rest(client).text(), "public page");
    }
    assert_eq!(origin.requests("/x"), 2);
}

#[test]
fn pass_cookies_make_a_request_a_pass() {
    let origin = blog();
    let edge = caching_all(&origin)
        .site("pass_cookies = [\"wordpress_logged_in_*\", \"sessionid\"]")
        .start();
    edge.get("/x").assert_forwarded("uri-miss", "public page");
    for cookie in [
        "sessionid=7",
        "lang=es; sessionid=7",
        "wordpress_logged_in_5f2a=editor",
    ] {
        edge.send(&with_cookie("/x", cookie))
            .assert_forwarded("bypass", &format!("page of {cookie}"));
    }
    for cookie in ["lang=es", "sessionid2=7", "x=sessionid=7", "x=my sessionid"] {
        edge.send(&with_cookie("/x", cookie))
            .assert_hit("public page");
    }
    let post = Request::new("POST", "/x").header("Cookie", "sessionid=7");
    edge.send(&post)
        .assert_forwarded("bypass", "page of sessionid=7");
}

/// Cookies that some application takes for one of the list, though RFC 6265 does not.
const ODD_COOKIES: [&str; 9] = [
    "lang=es sessionid=7",
    "lang=es, sessionid=7",
    "lang=\"es\"sessionid=7",
    "\u{a0}sessionid=7",
    "\"sessionid\"=7",
    "SessionId=7",
    "wordpress.logged_in_1=editor",
    "wordpress logged_in_1=editor",
    "wordpress[logged_in_1=editor",
];

#[test]
fn pass_cookies_are_found_however_an_application_reads_them() {
    let origin = blog();
    let lists = "\"wordpress_logged_in_*\", \"sessionid\"";
    let by_site = caching_all(&origin)
        .site(&format!("pass_cookies = [{lists}]"))
        .start();
    let rules = format!(
        "[policy.settings]\npass_cookies = [{lists}]\nrules = [{{ name = \"all\", match = [\"*\"], ttl = 60 }}]"
    );
    let by_rules = Edge::before(&origin)
        .policy("rules", "builtin:json-rules", &rules)
        .start();
    for edge in [by_site, by_rules] {
        edge.get("/x").assert_forwarded("uri-miss", "public page");
        for cookie in ODD_COOKIES {
            let answer = edge.send(&with_cookie("/x", cookie));
            assert_eq!(
                answer.cache_status().fwd.as_deref(),
                Some("bypass"),
                "{cookie}"
            );
            edge.get("/x").assert_hit("public page");
        }
        edge.send(&with_cookie("/x", "lang=es; a=\"b c\""))
            .assert_hit("public page");
    }
}

#[test]
fn a_variant_by_a_cookie_is_not_stored_from_a_request_that_reads_in_two_ways() {
    // An application that separates cookies by spaces.
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let cookies = asked.header("cookie").unwrap_or_default();
        let mut pairs = cookies.split([';', ' ']);
        let market = pairs.find_map(|pair| pair.strip_prefix("market="));
        Reply::fresh(60, format!("market {}", market.unwrap_or("none")))
    });
    let edge = Edge::before(&origin)
        .policy(
            "reader",
            &guests::misbehaving_path().display().to_string(),
            "settings = { on_request = \"silent\", cookies = [\"market\"] }",
        )
        .start();
    edge.send(&with_cookie("/x", "a=b market=evil"))
        .assert_forwarded("bypass", "market evil");
    edge.get("/x").assert_forwarded("uri-miss", "market none");
    let subject = r#"{"url": "http://www.example/x", "headers": {"Cookie": "a=b market=evil"}}"#;
    let told = edge.admin_post("/explain", subject).text();
    assert!(
        told.contains("applications may read a cookie otherwise"),
        "{told}"
    );
}

#[test]
fn the_answer_to_a_post_with_a_pass_cookie_stands_for_no_later_get() {
    let origin = Origin::start();
    origin.on(
        "/x",
        Reply::fresh(60, "mine").header("Content-Location", "/x"),
    );
    let edge = Edge::before(&origin)
        .site("pass_cookies = [\"sessionid\"]")
        .start();
    let post = Request::new("POST", "/x").body("a=1");
    edge.send(&post.clone().header("Cookie", "sessionid=7"));
    assert!(!edge.get("/x").cache_status().hit);
    edge.send(&post);
    edge.get("/x").assert_hit("mine");
}

#[test]
fn ignored_cookies_do_not_count_and_are_not_sent_on() {
    let origin = blog();
    let edge = caching_all(&origin)
        .site("ignore_cookies = [\"_ga*\", \"consent\"]\npass_cookies = [\"_gate\"]")
        .start();
    edge.send(&with_cookie("/x", "_ga=1; _ga_2=3; consent=yes"))
        .assert_forwarded("uri-miss", "public page");
    assert_eq!(origin.only("/x").header("cookie"), None);
    edge.send(&with_cookie("/x", "_ga=4"))
        .assert_hit("public page");
    // Others stay, and passes send no ignored cookie on either.
    edge.send(&with_cookie("/y", "_ga=1; lang=es ;consent=no"))
        .assert_forwarded("uri-miss", "page of lang=es");
    let post = Request::new("POST", "/z").header("Cookie", "_ga=1; lang=es");
    edge.send(&post)
        .assert_forwarded("method", "page of lang=es");
    // A cookie that makes a request a pass is never ignored.
    edge.send(&with_cookie("/x", "_gate=1; _ga=1"))
        .assert_forwarded("bypass", "page of _gate=1");
}

#[test]
fn ignored_cookies_do_not_vary() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(60, "page").header("Vary", "Cookie"));
    let edge = Edge::before(&origin)
        .site("ignore_cookies = [\"_ga*\"]")
        .start();
    edge.send(&with_cookie("/x", "_ga=1; lang=es"))
        .assert_forwarded("uri-miss", "page");
    edge.send(&with_cookie("/x", "lang=es; _ga=2"))
        .assert_hit("page");
    edge.send(&with_cookie("/x", "lang=en; _ga=1"))
        .assert_forwarded("vary-miss", "page");
}

#[test]
fn an_explanation_names_the_cookies_that_pass() {
    let origin = blog();
    let edge = caching_all(&origin)
        .site("pass_cookies = [\"sessionid\"]")
        .start();
    let explained = |cookie: &str| {
        let value = FieldValues::One(cookie.to_owned());
        let question = ExplainRequest {
            url: "/x".to_owned(),
            headers: [("Cookie".to_owned(), value)].into_iter().collect(),
            ..ExplainRequest::default()
        };
        edge.call::<Explain>(&[], &question)
    };
    let passed = explained("sessionid=7");
    assert_eq!(passed.would.outcome.as_str(), "pass");
    assert!(passed.rules.iter().any(|rule| rule.rule == "pass-cookies"));
    assert_eq!(explained("lang=es").would.outcome.as_str(), "miss");
}

#[test]
fn the_rules_of_a_policy_may_name_cookies_too() {
    let origin = blog();
    let rules = r#"
        [policy.settings]
        pass_cookies = ["wordpress_logged_in_*"]
        rules = [
            { name = "styles", match = ["*.css"], ttl = 600, pass_cookies = [] },
            { name = "all", match = ["*"], ttl = 60 },
        ]
    "#;
    let edge = Edge::before(&origin)
        .policy("rules", "builtin:json-rules", rules)
        .start();
    let editor = |target| with_cookie(target, "lang=es; wordpress_logged_in_1=editor");
    edge.get("/x").assert_forwarded("uri-miss", "public page");
    let passed = edge.send(&editor("/x"));
    passed.assert_forwarded("bypass", "page of lang=es; wordpress_logged_in_1=editor");
    passed.assert_detail("all: cookie");
    edge.send(&with_cookie("/x", "lang=es"))
        .assert_hit("public page");
    // Whoever is logged in gets the same style sheets.
    edge.get("/a.css")
        .assert_forwarded("uri-miss", "public page");
    edge.send(&editor("/a.css")).assert_hit("public page");
}

#[test]
fn visitors_with_cookies_do_not_wait_for_each_other_once_their_pages_were_refused() {
    let origin = blog();
    let edge = caching_all(&origin).start();
    edge.send(&with_cookie("/x", "a=1"));
    origin.hold();
    let mut clients: Vec<(Client, String)> = (2..5)
        .map(|number| {
            let mut client = edge.client();
            client.start(&with_cookie("/x", &format!("a={number}")));
            (client, format!("page of a={number}"))
        })
        .collect();
    // Each has asked although the others wait.
    origin.wait_for("/x", 4);
    let mut others: Vec<Client> = (0..3).map(|_| edge.client()).collect();
    others[0].start(&get("/x"));
    origin.wait_for("/x", 5);
    others[1].start(&get("/x"));
    others[2].start(&get("/x"));
    origin.release();
    for (client, expected) in &mut clients {
        assert_eq!(rest(client).text(), *expected);
    }
    for other in &mut others {
        assert_eq!(rest(other).text(), "public page");
    }
    assert_eq!(origin.requests("/x"), 5, "those without cookies share one");
}

#[test]
fn a_connection_that_a_user_authenticated_is_not_used_for_others() {
    for (name, request, challenge) in [
        ("ntlm", Some("NTLM TlRMTVNTUAAB"), None),
        ("negotiate", Some("negotiate YII="), None),
        ("asked", None, Some("Basic realm=x, NTLM")),
    ] {
        let origin = Origin::start();
        origin.otherwise(move |_| match challenge {
            Some(challenge) => Reply::status(401).header("WWW-Authenticate", challenge),
            None => Reply::ok("for one").header("Cache-Control", "private"),
        });
        // One worker has one pool of connections.
        let edge = Edge::before(&origin).server("workers = 1").start();
        let first = get("/first");
        edge.send(&match request {
            Some(value) => first.header("Authorization", value),
            None => first,
        });
        edge.get("/second");
        let (first, second) = (origin.only("/first"), origin.only("/second"));
        assert_ne!(first.connection, second.connection, "{name}");
    }
    let origin = Origin::start();
    let edge = Edge::before(&origin).server("workers = 1").start();
    edge.send(&get("/first").header("Authorization", "Basic eDp5"));
    edge.get("/second");
    let (first, second) = (origin.only("/first"), origin.only("/second"));
    assert_eq!(first.connection, second.connection);
}

#[test]
fn what_a_malformed_directive_forbids_is_not_shared() {
    let origin = Origin::start();
    origin.on_each("/x", |asked, _| {
        let cookie = asked.header("cookie").unwrap_or_default();
        Reply::ok(format!("page of {cookie}")).header("Cache-Control", "s-maxage=60, private;")
    });
    let edge = caching_all(&origin).start();
    assert_eq!(edge.send(&with_cookie("/x", "a")).text(), "page of a");
    assert_eq!(edge.get("/x").text(), "page of ");
}

#[test]
fn an_answer_about_the_request_is_for_that_request_alone() {
    for status in [408, 413, 421, 428, 429, 431] {
        let origin = Origin::start();
        origin.on_each("/x", move |asked, _| match asked.header("x-large") {
            Some(_) => Reply::status(status).header("Cache-Control", "max-age=60"),
            None => Reply::ok("page").header("Cache-Control", "max-age=1, stale-if-error=600"),
        });
        let edge = caching_all(&origin).start();
        let large = get("/x").header("X-Large", "1");
        assert_eq!(edge.send(&large).status, status);
        assert_eq!(edge.get("/x").text(), "page", "{status}");
        // Nor does it take the place of a page that is stored.
        edge.advance_secs(90);
        assert_eq!(edge.send(&large).status, status);
        assert_eq!(edge.get("/x").text(), "page", "{status}");
    }
}
