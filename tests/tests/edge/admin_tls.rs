//! The admin interface over TLS, and the command line that speaks it.

use std::path::Path;

use tero_tests::{Client, Edge, EdgeBuilder, Origin, get, toml_string};

use crate::pki::{AuthorityFolder, IssuedFiles};
use crate::program::{assert_code, err, out, run};
use crate::tls::authority::names;
use crate::tls::visitor::Visitor;

/// More than the interface keeps open.
const STRANGERS: usize = 300;

/// An edge whose admin interface has this certificate, and more keys of its `tls`.
fn edge(origin: &Origin, own: &IssuedFiles, more: &str) -> EdgeBuilder {
    let tls = format!("tls = {{ certificates = [{}]{more} }}", own.to_toml());
    Edge::before(origin).admin(&tls)
}

/// `client_ca` of an authority as a key of `tls`.
fn client_ca(authority: &AuthorityFolder) -> String {
    let file = toml_string(&authority.ca().display().to_string());
    format!(", client_ca = {file}")
}

fn url(edge: &Edge) -> String {
    format!("https://{}", edge.admin_address())
}

/// What `tero stats` does with these arguments: its exit code, and what it says.
#[track_caller]
fn stats(arguments: &[&str], code: i32) -> String {
    let output = run(&[&["stats"], arguments].concat());
    assert_code(&output, code);
    out(&output) + &err(&output)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn the_command_line_speaks_tls_and_says_what_it_does_not_trust() {
    let origin = Origin::start();
    let (authority, other) = (AuthorityFolder::new("own"), AuthorityFolder::new("other"));
    let own = authority.issue("admin", &["127.0.0.1"]);
    let edge = edge(&origin, &own, "").start();
    let (url, ca, other_ca) = (url(&edge), text(&authority.ca()), text(&other.ca()));
    let plain = url.replace("https", "http");
    assert!(stats(&["--admin", &url, "--ca", &ca], 0).contains("site"));
    // The certificate itself will do in the place of its issuer.
    let pinned = text(&own.cert);
    assert!(stats(&["--admin", &url, "--ca", &pinned], 0).contains("site"));
    for (arguments, code, words) in [
        (
            &["--admin", &url, "--ca", &other_ca][..],
            1,
            "unknown issuer",
        ),
        (&["--admin", &url, "--ca", &other_ca], 1, "(--ca FILE)"),
        (
            &["--admin", &plain],
            1,
            "this address speaks TLS; write https://",
        ),
        (&["--admin", &plain, "--ca", &ca], 2, "write https://"),
        (
            &["--admin", &url, "--ca", "/nowhere"],
            2,
            "can't use /nowhere",
        ),
        (&["--admin", &url, "--ca", "/dev/null"], 2, "no certificate"),
        (&["--admin", &url, "--client-cert", &ca], 2, "--client-key"),
        (
            &[
                "--admin",
                &url,
                "--ca",
                &ca,
                "--client-cert",
                &pinned,
                "--client-key",
                &pinned,
            ],
            2,
            "no private key",
        ),
    ] {
        let said = stats(arguments, code);
        assert!(said.contains(words), "{arguments:?}: {words}: {said}");
    }
    let certificates = ["certificates", "--admin", &url, "--ca", &ca];
    let said = out(&run(&[&certificates[..], &["--json"]].concat()));
    assert!(
        said.contains("admin.pem") && said.contains("2100-01-01"),
        "{said}"
    );
    assert!(out(&run(&certificates)).contains("holds until"));
}

#[test]
fn other_names_expired_certificates_and_plain_servers_are_told_apart() {
    let origin = Origin::start();
    let authority = AuthorityFolder::new("own");
    let ca = text(&authority.ca());
    let other_name = authority.issue("other", &["edge.internal", "10.0.0.1"]);
    let expired = authority.issue_as("expired", names(&["127.0.0.1"]).until(2001, 1, 1));
    for (own, words) in [
        (&other_name, "for other names (edge.internal, 10.0.0.1)"),
        (&expired, "has expired"),
    ] {
        let edge = edge(&origin, own, "").start();
        let said = stats(&["--admin", &url(&edge), "--ca", &ca], 1);
        assert!(said.contains(words), "{words}: {said}");
    }
    let plain = Edge::before(&origin).start();
    let said = stats(&["--admin", &url(&plain), "--ca", &ca], 1);
    assert!(said.contains("does not speak TLS; write http://"), "{said}");
}

#[test]
fn client_certificates_open_the_interface() {
    let origin = Origin::start();
    let (authority, other) = (AuthorityFolder::new("own"), AuthorityFolder::new("other"));
    let own = authority.issue("admin", &["127.0.0.1"]);
    let (friend, stranger) = (
        authority.issue("ops", &["ops"]),
        other.issue("ops", &["ops"]),
    );
    let ca = text(&authority.ca());
    let with = |edge: &Edge, shown: Option<&IssuedFiles>, code: i32| {
        let files = shown.map(|files| (text(&files.cert), text(&files.key)));
        let (url, mut arguments) = (url(edge), Vec::new());
        arguments.extend(["--admin", &url, "--ca", &ca]);
        if let Some((cert, key)) = &files {
            arguments.extend(["--client-cert", cert, "--client-key", key]);
        }
        stats(&arguments, code)
    };
    let required = edge(&origin, &own, &client_ca(&authority)).start();
    assert!(with(&required, Some(&friend), 0).contains("site"));
    let said = with(&required, Some(&stranger), 1);
    assert!(said.contains("refuses the client certificate"), "{said}");
    let said = with(&required, None, 1);
    assert!(said.contains("demands a client certificate"), "{said}");
    assert!(
        said.contains("--client-cert FILE --client-key FILE"),
        "{said}"
    );

    let more = format!(
        "{}, client_certificate = \"optional\"",
        client_ca(&authority)
    );
    let optional = edge(&origin, &own, &more).start();
    assert!(with(&optional, Some(&friend), 0).contains("site"));
    let said = with(&optional, None, 1);
    assert!(said.contains("a client certificate is needed"), "{said}");
    let visitor = Visitor::new("127.0.0.1", authority.authority().roots());
    for (path, expected) in [("/health", 200), ("/ready", 200), ("/metrics", 403)] {
        let mut client = visitor.client(optional.admin_address());
        assert_eq!(client.send(&get(path).host("127.0.0.1")).status, expected);
    }
}

#[test]
fn a_reload_replaces_the_certificate_and_keeps_it_on_a_bad_file() {
    let origin = Origin::start();
    let authority = AuthorityFolder::new("own");
    let own = authority.issue("admin", &["127.0.0.1"]);
    let builder = edge(&origin, &own, "");
    let edge = builder.start();
    let visitor = Visitor::new("127.0.0.1", authority.authority().roots());
    let shown = || visitor.connect(edge.admin_address()).certificate();
    assert_eq!(shown(), own.issued.der);
    let next = authority.issue("admin", &["127.0.0.1"]);
    assert!(edge.reload(&builder).unwrap().is_empty());
    assert_eq!(shown(), next.issued.der);
    std::fs::write(&own.cert, "nonsense").unwrap();
    assert!(edge.reload(&builder).is_err());
    assert_eq!(shown(), next.issued.der);
}

#[test]
fn health_is_answered_while_strangers_hold_handshakes() {
    let origin = Origin::start();
    let authority = AuthorityFolder::new("own");
    let own = authority.issue("admin", &["127.0.0.1"]);
    let edge = edge(&origin, &own, "").start();
    // Nothing, a piece of a record, a record that never ends, and the beginning of plain HTTP.
    let beginnings: [&[u8]; 4] = [b"", b"\x16\x03", b"\x16\x03\x01\x3f\xff\x01", b"GET / HTT"];
    let strangers: Vec<Client> = (0..STRANGERS)
        .map(|number| {
            let mut stranger = Client::connect(edge.admin_address());
            let _ = stranger.try_write(beginnings[number % beginnings.len()]);
            stranger
        })
        .collect();
    let visitor = Visitor::new("127.0.0.1", authority.authority().roots());
    let health = get("/health").host("127.0.0.1");
    let mut client = visitor.client(edge.admin_address());
    assert_eq!(client.send(&health).status, 200);
    // Those that are left have their deadline. This one has begun a record.
    let mut last = strangers.into_iter().nth_back(1).unwrap();
    edge.advance_secs(11);
    assert!(last.is_closed());
    let mut client = visitor.client(edge.admin_address());
    assert_eq!(client.send(&health).status, 200);
}

#[test]
fn an_address_that_others_reach_needs_a_token_or_certificates_of_clients() {
    let origin = Origin::start();
    let authority = AuthorityFolder::new("own");
    let own = authority.issue("admin", &["127.0.0.1"]);
    let everywhere = |more: &str| {
        let text = edge(&origin, &own, more).to_toml();
        let text = text.replace(
            "[admin]\nlisten = \"127.0.0.1:0\"",
            "[admin]\nlisten = \"0.0.0.0:0\"",
        );
        tero_config::Config::parse(&text, "tero.toml", Path::new(""))
    };
    let refused = everywhere("").unwrap_err().to_string();
    assert!(refused.contains("not loopback"), "{refused}");
    everywhere(&client_ca(&authority)).unwrap();
}
