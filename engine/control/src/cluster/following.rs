//! The loop in which a node follows the purge log: what its [`Follower`] says is carried out.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::counters::PurgeWay;
use super::follower::{Follower, FollowerAction, LogPosition};
use super::node::{ClusterNode, millis};
use super::pause::{FIRST_REST, LONGEST_REST, shortened};
use super::purge_log::{LogEntry, LogError, PlacedEntry, PurgeOrder};
use tero_edge::request::store_purge::sync_purges;
use tero_time::clock::Clock;

/// Entries that are applied before the position is written, at most.
const MOST_AT_ONCE: usize = 4_096;
/// How often a node that catches up writes its position, in milliseconds.
const RECORD_EVERY_MS: u64 = 250;
/// A feed that shows no sign of life for so long is begun anew. Consumers do every two seconds.
const QUIET: Duration = Duration::from_secs(6);
/// How often the log is looked at while the feed goes on.
const LOOK_EVERY: Duration = Duration::from_secs(5);

impl ClusterNode {
    /// Follows the log for good.
    pub(super) async fn follow(self: Arc<ClusterNode>) {
        let mut follower = Follower::new(self.progress().position);
        let mut rest = FIRST_REST;
        loop {
            let before = self.counters.entries.load(Relaxed);
            let error = self.follow_feed(&mut follower).await.err();
            if self.counters.entries.load(Relaxed) > before {
                rest = FIRST_REST;
            }
            if let Some(error) = error {
                if self.progress().failure.as_ref() != Some(&error) {
                    tracing::warn!(%error, "the purge log is not followed; the node serves, and tries again");
                }
                self.change_progress(|progress| progress.failure = Some(error));
                Clock::real().sleep(shortened(rest)).await;
                rest = (rest * 2).min(LONGEST_REST);
            }
        }
    }

    /// Follows the log until the feed has to be begun anew.
    async fn follow_feed(self: &Arc<ClusterNode>, follower: &mut Follower) -> Result<(), LogError> {
        let clock = Clock::real();
        let mut followed = self.log.follow(follower.from()).await?;
        let has_stored = self.has_stored();
        let actions = follower.opened(&followed.state, has_stored);
        if self.carry_out(actions, follower).await {
            return Ok(());
        }
        self.change_progress(|progress| progress.failure = None);
        let mut look_at = clock.now().saturating_add(LOOK_EVERY);
        loop {
            let entries = clock.timeout(QUIET, followed.feed.next(MOST_AT_ONCE)).await;
            let entries = entries
                .map_err(|_| LogError::Unreachable("the feed has fallen silent".to_owned()))??;
            if !entries.is_empty() && self.entered(entries, follower).await {
                return Ok(());
            }
            if clock.now() < look_at {
                continue;
            }
            look_at = clock.now().saturating_add(LOOK_EVERY);
            let Some(asked_for) = follower.position().cloned() else {
                continue;
            };
            let (state, found) = followed.feed.look(asked_for.number).await?;
            let actions = follower.looked(&asked_for, &state, found);
            if self.carry_out(actions, follower).await {
                return Ok(());
            }
        }
    }

    /// Entries have come. Returns whether the feed has to be begun anew.
    async fn entered(
        self: &Arc<ClusterNode>,
        entries: Vec<PlacedEntry>,
        follower: &mut Follower,
    ) -> bool {
        let heard = self.edge.clock.now();
        let mut actions = Vec::with_capacity(entries.len() * 2);
        let mut reopens = false;
        for placed in entries {
            if let Some(LogEntry::Beat { slot }) = placed.entry {
                self.last_beat.store(slot, Relaxed);
            }
            self.counters.entries.fetch_add(1, Relaxed);
            actions.extend(follower.entry(placed));
            if actions.last() == Some(&FollowerAction::Reopen) {
                reopens = true;
                break;
            }
        }
        self.carry_out(actions, follower).await;
        self.change_progress(|progress| progress.heard = Some(heard));
        reopens
    }

    /// Carries actions out, on a thread of its own, since a purge may read through the whole store.
    /// Returns whether the feed has to be begun anew.
    async fn carry_out(
        self: &Arc<ClusterNode>,
        actions: Vec<FollowerAction>,
        follower: &Follower,
    ) -> bool {
        let reopens = actions.contains(&FollowerAction::Reopen);
        let is_caught_up = follower.is_caught_up();
        if actions.is_empty() {
            self.change_progress(|progress| progress.is_caught_up = is_caught_up);
            return reopens;
        }
        let node = Arc::clone(self);
        let work = tokio::task::spawn_blocking(move || node.carry_out_here(actions, is_caught_up));
        // The runtime ends only with the node.
        let _ = work.await;
        reopens
    }

    fn carry_out_here(&self, actions: Vec<FollowerAction>, is_caught_up: bool) {
        let mut position = None;
        for action in actions {
            match action {
                FollowerAction::StaleAll(doubt) => self.stale_all(doubt),
                FollowerAction::Apply(order) => self.apply_logged(&order),
                FollowerAction::Record(last) => position = Some(last),
                FollowerAction::Reopen => {}
            }
        }
        // A node that catches up counts nothing yet: it need not wait for its disks with each batch.
        if !is_caught_up && self.was_recorded_lately() {
            return;
        }
        // The disks have the purges first: a position that is ahead of them would lose some.
        sync_purges(&self.edge);
        if let Some(position) = position {
            self.record(position, is_caught_up);
        }
    }

    /// Applies a purge of the log. It is applied again if it came by another way before: what was
    /// fetched in between may come from a shield that did not have it yet.
    fn apply_logged(&self, order: &PurgeOrder) {
        let is_new = self.note(order);
        let responses = self.apply_in_memory(order);
        if is_new {
            self.counters.purged(PurgeWay::Log);
            tracing::debug!(id = ?order.id, target = ?order.target, responses, "purged by the log");
        }
        if let Some(has_come) = self.outbox().get_mut(&order.id) {
            *has_come = true;
        }
    }

    fn was_recorded_lately(&self) -> bool {
        let now = millis(Clock::real().now());
        let before = self.recorded_at.swap(now, Relaxed);
        let is_lately = now.saturating_sub(before) < RECORD_EVERY_MS;
        if is_lately {
            self.recorded_at.store(before, Relaxed);
        }
        is_lately
    }

    fn record(&self, position: LogPosition, is_caught_up: bool) {
        let now = millis(self.edge.clock.wall());
        if let Err(error) = self.position_file.save(&position, now) {
            self.counters.position_failures.fetch_add(1, Relaxed);
            if !self.position_fails.swap(true, Relaxed) {
                tracing::error!(%error, "the position in the purge log can't be written; purges don't count until it can");
            }
            return;
        }
        if self.position_fails.swap(false, Relaxed) {
            tracing::info!("the position in the purge log can be written again");
        }
        self.reach(&position.identity, position.number);
        self.change_progress(|progress| {
            progress.position = Some(position);
            progress.is_caught_up = is_caught_up;
        });
    }
}
