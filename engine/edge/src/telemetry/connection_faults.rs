//! Connections of HTTP/2 that the edge ended for a fault of their client.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why the edge ended a connection of HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionFault {
    /// More streams were reset than `http2_max_resets`.
    Resets,
    /// More frames that ask for nothing came than `http2_max_control_frames`.
    ControlFrames,
    /// A header block was too long, or came in too many frames.
    HeaderBlock,
    /// The client broke a rule of the protocol.
    Protocol,
    /// The preface, or a header block, did not arrive in time.
    Late,
    /// The client accepted nothing of what it had asked for, or too little.
    Stalled,
}

impl ConnectionFault {
    /// All of them.
    pub const ALL: [ConnectionFault; 6] = [
        ConnectionFault::Resets,
        ConnectionFault::ControlFrames,
        ConnectionFault::HeaderBlock,
        ConnectionFault::Protocol,
        ConnectionFault::Late,
        ConnectionFault::Stalled,
    ];

    /// Its word in metrics and in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            ConnectionFault::Resets => "resets",
            ConnectionFault::ControlFrames => "control_frames",
            ConnectionFault::HeaderBlock => "header_block",
            ConnectionFault::Protocol => "protocol",
            ConnectionFault::Late => "late",
            ConnectionFault::Stalled => "stalled",
        }
    }
}

/// How many connections were ended, by their fault.
#[derive(Debug, Default)]
pub struct FaultCounts([AtomicU64; ConnectionFault::ALL.len()]);

impl FaultCounts {
    /// Counts a connection.
    pub fn record(&self, fault: ConnectionFault) {
        self.0[fault as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The connections that were ended for each fault.
    pub fn counts(&self) -> impl Iterator<Item = (ConnectionFault, u64)> {
        let count = |fault| self.0[fault as usize].load(Ordering::Relaxed);
        ConnectionFault::ALL
            .map(|fault| (fault, count(fault)))
            .into_iter()
    }
}
