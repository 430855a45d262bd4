//! The certificates of a listener, found by the name that a client asks for (RFC 6066 §3).

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::quality::RandomState;
use rustls::sign::CertifiedKey;
use rustls::{SignatureAlgorithm, SignatureScheme};

use super::certificate::{ServerCertificate, wildcard_of};

/// Certificates of one name, with the cheapest to sign with first.
type Choices = Vec<Arc<CertifiedKey>>;

/// The certificates of a listener.
#[derive(Debug, Default)]
pub(super) struct CertificateSet {
    all: Vec<Arc<ServerCertificate>>,
    by_name: HashMap<String, Choices, RandomState>,
    /// By what follows `*.`.
    by_wildcard: HashMap<String, Choices, RandomState>,
    default: Choices,
}

impl CertificateSet {
    /// The first certificate is the default, together with those that share its first name.
    pub(super) fn new(all: Vec<Arc<ServerCertificate>>) -> CertificateSet {
        let mut set = CertificateSet::default();
        for certificate in &all {
            for name in certificate.names() {
                let choices = match name.strip_prefix("*.") {
                    Some(rest) => set.by_wildcard.entry(rest.to_owned()),
                    None => set.by_name.entry(name.clone()),
                };
                choices
                    .or_default()
                    .push(Arc::clone(&certificate.certified));
            }
        }
        if let Some(first) = all.first() {
            let shares = |other: &&Arc<ServerCertificate>| {
                Arc::ptr_eq(other, first)
                    || first
                        .names()
                        .first()
                        .is_some_and(|name| other.names().contains(name))
            };
            let default = all.iter().filter(shares);
            set.default = default.map(|one| Arc::clone(&one.certified)).collect();
        }
        let lists = set.by_name.values_mut().chain(set.by_wildcard.values_mut());
        for choices in lists.chain([&mut set.default]) {
            // A stable sort: among equals the order of the configuration counts.
            choices.sort_by_key(|one| one.key.algorithm() == SignatureAlgorithm::RSA);
        }
        set.all = all;
        set
    }

    /// All certificates, in the configuration's order.
    pub(super) fn all(&self) -> &[Arc<ServerCertificate>] {
        &self.all
    }

    /// The certificate for a client that asks for `name` and understands these signatures. `None`
    /// only if the set is empty.
    pub(super) fn choose(
        &self,
        name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let choices = name
            .and_then(|name| self.of_name(&name.to_ascii_lowercase()))
            .unwrap_or(&self.default);
        let understood = choices
            .iter()
            .find(|one| one.key.choose_scheme(schemes).is_some());
        understood.or(choices.first()).cloned()
    }

    /// Whether a certificate is for this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.of_name(&name.to_ascii_lowercase()).is_some()
    }

    fn of_name(&self, name: &str) -> Option<&Choices> {
        self.by_name
            .get(name)
            .or_else(|| self.by_wildcard.get(wildcard_of(name)?))
    }
}
