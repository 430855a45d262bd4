//! `[cache]`.

use std::time::Duration;

use super::cache_disk::CacheDisk;
use crate::forms;
use crate::mistakes::Mistake;
use crate::units::{Share, show_size};

/// The largest body that is stored by default, if the memory is large enough.
const DEFAULT_MAX_OBJECT: u64 = 64 << 20;
/// The least memory for fills in flight.
const MIN_FILL_MEMORY: u64 = 64 << 10;

section! {
    /// The store, its memory and request collapsing.
    #[derive(Clone, Debug)]
    [cache]
    pub struct Cache {
        /// Maximum size of the whole store: keys, header fields, bodies, overhead and fills in
        /// flight.
        memory: u64 = "512MiB", Size("1MiB", "16TiB");
        /// The largest body that is stored; at most half of `memory`.
        max_object: u64
            = rule(
                "`64MiB`, or an eighth of `memory` if that is less",
                DEFAULT_MAX_OBJECT.min(memory / 8)
            ),
            Size("1KiB", "8TiB") => at_most_half(memory);
        /// The part of `memory` that fills in flight may take; from `max_object` to half of
        /// `memory`.
        fill_memory: u64
            = rule(
                "an eighth of `memory`, at least `max_object` and `64KiB`",
                (memory / 8).max(max_object).max(MIN_FILL_MEMORY)
            ),
            Size("64KiB", "8TiB") => at_most_half(memory);
        /// The part of `memory` for warmed responses that no visitor has requested yet; at most
        /// half of `memory`.
        warm_memory: u64 = rule("an eighth of `memory`", memory / 8),
            Size("0B", "8TiB") => at_most_half(memory);
        /// Maximum number of stored responses per key that differ by `Vary`.
        max_variants: usize = 32, Count(1, 1_000);
        /// Maximum number of combined variants of a site: the product of the variants that its
        /// policies declare. A shield passes requests of edges with further ones.
        max_policy_variants: usize = 64, Count(1, 10_000);
        /// How long a follower waits for the leader's fetch before it fetches by itself.
        collapse_timeout: Duration = "10s", Duration("10ms", "5min");
        /// How long "not storable" is remembered for a key, so that its requests don't wait for
        /// each other.
        hit_for_miss: Duration = "2min", Duration("1s", "1h");
        /// Maximum number of stored responses that are compressed in the background at the same
        /// time. Each takes a thread, and up to `site.compress.max` of memory and 16 MiB more,
        /// beside `memory`.
        compress_threads: usize = 1, Count(1, 64);
        /// The share of its time that each of these threads works.
        compress_share: Share = "25%", Text("a percentage: above `0%`, at most `100%`")
            => forms::share;
        /// Maximum number of stored responses that wait for being compressed, of a 16th of `memory`
        /// together. Further ones are left out until they are requested again.
        compress_queue: usize = 1024, Count(1, 100_000);
        /// See `[[cache.disk]]`.
        disks as "disk": Vec<CacheDisk> = rule("none", Vec::new()), NestedList(CacheDisk);
    }
}

/// A part of `memory` that leaves room for the rest.
fn at_most_half(memory: u64) -> impl Fn(u64) -> Result<u64, Mistake> {
    move |size| {
        if size <= memory / 2 {
            return Ok(size);
        }
        let half = show_size(memory / 2);
        Err(Mistake::new(
            format!("{} is more than half of memory", show_size(size)),
            format!("write at most {half}, or make memory larger"),
        ))
    }
}
