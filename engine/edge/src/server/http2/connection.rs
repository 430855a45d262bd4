//! A connection: streams in, answers out, until one side ends it.
//!
//! Requests that can be answered at once, such as hits, are: their answers go to the protocol in the
//! same poll of the connection, without a task or an allocation for the stream. All others wait in
//! [`StreamSet`].

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::server::{Connection, Handshake, SendResponse};
use h2::{Reason, RecvStream};
use http::header::EXPECT;
use http::{Method, Request, StatusCode, Version};

use super::super::client_socket::ClientSocket;
use super::super::connection_facts::ConnectionFacts;
use super::super::http1::PollWhenWoken;
use super::super::{ShutdownStage, WorkerContext};
use super::connection_waker::ConnectionWaker;
use super::cut::CutReason;
use super::frame_budget::{FRAME_SIZE, FrameLimits};
use super::request_head::RequestHead;
use super::sending::SendingRecord;
use super::shared_state::SharedState;
use super::socket::{RefusedHeads, SharedSocket};
use super::stream::{AnswerTerms, ConnectSide, Stream, StreamContext, StreamStep, answer};
use super::stream_set::StreamSet;
use super::watch::{ConnectionPhase, ConnectionWatch, StreamTimeouts};
use crate::request::admit::RequestSource;
use crate::request::client::{ClientConnection, ClientHandle, TunnelOffer};
use crate::request::content::{RequestContent, StreamContent};
use crate::request::{self, Reply};
use crate::telemetry::connection_faults::ConnectionFault;
use tero_config as config;

/// Bytes of an answer that the protocol takes before they have left, at most.
const SEND_BUFFER: usize = 128 * 1024;
/// Streams of a connection that the protocol resets by itself for errors of the client, before it
/// ends the connection.
const OWN_RESETS: usize = 100;
/// Rounds of a poll after which other connections have their turn.
const ROUNDS: usize = 16;

/// Serves a connection to its end. `first` was read of it already.
pub(in crate::server) async fn serve(
    context: &Arc<WorkerContext>,
    socket: ClientSocket,
    facts: &ConnectionFacts,
    first: Bytes,
) {
    socket.send_at_once();
    let clock = &context.edge.clock;
    let settings = &context.settings;
    let socket = SharedSocket::new(socket, first, frame_limits(settings), clock.now());
    let watch = &ConnectionWatch::new(clock.clone(), StreamTimeouts::of(settings));
    let mut connection = Http2Connection::new(context, facts, socket.clone(), watch);
    // The protocol can tell a client which requests were not taken, so it need not wait for one.
    let mut draining = PollWhenWoken::new(context.reached(ShutdownStage::HandedOver));
    let mut timed_out = PollWhenWoken::new(watch.run(&socket));
    let mut is_draining = false;
    loop {
        tokio::select! {
            biased;
            ended = poll_fn(|context| connection.poll(context)) => {
                match ended {
                    ConnectionEnd::Closed => {}
                    ConnectionEnd::Cut(cut) => connection.cut(cut).await,
                }
                return;
            }
            cut = &mut timed_out => return connection.cut(cut).await,
            _ = &mut draining, if !is_draining => {
                is_draining = true;
                connection.drain();
            }
        }
    }
}

fn frame_limits(settings: &config::Server) -> FrameLimits {
    FrameLimits {
        resets: settings.http2_max_resets as u64,
        control_frames: settings.http2_max_control_frames as u64,
        header_block: header_list(settings).into(),
    }
}

/// The bytes of a header list that the protocol decodes, at most (RFC 9113 §6.5.2). They count 32
/// for each field. What exceeds `max_header_bytes` or `max_headers` is refused by the request path,
/// with an answer and a record as over HTTP/1.1; so the protocol's own bound lies above.
fn header_list(settings: &config::Server) -> u32 {
    let list = 2 * settings.max_header_bytes + 64 * settings.max_headers;
    u32::try_from(list).unwrap_or(u32::MAX)
}

fn handshake(settings: &config::Server, socket: SharedSocket) -> Handshake<SharedSocket, Bytes> {
    let window = u32::try_from(settings.http2_window).unwrap_or(u32::MAX >> 1);
    let streams = u32::try_from(settings.http2_max_streams).unwrap_or(u32::MAX);
    h2::server::Builder::new()
        .max_concurrent_streams(streams)
        .max_header_list_size(header_list(settings))
        .max_frame_size(FRAME_SIZE)
        .initial_window_size(window)
        .initial_connection_window_size(window)
        .max_send_buffer_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(settings.http2_max_resets)
        .max_local_error_reset_streams(Some(OWN_RESETS))
        .enable_connect_protocol()
        .handshake(socket)
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectionEnd {
    /// One side has closed it, or it broke.
    Closed,
    /// The edge ends it.
    Cut(CutReason),
}

enum ProtocolState {
    Handshake(Box<Handshake<SharedSocket, Bytes>>),
    Open(Box<Connection<SharedSocket, Bytes>>),
}

struct Http2Connection<'c> {
    context: &'c Arc<WorkerContext>,
    facts: &'c ConnectionFacts,
    socket: SharedSocket,
    watch: &'c ConnectionWatch,
    protocol: ProtocolState,
    connection_waker: Arc<ConnectionWaker>,
    waker: Waker,
    shared: Arc<SharedState>,
    streams: StreamSet<'c>,
    /// Records of answers that were handed over and may not have left.
    leaving: Vec<SendingRecord>,
    /// How often all that was handed over has left.
    flushes: u64,
    /// Requests were received in the poll under way.
    has_requests: bool,
    is_draining: bool,
}

impl<'c> Http2Connection<'c> {
    fn new(
        context: &'c Arc<WorkerContext>,
        facts: &'c ConnectionFacts,
        socket: SharedSocket,
        watch: &'c ConnectionWatch,
    ) -> Http2Connection<'c> {
        let connection_waker = ConnectionWaker::new();
        let handshake = handshake(&context.settings, socket.clone());
        Http2Connection {
            context,
            facts,
            socket,
            watch,
            protocol: ProtocolState::Handshake(Box::new(handshake)),
            waker: Waker::from(Arc::clone(&connection_waker)),
            shared: SharedState::new(Arc::clone(&connection_waker), facts.transport.clone()),
            streams: StreamSet::new(Arc::clone(&connection_waker)),
            connection_waker,
            leaving: Vec::new(),
            flushes: 0,
            has_requests: false,
            is_draining: false,
        }
    }

    fn poll(&mut self, task: &mut Context<'_>) -> Poll<ConnectionEnd> {
        self.connection_waker.begin(task.waker());
        let now = self.context.edge.clock.now();
        self.socket.lock().begin_poll(now);
        let waker = self.waker.clone();
        let context = &mut Context::from_waker(&waker);
        let mut end = Poll::Pending;
        for _ in 0..ROUNDS {
            end = self.run(context);
            if end.is_pending() {
                end = self.write(context);
            }
            if end.is_ready() || !self.connection_waker.is_woken() {
                break;
            }
        }
        self.note_refused();
        let fault = self.socket.lock().fault();
        if let Some(fault) = fault {
            end = Poll::Ready(ConnectionEnd::Cut(CutReason::Fault(fault)));
        }
        let socket = self.socket.lock();
        let phase = ConnectionPhase {
            in_head: socket.is_in_head(),
            idle: self.streams.is_empty() && !socket.is_blocked(),
            stalled: self.streams.waits_for_client() || socket.is_blocked(),
            event_stream: self.streams.has_event_stream(),
        };
        self.shared.set_blocked(socket.is_blocked());
        drop(socket);
        let answers = std::mem::take(&mut self.has_requests);
        self.watch.record(phase, answers, now);
        self.connection_waker.end();
        end
    }

    /// Lets the protocol and all streams go on as far as they can.
    fn run(&mut self, context: &mut Context<'_>) -> Poll<ConnectionEnd> {
        if let ProtocolState::Handshake(handshake) = &mut self.protocol {
            match Pin::new(&mut **handshake).poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(self.end_of(&error)),
                Poll::Ready(Ok(mut open)) => {
                    if self.is_draining {
                        open.graceful_shutdown();
                    }
                    self.protocol = ProtocolState::Open(Box::new(open));
                }
            }
        }
        loop {
            // What wakes it from here on is not seen below, but for what the loop looks at.
            self.connection_waker.take_woken();
            for interim in self.shared.take_interim() {
                self.streams.send_interim(interim);
            }
            let of = StreamContext {
                edge: &self.context.edge,
                shared: &self.shared,
                socket: &self.socket,
                flushes: self.flushes,
            };
            let leaving = &mut self.leaving;
            self.streams
                .run_woken(of, |record| keep_record(leaving, record));
            let ProtocolState::Open(open) = &mut self.protocol else {
                return Poll::Pending;
            };
            match open.poll_accept(context) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.receive(context, request, respond);
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(self.end_of(&error)),
                Poll::Ready(None) => return Poll::Ready(ConnectionEnd::Closed),
                Poll::Pending if self.streams.has_woken() || self.shared.has_interim() => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Writes what was handed over.
    fn write(&mut self, context: &mut Context<'_>) -> Poll<ConnectionEnd> {
        let written = self.socket.lock().poll_write_kept(context);
        match written {
            Poll::Ready(Ok(())) => {
                self.flushes += 1;
                self.leaving.drain(..).for_each(SendingRecord::sent);
                Poll::Pending
            }
            Poll::Ready(Err(_)) => Poll::Ready(ConnectionEnd::Closed),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Takes a request in, and answers it if that goes at once.
    fn receive(
        &mut self,
        context: &mut Context<'_>,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
    ) {
        self.has_requests = true;
        let number = u64::from(respond.stream_id().as_u32());
        let (parts, received) = request.into_parts();
        let mut terms = AnswerTerms {
            is_to_head: parts.method == Method::HEAD,
            connect: None,
        };
        let step = match self.reply(number, parts, received, &mut terms) {
            Reply::Ready(recorded) => {
                let of = StreamContext {
                    edge: &self.context.edge,
                    shared: &self.shared,
                    socket: &self.socket,
                    flushes: self.flushes,
                };
                answer(of, context, &mut respond, recorded, terms)
            }
            Reply::Pending(reply) => StreamStep::GoesOn {
                stream: Stream::Answering {
                    respond,
                    reply,
                    terms,
                },
                waits_for_client: false,
            },
        };
        match step {
            StreamStep::Ended(record) => keep_record(&mut self.leaving, record),
            StreamStep::GoesOn { stream, .. } => self.streams.add(number, stream),
        }
    }

    /// The reply to a request on a stream.
    fn reply(
        &self,
        number: u64,
        parts: http::request::Parts,
        received: RecvStream,
        terms: &mut AnswerTerms,
    ) -> Reply<'c> {
        let edge = &self.context.edge;
        let connection: Arc<dyn ClientConnection> = Arc::clone(&self.shared) as _;
        let client = ClientHandle::of(connection, number);
        let max_fields = self.context.settings.max_headers;
        let mut head = match RequestHead::of(parts, max_fields) {
            Ok(head) => head,
            Err(refused) => {
                let (refusal, parts) = *refused;
                let response = refusal.response(edge);
                let source = self.facts.source(client);
                return Reply::Ready(request::refuse_request(edge, &parts, &source, response));
            }
        };
        let mut content = RequestContent::Empty;
        let length = head.length();
        let has_content = !head.is_connect && !received.is_end_stream();
        if head.is_connect {
            let (offer, accepted) = TunnelOffer::connect();
            head.parts.extensions.insert(offer);
            terms.connect = Some(ConnectSide { received, accepted });
        } else if has_content {
            let waiting = head
                .parts
                .headers
                .contains_key(EXPECT)
                .then(|| client.clone());
            let received = StreamContent::new(received, length, waiting);
            content = RequestContent::Http2(Box::new(received));
        }
        let source = RequestSource {
            has_content: has_content && length != Some(0),
            ..self.facts.source(client)
        };
        request::handle(edge, head.parts, content, source)
    }

    /// Records what the protocol refused by itself.
    fn note_refused(&mut self) {
        let Some(refused) = self.socket.lock().take_refused() else {
            return;
        };
        let RefusedHeads {
            malformed,
            too_long,
        } = refused;
        // Content that does not keep to its head resets its stream, too; that request was let in.
        let malformed = malformed.into_iter().map(u64::from);
        for _ in malformed.filter(|stream| !self.streams.holds(*stream)) {
            self.record_unread(StatusCode::BAD_REQUEST);
        }
        for _ in 0..too_long {
            self.record_unread(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        }
    }

    #[cold]
    fn record_unread(&self, status: StatusCode) {
        let edge = &self.context.edge;
        let response = request::refuse_as(edge, status);
        let transport = &self.facts.transport;
        request::record_unread(edge, self.facts.peer, Version::HTTP_2, transport, &response);
    }

    /// How a connection ends on which the protocol failed.
    fn end_of(&self, error: &h2::Error) -> ConnectionEnd {
        let is_fault = error.is_library() && error.reason() != Some(Reason::NO_ERROR);
        if is_fault {
            // The protocol has said so with GOAWAY.
            ConnectionEnd::Cut(CutReason::Fault(ConnectionFault::Protocol))
        } else {
            ConnectionEnd::Closed
        }
    }

    /// Ends the connection in order: the client is told with GOAWAY, and again when it must have
    /// read that (RFC 9113 §6.8). Tunnels show no point at which they could end.
    fn drain(&mut self) {
        self.is_draining = true;
        self.watch.ends();
        self.streams.end_tunnels();
        if let ProtocolState::Open(open) = &mut self.protocol {
            open.graceful_shutdown();
        }
    }

    /// Ends the connection at once. What the client doesn't take now is not waited for.
    async fn cut(&mut self, cut: CutReason) {
        if let CutReason::Fault(fault) = cut {
            self.tell(fault);
        }
        self.streams.end_all();
        if let ProtocolState::Open(open) = &mut self.protocol {
            open.abrupt_shutdown(cut.reason());
        }
        poll_fn(|context| {
            if let ProtocolState::Open(open) = &mut self.protocol {
                let _ = open.poll_closed(context);
            }
            let _ = self.socket.lock().poll_write_kept(context);
            Poll::Ready(())
        })
        .await;
    }

    /// Counts a connection that is ended for its client's fault, and tells the log.
    #[cold]
    fn tell(&self, fault: ConnectionFault) {
        let edge = &self.context.edge;
        edge.counters.http2_faults.record(fault);
        let message = "an HTTP/2 connection was ended";
        let (reason, now) = (fault.as_str(), edge.clock.now());
        if let Some(left_out) = edge.counters.repeats.due(message, reason, now) {
            tracing::warn!(client = ?self.facts.peer, reason, left_out, "{message}");
        }
    }
}

/// Keeps the record of an answer until it has left.
fn keep_record(leaving: &mut Vec<SendingRecord>, record: SendingRecord) {
    if record.is_open() {
        leaving.push(record);
    }
}
