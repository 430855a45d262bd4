//! Keys whose answers turned out not to be storable, so that requests do not queue for them again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::store::Key;
use tero_semantics::timestamp::Timestamp;

/// Bytes of keys that are remembered, at most.
const MAX_BYTES: u64 = 8 * 1024 * 1024;
/// What an entry costs beside its key, in bytes.
const OVERHEAD_BYTES: usize = 150;

/// The memory of "not storable".
#[derive(Debug)]
pub(super) struct HitForMiss {
    until: Cache<Key, Timestamp, foldhash::quality::RandomState>,
    ttl: Duration,
    /// Whether anything was ever remembered: many edges never do, and need not look. Set before the
    /// first one can be found.
    had_any: AtomicBool,
}

impl HitForMiss {
    /// Remembers each key for `ttl`.
    pub(super) fn new(ttl: Duration) -> HitForMiss {
        let until = Cache::builder()
            .max_capacity(MAX_BYTES)
            .weigher(|key: &Key, _: &Timestamp| {
                u32::try_from(key.as_bytes().len() + OVERHEAD_BYTES).unwrap_or(u32::MAX)
            })
            .eviction_policy(EvictionPolicy::lru())
            .build_with_hasher(foldhash::quality::RandomState::default());
        HitForMiss {
            until,
            ttl,
            had_any: AtomicBool::new(false),
        }
    }

    /// Remembers that the answer for `key` could not be stored.
    pub(super) fn remember(&self, key: &[u8], now: Timestamp) {
        self.had_any.store(true, Ordering::Release);
        self.until
            .insert(Key::new(key), now.saturating_add(self.ttl));
    }

    /// Forgets it: an answer could be stored.
    pub(super) fn forget(&self, key: &[u8]) {
        if self.had_any.load(Ordering::Acquire) {
            self.until.invalidate(key);
        }
    }

    /// Whether the answer for `key` is expected not to be storable.
    pub(super) fn expects(&self, key: &[u8], now: Timestamp) -> bool {
        self.had_any.load(Ordering::Acquire) && self.until.get(key).is_some_and(|until| until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_remembered_to_the_last_second_and_no_longer() {
        let memory = HitForMiss::new(Duration::from_secs(120));
        let now = Timestamp::from_unix_secs(1_000);
        memory.remember(b"k", now);
        assert!(memory.expects(b"k", now.saturating_add(Duration::from_secs(119))));
        assert!(!memory.expects(b"k", now.saturating_add(Duration::from_secs(120))));
        memory.remember(b"k", now);
        memory.forget(b"k");
        assert!(!memory.expects(b"k", now));
    }
}
