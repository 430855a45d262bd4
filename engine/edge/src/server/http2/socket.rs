//! The bytes of a connection, between the socket and the protocol.
//!
//! - The frames of both sides are seen on their way, and bounded by [`FrameBudget`].
//! - What the protocol writes is kept until the end of a poll of the connection, and leaves in large
//!   pieces: the protocol flushes after each response, which would cost a system call and a record
//!   of TLS for each.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::client_socket::ClientSocket;
use super::frame_budget::{FrameBudget, FrameLimits};
use crate::telemetry::connection_faults::ConnectionFault;
use tero_semantics::timestamp::Timestamp;
use tero_wire::{FrameHead, FrameKind, Frames};

/// Bytes that are kept before they are written.
const KEPT: usize = 64 * 1024;

/// The error of a stream or a connection that breaks a rule of the protocol (RFC 9113 §7).
const PROTOCOL_ERROR: u32 = 1;
/// A head of a response that is this short, in bytes, has a status alone.
const BARE_HEAD: u32 = 8;

thread_local! {
    /// The spare buffer of a worker: idle connections hold none.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The socket of a connection, which the protocol and the connection share.
#[derive(Clone, Debug)]
pub(super) struct SharedSocket(Arc<Mutex<FrameSocket>>);

/// A socket that sees the frames on it.
#[derive(Debug)]
pub(super) struct FrameSocket {
    socket: ClientSocket,
    /// Bytes that were read before, and come first.
    first: Bytes,
    received: Frames,
    sent: Frames,
    budget: FrameBudget,
    /// When the poll under way began.
    now: Timestamp,
    /// Bytes that have not left, from `gone` on.
    kept: Vec<u8>,
    gone: usize,
    /// Bytes of content that were written into `kept`.
    content: u64,
    /// Streams whose trailers have not been written yet. Their head is not one of the protocol's
    /// own.
    trailers: Vec<u32>,
    refused: RefusedHeads,
    has_ended: bool,
}

/// Requests that the protocol refused by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RefusedHeads {
    /// Malformed ones, by stream. Their stream was reset.
    pub(super) malformed: Vec<u32>,
    /// Those with a header that is too long, which were answered with a 431.
    pub(super) too_long: u64,
}

impl SharedSocket {
    /// The socket of a connection from which `first` was read already.
    pub(super) fn new(
        socket: ClientSocket,
        first: Bytes,
        limits: FrameLimits,
        now: Timestamp,
    ) -> SharedSocket {
        SharedSocket(Arc::new(Mutex::new(FrameSocket {
            socket,
            first,
            received: Frames::of_client(),
            sent: Frames::of_server(),
            budget: FrameBudget::new(limits, now),
            now,
            kept: Vec::new(),
            gone: 0,
            content: 0,
            trailers: Vec::new(),
            refused: RefusedHeads::default(),
            has_ended: false,
        })))
    }

    /// The socket, for a moment.
    pub(super) fn lock(&self) -> MutexGuard<'_, FrameSocket> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FrameSocket {
    /// Records when a poll of the connection begins.
    pub(super) fn begin_poll(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// Why the connection has to end, if it has.
    pub(super) fn fault(&self) -> Option<ConnectionFault> {
        self.budget.fault()
    }

    /// Whether the preface or a header block has begun and is not complete.
    pub(super) fn is_in_head(&self) -> bool {
        self.received.is_in_preface() || self.received.is_in_block()
    }

    /// Whether bytes wait for the client.
    pub(super) fn is_blocked(&self) -> bool {
        !self.kept.is_empty() || self.socket.has_held()
    }

    /// Bytes of content that the client has acknowledged, or at most the system's own buffer less.
    pub(super) fn accepted(&self) -> u64 {
        let unsent = (self.kept.len() - self.gone) as u64 + self.socket.unsent().unwrap_or(0);
        self.content.saturating_sub(unsent)
    }

    /// Records that trailers of a stream are about to be written.
    pub(super) fn expect_trailers(&mut self, stream: u32) {
        self.trailers.push(stream);
    }

    /// Takes what the protocol refused by itself.
    pub(super) fn take_refused(&mut self) -> Option<RefusedHeads> {
        if self.refused == RefusedHeads::default() {
            return None;
        }
        Some(std::mem::take(&mut self.refused))
    }

    /// Writes what was kept. Ready when nothing is left.
    pub(super) fn poll_write_kept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.kept.is_empty() {
            // What TLS has taken may still be there.
            return match self.socket.has_held() {
                true => Pin::new(&mut self.socket).poll_flush(context),
                false => Poll::Ready(Ok(())),
            };
        }
        while self.gone < self.kept.len() {
            let bytes = &self.kept[self.gone..];
            match ready!(Pin::new(&mut self.socket).poll_write(context, bytes))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.gone += written,
            }
        }
        self.give_buffer_back();
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn take_buffer(&mut self) {
        if self.kept.capacity() == 0 {
            self.kept = SPARE.take();
            self.kept.reserve_exact(KEPT);
        }
    }

    fn give_buffer_back(&mut self) {
        self.gone = 0;
        self.kept.clear();
        SPARE.set(std::mem::take(&mut self.kept));
    }

    /// Sees a piece that was read.
    fn see_received(&mut self, piece: &[u8]) {
        let (budget, trailers, now) = (&mut self.budget, &mut self.trailers, self.now);
        self.received.take(piece, |frame| {
            budget.received(frame, now);
            if frame.kind == FrameKind::Reset {
                trailers.retain(|stream| *stream != frame.stream);
            }
        });
    }

    /// Keeps a piece that the protocol writes, as far as there is room.
    fn keep(&mut self, piece: &[u8]) -> usize {
        let room = KEPT.saturating_sub(self.kept.len());
        let piece = &piece[..piece.len().min(room)];
        self.kept.extend_from_slice(piece);
        let FrameSocket {
            sent,
            budget,
            content,
            trailers,
            refused,
            ..
        } = self;
        sent.take(piece, |frame| {
            if frame.kind == FrameKind::Data {
                *content += u64::from(frame.data());
                budget.sent(frame.data());
            } else {
                see_sent(frame, trailers, refused);
            }
        });
        piece.len()
    }
}

/// Notes what the protocol says by itself.
fn see_sent(frame: &FrameHead, trailers: &mut Vec<u32>, refused: &mut RefusedHeads) {
    match frame.kind {
        FrameKind::Headers if frame.ends_stream() => {
            if let Some(at) = trailers.iter().position(|stream| *stream == frame.stream) {
                trailers.swap_remove(at);
            } else if frame.length <= BARE_HEAD {
                refused.too_long += 1;
            }
        }
        FrameKind::Reset => {
            trailers.retain(|stream| *stream != frame.stream);
            if frame.number() == PROTOCOL_ERROR {
                refused.malformed.push(frame.stream);
            }
        }
        _ => {}
    }
}

impl AsyncRead for SharedSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut this = self.lock();
        let this = &mut *this;
        if this.budget.fault().is_some() {
            // The connection is about to end it.
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        if this.first.is_empty() {
            ready!(Pin::new(&mut this.socket).poll_read(context, buffer))?;
        } else {
            let length = this.first.len().min(buffer.remaining());
            buffer.put_slice(&this.first[..length]);
            this.first.advance(length);
        }
        this.see_received(&buffer.filled()[before..]);
        if this.budget.fault().is_some() {
            buffer.set_filled(before);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SharedSocket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut this = self.lock();
        if this.kept.len() >= KEPT {
            ready!(this.poll_write_kept(context))?;
        }
        this.take_buffer();
        let mut written = 0;
        for slice in slices {
            let taken = this.keep(slice);
            written += taken;
            if taken < slice.len() {
                break;
            }
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The connection writes at the end of its poll.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut this = self.lock();
        ready!(this.poll_write_kept(context))?;
        if !this.has_ended {
            ready!(Pin::new(&mut this.socket).poll_shutdown(context))?;
            this.has_ended = true;
        }
        Poll::Ready(Ok(()))
    }
}
