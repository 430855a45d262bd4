//! The resources that all instances of a policy use: their number, their log lines, and the memory
//! of the largest.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use crate::real_time::real_time;

/// The resources that a policy has used since it was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageCounters {
    /// Instances that were made.
    pub instances: u64,
    /// The most memory that one instance held after a good answer, in bytes.
    pub memory_bytes: usize,
    /// Lines that were logged.
    pub lines: u64,
    /// Lines that were dropped: too many in one call, or in one minute.
    pub dropped_lines: u64,
}

/// The live counters of one policy.
#[derive(Debug)]
pub(super) struct PolicyUsage {
    instances: AtomicU64,
    memory_bytes: AtomicUsize,
    lines: AtomicU64,
    dropped_lines: AtomicU64,
    started: Instant,
    minute: AtomicU64,
    lines_in_minute: AtomicU32,
}

impl Default for PolicyUsage {
    fn default() -> PolicyUsage {
        PolicyUsage {
            instances: AtomicU64::new(0),
            memory_bytes: AtomicUsize::new(0),
            lines: AtomicU64::new(0),
            dropped_lines: AtomicU64::new(0),
            started: real_time(),
            minute: AtomicU64::new(0),
            lines_in_minute: AtomicU32::new(0),
        }
    }
}

impl PolicyUsage {
    pub(super) fn made_instance(&self) {
        self.instances.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn saw_memory(&self, bytes: usize) {
        if bytes > self.memory_bytes.load(Ordering::Relaxed) {
            self.memory_bytes.fetch_max(bytes, Ordering::Relaxed);
        }
    }

    /// Whether one more line may be logged, if `most` lines a minute are allowed. At the turn of a
    /// minute a few lines may be counted in the wrong minute.
    pub(super) fn grant_line(&self, policy: &str, most: u32) -> bool {
        let minute = self.started.elapsed().as_secs() / 60;
        if self.minute.swap(minute, Ordering::Relaxed) != minute {
            self.lines_in_minute.store(0, Ordering::Relaxed);
        }
        let lines = self.lines_in_minute.fetch_add(1, Ordering::Relaxed);
        if lines == most {
            tracing::warn!(
                policy,
                "a policy logs too much: at most {most} lines a minute are kept (`log_lines`)"
            );
        }
        let granted = lines < most;
        if granted {
            &self.lines
        } else {
            &self.dropped_lines
        }
        .fetch_add(1, Ordering::Relaxed);
        granted
    }

    pub(super) fn drop_line(&self) {
        self.dropped_lines.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> UsageCounters {
        UsageCounters {
            instances: self.instances.load(Ordering::Relaxed),
            memory_bytes: self.memory_bytes.load(Ordering::Relaxed),
            lines: self.lines.load(Ordering::Relaxed),
            dropped_lines: self.dropped_lines.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_of_a_policy_are_limited_by_the_minute() {
        let usage = PolicyUsage::default();
        let granted = (0..2_000).filter(|_| usage.grant_line("p", 1_000)).count();
        assert_eq!(granted, 1_000);
        assert_eq!(
            (usage.snapshot().lines, usage.snapshot().dropped_lines),
            (1_000, 1_000)
        );
        usage.minute.store(u64::MAX, Ordering::Relaxed);
        assert!(usage.grant_line("p", 1_000));
    }
}
