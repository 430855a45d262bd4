//! Keys whose fetches have failed lately: a crowd does not ask once more what one request has found
//! out.
//!
//! Where a stale response can stand in, the key rests for growing times, and after each rest one
//! request asks in the background. Where nothing is stored, the failure itself is remembered for
//! `error_ttl`.

use std::time::Duration;

use super::failure::Failure;
use super::key_memory::KeyMemory;
use tero_config as config;
use tero_semantics::disposition::OriginOutlook;
use tero_semantics::timestamp::Timestamp;

/// The memory of failures.
#[derive(Debug)]
pub(super) struct FailingKeys {
    keys: KeyMemory<FailingKey>,
}

#[derive(Clone, Copy, Debug)]
struct FailingKey {
    failure: Failure,
    failed_at: Timestamp,
    rests_until: Timestamp,
    next_rest: Duration,
}

impl FailingKeys {
    pub(super) fn new() -> FailingKeys {
        FailingKeys {
            keys: KeyMemory::new(),
        }
    }

    /// Remembers that the fetch for `key` has failed: it rests for a time that grows, or for as long
    /// as the origin wishes.
    pub(super) fn failed(
        &self,
        key: &[u8],
        failure: Failure,
        settings: &config::Health,
        now: Timestamp,
    ) {
        let first = settings.rest.min(settings.max_rest);
        let rest = self.keys.get(key).map_or(first, |known| known.next_rest);
        let wish = failure.next_hop.and_then(|reply| reply.retry_after);
        let lasts = wish
            .map_or(rest, |wish| wish.max(rest))
            .min(settings.max_rest);
        let failing = FailingKey {
            failure,
            failed_at: now,
            rests_until: now.saturating_add(lasts),
            next_rest: rest.saturating_mul(2).min(settings.max_rest),
        };
        self.keys.remember(key, failing);
    }

    /// Forgets it: a fetch for `key` has succeeded.
    pub(super) fn succeeded(&self, key: &[u8]) {
        self.keys.forget(key);
    }

    /// Whether the origin is expected to answer for `key`.
    pub(super) fn outlook(&self, key: &[u8], now: Timestamp) -> OriginOutlook {
        match self.keys.get(key) {
            None => OriginOutlook::Good,
            Some(failing) if failing.rests_until > now => OriginOutlook::Resting,
            Some(_) => OriginOutlook::Doubtful,
        }
    }

    /// The failure of the origin for `key` that is younger than `error_ttl`. A 429 is about the
    /// request that got it, and is told to no other.
    pub(super) fn remembered(
        &self,
        key: &[u8],
        error_ttl: Duration,
        now: Timestamp,
    ) -> Option<Failure> {
        let failing = self.keys.get(key)?;
        let holds = failing.failure.is_of_origin() && now.since(failing.failed_at) < error_ttl;
        holds.then_some(failing.failure)
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::super::failure::NextHopReply;
    use super::*;

    fn answered(status: u16) -> Failure {
        let status = StatusCode::from_u16(status).unwrap();
        Failure::status(NextHopReply::bare(status))
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_unix_secs(1_000).saturating_add(Duration::from_millis(millis))
    }

    #[test]
    fn rests_grow_and_end_with_a_success() {
        let (keys, settings) = (FailingKeys::new(), config::Health::default());
        let failure = answered(503);
        assert_eq!(keys.outlook(b"k", at(0)), OriginOutlook::Good);
        let mut now = 0;
        for rest in [5_000, 10_000, 20_000, 30_000, 30_000] {
            keys.failed(b"k", failure, &settings, at(now));
            assert_eq!(
                keys.outlook(b"k", at(now + rest - 1)),
                OriginOutlook::Resting
            );
            now += rest;
            assert_eq!(keys.outlook(b"k", at(now)), OriginOutlook::Doubtful);
        }
        keys.succeeded(b"k");
        assert_eq!(keys.outlook(b"k", at(now)), OriginOutlook::Good);
    }

    #[test]
    fn a_failure_is_remembered_to_the_last_millisecond_of_its_ttl() {
        let (keys, settings) = (FailingKeys::new(), config::Health::default());
        let failure = answered(503);
        keys.failed(b"k", failure, &settings, at(0));
        let ttl = Duration::from_secs(1);
        assert_eq!(keys.remembered(b"k", ttl, at(999)), Some(failure));
        assert_eq!(keys.remembered(b"k", ttl, at(1_000)), None);
        assert_eq!(keys.remembered(b"other", ttl, at(0)), None);
        assert_eq!(keys.remembered(b"k", Duration::ZERO, at(0)), None);
    }

    #[test]
    fn an_answer_about_a_request_rests_its_key_and_is_told_to_no_other() {
        let (keys, settings) = (FailingKeys::new(), config::Health::default());
        keys.failed(b"k", answered(429), &settings, at(0));
        assert_eq!(keys.outlook(b"k", at(0)), OriginOutlook::Resting);
        assert_eq!(keys.remembered(b"k", Duration::from_secs(1), at(0)), None);
    }
}
