//! What the leader of a fetch tells its followers.

use std::sync::Arc;

use super::failure::Failure;
use super::provenance::NotStored;
use crate::store::PurgeWatch;
use crate::store::fill::Fill;
use crate::store::stored::StoredHead;
use tero_semantics::storability::Refusal;

/// What a leader shares with its followers.
#[derive(Clone, Debug)]
pub(super) enum FlightNews {
    /// A response that is being stored.
    Filling(Arc<ResponseInFlight>),
    /// The store has it now.
    Stored,
    /// The answer is not for others.
    NotStorable,
    /// The answer is not for others, for a reason that lies in the leader's request: who does not
    /// share it may get one that is.
    NotStorableFor(Refusal),
    /// The fetch failed.
    Failed(Failure),
}

impl FlightNews {
    /// The news of an answer that is not stored.
    pub(super) fn not_stored(why: NotStored) -> FlightNews {
        match why {
            NotStored::ByRules(refusal) if refusal.is_of_request() => {
                FlightNews::NotStorableFor(refusal)
            }
            _ => FlightNews::NotStorable,
        }
    }
}

/// A response on its way into the store.
#[derive(Debug)]
pub(super) struct ResponseInFlight {
    /// Its head.
    pub head: StoredHead,
    /// Its content, as far as it has come.
    pub fill: Arc<Fill>,
    /// The purges since before it was asked for.
    pub purges: Arc<PurgeWatch>,
}
