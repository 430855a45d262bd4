//! The TLS handshake of a connection: its deadline, its place among others, and what a client gets
//! that speaks plain HTTP.

use std::sync::Arc;

use http::Version;
use rustls::ProtocolVersion;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::super::WorkerContext;
use super::super::connection_facts::ConnectionFacts;
use super::server_config::HTTP2;
use super::socket::TlsSocket;
use super::transport::TlsTransport;
use super::{TlsSetup, TlsTerminator};
use crate::acme::CHALLENGE_PROTOCOL;
use crate::request::client::TlsFacts;
use crate::request::tls_client::TlsClient;
use crate::request::{self, Edge};
use crate::telemetry::handshake_counters::HandshakeResult;
use tero_semantics::authority::Scheme;

/// Bytes of a request in the clear that are read and dropped, so that its answer arrives.
const MAX_LEFT_OVER: usize = 64 * 1024;

/// A connection that speaks TLS.
pub(in crate::server) struct SecureConnection {
    /// Its socket.
    pub(in crate::server) socket: Box<TlsSocket>,
    /// What is known of it now.
    pub(in crate::server) facts: ConnectionFacts,
    /// Whether the client has chosen HTTP/2.
    pub(in crate::server) speaks_http2: bool,
}

/// Carries out the handshake. `None` if the connection ends with it.
pub(in crate::server) async fn accept(
    context: &WorkerContext,
    tls: &TlsTerminator,
    stream: TcpStream,
    facts: &ConnectionFacts,
) -> Option<SecureConnection> {
    let Edge {
        clock, counters, ..
    } = &*context.edge;
    // Flights are written whole.
    let _ = stream.set_nodelay(true);
    let limit = context.settings.header_timeout;
    let mut slot = context.handshakes.enter();
    let setup = tls.setup();
    let acceptor = TlsAcceptor::from(Arc::clone(&setup.config));
    let handshake = acceptor.accept(TlsTransport::new(stream)).into_fallible();
    let ended = tokio::select! {
        biased;
        ended = clock.timeout(limit, handshake) => ended,
        () = slot.given_up() => {
            counters.handshakes.record(HandshakeResult::GivenUp);
            return None;
        }
    };
    let Ok(ended) = ended else {
        counters.handshakes.record(HandshakeResult::Late);
        return None;
    };
    match ended {
        // The directory has seen the certificate that it asked for (RFC 8737 §3).
        Ok(stream) if stream.get_ref().1.alpn_protocol() == Some(CHALLENGE_PROTOCOL) => None,
        Ok(stream) => {
            let is_resumed = is_resumed(&stream);
            counters.handshakes.record(match is_resumed {
                true => HandshakeResult::Resumed,
                false => HandshakeResult::Full,
            });
            Some(SecureConnection {
                facts: facts_of(&setup, &stream, facts),
                speaks_http2: stream.get_ref().1.alpn_protocol() == Some(HTTP2),
                socket: Box::new(TlsSocket::new(stream)),
            })
        }
        Err((_, transport)) if transport.is_in_the_clear() => {
            counters.handshakes.record(HandshakeResult::InTheClear);
            let _ = clock
                .timeout(limit, refuse_in_the_clear(context, transport, facts))
                .await;
            None
        }
        Err((error, _)) => {
            counters.handshakes.record(HandshakeResult::Failed);
            tracing::debug!(client = ?facts.peer, %error, "a TLS handshake failed");
            None
        }
    }
}

fn is_resumed(stream: &TlsStream<TlsTransport>) -> bool {
    stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
}

/// What is known of a connection after its handshake.
fn facts_of(
    setup: &TlsSetup,
    stream: &TlsStream<TlsTransport>,
    before: &ConnectionFacts,
) -> ConnectionFacts {
    let session = stream.get_ref().1;
    let version = session
        .protocol_version()
        .and_then(|version| match version {
            ProtocolVersion::TLSv1_2 => Some("TLSv1.2"),
            ProtocolVersion::TLSv1_3 => Some("TLSv1.3"),
            _ => None,
        });
    let cipher = session.negotiated_cipher_suite();
    let cipher = cipher.and_then(|cipher| cipher.suite().as_str());
    let tls = TlsFacts {
        version: version.map(Into::into),
        // The registered name has no version in it.
        cipher: cipher.map(|cipher| cipher.replacen("TLS13_", "TLS_", 1).into()),
        server_name: session.server_name().map(Into::into),
    };
    let mut facts = before.clone();
    facts.scheme = Scheme::Https;
    facts.transport.tls = Some(Arc::new(tls));
    facts.tls = client_of(setup, stream);
    facts
}

/// What the client has shown. Without client certificates nothing depends on it.
fn client_of(setup: &TlsSetup, stream: &TlsStream<TlsTransport>) -> Option<Arc<TlsClient>> {
    if !setup.asks_for_certificates {
        return None;
    }
    let session = stream.get_ref().1;
    let certificate = session.peer_certificates().and_then(<[_]>::first);
    Some(Arc::new(TlsClient::new(
        session.server_name(),
        certificate.map(|certificate| certificate.as_ref()),
    )))
}

/// Tells a client in the clear that the port speaks TLS.
#[cold]
async fn refuse_in_the_clear(
    context: &WorkerContext,
    transport: TlsTransport,
    facts: &ConnectionFacts,
) {
    let edge = &context.edge;
    let message = "a client speaks plain HTTP to a port with TLS";
    if let Some(left_out) = edge.counters.repeats.due(message, "", edge.clock.now()) {
        tracing::warn!(client = ?facts.peer, left_out, "{message}");
    }
    let (refused, content) = request::refuse_in_the_clear(edge);
    let version = Version::HTTP_11;
    request::record_unread(edge, facts.peer, version, &facts.transport, &refused);
    let mut answer = request::head_as_bytes(refused.status(), refused.headers());
    answer.extend_from_slice(content.as_bytes());
    let mut stream = transport.into_stream();
    if stream.write_all(&answer).await.is_err() || stream.shutdown().await.is_err() {
        return;
    }
    // A socket that is closed with unread bytes resets the connection, and the answer is lost.
    let mut piece = [0; 4096];
    let mut left = MAX_LEFT_OVER;
    while let Ok(length @ 1..) = stream.read(&mut piece).await {
        left = left.saturating_sub(length);
        if left == 0 {
            return;
        }
    }
}
