//! tero, a caching edge server whose policies are WebAssembly modules.

pub mod clock;
pub mod config;
pub mod semantics;
