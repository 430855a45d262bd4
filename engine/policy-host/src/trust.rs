//! Signatures of modules and data tables: Ed25519 in the format of minisign, over the BLAKE2b of the
//! content (prehashed).
//!
//! With `[policies] trusted_keys`, whatever does not come with tero has to be signed by one of the
//! keys. Built-in policies are part of the program and need no signature.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use minisign_verify::{Error, PublicKey, Signature};
use tero_config::TrustedKey;

/// The largest file of a signature, in bytes.
pub const MAX_SIGNATURE_BYTES: usize = 4 << 10;

/// The keys whose signatures are trusted.
#[derive(Clone, Debug, Default)]
pub struct TrustedKeys {
    keys: Vec<PublicKey>,
}

/// Why a content is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It has no signature.
    #[error("it is not signed, and `policies.trusted_keys` demands it")]
    Unsigned,
    /// The file of the signature can't be read.
    #[error("its signature {path} can't be read: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The signature is not one of minisign.
    #[error("its signature is not one of minisign")]
    Malformed,
    /// The signature is of the older form, over the content itself.
    #[error("its signature is of minisign's older form, which is not prehashed")]
    NotPrehashed,
    /// Another key made the signature.
    #[error("its signature is by none of the keys in `policies.trusted_keys`")]
    OtherKey,
    /// The signature is of another content, or was altered itself.
    #[error("its signature does not fit: the content or the signature was altered")]
    Altered,
}

impl TrustError {
    /// What to do about it.
    pub fn cure(&self) -> &'static str {
        match self {
            TrustError::Unsigned => {
                "sign it (tero policy sign KEY FILE), and keep FILE.minisig beside the file"
            }
            TrustError::Unreadable { .. } => "see that the file can be read",
            TrustError::Malformed => "sign it again (tero policy sign KEY FILE)",
            TrustError::NotPrehashed => "sign it again (tero policy sign KEY FILE) without -l",
            TrustError::OtherKey => {
                "sign it with a trusted key, or add the public key of who signed it to policies.trusted_keys"
            }
            TrustError::Altered => {
                "fetch the file and its signature again, or sign it again (tero policy sign KEY FILE)"
            }
        }
    }
}

impl TrustedKeys {
    /// The keys of a configuration.
    pub fn new(keys: &[TrustedKey]) -> TrustedKeys {
        let keys = keys.iter().map(|key| key.public_key().clone());
        TrustedKeys {
            keys: keys.collect(),
        }
    }

    /// Whether every content is trusted, since no key is named.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Checks the signature of a content.
    ///
    /// # Errors
    /// [`TrustError`] if keys are named, and none of them signed exactly this content.
    pub fn check(&self, content: &[u8], signature: Option<&str>) -> Result<(), TrustError> {
        if self.is_empty() {
            return Ok(());
        }
        let signature = signature.ok_or(TrustError::Unsigned)?;
        let signature = Signature::decode(signature).map_err(|_| TrustError::Malformed)?;
        let mut error = TrustError::OtherKey;
        for key in &self.keys {
            match key.verify(content, &signature, false) {
                Ok(()) => return Ok(()),
                Err(Error::UnexpectedKeyId) => {}
                Err(Error::UnsupportedLegacyMode | Error::UnexpectedAlgorithm) => {
                    error = TrustError::NotPrehashed;
                }
                Err(_) => error = TrustError::Altered,
            }
        }
        Err(error)
    }

    /// Checks the content of a file, whose signature is in the file beside it.
    ///
    /// # Errors
    /// As [`TrustedKeys::check`], and [`TrustError::Unreadable`].
    pub fn check_file(&self, path: &Path, content: &[u8]) -> Result<(), TrustError> {
        if self.is_empty() {
            return Ok(());
        }
        self.check(content, signature_beside(path)?.as_deref())
    }
}

/// The path of the signature of a file: `hours.wasm.minisig` of `hours.wasm`.
pub fn signature_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".minisig");
    PathBuf::from(name)
}

/// The signature beside a file; `None` if there is none.
///
/// # Errors
/// [`TrustError`] if it can't be read or can't be a signature.
pub fn signature_beside(path: &Path) -> Result<Option<String>, TrustError> {
    let path = signature_path(path);
    let mut text = String::new();
    let read = File::open(&path).and_then(|file| {
        file.take(MAX_SIGNATURE_BYTES as u64 + 1)
            .read_to_string(&mut text)
    });
    match read {
        Ok(_) if text.len() > MAX_SIGNATURE_BYTES => Err(TrustError::Malformed),
        Ok(_) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(TrustError::Malformed),
        Err(source) => Err(TrustError::Unreadable { path, source }),
    }
}
