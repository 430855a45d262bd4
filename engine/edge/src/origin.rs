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
mod content_leave;
mod error;
mod health;
mod hop_counters;
mod next_hop;
mod permits;
mod pool;
mod retry;
mod sending;
mod shields;
mod site_hops;
mod socket;
mod stream;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, EXPECT, TRAILER, TRANSFER_ENCODING};
use http::{Method, Request, Response, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;

use attempt::{Attempt, HopAnswer};
use balance::{Balancer, HopOrder};
use breaker::Breaker;
use content_leave::LeaveEnd;
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
pub use connection::ConnectionSettings;
pub use content_leave::ContentLeave;
pub use error::OriginError;
pub(crate) use error::is_slow_client;
pub use health::{HopCondition, HopState};
pub use hop_counters::HopFigures;
pub use permits::FetchPermit;
pub use shields::{ShieldSettings, Shields};
pub use site_hops::{SiteHopSettings, SiteHops};
pub use tls::OriginTlsError;

/// A failure of a streamed body.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;
/// The body of a request to the next hop.
pub type RequestBody = UnsyncBoxBody<Bytes, BodyError>;

/// Makes the same request again; `None` if that is impossible.
pub type RequestCopy<'a> = dyn FnMut() -> Option<Request<RequestBody>> + Send + 'a;

/// How requests reach some next hops of a site.
#[derive(Clone, Debug)]
pub struct OriginSettings {
    /// How one of them is chosen.
    pub balance: config::Balance,
    /// When the circuit breaker opens.
    pub health: config::Health,
    /// When a request is sent to another one.
    pub retry: config::Retry,
    /// How long a request waits, unless it says otherwise itself.
    pub times: FetchTimes,
    /// Requests under way at the same time, at most.
    pub max_fetches: usize,
    /// Connections in use at the same time, at most, also by requests that have given back their
    /// place among `max_fetches`.
    pub max_connections: usize,
    /// Requests that wait for one of these, at most.
    pub max_waiting: usize,
    /// How long a request that waits for its client keeps its place among `max_fetches`.
    pub release_after: Duration,
}

/// How long a request to the next hops waits for what. As an extension of a request: in place of
/// what the site says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchTimes {
    /// For one of the `max_fetches`, and for a connection.
    pub connect: Duration,
    /// From the end of the request to the head of the response.
    pub response: Duration,
    /// For a request without a body, over all hops that are tried.
    pub deadline: Duration,
}

impl FetchTimes {
    /// How long a request waits for a shield that waits so long for an origin: the shield tells its
    /// own failure first.
    fn through_shield(self) -> FetchTimes {
        let response = self.connect.saturating_add(self.response);
        FetchTimes {
            connect: self.connect,
            response,
            deadline: self.deadline.saturating_add(response),
        }
    }
}

/// Some next hops of a site, and what requests to them share: those of the site, or of a route.
#[derive(Debug)]
pub struct Origin {
    hops: Vec<Arc<NextHop>>,
    balancer: Balancer,
    retries: RetryBudget,
    breaker: Breaker,
    permits: Arc<PermitPool>,
    settings: OriginSettings,
    connection: ConnectionSettings,
    clock: Clock,
    /// Whether these are shields: their statuses tell how the origins do.
    are_shields: bool,
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
    /// The place of the next hop that answered among those that could.
    pub hop: usize,
    /// The request's place among the site's `max_fetches`: hold it until the body was read.
    pub permit: FetchPermit,
}

/// A request on its way to the hops.
struct HopRequest<'a> {
    request: Request<RequestBody>,
    source: ContentSource,
    url: &'a str,
    /// The end of the wait of its content.
    leave: Option<LeaveEnd>,
}

impl HopRequest<'_> {
    fn new(request: Request<RequestBody>, source: ContentSource, url: &str) -> HopRequest<'_> {
        let leave = request.extensions().get::<ContentLeave>();
        HopRequest {
            leave: leave.map(LeaveEnd::new),
            request,
            source,
            url,
        }
    }
}

/// Whether TLS to an origin could be set up: its files are read, and nothing is connected to.
///
/// # Errors
/// [`OriginTlsError`]
pub fn check(origin: &config::Origin) -> Result<(), OriginTlsError> {
    NextHop::new(origin, &config::Health::default(), Duration::ZERO, None).map(|_| ())
}

impl Origin {
    /// The next hops of a site for which `is_asked` holds.
    pub fn new(
        settings: OriginSettings,
        site: &SiteHops,
        is_asked: impl Fn(&config::Origin) -> bool,
    ) -> Origin {
        let hops = site.hops.iter().filter(|hop| is_asked(hop.settings()));
        let hops: Vec<_> = hops.map(Arc::clone).collect();
        let balancer = Balancer::new(settings.balance.by, &hops);
        Origin::over(hops, balancer, settings, site)
    }

    fn over(
        hops: Vec<Arc<NextHop>>,
        balancer: Balancer,
        settings: OriginSettings,
        site: &SiteHops,
    ) -> Origin {
        let limits = PermitLimits {
            fetches: settings.max_fetches,
            connections: settings.max_connections,
            waiting: settings.max_waiting,
            release_after: settings.release_after,
        };
        Origin {
            balancer,
            hops,
            retries: RetryBudget::new(settings.retry.budget),
            breaker: Breaker::new(&settings.health),
            permits: PermitPool::new(limits),
            settings,
            connection: site.settings.connection,
            clock: site.clock.clone(),
            are_shields: false,
        }
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

    /// Whether there is room for a fetch that no visitor waits for: a quarter of `max_fetches` is
    /// reserved for visitors.
    pub fn has_room(&self) -> bool {
        self.permits.available(self.clock.now()) > self.settings.max_fetches / 4
    }

    /// The names of the next hops, in the order of the configuration.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.hops.iter().map(|hop| &*hop.name)
    }

    /// Whether one of the next hops has this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.hops.iter().any(|hop| *hop.name == *name)
    }

    /// Sends a request and waits for the head of its response. `request` has an origin-form target
    /// and a `Host`, and its content comes from `source`. `url` says which hop is its own, where the
    /// site chooses by it, and whom it queues with. If the request may be repeated, `again` makes it once more.
    ///
    /// # Errors
    /// [`OriginError`]. Nothing was sent in the cases `Connect`, `Tls`, `Exhausted`,
    /// `ConnectTimeout`, `Busy` and `Unknown`.
    pub async fn fetch(
        self: &Arc<Self>,
        request: Request<RequestBody>,
        source: ContentSource,
        url: &str,
        again: Option<&mut RequestCopy<'_>>,
    ) -> Result<OriginResponse, OriginError> {
        let mut asked = HopRequest::new(request, source, url);
        let answer = self.ask(&mut asked, None, again).await;
        answer.map_err(|failure| failure.error)
    }

    /// The same, in the order of the balancer or another one. The request is taken out of `asked`.
    async fn ask(
        self: &Arc<Self>,
        asked: &mut HopRequest<'_>,
        order: Option<HopOrder<'_>>,
        mut again: Option<&mut RequestCopy<'_>>,
    ) -> Result<OriginResponse, SendError> {
        let HopRequest { source, url, .. } = *asked;
        let mut request = std::mem::replace(&mut asked.request, Request::new(empty()));
        let times = self.times_of(&request);
        let patience = times.connect;
        let permit = self
            .permits
            .take(&self.clock, url.as_bytes(), patience)
            .await;
        let mut permit = permit.ok_or_else(|| SendError::sent(OriginError::Busy))?;
        if source == ContentSource::Client {
            permit.lend(self.clock.now());
        }
        self.retries.count_request();
        let sending = SendingContent::watch(&mut request, &self.clock);
        let begun_at = self.clock.now();
        let chosen = request.extensions().get::<ChosenOrigin>();
        let order = match (order, chosen) {
            (Some(order), _) => order,
            (None, None) => self.balancer.order(&self.hops, url.as_bytes(), begun_at),
            (None, Some(ChosenOrigin(name))) => HopOrder {
                hops: self.hops.iter().filter(|hop| *hop.name == **name).collect(),
                on_trial: None,
            },
        };
        if let Some(hop) = order.on_trial {
            self.try_in_background(hop, &request, times);
        }
        let method = request.method().clone();
        let deadline = begun_at.saturating_add(times.deadline);
        // There is one at least, but for a name that the site doesn't have.
        let mut last_failure = SendError::sent(OriginError::Unknown);
        let mut hops = order.hops.into_iter().peekable();
        while let Some(hop) = hops.next() {
            let attempt = Attempt {
                hop,
                times,
                connection: self.connection,
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
                    last_failure = failure;
                }
                continue;
            }
            match answer {
                Ok(HopAnswer { response, stream }) => {
                    let leave = asked.leave.take();
                    leave.iter().for_each(LeaveEnd::answered);
                    permit.hold(stream, place, leave);
                    return Ok(OriginResponse {
                        response,
                        hop: self.place_of(hop),
                        permit,
                    });
                }
                // The next hop has done nothing wrong, and another one could not be reached either.
                Err(failure) if matches!(failure.error, OriginError::Exhausted { .. }) => {
                    return Err(SendError::sent(failure.error));
                }
                Err(SendError {
                    error,
                    unsent: Some(unsent),
                    ..
                }) if !is_last => {
                    request = unsent;
                    last_failure = SendError::sent(error);
                }
                Err(failure) => return Err(failure),
            }
        }
        Err(last_failure)
    }

    /// How long a request waits.
    fn times_of(&self, request: &Request<RequestBody>) -> FetchTimes {
        let own = request.extensions().get::<FetchTimes>();
        let times = own.copied().unwrap_or(self.settings.times);
        match self.are_shields {
            true => times.through_shield(),
            false => times,
        }
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
        let result = match result {
            Ok(_) if self.are_shields => HopResult::Good,
            result => HopResult::of(result),
        };
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
        hop.health.record(result, now, may_rest);
    }

    /// Has a request of the edge's own try whether a hop is back, so that no visitor waits for that.
    fn try_in_background(
        self: &Arc<Self>,
        hop: &Arc<NextHop>,
        request: &Request<RequestBody>,
        times: FetchTimes,
    ) {
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
                times,
                connection: origin.connection,
                clock: &origin.clock,
                sending: None,
                deadline: asked_at.saturating_add(times.deadline),
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
    // Nor has it the content of that one.
    let of_content = [CONTENT_LENGTH, TRANSFER_ENCODING, TRAILER, EXPECT];
    for name in [COOKIE, AUTHORIZATION].iter().chain(&of_content) {
        trial.headers_mut().remove(name);
    }
    trial
}

/// An extension of a request: the name of the origin that it goes to, and to no other.
#[derive(Clone, Debug)]
pub struct ChosenOrigin(pub Arc<str>);

/// The same request with another body.
pub fn with_body<B, C>(request: &Request<B>, body: C) -> Request<C> {
    let mut again = Request::new(body);
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.headers_mut() = request.headers().clone();
    // The receiver of interim responses wants those to the second request too.
    *again.extensions_mut() = request.extensions().clone();
    again
}

/// A body of which all is at hand.
pub fn whole(content: Bytes) -> RequestBody {
    use http_body_util::{BodyExt, Full};
    if content.is_empty() {
        return empty();
    }
    let content = Full::new(content);
    content.map_err(|never| match never {}).boxed_unsync()
}

/// An empty body.
pub fn empty() -> RequestBody {
    use http_body_util::{BodyExt, Empty};
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}
