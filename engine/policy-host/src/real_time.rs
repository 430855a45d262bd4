//! The machine's own time, by which the deadlines of guests are measured.

use std::time::Instant;

/// The machine's own time. The running time of a guest is measured by it, even if a test turns the
/// engine's clock by hand.
#[allow(
    clippy::disallowed_methods,
    reason = "a guest that spins does not turn the clock of a test"
)]
pub(crate) fn real_time() -> Instant {
    Instant::now()
}
