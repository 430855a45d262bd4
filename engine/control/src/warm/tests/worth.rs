//! What runs were worth.

use super::*;

/// Turns the clock, and closes windows as housekeeping does.
async fn advance(running: &RunningWarmer, by: Duration) {
    running.advance(by).await;
    running.warmer.close_windows(running.fake.clock.now());
}

#[tokio::test]
async fn closing_a_window_reports_the_worth_of_its_run_and_releases_what_it_kept() {
    let fates = HashMap::from([(
        "/full",
        (
            WarmOutcome::Fetched {
                bytes: 1,
                kept: false,
            },
            Duration::ZERO,
        ),
    )]);
    let plan = config::Plan {
        urls: strings(&["/", "/full"]),
        ..plan()
    };
    let running = RunningWarmer::start(
        FakePath {
            fates,
            ..FakePath::new()
        },
        vec![plan],
    );
    running.fake.hits.store(1_000, Ordering::Relaxed);
    let report = running.run().await;
    assert_eq!(
        (
            report.not_kept,
            report.used_later,
            report.used_bytes,
            report.worth
        ),
        (1, 10, 7, None)
    );
    running.fake.hits.store(1_120, Ordering::Relaxed);
    running.settle().await;
    advance(&running, 240 * MINUTE - Duration::from_secs(1)).await;
    assert_eq!(running.warmer.run(id(1)).unwrap().worth, None);
    assert_eq!(lock(&running.fake.seen).released, 0);
    advance(&running, Duration::from_secs(1)).await;
    let worth = running.warmer.run(id(1)).unwrap().worth.unwrap();
    let expected = report::RunValue {
        window_hits: 120,
        hits_given: 30,
        share_of_hits: Some(0.25),
        unused: 0,
        wasted_bytes: 94,
    };
    assert_eq!(worth, expected);
    assert_eq!(lock(&running.fake.seen).released, 9);
    let totals = &running.warmer.totals()["plan"];
    assert_eq!(
        (
            totals.window_hits,
            totals.hits_given,
            totals.wasted_bytes,
            totals.bytes
        ),
        (120, 30, 94, 101)
    );
    assert_eq!(totals.last_done_unix_secs, EIGHT.unix_secs());
    // Later hits do not count for that window.
    running.fake.hits.store(5_000, Ordering::Relaxed);
    advance(&running, 240 * MINUTE).await;
    assert_eq!(running.warmer.run(id(1)).unwrap().worth.unwrap(), worth);
}

#[tokio::test]
async fn closing_a_window_keeps_what_other_runs_keep() {
    let long = config::Plan {
        name: "long".into(),
        window: 480 * MINUTE,
        ..plan()
    };
    let running = RunningWarmer::start(FakePath::new(), vec![plan(), long]);
    running.run().await;
    let long = running.warmer.start("long").unwrap();
    running
        .wait_for(long, |progress| progress.state.is_over())
        .await;
    running.settle().await;
    advance(&running, 240 * MINUTE).await;
    // Of the runs 1 to 9, all but the one with the long window.
    assert_eq!(lock(&running.fake.seen).released, 8);
}

#[tokio::test]
async fn hits_in_overlapping_windows_are_counted_once() {
    let running = RunningWarmer::start(FakePath::new(), vec![plan()]);
    let hits = |hits| running.fake.hits.store(hits, Ordering::Relaxed);
    hits(100);
    running.run().await;
    running.settle().await;
    // The second window opens in the middle of the first.
    advance(&running, 120 * MINUTE).await;
    hits(150);
    running.run().await;
    running.settle().await;
    advance(&running, 60 * MINUTE).await;
    hits(170);
    advance(&running, 60 * MINUTE).await;
    let of_plan = || running.warmer.totals()["plan"].window_hits;
    assert_eq!(of_plan(), 70);
    hits(200);
    advance(&running, 120 * MINUTE).await;
    assert_eq!(of_plan(), 100);
    // Each report tells the hits of its own window.
    let worth = |run| running.warmer.run(id(run)).unwrap().worth.unwrap();
    assert_eq!((worth(1).window_hits, worth(2).window_hits), (70, 60));
}
