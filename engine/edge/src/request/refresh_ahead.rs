//! Revalidation before a stored response expires, which no client waits for.
//!
//! The end of each stored response is watched. Shortly before it, one that visitors wanted often is
//! marked, and the next of its requests sets the revalidation off without waiting for it.

use std::sync::Arc;

use super::revalidate::revalidate_to_completion;
use super::visit::Visit;
use super::{background, hits};
use crate::store::stored::StoredResponse;

/// Revalidates a marked response in the background, for all who come after this visitor.
pub(super) fn revalidate(visit: Visit<'_>, stored: &Arc<StoredResponse>) {
    let Visit { edge, exchange } = visit;
    let Some(settings) = visit.settings().refresh_ahead.clone() else {
        return;
    };
    // An answer to a client who is known by name is not for others: the next visitor will do.
    if exchange.fields.authorization || exchange.directives.no_store {
        return hits::mark_due(stored);
    }
    let began = visit.now();
    if !edge.watchlist.begin(visit.site(), &settings, began) {
        return;
    }
    let Some(lead) = edge.collapse.lead(&exchange.key) else {
        return edge.watchlist.give_back(visit.site(), &settings, began);
    };
    let owned = background::on_behalf_of_all(visit, stored);
    let stored = Arc::clone(stored);
    tokio::spawn(async move {
        let visit = owned.visit();
        let result = revalidate_to_completion(visit, stored, lead).await;
        let times = (began, visit.now());
        let watchlist = &visit.edge.watchlist;
        watchlist.end(visit.site(), &settings, &result, times);
    });
}
