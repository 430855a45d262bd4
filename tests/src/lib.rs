//! The harness of the black-box tests: a scripted [`Origin`], an [`Edge`] in front of it, a raw
//! [`Client`], and a clock that the test turns by hand.
//!
//! A test scripts the origin, starts an edge, sends requests, and checks the answers, their `Age`
//! and `Cache-Status`, and how many requests reached the origin:
//!
//! ```
//! use tero_tests::{Edge, Origin, Reply};
//!
//! let origin = Origin::start();
//! origin.on("/x", Reply::fresh(60, "hello"));
//! let edge = Edge::before(&origin).start();
//!
//! edge.get("/x").assert_forwarded("uri-miss", "hello");
//! edge.advance_secs(59);
//! edge.get("/x").assert_hit("hello");
//! edge.advance_secs(1);
//! edge.get("/x").assert_forwarded("stale", "hello");
//! assert_eq!(origin.requests("/x"), 2);
//! ```
//!
//! # Writing a test
//! - Put it into the file of its behaviour in `tests/tests/edge`. Its name is its claim, in plain
//!   words.
//! - Script the origin by path: [`Origin::on`], [`Origin::on_in_turn`] for a series of responses,
//!   [`Origin::on_each`] for responses that depend on the request. A [`Reply`] is well-formed
//!   unless the test breaks it ([`Reply::raw`], [`Reply::announcing`], [`Reply::then_reset`]).
//! - Configure the edge with [`Edge::before`] and the methods of [`EdgeBuilder`]: each takes lines
//!   of TOML for one table. [`EdgeBuilder::policy`] adds a policy; [`guests`] has some that
//!   misbehave.
//! - Send one request with [`Edge::get`] or [`Edge::send`]. A [`Client`] sends several on one
//!   connection, sends malformed bytes, and reads the answer in pieces.
//! - To do something while a request is in flight, stop the origin with [`Origin::hold`] or at a
//!   [`Gate`], and wait for the request with [`Origin::wait_for`].
//! - Turn the clock with [`Edge::advance_secs`] and [`Edge::turn_to`]: tests never sleep. Wait for
//!   what other threads do with [`eventually`] or [`Edge::until`]. All waits fail after [`GUARD`].
//!
//! Tests that need the real program (arguments, signals, exit codes) use
//! `tests/tests/edge/program.rs`.

use std::time::Duration;

mod answer;
mod client;
mod edge;
mod ending;
mod gate;
pub mod guests;
mod origin;
mod reply;
pub mod simulation;
mod watchdog;
pub mod wire;

pub use answer::{Answer, CacheStatus};
pub use client::{Client, Duplex, HOST, Request, get};
pub use edge::{
    A_TUESDAY_MORNING, ART, Edge, EdgeBuilder, compiled_cache, compiler, folder, instant,
    toml_string,
};
pub use ending::SetWhenDropped;
pub use gate::Gate;
pub use origin::{Origin, OriginRequest};
pub use reply::Reply;
pub use watchdog::watch_test;

/// How long, in real time, the harness waits for anything before the test fails. A machine
/// that is busy with other work may take long.
pub const GUARD: Duration = Duration::from_secs(60);

/// Waits until a condition is met, by checking it again and again. `what` is for the message.
///
/// # Panics
/// If it is not met within [`GUARD`].
#[track_caller]
#[allow(clippy::disallowed_methods)] // It gives the processor to other threads; no test depends on its length.
pub fn eventually(what: &str, mut met: impl FnMut() -> bool) {
    let pause = Duration::from_millis(2);
    for _ in 0..GUARD.as_millis() / pause.as_millis() {
        if met() {
            return;
        }
        std::thread::sleep(pause);
    }
    panic!("still waiting: {what}");
}
