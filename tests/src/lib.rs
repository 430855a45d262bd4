//! The harness of the black-box tests: a scripted [`Origin`], an [`Edge`] in front of it, a raw
//! [`Client`], and a clock turned by hand.
//!
//! Nothing here sleeps for the time to pass: the edge's time is turned, and what happens on other
//! threads is waited for by its condition, with [`GUARD`] as the bound after which a test has
//! failed.

use std::time::Duration;

mod answer;
mod client;
mod edge;
mod gate;
pub mod guests;
mod origin;
mod reply;
pub mod simulation;
pub mod wire;

pub use answer::{Answer, CacheStatus};
pub use client::{Client, HOST, Request, get};
pub use edge::{
    A_TUESDAY_MORNING, ART, Edge, EdgeBuilder, compiled_cache, folder, instant, toml_string,
};
pub use gate::Gate;
pub use origin::{Asked, Origin};
pub use reply::Reply;

/// How long, in real time, anything is waited for before the test fails.
pub const GUARD: Duration = Duration::from_secs(20);

/// Waits until a condition is met that no other thread tells about.
///
/// # Panics
/// When it is not met within [`GUARD`].
#[track_caller]
#[allow(clippy::disallowed_methods)] // A moment of the processor for other threads, not the passing of time.
pub fn eventually(what: &str, mut met: impl FnMut() -> bool) {
    let pause = Duration::from_millis(2);
    for _ in 0..GUARD.as_millis() / pause.as_millis() {
        if met() {
            return;
        }
        std::thread::sleep(pause);
    }
    panic!("waited in vain: {what}");
}
