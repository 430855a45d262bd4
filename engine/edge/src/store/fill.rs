//! A fill: a response on its way into the store, read by its clients as it grows (RFC 9111 §3.3).
//!
//! While a fill *retains*, it keeps every byte, so that a reader may join late and the whole can be
//! stored. When it outgrows a limit it lets go: from then on it holds a window, waits for its
//! slowest reader, takes no new ones, and is not stored.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{BufMut, Bytes, BytesMut};
use http_body::{Frame, SizeHint};

use super::stored::StoredBody;

/// Pieces smaller than this are joined as they come, so that an origin that sends single bytes does
/// not cost a structure for each.
const JOIN_BELOW: usize = 16 * 1024;
/// How far a fill that no longer retains may run ahead of its slowest reader, in bytes.
const WINDOW_BYTES: u64 = 256 * 1024;
/// A fill without readers goes on when no more than this is missing, in bytes.
const NEARLY_DONE_BYTES: u64 = 1024 * 1024;

/// How many bytes all fills together may retain.
#[derive(Debug)]
pub struct FillBudget {
    limit: u64,
    used: AtomicU64,
}

impl FillBudget {
    /// A budget of `limit` bytes.
    pub fn new(limit: u64) -> Arc<FillBudget> {
        Arc::new(FillBudget {
            limit,
            used: AtomicU64::new(0),
        })
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> bool {
        let taken = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|&sum| sum <= self.limit)
            });
        taken.is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

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

#[derive(Debug)]
struct FillState {
    pieces: VecDeque<Bytes>,
    /// How many of the first pieces are as large as they are to be; counted while retaining.
    joined: usize,
    /// The offset of the first byte of `pieces`: 0 while retaining.
    base: u64,
    received: u64,
    reserved: u64,
    retains: bool,
    end: Option<Result<(), FillError>>,
    readers: Vec<Option<ReaderSlot>>,
    writer: Option<Waker>,
}

#[derive(Debug)]
struct ReaderSlot {
    offset: u64,
    waker: Option<Waker>,
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

impl FillState {
    /// Copies: a piece of the read buffer would keep all of it alive.
    fn append(&mut self, piece: &[u8]) {
        if self.retains && self.loose_bytes() + piece.len() > StoredBody::ONE_PIECE as usize {
            self.join();
        }
        let is_loose = self.pieces.len() > self.joined;
        match self.pieces.back_mut() {
            Some(last) if is_loose && last.len() < JOIN_BELOW => {
                let mut joined = BytesMut::with_capacity(last.len() + piece.len());
                joined.put_slice(last);
                joined.put_slice(piece);
                *last = joined.freeze();
            }
            _ => self.pieces.push_back(Bytes::copy_from_slice(piece)),
        }
        self.drop_read();
    }

    /// Bytes of the pieces that have come since they were last joined.
    fn loose_bytes(&self) -> usize {
        self.pieces.range(self.joined..).map(Bytes::len).sum()
    }

    /// Makes one piece of them: the fewer there are, the fewer system calls send them.
    fn join(&mut self) {
        if self.pieces.len() > self.joined + 1 {
            let mut joined = BytesMut::with_capacity(self.loose_bytes());
            self.pieces
                .drain(self.joined..)
                .for_each(|piece| joined.put_slice(&piece));
            self.pieces.push_back(joined.freeze());
        }
        self.joined = self.pieces.len();
    }

    fn kept(&mut self) -> Option<Vec<Bytes>> {
        if !self.retains {
            return None;
        }
        self.join();
        Some(self.pieces.iter().cloned().collect())
    }

    fn let_go(&mut self, budget: &FillBudget) {
        self.retains = false;
        self.joined = 0;
        budget.give_back(std::mem::take(&mut self.reserved));
        self.drop_read();
    }

    /// Without the duty to retain, what every reader has had can go.
    fn drop_read(&mut self) {
        if self.retains || self.end.is_some() {
            return;
        }
        let slowest = self
            .readers
            .iter()
            .flatten()
            .map(|reader| reader.offset)
            .min()
            .unwrap_or(self.received);
        while let Some(first) = self.pieces.front()
            && self.base + first.len() as u64 <= slowest
        {
            self.base += first.len() as u64;
            self.pieces.pop_front();
        }
    }

    fn wake_readers(&mut self) {
        for reader in self.readers.iter_mut().flatten() {
            if let Some(waker) = reader.waker.take() {
                waker.wake();
            }
        }
    }

    fn wake_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    /// The bytes that are there from `offset` on, up to the end of their piece.
    fn after(&self, offset: u64) -> Option<Bytes> {
        let mut start = self.base;
        for piece in &self.pieces {
            let end = start + piece.len() as u64;
            if offset < end {
                return Some(piece.slice((offset - start) as usize..));
            }
            start = end;
        }
        None
    }
}

/// Reads a fill from the first byte on; a [`http_body::Body`].
#[derive(Debug)]
pub struct FillReader {
    fill: Arc<Fill>,
    slot: usize,
    offset: u64,
}

impl FillReader {
    /// Takes the next piece, or learns how the body ended.
    pub fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, FillError>>> {
        let mut state = self.fill.lock();
        if let Some(piece) = state.after(self.offset) {
            self.offset += piece.len() as u64;
            if let Some(reader) = &mut state.readers[self.slot] {
                reader.offset = self.offset;
            }
            state.drop_read();
            state.wake_writer();
            return Poll::Ready(Some(Ok(piece)));
        }
        match state.end {
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => {
                if let Some(reader) = &mut state.readers[self.slot] {
                    reader.waker = Some(context.waker().clone());
                }
                Poll::Pending
            }
        }
    }
}

impl http_body::Body for FillReader {
    type Data = Bytes;
    type Error = FillError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, FillError>>> {
        self.poll_piece(context)
            .map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        match self.fill.length {
            Some(length) => SizeHint::with_exact(length - self.offset),
            None => SizeHint::default(),
        }
    }
}

impl Drop for FillReader {
    fn drop(&mut self) {
        let mut state = self.fill.lock();
        state.readers[self.slot] = None;
        state.drop_read();
        state.wake_writer();
    }
}

#[cfg(test)]
mod tests;
