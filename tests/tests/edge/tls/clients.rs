//! Certificates of clients: who is let in, and what the origin is told.

use rustls::RootCertStore;
use tero_tests::{Client, Edge, HOST, Origin, Reply, folder, get, toml_string};

use super::authority::{Authority, Issued, listener, names, write};
use super::visitor::Visitor;
use super::{SecureEdge, secure_address};

/// An edge that asks for certificates of its own authority.
struct AskingEdge {
    root: Authority,
    clients: Authority,
    edge: Edge,
}

impl AskingEdge {
    fn start(origin: &Origin, more: &str) -> AskingEdge {
        let (root, clients, folder) = (Authority::new("root"), Authority::new("clients"), folder());
        root.issue(names(&[HOST, "127.0.0.1"]))
            .write(folder.path(), "own");
        write(folder.path(), "ca.pem", &clients.pem());
        let ca = toml_string(&folder.path().join("ca.pem").display().to_string());
        let listener = listener(
            folder.path(),
            &["own"],
            &format!("client_ca = {ca}\n{more}"),
        );
        let edge = Edge::before(origin)
            .site("cache_status_key = true")
            .server(&listener)
            .start();
        AskingEdge {
            root,
            clients,
            edge,
        }
    }

    fn roots(&self) -> RootCertStore {
        self.root.roots()
    }

    fn anonymous(&self) -> Visitor {
        Visitor::new(HOST, self.roots())
    }

    fn certified(&self, own: &Issued) -> Visitor {
        self.anonymous().with_certificate(self.roots(), own)
    }

    fn try_get(&self, visitor: &Visitor) -> Option<u16> {
        let connection = visitor.try_connect(secure_address(&self.edge)).ok()?;
        let mut client = Client::over(connection);
        client.try_write(get("/").to_bytes()).ok()?;
        // With TLS 1.3, a client learns of its refusal when it reads.
        let answer = client.try_head(false).ok()??;
        Some(answer.status)
    }
}

/// An origin that shows the certificate that it was told of.
fn naming_certificates() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| {
        let certificate = asked.header("client-cert").unwrap_or_default();
        Reply::fresh(60, certificate)
    });
    origin
}

#[test]
fn a_certificate_that_is_required_lets_its_clients_in_and_no_others() {
    let origin = naming_certificates();
    let asking = AskingEdge::start(&origin, "");
    let own = asking.clients.issue(names(&["device-1"]));
    let foreign = Authority::new("clients").issue(names(&["device-1"]));
    let expired = asking
        .clients
        .issue(names(&["device-1"]).until(2026, 11, 24));
    assert_eq!(asking.try_get(&asking.anonymous()), None);
    assert_eq!(asking.try_get(&asking.certified(&foreign)), None);
    // The clock of the edge counts.
    assert_eq!(asking.try_get(&asking.certified(&expired)), None);
    assert_eq!(origin.total(), 0);
    assert_eq!(asking.try_get(&asking.certified(&own)), Some(200));
}

#[test]
fn the_origin_is_told_of_the_certificate_that_was_verified() {
    let origin = naming_certificates();
    let asking = AskingEdge::start(&origin, "client_certificate = \"optional\"");
    let own = asking.clients.issue(names(&["device-1"]));
    let visitor = asking.certified(&own);
    // Twice on a new session, then on a resumed one.
    for round in 0..3 {
        let connection = visitor.connect(secure_address(&asking.edge));
        assert_eq!(connection.is_resumed(), round > 0, "{round}");
        let mut client = Client::over(connection);
        let told = client.send(&get("/own")).text();
        assert_eq!(base64(&told), own.der.as_ref());
    }
    // A client can't say it itself, whether it has one or not.
    let forged = get("/forged").header("Client-Cert", ":AAAA:");
    for visitor in [asking.anonymous(), visitor] {
        let told = visitor
            .client(secure_address(&asking.edge))
            .send(&forged)
            .text();
        assert_ne!(told, ":AAAA:");
    }
    assert_eq!(asking.edge.send(&forged).text(), "");
}

#[test]
fn an_answer_for_a_certificate_is_for_nobody_else() {
    let origin = naming_certificates();
    origin.on(
        "/shared",
        Reply::ok("for all").header("Cache-Control", "public, max-age=60"),
    );
    origin.on_each("/varies", |asked, _| {
        let certificate = asked.header("client-cert").unwrap_or_default();
        Reply::ok(certificate)
            .header("Cache-Control", "public, max-age=60")
            .header("Vary", "Client-Cert")
    });
    let asking = AskingEdge::start(&origin, "client_certificate = \"optional\"");
    let address = secure_address(&asking.edge);
    let own = asking.certified(&asking.clients.issue(names(&["device-1"])));
    let other = asking.certified(&asking.clients.issue(names(&["device-2"])));
    let ask = |visitor: &Visitor, path: &str| visitor.client(address).send(&get(path));

    let first = ask(&own, "/page");
    assert!(!first.cache_status().stored, "{first:?}");
    assert!(first.text().len() > 100);
    let second = ask(&asking.anonymous(), "/page");
    assert_eq!(
        (second.text().as_str(), second.cache_status().hit),
        ("", false)
    );

    ask(&own, "/shared").assert_forwarded("uri-miss", "for all");
    ask(&other, "/shared").assert_hit("for all");

    let own_page = ask(&own, "/varies").text();
    assert_ne!(ask(&other, "/varies").text(), own_page);
    ask(&own, "/varies").assert_hit(&own_page);
    assert_eq!(ask(&asking.anonymous(), "/varies").text(), "");
}

#[test]
fn what_a_client_shows_for_one_name_opens_no_other() {
    let origin = naming_certificates();
    let asking = AskingEdge::start(&origin, "client_certificate = \"optional\"");
    let address = secure_address(&asking.edge);
    let mut client = asking.anonymous().client(address);
    for (host, expected) in [
        (HOST, 200),
        ("WWW.example.", 200),
        ("www.example:8443", 200),
        ("other.example", 421),
        ("127.0.0.1", 421),
    ] {
        let answer = client.send(&get("/").host(host));
        assert_eq!(answer.status, expected, "{host}: {answer:?}");
    }
    let detail = client.send(&get("/").host("other.example")).cache_status();
    let detail = detail.detail.unwrap();
    assert_eq!(detail, "the TLS handshake was for another host");
    // Where no certificates are asked for, connections may be shared by names.
    let secure = SecureEdge::start_with(&origin, "", |edge| edge);
    let mut client = secure.client();
    let other = client.send(&get("/").host("other.example"));
    let detail = other.cache_status().detail.unwrap();
    assert_eq!(detail, "no site is configured for this host");
}

#[test]
fn other_authorities_end_the_sessions_of_the_old_ones() {
    let origin = naming_certificates();
    let (root, folder) = (Authority::new("root"), folder());
    root.issue(names(&[HOST])).write(folder.path(), "own");
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    write(folder.path(), "ca.pem", &old.pem());
    let ca = toml_string(&folder.path().join("ca.pem").display().to_string());
    let listener = listener(folder.path(), &["own"], &format!("client_ca = {ca}"));
    let builder = Edge::before(&origin).server(&listener);
    let edge = builder.start();
    let of = |authority: &Authority| {
        let own = authority.issue(names(&["device-1"]));
        Visitor::new(HOST, root.roots()).with_certificate(root.roots(), &own)
    };
    let (old_client, new_client) = (of(&old), of(&new));
    let ask = |visitor: &Visitor| {
        let connection = visitor.try_connect(secure_address(&edge)).ok()?;
        let mut client = Client::over(connection);
        client.try_write(get("/").to_bytes()).ok()?;
        client.try_head(false).ok()?.map(|answer| answer.status)
    };
    assert_eq!((ask(&old_client), ask(&new_client)), (Some(200), None));
    write(folder.path(), "ca.pem", &new.pem());
    edge.reload(&builder).unwrap();
    assert_eq!((ask(&old_client), ask(&new_client)), (None, Some(200)));
}

/// The bytes of `:…:` (RFC 9651 §3.3.5).
fn base64(field: &str) -> Vec<u8> {
    let item: sfv::Item = sfv::Parser::new(field).parse().unwrap();
    match item.bare_item {
        sfv::BareItem::ByteSequence(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}
