//! A request that the cache has no part in: to the next hop and back (RFC 9110 §7.6), and what it makes invalid (RFC 9111 §4.4).

use std::sync::Arc;

use http::header::{TRANSFER_ENCODING, VIA};
use http::{HeaderValue, Request, Response, Uri};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::admit::Exchange;
use super::body::{EdgeBody, Silence};
use super::respond::Failure;
use super::{Edge, forward};
use crate::origin::{self, Answer, RequestBody};
use crate::semantics::decision::QueryRule;
use crate::semantics::{forwarding, invalidation, key};
use crate::store::{Purge, Target};
use crate::telemetry::cache_status::{CacheStatus, Forward};

/// Sends the request on and brings its answer, without a word of our own in it yet.
pub(super) async fn pass(
    edge: &Arc<Edge>,
    exchange: &Exchange,
    content: Option<Incoming>,
) -> Result<Response<EdgeBody>, Failure> {
    let body = match content {
        Some(content) if !content.is_end_stream() => EdgeBody::upload(content, silence(edge, exchange)).boxed_unsync(),
        _ => origin::empty(),
    };
    let repeatable = exchange.parts.method.is_idempotent();
    let mut request = forward::as_sent(edge, exchange, body);
    if !request.body().is_end_stream() && request.body().size_hint().exact().is_none() {
        // Unless it is told, hyper leaves out the content of a GET whose length is not known.
        request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    let answer = ask(edge, exchange, request, repeatable).await?;
    invalidate(edge, exchange, &answer.response);
    Ok(answered(edge, exchange, answer))
}

/// Asks the next hop, and passes its interim responses on.
pub(super) async fn ask(
    edge: &Arc<Edge>,
    exchange: &Exchange,
    mut request: Request<RequestBody>,
    repeatable: bool,
) -> Result<Answer, Failure> {
    let site = &exchange.site;
    forward::pass_interim_on(edge, exchange, &mut request);
    let asked_at = edge.clock.now();
    let answer = site.origin.fetch(request, repeatable).await;
    let status = answer.as_ref().ok().map(|answer| answer.response.status());
    site.counters.record_origin(status, edge.clock.now().since(asked_at));
    answer.map_err(|error| {
        tracing::warn!(site = %site.settings.name, method = %exchange.parts.method, path = exchange.parts.uri.path(), %error, "pass failed");
        Failure::of(&error)
    })
}

/// What the client gets of the next hop's answer.
pub(super) fn answered(edge: &Edge, exchange: &Exchange, answer: Answer) -> Response<EdgeBody> {
    let (mut parts, body) = answer.response.into_parts();
    forwarding::strip_response_hop_by_hop(&mut parts.headers);
    let counters = Arc::clone(&exchange.site.counters);
    let body = EdgeBody::stream(body, Some(answer.permit), silence(edge, exchange), counters);
    Response::from_parts(parts, body)
}

fn silence(edge: &Edge, exchange: &Exchange) -> Silence {
    Silence::new(edge.clock.clone(), exchange.site.settings.body_timeout)
}

/// Adds `Via` and `Cache-Status` to an answer that is not stored.
pub(super) fn told(
    edge: &Edge,
    exchange: &Exchange,
    mut response: Response<EdgeBody>,
    why: Forward,
    refusal: Option<&str>,
) -> Response<EdgeBody> {
    let status = response.status();
    let headers = response.headers_mut();
    headers.append(VIA, edge.via.clone());
    let key = exchange.site.settings.cache_status_key.then(|| key::url_of(&exchange.key));
    let details = [exchange.decision.reason.as_deref(), refusal];
    CacheStatus { forward: Some(why), forward_status: Some(status), key, details, ..CacheStatus::default() }
        .append_to(headers, &edge.name);
    response
}

/// Drops what an unsafe request has made invalid (§4.4), in every variant.
fn invalidate(edge: &Edge, exchange: &Exchange, response: &Response<Incoming>) {
    let url = key::url_of(&exchange.key);
    let Ok(target) = Uri::try_from(url) else { return };
    let urls = invalidation::invalidated(&exchange.parts.method, response.status(), &target, response.headers());
    let keys: Vec<_> = urls.iter().flat_map(|url| keys_of_url(exchange, url)).collect();
    if !keys.is_empty() {
        edge.store.purge(&Target::Keys(keys), Purge::Hard, edge.clock.now());
    }
    // Groups of the same origin, which is taken to be the site (RFC 9875 §3).
    for tag in invalidation::invalidated_groups(&exchange.parts.method, response.status(), response.headers()) {
        edge.store.purge(&Target::Tag { site: Some(exchange.site.index), tag }, Purge::Soft, edge.clock.now());
    }
}

/// Every key that a URL of the exchange's site may be stored under.
fn keys_of_url(exchange: &Exchange, url: &str) -> Vec<Vec<u8>> {
    super::keys_of_url(&exchange.site, url, Some(&exchange.decision.query))
}

/// The keys of a URL by one rule for its query.
pub(super) fn keys_by_rule(uri: &Uri, rule: &QueryRule, variants: &[Arc<str>]) -> Vec<Vec<u8>> {
    let scheme = uri.scheme_str().unwrap_or("http");
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    let query = key::canonical_query(uri.query(), rule);
    let write = |variant: Option<&str>| {
        let mut written = Vec::new();
        key::write_key(&mut written, scheme, &host, uri.path(), query.as_deref(), variant);
        written
    };
    std::iter::once(None).chain(variants.iter().map(|variant| Some(&**variant))).map(write).collect()
}
