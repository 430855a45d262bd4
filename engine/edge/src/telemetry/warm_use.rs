//! How many of the responses that a warming run fetched visitors have used.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::run_id::RunId;

/// The number of latest runs that are remembered.
const REMEMBERED_RUNS: usize = 1_000;

/// The responses of a run that visitors have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsedResponses {
    /// Responses used at least once.
    pub responses: u64,
    /// Bytes of their content.
    pub bytes: u64,
    /// Hits on them.
    pub hits: u64,
}

/// The used responses of each run.
#[derive(Debug, Default)]
pub struct WarmUse(Mutex<BTreeMap<RunId, UsedResponses>>);

impl WarmUse {
    /// Records the first use by a visitor of a response that `run` fetched; it has `bytes` of
    /// content.
    pub fn record(&self, run: RunId, bytes: u64) {
        self.with(run, |used| {
            used.responses += 1;
            used.bytes += bytes;
        });
    }

    /// Records `hits` of visitors on responses that `run` fetched.
    pub fn record_hits(&self, run: RunId, hits: u64) {
        self.with(run, |used| used.hits += hits);
    }

    /// The used responses of `run`; zeros for an unknown run.
    pub fn of(&self, run: RunId) -> UsedResponses {
        self.lock().get(&run).copied().unwrap_or_default()
    }

    fn with(&self, run: RunId, change: impl FnOnce(&mut UsedResponses)) {
        let mut used = self.lock();
        change(used.entry(run).or_default());
        if used.len() > REMEMBERED_RUNS {
            used.pop_first();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RunId, UsedResponses>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
