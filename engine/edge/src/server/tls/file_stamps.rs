//! Whether files have changed since they were read.

use std::fs::metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What tells two states of some files apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FileStamps(Vec<Option<FileStamp>>);

/// What changes when a file is written or replaced, also by way of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FileStamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileStamps {
    /// The present state of these files.
    pub(super) fn of<P: AsRef<Path>>(files: impl Iterator<Item = P>) -> FileStamps {
        let stamp = |path: P| {
            let file = metadata(path).ok()?;
            Some(FileStamp {
                device: file.dev(),
                inode: file.ino(),
                length: file.size(),
                modified: (file.mtime(), file.mtime_nsec()),
                changed: (file.ctime(), file.ctime_nsec()),
            })
        };
        FileStamps(files.map(stamp).collect())
    }
}
