//! The thread that follows the schedules and runs the plans: starts due and missed plans, and notes
//! up to when schedules have been followed.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use super::execution::execute;
use super::lock::lock;
use super::report::{RunState, RunTrigger};
use super::run::{Run, RunStart};
use super::turns::RunTurns;
use super::{StartError, Warmer, WarmerEvent};
use tero_config::MissedRunAction;
use tero_edge::server::{ShutdownStage, run_to_end};
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;

/// The longest sleep: the system's clock may be set meanwhile.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(30);

/// If the clock goes back by more than this, it was wrong before.
const STEP_BACK: Duration = Duration::from_secs(2 * 3_600);

/// How long a plan that the edge waits for rests after its first failure; after each further one
/// twice as long, up to [`LONGEST_REST`].
const REST: Duration = Duration::from_secs(5);

/// The longest rest between two tries of a plan that the edge waits for.
const LONGEST_REST: Duration = Duration::from_secs(5 * 60);

/// Room for threads with work that waits for a disk, for policies or for other nodes.
const WORKING_THREADS: usize = 8;
/// Room for threads that look names of origins up. It is one pool: a resolver that is silent keeps that work
/// waiting only with more names than that at once.
const LOOKUP_THREADS: usize = 8;

/// Starts the thread, which ends when the edge stops.
///
/// # Errors
/// If the thread or its runtime can't be created.
pub fn start(
    warmer: &Arc<Warmer>,
    stages: watch::Receiver<ShutdownStage>,
) -> io::Result<JoinHandle<()>> {
    let warmer = Arc::clone(warmer);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(WORKING_THREADS + LOOKUP_THREADS)
        .build()?;
    std::thread::Builder::new()
        .name("warmer".to_owned())
        .spawn(move || {
            let follow = async move { warmer.follow(stages).await };
            run_to_end(runtime, follow);
        })
}

impl Warmer {
    /// Follows the schedules and runs the plans until the edge stops. A second call returns at
    /// once.
    pub async fn follow(&self, mut stages: watch::Receiver<ShutdownStage>) {
        let Some(mut woken) = lock(&self.woken).take() else {
            return;
        };
        let clock = self.path.clock().clone();
        let mut runs = tokio::task::JoinSet::new();
        self.start_missed_plans(clock.wall());
        loop {
            self.start_due_plans(clock.wall());
            self.start_first_runs_again(clock.wall());
            tokio::select! {
                biased;
                _ = stages.wait_for(|stage| *stage > ShutdownStage::Running) => break,
                woken = woken.recv() => match woken {
                    Some(WarmerEvent::Run(run)) => {
                        runs.spawn(execute(Arc::clone(&self.path), run, Arc::clone(&self.ledger)));
                    }
                    Some(WarmerEvent::Turn(plan, start)) => self.begin_scheduled(&plan, start),
                    Some(WarmerEvent::Reloaded) => self.note_new_plans(clock.wall()),
                    None => break,
                },
                Some(ended) = runs.join_next() => if let Ok(run) = ended {
                    self.note_end(&run, clock.wall());
                },
                () = self.next_due(&clock) => {}
            }
        }
        self.stop(clock.wall());
        runs.shutdown().await;
    }

    /// Starts each plan that has come due since the last look, once.
    fn start_due_plans(&self, now: Timestamp) {
        for (plan, due) in self.due(now) {
            self.start_scheduled(&plan, due, RunTrigger::Schedule);
        }
    }

    /// The plans that have come due since the last look, and when they first did.
    fn due(&self, now: Timestamp) -> Vec<(Arc<str>, Timestamp)> {
        let mut state = lock(&self.state);
        let since = state.followed;
        // If the clock goes back a little, plans do not run again. If it was wrong by more, they
        // follow the new time.
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

    fn start_scheduled(&self, plan: &Arc<str>, due: Timestamp, trigger: RunTrigger) {
        let start = RunStart {
            due: Some(due),
            ..RunStart::by(trigger)
        };
        match self.turns_of(plan) {
            None => self.begin_scheduled(plan, start),
            Some(turns) => self.wait_for_turn(turns, plan, start, due),
        }
    }

    /// Waits for the turn of a plan, on a thread of its own: other nodes may take long.
    fn wait_for_turn(
        &self,
        turns: Arc<dyn RunTurns>,
        plan: &Arc<str>,
        start: RunStart,
        due: Timestamp,
    ) {
        let (wake, name) = (self.wake.clone(), Arc::clone(plan));
        let waiting = std::thread::Builder::new()
            .name("warmer-turn".to_owned())
            .spawn(move || {
                let turn = turns.wait(&name, due);
                // The warmer may have ended.
                let _ = wake.send(WarmerEvent::Turn(name, RunStart { turn, ..start }));
            });
        if let Err(error) = waiting {
            tracing::warn!(%plan, %error, "the plan doesn't wait for its turn");
            self.begin_scheduled(plan, start);
        }
    }

    /// Turns with other nodes; `None` for a plan that takes none.
    fn turns_of(&self, plan: &str) -> Option<Arc<dyn RunTurns>> {
        let turns = self.turns.get()?;
        let state = lock(&self.state);
        let entry = super::plan::find(&state.plans, plan)?;
        let is_shielded = self.path.is_shielded(&entry.plan.site);
        is_shielded.then(|| Arc::clone(turns))
    }

    fn begin_scheduled(&self, plan: &Arc<str>, start: RunStart) {
        if let Err(error) = self.begin(plan, start) {
            if let Some(due) = start.due {
                self.end_turn(plan, due);
            }
            if matches!(error, StartError::Running(_)) {
                self.ledger.with(plan, |totals| totals.skipped += 1);
            }
            tracing::warn!(%plan, "a scheduled plan was not started: {error}");
        }
    }

    /// Starts each plan again that the edge waits for, that has failed and has rested.
    fn start_first_runs_again(&self, now: Timestamp) {
        let plans: Vec<Arc<str>> = {
            let mut state = lock(&self.state);
            let due = |again_at: Option<Timestamp>| again_at.is_some_and(|at| at <= now);
            let first_runs = state.first_runs.iter_mut();
            let rested = first_runs.filter(|(_, first)| due(first.again_at));
            rested
                .map(|(plan, first)| {
                    first.again_at = None;
                    Arc::clone(plan)
                })
                .collect()
        };
        for plan in plans {
            if let Err(error) = self.begin(&plan, RunStart::by(RunTrigger::Start)) {
                tracing::warn!(%plan, "a plan of ready_after was not started again: {error}");
            }
        }
    }

    /// Notes when a plan that the edge waits for is started again, if its run has failed.
    fn note_first_run(&self, run: &Run, state: RunState, now: Timestamp) {
        let mut warmer = lock(&self.state);
        let Some(first) = warmer.first_runs.get_mut(&run.plan.name) else {
            return;
        };
        if state != RunState::Failed || now >= first.at_last {
            warmer.first_runs.remove(&run.plan.name);
            return;
        }
        let rest = REST * 2_u32.saturating_pow(first.failures.min(16));
        first.failures += 1;
        first.again_at = Some(now.saturating_add(rest.min(LONGEST_REST)));
    }

    /// Starts each plan that came due while the edge was down, unless the plan skips missed runs or
    /// its window has ended.
    fn start_missed_plans(&self, now: Timestamp) {
        self.memory.forget_after(now);
        let missed = self.missed(now);
        self.note_new_plans(now);
        for (plan, action, due) in missed {
            match action {
                MissedRunAction::Run => self.start_scheduled(&plan, due, RunTrigger::Missed),
                MissedRunAction::Skip => {
                    tracing::info!(%plan, "the plan came due while the edge was down: skipped");
                    self.memory.note(&plan, due);
                }
            }
        }
    }

    /// The plans that came due while the edge was down and whose window has not ended, and when
    /// they last did.
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

    /// Notes that new plans have been followed up to `now`: before it, they have missed nothing.
    fn note_new_plans(&self, now: Timestamp) {
        let state = lock(&self.state);
        for entry in state.plans.iter().filter(|entry| entry.is_scheduled()) {
            if self.memory.followed(&entry.plan.name).is_none() {
                self.memory.note(&entry.plan.name, now);
            }
        }
    }

    /// Counts a run that has ended, and notes up to when its plan has been followed.
    fn note_end(&self, run: &Run, now: Timestamp) {
        let state = lock(&run.report).state;
        if run.dry {
            return;
        }
        let sitemaps_failed = lock(&run.report).sitemaps_failed;
        self.ledger.with(&run.plan.name, |totals| {
            totals.sitemaps_failed += sitemaps_failed;
            *totals.ended.entry(state.as_str()).or_default() += 1;
            if state == RunState::Done {
                totals.last_done_unix_secs = now.unix_secs();
            }
        });
        self.note_first_run(run, state, now);
        if let Some(due) = run.due {
            self.memory.note(&run.plan.name, due);
            self.end_turn(&run.plan.name, due);
        }
    }

    /// Lets the other nodes of the fleet have their turn.
    fn end_turn(&self, plan: &str, due: Timestamp) {
        if let Some(turns) = self.turns.get() {
            turns.ended(plan, due);
        }
    }

    /// Sleeps until the next plan comes due, but not longer than [`LOOK_AT_CLOCK`].
    async fn next_due(&self, clock: &Clock) {
        let next = {
            let state = lock(&self.state);
            let plans = state.plans.iter();
            let again = state.first_runs.values().filter_map(|first| first.again_at);
            plans
                .filter_map(|entry| entry.next_after(state.followed))
                .chain(again)
                .min()
        };
        let look = clock.wall().saturating_add(LOOK_AT_CLOCK);
        clock
            .sleep_until_wall(next.map_or(look, |next| next.min(look)))
            .await;
    }

    /// Refuses new runs and cancels the current ones.
    fn stop(&self, now: Timestamp) {
        let mut state = lock(&self.state);
        state.stopping = true;
        for run in state.runs.iter() {
            run.cancel.send_replace(true);
            run.finish(RunState::Cancelled, now);
        }
    }
}
