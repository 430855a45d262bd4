//! What shared runs of plans need of what connects the nodes: a queue of work, and a document for each run.

use std::fmt;
use std::time::Duration;

use super::bus_answer::{BusError, SharedEntry};

/// The largest queues of work, of all runs together, in bytes.
pub const WORK_BYTES: usize = 256 << 20;

/// Work that no node takes is kept for a day, and documents of runs for a day after their last change.
/// Each call waits for its answer for a bounded time.
pub trait WorkQueue: fmt::Debug + Send + Sync {
    /// Puts work into the queue of a run, in this order.
    ///
    /// # Errors
    /// [`BusError`]; some of the work may be in the queue then.
    fn put_work(&self, run: &str, work: Vec<Vec<u8>>) -> Result<(), BusError>;

    /// Takes work from the queue of a run; `None` if nothing comes within `patience`. All nodes together
    /// have at most `at_once` under way. Work comes again, to any node, if it is neither kept nor done
    /// for 15 seconds.
    ///
    /// # Errors
    /// [`BusError`]
    fn take_work(
        &self,
        run: &str,
        at_once: usize,
        patience: Duration,
    ) -> Result<Option<TakenWork>, BusError>;

    /// Says what becomes of work that was taken, and waits until that is heard.
    ///
    /// # Errors
    /// [`BusError::Unreachable`]
    fn answer_work(&self, ticket: &WorkTicket, answer: WorkAnswer) -> Result<(), BusError>;

    /// The document of a run; `None` if it has none.
    ///
    /// # Errors
    /// [`BusError`]
    fn run_document(&self, run: &str) -> Result<Option<SharedEntry>, BusError>;

    /// Replaces the document of a run, if it still has this revision; `None` if it was not there. Returns
    /// the new revision.
    ///
    /// # Errors
    /// [`BusError::Conflict`] or [`BusError::Unreachable`]
    fn replace_run_document(
        &self,
        run: &str,
        content: Vec<u8>,
        revision: Option<u64>,
    ) -> Result<u64, BusError>;
}

/// Work that was taken from a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenWork {
    /// To answer by.
    pub ticket: WorkTicket,
    /// What was put into the queue.
    pub content: Vec<u8>,
    /// How often it came to a node, this time included.
    pub times: u64,
}

/// The name of work that was taken, for what connects the nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkTicket(pub String);

/// What becomes of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkAnswer {
    /// It is under way still.
    UnderWay,
    /// It is done, and leaves the queue.
    Done,
    /// Another node may have it, in a second.
    GivenBack,
}
