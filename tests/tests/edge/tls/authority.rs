//! A certificate authority of a test, and the files of the certificates that it issues.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, SignatureAlgorithm, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tero_tests::toml_string;

/// A certificate authority.
#[derive(Debug)]
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) pem: String,
    pub(crate) key: KeyPair,
}

/// What a certificate is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) names: &'a [&'a str],
    pub(crate) algorithm: &'static SignatureAlgorithm,
    /// Year, month and day of its first and its last day.
    pub(crate) from: (i32, u8, u8),
    pub(crate) until: (i32, u8, u8),
}

/// An ECDSA certificate that holds for these names for a hundred years.
pub(crate) fn names<'a>(names: &'a [&'a str]) -> Wanted<'a> {
    Wanted {
        names,
        algorithm: &PKCS_ECDSA_P256_SHA256,
        from: (2000, 1, 1),
        until: (2100, 1, 1),
    }
}

impl Wanted<'_> {
    pub(crate) fn rsa(self) -> Self {
        Wanted {
            algorithm: &PKCS_RSA_SHA256,
            ..self
        }
    }

    pub(crate) fn until(self, year: i32, month: u8, day: u8) -> Self {
        Wanted {
            until: (year, month, day),
            ..self
        }
    }
}

impl Authority {
    pub(crate) fn new(name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        Authority(CertifiedIssuer::self_signed(of_authority(name), key).unwrap())
    }

    /// An authority that this one vouches for.
    pub(crate) fn below(&self, name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        Authority(CertifiedIssuer::signed_by(of_authority(name), key, &self.0).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A store that trusts this authority alone.
    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }

    pub(crate) fn issue(&self, wanted: Wanted<'_>) -> Issued {
        let names: Vec<String> = wanted.names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        let day = |(year, month, day)| date_time_ymd(year, month, day);
        params.not_before = day(wanted.from);
        params.not_after = day(wanted.until);
        let key = KeyPair::generate_for(wanted.algorithm).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Issued {
            der: certificate.der().clone(),
            pem: certificate.pem(),
            key,
        }
    }
}

fn of_authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

impl Issued {
    /// Writes `NAME.pem` and `NAME.key`.
    pub(crate) fn write(&self, folder: &Path, name: &str) {
        write(folder, &format!("{name}.pem"), &self.pem);
        write(folder, &format!("{name}.key"), &self.key.serialize_pem());
    }

    /// The key as rustls takes it.
    pub(crate) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }
}

/// Writes a file that only its owner can read.
pub(crate) fn write(folder: &Path, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;

    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A listener with the certificates of these names in the folder, and more keys of its `tls`.
pub(crate) fn listener(folder: &Path, names: &[&str], more: &str) -> String {
    let path = |name: &str, end: &str| {
        let file = folder.join(format!("{name}.{end}"));
        toml_string(&file.display().to_string())
    };
    let certificates = names.iter().map(|name| {
        let (cert, key) = (path(name, "pem"), path(name, "key"));
        format!("{{ cert = {cert}, key = {key} }}")
    });
    let certificates = certificates.collect::<Vec<_>>().join(", ");
    format!(
        "[[server.listener]]\naddress = \"127.0.0.1:0\"\n[server.listener.tls]\ncertificates = [{certificates}]\n{more}"
    )
}
