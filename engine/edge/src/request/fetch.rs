//! A fetch for the store: one leader runs it, in a task of its own, so that it survives the client
//! that asked (RFC 9111 §3, §4.3).
//!
//! The steps, in `fetch/`, return values. What came of the fetch is announced in one place: to its
//! own request through a channel, to its followers through the flight. The content is stored after
//! that.

mod freshen;
pub(super) mod judge;
mod keep;
pub(super) mod partial;
mod pump;
pub(super) mod rehearsed;

use std::sync::Arc;

use http::{HeaderMap, Method, Response, StatusCode, response};
use hyper::body::Incoming;
use tokio::sync::oneshot;

use super::body::EdgeBody;
use super::failure::{ErrorChain, Failure, NextHopReply, is_failure_of_origin};
use super::news::{FlightNews, ResponseInFlight};
use super::next_hop_request::{self, FetchKind};
use super::provenance::{NotStored, Storing};
use super::record;
use super::silence::SilenceLimit;
use super::visit::{OwnedVisit, Visit};
use crate::collapse::Lead;
use crate::origin::{self, ContentSource, FetchPermit, OriginResponse, RequestCopy};
use crate::store::fill::FillReader;
use crate::store::stored::StoredResponse;
use crate::store::{Key, PurgeWatch};
use freshen::NotModified;
use judge::{ReceivedHead, ResponseTerms, content_length, judge};
use pump::BodyToStore;
use tero_semantics::precondition::{Precondition, precondition};
use tero_semantics::range::Partial;
use tero_semantics::storability::{Refusal, Storability};
use tero_semantics::timestamp::Timestamp;
use tero_semantics::{forwarding, key, validation};

pub(super) use partial::Extent;

/// What came of a fetch, for the request that began it.
#[derive(Debug)]
pub(super) enum FetchResult {
    /// A response that is being stored, a reader of its content, and its fields as they came: some
    /// of them are not stored.
    Filling(Arc<ResponseInFlight>, FillReader, Box<HeaderMap>),
    /// The stored response holds, under a new head (§4.3.4).
    Revalidated(Arc<StoredResponse>, Storing),
    /// A response that is not stored, and why.
    NotStored(Box<Response<EdgeBody>>, NotStored),
    /// A range was asked for, and the whole is too large to be stored: ask again for the range
    /// alone.
    TooLargeForRange,
    /// A part of a response, on its way to the client and into the store.
    Part(Box<Response<EdgeBody>>),
    /// Nothing that can be served.
    Failed(Failure),
}

/// A response, and when it was asked for: `request_time` of RFC 9111 §4.2.3 travels with it.
#[derive(Debug)]
pub(super) struct TimedResponse {
    /// The response.
    pub response: OriginResponse,
    /// When it was asked for.
    pub asked_at: Timestamp,
}

/// What to fetch, and for whom.
#[derive(Debug)]
pub(super) struct Fetch {
    /// The request that asks.
    visit: OwnedVisit,
    /// The stored response that is validated, or that the answer takes the place of.
    stale: Option<Arc<StoredResponse>>,
    /// Whether the request has the validators of the stored response.
    is_conditional: bool,
    /// How much is asked for.
    extent: Extent,
    /// The purges since before it was asked for.
    purges: Arc<PurgeWatch>,
    /// The duty towards followers; `None` where a request goes by itself. Held until the response
    /// is where new requests find it.
    lead: Option<Lead<FlightNews>>,
    /// To the request that asks, until it is told.
    requester: Option<oneshot::Sender<FetchResult>>,
}

/// What the next hop answered to a fetch.
enum FetchReply {
    /// A response of its own.
    New(TimedResponse),
    /// The bytes that were missing of a part, and the head of the whole.
    Rest(TimedResponse, Box<WholeOfPart>),
    /// The stored response holds, with the fields that the 304 gives it.
    Holds(TimedResponse, Arc<StoredResponse>, Box<HeaderMap>),
}

impl FetchReply {
    fn response(&self) -> &Response<Incoming> {
        let (FetchReply::New(timed) | FetchReply::Rest(timed, _) | FetchReply::Holds(timed, ..)) =
            self;
        &timed.response.response
    }
}

/// A part, and the head of the whole that completes it.
struct WholeOfPart {
    part: Arc<StoredResponse>,
    headers: HeaderMap,
    terms: ResponseTerms,
}

/// What came of a fetch, for all that wait for it.
struct News {
    requester: Option<FetchResult>,
    followers: Option<FlightNews>,
}

/// A response with its head made ready to be passed on.
struct ReceivedResponse {
    parts: response::Parts,
    body: Incoming,
    permit: FetchPermit,
    /// The length of the content, where it is known.
    length: Option<u64>,
}

impl Fetch {
    /// A fetch for a request, without followers.
    pub(super) fn new(
        visit: Visit<'_>,
        stale: Option<Arc<StoredResponse>>,
        extent: Extent,
    ) -> Fetch {
        Fetch {
            visit: visit.to_owned(),
            is_conditional: stale.as_deref().is_some_and(has_validator),
            stale,
            extent,
            purges: Arc::new(visit.watch_purges()),
            lead: None,
            requester: None,
        }
    }

    /// The same, with a duty towards followers.
    pub(super) fn led_by(self, lead: Option<Lead<FlightNews>>) -> Fetch {
        Fetch { lead, ..self }
    }

    /// Runs the fetch in a task of its own.
    pub(super) fn start(mut self) -> oneshot::Receiver<FetchResult> {
        let result = self.requester();
        // A task moves its future about a few times, and this one is large.
        tokio::spawn(Box::pin(self.run()));
        result
    }

    /// Takes the answer to a POST that stands for later GETs (RFC 9110 §9.3.3), in a task of its
    /// own; `purges` have been seen since.
    pub(super) fn take_over(
        mut self,
        response: TimedResponse,
        purges: PurgeWatch,
    ) -> oneshot::Receiver<FetchResult> {
        let result = self.requester();
        self.purges = Arc::new(purges);
        tokio::spawn(async move {
            let (news, body) = self.take_in(response);
            self.finish(news, body).await;
        });
        result
    }

    fn requester(&mut self) -> oneshot::Receiver<FetchResult> {
        let (requester, result) = oneshot::channel();
        self.requester = Some(requester);
        result
    }

    fn visit(&self) -> Visit<'_> {
        self.visit.visit()
    }

    fn key(&self) -> Key {
        Key::new(&self.visit().exchange.key)
    }

    async fn run(mut self) {
        if let Some(stale) = &self.stale {
            record::flush_hits(self.visit().edge, &self.key(), stale);
        }
        let Some(asked) = self.ask_while_wanted().await else {
            return;
        };
        let (news, body) = match asked {
            Ok(reply) => {
                let response = reply.response();
                self.note_reply(response.status(), response.headers());
                self.judge(reply)
            }
            Err(failure) => {
                if failure.is_of_origin() {
                    self.note_failure(failure);
                }
                (self.failed(failure), None)
            }
        };
        self.finish(news, body).await;
    }

    async fn finish(mut self, news: News, body: Option<BodyToStore>) {
        self.announce(news);
        if let Some(body) = body {
            pump::store(self.visit(), body, self.stale.as_ref()).await;
        }
    }

    /// Tells all that wait.
    fn announce(&mut self, news: News) {
        if let (Some(lead), Some(followers)) = (&self.lead, news.followers) {
            match followers {
                FlightNews::NotStorableFor(_) => lead.hand_over(followers),
                _ => lead.share(followers),
            }
        }
        if let (Some(requester), Some(result)) = (self.requester.take(), news.requester) {
            // The client may have left.
            let _ = requester.send(result);
        }
    }

    /// Asks the next hop. `None` if the only client that waits for the answer has left, and nothing
    /// of it would be stored.
    async fn ask_while_wanted(&mut self) -> Option<Result<FetchReply, Failure>> {
        let is_for_one = self.is_for_one_client();
        let mut requester = self.requester.take();
        let client_has_left = async {
            match &mut requester {
                Some(requester) if is_for_one => requester.closed().await,
                _ => std::future::pending().await,
            }
        };
        let asked = tokio::select! {
            biased;
            asked = self.ask() => Some(asked),
            () = client_has_left => None,
        };
        self.requester = requester;
        asked
    }

    /// Whether the answer is expected to be for its own client alone.
    fn is_for_one_client(&self) -> bool {
        let visit = self.visit();
        self.lead.is_none()
            && self.stale.is_none()
            && (visit.exchange.directives.no_store || visit.expects_not_storable())
    }

    /// Asks the next hop; once more, for the whole, where its answer can't be put together with
    /// what is stored. That stays until its successor is there.
    async fn ask(&mut self) -> Result<FetchReply, Failure> {
        let response = self.send().await?;
        let part = match &self.extent {
            Extent::Rest(part) => Some(part.id),
            Extent::Whole | Extent::Range => None,
        };
        if let Some(reply) = self.recognised(response) {
            return Ok(reply);
        }
        let timed = self.send().await?;
        if let Some(part) = part
            && timed.response.response.status().is_success()
        {
            let Visit { edge, exchange } = self.visit();
            edge.store.drop_part(&exchange.key, part);
        }
        Ok(FetchReply::New(timed))
    }

    /// Sends the request to the next hop.
    async fn send(&self) -> Result<TimedResponse, Failure> {
        let visit = self.visit();
        let (clock, site) = (&visit.edge.clock, visit.site());
        let wanted = match (&self.extent, &self.stale) {
            (Extent::Range, _) => FetchKind::Range,
            (Extent::Rest(part), _) => partial::rest_of(part).unwrap_or_default(),
            (Extent::Whole, Some(stale)) if self.is_conditional => {
                FetchKind::IfChanged(stale.head.fields.to_headers(0))
            }
            (Extent::Whole, _) => FetchKind::Whole,
        };
        let request = || {
            let mut request = next_hop_request::for_storing(visit, origin::empty(), &wanted);
            next_hop_request::pass_interim_on(visit, &mut request);
            request
        };
        let asked_at = clock.now();
        let again: &mut RequestCopy<'_> = &mut || Some(request());
        let answer = visit
            .exchange
            .fetch(request(), ContentSource::AtHand, Some(again))
            .await;
        visit
            .exchange
            .count_origin(&answer, clock.now().since(asked_at));
        match answer {
            Ok(mut response) => {
                let exchange = visit.exchange;
                exchange.apply_cache_control(&mut response.response, clock.now());
                Ok(TimedResponse { response, asked_at })
            }
            Err(error) => {
                let limits = &site.counters.repeats;
                if let Some(left_out) = limits.due("fetch failed", error.as_str(), clock.now()) {
                    tracing::warn!(site = %site.settings.name, url = self.key().url(), request_id = %visit.exchange.request_id(), error = %ErrorChain(&error), left_out, "fetch failed");
                }
                Err(Failure::of(&error))
            }
        }
    }

    /// Tells what a response answers. `None` where it can't be put together with what is stored:
    /// the whole has to be asked for.
    fn recognised(&mut self, timed: TimedResponse) -> Option<FetchReply> {
        let status = timed.response.response.status();
        if let Extent::Rest(part) = &self.extent {
            let part = Arc::clone(part);
            self.extent = Extent::Whole;
            return self.recognised_rest(timed, part);
        }
        if status != StatusCode::NOT_MODIFIED {
            return Some(FetchReply::New(timed));
        }
        let Some(stale) = self.stale.clone().filter(|_| self.is_conditional) else {
            return Some(FetchReply::New(timed));
        };
        let not_modified = timed.response.response.headers();
        if let Some(merged) = freshen::merged_fields(self.visit(), &stale, not_modified) {
            return Some(FetchReply::Holds(timed, stale, Box::new(merged)));
        }
        // The 304 says nothing of the stored response (§4.3.4).
        self.is_conditional = false;
        None
    }

    /// The same for a response that should complete a part.
    fn recognised_rest(
        &self,
        timed: TimedResponse,
        part: Arc<StoredResponse>,
    ) -> Option<FetchReply> {
        let response = &timed.response.response;
        let completed = partial::completed(self.visit(), &part, response, timed.asked_at);
        if let Some((headers, terms)) = completed {
            let whole = WholeOfPart {
                part,
                headers,
                terms,
            };
            return Some(FetchReply::Rest(timed, Box::new(whole)));
        }
        (!partial::is_useless(response.status())).then_some(FetchReply::New(timed))
    }

    /// Decides over a reply: the stored response is freshened, the new one is stored as it streams
    /// or passed on, or the stored one is served stale instead.
    fn judge(&self, reply: FetchReply) -> (News, Option<BodyToStore>) {
        match reply {
            FetchReply::Holds(timed, stale, merged) => {
                (self.freshened(&timed, &stale, &merged), None)
            }
            FetchReply::Rest(timed, whole) => self.store_rest(timed, *whole),
            FetchReply::New(timed) => {
                let response = &timed.response.response;
                let (status, headers) = (response.status(), response.headers());
                if let Some(failure) = self.failure_instead(status, headers) {
                    return (self.failed(failure), None);
                }
                let failure = self.failure_of_origin(status, headers);
                let (mut news, body) = self.take_in(timed);
                if let (Some(failure), None) = (failure, &body) {
                    // Those who wait share it: the origin would not answer them either.
                    news.followers = Some(FlightNews::Failed(failure));
                }
                (news, body)
            }
        }
    }

    /// The failure that takes the place of an answer: a 304 that the client has not asked for, or an
    /// error for which the stored response may stand in.
    fn failure_instead(&self, status: StatusCode, headers: &HeaderMap) -> Option<Failure> {
        if status == StatusCode::NOT_MODIFIED && !self.answers_client(headers) {
            return Some(Failure::unasked_not_modified());
        }
        let is_bridged = status.is_server_error() && self.may_serve_stale();
        is_bridged.then(|| self.failure_by(status, headers))
    }

    /// What those who wait hear of an error of the origin, if it is not stored.
    fn failure_of_origin(&self, status: StatusCode, headers: &HeaderMap) -> Option<Failure> {
        is_failure_of_origin(status).then(|| self.failure_by(status, headers))
    }

    fn failure_by(&self, status: StatusCode, headers: &HeaderMap) -> Failure {
        let clock = &self.visit().edge.clock;
        Failure::status(NextHopReply::of(status, headers, clock))
    }

    /// Takes account of an answer: whether the origin can answer at all. A 429 is about this key
    /// alone.
    fn note_reply(&self, status: StatusCode, headers: &HeaderMap) {
        let visit = self.visit();
        let Visit { edge, exchange } = visit;
        if let Some(failure) = self.failure_of_origin(status, headers) {
            return self.note_failure(failure);
        }
        exchange.origin().breaker().succeeded(visit.now());
        if status == StatusCode::TOO_MANY_REQUESTS {
            let failure = self.failure_by(status, headers);
            let health = &visit.settings().health;
            edge.failing_keys
                .failed(&exchange.key, failure, health, visit.now());
        } else {
            edge.failing_keys.succeeded(&exchange.key);
        }
    }

    /// Takes account of a failure of the origin.
    #[cold]
    fn note_failure(&self, failure: Failure) {
        let visit = self.visit();
        let Visit { edge, exchange } = visit;
        let (health, now) = (&visit.settings().health, visit.now());
        // A request that goes by itself speaks for itself: where nothing is stored, others ask.
        if self.lead.is_some() || self.stale.is_some() {
            edge.failing_keys
                .failed(&exchange.key, failure, health, now);
        }
        // Queries and variants of a URL count as one: a visitor can make up many of them.
        let url = key::url_of(&exchange.key);
        let page = url.split('?').next().unwrap_or(url);
        let wish = failure.next_hop.and_then(|reply| reply.retry_after);
        let breaker = exchange.origin().breaker();
        if breaker.failed(page.as_bytes(), wish, now) {
            tracing::warn!(
                site = %visit.settings().name,
                reason = failure.reason,
                "the origins fail for many pages; stale pages are served without asking"
            );
        }
    }

    /// Whether the stored response may stand in for an answer that is an error.
    fn may_serve_stale(&self) -> bool {
        let stale = self.stale.as_ref();
        stale.is_some_and(|stale| self.visit().may_stand_in(stale))
    }

    /// Whether a 304 to a request without conditions happens to answer those of the client, which
    /// were kept from the next hop.
    fn answers_client(&self, not_modified: &HeaderMap) -> bool {
        let parts = &self.visit().exchange.parts;
        let told = precondition(&parts.method, &parts.headers, StatusCode::OK, not_modified);
        validation::may_be_not_modified(&parts.method, &parts.headers)
            && told == Precondition::NotModified
    }

    /// All who wait share a failure: asking once more, one by one, would not help an origin that is
    /// down.
    fn failed(&self, failure: Failure) -> News {
        News {
            requester: Some(FetchResult::Failed(failure)),
            followers: Some(FlightNews::Failed(failure)),
        }
    }

    fn freshened(
        &self,
        timed: &TimedResponse,
        stale: &Arc<StoredResponse>,
        merged: &HeaderMap,
    ) -> News {
        let not_modified = NotModified {
            headers: timed.response.response.headers(),
            merged,
            asked_at: timed.asked_at,
        };
        let freshened = freshen::freshen(self.visit(), stale, &not_modified, &self.purges);
        let result = FetchResult::Revalidated(freshened.response, freshened.storing);
        News {
            requester: Some(result),
            followers: Some(freshened.followers),
        }
    }

    /// A new response: stored as it streams, or passed on.
    fn take_in(&self, timed: TimedResponse) -> (News, Option<BodyToStore>) {
        let TimedResponse { response, asked_at } = timed;
        let OriginResponse {
            response, permit, ..
        } = response;
        let (mut parts, body) = response.into_parts();
        let length =
            content_length(&parts.headers).or_else(|| http_body::Body::size_hint(&body).exact());
        let (terms, place) = self.judge_new(&mut parts, length, asked_at);
        let received = ReceivedResponse {
            parts,
            body,
            permit,
            length,
        };
        match place {
            Ok(None) => self.store_whole(received, &terms, Vec::new()),
            Ok(Some(part)) => self.store_part(received, &terms, part),
            Err(refusal) => (self.pass_on(received, refusal), None),
        }
    }

    /// Decides over a new response, which was asked for at `asked_at` and whose content has this
    /// length, if that is known: whether it is stored, as a whole or as this part of one. Makes its
    /// head ready to be passed on.
    fn judge_new(
        &self,
        parts: &mut response::Parts,
        length: Option<u64>,
        asked_at: Timestamp,
    ) -> (ResponseTerms, Result<Option<Partial>, NotStored>) {
        let visit = self.visit();
        forwarding::strip_response_hop_by_hop(&mut parts.headers);
        let now = visit.now();
        forwarding::ensure_date(&mut parts.headers, visit.edge.clock.wall());
        let head = ReceivedHead {
            status: parts.status,
            headers: &parts.headers,
            length,
            asked_at,
        };
        let terms = judge(visit, &head);
        terms.edit(&mut parts.headers);
        let place = self.place(parts, length, &terms, now);
        (terms, place)
    }

    /// Whether a response is stored: as a whole, or as this part of one.
    fn place(
        &self,
        parts: &response::Parts,
        length: Option<u64>,
        terms: &ResponseTerms,
        now: Timestamp,
    ) -> Result<Option<Partial>, NotStored> {
        let place = match &terms.storability {
            Storability::No(refusal) => return Err(NotStored::ByRules(*refusal)),
            Storability::Yes => None,
            Storability::Part(part) => Some(part.clone()),
        };
        if self.is_too_large(length) {
            Err(NotStored::TooLarge)
        } else if self.outlasts(parts.status, now) {
            Err(NotStored::Transient)
        } else if !terms.freshness.is_worth_keeping(&parts.headers, now) {
            Err(NotStored::StaleAtOnce)
        } else {
            Ok(place)
        }
    }

    /// Whether the stored response may still be used when an answer with this status has passed: a
    /// transient error doesn't take its place, nor does one that is about the request.
    fn outlasts(&self, status: StatusCode, now: Timestamp) -> bool {
        let is_usable = |stale: &StoredResponse| now < stale.head.freshness.usable_until();
        validation::says_nothing_of_resource(status) && self.stale.as_deref().is_some_and(is_usable)
    }

    /// Whether a response is too large for memory, and for its disk too.
    fn is_too_large(&self, length: Option<u64>) -> bool {
        let max_object = self.visit().edge.store.max_object();
        length.is_some_and(|length| length > max_object && !self.goes_to_disk(length))
    }

    /// Whether content that is too large for memory streams to a disk. A client that wants a range of
    /// it doesn't wait for all of it.
    fn goes_to_disk(&self, length: u64) -> bool {
        let Visit { edge, exchange } = self.visit();
        matches!(self.extent, Extent::Whole)
            && !exchange.fields.range
            && edge
                .store
                .disk()
                .is_some_and(|disk| length <= disk.max_object(&exchange.key))
    }

    /// Passes on a response that is not stored.
    fn pass_on(&self, received: ReceivedResponse, refusal: NotStored) -> News {
        let visit = self.visit();
        self.remember_not_storable(received.parts.status, refusal);
        let is_whole = matches!(self.extent, Extent::Whole);
        let result =
            if is_whole && visit.exchange.fields.range && self.is_too_large(received.length) {
                FetchResult::TooLargeForRange
            } else {
                let clock = visit.edge.clock.clone();
                let silence = SilenceLimit::new(clock, visit.body_timeout());
                let exchange = Arc::clone(visit.exchange);
                let body = EdgeBody::stream(received.body, received.permit, silence, exchange);
                let response = Response::from_parts(received.parts, body);
                FetchResult::NotStored(Box::new(response), refusal)
            };
        News {
            requester: Some(result),
            followers: Some(FlightNews::not_stored(refusal)),
        }
    }

    /// Remembers that the answer is not stored, unless this request alone is to blame. The stored
    /// response goes if the answer takes it back (§4.3.3).
    fn remember_not_storable(&self, status: StatusCode, refusal: NotStored) {
        let visit = self.visit();
        let Visit { edge, exchange } = visit;
        if exchange.parts.method == Method::POST {
            return;
        }
        let now = visit.now();
        if is_failure_of_origin(status) {
            // It says nothing of the answers to come.
        } else if refusal.is_lasting() {
            edge.hit_for_miss.remember(&exchange.key, now);
        } else if let NotStored::ByRules(
            Refusal::NoCacheToCookie | Refusal::DefaultTtlToCookie | Refusal::ShieldToRequest,
        ) = refusal
            && exchange.fields.cookie
        {
            edge.hit_for_miss.remember_with_cookies(&exchange.key, now);
        }
        if let Some(stale) = &self.stale {
            freshen::withdraw_stored(visit, stale, status, refusal.is_of_request());
        }
    }
}

/// Whether a stored response can be validated.
fn has_validator(stored: &StoredResponse) -> bool {
    validation::has_validator(&stored.head.fields.to_headers(0))
}
