//! Runs that the nodes of a fleet share: one node plans, all fetch, and each page is in the hands of one node
//! at a time. What the nodes have done is one report.

use std::fmt::Debug;
use std::time::Duration;

use super::task::WarmTask;
use tero_semantics::timestamp::Timestamp;

pub use super::report::{BatchResult, FleetRun, PageCounts, PageFailure};

/// Batches that are under way at once, over all nodes, at most.
pub const MOST_AT_ONCE: usize = 16;
/// Batches that each of them gets, as a rule, so that all end at about the same time.
const BATCHES_EACH: usize = 8;
/// Pages of a batch, unless there would be more than [`MOST_BATCHES`].
const MOST_PAGES: usize = 64;
/// Batches of a run, unless the pages have long names.
const MOST_BATCHES: usize = 1_000;

/// A run that nodes share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedRunName {
    /// The plan.
    pub plan: String,
    /// When it came due.
    pub due: Timestamp,
}

/// What the planning node shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedPlan {
    /// The fetches, in batches.
    pub batches: Vec<Vec<WarmTask>>,
    /// Batches that may be under way at once.
    pub at_once: usize,
    /// When the run is over at the latest.
    pub ends: Timestamp,
}

impl SharedPlan {
    /// Shares these fetches of a plan of so much concurrency, until the run `ends`.
    pub fn new(tasks: &[WarmTask], concurrency: usize, ends: Timestamp) -> SharedPlan {
        let at_once = concurrency.clamp(1, MOST_AT_ONCE);
        let fair = tasks.len().div_ceil(at_once * BATCHES_EACH);
        let few = tasks.len().div_ceil(MOST_BATCHES);
        let pages = fair.clamp(1, MOST_PAGES).max(few);
        SharedPlan {
            batches: tasks.chunks(pages).map(<[WarmTask]>::to_vec).collect(),
            at_once,
            ends,
        }
    }
}

/// Pages that a node has in its hands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedBatch {
    /// Its number in the run.
    pub number: u32,
    /// The fetches.
    pub tasks: Vec<WarmTask>,
    /// Pages that this version of tero can't fetch.
    pub unknown: Vec<PageFailure>,
    /// Batches that may be under way at once: this one has that share of the plan's rate.
    pub at_once: usize,
    /// By which the fleet knows it.
    pub ticket: String,
}

/// What came of asking for pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TakenPages {
    /// These are for this node.
    Batch(SharedBatch),
    /// Others have what is left. Ask again.
    Nothing,
    /// The run is over: all pages are done, its time has passed, or it was cancelled.
    Over,
}

/// Pages that the nodes of a fleet share. All calls wait for other machines: they are for threads that may.
pub trait PageSharing: Debug + Send + Sync {
    /// Shares a run that this node has planned.
    ///
    /// # Errors
    /// Why it can't be shared, for people: this node has to run it alone.
    fn share(&self, run: &SharedRunName, plan: &SharedPlan) -> Result<(), String>;

    /// The report of a run; `None` if it is not shared, or not yet.
    ///
    /// # Errors
    /// Why the fleet can't be asked, for people.
    fn look(&self, run: &SharedRunName) -> Result<Option<FleetRun>, String>;

    /// Pages for this node, and the report of the run as it was before.
    ///
    /// # Errors
    /// Why the fleet can't be asked, for people.
    fn take(&self, run: &SharedRunName) -> Result<(FleetRun, TakenPages), String>;

    /// Says that the pages are under way still. To be called every [`KEEP_EVERY`].
    fn keep(&self, batch: &SharedBatch);

    /// Notes what came of the pages.
    ///
    /// # Errors
    /// Why the fleet doesn't know of it, for people: another node fetches them again.
    fn finish(
        &self,
        run: &SharedRunName,
        batch: &SharedBatch,
        result: &BatchResult,
    ) -> Result<FleetRun, String>;

    /// Cancels a run for all nodes, also one that is not shared yet.
    ///
    /// # Errors
    /// Why the others don't hear of it, for people.
    fn cancel(&self, run: &SharedRunName) -> Result<(), String>;
}

/// How often a node says that its pages are under way: three times before another one gets them.
pub const KEEP_EVERY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::warm::path::Page;
    use crate::warm::report::{MAX_REASONS, PageFailure};
    use tero_policy_host::device::Device;

    fn task(number: usize) -> WarmTask {
        WarmTask {
            page: Page {
                scheme: tero_semantics::authority::Scheme::default(),
                host: "www.example".into(),
                target: format!("/{number}"),
            },
            device: Device::Mobile,
            variant: None,
            changed: None,
            priority: 0,
        }
    }

    #[test]
    fn pages_are_shared_in_batches_that_are_neither_large_nor_many() {
        let check = |pages: usize, concurrency, batches, of, at_once| {
            let tasks: Vec<_> = (0..pages).map(task).collect();
            let plan = SharedPlan::new(&tasks, concurrency, Timestamp::from_unix_secs(7));
            let first = plan.batches.first().map_or(0, Vec::len);
            let shape = (plan.batches.len(), first, plan.at_once);
            assert_eq!(shape, (batches, of, at_once), "{pages} {concurrency}");
            assert_eq!(plan.batches.concat(), tasks);
        };
        check(0, 4, 0, 0, 4);
        check(4, 1, 4, 1, 1);
        check(100, 4, 25, 4, 4);
        check(10_000, 4, 157, 64, 4);
        check(10_000, 256, 157, 64, 16);
        check(200_000, 4, 1_000, 200, 4);
    }

    #[test]
    fn each_batch_counts_once_whoever_had_it_as_well() {
        let mut run = FleetRun {
            planned: 4,
            batches: 2,
            ..FleetRun::default()
        };
        let result = |fetched| BatchResult {
            counts: PageCounts {
                fetched,
                bytes: 10 * fetched,
                ..PageCounts::default()
            },
            ..BatchResult::default()
        };
        assert!(run.add("one", 0, &result(2)));
        assert!(!run.add("two", 0, &result(2)), "it came again");
        assert!(!run.is_done());
        assert!(run.add("two", 1, &result(2)));
        assert!(run.is_done());
        assert_eq!((run.total().pages(), run.total().bytes), (4, 40));
        assert_eq!(run.nodes["two"].fetched, 2);
    }

    #[test]
    fn reasons_of_all_nodes_are_kept_up_to_a_bound() {
        let mut run = FleetRun::default();
        let failure = PageFailure {
            url: "www.example/a".to_owned(),
            variant: None,
            reason: "answered with 404".to_owned(),
        };
        let result = BatchResult {
            failures: vec![failure; MAX_REASONS - 1],
            ..BatchResult::default()
        };
        for batch in 0..2 {
            run.add("one", batch, &result);
        }
        assert_eq!(run.failures.len(), MAX_REASONS);
    }
}
