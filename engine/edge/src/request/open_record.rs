//! The record of an answer that is being sent: its bytes and its line in the access log are complete
//! when the last byte has left.
//!
//! A small answer that is at hand is counted at once and has no such record, unless there is an
//! access log.

use std::sync::Arc;
use std::time::Duration;

use http::Response;

use super::body::EdgeBody;
use super::edge::Edge;
use crate::telemetry::access_log::{OpenLine, SentResponse};
use crate::telemetry::counters::{CountedPlace, SiteCounters};
use crate::telemetry::spans::{Span, Tracer};
use tero_semantics::timestamp::Timestamp;

/// Content of this length or less is sent at once if nothing waits before it, so it is counted at
/// once. Of a connection that ends before, no more than this is counted too much.
pub(super) const SENT_AT_ONCE: u64 = 64 * 1024;

/// A response, and what is left to record of it.
#[derive(Debug)]
pub struct RecordedResponse {
    /// What the client gets.
    pub response: Response<EdgeBody>,
    /// What is left to record; `None` if all is recorded.
    pub record: Option<Box<OpenRecord>>,
}

/// What is left to record of an answer.
#[derive(Debug)]
pub struct OpenRecord {
    edge: Arc<Edge>,
    /// The counters of its site, and its place in them; `None` for a request that belongs to no site.
    counters: Option<(Arc<SiteCounters>, CountedPlace)>,
    line: Option<OpenLine>,
    span: Option<Box<Span>>,
    /// When the request was received.
    at: Timestamp,
    /// Bytes of content that the connection has taken.
    taken: u64,
    /// Bytes of content that have been counted as sent.
    counted: u64,
}

impl OpenRecord {
    /// The record of an answer to a request that was received at `at`.
    pub(super) fn new(
        edge: &Arc<Edge>,
        counters: Option<(&Arc<SiteCounters>, CountedPlace)>,
        line: Option<OpenLine>,
        at: Timestamp,
    ) -> Box<OpenRecord> {
        Box::new(OpenRecord {
            edge: Arc::clone(edge),
            counters: counters.map(|(counters, place)| (Arc::clone(counters), place)),
            line,
            span: None,
            at,
            taken: 0,
            counted: 0,
        })
    }

    /// The same with the span of the request.
    pub(super) fn with_span(mut self: Box<OpenRecord>, span: Span) -> Box<OpenRecord> {
        self.span = Some(Box::new(span));
        self
    }

    /// The connection has taken bytes of content to send them. All that it took before has left, but
    /// for `unsent` bytes.
    pub fn take(&mut self, bytes: u64, unsent: u64) {
        let left = self.taken.saturating_sub(unsent);
        self.taken += bytes;
        // A small piece leaves at once, and is counted before its client can look at the figures.
        let leaves_at_once = unsent == 0 && bytes <= SENT_AT_ONCE;
        self.count_to(if leaves_at_once { self.taken } else { left });
    }

    /// Bytes left in a tunnel, whose traffic is counted elsewhere.
    pub fn tunneled(&mut self, bytes: u64) {
        self.taken += bytes;
        self.counted += bytes;
    }

    /// Nothing more is sent. All that was taken has left, but for `unsent` bytes.
    pub fn close(mut self, unsent: u64) {
        let sent = self.taken.saturating_sub(unsent);
        self.count_to(sent);
        let took = self.edge.clock.now().since(self.at);
        if let Some((counters, _)) = &self.counters {
            counters.record_last_byte(took);
        }
        if let (Some(tracer), Some(span)) = (&self.edge.tracer, self.span.take()) {
            finish(tracer, *span, took, sent);
        }
        if let (Some(log), Some(line)) = (&self.edge.access_log, self.line.take()) {
            let sent = SentResponse {
                bytes: sent,
                took_micros: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            };
            log.write(line, sent);
        }
    }

    fn count_to(&mut self, sent: u64) {
        if sent <= self.counted {
            return;
        }
        if let Some((counters, place)) = &self.counters {
            counters.record_bytes(*place, sent - self.counted);
        }
        self.counted = sent;
    }
}

#[cold]
fn finish(tracer: &Tracer, mut span: Span, took: Duration, sent: u64) {
    span.end = span.begin.saturating_add(took);
    span.number("http.response.body.size", sent.try_into().ok());
    tracer.finish(span);
}
