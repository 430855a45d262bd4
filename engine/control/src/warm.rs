//! Warming: sends a plan's pages down the request path when its schedule comes due, or on request.
//!
//! A plan never has two runs at once, never exceeds its rate, and never runs past its deadline. It
//! fetches each page as a visitor would, once per variant, so that visitors find what it stored.
//! Responses that stay fresh for the plan's window are left alone. One thread of its own follows
//! the schedules and runs the plans; workers see warming only as load on their origins.

pub mod candidate;
mod execution;
mod ledger;
mod lock;
pub mod path;
mod plan;
pub mod plan_memory;
mod rehearsed_path;
pub mod report;
mod request_path;
mod run;
mod scheduler;
pub mod shared;
pub mod sitemap;
pub mod sources;
pub mod task;
pub mod turns;
pub mod variants;
mod windows;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use chrono_tz::Tz;
use tokio::sync::{mpsc, watch};

use self::ledger::Ledger;
use self::lock::lock;
use self::path::RequestPath;
use self::plan::PlanEntry;
use self::plan_memory::PlanMemory;
use self::rehearsed_path::RehearsedPath;
use self::report::{RunProgress, RunReport, RunTrigger};
use self::run::{Run, RunHistory, RunStart};
use self::turns::RunTurns;
use tero_config as config;
use tero_edge::request::Edge;
use tero_edge::request::rehearsal::Rehearsal;
use tero_edge::run_id::RunId;
use tero_semantics::timestamp::Timestamp;

pub use self::ledger::PlanTotals;
pub use self::plan::PlanError;
pub(crate) use self::request_path::popular_here;
pub use self::run::MAX_REMEMBERED_RUNS;
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
    /// The edge is stopping.
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

/// A plan, as the admin interface shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanSummary {
    /// Its name.
    pub name: String,
    /// Its site.
    pub site: String,
    /// Its schedule, as written in the configuration.
    pub schedule: Option<String>,
    /// The time zone of the schedule.
    pub zone: String,
    /// When it comes due next, in RFC 3339 with the local time of its zone.
    pub next: Option<String>,
    /// Its current run.
    pub running: Option<RunId>,
}

/// Runs the plans. Its own thread, housekeeping and the admin interface share it.
#[derive(Debug)]
pub struct Warmer {
    path: Arc<dyn RequestPath>,
    memory: PlanMemory,
    state: Mutex<WarmerState>,
    ledger: Arc<Ledger>,
    wake: mpsc::UnboundedSender<WarmerEvent>,
    /// Turns with the other nodes of a fleet.
    turns: OnceLock<Arc<dyn RunTurns>>,
    /// `None` once the thread has taken it.
    woken: Mutex<Option<mpsc::UnboundedReceiver<WarmerEvent>>>,
}

#[derive(Debug, Default)]
struct WarmerState {
    plans: Vec<PlanEntry>,
    runs: RunHistory,
    stopping: bool,
    /// The time up to which due plans have been started.
    followed: Timestamp,
    /// The plans that the edge waits for before it is ready.
    first_runs: BTreeMap<Arc<str>, FirstRun>,
}

/// Plans that can be followed, and are not yet.
#[derive(Debug)]
pub(crate) struct PreparedPlans(Vec<PlanEntry>);

/// The run of a plan that the edge waits for before it is ready.
#[derive(Debug, Default)]
struct FirstRun {
    /// When the edge waits no longer.
    at_last: Timestamp,
    /// When it is started again; `None` while it runs.
    again_at: Option<Timestamp>,
    /// How often it has failed.
    failures: u32,
}

/// What the thread has to do. Besides reloads, at most a run and a dry run of each plan wait in the
/// queue, so it needs no bound of its own.
#[derive(Debug)]
enum WarmerEvent {
    Run(Arc<Run>),
    /// The turn of a plan that came due has come.
    Turn(Arc<str>, RunStart),
    Reloaded,
}

impl Warmer {
    /// A warmer for `edge` with these plans. Nothing runs before its thread does, see [`start`].
    ///
    /// # Errors
    /// [`PlanError`] for the first plan that can't be used.
    pub fn new(
        edge: &Arc<Edge>,
        plans: Vec<config::Plan>,
        memory: PlanMemory,
    ) -> Result<Arc<Warmer>, PlanError> {
        Warmer::on(request_path::path(edge), plans, memory)
    }

    /// A warmer whose requests are rehearsed.
    ///
    /// # Errors
    /// [`PlanError`] for the first plan that can't be used.
    pub(crate) fn rehearsed(
        rehearsal: &Arc<Rehearsal>,
        plans: Vec<config::Plan>,
    ) -> Result<Arc<Warmer>, PlanError> {
        let path = RehearsedPath::new(rehearsal);
        Warmer::on(Arc::new(path), plans, PlanMemory::default())
    }

    /// A warmer that sends its requests down `path`.
    ///
    /// # Errors
    /// [`PlanError`] for the first plan that can't be used.
    pub fn on(
        path: Arc<dyn RequestPath>,
        plans: Vec<config::Plan>,
        memory: PlanMemory,
    ) -> Result<Arc<Warmer>, PlanError> {
        let (wake, woken) = mpsc::unbounded_channel();
        let state = WarmerState {
            plans: plan::entries(|site| Some(path.site(site)?.zone), plans)?,
            followed: path.clock().wall(),
            ..WarmerState::default()
        };
        Ok(Arc::new(Warmer {
            path,
            memory,
            state: Mutex::new(state),
            ledger: Arc::default(),
            wake,
            turns: OnceLock::new(),
            woken: Mutex::new(Some(woken)),
        }))
    }

    /// Has the plans whose sites have shields take turns with those of other nodes, from now on.
    pub fn take_turns(&self, turns: Arc<dyn RunTurns>) {
        let _ = self.turns.set(turns);
    }

    /// Plans for [`Warmer::install`]. `zone_of` knows the zones of their sites by name.
    ///
    /// # Errors
    /// [`PlanError`] for the first plan that can't be used.
    pub(crate) fn prepare(
        plans: Vec<config::Plan>,
        zone_of: impl Fn(&str) -> Option<Tz>,
    ) -> Result<PreparedPlans, PlanError> {
        plan::entries(zone_of, plans).map(PreparedPlans)
    }

    /// Replaces the plans. Current runs go on as they began.
    pub(crate) fn install(&self, plans: PreparedPlans) {
        lock(&self.state).plans = plans.0;
        let _ = self.wake.send(WarmerEvent::Reloaded);
    }

    /// Replaces the plans, for sites that are there already.
    #[cfg(test)]
    fn reload(&self, plans: Vec<config::Plan>) -> Result<(), PlanError> {
        let zone_of = |site: &str| Some(self.path.site(site)?.zone);
        self.install(Warmer::prepare(plans, zone_of)?);
        Ok(())
    }

    /// Starts a run of a plan.
    ///
    /// # Errors
    /// [`StartError`] if there is no such plan, it is running already, or the edge is stopping.
    pub fn start(&self, plan: &str) -> Result<RunId, StartError> {
        self.begin(plan, RunStart::by(RunTrigger::Request))
    }

    /// Starts a dry run of a plan: it lists what a run would fetch, and fetches sitemaps only. A
    /// plan may have a run and a dry run at once.
    ///
    /// # Errors
    /// [`StartError`], as [`Warmer::start`].
    pub fn start_dry(&self, plan: &str) -> Result<RunId, StartError> {
        let start = RunStart {
            dry: true,
            ..RunStart::by(RunTrigger::Request)
        };
        self.begin(plan, start)
    }

    /// Starts the run of a plan that the edge waits for before it is ready, until `at_last`. If it
    /// fails, it is started again after a rest.
    ///
    /// # Errors
    /// [`StartError`], as [`Warmer::start`].
    pub fn start_first(&self, plan: &str, at_last: Timestamp) -> Result<RunId, StartError> {
        let run = self.begin(plan, RunStart::by(RunTrigger::Start))?;
        let first = FirstRun {
            at_last,
            ..FirstRun::default()
        };
        lock(&self.state).first_runs.insert(plan.into(), first);
        Ok(run)
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

    /// Makes and remembers a run. Also returns the runs that are forgotten to make room for it.
    fn new_run(
        &self,
        plan: &str,
        start: RunStart,
    ) -> Result<(Arc<Run>, Vec<Arc<Run>>), StartError> {
        let now = self.path.clock().wall();
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
        let run = Arc::new(Run {
            fellows: self.turns.get().cloned(),
            ..Run::new(state.runs.next_id(), entry, start, now, before)
        });
        let forgotten = state.runs.remember(Arc::clone(&run));
        Ok((run, forgotten))
    }

    /// Cancels a run, at all nodes that share it. Returns false if it is over, or not remembered.
    pub fn cancel(&self, run: RunId) -> bool {
        let found = lock(&self.state).runs.find(run);
        let is_open = |run: &Arc<Run>| !run.is_over() && !run.cancel.send_replace(true);
        let cancelled = found.filter(is_open);
        if let Some(run) = &cancelled {
            self.cancel_at_others(run);
        }
        cancelled.is_some()
    }

    /// Tells the other nodes that a run is cancelled, on a thread of its own: their answer may take long.
    fn cancel_at_others(&self, run: &Arc<Run>) {
        let Some((pages, name)) = run.shared() else {
            return;
        };
        let (run, clock) = (Arc::clone(run), self.path.clock().clone());
        let told = std::thread::Builder::new()
            .name("warmer-cancel".to_owned())
            .spawn(move || {
                if let Err(error) = pages.cancel(&name) {
                    tracing::warn!(plan = %name.plan, %error, "a run is cancelled at this node alone");
                    let note = format!("cancelled at this node alone: {error}");
                    run.update(clock.wall(), |report| report.note(&note));
                }
            });
        if let Err(error) = told {
            tracing::warn!(%error, "a run is cancelled at this node alone");
        }
    }

    /// Cancels the current run of a plan, and returns its number.
    ///
    /// # Errors
    /// [`CancelError`] if there is no such plan, or it is not running.
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

    /// Whether a run of the plan has ended, other than by a failure; `None` if there is no such plan.
    pub fn has_run(&self, plan: &str) -> Option<bool> {
        let is_known = plan::find(&lock(&self.state).plans, plan).is_some();
        is_known.then(|| self.ledger.has_run(plan))
    }

    /// The reports of all remembered runs, the latest first.
    pub fn runs(&self) -> Vec<RunReport> {
        let runs: Vec<Arc<Run>> = lock(&self.state).runs.iter().rev().cloned().collect();
        runs.iter().map(|run| self.report_of(run)).collect()
    }

    /// The report of a run; `None` if it is not remembered.
    pub fn run(&self, run: RunId) -> Option<RunReport> {
        let run = lock(&self.state).runs.find(run)?;
        Some(self.report_of(&run))
    }

    /// The progress of a run, as it changes; `None` if the run is not remembered.
    pub fn watch(&self, run: RunId) -> Option<watch::Receiver<RunProgress>> {
        Some(lock(&self.state).runs.find(run)?.progress.subscribe())
    }

    /// The plans, in the configuration's order.
    pub fn plans(&self) -> Vec<PlanSummary> {
        let now = self.path.clock().wall();
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

    /// The totals of each plan since the edge started, by its name. A plan that has not run has them too: a
    /// counter that begins with its first event has not grown for Prometheus.
    pub fn totals(&self) -> BTreeMap<Arc<str>, PlanTotals> {
        let mut totals = self.ledger.totals();
        let state = lock(&self.state);
        for entry in &state.plans {
            totals.entry(Arc::clone(&entry.plan.name)).or_default();
        }
        for run in state.runs.iter().filter(|run| !run.dry) {
            if let Some(totals) = totals.get_mut(&run.plan.name) {
                totals.used += self.path.used(run.id).responses;
            }
        }
        totals
    }

    fn report_of(&self, run: &Run) -> RunReport {
        let mut report = lock(&run.report).clone();
        let used = self.path.used(run.id);
        (report.used_later, report.used_bytes) = (used.responses, used.bytes);
        if !report.state.is_over() {
            report.seconds = self.path.clock().wall().since(run.started).as_secs();
        }
        report
    }
}

#[cfg(test)]
mod tests;
