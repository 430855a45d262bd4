//! `tero compile-module`: the compiler that tero runs as a process of its own. Hidden, since only
//! tero has a use for it.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::fail;
use tero_policy_host::{Compiler, CompilerArguments, CompilerCommand, compile_as_child};

/// The name of the command.
pub(super) const NAME: &str = "compile-module";

/// Compiles a module from standard input to standard output, for tero itself
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  tero compile-module --stack 524288 --memory 1073741824 --cpu-secs 30 <a >b"
)]
pub(super) struct CompileCommand {
    /// The stack of policies, in bytes
    #[arg(long, value_name = "BYTES")]
    stack: u64,
    /// The most memory, in bytes
    #[arg(long, value_name = "BYTES")]
    memory: u64,
    /// The most processor time, in seconds
    #[arg(long, value_name = "SECONDS")]
    cpu_secs: u64,
    /// Counts instructions
    #[arg(long)]
    fuel: bool,
}

impl CompileCommand {
    pub(super) fn run(self) -> ExitCode {
        let arguments = CompilerArguments {
            stack_bytes: self.stack,
            counts_fuel: self.fuel,
            memory_bytes: self.memory,
            cpu_secs: self.cpu_secs,
        };
        match compile_as_child(arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error.to_string()),
        }
    }
}

/// Settings of the compiler's allocator: few arenas, and address space that is given back, since the
/// limit counts it.
const ALLOCATOR: &str = "narenas:4,retain:false,background_thread:false";

/// The running program, whatever has been put into the place of its file.
const RUNNING: &str = "/proc/self/exe";

/// The compiler of this program: itself, even if its file has been replaced meanwhile. Below an
/// instrument such as valgrind it compiles in its own process, since what it would start is the
/// instrument.
pub(super) fn compiler() -> Compiler {
    if is_instrumented() {
        return Compiler::InProcess;
    }
    Compiler::Process(CompilerCommand {
        program: RUNNING.into(),
        arguments: vec![NAME.into()],
        environment: vec![("_RJEM_MALLOC_CONF".into(), ALLOCATOR.into())],
    })
}

/// Whether another program runs this one.
fn is_instrumented() -> bool {
    let file = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    std::env::current_exe()
        .is_ok_and(|named| named.is_file() && file(&named) != file(Path::new(RUNNING)))
}
