//! A blocking client of the interface: a connection for each request, over TLS for `https://`, to a
//! Unix socket for `unix:`.

mod tls;

use std::error::Error;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::endpoints::{Live, Upgrade};
use crate::{
    Answer, CONTENT, Endpoint, LiveEvent, LiveQuestion, PathError, Problem, Question, WASM, path_of,
};

pub use tls::{IdentityFiles, TlsFiles, TlsTrouble};

/// How long an answer may take; to a version that is pushed and has to be compiled.
const TIMEOUT: Duration = Duration::from_secs(60);
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(900);
/// A new process may warm its cache first; `[server] upgrade_timeout` bounds that.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(3 * 3_600);

/// After so long without a line of a stream with figures, which come once a second, the edge has gone.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);

/// The longest answer, in bytes.
const MAX_ANSWER: usize = 64 << 20;

/// A client of one admin interface.
#[derive(Debug)]
pub struct Client {
    /// Of a Unix socket, a name of this machine.
    authority: String,
    /// The path of its Unix socket, if that is where it listens.
    socket: Option<PathBuf>,
    token: Option<Token>,
    /// `None` for `http://`.
    tls: Option<TlsSettings>,
    runtime: tokio::runtime::Runtime,
    /// [`LONGEST_SILENCE`], but in tests.
    longest_silence: Duration,
}

/// How TLS is spoken with the interface.
struct TlsSettings {
    connector: TlsConnector,
    name: ServerName<'static>,
    shows_identity: bool,
}

/// The token of the interface; a Debug print does not show it.
struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Token")
    }
}

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL is not `http://HOST`, `https://HOST`, one of the two with a port, or `unix:/PATH`.
    #[error(
        "`{0}` is not the URL of an admin interface; write http://HOST:PORT, https://HOST:PORT or unix:/PATH"
    )]
    Url(String),
    /// The token is empty, or has other characters than visible ASCII.
    #[error("the token is empty, or not visible ASCII")]
    Token,
    /// Files for TLS, and a URL without it.
    #[error("`{0}` is a URL without TLS, where no certificate counts; write https://")]
    FilesWithoutTls(String),
    /// A file for TLS can't be used.
    #[error("can't use {}: {problem}", .path.display())]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The system has no CAs to trust.
    #[error("the system has no certificates of CAs; name the CA of the admin interface")]
    NoSystemCa,
    /// TLS can't be set up.
    #[error("can't set up TLS: {0}")]
    TlsStart(#[source] rustls::Error),
    /// No trustworthy TLS connection could be made.
    #[error("the admin interface at {authority} can't be used: {trouble}")]
    Tls {
        /// Host and port.
        authority: String,
        /// Why not.
        #[source]
        trouble: TlsTrouble,
    },
    /// The client can't be started.
    #[error("can't start a client: {0}")]
    Start(#[source] io::Error),
    /// A parameter is not a name.
    #[error(transparent)]
    Parameter(#[from] PathError),
    /// The interface can't be reached, or the connection breaks.
    #[error("can't reach the admin interface at {authority}: {source}; is tero running?")]
    Unreachable {
        /// Host and port.
        authority: String,
        /// Why not.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The answer takes too long.
    #[error("the admin interface at {0} does not answer")]
    Timeout(String),
    /// The interface says what is wrong.
    #[error("{}; {}", .problem.error, .problem.cure)]
    Refused {
        /// The status.
        status: StatusCode,
        /// What is wrong, and what to do instead.
        problem: Problem,
    },
    /// A refusal without a reason.
    #[error("the admin interface answered {0}")]
    Status(StatusCode),
    /// The answer is not what the endpoint answers.
    #[error("the admin interface at {authority} gave an unexpected answer: {source}")]
    Answer {
        /// Host and port.
        authority: String,
        /// What is wrong with the answer.
        #[source]
        source: serde_json::Error,
    },
}

impl Client {
    /// A client of the interface at this URL, with its token if it has one. Behind `https://` it
    /// trusts the CAs of the system.
    ///
    /// # Errors
    /// As [`Client::with_files`].
    pub fn new(url: &str, token: Option<&str>) -> Result<Client, ClientError> {
        Client::with_files(url, token, &TlsFiles::default())
    }

    /// As [`Client::new`], with files that say whom to trust and what to show of itself.
    ///
    /// # Errors
    /// [`ClientError`] if the URL, the token or a file can't be used.
    pub fn with_files(
        url: &str,
        token: Option<&str>,
        files: &TlsFiles,
    ) -> Result<Client, ClientError> {
        let bad = || ClientError::Url(url.to_owned());
        let socket = url.strip_prefix("unix:");
        if socket.is_some_and(|path| !path.starts_with('/') || path.ends_with('/')) {
            return Err(bad());
        }
        let uri: Uri = match socket {
            Some(_) => Uri::from_static("http://localhost"),
            None => url.parse().map_err(|_| bad())?,
        };
        let authority = match (uri.authority(), uri.path_and_query().map(|at| at.as_str())) {
            (Some(authority), None | Some("" | "/")) if !authority.as_str().contains('@') => {
                authority
            }
            _ => return Err(bad()),
        };
        let tls = match uri.scheme_str() {
            Some("http") if files.any() => {
                return Err(ClientError::FilesWithoutTls(url.to_owned()));
            }
            Some("http") => None,
            Some("https") => Some(TlsSettings {
                name: tls::server_name(authority.host()).map_err(|_| bad())?,
                connector: TlsConnector::from(Arc::new(files.config()?)),
                shows_identity: files.identity.is_some(),
            }),
            _ => return Err(bad()),
        };
        let is_token =
            |token: &str| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        if !token.is_none_or(is_token) {
            return Err(ClientError::Token);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ClientError::Start)?;
        Ok(Client {
            authority: authority.to_string(),
            socket: socket.map(PathBuf::from),
            token: token.map(|token| Token(token.to_owned())),
            tls,
            runtime,
            longest_silence: LONGEST_SILENCE,
        })
    }

    /// Sends a request and waits for its answer: up to a minute, or 15 if a module is sent along.
    ///
    /// # Errors
    /// [`ClientError`].
    ///
    /// # Panics
    /// When the path of `E` has more or fewer parameters.
    pub fn call<E: Endpoint>(
        &self,
        parameters: &[&str],
        request: &E::Request,
    ) -> Result<E::Response, ClientError> {
        let target = path_of::<E>(parameters)? + &request.query();
        let timeout = if [Some(WASM), Some(CONTENT)].contains(&E::Request::MEDIA_TYPE) {
            UPLOAD_TIMEOUT
        } else if E::PATH == Upgrade::PATH {
            UPGRADE_TIMEOUT
        } else {
            TIMEOUT
        };
        let (status, content) = self
            .runtime
            .block_on(within(timeout, self.send::<E>(&target, request)))
            .unwrap_or_else(|| Err(ClientError::Timeout(self.shown())))?;
        if status != E::STATUS && Some(status) != E::OTHER_STATUS {
            return Err(refused(status, &content));
        }
        E::Response::read(&content).map_err(|source| self.unexpected(source))
    }

    /// Listens to the edge: gives each event to `take`, until that breaks it off or the edge ends it.
    /// The first has to come within a minute; between two there may be any time.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn listen(
        &self,
        question: &LiveQuestion,
        mut take: impl FnMut(LiveEvent) -> ControlFlow<()>,
    ) -> Result<(), ClientError> {
        let target = path_of::<Live>(&[])? + &question.query();
        self.runtime.block_on(async {
            let begun = within(TIMEOUT, self.request::<Live>(&target, question)).await;
            let begun = begun.unwrap_or_else(|| Err(ClientError::Timeout(self.authority.clone())));
            let (head, mut content) = begun?.into_parts();
            if head.status != Live::STATUS {
                return Err(refused(head.status, &self.whole(content).await?));
            }
            // Without figures, an empty line shows that it is there.
            let mut silence = self.longest_silence;
            if question.figures == Some(false) {
                silence += 2 * LiveQuestion::EMPTY_LINE_AFTER;
            }
            let mut rest = Vec::new();
            loop {
                let frame = within(silence, content.frame()).await;
                let gone = || ClientError::Timeout(self.authority.clone());
                let Some(frame) = frame.ok_or_else(gone)? else {
                    break;
                };
                let frame = frame.map_err(|error| self.unreachable(error))?;
                rest.extend_from_slice(&frame.into_data().unwrap_or_default());
                if rest.len() > MAX_ANSWER {
                    return Err(self.unreachable("a line of the stream is too long"));
                }
                while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = rest.drain(..=end).collect();
                    if line == b"\n" {
                        continue;
                    }
                    let event = LiveEvent::read(&line).map_err(|source| self.unexpected(source))?;
                    if take(event).is_break() {
                        return Ok(());
                    }
                }
            }
            Ok(())
        })
    }

    async fn send<E: Endpoint>(
        &self,
        target: &str,
        request: &E::Request,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let response = self.request::<E>(target, request).await?;
        let status = response.status();
        Ok((status, self.whole(response.into_body()).await?))
    }

    /// The head of an answer, with its content to come.
    async fn request<E: Endpoint>(
        &self,
        target: &str,
        request: &E::Request,
    ) -> Result<Response<Incoming>, ClientError> {
        let message = self.message::<E>(target, request);
        if let Some(path) = &self.socket {
            let stream = UnixStream::connect(path).await;
            let stream = stream.map_err(|error| self.unreachable(error))?;
            return self.exchange(stream, message).await;
        }
        let stream = TcpStream::connect(self.address())
            .await
            .map_err(|error| self.unreachable(error))?;
        let Some(TlsSettings {
            connector, name, ..
        }) = &self.tls
        else {
            return self.exchange(stream, message).await;
        };
        let stream = connector.connect(name.clone(), stream).await;
        let stream = stream.map_err(|error| self.unreachable(error))?;
        self.exchange(stream, message).await
    }

    async fn whole(&self, content: Incoming) -> Result<Bytes, ClientError> {
        let content = Limited::new(content, MAX_ANSWER).collect().await;
        let content = content.map_err(|error| self.unreachable(error))?;
        Ok(content.to_bytes())
    }

    fn unexpected(&self, source: serde_json::Error) -> ClientError {
        ClientError::Answer {
            authority: self.authority.clone(),
            source,
        }
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        message: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, ClientError> {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.unreachable(error))?;
        // It ends with the connection, and its errors come out of the request too.
        tokio::spawn(connection);
        sender
            .send_request(message)
            .await
            .map_err(|error| self.unreachable(error))
    }

    fn message<E: Endpoint>(&self, target: &str, request: &E::Request) -> Request<Full<Bytes>> {
        let mut message = Request::builder()
            .method(E::METHOD)
            .uri(target)
            .header(header::HOST, &self.authority);
        if let Some(Token(token)) = &self.token {
            message = message.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(kind) = E::Request::MEDIA_TYPE {
            message = message.header(header::CONTENT_TYPE, kind);
        }
        message
            .body(Full::new(Bytes::from(request.content())))
            .expect("authority, token and parameters were checked")
    }

    /// Host and port to connect to; the port is that of the scheme if the URL has none.
    fn address(&self) -> String {
        let has_port = self
            .authority
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if has_port {
            self.authority.clone()
        } else {
            let port = if self.tls.is_some() { 443 } else { 80 };
            format!("{}:{port}", self.authority)
        }
    }

    /// Where the interface is, for people.
    fn shown(&self) -> String {
        match &self.socket {
            Some(path) => format!("unix:{}", path.display()),
            None => self.authority.clone(),
        }
    }

    fn unreachable(&self, source: impl Into<Box<dyn Error + Send + Sync>>) -> ClientError {
        let (authority, source) = (self.shown(), source.into());
        let tls = self.tls.as_ref();
        let trouble = tls.and_then(|tls| TlsTrouble::in_error(&*source, tls.shows_identity));
        match trouble {
            Some(trouble) => ClientError::Tls { authority, trouble },
            None => ClientError::Unreachable { authority, source },
        }
    }
}

fn refused(status: StatusCode, content: &[u8]) -> ClientError {
    match serde_json::from_slice(content) {
        Ok(problem) => ClientError::Refused { status, problem },
        Err(_) => ClientError::Status(status),
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "a client waits in real time for a process that may have another clock"
)]
async fn within<T>(timeout: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(timeout, work).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoints::Stats;

    #[test]
    fn the_url_is_scheme_and_authority() {
        for good in [
            "http://127.0.0.1:9090",
            "http://edge.internal",
            "http://[::1]:9090/",
            "https://edge.internal",
            "https://127.0.0.1:9090",
            "https://[::1]:9090/",
            "unix:/run/tero/admin.sock",
        ] {
            assert!(Client::new(good, None).is_ok(), "{good}");
        }
        for bad in [
            "127.0.0.1:9090",
            "ftp://edge",
            "unix:run/admin.sock",
            "unix:/run/tero/",
            "unix:",
            "https://a_b..c",
            "http://edge/stats",
            "http://edge?x",
            "https://edge/?x",
            "http://u:p@edge",
            "",
        ] {
            assert!(
                matches!(Client::new(bad, None), Err(ClientError::Url(_))),
                "{bad}"
            );
        }
    }

    /// A client of a server that begins a stream with this content, and a thread that ends with the connection.
    fn listening(content: &'static str) -> (Client, std::thread::JoinHandle<()>) {
        use std::io::{Read as _, Write as _};
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n";
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(content.as_bytes()).unwrap();
            // Until the client leaves.
            while stream.read(&mut [0; 1024]).is_ok_and(|read| read > 0) {}
        });
        let client = Client::new(&format!("http://{address}"), None).unwrap();
        (client, thread)
    }

    #[test]
    fn an_edge_that_has_gone_without_a_word_is_noticed() {
        let (mut client, server) = listening("\n\n");
        client.longest_silence = Duration::from_millis(20);
        let ended = client.listen(&LiveQuestion::default(), |_| ControlFlow::Continue(()));
        assert!(matches!(ended, Err(ClientError::Timeout(_))), "{ended:?}");
        drop(client);
        server.join().unwrap();
    }

    #[test]
    fn a_token_is_visible_ascii_and_not_printed() {
        let client = |token| Client::new("http://edge", Some(token));
        let shown = format!("{:?}", client("a-secret").unwrap());
        assert!(!shown.contains("secret"), "{shown}");
        for bad in ["", "a b", "a\nb", "é"] {
            assert!(matches!(client(bad), Err(ClientError::Token)), "{bad}");
        }
    }

    #[test]
    fn files_for_tls_are_read_at_once_and_need_https() {
        let files = |ca: Option<&str>, cert: Option<&str>| TlsFiles {
            ca: ca.map(PathBuf::from),
            identity: cert.map(|cert| IdentityFiles {
                cert: PathBuf::from(cert),
                key: PathBuf::from("/nowhere"),
            }),
        };
        let refused = |url, files| Client::with_files(url, None, &files).unwrap_err();
        for files in [files(Some("/x"), None), files(None, Some("/x"))] {
            assert!(matches!(
                refused("http://edge", files),
                ClientError::FilesWithoutTls(_)
            ));
        }
        for (files, words) in [
            (files(Some("/nowhere"), None), "can't use /nowhere"),
            (files(Some("/dev/null"), None), "holds no certificate"),
            (files(None, Some("/dev/null")), "holds no certificate"),
        ] {
            let message = refused("https://edge", files).to_string();
            assert!(message.contains(words), "{words}: {message}");
        }
    }

    #[test]
    fn an_unreachable_interface_is_reported() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let client = Client::new(&format!("http://{closed}"), None).unwrap();
        let error = client
            .call::<Stats>(&[], &crate::StatsRequest::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains("is tero running?"), "{error}");
    }
}
