//! The timeouts of a connection: for its preface and header blocks, between requests, and to accept
//! content.
//!
//! The connection records its state at the end of each poll. One timer per connection looks at the
//! records, as that of HTTP/1.1 does, so that a request needs no timer of its own. What counts as
//! progress is content that the client has acknowledged: `PING` and its like are none, and neither
//! is content in the system's own buffers.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use super::super::DRAIN_GRACE;
use super::cut::CutReason;
use super::socket::SharedSocket;
use crate::client_rate::{RateMeter, WINDOW};
use crate::telemetry::connection_faults::ConnectionFault;
use tero_config as config;
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;

/// Stands for a state that the connection is not in.
const NOT: i64 = i64::MAX;
/// Looks at a stalled connection are at least this far apart.
const LOOK_PAUSE: Duration = Duration::from_millis(500);
/// Looks at a stalled connection within `write_timeout`, at least.
const LOOKS: u32 = 4;

/// What a client has to keep to.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamTimeouts {
    /// Without a request.
    idle: Duration,
    /// For the preface, and from the first byte of a header block to its end.
    header: Duration,
    /// To accept a byte of content.
    write: Duration,
    /// Bytes of content per second that it accepts while they wait for it, at least.
    min_rate: u64,
}

impl StreamTimeouts {
    pub(super) fn of(settings: &config::Server) -> StreamTimeouts {
        StreamTimeouts {
            idle: settings.idle_timeout,
            header: settings.header_timeout,
            write: settings.write_timeout,
            min_rate: settings.min_rate,
        }
    }
}

/// What a connection is doing, and since when, in milliseconds since 1970.
#[derive(Debug)]
pub(super) struct ConnectionWatch {
    clock: Clock,
    timeouts: StreamTimeouts,
    /// The preface or a header block is under way.
    head_since: AtomicI64,
    /// No stream is open.
    idle_since: AtomicI64,
    /// Content waits for the client.
    stalled_since: AtomicI64,
    /// A response is an event stream, which has no least rate.
    has_event_stream: AtomicBool,
    /// The connection ends when its last stream does.
    is_ending: AtomicBool,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConnectionPhase {
    /// The preface or a header block is under way.
    pub(super) in_head: bool,
    /// No stream is open.
    pub(super) idle: bool,
    /// Content waits for the client.
    pub(super) stalled: bool,
    /// A response is an event stream.
    pub(super) event_stream: bool,
}

impl ConnectionWatch {
    pub(super) fn new(clock: Clock, timeouts: StreamTimeouts) -> ConnectionWatch {
        let now = clock.now().unix_millis();
        ConnectionWatch {
            clock,
            timeouts,
            head_since: AtomicI64::new(now),
            idle_since: AtomicI64::new(now),
            stalled_since: AtomicI64::new(NOT),
            has_event_stream: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
        }
    }

    /// Records what the connection is doing at the end of a poll, which began at `now`. `answers`
    /// says that requests were answered in it.
    pub(super) fn record(&self, phase: ConnectionPhase, answers: bool, now: Timestamp) {
        let now = now.unix_millis();
        set(&self.head_since, phase.in_head, now);
        if answers {
            self.idle_since.store(NOT, Ordering::Relaxed);
        }
        set(&self.idle_since, phase.idle, now);
        set(&self.stalled_since, phase.stalled, now);
        self.has_event_stream
            .store(phase.event_stream, Ordering::Relaxed);
    }

    /// Records that the connection ends when its last stream does.
    pub(super) fn ends(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
        // The grace begins now.
        if self.idle_since.load(Ordering::Relaxed) != NOT {
            let now = self.clock.now().unix_millis();
            self.idle_since.store(now, Ordering::Relaxed);
        }
    }

    /// Waits until a timeout of the client has passed, or until it was too slow.
    pub(super) async fn run(&self, socket: &SharedSocket) -> CutReason {
        let mut stall = StallMeter::new(self.timeouts.min_rate);
        loop {
            let now = self.clock.now();
            if let Some(cut) = self.passed(now) {
                return cut;
            }
            if self.is(&self.stalled_since) {
                let accepted = socket.lock().accepted();
                let has_rate = !self.has_event_stream.load(Ordering::Relaxed);
                match stall.look(now, accepted, has_rate) {
                    StallLook::TooSlow => return CutReason::Fault(ConnectionFault::Stalled),
                    StallLook::Moved => self
                        .stalled_since
                        .store(now.unix_millis(), Ordering::Relaxed),
                    StallLook::Stuck => {}
                }
            } else {
                stall.latest = None;
            }
            let look_again = now.saturating_add(self.pause());
            let next = self.deadline().map_or(look_again, |at| at.min(look_again));
            self.clock.sleep_until(next).await;
        }
    }

    fn is(&self, since: &AtomicI64) -> bool {
        since.load(Ordering::Relaxed) != NOT
    }

    /// The timeouts that run, and when they pass.
    fn deadlines(&self) -> [Option<(Timestamp, CutReason)>; 3] {
        let at = |since: &AtomicI64, timeout: Duration| match since.load(Ordering::Relaxed) {
            NOT => None,
            since => Some(Timestamp::from_unix_millis(since).saturating_add(timeout)),
        };
        let idle = if self.is_ending.load(Ordering::Relaxed) {
            DRAIN_GRACE.min(self.timeouts.idle)
        } else {
            self.timeouts.idle
        };
        [
            at(&self.head_since, self.timeouts.header)
                .map(|at| (at, CutReason::Fault(ConnectionFault::Late))),
            at(&self.stalled_since, self.timeouts.write)
                .map(|at| (at, CutReason::Fault(ConnectionFault::Stalled))),
            at(&self.idle_since, idle).map(|at| (at, CutReason::Idle)),
        ]
    }

    /// The timeout that has passed.
    fn passed(&self, now: Timestamp) -> Option<CutReason> {
        let mut passed = self.deadlines().into_iter().flatten();
        passed.find(|(at, _)| *at <= now).map(|(_, cut)| cut)
    }

    fn deadline(&self) -> Option<Timestamp> {
        let running = self.deadlines().into_iter().flatten();
        running.map(|(at, _)| at).min()
    }

    /// The time to the next look: a state that begins meanwhile may have an earlier deadline.
    fn pause(&self) -> Duration {
        let StreamTimeouts { header, write, .. } = self.timeouts;
        if self.is(&self.stalled_since) {
            let pause = header.min(write / LOOKS).min(WINDOW / 2);
            pause.max(LOOK_PAUSE)
        } else if self.is_ending.load(Ordering::Relaxed) {
            DRAIN_GRACE
        } else {
            header.min(write / 2).min(WINDOW)
        }
    }
}

/// Keeps the beginning of a state that goes on.
fn set(since: &AtomicI64, is: bool, now: i64) {
    match (is, since.load(Ordering::Relaxed)) {
        (true, NOT) => since.store(now, Ordering::Relaxed),
        (false, began) if began != NOT => since.store(NOT, Ordering::Relaxed),
        _ => {}
    }
}

/// What a look at a stalled connection sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StallLook {
    /// The client has accepted more content.
    Moved,
    /// It has not.
    Stuck,
    /// It accepts less than `min_rate`.
    TooSlow,
}

/// Measures what a client accepts of content that waits for it.
#[derive(Debug)]
struct StallMeter {
    /// The latest look.
    latest: Option<Timestamp>,
    /// The most bytes that were seen accepted. The system's own buffers hold other bytes too, so
    /// the figure may go back.
    most: u64,
    meter: RateMeter,
}

impl StallMeter {
    fn new(min_rate: u64) -> StallMeter {
        StallMeter {
            latest: None,
            most: 0,
            meter: RateMeter::new(min_rate),
        }
    }

    fn look(&mut self, now: Timestamp, accepted: u64, has_rate: bool) -> StallLook {
        let more = accepted.saturating_sub(self.most);
        self.most = self.most.max(accepted);
        let Some(latest) = self.latest.replace(now) else {
            return StallLook::Stuck;
        };
        if has_rate && self.meter.record(now.since(latest), more).is_err() {
            StallLook::TooSlow
        } else if more > 0 {
            StallLook::Moved
        } else {
            StallLook::Stuck
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const QUIET: ConnectionPhase = ConnectionPhase {
        in_head: false,
        idle: false,
        stalled: false,
        event_stream: false,
    };

    fn watch() -> (Clock, ConnectionWatch) {
        let clock = Clock::by_hand(Timestamp::from_unix_secs(1_000));
        let timeouts = StreamTimeouts {
            idle: 20 * SECOND,
            header: 10 * SECOND,
            write: 30 * SECOND,
            min_rate: 100,
        };
        (clock.clone(), ConnectionWatch::new(clock, timeouts))
    }

    /// Checks what has passed so many seconds after a record.
    #[track_caller]
    fn check(phase: ConnectionPhase, secs: u32, expected: Option<CutReason>) {
        let (clock, watch) = watch();
        watch.record(phase, false, clock.now());
        clock.advance(secs * SECOND);
        assert_eq!(watch.passed(clock.now()), expected, "{phase:?} {secs}");
    }

    #[test]
    fn timeouts_pass_at_their_second() {
        let [in_head, idle, stalled] = [
            ConnectionPhase {
                in_head: true,
                ..QUIET
            },
            ConnectionPhase {
                idle: true,
                ..QUIET
            },
            ConnectionPhase {
                stalled: true,
                ..QUIET
            },
        ];
        check(QUIET, 1_000, None);
        check(in_head, 9, None);
        check(in_head, 10, Some(CutReason::Fault(ConnectionFault::Late)));
        check(idle, 19, None);
        check(idle, 20, Some(CutReason::Idle));
        check(stalled, 29, None);
        check(
            stalled,
            30,
            Some(CutReason::Fault(ConnectionFault::Stalled)),
        );
    }

    #[test]
    fn a_state_that_goes_on_began_once() {
        let (clock, watch) = watch();
        let idle = ConnectionPhase {
            idle: true,
            ..QUIET
        };
        for _ in 0..19 {
            clock.advance(SECOND);
            // A PING, say.
            watch.record(idle, false, clock.now());
        }
        assert_eq!(watch.passed(clock.now()), None);
        clock.advance(SECOND);
        assert_eq!(watch.passed(clock.now()), Some(CutReason::Idle));
        watch.record(idle, true, clock.now());
        assert_eq!(watch.passed(clock.now()), None, "a request was answered");
    }

    #[test]
    fn an_ending_connection_has_a_short_grace() {
        let (clock, watch) = watch();
        let idle = ConnectionPhase {
            idle: true,
            ..QUIET
        };
        watch.record(idle, false, clock.now());
        clock.advance(5 * SECOND);
        watch.ends();
        assert_eq!(watch.passed(clock.now()), None);
        clock.advance(SECOND);
        assert_eq!(watch.passed(clock.now()), Some(CutReason::Idle));
    }

    #[test]
    fn only_content_that_was_not_accepted_before_is_progress() {
        let mut meter = StallMeter::new(0);
        let at = Timestamp::from_unix_secs;
        assert_eq!(meter.look(at(0), 1_000, true), StallLook::Stuck);
        assert_eq!(meter.look(at(1), 1_001, true), StallLook::Moved);
        assert_eq!(meter.look(at(2), 900, true), StallLook::Stuck);
        assert_eq!(meter.look(at(3), 1_001, true), StallLook::Stuck);
        assert_eq!(meter.look(at(4), 1_002, true), StallLook::Moved);
    }

    #[test]
    fn a_rate_below_the_least_one_is_too_slow() {
        for (each, expected) in [(100, StallLook::Moved), (99, StallLook::TooSlow)] {
            let mut meter = StallMeter::new(100);
            let mut look = StallLook::Stuck;
            for second in 0..=10 {
                look = meter.look(
                    Timestamp::from_unix_secs(second),
                    second as u64 * each,
                    true,
                );
            }
            assert_eq!(look, expected, "{each}");
        }
    }
}
