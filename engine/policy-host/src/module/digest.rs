//! The digest that identifies a module: the SHA-256 of its bytes.

use sha2::{Digest as _, Sha256};

/// The SHA-256 of a module or a package, in hexadecimal.
pub fn digest(module: &[u8]) -> String {
    hex(&sha256(module))
}

/// A module's digest.
pub(crate) type Digest = [u8; 32];

/// The digest of a module or a package.
pub(crate) fn sha256(module: &[u8]) -> Digest {
    Sha256::digest(module).into()
}

/// The bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").expect("text takes everything");
            text
        })
}
