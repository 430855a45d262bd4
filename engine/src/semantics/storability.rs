//! Whether a response may be stored, and which of its fields (RFC 9111 §3).

use http::header::{
    AGE, AUTHORIZATION, CONTENT_LENGTH, CONTENT_LOCATION, ETAG, EXPIRES, HeaderMap, HeaderName, LAST_MODIFIED, SET_COOKIE,
};
use http::{Method, StatusCode, Uri};

use super::cache_control::{RequestDirectives, ResponseDirectives};
use super::decision::{ResponseDecision, Storing};
use super::forwarding::strip_hop_by_hop;
use super::freshness::is_heuristically_cacheable;
use super::invalidation::same_resource;
use super::vary::Vary;

/// Parts of the safety floor that a site lets its policies lift.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FloorExceptions {
    /// `"set-cookie"`: a response with `Set-Cookie` may be stored, without that field.
    pub set_cookie: bool,
    /// `"authorization"`: the answer to a request with `Authorization` may be stored.
    pub authorization: bool,
    /// `"private"`: a response marked `private` may be stored.
    pub private: bool,
    /// `"no-store"`: a response marked `no-store` may be stored.
    pub no_store: bool,
}

/// A request and the head of its response, as far as storing depends on them.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// The request's absolute URL. Only storing the answer to a POST depends on it.
    pub target: &'a Uri,
    /// The request's fields.
    pub request_headers: &'a HeaderMap,
    /// The request's directives.
    pub request: &'a RequestDirectives,
    /// The response's status.
    pub status: StatusCode,
    /// The response's fields, as they came.
    pub response_headers: &'a HeaderMap,
    /// The response's directives that govern.
    pub directives: &'a ResponseDirectives,
    /// What the policies decided about the response.
    pub decision: &'a ResponseDecision,
}

/// Whether to store a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storability {
    /// It may be stored.
    Yes,
    /// It may not.
    No(Refusal),
}

/// Why a response is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request's method: neither GET, nor a POST whose answer stands for a later GET.
    Method,
    /// An interim response, or one that only answers a condition or a range of its request.
    Status,
    /// A part of a response: never stored as a whole one.
    Partial,
    /// A policy said "never".
    Policy,
    /// The request said `no-store`.
    RequestNoStore,
    /// The response said `no-store`.
    NoStore,
    /// The response said `private`.
    Private,
    /// The request had `Authorization`, and the response does not allow for it.
    Authorization,
    /// The response sets a cookie.
    SetCookie,
    /// The response said `must-understand`, and its status is unknown to us.
    NotUnderstood,
    /// `Vary: *`: it could never be selected.
    VaryAll,
    /// Nothing gives it a lifetime, and nothing to validate it by.
    NoLifetime,
}

impl Refusal {
    /// The name in logs and in the `detail` of `Cache-Status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::Method => "method",
            Refusal::Status => "status",
            Refusal::Partial => "partial",
            Refusal::Policy => "policy",
            Refusal::RequestNoStore => "request-no-store",
            Refusal::NoStore => "no-store",
            Refusal::Private => "private",
            Refusal::Authorization => "authorization",
            Refusal::SetCookie => "set-cookie",
            Refusal::NotUnderstood => "not-understood",
            Refusal::VaryAll => "vary-all",
            Refusal::NoLifetime => "no-lifetime",
        }
    }
}

impl Refusal {
    /// Whether another request for the same key could get a response that may be stored.
    pub fn is_of_request(self) -> bool {
        matches!(self, Refusal::Method | Refusal::RequestNoStore | Refusal::Authorization)
    }
}

/// Whether a shared cache may store this response, and if not, why (§3).
///
/// `floor` says which parts of the safety floor a policy's `always` lifts; without that word it lifts none.
pub fn storability(exchange: &Exchange<'_>, floor: FloorExceptions) -> Storability {
    match refusal(exchange, floor) {
        Some(refusal) => Storability::No(refusal),
        None => Storability::Yes,
    }
}

fn refusal(exchange: &Exchange<'_>, floor: FloorExceptions) -> Option<Refusal> {
    let Exchange { directives, decision, .. } = *exchange;
    let lifted = if decision.storing == Storing::Always { floor } else { FloorExceptions::default() };
    let rules = [
        (!method_allows(exchange), Refusal::Method),
        (exchange.status == StatusCode::PARTIAL_CONTENT, Refusal::Partial),
        (!is_whole_answer(exchange.status), Refusal::Status),
        (decision.storing == Storing::Never, Refusal::Policy),
        // §5.2.1.5
        (exchange.request.no_store, Refusal::RequestNoStore),
        // §5.2.2.3: who understands the status ignores `no-store` beside `must-understand`.
        (directives.must_understand && !is_understood(exchange.status), Refusal::NotUnderstood),
        (directives.no_store && !directives.must_understand && !lifted.no_store, Refusal::NoStore),
        // §5.2.2.7: without field names; with them, the rest of the response is stored.
        (directives.private.is_all() && !lifted.private, Refusal::Private),
        (is_unshared_authorization(exchange) && !lifted.authorization, Refusal::Authorization),
        // No rule of the RFC (§7.3 only warns), but the floor: a cookie is for one visitor.
        (sets_cookie(exchange) && !lifted.set_cookie, Refusal::SetCookie),
        // §4.1: it would never be selected.
        (Vary::of(exchange.response_headers) == Vary::Everything, Refusal::VaryAll),
        (!has_lifetime(exchange), Refusal::NoLifetime),
    ];
    rules.into_iter().find_map(|(refused, refusal)| refused.then_some(refusal))
}

/// §3: the method must be understood. A HEAD's answer has no body to store; a POST's answer stands for a later GET if it says so and
/// has an explicit lifetime (RFC 9110 §9.3.3).
fn method_allows(exchange: &Exchange<'_>) -> bool {
    match *exchange.method {
        Method::GET => true,
        Method::POST => {
            let names_itself = || same_resource(exchange.target, exchange.response_headers.get(CONTENT_LOCATION));
            exchange.status.is_success() && has_explicit_lifetime(exchange) && names_itself()
        }
        _ => false,
    }
}

/// §3: the status must be final. A 304 freshens what is stored but is nothing itself; 412, 416 and 417 answer a condition, a range or
/// an expectation of their own request, and would mean nothing to another.
fn is_whole_answer(status: StatusCode) -> bool {
    status.as_u16() >= 200
        && !matches!(
            status,
            StatusCode::NOT_MODIFIED
                | StatusCode::PRECONDITION_FAILED
                | StatusCode::RANGE_NOT_SATISFIABLE
                | StatusCode::EXPECTATION_FAILED
        )
}

/// Statuses whose meaning for a cache we know: those of RFC 9110 §15 and RFC 6585.
fn is_understood(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200..=206 | 300..=305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 428 | 429 | 431 | 500..=505 | 511)
}

/// §3.5
fn is_unshared_authorization(exchange: &Exchange<'_>) -> bool {
    exchange.request_headers.contains_key(AUTHORIZATION) && !exchange.directives.allows_authorized()
}

/// Where the response itself keeps `Set-Cookie` out of what is stored (`no-cache="set-cookie"`, `private="set-cookie"`), the rest may be.
fn sets_cookie(exchange: &Exchange<'_>) -> bool {
    exchange.response_headers.contains_key(SET_COOKIE) && !left_out(exchange.directives).any(|name| *name == SET_COOKIE)
}

/// §3: explicit freshness of any kind, a status that is heuristically cacheable, or `public`. A policy's TTL counts as a lifetime where
/// the status alone would do, and `always` does so anywhere. What has none of them, and no validator to be revalidated by, is of no use.
fn has_lifetime(exchange: &Exchange<'_>) -> bool {
    let Exchange { response_headers: headers, decision, .. } = *exchange;
    let by_status = is_heuristically_cacheable(exchange.status) || exchange.directives.public;
    let is_useful = decision.ttl.is_some() || headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED);
    has_explicit_lifetime(exchange) || (is_useful && (by_status || decision.storing == Storing::Always))
}

fn has_explicit_lifetime(exchange: &Exchange<'_>) -> bool {
    let directives = exchange.directives;
    let expires = directives.targeted.is_none() && exchange.response_headers.contains_key(EXPIRES);
    directives.s_maxage.is_some() || directives.max_age.is_some() || expires
}

fn left_out(directives: &ResponseDirectives) -> impl Iterator<Item = &HeaderName> {
    directives.no_cache.fields().iter().chain(directives.private.fields())
}

/// What is stored of a response's fields (§3.1): not the hop-by-hop ones, not those that `no-cache` or `private` names, and never
/// `Set-Cookie`. `Age` is left out because it is reckoned anew for each use, `Content-Length` because the stored body has a length of
/// its own, which the deliverer tells.
pub fn stored_headers(response_headers: &HeaderMap, directives: &ResponseDirectives, _floor: FloorExceptions) -> HeaderMap {
    let mut stored = response_headers.clone();
    strip_hop_by_hop(&mut stored);
    for name in [&AGE, &CONTENT_LENGTH, &SET_COOKIE].into_iter().chain(left_out(directives)) {
        stored.remove(name);
    }
    stored
}
