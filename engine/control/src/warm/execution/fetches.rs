//! Makes the fetches of a run in their order, as fast as its pace and the visitors' load allow.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};

use crate::warm::ledger::Ledger;
use crate::warm::path::{RequestPath, WarmOutcome};
use crate::warm::run::Run;
use crate::warm::task::WarmTask;
use tero_edge::pace::{FetchSignal, Pace};
use tero_semantics::timestamp::Timestamp;

/// How long a run waits until it looks again whether visitors leave room at the origin.
const FOR_VISITORS: Duration = Duration::from_millis(50);

/// The fetches of a run. Dropping it cancels those under way.
pub(super) struct RunFetches<'r> {
    path: &'r Arc<dyn RequestPath>,
    run: &'r Arc<Run>,
    ledger: &'r Ledger,
    site: usize,
    pace: Pace,
    to_come: VecDeque<Attempt>,
    under_way: JoinSet<FetchEnd>,
}

/// A task, and how many of its fetches have failed.
struct Attempt {
    task: WarmTask,
    tries: u32,
}

/// A fetch that has ended.
struct FetchEnd {
    attempt: Attempt,
    outcome: WarmOutcome,
    took: Duration,
}

impl RunFetches<'_> {
    /// The fetches of `run`, whose site has the index `site`; none is under way yet.
    pub(super) fn new<'r>(
        path: &'r Arc<dyn RequestPath>,
        run: &'r Arc<Run>,
        ledger: &'r Ledger,
        site: usize,
    ) -> RunFetches<'r> {
        RunFetches {
            path,
            run,
            ledger,
            site,
            pace: Pace::new(run.plan.rate, run.plan.concurrency, path.clock().now()),
            to_come: VecDeque::new(),
            under_way: JoinSet::new(),
        }
    }

    /// Makes a fetch for each of the tasks, and more for those that are tried again.
    pub(super) async fn fetch_all(mut self, tasks: Vec<WarmTask>) {
        let clock = self.path.clock().clone();
        self.to_come = tasks
            .into_iter()
            .map(|task| Attempt { task, tries: 0 })
            .collect();
        while !self.to_come.is_empty() || !self.under_way.is_empty() {
            let now = clock.now();
            let wait = self.wait(now);
            if wait == Some(Duration::ZERO)
                && let Some(attempt) = self.to_come.pop_front()
            {
                self.begin(attempt, now);
                continue;
            }
            let next = now.saturating_add(wait.unwrap_or_default());
            tokio::select! {
                Some(end) = self.under_way.join_next() => self.end(end, clock.now()),
                () = clock.sleep_until(next), if wait.is_some() => {}
            }
        }
    }

    /// How long the next fetch has to wait; `None` if it can't begin before another one ends.
    fn wait(&mut self, now: Timestamp) -> Option<Duration> {
        // Always asked, since the pace also counts the time that has passed.
        let wait = self.pace.wait(now);
        if self.to_come.is_empty() || self.under_way.len() >= self.pace.concurrency() {
            return None;
        }
        let is_full = wait.is_zero() && !self.path.has_room(self.site);
        Some(if is_full { FOR_VISITORS } else { wait })
    }

    fn begin(&mut self, attempt: Attempt, now: Timestamp) {
        self.pace.begin(now);
        let (path, run) = (Arc::clone(self.path), Arc::clone(self.run));
        self.under_way.spawn(fetch(path, run, attempt));
    }

    fn end(&mut self, end: Result<FetchEnd, JoinError>, now: Timestamp) {
        // The panic of a fetch is in the log.
        let Ok(FetchEnd {
            mut attempt,
            outcome,
            took,
        }) = end
        else {
            let lost = WarmOutcome::Failed {
                reason: "the fetch panicked".to_owned(),
                overloaded: false,
                retry_after: None,
            };
            return self.count("", None, &lost, now);
        };
        self.pace.end(signal_of(&outcome, took), now);
        if is_overload(&outcome) && attempt.tries < self.run.plan.retries {
            attempt.tries += 1;
            self.to_come.push_back(attempt);
            return self.run.update(now, |report| report.retried += 1);
        }
        let task = &attempt.task;
        self.count(&task.url(), task.variant.as_deref(), &outcome, now);
    }

    fn count(&self, url: &str, variant: Option<&str>, outcome: &WarmOutcome, now: Timestamp) {
        self.ledger.count(&self.run.plan.name, outcome);
        self.run
            .update(now, |report| report.count(url, variant, outcome));
    }
}

async fn fetch(path: Arc<dyn RequestPath>, run: Arc<Run>, attempt: Attempt) -> FetchEnd {
    let clock = path.clock().clone();
    let began = clock.now();
    let Attempt { task, .. } = &attempt;
    let outcome = path.fetch(&task.page, task.device, run.purpose(task)).await;
    FetchEnd {
        outcome,
        took: clock.now().since(began),
        attempt,
    }
}

fn is_overload(outcome: &WarmOutcome) -> bool {
    matches!(
        outcome,
        WarmOutcome::Failed {
            overloaded: true,
            ..
        }
    )
}

fn signal_of(outcome: &WarmOutcome, took: Duration) -> FetchSignal {
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
