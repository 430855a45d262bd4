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
use tero_semantics::timestamp::Timestamp;

/// The pause between two looks at the queue. A new question does not wake the thread: that would
/// cost a request more than the question does.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A record that could not be written is written again after this time.
const SAVE_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// The pause between two looks at the clock while a record waits to be written.
const LOOK_AT_CLOCK_EVERY: Duration = Duration::from_millis(200);
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

fn run(rollout: &Arc<Rollout>, questions: &Receiver<ShadowQuestion>) {
    let mut previous = PreviousLoader::default();
    let mut saving = SavingAgain::default();
    while !rollout.stop.load(Ordering::SeqCst) {
        let asked = questions
            .try_iter()
            .take(QUESTIONS_AT_ONCE)
            .map(ShadowQuestion::ask)
            .count();
        rollout.look_at_canaries();
        previous.load_if_wanted(rollout);
        let is_unsaved = saving.save_if_due(rollout);
        if asked == QUESTIONS_AT_ONCE {
            continue;
        }
        if rollout.is_on_trial() {
            std::thread::park_timeout(LOOK_EVERY);
        } else if is_unsaved {
            std::thread::park_timeout(LOOK_AT_CLOCK_EVERY);
        } else {
            // Requests under way may still add a question, which waits until the next trial begins.
            std::thread::park();
        }
    }
    previous.finish();
}

/// Loads the versions that rollbacks lead to, on a thread of its own, since compiling takes long.
#[derive(Default)]
struct PreviousLoader(Option<JoinHandle<()>>);

impl PreviousLoader {
    fn load_if_wanted(&mut self, rollout: &Arc<Rollout>) {
        if self.0.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        self.finish();
        if !rollout.wants_previous.swap(false, Ordering::SeqCst) {
            return;
        }
        let on_thread = Arc::clone(rollout);
        let started = std::thread::Builder::new()
            .name("rollout-previous".to_owned())
            .spawn(move || {
                on_thread.load_previous();
                on_thread.wake();
            });
        match started {
            Ok(thread) => self.0 = Some(thread),
            Err(error) => tracing::warn!(%error, "the next rollback will have to load its version"),
        }
    }

    fn finish(&mut self) {
        if let Some(thread) = self.0.take() {
            // Its panic has been reported; the next rollback loads the version by itself.
            let _ = thread.join();
        }
    }
}

/// Writes records again that could not be written.
#[derive(Default)]
struct SavingAgain(Option<Timestamp>);

impl SavingAgain {
    /// Tries if it is time to. Returns whether there is still something to write.
    fn save_if_due(&mut self, rollout: &Rollout) -> bool {
        if !rollout.is_unsaved() {
            self.0 = None;
            return false;
        }
        let now = rollout.edge.clock.wall();
        let last = *self.0.get_or_insert(now);
        if now.since(last) >= SAVE_AGAIN_AFTER || now < last {
            self.0 = Some(now);
            rollout.save_again();
        }
        rollout.is_unsaved()
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
                versions.guard_error.clear();
                tracing::error!(policy = name, %version, cause = cause.as_str(), "the canary was rolled back: {reason}");
            }
            Ok(false) => {}
            Err(error) => {
                if versions.guard_error.note(&error.to_string()) {
                    tracing::error!(policy = name, %version, "the canary can't be rolled back: {error}");
                }
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
        self.go_back(name, |versions| {
            // An operator may have ended it meanwhile, or started another one.
            let canary = versions.record.canary.as_ref();
            if canary.is_none_or(|canary| canary.version != *version) {
                return Ok(false);
            }
            (versions.canary, versions.record.canary) = (None, None);
            versions.record.rolled_back = Some(RollbackRecord {
                version: version.clone(),
                at_unix_secs: self.edge.clock.wall().unix_secs(),
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
