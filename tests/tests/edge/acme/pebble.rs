//! Debian's `pebble`, an ACME server for tests, and what it needs: a server of names that says that
//! every name is this machine.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tero_tests::{eventually, toml_string};

use crate::pki::AuthorityFolder;

/// Whether `pebble` is installed. Where it must be, `.ci/run` sets `TERO_DEMAND_PEBBLE`: then its
/// absence is a failure, and otherwise the test is skipped.
pub(super) fn is_installed() -> bool {
    let found = Command::new("pebble")
        .arg("-h")
        .stderr(Stdio::null())
        .status();
    if found.is_ok() {
        return true;
    }
    assert!(
        std::env::var_os("TERO_DEMAND_PEBBLE").is_none(),
        "pebble is missing: install it"
    );
    eprintln!("SKIPPED: pebble is not installed, so ACME was not tried with it");
    false
}

/// Where a directory will be, before it runs.
pub(super) struct PebblePlace {
    authority: AuthorityFolder,
    listen: SocketAddr,
    management: SocketAddr,
}

/// A running directory. Dropping it kills it.
pub(super) struct Pebble {
    child: Child,
}

/// How a directory behaves.
#[derive(Clone, Copy, Default)]
pub(super) struct PebbleManners {
    /// How many nonces in a hundred it refuses.
    pub(super) refused_nonces: u32,
    /// How long certificates are valid, in seconds; 0 for five years.
    pub(super) valid_secs: u64,
}

impl PebblePlace {
    pub(super) fn new() -> PebblePlace {
        PebblePlace {
            authority: AuthorityFolder::new("the CA of the directory"),
            listen: free_address(),
            management: free_address(),
        }
    }

    /// `[acme]` of an edge that asks this directory.
    pub(super) fn section(&self, more: &str) -> String {
        format!(
            "[acme]\ndirectory = \"https://{}/dir\"\nterms_agreed = true\n\
             contact = [\"mailto:ops@example.com\"]\nca = {}\n{more}\n",
            self.listen,
            toml_string(&self.authority.ca().display().to_string()),
        )
    }

    /// Starts the directory. It checks names at these ports of this machine.
    pub(super) fn start(&self, http: u16, tls: u16, manners: PebbleManners) -> Pebble {
        let own = self.authority.issue("own", &["127.0.0.1"]);
        let config = format!(
            r#"{{"pebble": {{"listenAddress": "{}", "managementListenAddress": "{}",
            "certificate": "{}", "privateKey": "{}", "httpPort": {http}, "tlsPort": {tls},
            "ocspResponderURL": "", "externalAccountBindingRequired": false,
            "certificateValidityPeriod": {}}}}}"#,
            self.listen,
            self.management,
            own.cert.display(),
            own.key.display(),
            manners.valid_secs,
        );
        let file: PathBuf = self.authority.path().join("pebble.json");
        std::fs::write(&file, config).unwrap();
        let child = Command::new("pebble")
            .arg("-config")
            .arg(&file)
            .args(["-dnsserver", &name_server().to_string()])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_AUTHZREUSE", "0")
            .env("PEBBLE_WFE_NONCEREJECT", manners.refused_nonces.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("the directory listens", || {
            std::net::TcpStream::connect(self.listen).is_ok()
        });
        Pebble { child }
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address that is free at the moment.
pub(super) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Starts a server of names (RFC 1035) that answers each question for an IPv4 address with 127.0.0.1,
/// and each other one with nothing. Its thread ends with the tests.
fn name_server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 1024];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            if let Some(answer) = name_answer(&buffer[..length]) {
                let _ = socket.send_to(&answer, client);
            }
        }
    });
    address
}

fn name_answer(question: &[u8]) -> Option<Vec<u8>> {
    let name_length = question.get(12..)?.iter().position(|byte| *byte == 0)? + 1;
    let end = 12 + name_length + 4;
    let kind = question.get(12 + name_length..12 + name_length + 2)?;
    let is_ipv4 = kind == [0, 1];
    let mut answer = question.get(..end)?.to_vec();
    // A response, recursion offered; one question, and one answer or none.
    answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_ipv4), 0, 0, 0, 0]);
    if is_ipv4 {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}
