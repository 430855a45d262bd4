//! What the two sides of a client connection tell each other: the stream that hyper reads and
//! writes, and the requests on it.
//!
//! All of it happens on one thread, since a connection never leaves its worker: whatever a request
//! sends ahead of its answer is in the outbox before the answer is made.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::watchdog::Watchdog;
use crate::request::client::{ClientConnection, TunnelFuture};

/// Bytes of interim responses that may wait for the client; what would be more is left out, as
/// interim responses may be.
const MAX_OUTBOX: usize = 64 * 1024;

/// A client connection.
pub(super) struct ConnectionState {
    pub(super) watchdog: Watchdog,
    /// Wakes the task of the connection.
    waker: Waker,
    /// Answers that have begun.
    answered: AtomicU64,
    /// A read is to be tried again when the answer under way has gone out.
    read_waits: AtomicBool,
    /// What comes from now on is passed on as it comes.
    unchecked: AtomicBool,
    /// Lines of the head under way, where it was only glanced at.
    glanced_lines: AtomicUsize,
    has_interim: AtomicBool,
    interim: Mutex<Vec<u8>>,
    has_lines: AtomicBool,
    lines: Mutex<Option<Arc<[u8]>>>,
    tunnel: Mutex<Option<TunnelFuture>>,
}

impl ConnectionState {
    pub(super) fn new(watchdog: Watchdog, waker: Waker) -> ConnectionState {
        ConnectionState {
            watchdog,
            waker,
            answered: AtomicU64::new(0),
            read_waits: AtomicBool::new(false),
            unchecked: AtomicBool::new(false),
            glanced_lines: AtomicUsize::new(0),
            has_interim: AtomicBool::new(false),
            interim: Mutex::default(),
            has_lines: AtomicBool::new(false),
            lines: Mutex::default(),
            tunnel: Mutex::default(),
        }
    }

    /// The answer to the request under way is made; it begins to go out.
    pub(super) fn answer_begins(&self) {
        self.answered
            .store(self.answered.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        if self.has_interim() && self.watchdog.is_blocked() {
            // What hyper has begun to write goes on with the answer, so there is no place left in
            // front of that.
            drop(self.take_interim());
        }
    }

    /// The answer waits for nobody but the client.
    pub(super) fn answer_made(&self) {
        self.watchdog.request_answered();
        self.read_again();
    }

    /// A read that was put off is to be tried again.
    pub(super) fn read_again(&self) {
        if self.read_waits.load(Ordering::Relaxed) {
            self.read_waits.store(false, Ordering::Relaxed);
            self.waker.wake_by_ref();
        }
    }

    /// Puts a read off until [`ConnectionState::read_again`].
    pub(super) fn put_off_read(&self) {
        self.read_waits.store(true, Ordering::Relaxed);
    }

    /// A head has come; of `lines` lines, where it was only glanced at, else of 0.
    pub(super) fn glanced_at(&self, lines: usize) {
        self.glanced_lines.store(lines, Ordering::Relaxed);
    }

    /// What was told to [`ConnectionState::glanced_at`].
    pub(super) fn glanced_lines(&self) -> usize {
        self.glanced_lines.load(Ordering::Relaxed)
    }

    /// What comes from now on is no request: content up to the end of the connection, or another
    /// protocol.
    pub(super) fn check_no_more(&self) {
        self.unchecked.store(true, Ordering::Relaxed);
    }

    /// Whether [`ConnectionState::check_no_more`] was said.
    pub(super) fn is_unchecked(&self) -> bool {
        self.unchecked.load(Ordering::Relaxed)
    }

    /// Whether there is something to be sent ahead of what hyper writes.
    pub(super) fn has_interim(&self) -> bool {
        self.has_interim.load(Ordering::Relaxed)
    }

    /// Takes it.
    pub(super) fn take_interim(&self) -> Vec<u8> {
        self.has_interim.store(false, Ordering::Relaxed);
        std::mem::take(&mut *lock(&self.interim))
    }

    /// Lines of fields that are to stand at the end of the next head that hyper writes.
    pub(super) fn put_lines(&self, lines: Arc<[u8]>) {
        *lock(&self.lines) = Some(lines);
        self.has_lines.store(true, Ordering::Relaxed);
    }

    /// Takes them.
    pub(super) fn take_lines(&self) -> Option<Arc<[u8]>> {
        if !self.has_lines.load(Ordering::Relaxed) {
            return None;
        }
        self.has_lines.store(false, Ordering::Relaxed);
        lock(&self.lines).take()
    }

    /// Takes the tunnel that the connection has become.
    pub(super) fn take_tunnel(&self) -> Option<TunnelFuture> {
        lock(&self.tunnel).take()
    }
}

impl ClientConnection for ConnectionState {
    fn current(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    fn send_interim(&self, request: u64, head: &[u8]) {
        let mut outbox = lock(&self.interim);
        if request == self.current() && outbox.len() + head.len() <= MAX_OUTBOX {
            outbox.extend_from_slice(head);
            self.has_interim.store(true, Ordering::Relaxed);
            self.waker.wake_by_ref();
        }
    }

    fn become_tunnel(&self, request: u64, tunnel: TunnelFuture) {
        if request == self.current() {
            *lock(&self.tunnel) = Some(tunnel);
        }
    }
}

impl std::fmt::Debug for ConnectionState {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Link")
            .field("watchdog", &self.watchdog)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::watchdog::ClientTimeouts;
    use super::*;
    use tero_semantics::timestamp::Timestamp;
    use tero_time::clock::Clock;

    fn link() -> ConnectionState {
        let timeouts = ClientTimeouts {
            idle: Duration::from_secs(1),
            header: Duration::from_secs(1),
            write: Duration::from_secs(1),
        };
        let clock = Clock::by_hand(Timestamp::from_unix_secs(0));
        ConnectionState::new(Watchdog::new(clock, timeouts), Waker::noop().clone())
    }

    #[test]
    fn interim_responses_are_for_the_request_that_is_being_answered() {
        let link = link();
        let first = link.current();
        link.send_interim(first, b"hints");
        assert_eq!(link.take_interim(), b"hints");
        link.answer_begins();
        link.send_interim(first, b"late");
        assert!(!link.has_interim());
        link.send_interim(link.current(), b"next");
        assert_eq!(link.take_interim(), b"next");
    }

    #[test]
    fn no_more_than_the_bound_waits_for_a_client() {
        let link = link();
        let piece = [b'a'; MAX_OUTBOX / 4];
        for _ in 0..6 {
            link.send_interim(0, &piece);
        }
        assert_eq!(link.take_interim().len(), MAX_OUTBOX);
        link.send_interim(0, &[b'a'; MAX_OUTBOX + 1]);
        assert!(!link.has_interim());
    }

    #[test]
    fn what_has_no_place_in_front_of_the_answer_any_more_is_left_out() {
        let link = link();
        link.watchdog.write_blocked();
        link.send_interim(0, b"hints");
        link.answer_begins();
        assert!(!link.has_interim());
    }
}
