//! A certificate with its key, as it was kept or issued: whether it can be used, and until when.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use tero_edge::validity::Validity;
use tero_semantics::timestamp::Timestamp;

/// A certificate for one name, with its chain and key.
#[derive(Clone, Debug)]
pub(super) struct NameCertificate {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) validity: Validity,
}

/// Why a certificate can't be used. None of these says anything of the key.
#[derive(Debug, thiserror::Error)]
pub(super) enum CertificateFault {
    #[error("it holds no private key and certificate in PEM")]
    Pem,
    #[error("the key can't be used")]
    Key,
    #[error("the certificate does not belong to the key")]
    OtherKey,
    #[error("the certificate can't be read")]
    Unreadable,
    #[error("the certificate is not for {0}")]
    OtherName(String),
}

impl NameCertificate {
    /// Reads a private key and a certificate with its chain.
    ///
    /// # Errors
    /// [`CertificateFault`].
    pub(super) fn read(pem: &[u8], name: &str) -> Result<NameCertificate, CertificateFault> {
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| CertificateFault::Pem)?;
        let chain = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| CertificateFault::Pem)?;
        let first = chain.first().ok_or(CertificateFault::Pem)?;
        let validity = validity_of(first)?;
        let parsed =
            ParsedCertificate::try_from(first).map_err(|_| CertificateFault::Unreadable)?;
        let other_name = || CertificateFault::OtherName(name.to_owned());
        let server = ServerName::try_from(name).map_err(|_| other_name())?;
        rustls::client::verify_server_name(&parsed, &server).map_err(|_| other_name())?;
        let key = aws_lc_rs::sign::any_supported_type(&key).map_err(|_| CertificateFault::Key)?;
        let key = CertifiedKey::new(chain, key);
        key.keys_match().map_err(|_| CertificateFault::OtherKey)?;
        Ok(NameCertificate {
            key: Arc::new(key),
            validity,
        })
    }
}

fn validity_of(certificate: &CertificateDer<'_>) -> Result<Validity, CertificateFault> {
    let (_, certificate) =
        X509Certificate::from_der(certificate).map_err(|_| CertificateFault::Unreadable)?;
    let validity = certificate.validity();
    Ok(Validity {
        not_before: Timestamp::from_unix_secs(validity.not_before.timestamp()),
        not_after: Timestamp::from_unix_secs(validity.not_after.timestamp()),
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn pem(key: &KeyPair, signer: &KeyPair, name: &str) -> String {
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        key.serialize_pem() + &params.self_signed(signer).unwrap().pem()
    }

    #[test]
    fn a_certificate_belongs_to_its_key_and_name() {
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let read = |pem: &str| NameCertificate::read(pem.as_bytes(), "shop.example");
        let good = read(&pem(&key, &key, "shop.example")).unwrap();
        assert!(good.validity.not_before < good.validity.not_after);
        let refused = |pem: &str| read(pem).unwrap_err().to_string();
        for (pem, words) in [
            (pem(&key, &other, "shop.example"), "does not belong"),
            (pem(&key, &key, "other.example"), "not for shop.example"),
            (key.serialize_pem(), "no private key and certificate"),
            (String::new(), "no private key and certificate"),
            ("nonsense".to_owned(), "no private key and certificate"),
        ] {
            let message = refused(&pem);
            assert!(message.contains(words), "{words}: {message}");
        }
        assert!(!format!("{good:?}").contains("PRIVATE"));
    }
}
