//! `[acme]`.

use std::path::PathBuf;

use crate::forms;
use crate::mistakes::Mistake;

section! {
    /// Where certificates for listeners with `tls = "acme"` come from: a directory that speaks ACME
    /// (RFC 8555). The account and the certificates lie in the state directory.
    #[derive(Clone, Debug, PartialEq, Eq)]
    [acme]
    pub struct Acme in base_dir {
        /// The URL of the directory. `https://acme-staging-v02.api.letsencrypt.org/directory` is for
        /// tries: clients don't trust its certificates, and its limits are wide.
        directory: String = "https://acme-v02.api.letsencrypt.org/directory",
            Text("`https://HOST/…`") => forms::directory;
        /// Whether you agree to the terms of the directory. Nothing is ordered without it.
        terms_agreed: bool = false, Flag;
        /// Where the directory may reach you about your certificates.
        contact: Vec<String> = [], Texts("`mailto:NAME@HOST`") => forms::contact, distinct();
        /// The CAs that may have issued the directory's own certificate, as PEM; for a directory of
        /// your own. `""` trusts the CAs of the system.
        ca: Option<PathBuf> = "", Text("a path, relative to this file, or `\"\"`") => |path| {
            match path {
                "" => Ok::<_, Mistake>(None),
                path => base_dir.file(path, "the certificates of CAs in PEM").map(Some),
            }
        };
        /// How the directory may check that a host is yours, the preferred way first.
        /// `tls-alpn-01` comes in by port 443 to the listener with `tls = "acme"`, `http-01` by port
        /// 80 to any plain listener. A way that fails makes room for the next one.
        challenges: Vec<AcmeChallenge> = ["tls-alpn-01", "http-01"],
            SomeOf("tls-alpn-01", "http-01") => challenges;
    }
}

/// A way to prove that a host is one's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcmeChallenge {
    /// A file over HTTP (RFC 8555 §8.3).
    Http01,
    /// A certificate in a TLS handshake (RFC 8737).
    TlsAlpn01,
}

fn challenges(words: &[String]) -> Vec<AcmeChallenge> {
    let way = |word: &String| match word.as_str() {
        "http-01" => AcmeChallenge::Http01,
        _ => AcmeChallenge::TlsAlpn01,
    };
    words.iter().map(way).collect()
}
