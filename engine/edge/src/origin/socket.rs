//! The socket of a connection to a next hop: TCP or Unix, with TLS or without.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

/// A socket without TLS.
#[derive(Debug)]
pub(super) enum PlainSocket {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
}

/// A socket to a next hop.
#[derive(Debug)]
pub(super) enum HopSocket {
    /// In the clear.
    Plain(PlainSocket),
    /// Within TLS. Boxed: its state takes some kilobytes.
    Tls(Box<TlsStream<PlainSocket>>),
}

impl PlainSocket {
    /// Connects to an address.
    ///
    /// # Errors
    /// If the system can't connect.
    pub(super) async fn tcp(address: SocketAddr) -> io::Result<PlainSocket> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(PlainSocket::Tcp(stream))
    }

    /// Connects to a Unix socket.
    ///
    /// # Errors
    /// If the system can't connect.
    pub(super) async fn unix(path: &Path) -> io::Result<PlainSocket> {
        UnixStream::connect(path).await.map(PlainSocket::Unix)
    }

    /// The address of the other side; `None` for a Unix socket.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        match self {
            PlainSocket::Tcp(stream) => stream.peer_addr().ok(),
            PlainSocket::Unix(_) => None,
        }
    }
}

/// Calls a method of the inner stream.
macro_rules! inner {
    ($socket:expr, $type:ident, $($variant:ident)|+ => $stream:ident, $call:expr) => {
        match $socket.get_mut() {
            $($type::$variant($stream) => $call,)+
        }
    };
}

impl AsyncRead for PlainSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        inner!(self, PlainSocket, Tcp | Unix => stream, Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for PlainSocket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        inner!(self, PlainSocket, Tcp | Unix => stream, Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        inner!(self, PlainSocket, Tcp | Unix => stream,
            Pin::new(stream).poll_write_vectored(context, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        inner!(self, PlainSocket, Tcp | Unix => stream, Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        inner!(self, PlainSocket, Tcp | Unix => stream, Pin::new(stream).poll_shutdown(context))
    }
}

impl AsyncRead for HopSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        inner!(self, HopSocket, Plain | Tls => stream, Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for HopSocket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        inner!(self, HopSocket, Plain | Tls => stream, Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        inner!(self, HopSocket, Plain | Tls => stream,
            Pin::new(stream).poll_write_vectored(context, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        inner!(self, HopSocket, Plain | Tls => stream, Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        inner!(self, HopSocket, Plain | Tls => stream, Pin::new(stream).poll_shutdown(context))
    }
}

impl HopSocket {
    /// The address of the other side; `None` for a Unix socket.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        match self {
            HopSocket::Plain(socket) => socket.peer(),
            HopSocket::Tls(stream) => stream.get_ref().0.peer(),
        }
    }
}
