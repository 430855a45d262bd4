//! The state that the two sides of a client connection share: the stream that hyper reads and
//! writes, and the requests on it.
//!
//! A connection never leaves the thread of its worker. So the interim responses of a request are
//! here before its response is made.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use http::{HeaderMap, StatusCode};

use super::watchdog::Watchdog;
use crate::request::client::{ClientConnection, ClientTransport, ClientTunnel, TunnelFuture};
use crate::request::head_as_bytes;
use crate::request::open_record::OpenRecord;

/// Bytes of interim responses that may wait for the client. Further ones are dropped, as interim
/// responses may be.
const MAX_INTERIM: usize = 64 * 1024;

/// The state of a client connection.
pub(super) struct ConnectionState {
    pub(super) watchdog: Watchdog,
    /// What is below HTTP.
    transport: ClientTransport,
    /// The task of the connection.
    waker: Waker,
    /// The number of responses that have begun.
    answered: AtomicU64,
    /// A read waits until the response under way was sent.
    read_waits: AtomicBool,
    /// The connection ends with the next response that begins.
    ends_with_next: AtomicBool,
    /// Bytes received from now on are passed on as they are.
    unchecked: AtomicBool,
    /// The lines of the head under way, if it was only glanced at; otherwise 0.
    glanced_lines: AtomicUsize,
    has_interim: AtomicBool,
    interim: Mutex<Vec<u8>>,
    has_lines: AtomicBool,
    lines: Mutex<Option<Arc<[u8]>>>,
    tunnel: Mutex<Option<ClientTunnel>>,
    /// The head of a request did not arrive in time.
    is_late: AtomicBool,
    /// The answer under way is being recorded.
    is_recording: AtomicBool,
    /// Bytes of the answer under way that were taken and have not left. Counted only while it is
    /// being recorded.
    unsent: AtomicU64,
    /// The record of an answer of which everything was taken.
    taken: Mutex<Option<Box<OpenRecord>>>,
    /// Bytes that the tunnel has sent to the client.
    tunnel_sent: Mutex<Option<Arc<AtomicU64>>>,
}

impl ConnectionState {
    pub(super) fn new(
        watchdog: Watchdog,
        waker: Waker,
        transport: ClientTransport,
    ) -> ConnectionState {
        ConnectionState {
            watchdog,
            transport,
            waker,
            answered: AtomicU64::new(0),
            read_waits: AtomicBool::new(false),
            ends_with_next: AtomicBool::new(false),
            unchecked: AtomicBool::new(false),
            glanced_lines: AtomicUsize::new(0),
            has_interim: AtomicBool::new(false),
            interim: Mutex::default(),
            has_lines: AtomicBool::new(false),
            lines: Mutex::default(),
            tunnel: Mutex::default(),
            is_late: AtomicBool::new(false),
            is_recording: AtomicBool::new(false),
            unsent: AtomicU64::new(0),
            taken: Mutex::default(),
            tunnel_sent: Mutex::default(),
        }
    }

    /// Records that the response to the request under way is about to be written.
    pub(super) fn response_begins(&self) {
        self.answered
            .store(self.answered.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        if self.has_interim() && self.watchdog.is_blocked() {
            // hyper is in the middle of a write, which the response continues: nothing can go
            // before it any more.
            drop(self.take_interim());
        }
    }

    /// Ends the connection with the next response that begins.
    pub(super) fn end_with_next(&self) {
        self.ends_with_next.store(true, Ordering::Relaxed);
    }

    /// Whether [`ConnectionState::end_with_next`] was called.
    pub(super) fn ends_with_next(&self) -> bool {
        self.ends_with_next.load(Ordering::Relaxed)
    }

    /// Whether no request has begun to come.
    pub(super) fn has_asked_nothing(&self) -> bool {
        self.answered.load(Ordering::Relaxed) == 0 && self.watchdog.is_idle()
    }

    /// Records that all of the response is at hand: it waits for the client only.
    pub(super) fn response_complete(&self) {
        self.watchdog.request_answered();
        self.read_again();
    }

    /// Tries a read again that was put off.
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

    /// Records the head of a request: its number of lines if it was only glanced at, otherwise 0.
    pub(super) fn glanced_at(&self, lines: usize) {
        self.glanced_lines.store(lines, Ordering::Relaxed);
    }

    /// The lines of [`ConnectionState::glanced_at`].
    pub(super) fn glanced_lines(&self) -> usize {
        self.glanced_lines.load(Ordering::Relaxed)
    }

    /// Records that no more requests follow: only content up to the end of the connection, or
    /// another protocol.
    pub(super) fn stop_checking(&self) {
        self.unchecked.store(true, Ordering::Relaxed);
    }

    /// Whether [`ConnectionState::stop_checking`] was called.
    pub(super) fn is_unchecked(&self) -> bool {
        self.unchecked.load(Ordering::Relaxed)
    }

    /// Whether interim responses wait to be sent, ahead of hyper's next write.
    pub(super) fn has_interim(&self) -> bool {
        self.has_interim.load(Ordering::Relaxed)
    }

    /// Takes the interim responses.
    pub(super) fn take_interim(&self) -> Vec<u8> {
        self.has_interim.store(false, Ordering::Relaxed);
        std::mem::take(&mut *lock(&self.interim))
    }

    /// Sets field lines for the end of the next head that hyper writes.
    pub(super) fn put_lines(&self, lines: Arc<[u8]>) {
        *lock(&self.lines) = Some(lines);
        self.has_lines.store(true, Ordering::Relaxed);
    }

    /// Takes the field lines.
    pub(super) fn take_lines(&self) -> Option<Arc<[u8]>> {
        if !self.has_lines.load(Ordering::Relaxed) {
            return None;
        }
        self.has_lines.store(false, Ordering::Relaxed);
        lock(&self.lines).take()
    }

    /// Takes the traffic of the tunnel that the connection has become, if any. Its bytes count to
    /// the answer that opened it.
    pub(super) fn take_tunnel(&self) -> Option<TunnelFuture> {
        let tunnel = lock(&self.tunnel).take()?;
        *lock(&self.tunnel_sent) = Some(tunnel.sent);
        Some(tunnel.traffic)
    }

    /// Records that the head of a request did not arrive in time.
    pub(super) fn head_is_late(&self) {
        self.is_late.store(true, Ordering::Relaxed);
    }

    /// Whether [`ConnectionState::head_is_late`] was called.
    pub(super) fn is_late(&self) -> bool {
        self.is_late.load(Ordering::Relaxed)
    }

    /// Begins to count what has left of the answer that is about to be written.
    pub(super) fn begin_record(&self) {
        self.close_record();
        self.unsent.store(0, Ordering::Relaxed);
        self.is_recording.store(true, Ordering::Relaxed);
    }

    /// Whether the answer under way is being recorded.
    pub(super) fn is_recording(&self) -> bool {
        self.is_recording.load(Ordering::Relaxed)
    }

    /// Records that hyper takes a piece of content.
    pub(super) fn take_piece(&self, record: &mut OpenRecord, bytes: u64) {
        let unsent = self.unsent.load(Ordering::Relaxed);
        record.take(bytes, unsent);
        self.unsent.store(unsent + bytes, Ordering::Relaxed);
    }

    /// Records that hyper has taken all of the content, or has given it up.
    pub(super) fn content_taken(&self, record: Box<OpenRecord>) {
        *lock(&self.taken) = Some(record);
    }

    /// Records that so many of the bytes that were taken have not left.
    #[cold]
    pub(super) fn set_unsent(&self, bytes: usize) {
        self.unsent.store(bytes as u64, Ordering::Relaxed);
    }

    /// Records that all bytes that were taken have left. If that was all of the answer, it is
    /// recorded as sent; but not where a tunnel follows.
    #[cold]
    pub(super) fn all_sent(&self) {
        self.set_unsent(0);
        if !self.is_unchecked() {
            self.close_record();
        }
    }

    /// Completes the record of an answer of which nothing more is sent.
    #[cold]
    pub(super) fn close_record(&self) {
        let Some(mut record) = lock(&self.taken).take() else {
            return;
        };
        self.is_recording.store(false, Ordering::Relaxed);
        if let Some(sent) = lock(&self.tunnel_sent).take() {
            record.tunneled(sent.load(Ordering::Relaxed));
        }
        record.close(self.unsent.load(Ordering::Relaxed));
    }
}

impl ClientConnection for ConnectionState {
    fn transport(&self) -> &ClientTransport {
        &self.transport
    }

    fn current(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    fn send_interim(&self, request: u64, status: StatusCode, fields: &HeaderMap) {
        let head = head_as_bytes(status, fields);
        let mut interim = lock(&self.interim);
        if request == self.current() && interim.len() + head.len() <= MAX_INTERIM {
            interim.extend_from_slice(&head);
            self.has_interim.store(true, Ordering::Relaxed);
            self.waker.wake_by_ref();
        }
    }

    fn become_tunnel(&self, request: u64, tunnel: ClientTunnel) {
        if request == self.current() {
            *lock(&self.tunnel) = Some(tunnel);
        }
    }
}

impl std::fmt::Debug for ConnectionState {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ConnectionState")
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

    use http::HeaderValue;
    use http::header::LINK;

    use super::super::watchdog::ClientTimeouts;
    use super::*;
    use tero_semantics::timestamp::Timestamp;
    use tero_time::clock::Clock;

    fn state() -> ConnectionState {
        let timeouts = ClientTimeouts {
            idle: Duration::from_secs(1),
            header: Duration::from_secs(1),
            write: Duration::from_secs(1),
            min_rate: 0,
        };
        let clock = Clock::by_hand(Timestamp::from_unix_secs(0));
        let watchdog = Watchdog::new(clock, timeouts);
        ConnectionState::new(watchdog, Waker::noop().clone(), ClientTransport::default())
    }

    /// A head of an interim response with a value of that many bytes.
    fn send(state: &ConnectionState, request: u64, bytes: usize) -> usize {
        let value = HeaderValue::try_from("a".repeat(bytes)).unwrap();
        let fields = HeaderMap::from_iter([(LINK, value)]);
        state.send_interim(request, StatusCode::EARLY_HINTS, &fields);
        head_as_bytes(StatusCode::EARLY_HINTS, &fields).len()
    }

    #[test]
    fn interim_responses_belong_to_the_request_being_answered() {
        let state = state();
        let first = state.current();
        let length = send(&state, first, 5);
        assert_eq!(state.take_interim().len(), length);
        state.response_begins();
        send(&state, first, 4);
        assert!(!state.has_interim());
        let length = send(&state, state.current(), 6);
        assert_eq!(state.take_interim().len(), length);
    }

    #[test]
    fn interim_responses_beyond_the_bound_are_dropped() {
        let state = state();
        let length = (0..6)
            .map(|_| send(&state, 0, MAX_INTERIM / 4))
            .max()
            .unwrap();
        assert_eq!(state.take_interim().len(), 3 * length);
        send(&state, 0, MAX_INTERIM);
        assert!(!state.has_interim());
    }

    #[test]
    fn interim_responses_are_dropped_in_the_middle_of_a_write() {
        let state = state();
        state.watchdog.write_blocked(|| None);
        send(&state, 0, 5);
        state.response_begins();
        assert!(!state.has_interim());
    }
}
