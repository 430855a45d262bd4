//! A run from finding out what to fetch to its report.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::ledger::Ledger;
use super::lock::lock;
use super::path::{RequestPath, SiteFacts, WarmLookup, WarmOutcome};
use super::report::RunState;
use super::run::Run;
use super::sources::gather;
use super::task::{PAGES_PER_TURN, WarmTask};
use super::variants::tasks;
use tero_edge::pace::{FetchSignal, Pace};
use tero_time::clock::Clock;

/// How long a plan waits for visitors to leave room at the origin before it looks again.
const FOR_VISITORS: Duration = Duration::from_millis(50);

/// Runs a plan to its end, its deadline, or until it is cancelled.
pub(super) async fn execute(
    path: Arc<dyn RequestPath>,
    run: Arc<Run>,
    ledger: Arc<Ledger>,
) -> Arc<Run> {
    let clock = path.clock().clone();
    // A run that breaks must not stand in the way of the next one.
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
    run.finish(state, clock.now());
    let report = lock(&run.report).clone();
    tracing::info!(
        plan = %report.plan, run = report.id, state = report.state.as_str(), planned = report.planned, fetched = report.fetched,
        fresh = report.fresh, not_stored = report.not_stored, failed = report.failed, bytes = report.bytes, seconds = report.seconds,
        dry_run = report.dry_run, "warmed"
    );
    run
}

struct RunGuard {
    run: Arc<Run>,
    clock: Clock,
}

impl Drop for RunGuard {
    fn drop(&mut self) {
        self.run.finish(RunState::Failed, self.clock.now());
    }
}

async fn work(path: &Arc<dyn RequestPath>, run: &Arc<Run>, ledger: &Arc<Ledger>) -> RunState {
    let clock = path.clock();
    let Some(site) = path.site(&run.plan.site) else {
        run.update(clock.now(), |report| {
            report.note("the site is not served any more")
        });
        return RunState::Failed;
    };
    let gathered = gather(path, run, &site).await;
    let to_do = tasks(path, &site, &gathered.candidates, run.plan.max_urls).await;
    run.update(clock.now(), |report| {
        gathered.notes.iter().for_each(|note| report.note(note));
        if to_do.passed > 0 {
            report.note(&format!(
                "{} pages are passed by, by decision of the policies: not fetched",
                to_do.passed
            ));
        }
        report.planned = to_do.tasks.len() as u64;
        report.left_out = to_do.left_out;
        report.state = RunState::Fetching;
    });
    if site.host.is_none() {
        return RunState::Failed;
    }
    if run.dry {
        look_at_all(path, run, to_do.tasks).await;
    } else {
        fetch_all(path, run, ledger, &site, to_do.tasks).await;
    }
    RunState::Done
}

/// Looks what is stored of the tasks, and fetches nothing.
async fn look_at_all(path: &Arc<dyn RequestPath>, run: &Run, tasks: Vec<WarmTask>) {
    for chunk in tasks.chunks(PAGES_PER_TURN) {
        run.update(path.clock().now(), |report| {
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

/// Fetches the tasks in their order, as fast as the pace and the visitors allow. Dropped, it drops
/// the fetches under way.
async fn fetch_all(
    path: &Arc<dyn RequestPath>,
    run: &Arc<Run>,
    ledger: &Arc<Ledger>,
    site: &SiteFacts,
    tasks: Vec<WarmTask>,
) {
    let clock = path.clock().clone();
    let mut pace = Pace::new(run.plan.rate, run.plan.concurrency, clock.now());
    let mut under_way: JoinSet<(Attempt, WarmOutcome, Duration)> = JoinSet::new();
    let mut to_come: VecDeque<Attempt> = tasks
        .into_iter()
        .map(|task| Attempt { task, tries: 0 })
        .collect();
    while !to_come.is_empty() || !under_way.is_empty() {
        let now = clock.now();
        let wants_more = !to_come.is_empty() && under_way.len() < pace.concurrency();
        let mut wait = pace.wait(now);
        if wants_more && wait.is_zero() {
            if path.has_room(site.index)
                && let Some(attempt) = to_come.pop_front()
            {
                pace.begin(now);
                under_way.spawn(fetch(Arc::clone(path), Arc::clone(run), attempt));
                continue;
            }
            wait = FOR_VISITORS;
        }
        let ended = tokio::select! {
            Some(ended) = under_way.join_next() => ended,
            () = clock.sleep_until(now.saturating_add(wait)), if wants_more => continue,
        };
        // A fetch that panicked has said so in the log.
        let Ok((attempt, outcome, took)) = ended else {
            let lost = WarmOutcome::Failed {
                reason: "the fetch broke".to_owned(),
                overloaded: false,
                retry_after: None,
            };
            ledger.count(&run.plan.name, &lost);
            run.update(clock.now(), |report| report.count("", None, &lost));
            continue;
        };
        pace.end(sign_of(&outcome, took), clock.now());
        if matches!(
            outcome,
            WarmOutcome::Failed {
                overloaded: true,
                ..
            }
        ) && attempt.tries < run.plan.retries
        {
            to_come.push_back(Attempt {
                tries: attempt.tries + 1,
                ..attempt
            });
            run.update(clock.now(), |report| report.retried += 1);
            continue;
        }
        ledger.count(&run.plan.name, &outcome);
        let task = &attempt.task;
        run.update(clock.now(), |report| {
            report.count(&task.url(), task.variant.as_deref(), &outcome)
        });
    }
}

/// A task, and how often it has been tried in vain.
struct Attempt {
    task: WarmTask,
    tries: u32,
}

async fn fetch(
    path: Arc<dyn RequestPath>,
    run: Arc<Run>,
    attempt: Attempt,
) -> (Attempt, WarmOutcome, Duration) {
    let clock = path.clock().clone();
    let began = clock.now();
    let outcome = path
        .fetch(
            &attempt.task.page,
            attempt.task.device,
            run.purpose(&attempt.task),
        )
        .await;
    let took = clock.now().since(began);
    (attempt, outcome, took)
}

fn sign_of(outcome: &WarmOutcome, took: Duration) -> FetchSignal {
    match outcome {
        WarmOutcome::Fresh => FetchSignal::NotAsked,
        WarmOutcome::Failed {
            overloaded: true,
            retry_after,
            ..
        } => FetchSignal::Overloaded {
            retry_after: *retry_after,
        },
        WarmOutcome::Failed { .. }
        | WarmOutcome::Fetched { .. }
        | WarmOutcome::NotStored { .. } => FetchSignal::Answered(took),
    }
}
