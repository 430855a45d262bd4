//! Makes the fetches of a run in their order, as fast as its pace and the visitors' load allow.
//!
//! A page that fails rests before it is tried again, and other pages go on meanwhile. The whole run
//! slows down if the next hop asks for it (`Retry-After`), or if so many fetches fail in a row that
//! the next hop is the cause and not the pages.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};

use crate::warm::ledger::Ledger;
use crate::warm::path::{RequestPath, WarmOutcome};
use crate::warm::report::RunReport;
use crate::warm::run::Run;
use crate::warm::task::WarmTask;
use tero_edge::pace::{FetchSignal, Pace};
use tero_semantics::timestamp::Timestamp;

/// How long a run waits until it looks again whether visitors leave room at the origin.
const FOR_VISITORS: Duration = Duration::from_millis(50);

/// How long a page rests after its first failure; after each further one twice as long.
const REST: Duration = Duration::from_millis(500);

/// After so many failures in a row, the next fetch is one from the end of the list. Pages that fail
/// often stand together, and others show whether the next hop works.
const FAILURES_BEFORE_PROBES: usize = 3;

/// So many failures in a row, beyond those that were under way at the same time, are the next hop's.
const FAILURES_OF_NEXT_HOP: usize = 4;

/// A next hop that has answered gets more patience: one failure for every two answers, at most so
/// many. The pages that fail may be the last of the list.
const MOST_PATIENCE: usize = 50;

/// The fetches of a run. Dropping it cancels those under way.
pub(super) struct RunFetches<'r> {
    path: &'r Arc<dyn RequestPath>,
    run: &'r Arc<Run>,
    ledger: &'r Ledger,
    site: usize,
    pace: Pace,
    to_come: VecDeque<Attempt>,
    /// The pages that rest, by the end of their rest.
    resting: BTreeMap<(Timestamp, u64), Attempt>,
    under_way: JoinSet<FetchEnd>,
    failures_in_row: usize,
    answers: usize,
    /// How many pages have rested.
    rests: u64,
    /// The most fetches at once.
    concurrency: usize,
    /// What came of these fetches, apart from others of the run.
    report: RunReport,
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
            resting: BTreeMap::new(),
            under_way: JoinSet::new(),
            failures_in_row: 0,
            answers: 0,
            rests: 0,
            concurrency: run.plan.concurrency,
            report: RunReport::default(),
        }
    }

    /// The same, with one of so many shares of the plan's rate and concurrency.
    #[allow(clippy::cast_precision_loss, reason = "some dozens at most")]
    pub(super) fn with_share(self, of: usize) -> Self {
        let plan = &self.run.plan;
        let concurrency = (plan.concurrency / of.max(1)).max(1);
        let rate = plan.rate / of.max(1) as f64;
        RunFetches {
            pace: Pace::new(rate, concurrency, self.path.clock().now()),
            concurrency,
            ..self
        }
    }

    /// Makes a fetch for each of the tasks, and more for those that are tried again. Returns what came of
    /// them: the counts, failures and refusals of a report.
    pub(super) async fn fetch_all(mut self, tasks: Vec<WarmTask>) -> RunReport {
        let clock = self.path.clock().clone();
        self.to_come = tasks
            .into_iter()
            .map(|task| Attempt { task, tries: 0 })
            .collect();
        while !self.is_done() {
            let now = clock.now();
            self.wake(now);
            let wait = self.wait(now);
            if wait == Some(Duration::ZERO)
                && let Some(attempt) = self.take_next()
            {
                self.begin(attempt, now);
                continue;
            }
            let next = now.saturating_add(wait.unwrap_or_default());
            tokio::select! {
                // What a fetch has told counts for the next one. And a rehearsal is to be the same each
                // time: without it, the order is drawn by lot.
                biased;
                Some(end) = self.under_way.join_next() => self.end(end, clock.now()),
                () = clock.sleep_until(next), if wait.is_some() => {}
            }
        }
        self.report
    }

    fn is_done(&self) -> bool {
        self.to_come.is_empty() && self.resting.is_empty() && self.under_way.is_empty()
    }

    /// Puts the pages that have rested behind the others.
    fn wake(&mut self, now: Timestamp) {
        while let Some(entry) = self.resting.first_entry()
            && entry.key().0 <= now
        {
            self.to_come.push_back(entry.remove());
        }
    }

    /// How long the next fetch has to wait; `None` if it can't begin before another one ends.
    fn wait(&mut self, now: Timestamp) -> Option<Duration> {
        // Always asked, since the pace also counts the time that has passed.
        let wait = self.pace.wait(now);
        if self.under_way.len() >= self.pace.concurrency() {
            return None;
        }
        let Some(next) = self.next() else {
            let (until, _) = *self.resting.first_key_value()?.0;
            return Some(until.since(now));
        };
        let is_full = wait.is_zero() && !self.path.has_room(self.site, &next.task.page);
        Some(if is_full { FOR_VISITORS } else { wait })
    }

    /// The attempt that begins next.
    fn next(&self) -> Option<&Attempt> {
        match self.is_probing() {
            false => self.to_come.front(),
            true => self.to_come.back(),
        }
    }

    fn take_next(&mut self) -> Option<Attempt> {
        match self.is_probing() {
            false => self.to_come.pop_front(),
            true => self.to_come.pop_back(),
        }
    }

    fn is_probing(&self) -> bool {
        self.failures_in_row >= FAILURES_BEFORE_PROBES
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
        let signal = self.signal_of(&outcome, took);
        self.pace.end(signal, now);
        if let Some(retry_after) = overload(&outcome)
            && attempt.tries < self.run.plan.retries
        {
            let rest = REST * 2_u32.saturating_pow(attempt.tries.min(16));
            let until = now.saturating_add(rest.max(retry_after.unwrap_or_default()));
            attempt.tries += 1;
            self.resting.insert((until, self.rests), attempt);
            self.rests += 1;
            self.report.retried += 1;
            return self.run.update(now, |report| report.retried += 1);
        }
        let task = attempt.task;
        self.count(&task.url(), task.variant.as_deref(), &outcome, now);
    }

    /// What the end of a fetch shows about the next hop. A page that fails shows nothing, unless
    /// the next hop asks for a rest, or too many fail in a row.
    fn signal_of(&mut self, outcome: &WarmOutcome, took: Duration) -> FetchSignal {
        let Some(retry_after) = overload(outcome) else {
            if *outcome == WarmOutcome::Fresh {
                return FetchSignal::NotAsked;
            }
            self.failures_in_row = 0;
            self.answers += 1;
            return FetchSignal::Answered(took);
        };
        self.failures_in_row += 1;
        let patience = (self.answers / 2).min(MOST_PATIENCE);
        let most = self.concurrency + FAILURES_OF_NEXT_HOP + patience;
        if retry_after.is_some() || self.failures_in_row >= most {
            FetchSignal::Overloaded { retry_after }
        } else {
            FetchSignal::NotAsked
        }
    }

    fn count(&mut self, url: &str, variant: Option<&str>, outcome: &WarmOutcome, now: Timestamp) {
        self.ledger.count(&self.run.plan.name, outcome);
        self.report.count(url, variant, outcome);
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

/// The pause that the next hop asks for, if the outcome is a failure that may pass.
#[allow(clippy::option_option)] // A failure without a pause, and no failure.
fn overload(outcome: &WarmOutcome) -> Option<Option<Duration>> {
    match outcome {
        WarmOutcome::Failed {
            overloaded: true,
            retry_after,
            ..
        } => Some(*retry_after),
        _ => None,
    }
}
