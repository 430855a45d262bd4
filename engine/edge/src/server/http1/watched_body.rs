//! The body of a response, which tells its connection when all of it is at hand.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::connection_state::ConnectionState;
use crate::origin::BodyError;
use crate::request::body::EdgeBody;
use crate::request::open_record::OpenRecord;

/// A body that tells its connection when hyper drops it: hyper then has all of it.
pub(super) struct WatchedBody {
    body: EdgeBody,
    state: Option<Arc<ConnectionState>>,
    /// What is left to record of the response, and the connection that sends it.
    record: Option<(Box<OpenRecord>, Arc<ConnectionState>)>,
    /// The error that ended the content early, until the bytes before it were written: on an error,
    /// hyper drops the bytes that it has not written yet.
    broken: Option<BodyError>,
}

impl WatchedBody {
    pub(super) fn new(body: EdgeBody, state: Option<Arc<ConnectionState>>) -> WatchedBody {
        WatchedBody {
            body,
            state,
            record: None,
            broken: None,
        }
    }

    /// The same, with what is left to record when it has been sent on the connection of `state`.
    pub(super) fn recorded(
        mut self,
        record: Option<Box<OpenRecord>>,
        state: &Arc<ConnectionState>,
    ) -> WatchedBody {
        if let Some(record) = record {
            state.begin_record();
            self.record = Some((record, Arc::clone(state)));
        }
        self
    }
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Err(error))) => {
                self.broken = Some(error);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            polled => {
                if let (Some((record, state)), Poll::Ready(Some(Ok(frame)))) =
                    (&mut self.record, &polled)
                {
                    state.take_piece(record, frame.data_ref().map_or(0, Bytes::len) as u64);
                }
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        if let Some((record, state)) = self.record.take() {
            state.content_taken(record);
        }
        if let Some(state) = &self.state {
            state.watchdog.set_event_stream(false);
            state.response_complete();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use super::*;
    use crate::store::fill::{Fill, FillBudget, FillError, FillLimits};

    struct WakeCount(AtomicUsize);

    impl Wake for WakeCount {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn bytes_before_an_error_are_written_before_it() {
        let fill = Fill::new(
            None,
            FillLimits {
                max_object: 1,
                budget: FillBudget::new(1),
            },
            0,
        );
        let reader = fill.reader().expect("the fill has its first byte");
        fill.fail(FillError::CutShort);
        let mut body = WatchedBody::new(EdgeBody::fill(reader), None);
        let woken = Arc::new(WakeCount(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut poll = || Pin::new(&mut body).poll_frame(&mut Context::from_waker(&waker));
        assert!(poll().is_pending());
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(matches!(poll(), Poll::Ready(Some(Err(_)))));
    }
}
