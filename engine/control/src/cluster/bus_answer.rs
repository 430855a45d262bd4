//! What answers of a bus have in common: entries that are changed by compare-and-set, and why something
//! was not done.

/// What all nodes agree on, as it lies in the bucket of what is active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedEntry {
    /// Grows with each change.
    pub revision: u64,
    /// The content.
    pub content: Vec<u8>,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// Another node was first.
    #[error("another node was first")]
    Conflict,
    /// What was asked for isn't there.
    #[error("{0} is not there")]
    Missing(String),
    /// A content can't be read or kept. Others can.
    #[error("{0}")]
    Content(String),
    /// There is no connection, or no answer in time.
    #[error("{0}")]
    Unreachable(String),
}
