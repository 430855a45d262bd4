//! Start-up only: the allocator, the arguments, the exit code.

use std::process::ExitCode;

// Many threads hold and free bodies of all sizes; the system's allocator keeps far more than is in use.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    tero::cli::run()
}
