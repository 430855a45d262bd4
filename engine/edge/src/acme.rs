//! What the data plane does for ACME: it has the issued certificates by name, and answers
//! challenges, over HTTP (HTTP-01, RFC 8555 §8.3) and in a TLS handshake (TLS-ALPN-01, RFC 8737).
//!
//! What is ordered, when, and where it is kept is the control plane's.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Response};
use rustls::sign::CertifiedKey;

use crate::request::body::EdgeBody;

/// The protocol that a directory names in its handshake to check a name (RFC 8737 §6.2).
pub const CHALLENGE_PROTOCOL: &[u8] = b"acme-tls/1";

/// Where the answers to challenges over HTTP are (RFC 8555 §8.3).
const CHALLENGE_PATH: &str = "/.well-known/acme-challenge/";

/// The issued certificates, and the answers to open challenges.
#[derive(Debug, Default)]
pub struct AcmeResponder {
    certificates: ArcSwap<IssuedCertificates>,
    /// Whether there are answers over HTTP. Every request looks at it, and at no more.
    has_http_answers: AtomicBool,
    open: Mutex<ChallengeAnswers>,
}

/// Certificates by name.
#[derive(Debug, Default)]
pub struct IssuedCertificates {
    /// By name, in lower case.
    pub by_name: HashMap<Arc<str>, Arc<CertifiedKey>>,
    /// For clients that send no server name; `None` refuses them.
    pub default: Option<Arc<CertifiedKey>>,
}

#[derive(Debug, Default)]
struct ChallengeAnswers {
    http: HashMap<String, String>,
    tls: HashMap<String, Arc<CertifiedKey>>,
}

/// The answer to a challenge.
#[derive(Debug)]
pub enum ChallengeAnswer {
    /// HTTP-01: the key authorization of a token.
    Http {
        /// The last segment of the path.
        token: String,
        /// The content.
        key_authorization: String,
    },
    /// TLS-ALPN-01: the certificate that carries the digest of the key authorization.
    Tls {
        /// The name that is checked, in lower case.
        name: String,
        /// The certificate.
        certificate: Arc<CertifiedKey>,
    },
}

/// An answer that is given until this value is dropped.
#[derive(Debug)]
pub struct OpenChallenge {
    responder: Arc<AcmeResponder>,
    place: AnswerPlace,
}

#[derive(Debug)]
enum AnswerPlace {
    Http(String),
    Tls(String),
}

impl AcmeResponder {
    /// Replaces the certificates, for handshakes that begin from now on.
    pub fn replace_certificates(&self, certificates: IssuedCertificates) {
        self.certificates.store(Arc::new(certificates));
    }

    /// Gives an answer from now on.
    pub fn open(self: &Arc<AcmeResponder>, answer: ChallengeAnswer) -> OpenChallenge {
        let mut open = self.answers();
        let place = match answer {
            ChallengeAnswer::Http {
                token,
                key_authorization,
            } => {
                open.http.insert(token.clone(), key_authorization);
                self.has_http_answers.store(true, Ordering::Relaxed);
                AnswerPlace::Http(token)
            }
            ChallengeAnswer::Tls { name, certificate } => {
                open.tls.insert(name.clone(), certificate);
                AnswerPlace::Tls(name)
            }
        };
        OpenChallenge {
            responder: Arc::clone(self),
            place,
        }
    }

    /// The answer to a request that asks for that of a challenge, whatever its host is. `None` for
    /// all others: an application may order certificates by itself.
    #[inline]
    pub(crate) fn http_answer(&self, method: &Method, path: &str) -> Option<Response<EdgeBody>> {
        if !self.has_http_answers.load(Ordering::Relaxed) {
            return None;
        }
        self.find_http_answer(method, path)
    }

    #[cold]
    fn find_http_answer(&self, method: &Method, path: &str) -> Option<Response<EdgeBody>> {
        let token = path.strip_prefix(CHALLENGE_PATH)?;
        if !matches!(*method, Method::GET | Method::HEAD) {
            return None;
        }
        let content = self.answers().http.get(token)?.clone();
        let mut response = Response::new(EdgeBody::owned(vec![Bytes::from(content)]));
        let fields = response.headers_mut();
        let kind = HeaderValue::from_static("application/octet-stream");
        fields.insert(CONTENT_TYPE, kind);
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Some(response)
    }

    /// The certificate for a handshake that is a challenge.
    pub(crate) fn challenge_certificate(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let name = name?.to_ascii_lowercase();
        self.answers().tls.get(&name).cloned()
    }

    /// The issued certificate for a client that asks for `name`. Without one the client gets an
    /// alert: an untrusted placeholder would teach visitors to click warnings away.
    pub(crate) fn certificate(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let certificates = self.certificates.load();
        match name {
            Some(name) => {
                let name = name.to_ascii_lowercase();
                certificates.by_name.get(&*name).cloned()
            }
            None => certificates.default.clone(),
        }
    }

    fn answers(&self) -> MutexGuard<'_, ChallengeAnswers> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OpenChallenge {
    fn drop(&mut self) {
        let mut open = self.responder.answers();
        match &self.place {
            AnswerPlace::Http(token) => {
                open.http.remove(token);
                let left = !open.http.is_empty();
                self.responder
                    .has_http_answers
                    .store(left, Ordering::Relaxed);
            }
            AnswerPlace::Tls(name) => {
                open.tls.remove(name);
            }
        }
    }
}

/// Whether a handshake is a challenge: that one names nothing else (RFC 8737 §3).
pub(crate) fn is_challenge<'p>(mut protocols: impl Iterator<Item = &'p [u8]>) -> bool {
    protocols.next() == Some(CHALLENGE_PROTOCOL) && protocols.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_given_while_its_challenge_is_open() {
        let responder = Arc::new(AcmeResponder::default());
        let path = "/.well-known/acme-challenge/a-token";
        let ask = |method: Method, path: &str| responder.http_answer(&method, path).is_some();
        assert!(!ask(Method::GET, path));
        let answer = |token: &str| ChallengeAnswer::Http {
            token: token.to_owned(),
            key_authorization: "a-token.thumb".to_owned(),
        };
        let (one, other) = (
            responder.open(answer("a-token")),
            responder.open(answer("b")),
        );
        for (method, path, expected) in [
            (Method::GET, path, true),
            (Method::HEAD, path, true),
            (Method::POST, path, false),
            (Method::GET, "/.well-known/acme-challenge/", false),
            (Method::GET, "/.well-known/acme-challenge/other", false),
            (Method::GET, "/.well-known/acme-challenge/a-token/", false),
            (Method::GET, "/a-token", false),
        ] {
            assert_eq!(ask(method.clone(), path), expected, "{method} {path}");
        }
        drop(one);
        assert!(!ask(Method::GET, path));
        assert!(responder.has_http_answers.load(Ordering::Relaxed));
        drop(other);
        assert!(!responder.has_http_answers.load(Ordering::Relaxed));
    }

    #[test]
    fn a_challenge_names_its_protocol_alone() {
        for (protocols, expected) in [
            (&[b"acme-tls/1".as_slice()][..], true),
            (&[b"h2", b"acme-tls/1"], false),
            (&[b"acme-tls/1", b"h2"], false),
            (&[b"http/1.1"], false),
            (&[], false),
        ] {
            assert_eq!(is_challenge(protocols.iter().copied()), expected);
        }
    }
}
