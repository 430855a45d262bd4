//! TLS to a next hop: whom the edge trusts, for which name, and what it shows of itself.
//!
//! The name that a certificate must be for comes from the configuration alone. A client's `Host`
//! never decides whom the edge trusts.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::socket::PlainSocket;
use crate::validity::Validity;
use tero_config::{KeyPin, Origin, OriginEndpoint, OriginHttp2};
use tero_semantics::timestamp::Timestamp;

/// The name of HTTP/2 in ALPN (RFC 9113 §3.2).
const ALPN_HTTP2: &[u8] = b"h2";
/// The name of HTTP/1.1 in ALPN (RFC 7301 §6).
const ALPN_HTTP1: &[u8] = b"http/1.1";

/// Why TLS to an origin can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum OriginTlsError {
    /// A file can't be read, or isn't PEM.
    #[error("{path} can't be read: {problem}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong, for people.
        problem: String,
    },
    /// A file has no certificate.
    #[error("{path} has no certificate: write a PEM file with BEGIN CERTIFICATE")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The system has no certificates of authorities.
    #[error(
        "the system has no certificates of authorities: install them (ca-certificates), or name a file with `ca`"
    )]
    NoRoots,
    /// The certificate that the edge would show can't be used.
    #[error("the certificate {path} can't be used with its key")]
    ClientCertificate {
        /// The file of the certificate.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: Error,
    },
    /// The certificates of `ca` can't be used.
    #[error("the certificates can't be used to verify an origin")]
    Roots(#[source] rustls::client::VerifierBuilderError),
    /// The name can't be in a certificate.
    #[error("`{name}` is not a name that a certificate can have: write `tls_name`")]
    Name {
        /// The name.
        name: String,
    },
}

/// TLS to one next hop.
pub(super) struct OriginTls {
    name: ServerName<'static>,
    /// Offers what the configuration says.
    any: TlsConnector,
    /// Offers HTTP/1.1 alone, for upgrades.
    only_http1: TlsConnector,
}

/// The socket after a handshake.
pub(super) struct SecuredSocket {
    pub(super) stream: TlsStream<PlainSocket>,
    /// Whether both sides speak HTTP/2 from now on.
    pub(super) is_http2: bool,
    /// From when until when the certificate holds.
    pub(super) certificate: Option<Validity>,
}

impl std::fmt::Debug for OriginTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OriginTls")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl OriginTls {
    /// TLS as `origin` says it.
    ///
    /// # Errors
    /// [`OriginTlsError`]: a file can't be used, or no authority is trusted.
    pub(super) fn new(origin: &Origin) -> Result<OriginTls, OriginTlsError> {
        let name = match (&origin.tls_name, &origin.url.endpoint) {
            (Some(name), _) => name.clone(),
            (None, OriginEndpoint::Tcp { host, .. }) => host.clone(),
            (None, OriginEndpoint::Unix(_)) => String::new(),
        };
        let name = ServerName::try_from(name.clone()).map_err(|_| OriginTlsError::Name { name })?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = verifier(origin, &provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for both versions")
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match (&origin.client_cert, &origin.client_key) {
            (Some(cert), Some(key)) => {
                let source = |source| OriginTlsError::ClientCertificate {
                    path: cert.clone(),
                    source,
                };
                builder
                    .with_client_auth_cert(certificates(cert)?, private_key(key)?)
                    .map_err(source)?
            }
            _ => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![ALPN_HTTP1.to_vec()];
        // Both share the sessions that can be resumed.
        let only_http1 = config.clone();
        match origin.http2 {
            OriginHttp2::Off => {}
            OriginHttp2::Negotiate => config.alpn_protocols.insert(0, ALPN_HTTP2.to_vec()),
            OriginHttp2::PriorKnowledge => config.alpn_protocols = vec![ALPN_HTTP2.to_vec()],
        }
        Ok(OriginTls {
            name,
            any: TlsConnector::from(Arc::new(config)),
            only_http1: TlsConnector::from(Arc::new(only_http1)),
        })
    }

    /// Shakes hands on a new connection.
    ///
    /// # Errors
    /// If the next hop doesn't speak TLS, or its certificate is refused.
    pub(super) async fn secure(
        &self,
        socket: PlainSocket,
        only_http1: bool,
    ) -> io::Result<SecuredSocket> {
        let connector = if only_http1 {
            &self.only_http1
        } else {
            &self.any
        };
        let stream = connector.connect(self.name.clone(), socket).await?;
        let (_, session) = stream.get_ref();
        let leaf = session.peer_certificates().and_then(<[_]>::first);
        Ok(SecuredSocket {
            is_http2: session.alpn_protocol() == Some(ALPN_HTTP2),
            certificate: leaf.and_then(validity_of),
            stream,
        })
    }
}

fn validity_of(certificate: &CertificateDer<'_>) -> Option<Validity> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let validity = certificate.validity();
    Some(Validity {
        not_before: Timestamp::from_unix_secs(validity.not_before.timestamp()),
        not_after: Timestamp::from_unix_secs(validity.not_after.timestamp()),
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, OriginTlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let list: Vec<_> = read.map_err(|error| OriginTlsError::Read {
        path: path.to_owned(),
        problem: error.to_string(),
    })?;
    if list.is_empty() {
        return Err(OriginTlsError::NoCertificate {
            path: path.to_owned(),
        });
    }
    Ok(list)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, OriginTlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| OriginTlsError::Read {
        path: path.to_owned(),
        problem: error.to_string(),
    })
}

fn verifier(
    origin: &Origin,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, OriginTlsError> {
    let trusted = if origin.insecure_accept_any_certificate {
        None
    } else {
        let builder =
            WebPkiServerVerifier::builder_with_provider(roots_of(origin)?, Arc::clone(provider));
        Some(builder.build().map_err(OriginTlsError::Roots)?)
    };
    Ok(Arc::new(OriginVerifier {
        trusted,
        pins: origin.pins.clone(),
        provider: Arc::clone(provider),
    }))
}

/// The authorities in `ca`, else those of the system.
fn roots_of(origin: &Origin) -> Result<Arc<RootCertStore>, OriginTlsError> {
    let Some(path) = &origin.ca else {
        return system_roots();
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| OriginTlsError::Read {
                path: path.clone(),
                problem: error.to_string(),
            })?;
    }
    Ok(Arc::new(roots))
}

/// The authorities that the system trusts, read once.
fn system_roots() -> Result<Arc<RootCertStore>, OriginTlsError> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        Arc::new(roots)
    });
    if roots.is_empty() {
        return Err(OriginTlsError::NoRoots);
    }
    Ok(Arc::clone(roots))
}

/// Which certificates of an origin are accepted.
#[derive(Debug)]
struct OriginVerifier {
    /// By whom they must be signed; `None` accepts every certificate
    /// (`insecure_accept_any_certificate`).
    trusted: Option<Arc<WebPkiServerVerifier>>,
    /// Of which public keys they must have one; empty for any.
    pins: Vec<KeyPin>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for OriginVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(trusted) = &self.trusted {
            trusted.verify_server_cert(certificate, intermediates, name, ocsp, now)?;
        }
        if !self.pins.is_empty() {
            let parsed = X509Certificate::from_der(certificate);
            let (_, parsed) = parsed.map_err(|_| Error::from(CertificateError::BadEncoding))?;
            let key = Sha256::digest(parsed.public_key().raw);
            if !self.pins.iter().any(|pin| pin.0 == key[..]) {
                let problem = "its public key is not one of `pins`";
                return Err(Error::General(problem.to_owned()));
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
