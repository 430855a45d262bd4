//! Connections to the next hops of a site: pools, timeouts, retries, health.
//!
//! [`permits`] bounds how many requests are under way, and describes who holds a place until when.
//! Each worker thread keeps its own idle connections, since a connection stays on the runtime that
//! opened it. A request is sent a second time only if the next hop can't have handled the first
//! one, or if repeating it is safe (RFC 9110 §9.2.2).

mod addresses;
mod connection;
mod error;
mod hop_counters;
mod next_hop;
mod permits;
mod pool;
mod sending;
mod socket;
mod stream;
mod tls;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, UPGRADE, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode, Version};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;

use connection::{NextHopConnection, SendResult, StreamPlace};
use error::SendError;
use next_hop::NextHop;
use permits::{PermitLimits, PermitPool};
use sending::SendingContent;
use socket::PlainSocket;
use tero_config as config;
use tero_semantics::forwarding;
use tero_time::clock::{Clock, TimeoutError};

pub use error::OriginError;
pub(crate) use error::is_slow_client;
pub use hop_counters::HopFigures;
pub use permits::FetchPermit;
pub use tls::OriginTlsError;

/// For this time after a failed connection, a next hop is tried after all others.
const REST_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// A failure of a streamed body.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;
/// The body of a request to the next hop.
pub type RequestBody = UnsyncBoxBody<Bytes, BodyError>;

/// Makes the same request again; `None` if that is impossible.
pub type RequestCopy<'a> = dyn FnMut() -> Option<Request<RequestBody>> + Send + 'a;

/// How requests reach the next hops of a site.
#[derive(Clone, Debug)]
pub struct OriginSettings {
    /// The next hops.
    pub hops: Vec<config::Origin>,
    /// How often their names are looked up.
    pub look_up_every: Duration,
    /// How long a connection is used for further requests.
    pub max_connection_age: Duration,
    /// Requests under way at the same time, at most.
    pub max_fetches: usize,
    /// Connections in use at the same time, at most, also by requests that have given back their
    /// place among `max_fetches`.
    pub max_connections: usize,
    /// How long a request that waits for its client keeps its place among `max_fetches`.
    pub release_after: Duration,
    /// How long a request waits for one of the `max_fetches`, and how long for a connection.
    pub connect_timeout: Duration,
    /// The time from the end of the request to the head of the response, at most.
    pub response_timeout: Duration,
    /// The head of a response, at most, in bytes.
    pub max_header_bytes: usize,
    /// Fields in the head of a response, at most.
    pub max_headers: usize,
}

/// The next hops of a site.
#[derive(Debug)]
pub struct Origin {
    hops: Vec<NextHop>,
    /// Where the next request begins in `hops`.
    next: AtomicUsize,
    permits: Arc<PermitPool>,
    settings: OriginSettings,
    clock: Clock,
}

/// Where the content of a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentSource {
    /// All of it is at hand, or there is none.
    AtHand,
    /// The client is still sending it.
    Client,
}

/// A response of a next hop.
#[derive(Debug)]
pub struct OriginResponse {
    /// Head and body.
    pub response: Response<Incoming>,
    /// The place of the next hop that answered among those of the site.
    pub hop: usize,
    /// The request's place among the site's `max_fetches`: hold it until the body was read.
    pub permit: FetchPermit,
}

/// What one hop answered.
struct HopAnswer {
    response: Response<Incoming>,
    /// The request's place on a connection that it shares.
    stream: Option<StreamPlace>,
}

/// A connection for one request.
struct TakenConnection {
    connection: NextHopConnection,
    /// The request's place on it, if others share it.
    stream: Option<StreamPlace>,
}

impl TakenConnection {
    /// One that no other request uses.
    fn alone(connection: NextHopConnection) -> TakenConnection {
        TakenConnection {
            connection,
            stream: None,
        }
    }
}

/// A try to get an answer from one hop.
#[derive(Clone, Copy)]
struct Attempt<'a> {
    hop: &'a NextHop,
    /// How far the content of the request has been sent; `None` without content.
    sending: Option<&'a Arc<SendingContent>>,
}

/// Whether TLS to an origin could be set up: its files are read, and nothing is connected to.
///
/// # Errors
/// [`OriginTlsError`]
pub fn check(origin: &config::Origin) -> Result<(), OriginTlsError> {
    NextHop::new(origin, Duration::ZERO).map(|_| ())
}

impl Origin {
    /// The next hops of `settings`, without connections.
    ///
    /// # Errors
    /// [`OriginTlsError`]: TLS to one of them can't be set up.
    pub fn new(settings: OriginSettings, clock: Clock) -> Result<Origin, OriginTlsError> {
        let limits = PermitLimits {
            fetches: settings.max_fetches,
            connections: settings.max_connections,
            release_after: settings.release_after,
        };
        let hops = settings.hops.iter();
        let hops = hops.map(|hop| NextHop::new(hop, settings.look_up_every));
        Ok(Origin {
            hops: hops.collect::<Result<_, _>>()?,
            next: AtomicUsize::new(0),
            permits: PermitPool::new(limits),
            settings,
            clock,
        })
    }

    /// Whether there is room for a fetch that no visitor waits for: a quarter of `max_fetches` is
    /// reserved for visitors.
    pub fn has_room(&self) -> bool {
        self.permits.available(self.clock.now()) > self.settings.max_fetches / 4
    }

    /// The figures of each next hop.
    pub fn figures(&self) -> Vec<HopFigures> {
        let now = self.clock.now();
        self.hops.iter().map(|hop| hop.figures(now)).collect()
    }

    /// Sends a request and waits for the head of its response. `request` has an origin-form target
    /// and a `Host`, and its content comes from `source`. If the request may be repeated, `again`
    /// makes it once more.
    ///
    /// # Errors
    /// [`OriginError`]. Nothing was sent in the cases `Connect`, `Exhausted`, `ConnectTimeout` and
    /// `Busy`.
    pub async fn fetch(
        &self,
        mut request: Request<RequestBody>,
        source: ContentSource,
        mut again: Option<&mut RequestCopy<'_>>,
    ) -> Result<OriginResponse, OriginError> {
        let patience = self.settings.connect_timeout;
        let permit = self.permits.take(&self.clock, patience).await;
        let mut permit = permit.ok_or(OriginError::Busy)?;
        if source == ContentSource::Client {
            permit.lend(self.clock.now());
        }
        let sending = SendingContent::watch(&mut request, &self.clock);
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut last_error = OriginError::Busy;
        for place in self.in_turn(first) {
            let hop = &self.hops[place];
            let attempt = Attempt {
                hop,
                sending: sending.as_ref(),
            };
            let asked_at = self.clock.now();
            let answer = self
                .fetch_from(attempt, request, again.as_deref_mut())
                .await;
            let result = answer.as_ref().map(|answer| answer.response.status());
            let took = self.clock.now().since(asked_at);
            hop.counters
                .record(result.map_err(|failure| &failure.error), took);
            let failure = match answer {
                Ok(HopAnswer { response, stream }) => {
                    permit.hold(stream);
                    return Ok(OriginResponse {
                        response,
                        hop: place,
                        permit,
                    });
                }
                Err(failure) => failure,
            };
            let Some(unsent) = failure.unsent else {
                return Err(failure.error);
            };
            if let OriginError::Exhausted { .. } = failure.error {
                // The next hop has done nothing wrong, and another one could not be reached either.
                return Err(failure.error);
            }
            hop.rest_until(self.clock.now().saturating_add(REST_AFTER_FAILURE));
            request = unsent;
            last_error = failure.error;
        }
        Err(last_error)
    }

    /// The place of each hop once, beginning with the one at `first`. Hops that rest come last.
    fn in_turn(&self, first: usize) -> Vec<usize> {
        if let [_] = &self.hops[..] {
            return vec![0];
        }
        let now = self.clock.now();
        let turn = || (0..self.hops.len()).map(|step| (first + step) % self.hops.len());
        turn()
            .filter(|place| !self.hops[*place].rests_at(now))
            .chain(turn().filter(|place| self.hops[*place].rests_at(now)))
            .collect()
    }

    /// Host and port of the hop at that place, for messages.
    pub fn authority_at(&self, place: usize) -> Option<&str> {
        self.hops.get(place).map(|hop| &*hop.name)
    }

    /// Sends a request to one hop: on open connections, then on a new one.
    async fn fetch_from(
        &self,
        attempt: Attempt<'_>,
        mut request: Request<RequestBody>,
        mut again: Option<&mut RequestCopy<'_>>,
    ) -> Result<HopAnswer, SendError> {
        let hop = attempt.hop;
        // Upgrades are of HTTP/1.1 (RFC 9110 §7.8).
        let only_http1 = request.headers().contains_key(UPGRADE);
        while let Some(open) = self.take_open(hop, only_http1, again.is_some()) {
            let mut failure = match self.send(attempt, open, request).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if let Some(unsent) = failure.unsent.take() {
                request = unsent;
                continue;
            }
            // The hop may have closed the connection at this very moment: then the connection ends
            // without a byte of a response, and the hop has not handled the request (RFC 9112
            // §9.3.1, RFC 9113 §8.7).
            let again = again.as_mut().filter(|_| failure.was_silent);
            match again.and_then(|again| again()) {
                Some(copy) => request = copy,
                None => return Err(failure),
            }
            break;
        }
        let opened = if hop.may_share() && !only_http1 {
            self.open_shared(hop).await
        } else {
            self.open(hop, only_http1).await.map(TakenConnection::alone)
        };
        match opened {
            Ok(connection) => self.send(attempt, connection, request).await,
            Err(error) => Err(SendError::unsent(error, request)),
        }
    }

    /// An open connection that can take a request.
    fn take_open(
        &self,
        hop: &NextHop,
        only_http1: bool,
        can_repeat: bool,
    ) -> Option<TakenConnection> {
        let (now, max_age) = (self.clock.now(), self.settings.max_connection_age);
        if hop.may_share()
            && !only_http1
            && let Some((connection, stream)) = pool::join_shared(hop, now, max_age)
        {
            return Some(TakenConnection {
                connection,
                stream: Some(stream),
            });
        }
        let idle = pool::take_idle(hop, now, max_age, can_repeat);
        idle.map(TakenConnection::alone)
    }

    /// Opens a connection that several requests share. Of a crowd, one opens it and the others
    /// wait, unless the hop turns out not to speak HTTP/2.
    async fn open_shared(&self, hop: &NextHop) -> Result<TakenConnection, OriginError> {
        let turn = pool::opening(hop);
        let turn = self
            .clock
            .timeout(self.settings.connect_timeout, turn.lock())
            .await;
        let Ok(_turn) = turn else {
            return Err(OriginError::ConnectTimeout {
                origin: hop.name.clone(),
            });
        };
        if !hop.may_share() {
            return self.open(hop, false).await.map(TakenConnection::alone);
        }
        let (now, max_age) = (self.clock.now(), self.settings.max_connection_age);
        if let Some((connection, stream)) = pool::join_shared(hop, now, max_age) {
            return Ok(TakenConnection {
                connection,
                stream: Some(stream),
            });
        }
        let connection = self.open(hop, false).await?;
        let Some((joined, stream)) = connection.join(hop.max_streams) else {
            return Ok(TakenConnection::alone(connection));
        };
        pool::share(hop, connection, now);
        Ok(TakenConnection {
            connection: joined,
            stream: Some(stream),
        })
    }

    /// Connects. If the edge lacks the room, it closes the idle connections of this thread and tries
    /// once more.
    async fn connect_with_room(&self, hop: &NextHop) -> io::Result<PlainSocket> {
        match hop.connect(&self.clock).await {
            Err(error) if error::is_own(&error) && pool::close_idle() => {
                // Their tasks close the sockets.
                tokio::task::yield_now().await;
                hop.connect(&self.clock).await
            }
            connected => connected,
        }
    }

    /// Opens a connection. `connect_timeout` bounds all of it, the TLS handshake included.
    async fn open(
        &self,
        hop: &NextHop,
        only_http1: bool,
    ) -> Result<NextHopConnection, OriginError> {
        let origin = || hop.name.clone();
        let opening = async {
            let socket = self.connect_with_room(hop).await;
            let socket = socket.map_err(|source| OriginError::connect(origin(), source))?;
            let secured = hop.secure(socket, only_http1, &self.clock).await;
            let secured = secured.map_err(|source| OriginError::Tls {
                origin: origin(),
                source,
            })?;
            let (settings, now) = (&self.settings, self.clock.now());
            let spoken = connection::speak(secured.socket, secured.spoken, settings, now).await;
            spoken.map_err(|source| OriginError::connect(origin(), source))
        };
        let timeout = self.settings.connect_timeout;
        let opened = self.clock.timeout(timeout, opening).await;
        let connection = opened.map_err(|_| OriginError::ConnectTimeout { origin: origin() })??;
        hop.counters.opened();
        Ok(connection)
    }

    /// Sends a request on a connection, and keeps the connection for the next one.
    async fn send(
        &self,
        attempt: Attempt<'_>,
        taken: TakenConnection,
        request: Request<RequestBody>,
    ) -> Result<HopAnswer, SendError> {
        let hop = attempt.hop;
        let TakenConnection {
            mut connection,
            stream,
        } = taken;
        let origin = || hop.name.clone();
        let asks_to_switch = request.headers().contains_key(UPGRADE);
        let is_tied = forwarding::ties_connection(request.headers(), AUTHORIZATION);
        match self.answer(attempt, &mut connection, request).await {
            Ok(SendResult::Answered(mut response))
                if response.status() != StatusCode::SWITCHING_PROTOCOLS =>
            {
                if response.headers().len() > self.settings.max_headers {
                    return Err(SendError::sent(OriginError::TooManyFields {
                        origin: origin(),
                    }));
                }
                // Each hop speaks its own version (RFC 9110 §6.2).
                *response.version_mut() = Version::HTTP_11;
                // One that belongs to a user ends with this response.
                if !connection.is_shared()
                    && !is_tied
                    && !forwarding::ties_connection(response.headers(), WWW_AUTHENTICATE)
                {
                    pool::keep(hop, connection, self.clock.now());
                }
                Ok(HopAnswer { response, stream })
            }
            Ok(SendResult::Answered(response)) if asks_to_switch => {
                Ok(HopAnswer { response, stream })
            }
            Ok(SendResult::Answered(_)) => {
                Err(SendError::sent(OriginError::Switched { origin: origin() }))
            }
            Ok(SendResult::Unsent(request, source)) => {
                let origin = origin();
                Err(SendError::unsent(
                    OriginError::Broken { origin, source },
                    request,
                ))
            }
            Ok(SendResult::Broken { source, was_silent }) => {
                Err(SendError::broken(origin(), source, was_silent))
            }
            Err(_) => {
                connection.retire();
                Err(SendError::sent(OriginError::ResponseTimeout {
                    origin: origin(),
                }))
            }
        }
    }

    /// Sends a request and waits for the head of its response, for `response_timeout` at most. With
    /// content, that time begins anew with each byte that the next hop accepts, and does not run
    /// while the client's next byte is awaited.
    async fn answer(
        &self,
        attempt: Attempt<'_>,
        connection: &mut NextHopConnection,
        request: Request<RequestBody>,
    ) -> Result<SendResult, TimeoutError> {
        let timeout = self.settings.response_timeout;
        let Some(sending) = attempt.sending else {
            let answered = connection.send(request, None);
            return self.clock.timeout(timeout, answered).await;
        };
        let mut answered = pin!(connection.send(request, Some(sending)));
        loop {
            let now = self.clock.now();
            let Some(end) = sending.deadline(now, timeout) else {
                return Err(TimeoutError);
            };
            tokio::select! {
                biased;
                answered = &mut answered => return Ok(answered),
                () = self.clock.sleep_until(end) => {}
            }
        }
    }
}

/// A copy of a request without a body; `None` if it has one.
pub fn copy(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    if !http_body::Body::is_end_stream(request.body()) {
        return None;
    }
    let mut again = Request::new(empty());
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.headers_mut() = request.headers().clone();
    // The receiver of interim responses wants those to the second request too.
    *again.extensions_mut() = request.extensions().clone();
    Some(again)
}

/// An empty body.
pub fn empty() -> RequestBody {
    use http_body_util::{BodyExt, Empty};
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Settings without hops.
    pub(super) fn settings() -> OriginSettings {
        OriginSettings {
            hops: vec![],
            look_up_every: Duration::from_secs(30),
            max_connection_age: Duration::from_secs(600),
            max_fetches: 1,
            max_connections: 1,
            release_after: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_secs(1),
            max_header_bytes: 8_192,
            max_headers: 100,
        }
    }
}
