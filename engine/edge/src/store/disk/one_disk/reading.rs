//! Reading from a disk: the responses of a key, and pieces of content that is not in memory.

use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::super::LoadedResponse;
use super::super::head;
use super::super::ledger::{PurgeMark, PurgeVerdict};
use super::content::DiskContent;
use super::read_job::ReadJob;
use super::{Disk, lock, start_thread, subject};
use crate::store::stored::{StoredBody, StoredHead, StoredResponse};
use crate::store::variants::is_older;
use tero_state::segments::layout::CHECKSUM_BYTES;
use tero_state::segments::{ContentInBuffer, ReadError, ReadMode, RecordPlace, StoredRecord};

/// Threads that read from a disk and may wait for it.
const READERS: usize = 4;
/// Responses of a key that are read at most: its variants.
const MAX_READ: usize = 32;
/// More content of a key, in bytes, is read by the threads that may wait alone, even if the system has it
/// in memory: it would hold up the other requests of a worker.
const MAX_AT_ONCE: u64 = 256 << 10;

/// What a record has.
enum FoundRecord {
    Usable(LoadedResponse),
    /// This head, and it was purged.
    Purged(Box<StoredHead>),
    /// A head that another version of tero wrote.
    Unknown,
}

/// What the records of a key have, from the newest to the oldest. One that can't be used ends older ones
/// all the same: those that it replaced must not come back.
#[derive(Default)]
struct FoundOfKey {
    responses: Vec<LoadedResponse>,
    purged: Vec<StoredHead>,
    /// Whether there was one of an unknown variant: older ones may be its predecessors.
    is_uncertain: bool,
    unusable: Vec<RecordPlace>,
    /// Those that newer ones of their variants have replaced.
    replaced: Vec<RecordPlace>,
}

impl FoundOfKey {
    fn add(&mut self, response: LoadedResponse, place: RecordPlace) {
        let head = &response.response.head;
        if self.purged.iter().any(|newer| is_older(head, newer)) {
            self.unusable.push(place);
        } else if self.has_newer(head) {
            self.replaced.push(place);
        } else {
            self.responses.push(response);
        }
    }

    fn add_purged(&mut self, head: StoredHead, place: RecordPlace) {
        if !self.has_newer(&head) {
            self.purged.push(head);
        }
        self.unusable.push(place);
    }

    fn add_uncertain(&mut self, place: RecordPlace) {
        self.is_uncertain = true;
        self.unusable.push(place);
    }

    /// Adds a record that isn't read. It is found again only if no newer one of its variant may go.
    fn add_unread(&mut self, place: RecordPlace) {
        if self.is_uncertain || !self.purged.is_empty() {
            self.unusable.push(place);
        }
    }

    fn has_newer(&self, head: &StoredHead) -> bool {
        let mut newer = self.responses.iter();
        newer.any(|newer| is_older(head, &newer.response.head))
    }

    /// Whether records that were not purged are not found any more, but would be after the next start.
    fn hides_others(&self) -> bool {
        self.is_uncertain || self.unusable.len() > self.purged.len()
    }
}

impl Disk {
    pub(super) fn start_readers(self: &Arc<Disk>, reads: Receiver<ReadJob>) -> std::io::Result<()> {
        let reads = Arc::new(Mutex::new(reads));
        for _ in 0..READERS {
            let (disk, reads) = (Arc::clone(self), Arc::clone(&reads));
            start_thread(&self.threads, "disk-reader", move || {
                disk.answer_reads(&reads);
            })?;
        }
        Ok(())
    }

    /// The responses of a key, the latest first, without waiting; `None` if the disk has to be waited
    /// for.
    pub(in crate::store::disk) fn load_at_once(
        self: &Arc<Disk>,
        key: &[u8],
    ) -> Option<Vec<LoadedResponse>> {
        self.look_up(key, ReadMode::NoWait).ok()
    }

    /// The responses of a key, the latest first. Waits for the disk, and counts no hit.
    pub(in crate::store::disk) fn peek(self: &Arc<Disk>, key: &[u8]) -> Vec<LoadedResponse> {
        self.read(key, ReadMode::Wait).unwrap_or_default()
    }

    /// Has a thread that may wait read. A full queue, and a disk that is too slow, drop the job and with
    /// it the sender of its answer.
    pub(in crate::store::disk) fn load(&self, job: ReadJob) {
        let is_look_up = matches!(job, ReadJob::LookUp { .. });
        if is_look_up && self.health.is_slow(self.shared.clock.now()) {
            return;
        }
        if let Some(reads) = &*lock(&self.reads) {
            let _ = reads.try_send(job);
        }
    }

    /// Counts a look-up that was given up. `is_late` says that it had waited.
    pub(in crate::store::disk) fn count_skipped(&self, is_late: bool) {
        self.counts.skipped.fetch_add(1, Ordering::Relaxed);
        if is_late && let Some(pause) = self.health.was_late(self.shared.clock.now()) {
            let path = self.settings.path.display();
            tracing::warn!(%path, ?pause, "the disk is too slow, and requests don't wait for it for a while");
        }
    }

    fn answer_reads(self: &Arc<Disk>, reads: &Mutex<Receiver<ReadJob>>) {
        loop {
            let next = lock(reads).recv();
            let Ok(job) = next else { return };
            // The client may have gone.
            match job {
                ReadJob::LookUp { key, reply } => {
                    if !reply.is_closed() {
                        let loaded = self.look_up(&key, ReadMode::Wait).unwrap_or_default();
                        // To a request that has given up, the disk was late.
                        if reply.send(loaded).is_ok() {
                            self.health.answered();
                        }
                    }
                }
                ReadJob::Content(read) => read(),
            }
        }
    }

    /// The usable responses of a key, the latest first: of each variant the newest. If the disk has to be
    /// waited for, all is found as before: what can't be used stands before older records.
    fn read(
        self: &Arc<Disk>,
        key: &[u8],
        mode: ReadMode,
    ) -> Result<Vec<LoadedResponse>, ReadError> {
        let hash = self.records.hash(key);
        let mut found = FoundOfKey::default();
        let mut may_take = match mode {
            ReadMode::NoWait => MAX_AT_ONCE,
            ReadMode::Wait => u64::MAX,
        };
        for (number, place) in self.records.find(hash).into_iter().enumerate() {
            if found.is_uncertain || number >= MAX_READ {
                found.add_unread(place);
                continue;
            }
            match self.read_response(key, hash, place, mode, may_take) {
                Ok(FoundRecord::Usable(response))
                    if self.is_outdated(hash, &response.response.head, place) =>
                {
                    found.unusable.push(place);
                }
                Ok(FoundRecord::Usable(response)) => {
                    if !response.response.body.is_outside() {
                        may_take -= response.response.body.len();
                    }
                    found.add(response, place);
                }
                Ok(FoundRecord::Purged(head)) => found.add_purged(*head, place),
                Err(ReadError::WouldWait) => return Err(ReadError::WouldWait),
                Ok(FoundRecord::Unknown) | Err(ReadError::Damaged | ReadError::Gone) => {
                    found.add_uncertain(place);
                }
                Err(ReadError::Io(error)) => {
                    self.fail(&error);
                    return Ok(Vec::new());
                }
            }
        }
        if found.hides_others() {
            self.hidden.hide(hash);
        }
        if !found.unusable.is_empty() || !found.replaced.is_empty() {
            let unusable = found.unusable.len() as u64;
            self.counts.unusable.fetch_add(unusable, Ordering::Relaxed);
            let ended = [found.unusable, found.replaced].concat();
            self.records.forget(hash, &ended);
        }
        Ok(found.responses)
    }

    /// As [`Disk::read`], for a request.
    fn look_up(
        self: &Arc<Disk>,
        key: &[u8],
        mode: ReadMode,
    ) -> Result<Vec<LoadedResponse>, ReadError> {
        let found = self.read(key, mode)?;
        if !found.is_empty() {
            self.counts.hits.fetch_add(1, Ordering::Relaxed);
        }
        Ok(found)
    }

    /// Whether memory has had a newer response of the same variant.
    fn is_outdated(&self, hash: u64, head: &StoredHead, place: RecordPlace) -> bool {
        let is_outdated = || {
            let variant = self.variant(hash, &head.secondary_key);
            self.outdated.has(variant, place)
        };
        self.outdated.may_have_any() && is_outdated()
    }

    /// A record can't be read any more: neither it is found, nor older ones of its key, which may be its
    /// predecessors.
    pub(super) fn drop_record(&self, hash: u64, place: RecordPlace) {
        self.counts.unusable.fetch_add(1, Ordering::Relaxed);
        let mut ended = self.records.find(hash);
        ended.retain(|other| *other <= place);
        if ended.len() > 1 {
            self.hidden.hide(hash);
        }
        self.records.forget(hash, &ended);
    }

    /// What a record has. Content for memory that is longer than `may_take` has to be waited for, and is
    /// not read.
    fn read_response(
        self: &Arc<Disk>,
        key: &[u8],
        hash: u64,
        place: RecordPlace,
        mode: ReadMode,
        may_take: u64,
    ) -> Result<FoundRecord, ReadError> {
        let record = self.records.read_with_content(key, place, mode, may_take)?;
        let clocks = self.clocks();
        let Some(saved) = head::restore(record.head(), clocks) else {
            return Ok(FoundRecord::Unknown);
        };
        let mut head = saved.head;
        let mark = PurgeMark::from_bytes(record.header.mark);
        let verdict = match self.ledger.is_newest(mark) {
            true => PurgeVerdict::Current,
            false => {
                let hash = |bytes: &[u8]| self.records.hash(bytes);
                let subject = subject(key, &head, &saved.site, hash);
                self.ledger.verdict(&subject, mark)
            }
        };
        match verdict {
            PurgeVerdict::Gone => return Ok(FoundRecord::Purged(Box::new(head))),
            PurgeVerdict::Stale => head.freshness = head.freshness.made_stale(clocks.steady),
            PurgeVerdict::Current => {}
        }
        // If the system's clock was set back since, its age is unknown.
        if saved.saved_at > clocks.wall {
            head.freshness = head.freshness.made_stale(clocks.steady);
        }
        let body = if record.content_len() > self.shared.max_in_memory {
            // Only content in memory is coded. The first piece is known to be sound.
            head.may_be_coded = false;
            let content = DiskContent::new(Arc::clone(self), record, hash, place);
            content.check_first_piece(mode)?;
            StoredBody::outside(Arc::new(content))
        } else if record.content_len() > may_take {
            return Err(ReadError::WouldWait);
        } else {
            content_in_memory(record, mode)?
        };
        let response = StoredResponse::new(head, body);
        // Purges from before this process have been taken into account.
        let base = self.base.load(Ordering::Relaxed);
        response.set_purge_mark(mark.number.saturating_sub(base));
        response.disk.claim();
        if !response.body.is_empty() {
            response.disk.wrote_content();
        }
        Ok(FoundRecord::Usable(LoadedResponse {
            response,
            site: saved.site,
        }))
    }
}

/// The content of a record: in the buffer that was read into, if it is all there.
fn content_in_memory(record: StoredRecord, mode: ReadMode) -> Result<StoredBody, ReadError> {
    match record.into_content()? {
        Ok(ContentInBuffer { buffer, pieces }) => {
            let buffer = Bytes::from_owner(buffer);
            let pieces = pieces.into_iter().map(|place| buffer.slice(place));
            Ok(StoredBody::in_buffer(pieces.collect()))
        }
        Err(record) => Ok(StoredBody::new(whole_content(&record, mode)?)),
    }
}

/// All content of a record. What memory holds in one piece is read into one.
pub(in crate::store::disk) fn whole_content(
    record: &StoredRecord,
    mode: ReadMode,
) -> Result<Vec<Bytes>, ReadError> {
    let mut pieces = 0..record.pieces();
    let length = record.content_len();
    if length > StoredBody::ONE_PIECE {
        let read = pieces.map(|piece| record.piece(piece, mode).map(Bytes::from));
        return read.collect();
    }
    // The last piece brings its checksum along.
    let mut content = Vec::with_capacity(length as usize + CHECKSUM_BYTES);
    pieces.try_for_each(|piece| record.append_piece(piece, mode, &mut content))?;
    content.shrink_to_fit();
    Ok(match content.is_empty() {
        true => Vec::new(),
        false => vec![Bytes::from(content)],
    })
}
