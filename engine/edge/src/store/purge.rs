//! What operators and unsafe requests remove: which stored responses that is, how it goes on in
//! shares, and what it means for fetches under way.

mod history;

use std::sync::Arc;

use super::stored::{StoredHead, StoredResponse};
use super::{Key, Store, Variants};
use tero_semantics::key;
use tero_semantics::timestamp::Timestamp;

pub(super) use history::PurgeHistory;

/// How many keys are one share of a purge.
pub(super) const PURGED_AT_ONCE: usize = 64;

/// Which stored responses a purge means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PurgeScope {
    /// Those under these keys, written as `semantics::key` does.
    Keys(Vec<Vec<u8>>),
    /// Those of a site that carry a surrogate key; of every site where `site` is none.
    Tag {
        /// The site's index.
        site: Option<usize>,
        /// The surrogate key.
        tag: String,
    },
    /// Those whose absolute URL begins so.
    Prefix(String),
    /// Those of a site, by its index.
    Site(usize),
}

/// Whether purged responses are dropped, or kept as stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeMode {
    /// Dropped.
    Hard,
    /// Marked stale: revalidated before reuse, served while the origin fails.
    Soft,
}

/// A purge under way, in shares: whoever purges can let others have their turn in between.
#[derive(Debug)]
pub struct PurgeProgress {
    target: PurgeScope,
    purge: PurgeMode,
    now: Timestamp,
    /// What is left to go through, but for a surrogate key.
    keys: std::vec::IntoIter<Key>,
    /// The last key of the last share.
    last: Option<Key>,
}

/// A point in the order of purges. What was fetched before a purge must not be stored after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PurgePoint(u64);

impl PurgePoint {
    /// How many purges lie between an earlier point and this one.
    pub fn purges_since(self, earlier: PurgePoint) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Store {
    /// Where the order of purges stands now: to be taken before the fetch of what is to be stored.
    pub fn purge_point(&self) -> PurgePoint {
        PurgePoint(self.purges.point())
    }

    /// Whether what is fetched for `key` since `since` may have been purged.
    pub fn may_be_purged(&self, key: &[u8], since: PurgePoint) -> bool {
        self.purges
            .latest(since.0..self.purges.point(), key, |_| true)
            .is_some()
    }

    /// Whether a purge since `since` meant a response of this head under `key`.
    pub fn is_purged(&self, key: &[u8], head: &StoredHead, since: PurgePoint) -> bool {
        self.purged_between(key, head, since, self.purge_point())
            .is_some()
    }

    /// The latest purge between `since` and `until` that meant a response of this head under `key`:
    /// a number that is the same for all that find the same one.
    pub fn purged_between(
        &self,
        key: &[u8],
        head: &StoredHead,
        since: PurgePoint,
        until: PurgePoint,
    ) -> Option<u64> {
        self.purges
            .latest(since.0..until.0, key, |target| target.selects(head))
    }

    /// Purges what `target` names and returns how many stored responses that were. Not for a thread
    /// that serves requests, but it leaves a core that it shares with one after each share.
    pub fn purge(&self, target: &PurgeScope, purge: PurgeMode, now: Timestamp) -> u64 {
        let mut purging = self.begin_purge(target.clone(), purge, now);
        let mut purged = 0;
        while let Some(more) = self.purge_share(&mut purging) {
            purged += more;
            std::thread::yield_now();
        }
        purged
    }

    /// Begins a purge: what is on its way from the next hop now will not be stored. What is stored
    /// goes by [`Store::purge_share`]. Looks through all of the store for a prefix or a site.
    pub fn begin_purge(
        &self,
        target: PurgeScope,
        purge: PurgeMode,
        now: Timestamp,
    ) -> PurgeProgress {
        // First the note for fetches under way, then what is stored: nothing slips through between.
        self.purges.note(&target);
        let keys = match &target {
            PurgeScope::Tag { .. } => Vec::new(),
            PurgeScope::Keys(keys) => keys
                .iter()
                .flat_map(|key| [Key::new(key), Key::of_parts(key)])
                .collect(),
            PurgeScope::Prefix(_) | PurgeScope::Site(_) => self.keys_matching(&target),
        };
        PurgeProgress {
            target,
            purge,
            now,
            keys: keys.into_iter(),
            last: None,
        }
    }

    /// Purges the next share, some tenths of a millisecond's work, and returns how many stored
    /// responses that were; none when there is nothing left.
    pub fn purge_share(&self, purging: &mut PurgeProgress) -> Option<u64> {
        let keys: Vec<Key> = match &purging.target {
            PurgeScope::Tag { tag, .. } => {
                self.index
                    .tagged(tag, purging.last.as_ref(), PURGED_AT_ONCE)
            }
            PurgeScope::Keys(_) | PurgeScope::Prefix(_) | PurgeScope::Site(_) => {
                purging.keys.by_ref().take(PURGED_AT_ONCE).collect()
            }
        };
        purging.last = Some(keys.last()?.clone());
        let change = |stored: &Arc<StoredResponse>| match purging.purge {
            _ if !purging.target.selects(&stored.head) => Some(Arc::clone(stored)),
            PurgeMode::Hard => None,
            PurgeMode::Soft => Some(Arc::new(
                stored.with_freshness(stored.head.freshness.made_stale(purging.now)),
            )),
        };
        Some(keys.iter().map(|key| self.rewrite(key, &change)).sum())
    }

    fn keys_matching(&self, target: &PurgeScope) -> Vec<Key> {
        // What moves from one map to the other meanwhile is found in one of them.
        let maps = self
            .warmed
            .iter()
            .chain(self.main.iter())
            .chain(self.warmed.iter());
        let is_meant = |key: &Key, variants: &Variants| {
            target.may_have(key.as_bytes())
                && variants
                    .all()
                    .iter()
                    .any(|stored| target.selects(&stored.head))
        };
        let mut keys: Vec<Key> = maps
            .filter(|(key, variants)| is_meant(key, variants))
            .map(|(key, _)| Key::clone(&key))
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

impl PurgeScope {
    /// Whether a response under this key may be meant; not asked of a target that names keys.
    pub(super) fn may_have(&self, key: &[u8]) -> bool {
        match self {
            PurgeScope::Prefix(prefix) => key::url_of(key).starts_with(prefix.as_str()),
            PurgeScope::Keys(_) | PurgeScope::Tag { .. } | PurgeScope::Site(_) => true,
        }
    }

    /// Whether a response of this head under a key that may be meant is meant.
    pub(super) fn selects(&self, head: &StoredHead) -> bool {
        match self {
            PurgeScope::Keys(_) | PurgeScope::Prefix(_) => true,
            PurgeScope::Site(site) => head.site as usize == *site,
            PurgeScope::Tag { site, tag } => {
                site.is_none_or(|site| head.site as usize == site)
                    && head.fields.tags().any(|own| own == &**tag)
            }
        }
    }
}
