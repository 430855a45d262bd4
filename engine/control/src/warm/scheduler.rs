//! The thread that follows the plans: starts what comes due or was missed, and notes how far
//! schedules have been followed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::report::{RunReport, RunState, RunTrigger, RunValue};
use super::run::{self, Run};
use super::{PlanEntry, RunStart, Warmer, WarmerEvent, lock};
use tero_config::MissedRunAction;
use tero_edge::server::ShutdownStage;
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;

/// The clock on the wall may be set while a plan waits for its time: nobody waits longer than this
/// without looking at it.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(30);

/// A clock that goes back by more than this was wrong before.
const STEP_BACK: Duration = Duration::from_secs(2 * 3_600);

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
                        runs.spawn(run::execute(Arc::clone(&self.path), run, Arc::clone(&self.ledger)));
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
        let due: Vec<(Arc<str>, Timestamp)> = {
            let mut state = lock(&self.state);
            let since = state.followed;
            // A clock that was put back a little does not make plans run again; one that was wrong
            // by more starts afresh.
            state.followed = if since.since(now) > STEP_BACK {
                now
            } else {
                since.max(now)
            };
            let due = |planned: &PlanEntry| {
                let next = planned.schedule.as_ref()?.next_after(since)?;
                (next <= now).then(|| (Arc::clone(&planned.plan.name), next))
            };
            state.plans.iter().filter_map(due).collect()
        };
        for (plan, due) in due {
            self.start_due(&plan, due, RunTrigger::Schedule);
        }
    }

    fn start_due(&self, plan: &Arc<str>, due: Timestamp, trigger: RunTrigger) {
        match self.begin(
            plan,
            RunStart {
                trigger,
                due: Some(due),
                dry: false,
            },
        ) {
            Ok(_) => {}
            Err(error) => tracing::warn!(%plan, "a scheduled plan was not started: {error}"),
        }
    }

    /// Starts every plan whose time came while the edge was down, unless it is to be skipped or its
    /// window is over.
    fn start_what_was_missed(&self, now: Timestamp) {
        self.memory.forget_after(now);
        let missed: Vec<(Arc<str>, MissedRunAction, Timestamp)> = {
            let state = lock(&self.state);
            let missed = |planned: &PlanEntry| {
                let followed = self.memory.followed(&planned.plan.name)?;
                let due = last_due(
                    planned,
                    followed.max(now.saturating_sub(planned.plan.window)),
                    now,
                )?;
                Some((Arc::clone(&planned.plan.name), planned.plan.missed, due))
            };
            state.plans.iter().filter_map(missed).collect()
        };
        self.note_new_plans(now);
        for (plan, what, due) in missed {
            match what {
                MissedRunAction::Run => self.start_due(&plan, due, RunTrigger::Missed),
                MissedRunAction::Skip => {
                    tracing::info!(%plan, "the plan's time came while the edge was down: skipped");
                    self.memory.note(&plan, due);
                }
            }
        }
    }

    /// What was due before a plan was known is nothing that it has missed.
    fn note_new_plans(&self, now: Timestamp) {
        let state = lock(&self.state);
        for planned in state
            .plans
            .iter()
            .filter(|planned| planned.schedule.is_some())
        {
            if self.memory.followed(&planned.plan.name).is_none() {
                self.memory.note(&planned.plan.name, now);
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

    /// Tells of every run whose window is over what it was worth, and lets go of what was kept for
    /// it.
    pub fn close_windows(&self, now: Timestamp) {
        let over: Vec<Arc<Run>> = {
            let state = lock(&self.state);
            state
                .runs
                .iter()
                .filter(|run| run.is_open() && run.is_over() && run.until <= now)
                .cloned()
                .collect()
        };
        if over.is_empty() {
            return;
        }
        self.path.count();
        for run in over {
            let worth = self.worth(&run);
            self.ledger.with(&run.plan.name, |totals| {
                totals.window_hits += worth.window_hits;
                totals.hits_given += worth.hits_given;
                totals.wasted_bytes += worth.wasted_bytes;
            });
            lock(&run.report).worth = Some(worth);
        }
        let open: Vec<_> = lock(&self.state)
            .runs
            .iter()
            .filter(|run| run.is_open())
            .map(|run| run.id)
            .collect();
        self.path.release(&|run| !open.contains(&run));
    }

    fn worth(&self, run: &Run) -> RunValue {
        let hits = self
            .path
            .site(&run.plan.site)
            .map(|site| self.path.traffic(site.index).hits)
            .unwrap_or_default();
        let RunReport { fetched, bytes, .. } = *lock(&run.report);
        let used = self.path.used(run.id);
        // Where a site's counters began anew, there were at least the hits that the run gave.
        let window_hits = hits.saturating_sub(run.before.hits).max(used.hits);
        #[allow(clippy::cast_precision_loss)] // A share needs four digits.
        let share = |part: u64, whole: u64| (part as f64 / whole as f64 * 1e4).round() / 1e4;
        RunValue {
            window_hits,
            hits_given: used.hits,
            share_of_hits: (window_hits > 0).then(|| share(used.hits, window_hits)),
            unused: fetched.saturating_sub(used.responses),
            wasted_bytes: bytes.saturating_sub(used.bytes),
        }
    }

    async fn next_due(&self, clock: &Clock) {
        let next = {
            let state = lock(&self.state);
            let next = |planned: &PlanEntry| {
                planned
                    .schedule
                    .as_ref()
                    .and_then(|schedule| schedule.next_after(state.followed))
            };
            state.plans.iter().filter_map(next).min()
        };
        let look = clock.now().saturating_add(LOOK_AT_CLOCK);
        clock
            .sleep_until(next.map_or(look, |next| next.min(look)))
            .await;
    }

    /// When the next window of a run ends that is over; `None` without such a run.
    pub fn next_window_end(&self) -> Option<Timestamp> {
        let state = lock(&self.state);
        let windows = state
            .runs
            .iter()
            .filter(|run| run.is_open() && run.is_over());
        windows.map(|run| run.until).min()
    }

    /// Refuses new runs and ends those that are left.
    fn stop(&self, now: Timestamp) {
        let mut state = lock(&self.state);
        state.stopping = true;
        for run in &state.runs {
            run.cancel.send_replace(true);
            run.finish(RunState::Cancelled, now);
        }
    }
}

/// The last time that a plan came due after `from` and up to `now`. There are no more of them than
/// minutes in the longest window.
fn last_due(planned: &PlanEntry, from: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let schedule = planned.schedule.as_ref()?;
    let due = std::iter::successors(schedule.next_after(from), |due| schedule.next_after(*due));
    due.take_while(|due| *due <= now).last()
}
