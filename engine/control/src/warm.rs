//! Warming: sends a plan's pages down the request path when its schedule comes due, or when asked.
//!
//! A plan never runs twice at once, never faster than its pace, and never longer than its deadline.
//! It fetches as visitors would, once per variant, so that what it stores is found by them; what
//! stays fresh for its window is left alone. The schedules are followed by one thread of its own,
//! so that workers only ever see warming as requests to their origin.

pub mod candidate;
mod execution;
mod ledger;
mod lock;
pub mod path;
mod plan;
pub mod plan_memory;
pub mod report;
mod request_path;
mod run;
mod scheduler;
pub mod sitemap;
pub mod sources;
mod task;
pub mod variants;
mod windows;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, watch};

use self::ledger::Ledger;
use self::lock::lock;
use self::path::RequestPath;
use self::plan::PlanEntry;
use self::plan_memory::PlanMemory;
use self::report::{RunProgress, RunReport, RunTrigger};
use self::run::{Run, RunHistory, RunStart};
use tero_config as config;
use tero_edge::request::Edge;
use tero_semantics::timestamp::Timestamp;

pub use self::ledger::PlanTotals;
pub use self::plan::PlanError;
pub use self::run::{MAX_REMEMBERED_RUNS, RunId};
pub use self::scheduler::start;

/// Why a plan was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// No plan has that name.
    #[error("there is no such plan")]
    Unknown,
    /// It is running.
    #[error("the plan is running already")]
    Running(RunId),
    /// The edge is going down.
    #[error("the edge is stopping")]
    Stopping,
}

/// Why nothing was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CancelError {
    /// No plan has that name.
    #[error("there is no such plan")]
    Unknown,
    /// It is not running.
    #[error("the plan is not running")]
    Idle,
}

/// A plan, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanSummary {
    /// Its name.
    pub name: String,
    /// Its site.
    pub site: String,
    /// Its schedule, as written.
    pub schedule: Option<String>,
    /// The zone whose clock the schedule follows.
    pub zone: String,
    /// When it comes due next, RFC 3339, by the clock of its zone.
    pub next: Option<String>,
    /// The run that is under way.
    pub running: Option<RunId>,
}

/// Follows the plans. Shared by its own thread and the admin interface.
#[derive(Debug)]
pub struct Warmer {
    path: Arc<dyn RequestPath>,
    memory: PlanMemory,
    state: Mutex<WarmerState>,
    ledger: Arc<Ledger>,
    wake: mpsc::UnboundedSender<WarmerEvent>,
    /// Until the thread takes it.
    woken: Mutex<Option<mpsc::UnboundedReceiver<WarmerEvent>>>,
}

#[derive(Debug, Default)]
struct WarmerState {
    plans: Vec<PlanEntry>,
    runs: RunHistory,
    stopping: bool,
    /// Up to when schedules have been followed.
    followed: Timestamp,
}

/// What the thread is told. As many as there are plans and configurations, so the queue needs no
/// bound of its own.
#[derive(Debug)]
enum WarmerEvent {
    Run(Arc<Run>),
    Reloaded,
}

impl Warmer {
    /// A warmer with these plans. It follows them once its thread runs.
    ///
    /// # Errors
    /// [`PlanError`] for the first plan that can't be followed.
    pub fn new(
        edge: &Arc<Edge>,
        plans: Vec<config::Plan>,
        memory: PlanMemory,
    ) -> Result<Arc<Warmer>, PlanError> {
        Warmer::on(request_path::path(edge), plans, memory)
    }

    /// A warmer that sends its requests down `path`.
    ///
    /// # Errors
    /// As [`Warmer::new`].
    pub fn on(
        path: Arc<dyn RequestPath>,
        plans: Vec<config::Plan>,
        memory: PlanMemory,
    ) -> Result<Arc<Warmer>, PlanError> {
        let (wake, woken) = mpsc::unbounded_channel();
        let state = WarmerState {
            plans: plan::entries(&*path, plans)?,
            followed: path.clock().now(),
            ..WarmerState::default()
        };
        Ok(Arc::new(Warmer {
            path,
            memory,
            state: Mutex::new(state),
            ledger: Arc::default(),
            wake,
            woken: Mutex::new(Some(woken)),
        }))
    }

    /// Takes over other plans. Runs under way go on as they began.
    ///
    /// # Errors
    /// As [`Warmer::new`], and the old plans stay.
    pub fn reload(&self, plans: Vec<config::Plan>) -> Result<(), PlanError> {
        lock(&self.state).plans = plan::entries(&*self.path, plans)?;
        let _ = self.wake.send(WarmerEvent::Reloaded);
        Ok(())
    }

    /// Starts a plan now.
    ///
    /// # Errors
    /// [`StartError`] where there is no such plan, it is running, or the edge stops.
    pub fn start(&self, plan: &str) -> Result<RunId, StartError> {
        self.begin(plan, RunStart::by(RunTrigger::Request))
    }

    /// Finds out what a plan would fetch now, and fetches nothing but its sitemaps.
    ///
    /// # Errors
    /// As [`Warmer::start`]; a dry run and a run do not stand in each other's way.
    pub fn start_dry(&self, plan: &str) -> Result<RunId, StartError> {
        let start = RunStart {
            dry: true,
            ..RunStart::by(RunTrigger::Request)
        };
        self.begin(plan, start)
    }

    /// Starts a plan since the edge has started.
    ///
    /// # Errors
    /// As [`Warmer::start`].
    pub fn start_first(&self, plan: &str) -> Result<RunId, StartError> {
        self.begin(plan, RunStart::by(RunTrigger::Start))
    }

    fn begin(&self, plan: &str, start: RunStart) -> Result<RunId, StartError> {
        let (run, forgotten) = self.new_run(plan, start)?;
        for run in forgotten.iter().filter(|run| !run.dry) {
            // A counter must not fall when a run is forgotten.
            let used = self.path.used(run.id);
            self.ledger
                .with(&run.plan.name, |totals| totals.used += used.responses);
        }
        if !run.dry {
            self.ledger.with(&run.plan.name, |totals| totals.runs += 1);
        }
        let id = run.id;
        let _ = self.wake.send(WarmerEvent::Run(run));
        Ok(id)
    }

    /// Makes a run and remembers it; with it come those that are forgotten for it.
    fn new_run(
        &self,
        plan: &str,
        start: RunStart,
    ) -> Result<(Arc<Run>, Vec<Arc<Run>>), StartError> {
        let now = self.path.clock().now();
        let mut state = lock(&self.state);
        let state = &mut *state;
        let entry = plan::find(&state.plans, plan).ok_or(StartError::Unknown)?;
        if state.stopping {
            return Err(StartError::Stopping);
        }
        if let Some(run) = state.runs.running(plan, start.dry) {
            return Err(StartError::Running(run));
        }
        let before = self
            .path
            .site(&entry.plan.site)
            .map(|site| self.path.traffic(site.index))
            .unwrap_or_default();
        let run = Arc::new(Run::new(state.runs.next_id(), entry, start, now, before));
        let forgotten = state.runs.remember(Arc::clone(&run));
        Ok((run, forgotten))
    }

    /// Ends a run early. Whether there was one to end.
    pub fn cancel(&self, run: RunId) -> bool {
        let found = lock(&self.state).runs.find(run);
        found.is_some_and(|run| !run.is_over() && !run.cancel.send_replace(true))
    }

    /// Ends the run of a plan early, and tells which that was.
    ///
    /// # Errors
    /// [`CancelError`] where there is no such plan, or it does not run.
    pub fn cancel_plan(&self, plan: &str) -> Result<RunId, CancelError> {
        let (is_known, running) = {
            let state = lock(&self.state);
            let real = state.runs.running(plan, false);
            let running = real.or_else(|| state.runs.running(plan, true));
            (plan::find(&state.plans, plan).is_some(), running)
        };
        match running {
            Some(run) if self.cancel(run) => Ok(run),
            None if !is_known => Err(CancelError::Unknown),
            Some(_) | None => Err(CancelError::Idle),
        }
    }

    /// Whether a run of the plan has come to an end; none where there is no such plan.
    pub fn has_run(&self, plan: &str) -> Option<bool> {
        let is_known = plan::find(&lock(&self.state).plans, plan).is_some();
        is_known.then(|| self.ledger.has_ended(plan))
    }

    /// The runs that are remembered, the latest first.
    pub fn runs(&self) -> Vec<RunReport> {
        let runs: Vec<Arc<Run>> = lock(&self.state).runs.iter().rev().cloned().collect();
        runs.iter().map(|run| self.report_of(run)).collect()
    }

    /// What has become of a run; none where it is not remembered.
    pub fn run(&self, run: RunId) -> Option<RunReport> {
        let run = lock(&self.state).runs.find(run)?;
        Some(self.report_of(&run))
    }

    /// How a run goes on; none where it is not remembered.
    pub fn watch(&self, run: RunId) -> Option<watch::Receiver<RunProgress>> {
        Some(lock(&self.state).runs.find(run)?.progress.subscribe())
    }

    /// The plans, in the order of the configuration.
    pub fn plans(&self) -> Vec<PlanSummary> {
        let now = self.path.clock().now();
        let state = lock(&self.state);
        let plans = state.plans.iter();
        plans
            .map(|entry| PlanSummary {
                name: entry.plan.name.to_string(),
                site: entry.plan.site.to_string(),
                schedule: entry.plan.schedule.clone(),
                zone: entry.zone.name().to_owned(),
                next: entry
                    .next_after(now)
                    .map(|next| plan::local_time(next, entry.zone)),
                running: state.runs.running(&entry.plan.name, false),
            })
            .collect()
    }

    /// What the runs of each plan came to since the edge started, by name.
    pub fn totals(&self) -> BTreeMap<Arc<str>, PlanTotals> {
        let mut totals = self.ledger.totals();
        let state = lock(&self.state);
        for run in state.runs.iter().filter(|run| !run.dry) {
            if let Some(totals) = totals.get_mut(&run.plan.name) {
                totals.used += self.path.used(run.id).responses;
            }
        }
        totals
    }

    fn report_of(&self, run: &Run) -> RunReport {
        let mut report = lock(&run.report).clone();
        let used = self.path.used(report.id);
        (report.used_later, report.used_bytes) = (used.responses, used.bytes);
        if !report.state.is_over() {
            report.seconds = self.path.clock().now().since(run.started).as_secs();
        }
        report
    }
}

#[cfg(test)]
mod tests;
