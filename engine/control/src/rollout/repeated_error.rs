//! An error that may come each time: it is logged once and counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The latest error of something that is tried again and again.
#[derive(Debug, Default)]
pub(super) struct RepeatedError {
    count: AtomicU64,
    latest: Mutex<Option<String>>,
}

impl RepeatedError {
    /// Counts an error; true if it differs from the one before, and so is worth a log line.
    pub(super) fn note(&self, error: &str) -> bool {
        self.count.fetch_add(1, Ordering::Relaxed);
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.as_deref() == Some(error) {
            return false;
        }
        *latest = Some(error.to_owned());
        true
    }

    /// Notes that it worked; true if it had not the time before.
    pub(super) fn clear(&self) -> bool {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.take().is_some()
    }

    /// The latest error; `None` if it worked since.
    pub(super) fn latest(&self) -> Option<String> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.clone()
    }

    /// How many errors there have been.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_error_is_worth_one_line_until_it_worked() {
        let errors = RepeatedError::default();
        let notes = ["full", "full", "gone", "full"].map(|error| errors.note(error));
        assert_eq!(notes, [true, false, true, true]);
        assert_eq!((errors.count(), errors.latest()), (4, Some("full".into())));
        assert!(errors.clear() && !errors.clear());
        assert!(errors.note("full"));
    }
}
