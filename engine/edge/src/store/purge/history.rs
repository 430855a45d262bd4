//! What purges mean for fetches that began before them.
//!
//! A fetch watches the purges of its key ([`PurgeWatch`]), and a purge marks the watches that it
//! means. So the memory in use is bounded by the fetches under way, however many purges come, and a
//! purge of other keys changes nothing for a fetch. The surrogate keys of a response are not known
//! before its head is: purges of surrogate keys are remembered, as hashes, as long as a fetch from
//! before them is under way.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;

use super::super::Key;
use super::super::stored::StoredHead;
use super::{PurgePoint, PurgeScope};
use tero_semantics::key::without_suffix;

/// How many purged surrogate keys are remembered. Beyond it, all responses with surrogate keys whose
/// fetches are under way count as purged.
const REMEMBERED_TAGS: usize = 1 << 16;
/// The number of no purge.
const NONE: u64 = u64::MAX;

/// The purges since the start, as far as fetches under way need them.
#[derive(Debug, Default)]
pub(in crate::store) struct PurgeHistory {
    record: Mutex<PurgeRecord>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct PurgeRecord {
    /// The number of the next purge.
    next: u64,
    /// The watches of fetches under way, by key without the suffix of a decision: a purge of a URL means
    /// it with any suffix.
    watches: HashMap<Key, Vec<Arc<WatchMarks>>, RandomState>,
    /// The purges of surrogate keys since the oldest watch began, by the hash of site and surrogate
    /// key.
    tags: HashMap<u64, NumberSpan, RandomState>,
    /// How many purges of surrogate keys there were.
    tag_purges: u64,
    /// Purges of surrogate keys before this number may have been forgotten.
    forgotten: u64,
}

/// The first and the last number of some purges.
#[derive(Clone, Copy, Debug)]
struct NumberSpan {
    first: u64,
    last: u64,
}

/// The purges that meant a fetch. Read and written under the lock of the record.
#[derive(Debug)]
struct WatchMarks {
    key: Key,
    site: usize,
    /// The number of the first purge of a surrogate key that counts.
    begun: AtomicU64,
    /// How many purges of surrogate keys there were before the watch was made.
    tag_purges: u64,
    /// The first and the last purge that meant it by key, prefix or site; [`NONE`] before the first.
    first: AtomicU64,
    last: AtomicU64,
}

/// A fetch's view of the purges since it began. Make it before the fetch, with
/// [`Store::watch_purges`](crate::store::Store::watch_purges).
#[derive(Debug)]
pub struct PurgeWatch {
    history: Arc<PurgeHistory>,
    marks: Arc<WatchMarks>,
}

impl PurgeHistory {
    /// A history whose first purge has the number after this one.
    pub(in crate::store) fn after(last: u64) -> PurgeHistory {
        let record = PurgeRecord {
            next: last + 1,
            ..PurgeRecord::default()
        };
        PurgeHistory {
            record: Mutex::new(record),
            hasher: RandomState::default(),
        }
    }

    /// The number of the next purge.
    pub(super) fn point(&self) -> u64 {
        self.lock().next
    }

    /// Watches the purges of `key`, of the site with this index.
    pub(super) fn watch(self: &Arc<PurgeHistory>, key: &[u8], site: usize) -> PurgeWatch {
        let key = Key::new(without_suffix(key));
        let mut record = self.lock();
        let marks = Arc::new(WatchMarks {
            key: key.clone(),
            site,
            begun: AtomicU64::new(record.next),
            tag_purges: record.tag_purges,
            first: AtomicU64::new(NONE),
            last: AtomicU64::new(NONE),
        });
        let watches = record.watches.entry(key).or_default();
        watches.push(Arc::clone(&marks));
        drop(record);
        PurgeWatch {
            history: Arc::clone(self),
            marks,
        }
    }

    /// Adds a purge, and returns its number with what `note` makes of it. Watches that begin later
    /// begin after `note`.
    pub(super) fn add<N>(&self, scope: &PurgeScope, note: impl FnOnce(u64) -> N) -> (u64, N) {
        let mut record = self.lock();
        let number = record.next;
        record.next += 1;
        match scope {
            PurgeScope::Keys(keys) => {
                let watches = keys.iter();
                let watches = watches.filter_map(|key| record.watches.get(without_suffix(key)));
                watches.flatten().for_each(|marks| marks.mark(number));
            }
            PurgeScope::Prefix(_) | PurgeScope::Site(_) | PurgeScope::Paths { .. } => {
                let all = record.watches.values().flatten();
                all.filter(|marks| scope.may_mean(&marks.key, marks.site))
                    .for_each(|marks| marks.mark(number));
            }
            PurgeScope::Tag { site, tag } => {
                let tag = self.hash(*site, tag);
                record.add_tag(tag, number);
            }
        }
        (number, note(number))
    }

    fn hash(&self, site: Option<usize>, tag: &str) -> u64 {
        self.hasher.hash_one((site, tag))
    }

    fn lock(&self) -> MutexGuard<'_, PurgeRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PurgeRecord {
    fn add_tag(&mut self, tag: u64, number: u64) {
        self.tag_purges += 1;
        if self.watches.is_empty() {
            return;
        }
        if self.tags.len() >= REMEMBERED_TAGS {
            self.forget_tags();
        }
        let span = self.tags.entry(tag).or_insert(NumberSpan {
            first: number,
            last: number,
        });
        span.last = number;
    }

    /// Forgets the purges of surrogate keys from before all watches, or all, if those are too few.
    fn forget_tags(&mut self) {
        let watches = self.watches.values().flatten();
        let oldest = watches.map(|marks| load(&marks.begun)).min();
        let oldest = oldest.unwrap_or(self.next);
        self.tags.retain(|_, span| span.last >= oldest);
        if self.tags.len() >= REMEMBERED_TAGS / 2 {
            self.tags.clear();
            self.forgotten = self.next;
        }
    }

    fn end_of(&mut self, marks: &Arc<WatchMarks>) {
        if let Some(watches) = self.watches.get_mut(&marks.key) {
            watches.retain(|other| !Arc::ptr_eq(other, marks));
            if watches.is_empty() {
                self.watches.remove(&marks.key);
            }
        }
        if self.watches.is_empty() {
            self.tags.clear();
        }
    }
}

impl NumberSpan {
    /// The first purge from `begun` on that came before `until`. Where purges lie on both sides of
    /// `begun`, only the last one is known for certain, and counts wherever it lies.
    fn first_between(self, begun: u64, until: u64) -> Option<u64> {
        if self.first >= begun {
            return Some(self.first).filter(|first| *first < until);
        }
        Some(self.last).filter(|last| *last >= begun)
    }
}

impl WatchMarks {
    fn mark(&self, number: u64) {
        if load(&self.first) == NONE {
            self.first.store(number, Ordering::Relaxed);
        }
        self.last.store(number, Ordering::Relaxed);
    }
}

impl PurgeWatch {
    /// The number of the last purge from before it began.
    pub fn mark(&self) -> u64 {
        load(&self.marks.begun).saturating_sub(1)
    }

    /// Whether a purge since the watch began meant a response with this head.
    pub fn is_purged(&self, head: &StoredHead) -> bool {
        self.purge_before(head, PurgePoint(NONE)).is_some()
    }

    /// The number of the first purge since the watch began, and before `until`, that meant a
    /// response with this head. All callers that find the same purge get the same number.
    pub fn purge_before(&self, head: &StoredHead, until: PurgePoint) -> Option<u64> {
        let record = self.history.lock();
        let first = load(&self.marks.first);
        if first < until.0 {
            return Some(first);
        }
        let begun = load(&self.marks.begun);
        let mut tags = head.fields.tags().peekable();
        if record.forgotten > begun && tags.peek().is_some() {
            return Some(record.forgotten);
        }
        if record.tags.is_empty() {
            return None;
        }
        let site = head.site as usize;
        let hashes =
            tags.flat_map(|tag| [None, Some(site)].map(|site| self.history.hash(site, tag)));
        let spans = hashes.filter_map(|hash| record.tags.get(&hash));
        spans
            .filter_map(|span| span.first_between(begun, until.0))
            .min()
    }

    /// Lets purges count from now on only. Returns false, and changes nothing, if another purge than
    /// `by_key` meant the key since the watch began. If surrogate keys were purged more than
    /// `of_tags` times, those from before still count.
    pub fn begin_anew(&self, by_key: Option<u64>, of_tags: u64) -> bool {
        let record = self.history.lock();
        let marks = &self.marks;
        let own = by_key.unwrap_or(NONE);
        let is_own = |number: &AtomicU64| [NONE, own].contains(&load(number));
        if !is_own(&marks.first) || !is_own(&marks.last) {
            return false;
        }
        for mark in [&marks.first, &marks.last] {
            mark.store(NONE, Ordering::Relaxed);
        }
        if record.tag_purges - marks.tag_purges == of_tags {
            marks.begun.store(record.next, Ordering::Relaxed);
        }
        true
    }
}

impl Drop for PurgeWatch {
    fn drop(&mut self) {
        self.history.lock().end_of(&self.marks);
    }
}

fn load(number: &AtomicU64) -> u64 {
    number.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{head_with, key};

    fn purge(history: &PurgeHistory, scope: &PurgeScope) -> u64 {
        history.add(scope, |_| ()).0
    }

    fn history() -> Arc<PurgeHistory> {
        Arc::new(PurgeHistory::default())
    }

    fn watch(history: &Arc<PurgeHistory>, path: &str) -> PurgeWatch {
        history.watch(key(path, None).as_bytes(), 0)
    }

    fn of_key(path: &str) -> PurgeScope {
        PurgeScope::Keys(vec![key(path, None).as_bytes().to_vec()])
    }

    fn of_tag(site: Option<usize>, tag: impl Into<String>) -> PurgeScope {
        PurgeScope::Tag {
            site,
            tag: tag.into(),
        }
    }

    #[test]
    fn any_number_of_other_purges_means_nothing_for_a_fetch() {
        let history = history();
        let (own, tagged) = (watch(&history, "/own"), head_with(&["own"]));
        for number in 0..20_000 {
            purge(&history, &of_key(&format!("/{number}")));
            purge(&history, &of_tag(Some(0), format!("tag-{number}")));
            purge(&history, &of_tag(Some(1), "own"));
            purge(&history, &PurgeScope::Site(1));
            purge(
                &history,
                &PurgeScope::Prefix("http://a.example/other".into()),
            );
        }
        assert!(!own.is_purged(&tagged));
        for (scope, is_by_tag) in [
            (of_key("/own"), false),
            (of_tag(Some(0), "own"), true),
            (of_tag(None, "own"), true),
            (PurgeScope::Site(0), false),
            (PurgeScope::Prefix("http://a.example/o".into()), false),
        ] {
            let own = watch(&history, "/own");
            let number = purge(&history, &scope);
            assert_eq!(own.purge_before(&tagged, PurgePoint(number)), None);
            let after = PurgePoint(number + 1);
            assert_eq!(own.purge_before(&tagged, after), Some(number), "{scope:?}");
            assert_eq!(own.is_purged(&head_with(&[])), !is_by_tag, "{scope:?}");
        }
    }

    #[test]
    fn a_purge_of_a_url_means_fetches_with_any_suffix() {
        let history = history();
        let mut written = key("/own", None).as_bytes().to_vec();
        tero_semantics::key::write_suffix(&mut written, b"o2:eu");
        let (own, head) = (history.watch(&written, 0), head_with(&[]));
        purge(&history, &of_key("/other"));
        assert!(!own.is_purged(&head));
        purge(&history, &of_key("/own"));
        assert!(own.is_purged(&head));
        drop(own);
        assert!(history.lock().watches.is_empty());
    }

    #[test]
    fn nothing_is_kept_when_no_fetch_is_under_way() {
        let history = history();
        for _ in 0..2 {
            let (first, second) = (watch(&history, "/a"), watch(&history, "/a"));
            purge(&history, &of_tag(None, "tag"));
            drop(first);
            assert_eq!(history.lock().tags.len(), 1);
            drop(second);
            assert!(history.lock().tags.is_empty() && history.lock().watches.is_empty());
        }
        purge(&history, &of_tag(None, "tag"));
        assert!(history.lock().tags.is_empty());
    }

    #[test]
    fn too_many_surrogate_keys_count_as_all_of_them_for_responses_that_carry_any() {
        let history = history();
        let old = watch(&history, "/old");
        let add = |count: usize| {
            for number in 0..count {
                purge(&history, &of_tag(None, format!("{number}")));
            }
        };
        add(REMEMBERED_TAGS);
        assert!(!old.is_purged(&head_with(&["own"])));
        purge(&history, &of_tag(None, "one more"));
        assert!(old.is_purged(&head_with(&["own"])));
        assert!(!old.is_purged(&head_with(&[])), "it has none");
        let later = watch(&history, "/later");
        assert!(!later.is_purged(&head_with(&["own"])));
        add(REMEMBERED_TAGS - 1);
        // Those from before all fetches are forgotten first, and mean nothing for later ones.
        let latest = watch(&history, "/latest");
        drop((old, later));
        purge(&history, &of_tag(None, "the latest"));
        assert_eq!(history.lock().tags.len(), 1);
        assert!(!latest.is_purged(&head_with(&["own"])));
        assert!(latest.is_purged(&head_with(&["the latest"])));
    }

    #[test]
    fn a_surrogate_key_purged_before_and_after_the_beginning_counts_wherever_it_lies() {
        let history = history();
        let first = watch(&history, "/first");
        purge(&history, &of_tag(None, "tag"));
        let second = watch(&history, "/second");
        let head = head_with(&["tag"]);
        assert!(first.is_purged(&head) && !second.is_purged(&head));
        let asked = PurgePoint(history.point());
        let again = purge(&history, &of_tag(None, "tag"));
        assert_eq!(first.purge_before(&head, asked), Some(0));
        assert_eq!(second.purge_before(&head, asked), Some(again), "perhaps");
    }

    #[test]
    fn a_watch_begins_anew_unless_another_purge_meant_its_key() {
        let history = history();
        let (head, other) = (head_with(&["tag"]), head_with(&["other"]));
        for (foreign, is_good, own_tag_counts) in [
            (None, true, false),
            (Some(of_key("/other")), true, false),
            (Some(PurgeScope::Site(1)), true, false),
            (Some(of_tag(None, "unknown")), true, true),
            (Some(of_key("/own")), false, true),
            (Some(PurgeScope::Site(0)), false, true),
        ] {
            for foreign_is_first in [true, false] {
                let own = watch(&history, "/own");
                let add_foreign = || {
                    if let Some(scope) = &foreign {
                        purge(&history, scope);
                    }
                };
                if foreign_is_first {
                    add_foreign();
                }
                let number = purge(&history, &of_key("/own"));
                purge(&history, &of_tag(Some(0), "tag"));
                if !foreign_is_first {
                    add_foreign();
                }
                assert!(own.is_purged(&head));
                assert_eq!(own.begin_anew(Some(number), 1), is_good, "{foreign:?}");
                assert_eq!(own.is_purged(&head), own_tag_counts, "{foreign:?}");
                assert_eq!(own.is_purged(&other), !is_good, "{foreign:?}");
            }
        }
    }
}
