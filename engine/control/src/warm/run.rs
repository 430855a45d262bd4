//! One run of a plan: what it prepares for, what it has come to so far, and who watches.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::lock::lock;
use super::path::{FetchPurpose, TrafficCounts};
use super::plan::{PlanEntry, local_time};
use super::report::{RunProgress, RunReport, RunState, RunTrigger};
use super::task::WarmTask;
use tero_config as config;
use tero_semantics::timestamp::Timestamp;

/// Runs that are remembered with their reports; the oldest that is over goes first.
pub const MAX_REMEMBERED_RUNS: usize = 200;

/// The number of a run: counts from 1 when the edge starts.
pub type RunId = u64;

/// How a run begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunStart {
    pub(super) trigger: RunTrigger,
    /// When its schedule came due.
    pub(super) due: Option<Timestamp>,
    /// Whether it only finds out what it would fetch.
    pub(super) dry: bool,
}

impl RunStart {
    /// A real run that begins without having come due.
    pub(super) fn by(trigger: RunTrigger) -> RunStart {
        RunStart {
            trigger,
            due: None,
            dry: false,
        }
    }
}

/// A run as it goes: what it has come to so far, and who watches.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) id: RunId,
    pub(super) plan: config::Plan,
    pub(super) started: Timestamp,
    /// When its schedule came due; none where something else started it.
    pub(super) due: Option<Timestamp>,
    /// The end of the time that it prepares for.
    pub(super) until: Timestamp,
    /// Whether it only finds out what it would fetch.
    pub(super) dry: bool,
    /// The site's traffic when it began.
    pub(super) before: TrafficCounts,
    pub(super) report: Mutex<RunReport>,
    pub(super) progress: watch::Sender<RunProgress>,
    pub(super) cancel: watch::Sender<bool>,
}

impl Run {
    /// A run of a plan that begins `now`.
    pub(super) fn new(
        id: RunId,
        entry: &PlanEntry,
        start: RunStart,
        now: Timestamp,
        before: TrafficCounts,
    ) -> Run {
        let PlanEntry { plan, zone, .. } = entry;
        let until = start.due.unwrap_or(now).saturating_add(plan.window);
        let report = RunReport {
            id,
            plan: plan.name.to_string(),
            site: plan.site.to_string(),
            trigger: start.trigger,
            dry_run: start.dry,
            started: local_time(now, *zone),
            started_unix_secs: now.unix_secs(),
            window_ends: local_time(until, *zone),
            ..RunReport::default()
        };
        Run {
            id,
            plan: plan.clone(),
            started: now,
            due: start.due,
            until,
            dry: start.dry,
            before,
            progress: watch::Sender::new(report.progress()),
            report: Mutex::new(report),
            cancel: watch::Sender::new(false),
        }
    }

    /// Changes the report and tells those who wait.
    pub(super) fn update(&self, now: Timestamp, change: impl FnOnce(&mut RunReport)) {
        let progress = {
            let mut report = lock(&self.report);
            change(&mut report);
            report.seconds = now.since(self.started).as_secs();
            report.progress()
        };
        self.progress.send_replace(progress);
    }

    pub(super) fn purpose(&self, task: &WarmTask) -> FetchPurpose {
        FetchPurpose {
            run: self.id,
            until: self.until,
            changed: task.changed,
        }
    }

    /// Whether nothing more will happen.
    pub(super) fn is_over(&self) -> bool {
        lock(&self.report).state.is_over()
    }

    /// Whether what it fetched is still to be kept for its window.
    pub(super) fn is_open(&self) -> bool {
        !self.dry && lock(&self.report).worth.is_none()
    }

    /// Ends the run, if it is not over.
    pub(super) fn finish(&self, state: RunState, now: Timestamp) {
        self.update(now, |report| {
            if !report.state.is_over() {
                report.state = state;
            }
        });
    }
}

/// The runs that are remembered, the latest last.
#[derive(Debug, Default)]
pub(super) struct RunHistory {
    runs: VecDeque<Arc<Run>>,
    last_id: RunId,
}

impl RunHistory {
    /// The number of the next run.
    pub(super) fn next_id(&mut self) -> RunId {
        self.last_id += 1;
        self.last_id
    }

    /// The remembered runs, the oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Run>> {
        self.runs.iter()
    }

    pub(super) fn find(&self, id: RunId) -> Option<Arc<Run>> {
        self.runs.iter().find(|run| run.id == id).cloned()
    }

    /// The run of a plan that is under way, a dry one or a real one.
    pub(super) fn running(&self, plan: &str, dry: bool) -> Option<RunId> {
        self.runs
            .iter()
            .rev()
            .find(|run| &*run.plan.name == plan && run.dry == dry && !run.is_over())
            .map(|run| run.id)
    }

    /// Remembers a run, and returns those that are forgotten for it.
    pub(super) fn remember(&mut self, run: Arc<Run>) -> Vec<Arc<Run>> {
        self.runs.push_back(run);
        let mut forgotten = Vec::new();
        while self.runs.len() > MAX_REMEMBERED_RUNS {
            match self.runs.iter().position(|run| run.is_over()) {
                Some(oldest) => forgotten.extend(self.runs.remove(oldest)),
                // There are no more runs under way than plans.
                None => break,
            };
        }
        forgotten
    }
}
