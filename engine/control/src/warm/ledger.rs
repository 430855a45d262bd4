//! What the runs of each plan came to since the edge started.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::lock::lock;
use super::path::WarmOutcome;

/// What a plan's runs came to, all together; dry runs don't count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanTotals {
    /// Runs that have started.
    pub runs: u64,
    /// Runs that are over, by how they ended.
    pub ended: BTreeMap<&'static str, u64>,
    /// When a run reached its end last, in seconds since the Unix epoch; 0 before the first.
    pub last_done_unix_secs: i64,
    /// Pages times variants, as in [`RunReport`](super::report::RunReport).
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
    /// As in [`RunValue`](super::report::RunValue), of windows that are over.
    pub window_hits: u64,
    /// As in [`RunValue`](super::report::RunValue), of windows that are over.
    pub hits_given: u64,
    /// As in [`RunValue`](super::report::RunValue), of windows that are over.
    pub wasted_bytes: u64,
}

/// The totals, by plan.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<BTreeMap<Arc<str>, PlanTotals>>);

impl Ledger {
    /// Changes the totals of a plan, which are all zero before.
    pub(super) fn with(&self, plan: &Arc<str>, change: impl FnOnce(&mut PlanTotals)) {
        change(lock(&self.0).entry(Arc::clone(plan)).or_default());
    }

    /// Counts what came of a page.
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

    /// Whether a run of the plan is over.
    pub(super) fn has_ended(&self, plan: &str) -> bool {
        lock(&self.0)
            .get(plan)
            .is_some_and(|totals| !totals.ended.is_empty())
    }

    /// All totals, by name.
    pub(super) fn totals(&self) -> BTreeMap<Arc<str>, PlanTotals> {
        lock(&self.0).clone()
    }
}
