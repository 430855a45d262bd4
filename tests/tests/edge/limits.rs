//! Rate limits: who is limited, what the answer says, and what it costs.

use std::net::SocketAddr;

use serde_json::Value;
use tero_tests::{
    Answer, Client, Edge, EdgeBuilder, Origin, Reply, Request, eventually, folder, get, toml_string,
};

use crate::program::{Serving, configuration};

/// Clients of these tests say who they are.
const BEHIND_A_PROXY: &str = "trusted_proxies = [\"127.0.0.1\"]";

fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| match asked.path() {
        path if path.starts_with("/private") => Reply::ok("x").header("Cache-Control", "private"),
        path if path.starts_with("/broken") => Reply::hang_up(),
        _ => Reply::fresh(86_400, "page"),
    });
    origin
}

/// An edge with a limit named `pages` that has these keys.
fn limited(origin: &Origin, keys: &str) -> EdgeBuilder {
    let limit = format!("[[limit]]\nname = \"pages\"\n{keys}");
    Edge::before(origin).server(BEHIND_A_PROXY).section(&limit)
}

fn from(client: &str, target: &str) -> Request {
    get(target).header("X-Forwarded-For", client)
}

fn status(edge: &Edge, request: &Request) -> u16 {
    edge.send(request).status
}

/// How many of so many requests are let in.
fn let_in(edge: &Edge, request: &Request, count: usize) -> usize {
    let answers = (0..count).map(|_| status(edge, request));
    answers.filter(|status| *status != 429).count()
}

fn refused(edge: &Edge, mode: &str) -> f64 {
    let mode = format!("mode=\"{mode}\"");
    edge.metric("tero_limited_requests_total", &["limit=\"pages\"", &mode])
}

#[track_caller]
fn assert_limited(answer: &Answer, policy: &str, wait_secs: u64) {
    assert_eq!(answer.status, 429, "{answer:?}");
    let field = |name| answer.header(name).unwrap_or_default();
    assert_eq!(field("ratelimit-policy"), policy);
    let name = policy.split(';').next().unwrap();
    assert_eq!(field("ratelimit"), format!("{name};r=0;t={wait_secs}"));
    assert_eq!(field("retry-after"), wait_secs.to_string());
    assert_eq!(field("cache-control"), "no-store");
    assert!(field("cache-status").contains("limit"), "{answer:?}");
}

#[test]
fn a_client_gets_its_burst_and_then_the_rate() {
    let origin = origin();
    let edge = limited(&origin, "requests = 2\nper = \"10s\"\nburst = 3").start();
    let request = from("192.0.2.1", "/x");
    assert_eq!(let_in(&edge, &request, 3), 3);
    assert_limited(&edge.send(&request), "\"pages\";q=3;w=15", 5);
    edge.advance_secs(4);
    assert_limited(&edge.send(&request), "\"pages\";q=3;w=15", 1);
    edge.advance_secs(1);
    assert_eq!(let_in(&edge, &request, 2), 1, "one has come back");
    edge.advance_secs(3_600);
    assert_eq!(
        let_in(&edge, &request, 5),
        3,
        "no more than the burst is saved"
    );
    assert_eq!(refused(&edge, "refused"), 5.0);
    assert_eq!(origin.requests("/x"), 1, "the others were hits, or refused");
}

#[test]
fn clients_are_addresses_or_networks() {
    let origin = origin();
    let one = |keys: &str| {
        let keys = format!("requests = 1\nper = \"1h\"\n{keys}");
        limited(&origin, &keys).start()
    };
    let edge = one("");
    assert_eq!(status(&edge, &from("192.0.2.1", "/x")), 200);
    for (client, expected) in [
        ("192.0.2.1", 429),
        ("::ffff:192.0.2.1", 429),
        ("192.0.2.2", 200),
        ("2001:db8:0:1::1", 200),
        ("2001:db8:0:1:ffff::2", 429),
        ("2001:db8:0:2::1", 200),
    ] {
        assert_eq!(status(&edge, &from(client, "/x")), expected, "{client}");
    }
    let edge = one("ipv4_prefix = 24\nipv6_prefix = 128\nexempt = [\"192.0.2.64/26\"]");
    for (client, expected) in [
        ("192.0.2.1", 200),
        ("192.0.2.2", 429),
        ("192.0.2.65", 200),
        ("192.0.2.65", 200),
        ("192.0.3.1", 200),
        ("2001:db8::1", 200),
        ("2001:db8::2", 200),
        ("2001:db8::2", 429),
    ] {
        assert_eq!(status(&edge, &from(client, "/x")), expected, "{client}");
    }
}

#[test]
fn a_limit_is_for_its_sites_paths_and_methods() {
    let origin = origin();
    let more = format!(
        "[[site]]\nname = \"two\"\nhosts = [\"two.example\"]\norigins = [\"{}\"]",
        origin.url()
    );
    let keys = "sites = [\"site\"]\nmatch = [\"/api/*\", \"/login\"]\nmethods = [\"GET\", \"POST\"]\n\
                requests = 1\nper = \"1h\"";
    let edge = limited(&origin, keys).section(&more).start();
    let client = "192.0.2.1";
    assert_eq!(status(&edge, &from(client, "/api/a")), 200);
    for target in [
        "/api/b",
        "/login",
        // Origins may read these as paths of the limit.
        "//api//b",
        "/x/../api/b",
        "/%61pi/b",
        "/api;v=1/b",
    ] {
        assert_eq!(status(&edge, &from(client, target)), 429, "{target}");
    }
    let post = Request::new("POST", "/login").header("X-Forwarded-For", client);
    assert_eq!(status(&edge, &post), 429);
    let put = Request::new("PUT", "/login").header("X-Forwarded-For", client);
    for request in [
        put,
        from(client, "/other"),
        from(client, "/apis"),
        from(client, "/api/b").host("two.example"),
    ] {
        assert_eq!(status(&edge, &request), 200, "{request:?}");
    }
}

#[test]
fn of_several_limits_the_strictest_answers_and_a_refusal_costs_nothing() {
    let origin = origin();
    let slow =
        "[[limit]]\nname = \"slow\"\nrequests = 6\nper = \"1min\"\nburst = 2\nmatch = [\"/api/*\"]";
    let edge = limited(&origin, "requests = 1\nper = \"1s\"\nburst = 4")
        .section(slow)
        .start();
    let api = from("192.0.2.1", "/api/x");
    assert_eq!(let_in(&edge, &api, 2), 2);
    assert_limited(&edge.send(&api), "\"slow\";q=2;w=20", 10);
    assert_limited(&edge.send(&api), "\"slow\";q=2;w=20", 10);
    // The refused ones have not been taken from the other limit.
    let page = from("192.0.2.1", "/x");
    assert_eq!(let_in(&edge, &page, 3), 2);
    // Both refuse: the longer wait counts.
    assert_limited(&edge.send(&api), "\"slow\";q=2;w=20", 10);
    assert_limited(&edge.send(&page), "\"pages\";q=4;w=4", 1);
}

#[test]
fn a_fetch_costs_more_and_is_charged_afterwards() {
    let origin = origin();
    let keys = "requests = 1\nper = \"1min\"\nburst = 10\nfetch_cost = 4";
    let edge = limited(&origin, keys).start();
    let request = |target: &str| from("192.0.2.1", target);
    // A miss costs five, hits one each.
    assert_eq!(status(&edge, &request("/x")), 200);
    assert_eq!(let_in(&edge, &request("/x"), 10), 5);
    let another = |target: &str| from("192.0.2.2", target);
    // The third is let in with nothing left for its fetch, and leaves a debt.
    let statuses = ["/a", "/b", "/c"].map(|target| status(&edge, &another(target)));
    assert_eq!(statuses, [200, 200, 429]);
    let third = from("192.0.2.3", "/private/1");
    assert_eq!(status(&edge, &third), 200);
    assert_eq!(let_in(&edge, &from("192.0.2.3", "/x"), 4), 4);
    assert_eq!(
        status(&edge, &third),
        200,
        "one is left, and the fetch is charged"
    );
    let answer = edge.send(&third);
    assert_limited(&answer, "\"pages\";q=10;w=600", 300);
    // An origin that fails was asked, too.
    let broken = from("192.0.2.4", "/broken");
    assert_eq!(status(&edge, &broken), 502);
    assert_eq!(let_in(&edge, &from("192.0.2.4", "/x"), 10), 5);
}

#[test]
fn a_limit_that_only_logs_refuses_nothing_and_counts() {
    let origin = origin();
    let log = folder();
    let path = log.path().join("access.log");
    let keys = format!(
        "[access_log]\npath = {}\nformat = \"json\"\nfields = [\"status\", \"limit\", \"outcome\"]",
        toml_string(&path.display().to_string())
    );
    let edge = limited(&origin, "requests = 1\nper = \"1h\"\nlog_only = true")
        .section(&keys)
        .section("[[limit]]\nname = \"strict\"\nrequests = 3\nper = \"1h\"")
        .start();
    let request = from("192.0.2.1", "/x");
    assert_eq!(let_in(&edge, &request, 4), 3);
    assert_eq!(
        (refused(&edge, "log_only"), refused(&edge, "refused")),
        (2.0, 0.0)
    );
    let lines = || std::fs::read_to_string(&path).unwrap_or_default();
    eventually("four lines", || lines().lines().count() == 4);
    // Answers on several connections may be complete in another order.
    let mut read: Vec<String> = lines()
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            format!("{} {}", line["status"], line["limit"])
        })
        .collect();
    read.sort();
    let expected = [
        "200 \"pages\"",
        "200 \"pages\"",
        "200 null",
        "429 \"strict\"",
    ];
    assert_eq!(read, expected);
}

#[test]
fn a_limit_holds_in_its_hours_of_local_time() {
    let origin = origin();
    let keys = "requests = 1\nper = \"24h\"\nwindow = \"09:00-18:00\"\ndays = [\"tue\", \"wed\"]\n\
                zone = \"America/Argentina/Buenos_Aires\"";
    // A Tuesday.
    let edge = limited(&origin, keys).at("2026-11-24T08:58:00").start();
    let mut client = 0;
    let mut limits = || {
        client += 1;
        let_in(&edge, &from(&format!("192.0.2.{client}"), "/x"), 2) == 1
    };
    for (time, expected) in [
        ("2026-11-24T08:59:59", false),
        ("2026-11-24T09:00:00", true),
        ("2026-11-24T17:59:59", true),
        ("2026-11-24T18:00:00", false),
        ("2026-11-25T12:00:00", true),
        ("2026-11-26T12:00:00", false),
    ] {
        edge.turn_to(time);
        assert_eq!(limits(), expected, "{time}");
    }
    let night = keys.replace("09:00-18:00", "22:00-06:00");
    let edge = limited(&origin, &night).at("2026-11-24T05:00:00").start();
    let mut limits = || {
        client += 1;
        let_in(&edge, &from(&format!("192.0.2.{client}"), "/x"), 2) == 1
    };
    for (time, expected) in [
        ("2026-11-24T05:30:00", false),
        ("2026-11-24T21:59:00", false),
        ("2026-11-24T22:00:00", true),
        ("2026-11-25T05:59:00", true),
        ("2026-11-25T06:00:00", false),
        ("2026-11-26T05:59:00", true),
        ("2026-11-26T22:30:00", false),
    ] {
        edge.turn_to(time);
        assert_eq!(limits(), expected, "{time}");
    }
}

#[test]
fn a_full_table_lets_requests_pass_and_counts_them() {
    let origin = origin();
    let edge = limited(&origin, "requests = 1\nper = \"1h\"\nipv6_prefix = 128")
        .section("[limits]\nmemory = \"64KiB\"")
        .start();
    assert_eq!(edge.metric("tero_limit_table_bytes", &[]), 65_536.0);
    let mut client = edge.client();
    let first = from("2001:db8::ffff:1", "/x");
    assert_eq!(client.send(&first).status, 200);
    let overflows = || edge.metric("tero_limit_overflows_total", &[]);
    for number in 0..6_000 {
        let request = from(&format!("2001:db8::{number:x}"), "/x");
        assert_eq!(client.send(&request).status, 200);
    }
    assert!(overflows() >= 6_001.0 - 4_096.0, "{}", overflows());
    assert_eq!(
        client.send(&first).status,
        429,
        "whoever was there is limited"
    );
    let before = overflows();
    edge.advance_secs(3_600);
    for number in 0..100 {
        let request = from(&format!("2001:db8:1::{number:x}"), "/x");
        assert_eq!(edge.client().send(&request).status, 200);
        assert_eq!(edge.client().send(&request).status, 429);
    }
    assert_eq!(overflows(), before);
}

#[test]
fn limits_change_at_a_reload_and_keep_what_clients_have_used() {
    let origin = origin();
    let builder = |burst: u32| {
        let keys = format!("requests = 1\nper = \"1h\"\nburst = {burst}");
        limited(&origin, &keys)
    };
    let edge = builder(2).start();
    let request = from("192.0.2.1", "/x");
    assert_eq!(let_in(&edge, &request, 3), 2);
    assert_eq!(edge.reload(&builder(3)).unwrap(), Vec::<String>::new());
    assert_eq!(let_in(&edge, &request, 3), 1);
    assert_eq!(refused(&edge, "refused"), 3.0);
    edge.reload(&Edge::before(&origin).server(BEHIND_A_PROXY))
        .unwrap();
    assert_eq!(let_in(&edge, &request, 5), 5);
}

#[test]
fn the_client_of_a_proxy_header_is_limited_and_an_unknown_one_is_not() {
    let origin = origin();
    let folder = folder();
    let path = folder.path().join("http.sock");
    let listeners = format!(
        "[[server.listener]]\naddress = \"127.0.0.1:0\"\nproxy_protocol = [\"127.0.0.1\"]\n\
         [[server.listener]]\naddress = \"unix:{}\"",
        path.display()
    );
    let edge = Edge::before(&origin)
        .server(&listeners)
        .section("[[limit]]\nname = \"pages\"\nrequests = 1\nper = \"1h\"")
        .start();
    let address: SocketAddr = edge.addresses()[1];
    for (client, expected) in [("192.0.2.1", 200), ("192.0.2.2", 200), ("192.0.2.1", 429)] {
        let mut connection = Client::connect(address);
        connection.write(format!("PROXY TCP4 {client} 10.0.0.1 1 2\r\n"));
        assert_eq!(connection.send(&get("/x")).status, expected, "{client}");
    }
    for _ in 0..3 {
        use std::io::{Read, Write};
        let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let request = get("/x").header("Connection", "close").to_bytes();
        stream.write_all(&request).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    }
}

#[test]
fn plans_are_not_limited_and_an_explanation_names_the_limits() {
    let origin = origin();
    let plan = "[[warm]]\nname = \"plan\"\nsite = \"site\"\nurls = [\"/1\", \"/2\", \"/3\"]";
    let keys = "requests = 1\nper = \"1h\"\nmatch = [\"/1\", \"/2\", \"/3\"]";
    let edge = limited(&origin, keys).section(plan).start();
    assert_eq!(edge.admin_post("/warm/plan", "").status, 202);
    eventually("all are fetched", || origin.total() == 3);
    let explained = |target: &str| {
        let question = format!("{{\"url\": \"http://www.example{target}\"}}");
        edge.admin_post("/explain", &question).text()
    };
    assert!(
        explained("/1").contains("pages: 1 per 3600s for each client, 1 at once"),
        "{}",
        explained("/1")
    );
    assert!(!explained("/4").contains("for each client"));
}

#[test]
fn the_log_names_a_limit_and_its_client_once_a_minute() {
    let origin = origin();
    let limit = "\n[[limit]]\nname = \"pages\"\nrequests = 1\nper = \"1h\"\n";
    let serving = Serving::start(&configuration(&origin, limit));
    let mut client = serving.client();
    let statuses = [(); 3].map(|()| client.send(&get("/x")).status);
    assert_eq!(statuses, [200, 429, 429]);
    let line = serving.line_with(&["a client is over a limit", "limit=pages", "127.0.0.1"]);
    assert!(line.contains("left_out=0"), "{line}");
    let metric = "tero_limited_requests_total{limit=\"pages\",mode=\"refused\"}";
    assert_eq!(serving.metric(metric), Some(2.0));
}
