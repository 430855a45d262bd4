//! Purges by request on the public listener, as applications and their plugins send them.

use serde_json::json;
use tero_admin_api::ExplainResponse;
use tero_tests::{Answer, Edge, EdgeBuilder, Gate, Origin, Reply, Request, eventually, get};

const FROM: &str = "[site.purge]\nfrom = [\"127.0.0.0/8\"]";

/// An origin whose pages are fresh for an hour, have an entity tag, and a surrogate key that is their
/// path.
fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| match asked.header("if-none-match") {
        Some(_) => Reply::status(304).header("ETag", "\"1\""),
        None => {
            let key = asked.path().trim_matches('/').replace('/', "_");
            Reply::fresh(3_600, &asked.target)
                .header("ETag", "\"1\"")
                .header("X-Magento-Tags", format!("all,{key}"))
        }
    });
    origin
}

fn purging(origin: &Origin) -> EdgeBuilder {
    Edge::before(origin).site(FROM)
}

#[track_caller]
fn store(edge: &Edge, targets: &[&str]) {
    for target in targets {
        edge.get(target).assert_forwarded("uri-miss", target);
        edge.get(target).assert_hit(target);
    }
}

#[track_caller]
fn assert_purged(answer: &Answer, count: u64) {
    let told = (answer.status, answer.text());
    assert_eq!(told, (200, format!("purged {count}\n")), "{answer:?}");
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
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

fn request(method: &str, target: &str, fields: &[(&str, &str)]) -> Request {
    let request = Request::new(method, target);
    fields.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    })
}

#[test]
fn without_its_table_no_request_purges_or_reaches_the_origin() {
    let origin = origin();
    let edge = Edge::before(&origin).start();
    store(&edge, &["/a"]);
    for method in ["PURGE", "PURGEKEYS", "BAN"] {
        let answer = edge.send(&request(method, "/a", &[("xkey", "a")]));
        assert_eq!(answer.status, 405, "{answer:?}");
        assert!(
            answer.header("allow").unwrap().contains("GET"),
            "{answer:?}"
        );
    }
    assert_stored(&edge, &["/a"], &[]);
    assert_eq!(origin.total(), 1);
}

/// Proxy Cache Purge, W3 Total Cache: a URL, or all of a site.
#[test]
fn wordpress_plugins_purge_a_page_or_everything() {
    let origin = origin();
    let edge = purging(&origin).start();
    let pages = [
        "/",
        "/hola/",
        "/hola/?p=1",
        "/wp-json/wp/v2/posts/7",
        "/img.png",
    ];
    store(&edge, &pages);
    let page = request("PURGE", "/hola/", &[("X-Purge-Method", "default")]);
    assert_purged(&edge.send(&page), 1);
    assert_stored(&edge, &["/", "/hola/?p=1"], &["/hola/"]);
    let json = request("PURGE", "/wp-json/.*", &[("X-Purge-Method", "regex")]);
    assert_purged(&edge.send(&json), 1);
    assert_stored(&edge, &["/", "/img.png"], &["/wp-json/wp/v2/posts/7"]);
    let all = request("PURGE", "/.*", &[("X-Purge-Method", "regex")]);
    assert_purged(&edge.send(&all), 5);
    assert_stored(&edge, &[], &pages);
    let w3tc = request(
        "PURGE",
        "/hola/",
        &[("User-Agent", "W3 Total Cache"), ("Connection", "close")],
    );
    assert_purged(&edge.send(&w3tc), 1);
    assert_purged(&edge.send(&w3tc), 0);
}

/// Magento, by expressions over the tags of its pages.
#[test]
fn magento_purges_by_expressions_of_tags() {
    let origin = origin();
    let edge = purging(&origin).start();
    store(&edge, &["/cat_p_1", "/cat_p_12", "/cms_p_2"]);
    let by = |pattern: &str| {
        edge.send(&request(
            "PURGE",
            "/",
            &[("X-Magento-Tags-Pattern", pattern)],
        ))
    };
    assert_purged(&by("((^|,)cat_p_1(,|$))|((^|,)cms_p_2(,|$))"), 2);
    assert_stored(&edge, &["/cat_p_12"], &["/cat_p_1", "/cms_p_2"]);
    assert_purged(&by(".*"), 3);
    assert_eq!(by("((^|,)cat_p_[0-9]+(,|$))").status, 400);
}

/// Drupal's purger, and FOSHttpCache for Symfony: by keys, hard and soft.
#[test]
fn drupal_and_symfony_purge_by_keys() {
    let origin = origin();
    let edge = purging(&origin).start();
    store(&edge, &["/node_1", "/node_2", "/node_3", "/node_4"]);
    let drupal = request("BAN", "/", &[("Cache-Tags", "node_1 node_9")]);
    assert_purged(&edge.send(&drupal), 1);
    let tagged = request("BAN", "/", &[("X-Cache-Tags", "(^|,)(node_2)(,|$)")]);
    assert_purged(&edge.send(&tagged), 1);
    let symfony = request("PURGEKEYS", "/", &[("xkey-purge", "node_3")]);
    assert_purged(&edge.send(&symfony), 1);
    assert_stored(&edge, &["/node_4"], &["/node_1", "/node_2", "/node_3"]);
    let soft = request("PURGEKEYS", "/", &[("xkey-softpurge", "node_4")]);
    assert_purged(&edge.send(&soft), 1);
    edge.get("/node_4").assert_forwarded("stale", "/node_4");
    let xkey = request("PURGE", "/", &[("xkey", "node_4")]);
    assert_purged(&edge.send(&xkey), 1);
    assert_stored(&edge, &[], &["/node_4"]);
}

#[test]
fn what_is_not_understood_purges_nothing() {
    let origin = origin();
    let edge = purging(&origin).start();
    store(&edge, &["/a"]);
    for (method, target, fields) in [
        ("PURGE", "/(a|b).*", &[("X-Purge-Method", "regex")][..]),
        ("PURGE", "/a", &[("X-Purge-Method", "other")]),
        ("PURGE", "/a", &[("xkey-purge", "")]),
        (
            "PURGE",
            "/a",
            &[("xkey-purge", "a"), ("xkey-softpurge", "b")],
        ),
        ("BAN", "/a", &[("X-Url", "/a")]),
        ("PURGEKEYS", "/a", &[]),
    ] {
        let answer = edge.send(&request(method, target, fields));
        assert_eq!(answer.status, 400, "{fields:?}: {answer:?}");
    }
    assert_stored(&edge, &["/a"], &[]);
}

#[test]
fn only_its_networks_and_those_with_the_token_may_purge() {
    let origin = origin();
    let keys = "[site.purge]\nfrom = [\"10.0.0.5\"]\ntoken = \"0123456789abcdef\"";
    let edge = Edge::before(&origin)
        .server("trusted_proxies = [\"127.0.0.1\"]")
        .site(keys)
        .start();
    let purge = |fields: &[(&str, &str)]| edge.send(&request("PURGE", "/a", fields)).status;
    assert_eq!(purge(&[]), 403);
    assert_eq!(purge(&[("X-Forwarded-For", "10.0.0.6")]), 403);
    // The proxy tells the client; what the client itself put there doesn't count.
    assert_eq!(purge(&[("X-Forwarded-For", "10.0.0.5, 10.0.0.6")]), 403);
    assert_eq!(purge(&[("X-Forwarded-For", "10.0.0.6, 10.0.0.5")]), 200);
    assert_eq!(purge(&[("Authorization", "Bearer 0123456789abcdef")]), 200);
    assert_eq!(purge(&[("X-Purge-Token", "0123456789abcdef")]), 200);
    assert_eq!(purge(&[("X-Purge-Token", "0123456789abcdeF")]), 403);
    let page = [
        ("X-Purge-Token", "0123456789abcdef"),
        ("Sec-Fetch-Site", "cross-site"),
    ];
    assert_eq!(purge(&page), 403);
    // The fields count from trusted proxies alone.
    let direct = Edge::before(&origin).site(keys).start();
    let claimed = request("PURGE", "/a", &[("X-Forwarded-For", "10.0.0.5")]);
    assert_eq!(direct.send(&claimed).status, 403);
}

#[test]
fn a_purge_stays_within_its_site() {
    let origin = origin();
    let other = format!(
        "[[site]]\nname = \"other\"\nhosts = [\"other.example\"]\norigins = [\"{}\"]\n",
        origin.url()
    );
    let edge = purging(&origin).section(&other).start();
    let of_other = get("/a").host("other.example");
    edge.send(&of_other).assert_forwarded("uri-miss", "/a");
    store(&edge, &["/a"]);
    for (target, fields) in [
        ("/a", &[][..]),
        ("/.*", &[]),
        ("/", &[("xkey", "all")]),
        ("/", &[("X-Magento-Tags-Pattern", ".*")]),
    ] {
        edge.get("/a");
        assert_purged(&edge.send(&request("PURGE", target, fields)), 1);
        edge.send(&of_other).assert_hit("/a");
    }
    let refused = request("PURGE", "/a", &[]).host("other.example");
    assert_eq!(edge.send(&refused).status, 405);
}

#[test]
fn every_variant_of_a_url_is_purged() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(60, "x").header("Vary", "Accept-Language"));
    let edge = purging(&origin).start();
    for language in ["es", "en"] {
        edge.send(&get("/a").header("Accept-Language", language));
    }
    assert_purged(&edge.send(&request("PURGE", "/a", &[])), 2);
}

#[test]
fn what_is_on_its_way_is_purged_too() {
    let (origin, gate) = (Origin::start(), Gate::new());
    origin.on("/x", Reply::fresh(60, "firstlast!").in_halves(&gate));
    let edge = purging(&origin).start();
    let mut client = edge.client();
    client.start(&get("/x"));
    let mut answer = client.head();
    assert_purged(&edge.send(&request("PURGE", "/x", &[])), 0);
    gate.open();
    client.rest(&mut answer);
    let explained = edge.admin_post("/explain", &json!({ "url": "/x" }).to_string());
    assert!(explained.read::<ExplainResponse>().stored.is_empty());
}

#[test]
fn a_second_has_only_so_many_purges() {
    let origin = origin();
    let edge = purging(&origin).site("rate = 3").start();
    let purge = || edge.send(&request("PURGE", "/a", &[]));
    for _ in 0..3 {
        assert_eq!(purge().status, 200);
    }
    let refused = purge();
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after").as_deref(), Some("1"));
    edge.advance_secs(1);
    assert_eq!(purge().status, 200);
}

#[test]
fn purges_count_as_passes_and_refusals_as_errors() {
    let origin = origin();
    let edge = purging(&origin).start();
    edge.send(&request("PURGE", "/a", &[]));
    edge.send(&request("PURGE", "/a", &[("X-Purge-Method", "x")]));
    for outcome in ["pass", "error"] {
        let label = format!("outcome=\"{outcome}\"");
        eventually("it is counted", || {
            edge.metric("tero_requests_total", &[&label]) == 1.0
        });
    }
}

#[test]
fn a_table_that_lets_nobody_purge_is_refused() {
    let origin = origin();
    for (keys, told) in [
        ("[site.purge]", "nobody may purge"),
        ("[site.purge]\ntoken = \"short\"", "the token has 5 bytes"),
        (
            "[site.purge]\nfrom = [\"10.0.0.1/8\"]",
            "is an address within a network",
        ),
        ("[site.purge]\nfrom = [\"10.0.0.1\"]\nrate = 0", "too small"),
    ] {
        let refused = Edge::before(&origin).site(keys).try_start().unwrap_err();
        assert!(refused.contains(told), "{keys}: {refused}");
        assert!(!refused.contains("short"), "{refused}");
    }
}
