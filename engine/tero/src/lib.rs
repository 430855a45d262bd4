//! tero, a caching edge server whose policies are WebAssembly modules: the program, and what tests of the
//! whole need.

pub mod cli;

pub use tero_control::reload::{ReloadError, Reloader};
pub use tero_control::serve::{ServeError, Server, serve};
