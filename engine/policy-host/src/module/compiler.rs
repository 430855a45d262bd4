//! Compiles modules, in a process of its own where one is given: bounded in time and memory,
//! whatever the module is.
//!
//! Compiling is not linear. A module that fits `max_module` can take minutes and gigabytes, and
//! neither can be bounded within a process. So the program runs itself again as a compiler
//! ([`child`]): the module goes to its standard input, and compiled code or a refusal comes back on
//! its standard output. It limits its own address space and processor time before it reads, and is
//! killed after `compile_timeout`.

pub(crate) mod child;
mod process;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::Engine;

use super::component;
use crate::error::PolicyError;
use crate::runtime::Runtime;
use tero_config as config;

/// How modules are compiled.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// In this process, without limits. For modules that the caller trusts.
    InProcess,
    /// By a process of this command, within the limits of `[policies]`.
    Process(CompilerCommand),
}

/// The command of a compiler. Arguments of [`compile_as_child`](crate::compile_as_child) are added
/// to its own.
#[derive(Clone, Debug)]
pub struct CompilerCommand {
    /// The program.
    pub program: PathBuf,
    /// Its first arguments.
    pub arguments: Vec<OsString>,
    /// Its environment, which is empty otherwise but for the number of its threads.
    pub environment: Vec<(OsString, OsString)>,
}

/// The limits of a compiler in a process of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CompilerLimits {
    /// The time from its start to its end.
    timeout: Duration,
    /// Its address space, in bytes.
    memory: u64,
}

impl CompilerLimits {
    pub(crate) fn of(config: &config::PolicyHost) -> CompilerLimits {
        CompilerLimits {
            timeout: config.compile_timeout,
            memory: config.compile_memory,
        }
    }
}

/// The settings of an engine, as far as a compiler must know them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EngineSettings {
    pub(crate) stack_bytes: u64,
    pub(crate) counts_fuel: bool,
}

/// Why no code came of a module.
#[derive(Debug)]
enum CompileFailure {
    /// The module can't be used.
    Refused(PolicyError),
    /// It exceeded a limit.
    Limit(String),
    /// The compiler can't be started, or ended without a word.
    Compiler(String),
}

impl Compiler {
    /// The machine code of a module, for [`Component::deserialize`](wasmtime::component::Component).
    ///
    /// # Errors
    /// The module can't be used, or its compiler exceeded a limit or can't be run.
    pub(crate) fn compile(
        &self,
        limits: CompilerLimits,
        runtime: &Runtime,
        policy: &Arc<str>,
        module: &[u8],
    ) -> Result<Vec<u8>, PolicyError> {
        match self {
            Compiler::InProcess => compile(&runtime.engine, policy, module),
            Compiler::Process(command) => {
                let settings = EngineSettings {
                    stack_bytes: runtime.stack_bytes,
                    counts_fuel: runtime.counts_fuel,
                };
                let policy = Arc::clone(policy);
                process::run(command, limits, settings, &policy, module).map_err(|failure| {
                    match failure {
                        CompileFailure::Refused(error) => error,
                        CompileFailure::Limit(reason) => {
                            PolicyError::CompileLimit { policy, reason }
                        }
                        CompileFailure::Compiler(reason) => PolicyError::Engine { reason },
                    }
                })
            }
        }
    }
}

/// Compiles in this process.
fn compile(engine: &Engine, policy: &Arc<str>, module: &[u8]) -> Result<Vec<u8>, PolicyError> {
    let component = component::encode(policy, module)?;
    engine
        .precompile_component(&component)
        .map_err(|error| PolicyError::NotAModule {
            policy: Arc::clone(policy),
            reason: format!("{error:#}"),
        })
}
