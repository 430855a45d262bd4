//! The end of threads that go on until a test says so.

use std::sync::atomic::{AtomicBool, Ordering};

/// Sets a flag when it is dropped: at the end of a test, and when the test fails too. Threads of a
/// [scope](std::thread::scope) that wait for the flag would hold up the scope, and so the whole run, for
/// ever otherwise.
#[derive(Debug)]
pub struct SetWhenDropped<'f>(pub &'f AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
