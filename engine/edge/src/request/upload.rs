//! The content of a client's request, on its way to the next hop.
//!
//! The first `request_buffer` bytes are read before the request takes a place among the site's
//! fetches: so clients that send a small body slowly hold none. Such a body can be sent again. A
//! longer body is streamed from then on, at the pace of the next hop. Where the next hop decides
//! whether it wants the content at all (RFC 9110 §10.1.1), nothing is read before. A client that sends nothing for `body_timeout`, or less than `min_rate` while it is waited
//! for, has sent its request in vain (408, RFC 9110 §15.5.9).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::header::EXPECT;
use http::{HeaderMap, HeaderName, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

use super::content::RequestContent;
use super::exchange::Exchange;
use super::failure::{ErrorChain, Failure};
use super::silence::SilenceLimit;
use super::visit::Visit;
use crate::client_rate::{RateMeter, SlowClientError};
use crate::origin::{self, BodyError, ContentLeave, ContentSource, RequestBody};
use tero_config::UnderscoreFields;
use tero_semantics::request_fields::has_underscore;
use tero_semantics::timestamp::Timestamp;
use tero_semantics::trailers::{self, selected_trailers};
use tero_time::clock::Clock;

/// Content of a request, on its way.
pub(super) struct Upload {
    /// The content, as far as it was read beforehand, and its rest.
    pub(super) body: RequestBody,
    /// Where its rest comes from.
    pub(super) source: ContentSource,
    /// All of it, where it can be sent again.
    pub(super) whole: Option<Bytes>,
    /// The leave that it waits for.
    pub(super) leave: Option<ContentLeave>,
}

/// Content as a client sends it.
struct ClientContent {
    exchange: Arc<Exchange>,
    /// Nothing is read before it ends; `false` ends the content.
    leave: Option<Pin<Box<dyn Future<Output = bool> + Send>>>,
    /// What was read before the rest is streamed.
    beginning: Option<Bytes>,
    rest: RequestContent,
    /// What followed the rest, if that was read beforehand.
    trailers: Option<HeaderMap>,
    silence: SilenceLimit,
    meter: RateMeter,
    clock: Clock,
    /// Since when the client's next bytes are awaited.
    awaited_since: Option<Timestamp>,
}

/// The content of a request, of which the beginning is read.
///
/// # Errors
/// If the client breaks off, sends something that is not content, or is too slow.
pub(super) async fn content(
    visit: Visit<'_>,
    content: Option<RequestContent>,
) -> Result<Upload, Failure> {
    let Some(incoming) = content.filter(|content| !content.is_end_stream()) else {
        return Ok(Upload::of_whole(Bytes::new()));
    };
    let mut content = ClientContent::new(visit, incoming);
    if waits_for_leave(visit) {
        let leave = ContentLeave::awaited();
        let patience = visit.settings().expect_continue_timeout;
        content.leave = Some(Box::pin(leave.settled(visit.edge.clock.clone(), patience)));
        return Ok(Upload {
            leave: Some(leave),
            ..Upload::of_client(content, ContentSource::Client)
        });
    }
    let is_whole = content.read_beginning(visit.settings().request_buffer);
    match is_whole.await {
        Ok(true) if content.trailers.is_none() => {
            Ok(Upload::of_whole(content.beginning.unwrap_or_default()))
        }
        Ok(true) => Ok(Upload::of_client(content, ContentSource::AtHand)),
        Ok(false) => Ok(Upload::of_client(content, ContentSource::Client)),
        Err(error) => {
            let site = &visit.settings().name;
            tracing::debug!(%site, error = %ErrorChain(&*error), "request body failed");
            Err(Failure::of_content(&*error))
        }
    }
}

/// Whether a field may stand in the trailers of a request that goes on: those rules hold that hold
/// for fields of its head.
pub(super) fn may_be_trailer(exchange: &Exchange, name: &HeaderName) -> bool {
    let settings = &exchange.site.settings;
    let is_underscored =
        settings.underscores == UnderscoreFields::Drop && has_underscore(name.as_str());
    let mut forwarded = settings.forward_fields.iter();
    let is_forwarded = settings.forward_fields.is_empty()
        || forwarded.any(|pattern| pattern.matches(name.as_str()));
    let of_route = exchange.route().map(|route| &route.settings.request_fields);
    let mut edits = [Some(&settings.request_fields), of_route].into_iter();
    trailers::may_be_trailer(name)
        && !is_underscored
        && is_forwarded
        && !edits.any(|edits| edits.is_some_and(|edits| edits.names(name)))
}

/// Whether the next hop is asked before the client sends its content.
fn waits_for_leave(visit: Visit<'_>) -> bool {
    let exchange = visit.exchange;
    visit.settings().expect_continue
        && exchange.connection.is_some()
        && exchange.parts.version >= Version::HTTP_11
        && exchange.parts.headers.contains_key(EXPECT)
}

impl Upload {
    fn of_whole(content: Bytes) -> Upload {
        Upload {
            body: origin::whole(content.clone()),
            source: ContentSource::AtHand,
            whole: Some(content),
            leave: None,
        }
    }

    fn of_client(content: ClientContent, source: ContentSource) -> Upload {
        Upload {
            body: content.boxed_unsync(),
            source,
            whole: None,
            leave: None,
        }
    }
}

impl ClientContent {
    fn new(visit: Visit<'_>, rest: RequestContent) -> ClientContent {
        let clock = &visit.edge.clock;
        ClientContent {
            exchange: Arc::clone(visit.exchange),
            leave: None,
            beginning: None,
            rest,
            trailers: None,
            silence: SilenceLimit::new(clock.clone(), visit.body_timeout()),
            meter: RateMeter::new(visit.edge.min_rate.load(Relaxed)),
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
            let Some(frame) = self.frame().await else {
                break true;
            };
            match frame?.into_data() {
                Ok(data) => beginning.extend_from_slice(&data),
                Err(frame) => {
                    self.trailers = frame.into_trailers().ok();
                    break true;
                }
            }
        };
        self.beginning = Some(beginning.freeze()).filter(|beginning| !beginning.is_empty());
        Ok(is_whole)
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
                Poll::Ready(match measured {
                    Ok(()) => self.forwarded(frame).map(Ok),
                    Err(slow) => Some(Err(slow.into())),
                })
            }
            Poll::Ready(ended) => Poll::Ready(ended),
        }
    }

    /// A frame without the trailers that don't go on; `None` if nothing is left.
    fn forwarded(&self, frame: Frame<Bytes>) -> Option<Frame<Bytes>> {
        let trailers = match frame.into_trailers() {
            Ok(trailers) => trailers,
            Err(frame) => return Some(frame),
        };
        let may_go = |name: &HeaderName| may_be_trailer(&self.exchange, name);
        selected_trailers(&trailers, may_go).map(Frame::trailers)
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
        if let Some(leave) = &mut this.leave {
            if !ready!(leave.as_mut().poll(context)) {
                return Poll::Ready(Some(Err("the origin has answered without it".into())));
            }
            this.leave = None;
        }
        if let Some(beginning) = this.beginning.take() {
            return Poll::Ready(Some(Ok(Frame::data(beginning))));
        }
        match this.trailers.take() {
            Some(trailers) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            None => this.poll_rest(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.beginning.is_none() && self.trailers.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.size_hint();
        let beginning = self.beginning.as_ref().map_or(0, Bytes::len) as u64;
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + beginning);
        // With trailers, the length isn't told beforehand (RFC 9112 §7.1.2).
        if let Some(upper) = rest.upper().filter(|_| self.trailers.is_none()) {
            hint.set_upper(upper + beginning);
        }
        hint
    }
}
