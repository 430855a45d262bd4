//! The disk tier: stored responses below the memory, on disks that outlive a restart.
//!
//! A look-up that misses memory asks the index of the disk that has the key, which is in memory too. A
//! response that is there is read, checked against the purges since it was fetched, and decided about
//! as any stored response. It goes back into memory, a full one at its second request. Content that is too large for memory is read from the disk as its client takes it. What
//! leaves memory after a use goes to the disk, as does what is requested a second time, what a plan
//! has warmed, and content that is too large for memory. One thread for each disk writes, from a queue
//! that is bounded in bytes: when it is full, nothing waits.
//!
//! The bytes of records are described in `tero_state::segments::layout`, those of heads in [`head`],
//! and those of purges in [`ledger`].

mod early;
pub mod fuzzing;
mod head;
mod health;
mod ledger;
mod offline;
mod one_disk;
mod queue;
mod read_ahead;
mod recent;

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use foldhash::quality::RandomState;
use tokio::sync::oneshot;

use self::early::EarlyChanges;
use self::one_disk::{Disk, DiskPurge, ReadJob, SharedParts, purges_of};
use self::recent::RecentKeys;
use super::Key;
use super::purge::scope::{PurgeMode, PurgeScope};
use super::stored::{StoredHead, StoredResponse};
use tero_config as config;
use tero_semantics::key;
use tero_state::segments::files::FileSystem;
use tero_state::segments::{OpenError, OpenReport};
use tero_time::clock::Clock;

pub use self::offline::{CopyError, DiskCheck, DiskFolder, FolderRecord};
pub use self::one_disk::DiskSpool;

/// How long a purge waits for the disks to be opened, at most. The process that has them leaves them
/// before, unless it hangs or has much to write: then the purge is carried out on them when they are
/// opened.
const OPEN_WITHIN: Duration = Duration::from_secs(20);

/// Why a disk can't be used.
#[derive(Debug, thiserror::Error)]
#[error("the disk {path}: {source}", path = path.display())]
pub struct DiskError {
    path: PathBuf,
    source: DiskProblem,
}

#[derive(Debug, thiserror::Error)]
enum DiskProblem {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl DiskError {
    /// Whether another process has the disk.
    pub fn is_taken(&self) -> bool {
        matches!(self.source, DiskProblem::Open(OpenError::Taken(_)))
    }
}

/// What was found on a disk when it was opened.
#[derive(Clone, Debug)]
pub struct DiskReport {
    /// Its folder.
    pub path: PathBuf,
    /// Its segments and records.
    pub found: OpenReport,
}

/// The figures of a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskFigures {
    /// Its folder.
    pub path: PathBuf,
    /// The bytes that it may have, at most.
    pub size: u64,
    /// Responses that can be found.
    pub records: u64,
    /// Its segments.
    pub segments: u64,
    /// Bytes on the disk.
    pub bytes: u64,
    /// Bytes of memory for the index.
    pub index_bytes: u64,
    /// Look-ups that it answered.
    pub hits: u64,
    /// Look-ups that found a record which could not be used: purged, damaged, or of another key.
    pub unusable: u64,
    /// Look-ups that gave up, since the disk was too slow or too many waited for it.
    pub skipped: u64,
    /// Responses that were written.
    pub written: u64,
    /// Those of them of which only the head was written: the content was on the disk.
    pub written_heads: u64,
    /// Responses that were not written, since too many waited.
    pub dropped: u64,
    /// How often it failed.
    pub failures: u64,
    /// Records that were erased, since they were purged.
    pub erased: u64,
    /// Segments that were removed early, since the disk was full before it had its size.
    pub removed_for_full_disk: u64,
    /// Whether it is left out because it failed.
    pub has_failed: bool,
    /// Whether requests don't wait for it, since it is too slow.
    pub is_slow: bool,
}

/// A response that was read from a disk.
#[derive(Debug)]
pub struct LoadedResponse {
    /// The response; its head has no site index yet.
    pub response: StoredResponse,
    /// The name of its site.
    pub site: Box<str>,
}

/// All disks of an edge.
#[derive(Debug)]
pub struct DiskTier {
    settings: Box<[config::CacheDisk]>,
    shared: SharedParts,
    /// Set once they are open.
    open: OnceLock<OpenDisks>,
    /// Held while they are opened.
    opening: Mutex<()>,
    /// What came before they were open.
    early: Mutex<EarlyChanges>,
    opened: Condvar,
    /// Keys that left memory without a use.
    unused: RecentKeys,
}

#[derive(Debug)]
struct OpenDisks {
    disks: Box<[Arc<Disk>]>,
    /// The sum of the shares of the disks up to each.
    shares: Box<[u64]>,
}

/// A purge that the disks know and have not written yet: for each of them.
#[derive(Debug, Default)]
pub(super) struct NotedPurge(Vec<DiskPurge>);

impl DiskTier {
    /// The disks of a configuration, to be opened by [`DiskTier::open_now`]; `None` if there are none.
    /// Until then, nothing is found there, and nothing written.
    pub fn to_be_opened(
        cache: &config::Cache,
        clock: &Clock,
        files: Arc<dyn FileSystem>,
    ) -> Option<DiskTier> {
        let shared = SharedParts {
            clock: clock.clone(),
            sites: Arc::default(),
            files,
            max_in_memory: cache.max_object,
            read_ahead: Arc::default(),
        };
        (!cache.disks.is_empty()).then(|| DiskTier {
            settings: cache.disks.clone().into(),
            shared,
            open: OnceLock::new(),
            opening: Mutex::default(),
            early: Mutex::default(),
            opened: Condvar::new(),
            unused: RecentKeys::new(cache.disks.iter().map(|disk| disk.size).sum()),
        })
    }

    /// Opens the disks, if they aren't open and were not given up, and carries out there what came
    /// before.
    ///
    /// # Errors
    /// [`DiskError`] if one can't be used.
    pub fn open_now(&self) -> Result<Vec<DiskReport>, DiskError> {
        let _only = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut disks, mut reports, mut shares) = (Vec::new(), Vec::new(), Vec::new());
        let mut sum = 0;
        if self.open.get().is_some() || self.early().is_given_up() {
            return Ok(reports);
        }
        for settings in &self.settings {
            let opened = Disk::open(settings, &self.shared).map_err(|source| DiskError {
                path: settings.path.clone(),
                source,
            });
            let (disk, found) = match opened {
                Ok(opened) => opened,
                Err(error) => {
                    disks.iter().for_each(|disk: &Arc<Disk>| disk.close());
                    return Err(error);
                }
            };
            sum += settings.size;
            shares.push(sum);
            disks.push(disk);
            reports.push(DiskReport {
                path: settings.path.clone(),
                found,
            });
        }
        let last = disks.iter().map(|disk| disk.last_purge()).max();
        for disk in &disks {
            disk.count_purges_from(last.unwrap_or_default());
        }
        let open = OpenDisks {
            disks: disks.into(),
            shares: shares.into(),
        };
        // Requests wait for the lock: most of the work is done without it.
        let outdated = self.early().take_outdated();
        open.end_outdated(&outdated);
        let mut early = self.early();
        open.end_outdated(&early.take_outdated());
        for disk in &open.disks {
            for (number, scope, mode) in &early.purges {
                disk.write_purge(&disk.note(*number, scope, *mode));
            }
            if let Some(number) = early.of_everything() {
                disk.write_purge(&disk.note_everything(number));
            }
        }
        *early = EarlyChanges::default();
        // Nothing else sets it while the lock is held.
        let _ = self.open.set(open);
        self.opened.notify_all();
        Ok(reports)
    }

    /// Tells the names of the sites, by their indices. Before that, nothing is written.
    pub fn name_sites(&self, names: Vec<Arc<str>>) {
        let sites = &self.shared.sites;
        *sites.write().unwrap_or_else(PoisonError::into_inner) = names;
    }

    /// Whether a response may be there for a key. Asks memory alone.
    pub fn may_have(&self, key: &[u8]) -> bool {
        self.disk_of(key).is_some_and(|disk| disk.may_have(key))
    }

    /// The responses of a key, the latest first, without waiting for the disk; `None` if it has to be
    /// waited for.
    pub fn load_at_once(&self, key: &[u8]) -> Option<Vec<LoadedResponse>> {
        self.disk_of(key)
            .map_or_else(|| Some(Vec::new()), |disk| disk.load_at_once(key))
    }

    /// The responses of a key, the latest first. Waits for the disk, and counts nothing.
    pub fn peek(&self, key: &[u8]) -> Vec<LoadedResponse> {
        let disk = self.disk_of(key);
        disk.map_or_else(Vec::new, |disk| disk.peek(key))
    }

    /// The responses of a key, the latest first: read by a thread of the disk. The answer comes to
    /// `reply`, or the sender is dropped, if too many wait for the disk or it is too slow.
    pub fn load(&self, key: &[u8], reply: oneshot::Sender<Vec<LoadedResponse>>) {
        if let Some(disk) = self.disk_of(key) {
            disk.load(ReadJob::LookUp {
                key: key.into(),
                reply,
            });
        }
    }

    /// Counts a look-up that was given up; `is_late` says that it had waited.
    pub fn count_skipped(&self, key: &[u8], is_late: bool) {
        if let Some(disk) = self.disk_of(key) {
            disk.count_skipped(is_late);
        }
    }

    /// How long a request waits for the disk of a key.
    pub fn read_timeout(&self, key: &[u8]) -> Duration {
        self.disk_of(key)
            .map_or(Duration::ZERO, |disk| disk.read_timeout())
    }

    /// The longest content that the disk of a key takes now, in bytes.
    pub fn max_object(&self, key: &[u8]) -> u64 {
        self.disk_of(key).map_or(0, |disk| disk.max_object())
    }

    /// Takes content of a key that is too large for memory, as it comes: of this length, or of one that
    /// isn't known. `None` if the disk of the key can't, or takes other content of the key just now.
    pub fn spool(&self, key: &[u8], length: Option<u64>) -> Option<DiskSpool> {
        self.disk_of(key)?.spool(key, length)
    }

    /// Offers a response for writing. Returns whether it had room; one that was written before needs
    /// none.
    pub fn offer(&self, key: &Key, stored: &Arc<StoredResponse>) -> bool {
        self.disk_of(key.as_bytes())
            .is_none_or(|disk| disk.offer(key, stored))
    }

    /// A response enters memory: one that a plan has warmed, or that was asked for before and left
    /// memory without a use, is written; any other at its next use. Older ones of its key are not
    /// found any more, but for one with the same content under an older head.
    pub(super) fn enters(&self, key: &Key, stored: &Arc<StoredResponse>) {
        if stored.disk.is_claimed() {
            return;
        }
        if !stored.disk.has_content() && stored.parts().is_none() {
            self.end_older(key, &stored.head);
        }
        if stored.head.warm_run.is_some() || self.unused.has(key.as_bytes()) {
            self.offer(key, stored);
        } else {
            stored.want_disk();
        }
    }

    /// Has responses of a key not be found any more that have no place beside one with this head.
    fn end_older(&self, key: &Key, head: &StoredHead) {
        let of = key.as_bytes();
        match self.open_or_early() {
            Ok(open) if head.secondary_key.fields().is_empty() => open.disk_of(of).forget(of),
            Ok(open) => open.disk_of(of).forget_variant(of, head),
            // Which variants the disk has is not known yet: all go.
            Err(mut early) => early.replace(key),
        }
    }

    /// A response has a new head: it is written if its content is on the disk, or was on its way there,
    /// else with its content at the next use.
    pub(super) fn has_new_head(
        &self,
        key: &Key,
        stored: &Arc<StoredResponse>,
        was_on_its_way: bool,
    ) {
        if was_on_its_way || stored.disk.has_content() {
            self.offer(key, stored);
        } else {
            stored.want_disk();
        }
    }

    /// A response leaves memory to make room.
    pub(super) fn leaves(&self, key: &Key, stored: &Arc<StoredResponse>) {
        if stored.was_used() {
            self.offer(key, stored);
        } else {
            self.unused.remember(key.as_bytes());
        }
    }

    /// Has nothing of a key be found any more, after the next start too.
    pub(super) fn remove(&self, key: &Key) {
        match self.open_or_early() {
            Ok(open) => open.disk_of(key.as_bytes()).remove(key),
            Err(mut early) => early.withdraw(key),
        }
    }

    /// Remembers a purge that begins in memory: it counts from now on. Waits for nothing.
    pub(super) fn note_purge(
        &self,
        number: u64,
        scope: &PurgeScope,
        mode: PurgeMode,
    ) -> NotedPurge {
        match self.open_or_early() {
            Ok(open) => {
                let disks = open.disks.iter();
                NotedPurge(disks.map(|disk| disk.note(number, scope, mode)).collect())
            }
            Err(mut early) => {
                early.purge(number, scope, mode);
                NotedPurge::default()
            }
        }
    }

    /// Adds a purge to the files of the disks.
    pub(super) fn write_purge(&self, noted: &NotedPurge) {
        for (disk, purge) in self.all().iter().zip(&noted.0) {
            disk.write_purge(purge);
        }
    }

    /// Forgets the purges that came before the disks were open: another process has carried them out
    /// there. What was replaced or withdrawn is still carried out: only this process has seen it.
    pub fn drop_early_purges(&self) {
        self.early().drop_purges();
    }

    /// The disks won't be opened, and are not waited for. Once a response was purged or withdrawn, their
    /// records count as purged after the next start.
    pub fn give_up(&self) {
        self.early().give_up();
        self.opened.notify_all();
        self.end_what_lacks_changes();
    }

    /// Has the records of disks that stay closed count as purged after the next start, if they lack a
    /// purge.
    fn end_what_lacks_changes(&self) {
        if !self.early().take_lack() {
            return;
        }
        for settings in &self.settings {
            let purges = purges_of(&settings.path);
            if let Err(error) = self.shared.files.remove_for_good(&purges) {
                // It is tried again with the next one, and at the end.
                self.early().lack_still();
                let path = settings.path.display();
                tracing::error!(%path, %error, "purges can't be written to this disk; remove its folder before the edge is started again");
            }
        }
    }

    /// Has all purges on the disks when it returns. Waits for them, and until they are open, for
    /// [`OPEN_WITHIN`] at most.
    pub fn sync_purges(&self) {
        if self.open.get().is_none() {
            let is_due =
                |early: &mut EarlyChanges| self.open.get().is_none() && !early.is_given_up();
            let waited = self
                .opened
                .wait_timeout_while(self.early(), OPEN_WITHIN, is_due);
            drop(waited);
            self.end_what_lacks_changes();
        }
        self.all().iter().for_each(|disk| disk.sync_purges());
    }

    /// Does what is due: disks that have failed are tried again, and purged records erased. Their
    /// threads do it.
    pub fn keep(&self) {
        self.all().iter().for_each(|disk| disk.keep());
    }

    /// Whether purged records are being erased.
    pub fn is_erasing(&self) -> bool {
        self.all().iter().any(|disk| disk.is_erasing())
    }

    /// Leaves the disks to another process: what was offered is written, and nothing more.
    pub fn hand_over(&self) {
        self.all().iter().for_each(|disk| disk.hand_over());
    }

    /// Waits until what was offered has been written, and seals the newest segments. Nothing is
    /// read or written afterwards. Disks that were never opened are given up; only a process that
    /// has served calls this: what one that never served has seen doesn't count.
    pub fn close(&self) {
        {
            // They may be about to be opened.
            let _only = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
            if self.open.get().is_none() {
                self.give_up();
            }
        }
        self.all().iter().for_each(|disk| disk.close());
    }

    /// Waits until what was offered has been written.
    pub fn settle(&self) {
        self.all().iter().for_each(|disk| disk.settle());
    }

    /// The figures of each disk; of none until they are open.
    pub fn figures(&self) -> Vec<DiskFigures> {
        self.all().iter().map(|disk| disk.figures()).collect()
    }

    fn all(&self) -> &[Arc<Disk>] {
        self.open.get().map_or(&[], |open| &open.disks)
    }

    /// The disk that has a key; `None` until they are open.
    fn disk_of(&self, key: &[u8]) -> Option<&Arc<Disk>> {
        self.open.get().map(|open| open.disk_of(key))
    }

    /// The disks, or what is remembered until they are open.
    fn open_or_early(&self) -> Result<&OpenDisks, MutexGuard<'_, EarlyChanges>> {
        let open = || self.open.get();
        if let Some(open) = open() {
            return Ok(open);
        }
        let early = self.early();
        open().ok_or(early)
    }

    fn early(&self) -> MutexGuard<'_, EarlyChanges> {
        self.early.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenDisks {
    /// The disk that has a key: each has its share of all keys, by its size.
    fn disk_of(&self, key: &[u8]) -> &Arc<Disk> {
        match &*self.disks {
            [one] => one,
            disks => &disks[share_of(key, &self.shares)],
        }
    }

    /// Has nothing of these keys be found that the disks had when they were opened.
    fn end_outdated(&self, keys: &HashSet<Key, RandomState>) {
        for key in keys {
            self.disk_of(key.as_bytes()).end_outdated(key);
        }
    }
}

impl Drop for DiskTier {
    fn drop(&mut self) {
        self.end_what_lacks_changes();
        self.all().iter().for_each(|disk| disk.close());
    }
}

/// Which share a key belongs to. A key never moves while the disks and their sizes stay.
fn share_of(key: &[u8], shares: &[u64]) -> usize {
    let all = u128::from(shares.last().copied().unwrap_or_default());
    // Variants that policies name may lie on different disks.
    let place = (u128::from(crc32c::crc32c(key)) * all) >> 32;
    shares.partition_point(|share| u128::from(*share) <= place)
}

/// The URL of a key and its path.
fn url_and_path(of: &[u8]) -> (&str, &str) {
    (key::url_of(of), key::path_of(of))
}

#[cfg(test)]
mod tests;
