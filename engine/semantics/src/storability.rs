//! Whether a response may be stored, and which of its fields (RFC 9111 §3).

use http::header::{
    AGE, AUTHORIZATION, CONTENT_LENGTH, CONTENT_LOCATION, COOKIE, ETAG, EXPIRES, HeaderMap,
    HeaderName, HeaderValue, LAST_MODIFIED, SET_COOKIE,
};
use http::{Method, StatusCode, Uri};

use super::cache_control::{RequestDirectives, ResponseDirectives};
use super::client_cert::CLIENT_CERT;
use super::decision::{ResponseDecision, StoringDecision};
use super::default_ttl::DefaultTtl;
use super::forwarding::end_to_end;
use super::freshness::{header_lifetime, is_heuristically_cacheable};
use super::invalidation::same_resource;
use super::operator_floor::FloorRuling;
use super::range::Partial;
use super::surrogate_keys::{KEY_FIELDS, has_surrogate_keys, surrogate_keys};
use super::tier::{TERO_TIER, TierRefusal, TierResponse};
use super::timestamp::Timestamp;
use super::validation::is_about_request;
use super::vary::Vary;

/// Parts of the safety floor that a site allows its policies to lift. The `Default` lifts nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FloorExceptions {
    /// `"set-cookie"`: a response with `Set-Cookie` may be stored, without that field.
    pub set_cookie: bool,
    /// `"authorization"`: the response to a request with `Authorization` may be stored.
    pub authorization: bool,
    /// `"private"`: a response with `private` may be stored.
    pub private: bool,
    /// `"no-store"`: a response with `no-store` may be stored.
    pub no_store: bool,
    /// `"no-cache"`: the response to a request with cookies may be stored even if it says that it
    /// is never fresh.
    pub no_cache: bool,
}

/// A request and the head of its response, as far as storing depends on them.
#[derive(Clone, Copy, Debug)]
pub struct StorabilityInput<'a> {
    /// The method of the request.
    pub method: &'a Method,
    /// The absolute URL of the request. It matters for the response to a POST only.
    pub target: &'a Uri,
    /// The fields of the request.
    pub request_headers: &'a HeaderMap,
    /// The directives of the request.
    pub request: &'a RequestDirectives,
    /// The status of the response.
    pub status: StatusCode,
    /// The fields of the response, as they came.
    pub response_headers: &'a HeaderMap,
    /// The directives of the response that govern.
    pub directives: &'a ResponseDirectives,
    /// What the policies decided about the response.
    pub decision: &'a ResponseDecision,
    /// What the site gives a response without an explicit lifetime.
    pub default_ttl: DefaultTtl,
}

/// Whether to store a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storability {
    /// It may be stored.
    Yes,
    /// It may be stored as this part of a response, which answers ranges and can be completed
    /// (§3.3), but never as a whole one.
    Part(Partial),
    /// It may not be stored.
    No(Refusal),
}

impl Storability {
    /// The same under the operator's floor: nothing is stored of a path that never is.
    ///
    /// ```
    /// use tero_semantics::operator_floor::FloorRuling;
    /// use tero_semantics::storability::{Refusal, Storability};
    ///
    /// let never = FloorRuling { never: true, ..FloorRuling::default() };
    /// assert_eq!(Storability::Yes.under(never), Storability::No(Refusal::Never));
    /// assert_eq!(Storability::Yes.under(FloorRuling::default()), Storability::Yes);
    /// ```
    #[must_use]
    pub fn under(self, floor: FloorRuling) -> Storability {
        if floor.never {
            Storability::No(Refusal::Never)
        } else {
            self
        }
    }

    /// The same for a crawler's request, whose response has no worth for others. The last rule, since
    /// all others hold for the next request too.
    #[must_use]
    pub fn to_crawler(self) -> Storability {
        match self {
            Storability::Yes | Storability::Part(_) => Storability::No(Refusal::Crawler),
            refused @ Storability::No(_) => refused,
        }
    }

    /// The same for an answer of a shield, which may have told that it is not to be stored.
    #[must_use]
    pub fn told_by(self, shield: TierResponse) -> Storability {
        match shield.refusal {
            None => self,
            Some(TierRefusal::ForAll) => Storability::No(Refusal::Shield),
            Some(TierRefusal::ForRequest) => Storability::No(Refusal::ShieldToRequest),
        }
    }
}

/// Why a response is not stored.
///
/// ```
/// use tero_semantics::storability::Refusal;
///
/// assert_eq!(Refusal::RequestNoStore.as_str(), "request-no-store");
/// assert!(Refusal::RequestNoStore.is_of_request());
/// assert!(!Refusal::NoStore.is_of_request());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The method of the request is neither GET nor that of a POST whose response stands for a
    /// later GET.
    Method,
    /// The status is interim, or only answers a condition or a range of its request.
    Status,
    /// The status is about the request that was sent, and would mean nothing to another one.
    AboutRequest,
    /// The message holds several parts of a response, or one whose place it does not tell.
    Partial,
    /// A policy said "never".
    Policy,
    /// The operator said "never" for its path.
    Never,
    /// The request has `no-store`.
    RequestNoStore,
    /// The response has `no-store`.
    NoStore,
    /// The response has `private`.
    Private,
    /// The request has `Authorization`, and the response does not permit sharing.
    Authorization,
    /// The request has cookies, and the response says that it is never fresh: it may be for that
    /// visitor alone.
    NoCacheToCookie,
    /// The response sets a cookie.
    SetCookie,
    /// The response has `must-understand`, and its status is not understood here.
    NotUnderstood,
    /// The response has `Vary: *`: it could never be selected.
    VaryAll,
    /// The request has cookies, and only the site's default gives the response a lifetime: it may be
    /// for that visitor alone.
    DefaultTtlToCookie,
    /// The response has more surrogate keys than are kept: a purge could miss it.
    SurrogateKeys,
    /// The response has no lifetime, and no validator to revalidate it by.
    NoLifetime,
    /// The shield that sent it keeps nothing under its key.
    Shield,
    /// The shield that sent it keeps nothing for requests like this one.
    ShieldToRequest,
    /// A policy said that it is not worth a place in the store, for this request.
    NotAdmitted,
    /// A crawler fetched it, and the site keeps nothing for crawlers.
    Crawler,
}

/// What becomes of a response that a crawler fetched, if no policy decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CrawlerAdmission {
    /// It is sent and not stored: crawlers read pages that no visitor comes back to.
    Serve,
    /// It is stored like any other.
    #[default]
    Admit,
}

impl Refusal {
    /// The name in logs and in the `detail` of `Cache-Status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::Method => "method",
            Refusal::Status => "status",
            Refusal::AboutRequest => "about-request",
            Refusal::Partial => "partial",
            Refusal::Policy => "policy",
            Refusal::Never => "never",
            Refusal::RequestNoStore => "request-no-store",
            Refusal::NoStore => "no-store",
            Refusal::Private => "private",
            Refusal::Authorization => "authorization",
            Refusal::NoCacheToCookie => "no-cache-to-cookie",
            Refusal::SetCookie => "set-cookie",
            Refusal::NotUnderstood => "not-understood",
            Refusal::VaryAll => "vary-all",
            Refusal::DefaultTtlToCookie => "default-ttl-to-cookie",
            Refusal::SurrogateKeys => "too-many-surrogate-keys",
            Refusal::NoLifetime => "no-lifetime",
            Refusal::Shield => "shield",
            Refusal::ShieldToRequest => "shield-to-request",
            Refusal::NotAdmitted => "not-admitted",
            Refusal::Crawler => "crawler",
        }
    }

    /// Whether the reason lies in the request, so that another request for the same key could get a
    /// response that may be stored.
    pub fn is_of_request(self) -> bool {
        matches!(
            self,
            Refusal::Method
                | Refusal::AboutRequest
                | Refusal::RequestNoStore
                | Refusal::Authorization
                | Refusal::NoCacheToCookie
                | Refusal::DefaultTtlToCookie
                | Refusal::ShieldToRequest
                | Refusal::NotAdmitted
                | Refusal::Crawler
        )
    }
}

/// Whether a shared cache may store this response, and if not, why (§3).
///
/// `floor` says which parts of the safety floor a policy's "always" lifts; without that decision
/// none is lifted.
///
/// ```
/// use http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderMap, HeaderValue};
/// use http::{Method, StatusCode, Uri};
/// use tero_semantics::cache_control::{RequestDirectives, ResponseDirectives};
/// use tero_semantics::decision::ResponseDecision;
/// use tero_semantics::default_ttl::DefaultTtl;
/// use tero_semantics::storability::{
///     FloorExceptions, Refusal, Storability, StorabilityInput, storability,
/// };
///
/// let credentials = HeaderValue::from_static("Basic dXNlcjpwYXNz");
/// let request = HeaderMap::from_iter([(AUTHORIZATION, credentials)]);
/// let judge = |cache_control| {
///     let cache_control = HeaderValue::from_static(cache_control);
///     let response = HeaderMap::from_iter([(CACHE_CONTROL, cache_control)]);
///     let exchange = StorabilityInput {
///         method: &Method::GET,
///         target: &Uri::from_static("http://example.com/"),
///         request_headers: &request,
///         request: &RequestDirectives::of(&request),
///         status: StatusCode::OK,
///         response_headers: &response,
///         directives: &ResponseDirectives::of(&response),
///         decision: &ResponseDecision::default(),
///         default_ttl: DefaultTtl::None,
///     };
///     storability(&exchange, FloorExceptions::default())
/// };
/// // The response to a request with `Authorization` needs permission to be shared (§3.5).
/// assert_eq!(judge("max-age=60"), Storability::No(Refusal::Authorization));
/// assert_eq!(judge("max-age=60, public"), Storability::Yes);
/// ```
pub fn storability(exchange: &StorabilityInput<'_>, floor: FloorExceptions) -> Storability {
    if let Some(refusal) = refusal(exchange, floor) {
        return Storability::No(refusal);
    }
    if exchange.status != StatusCode::PARTIAL_CONTENT {
        return Storability::Yes;
    }
    match part(exchange.response_headers) {
        Some(part) => Storability::Part(part),
        None => Storability::No(Refusal::Partial),
    }
}

/// The part that a 206 holds; `None` if it does not tell the length of the whole, without which a
/// suffix could not be served.
fn part(response: &HeaderMap) -> Option<Partial> {
    Partial::of(response).filter(|part| part.length.is_some())
}

/// The first rule that forbids storing.
fn refusal(exchange: &StorabilityInput<'_>, floor: FloorExceptions) -> Option<Refusal> {
    let lifted = match exchange.decision.storing {
        StoringDecision::Always => floor,
        StoringDecision::ByHeaders | StoringDecision::Never => FloorExceptions::default(),
    };
    refusal_by_request(exchange)
        .or_else(|| refusal_by_directives(exchange, lifted))
        .or_else(|| refusal_by_fields(exchange, lifted))
}

fn refusal_by_request(exchange: &StorabilityInput<'_>) -> Option<Refusal> {
    first(&[
        (!method_allows(exchange), Refusal::Method),
        (!is_whole_answer(exchange.status), Refusal::Status),
        // A 400 may be stored with a lifetime of its own: it is also what is said of a URL.
        (
            is_about_request(exchange.status) && exchange.status != StatusCode::BAD_REQUEST,
            Refusal::AboutRequest,
        ),
        (
            exchange.decision.storing == StoringDecision::Never,
            Refusal::Policy,
        ),
        // §5.2.1.5
        (exchange.request.no_store, Refusal::RequestNoStore),
    ])
}

fn refusal_by_directives(
    exchange: &StorabilityInput<'_>,
    lifted: FloorExceptions,
) -> Option<Refusal> {
    let directives = exchange.directives;
    first(&[
        // §5.2.2.3: a cache that understands the status ignores `no-store` beside
        // `must-understand`.
        (
            directives.must_understand && !is_understood(exchange.status),
            Refusal::NotUnderstood,
        ),
        (
            directives.no_store && !directives.must_understand && !lifted.no_store,
            Refusal::NoStore,
        ),
        // §5.2.2.7: without field names; with them, the rest of the response is stored.
        (
            directives.private.is_all() && !lifted.private,
            Refusal::Private,
        ),
        (
            is_unshared_authorization(exchange) && !lifted.authorization,
            Refusal::Authorization,
        ),
        // Not a rule of the RFC, which lets such a response be stored and validated before each
        // use, but of the floor: applications mark the pages of logged-in visitors like this, and
        // without it a policy's TTL would share them.
        (
            exchange.request_headers.contains_key(COOKIE)
                && is_never_fresh(exchange)
                && !lifted.no_cache,
            Refusal::NoCacheToCookie,
        ),
    ])
}

fn refusal_by_fields(exchange: &StorabilityInput<'_>, lifted: FloorExceptions) -> Option<Refusal> {
    let headers = exchange.response_headers;
    first(&[
        // Not a rule of the RFC, which only warns (§7.3), but of the floor: a cookie is for one
        // visitor. It holds even if the response itself keeps the field from being stored
        // (`no-cache="set-cookie"`): visitors who wait for this response share it.
        (
            headers.contains_key(SET_COOKIE) && !lifted.set_cookie,
            Refusal::SetCookie,
        ),
        // §4.1: it would never be selected.
        (Vary::of(headers) == Vary::Everything, Refusal::VaryAll),
        (
            has_surrogate_keys(headers) && surrogate_keys(headers).is_err(),
            Refusal::SurrogateKeys,
        ),
        (
            !has_lifetime(exchange) && exchange.default_ttl == DefaultTtl::WithheldFromCookie,
            Refusal::DefaultTtlToCookie,
        ),
        (!has_lifetime(exchange), Refusal::NoLifetime),
        // The last, since the others hold for the next request too.
        (exchange.decision.admit == Some(false), Refusal::NotAdmitted),
    ])
}

/// Whether the response's own fields say that a shared cache must not use it without validation:
/// `no-cache`, or an explicit lifetime of zero (§4.2.1, §5.2.2.4).
fn is_never_fresh(exchange: &StorabilityInput<'_>) -> bool {
    // `Expires` counts from `Date`, which every response has on arrival (RFC 9110 §6.6.1).
    let without_date = Timestamp::from_unix_secs(0);
    let lifetime = header_lifetime(exchange.response_headers, exchange.directives, without_date);
    exchange.directives.no_cache.is_all() || lifetime.is_some_and(|lifetime| lifetime.is_zero())
}

fn first(rules: &[(bool, Refusal)]) -> Option<Refusal> {
    rules
        .iter()
        .find_map(|(refused, refusal)| refused.then_some(*refusal))
}

/// §3: the method must be understood. The response to a HEAD has no body to store. The response to
/// a POST stands for a later GET if it says so and has an explicit lifetime (RFC 9110 §9.3.3).
fn method_allows(exchange: &StorabilityInput<'_>) -> bool {
    match *exchange.method {
        Method::GET => true,
        Method::POST => {
            exchange.status == StatusCode::OK
                && has_explicit_lifetime(exchange)
                && names_target(exchange.target, exchange.response_headers)
        }
        _ => false,
    }
}

/// Whether `Content-Location` names the absolute URL of the request (RFC 9110 §8.7): without it,
/// the response to a POST never stands for later GETs.
///
/// ```
/// use http::Uri;
/// use http::header::{CONTENT_LOCATION, HeaderMap, HeaderValue};
/// use tero_semantics::storability::names_target;
///
/// let target = Uri::from_static("http://example.com/search?q=tero");
/// let response = |location| {
///     HeaderMap::from_iter([(CONTENT_LOCATION, HeaderValue::from_static(location))])
/// };
/// assert!(names_target(&target, &response("/search?q=tero")));
/// assert!(!names_target(&target, &response("/search")));
/// ```
pub fn names_target(target: &Uri, response: &HeaderMap) -> bool {
    same_resource(target, response.get(CONTENT_LOCATION))
}

/// §3: the status must be final. A 304 freshens a stored response but is not one itself. 412, 416
/// and 417 answer a condition, a range or an expectation of their own request, and would mean
/// nothing to another one.
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

/// Statuses whose meaning for a cache is known here: those of RFC 9110 §15 and RFC 6585.
fn is_understood(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200..=206 | 300..=305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 428 | 429 | 431 | 500..=505 | 511)
}

/// §3.5, also for a client that is known by its certificate: the answer may be for it alone.
fn is_unshared_authorization(exchange: &StorabilityInput<'_>) -> bool {
    let headers = exchange.request_headers;
    let names_client = headers.contains_key(AUTHORIZATION) || headers.contains_key(&CLIENT_CERT);
    names_client && !exchange.directives.allows_authorized()
}

/// §3: explicit freshness of any kind, a status that is heuristically cacheable, or `public`. A
/// policy's TTL counts as a lifetime if the status alone would do, or with "always"; the site's
/// default counts, since the operator names the status, unless `no-cache` makes it void; so does the
/// lifetime that a policy gives errors. A response without lifetime and without validator is of no
/// use.
fn has_lifetime(exchange: &StorabilityInput<'_>) -> bool {
    let (headers, decision) = (exchange.response_headers, exchange.decision);
    let by_status = is_heuristically_cacheable(exchange.status) || exchange.directives.public;
    let is_useful = decision.ttl_of(exchange.status).is_some()
        || headers.contains_key(ETAG)
        || headers.contains_key(LAST_MODIFIED);
    let has_default =
        exchange.default_ttl.given().is_some() && !exchange.directives.no_cache.is_all();
    has_explicit_lifetime(exchange)
        || has_default
        || decision.ttl_of_error(exchange.status).is_some()
        || (is_useful && (by_status || decision.storing == StoringDecision::Always))
}

fn has_explicit_lifetime(exchange: &StorabilityInput<'_>) -> bool {
    let directives = exchange.directives;
    let expires = directives.targeted.is_none() && exchange.response_headers.contains_key(EXPIRES);
    directives.s_maxage.is_some() || directives.max_age.is_some() || expires
}

/// The fields of a response to store (§3.1), but for those with surrogate keys: all except hop-by-hop ones, those that `no-cache` or
/// `private` names, and `Set-Cookie`. `Age` is left out because it is computed anew for each use,
/// `Content-Length` because the stored body has its own length, which the cache sends, `Tero-Tier`
/// because it is about one answer of a shield.
///
/// ```
/// use http::header::{AGE, CONTENT_TYPE, HeaderMap, HeaderValue, SET_COOKIE};
/// use tero_semantics::cache_control::ResponseDirectives;
/// use tero_semantics::storability::stored_fields;
///
/// let response = HeaderMap::from_iter([
///     (AGE, HeaderValue::from_static("20")),
///     (CONTENT_TYPE, HeaderValue::from_static("text/html")),
///     (SET_COOKIE, HeaderValue::from_static("visitor=7")),
/// ]);
/// let directives = ResponseDirectives::of(&response);
/// let stored: Vec<_> = stored_fields(&response, &directives).collect();
/// assert_eq!(stored, [(&CONTENT_TYPE, &response[CONTENT_TYPE])]);
/// ```
pub fn stored_fields<'h>(
    response_headers: &'h HeaderMap,
    directives: &ResponseDirectives,
) -> impl Iterator<Item = (&'h HeaderName, &'h HeaderValue)> {
    end_to_end(response_headers).filter(|(name, _)| {
        let is_written_anew = **name == AGE || **name == CONTENT_LENGTH;
        !is_written_anew
            && **name != SET_COOKIE
            && **name != TERO_TIER
            && !KEY_FIELDS.contains(name)
            && !left_out(directives).any(|left_out| left_out == *name)
    })
}

/// The fields that `no-cache` (§5.2.2.4) and `private` (§5.2.2.7) name.
fn left_out(directives: &ResponseDirectives) -> impl Iterator<Item = &HeaderName> {
    directives
        .no_cache
        .fields()
        .iter()
        .chain(directives.private.fields())
}

#[cfg(test)]
mod tests;
