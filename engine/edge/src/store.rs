//! Stored responses in memory: look-up, insertion, eviction and purges.
//!
//! Under a key stand its [`Variants`]: the responses that differ by `Vary` (RFC 9111 §4.1). Three
//! moka caches share the configured memory with the fills in flight. `main` admits and evicts by
//! TinyLFU. `newcomers` ([`admission_segment`]) holds new keys of a full memory until enough is known
//! of their use. `warmed` keeps the responses that a warming plan fetched until a visitor asks for
//! them or the plan's window ends, since a frequency filter would reject what was never asked for. A
//! warmed response that finds no room in `warmed` is treated like any other: it displaces no warmed
//! one. [`memory`] says how responses move between them. Below all may be disks ([`disk`]).

mod admission_segment;
pub mod disk;
mod disk_hits;
mod disk_moves;
pub mod fields;
pub mod fill;
mod index;
mod key;
mod memory;
mod moved_keys;
mod purge;
mod response_map;
mod sketch_priming;
pub mod stored;
mod variants;
mod weight;

use std::cell::{Cell, RefCell};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use foldhash::quality::SeedableRandomState;
use http::{HeaderMap, HeaderName};

use crate::run_id::RunId;
use admission_segment::AdmissionSegment;
use disk::DiskTier;
use disk_hits::DiskHits;
use fill::{FillBudget, FillLimits};
use index::Index;
use memory::{AdmissionCounters, Departures, MapEviction, MapMemory, MemoryPlace, bounded_map};
use moved_keys::MovedKeys;
use purge::PurgeHistory;
use response_map::{ResponseMap, present};
use sketch_priming::{PrimingEntries, SketchPriming};
use stored::{LargePieces, StoredBody, StoredResponse};
use tero_config as config;
use tero_semantics::content_coding::ContentCoding;
use tero_semantics::validation::HeadLimits;
use variants::{is_out_of_reach, is_same_variant};

pub use key::Key;
pub use purge::{PurgeMode, PurgePoint, PurgeProgress, PurgeScope, PurgeWatch};
pub use variants::Variants;

/// The number of locks that all keys share: at most so many keys change at the same time.
const KEY_LOCKS: usize = 64;

/// The memory in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreUsage {
    /// Keys with at least one stored response.
    pub entries: u64,
    /// Bytes: of stored responses, of fills in flight, and of content that has left the store and is
    /// still read by clients.
    pub bytes: u64,
    /// The part of `bytes` that fills in flight use.
    pub fill_bytes: u64,
    /// The part of `bytes` that new keys use, which have to prove themselves.
    pub newcomer_bytes: u64,
    /// Keys evicted to make room since the start.
    pub evictions: u64,
    /// New keys of a full memory that were used often enough to stay, since the start.
    pub admitted: u64,
    /// Those that were not, and left.
    pub refused: u64,
}

/// All stored responses. Its methods may be called from any thread.
#[derive(Debug)]
pub struct Store {
    main: ResponseMap,
    newcomers: Arc<AdmissionSegment>,
    warmed: ResponseMap,
    map_memory: MapMemory,
    priming: SketchPriming,
    moved: MovedKeys,
    admissions: AdmissionCounters,
    config: config::Cache,
    /// The largest head that is put together from several.
    max_head: Mutex<HeadLimits>,
    fills: Arc<FillBudget>,
    index: Arc<Index>,
    purges: Arc<PurgeHistory>,
    evictions: Arc<AtomicU64>,
    /// Large pieces of content in memory, in the maps and outside of them.
    large: Arc<LargePieces>,
    /// Bytes that entered the maps since they last made room for what had entered.
    entered: AtomicU64,
    /// Whether an entry got another weight since then.
    was_reweighed: AtomicBool,
    /// A key's lock is held while its new variants are made from its present ones. Keys share locks
    /// by their hashes.
    key_locks: [Mutex<()>; KEY_LOCKS],
    hasher: SeedableRandomState,
    /// The disks below, if there are any.
    disk: Option<Arc<DiskTier>>,
    /// What they have answered lately.
    disk_hits: Option<DiskHits>,
    /// Whether a part was ever stored, and whether a response ever entered `warmed`. On many edges
    /// neither happens, and the look-up is saved. Set before the first one can be found.
    had_parts: AtomicBool,
    had_warmed: AtomicBool,
}

impl Store {
    /// An empty store of these sizes, above these disks, whose responses have heads of at most
    /// `max_head`.
    pub fn new(config: &config::Cache, max_head: HeadLimits, disk: Option<Arc<DiskTier>>) -> Store {
        Store::hashing(config, max_head, disk, SeedableRandomState::random())
    }

    /// An empty store for a replay, without disks: it hashes keys the same way each time, so that the
    /// same requests always leave the same in it, if [`Store::settle`] follows each. Not for clients:
    /// they could choose keys whose hashes collide.
    pub fn for_replay(config: &config::Cache, max_head: HeadLimits) -> Store {
        Store::hashing(config, max_head, None, SeedableRandomState::fixed())
    }

    fn hashing(
        config: &config::Cache,
        max_head: HeadLimits,
        disk: Option<Arc<DiskTier>>,
        hasher: SeedableRandomState,
    ) -> Store {
        let index = Arc::new(Index::default());
        let evictions = Arc::new(AtomicU64::new(0));
        let large = Arc::new(LargePieces::default());
        let left = Departures {
            index: Arc::clone(&index),
            evictions: Arc::clone(&evictions),
            large: Arc::clone(&large),
            disk: disk.clone(),
            hasher: hasher.clone(),
        };
        let by_use = config
            .memory
            .saturating_sub(config.fill_memory)
            .saturating_sub(config.warm_memory);
        let map_memory = MapMemory::of(by_use);
        let priming = PrimingEntries::default();
        let bound = MapEviction::Frequency(map_memory.main, priming.clone());
        let main = bounded_map(bound, left.clone());
        let newcomers = bounded_map(MapEviction::Never, left.clone());
        let newcomers = Arc::new(AdmissionSegment::new(newcomers, map_memory.newcomers));
        let warmed = bounded_map(MapEviction::Recency(config.warm_memory), left);
        let beside_fills = {
            let (main, warmed, large) = (main.clone(), warmed.clone(), Arc::clone(&large));
            let newcomers = Arc::clone(&newcomers);
            move || main.weighted_size() + newcomers.bytes() + warmed.weighted_size() + large.left()
        };
        Store {
            main,
            newcomers,
            warmed,
            map_memory,
            priming: SketchPriming::new(map_memory.main, priming),
            moved: MovedKeys::default(),
            admissions: AdmissionCounters::default(),
            config: config.clone(),
            max_head: Mutex::new(max_head),
            fills: FillBudget::within(config.fill_memory, config.memory, beside_fills),
            index,
            // On the disks, a number 0 is that of no purge.
            purges: Arc::new(PurgeHistory::after(0)),
            evictions,
            large,
            entered: AtomicU64::new(0),
            was_reweighed: AtomicBool::new(false),
            key_locks: std::array::from_fn(|_| Mutex::new(())),
            hasher,
            disk_hits: disk.as_ref().map(|_| DiskHits::new(by_use)),
            disk,
            had_parts: AtomicBool::new(false),
            had_warmed: AtomicBool::new(false),
        }
    }

    /// The disks below, if there are any.
    #[inline]
    pub fn disk(&self) -> Option<&Arc<DiskTier>> {
        self.disk.as_ref()
    }

    /// Sets the largest head that is put together from several.
    pub fn set_max_head(&self, max_head: HeadLimits) {
        *self.max_head.lock().unwrap_or_else(PoisonError::into_inner) = max_head;
    }

    fn max_head(&self) -> HeadLimits {
        *self.max_head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Content for a stored response. Where a client still reads it when the response has left the
    /// store, it counts against the memory.
    pub fn body(&self, pieces: Vec<Bytes>) -> StoredBody {
        StoredBody::new(pieces).counted(&self.large)
    }

    /// The stored responses of `key`. Counts as a use: a warmed response has to hold its place by
    /// use from now on.
    pub fn lookup(&self, key: &[u8]) -> Option<Variants> {
        if let Some(found) = self.main.get(key) {
            return Some(found);
        }
        self.lookup_beside_main(key)
    }

    /// Whether a response is stored under `key`. Doesn't count as a use.
    pub fn holds(&self, key: &[u8]) -> bool {
        let holds_unwarmed = || self.newcomers.holds(key) || self.main.contains_key(key);
        self.main.contains_key(key)
            || holds_unwarmed()
            // It may move on meanwhile.
            || self.had_warmed.load(Ordering::Acquire)
                && (self.warmed.contains_key(key) || holds_unwarmed())
    }

    /// The stored responses of `key`, for callers outside the request path: leaves a warmed
    /// response where it is.
    pub fn peek(&self, key: &[u8]) -> Option<Variants> {
        // `contains_key` and iteration leave moka's frequencies alone, `get` doesn't. A rare look
        // does no harm.
        present(&self.main, key)
            .or_else(|| self.newcomers.get(key))
            .or_else(|| self.warmed_under(key))
            // It may have moved meanwhile.
            .or_else(|| self.moved_from_warmed(key))
    }

    /// The request fields by which responses of `key` are selected (§4.1). Doesn't count as a use.
    pub fn vary_fields(&self, key: &[u8]) -> Vec<HeaderName> {
        if !self.holds(key) {
            return Vec::new();
        }
        let variants = self.peek(key);
        let names = variants.iter().flat_map(Variants::vary_fields);
        names.cloned().collect()
    }

    fn warmed_under(&self, key: &[u8]) -> Option<Variants> {
        if self.had_warmed.load(Ordering::Acquire) {
            self.warmed.get(key)
        } else {
            None
        }
    }

    /// The limits for a new fill.
    pub fn fill_limits(&self) -> FillLimits {
        FillLimits {
            max_object: self.config.max_object,
            budget: Arc::clone(&self.fills),
        }
    }

    /// Stores a response, in place of the one that the same requests select. Returns false, and
    /// stores nothing, if a purge that `purges` has seen meant it.
    pub fn insert(
        &self,
        key: &Key,
        stored: impl Into<Arc<StoredResponse>>,
        purges: &PurgeWatch,
    ) -> bool {
        self.insert_in_place_of(key, None, stored, purges)
    }

    /// As [`Store::insert`]; the response with the id `old`, which was validated, goes too, even if
    /// other requests select it (§4.3.3).
    pub fn insert_in_place_of(
        &self,
        key: &Key,
        old: Option<u64>,
        stored: impl Into<Arc<StoredResponse>>,
        purges: &PurgeWatch,
    ) -> bool {
        let stored = stored.into();
        stored.set_purge_mark(purges.mark());
        {
            let _lock = self.lock(key);
            // A soft purge has left a stale response, which a purged one must not replace; and none may
            // be seen after a purge that has ended.
            if purges.is_purged(&stored.head) {
                return false;
            }
            self.place_locked(key, &stored, old);
        }
        self.offer_overflow();
        // Its parts are no longer needed, nor those of an older response.
        if self.had_parts.load(Ordering::Acquire) {
            let parts = Key::of_parts(key.as_bytes());
            let _lock = self.lock(&parts);
            self.remove_from(MemoryPlace::Main, &parts);
        }
        self.drop_if_purged(key, &stored, purges)
    }

    /// Drops a response that was just stored if a purge that `purges` has seen meant it. Returns
    /// whether it stays. A later purge finds the response in its map; an earlier one is found here.
    fn drop_if_purged(&self, key: &Key, stored: &StoredResponse, purges: &PurgeWatch) -> bool {
        let is_purged = purges.is_purged(&stored.head);
        if is_purged {
            self.drop_response(key, stored.id);
        }
        !is_purged
    }

    /// Puts a response, with the other variants of its key except `old`, into one of the maps.
    fn place(&self, key: &Key, stored: &Arc<StoredResponse>, old: Option<u64>) {
        {
            let _lock = self.lock(key);
            self.place_locked(key, stored, old);
        }
        self.offer_overflow();
    }

    /// As [`Store::place`]; the caller holds the lock of the key, and then offers what overflows.
    fn place_locked(&self, key: &Key, stored: &Arc<StoredResponse>, old: Option<u64>) {
        let held_now = self.held(key);
        let held = || held_now.iter().flat_map(Variants::all);
        let others = held().filter(|other| Some(other.id) != old);
        let variants = self.with_others(stored, others);
        if let Some(disk) = &self.disk {
            let stays =
                |other: &Arc<StoredResponse>| variants.all().iter().any(|kept| kept.id == other.id);
            held()
                .filter(|other| !stays(other))
                .for_each(|other| other.disk.replace());
            disk.enters(key, stored);
        }
        let may_be_kept = stored.head.warm_run.is_some() && stored.parts().is_none();
        let place = if may_be_kept && self.has_room_among_warmed(key, &variants) {
            MemoryPlace::Warmed
        } else {
            self.place_by_use(key, &variants)
        };
        self.put(place, key, variants);
    }

    /// A response and the other variants of its key, the oldest of which make room.
    fn with_others<'v>(
        &self,
        stored: &Arc<StoredResponse>,
        others: impl Iterator<Item = &'v Arc<StoredResponse>>,
    ) -> Variants {
        let mut all = vec![Arc::clone(stored)];
        for other in others {
            if all.len() < self.config.max_variants
                && !is_out_of_reach(&other.head, &stored.head)
                && !all
                    .iter()
                    .any(|new| is_same_variant(&other.head, &new.head))
            {
                all.push(Arc::clone(other));
            }
        }
        Variants::new(all)
    }

    /// Whether the responses of `key` are kept until a visitor asks for them.
    pub fn is_kept(&self, key: &Key) -> bool {
        self.warmed.contains_key(key)
    }

    /// Releases the warmed responses of all runs that `is_over` names: they have to hold their
    /// places by use from now on.
    pub fn release(&self, is_over: impl Fn(RunId) -> bool) {
        let is_needed =
            |stored: &Arc<StoredResponse>| stored.head.warm_run.is_some_and(|run| !is_over(run));
        let over: Vec<_> = self
            .warmed
            .iter()
            .filter(|(_, variants)| !variants.all().iter().any(is_needed))
            .collect();
        for (key, _) in over {
            self.promote(&key);
        }
    }

    fn lock(&self, key: &Key) -> MutexGuard<'_, ()> {
        let place = self.hasher.hash_one(key) as usize % KEY_LOCKS;
        self.key_locks[place]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The stored part of the response that `request` selects under `key`. `None` if no part is
    /// stored, or all of the response.
    pub fn part(&self, key: &[u8], request: &HeaderMap) -> Option<Arc<StoredResponse>> {
        if !self.had_parts.load(Ordering::Acquire) {
            return None;
        }
        self.main.get(&Key::of_parts(key))?.select(request).cloned()
    }

    /// Stores a part of a response, combined with the parts of it that are stored already (§3.4);
    /// as a whole response once nothing is missing. Returns false, and stores nothing, if a purge
    /// that `purges` has seen meant it.
    pub fn insert_part(&self, key: &[u8], new: StoredResponse, purges: &PurgeWatch) -> bool {
        if purges.is_purged(&new.head) {
            return false;
        }
        let held = self.main.get(&Key::of_parts(key));
        let held = held.as_ref().and_then(|held| {
            held.all()
                .iter()
                .find(|held| is_same_variant(&held.head, &new.head))
        });
        let stored = match held {
            // A part that was purged since must not return with the new one.
            Some(held) if !purges.is_purged(&held.head) => self.combined(held, new),
            _ => new,
        };
        if stored.parts().is_none() {
            return self.insert(&Key::new(key), stored, purges);
        }
        let (key, stored) = (Key::of_parts(key), Arc::new(stored));
        self.had_parts.store(true, Ordering::Release);
        self.place(&key, &stored, None);
        self.drop_if_purged(&key, &stored, purges)
    }

    /// A stored part combined with a new one. What is copied for that counts from now on, too.
    fn combined(&self, held: &StoredResponse, new: StoredResponse) -> StoredResponse {
        let counting = [held.body.pieces(), new.body.pieces()].concat();
        let mut combined = held.combined(new, self.config.max_object, &self.max_head());
        combined.body = combined.body.counted_beside(&self.large, &counting);
        combined
    }

    /// Drops the part with this `id` that is stored under `key`.
    pub fn drop_part(&self, key: &[u8], id: u64) {
        self.drop_response(&Key::of_parts(key), id);
    }

    /// Puts `new`, which a 304 has freshened (§4.3.4), in place of the response with the id `old`.
    /// Does nothing if that one isn't stored any more, or if a purge that `purges` has seen meant it.
    pub fn replace(&self, key: &Key, old: u64, new: Arc<StoredResponse>, purges: &PurgeWatch) {
        new.set_purge_mark(purges.mark());
        let was_on_its_way = Cell::new(false);
        {
            let _lock = self.lock(key);
            let put_new = |stored: &Arc<StoredResponse>| {
                if stored.id != old {
                    return Some(Arc::clone(stored));
                }
                was_on_its_way.set(new.disk.follow(&stored.disk));
                Some(Arc::clone(&new))
            };
            let is_replaced = self.rewrite_locked(key, &put_new) > 0;
            if is_replaced && new.head.warm_run.is_some() {
                self.place_locked(key, &new, None);
            }
            let is_outside = new.body.as_outside();
            if let Some(disk) = &self.disk
                && is_outside.map_or(is_replaced, |content| content.is_found())
            {
                disk.has_new_head(key, &new, was_on_its_way.get());
            }
        }
        self.offer_overflow();
        self.drop_if_purged(key, &new, purges);
    }

    /// Adds the content of `of` in another coding to the response with that content that is stored
    /// under `key`, whatever head it has by now. Returns the response with it; `None` if no such
    /// response is stored, or if it would displace others among the warmed ones.
    pub fn add_coded(
        &self,
        key: &Key,
        of: &StoredResponse,
        coding: ContentCoding,
        body: &StoredBody,
    ) -> Option<Arc<StoredResponse>> {
        let added = RefCell::new(None);
        let was_on_its_way = Cell::new(false);
        {
            let _lock = self.lock(key);
            let is_warmed = self.warmed_under(key.as_bytes()).is_some();
            if is_warmed && self.warmed.weighted_size() + body.weight() > self.config.warm_memory {
                return None;
            }
            self.rewrite_locked(key, &|stored| {
                if !stored.shares_content_with(of) || stored.coded().is_none() {
                    return Some(Arc::clone(stored));
                }
                let new = Arc::new(stored.with_coded(coding, body.clone()));
                was_on_its_way.set(new.disk.take_over(&stored.disk));
                added.replace(Some(Arc::clone(&new)));
                Some(new)
            });
        }
        self.offer_overflow();
        let added = added.into_inner();
        if was_on_its_way.get()
            && let (Some(disk), Some(added)) = (&self.disk, &added)
        {
            disk.offer(key, added);
        }
        added
    }

    /// Drops the response with this `id` that is stored under `key`.
    pub fn drop_response(&self, key: &Key, id: u64) {
        self.rewrite(key, &|stored| {
            if stored.id == id {
                stored.disk.replace();
                return None;
            }
            Some(Arc::clone(stored))
        });
        // After it was marked: it may be on its way to the disk.
        if let Some(disk) = &self.disk {
            disk.remove(key);
        }
    }

    /// Whether a head that was put together from several is within the limits.
    pub fn holds_head(&self, fields: &HeaderMap) -> bool {
        self.max_head().hold(fields)
    }

    /// The largest body that is stored, in bytes.
    pub fn max_object(&self) -> u64 {
        self.config.max_object
    }

    /// Replaces each response of `key` by what `change` makes of it, or drops it on `None`. Returns
    /// how many responses changed.
    fn rewrite(
        &self,
        key: &Key,
        change: &dyn Fn(&Arc<StoredResponse>) -> Option<Arc<StoredResponse>>,
    ) -> u64 {
        let _lock = self.lock(key);
        self.rewrite_locked(key, change)
    }

    /// As [`Store::rewrite`]; the caller holds the lock of the key.
    fn rewrite_locked(
        &self,
        key: &Key,
        change: &dyn Fn(&Arc<StoredResponse>) -> Option<Arc<StoredResponse>>,
    ) -> u64 {
        let mut changed = 0;
        for place in MemoryPlace::ALL {
            let Some(variants) = self.found_at(place, key) else {
                continue;
            };
            let before = variants.all();
            let after: Vec<_> = before.iter().filter_map(change).collect();
            let same = before
                .iter()
                .filter(|old| after.iter().any(|new| Arc::ptr_eq(old, new)))
                .count();
            changed += (before.len() - same) as u64;
            if after.is_empty() {
                self.remove_from(place, key);
            } else if same < before.len() {
                self.put_again(place, key, Variants::new(after));
            }
        }
        changed
    }

    /// Calls `visit` for every stored response, for statistics. Not a consistent picture while
    /// requests go on.
    pub fn for_each(&self, mut visit: impl FnMut(&Key, &StoredResponse)) {
        for (key, variants) in self.entries() {
            for stored in variants.all() {
                visit(&key, stored);
            }
        }
    }
}

#[cfg(test)]
mod tests;
