//! What allocations cost, so that `[cache] memory` is memory and not a sum of lengths.

/// The two counters of an `Arc`.
pub(super) const ARC_BYTES: usize = 16;
/// What sharing a piece of bytes takes once it has been sent for the first time.
pub(super) const SHARED_BYTES: usize = 32;
/// What a surrogate key costs in the index: its entry, in a tree whose nodes are two thirds full.
pub(super) const TAG_BYTES: usize = 50;
/// What a key costs in moka beside its own bytes: the entry, its place in the queues and in the
/// hash table, its part of the frequency sketch.
pub(super) const ENTRY_BYTES: usize = 400;

/// Where jemalloc begins to give out whole pages, in bytes.
const LARGE: usize = 14 * 1024;
const PAGE: usize = 4096;

/// The bytes that an allocation of `length` takes: jemalloc has four sizes between a power of two
/// and the next, and above [`LARGE`] only the pages that are used take memory.
pub(super) fn allocated(length: usize) -> usize {
    match length {
        0 => 0,
        1..=128 => length.next_multiple_of(16),
        _ if length > LARGE => length.next_multiple_of(PAGE),
        _ => length.next_multiple_of(1 << ((length - 1).ilog2() - 2)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocations_take_the_next_size_of_the_allocator() {
        for (length, taken) in [
            (0, 0),
            (1, 16),
            (16, 16),
            (17, 32),
            (128, 128),
            (129, 160),
            (256, 256),
            (257, 320),
            (1_024, 1_024),
            (1_025, 1_280),
            (14_336, 14_336),
            (14_337, 16_384),
            (102_400, 102_400),
            (102_401, 106_496),
        ] {
            assert_eq!(allocated(length), taken, "{length}");
        }
    }
}
