//! Which pages are fetched, how fast, and how reports count them.

use super::*;

#[tokio::test]
async fn each_page_is_fetched_once_per_variant_that_visitors_get() {
    let running = RunningWarmer::start(
        FakePath::new(),
        vec![config::Plan {
            urls: strings(&["/", "/v/1", "/", "/pay/now"]),
            ..plan()
        }],
    );
    let report = running.run().await;
    let device = |device: Device, url: &str| (url.to_owned(), device);
    let mut fetched = running.fetched();
    fetched.sort();
    assert_eq!(
        fetched,
        [
            device(Device::Mobile, "www.example/"),
            device(Device::Desktop, "www.example/v/1"),
            device(Device::Mobile, "www.example/v/1"),
            device(Device::Tablet, "www.example/v/1")
        ]
    );
    assert_eq!(
        (report.state, report.planned, report.fetched, report.bytes),
        (RunState::Done, 4, 4, 400)
    );
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("1 pages pass, by decision")),
        "{:?}",
        report.notes
    );
    assert_eq!(report.used_later, 10);
    assert_eq!(report.started, "2026-11-24T08:00:00-03:00");
}

#[tokio::test]
async fn wanted_variants_are_names_or_devices_and_undeclared_ones_are_skipped() {
    let variants = strings(&["desktop", "mobile", "no-such"]);
    let plan = config::Plan {
        urls: strings(&["/", "/v/1"]),
        variants: PlanVariants::These(variants),
        ..plan()
    };
    let running = RunningWarmer::start(FakePath::new(), vec![plan]);
    let report = running.run().await;
    let mut fetched = running.fetched();
    fetched.sort();
    assert_eq!(
        fetched,
        [
            ("www.example/".to_owned(), Device::Desktop),
            ("www.example/v/1".to_owned(), Device::Desktop),
            ("www.example/v/1".to_owned(), Device::Mobile)
        ]
    );
    assert_eq!((report.planned, report.failed), (3, 0));
}

#[tokio::test]
async fn the_report_counts_fresh_not_stored_and_failed_pages_with_reasons() {
    let not_stored = WarmOutcome::NotStored {
        reason: "no-store".to_owned(),
        bytes: 7,
    };
    let failed = WarmOutcome::Failed {
        reason: "answered with 404".to_owned(),
        overloaded: false,
        retry_after: None,
    };
    let fates = [
        ("/fresh", WarmOutcome::Fresh),
        ("/no-store", not_stored),
        ("/gone", failed),
    ];
    let fates = fates
        .into_iter()
        .map(|(target, outcome)| (target, (outcome, Duration::ZERO)))
        .collect();
    let running = RunningWarmer::start(
        FakePath {
            fates,
            ..FakePath::new()
        },
        vec![config::Plan {
            urls: strings(&["/", "/fresh", "/no-store", "/gone"]),
            ..plan()
        }],
    );
    let report = running.run().await;
    assert_eq!(
        (
            report.planned,
            report.fetched,
            report.fresh,
            report.not_stored,
            report.failed
        ),
        (4, 1, 1, 1, 1)
    );
    assert_eq!(
        (
            report.failures[0].url.as_str(),
            report.failures[0].reason.as_str()
        ),
        ("www.example/gone", "answered with 404")
    );
    assert_eq!(report.refusals[0].reason, "no-store");
    assert_eq!(report.bytes, 107);
    let totals = &running.warmer.totals()["plan"];
    assert_eq!(
        (
            totals.runs,
            totals.fetched,
            totals.fresh,
            totals.not_stored,
            totals.failed,
            totals.used
        ),
        (1, 1, 1, 1, 1, 10)
    );
}

#[tokio::test]
async fn no_more_fetches_are_under_way_than_the_plan_allows() {
    let targets = ["/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8"];
    let stored = WarmOutcome::Fetched {
        bytes: 1,
        kept: true,
    };
    let fates = targets
        .map(|target| (target, (stored.clone(), MINUTE)))
        .into();
    let urls = strings(&targets);
    let running = RunningWarmer::start(
        FakePath {
            fates,
            ..FakePath::new()
        },
        vec![config::Plan {
            urls,
            concurrency: 3,
            ..plan()
        }],
    );
    let run = running.warmer.start("plan").unwrap();
    running
        .wait_for(run, |progress| progress.state == RunState::Fetching)
        .await;
    for _ in 0..3 {
        running.settle().await;
        running.advance(MINUTE).await;
    }
    assert_eq!(
        running
            .wait_for(run, |progress| progress.state.is_over())
            .await
            .fetched,
        8
    );
    assert_eq!(lock(&running.fake.seen).most_under_way, 3);
}

#[tokio::test]
async fn fetches_keep_to_the_rate_and_leave_an_overloaded_origin_alone() {
    let overloaded = WarmOutcome::Failed {
        reason: "busy".to_owned(),
        overloaded: true,
        retry_after: Some(5 * MINUTE),
    };
    let fates = HashMap::from([("/3", (overloaded, Duration::ZERO))]);
    let urls = strings(&["/1", "/2", "/3", "/4", "/5"]);
    let plan = config::Plan {
        urls,
        concurrency: 1,
        rate: 0.5,
        deadline: 60 * MINUTE,
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
    for _ in 0..400 {
        running.advance(Duration::from_secs(1)).await;
    }
    let report = running
        .wait_for(run, |progress| progress.state.is_over())
        .await;
    assert_eq!((report.fetched, report.failed), (4, 1));
    let at: Vec<u64> = lock(&running.fake.seen)
        .at
        .iter()
        .map(|at| at.since(EIGHT).as_secs())
        .collect();
    // One every two seconds; five minutes of rest after the third; then half as fast, and faster
    // again.
    assert_eq!(at[..3], [0, 2, 4]);
    assert!(at[3] >= 304 && at[4] - at[3] > 2, "{at:?}");
}

#[tokio::test]
async fn an_overloaded_origin_is_asked_again_after_its_retry_after_until_the_deadline() {
    let overloaded = WarmOutcome::Failed {
        reason: "busy".to_owned(),
        overloaded: true,
        retry_after: Some(MINUTE),
    };
    let fates = HashMap::from([("/1", (overloaded, Duration::ZERO))]);
    let plan = config::Plan {
        urls: strings(&["/1", "/2"]),
        concurrency: 1,
        retries: 2,
        deadline: 100 * Duration::from_secs(1),
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
        .wait_for(run, |progress| progress.state == RunState::Fetching)
        .await;
    let report = running.turn_until_over(run).await;
    // A minute's rest after each of two tries; the third would have come too late.
    assert_eq!(
        (report.state, report.fetched, report.failed, report.retried),
        (RunState::DeadlinePassed, 1, 0, 2)
    );
    let at: Vec<u64> = lock(&running.fake.seen)
        .at
        .iter()
        .map(|at| at.since(EIGHT).as_secs())
        .collect();
    assert_eq!(at.len(), 3);
    assert!(
        at[0] == 0 && (60..63).contains(&at[1]) && (60..65).contains(&at[2]),
        "{at:?}"
    );
}

#[tokio::test]
async fn a_page_has_failed_after_its_last_retry() {
    let down = WarmOutcome::Failed {
        reason: "down".to_owned(),
        overloaded: true,
        retry_after: None,
    };
    let fates = HashMap::from([("/1", (down, Duration::ZERO))]);
    let running = RunningWarmer::start(
        FakePath {
            fates,
            ..FakePath::new()
        },
        vec![config::Plan {
            urls: strings(&["/1"]),
            retries: 2,
            ..plan()
        }],
    );
    let run = running.warmer.start("plan").unwrap();
    let report = running.turn_until_over(run).await;
    assert_eq!(
        (report.state, report.failed, report.retried),
        (RunState::Done, 1, 2)
    );
    assert_eq!(running.urls().len(), 3);
}

#[tokio::test]
async fn visitors_go_first() {
    let fake = FakePath::new();
    fake.full.store(true, Ordering::Relaxed);
    let running = RunningWarmer::start(
        fake,
        vec![config::Plan {
            urls: strings(&["/1"]),
            ..plan()
        }],
    );
    let run = running.warmer.start("plan").unwrap();
    running
        .wait_for(run, |progress| progress.state == RunState::Fetching)
        .await;
    for _ in 0..50 {
        running.advance(Duration::from_secs(1)).await;
    }
    assert_eq!(running.urls().len(), 0);
    running.fake.full.store(false, Ordering::Relaxed);
    assert_eq!(running.turn_until_over(run).await.fetched, 1);
}

/// How long a run of 100 good pages and 25 that always fail takes at 50 a second, in this order.
async fn time_of(is_failing: impl Fn(usize) -> bool) -> Duration {
    let down = WarmOutcome::Failed {
        reason: "answered with 500".to_owned(),
        overloaded: true,
        retry_after: None,
    };
    let targets: Vec<&'static str> = (0..125)
        .map(|number| &*format!("/{number}").leak())
        .collect();
    let failing = targets
        .iter()
        .enumerate()
        .filter(|(index, _)| is_failing(*index));
    let fates: HashMap<_, _> = failing
        .map(|(_, target)| (*target, (down.clone(), Duration::from_millis(20))))
        .collect();
    assert_eq!(fates.len(), 25);
    let plan = config::Plan {
        urls: strings(&targets),
        rate: 50.0,
        retries: 1,
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
        .wait_for(run, |progress| progress.state == RunState::Fetching)
        .await;
    while !running.warmer.run(run).unwrap().state.is_over() {
        running.advance(Duration::from_millis(20)).await;
    }
    let report = running.warmer.run(run).unwrap();
    assert_eq!(
        (report.fetched, report.failed, report.retried),
        (100, 25, 25)
    );
    running.fake.clock.now().since(EIGHT)
}

#[tokio::test]
async fn a_few_failing_pages_slow_themselves_and_not_the_plan() {
    let most = Duration::from_secs(30);
    for (name, took) in [
        ("among the others", time_of(|index| index % 5 == 2).await),
        ("first", time_of(|index| index < 25).await),
        ("last", time_of(|index| index >= 100).await),
    ] {
        assert!(took <= most, "{name}: {took:?}");
    }
}

#[tokio::test]
async fn a_next_hop_that_fails_every_time_is_left_alone() {
    let down = WarmOutcome::Failed {
        reason: "refused".to_owned(),
        overloaded: true,
        retry_after: None,
    };
    let targets: Vec<&'static str> = (0..40)
        .map(|number| &*format!("/{number}").leak())
        .collect();
    let fates = targets
        .iter()
        .map(|target| (*target, (down.clone(), Duration::ZERO)))
        .collect();
    let plan = config::Plan {
        urls: strings(&targets),
        deadline: Duration::from_secs(10),
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
        .wait_for(run, |progress| progress.state == RunState::Fetching)
        .await;
    let report = running.turn_until_over(run).await;
    assert_eq!(report.state, RunState::DeadlinePassed);
    // Eight in a row show it; each one after that doubles the rest.
    let asked = running.urls().len();
    assert!((8..16).contains(&asked), "{asked}");
}
