//! Carries out a run: plans its tasks, fetches or lists them, and logs the result.

mod fetches;
pub(super) mod shared;

use std::collections::HashSet;
use std::sync::Arc;

use self::fetches::RunFetches;
use self::shared::{SharedPart, TaskKey};
use super::ledger::Ledger;
use super::lock::lock;
use super::path::{RequestPath, SiteFacts, WarmLookup};
use super::report::RunState;
use super::run::Run;
use super::shared::SharedPlan;
use super::sources::{gather, host_of};
use super::task::{PAGES_PER_TURN, WarmTask};
use super::turns::{FIRST_ALONE, FIRST_SHARED, RunTurn};
use super::variants::{WarmTasks, tasks};
use tero_time::clock::Clock;

/// Carries out a run until it is done, its deadline passes, or it is cancelled.
pub(super) async fn execute(
    path: Arc<dyn RequestPath>,
    run: Arc<Run>,
    ledger: Arc<Ledger>,
) -> Arc<Run> {
    let clock = path.clock().clone();
    // A run that panics must end, or the plan could not run again.
    let _guard = RunGuard {
        run: Arc::clone(&run),
        clock: clock.clone(),
    };
    let mut cancelled = run.cancel.subscribe();
    let within = run.plan.deadline;
    let state = tokio::select! {
        biased;
        _ = cancelled.wait_for(|cancelled| *cancelled) => RunState::Cancelled,
        done = clock.timeout(within, work(&path, &run, &ledger)) => done.unwrap_or(RunState::DeadlinePassed),
    };
    run.finish(state, clock.wall());
    log(&run);
    run
}

struct RunGuard {
    run: Arc<Run>,
    clock: Clock,
}

impl Drop for RunGuard {
    fn drop(&mut self) {
        self.run.finish(RunState::Failed, self.clock.wall());
    }
}

fn log(run: &Run) {
    let report = lock(&run.report).clone();
    tracing::info!(
        plan = %report.plan, run = report.id, state = report.state.as_str(), planned = report.planned, fetched = report.fetched,
        fresh = report.fresh, not_stored = report.not_stored, failed = report.failed, bytes = report.bytes, seconds = report.seconds,
        dry_run = report.dry_run, "warmed"
    );
}

async fn work(path: &Arc<dyn RequestPath>, run: &Arc<Run>, ledger: &Arc<Ledger>) -> RunState {
    let Some(site) = path.site(&run.plan.site) else {
        run.update(path.clock().wall(), |report| {
            report.note("the site is not served any more")
        });
        return RunState::Failed;
    };
    let Some(part) = shared_part(path, run, ledger, &site) else {
        return carry_out(path, run, ledger, &site, None).await;
    };
    tokio::select! {
        biased;
        state = carry_out(path, run, ledger, &site, Some(&part)) => state,
        never = part.follow() => match never {},
    }
}

async fn carry_out(
    path: &Arc<dyn RequestPath>,
    run: &Arc<Run>,
    ledger: &Arc<Ledger>,
    site: &SiteFacts,
    part: Option<&SharedPart>,
) -> RunState {
    let mut shared = HashSet::new();
    if let Some(part) = part
        && run.turn == RunTurn::Joined
    {
        shared = part.fetch().await;
    }
    let mut tasks = plan_tasks(path, run, site).await;
    if host_of(&run.plan, site).is_none() {
        return RunState::Failed;
    }
    if run.turn == RunTurn::First {
        shared = share(path, run, part, &tasks).await;
    }
    // What others have fetched lies at the shields now, and this node gets it from there.
    tasks.retain(|task| !shared.contains(&(task.page.clone(), task.device)));
    run.update(path.clock().wall(), |report| {
        report.planned = (shared.len() + tasks.len()) as u64;
    });
    if run.dry {
        look_at_all(path, run, tasks).await;
    } else {
        RunFetches::new(path, run, ledger, site.index)
            .fetch_all(tasks)
            .await;
    }
    if lock(&run.report).sitemaps_failed > 0 {
        RunState::Failed
    } else {
        RunState::Done
    }
}

/// The part of a run that the nodes of a fleet share; `None` for a run that is this node's alone.
fn shared_part(
    path: &Arc<dyn RequestPath>,
    run: &Arc<Run>,
    ledger: &Arc<Ledger>,
    site: &SiteFacts,
) -> Option<SharedPart> {
    let (pages, name) = run.shared()?;
    Some(SharedPart {
        path: Arc::clone(path),
        run: Arc::clone(run),
        ledger: Arc::clone(ledger),
        site: site.index,
        pages,
        name,
    })
}

/// Shares what this node has planned, and fetches its part. Returns what it has fetched. If the others can't
/// share it, this node runs the plan first.
async fn share(
    path: &Arc<dyn RequestPath>,
    run: &Run,
    part: Option<&SharedPart>,
    tasks: &[WarmTask],
) -> HashSet<TaskKey> {
    let note = |note: &str| run.update(path.clock().wall(), |report| report.note(note));
    let Some(part) = part else {
        note(FIRST_ALONE);
        return HashSet::new();
    };
    let ends = run.started.saturating_add(run.plan.deadline);
    let plan = SharedPlan::new(tasks, run.plan.concurrency, ends);
    match part.share(plan).await {
        Ok(()) => {
            note(FIRST_SHARED);
            part.fetch().await
        }
        Err(error) => {
            note(FIRST_ALONE);
            note(&format!("the fleet doesn't share the pages: {error}"));
            HashSet::new()
        }
    }
}

/// The tasks of a run; notes in its report what they leave out.
async fn plan_tasks(path: &Arc<dyn RequestPath>, run: &Run, site: &SiteFacts) -> Vec<WarmTask> {
    let gathered = gather(path, run, site).await;
    let WarmTasks {
        tasks,
        left_out,
        passed,
    } = tasks(path, site, &gathered.candidates, run.plan.max_urls).await;
    run.update(path.clock().wall(), |report| {
        gathered.notes.iter().for_each(|note| report.note(note));
        if passed > 0 {
            report.note(&format!(
                "{passed} pages pass, by decision of the policies or of `site.never`: not fetched"
            ));
        }
        report.sitemaps_failed = gathered.sitemaps_failed;
        report.planned = tasks.len() as u64;
        report.left_out = left_out;
        report.state = RunState::Fetching;
    });
    tasks
}

/// Lists the tasks of a dry run, but for those that are stored and fresh.
async fn look_at_all(path: &Arc<dyn RequestPath>, run: &Run, tasks: Vec<WarmTask>) {
    for chunk in tasks.chunks(PAGES_PER_TURN) {
        run.update(path.clock().wall(), |report| {
            for task in chunk {
                match path.look(&task.page, task.device, run.purpose(task)) {
                    WarmLookup::Fresh => report.fresh += 1,
                    found => report.list(task, found),
                }
            }
        });
        tokio::task::yield_now().await;
    }
}
