//! A reader of a fill.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{Fill, FillError};

/// Reads a fill from its first byte to its end; an [`http_body::Body`]. Dropping it leaves the
/// fill.
#[derive(Debug)]
pub struct FillReader {
    pub(super) fill: Arc<Fill>,
    pub(super) slot: usize,
    pub(super) offset: u64,
}

impl FillReader {
    /// The offset of the next byte.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next piece, or how the body ended: `None` at its end, an error if it ended early or if
    /// the reader has fallen behind.
    pub fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, FillError>>> {
        let mut state = self.fill.lock();
        if self.offset < state.base {
            return Poll::Ready(Some(Err(FillError::FellBehind)));
        }
        if let Some(piece) = state.after(self.offset) {
            self.offset += piece.len() as u64;
            if let Some(reader) = &mut state.readers[self.slot] {
                reader.offset = self.offset;
            }
            state.drop_unneeded(&self.fill.limits);
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
        state.drop_unneeded(&self.fill.limits);
        state.wake_writer();
    }
}
