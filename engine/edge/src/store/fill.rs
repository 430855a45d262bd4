//! A fill: a response on its way into the store, read by its clients as it grows (RFC 9111 §3.3).
//!
//! While a fill *retains*, it keeps every byte, so that a reader may join late and the whole can be
//! stored. When it outgrows a limit it lets go: from then on it holds a window, waits for its
//! slowest reader, takes no new ones, and is not stored.

mod budget;
mod reader;
mod state;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;

use state::{FillState, ReaderSlot};

pub use budget::FillBudget;
pub use reader::FillReader;

/// How far a fill that no longer retains may run ahead of its slowest reader, in bytes.
const WINDOW_BYTES: u64 = 256 * 1024;
/// A fill without readers goes on when no more than this is missing, in bytes.
const NEARLY_DONE_BYTES: u64 = 1024 * 1024;

/// Why a body ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    /// The next hop broke off, fell silent, or sent another length than it had announced.
    #[error("the response was cut short")]
    CutShort,
    /// Nobody reads any more.
    #[error("nobody reads the response any more")]
    Abandoned,
}

/// What a fill may keep.
#[derive(Clone, Debug)]
pub struct FillLimits {
    /// The largest body that is retained, in bytes.
    pub max_object: u64,
    /// Shared by all fills.
    pub budget: Arc<FillBudget>,
}

/// The content of a response as far as it has come.
#[derive(Debug)]
pub struct Fill {
    length: Option<u64>,
    limits: FillLimits,
    state: Mutex<FillState>,
}

impl Fill {
    /// A fill of `length` bytes, where that is known. One that `retain` does not ask to be kept
    /// holds a window from the start.
    pub fn new(length: Option<u64>, limits: FillLimits, retain: bool) -> Arc<Fill> {
        let retains = retain && length.is_none_or(|length| length <= limits.max_object);
        Arc::new(Fill {
            length,
            limits,
            state: Mutex::new(FillState {
                pieces: VecDeque::new(),
                joined: 0,
                base: 0,
                received: 0,
                reserved: 0,
                retains,
                end: None,
                readers: Vec::new(),
                writer: None,
            }),
        })
    }

    /// The length that was announced.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// A reader from the first byte; none when the fill no longer has it, or broke off.
    pub fn reader(self: &Arc<Fill>) -> Option<FillReader> {
        let mut state = self.lock();
        if (!state.retains && state.base > 0) || matches!(state.end, Some(Err(_))) {
            return None;
        }
        let reader = Some(ReaderSlot {
            offset: 0,
            waker: None,
        });
        let slot = match state.readers.iter().position(Option::is_none) {
            Some(free) => {
                state.readers[free] = reader;
                free
            }
            None => {
                state.readers.push(reader);
                state.readers.len() - 1
            }
        };
        Some(FillReader {
            fill: Arc::clone(self),
            slot,
            offset: 0,
        })
    }

    /// Adds a piece of the body; waits for the slowest reader where the fill no longer retains.
    ///
    /// # Errors
    /// [`FillError::Abandoned`] when nobody reads and the rest is not worth fetching;
    /// [`FillError::CutShort`] when the body is longer than announced.
    pub async fn push(&self, piece: Bytes) -> Result<(), FillError> {
        poll_fn(|context| self.poll_room(context)).await?;
        let mut state = self.lock();
        let received = state.received + piece.len() as u64;
        if self.length.is_some_and(|length| received > length) {
            return Err(FillError::CutShort);
        }
        if state.retains
            && !(received <= self.limits.max_object && self.limits.budget.take(piece.len() as u64))
        {
            state.let_go(&self.limits.budget);
        }
        if state.retains {
            state.reserved += piece.len() as u64;
        }
        state.received = received;
        state.append(&piece);
        state.wake_readers();
        Ok(())
    }

    /// Ends the body. Where the fill retained all of it, its pieces come back for the store.
    ///
    /// # Errors
    /// [`FillError::CutShort`] when less came than announced.
    pub fn finish(&self) -> Result<Option<Vec<Bytes>>, FillError> {
        let mut state = self.lock();
        if self.length.is_some_and(|length| state.received < length) {
            drop(state);
            self.fail(FillError::CutShort);
            return Err(FillError::CutShort);
        }
        Ok(state.kept())
    }

    /// What has come, where the fill has kept all of it.
    pub fn kept(&self) -> Option<Vec<Bytes>> {
        self.lock().kept()
    }

    /// Tells the readers that no more will come, once the whole is where new requests find it.
    /// `pieces` take the place of those that were collected, so that slow readers and the store
    /// share memory.
    pub fn complete(&self, pieces: Option<&[Bytes]>) {
        let mut state = self.lock();
        if let Some(pieces) = pieces {
            state.pieces = pieces.iter().cloned().collect();
        }
        state.end = Some(Ok(()));
        let reserved = std::mem::take(&mut state.reserved);
        self.limits.budget.give_back(reserved);
        state.wake_readers();
    }

    /// Ends the body before its end; readers see the error, and a client sees its connection cut.
    pub fn fail(&self, error: FillError) {
        let mut state = self.lock();
        if state.end.is_none() {
            state.end = Some(Err(error));
        }
        state.wake_readers();
    }

    /// Waits until nobody reads and the rest is not worth fetching.
    pub async fn abandoned(&self) {
        poll_fn(|context| {
            let mut state = self.lock();
            if state.readers.iter().any(Option::is_some)
                || (state.retains && self.is_nearly_done(&state))
            {
                state.writer = Some(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }

    fn poll_room(&self, context: &mut Context<'_>) -> Poll<Result<(), FillError>> {
        let mut state = self.lock();
        let slowest = state
            .readers
            .iter()
            .flatten()
            .map(|reader| reader.offset)
            .min();
        match slowest {
            None if !state.retains => Poll::Ready(Err(FillError::Abandoned)),
            None if !self.is_nearly_done(&state) => Poll::Ready(Err(FillError::Abandoned)),
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
