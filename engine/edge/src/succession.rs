//! What purges mean while one process takes over from another.
//!
//! The two have stores of their own. So a purge is counted until the new process begins to serve, and
//! refused by the old one from then on. The new one answers a purge only when the old one can't
//! serve a request any more from what was purged.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

/// How long a purge waits for the old process, at most. That one has ended its connections by then,
/// or hangs.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Where an edge stands between the process before it and the one after it.
#[derive(Debug)]
pub struct Succession {
    /// Read-locked by purges under way.
    is_handed_over: RwLock<bool>,
    purges: AtomicU64,
    /// The process before answers no requests any more, or there was none.
    is_alone: Mutex<bool>,
    became_alone: Condvar,
}

/// Another process serves now, and has a store of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another process has taken over")]
pub struct HandedOverError;

impl Default for Succession {
    fn default() -> Succession {
        Succession {
            is_handed_over: RwLock::new(false),
            purges: AtomicU64::new(0),
            is_alone: Mutex::new(true),
            became_alone: Condvar::new(),
        }
    }
}

impl Succession {
    /// Begins a purge, which goes on until the guard is dropped. Waits until the process before
    /// answers no requests any more.
    ///
    /// # Errors
    /// [`HandedOverError`] if another process serves.
    pub(crate) fn begin_purge(&self) -> Result<RwLockReadGuard<'_, bool>, HandedOverError> {
        let is_alone = self.is_alone.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .became_alone
            .wait_timeout_while(is_alone, LONGEST_WAIT, |is_alone| !*is_alone);
        drop(waited);
        let guard = self.is_handed_over.read();
        let guard = guard.unwrap_or_else(PoisonError::into_inner);
        if *guard {
            return Err(HandedOverError);
        }
        self.purges.fetch_add(1, Ordering::Relaxed);
        Ok(guard)
    }

    /// Whether another process serves.
    pub fn is_handed_over(&self) -> bool {
        *self
            .is_handed_over
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of purges so far.
    pub fn purges(&self) -> u64 {
        self.purges.load(Ordering::Relaxed)
    }

    /// Leaves serving to another process. Returns the number of purges, of which there will be no
    /// more.
    pub fn hand_over(&self) -> u64 {
        let guard = self.is_handed_over.write();
        *guard.unwrap_or_else(PoisonError::into_inner) = true;
        self.purges()
    }

    /// Goes on serving: the other process has failed.
    pub fn take_back(&self) {
        let guard = self.is_handed_over.write();
        *guard.unwrap_or_else(PoisonError::into_inner) = false;
    }

    /// Says whether the process before may still answer requests.
    pub fn set_alone(&self, is_alone: bool) {
        let alone = self.is_alone.lock();
        *alone.unwrap_or_else(PoisonError::into_inner) = is_alone;
        self.became_alone.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn purges_are_counted_until_another_process_serves() {
        let succession = Succession::default();
        drop(succession.begin_purge().unwrap());
        assert_eq!(
            (succession.purges(), succession.is_handed_over()),
            (1, false)
        );
        assert_eq!(succession.hand_over(), 1);
        assert!(succession.is_handed_over());
        assert_eq!(succession.begin_purge().unwrap_err(), HandedOverError);
        assert_eq!(succession.purges(), 1);
    }

    #[test]
    fn a_purge_waits_until_the_process_before_is_quiet() {
        let succession = Arc::new(Succession::default());
        succession.set_alone(false);
        let (done, wait) = std::sync::mpsc::channel();
        let purging = Arc::clone(&succession);
        let thread = std::thread::spawn(move || {
            let result = purging.begin_purge().map(drop);
            done.send(result).unwrap();
        });
        assert!(wait.recv_timeout(Duration::from_millis(50)).is_err());
        succession.set_alone(true);
        assert_eq!(wait.recv().unwrap(), Ok(()));
        thread.join().unwrap();
    }
}
