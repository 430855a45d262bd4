//! The bytes of a tunnel on a stream (RFC 8441 §5): what `DATA` frames carry in either direction.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::{RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that one write takes, at most.
const PIECE: usize = 16 * 1024;

/// The client's side of a tunnel.
pub(super) struct TunnelIo {
    received: RecvStream,
    sent: SendStream<Bytes>,
    /// Bytes that were received and not read.
    piece: Bytes,
    has_ended: bool,
}

impl TunnelIo {
    pub(super) fn new(received: RecvStream, sent: SendStream<Bytes>) -> TunnelIo {
        TunnelIo {
            received,
            sent,
            piece: Bytes::new(),
            has_ended: false,
        }
    }
}

impl AsyncRead for TunnelIo {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.piece.is_empty() && !this.has_ended {
            match ready!(this.received.poll_data(context)) {
                Some(piece) => this.piece = piece.map_err(io::Error::other)?,
                None => this.has_ended = true,
            }
        }
        let length = this.piece.len().min(buffer.remaining());
        buffer.put_slice(&this.piece[..length]);
        this.piece.advance(length);
        if length > 0 {
            // It fails only if the stream has ended.
            let _ = this.received.flow_control().release_capacity(length);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TunnelIo {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let wanted = bytes.len().min(PIECE);
        this.sent.reserve_capacity(wanted);
        let mut room = this.sent.capacity();
        while room == 0 {
            room = match ready!(this.sent.poll_capacity(context)) {
                Some(room) => room.map_err(io::Error::other)?,
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            };
        }
        let length = wanted.min(room);
        let piece = Bytes::copy_from_slice(&bytes[..length]);
        this.sent
            .send_data(piece, false)
            .map_err(io::Error::other)?;
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = self.get_mut().sent.send_data(Bytes::new(), true);
        Poll::Ready(ended.map_err(io::Error::other))
    }
}
