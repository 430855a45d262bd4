//! The state directory: one process has it at a time.
//!
//! The directory itself has a `lock` and the files of [`crate::file`]. [`crate::trusted`] files are
//! in its folders, where no other user may write.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::lock_file::LockFile;
use crate::replace::is_unfinished;
use crate::trusted;

/// Why the state directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// A file or folder can't be made or opened, or other users may write in it.
    #[error("the state directory: {path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Another process has it.
    #[error("the state directory {path} is in use by another running edge; give each edge its own policies.state_dir", path = .0.display())]
    Taken(PathBuf),
}

/// The state directory, locked until this value is dropped.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    lock: LockFile,
    is_handed_over: AtomicBool,
}

/// A file of the state directory can't be written: another process has taken the directory over, or
/// is about to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another process takes the state directory over")]
pub struct StateOwnerError;

impl StateDir {
    /// Locks the directory. If it is missing, makes it so that only its owner may enter. Removes
    /// unfinished files of earlier processes.
    ///
    /// The directory may exist already, and may be a sticky one such as `/tmp`;
    /// [`StateDir::folder`] checks who else may write in it.
    ///
    /// # Errors
    /// [`DirError`] if the directory can't be made, or another process has it.
    pub fn open(path: &Path) -> Result<StateDir, DirError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(at(path))?;
        Ok(StateDir::locked(path, lock(path)?))
    }

    /// Takes the directory over by the lock of the process that has it ([`StateDir::lock_to_share`]).
    /// If that is the lock of another directory, as [`StateDir::open`].
    ///
    /// # Errors
    /// As [`StateDir::open`].
    pub fn take_over(path: &Path, lock: File) -> Result<StateDir, DirError> {
        let identity = |file: fs::Metadata| (file.dev(), file.ino());
        let theirs = lock.metadata().map(identity).map_err(at(path))?;
        match fs::metadata(lock_path(path)).map(identity) {
            Ok(ours) if ours == theirs => Ok(StateDir::locked(path, LockFile::shared(lock))),
            _ => StateDir::open(path),
        }
    }

    fn locked(path: &Path, lock: LockFile) -> StateDir {
        remove_unfinished(path);
        StateDir {
            path: path.to_owned(),
            lock,
            is_handed_over: AtomicBool::new(false),
        }
    }

    /// The lock for another process, which then has the directory too, beside this one.
    ///
    /// # Errors
    /// The system's.
    pub fn lock_to_share(&self) -> io::Result<File> {
        self.lock.share()
    }

    /// Says whether the directory is another process's to write. Meanwhile our files are not written.
    pub fn hand_over(&self, is_handed_over: bool) {
        self.is_handed_over.store(is_handed_over, Ordering::Release);
    }

    /// Whether the files may be written.
    ///
    /// # Errors
    /// [`StateOwnerError`] if they are another process's.
    pub fn check_ours(&self) -> Result<(), StateOwnerError> {
        match self.is_handed_over.load(Ordering::Acquire) {
            true => Err(StateOwnerError),
            false => Ok(()),
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a folder in it for [`trusted`] files. Makes the folder if it is missing, and
    /// removes unfinished files of earlier processes.
    ///
    /// # Errors
    /// [`DirError::Io`] if the folder can't be made, or if other users may write in it or above it.
    pub fn folder(&self, name: &str) -> Result<PathBuf, DirError> {
        let path = self.path.join(name);
        trusted::make_folder(&path).map_err(at(&path))?;
        remove_unfinished(&path);
        Ok(path)
    }
}

/// Locks the directory until the returned value is dropped, at the latest when the process ends.
fn lock(dir: &Path) -> Result<LockFile, DirError> {
    let path = lock_path(dir);
    match LockFile::take(&path) {
        Ok(lock) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(DirError::Taken(dir.to_owned())),
        Err(TryLockError::Error(source)) => Err(DirError::Io { path, source }),
    }
}

fn lock_path(dir: &Path) -> PathBuf {
    dir.join("lock")
}

fn remove_unfinished(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if is_unfinished(&path) {
            // An unfinished file that stays does no harm.
            let _ = fs::remove_file(path);
        }
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> DirError {
    let path = path.to_owned();
    move |source| DirError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::sync::Arc;

    use super::*;
    use crate::file::StateFile;

    #[test]
    fn the_directory_is_locked_until_it_and_its_files_are_dropped() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("deep/state");
        let dir = Arc::new(StateDir::open(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        let file = StateFile::new(&dir, "file.json", 100);
        drop(dir);
        let error = StateDir::open(&path).unwrap_err();
        assert!(matches!(&error, DirError::Taken(taken) if *taken == path));
        drop(file);
        StateDir::open(&path).unwrap();
    }

    #[test]
    fn a_lock_is_shared_and_stays_with_the_last_one() {
        let top = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let old = Arc::new(StateDir::open(top.path()).unwrap());
        let file = StateFile::new(&old, "file.json", 100);
        let new = StateDir::take_over(top.path(), old.lock_to_share().unwrap()).unwrap();
        old.hand_over(true);
        let refused = file.replace(&1).unwrap_err();
        assert!(refused.to_string().contains("another process"), "{refused}");
        old.hand_over(false);
        file.replace(&1).unwrap();
        // Another directory is not opened by this lock.
        let elsewhere = StateDir::take_over(other.path(), old.lock_to_share().unwrap()).unwrap();
        assert!(StateDir::open(other.path()).is_err());
        drop((old, file, elsewhere));
        assert!(StateDir::open(top.path()).is_err());
        drop(new);
        StateDir::open(top.path()).unwrap();
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_an_error() {
        let top = tempfile::tempdir().unwrap();
        fs::write(top.path().join("file"), "").unwrap();
        let error = StateDir::open(&top.path().join("file/state")).unwrap_err();
        assert!(matches!(error, DirError::Io { .. }), "{error}");
    }

    #[test]
    fn a_lock_that_is_not_a_file_is_an_error() {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir(top.path().join("lock")).unwrap();
        let error = StateDir::open(top.path()).unwrap_err();
        assert!(
            matches!(&error, DirError::Io { path, .. } if path.ends_with("lock")),
            "{error}"
        );
    }

    #[test]
    fn an_old_lock_file_locks_nothing_and_keeps_its_content() {
        let top = tempfile::tempdir().unwrap();
        fs::write(top.path().join("lock"), "4711\n").unwrap();
        let _dir = StateDir::open(top.path()).unwrap();
        assert_eq!(
            fs::read_to_string(top.path().join("lock")).unwrap(),
            "4711\n"
        );
    }

    #[test]
    fn unfinished_files_are_removed_and_other_files_stay() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("versions");
        fs::create_dir(&folder).unwrap();
        for place in [top.path(), &folder] {
            fs::write(place.join("file.12-3.new"), "{\"vers").unwrap();
            fs::write(place.join("notes.new"), "mine").unwrap();
            fs::create_dir(place.join("folder.4-5.new")).unwrap();
        }
        let dir = StateDir::open(top.path()).unwrap();
        assert_eq!(dir.folder("versions").unwrap(), folder);
        for place in [top.path(), &folder] {
            assert!(!place.join("file.12-3.new").exists());
            assert!(place.join("notes.new").exists() && place.join("folder.4-5.new").exists());
        }
    }

    #[test]
    fn a_folder_is_refused_if_other_users_may_write_in_it_or_above_it() {
        let top = tempfile::tempdir().unwrap();
        let chmod = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let dir = StateDir::open(top.path()).unwrap();
        let folder = dir.folder("versions").unwrap();
        for path in [top.path(), &folder] {
            chmod(path, 0o777);
            let error = dir.folder("versions").unwrap_err();
            assert!(error.to_string().contains("can be written by others"));
            chmod(path, 0o700);
        }
        chmod(top.path(), 0o1777);
        dir.folder("versions").unwrap();
    }
}
