//! The content of a client's request, on its way to the next hop.
//!
//! The first `request_buffer` bytes are read before the request takes a place among the site's
//! fetches: so clients that send a small body slowly hold none. A longer body is streamed from then
//! on. A client that sends nothing for `body_timeout`, or less than `min_rate` while it is waited
//! for, has sent its request in vain (408, RFC 9110 §15.5.9).

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

use super::body::SilenceLimit;
use super::content::RequestContent;
use super::failure::{ErrorChain, Failure};
use super::visit::Visit;
use crate::client_rate::{RateMeter, SlowClientError};
use crate::origin::{self, BodyError, ContentSource, RequestBody};
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;

/// Content as a client sends it.
struct ClientContent {
    /// What was read before the rest is streamed.
    beginning: Option<Bytes>,
    rest: RequestContent,
    silence: SilenceLimit,
    meter: RateMeter,
    clock: Clock,
    /// Since when the client's next bytes are awaited.
    awaited_since: Option<Timestamp>,
}

/// The content of a request, as far as it was read beforehand, and where its rest comes from.
///
/// # Errors
/// If the client breaks off, sends something that is not content, or is too slow.
pub(super) async fn content(
    visit: Visit<'_>,
    content: Option<RequestContent>,
) -> Result<(RequestBody, ContentSource), Failure> {
    let Some(incoming) = content.filter(|content| !content.is_end_stream()) else {
        return Ok((origin::empty(), ContentSource::AtHand));
    };
    let mut content = ClientContent::new(visit, incoming);
    let is_whole = content.read_beginning(visit.settings().request_buffer);
    match is_whole.await {
        Ok(true) => Ok((content.into_whole(), ContentSource::AtHand)),
        Ok(false) => Ok((content.boxed_unsync(), ContentSource::Client)),
        Err(error) => {
            let site = &visit.settings().name;
            tracing::debug!(%site, error = %ErrorChain(&*error), "request body failed");
            Err(Failure::of_content(&*error))
        }
    }
}

impl ClientContent {
    fn new(visit: Visit<'_>, rest: RequestContent) -> ClientContent {
        let clock = &visit.edge.clock;
        ClientContent {
            beginning: None,
            rest,
            silence: SilenceLimit::new(clock.clone(), visit.body_timeout()),
            meter: RateMeter::new(visit.edge.min_rate),
            clock: clock.clone(),
            awaited_since: None,
        }
    }

    /// Reads up to `most` bytes, or a few more: what came together is not taken apart. Returns
    /// whether that is all.
    async fn read_beginning(&mut self, most: u64) -> Result<bool, BodyError> {
        let mut beginning = BytesMut::new();
        let is_whole = loop {
            if beginning.len() as u64 >= most {
                break self.rest.is_end_stream();
            }
            match self.frame().await {
                None => break true,
                // Trailers are not forwarded.
                Some(frame) => {
                    beginning.extend_from_slice(frame?.data_ref().unwrap_or(&Bytes::new()))
                }
            }
        };
        self.beginning = Some(beginning.freeze()).filter(|beginning| !beginning.is_empty());
        Ok(is_whole)
    }

    fn into_whole(self) -> RequestBody {
        let content = http_body_util::Full::new(self.beginning.unwrap_or_default());
        content.map_err(|never| match never {}).boxed_unsync()
    }

    /// The client's next frame, or its end.
    fn poll_rest(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.rest).poll_frame(context) {
            Poll::Pending => {
                self.awaited_since.get_or_insert_with(|| self.clock.now());
                let patience = self.meter.patience();
                let _ = ready!(self.silence.poll_end_within(patience, context));
                Poll::Ready(Some(Err(SlowClientError.into())))
            }
            Poll::Ready(Some(Ok(frame))) => {
                self.silence.broken();
                let measured = self.measure(frame.data_ref().map_or(0, Bytes::len) as u64);
                Poll::Ready(Some(measured.map(|()| frame).map_err(Into::into)))
            }
            Poll::Ready(ended) => Poll::Ready(ended),
        }
    }

    fn measure(&mut self, bytes: u64) -> Result<(), SlowClientError> {
        let waited = self
            .awaited_since
            .take()
            .map(|since| self.clock.now().since(since));
        self.meter.record(waited.unwrap_or_default(), bytes)
    }
}

impl Body for ClientContent {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match this.beginning.take() {
            Some(beginning) => Poll::Ready(Some(Ok(Frame::data(beginning)))),
            None => this.poll_rest(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.beginning.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.size_hint();
        let beginning = self.beginning.as_ref().map_or(0, Bytes::len) as u64;
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + beginning);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + beginning);
        }
        hint
    }
}
