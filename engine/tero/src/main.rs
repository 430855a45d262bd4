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
///
/// Bodies come and go, and those of a mebibyte would leave far more memory behind than
/// `[cache] memory`. So allocations from 128 KiB on have an arena of their own, which all threads
/// share, and which gives freed pages back at once. Other freed pages go back within a second, not
/// ten.
#[allow(
    unsafe_code,
    reason = "the name has to be the one that jemalloc looks for"
)]
#[unsafe(export_name = "_rjem_malloc_conf")]
static MALLOC_CONF: &[u8; 103] = b"tcache_nslots_small_min:100,tcache_gc_incr_bytes:4194304,\
dirty_decay_ms:1000,oversize_threshold:131072\0";

fn main() -> ExitCode {
    tero::cli::run()
}
