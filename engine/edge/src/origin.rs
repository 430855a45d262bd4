//! Connections to the next hops of a site: pools, timeouts, retries, health.
//!
//! [`permits`] bounds how many requests are under way, and describes who holds a place until when.
//! Each worker thread keeps its own idle connections, since a connection stays on the runtime that
//! opened it. A request is sent a second time only if the next hop can't have handled the first
//! one, or if repeating it is safe (RFC 9110 §9.2.2).

mod addresses;
mod attempt;
mod balance;
mod breaker;
mod checks;
mod connection;
mod error;
mod health;
mod hop_counters;
mod next_hop;
mod permits;
mod pool;
mod retry;
mod sending;
mod socket;
mod stream;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE};
use http::{Method, Request, Response, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;

use attempt::{Attempt, HopAnswer};
use balance::Balancer;
use breaker::Breaker;
use error::SendError;
use health::HopResult;
use next_hop::{HopPlace, NextHop};
use permits::{PermitLimits, PermitPool};
use retry::RetryBudget;
use sending::SendingContent;
use tero_config as config;
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;

pub(crate) use breaker::BreakerPosition;
pub use error::OriginError;
pub(crate) use error::is_slow_client;
pub use health::{HopCondition, HopState};
pub use hop_counters::HopFigures;
pub use permits::FetchPermit;
pub use tls::OriginTlsError;

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
    /// How one of them is chosen.
    pub balance: config::Balance,
    /// When they rest.
    pub health: config::Health,
    /// The `Host` of checks.
    pub check_host: String,
    /// When a request is sent to another one.
    pub retry: config::Retry,
    /// The time for a request without a body, over all hops that are tried.
    pub deadline: Duration,
    /// How often their names are looked up.
    pub look_up_every: Duration,
    /// How long a connection is used for further requests.
    pub max_connection_age: Duration,
    /// Requests under way at the same time, at most.
    pub max_fetches: usize,
    /// Connections in use at the same time, at most, also by requests that have given back their
    /// place among `max_fetches`.
    pub max_connections: usize,
    /// Requests that wait for one of these, at most.
    pub max_waiting: usize,
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
    hops: Vec<Arc<NextHop>>,
    balancer: Balancer,
    retries: RetryBudget,
    breaker: Breaker,
    permits: Arc<PermitPool>,
    settings: OriginSettings,
    clock: Clock,
}

/// A fetch that the circuit breaker has let through.
#[derive(Debug)]
pub(crate) struct BreakerPass(Arc<Origin>);

impl Drop for BreakerPass {
    fn drop(&mut self) {
        self.0.breaker.end_trial();
    }
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

/// Whether TLS to an origin could be set up: its files are read, and nothing is connected to.
///
/// # Errors
/// [`OriginTlsError`]
pub fn check(origin: &config::Origin) -> Result<(), OriginTlsError> {
    NextHop::new(origin, &config::Health::default(), Duration::ZERO, None).map(|_| ())
}

impl Origin {
    /// The next hops of `settings`. Those that were there `before`, with the same settings, keep what
    /// is known of them.
    ///
    /// # Errors
    /// [`OriginTlsError`]: TLS to one of them can't be set up.
    pub fn new(
        settings: OriginSettings,
        clock: Clock,
        before: Option<&Origin>,
    ) -> Result<Origin, OriginTlsError> {
        let limits = PermitLimits {
            fetches: settings.max_fetches,
            connections: settings.max_connections,
            waiting: settings.max_waiting,
            release_after: settings.release_after,
        };
        let hops = settings.hops.iter().map(|hop| {
            let before = before.and_then(|before| before.hop(&hop.shown_name()));
            NextHop::new(hop, &settings.health, settings.look_up_every, before).map(Arc::new)
        });
        let hops: Vec<_> = hops.collect::<Result<_, _>>()?;
        Ok(Origin {
            balancer: Balancer::new(settings.balance.by, &hops),
            hops,
            retries: RetryBudget::new(settings.retry.budget),
            breaker: Breaker::new(&settings.health),
            permits: PermitPool::new(limits),
            settings,
            clock,
        })
    }

    /// What the fetches of the site say of its origins together.
    pub(crate) fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// How often the circuit breaker has opened, and whether it is open.
    pub fn breaker_figures(&self) -> (u64, bool) {
        let position = self.breaker.position(self.clock.now());
        (self.breaker.opened(), position != BreakerPosition::Closed)
    }

    /// Requests that wait for a place among `max_fetches`.
    pub fn waiting(&self) -> usize {
        self.permits.waiting()
    }

    /// Lets a fetch in the background go on. `None` while the circuit breaker is open; after its
    /// rest, one at a time.
    pub(crate) fn pass_breaker(self: &Arc<Self>, now: Timestamp) -> Option<BreakerPass> {
        self.breaker
            .let_through(now)
            .then(|| BreakerPass(Arc::clone(self)))
    }

    fn hop(&self, name: &str) -> Option<&NextHop> {
        self.hops
            .iter()
            .map(|hop| &**hop)
            .find(|hop| hop.name == name)
    }

    /// Takes a next hop out, or puts it back: no further requests go to it, and those under way end
    /// in order. Returns whether there is one of that name.
    pub fn set_drained(&self, name: &str, is_drained: bool) -> bool {
        let hop = self.hop(name);
        hop.inspect(|hop| hop.health.set_drained(is_drained))
            .is_some()
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
    /// and a `Host`, and its content comes from `source`. `url` says which hop is its own, where the
    /// site chooses by it, and whom it queues with. If the request may be repeated, `again` makes it once more.
    ///
    /// # Errors
    /// [`OriginError`]. Nothing was sent in the cases `Connect`, `Tls`, `Exhausted`,
    /// `ConnectTimeout` and `Busy`.
    pub async fn fetch(
        self: &Arc<Self>,
        mut request: Request<RequestBody>,
        source: ContentSource,
        url: &str,
        mut again: Option<&mut RequestCopy<'_>>,
    ) -> Result<OriginResponse, OriginError> {
        let patience = self.settings.connect_timeout;
        let permit = self
            .permits
            .take(&self.clock, url.as_bytes(), patience)
            .await;
        let mut permit = permit.ok_or(OriginError::Busy)?;
        if source == ContentSource::Client {
            permit.lend(self.clock.now());
        }
        self.retries.count_request();
        let sending = SendingContent::watch(&mut request, &self.clock);
        let begun_at = self.clock.now();
        let order = self.balancer.order(&self.hops, url.as_bytes(), begun_at);
        if let Some(hop) = order.on_trial {
            self.try_in_background(hop, &request);
        }
        let method = request.method().clone();
        let deadline = begun_at.saturating_add(self.settings.deadline);
        let mut last_error = OriginError::Busy;
        let mut hops = order.hops.into_iter().peekable();
        while let Some(hop) = hops.next() {
            let attempt = Attempt {
                hop,
                settings: &self.settings,
                clock: &self.clock,
                sending: sending.as_ref(),
                deadline,
            };
            let asked_at = self.clock.now();
            let place = HopPlace::enter(hop);
            // A hop whose rest is over is tried by one request at a time.
            let trial = hop.begin_trial(asked_at);
            let answer = attempt.run(request, again.as_deref_mut()).await;
            drop(trial);
            self.record(hop, &answer, self.clock.now().since(asked_at));
            let is_last = hops.peek().is_none() || self.clock.now() >= deadline;
            let mut copy = || {
                let may_repeat = !is_last && retry::allows(&self.settings.retry, &method, &answer);
                let again = again.as_mut().filter(|_| may_repeat)?;
                let copy = again()?;
                self.retries.take_one().then_some(copy)
            };
            if let Some(copy) = copy() {
                request = copy;
                if let Err(failure) = answer {
                    last_error = failure.error;
                }
                continue;
            }
            match answer {
                Ok(HopAnswer { response, stream }) => {
                    permit.hold(stream, place);
                    return Ok(OriginResponse {
                        response,
                        hop: self.place_of(hop),
                        permit,
                    });
                }
                // The next hop has done nothing wrong, and another one could not be reached either.
                Err(SendError {
                    error: error @ OriginError::Exhausted { .. },
                    ..
                }) => return Err(error),
                Err(SendError {
                    error,
                    unsent: Some(unsent),
                    ..
                }) if !is_last => {
                    request = unsent;
                    last_error = error;
                }
                Err(failure) => return Err(failure.error),
            }
        }
        Err(last_error)
    }

    fn place_of(&self, hop: &Arc<NextHop>) -> usize {
        let mut hops = self.hops.iter();
        hops.position(|own| Arc::ptr_eq(own, hop))
            .unwrap_or_default()
    }

    /// The name of the hop at that place.
    pub fn name_at(&self, place: usize) -> Option<&str> {
        self.hops.get(place).map(|hop| &*hop.name)
    }

    /// Takes account of what a hop has answered after `took`.
    fn record(&self, hop: &NextHop, answer: &Result<HopAnswer, SendError>, took: Duration) {
        let result = match answer {
            Ok(answer) => Ok(answer.response.status()),
            Err(failure) => Err(&failure.error),
        };
        hop.counters.record(result, took);
        let now = self.clock.now();
        let may_rest = || {
            let resting = self
                .hops
                .iter()
                .filter(|hop| hop.health.is_resting(now))
                .count();
            let most = self.settings.health.max_resting.fraction() * self.hops.len() as f64;
            // A count of hops is exact.
            ((resting + 1) as f64) <= most.max(1.0)
        };
        hop.health.record(HopResult::of(result), now, may_rest);
    }

    /// Has a request of the edge's own try whether a hop is back, so that no visitor waits for that.
    fn try_in_background(self: &Arc<Self>, hop: &Arc<NextHop>, request: &Request<RequestBody>) {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return;
        }
        let Some(trial) = hop.begin_trial(self.clock.now()) else {
            return;
        };
        let request = trial_of(request);
        let (origin, hop) = (Arc::clone(self), Arc::clone(hop));
        tokio::spawn(async move {
            let asked_at = origin.clock.now();
            let attempt = Attempt {
                hop: &hop,
                settings: &origin.settings,
                clock: &origin.clock,
                sending: None,
                deadline: asked_at.saturating_add(origin.settings.deadline),
            };
            let answer = attempt.run(request, None).await;
            drop(trial);
            origin.record(&hop, &answer, origin.clock.now().since(asked_at));
        });
    }
}

/// A request that tries a hop: HEAD for the path of `request`. Its query and whatever tells who asks
/// are left out, since the visitor's own request is sent, too, and must not take effect twice.
fn trial_of(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut trial = Request::new(empty());
    *trial.method_mut() = Method::HEAD;
    *trial.uri_mut() = Uri::try_from(request.uri().path()).unwrap_or_default();
    *trial.headers_mut() = request.headers().clone();
    for name in [COOKIE, AUTHORIZATION] {
        trial.headers_mut().remove(name);
    }
    if let Some(timeout) = request.extensions().get::<ResponseTimeout>() {
        trial.extensions_mut().insert(*timeout);
    }
    trial
}

/// An extension of a request: how long its response is waited for, in place of `response_timeout`.
#[derive(Clone, Copy, Debug)]
pub struct ResponseTimeout(pub Duration);

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
            balance: config::Balance::default(),
            health: config::Health::default(),
            check_host: String::new(),
            retry: config::Retry::default(),
            deadline: Duration::from_secs(60),
            look_up_every: Duration::from_secs(30),
            max_connection_age: Duration::from_secs(600),
            max_fetches: 1,
            max_connections: 1,
            max_waiting: 1,
            release_after: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_secs(1),
            max_header_bytes: 8_192,
            max_headers: 100,
        }
    }
}
