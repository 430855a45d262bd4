//! What the fuzz targets ask of the readers of a disk that are not public: those of heads and of the file
//! of purges.

use std::path::Path;
use std::sync::Arc;

use super::head::{self, ClockPair};
use super::ledger::{PurgeLedger, PurgeMark, PurgeSubject, PurgeVerdict};
use tero_semantics::timestamp::Timestamp;
use tero_state::segments::files::FileSystem;

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
pub fn purges(files: &Arc<dyn FileSystem>, path: &Path) {
    let read = PurgeLedger::look_at(path, files);
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
