//! The totals of each plan since the edge started.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::lock::lock;
use super::path::WarmOutcome;
use super::report::RunState;

/// The totals of a plan's runs. Dry runs do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanTotals {
    /// Runs that have started.
    pub runs: u64,
    /// Runs that have ended, by the name of their last state.
    pub ended: BTreeMap<&'static str, u64>,
    /// Runs that were due and not started, since the run before still went on.
    pub skipped: u64,
    /// Sitemaps that could not be read.
    pub sitemaps_failed: u64,
    /// When a run last ended as [`Done`](super::report::RunState::Done), in seconds since the Unix
    /// epoch; 0 if none has.
    pub last_done_unix_secs: i64,
    /// As in [`RunReport`](super::report::RunReport).
    pub fetched: u64,
    /// As in [`RunReport`](super::report::RunReport).
    pub fresh: u64,
    /// As in [`RunReport`](super::report::RunReport).
    pub not_stored: u64,
    /// As in [`RunReport`](super::report::RunReport).
    pub failed: u64,
    /// Bytes of content fetched.
    pub bytes: u64,
    /// Fetched responses that visitors have used.
    pub used: u64,
    /// As in [`RunValue`](super::report::RunValue), of closed windows.
    pub window_hits: u64,
    /// As in [`RunValue`](super::report::RunValue), of closed windows.
    pub hits_given: u64,
    /// As in [`RunValue`](super::report::RunValue), of closed windows.
    pub wasted_bytes: u64,
}

/// The totals of all plans.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    totals: Mutex<BTreeMap<Arc<str>, PlanTotals>>,
    /// The hits of a site up to which they are counted for a plan, by plan and site.
    counted_hits: Mutex<BTreeMap<(Arc<str>, Arc<str>), u64>>,
}

impl Ledger {
    /// Changes the totals of a plan, which begin at zero.
    pub(super) fn with(&self, plan: &Arc<str>, change: impl FnOnce(&mut PlanTotals)) {
        change(lock(&self.totals).entry(Arc::clone(plan)).or_default());
    }

    /// Counts the outcome of a fetch.
    pub(super) fn count(&self, plan: &Arc<str>, outcome: &WarmOutcome) {
        self.with(plan, |totals| match outcome {
            WarmOutcome::Fetched { bytes, .. } => {
                totals.fetched += 1;
                totals.bytes += bytes;
            }
            WarmOutcome::Fresh => totals.fresh += 1,
            WarmOutcome::NotStored { .. } => totals.not_stored += 1,
            WarmOutcome::Failed { .. } => totals.failed += 1,
        });
    }

    /// Whether a run of the plan has ended, other than by a failure.
    pub(super) fn has_run(&self, plan: &str) -> bool {
        let failed = RunState::Failed.as_str();
        lock(&self.totals)
            .get(plan)
            .is_some_and(|totals| totals.ended.keys().any(|state| *state != failed))
    }

    /// The hits of a window of the plan that no window of it has counted: the site had `before`
    /// hits when it opened, and has `now`.
    pub(super) fn uncounted_hits(
        &self,
        plan: &Arc<str>,
        site: &Arc<str>,
        before: u64,
        now: u64,
    ) -> u64 {
        let mut counted = lock(&self.counted_hits);
        let key = (Arc::clone(plan), Arc::clone(site));
        let counted = counted.entry(key).or_default();
        // If the site's counters have been reset, they begin again.
        let from = if now < *counted {
            before
        } else {
            before.max(*counted)
        };
        *counted = now;
        now.saturating_sub(from)
    }

    /// The totals of each plan, by its name.
    pub(super) fn totals(&self) -> BTreeMap<Arc<str>, PlanTotals> {
        lock(&self.totals).clone()
    }
}
