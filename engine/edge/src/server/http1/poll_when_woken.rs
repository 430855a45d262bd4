//! A future that is polled only when it was woken itself, not whenever its task runs.
//!
//! A connection's task runs for every request. The futures that can end the connection, a timer and
//! the edge's shutdown, have nothing to do then; polling them each time would cost more than
//! reading the request line.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// A future that is polled only when it was woken, and for the first time.
pub(in crate::server) struct PollWhenWoken<F> {
    future: Pin<Box<F>>,
    woken: Arc<WakeFlag>,
    waker: Waker,
    /// The task that `woken` wakes.
    task: Waker,
}

/// Wakes the task, and remembers that the future asked for it.
struct WakeFlag {
    is_set: AtomicBool,
    task: Mutex<Waker>,
}

impl<F: Future> PollWhenWoken<F> {
    /// Boxes `future`.
    pub(in crate::server) fn new(future: F) -> PollWhenWoken<F> {
        // Set, so that the first poll reaches the future.
        let woken = Arc::new(WakeFlag {
            is_set: AtomicBool::new(true),
            task: Mutex::new(Waker::noop().clone()),
        });
        PollWhenWoken {
            future: Box::pin(future),
            waker: Waker::from(Arc::clone(&woken)),
            woken,
            task: Waker::noop().clone(),
        }
    }
}

impl<F: Future> Future for PollWhenWoken<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        if !self.task.will_wake(context.waker()) {
            self.task = context.waker().clone();
            *self
                .woken
                .task
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = self.task.clone();
            self.woken.is_set.store(true, Ordering::Relaxed);
        }
        if !self.woken.is_set.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        // Before the poll: a wake during it must not be lost.
        self.woken.is_set.swap(false, Ordering::AcqRel);
        let PollWhenWoken { future, waker, .. } = &mut *self;
        future.as_mut().poll(&mut Context::from_waker(waker))
    }
}

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_set.store(true, Ordering::Release);
        self.task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    struct TaskWakes(AtomicUsize);

    impl Wake for TaskWakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_future_is_polled_only_after_a_wake_which_wakes_the_task_too() {
        let (polls, own) = (Cell::new(0), Cell::new(None));
        let mut aside = PollWhenWoken::new(poll_fn(|context| {
            polls.set(polls.get() + 1);
            own.set(Some(context.waker().clone()));
            if polls.get() == 3 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
        let task = Arc::new(TaskWakes(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&task));
        let mut poll = |waker: &Waker| Pin::new(&mut aside).poll(&mut Context::from_waker(waker));
        for _ in 0..3 {
            assert!(poll(&waker).is_pending());
        }
        assert_eq!(polls.get(), 1, "it was not woken");
        own.take().unwrap().wake();
        assert_eq!(task.0.load(Ordering::Relaxed), 1);
        assert!(poll(&waker).is_pending());
        assert_eq!(polls.get(), 2);
        // A task that continues under another waker must be woken by that one.
        assert!(poll(&Waker::from(Arc::new(TaskWakes(AtomicUsize::new(0))))).is_ready());
    }
}
