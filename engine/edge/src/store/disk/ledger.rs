//! The purges that a disk must remember: the latest number for each URL, surrogate key, site, prefix
//! and pattern of paths.
//!
//! A record on disk has the number of the last purge from before it was fetched. It is gone, or
//! stale, if something that means it was purged under a later number. So no purge walks over the
//! disk. The file ([`file`]) is added to, and written anew when it is opened and when it has grown. It
//! is small: URLs, surrogate keys and sites are kept as hashes.
//!
//! Purges come from threads that serve requests, too: [`PurgeLedger::note`] and [`PurgeLedger::write`] never
//! wait for the disk. Other threads do what has to, one at a time.

mod file;
mod hashes;
mod table;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use self::file::{LedgerFile, LedgerHead, MAX_WAITING};
use self::table::{NONE, PurgeTable, TableShare};
use crate::store::purge::scope::PurgeMode;
use tero_semantics::timestamp::Timestamp;
use tero_state::segments::files::FileSystem;

pub(super) use self::table::{PurgeMark, PurgeSubject, PurgeVerdict, PurgedThing};

/// Each run's numbers begin so far after the last one that is known: purges that were never answered
/// may be lost with the power, and their numbers must not be used again.
const GAP: u64 = 1 << 32;
/// Of the lines that come while the file is written anew, so many may be added to the new one while purges wait.
const FEW_LINES: usize = 64;

/// The purges of one disk.
#[derive(Debug)]
pub(super) struct PurgeLedger {
    path: PathBuf,
    files: Arc<dyn FileSystem>,
    table: RwLock<PurgeTable>,
    /// The number of the newest purge in it, for look-ups, which take no lock.
    newest: AtomicU64,
    /// The number that this run's purges begin after.
    base: u64,
    /// Never held while the disk is waited for.
    written: Mutex<WrittenLedger>,
    /// Held by the one who waits for the disk.
    turn: Mutex<()>,
    /// The identity of the log: random, drawn when the file is made.
    log: u64,
}

#[derive(Debug)]
struct WrittenLedger {
    /// `None` where the file lacks purges, since the disk failed.
    file: Option<LedgerFile>,
    /// While the file is written anew.
    next: Option<NextFile>,
    /// Files that are not used any more. To close one may take time.
    given_up: Vec<LedgerFile>,
    head: LedgerHead,
    /// While records are erased: when the first hard purge since came; 0 if there was none.
    since_erasing: Option<u64>,
}

/// The file that takes the place of another.
#[derive(Debug)]
enum NextFile {
    /// It is being written. These lines have come since, and are still to be added.
    Unfinished(Vec<Vec<u8>>),
    /// It has all lines. Each of both may be the one that has the name.
    Finished(LedgerFile),
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
        let (mut head, table) = match file::read(&**files, path)? {
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
        head.base = table.newest.max(head.base).saturating_add(GAP);
        let shares = (0..PurgeTable::SHARES).map(|share| table.share(share));
        let written = LedgerFile::prepare(&**files, path, head, shares)?;
        file::take_place(&**files, path)?;
        Ok(PurgeLedger::of(path, files, head, table, Some(written)))
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
        Ok(Some(PurgeLedger::of(path, files, head, table, None)))
    }

    fn of(
        path: &Path,
        files: &Arc<dyn FileSystem>,
        head: LedgerHead,
        table: PurgeTable,
        file: Option<LedgerFile>,
    ) -> PurgeLedger {
        PurgeLedger {
            path: path.to_owned(),
            files: Arc::clone(files),
            newest: AtomicU64::new(table.newest),
            base: head.base,
            table: RwLock::new(table),
            written: Mutex::new(WrittenLedger {
                file,
                next: None,
                given_up: Vec::new(),
                head,
                since_erasing: None,
            }),
            turn: Mutex::default(),
            log: head.log,
        }
    }

    /// The identity of its log.
    pub(super) fn log(&self) -> u64 {
        self.log
    }

    /// The number of the last purge, or the one that this run's purges begin after.
    pub(super) fn last(&self) -> u64 {
        self.newest.load(Ordering::Acquire).max(self.base)
    }

    /// Has a purge of these things count from now on, until the process ends. Waits for nothing.
    pub(super) fn note(&self, number: u64, mode: PurgeMode, things: &[PurgedThing]) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        for thing in things {
            table.add(thing, mode, number);
        }
        self.newest.store(table.newest, Ordering::Release);
    }

    /// Adds a purge that was noted to the file: it is durable after the next [`PurgeLedger::sync`].
    /// `now` is the time by the system's clock. Waits for nothing. Returns whether it is time for
    /// [`PurgeLedger::shorten`] and [`PurgeLedger::keep_room`].
    ///
    /// # Errors
    /// The system's error. The purge is durable after [`PurgeLedger::write_anew`] then.
    pub(super) fn write(
        &self,
        number: u64,
        mode: PurgeMode,
        things: &[PurgedThing],
        now: Timestamp,
    ) -> io::Result<bool> {
        let mut written = self.lock_file();
        let is_first = mode == PurgeMode::Hard && written.note_hard_purge(now);
        // After an error, too: another file may be about to take the place of this one.
        let mut all_added = Ok(());
        for thing in things {
            let added = written.add(&file::line(thing, mode, number));
            all_added = all_added.and(added);
        }
        if is_first {
            all_added = all_added.and(written.write_head());
        }
        let file = written.file.as_ref();
        all_added.map(|()| file.is_some_and(|file| file.has_grown() || file.has_little_room()))
    }

    /// Has all purges on disk when it returns. A sync serves all that were added before it.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn sync(&self) -> io::Result<()> {
        let _turn = self.turn();
        self.sync_in_turn()
    }

    /// The same; the caller has the turn.
    fn sync_in_turn(&self) -> io::Result<()> {
        self.place_lines()?;
        let unsynced = match &mut self.lock_file().file {
            Some(file) => file.take_unsynced(),
            None => return Err(not_written()),
        };
        let synced = unsynced.map_or(Ok(()), |file| file.sync());
        if synced.is_err() {
            // What the system has given up is not written by another sync.
            self.lock_file().give_up_file();
        }
        synced
    }

    /// Writes the file anew if it has grown, so that it stays short. Waits for the disk.
    ///
    /// # Errors
    /// The system's error. The file that there was is added to then, unless it [is
    /// incomplete](PurgeLedger::is_incomplete).
    pub(super) fn shorten(&self) -> io::Result<()> {
        let _turn = self.turn();
        match self.has_file(LedgerFile::has_grown) {
            true => self.replace(),
            false => Ok(()),
        }
    }

    /// Has room in the file for further purges. Waits for the disk.
    ///
    /// # Errors
    /// The system's error, if purges wait for room, or if it isn't known any more that those of the file
    /// are on the disk.
    pub(super) fn keep_room(&self) -> io::Result<()> {
        let _turn = self.turn();
        self.place_lines()?;
        if self.has_file(LedgerFile::has_little_room)
            && let Err(error) = self.make_room()
            && self.is_incomplete()
        {
            return Err(error);
        }
        // If there is none, that matters once lines wait for it.
        Ok(())
    }

    /// Writes the file anew, after the disk has failed.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn write_anew(&self) -> io::Result<()> {
        let _turn = self.turn();
        self.replace()
    }

    /// Whether the file lacks purges, since the disk failed.
    pub(super) fn is_incomplete(&self) -> bool {
        !self.has_file(|_| true)
    }

    /// Removes a file that lacks purges, so that all records count as purged after the next start. Those that
    /// wait for room are lacking too.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn remove_incomplete(&self) -> io::Result<()> {
        let _turn = self.turn();
        match self.has_file(|file| !file.lacks_room()) {
            true => Ok(()),
            false => self.remove_in_turn(),
        }
    }

    /// Removes the file, so that all records count as purged after the next start.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn remove(&self) -> io::Result<()> {
        let _turn = self.turn();
        self.remove_in_turn()
    }

    /// The same; the caller has the turn.
    fn remove_in_turn(&self) -> io::Result<()> {
        self.lock_file().give_up_file();
        self.files.remove_for_good(&self.path)
    }

    /// Has the file grow for the lines that wait for room. The caller has the turn.
    fn place_lines(&self) -> io::Result<()> {
        while self.has_file(LedgerFile::lacks_room) {
            if let Err(error) = self.make_room() {
                self.lock_file().give_up_file();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Has the file grow. If that fails, the file is as it was, or given up. The caller has the turn.
    fn make_room(&self) -> io::Result<()> {
        let growth = self.lock_file().file.as_ref().map(LedgerFile::growth);
        let Some(growth) = growth else {
            return Err(not_written());
        };
        growth.write()?;
        let synced = growth.sync();
        let mut written = self.lock_file();
        let grown = synced.and_then(|()| {
            let file = written.file.as_mut();
            file.map_or(Ok(()), |file| file.grow(&growth))
        });
        if grown.is_err() {
            written.give_up_file();
        }
        grown
    }

    /// Writes another file, and puts it in the place of the one that there is. If that fails, the old one
    /// stays in use if it certainly has its place still. The caller has the turn.
    fn replace(&self) -> io::Result<()> {
        let replaced = self.try_to_replace();
        self.close_given_up();
        replaced
    }

    fn try_to_replace(&self) -> io::Result<()> {
        let head = {
            let mut written = self.lock_file();
            written.next = Some(NextFile::Unfinished(Vec::new()));
            written.head
        };
        let prepared = LedgerFile::prepare(&*self.files, &self.path, head, self.shares());
        let finished = prepared.and_then(|file| self.finish(file, head));
        if finished.is_err() {
            file::give_up_place(&*self.files, &self.path);
            return self.lock_file().end_replacing(finished, false);
        }
        let renamed = file::take_place(&*self.files, &self.path);
        let has_place = renamed.is_ok() || !file::give_up_place(&*self.files, &self.path);
        self.lock_file().end_replacing(renamed, has_place)
    }

    /// All purges that were noted, in shares: purges and look-ups wait for one at most. A purge that comes
    /// meanwhile may be among them or not. It is written later, to both files.
    fn shares(&self) -> impl Iterator<Item = TableShare> + '_ {
        (0..PurgeTable::SHARES).map(|share| {
            let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
            table.share(share)
        })
    }

    /// Adds the lines that have come meanwhile to a file that was written from the purges that there were at
    /// first, with this head. The caller has the turn.
    fn finish(&self, mut file: LedgerFile, head: LedgerHead) -> io::Result<()> {
        while let Some(lines) = self.take_many_lines() {
            file.add(lines)?;
        }
        self.lock_file().finish(file, head)
    }

    /// The lines that have come while the file is written anew, if they are many.
    fn take_many_lines(&self) -> Option<Vec<Vec<u8>>> {
        match &mut self.lock_file().next {
            Some(NextFile::Unfinished(lines)) if lines.len() > FEW_LINES => {
                Some(std::mem::take(lines))
            }
            _ => None,
        }
    }

    /// Whether there is a file that has all purges, and this holds for it.
    fn has_file(&self, holds: impl Fn(&LedgerFile) -> bool) -> bool {
        self.lock_file().file.as_ref().is_some_and(holds)
    }

    /// Whether a record with this mark is newer than all purges, so that none means it.
    pub(super) fn is_newest(&self, mark: PurgeMark) -> bool {
        mark.log == self.log && mark.number >= self.newest.load(Ordering::Acquire)
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
        let _turn = self.turn();
        {
            let mut written = self.lock_file();
            let since = written.since_erasing.take().unwrap_or_default();
            if !is_done {
                return Ok(());
            }
            written.head.due = since;
            if written.file.is_none() {
                return Ok(());
            }
            written.write_head()?;
        }
        self.sync_in_turn()
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.close_given_up();
        turn
    }

    /// Closes files that are not used any more. The caller has the turn.
    fn close_given_up(&self) {
        let files = std::mem::take(&mut self.lock_file().given_up);
        drop(files);
    }

    fn lock_file(&self) -> MutexGuard<'_, WrittenLedger> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WrittenLedger {
    /// Adds a line to the file, and to the one that takes its place.
    fn add(&mut self, line: &[u8]) -> io::Result<()> {
        match &mut self.next {
            Some(NextFile::Unfinished(lines)) if lines.len() < MAX_WAITING => {
                lines.push(line.to_vec());
            }
            // It is given up.
            Some(NextFile::Unfinished(_)) => self.next = None,
            _ => {}
        }
        self.change(|file| file.add(vec![line.to_vec()]))
    }

    /// Writes the head to both.
    fn write_head(&mut self) -> io::Result<()> {
        let head = self.head;
        self.change(|file| file.set_head(head))
    }

    /// Changes the file, and the one that takes its place if it has all lines. One that can't be changed
    /// lacks purges.
    fn change(&mut self, change: impl Fn(&mut LedgerFile) -> io::Result<()>) -> io::Result<()> {
        if let Some(NextFile::Finished(next)) = &mut self.next
            && let Err(error) = change(next)
        {
            // It may have the name already.
            self.give_up_file();
            self.give_up_next();
            return Err(error);
        }
        let changed = match &mut self.file {
            Some(file) => change(file),
            None if self.next.is_some() => Ok(()),
            None => Err(not_written()),
        };
        if changed.is_err() {
            self.give_up_file();
        }
        changed
    }

    /// The file lacks purges from now on.
    fn give_up_file(&mut self) {
        self.given_up.extend(self.file.take());
    }

    /// No other file takes its place.
    fn give_up_next(&mut self) {
        if let Some(NextFile::Finished(file)) = self.next.take() {
            self.given_up.push(file);
        }
    }

    /// A file was written from the purges that there were at first, with this head. It has the lines that have
    /// come since, but for a few.
    fn finish(&mut self, mut file: LedgerFile, head: LedgerHead) -> io::Result<()> {
        let Some(NextFile::Unfinished(lines)) = self.next.take() else {
            return Err(not_written());
        };
        file.add(lines)?;
        if head != self.head {
            file.set_head(self.head)?;
        }
        self.next = Some(NextFile::Finished(file));
        Ok(())
    }

    /// The next file was put in the place of the other, or that has failed; `has_place` says that it may
    /// be there all the same.
    fn end_replacing(&mut self, replaced: io::Result<()>, has_place: bool) -> io::Result<()> {
        if replaced.is_err() {
            self.give_up_next();
            if has_place {
                // After a power failure, either may be there.
                self.give_up_file();
            }
            self.file.iter_mut().for_each(LedgerFile::stays);
            return replaced;
        }
        let Some(NextFile::Finished(file)) = self.next.take() else {
            // It lacks a line, and so does the other.
            return Err(not_written());
        };
        self.give_up_file();
        self.file = Some(file);
        Ok(())
    }

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

fn not_written() -> io::Error {
    io::Error::other("the file of purges could not be written before")
}

/// A number that no other log has.
fn new_log() -> io::Result<u64> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests;
