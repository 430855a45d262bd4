//! The bytes below TLS: it counts what was written, and notices at the first byte that a client
//! speaks another protocol.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The first byte of a TLS handshake (RFC 8446 §5.1).
const HANDSHAKE_RECORD: u8 = 0x16;

/// The stream below TLS.
#[derive(Debug)]
pub(in crate::server) struct TlsTransport {
    stream: TcpStream,
    /// Bytes that were written to the stream.
    written: u64,
    /// The first byte that came.
    first: Option<u8>,
}

impl TlsTransport {
    pub(super) fn new(stream: TcpStream) -> TlsTransport {
        TlsTransport {
            stream,
            written: 0,
            first: None,
        }
    }

    /// The stream itself.
    pub(in crate::server) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// The stream, for what comes in the clear.
    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Bytes that were written to the stream.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Whether what came begins like a request in the clear: with a method (RFC 9112 §3).
    pub(super) fn is_in_the_clear(&self) -> bool {
        self.first.is_some_and(|first| first.is_ascii_uppercase())
    }

    fn count(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = written {
            self.written += bytes as u64;
        }
        written
    }
}

impl AsyncRead for TlsTransport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.first.is_some() {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        this.first = buffer.filled().get(before).copied();
        match this.first {
            // rustls must not see it: its alert would go out before a readable answer.
            Some(first) if first != HANDSHAKE_RECORD => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "not TLS")))
            }
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for TlsTransport {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.count(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.count(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
