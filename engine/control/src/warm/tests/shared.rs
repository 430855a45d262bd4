//! Runs that nodes share, with a queue in this process.

use std::collections::VecDeque;
use std::sync::mpsc;

use super::super::execution::shared::MOST_FAILURES;
use super::super::shared::{
    BatchResult, FleetRun, PageFailure, PageSharing, SharedBatch, SharedPlan, SharedRunName,
    TakenPages,
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
    /// How often pages can't be taken before they can.
    failures: Mutex<u32>,
    /// How often pages were asked for.
    takes: Mutex<u32>,
    /// The next time, the answer comes when the other end is gone.
    hold: Mutex<Option<mpsc::Receiver<()>>>,
}

impl FakePages {
    fn reach(&self) -> Result<(), String> {
        match self.is_cut_off {
            true => Err("there is no connection".to_owned()),
            false => Ok(()),
        }
    }

    /// Shares what a plan has.
    fn put(&self, plan: &SharedPlan, by: &str) {
        let mut run = lock(&self.run);
        run.planned_by = by.to_owned();
        run.batches = u32::try_from(plan.batches.len()).unwrap();
        run.planned = plan.batches.iter().map(|tasks| tasks.len() as u64).sum();
        let batches = plan.batches.iter().cloned().zip(0..);
        lock(&self.waiting).extend(batches.map(|(tasks, number)| SharedBatch {
            number,
            tasks,
            unknown: Vec::new(),
            at_once: plan.at_once,
            ticket: number.to_string(),
        }));
    }
}

impl PageSharing for FakePages {
    fn share(&self, _: &SharedRunName, plan: &SharedPlan) -> Result<(), String> {
        self.reach()?;
        self.put(plan, "one");
        Ok(())
    }

    fn look(&self, _: &SharedRunName) -> Result<Option<FleetRun>, String> {
        self.reach()?;
        Ok(Some(lock(&self.run).clone()))
    }

    fn take(&self, run: &SharedRunName) -> Result<(FleetRun, TakenPages), String> {
        assert_eq!(run.due, EIGHT.saturating_add(30 * MINUTE));
        self.reach()?;
        *lock(&self.takes) += 1;
        let hold = lock(&self.hold).take();
        if let Some(hold) = hold {
            let _ = hold.recv();
        }
        let mut failures = lock(&self.failures);
        if *failures > 0 {
            *failures -= 1;
            return Err("no answer in time".to_owned());
        }
        let run = lock(&self.run).clone();
        let pages = match lock(&self.waiting).pop_front() {
            Some(batch) => TakenPages::Batch(batch),
            None if run.is_done() => TakenPages::Over,
            None => TakenPages::Nothing,
        };
        Ok((run, pages))
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

    fn cancel(&self, _: &SharedRunName) -> Result<(), String> {
        self.reach()?;
        lock(&self.run).cancelled_by = Some("one".to_owned());
        Ok(())
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

fn shared_plan(tasks: &[WarmTask], concurrency: usize) -> SharedPlan {
    SharedPlan::new(tasks, concurrency, EIGHT.saturating_add(1_000 * MINUTE))
}

/// Has the plan come due, as the node whose turn this is.
async fn start_due(
    path: FakePath,
    plan: config::Plan,
    pages: &Arc<FakePages>,
    turn: RunTurn,
) -> RunningWarmer {
    let sharing = Arc::clone(pages) as Arc<dyn PageSharing>;
    let (running, give, _turns) = taking_turns_with(path, plan, Some(sharing));
    running.settle().await;
    running.advance(30 * MINUTE).await;
    give.send(turn).unwrap();
    while running.warmer.runs().is_empty() {
        running.settle().await;
    }
    running
}

/// Turns the clock until the run is over.
async fn ended(running: &RunningWarmer) -> RunReport {
    let report = || running.warmer.run(id(1)).unwrap();
    while !report().state.is_over() {
        running.advance(Duration::from_millis(10)).await;
    }
    report()
}

/// Runs the plan when it is due, as the node whose turn this is.
async fn run_due(
    plan: config::Plan,
    pages: &Arc<FakePages>,
    turn: RunTurn,
) -> (RunningWarmer, RunReport) {
    let running = start_due(shielded(), plan, pages, turn).await;
    let report = ended(&running).await;
    (running, report)
}

/// Waits until a condition is met, without turning the clock. Each round waits for a thread, of those that
/// ask for pages.
async fn met(running: &RunningWarmer, what: &str, condition: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        running.settle().await;
        tokio::task::spawn_blocking(|| ()).await.unwrap();
    }
    panic!("still waiting: {what}");
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
    pages.put(&shared_plan(&tasks, 1), "other");
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

#[tokio::test]
async fn a_batch_takes_the_place_of_the_one_before_without_a_wait() {
    let pages = Arc::new(FakePages::default());
    let urls: Vec<String> = (0..40).map(|page| format!("/{page}")).collect();
    let plan = config::Plan {
        urls,
        rate: 1_000_000.0,
        ..plan_of(&[])
    };
    let running = start_due(shielded(), plan, &pages, RunTurn::First).await;
    met(&running, "the end", || {
        running.warmer.run(id(1)).unwrap().state.is_over()
    })
    .await;
    let run = lock(&pages.run).clone();
    assert_eq!((run.planned, run.nodes["one"].fetched), (40, 40));
    // Once for each batch, and once to hear that all is done.
    assert!(run.batches > 10, "{run:?}");
    assert_eq!(*lock(&pages.takes), run.batches + 1);
}

#[tokio::test]
async fn a_node_goes_on_alone_after_a_number_of_failures_in_a_row() {
    for (failures, is_shared) in [(MOST_FAILURES - 1, true), (MOST_FAILURES, false)] {
        let pages = Arc::new(FakePages {
            failures: Mutex::new(failures),
            ..FakePages::default()
        });
        let (running, report) = run_due(plan_of(&["/1", "/2"]), &pages, RunTurn::First).await;
        assert_eq!((report.state, report.fetched), (RunState::Done, 2));
        let note = "the nodes of the fleet don't share the rest: no answer in time";
        let is_noted = report.notes.iter().any(|one| one == note);
        assert_eq!(is_noted, !is_shared, "{report:?}");
        assert_eq!(lock(&pages.run).is_done(), is_shared);
        assert_eq!(running.urls().len(), 2);
    }
}

#[tokio::test]
async fn pages_that_a_node_does_not_know_have_failed_in_the_report_of_the_fleet() {
    let pages = Arc::new(FakePages::default());
    pages.put(&shared_plan(&[task("/1")], 1), "other");
    lock(&pages.waiting)[0].unknown.push(PageFailure {
        url: "www.example/2".to_owned(),
        variant: None,
        reason: "unknown".to_owned(),
    });
    let (_, report) = run_due(plan_of(&["/1"]), &pages, RunTurn::Joined).await;
    let fleet = report.fleet.unwrap();
    assert_eq!((fleet.total().fetched, fleet.total().failed), (1, 1));
    assert_eq!(fleet.failures[0].reason, "unknown");
}

#[test]
fn a_node_that_waits_for_pages_holds_up_no_other_work() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    runtime.block_on(async {
        let pages = Arc::new(FakePages::default());
        pages.put(&shared_plan(&[task("/1")], 1), "other");
        // Another node has it.
        lock(&pages.waiting).clear();
        let (end, hold) = mpsc::channel();
        *lock(&pages.hold) = Some(hold);
        let running = start_due(shielded(), plan_of(&["/1"]), &pages, RunTurn::Joined).await;
        while *lock(&pages.takes) == 0 {
            running.settle().await;
        }
        let other = tokio::task::spawn_blocking(|| ());
        let done = Clock::real().timeout(Duration::from_secs(20), other).await;
        drop::<mpsc::Sender<()>>(end);
        assert!(done.is_ok(), "it waits for the pages");
    });
}

/// A node that has joined a run, and has a page in its hands that takes a minute.
async fn joined_with_a_slow_page(pages: &Arc<FakePages>) -> RunningWarmer {
    pages.put(&shared_plan(&[task("/slow"), task("/2")], 1), "other");
    // Another node has the second page.
    lock(&pages.waiting).pop_back().unwrap();
    let path = FakePath {
        is_shielded: true,
        ..slow()
    };
    let running = start_due(path, plan_of(&["/slow"]), pages, RunTurn::Joined).await;
    met(&running, "a page under way", || {
        lock(&running.fake.seen).under_way == 1
    })
    .await;
    running
}

/// Turns the clock to the next look at the report of the fleet, and waits until a condition is met.
async fn looked(running: &RunningWarmer, what: &str, condition: impl Fn(&RunReport) -> bool) {
    running.advance(Duration::from_secs(2)).await;
    let report = || running.warmer.run(id(1)).unwrap();
    met(running, what, || condition(&report())).await;
}

#[tokio::test]
async fn a_node_that_is_busy_shows_what_the_others_have_done() {
    let pages = Arc::new(FakePages::default());
    let running = joined_with_a_slow_page(&pages).await;
    let result = BatchResult::from(RunReport {
        fetched: 1,
        ..RunReport::default()
    });
    assert!(lock(&pages.run).add("other", 1, &result));
    looked(&running, "the part of the other node", |report| {
        let fleet = report.fleet.as_ref();
        fleet.is_some_and(|fleet| fleet.nodes.contains_key("other"))
    })
    .await;
}

#[tokio::test]
async fn a_run_that_is_cancelled_at_another_node_ends_here() {
    let pages = Arc::new(FakePages::default());
    let running = joined_with_a_slow_page(&pages).await;
    lock(&pages.run).cancelled_by = Some("other".to_owned());
    looked(&running, "the end", |report| report.state.is_over()).await;
    let report = running.warmer.run(id(1)).unwrap();
    assert_eq!(report.state, RunState::Cancelled);
    let last = report.notes.last().unwrap();
    assert_eq!(last, "cancelled at the node other");
}

#[tokio::test]
async fn a_run_that_is_cancelled_here_ends_at_the_others() {
    let pages = Arc::new(FakePages::default());
    let running = joined_with_a_slow_page(&pages).await;
    assert_eq!(running.warmer.cancel_plan("plan"), Ok(id(1)));
    met(&running, "the others are told", || {
        lock(&pages.run).cancelled_by.as_deref() == Some("one")
    })
    .await;
    assert_eq!(ended(&running).await.state, RunState::Cancelled);
}

#[tokio::test]
async fn the_report_says_that_the_others_did_not_hear_of_the_end() {
    let pages = Arc::new(FakePages {
        is_cut_off: true,
        ..FakePages::default()
    });
    let path = FakePath {
        is_shielded: true,
        ..slow()
    };
    let running = start_due(path, plan_of(&["/slow"]), &pages, RunTurn::First).await;
    assert_eq!(running.warmer.cancel_plan("plan"), Ok(id(1)));
    let note = "cancelled at this node alone: there is no connection";
    met(&running, "a note", || {
        let report = running.warmer.run(id(1)).unwrap();
        report.notes.iter().any(|one| one == note)
    })
    .await;
}
