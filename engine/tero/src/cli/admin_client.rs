//! The commands' way to the admin interface of a running edge.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::{fail, print, used_wrongly};
use tero_admin_api::client::{Client, ClientError, IdentityFiles, TlsFiles, TlsTrouble};
use tero_admin_api::{Answer, Endpoint, LiveEvent, LiveQuestion};

/// Where the admin interface is, and what opens it.
#[derive(Clone, Debug, Args)]
pub(super) struct AdminArgs {
    /// The URL of the edge's admin interface: http://, https:// or unix:/PATH
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090")]
    admin: String,
    /// A file whose first line is the token of the admin interface
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificates (PEM) to trust behind https://, of CAs or of the interface itself [default: the
    /// CAs of the system]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The client certificate (PEM) to show behind https://, with the CAs between
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// The private key (PEM) of the client certificate
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
}

/// A client of one admin interface, whose errors are for people.
pub(super) struct AdminClient(Client);

impl AdminArgs {
    /// The URL of the interface.
    pub(super) fn url(&self) -> &str {
        &self.admin
    }

    /// Asks one question. If there is no good answer, says why, and returns the exit code.
    pub(super) fn ask<E: Endpoint>(
        &self,
        parameters: &[&str],
        request: &E::Request,
    ) -> Result<E::Response, ExitCode> {
        let client = AdminClient::new(self).map_err(|message| used_wrongly(&message))?;
        client
            .call::<E>(parameters, request)
            .map_err(|message| fail(&message))
    }

    fn tls_files(&self) -> TlsFiles {
        let identity = self.client_cert.as_ref().zip(self.client_key.as_ref());
        TlsFiles {
            ca: self.ca.clone(),
            identity: identity.map(|(cert, key)| IdentityFiles {
                cert: cert.clone(),
                key: key.clone(),
            }),
        }
    }
}

impl AdminClient {
    /// A client of the interface that the arguments name.
    ///
    /// # Errors
    /// What is wrong with the arguments, for people.
    pub(super) fn new(arguments: &AdminArgs) -> Result<AdminClient, String> {
        let file = arguments.token_file.as_deref();
        let token = file.map(first_line).transpose()?;
        let files = arguments.tls_files();
        let client = Client::with_files(&arguments.admin, token.as_deref(), &files);
        client
            .map(AdminClient)
            .map_err(|error| match (error, file) {
                (ClientError::Url(url), _) => {
                    format!("`{url}` is not an admin interface; write --admin http://HOST:PORT, https://HOST:PORT or unix:/PATH")
                }
                (error @ ClientError::NoSystemCa, _) => format!("{error} (--ca FILE)"),
                (ClientError::Token, Some(file)) => {
                    format!("the first line of {} is not a token", file.display())
                }
                (error, _) => error.to_string(),
            })
    }

    /// As [`Client::call`].
    ///
    /// # Errors
    /// Why there is no good answer, for people.
    pub(super) fn call<E: Endpoint>(
        &self,
        parameters: &[&str],
        request: &E::Request,
    ) -> Result<E::Response, String> {
        let answer = self.0.call::<E>(parameters, request);
        answer.map_err(|error| for_people(&error))
    }

    /// As [`Client::listen`].
    ///
    /// # Errors
    /// Why it came to an end too early, for people.
    pub(super) fn listen(
        &self,
        question: &LiveQuestion,
        take: impl FnMut(LiveEvent) -> ControlFlow<()>,
    ) -> Result<(), String> {
        let ended = self.0.listen(question, take);
        ended.map_err(|error| for_people(&error))
    }
}

/// An error, with the option that helps.
fn for_people(error: &ClientError) -> String {
    let option = match error {
        ClientError::Unreachable { .. } => Some("--admin URL"),
        ClientError::Tls { trouble, .. } => option_against(trouble),
        _ => None,
    };
    match option {
        Some(option) => format!("{error} ({option})"),
        None => error.to_string(),
    }
}

/// The option that helps against a trouble with TLS.
fn option_against(trouble: &TlsTrouble) -> Option<&'static str> {
    match trouble {
        TlsTrouble::UnknownIssuer => Some("--ca FILE"),
        TlsTrouble::WrongName(_) | TlsTrouble::SpeaksPlain => Some("--admin URL"),
        TlsTrouble::IdentityNeeded | TlsTrouble::IdentityRefused(_) => {
            Some("--client-cert FILE --client-key FILE")
        }
        TlsTrouble::Expired | TlsTrouble::NotValidYet | TlsTrouble::Other(_) => None,
    }
}

/// The first line of a file, trimmed.
fn first_line(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("can't read {}: {error}", path.display()))?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// Prints an answer as JSON, or in the words of `words`.
pub(super) fn show<A: Answer>(answer: &A, json: bool, words: impl Fn(&A) -> String) -> ExitCode {
    print(&if json {
        answer.to_text()
    } else {
        words(answer)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tero_admin_api::StatsRequest;
    use tero_admin_api::endpoints::Stats;

    fn client(admin: &str, token_file: Option<PathBuf>) -> Result<AdminClient, String> {
        AdminClient::new(&AdminArgs {
            admin: admin.to_owned(),
            token_file,
            ca: None,
            client_cert: None,
            client_key: None,
        })
    }

    #[test]
    fn wrong_arguments_are_named() {
        let message = |client: Result<AdminClient, String>| client.err().unwrap();
        assert!(message(client("ftp://edge", None)).contains("--admin http://"));
        let nowhere = Some(PathBuf::from("/nowhere"));
        assert!(message(client("http://edge", nowhere)).contains("can't read /nowhere"));
        let empty = Some(PathBuf::from("/dev/null"));
        assert!(message(client("http://edge", empty)).contains("/dev/null is not a token"));
    }

    #[test]
    fn an_unreachable_interface_is_reported_with_a_cure() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let client = client(&format!("http://{closed}"), None).unwrap();
        let message = client
            .call::<Stats>(&[], &StatsRequest::default())
            .unwrap_err();
        assert!(
            message.contains("is tero running? (--admin URL)"),
            "{message}"
        );
    }
}
