//! The memory that allocations use, so that `[cache] memory` bounds memory and not a sum of
//! lengths.

/// The two counters of an `Arc`.
pub(super) const ARC_BYTES: usize = 16;
/// What a shared piece of bytes needs beside its content, once it was sent for the first time.
pub(super) const SHARED_BYTES: usize = 32;
/// What a surrogate key needs in the index: its entry, in a tree whose nodes are two thirds full.
pub(super) const TAG_BYTES: usize = 50;
/// What a key needs in moka beside its own bytes: the entry, its place in the queues and in the
/// hash table, its part of the frequency sketch.
pub(super) const ENTRY_BYTES: usize = 400;

/// Above this length, in bytes, jemalloc allocates whole pages.
const LARGE: usize = 14 * 1024;
const PAGE: usize = 4096;

/// The memory that an allocation of `length` bytes uses, in bytes: jemalloc has four sizes between
/// a power of two and the next, and above [`LARGE`] only the pages that are used count.
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
    fn allocations_are_rounded_up_to_a_size_of_the_allocator() {
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
