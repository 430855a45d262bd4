//! What this tier tells the others: the next hop of a request, and the edge in front of an answer.
//!
//! An application as next hop reads the variant, and may ignore the rest. What comes from a next hop
//! goes no further than to an edge in front.

use http::HeaderMap;

use super::exchange::Exchange;
use super::provenance::{NotStored, Provenance, Storing};
use super::visit::Visit;
use crate::store::stored::StoredHead;
use crate::telemetry::Outcome;
use tero_semantics::cache_status::Forward;
use tero_semantics::decision::LookupDecision;
use tero_semantics::storability::Refusal;
use tero_semantics::tier::{TERO_TIER, TierRefusal, TierRequest, TierResponse};
use tero_semantics::timestamp::Timestamp;

/// Tells the next hop what was decided here, and whether the request passes.
pub(super) fn tell_next_hop(visit: Visit<'_>, passes: bool, headers: &mut HeaderMap) {
    let Visit { edge, exchange } = visit;
    let told = TierRequest {
        variant: exchange.decision.variant.clone(),
        is_plan: exchange.requester.is_plan(),
        key: key(exchange),
        purges: edge.fleet.number().map(|number| *number),
        to_shield: exchange.shields().is_some(),
        passes,
        at_most: exchange.floor.at_most,
    };
    told.set(headers);
}

/// A digest of what the response depends on beyond URL and variant, by a decision of this tier or of
/// the one in front.
fn key(exchange: &Exchange) -> Option<Box<str>> {
    let of_edge = exchange.edge.as_ref().and_then(|edge| edge.key.clone());
    of_edge.or_else(|| {
        let suffix = exchange.extended()?.key_suffix();
        (!suffix.is_empty()).then(|| tero_policy_host::digest(&suffix).into())
    })
}

/// Whether a stored response is served stale.
pub(super) fn is_served_stale(head: &StoredHead, provenance: &Provenance, now: Timestamp) -> bool {
    let is_from_store = provenance.forward.is_none() || provenance.outcome == Outcome::Stale;
    is_from_store && !head.freshness.is_fresh(now)
}

/// Tells an edge in front what the fields of an answer from the store don't say. From all other
/// answers, what a shield behind this tier has told is removed.
#[inline]
pub(super) fn tell_of_stored(
    exchange: &Exchange,
    head: &StoredHead,
    provenance: &Provenance,
    now: Timestamp,
    headers: &mut HeaderMap,
) {
    if exchange.edge.is_none() {
        headers.remove(TERO_TIER);
        return;
    }
    let own = TierResponse {
        stale: is_served_stale(head, provenance, now).then(|| head.freshness.staleness(now)),
        refusal: refusal(exchange, provenance),
    };
    add(own, headers);
}

/// The same for an answer that is not stored.
pub(super) fn tell_of_passed(
    exchange: &Exchange,
    provenance: &Provenance,
    headers: &mut HeaderMap,
) {
    if exchange.edge.is_none() {
        headers.remove(TERO_TIER);
        return;
    }
    let own = TierResponse {
        stale: None,
        refusal: refusal(exchange, provenance),
    };
    add(own, headers);
}

/// Adds what this tier tells to what one behind it has told.
#[cold]
fn add(own: TierResponse, headers: &mut HeaderMap) {
    let behind = TierResponse::of(headers);
    let told = TierResponse {
        stale: own.stale.or(behind.stale),
        refusal: own.refusal.or(behind.refusal),
    };
    told.set(headers);
}

/// Whether an edge may store the answer, as far as its own fields don't tell: the rules that this
/// tier has beside them. By the fields the edge decides itself, with its own policies.
fn refusal(exchange: &Exchange, provenance: &Provenance) -> Option<TierRefusal> {
    match provenance.storing {
        Storing::Refused(NotStored::ByRules(
            Refusal::Policy | Refusal::Never | Refusal::Shield,
        )) => Some(TierRefusal::ForAll),
        Storing::Refused(NotStored::ByRules(Refusal::ShieldToRequest)) => {
            Some(TierRefusal::ForRequest)
        }
        Storing::NotTried if provenance.forward == Some(Forward::Bypass) => of_pass(exchange),
        _ => None,
    }
}

/// The same for a request that passes this tier. A policy may let it pass for its cookies.
fn of_pass(exchange: &Exchange) -> Option<TierRefusal> {
    if exchange.edge.as_ref().is_some_and(|edge| edge.passes) {
        // The edge doesn't store it in any case.
        return None;
    }
    let fields = exchange.fields;
    let is_passed = exchange.decision.lookup == LookupDecision::Pass;
    if exchange.floor.never {
        Some(TierRefusal::ForAll)
    } else if fields.pass_cookie || is_passed && (fields.cookie || fields.authorization) {
        Some(TierRefusal::ForRequest)
    } else if is_passed {
        Some(TierRefusal::ForAll)
    } else {
        None
    }
}
