//! Plans that came due while the edge was down.

use super::*;
use tero_state::dir::StateDir;

const HALF_PAST_EIGHT: Timestamp = Timestamp::from_unix_secs(1_795_518_000 + 1_800);

fn scheduled(missed: MissedRunAction) -> config::Plan {
    config::Plan {
        urls: strings(&["/"]),
        schedule: Some("30 8 * * *".to_owned()),
        missed,
        ..plan()
    }
}

fn open(folder: &tempfile::TempDir) -> PlanMemory {
    let dir = StateDir::open(folder.path()).unwrap();
    PlanMemory::open(Some(&Arc::new(dir)))
}

fn at(now: Timestamp) -> FakePath {
    FakePath {
        clock: Clock::by_hand(now),
        ..FakePath::new()
    }
}

/// Starts a warmer at eight, so that it knows the plan, and stops it.
async fn known_since_eight(missed: MissedRunAction) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let running = RunningWarmer::remembering(at(EIGHT), vec![scheduled(missed)], open(&folder));
    running.settle().await;
    assert_eq!(
        running.warmer.runs().len(),
        0,
        "a new plan has missed nothing"
    );
    stop(running).await;
    folder
}

async fn stop(running: RunningWarmer) {
    running.stage.send_replace(ShutdownStage::Draining);
    running.follower.await.unwrap();
}

#[tokio::test]
async fn a_missed_run_is_made_up_for_once() {
    let folder = known_since_eight(MissedRunAction::Run).await;
    let ten = EIGHT.saturating_add(120 * MINUTE);
    let running = RunningWarmer::remembering(
        at(ten),
        vec![scheduled(MissedRunAction::Run)],
        open(&folder),
    );
    running.settle().await;
    let report = running
        .wait_for(id(1), |progress| progress.state.is_over())
        .await;
    assert_eq!((report.trigger, report.fetched), (RunTrigger::Missed, 1));
    // Its window begins when it came due.
    assert_eq!(report.window_ends, "2026-11-24T12:30:00-03:00");
    running.settle().await;
    stop(running).await;
    let again = RunningWarmer::remembering(
        at(ten.saturating_add(MINUTE)),
        vec![scheduled(MissedRunAction::Run)],
        open(&folder),
    );
    again.settle().await;
    assert_eq!(again.warmer.runs().len(), 0);
}

#[tokio::test]
async fn a_missed_run_is_skipped_if_the_plan_says_so_or_its_window_has_ended() {
    for (missed, hours) in [(MissedRunAction::Skip, 2), (MissedRunAction::Run, 5)] {
        let folder = known_since_eight(missed).await;
        let later = EIGHT.saturating_add(hours * 60 * MINUTE);
        let running = RunningWarmer::remembering(at(later), vec![scheduled(missed)], open(&folder));
        running.settle().await;
        assert_eq!(running.warmer.runs().len(), 0, "{missed:?}");
        // The next run is on time.
        running
            .advance(
                HALF_PAST_EIGHT
                    .saturating_add(24 * 60 * MINUTE)
                    .since(later),
            )
            .await;
        assert_eq!(
            running
                .wait_for(id(1), |progress| progress.state.is_over())
                .await
                .trigger,
            RunTrigger::Schedule
        );
    }
}

#[tokio::test]
async fn a_run_cut_short_by_a_stop_is_made_up_for() {
    let folder = tempfile::tempdir().unwrap();
    let slow = || {
        let fates = HashMap::from([(
            "/",
            (
                WarmOutcome::Fetched {
                    bytes: 1,
                    kept: true,
                },
                MINUTE,
            ),
        )]);
        FakePath {
            fates,
            ..at(HALF_PAST_EIGHT.saturating_sub(MINUTE))
        }
    };
    let running =
        RunningWarmer::remembering(slow(), vec![scheduled(MissedRunAction::Run)], open(&folder));
    running.settle().await;
    running.advance(MINUTE).await;
    running
        .wait_for(id(1), |progress| progress.state == RunState::Fetching)
        .await;
    stop(running).await;
    let again = RunningWarmer::remembering(
        at(HALF_PAST_EIGHT.saturating_add(MINUTE)),
        vec![scheduled(MissedRunAction::Run)],
        open(&folder),
    );
    again.settle().await;
    assert_eq!(
        again
            .wait_for(id(1), |progress| progress.state.is_over())
            .await
            .trigger,
        RunTrigger::Missed
    );
}
