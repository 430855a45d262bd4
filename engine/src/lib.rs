//! tero, a caching edge server whose policies are WebAssembly modules.
//!
//! The modules, in the direction of their dependencies:
//!
//! ```text
//! main → cli → server, admin, warm → rollout → request → { policy, store, collapse, origin } → semantics
//! ```
//!
//! - [`semantics`] decides, and does nothing else: pure functions in the words of RFC 9111.
//! - [`store`], [`collapse`], [`origin`] and [`policy`] do one thing each and do not know each
//!   other.
//! - [`request`] is where they meet: the path of a request, step by step.
//! - [`rollout`] says which version of each policy the sites ask.
//! - [`server`] brings requests from sockets, [`warm`] from plans; [`admin`] looks at all of it
//!   from outside.
//! - [`clock`], [`telemetry`] and [`wire`] are leaves; [`config`] is read once and handed out in
//!   pieces, by [`serve`].

pub mod admin;
pub mod cases;
pub mod check;
pub mod cli;
pub mod clock;
pub mod collapse;
pub mod config;
pub mod demo;
pub mod diff;
pub mod import;
pub mod origin;
pub mod policy;
pub mod preview;
pub mod project;
pub mod request;
pub mod rollout;
pub mod semantics;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod templates;
mod trusted;
pub mod warm;
pub mod wire;
mod wiring;

pub use wiring::{ReloadError, Reloader, ServeError, Server, serve};
