//! The state of an instance that the host keeps: its limits, the deadline of the current call, and
//! its log lines.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::limits::GuestLimits;
use crate::real_time::real_time;
use crate::tables::{Table, TableSlot};
use crate::usage::PolicyUsage;
use tero_config::PolicyLimits;
use tero_config::units::show_duration;

/// How many lines one call may log.
const MAX_LOG_LINES: u32 = 16;

/// The guest called a function that policies are not given.
#[derive(Clone, Debug, thiserror::Error)]
#[error("it called `{0}`, which policies are not given")]
pub(crate) struct MissingImport(pub(crate) Box<str>);

/// The guest exceeded its deadline. The fields are the deadline and how many of them the call was
/// allowed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it took longer than {} ({}`deadline`)", show_duration(*.0 * *.1), if *.1 == 1 { String::new() } else { format!("{} times ", .1) })]
pub(super) struct DeadlineExceeded(Duration, u32);

/// The state of an instance that the host keeps.
#[derive(Debug)]
pub(crate) struct GuestState {
    pub(crate) policy: Arc<str>,
    usage: Arc<PolicyUsage>,
    limits: GuestLimits,
    lines: u32,
    log_lines: u32,
    /// The last line that this call logged. Language runtimes log the cause before they trap, and
    /// the trap itself does not say it.
    last_line: Option<String>,
    started: Instant,
    deadline: Duration,
    /// How many deadlines this call may take.
    deadlines: u32,
    /// The data tables of this call, by name.
    tables: Vec<(Arc<str>, Arc<Table>)>,
}

/// The places of the data tables that a policy names.
pub(crate) type PolicyTables = [(Arc<str>, Arc<TableSlot>)];

impl GuestState {
    /// The state of an instance that is made now. Making and configuring it may take `deadlines`
    /// deadlines.
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
            tables: Vec::new(),
        }
    }

    /// Begins a call that may take `deadlines` deadlines, with the tables as they are now. What is
    /// replaced during the call doesn't change for it.
    pub(super) fn begin(&mut self, deadlines: u32, tables: &PolicyTables) {
        self.tables.clear();
        for (name, slot) in tables {
            self.tables
                .extend(slot.table().map(|table| (Arc::clone(name), table)));
        }
        self.limits.forgive();
        self.lines = 0;
        self.last_line = None;
        self.deadlines = deadlines;
        self.started = real_time();
    }

    /// Ends a call. An instance that waits keeps no table that was replaced.
    pub(super) fn end(&mut self) {
        self.tables.clear();
    }

    /// A table of this call; `None` if there is none, or if the manifest doesn't name it.
    pub(crate) fn table(&self, name: &str) -> Option<&Table> {
        let mut tables = self.tables.iter();
        tables
            .find(|(known, _)| **known == *name)
            .map(|(_, table)| &**table)
    }

    /// # Errors
    /// The current call has exceeded its deadline.
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

    /// Remembers a line that was logged.
    pub(crate) fn logged(&mut self, line: String) {
        self.last_line = Some(line);
    }

    /// The last line that this call logged.
    pub(super) fn last_line(&self) -> Option<&str> {
        self.last_line.as_deref()
    }
}
