//! `[server.listener.tls]`.

use std::path::PathBuf;

use crate::mistakes::Mistake;

section! {
    /// TLS on a listener. Certificates and keys are PEM files. They are read again on a reload and
    /// when they change; a file that can't be used leaves the certificates in force as they are.
    #[derive(Clone, Debug, PartialEq, Eq)]
    [server.listener.tls]
    pub struct ListenerTls in base_dir {
        /// Whether certificates for the hosts of sites are ordered by ACME, see `[acme]`. They go behind
        /// those in `certificates`.
        acme: bool = false, Flag;
        /// The certificates, at least one unless `acme` is true. The client's server name (SNI) selects among them; the
        /// first is for clients that name none, or one that no certificate has.
        certificates: Vec<CertificateFiles> = rule("none", Vec::new()), NestedList(CertificateFiles);
        /// The oldest version of TLS that is accepted.
        min_version: TlsVersion = "1.2",
            OneOf("1.2" => TlsVersion::V1_2, "1.3" => TlsVersion::V1_3);
        /// The certificate authorities, as PEM, that vouch for the certificates of clients.
        client_ca: Option<PathBuf> = rule("none: clients are not asked for certificates"),
            Text("a path, relative to this file") => |path| base_dir.path(path);
        /// Whether a client must have a certificate of `client_ca`. With `optional`, a client without
        /// one is let in, and the origin is told of those that have one.
        client_certificate: ClientCertificate = "required",
            OneOf(
                "required" => ClientCertificate::Required,
                "optional" => ClientCertificate::Optional
            );
    }
}

section! {
    /// A certificate and its key. There may be one with an ECDSA key and one with an RSA key for the
    /// same names: each client gets the one that it understands, ECDSA first.
    #[derive(Clone, Debug, PartialEq, Eq)]
    [[server.listener.tls.certificates]]
    pub struct CertificateFiles in base_dir {
        /// The certificate, followed by those of the authorities in between, each issued by the next.
        cert: PathBuf = required, Text("a path, relative to this file") => |path| base_dir.path(path);
        /// Its private key: PKCS #8, SEC 1 or PKCS #1, without a password.
        key: PathBuf = required, Text("a path, relative to this file") => |path| base_dir.path(path);
        /// The authority's word that the certificate holds (OCSP, RFC 6960), as DER. It is stapled to
        /// handshakes.
        ocsp: Option<PathBuf> = rule("none"),
            Text("a path, relative to this file") => |path| base_dir.path(path);
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246
    V1_2,
    /// RFC 8446
    V1_3,
}

/// Whether clients must have a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificate {
    /// Clients without one are refused.
    Required,
    /// Clients without one are let in.
    Optional,
}

impl ListenerTls {
    /// What `"acme"` in the place of a table means.
    pub(crate) fn of_word(word: &str) -> Result<ListenerTls, Mistake> {
        if word != "acme" {
            let cure =
                "write \"acme\", or a table: { certificates = [{ cert = \"…\", key = \"…\" }] }";
            return Err(Mistake::new(format!("`{word}` is unknown"), cure));
        }
        Ok(ListenerTls {
            acme: true,
            certificates: Vec::new(),
            min_version: TlsVersion::V1_2,
            client_ca: None,
            client_certificate: ClientCertificate::Required,
        })
    }

    /// Whether a listener can go from one to the other while it runs.
    pub(crate) fn may_follow(old: Option<&ListenerTls>, new: Option<&ListenerTls>) -> bool {
        match (old, new) {
            (Some(old), Some(new)) => old.acme == new.acme,
            (None, None) => true,
            _ => false,
        }
    }

    /// The files that it names.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let certificates = self.certificates.iter();
        let certificates =
            certificates.flat_map(|one| [Some(&one.cert), Some(&one.key), one.ocsp.as_ref()]);
        certificates.chain([self.client_ca.as_ref()]).flatten()
    }
}
