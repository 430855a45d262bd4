//! Servers of NATS for the tests of fleets.
//!
//! `TERO_NATS` names the programs, with colons between them; `.ci/run` installs two versions and sets
//! `TERO_DEMAND_NATS`: then their absence is a failure, and otherwise the tests are skipped.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tero_tests::{GUARD, eventually, folder};

/// A running server, with JetStream and a store of its own.
pub(crate) struct NatsServer {
    program: PathBuf,
    store: tempfile::TempDir,
    port: u16,
    arguments: Vec<String>,
    child: Option<Child>,
}

/// The programs of the servers, the oldest version first; empty if there are none, which is said.
pub(crate) fn programs() -> Vec<PathBuf> {
    let named = std::env::var("TERO_NATS").unwrap_or_default();
    let named = named.split(':').filter(|path| !path.is_empty());
    let found: Vec<PathBuf> = named
        .map(PathBuf::from)
        .filter(|path| path.is_file())
        .collect();
    if found.is_empty() {
        assert!(
            std::env::var_os("TERO_DEMAND_NATS").is_none(),
            "the servers of NATS are missing: name them in TERO_NATS"
        );
        eprintln!("SKIPPED: TERO_NATS names no server of NATS, so no fleet was tried");
    }
    found
}

/// The newest server that there is, running; `None` if there is none.
pub(crate) fn newest() -> Option<NatsServer> {
    let program = programs().pop()?;
    Some(NatsServer::start(&program, &[]))
}

/// A port that is free now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl NatsServer {
    /// Starts a server with these arguments more.
    pub(crate) fn start(program: &Path, arguments: &[&str]) -> NatsServer {
        let mut server = NatsServer::stopped(program, arguments);
        server.run();
        server
    }

    /// A server that has its port and store, and does not run.
    pub(crate) fn stopped(program: &Path, arguments: &[&str]) -> NatsServer {
        NatsServer {
            program: program.to_owned(),
            store: folder(),
            port: free_port(),
            arguments: arguments.iter().map(|&text| text.to_owned()).collect(),
            child: None,
        }
    }

    /// Starts the program, and waits until it accepts connections.
    pub(crate) fn run(&mut self) {
        let store = self.store.path().join("store");
        let child = Command::new(&self.program)
            .args([
                "-a",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
                "-js",
                "-sd",
            ])
            .arg(store)
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.unwrap());
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        eventually("a server of NATS", || TcpStream::connect(address).is_ok());
    }

    /// Ends the program at once.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Publishes messages, and waits until the server has read them.
    pub(crate) fn publish(&self, subject: &str, messages: impl Iterator<Item = String>) {
        self.publish_after("{\"verbose\":false}", subject, messages);
    }

    /// The same, by a user.
    pub(crate) fn publish_as(
        &self,
        (user, password): (&str, &str),
        subject: &str,
        messages: impl Iterator<Item = String>,
    ) {
        let options = format!("{{\"verbose\":false,\"user\":\"{user}\",\"pass\":\"{password}\"}}");
        self.publish_after(&options, subject, messages);
    }

    fn publish_after(&self, options: &str, subject: &str, messages: impl Iterator<Item = String>) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(GUARD)).unwrap();
        stream.set_write_timeout(Some(GUARD)).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let mut sent = format!("CONNECT {options}\r\n").into_bytes();
        for message in messages {
            let length = message.len();
            sent.extend(format!("PUB {subject} {length}\r\n{message}\r\n").into_bytes());
        }
        sent.extend(b"PING\r\n");
        stream.write_all(&sent).unwrap();
        while !line.starts_with("PONG") {
            assert!(!line.starts_with("-ERR"), "{line}");
            line.clear();
            let length = reader.read_line(&mut line).unwrap();
            assert!(length > 0, "the server closes the connection");
        }
    }

    /// The folder of its store.
    pub(crate) fn store(&self) -> PathBuf {
        self.store.path().join("store")
    }

    /// The URL for `cluster.nats`.
    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Copies a folder with all that it has.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}
