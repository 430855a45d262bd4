//! A directory that answers what a test says.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::crypto::aws_lc_rs;
use rustls::{ServerConfig, ServerConnection};
use tero_tests::toml_string;

use crate::pki::AuthorityFolder;

/// A directory that gives the same answer to every request.
pub(super) struct ScriptedDirectory {
    authority: AuthorityFolder,
    address: SocketAddr,
    answer: Arc<Mutex<String>>,
    requests: Arc<AtomicUsize>,
}

impl ScriptedDirectory {
    pub(super) fn start() -> ScriptedDirectory {
        let authority = AuthorityFolder::new("the CA of the scripted directory");
        let own = authority.issue("own", &["127.0.0.1"]).issued;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.der.clone()], own.private_key())
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let directory = ScriptedDirectory {
            authority,
            address: listener.local_addr().unwrap(),
            answer: Arc::default(),
            requests: Arc::default(),
        };
        let (answer, requests) = (
            Arc::clone(&directory.answer),
            Arc::clone(&directory.requests),
        );
        let config = Arc::new(config);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut tls = rustls::Stream::new(&mut connection, &mut stream);
                let mut buffer = [0; 8192];
                // A request is small enough for one read.
                if tls.read(&mut buffer).is_ok_and(|length| length > 0) {
                    requests.fetch_add(1, Ordering::SeqCst);
                    let answer = answer.lock().unwrap().clone();
                    let _ = tls.write_all(answer.as_bytes());
                    tls.conn.send_close_notify();
                    let _ = tls.flush();
                }
            }
        });
        directory
    }

    /// `[acme]` of an edge that asks this directory.
    pub(super) fn section(&self) -> String {
        format!(
            "[acme]\ndirectory = \"https://{}/dir\"\nterms_agreed = true\nca = {}\n",
            self.address,
            toml_string(&self.authority.ca().display().to_string()),
        )
    }

    pub(super) fn answer(&self, answer: &str) {
        answer.clone_into(&mut self.answer.lock().unwrap());
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}
