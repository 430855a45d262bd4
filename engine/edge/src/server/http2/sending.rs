//! An answer on its way to the client: its head, its content at the pace of the client's windows, its
//! trailers.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::header::{CONNECTION, CONTENT_LENGTH, TE, TRANSFER_ENCODING, UPGRADE};
use http::response::Parts;
use http::{HeaderMap, HeaderName, Response, StatusCode};
use http_body::Body as _;

use super::super::event_stream::is_event_stream;
use super::socket::SharedSocket;
use crate::request::Edge;
use crate::request::body::EdgeBody;
use crate::request::open_record::OpenRecord;
use tero_semantics::forwarding;

/// Bytes that one stream claims of the connection's window at once.
const CLAIM: usize = 64 * 1024;

/// The content of an answer that is being sent.
#[derive(Debug)]
pub(super) struct AnswerSender {
    stream: SendStream<Bytes>,
    body: EdgeBody,
    /// What was taken of the body and not handed over.
    piece: Bytes,
    /// The body ends with `piece`.
    is_last: bool,
    record: SendingRecord,
    pub(super) is_event_stream: bool,
}

/// How far an answer has come.
#[derive(Debug)]
pub(super) enum SendProgress {
    /// All of it was handed over.
    Sent(SendingRecord),
    /// It ended early: the client has left, or the content broke off.
    Broken,
    /// The client's windows are closed.
    WaitsForClient,
    /// More content is to come.
    WaitsForContent,
}

/// An answer whose head was handed over.
#[derive(Debug)]
pub(super) enum BegunAnswer {
    /// It has no content.
    Sent(SendingRecord),
    /// Its content follows.
    Content(Box<AnswerSender>),
    /// The client has left.
    Broken,
}

/// What is left to record of an answer. Where it ends early, what was handed over since the
/// connection wrote all that it had counts as unsent.
#[derive(Debug, Default)]
pub(super) struct SendingRecord {
    record: Option<Box<OpenRecord>>,
    /// Bytes that were handed over and may not have left.
    unsent: u64,
    /// How often the connection had written all that it had.
    flushes: u64,
}

impl SendingRecord {
    pub(super) fn new(record: Option<Box<OpenRecord>>) -> SendingRecord {
        SendingRecord {
            record,
            ..SendingRecord::default()
        }
    }

    fn take(&mut self, bytes: usize, flushes: u64) {
        let Some(record) = &mut self.record else {
            return;
        };
        if self.flushes != flushes {
            (self.flushes, self.unsent) = (flushes, 0);
        }
        record.take(bytes as u64, self.unsent);
        self.unsent += bytes as u64;
    }

    /// Records bytes that left in a tunnel.
    pub(super) fn tunneled(&mut self, bytes: u64) {
        if let Some(record) = &mut self.record {
            record.tunneled(bytes);
        }
    }

    /// Whether there is anything left to record.
    pub(super) fn is_open(&self) -> bool {
        self.record.is_some()
    }

    /// Records that everything has left.
    pub(super) fn sent(mut self) {
        self.unsent = 0;
    }
}

impl Drop for SendingRecord {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            record.close(self.unsent);
        }
    }
}

/// Hands the head of an answer over. `is_to_head` says that the request was a HEAD.
pub(super) fn begin(
    edge: &Edge,
    respond: &mut SendResponse<Bytes>,
    response: Response<EdgeBody>,
    record: SendingRecord,
    is_to_head: bool,
) -> BegunAnswer {
    let (mut head, body) = response.into_parts();
    let may_have_length = !matches!(
        head.status,
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    );
    // The next hop's answer to a HEAD has no content, which says nothing of the length.
    let length = body
        .length()
        .filter(|length| may_have_length && (*length > 0 || !is_to_head));
    finish_head(edge, &mut head, length);
    let has_no_content = is_to_head || !may_have_length;
    let is_event_stream = !body.is_at_hand() && is_event_stream(&head.headers);
    let ends = has_no_content || body.is_end_stream();
    let head = Response::from_parts(head, ());
    match respond.send_response(head, ends) {
        Ok(_) if ends => BegunAnswer::Sent(record),
        Ok(stream) => BegunAnswer::Content(Box::new(AnswerSender {
            stream,
            body,
            piece: Bytes::new(),
            is_last: false,
            record,
            is_event_stream,
        })),
        Err(_) => {
            respond.send_reset(Reason::INTERNAL_ERROR);
            BegunAnswer::Broken
        }
    }
}

/// Makes a head one of HTTP/2: without the fields of connections (RFC 9113 §8.2.2), with its date
/// and the length of its content, as one of HTTP/1.1 has them.
fn finish_head(edge: &Edge, head: &mut Parts, length: Option<u64>) {
    let headers = &mut head.headers;
    if headers.keys().any(is_of_connection) {
        strip(headers);
    }
    forwarding::ensure_date(headers, edge.clock.wall());
    if let Some(length) = length
        && !headers.contains_key(CONTENT_LENGTH)
    {
        headers.insert(CONTENT_LENGTH, length.into());
    }
}

fn is_of_connection(name: &HeaderName) -> bool {
    matches!(*name, CONNECTION | TRANSFER_ENCODING | UPGRADE | TE)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

#[cold]
fn strip(headers: &mut HeaderMap) {
    forwarding::remove_named(headers, |name| {
        matches!(
            name,
            "connection"
                | "transfer-encoding"
                | "upgrade"
                | "te"
                | "keep-alive"
                | "proxy-connection"
        )
    });
}

/// Makes the head of a tunnel one of HTTP/2.
#[cold]
pub(super) fn finish_tunnel_head(edge: &Edge, headers: &mut HeaderMap) {
    strip(headers);
    headers.remove(CONTENT_LENGTH);
    forwarding::ensure_date(headers, edge.clock.wall());
}

impl AnswerSender {
    /// Hands over as much as the client takes. `flushes` counts how often the connection has
    /// written all that it had.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        socket: &SharedSocket,
        flushes: u64,
    ) -> SendProgress {
        loop {
            if self.piece.is_empty() {
                match Pin::new(&mut self.body).poll_frame(context) {
                    Poll::Pending => return SendProgress::WaitsForContent,
                    Poll::Ready(None) => return self.end(None, socket),
                    Poll::Ready(Some(Err(_))) => {
                        self.stream.send_reset(Reason::INTERNAL_ERROR);
                        return SendProgress::Broken;
                    }
                    Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                        Ok(piece) => {
                            self.piece = piece;
                            self.is_last = self.body.is_end_stream();
                        }
                        Err(frame) => return self.end(frame.into_trailers().ok(), socket),
                    },
                }
                if self.piece.is_empty() {
                    if self.is_last {
                        return self.end(None, socket);
                    }
                    continue;
                }
            }
            self.stream.reserve_capacity(self.piece.len().min(CLAIM));
            let room = match self.stream.capacity() {
                0 => match self.stream.poll_capacity(context) {
                    Poll::Pending => return SendProgress::WaitsForClient,
                    Poll::Ready(Some(Ok(room))) => room,
                    Poll::Ready(Some(Err(_)) | None) => return SendProgress::Broken,
                },
                room => room,
            };
            let part = self.piece.split_to(room.min(self.piece.len()));
            if part.is_empty() {
                continue;
            }
            let ends = self.is_last && self.piece.is_empty();
            self.record.take(part.len(), flushes);
            if self.stream.send_data(part, ends).is_err() {
                return SendProgress::Broken;
            }
            if ends {
                return SendProgress::Sent(std::mem::take(&mut self.record));
            }
        }
    }

    /// As [`AnswerSender::poll`], and sees whether the client has left.
    pub(super) fn poll_with_reset(
        &mut self,
        context: &mut Context<'_>,
        socket: &SharedSocket,
        flushes: u64,
    ) -> SendProgress {
        if self.stream.poll_reset(context).is_ready() {
            return SendProgress::Broken;
        }
        self.poll(context, socket, flushes)
    }

    /// Ends the stream, with trailers if there are any.
    fn end(&mut self, trailers: Option<HeaderMap>, socket: &SharedSocket) -> SendProgress {
        self.stream.reserve_capacity(0);
        let mut trailers = trailers.unwrap_or_default();
        forwarding::strip_response_hop_by_hop(&mut trailers);
        trailers.remove(CONTENT_LENGTH);
        let ended = if trailers.is_empty() {
            self.stream.send_data(Bytes::new(), true)
        } else {
            socket
                .lock()
                .expect_trailers(self.stream.stream_id().as_u32());
            self.stream.send_trailers(trailers)
        };
        match ended {
            Ok(()) => SendProgress::Sent(std::mem::take(&mut self.record)),
            Err(_) => SendProgress::Broken,
        }
    }
}
