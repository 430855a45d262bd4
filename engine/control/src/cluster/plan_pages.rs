//! The pages of a run that nodes share: batches in a queue, and a document in which each node notes what it
//! has done, and which all show as the report of the run.
//!
//! A batch leaves the queue after it stands in the document. So what a node had that dies comes again to
//! another one, and what comes twice counts once. A node begins once the document is there: the node that
//! planned writes it when all batches are in the queue, and who dies before that leaves batches of an
//! attempt that no document names.

mod queued;

use std::sync::Arc;
use std::time::Duration;

use self::queued::{QueuedBatch, QueuedPage, small};
use super::bus::{BusError, FleetBus, SharedEntry};
use super::drawn::drawn;
use super::pause::{FIRST_REST, shortened};
use super::work::{TakenWork, WorkAnswer, WorkTicket};
use crate::warm::shared::{
    BatchResult, FleetRun, PageSharing, SharedBatch, SharedPlan, SharedRunName, TakenPages,
};
use tero_semantics::timestamp::Timestamp;

/// How long a node waits for pages before it looks at the run again.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a node that has planned tries to take something of it: longer than what died with a node of
/// an earlier run is out.
const TRIES_TO_TAKE: u32 = 9;
/// How often a change of the document is tried again, after another node was first.
const MOST_TRIES: u32 = 100;

/// The pages that this node shares with others.
#[derive(Debug)]
pub struct PlanPages {
    node: String,
    bus: Arc<dyn FleetBus>,
}

impl PlanPages {
    /// The pages of this node.
    pub fn new(node: &str, bus: &Arc<dyn FleetBus>) -> PlanPages {
        PlanPages {
            node: node.to_owned(),
            bus: Arc::clone(bus),
        }
    }

    fn try_look(&self, run: &SharedRunName) -> Result<Option<FleetRun>, BusError> {
        Ok(self.entry(run)?.map(|(_, run)| run))
    }

    /// The document of a run, with its revision.
    fn entry(&self, run: &SharedRunName) -> Result<Option<(u64, FleetRun)>, BusError> {
        let Some(SharedEntry { revision, content }) = self.bus.run_document(&document_of(run))?
        else {
            return Ok(None);
        };
        let run = serde_json::from_slice(&content)
            .map_err(|error| BusError::Content(format!("the report of a run: {error}")))?;
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
            .replace_run_document(&document_of(name), content, revision)
    }

    fn try_share(&self, name: &SharedRunName, plan: &SharedPlan) -> Result<(), BusError> {
        let attempt = drawn();
        let mut work = Vec::new();
        let mut planned = 0;
        for tasks in plan.batches.iter().flat_map(|tasks| small(tasks)) {
            planned += tasks.len() as u64;
            let batch = QueuedBatch {
                due: name.due.unix_secs(),
                attempt: attempt.clone(),
                number: u32::try_from(work.len()).unwrap_or(u32::MAX),
                pages: tasks.iter().map(QueuedPage::of).collect(),
            };
            let bytes = serde_json::to_vec(&batch);
            work.push(bytes.map_err(|error| BusError::Content(error.to_string()))?);
        }
        let run = FleetRun {
            attempt,
            planned_by: self.node.clone(),
            planned,
            batches: u32::try_from(work.len()).unwrap_or(u32::MAX),
            at_once: plan.at_once,
            ..FleetRun::default()
        };
        self.bus.put_work(&name.plan, work)?;
        self.try_queue(name, &run)?;
        match self.write(name, &run, None) {
            // Another node has planned meanwhile: what it shares is the run.
            Err(BusError::Conflict) => Ok(()),
            written => written.map(|_| ()),
        }
    }

    /// Takes a batch and passes it on, so that no document names pages that can't be taken: this node may
    /// lack a right.
    fn try_queue(&self, name: &SharedRunName, run: &FleetRun) -> Result<(), BusError> {
        if run.batches == 0 {
            return Ok(());
        }
        for _ in 0..TRIES_TO_TAKE {
            if let Some(taken) = self.bus.take_work(&name.plan, run.at_once, PATIENCE)? {
                return self.pass_on(name, &taken);
            }
        }
        Err(BusError::Missing("what was put into the queue".to_owned()))
    }

    /// Passes on what is not for the run of this name: to those that have it in their run, or out of the
    /// queue.
    fn pass_on(&self, name: &SharedRunName, taken: &TakenWork) -> Result<(), BusError> {
        let answer = match serde_json::from_slice::<QueuedBatch>(&taken.content) {
            // Nodes of another version may know what it is.
            Err(_) => WorkAnswer::GivenBack,
            Ok(batch) => {
                let of = SharedRunName {
                    plan: name.plan.clone(),
                    due: Timestamp::from_unix_secs(batch.due),
                };
                match self.try_look(&of)? {
                    Some(run) if batch.is_open_in(&run) => WorkAnswer::GivenBack,
                    // It was done by a node that died before it could say so, or is of another attempt.
                    Some(_) => WorkAnswer::Done,
                    // A node that died while it shared has left it.
                    None if of.due < name.due => WorkAnswer::Done,
                    // It is being shared.
                    None => WorkAnswer::GivenBack,
                }
            }
        };
        self.bus.answer_work(&taken.ticket, answer)
    }

    fn try_take(&self, name: &SharedRunName) -> Result<(FleetRun, TakenPages), BusError> {
        let Some(run) = self.try_look(name)? else {
            return Err(BusError::Missing("the report of the run".to_owned()));
        };
        if run.is_done() {
            return Ok((run, TakenPages::Over));
        }
        let taken = self.bus.take_work(&name.plan, run.at_once, PATIENCE)?;
        let Some(taken) = taken else {
            return Ok((run, TakenPages::Nothing));
        };
        let batch = serde_json::from_slice::<QueuedBatch>(&taken.content).ok();
        let is_ours =
            |batch: &QueuedBatch| batch.due == name.due.unix_secs() && batch.is_open_in(&run);
        let Some(batch) = batch.filter(is_ours) else {
            self.pass_on(name, &taken)?;
            return Ok((run, TakenPages::Nothing));
        };
        let batch = SharedBatch {
            number: batch.number,
            tasks: batch.pages.iter().filter_map(QueuedPage::task).collect(),
            at_once: run.at_once,
            ticket: taken.ticket.0,
        };
        Ok((run, TakenPages::Batch(batch)))
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
                Err(BusError::Conflict) => std::thread::park_timeout(shortened(FIRST_REST)),
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
}

fn document_of(run: &SharedRunName) -> String {
    format!("{}.{}", run.plan, run.due.unix_secs())
}

#[cfg(test)]
mod tests;
