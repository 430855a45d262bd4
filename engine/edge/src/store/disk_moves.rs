//! Responses that move between memory and the disks below: back, when they are asked for again, and
//! down, before the process ends. [`super::memory`] has those that leave memory to make room.

use std::sync::Arc;

use super::stored::StoredResponse;
use super::variants::{is_older, is_out_of_reach};
use super::{Key, PurgeWatch, Store, Variants};

impl Store {
    /// Whether responses of a key that were read from a disk, of so many bytes, go back into memory: it
    /// has room, or other responses of the key, or a disk answers for the second time within a while.
    pub fn wants_back(&self, key: &[u8], weight: u64) -> bool {
        let Some(hits) = &self.disk_hits else {
            return true;
        };
        self.has_room_for(weight) || hits.is_second(key, weight) || self.holds(key)
    }

    /// A response that was read from a disk and doesn't go back into memory: for one answer. `None` if a
    /// purge that `purges` has seen meant it. Its content is not counted before it is known to be served
    /// ([`Store::count_passing`]): else [`Store::restore`] would count it again.
    pub fn passing(
        &self,
        stored: StoredResponse,
        purges: &PurgeWatch,
    ) -> Option<Arc<StoredResponse>> {
        (!purges.is_purged(&stored.head)).then(|| Arc::new(stored))
    }

    /// Counts the content of a passing response that answers a request, as long as its client reads it.
    /// Nothing else may hold the response yet.
    pub fn count_passing(&self, mut stored: Arc<StoredResponse>) -> Arc<StoredResponse> {
        let own = Arc::get_mut(&mut stored);
        debug_assert!(own.is_some(), "its content would not be counted");
        if let Some(own) = own {
            own.body = own.body.counted(&self.large);
        }
        stored
    }

    /// Puts a response that was read from a disk back into memory, behind those that are there: they came
    /// later. So of several, the newest comes first. Returns it, also where it stays outside: if one is
    /// there that the same requests select, or memory has no room; `None`, and nothing is stored, if a
    /// purge that `purges` has seen meant it.
    pub fn restore(
        &self,
        key: &Key,
        mut stored: StoredResponse,
        purges: &PurgeWatch,
    ) -> Option<Arc<StoredResponse>> {
        stored.body = stored.body.to_own().counted(&self.large);
        let stored = Arc::new(stored);
        {
            let _lock = self.lock(key);
            let held = self.held(key);
            let held = held.iter().flat_map(Variants::all);
            let mut all: Vec<_> = held.map(Arc::clone).collect();
            if purges.is_purged(&stored.head)
                || all
                    .iter()
                    .any(|held| is_out_of_reach(&stored.head, &held.head))
            {
                return None;
            }
            if stored.body.is_outside() {
                return Some(stored);
            }
            let is_known = |held: &Arc<StoredResponse>| is_older(&held.head, &stored.head);
            if all.len() >= self.config.max_variants || all.iter().any(is_known) {
                return Some(stored);
            }
            all.push(Arc::clone(&stored));
            let variants = Variants::new(all);
            self.put(self.place_by_use(key, &variants), key, variants);
        }
        self.offer_overflow();
        self.drop_if_purged(key, &stored, purges).then_some(stored)
    }

    /// Offers the disks what was used and isn't on them yet, before the process ends. Waits for them
    /// as long as `may_go_on` says.
    pub fn save_to_disk(&self, mut may_go_on: impl FnMut() -> bool) {
        let Some(disk) = &self.disk else { return };
        for (key, variants) in self.entries() {
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
}
