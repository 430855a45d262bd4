//! Start-up only: the allocator, the arguments, the exit code.

use std::process::ExitCode;

// Many threads hold and free bodies of all sizes; the system's allocator keeps far more than is in
// use.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Read by jemalloc. A miss holds a buffer of 8 KiB for the client and one for the next hop, and
/// dozens are under way. By jemalloc's own settings a thread keeps 20 such blocks and goes through
/// what it keeps for every 64 KiB, so nearly all of them would be taken from the arena that all
/// threads share, and go back there. What a thread keeps stays below 12 MB, if it has ever needed
/// as much.
#[allow(
    unsafe_code,
    reason = "the name has to be the one that jemalloc looks for"
)]
#[unsafe(export_name = "_rjem_malloc_conf")]
static MALLOC_CONF: &[u8; 57] = b"tcache_nslots_small_min:100,tcache_gc_incr_bytes:4194304\0";

fn main() -> ExitCode {
    tero::cli::run()
}
