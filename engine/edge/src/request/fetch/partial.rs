//! Parts of responses: answered from what is stored of them, completed, and kept as they come (RFC
//! 9111 §3.3, §3.4).
//!
//! A range is cut from the whole, which is fetched for it (`fetch`), wherever the whole can be
//! stored. Parts are what there is of responses that are larger, that were cut short, or that the
//! origin gave in parts.

use std::sync::Arc;

use http::header::CONTENT_RANGE;
use http::{HeaderMap, Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::oneshot;

use super::{Extent, Fetch, FetchResult, ResponseTerms};
use crate::origin::OriginResponse;
use crate::request::body::EdgeBody;
use crate::request::edge::Edge;
use crate::request::news::ResponseInFlight;
use crate::request::next_hop_request::FetchKind;
use crate::request::visit::Visit;
use crate::store::PurgePoint;
use crate::store::fill::Fill;
use crate::store::stored::{StoredBody, StoredResponse};
use tero_semantics::partial::{ByteRuns, are_combinable, strong_validator};
use tero_semantics::range::Partial;
use tero_semantics::reuse::{Reuse, reuse};
use tero_semantics::storability::Storability;
use tero_semantics::timestamp::Timestamp;
use tero_semantics::{forwarding, validation};

/// Whether a part may be used as it is.
pub(in crate::request) fn is_fresh(visit: Visit<'_>, part: &StoredResponse) -> bool {
    let exchange = visit.exchange;
    let client = visit.settings().client_directives;
    reuse(
        &part.head.freshness,
        &exchange.directives,
        client,
        exchange.at,
    ) == Reuse::Fresh
}

/// Whether the whole of a stored part could never be stored, so that a range of it goes by itself.
pub(in crate::request) fn is_of_too_large(edge: &Edge, part: &StoredResponse) -> bool {
    part.length() > edge.store.max_object()
}

/// What a fetch asks for where this much is stored: what follows the beginning, where the beginning
/// is there and could be put together with it.
pub(in crate::request) fn extent(edge: &Edge, part: Option<Arc<StoredResponse>>) -> Extent {
    match part {
        Some(part) if !is_of_too_large(edge, &part) && rest_of(&part).is_some() => {
            Extent::Rest(part)
        }
        _ => Extent::Whole,
    }
}

/// The request that completes a part: with `If-Range`, so that another response comes whole (RFC
/// 9110 §13.1.5). None without the beginning, or without a strong validator: nothing may be put
/// together then (§3.4).
pub(super) fn rest_of(part: &StoredResponse) -> Option<FetchKind> {
    let from = part
        .parts
        .as_ref()
        .map(|parts| parts.prefix())
        .filter(|from| *from > 0)?;
    let validator = strong_validator(&part.head.fields.to_headers(0))?.clone();
    Some(FetchKind::Rest { from, validator })
}

impl Fetch {
    /// The head of the whole response, where the answer is just what was missing of a part, and may
    /// be stored.
    pub(super) fn completed(
        &self,
        part: &StoredResponse,
        answer: &Response<Incoming>,
        asked_at: Timestamp,
    ) -> Option<(HeaderMap, ResponseTerms)> {
        let from = part.parts.as_ref()?.prefix();
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
        forwarding::ensure_date(&mut headers, self.edge().clock.now());
        let head = validation::updated_fields(&stored, &headers);
        let terms = self.judge(StatusCode::OK, &head, Some(part.length()), asked_at);
        (terms.storability == Storability::Yes).then_some((head, terms))
    }

    /// Forgets a part that could not be completed. Whether the whole has to be asked for again: it
    /// came already, or is an error.
    pub(super) fn forget_part(&mut self, part: &StoredResponse, status: StatusCode) -> bool {
        self.extent = Extent::Whole;
        let is_useless = matches!(
            status,
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE
        );
        if is_useless {
            self.edge().store.drop_part(&self.exchange().key, part.id);
        }
        is_useless
    }

    /// Stores the whole: the beginning that was there, and what came now.
    pub(super) async fn fill_rest(
        self,
        head: HeaderMap,
        answer: OriginResponse,
        terms: ResponseTerms,
        purges: PurgePoint,
        tell: oneshot::Sender<FetchResult>,
    ) {
        let OriginResponse {
            response,
            permit: _permit,
        } = answer;
        let (mut parts, body) = response.into_parts();
        (parts.status, parts.headers) = (StatusCode::OK, head);
        let length = match &self.extent {
            Extent::Rest(part) => Some(part.length()),
            Extent::Whole | Extent::Range => None,
        };
        self.fill(parts, body, length, terms, purges, tell).await;
    }

    /// Passes a part on to its client, and keeps it as it comes. Its place is where it says that it
    /// begins; how long it is tells its content, whatever it says of its end.
    pub(super) async fn fill_part(
        self,
        parts: http::response::Parts,
        mut body: Incoming,
        part: Partial,
        terms: ResponseTerms,
        purges: PurgePoint,
        tell: oneshot::Sender<FetchResult>,
    ) {
        self.remember_not_storable(parts.status, false);
        let mut fields = parts.headers.clone();
        fields.remove(CONTENT_RANGE);
        let head = self.head(StatusCode::OK, &fields, &terms);
        let fill = Fill::new(
            http_body::Body::size_hint(&body).exact(),
            self.edge().store.fill_limits(),
            true,
        );
        if let Some(reader) = fill.reader() {
            let body = EdgeBody::fill(reader, Arc::clone(&self.exchange().site.counters));
            let _ = tell.send(FetchResult::Part(Box::new(Response::from_parts(
                parts, body,
            ))));
        }
        match self.pump(&mut body, &fill).await {
            Err(error) => fill.fail(error),
            Ok(None) => fill.complete(None),
            Ok(Some(pieces)) => {
                let body = StoredBody::new(pieces);
                let run = part.range.start..part.range.start.saturating_add(body.len());
                if run.end <= part.range.end
                    && let Some(parts) = ByteRuns::one(run, part.length.unwrap_or(0))
                {
                    let stored = StoredResponse::of_parts(head, body.clone(), parts);
                    self.edge()
                        .store
                        .insert_part(&self.exchange().key, stored, purges);
                }
                fill.complete(Some(body.pieces()));
            }
        }
    }

    /// Keeps the beginning of a response that was cut short, where the rest could be put to it
    /// (§3.3).
    pub(super) fn keep_beginning(&self, filling: &ResponseInFlight, purges: PurgePoint) {
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
        let body = StoredBody::new(pieces);
        if let Some(parts) = ByteRuns::one(0..body.len(), length) {
            let stored = StoredResponse::of_parts(head.clone(), body, parts);
            self.edge()
                .store
                .insert_part(&self.exchange().key, stored, purges);
        }
    }
}
