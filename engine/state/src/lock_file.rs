//! A file whose lock says that a process has its folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// An open file with the lock of `flock`, which belongs to the open file: all its descriptors have it.
///
/// When this value is dropped it takes the lock back, and doesn't merely close its descriptor: a
/// process that is just being started has copies of all descriptors until it runs its program, and
/// would hold the lock so long. A lock that was shared stays with the last of its descriptors.
#[derive(Debug)]
pub(crate) struct LockFile {
    file: File,
    is_shared: AtomicBool,
}

impl LockFile {
    /// Takes the lock of the file. If it is missing, makes it, readable for its owner alone.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`] if another has the lock, else the system's error.
    pub(crate) fn take(path: &Path) -> Result<LockFile, TryLockError> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let file = options.open(path).map_err(TryLockError::Error)?;
        file.try_lock()?;
        Ok(LockFile {
            file,
            is_shared: AtomicBool::new(false),
        })
    }

    /// The lock of a file that another process has too.
    pub(crate) fn shared(file: File) -> LockFile {
        LockFile {
            file,
            is_shared: AtomicBool::new(true),
        }
    }

    /// Another descriptor with the same lock.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn share(&self) -> io::Result<File> {
        self.is_shared.store(true, Ordering::Release);
        self.file.try_clone()
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        if !self.is_shared.load(Ordering::Acquire) {
            // What fails here is closed all the same.
            let _ = self.file.unlock();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_with_its_owner_though_another_descriptor_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let lock = LockFile::take(&path).unwrap();
        // As a process has it that is just being started.
        let copy = lock.file.try_clone().unwrap();
        let refused = LockFile::take(&path).unwrap_err();
        assert!(matches!(refused, TryLockError::WouldBlock));
        drop(lock);
        LockFile::take(&path).unwrap();
        drop(copy);
    }
}
