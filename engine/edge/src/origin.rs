//! Connections to the next hop: pools, timeouts, retries, health.
//!
//! Each worker thread keeps its own idle connections, since a connection lives on the runtime that
//! opened it. A request is sent a second time only when the first try can't have reached the
//! application, or when repeating it is safe (RFC 9110 §9.2.2).

mod connection;
mod error;
mod pool;
mod stream;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::UPGRADE;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use connection::{NextHopConnection, SendResult};
use error::fault_in;
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;

pub use error::OriginError;

/// How long a next hop that could not be reached is left alone while there are others.
const REST_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// A failure of a streamed body.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;
/// What a request to the next hop carries.
pub type RequestBody = UnsyncBoxBody<Bytes, BodyError>;

/// Makes a request once more, if that can be done.
pub type RequestCopy<'a> = dyn FnMut() -> Option<Request<RequestBody>> + Send + 'a;

/// A next hop.
#[derive(Debug)]
struct NextHop {
    /// Unique in the process, for the per-thread pools.
    id: usize,
    host: String,
    port: u16,
    authority: String,
    /// Until when it is left alone, in milliseconds since the epoch.
    rests_until: AtomicI64,
}

/// How requests travel to a site's next hops.
#[derive(Clone, Debug)]
pub struct OriginSettings {
    /// Host and port of each.
    pub hops: Vec<(String, u16)>,
    /// Requests under way at once.
    pub max_fetches: usize,
    /// To open a connection.
    pub connect_timeout: Duration,
    /// From the request to the head of the response.
    pub response_timeout: Duration,
    /// Bytes of the head of a response, in all.
    pub max_header_bytes: usize,
    /// Fields in the head of a response.
    pub max_headers: usize,
}

/// The next hops of a site.
#[derive(Debug)]
pub struct Origin {
    hops: Vec<NextHop>,
    next: AtomicUsize,
    fetches: Arc<Semaphore>,
    settings: OriginSettings,
    clock: Clock,
}

/// An answer of the next hop; its body holds one of the site's `max_fetches` until it is dropped.
#[derive(Debug)]
pub struct OriginResponse {
    /// Head and body.
    pub response: Response<Incoming>,
    /// Held while the body is read.
    pub permit: OwnedSemaphorePermit,
}

impl Origin {
    /// The next hops of `settings`, with no connection yet.
    pub fn new(settings: OriginSettings, clock: Clock) -> Origin {
        static NEXT_ID: AtomicUsize = AtomicUsize::new(0);
        let hops = settings.hops.iter().map(|(host, port)| NextHop {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            host: host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned(),
            port: *port,
            authority: if *port == 80 {
                host.clone()
            } else {
                format!("{host}:{port}")
            },
            rests_until: AtomicI64::new(i64::MIN),
        });
        Origin {
            hops: hops.collect(),
            next: AtomicUsize::new(0),
            fetches: Arc::new(Semaphore::new(settings.max_fetches)),
            settings,
            clock,
        }
    }

    /// Whether visitors leave room for what nobody waits for: a quarter of `max_fetches` is always
    /// theirs.
    pub fn has_room(&self) -> bool {
        self.fetches.available_permits() > self.settings.max_fetches / 4
    }

    /// Sends a request and waits for the head of the answer. `request` has an origin-form target
    /// and its `Host`. Where it may be repeated, `again` makes the same once more.
    ///
    /// # Errors
    /// [`OriginError`], with nothing sent in the cases of `Connect`, `ConnectTimeout` and `Busy`.
    pub async fn fetch(
        &self,
        mut request: Request<RequestBody>,
        mut again: Option<&mut RequestCopy<'_>>,
    ) -> Result<OriginResponse, OriginError> {
        let permit = self.permit().await?;
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut failure = OriginError::Busy;
        for hop in self.in_turn(first) {
            match self.fetch_from(hop, request, again.as_deref_mut()).await {
                Ok(response) => return Ok(OriginResponse { response, permit }),
                Err((error, Some(unsent))) => {
                    hop.rests_until.store(
                        self.clock
                            .now()
                            .saturating_add(REST_AFTER_FAILURE)
                            .unix_millis(),
                        Ordering::Relaxed,
                    );
                    request = unsent;
                    failure = error;
                }
                Err((error, None)) => return Err(error),
            }
        }
        Err(failure)
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, OriginError> {
        let fetches = Arc::clone(&self.fetches);
        if let Ok(permit) = Arc::clone(&fetches).try_acquire_owned() {
            return Ok(permit);
        }
        match self
            .clock
            .timeout(self.settings.connect_timeout, fetches.acquire_owned())
            .await
        {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(OriginError::Busy),
        }
    }

    /// All hops once, those that can be reached first, beginning with another one each time.
    fn in_turn(&self, first: usize) -> Vec<&NextHop> {
        if let [only] = &self.hops[..] {
            return vec![only];
        }
        let now = self.clock.now();
        let rests = |hop: &&NextHop| {
            Timestamp::from_unix_millis(hop.rests_until.load(Ordering::Relaxed)) > now
        };
        let turn = || (0..self.hops.len()).map(|step| &self.hops[(first + step) % self.hops.len()]);
        turn()
            .filter(|hop| !rests(hop))
            .chain(turn().filter(rests))
            .collect()
    }

    /// Sends a request to one hop; gives it back where it was not sent.
    async fn fetch_from(
        &self,
        hop: &NextHop,
        mut request: Request<RequestBody>,
        mut again: Option<&mut RequestCopy<'_>>,
    ) -> Result<Response<Incoming>, (OriginError, Option<Request<RequestBody>>)> {
        while let Some(idle) = pool::take_idle(hop.id, self.clock.now(), again.is_some()) {
            match self.send(hop, idle, request).await {
                Ok(response) => return Ok(response),
                Err(SendError {
                    unsent: Some(unsent),
                    ..
                }) => request = unsent,
                // It may be that the hop closed the connection at this very moment: then it ends
                // without a byte of an answer, and the application has not seen the request (RFC
                // 9112 §9.3.1).
                Err(SendError {
                    error, was_silent, ..
                }) => match again
                    .as_mut()
                    .filter(|_| was_silent)
                    .and_then(|again| again())
                {
                    Some(again) => {
                        request = again;
                        break;
                    }
                    None => return Err((error, None)),
                },
            }
        }
        let opened = match self
            .clock
            .timeout(
                self.settings.connect_timeout,
                connection::open(&hop.host, hop.port, &self.settings),
            )
            .await
        {
            Ok(Ok(opened)) => opened,
            Ok(Err(source)) => {
                return Err((
                    OriginError::Connect {
                        origin: hop.authority.clone(),
                        source,
                    },
                    Some(request),
                ));
            }
            Err(_) => {
                return Err((
                    OriginError::ConnectTimeout {
                        origin: hop.authority.clone(),
                    },
                    Some(request),
                ));
            }
        };
        self.send(hop, opened, request)
            .await
            .map_err(|failed| (failed.error, failed.unsent))
    }

    async fn send(
        &self,
        hop: &NextHop,
        mut connection: NextHopConnection,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, SendError> {
        let origin = hop.authority.clone();
        let asks_to_switch = request.headers().contains_key(UPGRADE);
        let (error, was_silent) = match self
            .clock
            .timeout(self.settings.response_timeout, connection.send(request))
            .await
        {
            Ok(SendResult::Answered(response))
                if response.status() != StatusCode::SWITCHING_PROTOCOLS =>
            {
                pool::keep(hop.id, connection, self.clock.now());
                return Ok(response);
            }
            Ok(SendResult::Answered(response)) if asks_to_switch => return Ok(response),
            Ok(SendResult::Answered(_)) => (OriginError::Switched { origin }, false),
            Ok(SendResult::Unsent(request, source)) => {
                let error = OriginError::Broken { origin, source };
                return Err(SendError {
                    error,
                    unsent: Some(request),
                    was_silent: true,
                });
            }
            Ok(SendResult::Broken { source, .. }) if source.is_user() => {
                (OriginError::RequestBody { source }, false)
            }
            Ok(SendResult::Broken { source, was_silent }) => match fault_in(&source) {
                Some(fault) => (OriginError::Malformed { origin, fault }, false),
                None => (OriginError::Broken { origin, source }, was_silent),
            },
            Err(_) => (OriginError::ResponseTimeout { origin }, false),
        };
        Err(SendError {
            error,
            unsent: None,
            was_silent,
        })
    }
}

/// What became of a request that was not answered.
struct SendError {
    error: OriginError,
    /// The request, where nothing of it was sent.
    unsent: Option<Request<RequestBody>>,
    /// The connection ended in order, without a byte of an answer.
    was_silent: bool,
}

/// The same request once more, if it has no body.
pub fn copy(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    if !http_body::Body::is_end_stream(request.body()) {
        return None;
    }
    let mut again = Request::new(empty());
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.headers_mut() = request.headers().clone();
    // Whoever wants the interim responses wants those to the second one.
    *again.extensions_mut() = request.extensions().clone();
    Some(again)
}

/// No body.
pub fn empty() -> RequestBody {
    use http_body_util::{BodyExt, Empty};
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}
