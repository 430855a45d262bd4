//! Purges: which stored responses an operator or an unsafe request removes, share by share, and
//! what that means for fetches under way.

mod history;
pub(super) mod scope;

use std::sync::Arc;

use super::stored::StoredResponse;
use super::{Key, Store, Variants};
use tero_semantics::key;
use tero_semantics::timestamp::Timestamp;

pub(super) use history::PurgeHistory;
pub use history::PurgeWatch;
pub use scope::{PurgeMode, PurgeScope};

/// Keys in one share of a purge.
pub(super) const PURGED_AT_ONCE: usize = 64;

/// A purge under way. It runs in shares, between which its thread can do other work.
#[derive(Debug)]
pub struct PurgeProgress {
    number: u64,
    scope: PurgeScope,
    mode: PurgeMode,
    now: Timestamp,
    /// The keys to go through. Empty for a surrogate key, whose keys come from the index.
    keys: std::vec::IntoIter<Key>,
    /// The last key of the latest share.
    last: Option<Key>,
}

/// A point in the order of purges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PurgePoint(u64);

impl Store {
    /// The present point in the order of purges.
    pub fn purge_point(&self) -> PurgePoint {
        PurgePoint(self.purges.point())
    }

    /// Watches the purges of `key`, of the site with the index `site`, from now on. Make the watch
    /// before the fetch of a response that is to be stored: a response that was fetched before a
    /// purge of it must not be stored after the purge.
    pub fn watch_purges(&self, key: &[u8], site: usize) -> PurgeWatch {
        self.purges.watch(key, site)
    }

    /// Purges all responses of `scope`. Returns how many stored responses those were. Not for a
    /// thread that serves requests; after each share it yields to one on the same core.
    pub fn purge(&self, scope: &PurgeScope, mode: PurgeMode, now: Timestamp) -> u64 {
        let mut progress = self.begin_purge(scope.clone(), mode, now);
        let mut purged = 0;
        while let Some(more) = self.purge_share(&mut progress) {
            purged += more;
            std::thread::yield_now();
        }
        purged
    }

    /// Begins a purge. Responses of `scope` that are on their way from the next hop won't be
    /// stored; [`Store::purge_share`] purges the stored ones. For a prefix or a site, this reads
    /// through the whole store.
    pub fn begin_purge(&self, scope: PurgeScope, mode: PurgeMode, now: Timestamp) -> PurgeProgress {
        // Fetches under way learn of it first, then the stored responses are purged: so a response
        // can't escape between the two.
        let disk = self.disk.as_ref();
        let note = |number| disk.map(|disk| (disk, disk.note_purge(number, &scope, mode)));
        let (number, noted) = self.purges.add(&scope, note);
        if let Some((disk, noted)) = noted {
            disk.write_purge(&noted);
        }
        let keys = match &scope {
            PurgeScope::Tag { .. } => Vec::new(),
            PurgeScope::Keys(keys) => {
                let written = keys.iter();
                let mut keys_to_purge: Vec<Key> = written
                    .flat_map(|key| [Key::new(key), Key::of_parts(key)])
                    .collect();
                keys_to_purge.extend(self.keys_with_suffix(keys));
                keys_to_purge
            }
            PurgeScope::Prefix(_) | PurgeScope::Site(_) | PurgeScope::Paths { .. } => {
                self.keys_matching(&scope)
            }
        };
        PurgeProgress {
            number,
            scope,
            mode,
            now,
            keys: keys.into_iter(),
            last: None,
        }
    }

    /// Purges the next share, which takes some tenths of a millisecond. Returns how many stored
    /// responses it purged; `None` when the purge is complete.
    pub fn purge_share(&self, progress: &mut PurgeProgress) -> Option<u64> {
        let keys: Vec<Key> = match &progress.scope {
            PurgeScope::Tag { tag, .. } => {
                self.index
                    .tagged(tag, progress.last.as_ref(), PURGED_AT_ONCE)
            }
            PurgeScope::Keys(_)
            | PurgeScope::Prefix(_)
            | PurgeScope::Site(_)
            | PurgeScope::Paths { .. } => progress.keys.by_ref().take(PURGED_AT_ONCE).collect(),
        };
        progress.last = Some(keys.last()?.clone());
        let change = |stored: &Arc<StoredResponse>| progress.purged(stored);
        Some(keys.iter().map(|key| self.rewrite(key, &change)).sum())
    }

    /// The keys with a suffix under which something is stored of the URLs of these keys.
    fn keys_with_suffix(&self, keys: &[Vec<u8>]) -> Vec<Key> {
        let mut urls: Vec<&str> = keys.iter().map(|key| key::url_of(key)).collect();
        urls.sort_unstable();
        urls.dedup();
        let found = urls.into_iter().map(|url| self.index.of_url(url));
        found.flatten().collect()
    }

    fn keys_matching(&self, scope: &PurgeScope) -> Vec<Key> {
        let reading = self.moved.begin();
        let is_meant = |key: &Key, variants: &Variants| {
            scope.may_have(key.as_bytes())
                && variants
                    .all()
                    .iter()
                    .any(|stored| scope.selects(&stored.head))
        };
        let mut keys: Vec<Key> = self
            .entries()
            .filter(|(key, variants)| is_meant(key, variants))
            .map(|(key, _)| Key::clone(&key))
            .collect();
        let moved = reading.moved().into_iter();
        keys.extend(moved.filter(|key| scope.may_have(key.as_bytes())));
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

impl PurgeProgress {
    /// Its number in the order of purges.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What becomes of a stored response under a key that may be meant: nothing, if it is not
    /// meant.
    fn purged(&self, stored: &Arc<StoredResponse>) -> Option<Arc<StoredResponse>> {
        if !self.scope.selects(&stored.head) {
            return Some(Arc::clone(stored));
        }
        match self.mode {
            PurgeMode::Hard => None,
            PurgeMode::Soft => {
                let stale = stored.head.freshness.made_stale(self.now);
                let stale = stored.with_freshness(stale);
                if stale.disk.follow(&stored.disk) {
                    stale.want_disk();
                }
                Some(Arc::new(stale))
            }
        }
    }
}
