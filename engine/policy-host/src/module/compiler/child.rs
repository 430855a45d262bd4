//! The compiler's side: it limits itself, reads a module, and writes code or a refusal.
//!
//! The first byte of its output says which: [`CODE`] before machine code, [`REFUSAL`] before JSON.

use std::io::{self, Read as _, Write as _};
use std::num::NonZeroUsize;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::{EngineSettings, compile};
use crate::error::PolicyError;
use crate::runtime;

pub(super) const CODE: u8 = 0;
pub(super) const REFUSAL: u8 = 1;

/// By how much a compiler gives way to the threads that serve requests.
const NICENESS: i32 = 10;

/// What a compiler is told on its command line, as `--stack BYTES --memory BYTES --cpu-secs SECS`
/// and, if instructions are counted, `--fuel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompilerArguments {
    /// The stack of guests, in bytes.
    pub stack_bytes: u64,
    /// Whether the code counts instructions.
    pub counts_fuel: bool,
    /// The limit of its address space, in bytes.
    pub memory_bytes: u64,
    /// The limit of its processor time, over all threads.
    pub cpu_secs: u64,
}

/// Why a module is refused, between processes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Refusal {
    NotAModule(String),
    NoContract(String),
    ContractVersion(String),
    NotOffered(String),
}

impl Refusal {
    fn of(error: PolicyError) -> Refusal {
        match error {
            PolicyError::NotAModule { reason, .. } => Refusal::NotAModule(reason),
            PolicyError::NoContract { reason, .. } => Refusal::NoContract(reason),
            PolicyError::ContractVersion { found, .. } => Refusal::ContractVersion(found),
            PolicyError::NotOffered { import, .. } => Refusal::NotOffered(import),
            other => Refusal::NotAModule(other.to_string()),
        }
    }

    pub(super) fn into_error(self, policy: &Arc<str>) -> PolicyError {
        let policy = Arc::clone(policy);
        match self {
            Refusal::NotAModule(reason) => PolicyError::NotAModule { policy, reason },
            Refusal::NoContract(reason) => PolicyError::NoContract { policy, reason },
            Refusal::ContractVersion(found) => PolicyError::ContractVersion { policy, found },
            Refusal::NotOffered(import) => PolicyError::NotOffered { policy, import },
        }
    }
}

/// Compiles as a child of tero: limits this process, reads a module from standard input, and writes
/// its code, or why there is none, to standard output. For the command of a
/// [`Compiler`](super::Compiler).
///
/// # Errors
/// The limits can't be set, or a stream is closed.
pub fn compile_as_child(arguments: CompilerArguments) -> io::Result<()> {
    limit(arguments)?;
    let mut module = Vec::new();
    io::stdin().lock().read_to_end(&mut module)?;
    let settings = EngineSettings {
        stack_bytes: arguments.stack_bytes,
        counts_fuel: arguments.counts_fuel,
    };
    let unnamed = Arc::from("");
    let compiled = runtime::engine(settings.stack_bytes, settings.counts_fuel)
        .and_then(|engine| compile(&engine, &unnamed, &module));
    let (tag, content) = match compiled {
        Ok(code) => (CODE, code),
        Err(error) => (REFUSAL, serde_json::to_vec(&Refusal::of(error))?),
    };
    let mut out = io::stdout().lock();
    out.write_all(&[tag])?;
    out.write_all(&content)?;
    out.flush()
}

fn limit(arguments: CompilerArguments) -> io::Result<()> {
    // It must not outlive the edge, which would have killed it in time.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let at_most = |limit: u64| Rlimit {
        current: Some(limit),
        maximum: Some(limit),
    };
    setrlimit(Resource::As, at_most(arguments.memory_bytes))?;
    setrlimit(Resource::Cpu, at_most(arguments.cpu_secs))?;
    setrlimit(Resource::Core, at_most(0))?;
    // A compiler that can't give way still compiles.
    let _ = rustix::process::nice(NICENESS);
    Ok(())
}

/// The processor time that all cores have in so many seconds.
pub(super) fn cpu_secs(secs: u64) -> u64 {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    secs.max(1).saturating_mul(cores as u64)
}
