//! Which of several responses for one URL a visitor gets: by `Vary`, query, host and the variants
//! of policies.

use tero_admin_api::PurgeResponse;
use tero_tests::{Answer, Edge, EdgeBuilder, Origin, Reply, Request, get};

const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";
const TABLET: &str = "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1";
const DESKTOP: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36";

/// An origin whose responses vary on these fields and contain their values.
fn varying(vary: &'static str) -> Origin {
    let origin = Origin::start();
    origin.otherwise(move |asked| {
        let names = vary.split(", ");
        let values: Vec<_> = names
            .map(|name| asked.header(name).unwrap_or_default())
            .collect();
        Reply::fresh(60, values.join("|")).header("Vary", vary)
    });
    origin
}

/// An edge with the policy `builtin:json-rules`, and the variants and query rule of the sample
/// file.
fn by_device(origin: &Origin) -> EdgeBuilder {
    let settings = r#"
        [policy.settings]
        version = 3
        key = { ignore_query = ["utm_*", "fbclid"], sort_query = true }
        variants.mobile = { devices = ["mobile"], paths = ["/", "/img/*"] }
        variants.tablet = { devices = ["tablet"], paths = ["/img/*"] }
        rules = [{ name = "all", match = ["*"], ttl = 60 }]
    "#;
    Edge::before(origin).policy("rules", "builtin:json-rules", settings)
}

/// An origin whose responses contain the name of the requested variant.
fn rendering() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        Reply::ok(
            asked
                .header("tero-variant")
                .unwrap_or_else(|| "none".to_owned()),
        )
    });
    origin
}

fn with(name: &str, value: &str) -> Request {
    get("/x").header(name, value)
}

fn text(answer: &Answer) -> String {
    assert_eq!((answer.status, answer.whole), (200, true), "{answer:?}");
    answer.text()
}

#[test]
fn each_value_of_a_vary_field_has_its_own_response() {
    let origin = varying("Accept-Language");
    let edge = Edge::before(&origin).start();
    for language in ["es", "en", "pt"] {
        let answer = edge.send(&with("Accept-Language", language));
        assert_eq!(
            (text(&answer).as_str(), answer.cache_status().hit),
            (language, false)
        );
    }
    assert!(
        edge.get("/x").cache_status().fwd.is_some(),
        "no value is a value of its own"
    );
    for language in ["es", "en", "pt"] {
        edge.send(&with("Accept-Language", language))
            .assert_hit(language);
    }
    edge.get("/x").assert_hit("");
    assert_eq!(origin.requests("/x"), 4);
}

#[test]
fn vary_misses_and_uri_misses_are_distinguished() {
    let origin = varying("Accept-Language");
    let edge = Edge::before(&origin).start();
    edge.send(&with("Accept-Language", "es"))
        .assert_forwarded("uri-miss", "es");
    edge.send(&with("Accept-Language", "en"))
        .assert_forwarded("vary-miss", "en");
}

#[test]
fn several_vary_fields_select_together() {
    let origin = varying("Accept-Language, X-Currency");
    let edge = Edge::before(&origin).start();
    let request = |language: &str, currency: &str| {
        with("Accept-Language", language).header("X-Currency", currency)
    };
    for (language, currency) in [("es", "ars"), ("es", "usd"), ("en", "ars")] {
        assert_eq!(
            text(&edge.send(&request(language, currency))),
            format!("{language}|{currency}")
        );
    }
    assert_eq!(origin.requests("/x"), 3);
    edge.send(&request("es", "usd")).assert_hit("es|usd");
}

#[test]
fn equivalent_accept_encoding_values_share_a_response() {
    let origin = Origin::start();
    origin.on_each("/x", |_, nth| {
        Reply::fresh(60, format!("body {nth}")).header("Vary", "Accept-Encoding")
    });
    let edge = Edge::before(&origin).start();
    edge.send(&with("Accept-Encoding", "gzip, deflate, br"))
        .assert_forwarded("uri-miss", "body 0");
    for same in [
        "br,gzip,deflate",
        "GZIP;q=1.0,  deflate;q=0.5, br",
        "deflate, x-gzip, br",
    ] {
        edge.send(&with("Accept-Encoding", same))
            .assert_hit("body 0");
    }
    let one = edge.send(&with("Accept-Encoding", "gzip"));
    assert_eq!(text(&one), "body 1");
    let refusing = edge.send(&with("Accept-Encoding", "gzip, deflate, br;q=0"));
    assert_eq!(text(&refusing), "body 2");
    assert_eq!(origin.requests("/x"), 3);
}

#[test]
fn unknown_codings_and_refusals_of_identity_neither_drop_the_field_nor_split_the_cache() {
    let origin = varying("Accept-Encoding");
    let edge = Edge::before(&origin).start();
    edge.send(&with("Accept-Encoding", "gzip, br, dcb"))
        .assert_forwarded("uri-miss", "br, gzip");
    for number in 0..50 {
        let value = format!("br;q=0.{number}1, x-{number}, gzip, *;q=0, identity;q=0");
        edge.send(&with("Accept-Encoding", &value))
            .assert_hit("br, gzip");
    }
    edge.send(&with("Accept-Encoding", "*"))
        .assert_forwarded("vary-miss", "zstd, br, gzip, deflate");
    edge.send(&with("Accept-Encoding", "dcz, compress"))
        .assert_forwarded("vary-miss", "identity");
    assert_eq!(origin.requests("/x"), 3);
}

/// An origin that codes its responses whenever a coding is accepted, and forgets `Vary`.
fn coding_without_vary() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let accepted = asked.header("accept-encoding").unwrap_or_default();
        if accepted.contains("gzip") {
            Reply::fresh(60, "coded").header("Content-Encoding", "gzip")
        } else {
            Reply::fresh(60, "plain")
        }
    });
    origin
}

#[test]
fn a_coded_response_without_vary_is_served_only_to_clients_that_accept_its_coding() {
    let origin = coding_without_vary();
    let edge = Edge::before(&origin).start();
    edge.send(&with("Accept-Encoding", "gzip, br"))
        .assert_forwarded("uri-miss", "coded");
    for accepting in ["gzip, br", "gzip", "zstd, x-gzip;q=0.1", "*"] {
        edge.send(&with("Accept-Encoding", accepting))
            .assert_hit("coded");
    }
    let refusing = [Some("br"), Some("gzip;q=0, br"), Some("identity"), None];
    let ask = |accepted: Option<&str>| match accepted {
        Some(accepted) => edge.send(&with("Accept-Encoding", accepted)),
        None => edge.get("/x"),
    };
    for accepted in refusing {
        assert_eq!(text(&ask(accepted)), "plain", "{accepted:?}");
    }
    // Each of them has its own response beside the coded one by now.
    let asked = origin.requests("/x");
    for accepted in refusing {
        ask(accepted).assert_hit("plain");
    }
    edge.send(&with("Accept-Encoding", "gzip"))
        .assert_hit("coded");
    assert_eq!(origin.requests("/x"), asked);
}

#[test]
fn an_origin_that_codes_whatever_it_is_asked_for_is_not_asked_again_and_again() {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(60, "coded").header("Content-Encoding", "gzip"));
    let edge = Edge::before(&origin).start();
    for accepted in ["br", "identity"] {
        edge.send(&with("Accept-Encoding", accepted));
        edge.send(&with("Accept-Encoding", accepted))
            .assert_hit("coded");
    }
    edge.get("/x");
    edge.get("/x").assert_hit("coded");
    assert_eq!(origin.requests("/x"), 3);
}

#[test]
fn followers_that_refuse_the_coding_of_a_response_without_vary_fetch_their_own() {
    let origin = coding_without_vary();
    let edge = Edge::before(&origin).start();
    origin.hold();
    let ask = |accepted| {
        let mut client = edge.client();
        client.start(&with("Accept-Encoding", accepted));
        client
    };
    let mut waiting = vec![ask("gzip")];
    origin.wait_for("/x", 1);
    waiting.extend([ask("br"), ask("br")]);
    origin.release();
    let texts: Vec<String> = waiting
        .iter_mut()
        .map(|client| {
            let mut answer = client.head();
            client.rest(&mut answer);
            text(&answer)
        })
        .collect();
    assert_eq!(texts, ["coded", "plain", "plain"]);
    // One of them may look before the first response is stored, and take its turn after it.
    let asked = origin.requests("/x");
    assert!((2..=3).contains(&asked), "{asked}");
}

#[test]
fn a_response_with_vary_star_serves_one_request() {
    let origin = varying("*");
    let edge = Edge::before(&origin).start();
    for count in 1..=2 {
        assert!(!edge.get("/x").cache_status().hit);
        assert_eq!(origin.requests("/x"), count);
    }
}

#[test]
fn the_number_of_variants_of_a_url_is_limited() {
    let origin = varying("X-Any");
    let edge = Edge::before(&origin).cache("max_variants = 4").start();
    for value in 0..20 {
        edge.send(&with("X-Any", &value.to_string()));
    }
    edge.send(&with("X-Any", "19")).assert_hit("19");
    assert!(
        !edge.send(&with("X-Any", "0")).cache_status().hit,
        "the first has made room"
    );
    let purged = edge.admin_post("/purge", r#"{"url": "http://www.example/x"}"#);
    assert_eq!(purged.read::<PurgeResponse>().purged, 4, "{purged:?}");
}

#[test]
fn keys_depend_on_the_host_without_port_and_case() {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(60, asked.header("host").unwrap_or_default()));
    let other = format!(
        "[[site]]\nname = \"other\"\nhosts = [\"other.example\"]\norigins = [\"{}\"]",
        origin.url()
    );
    let edge = Edge::before(&origin).section(&other).start();
    edge.get("/x").assert_forwarded("uri-miss", "www.example");
    for same in ["www.example:8080", "WWW.Example"] {
        edge.send(&get("/x").host(same)).assert_hit("www.example");
    }
    edge.send(&get("/x").host("other.example"))
        .assert_forwarded("uri-miss", "other.example");
    assert_eq!(origin.requests("/x"), 2);
}

#[test]
fn the_whole_query_is_in_the_key_without_a_policy() {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(60, &asked.target));
    let edge = Edge::before(&origin).start();
    for target in [
        "/x",
        "/x?a=1",
        "/x?a=2",
        "/x?a=1&b=2",
        "/x?b=2&a=1",
        "/x?utm_source=mail",
    ] {
        edge.get(target).assert_forwarded("uri-miss", target);
        edge.get(target).assert_hit(target);
    }
}

#[test]
fn ignored_parameters_are_neither_in_the_key_nor_forwarded() {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::ok(&asked.target));
    let edge = by_device(&origin).start();
    edge.get("/x?b=2&a=1&utm_source=mail")
        .assert_forwarded("uri-miss", "/x?a=1&b=2");
    for same in [
        "/x?a=1&b=2",
        "/x?fbclid=abc&b=2&a=1",
        "/x?utm_campaign=x&a=1&utm_medium=y&b=2",
    ] {
        edge.get(same).assert_hit("/x?a=1&b=2");
    }
    edge.get("/x?a=1").assert_forwarded("uri-miss", "/x?a=1");
    edge.get("/x?utm_source=mail")
        .assert_forwarded("uri-miss", "/x");
    edge.get("/x").assert_hit("/x");
}

#[test]
fn each_device_class_gets_the_variant_of_the_policy() {
    let origin = rendering();
    let edge = by_device(&origin).start();
    let asked = |path: &str, agent: &str| edge.send(&get(path).header("User-Agent", agent));
    for (path, agent, variant) in [
        ("/", PHONE, "mobile"),
        ("/", DESKTOP, "none"),
        ("/img/a.png", PHONE, "mobile"),
        ("/img/a.png", TABLET, "tablet"),
        ("/img/a.png", DESKTOP, "none"),
    ] {
        asked(path, agent).assert_forwarded("uri-miss", variant);
        asked(path, agent).assert_hit(variant);
    }
    // Tablets have no variant on `/`, and share the desktop's response.
    asked("/", TABLET).assert_hit("none");
    asked("/other", PHONE).assert_forwarded("uri-miss", "none");
    asked("/other", DESKTOP).assert_hit("none");
    assert_eq!(origin.requests("/"), 2);
}

#[test]
fn client_hints_override_the_user_agent() {
    let origin = rendering();
    let edge = by_device(&origin).start();
    let hinted = get("/")
        .header("User-Agent", DESKTOP)
        .header("Sec-CH-UA-Mobile", "?1")
        .header("Sec-CH-UA-Platform", "\"Android\"");
    edge.send(&hinted).assert_forwarded("uri-miss", "mobile");
    edge.send(&get("/").header("User-Agent", PHONE))
        .assert_hit("mobile");
}

#[test]
fn visitors_cannot_choose_a_variant() {
    let origin = rendering();
    let edge = by_device(&origin).start();
    edge.send(
        &get("/")
            .header("User-Agent", DESKTOP)
            .header("Tero-Variant", "mobile"),
    )
    .assert_forwarded("uri-miss", "none");
    edge.send(&get("/").header("User-Agent", PHONE))
        .assert_forwarded("uri-miss", "mobile");
}

#[test]
fn fields_outside_the_key_cannot_poison_the_cache() {
    let origin = Origin::start();
    origin
        .otherwise(|asked| Reply::fresh(60, asked.header("x-forwarded-host").unwrap_or_default()));
    let edge = Edge::before(&origin).start();
    assert!(!text(&edge.send(&with("X-Forwarded-Host", "evil.example"))).contains("evil"));
    assert!(!text(&edge.get("/x")).contains("evil"));
}

#[test]
fn variants_are_counted_separately() {
    let origin = rendering();
    let edge = by_device(&origin).start();
    for agent in [PHONE, PHONE, DESKTOP] {
        edge.send(&get("/").header("User-Agent", agent));
    }
    let mobile = |outcome: &str| {
        edge.metric(
            "tero_requests_total",
            &["variant=\"mobile\"", &format!("outcome=\"{outcome}\"")],
        )
    };
    assert_eq!((mobile("miss"), mobile("hit")), (1.0, 1.0));
    assert_eq!(
        edge.metric("tero_requests_total", &["outcome=\"miss\""]),
        2.0
    );
}

const BOX: &str = "Mozilla/5.0 (Linux; Android 9; Acme Frame 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/104.0.0.0 Safari/537.36";

/// The variant that a visitor with this user agent and these fields gets.
fn variant_of(edge: &Edge, user_agent: &str, fields: &[(&str, &str)]) -> String {
    let request = get("/img/x").header("User-Agent", user_agent);
    let request = fields.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    edge.send(&request).text()
}

#[test]
fn form_factors_and_other_hints_come_before_the_user_agent() {
    let origin = rendering();
    let edge = by_device(&origin).start();
    let hints = [
        ("Sec-CH-UA-Mobile", "?0"),
        ("Sec-CH-UA-Platform", "\"Android\""),
    ];
    assert_eq!(variant_of(&edge, DESKTOP, &hints), "tablet");
    let phone = [hints[0], hints[1], ("Sec-CH-UA-Form-Factors", "\"Mobile\"")];
    assert_eq!(variant_of(&edge, DESKTOP, &phone), "mobile");
    // Remembered classes do not mix.
    assert_eq!(variant_of(&edge, DESKTOP, &hints), "tablet");
    assert_eq!(variant_of(&edge, DESKTOP, &[]), "none");
}

#[test]
fn a_client_can_not_name_itself_a_viewer_of_cloudfront() {
    let origin = rendering();
    let edge = by_device(&origin).start();
    let viewer = [("CloudFront-Is-Mobile-Viewer", "true")];
    assert_eq!(variant_of(&edge, "Amazon CloudFront", &viewer), "none");
}

#[test]
fn a_trusted_proxy_names_the_viewer_of_cloudfront() {
    let origin = rendering();
    let edge = by_device(&origin)
        .server("trusted_proxies = [\"127.0.0.1\"]")
        .start();
    for (field, variant) in [
        ("CloudFront-Is-Mobile-Viewer", "mobile"),
        ("CloudFront-Is-Tablet-Viewer", "tablet"),
        ("CloudFront-Is-Desktop-Viewer", "none"),
    ] {
        assert_eq!(
            variant_of(&edge, "Amazon CloudFront", &[(field, "true")]),
            variant
        );
        // An agent that names itself counts before what a proxy says of it.
        assert_eq!(variant_of(&edge, DESKTOP, &[(field, "true")]), "none");
    }
    assert_eq!(variant_of(&edge, "Amazon CloudFront", &[]), "none");
}

#[test]
fn an_operator_replaces_the_models_at_start_and_at_a_reload() {
    let origin = rendering();
    let folder = tero_tests::folder();
    let models = folder.path().join("models.txt");
    std::fs::write(&models, "# ours\nmobile Acme-Frame\n").unwrap();
    let text = by_device(&origin)
        .server("device_models = \"models.txt\"")
        .to_toml();
    let file = folder.path().join("tero.toml");
    std::fs::write(&file, &text).unwrap();
    let config = tero_config::Config::load(&file).unwrap();
    let server = tero::serve(
        config,
        tero_time::clock::Clock::real(),
        &tero_tests::compiler(),
    )
    .unwrap();
    let mut client = tero_tests::Client::connect(server.addresses()[0]);
    let mut seen = |user_agent: &str, query: &str| {
        let request = get(format!("/img/x?{query}")).header("User-Agent", user_agent);
        client.send(&request).text()
    };
    assert_eq!(seen(BOX, "1"), "mobile");
    std::fs::write(&models, "tablet *frame_9\n").unwrap();
    assert_eq!(seen(BOX, "1"), "mobile", "read at a reload only");
    server.reload_file().unwrap();
    assert_eq!(seen(BOX, "1"), "tablet", "a remembered class is not used");
    // A file with a mistake changes nothing.
    std::fs::write(&models, "tablets *frame_9\n").unwrap();
    let error = server.reload_file().unwrap_err().to_string();
    assert!(
        error.contains("models.txt") && error.contains("line 1"),
        "{error}"
    );
    assert_eq!(seen(BOX, "2"), "tablet");
}

#[test]
fn a_bad_file_of_models_is_refused() {
    let folder = tero_tests::folder();
    let models = folder.path().join("models.txt");
    let key = format!(
        "device_models = {}",
        tero_tests::toml_string(&models.display().to_string())
    );
    let start = || by_device(&rendering()).server(&key).try_start().map(drop);
    let missing = start().unwrap_err();
    assert!(missing.contains("can't be read"), "{missing}");
    // At most 256 KiB.
    std::fs::write(&models, "#".repeat(256 << 10)).unwrap();
    start().unwrap();
    std::fs::write(&models, "#".repeat((256 << 10) + 1)).unwrap();
    let large = start().unwrap_err();
    assert!(large.contains("larger than 256KiB"), "{large}");
    std::fs::write(&models, b"tablet \xff\xff\xff").unwrap();
    start().unwrap_err();
}

/// An origin that answers requests with `Origin` for that page alone, and leaves `Vary` out of all
/// others, as Amazon S3 does.
fn sharing_by_origin() -> Origin {
    let origin = Origin::start();
    origin.on_each("/x", |asked, _| match asked.header("origin") {
        Some(page) => Reply::fresh(60, format!("for {page}"))
            .header("Access-Control-Allow-Origin", page)
            .header("Vary", "Origin"),
        None => Reply::fresh(60, "for none"),
    });
    origin
}

#[test]
fn one_answer_without_vary_does_not_stand_for_all() {
    let origin = sharing_by_origin();
    let edge = Edge::before(&origin).start();
    let (a, b) = ("https://a.example", "https://b.example");
    edge.send(&with("Origin", a))
        .assert_forwarded("uri-miss", &format!("for {a}"));
    edge.get("/x").assert_forwarded("vary-miss", "for none");
    let answer = edge.send(&with("Origin", b));
    answer.assert_forwarded("vary-miss", &format!("for {b}"));
    let allowed = answer.header("access-control-allow-origin");
    assert_eq!(allowed.as_deref(), Some(b));
    edge.send(&with("Origin", a))
        .assert_hit(&format!("for {a}"));
    edge.send(&with("Origin", b))
        .assert_hit(&format!("for {b}"));
    edge.get("/x").assert_hit("for none");
    assert_eq!(origin.requests("/x"), 3);
}

#[test]
fn an_answer_without_vary_that_was_stored_first_stands_for_no_one_beside_one_with_vary() {
    let origin = sharing_by_origin();
    let edge = Edge::before(&origin).start();
    let a = "https://a.example";
    // Nothing tells yet that the page varies.
    edge.get("/x").assert_forwarded("uri-miss", "for none");
    edge.advance_secs(60);
    edge.send(&with("Origin", a))
        .assert_forwarded("stale", &format!("for {a}"));
    edge.get("/x").assert_forwarded("vary-miss", "for none");
    edge.get("/x").assert_hit("for none");
    edge.send(&with("Origin", a))
        .assert_hit(&format!("for {a}"));
}

#[test]
fn a_request_does_not_follow_an_answer_without_vary_that_is_not_for_it() {
    let origin = sharing_by_origin();
    let edge = Edge::before(&origin).start();
    let (a, b) = ("https://a.example", "https://b.example");
    edge.send(&with("Origin", a));
    origin.hold();
    let mut leader = edge.client();
    leader.start(&get("/x"));
    origin.wait_for("/x", 2);
    let mut follower = edge.client();
    follower.start(&with("Origin", b));
    let mut same = edge.client();
    same.start(&get("/x"));
    origin.release();
    for (client, expected) in [
        (&mut leader, "for none".to_owned()),
        (&mut follower, format!("for {b}")),
        (&mut same, "for none".to_owned()),
    ] {
        let mut answer = client.head();
        client.rest(&mut answer);
        assert_eq!(text(&answer), expected);
    }
}

#[test]
fn a_304_keeps_an_answer_without_vary_to_those_it_was_for() {
    let origin = Origin::start();
    origin.on_each("/x", |asked, _| {
        let page = asked.header("origin");
        let reply = match (asked.header("if-none-match"), &page) {
            (Some(_), _) => Reply::status(304).header("Cache-Control", "max-age=60"),
            (None, Some(page)) => Reply::fresh(600, format!("for {page}")),
            (None, None) => Reply::fresh(60, "for none"),
        };
        match page {
            Some(page) => reply
                .header("Vary", "Origin")
                .header("ETag", format!("\"{page}\"")),
            None => reply.header("ETag", "\"none\""),
        }
    });
    let edge = Edge::before(&origin).start();
    edge.send(&with("Origin", "a"))
        .assert_forwarded("uri-miss", "for a");
    edge.get("/x").assert_forwarded("vary-miss", "for none");
    edge.advance_secs(60);
    edge.get("/x").assert_forwarded("stale", "for none");
    edge.send(&with("Origin", "b"))
        .assert_forwarded("vary-miss", "for b");
    edge.get("/x").assert_hit("for none");
}
