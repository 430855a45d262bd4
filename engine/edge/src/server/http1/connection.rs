//! One client connection: requests in, answers out, until one side has had enough.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::super::{ShutdownStage, WorkerContext};
use super::connection_state::ConnectionState;
use super::poll_when_woken::PollWhenWoken;
use super::stream::ClientStream;
use super::watchdog::{ClientTimeouts, Watchdog};
use super::watched_body::WatchedBody;
use crate::request::admit::RequestSource;
use crate::request::body::EdgeBody;
use crate::request::client::ClientHandle;
use crate::request::{self, Edge, Reply};
use tero_semantics::forwarding;
use tero_wire::{Fault, Requests};

/// Serves a connection to its end.
pub(in crate::server) async fn serve(
    shared: &Arc<WorkerContext>,
    stream: TcpStream,
    client: SocketAddr,
) {
    // Answers are written whole; waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let settings = &shared.settings;
    let waker = std::future::poll_fn(|context| Poll::Ready(context.waker().clone())).await;
    let timeouts = ClientTimeouts {
        idle: settings.idle_timeout,
        header: settings.header_timeout,
        write: settings.write_timeout,
    };
    let link = Arc::new(ConnectionState::new(
        Watchdog::new(shared.edge.clock.clone(), timeouts),
        waker,
    ));
    let of_requests = &link;
    let service = service_fn(move |request: Request<Incoming>| {
        of_requests.watchdog.request_received();
        let handle = Some(ClientHandle::on(Arc::clone(of_requests) as _));
        let source = RequestSource {
            client: Some(client.ip()),
            connection: handle,
            ..RequestSource::default()
        };
        let handled = match unforeseen_content(&request, of_requests) {
            None => request::handle(&shared.edge, request, source),
            Some(foreseen) => ending(&shared.edge, foreseen, request, source),
        };
        async move { Ok::<_, Infallible>(watched(shared, handled.response().await, of_requests)) }
    });
    let stream = ClientStream::new(stream, Arc::clone(&link), Arc::clone(&shared.edge));
    let connection = http1::Builder::new()
        .max_buf_size(settings.max_header_bytes)
        .max_headers(settings.max_headers)
        .header_read_timeout(None)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut stage = shared.stage.clone();
    let mut draining = PollWhenWoken::new(async {
        stage
            .wait_for(|stage| *stage >= ShutdownStage::Draining)
            .await
            .is_ok()
    });
    let mut out_of_patience = PollWhenWoken::new(link.watchdog.run());
    tokio::select! {
        biased;
        // An error here is the client's: a request that is none has been answered with a 4xx, a
        // broken connection is gone.
        ended = link.watchdog.watch(connection.as_mut()) => if ended.is_err() { return },
        () = &mut out_of_patience => return,
        _ = &mut draining => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                biased;
                _ = link.watchdog.watch(connection) => {}
                () = out_of_patience => {}
            }
            return;
        }
    }
    if let Some(tunnel) = link.take_tunnel() {
        // Nothing tells when a tunnel could be ended in order; whoever uses one is prepared for its
        // end.
        tokio::select! {
            () = tunnel => {}
            _ = draining => {}
        }
    }
}

/// What is to be said of the content of a request that was taken for one without; none for most,
/// which have none.
fn unforeseen_content(
    request: &Request<Incoming>,
    link: &ConnectionState,
) -> Option<Result<(), Fault>> {
    if request.body().is_end_stream() || link.glanced_lines() == 0 {
        return None;
    }
    link.check_no_more();
    Some(Requests::content(request.headers(), link.glanced_lines()))
}

/// An answer with which the connection ends.
#[cold]
fn ending(
    edge: &Arc<Edge>,
    content: Result<(), Fault>,
    request: Request<Incoming>,
    source: RequestSource,
) -> Reply<'_> {
    Reply::Pending(Box::pin(async move {
        let mut response = match content {
            Ok(()) => request::handle(edge, request, source).response().await,
            Err(fault) => request::refuse(edge, fault),
        };
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }))
}

/// An answer whose end the link learns of. Its date is its origin's, or now (RFC 9110 §6.6.1).
fn watched(
    shared: &WorkerContext,
    mut response: Response<EdgeBody>,
    link: &Arc<ConnectionState>,
) -> Response<WatchedBody> {
    link.answer_begins();
    match response.body_mut().take_lines() {
        Some(lines) => link.put_lines(lines),
        None => forwarding::ensure_date(response.headers_mut(), shared.edge.clock.now()),
    }
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        link.check_no_more();
        return response.map(|body| WatchedBody::new(body, None));
    }
    if response.body().is_at_hand() {
        link.answer_made();
        return response.map(|body| WatchedBody::new(body, None));
    }
    response.map(|body| WatchedBody::new(body, Some(Arc::clone(link))))
}
