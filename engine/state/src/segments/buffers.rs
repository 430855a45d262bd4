//! Memory that records are read into. A thread uses the larger pieces again: fresh ones would come
//! from the system, which clears each of their pages.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// The lengths of buffers that are used again, in bytes: sizes in which allocators have memory, too.
const LENGTHS: [usize; 4] = [40 << 10, 80 << 10, 160 << 10, 320 << 10];
/// The bytes of unused buffers that a thread keeps at most.
const MAX_UNUSED: usize = 2 << 20;

thread_local! {
    static UNUSED: RefCell<UnusedBuffers> = RefCell::default();
}

/// The unused buffers of a thread, by their lengths.
#[derive(Default)]
struct UnusedBuffers {
    of_length: [Vec<Vec<u8>>; LENGTHS.len()],
    bytes: usize,
}

/// Memory that is read into. Nothing is said about the bytes of a new one.
#[derive(Debug)]
pub struct ReadBuffer {
    bytes: Vec<u8>,
    /// The bytes that count.
    length: usize,
}

impl ReadBuffer {
    /// The length of the longest buffer that is used again, in bytes.
    pub(super) const LONGEST: usize = LENGTHS[LENGTHS.len() - 1];

    pub(super) fn new(length: usize) -> ReadBuffer {
        let bytes = match place_of(length) {
            Some(place) => unused(place).unwrap_or_else(|| vec![0; LENGTHS[place]]),
            None => vec![0; length],
        };
        ReadBuffer { bytes, length }
    }

    /// The same bytes in a buffer of another length.
    pub(super) fn resized(&self, length: usize) -> ReadBuffer {
        let mut other = ReadBuffer::new(length);
        let kept = length.min(self.length);
        other[..kept].copy_from_slice(&self[..kept]);
        other
    }
}

impl Deref for ReadBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl DerefMut for ReadBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }
}

impl AsRef<[u8]> for ReadBuffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        if let Some(place) = LENGTHS.iter().position(|of| *of == self.bytes.len()) {
            let bytes = std::mem::take(&mut self.bytes);
            // A thread that ends keeps nothing.
            let _ = UNUSED.try_with(|unused| unused.borrow_mut().keep(place, bytes));
        }
    }
}

impl UnusedBuffers {
    fn keep(&mut self, place: usize, bytes: Vec<u8>) {
        if self.bytes + bytes.len() <= MAX_UNUSED {
            self.bytes += bytes.len();
            self.of_length[place].push(bytes);
        }
    }

    fn take(&mut self, place: usize) -> Option<Vec<u8>> {
        let bytes = self.of_length[place].pop()?;
        self.bytes -= bytes.len();
        Some(bytes)
    }
}

/// The place in [`LENGTHS`] of the buffers for so many bytes; `None` if they aren't worth it, or there are
/// too many.
fn place_of(length: usize) -> Option<usize> {
    let is_worth_it = length > LENGTHS[0] / 2;
    let place = || LENGTHS.iter().position(|of| *of >= length);
    is_worth_it.then(place).flatten()
}

fn unused(place: usize) -> Option<Vec<u8>> {
    let take = |unused: &RefCell<UnusedBuffers>| unused.borrow_mut().take(place);
    UNUSED.try_with(take).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> usize {
        UNUSED.with_borrow(|unused| unused.bytes)
    }

    #[test]
    fn a_thread_uses_larger_buffers_again_up_to_a_bound() {
        let mut first = ReadBuffer::new(100 << 10);
        first.fill(7);
        let place = first.as_ptr();
        drop(first);
        assert_eq!(kept(), 160 << 10);
        let again = ReadBuffer::new(90 << 10);
        assert_eq!((again.as_ptr(), again.len(), kept()), (place, 90 << 10, 0));
        drop(again);
        // Neither short ones, nor those that are too long, nor more than the bound.
        drop([ReadBuffer::new(1 << 10), ReadBuffer::new(321 << 10)]);
        assert_eq!(kept(), 160 << 10);
        let many: Vec<ReadBuffer> = (0..40).map(|_| ReadBuffer::new(70 << 10)).collect();
        drop(many);
        assert!(kept() > MAX_UNUSED - (80 << 10) && kept() <= MAX_UNUSED);
        std::thread::spawn(|| assert_eq!(kept(), 0)).join().unwrap();
    }

    #[test]
    fn a_buffer_of_another_length_begins_with_the_same_bytes() {
        let mut short = ReadBuffer::new(3);
        short.copy_from_slice(b"abc");
        let long = short.resized(50 << 10);
        assert!(long.len() == 50 << 10 && long.starts_with(b"abc"));
        assert_eq!(&*long.resized(2), b"ab");
    }
}
