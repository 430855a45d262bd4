//! Keys whose answers turned out not to be storable, so that requests do not queue for them again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::key_memory::KeyMemory;
use tero_semantics::timestamp::Timestamp;

/// The end of the key under which it is remembered that answers to requests with cookies are not
/// storable: a further line, which the key of a request never has.
const WITH_COOKIES: &[u8] = b"\nwith cookies";

/// The memory of "not storable".
#[derive(Debug)]
pub(super) struct HitForMiss {
    until: KeyMemory<Timestamp>,
    ttl_millis: AtomicU64,
}

impl HitForMiss {
    /// Remembers each key for `ttl`.
    pub(super) fn new(ttl: Duration) -> HitForMiss {
        let memory = HitForMiss {
            until: KeyMemory::new(),
            ttl_millis: AtomicU64::default(),
        };
        memory.set_ttl(ttl);
        memory
    }

    /// Remembers keys for another `ttl` from now on.
    pub(super) fn set_ttl(&self, ttl: Duration) {
        let millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        self.ttl_millis.store(millis, Ordering::Relaxed);
    }

    /// Remembers that the answer for `key` could not be stored.
    pub(super) fn remember(&self, key: &[u8], now: Timestamp) {
        let ttl = Duration::from_millis(self.ttl_millis.load(Ordering::Relaxed));
        self.until.remember(key, now.saturating_add(ttl));
    }

    /// Remembers that the answer for `key` to a request with cookies could not be stored. Others are
    /// not concerned.
    pub(super) fn remember_with_cookies(&self, key: &[u8], now: Timestamp) {
        self.remember(&[key, WITH_COOKIES].concat(), now);
    }

    /// Forgets it: an answer could be stored, to a request with cookies or without.
    pub(super) fn forget(&self, key: &[u8], has_cookies: bool) {
        if !self.until.had_any() {
            return;
        }
        self.until.forget(key);
        if has_cookies {
            self.until.forget(&[key, WITH_COOKIES].concat());
        }
    }

    /// Whether the answer for `key` is expected not to be storable, to a request with cookies or
    /// without.
    pub(super) fn expects(&self, key: &[u8], has_cookies: bool, now: Timestamp) -> bool {
        let lasts = |key: &[u8]| self.until.get(key).is_some_and(|until| until > now);
        self.until.had_any() && (lasts(key) || has_cookies && lasts(&[key, WITH_COOKIES].concat()))
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
        let expects = |key: &[u8], after| {
            memory.expects(key, false, now.saturating_add(Duration::from_secs(after)))
        };
        assert!(expects(b"k", 119));
        assert!(!expects(b"k", 120));
        memory.remember(b"k", now);
        memory.forget(b"k", false);
        assert!(!expects(b"k", 0));
    }

    #[test]
    fn requests_without_cookies_are_not_concerned_by_those_with() {
        let memory = HitForMiss::new(Duration::from_secs(120));
        let now = Timestamp::from_unix_secs(1_000);
        memory.remember_with_cookies(b"k", now);
        assert!(memory.expects(b"k", true, now));
        assert!(!memory.expects(b"k", false, now));
        memory.forget(b"k", false);
        assert!(memory.expects(b"k", true, now));
        memory.forget(b"k", true);
        assert!(!memory.expects(b"k", true, now));
        // What is remembered for all is for those with cookies too.
        memory.remember(b"k", now);
        assert!(memory.expects(b"k", true, now));
    }
}
