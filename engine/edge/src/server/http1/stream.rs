//! The bytes of a client connection, between the socket and hyper.
//!
//! - A malformed request is refused before hyper sees it (`wire`). If hyper refuses a request by
//!   itself, the client gets the edge's response instead of hyper's, which has no `Cache-Status`
//!   (RFC 9211).
//! - hyper gets the bytes of a request only when every response before it was sent. So a write
//!   while a head is being received is a refusal, and interim responses (RFC 9110 §15.2) go out in
//!   front of their response.
//! - Ready-made field lines are added to the end of the head that hyper writes. The rest of that
//!   head is for hyper to decide: the length of the content, and whether the connection ends.
//! - The watchdog learns what the connection is doing.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::{StatusCode, Version};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::client_socket::ClientSocket;
use super::super::proxy_header;
use super::connection_state::ConnectionState;
use super::gather;
use crate::request::client::ClientConnection as _;
use crate::request::{self, Edge};
use tero_wire::{Fault, Requests, ScanResult};

/// No HTTP parser accepts this as a part of a head: it makes hyper refuse the request.
const NO_HEAD: &[u8] = b"\0\r\n\r\n";

/// The stream of a client connection.
#[derive(Debug)]
pub(super) struct ClientStream {
    stream: ClientSocket,
    client: Option<IpAddr>,
    state: Arc<ConnectionState>,
    edge: Arc<Edge>,
    requests: Requests,
    /// All bytes of the request under way were read.
    is_complete: bool,
    /// Bytes of the requests after it.
    held: BytesMut,
    /// The edge's own bytes, which go out before hyper's.
    outgoing: BytesMut,
    /// Field lines for the head that hyper writes next.
    lines: Option<Arc<[u8]>>,
    /// The fault of a malformed request.
    fault: Option<Fault>,
    /// The refusal was made.
    is_refused: bool,
}

impl ClientStream {
    /// The stream of a connection from which `first` was read already.
    pub(super) fn new(
        stream: ClientSocket,
        first: Bytes,
        client: Option<IpAddr>,
        state: Arc<ConnectionState>,
        edge: Arc<Edge>,
    ) -> ClientStream {
        ClientStream {
            stream,
            client,
            state,
            edge,
            requests: Requests::default(),
            is_complete: true,
            held: BytesMut::from(&first[..]),
            outgoing: BytesMut::new(),
            lines: None,
            fault: None,
            is_refused: false,
        }
    }

    /// Reads held bytes, then from the socket.
    fn poll_source(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.held.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let length = self.held.len().min(buffer.remaining());
        buffer.put_slice(&self.held[..length]);
        self.held.advance(length);
        Poll::Ready(Ok(()))
    }

    /// Reads only the end of the connection: other bytes are held until the response under way was
    /// sent.
    fn poll_end(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.held.is_empty() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
            if buffer.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
            self.held.extend_from_slice(&buffer.filled()[before..]);
            buffer.set_filled(before);
        }
        self.state.put_off_read();
        Poll::Pending
    }

    /// Checks the bytes of `buffer` from `before` on, and leaves those of one request there.
    fn check(&mut self, buffer: &mut ReadBuf<'_>, before: usize) -> io::Result<()> {
        let was_in_body = self.requests.is_in_body();
        let read = &buffer.filled()[before..];
        match self.requests.take(read) {
            Ok(ScanResult {
                bytes,
                ended,
                lines,
            }) => {
                self.is_complete = ended;
                self.state.glanced_at(lines);
                if bytes < read.len() {
                    self.hold(before + bytes, buffer);
                }
                Ok(())
            }
            Err(fault) => {
                self.fault = Some(fault);
                buffer.set_filled(before);
                if was_in_body {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, fault));
                }
                let length = NO_HEAD.len().min(buffer.remaining());
                buffer.put_slice(&NO_HEAD[..length]);
                Ok(())
            }
        }
    }

    /// Holds the bytes of `buffer` from `at` on.
    #[cold]
    fn hold(&mut self, at: usize, buffer: &mut ReadBuf<'_>) {
        let mut held = BytesMut::from(&buffer.filled()[at..]);
        held.extend_from_slice(&self.held);
        self.held = held;
        buffer.set_filled(at);
    }

    /// Tells the watchdog whether a write was blocked.
    fn note_write(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let unsent = || self.stream.unsent();
        let bytes = match &written {
            Poll::Pending => {
                self.state.watchdog.write_blocked(unsent);
                return written;
            }
            Poll::Ready(Ok(bytes)) => *bytes,
            Poll::Ready(Err(_)) => 0,
        };
        if self.state.watchdog.write_done(bytes, unsent) {
            self.state.read_again();
        }
        written
    }

    /// Flushes a socket that holds bytes back. While the client doesn't take them, it is as if they
    /// were still being written.
    fn poll_flush_held(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        let as_written = match &flushed {
            Poll::Pending => Poll::Pending,
            Poll::Ready(_) => Poll::Ready(Ok(0)),
        };
        let _ = self.note_write(as_written);
        if flushed.is_ready() && self.state.is_recording() {
            self.state.all_sent();
        }
        flushed
    }

    /// Records how many of the `offered` bytes have not left.
    fn note_unsent(&self, offered: usize, written: &Poll<io::Result<usize>>) {
        if self.state.is_recording() {
            let written = match written {
                Poll::Ready(Ok(written)) => *written,
                _ => 0,
            };
            let unsent = offered.saturating_sub(written) + self.outgoing.len();
            self.state.set_unsent(unsent);
        }
    }

    /// Makes hyper refuse a request whose head did not arrive in time.
    #[cold]
    fn end_head(&self, buffer: &mut ReadBuf<'_>) {
        let length = NO_HEAD.len().min(buffer.remaining());
        buffer.put_slice(&NO_HEAD[..length]);
    }

    /// Whether hyper's next write is a head that gets field lines.
    fn has_lines(&mut self) -> bool {
        if let Some(lines) = self.state.take_lines() {
            self.lines = Some(lines);
        }
        self.lines.is_some()
    }

    /// Whether bytes of the edge go out first. Never in the middle of a write of hyper's.
    fn has_interim(&self) -> bool {
        !self.outgoing.is_empty() || (self.state.has_interim() && !self.state.watchdog.is_blocked())
    }

    /// Writes the bytes that go out before hyper's.
    #[cold]
    fn poll_interim(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.state.has_interim() {
            self.outgoing.extend_from_slice(&self.state.take_interim());
        }
        while !self.outgoing.is_empty() {
            let written = Pin::new(&mut self.stream).poll_write(context, &self.outgoing);
            match ready!(self.note_write(written))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.outgoing.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes `bytes`, which begin with a head, with its field lines. Returns how many of `bytes`
    /// were written.
    fn poll_write_with_lines(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Some(lines) = self.lines.take() else {
            return Poll::Ready(Ok(0));
        };
        let written =
            gather::write_with_lines(&mut self.stream, context, bytes, &lines, &mut self.outgoing);
        let written = self.note_write(written);
        if !matches!(written, Poll::Ready(Ok(1..))) {
            self.lines = Some(lines);
        }
        written
    }

    /// Logs that a client takes the port for one of HTTPS.
    fn tell_of_tls(&self) {
        let message = "a client speaks TLS to a port without";
        let Edge {
            clock, counters, ..
        } = &*self.edge;
        if let Some(left_out) = counters.repeats.due(message, "", clock.now()) {
            tracing::warn!(client = ?self.client, left_out, "{message}");
        }
    }

    /// Writes the edge's refusal instead of hyper's, `automatic`.
    #[cold]
    fn poll_refuse(&mut self, context: &mut Context<'_>, automatic: &[u8]) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.is_refused, true) {
            let refused = match self.fault {
                Some(fault) => {
                    if fault == Fault::Tls {
                        self.tell_of_tls();
                    }
                    request::refuse(&self.edge, fault)
                }
                None if self.state.is_late() => {
                    request::refuse_as(&self.edge, StatusCode::REQUEST_TIMEOUT)
                }
                None => request::refuse_as(&self.edge, status_of(automatic)),
            };
            let transport = self.state.transport();
            if self.fault == Some(Fault::ProxyHeader) {
                proxy_header::tell_unexpected(&self.edge, transport.opened_by);
            }
            let version = Version::HTTP_11;
            request::record_unread(&self.edge, self.client, version, transport, &refused);
            self.outgoing
                .extend_from_slice(&request::head_as_bytes(refused.status(), refused.headers()));
        }
        self.poll_interim(context)
    }
}

/// The status in hyper's refusal.
fn status_of(automatic: &[u8]) -> StatusCode {
    automatic
        .get(9..12)
        .and_then(|code| StatusCode::from_bytes(code).ok())
        .unwrap_or(StatusCode::BAD_REQUEST)
}

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let watchdog = &this.state.watchdog;
        if this.state.is_unchecked() {
            return this.poll_source(context, buffer);
        }
        if this.fault.is_some() {
            return Poll::Ready(Ok(()));
        }
        if this.state.is_late() {
            this.end_head(buffer);
            return Poll::Ready(Ok(()));
        }
        let begins = this.is_complete;
        if begins && (!watchdog.is_idle() || watchdog.is_blocked()) {
            return this.poll_end(context, buffer);
        }
        let before = buffer.filled().len();
        ready!(this.poll_source(context, buffer))?;
        if buffer.filled().len() == before {
            return Poll::Ready(Ok(()));
        }
        if begins {
            this.state.watchdog.request_begun();
        }
        Poll::Ready(this.check(buffer, before))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.state.watchdog.is_in_head() {
            return this.poll_refuse(context, bytes).map_ok(|()| bytes.len());
        }
        if this.has_interim() {
            ready!(this.poll_interim(context))?;
        }
        let written = if this.has_lines() {
            this.poll_write_with_lines(context, &[io::IoSlice::new(bytes)])
        } else {
            let written = Pin::new(&mut this.stream).poll_write(context, bytes);
            this.note_write(written)
        };
        this.note_unsent(bytes.len(), &written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.state.watchdog.is_in_head() {
            let length = bytes.iter().map(|slice| slice.len()).sum();
            return this
                .poll_refuse(context, bytes.first().map_or(&[], |slice| slice))
                .map_ok(|()| length);
        }
        if this.has_interim() {
            ready!(this.poll_interim(context))?;
        }
        let written = if this.has_lines() {
            this.poll_write_with_lines(context, bytes)
        } else {
            let written = gather::write(&mut this.stream, context, bytes);
            this.note_write(written)
        };
        if this.state.is_recording() {
            this.note_unsent(bytes.iter().map(|slice| slice.len()).sum(), &written);
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.has_interim() {
            ready!(this.poll_interim(context))?;
        }
        if this.stream.holds_back() {
            return this.poll_flush_held(context);
        }
        if this.state.is_recording() {
            // hyper flushes when it has written all that it holds.
            this.state.all_sent();
        }
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
