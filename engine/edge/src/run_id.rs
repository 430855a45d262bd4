//! The number of a warming plan's run, as far as the data plane knows plans.

use std::num::NonZeroU64;

/// The number of a run of a warming plan: counts from 1 when the edge starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(NonZeroU64);

impl RunId {
    /// The run of this number; `None` for 0, which no run has.
    pub const fn new(number: u64) -> Option<RunId> {
        match NonZeroU64::new(number) {
            Some(number) => Some(RunId(number)),
            None => None,
        }
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0.get()
    }
}
