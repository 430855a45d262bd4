//! The sample site behind `tero demo`: a booking site for barbers in Argentina, served by a small
//! origin of its own.
//!
//! It has the traits of real applications: pages that differ by device, a slow availability API,
//! payments whose fields wrongly allow storing. Every response says in `X-Origin-Requests` how many
//! requests for its path reached the origin, so a visitor of the edge sees which requests did.
//! [`visitors`] sends synthetic traffic to the edge in front.

mod images;
mod pages;
mod screen;
mod shops;
mod site;
pub mod visitors;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};

use site::{SiteAnswer, SiteRequest};
use tero_time::clock::Clock;

/// The most open connections; further ones wait in the accept queue.
const MAX_CONNECTIONS: usize = 1_024;
/// The longest request body in bytes; a longer one is answered with 413.
const MAX_BODY: usize = 64 * 1024;
/// The most paths with a counter of their own; further paths share one.
const MAX_COUNTED_PATHS: usize = 10_000;

/// The response field with the number of requests for this path so far, this one included.
pub const REQUESTS_FIELD: &str = "x-origin-requests";

/// The running origin. Dropping it stops it.
#[derive(Debug)]
pub struct DemoOrigin {
    address: SocketAddr,
    state: Arc<OriginState>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The state that connections share.
#[derive(Debug)]
struct OriginState {
    clock: Clock,
    health: AtomicU8,
    asked: Mutex<HashMap<String, u64>>,
    /// Where the dashboard of the edge in front is.
    dashboard: OnceLock<HeaderValue>,
}

/// How the origin answers: normally, or broken in one of two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Well,
    /// Every response is a 503.
    Failing,
    /// Connections are closed without a response.
    Closing,
}

impl DemoOrigin {
    /// Starts the origin on `address`, on a thread of its own. Port 0 is any free port.
    ///
    /// # Errors
    /// If the address can't be listened on, or the thread can't be started.
    pub fn start(address: SocketAddr, clock: Clock) -> std::io::Result<DemoOrigin> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let state = Arc::new(OriginState {
            clock,
            health: AtomicU8::new(Health::Well as u8),
            asked: Mutex::default(),
            dashboard: OnceLock::new(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("demo-origin".to_owned())
            .spawn({
                let state = Arc::clone(&state);
                move || {
                    runtime.block_on(async move {
                        tokio::select! {
                            () = accept(listener, state) => {}
                            _ = stopped => {}
                        }
                    });
                }
            })?;
        Ok(DemoOrigin {
            address,
            state,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has `/tablero`, which the pages link, lead to the dashboard at this URL. The first one stays.
    ///
    /// # Errors
    /// If the URL has characters that a header field can't carry.
    pub fn link_dashboard(&self, url: &str) -> Result<(), http::header::InvalidHeaderValue> {
        let _ = self.state.dashboard.set(HeaderValue::try_from(url)?);
        Ok(())
    }

    /// How many requests it has answered in all, except those below `/_demo/`.
    pub fn requests(&self) -> u64 {
        self.state.asked().values().sum()
    }
}

impl Drop for DemoOrigin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The thread has already reported its panic.
            let _ = thread.join();
        }
    }
}

impl OriginState {
    fn health(&self) -> Health {
        match self.health.load(Ordering::Relaxed) {
            1 => Health::Failing,
            2 => Health::Closing,
            _ => Health::Well,
        }
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, HashMap<String, u64>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, path: &str) -> u64 {
        let mut asked = self.asked();
        let path = if asked.len() < MAX_COUNTED_PATHS || asked.contains_key(path) {
            path
        } else {
            "(others)"
        };
        let count = asked.entry(path.to_owned()).or_default();
        *count += 1;
        *count
    }
}

async fn accept(listener: std::net::TcpListener, state: Arc<OriginState>) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let permit = Arc::clone(&room).acquire_owned().await;
        let Ok((stream, _)) = listener.accept().await else {
            // Most likely there are no file descriptors left: wait for connections to end.
            state.clock.sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Without this, the second write of a small response waits for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = service_fn(move |request| respond(Arc::clone(&state), request));
            // A broken connection is the client's problem.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(permit);
        });
    }
}

/// Makes hyper close the connection without a response.
#[derive(Debug, thiserror::Error)]
#[error("the demo origin was told to close connections")]
struct ConnectionClosed;

async fn respond(
    state: Arc<OriginState>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, ConnectionClosed> {
    let (head, body) = request.into_parts();
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE, "demasiado largo\n"));
    }
    let posted = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE, "demasiado largo\n")),
    };
    let path = head.uri.path();
    if path.starts_with("/_demo/") {
        return Ok(control(&state, &head));
    }
    if path == "/tablero"
        && let Some(url) = state.dashboard.get()
    {
        let mut response = plain(StatusCode::FOUND, "");
        response.headers_mut().insert(header::LOCATION, url.clone());
        return Ok(response);
    }
    let requests = state.count(path);
    let mut response = match state.health() {
        Health::Closing => return Err(ConnectionClosed),
        Health::Failing => plain(StatusCode::SERVICE_UNAVAILABLE, "origen caído\n"),
        Health::Well => {
            let ask = SiteRequest {
                head: &head,
                body: &posted,
                now: state.clock.wall(),
                requests,
            };
            let answer = site::answer(&ask);
            state.clock.sleep(answer.delay).await;
            finish(&head, answer)
        }
    };
    response
        .headers_mut()
        .insert(REQUESTS_FIELD, HeaderValue::from(requests));
    response
        .headers_mut()
        .insert(header::SERVER, HeaderValue::from_static("barberpro-demo"));
    Ok(response)
}

/// Makes the response; a conditional request whose validators match gets a 304 (RFC 9110 §13.2.2).
fn finish(head: &http::request::Parts, answer: SiteAnswer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.fields;
    let safe = head.method == Method::GET || head.method == Method::HEAD;
    if safe
        && answer.status == StatusCode::OK
        && site::not_modified(&head.headers, response.headers())
    {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Full::default();
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
    response
}

/// Answers `/_demo/…`, which breaks and repairs the origin. Only direct clients may use it:
/// requests through the edge get a 404.
fn control(state: &OriginState, head: &http::request::Parts) -> Response<Full<Bytes>> {
    if head.headers.contains_key(header::VIA) {
        return plain(StatusCode::NOT_FOUND, "no existe\n");
    }
    let (health, text) = match (head.method.as_str(), head.uri.path()) {
        ("POST", "/_demo/fail") => (
            Health::Failing,
            "the origin now answers 503 to everything\n",
        ),
        ("POST", "/_demo/close") => (
            Health::Closing,
            "the origin now closes every connection without an answer\n",
        ),
        ("POST", "/_demo/recover") => (Health::Well, "the origin is well again\n"),
        ("GET", "/_demo/requests") => return requests(state),
        _ => {
            return plain(
                StatusCode::NOT_FOUND,
                "POST /_demo/fail, /_demo/close or /_demo/recover; GET /_demo/requests\n",
            );
        }
    };
    state.health.store(health as u8, Ordering::Relaxed);
    plain(StatusCode::OK, text)
}

fn requests(state: &OriginState) -> Response<Full<Bytes>> {
    let mut paths: Vec<(String, u64)> = state
        .asked()
        .iter()
        .map(|(path, count)| (path.clone(), *count))
        .collect();
    paths.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    let total: u64 = paths.iter().map(|(_, count)| count).sum();
    let paths: serde_json::Map<String, serde_json::Value> = paths
        .into_iter()
        .map(|(path, count)| (path, count.into()))
        .collect();
    let text = format!(
        "{:#}\n",
        serde_json::json!({ "total": total, "paths": paths })
    );
    let mut response = plain(StatusCode::OK, text);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
