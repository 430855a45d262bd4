//! What the interface speaks below HTTP: nothing, or TLS. Who speaks the other one is told so.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::guard::ClientProof;
use tero_admin_api::{Answer as _, Problem};
use tero_edge::server::tls::TlsTerminator;
use tero_time::clock::Clock;

/// From the start of a connection to the end of its handshake, farewell included.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// What is read from a client that is refused, so that it reads why.
const MAX_UNREAD_BYTES: u64 = 64 * 1024;
/// The first byte of a TLS connection: a record of the handshake (RFC 8446 §5.1).
const HANDSHAKE_RECORD: u8 = 0x16;

/// Does the handshake with a client. `None` if there is no connection after it: a refused client was
/// told why, as far as it listens.
pub(super) async fn handshake(
    tls: &TlsTerminator,
    clock: &Clock,
    stream: TcpStream,
) -> Option<(TlsStream<TcpStream>, ClientProof)> {
    let (config, asks_for_certificates) = tls.handshake_terms();
    let acceptor = TlsAcceptor::from(config);
    let accepted = accept(&acceptor, stream);
    match clock.timeout(HANDSHAKE_TIMEOUT, accepted).await {
        Ok(Ok(stream)) => {
            let has_certificate = stream.get_ref().1.peer_certificates().is_some();
            let proof = match (asks_for_certificates, has_certificate) {
                (false, _) => ClientProof::Secure,
                (true, false) => ClientProof::NoCertificate,
                (true, true) => ClientProof::Certificate,
            };
            Some((stream, proof))
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake with the admin interface failed");
            None
        }
        Err(_) => {
            tracing::debug!("a TLS handshake with the admin interface took too long");
            None
        }
    }
}

async fn accept(acceptor: &TlsAcceptor, mut stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 1 && first[0] != HANDSHAKE_RECORD {
        stream.write_all(&speaks_tls()).await?;
        farewell(stream).await;
        return Err(io::Error::other("the client does not speak TLS"));
    }
    match acceptor.accept(stream).into_fallible().await {
        Ok(stream) => Ok(stream),
        Err((error, stream)) => {
            farewell(stream).await;
            Err(error)
        }
    }
}

/// Ends a connection so that the last words arrive: bytes that were not read would have the system
/// reset it, and the client forget what it has not read.
async fn farewell(mut stream: TcpStream) {
    let _ = stream.shutdown().await;
    let _ = discard(stream.take(MAX_UNREAD_BYTES)).await;
}

async fn discard(mut stream: impl AsyncRead + Unpin) -> io::Result<()> {
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// The answer to HTTP in the clear.
fn speaks_tls() -> Vec<u8> {
    let problem = Problem::new("this address speaks TLS", "write https://").to_text();
    let length = problem.len();
    format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncache-control: no-store\r\n\
         connection: close\r\ncontent-length: {length}\r\n\r\n{problem}"
    )
    .into_bytes()
}
