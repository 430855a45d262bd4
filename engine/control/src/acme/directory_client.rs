//! HTTP with a directory: one connection over TLS that is used again, bounded answers, deadlines by
//! the edge's clock.
//!
//! The library that speaks ACME takes `Retry-After` as it comes, and adds it to a clock of its own.
//! So the field is read here, and goes no further.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, RETRY_AFTER};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::pacing::retry_after;
use crate::outgoing::tls_connector;
use tero_time::clock::Clock;

/// From the connection to the end of an answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest answer, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// Speaks with one directory. Clones share the connection.
#[derive(Clone)]
pub(super) struct DirectoryClient(Arc<DirectoryConnection>);

struct DirectoryConnection {
    clock: Clock,
    connector: TlsConnector,
    /// The connection of the last request, with its authority, if it can be used again.
    idle: Mutex<Option<(String, SendRequest<BodyWrapper<Bytes>>)>>,
    /// What the last answer asked for.
    retry_after: Mutex<Option<Duration>>,
}

/// Why a directory gave no answer.
#[derive(Debug, thiserror::Error)]
enum RequestError {
    #[error("the URL {0} is not https://")]
    Url(Uri),
    #[error("{authority} can't be reached: {source}")]
    Connect {
        authority: String,
        #[source]
        source: io::Error,
    },
    #[error("{authority} breaks the connection: {source}")]
    Http {
        authority: String,
        #[source]
        source: hyper::Error,
    },
    #[error("{authority} breaks off its answer: {source}")]
    Answer {
        authority: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("no answer within {REQUEST_TIMEOUT:?}")]
    Timeout,
}

impl DirectoryClient {
    /// A client that trusts the CAs in `ca`; without it, those of the system.
    ///
    /// # Errors
    /// If the file can't be used, or there is no CA.
    pub(super) fn new(ca: Option<&Path>, clock: Clock) -> io::Result<DirectoryClient> {
        let connector = tls_connector(ca)?;
        Ok(DirectoryClient(Arc::new(DirectoryConnection {
            clock,
            connector,
            idle: Mutex::default(),
            retry_after: Mutex::default(),
        })))
    }

    /// What the last answer asked for with `Retry-After`.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let asked = self.0.retry_after.lock();
        *asked.unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpClient for DirectoryClient {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let connection = Arc::clone(&self.0);
        Box::pin(async move {
            let sent = connection.send(request);
            let answer = connection.clock.timeout(REQUEST_TIMEOUT, sent).await;
            let answer = answer.unwrap_or(Err(RequestError::Timeout));
            answer
                .map(BytesResponse::from)
                .map_err(|error| instant_acme::Error::Other(Box::new(error)))
        })
    }
}

impl DirectoryConnection {
    async fn send(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Result<Response<Full<Bytes>>, RequestError> {
        self.note_retry_after(None);
        let (mut parts, content) = request.into_parts();
        let authority = match (parts.uri.scheme_str(), parts.uri.authority()) {
            (Some("https"), Some(authority)) => authority.clone(),
            _ => return Err(RequestError::Url(parts.uri)),
        };
        let name = authority.as_str().to_owned();
        let path = parts.uri.path_and_query().cloned();
        parts.uri = path.map_or_else(|| Uri::from_static("/"), Uri::from);
        if let Ok(host) = HeaderValue::try_from(&name) {
            parts.headers.insert(HOST, host);
        }
        let mut sender = match self.idle_connection(&name).await {
            Some(sender) => sender,
            None => self.connect(&authority).await?,
        };
        let request = Request::from_parts(parts, content);
        let answer = sender.send_request(request).await;
        let answer = answer.map_err(|source| RequestError::Http {
            authority: name.clone(),
            source,
        })?;
        let (mut parts, content) = answer.into_parts();
        let asked = parts.headers.remove(RETRY_AFTER);
        let asked = asked.and_then(|value| retry_after(&value, self.clock.wall()));
        self.note_retry_after(asked);
        let content = Limited::new(content, MAX_ANSWER).collect().await;
        let content = content.map_err(|source| RequestError::Answer {
            authority: name.clone(),
            source,
        })?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        *idle = Some((name, sender));
        Ok(Response::from_parts(parts, Full::new(content.to_bytes())))
    }

    fn note_retry_after(&self, asked: Option<Duration>) {
        let noted = self.retry_after.lock();
        *noted.unwrap_or_else(PoisonError::into_inner) = asked;
    }

    /// The connection of the last request, if it was with the same server, which has kept it open.
    async fn idle_connection(&self, name: &str) -> Option<SendRequest<BodyWrapper<Bytes>>> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let (_, mut sender) = idle.filter(|(authority, _)| authority == name)?;
        sender.ready().await.ok()?;
        Some(sender)
    }

    async fn connect(
        &self,
        authority: &http::uri::Authority,
    ) -> Result<SendRequest<BodyWrapper<Bytes>>, RequestError> {
        let unreachable = |source| RequestError::Connect {
            authority: authority.to_string(),
            source,
        };
        let bare = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned())
            .map_err(|error| unreachable(io::Error::other(error)))?;
        let stream = TcpStream::connect((bare, authority.port_u16().unwrap_or(443)));
        let stream = stream.await.map_err(unreachable)?;
        let stream = self.connector.connect(name, stream).await;
        let stream = TokioIo::new(stream.map_err(unreachable)?);
        let (sender, connection) =
            http1::handshake(stream)
                .await
                .map_err(|source| RequestError::Http {
                    authority: authority.to_string(),
                    source,
                })?;
        // It ends with the sender, and its errors come out of the requests too.
        tokio::spawn(connection);
        Ok(sender)
    }
}
