//! The timeouts of a client: between requests, for the head of a request, and to accept bytes.
//!
//! The connection only records what it is doing and, once after each run, since when. One timer per
//! connection looks at the records when the earliest deadline could have passed. So a request needs
//! no timer of its own.
//!
//! A blocked write says little about a client: the kernel takes bytes again only when a large part
//! of its buffer is free. So each look while a write is blocked asks the kernel how much the client
//! has not acknowledged yet. What it has acknowledged since the look before counts for
//! `write_timeout` and `min_rate`.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::client_rate::{RateMeter, WINDOW};
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;

/// No request is under way.
const IDLE: u8 = 0;
/// The head of a request is being received.
const HEADER: u8 = 1;
/// The response is being made.
const ANSWERING: u8 = 2;
/// The value of `blocked_since` while no write is blocked.
const NOT_BLOCKED: i64 = i64::MAX;

/// Looks at a blocked write are at least this far apart.
const LOOK_PAUSE: Duration = Duration::from_millis(500);
/// Looks at a blocked write within `write_timeout`, at least.
const LOOKS: u32 = 4;

/// What a client has to keep to.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientTimeouts {
    /// Between two requests.
    pub(super) idle: Duration,
    /// From the first byte of a request to the end of its head.
    pub(super) header: Duration,
    /// To accept a byte that was written.
    pub(super) write: Duration,
    /// Bytes per second that it accepts while a write is blocked, at least.
    pub(super) min_rate: u64,
}

/// Records what a connection is doing, and since when.
#[derive(Debug)]
pub(super) struct Watchdog {
    clock: Clock,
    timeouts: ClientTimeouts,
    phase: AtomicU8,
    /// The phase began while the connection ran; `since` isn't set to its beginning yet.
    begun: AtomicBool,
    /// The beginning of the phase, in milliseconds since 1970.
    since: AtomicI64,
    /// When the client stopped accepting bytes, in milliseconds since 1970.
    blocked_since: AtomicI64,
    /// What was seen of the blocked write.
    look: Mutex<BlockedWrite>,
    /// The client accepts less than `min_rate`.
    is_too_slow: AtomicBool,
    /// The response under way is an event stream, which has no least rate.
    is_event_stream: AtomicBool,
}

/// What was seen of a blocked write.
#[derive(Debug)]
struct BlockedWrite {
    /// The latest look: when, and the bytes that the client had not acknowledged. `None` before the
    /// first one.
    latest: Option<(Timestamp, u64)>,
    meter: RateMeter,
}

impl Watchdog {
    pub(super) fn new(clock: Clock, timeouts: ClientTimeouts) -> Watchdog {
        let since = AtomicI64::new(clock.now().unix_millis());
        Watchdog {
            clock,
            timeouts,
            phase: AtomicU8::new(IDLE),
            begun: AtomicBool::new(false),
            since,
            blocked_since: AtomicI64::new(NOT_BLOCKED),
            look: Mutex::new(BlockedWrite {
                latest: None,
                meter: RateMeter::new(timeouts.min_rate),
            }),
            is_too_slow: AtomicBool::new(false),
            is_event_stream: AtomicBool::new(false),
        }
    }

    /// Records the first byte of a request.
    pub(super) fn request_begun(&self) {
        self.enter(HEADER);
    }

    /// Records that the head of a request is complete.
    pub(super) fn request_received(&self) {
        self.phase.store(ANSWERING, Ordering::Relaxed);
    }

    /// Records that the response waits for the client only.
    pub(super) fn request_answered(&self) {
        self.enter(IDLE);
    }

    /// Whether the head of a request is being received.
    pub(super) fn is_in_head(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == HEADER
    }

    /// Whether no request is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == IDLE
    }

    /// Records that the client's side took `written` bytes. Returns whether a write was blocked
    /// before. `unsent` tells the bytes that the client has not acknowledged.
    pub(super) fn write_done(&self, written: usize, unsent: impl Fn() -> Option<u64>) -> bool {
        let was_blocked = self.is_blocked();
        if was_blocked {
            self.end_of_block(written as u64, unsent);
        }
        self.blocked_since.store(NOT_BLOCKED, Ordering::Relaxed);
        was_blocked
    }

    /// Records that the client doesn't accept bytes.
    pub(super) fn write_blocked(&self, unsent: impl Fn() -> Option<u64>) {
        let now = self.clock.now();
        if self.is_blocked() {
            self.look(now, unsent);
        } else {
            self.blocked_since
                .store(now.unix_millis(), Ordering::Relaxed);
        }
    }

    /// Sees what the client has accepted of a write that is still blocked.
    #[cold]
    fn look(&self, now: Timestamp, unsent: impl Fn() -> Option<u64>) {
        let mut look = self.blocked_write();
        let latest = look.latest;
        if latest.is_some_and(|(at, _)| now.since(at) < LOOK_PAUSE) {
            return;
        }
        let Some(unsent) = unsent() else { return };
        look.latest = Some((now, unsent));
        if let Some((at, before)) = latest {
            let accepted = before.saturating_sub(unsent);
            if accepted > 0 {
                self.blocked_since
                    .store(now.unix_millis(), Ordering::Relaxed);
            }
            self.measure(&mut look, now.since(at), accepted);
        }
    }

    /// Sees what the client has accepted up to the end of a block.
    #[cold]
    fn end_of_block(&self, written: u64, unsent: impl Fn() -> Option<u64>) {
        let mut look = self.blocked_write();
        // Most blocks end before the first look.
        if let Some((at, before)) = look.latest.take()
            && let Some(unsent) = unsent()
        {
            let accepted = (before + written).saturating_sub(unsent);
            self.measure(&mut look, self.clock.now().since(at), accepted);
        }
    }

    fn measure(&self, look: &mut BlockedWrite, waited: Duration, accepted: u64) {
        let has_rate = !self.is_event_stream.load(Ordering::Relaxed);
        if has_rate && look.meter.record(waited, accepted).is_err() {
            self.is_too_slow.store(true, Ordering::Relaxed);
        }
    }

    fn blocked_write(&self) -> MutexGuard<'_, BlockedWrite> {
        self.look.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records whether the response under way is an event stream.
    pub(super) fn set_event_stream(&self, is_event_stream: bool) {
        self.is_event_stream
            .store(is_event_stream, Ordering::Relaxed);
    }

    /// Whether a write waits for the client.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked_since.load(Ordering::Relaxed) != NOT_BLOCKED
    }

    fn enter(&self, phase: u8) {
        self.phase.store(phase, Ordering::Relaxed);
        self.begun.store(true, Ordering::Relaxed);
    }

    /// Runs the connection, and records the time of a phase that began meanwhile.
    pub(super) async fn watch<C: Future>(&self, mut connection: Pin<&mut C>) -> C::Output {
        poll_fn(|context| {
            let polled = connection.as_mut().poll(context);
            if self.begun.load(Ordering::Relaxed) {
                self.begun.store(false, Ordering::Relaxed);
                self.since
                    .store(self.clock.now().unix_millis(), Ordering::Relaxed);
            }
            polled
        })
        .await
    }

    /// Waits until a timeout of the client has passed, or until it was too slow.
    pub(super) async fn run(&self) {
        loop {
            let now = self.clock.now();
            let deadline = self.deadline();
            if deadline <= now || self.is_too_slow.load(Ordering::Relaxed) {
                return;
            }
            let look_again = now.saturating_add(self.pause());
            self.clock.sleep_until(deadline.min(look_again)).await;
        }
    }

    /// The time to the next look. A phase that begins meanwhile may have an earlier deadline than
    /// this one, and a write may be blocked meanwhile: so look again in time for both.
    fn pause(&self) -> Duration {
        let ClientTimeouts { header, write, .. } = self.timeouts;
        if self.is_blocked() {
            header.min(write / LOOKS).min(WINDOW / 2)
        } else {
            header.min(write / 2).min(WINDOW)
        }
    }

    /// The earliest time at which a timeout passes, if the connection does nothing meanwhile.
    fn deadline(&self) -> Timestamp {
        let since = Timestamp::from_unix_millis(self.since.load(Ordering::Relaxed));
        let by_phase = match self.phase.load(Ordering::Relaxed) {
            IDLE => since.saturating_add(self.timeouts.idle),
            HEADER => since.saturating_add(self.timeouts.header),
            // Only a blocked write has a timeout now. Look again when one could have been blocked
            // for too long.
            _ => self
                .clock
                .now()
                .saturating_add(self.timeouts.write.min(self.timeouts.header)),
        };
        match self.blocked_since.load(Ordering::Relaxed) {
            NOT_BLOCKED => by_phase,
            blocked => by_phase
                .min(Timestamp::from_unix_millis(blocked).saturating_add(self.timeouts.write)),
        }
    }
}
