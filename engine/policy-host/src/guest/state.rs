//! What the host keeps beside an instance: its limits, the deadline of the call under way, and what
//! it logs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::limits::GuestLimits;
use crate::usage::PolicyUsage;
use tero_config::units::show_duration;

/// How many lines one call may log.
const MAX_LOG_LINES: u32 = 16;

/// The guest called what policies are not given.
#[derive(Clone, Debug, thiserror::Error)]
#[error("it called `{0}`, which policies are not given")]
pub(crate) struct MissingImport(pub(crate) Box<str>);

/// The guest is over its deadline.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it took longer than {} ({}`deadline`)", show_duration(*.0 * *.1), if *.1 == 1 { String::new() } else { format!("{} times ", .1) })]
pub(super) struct DeadlineExceeded(pub(super) Duration, pub(super) u32);

/// What the host keeps beside an instance.
#[derive(Debug)]
pub(crate) struct GuestState {
    pub(crate) policy: Arc<str>,
    pub(super) usage: Arc<PolicyUsage>,
    pub(super) limits: GuestLimits,
    pub(super) lines: u32,
    pub(super) log_lines: u32,
    /// What this call has logged last. Runtimes of languages log what went wrong before they trap,
    /// and a trap itself says nothing.
    pub(super) last_line: Option<String>,
    pub(super) started: Instant,
    pub(super) deadline: Duration,
    /// How many deadlines this call may take.
    pub(super) deadlines: u32,
}

impl GuestState {
    /// Whether this call may log one more line.
    pub(crate) fn may_log(&mut self) -> bool {
        self.lines = self.lines.saturating_add(1);
        if self.lines > MAX_LOG_LINES {
            self.usage.drop_line();
            return false;
        }
        self.usage.grant_line(&self.policy, self.log_lines)
    }

    /// A line that the log has taken.
    pub(crate) fn logged(&mut self, line: String) {
        self.last_line = Some(line);
    }
}
