//! What must be carried out on the disks once they are open: another process has them until then.

use std::collections::HashSet;

use foldhash::quality::RandomState;

use crate::store::Key;
use crate::store::purge::scope::{PurgeMode, PurgeScope};

/// Purges that are remembered at most; more purge all that is on the disks.
const MAX_PURGES: usize = 10_000;
/// Keys that are remembered at most; more purge all that was on the disks.
const MAX_KEYS: usize = 100_000;

/// What came before the disks were open.
#[derive(Debug, Default)]
pub(super) struct EarlyChanges {
    pub(super) purges: Vec<(u64, PurgeScope, PurgeMode)>,
    /// The last purge, if there were too many to remember: it means everything.
    purged_everything: Option<u64>,
    /// Keys of which the disks may have older responses, which must not be found any more.
    outdated: HashSet<Key, RandomState>,
    /// Whether there were too many of them to remember.
    has_too_many_keys: bool,
    /// Whether responses of some of them were withdrawn.
    has_withdrawn: bool,
    is_given_up: bool,
    /// Whether the disks lack something that must not be lost, and won't be opened.
    lacks_changes: bool,
}

impl EarlyChanges {
    /// Remembers a purge.
    pub(super) fn purge(&mut self, number: u64, scope: &PurgeScope, mode: PurgeMode) {
        if self.is_given_up {
            self.lacks_changes = true;
        } else if self.purges.len() < MAX_PURGES {
            self.purges.push((number, scope.clone(), mode));
        } else {
            self.purged_everything = Some(number);
        }
    }

    /// Remembers that a newer response of a key has come.
    pub(super) fn replace(&mut self, key: &Key) {
        if self.is_given_up || self.outdated.contains(key) {
            return;
        }
        if self.outdated.len() < MAX_KEYS {
            self.outdated.insert(key.clone());
        } else {
            self.has_too_many_keys = true;
        }
    }

    /// Remembers that the responses of a key are gone.
    pub(super) fn withdraw(&mut self, key: &Key) {
        self.has_withdrawn = true;
        self.lacks_changes |= self.is_given_up;
        self.replace(key);
    }

    /// The number of the purge that means everything, if there was too much to remember.
    pub(super) fn of_everything(&self) -> Option<u64> {
        self.purged_everything
            .or_else(|| self.has_too_many_keys.then_some(0))
    }

    /// Forgets the purges, and nothing else.
    pub(super) fn drop_purges(&mut self) {
        self.purges.clear();
        self.purged_everything = None;
    }

    /// The keys so far.
    pub(super) fn take_outdated(&mut self) -> HashSet<Key, RandomState> {
        std::mem::take(&mut self.outdated)
    }

    /// The disks won't be opened.
    pub(super) fn give_up(&mut self) {
        let has_changes =
            !self.purges.is_empty() || self.purged_everything.is_some() || self.has_withdrawn;
        *self = EarlyChanges {
            is_given_up: true,
            lacks_changes: self.lacks_changes || has_changes,
            ..EarlyChanges::default()
        };
    }

    /// Whether the disks won't be opened.
    pub(super) fn is_given_up(&self) -> bool {
        self.is_given_up
    }

    /// Whether the disks lack purges or withdrawals that will never be carried out there. Says so once
    /// for those until now.
    pub(super) fn take_lack(&mut self) -> bool {
        std::mem::take(&mut self.lacks_changes)
    }

    /// They still lack them, and that could not be noted there.
    pub(super) fn lack_still(&mut self) {
        self.lacks_changes = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_can_be_remembered_means_everything() {
        let mut early = EarlyChanges::default();
        for number in 0..MAX_KEYS + 1 {
            early.replace(&Key::new(&number.to_le_bytes()));
            early.replace(&Key::new(&0_usize.to_le_bytes()));
            assert_eq!(early.of_everything(), (number == MAX_KEYS).then_some(0));
        }
        assert_eq!(early.take_outdated().len(), MAX_KEYS);
        let scope = PurgeScope::Site(0);
        for number in 0..MAX_PURGES as u64 + 2 {
            early.purge(number, &scope, PurgeMode::Hard);
        }
        assert_eq!(early.of_everything(), Some(MAX_PURGES as u64 + 1));
        assert_eq!(early.purges.len(), MAX_PURGES);
        early.drop_purges();
        assert!(early.purges.is_empty());
        assert_eq!(early.of_everything(), Some(0), "there were too many keys");
    }

    #[test]
    fn disks_that_stay_closed_lack_purges_and_withdrawals_alone() {
        let mut early = EarlyChanges::default();
        early.replace(&Key::new(b"a"));
        early.give_up();
        assert!(early.is_given_up() && !early.take_lack());
        early.replace(&Key::new(b"a"));
        assert!(!early.take_lack() && early.take_outdated().is_empty());
        early.withdraw(&Key::new(b"a"));
        assert!(early.take_lack() && !early.take_lack());
        early.purge(7, &PurgeScope::Site(0), PurgeMode::Soft);
        early.give_up();
        assert!(early.take_lack());
        early.give_up();
        assert!(!early.take_lack(), "it was told");
        let mut early = EarlyChanges::default();
        early.withdraw(&Key::new(b"a"));
        early.give_up();
        assert!(early.take_lack());
    }
}
