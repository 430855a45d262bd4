//! Whether warming was worth it: what visitors used of what each run fetched.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Runs that are remembered, the latest.
const REMEMBERED_RUNS: usize = 1_000;

/// What visitors used of what a run fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsedResponses {
    /// Responses.
    pub responses: u64,
    /// Bytes of their content.
    pub bytes: u64,
    /// Hits that they gave.
    pub hits: u64,
}

/// Uses by run.
#[derive(Debug, Default)]
pub struct WarmUse(Mutex<BTreeMap<u64, UsedResponses>>);

impl WarmUse {
    /// A visitor has been answered from a response that `run` fetched, for the first time; it has
    /// `bytes` of content.
    pub fn record(&self, run: u64, bytes: u64) {
        self.with(run, |used| {
            used.responses += 1;
            used.bytes += bytes;
        });
    }

    /// Visitors have been answered from such responses `hits` times.
    pub fn record_hits(&self, run: u64, hits: u64) {
        self.with(run, |used| used.hits += hits);
    }

    /// What has been used of what `run` fetched.
    pub fn of(&self, run: u64) -> UsedResponses {
        self.lock().get(&run).copied().unwrap_or_default()
    }

    fn with(&self, run: u64, change: impl FnOnce(&mut UsedResponses)) {
        let mut used = self.lock();
        change(used.entry(run).or_default());
        if used.len() > REMEMBERED_RUNS {
            used.pop_first();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, UsedResponses>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
