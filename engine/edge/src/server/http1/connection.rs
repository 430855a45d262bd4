//! A client connection: requests in, responses out, until one side ends it.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::super::client_socket::ClientSocket;
use super::super::connection_facts::ConnectionFacts;
use super::super::event_stream::is_event_stream;
use super::super::{DRAIN_GRACE, ShutdownStage, WorkerContext};
use super::connection_state::ConnectionState;
use super::poll_when_woken::PollWhenWoken;
use super::stream::ClientStream;
use super::watchdog::{ClientTimeouts, Watchdog};
use super::watched_body::WatchedBody;
use crate::request::admit::RequestSource;
use crate::request::body::EdgeBody;
use crate::request::client::ClientHandle;
use crate::request::content::RequestContent;
use crate::request::open_record::RecordedResponse;
use crate::request::{self, Edge, Reply};
use tero_config as config;
use tero_semantics::forwarding;
use tero_wire::{Fault, Requests};

/// Serves a connection to its end. `first` was read of it already.
pub(in crate::server) async fn serve(
    context: &Arc<WorkerContext>,
    socket: ClientSocket,
    facts: &ConnectionFacts,
    first: Bytes,
) {
    socket.send_at_once();
    let state = &new_state(context, facts).await;
    // Dropped after the connection, however that ends: nothing more is sent then.
    let _record = RecordGuard(state);
    let edge = Arc::clone(&context.edge);
    let stream = ClientStream::new(socket, first, facts.peer, Arc::clone(state), edge);
    let service = service_fn(move |request| respond(context, state, facts, request));
    let connection = protocol(&context.settings)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut draining = PollWhenWoken::new(context.reached(ShutdownStage::HandedOver));
    let mut timed_out = PollWhenWoken::new(state.watchdog.run());
    loop {
        tokio::select! {
            biased;
            // First, so that a request which comes after a handover is the last one.
            _ = &mut draining => {
                if !state.ends_with_next() && context.is_before(ShutdownStage::Draining) {
                    state.end_with_next();
                    draining = PollWhenWoken::new(context.reached(ShutdownStage::Draining));
                    continue;
                }
                // What has come is still answered.
                if poll_once(state.watchdog.watch(connection.as_mut())).await.is_ready() {
                    return;
                }
                if state.has_asked_nothing() {
                    tokio::select! {
                        biased;
                        _ = state.watchdog.watch(connection.as_mut()) => return,
                        () = context.edge.clock.sleep(DRAIN_GRACE) => {}
                    }
                }
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    biased;
                    _ = state.watchdog.watch(connection) => {}
                    () = timed_out => {}
                }
                return;
            }
            // An error is the client's: a malformed request was answered with a 4xx, or the connection
            // broke.
            ended = state.watchdog.watch(connection.as_mut()) => match ended {
                Ok(()) => break,
                Err(_) => return,
            },
            () = &mut timed_out => {
                if state.watchdog.is_in_head() {
                    state.head_is_late();
                    // The refusal is a few bytes: what the client doesn't take now is not waited for.
                    let _ = poll_once(state.watchdog.watch(connection.as_mut())).await;
                }
                return;
            }
        }
    }
    if let Some(tunnel) = state.take_tunnel() {
        // A tunnel shows no point at which it could end in order. Its users are prepared for its
        // end at any time.
        tokio::select! {
            () = tunnel => {}
            _ = draining => {}
        }
    }
}

/// Completes the record of the last answer of a connection.
struct RecordGuard<'c>(&'c ConnectionState);

impl Drop for RecordGuard<'_> {
    fn drop(&mut self) {
        self.0.close_record();
    }
}

/// Polls a future once.
async fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

async fn new_state(context: &WorkerContext, facts: &ConnectionFacts) -> Arc<ConnectionState> {
    let waker = poll_fn(|context| Poll::Ready(context.waker().clone())).await;
    let timeouts = ClientTimeouts {
        idle: context.settings.idle_timeout,
        header: context.settings.header_timeout,
        write: context.settings.write_timeout,
        min_rate: context.settings.min_rate,
    };
    let watchdog = Watchdog::new(context.edge.clock.clone(), timeouts);
    let transport = facts.transport.clone();
    Arc::new(ConnectionState::new(watchdog, waker, transport))
}

fn protocol(settings: &config::Server) -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        .max_buf_size(settings.max_header_bytes)
        .max_headers(settings.max_headers)
        .header_read_timeout(None)
        .auto_date_header(false);
    protocol
}

/// Answers a request. Its handling begins at once, not when the future is polled.
#[inline]
fn respond<'c>(
    context: &'c WorkerContext,
    state: &'c Arc<ConnectionState>,
    facts: &'c ConnectionFacts,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<WatchedBody>, Infallible>> + 'c {
    state.watchdog.request_received();
    let source = facts.source(ClientHandle::on(Arc::clone(state) as _));
    let reply = match check_unexpected_content(&request, state) {
        None => handle(&context.edge, request, source),
        Some(checked) => last_reply(&context.edge, checked, request, source),
    };
    async move {
        // Not by `Reply::response`, whose future a hit would be moved through.
        let recorded = match reply {
            Reply::Ready(recorded) => recorded,
            Reply::Pending(recorded) => recorded.await,
        };
        Ok(watched(context, recorded, state))
    }
}

#[inline]
fn handle(edge: &Arc<Edge>, request: Request<Incoming>, source: RequestSource) -> Reply<'_> {
    let (parts, content) = request.into_parts();
    request::handle(edge, parts, RequestContent::Http1(content), source)
}

/// Checks a request whose head was only glanced at, and which has content all the same. `None` for
/// all other requests, which is to say for most.
fn check_unexpected_content(
    request: &Request<Incoming>,
    state: &ConnectionState,
) -> Option<Result<(), Fault>> {
    if request.body().is_end_stream() || state.glanced_lines() == 0 {
        return None;
    }
    state.stop_checking();
    Some(Requests::content(request.headers(), state.glanced_lines()))
}

/// The reply to a request that [`check_unexpected_content`] found: the connection ends with it.
#[cold]
fn last_reply(
    edge: &Arc<Edge>,
    checked: Result<(), Fault>,
    request: Request<Incoming>,
    source: RequestSource,
) -> Reply<'_> {
    Reply::Pending(Box::pin(async move {
        let mut recorded = match checked {
            Ok(()) => handle(edge, request, source).response().await,
            Err(fault) => {
                let (parts, _) = request.into_parts();
                request::refuse_read(edge, &parts, &source, fault)
            }
        };
        recorded
            .response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
        recorded
    }))
}

/// Another process has the listener: the connection ends with this response (RFC 9112 §9.6).
#[cold]
fn say_last(response: &mut Response<EdgeBody>) {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

/// A response that tells `state` when all of it is at hand. Its date is the origin's, or now (RFC
/// 9110 §6.6.1).
fn watched(
    context: &WorkerContext,
    recorded: RecordedResponse,
    state: &Arc<ConnectionState>,
) -> Response<WatchedBody> {
    let RecordedResponse {
        mut response,
        record,
    } = recorded;
    state.response_begins();
    if state.ends_with_next() {
        say_last(&mut response);
    }
    match response.body_mut().take_lines() {
        Some(lines) => state.put_lines(lines),
        None => forwarding::ensure_date(response.headers_mut(), context.edge.clock.wall()),
    }
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        state.stop_checking();
        return response.map(|body| WatchedBody::new(body, None).recorded(record, state));
    }
    if response.body().is_at_hand() {
        state.response_complete();
        return response.map(|body| WatchedBody::new(body, None).recorded(record, state));
    }
    if is_event_stream(response.headers()) {
        state.watchdog.set_event_stream(true);
    }
    let watcher = Some(Arc::clone(state));
    response.map(|body| WatchedBody::new(body, watcher).recorded(record, state))
}
