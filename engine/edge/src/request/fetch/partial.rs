//! Parts of responses: used, completed, and kept as they come (RFC 9111 §3.3, §3.4).
//!
//! A range is cut from the whole, which is fetched for it (`fetch`), wherever the whole can be
//! stored. Parts are what there is of responses that are larger, that were cut short, or that the
//! origin gave in parts.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use hyper::body::Incoming;

use super::freshen::keep_surrogate_keys;
use super::judge::{ReceivedHead, ResponseTerms, judge};
use crate::request::edge::Edge;
use crate::request::news::ResponseInFlight;
use crate::request::next_hop_request::FetchKind;
use crate::request::visit::Visit;
use crate::store::stored::{StoredBody, StoredHead, StoredResponse};
use tero_semantics::partial::ByteRuns;
use tero_semantics::partial::{are_combinable, strong_validator};
use tero_semantics::range::Partial;
use tero_semantics::reuse::{Reuse, reuse};
use tero_semantics::storability::Storability;
use tero_semantics::timestamp::Timestamp;
use tero_semantics::{forwarding, validation};

/// How much of a response is asked for.
#[derive(Clone, Debug)]
pub(in crate::request) enum Extent {
    /// All of it.
    Whole,
    /// The bytes that are missing after the first ones, which are stored.
    Rest(Arc<StoredResponse>),
    /// The range that the client asks for.
    Range,
}

/// Whether a part may be used as it is.
pub(in crate::request) fn is_fresh(visit: Visit<'_>, part: &StoredResponse) -> bool {
    let exchange = visit.exchange;
    let client = visit.settings().client_directives;
    let freshness = match exchange.floor.at_most {
        Some(bound) => part.head.freshness.bounded(bound),
        None => part.head.freshness,
    };
    reuse(&freshness, &exchange.directives, client, exchange.at) == Reuse::Fresh
}

/// Whether the whole of a stored part could never be stored, so that a range of it goes by itself.
pub(in crate::request) fn is_of_too_large(edge: &Edge, part: &StoredResponse) -> bool {
    part.length() > edge.store.max_object()
}

/// How much a fetch asks for where this part is stored: the rest, where the beginning is stored and
/// the rest could be put together with it.
pub(in crate::request) fn extent(edge: &Edge, part: Option<Arc<StoredResponse>>) -> Extent {
    match part {
        Some(part) if !is_of_too_large(edge, &part) && rest_of(&part).is_some() => {
            Extent::Rest(part)
        }
        _ => Extent::Whole,
    }
}

/// The request that completes a part: with `If-Range`, so that another response comes whole (RFC
/// 9110 §13.1.5). `None` without the beginning, or without a strong validator: nothing may be put
/// together then (§3.4).
pub(super) fn rest_of(part: &StoredResponse) -> Option<FetchKind> {
    let from = part
        .parts()
        .map(|parts| parts.prefix())
        .filter(|from| *from > 0)?;
    let validator = strong_validator(&part.head.fields.to_headers(0))?.clone();
    Some(FetchKind::Rest { from, validator })
}

/// The bytes that are stored from the first one on.
pub(super) fn beginning(part: &StoredResponse) -> Vec<Bytes> {
    let prefix = part.parts().map(|parts| 0..parts.prefix());
    prefix
        .and_then(|prefix| part.slice(&prefix))
        .unwrap_or_default()
}

/// The head of the whole response, where the answer brings just the bytes that were missing of a
/// part, and may be stored.
pub(super) fn completed(
    visit: Visit<'_>,
    part: &StoredResponse,
    answer: &Response<Incoming>,
    asked_at: Timestamp,
) -> Option<(HeaderMap, ResponseTerms)> {
    let from = part.parts()?.prefix();
    let wanted = Partial {
        range: from..part.length(),
        length: Some(part.length()),
    };
    let stored = part.head.fields.to_headers(0);
    let is_it = answer.status() == StatusCode::PARTIAL_CONTENT
        && Partial::of(answer.headers()) == Some(wanted);
    if !is_it || !are_combinable(&stored, answer.headers()) {
        return None;
    }
    let mut headers = answer.headers().clone();
    forwarding::ensure_date(&mut headers, visit.edge.clock.wall());
    let mut headers = validation::updated_fields(&stored, &headers);
    keep_surrogate_keys(&mut headers, &part.head.fields);
    if !visit.edge.store.holds_head(&headers) {
        return None;
    }
    let received = ReceivedHead {
        status: StatusCode::OK,
        headers: &headers,
        length: Some(part.length()),
        asked_at,
    };
    let terms = judge(visit, &received);
    (terms.storability == Storability::Yes).then_some((headers, terms))
}

/// Whether an answer that did not complete a part is of no use either: the whole has to be asked
/// for again. Other answers are the whole, or an error.
pub(super) fn is_useless(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE
    )
}

/// The part that a response brought, if it brought no more than it said.
pub(super) fn part_of(
    place: &Partial,
    head: &StoredHead,
    body: StoredBody,
) -> Option<StoredResponse> {
    let run = place.range.start..place.range.start.saturating_add(body.len());
    if run.end > place.range.end {
        return None;
    }
    let parts = ByteRuns::one(run, place.length.unwrap_or(0))?;
    Some(StoredResponse::of_parts(head.clone(), body, parts))
}

/// Keeps the beginning of a response that was cut short, where the rest could be put to it (§3.3).
pub(super) fn keep_beginning(visit: Visit<'_>, filling: &ResponseInFlight) {
    let head = &filling.head;
    let is_completable =
        head.status == StatusCode::OK && strong_validator(&head.fields.to_headers(0)).is_some();
    let Some((length, pieces)) = filling
        .fill
        .length()
        .zip(filling.fill.kept())
        .filter(|_| is_completable)
    else {
        return;
    };
    let body = visit.edge.store.body(pieces);
    if let Some(parts) = ByteRuns::one(0..body.len(), length) {
        let stored = StoredResponse::of_parts(head.clone(), body, parts);
        let key = &visit.exchange.key;
        visit.edge.store.insert_part(key, stored, &filling.purges);
    }
}
