//! Which certificate a handshake gets.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::ServerCertificate;
use super::certificate_set::CertificateSet;

/// The certificates in force. Handshakes that begin after a change get the new ones; connections
/// that are open stay as they are.
#[derive(Debug)]
pub struct CertificateResolver {
    certificates: ArcSwap<CertificateSet>,
}

impl CertificateResolver {
    /// A resolver with these certificates, in the configuration's order.
    pub fn new(certificates: Vec<Arc<ServerCertificate>>) -> CertificateResolver {
        CertificateResolver {
            certificates: ArcSwap::from_pointee(CertificateSet::new(certificates)),
        }
    }

    /// Puts these certificates in the place of those in force.
    pub fn replace(&self, certificates: Vec<Arc<ServerCertificate>>) {
        self.certificates
            .store(Arc::new(CertificateSet::new(certificates)));
    }

    /// The certificates in force, in the configuration's order.
    pub fn certificates(&self) -> Vec<Arc<ServerCertificate>> {
        self.certificates.load().all().to_vec()
    }
}

impl ResolvesServerCert for CertificateResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let certificates = self.certificates.load();
        certificates.choose(hello.server_name(), hello.signature_schemes())
    }
}
