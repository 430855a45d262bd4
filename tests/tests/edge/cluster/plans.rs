//! Warming plans of a fleet: one node plans, all fetch, and each has what the others have fetched.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tero_admin_api::{FleetRunReport, RunState, RunTrigger, WarmRunReport};
use tero_tests::{ART, Edge, Gate, Origin, Reply, eventually, folder, instant};
use tero_time::clock::Clock;

use super::credentials::{node_rights, node_rights_but};
use super::nats::{NatsServer, programs};
use super::versions::heard;
use super::{init_with, is_hit, node, wait_until_ready};
use crate::warming::runs;

/// A shield, and nodes before it whose plan comes due in 10 seconds.
struct PlanFleet {
    edges: Vec<Option<Edge>>,
    _shield: Edge,
    nats: NatsServer,
    origin: Origin,
    pages: Vec<String>,
    clock: Clock,
    _folder: TempDir,
}

impl PlanFleet {
    /// Nodes that have the rights of docs/cluster.md, and a plan of so many pages.
    fn start(
        program: &Path,
        names: &[&str],
        pages: usize,
        keys: &str,
        prepare: impl Fn(&Origin),
    ) -> PlanFleet {
        PlanFleet::with_rights(program, &node_rights(), names, pages, keys, prepare)
    }

    /// The same with other rights.
    fn with_rights(
        program: &Path,
        node_rights: &str,
        names: &[&str],
        pages: usize,
        keys: &str,
        prepare: impl Fn(&Origin),
    ) -> PlanFleet {
        let folder = folder();
        let [rights, password] = ["nats.conf", "password"].map(|name| folder.path().join(name));
        std::fs::write(&rights, node_rights).unwrap();
        std::fs::write(&password, "password\n").unwrap();
        let nats = NatsServer::start(program, &["-c", &rights.display().to_string()]);
        let path = password.display();
        let user = |user: &str| format!("user = \"{user}\"\npassword_file = \"{path}\"\n");
        init_with(&nats, &user("operator"));
        let origin = Origin::start();
        origin.otherwise(|asked| Reply::fresh(3_600, &asked.target));
        prepare(&origin);
        let socket = format!("unix:{}/shield.sock", folder.path().display());
        let shield = Edge::before(&origin)
            .server(&format!(
                "name = \"shield\"\ntrusted_edges = [\"unix\"]\n[[server.listener]]\naddress = \"{socket}\""
            ))
            .start();
        let zone = ART.parse().unwrap();
        let clock = Clock::by_hand(instant("2026-11-24T08:59:50", zone));
        let pages: Vec<String> = (1..=pages)
            .map(|number| format!("/page-{number}"))
            .collect();
        let plan = format!(
            "[site.shield]\nnodes = [\"{socket}\"]\n[[warm]]\nname = \"plan\"\nsite = \"site\"\n\
             urls = {pages:?}\n{keys}\nschedule = \"0 9 * * *\"\nzone = \"{ART}\""
        );
        let edges: Vec<Option<Edge>> = names
            .iter()
            .map(|name| {
                let text = node(&origin, &nats, name)
                    .section(&user("node"))
                    .section(&plan);
                Some(Edge::on_clock(&text.to_toml(), clock.clone(), zone))
            })
            .collect();
        let fleet = PlanFleet {
            nats,
            origin,
            pages,
            clock,
            edges,
            _shield: shield,
            _folder: folder,
        };
        for edge in fleet.up() {
            wait_until_ready(std::slice::from_ref(edge));
            eventually("nodes that hear of each other", || {
                heard(edge).len() == names.len()
            });
        }
        fleet
    }

    /// The nodes that are there.
    fn up(&self) -> impl Iterator<Item = &Edge> {
        self.edges.iter().flatten()
    }

    /// Has the plan come due.
    fn come_due(&self) {
        self.clock.advance(Duration::from_secs(20));
    }

    /// Waits until the runs of all nodes fetch, without turning the clock.
    #[track_caller]
    fn wait_until_fetching(&self) {
        eventually("all nodes fetch", || {
            let mut runs = self.up().map(|edge| runs(edge).into_iter().next());
            runs.all(|run| run.is_some_and(|run| run.state == RunState::Fetching))
        });
    }

    /// Waits until the runs of all nodes are over, and returns their reports.
    #[track_caller]
    fn reports(&self) -> Vec<WarmRunReport> {
        eventually("the runs are over", || {
            // The rate of the plan is kept on this clock.
            self.clock.advance(Duration::from_millis(20));
            self.up()
                .all(|edge| runs(edge).first().is_some_and(|run| run.state.is_over()))
        });
        self.up().map(|edge| runs(edge).remove(0)).collect()
    }

    /// Each page was fetched from the origin once, and is stored at each node.
    #[track_caller]
    fn check_pages(&self) {
        for page in &self.pages {
            for edge in self.up() {
                let answer = edge.get(page);
                assert!(is_hit(&answer), "{page}: {answer:?}");
            }
            assert_eq!(self.origin.requests(page), 1, "{page}");
        }
    }
}

/// The report of the fleet, which is the same at all nodes.
#[track_caller]
fn shared(reports: &[WarmRunReport]) -> &FleetRunReport {
    let all: Vec<_> = reports.iter().map(|report| report.fleet.as_ref()).collect();
    assert!(all.iter().all(|fleet| *fleet == all[0]), "{all:#?}");
    all[0].unwrap_or_else(|| panic!("nothing was shared: {reports:#?}"))
}

fn is_noted(report: &WarmRunReport, part: &str) -> bool {
    report.notes.iter().any(|note| note.contains(part))
}

/// Pages that a run has begun with, and has not ended with.
fn under_way(run: &WarmRunReport) -> u64 {
    run.planned - run.fetched - run.fresh - run.not_stored - run.failed
}

#[test]
fn the_pages_of_a_plan_are_shared_and_all_nodes_have_one_report() {
    for program in programs() {
        let keys = "concurrency = 4";
        let fleet = PlanFleet::start(&program, &["one", "two", "three"], 40, keys, |origin| {
            origin.on("/page-7", Reply::status(404));
        });
        fleet.come_due();
        let reports = fleet.reports();
        for report in &reports {
            assert_eq!(report.trigger, RunTrigger::Schedule);
            assert_eq!(
                (report.state, report.planned),
                (RunState::Done, 40),
                "{report:#?}"
            );
            assert_eq!(under_way(report), 0, "{report:#?}");
        }
        let planned = reports
            .iter()
            .filter(|report| is_noted(report, "this node planned"));
        assert_eq!(planned.count(), 1, "{reports:#?}");
        let run = shared(&reports);
        assert_eq!(
            (run.planned, run.fetched + run.fresh, run.failed),
            (40, 39, 1),
            "{run:#?}"
        );
        let of_nodes = run
            .nodes
            .iter()
            .map(|node| node.fetched + node.fresh + node.failed);
        assert_eq!(of_nodes.sum::<u64>(), 40, "{run:#?}");
        assert!(run.failures[0].url.ends_with("/page-7"), "{run:#?}");
        let mut fleet = fleet;
        fleet.pages.retain(|page| page != "/page-7");
        fleet.check_pages();
    }
}

#[test]
fn a_node_that_dies_with_pages_in_its_hands_loses_none() {
    for program in programs() {
        let gate = Gate::new();
        let keys = "concurrency = 1";
        let mut fleet = PlanFleet::start(&program, &["one", "two"], 4, keys, |origin| {
            origin.on("/page-3", Reply::fresh(3_600, "/page-3").behind(&gate));
        });
        fleet.come_due();
        eventually("a page that is fetched", || {
            fleet.clock.advance(Duration::from_millis(20));
            fleet.origin.requests("/page-3") == 1
        });
        gate.wait_for_arrivals(1);
        // Of a plan without concurrency, one node at a time has pages. One that has not planned itself
        // counts those that it gets.
        let holds = |edge: &Option<Edge>| {
            let runs = edge.as_ref().map(runs).unwrap_or_default();
            let joined = runs
                .first()
                .filter(|run| !is_noted(run, "this node planned"));
            joined.is_some_and(|run| under_way(run) == 1)
        };
        let planned = |edge: &Option<Edge>| {
            let runs = edge.as_ref().map(runs).unwrap_or_default();
            runs.first()
                .is_some_and(|run| is_noted(run, "this node planned"))
        };
        let holder = fleet.edges.iter().position(holds);
        let planner = || fleet.edges.iter().position(planned);
        let holder = holder.or_else(planner).expect("a node that fetches");
        drop(fleet.edges[holder].take());
        gate.open();
        let reports = fleet.reports();
        let run = shared(&reports);
        assert_eq!(
            (run.planned, run.fetched + run.fresh),
            (4, 4),
            "{reports:#?}"
        );
        assert_eq!((reports[0].state, reports[0].planned), (RunState::Done, 4));
        fleet.check_pages();
    }
}

#[test]
fn streams_of_an_earlier_version_have_one_node_run_the_plan_first() {
    let Some(program) = programs().pop() else {
        return;
    };
    let fleet = PlanFleet::start(&program, &["one", "two"], 4, "", |_| {});
    let delete = "$JS.API.STREAM.DELETE.TERO_WARM";
    let operator = ("operator", "password");
    fleet
        .nats
        .publish_as(operator, delete, std::iter::once(String::new()));
    fleet.come_due();
    let reports = fleet.reports();
    let first = reports
        .iter()
        .find(|report| is_noted(report, "this node ran the plan first"));
    let first = first.unwrap_or_else(|| panic!("{reports:#?}"));
    assert!(is_noted(first, "doesn't share the pages"), "{first:#?}");
    assert!(
        reports
            .iter()
            .any(|report| is_noted(report, "another node")),
        "{reports:#?}"
    );
    assert!(
        reports.iter().all(|report| report.fleet.is_none()),
        "{reports:#?}"
    );
    fleet.check_pages();
}

#[test]
fn a_right_that_is_missing_has_one_node_run_the_plan_first() {
    let Some(program) = programs().pop() else {
        return;
    };
    for right in [
        "$JS.ACK.TERO_WARM.>",
        "$JS.API.CONSUMER.MSG.NEXT.TERO_WARM.>",
        "$KV.TERO_RUNS.>",
    ] {
        let rights = node_rights_but(right);
        let fleet = PlanFleet::with_rights(&program, &rights, &["one", "two"], 4, "", |_| {});
        fleet.come_due();
        let reports = fleet.reports();
        let first = reports
            .iter()
            .find(|report| is_noted(report, "this node ran the plan first"));
        let first = first.unwrap_or_else(|| panic!("{reports:#?}"));
        let words = format!("may publish to `{right}`");
        assert!(is_noted(first, &words), "{first:#?}");
        assert!(
            reports.iter().all(|report| report.fleet.is_none()),
            "{reports:#?}"
        );
        fleet.check_pages();
    }
}

#[test]
fn what_a_run_has_left_at_its_end_is_out_of_the_way_of_the_next() {
    for program in programs() {
        // A batch has one page, and is held for four seconds.
        let keys = "concurrency = 2\nrate = 0.5\ndeadline = \"10min\"";
        let fleet = PlanFleet::start(&program, &["one", "two"], 8, keys, |_| {});
        fleet.come_due();
        fleet.wait_until_fetching();
        fleet.clock.advance(Duration::from_secs(11 * 60));
        let reports = fleet.reports();
        let ended = |report: &WarmRunReport| report.state == RunState::DeadlinePassed;
        assert!(reports.iter().all(ended), "{reports:#?}");
        fleet.clock.advance(Duration::from_secs(24 * 60 * 60));
        eventually("the next run", || {
            fleet.up().all(|edge| runs(edge).len() == 2)
        });
        let reports = fleet.reports();
        let run = shared(&reports);
        // The clock of the shield is another one, so that what comes from it may be stale here.
        let pages = run.fetched + run.fresh + run.not_stored;
        assert_eq!((run.planned, pages), (8, 8), "{reports:#?}");
        assert!(
            reports.iter().all(|report| report.state == RunState::Done),
            "{reports:#?}"
        );
    }
}

#[test]
fn a_run_that_is_cancelled_at_one_node_ends_at_all() {
    for program in programs() {
        let gate = Gate::new();
        let fleet = PlanFleet::start(&program, &["one", "two"], 8, "concurrency = 2", |origin| {
            let gate = gate.clone();
            origin.otherwise(move |asked| Reply::fresh(3_600, &asked.target).behind(&gate));
        });
        fleet.come_due();
        fleet.wait_until_fetching();
        gate.wait_for_arrivals(1);
        let cancelled = fleet.edges[0]
            .as_ref()
            .unwrap()
            .admin_post("/warm/plan/cancel", "");
        assert_eq!(cancelled.status, 200, "{cancelled:?}");
        let reports = fleet.reports();
        let ended = |report: &WarmRunReport| report.state == RunState::Cancelled;
        assert!(reports.iter().all(ended), "{reports:#?}");
        assert!(
            is_noted(&reports[1], "cancelled at the node one"),
            "{reports:#?}"
        );
        gate.open();
    }
}
