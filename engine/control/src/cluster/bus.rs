//! What the parts of a fleet need of what connects them. NATS is one way to have it, the twin of tests
//! another.

use std::time::Duration;

use super::work::WorkQueue;

pub use super::bus_answer::{BusError, SharedEntry};

/// What connects the nodes. Each call waits for its answer for a bounded time.
pub trait FleetBus: WorkQueue {
    /// What all nodes agree on; `None` if they have not agreed on anything yet.
    ///
    /// # Errors
    /// [`BusError::Unreachable`]
    fn shared(&self) -> Result<Option<SharedEntry>, BusError>;

    /// Replaces what all nodes agree on, if it still has this revision; `None` if it was not there.
    /// Returns the new revision.
    ///
    /// # Errors
    /// [`BusError::Conflict`] or [`BusError::Unreachable`]
    fn replace_shared(&self, content: Vec<u8>, revision: Option<u64>) -> Result<u64, BusError>;

    /// The content with this digest.
    ///
    /// # Errors
    /// [`BusError`]
    fn content(&self, digest: &str) -> Result<Vec<u8>, BusError>;

    /// Keeps a content under its digest.
    ///
    /// # Errors
    /// [`BusError::Content`] or [`BusError::Unreachable`]
    fn keep_content(&self, digest: &str, content: &[u8]) -> Result<(), BusError>;

    /// Tells all nodes something that is kept nowhere, as a rule how this node does.
    ///
    /// # Errors
    /// [`BusError::Unreachable`]
    fn tell(&self, report: Vec<u8>) -> Result<(), BusError>;

    /// Asks all nodes, and returns the answers that come within `patience`; `most` are enough.
    ///
    /// # Errors
    /// [`BusError::Unreachable`]
    fn ask(
        &self,
        question: &FleetQuestion,
        most: usize,
        patience: Duration,
    ) -> Result<Vec<Vec<u8>>, BusError>;

    /// Takes a lease, or renews one that `holder` has. Returns whether `holder` has it now. A lease that
    /// is not renewed ends after 15 seconds.
    ///
    /// # Errors
    /// [`BusError::Unreachable`]
    fn hold_lease(&self, name: &str, holder: &str) -> Result<bool, BusError>;

    /// Who has a lease; `None` if it is free.
    ///
    /// # Errors
    /// [`BusError::Unreachable`]
    fn lease_holder(&self, name: &str) -> Result<Option<String>, BusError>;

    /// Passes a lease of `holder` on to `next`, for 15 seconds.
    ///
    /// # Errors
    /// [`BusError`]: `holder` doesn't have it, or nothing is known of it.
    fn pass_lease(&self, name: &str, holder: &str, next: &str) -> Result<(), BusError>;

    /// How the connection does.
    fn report(&self) -> BusReport;
}

/// What a node asks all others.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FleetQuestion {
    /// Its statistics since the start.
    Stats,
    /// The pages of a site that visitors ask for most.
    Popular {
        /// The name of the site.
        site: String,
        /// The hours of the week, as bits.
        hours: [u64; 3],
        /// How many, at most.
        limit: usize,
    },
}

/// What a node hears from others.
pub trait FleetListener: Send + Sync {
    /// A node has told how it does.
    fn heard(&self, report: &[u8]);

    /// The answer to a question of a node; `None` to say nothing.
    fn answer(&self, question: &FleetQuestion) -> Option<Vec<u8>>;
}

/// How the connection does, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BusReport {
    /// The name and version of the server; `None` without a connection.
    pub server: Option<String>,
    /// When the connection was made or lost, in seconds since 1970.
    pub since_unix_secs: i64,
    /// Why there is none.
    pub failure: Option<String>,
}
