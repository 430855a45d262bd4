//! Responses that wait for being written to a disk, bounded in bytes.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::store::Key;
use crate::store::stored::StoredResponse;

/// A response that waits.
#[derive(Debug)]
pub(super) struct WriteJob {
    pub(super) key: Key,
    pub(super) stored: Arc<StoredResponse>,
    /// The purges up to this number did not mean it.
    pub(super) purges: u64,
}

/// The queue.
#[derive(Debug)]
pub(super) struct WriteQueue {
    state: Mutex<QueueState>,
    changed: Condvar,
    max_bytes: u64,
}

#[derive(Debug, Default)]
struct QueueState {
    waiting: VecDeque<WriteJob>,
    bytes: u64,
    /// Whether the writer is writing what it has taken.
    is_writing: bool,
    is_closed: bool,
}

impl WriteQueue {
    pub(super) fn new(max_bytes: u64) -> WriteQueue {
        WriteQueue {
            state: Mutex::default(),
            changed: Condvar::new(),
            max_bytes,
        }
    }

    /// Adds a response. Returns whether it had room; one that is larger than the queue never has.
    pub(super) fn offer(&self, job: WriteJob) -> bool {
        let bytes = job.stored.weight();
        let mut state = self.lock();
        if state.is_closed || state.bytes + bytes > self.max_bytes {
            job.stored.on_disk.store(false, Ordering::Relaxed);
            return false;
        }
        state.bytes += bytes;
        state.waiting.push_back(job);
        drop(state);
        self.changed.notify_all();
        true
    }

    /// Waits for the next response, for the one thread that writes; `None` when the queue is closed
    /// and empty. The response before counts as written.
    pub(super) fn next(&self) -> Option<WriteJob> {
        let mut state = self.lock();
        state.is_writing = false;
        self.changed.notify_all();
        loop {
            if let Some(job) = state.waiting.pop_front() {
                state.bytes -= job.stored.weight();
                state.is_writing = true;
                return Some(job);
            }
            if state.is_closed {
                return None;
            }
            state = self.wait(state);
        }
    }

    /// Waits until all that was added has been written.
    pub(super) fn settle(&self) {
        let mut state = self.lock();
        while state.is_writing || !state.waiting.is_empty() {
            state = self.wait(state);
        }
    }

    /// Takes no more.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    fn wait<'q>(&self, state: MutexGuard<'q, QueueState>) -> MutexGuard<'q, QueueState> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
