//! TLS handshakes, by how they ended.

use std::sync::atomic::{AtomicU64, Ordering};

/// How a TLS handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeResult {
    /// A new session began.
    Full,
    /// A session went on.
    Resumed,
    /// The two sides could not agree, or the connection broke.
    Failed,
    /// It took longer than `header_timeout`.
    Late,
    /// It was the oldest of more than `max_handshakes`.
    GivenUp,
    /// The client speaks HTTP without TLS.
    InTheClear,
}

/// Counts TLS handshakes.
#[derive(Debug, Default)]
pub struct HandshakeCounters([AtomicU64; HandshakeResult::ALL.len()]);

impl HandshakeResult {
    /// Every result.
    pub const ALL: [HandshakeResult; 6] = [
        HandshakeResult::Full,
        HandshakeResult::Resumed,
        HandshakeResult::Failed,
        HandshakeResult::Late,
        HandshakeResult::GivenUp,
        HandshakeResult::InTheClear,
    ];

    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            HandshakeResult::Full => "full",
            HandshakeResult::Resumed => "resumed",
            HandshakeResult::Failed => "failed",
            HandshakeResult::Late => "timeout",
            HandshakeResult::GivenUp => "given_up",
            HandshakeResult::InTheClear => "plain_http",
        }
    }
}

impl HandshakeCounters {
    /// Counts a handshake.
    pub fn record(&self, result: HandshakeResult) {
        self.0[result as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The handshakes that ended so.
    pub fn count(&self, result: HandshakeResult) -> u64 {
        self.0[result as usize].load(Ordering::Relaxed)
    }
}
