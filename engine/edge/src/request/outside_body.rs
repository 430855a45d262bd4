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
                self.read_further();
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
            self.read_further();
        }
        Ok(())
    }

    /// Has pieces read beside those that there are, if that is not too much for all clients together.
    fn read_further(&mut self) {
        if self.content.has_room_ahead() {
            self.read_ahead();
        }
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;
    use tero_semantics::timestamp::Timestamp;

    /// Content that always has to be waited for.
    #[derive(Debug, Default)]
    struct SlowContent {
        has_room: bool,
        /// Pieces that were asked for.
        asked: AtomicUsize,
    }

    impl OutsideContent for SlowContent {
        fn length(&self) -> u64 {
            100
        }

        fn read_at_once(&self, _: u64) -> Result<Option<Bytes>, ContentError> {
            Ok(None)
        }

        fn read_ahead(self: Arc<SlowContent>, _: u64, pieces: usize) -> ContentReply {
            let pieces = if self.has_room { pieces } else { 1 };
            self.asked.fetch_add(pieces, Ordering::Relaxed);
            let (reply, answer) = oneshot::channel();
            let read = vec![Bytes::from_static(b"p"); pieces];
            reply.send(Ok(read)).unwrap();
            answer
        }

        fn has_room_ahead(&self) -> bool {
            self.has_room
        }

        fn patience(&self) -> Duration {
            Duration::from_secs(1)
        }

        fn is_found(&self) -> bool {
            true
        }
    }

    /// The pieces that were asked for when a client takes its first one.
    fn asked_for_the_first(has_room: bool) -> usize {
        let slow = Arc::new(SlowContent {
            has_room,
            ..SlowContent::default()
        });
        let content: Arc<dyn OutsideContent> = Arc::clone(&slow) as _;
        let clock = Clock::by_hand(Timestamp::from_unix_secs(1_000));
        let mut body = OutsideBody::new(&content, 0..100, &clock);
        let mut context = Context::from_waker(std::task::Waker::noop());
        let piece = body.poll_piece(&mut context);
        assert!(matches!(piece, Poll::Ready(Some(Ok(_)))));
        slow.asked.load(Ordering::Relaxed)
    }

    #[test]
    fn a_client_has_one_piece_where_all_have_too_much_read_ahead() {
        assert_eq!(asked_for_the_first(true), 2 * PIECES_AHEAD);
        assert_eq!(asked_for_the_first(false), 1);
    }
}
