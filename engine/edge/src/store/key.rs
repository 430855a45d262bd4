//! Keys of stored responses.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::weight::{ARC_BYTES, ENTRY_BYTES, TAG_BYTES, allocated};
use tero_semantics::key;

/// The end of the key under which parts of a response are stored: a further line, which the key of a
/// request never has.
pub(super) const PARTS: &[u8] = b"\nparts";

/// A primary key as `semantics::key` writes it. Cheap to clone: clones share their bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(Arc<[u8]>);

impl Key {
    /// A copy of `bytes`.
    pub fn new(bytes: &[u8]) -> Key {
        Key(bytes.into())
    }

    /// The key for parts of the response whose key is `bytes`.
    pub(super) fn of_parts(bytes: &[u8]) -> Key {
        Key([bytes, PARTS].concat().into())
    }

    /// The key as written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The memory that it uses, in bytes, with what a map needs for an entry.
    pub fn weight(&self) -> u64 {
        let indexed = if self.has_suffix() { TAG_BYTES } else { 0 };
        (allocated(self.0.len() + ARC_BYTES) + ENTRY_BYTES + indexed) as u64
    }

    /// Whether it has the suffix of a decision, so that its URL and variant alone don't tell it.
    pub(super) fn has_suffix(&self) -> bool {
        key::has_suffix(&self.0)
    }

    /// Its absolute URL, without the variant.
    pub fn url(&self) -> &str {
        key::url_of(&self.0)
    }

    /// The policies' variant in it.
    pub fn variant(&self) -> Option<&str> {
        key::variant_of(&self.0)
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_ref().hash(state);
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}
