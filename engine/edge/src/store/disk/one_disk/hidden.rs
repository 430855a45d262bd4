//! Keys of which the disk has records that are not found any more, but would be after the next start.

use std::collections::HashSet;
use std::sync::Mutex;

use foldhash::quality::RandomState;

use super::lock;

/// Keys that are remembered at most, of up to 18 bytes each. If there are more, any key may be one.
const MAX_HIDDEN: usize = 1 << 18;

/// The hashes of such keys: a newer response has come, which isn't written yet.
#[derive(Debug, Default)]
pub(super) struct HiddenKeys(Mutex<Hidden>);

#[derive(Debug, Default)]
struct Hidden {
    hashes: HashSet<u64, RandomState>,
    /// Whether there were more than could be remembered.
    is_incomplete: bool,
}

impl HiddenKeys {
    /// The records of a key are not found any more.
    pub(super) fn hide(&self, hash: u64) {
        let mut hidden = lock(&self.0);
        if hidden.hashes.len() < MAX_HIDDEN {
            hidden.hashes.insert(hash);
        } else {
            hidden.is_incomplete = true;
        }
    }

    /// A newer record says that the earlier ones of a key are gone.
    pub(super) fn end(&self, hash: u64) {
        lock(&self.0).hashes.remove(&hash);
    }

    /// Whether there may be hidden records of a key.
    pub(super) fn may_have(&self, hash: u64) -> bool {
        let hidden = lock(&self.0);
        hidden.is_incomplete || hidden.hashes.contains(&hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_keys_are_known_until_their_records_end() {
        let hidden = HiddenKeys::default();
        hidden.hide(1);
        hidden.hide(2);
        hidden.end(1);
        assert!(!hidden.may_have(1) && hidden.may_have(2));
    }

    #[test]
    fn any_key_may_be_hidden_if_there_were_too_many() {
        let hidden = HiddenKeys::default();
        (0..MAX_HIDDEN as u64).for_each(|hash| hidden.hide(hash));
        assert!(!hidden.may_have(MAX_HIDDEN as u64));
        hidden.hide(MAX_HIDDEN as u64);
        (0..MAX_HIDDEN as u64).for_each(|hash| hidden.end(hash));
        assert!(hidden.may_have(MAX_HIDDEN as u64) && hidden.may_have(0));
    }
}
