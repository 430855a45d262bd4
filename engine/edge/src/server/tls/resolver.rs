//! Which certificate a handshake gets.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::ServerCertificate;
use super::certificate_set::CertificateSet;
use crate::acme::{AcmeResponder, is_challenge};

/// The certificates in force. Handshakes that begin after a change get the new ones; connections
/// that are open stay as they are.
#[derive(Debug)]
pub struct CertificateResolver {
    certificates: ArcSwap<CertificateSet>,
    /// Certificates by ACME, where the listener has such.
    acme: Option<Arc<AcmeResponder>>,
}

impl CertificateResolver {
    /// A resolver with these certificates, in the configuration's order, before those of `acme`.
    pub fn new(
        certificates: Vec<Arc<ServerCertificate>>,
        acme: Option<Arc<AcmeResponder>>,
    ) -> CertificateResolver {
        CertificateResolver {
            certificates: ArcSwap::from_pointee(CertificateSet::new(certificates)),
            acme,
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
        let name = hello.server_name();
        if let Some(acme) = &self.acme {
            if hello.alpn().is_some_and(is_challenge) {
                return acme.challenge_certificate(name);
            }
            if !name.is_some_and(|name| certificates.has(name))
                && let Some(issued) = acme.certificate(name)
            {
                return Some(issued);
            }
        }
        certificates.choose(name, hello.signature_schemes())
    }
}
