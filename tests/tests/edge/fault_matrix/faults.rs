//! The faults of an origin, on real sockets.

use std::any::Any;
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tero_tests::{Gate, Origin, Reply, toml_string};

use crate::https_origins::fixture::{Authority, Certificate, TlsFront, relay_on_loopback};

/// The content of the page that is stored.
pub(crate) const STORED: &str = "stored page";

/// The content of what a failing origin sends, as far as it does.
const SENT: &str = "what the origin sends now";

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    Refuses,
    BlackHole,
    HangsBeforeHead,
    HangsInHead,
    DripsHead,
    ResetsBeforeHead,
    ResetsAfterHead,
    CutsBody,
    HangsInBody,
    MalformedHead,
    LargeHead,
    Status(u16),
    RetryAfter,
    OtherName,
    Expired,
    UnknownIssuer,
    NoSuchName,
    AddressGone,
    ClosesKept,
}

/// All faults, with what the table calls them.
pub(super) const FAULTS: [(FaultKind, &str); 23] = [
    (FaultKind::Refuses, "refuses connections"),
    (FaultKind::BlackHole, "swallows connections"),
    (FaultKind::HangsBeforeHead, "is silent before the head"),
    (FaultKind::HangsInHead, "is silent within the head"),
    (FaultKind::DripsHead, "sends the head byte by byte"),
    (FaultKind::ResetsBeforeHead, "resets before the head"),
    (FaultKind::ResetsAfterHead, "resets after the head"),
    (FaultKind::CutsBody, "closes within the body"),
    (FaultKind::HangsInBody, "is silent within the body"),
    (FaultKind::MalformedHead, "sends a malformed head"),
    (FaultKind::LargeHead, "sends too large a head"),
    (FaultKind::Status(500), "answers 500"),
    (FaultKind::Status(502), "answers 502"),
    (FaultKind::Status(503), "answers 503"),
    (FaultKind::RetryAfter, "answers 503 with `Retry-After`"),
    (FaultKind::Status(504), "answers 504"),
    (FaultKind::Status(429), "answers 429"),
    (FaultKind::OtherName, "has a certificate for another name"),
    (FaultKind::Expired, "has a certificate that expired"),
    (
        FaultKind::UnknownIssuer,
        "has a certificate of an unknown issuer",
    ),
    (FaultKind::NoSuchName, "has a name that doesn't resolve"),
    (
        FaultKind::AddressGone,
        "moves: an address of its name is gone",
    ),
    (
        FaultKind::ClosesKept,
        "closes a kept connection under a request",
    ),
];

/// An origin that is well, and what makes it ill.
pub(super) struct Fault {
    kind: FaultKind,
    /// The keys of its `[[site.origin]]` while it is well.
    pub(super) healthy: String,
    authority: Option<Authority>,
    /// For each second, what the origin waits for.
    ticks: Vec<Gate>,
    /// What has to live as long as the fault.
    kept: Mutex<Vec<Box<dyn Any + Send>>>,
}

fn by_tls(front: &TlsFront, authority: &Authority) -> String {
    let ca = toml_string(authority.file());
    format!("url = \"https://{}\"\nca = {ca}\n", front.address())
}

fn by_url(url: &str) -> String {
    format!("url = \"{url}\"\n")
}

impl Fault {
    /// The fault of an origin, which has not begun.
    pub(super) fn of(kind: FaultKind, origin: &Origin) -> Fault {
        let mut fault = Fault {
            kind,
            healthy: by_url(&origin.url()),
            authority: None,
            ticks: (0..64).map(|_| Gate::new()).collect(),
            kept: Mutex::default(),
        };
        if matches!(
            kind,
            FaultKind::OtherName | FaultKind::Expired | FaultKind::UnknownIssuer
        ) {
            let authority = Authority::new();
            let front = TlsFront::before(origin, authority.issue(&["127.0.0.1"]));
            fault.healthy = by_tls(&front, &authority);
            fault.authority = Some(authority);
            fault.keep(front);
        }
        fault
    }

    /// Begins. Returns the keys of the origin from now on.
    pub(super) fn begin(&self, origin: &Origin) -> String {
        if let Some(reply) = self.reply() {
            origin.on("/page", reply);
            return self.healthy.clone();
        }
        match self.kind {
            FaultKind::ClosesKept => {
                origin.on_each("/page", |_, nth| match nth {
                    0 => Reply::hang_up(),
                    _ => new_page(),
                });
                self.healthy.clone()
            }
            FaultKind::Refuses => {
                origin.stop();
                self.healthy.clone()
            }
            FaultKind::BlackHole => {
                let (address, hole) = black_hole();
                self.keep(hole);
                by_url(&format!("http://{address}"))
            }
            FaultKind::NoSuchName => by_url("http://does-not-exist.invalid:8080"),
            FaultKind::AddressGone => {
                // `localhost` is ::1 and 127.0.0.1, where the machine has both.
                origin.on("/page", new_page());
                let relay = relay_on_loopback(origin);
                let hop = by_url(&format!("http://localhost:{}", relay.port()));
                self.keep(relay);
                hop
            }
            FaultKind::OtherName => {
                self.with_certificate(origin, |known| known.issue(&["other.example"]))
            }
            FaultKind::Expired => {
                self.with_certificate(origin, |known| known.issue_until(&["127.0.0.1"], 2020))
            }
            FaultKind::UnknownIssuer => {
                self.with_certificate(origin, |_| Authority::new().issue(&["127.0.0.1"]))
            }
            kind => unreachable!("{kind:?} is a reply"),
        }
    }

    /// Passes a second.
    pub(super) fn tick(&self, second: u64) {
        if let Some(gate) = usize::try_from(second)
            .ok()
            .and_then(|second| self.ticks.get(second))
        {
            gate.open();
        }
    }

    fn with_certificate(
        &self,
        origin: &Origin,
        issue: impl Fn(&Authority) -> Certificate,
    ) -> String {
        let known = self.authority.as_ref().expect("it has one");
        let front = TlsFront::before(origin, issue(known));
        let hop = by_tls(&front, known);
        self.keep(front);
        hop
    }

    /// What the origin sends, where that is the fault.
    fn reply(&self) -> Option<Reply> {
        let page = || Reply::fresh(600, SENT);
        Some(match self.kind {
            FaultKind::HangsBeforeHead => Reply::silence(),
            FaultKind::HangsInHead => Reply::raw_then_silence("HTTP/1.1 200 OK\r\nCache-Con"),
            FaultKind::DripsHead => {
                let mut reply = Reply::bytes("HTTP/1.1 200 OK\r\nX-Long: ");
                for tick in &self.ticks {
                    reply = reply.then_gate(tick).then("a");
                }
                reply.then_silence()
            }
            FaultKind::ResetsBeforeHead => Reply::reset(),
            FaultKind::ResetsAfterHead => Reply::fresh(600, "").announcing(SENT.len()).then_reset(),
            FaultKind::CutsBody => page().announcing(2 * SENT.len()).then_close(),
            FaultKind::HangsInBody => page().announcing(2 * SENT.len()).then_silence(),
            FaultKind::MalformedHead => Reply::raw("HTTP/1.1 two hundred\r\n\r\n"),
            FaultKind::LargeHead => page().header("X-Large", "x".repeat(1 << 20)),
            FaultKind::Status(status) => Reply::status(status).body(SENT),
            FaultKind::RetryAfter => Reply::status(503).header("Retry-After", "20").body(SENT),
            _ => return None,
        })
    }

    fn keep(&self, what: impl Any + Send) {
        self.kept
            .lock()
            .expect("no other thread failed")
            .push(Box::new(what));
    }
}

/// The page as it is now.
fn new_page() -> Reply {
    Reply::fresh(600, SENT)
}

/// A listener whose queue is full: the system drops what asks for a connection.
pub(super) fn black_hole() -> (SocketAddr, (Socket, Vec<TcpStream>)) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket
        .bind(&any.into())
        .expect("a loopback address can be bound");
    socket.listen(0).expect("a bound socket listens");
    let address = socket.local_addr().expect("it is bound").as_socket();
    let address = address.expect("it is one of IP");
    let mut filling = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        filling.push(stream);
        assert!(filling.len() < 64, "the queue is never full");
    }
    (address, (socket, filling))
}
