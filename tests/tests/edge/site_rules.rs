//! Rules of a site that decide without policies: networks, redirects, https, own content, fields of
//! requests and responses.

use tero_tests::{Answer, Client, Edge, EdgeBuilder, Origin, Reply, Request, get};

const BEHIND_A_PROXY: &str = "trusted_proxies = [\"127.0.0.1\"]";

fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let lines = asked.headers.iter();
        let lines = lines.map(|(name, value)| format!("{}: {value}\n", name.to_lowercase()));
        Reply::fresh(60, lines.collect::<String>())
    });
    origin
}

fn before(origin: &Origin, site: &str) -> EdgeBuilder {
    Edge::before(origin).server(BEHIND_A_PROXY).site(site)
}

/// A GET of a client with this address, behind the trusted proxy.
fn from(client: &str, target: &str) -> Request {
    get(target).header("X-Forwarded-For", client)
}

fn answers(edge: &Edge, rule: &str) -> f64 {
    let label = format!("rule=\"{rule}\"");
    edge.metric("tero_rule_answers_total", &[&label])
}

/// What every answer of a rule is: counted, not stored, and known by `Cache-Status`.
#[track_caller]
fn assert_ours(answer: &Answer, status: u16, reason: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    let told = answer.header("cache-status").unwrap_or_default();
    assert_eq!(told, format!("tero; detail=\"{reason}\""), "{answer:?}");
}

#[track_caller]
fn refused(builder: &EdgeBuilder, parts: &[&str]) {
    let message = builder.try_start().expect_err("it is refused");
    for part in parts {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn example_of_a_site_without_policies_is_checked_and_works() {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/plain-site/tero.toml");
    let config = tero_config::Config::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.sites.len(), 2);
    let origin = origin();
    let text = std::fs::read_to_string(&path)
        .unwrap()
        .replace("0.0.0.0:8080", "127.0.0.1:0")
        .replace("http://127.0.0.1:3000", &origin.url())
        .replace(
            "error.html",
            &path.with_file_name("error.html").display().to_string(),
        )
        .replace(
            "[access_log]",
            "[admin]\nlisten = \"127.0.0.1:0\"\n[access_log]\npath = \"/dev/null\"",
        );
    let edge = Edge::from_toml(&text, tero_tests::A_TUESDAY_MORNING, tero_tests::ART);
    let https = |host: &str, target: &str| {
        let request = get(target).host(host).header("X-Forwarded-Proto", "https");
        edge.send(&request.header("X-Forwarded-For", "192.0.2.7"))
    };
    let shop = |target: &str| https("www.shop.example", target);
    assert_eq!(edge.send(&get("/").host("www.shop.example")).status, 301);
    assert_eq!(shop("/").status, 200);
    assert_eq!(https("a.branch.shop.example", "/").status, 200);
    assert_eq!(
        shop("/robots.txt").header("cache-control").as_deref(),
        Some("max-age=86400")
    );
    assert_eq!(
        shop("/blog/a?b").header("location").as_deref(),
        Some("https://blog.shop.example/a?b")
    );
    assert_eq!(
        (shop("/admin/").status, shop("/preview/a").status),
        (403, 401)
    );
    let preview = get("/preview/a")
        .host("www.shop.example")
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-For", "192.0.2.7");
    let preview = preview.header("Authorization", "Basic cHJldmlldzpjaGFuZ2UtbWU=");
    assert_eq!(edge.send(&preview).status, 200);
    let bare = https("shop.example", "/x");
    assert_eq!(
        bare.header("location").as_deref(),
        Some("https://www.shop.example/x")
    );
}

// Networks.

#[test]
fn clients_of_other_networks_are_refused_also_what_is_stored() {
    let origin = origin();
    let edge = before(
        &origin,
        "allow = [\"10.0.0.0/8\", \"2001:db8::/32\"]\ndeny = [\"10.6.6.6\"]",
    )
    .start();
    for (client, status) in [
        ("10.1.2.3", 200),
        ("2001:db8::1", 200),
        ("::ffff:10.1.2.3", 200),
        ("10.6.6.6", 403),
        ("11.0.0.1", 403),
        ("2001:db9::1", 403),
    ] {
        assert_eq!(edge.send(&from(client, "/a")).status, status, "{client}");
    }
    assert_ours(
        &edge.send(&from("11.0.0.1", "/a")),
        403,
        "not for this network",
    );
    assert_eq!(origin.requests("/a"), 1);
    assert_eq!(answers(&edge, "network"), 4.0);
    assert_eq!(
        edge.metric("tero_requests_total", &["outcome=\"rule\""]),
        4.0
    );
    let allowed = edge.send(&from("10.1.2.3", "/a"));
    assert!(
        allowed.header("cache-control").unwrap().contains("private"),
        "caches in front would give it to others: {allowed:?}"
    );
}

#[test]
fn a_route_protects_its_paths_however_they_are_written() {
    let origin = origin();
    let site = "[[site.route]]\nmatch = [\"/admin/public/*\"]\n[[site.route]]\nname = \"admin\"\nmatch = [\"/admin\", \"/admin/*\"]\nallow = [\"10.0.0.1\"]";
    let edge = before(&origin, site).start();
    for path in [
        "/admin",
        "/admin/",
        "/admin/x",
        "//admin/x",
        "/x/../admin/x",
        "/%61dmin/x",
        "/admin%2fx",
        "/x/%2e%2e/admin/x",
        "/admin;v=1/x",
        "/admin/public/../x",
        "/admin/public/..%2fx",
        "/admin/x?query",
    ] {
        let answer = edge.send(&from("10.0.0.2", path));
        assert_eq!(answer.status, 403, "{path}");
        let answer = edge.send(&from("10.0.0.1", path));
        assert_eq!(answer.status, 200, "{path}");
    }
    for path in ["/", "/admins", "/x/admin", "/admin/public/x", "/Admin"] {
        assert_eq!(edge.send(&from("10.0.0.2", path)).status, 200, "{path}");
    }
}

#[test]
fn a_refused_request_with_content_leaves_its_connection_usable_or_closed() {
    let origin = origin();
    let edge = before(&origin, "deny = [\"10.0.0.9\"]").start();
    let mut client = edge.client();
    let post = Request::new("POST", "/a")
        .header("X-Forwarded-For", "10.0.0.9")
        .body("GET /smuggled HTTP/1.1\r\n\r\n");
    assert_eq!(client.send(&post).status, 403);
    let mut again: Client = edge.client();
    let asked = again.send(&from("10.0.0.1", "/b"));
    assert_eq!(asked.status, 200);
    assert_eq!(origin.requests("/a") + origin.requests("/smuggled"), 0);
    let mut expecting = edge.client();
    expecting.write(format!(
        "POST /c HTTP/1.1\r\nHost: {}\r\nX-Forwarded-For: 10.0.0.9\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        tero_tests::HOST
    ));
    let head = expecting.interim_or_answer();
    assert_eq!(head.status, 403, "nobody waits for the content");
}

// Redirects.

#[test]
fn requests_over_http_are_sent_to_https_by_their_method() {
    let origin = origin();
    let edge = before(&origin, "redirect_to_https = true").start();
    for (method, status) in [("GET", 301), ("HEAD", 301), ("POST", 308), ("DELETE", 308)] {
        let answer = edge.send(&Request::new(method, "/a%20b?c=d"));
        assert_ours(&answer, status, "https only");
        assert_eq!(
            answer.header("location").unwrap(),
            "https://www.example/a%20b?c=d"
        );
        assert_eq!(answer.header("cache-control").unwrap(), "no-store");
        assert_eq!(answer.body.is_empty(), method == "HEAD");
    }
    let over_https = get("/a")
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-For", "10.0.0.1");
    assert_eq!(
        edge.send(&over_https).status,
        200,
        "no loop behind the proxy"
    );
    let challenge = "/.well-known/acme-challenge/token-1_a";
    assert_eq!(edge.get(challenge).status, 200);
    assert_eq!(edge.get("/.well-known/acme-challenge/").status, 301);
    assert_eq!(edge.get("/.well-known/acme-challenge/../x").status, 301);
    assert_eq!(answers(&edge, "https"), 6.0);
    let other_port = before(&origin, "redirect_to_https = 307\nhttps_port = 8443").start();
    let answer = other_port.send(&get("/").host("www.example:80"));
    assert_eq!(answer.status, 307);
    assert_eq!(
        answer.header("location").unwrap(),
        "https://www.example:8443/"
    );
}

#[test]
fn purges_by_request_are_not_redirected() {
    let origin = origin();
    let purge = "redirect_to_https = true\n[site.purge]\nfrom = [\"127.0.0.1\"]";
    let edge = Edge::before(&origin).site(purge).start();
    assert_eq!(edge.get("/a").status, 301);
    assert_eq!(edge.send(&Request::new("PURGE", "/a")).status, 200);
}

#[test]
fn no_loop_behind_a_proxy_that_is_not_trusted() {
    let origin = origin();
    let edge = Edge::before(&origin)
        .site("redirect_to_https = true")
        .start();
    for (field, value) in [
        ("X-Forwarded-Proto", "https"),
        ("Forwarded", "for=1.2.3.4;proto=https"),
    ] {
        let answer = edge.send(&get("/").header(field, value));
        assert_eq!(answer.status, 200, "{field}");
        assert!(
            answer.text().contains("x-forwarded-proto: http\n"),
            "it is not believed"
        );
    }
    assert_eq!(
        edge.send(&get("/").header("X-Forwarded-Proto", "http"))
            .status,
        301
    );
}

#[test]
fn a_route_redirects_with_parts_of_its_path() {
    let origin = origin();
    let route = |paths: &str, redirect: &str| {
        format!("[[site.route]]\nmatch = [{paths}]\nredirect = {{ {redirect} }}\n")
    };
    let site = [
        route("\"/old/*\"", "to = \"https://new.example/n/{rest}\""),
        route(
            "\"/moved\"",
            "to = \"/here?a=b\", status = 302, query = \"drop\"",
        ),
        route("\"/p/*\"", "to = \"/{path}x\", status = 301"),
        route("\"/loop*\"", "to = \"http://www.example/{path}\""),
        route("\"//*\"", "to = \"/{path}\""),
    ];
    let edge = before(&origin, &site.concat()).start();
    for (target, status, location) in [
        ("/old/a/b?c=d", 308, "https://new.example/n/a/b?c=d"),
        ("/%6fld/a", 308, "https://new.example/n/a"),
        ("/old/", 308, "https://new.example/n/"),
        (
            "/old//evil.example",
            308,
            "https://new.example/n/evil.example",
        ),
        ("/moved?x=y", 302, "/here?a=b"),
        ("/p/a?x", 301, "/p/ax?x"),
        ("//evil.example/x", 308, "/evil.example/x"),
        ("/\\evil.example", 200, ""),
    ] {
        let answer = edge.get(target);
        assert_eq!(answer.status, status, "{target}: {answer:?}");
        assert_eq!(
            answer.header("location").unwrap_or_default(),
            location,
            "{target}"
        );
    }
    assert_ours(&edge.get("/loop/a"), 508, "moved");
    assert_eq!(
        edge.send(&Request::new("POST", "/old/a").body("x")).status,
        308
    );
}

#[test]
fn open_redirects_and_other_mistakes_are_refused() {
    let origin = origin();
    let route = |keys: &str| {
        before(
            &origin,
            &format!("[[site.route]]\nmatch = [\"/a\", \"/b/*\"]\n{keys}"),
        )
    };
    for (keys, parts) in [
        (
            "redirect = { to = \"https://{path}\" }",
            &["the host must be written out"][..],
        ),
        (
            "redirect = { to = \"//x.example/\" }",
            &["the host must be written out"],
        ),
        ("redirect = { to = \"/x\", status = 200 }", &["too small"]),
        (
            "redirect = { to = \"/x\", status = 304 }",
            &["304 is not the status of a redirect"],
        ),
        (
            "redirect = { to = \"/{rest}\" }",
            &["`{rest}` stands for nothing on the path /a"],
        ),
        ("redirect = { }", &["`to` is missing"]),
        (
            "redirect = { to = \"/x\" }\nrespond = { body = \"x\" }",
            &["both `redirect` and `respond`"],
        ),
        ("respond = { status = 206 }", &["206 can't be the status"]),
        (
            "respond = { content_type = \"text\" }",
            &["`text` is not a media type"],
        ),
        (
            "respond = { file = \"/missing/file\" }",
            &["there is no file"],
        ),
        (
            "allow = [\"10.0.0.1/8\"]",
            &["is an address within a network"],
        ),
        (
            "response_fields = { set = { \"Content-Length\" = \"1\" } }",
            &["framing"],
        ),
        (
            "response_fields = { set = { \"Set-Cookie\" = \"a=b\" } }",
            &["share one cookie"],
        ),
        (
            "response_fields = { remove = [\"Cache-Control\"] }",
            &["decides about caching"],
        ),
        (
            "response_fields = { set = { \"Strict-Transport-Security\" = \"x\" } }",
            &["write `hsts"],
        ),
        (
            "response_fields = { set = { \"x-a\" = \"b\\r\\nc: d\" } }",
            &["not a value of a field"],
        ),
        (
            "response_fields = { set = { \"x-a\" = \"b\" }, remove = [\"X-A\"] }",
            &["edited twice"],
        ),
        ("response_fields = { add = { } }", &["unknown key `add`"]),
        (
            "request_fields = { set = { Host = \"x\" } }",
            &["as the key does"],
        ),
        (
            "request_fields = { set = { \"X-Forwarded-For\" = \"x\" } }",
            &["as the key does"],
        ),
        (
            "request_fields = { remove = [\"Authorization\"] }",
            &["as the key does"],
        ),
        (
            "request_fields = { remove = [\"If-None-Match\"] }",
            &["which response is fetched"],
        ),
        (
            "request_fields = { set = { Tero-Variant = \"x\" } }",
            &["where the message has been"],
        ),
    ] {
        refused(&route(keys), parts);
    }
    refused(
        &before(&origin, "redirect_to_https = 200"),
        &["200 is not the status of a redirect"],
    );
    refused(
        &before(&origin, "redirect_to_https = \"yes\""),
        &["true, false or a status"],
    );
    refused(
        &before(&origin, "hsts = { preload = true }"),
        &["browsers' lists take no site"],
    );
    let many = |count: usize| {
        let names: Vec<String> = (0..count).map(|number| format!("\"x-{number}\"")).collect();
        route(&format!(
            "request_fields = {{ remove = [{}] }}",
            names.join(", ")
        ))
    };
    many(64).start();
    refused(&many(65), &["more than 64 fields"]);
}

// Own content.

#[test]
fn a_route_answers_by_itself() {
    let origin = origin();
    let folder = tero_tests::folder();
    let page = folder.path().join("page.html");
    std::fs::write(&page, [b"<p>\xff".as_slice(), &[0]].concat()).unwrap();
    let page = tero_tests::toml_string(&page.display().to_string());
    let site = format!(
        "[[site.route]]\nmatch = [\"/robots.txt\"]\nrespond = {{ body = \"User-agent: *\", max_age = \"1h\" }}\n\
         [[site.route]]\nmatch = [\"/gone/*\"]\nrespond = {{ status = 410, file = {page}, content_type = \"text/html\" }}\n\
         [[site.route]]\nmatch = [\"/empty\"]\nrespond = {{ status = 204, body = \"x\" }}\n"
    );
    let edge = before(&origin, &site).start();
    let robots = edge.get("/robots.txt");
    assert_ours(&robots, 200, "own content");
    assert_eq!(robots.text(), "User-agent: *");
    assert_eq!(
        robots.header("content-type").unwrap(),
        "text/plain; charset=utf-8"
    );
    assert_eq!(robots.header("cache-control").unwrap(), "max-age=3600");
    let gone = edge.get("/gone/x");
    assert_eq!((gone.status, &*gone.body), (410, &b"<p>\xff\0"[..]));
    assert_eq!(gone.header("content-type").unwrap(), "text/html");
    assert_eq!(gone.header("cache-control").unwrap(), "no-store");
    let head = edge.send(&Request::new("HEAD", "/gone/x"));
    assert_eq!((head.status, head.body.len()), (410, 0));
    assert_eq!(head.header("content-length").unwrap(), "5");
    let empty = edge.get("/empty");
    assert_eq!((empty.status, empty.body.len()), (204, 0));
    assert_eq!(empty.header("content-type"), None);
    assert_eq!(answers(&edge, "respond"), 4.0);
}

// Fields.

#[test]
fn response_fields_are_edited_on_hits_misses_passes_and_own_answers() {
    let origin = Origin::start();
    let reply = || {
        Reply::fresh(60, "x")
            .header("Server", "app")
            .header("X-Powered-By", "it")
            .header("ETag", "\"1\"")
    };
    origin.on("/a", reply());
    origin.on("/api/a", reply());
    origin.on("/broken", Reply::hang_up());
    let site = "response_fields = { set = { \"X-Frame-Options\" = \"DENY\", \"x-kind\" = \"site\" }, remove = [\"server\", \"X-Powered-By\"] }\n\
        [[site.route]]\nmatch = [\"/api/*\"]\nresponse_fields = { set = { \"X-Kind\" = \"api\" }, remove = [\"x-frame-options\"] }\n\
        [[site.route]]\nmatch = [\"/moved\"]\nredirect = { to = \"/\" }\n";
    let edge = before(&origin, site).start();
    let conditional = get("/a").header("If-None-Match", "\"1\"");
    let asked = [
        ("a miss", get("/a")),
        ("a hit", get("/a")),
        ("a hit from a ready head", get("/a")),
        ("a 304", conditional.clone()),
        ("another 304", conditional),
        ("a HEAD", Request::new("HEAD", "/a")),
        ("a range", get("/a").header("Range", "bytes=0-0")),
        ("a pass", Request::new("POST", "/a").body("x")),
        ("a redirect", get("/moved")),
        ("an error", get("/broken")),
    ];
    for (what, request) in &asked {
        let answer = edge.send(request);
        assert_eq!(
            answer.header("x-frame-options").as_deref(),
            Some("DENY"),
            "{what}: {answer:?}"
        );
        assert_eq!(answer.header("x-kind").as_deref(), Some("site"), "{what}");
        for name in ["server", "x-powered-by"] {
            assert_eq!(answer.header(name), None, "{what}");
        }
    }
    for _ in 0..3 {
        let answer = edge.get("/api/a");
        assert_eq!(answer.header("x-kind").as_deref(), Some("api"));
        assert_eq!(answer.header("x-frame-options"), None);
    }
    // The POST has dropped it.
    edge.get("/a");
    // A reload holds at once, though the head of the hit stands ready.
    edge.reload(&before(
        &origin,
        "response_fields = { set = { \"x-kind\" = \"new\" } }",
    ))
    .unwrap();
    let answer = edge.get("/a");
    assert!(answer.cache_status().hit, "{answer:?}");
    assert_eq!(answer.header("x-kind").as_deref(), Some("new"));
    assert_eq!(answer.header("server").as_deref(), Some("app"));
    edge.reload(&before(&origin, "")).unwrap();
    assert_eq!(edge.get("/a").header("x-kind"), None);
}

#[test]
fn hsts_is_sent_over_https_only_with_every_answer() {
    let origin = origin();
    let site = "hsts = { max_age = \"1y\", subdomains = true, preload = true }\n[[site.route]]\nmatch = [\"/moved\"]\nredirect = { to = \"/\" }";
    let edge = before(&origin, site).start();
    let https = |target: &str| {
        get(target)
            .header("X-Forwarded-Proto", "https")
            .header("X-Forwarded-For", "10.0.0.1")
    };
    for request in [https("/a"), https("/a"), https("/moved")] {
        let told = edge.send(&request).header("strict-transport-security");
        assert_eq!(
            told.as_deref(),
            Some("max-age=31536000; includeSubDomains; preload")
        );
    }
    for request in [get("/a"), get("/a"), get("/moved")] {
        assert_eq!(
            edge.send(&request).header("strict-transport-security"),
            None
        );
    }
}

#[test]
fn request_fields_are_edited_for_the_origin_only() {
    let origin = origin();
    let site = "request_fields = { set = { \"X-Tenant\" = \"a\", \"x-edge\" = \"1\" }, remove = [\"Accept-Language\"] }\n\
        [[site.route]]\nmatch = [\"/api/*\"]\nrequest_fields = { set = { \"X-Tenant\" = \"api\" } }\n";
    let edge = before(&origin, site).start();
    let asked = |request: Request| {
        let request = request
            .header("X-Tenant", "forged")
            .header("Accept-Language", "es")
            .header("X-Kept", "1");
        edge.send(&request).text()
    };
    for (request, tenant) in [
        (get("/a"), "a"),
        (get("/api/a"), "api"),
        (Request::new("POST", "/a").body("x"), "a"),
    ] {
        let told = asked(request);
        for line in [
            &*format!("x-tenant: {tenant}\n"),
            "x-edge: 1\n",
            "x-kept: 1\n",
        ] {
            assert!(told.contains(line), "{line}: {told}");
        }
        assert!(
            !told.contains("accept-language") && !told.contains("forged"),
            "{told}"
        );
    }
}
