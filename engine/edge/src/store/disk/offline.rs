//! A disk's folder, looked at without an edge: it is checked, and responses are taken out of it.
//! Nothing in it is changed, and an edge may use it meanwhile.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use super::head::{self, ClockPair};
use super::ledger::{PurgeLedger, PurgeMark, PurgeVerdict};
use super::one_disk::{purges_of, subject};
use super::{DiskError, DiskProblem};
use crate::store::stored::StoredHead;
use crate::store::variants::is_older;
use tero_semantics::key;
use tero_semantics::timestamp::Timestamp;
use tero_state::segments::files::{FileSystem, SystemFiles};
use tero_state::segments::{
    OpenReport, ReadError, ReadMode, SegmentStore, StoredRecord, WalkProgress,
};

/// A disk's folder.
#[derive(Debug)]
pub struct DiskFolder {
    records: SegmentStore,
    report: OpenReport,
    /// `None` where the file of purges is missing or damaged.
    ledger: Option<PurgeLedger>,
    clocks: ClockPair,
}

/// What came of checking a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskCheck {
    /// Records that are sound, those that newer ones have replaced among them.
    pub sound: u64,
    /// Records whose key, head or content is damaged or gone.
    pub damaged: u64,
    /// Sound records that were purged.
    pub purged: u64,
    /// Bytes of sound content.
    pub content_bytes: u64,
    /// Whether the file of purges is missing or damaged, so that all records count as purged.
    pub lacks_purges: bool,
}

/// A response in a folder.
#[derive(Debug)]
pub struct FolderRecord<'r> {
    record: &'r StoredRecord,
    /// Its absolute URL.
    pub url: String,
    /// The name of its site.
    pub site: Box<str>,
    /// Its status.
    pub status: StatusCode,
    /// Its fields.
    pub fields: HeaderMap,
    /// Its surrogate keys.
    pub tags: Vec<String>,
    /// When it was written, by the system's clock.
    pub saved_at: Timestamp,
    /// The length of its content, in bytes.
    pub length: u64,
}

/// Why a response can't be taken out of a folder.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Its content is damaged or gone, or the disk can't read it. Others may be sound.
    #[error("its content is damaged or gone")]
    Unreadable,
    /// It can't be written to where it should go.
    #[error(transparent)]
    Write(#[from] io::Error),
}

impl DiskFolder {
    /// Opens a folder. `now` is the time by the system's clock.
    ///
    /// # Errors
    /// [`DiskError`] if it can't be read.
    pub fn open(path: &Path, now: Timestamp) -> Result<DiskFolder, DiskError> {
        let open = || -> Result<DiskFolder, DiskProblem> {
            let files: Arc<dyn FileSystem> = Arc::new(SystemFiles);
            let (records, report) = SegmentStore::look_at(path)?;
            Ok(DiskFolder {
                records,
                report,
                ledger: PurgeLedger::look_at(&purges_of(path), &files)?,
                clocks: ClockPair {
                    steady: now,
                    wall: now,
                },
            })
        };
        open().map_err(|source| DiskError {
            path: path.to_owned(),
            source,
        })
    }

    /// What was found in it.
    pub fn report(&self) -> &OpenReport {
        &self.report
    }

    /// The bytes of its segments.
    pub fn bytes(&self) -> u64 {
        self.records.usage().bytes
    }

    /// Reads every record with all its content. `progress` hears before every segment.
    ///
    /// # Errors
    /// The system's error.
    pub fn verify(&self, progress: impl FnMut(WalkProgress)) -> io::Result<DiskCheck> {
        let mut check = DiskCheck {
            lacks_purges: self.ledger.is_none(),
            ..DiskCheck::default()
        };
        let mut failed = None;
        self.records.verify(progress, |_, read| match read {
            Ok(record) => {
                check.sound += 1;
                check.content_bytes += record.content_len();
                check.purged += u64::from(!self.is_current(record));
            }
            Err(ReadError::Io(error)) => failed = failed.take().or(Some(error)),
            Err(_) => check.damaged += 1,
        })?;
        failed.map_or(Ok(check), Err)
    }

    /// Calls `each` for every response that an edge would find, and whose URL is `wanted`. Goes on where
    /// something is damaged. Returns how many records are.
    ///
    /// # Errors
    /// The system's error, where a segment can't be read: the others have been gone through. An error of
    /// writing ends it.
    pub fn export(
        &self,
        wanted: impl Fn(&str) -> bool,
        mut each: impl FnMut(&FolderRecord<'_>) -> Result<(), CopyError>,
    ) -> io::Result<u64> {
        let (mut failed, mut damaged) = (None, 0);
        self.records.walk(drop, |place, read| {
            let Ok(record) = read else {
                damaged += 1;
                return;
            };
            let hash = self.records.hash(record.key());
            let url = key::url_of(record.key());
            let is_found = self.records.has(hash, place) && wanted(url);
            if failed.is_some() || !is_found || !self.is_current(record) {
                return;
            }
            let Some(saved) = head::restore(record.head(), self.clocks) else {
                return;
            };
            if self.has_newer(hash, record, &saved.head) {
                return;
            }
            let found = FolderRecord {
                record,
                url: url.to_owned(),
                site: saved.site,
                status: saved.head.status,
                fields: saved.head.fields.to_headers(0),
                tags: saved.head.fields.tags().map(str::to_owned).collect(),
                saved_at: saved.saved_at,
                length: record.content_len(),
            };
            match each(&found) {
                Ok(()) => {}
                Err(CopyError::Unreadable) => damaged += 1,
                Err(CopyError::Write(error)) => failed = Some(error),
            }
        })?;
        failed.map_or(Ok(damaged), Err)
    }

    /// Whether a newer record of a key may be of the same variant: an edge doesn't find an older one then.
    fn has_newer(&self, hash: u64, record: &StoredRecord, head: &StoredHead) -> bool {
        let newer = self.records.find(hash).into_iter();
        let mut newer = newer.take_while(|place| *place > record.place());
        newer.any(|place| {
            let newer = self.records.read(record.key(), place, ReadMode::Wait).ok();
            let newer = newer.and_then(|newer| head::restore(newer.head(), self.clocks));
            newer.is_none_or(|newer| is_older(head, &newer.head))
        })
    }

    /// Whether a record was not purged.
    fn is_current(&self, record: &StoredRecord) -> bool {
        let Some(ledger) = &self.ledger else {
            return false;
        };
        let Some(saved) = head::restore(record.head(), self.clocks) else {
            return false;
        };
        let mark = PurgeMark::from_bytes(record.header.mark);
        let hash = |bytes: &[u8]| self.records.hash(bytes);
        let subject = subject(record.key(), &saved.head, &saved.site, hash);
        ledger.verdict(&subject, mark) != PurgeVerdict::Gone
    }
}

impl FolderRecord<'_> {
    /// Writes its content.
    ///
    /// # Errors
    /// [`CopyError`]. A part of it may have been written.
    pub fn write_content(&self, to: &mut dyn Write) -> Result<(), CopyError> {
        for piece in 0..self.record.pieces() {
            let piece = self.record.piece(piece, ReadMode::Wait);
            to.write_all(&piece.map_err(|_| CopyError::Unreadable)?)?;
        }
        Ok(())
    }
}
