//! The places of memory: which map a response goes to, how it moves on, and how it leaves.
//!
//! What a plan has warmed waits in `warmed`. Any other response goes to `main` as long as that has
//! room. In a full memory it goes to the admission segment (`newcomers`); what came there first is
//! offered to `main`, whose frequency filter takes or refuses it. A key stands in one place only:
//! else the eviction of a newer response would uncover an older one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::SeedableRandomState;
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::disk::DiskTier;
use super::index::Index;
use super::response_map::{ResponseMap, present};
use super::sketch_priming::PrimingEntries;
use super::stored::LargePieces;
use super::{Key, Store, StoreUsage, Variants};

/// The part of the memory of `main` and the segment that is the segment's.
const NEWCOMERS_PART: u64 = 5;
/// A response that would take more than this part of the segment goes to `main` at once: it would
/// drive out too many.
const LARGE_PART: u64 = 4;
/// So many offers are answered together.
const OFFERS_AT_ONCE: usize = 32;
/// The maps make room for what has entered when that is this share of the memory, or
/// [`MAX_ENTERED`].
const ENTERED_SHARE: u64 = 64;
/// The same in bytes, at most.
const MAX_ENTERED: u64 = 16 << 20;

/// Where in memory a response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MemoryPlace {
    Main,
    Newcomers,
    Warmed,
}

impl MemoryPlace {
    pub(super) const ALL: [MemoryPlace; 3] = [
        MemoryPlace::Main,
        MemoryPlace::Newcomers,
        MemoryPlace::Warmed,
    ];
}

/// The memory of each map, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct MapMemory {
    pub(super) main: u64,
    pub(super) newcomers: u64,
}

impl MapMemory {
    /// How `main` and the segment share this much.
    pub(super) fn of(both: u64) -> MapMemory {
        let newcomers = both / NEWCOMERS_PART;
        MapMemory {
            main: both - newcomers,
            newcomers,
        }
    }
}

/// Counters of what the segment has offered to `main`.
#[derive(Debug, Default)]
pub(super) struct AdmissionCounters {
    admitted: AtomicU64,
    refused: AtomicU64,
}

impl Store {
    /// As [`Store::lookup`], of what `main` doesn't have.
    #[inline(never)]
    pub(super) fn lookup_beside_main(&self, key: &[u8]) -> Option<Variants> {
        if !self.newcomers.is_empty() {
            let found = self.newcomers.get(key);
            // It may have been offered and taken since it was looked for in `main`.
            if let Some(found) = found.or_else(|| present(&self.main, key)) {
                return Some(found);
            }
        }
        if !self.had_warmed.load(Ordering::Acquire) {
            return None;
        }
        let Some(warmed) = self.warmed.get(key) else {
            // It may have moved out of there since it was looked for in the other places.
            return self.moved_from_warmed(key);
        };
        self.promote(&Key::new(key));
        Some(warmed)
    }

    /// The responses of a key that may have left `warmed` since the other places were read: in the order
    /// in which it moves on.
    pub(super) fn moved_from_warmed(&self, key: &[u8]) -> Option<Variants> {
        self.newcomers.get(key).or_else(|| present(&self.main, key))
    }

    /// The responses of a key in a place. Doesn't count as a use of an absent key.
    pub(super) fn found_at(&self, place: MemoryPlace, key: &Key) -> Option<Variants> {
        match place {
            MemoryPlace::Main => present(&self.main, key.as_bytes()),
            MemoryPlace::Newcomers => self.newcomers.get(key.as_bytes()),
            MemoryPlace::Warmed => self.warmed_under(key.as_bytes()),
        }
    }

    /// The responses of a key, wherever they are.
    pub(super) fn held(&self, key: &Key) -> Option<Variants> {
        let mut places = MemoryPlace::ALL.into_iter().rev();
        places.find_map(|place| self.found_at(place, key))
    }

    /// All entries, place by place.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Arc<Key>, Variants)> {
        let newcomers = self.newcomers.responses().iter();
        self.warmed.iter().chain(newcomers).chain(self.main.iter())
    }

    /// The place of responses that have to hold theirs by use. The caller holds the lock of the key.
    pub(super) fn place_by_use(&self, key: &Key, variants: &Variants) -> MemoryPlace {
        let weight = variants.weight() + key.weight();
        if weight > self.newcomers.memory() / LARGE_PART
            || variants.are_parts()
            || self.main.contains_key(key)
        {
            return MemoryPlace::Main;
        }
        if self.newcomers.holds(key.as_bytes()) {
            return MemoryPlace::Newcomers;
        }
        let with_it = self.weight_of_main_with(weight);
        if with_it > self.map_memory.main {
            return MemoryPlace::Newcomers;
        }
        self.priming.before_entry(&self.main, with_it);
        MemoryPlace::Main
    }

    /// The weight of `main` with this much more.
    fn weight_of_main_with(&self, weight: u64) -> u64 {
        // What has entered isn't all in the map's weight yet.
        self.main.weighted_size() + self.entered.load(Ordering::Relaxed) + weight
    }

    /// Whether `main` has room for this much more without an eviction.
    pub(super) fn has_room_for(&self, weight: u64) -> bool {
        self.weight_of_main_with(weight) <= self.map_memory.main
    }

    /// Whether `warmed` has room for these variants of `key` without an eviction.
    pub(super) fn has_room_among_warmed(&self, key: &Key, variants: &Variants) -> bool {
        self.warmed.run_pending_tasks();
        let replaced = self
            .warmed_under(key.as_bytes())
            .map_or(0, |old| old.weight() + key.weight());
        self.warmed.weighted_size().saturating_sub(replaced) + variants.weight() + key.weight()
            <= self.config.warm_memory
    }

    /// Puts all responses of a key into a place, and out of the others. The caller holds the lock of
    /// the key.
    pub(super) fn put(&self, place: MemoryPlace, key: &Key, variants: Variants) {
        self.put_again(place, key, variants);
        self.moved.note(key);
        MemoryPlace::ALL
            .into_iter()
            .filter(|other| *other != place)
            .for_each(|other| self.remove_from(other, key));
    }

    /// Puts all responses of a key into the place where it is. The caller holds the lock of the key.
    pub(super) fn put_again(&self, place: MemoryPlace, key: &Key, variants: Variants) {
        let weight = variants.weight() + key.weight();
        self.index.remember(key, &variants);
        self.large.enter(variants.large_bytes());
        let map = match place {
            MemoryPlace::Main => &self.main,
            MemoryPlace::Newcomers => return self.newcomers.insert(key, variants, weight),
            MemoryPlace::Warmed => {
                self.had_warmed.store(true, Ordering::Release);
                &self.warmed
            }
        };
        let is_there = map.contains_key(key);
        map.insert(key.clone(), variants);
        if is_there {
            self.was_reweighed.store(true, Ordering::Release);
        }
        let most = (self.config.memory / ENTERED_SHARE).min(MAX_ENTERED);
        if self.entered.fetch_add(weight, Ordering::Relaxed) + weight >= most {
            self.run_pending_tasks();
        }
    }

    /// Removes all responses of a key from a place. The caller holds the lock of the key.
    pub(super) fn remove_from(&self, place: MemoryPlace, key: &Key) {
        let map = match place {
            MemoryPlace::Main => &self.main,
            MemoryPlace::Newcomers => return self.newcomers.remove(key),
            MemoryPlace::Warmed if self.had_warmed.load(Ordering::Acquire) => &self.warmed,
            MemoryPlace::Warmed => return,
        };
        // moka 0.12.16 subtracts the present weight of an entry that it removes, also where the change
        // to it still waits to be added (docs/upstream/moka-weights.md): the map would take itself for
        // emptier than it is, and hold more than its memory.
        if self.was_reweighed.load(Ordering::Acquire) && map.contains_key(key) {
            self.run_pending_tasks();
        }
        map.invalidate(key);
    }

    /// Moves the responses of `key` from `warmed` to where they have to hold their place by use.
    pub(super) fn promote(&self, key: &Key) {
        {
            let _lock = self.lock(key);
            // They may have been purged or replaced since they were seen.
            let Some(warmed) = self.found_at(MemoryPlace::Warmed, key) else {
                return;
            };
            self.put(self.place_by_use(key, &warmed), key, warmed);
        }
        self.offer_overflow();
    }

    /// Offers to `main` what the segment has no more room for. The caller holds no lock of a key.
    pub(super) fn offer_overflow(&self) {
        while let Some(key) = self.newcomers.overflowing() {
            let offers = {
                let _lock = self.lock(&key);
                match self.newcomers.get(key.as_bytes()) {
                    // Purged or moved since it was seen.
                    None => {
                        self.newcomers.remove(&key);
                        continue;
                    }
                    Some(variants) => self.put(MemoryPlace::Main, &key, variants),
                }
                self.newcomers.note_offer(&key)
            };
            self.priming
                .before_entry(&self.main, self.main.weighted_size());
            if offers >= OFFERS_AT_ONCE {
                self.run_pending_tasks();
            }
        }
    }

    /// Has moka do its pending work, and counts the answers to offers. By itself it does so once 64
    /// entries have come, or 0.3 s have passed; of large bodies, that is far more than the memory.
    pub(super) fn run_pending_tasks(&self) {
        self.entered.store(0, Ordering::Relaxed);
        self.was_reweighed.store(false, Ordering::Release);
        self.main.run_pending_tasks();
        self.newcomers.responses().run_pending_tasks();
        self.warmed.run_pending_tasks();
        for key in self.newcomers.take_offers() {
            let counter = match self.main.contains_key(&key) {
                true => &self.admissions.admitted,
                false => &self.admissions.refused,
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Does all pending work, so that what is evicted next doesn't depend on when moka does it by
    /// itself.
    pub fn settle(&self) {
        self.offer_overflow();
        self.run_pending_tasks();
    }

    /// The memory that it may use, in bytes.
    pub fn memory(&self) -> u64 {
        self.config.memory
    }

    /// The memory in use. Does moka's pending work first, so that the figures are current.
    pub fn usage(&self) -> StoreUsage {
        self.settle();
        let fill_bytes = self.fills.used();
        let newcomer_bytes = self.newcomers.bytes();
        let in_main = self.main.entry_count();
        StoreUsage {
            entries: in_main.saturating_sub(self.priming.placeholders())
                + self.newcomers.len()
                + self.warmed.entry_count(),
            bytes: self.main.weighted_size()
                + newcomer_bytes
                + self.warmed.weighted_size()
                + self.large.left()
                + fill_bytes,
            fill_bytes,
            newcomer_bytes,
            evictions: self.evictions.load(Ordering::Relaxed),
            admitted: self.admissions.admitted.load(Ordering::Relaxed),
            refused: self.admissions.refused.load(Ordering::Relaxed),
        }
    }
}

/// Where it is recorded that a response leaves a map.
#[derive(Clone)]
pub(super) struct Departures {
    pub(super) index: Arc<Index>,
    pub(super) evictions: Arc<AtomicU64>,
    pub(super) large: Arc<LargePieces>,
    pub(super) disk: Option<Arc<DiskTier>>,
    /// How the map hashes its keys.
    pub(super) hasher: SeedableRandomState,
}

/// How a map makes room.
pub(super) enum MapEviction {
    /// By frequency of use, at most so many bytes.
    Frequency(u64, PrimingEntries),
    /// What was used least recently leaves first; at most so many bytes.
    Recency(u64),
    /// It doesn't: the caller does.
    Never,
}

/// A map of responses. A response that leaves it is recorded in `left`, and counted there if it left
/// to make room.
pub(super) fn bounded_map(bound: MapEviction, left: Departures) -> ResponseMap {
    let (memory, policy, priming) = match bound {
        MapEviction::Frequency(memory, priming) => {
            (Some(memory), EvictionPolicy::tiny_lfu(), priming)
        }
        MapEviction::Recency(memory) => (
            Some(memory),
            EvictionPolicy::lru(),
            PrimingEntries::default(),
        ),
        MapEviction::Never => (None, EvictionPolicy::lru(), PrimingEntries::default()),
    };
    let weighing = priming.clone();
    let hasher = left.hasher.clone();
    let mut builder = Cache::builder();
    if let Some(memory) = memory {
        builder = builder.max_capacity(memory);
    }
    builder
        .eviction_policy(policy)
        .weigher(move |key: &Key, variants: &Variants| {
            if variants.all().is_empty() {
                return weighing.weight(key);
            }
            u32::try_from(variants.weight() + key.weight()).unwrap_or(u32::MAX)
        })
        .eviction_listener(move |key: Arc<Key>, variants: Variants, cause| {
            if variants.all().is_empty() {
                return priming.note_departure(&key);
            }
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
        .build_with_hasher(hasher)
}
