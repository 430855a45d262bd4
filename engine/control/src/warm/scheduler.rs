//! The thread that follows the plans: starts what comes due or was missed, and notes how far
//! schedules have been followed.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use super::execution::execute;
use super::lock::lock;
use super::report::{RunState, RunTrigger};
use super::run::{Run, RunStart};
use super::{Warmer, WarmerEvent};
use tero_config::MissedRunAction;
use tero_edge::server::ShutdownStage;
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;

/// The clock on the wall may be set while a plan waits for its time: nobody waits longer than this
/// without looking at it.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(30);

/// A clock that goes back by more than this was wrong before.
const STEP_BACK: Duration = Duration::from_secs(2 * 3_600);

/// Threads for what may wait for a disk or a policy.
const BLOCKING_THREADS: usize = 4;

/// Starts the thread that follows the plans, until the edge stops.
///
/// # Errors
/// When there is no thread or no runtime to be had.
pub fn start(
    warmer: &Arc<Warmer>,
    stages: watch::Receiver<ShutdownStage>,
) -> io::Result<JoinHandle<()>> {
    let warmer = Arc::clone(warmer);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()?;
    std::thread::Builder::new()
        .name("warmer".to_owned())
        .spawn(move || runtime.block_on(warmer.follow(stages)))
}

impl Warmer {
    /// Follows schedules and runs plans until the edge stops. Only the first call does anything.
    pub async fn follow(&self, mut stages: watch::Receiver<ShutdownStage>) {
        let Some(mut woken) = lock(&self.woken).take() else {
            return;
        };
        let clock = self.path.clock().clone();
        let mut runs = tokio::task::JoinSet::new();
        self.start_what_was_missed(clock.now());
        loop {
            self.start_what_is_due(clock.now());
            tokio::select! {
                biased;
                _ = stages.wait_for(|stage| *stage != ShutdownStage::Running) => break,
                woken = woken.recv() => match woken {
                    Some(WarmerEvent::Run(run)) => {
                        runs.spawn(execute(Arc::clone(&self.path), run, Arc::clone(&self.ledger)));
                    }
                    Some(WarmerEvent::Reloaded) => self.note_new_plans(clock.now()),
                    None => break,
                },
                Some(ended) = runs.join_next() => if let Ok(run) = ended {
                    self.note_end(&run, clock.now());
                },
                () = self.next_due(&clock) => {}
            }
        }
        self.stop(clock.now());
        runs.shutdown().await;
    }

    /// Starts every plan that has come due since the last look: once, however often it has.
    fn start_what_is_due(&self, now: Timestamp) {
        for (plan, due) in self.due(now) {
            self.start_due(&plan, due, RunTrigger::Schedule);
        }
    }

    /// The plans that have come due since the last look, and when.
    fn due(&self, now: Timestamp) -> Vec<(Arc<str>, Timestamp)> {
        let mut state = lock(&self.state);
        let since = state.followed;
        // A clock that was put back a little does not make plans run again; one that was wrong by
        // more starts afresh.
        state.followed = if since.since(now) > STEP_BACK {
            now
        } else {
            since.max(now)
        };
        let plans = state.plans.iter();
        plans
            .filter_map(|entry| {
                let next = entry.next_after(since)?;
                (next <= now).then(|| (Arc::clone(&entry.plan.name), next))
            })
            .collect()
    }

    fn start_due(&self, plan: &Arc<str>, due: Timestamp, trigger: RunTrigger) {
        let start = RunStart {
            due: Some(due),
            ..RunStart::by(trigger)
        };
        if let Err(error) = self.begin(plan, start) {
            tracing::warn!(%plan, "a scheduled plan was not started: {error}");
        }
    }

    /// Starts every plan whose time came while the edge was down, unless it is to be skipped or its
    /// window is over.
    fn start_what_was_missed(&self, now: Timestamp) {
        self.memory.forget_after(now);
        let missed = self.missed(now);
        self.note_new_plans(now);
        for (plan, action, due) in missed {
            match action {
                MissedRunAction::Run => self.start_due(&plan, due, RunTrigger::Missed),
                MissedRunAction::Skip => {
                    tracing::info!(%plan, "the plan's time came while the edge was down: skipped");
                    self.memory.note(&plan, due);
                }
            }
        }
    }

    /// The plans whose time came while the edge was down and whose window is not over, and when it
    /// came last.
    fn missed(&self, now: Timestamp) -> Vec<(Arc<str>, MissedRunAction, Timestamp)> {
        let state = lock(&self.state);
        let plans = state.plans.iter();
        plans
            .filter_map(|entry| {
                let plan = &entry.plan;
                let followed = self.memory.followed(&plan.name)?;
                let from = followed.max(now.saturating_sub(plan.window));
                let due = entry.last_due(from, now)?;
                Some((Arc::clone(&plan.name), plan.missed, due))
            })
            .collect()
    }

    /// What was due before a plan was known is nothing that it has missed.
    fn note_new_plans(&self, now: Timestamp) {
        let state = lock(&self.state);
        for entry in state.plans.iter().filter(|entry| entry.is_scheduled()) {
            if self.memory.followed(&entry.plan.name).is_none() {
                self.memory.note(&entry.plan.name, now);
            }
        }
    }

    /// Counts a run that has ended, and notes that its schedule has been followed.
    fn note_end(&self, run: &Run, now: Timestamp) {
        let state = lock(&run.report).state;
        if run.dry {
            return;
        }
        self.ledger.with(&run.plan.name, |totals| {
            *totals.ended.entry(state.as_str()).or_default() += 1;
            if state == RunState::Done {
                totals.last_done_unix_secs = now.unix_secs();
            }
        });
        if let Some(due) = run.due {
            self.memory.note(&run.plan.name, due);
        }
    }

    /// Waits until the next plan comes due, or the clock is to be looked at.
    async fn next_due(&self, clock: &Clock) {
        let next = {
            let state = lock(&self.state);
            let plans = state.plans.iter();
            plans
                .filter_map(|entry| entry.next_after(state.followed))
                .min()
        };
        let look = clock.now().saturating_add(LOOK_AT_CLOCK);
        clock
            .sleep_until(next.map_or(look, |next| next.min(look)))
            .await;
    }

    /// Refuses new runs and ends those that are left.
    fn stop(&self, now: Timestamp) {
        let mut state = lock(&self.state);
        state.stopping = true;
        for run in state.runs.iter() {
            run.cancel.send_replace(true);
            run.finish(RunState::Cancelled, now);
        }
    }
}
