//! What the leader of a fetch tells its followers.

use std::sync::Arc;

use super::failure::Failure;
use crate::store::PurgePoint;
use crate::store::fill::Fill;
use crate::store::stored::StoredHead;

/// What a leader shares with its followers.
#[derive(Clone, Debug)]
pub(super) enum FlightNews {
    /// A response that is being stored.
    Filling(Arc<ResponseInFlight>),
    /// The store has it now.
    Stored,
    /// The answer is not for others.
    NotStorable,
    /// The fetch failed.
    Failed(Failure),
}

/// A response on its way into the store.
#[derive(Debug)]
pub(super) struct ResponseInFlight {
    /// Its head.
    pub head: StoredHead,
    /// Its content, as far as it has come.
    pub fill: Arc<Fill>,
    /// Where the order of purges stood before it was asked for.
    pub purges: PurgePoint,
}
