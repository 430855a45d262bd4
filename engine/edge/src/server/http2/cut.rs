//! Why the edge ends a connection by itself.

use h2::Reason;

use crate::telemetry::connection_faults::ConnectionFault;

/// Why the edge ends a connection by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CutReason {
    /// For a fault of its client.
    Fault(ConnectionFault),
    /// Nothing was asked for a while.
    Idle,
}

impl CutReason {
    /// What the client is told with `GOAWAY`.
    pub(super) fn reason(self) -> Reason {
        match self {
            CutReason::Fault(
                ConnectionFault::Resets
                | ConnectionFault::ControlFrames
                | ConnectionFault::HeaderBlock,
            ) => Reason::ENHANCE_YOUR_CALM,
            CutReason::Fault(ConnectionFault::Protocol) => Reason::PROTOCOL_ERROR,
            CutReason::Fault(ConnectionFault::Late | ConnectionFault::Stalled)
            | CutReason::Idle => Reason::NO_ERROR,
        }
    }
}
