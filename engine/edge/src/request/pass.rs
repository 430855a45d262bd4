//! A request that the cache has no part in: to the next hop and back (RFC 9110 §7.6), and what it
//! makes invalid (RFC 9111 §4.4).

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT, HeaderName, TRAILER, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;

use super::body::EdgeBody;
use super::content::RequestContent;
use super::exchange::Exchange;
use super::failure::{ErrorChain, Failure};
use super::next_hop_request;
use super::silence::SilenceLimit;
use super::upload::{self, Upload};
use super::url_keys::keys_of_url;
use super::visit::Visit;
use crate::origin::{self, ContentSource, OriginResponse, RequestBody, RequestCopy};
use crate::store::{PurgeMode, PurgeProgress, PurgeScope, PurgeWatch};
use tero_semantics::cache_status::Forward;
use tero_semantics::request_fields::{RequestFieldKind, kind_of};
use tero_semantics::trailers::announced_trailers;
use tero_semantics::{forwarding, invalidation, storability, validation};

/// What the next hop answered to a request that the cache has no part in.
#[derive(Debug)]
pub(super) struct PassedResponse {
    /// The answer, as it came.
    pub answer: OriginResponse,
    /// The purges since this request's own; `None` where another one may have meant the answer on
    /// its way, and for other methods than POST.
    purges: Option<PurgeWatch>,
}

/// What a request has made invalid.
#[derive(Default)]
struct Invalidation {
    /// The number of the purge of its URLs.
    by_key: Option<u64>,
    /// The purges of its groups.
    groups: Vec<PurgeProgress>,
}

impl PassedResponse {
    /// Whether the answer may be one for later GETs (RFC 9110 §9.3.3), which
    /// `semantics::storability` decides: then, the purges that count.
    pub(super) fn may_stand_for_get(&mut self, exchange: &Exchange) -> Option<PurgeWatch> {
        // An override makes another method of it, and the answer may be that of a DELETE.
        let is_overridden = || {
            let mut names = exchange.parts.headers.keys();
            names.any(|name| kind_of(name.as_str()) == RequestFieldKind::MethodOverride)
        };
        let is_post = exchange.parts.method == Method::POST
            && !exchange.is_apart
            && self.answer.response.status() == StatusCode::OK
            && !is_overridden();
        let url = exchange.url().filter(|_| is_post)?;
        let purges = self.purges.take();
        purges.filter(|_| storability::names_target(&url, self.answer.response.headers()))
    }
}

/// Sends the request on, for this reason, and brings its answer, without our own fields.
pub(super) async fn pass(
    visit: Visit<'_>,
    content: Option<RequestContent>,
    why: Forward,
) -> Result<Response<EdgeBody>, Failure> {
    ask(visit, content, why)
        .await
        .map(|passed| streamed(visit, passed.answer))
}

/// Sends the request on, and drops the responses that it has made invalid.
pub(super) async fn ask(
    visit: Visit<'_>,
    content: Option<RequestContent>,
    why: Forward,
) -> Result<PassedResponse, Failure> {
    let exchange = visit.exchange;
    let has_content = content
        .as_ref()
        .is_some_and(|content| !content.is_end_stream());
    let Upload {
        body,
        source,
        whole,
        leave,
    } = upload::content(visit, content).await?;
    let is_post = exchange.parts.method == Method::POST;
    let purges = is_post.then(|| visit.watch_purges());
    let mut request = next_hop_request::as_sent(visit, body, why);
    if !request.body().is_end_stream() && request.body().size_hint().exact().is_none() {
        // Unless it is told, hyper leaves out the content of a GET whose length is not known.
        let headers = request.headers_mut();
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        let may_go = |name: &HeaderName| upload::may_be_trailer(exchange, name);
        if let Some(announced) = announced_trailers(&exchange.parts.headers, may_go) {
            headers.insert(TRAILER, announced);
        }
    }
    if has_content && request.body().is_end_stream() {
        // The client's chunks held nothing.
        request
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    if let Some(leave) = leave {
        let headers = request.headers_mut();
        headers.insert(EXPECT, HeaderValue::from_static("100-continue"));
        request.extensions_mut().insert(leave);
    }
    let repeatable = whole.filter(|_| exchange.parts.method.is_idempotent());
    let answer = send(visit, request, source, repeatable).await?;
    let Invalidation { by_key, groups } = invalidate(visit, &answer.response);
    let purges = purges.filter(|purges| purges.begin_anew(by_key, groups.len() as u64));
    if !groups.is_empty() {
        purge_groups(visit, groups).await;
    }
    Ok(PassedResponse { answer, purges })
}

/// Sends a request to the next hop, and its interim responses to the client. It may be sent again
/// where its content is `repeatable`.
pub(super) async fn send(
    visit: Visit<'_>,
    mut request: Request<RequestBody>,
    source: ContentSource,
    repeatable: Option<Bytes>,
) -> Result<OriginResponse, Failure> {
    let Visit { edge, exchange } = visit;
    let site = &exchange.site;
    next_hop_request::pass_interim_on(visit, &mut request);
    let spare = repeatable.map(|content| origin::with_body(&request, content));
    let mut again = || {
        let spare = spare.as_ref()?;
        let content = origin::whole(spare.body().clone());
        Some(origin::with_body(spare, content))
    };
    let parts = &exchange.parts;
    let may_be_not_modified = validation::may_be_not_modified(&parts.method, request.headers());
    let asked_at = edge.clock.now();
    let again: Option<&mut RequestCopy<'_>> = match &spare {
        Some(_) => Some(&mut again),
        None => None,
    };
    let answer = exchange.fetch(request, source, again).await;
    exchange.count_origin(&answer, edge.clock.now().since(asked_at));
    let status = answer.as_ref().ok().map(|answer| answer.response.status());
    if status == Some(StatusCode::NOT_MODIFIED) && !may_be_not_modified {
        return Err(Failure::unasked_not_modified());
    }
    let mut answer = answer;
    if let Ok(answer) = &mut answer {
        exchange.apply_cache_control(&mut answer.response, edge.clock.now());
    }
    answer.map_err(|error| {
        let limits = &site.counters.repeats;
        if let Some(left_out) = limits.due("pass failed", error.as_str(), edge.clock.now()) {
            tracing::warn!(site = %site.settings.name, method = %exchange.parts.method, path = exchange.parts.uri.path(), request_id = %exchange.request_id(), error = %ErrorChain(&error), left_out, "pass failed");
        }
        Failure::of(&error)
    })
}

/// An answer that goes to its client as it comes.
pub(super) fn streamed(visit: Visit<'_>, answer: OriginResponse) -> Response<EdgeBody> {
    let (mut parts, body) = answer.response.into_parts();
    forwarding::strip_response_hop_by_hop(&mut parts.headers);
    // RFC 9110 §6.6.1; without it, the answer to a HEAD would leave what it freshens as old as it
    // was.
    forwarding::ensure_date(&mut parts.headers, visit.edge.clock.wall());
    let body = EdgeBody::stream(
        body,
        answer.permit,
        silence(visit),
        Arc::clone(visit.exchange),
    );
    Response::from_parts(parts, body)
}

fn silence(visit: Visit<'_>) -> SilenceLimit {
    SilenceLimit::new(visit.edge.clock.clone(), visit.body_timeout())
}

/// Drops the responses that an unsafe request has made invalid, its groups included, before it
/// returns.
pub(super) fn invalidate_at_once<B>(visit: Visit<'_>, response: &Response<B>) {
    for mut purging in invalidate(visit, response).groups {
        while visit.edge.store.purge_share(&mut purging).is_some() {}
    }
}

/// Drops the responses that an unsafe request has made invalid (§4.4), in every variant. Of the
/// groups that it has made invalid, the purges begin and are returned.
fn invalidate<B>(visit: Visit<'_>, response: &Response<B>) -> Invalidation {
    let Visit { edge, exchange } = visit;
    let Some(target) = exchange.url() else {
        return Invalidation::default();
    };
    let (method, status, now) = (&exchange.parts.method, response.status(), edge.clock.now());
    // A soft purge would leave windows of staleness open, and an invalid response must not be used
    // before it is validated (§4.4).
    let begin = |target| edge.store.begin_purge(target, PurgeMode::Hard, now);
    let urls = invalidation::invalidated(method, status, &target, response.headers());
    let keys: Vec<_> = urls
        .iter()
        .flat_map(|url| keys_of_url(edge, &exchange.site, url, Some(exchange.query_rule())))
        .collect();
    let by_key = (!keys.is_empty()).then(|| {
        let mut purging = begin(PurgeScope::Keys(keys));
        while edge.store.purge_share(&mut purging).is_some() {}
        purging.number()
    });
    // Groups of the same origin, which is taken to be the site (RFC 9875 §3).
    let site = Some(exchange.site.index);
    let groups = invalidation::invalidated_groups(method, status, response.headers());
    let groups = groups
        .into_iter()
        .map(|tag| begin(PurgeScope::Tag { site, tag }))
        .collect();
    Invalidation { by_key, groups }
}

/// Drops groups, which may be large: in a task, since it has to be done even if the client leaves,
/// and others have their turn after each share of it. One such task goes on at a time.
async fn purge_groups(visit: Visit<'_>, groups: Vec<PurgeProgress>) {
    let edge = Arc::clone(visit.edge);
    let purge = async move {
        let _turn = edge.purging_groups.lock().await;
        for mut purging in groups {
            while edge.store.purge_share(&mut purging).is_some() {
                tokio::task::yield_now().await;
            }
        }
    };
    if let Err(error) = tokio::spawn(purge).await {
        tracing::error!(site = %visit.settings().name, %error, "groups were not invalidated");
    }
}
