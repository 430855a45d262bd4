//! Variants of which memory has had a newer response than the disk.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use foldhash::quality::RandomState;

use super::lock;
use tero_state::segments::RecordPlace;

/// Variants that are remembered at most, of up to 60 bytes each.
const MAX_OUTDATED: usize = 1 << 16;

/// For the hashes of a key and of what selects its variant, the newest record of the key from before.
/// That one, and older ones of the variant, must not be found.
#[derive(Debug, Default)]
pub(super) struct OutdatedVariants {
    newest: Mutex<HashMap<[u64; 2], RecordPlace, RandomState>>,
    /// Whether there ever was one: where none is, a look-up is saved.
    had_any: AtomicBool,
}

impl OutdatedVariants {
    /// Remembers that records of a variant up to this one are outdated. If that takes the room of
    /// another one, returns the hash of its key: nothing of that must be found any more.
    pub(super) fn note(&self, variant: [u64; 2], newest: RecordPlace) -> Option<u64> {
        let mut outdated = lock(&self.newest);
        let is_full = outdated.len() >= MAX_OUTDATED && !outdated.contains_key(&variant);
        let dropped = outdated.keys().next().copied().filter(|_| is_full);
        if let Some(dropped) = &dropped {
            outdated.remove(dropped);
        }
        outdated.insert(variant, newest);
        self.had_any.store(true, Ordering::Release);
        dropped.map(|[key, _]| key)
    }

    /// Whether any record may be outdated.
    pub(super) fn may_have_any(&self) -> bool {
        self.had_any.load(Ordering::Acquire)
    }

    /// Whether a record is outdated.
    pub(super) fn has(&self, variant: [u64; 2], place: RecordPlace) -> bool {
        let outdated = lock(&self.newest);
        outdated
            .get(&variant)
            .is_some_and(|newest| place <= *newest)
    }

    /// Forgets a variant: a newer record of it stands before the others.
    pub(super) fn end(&self, variant: [u64; 2]) {
        lock(&self.newest).remove(&variant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_are_remembered_up_to_a_bound() {
        let place = |offset| RecordPlace {
            segment: 1,
            offset,
            length: 64,
        };
        let outdated = OutdatedVariants::default();
        assert!(!outdated.may_have_any());
        for key in 0..MAX_OUTDATED as u64 {
            assert_eq!(outdated.note([key, 1], place(640)), None);
        }
        assert_eq!(outdated.note([0, 1], place(704)), None, "it was known");
        assert!(outdated.has([0, 1], place(704)) && !outdated.has([0, 1], place(768)));
        assert!(outdated.may_have_any() && !outdated.has([0, 2], place(64)));
        let dropped = outdated.note([0, 2], place(640)).expect("there is no room");
        assert!(outdated.has([0, 2], place(640)) && !outdated.has([dropped, 1], place(64)));
        outdated.end([0, 2]);
        assert!(!outdated.has([0, 2], place(64)));
        assert_eq!(outdated.note([0, 3], place(640)), None);
    }
}
