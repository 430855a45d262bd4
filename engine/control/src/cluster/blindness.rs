//! Whether a node hears of the purge log.
//!
//! Signs of life of a consumer go on behind a partition of the servers. So each slot of two seconds has
//! an entry of its own, which goes through the log: who has not had one for `max_blind` knows that it
//! may miss purges.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::node::{ClusterNode, millis};
use super::pause::{chance, shortened};
use super::purge_log::LogEntry;
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;

/// The length of a slot.
const SLOT: Duration = Duration::from_secs(2);
/// Nodes write at different times within the first part of a slot.
const SPREAD: Duration = Duration::from_millis(300);
/// How long after a failure a beat is written again.
const TRY_AGAIN: Duration = Duration::from_millis(500);
/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(100);

impl ClusterNode {
    /// Writes a beat into each slot, unless another node has.
    pub(super) async fn beat(self: Arc<ClusterNode>) {
        let clock = &self.edge.clock;
        loop {
            let slot = slot_of(clock.wall());
            // Another node's clock may be ahead: only a beat of this very slot counts.
            if self.last_beat.load(Relaxed) != slot {
                let entry = LogEntry::Beat { slot };
                match self.log.append(&entry.id(), &entry).await {
                    Ok(_) => {
                        self.counters.appended.fetch_add(1, Relaxed);
                    }
                    Err(error) => {
                        self.counters.append_failures.fetch_add(1, Relaxed);
                        tracing::debug!(%error, "a beat could not be appended");
                        Clock::real().sleep(shortened(TRY_AGAIN)).await;
                        continue;
                    }
                }
            }
            let begins = (slot + 1).saturating_mul(millis_of(SLOT));
            let spread = millis_of(SPREAD.mul_f64(chance()));
            let next = i64::try_from(begins.saturating_add(spread)).unwrap_or(i64::MAX);
            let next = Timestamp::from_unix_millis(next);
            // A clock that was set back must not silence the node until it has caught up.
            tokio::select! {
                () = clock.sleep_until_wall(next) => {}
                () = clock.sleep(SLOT + SPREAD) => {}
            }
        }
    }

    /// Says whether the node is blind, for good.
    pub(super) async fn watch_blindness(self: Arc<ClusterNode>) {
        let clock = Clock::real();
        loop {
            let was_blind = self.edge.fleet.is_blind();
            let is_blind = self.misses_the_log();
            if is_blind {
                let counter = &self.counters.blind_millis;
                counter.fetch_add(millis_of(LOOK_EVERY), Relaxed);
            }
            if is_blind != was_blind {
                self.edge.fleet.set_blind(is_blind);
                if is_blind {
                    self.counters.blind_times.fetch_add(1, Relaxed);
                    tracing::warn!(max_blind = ?self.max_blind, "blind: the purge log has not been heard of; `when_blind` holds");
                } else {
                    tracing::info!("the purge log is heard of");
                }
            }
            clock.sleep(LOOK_EVERY).await;
        }
    }

    /// Whether purges may be missed: what stood in the log has not been applied, or no entry has come
    /// for `max_blind`.
    fn misses_the_log(&self) -> bool {
        let progress = self.progress();
        let now = self.edge.clock.now();
        let is_heard = |heard: Timestamp| now.since(heard) <= self.max_blind;
        !progress.is_caught_up || !progress.heard.is_some_and(is_heard)
    }

    /// How long no entry has come; `None` if there was none.
    pub fn silent_for(&self) -> Option<Duration> {
        let heard = self.progress().heard?;
        Some(self.edge.clock.now().since(heard))
    }
}

fn slot_of(wall: Timestamp) -> u64 {
    millis(wall) / millis_of(SLOT)
}

fn millis_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_two_seconds() {
        let slot = |millis| slot_of(Timestamp::from_unix_millis(millis));
        assert_eq!([0, 1_999, 2_000, 3_999, 4_000].map(slot), [0, 0, 1, 1, 2]);
        assert_eq!(slot(-1), 0);
    }
}
