//! A client that has fallen behind those with whom it shared a fetch goes on by itself: the next hop
//! is asked for the bytes that it has not had (RFC 9110 §14.2, §13.1.5).
//!
//! Only bytes of the same response continue it: one with a strong validator, of which the next hop
//! sends just the range that was asked for. Everything else ends the client's connection early.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use hyper::body::Incoming;

use super::body::{RestOfContent, StreamedBody};
use super::failure::ErrorChain;
use super::next_hop_request::{self, FetchKind};
use super::silence::SilenceLimit;
use super::visit::{OwnedVisit, Visit};
use crate::origin::{self, ContentSource, RequestCopy};
use tero_semantics::key;
use tero_semantics::partial::strong_validator;
use tero_semantics::range::Partial;

/// How the client of `visit` goes on with a response of this head. `None` if it can't.
pub(super) fn rest_of(
    visit: Visit<'_>,
    status: StatusCode,
    headers: &HeaderMap,
) -> Option<RestOfContent> {
    let is_whole_get = visit.exchange.parts.method == Method::GET && status == StatusCode::OK;
    let validator = strong_validator(headers).filter(|_| is_whole_get)?.clone();
    let visit = visit.to_owned();
    Some(Box::new(|from| Box::pin(ask(visit, validator, from))))
}

async fn ask(visit: OwnedVisit, validator: HeaderValue, from: u64) -> Option<Box<StreamedBody>> {
    let visit = visit.visit();
    let kind = FetchKind::Rest {
        from,
        validator: validator.clone(),
    };
    let request = || next_hop_request::for_storing(visit, origin::empty(), &kind);
    let asked_at = visit.now();
    let again: &mut RequestCopy<'_> = &mut || Some(request());
    let exchange = visit.exchange;
    let answer = exchange
        .fetch(request(), ContentSource::AtHand, Some(again))
        .await;
    let took = visit.now().since(asked_at);
    visit.exchange.count_origin(&answer, took);
    let url = key::url_of(&visit.exchange.key);
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            let message = "the rest for a slow client failed";
            let limits = &visit.site().counters.repeats;
            if let Some(left_out) = limits.due(message, error.as_str(), visit.now()) {
                tracing::warn!(url, request_id = %visit.exchange.request_id(), error = %ErrorChain(&error), left_out, "{message}");
            }
            return None;
        }
    };
    if !continues(&answer.response, &validator, from) {
        tracing::debug!(
            url,
            from,
            "a slow client was cut off: no range of the same response"
        );
        return None;
    }
    let silence = SilenceLimit::new(visit.edge.clock.clone(), visit.body_timeout());
    let body = answer.response.into_body();
    let exchange = Arc::clone(visit.exchange);
    let body = StreamedBody::new(body, answer.permit, silence, exchange);
    Some(Box::new(body))
}

/// Whether a response brings the bytes from `from` to the end of the one with this validator.
fn continues(response: &Response<Incoming>, validator: &HeaderValue, from: u64) -> bool {
    let headers = response.headers();
    response.status() == StatusCode::PARTIAL_CONTENT
        && strong_validator(headers) == Some(validator)
        && Partial::of(headers)
            .is_some_and(|part| part.range.start == from && part.length == Some(part.range.end))
}
