//! THE request path: receive, admit, look up, reuse or fetch, store, deliver.
//!
//! This file holds the branches and calls the steps, one file each; what decides a branch is
//! computed in `semantics`. A warming plan's request takes the same way as a visitor's, from
//! [`answer`] on.

pub mod admit;
mod background;
mod basic_auth;
pub mod body;
pub mod canary;
pub mod client;
mod coding;
pub mod content;
mod cookies;
pub mod country;
mod decided;
mod deliver;
pub mod devices;
mod disk_hit;
mod disk_lookup;
pub mod edge;
pub mod edge_variants;
mod error_pages;
pub mod exchange;
pub mod explain;
mod failing_keys;
pub mod failure;
mod fetch;
mod field_scan;
pub mod fleet;
mod flight;
mod hit_for_miss;
mod hits;
mod identity;
mod key_memory;
pub mod key_values;
pub mod maintenance;
mod miss;
mod news;
mod next_hop_request;
mod next_hops;
pub mod open_record;
mod outside_body;
mod pass;
pub mod provenance;
pub mod purge_access;
mod purge_method;
pub mod rate_limits;
mod ready_heads;
mod record;
mod refresh_ahead;
pub mod refusal;
pub mod rehearsal;
pub mod request_id;
mod respond;
mod response_edits;
mod rest;
mod revalidate;
pub mod route_table;
mod ruled;
pub mod shadow;
pub mod shadow_question;
mod silence;
pub mod site;
pub mod site_rules;
pub mod store_purge;
mod tier;
pub mod tls_client;
mod upgrade;
mod upload;
mod url_keys;
mod verdict;
pub mod visit;
pub mod warm_lookup;
pub mod watchlist;
mod websocket;

use std::pin::Pin;
use std::sync::Arc;

use http::request::Parts;
use http::{Response, StatusCode};
use tokio::sync::oneshot::error::RecvError;

use crate::collapse::Lead;
use crate::store::PurgeWatch;
use crate::store::fill::FillReader;
use crate::store::stored::StoredResponse;
use crate::telemetry::Outcome;
use admit::{RefusedRequest, RequestSource};
use body::EdgeBody;
use content::RequestContent;
use deliver::{BodySource, deliver, deliver_as_sent};
use exchange::Exchange;
use failure::{Failure, NextHopReply};
use fetch::{Extent, Fetch, FetchResult, TimedResponse, partial};
use flight::Turn;
use identity::RefusedSender;
use miss::Miss;
use news::{FlightNews, ResponseInFlight};
use open_record::RecordedResponse;
use provenance::{NotStored, Provenance, StoreTier, Storing};
use record::AwaitedAnswer;
use tero_semantics::cache_status::Forward;
use tero_semantics::disposition::{Disposition, FetchPlan, StoredMatch};
use tero_semantics::purge_request::is_purge;
use tero_semantics::reuse::{Reuse, reuse};
use tero_wire::Fault;
use warm_lookup::WarmLookup;

pub use edge::{Edge, EdgeParts};
pub use provenance::Answer;
pub use record::{count_hits, record_unread};
pub use respond::{refuse, refuse_as, refuse_in_the_clear};
pub use tero_wire::head_as_bytes;
pub use url_keys::keys_of_url;
pub use visit::{Look, Visit};

/// The answer to a client's request, which for a hit is there already.
pub enum Reply<'e> {
    /// Nothing had to be waited for.
    Ready(RecordedResponse),
    /// It takes a while. The futures of a fetch are large; a hit should not carry their weight.
    Pending(Pin<Box<dyn Future<Output = RecordedResponse> + Send + 'e>>),
}

impl Reply<'_> {
    /// Waits for the answer.
    pub async fn response(self) -> RecordedResponse {
        match self {
            Reply::Ready(response) => response,
            Reply::Pending(response) => response.await,
        }
    }
}

/// Answers a client's request.
pub fn handle(
    edge: &Arc<Edge>,
    parts: Parts,
    content: RequestContent,
    source: RequestSource,
) -> Reply<'_> {
    if let Some(response) = edge.acme.http_answer(&parts.method, parts.uri.path()) {
        return Reply::Ready(challenge_answered(edge, &parts, response, &source));
    }
    let exchange = match admit::admit_visitor(edge, parts, source) {
        Ok((exchange, None)) => exchange,
        Ok((exchange, Some(verdict))) => return ruled::ruled(edge, exchange, *verdict, content),
        Err(refused) => return Reply::Ready(turned_away(edge, &refused)),
    };
    admitted(edge, exchange, content)
}

/// Answers a request that was let in, and that policies were asked about.
#[inline]
fn admitted(edge: &Arc<Edge>, exchange: Arc<Exchange>, content: RequestContent) -> Reply<'_> {
    let visit = Visit {
        edge,
        exchange: &exchange,
    };
    if let Some(exceeded) = &exchange.exceeded
        && exceeded.refuses()
    {
        return Reply::Ready(recorded(visit, respond::limited(visit, exceeded)));
    }
    if visit.is_behind_edge() {
        return Reply::Pending(Box::pin(async move {
            if let Some(front) = &exchange.edge {
                edge.fleet.catch_up(front, &edge.clock).await;
            }
            caught_up(edge, exchange, content).response().await
        }));
    }
    caught_up(edge, exchange, content)
}

/// Answers a request as the stored responses are now.
#[inline]
fn caught_up(edge: &Arc<Edge>, exchange: Arc<Exchange>, content: RequestContent) -> Reply<'_> {
    let visit = Visit {
        edge,
        exchange: &exchange,
    };
    if exchange.is_vain_connect() {
        let refused = respond::failed(visit, None, Failure::protocol_not_offered());
        return Reply::Ready(recorded(visit, refused));
    }
    match carry_out(visit) {
        Progress::Answered(answer) => Reply::Ready(recorded(visit, answer)),
        Progress::Onward(route) => Reply::Pending(Box::pin(async move {
            let visit = Visit {
                edge,
                exchange: &exchange,
            };
            let waiting = AwaitedAnswer::new(visit);
            let answer = forward(visit, route, Some(content)).await;
            waiting.answered();
            recorded(visit, answer)
        })),
    }
}

/// The answer to a challenge of ACME, which belongs to no site.
#[cold]
fn challenge_answered(
    edge: &Arc<Edge>,
    request: &Parts,
    response: Response<EdgeBody>,
    source: &RequestSource,
) -> RecordedResponse {
    let connection = source.connection.as_ref();
    let sender = RefusedSender::of(edge, request, source.peer_facts(), connection);
    let record = record::record_refused(edge, &sender, request, &response);
    RecordedResponse { response, record }
}

/// The answer to a request that was not let in.
#[cold]
fn turned_away(edge: &Arc<Edge>, refused: &RefusedRequest) -> RecordedResponse {
    let RefusedRequest {
        refusal,
        parts,
        source,
    } = refused;
    let sender = RefusedSender::of(edge, parts, source.peer_facts(), source.connection.as_ref());
    let response = respond::refused(edge, *refusal, &sender.id);
    RecordedResponse {
        record: record::record_refused(edge, &sender, parts, &response),
        response,
    }
}

fn recorded(visit: Visit<'_>, answer: Answer) -> RecordedResponse {
    let answer = error_pages::with_page(visit, answer);
    RecordedResponse {
        record: record::record(visit, &answer),
        response: answer.response,
    }
}

/// Refuses a request whose head turns out to be malformed only now.
pub fn refuse_read(
    edge: &Arc<Edge>,
    request: &Parts,
    source: &RequestSource,
    fault: Fault,
) -> RecordedResponse {
    refuse_request(edge, request, source, refuse(edge, fault))
}

/// Refuses a request that has a head, with a response of [`refuse`] or [`refuse_as`].
pub fn refuse_request(
    edge: &Arc<Edge>,
    request: &Parts,
    source: &RequestSource,
    response: Response<EdgeBody>,
) -> RecordedResponse {
    let sender = RefusedSender::of(
        edge,
        request,
        source.peer_facts(),
        source.connection.as_ref(),
    );
    RecordedResponse {
        record: record::record_refused(edge, &sender, request, &response),
        response,
    }
}

/// Answers a request that was let in.
pub async fn answer(visit: Visit<'_>, content: Option<RequestContent>) -> Answer {
    match carry_out(visit) {
        Progress::Answered(answer) => answer,
        Progress::Onward(route) => Box::pin(forward(visit, route, content)).await,
    }
}

/// Fetches for a plan what `look_for_plan` found wanting.
pub async fn fetch_for_plan(
    visit: Visit<'_>,
    found: WarmLookup,
    stored: Option<Arc<StoredResponse>>,
) -> Answer {
    if stored.is_none() && visit.has_too_many_key_values() {
        return pass_through(visit, None, Forward::Bypass, NEW_KEY_VALUE).await;
    }
    fetch(visit, Miss::new(visit, stored, found.forward())).await
}

/// What is said of storing where the parts of a key have a value for which there is no room.
const NEW_KEY_VALUE: Storing = Storing::Refused(NotStored::KeyValues);

/// How far a request has come without waiting.
#[allow(
    clippy::large_enum_variant,
    reason = "a hit is the large one, and must not cost an allocation"
)]
enum Progress {
    /// It is answered.
    Answered(Answer),
    /// It goes forward.
    Onward(Route),
}

/// The route of a request that goes forward.
enum Route {
    /// To be stored; with the stored response that may be validated.
    Fetch(Option<Arc<StoredResponse>>, Forward),
    /// To the disk that may have it.
    Disk,
    /// Past the cache; and why nothing is stored, where the reason has a name.
    Pass(Forward, Storing),
    /// To another protocol.
    Upgrade,
    /// Isn't forwarded: it asks for a purge.
    Purge,
}

/// Carries out what becomes of a request, as far as nothing has to be waited for.
#[inline]
fn carry_out(visit: Visit<'_>) -> Progress {
    carry_out_by(visit, visit.disposition(visit.look()), StoreTier::Memory)
}

/// Carries out a disposition about what a tier has.
#[inline]
fn carry_out_by(
    visit: Visit<'_>,
    disposition: Disposition<Arc<StoredResponse>>,
    tier: StoreTier,
) -> Progress {
    match disposition {
        Disposition::Answer => Progress::Answered(own_answer(visit)),
        Disposition::Serve(stored) => Progress::Answered(hit(visit, &stored, tier)),
        Disposition::ServeWhileRevalidating(stored) => {
            visit.note_key_value();
            revalidate::in_background(visit, &stored);
            let provenance = Provenance::stored(Outcome::Stale).of_tier(tier);
            Progress::Answered(stale(visit, &stored, provenance))
        }
        Disposition::ServeWhileOriginIsTried(stored) => {
            visit.note_key_value();
            revalidate::in_background(visit, &stored);
            let provenance = Provenance::stale_while_origin_is_tried().of_tier(tier);
            Progress::Answered(stale(visit, &stored, provenance))
        }
        Disposition::ServeWhileOriginRests(stored) => {
            let provenance = Provenance::stale_while_origin_rests().of_tier(tier);
            Progress::Answered(stale(visit, &stored, provenance))
        }
        unanswered => match route_of(visit, unanswered, tier) {
            Some(Route::Disk) => disk_lookup::look(visit),
            Some(route) => Progress::Onward(route),
            None => Progress::Answered(only_if_cached(visit)),
        },
    }
}

/// The route of a request that no stored response answers at once; `None` if it takes none, since its
/// client wants nothing else (`only-if-cached`) or has its answer.
fn route_of(
    visit: Visit<'_>,
    disposition: Disposition<Arc<StoredResponse>>,
    tier: StoreTier,
) -> Option<Route> {
    if tier == StoreTier::Memory && disk_lookup::is_for_disk(visit, &disposition) {
        return Some(Route::Disk);
    }
    match disposition {
        Disposition::Answer
        | Disposition::Serve(_)
        | Disposition::ServeWhileRevalidating(_)
        | Disposition::ServeWhileOriginIsTried(_)
        | Disposition::ServeWhileOriginRests(_) => None,
        Disposition::GatewayTimeout => None,
        Disposition::Revalidate { stored, why } => {
            visit.note_key_value();
            Some(Route::Fetch(Some(stored), why.forward()))
        }
        Disposition::Fetch(_) if visit.has_too_many_key_values() => {
            Some(Route::Pass(Forward::Bypass, NEW_KEY_VALUE))
        }
        Disposition::Fetch(forward) => Some(Route::Fetch(None, forward)),
        Disposition::Pass(_) if is_purge(&visit.exchange.parts.method) => Some(Route::Purge),
        Disposition::Pass(reason) => Some(Route::Pass(reason.forward(), Storing::NotTried)),
        Disposition::Upgrade => Some(Route::Upgrade),
    }
}

async fn forward(visit: Visit<'_>, route: Route, content: Option<RequestContent>) -> Answer {
    match route {
        Route::Fetch(stale, forward) => fetch(visit, Miss::new(visit, stale, forward)).await,
        Route::Disk => disk_lookup::answer(visit, content).await,
        Route::Pass(forward, storing) => pass_through(visit, content, forward, storing).await,
        Route::Upgrade => upgrade(visit).await,
        Route::Purge => purge_method::answer(visit).await,
    }
}

/// The answer that a policy gives by itself.
#[cold]
fn own_answer(visit: Visit<'_>) -> Answer {
    match visit.exchange.own_answer() {
        Some(answer) => respond::by_policy(visit, answer),
        None => respond::failed(visit, None, Failure::shutting_down()),
    }
}

/// Counts a use of a stored response, and revalidates it in the background if its end is near.
fn use_stored(visit: Visit<'_>, stored: &Arc<StoredResponse>) {
    if record::count_use(visit, stored) {
        refresh_ahead::revalidate(visit, stored);
    }
}

#[inline]
fn hit(visit: Visit<'_>, stored: &Arc<StoredResponse>, tier: StoreTier) -> Answer {
    use_stored(visit, stored);
    match tier {
        StoreTier::Memory => deliver::hit(visit, stored),
        StoreTier::Disk => disk_hit::answer(visit, stored),
    }
}

fn stale(visit: Visit<'_>, stored: &Arc<StoredResponse>, provenance: Provenance) -> Answer {
    use_stored(visit, stored);
    deliver(visit, BodySource::Stored(stored), provenance, visit.now())
}

/// `only-if-cached`, and nothing stored will do.
fn only_if_cached(visit: Visit<'_>) -> Answer {
    respond::failed(visit, None, Failure::only_if_cached())
}

/// Nothing stored answers the request as it is: a HEAD goes forward by itself, a GET leads or
/// follows a fetch.
async fn fetch(visit: Visit<'_>, miss: Miss) -> Answer {
    let plan = miss.plan(visit);
    // A client that demands an answer of the origin gets one (RFC 9111 §5.2.1.4).
    if miss.forward != Forward::Request
        && plan.shares_failures()
        && let Some(failure) = visit.remembered_failure()
    {
        return stale_or_error(visit, &miss, failure);
    }
    match plan {
        FetchPlan::Head => forward_head(visit, miss).await,
        FetchPlan::FromPart => answer_from_part(visit, miss).await,
        FetchPlan::RangeOnly => fetch_range(visit, miss.forward).await,
        FetchPlan::Alone(_) => fetch_alone(visit, miss).await,
        FetchPlan::Collapse => match flight::take_turn(visit).await {
            Turn::Lead(lead) => fetch_as_leader(visit, miss, lead).await,
            Turn::Follow(filling, reader) => follow(visit, miss.forward, &filling, reader),
            Turn::Stored => match stored_meanwhile(visit) {
                Some(answer) => answer,
                None => fetch_alone(visit, miss).await,
            },
            Turn::Alone => fetch_alone(visit, miss).await,
            Turn::Failed(failure) => stale_or_error(visit, &miss, failure),
        },
    }
}

/// A stored part holds all that the request asks for.
async fn answer_from_part(visit: Visit<'_>, miss: Miss) -> Answer {
    let Some(part) = &miss.part else {
        return fetch_alone(visit, miss).await;
    };
    use_stored(visit, part);
    let provenance = Provenance::stored(Outcome::Hit);
    let source = BodySource::Stored(part);
    deliver(visit, source, provenance, visit.exchange.at)
}

/// Fetches for all that wait for this key. Another request may have stored it since it was looked
/// up.
async fn fetch_as_leader(visit: Visit<'_>, miss: Miss, lead: Lead<FlightNews>) -> Answer {
    if miss.forward != Forward::Request
        && let Some(answer) = stored_meanwhile(visit)
    {
        lead.share(FlightNews::Stored);
        return answer;
    }
    run(visit, miss, Some(lead)).await
}

/// Fetches without followers.
async fn fetch_alone(visit: Visit<'_>, miss: Miss) -> Answer {
    let exchange = visit.exchange;
    let asks_for_less = exchange.fields.range || exchange.fields.conditional;
    // A response that won't be stored need not be fetched whole.
    if asks_for_less && miss.stale.is_none() && visit.expects_not_storable() {
        return fetch_range(visit, miss.forward).await;
    }
    run(visit, miss, None).await
}

/// Fetches no more than the client asks for; what comes of a range by itself is kept as a part.
async fn fetch_range(visit: Visit<'_>, why: Forward) -> Answer {
    let fields = visit.exchange.fields;
    if fields.conditional || !fields.range {
        return pass_through(visit, None, why, Storing::NotTried).await;
    }
    let fetch = Fetch::new(visit, None, Extent::Range);
    answer_from_fetch(visit, &Miss::without_stored(why), fetch.start().await).await
}

async fn run(visit: Visit<'_>, miss: Miss, lead: Option<Lead<FlightNews>>) -> Answer {
    // Parts may have come while this request waited for its turn.
    let part = Miss::new(visit, miss.stale.clone(), miss.forward).part;
    let extent = partial::extent(visit.edge, part);
    let fetch = Fetch::new(visit, miss.stale.clone(), extent).led_by(lead);
    answer_from_fetch(visit, &miss, fetch.start().await).await
}

/// The answer to the request that began a fetch.
async fn answer_from_fetch(
    visit: Visit<'_>,
    miss: &Miss,
    result: Result<FetchResult, RecvError>,
) -> Answer {
    let why = miss.forward;
    match result {
        Ok(FetchResult::Filling(filling, reader, fields)) => {
            let reply = NextHopReply::of(filling.head.status, &fields, &visit.edge.clock);
            let provenance = Provenance::forwarded(Outcome::Miss, why, reply, Storing::Stored);
            let source = BodySource::Filling(&filling, reader, Some(*fields));
            deliver(visit, source, provenance, visit.now())
        }
        Ok(FetchResult::Revalidated(stored, storing)) => {
            let reply = NextHopReply::bare(StatusCode::NOT_MODIFIED);
            let provenance = Provenance::forwarded(Outcome::Revalidated, why, reply, storing);
            deliver(visit, BodySource::Stored(&stored), provenance, visit.now())
        }
        Ok(FetchResult::NotStored(response, refusal)) => {
            let reply = reply_of(visit, &response);
            let storing = Storing::Refused(refusal);
            let provenance = Provenance::forwarded(Outcome::Miss, why, reply, storing);
            let response = deliver::conditioned(visit.exchange, *response);
            deliver_as_sent(visit, response, provenance)
        }
        Ok(FetchResult::Part(response)) => {
            let reply = reply_of(visit, &response);
            let provenance = Provenance::forwarded(Outcome::Miss, why, reply, Storing::StoredPart);
            deliver_as_sent(visit, *response, provenance)
        }
        Ok(FetchResult::TooLargeForRange) => Box::pin(fetch_range(visit, why)).await,
        Ok(FetchResult::Failed(failure)) => stale_or_error(visit, miss, failure),
        // The task ended without a word: only when the runtime is being shut down.
        Err(_) => respond::failed(visit, Some(why), Failure::shutting_down()),
    }
}

/// What the next hop says with a response that goes to its client with the next hop's fields.
fn reply_of(visit: Visit<'_>, response: &Response<EdgeBody>) -> NextHopReply {
    NextHopReply::of(response.status(), response.headers(), &visit.edge.clock)
}

/// What another request has stored since this one looked, if it will do.
fn stored_meanwhile(visit: Visit<'_>) -> Option<Answer> {
    let stored = fresh_meanwhile(visit)?;
    let source = BodySource::Stored(&stored);
    Some(deliver(visit, source, Provenance::collapsed(), visit.now()))
}

/// The stored response, if it is fresh by now.
fn fresh_meanwhile(visit: Visit<'_>) -> Option<Arc<StoredResponse>> {
    let Visit { edge, exchange } = visit;
    // A second look-up would count as a second use.
    if !edge.store.holds(&exchange.key) {
        return None;
    }
    let StoredMatch::Selected(stored) = visit.stored(visit.look()) else {
        return None;
    };
    let (client, now) = (visit.settings().client_directives, visit.now());
    let reuse = reuse(&stored.head.freshness, &exchange.directives, client, now);
    (reuse == Reuse::Fresh && !visit.is_distrusted(&stored)).then_some(stored)
}

fn follow(
    visit: Visit<'_>,
    why: Forward,
    filling: &ResponseInFlight,
    reader: FillReader,
) -> Answer {
    let provenance = Provenance {
        forward: Some(why),
        ..Provenance::collapsed()
    };
    let source = BodySource::Filling(filling, reader, None);
    deliver(visit, source, provenance, visit.now())
}

/// A fetch failed: the stored response is served stale where that is allowed (§4.2.4, RFC 5861 §4),
/// else the client is told of the failure.
fn stale_or_error(visit: Visit<'_>, miss: &Miss, failure: Failure) -> Answer {
    match &miss.stale {
        Some(stored) if visit.may_stand_in(stored) => stale(
            visit,
            stored,
            Provenance::stale_instead(miss.forward, failure),
        ),
        _ => respond::failed(visit, Some(miss.forward), failure),
    }
}

/// A HEAD that nothing stored answers: its answer may update a stale response (§4.3.5). An error is
/// bridged as that to a GET is.
async fn forward_head(visit: Visit<'_>, miss: Miss) -> Answer {
    let asked_at = visit.now();
    let purges = miss.stale.as_ref().map(|_| visit.watch_purges());
    match pass::pass(visit, None, miss.forward).await {
        Ok(response) if is_bridged(visit, &miss, response.status()) => {
            stale_or_error(visit, &miss, Failure::status(reply_of(visit, &response)))
        }
        Ok(response) => {
            if let (Some(stored), Some(purges)) = (&miss.stale, &purges) {
                revalidate::by_head(visit, stored, &response, asked_at, purges);
            }
            let reply = reply_of(visit, &response);
            let (outcome, storing) = (Outcome::Miss, Storing::NotTried);
            let provenance = Provenance::forwarded(outcome, miss.forward, reply, storing);
            deliver_as_sent(visit, response, provenance)
        }
        Err(failure) => stale_or_error(visit, &miss, failure),
    }
}

/// Whether a stale response stands in for an answer of this status to a HEAD (RFC 5861 §4).
fn is_bridged(visit: Visit<'_>, miss: &Miss, status: StatusCode) -> bool {
    let mut stale = miss.stale.iter();
    status.is_server_error() && stale.any(|stored| visit.may_stand_in(stored))
}

async fn pass_through(
    visit: Visit<'_>,
    content: Option<RequestContent>,
    why: Forward,
    storing: Storing,
) -> Answer {
    let asked_at = visit.now();
    let mut passed = match pass::ask(visit, content, why).await {
        Ok(passed) => passed,
        Err(failure) => return respond::failed(visit, Some(why), failure),
    };
    if why == Forward::Method
        && let Some(purges) = passed.may_stand_for_get(visit.exchange)
    {
        let response = TimedResponse {
            response: passed.answer,
            asked_at,
        };
        return answer_for_later_gets(visit, response, purges).await;
    }
    let response = pass::streamed(visit, passed.answer);
    let outcome = outcome_of_pass(why);
    let reply = reply_of(visit, &response);
    let provenance = Provenance::forwarded(outcome, why, reply, storing);
    deliver_as_sent(visit, response, provenance)
}

/// As what a request counts that goes past the store, for this reason.
fn outcome_of_pass(why: Forward) -> Outcome {
    if matches!(why, Forward::Bypass | Forward::Method) {
        Outcome::Pass
    } else {
        Outcome::Miss
    }
}

/// The answer to a POST that may stand for later GETs, unless it was purged since (RFC 9110
/// §9.3.3).
async fn answer_for_later_gets(
    visit: Visit<'_>,
    response: TimedResponse,
    purges: PurgeWatch,
) -> Answer {
    let fetch = Fetch::new(visit, None, Extent::Whole);
    let result = fetch.take_over(response, purges).await;
    let miss = Miss::without_stored(Forward::Method);
    let mut answer = Box::pin(answer_from_fetch(visit, &miss, result)).await;
    answer.provenance.outcome = Outcome::Pass;
    answer
}

/// A request for another protocol: the cache has no part in it (RFC 9110 §7.8).
async fn upgrade(visit: Visit<'_>) -> Answer {
    let why = Forward::Bypass;
    match upgrade::upgrade(visit).await {
        Ok(response) => {
            let reply = reply_of(visit, &response);
            let provenance = Provenance::forwarded(Outcome::Pass, why, reply, Storing::NotTried);
            deliver_as_sent(visit, response, provenance)
        }
        Err(failure) => respond::failed(visit, Some(why), failure),
    }
}
