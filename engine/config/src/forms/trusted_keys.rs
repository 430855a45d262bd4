//! Public keys of minisign.

use std::path::Path;

use minisign_verify::PublicKey;

use super::form_result::FormResult;
use crate::files::{BaseDir, read_text};
use crate::mistakes::Mistake;

/// A public key whose signatures are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey(PublicKey);

impl TrustedKey {
    /// The key.
    pub fn public_key(&self) -> &PublicKey {
        &self.0
    }

    /// Reads the file of a public key. Comments and the ends of lines don't matter.
    ///
    /// # Errors
    /// It can't be read, or holds no public key. A secret key is never shown.
    pub fn read(path: &Path) -> Result<TrustedKey, Mistake> {
        let text = read_text(path)?;
        let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
        let mut keys = lines.filter(|line| !line.is_empty() && !line.contains("comment:"));
        let key = keys.next().and_then(TrustedKey::parse);
        key.ok_or_else(|| {
            let problem = match text.contains("secret key") {
                true => format!("{} holds a secret key", path.display()),
                false => format!("{} holds no public key of minisign", path.display()),
            };
            Mistake::new(problem, CURE)
        })
    }

    fn parse(text: &str) -> Option<TrustedKey> {
        PublicKey::from_base64(text).ok().map(TrustedKey)
    }
}

const CURE: &str = "write the public key, \"RW…\" with 56 characters, or the path of its file (minisign -G makes minisign.pub)";

/// A public key, or the path of its file.
pub(crate) fn trusted_key(text: &str, base_dir: BaseDir<'_>) -> FormResult<TrustedKey> {
    if let Some(key) = TrustedKey::parse(text.trim()) {
        return Ok(key);
    }
    match base_dir.file(text, "the file of a public key") {
        Ok(path) => TrustedKey::read(&path),
        Err(_) => Err(Mistake::new(
            "this is neither a public key of minisign nor a file",
            CURE,
        )),
    }
}
