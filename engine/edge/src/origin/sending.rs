//! How far the content of a request has been sent, so that the time for its response begins when the
//! next hop has the request, and not while the client is still sending it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

use super::{BodyError, RequestBody, empty};
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;

/// The progress of the content of a request.
#[derive(Debug)]
pub(super) struct SendingContent {
    clock: Clock,
    /// The client's next bytes are awaited.
    waits_for_client: AtomicBool,
    /// When content was last taken from the client, or bytes were last accepted by the next hop; in
    /// milliseconds since 1970.
    moved_at: AtomicI64,
}

impl SendingContent {
    /// Watches the content of `request` from now on. `None` if it has none.
    pub(super) fn watch(
        request: &mut Request<RequestBody>,
        clock: &Clock,
    ) -> Option<Arc<SendingContent>> {
        if request.body().is_end_stream() {
            return None;
        }
        let sending = Arc::new(SendingContent {
            clock: clock.clone(),
            waits_for_client: AtomicBool::new(false),
            moved_at: AtomicI64::new(clock.now().unix_millis()),
        });
        let body = WatchedContent {
            body: std::mem::replace(request.body_mut(), empty()),
            sending: Arc::clone(&sending),
        };
        *request.body_mut() = body.boxed_unsync();
        Some(sending)
    }

    /// Records that a request with this content, or with a copy of it, is about to be sent.
    pub(super) fn begin(&self) {
        self.waits_for_client.store(false, Ordering::Relaxed);
        self.moved();
    }

    /// Records that bytes have moved.
    pub(super) fn moved(&self) {
        self.moved_at
            .store(self.clock.now().unix_millis(), Ordering::Relaxed);
    }

    /// When to look again, if the next hop has `timeout` after each byte. `None` if its time has
    /// passed.
    pub(super) fn deadline(&self, now: Timestamp, timeout: Duration) -> Option<Timestamp> {
        if self.waits_for_client.load(Ordering::Relaxed) {
            return Some(now.saturating_add(timeout));
        }
        let moved_at = Timestamp::from_unix_millis(self.moved_at.load(Ordering::Relaxed));
        Some(moved_at.saturating_add(timeout)).filter(|end| *end > now)
    }
}

/// Content that records its progress.
struct WatchedContent {
    body: RequestBody,
    sending: Arc<SendingContent>,
}

impl Body for WatchedContent {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_ready() {
            self.sending.moved();
        }
        self.sending
            .waits_for_client
            .store(polled.is_pending(), Ordering::Relaxed);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
