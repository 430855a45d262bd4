//! What the fuzz targets ask of the readers of a disk that are not public: those of heads and of the file
//! of purges.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::head::{self, ClockPair};
use super::ledger::{PurgeLedger, PurgeMark, PurgeSubject, PurgeVerdict};
use tero_semantics::timestamp::Timestamp;
use tero_state::segments::files::{FileSystem, OpenFile};

/// Reads a head, and one that was written from it: they say the same.
///
/// # Panics
/// If they don't.
pub fn head(bytes: &[u8]) {
    let now = Timestamp::from_unix_secs(1_795_608_000);
    let clocks = ClockPair {
        steady: now,
        wall: now,
    };
    let Some(read) = head::restore(bytes, clocks) else {
        return;
    };
    let saved = head::save(&read.head, &read.site, clocks);
    let again = head::restore(&saved, clocks).expect("it was written just now");
    assert_eq!(again.site, read.site);
    let (new, old) = (again.head, read.head);
    assert_eq!(new.status, old.status);
    assert_eq!(new.fields.to_headers(0), old.fields.to_headers(0));
    assert!(new.fields.tags().eq(old.fields.tags()));
    assert_eq!(new.browser_lifetime, old.browser_lifetime);
    assert_eq!(new.may_be_coded, old.may_be_coded);
    assert!(new.secondary_key == old.secondary_key);
    assert_eq!(new.freshness.age(now), old.freshness.age(now));
    assert_eq!(new.freshness.is_fresh(now), old.freshness.is_fresh(now));
}

/// Reads a file of purges: a record of another log isn't current, and one from after the last purge is.
///
/// # Panics
/// If it is not so.
pub fn purges(bytes: &[u8]) {
    let files: Arc<dyn FileSystem> = Arc::new(OneFile(bytes.into()));
    let read = PurgeLedger::look_at(Path::new("purges"), &files);
    let Some(ledger) = read.expect("memory can be read") else {
        return;
    };
    let subject = PurgeSubject {
        hashes: vec![1, 2],
        url: "https://www.example/a",
        path: "/a",
        site: 2,
    };
    let verdict = |log, number| ledger.verdict(&subject, PurgeMark { log, number });
    assert_ne!(verdict(!ledger.log(), u64::MAX), PurgeVerdict::Current);
    let after_all = verdict(ledger.log(), ledger.last());
    assert_eq!(after_all, PurgeVerdict::Current);
}

/// One file, of these bytes.
#[derive(Clone, Debug)]
struct OneFile(Arc<[u8]>);

impl FileSystem for OneFile {
    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }

    fn open(&self, _: &Path) -> io::Result<Box<dyn OpenFile>> {
        Ok(Box::new(self.clone()))
    }

    fn create(&self, _: &Path) -> io::Result<Box<dyn OpenFile>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl OpenFile for OneFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let from = usize::try_from(offset).ok().and_then(|at| self.0.get(at..));
        let from = from.and_then(|from| from.get(..bytes.len()));
        bytes.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn read_at_once(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_exact_at(bytes, offset).map(|()| bytes.len())
    }

    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_length(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
