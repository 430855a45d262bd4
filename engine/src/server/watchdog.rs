//! How long a client may take: between requests, for the head of one, and to accept bytes.
//!
//! The connection only notes what it is doing and since when, once each time it has run; one timer per connection looks at the notes
//! when the earliest deadline could have passed. So a request costs no timer.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::clock::Clock;
use crate::semantics::timestamp::Timestamp;

const IDLE: u8 = 0;
const HEADER: u8 = 1;
const ANSWERING: u8 = 2;
/// Up to so many bytes, copying the slices of a write together costs less than having the kernel gather them.
const SMALL_WRITE: usize = 2048;
/// The time of a write that is not blocked.
const NOT_BLOCKED: i64 = i64::MAX;

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
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
    patience: Patience,
    phase: AtomicU8,
    /// The phase has begun since the connection was run, and `since` is not its beginning yet.
    begun: AtomicBool,
    since: AtomicI64,
    blocked_since: AtomicI64,
}

impl Watchdog {
    pub(super) fn new(clock: Clock, patience: Patience) -> Arc<Watchdog> {
        let since = AtomicI64::new(clock.now().unix_millis());
        Arc::new(Watchdog {
            clock,
            patience,
            phase: AtomicU8::new(IDLE),
            begun: AtomicBool::new(false),
            since,
            blocked_since: AtomicI64::new(NOT_BLOCKED),
        })
    }

    /// The head of a request is complete.
    pub(super) fn request_received(&self) {
        self.phase.store(ANSWERING, Ordering::Relaxed);
    }

    /// Its answer waits for nobody but the client.
    pub(super) fn request_answered(&self) {
        self.enter(IDLE);
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
                self.since.store(self.clock.now().unix_millis(), Ordering::Relaxed);
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
            // What begins while this waits may be due before what it waits for: so it looks again as soon as that could be.
            let look_again = self.clock.now().saturating_add(self.patience.header.min(self.patience.write));
            self.clock.sleep_until(deadline.min(look_again)).await;
        }
    }

    /// The earliest moment at which the client could have taken too long, as things stand.
    fn deadline(&self) -> Timestamp {
        let since = Timestamp::from_unix_millis(self.since.load(Ordering::Relaxed));
        let by_phase = match self.phase.load(Ordering::Relaxed) {
            IDLE => since.saturating_add(self.patience.idle),
            HEADER => since.saturating_add(self.patience.header),
            // Nothing but a write can keep the client from its due now; look again when one could have been blocked for too long.
            _ => self.clock.now().saturating_add(self.patience.write.min(self.patience.header)),
        };
        match self.blocked_since.load(Ordering::Relaxed) {
            NOT_BLOCKED => by_phase,
            blocked => by_phase.min(Timestamp::from_unix_millis(blocked).saturating_add(self.patience.write)),
        }
    }
}

/// A stream that keeps the watchdog informed.
#[derive(Debug)]
pub(super) struct Watched {
    stream: TcpStream,
    watchdog: Arc<Watchdog>,
}

impl Watched {
    pub(super) fn new(stream: TcpStream, watchdog: Arc<Watchdog>) -> Watched {
        Watched { stream, watchdog }
    }

    fn note_write<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let blocked_since = &self.watchdog.blocked_since;
        if written.is_ready() {
            blocked_since.store(NOT_BLOCKED, Ordering::Relaxed);
        } else if blocked_since.load(Ordering::Relaxed) == NOT_BLOCKED {
            blocked_since.store(self.watchdog.clock.now().unix_millis(), Ordering::Relaxed);
        }
        written
    }
}

/// Writes some small slices as one.
fn write_small(stream: Pin<&mut TcpStream>, context: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
    let mut buffer = [0; SMALL_WRITE];
    let mut length = 0;
    for slice in bytes {
        buffer[length..length + slice.len()].copy_from_slice(slice);
        length += slice.len();
    }
    stream.poll_write(context, &buffer[..length])
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() && buffer.filled().len() > before && self.watchdog.phase.load(Ordering::Relaxed) == IDLE {
            self.watchdog.enter(HEADER);
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note_write(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let total: usize = bytes.iter().map(|slice| slice.len()).sum();
        let stream = Pin::new(&mut self.stream);
        let written =
            if total <= SMALL_WRITE { write_small(stream, context, bytes) } else { stream.poll_write_vectored(context, bytes) };
        self.note_write(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
