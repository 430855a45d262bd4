//! What a disk needs now and then: a trial after it has failed, and the erasing of what was purged.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::head;
use super::super::ledger::{PurgeMark, PurgeVerdict};
use super::super::queue::WriteJob;
use super::{Disk, lock, start_thread, subject};
use tero_state::segments::layout::RecordKind;
use tero_state::segments::{RecordFate, StoredRecord};

/// How long erasing rests before each segment, so that reads come first.
const REST: Duration = Duration::from_millis(20);

impl Disk {
    /// Does what is due. Takes no time: threads of the disk do it.
    pub(in crate::store::disk) fn keep(self: &Arc<Disk>) {
        let clock = &self.shared.clock;
        if self.health.is_to_be_tried(clock.now()) {
            self.queue.offer(WriteJob::Probe);
        }
        if self.is_erasing_due() && !self.is_erasing.swap(true, Ordering::AcqRel) {
            let disk = Arc::clone(self);
            let started = start_thread(&self.writers, "disk-eraser", move || disk.erase());
            if started.is_err() {
                // It is tried again.
                self.is_erasing.store(false, Ordering::Release);
            }
        }
    }

    /// Whether the oldest purge is half as old as its records may become on the disk: the other half
    /// is for the work, and for times when the edge doesn't run.
    fn is_erasing_due(&self) -> bool {
        let now = self.shared.clock.wall();
        self.health.is_in_use()
            && !self.is_closing.load(Ordering::Relaxed)
            && self.ledger.erase_due().is_some_and(|since| {
                // If the clock was set back, it isn't known how long ago that was.
                since > now || now.since(since) >= self.settings.erase_within / 2
            })
    }

    /// Whether records are being erased.
    pub(in crate::store::disk) fn is_erasing(&self) -> bool {
        self.is_erasing.load(Ordering::Acquire)
    }

    fn erase(&self) {
        self.ledger.begin_erasing();
        let erased = self.records.erase(
            |record| self.may_keep(record),
            self.loose_parts(),
            |_| {
                std::thread::park_timeout(REST);
                match self.is_closing.load(Ordering::Relaxed) {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            },
        );
        let is_done = match &erased {
            Ok(report) => {
                let counts = &self.counts.erased;
                counts.fetch_add(report.records, Ordering::Relaxed);
                report.is_complete
            }
            Err(error) => {
                self.fail(error);
                false
            }
        };
        if let Err(error) = self.ledger.end_erasing(is_done) {
            self.fail(&error);
        }
        self.is_erasing.store(false, Ordering::Release);
    }

    /// Whether parts of content that no record names may be kept: their records may be on their way.
    fn loose_parts(&self) -> RecordFate {
        let mut spools = lock(&self.spools);
        spools.retain(|(_, spool)| spool.strong_count() > 0);
        if spools.is_empty() {
            RecordFate::Goes
        } else {
            RecordFate::Stays
        }
    }

    /// Whether a record was not purged. One that another version of tero wrote can't be judged, nor
    /// used: it goes.
    pub(super) fn may_keep(&self, record: &StoredRecord) -> RecordFate {
        if record.header.kind == RecordKind::Removal {
            return RecordFate::Stays;
        }
        let Some(saved) = head::restore(record.head(), self.clocks()) else {
            return RecordFate::Goes;
        };
        let mark = PurgeMark::from_bytes(record.header.mark);
        let hash = |bytes: &[u8]| self.records.hash(bytes);
        let subject = subject(record.key(), &saved.head, &saved.site, hash);
        match self.ledger.verdict(&subject, mark) {
            PurgeVerdict::Gone => RecordFate::Goes,
            PurgeVerdict::Current | PurgeVerdict::Stale => RecordFate::Stays,
        }
    }
}
