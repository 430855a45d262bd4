//! The thread that asks shadows about answered requests, and looks at canaries. It sleeps while
//! nothing is on trial.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::Duration;

use super::Rollout;
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
