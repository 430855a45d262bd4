//! The thread that asks shadows about answered requests and watches canaries. It sleeps while no
//! version is on trial.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Rollout;
use super::error::RolloutError;
use super::guard::Verdict;
use super::record::{RollbackRecord, Version};
use super::version_set::PolicyVersions;
use tero_edge::request::shadow_question::ShadowQuestion;

/// The pause between two looks at the queue. A new question does not wake the thread: that would
/// cost a request more than the question does.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Questions that are asked between two looks at the canaries.
const QUESTIONS_AT_ONCE: usize = 256;

/// Starts the thread.
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
    // It can't be set already: a rollout has one thread.
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
            // Requests under way may still add a question, which waits until the next trial begins.
            std::thread::park();
        }
    }
}

impl Rollout {
    /// Rolls back the canaries that do worse than their guards allow.
    fn look_at_canaries(&self) {
        for (name, versions) in &self.state().policies {
            let (Some(run), Some(record)) = (&versions.canary, &versions.record.canary) else {
                continue;
            };
            let mut window = run.window.lock().unwrap_or_else(PoisonError::into_inner);
            let verdict = window.look(&record.guard, &versions.active, &run.policy, &run.counters);
            drop(window);
            if let Some(verdict) = verdict {
                self.end_canary(name, versions, &record.version, &verdict);
            }
        }
    }

    /// Rolls a canary back, counts that, and logs it.
    fn end_canary(
        &self,
        name: &str,
        versions: &PolicyVersions,
        version: &Version,
        verdict: &Verdict,
    ) {
        let Verdict { cause, reason } = verdict;
        match self.roll_back_canary(name, version, reason) {
            Ok(true) => {
                versions.rollbacks[*cause as usize].fetch_add(1, Ordering::Relaxed);
                tracing::error!(policy = name, %version, cause = cause.as_str(), "the canary was rolled back: {reason}");
            }
            Ok(false) => {}
            Err(error) => {
                tracing::error!(policy = name, %version, "the canary can't be rolled back: {error}")
            }
        }
    }

    /// Rolls a canary back; false if it has ended already.
    fn roll_back_canary(
        &self,
        name: &str,
        version: &Version,
        reason: &str,
    ) -> Result<bool, RolloutError> {
        self.change(name, |versions| {
            // An operator may have ended it meanwhile, or started another one.
            let canary = versions.record.canary.as_ref();
            if canary.is_none_or(|canary| canary.version != *version) {
                return Ok(false);
            }
            (versions.canary, versions.record.canary) = (None, None);
            versions.record.rolled_back = Some(RollbackRecord {
                version: version.clone(),
                at_unix_secs: self.edge.clock.now().unix_secs(),
                reason: reason.to_owned(),
            });
            Ok(true)
        })
    }

    /// Whether a version is on trial.
    fn is_on_trial(&self) -> bool {
        self.state()
            .policies
            .values()
            .any(|versions| versions.canary.is_some() || versions.shadow.is_some())
    }
}
