//! What `tero check` and `tero serve` tell of certificates that are wrong.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tero_tests::{Origin, folder};

use super::authority::{Authority, listener, names, write};
use crate::program::{assert_code, configuration, err, out, run_in};

/// A folder with a good certificate, and the configuration of an edge that uses it.
struct CheckedFolder {
    origin: Origin,
    authority: Authority,
    folder: tempfile::TempDir,
}

impl CheckedFolder {
    fn new() -> CheckedFolder {
        let checked = CheckedFolder {
            origin: Origin::start(),
            authority: Authority::new("root"),
            folder: folder(),
        };
        checked
            .authority
            .issue(names(&["www.example"]))
            .write(checked.path(), "own");
        checked
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What `tero check` says, with these certificates and more keys of `tls`.
    fn check(&self, certificates: &[&str], more: &str) -> (i32, String) {
        let listener = listener(self.path(), certificates, more);
        let text = format!("{}\n{listener}", configuration(&self.origin, ""));
        std::fs::write(self.path().join("tero.toml"), text).unwrap();
        let output = run_in(self.path(), &["check"]);
        let code = output.status.code().unwrap();
        let told = format!("{}{}", out(&output), err(&output));
        // Lines are wrapped for people.
        let told = told.split_whitespace().filter(|word| *word != "│");
        (code, told.collect::<Vec<_>>().join(" "))
    }

    #[track_caller]
    fn assert_told(&self, expected_code: i32, certificates: &[&str], expected: &[&str]) {
        let (code, told) = self.check(certificates, "");
        assert_eq!(code, expected_code, "{told}");
        for part in expected {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert!(!told.contains("BEGIN PRIVATE"), "{told}");
    }
}

#[test]
fn a_good_certificate_is_nothing_to_tell() {
    let checked = CheckedFolder::new();
    let (code, told) = checked.check(&["own"], "");
    assert_eq!(code, 0, "{told}");
    assert!(
        !told.contains("warning") && !told.contains("certificate"),
        "{told}"
    );
}

#[test]
fn files_that_can_not_be_used_are_told_with_their_cure() {
    let checked = CheckedFolder::new();
    let path = checked.path();
    let own = checked.authority.issue(names(&["www.example"]));
    let pem = &own.pem;
    let key = own.key.serialize_pem();
    for (name, pem, key) in [
        ("no-key", pem.as_str(), ""),
        ("no-certificate", "", key.as_str()),
        ("swapped", key.as_str(), pem.as_str()),
        (
            "damaged",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            key.as_str(),
        ),
        (
            "protected",
            pem.as_str(),
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        ),
        (
            "odd-key",
            pem.as_str(),
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ),
    ] {
        write(path, &format!("{name}.pem"), pem);
        write(path, &format!("{name}.key"), key);
    }
    checked
        .authority
        .issue(names(&["www.example"]))
        .write(path, "other");
    write(path, "other.key", &key);
    let backwards = format!("{}{pem}", checked.authority.pem());
    write(path, "backwards.pem", &backwards);
    write(path, "backwards.key", &key);
    for (name, problem, cure) in [
        ("absent", "can't be read", "write the path of a file"),
        ("no-key", "has no private key", "PKCS #8"),
        ("no-certificate", "has no certificate", "BEGIN CERTIFICATE"),
        ("swapped", "has no certificate", "BEGIN CERTIFICATE"),
        ("damaged", "is damaged", "BEGIN CERTIFICATE"),
        ("protected", "protected by a password", "openssl pkey"),
        ("odd-key", "damaged or of an unknown kind", "PKCS #8"),
        ("other", "does not belong to the certificate", "made for"),
        (
            "backwards",
            "belongs to certificate 2 in",
            "the server's own certificate",
        ),
    ] {
        checked.assert_told(1, &["own", name], &["server.listener.tls", problem, cure]);
        let served = run_in(path, &["serve"]);
        assert_code(&served, 1);
        assert!(err(&served).contains(problem), "{}", err(&served));
        assert!(!err(&served).contains("BEGIN PRIVATE"), "{}", err(&served));
    }
}

#[test]
fn all_bad_files_are_told_at_once() {
    let checked = CheckedFolder::new();
    let (code, told) = checked.check(&["one", "own", "two"], "client_ca = \"no-ca.pem\"");
    assert_eq!(code, 1);
    for name in ["one.pem", "two.pem", "no-ca.pem"] {
        assert!(told.contains(name), "{told}");
    }
}

#[test]
fn a_certificate_that_is_over_or_soon_will_be_is_a_warning() {
    let checked = CheckedFolder::new();
    let of = |name: &str, until: (i32, u8, u8), from: (i32, u8, u8)| {
        let mut wanted = names(&["www.example"]);
        (wanted.from, wanted.until) = (from, until);
        checked.authority.issue(wanted).write(checked.path(), name);
    };
    of("expired", (2020, 2, 1), (2000, 1, 1));
    of("early", (3000, 1, 1), (2999, 1, 1));
    let expired = ["warning", "expired on 2020-02-01", "renew it"];
    checked.assert_told(0, &["expired"], &expired);
    let early = ["warning", "does not hold before 2999-01-01"];
    checked.assert_told(0, &["early"], &early);
}

#[test]
fn names_that_do_not_meet_are_a_warning() {
    let checked = CheckedFolder::new();
    let issue = |file: &str, list: &[&str]| {
        let issued = checked.authority.issue(names(list));
        issued.write(checked.path(), file);
    };
    issue("other", &["other.example", "*.other.example"]);
    issue("wild", &["*.example"]);
    checked.assert_told(
        0,
        &["other"],
        &[
            "is for other.example, *.other.example, and no site has such a host",
            "no certificate is for the host www.example of the site `site`",
        ],
    );
    let (code, told) = checked.check(&["wild"], "");
    assert!(code == 0 && !told.contains("certificate"), "{told}");
}

#[test]
fn a_chain_out_of_order_is_a_warning() {
    let checked = CheckedFolder::new();
    let (middle, low) = {
        let middle = checked.authority.below("middle");
        let low = middle.below("low");
        (middle, low)
    };
    let own = low.issue(names(&["www.example"]));
    let chain = |file: &str, parts: &[&str]| {
        write(checked.path(), &format!("{file}.pem"), &parts.concat());
        write(
            checked.path(),
            &format!("{file}.key"),
            &own.key.serialize_pem(),
        );
    };
    let (middle, low) = (middle.pem(), low.pem());
    chain("good", &[&own.pem, &low, &middle]);
    chain("bad", &[&own.pem, &middle, &low]);
    let (code, told) = checked.check(&["good"], "");
    assert!(code == 0 && !told.contains("warning"), "{told}");
    let bad = [
        "warning",
        "certificate 2 in",
        "did not issue the one before it",
    ];
    checked.assert_told(0, &["bad"], &bad);
}

#[test]
fn a_key_that_all_can_read_is_a_warning() {
    let checked = CheckedFolder::new();
    let key = checked.path().join("own.key");
    for (mode, is_told) in [(0o600, false), (0o640, false), (0o644, true)] {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        let (code, told) = checked.check(&["own"], "");
        assert_eq!(code, 0, "{told}");
        let expected = "every user of this machine can read the private key";
        assert_eq!(told.contains(expected), is_told, "{mode:o}: {told}");
    }
}
