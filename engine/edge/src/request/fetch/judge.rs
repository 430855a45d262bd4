//! A response of the next hop, judged: what policies decide about it, how long it is fresh, whether
//! it may be stored, and the head that is stored of it.

use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, Method, StatusCode};

use crate::request::coding::{self, CodableHead};
use crate::request::exchange::{Exchange, joined_reasons};
use crate::request::visit::Visit;
use crate::store::fields::StoredFields;
use crate::store::stored::{BrowserLifetime, StoredHead, StoredResponse};
use tero_policy_host::PolicyResponse;
use tero_semantics::cache_control::ResponseDirectives;
use tero_semantics::content_coding::is_coded;
use tero_semantics::decision::ResponseDecision;
use tero_semantics::default_ttl::DefaultTtl;
use tero_semantics::freshness::{
    Freshness, FreshnessInput, LifetimeSource, SiteDefaults, browser_lifetime, header_lifetime,
};
use tero_semantics::invalidation;
use tero_semantics::storability::{
    FloorExceptions, Refusal, Storability, StorabilityInput, storability, stored_fields,
};
use tero_semantics::surrogate_keys::surrogate_keys;
use tero_semantics::tier::TierResponse;
use tero_semantics::timestamp::Timestamp;
use tero_semantics::vary::SecondaryKey;

/// The head of a response, as it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReceivedHead<'h> {
    pub(super) status: StatusCode,
    pub(super) headers: &'h HeaderMap,
    /// The length of the content, where it is known.
    pub(super) length: Option<u64>,
    /// When it was asked for.
    pub(super) asked_at: Timestamp,
}

/// What decides over the storing and the reuse of a response.
pub(super) struct ResponseTerms {
    directives: ResponseDirectives,
    decision: ResponseDecision,
    pub(super) freshness: Freshness,
    pub(super) storability: Storability,
}

impl ResponseTerms {
    /// Changes the fields of the response as policies decided about it. None of these decides over
    /// caching, so it is judged before.
    pub(super) fn edit(&self, headers: &mut HeaderMap) {
        self.decision.fields.apply(headers);
    }
}

/// What a response is judged by.
#[derive(Clone, Copy, Debug)]
pub(in crate::request) struct TermsInput<'r> {
    pub status: StatusCode,
    pub headers: &'r HeaderMap,
    pub directives: &'r ResponseDirectives,
    /// What the policies decided about it.
    pub decision: &'r ResponseDecision,
    /// The parts of the safety floor that a policy may lift here.
    pub floor: FloorExceptions,
    /// When it was asked for, by the time that never goes back.
    pub request_time: Timestamp,
    /// When it was received.
    pub response_time: Timestamp,
}

/// Asks the policies about a response, and judges it.
pub(super) fn judge(visit: Visit<'_>, received: &ReceivedHead<'_>) -> ResponseTerms {
    let (exchange, settings, now) = (visit.exchange, visit.settings(), visit.now());
    let directives = ResponseDirectives::governing(received.headers, &settings.targeted_fields);
    let wall = visit.edge.clock.wall_of(now);
    let decision = decide(visit, received, &directives, wall);
    let input = TermsInput {
        status: received.status,
        headers: received.headers,
        directives: &directives,
        decision: &decision,
        floor: settings.policy_may_override,
        request_time: received.asked_at,
        response_time: now,
    };
    let (freshness, storability) = terms(exchange, &input);
    ResponseTerms {
        directives,
        decision,
        freshness,
        storability,
    }
}

/// What the policies decide about a response.
fn decide(
    visit: Visit<'_>,
    received: &ReceivedHead<'_>,
    directives: &ResponseDirectives,
    now: Timestamp,
) -> ResponseDecision {
    let Visit { edge, exchange } = visit;
    let site = visit.site();
    if site.policies.is_empty() {
        return ResponseDecision::default();
    }
    let answered = PolicyResponse {
        status: received.status,
        headers: received.headers,
        length: received.length,
        header_ttl: header_lifetime(received.headers, directives, now),
        header_browser_ttl: browser_lifetime(received.headers, directives, now),
        key: &exchange.key,
    };
    let decision = exchange
        .policies()
        .on_response(&exchange.ask(), &answered, now);
    if site.is_on_trial() {
        edge.shadows
            .offer_response(exchange, &answered, &decision, now);
    }
    decision
}

/// How long a response is fresh, and whether it may be stored, by its own fields and what the
/// policies decided.
pub(in crate::request) fn terms(
    exchange: &Exchange,
    input: &TermsInput<'_>,
) -> (Freshness, Storability) {
    let settings = &exchange.site.settings;
    let default_ttl = default_ttl(exchange, input.status, input.headers);
    // The fields of the response tell times of the system's clock.
    let clock = &exchange.site.clock;
    let wall = clock.wall_of(input.response_time);
    let shield = TierResponse::of(input.headers);
    let freshness = FreshnessInput {
        status: input.status,
        response_headers: input.headers,
        directives: input.directives,
        decision: input.decision,
        defaults: SiteDefaults {
            ttl: default_ttl.given(),
            stale_if_error: settings.stale_if_error,
            stale_while_revalidate: settings.stale_while_revalidate,
        },
        request_time: clock.wall_of(input.request_time),
        response_time: wall,
    };
    let freshness = match shield.stale {
        None => Freshness::of(&freshness),
        Some(stale) => Freshness::of_stale(&freshness, stale),
    };
    let freshness = freshness.moved(wall, input.response_time);
    let freshness = match exchange.floor.at_most {
        Some(bound) => freshness.bounded(bound),
        None => freshness,
    };
    // A fetch for a HEAD is a GET. Only the answer to a POST has to name its target, which then is
    // absolute.
    let is_post = exchange.parts.method == Method::POST;
    let target = if is_post { exchange.url() } else { None };
    let storability = storability(
        &StorabilityInput {
            method: if is_post { &Method::POST } else { &Method::GET },
            target: target.as_ref().unwrap_or(&exchange.parts.uri),
            request_headers: &exchange.parts.headers,
            request: &exchange.directives,
            status: input.status,
            response_headers: input.headers,
            directives: input.directives,
            decision: input.decision,
            default_ttl,
        },
        input.floor,
    );
    let storability = storability.told_by(shield).under(exchange.floor);
    if input.decision.admit.is_none() && exchange.is_of_unkept_crawler() {
        (freshness, storability.to_crawler())
    } else {
        (freshness, storability)
    }
}

/// What the site gives a response without an explicit lifetime.
fn default_ttl(exchange: &Exchange, status: StatusCode, headers: &HeaderMap) -> DefaultTtl {
    let settings = &exchange.site.settings;
    let of_route = exchange.route().map(|route| &route.settings.default_ttl);
    let of_route = of_route.and_then(|table| table.of(status, headers));
    match of_route.or_else(|| settings.default_ttl.of(status, headers)) {
        None => DefaultTtl::None,
        Some(_) if exchange.fields.cookie && !settings.default_ttl_with_cookies => {
            DefaultTtl::WithheldFromCookie
        }
        Some(ttl) => DefaultTtl::Given(ttl),
    }
}

/// The head that is stored of a response.
pub(super) fn stored_head(
    visit: Visit<'_>,
    status: StatusCode,
    headers: &HeaderMap,
    terms: &ResponseTerms,
) -> StoredHead {
    let exchange = visit.exchange;
    let mut tags = terms.decision.tags.clone();
    tags.extend(
        invalidation::cache_groups(headers)
            .into_iter()
            .map(String::into_boxed_str),
    );
    // One with too many is not stored.
    let own_tags = surrogate_keys(headers).unwrap_or_default();
    tags.sort();
    tags.dedup();
    tags.retain(|tag| own_tags.binary_search(tag).is_err());
    let detail = joined_reasons(
        exchange.decision.reason.as_deref(),
        terms.decision.reason.as_deref(),
    );
    let bound = match terms.freshness.source() {
        LifetimeSource::AtMost => exchange.bound_reason(),
        _ => None,
    };
    let detail = joined_reasons(detail.as_deref(), bound);
    let stored = stored_fields(headers, &terms.directives);
    let codable = CodableHead {
        status,
        headers,
        length: content_length(headers),
    };
    StoredHead {
        status,
        fields: StoredFields::with_own_tags(
            stored,
            detail.as_deref(),
            tags.iter().map(|tag| &**tag),
            own_tags.iter().map(|tag| &**tag),
        ),
        freshness: terms.freshness,
        secondary_key: secondary_key(visit, headers),
        browser_lifetime: browser_lifetime_of(&terms.decision),
        site: u32::try_from(exchange.site.index).expect("sites are counted in thousands"),
        warm_run: exchange.requester.run(),
        may_be_coded: coding::may_be_coded(visit, &codable, &terms.directives),
    }
}

/// How long browsers may keep a response about which this was decided.
fn browser_lifetime_of(decision: &ResponseDecision) -> BrowserLifetime {
    match (decision.browser_ttl, decision.expiry) {
        (Some(ttl), _) => BrowserLifetime::Secs(u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX)),
        (None, Some(_)) => BrowserLifetime::AtMostOurs,
        (None, None) => BrowserLifetime::AsSent,
    }
}

/// The request fields that select a response (§4.1): by its own `Vary`, or else by that of the
/// responses that are stored under the same key.
fn secondary_key(visit: Visit<'_>, response: &HeaderMap) -> SecondaryKey {
    let Visit { edge, exchange } = visit;
    let request = &exchange.parts.headers;
    let mut key = SecondaryKey::of(response, request);
    // The next hop has seen no codings of the client's, so the answer is for all.
    if coding::asks_for_identity(visit) && !is_coded(response) {
        key = key.without(&ACCEPT_ENCODING);
    }
    // Nor what policies have put in the place of a field, which the key of the response has.
    if let Some(extended) = exchange.extended() {
        let edits = &extended.origin.fields;
        let set = edits.set.iter().map(|(name, _)| name);
        key = set.chain(&edits.remove).fold(key, SecondaryKey::without);
    }
    if key.is_by_vary() {
        return key;
    }
    key.beside(edge.store.vary_fields(&exchange.key), request)
}

/// The head of a stored response with the fields that a 304 or the answer to a HEAD gives it, and
/// whether it may still be stored (§4.3.4).
pub(in crate::request) fn merged_head(
    visit: Visit<'_>,
    stored: &StoredResponse,
    merged: &HeaderMap,
    asked_at: Timestamp,
) -> (StoredHead, Storability) {
    let received = ReceivedHead {
        status: stored.head.status,
        headers: merged,
        length: Some(stored.body.len()),
        asked_at,
    };
    let terms = judge(visit, &received);
    let mut merged = merged.clone();
    terms.edit(&mut merged);
    let mut head = stored_head(visit, stored.head.status, &merged, &terms);
    head.may_be_coded &= coding::fits(visit, stored);
    // It has its place in the store.
    let storability = match terms.storability {
        Storability::No(Refusal::NotAdmitted | Refusal::Crawler) => Storability::Yes,
        storability => storability,
    };
    (head, storability)
}

/// `Content-Length` as a number.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
