//! The operators' interface: JSON over HTTP/1.1, with or without TLS, on a listener, a thread and a
//! runtime of its own.
//!
//! It looks at the edge from outside and never delays a visitor's request. Long work (purges,
//! statistics) runs on threads of its own, so that `/health` always answers.

// A refusal is made for an operator's mistake, never for a visitor: its size does not matter.
#![allow(clippy::result_large_err)]
// Questions and answers have the types of tero-admin-api.
#![deny(clippy::disallowed_macros, clippy::disallowed_types)]

mod call;
mod certificates;
mod cluster;
mod cluster_metrics;
mod connections;
mod context;
mod dashboard;
mod data;
mod disk_metrics;
mod disks;
mod events;
mod explain;
mod exposition;
mod fleet_metrics;
pub(crate) mod fleet_stats;
#[doc(hidden)] // Only the fuzz targets and the replay of their corpus have a use for it.
pub mod fuzzing;
mod guard;
mod health;
mod live;
mod live_figures;
mod maintenance;
mod metrics;
mod origin_metrics;
mod origins;
mod policies;
mod policy_metrics;
mod process;
mod protocol;
mod purge;
mod reply;
mod reports;
mod route;
mod samples;
mod shared_line;
mod stats;
#[doc(hidden)] // Public for the fuzz targets and the replay of their corpus.
pub mod subject;
mod trials;
mod upgrade;
mod versions;
mod warm;
mod week;

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::admin_listener::{AdminListener, AdminStream};
use crate::descriptors::admin_connections;
use call::{Call, CallInput, Handler, Work, handler, stream_handler};
use connections::{ConnectionSlot, Connections};
use guard::{AccessGuard, ClientProof};
use reply::{AdminBody, AdminRefusal, AdminResponse};
use route::Router;
use tero_admin_api::endpoints::OpenApi;
use tero_admin_api::{OPENAPI, OpenApiText};
use tero_edge::server::ShutdownStage;
use tero_edge::server::tls::TlsTerminator;
use tero_time::clock::Clock;

pub use context::{AdminContext, ReadinessRule};
pub use reports::version_comparison;

/// Connections that are open at a time; for a further one, one that waits for a request is closed.
const MAX_CONNECTIONS: usize = 128;
/// Request line and header fields together, in bytes.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// Header fields of a request.
const MAX_HEADERS: usize = 64;
/// The content of a request, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// The same of what a node tells its peers.
const MAX_EXCHANGED_BYTES: usize = 4 * 1024 * 1024;
/// From the start of a connection, or the end of a request, to the end of the next header.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// From the end of the header to the end of the content; of a version that is pushed.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(300);
/// Versions that are uploaded at a time: each is in memory as a whole.
const UPLOADS: usize = 1;
/// Answers that are worked on at a time, by kind of work. Each has a thread; further ones wait.
const LONG_THREADS: usize = 4;
const COMPILING_THREADS: usize = 2;
const UNDOING_THREADS: usize = 2;
const UPGRADING_THREADS: usize = 1;
/// Purges may wait for the log of a fleet, and must not hold up figures, nor what peers tell.
const PURGING_THREADS: usize = 8;
const EXCHANGING_THREADS: usize = 2;
/// How long the accept loop rests after an error such as "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What all connections share.
struct Admin {
    context: AdminContext,
    router: Router<Arc<Handler>>,
    guard: AccessGuard,
    /// `None` without TLS.
    tls: Option<Arc<TlsTerminator>>,
    connections: Connections,
    uploads: Arc<Semaphore>,
    lanes: Lanes,
}

/// Permits for the threads. Each kind of work has its own, so that compiling, or waiting for it, does
/// not hold up other answers.
struct Lanes {
    long: Arc<Semaphore>,
    compiling: Arc<Semaphore>,
    undoing: Arc<Semaphore>,
    upgrading: Arc<Semaphore>,
    purging: Arc<Semaphore>,
    exchanging: Arc<Semaphore>,
}

impl Lanes {
    fn new() -> Lanes {
        Lanes {
            long: Arc::new(Semaphore::new(LONG_THREADS)),
            compiling: Arc::new(Semaphore::new(COMPILING_THREADS)),
            undoing: Arc::new(Semaphore::new(UNDOING_THREADS)),
            upgrading: Arc::new(Semaphore::new(UPGRADING_THREADS)),
            purging: Arc::new(Semaphore::new(PURGING_THREADS)),
            exchanging: Arc::new(Semaphore::new(EXCHANGING_THREADS)),
        }
    }

    /// The lane of a kind of work; `None` for work that needs no thread.
    fn of(&self, work: Work) -> Option<&Arc<Semaphore>> {
        match work {
            Work::AtOnce => None,
            Work::Long | Work::UploadTable => Some(&self.long),
            Work::Compiling | Work::Upload => Some(&self.compiling),
            Work::Undoing => Some(&self.undoing),
            Work::Upgrading => Some(&self.upgrading),
            Work::Purging => Some(&self.purging),
            Work::Exchanging => Some(&self.exchanging),
        }
    }
}

/// Starts the interface on `listener`, behind TLS if there is such. It answers while the edge drains, `/ready` with 503; its
/// thread ends when the edge has stopped.
///
/// # Errors
/// If a thread or its runtime can't be started.
pub fn start(
    context: AdminContext,
    listener: AdminListener,
    tls: Option<Arc<TlsTerminator>>,
) -> io::Result<JoinHandle<()>> {
    let guard = AccessGuard::new(context.token.clone(), listener.ip());
    let admin = Arc::new(Admin {
        context,
        router: router(),
        guard,
        tls,
        connections: Connections::new(admin_connections(MAX_CONNECTIONS)),
        uploads: Arc::new(Semaphore::new(UPLOADS)),
        lanes: Lanes::new(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(
            LONG_THREADS
                + COMPILING_THREADS
                + UNDOING_THREADS
                + UPGRADING_THREADS
                + PURGING_THREADS
                + EXCHANGING_THREADS,
        )
        .build()?;
    std::thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || {
            runtime.block_on(accept(&admin, listener));
            // Work on a blocking thread must not delay the end.
            runtime.shutdown_background();
        })
}

async fn accept(admin: &Arc<Admin>, listener: AdminListener) {
    let listener = match listener.into_queue() {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the admin listener can't be used"),
    };
    let mut stage = admin.context.stage.clone();
    let _ = stage
        .wait_for(|stage| *stage >= ShutdownStage::Running)
        .await;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stage.wait_for(|stage| *stage == ShutdownStage::Stopped) => return,
            () = admin.handed_over() => break,
        };
        match accepted {
            Ok((stream, client)) => {
                let Some(slot) = admin.connections.admit(client) else {
                    continue;
                };
                let admin = Arc::clone(admin);
                tokio::spawn(async move {
                    tokio::select! {
                        () = connection(&admin, &slot, stream) => {}
                        () = slot.closed() => {}
                    }
                    admin.connections.ended(&slot);
                });
            }
            Err(error) => {
                let edge = &admin.context.edge;
                let message = "an admin connection can't be accepted";
                if let Some(left_out) = edge.counters.repeats.due(message, "", edge.clock.now()) {
                    tracing::warn!(%error, left_out, "{message}");
                }
                edge.clock.sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // The other process accepts now. Answers under way still go out, that to `POST /upgrade` among them.
    drop(listener);
    let _ = stage
        .wait_for(|stage| *stage == ShutdownStage::Stopped)
        .await;
}

async fn connection(admin: &Arc<Admin>, slot: &ConnectionSlot, stream: AdminStream) {
    let stream = match stream {
        AdminStream::Unix(stream) => {
            return serve(admin, slot, stream, ClientProof::Plain).await;
        }
        AdminStream::Tcp(stream) => stream,
    };
    let Some(tls) = &admin.tls else {
        return serve(admin, slot, stream, ClientProof::Plain).await;
    };
    let clock = &admin.context.edge.clock;
    if let Some((stream, proof)) = protocol::handshake(tls, clock, stream).await {
        serve(admin, slot, stream, proof).await;
    }
}

async fn serve(
    admin: &Arc<Admin>,
    slot: &ConnectionSlot,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    proof: ClientProof,
) {
    let service =
        service_fn(async |request| Ok::<_, Infallible>(handle(admin, slot, proof, request).await));
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES)
        .max_headers(MAX_HEADERS);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = admin.handed_over() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an admin connection ended early");
    }
}

/// The handler of each endpoint.
fn router() -> Router<Arc<Handler>> {
    let handlers = [
        handler(Work::AtOnce, health::health),
        handler(Work::AtOnce, health::ready),
        handler(Work::Long, metrics::metrics),
        handler(Work::Long, fleet_stats::stats),
        handler(Work::Long, week::week),
        stream_handler(live::live),
        handler(Work::AtOnce, events::events),
        handler(Work::Long, origins::origins),
        handler(Work::AtOnce, origins::drain),
        handler(Work::AtOnce, origins::resume),
        handler(Work::Long, cluster::cluster),
        handler(Work::AtOnce, certificates::certificates),
        handler(Work::Long, disks::disks),
        handler(Work::Purging, purge::purge),
        handler(Work::Exchanging, purge::exchange),
        handler(Work::Long, maintenance::list),
        handler(Work::Long, maintenance::begin),
        handler(Work::Long, maintenance::end),
        handler(Work::Long, explain::answer),
        handler(Work::Compiling, versions::reload),
        handler(Work::Upgrading, upgrade::upgrade),
        handler(Work::Long, policies::policies),
        handler(Work::Long, policies::policy),
        handler(Work::Upload, versions::push),
        handler(Work::Undoing, versions::remove),
        handler(Work::Compiling, versions::activate),
        handler(Work::Undoing, versions::roll_back),
        handler(Work::Long, trials::shadow),
        handler(Work::Compiling, trials::start_shadow),
        handler(Work::Undoing, trials::stop_shadow),
        handler(Work::Long, trials::canary),
        handler(Work::Compiling, trials::start_canary),
        handler(Work::Undoing, trials::stop_canary),
        handler(Work::Long, data::tables),
        handler(Work::Long, data::table),
        handler(Work::UploadTable, data::push),
        handler(Work::Long, data::look_up),
        handler(Work::Long, data::roll_back),
        handler(Work::Long, data::remove),
        handler(Work::Long, warm::plans),
        handler(Work::Long, warm::runs),
        handler(Work::Long, warm::run),
        handler(Work::Long, warm::start),
        handler(Work::Long, warm::delete),
        handler(Work::Long, warm::cancel),
        handler(Work::AtOnce, openapi),
    ];
    let routes = handlers.map(|(endpoint, handler)| (endpoint, Arc::new(handler)));
    Router::new(routes.into())
}

fn openapi(_: &AdminContext, _: Call<'_, OpenApi>) -> Result<OpenApiText, AdminRefusal> {
    Ok(OpenApiText(OPENAPI.to_owned()))
}

async fn handle(
    admin: &Arc<Admin>,
    slot: &ConnectionSlot,
    proof: ClientProof,
    request: Request<Incoming>,
) -> Response<AdminBody> {
    let (parts, body) = request.into_parts();
    if let Some(page) = dashboard::page(&parts) {
        return page;
    }
    let (handler, parameters) = match admin.find(&parts, slot, proof) {
        Ok(found) => found,
        Err(refusal) => return refusal.into_response(),
    };
    let limit = handler.work.timeout();
    let answer = async {
        let upload = admin.upload(handler.work)?;
        let content = admin.content(handler.work, &parts.method, body).await?;
        let input = CallInput {
            parameters,
            query: parts.uri.query().map(str::to_owned),
            accept: accepted_types(&parts),
            content,
        };
        slot.while_busy(admin.answer(handler, input, upload)).await
    };
    match admin.context.edge.clock.timeout(limit, answer).await {
        Ok(Ok(reply)) => reply.into_response(),
        Ok(Err(refusal)) => refusal.into_response(),
        Err(_) => AdminRefusal::busy().into_response(),
    }
}

/// The lines of `Accept` as one.
fn accepted_types(request: &Parts) -> String {
    let lines = request.headers.get_all(header::ACCEPT).iter();
    let lines: Vec<&str> = lines.filter_map(|line| line.to_str().ok()).collect();
    lines.join(",")
}

impl Admin {
    /// The handler of a request, if the client may ask, and the parameters of the path.
    fn find(
        &self,
        request: &Parts,
        slot: &ConnectionSlot,
        proof: ClientProof,
    ) -> Result<(&Arc<Handler>, Vec<String>), AdminRefusal> {
        let path = request.uri.path();
        if !self.router.is_open(path) {
            let access = self.guard.admit(&request.headers, proof);
            access.inspect_err(|refusal| self.record_denial(refusal, slot))?;
        }
        let found = self.router.find(&request.method, path)?;
        if self.context.handover.is_under_way() && upgrade::is_put_off(&request.method, path) {
            return Err(upgrade::put_off(self.is_handed_over()));
        }
        Ok(found)
    }

    /// Waits until another process serves.
    async fn handed_over(&self) {
        let mut stage = self.context.stage.clone();
        let is_there = stage.wait_for(|_| self.is_handed_over()).await.is_ok();
        if !is_there {
            std::future::pending::<()>().await;
        }
    }

    /// Whether another process serves.
    fn is_handed_over(&self) -> bool {
        self.context.edge.succession.is_handed_over()
    }

    /// Counts a request that has no access, and tells of it once a minute: somebody may be trying
    /// tokens.
    fn record_denial(&self, refusal: &AdminRefusal, slot: &ConnectionSlot) {
        let edge = &self.context.edge;
        edge.counters.admin_refused(refusal.status());
        let message = "the admin interface denied access";
        if let Some(left_out) = edge.counters.repeats.due(message, "", edge.clock.now()) {
            let (client, reason) = (slot.client(), refusal.reason());
            tracing::warn!(%client, reason, left_out, "{message}");
        }
    }

    /// The permit for an upload, if the request is one.
    fn upload(&self, work: Work) -> Result<Option<OwnedSemaphorePermit>, AdminRefusal> {
        if !matches!(work, Work::Upload | Work::UploadTable) {
            return Ok(None);
        }
        match Arc::clone(&self.uploads).try_acquire_owned() {
            Ok(permit) => Ok(Some(permit)),
            Err(_) => Err(versions::another_upload()),
        }
    }

    async fn content(
        &self,
        work: Work,
        method: &Method,
        body: Incoming,
    ) -> Result<Bytes, AdminRefusal> {
        let clock = &self.context.edge.clock;
        let limit = match work {
            Work::Upload => Some(self.context.rollout.max_module()),
            Work::UploadTable => Some(self.context.data.max_table()),
            _ => None,
        };
        if let Some(limit) = limit {
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            return content(clock, body, limit, UPLOAD_TIMEOUT).await;
        }
        if *method == Method::POST {
            let limit = match work {
                Work::Exchanging => MAX_EXCHANGED_BYTES,
                _ => MAX_BODY_BYTES,
            };
            return content(clock, body, limit, BODY_TIMEOUT).await;
        }
        Ok(Bytes::new())
    }

    /// The answer of a handler. `permit` is kept until its work has ended, even if the client has
    /// gone by then.
    async fn answer(
        self: &Arc<Admin>,
        handler: &Arc<Handler>,
        input: CallInput,
        upload: Option<OwnedSemaphorePermit>,
    ) -> Result<AdminResponse, AdminRefusal> {
        let Some(lane) = self.lanes.of(handler.work) else {
            return handler.answer(&self.context, &input);
        };
        // The thread keeps the permit: it goes on even if the client no longer waits.
        let permit = Arc::clone(lane).acquire_owned().await;
        let (admin, handler) = (Arc::clone(self), Arc::clone(handler));
        let answer = tokio::task::spawn_blocking(move || {
            let _permits = (permit, upload);
            handler.answer(&admin.context, &input)
        });
        answer.await.unwrap_or_else(|_| Err(AdminRefusal::failed()))
    }
}

async fn content(
    clock: &Clock,
    body: Incoming,
    limit: usize,
    timeout: Duration,
) -> Result<Bytes, AdminRefusal> {
    if http_body::Body::size_hint(&body).lower() > limit as u64 {
        return Err(AdminRefusal::too_large(limit));
    }
    match clock
        .timeout(timeout, Limited::new(body, limit).collect())
        .await
    {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(AdminRefusal::too_large(limit))
        }
        Ok(Err(_)) => Err(AdminRefusal::bad(
            "the content was cut short",
            "send it whole",
        )),
        Err(_) => Err(AdminRefusal::slow()),
    }
}

#[cfg(test)]
mod tests;
