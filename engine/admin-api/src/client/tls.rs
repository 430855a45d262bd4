//! TLS of the client: whom it trusts, which certificate it shows, and what goes wrong in words.
//!
//! The client trusts the CAs of the system or those of a file. A certificate that the file holds
//! itself is trusted as it is, so that a self-signed one will do.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore,
    SignatureScheme,
};

use super::ClientError;

/// The files that TLS needs. All are in PEM.
#[derive(Clone, Debug, Default)]
pub struct TlsFiles {
    /// The certificates that are trusted: of CAs, or of the interface itself. `None` trusts the CAs
    /// of the system.
    pub ca: Option<PathBuf>,
    /// What the client shows of itself; `None` for nothing.
    pub identity: Option<IdentityFiles>,
}

/// A client certificate and its key.
#[derive(Clone, Debug)]
pub struct IdentityFiles {
    /// The certificate, then those of the CAs between it and one that the interface trusts.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why a TLS connection can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsTrouble {
    /// None of the trusted CAs has issued its certificate.
    #[error("its certificate is from an unknown issuer; name the CA that has issued it")]
    UnknownIssuer,
    /// Its certificate is for other names.
    #[error("its certificate is for other names ({0}); ask by one of them")]
    WrongName(String),
    /// Its certificate has expired.
    #[error("its certificate has expired; renew it")]
    Expired,
    /// Its certificate is not valid yet.
    #[error("its certificate is not valid yet; compare the clocks")]
    NotValidYet,
    /// It does not speak TLS.
    #[error("it does not speak TLS; write http:// if that is meant")]
    SpeaksPlain,
    /// It demands a client certificate, and there is none.
    #[error("it demands a client certificate; name one and its key")]
    IdentityNeeded,
    /// It refuses the client certificate.
    #[error("it refuses the client certificate ({0:?}); name one that its client_ca has issued")]
    IdentityRefused(AlertDescription),
    /// Something else.
    #[error("{0}")]
    Other(rustls::Error),
}

impl TlsFiles {
    /// Whether a file is named.
    pub(super) fn any(&self) -> bool {
        self.ca.is_some() || self.identity.is_some()
    }

    /// What these files make of TLS.
    ///
    /// # Errors
    /// [`ClientError::TlsFile`] for a file that can't be used, [`ClientError::Tls`] if the system has
    /// no CAs.
    pub(super) fn config(&self) -> Result<ClientConfig, ClientError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = self.verifier(&provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(ClientError::TlsStart)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(IdentityFiles { cert, key }) => {
                let chain = certificates(cert)?;
                let file = key;
                let key = PrivateKeyDer::from_pem_file(file)
                    .map_err(|error| unusable(file, &error, "private key"))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| ClientError::TlsFile {
                        path: file.clone(),
                        problem: format!("the key does not fit the certificate: {error}"),
                    })?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, ClientError> {
        let trusted = match &self.ca {
            Some(file) => certificates(file)?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(trusted.iter().cloned());
        if added == 0 {
            return Err(match &self.ca {
                None => ClientError::NoSystemCa,
                Some(file) => ClientError::TlsFile {
                    path: file.clone(),
                    problem: "it holds no certificate that can be read".to_owned(),
                },
            });
        }
        let issued =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
                .build()
                .map_err(|error| {
                    ClientError::TlsStart(rustls::Error::General(error.to_string()))
                })?;
        if self.ca.is_none() {
            return Ok(issued);
        }
        Ok(Arc::new(PinnedOrIssued {
            pinned: trusted,
            issued,
        }))
    }
}

/// The certificates of a file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let read = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(path, &error, "certificate"))?;
    if read.is_empty() {
        let problem = "it holds no certificate in PEM".to_owned();
        return Err(ClientError::TlsFile {
            path: path.to_owned(),
            problem,
        });
    }
    Ok(read)
}

fn unusable(path: &Path, error: &rustls::pki_types::pem::Error, what: &str) -> ClientError {
    let problem = match error {
        rustls::pki_types::pem::Error::Io(error) => error.to_string(),
        _ => format!("it holds no {what} in PEM"),
    };
    ClientError::TlsFile {
        path: path.to_owned(),
        problem,
    }
}

/// Trusts a certificate that the operator has named itself, and those that named CAs have issued.
#[derive(Debug)]
struct PinnedOrIssued {
    pinned: Vec<CertificateDer<'static>>,
    issued: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for PinnedOrIssued {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // A self-signed certificate is often that of a CA too, which is refused as a server's own
        // (RFC 5280 §4.2.1.9). Its owner has named it, so it is the one that is meant. That it owns
        // the key is proved by the signature of the handshake, as ever.
        if self.pinned.iter().any(|pinned| pinned == end_entity) {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            rustls::client::verify_server_name(&certificate, server_name)?;
            return Ok(ServerCertVerified::assertion());
        }
        self.issued
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.issued.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.issued.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.issued.supported_verify_schemes()
    }
}

impl TlsTrouble {
    /// The trouble that an error of the connection has at its root; `None` if it is none of TLS.
    pub(super) fn in_error(error: &(dyn Error + 'static), shows_identity: bool) -> Option<Self> {
        let mut error = Some(error);
        while let Some(one) = error {
            if let Some(found) = one.downcast_ref::<rustls::Error>() {
                return Some(TlsTrouble::of(found, shows_identity));
            }
            // The error within one of `std::io` is not its source.
            error = match one.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                Some(inner) => Some(inner),
                None => one.source(),
            };
        }
        None
    }

    fn of(error: &rustls::Error, shows_identity: bool) -> Self {
        use AlertDescription as Alert;
        use CertificateError as Bad;
        match error {
            rustls::Error::InvalidMessage(_) => TlsTrouble::SpeaksPlain,
            rustls::Error::InvalidCertificate(bad) => match bad {
                Bad::UnknownIssuer => TlsTrouble::UnknownIssuer,
                Bad::Expired | Bad::ExpiredContext { .. } => TlsTrouble::Expired,
                Bad::NotValidYet | Bad::NotValidYetContext { .. } => TlsTrouble::NotValidYet,
                Bad::NotValidForNameContext { presented, .. } => {
                    TlsTrouble::WrongName(names(presented))
                }
                Bad::NotValidForName => TlsTrouble::WrongName(names(&[])),
                _ => TlsTrouble::Other(error.clone()),
            },
            rustls::Error::AlertReceived(Alert::CertificateRequired) => TlsTrouble::IdentityNeeded,
            rustls::Error::AlertReceived(
                alert @ (Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::DecryptError
                | Alert::AccessDenied),
            ) if shows_identity => TlsTrouble::IdentityRefused(*alert),
            _ => TlsTrouble::Other(error.clone()),
        }
    }
}

/// The names of a certificate, as rustls writes them: `DnsName("edge.internal")`.
fn names(presented: &[String]) -> String {
    if presented.is_empty() {
        return "none".to_owned();
    }
    let bare = |name: &String| {
        let inner = name
            .split_once('(')
            .map_or(&**name, |(_, inner)| inner.trim_end_matches(')'));
        inner.trim_matches('"').to_owned()
    };
    presented.iter().map(bare).collect::<Vec<_>>().join(", ")
}

/// The name to check the certificate against.
///
/// # Errors
/// [`ClientError::Url`] if the host of `authority` is neither a name nor an address.
pub(super) fn server_name(host: &str) -> Result<ServerName<'static>, ClientError> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(bare.to_owned()).map_err(|_| ClientError::Url(format!("https://{host}")))
}

impl fmt::Debug for super::TlsSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TlsSettings")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_certificate_are_shown_bare() {
        let presented = [
            "DnsName(\"edge.internal\")".to_owned(),
            "IpAddress(10.0.0.1)".to_owned(),
        ];
        assert_eq!(names(&presented), "edge.internal, 10.0.0.1");
        assert_eq!(names(&[]), "none");
    }

    #[test]
    fn the_root_of_an_error_tells_the_trouble() {
        let io = io::Error::other(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer,
        ));
        let trouble = TlsTrouble::in_error(&io, false).unwrap();
        assert!(matches!(trouble, TlsTrouble::UnknownIssuer));
        let alert = rustls::Error::AlertReceived(AlertDescription::UnknownCA);
        let of = |shows_identity| TlsTrouble::of(&alert, shows_identity);
        assert!(matches!(of(true), TlsTrouble::IdentityRefused(_)));
        assert!(matches!(of(false), TlsTrouble::Other(_)));
        assert!(TlsTrouble::in_error(&io::Error::other("broken"), false).is_none());
    }
}
