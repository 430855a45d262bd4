use super::super::twin_bus::TwinBus;
use super::super::work::WorkQueue as _;
use super::queued::MOST_BYTES;
use super::*;
use crate::warm::path::Page;
use crate::warm::report::RunReport;
use crate::warm::task::WarmTask;
use tero_policy_host::device::Device;
use tero_semantics::authority::Scheme;
use tero_semantics::timestamp::Timestamp;

const DUE: Timestamp = Timestamp::from_unix_secs(1_000);
const MINUTE: Duration = Duration::from_secs(60);

fn name(due: Timestamp) -> SharedRunName {
    SharedRunName {
        plan: "plan".to_owned(),
        due,
    }
}

/// A node, at the time at which the plan comes due.
fn node(node: &str, bus: &Arc<TwinBus>) -> PlanPages {
    node_at(DUE, node, bus)
}

fn node_at(now: Timestamp, node: &str, bus: &Arc<TwinBus>) -> PlanPages {
    let bus: Arc<dyn FleetBus> = Arc::clone(bus) as _;
    PlanPages {
        rest: Duration::ZERO,
        ..PlanPages::new(node, &bus, &Clock::by_hand(now))
    }
}

fn tasks(count: usize) -> Vec<WarmTask> {
    let task = |number| WarmTask {
        page: Page {
            scheme: Scheme::Https,
            host: "www.example".into(),
            target: format!("/{number}?a=\"b\""),
        },
        device: Device::Tablet,
        variant: Some("tablet".into()),
        changed: Some(Timestamp::from_unix_millis(1_234)),
        priority: 7,
    };
    (0..count).map(task).collect()
}

/// A plan that has a minute.
fn plan_of(due: Timestamp, pages: usize, concurrency: usize) -> SharedPlan {
    let ends = due.saturating_add(MINUTE);
    SharedPlan::new(&tasks(pages), concurrency, ends)
}

fn share(node: &PlanPages, due: Timestamp, pages: usize, concurrency: usize) {
    let plan = plan_of(due, pages, concurrency);
    node.share(&name(due), &plan).unwrap();
}

/// What a node gets of a run.
#[track_caller]
fn asked(node: &PlanPages, due: Timestamp) -> TakenPages {
    node.take(&name(due)).unwrap().1
}

#[track_caller]
fn taken(node: &PlanPages) -> SharedBatch {
    taken_of(node, DUE)
}

#[track_caller]
fn taken_of(node: &PlanPages, due: Timestamp) -> SharedBatch {
    for _ in 0..10 {
        match asked(node, due) {
            TakenPages::Batch(batch) => return batch,
            TakenPages::Nothing => {}
            TakenPages::Over => panic!("it is over"),
        }
    }
    panic!("nothing comes");
}

/// All pages of a batch are fetched.
fn result(batch: &SharedBatch) -> BatchResult {
    BatchResult::from(RunReport {
        fetched: batch.tasks.len() as u64,
        ..RunReport::default()
    })
}

fn finish(node: &PlanPages, batch: &SharedBatch) -> FleetRun {
    finish_of(node, DUE, batch)
}

fn finish_of(node: &PlanPages, due: Timestamp, batch: &SharedBatch) -> FleetRun {
    node.finish(&name(due), batch, &result(batch)).unwrap()
}

/// Has a node fetch all that is left of a run.
fn finish_all(node: &PlanPages, due: Timestamp) -> FleetRun {
    loop {
        let run = finish_of(node, due, &taken_of(node, due));
        if run.is_done() {
            return run;
        }
    }
}

#[test]
fn nodes_share_the_pages_and_have_one_report() {
    let bus = Arc::new(TwinBus::default());
    let (one, two) = (node("one", &bus), node("two", &bus));
    assert!(one.take(&name(DUE)).is_err(), "it isn't shared yet");
    share(&one, DUE, 3, 2);
    let batches = [taken(&one), taken(&two)];
    let all: Vec<_> = tasks(3);
    assert_eq!(batches[0].tasks, all[..1]);
    assert_eq!(
        (batches[1].tasks.as_slice(), batches[1].at_once),
        (&all[1..2], 2)
    );
    // More are not under way at once.
    assert_eq!(asked(&two, DUE), TakenPages::Nothing);
    one.keep(&batches[0]);
    finish(&one, &batches[0]);
    finish(&two, &batches[1]);
    let run = finish(&two, &taken(&two));
    assert!(run.is_done());
    assert_eq!((run.planned, run.planned_by.as_str()), (3, "one"));
    assert_eq!((run.nodes["one"].fetched, run.nodes["two"].fetched), (1, 2));
    for node in [&one, &two, &node("late", &bus)] {
        assert_eq!(node.take(&name(DUE)), Ok((run.clone(), TakenPages::Over)));
    }
}

#[test]
fn the_pages_of_a_node_that_dies_go_to_another_and_count_once() {
    let bus = Arc::new(TwinBus::default());
    let (one, two) = (node("one", &bus), node("two", &bus));
    share(&one, DUE, 3, 1);
    // It dies with its pages, and later after it has told what it had, before they leave the queue.
    let lost = taken(&one);
    bus.redeliver();
    let again = taken(&two);
    assert_eq!(again.tasks, lost.tasks);
    finish(&two, &again);
    let told = taken(&one);
    bus.redeliver();
    finish(&one, &told);
    let next = taken(&two);
    assert_ne!(next.number, told.number, "it was done");
    let run = finish(&two, &next);
    assert!(run.is_done());
    assert_eq!((run.nodes["one"].fetched, run.nodes["two"].fetched), (1, 2));
    // It comes late with what another has had as well.
    assert_eq!(finish(&one, &lost), run);
}

#[test]
fn pages_of_a_node_that_died_while_it_shared_are_left_out() {
    let bus = Arc::new(TwinBus::default());
    let (one, two) = (node("one", &bus), node("two", &bus));
    // The batches are in the queue, and no document names them.
    share(&one, DUE, 2, 1);
    bus.forget_runs();
    share(&two, DUE, 1, 1);
    let run = finish(&two, &taken(&two));
    assert!(run.is_done());
    assert_eq!((run.planned, run.planned_by.as_str()), (1, "two"));
}

#[test]
fn what_two_nodes_have_planned_is_shared_once() {
    let bus = Arc::new(TwinBus::default());
    let (one, two) = (node("one", &bus), node("two", &bus));
    share(&one, DUE, 1, 1);
    share(&two, DUE, 1, 1);
    let run = finish(&two, &taken(&two));
    assert!(run.is_done());
    assert_eq!((run.planned, run.planned_by.as_str()), (1, "one"));
}

#[test]
fn a_run_that_goes_on_while_the_next_is_shared_loses_nothing() {
    let bus = Arc::new(TwinBus::default());
    let (one, two) = (node("one", &bus), node("two", &bus));
    share(&one, DUE, 1, 1);
    share(&two, DUE.saturating_add(MINUTE), 1, 1);
    assert!(finish(&one, &taken(&one)).is_done());
}

#[test]
fn a_late_node_leaves_the_pages_of_the_next_run() {
    let bus = Arc::new(TwinBus::default());
    let one = node("one", &bus);
    share(&one, DUE, 1, 2);
    let later = DUE.saturating_add(MINUTE);
    let lost = taken(&one);
    share(&one, later, 1, 2);
    assert_eq!(asked(&one, DUE), TakenPages::Nothing);
    let next = asked(&one, later);
    assert!(matches!(next, TakenPages::Batch(_)), "{next:?}");
    assert!(finish(&one, &lost).is_done());
}

#[test]
fn pages_with_long_names_are_in_more_batches() {
    let mut long = tasks(100);
    for task in &mut long {
        task.page.target = format!("/{}", "a".repeat(8_000));
    }
    let parts = small(&long);
    assert_eq!(parts.concat(), long);
    for part in parts {
        let pages: Vec<_> = part.iter().map(QueuedPage::of).collect();
        assert!(serde_json::to_vec(&pages).unwrap().len() <= MOST_BYTES);
    }
}

#[test]
fn without_a_connection_nothing_is_shared() {
    let bus = Arc::new(TwinBus::default());
    let one = node("one", &bus);
    bus.cut_off(true);
    assert!(one.share(&name(DUE), &plan_of(DUE, 1, 1)).is_err());
}

#[test]
fn what_an_abandoned_run_has_left_holds_up_no_later_one() {
    let bus = Arc::new(TwinBus::default());
    let one = node("one", &bus);
    // As many as may be under way at once are in the hands of a node that gives them up, and more wait.
    share(&one, DUE, 8, 2);
    let (_, _) = (taken(&one), taken(&one));
    bus.redeliver();
    let ends = DUE.saturating_add(MINUTE);
    let before = ends.saturating_sub(Duration::from_secs(1));
    let soon = node_at(before, "soon", &bus);
    assert!(matches!(asked(&soon, DUE), TakenPages::Batch(_)));
    bus.redeliver();
    let late = node_at(ends, "late", &bus);
    assert_eq!(asked(&late, DUE), TakenPages::Over);
    share(&late, ends, 3, 2);
    let run = finish_all(&late, ends);
    assert_eq!(run.nodes["late"].fetched, 3);
    assert_eq!(bus.queued(), 0);
}

#[test]
fn a_node_takes_a_bounded_number_of_leftovers_out_at_once() {
    let bus = Arc::new(TwinBus::default());
    let one = node("one", &bus);
    share(&one, DUE, MOST_LEFTOVERS + 2, 16);
    let late = node_at(DUE.saturating_add(MINUTE), "late", &bus);
    let left = bus.queued();
    assert_eq!(asked(&late, DUE), TakenPages::Over);
    assert_eq!(bus.queued(), left - MOST_LEFTOVERS);
}

#[test]
fn a_run_that_goes_on_holds_up_no_later_one() {
    let bus = Arc::new(TwinBus::default());
    let (one, two) = (node("one", &bus), node("two", &bus));
    // All that may be under way at once is in the hands of one node.
    share(&one, DUE, 8, 1);
    let held = taken(&one);
    let next = DUE.saturating_add(Duration::from_secs(1));
    share(&two, next, 3, 1);
    assert!(finish_all(&two, next).is_done());
    assert_eq!(finish(&one, &held).done.len(), 1);
}

/// Has the first batch of a run come last, after this change.
fn plan_otherwise(bus: &TwinBus, change: impl Fn(&mut serde_json::Value)) {
    let queue = key_of(&name(DUE));
    let taken = bus.take_work(&queue, 1, PATIENCE).unwrap().unwrap();
    bus.answer_work(&taken.ticket, WorkAnswer::Done).unwrap();
    let mut batch = serde_json::from_slice(&taken.content).unwrap();
    change(&mut batch);
    let content = serde_json::to_vec(&batch).unwrap();
    bus.put_work(&queue, vec![content]).unwrap();
}

#[test]
fn pages_that_another_version_has_planned_are_left_to_its_nodes_and_then_have_failed() {
    for (field, what) in [("device", "device class"), ("scheme", "scheme")] {
        let bus = Arc::new(TwinBus::default());
        let one = node("one", &bus);
        // Two pages in a batch.
        share(&one, DUE, 10, 1);
        plan_otherwise(&bus, |batch| batch["pages"][1][field] = "new".into());
        (1..5).for_each(|_| drop(finish(&one, &taken(&one))));
        for _ in 1..FOR_OTHER_VERSIONS {
            assert_eq!(asked(&one, DUE), TakenPages::Nothing);
            assert_eq!(bus.queued(), 1);
        }
        let batch = taken(&one);
        assert_eq!((batch.tasks.len(), batch.unknown.len()), (1, 1));
        let mut result = result(&batch);
        result.add_failures(&batch.unknown);
        let run = one.finish(&name(DUE), &batch, &result).unwrap();
        assert!(run.is_done());
        let total = run.total();
        assert_eq!((total.fetched, total.failed, run.planned), (9, 1, 10));
        let reason = &run.failures[0].reason;
        assert!(
            reason.ends_with(&format!("the {what} new is unknown")),
            "{reason}"
        );
    }
}

#[test]
fn a_batch_that_can_not_be_read_is_left_to_others_before_it_leaves_the_queue() {
    let bus = Arc::new(TwinBus::default());
    let one = node("one", &bus);
    share(&one, DUE, 2, 1);
    plan_otherwise(&bus, |batch| batch["number"] = "new".into());
    finish(&one, &taken(&one));
    for left in (0..FOR_OTHER_VERSIONS).rev() {
        assert_eq!(asked(&one, DUE), TakenPages::Nothing);
        assert_eq!(bus.queued(), usize::from(left > 0));
    }
}

#[test]
fn what_is_no_batch_of_the_run_leaves_the_queue() {
    let bus = Arc::new(TwinBus::default());
    let one = node("one", &bus);
    let stray = |number: u32, attempt: &str| {
        let pages = tasks(1).iter().map(QueuedPage::of).collect();
        let attempt = attempt.to_owned();
        let batch = QueuedBatch {
            attempt,
            number,
            pages,
        };
        serde_json::to_vec(&batch).unwrap()
    };
    share(&one, DUE, 2, 1);
    let run = one.look(&name(DUE)).unwrap().unwrap();
    let strays = vec![
        b"{".to_vec(),
        b"not JSON".to_vec(),
        stray(0, "another"),
        stray(run.batches, &run.attempt),
    ];
    bus.put_work(&key_of(&name(DUE)), strays).unwrap();
    let run = finish_all(&one, DUE);
    assert_eq!(run.nodes["one"].fetched, 2);
    assert_eq!(asked(&one, DUE), TakenPages::Over);
    assert!(bus.queued() <= 4, "what comes after the last page stays");
}

#[test]
fn a_document_is_read_within_the_bounds_of_a_plan() {
    let bus = Arc::new(TwinBus::default());
    let one = node("one", &bus);
    for (written, read) in [(0, 1), (7, 7), (usize::MAX, MOST_AT_ONCE)] {
        let name = name(DUE.saturating_add(Duration::from_secs(read as u64)));
        let run = FleetRun {
            at_once: written,
            ..FleetRun::default()
        };
        one.write(&name, &run, None).unwrap();
        let known = one.look(&name).unwrap().unwrap();
        assert_eq!(known.at_once, read);
    }
}

#[test]
fn a_node_that_may_not_answer_for_pages_shares_none() {
    let bus = Arc::new(TwinBus::default());
    let one = node("one", &bus);
    bus.faults().is_mute = true;
    let shared = one.share(&name(DUE), &plan_of(DUE, 100, 4));
    assert_eq!(shared, Err("no right".to_owned()));
    assert_eq!(one.look(&name(DUE)), Ok(None));
    assert_eq!(bus.queued(), 1, "the trial comes before the rest");
}

#[test]
fn pages_that_would_fill_half_of_the_queue_are_not_shared() {
    let bus = Arc::new(TwinBus::default());
    let plan = plan_of(DUE, 100, 4);
    let bytes = |node: &PlanPages| -> usize {
        let attempt = drawn();
        let work = node.queued(&attempt, &plan).unwrap();
        work.iter().map(Vec::len).sum()
    };
    let one = node("one", &bus);
    let most_shared = bytes(&one) - 1;
    let small = PlanPages { most_shared, ..one };
    let refused = small.share(&name(DUE), &plan).unwrap_err();
    assert!(
        refused.contains("half of what the queue holds"),
        "{refused}"
    );
    assert_eq!(bus.queued(), 0);
    let most_shared = most_shared + 1;
    let large = PlanPages {
        most_shared,
        ..small
    };
    assert_eq!(large.share(&name(DUE), &plan), Ok(()));
    assert_eq!(MOST_SHARED * 2, WORK_BYTES);
}

#[test]
fn a_plan_that_finds_the_queue_full_leaves_nothing_in_it() {
    let bus = Arc::new(TwinBus::default());
    let (one, two) = (node("one", &bus), node("two", &bus));
    bus.faults().room = Some(10);
    let full = one.share(&name(DUE), &plan_of(DUE, 100, 4));
    assert_eq!(full, Err("the queue is full".to_owned()));
    assert_eq!(bus.queued(), 0);
    share(&two, DUE, 5, 1);
    assert_eq!(finish_all(&two, DUE).planned_by, "two");
}

#[test]
fn a_node_whose_document_was_written_and_not_acknowledged_takes_part() {
    let bus = Arc::new(TwinBus::default());
    let one = node("one", &bus);
    bus.faults().lost_answers = 1;
    share(&one, DUE, 3, 1);
    assert_eq!(finish_all(&one, DUE).planned_by, "one");
}

#[test]
fn a_node_whose_document_was_not_written_takes_its_pages_out() {
    let bus = Arc::new(TwinBus::default());
    let one = node("one", &bus);
    bus.faults().lost_changes = 1;
    assert!(one.share(&name(DUE), &plan_of(DUE, 3, 1)).is_err());
    assert_eq!(bus.queued(), 0);
}

#[test]
fn a_node_looks_a_bounded_number_of_times_for_the_document_that_it_may_have_written() {
    let run = FleetRun {
        planned_by: "one".to_owned(),
        ..FleetRun::default()
    };
    for (failed_looks, is_shared) in [(MOST_LOOKS - 1, true), (MOST_LOOKS, false)] {
        let bus = Arc::new(TwinBus::default());
        let one = node("one", &bus);
        let mut faults = bus.faults();
        (faults.lost_answers, faults.failed_looks) = (1, failed_looks);
        drop(faults);
        let announced = one.announce(&name(DUE), &run);
        assert_eq!(announced.is_ok(), is_shared, "{announced:?}");
    }
}

#[test]
fn a_node_that_has_planned_tries_a_bounded_number_of_times_to_take() {
    for (silent_takes, is_shared) in [(TRIES_TO_TAKE - 1, true), (TRIES_TO_TAKE, false)] {
        let bus = Arc::new(TwinBus::default());
        let one = node("one", &bus);
        bus.faults().silent_takes = silent_takes;
        let shared = one.share(&name(DUE), &plan_of(DUE, 3, 1));
        assert_eq!(shared.is_ok(), is_shared, "{shared:?}");
        let run = one.look(&name(DUE)).unwrap();
        assert_eq!(run.is_some(), is_shared);
    }
}

#[test]
fn a_change_of_the_document_is_tried_a_bounded_number_of_times() {
    let bus = Arc::new(TwinBus::default());
    let one = node("one", &bus);
    share(&one, DUE, 2, 2);
    let batches = [taken(&one), taken(&one)];
    let finished = |batch: &SharedBatch| one.finish(&name(DUE), batch, &result(batch));
    bus.faults().conflicts = MOST_TRIES - 1;
    assert_eq!(finished(&batches[0]).map(|run| run.done.len()), Ok(1));
    bus.faults().conflicts = MOST_TRIES;
    assert!(finished(&batches[1]).is_err());
    bus.faults().conflicts = MOST_TRIES;
    assert!(one.cancel(&name(DUE)).is_err());
    bus.faults().conflicts = MOST_TRIES - 1;
    assert_eq!(one.cancel(&name(DUE)), Ok(()));
}

#[test]
fn a_cancelled_run_is_over_for_all_nodes_and_leaves_nothing_to_the_next() {
    let bus = Arc::new(TwinBus::default());
    let (one, two) = (node("one", &bus), node("two", &bus));
    share(&one, DUE, 8, 2);
    let under_way = taken(&one);
    assert_eq!(two.cancel(&name(DUE)), Ok(()));
    let (run, pages) = one.take(&name(DUE)).unwrap();
    assert_eq!(
        (run.cancelled_by.as_deref(), pages),
        (Some("two"), TakenPages::Over)
    );
    let run = finish(&one, &under_way);
    assert_eq!(
        (run.cancelled_by.as_deref(), run.done.len()),
        (Some("two"), 1)
    );
    // The next run comes before the end of the cancelled one.
    let next = DUE.saturating_add(Duration::from_secs(1));
    share(&two, next, 3, 2);
    assert!(finish_all(&two, next).is_done());
    assert_eq!(bus.queued(), 0);
}

#[test]
fn a_run_that_is_cancelled_before_it_is_shared_is_not_shared() {
    let bus = Arc::new(TwinBus::default());
    let (one, two) = (node("one", &bus), node("two", &bus));
    assert_eq!(one.cancel(&name(DUE)), Ok(()));
    share(&one, DUE, 3, 1);
    let (run, pages) = two.take(&name(DUE)).unwrap();
    assert_eq!(
        (run.cancelled_by.as_deref(), run.planned, pages),
        (Some("one"), 0, TakenPages::Over)
    );
    assert_eq!((run.planned_by.as_str(), bus.queued()), ("", 0));
}
