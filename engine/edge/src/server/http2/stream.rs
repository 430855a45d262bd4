//! A stream whose request is not answered at once.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Response, StatusCode};
use tokio::sync::oneshot;

use super::sending::{self, AnswerSender, BegunAnswer, SendProgress, SendingRecord};
use super::shared_state::{InterimResponse, SharedState};
use super::socket::SharedSocket;
use super::tunnel_io::TunnelIo;
use crate::request::Edge;
use crate::request::client::{TunnelFuture, TunnelStream};
use crate::request::open_record::RecordedResponse;

/// The answer to come.
pub(super) type ReplyFuture<'c> = Pin<Box<dyn Future<Output = RecordedResponse> + Send + 'c>>;

/// What all streams of a connection need.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamContext<'s> {
    pub(super) edge: &'s Edge,
    pub(super) shared: &'s SharedState,
    pub(super) socket: &'s SharedSocket,
    /// How often the connection has written all that it had.
    pub(super) flushes: u64,
}

/// What the answer depends on beside itself.
pub(super) struct AnswerTerms {
    /// The request is a HEAD.
    pub(super) is_to_head: bool,
    /// The client's side of the tunnel that it asks for.
    pub(super) connect: Option<ConnectSide>,
}

/// The client's side of a tunnel that may be opened.
pub(super) struct ConnectSide {
    pub(super) received: RecvStream,
    pub(super) accepted: oneshot::Sender<TunnelStream>,
}

/// A stream whose request is not answered at once.
pub(super) enum Stream<'c> {
    /// The answer is being made.
    Answering {
        respond: SendResponse<Bytes>,
        reply: ReplyFuture<'c>,
        terms: AnswerTerms,
    },
    /// The answer is being sent.
    Sending(Box<AnswerSender>),
    /// It has become a tunnel.
    Tunnel(TunnelStreamState),
}

/// A stream that has become a tunnel.
pub(super) struct TunnelStreamState {
    traffic: TunnelFuture,
    sent: Arc<AtomicU64>,
    record: SendingRecord,
}

/// How far a stream has come.
pub(super) enum StreamStep<'c> {
    /// All was handed over.
    Ended(SendingRecord),
    /// It goes on. `waits_for_client` tells that nothing but the client is waited for.
    GoesOn {
        stream: Stream<'c>,
        waits_for_client: bool,
    },
}

impl StreamStep<'_> {
    fn gone() -> Self {
        StreamStep::Ended(SendingRecord::default())
    }
}

/// Begins to send an answer, as far as that goes at once.
pub(super) fn answer<'c>(
    of: StreamContext<'_>,
    context: &mut Context<'_>,
    respond: &mut SendResponse<Bytes>,
    recorded: RecordedResponse,
    terms: AnswerTerms,
) -> StreamStep<'c> {
    let RecordedResponse { response, record } = recorded;
    let record = SendingRecord::new(record);
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return match terms.connect {
            Some(connect) => {
                // Its traffic has not been polled, so nothing else would wake it.
                context.waker().wake_by_ref();
                open_tunnel(of, respond, response.map(|_| ()), record, connect)
            }
            // Asked for by a CONNECT alone.
            None => StreamStep::gone(),
        };
    }
    match sending::begin(of.edge, respond, response, record, terms.is_to_head) {
        BegunAnswer::Sent(record) => StreamStep::Ended(record),
        BegunAnswer::Broken => StreamStep::gone(),
        BegunAnswer::Content(mut sending) => {
            let progress = sending.poll(context, of.socket, of.flushes);
            after(progress, sending)
        }
    }
}

fn after<'c>(progress: SendProgress, sending: Box<AnswerSender>) -> StreamStep<'c> {
    let goes_on = |sending, waits_for_client| StreamStep::GoesOn {
        stream: Stream::Sending(sending),
        waits_for_client,
    };
    match progress {
        SendProgress::Sent(record) => StreamStep::Ended(record),
        SendProgress::Broken => StreamStep::gone(),
        SendProgress::WaitsForClient => goes_on(sending, true),
        SendProgress::WaitsForContent => goes_on(sending, false),
    }
}

/// Opens the tunnel that the next hop has agreed to, with a 200 in place of its 101 (RFC 8441 §5).
#[cold]
fn open_tunnel<'c>(
    of: StreamContext<'_>,
    respond: &mut SendResponse<Bytes>,
    mut response: Response<()>,
    record: SendingRecord,
    connect: ConnectSide,
) -> StreamStep<'c> {
    let stream = u64::from(respond.stream_id().as_u32());
    let Some(tunnel) = of.shared.take_tunnel(stream) else {
        respond.send_reset(Reason::INTERNAL_ERROR);
        return StreamStep::gone();
    };
    *response.status_mut() = StatusCode::OK;
    sending::finish_tunnel_head(of.edge, response.headers_mut());
    let Ok(sent) = respond.send_response(response, false) else {
        return StreamStep::gone();
    };
    let stream = TunnelIo::new(connect.received, sent);
    if connect.accepted.send(Box::new(stream)).is_err() {
        return StreamStep::gone();
    }
    StreamStep::GoesOn {
        stream: Stream::Tunnel(TunnelStreamState {
            traffic: tunnel.traffic,
            sent: tunnel.sent,
            record,
        }),
        waits_for_client: false,
    }
}

impl<'c> Stream<'c> {
    /// Goes on as far as possible.
    pub(super) fn poll(self, of: StreamContext<'_>, context: &mut Context<'_>) -> StreamStep<'c> {
        match self {
            Stream::Answering {
                mut respond,
                mut reply,
                terms,
            } => {
                if respond.poll_reset(context).is_ready() {
                    return StreamStep::gone();
                }
                match reply.as_mut().poll(context) {
                    Poll::Ready(recorded) => answer(of, context, &mut respond, recorded, terms),
                    Poll::Pending => StreamStep::GoesOn {
                        stream: Stream::Answering {
                            respond,
                            reply,
                            terms,
                        },
                        waits_for_client: false,
                    },
                }
            }
            Stream::Sending(mut sending) => {
                let progress = sending.poll_with_reset(context, of.socket, of.flushes);
                after(progress, sending)
            }
            Stream::Tunnel(mut tunnel) => match tunnel.traffic.as_mut().poll(context) {
                Poll::Ready(()) => StreamStep::gone(),
                Poll::Pending => StreamStep::GoesOn {
                    stream: Stream::Tunnel(tunnel),
                    waits_for_client: false,
                },
            },
        }
    }

    /// Sends an interim response, if the answer has not begun.
    pub(super) fn send_interim(&mut self, interim: InterimResponse) {
        if let Stream::Answering { respond, .. } = self {
            let mut response = Response::new(());
            *response.status_mut() = interim.status;
            *response.headers_mut() = interim.fields;
            // It fails if the client has left.
            let _ = respond.send_informational(response);
        }
    }

    /// Whether it is an event stream.
    pub(super) fn is_event_stream(&self) -> bool {
        matches!(self, Stream::Sending(sending) if sending.is_event_stream)
    }

    /// Whether it has become a tunnel.
    pub(super) fn is_tunnel(&self) -> bool {
        matches!(self, Stream::Tunnel(_))
    }
}

impl Drop for TunnelStreamState {
    fn drop(&mut self) {
        self.record.tunneled(self.sent.load(Ordering::Relaxed));
    }
}
