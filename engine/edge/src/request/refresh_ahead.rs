//! Revalidation before a stored response expires, which no client waits for.
//!
//! The end of each stored response is watched. Shortly before it, one that visitors wanted often is
//! marked, and the next of its requests sets the revalidation off without waiting for it.

use std::sync::Arc;

use super::news::FlightNews;
use super::revalidate::revalidate_to_completion;
use super::visit::{OwnedVisit, Visit};
use super::watchlist::RevalidationResult;
use super::{background, hits};
use crate::collapse::Lead;
use crate::store::stored::StoredResponse;
use tero_config::RefreshAhead;
use tero_semantics::timestamp::Timestamp;

/// A revalidation ahead that may go out, and has begun.
#[derive(Debug)]
pub(super) struct AheadTurn {
    settings: RefreshAhead,
    began: Timestamp,
    /// The request that goes out.
    pub visit: OwnedVisit,
}

/// Revalidates a marked response in the background, for all who come after this visitor.
pub(super) fn revalidate(visit: Visit<'_>, stored: &Arc<StoredResponse>) {
    let Some((turn, lead)) = begin(visit, stored) else {
        return;
    };
    let stored = Arc::clone(stored);
    tokio::spawn(async move {
        let result = revalidate_to_completion(turn.visit.visit(), stored, lead).await;
        turn.end(&result);
    });
}

/// Begins the revalidation of a marked response, if the share of its site allows one more, and no
/// other request fetches it.
pub(super) fn begin(
    visit: Visit<'_>,
    stored: &Arc<StoredResponse>,
) -> Option<(AheadTurn, Lead<FlightNews>)> {
    let Visit { edge, exchange } = visit;
    let settings = visit.settings().refresh_ahead.clone()?;
    // An answer to a client who is known by name is not for others: the next visitor will do.
    if exchange.fields.authorization || exchange.directives.no_store {
        hits::mark_due(stored);
        return None;
    }
    let began = visit.now();
    if !edge.watchlist.begin(visit.site(), &settings, began) {
        return None;
    }
    let Some(lead) = edge.collapse.lead(&exchange.key) else {
        edge.watchlist.give_back(visit.site(), &settings, began);
        return None;
    };
    let turn = AheadTurn {
        settings,
        began,
        visit: background::on_behalf_of_all(visit, stored),
    };
    Some((turn, lead))
}

impl AheadTurn {
    /// Ends it.
    pub(super) fn end(&self, result: &RevalidationResult) {
        let visit = self.visit.visit();
        let times = (self.began, visit.now());
        let watchlist = &visit.edge.watchlist;
        watchlist.end(visit.site(), &self.settings, result, times);
    }
}
