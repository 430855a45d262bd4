//! When runs start and end.

use super::*;

#[tokio::test]
async fn a_plan_runs_at_its_local_time_and_once_however_far_the_clock_jumps() {
    let scheduled = config::Plan {
        urls: strings(&["/"]),
        schedule: Some("30 8 * * MON-SAT".to_owned()),
        ..plan()
    };
    let running = RunningWarmer::start(FakePath::new(), vec![scheduled]);
    running.settle().await;
    assert_eq!(
        running.warmer.plans()[0].next.as_deref(),
        Some("2026-11-24T08:30:00-03:00")
    );
    running.advance(30 * MINUTE - Duration::from_secs(1)).await;
    assert_eq!(running.warmer.runs().len(), 0);
    running.advance(Duration::from_secs(1)).await;
    let report = running
        .wait_for(id(1), |progress| progress.state.is_over())
        .await;
    assert_eq!((report.trigger, report.fetched), (RunTrigger::Schedule, 1));
    running.advance(Duration::from_secs(1)).await;
    assert_eq!(running.warmer.runs().len(), 1);
    // Over three openings and a Sunday.
    running.advance(6 * 24 * 60 * MINUTE).await;
    running
        .wait_for(id(2), |progress| progress.state.is_over())
        .await;
    running.settle().await;
    assert_eq!(running.warmer.runs().len(), 2);
}

#[tokio::test]
async fn a_plan_never_runs_twice_at_once() {
    let running = RunningWarmer::start(
        slow(),
        vec![config::Plan {
            urls: strings(&["/slow"]),
            ..plan()
        }],
    );
    assert_eq!(running.warmer.start("other"), Err(StartError::Unknown));
    assert_eq!(running.warmer.start("plan"), Ok(id(1)));
    assert_eq!(
        running.warmer.start("plan"),
        Err(StartError::Running(id(1)))
    );
    running
        .wait_for(id(1), |progress| progress.state == RunState::Fetching)
        .await;
    running.settle().await;
    assert_eq!(running.warmer.plans()[0].running, Some(id(1)));
    running.advance(MINUTE).await;
    let report = running
        .wait_for(id(1), |progress| progress.state.is_over())
        .await;
    assert_eq!((report.state, report.seconds), (RunState::Done, 60));
    assert_eq!(running.warmer.start("plan"), Ok(id(2)));
}

#[tokio::test]
async fn a_run_ends_at_its_deadline_and_cancels_its_fetches() {
    let fates = HashMap::from([(
        "/slow",
        (
            WarmOutcome::Fetched {
                bytes: 1,
                kept: true,
            },
            60 * MINUTE,
        ),
    )]);
    let plan = config::Plan {
        urls: strings(&["/", "/slow"]),
        deadline: 5 * MINUTE,
        ..plan()
    };
    let running = RunningWarmer::start(
        FakePath {
            fates,
            ..FakePath::new()
        },
        vec![plan],
    );
    let run = running.warmer.start("plan").unwrap();
    running
        .wait_for(run, |progress| progress.finished == 1)
        .await;
    running.settle().await;
    running.advance(5 * MINUTE).await;
    let report = running
        .wait_for(run, |progress| progress.state.is_over())
        .await;
    assert_eq!(
        (report.state, report.planned, report.fetched, report.seconds),
        (RunState::DeadlinePassed, 2, 1, 300)
    );
}

#[tokio::test]
async fn a_run_can_be_cancelled() {
    let running = RunningWarmer::start(
        slow(),
        vec![config::Plan {
            urls: strings(&["/slow"]),
            ..plan()
        }],
    );
    let run = running.warmer.start("plan").unwrap();
    running
        .wait_for(run, |progress| progress.state == RunState::Fetching)
        .await;
    assert!(running.warmer.cancel(run));
    let report = running
        .wait_for(run, |progress| progress.state.is_over())
        .await;
    assert_eq!(report.state, RunState::Cancelled);
    assert!(!running.warmer.cancel(run));
    assert!(!running.warmer.cancel(id(77)));
}

#[tokio::test]
async fn a_stopping_edge_ends_its_runs_and_starts_none() {
    let running = RunningWarmer::start(
        slow(),
        vec![config::Plan {
            urls: strings(&["/slow"]),
            ..plan()
        }],
    );
    let run = running.warmer.start("plan").unwrap();
    running
        .wait_for(run, |progress| progress.state == RunState::Fetching)
        .await;
    running.stage.send_replace(ShutdownStage::Draining);
    running.follower.await.unwrap();
    assert_eq!(running.warmer.run(run).unwrap().state, RunState::Cancelled);
    assert_eq!(running.warmer.start("plan"), Err(StartError::Stopping));
}

#[tokio::test]
async fn a_reload_replaces_the_plans_and_refuses_wrong_ones() {
    let running = RunningWarmer::start(
        FakePath::new(),
        vec![config::Plan {
            schedule: Some("0 9 * * *".to_owned()),
            ..plan()
        }],
    );
    running.settle().await;
    let wrong = config::Plan {
        schedule: Some("0 9 30 2 *".to_owned()),
        ..plan()
    };
    let error = running.warmer.reload(vec![wrong]).unwrap_err();
    assert!(
        error.to_string().contains("no date ever matches"),
        "{error}"
    );
    let elsewhere = config::Plan {
        site: "nowhere".into(),
        ..plan()
    };
    assert!(matches!(
        running.warmer.reload(vec![elsewhere]),
        Err(PlanError::NoSite { .. })
    ));
    assert_eq!(
        running.warmer.plans()[0].schedule.as_deref(),
        Some("0 9 * * *")
    );
    let earlier = config::Plan {
        schedule: Some("10 8 * * *".to_owned()),
        urls: strings(&["/"]),
        ..plan()
    };
    running.warmer.reload(vec![earlier]).unwrap();
    running.settle().await;
    running.advance(10 * MINUTE).await;
    assert_eq!(
        running
            .wait_for(id(1), |progress| progress.state.is_over())
            .await
            .fetched,
        1
    );
}

#[tokio::test]
async fn the_oldest_runs_are_forgotten() {
    let running = RunningWarmer::start(FakePath::new(), vec![plan()]);
    for _ in 0..MAX_REMEMBERED_RUNS + 5 {
        running.run().await;
    }
    let runs = running.warmer.runs();
    assert_eq!(runs.len(), MAX_REMEMBERED_RUNS);
    assert_eq!(runs[0].id as usize, MAX_REMEMBERED_RUNS + 5);
    assert!(running.warmer.run(id(1)).is_none());
}

#[tokio::test]
async fn a_plan_is_cancelled_by_its_name() {
    let running = RunningWarmer::start(
        slow(),
        vec![config::Plan {
            urls: strings(&["/slow"]),
            ..plan()
        }],
    );
    assert_eq!(running.warmer.cancel_plan("plan"), Err(CancelError::Idle));
    assert_eq!(
        running.warmer.cancel_plan("other"),
        Err(CancelError::Unknown)
    );
    let run = running.warmer.start("plan").unwrap();
    running
        .wait_for(run, |progress| progress.state == RunState::Fetching)
        .await;
    assert_eq!(running.warmer.cancel_plan("plan"), Ok(run));
    running
        .wait_for(run, |progress| progress.state == RunState::Cancelled)
        .await;
    assert_eq!(running.warmer.cancel_plan("plan"), Err(CancelError::Idle));
    running.settle().await;
    assert_eq!(
        running.warmer.totals()["plan"].ended,
        BTreeMap::from([("cancelled", 1)])
    );
}

#[tokio::test]
async fn a_dry_run_lists_what_would_be_fetched_and_does_not_block_a_run() {
    let found = HashMap::from([
        ("/1", WarmLookup::GoesStale),
        ("/2", WarmLookup::Fresh),
        ("/3", WarmLookup::Changed),
    ]);
    let running = RunningWarmer::start(
        FakePath {
            found,
            ..FakePath::new()
        },
        vec![config::Plan {
            urls: strings(&["/1", "/2", "/3", "/4"]),
            ..plan()
        }],
    );
    let run = running.warmer.start_dry("plan").unwrap();
    assert_eq!(
        running.warmer.start_dry("plan"),
        Err(StartError::Running(run))
    );
    let real = running.warmer.start("plan").unwrap();
    let report = running
        .wait_for(run, |progress| progress.state.is_over())
        .await;
    assert!(report.dry_run);
    assert_eq!(
        (report.state, report.planned, report.fetched, report.fresh),
        (RunState::Done, 4, 0, 1)
    );
    let listed: Vec<_> = report
        .would_fetch
        .iter()
        .map(|page| (page.url.as_str(), page.because))
        .collect();
    assert_eq!(
        listed,
        [
            ("www.example/1", "goes-stale"),
            ("www.example/3", "changed"),
            ("www.example/4", "absent")
        ]
    );
    running
        .wait_for(real, |progress| progress.state.is_over())
        .await;
    assert_eq!(
        running.urls().len(),
        4,
        "by the run, and not by the dry run"
    );
    running.settle().await;
    assert_eq!(running.warmer.totals()["plan"].runs, 1);
}

#[tokio::test]
async fn a_plan_has_run_once_a_run_has_ended() {
    let running = RunningWarmer::start(
        slow(),
        vec![config::Plan {
            urls: strings(&["/slow"]),
            ..plan()
        }],
    );
    assert_eq!(running.warmer.has_run("other"), None);
    let run = running.warmer.start_first("plan", EIGHT).unwrap();
    running
        .wait_for(run, |progress| progress.state == RunState::Fetching)
        .await;
    running.settle().await;
    assert_eq!(running.warmer.has_run("plan"), Some(false));
    running.advance(MINUTE).await;
    assert_eq!(
        running
            .wait_for(run, |progress| progress.state.is_over())
            .await
            .trigger,
        RunTrigger::Start
    );
    running.settle().await;
    assert_eq!(running.warmer.has_run("plan"), Some(true));
}

#[tokio::test]
async fn a_plan_that_failed_has_not_run_and_is_started_again_while_the_edge_waits() {
    let fake = FakePath {
        texts: HashMap::from([("/s.xml", "<urlset/>")]),
        unreadable: Mutex::new(HashMap::from([("/s.xml", 2)])),
        ..FakePath::new()
    };
    let plan = config::Plan {
        sitemaps: strings(&["/s.xml"]),
        ..plan()
    };
    let running = RunningWarmer::start(fake, vec![plan]);
    let at_last = EIGHT.saturating_add(MINUTE);
    let run = running.warmer.start_first("plan", at_last).unwrap();
    running
        .wait_for(run, |progress| progress.state.is_over())
        .await;
    running.settle().await;
    assert_eq!(running.warmer.has_run("plan"), Some(false));
    // After five seconds, and after ten more.
    let states = || -> Vec<RunState> {
        let runs = running.warmer.runs();
        runs.iter().rev().map(|report| report.state).collect()
    };
    for (secs, runs) in [(4, 1), (1, 2), (9, 2), (1, 3)] {
        running.advance(Duration::from_secs(secs)).await;
        while !running.warmer.runs()[0].state.is_over() {
            running.settle().await;
        }
        assert_eq!(states().len(), runs, "{secs}");
    }
    running.settle().await;
    assert_eq!(
        states(),
        [RunState::Failed, RunState::Failed, RunState::Done]
    );
    assert_eq!(running.warmer.has_run("plan"), Some(true));
}

#[tokio::test]
async fn the_edge_waits_no_longer_than_it_says() {
    let plan = config::Plan {
        sitemaps: strings(&["/missing.xml"]),
        ..plan()
    };
    let running = RunningWarmer::start(FakePath::new(), vec![plan]);
    let run = running.warmer.start_first("plan", EIGHT).unwrap();
    running
        .wait_for(run, |progress| progress.state.is_over())
        .await;
    for _ in 0..30 {
        running.advance(Duration::from_secs(1)).await;
    }
    assert_eq!(running.warmer.runs().len(), 1);
}

#[tokio::test]
async fn a_schedule_that_finds_the_last_run_going_on_is_counted() {
    let plan = config::Plan {
        urls: strings(&["/slow"]),
        schedule: Some("* 8 * * *".to_owned()),
        ..plan()
    };
    let fake = FakePath {
        fates: HashMap::from([(
            "/slow",
            (
                WarmOutcome::Fetched {
                    bytes: 1,
                    kept: true,
                },
                150 * Duration::from_secs(1),
            ),
        )]),
        ..FakePath::new()
    };
    let running = RunningWarmer::start(fake, vec![plan]);
    running.settle().await;
    for _ in 0..3 * 60 {
        running.advance(Duration::from_secs(1)).await;
    }
    // Due at 8:01, 8:02 and 8:03; the first goes on to 8:03:30.
    let totals = &running.warmer.totals()["plan"];
    assert_eq!((totals.runs, totals.skipped), (1, 2));
}
