//! Closes the windows of runs: reports what each run was worth, and releases what it kept.

use std::sync::Arc;

use super::Warmer;
use super::lock::lock;
use super::report::{RunReport, RunValue};
use super::run::Run;
use tero_edge::run_id::RunId;
use tero_semantics::timestamp::Timestamp;

impl Warmer {
    /// When the next window of an ended run ends; `None` if there is no such window.
    pub fn next_window_end(&self) -> Option<Timestamp> {
        let state = lock(&self.state);
        let runs = state.runs.iter();
        runs.filter(|run| run.is_open() && run.is_over())
            .map(|run| run.until)
            .min()
    }

    /// Closes the windows that have ended: puts the value of each run into its report, and releases
    /// the responses that were kept for it.
    pub fn close_windows(&self, now: Timestamp) {
        let over = self.runs_over(now);
        if over.is_empty() {
            return;
        }
        self.path.count();
        for run in over {
            let worth = self.worth(&run);
            let hits = self.hits_of(&run);
            let (plan, site) = (&run.plan.name, &run.plan.site);
            let window_hits = self
                .ledger
                .uncounted_hits(plan, site, run.before.hits, hits);
            self.ledger.with(plan, |totals| {
                totals.window_hits += window_hits;
                totals.hits_given += worth.hits_given;
                totals.wasted_bytes += worth.wasted_bytes;
            });
            lock(&run.report).worth = Some(worth);
        }
        let open = self.open_runs();
        self.path.release(&|run| !open.contains(&run));
    }

    /// The ended runs whose windows have ended and are not closed yet.
    fn runs_over(&self, now: Timestamp) -> Vec<Arc<Run>> {
        let state = lock(&self.state);
        let runs = state.runs.iter();
        runs.filter(|run| run.is_open() && run.is_over() && run.until <= now)
            .cloned()
            .collect()
    }

    /// The runs for which responses may be kept.
    fn open_runs(&self) -> Vec<RunId> {
        let state = lock(&self.state);
        let runs = state.runs.iter();
        runs.filter(|run| run.is_open()).map(|run| run.id).collect()
    }

    /// The hits of the run's site so far.
    fn hits_of(&self, run: &Run) -> u64 {
        let site = self.path.site(&run.plan.site);
        site.map(|site| self.path.traffic(site.index).hits)
            .unwrap_or_default()
    }

    fn worth(&self, run: &Run) -> RunValue {
        let hits = self.hits_of(run);
        let RunReport { fetched, bytes, .. } = *lock(&run.report);
        let used = self.path.used(run.id);
        // If the site's counters have been reset, there were at least the hits that the run gave.
        let window_hits = hits.saturating_sub(run.before.hits).max(used.hits);
        RunValue {
            window_hits,
            hits_given: used.hits,
            share_of_hits: (window_hits > 0).then(|| share(used.hits, window_hits)),
            unused: fetched.saturating_sub(used.responses),
            wasted_bytes: bytes.saturating_sub(used.bytes),
        }
    }
}

/// A share, rounded to four decimal places.
#[allow(clippy::cast_precision_loss)]
fn share(part: u64, whole: u64) -> f64 {
    (part as f64 / whole as f64 * 1e4).round() / 1e4
}
