//! The commands' way to the admin interface of a running edge.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;

use tero_time::clock::Clock;

/// How long an answer may take; to a version that is pushed and has to be compiled.
const TIMEOUT: Duration = Duration::from_secs(60);
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(900);
const JSON: &str = "application/json";

/// What is sent: its type, and its bytes.
type TypedContent = (&'static str, Vec<u8>);

/// The longest answer, in bytes.
const MAX_ANSWER: usize = 64 << 20;

/// Where the admin interface is, and what opens it.
#[derive(Clone, Debug, Args)]
pub(super) struct AdminArgs {
    /// The admin interface of the edge
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090")]
    admin: String,
    /// A file whose first line is the token of the admin interface
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// A client of one admin interface.
pub(super) struct AdminClient {
    authority: String,
    token: Option<String>,
    runtime: tokio::runtime::Runtime,
}

/// What the interface answered.
#[derive(Debug)]
pub(super) struct AdminAnswer {
    /// Its status.
    pub(super) status: StatusCode,
    /// Its content; null where it is not JSON.
    pub(super) content: Value,
}

impl AdminAnswer {
    /// What the interface says is wrong, with its cure.
    pub(super) fn error(&self) -> String {
        let text = |key: &str| self.content[key].as_str();
        match (text("error"), text("cure")) {
            (Some(error), Some(cure)) => format!("{error}; {cure}"),
            (Some(error), None) => error.to_owned(),
            _ => format!("the admin interface answered {}", self.status),
        }
    }
}

impl AdminClient {
    /// A client of the interface that the arguments name.
    ///
    /// # Errors
    /// What is wrong with the arguments, for people.
    pub(super) fn new(arguments: &AdminArgs) -> Result<AdminClient, String> {
        let bad = || {
            format!(
                "`{}` is no admin interface; write --admin http://HOST:PORT",
                arguments.admin
            )
        };
        let uri: Uri = arguments.admin.parse().map_err(|_| bad())?;
        let authority = match (uri.scheme_str(), uri.authority(), uri.path()) {
            (Some("http"), Some(authority), "" | "/") if !authority.as_str().contains('@') => {
                authority.to_string()
            }
            _ => return Err(bad()),
        };
        let token = arguments.token_file.as_ref().map(|path| {
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("can't read {}: {error}", path.display()))?;
            let token = text.lines().next().unwrap_or_default().trim();
            if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(format!("the first line of {} is no token", path.display()));
            }
            Ok(token.to_owned())
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        Ok(AdminClient {
            authority,
            token: token.transpose()?,
            runtime,
        })
    }

    /// Asks for `path`.
    ///
    /// # Errors
    /// Why there is no answer, for people.
    pub(super) fn get(&self, path: &str) -> Result<AdminAnswer, String> {
        self.call(TIMEOUT, Method::GET, path, (JSON, Vec::new()))
    }

    /// Posts `content` to `path`.
    ///
    /// # Errors
    /// As [`AdminClient::get`].
    pub(super) fn post(&self, path: &str, content: Option<&Value>) -> Result<AdminAnswer, String> {
        self.call(
            TIMEOUT,
            Method::POST,
            path,
            (
                JSON,
                content.map(Value::to_string).unwrap_or_default().into(),
            ),
        )
    }

    /// Deletes what is at `path`.
    ///
    /// # Errors
    /// As [`AdminClient::get`].
    pub(super) fn delete(&self, path: &str) -> Result<AdminAnswer, String> {
        self.call(TIMEOUT, Method::DELETE, path, (JSON, Vec::new()))
    }

    /// Posts bytes to `path`; the answer may take as long as compiling them takes.
    ///
    /// # Errors
    /// As [`AdminClient::get`].
    pub(super) fn upload(&self, path: &str, content: Vec<u8>) -> Result<AdminAnswer, String> {
        self.call(
            UPLOAD_TIMEOUT,
            Method::POST,
            path,
            ("application/wasm", content),
        )
    }

    fn call(
        &self,
        timeout: Duration,
        method: Method,
        path: &str,
        content: TypedContent,
    ) -> Result<AdminAnswer, String> {
        let asking = async {
            Clock::real()
                .timeout(timeout, self.ask(method, path, content))
                .await
        };
        let answered = self.runtime.block_on(asking);
        answered.unwrap_or_else(|_| {
            Err(format!(
                "the admin interface at {} does not answer",
                self.authority
            ))
        })
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        (kind, content): TypedContent,
    ) -> Result<AdminAnswer, String> {
        let unreachable = |error: &dyn std::fmt::Display| {
            format!(
                "can't reach the admin interface at {}: {error}; is tero running? (--admin URL)",
                self.authority
            )
        };
        let address = if self
            .authority
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
        {
            self.authority.clone()
        } else {
            format!("{}:80", self.authority)
        };
        let stream = tokio::net::TcpStream::connect(&address)
            .await
            .map_err(|error| unreachable(&error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unreachable(&error))?;
        // It ends with the connection, and its errors come out of the request too.
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.authority);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request
            .header(header::CONTENT_TYPE, kind)
            .body(Full::new(Bytes::from(content)))
            .map_err(|error| format!("`{path}` can't be asked for: {error}"))?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| unreachable(&error))?;
        let status = response.status();
        let content = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await
            .map_err(|error| unreachable(&error))?;
        Ok(AdminAnswer {
            status,
            content: serde_json::from_slice(&content.to_bytes()).unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admin_interface_is_a_plain_http_url() {
        let client = |admin: &str| {
            AdminClient::new(&AdminArgs {
                admin: admin.to_owned(),
                token_file: None,
            })
        };
        for good in [
            "http://127.0.0.1:9090",
            "http://edge.internal",
            "http://[::1]:9090/",
        ] {
            assert!(client(good).is_ok(), "{good}");
        }
        for bad in [
            "127.0.0.1:9090",
            "https://edge",
            "http://edge/stats",
            "http://u:p@edge",
            "",
        ] {
            assert!(client(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_can_not_be_reached_is_said_with_a_cure() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let client = AdminClient::new(&AdminArgs {
            admin: format!("http://{closed}"),
            token_file: None,
        })
        .unwrap();
        assert!(
            client
                .get("/stats")
                .unwrap_err()
                .contains("is tero running?")
        );
    }
}
