//! The admin interface answers whatever others do to it.

use std::process::Command;

use tero_tests::{Client, Edge, Origin, Reply, Request, eventually, get};

use crate::program::{Serving, configuration};

/// More than the interface keeps open.
const STRANGERS: usize = 300;

#[test]
fn health_is_answered_while_strangers_hold_connections() {
    let origin = Origin::start();
    let edge = Edge::before(&origin).start();
    let mut answered = Client::connect(edge.admin_address());
    assert_eq!(answered.send(&get("/health").host("localhost")).status, 200);
    let beginnings = [
        "",
        "G",
        "GET /health HTTP/1.1\r\nHost: loc",
        "POST /purge HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{",
        "POST /purge HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
    ];
    let strangers: Vec<Client> = (0..STRANGERS)
        .map(|number| {
            let mut stranger = Client::connect(edge.admin_address());
            let _ = stranger.try_write(beginnings[number % beginnings.len()]);
            stranger
        })
        .collect();
    for path in ["/health", "/ready", "/metrics", "/stats", "/policies"] {
        assert_eq!(edge.admin_get(path).status, 200, "{path}");
    }
    // The oldest connection gave way, though it had asked before.
    assert!(answered.is_closed());
    drop(strangers);
}

#[test]
fn a_request_that_is_being_answered_does_not_give_way() {
    let origin = Origin::start();
    let serving = Serving::start(&configuration(&origin, ""));
    let pipe = BlockedReload::begin(&serving, 1);
    let strangers: Vec<Client> = (0..STRANGERS)
        .map(|_| Client::connect(serving.admin_address()))
        .collect();
    let health = get("/health").host("localhost");
    assert_eq!(
        Client::connect(serving.admin_address())
            .send(&health)
            .status,
        200
    );
    for answer in pipe.end(&configuration(&origin, "")) {
        assert_eq!(answer, 200);
    }
    drop(strangers);
}

/// Reloads that wait for their configuration, as they would wait for policies to be compiled.
struct BlockedReload {
    pipe: std::path::PathBuf,
    clients: Vec<Client>,
}

impl BlockedReload {
    /// Replaces the configuration by a pipe, and asks for so many reloads.
    fn begin(serving: &Serving, count: usize) -> BlockedReload {
        // The program has read its configuration by then.
        serving.admin_address();
        let pipe = serving.folder.path().join("tero.toml");
        std::fs::remove_file(&pipe).unwrap();
        let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let reload = Request::new("POST", "/reload").host("localhost").body("");
        let clients = (0..count).map(|_| {
            let mut client = Client::connect(serving.admin_address());
            client.start(&reload);
            client
        });
        let clients = clients.collect();
        BlockedReload { pipe, clients }
    }

    /// Lets the reloads go on with this configuration, and returns their statuses.
    fn end(mut self, configuration: &str) -> Vec<u16> {
        let mut statuses = Vec::new();
        for client in &mut self.clients {
            // Opening waits for the reader.
            std::fs::write(&self.pipe, configuration).unwrap();
            statuses.push(client.head().status);
        }
        statuses
    }
}

#[test]
fn answers_do_not_wait_for_those_that_compile() {
    let origin = Origin::start();
    origin.on("/x", Reply::fresh(60, "x"));
    let text = configuration(&origin, "policies = [\"rules\"]\n").replacen(
        "[[site]]",
        "[[policy]]\nname = \"rules\"\nmodule = \"builtin:json-rules\"\n\
         settings = { version = 3, rules = [{ name = \"all\", match = [\"*\"], ttl = 60 }] }\n\n[[site]]",
        1,
    );
    let serving = Serving::start(&text);
    let mut visitor = serving.client();
    visitor.send(&get("/x")).assert_forwarded("uri-miss", "x");
    let pipe = BlockedReload::begin(&serving, 12);
    let ask = |request: &Request| {
        Client::connect(serving.admin_address()).send(&request.clone().host("localhost"))
    };
    for _ in 0..20 {
        for path in [
            "/health",
            "/metrics",
            "/stats",
            "/policies",
            "/policies/rules",
        ] {
            assert_eq!(ask(&get(path)).status, 200, "{path}");
        }
    }
    let purge = Request::new("POST", "/purge").body("{\"site\": \"site\"}");
    assert_eq!(ask(&purge).status, 200);
    // There is nothing to roll back to, which is an answer.
    let roll_back = Request::new("POST", "/policies/rules/rollback").body("");
    assert_eq!(ask(&roll_back).status, 409);
    eventually("the purge is done", || {
        visitor.send(&get("/x")).cache_status().fwd.as_deref() == Some("uri-miss")
    });
    drop(pipe);
}
