//! The token of the admin interface, which a reload may change.

use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

/// The token of the admin interface, shared by the interface and by reloads. Only its digest is kept:
/// a Debug print does not show the token, and comparing takes the same time for every length.
#[derive(Clone, Debug)]
pub struct AdminToken(Arc<Mutex<Option<[u8; 32]>>>);

impl AdminToken {
    /// This token; `None` if there is none.
    pub fn new(token: Option<&str>) -> AdminToken {
        AdminToken(Arc::new(Mutex::new(token.map(digest))))
    }

    /// Replaces the token, for requests that come from now on.
    pub fn set(&self, token: Option<&str>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = token.map(digest);
    }

    /// The digest of the token; `None` if there is none.
    pub fn digest(&self) -> Option<[u8; 32]> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The digest of a token.
pub(crate) fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
