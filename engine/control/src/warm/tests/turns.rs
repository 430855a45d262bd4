//! Turns of plans with those of other nodes.

use std::sync::mpsc;

use super::super::shared::PageSharing;
use super::super::turns::{RunTurn, RunTurns};
use super::*;

/// Gives turns when the test does, and notes whose run has ended.
#[derive(Debug)]
pub(super) struct FakeTurns {
    turns: Mutex<mpsc::Receiver<RunTurn>>,
    ended: Mutex<Vec<(String, Timestamp)>>,
    popular: Mutex<Option<Vec<PopularPage>>>,
    pages: Option<Arc<dyn PageSharing>>,
}

impl RunTurns for FakeTurns {
    fn wait(&self, _: &str, _: Timestamp) -> RunTurn {
        lock(&self.turns).recv().unwrap_or_default()
    }

    fn pages(&self) -> Option<Arc<dyn PageSharing>> {
        self.pages.clone()
    }

    fn ended(&self, plan: &str, due: Timestamp) {
        lock(&self.ended).push((plan.to_owned(), due));
    }

    fn popular(&self, site: &str, _: Hours, n: usize) -> Option<Vec<PopularPage>> {
        assert_eq!(site, "site");
        lock(&self.popular).clone().map(|mut pages| {
            pages.truncate(n);
            pages
        })
    }
}

fn taking_turns(path: FakePath) -> (RunningWarmer, mpsc::Sender<RunTurn>, Arc<FakeTurns>) {
    let plan = config::Plan {
        urls: strings(&["/"]),
        ..plan()
    };
    taking_turns_with(path, plan, None)
}

/// A warmer whose plan comes due at 8:30, and takes turns.
pub(super) fn taking_turns_with(
    path: FakePath,
    plan: config::Plan,
    pages: Option<Arc<dyn PageSharing>>,
) -> (RunningWarmer, mpsc::Sender<RunTurn>, Arc<FakeTurns>) {
    let scheduled = config::Plan {
        schedule: Some("30 8 * * *".to_owned()),
        ..plan
    };
    let running = RunningWarmer::start(path, vec![scheduled]);
    let (give, turns) = mpsc::channel();
    let turns = Arc::new(FakeTurns {
        turns: Mutex::new(turns),
        ended: Mutex::default(),
        popular: Mutex::default(),
        pages,
    });
    running.warmer.take_turns(Arc::clone(&turns) as _);
    (running, give, turns)
}

#[tokio::test]
async fn a_plan_whose_site_has_shields_waits_for_its_turn_and_gives_it_on() {
    let shielded = FakePath {
        is_shielded: true,
        ..FakePath::new()
    };
    let (running, give, turns) = taking_turns(shielded);
    running.settle().await;
    running.advance(30 * MINUTE).await;
    running.settle().await;
    assert_eq!(running.warmer.runs().len(), 0, "it is not its turn");
    give.send(RunTurn::First).unwrap();
    // Turns are waited for on a thread.
    while running.warmer.runs().is_empty() {
        running.settle().await;
    }
    let report = running
        .wait_for(id(1), |progress| progress.state.is_over())
        .await;
    assert_eq!((report.trigger, report.fetched), (RunTrigger::Schedule, 1));
    assert!(report.notes[0].contains("ran the plan first"), "{report:?}");
    while lock(&turns.ended).is_empty() {
        running.settle().await;
    }
    let due = EIGHT.saturating_add(30 * MINUTE);
    assert_eq!(*lock(&turns.ended), [("plan".to_owned(), due)]);
}

#[tokio::test]
async fn a_plan_without_shields_or_by_request_takes_no_turns() {
    let (running, _give, _) = taking_turns(FakePath::new());
    running.settle().await;
    running.advance(30 * MINUTE).await;
    let report = running
        .wait_for(id(1), |progress| progress.state.is_over())
        .await;
    assert!(report.notes.is_empty(), "{report:?}");
    let shielded = FakePath {
        is_shielded: true,
        ..FakePath::new()
    };
    let (running, _give, _) = taking_turns(shielded);
    assert_eq!(running.warmer.start("plan"), Ok(id(1)));
    running
        .wait_for(id(1), |progress| progress.state.is_over())
        .await;
}

#[tokio::test]
async fn popular_pages_are_those_of_all_nodes_or_of_this_one_where_they_can_not_be_asked() {
    let page = |url: &str| PopularPage {
        url: url.to_owned(),
        requests: 1,
        variant: None,
    };
    for (of_fleet, expected) in [
        (Some(vec![page("/of-all")]), "www.example/of-all"),
        (None, "www.example/own"),
    ] {
        let path = FakePath {
            popular: vec![page("/own")],
            ..FakePath::new()
        };
        let popular = config::Plan {
            popular: 10,
            ..plan()
        };
        let running = RunningWarmer::start(path, vec![popular]);
        let turns = FakeTurns {
            turns: Mutex::new(mpsc::channel().1),
            ended: Mutex::default(),
            popular: Mutex::new(of_fleet),
            pages: None,
        };
        running.warmer.take_turns(Arc::new(turns));
        running.run().await;
        assert_eq!(running.urls(), [expected]);
    }
}
