//! What is true of a request is decided once, at admission: its scheme, authority and client, and
//! the fields that are forwarded. The origin sees nothing that changes an answer and that the key
//! does not contain.

mod fields;
mod request_id;

use tero_admin_api::PurgeResponse;
use tero_tests::{
    Answer, Edge, Origin, OriginRequest, Reply, Request, eventually, folder, get, toml_string,
};

const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";
/// The address of clients in these tests is that of a proxy.
const BEHIND_A_PROXY: &str = "trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]";

/// What applications make URLs of: `Host`, and the fields that proxies set.
fn told(asked: &OriginRequest) -> String {
    let fields = [
        "host",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
    ];
    fields
        .map(|name| asked.header(name).unwrap_or_default())
        .join(" ")
}

/// An origin whose pages contain the URL that they believe to have.
fn linking() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(60, told(asked)));
    origin
}

/// An origin whose pages contain all fields of their requests but for the id, which each request has
/// for itself.
fn echoing() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let lines = asked.headers.iter();
        let lines = lines.filter(|(name, _)| !name.eq_ignore_ascii_case("x-request-id"));
        let lines = lines.map(|(name, value)| format!("{}: {value}\n", name.to_lowercase()));
        Reply::fresh(60, lines.collect::<String>())
    });
    origin
}

fn port_of(edge: &Edge) -> u16 {
    edge.address().port()
}

#[track_caller]
fn assert_told(answer: &Answer, expected: &str, is_hit: bool) {
    assert_eq!(
        (answer.text().as_str(), answer.cache_status().hit),
        (expected, is_hit),
        "{answer:?}"
    );
}

// Scheme and authority.

#[test]
fn however_a_host_is_written_the_origin_is_told_that_of_the_key() {
    let origin = linking();
    let edge = Edge::before(&origin).start();
    let spellings = [
        "WWW.EXAMPLE",
        "www.example:1337",
        "www.example.",
        "Www.Example.:1337",
        "www.example:80",
        "www.example:",
        "www.example",
    ];
    for (page, first) in spellings.into_iter().enumerate() {
        let page = get(format!("/{page}"));
        let expected = "www.example www.example 80 http";
        assert_told(&edge.send(&page.clone().host(first)), expected, false);
        for other in spellings {
            assert_told(&edge.send(&page.clone().host(other)), expected, true);
        }
    }
    for malformed in [
        "www.example..",
        "user@www.example",
        "www.example:8o",
        "www.example:0",
        "www.example:65536",
        "www.example:99999",
        ".",
    ] {
        assert_eq!(
            edge.send(&get("/x").host(malformed)).status,
            400,
            "{malformed}"
        );
    }
}

#[test]
fn a_port_that_a_listener_has_is_part_of_the_key() {
    let origin = linking();
    let edge = Edge::before(&origin).start();
    let port = port_of(&edge);
    let alone = "www.example www.example 80 http";
    let with_port = format!("www.example:{port} www.example:{port} {port} http");
    let at_port = get("/x").host(&format!("WWW.example.:{port}"));
    assert_told(&edge.get("/x"), alone, false);
    assert_told(&edge.send(&at_port), &with_port, false);
    assert_told(&edge.get("/x"), alone, true);
    assert_told(&edge.send(&at_port), &with_port, true);
    let other = if port == 1337 { 1338 } else { 1337 };
    let other = get("/x").host(&format!("www.example:{other}"));
    assert_told(&edge.send(&other), alone, true);
}

#[test]
fn a_port_that_hosts_name_is_part_of_the_key_and_may_be_another_site() {
    let (shop, admin) = (linking(), linking());
    let edge = Edge::before(&shop)
        .section(&format!(
            "[[site]]\nname = \"two\"\nhosts = [\"two.example\", \"two.example:8443\"]\norigins = [\"{}\"]\n\
             [[site]]\nname = \"admin\"\nhosts = [\"www.example:9443\", \"only.example:9443\"]\norigins = [\"{}\"]",
            shop.url(),
            admin.url()
        ))
        .start();
    for (host, expected) in [
        ("two.example", "two.example two.example 80 http"),
        (
            "TWO.example:8443",
            "two.example:8443 two.example:8443 8443 http",
        ),
        ("www.example", "www.example www.example 80 http"),
        (
            "www.example:9443",
            "www.example:9443 www.example:9443 9443 http",
        ),
    ] {
        let request = get("/x").host(host);
        assert_told(&edge.send(&request), expected, false);
        assert_told(&edge.send(&request), expected, true);
    }
    assert_eq!((shop.requests("/x"), admin.requests("/x")), (3, 1));
    assert_told(
        &edge.send(&get("/x").host("two.example:9443")),
        "two.example two.example 80 http",
        true,
    );
    for unknown in ["only.example", "only.example:9444"] {
        assert_eq!(edge.send(&get("/x").host(unknown)).status, 421, "{unknown}");
    }
}

#[test]
fn host_counts_for_nothing_beside_an_absolute_target() {
    let origin = linking();
    let edge = Edge::before(&origin).start();
    for (page, target, host) in [
        ("/a", "http://www.example/a", "evil.example"),
        ("/b", "http://WWW.example:1337/b", "evil.example:99"),
        ("/c", "http://www.example./c", "a b"),
    ] {
        let answer = edge.send(&get(target).host(host));
        assert_told(&answer, "www.example www.example 80 http", false);
        assert_told(&edge.get(page), "www.example www.example 80 http", true);
    }
    let mut client = edge.client();
    client.write("GET http://www.example/d HTTP/1.0\r\n\r\n");
    let mut answer = client.head();
    client.rest(&mut answer);
    assert_told(&answer, "www.example www.example 80 http", false);
}

#[test]
fn a_target_of_another_scheme_than_that_of_the_connection_is_refused() {
    let origin = linking();
    let edge = Edge::before(&origin).start();
    for (target, status) in [
        ("https://www.example/x", 421),
        ("HTTPS://www.example/x", 421),
        ("wss://www.example/x", 421),
        ("ftp://www.example/x", 400),
        ("http://www.example:99999/x", 400),
        ("HTTP://www.example/y", 200),
    ] {
        assert_eq!(edge.send(&get(target)).status, status, "{target}");
    }
    assert_eq!(origin.requests("/x"), 0);
    // A proxy that ends TLS may ask so, or say the scheme itself, which counts.
    let edge = Edge::before(&origin).server(BEHIND_A_PROXY).start();
    let secure = "www.example www.example 443 https";
    assert_told(&edge.send(&get("https://www.example/x")), secure, false);
    let told = get("http://www.example/x").header("X-Forwarded-Proto", "https");
    assert_told(&edge.send(&told), secure, true);
}

#[test]
fn the_host_that_a_site_sets_is_told_beside_the_authority() {
    let origin = linking();
    let edge = Edge::before(&origin)
        .site("host_header = \"inner:3000\"")
        .start();
    let answer = edge.send(&get("/x").host("WWW.example:1337"));
    assert_told(&answer, "inner:3000 www.example 80 http", false);
}

#[test]
fn vary_on_host_sees_the_authority() {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(60, told(asked)).header("Vary", "Host"));
    let edge = Edge::before(&origin).start();
    edge.send(&get("/x").host("WWW.EXAMPLE:1337"));
    edge.get("/x").assert_hit("www.example www.example 80 http");
}

/// The page as it is stored alone, at the listener's port, and for visitors by https.
fn store_everywhere(edge: &Edge, target: &str) {
    let port = port_of(edge);
    let by_https = |request: Request| request.header("X-Forwarded-Proto", "https");
    let at_port = || get(target).host(&format!("www.example:{port}"));
    for request in [
        get(target),
        at_port(),
        by_https(get(target)),
        by_https(at_port()),
    ] {
        assert!(!edge.send(&request).cache_status().hit, "{request:?}");
        assert!(edge.send(&request).cache_status().hit, "{request:?}");
    }
}

#[track_caller]
fn purged(edge: &Edge, kind: &str, target: &str) -> u64 {
    let answer = edge.admin_post("/purge", &format!("{{\"{kind}\": \"{target}\"}}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.read::<PurgeResponse>().purged
}

#[test]
fn a_purge_of_a_url_means_every_port_and_scheme() {
    let origin = linking();
    let edge = Edge::before(&origin).server(BEHIND_A_PROXY).start();
    for url in [
        "http://www.example/x",
        "https://WWW.example.:9/x",
        "http://www.example:80/x",
        "HTTP://www.example/x",
        "hTTps://www.example/x",
    ] {
        store_everywhere(&edge, "/x");
        assert_eq!(purged(&edge, "url", url), 4, "{url}");
    }
    store_everywhere(&edge, "/a/x");
    store_everywhere(&edge, "/b");
    assert_eq!(purged(&edge, "prefix", "https://www.example:7/a/"), 4);
    assert_eq!(purged(&edge, "site", "site"), 4);
}

#[test]
fn a_purge_finds_a_site_that_names_its_port_only() {
    let origin = linking();
    let edge = Edge::before(&origin)
        .section(&format!(
            "[[site]]\nname = \"admin\"\nhosts = [\"www.example:9443\", \"only.example:9443\"]\norigins = [\"{}\"]",
            origin.url()
        ))
        .start();
    edge.send(&get("/x").host("only.example:9443"));
    assert_eq!(purged(&edge, "url", "https://only.example/x"), 1);
    edge.send(&get("/x").host("www.example:9443"));
    edge.get("/x");
    assert_eq!(purged(&edge, "url", "http://www.example/x"), 2);
}

#[test]
fn an_unsafe_request_makes_a_page_invalid_at_every_port() {
    let origin = linking();
    let edge = Edge::before(&origin).server(BEHIND_A_PROXY).start();
    store_everywhere(&edge, "/x");
    edge.send(&Request::new("POST", "/x").body("a"));
    store_everywhere(&edge, "/x");
}

#[test]
fn an_explanation_goes_by_scheme_and_authority() {
    let origin = linking();
    let edge = Edge::before(&origin).server(BEHIND_A_PROXY).start();
    edge.send(&get("/x").header("X-Forwarded-Proto", "https"));
    for (url, key, outcome) in [
        ("https://WWW.example:1337/x", "https://www.example/x", "hit"),
        ("http://www.example/x", "http://www.example/x", "miss"),
    ] {
        let answer = edge.admin_post("/explain", &format!("{{\"url\": \"{url}\"}}"));
        let text = answer.text();
        assert!(
            text.contains(&format!("\"url\":\"{key}\""))
                && text.contains(&format!("\"outcome\":\"{outcome}\"")),
            "{text}"
        );
    }
}

// Fields that `Connection` names.

#[test]
fn vary_does_not_see_fields_that_connection_names() {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let tenant = asked.header("x-tenant");
        Reply::fresh(60, tenant.unwrap_or_else(|| "public".to_owned())).header("Vary", "X-Tenant")
    });
    let edge = Edge::before(&origin).start();
    let acme = get("/x").header("X-Tenant", "acme");
    let answer = edge.send(&acme.clone().header("Connection", "keep-alive, X-Tenant"));
    answer.assert_forwarded("uri-miss", "public");
    edge.send(&acme).assert_forwarded("vary-miss", "acme");
    edge.get("/x").assert_hit("public");
    edge.send(&acme.clone().header("Connection", "x-tenant"))
        .assert_hit("public");
    edge.send(&acme.clone().header("Connection", "close"))
        .assert_hit("acme");
}

#[test]
fn the_device_class_goes_by_fields_that_are_forwarded() {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let page = asked.header("user-agent").map_or("no agent", |_| "agent");
        let variant = asked.header("tero-variant");
        Reply::fresh(60, format!("{page} {}", variant.unwrap_or_default()))
    });
    let settings = "[policy.settings]\nversion = 3\nvariants.mobile = { devices = [\"mobile\"], paths = [\"*\"] }\n\
         rules = [{ name = \"all\", match = [\"*\"], ttl = 60 }]";
    let edge = Edge::before(&origin)
        .policy("rules", "builtin:json-rules", settings)
        .start();
    let phone = get("/x").header("User-Agent", PHONE);
    edge.send(&phone.clone().header("Connection", "User-Agent"))
        .assert_forwarded("uri-miss", "no agent ");
    edge.send(&phone)
        .assert_forwarded("uri-miss", "agent mobile");
}

#[test]
fn conditions_that_connection_names_are_not_answered() {
    let origin = Origin::start();
    origin.on("/x", Reply::fresh(60, "x").header("ETag", "\"1\""));
    let edge = Edge::before(&origin).start();
    let tagged = get("/x").header("If-None-Match", "\"1\"");
    edge.get("/x");
    assert_eq!(edge.send(&tagged).status, 304);
    let answer = edge.send(&tagged.header("Connection", "If-None-Match"));
    answer.assert_hit("x");
}

#[test]
fn credentials_stay_even_if_connection_names_them() {
    let origin = echoing();
    let edge = Edge::before(&origin).start();
    let request = get("/x")
        .header("Authorization", "Basic eA==")
        .header("Cookie", "a=b")
        .header("Connection", "Authorization, Cookie, X-Other");
    let answer = edge.send(&request);
    let text = answer.text();
    assert!(
        text.contains("authorization: Basic eA==") && text.contains("cookie: a=b"),
        "{text}"
    );
    assert!(!edge.get("/x").cache_status().hit);
}

// Who asked.

#[test]
fn trusted_proxies_are_believed_and_others_are_not() {
    let lists = [
        ("X-Forwarded-For", "6.6.6.6, 198.51.100.7, 10.0.0.9"),
        (
            "Forwarded",
            "for=6.6.6.6, for=198.51.100.7;proto=https, for=10.0.0.9",
        ),
    ];
    for (name, value) in lists {
        let origin = echoing();
        let request = get("/x").header(name, value);
        let trusting = Edge::before(&origin).server(BEHIND_A_PROXY).start();
        let text = trusting.send(&request).text();
        assert!(
            text.contains("x-forwarded-for: 198.51.100.7, 10.0.0.9, 127.0.0.1\n")
                && text.contains("\nforwarded: for=198.51.100.7;host=www.example;proto=http")
                && text.contains(", for=10.0.0.9, for=127.0.0.1\n")
                && !text.contains("6.6.6.6"),
            "{text}"
        );
        let elsewhere = "trusted_proxies = [\"10.0.0.0/8\", \"2001:db8::/32\"]";
        for edge in [
            Edge::before(&origin).start(),
            Edge::before(&origin).server(elsewhere).start(),
        ] {
            let text = edge.send(&request).text();
            assert!(
                text.contains("x-forwarded-for: 127.0.0.1\n")
                    && text.contains("\nforwarded: for=127.0.0.1;host=www.example;proto=http\n")
                    && !text.contains("198.51.100.7")
                    && text.contains("x-forwarded-proto: http\n"),
                "{text}"
            );
        }
    }
}

#[test]
fn the_access_log_names_the_client_that_a_trusted_proxy_tells() {
    let origin = linking();
    let folder = folder();
    let file = folder.path().join("access.log");
    let log = format!(
        "[access_log]\npath = {}\nformat = \"json\"",
        toml_string(&file.display().to_string())
    );
    let edge = Edge::before(&origin)
        .server(BEHIND_A_PROXY)
        .section(&log)
        .start();
    edge.send(&get("/x").header("X-Forwarded-For", "198.51.100.7"));
    eventually("the line is written", || {
        std::fs::read_to_string(&file)
            .is_ok_and(|text| text.contains("\"client\":\"198.51.100.7\""))
    });
}

#[test]
fn the_scheme_that_a_trusted_proxy_tells_is_part_of_the_key() {
    let origin = linking();
    let edge = Edge::before(&origin).server(BEHIND_A_PROXY).start();
    let by_http = "www.example www.example 80 http";
    let by_https = "www.example www.example 443 https";
    let proxied = |name: &str, value: &str| get("/x").header(name, value);
    assert_told(&edge.get("/x"), by_http, false);
    let request = proxied("X-Forwarded-Proto", "HTTPS");
    assert_told(&edge.send(&request), by_https, false);
    for same in [
        proxied("Forwarded", "proto=https"),
        proxied(
            "Forwarded",
            "for=192.0.2.1;proto=https;host=\"www.example:443\"",
        ),
        proxied("X-Forwarded-Proto", "wss"),
        request.clone().header("X-Forwarded-Port", "443"),
        request.clone().header("X-Forwarded-Port", "1337"),
        request
            .clone()
            .header("X-Forwarded-Host", "WWW.example.:443"),
        request
            .clone()
            .header("X-Forwarded-Host", "www.example:1337"),
        request
            .clone()
            .host("inner:8080")
            .header("X-Forwarded-Host", "www.example"),
    ] {
        assert_told(&edge.send(&same), by_https, true);
    }
    for same in [
        proxied("X-Forwarded-Proto", "http"),
        proxied("X-Forwarded-Proto", "gopher"),
        proxied("X-Forwarded-Ssl", "on"),
    ] {
        assert_told(&edge.send(&same), by_http, true);
    }
    let port = port_of(&edge);
    let at_port = request.clone().header("X-Forwarded-Port", port.to_string());
    let expected = format!("www.example:{port} www.example:{port} {port} https");
    assert_told(&edge.send(&at_port), &expected, false);
    let malformed = proxied("X-Forwarded-Host", "a b");
    assert_eq!(edge.send(&malformed).status, 400);
    let unknown = proxied("X-Forwarded-Host", "other.example");
    assert_eq!(edge.send(&unknown).status, 421);
}

#[test]
fn proxies_are_trusted_from_a_reload_on() {
    let origin = linking();
    let builder = Edge::before(&origin);
    let edge = builder.start();
    let by_https = get("/x").header("X-Forwarded-Proto", "https");
    assert_told(
        &edge.send(&by_https),
        "www.example www.example 80 http",
        false,
    );
    edge.reload(&builder.clone().server(BEHIND_A_PROXY))
        .unwrap();
    let answer = edge.send(&by_https);
    assert_told(&answer, "www.example www.example 443 https", false);
    edge.reload(&builder).unwrap();
    assert_told(
        &edge.send(&by_https),
        "www.example www.example 80 http",
        true,
    );
}

#[test]
fn an_application_that_forces_https_makes_no_loop_behind_a_tls_terminator() {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        if asked.header("x-forwarded-proto").as_deref() == Some("https") {
            return Reply::fresh(60, "secure");
        }
        let host = asked.header("host").unwrap_or_default();
        Reply::status(301)
            .header("Location", format!("https://{host}{}", asked.target))
            .header("Cache-Control", "max-age=60")
    });
    let edge = Edge::before(&origin).server(BEHIND_A_PROXY).start();
    let by_https = get("/x").header("X-Forwarded-Proto", "https");
    for _ in 0..2 {
        let redirect = edge.get("/x");
        assert_eq!(
            (redirect.status, redirect.header("location").as_deref()),
            (301, Some("https://www.example/x"))
        );
        assert_eq!(edge.send(&by_https).text(), "secure");
    }
    assert_eq!(origin.requests("/x"), 2);
}

#[test]
fn a_response_that_varies_on_the_clients_address_is_for_nobody_else() {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let varies = if asked.path() == "/x" {
            "X-Forwarded-For"
        } else {
            "Forwarded"
        };
        Reply::fresh(60, asked.header("x-forwarded-for").unwrap_or_default()).header("Vary", varies)
    });
    let edge = Edge::before(&origin).server(BEHIND_A_PROXY).start();
    for page in ["/x", "/forwarded"] {
        for client in ["192.0.2.1", "192.0.2.2", "192.0.2.1"] {
            let answer = edge.send(&get(page).header("X-Forwarded-For", client));
            assert_told(&answer, &format!("{client}, 127.0.0.1"), false);
        }
    }
}

#[test]
fn a_plan_warms_by_the_scheme_of_the_visitors() {
    let origin = linking();
    let plan = "[[warm]]\nname = \"by-use\"\nsite = \"site\"\nurls = [\"/used\"]\n\
                [[warm]]\nname = \"by-https\"\nsite = \"site\"\nurls = [\"/x\"]\nscheme = \"https\"";
    let edge = Edge::before(&origin)
        .server(BEHIND_A_PROXY)
        .section(plan)
        .start();
    let by_https = |target: &str| get(target).header("X-Forwarded-Proto", "https");
    let warm = |name: &str| {
        let answer = edge.admin_post(&format!("/warm/{name}"), "");
        assert!((200..300).contains(&answer.status), "{answer:?}");
    };
    let secure = "www.example www.example 443 https";
    let warmed = |target: &str| {
        origin.wait_for(target, 1);
        eventually("the response is stored", || edge.is_quiet());
    };
    warm("by-https");
    warmed("/x");
    edge.send(&by_https("/x")).assert_hit(secure);
    edge.send(&by_https("/other"));
    warm("by-use");
    warmed("/used");
    edge.send(&by_https("/used")).assert_hit(secure);
}

// Fields that only a proxy may set.

#[test]
fn edges_with_the_same_name_may_stand_in_line() {
    let origin = Origin::start();
    origin.on("/x", Reply::fresh(60, "x"));
    let inner = Edge::before(&origin).start();
    let outer = Edge::before_url(&format!("http://{}", inner.address())).start();
    outer.get("/x").assert_forwarded("uri-miss", "x");
    let entries = origin.only("/x").header("cdn-loop").unwrap();
    let entries: Vec<_> = entries.split(", ").collect();
    assert!(
        entries.len() == 2
            && entries.iter().all(|entry| entry.starts_with("tero; id="))
            && entries[0] != entries[1],
        "{entries:?}"
    );
}

#[test]
fn an_edge_keeps_its_identity_and_another_start_has_another() {
    let origin = Origin::start();
    origin.on("/x", Reply::ok("x").header("Cache-Control", "no-store"));
    let entries = |edge: &Edge| {
        let before = origin.requests("/x");
        edge.get("/x");
        edge.get("/x");
        let asked = origin.asked("/x").split_off(before);
        let mut entries = asked.iter().map(|asked| asked.header("cdn-loop").unwrap());
        let first = entries.next().unwrap();
        assert!(entries.all(|entry| entry == first));
        first
    };
    let edge = Edge::before(&origin).start();
    let first = entries(&edge);
    drop(edge);
    assert_ne!(first, entries(&Edge::before(&origin).start()));
}
