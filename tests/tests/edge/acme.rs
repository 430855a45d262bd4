//! Certificates by ACME, from Debian's `pebble` and from a directory that misbehaves.

mod pebble;
mod scripted;

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustls::SignatureScheme;
use rustls::pki_types::CertificateDer;
use tero_admin_api::AcmeReport;
use tero_admin_api::endpoints::Certificates;
use tero_tests::{Client, Edge, EdgeBuilder, GUARD, HOST, Origin, Reply, folder, get};
use x509_parser::prelude::FromDer as _;

use pebble::{Pebble, PebbleManners, PebblePlace, is_installed};
use scripted::ScriptedDirectory;

use crate::tls::visitor::Visitor;

/// An edge with a plain listener, one with certificates by ACME, and a state directory.
fn edge(origin: &Origin, acme: &str, state: &Path) -> EdgeBuilder {
    Edge::before(origin)
        .server("[[server.listener]]\naddress = \"127.0.0.1:0\"\ntls = \"acme\"")
        .section(acme)
        .state_dir(state)
        .at(&now())
}

/// The local time of the tests' zone, as the directory's clock shows it.
fn now() -> String {
    let now = tero_time::clock::Clock::real().now();
    let zone = tero_tests::ART.parse().unwrap();
    let local = tero_time::zones::local(now, zone).naive_local();
    local.format("%Y-%m-%dT%H:%M:%S").to_string()
}

fn tls_address(edge: &Edge) -> SocketAddr {
    edge.addresses()[1]
}

/// Turns the clock slowly, since the directory has a clock of its own, until a condition is met.
#[track_caller]
#[allow(clippy::disallowed_methods)] // It gives the directory time; no test depends on its length.
fn slowly_until(edge: &Edge, what: &str, mut met: impl FnMut() -> bool) {
    let begin = Instant::now();
    while begin.elapsed() < 3 * GUARD {
        if met() {
            return;
        }
        edge.advance_secs(1);
        std::thread::sleep(Duration::from_millis(40));
    }
    panic!(
        "still waiting: {what}: {:?}",
        edge.call::<Certificates>(&[], &())
    );
}

fn report(edge: &Edge, name: &str) -> AcmeReport {
    let mut all = edge.call::<Certificates>(&[], &()).acme.into_iter();
    all.find(|report| report.name == name).unwrap()
}

fn wait_for_certificate(edge: &Edge, name: &str) {
    slowly_until(edge, "a certificate", || {
        report(edge, name).not_after.is_some()
    });
}

/// The certificate that a listener shows for a name; the error of the handshake without one.
fn shown_certificate(address: SocketAddr, name: &str) -> Result<CertificateDer<'static>, String> {
    let visitor = Visitor::trusting(name, &[SignatureScheme::ECDSA_NISTP256_SHA256]);
    let secure = visitor.try_connect(address);
    let secure = secure.map_err(|error| error.to_string())?;
    let shown = secure.certificate();
    assert_eq!(Client::over(secure).send(&get("/page")).status, 200);
    Ok(shown)
}

fn serial(certificate: &CertificateDer<'_>) -> String {
    let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(certificate).unwrap();
    parsed.raw_serial_as_string()
}

fn certificate_file(state: &Path, name: &str) -> PathBuf {
    let mut directories = std::fs::read_dir(state.join("acme")).unwrap();
    let directory = directories.next().unwrap().unwrap().path();
    directory.join(format!("certificates/{name}.pem"))
}

fn origin() -> Origin {
    let origin = Origin::start();
    origin.on("/page", Reply::fresh(3600, "page"));
    origin
}

fn start_pebble(place: &PebblePlace, edge: &Edge, manners: PebbleManners) -> Pebble {
    let addresses = edge.addresses();
    place.start(addresses[0].port(), addresses[1].port(), manners)
}

/// By one way alone, from a directory that is down at first; then a restart without it.
#[track_caller]
fn gets_a_certificate_by(challenge: &str) {
    if !is_installed() {
        return;
    }
    let (origin, state, place) = (origin(), folder(), PebblePlace::new());
    let acme = place.section(&format!("challenges = [\"{challenge}\"]"));
    let edge_before = edge(&origin, &acme, state.path()).start();
    // Until there is a certificate, there is an alert, and the reason is told.
    slowly_until(&edge_before, "a failure", || {
        report(&edge_before, HOST).failures > 0
    });
    let failed = report(&edge_before, HOST);
    assert!(failed.reason.unwrap().contains("can't be reached"));
    assert!(shown_certificate(tls_address(&edge_before), HOST).is_err());
    assert!(edge_before.metric("tero_acme_orders_total", &["outcome=\"failed\""]) > 0.0);
    assert_eq!(edge_before.get("/page").status, 200);

    let pebble = start_pebble(&place, &edge_before, PebbleManners::default());
    wait_for_certificate(&edge_before, HOST);
    let issued = shown_certificate(tls_address(&edge_before), HOST).unwrap();
    let report_now = report(&edge_before, HOST);
    assert_eq!((report_now.failures, report_now.reason), (0, None));
    assert!(edge_before.metric("tero_acme_orders_total", &["outcome=\"issued\""]) >= 1.0);
    // A name that isn't a site's host has none.
    assert!(shown_certificate(tls_address(&edge_before), "other.example").is_err());
    let file = certificate_file(state.path(), HOST);
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);

    drop((pebble, edge_before));
    let edge_after = edge(&origin, &acme, state.path()).start();
    let kept = shown_certificate(tls_address(&edge_after), HOST).unwrap();
    assert_eq!(serial(&kept), serial(&issued));
    edge_after.advance_secs(120);
    assert_eq!(report(&edge_after, HOST).failures, 0);
}

#[test]
fn http_01_gets_a_certificate_that_outlasts_a_restart() {
    gets_a_certificate_by("http-01");
}

#[test]
fn tls_alpn_01_gets_a_certificate_that_outlasts_a_restart() {
    gets_a_certificate_by("tls-alpn-01");
}

#[test]
fn a_certificate_is_renewed_before_it_expires() {
    if !is_installed() {
        return;
    }
    let (origin, state, place) = (origin(), folder(), PebblePlace::new());
    let edge = edge(&origin, &place.section(""), state.path()).start();
    let manners = PebbleManners {
        valid_secs: 3600,
        ..PebbleManners::default()
    };
    let _pebble = start_pebble(&place, &edge, manners);
    wait_for_certificate(&edge, HOST);
    let first = shown_certificate(tls_address(&edge), HOST).unwrap();
    // Two thirds of its lifetime are over, and a tenth of the last one.
    edge.advance_secs(2600);
    slowly_until(&edge, "another certificate", || {
        let shown = shown_certificate(tls_address(&edge), HOST);
        serial(&shown.unwrap()) != serial(&first)
    });
    assert!(edge.metric("tero_acme_orders_total", &["outcome=\"issued\""]) >= 2.0);
}

#[test]
fn hosts_that_a_reload_brings_are_ordered() {
    if !is_installed() {
        return;
    }
    let (origin, state, place) = (origin(), folder(), PebblePlace::new());
    let builder = edge(&origin, &place.section(""), state.path());
    let edge = builder.start();
    let _pebble = start_pebble(&place, &edge, PebbleManners::default());
    wait_for_certificate(&edge, HOST);
    let more = builder.clone().section(&format!(
        "[[site]]\nname = \"more\"\nhosts = [\"more.example:8443\", \"127.0.0.1\", \"localhost\"]\norigins = [\"{}\"]",
        origin.url()
    ));
    edge.reload(&more).unwrap();
    wait_for_certificate(&edge, "more.example");
    let names = edge.call::<Certificates>(&[], &()).acme.into_iter();
    let names: Vec<_> = names.map(|report| report.name).collect();
    assert_eq!(names, ["more.example", HOST]);
    edge.reload(&builder).unwrap();
    assert!(shown_certificate(tls_address(&edge), "more.example").is_err());
}

#[test]
fn refused_nonces_and_failed_checks_are_tried_again() {
    if !is_installed() {
        return;
    }
    let (origin, state, place) = (origin(), folder(), PebblePlace::new());
    let edge = edge(&origin, &place.section(""), state.path()).start();
    let nobody = pebble::free_address().port();
    let wrong = place.start(nobody, nobody, PebbleManners::default());
    slowly_until(&edge, "a failed check", || {
        let reason = report(&edge, HOST).reason.unwrap_or_default();
        reason.contains("connection") || reason.contains("unauthorized")
    });
    drop(wrong);
    let manners = PebbleManners {
        refused_nonces: 15,
        ..PebbleManners::default()
    };
    // It has forgotten the account, too.
    let _pebble = start_pebble(&place, &edge, manners);
    // The pause after the failure.
    edge.advance_secs(330);
    wait_for_certificate(&edge, HOST);
}

#[test]
fn a_directory_that_misbehaves_is_asked_rarely_and_harms_nobody() {
    let (origin, state) = (origin(), folder());
    let directory = ScriptedDirectory::start();
    let edge = edge(&origin, &directory.section(), state.path()).start();
    let mut asked = 0;
    for (answer, words) in [
        ("HTTP/1.1 500 Sorry\r\ncontent-length: 3\r\n\r\nno!", "JSON"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnull", "JSON"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n{",
            "breaks off",
        ),
        ("nonsense\r\n\r\n", "breaks the connection"),
        ("", "breaks the connection"),
        (
            "HTTP/1.1 503 Busy\r\nretry-after: 18446744073709551615\r\ncontent-length: 2\r\n\r\n{}",
            "JSON",
        ),
    ] {
        directory.answer(answer);
        slowly_until(&edge, words, || {
            // Pauses grow to half an hour. A step is shorter than the deadline of a request.
            edge.advance_secs(20);
            let reason = report(&edge, HOST).reason.unwrap_or_default();
            directory.requests() > asked && reason.contains(words)
        });
        asked = directory.requests();
        assert_eq!(edge.get("/page").status, 200);
        assert_eq!(edge.admin_get("/health").status, 200);
    }
    // The last answer has asked for a pause of a week, at the most that is heeded.
    edge.advance_secs(6 * 24 * 3600);
    assert_eq!(directory.requests(), asked);
    // A restart does not ask either.
    drop(edge);
    let edge = crate::acme::edge(&origin, &directory.section(), state.path()).start();
    edge.advance_secs(60);
    assert_eq!(edge.get("/page").status, 200);
    assert_eq!(directory.requests(), asked);
    assert!(report(&edge, HOST).reason.unwrap().contains("JSON"));
}

#[test]
fn only_open_challenges_are_answered() {
    let origin = origin();
    origin.on(
        "/.well-known/acme-challenge/own",
        Reply::ok("the application's"),
    );
    let edge = Edge::before(&origin).start();
    let answer = edge.send(&get("/.well-known/acme-challenge/own"));
    assert_eq!(answer.text(), "the application's");
}
