//! TLS towards servers other than origins: directories of ACME, webhooks, other nodes.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use tokio_rustls::TlsConnector;

/// Trusts the CAs in `ca`; without it, those of the system.
///
/// # Errors
/// If the file can't be used, or there is no CA.
pub(crate) fn tls_connector(ca: Option<&Path>) -> io::Result<TlsConnector> {
    let config = trusting(ca)?.with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Trusts the CAs in `ca` alone, and shows a certificate.
///
/// # Errors
/// If a file can't be used, or key and certificate don't fit.
#[cfg_attr(
    not(feature = "cluster"),
    allow(
        dead_code,
        reason = "only the nodes of a fleet show certificates to each other"
    )
)]
pub(crate) fn mutual_tls_connector(
    ca: &Path,
    certificate: &Path,
    key: &Path,
) -> io::Result<TlsConnector> {
    let chain = certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?;
    let config = trusting(Some(ca))?.with_client_auth_cert(chain, key);
    Ok(TlsConnector::from(Arc::new(
        config.map_err(io::Error::other)?,
    )))
}

fn trusting(ca: Option<&Path>) -> io::Result<ConfigBuilder<ClientConfig, WantsClientCert>> {
    let trusted = match ca {
        Some(file) => certificates(file)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let mut roots = RootCertStore::empty();
    if roots.add_parsable_certificates(trusted).0 == 0 {
        return Err(io::Error::other("there is no certificate of a CA"));
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    Ok(builder.with_root_certificates(roots))
}

fn certificates(file: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(io::Error::other)
}
