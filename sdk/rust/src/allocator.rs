//! Where modules keep what they allocate. A call is a hundred small allocations, strings of the question and of the answer above all, and
//! a general allocator takes as long over them as the policy over its decision.
//!
//! Small blocks are rounded up to one of 32 sizes, and what is freed waits in the list of its size; it is not joined with its neighbours,
//! so a module holds the most that it ever needed of each size. Everything else is the system allocator's.

#![allow(unsafe_code, reason = "an allocator hands out raw memory")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::null_mut;

/// Sizes are multiples of this, and so are addresses.
const STEP: usize = 16;
/// Blocks of up to 512 bytes are small.
const SIZES: usize = 32;
/// What is taken from the system allocator at once, to be cut into small blocks.
const CHUNK_BYTES: usize = 8 << 10;

/// An allocator for programs of one thread.
pub(crate) struct Allocator(UnsafeCell<Lists>);

struct Lists {
    /// Of each size the block that was freed last; it begins with the address of the one before.
    free: [*mut u8; SIZES],
    /// What is left of the last chunk.
    rest: *mut u8,
    rest_bytes: usize,
}

// SAFETY: a policy's module has one thread. Natively there are only this file's tests, each with an allocator of its own.
unsafe impl Sync for Allocator {}

impl Allocator {
    /// An allocator that holds nothing yet.
    pub(crate) const fn new() -> Allocator {
        Allocator(UnsafeCell::new(Lists { free: [null_mut(); SIZES], rest: null_mut(), rest_bytes: 0 }))
    }
}

/// Which of the sizes, if it is small.
fn size(layout: Layout) -> Option<usize> {
    let size = layout.size().wrapping_sub(1) / STEP;
    (size < SIZES && layout.align() <= STEP).then_some(size)
}

// SAFETY: a block is in one place at a time: the rest of a chunk, a free list, or its owner's hands. Whether one is small, and of which
// size, follows from its layout alone, which is the same when it comes back.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(size) = size(layout) else { return unsafe { System.alloc(layout) } };
        let lists = unsafe { &mut *self.0.get() };
        let block = lists.free[size];
        if block.is_null() {
            return lists.cut((size + 1) * STEP);
        }
        lists.free[size] = unsafe { block.cast::<*mut u8>().read() };
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(size) = size(layout) else { return unsafe { System.dealloc(block, layout) } };
        let lists = unsafe { &mut *self.0.get() };
        unsafe { block.cast::<*mut u8>().write(lists.free[size]) };
        lists.free[size] = block;
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_bytes: usize) -> *mut u8 {
        // SAFETY: the caller sees to it that the new size is a valid one for this alignment.
        let new = unsafe { Layout::from_size_align_unchecked(new_bytes, layout.align()) };
        match (size(layout), size(new)) {
            (Some(before), Some(after)) if before == after => return block,
            (None, None) => return unsafe { System.realloc(block, layout, new_bytes) },
            _ => {}
        }
        let moved = unsafe { self.alloc(new) };
        if !moved.is_null() {
            unsafe {
                moved.copy_from_nonoverlapping(block, layout.size().min(new_bytes));
                self.dealloc(block, layout);
            }
        }
        moved
    }
}

impl Lists {
    /// A block from the chunk, or from a new one; what is left of the old chunk is too small to be missed.
    #[cold]
    fn cut(&mut self, bytes: usize) -> *mut u8 {
        if self.rest_bytes < bytes {
            let chunk = Layout::from_size_align(CHUNK_BYTES, STEP).expect("a power of two is an alignment");
            // SAFETY: a chunk is not empty.
            let chunk = unsafe { System.alloc(chunk) };
            if chunk.is_null() {
                return chunk;
            }
            (self.rest, self.rest_bytes) = (chunk, CHUNK_BYTES);
        }
        let block = self.rest;
        // SAFETY: so much is left.
        self.rest = unsafe { self.rest.add(bytes) };
        self.rest_bytes -= bytes;
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(bytes: usize, align: usize) -> Layout {
        Layout::from_size_align(bytes, align).unwrap()
    }

    #[test]
    fn what_is_freed_is_given_out_again_and_blocks_do_not_overlap() {
        let allocator = Allocator::new();
        let layouts =
            [(1, 1), (16, 16), (17, 4), (512, 8), (513, 8), (64, 64), (9_000, 1)].map(|(bytes, align)| layout(bytes, align));
        let mut first = Vec::new();
        for round in 0..2 {
            let mut blocks: Vec<(*mut u8, Layout)> = Vec::new();
            for (fill, layout) in (0_u8..).zip(layouts.iter().cycle().take(200)) {
                let block = unsafe { allocator.alloc(*layout) };
                assert!(!block.is_null() && block.addr().is_multiple_of(layout.align()));
                unsafe { block.write_bytes(fill, layout.size()) };
                blocks.push((block, *layout));
            }
            for (fill, (block, layout)) in (0_u8..).zip(&blocks) {
                let bytes = unsafe { std::slice::from_raw_parts(*block, layout.size()) };
                assert!(bytes.iter().all(|byte| *byte == fill), "{layout:?}");
            }
            let mut small: Vec<_> =
                blocks.iter().filter(|(_, layout)| size(*layout).is_some()).map(|(block, _)| *block).collect();
            small.sort_unstable();
            if round == 1 {
                assert_eq!(first, small);
            }
            first = small;
            blocks.into_iter().for_each(|(block, layout)| unsafe { allocator.dealloc(block, layout) });
        }
    }

    #[test]
    fn what_grows_and_shrinks_keeps_its_bytes() {
        let allocator = Allocator::new();
        let mut bytes = 3;
        let mut block = unsafe { allocator.alloc(layout(bytes, 1)) };
        unsafe { block.copy_from_nonoverlapping(b"abc".as_ptr(), 3) };
        for next in [16, 17, 512, 513, 9_000, 600, 500, 3] {
            block = unsafe { allocator.realloc(block, layout(bytes, 1), next) };
            bytes = next;
            assert_eq!(unsafe { std::slice::from_raw_parts(block, 3) }, b"abc");
        }
        unsafe { allocator.dealloc(block, layout(bytes, 1)) };
    }
}
