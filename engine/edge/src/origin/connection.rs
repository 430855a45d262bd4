//! One connection to a next hop.

use std::io;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::sending::SendingContent;
use super::stream::{NextHopStream, RequestProgress};
use super::{OriginSettings, RequestBody};

/// An open connection.
#[derive(Debug)]
pub(super) struct NextHopConnection {
    sender: http1::SendRequest<RequestBody>,
    progress: Arc<RequestProgress>,
}

/// The result of sending a request.
#[derive(Debug)]
pub(super) enum SendResult {
    /// The head of the response.
    Answered(Response<Incoming>),
    /// The connection had ended already. Nothing was sent.
    Unsent(Request<RequestBody>, hyper::Error),
    /// The connection ended before the head of the response was complete.
    Broken {
        /// What went wrong.
        source: hyper::Error,
        /// It was closed before the first byte of a response.
        was_silent: bool,
    },
}

impl NextHopConnection {
    /// Whether it can send a request now: the last response was read.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Whether it has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends a request, whose content is recorded in `sending`, and waits for the head of its
    /// response.
    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
        sending: Option<&Arc<SendingContent>>,
    ) -> SendResult {
        if let Err(source) = self.sender.ready().await {
            return SendResult::Unsent(request, source);
        }
        self.progress.request_sent(request.method(), sending);
        match self.sender.try_send_request(request).await {
            Ok(response) => SendResult::Answered(response),
            Err(mut failure) => match failure.take_message() {
                Some(request) => SendResult::Unsent(request, failure.into_error()),
                None => {
                    let source = failure.into_error();
                    let was_closed = source.is_incomplete_message() || source.is_canceled();
                    SendResult::Broken {
                        source,
                        was_silent: was_closed && !self.progress.has_answer(),
                    }
                }
            },
        }
    }
}

/// Opens a connection, which runs on this thread.
///
/// # Errors
/// If the system can't connect.
pub(super) async fn open(
    host: &str,
    port: u16,
    settings: &OriginSettings,
) -> io::Result<NextHopConnection> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    let progress = Arc::new(RequestProgress::default());
    let handshake = http1::Builder::new()
        .max_buf_size(settings.max_header_bytes.max(8192))
        .max_headers(settings.max_headers)
        .handshake(TokioIo::new(NextHopStream::new(
            stream,
            Arc::clone(&progress),
        )))
        .await;
    let (sender, connection) = handshake.map_err(io::Error::other)?;
    // The task that waits for the response gets the connection's errors.
    tokio::spawn(async move { drop(connection.with_upgrades().await) });
    Ok(NextHopConnection { sender, progress })
}
