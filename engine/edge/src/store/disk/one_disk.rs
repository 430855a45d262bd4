//! One disk: its records, its purges, its threads.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::head::{self, ClockPair};
use super::ledger::{PurgeLedger, PurgeMark, PurgeSubject, PurgeVerdict, PurgedThing};
use super::queue::{WriteJob, WriteQueue};
use super::{DiskFigures, DiskProblem, LoadedResponse, url_and_path};
use crate::store::Key;
use crate::store::purge::scope::{PurgeMode, PurgeScope};
use crate::store::stored::{StoredBody, StoredHead, StoredResponse};
use tero_config as config;
use tero_semantics::key;
use tero_state::segments::layout::RecordKind;
use tero_state::segments::{
    AppendError, NewRecord, OpenReport, ReadError, ReadMode, RecordPlace, SegmentSettings,
    SegmentStore, StoredRecord,
};
use tero_time::clock::Clock;

/// The bytes of a segment.
const SEGMENT_BYTES: u32 = 64 << 20;
/// Threads that read from a disk and may wait for it.
const READERS: usize = 4;
/// Look-ups that wait for these threads, at most.
const MAX_WAITING_READS: usize = 1024;
/// Responses of a key that are read at most: its variants.
const MAX_READ: usize = 32;

type SiteNames = Arc<RwLock<Vec<Arc<str>>>>;

/// A look-up for the threads that may wait.
#[derive(Debug)]
pub(super) struct ReadJob {
    pub(super) key: Box<[u8]>,
    pub(super) reply: oneshot::Sender<Vec<LoadedResponse>>,
}

/// One disk.
#[derive(Debug)]
pub(super) struct Disk {
    path: PathBuf,
    read_timeout: Duration,
    records: SegmentStore,
    ledger: PurgeLedger,
    clock: Clock,
    sites: SiteNames,
    queue: WriteQueue,
    reads: Mutex<Option<SyncSender<ReadJob>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    has_failed: AtomicBool,
    hits: AtomicU64,
    unusable: AtomicU64,
    skipped: AtomicU64,
    written: AtomicU64,
    dropped: AtomicU64,
}

impl Disk {
    pub(super) fn open(
        settings: &config::CacheDisk,
        clock: &Clock,
        sites: &SiteNames,
    ) -> Result<(Arc<Disk>, OpenReport), DiskProblem> {
        let (records, found) = SegmentStore::open(SegmentSettings {
            path: settings.path.clone(),
            size: settings.size,
            segment_bytes: segment_bytes(settings.size),
        })?;
        let has_records = found.records > 0;
        let ledger = PurgeLedger::open(&settings.path.join("purges"), has_records)?;
        let (sender, receiver) = sync_channel(MAX_WAITING_READS);
        let disk = Arc::new(Disk {
            path: settings.path.clone(),
            read_timeout: settings.read_timeout,
            records,
            ledger,
            clock: clock.clone(),
            sites: Arc::clone(sites),
            queue: WriteQueue::new(settings.write_queue),
            reads: Mutex::new(Some(sender)),
            threads: Mutex::default(),
            has_failed: AtomicBool::new(false),
            hits: AtomicU64::new(0),
            unusable: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        });
        disk.start_threads(receiver)?;
        Ok((disk, found))
    }

    fn start_threads(self: &Arc<Disk>, reads: Receiver<ReadJob>) -> io::Result<()> {
        let reads = Arc::new(Mutex::new(reads));
        let mut threads = Vec::new();
        let builder = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let disk = Arc::clone(self);
        threads.push(builder("disk-writer").spawn(move || disk.write_all())?);
        for _ in 0..READERS {
            let (disk, reads) = (Arc::clone(self), Arc::clone(&reads));
            threads.push(builder("disk-reader").spawn(move || disk.answer_reads(&reads))?);
        }
        *self.threads.lock().unwrap_or_else(PoisonError::into_inner) = threads;
        Ok(())
    }

    pub(super) fn last_purge(&self) -> u64 {
        self.ledger.last()
    }

    pub(super) fn read_timeout(&self) -> Duration {
        self.read_timeout
    }

    #[inline]
    pub(super) fn may_have(&self, key: &[u8]) -> bool {
        !self.has_failed() && self.records.may_have(self.records.hash(key))
    }

    pub(super) fn load_at_once(&self, key: &[u8]) -> Option<Vec<LoadedResponse>> {
        self.read(key, ReadMode::NoWait).ok()
    }

    pub(super) fn load(&self, job: ReadJob) {
        let reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reads) = &*reads {
            // A full queue drops the job, and with it the sender of its answer.
            let _ = reads.try_send(job);
        }
    }

    pub(super) fn count_skipped(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }

    fn answer_reads(&self, reads: &Mutex<Receiver<ReadJob>>) {
        loop {
            let next = reads.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = next else { return };
            if !job.reply.is_closed() {
                let loaded = self.read(&job.key, ReadMode::Wait);
                // The client may have gone.
                let _ = job.reply.send(loaded.unwrap_or_default());
            }
        }
    }

    /// The usable responses of a key, the oldest first.
    fn read(&self, key: &[u8], mode: ReadMode) -> Result<Vec<LoadedResponse>, ReadError> {
        let hash = self.records.hash(key);
        let mut loaded = Vec::new();
        for place in self.records.find(hash).into_iter().take(MAX_READ) {
            let read = self
                .records
                .read(key, place, mode)
                .and_then(|record| Ok((whole_content(&record, mode)?, record)));
            match read {
                Ok((body, record)) => match self.usable(key, &record, body) {
                    Some(response) => loaded.push(response),
                    None => self.drop_record(hash, place),
                },
                Err(ReadError::WouldWait) => return Err(ReadError::WouldWait),
                Err(ReadError::Damaged | ReadError::Gone) => self.drop_record(hash, place),
                Err(ReadError::Io(error)) => {
                    self.fail(&error);
                    return Ok(Vec::new());
                }
            }
        }
        if !loaded.is_empty() {
            self.hits.fetch_add(1, Ordering::Relaxed);
        }
        loaded.reverse();
        Ok(loaded)
    }

    fn drop_record(&self, hash: u64, place: RecordPlace) {
        self.unusable.fetch_add(1, Ordering::Relaxed);
        self.records.forget(hash, place);
    }

    /// The response of a record, unless it was purged.
    fn usable(
        &self,
        key: &[u8],
        record: &StoredRecord,
        body: Vec<Bytes>,
    ) -> Option<LoadedResponse> {
        let clocks = self.clocks();
        let saved = head::restore(record.head(), clocks)?;
        let mut head = saved.head;
        let mark = PurgeMark::from_bytes(record.header.mark);
        match self
            .ledger
            .verdict(&self.subject(key, &head, &saved.site), mark)
        {
            PurgeVerdict::Gone => return None,
            PurgeVerdict::Stale => head.freshness = head.freshness.made_stale(clocks.steady),
            PurgeVerdict::Current => {}
        }
        // If the system's clock was set back since, its age is unknown.
        if saved.saved_at > clocks.wall {
            head.freshness = head.freshness.made_stale(clocks.steady);
        }
        let response = StoredResponse::new(head, StoredBody::new(body));
        response.on_disk.store(true, Ordering::Relaxed);
        Some(LoadedResponse {
            response,
            site: saved.site,
        })
    }

    fn subject<'k>(&self, of: &'k [u8], head: &StoredHead, site: &str) -> PurgeSubject<'k> {
        let (url, path) = url_and_path(of);
        let own = self.hash_of_site(site);
        let mut hashes = vec![self.hash_of_url(url), own];
        for tag in head.fields.tags() {
            hashes.extend([None, Some(site)].map(|site| self.hash_of_tag(site, tag)));
        }
        PurgeSubject {
            hashes,
            url,
            path,
            site: own,
        }
    }

    fn hash_of_url(&self, url: &str) -> u64 {
        self.records.hash(&[b"url\n", url.as_bytes()].concat())
    }

    fn hash_of_site(&self, site: &str) -> u64 {
        self.records.hash(&[b"site\n", site.as_bytes()].concat())
    }

    fn hash_of_tag(&self, site: Option<&str>, tag: &str) -> u64 {
        let scope = site.map_or(String::new(), |site| format!("{site}\n"));
        let parts = [b"tag\n", scope.as_bytes(), b"\n", tag.as_bytes()];
        self.records.hash(&parts.concat())
    }

    pub(super) fn offer(&self, key: &Key, stored: &Arc<StoredResponse>, purges: u64) -> bool {
        if self.has_failed()
            || stored.parts().is_some()
            || stored.on_disk.swap(true, Ordering::Relaxed)
        {
            return true;
        }
        let job = WriteJob {
            key: key.clone(),
            stored: Arc::clone(stored),
            purges,
        };
        let has_room = self.queue.offer(job);
        if !has_room {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }

    /// Writes what is offered, until the queue is closed.
    fn write_all(&self) {
        while let Some(job) = self.queue.next() {
            if !self.has_failed() {
                self.write(&job);
            }
        }
    }

    fn write(&self, job: &WriteJob) {
        let WriteJob {
            key,
            stored,
            purges,
        } = job;
        let Some(site) = self.site_name(stored.head.site) else {
            return;
        };
        let clocks = self.clocks();
        // Without use for a restart: it would have to be fetched again.
        let fields = stored.head.fields.to_headers(0);
        if !stored
            .head
            .freshness
            .is_worth_keeping(&fields, clocks.steady)
        {
            return;
        }
        let head = head::save(&stored.head, &site, clocks);
        let content: Vec<&[u8]> = stored
            .body
            .pieces()
            .iter()
            .map(|piece| &piece[..])
            .collect();
        let mark = PurgeMark {
            log: self.ledger.log(),
            number: *purges,
        };
        let hash = self.records.hash(key.as_bytes());
        let older = self.records.find(hash);
        let appended = self.append(key, &head, mark, &content);
        match appended {
            Ok(()) => {
                self.written.fetch_add(1, Ordering::Relaxed);
                // Without a secondary key, it takes the place of all others.
                if stored.head.secondary_key.fields().is_empty() {
                    for place in older {
                        self.records.forget(hash, place);
                    }
                }
            }
            Err(AppendError::TooLarge) => {}
            Err(AppendError::Io(error)) => self.fail(&error),
        }
    }

    /// Appends a record; content that is longer than half a segment, in parts.
    fn append(
        &self,
        key: &Key,
        head: &[u8],
        mark: PurgeMark,
        content: &[&[u8]],
    ) -> Result<(), AppendError> {
        let mut record = NewRecord {
            kind: RecordKind::Entry,
            key: key.as_bytes(),
            head,
            mark: mark.to_bytes(),
            content,
            extents: &[],
        };
        let length: u64 = content.iter().map(|piece| piece.len() as u64).sum();
        let most = u64::from(self.records.segment_bytes()) / 2;
        if length <= most {
            return self.records.append(&record).map(drop);
        }
        let mut extents = Vec::new();
        for piece in content {
            for part in piece.chunks(most as usize) {
                let extent = NewRecord {
                    kind: RecordKind::Extent,
                    key: &[],
                    head: &[],
                    content: &[part],
                    ..record
                };
                extents.push(self.records.append_extent(&extent)?);
            }
        }
        record.content = &[];
        record.extents = &extents;
        self.records.append(&record).map(drop)
    }

    fn site_name(&self, index: u32) -> Option<Arc<str>> {
        let sites = self.sites.read().unwrap_or_else(PoisonError::into_inner);
        sites.get(index as usize).cloned()
    }

    pub(super) fn forget(&self, key: &[u8]) {
        let hash = self.records.hash(key);
        for place in self.records.find(hash) {
            self.records.forget(hash, place);
        }
    }

    /// Remembers a purge.
    pub(super) fn purge(&self, number: u64, scope: &PurgeScope, mode: PurgeMode) {
        let name = |index: usize| self.site_name(index as u32);
        let things: Vec<PurgedThing> = match scope {
            PurgeScope::Keys(keys) => {
                let urls = keys.iter().map(|key| self.hash_of_url(key::url_of(key)));
                let mut hashes: Vec<u64> = urls.collect();
                hashes.sort_unstable();
                hashes.dedup();
                hashes.into_iter().map(PurgedThing::Hash).collect()
            }
            PurgeScope::Tag { site, tag } => {
                let hash = match site {
                    None => Some(self.hash_of_tag(None, tag)),
                    Some(site) => name(*site).map(|site| self.hash_of_tag(Some(&site), tag)),
                };
                hash.into_iter().map(PurgedThing::Hash).collect()
            }
            PurgeScope::Prefix(prefix) => vec![PurgedThing::Prefix(prefix.as_str().into())],
            PurgeScope::Site(site) => name(*site)
                .map(|site| PurgedThing::Hash(self.hash_of_site(&site)))
                .into_iter()
                .collect(),
            PurgeScope::Paths { site, patterns } => {
                let site = name(*site).map(|site| self.hash_of_site(&site));
                let thing = |site| {
                    patterns.iter().map(move |pattern| PurgedThing::Paths {
                        site,
                        pattern: pattern.as_str().into(),
                    })
                };
                site.into_iter().flat_map(thing).collect()
            }
        };
        if let Err(error) = self.ledger.add(number, mode, &things) {
            self.fail(&error);
        }
    }

    pub(super) fn sync_purges(&self) {
        if let Err(error) = self.ledger.sync() {
            self.fail(&error);
        }
    }

    pub(super) fn settle(&self) {
        self.queue.settle();
    }

    pub(super) fn close(&self) {
        self.queue.close();
        drop(
            self.reads
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
        self.sync_purges();
        if let Err(error) = self.records.close() {
            self.fail(&error);
        }
    }

    pub(super) fn figures(&self) -> DiskFigures {
        let usage = self.records.usage();
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DiskFigures {
            path: self.path.clone(),
            records: usage.records as u64,
            bytes: usage.bytes,
            index_bytes: usage.index_bytes as u64,
            hits: load(&self.hits),
            unusable: load(&self.unusable),
            skipped: load(&self.skipped),
            written: load(&self.written),
            dropped: load(&self.dropped),
            has_failed: self.has_failed(),
        }
    }

    fn clocks(&self) -> ClockPair {
        ClockPair {
            steady: self.clock.now(),
            wall: self.clock.wall(),
        }
    }

    #[inline]
    fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// Leaves the disk out from now on. The edge goes on from memory.
    #[cold]
    fn fail(&self, error: &io::Error) {
        if !self.has_failed.swap(true, Ordering::Relaxed) {
            let path = self.path.display();
            tracing::error!(%path, %error, "the disk fails and is left out; the edge goes on from memory");
        }
    }
}

/// At least four segments, so that a full disk drops a quarter at most.
fn segment_bytes(size: u64) -> u32 {
    u32::try_from(size / 4).map_or(SEGMENT_BYTES, |quarter| quarter.min(SEGMENT_BYTES))
}

/// All content of a record.
fn whole_content(record: &StoredRecord, mode: ReadMode) -> Result<Vec<Bytes>, ReadError> {
    let pieces = 0..record.pieces();
    let read = pieces.map(|piece| record.piece(piece, mode).map(Bytes::from));
    read.collect()
}
