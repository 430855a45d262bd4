//! Purging by URL, tag, prefix and site: responses are dropped (hard) or marked stale (soft).

use tero_admin_api::PurgeResponse;
use tero_tests::{Edge, EdgeBuilder, Gate, Origin, Reply, Request, get};

/// An origin whose pages are fresh for an hour and have entity tags.
fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| match asked.header("if-none-match") {
        Some(_) => Reply::status(304)
            .header("ETag", "\"1\"")
            .header("Cache-Control", "max-age=3600"),
        None => Reply::fresh(3_600, &asked.target).header("ETag", "\"1\""),
    });
    origin
}

fn tagging(origin: &Origin) -> EdgeBuilder {
    let rules = r#"
        [policy.settings]
        version = 3
        variants.mobile = { devices = ["mobile"], paths = ["*"] }
        rules = [
            { name = "prices", match = ["/prices/*"], ttl = 3600, tags = ["prices", "all"] },
            { name = "rest", match = ["*"], ttl = 3600, tags = ["all"] },
        ]
    "#;
    Edge::before(origin).policy("rules", "builtin:json-rules", rules)
}

#[track_caller]
fn store(edge: &Edge, targets: &[&str]) {
    for target in targets {
        edge.get(target).assert_forwarded("uri-miss", target);
        edge.get(target).assert_hit(target);
    }
}

/// Purges, and checks how many stored responses were affected.
#[track_caller]
fn purge(edge: &Edge, target: &str, purged: u64) {
    let answer = edge.admin_post("/purge", target);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.read::<PurgeResponse>().purged, purged, "{answer:?}");
}

#[track_caller]
fn assert_stored(edge: &Edge, stored: &[&str], gone: &[&str]) {
    for target in stored {
        edge.get(target).assert_hit(target);
    }
    for target in gone {
        edge.get(target).assert_forwarded("uri-miss", target);
    }
}

/// Checks that requests after `purge` don't get the response that was being fetched, and share a
/// fetch of their own.
#[track_caller]
fn check_fill_is_left_alone(purge: impl Fn(&Edge)) {
    let (old, new) = (Gate::new(), Gate::new());
    let origin = Origin::start();
    let half = |body: &str, gate: &Gate| {
        Reply::fresh(60, body)
            .header("Cache-Groups", "\"all\"")
            .in_halves(gate)
    };
    origin.on_in_turn("/x", [half("old", &old), half("new", &new)]);
    origin.on("/change", Reply::status(201).header("Location", "/x"));
    origin.on(
        "/group",
        Reply::status(200).header("Cache-Group-Invalidation", "\"all\""),
    );
    let edge = Edge::before(&origin).start();
    let ask = || {
        let mut client = edge.client();
        client.start(&get("/x"));
        let answer = client.head();
        (client, answer)
    };
    let mut before = ask();
    purge(&edge);
    let mut after = ask();
    edge.admin_post("/purge", r#"{"tag": "other"}"#);
    let mut later = ask();
    assert_eq!(origin.requests("/x"), 2);
    for (gate, body, asked) in [
        (&new, "new", [&mut after, &mut later].as_mut_slice()),
        (&old, "old", &mut [&mut before]),
    ] {
        gate.open();
        for (client, answer) in asked {
            client.rest(answer);
            assert_eq!(answer.text(), body);
        }
    }
    edge.get("/x").assert_hit("new");
}

#[test]
fn a_response_purged_during_its_fetch_is_not_shared_with_later_requests() {
    for target in [
        r#"{"url": "http://www.example/x"}"#,
        r#"{"prefix": "http://www.example/"}"#,
        r#"{"tag": "all", "soft": true}"#,
    ] {
        check_fill_is_left_alone(|edge| assert_eq!(edge.admin_post("/purge", target).status, 200));
    }
    for target in ["/change", "/group"] {
        check_fill_is_left_alone(|edge| drop(edge.send(&Request::new("POST", target))));
    }
}

#[test]
fn any_number_of_unsafe_requests_leaves_fetches_of_other_urls_alone() {
    let (gate, origin) = (Gate::new(), Origin::start());
    let page = Reply::fresh(60, "page").header("Cache-Groups", "\"own\"");
    origin.on("/x", page.in_halves(&gate));
    origin.on("/form", Reply::status(200));
    origin.on_each("/groups", |_, nth| {
        let groups: Vec<_> = (0..16).map(|group| format!("\"{nth}-{group}\"")).collect();
        Reply::status(200).header("Cache-Group-Invalidation", groups.join(", "))
    });
    let edge = Edge::before(&origin).start();
    let ask = || {
        let mut client = edge.client();
        client.start(&get("/x"));
        let answer = client.head();
        (client, answer)
    };
    let mut leader = ask();
    let mut visitor = edge.client();
    for number in 0..1_200 {
        let target = if number % 2 == 0 { "/form" } else { "/groups" };
        let form = Request::new("POST", format!("{target}?{number}")).body("a=1");
        assert_eq!(visitor.send(&form).status, 200);
    }
    let mut follower = ask();
    assert!(follower.1.cache_status().collapsed, "{:?}", follower.1);
    gate.open();
    for (client, answer) in [&mut leader, &mut follower] {
        client.rest(answer);
        assert_eq!(answer.text(), "page");
    }
    edge.get("/x").assert_hit("page");
    assert_eq!(origin.requests("/x"), 1);
}

#[test]
fn requests_before_a_purge_share_the_running_fetch() {
    let gate = Gate::new();
    let origin = Origin::start();
    origin.on("/x", Reply::fresh(60, "x").behind(&gate));
    let edge = Edge::before(&origin).server("workers = 1").start();
    let ask = || {
        let mut client = edge.client();
        client.start(&get("/x"));
        client
    };
    let mut leader = ask();
    origin.wait_for("/x", 1);
    let mut follower = ask();
    // The only worker answers this request after it has read that of the follower.
    assert_eq!(edge.get("/y").status, 404);
    purge(&edge, r#"{"url": "http://www.example/x"}"#, 0);
    gate.open();
    for client in [&mut leader, &mut follower] {
        let mut answer = client.head();
        client.rest(&mut answer);
        assert_eq!(answer.text(), "x");
    }
    assert_eq!(origin.requests("/x"), 1);
    edge.get("/x").assert_forwarded("uri-miss", "x");
}

#[test]
fn a_purge_by_url_leaves_other_urls() {
    let origin = origin();
    let edge = Edge::before(&origin).start();
    store(&edge, &["/a", "/a?b=1", "/ab", "/"]);
    purge(&edge, r#"{"url": "http://www.example/a"}"#, 1);
    assert_stored(&edge, &["/a?b=1", "/ab", "/"], &["/a"]);
    purge(&edge, r#"{"url": "http://www.example/never"}"#, 0);
    purge(&edge, r#"{"url": "http://www.example/a?b=1"}"#, 1);
    assert_stored(&edge, &["/a", "/ab", "/"], &["/a?b=1"]);
}

#[test]
fn a_purge_by_url_drops_all_variants() {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(3_600, &asked.target).header("Vary", "Accept-Language"));
    let edge = tagging(&origin).start();
    let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";
    let requests = [
        get("/a").header("Accept-Language", "es"),
        get("/a").header("Accept-Language", "en"),
        get("/a")
            .header("Accept-Language", "es")
            .header("User-Agent", phone),
        get("/a")
            .header("Accept-Language", "en")
            .header("User-Agent", phone),
    ];
    for request in &requests {
        assert!(!edge.send(request).cache_status().hit);
    }
    for request in &requests {
        edge.send(request).assert_hit("/a");
    }
    purge(&edge, r#"{"url": "http://www.example/a"}"#, 4);
    for request in &requests {
        assert!(!edge.send(request).cache_status().hit);
    }
    assert_eq!(origin.requests("/a"), 8);
}

#[test]
fn a_purge_by_tag_drops_its_responses() {
    let origin = origin();
    let edge = tagging(&origin).start();
    store(&edge, &["/prices/1", "/prices/2", "/other"]);
    purge(&edge, r#"{"tag": "prices"}"#, 2);
    assert_stored(&edge, &["/other"], &["/prices/1", "/prices/2"]);
    purge(&edge, r#"{"tag": "all"}"#, 3);
    assert_stored(&edge, &[], &["/prices/1", "/prices/2", "/other"]);
    purge(&edge, r#"{"tag": "price"}"#, 0);
}

#[test]
fn a_purge_by_prefix_drops_matching_paths() {
    let origin = origin();
    let edge = Edge::before(&origin).start();
    store(&edge, &["/img/a", "/img/b?c=1", "/imgs", "/x"]);
    purge(&edge, r#"{"prefix": "http://www.example/img/"}"#, 2);
    assert_stored(&edge, &["/imgs", "/x"], &["/img/a", "/img/b?c=1"]);
    purge(&edge, r#"{"prefix": "http://www.example/img"}"#, 3);
    assert_stored(&edge, &["/x"], &["/img/a", "/img/b?c=1", "/imgs"]);
}

#[test]
fn a_purge_by_site_leaves_other_sites() {
    let origin = origin();
    let other = format!(
        "[[site]]\nname = \"other\"\nhosts = [\"other.example\"]\norigins = [\"{}\"]",
        origin.url()
    );
    let edge = Edge::before(&origin).section(&other).start();
    store(&edge, &["/a", "/b"]);
    edge.send(&get("/a").host("other.example"))
        .assert_forwarded("uri-miss", "/a");
    purge(&edge, r#"{"site": "site"}"#, 2);
    edge.send(&get("/a").host("other.example")).assert_hit("/a");
    assert_stored(&edge, &[], &["/a", "/b"]);
    let unknown = edge.admin_post("/purge", r#"{"site": "nobodys"}"#);
    assert!((400..500).contains(&unknown.status), "{unknown:?}");
}

#[test]
fn a_soft_purged_response_is_revalidated_before_reuse() {
    let origin = origin();
    let edge = Edge::before(&origin).start();
    store(&edge, &["/a", "/b"]);
    purge(&edge, r#"{"url": "http://www.example/a", "soft": true}"#, 1);
    let answer = edge.get("/a");
    answer.assert_forwarded("stale", "/a");
    assert_eq!(answer.cache_status().fwd_status, Some(304));
    assert_eq!(
        origin.asked("/a")[1].header("if-none-match").as_deref(),
        Some("\"1\"")
    );
    assert_stored(&edge, &["/a", "/b"], &[]);
}

#[test]
fn a_hard_purge_drops_validators_too() {
    let origin = origin();
    let edge = Edge::before(&origin).start();
    store(&edge, &["/a"]);
    purge(
        &edge,
        r#"{"url": "http://www.example/a", "soft": false}"#,
        1,
    );
    edge.get("/a").assert_forwarded("uri-miss", "/a");
    assert_eq!(origin.asked("/a")[1].header("if-none-match"), None);
}

#[test]
fn a_soft_purged_response_is_served_stale_if_the_origin_fails() {
    let origin = Origin::start();
    origin.on(
        "/a",
        Reply::ok("/a").header("Cache-Control", "max-age=3600, stale-if-error=600"),
    );
    let edge = Edge::before(&origin).start();
    store(&edge, &["/a"]);
    purge(&edge, r#"{"url": "http://www.example/a", "soft": true}"#, 1);
    origin.stop();
    let answer = edge.get("/a");
    assert_eq!((answer.status, answer.text().as_str()), (200, "/a"));
    answer.assert_detail("origin");
}

#[test]
fn a_response_purged_during_its_fetch_is_not_stored() {
    for target in [
        r#"{"url": "http://www.example/a"}"#,
        r#"{"prefix": "http://www.example/"}"#,
        r#"{"site": "site"}"#,
    ] {
        let origin = Origin::start();
        origin.on_in_turn(
            "/a",
            [Reply::fresh(3_600, "before"), Reply::fresh(3_600, "after")],
        );
        let edge = Edge::before(&origin).start();
        origin.hold();
        let mut client = edge.client();
        client.start(&get("/a"));
        origin.wait_for("/a", 1);
        purge(&edge, target, 0);
        origin.release();
        let mut answer = client.head();
        client.rest(&mut answer);
        assert_eq!(answer.text(), "before");
        let next = edge.get("/a");
        assert_eq!(
            (next.text().as_str(), next.cache_status().hit),
            ("after", false),
            "{target}"
        );
    }
}

#[test]
fn a_purge_without_a_target_purges_nothing() {
    let origin = origin();
    let edge = Edge::before(&origin).start();
    store(&edge, &["/a"]);
    for body in [
        "{}",
        r#"{"soft": true}"#,
        "",
        "[]",
        "nonsense",
        r#"{"url": ""}"#,
        r#"{"url": "/a"}"#,
        r#"{"url": 1}"#,
        r#"{"prefix": ""}"#,
        r#"{"tag": ""}"#,
        r#"{"urls": "http://www.example/a"}"#,
        r#"{"url": "http://www.example/a", "tag": "b"}"#,
        r#"{"url": "http://www.example/a", "soft": "yes"}"#,
    ] {
        let answer = edge.admin_post("/purge", body);
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
    }
    edge.get("/a").assert_hit("/a");
}

#[test]
fn a_purge_frees_memory() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(3_600, "x".repeat(100_000)));
    let edge = Edge::before(&origin).start();
    for number in 0..10 {
        edge.get(&format!("/{number}"));
    }
    assert!(edge.metric("tero_cache_bytes", &[]) > 1_000_000.0);
    purge(&edge, r#"{"site": "site"}"#, 10);
    assert!(edge.metric("tero_cache_bytes", &[]) < 100_000.0);
    assert_eq!(edge.metric("tero_cache_entries", &[]), 0.0);
}

#[test]
fn visitors_cannot_purge() {
    let origin = origin();
    let edge = Edge::before(&origin).start();
    store(&edge, &["/a"]);
    // On the public listener, `/purge` is an ordinary path and `PURGE` an ordinary method.
    edge.send(&tero_tests::Request::new("POST", "/purge").body(r#"{"site": "site"}"#))
        .assert_forwarded("method", "/purge");
    edge.send(&tero_tests::Request::new("PURGE", "/b"));
    edge.get("/a").assert_hit("/a");
}
