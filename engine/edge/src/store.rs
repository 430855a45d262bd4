//! Stored responses in memory, their weight, purges, and the surrogate-key index.
//!
//! Under a key lies a [`Variants`]: the responses that differ by `Vary` (RFC 9111 §4.1). Two moka
//! caches share the configured memory with the fills in flight: `main` admits and evicts by
//! TinyLFU; `warmed` keeps what a warming plan fetched until somebody asks for it or the plan's
//! window ends, since a frequency filter would turn away what has never been asked for. What finds
//! no room in `warmed` goes to `main`: nothing that is kept has to make room.

pub mod fields;
pub mod fill;
mod index;
mod key;
mod purge;
pub mod stored;
mod variants;
mod weight;

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;
use http::HeaderMap;
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use fill::{FillBudget, FillLimits};
use index::Index;
use purge::PurgeHistory;
use stored::StoredResponse;
use variants::is_same_variant;

pub use key::Key;
pub use purge::{PurgeMode, PurgePoint, PurgeProgress, PurgeScope};
pub use variants::Variants;

/// How many keys may be changed at the same time.
const CHANGING_AT_ONCE: usize = 64;

/// Sizes of the store, in bytes where not said otherwise.
#[derive(Clone, Copy, Debug)]
pub struct StoreLimits {
    /// All that the store may hold.
    pub memory: u64,
    /// The part of it for fills in flight.
    pub fill_memory: u64,
    /// The part of it for warmed responses that nobody asked for yet.
    pub warm_memory: u64,
    /// The largest body that is stored.
    pub max_object: u64,
    /// Stored responses per key; a count.
    pub max_variants: usize,
}

/// What the store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreUsage {
    /// Keys.
    pub entries: u64,
    /// Bytes, fills in flight included.
    pub bytes: u64,
    /// The part of `bytes` that fills in flight take.
    pub fill_bytes: u64,
    /// Keys pushed out to make room since the start.
    pub evictions: u64,
}

type ResponseMap = Cache<Key, Variants, RandomState>;

/// All stored responses.
#[derive(Debug)]
pub struct Store {
    main: ResponseMap,
    warmed: ResponseMap,
    limits: StoreLimits,
    fills: Arc<FillBudget>,
    index: Arc<Index>,
    purges: PurgeHistory,
    evictions: Arc<AtomicU64>,
    /// Held by whoever makes what lies under a key out of what lay there; keys share one by their
    /// hash.
    changing: [Mutex<()>; CHANGING_AT_ONCE],
    hasher: RandomState,
    /// Whether a part was ever stored, and whether anything was ever kept as warmed: many edges
    /// never do, and need not look. Set before the first one can be found.
    had_parts: AtomicBool,
    had_warmed: AtomicBool,
}

impl Store {
    /// An empty store.
    pub fn new(limits: StoreLimits) -> Store {
        let index = Arc::new(Index::default());
        let evictions = Arc::new(AtomicU64::new(0));
        let map = |memory: u64, eviction: EvictionPolicy| {
            let (index, evictions) = (Arc::clone(&index), Arc::clone(&evictions));
            Cache::builder()
                .max_capacity(memory)
                .eviction_policy(eviction)
                .weigher(|key: &Key, variants: &Variants| {
                    u32::try_from(variants.weight() + key.weight()).unwrap_or(u32::MAX)
                })
                .eviction_listener(move |key: Arc<Key>, variants: Variants, cause| {
                    if cause == RemovalCause::Size {
                        evictions.fetch_add(1, Ordering::Relaxed);
                    }
                    index.forget(&key, &variants);
                })
                .build_with_hasher(RandomState::default())
        };
        let main = limits
            .memory
            .saturating_sub(limits.fill_memory)
            .saturating_sub(limits.warm_memory);
        Store {
            main: map(main, EvictionPolicy::tiny_lfu()),
            warmed: map(limits.warm_memory, EvictionPolicy::lru()),
            limits,
            fills: FillBudget::new(limits.fill_memory),
            index,
            purges: PurgeHistory::default(),
            evictions,
            changing: std::array::from_fn(|_| Mutex::new(())),
            hasher: RandomState::default(),
            had_parts: AtomicBool::new(false),
            had_warmed: AtomicBool::new(false),
        }
    }

    /// What is stored under `key`.
    pub fn lookup(&self, key: &[u8]) -> Option<Variants> {
        if let Some(found) = self.main.get(key) {
            return Some(found);
        }
        let kept = self.kept(key)?;
        self.promote(&Key::new(key));
        Some(kept)
    }

    /// Whether anything is stored under `key`, without counting as use.
    pub fn holds(&self, key: &[u8]) -> bool {
        self.main.contains_key(key)
            || self.had_warmed.load(Ordering::Acquire) && self.warmed.contains_key(key)
    }

    /// What is stored under `key`, without counting as use: for looks from outside the request
    /// path.
    pub fn peek(&self, key: &[u8]) -> Option<Variants> {
        // `contains_key` and iteration leave moka's frequencies alone, `get` does not; a look now
        // and then is no harm.
        self.main.get(key).or_else(|| self.kept(key))
    }

    /// What is kept under `key` until somebody asks for it.
    fn kept(&self, key: &[u8]) -> Option<Variants> {
        if self.had_warmed.load(Ordering::Acquire) {
            self.warmed.get(key)
        } else {
            None
        }
    }

    /// A warmed response that is asked for has to hold its place by use from now on.
    fn promote(&self, key: &Key) {
        let _changing = self.changing(key);
        // It may have been purged, or another one have taken its place, since it was seen.
        let Some(kept) = there(&self.warmed, key) else {
            return;
        };
        self.enter(&self.main, key, kept);
        self.warmed.invalidate(key);
    }

    /// What a fill may keep.
    pub fn fill_limits(&self) -> FillLimits {
        FillLimits {
            max_object: self.limits.max_object,
            budget: Arc::clone(&self.fills),
        }
    }

    /// Stores a response, in place of the one that the same requests select. Returns false, and
    /// stores nothing, when it was purged since `since`.
    pub fn insert(
        &self,
        key: &Key,
        stored: impl Into<Arc<StoredResponse>>,
        since: PurgePoint,
    ) -> bool {
        let stored = stored.into();
        // What it would take the place of may be what a soft purge has left.
        if self.is_purged(key.as_bytes(), &stored.head, since) {
            return false;
        }
        self.put(key, &stored);
        // Its parts are no longer needed, nor those of an older one.
        if self.had_parts.load(Ordering::Acquire) {
            self.main.invalidate(&Key::of_parts(key.as_bytes()));
        }
        self.unless_purged(key, &stored, since)
    }

    /// Asked after the insertion: a purge that comes later finds the response in the map, one that
    /// came before is seen here.
    fn unless_purged(&self, key: &Key, stored: &StoredResponse, since: PurgePoint) -> bool {
        let is_purged = self.is_purged(key.as_bytes(), &stored.head, since);
        if is_purged {
            self.drop_response(key, stored.id);
        }
        !is_purged
    }

    /// Puts a response where it belongs, together with what else lies under its key: a key lies in
    /// one of the maps, not in both, so that no older response comes back to light when a newer one
    /// is evicted.
    fn put(&self, key: &Key, stored: &Arc<StoredResponse>) {
        let _changing = self.changing(key);
        self.put_changing(key, stored);
    }

    /// The same for who holds the lock of the key.
    fn put_changing(&self, key: &Key, stored: &Arc<StoredResponse>) {
        let others = [self.kept(key.as_bytes()), there(&self.main, key)];
        let variants = self.together(stored, others.iter().flatten().flat_map(Variants::all));
        let may_be_kept = stored.head.warm_run != 0 && stored.parts.is_none();
        if may_be_kept && self.has_room_to_keep(key, &variants) {
            self.had_warmed.store(true, Ordering::Release);
            self.enter(&self.warmed, key, variants);
            self.main.invalidate(key);
        } else {
            self.enter(&self.main, key, variants);
            if self.had_warmed.load(Ordering::Acquire) {
                self.warmed.invalidate(key);
            }
        }
    }

    /// Whether what is to lie under `key` can be kept until somebody asks for it without anything
    /// that is kept making room.
    fn has_room_to_keep(&self, key: &Key, variants: &Variants) -> bool {
        self.warmed.run_pending_tasks();
        let there = self
            .kept(key.as_bytes())
            .map_or(0, |kept| kept.weight() + key.weight());
        self.warmed.weighted_size().saturating_sub(there) + variants.weight() + key.weight()
            <= self.limits.warm_memory
    }

    /// A response together with others of its key; the oldest make room.
    fn together<'v>(
        &self,
        stored: &Arc<StoredResponse>,
        others: impl Iterator<Item = &'v Arc<StoredResponse>>,
    ) -> Variants {
        let mut all = vec![Arc::clone(stored)];
        for other in others {
            if all.len() < self.limits.max_variants
                && !all.iter().any(|new| is_same_variant(other, new))
            {
                all.push(Arc::clone(other));
            }
        }
        Variants::new(all)
    }

    fn enter(&self, map: &ResponseMap, key: &Key, variants: Variants) {
        self.index.remember(key, &variants);
        map.insert(key.clone(), variants);
    }

    /// Whether what lies under `key` is kept until it is asked for.
    pub fn is_kept(&self, key: &Key) -> bool {
        self.warmed.contains_key(key)
    }

    /// Lets go of what is kept for runs that are over: it has to hold its place by use from now on.
    pub fn release(&self, is_over: impl Fn(u64) -> bool) {
        let of_run = |stored: &Arc<StoredResponse>| {
            stored.head.warm_run != 0 && !is_over(stored.head.warm_run)
        };
        let over = self
            .warmed
            .iter()
            .filter(|(_, variants)| !variants.all().iter().any(of_run));
        for (key, _) in over.collect::<Vec<_>>() {
            self.promote(&key);
        }
    }

    fn changing(&self, key: &Key) -> MutexGuard<'_, ()> {
        let place = self.hasher.hash_one(key) as usize % CHANGING_AT_ONCE;
        self.changing[place]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What is stored under `key` of the response that `request` selects, where that is not the
    /// whole.
    pub fn part(&self, key: &[u8], request: &HeaderMap) -> Option<Arc<StoredResponse>> {
        if !self.had_parts.load(Ordering::Acquire) {
            return None;
        }
        self.main.get(&Key::of_parts(key))?.select(request).cloned()
    }

    /// Stores a part of a response, together with the parts of it that are stored already (§3.4);
    /// as a whole response once nothing is missing. Returns false, and stores nothing, when it was
    /// purged since `since`.
    pub fn insert_part(&self, key: &[u8], new: StoredResponse, since: PurgePoint) -> bool {
        if self.is_purged(key, &new.head, since) {
            return false;
        }
        let held = self.main.get(&Key::of_parts(key));
        let held = held
            .as_ref()
            .and_then(|held| held.all().iter().find(|held| is_same_variant(held, &new)));
        let stored = match held {
            // What was purged since must not come back in company.
            Some(held) if !self.is_purged(key, &held.head, since) => {
                held.combined(new, self.limits.max_object)
            }
            _ => new,
        };
        if stored.parts.is_none() {
            return self.insert(&Key::new(key), stored, since);
        }
        let (key, stored) = (Key::of_parts(key), Arc::new(stored));
        self.had_parts.store(true, Ordering::Release);
        self.put(&key, &stored);
        self.unless_purged(&key, &stored, since)
    }

    /// Drops one part that is stored under `key`.
    pub fn drop_part(&self, key: &[u8], id: u64) {
        self.drop_response(&Key::of_parts(key), id);
    }

    /// Puts `new` in the place of the response `old`, if that is still there and was not purged
    /// since `since`: a 304 that freshened it (§4.3.4).
    pub fn replace(&self, key: &Key, old: u64, new: Arc<StoredResponse>, since: PurgePoint) {
        {
            let _changing = self.changing(key);
            let put_new = |stored: &Arc<StoredResponse>| {
                Some(Arc::clone(if stored.id == old { &new } else { stored }))
            };
            if self.rewrite_changing(key, &put_new) > 0 && new.head.warm_run != 0 {
                self.put_changing(key, &new);
            }
        }
        self.unless_purged(key, &new, since);
    }

    /// Drops one stored response.
    pub fn drop_response(&self, key: &Key, id: u64) {
        self.rewrite(key, &|stored| (stored.id != id).then(|| Arc::clone(stored)));
    }

    /// The largest body that is stored, in bytes.
    pub fn max_object(&self) -> u64 {
        self.limits.max_object
    }

    /// Rewrites what lies under `key`; what `change` turns into none is dropped. Returns how many
    /// responses changed.
    fn rewrite(
        &self,
        key: &Key,
        change: &dyn Fn(&Arc<StoredResponse>) -> Option<Arc<StoredResponse>>,
    ) -> u64 {
        let _changing = self.changing(key);
        self.rewrite_changing(key, change)
    }

    /// The same for who holds the lock of the key.
    fn rewrite_changing(
        &self,
        key: &Key,
        change: &dyn Fn(&Arc<StoredResponse>) -> Option<Arc<StoredResponse>>,
    ) -> u64 {
        let mut changed = 0;
        for map in [&self.main, &self.warmed] {
            let Some(variants) = there(map, key) else {
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
                self.enter(map, key, Variants::new(after));
            }
        }
        changed
    }

    /// Calls `visit` for every stored response, for counting; not a consistent picture while
    /// requests go on.
    pub fn for_each(&self, mut visit: impl FnMut(&Key, &StoredResponse)) {
        for (key, variants) in self.main.iter().chain(self.warmed.iter()) {
            for stored in variants.all() {
                visit(&key, stored);
            }
        }
    }

    /// What the store holds. Does moka's pending work first, so that the figures are those of now.
    pub fn usage(&self) -> StoreUsage {
        self.main.run_pending_tasks();
        self.warmed.run_pending_tasks();
        let fill_bytes = self.fills.used();
        StoreUsage {
            entries: self.main.entry_count() + self.warmed.entry_count(),
            bytes: self.main.weighted_size() + self.warmed.weighted_size() + fill_bytes,
            fill_bytes,
            evictions: self.evictions.load(Ordering::Relaxed),
        }
    }
}

/// What lies under a key in one of the maps. A look-up of what is not there would count as a use of
/// it.
fn there(map: &ResponseMap, key: &Key) -> Option<Variants> {
    if map.contains_key(key) {
        map.get(key)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
