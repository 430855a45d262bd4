//! A certificate with its key, as read from files, and what is known of it.

use std::fmt;
use std::fs::{File, metadata};
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::InconsistentKeys;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::file_error::TlsFileError;
use crate::validity::Validity;
use tero_config::CertificateFiles;
use tero_semantics::timestamp::Timestamp;

/// The largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// The permission of others to read a file.
const OTHERS_READ: u32 = 0o004;
/// The first byte of an OCSP response: it is a sequence (RFC 6960 §4.2.1).
const SEQUENCE: u8 = 0x30;

/// A certificate with its key.
pub struct ServerCertificate {
    pub(super) certified: Arc<CertifiedKey>,
    cert: PathBuf,
    names: Vec<String>,
    validity: Validity,
    /// The place of the first certificate that did not issue the one before it, from 1.
    out_of_order: Option<usize>,
    /// The file of the key, if others can read it.
    open_key: Option<PathBuf>,
}

impl ServerCertificate {
    /// Reads a certificate and its key from their files.
    ///
    /// # Errors
    /// [`TlsFileError`]
    pub fn read(files: &CertificateFiles) -> Result<ServerCertificate, TlsFileError> {
        let chain = read_certificates(&files.cert)?;
        let key = read_key(&files.key)?;
        let mut certified = CertifiedKey::new(
            chain,
            any_supported_type(&key).map_err(|_| TlsFileError::UnusableKey {
                path: files.key.clone(),
            })?,
        );
        if !is_key_of(&certified, 0) {
            return Err(other_key(files, &certified));
        }
        if let Some(path) = &files.ocsp {
            certified.ocsp = Some(read_ocsp(path)?);
        }
        let others_read =
            metadata(&files.key).is_ok_and(|file| file.permissions().mode() & OTHERS_READ != 0);
        ServerCertificate::new(
            certified,
            &files.cert,
            others_read.then(|| files.key.clone()),
        )
    }

    /// What is to know of a certificate with its key. `cert` is the file that messages name.
    ///
    /// # Errors
    /// [`TlsFileError::DamagedCertificate`]
    pub fn new(
        certified: CertifiedKey,
        cert: &Path,
        open_key: Option<PathBuf>,
    ) -> Result<ServerCertificate, TlsFileError> {
        let damaged = || TlsFileError::DamagedCertificate {
            path: cert.to_owned(),
        };
        let chain = certified.cert.iter();
        let chain: Option<Vec<_>> = chain.map(|der| parsed(der)).collect();
        let chain = chain.ok_or_else(damaged)?;
        let own = chain.first().ok_or_else(damaged)?;
        let validity = own.validity();
        Ok(ServerCertificate {
            names: names_of(own),
            validity: Validity {
                not_before: Timestamp::from_unix_secs(validity.not_before.timestamp()),
                not_after: Timestamp::from_unix_secs(validity.not_after.timestamp()),
            },
            out_of_order: out_of_order(&chain),
            certified: Arc::new(certified),
            cert: cert.to_owned(),
            open_key,
        })
    }

    /// The file of the certificate.
    pub fn path(&self) -> &Path {
        &self.cert
    }

    /// The host names, in lower case, and the addresses that it is for. A name may begin with `*.`.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// From when until when it holds.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The place in its file, from 1, of the first certificate that did not issue the one before it.
    pub fn out_of_order(&self) -> Option<usize> {
        self.out_of_order
    }

    /// The file of its key, if every user of the machine can read it.
    pub fn open_key(&self) -> Option<&Path> {
        self.open_key.as_deref()
    }

    /// Whether it is for a host: a name in lower case, or an address.
    pub fn is_for(&self, host: &str) -> bool {
        let wild = wildcard_of(host);
        self.names.iter().any(|name| {
            name == host || wild.is_some_and(|rest| name.strip_prefix("*.") == Some(rest))
        })
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ServerCertificate")
            .field("cert", &self.cert)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// What follows the first label of a name: a wildcard stands for one label (RFC 9525 §6.3).
pub(super) fn wildcard_of(host: &str) -> Option<&str> {
    host.split_once('.')
        .filter(|(label, _)| !label.is_empty())
        .map(|(_, rest)| rest)
}

/// Reads the certificates of a PEM file, at least one.
pub(super) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    let pem = read_file(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(TlsFileError::NoCertificate {
            path: path.to_owned(),
        }),
        Ok(chain) => Ok(chain),
        Err(_) => Err(TlsFileError::DamagedCertificate {
            path: path.to_owned(),
        }),
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsFileError> {
    let pem = read_file(path)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        let path = path.to_owned();
        let has = |text: &[u8]| pem.windows(text.len()).any(|window| window == text);
        if has(b"ENCRYPTED") {
            TlsFileError::ProtectedKey { path }
        } else if has(b"PRIVATE KEY-----") {
            TlsFileError::UnusableKey { path }
        } else {
            TlsFileError::NoKey { path }
        }
    })
}

fn read_ocsp(path: &Path) -> Result<Vec<u8>, TlsFileError> {
    let response = read_file(path)?;
    if response.first() == Some(&SEQUENCE) {
        return Ok(response);
    }
    Err(TlsFileError::NoOcspResponse {
        path: path.to_owned(),
    })
}

/// Reads a file up to its bound: a device or a pipe doesn't tell its length.
fn read_file(path: &Path) -> Result<Vec<u8>, TlsFileError> {
    let mut bytes = Vec::new();
    let read = File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .and_then(|length| match length as u64 {
            0..=MAX_FILE_BYTES => Ok(()),
            _ => Err(io::Error::other("it is larger than 1 MiB")),
        });
    read.map_err(|source| TlsFileError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    Ok(bytes)
}

/// Whether the key belongs to the certificate at `index`.
fn is_key_of(certified: &CertifiedKey, index: usize) -> bool {
    let alone = CertifiedKey {
        cert: certified.cert.get(index).cloned().into_iter().collect(),
        ..certified.clone()
    };
    match alone.keys_match() {
        Ok(()) => true,
        Err(error) => error == rustls::Error::InconsistentKeys(InconsistentKeys::Unknown),
    }
}

fn other_key(files: &CertificateFiles, certified: &CertifiedKey) -> TlsFileError {
    let (cert, key) = (files.cert.clone(), files.key.clone());
    if parsed(&certified.cert[0]).is_none() {
        return TlsFileError::DamagedCertificate { path: cert };
    }
    let own = (1..certified.cert.len()).find(|index| is_key_of(certified, *index));
    match own {
        Some(index) => TlsFileError::NotFirst {
            cert,
            key,
            position: index + 1,
        },
        None => TlsFileError::OtherKey { cert, key },
    }
}

fn parsed<'d>(der: &'d CertificateDer<'_>) -> Option<X509Certificate<'d>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(certificate)
}

/// The names of RFC 9525: those of the extension. The common name is not one.
fn names_of(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = names.value.general_names.iter();
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.trim_end_matches('.').to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    };
    names.filter_map(name).collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// The place, from 1, of the first certificate that did not issue the one before it (RFC 5246
/// §7.4.2).
fn out_of_order(chain: &[X509Certificate<'_>]) -> Option<usize> {
    let wrong = chain.windows(2).position(|pair| match pair {
        [one, issuer] => one.issuer().as_raw() != issuer.subject().as_raw(),
        _ => false,
    });
    wrong.map(|index| index + 2)
}
