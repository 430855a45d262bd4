//! The content of a client's request, by whichever version of HTTP it comes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::StatusCode;
use http::header::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::client::ClientHandle;
use crate::origin::BodyError;

/// The content of a client's request.
#[derive(Debug)]
pub enum RequestContent {
    /// None.
    Empty,
    /// As it comes on a connection of HTTP/1.1.
    Http1(Incoming),
    /// As it comes on a stream of HTTP/2.
    Http2(Box<StreamContent>),
}

/// Content on a stream of HTTP/2.
#[derive(Debug)]
pub struct StreamContent {
    stream: RecvStream,
    /// Bytes that have not come, if the head told the length.
    left: Option<u64>,
    /// The client waits for leave to send (RFC 9110 §10.1.1).
    waiting: Option<ClientHandle>,
    has_ended: bool,
}

impl StreamContent {
    /// What comes on `stream`: that many bytes, if the head told. `waiting` is a client that waits
    /// for leave to send it, and gets it as soon as the content is read.
    pub fn new(
        stream: RecvStream,
        length: Option<u64>,
        waiting: Option<ClientHandle>,
    ) -> StreamContent {
        StreamContent {
            stream,
            left: length,
            waiting,
            has_ended: false,
        }
    }

    fn poll_data(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        if let Some(client) = self.waiting.take()
            && !self.stream.is_end_stream()
        {
            client.send_interim(StatusCode::CONTINUE, &HeaderMap::new());
        }
        let piece = match ready!(self.stream.poll_data(context)) {
            Some(Ok(piece)) => piece,
            Some(Err(error)) => {
                self.has_ended = true;
                return Poll::Ready(Some(Err(error.into())));
            }
            None => return self.poll_trailers(context),
        };
        let length = piece.len();
        // The client may send as much again. It fails only if the stream has ended.
        let _ = self.stream.flow_control().release_capacity(length);
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(length as u64);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl StreamContent {
    /// What follows the last piece of data.
    fn poll_trailers(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let trailers = ready!(self.stream.poll_trailers(context));
        self.has_ended = true;
        Poll::Ready(match trailers {
            Ok(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
            Err(error) => Some(Err(error.into())),
        })
    }
}

impl Body for RequestContent {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            RequestContent::Empty => Poll::Ready(None),
            RequestContent::Http1(incoming) => {
                let frame = ready!(Pin::new(incoming).poll_frame(context));
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            RequestContent::Http2(content) => content.poll_data(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            RequestContent::Empty => true,
            RequestContent::Http1(incoming) => incoming.is_end_stream(),
            RequestContent::Http2(content) => content.has_ended || content.stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestContent::Empty => SizeHint::with_exact(0),
            RequestContent::Http1(incoming) => incoming.size_hint(),
            RequestContent::Http2(content) => content
                .left
                .map_or_else(SizeHint::new, SizeHint::with_exact),
        }
    }
}
