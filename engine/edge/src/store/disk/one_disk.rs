//! One disk: its records, its purges, its threads.

mod content;
mod hidden;
mod missed;
mod outdated;
mod read_job;
mod reading;
mod spool;
mod subjects;
mod upkeep;
mod writing;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use super::head::ClockPair;
use super::health::DiskHealth;
use super::ledger::{PurgeLedger, PurgeMark, PurgedThing};
use super::queue::{SpooledParts, WriteJob, WriteQueue};
use super::read_ahead::ReadAhead;
use super::{DiskFigures, DiskProblem};
use crate::store::Key;
use crate::store::purge::scope::{PurgeMode, PurgeScope};
use crate::store::stored::{StoredHead, StoredResponse};
use tero_config as config;
use tero_semantics::vary::SecondaryKey;
use tero_state::segments::files::FileSystem;
use tero_state::segments::{AppendError, OpenReport, SegmentSettings, SegmentStore};
use tero_time::clock::Clock;

use self::hidden::HiddenKeys;
use self::missed::MissedKeys;
use self::outdated::OutdatedVariants;

pub(super) use self::read_job::ReadJob;
pub(super) use self::subjects::subject;

pub use self::spool::DiskSpool;

/// The bytes of a segment.
const SEGMENT_BYTES: u32 = 64 << 20;
/// Look-ups and reads of content that wait for the threads that may wait, at most.
const MAX_WAITING_READS: usize = 1024;
/// One response takes at most this share of a disk: the beginning of a longer one could be removed
/// before its end has come.
const LARGEST_SHARE: u64 = 8;

type SiteNames = Arc<RwLock<Vec<Arc<str>>>>;

/// What all disks of an edge share.
#[derive(Clone, Debug)]
pub(super) struct SharedParts {
    pub(super) clock: Clock,
    pub(super) sites: SiteNames,
    /// What works on the files.
    pub(super) files: Arc<dyn FileSystem>,
    /// Larger content is not read into memory as a whole.
    pub(super) max_in_memory: u64,
    /// The pieces that are in memory for clients.
    pub(super) read_ahead: Arc<ReadAhead>,
}

/// One disk.
#[derive(Debug)]
pub(super) struct Disk {
    settings: config::CacheDisk,
    shared: SharedParts,
    records: SegmentStore,
    ledger: PurgeLedger,
    /// The purges of this process are counted on from here.
    base: AtomicU64,
    health: DiskHealth,
    queue: WriteQueue,
    reads: Mutex<Option<SyncSender<ReadJob>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Those that change something.
    writers: Mutex<Vec<JoinHandle<()>>>,
    /// Withdrawals that it lacks, since it failed or too much waited.
    missed: MissedKeys,
    /// Keys with records that would be found after the next start alone.
    hidden: HiddenKeys,
    /// Variants that are older there than they were in memory.
    outdated: OutdatedVariants,
    /// Content that streams to it, with the hashes of its keys.
    spools: Mutex<Vec<(u64, Weak<SpooledParts>)>>,
    /// Whether the writer is about to look after the file of purges.
    is_ledger_due: AtomicBool,
    /// Whether records are being erased.
    is_erasing: AtomicBool,
    is_closing: AtomicBool,
    counts: DiskCounts,
}

/// A purge, as a disk knows it.
#[derive(Debug)]
pub(super) struct DiskPurge {
    number: u64,
    things: Vec<PurgedThing>,
    mode: PurgeMode,
}

/// What a disk has done since the start.
#[derive(Debug, Default)]
struct DiskCounts {
    hits: AtomicU64,
    unusable: AtomicU64,
    skipped: AtomicU64,
    written: AtomicU64,
    written_heads: AtomicU64,
    dropped: AtomicU64,
    failures: AtomicU64,
    erased: AtomicU64,
}

impl Disk {
    pub(super) fn open(
        settings: &config::CacheDisk,
        shared: &SharedParts,
    ) -> Result<(Arc<Disk>, OpenReport), DiskProblem> {
        let files = &shared.files;
        let (records, found) = SegmentStore::open(SegmentSettings {
            path: settings.path.clone(),
            size: settings.size,
            segment_bytes: segment_bytes(settings.size),
            files: Arc::clone(files),
        })?;
        let has_records = found.segments > 0;
        let ledger = PurgeLedger::open(&purges_of(&settings.path), files, has_records)?;
        if ledger.erase_due().is_none() {
            // That is noted once all of it is on the disk.
            records.trust_erased();
        }
        let (sender, receiver) = sync_channel(MAX_WAITING_READS);
        let disk = Arc::new(Disk {
            base: AtomicU64::new(ledger.last()),
            settings: settings.clone(),
            shared: shared.clone(),
            records,
            ledger,
            health: DiskHealth::default(),
            queue: WriteQueue::new(settings.write_queue),
            reads: Mutex::new(Some(sender)),
            threads: Mutex::default(),
            writers: Mutex::default(),
            missed: MissedKeys::default(),
            hidden: HiddenKeys::default(),
            outdated: OutdatedVariants::default(),
            spools: Mutex::default(),
            is_ledger_due: AtomicBool::new(false),
            is_erasing: AtomicBool::new(false),
            is_closing: AtomicBool::new(false),
            counts: DiskCounts::default(),
        });
        disk.start_readers(receiver)?;
        let writer = Arc::clone(&disk);
        let threads = &disk.writers;
        start_thread(threads, "disk-writer", move || writer.write_all())?;
        Ok((disk, found))
    }

    /// The number of the last purge that it knows.
    pub(super) fn last_purge(&self) -> u64 {
        self.ledger.last()
    }

    /// Has the purges of this process counted on from here.
    pub(super) fn count_purges_from(&self, base: u64) {
        self.base.store(base, Ordering::Relaxed);
    }

    pub(super) fn read_timeout(&self) -> Duration {
        self.settings.read_timeout
    }

    #[inline]
    pub(super) fn may_have(&self, key: &[u8]) -> bool {
        self.health.is_in_use() && self.records.may_have(self.records.hash(key))
    }

    /// Offers a response for writing. Returns whether it had room; one that was written before needs
    /// none.
    pub(super) fn offer(&self, key: &Key, stored: &Arc<StoredResponse>) -> bool {
        if !self.health.is_in_use() || stored.parts().is_some() || stored.disk.claim() {
            return true;
        }
        self.enqueue(WriteJob::Response {
            key: key.clone(),
            stored: Arc::clone(stored),
        })
    }

    fn enqueue(&self, job: WriteJob) -> bool {
        let has_room = self.queue.offer(job);
        if !has_room {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }

    /// Has nothing of a key be found any more until the next start: a newer response has come.
    pub(super) fn forget(&self, key: &[u8]) {
        self.queue.withdraw(key);
        self.forget_hash(self.records.hash(key));
    }

    fn forget_hash(&self, hash: u64) {
        if self.records.forget_all(hash) > 0 {
            self.hidden.hide(hash);
        }
    }

    /// Has no older response of a variant be found any more until the next start: a newer one has come,
    /// beside which one for all requests is out of reach too.
    pub(super) fn forget_variant(&self, key: &[u8], head: &StoredHead) {
        self.queue.withdraw_older(key, head);
        let hash = self.records.hash(key);
        let Some(newest) = self.records.find(hash).first().copied() else {
            return;
        };
        for variant in self.variants_beside(hash, head) {
            if let Some(dropped) = self.outdated.note(variant, newest) {
                self.forget_hash(dropped);
            }
        }
    }

    /// What has no place beside a newer response with this head: its variant, and one for all requests.
    fn variants_beside(&self, hash: u64, head: &StoredHead) -> [[u64; 2]; 2] {
        [&head.secondary_key, &SecondaryKey::default()].map(|key| self.variant(hash, key))
    }

    /// The hashes of a key and of what selects its variant.
    fn variant(&self, hash: u64, selected_by: &SecondaryKey) -> [u64; 2] {
        let mut bytes = Vec::new();
        selected_by.save(&mut bytes);
        [hash, self.records.hash(&bytes)]
    }

    /// Has nothing of a key be found any more, after the next start too.
    pub(super) fn remove(&self, key: &Key) {
        self.queue.withdraw(key.as_bytes());
        let hash = self.records.hash(key.as_bytes());
        let has_records = self.records.forget_all(hash) > 0 || self.hidden.may_have(hash);
        if has_records && !self.enqueue(WriteJob::Removal { key: key.clone() }) {
            self.missed.note(key);
        }
    }

    /// Has nothing of a key be found any more that was there when it was opened. A disk that has failed
    /// isn't tried again for each key: requests may wait.
    pub(super) fn end_outdated(&self, key: &Key) {
        if self.records.forget_all(self.records.hash(key.as_bytes())) == 0 {
            return;
        }
        if !self.health.is_in_use() {
            self.missed.note(key);
        } else if let Err(AppendError::Io(error)) = self.withdraw(key) {
            self.fail(&error);
        }
    }

    /// Remembers a purge: it counts from now on.
    pub(super) fn note(&self, number: u64, scope: &PurgeScope, mode: PurgeMode) -> DiskPurge {
        self.note_things(number, self.purged_things(scope), mode)
    }

    /// Remembers a hard purge of everything.
    pub(super) fn note_everything(&self, number: u64) -> DiskPurge {
        self.note_things(number, vec![PurgedThing::Everything], PurgeMode::Hard)
    }

    fn note_things(&self, number: u64, things: Vec<PurgedThing>, mode: PurgeMode) -> DiskPurge {
        let number = self.base.load(Ordering::Relaxed).saturating_add(number);
        self.ledger.note(number, mode, &things);
        DiskPurge {
            number,
            things,
            mode,
        }
    }

    /// Adds a purge to the file. Waits for nothing.
    pub(super) fn write_purge(&self, purge: &DiskPurge) {
        let (mode, now) = (purge.mode, self.shared.clock.wall());
        match self.ledger.write(purge.number, mode, &purge.things, now) {
            Ok(false) => {}
            Ok(true) => {
                let was_due = self.is_ledger_due.swap(true, Ordering::AcqRel);
                if !was_due && !self.queue.offer(WriteJob::Ledger) {
                    // It takes no more: the next start writes the file anew.
                    self.is_ledger_due.store(false, Ordering::Release);
                }
            }
            Err(error) => self.fail(&error),
        }
    }

    /// Has all purges on the disk when it returns. A disk that can't say so is left out, and its
    /// records count as purged after the next start.
    pub(super) fn sync_purges(&self) {
        let Err(error) = self.ledger.sync() else {
            return;
        };
        self.fail(&error);
        self.end_all_records(|| self.ledger.remove_incomplete());
    }

    /// Has its records count as purged after the next start.
    fn end_all_records(&self, remove_purges: impl FnOnce() -> io::Result<()>) {
        if let Err(error) = remove_purges() {
            let path = self.settings.path.display();
            tracing::error!(%path, %error, "purges can't be written to this disk; remove its folder before the edge is started again, unless it works again before");
        }
    }

    pub(super) fn settle(&self) {
        self.queue.settle();
    }

    /// Leaves the disk to another process: what was offered is written, and nothing more. Content that
    /// clients are reading can still be read.
    pub(super) fn hand_over(&self) {
        if self.is_closing.swap(true, Ordering::Relaxed) {
            return;
        }
        self.end_writing();
        if self.health.is_in_use() {
            self.sync_purges();
        } else {
            // It may not have been possible when the purge came.
            self.end_all_records(|| self.ledger.remove_incomplete());
        }
        self.write_late_withdrawals();
        if !self.missed.is_empty() {
            self.end_all_records(|| self.ledger.remove());
        }
        self.health.retire();
        self.records.release();
    }

    /// Has what was offered written, and nothing more.
    pub(super) fn end_writing(&self) {
        self.queue.close();
        join_all(&self.writers);
    }

    /// Writes the withdrawals that have come since the queue takes no more, and seals the newest
    /// segment: once more if others come meanwhile.
    fn write_late_withdrawals(&self) {
        for round in 0..2 {
            let is_due = round == 0 || !self.missed.is_empty();
            if !is_due || !self.health.is_in_use() {
                return;
            }
            if let Err(error) = self.catch_up().and_then(|()| self.seal()) {
                self.fail(&error);
            }
        }
    }

    /// Leaves the disk, and ends all its threads.
    pub(super) fn close(&self) {
        self.hand_over();
        drop(lock(&self.reads).take());
        join_all(&self.threads);
    }

    pub(super) fn figures(&self) -> DiskFigures {
        let usage = self.records.usage();
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &self.counts;
        DiskFigures {
            path: self.settings.path.clone(),
            size: self.settings.size,
            records: usage.records as u64,
            segments: usage.segments as u64,
            bytes: usage.bytes,
            index_bytes: usage.index_bytes as u64,
            hits: load(&counts.hits),
            unusable: load(&counts.unusable),
            skipped: load(&counts.skipped),
            written: load(&counts.written),
            written_heads: load(&counts.written_heads),
            dropped: load(&counts.dropped),
            failures: load(&counts.failures),
            erased: load(&counts.erased),
            removed_for_full_disk: usage.removed_for_full_disk,
            has_failed: !self.health.is_in_use() && !self.is_closing.load(Ordering::Relaxed),
            is_slow: self.health.is_slow(self.shared.clock.now()),
        }
    }

    fn clocks(&self) -> ClockPair {
        ClockPair {
            steady: self.shared.clock.now(),
            wall: self.shared.clock.wall(),
        }
    }

    /// Leaves the disk out for a while. The edge goes on from memory.
    #[cold]
    fn fail(&self, error: &io::Error) {
        self.counts.failures.fetch_add(1, Ordering::Relaxed);
        if let Some(rest) = self.health.fail(self.shared.clock.now()) {
            let path = self.settings.path.display();
            tracing::error!(%path, %error, retry_after = ?rest, "the disk fails and is left out; the edge goes on from memory");
        }
    }

    /// The mark of a response: the purges up to it did not mean it.
    fn mark(&self, stored: &StoredResponse) -> PurgeMark {
        let number = u64::from(stored.purge_mark.load(Ordering::Relaxed));
        PurgeMark {
            log: self.ledger.log(),
            number: self.base.load(Ordering::Relaxed).saturating_add(number),
        }
    }

    fn site_name(&self, index: u32) -> Option<Arc<str>> {
        let sites = self.shared.sites.read();
        let sites = sites.unwrap_or_else(PoisonError::into_inner);
        sites.get(index as usize).cloned()
    }
}

/// The file of a disk's purges.
pub(super) fn purges_of(folder: &Path) -> PathBuf {
    folder.join("purges")
}

/// At least four segments, so that a full disk drops a quarter at most.
fn segment_bytes(size: u64) -> u32 {
    u32::try_from(size / 4).map_or(SEGMENT_BYTES, |quarter| quarter.min(SEGMENT_BYTES))
}

fn start_thread(
    threads: &Mutex<Vec<JoinHandle<()>>>,
    name: &str,
    run: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let builder = std::thread::Builder::new().name(name.to_owned());
    let thread = builder.spawn(run)?;
    let mut threads = lock(threads);
    threads.retain(|thread| !thread.is_finished());
    threads.push(thread);
    Ok(())
}

fn join_all(threads: &Mutex<Vec<JoinHandle<()>>>) {
    let threads = std::mem::take(&mut *lock(threads));
    for thread in threads {
        // A thread that panicked has said so.
        let _ = thread.join();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
