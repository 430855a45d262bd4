//! tero, a caching edge server whose policies are WebAssembly modules.

pub mod admin;
pub mod cli;
pub mod clock;
pub mod collapse;
pub mod config;
pub mod demo;
pub mod import;
pub mod origin;
pub mod policy;
pub mod request;
pub mod semantics;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod warm;
