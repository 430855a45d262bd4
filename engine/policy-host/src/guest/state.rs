//! What the host keeps beside an instance: its limits, the deadline of the call under way, and what
//! it logs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::limits::GuestLimits;
use crate::real_time::real_time;
use crate::usage::PolicyUsage;
use tero_config::PolicyLimits;
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
pub(super) struct DeadlineExceeded(Duration, u32);

/// What the host keeps beside an instance.
#[derive(Debug)]
pub(crate) struct GuestState {
    pub(crate) policy: Arc<str>,
    usage: Arc<PolicyUsage>,
    limits: GuestLimits,
    lines: u32,
    log_lines: u32,
    /// What this call has logged last. Runtimes of languages log what went wrong before they trap,
    /// and a trap itself says nothing.
    last_line: Option<String>,
    started: Instant,
    deadline: Duration,
    /// How many deadlines this call may take.
    deadlines: u32,
}

impl GuestState {
    /// The state of an instance that is made now; making and configuring it may take `deadlines`.
    pub(super) fn new(
        policy: &Arc<str>,
        usage: &Arc<PolicyUsage>,
        limits: &PolicyLimits,
        deadlines: u32,
    ) -> GuestState {
        GuestState {
            policy: Arc::clone(policy),
            usage: Arc::clone(usage),
            limits: GuestLimits::new(limits),
            lines: 0,
            log_lines: limits.log_lines,
            last_line: None,
            started: real_time(),
            deadline: limits.deadline,
            deadlines,
        }
    }

    /// A call begins now, which may take `deadlines`.
    pub(super) fn begin(&mut self, deadlines: u32) {
        self.limits.forgive();
        self.lines = 0;
        self.last_line = None;
        self.deadlines = deadlines;
        self.started = real_time();
    }

    /// # Errors
    /// When the call under way has taken longer than it may.
    pub(super) fn check_deadline(&self) -> Result<(), DeadlineExceeded> {
        match self.started.elapsed() < self.deadline * self.deadlines {
            true => Ok(()),
            false => Err(DeadlineExceeded(self.deadline, self.deadlines)),
        }
    }

    pub(super) fn limits(&self) -> &GuestLimits {
        &self.limits
    }

    pub(super) fn limits_mut(&mut self) -> &mut GuestLimits {
        &mut self.limits
    }

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

    /// What this call has logged last.
    pub(super) fn last_line(&self) -> Option<&str> {
        self.last_line.as_deref()
    }
}
