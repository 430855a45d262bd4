//! TLS connections that `wrk` and `h2load` can't make: full and resumed handshakes by kind of key,
//! and connections that stay open and idle.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, SignatureScheme,
    StreamOwned,
};

use crate::load::USER_AGENT;

/// The longest time for a read.
const PATIENCE: Duration = Duration::from_secs(30);

/// How connections begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Begin {
    /// A full handshake, signed with the ECDSA key.
    Ecdsa,
    /// A full handshake, signed with the RSA key.
    Rsa,
    /// A session is resumed by a ticket.
    Resumed,
}

/// Handshakes by TLS 1.3, with a request for a stored object on each connection.
#[derive(Debug, clap::Args)]
pub(crate) struct Handshakes {
    pub(crate) port: u16,
    pub(crate) path: String,
    pub(crate) begin: Begin,
    /// The number of connections under way.
    pub(crate) connections: u32,
    pub(crate) seconds: u64,
}

impl Handshakes {
    /// Opens connections for as long as it says, each on a thread of its own, and returns how many
    /// there were.
    pub(crate) fn run(&self) -> Result<u64, String> {
        let ends = Instant::now() + Duration::from_secs(self.seconds);
        let one_after_another = || -> Result<u64, String> {
            let config = config(self.begin, &[])?;
            // The first session is the one to resume.
            if self.begin == Begin::Resumed {
                self.ask(&config)?;
            }
            let mut count = 0;
            while Instant::now() < ends {
                let kind = self.ask(&config)?;
                let is_resumed = kind == Some(HandshakeKind::Resumed);
                if is_resumed != (self.begin == Begin::Resumed) {
                    return Err(format!("a handshake was {kind:?}"));
                }
                count += 1;
            }
            Ok(count)
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.connections)
                .map(|_| scope.spawn(one_after_another))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())?)
                .sum()
        })
    }

    fn ask(&self, config: &Arc<ClientConfig>) -> Result<Option<HandshakeKind>, String> {
        let Handshakes { port, path, .. } = self;
        let failed = |error: std::io::Error| format!("{path} on port {port}: {error}");
        let mut stream = connect(*port, config).map_err(failed)?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: {USER_AGENT}\r\nConnection: close\r\n\r\n"
        )
        .map_err(failed)?;
        let mut answer = Vec::new();
        // Not every server says goodbye.
        if let Err(error) = stream.read_to_end(&mut answer)
            && error.kind() != std::io::ErrorKind::UnexpectedEof
        {
            return Err(failed(error));
        }
        if !answer.starts_with(b"HTTP/1.1 200 ") {
            return Err(format!("{path} on port {port} was not answered with 200"));
        }
        Ok(stream.conn.handshake_kind())
    }

    /// Runs this in a process of its own on `core`.
    pub(crate) fn run_on(&self, core: u32) -> Result<u64, String> {
        use clap::ValueEnum as _;
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let begin = self.begin.to_possible_value();
        let output = Command::new("taskset")
            .args(["-c", &core.to_string()])
            .arg(program)
            .args(["handshakes", &self.port.to_string(), &self.path])
            .arg(begin.as_ref().map_or("", |value| value.get_name()))
            .args([&self.connections.to_string(), &self.seconds.to_string()])
            .output()
            .map_err(|error| error.to_string())?;
        serde_json::from_slice(&output.stdout).map_err(|_| {
            format!(
                "opening TLS connections failed: {}",
                String::from_utf8_lossy(&output.stderr)
            )
        })
    }
}

/// An open TLS connection.
pub(crate) type Open = StreamOwned<ClientConnection, TcpStream>;

/// Opens `count` connections, by HTTP/2 or HTTP/1.1, each with one request for `path`. They stay
/// open until they are dropped.
pub(crate) fn idle(port: u16, path: &str, count: u32, http2: bool) -> Result<Vec<Open>, String> {
    let protocol: &[u8] = if http2 { b"h2" } else { b"http/1.1" };
    let config = config(Begin::Ecdsa, protocol)?;
    let one = |_| {
        let mut stream = connect(port, &config)?;
        if http2 {
            ask_by_http2(&mut stream, port, path)?;
        } else {
            ask_by_http1(&mut stream, port, path)?;
        }
        Ok(stream)
    };
    (0..count)
        .map(one)
        .collect::<std::io::Result<_>>()
        .map_err(|error| format!("{path} on port {port}: {error}"))
}

fn ask_by_http1(stream: &mut Open, port: u16, path: &str) -> std::io::Result<()> {
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer)?;
        answer.extend_from_slice(&buffer[..length]);
        let head = answer.windows(4).position(|window| window == b"\r\n\r\n");
        let content = head.and_then(|end| {
            let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
            let (_, value) = head.split_once("content-length:")?;
            let length: usize = value.lines().next()?.trim().parse().ok()?;
            Some(end + 4 + length)
        });
        if content.is_some_and(|content| answer.len() >= content) {
            return Ok(());
        }
        if length == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Frames of HTTP/2 (RFC 9113 §6) as far as a request and its answer need them.
fn ask_by_http2(stream: &mut Open, port: u16, path: &str) -> std::io::Result<()> {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const END_STREAM: u8 = 1;
    const END_STREAM_AND_HEADERS: u8 = 5;
    const ACK: u8 = 1;
    let frame = |kind: u8, flags: u8, id: u8, content: &[u8]| {
        let length = (content.len() as u32).to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, id];
        frame.extend_from_slice(content);
        frame
    };
    // The indexed fields `:method: GET` and `:scheme: https`, then `:path` and `:authority` as
    // literals (RFC 7541 §6).
    let authority = format!("127.0.0.1:{port}");
    let mut head = vec![0x82, 0x87, 0x04, path.len() as u8];
    head.extend_from_slice(path.as_bytes());
    head.extend_from_slice(&[0x01, authority.len() as u8]);
    head.extend_from_slice(authority.as_bytes());
    let mut first = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    first.extend(frame(SETTINGS, 0, 0, &[]));
    first.extend(frame(HEADERS, END_STREAM_AND_HEADERS, 1, &head));
    stream.write_all(&first)?;
    loop {
        let mut begin = [0; 9];
        stream.read_exact(&mut begin)?;
        let mut content = vec![0; u32::from_be_bytes([0, begin[0], begin[1], begin[2]]) as usize];
        stream.read_exact(&mut content)?;
        match (begin[3], begin[4]) {
            (SETTINGS, 0) => stream.write_all(&frame(SETTINGS, ACK, 0, &[]))?,
            (DATA, flags) if flags & END_STREAM != 0 => return Ok(()),
            // RST_STREAM and GOAWAY
            (3 | 7, _) => return Err(std::io::Error::other("the request was refused")),
            _ => {}
        }
    }
}

fn connect(port: u16, config: &Arc<ClientConfig>) -> std::io::Result<Open> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let name = ServerName::try_from("bench.example").map_err(std::io::Error::other)?;
    let session = ClientConnection::new(Arc::clone(config), name).map_err(std::io::Error::other)?;
    Ok(StreamOwned::new(session, stream))
}

fn config(begin: Begin, protocol: &[u8]) -> Result<Arc<ClientConfig>, String> {
    // The peers' OpenSSL has no key exchange against quantum computers, so all use X25519.
    let provider = Arc::new(CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    });
    // TLS 1.3 signs with PSS alone; HAProxy takes a client for one that knows RSA by the other.
    let schemes: &[_] = match begin {
        Begin::Rsa => &[
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PKCS1_SHA256,
        ],
        Begin::Ecdsa | Begin::Resumed => &[SignatureScheme::ECDSA_NISTP256_SHA256],
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(schemes)))
        .with_no_client_auth();
    if begin != Begin::Resumed {
        config.resumption = Resumption::disabled();
    }
    if !protocol.is_empty() {
        config.alpn_protocols = vec![protocol.to_vec()];
    }
    Ok(Arc::new(config))
}

/// Takes any certificate: the servers are our own. A server signs with one of these schemes, so it
/// chooses the certificate with that kind of key.
#[derive(Debug)]
struct AnyCertificate(&'static [SignatureScheme]);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.to_vec()
    }
}
