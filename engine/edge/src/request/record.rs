//! Counts and logs requests, and counts uses of stored responses, for popularity and for the plans
//! that warmed them.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode, Version};

use super::body::EdgeBody;
use super::client::{ClientHandle, ClientTransport};
use super::edge::Edge;
use super::exchange::Exchange;
use super::hits::{self, UncountedHits};
use super::identity::RefusedSender;
use super::open_record::{OpenRecord, SENT_AT_ONCE};
use super::provenance::{Answer, NotStored, Provenance};
use super::route_table::CompiledRoute;
use super::visit::Visit;
use crate::store::Key;
use crate::store::stored::StoredResponse;
use crate::telemetry::Outcome;
use crate::telemetry::access_log::{
    AccessLog, AccessLogLine, AnswerFacts, LineOutcome, LoggedTls, OpenLine, SentResponse,
};
use crate::telemetry::counters::{AnsweredRequest, CountedPlace};
use crate::telemetry::live_requests::{LiveRequest, LiveSubject, MAX_LIVE_URL};
use crate::telemetry::popularity::PageRequests;
use crate::telemetry::spans::{RequestTrace, Span};
use tero_config::AccessLogField;
use tero_semantics::cache_status::Forward;
use tero_semantics::key;

/// Counts a use of a stored response by a visitor; whether the response is to be revalidated ahead.
#[inline]
pub(super) fn count_use(visit: Visit<'_>, stored: &Arc<StoredResponse>) -> bool {
    if visit.exchange.requester.is_plan() {
        return false;
    }
    let is_due = hits::add(stored) && count_many(visit, stored);
    if let Some(run) = stored.head.warm_run
        && !stored.used.load(Relaxed)
        && !stored.used.swap(true, Relaxed)
    {
        visit.edge.warm_use.record(run, stored.body.len());
    }
    is_due
}

#[cold]
fn count_many(visit: Visit<'_>, stored: &Arc<StoredResponse>) -> bool {
    let UncountedHits {
        hits,
        is_due,
        wants_disk,
    } = hits::take_uncounted(stored);
    if wants_disk && let Some(disk) = visit.edge.store.disk() {
        disk.offer(&Key::new(&visit.exchange.key), stored);
    }
    visit.note_key_value();
    if hits > 0 {
        let used = PageUse {
            target: &visit.exchange.counting_target(),
            variant: visit.exchange.decision.variant.as_deref(),
            web_origin: key::web_origin_of(&visit.exchange.key),
        };
        record_hits(visit.edge, &used, stored, hits);
    }
    is_due
}

/// Counts the hits that have been kept back on a stored response: before another takes its place,
/// which would not know of them.
pub(super) fn flush_hits(edge: &Edge, key: &Key, stored: &StoredResponse) {
    let UncountedHits { hits, .. } = hits::take_uncounted(stored);
    if hits > 0 {
        record_hits(edge, &PageUse::of(key), stored, hits);
    }
}

/// Counts hits that have been kept back on stored responses, so that popularity and the plans'
/// figures are complete: before they are read.
pub fn count_hits(edge: &Edge) {
    edge.store.for_each(|key, stored| {
        if hits::has_uncounted(stored) {
            let taken = hits::take_uncounted(stored);
            // The marks stay.
            hits::mark_again(stored, taken);
            record_hits(edge, &PageUse::of(key), stored, taken.hits);
        }
    });
}

/// A page that was used.
struct PageUse<'p> {
    /// Path and query.
    target: &'p str,
    variant: Option<&'p str>,
    /// Scheme and authority.
    web_origin: &'p str,
}

impl<'p> PageUse<'p> {
    fn of(key: &'p Key) -> PageUse<'p> {
        let web_origin = key::web_origin_of(key.as_bytes());
        PageUse {
            target: key.url().get(web_origin.len()..).unwrap_or_default(),
            variant: key.variant(),
            web_origin,
        }
    }
}

fn record_hits(edge: &Edge, used: &PageUse<'_>, stored: &StoredResponse, hits: u32) {
    let _ = stored
        .counted_hits
        .fetch_update(Relaxed, Relaxed, |counted| {
            Some(counted.saturating_add(hits))
        });
    if let Some(run) = stored.head.warm_run {
        edge.warm_use.record_hits(run, hits.into());
    }
    // An error that is stored is not worth fetching ahead of demand.
    if stored.head.status.is_success() {
        let (site, now) = (stored.head.site as usize, edge.clock.wall());
        let page = PageRequests {
            url: used.target,
            variant: used.variant,
            requests: hits,
        };
        edge.popularity.record(site, page, now);
        edge.popularity
            .record_web_origin(site, used.web_origin, hits);
    }
}

/// Records what became of a visitor's request. Returns what is left to record when the answer has
/// been sent.
pub(super) fn record(visit: Visit<'_>, answer: &Answer) -> Option<Box<OpenRecord>> {
    let Visit { edge, exchange } = visit;
    let outcome = answer.provenance.outcome;
    let took = edge.clock.now().since(exchange.at);
    let status = answer.response.status();
    let bytes = match &exchange.trace {
        None => sent_at_once(edge, &answer.response),
        // A span ends with the last byte.
        Some(_) => None,
    };
    let variant = exchange.decision.variant.as_deref();
    let place = exchange.site.counters.record(&AnsweredRequest {
        outcome,
        variant,
        status,
        bytes,
        took,
        at: exchange.wall(),
    });
    if let Some(coding) = &answer.provenance.coding
        && answer.response.body().length() > Some(0)
    {
        exchange.site.counters.record_saved(coding.saved);
    }
    if let Some(route) = exchange.route() {
        record_route(route, outcome, status, took);
    }
    if exchange.site.is_on_trial() && !exchange.is_refused_by_limit() {
        record_trial(visit, outcome);
    }
    if answer.provenance.forward.is_some() && !answer.provenance.collapsed {
        charge_fetch(exchange);
    }
    // A plan of an edge in front comes as visitors do, and wants nothing for itself.
    if is_popular(answer) && !exchange.requester.is_plan() {
        let site = exchange.site.index;
        let page = PageRequests {
            url: &exchange.counting_target(),
            variant,
            requests: 1,
        };
        edge.popularity.record(site, page, exchange.wall());
        edge.popularity
            .record_web_origin(site, key::web_origin_of(&exchange.key), 1);
    }
    if edge.live.is_wanted() {
        offer_to_listeners(visit, answer, took);
    }
    match bytes {
        Some(_) => None,
        None => Some(begin_record(visit, answer, place, took)),
    }
}

/// Charges a request for the origin's work, where limits say so.
fn charge_fetch(exchange: &Exchange) {
    if let Some(limits) = &exchange.site.limits {
        limits.charge_fetch(exchange.limited(exchange.limit_class()));
    }
}

#[cold]
fn record_route(route: &CompiledRoute, outcome: Outcome, status: StatusCode, took: Duration) {
    if let Some(counters) = &route.counters {
        counters.record(outcome, status, took);
    }
}

/// The length of content that is sent with its head. With an access log, no answer is recorded
/// before it was sent.
fn sent_at_once(edge: &Edge, response: &Response<EdgeBody>) -> Option<u64> {
    let body = response.body();
    if edge.access_log.is_some() || !body.is_at_hand() {
        return None;
    }
    body.length().filter(|length| *length <= SENT_AT_ONCE)
}

/// An answer whose client waits for its head. If the client leaves before, that is recorded.
#[derive(Debug)]
pub(super) struct AwaitedAnswer<'v> {
    visit: Visit<'v>,
    is_there: bool,
}

impl<'v> AwaitedAnswer<'v> {
    /// The answer to a request that goes forward.
    pub(super) fn new(visit: Visit<'v>) -> AwaitedAnswer<'v> {
        AwaitedAnswer {
            visit,
            is_there: false,
        }
    }

    /// Records nothing: the answer is recorded by itself.
    pub(super) fn answered(mut self) {
        self.is_there = true;
    }
}

impl Drop for AwaitedAnswer<'_> {
    fn drop(&mut self) {
        if !self.is_there {
            record_abandoned(self.visit);
        }
    }
}

/// Records a request whose connection ended before there was an answer. No status of HTTP says so;
/// the log has the one that is usual for it.
#[cold]
fn record_abandoned(visit: Visit<'_>) {
    let Visit { edge, exchange } = visit;
    exchange.site.counters.record_abandoned();
    let Some(log) = &edge.access_log else { return };
    let took = edge.clock.now().since(exchange.at);
    let head = LineHead {
        status: client_closed_request(),
        response: &HeaderMap::new(),
        outcome: LineOutcome::Abandoned,
        took,
    };
    let line = begin_line(exchange, log, &head, &Provenance::stored(Outcome::Error));
    let sent = SentResponse {
        bytes: 0,
        took_micros: micros(took),
    };
    log.write(line, sent);
}

/// 499
fn client_closed_request() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST)
}

#[cold]
fn begin_record(
    visit: Visit<'_>,
    answer: &Answer,
    place: CountedPlace,
    took: Duration,
) -> Box<OpenRecord> {
    let Visit { edge, exchange } = visit;
    let line = edge.access_log.as_ref().map(|log| {
        let head = LineHead {
            status: answer.response.status(),
            response: answer.response.headers(),
            outcome: LineOutcome::Answered(answer.provenance.outcome),
            took,
        };
        begin_line(exchange, log, &head, &answer.provenance)
    });
    let counters = Some((&exchange.site.counters, place));
    let record = OpenRecord::new(edge, counters, line, exchange.at);
    match &exchange.trace {
        None => record,
        Some(trace) => record.with_span(open_span(exchange, trace, answer)),
    }
}

/// Offers a request to those who look on.
#[cold]
fn offer_to_listeners(visit: Visit<'_>, answer: &Answer, took: Duration) {
    let Visit { edge, exchange } = visit;
    let (site, provenance) = (&exchange.site, &answer.provenance);
    let outcome = provenance.outcome;
    let path = exchange.parts.uri.path();
    let asks = |policy: &str| {
        let mut policies = site.policies.policies().iter();
        outcome != Outcome::Rule && policies.any(|asked| &**asked.name() == policy)
    };
    let subject = LiveSubject {
        site: &site.settings.name,
        path,
        outcome,
        asks: &asks,
    };
    edge.live.offer(&subject, || {
        let facts = facts(exchange, provenance);
        LiveRequest {
            at: exchange.wall(),
            took,
            site: Arc::clone(&site.settings.name),
            method: exchange.parts.method.clone(),
            url: bounded_url(exchange),
            status: answer.response.status(),
            outcome,
            forward: provenance.forward.map(Forward::as_str),
            stored: provenance.storing.is_stored(),
            not_stored: provenance.storing.refusal().map(NotStored::as_str),
            failure: provenance.failure.map(|failure| failure.reason),
            reason: facts.policy_reason.map(str::to_owned),
            variant: facts.variant.map(str::to_owned),
            device: site.needs_device.then(|| exchange.device.as_str()),
            route: facts.route.map(str::to_owned),
            age_secs: facts.age_secs,
            ttl_secs: facts.ttl_secs,
            origin: facts.origin.map(str::to_owned),
        }
    });
}

/// Authority, path and query, cut to [`MAX_LIVE_URL`] bytes.
fn bounded_url(exchange: &Exchange) -> String {
    let mut url = format!("{}{}", exchange.authority.as_str(), target(&exchange.parts));
    let end = (0..=url.len().min(MAX_LIVE_URL))
        .rev()
        .find(|end| url.is_char_boundary(*end));
    url.truncate(end.unwrap_or(0));
    url
}

/// The span of a request, which ends when its answer has been sent.
fn open_span(exchange: &Exchange, trace: &RequestTrace, answer: &Answer) -> Span {
    let Answer {
        response,
        provenance,
    } = answer;
    let facts = facts(exchange, provenance);
    let method = exchange.parts.method.as_str();
    let status = response.status();
    let mut span = Span {
        context: trace.context,
        parent: trace.parent,
        name: match facts.route {
            Some(route) => format!("{method} {route}"),
            None => method.to_owned(),
        },
        begin: exchange.wall(),
        end: exchange.wall(),
        attributes: Vec::with_capacity(24),
        is_error: status.is_server_error(),
    };
    // The names of OpenTelemetry where it has one
    // (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>).
    span.tell("http.request.method", Some(method));
    span.tell("url.scheme", facts.scheme);
    span.tell("url.path", Some(exchange.parts.uri.path()));
    span.tell("server.address", Some(exchange.authority.host()));
    span.number("http.response.status_code", Some(status.as_u16().into()));
    span.tell("tero.request_id", Some(exchange.request_id().as_str()));
    span.tell("tero.site", facts.site);
    span.tell("tero.route", facts.route);
    span.tell("tero.variant", facts.variant);
    span.tell("tero.outcome", Some(provenance.outcome.as_str()));
    span.tell("tero.forward", facts.forward);
    span.flag("tero.collapsed", facts.collapsed);
    span.flag("tero.stored", facts.stored);
    span.tell("tero.not_stored", facts.not_stored);
    span.tell("tero.policy_reason", facts.policy_reason);
    span.tell("tero.limit", facts.limit);
    span.tell("tero.failure", facts.failure);
    span.number(
        "tero.age_seconds",
        facts.age_secs.and_then(|age| age.try_into().ok()),
    );
    span.number("tero.ttl_seconds", facts.ttl_secs);
    span.tell("tero.origin", facts.origin);
    let origin_status = facts.origin_status.map(|status| status.as_u16().into());
    span.number("tero.origin_status", origin_status);
    let micros = facts
        .origin_micros
        .and_then(|micros| micros.try_into().ok());
    span.number("tero.origin_microseconds", micros);
    span
}

/// What a line says of the head of a response.
struct LineHead<'h> {
    status: StatusCode,
    response: &'h HeaderMap,
    outcome: LineOutcome,
    took: Duration,
}

/// Begins the line of a request that was let in.
fn begin_line(
    exchange: &Exchange,
    log: &AccessLog,
    head: &LineHead<'_>,
    provenance: &Provenance,
) -> OpenLine {
    let transport = exchange.connection.as_ref().map(ClientHandle::transport);
    log.begin(&AccessLogLine {
        at: exchange.wall(),
        request_id: log
            .has(AccessLogField::RequestId)
            .then(|| exchange.request_id().as_str()),
        client: exchange.client,
        peer: transport.and_then(|transport| transport.opened_by),
        proxies: &exchange.proxies,
        method: Some(&exchange.parts.method),
        target: target(&exchange.parts),
        version: exchange.parts.version,
        host: exchange.authority.host(),
        request: &exchange.parts.headers,
        status: head.status,
        response: head.response,
        outcome: head.outcome,
        took_micros: micros(head.took),
        tls: transport.and_then(tls_of),
        facts: facts(exchange, provenance),
    })
}

/// TLS as the access log tells it.
fn tls_of(transport: &ClientTransport) -> Option<LoggedTls<'_>> {
    transport.tls.as_deref().map(|tls| LoggedTls {
        version: tls.version.as_deref(),
        cipher: tls.cipher.as_deref(),
        server_name: tls.server_name.as_deref(),
    })
}

/// What the access log can tell of an answer beside the heads.
fn facts<'e>(exchange: &'e Exchange, provenance: &Provenance) -> AnswerFacts<'e> {
    let site = &exchange.site;
    let contact = exchange.contact.latest();
    AnswerFacts {
        scheme: Some(exchange.scheme.as_str()),
        authority: Some(exchange.authority.as_str()),
        site: Some(&site.settings.name),
        route: exchange
            .route()
            .and_then(|route| route.settings.name.as_deref()),
        device: site.needs_device.then(|| exchange.device.as_str()),
        variant: exchange.decision.variant.as_deref(),
        log_tag: exchange.extended().and_then(|it| it.log_tag.as_deref()),
        policy_reason: exchange
            .told_reason
            .get()
            .map(|reason| &**reason)
            .or(exchange.decision.reason.as_deref()),
        forward: provenance.forward.map(Forward::as_str),
        collapsed: provenance.collapsed,
        stored: provenance.storing.is_stored(),
        not_stored: provenance.storing.refusal().map(NotStored::as_str),
        limit: exchange
            .exceeded
            .as_ref()
            .map(|exceeded| &*exceeded.limit.settings.name),
        failure: provenance.failure.map(|failure| failure.reason),
        age_secs: provenance.lifetime.map(|lifetime| lifetime.age_secs),
        ttl_secs: provenance.lifetime.map(|lifetime| lifetime.ttl_secs),
        origin: contact.and_then(|(hop, _)| exchange.hop_name(hop)),
        origin_status: provenance.next_hop.map(|reply| reply.status),
        origin_micros: contact.map(|(_, micros)| micros),
    }
}

/// Records a request that was not let in. Returns what is left to record when the answer has been
/// sent.
#[cold]
pub(super) fn record_refused(
    edge: &Arc<Edge>,
    sender: &RefusedSender<'_>,
    parts: &Parts,
    response: &Response<EdgeBody>,
) -> Option<Box<OpenRecord>> {
    edge.counters.refused(response.status());
    let log = edge.access_log.as_ref()?;
    let host = parts.uri.host().or_else(|| {
        let host = parts.headers.get(HOST)?;
        host.to_str().ok()
    });
    let at = edge.clock.now();
    let transport = sender.connection.map(ClientHandle::transport);
    let line = log.begin(&AccessLogLine {
        at: edge.clock.wall_of(at),
        request_id: Some(sender.id.as_str()),
        client: sender.client,
        peer: transport.and_then(|transport| transport.opened_by),
        proxies: &sender.proxies,
        method: Some(&parts.method),
        target: target(parts),
        version: parts.version,
        host: host.unwrap_or_default(),
        request: &parts.headers,
        status: response.status(),
        response: response.headers(),
        outcome: LineOutcome::Refused,
        took_micros: 0,
        tls: transport.and_then(tls_of),
        facts: AnswerFacts::default(),
    });
    Some(OpenRecord::new(edge, None, Some(line), at))
}

/// Records the refusal of bytes that are not a request. It has no content.
#[cold]
pub fn record_unread(
    edge: &Arc<Edge>,
    client: Option<IpAddr>,
    version: Version,
    transport: &ClientTransport,
    response: &Response<EdgeBody>,
) {
    edge.counters.refused(response.status());
    let Some(log) = &edge.access_log else { return };
    let at = edge.clock.now();
    let line = log.begin(&AccessLogLine {
        at: edge.clock.wall_of(at),
        request_id: None,
        client,
        peer: transport.opened_by,
        proxies: &[],
        method: None,
        target: "",
        version,
        host: "",
        request: &HeaderMap::new(),
        status: response.status(),
        response: response.headers(),
        outcome: LineOutcome::Refused,
        took_micros: 0,
        tls: tls_of(transport),
        facts: AnswerFacts::default(),
    });
    OpenRecord::new(edge, None, Some(line), at).close(0);
}

fn target(parts: &Parts) -> &str {
    let target = parts.uri.path_and_query();
    target.map_or("/", |target| target.as_str())
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

/// Has a request that was answered count in the trials of its site, and offers it to the shadows.
fn record_trial(visit: Visit<'_>, outcome: Outcome) {
    let Visit { edge, exchange } = visit;
    // No policy was asked.
    if outcome == Outcome::Rule && exchange.own_answer().is_none() {
        return;
    }
    if let Some(canary) = &exchange.site.canary {
        canary.record(exchange.is_canary, outcome);
    }
    // Above the floor there is nothing to compare: what a policy says has no effect.
    if !exchange.floor.never {
        edge.shadows.offer_request(exchange);
    }
}

/// Whether a fetch counts as a use of its page. Responses that are not stored are of no use to
/// others, and private responses must not appear in popularity. Hits are counted where they happen.
fn is_popular(answer: &Answer) -> bool {
    let was_fetched = match answer.provenance.outcome {
        Outcome::Collapsed => true,
        Outcome::Miss | Outcome::Revalidated => answer.provenance.storing.is_stored(),
        Outcome::Hit | Outcome::Stale | Outcome::Pass | Outcome::Error | Outcome::Rule => false,
    };
    let status = answer.response.status();
    was_fetched && !status.is_client_error() && !status.is_server_error()
}
