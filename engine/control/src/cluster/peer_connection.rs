//! A connection to a peer: HTTP/1.1 over mutual TLS, kept for the next message.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use crate::outgoing::mutual_tls_connector;
use tero_admin_api::endpoints::ExchangePurges;
use tero_admin_api::{Answer as _, Endpoint, ExchangeRequest, ExchangeResponse, Question as _};
use tero_time::clock::Clock;

/// From the beginning of a message to the end of its answer, with the connection.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(3);
/// The longest answer, in bytes: as much as an admin interface takes.
pub(super) const MAX_ANSWER: usize = 4 << 20;

/// What a node shows its peers, and whom it trusts. All files are in PEM.
#[derive(Clone, Default)]
pub(super) struct PeerIdentity {
    /// Its certificate, its own first.
    pub(super) certificate: PathBuf,
    /// The key of it.
    pub(super) key: PathBuf,
    /// The CAs that may have issued the certificates of the peers.
    pub(super) ca: PathBuf,
    /// The token of the admin interface, which all nodes share.
    pub(super) token: Option<String>,
}

impl fmt::Debug for PeerIdentity {
    /// Without the token.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("PeerIdentity");
        shown.field("ca", &self.ca).finish_non_exhaustive()
    }
}

/// Why a peer does not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum PeerError {
    /// It can't be reached, or TLS fails.
    #[error("it can't be reached: {0}")]
    Io(#[from] io::Error),
    /// It does not speak HTTP, or breaks off.
    #[error("it breaks off: {0}")]
    Http(#[from] hyper::Error),
    /// It refuses.
    #[error("it answered {0}")]
    Status(StatusCode),
    /// It takes too long.
    #[error("it did not answer within {EXCHANGE_TIMEOUT:?}")]
    Late,
    /// The answer is something else.
    #[error("its answer can't be read: {0}")]
    Answer(String),
}

/// A connection to a peer, made when it is needed.
#[derive(Debug)]
pub(super) struct PeerConnection {
    name: Arc<str>,
    /// What its certificate is for.
    host: String,
    port: u16,
    address: Option<SocketAddr>,
    identity: PeerIdentity,
    open: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

impl PeerConnection {
    /// To the peer of this name: a URL of the configuration, or an address that `from` was looked up
    /// to, whose certificate is for the name in `from`.
    pub(super) fn new(
        name: &Arc<str>,
        from: Option<&str>,
        address: Option<SocketAddr>,
        identity: &PeerIdentity,
    ) -> PeerConnection {
        let authority = match address {
            None => name.strip_prefix("https://").unwrap_or(name),
            Some(_) => from.unwrap_or_default(),
        };
        let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
        let host = host.trim_start_matches('[').trim_end_matches(']');
        PeerConnection {
            name: Arc::clone(name),
            host: host.to_owned(),
            port: port.parse().unwrap_or_default(),
            address,
            identity: identity.clone(),
            open: Mutex::default(),
        }
    }

    /// The name of the peer.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Sends a message, and returns the answer.
    ///
    /// # Errors
    /// [`PeerError`]; the peer may have read the message all the same.
    pub(super) async fn exchange(
        &self,
        request: &ExchangeRequest,
    ) -> Result<ExchangeResponse, PeerError> {
        let clock = Clock::real();
        let answered = clock.timeout(EXCHANGE_TIMEOUT, self.send(request.content().into()));
        answered.await.map_err(|_| PeerError::Late)?
    }

    async fn send(&self, content: Bytes) -> Result<ExchangeResponse, PeerError> {
        let mut open = self.open.lock().await;
        let kept = open.take().filter(|sender| !sender.is_closed());
        let mut sender = match kept {
            // The peer may have closed it a moment ago; a message may be sent twice.
            Some(mut sender) => match self.ask(&mut sender, content.clone()).await {
                Ok(answer) => {
                    *open = Some(sender);
                    return Ok(answer);
                }
                Err(PeerError::Http(_)) => self.connect().await?,
                Err(error) => return Err(error),
            },
            None => self.connect().await?,
        };
        let answer = self.ask(&mut sender, content).await?;
        *open = Some(sender);
        Ok(answer)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, PeerError> {
        let stream = match self.address {
            Some(address) => TcpStream::connect(address).await?,
            None => TcpStream::connect((self.host.as_str(), self.port)).await?,
        };
        stream.set_nodelay(true)?;
        // Read anew for each connection: certificates are renewed.
        let connector: TlsConnector = mutual_tls_connector(
            &self.identity.ca,
            &self.identity.certificate,
            &self.identity.key,
        )?;
        let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
        let stream = connector.connect(name, stream).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the sender; its errors come out of the request too.
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn ask(
        &self,
        sender: &mut SendRequest<Full<Bytes>>,
        content: Bytes,
    ) -> Result<ExchangeResponse, PeerError> {
        sender.ready().await?;
        let response = sender.send_request(self.request(content)).await?;
        let status = response.status();
        let content = Limited::new(response.into_body(), MAX_ANSWER);
        let content = content.collect().await;
        let content = content.map_err(|error| PeerError::Answer(error.to_string()))?;
        if status != ExchangePurges::STATUS {
            return Err(PeerError::Status(status));
        }
        let content = content.to_bytes();
        ExchangeResponse::read(&content).map_err(|error| PeerError::Answer(error.to_string()))
    }

    fn request(&self, content: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(content));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static(ExchangePurges::PATH);
        let fields = request.headers_mut();
        let authority = match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        };
        if let Ok(authority) = HeaderValue::try_from(authority) {
            fields.insert(HOST, authority);
        }
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let token = self.identity.token.as_ref();
        let token = token.map(|token| HeaderValue::try_from(format!("Bearer {token}")));
        if let Some(Ok(token)) = token {
            fields.insert(AUTHORIZATION, token);
        }
        request
    }
}
