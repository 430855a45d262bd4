//! Runs that nodes share, with a queue in this process.

use std::collections::VecDeque;

use super::super::shared::{
    BatchResult, FleetRun, PageSharing, SharedBatch, SharedPlan, SharedRunName, TakenPages,
};
use super::super::task::WarmTask;
use super::super::turns::RunTurn;
use super::turns::taking_turns_with;
use super::*;

/// Pages that this node, `one`, shares with others that do nothing meanwhile.
#[derive(Debug, Default)]
struct FakePages {
    run: Mutex<FleetRun>,
    waiting: Mutex<VecDeque<SharedBatch>>,
    /// The fleet can't be asked.
    is_cut_off: bool,
}

impl FakePages {
    /// Shares what a plan has.
    fn put(&self, plan: SharedPlan, by: &str) {
        let mut run = lock(&self.run);
        run.planned_by = by.to_owned();
        run.batches = u32::try_from(plan.batches.len()).unwrap();
        run.planned = plan.batches.iter().map(|tasks| tasks.len() as u64).sum();
        let batches = plan.batches.into_iter().zip(0..);
        lock(&self.waiting).extend(batches.map(|(tasks, number)| SharedBatch {
            number,
            tasks,
            at_once: plan.at_once,
            ticket: number.to_string(),
        }));
    }
}

impl PageSharing for FakePages {
    fn share(&self, _: &SharedRunName, plan: SharedPlan) -> Result<(), String> {
        if self.is_cut_off {
            return Err("there is no connection".to_owned());
        }
        self.put(plan, "one");
        Ok(())
    }

    fn take(&self, run: &SharedRunName, _: bool) -> Result<TakenPages, String> {
        assert_eq!(run.due, EIGHT.saturating_add(30 * MINUTE));
        if self.is_cut_off {
            return Err("there is no connection".to_owned());
        }
        if let Some(batch) = lock(&self.waiting).pop_front() {
            return Ok(TakenPages::Batch(batch));
        }
        let run = lock(&self.run).clone();
        match run.is_done() {
            true => Ok(TakenPages::Done(run)),
            false => Ok(TakenPages::Nothing),
        }
    }

    fn keep(&self, _: &SharedBatch) {}

    fn finish(
        &self,
        _: &SharedRunName,
        batch: &SharedBatch,
        result: &BatchResult,
    ) -> Result<FleetRun, String> {
        let mut run = lock(&self.run);
        assert!(run.add("one", batch.number, result));
        Ok(run.clone())
    }
}

fn shielded() -> FakePath {
    FakePath {
        is_shielded: true,
        ..FakePath::new()
    }
}

fn plan_of(urls: &[&str]) -> config::Plan {
    config::Plan {
        urls: strings(urls),
        concurrency: 2,
        // The clock does not wait for threads.
        deadline: 1_000 * MINUTE,
        ..plan()
    }
}

fn task(target: &str) -> WarmTask {
    WarmTask {
        page: Page {
            scheme: Scheme::Http,
            host: "www.example".into(),
            target: target.to_owned(),
        },
        device: Device::Mobile,
        variant: None,
        changed: None,
        priority: 200,
    }
}

/// Runs the plan when it is due, as the node whose turn this is.
async fn run_due(
    plan: config::Plan,
    pages: &Arc<FakePages>,
    turn: RunTurn,
) -> (RunningWarmer, RunReport) {
    let sharing = Arc::clone(pages) as Arc<dyn PageSharing>;
    let (running, give, _turns) = taking_turns_with(shielded(), plan, Some(sharing));
    running.settle().await;
    running.advance(30 * MINUTE).await;
    give.send(turn).unwrap();
    while running.warmer.runs().is_empty() {
        running.settle().await;
    }
    let report = || running.warmer.run(id(1)).unwrap();
    while !report().state.is_over() {
        running.advance(Duration::from_millis(10)).await;
    }
    let report = report();
    (running, report)
}

#[tokio::test]
async fn the_node_that_plans_shares_its_pages_and_fetches_what_it_gets() {
    let pages = Arc::new(FakePages::default());
    let plan = plan_of(&["/1", "/2", "/3"]);
    let (running, report) = run_due(plan, &pages, RunTurn::First).await;
    assert_eq!(
        (report.state, report.planned, report.fetched),
        (RunState::Done, 3, 3)
    );
    assert!(report.notes[0].contains("this node planned"), "{report:?}");
    let fleet = report.fleet.unwrap();
    assert!(fleet.is_done());
    assert_eq!((fleet.planned, fleet.nodes["one"].bytes), (3, 300));
    assert_eq!(running.urls().len(), 3, "each page is fetched once");
}

#[tokio::test]
async fn a_node_that_joins_fetches_its_part_and_then_what_others_had() {
    let pages = Arc::new(FakePages::default());
    let tasks = ["/1", "/2", "/3"].map(task);
    pages.put(SharedPlan::new(&tasks, 1), "other");
    // Another node has had the first page.
    let had = lock(&pages.waiting).pop_front().unwrap();
    let result = BatchResult::from(RunReport {
        fetched: 1,
        ..RunReport::default()
    });
    assert!(lock(&pages.run).add("other", had.number, &result));
    let plan = plan_of(&["/1", "/2", "/3", "/own"]);
    let (running, report) = run_due(plan, &pages, RunTurn::Joined).await;
    assert_eq!(
        (report.state, report.planned, report.fetched),
        (RunState::Done, 4, 4)
    );
    let urls = running.urls();
    let expected = ["/2", "/3", "/1", "/own"].map(|target| format!("www.example{target}"));
    assert_eq!(urls, expected);
    let fleet = report.fleet.unwrap();
    assert_eq!(
        (fleet.planned_by.as_str(), fleet.total().fetched),
        ("other", 3)
    );
    assert_eq!(fleet.nodes["one"].fetched, 2);
}

#[tokio::test]
async fn a_node_that_can_not_share_its_pages_fetches_all() {
    let pages = Arc::new(FakePages {
        is_cut_off: true,
        ..FakePages::default()
    });
    let (_, report) = run_due(plan_of(&["/1", "/2"]), &pages, RunTurn::First).await;
    assert_eq!(
        (report.state, report.planned, report.fetched),
        (RunState::Done, 2, 2)
    );
    assert!(report.notes[0].contains("ran the plan first"), "{report:?}");
    assert!(
        report.notes[1].contains("there is no connection"),
        "{report:?}"
    );
    assert_eq!(report.fleet, None);
}

#[tokio::test]
async fn batches_are_held_for_as_long_as_the_rate_of_the_plan_demands() {
    let pages = Arc::new(FakePages::default());
    let plan = config::Plan {
        rate: 0.5,
        concurrency: 1,
        ..plan_of(&["/1", "/2", "/3"])
    };
    let (running, report) = run_due(plan, &pages, RunTurn::First).await;
    assert_eq!(report.fetched, 3);
    let at = lock(&running.fake.seen).at.clone();
    for pair in at.windows(2) {
        assert!(pair[1].since(pair[0]) >= Duration::from_secs(2), "{at:?}");
    }
}
