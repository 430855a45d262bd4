//! A bound on how long content may not come.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tero_time::clock::{Clock, TimeoutError};

/// A bound on how long a body may send nothing.
pub struct SilenceLimit {
    pub(super) clock: Clock,
    limit: Duration,
    timer: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
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

    /// Ready when the body has sent nothing for too long.
    pub(super) fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<TimeoutError> {
        self.poll_end_within(None, context)
    }

    /// The same for a silence that may have a shorter limit.
    pub(super) fn poll_end_within(
        &mut self,
        limit: Option<Duration>,
        context: &mut Context<'_>,
    ) -> Poll<TimeoutError> {
        let timer = self.timer.get_or_insert_with(|| {
            let clock = self.clock.clone();
            let limit = self.limit.min(limit.unwrap_or(Duration::MAX));
            Box::pin(async move { clock.sleep(limit).await })
        });
        timer.as_mut().poll(context).map(|()| TimeoutError)
    }

    /// Records that the body has sent something.
    pub(super) fn broken(&mut self) {
        self.timer = None;
    }
}
