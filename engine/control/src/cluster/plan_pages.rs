//! The pages of a run that nodes share: batches in a queue, and a document in which each node notes what it
//! has done, and which all show as the report of the run.
//!
//! Each run has a queue of its own, so that none holds up another. A batch leaves it after it stands in the
//! document. So what a node had that dies comes again to another one, and what comes twice counts once. A
//! node begins once the document is there: the node that planned writes it when all batches are in the
//! queue, and who dies before that leaves batches of an attempt that no document names. The document says
//! when the run ends, and whether an operator has ended it before: nodes take out what is in the queue
//! still then.

mod queued;

use std::sync::Arc;
use std::time::Duration;

use self::queued::{QueuedBatch, QueuedPage, small};
use super::bus::{BusError, FleetBus, SharedEntry};
use super::drawn::drawn;
use super::pause::{FIRST_REST, LONGEST_REST, shortened};
use super::work::{TakenWork, WORK_BYTES, WorkAnswer, WorkTicket};
use crate::warm::shared::{
    BatchResult, FleetRun, MOST_AT_ONCE, PageSharing, SharedBatch, SharedPlan, SharedRunName,
    TakenPages,
};
use tero_time::clock::Clock;

/// How long a node waits for pages before it looks at the run again.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most that a run puts into the queue, in bytes: half of it, so that other plans have room.
const MOST_SHARED: usize = WORK_BYTES / 2;
/// How often a node that has planned tries to take something of it: longer than a node that died while it
/// planned the same run keeps its place.
const TRIES_TO_TAKE: u32 = 9;
/// How often a change of the document is tried again, after another node was first.
const MOST_TRIES: u32 = 100;
/// How often a node looks for a document that it may have written: about five seconds in all.
const MOST_LOOKS: u32 = 6;
/// Batches that no run needs, which a node takes out of the queue before it looks at the run again.
const MOST_LEFTOVERS: usize = 100;
/// How often a batch comes to nodes before one takes it that can't read it all: another version of tero has
/// planned it. Each time but the last, it is given back for nodes of that version.
const FOR_OTHER_VERSIONS: u64 = 10;

/// The pages that this node shares with others.
#[derive(Debug)]
pub struct PlanPages {
    node: String,
    bus: Arc<dyn FleetBus>,
    clock: Clock,
    /// The first rest before something is tried again.
    rest: Duration,
    most_shared: usize,
}

/// Whether there is a document after its writing has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DocumentState {
    There,
    NotThere,
    Unknown,
}

impl PlanPages {
    /// The pages of this node.
    pub fn new(node: &str, bus: &Arc<dyn FleetBus>, clock: &Clock) -> PlanPages {
        PlanPages {
            node: node.to_owned(),
            bus: Arc::clone(bus),
            clock: clock.clone(),
            rest: FIRST_REST,
            most_shared: MOST_SHARED,
        }
    }

    fn try_look(&self, run: &SharedRunName) -> Result<Option<FleetRun>, BusError> {
        Ok(self.entry(run)?.map(|(_, run)| run))
    }

    /// The document of a run, with its revision.
    fn entry(&self, run: &SharedRunName) -> Result<Option<(u64, FleetRun)>, BusError> {
        let Some(SharedEntry { revision, content }) = self.bus.run_document(&key_of(run))? else {
            return Ok(None);
        };
        let mut run: FleetRun = serde_json::from_slice(&content)
            .map_err(|error| BusError::Content(format!("the report of a run: {error}")))?;
        // Whoever may write to the bucket may have written it.
        run.at_once = run.at_once.clamp(1, MOST_AT_ONCE);
        Ok(Some((revision, run)))
    }

    fn write(
        &self,
        name: &SharedRunName,
        run: &FleetRun,
        revision: Option<u64>,
    ) -> Result<u64, BusError> {
        let content = serde_json::to_vec(run)
            .map_err(|error| BusError::Content(format!("the report of a run: {error}")))?;
        self.bus
            .replace_run_document(&key_of(name), content, revision)
    }

    fn try_share(&self, name: &SharedRunName, plan: &SharedPlan) -> Result<(), BusError> {
        let attempt = drawn();
        let work = self.queued(&attempt, plan)?;
        let pages = plan.batches.iter().map(|tasks| tasks.len() as u64);
        let run = FleetRun {
            attempt,
            planned_by: self.node.clone(),
            planned: pages.sum(),
            batches: u32::try_from(work.len()).unwrap_or(u32::MAX),
            at_once: plan.at_once,
            ends_unix_secs: plan.ends.unix_secs(),
            ..FleetRun::default()
        };
        let put = self.put(name, &run, work);
        if put.is_err() {
            self.withdraw(name, &run);
            return put;
        }
        self.announce(name, &run)
    }

    /// The batches of a plan as they travel.
    fn queued(&self, attempt: &str, plan: &SharedPlan) -> Result<Vec<Vec<u8>>, BusError> {
        let mut work = Vec::new();
        let mut bytes = 0;
        for tasks in plan.batches.iter().flat_map(|tasks| small(tasks)) {
            let batch = QueuedBatch {
                attempt: attempt.to_owned(),
                number: u32::try_from(work.len()).unwrap_or(u32::MAX),
                pages: tasks.iter().map(QueuedPage::of).collect(),
            };
            let content = serde_json::to_vec(&batch)
                .map_err(|error| BusError::Content(format!("a batch of pages: {error}")))?;
            bytes += content.len();
            if bytes > self.most_shared {
                return Err(BusError::Content(format!(
                    "the pages are more than {} MiB, half of what the queue holds: make two plans of this one",
                    self.most_shared >> 20
                )));
            }
            work.push(content);
        }
        Ok(work)
    }

    /// Puts batches into the queue. The first one goes ahead, and this node takes and answers for
    /// something, so that it puts nothing more if it lacks a right.
    fn put(
        &self,
        name: &SharedRunName,
        run: &FleetRun,
        mut work: Vec<Vec<u8>>,
    ) -> Result<(), BusError> {
        if work.is_empty() {
            return Ok(());
        }
        let rest = work.split_off(1);
        let queue = key_of(name);
        self.bus.put_work(&queue, work)?;
        self.try_queue(name, run)?;
        self.bus.put_work(&queue, rest)
    }

    /// Takes a batch and passes it on, so that no document names pages that can't be taken: this node may
    /// lack a right.
    fn try_queue(&self, name: &SharedRunName, run: &FleetRun) -> Result<(), BusError> {
        for _ in 0..TRIES_TO_TAKE {
            let queue = key_of(name);
            if let Some(taken) = self.bus.take_work(&queue, run.at_once, PATIENCE)? {
                return self.pass_on(name, &taken);
            }
        }
        Err(BusError::Unreachable(format!(
            "nothing came out of the queue within {:?}: another node holds what it had put there for this run",
            PATIENCE * TRIES_TO_TAKE
        )))
    }

    /// Takes out of the queue what was put there for a run that no document names. What can't be taken
    /// now goes by itself, with its age.
    fn withdraw(&self, name: &SharedRunName, run: &FleetRun) {
        for _ in 0..run.batches {
            let taken = self.bus.take_work(&key_of(name), run.at_once, PATIENCE);
            let Ok(Some(taken)) = taken else { return };
            let answered = match QueuedBatch::read(&taken.content) {
                Some(batch) if batch.attempt == run.attempt => {
                    self.bus.answer_work(&taken.ticket, WorkAnswer::Done)
                }
                _ => self.pass_on(name, &taken),
            };
            if answered.is_err() {
                return;
            }
        }
    }

    /// Writes the document of a run whose batches are in the queue. If the answer is lost, it may be
    /// there, and other nodes may have begun.
    fn announce(&self, name: &SharedRunName, run: &FleetRun) -> Result<(), BusError> {
        match self.write(name, run, None) {
            // Another node has planned meanwhile: what it shares is the run.
            Ok(_) | Err(BusError::Conflict) => Ok(()),
            Err(error) => match self.state_of_document(name) {
                DocumentState::There => Ok(()),
                DocumentState::NotThere => {
                    self.withdraw(name, run);
                    Err(error)
                }
                DocumentState::Unknown => Err(error),
            },
        }
    }

    fn state_of_document(&self, name: &SharedRunName) -> DocumentState {
        let mut rest = self.rest;
        for look in 1..=MOST_LOOKS {
            match self.try_look(name) {
                Ok(Some(_)) => return DocumentState::There,
                Ok(None) => return DocumentState::NotThere,
                Err(_) if look == MOST_LOOKS => {}
                Err(_) => std::thread::park_timeout(shortened(rest)),
            }
            rest = (rest * 2).min(LONGEST_REST);
        }
        DocumentState::Unknown
    }

    /// Passes on what was taken: back into the queue, for those that have it in their run, or out of it.
    fn pass_on(&self, name: &SharedRunName, taken: &TakenWork) -> Result<(), BusError> {
        let answer = match QueuedBatch::read(&taken.content) {
            None if is_left_to_others(taken) => WorkAnswer::GivenBack,
            None => WorkAnswer::Done,
            Some(batch) => match self.try_look(name)? {
                Some(run) if self.is_open(&batch, &run) => WorkAnswer::GivenBack,
                // The run is over, it was done by a node that died before it could say so, or it is of
                // another attempt.
                Some(_) => WorkAnswer::Done,
                // It is being shared.
                None => WorkAnswer::GivenBack,
            },
        };
        self.bus.answer_work(&taken.ticket, answer)
    }

    /// Takes out of the queue what a run has left that has ended before its pages did.
    fn clear(&self, name: &SharedRunName, run: &FleetRun) -> Result<(), BusError> {
        for _ in 0..MOST_LEFTOVERS {
            let queue = key_of(name);
            let Some(taken) = self.bus.take_work(&queue, run.at_once, PATIENCE)? else {
                break;
            };
            self.bus.answer_work(&taken.ticket, WorkAnswer::Done)?;
        }
        Ok(())
    }

    /// Whether a batch is part of a run that goes on, and not done yet.
    fn is_open(&self, batch: &QueuedBatch, run: &FleetRun) -> bool {
        batch.is_open_in(run) && !run.is_over(self.clock.wall())
    }

    fn try_take(&self, name: &SharedRunName) -> Result<(FleetRun, TakenPages), BusError> {
        let run = self.try_look(name)?;
        let run = run.ok_or_else(|| BusError::Missing("the report of the run".to_owned()))?;
        if run.is_over(self.clock.wall()) {
            if run.cancelled_by.is_some() || !run.is_done() {
                // What stays there goes by itself, with its age.
                let _ = self.clear(name, &run);
            }
            return Ok((run, TakenPages::Over));
        }
        for _ in 0..MOST_LEFTOVERS {
            let taken = self.bus.take_work(&key_of(name), run.at_once, PATIENCE)?;
            let Some(taken) = taken else { break };
            let Some(batch) = QueuedBatch::read(&taken.content) else {
                self.pass_on(name, &taken)?;
                break;
            };
            if !self.is_open(&batch, &run) {
                self.pass_on(name, &taken)?;
                continue;
            }
            let (tasks, unknown) = batch.tasks();
            if !unknown.is_empty() && is_left_to_others(&taken) {
                let given_back = WorkAnswer::GivenBack;
                self.bus.answer_work(&taken.ticket, given_back)?;
                // It comes again in a second: the run may be over then.
                break;
            }
            let batch = SharedBatch {
                number: batch.number,
                tasks,
                unknown,
                at_once: run.at_once,
                ticket: taken.ticket.0,
            };
            return Ok((run, TakenPages::Batch(batch)));
        }
        Ok((run, TakenPages::Nothing))
    }

    fn try_cancel(&self, name: &SharedRunName) -> Result<(), BusError> {
        for _ in 0..MOST_TRIES {
            let entry = self.entry(name)?;
            let revision = entry.as_ref().map(|(revision, _)| *revision);
            let before = entry.map(|(_, run)| run);
            let run = FleetRun {
                cancelled_by: Some(self.node.clone()),
                // One that is not shared yet has neither pages nor a node that planned it.
                ..before.unwrap_or_default()
            };
            match self.write(name, &run, revision) {
                Err(BusError::Conflict) => std::thread::park_timeout(shortened(self.rest)),
                written => return written.map(|_| ()),
            }
        }
        Err(BusError::Conflict)
    }

    fn try_finish(
        &self,
        name: &SharedRunName,
        batch: &SharedBatch,
        result: &BatchResult,
    ) -> Result<FleetRun, BusError> {
        for _ in 0..MOST_TRIES {
            let Some((revision, mut run)) = self.entry(name)? else {
                return Err(BusError::Missing("the report of the run".to_owned()));
            };
            let written = match run.add(&self.node, batch.number, result) {
                true => self.write(name, &run, Some(revision)).map(|_| ()),
                false => Ok(()),
            };
            match written {
                Ok(()) => {
                    let ticket = WorkTicket(batch.ticket.clone());
                    // Unheard, it comes again, and is left out then.
                    let _ = self.bus.answer_work(&ticket, WorkAnswer::Done);
                    return Ok(run);
                }
                Err(BusError::Conflict) => std::thread::park_timeout(shortened(self.rest)),
                Err(error) => return Err(error),
            }
        }
        Err(BusError::Conflict)
    }
}

impl PageSharing for PlanPages {
    fn share(&self, run: &SharedRunName, plan: &SharedPlan) -> Result<(), String> {
        self.try_share(run, plan).map_err(|error| error.to_string())
    }

    fn look(&self, run: &SharedRunName) -> Result<Option<FleetRun>, String> {
        self.try_look(run).map_err(|error| error.to_string())
    }

    fn take(&self, run: &SharedRunName) -> Result<(FleetRun, TakenPages), String> {
        self.try_take(run).map_err(|error| error.to_string())
    }

    fn keep(&self, batch: &SharedBatch) {
        let ticket = WorkTicket(batch.ticket.clone());
        // Unheard, it comes again to another node, and counts once.
        let _ = self.bus.answer_work(&ticket, WorkAnswer::UnderWay);
    }

    fn finish(
        &self,
        run: &SharedRunName,
        batch: &SharedBatch,
        result: &BatchResult,
    ) -> Result<FleetRun, String> {
        self.try_finish(run, batch, result)
            .map_err(|error| error.to_string())
    }

    fn cancel(&self, run: &SharedRunName) -> Result<(), String> {
        self.try_cancel(run).map_err(|error| error.to_string())
    }
}

/// Whether another node may have what this one can't read, or not all of it.
fn is_left_to_others(taken: &TakenWork) -> bool {
    taken.times < FOR_OTHER_VERSIONS
}

/// The key of a run: of its document, and of its queue.
fn key_of(run: &SharedRunName) -> String {
    format!("{}.{}", run.plan, run.due.unix_secs())
}

#[cfg(test)]
mod tests;
