//! `GET /certificates`.

use serde::{Deserialize, Serialize};

/// The certificates of the listeners.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CertificatesResponse {
    /// The names whose certificates are ordered by ACME, in the order of the alphabet.
    pub acme: Vec<AcmeReport>,
    /// The certificates from files, listener by listener, those of the admin interface last.
    pub files: Vec<CertificateFileReport>,
}

/// A name whose certificates are ordered by ACME.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AcmeReport {
    /// The name.
    pub name: String,
    /// Until when its certificate holds, in RFC 3339; null without a certificate.
    pub not_after: Option<String>,
    /// When the next one is ordered at the earliest, in RFC 3339.
    pub next_order: String,
    /// How many orders in a row have failed.
    pub failures: u32,
    /// Why the last one failed.
    pub reason: Option<String>,
}

/// A certificate from a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CertificateFileReport {
    /// The address of its listener.
    pub listener: String,
    /// The file.
    pub file: String,
    /// Until when it holds, in RFC 3339.
    pub not_after: String,
}
