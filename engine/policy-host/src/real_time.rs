//! The machine's own time, which limits what a guest may take.

use std::time::Instant;

/// The machine's own time. How long a guest takes is measured by it, whatever a hand-turned clock
/// shows.
#[allow(
    clippy::disallowed_methods,
    reason = "a guest that spins does not turn the clock of a test"
)]
pub(crate) fn real_time() -> Instant {
    Instant::now()
}
