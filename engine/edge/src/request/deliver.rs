//! An answer from a stored response, or from one on its way into the store: conditions, ranges,
//! HEAD, `Age`, `Via`, `Cache-Status` (RFC 9110 §13–14, RFC 9111 §4, RFC 9211).

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use foldhash::quality::RandomState;
use http::header::{AGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, VIA};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::body::EdgeBody;
use super::exchange::Exchange;
use super::news::ResponseInFlight;
use super::ready_heads::{self, HeadKey, ReadyHead};
use super::visit::Visit;
use crate::store::fill::FillReader;
use crate::store::stored::{StoredHead, StoredResponse};
use tero_semantics::browser_lifetime::limit_browser_lifetime;
use tero_semantics::cache_status::{CACHE_STATUS, CacheStatus, Forward};
use tero_semantics::key;
use tero_semantics::precondition::{Precondition, not_modified_headers, precondition};
use tero_semantics::range::{self, Multipart, Selection, selection};
use tero_semantics::timestamp::Timestamp;
use tero_wire::write_field;

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

/// How the answer came about, for `Cache-Status`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Provenance {
    /// Why the request went forward; none for a hit.
    pub forward: Option<Forward>,
    /// What the next hop said.
    pub forward_status: Option<StatusCode>,
    /// It is being stored.
    pub stored: bool,
    /// It is another request's.
    pub collapsed: bool,
    /// What went wrong.
    pub trouble: Option<&'static str>,
}

/// Makes the answer to a hit: as [`deliver`] does, with a head that may have been made before.
/// Where nobody but the client reads its fields, they are lines beside the body
/// ([`EdgeBody::take_lines`]).
pub(super) fn hit(visit: Visit<'_>, stored: &Arc<StoredResponse>) -> Response<EdgeBody> {
    let (now, head) = (visit.exchange.at, &stored.head);
    let ready = if visit.exchange.fields.range || visit.exchange.parts.method != Method::GET {
        None
    } else {
        let (age_secs, ttl_secs) = (
            head.freshness.age(now).as_secs(),
            head.freshness.remaining_secs(now),
        );
        let make = || lines_of_hit(visit, head, now);
        ready_heads::head(
            HeadKey {
                id: stored.id,
                age_secs,
                ttl_secs,
            },
            make,
            |ready| ready_made(visit, stored, ready),
        )
    };
    ready.unwrap_or_else(|| {
        deliver(
            visit,
            BodySource::Stored(stored),
            Provenance::default(),
            now,
        )
    })
}

/// The answer with a head that stands ready; none where the head is not enough.
fn ready_made(
    visit: Visit<'_>,
    stored: &StoredResponse,
    ready: &mut ReadyHead,
) -> Option<Response<EdgeBody>> {
    let make = || fields_of_hit(visit, &stored.head, visit.exchange.at);
    let precondition = match visit.exchange.fields.conditional {
        true => precondition(
            &visit.exchange.parts.method,
            &visit.exchange.parts.headers,
            stored.head.status,
            ready.fields(make),
        ),
        false => Precondition::Proceed,
    };
    let is_read_by_us = visit.exchange.connection.is_none() || visit.edge.access_log.is_some();
    let (status, fields, body) = match precondition {
        Precondition::Proceed if is_read_by_us => (
            stored.head.status,
            ready.fields(make).clone(),
            EdgeBody::stored(&stored.body),
        ),
        Precondition::Proceed => (
            stored.head.status,
            HeaderMap::new(),
            EdgeBody::with_lines(ready.lines(), Some(&stored.body)),
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
fn fields_of_hit(visit: Visit<'_>, head: &StoredHead, now: Timestamp) -> HeaderMap {
    let mut headers = head.fields.to_headers(ADDED_FIELDS);
    headers.remove(AGE);
    add_own_fields(visit, head, Provenance::default(), now, &mut headers);
    headers
}

/// The same as lines, which need no map to be made where all that is added stands by itself.
fn lines_of_hit(visit: Visit<'_>, head: &StoredHead, now: Timestamp) -> Vec<u8> {
    if head.browser_ttl_secs.is_some() {
        return ready_heads::lines_of(&fields_of_hit(visit, head, now));
    }
    let mut lines = Vec::with_capacity(512);
    head.fields.write_lines(&mut lines, &[AGE, CONTENT_LENGTH]);
    write_field(&mut lines, &AGE, &head.freshness.age(now).as_secs().into());
    write_field(&mut lines, &VIA, &visit.edge.via);
    let status =
        cache_status(visit.exchange, head, Provenance::default(), now).write(&visit.edge.name);
    if let Ok(status) = HeaderValue::try_from(status) {
        write_field(&mut lines, &CACHE_STATUS, &status);
    }
    lines
}

/// The answer from a part, where all that is asked for lies within it (RFC 9111 §3.3): a range, or
/// a condition that needs no content.
pub(super) fn part(visit: Visit<'_>, stored: &Arc<StoredResponse>) -> Option<Response<EdgeBody>> {
    let source = BodySource::Stored(stored);
    let is_there = match narrowed(
        visit.exchange,
        &stored.head,
        &stored.head.fields.to_headers(0),
        &source,
    ) {
        Delivery::Whole => false,
        Delivery::NotModified | Delivery::Failed | Delivery::Unsatisfiable(_) => true,
        Delivery::Part(range, _) => stored.slice(&range).is_some(),
        Delivery::Parts(_, ranges) => ranges.iter().all(|range| stored.slice(range).is_some()),
    };
    is_there.then(|| deliver(visit, source, Provenance::default(), visit.exchange.at))
}

/// An answer that is not stored, for a client whose own condition it meets (RFC 9110 §13.2.1): the
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
    provenance: Provenance,
    now: Timestamp,
) -> Response<EdgeBody> {
    let (head, as_sent) = match &mut source {
        BodySource::Stored(stored) => (&stored.head, None),
        BodySource::Filling(filling, _, as_sent) => (&filling.head, as_sent.take()),
    };
    let mut headers = as_sent.unwrap_or_else(|| head.fields.to_headers(ADDED_FIELDS));
    // The age is told anew (§4.2.3).
    headers.remove(AGE);
    let mut response = match narrowed(visit.exchange, head, &headers, &source) {
        Delivery::NotModified => bare(StatusCode::NOT_MODIFIED, not_modified_headers(&headers)),
        Delivery::Failed => bare(StatusCode::PRECONDITION_FAILED, HeaderMap::new()),
        Delivery::Unsatisfiable(length) => {
            let mut response = bare(StatusCode::RANGE_NOT_SATISFIABLE, HeaderMap::new());
            response
                .headers_mut()
                .insert(CONTENT_RANGE, range::unsatisfied_range(length));
            response
        }
        Delivery::Part(range, length) => one_part(visit.exchange, headers, source, range, length),
        Delivery::Parts(stored, ranges) => parts(headers, &stored, ranges),
        Delivery::Whole => whole(visit.exchange, head.status, headers, source),
    };
    add_own_fields(visit, head, provenance, now, response.headers_mut());
    response
}

enum Delivery {
    Whole,
    NotModified,
    Failed,
    Unsatisfiable(u64),
    Part(std::ops::Range<u64>, u64),
    Parts(Arc<StoredResponse>, Vec<std::ops::Range<u64>>),
}

/// What of the response the client's own conditions and ranges leave.
fn narrowed(
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
    match selection(method, asked, head.status, headers, length, MAX_RANGES) {
        Selection::Whole => Delivery::Whole,
        Selection::Unsatisfiable => Delivery::Unsatisfiable(length),
        Selection::Single(range) => Delivery::Part(range, length),
        Selection::Multiple(ranges) => match source {
            BodySource::Stored(stored) => Delivery::Parts(Arc::clone(stored), ranges),
            // Parts may come in any order, and a fill has not got them all yet.
            BodySource::Filling(..) => Delivery::Whole,
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
    exchange: &Exchange,
    status: StatusCode,
    headers: HeaderMap,
    source: BodySource<'_>,
) -> Response<EdgeBody> {
    let mut response = bare(status, headers);
    let body = match source {
        BodySource::Stored(stored) => {
            debug_assert!(stored.parts.is_none(), "a part is never served as a whole");
            EdgeBody::stored(&stored.body)
        }
        BodySource::Filling(_, reader, _) => {
            EdgeBody::fill(reader, Arc::clone(&exchange.site.counters))
        }
    };
    if exchange.parts.method != Method::HEAD {
        *response.body_mut() = body;
    } else if let Some(length) = body.length() {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    response
}

fn one_part(
    exchange: &Exchange,
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
        BodySource::Stored(stored) => EdgeBody::owned(stored.slice(&range).unwrap_or_default()),
        BodySource::Filling(_, reader, _) => {
            EdgeBody::fill_range(reader, range, Arc::clone(&exchange.site.counters))
        }
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

/// Adds what the edge has to say.
fn add_own_fields(
    visit: Visit<'_>,
    head: &StoredHead,
    provenance: Provenance,
    now: Timestamp,
    headers: &mut HeaderMap,
) {
    let age = head.freshness.age(now);
    if let Some(ttl) = head.browser_ttl_secs {
        let remaining = head.freshness.remaining_secs(now);
        limit_browser_lifetime(
            headers,
            Duration::from_secs(ttl.into()),
            age,
            Duration::from_secs(u64::try_from(remaining).unwrap_or(0)),
        );
    }
    if provenance.forward.is_none() || age.as_secs() > 0 {
        headers.insert(AGE, age.as_secs().into());
    }
    headers.append(VIA, visit.edge.via.clone());
    cache_status(visit.exchange, head, provenance, now).append_to(headers, &visit.edge.name);
}

fn cache_status<'a>(
    exchange: &'a Exchange,
    head: &'a StoredHead,
    provenance: Provenance,
    now: Timestamp,
) -> CacheStatus<'a> {
    CacheStatus {
        hit: provenance.forward.is_none(),
        forward: provenance.forward,
        forward_status: provenance.forward_status,
        ttl_secs: Some(head.freshness.remaining_secs(now)),
        stored: provenance.stored,
        collapsed: provenance.collapsed,
        key: exchange
            .site
            .settings
            .cache_status_key
            .then(|| key::url_of(&exchange.key)),
        details: [head.fields.detail(), provenance.trouble],
    }
}
