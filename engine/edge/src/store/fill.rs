//! A fill: a response on its way into the store, which its clients read as it grows (RFC 9111
//! §3.3).
//!
//! While a fill *retains*, it keeps every byte: a reader may join late, and the whole can be
//! stored. A fill that outgrows a limit stops retaining: it takes no new readers, is not stored, and
//! goes on at the pace of its quickest reader, of which it is at most [`WINDOW_BYTES`] ahead. For
//! the others it keeps the latest [`LAG_BYTES`], and while half of the budget is free, up to
//! `max_object`. A reader that falls further behind has left the fill: one client that stops reading
//! holds up no other.
//!
//! All bytes of a fill, and its head, are taken from the budget that fills share. Only a fill that
//! retains is refused bytes; windows are small, and may exceed the budget.

mod budget;
mod reader;
mod state;

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;

use state::FillState;

pub use budget::{BudgetShare, FillBudget};
pub use reader::FillReader;

/// How far a fill that no longer retains may run ahead of its quickest reader, in bytes.
const WINDOW_BYTES: u64 = 256 * 1024;
/// How far a reader of such a fill may be behind the latest byte in any case: a window behind the
/// quickest.
const LAG_BYTES: u64 = 2 * WINDOW_BYTES;
/// Fills above this size, in bytes, are not retained while clients that read slowly keep the memory.
/// Smaller ones are, so that pages go on being stored.
const LARGE_FILL: u64 = 64 * 1024;
/// A fill without readers goes on if it misses no more than this, in bytes, or than half of its
/// length.
const NEARLY_DONE_BYTES: u64 = 1024 * 1024;

/// Why a body ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    /// The next hop closed the connection, fell silent, or sent another length than it announced.
    #[error("the response was cut short")]
    CutShort,
    /// All clients have left.
    #[error("no client reads the response any more")]
    Abandoned,
    /// The reader is so far behind the others that its next bytes are no longer there.
    #[error("the client was too slow for those that share its fetch")]
    FellBehind,
}

/// The memory that a fill may use.
#[derive(Clone, Debug)]
pub struct FillLimits {
    /// The largest body that is retained, in bytes.
    pub max_object: u64,
    /// The memory that all fills share.
    pub budget: Arc<FillBudget>,
}

/// The content of a response, as far as it was received.
#[derive(Debug)]
pub struct Fill {
    length: Option<u64>,
    limits: FillLimits,
    state: Mutex<FillState>,
}

/// What a fill does with the bytes that it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retention {
    /// It keeps all of them.
    Whole,
    /// It keeps a window, and waits for its quickest reader.
    Window,
    /// With these bytes, content of unknown length has become too large to be kept: a window from now on.
    /// These are all of its bytes so far.
    Outgrown(Vec<Bytes>),
}

impl Fill {
    /// A fill of `length` bytes, if that is known, whose head uses `head_bytes` of memory. If it is
    /// longer than `max_object`, it keeps only a window from the start.
    pub fn new(length: Option<u64>, limits: FillLimits, head_bytes: u64) -> Arc<Fill> {
        let retains = length.is_none_or(|length| length <= limits.max_object);
        limits.budget.add(head_bytes);
        Arc::new(Fill {
            length,
            limits,
            state: Mutex::new(FillState::new(retains, head_bytes)),
        })
    }

    /// The memory that all fills share.
    pub fn budget(&self) -> &Arc<FillBudget> {
        &self.limits.budget
    }

    /// The announced length, in bytes.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// A reader that begins with the first byte. `None` if the fill no longer has that byte, or
    /// failed.
    pub fn reader(self: &Arc<Fill>) -> Option<FillReader> {
        let mut state = self.lock();
        if (!state.retains && state.base > 0) || matches!(state.end, Some(Err(_))) {
            return None;
        }
        let slot = state.add_reader();
        Some(FillReader {
            fill: Arc::clone(self),
            slot,
            offset: 0,
        })
    }

    /// Adds a piece of the body. If the fill doesn't retain, waits for its quickest reader first.
    ///
    /// # Errors
    /// [`FillError::Abandoned`] if all clients have left and the rest is not worth fetching;
    /// [`FillError::CutShort`] if the body is longer than announced.
    pub async fn push(&self, piece: Bytes) -> Result<Retention, FillError> {
        poll_fn(|context| self.poll_room(context)).await?;
        let mut state = self.lock();
        let received = state.received + piece.len() as u64;
        if self.length.is_some_and(|length| received > length) {
            return Err(FillError::CutShort);
        }
        let length = piece.len() as u64;
        let budget = &self.limits.budget;
        let has_room = || {
            received <= self.limits.max_object
                && if received > LARGE_FILL {
                    budget.take_for_large(length)
                } else {
                    budget.take(length)
                }
        };
        let retained = state.retains;
        if !(retained && has_room()) {
            state.retains = false;
            self.limits.budget.add(length);
        }
        state.reserved += length;
        state.received = received;
        state.append(&piece);
        let is_too_large = self.length.is_none() && received > self.limits.max_object;
        let retention = match state.retains {
            true => Retention::Whole,
            false if retained && is_too_large => {
                Retention::Outgrown(state.pieces.iter().cloned().collect())
            }
            false => Retention::Window,
        };
        state.drop_unneeded(&self.limits);
        state.wake_readers();
        Ok(retention)
    }

    /// Ends the body. Returns its pieces for the store if the fill retained them. Readers learn of
    /// the end by [`Fill::complete`].
    ///
    /// # Errors
    /// [`FillError::CutShort`] if the body is shorter than announced; readers see it too.
    pub fn finish(&self) -> Result<Option<Vec<Bytes>>, FillError> {
        let mut state = self.lock();
        if self.length.is_some_and(|length| state.received < length) {
            drop(state);
            self.fail(FillError::CutShort);
            return Err(FillError::CutShort);
        }
        Ok(state.kept())
    }

    /// The pieces received so far, if the fill retains them.
    pub fn kept(&self) -> Option<Vec<Bytes>> {
        self.lock().kept()
    }

    /// Tells the readers that the body is complete: call it once new requests find the response in
    /// the store. `pieces` replace the collected ones, so that slow readers and the store share
    /// memory.
    pub fn complete(&self, pieces: Option<&[Bytes]>) {
        let mut state = self.lock();
        if let Some(pieces) = pieces {
            state.pieces = pieces.iter().cloned().collect();
            let reserved = std::mem::take(&mut state.reserved);
            self.limits.budget.give_back(reserved);
        }
        state.end = Some(Ok(()));
        state.wake_readers();
    }

    /// Ends the body early. Readers get the error; a client sees its connection cut.
    pub fn fail(&self, error: FillError) {
        let mut state = self.lock();
        if state.end.is_none() {
            state.end = Some(Err(error));
        }
        state.wake_readers();
    }

    /// Waits until all clients have left and the rest is not worth fetching.
    pub async fn abandoned(&self) {
        poll_fn(|context| {
            let mut state = self.lock();
            if state.quickest_offset().is_some() || (state.retains && self.is_nearly_done(&state)) {
                state.writer = Some(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Waits until the window has room.
    fn poll_room(&self, context: &mut Context<'_>) -> Poll<Result<(), FillError>> {
        let mut state = self.lock();
        match state.quickest_offset() {
            None if !state.retains || !self.is_nearly_done(&state) => {
                Poll::Ready(Err(FillError::Abandoned))
            }
            Some(offset) if !state.retains && state.received - offset >= WINDOW_BYTES => {
                state.writer = Some(context.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    fn is_nearly_done(&self, state: &FillState) -> bool {
        self.length
            .is_some_and(|length| length - state.received <= NEARLY_DONE_BYTES.max(length / 2))
    }

    fn lock(&self) -> MutexGuard<'_, FillState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        let reserved = self.lock().reserved;
        self.limits.budget.give_back(reserved);
    }
}

#[cfg(test)]
mod tests;
