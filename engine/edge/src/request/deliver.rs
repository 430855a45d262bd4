//! An answer from a stored response, or from one on its way into the store: conditions, ranges,
//! HEAD, `Age`, `Via`, `Cache-Status` (RFC 9110 §13–14, RFC 9111 §4, RFC 9211).

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use foldhash::quality::RandomState;
use http::header::{AGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, VIA};
use http::{HeaderMap, Method, Response, StatusCode, Version};

use super::body::EdgeBody;
use super::coding::{self, CodedBody};
use super::error_pages;
use super::exchange::Exchange;
use super::news::ResponseInFlight;
use super::provenance::{Answer, Provenance, ServedLifetime, StatusFacts};
use super::ready_heads::{self, AddedFields, HeadKey, ReadyHead};
use super::rest;
use super::tier;
use super::visit::Visit;
use crate::store::fill::FillReader;
use crate::store::stored::{BrowserLifetime, StoredHead, StoredResponse};
use crate::telemetry::Outcome;
use tero_config::AccessLogField;
use tero_semantics::browser_lifetime::{bound_browser_lifetime, limit_browser_lifetime};
use tero_semantics::cache_status::CacheStatus;
use tero_semantics::key;
use tero_semantics::precondition::{Precondition, not_modified_headers, precondition};
use tero_semantics::range::{self, Multipart, Selection, SelectionInput, selection};
use tero_semantics::stale_age::{spend_lifetime, stale_age};
use tero_semantics::surrogate_keys::{SURROGATE_KEY, remove_surrogate_keys, surrogate_key_value};
use tero_semantics::timestamp::Timestamp;

/// Parts that a client may ask for in one request; more are answered with the whole (RFC 9110
/// §14.2).
const MAX_RANGES: usize = 16;
/// Room in the map of fields for those that are added here.
const ADDED_FIELDS: usize = 6;

/// Where the content comes from.
#[derive(Debug)]
pub(super) enum BodySource<'s> {
    /// The store.
    Stored(&'s Arc<StoredResponse>),
    /// A fill, read from its first byte; with the fields as they came, where the request is the one
    /// that fetched it.
    Filling(&'s ResponseInFlight, FillReader, Option<HeaderMap>),
}

/// Makes the answer to a hit: as [`deliver`] does, with a head that may have been made before.
/// Where the client alone reads its fields, they are lines beside the body
/// ([`EdgeBody::take_lines`]).
pub(super) fn hit(visit: Visit<'_>, stored: &Arc<StoredResponse>) -> Answer {
    let exchange = visit.exchange;
    let (now, mut provenance) = (exchange.at, Provenance::stored(Outcome::Hit));
    if !is_plain(visit, stored) {
        return deliver(visit, BodySource::Stored(stored), provenance, now);
    }
    let coded = match stored.coded() {
        None => None,
        Some(_) => coding::chosen(visit, stored),
    };
    let freshness = &stored.head.freshness;
    let decided = visit.decided_fields().map(|_| &exchange.decision);
    let head = HeadKey {
        id: stored.id,
        age_secs: freshness.age(now).as_secs(),
        ttl_secs: freshness.remaining_secs(now),
        coding: coded.map(|coded| coded.coding),
        edits: visit.response_edits().map_or(0, |edits| edits.id),
    };
    provenance.lifetime = Some(ServedLifetime {
        age_secs: head.age_secs,
        ttl_secs: head.ttl_secs,
    });
    if visit.edge.is_looked_on() {
        note_reason(visit, &stored.head);
    }
    if head.ttl_secs <= 0 && exchange.edge.is_some() {
        // The edge is told how stale it is, and ready heads are for all.
        return deliver(visit, BodySource::Stored(stored), provenance, now);
    }
    let make = || lines_of_hit(visit, &stored.head, coded, now);
    let ask = |ready: &mut ReadyHead| ready_made(visit, stored, coded, ready);
    match ready_heads::head(head, decided, make, ask) {
        Some(response) => Answer {
            response,
            provenance: Provenance {
                coding: coded.map(CodedBody::facts),
                ..provenance
            },
        },
        None => deliver(visit, BodySource::Stored(stored), provenance, now),
    }
}

/// Whether a hit may be answered with a head that is written out already: all of the response, for a
/// client that isn't told more.
#[inline]
pub(super) fn is_plain(visit: Visit<'_>, stored: &StoredResponse) -> bool {
    let exchange = visit.exchange;
    exchange.parts.method == Method::GET
        && !exchange.fields.range
        && !exchange.is_told_keys
        // A page of the site would take its place.
        && !error_pages::intercepts(visit, stored.head.status)
}

/// Whether the fields of an answer are read here: by the access log, by a plan that reads a sitemap, and by
/// the encoder of HTTP/2.
#[inline]
pub(super) fn reads_fields(visit: Visit<'_>) -> bool {
    visit.exchange.connection.is_none()
        || visit.edge.access_log.is_some()
        || visit.exchange.parts.version == Version::HTTP_2
}

/// The answer with a head that stands ready; `None` where the head is not enough.
fn ready_made(
    visit: Visit<'_>,
    stored: &StoredResponse,
    coded: Option<CodedBody<'_>>,
    ready: &mut ReadyHead,
) -> Option<Response<EdgeBody>> {
    let make = || fields_of_hit(visit, &stored.head, coded, visit.exchange.at);
    let body = coded.map_or(&stored.body, |coded| coded.body);
    let precondition = match visit.exchange.fields.conditional {
        true => precondition(
            &visit.exchange.parts.method,
            &visit.exchange.parts.headers,
            stored.head.status,
            ready.fields(make),
        ),
        false => Precondition::Proceed,
    };
    let is_read_by_us = reads_fields(visit);
    let (status, fields, body) = match precondition {
        Precondition::Proceed if is_read_by_us => (
            stored.head.status,
            ready.fields(make).clone(),
            EdgeBody::stored(body),
        ),
        Precondition::Proceed => (
            stored.head.status,
            HeaderMap::new(),
            EdgeBody::with_lines(ready.lines(), Some(body)),
        ),
        Precondition::NotModified if !is_read_by_us => (
            StatusCode::NOT_MODIFIED,
            HeaderMap::new(),
            EdgeBody::with_lines(ready.not_modified_lines(make), None),
        ),
        Precondition::NotModified | Precondition::Failed => return None,
    };
    let mut response = Response::new(body);
    (*response.status_mut(), *response.headers_mut()) = (status, fields);
    Some(response)
}

/// The fields of a hit.
fn fields_of_hit(
    visit: Visit<'_>,
    head: &StoredHead,
    coded: Option<CodedBody<'_>>,
    now: Timestamp,
) -> HeaderMap {
    let mut headers = head.fields.to_headers(ADDED_FIELDS);
    headers.remove(AGE);
    coding::describe(visit, head, coded, &mut headers);
    let provenance = Provenance {
        coding: coded.map(CodedBody::facts),
        ..Provenance::stored(Outcome::Hit)
    };
    add_own_fields(visit, head, provenance, now, &mut headers);
    edit(visit, &mut headers);
    headers
}

/// Changes the fields of a response as the rules of the site and the policies say. A policy's word
/// goes before that of the configuration, as elsewhere.
#[inline]
pub(super) fn edit(visit: Visit<'_>, headers: &mut HeaderMap) {
    if let Some(edits) = visit.response_edits() {
        edits.apply(headers);
    }
    if let Some(edits) = visit.decided_fields() {
        edits.apply(headers);
    }
}

/// The same as lines, which need no map to be made where all that is added stands by itself.
fn lines_of_hit(
    visit: Visit<'_>,
    head: &StoredHead,
    coded: Option<CodedBody<'_>>,
    now: Timestamp,
) -> Vec<u8> {
    let provenance = Provenance::stored(Outcome::Hit);
    lines_as_stored(visit, head, provenance, now)
        .unwrap_or_else(|| ready_heads::lines_of(&fields_of_hit(visit, head, coded, now)))
}

/// The lines of a hit whose stored fields stay as they are; `None` if some don't.
pub(super) fn lines_as_stored(
    visit: Visit<'_>,
    head: &StoredHead,
    provenance: Provenance,
    now: Timestamp,
) -> Option<Vec<u8>> {
    let is_edited = head.browser_lifetime != BrowserLifetime::AsSent
        || visit.response_edits().is_some()
        || visit.decided_fields().is_some();
    if is_edited || head.may_be_coded || !head.freshness.is_fresh(now) {
        return None;
    }
    let added = AddedFields {
        age_secs: head.freshness.age(now).as_secs(),
        via: &visit.edge.via,
        cache_status: status_of_stored(visit.exchange, head, provenance, now)
            .write(&visit.edge.name),
    };
    Some(ready_heads::lines_of_hit(&head.fields, added))
}

/// Whether a part holds all that the request asks for (RFC 9111 §3.3): a range, or a condition that
/// needs no content.
pub(super) fn is_all_within(visit: Visit<'_>, part: &Arc<StoredResponse>) -> bool {
    let (head, source) = (&part.head, BodySource::Stored(part));
    match delivery(visit.exchange, head, &head.fields.to_headers(0), &source) {
        Delivery::Whole => false,
        Delivery::NotModified | Delivery::Failed | Delivery::Unsatisfiable(_) => true,
        Delivery::Part(range, _) => part.slice(&range).is_some(),
        Delivery::Parts(_, ranges) => ranges.iter().all(|range| part.slice(range).is_some()),
    }
}

/// Makes the answer from a response that is not stored as a whole, with the fields that it came
/// with.
pub(super) fn deliver_as_sent(
    visit: Visit<'_>,
    mut response: Response<EdgeBody>,
    provenance: Provenance,
) -> Answer {
    let Visit { edge, exchange } = visit;
    let headers = response.headers_mut();
    if !exchange.is_told_keys {
        remove_surrogate_keys(headers);
    }
    tier::tell_of_passed(exchange, &provenance, headers);
    headers.append(VIA, edge.via.clone());
    let reason = exchange.reason();
    if exchange.floor.never
        && let Some(reason) = &reason
    {
        let _ = exchange.told_reason.set((**reason).into());
    }
    let facts = StatusFacts {
        ttl_secs: None,
        key: told_key(exchange),
        reason: reason.as_deref(),
    };
    provenance
        .cache_status(facts)
        .append_to(headers, &edge.name);
    edit(visit, headers);
    Answer {
        response,
        provenance,
    }
}

/// A response that is not stored, for a client whose own condition it meets (RFC 9110 §13.2.1): the
/// condition was kept from the next hop, as the answer might have been one for all.
pub(super) fn conditioned(exchange: &Exchange, response: Response<EdgeBody>) -> Response<EdgeBody> {
    let asks = exchange.fields.conditional && exchange.parts.method.is_safe();
    if !asks {
        return response;
    }
    match precondition(
        &exchange.parts.method,
        &exchange.parts.headers,
        response.status(),
        response.headers(),
    ) {
        Precondition::Proceed => response,
        Precondition::NotModified => bare(
            StatusCode::NOT_MODIFIED,
            not_modified_headers(response.headers()),
        ),
        Precondition::Failed => bare(StatusCode::PRECONDITION_FAILED, HeaderMap::new()),
    }
}

/// Makes the answer, as of `now`.
pub(super) fn deliver(
    visit: Visit<'_>,
    mut source: BodySource<'_>,
    mut provenance: Provenance,
    now: Timestamp,
) -> Answer {
    let exchange = visit.exchange;
    let (head, as_sent) = match &mut source {
        BodySource::Stored(stored) => (&stored.head, None),
        BodySource::Filling(filling, _, as_sent) => (&filling.head, as_sent.take()),
    };
    let is_as_sent = as_sent.is_some();
    let mut headers = as_sent.unwrap_or_else(|| head.fields.to_headers(ADDED_FIELDS));
    provenance.lifetime = Some(ServedLifetime {
        age_secs: head.freshness.age(now).as_secs(),
        ttl_secs: head.freshness.remaining_secs(now),
    });
    if visit.edge.is_looked_on() {
        note_reason(visit, head);
    }
    // The age is told anew (§4.2.3).
    headers.remove(AGE);
    if is_as_sent || exchange.is_told_keys {
        tell_surrogate_keys(exchange, head, &mut headers);
    }
    let coded = match &source {
        BodySource::Stored(stored) => coding::chosen(visit, stored),
        BodySource::Filling(..) => None,
    };
    let answer_coding = coded.map(CodedBody::facts);
    coding::describe(visit, head, coded, &mut headers);
    let rest = match &source {
        BodySource::Stored(_) => None,
        BodySource::Filling(..) => rest::rest_of(visit, head.status, &headers),
    };
    let mut response = match delivery(visit.exchange, head, &headers, &source) {
        Delivery::NotModified => bare(StatusCode::NOT_MODIFIED, not_modified_headers(&headers)),
        Delivery::Failed => bare(StatusCode::PRECONDITION_FAILED, HeaderMap::new()),
        Delivery::Unsatisfiable(length) => {
            let mut response = bare(StatusCode::RANGE_NOT_SATISFIABLE, HeaderMap::new());
            response
                .headers_mut()
                .insert(CONTENT_RANGE, range::unsatisfied_range(length));
            response
        }
        Delivery::Part(range, length) => one_part(visit, headers, source, range, length),
        Delivery::Parts(stored, ranges) => parts(headers, &stored, ranges),
        Delivery::Whole => whole(visit, head.status, headers, source, coded),
    };
    let provenance = Provenance {
        coding: answer_coding,
        ..provenance
    };
    add_own_fields(visit, head, provenance, now, response.headers_mut());
    edit(visit, response.headers_mut());
    Answer {
        response: response.map(|body| body.or_rest(rest)),
        provenance,
    }
}

/// Keeps the policies' reason for the access log, and for those who look on.
#[cold]
pub(super) fn note_reason(visit: Visit<'_>, head: &StoredHead) {
    let log = visit.edge.access_log.as_ref();
    let is_told = log.is_some_and(|log| log.has(AccessLogField::PolicyReason));
    if (is_told || visit.edge.live.is_wanted())
        && let Some(reason) = head.fields.detail()
    {
        let _ = visit.exchange.told_reason.set(reason.into());
    }
}

/// Tells all surrogate keys to those who are told them, and to no other client. Stored fields have
/// none.
fn tell_surrogate_keys(exchange: &Exchange, head: &StoredHead, headers: &mut HeaderMap) {
    remove_surrogate_keys(headers);
    if exchange.is_told_keys
        && let Some(keys) = surrogate_key_value(head.fields.tags())
    {
        headers.insert(SURROGATE_KEY, keys);
    }
}

/// How much of a response is sent.
enum Delivery {
    Whole,
    NotModified,
    Failed,
    Unsatisfiable(u64),
    Part(std::ops::Range<u64>, u64),
    Parts(Arc<StoredResponse>, Vec<std::ops::Range<u64>>),
}

/// How much of the response the client's own conditions and ranges leave.
fn delivery(
    exchange: &Exchange,
    head: &StoredHead,
    headers: &HeaderMap,
    source: &BodySource<'_>,
) -> Delivery {
    let (method, asked) = (&exchange.parts.method, &exchange.parts.headers);
    // The condition of an unsafe request was for the next hop, which has acted on it.
    if exchange.fields.conditional && method.is_safe() {
        match precondition(method, asked, head.status, headers) {
            Precondition::Proceed => {}
            Precondition::NotModified => return Delivery::NotModified,
            Precondition::Failed => return Delivery::Failed,
        }
    }
    let length = match source {
        BodySource::Stored(stored) => Some(stored.length()),
        BodySource::Filling(filling, ..) => filling.fill.length(),
    };
    let (true, Some(length)) = (exchange.fields.range, length) else {
        return Delivery::Whole;
    };
    let input = SelectionInput {
        method,
        request: asked,
        status: head.status,
        response: headers,
        length,
        max_ranges: MAX_RANGES,
    };
    match selection(&input) {
        Selection::Whole => Delivery::Whole,
        Selection::Unsatisfiable => Delivery::Unsatisfiable(length),
        Selection::Single(range) => Delivery::Part(range, length),
        Selection::Multiple(ranges) => match source {
            BodySource::Stored(stored) if !stored.body.is_outside() => {
                Delivery::Parts(Arc::clone(stored), ranges)
            }
            // Parts may come in any order: a fill has not got them all yet, and a disk would be read
            // here and there.
            BodySource::Stored(_) | BodySource::Filling(..) => Delivery::Whole,
        },
    }
}

fn bare(status: StatusCode, headers: HeaderMap) -> Response<EdgeBody> {
    let mut response = Response::new(EdgeBody::Empty);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn whole(
    visit: Visit<'_>,
    status: StatusCode,
    headers: HeaderMap,
    source: BodySource<'_>,
    coded: Option<CodedBody<'_>>,
) -> Response<EdgeBody> {
    let mut response = bare(status, headers);
    let body = match (source, coded) {
        (BodySource::Stored(_), Some(coded)) => EdgeBody::stored(coded.body),
        (BodySource::Stored(stored), None) => {
            debug_assert!(
                stored.parts().is_none(),
                "a part is never served as a whole"
            );
            match stored.body.is_outside() {
                false => EdgeBody::stored(&stored.body),
                true => EdgeBody::of_stored(stored, 0..stored.body.len(), &visit.edge.clock),
            }
        }
        (BodySource::Filling(_, reader, _), _) => EdgeBody::fill(reader),
    };
    if visit.exchange.parts.method != Method::HEAD {
        *response.body_mut() = body;
    } else if let Some(length) = body.length() {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    response
}

fn one_part(
    visit: Visit<'_>,
    headers: HeaderMap,
    source: BodySource<'_>,
    range: std::ops::Range<u64>,
    length: u64,
) -> Response<EdgeBody> {
    let mut response = bare(StatusCode::PARTIAL_CONTENT, headers);
    response
        .headers_mut()
        .insert(CONTENT_RANGE, range::content_range(&range, length));
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, (range.end - range.start).into());
    *response.body_mut() = match source {
        BodySource::Stored(stored) => EdgeBody::of_stored(stored, range, &visit.edge.clock),
        BodySource::Filling(_, reader, _) => EdgeBody::fill_range(reader, range),
    };
    response
}

fn parts(
    mut headers: HeaderMap,
    stored: &StoredResponse,
    ranges: Vec<std::ops::Range<u64>>,
) -> Response<EdgeBody> {
    // Two of the stored response's own random hashes: a body can't foresee them.
    let seed = u128::from(RandomState::default().hash_one(stored.id)) << 64
        | u128::from(RandomState::default().hash_one(0));
    let frame = Multipart::new(ranges, stored.length(), &headers, seed);
    let mut pieces = Vec::new();
    for range in frame.ranges() {
        pieces.push(Bytes::from(frame.head(range)));
        pieces.extend(stored.slice(range).unwrap_or_default());
    }
    pieces.push(Bytes::from(frame.tail()));
    headers.insert(CONTENT_TYPE, frame.content_type());
    headers.insert(CONTENT_LENGTH, frame.content_length().into());
    let mut response = bare(StatusCode::PARTIAL_CONTENT, headers);
    *response.body_mut() = EdgeBody::owned(pieces);
    response
}

/// Adds the edge's own fields.
fn add_own_fields(
    visit: Visit<'_>,
    head: &StoredHead,
    provenance: Provenance,
    now: Timestamp,
    headers: &mut HeaderMap,
) {
    tier::tell_of_stored(visit.exchange, head, &provenance, now, headers);
    let age = if tier::is_served_stale(head, &provenance, now) {
        say_stale(visit, head, now, headers)
    } else {
        head.freshness.age(now)
    };
    let remaining = || {
        let remaining = head.freshness.remaining_secs(now);
        Duration::from_secs(u64::try_from(remaining).unwrap_or(0))
    };
    match head.browser_lifetime {
        BrowserLifetime::AsSent => {}
        BrowserLifetime::Secs(ttl) => {
            let ttl = Duration::from_secs(ttl.into());
            limit_browser_lifetime(headers, ttl, age, remaining());
        }
        BrowserLifetime::AtMostOurs => {
            bound_browser_lifetime(headers, age, remaining(), visit.edge.clock.wall_of(now));
        }
    }
    if provenance.forward.is_none() || age.as_secs() > 0 {
        headers.insert(AGE, age.as_secs().into());
    }
    headers.append(VIA, visit.edge.via.clone());
    status_of_stored(visit.exchange, head, provenance, now).append_to(headers, &visit.edge.name);
}

/// Has the fields of a response that is served stale leave no recipient any freshness. Returns the
/// age to tell.
#[cold]
fn say_stale(
    visit: Visit<'_>,
    head: &StoredHead,
    now: Timestamp,
    headers: &mut HeaderMap,
) -> Duration {
    let targeted = &visit.settings().targeted_fields;
    let wall = visit.edge.clock.wall_of(now);
    let told = stale_age(&head.freshness, headers, targeted, now, wall);
    // An edge is told so beside the fields, which it will update its stored response with.
    if told.lacks_lifetime && visit.exchange.edge.is_none() {
        spend_lifetime(headers);
    }
    told.age
}

/// What `Cache-Status` says of an answer from a stored response.
fn status_of_stored<'a>(
    exchange: &'a Exchange,
    head: &'a StoredHead,
    provenance: Provenance,
    now: Timestamp,
) -> CacheStatus<'a> {
    provenance.cache_status(StatusFacts {
        ttl_secs: Some(head.freshness.remaining_secs(now)),
        key: told_key(exchange),
        reason: head.fields.detail(),
    })
}

/// The key, if the site tells it.
fn told_key(exchange: &Exchange) -> Option<&str> {
    let settings = &exchange.site.settings;
    settings
        .cache_status_key
        .then(|| key::url_of(&exchange.key))
}
