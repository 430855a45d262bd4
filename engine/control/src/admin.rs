//! The operators' interface: JSON over HTTP/1.1 on a listener, a thread and a runtime of its own.
//!
//! It looks at the edge from outside and never stands in the way of a visitor's request. What may
//! take long (purges, figures) runs on threads of its own, so that `/health` always answers.

// A refusal is made once for an operator's mistake, never on a visitor's path: its size costs
// nobody anything.
#![allow(clippy::result_large_err)]

#[doc(hidden)] // Public for the fuzz targets and the replay of their corpus.
pub mod asked;
mod explain;
#[doc(hidden)] // Only the fuzz targets and the replay of their corpus have a use for it.
pub mod fuzzing;
mod guard;
mod health;
mod metrics;
mod policies;
mod purge;
mod reply;
mod route;
mod stats;
mod trials;
mod versions;
mod warm;

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Semaphore, watch};

use crate::reload::Reloader;
use crate::rollout::Rollout;
use crate::warm::Warmer;
use guard::AccessGuard;
use reply::{AdminRefusal, AdminResponse};
use route::Route;
use tero_config as config;
use tero_edge::request::Edge;
use tero_edge::server::ShutdownStage;
use tero_policy_host::Host;
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;

/// Open connections at once; beyond it, new ones wait in the accept queue.
const MAX_CONNECTIONS: usize = 128;
/// Request line and header fields together, in bytes.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// Header fields of a request.
const MAX_HEADERS: usize = 64;
/// The content of a request, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// From the start of a connection, or the end of a request, to the end of the next header.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// From the end of the header to the end of the content; of a version that is pushed.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(300);
/// From the end of the header to the answer; where policies are compiled first.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const COMPILE_TIMEOUT: Duration = Duration::from_secs(600);
/// Versions that are uploaded at the same time: each is in memory as a whole.
const UPLOADS: usize = 1;
/// Threads for what may take long.
const BLOCKING_THREADS: usize = 4;
/// How long the accept loop rests after an error such as "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the interface looks at.
#[derive(Debug)]
pub struct AdminContext {
    /// The store, the sites and their counters.
    pub edge: Arc<Edge>,
    /// The policies' host.
    pub host: Arc<Host>,
    /// The warming plans.
    pub warmer: Arc<Warmer>,
    /// What the edge is not ready without.
    pub ready: ReadinessRule,
    /// The versions of the policies.
    pub rollout: Arc<Rollout>,
    /// Takes over the configuration's file anew.
    pub reloader: Arc<Reloader>,
    /// How far the edge has come with stopping.
    pub stage: watch::Receiver<ShutdownStage>,
}

/// When the edge is ready.
#[derive(Clone, Debug, Default)]
pub struct ReadinessRule {
    /// Once these plans have run.
    pub after: Vec<Arc<str>>,
    /// But then at the latest.
    pub at_last: Timestamp,
}

/// What every connection shares.
#[derive(Debug)]
struct Admin {
    state: Arc<AdminContext>,
    guard: AccessGuard,
    connections: Arc<Semaphore>,
    uploads: Semaphore,
}

/// Starts the interface on `listener`. It answers while the edge drains, `/ready` with 503; its
/// thread ends when the edge has stopped.
///
/// # Errors
/// When a thread or its runtime can't be made.
pub fn start(
    state: AdminContext,
    settings: &config::Admin,
    listener: TcpListener,
) -> io::Result<JoinHandle<()>> {
    listener.set_nonblocking(true)?;
    let guard = AccessGuard::new(settings.token.as_deref(), listener.local_addr()?.ip());
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let admin = Arc::new(Admin {
        state: Arc::new(state),
        guard,
        connections,
        uploads: Semaphore::new(UPLOADS),
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()?;
    std::thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || {
            runtime.block_on(accept(&admin, listener));
            // What still runs on a blocking thread must not hold up the end.
            runtime.shutdown_background();
        })
}

async fn accept(admin: &Arc<Admin>, listener: TcpListener) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the admin listener can't be used"),
    };
    let mut stage = admin.state.stage.clone();
    loop {
        let accepted = async {
            // A permit first: what is over the bound waits in the kernel's queue.
            let permit = Arc::clone(&admin.connections).acquire_owned().await;
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            accepted = accepted => accepted,
            _ = stage.wait_for(|stage| *stage == ShutdownStage::Stopped) => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let admin = Arc::clone(admin);
                tokio::spawn(async move {
                    connection(admin, stream).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "an admin connection can't be accepted");
                admin.state.edge.clock.sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(admin: Arc<Admin>, stream: tokio::net::TcpStream) {
    let service = service_fn(|request| {
        let admin = Arc::clone(&admin);
        async move { Ok::<_, Infallible>(handle(&admin, request).await) }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES)
        .max_headers(MAX_HEADERS);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "an admin connection ended early");
    }
}

async fn handle(admin: &Arc<Admin>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let limit = if route::may_compile(request.uri().path()) {
        COMPILE_TIMEOUT
    } else {
        ANSWER_TIMEOUT
    };
    match admin
        .state
        .edge
        .clock
        .timeout(limit, answer(admin, request))
        .await
    {
        Ok(Ok(reply)) => reply.into_response(),
        Ok(Err(refusal)) => refusal.into_response(),
        Err(_) => AdminRefusal::busy().into_response(),
    }
}

async fn answer(
    admin: &Arc<Admin>,
    request: Request<Incoming>,
) -> Result<AdminResponse, AdminRefusal> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    if !route::is_open(path) {
        admin.guard.admit(&parts.headers)?;
    }
    // A HEAD is answered like a GET; hyper leaves the content out.
    let method = if parts.method == Method::HEAD {
        &Method::GET
    } else {
        &parts.method
    };
    let route = route::find(method, path)?;
    let state = Arc::clone(&admin.state);
    let mut _upload = None;
    let body = match &route {
        Route::Push(_) => {
            _upload = Some(
                admin
                    .uploads
                    .try_acquire()
                    .map_err(|_| versions::another_upload())?,
            );
            let limit = usize::try_from(state.rollout.max_module()).unwrap_or(usize::MAX);
            content(&state.edge.clock, body, limit, UPLOAD_TIMEOUT).await?
        }
        _ if parts.method == Method::POST => {
            content(&state.edge.clock, body, MAX_BODY_BYTES, BODY_TIMEOUT).await?
        }
        _ => Bytes::new(),
    };
    match route {
        Route::Health => Ok(health::health()),
        Route::Ready => health::ready(&state, parts.uri.query()),
        Route::OpenApi => Ok(AdminResponse::json_text(tero_admin_api::OPENAPI)),
        route => tokio::task::spawn_blocking(move || match route {
            Route::Metrics => metrics::metrics(&state),
            Route::Stats => Ok(stats::stats(&state)),
            Route::Policies => Ok(policies::policies(&state)),
            Route::Policy(name) => policies::policy(&state, &name),
            Route::Push(name) => versions::push(&state, &name, &body),
            Route::Activate(name) => versions::activate(&state, &name, &body),
            Route::RollBack(name) => versions::roll_back(&state, &name),
            Route::Shadow(name) => trials::shadow(&state, &name),
            Route::StartShadow(name) => trials::start_shadow(&state, &name, &body),
            Route::StopShadow(name) => trials::stop_shadow(&state, &name),
            Route::Canary(name) => trials::canary(&state, &name),
            Route::StartCanary(name) => trials::start_canary(&state, &name, &body),
            Route::StopCanary(name) => trials::stop_canary(&state, &name),
            Route::Reload => versions::reload(&state),
            Route::Explain => explain::answer(&state, &body),
            Route::Purge => purge::purge(&state, &body),
            Route::StartWarm(plan) => warm::start(&state, &plan, parts.uri.query()),
            Route::CancelWarm(plan) => warm::cancel(&state, &plan),
            Route::WarmPlans => Ok(warm::plans(&state)),
            Route::WarmRuns => Ok(warm::runs(&state)),
            Route::WarmRun(id) => warm::run(&state, id),
            Route::Health | Route::Ready | Route::OpenApi => Ok(health::health()),
        })
        .await
        .unwrap_or_else(|_| Err(AdminRefusal::failed())),
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
