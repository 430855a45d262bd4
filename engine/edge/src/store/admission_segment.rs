//! The admission segment: responses whose keys are new to a full memory, in the order in which they
//! came.
//!
//! A frequency filter alone rejects what is new, however popular it is about to become. So a new key
//! first stays here, for as long as the segment's memory lasts, and meanwhile its uses are counted.
//! Then it is offered to the main cache, which takes it if it was used more often than what it would
//! displace.
//!
//! The segment's responses are in a map without bounds of its own: it never evicts by itself. Every
//! change of a key is made under the lock of the key, so the map and the order agree.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;

use super::response_map::ResponseMap;
use super::{Key, Variants};

/// The responses of new keys.
#[derive(Debug)]
pub(super) struct AdmissionSegment {
    responses: ResponseMap,
    memory: u64,
    order: Mutex<ArrivalOrder>,
    /// The weight of all responses, in bytes. Zero where the segment was never needed, so that its
    /// look-ups are saved.
    bytes: AtomicU64,
}

/// Keys in the order in which they came.
#[derive(Debug, Default)]
struct ArrivalOrder {
    /// By numbers that rise with each arrival.
    arrivals: BTreeMap<u64, Key>,
    /// For each key its number and weight.
    places: HashMap<Key, (u64, u64), RandomState>,
    next: u64,
    /// Keys that were offered to the main cache, whose answer isn't known yet.
    offered: Vec<Key>,
}

impl AdmissionSegment {
    /// An empty segment of this memory, in bytes, over a map without bounds.
    pub(super) fn new(responses: ResponseMap, memory: u64) -> AdmissionSegment {
        AdmissionSegment {
            responses,
            memory,
            order: Mutex::default(),
            bytes: AtomicU64::new(0),
        }
    }

    /// The memory that it may use, in bytes.
    pub(super) fn memory(&self) -> u64 {
        self.memory
    }

    /// The weight of its responses, in bytes.
    #[inline]
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    /// Whether nothing is in it.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    /// The number of its keys.
    pub(super) fn len(&self) -> u64 {
        self.lock().places.len() as u64
    }

    /// Its responses.
    pub(super) fn responses(&self) -> &ResponseMap {
        &self.responses
    }

    /// The responses of a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<Variants> {
        if self.is_empty() {
            return None;
        }
        self.responses.get(key)
    }

    /// Whether it has responses of a key.
    pub(super) fn holds(&self, key: &[u8]) -> bool {
        !self.is_empty() && self.responses.contains_key(key)
    }

    /// Puts responses under a key, whose lock the caller holds. A key that is there keeps its place in
    /// the order.
    pub(super) fn insert(&self, key: &Key, variants: Variants, weight: u64) {
        let mut order = self.lock();
        let before = match order.places.get_mut(key) {
            Some((_, present)) => std::mem::replace(present, weight),
            None => {
                let number = order.next;
                order.next += 1;
                order.arrivals.insert(number, key.clone());
                order.places.insert(key.clone(), (number, weight));
                0
            }
        };
        // In one step: who sees 0 in between doesn't look for a key that is there.
        let more = weight.wrapping_sub(before);
        self.bytes.fetch_add(more, Ordering::AcqRel);
        drop(order);
        self.responses.insert(key.clone(), variants);
    }

    /// Removes a key, whose lock the caller holds.
    pub(super) fn remove(&self, key: &Key) {
        if self.is_empty() {
            return;
        }
        let mut order = self.lock();
        let Some((number, weight)) = order.places.remove(key) else {
            return;
        };
        order.arrivals.remove(&number);
        self.bytes.fetch_sub(weight, Ordering::AcqRel);
        drop(order);
        self.responses.invalidate(key);
    }

    /// The key that came first, if the segment exceeds its memory.
    pub(super) fn overflowing(&self) -> Option<Key> {
        if self.bytes() <= self.memory {
            return None;
        }
        self.lock().arrivals.values().next().cloned()
    }

    /// Notes that a key was offered to the main cache. Returns how many were whose answers aren't
    /// known.
    pub(super) fn note_offer(&self, key: &Key) -> usize {
        let mut order = self.lock();
        order.offered.push(key.clone());
        order.offered.len()
    }

    /// The keys that were offered since the last call.
    pub(super) fn take_offers(&self) -> Vec<Key> {
        std::mem::take(&mut self.lock().offered)
    }

    fn lock(&self) -> MutexGuard<'_, ArrivalOrder> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
