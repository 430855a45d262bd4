//! Revalidation that no client waits for (RFC 5861 §3), and what the answer to a HEAD says of a
//! stored response (RFC 9111 §4.3.5).

use std::sync::Arc;

use http::{Response, StatusCode};
use http_body_util::BodyExt;

use super::background;
use super::body::EdgeBody;
use super::fetch::judge::merged_head;
use super::fetch::{Extent, Fetch, FetchResult};
use super::news::FlightNews;
use super::visit::{OwnedVisit, Visit};
use super::watchlist::RevalidationResult;
use crate::collapse::Lead;
use crate::origin::BreakerPass;
use crate::store::stored::StoredResponse;
use crate::store::{Key, PurgeWatch};
use tero_semantics::retry_after::retry_after;
use tero_semantics::storability::Storability;
use tero_semantics::timestamp::Timestamp;
use tero_semantics::validation::{self, HeadUpdate};

/// Revalidates in the background, unless another request does already, or the origin is left alone
/// (RFC 5861 §3).
pub(super) fn in_background(visit: Visit<'_>, stale: &Arc<StoredResponse>) {
    let Some(BackgroundTurn {
        visit,
        lead,
        breaker,
    }) = begin_in_background(visit, stale)
    else {
        return;
    };
    let stale = Arc::clone(stale);
    tokio::spawn(async move {
        revalidate_to_completion(visit.visit(), stale, lead).await;
        drop(breaker);
    });
}

/// A revalidation in the background that may go out.
pub(super) struct BackgroundTurn {
    /// The request that goes out.
    pub visit: OwnedVisit,
    /// The duty towards those who follow.
    pub lead: Lead<FlightNews>,
    /// Held until it has ended.
    pub breaker: BreakerPass,
}

/// Begins a revalidation in the background. `None` if another request fetches already, or the origin
/// is left alone.
pub(super) fn begin_in_background(
    visit: Visit<'_>,
    stale: &Arc<StoredResponse>,
) -> Option<BackgroundTurn> {
    let lead = visit.edge.collapse.lead(&visit.exchange.key)?;
    let breaker = visit.exchange.origin().pass_breaker(visit.now())?;
    Some(BackgroundTurn {
        visit: background::on_behalf_of_all(visit, stale),
        lead,
        breaker,
    })
}

/// Revalidates until the result is stored.
pub(super) async fn revalidate_to_completion(
    visit: Visit<'_>,
    stale: Arc<StoredResponse>,
    lead: Lead<FlightNews>,
) -> RevalidationResult {
    let fetch = Fetch::new(visit, Some(stale), Extent::Whole).led_by(Some(lead));
    match fetch.start().await {
        Ok(FetchResult::Filling(_, reader, _)) => {
            // The content needs a reader, or the fill would take itself for abandoned.
            let whole = drain(EdgeBody::fill(reader)).await;
            if whole {
                RevalidationResult::Stored
            } else {
                RevalidationResult::Failed(None)
            }
        }
        Ok(FetchResult::Revalidated(_, storing)) if storing.is_stored() => {
            RevalidationResult::Stored
        }
        Ok(FetchResult::Revalidated(..)) => {
            RevalidationResult::NotStored(StatusCode::NOT_MODIFIED, None)
        }
        Ok(FetchResult::NotStored(response, _)) => RevalidationResult::NotStored(
            response.status(),
            retry_after(response.headers(), visit.edge.clock.wall()),
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

/// Reads a body to its end; whether nothing of it is missing.
async fn drain(mut body: EdgeBody) -> bool {
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            return false;
        }
    }
    true
}

/// Takes over what the answer to a HEAD says of the stored response: that it still holds, or that
/// it is another now (§4.3.5).
pub(super) fn by_head<B>(
    visit: Visit<'_>,
    stored: &Arc<StoredResponse>,
    answer: &Response<B>,
    asked_at: Timestamp,
    purges: &PurgeWatch,
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
        HeadUpdate::Freshened(merged) if !edge.store.holds_head(&merged) => {}
        HeadUpdate::Freshened(merged) => {
            let (head, storability) = merged_head(visit, stored, &merged, asked_at);
            if storability == Storability::Yes {
                let fresh = Arc::new(stored.with_head(head));
                edge.store.replace(&key, stored.id, fresh, purges);
            }
        }
    }
}
