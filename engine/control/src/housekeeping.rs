//! What is to be done every now and then while an edge runs, on one thread: stored responses that
//! expire soon are marked, windows of plans that are over are closed, and popularity is saved.
//!
//! It knows that plans have windows, not when their schedules come due.

mod saved_popularity;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use crate::warm::Warmer;
use tero_edge::request::Edge;
use tero_edge::server::ShutdownStage;

pub use saved_popularity::SavedPopularity;

/// Stored responses that expire soon are marked this often.
const MARK_EVERY: Duration = Duration::from_secs(1);

/// A window that is over is closed after this time at the latest: the plan may have begun, or the
/// clock may have been set, since the last look.
const LOOK_AT_WINDOWS: Duration = Duration::from_secs(1);

/// Popularity is saved this often: a crash loses no more than that.
const SAVE_EVERY: Duration = Duration::from_secs(5 * 60);

/// What the thread looks after.
#[derive(Debug)]
pub struct Housekeeping {
    /// Its stored responses are marked, and its popularity is saved.
    pub edge: Arc<Edge>,
    /// Its plans' windows are closed.
    pub warmer: Arc<Warmer>,
    /// Where popularity is saved.
    pub popularity: SavedPopularity,
}

impl Housekeeping {
    /// Starts the thread, which ends when the edge no longer runs and popularity has been saved
    /// once more.
    ///
    /// # Errors
    /// When a thread or a runtime can't be had.
    pub fn start(self, stages: watch::Receiver<ShutdownStage>) -> io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()?;
        std::thread::Builder::new()
            .name("housekeeping".to_owned())
            .spawn(move || runtime.block_on(self.run(stages)))
    }

    async fn run(self, mut stages: watch::Receiver<ShutdownStage>) {
        let chores = async {
            tokio::join!(
                self.mark_expiring(),
                self.close_windows(),
                self.save_popularity()
            )
        };
        tokio::select! {
            biased;
            _ = stages.wait_for(|stage| *stage != ShutdownStage::Running) => {}
            _ = chores => {}
        }
        self.popularity.save(&self.edge).await;
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
            let look = clock.now().saturating_add(LOOK_AT_WINDOWS);
            let next = self.warmer.next_window_end();
            clock
                .sleep_until(next.map_or(look, |next| next.min(look)))
                .await;
            self.warmer.close_windows(clock.now());
        }
    }

    async fn save_popularity(&self) {
        loop {
            self.edge.clock.sleep(SAVE_EVERY).await;
            self.popularity.save(&self.edge).await;
        }
    }
}

#[cfg(test)]
mod tests;
