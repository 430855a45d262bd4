//! The files of a TLS configuration, read and checked.

use std::sync::Arc;

use rustls::RootCertStore;

use super::certificate::{ServerCertificate, read_certificates};
use super::file_error::TlsFileError;
use super::file_stamps::FileStamps;
use tero_config::ListenerTls;

/// The files of a TLS configuration, read and checked.
#[derive(Debug)]
pub struct TlsMaterial {
    pub(super) settings: ListenerTls,
    pub(super) certificates: Vec<Arc<ServerCertificate>>,
    /// The authorities of clients' certificates.
    pub(super) client_authorities: Option<Arc<RootCertStore>>,
    /// The state of the files when they were read.
    pub(super) stamps: FileStamps,
}

impl TlsMaterial {
    /// Reads the files that `settings` name.
    ///
    /// # Errors
    /// [`TlsFileError`] of the first that can't be used.
    pub fn read(settings: &ListenerTls) -> Result<TlsMaterial, TlsFileError> {
        // Before the files: what changes meanwhile is read again.
        let stamps = FileStamps::of(settings.files());
        let certificates = settings.certificates.iter();
        let certificates: Result<Vec<_>, _> = certificates
            .map(|files| ServerCertificate::read(files).map(Arc::new))
            .collect();
        Ok(TlsMaterial {
            certificates: certificates?,
            client_authorities: read_authorities(settings)?,
            settings: settings.clone(),
            stamps,
        })
    }

    /// Reads the files that `settings` name, and tells all that can't be used.
    pub fn errors(settings: &ListenerTls) -> Vec<TlsFileError> {
        let certificates = settings.certificates.iter();
        let certificates = certificates.filter_map(|files| ServerCertificate::read(files).err());
        certificates
            .chain(read_authorities(settings).err())
            .collect()
    }

    /// The certificates, in the configuration's order.
    pub fn certificates(&self) -> &[Arc<ServerCertificate>] {
        &self.certificates
    }

    /// Whether a session that began with `other` may be resumed with this: clients were checked in
    /// the same way.
    pub(super) fn checks_clients_like(&self, other: &TlsMaterial) -> bool {
        let roots = |material: &TlsMaterial| {
            let roots = material.client_authorities.as_ref();
            roots.map(|roots| roots.roots.clone())
        };
        self.settings.client_certificate == other.settings.client_certificate
            && self.settings.min_version == other.settings.min_version
            && roots(self) == roots(other)
    }
}

fn read_authorities(settings: &ListenerTls) -> Result<Option<Arc<RootCertStore>>, TlsFileError> {
    let Some(path) = &settings.client_ca else {
        return Ok(None);
    };
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path)? {
        roots
            .add(certificate)
            .map_err(|_| TlsFileError::DamagedCertificate { path: path.clone() })?;
    }
    Ok(Some(Arc::new(roots)))
}
