//! A run of a plan: its window, its report so far, and those who watch it; and the history of runs.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::lock::lock;
use super::path::{FetchPurpose, TrafficCounts};
use super::plan::{PlanEntry, local_time};
use super::report::{RunProgress, RunReport, RunState, RunTrigger};
use super::shared::{PageSharing, SharedRunName};
use super::task::WarmTask;
use super::turns::{RunTurn, RunTurns};
use tero_config as config;
use tero_edge::run_id::RunId;
use tero_semantics::timestamp::Timestamp;

/// How many runs are remembered with their reports. Beyond it, the oldest ended run is forgotten.
pub const MAX_REMEMBERED_RUNS: usize = 200;

/// How a run starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunStart {
    pub(super) trigger: RunTrigger,
    /// When the plan's schedule came due, if that started it.
    pub(super) due: Option<Timestamp>,
    /// Whether it is a dry run.
    pub(super) dry: bool,
    /// Its turn among the nodes of a fleet.
    pub(super) turn: RunTurn,
}

impl RunStart {
    /// The start of a run that is neither scheduled nor dry.
    pub(super) fn by(trigger: RunTrigger) -> RunStart {
        RunStart {
            trigger,
            due: None,
            dry: false,
            turn: RunTurn::Alone,
        }
    }
}

/// A run of a plan.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) id: RunId,
    pub(super) plan: config::Plan,
    pub(super) started: Timestamp,
    /// When the plan's schedule came due, if that started it.
    pub(super) due: Option<Timestamp>,
    /// Its turn among the nodes of a fleet.
    pub(super) turn: RunTurn,
    /// The end of its window.
    pub(super) until: Timestamp,
    /// Whether it is a dry run.
    pub(super) dry: bool,
    /// The site's traffic when it started.
    pub(super) before: TrafficCounts,
    pub(super) report: Mutex<RunReport>,
    pub(super) progress: watch::Sender<RunProgress>,
    pub(super) cancel: watch::Sender<bool>,
    /// The other nodes of the fleet.
    pub(super) fellows: Option<Arc<dyn RunTurns>>,
}

impl Run {
    /// A run of a plan that starts `now`.
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
            id: id.number(),
            plan: plan.name.to_string(),
            site: plan.site.to_string(),
            trigger: start.trigger,
            dry_run: start.dry,
            started: local_time(now, *zone),
            started_unix_secs: now.unix_secs(),
            window_ends: local_time(until, *zone),
            notes: start.turn.note().into_iter().map(str::to_owned).collect(),
            ..RunReport::default()
        };
        Run {
            id,
            plan: plan.clone(),
            started: now,
            due: start.due,
            turn: start.turn,
            until,
            dry: start.dry,
            before,
            progress: watch::Sender::new(report.progress()),
            report: Mutex::new(report),
            cancel: watch::Sender::new(false),
            fellows: None,
        }
    }

    /// The pages that it shares with other nodes, and its name there; `None` for a run that is this node's
    /// alone.
    pub(super) fn shared(&self) -> Option<(Arc<dyn PageSharing>, SharedRunName)> {
        if self.turn == RunTurn::Alone {
            return None;
        }
        let name = SharedRunName {
            plan: self.plan.name.to_string(),
            due: self.due?,
        };
        Some((self.fellows.as_ref()?.pages()?, name))
    }

    /// Changes the report, and the progress for those who watch it.
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

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        lock(&self.report).state.is_over()
    }

    /// Whether its window is open, so that what it fetched is kept. A dry run keeps nothing.
    pub(super) fn is_open(&self) -> bool {
        !self.dry && lock(&self.report).worth.is_none()
    }

    /// Ends the run with this state; a run that has ended keeps its state.
    pub(super) fn finish(&self, state: RunState, now: Timestamp) {
        self.update(now, |report| {
            if !report.state.is_over() {
                report.state = state;
            }
        });
    }
}

/// The remembered runs, the latest last.
#[derive(Debug, Default)]
pub(super) struct RunHistory {
    runs: VecDeque<Arc<Run>>,
    last_id: Option<RunId>,
}

impl RunHistory {
    /// The number of the next run.
    pub(super) fn next_id(&mut self) -> RunId {
        let id = self.last_id.map_or(RunId::FIRST, RunId::next);
        self.last_id = Some(id);
        id
    }

    /// The remembered runs, the oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Run>> {
        self.runs.iter()
    }

    pub(super) fn find(&self, id: RunId) -> Option<Arc<Run>> {
        self.runs.iter().find(|run| run.id == id).cloned()
    }

    /// The current run of a plan, or its current dry run.
    pub(super) fn running(&self, plan: &str, dry: bool) -> Option<RunId> {
        self.runs
            .iter()
            .rev()
            .find(|run| &*run.plan.name == plan && run.dry == dry && !run.is_over())
            .map(|run| run.id)
    }

    /// Remembers a run, and returns the runs that are forgotten to make room for it.
    pub(super) fn remember(&mut self, run: Arc<Run>) -> Vec<Arc<Run>> {
        self.runs.push_back(run);
        let mut forgotten = Vec::new();
        while self.runs.len() > MAX_REMEMBERED_RUNS {
            match self.runs.iter().position(|run| run.is_over()) {
                Some(oldest) => forgotten.extend(self.runs.remove(oldest)),
                // Every plan has at most one run and one dry run at a time.
                None => break,
            };
        }
        forgotten
    }
}
