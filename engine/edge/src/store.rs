//! Stored responses in memory: look-up, insertion, eviction and purges.
//!
//! Under a key stand its [`Variants`]: the responses that differ by `Vary` (RFC 9111 §4.1). Two
//! moka caches share the configured memory with the fills in flight. `main` admits and evicts by
//! TinyLFU. `warmed` keeps the responses that a warming plan fetched until a visitor asks for them
//! or the plan's window ends, since a frequency filter would reject what was never asked for. A
//! warmed response that finds no room in `warmed` goes to `main`: it displaces no other one. Below
//! both may be disks ([`disk`]).

pub mod disk;
pub mod fields;
pub mod fill;
mod index;
mod key;
mod purge;
pub mod stored;
mod variants;
mod weight;

use std::cell::RefCell;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use foldhash::quality::RandomState;
use http::{HeaderMap, HeaderName};
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::run_id::RunId;
use disk::DiskTier;
use fill::{FillBudget, FillLimits};
use index::Index;
use purge::PurgeHistory;
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

/// The maps make room for what has entered when that is this share of the memory, or
/// [`MAX_ENTERED`].
const ENTERED_SHARE: u64 = 64;
/// The same in bytes, at most.
const MAX_ENTERED: u64 = 16 << 20;

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
    /// Keys evicted to make room since the start.
    pub evictions: u64,
}

type ResponseMap = Cache<Key, Variants, RandomState>;

/// All stored responses. Its methods may be called from any thread.
#[derive(Debug)]
pub struct Store {
    main: ResponseMap,
    warmed: ResponseMap,
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
    /// A key's lock is held while its new variants are made from its present ones. Keys share locks
    /// by their hashes.
    key_locks: [Mutex<()>; KEY_LOCKS],
    hasher: RandomState,
    /// The disks below, if there are any.
    disk: Option<Arc<DiskTier>>,
    /// Whether a part was ever stored, and whether a response ever entered `warmed`. On many edges
    /// neither happens, and the look-up is saved. Set before the first one can be found.
    had_parts: AtomicBool,
    had_warmed: AtomicBool,
}

impl Store {
    /// An empty store of these sizes, above these disks, whose responses have heads of at most
    /// `max_head`.
    pub fn new(config: &config::Cache, max_head: HeadLimits, disk: Option<Arc<DiskTier>>) -> Store {
        let index = Arc::new(Index::default());
        let evictions = Arc::new(AtomicU64::new(0));
        let large = Arc::new(LargePieces::default());
        let map = |memory: u64, policy: EvictionPolicy| {
            let left = Departures {
                index: Arc::clone(&index),
                evictions: Arc::clone(&evictions),
                large: Arc::clone(&large),
                disk: disk.clone(),
            };
            response_map(memory, policy, left)
        };
        let main_memory = config
            .memory
            .saturating_sub(config.fill_memory)
            .saturating_sub(config.warm_memory);
        let main = map(main_memory, EvictionPolicy::tiny_lfu());
        let warmed = map(config.warm_memory, EvictionPolicy::lru());
        let beside_fills = {
            let (main, warmed, large) = (main.clone(), warmed.clone(), Arc::clone(&large));
            move || main.weighted_size() + warmed.weighted_size() + large.left()
        };
        Store {
            main,
            warmed,
            config: config.clone(),
            max_head: Mutex::new(max_head),
            fills: FillBudget::within(config.fill_memory, config.memory, beside_fills),
            index,
            purges: Arc::new(match &disk {
                None => PurgeHistory::default(),
                Some(disk) => PurgeHistory::after(disk.last_purge()),
            }),
            evictions,
            large,
            entered: AtomicU64::new(0),
            key_locks: std::array::from_fn(|_| Mutex::new(())),
            hasher: RandomState::default(),
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
        let warmed = self.warmed_under(key)?;
        self.promote(&Key::new(key));
        Some(warmed)
    }

    /// Whether a response is stored under `key`. Doesn't count as a use.
    pub fn holds(&self, key: &[u8]) -> bool {
        self.main.contains_key(key)
            || self.had_warmed.load(Ordering::Acquire) && self.warmed.contains_key(key)
    }

    /// The stored responses of `key`, for callers outside the request path: leaves a warmed
    /// response where it is.
    pub fn peek(&self, key: &[u8]) -> Option<Variants> {
        // `contains_key` and iteration leave moka's frequencies alone, `get` doesn't. A rare look
        // does no harm.
        self.main.get(key).or_else(|| self.warmed_under(key))
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

    /// Moves the responses of `key` from `warmed` to `main`.
    fn promote(&self, key: &Key) {
        let _lock = self.lock(key);
        // They may have been purged or replaced since they were seen.
        let Some(warmed) = present(&self.warmed, key) else {
            return;
        };
        self.insert_into(&self.main, key, warmed);
        self.warmed.invalidate(key);
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
        // A soft purge has left a stale response, which a purged one must not replace.
        if purges.is_purged(&stored.head) {
            return false;
        }
        self.place(key, &stored, old);
        // Its parts are no longer needed, nor those of an older response.
        if self.had_parts.load(Ordering::Acquire) {
            self.main.invalidate(&Key::of_parts(key.as_bytes()));
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

    /// Puts a response, with the other variants of its key except `old`, into one of the maps. A key stands in
    /// one map only: otherwise the eviction of a newer response would uncover an older one.
    fn place(&self, key: &Key, stored: &Arc<StoredResponse>, old: Option<u64>) {
        let _lock = self.lock(key);
        self.place_locked(key, stored, old);
    }

    /// As [`Store::place`]; the caller holds the lock of the key.
    fn place_locked(&self, key: &Key, stored: &Arc<StoredResponse>, old: Option<u64>) {
        let others = [self.warmed_under(key.as_bytes()), present(&self.main, key)];
        let others = others.iter().flatten().flat_map(Variants::all);
        let others = others.filter(|other| Some(other.id) != old);
        let variants = self.with_others(stored, others);
        if let Some(disk) = &self.disk {
            disk.enters(key, stored);
        }
        let may_be_kept = stored.head.warm_run.is_some() && stored.parts().is_none();
        if may_be_kept && self.has_room_among_warmed(key, &variants) {
            self.had_warmed.store(true, Ordering::Release);
            self.insert_into(&self.warmed, key, variants);
            self.main.invalidate(key);
        } else {
            self.insert_into(&self.main, key, variants);
            if self.had_warmed.load(Ordering::Acquire) {
                self.warmed.invalidate(key);
            }
        }
    }

    /// Puts a response that was read from a disk back into memory, unless something newer is there that
    /// the same requests select. Returns it, since memory may have no room for it; `None`, and nothing
    /// is stored, if a purge that `purges` has seen meant it.
    pub fn restore(
        &self,
        key: &Key,
        mut stored: StoredResponse,
        purges: &PurgeWatch,
    ) -> Option<Arc<StoredResponse>> {
        stored.body = stored.body.counted(&self.large);
        let stored = Arc::new(stored);
        {
            let _lock = self.lock(key);
            let held = [self.warmed_under(key.as_bytes()), present(&self.main, key)];
            let mut held = held.iter().flatten().flat_map(Variants::all);
            if held.any(|held| is_same_variant(held, &stored) || is_out_of_reach(&stored, held)) {
                return Some(stored);
            }
            if purges.is_purged(&stored.head) {
                return None;
            }
            self.place_locked(key, &stored, None);
        }
        self.drop_if_purged(key, &stored, purges).then_some(stored)
    }

    /// Whether `warmed` has room for these variants of `key` without an eviction.
    fn has_room_among_warmed(&self, key: &Key, variants: &Variants) -> bool {
        self.warmed.run_pending_tasks();
        let replaced = self
            .warmed_under(key.as_bytes())
            .map_or(0, |old| old.weight() + key.weight());
        self.warmed.weighted_size().saturating_sub(replaced) + variants.weight() + key.weight()
            <= self.config.warm_memory
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
                && !is_out_of_reach(other, stored)
                && !all.iter().any(|new| is_same_variant(other, new))
            {
                all.push(Arc::clone(other));
            }
        }
        Variants::new(all)
    }

    fn insert_into(&self, map: &ResponseMap, key: &Key, variants: Variants) {
        let weight = variants.weight() + key.weight();
        self.index.remember(key, &variants);
        self.large.enter(variants.large_bytes());
        map.insert(key.clone(), variants);
        self.make_room_for(map, weight);
    }

    /// Lets a map make room now and then. By itself it does so once 64 entries have come, or 0.3 s
    /// have passed; of large bodies, that is far more than the memory.
    fn make_room_for(&self, map: &ResponseMap, weight: u64) {
        let most = (self.config.memory / ENTERED_SHARE).min(MAX_ENTERED);
        if self.entered.fetch_add(weight, Ordering::Relaxed) + weight >= most {
            self.entered.store(0, Ordering::Relaxed);
            map.run_pending_tasks();
        }
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
        let held = held
            .as_ref()
            .and_then(|held| held.all().iter().find(|held| is_same_variant(held, &new)));
        let stored = match held {
            // A part that was purged since must not return with the new one.
            Some(held) if !purges.is_purged(&held.head) => {
                held.combined(new, self.config.max_object, &self.max_head())
            }
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

    /// Drops the part with this `id` that is stored under `key`.
    pub fn drop_part(&self, key: &[u8], id: u64) {
        self.drop_response(&Key::of_parts(key), id);
    }

    /// Puts `new`, which a 304 has freshened (§4.3.4), in place of the response with the id `old`.
    /// Does nothing if that one isn't stored any more, or if a purge that `purges` has seen meant it.
    pub fn replace(&self, key: &Key, old: u64, new: Arc<StoredResponse>, purges: &PurgeWatch) {
        {
            let _lock = self.lock(key);
            let put_new = |stored: &Arc<StoredResponse>| {
                Some(Arc::clone(if stored.id == old { &new } else { stored }))
            };
            if self.rewrite_locked(key, &put_new) > 0 && new.head.warm_run.is_some() {
                self.place_locked(key, &new, None);
            }
        }
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
        let _lock = self.lock(key);
        let is_warmed = self.warmed_under(key.as_bytes()).is_some();
        if is_warmed && self.warmed.weighted_size() + body.weight() > self.config.warm_memory {
            return None;
        }
        let added = RefCell::new(None);
        self.rewrite_locked(key, &|stored| {
            if !stored.shares_content_with(of) || stored.coded().is_none() {
                return Some(Arc::clone(stored));
            }
            let new = Arc::new(stored.with_coded(coding, body.clone()));
            added.replace(Some(Arc::clone(&new)));
            Some(new)
        });
        added.into_inner()
    }

    /// Drops the response with this `id` that is stored under `key`.
    pub fn drop_response(&self, key: &Key, id: u64) {
        if let Some(disk) = &self.disk {
            disk.forget(key.as_bytes());
        }
        self.rewrite(key, &|stored| (stored.id != id).then(|| Arc::clone(stored)));
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
        for map in [&self.main, &self.warmed] {
            let Some(variants) = present(map, key) else {
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
                map.invalidate(key);
            } else if same < before.len() {
                self.insert_into(map, key, Variants::new(after));
            }
        }
        changed
    }

    /// Calls `visit` for every stored response, for statistics. Not a consistent picture while
    /// requests go on.
    pub fn for_each(&self, mut visit: impl FnMut(&Key, &StoredResponse)) {
        for (key, variants) in self.main.iter().chain(self.warmed.iter()) {
            for stored in variants.all() {
                visit(&key, stored);
            }
        }
    }

    /// Offers the disks what was used and isn't on them yet, before the process ends. Waits for them
    /// as long as `may_go_on` says.
    pub fn save_to_disk(&self, mut may_go_on: impl FnMut() -> bool) {
        let Some(disk) = &self.disk else { return };
        for (key, variants) in self.main.iter().chain(self.warmed.iter()) {
            for stored in variants.all().iter().filter(|stored| stored.was_used()) {
                if !may_go_on() {
                    return;
                }
                if !disk.offer(&key, stored) {
                    disk.settle();
                    disk.offer(&key, stored);
                }
            }
        }
    }

    /// The memory that it may use, in bytes.
    pub fn memory(&self) -> u64 {
        self.config.memory
    }

    /// The memory in use. Does moka's pending work first, so that the figures are current.
    pub fn usage(&self) -> StoreUsage {
        self.main.run_pending_tasks();
        self.warmed.run_pending_tasks();
        let fill_bytes = self.fills.used();
        StoreUsage {
            entries: self.main.entry_count() + self.warmed.entry_count(),
            bytes: self.main.weighted_size()
                + self.warmed.weighted_size()
                + self.large.left()
                + fill_bytes,
            fill_bytes,
            evictions: self.evictions.load(Ordering::Relaxed),
        }
    }
}

/// Where it is recorded that a response leaves a map.
struct Departures {
    index: Arc<Index>,
    evictions: Arc<AtomicU64>,
    large: Arc<LargePieces>,
    disk: Option<Arc<DiskTier>>,
}

/// A map of at most `memory` bytes. A response that leaves it is recorded in `left`, and counted
/// there if it left to make room.
fn response_map(memory: u64, policy: EvictionPolicy, left: Departures) -> ResponseMap {
    Cache::builder()
        .max_capacity(memory)
        .eviction_policy(policy)
        .weigher(|key: &Key, variants: &Variants| {
            u32::try_from(variants.weight() + key.weight()).unwrap_or(u32::MAX)
        })
        .eviction_listener(move |key: Arc<Key>, variants: Variants, cause| {
            if cause == RemovalCause::Size {
                left.evictions.fetch_add(1, Ordering::Relaxed);
                if let Some(disk) = &left.disk {
                    let all = variants.all().iter();
                    all.for_each(|stored| disk.leaves(&key, stored));
                }
            }
            left.large.leave(variants.large_bytes());
            left.index.forget(&key, &variants);
        })
        .build_with_hasher(RandomState::default())
}

/// The responses of `key` in one of the maps. A look-up of an absent key would count as a use of
/// it.
fn present(map: &ResponseMap, key: &Key) -> Option<Variants> {
    if map.contains_key(key) {
        map.get(key)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
