//! An answer, and how it came about.

use http::Response;

use super::body::EdgeBody;
use crate::telemetry::Outcome;

/// An answer, and what became of its request.
#[derive(Debug)]
pub struct Answer {
    /// What the client gets.
    pub response: Response<EdgeBody>,
    /// What is counted.
    pub outcome: Outcome,
    /// Whether it is stored, or on its way there.
    pub stored: bool,
}
