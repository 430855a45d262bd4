//! The next hop says that a stored response still holds (RFC 9111 §4.3.4), or takes it back.

use std::sync::Arc;

use http::StatusCode;
use http::header::{HeaderMap, SET_COOKIE};

use super::judge;
use crate::request::news::FlightNews;
use crate::request::provenance::{NotStored, Storing};
use crate::request::record;
use crate::request::visit::Visit;
use crate::store::fields::StoredFields;
use crate::store::stored::{StoredHead, StoredResponse};
use crate::store::{Key, PurgeWatch};
use tero_semantics::storability::{Refusal, Storability};
use tero_semantics::surrogate_keys::{SURROGATE_KEY, has_surrogate_keys, surrogate_key_value};
use tero_semantics::timestamp::Timestamp;
use tero_semantics::{forwarding, validation};

/// A 304 that is about the stored response.
#[derive(Clone, Copy, Debug)]
pub(super) struct NotModified<'r> {
    /// Its fields.
    pub(super) headers: &'r HeaderMap,
    /// The fields that it gives the stored response, from [`merged_fields`].
    pub(super) merged: &'r HeaderMap,
    /// When it was asked for.
    pub(super) asked_at: Timestamp,
}

/// The fields that a 304 gives the stored response (§4.3.4). `None` if it is about another
/// response, or if the head would become larger than one that comes in one piece: each of many
/// 304s could add a field.
pub(super) fn merged_fields(
    visit: Visit<'_>,
    stale: &StoredResponse,
    not_modified: &HeaderMap,
) -> Option<HeaderMap> {
    let stored = stale.head.fields.to_headers(not_modified.len());
    if !validation::applies_to(&stored, not_modified) {
        return None;
    }
    let mut headers = not_modified.clone();
    forwarding::ensure_date(&mut headers, visit.edge.clock.wall());
    let mut merged = validation::updated_fields(&stored, &headers);
    keep_surrogate_keys(&mut merged, &stale.head.fields);
    visit.edge.store.holds_head(&merged).then_some(merged)
}

/// Gives fields that an answer has updated the surrogate keys that are stored, unless the answer has
/// its own (RFC 9111 §3.2).
pub(super) fn keep_surrogate_keys(updated: &mut HeaderMap, stored: &StoredFields) {
    if !has_surrogate_keys(updated)
        && let Some(keys) = surrogate_key_value(stored.own_tags())
    {
        updated.insert(SURROGATE_KEY, keys);
    }
}

/// What becomes of a stored response that a 304 is about.
pub(super) struct FreshenedResponse {
    /// For the visitor who asked.
    pub(super) response: Arc<StoredResponse>,
    /// Whether it stays stored.
    pub(super) storing: Storing,
    /// What followers hear.
    pub(super) followers: FlightNews,
}

/// Puts the head that a 304 gives in the place of the old one.
pub(super) fn freshen(
    visit: Visit<'_>,
    stale: &Arc<StoredResponse>,
    not_modified: &NotModified<'_>,
    purges: &PurgeWatch,
) -> FreshenedResponse {
    let Visit { edge, exchange } = visit;
    let NotModified {
        headers,
        merged,
        asked_at,
    } = *not_modified;
    let (head, storability) = judge::merged_head(visit, stale, merged, asked_at);
    let fresh = Arc::new(stale.with_head(head));
    // A cookie is for one visitor, and with it, by the floor, the whole answer.
    let is_for_one =
        headers.contains_key(SET_COOKIE) && !visit.settings().policy_may_override.set_cookie;
    let (storing, followers) = match storability {
        Storability::Yes if !is_for_one => {
            let key = Key::new(&exchange.key);
            record::flush_hits(edge, &key, stale);
            edge.store
                .replace(&key, stale.id, Arc::clone(&fresh), purges);
            edge.watchlist
                .watch_expiry(visit.site(), &fresh, visit.now());
            (Storing::Stored, FlightNews::Stored)
        }
        Storability::No(refusal) => {
            withdraw_stored(
                visit,
                stale,
                StatusCode::NOT_MODIFIED,
                refusal.is_of_request(),
            );
            let refusal = NotStored::ByRules(refusal);
            (Storing::Refused(refusal), FlightNews::not_stored(refusal))
        }
        Storability::Yes => {
            let refusal = NotStored::ByRules(Refusal::SetCookie);
            (Storing::Refused(refusal), FlightNews::NotStorable)
        }
        // A part is not stored under a key of requests.
        Storability::Part(_) => (Storing::NotTried, FlightNews::NotStorable),
    };
    FreshenedResponse {
        response: with_cookies_of(headers, fresh),
        storing,
        followers,
    }
}

/// The response for the visitor who asked: with the cookies of the 304, which are not stored.
fn with_cookies_of(not_modified: &HeaderMap, fresh: Arc<StoredResponse>) -> Arc<StoredResponse> {
    if !not_modified.contains_key(SET_COOKIE) {
        return fresh;
    }
    let mut headers = fresh.head.fields.to_headers(not_modified.len());
    for cookie in not_modified.get_all(SET_COOKIE) {
        headers.append(SET_COOKIE, cookie.clone());
    }
    Arc::new(fresh.with_head(StoredHead {
        fields: fresh.head.fields.with_headers(&headers),
        ..fresh.head.clone()
    }))
}

/// Drops a stored response when the origin's new answer, with this status, takes it back and may not
/// be stored itself. `is_of_request` says that the request is to blame for that.
pub(super) fn withdraw_stored(
    visit: Visit<'_>,
    stale: &StoredResponse,
    status: StatusCode,
    is_of_request: bool,
) {
    let exchange = visit.exchange;
    let is_known = exchange.fields.authorization || exchange.fields.cookie;
    if validation::withdraws(status, is_of_request || is_known) {
        let store = &visit.edge.store;
        store.drop_response(&Key::new(&exchange.key), stale.id);
    }
}
