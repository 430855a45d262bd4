//! Fields that only a proxy may set, and the rest: what goes on, and that none of them changes what
//! the next visitor gets.

use super::*;

/// The fields of the list that applications are known to use.
fn proxy_fields() -> Vec<&'static str> {
    let list = include_str!("../../../data/proxy-fields.txt").lines();
    let fields: Vec<_> = list
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    assert!(fields.len() > 200);
    fields
}

/// A name as clients may write it, so that an application that reads fields as CGI does takes it for
/// the same one.
fn spellings(name: &str) -> Vec<String> {
    let with = |joint: &str| name.replace('-', joint);
    let first = name.replacen('-', "_", 1);
    let mut all = vec![
        name.to_owned(),
        name.to_lowercase(),
        name.to_uppercase(),
        with("_"),
        with("_").to_uppercase(),
        with("_").to_lowercase(),
        with("."),
        with("~"),
        first,
    ];
    all.sort();
    all.dedup();
    all
}

/// Sends each field of the list in each spelling, and then asks as a visitor who sends none of them.
fn assert_next_visitors_get_their_own_page(edge: &Edge) {
    let plain = edge.get("/plain").text();
    let mut page = 0;
    for field in proxy_fields() {
        for spelling in spellings(field) {
            let values = match spelling == field {
                true => &["https", "evil.example", "/evil", "DELETE"][..],
                false => &["https"],
            };
            for value in values {
                page += 1;
                let target = format!("/{page}");
                // It may be refused, if a trusted proxy claims a host that is none.
                edge.send(&get(&target).header(&spelling, *value));
                let next = edge.get(&target);
                assert_eq!(next.text(), plain, "{spelling}: {value}");
            }
        }
    }
}

#[test]
fn no_field_of_proxies_changes_what_the_next_visitor_gets() {
    let origin = echoing();
    assert_next_visitors_get_their_own_page(&Edge::before(&origin).start());
}

#[test]
fn no_field_of_proxies_changes_what_the_next_visitor_gets_where_much_is_allowed() {
    let origin = echoing();
    let edge = Edge::before(&origin)
        .server(BEHIND_A_PROXY)
        .site("underscores = \"pass\"\nforward_fields = [\"x-*\"]");
    assert_next_visitors_get_their_own_page(&edge.start());
}

#[test]
fn fields_of_proxies_reach_the_origin_with_no_method() {
    let origin = echoing();
    let edge = Edge::before(&origin).start();
    let plain = |method: &str| {
        let answer = edge.send(&Request::new(method, "/plain").body("a"));
        answer.text()
    };
    for method in ["POST", "PUT", "OPTIONS"] {
        let plain = plain(method);
        for field in proxy_fields() {
            let request = Request::new(method, "/x").header(field, "on").body("a");
            let text = edge.send(&request).text();
            let goes_on = field.to_lowercase().contains("method")
                && !field.contains("Original")
                && !field.contains("Forwarded");
            assert_eq!(text != plain, goes_on, "{method} {field}: {text}");
        }
    }
}

#[test]
fn fields_of_applications_go_on() {
    let origin = echoing();
    let edge = Edge::before(&origin).start();
    for name in [
        "X-Tenant",
        "X-Requested-With",
        "X-CSRF-Token",
        "X-WP-Nonce",
        "X-Client-Version",
        "X-Original-Filename",
        "Traceparent",
        "DNT",
        "RSC",
        "X.Dotted",
        "Sec-Fetch-Site",
    ] {
        let answer = edge.send(&get(format!("/{name}")).header(name, "kept"));
        let expected = format!("{}: kept\n", name.to_lowercase());
        assert!(answer.text().contains(&expected), "{answer:?}");
    }
}

#[test]
fn an_override_of_the_method_is_for_requests_that_are_not_stored() {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let method = asked.header("x-http-method-override");
        Reply::fresh(60, method.unwrap_or_else(|| asked.method.clone()))
            .header("Content-Location", &asked.target)
    });
    let edge = Edge::before(&origin).start();
    let overriding = |method: &str, target: &str| {
        Request::new(method, target).header("X-HTTP-Method-Override", "DELETE")
    };
    for target in ["/a", "/b"] {
        assert_eq!(edge.send(&overriding("GET", target)).text(), "GET");
        edge.get(target).assert_hit("GET");
    }
    edge.send(&overriding("HEAD", "/c"));
    assert_eq!(origin.only("/c").header("x-http-method-override"), None);
    // A POST that names its target stands for later GETs, unless it was another method.
    let answer = edge.send(&Request::new("POST", "/d").body("a"));
    answer.assert_forwarded("method", "POST");
    edge.get("/d").assert_hit("POST");
    let answer = edge.send(&overriding("POST", "/e").body("a"));
    answer.assert_forwarded("method", "DELETE");
    edge.get("/e").assert_forwarded("uri-miss", "GET");
}

#[test]
fn fields_of_content_are_for_requests_that_have_some() {
    let origin = echoing();
    let edge = Edge::before(&origin).start();
    for name in ["Content-Type", "Content-Language", "Digest", "Early-Data"] {
        let line = format!("{}: 1\n", name.to_lowercase());
        for method in ["GET", "HEAD"] {
            let target = format!("/{method}/{name}");
            edge.send(&Request::new(method, &target).header(name, "1"));
            let next = edge.get(&target);
            assert!(!next.text().contains(&line), "{method} {name}");
        }
        let post = Request::new("POST", "/x").header(name, "1");
        for request in [post.clone(), post.body("a")] {
            assert!(edge.send(&request).text().contains(&line), "POST {name}");
        }
        // A GET with content is passed, as it came.
        let target = format!("/content/{name}");
        let with_content = get(&target).header(name, "1").body("a");
        assert!(edge.send(&with_content).text().contains(&line), "{name}");
        assert!(!edge.get(&target).text().contains(&line), "{name}");
    }
}

#[test]
fn names_with_underscores_are_dropped_unless_the_site_passes_them() {
    let origin = echoing();
    let request = get("/x")
        .header("X_Tenant", "acme")
        .header("x-mixed_name", "b")
        .header("_", "c")
        .header("X_Real_IP", "6.6.6.6")
        .header("Accept_Language", "6.6.6.6")
        .header("Content_Length", "6.6.6.6")
        .header("X-Tenant", "kept");
    let text = Edge::before(&origin).start().send(&request).text();
    assert!(
        !text.contains('_') && text.contains("x-tenant: kept\n"),
        "{text}"
    );
    let passing = Edge::before(&origin).site("underscores = \"pass\"").start();
    let text = passing.send(&request).text();
    assert!(
        text.contains("x_tenant: acme\n")
            && text.contains("x-mixed_name: b\n")
            && text.contains("_: c\n")
            && !text.contains("6.6.6.6"),
        "{text}"
    );
}

#[test]
fn a_site_may_say_which_fields_go_on() {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let lines = asked.headers.iter();
        let lines = lines.map(|(name, value)| format!("{}: {value}\n", name.to_lowercase()));
        Reply::fresh(60, lines.collect::<String>())
            .header("Vary", "Cookie, Accept-Language, X-App-Mode")
    });
    let edge = Edge::before(&origin)
        .site("forward_fields = [\"Accept-Language\", \"x-app-*\"]")
        .start();
    let sent = |language: &str| {
        get("/x")
            .header("Accept-Language", language)
            .header("X-App-Mode", "dark")
            .header("X-Other", "1")
            .header("Cookie", "a=b")
            .header("Authorization", "Basic eA==")
            .header("User-Agent", PHONE)
            .header("Accept-Encoding", "gzip")
            .header("If-None-Match", "\"1\"")
    };
    let answer = edge.send(&sent("es"));
    let text = answer.text();
    for kept in [
        "host: www.example\n",
        "accept-language: es\n",
        "x-app-mode: dark\n",
        "accept-encoding: gzip\n",
        "x-forwarded-proto: http\n",
    ] {
        assert!(text.contains(kept), "{text}");
    }
    for dropped in ["x-other", "cookie", "authorization", "user-agent"] {
        assert!(!text.contains(dropped), "{text}");
    }
    // What is not forwarded makes no difference.
    edge.send(&sent("es").header("Cookie", "another=visitor"))
        .assert_hit(&text);
    assert!(!edge.send(&sent("en")).cache_status().hit);
    let answer = edge.send(
        &Request::new("POST", "/y")
            .header("Content-Type", "text/x")
            .body("a"),
    );
    assert!(answer.text().contains("content-type: text/x\n"));
}

// Loops.
