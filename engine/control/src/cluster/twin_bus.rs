//! A bus within this process, for tests.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::bus::{BusError, BusReport, FleetBus, FleetQuestion, SharedEntry};
use super::work::{TakenWork, WorkAnswer, WorkQueue, WorkTicket};

/// A bus within this process.
#[derive(Debug, Default)]
pub(super) struct TwinBus {
    shared: Mutex<Option<SharedEntry>>,
    contents: Mutex<HashMap<String, Vec<u8>>>,
    leases: Mutex<HashMap<String, String>>,
    work: Mutex<TwinWork>,
    runs: Mutex<HashMap<String, SharedEntry>>,
    is_cut_off: AtomicBool,
    faults: Mutex<TwinFaults>,
}

/// What goes wrong, as numbers of calls to come, and calls that were made.
#[derive(Debug, Default)]
pub(super) struct TwinFaults {
    /// Work that is taken and doesn't come.
    pub(super) silent_takes: u32,
    /// Changes of a document at which another node is first.
    pub(super) conflicts: u32,
    /// Changes of a document whose answer is lost.
    pub(super) lost_answers: u32,
    /// Changes of a document that are lost themselves.
    pub(super) lost_changes: u32,
    /// Documents that can't be read.
    pub(super) failed_looks: u32,
    /// Work that the queue has room for; `None` for any.
    pub(super) room: Option<usize>,
    /// Nodes have no right to answer for work.
    pub(super) is_mute: bool,
    /// Work that was asked for.
    pub(super) takes: u32,
}

/// Work of all plans, in order: what waits, and what is under way.
#[derive(Debug, Default)]
struct TwinWork {
    waiting: VecDeque<(String, TakenWork)>,
    under_way: Vec<(String, TakenWork)>,
    put: u64,
}

impl TwinBus {
    /// Has all work that is under way come again, as time does.
    pub(super) fn redeliver(&self) {
        let mut work = lock(&self.work);
        for lost in std::mem::take(&mut work.under_way).into_iter().rev() {
            work.waiting.push_front(lost);
        }
    }

    /// Cuts all nodes off, or connects them again.
    pub(super) fn cut_off(&self, is_cut_off: bool) {
        self.is_cut_off.store(is_cut_off, Ordering::SeqCst);
    }

    /// What goes wrong.
    pub(super) fn faults(&self) -> MutexGuard<'_, TwinFaults> {
        lock(&self.faults)
    }

    /// Work that is in the queue of any run, or under way.
    pub(super) fn queued(&self) -> usize {
        let work = lock(&self.work);
        work.waiting.len() + work.under_way.len()
    }

    /// Ends all leases, as time does.
    pub(super) fn end_leases(&self) {
        lock(&self.leases).clear();
    }

    /// Forgets the documents of all runs.
    pub(super) fn forget_runs(&self) {
        lock(&self.runs).clear();
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

impl WorkQueue for TwinBus {
    fn put_work(&self, run: &str, contents: Vec<Vec<u8>>) -> Result<(), BusError> {
        self.reach()?;
        let mut work = lock(&self.work);
        for content in contents {
            let held = work.waiting.len() + work.under_way.len();
            if self.faults().room.is_some_and(|room| held >= room) {
                return Err(BusError::Unreachable("the queue is full".to_owned()));
            }
            work.put += 1;
            let ticket = WorkTicket(work.put.to_string());
            let taken = TakenWork {
                ticket,
                content,
                times: 0,
            };
            work.waiting.push_back((run.to_owned(), taken));
        }
        Ok(())
    }

    fn take_work(
        &self,
        run: &str,
        at_once: usize,
        _: Duration,
    ) -> Result<Option<TakenWork>, BusError> {
        self.reach()?;
        self.faults().takes += 1;
        if spent(&mut self.faults().silent_takes) {
            return Ok(None);
        }
        let mut work = lock(&self.work);
        let of_run = |(of, _): &&(String, TakenWork)| of == run;
        if work.under_way.iter().filter(of_run).count() >= at_once {
            return Ok(None);
        }
        let place = work.waiting.iter().position(|(of, _)| of == run);
        let Some(mut taken) = place.and_then(|place| work.waiting.remove(place)) else {
            return Ok(None);
        };
        taken.1.times += 1;
        work.under_way.push(taken.clone());
        Ok(Some(taken.1))
    }

    fn answer_work(&self, ticket: &WorkTicket, answer: WorkAnswer) -> Result<(), BusError> {
        self.reach()?;
        if self.faults().is_mute {
            return Err(BusError::Unreachable("no right".to_owned()));
        }
        let mut work = lock(&self.work);
        let place = work
            .under_way
            .iter()
            .position(|(_, taken)| taken.ticket == *ticket);
        match (place, answer) {
            (None, _) | (_, WorkAnswer::UnderWay) => {}
            (Some(place), WorkAnswer::Done) => drop(work.under_way.remove(place)),
            (Some(place), WorkAnswer::GivenBack) => {
                let back = work.under_way.remove(place);
                work.waiting.push_front(back);
            }
        }
        Ok(())
    }

    fn run_document(&self, run: &str) -> Result<Option<SharedEntry>, BusError> {
        self.reach()?;
        if spent(&mut self.faults().failed_looks) {
            return Err(BusError::Unreachable("no answer in time".to_owned()));
        }
        Ok(lock(&self.runs).get(run).cloned())
    }

    fn replace_run_document(
        &self,
        run: &str,
        content: Vec<u8>,
        revision: Option<u64>,
    ) -> Result<u64, BusError> {
        self.reach()?;
        let mut runs = lock(&self.runs);
        let is_other = runs.get(run).map(|entry| entry.revision) != revision;
        if is_other || spent(&mut self.faults().conflicts) {
            return Err(BusError::Conflict);
        }
        if spent(&mut self.faults().lost_changes) {
            return Err(BusError::Unreachable("no answer in time".to_owned()));
        }
        let revision = revision.unwrap_or(0) + 1;
        runs.insert(run.to_owned(), SharedEntry { revision, content });
        match spent(&mut self.faults().lost_answers) {
            true => Err(BusError::Unreachable("no answer in time".to_owned())),
            false => Ok(revision),
        }
    }
}

/// Whether one more of these is to come, which has come now.
fn spent(left: &mut u32) -> bool {
    let is_left = *left > 0;
    *left = left.saturating_sub(1);
    is_left
}

fn lock<T>(part: &Mutex<T>) -> MutexGuard<'_, T> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}
