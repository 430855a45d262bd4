//! THE request path: receive, admit, look up, reuse or fetch, store, deliver.
//!
//! This file holds the branches and calls the steps, one file each; what decides a branch is
//! computed in `semantics`. A warming plan's request takes the same way as a visitor's, from
//! [`answer`] on.

pub mod admit;
pub mod body;
pub mod client;
mod deliver;
pub mod devices;
pub mod explain;
mod fetch;
mod hit_for_miss;
mod hits;
mod next_hop_request;
mod parts;
mod pass;
mod ready_heads;
pub mod refresh_ahead;
mod respond;
mod revalidate;
pub mod site;
pub mod trial;
mod upgrade;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{HeaderValue, Method, Request, Response, Uri};
use hyper::body::Incoming;
use tokio::sync::oneshot::error::RecvError;

use crate::collapse::{Collapse, FlightResult, FlightRole, Lead};
use crate::store::fill::FillReader;
use crate::store::stored::StoredResponse;
use crate::store::{PurgePoint, Store, Variants};
use crate::telemetry::Outcome;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::popularity::Popularity;
use crate::telemetry::warm_use::WarmUse;
use admit::{Exchange, Handling, RequestSource};
use body::EdgeBody;
use deliver::{BodySource, Provenance, deliver};
use devices::Devices;
use fetch::{Extent, Fetch, FetchResult, FlightNews, ResponseInFlight};
use hit_for_miss::HitForMiss;
use pass::Kept;
use refresh_ahead::Watchlist;
use respond::Failure;
use site::{Site, Sites};
use tero_policy_host::device::Device;
use tero_policy_host::{Chain, PolicyRequest};
use tero_semantics::cache_status::Forward;
use tero_semantics::decision::{QueryRule, RequestDecision};
use tero_semantics::reuse::{self, Absent, Reuse, reuse};
use tero_time::clock::Clock;

pub use respond::{head_as_bytes, refuse, refuse_as};

/// How many fetches under way that are not for it a request may come upon before it goes by itself.
const MAX_OTHER_FLIGHTS: u32 = 4;

/// All that a request needs; shared by the workers.
#[derive(Debug)]
pub struct Edge {
    /// How the edge calls itself in `Via`, `Cache-Status` and `CDN-Loop`.
    pub name: String,
    /// The time.
    pub clock: Clock,
    /// Stored responses.
    pub store: Store,
    /// The sites, with their policies and next hops.
    pub sites: ArcSwap<Sites>,
    /// Which pages visitors want.
    pub popularity: Popularity,
    /// What visitors used of what plans warmed.
    pub warm_use: WarmUse,
    /// What is revalidated before it expires.
    pub watchlist: Watchlist,
    /// The log of requests, where one is kept.
    pub access_log: Option<AccessLog>,
    /// Remembered device classes.
    pub devices: Devices,
    /// Bytes of a request's target and fields, at most.
    pub max_header_bytes: usize,
    collapse: Arc<Collapse<FlightNews>>,
    hit_for_miss: HitForMiss,
    collapse_timeout: Duration,
    via: HeaderValue,
    no_decision: Arc<RequestDecision>,
    /// Held while groups are purged that a request has made invalid.
    purging_groups: tokio::sync::Mutex<()>,
}

/// What an [`Edge`] is made of.
#[derive(Debug)]
pub struct EdgeParts {
    /// As [`Edge::name`]; a token.
    pub name: String,
    /// As [`Edge::clock`].
    pub clock: Clock,
    /// As [`Edge::store`].
    pub store: Store,
    /// As [`Edge::sites`].
    pub sites: Sites,
    /// As [`Edge::popularity`].
    pub popularity: Popularity,
    /// As [`Edge::access_log`].
    pub access_log: Option<AccessLog>,
    /// As [`Edge::devices`].
    pub devices: Devices,
    /// As [`Edge::max_header_bytes`].
    pub max_header_bytes: usize,
    /// How long a follower waits for its leader.
    pub collapse_timeout: Duration,
    /// How long "not storable" is remembered.
    pub hit_for_miss: Duration,
}

impl Edge {
    /// An edge with an empty cache, or what `parts` bring.
    pub fn new(parts: EdgeParts) -> Edge {
        let via = HeaderValue::try_from(format!("1.1 {}", parts.name))
            .unwrap_or_else(|_| HeaderValue::from_static("1.1 tero"));
        Edge {
            name: parts.name,
            clock: parts.clock,
            store: parts.store,
            sites: ArcSwap::from_pointee(parts.sites),
            popularity: parts.popularity,
            warm_use: WarmUse::default(),
            watchlist: Watchlist::default(),
            access_log: parts.access_log,
            devices: parts.devices,
            max_header_bytes: parts.max_header_bytes,
            collapse: Arc::new(Collapse::new()),
            hit_for_miss: HitForMiss::new(parts.hit_for_miss),
            collapse_timeout: parts.collapse_timeout,
            via,
            no_decision: Arc::default(),
            purging_groups: tokio::sync::Mutex::default(),
        }
    }
}

/// An answer, and what became of its request.
#[derive(Debug)]
pub struct Answer {
    /// What the client gets.
    pub response: Response<EdgeBody>,
    /// What is counted.
    pub outcome: Outcome,
    /// Whether it is stored, or on its way there.
    pub stored: bool,
}

/// The answer to a client's request, which for a hit is there already.
pub enum Reply<'e> {
    /// Nothing had to be waited for.
    Ready(Response<EdgeBody>),
    /// It takes a while. The futures of a fetch are large; a hit should not carry their weight.
    Pending(Pin<Box<dyn Future<Output = Response<EdgeBody>> + Send + 'e>>),
}

impl Reply<'_> {
    /// Waits for the answer.
    pub async fn response(self) -> Response<EdgeBody> {
        match self {
            Reply::Ready(response) => response,
            Reply::Pending(response) => response.await,
        }
    }
}

/// Answers a client's request.
pub fn handle(edge: &Arc<Edge>, request: Request<Incoming>, source: RequestSource) -> Reply<'_> {
    let (parts, content) = request.into_parts();
    let exchange = match admit::admit(edge, parts, source) {
        Ok(exchange) => Arc::new(exchange),
        Err(refused) => return Reply::Ready(respond::refused(edge, refused.0)),
    };
    match look_up(edge, &exchange) {
        Found::Answer(answer) => {
            hits::record(edge, &exchange, &answer);
            Reply::Ready(answer.response)
        }
        Found::Forward(way) => Reply::Pending(Box::pin(async move {
            let answer = forward(edge, &exchange, way, Some(content)).await;
            hits::record(edge, &exchange, &answer);
            answer.response
        })),
    }
}

/// Answers a request that was let in.
pub async fn answer(
    edge: &Arc<Edge>,
    exchange: &Arc<Exchange>,
    content: Option<Incoming>,
) -> Answer {
    match look_up(edge, exchange) {
        Found::Answer(answer) => answer,
        Found::Forward(way) => Box::pin(forward(edge, exchange, way, content)).await,
    }
}

/// What looking up came to.
enum Found {
    Answer(Answer),
    Forward(Way),
}

/// The way forward of a request that nothing stored will do for.
enum Way {
    /// To be stored; with what is stored and may be revalidated.
    Fetch(Option<Arc<StoredResponse>>, Forward),
    /// Past the cache.
    Pass(Forward),
    /// To another protocol.
    Upgrade,
}

async fn forward(
    edge: &Arc<Edge>,
    exchange: &Arc<Exchange>,
    way: Way,
    content: Option<Incoming>,
) -> Answer {
    match way {
        Way::Fetch(stale, why) => fetch(edge, exchange, stale, why).await,
        Way::Pass(why) => pass_through(edge, exchange, content, why).await,
        Way::Upgrade => upgrade(edge, exchange).await,
    }
}

fn look_up(edge: &Arc<Edge>, exchange: &Arc<Exchange>) -> Found {
    match exchange.handling() {
        Handling::Cache => {}
        Handling::Pass => return Found::Forward(Way::Pass(Forward::Bypass)),
        Handling::Method => return Found::Forward(Way::Pass(Forward::Method)),
        Handling::Upgrade => return Found::Forward(Way::Upgrade),
    }
    let settings = &exchange.site.settings;
    let Some(variants) = stored_under(edge, exchange) else {
        return nothing_stored(edge, exchange, Forward::UriMiss);
    };
    let Some(stored) = variants.select(&exchange.parts.headers) else {
        return nothing_stored(edge, exchange, Forward::VaryMiss);
    };
    match reuse(
        &stored.head.freshness,
        &exchange.directives,
        settings.client_directives,
        exchange.at,
    ) {
        Reuse::Fresh => Found::Answer(hit(edge, exchange, stored)),
        Reuse::StaleWhileRevalidate => {
            revalidate::in_background(edge, exchange, stored);
            Found::Answer(stale(edge, exchange, stored, Provenance::default()))
        }
        Reuse::Revalidate(why) => {
            let forward = if why.is_of_request() {
                Forward::Request
            } else {
                Forward::Stale
            };
            Found::Forward(Way::Fetch(Some(Arc::clone(stored)), forward))
        }
        Reuse::Unsatisfiable => Found::Answer(error(respond::only_if_cached(edge))),
    }
}

/// What is stored under the key. A plan's look at what it warmed is no use of it.
fn stored_under(edge: &Edge, exchange: &Exchange) -> Option<Variants> {
    if exchange.warm_run == 0 {
        edge.store.lookup(&exchange.key)
    } else {
        edge.store.peek(&exchange.key)
    }
}

fn nothing_stored(edge: &Edge, exchange: &Exchange, why: Forward) -> Found {
    match reuse::absent(&exchange.directives) {
        Absent::Fetch => Found::Forward(Way::Fetch(None, why)),
        Absent::Unsatisfiable => Found::Answer(error(respond::only_if_cached(edge))),
    }
}

fn hit(edge: &Arc<Edge>, exchange: &Arc<Exchange>, stored: &Arc<StoredResponse>) -> Answer {
    hits::count(edge, exchange, stored);
    let response = deliver::hit(edge, exchange, stored);
    Answer {
        response,
        outcome: Outcome::Hit,
        stored: true,
    }
}

fn stale(
    edge: &Arc<Edge>,
    exchange: &Arc<Exchange>,
    stored: &Arc<StoredResponse>,
    provenance: Provenance,
) -> Answer {
    hits::count(edge, exchange, stored);
    let response = deliver(
        edge,
        exchange,
        BodySource::Stored(stored),
        provenance,
        edge.clock.now(),
    );
    Answer {
        response,
        outcome: Outcome::Stale,
        stored: true,
    }
}

fn error(response: Response<EdgeBody>) -> Answer {
    Answer {
        response,
        outcome: Outcome::Error,
        stored: false,
    }
}

/// Nothing stored will do as it is: a HEAD goes forward by itself, a GET leads or follows a fetch.
async fn fetch(
    edge: &Arc<Edge>,
    exchange: &Arc<Exchange>,
    stale: Option<Arc<StoredResponse>>,
    why: Forward,
) -> Answer {
    if exchange.parts.method == Method::HEAD {
        return forward_head(edge, exchange, stale, why).await;
    }
    let part = if stale.is_none() {
        edge.store.part(&exchange.key, &exchange.parts.headers)
    } else {
        None
    };
    if let Some(part) = &part
        && parts::is_fresh(exchange, part)
        && let Some(response) = deliver::part(edge, exchange, part)
    {
        hits::count(edge, exchange, part);
        return Answer {
            response,
            outcome: Outcome::Hit,
            stored: true,
        };
    }
    let why = if part.is_some() {
        Forward::Partial
    } else {
        why
    };
    let is_too_large = part.is_some_and(|part| parts::is_of_too_large(edge, &part));
    if is_too_large && exchange.fields.range {
        return fetch_range(edge, exchange, why).await;
    }
    if is_too_large
        || exchange.directives.no_store
        || edge.hit_for_miss.expects(&exchange.key, exchange.at)
    {
        return fetch_alone(edge, exchange, stale, why).await;
    }
    let asked = edge.store.purge_point();
    let deadline = edge.clock.now().saturating_add(edge.collapse_timeout);
    let mut flight_key = exchange.key.clone();
    let mut attempt = 0;
    let mut others = 0;
    loop {
        let flight = match edge.collapse.join(&flight_key, attempt) {
            FlightRole::Leader(lead) => {
                return self::fetch_as_leader(edge, exchange, stale, why, lead).await;
            }
            FlightRole::Follower(flight) => flight,
        };
        let patience = deadline.since(edge.clock.now());
        match edge.clock.timeout(patience, flight.wait()).await {
            Err(_) => return fetch_alone(edge, exchange, stale, why).await,
            Ok(FlightResult::Failed { attempt: failed }) => attempt = failed,
            Ok(FlightResult::Answered(FlightNews::Failed(failure))) => {
                return stale_or_error(edge, exchange, stale, why, failure);
            }
            Ok(FlightResult::Answered(FlightNews::NotStorable)) => {
                return fetch_alone(edge, exchange, stale, why).await;
            }
            Ok(FlightResult::Answered(FlightNews::Stored)) => {
                match stored_meanwhile(edge, exchange) {
                    Some(answer) => return answer,
                    None => return fetch_alone(edge, exchange, stale, why).await,
                }
            }
            Ok(FlightResult::Answered(FlightNews::Filling(filling))) => {
                match join_fill(edge, exchange, &filling, asked) {
                    Join::Reader(reader) => return follow(edge, exchange, &filling, reader, why),
                    // Those to whom the same applies share another fetch.
                    Join::Other(which) if others < MAX_OTHER_FLIGHTS => {
                        flight_key.push(b'\n');
                        flight_key.extend(which.to_be_bytes());
                        others += 1;
                    }
                    Join::Other(_) | Join::TooLate => {
                        return fetch_alone(edge, exchange, stale, why).await;
                    }
                }
            }
        }
    }
}

/// Fetches for all that wait for this key. Somebody may have stored it since it was looked up.
async fn fetch_as_leader(
    edge: &Arc<Edge>,
    exchange: &Arc<Exchange>,
    stale: Option<Arc<StoredResponse>>,
    why: Forward,
    lead: Lead<FlightNews>,
) -> Answer {
    if why != Forward::Request
        && let Some(answer) = stored_meanwhile(edge, exchange)
    {
        lead.share(FlightNews::Stored);
        return answer;
    }
    run(edge, exchange, stale, why, Some(lead)).await
}

/// Fetches without followers.
async fn fetch_alone(
    edge: &Arc<Edge>,
    exchange: &Arc<Exchange>,
    stale: Option<Arc<StoredResponse>>,
    why: Forward,
) -> Answer {
    let asks_for_less = exchange.fields.range || exchange.fields.conditional;
    // What won't be stored need not be fetched whole.
    if asks_for_less && stale.is_none() && edge.hit_for_miss.expects(&exchange.key, exchange.at) {
        return fetch_range(edge, exchange, why).await;
    }
    run(edge, exchange, stale, why, None).await
}

/// Fetches no more than the client asks for; what comes of a range by itself is kept as a part.
async fn fetch_range(edge: &Arc<Edge>, exchange: &Arc<Exchange>, why: Forward) -> Answer {
    if exchange.fields.conditional || !exchange.fields.range {
        return pass_through(edge, exchange, None, why).await;
    }
    let (edge_of, exchange_of) = (Arc::clone(edge), Arc::clone(exchange));
    let fetch = Fetch {
        edge: edge_of,
        exchange: exchange_of,
        stale: None,
        extent: Extent::Range,
        lead: None,
    };
    answer_from_fetch(edge, exchange, None, why, fetch.start().await).await
}

async fn run(
    edge: &Arc<Edge>,
    exchange: &Arc<Exchange>,
    stale: Option<Arc<StoredResponse>>,
    why: Forward,
    lead: Option<Lead<FlightNews>>,
) -> Answer {
    let part = if stale.is_none() {
        edge.store.part(&exchange.key, &exchange.parts.headers)
    } else {
        None
    };
    let extent = parts::extent(edge, part);
    let fetch = Fetch {
        edge: Arc::clone(edge),
        exchange: Arc::clone(exchange),
        stale: stale.clone(),
        extent,
        lead,
    };
    answer_from_fetch(edge, exchange, stale, why, fetch.start().await).await
}

/// The answer to the request that began a fetch.
async fn answer_from_fetch(
    edge: &Arc<Edge>,
    exchange: &Arc<Exchange>,
    stale: Option<Arc<StoredResponse>>,
    why: Forward,
    told: Result<FetchResult, RecvError>,
) -> Answer {
    match told {
        Ok(FetchResult::Filling(filling, reader, fields)) => {
            let status = Some(filling.head.status);
            let provenance = Provenance {
                forward: Some(why),
                forward_status: status,
                stored: true,
                ..Provenance::default()
            };
            let response = deliver(
                edge,
                exchange,
                BodySource::Filling(&filling, reader, Some(*fields)),
                provenance,
                edge.clock.now(),
            );
            Answer {
                response,
                outcome: Outcome::Miss,
                stored: true,
            }
        }
        Ok(FetchResult::Revalidated(stored)) => {
            let status = Some(http::StatusCode::NOT_MODIFIED);
            let provenance = Provenance {
                forward: Some(why),
                forward_status: status,
                stored: true,
                ..Provenance::default()
            };
            let response = deliver(
                edge,
                exchange,
                BodySource::Stored(&stored),
                provenance,
                edge.clock.now(),
            );
            Answer {
                response,
                outcome: Outcome::Revalidated,
                stored: true,
            }
        }
        Ok(FetchResult::NotStored(response, refusal)) => {
            let status = response.status();
            let response = deliver::conditioned(exchange, *response);
            let response = pass::with_own_fields(
                edge,
                exchange,
                response,
                status,
                why,
                Kept::Not(Some(refusal)),
            );
            Answer {
                response,
                outcome: Outcome::Miss,
                stored: false,
            }
        }
        Ok(FetchResult::Part(response)) => {
            let status = response.status();
            let response =
                pass::with_own_fields(edge, exchange, *response, status, why, Kept::AsPart);
            Answer {
                response,
                outcome: Outcome::Miss,
                stored: true,
            }
        }
        Ok(FetchResult::TooLargeForRange) => Box::pin(fetch_range(edge, exchange, why)).await,
        Ok(FetchResult::Failed(failure)) => stale_or_error(edge, exchange, stale, why, failure),
        // The task ended without a word: only when the runtime is being shut down.
        Err(_) => error(respond::failed(edge, Failure::shutting_down(), why)),
    }
}

/// What another request has stored since this one looked, if it will do.
fn stored_meanwhile(edge: &Arc<Edge>, exchange: &Arc<Exchange>) -> Option<Answer> {
    // A second look-up would count as a second use.
    if !edge.store.holds(&exchange.key) {
        return None;
    }
    let variants = stored_under(edge, exchange)?;
    let stored = variants.select(&exchange.parts.headers)?;
    let settings = &exchange.site.settings;
    match reuse(
        &stored.head.freshness,
        &exchange.directives,
        settings.client_directives,
        edge.clock.now(),
    ) {
        Reuse::Fresh => {
            let provenance = Provenance {
                collapsed: true,
                ..Provenance::default()
            };
            let response = deliver(
                edge,
                exchange,
                BodySource::Stored(stored),
                provenance,
                edge.clock.now(),
            );
            Some(Answer {
                response,
                outcome: Outcome::Collapsed,
                stored: true,
            })
        }
        _ => None,
    }
}

/// How a request takes part in a fill.
enum Join {
    Reader(FillReader),
    /// Not in this one, but in one that it shares with all that find the same number.
    Other(u64),
    TooLate,
}

/// Whether a response that is being stored answers this request too (§4.1), which came when the
/// order of purges stood at `asked`: not if it was purged, or made invalid, after its fetch began
/// and before this request came.
fn join_fill(
    edge: &Edge,
    exchange: &Exchange,
    filling: &ResponseInFlight,
    asked: PurgePoint,
) -> Join {
    let head = &filling.head;
    if let Some(purge) = edge
        .store
        .purged_between(&exchange.key, head, filling.purges, asked)
    {
        return Join::Other(purge);
    }
    if !head.secondary_key.selects(&exchange.parts.headers) {
        return Join::Other(head.secondary_key.digest(&exchange.parts.headers));
    }
    filling.fill.reader().map_or(Join::TooLate, Join::Reader)
}

fn follow(
    edge: &Edge,
    exchange: &Exchange,
    filling: &ResponseInFlight,
    reader: FillReader,
    why: Forward,
) -> Answer {
    let provenance = Provenance {
        forward: Some(why),
        collapsed: true,
        ..Provenance::default()
    };
    let response = deliver(
        edge,
        exchange,
        BodySource::Filling(filling, reader, None),
        provenance,
        edge.clock.now(),
    );
    Answer {
        response,
        outcome: Outcome::Collapsed,
        stored: true,
    }
}

/// A fetch failed: what is stored is served stale where that is allowed (§4.2.4, RFC 5861 §4), else
/// the failure is told.
fn stale_or_error(
    edge: &Arc<Edge>,
    exchange: &Arc<Exchange>,
    stale: Option<Arc<StoredResponse>>,
    why: Forward,
    failure: Failure,
) -> Answer {
    let settings = &exchange.site.settings;
    match stale {
        Some(stored)
            if reuse::stale_if_error(
                &stored.head.freshness,
                &exchange.directives,
                settings.client_directives,
                edge.clock.now(),
            ) =>
        {
            let provenance = Provenance {
                forward: Some(why),
                forward_status: failure.origin_status,
                trouble: Some(failure.reason),
                ..Provenance::default()
            };
            let mut answer = self::stale(edge, exchange, &stored, provenance);
            // A plan does not want the page, but to know for how long its origin is to be left
            // alone.
            if exchange.warm_run != 0
                && let Some(retry_after) = failure.retry_after
            {
                answer
                    .response
                    .headers_mut()
                    .insert(http::header::RETRY_AFTER, retry_after.as_secs().into());
            }
            answer
        }
        _ => error(respond::failed(edge, failure, why)),
    }
}

/// A HEAD that nothing stored answers: what it says of the stored response counts (§4.3.5).
async fn forward_head(
    edge: &Arc<Edge>,
    exchange: &Arc<Exchange>,
    stale: Option<Arc<StoredResponse>>,
    why: Forward,
) -> Answer {
    let (asked_at, since) = (edge.clock.now(), edge.store.purge_point());
    match pass::pass(edge, exchange, None).await {
        Ok(response) => {
            if let Some(stored) = &stale {
                revalidate::by_head(edge, exchange, stored, &response, asked_at, since);
            }
            let status = response.status();
            let response =
                pass::with_own_fields(edge, exchange, response, status, why, Kept::Not(None));
            Answer {
                response,
                outcome: Outcome::Miss,
                stored: false,
            }
        }
        Err(failure) => stale_or_error(edge, exchange, stale, why, failure),
    }
}

async fn pass_through(
    edge: &Arc<Edge>,
    exchange: &Arc<Exchange>,
    content: Option<Incoming>,
    why: Forward,
) -> Answer {
    let asked_at = edge.clock.now();
    let passed = match pass::ask(edge, exchange, content).await {
        Ok(passed) => passed,
        Err(failure) => return error(respond::failed(edge, failure, why)),
    };
    if why == Forward::Method
        && let Some(since) = passed.may_stand_for_get(exchange)
    {
        let (edge_of, exchange_of) = (Arc::clone(edge), Arc::clone(exchange));
        let fetch = Fetch {
            edge: edge_of,
            exchange: exchange_of,
            stale: None,
            extent: Extent::Whole,
            lead: None,
        };
        let told = fetch.take_over(passed.answer, asked_at, since).await;
        let answer = Box::pin(answer_from_fetch(edge, exchange, None, why, told)).await;
        return Answer {
            outcome: Outcome::Pass,
            ..answer
        };
    }
    let response = pass::streamed(edge, exchange, passed.answer);
    let status = response.status();
    let response = pass::with_own_fields(edge, exchange, response, status, why, Kept::Not(None));
    let outcome = if matches!(why, Forward::Bypass | Forward::Method) {
        Outcome::Pass
    } else {
        Outcome::Miss
    };
    Answer {
        response,
        outcome,
        stored: false,
    }
}

/// A request for another protocol, which is none of the cache's business (RFC 9110 §7.8).
async fn upgrade(edge: &Arc<Edge>, exchange: &Arc<Exchange>) -> Answer {
    match upgrade::upgrade(edge, exchange).await {
        Ok(response) => {
            let status = response.status();
            let response = pass::with_own_fields(
                edge,
                exchange,
                response,
                status,
                Forward::Bypass,
                Kept::Not(None),
            );
            Answer {
                response,
                outcome: Outcome::Pass,
                stored: false,
            }
        }
        Err(failure) => error(respond::failed(edge, failure, Forward::Bypass)),
    }
}

/// Counts hits that have been kept back on stored responses, so that popularity and the plans'
/// figures are complete: before they are read.
pub fn count_hits(edge: &Edge) {
    hits::flush_all_hits(edge);
}

/// Every key that an absolute URL of a site may be stored under: by each rule for the query that
/// its policies give to some device, and by `rule`; under no variant and under each that they, or
/// versions before them, have declared.
pub fn keys_of_url(site: &Site, url: &str, rule: Option<&QueryRule>) -> Vec<Vec<u8>> {
    let Ok(uri) = Uri::try_from(url) else {
        return Vec::new();
    };
    let mut rules: Vec<QueryRule> = vec![QueryRule::default()];
    rules.extend(rule.cloned());
    if !site.policies.is_empty() {
        let chains =
            std::iter::once(&site.policies).chain(site.canary.as_ref().map(|canary| &canary.chain));
        for chain in chains {
            rules.extend(
                Device::ALL.map(|device| decision_for(site, chain, &uri, device).query.clone()),
            );
        }
    }
    let variants = &site.counters.variants()[1..];
    let mut keys: Vec<_> = rules
        .iter()
        .flat_map(|rule| pass::keys_by_rule(&uri, rule, variants))
        .collect();
    keys.sort();
    keys.dedup();
    keys
}

/// What policies of a site decide about a GET of an absolute URL from a device, without any other
/// field.
fn decision_for(site: &Site, chain: &Chain, uri: &Uri, device: Device) -> Arc<RequestDecision> {
    let ask = PolicyRequest {
        method: &Method::GET,
        scheme: uri.scheme_str().unwrap_or("http"),
        host: uri.host().unwrap_or_default(),
        path: uri.path(),
        query: uri.query(),
        headers: &http::HeaderMap::new(),
        device,
        variant: None,
    };
    chain.on_request(&ask, site.clock.now())
}
