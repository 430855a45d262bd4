//! One run of a plan, from finding out what to fetch to its report.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::pace::{Pace, Sign};
use super::path::{Path, WarmOutcome};
use super::report::{Progress, RunReport, RunState};
use super::sources::gather;
use super::variants::{Task, tasks};
use super::{Ledger, lock};
use crate::clock::Clock;
use crate::config;
use crate::semantics::timestamp::Timestamp;

/// A run as it goes: what it has come to so far, and who watches.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) plan: config::Plan,
    pub(super) started: Timestamp,
    pub(super) report: std::sync::Mutex<RunReport>,
    pub(super) progress: watch::Sender<Progress>,
    pub(super) cancel: watch::Sender<bool>,
}

impl Run {
    /// Changes the report and tells those who wait.
    fn update(&self, now: Timestamp, change: impl FnOnce(&mut RunReport)) {
        let progress = {
            let mut report = lock(&self.report);
            change(&mut report);
            report.seconds = now.since(self.started).as_secs();
            report.progress()
        };
        self.progress.send_replace(progress);
    }

    /// Whether nothing more will happen.
    pub(super) fn is_over(&self) -> bool {
        lock(&self.report).state.is_over()
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

/// Runs a plan to its end, its deadline, or until it is cancelled.
pub(super) async fn execute(path: Arc<dyn Path>, run: Arc<Run>, ledger: Arc<Ledger>) {
    let clock = path.clock().clone();
    // A run that breaks must not stand in the way of the next one.
    let _guard = Guard { run: Arc::clone(&run), clock: clock.clone() };
    let mut cancelled = run.cancel.subscribe();
    let within = run.plan.deadline;
    let state = tokio::select! {
        biased;
        _ = cancelled.wait_for(|cancelled| *cancelled) => RunState::Cancelled,
        done = clock.timeout(within, work(&path, &run, &ledger)) => done.unwrap_or(RunState::DeadlinePassed),
    };
    run.finish(state, clock.now());
    let report = lock(&run.report).clone();
    tracing::info!(
        plan = %report.plan, run = report.id, state = report.state.as_str(), planned = report.planned, fetched = report.fetched,
        fresh = report.fresh, not_stored = report.not_stored, failed = report.failed, bytes = report.bytes, seconds = report.seconds,
        "warmed"
    );
}

struct Guard {
    run: Arc<Run>,
    clock: Clock,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.run.finish(RunState::Failed, self.clock.now());
    }
}

async fn work(path: &Arc<dyn Path>, run: &Arc<Run>, ledger: &Arc<Ledger>) -> RunState {
    let clock = path.clock();
    let Some(site) = path.site(&run.plan.site) else {
        run.update(clock.now(), |report| report.note("the site is not served any more"));
        return RunState::Failed;
    };
    let id = lock(&run.report).id;
    let gathered = gather(path, &run.plan, &site, id).await;
    let to_do = tasks(path, &site, &gathered.candidates, run.plan.max_urls).await;
    run.update(clock.now(), |report| {
        gathered.notes.iter().for_each(|note| report.note(note));
        if to_do.passed > 0 {
            report.note(&format!("{} pages are passed by, by decision of the policies: not fetched", to_do.passed));
        }
        report.planned = to_do.tasks.len() as u64;
        report.left_out = to_do.left_out;
        report.state = RunState::Fetching;
    });
    if site.host.is_none() {
        return RunState::Failed;
    }
    fetch_all(path, run, ledger, to_do.tasks).await;
    RunState::Done
}

/// Fetches the tasks in their order, as fast as the pace allows. Dropped, it drops the fetches under way.
async fn fetch_all(path: &Arc<dyn Path>, run: &Arc<Run>, ledger: &Arc<Ledger>, tasks: Vec<Task>) {
    let clock = path.clock().clone();
    let id = lock(&run.report).id;
    let mut pace = Pace::new(run.plan.rate, run.plan.concurrency, clock.now());
    let mut under_way: JoinSet<(Task, WarmOutcome, Duration)> = JoinSet::new();
    let mut to_come = tasks.into_iter().peekable();
    while to_come.peek().is_some() || !under_way.is_empty() {
        let now = clock.now();
        let wait = pace.wait(now);
        let has_room = to_come.peek().is_some() && under_way.len() < pace.concurrency();
        if has_room
            && wait.is_zero()
            && let Some(task) = to_come.next()
        {
            pace.begin(now);
            under_way.spawn(fetch(Arc::clone(path), task, id));
            continue;
        }
        let ended = tokio::select! {
            Some(ended) = under_way.join_next() => ended,
            () = clock.sleep(wait), if has_room => continue,
        };
        // A fetch that panicked has said so in the log.
        let Ok((task, outcome, took)) = ended else {
            let lost = WarmOutcome::Failed { reason: "the fetch broke".to_owned(), overloaded: false, retry_after: None };
            ledger.count(&run.plan.name, &lost);
            run.update(clock.now(), |report| report.count("", None, &lost));
            continue;
        };
        pace.end(sign_of(&outcome, took), clock.now());
        ledger.count(&run.plan.name, &outcome);
        let url = format!("{}{}", task.page.host, task.page.target);
        run.update(clock.now(), |report| report.count(&url, task.variant.as_deref(), &outcome));
    }
}

async fn fetch(path: Arc<dyn Path>, task: Task, run: u64) -> (Task, WarmOutcome, Duration) {
    let clock = path.clock().clone();
    let began = clock.now();
    let outcome = path.fetch(&task.page, task.device, run).await;
    let took = clock.now().since(began);
    (task, outcome, took)
}

fn sign_of(outcome: &WarmOutcome, took: Duration) -> Sign {
    match outcome {
        WarmOutcome::Fresh => Sign::NotAsked,
        WarmOutcome::Failed { overloaded: true, retry_after, .. } => Sign::Overloaded { retry_after: *retry_after },
        WarmOutcome::Failed { .. } | WarmOutcome::Fetched { .. } | WarmOutcome::NotStored { .. } => Sign::Answered(took),
    }
}
