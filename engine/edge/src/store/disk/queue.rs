//! What waits for the thread that writes to a disk, bounded in bytes.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use foldhash::quality::RandomState;
use tero_state::segments::layout::Extent;

use crate::store::Key;
use crate::store::fill::BudgetShare;
use crate::store::stored::{StoredHead, StoredResponse};
use crate::store::variants::is_older;

/// What the writer is to do.
#[derive(Debug)]
pub(super) enum WriteJob {
    /// Writes a response.
    Response {
        key: Key,
        stored: Arc<StoredResponse>,
    },
    /// Notes that a key's responses are gone.
    Removal { key: Key },
    /// Writes a part of content that streams to the disk.
    Part {
        spool: Arc<SpooledParts>,
        bytes: Vec<u8>,
    },
    /// Writes the beginning of such content, which has come while memory kept it.
    Beginning {
        spool: Arc<SpooledParts>,
        pieces: Vec<Bytes>,
        /// The memory that it uses: not the queue's.
        #[expect(dead_code, reason = "it is given back with the job")]
        memory: BudgetShare,
    },
    /// Writes the response whose content has come in parts.
    End {
        spool: Arc<SpooledParts>,
        key: Key,
        stored: Arc<StoredResponse>,
        length: u64,
    },
    /// Looks after the file of purges, which has grown.
    Ledger,
    /// Looks whether a disk that has failed works again.
    Probe,
}

/// The parts of one response's content that have been written.
#[derive(Debug, Default)]
pub(super) struct SpooledParts {
    pub(super) extents: Mutex<Vec<Extent>>,
    /// Whether one could not be written.
    pub(super) has_failed: AtomicBool,
}

impl WriteJob {
    /// The response that it writes, and its key.
    fn response(&self) -> Option<(&Key, &Arc<StoredResponse>)> {
        match self {
            WriteJob::Response { key, stored } | WriteJob::End { key, stored, .. } => {
                Some((key, stored))
            }
            WriteJob::Removal { .. }
            | WriteJob::Part { .. }
            | WriteJob::Beginning { .. }
            | WriteJob::Ledger
            | WriteJob::Probe => None,
        }
    }

    /// The memory that it keeps, in bytes.
    fn bytes(&self) -> u64 {
        match self {
            WriteJob::Response { stored, .. } => stored.weight(),
            WriteJob::Removal { key } => key.weight(),
            WriteJob::Part { bytes, .. } => bytes.len() as u64,
            WriteJob::End { stored, .. } => stored.weight(),
            WriteJob::Beginning { .. } | WriteJob::Ledger | WriteJob::Probe => 0,
        }
    }
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
    /// The responses of each key that wait or are being written.
    unwritten: HashMap<Key, Vec<Arc<StoredResponse>>, RandomState>,
    /// The one that is being written.
    writing: Option<(Key, Arc<StoredResponse>)>,
    /// Of those that wait, and of buffers that are being filled.
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

    /// The bytes that may wait.
    pub(super) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// Takes room for a buffer. Returns whether there was any.
    pub(super) fn reserve(&self, bytes: u64) -> bool {
        let mut state = self.lock();
        let has_room = !state.is_closed && state.bytes + bytes <= self.max_bytes;
        if has_room {
            state.bytes += bytes;
        }
        has_room
    }

    /// Gives the room of a buffer back.
    pub(super) fn give_back(&self, bytes: u64) {
        self.lock().bytes -= bytes;
    }

    /// Adds a job. Returns whether it had room; one that is larger than the queue never has.
    pub(super) fn offer(&self, job: WriteJob) -> bool {
        let bytes = job.bytes();
        // A removal has to be written some time: else a response would come back with the next start.
        let most = match job {
            WriteJob::Removal { .. } => self.max_bytes * 2,
            _ => self.max_bytes,
        };
        let mut state = self.lock();
        if state.is_closed || state.bytes + bytes > most {
            if let WriteJob::Response { stored, .. } = &job {
                stored.disk.give_up();
            }
            return false;
        }
        state.bytes += bytes;
        if let Some((key, stored)) = job.response() {
            let of_key = state.unwritten.entry(key.clone()).or_default();
            of_key.push(Arc::clone(stored));
        }
        state.waiting.push_back(job);
        drop(state);
        self.changed.notify_all();
        true
    }

    /// Waits for the next job, for the one thread that writes; `None` when the queue is closed and
    /// empty. The job before counts as done.
    pub(super) fn next(&self) -> Option<WriteJob> {
        let mut state = self.lock();
        state.is_writing = false;
        state.note_written();
        self.changed.notify_all();
        loop {
            if let Some(job) = state.waiting.pop_front() {
                state.bytes -= job.bytes();
                state.is_writing = true;
                state.writing = job
                    .response()
                    .map(|(key, stored)| (key.clone(), Arc::clone(stored)));
                return Some(job);
            }
            if state.is_closed {
                return None;
            }
            state = self.wait(state);
        }
    }

    /// Has none of the responses of a key that wait, or that are being written, be found.
    pub(super) fn withdraw(&self, key: &[u8]) {
        let state = self.lock();
        let of_key = state.unwritten.get(key);
        of_key
            .into_iter()
            .flatten()
            .for_each(|stored| stored.disk.replace());
    }

    /// The same of those that have no place beside a newer one with this head.
    pub(super) fn withdraw_older(&self, key: &[u8], newer: &StoredHead) {
        let state = self.lock();
        let of_key = state.unwritten.get(key).into_iter().flatten();
        let older = of_key.filter(|stored| is_older(&stored.head, newer));
        older.for_each(|stored| stored.disk.replace());
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

impl QueueState {
    /// What was being written is on the disk, or was left out.
    fn note_written(&mut self) {
        let Some((key, written)) = self.writing.take() else {
            return;
        };
        if let Some(of_key) = self.unwritten.get_mut(&key) {
            of_key.retain(|stored| !Arc::ptr_eq(stored, &written));
            if of_key.is_empty() {
                self.unwritten.remove(&key);
            }
        }
    }
}
