//! How long a client may take: between requests, for the head of one, and to accept bytes.
//!
//! The connection only notes what it is doing and since when, once each time it has run; one timer
//! per connection looks at the notes when the earliest deadline could have passed. So a request
//! costs no timer.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering};
use std::time::Duration;

use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;

const IDLE: u8 = 0;
const HEADER: u8 = 1;
const ANSWERING: u8 = 2;
/// The time of a write that is not blocked.
const NOT_BLOCKED: i64 = i64::MAX;

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientTimeouts {
    /// Between two requests.
    pub(super) idle: Duration,
    /// From the first byte of a request to the end of its head.
    pub(super) header: Duration,
    /// Without accepting a byte that waits for it.
    pub(super) write: Duration,
}

/// What a connection is doing, and since when.
#[derive(Debug)]
pub(super) struct Watchdog {
    clock: Clock,
    timeouts: ClientTimeouts,
    phase: AtomicU8,
    /// The phase has begun since the connection was run, and `since` is not its beginning yet.
    begun: AtomicBool,
    since: AtomicI64,
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

    /// The first byte of a request has come.
    pub(super) fn request_begun(&self) {
        self.enter(HEADER);
    }

    /// The head of a request is complete.
    pub(super) fn request_received(&self) {
        self.phase.store(ANSWERING, Ordering::Relaxed);
    }

    /// Its answer waits for nobody but the client.
    pub(super) fn request_answered(&self) {
        self.enter(IDLE);
    }

    /// Whether a request has begun, and its head is not complete.
    pub(super) fn is_in_head(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == HEADER
    }

    /// Whether no request is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == IDLE
    }

    /// The client takes what is written. Tells whether it has not for a while.
    pub(super) fn write_done(&self) -> bool {
        let was_blocked = self.is_blocked();
        self.blocked_since.store(NOT_BLOCKED, Ordering::Relaxed);
        was_blocked
    }

    /// The client does not take what is written.
    pub(super) fn write_blocked(&self) {
        if !self.is_blocked() {
            self.blocked_since
                .store(self.clock.now().unix_millis(), Ordering::Relaxed);
        }
    }

    /// Whether something that was written waits for the client.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked_since.load(Ordering::Relaxed) != NOT_BLOCKED
    }

    fn enter(&self, phase: u8) {
        self.phase.store(phase, Ordering::Relaxed);
        self.begun.store(true, Ordering::Relaxed);
    }

    /// Runs the connection, and notes the time of what began meanwhile.
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

    /// Returns when the client has taken too long.
    pub(super) async fn run(&self) {
        loop {
            let deadline = self.deadline();
            if deadline <= self.clock.now() {
                return;
            }
            // What begins while this waits may be due before what it waits for: so it looks again
            // as soon as that could be.
            let look_again = self
                .clock
                .now()
                .saturating_add(self.timeouts.header.min(self.timeouts.write));
            self.clock.sleep_until(deadline.min(look_again)).await;
        }
    }

    /// The earliest moment at which the client could have taken too long, as things stand.
    fn deadline(&self) -> Timestamp {
        let since = Timestamp::from_unix_millis(self.since.load(Ordering::Relaxed));
        let by_phase = match self.phase.load(Ordering::Relaxed) {
            IDLE => since.saturating_add(self.timeouts.idle),
            HEADER => since.saturating_add(self.timeouts.header),
            // Nothing but a write can keep the client from its due now; look again when one could
            // have been blocked for too long.
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
