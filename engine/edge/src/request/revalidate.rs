//! What is done when the next hop says that a stored response still holds (RFC 9111 §4.3.4), and in
//! the background (RFC 5861 §3).

use std::sync::Arc;

use http::header::{HeaderMap, SET_COOKIE};
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::oneshot;

use super::body::EdgeBody;
use super::fetch::{Extent, Fetch, FetchResult};
use super::news::FlightNews;
use super::record;
use super::visit::Visit;
use super::watchlist::RevalidationResult;
use crate::collapse::Lead;
use crate::store::stored::{StoredHead, StoredResponse};
use crate::store::{Key, PurgePoint};
use tero_semantics::forwarding;
use tero_semantics::retry_after::retry_after;
use tero_semantics::storability::Storability;
use tero_semantics::timestamp::Timestamp;
use tero_semantics::validation::{self, HeadUpdate};

/// Puts the head that a 304 gives in the place of the old one, shares it and tells the request.
pub(super) fn freshen(
    fetch: Fetch,
    stale: Arc<StoredResponse>,
    not_modified: &Response<Incoming>,
    asked_at: Timestamp,
    purges: PurgePoint,
    tell: oneshot::Sender<FetchResult>,
) {
    let mut headers = not_modified.headers().clone();
    forwarding::ensure_date(&mut headers, fetch.visit().now());
    let merged = validation::updated_fields(&stale.head.fields.to_headers(headers.len()), &headers);
    let (head, storability) = fetch.merged_head(&stale, &merged, asked_at);
    let key = Key::new(&fetch.exchange().key);
    let fresh = Arc::new(stale.with_head(head));
    // A cookie is for one visitor, and with it, by the floor, the whole answer.
    let is_for_one = headers.contains_key(SET_COOKIE)
        && !fetch
            .exchange()
            .site
            .settings
            .policy_may_override
            .set_cookie;
    let shared = match storability {
        Storability::Yes if is_for_one => FlightNews::NotStorable,
        Storability::Yes => {
            record::flush_hits(fetch.edge(), &key, &stale);
            fetch
                .edge()
                .store
                .replace(&key, stale.id, Arc::clone(&fresh), purges);
            fetch
                .edge()
                .watchlist
                .watch_expiry(fetch.visit().site(), &fresh, fetch.visit().now());
            FlightNews::Stored
        }
        // What is stored under a key of requests is no part.
        Storability::Part(_) => FlightNews::NotStorable,
        Storability::No(refusal) => {
            if !refusal.is_of_request() {
                fetch.withdraw_stored(fresh.head.status);
            }
            FlightNews::NotStorable
        }
    };
    if let Some(lead) = &fetch.lead {
        lead.share(shared);
    }
    let _ = tell.send(FetchResult::Revalidated(with_cookies_of(&headers, fresh)));
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

/// Revalidates in the background, unless somebody does already (RFC 5861 §3).
pub(super) fn in_background(visit: Visit<'_>, stale: &Arc<StoredResponse>) {
    let Some(lead) = visit.edge.collapse.lead(&visit.exchange.key) else {
        return;
    };
    let (owned, stale) = (visit.to_owned(), Arc::clone(stale));
    tokio::spawn(async move {
        revalidate_to_completion(owned.visit(), stale, lead).await;
    });
}

/// Revalidates until what comes of it is stored.
pub(super) async fn revalidate_to_completion(
    visit: Visit<'_>,
    stale: Arc<StoredResponse>,
    lead: Lead<FlightNews>,
) -> RevalidationResult {
    let fetch = Fetch {
        visit: visit.to_owned(),
        stale: Some(stale),
        extent: Extent::Whole,
        lead: Some(lead),
    };
    match fetch.start().await {
        Ok(FetchResult::Filling(_, reader, _)) => {
            // Somebody has to want the content, or the fill would take itself for abandoned.
            let whole = drain(EdgeBody::fill(reader, Arc::clone(&visit.site().counters))).await;
            if whole {
                RevalidationResult::Stored
            } else {
                RevalidationResult::Failed(None)
            }
        }
        Ok(FetchResult::Revalidated(_)) => RevalidationResult::Stored,
        Ok(FetchResult::NotStored(response, _)) => RevalidationResult::NotStored(
            response.status(),
            retry_after(response.headers(), visit.now()),
        ),
        // Of the whole, which was asked for, nothing of the kind comes.
        Ok(FetchResult::TooLargeForRange | FetchResult::Part(_)) => {
            RevalidationResult::NotStored(StatusCode::PARTIAL_CONTENT, None)
        }
        Ok(FetchResult::Failed(failure)) => {
            let reply = failure.next_hop;
            RevalidationResult::Failed(reply.and_then(|reply| reply.retry_after))
        }
        // The edge goes down meanwhile.
        Err(_) => RevalidationResult::Failed(None),
    }
}

/// Reads a body to its end; whether that is the one that was meant.
async fn drain(mut body: EdgeBody) -> bool {
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            return false;
        }
    }
    true
}

/// What the answer to a HEAD says of the stored response: that it still holds, or that it is
/// another now (§4.3.5).
pub(super) fn by_head(
    visit: Visit<'_>,
    stored: &Arc<StoredResponse>,
    answer: &Response<EdgeBody>,
    asked_at: Timestamp,
    purges: PurgePoint,
) {
    let Visit { edge, exchange } = visit;
    let key = Key::new(&exchange.key);
    let headers = stored.head.fields.to_headers(0);
    match validation::head_updates(
        &headers,
        stored.body.len(),
        answer.status(),
        answer.headers(),
    ) {
        HeadUpdate::Nothing => {}
        HeadUpdate::Stale => {
            let stale = stored.with_freshness(stored.head.freshness.made_stale(edge.clock.now()));
            edge.store.replace(&key, stored.id, Arc::new(stale), purges);
        }
        HeadUpdate::Freshened(merged) => {
            let fetch = Fetch {
                visit: visit.to_owned(),
                stale: None,
                extent: Extent::Whole,
                lead: None,
            };
            let (head, storability) = fetch.merged_head(stored, &merged, asked_at);
            if storability == Storability::Yes {
                fetch.edge().store.replace(
                    &key,
                    stored.id,
                    Arc::new(stored.with_head(head)),
                    purges,
                );
            }
        }
    }
}
