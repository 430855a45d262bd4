//! Warming: sends a plan's pages down the request path when its schedule comes due, or when asked.
//!
//! A plan never runs twice at once, never faster than its pace, and never longer than its deadline.
//! It fetches as visitors would, once per variant, so that what it stores is found by them; what
//! stays fresh for its window is left alone. The schedules are followed by one thread of its own,
//! so that workers only ever see warming as requests to their origin.

pub mod path;
pub mod plan_memory;
pub mod report;
mod request_path;
mod run;
mod scheduler;
pub mod sitemap;
pub mod sources;
pub mod variants;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use chrono::{SecondsFormat, TimeZone};
use chrono_tz::Tz;
use serde::Serialize;
use tokio::sync::{mpsc, watch};

use self::path::{RequestPath, TrafficCounts, WarmOutcome};
use self::plan_memory::PlanMemory;
use self::report::{RunProgress, RunReport, RunState, RunTrigger};
use self::run::Run;
use tero_config as config;
use tero_edge::request::Edge;
use tero_edge::server::ShutdownStage;
use tero_semantics::timestamp::Timestamp;
use tero_time::cron::{Schedule, ScheduleError};

/// Runs that are remembered with their reports; the oldest that is over goes first.
pub const MAX_REMEMBERED_RUNS: usize = 200;

/// The number of a run: counts from 1 when the edge starts.
pub type RunId = u64;

/// Why a plan was refused.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Its schedule says nothing.
    #[error("the schedule {schedule:?} of the plan {plan} can't be followed: {source}")]
    Schedule {
        /// The plan.
        plan: Arc<str>,
        /// The schedule, as written.
        schedule: String,
        /// Why.
        source: ScheduleError,
    },
    /// It has no site.
    #[error("the plan {plan} is for the site {site}, which there is not")]
    NoSite {
        /// The plan.
        plan: Arc<str>,
        /// The site.
        site: Arc<str>,
    },
}

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

/// What a plan's runs came to, all together; dry runs don't count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlanTotals {
    /// Runs that have started.
    pub runs: u64,
    /// Runs that are over, by how they ended.
    pub ended: BTreeMap<&'static str, u64>,
    /// When a run reached its end last, in seconds since the Unix epoch; 0 before the first.
    pub last_done_unix_secs: i64,
    /// Pages times variants, as in [`RunReport`].
    pub fetched: u64,
    /// As in [`RunReport`].
    pub fresh: u64,
    /// As in [`RunReport`].
    pub not_stored: u64,
    /// As in [`RunReport`].
    pub failed: u64,
    /// Bytes of content fetched.
    pub bytes: u64,
    /// Fetched responses that visitors have used.
    pub used: u64,
    /// As in [`report::RunValue`], of windows that are over.
    pub window_hits: u64,
    /// As in [`report::RunValue`], of windows that are over.
    pub hits_given: u64,
    /// As in [`report::RunValue`], of windows that are over.
    pub wasted_bytes: u64,
}

/// A plan, for operators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    runs: VecDeque<Arc<Run>>,
    last_run: RunId,
    stopping: bool,
    /// Up to when schedules have been followed.
    followed: Timestamp,
}

#[derive(Debug)]
struct PlanEntry {
    plan: config::Plan,
    zone: Tz,
    schedule: Option<Schedule>,
}

/// What the thread is told. As many as there are plans and configurations, so the queue needs no
/// bound of its own.
#[derive(Debug)]
enum WarmerEvent {
    Run(Arc<Run>),
    Reloaded,
}

/// Totals by plan.
#[derive(Debug, Default)]
struct Ledger(Mutex<BTreeMap<Arc<str>, PlanTotals>>);

impl Ledger {
    fn with(&self, plan: &Arc<str>, change: impl FnOnce(&mut PlanTotals)) {
        change(lock(&self.0).entry(Arc::clone(plan)).or_default());
    }

    fn count(&self, plan: &Arc<str>, outcome: &WarmOutcome) {
        self.with(plan, |totals| match outcome {
            WarmOutcome::Fetched { bytes, .. } => {
                totals.fetched += 1;
                totals.bytes += bytes;
            }
            WarmOutcome::Fresh => totals.fresh += 1,
            WarmOutcome::NotStored { .. } => totals.not_stored += 1,
            WarmOutcome::Failed { .. } => totals.failed += 1,
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for dyn RequestPath {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Path")
    }
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
        let plans = check(&*path, plans)?;
        let state = WarmerState {
            plans,
            followed: path.clock().now(),
            ..WarmerState::default()
        };
        let ledger = Arc::default();
        let woken = Mutex::new(Some(woken));
        Ok(Arc::new(Warmer {
            path,
            memory,
            state: Mutex::new(state),
            ledger,
            wake,
            woken,
        }))
    }

    /// Takes over other plans. Runs under way go on as they began.
    ///
    /// # Errors
    /// As [`Warmer::new`], and the old plans stay.
    pub fn reload(&self, plans: Vec<config::Plan>) -> Result<(), PlanError> {
        lock(&self.state).plans = check(&*self.path, plans)?;
        let _ = self.wake.send(WarmerEvent::Reloaded);
        Ok(())
    }

    /// Starts a plan now.
    ///
    /// # Errors
    /// [`StartError`] where there is no such plan, it is running, or the edge stops.
    pub fn start(&self, plan: &str) -> Result<RunId, StartError> {
        self.begin(
            plan,
            RunStart {
                trigger: RunTrigger::Request,
                due: None,
                dry: false,
            },
        )
    }

    /// Finds out what a plan would fetch now, and fetches nothing but its sitemaps.
    ///
    /// # Errors
    /// As [`Warmer::start`]; a dry run and a run do not stand in each other's way.
    pub fn start_dry(&self, plan: &str) -> Result<RunId, StartError> {
        self.begin(
            plan,
            RunStart {
                trigger: RunTrigger::Request,
                due: None,
                dry: true,
            },
        )
    }

    /// Starts a plan since the edge has started.
    ///
    /// # Errors
    /// As [`Warmer::start`].
    pub fn start_first(&self, plan: &str) -> Result<RunId, StartError> {
        self.begin(
            plan,
            RunStart {
                trigger: RunTrigger::Start,
                due: None,
                dry: false,
            },
        )
    }

    fn begin(&self, name: &str, begin: RunStart) -> Result<RunId, StartError> {
        let now = self.path.clock().now();
        let mut state = lock(&self.state);
        let planned = state
            .plans
            .iter()
            .find(|planned| &*planned.plan.name == name)
            .ok_or(StartError::Unknown)?;
        if state.stopping {
            return Err(StartError::Stopping);
        }
        if let Some(run) = state.running(name, begin.dry) {
            return Err(StartError::Running(run));
        }
        let (plan, zone) = (planned.plan.clone(), planned.zone);
        let before = self
            .path
            .site(&plan.site)
            .map(|site| self.path.traffic(site.index))
            .unwrap_or_default();
        let id = state.last_run + 1;
        state.last_run = id;
        let run = Arc::new(new_run(id, plan, zone, begin, now, before));
        let forgotten = state.remember(Arc::clone(&run));
        drop(state);
        for run in forgotten.iter().filter(|run| !run.dry) {
            // A counter must not fall when a run is forgotten.
            let used = self.path.used(run.id);
            self.ledger
                .with(&run.plan.name, |totals| totals.used += used.responses);
        }
        if !run.dry {
            self.ledger.with(&run.plan.name, |totals| totals.runs += 1);
        }
        let _ = self.wake.send(WarmerEvent::Run(run));
        Ok(id)
    }

    /// Ends a run early. Whether there was one to end.
    pub fn cancel(&self, run: RunId) -> bool {
        let found = lock(&self.state).find(run);
        found.is_some_and(|run| !run.is_over() && !run.cancel.send_replace(true))
    }

    /// Ends the run of a plan early, and tells which that was.
    ///
    /// # Errors
    /// [`CancelError`] where there is no such plan, or it does not run.
    pub fn cancel_plan(&self, plan: &str) -> Result<RunId, CancelError> {
        let (known, running) = {
            let state = lock(&self.state);
            let running = state
                .running(plan, false)
                .or_else(|| state.running(plan, true));
            (
                state
                    .plans
                    .iter()
                    .any(|planned| &*planned.plan.name == plan),
                running,
            )
        };
        match running {
            Some(run) if self.cancel(run) => Ok(run),
            None if !known => Err(CancelError::Unknown),
            Some(_) | None => Err(CancelError::Idle),
        }
    }

    /// Whether a run of the plan has come to an end; none where there is no such plan.
    pub fn has_run(&self, plan: &str) -> Option<bool> {
        let known = lock(&self.state)
            .plans
            .iter()
            .any(|planned| &*planned.plan.name == plan);
        known.then(|| {
            lock(&self.ledger.0)
                .get(plan)
                .is_some_and(|totals| !totals.ended.is_empty())
        })
    }

    /// The runs that are remembered, the latest first.
    pub fn runs(&self) -> Vec<RunReport> {
        let runs: Vec<Arc<Run>> = lock(&self.state).runs.iter().rev().cloned().collect();
        runs.iter().map(|run| self.report_of(run)).collect()
    }

    /// What has become of a run; none where it is not remembered.
    pub fn run(&self, run: RunId) -> Option<RunReport> {
        let run = lock(&self.state).find(run)?;
        Some(self.report_of(&run))
    }

    /// How a run goes on; none where it is not remembered.
    pub fn watch(&self, run: RunId) -> Option<watch::Receiver<RunProgress>> {
        Some(lock(&self.state).find(run)?.progress.subscribe())
    }

    /// The plans, in the order of the configuration.
    pub fn plans(&self) -> Vec<PlanSummary> {
        let now = self.path.clock().now();
        let state = lock(&self.state);
        let summary = |planned: &PlanEntry| PlanSummary {
            name: planned.plan.name.to_string(),
            site: planned.plan.site.to_string(),
            schedule: planned.plan.schedule.clone(),
            zone: planned.zone.name().to_owned(),
            next: planned
                .schedule
                .as_ref()
                .and_then(|schedule| schedule.next_after(now))
                .map(|next| shown(next, planned.zone)),
            running: state.running(&planned.plan.name, false),
        };
        state.plans.iter().map(summary).collect()
    }

    /// What the runs of each plan came to since the edge started, by name.
    pub fn totals(&self) -> BTreeMap<Arc<str>, PlanTotals> {
        let mut totals = lock(&self.ledger.0).clone();
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

/// How a run begins.
#[derive(Clone, Copy, Debug)]
struct RunStart {
    trigger: RunTrigger,
    /// When its schedule came due.
    due: Option<Timestamp>,
    dry: bool,
}

impl WarmerState {
    fn find(&self, id: RunId) -> Option<Arc<Run>> {
        self.runs.iter().find(|run| run.id == id).cloned()
    }

    fn running(&self, plan: &str, dry: bool) -> Option<RunId> {
        let running = |run: &&Arc<Run>| &*run.plan.name == plan && run.dry == dry && !run.is_over();
        self.runs.iter().rev().find(running).map(|run| run.id)
    }

    /// Remembers a run, and returns those that are forgotten for it.
    fn remember(&mut self, run: Arc<Run>) -> Vec<Arc<Run>> {
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

fn new_run(
    id: RunId,
    plan: config::Plan,
    zone: Tz,
    begin: RunStart,
    now: Timestamp,
    before: TrafficCounts,
) -> Run {
    let until = begin.due.unwrap_or(now).saturating_add(plan.window);
    let report = RunReport {
        id,
        plan: plan.name.to_string(),
        site: plan.site.to_string(),
        trigger: begin.trigger,
        dry_run: begin.dry,
        state: RunState::Planning,
        started: shown(now, zone),
        started_unix_secs: now.unix_secs(),
        window_ends: shown(until, zone),
        seconds: 0,
        planned: 0,
        fetched: 0,
        fresh: 0,
        not_stored: 0,
        failed: 0,
        retried: 0,
        left_out: 0,
        not_kept: 0,
        bytes: 0,
        used_later: 0,
        used_bytes: 0,
        worth: None,
        failures: Vec::new(),
        refusals: Vec::new(),
        notes: Vec::new(),
        would_fetch: Vec::new(),
    };
    let (progress, _) = watch::channel(report.progress());
    let (cancel, _) = watch::channel(false);
    Run {
        id,
        plan,
        started: now,
        due: begin.due,
        until,
        dry: begin.dry,
        before,
        report: Mutex::new(report),
        progress,
        cancel,
    }
}

/// RFC 3339, by the clock of `zone`.
fn shown(time: Timestamp, zone: Tz) -> String {
    let shown = zone.timestamp_opt(time.unix_secs(), 0).earliest();
    shown.map_or_else(String::new, |time| {
        time.to_rfc3339_opts(SecondsFormat::Secs, true)
    })
}

fn check(path: &dyn RequestPath, plans: Vec<config::Plan>) -> Result<Vec<PlanEntry>, PlanError> {
    let planned = |plan: config::Plan| {
        let no_site = || PlanError::NoSite {
            plan: Arc::clone(&plan.name),
            site: Arc::clone(&plan.site),
        };
        let zone = plan
            .zone
            .unwrap_or(path.site(&plan.site).ok_or_else(no_site)?.zone);
        let schedule = plan.schedule.as_ref().map(|schedule| {
            let wrong = |source| PlanError::Schedule {
                plan: Arc::clone(&plan.name),
                schedule: schedule.clone(),
                source,
            };
            Schedule::parse(schedule, zone).map_err(wrong)
        });
        let schedule = schedule.transpose()?;
        Ok(PlanEntry {
            plan,
            zone,
            schedule,
        })
    };
    plans.into_iter().map(planned).collect()
}

/// Starts the thread that follows the plans, until the edge stops.
///
/// # Errors
/// When there is no thread or no runtime to be had.
pub fn start(
    warmer: &Arc<Warmer>,
    stages: watch::Receiver<ShutdownStage>,
) -> std::io::Result<JoinHandle<()>> {
    let warmer = Arc::clone(warmer);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()?;
    std::thread::Builder::new()
        .name("warmer".to_owned())
        .spawn(move || runtime.block_on(warmer.follow(stages)))
}

#[cfg(test)]
mod tests;
