//! THE request path: receive, admit, look up, reuse or fetch, store, deliver.
//!
//! This file holds the branches and calls the steps, one file each; what decides a branch is
//! computed in `semantics`. A warming plan's request takes the same way as a visitor's, from
//! [`answer`] on.

pub mod admit;
pub mod body;
pub mod canary;
pub mod client;
mod deliver;
pub mod devices;
pub mod edge;
pub mod exchange;
pub mod explain;
pub mod failure;
mod fetch;
mod hit_for_miss;
mod hits;
mod news;
mod next_hop_request;
mod pass;
pub mod provenance;
mod ready_heads;
mod record;
mod refresh_ahead;
pub mod refusal;
mod respond;
mod revalidate;
pub mod shadow;
pub mod shadow_question;
pub mod share;
pub mod site;
mod upgrade;
mod url_keys;
pub mod visit;
pub mod warm_lookup;
pub mod watchlist;

use std::pin::Pin;
use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::oneshot::error::RecvError;

use crate::collapse::{FlightResult, FlightRole, Lead};
use crate::store::fill::FillReader;
use crate::store::stored::StoredResponse;
use crate::store::{PurgePoint, Variants};
use crate::telemetry::Outcome;
use admit::RequestSource;
use body::EdgeBody;
use deliver::{BodySource, deliver, deliver_as_sent};
use exchange::Handling;
use failure::{Failure, NextHopReply};
use fetch::{Extent, Fetch, FetchResult, partial};
use news::{FlightNews, ResponseInFlight};
use provenance::{Provenance, Storing};
use tero_semantics::cache_status::Forward;
use tero_semantics::reuse::{self, Absent, Reuse, reuse};
use warm_lookup::WarmLookup;

pub use edge::{Edge, EdgeParts};
pub use provenance::Answer;
pub use record::count_hits;
pub use respond::{refuse, refuse_as};
pub use tero_wire::head_as_bytes;
pub use url_keys::keys_of_url;
pub use visit::Visit;

/// How many fetches under way that are not for it a request may come upon before it goes by itself.
const MAX_OTHER_FLIGHTS: u32 = 4;

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
    let visit = Visit {
        edge,
        exchange: &exchange,
    };
    match look_up(visit) {
        Found::Answer(answer) => {
            record::record(visit, &answer);
            Reply::Ready(answer.response)
        }
        Found::Forward(way) => Reply::Pending(Box::pin(async move {
            let visit = Visit {
                edge,
                exchange: &exchange,
            };
            let answer = forward(visit, way, Some(content)).await;
            record::record(visit, &answer);
            answer.response
        })),
    }
}

/// Answers a request that was let in.
pub async fn answer(visit: Visit<'_>, content: Option<Incoming>) -> Answer {
    match look_up(visit) {
        Found::Answer(answer) => answer,
        Found::Forward(way) => Box::pin(forward(visit, way, content)).await,
    }
}

/// What looking up came to.
#[allow(
    clippy::large_enum_variant,
    reason = "a hit is the large one, and must not cost an allocation"
)]
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

async fn forward(visit: Visit<'_>, way: Way, content: Option<Incoming>) -> Answer {
    match way {
        Way::Fetch(stale, why) => fetch(visit, stale, why).await,
        Way::Pass(why) => pass_through(visit, content, why).await,
        Way::Upgrade => upgrade(visit).await,
    }
}

fn look_up(visit: Visit<'_>) -> Found {
    match visit.exchange.handling() {
        Handling::Cache => {}
        Handling::Pass => return Found::Forward(Way::Pass(Forward::Bypass)),
        Handling::Method => return Found::Forward(Way::Pass(Forward::Method)),
        Handling::Upgrade => return Found::Forward(Way::Upgrade),
    }
    let settings = &visit.settings();
    let Some(variants) = stored_under(visit) else {
        return nothing_stored(visit, Forward::UriMiss);
    };
    let Some(stored) = variants.select(&visit.exchange.parts.headers) else {
        return nothing_stored(visit, Forward::VaryMiss);
    };
    match reuse(
        &stored.head.freshness,
        &visit.exchange.directives,
        settings.client_directives,
        visit.exchange.at,
    ) {
        Reuse::Fresh => Found::Answer(hit(visit, stored)),
        Reuse::StaleWhileRevalidate => {
            revalidate::in_background(visit, stored);
            Found::Answer(stale(visit, stored, Provenance::stored(Outcome::Stale)))
        }
        Reuse::Revalidate(why) => {
            let forward = if why.is_of_request() {
                Forward::Request
            } else {
                Forward::Stale
            };
            Found::Forward(Way::Fetch(Some(Arc::clone(stored)), forward))
        }
        Reuse::Unsatisfiable => Found::Answer(only_if_cached(visit)),
    }
}

/// What is stored under the key. A plan's look at what it warmed does not count as a use of it.
fn stored_under(visit: Visit<'_>) -> Option<Variants> {
    let (store, exchange) = (&visit.edge.store, visit.exchange);
    if exchange.requester.is_plan() {
        store.peek(&exchange.key)
    } else {
        store.lookup(&exchange.key)
    }
}

/// Counts a use of a stored response, and revalidates it in the background if its end is near.
fn use_stored(visit: Visit<'_>, stored: &Arc<StoredResponse>) {
    if record::count_use(visit, stored) {
        refresh_ahead::revalidate(visit, stored);
    }
}

fn nothing_stored(visit: Visit<'_>, why: Forward) -> Found {
    match reuse::absent(&visit.exchange.directives) {
        Absent::Fetch => Found::Forward(Way::Fetch(None, why)),
        Absent::Unsatisfiable => Found::Answer(only_if_cached(visit)),
    }
}

fn hit(visit: Visit<'_>, stored: &Arc<StoredResponse>) -> Answer {
    use_stored(visit, stored);
    deliver::hit(visit, stored)
}

fn stale(visit: Visit<'_>, stored: &Arc<StoredResponse>, provenance: Provenance) -> Answer {
    use_stored(visit, stored);
    deliver(visit, BodySource::Stored(stored), provenance, visit.now())
}

/// `only-if-cached`, and nothing stored will do.
fn only_if_cached(visit: Visit<'_>) -> Answer {
    respond::failed(visit.edge, None, Failure::only_if_cached())
}

/// Fetches for a plan what `look_for_plan` found wanting.
pub async fn fetch_for_plan(
    visit: Visit<'_>,
    found: WarmLookup,
    stored: Option<Arc<StoredResponse>>,
) -> Answer {
    fetch(visit, stored, found.forward()).await
}

/// Nothing stored will do as it is: a HEAD goes forward by itself, a GET leads or follows a fetch.
async fn fetch(visit: Visit<'_>, stale: Option<Arc<StoredResponse>>, why: Forward) -> Answer {
    if visit.exchange.parts.method == Method::HEAD {
        return forward_head(visit, stale, why).await;
    }
    let part = if stale.is_none() {
        visit
            .edge
            .store
            .part(&visit.exchange.key, &visit.exchange.parts.headers)
    } else {
        None
    };
    if let Some(part) = &part
        && partial::is_fresh(visit, part)
        && deliver::is_all_within(visit, part)
    {
        use_stored(visit, part);
        let provenance = Provenance::stored(Outcome::Hit);
        let source = BodySource::Stored(part);
        return deliver(visit, source, provenance, visit.exchange.at);
    }
    let why = if part.is_some() {
        Forward::Partial
    } else {
        why
    };
    let is_too_large = part.is_some_and(|part| partial::is_of_too_large(visit.edge, &part));
    if is_too_large && visit.exchange.fields.range {
        return fetch_range(visit, why).await;
    }
    if is_too_large
        || visit.exchange.directives.no_store
        || visit
            .edge
            .hit_for_miss
            .expects(&visit.exchange.key, visit.exchange.at)
    {
        return fetch_alone(visit, stale, why).await;
    }
    let asked = visit.edge.store.purge_point();
    let deadline = visit.now().saturating_add(visit.edge.collapse_timeout);
    let mut flight_key = visit.exchange.key.clone();
    let mut attempt = 0;
    let mut others = 0;
    loop {
        let flight = match visit.edge.collapse.join(&flight_key, attempt) {
            FlightRole::Leader(lead) => {
                return self::fetch_as_leader(visit, stale, why, lead).await;
            }
            FlightRole::Follower(flight) => flight,
        };
        let patience = deadline.since(visit.now());
        match visit.edge.clock.timeout(patience, flight.wait()).await {
            Err(_) => return fetch_alone(visit, stale, why).await,
            Ok(FlightResult::Failed { attempt: failed }) => attempt = failed,
            Ok(FlightResult::Answered(FlightNews::Failed(failure))) => {
                return stale_or_error(visit, stale, why, failure);
            }
            Ok(FlightResult::Answered(FlightNews::NotStorable)) => {
                return fetch_alone(visit, stale, why).await;
            }
            Ok(FlightResult::Answered(FlightNews::Stored)) => match stored_meanwhile(visit) {
                Some(answer) => return answer,
                None => return fetch_alone(visit, stale, why).await,
            },
            Ok(FlightResult::Answered(FlightNews::Filling(filling))) => {
                match join_fill(visit, &filling, asked) {
                    Join::Reader(reader) => return follow(visit, &filling, reader, why),
                    // Those to whom the same applies share another fetch.
                    Join::Other(which) if others < MAX_OTHER_FLIGHTS => {
                        flight_key.push(b'\n');
                        flight_key.extend(which.to_be_bytes());
                        others += 1;
                    }
                    Join::Other(_) | Join::TooLate => {
                        return fetch_alone(visit, stale, why).await;
                    }
                }
            }
        }
    }
}

/// Fetches for all that wait for this key. Somebody may have stored it since it was looked up.
async fn fetch_as_leader(
    visit: Visit<'_>,
    stale: Option<Arc<StoredResponse>>,
    why: Forward,
    lead: Lead<FlightNews>,
) -> Answer {
    if why != Forward::Request
        && let Some(answer) = stored_meanwhile(visit)
    {
        lead.share(FlightNews::Stored);
        return answer;
    }
    run(visit, stale, why, Some(lead)).await
}

/// Fetches without followers.
async fn fetch_alone(visit: Visit<'_>, stale: Option<Arc<StoredResponse>>, why: Forward) -> Answer {
    let asks_for_less = visit.exchange.fields.range || visit.exchange.fields.conditional;
    // What won't be stored need not be fetched whole.
    if asks_for_less
        && stale.is_none()
        && visit
            .edge
            .hit_for_miss
            .expects(&visit.exchange.key, visit.exchange.at)
    {
        return fetch_range(visit, why).await;
    }
    run(visit, stale, why, None).await
}

/// Fetches no more than the client asks for; what comes of a range by itself is kept as a part.
async fn fetch_range(visit: Visit<'_>, why: Forward) -> Answer {
    if visit.exchange.fields.conditional || !visit.exchange.fields.range {
        return pass_through(visit, None, why).await;
    }
    let fetch = Fetch {
        visit: visit.to_owned(),
        stale: None,
        extent: Extent::Range,
        lead: None,
    };
    answer_from_fetch(visit, None, why, fetch.start().await).await
}

async fn run(
    visit: Visit<'_>,
    stale: Option<Arc<StoredResponse>>,
    why: Forward,
    lead: Option<Lead<FlightNews>>,
) -> Answer {
    let part = if stale.is_none() {
        visit
            .edge
            .store
            .part(&visit.exchange.key, &visit.exchange.parts.headers)
    } else {
        None
    };
    let extent = partial::extent(visit.edge, part);
    let fetch = Fetch {
        visit: visit.to_owned(),
        stale: stale.clone(),
        extent,
        lead,
    };
    answer_from_fetch(visit, stale, why, fetch.start().await).await
}

/// The answer to the request that began a fetch.
async fn answer_from_fetch(
    visit: Visit<'_>,
    stale: Option<Arc<StoredResponse>>,
    why: Forward,
    told: Result<FetchResult, RecvError>,
) -> Answer {
    match told {
        Ok(FetchResult::Filling(filling, reader, fields)) => {
            let reply = NextHopReply::of(filling.head.status, &fields, visit.now());
            let provenance = Provenance::forwarded(Outcome::Miss, why, reply, Storing::Stored);
            let source = BodySource::Filling(&filling, reader, Some(*fields));
            deliver(visit, source, provenance, visit.now())
        }
        Ok(FetchResult::Revalidated(stored)) => {
            let reply = NextHopReply::bare(StatusCode::NOT_MODIFIED);
            let provenance =
                Provenance::forwarded(Outcome::Revalidated, why, reply, Storing::Stored);
            deliver(visit, BodySource::Stored(&stored), provenance, visit.now())
        }
        Ok(FetchResult::NotStored(response, refusal)) => {
            let storing = Storing::Refused(refusal);
            let provenance = came_as_sent(visit, Outcome::Miss, why, &response, storing);
            let response = deliver::conditioned(visit.exchange, *response);
            deliver_as_sent(visit, response, provenance)
        }
        Ok(FetchResult::Part(response)) => {
            let storing = Storing::StoredPart;
            let provenance = came_as_sent(visit, Outcome::Miss, why, &response, storing);
            deliver_as_sent(visit, *response, provenance)
        }
        Ok(FetchResult::TooLargeForRange) => Box::pin(fetch_range(visit, why)).await,
        Ok(FetchResult::Failed(failure)) => stale_or_error(visit, stale, why, failure),
        // The task ended without a word: only when the runtime is being shut down.
        Err(_) => respond::failed(visit.edge, Some(why), Failure::shutting_down()),
    }
}

/// How a response came about that goes to its client with the fields of the next hop.
fn came_as_sent(
    visit: Visit<'_>,
    outcome: Outcome,
    why: Forward,
    response: &Response<EdgeBody>,
    storing: Storing,
) -> Provenance {
    let reply = NextHopReply::of(response.status(), response.headers(), visit.now());
    Provenance::forwarded(outcome, why, reply, storing)
}

/// What another request has stored since this one looked, if it will do.
fn stored_meanwhile(visit: Visit<'_>) -> Option<Answer> {
    // A second look-up would count as a second use.
    if !visit.edge.store.holds(&visit.exchange.key) {
        return None;
    }
    let variants = stored_under(visit)?;
    let stored = variants.select(&visit.exchange.parts.headers)?;
    let settings = &visit.settings();
    match reuse(
        &stored.head.freshness,
        &visit.exchange.directives,
        settings.client_directives,
        visit.now(),
    ) {
        Reuse::Fresh => {
            let provenance = Provenance {
                collapsed: true,
                ..Provenance::stored(Outcome::Collapsed)
            };
            let source = BodySource::Stored(stored);
            Some(deliver(visit, source, provenance, visit.now()))
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
fn join_fill(visit: Visit<'_>, filling: &ResponseInFlight, asked: PurgePoint) -> Join {
    let head = &filling.head;
    if let Some(purge) =
        visit
            .edge
            .store
            .purged_between(&visit.exchange.key, head, filling.purges, asked)
    {
        return Join::Other(purge);
    }
    if !head.secondary_key.selects(&visit.exchange.parts.headers) {
        return Join::Other(head.secondary_key.digest(&visit.exchange.parts.headers));
    }
    filling.fill.reader().map_or(Join::TooLate, Join::Reader)
}

fn follow(
    visit: Visit<'_>,
    filling: &ResponseInFlight,
    reader: FillReader,
    why: Forward,
) -> Answer {
    let provenance = Provenance {
        forward: Some(why),
        collapsed: true,
        ..Provenance::stored(Outcome::Collapsed)
    };
    let source = BodySource::Filling(filling, reader, None);
    deliver(visit, source, provenance, visit.now())
}

/// A fetch failed: what is stored is served stale where that is allowed (§4.2.4, RFC 5861 §4), else
/// the failure is told.
fn stale_or_error(
    visit: Visit<'_>,
    stale: Option<Arc<StoredResponse>>,
    why: Forward,
    failure: Failure,
) -> Answer {
    let settings = &visit.settings();
    match stale {
        Some(stored)
            if reuse::stale_if_error(
                &stored.head.freshness,
                &visit.exchange.directives,
                settings.client_directives,
                visit.now(),
            ) =>
        {
            self::stale(visit, &stored, Provenance::stale_instead(why, failure))
        }
        _ => respond::failed(visit.edge, Some(why), failure),
    }
}

/// A HEAD that nothing stored answers: what it says of the stored response counts (§4.3.5).
async fn forward_head(
    visit: Visit<'_>,
    stale: Option<Arc<StoredResponse>>,
    why: Forward,
) -> Answer {
    let (asked_at, since) = (visit.now(), visit.edge.store.purge_point());
    match pass::pass(visit, None).await {
        Ok(response) => {
            if let Some(stored) = &stale {
                revalidate::by_head(visit, stored, &response, asked_at, since);
            }
            let storing = Storing::NotTried;
            let provenance = came_as_sent(visit, Outcome::Miss, why, &response, storing);
            deliver_as_sent(visit, response, provenance)
        }
        Err(failure) => stale_or_error(visit, stale, why, failure),
    }
}

async fn pass_through(visit: Visit<'_>, content: Option<Incoming>, why: Forward) -> Answer {
    let asked_at = visit.now();
    let passed = match pass::ask(visit, content).await {
        Ok(passed) => passed,
        Err(failure) => return respond::failed(visit.edge, Some(why), failure),
    };
    if why == Forward::Method
        && let Some(since) = passed.may_stand_for_get(visit.exchange)
    {
        let fetch = Fetch {
            visit: visit.to_owned(),
            stale: None,
            extent: Extent::Whole,
            lead: None,
        };
        let told = fetch.take_over(passed.answer, asked_at, since).await;
        let answer = Box::pin(answer_from_fetch(visit, None, why, told)).await;
        let Answer {
            response,
            mut provenance,
        } = answer;
        provenance.outcome = Outcome::Pass;
        return Answer {
            response,
            provenance,
        };
    }
    let response = pass::streamed(visit, passed.answer);
    let outcome = if matches!(why, Forward::Bypass | Forward::Method) {
        Outcome::Pass
    } else {
        Outcome::Miss
    };
    let provenance = came_as_sent(visit, outcome, why, &response, Storing::NotTried);
    deliver_as_sent(visit, response, provenance)
}

/// A request for another protocol: the cache has no part in it (RFC 9110 §7.8).
async fn upgrade(visit: Visit<'_>) -> Answer {
    let why = Forward::Bypass;
    match upgrade::upgrade(visit).await {
        Ok(response) => {
            let storing = Storing::NotTried;
            let provenance = came_as_sent(visit, Outcome::Pass, why, &response, storing);
            deliver_as_sent(visit, response, provenance)
        }
        Err(failure) => respond::failed(visit.edge, Some(why), failure),
    }
}
