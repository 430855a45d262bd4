//! A fetch for the store: one leader runs it, in a task of its own, so that it survives the client
//! that asked (RFC 9111 §3, §4.3).
//!
//! The task tells its own request what came of it through a channel, and its followers through the
//! flight.

pub(super) mod partial;

use std::borrow::Cow;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, COOKIE};
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::oneshot;

use super::body::{EdgeBody, SilenceLimit};
use super::edge::Edge;
use super::exchange::Exchange;
use super::failure::{ErrorChain, Failure, NextHopReply};
use super::news::{FlightNews, ResponseInFlight};
use super::next_hop_request::{self, FetchKind};
use super::provenance::NotStored;
use super::visit::{OwnedVisit, Visit};
use super::{record, revalidate};
use crate::collapse::Lead;
use crate::origin::{self, OriginResponse};
use crate::store::fields::StoredFields;
use crate::store::fill::{Fill, FillError, FillReader};
use crate::store::stored::{StoredBody, StoredHead, StoredResponse};
use crate::store::{Key, PurgePoint};
use tero_policy_host::PolicyResponse;
use tero_semantics::cache_control::ResponseDirectives;
use tero_semantics::decision::ResponseDecision;
use tero_semantics::freshness::{
    Freshness, FreshnessInput, StaleDefaults, browser_lifetime, header_lifetime,
};
use tero_semantics::reuse::stale_if_error;
use tero_semantics::storability::{self, FloorExceptions, Storability, storability};
use tero_semantics::timestamp::Timestamp;
use tero_semantics::vary::SecondaryKey;
use tero_semantics::{forwarding, invalidation, validation};
use tero_time::clock::TimeoutError;

/// What came of a fetch, for the request that began it.
#[derive(Debug)]
pub(super) enum FetchResult {
    /// A response that is being stored, a reader of its content, and its fields as they came: some
    /// of them are not stored.
    Filling(Arc<ResponseInFlight>, FillReader, Box<HeaderMap>),
    /// What was stored holds, under a new head (§4.3.4).
    Revalidated(Arc<StoredResponse>),
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

/// How much of a response is asked for.
#[derive(Clone, Debug)]
pub(super) enum Extent {
    /// All of it.
    Whole,
    /// What is missing after the first bytes, which are stored.
    Rest(Arc<StoredResponse>),
    /// The range that the client asks for.
    Range,
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
    pub visit: OwnedVisit,
    /// What is stored and stale.
    pub stale: Option<Arc<StoredResponse>>,
    /// How much of it.
    pub extent: Extent,
    /// The duty towards followers; none where a request goes by itself.
    pub lead: Option<Lead<FlightNews>>,
}

/// Why content ended before its end.
#[derive(Debug, thiserror::Error)]
enum BodyReadError {
    #[error(transparent)]
    Fill(#[from] FillError),
    #[error("the origin broke off or sent what is no content")]
    Unread(#[from] hyper::Error),
    #[error("the origin fell silent")]
    Silent(#[from] TimeoutError),
}

/// What the next hop answered, weighed.
pub(super) struct ResponseTerms {
    directives: ResponseDirectives,
    decision: ResponseDecision,
    pub(super) freshness: Freshness,
    pub(super) storability: Storability,
}

impl Fetch {
    pub(super) fn visit(&self) -> Visit<'_> {
        self.visit.visit()
    }

    pub(super) fn edge(&self) -> &Arc<Edge> {
        self.visit().edge
    }

    pub(super) fn exchange(&self) -> &Arc<Exchange> {
        self.visit().exchange
    }

    /// A fetch for a request, without followers.
    pub(super) fn new(
        visit: Visit<'_>,
        stale: Option<Arc<StoredResponse>>,
        extent: Extent,
    ) -> Fetch {
        Fetch {
            visit: visit.to_owned(),
            stale,
            extent,
            lead: None,
        }
    }

    /// The same, with a duty towards followers.
    pub(super) fn led_by(self, lead: Option<Lead<FlightNews>>) -> Fetch {
        Fetch { lead, ..self }
    }

    /// Runs the fetch in a task of its own.
    pub(super) fn start(self) -> oneshot::Receiver<FetchResult> {
        let (tell, told) = oneshot::channel();
        // A task moves its future about a few times, and this one is large.
        tokio::spawn(Box::pin(self.run(tell)));
        told
    }

    async fn run(mut self, tell: oneshot::Sender<FetchResult>) {
        let purges = self.edge().store.purge_point();
        if let Some(stale) = &self.stale {
            record::flush_hits(self.edge(), &Key::new(&self.exchange().key), stale);
        }
        let (mut answer, mut asked_at) = match self.ask().await {
            (Ok(answer), asked_at) => (answer, asked_at),
            (Err(failure), _) => return self.fail(failure, tell),
        };
        let status = answer.response.status();
        let is_of_another = match (&self.extent, self.stale.clone()) {
            (Extent::Rest(part), _) => {
                if let Some((head, terms)) = self.completed(part, &answer.response, asked_at) {
                    return self.fill_rest(head, answer, terms, purges, tell).await;
                }
                let part = Arc::clone(part);
                self.forget_part(&part, status)
            }
            (_, Some(stale)) if status == StatusCode::NOT_MODIFIED => {
                if validation::applies_to(
                    &stale.head.fields.to_headers(0),
                    answer.response.headers(),
                ) {
                    return revalidate::freshen(
                        self,
                        stale,
                        &answer.response,
                        asked_at,
                        purges,
                        tell,
                    );
                }
                // The 304 is about something that is not stored: nothing is known of what is, and
                // the whole is needed (§4.3.4).
                self.edge()
                    .store
                    .drop_response(&Key::new(&self.exchange().key), stale.id);
                self.stale = None;
                true
            }
            _ => false,
        };
        if is_of_another {
            (answer, asked_at) = match self.ask().await {
                (Ok(answer), asked_at) => (answer, asked_at),
                (Err(failure), _) => return self.fail(failure, tell),
            };
        }
        let status = answer.response.status();
        if status.is_server_error() && self.may_serve_stale() {
            let now = self.visit().now();
            let reply = NextHopReply::of(status, answer.response.headers(), now);
            return self.fail(Failure::status(reply), tell);
        }
        self.handle_response(answer, asked_at, purges, tell).await;
    }

    /// Asks the next hop.
    async fn ask(&self) -> (Result<OriginResponse, Failure>, Timestamp) {
        let (edge, site) = (self.edge(), &self.exchange().site);
        let wanted = match (&self.extent, &self.stale) {
            (Extent::Range, _) => FetchKind::Range,
            (Extent::Rest(part), _) => partial::rest_of(part).unwrap_or_default(),
            (Extent::Whole, Some(stale)) => FetchKind::IfChanged(stale.head.fields.to_headers(0)),
            (Extent::Whole, None) => FetchKind::Whole,
        };
        let request = || {
            let mut request = next_hop_request::for_storing(self.visit(), origin::empty(), &wanted);
            next_hop_request::pass_interim_on(self.visit(), &mut request);
            request
        };
        let asked_at = edge.clock.now();
        let answer = site
            .origin
            .fetch(request(), Some(&mut || Some(request())))
            .await;
        let status = answer.as_ref().ok().map(|answer| answer.response.status());
        self.exchange()
            .count_origin(status, edge.clock.now().since(asked_at));
        let answer = answer.map_err(|error| {
            let url = Key::new(&self.exchange().key);
            tracing::warn!(site = %site.settings.name, url = url.url(), error = %ErrorChain(&error), "fetch failed");
            Failure::of(&error)
        });
        (answer, asked_at)
    }

    /// Whether what is stored may stand in for an answer that is an error.
    fn may_serve_stale(&self) -> bool {
        let Some(stale) = &self.stale else {
            return false;
        };
        let exchange = self.exchange();
        stale_if_error(
            &stale.head.freshness,
            &exchange.directives,
            exchange.site.settings.client_directives,
            self.edge().clock.now(),
        )
    }

    fn fail(self, failure: Failure, tell: oneshot::Sender<FetchResult>) {
        if let Some(lead) = &self.lead
            && (lead.is_last() || self.stale.is_some())
        {
            lead.share(FlightNews::Failed(failure));
        }
        let _ = tell.send(FetchResult::Failed(failure));
    }

    /// Takes the answer to a POST that stands for later GETs (RFC 9110 §9.3.3), in a task of its
    /// own.
    pub(super) fn take_over(
        self,
        response: TimedResponse,
        purges: PurgePoint,
    ) -> oneshot::Receiver<FetchResult> {
        let (tell, told) = oneshot::channel();
        let TimedResponse {
            response: answer,
            asked_at,
        } = response;
        tokio::spawn(self.handle_response(answer, asked_at, purges, tell));
        told
    }

    /// A response: stored as it streams, or passed on.
    async fn handle_response(
        self,
        answer: OriginResponse,
        asked_at: Timestamp,
        purges: PurgePoint,
        tell: oneshot::Sender<FetchResult>,
    ) {
        let OriginResponse { response, permit } = answer;
        let (mut parts, body) = response.into_parts();
        forwarding::strip_response_hop_by_hop(&mut parts.headers);
        let now = self.edge().clock.now();
        forwarding::ensure_date(&mut parts.headers, now);
        let length =
            content_length(&parts.headers).or_else(|| http_body::Body::size_hint(&body).exact());
        let terms = self.judge(parts.status, &parts.headers, length, asked_at);
        let too_large = length.is_some_and(|length| length > self.edge().store.max_object());
        let refusal = match &terms.storability {
            Storability::Yes | Storability::Part(_) if too_large => NotStored::TooLarge,
            Storability::Yes | Storability::Part(_)
                if !terms.freshness.is_worth_keeping(&parts.headers, now) =>
            {
                NotStored::StaleAtOnce
            }
            Storability::Yes => return self.fill(parts, body, length, terms, purges, tell).await,
            Storability::Part(part) => {
                let part = part.clone();
                return self.fill_part(parts, body, part, terms, purges, tell).await;
            }
            Storability::No(refusal) => NotStored::ByRules(*refusal),
        };
        self.remember_not_storable(parts.status, refusal.is_of_request());
        if too_large && self.exchange().fields.range && matches!(self.extent, Extent::Whole) {
            let _ = tell.send(FetchResult::TooLargeForRange);
            return;
        }
        let site = &self.exchange().site;
        let silence = SilenceLimit::new(self.edge().clock.clone(), site.settings.body_timeout);
        let body = EdgeBody::stream(body, permit, silence, Arc::clone(self.exchange()));
        let _ = tell.send(FetchResult::NotStored(
            Box::new(Response::from_parts(parts, body)),
            refusal,
        ));
    }

    /// Remembers that the answer is not stored, unless this request alone is to blame, and lets the
    /// followers go.
    pub(super) fn remember_not_storable(&self, status: StatusCode, is_of_request: bool) {
        if !is_of_request && self.exchange().parts.method != Method::POST {
            self.edge()
                .hit_for_miss
                .remember(&self.exchange().key, self.edge().clock.now());
            self.withdraw_stored(status);
        }
        if let Some(lead) = &self.lead {
            lead.share(FlightNews::NotStorable);
        }
    }

    /// Drops what is stored when the origin's new answer is for nobody's store: it has taken the
    /// old one back. An answer to somebody who is known to it says nothing of the answer to others.
    pub(super) fn withdraw_stored(&self, status: StatusCode) {
        let is_anonymous = !self.exchange().fields.authorization
            && !self.exchange().parts.headers.contains_key(COOKIE);
        if let Some(stale) = &self.stale
            && is_anonymous
            && status.is_success()
        {
            self.edge()
                .store
                .drop_response(&Key::new(&self.exchange().key), stale.id);
        }
    }

    pub(super) async fn fill(
        self,
        parts: http::response::Parts,
        mut body: Incoming,
        length: Option<u64>,
        terms: ResponseTerms,
        purges: PurgePoint,
        tell: oneshot::Sender<FetchResult>,
    ) {
        let head = self.head(parts.status, &parts.headers, &terms);
        let fill = Fill::new(length, self.edge().store.fill_limits(), true);
        // The first reader is there before the first byte, so that the fill does not take itself
        // for abandoned.
        let reader = fill.reader();
        let filling = Arc::new(ResponseInFlight {
            head,
            fill: Arc::clone(&fill),
            purges,
        });
        self.share(&filling);
        if let Some(reader) = reader {
            let _ = tell.send(FetchResult::Filling(
                Arc::clone(&filling),
                reader,
                Box::new(parts.headers),
            ));
        }
        match self.pump(&mut body, &fill).await {
            Err(error) => {
                self.keep_beginning(&filling, purges);
                fill.fail(error);
            }
            Ok(None) => {
                self.edge()
                    .hit_for_miss
                    .remember(&self.exchange().key, self.edge().clock.now());
                fill.complete(None);
            }
            Ok(Some(pieces)) => {
                let body = StoredBody::new(pieces);
                let stored = Arc::new(StoredResponse::new(filling.head.clone(), body));
                if self.edge().store.insert(
                    &Key::new(&self.exchange().key),
                    Arc::clone(&stored),
                    purges,
                ) {
                    self.edge().watchlist.watch_expiry(
                        self.visit().site(),
                        &stored,
                        self.visit().now(),
                    );
                }
                fill.complete(Some(stored.body.pieces()));
            }
        }
    }

    /// Gives the response to those that wait for it, if they may have it: it is fresh, or may be
    /// used stale while it is revalidated. What must be validated before each use is not theirs
    /// (§4); nobody queues for it again.
    fn share(&self, filling: &Arc<ResponseInFlight>) {
        let (freshness, now) = (&filling.head.freshness, self.edge().clock.now());
        let is_for_all = freshness.is_fresh(now) || freshness.allows_while_revalidate(now);
        if is_for_all {
            self.edge().hit_for_miss.forget(&self.exchange().key);
        } else {
            self.edge().hit_for_miss.remember(&self.exchange().key, now);
        }
        if let Some(lead) = &self.lead {
            lead.share(if is_for_all {
                FlightNews::Filling(Arc::clone(filling))
            } else {
                FlightNews::NotStorable
            });
        }
    }

    /// Takes the content; says why where it ends early.
    pub(super) async fn pump(
        &self,
        body: &mut Incoming,
        fill: &Fill,
    ) -> Result<Option<Vec<bytes::Bytes>>, FillError> {
        self.pump_all(body, fill).await.map_err(|broken| {
            tracing::warn!(url = Key::new(&self.exchange().key).url(), error = %ErrorChain(&broken), "fill ended early");
            match broken {
                BodyReadError::Fill(error) => error,
                BodyReadError::Unread(_) | BodyReadError::Silent(_) => FillError::CutShort,
            }
        })
    }

    async fn pump_all(
        &self,
        body: &mut Incoming,
        fill: &Fill,
    ) -> Result<Option<Vec<bytes::Bytes>>, BodyReadError> {
        if let Extent::Rest(part) = &self.extent {
            let beginning = part
                .parts
                .as_ref()
                .and_then(|parts| part.slice(&(0..parts.prefix())));
            for piece in beginning.into_iter().flatten() {
                fill.push(piece).await?;
            }
        }
        let limit = self.exchange().site.settings.body_timeout;
        loop {
            let next = self.edge().clock.timeout(limit, body.frame());
            let next = tokio::select! {
                biased;
                next = next => next,
                // A next hop that sends nothing would keep the fetch for the rest of its time.
                () = fill.abandoned() => return Err(FillError::Abandoned.into()),
            };
            match next?.transpose()? {
                None => return Ok(fill.finish()?),
                // Trailers are not stored: no field of a trailer decides over a cached response
                // (RFC 9110 §6.5.1).
                Some(frame) => match frame.into_data() {
                    Ok(data) => fill.push(data).await?,
                    Err(_trailers) => {}
                },
            }
        }
    }

    pub(super) fn judge(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        length: Option<u64>,
        asked_at: Timestamp,
    ) -> ResponseTerms {
        let exchange = self.exchange();
        let site = &exchange.site;
        let directives = ResponseDirectives::governing(headers, &site.settings.targeted_fields);
        let now = self.edge().clock.now();
        let decision = if site.policies.is_empty() {
            ResponseDecision::default()
        } else {
            let header_ttl = header_lifetime(headers, &directives, now);
            let header_browser_ttl = browser_lifetime(headers, &directives, now);
            let answered = PolicyResponse {
                status,
                headers,
                length,
                header_ttl,
                header_browser_ttl,
                key: &exchange.key,
            };
            let decision = exchange
                .policies()
                .on_response(&exchange.ask(), &answered, now);
            if site.is_on_trial() {
                self.edge()
                    .shadows
                    .offer_response(exchange, &answered, &decision, now);
            }
            decision
        };
        let floor = site.settings.policy_may_override;
        let (freshness, storability) = judge(
            exchange,
            status,
            headers,
            (&directives, &decision, floor),
            (asked_at, now),
        );
        ResponseTerms {
            directives,
            decision,
            freshness,
            storability,
        }
    }

    pub(super) fn head(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        terms: &ResponseTerms,
    ) -> StoredHead {
        let exchange = self.exchange();
        let mut tags = terms.decision.tags.clone();
        tags.extend(
            invalidation::cache_groups(headers)
                .into_iter()
                .map(String::into_boxed_str),
        );
        tags.sort();
        tags.dedup();
        let detail = joined_reasons(
            exchange.decision.reason.as_deref(),
            terms.decision.reason.as_deref(),
        );
        let stored = storability::stored_fields(headers, &terms.directives);
        StoredHead {
            status,
            fields: StoredFields::new(stored, detail.as_deref(), tags.iter().map(|tag| &**tag)),
            freshness: terms.freshness,
            secondary_key: SecondaryKey::of(headers, &exchange.parts.headers),
            browser_ttl_secs: terms
                .decision
                .browser_ttl
                .map(|ttl| u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX)),
            site: u32::try_from(exchange.site.index).expect("sites are counted in thousands"),
            warm_run: exchange.requester.run(),
        }
    }

    /// The head of what is stored, as a 304 makes it, and whether it may still be stored (§4.3.4).
    pub(super) fn merged_head(
        &self,
        stale: &StoredResponse,
        merged: &HeaderMap,
        asked_at: Timestamp,
    ) -> (StoredHead, Storability) {
        let terms = self.judge(stale.head.status, merged, Some(stale.body.len()), asked_at);
        let head = self.head(stale.head.status, merged, &terms);
        (head, terms.storability)
    }
}

/// How long a response is fresh, and whether it may be stored, by its own fields, what the policies
/// decided, and the parts of the safety floor that a policy lifts here; asked for and received at
/// these times.
pub(super) fn judge(
    exchange: &Exchange,
    status: StatusCode,
    headers: &HeaderMap,
    (directives, decision, floor): (&ResponseDirectives, &ResponseDecision, FloorExceptions),
    (request_time, response_time): (Timestamp, Timestamp),
) -> (Freshness, Storability) {
    let settings = &exchange.site.settings;
    let freshness = Freshness::of(&FreshnessInput {
        status,
        response_headers: headers,
        directives,
        decision,
        defaults: StaleDefaults {
            stale_if_error: settings.stale_if_error,
            stale_while_revalidate: settings.stale_while_revalidate,
        },
        request_time,
        response_time,
    });
    // What is fetched for a HEAD is fetched with a GET. Only the answer to a POST has to name its
    // target, which then is absolute.
    let is_post = exchange.parts.method == Method::POST;
    let target = if is_post { exchange.url() } else { None };
    let storability = storability(
        &storability::StorabilityInput {
            method: if is_post { &Method::POST } else { &Method::GET },
            target: target.as_ref().unwrap_or(&exchange.parts.uri),
            request_headers: &exchange.parts.headers,
            request: &exchange.directives,
            status,
            response_headers: headers,
            directives,
            decision,
        },
        floor,
    );
    (freshness, storability)
}

/// `Content-Length` as a number.
fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn joined_reasons<'a>(request: Option<&'a str>, response: Option<&'a str>) -> Option<Cow<'a, str>> {
    match (request, response) {
        (Some(request), Some(response)) => Some(format!("{request}; {response}").into()),
        (one, other) => other.or(one).map(Cow::Borrowed),
    }
}
