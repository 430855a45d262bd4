//! tero, a caching edge server whose policies are WebAssembly modules: the program, and the entries
//! that black-box tests need.

pub mod cli;

use tero_config::Config;
use tero_control::build_info::BuildInfo;
use tero_policy_host::Compiler;
use tero_time::clock::Clock;

pub use tero_control::reload::{ReloadError, Reloader};
pub use tero_control::serve::{ServeError, Server};

/// What this program is made of.
pub const BUILD: BuildInfo = BuildInfo {
    version: env!("CARGO_PKG_VERSION"),
    commit: env!("TERO_COMMIT"),
};

/// Starts an edge, and returns when it accepts requests. `compiler` compiles its policies.
///
/// # Errors
/// [`ServeError`]; nothing is left running then.
pub fn serve(config: Config, clock: Clock, compiler: &Compiler) -> Result<Server, ServeError> {
    tero_control::serve::serve(config, clock, compiler, BUILD)
}
