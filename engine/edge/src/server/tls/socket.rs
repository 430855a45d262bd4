//! A connection after its TLS handshake.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::transport::TlsTransport;

/// A connection after its TLS handshake.
#[derive(Debug)]
pub(in crate::server) struct TlsSocket {
    stream: TlsStream<TlsTransport>,
    /// Bytes that were taken for writing, before TLS made records of them.
    taken: u64,
    /// `taken`, and the bytes that were written below TLS, when TLS last held none back.
    mark: (u64, u64),
}

impl TlsSocket {
    pub(super) fn new(stream: TlsStream<TlsTransport>) -> TlsSocket {
        let written = stream.get_ref().0.written();
        TlsSocket {
            stream,
            taken: 0,
            mark: (0, written),
        }
    }

    /// The TCP connection.
    pub(in crate::server) fn tcp(&self) -> &TcpStream {
        self.stream.get_ref().0.stream()
    }

    /// Whether TLS holds bytes back.
    pub(in crate::server) fn has_held(&self) -> bool {
        self.stream.get_ref().1.wants_write()
    }

    /// The bytes that were taken and that TLS holds back, or somewhat fewer: rustls doesn't tell, but
    /// what went into it and what came out is known.
    pub(in crate::server) fn held(&self) -> u64 {
        if !self.has_held() {
            return 0;
        }
        let (taken, written) = self.mark;
        let gone = self.stream.get_ref().0.written() - written;
        (self.taken - taken).saturating_sub(gone)
    }

    fn take(&mut self, taken: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = taken {
            self.taken += bytes as u64;
        }
        self.note_empty();
        taken
    }

    fn note_empty(&mut self) {
        if !self.has_held() {
            self.mark = (self.taken, self.stream.get_ref().0.written());
        }
    }
}

impl AsyncRead for TlsSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for TlsSocket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let taken = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.take(taken)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let taken = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.take(taken)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(context);
        this.note_empty();
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
