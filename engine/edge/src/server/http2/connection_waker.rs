//! The waker of a connection, which does not wake a task that is running.
//!
//! What is written during a poll wakes the connection, so that it would be polled once more for
//! nothing. Here it only remembers that there is more to do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

/// Wakes the task of a connection, unless that is running.
#[derive(Debug)]
pub(super) struct ConnectionWaker {
    task: Mutex<Waker>,
    is_running: AtomicBool,
    was_woken: AtomicBool,
}

impl ConnectionWaker {
    pub(super) fn new() -> Arc<ConnectionWaker> {
        Arc::new(ConnectionWaker {
            task: Mutex::new(Waker::noop().clone()),
            is_running: AtomicBool::new(false),
            was_woken: AtomicBool::new(false),
        })
    }

    /// Records that `task` runs the connection.
    pub(super) fn begin(&self, task: &Waker) {
        let mut known = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.will_wake(task) {
            known.clone_from(task);
        }
        drop(known);
        self.is_running.store(true, Ordering::SeqCst);
    }

    /// Whether it was woken since the last such question.
    pub(super) fn take_woken(&self) -> bool {
        self.was_woken.swap(false, Ordering::SeqCst)
    }

    /// Whether it was woken since.
    pub(super) fn is_woken(&self) -> bool {
        self.was_woken.load(Ordering::SeqCst)
    }

    /// Records that the connection has done what there was to do.
    pub(super) fn end(self: &Arc<ConnectionWaker>) {
        self.is_running.store(false, Ordering::SeqCst);
        if self.is_woken() {
            self.wake_task();
        }
    }

    fn wake_task(&self) {
        self.task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .wake_by_ref();
    }
}

impl Wake for ConnectionWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.was_woken.store(true, Ordering::SeqCst);
        if !self.is_running.load(Ordering::SeqCst) {
            self.wake_task();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    struct RunningTaskWakes(AtomicUsize);

    impl Wake for RunningTaskWakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_task_is_woken_only_while_it_does_not_run() {
        let wakes = Arc::new(RunningTaskWakes(AtomicUsize::new(0)));
        let task = Waker::from(Arc::clone(&wakes));
        let count = || wakes.0.load(Ordering::Relaxed);
        let connection = ConnectionWaker::new();
        connection.begin(&task);
        connection.wake_by_ref();
        assert_eq!(count(), 0);
        assert!(connection.take_woken());
        connection.end();
        assert_eq!(count(), 0);
        connection.wake_by_ref();
        assert_eq!(count(), 1);
        connection.begin(&task);
        connection.wake_by_ref();
        connection.end();
        assert_eq!(count(), 2, "what came too late to be seen is not lost");
    }
}
