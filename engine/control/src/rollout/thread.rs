//! The thread that asks shadows about answered requests, and looks at canaries. It sleeps while
//! nothing is on trial.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Rollout;
use super::guard::Verdict;
use super::record::RollbackRecord;
use tero_edge::request::shadow_question::ShadowQuestion;

/// Between two looks. Questions are fetched and not announced: waking a thread would cost the
/// request that asks more than the question.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Questions between two looks at the canaries.
const QUESTIONS_AT_ONCE: usize = 256;

/// Starts it.
pub(super) fn start(
    rollout: Arc<Rollout>,
    questions: Receiver<ShadowQuestion>,
) -> io::Result<JoinHandle<()>> {
    let run = {
        let rollout = Arc::clone(&rollout);
        move || run(&rollout, &questions)
    };
    let handle = std::thread::Builder::new()
        .name("rollout".to_owned())
        .spawn(run)?;
    // It was not set before: there is one thread for each.
    let _ = rollout.thread.set(handle.thread().clone());
    Ok(handle)
}

fn run(rollout: &Rollout, questions: &Receiver<ShadowQuestion>) {
    while !rollout.stop.load(Ordering::SeqCst) {
        let asked = questions
            .try_iter()
            .take(QUESTIONS_AT_ONCE)
            .map(ShadowQuestion::ask)
            .count();
        rollout.look_at_canaries();
        if asked == QUESTIONS_AT_ONCE {
            continue;
        }
        if rollout.is_on_trial() {
            std::thread::park_timeout(LOOK_EVERY);
        } else {
            // Requests under way may still put a question; it waits until the next trial begins.
            std::thread::park();
        }
    }
}

impl Rollout {
    /// Looks at all canaries, and rolls back those that do worse than their guards allow.
    fn look_at_canaries(&self) {
        for (name, versions) in &self.state().policies {
            let (Some(run), Some(record)) = (&versions.canary, &versions.record.canary) else {
                continue;
            };
            let mut watch = run.window.lock().unwrap_or_else(PoisonError::into_inner);
            let verdict = watch.look(&record.guard, &versions.active, &run.policy, &run.counters);
            drop(watch);
            let Some(Verdict { cause, reason }) = verdict else {
                continue;
            };
            let version = record.version.clone();
            let ended = self.change(name, |versions| {
                // Somebody may have ended it meanwhile, or begun another one.
                if versions
                    .record
                    .canary
                    .as_ref()
                    .is_none_or(|canary| canary.version != version)
                {
                    return Ok(false);
                }
                (versions.canary, versions.record.canary) = (None, None);
                let at_unix_secs = self.edge.clock.now().unix_secs();
                versions.record.rolled_back = Some(RollbackRecord {
                    version: version.clone(),
                    at_unix_secs,
                    reason: reason.clone(),
                });
                Ok(true)
            });
            match ended {
                Ok(true) => {
                    versions.rollbacks[cause as usize].fetch_add(1, Ordering::Relaxed);
                    tracing::error!(policy = &**name, %version, cause = cause.as_str(), "the canary was rolled back: {reason}");
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(policy = &**name, %version, "the canary can't be rolled back: {error}")
                }
            }
        }
    }

    /// Whether anything is on trial.
    fn is_on_trial(&self) -> bool {
        self.state()
            .policies
            .values()
            .any(|versions| versions.canary.is_some() || versions.shadow.is_some())
    }
}
