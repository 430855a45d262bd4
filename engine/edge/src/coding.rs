//! Content in other codings (RFC 9110 §8.4.1): how it is made, and the threads that make it in the
//! background.
//!
//! A worker codes short content by itself when it is stored. Everything that takes longer waits in
//! a bounded queue for a few threads, which rest for a share of their time.

mod coder;
mod encode;

use std::time::Instant;

pub use coder::{Coder, CodingJob, start};
pub use encode::{Encoded, Encoding, NotEncoded, encode};

/// The machine's own time: how long coding took, and how long a thread rests for it.
#[allow(
    clippy::disallowed_methods,
    reason = "the work of a thread does not turn the clock of a test"
)]
fn real_time() -> Instant {
    Instant::now()
}
