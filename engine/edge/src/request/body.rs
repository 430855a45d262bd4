//! The content of answers: stored, on its way into the store, or straight from the next hop.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;

use super::exchange::Exchange;
use super::failure::ErrorChain;
use crate::origin::BodyError;
use crate::store::fill::FillReader;
use crate::store::stored::StoredBody;
use crate::telemetry::counters::SiteCounters;
use tero_semantics::key;
use tero_time::clock::{Clock, TimeoutError};

/// The content of an answer.
#[derive(Debug)]
pub enum EdgeBody {
    /// None.
    Empty,
    /// All of it, in order.
    Pieces(ReadyBody),
    /// As a fill brings it.
    Fill(FillPart),
    /// As the next hop sends it.
    Stream(Box<StreamedBody>),
}

/// Content that is there.
#[derive(Debug)]
pub struct ReadyBody {
    /// Lines of the head of the answer that are not in its map of fields.
    lines: Option<Arc<[u8]>>,
    pieces: PieceList,
    next: usize,
    left: u64,
}

#[derive(Debug)]
enum PieceList {
    Stored(StoredBody),
    Owned(Vec<Bytes>),
}

/// A part of a fill's content: from one offset to another.
#[derive(Debug)]
pub struct FillPart {
    reader: FillReader,
    /// Bytes still to be skipped.
    skip: u64,
    /// Bytes still to be sent; `None` where the end is unknown.
    left: Option<u64>,
    counters: Arc<SiteCounters>,
}

/// Content straight from the next hop, with a bound on its silence.
pub struct StreamedBody {
    body: Incoming,
    silence: SilenceLimit,
    /// The exchange that the next hop answers, with one of the site's concurrent fetches; `None`
    /// where a client sends.
    answered: Option<(Arc<Exchange>, OwnedSemaphorePermit)>,
}

/// A bound on how long a body may send nothing.
pub struct SilenceLimit {
    clock: Clock,
    limit: Duration,
    timer: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl EdgeBody {
    /// Stored content.
    pub fn stored(body: &StoredBody) -> EdgeBody {
        EdgeBody::Pieces(ReadyBody {
            lines: None,
            pieces: PieceList::Stored(body.clone()),
            next: 0,
            left: body.len(),
        })
    }

    /// Stored content, or none, with lines of fields that go into the head of the answer as they
    /// are: see [`EdgeBody::take_lines`].
    pub fn with_lines(lines: Arc<[u8]>, body: Option<&StoredBody>) -> EdgeBody {
        let left = body.map_or(0, StoredBody::len);
        let pieces = body.map_or_else(
            || PieceList::Owned(Vec::new()),
            |body| PieceList::Stored(body.clone()),
        );
        EdgeBody::Pieces(ReadyBody {
            lines: Some(lines),
            pieces,
            next: 0,
            left,
        })
    }

    /// Takes the lines of fields that the answer's map of fields does not have. The sender of the
    /// answer puts them into its head.
    pub fn take_lines(&mut self) -> Option<Arc<[u8]>> {
        match self {
            EdgeBody::Pieces(pieces) => pieces.lines.take(),
            _ => None,
        }
    }

    /// Content made for this answer.
    pub fn owned(pieces: Vec<Bytes>) -> EdgeBody {
        let left = pieces.iter().map(|piece| piece.len() as u64).sum();
        EdgeBody::Pieces(ReadyBody {
            lines: None,
            pieces: PieceList::Owned(pieces),
            next: 0,
            left,
        })
    }

    /// What `reader` brings.
    pub fn fill(reader: FillReader, counters: Arc<SiteCounters>) -> EdgeBody {
        EdgeBody::Fill(FillPart {
            reader,
            skip: 0,
            left: None,
            counters,
        })
    }

    /// The bytes of `range` of what `reader` brings.
    pub fn fill_range(
        reader: FillReader,
        range: std::ops::Range<u64>,
        counters: Arc<SiteCounters>,
    ) -> EdgeBody {
        EdgeBody::Fill(FillPart {
            reader,
            skip: range.start,
            left: Some(range.end - range.start),
            counters,
        })
    }

    /// What the next hop sends in answer to an exchange.
    pub fn stream(
        body: Incoming,
        permit: OwnedSemaphorePermit,
        silence: SilenceLimit,
        exchange: Arc<Exchange>,
    ) -> EdgeBody {
        EdgeBody::Stream(Box::new(StreamedBody {
            body,
            silence,
            answered: Some((exchange, permit)),
        }))
    }

    /// What a client sends.
    pub fn upload(body: Incoming, silence: SilenceLimit) -> StreamedBody {
        StreamedBody {
            body,
            silence,
            answered: None,
        }
    }

    /// Its length in bytes, where it is known.
    pub fn length(&self) -> Option<u64> {
        self.size_hint().exact()
    }

    /// Whether it is there already, so that sending it waits for the client alone.
    pub fn is_at_hand(&self) -> bool {
        matches!(self, EdgeBody::Empty | EdgeBody::Pieces(_))
    }
}

impl Body for EdgeBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            EdgeBody::Empty => Poll::Ready(None),
            EdgeBody::Pieces(pieces) => {
                Poll::Ready(pieces.next().map(|piece| Ok(Frame::data(piece))))
            }
            EdgeBody::Fill(part) => part.poll_frame(context),
            EdgeBody::Stream(stream) => stream.poll_frame_within(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            EdgeBody::Empty => true,
            EdgeBody::Pieces(pieces) => pieces.left == 0,
            EdgeBody::Fill(part) => part.left == Some(0),
            EdgeBody::Stream(stream) => stream.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            EdgeBody::Empty => SizeHint::with_exact(0),
            EdgeBody::Pieces(pieces) => SizeHint::with_exact(pieces.left),
            EdgeBody::Fill(part) => match part.left {
                Some(left) => SizeHint::with_exact(left),
                None => part.reader.size_hint(),
            },
            EdgeBody::Stream(stream) => stream.body.size_hint(),
        }
    }
}

impl ReadyBody {
    fn next(&mut self) -> Option<Bytes> {
        let piece = match &mut self.pieces {
            PieceList::Stored(body) => body.pieces().get(self.next)?.clone(),
            PieceList::Owned(pieces) => std::mem::take(pieces.get_mut(self.next)?),
        };
        self.next += 1;
        self.left -= piece.len() as u64;
        Some(piece)
    }
}

impl FillPart {
    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            if self.left == Some(0) {
                return Poll::Ready(None);
            }
            let mut piece = match ready!(self.reader.poll_piece(context)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                Some(Ok(piece)) => piece,
            };
            let skipped = self.skip.min(piece.len() as u64);
            self.skip -= skipped;
            piece = piece.slice(skipped as usize..);
            if let Some(left) = &mut self.left {
                piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= piece.len() as u64;
            }
            if !piece.is_empty() {
                self.counters.record_bytes(piece.len() as u64);
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
        }
    }
}

impl StreamedBody {
    fn poll_frame_within(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame: Option<Result<_, BodyError>> = match Pin::new(&mut self.body).poll_frame(context)
        {
            Poll::Pending => Some(Err(ready!(self.silence.poll_end(context)).into())),
            Poll::Ready(frame) => {
                self.silence.broken();
                frame.map(|frame| frame.map_err(Into::into))
            }
        };
        if let (Some((exchange, _)), Some(frame)) = (&self.answered, &frame) {
            match frame {
                Ok(frame) => exchange
                    .site
                    .counters
                    .record_bytes(frame.data_ref().map_or(0, Bytes::len) as u64),
                Err(error) => {
                    tracing::warn!(url = key::url_of(&exchange.key), error = %ErrorChain(&**error), "answer ended early");
                }
            }
        }
        Poll::Ready(frame)
    }
}

impl Body for StreamedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.get_mut().poll_frame_within(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl SilenceLimit {
    /// No more than `limit` between two pieces.
    pub fn new(clock: Clock, limit: Duration) -> SilenceLimit {
        SilenceLimit {
            clock,
            limit,
            timer: None,
        }
    }

    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<TimeoutError> {
        let timer = self.timer.get_or_insert_with(|| {
            let (clock, limit) = (self.clock.clone(), self.limit);
            Box::pin(async move { clock.sleep(limit).await })
        });
        timer.as_mut().poll(context).map(|()| TimeoutError)
    }

    fn broken(&mut self) {
        self.timer = None;
    }
}

impl std::fmt::Debug for StreamedBody {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Stream")
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}
