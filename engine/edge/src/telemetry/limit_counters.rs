//! What a rate limit did.

use std::sync::atomic::{AtomicU64, Ordering};

use super::repeats::RepeatLimit;

/// What a rate limit did since the start.
#[derive(Debug, Default)]
pub struct LimitCounters {
    refused: AtomicU64,
    spared: AtomicU64,
    /// Bounds what the log says of it.
    pub repeats: RepeatLimit,
}

impl LimitCounters {
    /// Counts a request that was refused.
    pub fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that would have been refused, but for `log_only`.
    pub fn spare(&self) {
        self.spared.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that were refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Requests that would have been refused.
    pub fn spared(&self) -> u64 {
        self.spared.load(Ordering::Relaxed)
    }
}
