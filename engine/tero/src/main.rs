//! Start-up only: the allocator, the arguments, the exit code.

use std::process::ExitCode;

// Many threads hold and free bodies of all sizes. The system's allocator would keep far more memory
// than is in use.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Settings that jemalloc reads. A miss holds a buffer of 8 KiB for the client and one for the next
/// hop, and dozens of misses are under way. By default a thread caches 20 blocks of this size and
/// collects its cache after every 64 KiB, so nearly all buffers would come from the arena that all
/// threads share, and return there. With these settings the cache of a thread stays below 12 MB.
#[allow(
    unsafe_code,
    reason = "the name has to be the one that jemalloc looks for"
)]
#[unsafe(export_name = "_rjem_malloc_conf")]
static MALLOC_CONF: &[u8; 57] = b"tcache_nslots_small_min:100,tcache_gc_incr_bytes:4194304\0";

fn main() -> ExitCode {
    tero::cli::run()
}
