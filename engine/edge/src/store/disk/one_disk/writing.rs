//! The thread that writes to a disk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::head;
use super::super::queue::{SpooledParts, WriteJob};
use super::{Disk, lock};
use crate::store::Key;
use crate::store::stored::StoredResponse;
use tero_state::segments::layout::{Extent, RecordKind};
use tero_state::segments::{AppendError, NewRecord, ReadMode, StoredRecord};

/// Content that is longer than half a segment is written in parts of so many bytes: a multiple of a
/// piece.
const PART_BYTES: usize = 4 << 20;
const WAIT: ReadMode = ReadMode::Wait;

impl Disk {
    /// Does what is offered, until the queue is closed.
    pub(super) fn write_all(&self) {
        while let Some(job) = self.queue.next() {
            if let WriteJob::Probe = job {
                self.probe();
            } else if let WriteJob::Ledger = job {
                self.look_after_ledger();
            } else if !self.health.is_in_use() {
                self.leave_out(&job);
            } else if let Err(AppendError::Io(error)) = self.carry_out(&job) {
                self.fail(&error);
                self.leave_out(&job);
            } else if let Err(error) = self.catch_up() {
                self.fail(&error);
            }
        }
    }

    fn carry_out(&self, job: &WriteJob) -> Result<(), AppendError> {
        match job {
            WriteJob::Response { key, stored } => {
                // It may be better later, or under another head.
                if self.write(key, stored)? == WriteOutcome::LeftOut {
                    stored.disk.give_up();
                }
                Ok(())
            }
            WriteJob::Removal { key } => self.withdraw(key),
            WriteJob::Part { spool, bytes } => {
                let part = self.append_part(&[bytes]);
                match part {
                    Ok(extent) => lock(&spool.extents).push(extent),
                    Err(_) => spool.has_failed.store(true, Ordering::Relaxed),
                }
                part.map(drop)
            }
            WriteJob::Beginning { spool, pieces, .. } => {
                let pieces: Vec<&[u8]> = pieces.iter().map(|piece| &piece[..]).collect();
                let parts = self.append_parts(&pieces);
                match parts {
                    Ok(extents) => {
                        lock(&spool.extents).extend(extents);
                        Ok(())
                    }
                    Err(error) => {
                        spool.has_failed.store(true, Ordering::Relaxed);
                        Err(error)
                    }
                }
            }
            WriteJob::End {
                spool,
                key,
                stored,
                length,
            } => self.write_spooled(spool, key, stored, *length).map(drop),
            WriteJob::Ledger | WriteJob::Probe => Ok(()),
        }
    }

    /// A job isn't done, since the disk fails.
    #[cold]
    fn leave_out(&self, job: &WriteJob) {
        match job {
            WriteJob::Response { stored, .. } => stored.disk.give_up(),
            WriteJob::Removal { key } => self.missed.note(key),
            WriteJob::Part { spool, .. } | WriteJob::Beginning { spool, .. } => {
                spool.has_failed.store(true, Ordering::Relaxed);
            }
            WriteJob::End { .. } | WriteJob::Ledger | WriteJob::Probe => {}
        }
    }

    fn write(&self, key: &Key, stored: &Arc<StoredResponse>) -> Result<WriteOutcome, AppendError> {
        let fields = stored.head.fields.to_headers(0);
        let now = self.shared.clock.now();
        if stored.disk.is_replaced() || stored.disk.is_superseded() {
            return Ok(WriteOutcome::LeftOut);
        }
        // Without use for a restart: it would have to be fetched again.
        if !stored.head.freshness.is_worth_keeping(&fields, now) {
            return Ok(WriteOutcome::LeftOut);
        }
        if stored.body.len() > self.max_object() {
            return Ok(WriteOutcome::LeftOut);
        }
        if let Some(extents) = self.content_on_disk(key, stored) {
            self.counts.written_heads.fetch_add(1, Ordering::Relaxed);
            return self.append_entry(key, stored, &[], &extents);
        }
        if stored.body.is_outside() {
            // Its content is about to be removed, and is too large to be moved.
            return Ok(WriteOutcome::LeftOut);
        }
        let content = stored.body.pieces().iter();
        let content: Vec<&[u8]> = content.map(|piece| &piece[..]).collect();
        if stored.body.len() <= u64::from(self.records.segment_bytes()) / 2 {
            return self.append_entry(key, stored, &content, &[]);
        }
        let extents = self.append_parts(&content)?;
        self.append_entry(key, stored, &[], &extents)
    }

    /// Where the content of a response lies that is on the disk under an older head: with the newest
    /// record that the same requests select.
    fn content_on_disk(&self, key: &Key, stored: &StoredResponse) -> Option<Vec<Extent>> {
        if !stored.disk.has_content() {
            return None;
        }
        let hash = self.records.hash(key.as_bytes());
        for place in self.records.find(hash) {
            // One that can't be read may be the one: then an older one has other content.
            let record = self.records.read(key.as_bytes(), place, WAIT).ok()?;
            let saved = head::restore(record.head(), self.clocks())?;
            if saved.head.secondary_key == stored.head.secondary_key {
                let is_same = record.content_len() == stored.body.len()
                    && (stored.body.is_outside() || begins_same(&record, stored)?);
                let may_be_named = is_same && self.records.stays_for_now(&record);
                return may_be_named.then(|| record.extents());
            }
        }
        None
    }

    fn write_spooled(
        &self,
        spool: &SpooledParts,
        key: &Key,
        stored: &Arc<StoredResponse>,
        length: u64,
    ) -> Result<WriteOutcome, AppendError> {
        let extents = std::mem::take(&mut *lock(&spool.extents));
        let written: u64 = extents.iter().map(|extent| extent.content_len).sum();
        // What could not be written has been told.
        if spool.has_failed.load(Ordering::Relaxed)
            || written != length
            || stored.disk.is_replaced()
        {
            return Ok(WriteOutcome::LeftOut);
        }
        self.append_entry(key, stored, &[], &extents)
    }

    /// Appends the record by which a response is found.
    fn append_entry(
        &self,
        key: &Key,
        stored: &StoredResponse,
        content: &[&[u8]],
        extents: &[Extent],
    ) -> Result<WriteOutcome, AppendError> {
        let Some(site) = self.site_name(stored.head.site) else {
            return Ok(WriteOutcome::LeftOut);
        };
        let head = head::save(&stored.head, &site, self.clocks());
        // Without a secondary key, it takes the place of all others.
        let kind = match stored.head.secondary_key.fields().is_empty() {
            true => RecordKind::Sole,
            false => RecordKind::Entry,
        };
        let record = NewRecord {
            kind,
            key: key.as_bytes(),
            head: &head,
            mark: self.mark(stored).to_bytes(),
            content,
            extents,
        };
        match self.append(&record) {
            Ok(()) => {}
            // It stays in memory alone.
            Err(AppendError::TooLarge) => return Ok(WriteOutcome::LeftOut),
            Err(error) => return Err(error),
        }
        self.counts.written.fetch_add(1, Ordering::Relaxed);
        let hash = self.records.hash(key.as_bytes());
        // Before it is looked at whether it was replaced meanwhile: that hides this record too.
        if kind == RecordKind::Sole {
            self.hidden.end(hash);
        } else if self.outdated.may_have_any() {
            let ended = self.variants_beside(hash, &stored.head).into_iter();
            ended.for_each(|variant| self.outdated.end(variant));
        }
        let is_replaced = stored.disk.wrote_content();
        if is_replaced {
            // It was replaced or withdrawn while it was written.
            self.records.forget_all(hash);
            self.withdraw(key)?;
        }
        Ok(WriteOutcome::Written)
    }

    /// Notes on the disk that all responses of a key are gone; later, if it fails now.
    pub(super) fn withdraw(&self, key: &Key) -> Result<(), AppendError> {
        let appended = self.append_removal(key);
        if appended.is_err() {
            self.missed.note(key);
        }
        appended
    }

    fn append_removal(&self, key: &Key) -> Result<(), AppendError> {
        let record = NewRecord {
            kind: RecordKind::Removal,
            key: key.as_bytes(),
            head: &[],
            mark: [0; 16],
            content: &[],
            extents: &[],
        };
        self.append(&record)?;
        self.hidden.end(self.records.hash(key.as_bytes()));
        Ok(())
    }

    /// Appends content in parts that are whole pieces, but for the last one.
    fn append_parts(&self, content: &[&[u8]]) -> Result<Vec<Extent>, AppendError> {
        let most = PART_BYTES.min(self.records.segment_bytes() as usize / 4);
        let (mut extents, mut part) = (Vec::new(), Vec::with_capacity(most));
        for mut bytes in content.iter().copied() {
            while !bytes.is_empty() {
                let (now, later) = bytes.split_at(bytes.len().min(most - part.len()));
                part.extend_from_slice(now);
                bytes = later;
                if part.len() == most {
                    extents.push(self.append_part(&[&part])?);
                    part.clear();
                }
            }
        }
        if !part.is_empty() {
            extents.push(self.append_part(&[&part])?);
        }
        Ok(extents)
    }

    fn append_part(&self, content: &[&[u8]]) -> Result<Extent, AppendError> {
        let appended = self.records.append_extent(&NewRecord {
            kind: RecordKind::Extent,
            key: &[],
            head: &[],
            mark: [0; 16],
            content,
            extents: &[],
        });
        self.note_unsealed_withdrawals();
        appended
    }

    fn append(&self, record: &NewRecord<'_>) -> Result<(), AppendError> {
        let appended = self.records.append(record);
        self.note_unsealed_withdrawals();
        appended.map(drop)
    }

    /// Seals the newest segment.
    pub(super) fn seal(&self) -> io::Result<()> {
        let sealed = self.records.close();
        self.note_unsealed_withdrawals();
        sealed
    }

    /// Withdrawals of a segment that could not be sealed are missing: a power failure may take them.
    fn note_unsealed_withdrawals(&self) {
        for key in self.records.take_unsealed_removals() {
            match key {
                Ok(key) => self.missed.note(&Key::new(&key)),
                Err(_) => self.missed.note_unknown(),
            }
        }
    }

    /// Keeps the file of purges short, with room for more.
    fn look_after_ledger(&self) {
        self.is_ledger_due.store(false, Ordering::Release);
        if !self.health.is_in_use() {
            // It is written anew once the disk works again.
            return;
        }
        if let Err(error) = self.ledger.shorten() {
            if self.ledger.is_incomplete() {
                self.fail(&error);
                return;
            }
            let path = self.settings.path.display();
            tracing::warn!(%path, %error, "the file of purges can't be written anew, and goes on growing");
        }
        if let Err(error) = self.ledger.keep_room() {
            self.fail(&error);
        }
    }

    /// Looks whether the disk works again, and has it used then.
    fn probe(&self) {
        if self.health.is_in_use() {
            return;
        }
        match self.try_disk() {
            Ok(()) => {
                self.health.recover();
                let path = self.settings.path.display();
                tracing::info!(%path, "the disk works again");
            }
            Err(error) => {
                self.counts.failures.fetch_add(1, Ordering::Relaxed);
                let rest = self.health.trial_failed(self.shared.clock.now());
                let path = self.settings.path.display();
                tracing::warn!(%path, %error, retry_after = ?rest, "the disk still fails");
            }
        }
    }

    /// Writes the purges and withdrawals, which may have come meanwhile, and reads and writes a file.
    fn try_disk(&self) -> io::Result<()> {
        const PROBE: [u8; 4096] = [0x54; 4096];
        let (files, path) = (&self.shared.files, self.settings.path.join("probe"));
        match files.remove(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let file = files.create(&path)?;
        file.write_all_at(&PROBE, 0)?;
        file.sync()?;
        let mut read = [0; PROBE.len()];
        file.read_exact_at(&mut read, 0)?;
        if read != PROBE {
            return Err(io::Error::other("it doesn't give back what was written"));
        }
        files.remove(&path)?;
        self.ledger.write_anew()?;
        self.catch_up()
    }

    /// Writes the withdrawals that it lacks.
    pub(super) fn catch_up(&self) -> io::Result<()> {
        self.missed.write_all(|key| self.append_removal(key))
    }
}

/// Whether a response was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WriteOutcome {
    Written,
    LeftOut,
}

/// Whether the first piece of a record's content is that of a response in memory; `None` if it can't
/// be read.
fn begins_same(record: &StoredRecord, stored: &StoredResponse) -> Option<bool> {
    if record.content_len() == 0 {
        return Some(true);
    }
    let first = record.piece(0, WAIT).ok()?;
    let mut rest = &first[..];
    for piece in stored.body.pieces() {
        let (own, later) = rest.split_at(rest.len().min(piece.len()));
        if own != &piece[..own.len()] {
            return Some(false);
        }
        rest = later;
    }
    Some(rest.is_empty())
}
