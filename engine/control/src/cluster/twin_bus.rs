//! A bus within this process, for tests.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::bus::{BusError, BusReport, FleetBus, FleetQuestion, SharedEntry};

/// A bus within this process.
#[derive(Debug, Default)]
pub(super) struct TwinBus {
    shared: Mutex<Option<SharedEntry>>,
    contents: Mutex<HashMap<String, Vec<u8>>>,
    leases: Mutex<HashMap<String, String>>,
    is_cut_off: AtomicBool,
}

impl TwinBus {
    /// Cuts all nodes off, or connects them again.
    pub(super) fn cut_off(&self, is_cut_off: bool) {
        self.is_cut_off.store(is_cut_off, Ordering::SeqCst);
    }

    /// Ends all leases, as time does.
    pub(super) fn end_leases(&self) {
        lock(&self.leases).clear();
    }

    fn reach(&self) -> Result<(), BusError> {
        match self.is_cut_off.load(Ordering::SeqCst) {
            true => Err(BusError::Unreachable("cut off".to_owned())),
            false => Ok(()),
        }
    }
}

impl FleetBus for TwinBus {
    fn shared(&self) -> Result<Option<SharedEntry>, BusError> {
        self.reach()?;
        Ok(lock(&self.shared).clone())
    }

    fn replace_shared(&self, content: Vec<u8>, revision: Option<u64>) -> Result<u64, BusError> {
        self.reach()?;
        let mut shared = lock(&self.shared);
        if shared.as_ref().map(|entry| entry.revision) != revision {
            return Err(BusError::Conflict);
        }
        let revision = revision.unwrap_or(0) + 1;
        *shared = Some(SharedEntry { revision, content });
        Ok(revision)
    }

    fn content(&self, digest: &str) -> Result<Vec<u8>, BusError> {
        self.reach()?;
        let contents = lock(&self.contents);
        let content = contents.get(digest).cloned();
        content.ok_or_else(|| BusError::Missing(digest.to_owned()))
    }

    fn keep_content(&self, digest: &str, content: &[u8]) -> Result<(), BusError> {
        self.reach()?;
        lock(&self.contents).insert(digest.to_owned(), content.to_vec());
        Ok(())
    }

    fn tell(&self, _: Vec<u8>) -> Result<(), BusError> {
        self.reach()
    }

    fn ask(&self, _: &FleetQuestion, _: usize, _: Duration) -> Result<Vec<Vec<u8>>, BusError> {
        self.reach()?;
        Ok(Vec::new())
    }

    fn hold_lease(&self, name: &str, holder: &str) -> Result<bool, BusError> {
        self.reach()?;
        let mut leases = lock(&self.leases);
        let has_it = leases
            .entry(name.to_owned())
            .or_insert_with(|| holder.to_owned());
        Ok(has_it == holder)
    }

    fn lease_holder(&self, name: &str) -> Result<Option<String>, BusError> {
        self.reach()?;
        Ok(lock(&self.leases).get(name).cloned())
    }

    fn pass_lease(&self, name: &str, holder: &str, next: &str) -> Result<(), BusError> {
        self.reach()?;
        let mut leases = lock(&self.leases);
        match leases.get_mut(name) {
            Some(has_it) if has_it == holder => {
                next.clone_into(has_it);
                Ok(())
            }
            Some(_) => Err(BusError::Conflict),
            None => Err(BusError::Missing(name.to_owned())),
        }
    }

    fn report(&self) -> BusReport {
        BusReport::default()
    }
}

fn lock<T>(part: &Mutex<T>) -> MutexGuard<'_, T> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}
