use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::*;
use tero_admin_api::client::Client;
use tero_admin_api::endpoints::{StartWarm, WarmRun};
use tero_admin_api::{RunState, StartWarmRequest};

fn places() -> DemoAddresses {
    let at = |port| SocketAddr::new(LOOPBACK, port);
    DemoAddresses {
        edge: at(18_080),
        admin: at(19_090),
        origin: at(13_000),
    }
}

#[test]
fn the_imported_rules_come_first_and_then_the_popular_pages() {
    let config = configuration(&places()).unwrap();
    let names: Vec<&str> = config.sites[0]
        .policies
        .iter()
        .map(|name| &**name)
        .collect();
    assert_eq!(names, ["rules", "popular"]);
    assert_eq!(config.sites[0].hosts, ["127.0.0.1", "localhost", "*"]);
    assert_eq!(config.server.listen, [places().edge]);
    assert_eq!(config.admin.listen.tcp(), Some(places().admin));
    assert_eq!(config.sites[0].origins[0].to_string(), "127.0.0.1:13000");
    let plans: Vec<&str> = config.plans.iter().map(|plan| &*plan.name).collect();
    assert_eq!(plans, ["apertura", "mediodia"]);
}

#[test]
fn a_given_address_that_is_taken_is_refused_with_a_cure() {
    let taken = TcpListener::bind((LOOPBACK, 0)).unwrap();
    let error = place("--listen", Some(taken.local_addr().unwrap()), 8080).unwrap_err();
    assert!(
        error.contains("give another address with --listen"),
        "{error}"
    );
}

#[test]
fn a_usual_port_that_is_taken_is_replaced_by_a_free_one() {
    let taken = TcpListener::bind((LOOPBACK, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let other = place("--listen", None, port).unwrap();
    assert_ne!(other.port(), port);
    assert!(TcpListener::bind(other).is_ok());
}

#[test]
fn a_wildcard_address_is_reached_on_loopback() {
    assert_eq!(
        reachable("0.0.0.0:80".parse().unwrap()).to_string(),
        "127.0.0.1:80"
    );
    assert_eq!(
        reachable("[::]:80".parse().unwrap()).to_string(),
        "127.0.0.1:80"
    );
    assert_eq!(
        reachable("10.1.2.3:80".parse().unwrap()).to_string(),
        "10.1.2.3:80"
    );
}

#[test]
fn every_address_stands_in_the_guide() {
    let text = guide::text(
        &places(),
        tero_semantics::timestamp::Timestamp::from_unix_secs(1_795_000_000),
        false,
    );
    for address in [
        "http://127.0.0.1:18080/",
        "http://127.0.0.1:19090/stats",
        "http://127.0.0.1:13000/_demo/fail",
    ] {
        assert!(text.contains(address), "{address}");
    }
    assert!(
        !text.contains('{') || text.contains(r#"{"tag": "paginas"#),
        "{text}"
    );
}

/// The demo without its terminal.
struct RunningDemo {
    origin: DemoOrigin,
    server: crate::Server,
}

fn running() -> RunningDemo {
    let clock = Clock::real();
    let any = SocketAddr::new(LOOPBACK, 0);
    let origin = DemoOrigin::start(any, clock.clone()).unwrap();
    let mut config = configuration(&DemoAddresses {
        edge: any,
        admin: any,
        origin: origin.address(),
    })
    .unwrap();
    config.server.workers = 1;
    config.policy_host.compiled_cache = None;
    RunningDemo {
        server: crate::serve(config, clock, &tero_policy_host::Compiler::InProcess).unwrap(),
        origin,
    }
}

impl RunningDemo {
    fn site(&self, request: &str) -> String {
        exchange(self.server.addresses()[0], request)
    }

    fn admin(&self, request: &str) -> String {
        exchange(self.server.admin_address(), request)
    }
}

/// Sends one request, with fields after its line and content after an empty one, and reads until
/// the other side closes.
fn exchange(address: SocketAddr, request: &str) -> String {
    let (head, content) = request.split_once("\n\n").unwrap_or((request, ""));
    let (line, fields) = head.split_once('\n').unwrap_or((head, ""));
    let fields: String = fields.lines().map(|field| format!("{field}\r\n")).collect();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "{line} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: {}\r\n{fields}\r\n{content}",
        content.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn status_of(answer: &str) -> &str {
    answer
        .lines()
        .find_map(|line| line.strip_prefix("cache-status: "))
        .unwrap_or_default()
}

fn content(answer: &str) -> &str {
    answer
        .split_once("\r\n\r\n")
        .map_or("", |(_, content)| content)
}

#[test]
fn the_guide_promises_what_happens() {
    let demo = running();
    let page = "GET /barberias/palermo";

    let first = demo.site(page);
    assert!(
        status_of(&first).contains("fwd=uri-miss")
            && status_of(&first).contains("rules: shop-pages"),
        "1: {first}"
    );
    assert!(status_of(&demo.site(page)).starts_with("tero; hit"), "1");

    let phone = demo.site(&format!("{page}\nuser-agent: {}", guide::PHONE));
    assert!(
        content(&first).contains("versión para desktop")
            && content(&phone).contains("versión para mobile"),
        "2: {phone}"
    );

    assert!(
        status_of(&demo.site(&format!("{page}?utm_source=instagram&gclid=1")))
            .starts_with("tero; hit"),
        "3"
    );

    demo.site("GET /api/v1/disponibilidad/palermo");
    assert!(
        status_of(&demo.site("GET /api/v1/disponibilidad/palermo")).contains("hit"),
        "4"
    );

    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| demo.site("GET /api/v1/disponibilidad/recoleta"));
        }
    });
    let asked = exchange(demo.origin.address(), "GET /_demo/requests");
    assert!(
        asked.contains(r#""/api/v1/disponibilidad/recoleta": 1"#),
        "5: {asked}"
    );

    let payment = "POST /api/v1/pagos/crear";
    assert_ne!(
        content(&demo.site(payment)),
        content(&demo.site(payment)),
        "6"
    );
    assert!(
        status_of(&demo.site("GET /checkout/palermo")).contains("fwd=bypass"),
        "6"
    );

    let purged = demo.admin("POST /purge\n\n{\"tag\": \"paginas\"}");
    assert!(content(&purged).contains(r#""purged":2"#), "7: {purged}");
    assert!(status_of(&demo.site(page)).contains("fwd=uri-miss"), "7");

    warm(&demo);
    assert!(
        status_of(&demo.site("GET /barberias/rosario")).starts_with("tero; hit"),
        "8"
    );

    exchange(demo.origin.address(), "POST /_demo/fail");
    demo.admin("POST /purge\n\n{\"tag\": \"paginas\", \"soft\": true}");
    assert!(demo.site(page).starts_with("HTTP/1.1 200 "), "9");
    assert!(demo.site(payment).starts_with("HTTP/1.1 503 "), "9");

    let stats = demo.admin("GET /stats");
    assert!(
        content(&stats).contains(r#""variant":"mobile""#),
        "10: {stats}"
    );
}

/// Runs the plan of item 8 to its end.
fn warm(demo: &RunningDemo) {
    let admin = format!("http://{}", demo.server.admin_address());
    let client = Client::new(&admin, None).unwrap();
    let request = StartWarmRequest::default();
    let run = client
        .call::<StartWarm>(&["apertura"], &request)
        .unwrap()
        .run
        .to_string();
    loop {
        let report = client.call::<WarmRun>(&[&run], &()).unwrap();
        if report.state.is_over() {
            assert_eq!(
                (report.state, report.failed),
                (RunState::Done, 0),
                "{report:?}"
            );
            return;
        }
        std::thread::yield_now();
    }
}
