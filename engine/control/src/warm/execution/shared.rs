//! The part of a run that the nodes of a fleet share: fetches the batches that this node gets, until all are
//! done.
//!
//! All nodes together keep the plan's rate and concurrency: a batch has a share of both, and is in the hands
//! of its node for as long as its pages take at that share.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet, spawn_blocking};

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
use tero_time::clock::Clock;

/// Failures in a row after which this node goes on alone.
const MOST_FAILURES: u32 = 5;
/// The rest after a failure.
const REST: Duration = Duration::from_secs(1);

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

/// A batch that this node has fetched.
struct FetchedBatch {
    tasks: Vec<WarmTask>,
    told: Result<FleetRun, String>,
}

type Taking = JoinHandle<Result<TakenPages, String>>;

impl SharedPart {
    /// Shares what this node has planned.
    ///
    /// # Errors
    /// Why it can't be shared, for people.
    pub(super) async fn share(&self, plan: SharedPlan) -> Result<(), String> {
        let (pages, name) = (Arc::clone(&self.pages), self.name.clone());
        let shared = spawn_blocking(move || pages.share(&name, plan)).await;
        shared.unwrap_or_else(|_| Err(THREAD_FAILED.to_owned()))
    }

    /// Fetches what this node gets, until all is done. Returns what it has fetched.
    pub(super) async fn fetch(&self) -> HashSet<TaskKey> {
        let mut fetched = HashSet::new();
        let mut hands: JoinSet<FetchedBatch> = JoinSet::new();
        let mut taking: Option<Taking> = None;
        let (mut at_once, mut failures, mut is_over) = (1, 0, false);
        self.change(|report| report.state = RunState::Fetching);
        while !is_over || !hands.is_empty() {
            if !is_over && taking.is_none() && hands.len() < at_once {
                taking = Some(self.take(!hands.is_empty(), failures));
            }
            tokio::select! {
                taken = ended(&mut taking), if taking.is_some() => {
                    taking = None;
                    match taken {
                        Ok(TakenPages::Batch(batch)) => {
                            (at_once, failures) = (batch.at_once, 0);
                            self.note_planned(&batch);
                            hands.spawn(self.clone().fetch_batch(batch));
                        }
                        Ok(TakenPages::Nothing) => failures = 0,
                        Ok(TakenPages::Done(run)) => {
                            self.show(run);
                            is_over = true;
                        }
                        Err(_) if failures < MOST_FAILURES => failures += 1,
                        Err(error) => {
                            self.change(|report| report.note(&format!(
                                "the nodes of the fleet don't share the rest: {error}"
                            )));
                            is_over = true;
                        }
                    }
                }
                Some(batch) = hands.join_next() => {
                    // The panic of a task is in the log. Its batch comes again.
                    let Ok(batch) = batch else { continue };
                    fetched.extend(batch.tasks.into_iter().map(|task| (task.page, task.device)));
                    // What the fleet doesn't know of comes again, to this node or another one.
                    if let Ok(run) = batch.told {
                        self.show(run);
                    }
                }
            }
        }
        fetched
    }

    /// Asks for pages, on a thread that may wait.
    fn take(&self, is_busy: bool, failures: u32) -> Taking {
        let (pages, name) = (Arc::clone(&self.pages), self.name.clone());
        spawn_blocking(move || {
            if failures > 0 {
                std::thread::park_timeout(REST);
            }
            pages.take(&name, is_busy)
        })
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
            BatchResult::from(report)
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

    /// Shows the report of the fleet, unless a later one is shown.
    fn show(&self, run: FleetRun) {
        self.change(|report| {
            let known = report.fleet.as_ref();
            if known.is_none_or(|known| known.done.len() <= run.done.len()) {
                report.fleet = Some(run);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut RunReport)) {
        self.run.update(self.path.clock().wall(), change);
    }
}

/// What came of taking pages, if they are being taken.
async fn ended(taking: &mut Option<Taking>) -> Result<TakenPages, String> {
    let Some(taking) = taking else {
        return std::future::pending().await;
    };
    let taken = taking.await;
    taken.unwrap_or_else(|_| Err(THREAD_FAILED.to_owned()))
}
