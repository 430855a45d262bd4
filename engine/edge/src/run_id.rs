//! The number of a warming plan's run. The data plane knows of plans no more than this.

use std::fmt;
use std::num::NonZeroU64;

/// The number of a run of a warming plan: counts from 1 when the edge starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(NonZeroU64);

impl RunId {
    /// The first run after the edge starts.
    pub const FIRST: RunId = RunId(NonZeroU64::MIN);

    /// The run of this number; `None` for 0, which no run has.
    pub const fn new(number: u64) -> Option<RunId> {
        match NonZeroU64::new(number) {
            Some(number) => Some(RunId(number)),
            None => None,
        }
    }

    /// The next run's; the greatest number stays.
    pub const fn next(self) -> RunId {
        RunId(self.0.saturating_add(1))
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
