//! One client connection: requests in, answers out, until one side has had enough.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::aside::Aside;
use super::watchdog::{Patience, Watchdog, Watched};
use super::{Shared, Stage};
use crate::origin::BodyError;
use crate::request;
use crate::request::body::EdgeBody;

/// Serves a connection to its end.
pub(super) async fn serve(shared: &Arc<Shared>, stream: TcpStream, client: SocketAddr) {
    // Answers are written whole; waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let settings = &shared.settings;
    let watchdog = Watchdog::new(
        shared.edge.clock.clone(),
        Patience { idle: settings.idle_timeout, header: settings.header_timeout, write: settings.write_timeout },
    );
    let service = service_fn(|request: Request<Incoming>| {
        watchdog.request_received();
        let watchdog = Arc::clone(&watchdog);
        async move {
            let response = request::handle(&shared.edge, request, client.ip()).await;
            Ok::<_, Infallible>(watched(response, watchdog))
        }
    });
    let connection = http1::Builder::new()
        .max_buf_size(settings.max_header_bytes)
        .max_headers(settings.max_headers)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(Watched::new(stream, Arc::clone(&watchdog))), service);
    let mut connection = pin!(connection);
    let mut stage = shared.stage.clone();
    let mut draining = Aside::new(stage.wait_for(|stage| *stage >= Stage::Draining));
    let mut out_of_patience = Aside::new(watchdog.run());
    tokio::select! {
        biased;
        // An error here is the client's: a request that is none has been answered with a 4xx by hyper, a broken connection is gone.
        _ = watchdog.watch(connection.as_mut()) => return,
        () = &mut out_of_patience => return,
        _ = &mut draining => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        biased;
        _ = watchdog.watch(connection) => {}
        () = out_of_patience => {}
    }
}

/// An answer whose end the watchdog learns of.
fn watched(response: Response<EdgeBody>, watchdog: Arc<Watchdog>) -> Response<WatchedBody> {
    if response.body().is_at_hand() {
        watchdog.request_answered();
        return response.map(|body| WatchedBody { body, watchdog: None });
    }
    response.map(|body| WatchedBody { body, watchdog: Some(watchdog) })
}

struct WatchedBody {
    body: EdgeBody,
    watchdog: Option<Arc<Watchdog>>,
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        if let Some(watchdog) = &self.watchdog {
            watchdog.request_answered();
        }
    }
}
