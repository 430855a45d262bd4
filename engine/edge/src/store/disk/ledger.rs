//! The purges that a disk must remember: the latest number for each URL, surrogate key, site, prefix
//! and pattern of paths.
//!
//! A record on disk has the number of the last purge from before it was fetched. It is gone, or
//! stale, if something that means it was purged under a later number. So no purge walks over the
//! disk. The file ([`file`]) is added to, and written anew when it is opened and when it has grown. It
//! is small: URLs, surrogate keys and sites are kept as hashes.

mod file;
mod table;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use self::file::{LedgerFile, LedgerHead};
use self::table::{NONE, PurgeTable};
use crate::store::purge::scope::PurgeMode;
use tero_semantics::timestamp::Timestamp;
use tero_state::segments::files::FileSystem;

pub(super) use self::table::{PurgeMark, PurgeSubject, PurgeVerdict, PurgedThing};

/// Each run's numbers begin so far after the last one that is known: purges that were never answered
/// may be lost with the power, and their numbers must not be used again.
const GAP: u64 = 1 << 32;

/// The purges of one disk.
#[derive(Debug)]
pub(super) struct PurgeLedger {
    path: PathBuf,
    files: Arc<dyn FileSystem>,
    table: RwLock<PurgeTable>,
    written: Mutex<WrittenLedger>,
    /// The identity of the log: random, drawn when the file is made.
    log: u64,
}

#[derive(Debug)]
struct WrittenLedger {
    /// `None` where the file lacks purges, since the disk failed.
    file: Option<LedgerFile>,
    head: LedgerHead,
    /// While records are erased: when the first hard purge since came; 0 if there was none.
    since_erasing: Option<u64>,
}

impl PurgeLedger {
    /// Opens the ledger of a disk, and writes it anew. Where its file is missing or damaged, all
    /// records that the disk has count as purged, since it isn't known which were.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn open(
        path: &Path,
        files: &Arc<dyn FileSystem>,
        has_records: bool,
    ) -> io::Result<PurgeLedger> {
        let (mut head, mut table) = match file::read(&**files, path)? {
            Some(read) => read,
            None => {
                let mut table = PurgeTable::default();
                if has_records {
                    table.add(&PurgedThing::Everything, PurgeMode::Hard, 1);
                }
                // The log is a new one: records of another one are stale at best.
                let head = LedgerHead {
                    log: new_log()?,
                    base: 0,
                    // What it was is on the disk still, and long enough perhaps.
                    due: u64::from(has_records),
                };
                (head, table)
            }
        };
        head.base = table.last.saturating_add(GAP);
        table.last = head.base;
        let written = LedgerFile::create(&**files, path, head, &table)?;
        Ok(PurgeLedger {
            path: path.to_owned(),
            files: Arc::clone(files),
            table: RwLock::new(table),
            written: Mutex::new(WrittenLedger {
                file: Some(written),
                head,
                since_erasing: None,
            }),
            log: head.log,
        })
    }

    /// Reads the ledger of a disk without changing it; `None` if it is missing or damaged, so that all
    /// records count as purged.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn look_at(
        path: &Path,
        files: &Arc<dyn FileSystem>,
    ) -> io::Result<Option<PurgeLedger>> {
        let Some((head, table)) = file::read(&**files, path)? else {
            return Ok(None);
        };
        Ok(Some(PurgeLedger {
            path: path.to_owned(),
            files: Arc::clone(files),
            table: RwLock::new(table),
            written: Mutex::new(WrittenLedger {
                file: None,
                head,
                since_erasing: None,
            }),
            log: head.log,
        }))
    }

    /// The identity of its log.
    pub(super) fn log(&self) -> u64 {
        self.log
    }

    /// The number of the last purge, or the one that this run's purges begin after.
    pub(super) fn last(&self) -> u64 {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.last
    }

    /// Has a purge of these things count from now on, until the process ends. Waits for nothing.
    pub(super) fn note(&self, number: u64, mode: PurgeMode, things: &[PurgedThing]) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        for thing in things {
            table.add(thing, mode, number);
        }
    }

    /// Adds a purge that was noted to the file: it is durable after the next [`PurgeLedger::sync`].
    /// `now` is the time by the system's clock.
    ///
    /// # Errors
    /// The system's error. The purge is durable after [`PurgeLedger::write_anew`] then.
    pub(super) fn write(
        &self,
        number: u64,
        mode: PurgeMode,
        things: &[PurgedThing],
        now: Timestamp,
    ) -> io::Result<()> {
        let mut written = self.lock_file();
        let is_first = mode == PurgeMode::Hard && written.note_hard_purge(now);
        let WrittenLedger { file, head, .. } = &mut *written;
        let Some(ledger) = file else {
            return Err(io::Error::other(
                "the file of purges could not be written before",
            ));
        };
        if ledger.has_grown() {
            return self.replace(&mut written);
        }
        let mut added = things
            .iter()
            .try_for_each(|thing| ledger.add(thing, mode, number));
        if is_first {
            added = added.and_then(|()| ledger.set_head(*head));
        }
        if added.is_err() {
            written.file = None;
        }
        added
    }

    /// Has all purges on disk when it returns. A sync serves all that were added before it.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn sync(&self) -> io::Result<()> {
        let mut written = self.lock_file();
        let Some(file) = &mut written.file else {
            return Err(io::Error::other(
                "the file of purges could not be written before",
            ));
        };
        let synced = file.sync();
        if synced.is_err() {
            // What the system has given up is not written by another sync.
            written.file = None;
        }
        synced
    }

    /// Writes the file anew, after the disk has failed.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn write_anew(&self) -> io::Result<()> {
        self.replace(&mut self.lock_file())
    }

    /// Removes a file that lacks purges, so that all records count as purged after the next start.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn remove_incomplete(&self) -> io::Result<()> {
        let written = self.lock_file();
        match written.file {
            Some(_) => Ok(()),
            None => self.files.remove(&self.path),
        }
    }

    /// Removes the file, so that all records count as purged after the next start.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn remove(&self) -> io::Result<()> {
        self.lock_file().file = None;
        self.files.remove(&self.path)
    }

    fn replace(&self, written: &mut WrittenLedger) -> io::Result<()> {
        let table = self
            .table
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let replaced = LedgerFile::create(&*self.files, &self.path, written.head, &table);
        match replaced {
            Ok(file) => {
                written.file = Some(file);
                Ok(())
            }
            Err(error) => {
                written.file = None;
                Err(error)
            }
        }
    }

    /// Whether a record with this mark is newer than all purges, so that none means it. Of records from
    /// before the last start, this isn't told.
    pub(super) fn is_newest(&self, mark: PurgeMark) -> bool {
        mark.log == self.log && mark.number >= self.last()
    }

    /// What the purges mean for a record with this mark.
    pub(super) fn verdict(&self, subject: &PurgeSubject<'_>, mark: PurgeMark) -> PurgeVerdict {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        if mark.log != self.log {
            return match table.everything.hard {
                NONE => PurgeVerdict::Stale,
                _ => PurgeVerdict::Gone,
            };
        }
        let latest = table.latest(subject);
        if latest.hard > mark.number {
            PurgeVerdict::Gone
        } else if latest.soft > mark.number {
            PurgeVerdict::Stale
        } else {
            PurgeVerdict::Current
        }
    }

    /// When the first hard purge was carried out whose records may still be on the disk, by the
    /// system's clock.
    pub(super) fn erase_due(&self) -> Option<Timestamp> {
        let due = self.lock_file().head.due;
        (due > 0).then(|| Timestamp::from_unix_millis(due.try_into().unwrap_or(i64::MAX)))
    }

    /// Records of all purges so far are being erased.
    pub(super) fn begin_erasing(&self) {
        self.lock_file().since_erasing = Some(0);
    }

    /// They have been erased, or not.
    ///
    /// # Errors
    /// The system's error: they will be looked for again.
    pub(super) fn end_erasing(&self, is_done: bool) -> io::Result<()> {
        let mut written = self.lock_file();
        let since = written.since_erasing.take().unwrap_or_default();
        if !is_done {
            return Ok(());
        }
        written.head.due = since;
        let WrittenLedger { file, head, .. } = &mut *written;
        match file {
            Some(file) => file.set_head(*head).and_then(|()| file.sync()),
            None => Ok(()),
        }
    }

    fn lock_file(&self) -> MutexGuard<'_, WrittenLedger> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WrittenLedger {
    /// Notes when a hard purge came. Returns whether the head of the file has to tell it.
    fn note_hard_purge(&mut self, now: Timestamp) -> bool {
        // 0 stands for none.
        let now = u64::try_from(now.unix_millis()).unwrap_or(0).max(1);
        if let Some(since) = &mut self.since_erasing
            && *since == 0
        {
            *since = now;
        }
        let is_first = self.head.due == 0;
        if is_first {
            self.head.due = now;
        }
        is_first
    }
}

/// A number that no other log has.
fn new_log() -> io::Result<u64> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests;
