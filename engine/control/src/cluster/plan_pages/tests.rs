use super::super::twin_bus::TwinBus;
use super::queued::MOST_BYTES;
use super::*;
use crate::warm::path::Page;
use crate::warm::report::RunReport;
use crate::warm::task::WarmTask;
use tero_policy_host::device::Device;
use tero_semantics::authority::Scheme;

const DUE: Timestamp = Timestamp::from_unix_secs(1_000);

fn name(due: Timestamp) -> SharedRunName {
    SharedRunName {
        plan: "plan".to_owned(),
        due,
    }
}

fn node(node: &str, bus: &Arc<TwinBus>) -> PlanPages {
    let bus: Arc<dyn FleetBus> = Arc::clone(bus) as _;
    PlanPages::new(node, &bus)
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

fn share(node: &PlanPages, due: Timestamp, count: usize, concurrency: usize) {
    let plan = SharedPlan::new(&tasks(count), concurrency);
    node.share(&name(due), &plan).unwrap();
}

/// What a node gets of a run.
#[track_caller]
fn asked(node: &PlanPages, due: Timestamp) -> TakenPages {
    node.take(&name(due)).unwrap().1
}

fn taken(node: &PlanPages) -> SharedBatch {
    for _ in 0..10 {
        match asked(node, DUE) {
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
    node.finish(&name(DUE), batch, &result(batch)).unwrap()
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
    assert_eq!(asked(&two, DUE), TakenPages::Nothing, "it was done");
    let run = finish(&two, &taken(&two));
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
    share(&two, DUE.saturating_add(Duration::from_secs(60)), 1, 1);
    assert!(finish(&one, &taken(&one)).is_done());
}

#[test]
fn a_late_node_leaves_the_pages_of_the_next_run() {
    let bus = Arc::new(TwinBus::default());
    let one = node("one", &bus);
    share(&one, DUE, 1, 2);
    let later = DUE.saturating_add(Duration::from_secs(60));
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
    let plan = SharedPlan::new(&tasks(1), 1);
    assert!(one.share(&name(DUE), &plan).is_err());
}
