//! tero, a caching edge server whose policies are WebAssembly modules: the program, and the entries
//! that black-box tests need.

pub mod cli;

pub use tero_control::reload::{ReloadError, Reloader};
pub use tero_control::serve::{ServeError, Server, serve};
