use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::visitors::{DemoTraffic, Visitors};
use super::*;
use tero_semantics::timestamp::Timestamp;

/// An origin without real delays: a thread turns its clock.
fn origin() -> DemoOrigin {
    let clock = Clock::by_hand(Timestamp::from_unix_secs(1_795_000_000));
    let origin = DemoOrigin::start(SocketAddr::from(([127, 0, 0, 1], 0)), clock.clone()).unwrap();
    let state = Arc::downgrade(&origin.state);
    std::thread::spawn(move || {
        while state.strong_count() > 0 {
            clock.advance(Duration::from_millis(100));
            std::thread::yield_now();
        }
    });
    origin
}

/// Sends a request and reads until the origin closes the connection.
fn ask(origin: &DemoOrigin, request: &str) -> String {
    let mut stream = TcpStream::connect(origin.address()).unwrap();
    let (line, fields) = request.split_once('\n').unwrap_or((request, ""));
    let fields: String = fields
        .lines()
        .map(|field| format!("{}\r\n", field.trim()))
        .collect();
    write!(
        stream,
        "{line} HTTP/1.1\r\nhost: www.barberpro.com.ar\r\nconnection: close\r\n{fields}\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let (head, _) = answer.split_once("\r\n\r\n")?;
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

#[test]
fn every_page_of_the_sitemap_exists_with_validators_and_a_lifetime() {
    let origin = origin();
    let sitemap = ask(&origin, "GET /sitemap.xml");
    let pages: Vec<&str> = sitemap
        .split("<loc>http://www.barberpro.com.ar")
        .skip(1)
        .filter_map(|rest| rest.split('<').next())
        .collect();
    assert_eq!(pages.len(), 27);
    for page in pages {
        let answer = ask(&origin, &format!("GET {page}"));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{page}: {answer}");
        assert!(
            field(&answer, "etag").is_some() && field(&answer, "last-modified").is_some(),
            "{page}"
        );
        assert_eq!(
            field(&answer, "cache-control"),
            Some("public, max-age=30"),
            "{page}"
        );
        for linked in ["/img/", "/assets/"] {
            for path in body(&answer)
                .split(&format!("\"{linked}"))
                .skip(1)
                .filter_map(|rest| rest.split('"').next())
            {
                let answer = ask(&origin, &format!("GET {linked}{path}"));
                assert!(
                    answer.starts_with("HTTP/1.1 200 "),
                    "{page} links {linked}{path}: {answer}"
                );
            }
        }
    }
}

#[test]
fn pages_and_images_differ_by_tero_variant() {
    let origin = origin();
    for path in ["/", "/barberias/palermo", "/img/palermo.svg"] {
        let desktop = ask(&origin, &format!("GET {path}"));
        let mobile = ask(&origin, &format!("GET {path}\ntero-variant: mobile"));
        assert_ne!(body(&desktop), body(&mobile), "{path}");
        assert_ne!(field(&desktop, "etag"), field(&mobile, "etag"), "{path}");
        assert!(body(&mobile).len() < body(&desktop).len(), "{path}");
        assert_eq!(
            body(&mobile),
            body(&ask(
                &origin,
                &format!("GET {path}\ntero-variant: evening+mobile")
            )),
            "{path}"
        );
    }
}

#[test]
fn pages_link_the_dashboard() {
    let origin = origin();
    let page = ask(&origin, "GET /");
    assert!(body(&page).contains("href=\"/tablero\""), "{page}");
    assert!(ask(&origin, "GET /tablero").starts_with("HTTP/1.1 404"));
    origin.link_dashboard("http://127.0.0.1:9090/").unwrap();
    let answer = ask(&origin, "GET /tablero");
    assert!(answer.starts_with("HTTP/1.1 302"), "{answer}");
    assert_eq!(field(&answer, "location"), Some("http://127.0.0.1:9090/"));
    assert_eq!(field(&answer, "cache-control"), Some("no-store"));
    assert!(origin.link_dashboard("a\nb").is_err());
}

#[test]
fn matching_validators_get_a_304() {
    let origin = origin();
    let tag = field(&ask(&origin, "GET /barberias/palermo"), "etag")
        .unwrap()
        .to_owned();
    let conditional = |fields: &str| ask(&origin, &format!("GET /barberias/palermo\n{fields}"));
    let matching = conditional(&format!("if-none-match: \"other\", W/{tag}"));
    assert!(matching.starts_with("HTTP/1.1 304 "), "{matching}");
    assert_eq!(body(&matching), "");
    assert_eq!(field(&matching, "etag"), Some(&*tag));
    assert!(conditional("if-none-match: \"other\"").starts_with("HTTP/1.1 200 "));
    assert!(
        conditional("if-modified-since: Mon, 02 Mar 2026 12:00:00 GMT")
            .starts_with("HTTP/1.1 304 ")
    );
    assert!(
        conditional("if-modified-since: Mon, 02 Mar 2026 11:59:59 GMT")
            .starts_with("HTTP/1.1 200 ")
    );
    assert!(
        conditional("if-none-match: \"other\"\nif-modified-since: Mon, 02 Mar 2026 12:00:00 GMT")
            .starts_with("HTTP/1.1 200 ")
    );
}

#[test]
fn payments_claim_to_be_storable_but_always_differ() {
    let origin = origin();
    for request in [
        "POST /api/v1/pagos/crear",
        "GET /api/v1/pagos/estado",
        "GET /checkout/palermo",
    ] {
        let (first, second) = (ask(&origin, request), ask(&origin, request));
        assert_eq!(
            field(&first, "cache-control"),
            Some("public, max-age=3600"),
            "{request}"
        );
        assert_ne!(body(&first), body(&second), "{request}");
    }
}

#[test]
fn each_visitor_sees_its_own_account_page() {
    let origin = origin();
    assert!(
        body(&ask(
            &origin,
            "GET /mi-cuenta/turnos\ncookie: a=1; usuario=ana"
        ))
        .contains("Hola, ana")
    );
    assert!(body(&ask(&origin, "GET /mi-cuenta/turnos\ncookie: usuario=<b>")).contains("Hola, b<"));
    assert!(body(&ask(&origin, "GET /mi-cuenta/turnos")).contains("Hola, visita"));
}

#[test]
fn every_response_says_how_many_requests_its_path_got() {
    let origin = origin();
    for expected in ["1", "2", "3"] {
        assert_eq!(
            field(
                &ask(&origin, "GET /api/v1/disponibilidad/palermo?dia=1"),
                REQUESTS_FIELD
            ),
            Some(expected)
        );
    }
    assert_eq!(field(&ask(&origin, "GET /"), REQUESTS_FIELD), Some("1"));
    assert_eq!(origin.requests(), 4);
    let report: serde_json::Value =
        serde_json::from_str(body(&ask(&origin, "GET /_demo/requests"))).unwrap();
    assert_eq!(report["total"], 4);
    assert_eq!(report["paths"]["/api/v1/disponibilidad/palermo"], 3);
}

#[test]
fn the_origin_fails_and_recovers_on_direct_requests_only() {
    let origin = origin();
    assert!(ask(&origin, "POST /_demo/fail\nvia: 1.1 tero").starts_with("HTTP/1.1 404 "));
    assert!(ask(&origin, "GET /").starts_with("HTTP/1.1 200 "));
    assert!(ask(&origin, "POST /_demo/fail").starts_with("HTTP/1.1 200 "));
    assert!(ask(&origin, "GET /").starts_with("HTTP/1.1 503 "));
    assert!(ask(&origin, "POST /_demo/close").starts_with("HTTP/1.1 200 "));
    assert_eq!(ask(&origin, "GET /"), "");
    assert!(ask(&origin, "POST /_demo/recover").starts_with("HTTP/1.1 200 "));
    assert!(ask(&origin, "GET /").starts_with("HTTP/1.1 200 "));
}

#[test]
fn unknown_paths_methods_and_long_bodies_are_refused() {
    let origin = origin();
    for path in [
        "/barberias/nadie",
        "/img/nadie.svg",
        "/img/palermo.png",
        "/api/v1/disponibilidad/nadie",
        "/wp-login.php",
    ] {
        assert!(
            ask(&origin, &format!("GET {path}")).starts_with("HTTP/1.1 404 "),
            "{path}"
        );
    }
    assert!(ask(&origin, "DELETE /barberias/palermo").starts_with("HTTP/1.1 405 "));
    let large = format!("POST /api/v1/pagos/crear\ncontent-length: {}", MAX_BODY + 1);
    assert!(ask(&origin, &large).starts_with("HTTP/1.1 413 "));
}

#[test]
fn a_dropped_origin_stops_listening() {
    let origin = origin();
    let address = origin.address();
    drop(origin);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn visitors_only_request_what_the_site_has() {
    let clock = Clock::real();
    let origin = DemoOrigin::start(SocketAddr::from(([127, 0, 0, 1], 0)), clock.clone()).unwrap();
    let traffic = DemoTraffic {
        visitors: 40,
        seed: 1,
        pause: Duration::ZERO,
        host: "localhost".to_owned(),
    };
    let visitors = Visitors::start(origin.address(), traffic, clock).unwrap();
    while visitors.answered() < 300 && visitors.failed() == 0 {
        std::thread::yield_now();
    }
    assert_eq!(visitors.failed(), 0);
    drop(visitors);
    assert!(origin.requests() >= 300);
}
