//! Spans: one for each sampled request, made from its provenance. How they are sent is not known here.
//!
//! Requests never wait for whoever takes the spans: the queue is bounded, and a span that finds no
//! room is dropped and counted. While its taker can't send them, no spans are made.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use http::HeaderMap;

use tero_semantics::timestamp::Timestamp;
use tero_semantics::trace_context::TraceParent;

/// A finished span.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Its trace, its own id, and that it is sampled.
    pub context: TraceParent,
    /// The span that it was sent from; `None` at the beginning of a trace.
    pub parent: Option<[u8; 8]>,
    /// The method and, if there is one, the name of the route.
    pub name: String,
    /// When the request was received.
    pub begin: Timestamp,
    /// When the last byte of the answer had left.
    pub end: Timestamp,
    /// What is told of it.
    pub attributes: Vec<(&'static str, SpanValue)>,
    /// Whether the answer is an error of the edge or of the origin.
    pub is_error: bool,
}

impl Span {
    /// Tells a text, if there is one.
    pub(crate) fn tell(&mut self, key: &'static str, text: Option<&str>) {
        let value = text.map(|text| SpanValue::Text(text.to_owned()));
        self.attributes.extend(value.map(|value| (key, value)));
    }

    /// Tells a number, if there is one.
    pub(crate) fn number(&mut self, key: &'static str, number: Option<i64>) {
        let value = number.map(SpanValue::Number);
        self.attributes.extend(value.map(|value| (key, value)));
    }

    /// Tells whether something is so.
    pub(crate) fn flag(&mut self, key: &'static str, is_so: bool) {
        self.attributes.push((key, SpanValue::Flag(is_so)));
    }
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum SpanValue {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
    /// True or false.
    Flag(bool),
}

/// The trace of a request that is sampled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestTrace {
    /// The trace, and the span of the request here.
    pub context: TraceParent,
    /// The span that the request came from.
    pub parent: Option<[u8; 8]>,
}

/// What became of spans.
#[derive(Debug, Default)]
pub struct SpanCounters {
    /// Sent to the collector.
    pub sent: AtomicU64,
    /// Dropped, since too many waited.
    pub dropped: AtomicU64,
    /// Lost, since the collector did not take them.
    pub failed: AtomicU64,
    /// The collector takes none for a while.
    pub rests: AtomicBool,
}

/// Samples requests and takes their spans.
#[derive(Debug)]
pub struct Tracer {
    /// A random number below it samples a request.
    threshold: u64,
    queue: SyncSender<Span>,
    counters: Arc<SpanCounters>,
}

impl Tracer {
    /// A tracer that samples this share of the requests, and the queue that its spans wait in, at most
    /// so many.
    pub fn new(share: f64, queue: usize) -> (Tracer, Receiver<Span>) {
        let (sender, receiver) = sync_channel(queue);
        // Saturates at both ends.
        let threshold = (share * u64::MAX as f64) as u64;
        let tracer = Tracer {
            threshold,
            queue: sender,
            counters: Arc::default(),
        };
        (tracer, receiver)
    }

    /// What became of its spans.
    pub fn counters(&self) -> &Arc<SpanCounters> {
        &self.counters
    }

    /// The trace of a request with these fields, if it is sampled: by its trusted sender, or by chance.
    /// Others can't have more requests sampled than the share says. The chance is drawn first: most
    /// requests cost no more than that.
    pub(crate) fn begin(&self, headers: &HeaderMap, is_trusted: bool) -> Option<Box<RequestTrace>> {
        if self.counters.rests.load(Ordering::Relaxed) {
            return None;
        }
        let [chance] = random();
        let is_chosen = chance < self.threshold;
        match is_chosen || is_trusted {
            true => sampled(headers, is_chosen),
            false => None,
        }
    }
    /// Takes a span; drops it if too many wait.
    pub(crate) fn finish(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The trace of a request that is chosen by chance, or by its sender.
#[cold]
fn sampled(headers: &HeaderMap, is_chosen: bool) -> Option<Box<RequestTrace>> {
    let told = TraceParent::of(headers);
    if !is_chosen && !told.is_some_and(|told| told.is_sampled) {
        return None;
    }
    let [span, high, low] = random();
    let mut trace = [0; 16];
    trace[..8].copy_from_slice(&high.to_be_bytes());
    trace[8..].copy_from_slice(&low.to_be_bytes());
    Some(Box::new(RequestTrace {
        context: TraceParent {
            trace: told.map_or(trace, |told| told.trace),
            // All zeros would be invalid.
            span: (span | 1).to_be_bytes(),
            is_sampled: true,
        },
        parent: told.map(|told| told.span),
    }))
}

/// Numbers that can't be guessed, as those of `request_id`.
fn random<const N: usize>() -> [u64; N] {
    thread_local! {
        static SOURCE: (RandomState, Cell<u64>) = (RandomState::new(), const { Cell::new(0) });
    }
    SOURCE.with(|(hasher, drawn)| {
        let number = drawn.get();
        drawn.set(number.wrapping_add(N as u64));
        std::array::from_fn(|more| hasher.hash_one(number.wrapping_add(more as u64)))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use tero_semantics::trace_context::TRACEPARENT;

    use super::*;

    const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn told(text: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(TRACEPARENT, HeaderValue::from_static(text))])
    }

    #[test]
    fn requests_are_sampled_by_chance_and_by_trusted_senders() {
        let count = |share: f64, headers: &HeaderMap, is_trusted: bool| {
            let (tracer, _queue) = Tracer::new(share, 1);
            let begun = (0..1_000).filter(|_| tracer.begin(headers, is_trusted).is_some());
            begun.count()
        };
        let none = HeaderMap::new();
        assert_eq!(
            (count(1.0, &none, false), count(0.0, &none, false)),
            (1_000, 0)
        );
        assert!((50..200).contains(&count(0.1, &none, false)));
        assert_eq!(count(0.0, &told(SAMPLED), true), 1_000);
        assert_eq!(count(0.0, &told(SAMPLED), false), 0, "a stranger says so");
    }

    #[test]
    fn a_trace_is_taken_over_and_the_span_is_new() {
        let (tracer, _queue) = Tracer::new(1.0, 1);
        let first = tracer.begin(&told(SAMPLED), false).unwrap();
        let second = tracer.begin(&told(SAMPLED), false).unwrap();
        assert_eq!(first.context.trace, second.context.trace);
        assert_eq!(first.context.trace[0], 0x4b);
        assert_eq!(first.parent.map(|span| span[7]), Some(0xb7));
        assert_ne!(first.context.span, second.context.span);
        let own = tracer.begin(&HeaderMap::new(), false).unwrap();
        assert_eq!(own.parent, None);
        assert_ne!(own.context.trace, first.context.trace);
    }

    #[test]
    fn spans_without_room_are_dropped_and_none_are_made_while_the_collector_rests() {
        let (tracer, queue) = Tracer::new(1.0, 1);
        let now = Timestamp::from_unix_secs(1);
        let span = Span {
            context: TraceParent {
                trace: [1; 16],
                span: [1; 8],
                is_sampled: true,
            },
            parent: None,
            name: "GET".to_owned(),
            begin: now,
            end: now,
            attributes: Vec::new(),
            is_error: false,
        };
        tracer.finish(span.clone());
        tracer.finish(span.clone());
        assert_eq!(queue.try_recv(), Ok(span));
        assert_eq!(tracer.counters().dropped.load(Ordering::Relaxed), 1);
        tracer.counters().rests.store(true, Ordering::Relaxed);
        assert_eq!(tracer.begin(&HeaderMap::new(), false), None);
    }
}
