//! Certificates that are renewed, and files that go bad.

use rustls::SignatureScheme::ECDSA_NISTP256_SHA256;
use tero_admin_api::endpoints::Events;
use tero_tests::{Edge, HOST, Origin, Reply, eventually, folder, get};

use super::authority::{Authority, Issued, listener, names, write};
use super::visitor::Visitor;
use super::{SecureEdge, secure_address};

/// Whether new connections get this certificate.
fn has(edge: &Edge, expected: &Issued) -> bool {
    let visitor = Visitor::trusting(HOST, &[ECDSA_NISTP256_SHA256]);
    visitor.connect(secure_address(edge)).certificate() == expected.der
}

fn outdated(edge: &Edge) -> f64 {
    edge.metric("tero_tls_certificates_outdated", &[])
}

fn hello() -> Origin {
    let origin = Origin::start();
    origin.on("/", Reply::fresh(600, "hello"));
    origin
}

#[test]
fn changed_files_are_read_and_open_connections_stay() {
    let origin = hello();
    let secure = SecureEdge::start(&origin);
    let mut client = secure.client();
    client.send(&get("/")).assert_forwarded("uri-miss", "hello");
    let renewed = secure.authority.issue(names(&[HOST]));
    renewed.write(secure.folder.path(), "own");
    secure
        .edge
        .advance_until(60, || has(&secure.edge, &renewed));
    client.send(&get("/")).assert_hit("hello");
    // A session from before goes on, too.
    assert_eq!(outdated(&secure.edge), 0.0);
}

#[test]
fn a_link_that_points_elsewhere_is_a_change() {
    let origin = hello();
    let (authority, folder) = (Authority::new("root"), folder());
    let (old, new) = (
        authority.issue(names(&[HOST])),
        authority.issue(names(&[HOST])),
    );
    let link = folder.path().join("current");
    for (name, issued) in [("1", &old), ("2", &new)] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        issued.write(&folder.path().join(name), "own");
    }
    std::os::unix::fs::symlink(folder.path().join("1"), &link).unwrap();
    let edge = Edge::before(&origin)
        .server(&listener(&link, &["own"], ""))
        .start();
    assert!(has(&edge, &old));
    // As Kubernetes does it.
    let next = folder.path().join("next");
    std::os::unix::fs::symlink(folder.path().join("2"), &next).unwrap();
    std::fs::rename(&next, &link).unwrap();
    edge.advance_until(60, || has(&edge, &new));
}

#[test]
fn a_file_that_goes_bad_leaves_the_certificate_from_before() {
    let origin = hello();
    let secure = SecureEdge::start(&origin);
    let folder = secure.folder.path();
    let old = secure.authority.issue(names(&[HOST]));
    old.write(folder, "own");
    secure.edge.advance_until(60, || has(&secure.edge, &old));
    let renewed = secure.authority.issue(names(&[HOST]));
    // The key is still the old one.
    write(folder, "own.pem", &renewed.pem);
    secure
        .edge
        .advance_until(60, || outdated(&secure.edge) == 1.0);
    assert!(has(&secure.edge, &old));
    std::fs::remove_file(folder.join("own.key")).unwrap();
    for _ in 0..30 {
        secure.edge.advance_secs(1);
    }
    assert!(has(&secure.edge, &old));
    renewed.write(folder, "own");
    secure
        .edge
        .advance_until(60, || has(&secure.edge, &renewed));
    assert_eq!(outdated(&secure.edge), 0.0);
}

#[test]
fn a_reload_takes_other_certificates_and_refuses_bad_ones() {
    let origin = hello();
    let (authority, folder) = (Authority::new("root"), folder());
    let (one, other) = (
        authority.issue(names(&[HOST])),
        authority.issue(names(&[HOST])),
    );
    one.write(folder.path(), "one");
    other.write(folder.path(), "other");
    write(folder.path(), "bad.pem", &one.pem);
    write(folder.path(), "bad.key", &other.key.serialize_pem());
    let with = |name: &str, more: &str| {
        Edge::before(&origin).server(&listener(folder.path(), &[name], more))
    };
    let edge = with("one", "").start();
    assert!(has(&edge, &one));
    let waiting = edge.reload(&with("other", "")).unwrap();
    assert!(waiting.is_empty(), "{waiting:?}");
    assert!(has(&edge, &other));
    let refused = edge.reload(&with("bad", "")).unwrap_err();
    assert!(
        refused.contains("does not belong to the certificate"),
        "{refused}"
    );
    assert!(!refused.contains("BEGIN"), "{refused}");
    assert!(has(&edge, &other));
    // Settings apply as well.
    let waiting = edge.reload(&with("one", "min_version = \"1.3\"")).unwrap();
    assert!(waiting.is_empty() && has(&edge, &one));
    let old = Visitor::of_versions(HOST, authority.roots(), &[&rustls::version::TLS12]);
    assert!(old.try_connect(secure_address(&edge)).is_err());
}

#[test]
fn sessions_outlive_a_renewal() {
    let origin = hello();
    let secure = SecureEdge::start(&origin);
    let visitor = secure.visitor();
    let ask = || {
        let connection = visitor.connect(secure_address(&secure.edge));
        let is_resumed = connection.is_resumed();
        let mut client = tero_tests::Client::over(connection);
        assert_eq!(client.send(&get("/")).status, 200);
        is_resumed
    };
    assert!(!ask() && ask());
    let renewed = secure.authority.issue(names(&[HOST]));
    renewed.write(secure.folder.path(), "own");
    secure
        .edge
        .advance_until(60, || has(&secure.edge, &renewed));
    assert!(ask());
}

#[test]
fn the_end_of_each_certificate_is_told() {
    let origin = hello();
    let (authority, folder) = (Authority::new("root"), folder());
    authority
        .issue(names(&[HOST]).until(2027, 1, 1))
        .write(folder.path(), "own");
    let edge = Edge::before(&origin)
        .server(&listener(folder.path(), &["own"], ""))
        .start();
    let ends = || {
        edge.metric(
            "tero_tls_certificate_expiry_timestamp_seconds",
            &["own.pem"],
        )
    };
    assert_eq!(ends(), 1_798_761_600.0);
    let lifetime = edge.metric("tero_tls_certificate_lifetime_seconds", &["own.pem"]);
    assert_eq!(lifetime, 1_798_761_600.0 - 946_684_800.0);
    authority
        .issue(names(&[HOST]).until(2028, 1, 1))
        .write(folder.path(), "own");
    edge.advance_until(60, || ends() == 1_830_297_600.0);
    eventually("the edge serves", || edge.get("/").status == 200);
}

#[test]
fn a_certificate_that_holds_for_some_days_ends_soon_only_at_its_end() {
    let origin = hello();
    let (authority, folder) = (Authority::new("root"), folder());
    let mut wanted = names(&[HOST]);
    (wanted.from, wanted.until) = ((2026, 11, 24), (2026, 11, 30));
    authority.issue(wanted).write(folder.path(), "own");
    let edge = Edge::before(&origin)
        .server(&listener(folder.path(), &["own"], ""))
        .at("2026-11-24T12:00:00")
        .start();
    let told = || edge.call::<Events>(&[], &()).events;
    // Whoever renews it may wait until a third is left.
    edge.turn_to("2026-11-28T12:00:00");
    // Another event shows that tero has looked.
    assert_ne!(edge.admin_post("/reload", "").status, 200);
    edge.advance_until(30, || !told().is_empty());
    assert_eq!((told().len(), &*told()[0].kind), (1, "reload_refused"));
    edge.turn_to("2026-11-29T12:30:00");
    let of_certificate = || {
        let mut events = told().into_iter();
        events.find(|event| event.kind == "certificate_ends")
    };
    edge.advance_until(30, || of_certificate().is_some());
    let text = of_certificate().unwrap().text;
    assert!(text.ends_with("ends in 8 hours"), "{text}");
}
