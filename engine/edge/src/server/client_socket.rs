//! The socket of a client connection, whatever it speaks below HTTP.

mod unsent;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::tls::TlsSocket;

/// The socket of a client connection.
#[derive(Debug)]
pub(super) enum ClientSocket {
    /// TCP, in the clear.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// TLS on TCP. It is large, and most of it is not looked at for a request in the clear.
    Tls(Box<TlsSocket>),
}

impl ClientSocket {
    /// Sends what is written at once: responses are written whole, and waiting for more would only
    /// delay them.
    pub(super) fn send_at_once(&self) {
        match self {
            ClientSocket::Tcp(stream) => {
                let _ = stream.set_nodelay(true);
            }
            ClientSocket::Unix(_) => {}
            ClientSocket::Tls(socket) => {
                let _ = socket.tcp().set_nodelay(true);
            }
        }
    }

    /// Whether bytes that were written may wait to be flushed, though none are written any more.
    #[inline]
    pub(super) fn holds_back(&self) -> bool {
        matches!(self, ClientSocket::Tls(_))
    }

    /// Whether bytes that were written wait to be flushed.
    pub(super) fn has_held(&self) -> bool {
        match self {
            ClientSocket::Tls(socket) => socket.has_held(),
            ClientSocket::Tcp(_) | ClientSocket::Unix(_) => false,
        }
    }

    /// The bytes that were written and that the client has not acknowledged. `None` if the system
    /// can't tell.
    pub(super) fn unsent(&self) -> Option<u64> {
        match self {
            ClientSocket::Tcp(stream) => unsent::unsent(stream),
            ClientSocket::Unix(stream) => unsent::unsent(stream),
            ClientSocket::Tls(socket) => Some(socket.held() + unsent::unsent(socket.tcp())?),
        }
    }
}

impl AsyncRead for ClientSocket {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ClientSocket::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            ClientSocket::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
            ClientSocket::Tls(socket) => Pin::new(&mut **socket).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for ClientSocket {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            ClientSocket::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            ClientSocket::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
            ClientSocket::Tls(socket) => Pin::new(&mut **socket).poll_write(context, bytes),
        }
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            ClientSocket::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            ClientSocket::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            ClientSocket::Tls(socket) => {
                Pin::new(&mut **socket).poll_write_vectored(context, slices)
            }
        }
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        match self {
            ClientSocket::Tcp(stream) => stream.is_write_vectored(),
            ClientSocket::Unix(stream) => stream.is_write_vectored(),
            ClientSocket::Tls(socket) => socket.is_write_vectored(),
        }
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ClientSocket::Tcp(stream) => Pin::new(stream).poll_flush(context),
            ClientSocket::Unix(stream) => Pin::new(stream).poll_flush(context),
            ClientSocket::Tls(socket) => Pin::new(&mut **socket).poll_flush(context),
        }
    }

    #[inline]
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ClientSocket::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            ClientSocket::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            ClientSocket::Tls(socket) => Pin::new(&mut **socket).poll_shutdown(context),
        }
    }
}
