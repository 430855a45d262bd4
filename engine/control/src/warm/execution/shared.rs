//! The part of a run that the nodes of a fleet share: fetches the batches that this node gets, until all are
//! done.
//!
//! All nodes together keep the plan's rate and concurrency: a batch has a share of both, and is in the hands
//! of its node for as long as its pages take at that share.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{JoinSet, spawn_blocking};

use super::fetches::RunFetches;
use crate::warm::ledger::Ledger;
use crate::warm::path::{Page, RequestPath};
use crate::warm::report::{RunReport, RunState};
use crate::warm::run::Run;
use crate::warm::shared::{
    BatchResult, FleetRun, KEEP_EVERY, PageSharing, SharedBatch, SharedPlan, SharedRunName,
    TakenPages,
};
use crate::warm::task::WarmTask;
use crate::warm::turns::RunTurn;
use tero_policy_host::device::Device;
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;

/// Failures in a row after which this node goes on alone.
pub(in crate::warm) const MOST_FAILURES: u32 = 5;
/// The rest after a failure.
const REST: Duration = Duration::from_secs(1);
/// How long a node that has pages leaves further ones to the others, unless they take the place of some
/// that it is done with.
const OTHERS_FIRST: Duration = Duration::from_secs(1);
/// How often a node looks at the report of the fleet, whatever else it does.
const LOOK_EVERY: Duration = Duration::from_secs(2);

const THREAD_FAILED: &str = "the thread that asked has failed";

/// A fetch, as it is told from others.
pub(super) type TaskKey = (Page, Device);

/// The shared part of a run.
#[derive(Clone)]
pub(super) struct SharedPart {
    pub(super) path: Arc<dyn RequestPath>,
    pub(super) run: Arc<Run>,
    pub(super) ledger: Arc<Ledger>,
    /// The index of the site.
    pub(super) site: usize,
    pub(super) pages: Arc<dyn PageSharing>,
    pub(super) name: SharedRunName,
}

/// How many batches this node has at once, and when it asks for the next one.
struct Places {
    /// Those that it may fill at once: as many as it had together before.
    own: usize,
    /// Those of all nodes together.
    at_once: usize,
    /// When it may have one more: the others had time to take it.
    one_more: Timestamp,
    /// When it has rested from a failure.
    rested: Timestamp,
    failures: u32,
    /// Batches in a row that were fetched, and that the fleet doesn't know of.
    unheard: u32,
    is_over: bool,
}

impl Places {
    fn new() -> Places {
        Places {
            own: 1,
            at_once: 1,
            one_more: Timestamp::default(),
            rested: Timestamp::default(),
            failures: 0,
            unheard: 0,
            is_over: false,
        }
    }

    /// When a node that has so many batches asks for the next one; `None` if it doesn't.
    fn next_take(&self, hands: usize) -> Option<Timestamp> {
        if self.is_over || hands >= self.at_once {
            return None;
        }
        match hands < self.own {
            true => Some(self.rested),
            false => Some(self.one_more.max(self.rested)),
        }
    }

    /// It has so many batches now.
    fn took(&mut self, hands: usize, at_once: usize, now: Timestamp) {
        self.own = self.own.max(hands);
        self.at_once = at_once;
        self.one_more = now.saturating_add(OTHERS_FIRST);
        self.failures = 0;
    }

    /// The others have the rest, and this node has so many batches.
    fn took_nothing(&mut self, hands: usize, now: Timestamp) {
        self.own = hands.max(1);
        self.one_more = now.saturating_add(OTHERS_FIRST);
        self.failures = 0;
    }

    /// The fleet knows that a batch is done.
    fn heard(&mut self) {
        self.unheard = 0;
    }

    /// The fleet can't be told that a batch is done, which comes again. Returns whether this node goes on
    /// alone with the next one.
    fn unheard(&mut self) -> bool {
        self.unheard += 1;
        let goes_on_alone = !self.is_over && self.unheard >= MOST_FAILURES;
        self.is_over |= goes_on_alone;
        goes_on_alone
    }

    /// The fleet can't be asked. Returns whether this node goes on alone.
    fn failed(&mut self, now: Timestamp) -> bool {
        self.failures += 1;
        self.rested = now.saturating_add(REST);
        self.is_over = self.failures >= MOST_FAILURES;
        self.is_over
    }
}

/// A batch that this node has fetched.
struct FetchedBatch {
    tasks: Vec<WarmTask>,
    told: Result<FleetRun, String>,
}

type Taken = Result<(FleetRun, TakenPages), String>;
type Taking = oneshot::Receiver<Taken>;

impl SharedPart {
    /// Shares what this node has planned.
    ///
    /// # Errors
    /// Why it can't be shared, for people.
    pub(super) async fn share(&self, plan: SharedPlan) -> Result<(), String> {
        let (pages, name) = (Arc::clone(&self.pages), self.name.clone());
        let shared = on_own_thread(move || pages.share(&name, &plan)).await;
        shared.unwrap_or_else(|_| Err(THREAD_FAILED.to_owned()))
    }

    /// Fetches what this node gets, until the run of the fleet is over. Returns what it has fetched.
    pub(super) async fn fetch(&self) -> HashSet<TaskKey> {
        let clock = self.path.clock().clone();
        let mut fetched = HashSet::new();
        let mut hands: JoinSet<FetchedBatch> = JoinSet::new();
        let mut taking: Option<Taking> = None;
        let mut places = Places::new();
        self.change(|report| report.state = RunState::Fetching);
        while !places.is_over || !hands.is_empty() {
            let next = places.next_take(hands.len()).filter(|_| taking.is_none());
            if next.is_some_and(|next| next <= clock.now()) {
                taking = Some(self.take());
                continue;
            }
            tokio::select! {
                taken = ended(&mut taking), if taking.is_some() => {
                    taking = None;
                    if let Some(batch) = self.taken(taken, hands.len(), &mut places) {
                        hands.spawn(self.clone().fetch_batch(batch));
                    }
                }
                Some(batch) = hands.join_next() => {
                    // The panic of a task is in the log. Its batch comes again.
                    let Ok(batch) = batch else { continue };
                    fetched.extend(batch.tasks.into_iter().map(|task| (task.page, task.device)));
                    match batch.told {
                        Ok(run) => {
                            places.heard();
                            self.show(run);
                        }
                        // It comes again, to this node or another one.
                        Err(error) => {
                            if places.unheard() {
                                self.go_on_alone(&error);
                            }
                        }
                    }
                }
                () = clock.sleep_until(next.unwrap_or_default()), if next.is_some() => {}
            }
        }
        fetched
    }

    /// Shows the report of the fleet as it changes, also while this node fetches for its own store.
    pub(super) async fn follow(&self) -> Infallible {
        loop {
            self.path.clock().sleep(LOOK_EVERY).await;
            let (pages, name) = (Arc::clone(&self.pages), self.name.clone());
            let looked = spawn_blocking(move || pages.look(&name)).await;
            // Without an answer, what was shown before stays.
            if let Ok(Ok(Some(run))) = looked {
                self.show(run);
            }
        }
    }

    /// Notes what came of asking for pages, while this node has so many batches. Returns the next one.
    fn taken(&self, taken: Taken, hands: usize, places: &mut Places) -> Option<SharedBatch> {
        let now = self.path.clock().now();
        let (run, pages) = match taken {
            Ok(taken) => taken,
            Err(error) => {
                if places.failed(now) {
                    self.go_on_alone(&error);
                }
                return None;
            }
        };
        self.show(run);
        match pages {
            TakenPages::Batch(batch) => {
                places.took(hands + 1, batch.at_once, now);
                self.note_planned(&batch);
                Some(batch)
            }
            TakenPages::Nothing => {
                places.took_nothing(hands, now);
                None
            }
            TakenPages::Over => {
                places.is_over = true;
                None
            }
        }
    }

    /// Notes why this node fetches the rest alone.
    fn go_on_alone(&self, error: &str) {
        let note = format!("the nodes of the fleet don't share the rest: {error}");
        self.change(|report| report.note(&note));
    }

    /// Asks for pages.
    fn take(&self) -> Taking {
        let (pages, name) = (Arc::clone(&self.pages), self.name.clone());
        on_own_thread(move || pages.take(&name))
    }

    async fn fetch_batch(self, batch: SharedBatch) -> FetchedBatch {
        let result = self.fetch_kept(&batch).await;
        let (pages, name, tasks) = (self.pages, self.name, batch.tasks.clone());
        let told = spawn_blocking(move || pages.finish(&name, &batch, &result)).await;
        FetchedBatch {
            tasks,
            told: told.unwrap_or_else(|_| Err(THREAD_FAILED.to_owned())),
        }
    }

    /// Fetches the pages of a batch, and says meanwhile that they are under way.
    async fn fetch_kept(&self, batch: &SharedBatch) -> BatchResult {
        let (clock, real) = (self.path.clock().clone(), Clock::real());
        let least = clock.now().saturating_add(self.least(batch));
        let fetches = RunFetches::new(&self.path, &self.run, &self.ledger, self.site);
        let mut fetching = std::pin::pin!(async {
            let fetches = fetches.with_share(batch.at_once);
            let report = fetches.fetch_all(batch.tasks.clone()).await;
            clock.sleep_until(least).await;
            let mut result = BatchResult::from(report);
            result.add_failures(&batch.unknown);
            result
        });
        loop {
            tokio::select! {
                result = &mut fetching => return result,
                () = real.sleep(KEEP_EVERY) => {
                    let (pages, batch) = (Arc::clone(&self.pages), batch.clone());
                    drop(spawn_blocking(move || pages.keep(&batch)));
                }
            }
        }
    }

    /// The time that the pages of a batch take at its share of the rate.
    #[allow(clippy::cast_precision_loss, reason = "some thousands at most")]
    fn least(&self, batch: &SharedBatch) -> Duration {
        let pages = (batch.tasks.len() * batch.at_once) as f64;
        Duration::from_secs_f64(pages / self.run.plan.rate)
    }

    /// Counts pages that this node has not planned itself.
    fn note_planned(&self, batch: &SharedBatch) {
        if self.run.turn == RunTurn::Joined {
            self.change(|report| report.planned += batch.tasks.len() as u64);
        }
    }

    /// Shows the report of the fleet, unless a later one is shown, and ends this node's part of a run that
    /// was cancelled at another one.
    fn show(&self, run: FleetRun) {
        let cancelled_by = run.cancelled_by.clone();
        self.change(|report| {
            let known = report.fleet.as_ref();
            if known.is_none_or(|known| known.done.len() <= run.done.len()) {
                report.fleet = Some(run);
            }
        });
        if let Some(node) = cancelled_by
            && !self.run.cancel.send_replace(true)
        {
            self.change(|report| report.note(&format!("cancelled at the node {node}")));
        }
    }

    fn change(&self, change: impl FnOnce(&mut RunReport)) {
        self.run.update(self.path.clock().wall(), change);
    }
}

/// Has a thread of its own do what waits for the pages of others: up to a minute, and again and again until
/// those are done. All plans share the runtime's threads, and some that wait would hold up all others. A run
/// has one such thread at most. Without a thread, the answer is dropped.
fn on_own_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> oneshot::Receiver<T> {
    let (reply, answer) = oneshot::channel();
    let thread = std::thread::Builder::new().name("warmer-pages".to_owned());
    let started = thread.spawn(move || {
        // The run may have ended.
        let _ = reply.send(work());
    });
    if let Err(error) = started {
        tracing::warn!(%error, "a thread for pages of a plan can't be started");
    }
    answer
}

/// What came of taking pages, if they are being taken.
async fn ended(taking: &mut Option<Taking>) -> Taken {
    let Some(taking) = taking else {
        return std::future::pending().await;
    };
    let taken = taking.await;
    taken.unwrap_or_else(|_| Err(THREAD_FAILED.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_secs(1_000);

    #[test]
    fn a_node_fills_its_places_at_once_and_has_one_more_after_the_others_had_time() {
        let mut places = Places::new();
        let at_once = Some(Timestamp::default());
        let one_more = Some(NOW.saturating_add(OTHERS_FIRST));
        assert_eq!(places.next_take(0), at_once);
        places.took(1, 2, NOW);
        assert_eq!(places.next_take(1), one_more);
        places.took(2, 2, NOW);
        assert_eq!(places.next_take(2), None, "no node may have more");
        assert_eq!(places.next_take(1), at_once);
        // The others have what there is.
        places.took_nothing(1, NOW);
        assert_eq!(places.next_take(1), one_more);
        assert_eq!(places.next_take(0), at_once);
    }

    #[test]
    fn a_node_whose_batches_the_fleet_does_not_hear_of_goes_on_alone() {
        let mut places = Places::new();
        assert!(!(1..MOST_FAILURES).any(|_| places.unheard()));
        // What it takes meanwhile changes nothing.
        places.took(1, 4, NOW);
        assert!(places.unheard());
        assert_eq!(places.next_take(0), None);
        assert!(!places.unheard(), "that is said once");
        let mut places = Places::new();
        for _ in 0..3 * MOST_FAILURES {
            assert!(!places.unheard());
            places.heard();
        }
    }

    #[test]
    fn a_node_rests_after_a_failure() {
        let mut places = Places::new();
        assert!(!places.failed(NOW));
        assert_eq!(places.next_take(0), Some(NOW.saturating_add(REST)));
        places.took_nothing(0, NOW);
        assert!(!(1..MOST_FAILURES).any(|_| places.failed(NOW)));
        assert!(places.failed(NOW));
        assert_eq!(places.next_take(0), None);
    }
}
