//! One connection to a next hop, which runs on the thread that opened it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::header::{CONNECTION, EXPECT, HOST, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderName, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::RequestBody;
use super::content_leave::ContentLeave;
use super::sending::SendingContent;
use super::socket::HopSocket;
use super::stream::{NextHopStream, RequestProgress};
use tero_semantics::authority::Scheme;
use tero_semantics::timestamp::Timestamp;

/// Bytes that a next hop may send on one stream before they are read.
const STREAM_WINDOW: u32 = 1 << 20;
/// Bytes that a next hop may send on one connection of HTTP/2 before they are read.
const CONNECTION_WINDOW: u32 = 4 << 20;

/// Fields that HTTP/2 has no use for (RFC 9113 §8.2.2).
const OF_CONNECTION: [HeaderName; 5] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// How connections to next hops are used.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionSettings {
    /// How long one is used for further requests.
    pub max_age: Duration,
    /// The head of a response, at most, in bytes.
    pub max_header_bytes: usize,
    /// Fields in the head of a response, at most.
    pub max_headers: usize,
}

/// An open connection.
#[derive(Debug)]
pub(super) struct NextHopConnection {
    sender: RequestSender,
    /// The other side; `None` for a Unix socket.
    pub(super) peer: Option<SocketAddr>,
    /// When it was opened.
    pub(super) opened: Timestamp,
}

#[derive(Debug)]
enum RequestSender {
    Http1 {
        sender: http1::SendRequest<RequestBody>,
        progress: Arc<RequestProgress>,
    },
    Http2 {
        sender: http2::SendRequest<RequestBody>,
        scheme: Scheme,
        shared: Arc<SharedConnection>,
    },
}

/// What the requests on one connection of HTTP/2 share.
#[derive(Debug, Default)]
struct SharedConnection {
    /// Requests whose responses have not ended.
    streams: AtomicUsize,
    /// Whether it takes no more requests, since one of them got no answer.
    is_retired: AtomicBool,
}

/// A request on a connection of HTTP/2; it counts until it is dropped.
#[derive(Debug)]
pub(super) struct StreamPlace(Arc<SharedConnection>);

impl Drop for StreamPlace {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpokenProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, of this scheme.
    Http2(Scheme),
}

/// The result of sending a request.
#[derive(Debug)]
pub(super) enum SendResult {
    /// The head of the response.
    Answered(Response<Incoming>),
    /// The connection had ended already. Nothing was sent.
    Unsent(Request<RequestBody>, hyper::Error),
    /// The connection ended before the head of the response was complete.
    Broken {
        /// What went wrong.
        source: hyper::Error,
        /// It was closed before the first byte of a response.
        was_silent: bool,
    },
}

impl NextHopConnection {
    /// Whether it can send a request now: the last response was read.
    pub(super) fn is_ready(&self) -> bool {
        match &self.sender {
            RequestSender::Http1 { sender, .. } => sender.is_ready(),
            RequestSender::Http2 { sender, .. } => sender.is_ready(),
        }
    }

    /// Whether it has ended.
    pub(super) fn is_closed(&self) -> bool {
        match &self.sender {
            RequestSender::Http1 { sender, .. } => sender.is_closed(),
            RequestSender::Http2 { sender, shared, .. } => {
                sender.is_closed() || shared.is_retired.load(Ordering::Relaxed)
            }
        }
    }

    /// The same connection for one more request, and its place; `None` unless it speaks HTTP/2 and
    /// has room among `max_streams`.
    pub(super) fn join(&self, max_streams: usize) -> Option<(NextHopConnection, StreamPlace)> {
        let RequestSender::Http2 {
            sender,
            scheme,
            shared,
        } = &self.sender
        else {
            return None;
        };
        if self.is_closed() || shared.streams.load(Ordering::Relaxed) >= max_streams {
            return None;
        }
        shared.streams.fetch_add(1, Ordering::Relaxed);
        let joined = NextHopConnection {
            sender: RequestSender::Http2 {
                sender: sender.clone(),
                scheme: *scheme,
                shared: Arc::clone(shared),
            },
            peer: self.peer,
            opened: self.opened,
        };
        Some((joined, StreamPlace(Arc::clone(shared))))
    }

    /// Whether several requests can be under way on it.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.sender, RequestSender::Http2 { .. })
    }

    /// Lets it take no more requests: one got no answer in time. Those under way go on.
    pub(super) fn retire(&self) {
        if let RequestSender::Http2 { shared, .. } = &self.sender {
            shared.is_retired.store(true, Ordering::Relaxed);
        }
    }

    /// Sends a request, whose content is recorded in `sending`, and waits for the head of its
    /// response.
    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
        sending: Option<&Arc<SendingContent>>,
    ) -> SendResult {
        match &mut self.sender {
            RequestSender::Http1 { sender, progress } => {
                if let Err(source) = sender.ready().await {
                    return SendResult::Unsent(request, source);
                }
                progress.request_sent(request.method(), sending);
                match sender.try_send_request(request).await {
                    Ok(response) => SendResult::Answered(response),
                    Err(mut failure) => match failure.take_message() {
                        Some(request) => SendResult::Unsent(request, failure.into_error()),
                        None => {
                            let source = failure.into_error();
                            let was_closed = source.is_incomplete_message()
                                || source.is_canceled()
                                || was_reset(&source);
                            SendResult::Broken {
                                source,
                                was_silent: was_closed && !progress.has_answer(),
                            }
                        }
                    },
                }
            }
            RequestSender::Http2 { sender, scheme, .. } => {
                if let Err(source) = sender.ready().await {
                    return SendResult::Unsent(request, source);
                }
                // Interim responses of HTTP/2 aren't seen.
                if let Some(leave) = request.extensions().get::<ContentLeave>() {
                    leave.give();
                }
                match sender.try_send_request(for_http2(request, *scheme)).await {
                    Ok(response) => SendResult::Answered(response),
                    Err(mut failure) => match failure.take_message() {
                        Some(request) => SendResult::Unsent(request, failure.into_error()),
                        None => {
                            let source = failure.into_error();
                            let was_silent = was_not_handled(&source);
                            SendResult::Broken { source, was_silent }
                        }
                    },
                }
            }
        }
    }
}

/// The request in the form of HTTP/2: the target is absolute, and no field is about a connection
/// (RFC 9113 §8.2.2, §8.3.1).
fn for_http2(mut request: Request<RequestBody>, scheme: Scheme) -> Request<RequestBody> {
    let host = request.headers_mut().remove(HOST);
    let authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    if let Some(authority) = authority {
        let mut uri = std::mem::take(request.uri_mut()).into_parts();
        uri.scheme = Some(match scheme {
            Scheme::Http => http::uri::Scheme::HTTP,
            Scheme::Https => http::uri::Scheme::HTTPS,
        });
        uri.authority = Some(authority);
        uri.path_and_query
            .get_or_insert(PathAndQuery::from_static("/"));
        *request.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
    }
    for name in OF_CONNECTION.iter().chain([&EXPECT]) {
        request.headers_mut().remove(name);
    }
    request
}

/// Whether the other side has reset the connection.
fn was_reset(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error);
    let source = source.and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|error| {
        matches!(
            error.kind(),
            io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
        )
    })
}

/// Whether the next hop says that it has not handled the request (RFC 9113 §8.7), or the connection
/// ended without a word about it.
fn was_not_handled(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(error) = inner.downcast_ref::<h2::Error>() {
            return error.is_io()
                || error.is_go_away()
                || error.reason() == Some(h2::Reason::REFUSED_STREAM);
        }
        source = inner.source();
    }
    error.is_canceled() || error.is_closed()
}

/// Makes a connection of a socket. It runs on this thread.
///
/// # Errors
/// If the next hop doesn't speak HTTP/2 though it should.
pub(super) async fn speak(
    socket: HopSocket,
    spoken: SpokenProtocol,
    settings: &ConnectionSettings,
    now: Timestamp,
) -> io::Result<NextHopConnection> {
    let peer = socket.peer();
    let sender = match spoken {
        SpokenProtocol::Http1 => speak_http1(socket, settings).await?,
        SpokenProtocol::Http2(scheme) => speak_http2(socket, scheme, settings).await?,
    };
    Ok(NextHopConnection {
        sender,
        peer,
        opened: now,
    })
}

async fn speak_http1(
    socket: HopSocket,
    settings: &ConnectionSettings,
) -> io::Result<RequestSender> {
    let progress = Arc::new(RequestProgress::default());
    let handshake = http1::Builder::new()
        .max_buf_size(settings.max_header_bytes.max(8192))
        .max_headers(settings.max_headers)
        .handshake(TokioIo::new(NextHopStream::new(
            socket,
            Arc::clone(&progress),
        )))
        .await;
    let (sender, connection) = handshake.map_err(io::Error::other)?;
    // The task that waits for the response gets the connection's errors.
    tokio::spawn(async move { drop(connection.with_upgrades().await) });
    Ok(RequestSender::Http1 { sender, progress })
}

async fn speak_http2(
    socket: HopSocket,
    scheme: Scheme,
    settings: &ConnectionSettings,
) -> io::Result<RequestSender> {
    let max_header_bytes = u32::try_from(settings.max_header_bytes).unwrap_or(u32::MAX);
    let handshake = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(max_header_bytes)
        .handshake(TokioIo::new(socket))
        .await;
    let (sender, connection) = handshake.map_err(io::Error::other)?;
    tokio::spawn(async move { drop(connection.await) });
    Ok(RequestSender::Http2 {
        sender,
        scheme,
        shared: Arc::default(),
    })
}
