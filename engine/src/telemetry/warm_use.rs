//! Whether warming was worth it: how many responses of each run a visitor has used.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Runs that are remembered, the latest.
const REMEMBERED_RUNS: usize = 1_000;

/// Used responses by run.
#[derive(Debug, Default)]
pub struct WarmUse(Mutex<BTreeMap<u64, u64>>);

impl WarmUse {
    /// A visitor has been answered from a response that `run` warmed, for the first time.
    pub fn record(&self, run: u64) {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *used.entry(run).or_default() += 1;
        if used.len() > REMEMBERED_RUNS {
            used.pop_first();
        }
    }

    /// How many responses of `run` have been used.
    pub fn used(&self, run: u64) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&run).copied().unwrap_or(0)
    }
}
