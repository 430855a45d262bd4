//! The content of an answer that is read from a disk as its client takes it: a piece at a time while
//! the system has it in memory, else some pieces ahead, by a thread that may wait.

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::silence::SilenceLimit;
use crate::store::stored::{ContentError, ContentReply, OutsideContent};
use tero_time::clock::Clock;

/// Pieces that are read ahead at once: while the socket takes them, the next ones are read.
const PIECES_AHEAD: usize = 4;

/// A range of content that is not in memory.
pub struct OutsideBody {
    content: Arc<dyn OutsideContent>,
    /// The bytes that are still to be read.
    unread: Range<u64>,
    /// What has been read and not sent.
    ahead: VecDeque<Bytes>,
    /// The bytes that are still to be sent.
    left: u64,
    /// Pieces that another thread reads.
    reading: Option<ContentReply>,
    patience: SilenceLimit,
}

impl OutsideBody {
    /// The bytes of a range, which must lie within the content.
    pub(super) fn new(
        content: &Arc<dyn OutsideContent>,
        range: Range<u64>,
        clock: &Clock,
    ) -> OutsideBody {
        OutsideBody {
            content: Arc::clone(content),
            left: range.end - range.start,
            unread: range,
            ahead: VecDeque::new(),
            reading: None,
            patience: SilenceLimit::new(clock.clone(), content.patience()),
        }
    }

    /// The bytes that are still to be sent.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// The next bytes; `None` at the end.
    pub(super) fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, ContentError>>> {
        loop {
            if let Some(piece) = self.ahead.pop_front() {
                // What had to be waited for is likely to be followed by more of it.
                if self.ahead.len() < PIECES_AHEAD / 2 && self.reading.is_some() {
                    self.take_what_was_read(context)?;
                }
                self.left -= piece.len() as u64;
                return Poll::Ready(Some(Ok(piece)));
            }
            if self.reading.is_some() {
                ready!(self.poll_reading(context))?;
                self.read_ahead();
                continue;
            }
            if self.unread.is_empty() {
                return Poll::Ready(None);
            }
            match self.content.read_at_once(self.unread.start)? {
                Some(bytes) => self.add(bytes),
                None => self.read_ahead(),
            }
        }
    }

    /// Waits for the pieces that another thread reads.
    fn poll_reading(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ContentError>> {
        let Some(reading) = &mut self.reading else {
            return Poll::Ready(Ok(()));
        };
        let Poll::Ready(read) = Pin::new(reading).poll(context) else {
            ready!(self.patience.poll_end(context));
            return Poll::Ready(Err(ContentError::Late));
        };
        self.reading = None;
        self.patience.broken();
        // Without an answer, too many wait.
        let pieces = read.unwrap_or(Err(ContentError::Late))?;
        if pieces.is_empty() {
            return Poll::Ready(Err(ContentError::Lost));
        }
        pieces.into_iter().for_each(|bytes| self.add(bytes));
        Poll::Ready(Ok(()))
    }

    /// Takes the pieces that another thread has read, and has it read the next ones.
    fn take_what_was_read(&mut self, context: &mut Context<'_>) -> Result<(), ContentError> {
        if let Poll::Ready(read) = self.poll_reading(context) {
            read?;
            self.read_ahead();
        }
        Ok(())
    }

    fn read_ahead(&mut self) {
        if !self.unread.is_empty() && self.reading.is_none() {
            let content = Arc::clone(&self.content);
            self.reading = Some(content.read_ahead(self.unread.start, PIECES_AHEAD));
        }
    }

    /// Adds bytes that begin where the unread ones do.
    fn add(&mut self, mut bytes: Bytes) {
        let unread = self.unread.end - self.unread.start;
        bytes.truncate(usize::try_from(unread).unwrap_or(usize::MAX));
        self.unread.start += bytes.len() as u64;
        if !bytes.is_empty() {
            self.ahead.push_back(bytes);
        }
    }
}

impl std::fmt::Debug for OutsideBody {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("OutsideBody")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
