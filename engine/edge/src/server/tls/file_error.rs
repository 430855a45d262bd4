//! Why the files of a TLS configuration can't be used. Nothing that stands in a key is ever part of
//! a message.

use std::io;
use std::path::PathBuf;

/// Why a file of a TLS configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsFileError {
    /// It can't be read.
    #[error("{} can't be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It has no certificate.
    #[error("{} has no certificate", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A certificate in it is damaged.
    #[error("{} has a certificate that is damaged", path.display())]
    DamagedCertificate {
        /// The file.
        path: PathBuf,
    },
    /// It has no private key.
    #[error("{} has no private key", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// Its private key is protected by a password.
    #[error("the private key in {} is protected by a password", path.display())]
    ProtectedKey {
        /// The file.
        path: PathBuf,
    },
    /// Its private key is damaged, or of a kind that is not offered.
    #[error("the private key in {} is damaged or of an unknown kind", path.display())]
    UnusableKey {
        /// The file.
        path: PathBuf,
    },
    /// The key does not belong to the certificate.
    #[error(
        "the private key in {} does not belong to the certificate in {}",
        key.display(),
        cert.display()
    )]
    OtherKey {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// The key belongs to a certificate that is not the first of its file.
    #[error(
        "the private key in {} belongs to certificate {position} in {}",
        key.display(),
        cert.display()
    )]
    NotFirst {
        /// The file of the certificates.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// The place of the certificate, from 1.
        position: usize,
    },
    /// rustls can't be set up with what was read.
    #[error("TLS can't be set up: {0}")]
    Setup(rustls::Error),
    /// It is not an OCSP response.
    #[error("{} is not an OCSP response", path.display())]
    NoOcspResponse {
        /// The file.
        path: PathBuf,
    },
}

impl TlsFileError {
    /// What to do about it.
    pub fn cure(&self) -> &'static str {
        match self {
            TlsFileError::Unreadable { .. } => {
                "write the path of a file of at most 1 MiB that tero's user may read"
            }
            TlsFileError::NoCertificate { .. } | TlsFileError::DamagedCertificate { .. } => {
                "write the certificate as PEM, between lines with BEGIN CERTIFICATE and END CERTIFICATE"
            }
            TlsFileError::NoKey { .. } | TlsFileError::UnusableKey { .. } => {
                "write an ECDSA, Ed25519 or RSA key as PEM (PKCS #8, SEC 1 or PKCS #1)"
            }
            TlsFileError::ProtectedKey { .. } => {
                "remove the password (openssl pkey -in OLD -out NEW) and let only tero's user read the file"
            }
            TlsFileError::OtherKey { .. } => "name the key that the certificate was made for",
            TlsFileError::NotFirst { .. } => {
                "begin the file with the server's own certificate, and let each issuer follow"
            }
            TlsFileError::Setup(_) => "use certificates that OpenSSL accepts too",
            TlsFileError::NoOcspResponse { .. } => {
                "write the response of the authority as DER (openssl ocsp -respout FILE)"
            }
        }
    }
}
