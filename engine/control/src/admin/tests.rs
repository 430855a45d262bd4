//! The interface over its socket, in front of an edge with a small origin.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

use crate::build_info::BuildInfo;
use crate::serve::{Server, serve};
use tero_admin_api::endpoints::ALL;
use tero_admin_api::{
    Answer, PoliciesResponse, Problem, PurgeResponse, RunState, StartWarmResponse, StatsResponse,
    WarmPlansResponse, WarmRunReport, WarmRunsResponse,
};
use tero_config::Config;
use tero_policy_host::Compiler;
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;

/// An edge with two sites, in front of an origin that answers every request with a storable page.
fn edge(admin: &str) -> Server {
    let origin = origin();
    let text = format!(
        r#"
[server]
listen = ["127.0.0.1:0"]
workers = 1
drain = "1s"
[admin]
listen = "127.0.0.1:0"
{admin}
[policies]
compiled_cache = ""
[[site]]
name = "shop"
hosts = ["shop.example"]
origins = ["http://{origin}"]
[[site]]
name = "blog"
hosts = ["blog.example"]
origins = ["http://{origin}"]
[[warm]]
name = "opening"
site = "shop"
urls = ["/one", "/two"]
"#
    );
    let config = Config::parse(&text, "tero.toml", Path::new("")).unwrap();
    serve(
        config,
        Clock::by_hand(Timestamp::from_unix_secs(1_795_608_000)),
        &Compiler::InProcess,
        BuildInfo::default(),
    )
    .unwrap()
}

fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut read = Vec::new();
                let mut buffer = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut buffer) {
                    read.extend_from_slice(&buffer[..length]);
                    while let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                        read.drain(..end + 4);
                        let answer = "HTTP/1.1 200 OK\r\ncache-control: max-age=600\r\ncontent-length: 4\r\n\r\npage";
                        if stream.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    address
}

/// Sends `request` unchanged, and returns status, head and content.
fn send(address: SocketAddr, request: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(std::time::Duration::from_secs(10)))
        .unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    let (head, content) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    (status, head.to_ascii_lowercase(), content.to_owned())
}

fn get(server: &Server, path: &str) -> (u16, String, String) {
    let address = server.admin_address();
    send(
        address,
        &format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"),
    )
}

fn post(server: &Server, path: &str, content: &str) -> (u16, String) {
    let address = server.admin_address();
    let length = content.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    let (status, _, content) = send(address, &format!("{head}{content}"));
    (status, content)
}

#[track_caller]
fn read<A: Answer>(content: &str) -> A {
    A::read(content.as_bytes()).unwrap_or_else(|error| panic!("{error}: {content}"))
}

/// Purges, and returns the number of purged responses.
#[track_caller]
fn purge(server: &Server, content: &str) -> u64 {
    let (status, answer) = post(server, "/purge", content);
    assert_eq!(status, 200, "{content}: {answer}");
    read::<PurgeResponse>(&answer).purged
}

/// A visitor's request; returns its `Cache-Status`.
fn visit(server: &Server, host: &str, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    let (status, head, _) = send(server.addresses()[0], &request);
    assert_eq!(status, 200, "{head}");
    head.lines()
        .find_map(|line| line.strip_prefix("cache-status: "))
        .unwrap_or_default()
        .to_owned()
}

fn is_hit(server: &Server, host: &str, path: &str) -> bool {
    visit(server, host, path).contains("; hit")
}

#[test]
fn health_and_readiness_answer() {
    let server = edge("");
    assert_eq!(get(&server, "/health").0, 200);
    let (status, head, content) = get(&server, "/ready");
    assert_eq!((status, content.trim()), (200, r#"{"status":"ready"}"#));
    assert!(
        head.contains("content-type: application/json") && head.contains("cache-control: no-store")
    );
}

#[test]
fn a_url_is_purged_alone() {
    let server = edge("");
    for path in ["/a", "/b"] {
        assert!(!is_hit(&server, "shop.example", path));
        assert!(is_hit(&server, "shop.example", path));
    }
    assert_eq!(
        purge(&server, r#"{"url": "https://Shop.Example:8080/a"}"#),
        1
    );
    assert!(is_hit(&server, "shop.example", "/b"));
    assert!(!is_hit(&server, "shop.example", "/a"));
}

#[test]
fn prefixes_and_sites_are_purged_alone() {
    let server = edge("");
    for (host, path) in [
        ("shop.example", "/img/1"),
        ("shop.example", "/img/2"),
        ("shop.example", "/x"),
        ("blog.example", "/img/1"),
    ] {
        visit(&server, host, path);
    }
    assert_eq!(
        purge(&server, r#"{"prefix": "http://shop.example/img/"}"#),
        2
    );
    assert!(is_hit(&server, "shop.example", "/x"));
    assert!(is_hit(&server, "blog.example", "/img/1"));
    assert_eq!(purge(&server, r#"{"site": "blog"}"#), 1);
    assert!(!is_hit(&server, "blog.example", "/img/1"));
    assert!(is_hit(&server, "shop.example", "/x"));
}

#[test]
fn a_softly_purged_response_is_revalidated() {
    let server = edge("");
    visit(&server, "shop.example", "/a");
    assert_eq!(
        purge(&server, r#"{"url": "http://shop.example/a", "soft": true}"#),
        1
    );
    let told = visit(&server, "shop.example", "/a");
    assert!(told.contains("fwd=stale"), "{told}");
}

#[test]
fn a_purge_without_a_target_or_with_several_purges_nothing() {
    let server = edge("");
    visit(&server, "shop.example", "/a");
    for (content, expected) in [
        ("{}", 400),
        ("", 400),
        (r#"{"soft": true}"#, 400),
        (r#"{"url": "http://shop.example/a", "site": "shop"}"#, 400),
        (r#"{"url": "/a"}"#, 400),
        (r#"{"prefix": "http://shop"}"#, 400),
        (r#"{"prefix": "http"}"#, 400),
        (r#"{"tag": "a b"}"#, 400),
        (r#"{"urls": []}"#, 400),
        (r#"{"url": "http://other.example/a"}"#, 404),
        (r#"{"site": "other"}"#, 404),
    ] {
        let (status, answer) = post(&server, "/purge", content);
        assert_eq!(status, expected, "{content}: {answer}");
        let problem: Problem = read(&answer);
        assert!(
            !problem.error.is_empty() && !problem.cure.is_empty(),
            "{content}: {answer}"
        );
    }
    assert!(is_hit(&server, "shop.example", "/a"));
}

#[test]
fn figures_add_up_in_stats_and_metrics() {
    let server = edge("");
    visit(&server, "shop.example", "/a");
    visit(&server, "shop.example", "/a");
    visit(&server, "shop.example", "/a");
    visit(&server, "blog.example", "/a");
    let stats: StatsResponse = read(&get(&server, "/stats").2);
    let shop = &stats.sites[0];
    assert_eq!((shop.site.as_str(), shop.figures.requests), ("shop", 3));
    assert_eq!(shop.figures.hit_rate, Some(0.6667));
    let outcomes = &shop.figures.outcomes;
    assert_eq!((outcomes.hit, outcomes.miss), (2, 1));
    let first = &shop.variants[0];
    assert_eq!((&first.variant, first.figures.requests), (&None, 3));
    let hours = shop.hours.iter().map(|hour| hour.figures.requests);
    assert_eq!(hours.sum::<u64>(), 3);
    assert_eq!(stats.cache.entries, 2);

    let (status, head, text) = get(&server, "/metrics");
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/plain; version=0.0.4"));
    for line in [
        r#"tero_requests_total{site="shop",outcome="hit",variant=""} 2"#,
        r#"tero_requests_total{site="shop",outcome="miss",variant=""} 1"#,
        r#"tero_requests_total{site="blog",outcome="miss",variant=""} 1"#,
        r#"tero_response_bytes_total{site="shop",outcome="hit",variant=""} 8"#,
        r#"tero_origin_requests_total{site="shop",status="2xx"} 1"#,
        r#"tero_request_seconds_count{site="shop"} 3"#,
        r#"tero_request_seconds_bucket{le="+Inf",site="shop"} 3"#,
        "tero_cache_entries 2",
        "tero_cache_evictions_total 0",
        "# TYPE tero_decision_cache_hits_total counter",
    ] {
        assert!(
            text.lines().any(|shown| shown == line),
            "{line} is not in\n{text}"
        );
    }
}

#[test]
fn a_started_plan_reports_its_progress() {
    let server = edge("");
    assert_eq!(get(&server, "/ready?plan=opening").0, 503);
    assert_eq!(get(&server, "/ready?plan=closing").0, 404);
    assert_eq!(get(&server, "/ready?plans").0, 400);
    let (status, answer) = post(&server, "/warm/opening", "");
    assert_eq!((status, read::<StartWarmResponse>(&answer).run), (202, 1));
    let report = || read::<WarmRunReport>(&get(&server, "/warm/runs/1").2);
    // The plan's pace follows the clock, which stands still until the test turns it.
    while !report().state.is_over() {
        server
            .edge()
            .clock
            .advance(std::time::Duration::from_millis(100));
    }
    let report = report();
    assert_eq!(
        (report.state, report.fetched),
        (RunState::Done, 2),
        "{report:?}"
    );
    assert_eq!(get(&server, "/ready?plan=opening").0, 200);
    assert!(is_hit(&server, "shop.example", "/one"));
    let runs: WarmRunsResponse = read(&get(&server, "/warm/runs").2);
    assert_eq!(runs.runs[0].used_later, 1);
    let plans: WarmPlansResponse = read(&get(&server, "/warm").2);
    assert_eq!(plans.plans[0].name, "opening");
    let metrics = get(&server, "/metrics").2;
    for line in [
        r#"tero_warm_urls_total{plan="opening",result="fetched"} 2"#,
        r#"tero_warm_used_total{plan="opening"} 1"#,
    ] {
        assert!(
            metrics.lines().any(|shown| shown == line),
            "{line} is not in\n{metrics}"
        );
    }
}

#[test]
fn the_token_is_needed_for_all_but_the_probes() {
    let server = edge("token = \"0123456789abcdef\"");
    let address = server.admin_address();
    assert_eq!(get(&server, "/health").0, 200);
    assert_eq!(get(&server, "/ready").0, 200);
    for path in [
        "/metrics",
        "/stats",
        "/policies",
        "/openapi.json",
        "/warm",
        "/warm/runs",
        "/nothing",
    ] {
        let (status, head, _) = get(&server, path);
        assert_eq!(status, 401, "{path}");
        assert!(head.contains("www-authenticate: bearer"));
    }
    assert_eq!(post(&server, "/purge", r#"{"site": "shop"}"#).0, 401);
    let with_token = format!(
        "GET /stats HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer 0123456789abcdef\r\nconnection: close\r\n\r\n"
    );
    assert_eq!(send(address, &with_token).0, 200);
}

#[test]
fn a_page_in_a_browser_cannot_purge() {
    let server = edge("");
    visit(&server, "shop.example", "/a");
    let address = server.admin_address();
    let content = r#"{"site": "shop"}"#;
    for fields in [
        format!("host: {address}\r\norigin: https://evil.example"),
        format!("host: rebound.evil.example:{}", address.port()),
        format!("host: {address}\r\nsec-fetch-site: cross-site"),
    ] {
        let request = format!(
            "POST /purge HTTP/1.1\r\n{fields}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{content}",
            content.len()
        );
        assert_eq!(send(address, &request).0, 403, "{fields}");
    }
    assert!(is_hit(&server, "shop.example", "/a"));
}

#[test]
fn unknown_requests_are_refused_with_a_cure() {
    let server = edge("");
    let (status, _, content) = get(&server, "/nothing");
    assert_eq!(status, 404);
    assert!(content.contains("openapi.json"));
    let (status, head, _) = get(&server, "/purge");
    assert_eq!(status, 405);
    assert!(head.contains("allow: post"));
    assert_eq!(post(&server, "/warm/none", "").0, 404);
    for run in ["99", "x", "-1"] {
        assert_eq!(get(&server, &format!("/warm/runs/{run}")).0, 404, "{run}");
    }
    let (status, _) = post(&server, "/purge", &"x".repeat(super::MAX_BODY_BYTES + 1));
    assert_eq!(status, 413);
    assert_eq!(get(&server, "/openapi.json").2, tero_admin_api::OPENAPI);
    let (status, _, policies) = get(&server, "/policies");
    assert_eq!(status, 200);
    assert_eq!(read::<PoliciesResponse>(&policies).policies, []);
}

#[test]
fn a_head_has_no_content() {
    let server = edge("");
    let address = server.admin_address();
    let (status, head, content) = send(
        address,
        &format!("HEAD /stats HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"),
    );
    assert_eq!((status, content.as_str()), (200, ""));
    assert!(head.contains("content-length: "));
}

#[test]
fn malformed_requests_are_refused_and_the_interface_survives() {
    let server = edge("");
    for request in ["\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"] {
        assert!(
            matches!(send(server.admin_address(), request).0, 0 | 400),
            "{request}"
        );
    }
    let many: String = (0..200)
        .map(|number| format!("x-{number}: y\r\n"))
        .collect();
    assert_eq!(
        send(
            server.admin_address(),
            &format!("GET /health HTTP/1.1\r\nhost: a\r\n{many}\r\n")
        )
        .0,
        431
    );
    assert_eq!(get(&server, "/health").0, 200);
}

#[test]
fn the_interface_ends_with_the_edge() {
    let server = edge("");
    let address = server.admin_address();
    server.shutdown();
    server.wait();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn every_endpoint_of_the_contract_has_a_route_and_every_route_is_one() {
    let by_name = |mut endpoints: Vec<tero_admin_api::EndpointInfo>| {
        endpoints.sort_by_key(|endpoint| endpoint.name);
        endpoints
    };
    let routes = super::router().endpoints().cloned().collect();
    assert_eq!(by_name(routes), by_name(ALL.to_vec()));
}
