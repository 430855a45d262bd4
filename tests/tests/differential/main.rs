//! Compares decisions of `tero_semantics` with those of the crate `http-cache-semantics` over
//! generated exchanges.
//!
//! The other crate is not an oracle: it follows RFC 7234 and leaves things out. A difference must
//! belong to one of the classes of [`classes`], each decided by the RFC; otherwise the test fails.

mod classes;
mod generate;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_cache_semantics::{AfterResponse, BeforeRequest, CacheOptions, CachePolicy};
use tero_semantics::cache_control::{RequestDirectives, ResponseDirectives};
use tero_semantics::decision::ResponseDecision;
use tero_semantics::default_ttl::DefaultTtl;
use tero_semantics::freshness::{Freshness, FreshnessInput, SiteDefaults};
use tero_semantics::reuse::{ClientDirectives, Reuse, reuse};
use tero_semantics::storability::{
    FloorExceptions, Storability, StorabilityInput as Weighed, storability,
};
use tero_semantics::timestamp::Timestamp;
use tero_semantics::validation;
use tero_semantics::vary::Vary;

use classes::{Difference, FRESHENING, Freshening, REUSE};
use generate::{Dice, Exchange, NOON_SECS, exchange, validators};

/// How many exchanges are compared.
const EXCHANGES: u64 = 30_000;

/// What one side does with the second request: the `Age` of the stored response that it serves, or
/// `None` if it serves none.
type Served = Option<u64>;

fn at(secs: u64) -> Timestamp {
    Timestamp::from_unix_secs((NOON_SECS + secs).cast_signed())
}

fn system_time(secs: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOON_SECS + secs)
}

fn target() -> Uri {
    Uri::from_static("http://a.example/x")
}

fn ours(exchange: &Exchange) -> Served {
    let (status, received) = (exchange.status, &exchange.response);
    let directives = ResponseDirectives::of(received);
    let (said, decision) = (
        RequestDirectives::of(&exchange.first),
        ResponseDecision::default(),
    );
    let weighed = Weighed {
        method: &Method::GET,
        target: &target(),
        request_headers: &exchange.first,
        request: &said,
        status,
        response_headers: received,
        directives: &directives,
        decision: &decision,
        default_ttl: DefaultTtl::None,
    };
    if storability(&weighed, FloorExceptions::default()) != Storability::Yes {
        return None;
    }
    let vary = Vary::of(received);
    if !vary.selects(&vary.nominated(&exchange.first), &exchange.second) {
        return None;
    }
    let freshness = freshness(exchange, received);
    let asked = RequestDirectives::of(&exchange.second);
    let now = at(exchange.delay + exchange.after);
    match reuse(&freshness, &asked, ClientDirectives::Obey, now) {
        Reuse::Fresh | Reuse::StaleWhileRevalidate => Some(freshness.age(now).as_secs()),
        Reuse::Revalidate(_) | Reuse::Unsatisfiable => None,
    }
}

fn freshness(exchange: &Exchange, received: &HeaderMap) -> Freshness {
    Freshness::of(&FreshnessInput {
        status: exchange.status,
        response_headers: received,
        directives: &ResponseDirectives::of(received),
        decision: &ResponseDecision::default(),
        defaults: SiteDefaults::default(),
        request_time: at(0),
        response_time: at(exchange.delay),
    })
}

fn request(headers: &HeaderMap) -> Request<()> {
    let mut request = Request::new(());
    *request.uri_mut() = target();
    *request.headers_mut() = headers.clone();
    request
}

fn response(status: StatusCode, headers: &HeaderMap) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers.clone();
    response
}

fn policy(exchange: &Exchange) -> CachePolicy {
    let (request, response) = (
        request(&exchange.first),
        response(exchange.status, &exchange.response),
    );
    CachePolicy::new_options(
        &request,
        &response,
        system_time(exchange.delay),
        CacheOptions::default(),
    )
}

fn theirs(exchange: &Exchange) -> Served {
    let policy = policy(exchange);
    let now = system_time(exchange.delay + exchange.after);
    // The other crate expects callers to ask only about storable responses.
    let fresh = policy.is_storable()
        && matches!(
            policy.before_request(&request(&exchange.second), now),
            BeforeRequest::Fresh(_)
        );
    fresh.then(|| policy.age(now).as_secs())
}

#[test]
fn the_rfc_decides_every_disagreement_about_reuse() {
    let (mut agreed, mut served) = (0_u64, 0_u64);
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 0..EXCHANGES {
        let exchange = exchange(&mut Dice::seeded(seed));
        let difference = Difference {
            ours: ours(&exchange),
            theirs: theirs(&exchange),
            exchange,
        };
        served += u64::from(difference.ours.is_some());
        if difference.ours == difference.theirs {
            agreed += 1;
            continue;
        }
        let class = REUSE.iter().find(|class| (class.covers)(&difference));
        let class =
            class.unwrap_or_else(|| panic!("seed {seed}, for no known reason: {difference:#?}"));
        *seen.entry(class.name).or_default() += 1;
    }
    // If responses were rarely served, or the two rarely agreed, the test would compare nothing.
    assert!(
        agreed > EXCHANGES * 3 / 4,
        "they agree on {agreed} only: {seen:#?}"
    );
    assert!(served > EXCHANGES / 10, "{served} were served");
    assert_all_seen(REUSE.iter().map(|class| class.name), &seen);
}

/// Checks that every class was seen: a class without examples is out of date.
#[track_caller]
fn assert_all_seen(classes: impl Iterator<Item = &'static str>, seen: &BTreeMap<&str, u64>) {
    let idle: Vec<&str> = classes.filter(|name| !seen.contains_key(name)).collect();
    assert!(idle.is_empty(), "no exchange shows {idle:?}: {seen:#?}");
}

#[test]
fn the_rfc_decides_every_disagreement_about_304() {
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 0..5_000 {
        let (stored, not_modified) = validators(&mut Dice::seeded(seed));
        let first = response(StatusCode::OK, &stored);
        let policy = CachePolicy::new_options(
            &request(&HeaderMap::new()),
            &first,
            system_time(0),
            CacheOptions::default(),
        );
        let answer = response(StatusCode::NOT_MODIFIED, &not_modified);
        let theirs =
            match policy.after_response(&request(&HeaderMap::new()), &answer, system_time(0)) {
                AfterResponse::NotModified(_, parts) => Some(parts.headers),
                AfterResponse::Modified(..) => None,
            };
        let ours = validation::applies_to(&stored, &not_modified)
            .then(|| validation::updated_fields(&stored, &not_modified));
        let freshening = Freshening {
            stored,
            not_modified,
            ours,
            theirs,
        };
        if freshening.agrees() {
            continue;
        }
        let class = FRESHENING.iter().find(|class| (class.covers)(&freshening));
        let class =
            class.unwrap_or_else(|| panic!("seed {seed}, for no known reason: {freshening:#?}"));
        *seen.entry(class.name).or_default() += 1;
    }
    assert_all_seen(FRESHENING.iter().map(|class| class.name), &seen);
}
