//! The timeouts of a client: between requests, for the head of a request, and to accept bytes.
//!
//! The connection only records what it is doing and, once after each run, since when. One timer per
//! connection looks at the records when the earliest deadline could have passed. So a request needs
//! no timer of its own.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering};
use std::time::Duration;

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

/// The time that a client has for each step.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientTimeouts {
    /// Between two requests.
    pub(super) idle: Duration,
    /// From the first byte of a request to the end of its head.
    pub(super) header: Duration,
    /// To accept a byte that was written.
    pub(super) write: Duration,
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

    /// Records that the client accepts bytes. Returns whether a write was blocked before.
    pub(super) fn write_done(&self) -> bool {
        let was_blocked = self.is_blocked();
        self.blocked_since.store(NOT_BLOCKED, Ordering::Relaxed);
        was_blocked
    }

    /// Records that the client doesn't accept bytes.
    pub(super) fn write_blocked(&self) {
        if !self.is_blocked() {
            self.blocked_since
                .store(self.clock.now().unix_millis(), Ordering::Relaxed);
        }
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

    /// Waits until a timeout of the client has passed.
    pub(super) async fn run(&self) {
        loop {
            let deadline = self.deadline();
            if deadline <= self.clock.now() {
                return;
            }
            // A phase that begins meanwhile may have an earlier deadline. So look again as soon as
            // that deadline could pass.
            let look_again = self
                .clock
                .now()
                .saturating_add(self.timeouts.header.min(self.timeouts.write));
            self.clock.sleep_until(deadline.min(look_again)).await;
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
