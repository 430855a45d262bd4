//! Where a normal form goes: into memory, or into a comparison with what is stored.

/// Takes a normal form piece by piece.
pub(super) trait NormalFormSink {
    fn put(&mut self, bytes: &[u8]);
}

impl NormalFormSink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Compares a normal form with a stored one, without memory of its own.
pub(super) struct KeyComparison<'a> {
    left: &'a [u8],
    same: bool,
}

impl<'a> KeyComparison<'a> {
    pub(super) fn with(stored: &'a [u8]) -> KeyComparison<'a> {
        KeyComparison {
            left: stored,
            same: true,
        }
    }

    /// Whether exactly the stored form was put.
    pub(super) fn is_same(&self) -> bool {
        self.same && self.left.is_empty()
    }
}

impl NormalFormSink for KeyComparison<'_> {
    fn put(&mut self, bytes: &[u8]) {
        match self.left.strip_prefix(bytes) {
            Some(left) => self.left = left,
            None => self.same = false,
        }
    }
}
