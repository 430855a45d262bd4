//! Periodic work of a running edge, on one thread: marks stored responses that expire soon, closes
//! the windows of warming runs, checks origins, saves what was counted, and looks after certificates.
//!
//! It does not know the schedules of plans.

mod saved_counts;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use crate::certificates::CertificateUpkeep;
use crate::event_watch::EventWatch;
use crate::warm::Warmer;
use tero_edge::request::Edge;
use tero_edge::server::{ShutdownStage, run_to_end};

pub use saved_counts::SavedCounts;

/// How often stored responses that expire soon are marked.
const MARK_EVERY: Duration = Duration::from_secs(1);

/// How long the next end of a window is trusted: meanwhile a run may have started, or the clock may
/// have been set.
const LOOK_AT_WINDOWS_EVERY: Duration = Duration::from_secs(1);

/// How often it is looked which origins are to be checked: a reload may have brought new ones.
const LOOK_AT_ORIGINS_EVERY: Duration = Duration::from_secs(1);

/// How often it is looked whether a disk is to be tried again, or purged records to be erased.
const KEEP_DISKS_EVERY: Duration = Duration::from_secs(1);

/// How often the figures by local hour take in what was counted: often enough that each hour gets its
/// own.
const FOLD_EVERY: Duration = Duration::from_secs(60);

/// How often what was counted is saved; a crash loses no more than that.
const SAVE_EVERY: Duration = Duration::from_secs(5 * 60);

/// Room for threads that save what was counted, and read certificates.
const FILE_THREADS: usize = 2;

/// Room for threads that look names up, of webhooks and origins. A resolver that is silent holds each for
/// half a minute. It is one pool: only with more names than that at once does the rest wait for them.
const LOOKUP_THREADS: usize = 16;

/// The parts that the thread looks after.
#[derive(Debug)]
pub struct Housekeeping {
    /// The edge whose stored responses are marked and whose counts are saved.
    pub edge: Arc<Edge>,
    /// The warmer whose windows are closed.
    pub warmer: Arc<Warmer>,
    /// Where what was counted is saved.
    pub counts: SavedCounts,
    /// The certificates of the listeners.
    pub(crate) certificates: Arc<CertificateUpkeep>,
    /// Looks for what operators must know, and tells them; `None` looks for nothing.
    pub(crate) events: Option<EventWatch>,
}

impl Housekeeping {
    /// Starts the thread. When the edge stops, the thread saves what was counted and the events once
    /// more and ends.
    ///
    /// # Errors
    /// If the thread or its runtime can't be created.
    pub fn start(self, stages: watch::Receiver<ShutdownStage>) -> io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(FILE_THREADS + LOOKUP_THREADS)
            .build()?;
        std::thread::Builder::new()
            .name("housekeeping".to_owned())
            .spawn(move || run_to_end(runtime, self.run(stages)))
    }

    async fn run(self, mut stages: watch::Receiver<ShutdownStage>) {
        let serving = stages.clone();
        let chores = async {
            tokio::join!(
                self.mark_expiring(),
                self.close_windows(),
                self.save_counts(),
                self.check_origins(),
                self.fold_hours(),
                self.keep_disks(),
                self.watch_events(serving),
                self.certificates.follow_files(),
                self.certificates.tell_expiring()
            )
        };
        tokio::select! {
            biased;
            _ = stages.wait_for(|stage| *stage > ShutdownStage::Running) => {}
            _ = chores => {}
        }
        self.counts.save(&self.edge).await;
        if let Some(events) = &self.events {
            events.save().await;
        }
    }

    /// Checks the origins of all sites that are due.
    async fn check_origins(&self) {
        let clock = &self.edge.clock;
        loop {
            let now = clock.now();
            let mut next = now.saturating_add(LOOK_AT_ORIGINS_EVERY);
            for site in self.edge.sites.load().iter() {
                if site.hops.is_checked() {
                    next = next.min(site.hops.check_due(now));
                }
            }
            clock.sleep_until(next).await;
        }
    }

    /// Keeps the figures of the last week by local hour.
    async fn fold_hours(&self) {
        loop {
            let now = self.edge.clock.wall();
            for site in self.edge.sites.load().iter() {
                site.counters.fold_week(now);
            }
            self.edge.clock.sleep(FOLD_EVERY).await;
        }
    }

    /// Has the disks do what is due.
    async fn keep_disks(&self) {
        while let Some(disk) = self.edge.store.disk() {
            disk.keep();
            self.edge.clock.sleep(KEEP_DISKS_EVERY).await;
        }
    }

    async fn watch_events(&self, stages: watch::Receiver<ShutdownStage>) {
        if let Some(events) = &self.events {
            events.run(stages).await;
        }
    }

    async fn mark_expiring(&self) {
        loop {
            self.edge.clock.sleep(MARK_EVERY).await;
            let edge = &self.edge;
            edge.watchlist
                .mark_expiring(&edge.sites.load(), edge.clock.now());
        }
    }

    async fn close_windows(&self) {
        let clock = &self.edge.clock;
        loop {
            let look = clock.wall().saturating_add(LOOK_AT_WINDOWS_EVERY);
            let next = self.warmer.next_window_end();
            clock
                .sleep_until_wall(next.map_or(look, |next| next.min(look)))
                .await;
            self.warmer.close_windows(clock.wall());
        }
    }

    async fn save_counts(&self) {
        loop {
            self.edge.clock.sleep(SAVE_EVERY).await;
            self.counts.save(&self.edge).await;
        }
    }
}

#[cfg(test)]
mod tests;
