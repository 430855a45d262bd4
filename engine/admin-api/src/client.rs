//! A blocking client of the interface: a connection for each request.

use std::error::Error;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;

use crate::{Answer, Endpoint, PathError, Problem, Question, WASM, path_of};

/// How long an answer may take; to a version that is pushed and has to be compiled.
const TIMEOUT: Duration = Duration::from_secs(60);
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(900);

/// The longest answer, in bytes.
const MAX_ANSWER: usize = 64 << 20;

/// A client of one admin interface.
#[derive(Debug)]
pub struct Client {
    authority: String,
    token: Option<Token>,
    runtime: tokio::runtime::Runtime,
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
    /// The URL is not `http://HOST` or `http://HOST:PORT`.
    #[error("`{0}` is not the URL of an admin interface; write http://HOST:PORT")]
    Url(String),
    /// The token is empty, or has other characters than visible ASCII.
    #[error("the token is empty, or not visible ASCII")]
    Token,
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
    /// A client of the interface at this URL, with its token if it has one.
    ///
    /// # Errors
    /// [`ClientError::Url`], [`ClientError::Token`] or [`ClientError::Start`].
    pub fn new(url: &str, token: Option<&str>) -> Result<Client, ClientError> {
        let bad = || ClientError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let authority = match (uri.scheme_str(), uri.authority(), uri.path()) {
            (Some("http"), Some(authority), "" | "/") if !authority.as_str().contains('@') => {
                authority.to_string()
            }
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
            authority,
            token: token.map(|token| Token(token.to_owned())),
            runtime,
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
        let timeout = if E::Request::MEDIA_TYPE == Some(WASM) {
            UPLOAD_TIMEOUT
        } else {
            TIMEOUT
        };
        let (status, content) = self
            .runtime
            .block_on(within(timeout, self.send::<E>(&target, request)))
            .unwrap_or_else(|| Err(ClientError::Timeout(self.authority.clone())))?;
        if status != E::STATUS {
            return Err(match serde_json::from_slice(&content) {
                Ok(problem) => ClientError::Refused { status, problem },
                Err(_) => ClientError::Status(status),
            });
        }
        E::Response::read(&content).map_err(|source| ClientError::Answer {
            authority: self.authority.clone(),
            source,
        })
    }

    async fn send<E: Endpoint>(
        &self,
        target: &str,
        request: &E::Request,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let stream = tokio::net::TcpStream::connect(self.address())
            .await
            .map_err(|error| self.unreachable(error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.unreachable(error))?;
        // It ends with the connection, and its errors come out of the request too.
        tokio::spawn(connection);
        let response = sender
            .send_request(self.message::<E>(target, request))
            .await
            .map_err(|error| self.unreachable(error))?;
        let status = response.status();
        let content = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await
            .map_err(|error| self.unreachable(error))?;
        Ok((status, content.to_bytes()))
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

    /// Host and port to connect to; the port is 80 if the URL has none.
    fn address(&self) -> String {
        let has_port = self
            .authority
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if has_port {
            self.authority.clone()
        } else {
            format!("{}:80", self.authority)
        }
    }

    fn unreachable(&self, source: impl Into<Box<dyn Error + Send + Sync>>) -> ClientError {
        ClientError::Unreachable {
            authority: self.authority.clone(),
            source: source.into(),
        }
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
    fn the_url_is_plain_http() {
        for good in [
            "http://127.0.0.1:9090",
            "http://edge.internal",
            "http://[::1]:9090/",
        ] {
            assert!(Client::new(good, None).is_ok(), "{good}");
        }
        for bad in [
            "127.0.0.1:9090",
            "https://edge",
            "http://edge/stats",
            "http://u:p@edge",
            "",
        ] {
            assert!(
                matches!(Client::new(bad, None), Err(ClientError::Url(_))),
                "{bad}"
            );
        }
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
    fn an_unreachable_interface_is_reported() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let client = Client::new(&format!("http://{closed}"), None).unwrap();
        let error = client.call::<Stats>(&[], &()).unwrap_err().to_string();
        assert!(error.contains("is tero running?"), "{error}");
    }
}
