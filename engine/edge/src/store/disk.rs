//! The disk tier: stored responses below the memory, on disks that outlive a restart.
//!
//! A look-up that misses memory asks the index of the disk that has the key, which is in memory too. A
//! response that is there is read, checked against the purges since it was written, and put back into
//! memory; then the request is looked up again, so that everything is decided as for any stored
//! response. What leaves memory after a use goes to the disk, as does what is requested a second time
//! and what a plan has warmed. One thread for each disk writes, from a queue that is bounded in
//! bytes: when it is full, nothing waits.
//!
//! The bytes of records are described in `tero_state::segments::layout`, those of heads in [`head`],
//! and those of purges in [`ledger`].

mod head;
mod ledger;
mod one_disk;
mod queue;
mod recent;

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::oneshot;

use self::one_disk::{Disk, ReadJob};
use self::recent::RecentKeys;
use super::Key;
use super::purge::scope::{PurgeMode, PurgeScope};
use super::stored::StoredResponse;
use tero_config as config;
use tero_semantics::key;
use tero_state::segments::{OpenError, OpenReport};
use tero_time::clock::Clock;

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
    /// Responses that can be found.
    pub records: u64,
    /// Bytes on the disk.
    pub bytes: u64,
    /// Bytes of memory for the index.
    pub index_bytes: u64,
    /// Responses that were read and put back into memory.
    pub hits: u64,
    /// Look-ups that found a record which could not be used: purged, damaged, or of another key.
    pub unusable: u64,
    /// Look-ups that gave up, since the disk was too slow or too many waited for it.
    pub skipped: u64,
    /// Responses that were written.
    pub written: u64,
    /// Responses that were not written, since too many waited.
    pub dropped: u64,
    /// Whether it is left out because it failed.
    pub has_failed: bool,
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
    disks: Box<[Arc<Disk>]>,
    /// The sum of the shares of the disks up to each.
    shares: Box<[u64]>,
    /// The names of the sites by their indices.
    sites: Arc<RwLock<Vec<Arc<str>>>>,
    /// Purges that are being carried out in memory.
    purging: Mutex<OpenPurges>,
    /// Keys that left memory without a use.
    unused: RecentKeys,
}

/// The purges that have begun, and those of them that have ended.
#[derive(Debug)]
struct OpenPurges {
    last: u64,
    open: BTreeSet<u64>,
}

impl DiskTier {
    /// Opens the disks of a configuration, and starts their threads; `None` if there are none.
    ///
    /// # Errors
    /// [`DiskError`] if one can't be used.
    pub fn open(
        settings: &[config::CacheDisk],
        clock: &Clock,
    ) -> Result<Option<(DiskTier, Vec<DiskReport>)>, DiskError> {
        if settings.is_empty() {
            return Ok(None);
        }
        let sites = Arc::default();
        let (mut disks, mut reports, mut shares) = (Vec::new(), Vec::new(), Vec::new());
        let mut sum = 0;
        for settings in settings {
            let opened = Disk::open(settings, clock, &sites).map_err(|source| DiskError {
                path: settings.path.clone(),
                source,
            });
            let (disk, found) = opened?;
            sum += settings.size;
            shares.push(sum);
            disks.push(disk);
            reports.push(DiskReport {
                path: settings.path.clone(),
                found,
            });
        }
        let last = disks.iter().map(|disk| disk.last_purge()).max();
        let tier = DiskTier {
            disks: disks.into(),
            shares: shares.into(),
            sites,
            purging: Mutex::new(OpenPurges {
                last: last.unwrap_or_default(),
                open: BTreeSet::new(),
            }),
            unused: RecentKeys::new(),
        };
        Ok(Some((tier, reports)))
    }

    /// Tells the names of the sites, by their indices. Before that, nothing is written.
    pub fn name_sites(&self, names: Vec<Arc<str>>) {
        *self.sites.write().unwrap_or_else(PoisonError::into_inner) = names;
    }

    /// The number of the last purge that the disks know.
    pub(super) fn last_purge(&self) -> u64 {
        self.purging().last
    }

    /// Whether a response may be there for a key. Asks memory alone.
    pub fn may_have(&self, key: &[u8]) -> bool {
        self.disk_of(key).may_have(key)
    }

    /// The responses of a key, the oldest first, without waiting for the disk; `None` if it has to be
    /// waited for.
    pub fn load_at_once(&self, key: &[u8]) -> Option<Vec<LoadedResponse>> {
        self.disk_of(key).load_at_once(key)
    }

    /// The responses of a key, the oldest first: read by a thread of the disk. The answer comes to
    /// `reply`, or the sender is dropped, if too many wait for the disk.
    pub fn load(&self, key: &[u8], reply: oneshot::Sender<Vec<LoadedResponse>>) {
        let job = ReadJob {
            key: key.into(),
            reply,
        };
        self.disk_of(key).load(job);
    }

    /// Counts a look-up that was given up.
    pub fn count_skipped(&self, key: &[u8]) {
        self.disk_of(key).count_skipped();
    }

    /// How long a request waits for the disk of a key.
    pub fn read_timeout(&self, key: &[u8]) -> std::time::Duration {
        self.disk_of(key).read_timeout()
    }

    /// Offers a response for writing. Returns whether it had room; one that was written before needs
    /// none.
    pub fn offer(&self, key: &Key, stored: &Arc<StoredResponse>) -> bool {
        self.disk_of(key.as_bytes())
            .offer(key, stored, self.carried_out())
    }

    /// A response enters memory: one that a plan has warmed, or that was asked for before and left
    /// memory without a use, is written; any other at its next use.
    pub(super) fn enters(&self, key: &Key, stored: &Arc<StoredResponse>) {
        if stored.head.warm_run.is_some() || self.unused.has(key.as_bytes()) {
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

    /// Has nothing of a key be found any more.
    pub(super) fn forget(&self, key: &[u8]) {
        self.disk_of(key).forget(key);
    }

    /// Remembers a purge that begins in memory.
    pub(super) fn begin_purge(&self, number: u64, scope: &PurgeScope, mode: PurgeMode) {
        let mut purging = self.purging();
        purging.last = purging.last.max(number);
        purging.open.insert(number);
        drop(purging);
        if let PurgeScope::Keys(keys) = scope
            && mode == PurgeMode::Hard
        {
            keys.iter().for_each(|key| self.forget(key));
        }
        for disk in &self.disks {
            disk.purge(number, scope, mode);
        }
    }

    /// A purge has been carried out in memory.
    pub(super) fn end_purge(&self, number: u64) {
        self.purging().open.remove(&number);
    }

    /// The number up to which all purges have been carried out in memory: what leaves it now was not
    /// meant by any of them.
    fn carried_out(&self) -> u64 {
        let purging = self.purging();
        let first_open = purging.open.first();
        first_open.map_or(purging.last, |first| first.saturating_sub(1))
    }

    /// Has all purges on the disks when it returns. Waits for them.
    pub fn sync_purges(&self) {
        self.disks.iter().for_each(|disk| disk.sync_purges());
    }

    /// Waits until what was offered has been written, and seals the newest segments. Nothing is
    /// written afterwards.
    pub fn close(&self) {
        self.disks.iter().for_each(|disk| disk.close());
    }

    /// Waits until what was offered has been written.
    pub fn settle(&self) {
        self.disks.iter().for_each(|disk| disk.settle());
    }

    /// The figures of each disk.
    pub fn figures(&self) -> Vec<DiskFigures> {
        self.disks.iter().map(|disk| disk.figures()).collect()
    }

    /// The disk that has a key: each has its share of all keys, by its size.
    fn disk_of(&self, key: &[u8]) -> &Disk {
        let [.., all] = &*self.shares else {
            unreachable!("a tier has a disk");
        };
        // Variants of a URL may lie on different disks, but a key never moves while these disks stay.
        let place = (u64::from(crc32c::crc32c(key)) * (all >> 16)) >> 16;
        let disk = self.shares.partition_point(|share| *share <= place);
        &self.disks[disk.min(self.disks.len() - 1)]
    }

    fn purging(&self) -> std::sync::MutexGuard<'_, OpenPurges> {
        self.purging.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for DiskTier {
    fn drop(&mut self) {
        self.close();
    }
}

/// The URL of a key and its path.
fn url_and_path(of: &[u8]) -> (&str, &str) {
    (key::url_of(of), key::path_of(of))
}
