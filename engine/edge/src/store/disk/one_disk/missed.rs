//! Withdrawals that a disk lacks: they came while it was left out, or found no room in its queue.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::lock;
use crate::store::Key;
use tero_state::segments::AppendError;

/// Withdrawals that a disk may lack before it is left out until the next start.
const MAX_MISSED: usize = 100_000;

/// The keys that were withdrawn, at most [`MAX_MISSED`].
#[derive(Debug, Default)]
pub(super) struct MissedKeys {
    keys: Mutex<Vec<Key>>,
    /// Whether there are others that aren't known.
    has_unknown: AtomicBool,
}

impl MissedKeys {
    /// Remembers a withdrawal.
    pub(super) fn note(&self, key: &Key) {
        let mut keys = lock(&self.keys);
        if keys.len() < MAX_MISSED && keys.last() != Some(key) {
            keys.push(key.clone());
        }
    }

    /// Remembers that there was a withdrawal of which the key can't be read any more.
    pub(super) fn note_unknown(&self) {
        self.has_unknown.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_empty(&self) -> bool {
        lock(&self.keys).is_empty() && !self.has_unknown.load(Ordering::Relaxed)
    }

    /// Has all withdrawals written. After an error, those that were not are kept.
    ///
    /// # Errors
    /// That of `write`, or that there may have been others than are remembered: then this never succeeds
    /// again.
    pub(super) fn write_all(
        &self,
        write: impl Fn(&Key) -> Result<(), AppendError>,
    ) -> io::Result<()> {
        let keys = {
            let mut keys = lock(&self.keys);
            if keys.len() >= MAX_MISSED || self.has_unknown.load(Ordering::Relaxed) {
                return Err(io::Error::other(
                    "more responses were withdrawn meanwhile than are known; it is used again after the next start",
                ));
            }
            std::mem::take(&mut *keys)
        };
        for (done, key) in keys.iter().enumerate() {
            if let Err(AppendError::Io(error)) = write(key) {
                self.put_back(&keys[done..]);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Remembers withdrawals that were not written. Others may have come meanwhile.
    fn put_back(&self, unwritten: &[Key]) {
        let mut keys = lock(&self.keys);
        let room = MAX_MISSED - keys.len();
        keys.extend(unwritten.iter().take(room).cloned());
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn key(number: usize) -> Key {
        Key::new(&number.to_le_bytes())
    }

    fn failed() -> AppendError {
        AppendError::Io(io::ErrorKind::Other.into())
    }

    #[test]
    fn withdrawals_that_are_not_written_are_kept_once() {
        let missed = MissedKeys::default();
        for number in [1, 2, 2, 3] {
            missed.note(&key(number));
        }
        for _ in 0..3 {
            let write = |tried: &Key| match *tried == key(1) {
                true => Ok(()),
                false => Err(failed()),
            };
            assert!(missed.write_all(write).is_err());
        }
        let written = RefCell::new(Vec::new());
        let write = |tried: &Key| {
            written.borrow_mut().push(tried.clone());
            Ok(())
        };
        missed.write_all(write).unwrap();
        assert_eq!(written.into_inner(), [key(2), key(3)]);
        assert!(missed.is_empty());
    }

    #[test]
    fn more_withdrawals_than_can_be_remembered_are_never_taken_for_written() {
        let missed = MissedKeys::default();
        (0..MAX_MISSED - 1).for_each(|number| missed.note(&key(number)));
        // Others come while the disk fails again.
        let write = |_: &Key| {
            (0..3).for_each(|more| missed.note(&key(MAX_MISSED + more)));
            Err(failed())
        };
        assert!(missed.write_all(write).is_err());
        assert_eq!(lock(&missed.keys).len(), MAX_MISSED);
        let unreached = |_: &Key| -> Result<(), AppendError> { panic!("it is not tried") };
        assert!(missed.write_all(unreached).is_err());
        assert!(!missed.is_empty());
        let missed = MissedKeys::default();
        missed.note_unknown();
        assert!(missed.write_all(unreached).is_err());
        assert!(!missed.is_empty());
    }
}
