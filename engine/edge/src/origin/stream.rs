//! The bytes of a connection to a next hop, between the socket and hyper. A response that could be
//! read in two ways ends the connection (`wire`).

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use http::Method;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::sending::SendingContent;
use super::socket::HopSocket;
use tero_wire::Responses;

const SENT: u8 = 1;
const HEAD_SENT: u8 = 2;
const ANSWERED: u8 = 3;

/// The progress of the latest request on a connection.
#[derive(Debug, Default)]
pub(super) struct RequestProgress {
    state: AtomicU8,
    /// Whether `sending` is set.
    has_content: AtomicBool,
    sending: Mutex<Option<Arc<SendingContent>>>,
}

impl RequestProgress {
    /// A request is about to be sent: the next bytes received are its response. What is sent of it
    /// is recorded in `sending`, if it has content.
    pub(super) fn request_sent(&self, method: &Method, sending: Option<&Arc<SendingContent>>) {
        self.state.store(
            if method == Method::HEAD {
                HEAD_SENT
            } else {
                SENT
            },
            Ordering::Relaxed,
        );
        let had_content = self.has_content.swap(sending.is_some(), Ordering::Relaxed);
        if had_content || sending.is_some() {
            *self.sending() = sending.cloned();
        }
    }

    /// Whether a byte of its response was received.
    pub(super) fn has_answer(&self) -> bool {
        self.state.load(Ordering::Relaxed) == ANSWERED
    }

    /// Bytes were sent.
    fn sent<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready()
            && self.has_content.load(Ordering::Relaxed)
            && let Some(sending) = &*self.sending()
        {
            sending.moved();
        }
        written
    }

    fn sending(&self) -> MutexGuard<'_, Option<Arc<SendingContent>>> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stream of a connection to a next hop.
#[derive(Debug)]
pub(super) struct NextHopStream {
    stream: HopSocket,
    progress: Arc<RequestProgress>,
    responses: Responses,
}

impl NextHopStream {
    pub(super) fn new(stream: HopSocket, progress: Arc<RequestProgress>) -> NextHopStream {
        NextHopStream {
            stream,
            progress,
            responses: Responses::default(),
        }
    }
}

impl AsyncRead for NextHopStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        let read = &buffer.filled()[before..];
        if read.is_empty() {
            return Poll::Ready(Ok(()));
        }
        match this.progress.state.swap(ANSWERED, Ordering::Relaxed) {
            SENT => this.responses.expect(),
            HEAD_SENT => this.responses.expect_bodiless(),
            _ => {}
        }
        let checked = this.responses.take(read);
        Poll::Ready(checked.map_err(|fault| {
            buffer.set_filled(before);
            io::Error::new(io::ErrorKind::InvalidData, fault)
        }))
    }
}

impl AsyncWrite for NextHopStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.progress.sent(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, bytes);
        this.progress.sent(written)
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
