//! The totals of each plan since the edge started.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::lock::lock;
use super::path::WarmOutcome;

/// The totals of a plan's runs. Dry runs do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanTotals {
    /// Runs that have started.
    pub runs: u64,
    /// Runs that have ended, by the name of their last state.
    pub ended: BTreeMap<&'static str, u64>,
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
pub(super) struct Ledger(Mutex<BTreeMap<Arc<str>, PlanTotals>>);

impl Ledger {
    /// Changes the totals of a plan, which begin at zero.
    pub(super) fn with(&self, plan: &Arc<str>, change: impl FnOnce(&mut PlanTotals)) {
        change(lock(&self.0).entry(Arc::clone(plan)).or_default());
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

    /// Whether a run of the plan has ended.
    pub(super) fn has_ended(&self, plan: &str) -> bool {
        lock(&self.0)
            .get(plan)
            .is_some_and(|totals| !totals.ended.is_empty())
    }

    /// The totals of each plan, by its name.
    pub(super) fn totals(&self) -> BTreeMap<Arc<str>, PlanTotals> {
        lock(&self.0).clone()
    }
}
