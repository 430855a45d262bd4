//! The content of answers: stored, on its way into the store, or straight from the next hop.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::exchange::Exchange;
use super::failure::ErrorChain;
use super::outside_body::OutsideBody;
use super::silence::SilenceLimit;
use crate::origin::{BodyError, FetchPermit};
use crate::store::fill::{FillError, FillReader};
use crate::store::stored::{StoredBody, StoredResponse};
use tero_semantics::key;
use tero_time::clock::Clock;

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
    /// As it is read from a disk.
    Outside(Box<OutsideBody>),
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
pub struct FillPart {
    source: FillSource,
    /// How to go on if the reader falls behind; `None` if it would be cut off.
    rest: Option<RestOfContent>,
    /// Bytes still to be skipped.
    skip: u64,
    /// Bytes still to be sent; `None` where the end is unknown.
    left: Option<u64>,
}

/// Asks the next hop for the content from an offset on, for a reader that has fallen behind those
/// with whom it shared a fetch. `None` if the next hop doesn't have the same content any more.
pub type RestOfContent = Box<dyn FnOnce(u64) -> RestFuture + Send>;
/// The future of [`RestOfContent`].
pub type RestFuture = Pin<Box<dyn Future<Output = Option<Box<StreamedBody>>> + Send>>;

/// Where the bytes of a [`FillPart`] come from.
enum FillSource {
    /// The fill.
    Shared(FillReader),
    /// The next hop was asked for the rest.
    Asking(RestFuture),
    /// The next hop, for this reader alone.
    Own(Box<StreamedBody>),
}

/// Content straight from the next hop, with a bound on its silence.
pub struct StreamedBody {
    body: Incoming,
    silence: SilenceLimit,
    /// The exchange that the next hop answers, with its place among the site's fetches.
    exchange: Arc<Exchange>,
    _permit: FetchPermit,
}

impl EdgeBody {
    /// Stored content in memory.
    pub fn stored(body: &StoredBody) -> EdgeBody {
        debug_assert!(!body.is_outside(), "it is read from its disk");
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

    /// The bytes of a range of a stored response, wherever its content is.
    pub(super) fn of_stored(
        stored: &StoredResponse,
        range: std::ops::Range<u64>,
        clock: &Clock,
    ) -> EdgeBody {
        match stored.body.as_outside() {
            Some(content) => EdgeBody::Outside(Box::new(OutsideBody::new(content, range, clock))),
            None => EdgeBody::owned(stored.slice(&range).unwrap_or_default()),
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
    pub fn fill(reader: FillReader) -> EdgeBody {
        EdgeBody::Fill(FillPart {
            source: FillSource::Shared(reader),
            rest: None,
            skip: 0,
            left: None,
        })
    }

    /// The bytes of `range` of what `reader` brings.
    pub fn fill_range(reader: FillReader, range: std::ops::Range<u64>) -> EdgeBody {
        EdgeBody::Fill(FillPart {
            source: FillSource::Shared(reader),
            rest: None,
            skip: range.start,
            left: Some(range.end - range.start),
        })
    }

    /// The same; if the reader of a fill falls behind, it goes on with `rest`.
    pub fn or_rest(mut self, rest: Option<RestOfContent>) -> EdgeBody {
        if let EdgeBody::Fill(part) = &mut self {
            part.rest = rest;
        }
        self
    }

    /// As [`StreamedBody::new`].
    pub fn stream(
        body: Incoming,
        permit: FetchPermit,
        silence: SilenceLimit,
        exchange: Arc<Exchange>,
    ) -> EdgeBody {
        EdgeBody::Stream(Box::new(StreamedBody::new(body, permit, silence, exchange)))
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
            EdgeBody::Outside(outside) => {
                let piece = ready!(outside.poll_piece(context));
                Poll::Ready(piece.map(|piece| piece.map(Frame::data).map_err(Into::into)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            EdgeBody::Empty => true,
            EdgeBody::Pieces(pieces) => pieces.left == 0,
            EdgeBody::Fill(part) => part.left == Some(0),
            EdgeBody::Stream(stream) => stream.body.is_end_stream(),
            EdgeBody::Outside(outside) => outside.left() == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            EdgeBody::Empty => SizeHint::with_exact(0),
            EdgeBody::Pieces(pieces) => SizeHint::with_exact(pieces.left),
            EdgeBody::Fill(part) => match part.left {
                Some(left) => SizeHint::with_exact(left),
                None => part.source.size_hint(),
            },
            EdgeBody::Stream(stream) => stream.body.size_hint(),
            EdgeBody::Outside(outside) => SizeHint::with_exact(outside.left()),
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
            let mut piece = match ready!(self.poll_piece(context)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
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
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
        }
    }
}

impl FillPart {
    /// The next piece of the fill, or of what follows it.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            match &mut self.source {
                FillSource::Shared(reader) => match ready!(reader.poll_piece(context)) {
                    Some(Err(FillError::FellBehind)) if self.rest.is_some() => {
                        if let Some(rest) = self.rest.take() {
                            self.source = FillSource::Asking(rest(reader.offset()));
                        }
                    }
                    piece => return Poll::Ready(piece.map(|piece| piece.map_err(Into::into))),
                },
                FillSource::Asking(asking) => match ready!(asking.as_mut().poll(context)) {
                    Some(body) => self.source = FillSource::Own(body),
                    None => return Poll::Ready(Some(Err(FillError::FellBehind.into()))),
                },
                FillSource::Own(body) => match ready!(body.poll_frame_within(context)) {
                    Some(Ok(frame)) => {
                        if let Ok(piece) = frame.into_data() {
                            return Poll::Ready(Some(Ok(piece)));
                        }
                    }
                    ended => return Poll::Ready(ended.map(|error| error.map(|_| Bytes::new()))),
                },
            }
        }
    }
}

impl FillSource {
    fn size_hint(&self) -> SizeHint {
        match self {
            FillSource::Shared(reader) => reader.size_hint(),
            FillSource::Asking(_) => SizeHint::default(),
            FillSource::Own(body) => body.body.size_hint(),
        }
    }
}

impl std::fmt::Debug for FillPart {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("FillPart")
            .field("skip", &self.skip)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl StreamedBody {
    /// What the next hop sends in answer to an exchange. Only its own client reads it, so the fetch
    /// is lent.
    pub fn new(
        body: Incoming,
        mut permit: FetchPermit,
        silence: SilenceLimit,
        exchange: Arc<Exchange>,
    ) -> StreamedBody {
        if !body.is_end_stream() {
            permit.lend(silence.clock.now());
        }
        StreamedBody {
            body,
            silence,
            exchange,
            _permit: permit,
        }
    }

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
        if let Some(Err(error)) = &frame {
            let exchange = &self.exchange;
            let (limits, now) = (&exchange.site.counters.repeats, self.silence.clock.now());
            if let Some(left_out) = limits.due("answer ended early", "", now) {
                tracing::warn!(url = key::url_of(&exchange.key), request_id = %exchange.request_id(), error = %ErrorChain(&**error), left_out, "answer ended early");
            }
        }
        Poll::Ready(frame)
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
